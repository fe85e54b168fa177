/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/launch.h"
#include "common/cleanup.h"
#include "supervisor/launch-clone.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LAUNCH_STACK (64U << 10)
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

static const char *const stage_names[] = {
        [LAUNCH_STAGE_NONE] = "none",
        [LAUNCH_STAGE_PREPARE] = "prepare",
        [LAUNCH_STAGE_CLONE] = "clone",
        [LAUNCH_STAGE_SIGNALS] = "signals",
        [LAUNCH_STAGE_CGROUP] = "cgroup",
        [LAUNCH_STAGE_SESSION] = "session",
        [LAUNCH_STAGE_OUTPUT] = "output",
        [LAUNCH_STAGE_DESCRIPTORS] = "descriptors",
        [LAUNCH_STAGE_NICE] = "nice",
        [LAUNCH_STAGE_LIMITS] = "limits",
        [LAUNCH_STAGE_GROUPS] = "groups",
        [LAUNCH_STAGE_GID] = "gid",
        [LAUNCH_STAGE_UID] = "uid",
        [LAUNCH_STAGE_CWD] = "cwd",
        [LAUNCH_STAGE_NO_NEW_PRIVS] = "no-new-privs",
        [LAUNCH_STAGE_EXEC] = "exec",
};

const char *launch_stage_name(LaunchStage s) {
        return (unsigned)s < ELEMENTSOF(stage_names) ? stage_names[s] : "unknown";
}

void launch_plan_init(LaunchPlan *p) {
        *p = (LaunchPlan){.exe_fd = -1, .tty_fd = -1, .stdio = {-1, -1, -1}, .cgroup_fd = -1};
}

/* What the child writes and the parent reads: MAP_SHARED, so that it works even where the clone does not
 * share memory (an emulator that turns it into a fork). */
typedef struct LaunchShared {
        volatile int stage;
        volatile int error;
        volatile unsigned skipped;
} LaunchShared;

typedef struct LaunchMove {
        int from, to;
} LaunchMove;

/* Everything the child needs, made by the parent. */
typedef struct LaunchChild {
        const LaunchPlan *plan;
        LaunchShared *shared;
        LaunchMove *moves; /* 0 to 2 and the extra ones, ascending by `to` */
        unsigned n_moves;
        int top; /* highest `to` */
        int exe_fd;
        bool set_ids;
        volatile bool in_cgroup; /* born in the unit's cgroup */
} LaunchChild;

/*
 * From here to launch_child() nothing but raw system calls: the child shares our memory, and glibc's wrappers
 * of the set*id family signal every thread of "the process" (nptl setxid), which would be the parent's. errno
 * is the parent's too and saved by it.
 */
#define CHILD_FN __attribute__((no_sanitize("address", "undefined")))

CHILD_FN static _Noreturn void child_fail(const LaunchChild *c, LaunchStage stage, int error) {
        c->shared->error = error;
        c->shared->stage = (int)stage;
        for (;;)
                syscall(SYS_exit, 125);
}

CHILD_FN static void child_check(const LaunchChild *c, LaunchStage stage, long r) {
        if (r < 0)
                child_fail(c, stage, errno);
}

/* The kernel's own layout: glibc refuses to touch its two internal signals, which must be reset as well. */
struct kernel_sigaction {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
};

CHILD_FN static void child_signals(const LaunchChild *c) {
        for (int sig = 1; sig <= 64; sig++) {
                struct kernel_sigaction sa = {.handler = SIG_DFL};

                if (sig == SIGKILL || sig == SIGSTOP)
                        continue;
                if (c->plan->ignore_signals & (UINT64_C(1) << (sig - 1)))
                        sa.handler = SIG_IGN;
                child_check(
                        c, LAUNCH_STAGE_SIGNALS, syscall(SYS_rt_sigaction, sig, &sa, NULL, sizeof(sa.mask)));
        }
}

/* After the dispositions are default: a pending signal may end the child here, never run a handler of the
 * parent's. */
