/* SPDX-License-Identifier: Apache-2.0 */
/* floor MODE LOG N SVC [BALLAST_MB]: the physical limit for a cold boot: start N
 * services as fast as possible and reap.  MODE is fork | vfork | spawn | clone3.
 * Started as PID 1 like any supervisor.  BALLAST_MB dirties that much heap first
 * (fork copies its page tables, the others do not).  No restart, no readiness. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static volatile sig_atomic_t term;
static void on_term(int s) {
        (void)s;
        term = 1;
}
static void on_chld(int s) {
        (void)s;
}

/* clone3(CLONE_VFORK | CLONE_PIDFD) without CLONE_VM: needs no stack of its own,
 * but the page tables are copied.  The mode "clone" is the CLONE_VM one. */
static pid_t do_clone3(int *pidfd) {
        struct clone_args a;
        memset(&a, 0, sizeof a);
        a.flags = CLONE_VFORK | CLONE_PIDFD;
        a.pidfd = (uint64_t)(uintptr_t)pidfd;
        a.exit_signal = SIGCHLD;
        return (pid_t)syscall(SYS_clone3, &a, sizeof a);
}

/* 'B': count from here, not from exec (the ballast is not part of the boot) */
static void begin_record(const char *log) {
        struct {
                uint32_t kind, id, pid, pad;
                uint64_t t, aux;
        } r = {'B', 0, 0, 0, 0, 0};
        struct timespec ts;
        int fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
        clock_gettime(CLOCK_MONOTONIC, &ts);
        r.t = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
        if (fd < 0 || write(fd, &r, sizeof r) != (ssize_t)sizeof r)
                _exit(111);
        close(fd);
}

static int child_exec(void *v) {
        char **av = v;
        execve(av[0], av, environ);
        _exit(127);
}

int main(int argc, char **argv) {
        if (argc < 5)
                return 111;
        const char *mode = argv[1];
        int n = atoi(argv[3]), pidfd = -1;
        volatile int alive = n;
        static char stack[65536] __attribute__((aligned(16)));
        char num[16], *av[] = {argv[4], argv[2], num, NULL};
        struct sigaction sa = {.sa_handler = on_term}, sc = {.sa_handler = on_chld};
        pid_t *pids = calloc((size_t)n, sizeof *pids);
        sigset_t block, old;

        if (argc > 5) {
                size_t sz = (size_t)atoi(argv[5]) << 20;
                char *p = malloc(sz);
                if (p)
                        memset(p, 1, sz);
                __asm__ volatile("" ::"r"(p) : "memory");
                begin_record(argv[2]);
        }
        sigaction(SIGTERM, &sa, NULL);
        sigaction(SIGCHLD, &sc, NULL);
        for (int i = 0; i < n; i++) {
                pid_t p = -1;
                sprintf(num, "%d", i);
                if (!strcmp(mode, "fork")) {
                        p = fork();
                        if (p == 0)
                                child_exec(av);
                } else if (!strcmp(mode, "vfork")) {
                        p = vfork();
                        if (p == 0) {
                                execve(av[0], av, environ);
                                _exit(127);
                        }
                } else if (!strcmp(mode, "spawn")) {
                        if (posix_spawn(&p, av[0], NULL, NULL, av, environ))
                                p = -1;
                } else if (!strcmp(mode, "clone3")) {
                        p = do_clone3(&pidfd);
                        if (p == 0)
                                child_exec(av);
                } else { /* clone: CLONE_VM|CLONE_VFORK|CLONE_PIDFD on a private stack */
                        p = clone(child_exec, stack + sizeof stack,
                                CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, av, &pidfd);
                }
                if (p < 0)
                        return 112;
                pids[i] = p;
        }
        sigemptyset(&block);
        sigaddset(&block, SIGTERM);
        sigaddset(&block, SIGCHLD);
        sigprocmask(SIG_BLOCK, &block, &old);
        for (;;) {
                pid_t r;
                while ((r = waitpid(-1, NULL, WNOHANG)) > 0)
                        for (int i = 0; i < n; i++)
                                if (pids[i] == r) {
                                        pids[i] = 0;
                                        alive--;
                                        break;
                                }
                if (term == 1) {
                        term = 2;
                        for (int i = 0; i < n; i++)
                                if (pids[i])
                                        kill(pids[i], SIGTERM);
                }
                if (term && !alive)
                        return 0;
                sigsuspend(&old);
        }
}
