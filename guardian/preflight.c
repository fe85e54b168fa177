/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/preflight.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <linux/magic.h>

enum { FDS_BASE = 64, FDS_PER_UNIT = 6 }; /* loop, sockets, log; pipes, link ends and probes of a unit */

__attribute__((format(printf, 5, 6))) static void report(
        Preflight *p, const char *name, CheckResult result, const char *hint, const char *fmt, ...) {
        PreflightCheck *c = &p->checks[p->n++];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(c->message, sizeof(c->message), fmt, ap);
        va_end(ap);
        c->name = name;
        c->result = result;
        snprintf(c->hint, sizeof(c->hint), "%s", result == CHECK_PASSED || !hint ? "" : hint);
        p->failed = p->failed || result == CHECK_FAILED;
}

/* Opens the parent of the last component, made if missing. */
static int open_parents(const char *path, mode_t mode, const char **last) {
        int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        const char *p = path + strspn(path, "/");
        while (fd >= 0) {
                size_t n = strcspn(p, "/");
                const char *next = p + n + strspn(p + n, "/");
                char name[NAME_MAX + 1];
                if (n == 0 || n > NAME_MAX) {
                        close(fd);
                        return -EINVAL;
                }
                if (!*next) {
                        *last = p;
                        return fd;
                }
                memcpy(name, p, n);
                name[n] = 0;
                int child = openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (child < 0 && errno == ENOENT && mkdirat(fd, name, mode) == 0)
                        child = openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                int saved = errno;
                close(fd);
                errno = saved;
                fd = child;
                p = next;
        }
        return -errno;
}

int directory_make(const char *path, mode_t mode, uid_t uid) {
        const char *rest = NULL;
        if (path[0] != '/')
                return -EINVAL;
        auto_close int parent = open_parents(path, 0755, &rest);
        if (!rest)
                return parent;
        char name[NAME_MAX + 1];
        size_t n = strcspn(rest, "/");
        if (n > NAME_MAX)
                return -ENAMETOOLONG;
        memcpy(name, rest, n);
        name[n] = 0;
        if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
                return -errno;
        /* NOFOLLOW: in /tmp the name may be somebody's symlink */
        auto_close int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return errno == ELOOP ? -ENOTDIR : -errno;
        struct stat st;
        if (fstat(fd, &st) < 0)
                return -errno;
        return st.st_uid != uid || (st.st_mode & 0022) ? -EPERM : 0;
}

static void check_descriptors(const PreflightInput *in, Preflight *p) {
        struct rlimit l;
        uint64_t need = FDS_BASE + (uint64_t)in->n_units * FDS_PER_UNIT;
        if (getrlimit(RLIMIT_NOFILE, &l) < 0) {
                report(p, "descriptors", CHECK_WARNING, NULL, "the limit is unknown: %s", strerror(errno));
                return;
        }
        bool enough = l.rlim_cur == RLIM_INFINITY || l.rlim_cur >= need;
        report(p, "descriptors", enough ? CHECK_PASSED : CHECK_FAILED,
                "raise the limit of open files (ulimit -Hn, LimitNOFILE=, --ulimit)",
                "%llu descriptors for %u units, %llu allowed", (unsigned long long)need, in->n_units,
                (unsigned long long)l.rlim_cur);
}

static void check_proc(Preflight *p) {
        struct statfs fs;
        bool there = statfs("/proc", &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC &&
                     access("/proc/self/exe", F_OK) == 0;
        report(p, "proc", there ? CHECK_PASSED : CHECK_FAILED, "mount -t proc proc /proc",
                there ? "/proc is there" : "/proc is not mounted");
}

static const char *directory_hint(int error) {
        if (error == -EPERM)
                return "it must belong to Guardian's user and be writable by nobody else";
        if (error == -ENOTDIR)
                return "it must be a directory, not a file or a symlink";
        return "give another directory, or make it writable";
}

static void check_runtime(const PreflightInput *in, Preflight *p) {
        /* root's is passable: other people reach the control socket, where roles decide, and units of other users their own */
        int r = directory_make(in->runtime_dir, in->uid == 0 ? 0711 : 0700, in->uid);
        if (r == 0 && access(in->runtime_dir, W_OK) < 0)
                r = -errno;
        p->have_runtime = r == 0;
        if (r == 0)
                report(p, "runtime", CHECK_PASSED, NULL, "%.200s", in->runtime_dir);
        else
                report(p, "runtime", CHECK_WARNING, directory_hint(r), "%.150s: %s: no control socket",
                        in->runtime_dir, strerror(-r));
}

static void check_state(const PreflightInput *in, Preflight *p) {
        if (!in->state_needed) {
                report(p, "state", CHECK_PASSED, NULL, "no unit needs it");
                return;
        }
        int r = directory_make(in->state_dir, 0700, in->uid);
        if (r == 0 && access(in->state_dir, W_OK) < 0)
                r = -errno;
        report(p, "state", r == 0 ? CHECK_PASSED : CHECK_FAILED, directory_hint(r), "%.180s%s%s",
                in->state_dir, r ? ": " : "", r ? strerror(-r) : "");
}

static void check_disk(const PreflightInput *in, Preflight *p) {
        struct statvfs v;
        uint64_t warn = in->disk_warn ? in->disk_warn : UINT64_C(64) << 20,
                 fail = in->disk_fail ? in->disk_fail : UINT64_C(4) << 20;
        if (!in->state_needed || statvfs(in->state_dir, &v) < 0) {
                report(p, "disk", in->state_needed ? CHECK_WARNING : CHECK_PASSED, "see the state directory",
                        in->state_needed ? "free space is unknown" : "no unit needs it");
                return;
        }
        uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
        report(p, "disk",
                room < fail   ? CHECK_FAILED
                : room < warn ? CHECK_WARNING
                              : CHECK_PASSED,
                "make room: the ledger stops when it cannot write", "%llu MiB free in the state directory",
                (unsigned long long)(room >> 20));
}

static void check_loopback(Preflight *p) {
        struct ifaddrs *all = NULL;
        bool up = false;
        if (getifaddrs(&all) == 0)
                for (const struct ifaddrs *a = all; a && !up; a = a->ifa_next)
                        up = (a->ifa_flags & IFF_LOOPBACK) && (a->ifa_flags & IFF_UP);
        if (all)
                freeifaddrs(all);
        report(p, "loopback", up ? CHECK_PASSED : CHECK_WARNING, "ip link set lo up",
                up ? "lo is up" : "no loopback interface is up");
}

void preflight_run(const PreflightInput *in, Preflight *ret) {
        *ret = (Preflight){0};
        check_descriptors(in, ret);
        check_proc(ret);
        check_runtime(in, ret);
        check_state(in, ret);
        check_disk(in, ret);
        check_loopback(ret);
}
