/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/procinfo.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void proc_path(char *out, size_t cap, pid_t pid, const char *name) {
        if (pid == 0)
                snprintf(out, cap, "/proc/self/%s", name);
        else
                snprintf(out, cap, "/proc/%d/%s", (int)pid, name);
}

/* A process that is going away shows up as ENOENT or ESRCH, depending on the moment. */
static int proc_errno(void) {
        return errno == ENOENT ? -ESRCH : -errno;
}

/* Root without CAP_SYS_PTRACE, as in most containers, may not look into the process of another uid; that uid
 * may. The kernel asks for this thread's file system ids. Changing them makes us undumpable, which would hide
 * us from our own chunks. False, errno as it was: this is no way to it. */
static bool owner_become(const char *path, int *dumpable) {
        struct stat st;
        int saved = errno;

        *dumpable = prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L);
        if (geteuid() != 0 || stat(path, &st) < 0 || st.st_uid == 0) {
                errno = saved;
                return false;
        }
        setfsgid(st.st_gid);
        setfsuid(st.st_uid);
        return true;
}

static void owner_leave(int dumpable) {
        int saved = errno;

        setfsuid(geteuid());
        setfsgid(getegid());
        if (dumpable == 1)
                prctl(PR_SET_DUMPABLE, 1L, 0L, 0L, 0L);
        errno = saved;
}

static int open_as_owner(const char *path) {
        int dumpable, fd;

        if (!owner_become(path, &dumpable))
                return -1;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        owner_leave(dumpable);
        return fd;
}

/* Reads up to cap - 1 bytes and terminates them. Returns the count or negative errno. */
static ssize_t proc_read(pid_t pid, const char *name, char *buf, size_t cap) {
        auto_close int fd = -1;
        char path[64];
        size_t n = 0;

        proc_path(path, sizeof(path), pid, name);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 && (errno == EACCES || errno == EPERM))
                fd = open_as_owner(path);
        if (fd < 0)
                return proc_errno();
        while (n < cap - 1) {
                ssize_t r = read(fd, buf + n, cap - 1 - n);

                if (r < 0) {
                        if (errno == EINTR)
                                continue;
                        return proc_errno();
                }
                if (r == 0)
                        break;
                n += (size_t)r;
        }
        buf[n] = '\0';
        return (ssize_t)n;
}

int proc_stat_parse(const char *line, ProcStat *ret) {
        const char *open = strchr(line, '('), *close = strrchr(line, ')');
        int pid, ppid, pgrp, session;
        /* older kernels have fewer fields: then as if it had an environment without a word in it */
        uint64_t start, vsize = 1, env_start = 1, env_end = 1;
        unsigned threads;
        char state;
        size_t n;

        if (!open || !close || close < open || sscanf(line, "%d", &pid) != 1)
                return -EINVAL;
        if (sscanf(close + 1,
                    " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u %*d %" SCNu64
                    " %" SCNu64
                    " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
                    " %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64,
                    &state, &ppid, &pgrp, &session, &threads, &start, &vsize, &env_start, &env_end) < 6)
                return -EINVAL;
        *ret = (ProcStat){.pid = pid,
                .ppid = ppid,
                .pgrp = pgrp,
                .session = session,
                .state = state,
                .start = start,
                .threads = threads,
                .vsize = vsize,
                .env_start = env_start,
                .env_end = env_end};
        n = (size_t)(close - open - 1);
        if (n >= sizeof(ret->comm))
                n = sizeof(ret->comm) - 1;
        memcpy(ret->comm, open + 1, n);
        return 0;
}

int proc_stat(pid_t pid, ProcStat *ret) {
        char buf[1024];
        ssize_t n = proc_read(pid, "stat", buf, sizeof(buf));

        if (n < 0)
                return (int)n;
        return n == 0 ? -ESRCH : proc_stat_parse(buf, ret);
}

bool proc_ended(const ProcStat *s) {
        return (s->state == 'Z' || s->state == 'X') && s->threads <= 1;
}

bool proc_alive(pid_t pid, uint64_t start) {
        ProcStat s;

        return pid > 0 && proc_stat(pid, &s) == 0 && s.start == start && !proc_ended(&s);
}

int proc_rss(pid_t pid, uint64_t *bytes) {
        char buf[256];
        uint64_t pages;
        ssize_t n = proc_read(pid, "statm", buf, sizeof(buf));

        if (n < 0)
                return (int)n;
        if (sscanf(buf, "%*s %" SCNu64, &pages) != 1)
                return -ESRCH;
        *bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
        return 0;
}

