/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/evidence.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const struct {
        int resource;
        const char *name;
} limit_names[] = {
        {RLIMIT_AS, "AS"},
        {RLIMIT_CORE, "CORE"},
        {RLIMIT_CPU, "CPU"},
        {RLIMIT_DATA, "DATA"},
        {RLIMIT_FSIZE, "FSIZE"},
        {RLIMIT_LOCKS, "LOCKS"},
        {RLIMIT_MEMLOCK, "MEMLOCK"},
        {RLIMIT_MSGQUEUE, "MSGQUEUE"},
        {RLIMIT_NICE, "NICE"},
        {RLIMIT_NOFILE, "NOFILE"},
        {RLIMIT_NPROC, "NPROC"},
        {RLIMIT_RSS, "RSS"},
        {RLIMIT_RTPRIO, "RTPRIO"},
        {RLIMIT_RTTIME, "RTTIME"},
        {RLIMIT_SIGPENDING, "SIGPENDING"},
        {RLIMIT_STACK, "STACK"},
};

static const char *limit_name(int resource) {
        for (size_t i = 0; i < sizeof(limit_names) / sizeof(limit_names[0]); i++)
                if (limit_names[i].resource == resource)
                        return limit_names[i].name;
        return "?";
}

static int plan_fds(const LaunchPlan *l, EvidencePlan *ret) {
        unsigned n = 0;

        if (l->n_fds + 3 > EVIDENCE_FDS_MAX)
                return -E2BIG;
        for (; n < 3; n++)
                ret->fds[n] = (int)n;
        for (unsigned i = 0; i < l->n_fds; i++, n++) {
                unsigned at = n;

                for (; at > 0 && ret->fds[at - 1] > l->fds[i].to; at--)
                        ret->fds[at] = ret->fds[at - 1];
                ret->fds[at] = l->fds[i].to;
        }
        ret->n_fds = n;
        for (unsigned i = 0; i < n; i++) {
                int from = i < 3 ? l->stdio[i] : l->fds[i - 3].from;
                struct stat st;

                if (from < 0 || fstat(from, &st) < 0)
                        continue;
                ret->handed_dev[ret->n_handed] = st.st_dev;
                ret->handed_ino[ret->n_handed++] = st.st_ino;
        }
        return 0;
}

int evidence_plan(const LaunchPlan *l, dev_t exe_dev, ino_t exe_ino, EvidencePlan *ret) {
        *ret = (EvidencePlan){.no_new_privs = l->no_new_privs, .exe_dev = exe_dev, .exe_ino = exe_ino};
        if (l->n_limits > EVIDENCE_LIMITS_MAX || l->n_groups > PROC_GROUPS_MAX)
                return -E2BIG;
        for (unsigned i = 0; i < l->n_limits; i++)
                ret->limits[i] = l->limits[i];
        ret->n_limits = l->n_limits;
        if (l->set_ids) {
                ret->uid = l->uid;
                ret->gid = l->gid;
                for (unsigned i = 0; i < l->n_groups; i++)
                        ret->groups[i] = l->groups[i];
                ret->n_groups = l->n_groups;
        } else {
                /* Not to be changed: then they are ours. */
                int n = getgroups(PROC_GROUPS_MAX, ret->groups);

                if (n < 0)
                        return -errno == -EINVAL ? -E2BIG : -errno;
                ret->n_groups = (unsigned)n;
                ret->uid = geteuid();
                ret->gid = getegid();
        }
        return plan_fds(l, ret);
}

static bool plan_hands(const EvidencePlan *plan, const struct stat *st) {
        for (unsigned i = 0; i < plan->n_handed; i++)
                if (plan->handed_dev[i] == st->st_dev && plan->handed_ino[i] == st->st_ino)
                        return true;
        return false;
}

static bool plan_names_fd(const EvidencePlan *plan, int fd) {
        for (unsigned i = 0; i < plan->n_fds; i++)
                if (plan->fds[i] == fd)
                        return true;
        return false;
}

/* Do we hold the same socket or pipe under any of our own numbers? */
static bool ours_has(const struct stat *st, const int *ours, size_t n) {
        for (size_t i = 0; i < n; i++) {
                struct stat own;

                if (fstat(ours[i], &own) == 0 && own.st_dev == st->st_dev && own.st_ino == st->st_ino)
                        return true;
        }
        return false;
}

