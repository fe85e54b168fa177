/* SPDX-License-Identifier: Apache-2.0 */
/* nsrun [-g CGROUP_PROCS]... [-t TMPFS]... [-b SRC:DST]... [-c] -o OUT -- ARGV...
 *
 * Run ARGV as PID 1 of a fresh PID + mount namespace with its own /proc, like
 * `unshare --pid --fork --mount-proc`, but with the time of the final exec known
 * exactly.  On stdout, for the harness:
 *     T0 <CLOCK_MONOTONIC ns just before exec>
 *     PID <pid in the caller's namespace>
 *     EXIT <ns> <wait status>
 * -c adds UTS, IPC and cgroup namespaces (for systemd).  PID 1 is killed when
 * nsrun dies. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what) {
        dprintf(2, "nsrun: %s: %s\n", what, strerror(errno));
        _exit(125);
}

int main(int argc, char **argv) {
        char *tm[16], *bi[16], *out = "/dev/null", line[64];
        int ntm = 0, nbi = 0, o, extra = 0, st, n;
        struct rlimit rl = {4096, 4096};
        sigset_t none;
        pid_t p;

        while ((o = getopt(argc, argv, "+g:t:b:o:c")) != -1) {
                switch (o) {
                case 'g': {
                        int f = open(optarg, O_WRONLY | O_CLOEXEC);
                        if (f < 0 || write(f, "0", 1) != 1)
                                die(optarg);
                        close(f);
                        break;
                }
                case 't':
                        if (ntm < 16)
                                tm[ntm++] = optarg;
                        break;
                case 'b':
                        if (nbi < 16)
                                bi[nbi++] = optarg;
                        break;
                case 'o':
                        out = optarg;
                        break;
                case 'c':
                        extra = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;
                        break;
                default:
                        return 125;
                }
        }
        if (optind >= argc)
                return 125;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setrlimit(RLIMIT_NOFILE, &rl);
        if (unshare(CLONE_NEWPID | CLONE_NEWNS | extra))
                die("unshare");
        p = fork();
        if (p < 0)
                die("fork");
        if (p == 0) {
                int f, rep;
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                setsid();
                if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
                        die("private");
                if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
                        die("proc");
                for (int i = 0; i < nbi; i++) {
                        char *d = strchr(bi[i], ':');
                        *d++ = 0;
                        if (mount(bi[i], d, NULL, MS_BIND | MS_REC, NULL))
                                die(d);
                }
                for (int i = 0; i < ntm; i++)
                        if (mount("tmpfs", tm[i], "tmpfs", 0, "mode=755"))
                                die(tm[i]);
                f = open(out, O_WRONLY | O_CREAT | O_APPEND, 0644);
                rep = fcntl(1, F_DUPFD_CLOEXEC, 100);
                if (f < 0 || rep < 0)
                        die(out);
                dup2(open("/dev/null", O_RDONLY), 0);
                dup2(f, 1);
                dup2(f, 2);
                for (int i = 3; i < 64; i++)
                        close(i);
                sigemptyset(&none);
                sigprocmask(SIG_SETMASK, &none, NULL);
                n = sprintf(line, "T0 %llu\n", (unsigned long long)now());
                if (write(rep, line, (size_t)n) != n)
                        _exit(125);
                execvp(argv[optind], argv + optind);
                die(argv[optind]);
        }
        n = sprintf(line, "PID %d\n", (int)p);
        if (write(1, line, (size_t)n) != n)
                return 125;
        while (waitpid(p, &st, 0) < 0 && errno == EINTR)
                ;
        n = sprintf(line, "EXIT %llu %d\n", (unsigned long long)now(), st);
        if (write(1, line, (size_t)n) != n)
                return 125;
        return 0;
}
