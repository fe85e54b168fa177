/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containment without a cgroup. Whatever lives of a unit hangs in the process tree below its leader or below
 * one of our own children: an orphan is adopted by us, its subreaper. So a look at our children
 * (/proc/PID/task/TID/children) and down from those that belong to the unit costs as much as the unit is
 * large, not as the machine is. Our own list is exact, because nobody else reaps from it; those of others may
 * miss a child that comes or goes at that moment. A kernel without these files (CONFIG_PROC_CHILDREN) gets a
 * scan of all /proc instead.
 */
#include "supervisor/group-internal.h"
#include "common/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 16 /* of one look; more only while somebody leaves orphans faster than we look */

typedef struct Found {
        pid_t pid, parent;
        bool judged; /* by itself, as an orphan is: its parent says nothing about it */
} Found;

typedef struct FoundList {
        Found *items; /* owned */
        size_t n, cap;
} FoundList;

static int found_add(FoundList *l, Found f) {
        if (l->n == l->cap) {
                size_t cap = l->cap ? l->cap * 2 : 64;
                Found *items = reallocarray(l->items, cap, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                l->items = items;
                l->cap = cap;
        }
        l->items[l->n++] = f;
        return 0;
}

/* Adds the numbers of one children file; they are separated by blanks and may be cut by the end of a read. */
static int read_children_file(int fd, Found f, FoundList *l) {
        char buf[4096];
        long number = 0;
        ssize_t n;

        while ((n = read(fd, buf, sizeof(buf))) > 0)
                for (ssize_t i = 0; i < n; i++) {
                        if (buf[i] >= '0' && buf[i] <= '9') {
                                number = number * 10 + (buf[i] - '0');
                                continue;
                        }
                        if (number > 0) {
                                int r;

                                f.pid = (pid_t)number;
                                r = found_add(l, f);
                                if (r < 0)
                                        return r;
                        }
                        number = 0;
                }
        return n < 0 && errno != ESRCH ? -errno : 0;
}

/* Children of every thread of a process; one that vanished has none. */
static int read_children(pid_t pid, bool judged, FoundList *l) {
        auto_closedir DIR *dir = NULL;
        const struct dirent *e;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        dir = opendir(path);
        if (!dir)
                return errno == ENOENT || errno == ESRCH ? 0 : -errno;
        while ((e = readdir(dir))) {
                auto_close int fd = -1;
                int r;

                if (e->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "%.20s/children", e->d_name);
                fd = openat(dirfd(dir), path, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        continue; /* the thread ended */
                r = read_children_file(fd, (Found){.parent = pid, .judged = judged}, l);
                if (r < 0)
                        return r;
        }
        return 0;
}

bool session_has_children_files(void) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)getpid(), (int)getpid());
        return access(path, R_OK) == 0;
}

static bool session_known(const Group *g, pid_t session) {
        for (unsigned i = 0; i < g->n_sessions; i++)
                if (g->sessions[i] == session)
                        return true;
        return false;
}

Belongs session_names_unit(const Group *g, pid_t pid) {
        char name[GROUP_UNIT_MAX + 2];
        int r = proc_environ_get(pid, "GUARDIAN_UNIT", name, sizeof(name));

        if (r == 0)
                return strcmp(name, g->unit) == 0 ? BELONGS : BELONGS_NOT;
        /* otherwise it names none, or hides it from us for ever */
        return group_cannot_tell(r) ? BELONGS_PERHAPS : BELONGS_NOT;
}

/* One of the unit's? By its session; an orphan, which nobody in our tables started, also by the name in its
 * environment. getsid(2) answers for most of them without a look into /proc. */
static Belongs judge(const Group *g, pid_t pid, ProcStat *s) {
        bool in_session = session_known(g, getsid(pid));
        int r;

        if (!in_session && pid != g->leader && group_is_ours(g, pid))
                return BELONGS_NOT;
        r = proc_stat(pid, s);
        if (r < 0)
                return group_cannot_tell(r) ? BELONGS_PERHAPS : BELONGS_NOT;
        if (s->start < g->since || proc_ended(s))
                return BELONGS_NOT;
        if (in_session || (pid == g->leader && s->start == g->leader_start))
                return BELONGS;
        return group_is_ours(g, pid) ? BELONGS_NOT : session_names_unit(g, pid);
}