static int gather_fds(pid_t pid, const EvidencePlan *plan, EvidenceFacts *ret) {
        int fds[1024], ours[4096];
        size_t n, total, n_ours = 0, ours_total;
        int r = proc_fds(pid, fds, ELEMENTSOF(fds), &n, &total);

        if (r < 0)
                return r;
        if (total > n)
                return -E2BIG; /* not all were seen: then nothing may be said about them */
        for (size_t i = 0; i < n; i++) {
                char path[64];
                struct stat st;

                if (plan_names_fd(plan, fds[i])) {
                        ret->fds[ret->n_fds++] = fds[i];
                        continue;
                }
                snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fds[i]);
                if (stat(path, &st) < 0) {
                        if (errno == ENOENT)
                                continue; /* closed meanwhile */
                        return -errno;
                }
                if ((!S_ISSOCK(st.st_mode) && !S_ISFIFO(st.st_mode)) || plan_hands(plan, &st))
                        continue;
                if (n_ours == 0) {
                        r = proc_fds(0, ours, ELEMENTSOF(ours), &n_ours, &ours_total);
                        if (r < 0)
                                return r;
                        if (ours_total > n_ours)
                                return -E2BIG;
                }
                if (ours_has(&st, ours, n_ours) && ret->n_leaked < EVIDENCE_FDS_MAX)
                        ret->leaked[ret->n_leaked++] = fds[i];
        }
        return 0;
}

int evidence_gather(pid_t pid, const EvidencePlan *plan, EvidenceFacts *ret) {
        *ret = (EvidenceFacts){0};
        ret->status_error = proc_status(pid, &ret->status);
        if (ret->status_error == -ESRCH)
                return -ESRCH;
        for (unsigned i = 0; i < plan->n_limits && ret->limits_error == 0; i++) {
                LaunchLimit *l = &ret->limits[i];

                l->resource = plan->limits[i].resource;
                ret->limits_error = proc_limit(pid, l->resource, &l->soft, &l->hard);
        }
        if (plan->exe_ino != 0)
                ret->exe_error = proc_exe(pid, &ret->exe_dev, &ret->exe_ino);
        ret->fds_error = gather_fds(pid, plan, ret);
        return 0;
}

/* Appends to a field of a check; what does not fit is cut, which never makes two different facts equal: `ok`
 * is computed from the facts, not from these texts. */