CHILD_FN static void child_unblock(const LaunchChild *c) {
        uint64_t none = 0;

        child_check(
                c, LAUNCH_STAGE_SIGNALS, syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none)));
}

CHILD_FN static unsigned child_decimal(char *out, int v) {
        char digits[12];
        unsigned n = 0, len = 0;

        do
                digits[n++] = (char)('0' + v % 10);
        while ((v /= 10) > 0);
        while (n > 0)
                out[len++] = digits[--n];
        out[len] = '\0';
        return len;
}

CHILD_FN static void child_oom(const LaunchChild *c) {
        char text[16];
        unsigned n = 0;
        int v = c->plan->oom_score_adj;
        long fd;

        if (v < 0) {
                text[n++] = '-';
                v = -v;
        }
        n += child_decimal(text + n, v);
        fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
        if (fd < 0 || syscall(SYS_write, (int)fd, text, (size_t)n) < 0)
                c->shared->skipped |= LAUNCH_SKIPPED_OOM;
        if (fd >= 0)
                syscall(SYS_close, (int)fd);
}

/* Where the clone could not do it. */
CHILD_FN static void child_cgroup(const LaunchChild *c) {
        long fd = syscall(SYS_openat, c->plan->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC, 0);

        child_check(c, LAUNCH_STAGE_CGROUP, fd);
        child_check(c, LAUNCH_STAGE_CGROUP, syscall(SYS_write, (int)fd, "0", (size_t)1));
}

CHILD_FN static void child_session(const LaunchChild *c) {
        const LaunchPlan *p = c->plan;

        if (p->session == LAUNCH_SESSION_NEW)
                child_check(c, LAUNCH_STAGE_SESSION, syscall(SYS_setsid));
        if (p->session != LAUNCH_SESSION_GROUP)
                return;
        child_check(c, LAUNCH_STAGE_SESSION, syscall(SYS_setpgid, 0, 0));
        if (p->tty_fd >= 0) {
                /* SIGTTOU is blocked here, so a background process may do this. */
                int pgrp = (int)syscall(SYS_getpid);

                child_check(c, LAUNCH_STAGE_SESSION, syscall(SYS_ioctl, p->tty_fd, TIOCSPGRP, &pgrp));
        }
}

/* Opens file: and append: targets; what was opened replaces the source of that number. */
CHILD_FN static void child_files(const LaunchChild *c) {
        const LaunchPlan *p = c->plan;

        for (int i = 1; i <= 2; i++) {
                long fd;

                if (!p->files[i].path)
                        continue;
                if (i == 2 && p->files[2].path == p->files[1].path) {
                        c->moves[2].from = c->moves[1].from;
                        continue;
                }
                /* O_NONBLOCK: a FIFO without reader is an error, not a Guardian that hangs */
                fd = syscall(SYS_openat, AT_FDCWD, p->files[i].path,
                        O_WRONLY | O_CREAT | O_NOCTTY | O_CLOEXEC | O_NONBLOCK |
                                (p->files[i].append ? O_APPEND : 0),
                        0640);
                child_check(c, LAUNCH_STAGE_OUTPUT, fd);
                child_check(c, LAUNCH_STAGE_OUTPUT,
                        syscall(SYS_fcntl, (int)fd, F_SETFL, p->files[i].append ? O_APPEND : 0));
                c->moves[i].from = (int)fd;
        }
}

