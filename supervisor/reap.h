/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one place that waits for children: waitid(P_ALL, WEXITED|WNOHANG) until nothing is left, driven by
 * SIGCHLD. A pid in the table goes to its callback, every other one is an adopted orphan and only counted. No
 * WNOWAIT, no pidfd per child: an unreaped child pins its pid, so pid -> owner is exact.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct ProcessEnd {
        pid_t pid;
        int code;   /* exit status, -1 when a signal ended it */
        int signal; /* 0 when it exited */
        bool core;
} ProcessEnd;

/* Runs after the child is reaped and out of the table; may spawn, reap_add() and reap_remove(). */
typedef void (*ReapFn)(void *user, const ProcessEnd *end);

typedef struct ReapSlot {
        pid_t pid; /* 0: empty */
        ReapFn fn;
        void *user;
} ReapSlot;

typedef struct ReapTable {
        ReapSlot *slots;  /* owned */
        size_t n, cap;    /* cap: power of two */
        size_t max;       /* entries allowed */
        uint64_t orphans; /* reaped without an owner */
        uint64_t reaped;  /* all */
} ReapTable;

int reap_init(ReapTable *t,
        size_t max); /* allocates a small table; it grows in reap_add() only, to at most max entries */
void reap_done(ReapTable *t);
/* Call right after launch_spawn(), in the same loop turn. -EEXIST, -ENOMEM, -ENOSPC. */
int reap_add(ReapTable *t, pid_t pid, ReapFn fn, void *user);
bool reap_remove(ReapTable *t, pid_t pid); /* its end will count as an orphan's */
bool reap_known(const ReapTable *t, pid_t pid);
/* Reaps what has ended, at most `budget` (0: all). *more (may be NULL): the budget ran out. Returns how many,
 * or negative errno. */
int reap_run(ReapTable *t, unsigned budget, bool *more);
/* No child at all is left (waitid says ECHILD): the end of a shutdown. */
bool reap_no_children(void);