static bool status_four(const char *v, unsigned ret[4]) {
        return sscanf(v, "%u %u %u %u", &ret[0], &ret[1], &ret[2], &ret[3]) == 4;
}

static void status_groups(const char *v, ProcStatus *ret) {
        for (;;) {
                char *end;
                unsigned long g;

                while (*v == ' ' || *v == '\t')
                        v++;
                if (*v < '0' || *v > '9')
                        return;
                g = strtoul(v, &end, 10);
                v = end;
                if (ret->n_groups == PROC_GROUPS_MAX) {
                        ret->groups_cut = true;
                        return;
                }
                ret->groups[ret->n_groups++] = (gid_t)g;
        }
}

/* One "Key:\tvalue" line; sets a bit of *seen for Uid (1), Gid (2) and each capability line (4..64). */
static void status_line(const char *line, ProcStatus *ret, unsigned *seen) {
        static const struct {
                const char *key;
                size_t offset;
        } caps[] = {
                {"CapInh:", offsetof(ProcStatus, cap_inh)},
                {"CapPrm:", offsetof(ProcStatus, cap_prm)},
                {"CapEff:", offsetof(ProcStatus, cap_eff)},
                {"CapBnd:", offsetof(ProcStatus, cap_bnd)},
                {"CapAmb:", offsetof(ProcStatus, cap_amb)},
        };

        if (strncmp(line, "Uid:", 4) == 0 && status_four(line + 4, ret->uid))
                *seen |= 1;
        else if (strncmp(line, "Gid:", 4) == 0 && status_four(line + 4, ret->gid))
                *seen |= 2;
        else if (strncmp(line, "Groups:", 7) == 0)
                status_groups(line + 7, ret);
        else if (strncmp(line, "NoNewPrivs:", 11) == 0)
                ret->no_new_privs = atoi(line + 11);
        else if (strncmp(line, "Seccomp:", 8) == 0)
                ret->seccomp = atoi(line + 8);
        else if (strncmp(line, "Seccomp_filters:", 16) == 0)
                ret->seccomp_filters = atoi(line + 16);
        else
                for (unsigned i = 0; i < ELEMENTSOF(caps); i++)
                        if (strncmp(line, caps[i].key, 7) == 0) {
                                *(uint64_t *)(void *)((char *)ret + caps[i].offset) =
                                        strtoull(line + 7, NULL, 16);
                                *seen |= 4U << i;
                        }
}

int proc_status_parse(const char *text, size_t n, ProcStatus *ret) {
        unsigned seen = 0;

        *ret = (ProcStatus){.no_new_privs = -1, .seccomp = -1, .seccomp_filters = -1};
        while (n > 0) {
                const char *nl = memchr(text, '\n', n);
                size_t len = nl ? (size_t)(nl - text) : n;
                char line[1024];

                if (len < sizeof(line)) {
                        memcpy(line, text, len);
                        line[len] = '\0';
                        status_line(line, ret, &seen);
                } else if (len > 7 && memcmp(text, "Groups:", 7) == 0) {
                        /* More groups than fit: what fits, and the word that it was cut. */
                        memcpy(line, text, sizeof(line) - 1);
                        line[sizeof(line) - 1] = '\0';
                        status_line(line, ret, &seen);
                        ret->groups_cut = true;
                }
                text += len + (nl ? 1 : 0);
                n -= len + (nl ? 1 : 0);
        }
        ret->caps_known = (seen & 0x7c) == 0x7c;
        return (seen & 3) == 3 ? 0 : -EINVAL;
}

int proc_status(pid_t pid, ProcStatus *ret) {
        char buf[8192];
        ssize_t n = proc_read(pid, "status", buf, sizeof(buf));

        if (n < 0)
                return (int)n;
        return n == 0 ? -ESRCH : proc_status_parse(buf, (size_t)n, ret);
}

/* The link itself is nobody's: whose it is stands at the process's folder. */
static bool stat_as_owner(pid_t pid, const char *path, struct stat *ret) {
        char folder[64];
        int dumpable, r;

        proc_path(folder, sizeof(folder), pid, "");
        if (!owner_become(folder, &dumpable))
                return false;
        r = stat(path, ret);
        owner_leave(dumpable);
        return r == 0;
}

int proc_exe(pid_t pid, dev_t *dev, ino_t *ino) {
        char path[64];
        struct stat st;

        proc_path(path, sizeof(path), pid, "exe");
        if (stat(path, &st) < 0 && !((errno == EACCES || errno == EPERM) && stat_as_owner(pid, path, &st)))
                return proc_errno();
        *dev = st.st_dev;
        *ino = st.st_ino;
        return 0;
}

