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

typedef struct PidList {
        pid_t *pids; /* owned */
        size_t n, cap;
} PidList;

static int pid_add(PidList *l, pid_t pid) {
        if (l->n == l->cap) {
                size_t cap = l->cap ? l->cap * 2 : 64;
                pid_t *pids = reallocarray(l->pids, cap, sizeof(*pids));

                if (!pids)
                        return -ENOMEM;
                l->pids = pids;
                l->cap = cap;
        }
        l->pids[l->n++] = pid;
        return 0;
}

/* Adds the numbers of one children file; they are separated by blanks and may be cut by the end of a read. */
static int read_children_file(int fd, PidList *l) {
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
                                int r = pid_add(l, (pid_t)number);

                                if (r < 0)
                                        return r;
                        }
                        number = 0;
                }
        return n < 0 && errno != ESRCH ? -errno : 0;
}

/* Children of every thread of a process; one that vanished has none. */
static int read_children(pid_t pid, PidList *l) {
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
                r = read_children_file(fd, l);
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

bool session_names_unit(const Group *g, pid_t pid) {
        char name[GROUP_UNIT_MAX + 2];

        return proc_environ_get(pid, "GUARDIAN_UNIT", name, sizeof(name)) == 0 && strcmp(name, g->unit) == 0;
}

/* Is this child of ours one of the unit's? By its session; an orphan, which nobody in our tables started,
 * also by the name in its environment. getsid(2) answers for most of them without a look into /proc. */
static bool child_is_member(const Group *g, pid_t pid, ProcStat *s) {
        GroupRoot *r = g->root;

        if (pid != g->leader && !session_known(g, getsid(pid)) &&
                ((r->known && r->known(r->known_user, pid)) || !session_names_unit(g, pid)))
                return false;
        return proc_stat(pid, s) == 0 && s->start >= g->since &&
               (pid != g->leader || s->start == g->leader_start);
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

static bool listed_before(const PidList *l, size_t n, pid_t pid) {
        for (size_t i = 0; i < n; i++)
                if (l->pids[i] == pid)
                        return true;
        return false;
}

/* Takes over one found process and appends its children to the list. */
static int session_visit(PidList *tree, MemberList *list, Sessions *now, const ProcStat *s) {
        int r = 0;

        session_note(now, s->session);
        if (s->state == 'Z' || s->state == 'X')
                return 0;
        r = member_add(list, s->pid, s->start);
        return r < 0 ? r : read_children(s->pid, tree);
}

int session_collect(Group *g, MemberList *list) {
        PidList tree = {0};
        Sessions now = {0};
        size_t ours = 0;
        int r = read_children(getpid(), &tree);

        ours = tree.n;
        for (size_t i = 0; r == 0 && i < tree.n; i++) {
                ProcStat s;

                if (i < ours ? !child_is_member(g, tree.pids[i], &s)
                             : (listed_before(&tree, ours, tree.pids[i]) || proc_stat(tree.pids[i], &s) < 0))
                        continue;
                r = session_visit(&tree, list, &now, &s);
        }
        if (r == 0) {
                memcpy(g->sessions, now.ids, sizeof(g->sessions));
                g->n_sessions = now.n;
        }
        free(tree.pids);
        return r;
}
