/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/pid1.h"
#include "supervisor/headroom.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int pid1_fill_stdio(void) {
        for (;;) {
                int fd;

                if (fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0)
                        return 0;
                /* open() takes the lowest free number, which is one of the three; without CLOEXEC, as the
                 * others are. */
                fd = open("/dev/null", O_RDWR | O_NOCTTY);
                if (fd < 0)
                        return -errno;
        }
}

int pid1_subreaper(void) {
        return prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) < 0 ? -errno : 0;
}

/* procfs, and of our own pid namespace: its "self" must name us by the pid that we know ourselves by. */
static bool proc_is_ours(void) {
        char link[32], want[32];
        struct statfs fs;
        ssize_t n;

        if (statfs("/proc", &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
                return false;
        n = readlink("/proc/self", link, sizeof(link) - 1);
        if (n <= 0)
                return false;
        link[n] = '\0';
        snprintf(want, sizeof(want), "%d", (int)getpid());
        return strcmp(link, want) == 0;
}

int pid1_proc(void) {
        if (proc_is_ours())
                return 0;
        if (getpid() != 1)
                return -ENOENT;
        if (mkdir("/proc", 0555) < 0 && errno != EEXIST)
                return -errno;
        if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
                return -errno;
        return proc_is_ours() ? 1 : -ENOENT;
}

int pid1_descriptors(uint64_t *have, uint64_t *unit_soft) {
        struct rlimit l;

        if (getrlimit(RLIMIT_NOFILE, &l) < 0)
                return -errno;
        *unit_soft = *have = l.rlim_cur;
        if (l.rlim_max < HEADROOM_FDS)
                return 0;
        l.rlim_cur = l.rlim_max == RLIM_INFINITY ? l.rlim_max : l.rlim_max - HEADROOM_FDS;
        if (setrlimit(RLIMIT_NOFILE, &l) < 0)
                return -errno;
        *have = l.rlim_cur;
        return 0;
}

uint64_t pid1_descriptors_needed(unsigned n_units, unsigned n_links) {
        /* A unit: capture pipe, notification socket, control pipe, cgroup directory and its cgroup.procs. A
         * link passes through as two ends for a moment. 64: loop, sockets, sessions of persons, /proc reads.
         */
        return 64 + (uint64_t)n_units * 5 + (uint64_t)n_links * 2;
}

void pid1_signals(void) {
        struct sigaction sa = {.sa_handler = SIG_DFL};

        for (int sig = 1; sig < NSIG; sig++)
                if (sig != SIGKILL && sig != SIGSTOP)
                        sigaction(sig, &sa, NULL); /* refused for two that glibc keeps: they are its own */
        sa.sa_handler = SIG_IGN;
        sigaction(SIGPIPE, &sa, NULL);
}

static void stop_signals(int how) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGUSR2);
        sigaddset(&set, SIGPWR);
        sigaddset(&set, SIGRTMIN + 3);
        sigaddset(&set, SIGRTMIN + 4);
        sigprocmask(how, &set, NULL);
}

void pid1_hold_stop(void) {
        stop_signals(SIG_BLOCK);
}

void pid1_take_stop(void) {
        stop_signals(SIG_UNBLOCK);
}
