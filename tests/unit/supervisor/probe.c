/* SPDX-License-Identifier: Apache-2.0 */
/* Started by the tests: says how it finds itself, or plays a badly behaved child. argv[1] is the part. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* A child in a session of its own whose parent is gone; `drop` removes what names the unit. */
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
