/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/group.h"
#include "supervisor/group-internal.h"
#include "supervisor/headroom.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define LOOKS_MAX 8 /* until a group is called not empty yet */

const char *group_kind_name(GroupKind k) {
        return k == GROUP_CGROUP ? "cgroup" : "session";
}

int member_add(MemberList *l, pid_t pid, uint64_t start) {
        if (l->n == l->cap) {
                size_t cap = l->cap ? l->cap * 2 : 16;
                GroupMember *items = reallocarray(l->items, cap, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                l->items = items;
                l->cap = cap;
        }
        l->items[l->n++] = (GroupMember){pid, start};
        return 0;
}

int group_root_init(GroupRoot *r, bool use_cgroup) {
        *r = (GroupRoot){.kind = GROUP_SESSION, .dir_fd = -1, .parent_fd = -1};
        if (!use_cgroup)
                snprintf(r->why, sizeof(r->why), "not asked for");
        else if (cgroup_root_init(r) == 0)
                r->kind = GROUP_CGROUP;
        r->scan_all = !session_has_children_files();
        if (r->kind != GROUP_CGROUP && r->parent_fd >= 0) {
                close(r->parent_fd);
                r->parent_fd = -1;
        }
        return 0;
}

void group_root_refresh(GroupRoot *r) {
        r->table_valid = false;
}

void group_root_done(GroupRoot *r) {
        if (r->kind == GROUP_CGROUP)
                cgroup_root_done(r);
        if (r->dir_fd >= 0)
                close(r->dir_fd);
        if (r->parent_fd >= 0)
                close(r->parent_fd);
        proc_table_done(&r->table);
        *r = (GroupRoot){.dir_fd = -1, .parent_fd = -1};
}

bool group_is_ours(const Group *g, pid_t pid) {
        return g->root->known && g->root->known(g->root->known_user, pid);
}

int group_init(Group *g, GroupRoot *r, const char *unit) {
        int e = 0;

        *g = (Group){.root = r, .unit = unit, .dir_fd = -1};
        if (strlen(unit) > GROUP_UNIT_MAX)
                return -ENAMETOOLONG;
        if (r->kind == GROUP_CGROUP)
                e = cgroup_group_init(g);
        if (e < 0)
                group_done(g);
        return e;
}

void group_done(Group *g) {
        if (g->dir_fd >= 0)
                cgroup_group_done(g);
        if (g->dir_fd >= 0)
                close(g->dir_fd);
        g->dir_fd = -1;
}

void group_reset(Group *g) {
        g->leader = 0;
        g->leader_start = 0;
        g->since = 0;
        g->n_sessions = 0;
}

static bool group_knows_session(const Group *g, pid_t session) {
        for (unsigned i = 0; i < g->n_sessions; i++)
                if (g->sessions[i] == session)
                        return true;
        return false;
}

static void group_learn_session(Group *g, pid_t session) {
        if (session > 0 && session != getsid(0) && !group_knows_session(g, session) &&
                g->n_sessions < GROUP_SESSIONS_MAX)
                g->sessions[g->n_sessions++] = session;
}

int group_add(Group *g, pid_t pid, bool leader) {
        ProcStat s;
        int r = proc_stat(pid, &s);

        if (leader) {
                g->leader = pid;
                g->leader_start = r == 0 ? s.start : 0;
        }
        if (r < 0)
                return r;
        group_root_refresh(g->root); /* a scan of before does not know it */
        if (g->since == 0 || s.start < g->since)
                g->since = s.start;
        group_learn_session(g, s.session);
        return 0;
}

static int root_scan(GroupRoot *r) {
        int e;

        if (r->table_valid)
                return 0;
        e = proc_table_read(&r->table);
        if (e < 0)
                return e;
        r->table_valid = true;
        r->adopted_known = false;
        return 0;
}

/* FNV-1a: an index, nothing secret; a hit is confirmed against the environment itself. */
static uint64_t unit_hash(const char *s, size_t n) {
        uint64_t h = 14695981039346656037ULL;

        for (size_t i = 0; i < n; i++)
                h = (h ^ (unsigned char)s[i]) * 1099511628211ULL;
        return h | 1; /* 0: names no unit */
}

/* ProcStat.tag, beside the hash of the unit it names (odd) */
#define TAG_UNREAD  0
#define TAG_NONE    2 /* names none, or is no orphan */
#define TAG_PERHAPS 4 /* can't be judged at this moment */

/* An orphan is ours, or its parent is below us and ended since, or can't be judged itself. */
static bool table_orphan(const ProcTable *t, const ProcStat *s) {
        const ProcStat *parent = s->ppid == getpid() ? NULL : proc_table_find(t, s->ppid);

        if (!parent)
                return s->ppid == getpid();
        return parent->tag == TAG_PERHAPS || (parent->ppid == getpid() && proc_ended(parent));
}

static uint64_t read_tag(pid_t pid) {
        char name[160];
        int r = proc_environ_get(pid, "GUARDIAN_UNIT", name, sizeof(name));

        if (r == 0)
                return unit_hash(name, strlen(name));
        /* one that ended since the scan may have left somebody who is not in it */
        return r == -ESRCH || group_cannot_tell(r) ? TAG_PERHAPS : TAG_NONE;
}

/* One read of the environment for each orphan a turn, however many groups ask. */
static void root_name_adopted(GroupRoot *r) {
        bool changed = !r->adopted_known;

        for (size_t i = 0; changed && i < r->table.n; i++)
                r->table.items[i].tag = TAG_UNREAD;
        r->adopted_known = true;
        while (changed) {
                changed = false;
                for (size_t i = 0; i < r->table.n; i++) {
                        ProcStat *s = &r->table.items[i];

                        if (s->tag != TAG_UNREAD || proc_ended(s) || !table_orphan(&r->table, s))
                                continue;
                        s->tag = read_tag(s->pid);
                        changed = changed || s->tag == TAG_PERHAPS; /* its children are judged too */
                }
        }
}

static bool stat_is_member(const Group *g, const ProcStat *s, uint64_t hash) {
        if (s->start < g->since)
                return false;
        if (g->leader == s->pid && g->leader_start == s->start)
                return true;
        return group_knows_session(g, s->session) || s->tag == hash;
}

/* May a look have missed a member for this one? A child of ours that ended may have left somebody during the
 * scan (we are asked again when it is reaped), and so may a parent that is in no line because it was reaped
 * meanwhile. */
static bool stat_is_unsure(const Group *g, const ProcTable *t, const ProcStat *s, bool in) {
        uint64_t tag;

        if (s->start < g->since || s->pid == getpid())
                return false;
        if (proc_ended(s))
                return s->ppid == getpid() && (s->pid == g->leader || !group_is_ours(g, s->pid));
        if (in || s->ppid == 0)
                return false;
        tag = s->tag == TAG_UNREAD && !proc_table_find(t, s->ppid) ? read_tag(s->pid) : s->tag;
        return tag == TAG_PERHAPS || tag == unit_hash(g->unit, strlen(g->unit));
}

static size_t table_index(const ProcTable *t, pid_t pid) {
        const ProcStat *s = proc_table_find(t, pid);

        return s ? (size_t)(s - t->items) : SIZE_MAX;
}

/* Marks members: by themselves, then every descendant of one, until nothing changes. */
static void session_mark(const Group *g, const ProcTable *t, bool *in) {
        uint64_t hash = unit_hash(g->unit, strlen(g->unit));
        bool changed = true;

        for (size_t i = 0; i < t->n; i++)
                in[i] = t->items[i].pid != getpid() && stat_is_member(g, &t->items[i], hash);
        while (changed) {
                changed = false;
                for (size_t i = 0; i < t->n; i++) {
                        size_t parent;

                        if (in[i] || t->items[i].pid == getpid())
                                continue;
                        parent = table_index(t, t->items[i].ppid);
                        if (parent != SIZE_MAX && in[parent])
                                in[i] = changed = true;
                }
        }
}

/* A session without a living member is forgotten, so that its number may be taken over by somebody else. */
static void session_prune(Group *g, const ProcTable *t, const bool *in, bool sure) {
        unsigned kept = 0;

        for (unsigned k = 0; k < g->n_sessions; k++) {
                bool lives = !sure;

                for (size_t i = 0; i < t->n && !lives; i++)
                        lives = in[i] && t->items[i].session == g->sessions[k];
                if (lives)
                        g->sessions[kept++] = g->sessions[k];
        }
        g->n_sessions = kept;
        for (size_t i = 0; i < t->n; i++)
                if (in[i])
                        group_learn_session(g, t->items[i].session);
}

static int scan_members(Group *g, MemberList *list, bool *sure) {
        auto_free bool *in = NULL;
        const ProcTable *t = &g->root->table;
        int r = root_scan(g->root);

        if (r < 0)
                return r;
        if (t->n == 0)
                return 0;
        root_name_adopted(g->root);
        in = calloc(t->n, sizeof(*in));
        if (!in)
                return -ENOMEM;
        session_mark(g, t, in);
        for (size_t i = 0; i < t->n; i++)
                *sure = *sure && !stat_is_unsure(g, t, &t->items[i], in[i]);
        session_prune(g, t, in, *sure);
        for (size_t i = 0; i < t->n; i++) {
                if (!in[i] || proc_ended(&t->items[i]))
                        continue;
                r = member_add(list, t->items[i].pid, t->items[i].start);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* sure = false: others may be members, which can't be told at this moment. */
static int collect_members(Group *g, MemberList *list, bool *sure) {
        *sure = true;
        if (g->root->kind == GROUP_CGROUP)
                return cgroup_group_members(g, list);
        if (g->since == 0)
                return 0; /* nothing was ever started */
        return g->root->scan_all ? scan_members(g, list, sure) : session_collect(g, list, sure);
}

int group_members(Group *g, GroupMember **ret, size_t *n) {
        MemberList list = {0};
        bool sure;
        int r;

        headroom_begin();
        r = collect_members(g, &list, &sure);
        headroom_end();
        *ret = NULL;
        *n = 0;
        if (r < 0) {
                free(list.items);
                return r;
        }
        *ret = list.items;
        *n = list.n;
        return 0;
}

bool group_has(Group *g, pid_t pid) {
        ProcStat s;

        if (pid <= 0 || proc_stat(pid, &s) < 0 || proc_ended(&s))
                return false;
        if (g->root->kind == GROUP_CGROUP)
                return cgroup_group_has(g, pid);
        if (g->since == 0 || s.start < g->since)
                return false;
        /* Up the ancestors: a member's descendant is a member. Bounded, in case they change meanwhile. */
        for (int hops = 0; hops < 64 && s.pid > 1 && s.pid != getpid(); hops++) {
                if (group_knows_session(g, s.session) || (s.pid == g->leader && s.start == g->leader_start))
                        return true;
                if (s.ppid == getpid())
                        return session_names_unit(g, s.pid) == BELONGS;
                if (proc_stat(s.ppid, &s) < 0)
                        return false;
        }
        return false;
}

/* A second instance may start once this says so: whoever was found and has ended since may have left
 * somebody, so only a look that found nobody at all, and nobody who can't be told, counts. A few looks, for
 * an exec is over soon; what still can't be told is on its way out, and its end brings the next question. */
static bool nobody_alive(Group *g) {
        if (g->root->kind == GROUP_CGROUP)
                return cgroup_group_empty(g);
        for (int look = 0; look < LOOKS_MAX; look++) {
                MemberList list = {0};
                bool sure, alive = false;
                int r = collect_members(g, &list, &sure);

                for (size_t i = 0; i < list.n && !alive; i++)
                        alive = proc_alive(list.items[i].pid, list.items[i].start);
                free(list.items);
                if (r < 0 || alive)
                        return false;
                if (list.n == 0 && sure)
                        return true;
                group_root_refresh(g->root); /* a shared scan may be older than the last reap */
                sched_yield();
        }
        return false;
}

bool group_empty(Group *g) {
        bool empty;

        headroom_begin();
        empty = nobody_alive(g);
        headroom_end();
        return empty;
}

static int group_signal_once(Group *g, int sig, pid_t but) {
        GroupMember *m;
        size_t n;
        int reached = 0, r = group_members(g, &m, &n);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                /* 0: nobody but us can free the number of a child that we have not reaped */
                uint64_t start = group_is_ours(g, m[i].pid) ? 0 : m[i].start;

                if (m[i].pid != but && process_signal(m[i].pid, start, sig) == 0)
                        reached++;
        }
        free(m);
        return reached;
}

static int signal_members(Group *g, int sig, pid_t but) {
        int reached, again = 0;

        if (sig == SIGKILL && but == 0 && g->root->kind == GROUP_CGROUP) {
                GroupMember *m;
                size_t n = 0;

                /* counted before: afterwards they may be gone already */
                if (group_members(g, &m, &n) == 0)
                        free(m);
                if (cgroup_group_kill(g) == 0) {
                        g->killed = true;
                        return (int)n;
                }
        }
        reached = group_signal_once(g, sig, but);
        /* A fork during the scan may have been missed; for a kill, look again until a look finds nobody new.
         */
        while (sig == SIGKILL && reached > 0 && again++ < 3) {
                int more;

                group_root_refresh(g->root);
                more = group_signal_once(g, sig, but);
                if (more <= 0)
                        break;
        }
        return reached;
}

int group_signal(Group *g, int sig, pid_t but) {
        int r;

        headroom_begin();
        r = signal_members(g, sig, but);
        headroom_end();
        return r;
}

int group_set(Group *g, const char *file, const char *value) {
        return g->dir_fd < 0 ? -EOPNOTSUPP : cgroup_write(g->dir_fd, file, value);
}

static int signal_one(pid_t pid, uint64_t start, int sig) {
        auto_close int fd = -1;
        ProcStat s;
        int r;

        if (pid <= 0)
                return -ESRCH;
        if (start == 0)
                return kill(pid, sig) < 0 ? -errno : 0;
        fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0 && errno != ENOSYS)
                return -errno;
        /* Looked at behind the pidfd: if it is the right one now, the pidfd names the right one for ever. */
        r = proc_stat(pid, &s);
        if (r < 0)
                return r;
        if (s.start != start)
                return -ESRCH;
        if (fd < 0)
                return kill(pid, sig) < 0 ? -errno : 0;
        return syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) < 0 ? -errno : 0;
}

int process_signal(pid_t pid, uint64_t start, int sig) {
        int r;

        headroom_begin();
        r = signal_one(pid, start, sig);
        headroom_end();
        return r;
}

int process_signal_all(int sig) {
        if (getpid() != 1)
                return -EPERM;
        return kill(-1, sig) < 0 && errno != ESRCH ? -errno : 0;
}
