/* SPDX-License-Identifier: Apache-2.0 */
/* storm LOG ID COUNT: a "service" that, on each SIGUSR1, double-forks COUNT
 * orphans (grandchildren that end at once and are left to PID 1 to reap) and
 * then appends a 'D' record whose aux field is how long producing them took.
 * vfork is used for both generations so that production is as fast as the
 * kernel allows and PID 1 is the side under test. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct rec {
        uint32_t kind, id, pid, pad;
        uint64_t t, aux;
};

static uint64_t now(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void put(int fd, int kind, uint32_t id, uint64_t t, uint64_t aux) {
        struct rec r = {(uint32_t)kind, id, (uint32_t)getpid(), 0, t, aux};
        if (write(fd, &r, sizeof r) != (ssize_t)sizeof r)
                _exit(111);
}

static void on_term(int s) {
        (void)s;
        _exit(0);
}

int main(int argc, char **argv) {
        sigset_t m;
        int fd, sig, count;
        uint32_t id;

        if (argc < 4)
                return 111;
        fd = open(argv[1], O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd < 0)
                return 111;
        id = (uint32_t)atoi(argv[2]);
        count = atoi(argv[3]);
        signal(SIGTERM, on_term);
        signal(SIGCHLD, SIG_DFL);
        sigemptyset(&m);
        sigaddset(&m, SIGUSR1);
        sigprocmask(SIG_SETMASK, &m, NULL);
        put(fd, 'S', id, now(), 0);
        for (;;) {
                uint64_t t0;
                if (sigwait(&m, &sig))
                        continue;
                t0 = now();
                for (volatile int i = 0; i < count; i++) {
                        pid_t a = vfork();
                        if (a == 0) {
                                if (vfork() == 0)
                                        _exit(0);
                                _exit(0);
                        }
                        if (a > 0)
                                waitpid(a, NULL, 0);
                        else
                                i--;
                }
                put(fd, 'D', id, now(), now() - t0);
        }
}
