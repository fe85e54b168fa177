/* SPDX-License-Identifier: Apache-2.0 */
/* Containment by cgroup v2 (Documentation/admin-guide/cgroup-v2.rst): our directory, a unit's directory, its
 * members. */
#include "supervisor/group-internal.h"
#include "common/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#define CGROUP_DEPTH_MAX 8

int cgroup_write(int dir_fd, const char *file, const char *value) {
        auto_close int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

int cgroup_read(int dir_fd, const char *file, char *buf, size_t cap) {
        auto_close int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
        size_t n = 0;

        if (fd < 0)
                return -errno;
        while (n < cap - 1) {
                ssize_t r = read(fd, buf + n, cap - 1 - n);

                if (r < 0)
                        return -errno;
                if (r == 0)
                        break;
                n += (size_t)r;
        }
        buf[n] = '\0';
        return (int)n;
}

/* Directory of our own cgroup: the first cgroup2 mount whose root is above it. */
static int cgroup_own_dir(const char *own, char *out, size_t cap) {
        auto_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
        auto_free char *line = NULL;
        size_t size = 0;

        if (!f)
                return -errno;
        while (getline(&line, &size, f) > 0) {
                char root[512], point[512];
                const char *dash = strstr(line, " - cgroup2 "), *rest;
                size_t n;

                if (!dash || sscanf(line, "%*d %*d %*s %511s %511s", root, point) != 2 || strchr(point, '\\'))
                        continue;
                n = strcmp(root, "/") == 0 ? 0 : strlen(root);
                if (strncmp(own, root, n) != 0 || (own[n] != '/' && own[n] != '\0'))
                        continue;
                rest = own + n;
                if ((size_t)snprintf(out, cap, "%s%s", point, strcmp(rest, "/") == 0 ? "" : rest) < cap)
                        return 0;
        }
        return -ENOENT;
}

/* Removes a directory and what is empty below it. */
static void cgroup_remove(int parent_fd, const char *name, unsigned depth) {
        auto_closedir DIR *dir = NULL;
        const struct dirent *e;
        int fd;

        if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || depth >= CGROUP_DEPTH_MAX)
                return;
        fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return;
        dir = fdopendir(fd);
        if (!dir) {
                close(fd);
                return;
        }
        while ((e = readdir(dir)))
                if (e->d_type == DT_DIR && e->d_name[0] != '.')
                        cgroup_remove(dirfd(dir), e->d_name, depth + 1);
        unlinkat(parent_fd, name, AT_REMOVEDIR);
}

