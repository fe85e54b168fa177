/* SPDX-License-Identifier: Apache-2.0 */
/* Started by the tests: says how it finds itself, or plays a badly behaved child. argv[1] is the part. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int compare_ints(const void *a, const void *b) {
        return *(const int *)a - *(const int *)b;
}

static void report_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        int fds[256], n = 0;
        const struct dirent *e;

        while (d && (e = readdir(d)))
                if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d) && n < 256)
                        fds[n++] = atoi(e->d_name);
        if (d)
                closedir(d);
        qsort(fds, (size_t)n, sizeof(fds[0]), compare_ints);
        printf("fds=");
        for (int i = 0; i < n; i++)
                printf("%s%d", i ? " " : "", fds[i]);
        printf("\n");
}

static void report_signals(void) {
        sigset_t mask;
        int blocked = 0;

        sigprocmask(SIG_BLOCK, NULL, &mask);
        printf("ignored=");
        for (int s = 1; s < NSIG; s++) {
                struct sigaction sa;

                if (sigismember(&mask, s) == 1)
                        blocked++;
                if (sigaction(s, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
                        printf("%d ", s);
        }
        printf("\nblocked=%d\n", blocked);
}

static void report(int argc, char **argv) {
        char cwd[4096];
        struct rlimit l;
        mode_t um = umask(0);
        gid_t groups[64];
        int n = getgroups(64, groups);

        printf("argc=%d argv0=%s\n", argc, argv[0]);
        report_fds();
        report_signals();
        printf("uid=%u euid=%u gid=%u groups=%d first=%u\n", getuid(), geteuid(), getgid(), n,
                n > 0 ? groups[0] : 0);
        printf("umask=%03o cwd=%s\n", um, getcwd(cwd, sizeof(cwd)) ? cwd : "?");
        printf("session=%d group=%d\n", getsid(0) == getpid(), getpgrp() == getpid());
        getrlimit(RLIMIT_NOFILE, &l);
        printf("nofile=%lu:%lu nice=%d nnp=%d\n", (unsigned long)l.rlim_cur, (unsigned long)l.rlim_max,
                getpriority(PRIO_PROCESS, 0), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
        printf("listen_pid=%d var=%s\n", getenv("LISTEN_PID") ? atoi(getenv("LISTEN_PID")) == getpid() : -1,
                getenv("VAR") ? getenv("VAR") : "-");
        fflush(stdout);
        dprintf(2, "to stderr\n");
}

static void say(char c) {
        if (write(3, &c, 1) != 1)
                _exit(9);
}

/* A child in a session of its own whose parent is gone. */
static void daemonise(void) {
        if (fork() > 0)
                _exit(0);
        setsid();
        if (fork() > 0)
                _exit(0);
        signal(SIGTERM, SIG_IGN);
        say('d');
        pause();
}

static bool first_thread_ended(void) {
        char buf[512] = "";
        int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
        const char *close_paren;

        if (fd < 0 || read(fd, buf, sizeof(buf) - 1) <= 0)
                _exit(9);
        close(fd);
        close_paren = strrchr(buf, ')');
        return close_paren && close_paren[2] == 'Z';
}

static void *second_thread(void *arg) {
        while (!first_thread_ended())
                sched_yield();
        say('t');
        pause();
        return arg;
}

/* A daemon whose first thread ends and whose second stays. */
__attribute__((noreturn)) static void threads(void) {
        pthread_t t;

        if (fork() > 0)
                _exit(0);
        setsid();
        if (fork() > 0)
                _exit(0);
        if (pthread_create(&t, NULL, second_thread, NULL) != 0)
                _exit(9);
        pthread_exit(NULL);
}

static void say_pid(pid_t pid) {
        if (write(3, &pid, sizeof(pid)) != sizeof(pid))
                _exit(9);
}

static pid_t fork_pause(void) {
        pid_t pid = fork();

        if (pid == 0)
                for (;;)
                        pause();
        return pid;
}

/* Leaves the first and the second process of a namespace behind; says 0 where there are none. */
__attribute__((noreturn)) static void pid_namespace(void) {
        pid_t first;

        if (fork() > 0)
                _exit(0);
        setsid();
        if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0) {
                say_pid(0);
                _exit(0);
        }
        first = fork_pause();
        say_pid(first);
        say_pid(fork_pause());
        _exit(0);
}

/* One of many generations: it executes the next one, which ends the last one or, with forks, is its child. */
__attribute__((noreturn)) static void generations(char *self, char *part, int left, bool forks) {
        char number[16], *argv[] = {self, part, number, NULL};

        if (left == 0) {
                say('e');
                for (;;)
                        pause();
        }
        if (forks && fork() > 0) {
                /* memory to give back: its end takes longer than a look */
                mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
                        0);
                _exit(0);
        }
        if (forks)
                setsid();
        snprintf(number, sizeof(number), "%d", left - 1);
        execv("/proc/self/exe", argv);
        _exit(9);
}

/* The same process through many generations, in a session of its own. */
__attribute__((noreturn)) static void execs(char *self, char *part) {
        if (fork() > 0)
                _exit(0);
        setsid();
        if (fork() > 0)
                _exit(0);
        generations(self, part, 300, false);
}

int main(int argc, char **argv) {
        const char *part = argc > 1 ? argv[1] : "report";
        int n = argc > 2 ? atoi(argv[2]) : 0;

        if (strcmp(part, "report") == 0) {
                report(argc, argv);
        } else if (strcmp(part, "exit") == 0) {
                return n;
        } else if (strcmp(part, "signal") == 0) {
                raise(n);
        } else if (strcmp(part, "wait") == 0) {
                say('w');
                pause();
        } else if (strcmp(part, "tree") == 0) { /* a child in our session, a grandchild in one of its own */
                if (fork() == 0) {
                        if (fork() == 0)
                                setsid();
                        say('t');
                        for (;;)
                                pause();
                }
                say('l');
                for (;;)
                        pause();
        } else if (strcmp(part, "daemon") == 0) {
                daemonise();
        } else if (strcmp(part, "threads") == 0) {
                threads();
        } else if (strcmp(part, "namespace") == 0) {
                pid_namespace();
        } else if (strcmp(part, "relay") == 0) {
                generations(argv[0], argv[1], argc > 2 ? n : 60, true);
        } else if (strcmp(part, "execs") == 0 && argc > 2) {
                generations(argv[0], argv[1], n, false);
        } else if (strcmp(part, "execs") == 0) {
                execs(argv[0], argv[1]);
        } else if (strcmp(part, "orphans") == 0) { /* leaves n ended grandchildren behind */
                for (int i = 0; i < n; i++)
                        if (fork() == 0)
                                _exit(i & 1);
        } else if (strcmp(part, "lines") == 0) {
                for (int i = 0; i < n; i++)
                        printf("line %d\n", i);
                printf("no newline");
                fflush(stdout);
        } else if (strcmp(part, "reopen") == 0) { /* what many programs do with /dev/stderr */
                int fd = open("/dev/stderr", O_WRONLY | O_APPEND);

                if (fd < 0)
                        return errno == EACCES ? 13 : 14;
                dprintf(fd, "reopened\n");
        } else {
                return 99;
        }
        return 0;
}