static void text_add(char *out, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void text_add(char *out, size_t cap, const char *fmt, ...) {
        size_t n = strlen(out);
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(out + n, cap - n, fmt, ap);
        va_end(ap);
}
#define PLANNED(c, ...) text_add((c)->planned, sizeof((c)->planned), __VA_ARGS__)
#define FOUND(c, ...)   text_add((c)->found, sizeof((c)->found), __VA_ARGS__)

/* A new check; missing when the read behind it failed. */
static EvidenceCheck *check_new(Evidence *e, const char *key, int error) {
        EvidenceCheck *c = &e->checks[e->n++];

        *c = (EvidenceCheck){.key = key, .missing = error != 0};
        return c;
}

static void check_ids(Evidence *e, const char *key, unsigned planned, const unsigned found[4], int error) {
        EvidenceCheck *c = check_new(e, key, error);

        PLANNED(c, "%u %u %u %u", planned, planned, planned, planned);
        if (c->missing)
                return;
        FOUND(c, "%u %u %u %u", found[0], found[1], found[2], found[3]);
        c->ok = found[0] == planned && found[1] == planned && found[2] == planned && found[3] == planned;
}

static bool groups_contain(const gid_t *g, unsigned n, gid_t want) {
        for (unsigned i = 0; i < n; i++)
                if (g[i] == want)
                        return true;
        return false;
}

static void check_groups(Evidence *e, const EvidencePlan *p, const EvidenceFacts *f) {
        EvidenceCheck *c = check_new(e, "Groups", f->status_error);

        for (unsigned i = 0; i < p->n_groups; i++)
                PLANNED(c, "%s%u", i > 0 ? " " : "", p->groups[i]);
        if (c->missing)
                return;
        c->ok = !f->status.groups_cut;
        for (unsigned i = 0; i < f->status.n_groups; i++) {
                FOUND(c, "%s%u", i > 0 ? " " : "", f->status.groups[i]);
                c->ok = c->ok && groups_contain(p->groups, p->n_groups, f->status.groups[i]);
        }
        for (unsigned i = 0; i < p->n_groups; i++)
                c->ok = c->ok && groups_contain(f->status.groups, f->status.n_groups, p->groups[i]);
}

static void limit_text(char *out, size_t cap, const LaunchLimit *l, bool first) {
        text_add(out, cap, "%s%s=", first ? "" : " ", limit_name(l->resource));
        for (int i = 0; i < 2; i++) {
                uint64_t v = i == 0 ? l->soft : l->hard;

                if (v == UINT64_MAX)
                        text_add(out, cap, "%sinfinity", i > 0 ? ":" : "");
                else
                        text_add(out, cap, "%s%llu", i > 0 ? ":" : "", (unsigned long long)v);
        }
}

static void check_limits(Evidence *e, const EvidencePlan *p, const EvidenceFacts *f) {
        EvidenceCheck *c = check_new(e, "Rlimits", p->n_limits > 0 ? f->limits_error : 0);

        c->ok = !c->missing;
        for (unsigned i = 0; i < p->n_limits; i++) {
                limit_text(c->planned, sizeof(c->planned), &p->limits[i], i == 0);
                if (c->missing)
                        continue;
                limit_text(c->found, sizeof(c->found), &f->limits[i], i == 0);
                c->ok = c->ok && f->limits[i].soft == p->limits[i].soft &&
                        f->limits[i].hard == p->limits[i].hard;
        }
}

static void check_exe(Evidence *e, const EvidencePlan *p, const EvidenceFacts *f) {
        EvidenceCheck *c;

        if (p->exe_ino == 0)
                return;
        c = check_new(e, "Exe", f->exe_error);
        PLANNED(c, "%llx:%llu", (unsigned long long)p->exe_dev, (unsigned long long)p->exe_ino);
        if (c->missing)
                return;
        FOUND(c, "%llx:%llu", (unsigned long long)f->exe_dev, (unsigned long long)f->exe_ino);
        c->ok = f->exe_dev == p->exe_dev && f->exe_ino == p->exe_ino;
}

static void check_fds(Evidence *e, const EvidencePlan *p, const EvidenceFacts *f) {
        EvidenceCheck *c = check_new(e, "Descriptors", f->fds_error);

        for (unsigned i = 0; i < p->n_fds; i++)
                PLANNED(c, "%s%d", i > 0 ? " " : "", p->fds[i]);
        if (c->missing)
                return;
        /* A program may close what it got; it may not hold what it did not get. */
        c->ok = f->n_leaked == 0;
        for (unsigned i = 0; i < f->n_fds; i++)
                FOUND(c, "%s%d", i > 0 ? " " : "", f->fds[i]);
        for (unsigned i = 0; i < f->n_leaked; i++)
                FOUND(c, " leaked:%d", f->leaked[i]);
}

void evidence_compare(const EvidencePlan *plan, const EvidenceFacts *facts, Evidence *ret) {
        *ret = (Evidence){0};
        if (plan->no_new_privs) {
                bool hidden = facts->status_error != 0 || facts->status.no_new_privs < 0;
                EvidenceCheck *c = check_new(ret, "NoNewPrivs", hidden ? -ENODATA : 0);

                PLANNED(c, "1");
                if (!hidden)
                        FOUND(c, "%d", facts->status.no_new_privs);
                c->ok = !hidden && facts->status.no_new_privs == 1;
        }
        check_ids(ret, "Uid", plan->uid, facts->status.uid, facts->status_error);
        check_ids(ret, "Gid", plan->gid, facts->status.gid, facts->status_error);
        check_groups(ret, plan, facts);
        check_limits(ret, plan, facts);
        check_exe(ret, plan, facts);
        check_fds(ret, plan, facts);
        ret->verified = true;
        for (unsigned i = 0; i < ret->n; i++)
                ret->verified = ret->verified && ret->checks[i].ok;
}