/* A Guardian that was killed leaves its directory; a living one holds a lock on its own. */
static void cgroup_sweep(const GroupRoot *r) {
        int fd = openat(r->parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        auto_closedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        const struct dirent *e;

        if (!dir) {
                if (fd >= 0)
                        close(fd);
                return;
        }
        while ((e = readdir(dir))) {
                auto_close int d = -1;

                if (strncmp(e->d_name, "guardian-", 9) != 0 || strcmp(e->d_name, r->name) == 0)
                        continue;
                d = openat(r->parent_fd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                if (d >= 0 && flock(d, LOCK_EX | LOCK_NB) == 0)
                        cgroup_remove(r->parent_fd, e->d_name, 0);
        }
}

static int cgroup_make_ours(GroupRoot *r) {
        for (int attempt = 0; attempt < 4; attempt++) {
                auto_close int fd = -1;
                uint64_t random;

                if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
                        random = (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)&random;
                snprintf(r->name, sizeof(r->name), "guardian-%016llx", (unsigned long long)random);
                if (mkdirat(r->parent_fd, r->name, 0755) < 0) {
                        if (errno == EEXIST)
                                continue;
                        return -errno;
                }
                fd = openat(r->parent_fd, r->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
                        continue; /* another one swept it between mkdir and lock */
                if (faccessat(fd, "cgroup.procs", W_OK, AT_EACCESS) < 0)
                        continue;
                r->dir_fd = TAKE_FD(fd);
                return 0;
        }
        return -EBUSY;
}

int cgroup_root_init(GroupRoot *r) {
        char own[768], path[1280];
        int e = proc_cgroup(0, own, sizeof(own));

        if (e == 0)
                e = cgroup_own_dir(own, path, sizeof(path));
        if (e < 0) {
                snprintf(r->why, sizeof(r->why), "no cgroup v2 is mounted");
                return e;
        }
        r->parent_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (r->parent_fd < 0) {
                e = -errno;
                snprintf(r->why, sizeof(r->why), "cannot open our own cgroup: %s", strerror(-e));
                return e;
        }
        /* Moving a process needs the right to write cgroup.procs of the common ancestor, not only of the
         * target. */
        if (faccessat(r->parent_fd, "cgroup.procs", W_OK, AT_EACCESS) < 0) {
                e = -errno;
                snprintf(r->why, sizeof(r->why), "our own cgroup is not delegated to us: %s", strerror(-e));
                return e;
        }
        e = cgroup_make_ours(r);
        if (e < 0) {
                snprintf(r->why, sizeof(r->why), "cannot make a cgroup: %s", strerror(-e));
                return e;
        }
        snprintf(r->cgroup, sizeof(r->cgroup), "%s/%s", strcmp(own, "/") == 0 ? "" : own, r->name);
        cgroup_sweep(r);
        return 0;
}

void cgroup_root_done(GroupRoot *r) {
        if (r->dir_fd >= 0 && r->parent_fd >= 0)
                cgroup_remove(r->parent_fd, r->name, 0);
}

int cgroup_group_init(Group *g) {
        char name[160];

        snprintf(name, sizeof(name), "unit-%s", g->unit);
        if (mkdirat(g->root->dir_fd, name, 0755) < 0 && errno != EEXIST)
                return -errno;
        g->dir_fd = openat(g->root->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return g->dir_fd < 0 ? -errno : 0;
}

void cgroup_group_done(Group *g) {
        char name[160];

        snprintf(name, sizeof(name), "unit-%s", g->unit);
        cgroup_remove(g->root->dir_fd, name, 0);
}

bool cgroup_group_has(const Group *g, pid_t pid) {
        char path[1400], want[1400];
        size_t n;

        if (proc_cgroup(pid, path, sizeof(path)) < 0)
                return false;
        n = (size_t)snprintf(want, sizeof(want), "%s/unit-%s", g->root->cgroup, g->unit);
        return n < sizeof(want) && strncmp(path, want, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool cgroup_group_empty(const Group *g) {
        char events[256];
        const char *p;

        if (cgroup_read(g->dir_fd, "cgroup.events", events, sizeof(events)) < 0)
                return false;
        p = strstr(events, "populated ");
        return p && p[10] == '0';
}

/* The start time of a member that lives, 0: it does not. What is in the table of the started ones is our own
 * child and not reaped, so its number is its own, and the list leaves zombies out. */
static uint64_t cgroup_member_start(const Group *g, pid_t pid) {
        ProcStat s;

        if (pid == g->leader && g->leader_start && group_is_ours(g, pid))
                return g->leader_start;
        return proc_stat(pid, &s) < 0 || proc_ended(&s) ? 0 : s.start;
}

static int cgroup_collect_procs(const Group *g, int fd, MemberList *list) {
        char buf[2048];
        pid_t pid = 0;
        ssize_t n;

        /* One number a line; a read may end inside of one. */
        while ((n = read(fd, buf, sizeof(buf))) > 0)
                for (ssize_t i = 0; i < n; i++) {
                        uint64_t start;

                        if (buf[i] >= '0' && buf[i] <= '9') {
                                pid = pid * 10 + (buf[i] - '0');
                                continue;
                        }
                        start = pid > 0 ? cgroup_member_start(g, pid) : 0;
                        if (start > 0) {
                                int r = member_add(list, pid, start);

                                if (r < 0)
                                        return r;
                        }
                        pid = 0;
                }
        return n < 0 && errno != ENODEV ? -errno : 0;
}

static int cgroup_collect(const Group *g, int dir_fd, MemberList *list, unsigned depth) {
        auto_close int procs = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
        auto_closedir DIR *dir = NULL;
        const struct dirent *e;
        struct stat st;
        int fd, r;

        if (procs < 0)
                return errno == ENODEV || errno == ENOENT ? 0 : -errno; /* removed meanwhile */
        r = cgroup_collect_procs(g, procs, list);
        if (r < 0)
                return r;
        /* ".", the entry above, and one for each group below: nearly always none */
        if (fstat(dir_fd, &st) == 0 && st.st_nlink == 2)
                return 0;
        fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = fd >= 0 ? fdopendir(fd) : NULL;
        if (!dir) {
                if (fd >= 0)
                        close(fd);
                return 0;
        }
        while (depth < CGROUP_DEPTH_MAX && (e = readdir(dir))) {
                auto_close int sub = -1;

                if (e->d_type != DT_DIR || e->d_name[0] == '.')
                        continue;
                sub = openat(dir_fd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                r = sub >= 0 ? cgroup_collect(g, sub, list, depth + 1) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int cgroup_group_members(const Group *g, MemberList *list) {
        return cgroup_collect(g, g->dir_fd, list, 0);
}

int cgroup_group_kill(const Group *g) {
        return cgroup_write(g->dir_fd, "cgroup.kill", "1");
}