CHILD_FN static void child_descriptors(LaunchChild *c) {
        int next = 0;

        /* First everything that stands where something else is to go is moved above all targets. */
        if (c->exe_fd >= 0 && c->exe_fd <= c->top) {
                c->exe_fd = (int)syscall(SYS_fcntl, c->exe_fd, F_DUPFD_CLOEXEC, c->top + 1);
                child_check(c, LAUNCH_STAGE_DESCRIPTORS, c->exe_fd);
        }
        for (unsigned i = 0; i < c->n_moves; i++)
                if (c->moves[i].from <= c->top) {
                        c->moves[i].from =
                                (int)syscall(SYS_fcntl, c->moves[i].from, F_DUPFD_CLOEXEC, c->top + 1);
                        child_check(c, LAUNCH_STAGE_DESCRIPTORS, c->moves[i].from);
                }
        for (unsigned i = 0; i < c->n_moves; i++) {
                int to = c->moves[i].to;

                child_check(c, LAUNCH_STAGE_DESCRIPTORS, syscall(SYS_dup3, c->moves[i].from, to, 0));
                if (to > next)
                        child_check(c, LAUNCH_STAGE_DESCRIPTORS,
                                syscall(SYS_close_range, next, to - 1, CLOSE_RANGE_CLOEXEC));
                next = to + 1;
        }
        child_check(c, LAUNCH_STAGE_DESCRIPTORS, syscall(SYS_close_range, next, ~0U, CLOSE_RANGE_CLOEXEC));
}

CHILD_FN static void child_resources(const LaunchChild *c) {
        const LaunchPlan *p = c->plan;

        if (p->oom_score_adj_set)
                child_oom(c);
        if (p->nice_set)
                child_check(c, LAUNCH_STAGE_NICE, syscall(SYS_setpriority, PRIO_PROCESS, 0, p->nice));
        for (unsigned i = 0; i < p->n_limits; i++) {
                /* rlim64 of the kernel: infinity is all ones, as here */
                uint64_t l[2] = {p->limits[i].soft, p->limits[i].hard};

                child_check(
                        c, LAUNCH_STAGE_LIMITS, syscall(SYS_prlimit64, 0, p->limits[i].resource, l, NULL));
        }
        if (p->umask_set)
                syscall(SYS_umask, p->umask);
}

CHILD_FN static void child_ids(const LaunchChild *c) {
        const LaunchPlan *p = c->plan;

        if (!c->set_ids)
                return;
        child_check(c, LAUNCH_STAGE_GROUPS, syscall(SYS_setgroups, (size_t)p->n_groups, p->groups));
        child_check(c, LAUNCH_STAGE_GID, syscall(SYS_setresgid, p->gid, p->gid, p->gid));
        child_check(c, LAUNCH_STAGE_UID, syscall(SYS_setresuid, p->uid, p->uid, p->uid));
}

CHILD_FN static void child_cwd(const LaunchChild *c) {
        const LaunchPlan *p = c->plan;

        if (p->cwd_keep)
                return;
        if (p->cwd) {
                if (syscall(SYS_chdir, p->cwd) == 0)
                        return;
                if (!p->cwd_optional || errno != ENOENT)
                        child_fail(c, LAUNCH_STAGE_CWD, errno);
        }
        child_check(c, LAUNCH_STAGE_CWD, syscall(SYS_chdir, "/"));
}