static int proc_compare_ints(const void *a, const void *b) {
        const int *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

int proc_fds(pid_t pid, int *fds, size_t cap, size_t *n, size_t *total) {
        auto_closedir DIR *dir = NULL;
        char path[64];

        *n = *total = 0;
        proc_path(path, sizeof(path), pid, "fd");
        dir = opendir(path);
        if (!dir)
                return proc_errno();
        for (;;) {
                const struct dirent *e;

                errno = 0;
                e = readdir(dir);
                if (!e) {
                        if (errno != 0)
                                return proc_errno();
                        break;
                }
                if (e->d_name[0] < '0' || e->d_name[0] > '9')
                        continue;
                if (pid == 0 && atoi(e->d_name) == dirfd(dir))
                        continue;
                if (*n < cap)
                        fds[(*n)++] = atoi(e->d_name);
                (*total)++;
        }
        qsort(fds, *n, sizeof(*fds), proc_compare_ints);
        return 0;
}

int proc_cgroup(pid_t pid, char *path, size_t cap) {
        char buf[4096];
        ssize_t n = proc_read(pid, "cgroup", buf, sizeof(buf));

        if (n < 0)
                return (int)n;
        for (char *p = buf, *nl; *p; p = nl + 1) {
                nl = strchr(p, '\n');
                if (!nl)
                        break;
                *nl = '\0';
                if (strncmp(p, "0::", 3) != 0)
                        continue;
                if (strlen(p + 3) >= cap)
                        return -ENAMETOOLONG;
                memcpy(path, p + 3, strlen(p + 3) + 1);
                return 0;
        }
        return -ENOENT;
}

static uint64_t limit_value(const char *s) {
        return strcmp(s, "unlimited") == 0 ? UINT64_MAX : strtoull(s, NULL, 10);
}

/* The text that everybody may read: a line of heading, then one for each resource by its number, the name in
 * 25 columns. */
static int limit_from_text(pid_t pid, int resource, uint64_t *soft, uint64_t *hard) {
        char buf[4096], s[24], h[24], *line = buf;
        ssize_t n = proc_read(pid, "limits", buf, sizeof(buf));

        if (n < 0)
                return (int)n;
        for (int i = 0; line && i <= resource; i++) {
                line = strchr(line, '\n');
                line = line ? line + 1 : NULL;
        }
        if (!line || strnlen(line, 26) < 26 || sscanf(line + 25, "%23s %23s", s, h) != 2)
                return -EPERM;
        *soft = limit_value(s);
        *hard = limit_value(h);
        return 0;
}

/* Of another uid's process only CAP_SYS_RESOURCE is told by the call. */
int proc_limit(pid_t pid, int resource, uint64_t *soft, uint64_t *hard) {
        struct rlimit l;

        if (prlimit(pid, (enum __rlimit_resource)resource, NULL, &l) < 0)
                return errno == EPERM ? limit_from_text(pid, resource, soft, hard) : -errno;
        *soft = l.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)l.rlim_cur;
        *hard = l.rlim_max == RLIM_INFINITY ? UINT64_MAX : (uint64_t)l.rlim_max;
        return 0;
}

#define ENVIRON_MAX   (128 << 10)
#define ENVIRON_LOOKS 4

/* One look at the environment of a task: the bytes read, or -EAGAIN: there is one, *s tells where, of which
 * nothing could be read. Else as environ_read_task(). */
static ssize_t environ_look(pid_t pid, const char *task, char *buf, ProcStat *s) {
        char path[48], full[80], line[1024];
        ProcStat self;
        int dumpable;
        ssize_t n, r;

        snprintf(path, sizeof(path), "%senviron", task);
        n = proc_read(pid, path, buf, ENVIRON_MAX);
        if (n > 0)
                return n;
        snprintf(path, sizeof(path), "%sstat", task);
        r = proc_read(pid, path, line, sizeof(line));
        if (r < 0)
                return r;
        if (r == 0 || proc_stat_parse(line, s) < 0)
                return -ESRCH;
        /* an environment without a word looks like none, unless its place is shown, which it is to the owner
         * alone */
        proc_path(full, sizeof(full), pid, path);
        if (n == 0 && s->env_end == 0 && owner_become(full, &dumpable)) {
                r = proc_read(pid, path, line, sizeof(line));
                owner_leave(dumpable);
                if (r <= 0 || proc_stat_parse(line, s) < 0)
                        return r < 0 ? r : -ESRCH;
        }
        if (s->vsize == 0 || n == -ESRCH)
                return -ENODATA;
        if (n < 0)
                return n;
        if (s->env_end != 0)
                return s->env_start == s->env_end ? 0 : -EAGAIN;
        /* a kernel that tells nobody's addresses does not tell ours either */
        return proc_stat(0, &self) == 0 && self.env_end == 0 ? 0 : -ENODATA;
}