/* A member's child is a member. */
static Belongs inherit(pid_t pid, ProcStat *s) {
        int r = proc_stat(pid, s);

        if (r < 0)
                return group_cannot_tell(r) ? BELONGS_PERHAPS : BELONGS_NOT;
        return proc_ended(s) ? BELONGS_NOT : BELONGS;
}

/* The sessions that living members are in: the others are forgotten, so that their number may become somebody
 * else's. */
typedef struct Sessions {
        pid_t ids[GROUP_SESSIONS_MAX];
        unsigned n;
} Sessions;

static void session_note(Sessions *s, pid_t session) {
        if (session <= 0 || session == getsid(0))
                return;
        for (unsigned i = 0; i < s->n; i++)
                if (s->ids[i] == session)
                        return;
        if (s->n < GROUP_SESSIONS_MAX)
                s->ids[s->n++] = session;
}

/* What is known of one look. */
typedef struct Look {
        FoundList tree;
        size_t below; /* members of the rounds before */
        Sessions now;
        bool sure; /* nobody may have been missed */
} Look;

/* Takes over one found process and appends its children to the list. Below one that can't be judged yet each
 * is judged by itself: it is about to become an orphan, or nothing is known of it. */
static int session_visit(const Group *g, Look *l, MemberList *list, Found f) {
        ProcStat s = {0};
        Belongs b = f.judged ? judge(g, f.pid, &s) : inherit(f.pid, &s);
        int r = 0;

        /* another parent: adopted meanwhile, which the list of our own children tells, or another process */
        if (b == BELONGS_NOT || (s.pid > 0 && s.ppid != f.parent))
                return 0;
        if (b == BELONGS) {
                session_note(&l->now, s.session);
                /* adopted after it was found below its parent */
                for (size_t i = 0; f.parent == getpid() && i < l->below; i++)
                        if (list->items[i].pid == s.pid && list->items[i].start == s.start)
                                return 0;
                r = member_add(list, s.pid, s.start);
        } else {
                l->sure = false;
        }
        return r < 0 ? r : read_children(f.pid, b == BELONGS_PERHAPS, &l->tree);
}

/* Our own children that are not among the first *n. Nobody leaves them during a look, for we reap, and who is
 * adopted stands behind: *n counts them all afterwards. */
static int session_adopted(Look *l, size_t *n) {
        FoundList again = {0};
        int r = read_children(getpid(), true, &again);

        for (size_t i = *n; r == 0 && i < again.n; i++)
                r = found_add(&l->tree, again.items[i]);
        if (r == 0)
                *n = again.n;
        free(again.items);
        return r;
}

/* One that was looked at may have ended since, and left children to us that were in no list yet: so the look
 * is over only when nobody was adopted during its last round. */
static int session_look(const Group *g, Look *l, MemberList *list) {
        size_t ours = 0, done = 0;

        l->sure = true;
        for (int round = 0; round < ROUNDS_MAX; round++) {
                size_t before = l->tree.n;
                int r = session_adopted(l, &ours);

                if (r < 0 || l->tree.n == before)
                        return r;
                l->below = list->n;
                for (; done < l->tree.n; done++) {
                        r = session_visit(g, l, list, l->tree.items[done]);
                        if (r < 0)
                                return r;
                }
        }
        l->sure = false;
        return 0;
}

int session_collect(Group *g, MemberList *list, bool *sure) {
        Look l = {0};
        int r = session_look(g, &l, list);

        *sure = r == 0 && l.sure;
        /* who was missed must be known by his session later */
        for (unsigned i = 0; !*sure && i < g->n_sessions; i++)
                session_note(&l.now, g->sessions[i]);
        memcpy(g->sessions, l.now.ids, sizeof(g->sessions));
        g->n_sessions = l.now.n;
        free(l.tree.items);
        return r;
}