CHILD_FN static int launch_child(void *arg) {
        LaunchChild *c = arg;
        const LaunchPlan *p = c->plan;

        if (p->pid_text)
                child_decimal(p->pid_text, (int)syscall(SYS_getpid));
        if (p->cgroup_fd >= 0 && !c->in_cgroup)
                child_cgroup(c);
        child_signals(c);
        child_session(c);
        child_files(c);
        child_descriptors(c);
        child_resources(c);
        child_ids(c);
        child_cwd(c);
        if (p->no_new_privs)
                child_check(c, LAUNCH_STAGE_NO_NEW_PRIVS,
                        syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
        child_unblock(c);
        if (c->exe_fd >= 0)
                syscall(SYS_execveat, c->exe_fd, "", p->argv, p->envp, AT_EMPTY_PATH);
        else
                syscall(SYS_execve, p->path, p->argv, p->envp);
        child_fail(c, LAUNCH_STAGE_EXEC, errno);
}

/* Stack and result page of all spawns: the parent is suspended while the child uses them. */
static int launch_memory(LaunchShared **shared, void **stack) {
        static char *area;
        size_t page = (size_t)sysconf(_SC_PAGESIZE);

        if (!area) {
                char *a = mmap(NULL, LAUNCH_STACK + 2 * page, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

                if (a == MAP_FAILED)
                        return -errno;
                /* result page, guard page, stack growing down to it */
                if (mprotect(a + page, page, PROT_NONE) < 0) {
                        int r = -errno;

                        munmap(a, LAUNCH_STACK + 2 * page);
                        return r;
                }
                area = a;
        }
        *shared = (LaunchShared *)(void *)area;
        *stack = area + 2 * page;
        return 0;
}

/* One /dev/null for all spawns; standard input of nearly every unit. */
static int launch_null(void) {
        static int fd = -1;

        if (fd < 0)
                fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
        return fd < 0 ? -errno : fd;
}

static int launch_compare_moves(const void *a, const void *b) {
        const LaunchMove *x = a, *y = b;

        return (x->to > y->to) - (x->to < y->to);
}

/* The table of descriptors, ascending and without doubles. */
static int launch_moves(const LaunchPlan *p, int null_fd, LaunchChild *c) {
        for (int i = 0; i < 3; i++)
                c->moves[c->n_moves++] = (LaunchMove){p->stdio[i] >= 0 ? p->stdio[i] : null_fd, i};
        for (unsigned i = 0; i < p->n_fds; i++) {
                if (p->fds[i].to < 3 || p->fds[i].from < 0)
                        return -EINVAL;
                c->moves[c->n_moves++] = (LaunchMove){p->fds[i].from, p->fds[i].to};
        }
        qsort(c->moves, c->n_moves, sizeof(*c->moves), launch_compare_moves);
        for (unsigned i = 1; i < c->n_moves; i++)
                if (c->moves[i].to == c->moves[i - 1].to)
                        return -EINVAL;
        c->top = c->moves[c->n_moves - 1].to;
        return 0;
}

static bool launch_has_group(const gid_t *g, unsigned n, gid_t want) {
        for (unsigned i = 0; i < n; i++)
                if (g[i] == want)
                        return true;
        return false;
}

/* An ordinary user may "change" to what it is already, which setgroups(2) alone would refuse. */
static bool launch_ids_are_ours(const LaunchPlan *p) {
        uid_t r, e, s;
        gid_t rg, eg, sg;
        gid_t own[256];
        int n;

        if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0)
                return false;
        if (r != p->uid || e != p->uid || s != p->uid || rg != p->gid || eg != p->gid || sg != p->gid)
                return false;
        n = getgroups(ELEMENTSOF(own), own);
        if (n < 0 || (unsigned)n != p->n_groups)
                return false;
        /* Each way: a plan may name a group twice, and have as many as we do without having the same. */
        for (unsigned i = 0; i < p->n_groups; i++)
                if (!launch_has_group(own, (unsigned)n, p->groups[i]) ||
                        !launch_has_group(p->groups, p->n_groups, own[i]))
                        return false;
        return true;
}

static int launch_start(LaunchChild *c, void *stack, pid_t *pid) {
        sigset_t all, old;
        int r = 0;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        *pid = launch_clone(launch_child, c, stack, LAUNCH_STACK,
                c->plan->cgroup_move ? -1 : c->plan->cgroup_fd, &c->in_cgroup);
        if (*pid < 0)
                r = *pid;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return r;
}

static int launch_failed(LaunchResult *r, LaunchStage stage, int error) {
        r->pid = 0;
        r->stage = stage;
        r->error = error;
        return error;
}

int launch_spawn(const LaunchPlan *p, LaunchResult *r) {
        auto_free LaunchMove *moves = NULL;
        int null_fd;
        LaunchShared *shared = NULL;
        LaunchChild c = {.plan = p, .exe_fd = p->exe_fd};
        void *stack = NULL;
        pid_t pid;
        int e;

        *r = (LaunchResult){0};
        if (!p->argv || !p->argv[0] || !p->envp || (p->exe_fd < 0 && !p->path))
                return launch_failed(r, LAUNCH_STAGE_PREPARE, -EINVAL);
        moves = calloc(3 + (size_t)p->n_fds, sizeof(*moves));
        if (!moves)
                return launch_failed(r, LAUNCH_STAGE_PREPARE, -ENOMEM);
        null_fd = launch_null();
        if (null_fd < 0)
                return launch_failed(r, LAUNCH_STAGE_PREPARE, null_fd);
        c.moves = moves;
        e = launch_moves(p, null_fd, &c);
        if (e == 0)
                e = launch_memory(&shared, &stack);
        if (e < 0)
                return launch_failed(r, LAUNCH_STAGE_PREPARE, e);

        *shared = (LaunchShared){0};
        c.shared = shared;
        c.set_ids = p->set_ids && !launch_ids_are_ours(p);
        e = launch_start(&c, stack, &pid);
        if (e < 0)
                return launch_failed(r, LAUNCH_STAGE_CLONE, e);
        r->skipped = shared->skipped;
        if (shared->stage != LAUNCH_STAGE_NONE) {
                siginfo_t si;

                /* It never became the program and is ending right now: taken here, so that it is nobody's
                 * orphan. */
                while (waitid(P_PID, (id_t)pid, &si, WEXITED) < 0 && errno == EINTR)
                        ;
                return launch_failed(r, (LaunchStage)shared->stage, -shared->error);
        }
        r->pid = pid;
        return 0;
}

int launch_exit_status(const LaunchResult *r) {
        if (r->stage != LAUNCH_STAGE_EXEC)
                return 125;
        return r->error == -ENOENT || r->error == -ENOTDIR ? 127 : 126;
}

static bool launch_may_raise_limits(void) {
        struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct d[2] = {{0}};

        return syscall(SYS_capget, &h, d) == 0 && (d[0].effective & (1U << CAP_SYS_RESOURCE));
}

unsigned launch_limits_clamp(LaunchLimit *limits, unsigned n) {
        unsigned clamped = 0;

        if (launch_may_raise_limits())
                return 0;
        for (unsigned i = 0; i < n; i++) {
                LaunchLimit *l = &limits[i];
                struct rlimit now;
                uint64_t top;

                if (getrlimit((enum __rlimit_resource)l->resource, &now) < 0 || now.rlim_max == RLIM_INFINITY)
                        continue;
                top = (uint64_t)now.rlim_max;
                if (l->hard <= top && l->soft <= top)
                        continue;
                if (l->hard > top)
                        l->hard = top;
                if (l->soft > top)
                        l->soft = top;
                l->clamped = true;
                clamped++;
        }
        return clamped;
}

/* 0 executable, -ENOENT nothing there, -EACCES there but no executable file, -EPERM: we may not even look. */
static int launch_is_executable(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return errno == EACCES ? -EPERM : -ENOENT;
        if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
                return -EACCES;
        return 0;
}

int launch_find(const char *name, const char *search, char *out, size_t cap) {
        int result = -ENOENT;

        if (!search)
                search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        if (name[0] == '\0')
                return -ENOENT;
        if (strchr(name, '/')) {
                if ((size_t)snprintf(out, cap, "%s", name) >= cap)
                        return -ENAMETOOLONG;
                result = launch_is_executable(out);
                return result == -EPERM ? -EACCES : result;
        }
        for (const char *p = search, *end;; p = end + 1) {
                int n, r;

                end = strchrnul(p, ':');
                /* an empty element is the current directory */
                n = snprintf(out, cap, "%.*s/%s", end > p ? (int)(end - p) : 1, end > p ? p : ".", name);
                if (n > 0 && (size_t)n < cap) {
                        r = launch_is_executable(out);
                        if (r == 0)
                                return 0;
                        if (r == -EACCES)
                                result = r; /* remembered: a later directory may still have it */
                }
                if (*end == '\0')
                        return result;
        }
}

int launch_exe_open(const char *path, LaunchExe *ret) {
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;

        *ret = (LaunchExe){.fd = -1};
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
                return -EACCES;
        *ret = (LaunchExe){.fd = TAKE_FD(fd), .dev = st.st_dev, .ino = st.st_ino};
        return 0;
}

void launch_exe_close(LaunchExe *e) {
        if (e->fd >= 0)
                close(e->fd);
        e->fd = -1;
}
