/* SPDX-License-Identifier: Apache-2.0 */
#include "common/signals.h"
#include "common/cleanup.h"
#include "common/str.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

static const struct {
        int sig;
        const char *name;
} signals[] = {
#define S(n)                                                                                                 \
        { SIG##n, "SIG" #n }
        S(HUP), S(INT), S(QUIT), S(ILL), S(TRAP), S(ABRT), S(BUS), S(FPE), S(KILL), S(USR1), S(SEGV), S(USR2),
        S(PIPE), S(ALRM), S(TERM), S(STKFLT), S(CHLD), S(CONT), S(STOP), S(TSTP), S(TTIN), S(TTOU), S(URG),
        S(XCPU), S(XFSZ), S(VTALRM), S(PROF), S(WINCH), S(IO), S(PWR), S(SYS)
#undef S
};

static int realtime(const char *s) {
        bool max = strncasecmp(s, "RTMAX", 5) == 0;
        if (!max && strncasecmp(s, "RTMIN", 5) != 0)
                return -EINVAL;
        int sig = max ? SIGRTMAX : SIGRTMIN;
        uint64_t n = 0;
        if (s[5]) {
                if (s[5] != (max ? '-' : '+') || parse_u64(s + 6, &n) < 0 ||
                        n > (uint64_t)(SIGRTMAX - SIGRTMIN))
                        return -EINVAL;
        }
        return max ? sig - (int)n : sig + (int)n;
}

int signal_from_string(const char *s) {
        uint64_t n;
        if (parse_u64(s, &n) == 0)
                return n >= 1 && n <= (uint64_t)SIGRTMAX ? (int)n : -EINVAL;
        if (strncasecmp(s, "SIG", 3) == 0)
                s += 3;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                if (strcasecmp(s, signals[i].name + 3) == 0)
                        return signals[i].sig;
        return realtime(s);
}

const char *signal_name(int sig) {
        static char rt[24];
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                if (signals[i].sig == sig)
                        return signals[i].name;
        if (sig < SIGRTMIN || sig > SIGRTMAX)
                return "SIG?";
        snprintf(rt, sizeof(rt), "SIGRTMIN+%d", sig - SIGRTMIN);
        return rt;
}
