/* SPDX-License-Identifier: Apache-2.0 */
/* svc: the smallest useful "service" for measuring a supervisor.
 *
 *   svc LOG ID [NOTIFYFD]     start, append one record, (signal readiness), pause
 *   svc                       the same with LOG from $BENCH_LOG and ID from the
 *                             digits in the name of the working directory
 *   svc -d PIDFILE LOG ID     daemonize first and write a pid file (for monit)
 *
 * NOTIFYFD: a number (write "\n" there and close it: s6/dinit style) or "sd"
 * (send READY=1 to $NOTIFY_SOCKET).  On SIGTERM or SIGINT it appends a 'T' record and
 * exits 0, so the harness can tell a graceful stop from a kill.
 *
 * Records are 32 bytes, written with one O_APPEND write.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct rec {
        uint32_t kind, id, pid, pad;
        uint64_t t, aux;
};
static int logfd;
static uint32_t id;

static uint64_t now(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void put(int kind, uint64_t t) {
        struct rec r = {(uint32_t)kind, id, (uint32_t)getpid(), 0, t, 0};
        if (write(logfd, &r, sizeof r) != (ssize_t)sizeof r)
                _exit(111);
}

static void on_term(int sig) {
        (void)sig;
        put('T', now());
        _exit(0);
}

static void sd_ready(void) {
        const char *p = getenv("NOTIFY_SOCKET");
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        size_t n;
        int s;
        if (!p || (n = strlen(p)) >= sizeof a.sun_path)
                return;
        memcpy(a.sun_path, p, n);
        if (a.sun_path[0] == '@')
                a.sun_path[0] = 0;
        s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sendto(s, "READY=1", 7, 0, (struct sockaddr *)&a,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
        close(s);
}

int main(int argc, char **argv) {
        uint64_t t = now();
        const char *log, *notify = NULL;
        struct sigaction sa = {.sa_handler = on_term};
        sigset_t none;

        if (argc > 4 && !strcmp(argv[1], "-d")) {
                char b[16];
                int f;
                if (fork())
                        _exit(0);
                setsid();
                f = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
                if (f < 0 || write(f, b, (size_t)sprintf(b, "%d\n", (int)getpid())) < 0)
                        return 111;
                close(f);
                argv += 2, argc -= 2;
        }
        if (argc >= 3) {
                log = argv[1];
                id = (uint32_t)atoi(argv[2]);
                notify = argc > 3 ? argv[3] : NULL;
        } else {
                char cwd[4096], *p;
                log = getenv("BENCH_LOG");
                if (!log || !getcwd(cwd, sizeof cwd))
                        return 111;
                p = strrchr(cwd, '/');
                p += strcspn(p, "0123456789");
                id = (uint32_t)atoi(p);
        }
        logfd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (logfd < 0)
                return 111;
        put('S', t);
        sigemptyset(&none);
        sigaction(SIGTERM, &sa, NULL);
        sigaction(SIGINT, &sa, NULL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (notify && !strcmp(notify, "sd")) {
                sd_ready();
        } else if (notify) {
                int fd = atoi(notify);
                if (write(fd, "\n", 1) == 1)
                        close(fd);
        }
        for (;;)
                pause();
}
