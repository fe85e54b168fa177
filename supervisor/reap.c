/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/reap.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#define REAP_CAP_MIN 64

int reap_init(ReapTable *t, size_t max) {
        *t = (ReapTable){.max = max};
        t->slots = calloc(REAP_CAP_MIN, sizeof(*t->slots));
        if (!t->slots)
                return -ENOMEM;
        t->cap = REAP_CAP_MIN;
        return 0;
}

void reap_done(ReapTable *t) {
        free(t->slots);
        *t = (ReapTable){0};
}

static size_t reap_home(const ReapTable *t, pid_t pid) {
        return ((uint32_t)pid * 2654435769U) & (t->cap - 1);
}

/* The slot of pid, or the free one where it would go. Load is at most one half, so there is always one. */
static ReapSlot *reap_slot(const ReapTable *t, pid_t pid) {
        size_t i = reap_home(t, pid);

        while (t->slots[i].pid != 0 && t->slots[i].pid != pid)
                i = (i + 1) & (t->cap - 1);
        return &t->slots[i];
}

static int reap_grow(ReapTable *t) {
        ReapTable bigger = *t;

        bigger.cap = t->cap * 2;
        bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
        if (!bigger.slots)
                return -ENOMEM;
        for (size_t i = 0; i < t->cap; i++)
                if (t->slots[i].pid != 0)
                        *reap_slot(&bigger, t->slots[i].pid) = t->slots[i];
        free(t->slots);
        *t = bigger;
        return 0;
}

int reap_add(ReapTable *t, pid_t pid, ReapFn fn, void *user) {
        ReapSlot *s;

        if (pid <= 0)
                return -EINVAL;
        if (t->n >= t->max)
                return -ENOSPC;
        if (reap_slot(t, pid)->pid == pid)
                return -EEXIST;
        if ((t->n + 1) * 2 > t->cap) {
                int r = reap_grow(t);

                if (r < 0)
                        return r;
        }
        s = reap_slot(t, pid);
        *s = (ReapSlot){pid, fn, user};
        t->n++;
        return 0;
}

bool reap_remove(ReapTable *t, pid_t pid) {
        ReapSlot *s = reap_slot(t, pid);
        size_t hole, i;

        if (pid <= 0 || s->pid != pid)
                return false;
        /* Linear probing without tombstones: pull back what could have stood in the hole. */
        hole = (size_t)(s - t->slots);
        for (i = (hole + 1) & (t->cap - 1); t->slots[i].pid != 0; i = (i + 1) & (t->cap - 1)) {
                size_t home = reap_home(t, t->slots[i].pid);

                if (((i - home) & (t->cap - 1)) >= ((i - hole) & (t->cap - 1))) {
                        t->slots[hole] = t->slots[i];
                        hole = i;
                }
        }
        t->slots[hole] = (ReapSlot){0};
        t->n--;
        return true;
}

bool reap_known(const ReapTable *t, pid_t pid) {
        return pid > 0 && reap_slot(t, pid)->pid == pid;
}

static void reap_one(ReapTable *t, const siginfo_t *si) {
        ReapSlot *s = reap_slot(t, si->si_pid), found;
        ProcessEnd end = {.pid = si->si_pid, .code = -1};

        t->reaped++;
        if (s->pid != si->si_pid) {
                t->orphans++;
                return;
        }
        found = *s;
        reap_remove(t, si->si_pid);
        if (si->si_code == CLD_EXITED) {
                end.code = si->si_status;
        } else {
                end.signal = si->si_status;
                end.core = si->si_code == CLD_DUMPED;
        }
        found.fn(found.user, &end);
}

int reap_run(ReapTable *t, unsigned budget, bool *more) {
        int n = 0;

        if (more)
                *more = false;
        for (;;) {
                siginfo_t si = {0};

                if (budget > 0 && (unsigned)n >= budget) {
                        if (more)
                                *more = true;
                        return n;
                }
                if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG) < 0) {
                        if (errno == EINTR)
                                continue;
                        return errno == ECHILD ? n : -errno;
                }
                if (si.si_pid == 0)
                        return n;
                reap_one(t, &si);
                n++;
        }
}

bool reap_no_children(void) {
        siginfo_t si = {0};

        /* WNOWAIT only asks; nothing is decided by what it finds. */
        return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}