/* The environment as one task of the process shows it. 0: it is empty, or the process took its pages away,
 * which no exec did that moved it between the looks; -ENODATA: this task has none now. */
static ssize_t environ_read_task(pid_t pid, const char *task, char *buf) {
        ProcStat first, s;
        ssize_t n = environ_look(pid, task, buf, &first);

        for (int look = 1; n == -EAGAIN; look++) {
                if (look == ENVIRON_LOOKS)
                        return 0;
                n = environ_look(pid, task, buf, &s);
                if (n == -EAGAIN && (s.env_start != first.env_start || s.env_end != first.env_end))
                        return -ENODATA;
        }
        return n;
}

/* The threads share one environment, and the first thread may have ended before the others. */
static ssize_t environ_read(pid_t pid, char *buf) {
        ssize_t n = environ_read_task(pid, "", buf);
        auto_closedir DIR *dir = NULL;
        const struct dirent *e;
        char path[64];
        ProcStat s;
        int r;

        if (n != -ENODATA)
                return n;
        r = proc_stat(pid, &s);
        if (r < 0 || proc_ended(&s))
                return -ESRCH;
        if (s.threads <= 1)
                return -ENODATA;
        proc_path(path, sizeof(path), pid, "task");
        dir = opendir(path);
        if (!dir)
                return proc_errno();
        while ((e = readdir(dir))) {
                if (e->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "task/%.20s/", e->d_name);
                n = environ_read_task(pid, path, buf);
                if (n != -ENODATA && n != -ESRCH)
                        return n;
        }
        return -ENODATA;
}

int proc_environ_get(pid_t pid, const char *name, char *value, size_t cap) {
        auto_free char *buf = malloc(ENVIRON_MAX);
        size_t len = strlen(name);
        ssize_t n;

        if (!buf)
                return -ENOMEM;
        n = environ_read(pid, buf);
        if (n < 0)
                return (int)n;
        for (const char *p = buf, *end = buf + n; p < end; p += strnlen(p, (size_t)(end - p)) + 1) {
                size_t size = strnlen(p, (size_t)(end - p));

                if (size <= len || memcmp(p, name, len) != 0 || p[len] != '=')
                        continue;
                if (size - len - 1 >= cap)
                        return -ENAMETOOLONG;
                memcpy(value, p + len + 1, size - len - 1);
                value[size - len - 1] = '\0';
                return 0;
        }
        return -ENOENT;
}

static int proc_table_push(ProcTable *t, const ProcStat *s) {
        if (t->n == t->cap) {
                size_t cap = t->cap ? t->cap * 2 : 128;
                ProcStat *items = reallocarray(t->items, cap, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                t->items = items;
                t->cap = cap;
        }
        t->items[t->n++] = *s;
        return 0;
}

static int proc_compare_stats(const void *a, const void *b) {
        const ProcStat *x = a, *y = b;

        return (x->pid > y->pid) - (x->pid < y->pid);
}

int proc_table_read(ProcTable *t) {
        auto_closedir DIR *dir = opendir("/proc");
        const struct dirent *e;

        t->n = 0;
        if (!dir)
                return -errno;
        while ((e = readdir(dir))) {
                ProcStat s;
                int r;

                if (e->d_name[0] < '1' || e->d_name[0] > '9')
                        continue;
                if (proc_stat(atoi(e->d_name), &s) < 0)
                        continue; /* vanished, or hidden from us: then it can't be signalled either */
                r = proc_table_push(t, &s);
                if (r < 0)
                        return r;
        }
        qsort(t->items, t->n, sizeof(*t->items), proc_compare_stats);
        return 0;
}

const ProcStat *proc_table_find(const ProcTable *t, pid_t pid) {
        ProcStat key = {.pid = pid};

        return t->n == 0 ? NULL : bsearch(&key, t->items, t->n, sizeof(*t->items), proc_compare_stats);
}

void proc_table_done(ProcTable *t) {
        free(t->items);
        *t = (ProcTable){0};
}
