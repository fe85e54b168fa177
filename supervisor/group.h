/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Containment: which processes belong to a unit, and how to end all of them. With a writable cgroup v2: one
 * directory a unit below Guardian's own. Without: the sessions that its processes were seen in, their
 * descendants, and adopted orphans whose environment names the unit (GUARDIAN_UNIT=NAME), found by a scan of
 * /proc.
 *
 * Members are signalled one by one through a pidfd whose start time was checked, never by group id: a number
 * may have been taken over. Whether a group is empty needs no timer: its last process always ends as our
 * child (we are its subreaper), so ask again after a reap_run() that reaped something.
 */
#include "supervisor/procinfo.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum GroupKind { GROUP_SESSION, GROUP_CGROUP } GroupKind;

typedef struct GroupRoot {
        GroupKind kind;
        int dir_fd;        /* our directory below our own cgroup, -1 */
        int parent_fd;     /* our own cgroup */
        char name[32];     /* "guardian-<random>" */
        char cgroup[1024]; /* path of dir_fd as /proc/PID/cgroup shows it */
        char why[160];     /* why there is no cgroup, "" otherwise; for status and log */
        ProcTable table;   /* scan shared by all groups of one turn */
        bool table_valid;
        bool adopted_known; /* whose environments were looked at */
        bool scan_all;      /* the kernel has no children files: all of /proc is scanned instead */
        /* Set by the owner after group_root_init(): is this child of ours one that it started itself
         * (reap_known())? Saves a look into the environment of each. May be NULL. */
        bool (*known)(void *user, pid_t pid);
        void *known_user;
} GroupRoot;

/* Makes our cgroup directory when it can, else falls back to sessions; sweeps empty leftovers of dead
 * Guardians. use_cgroup = false forces sessions. 0 always unless -ENOMEM. */
int group_root_init(GroupRoot *r, bool use_cgroup);
/* Forget the scan (scan_all only): call at the start of each turn that asks groups anything, and after
 * reaping. */
void group_root_refresh(GroupRoot *r);
void group_root_done(GroupRoot *r);       /* removes what is empty */
const char *group_kind_name(GroupKind k); /* "cgroup" "session" */

#define GROUP_SESSIONS_MAX 16
#define GROUP_UNIT_MAX 128 /* bytes of a unit's name */
typedef struct Group {
        GroupRoot *root;
        const char *unit; /* borrowed: outlives the group */
        int dir_fd;   /* for LaunchPlan.cgroup_fd; -1 in session mode */
        pid_t leader; /* 0: none yet */
        uint64_t leader_start;
        uint64_t since; /* start ticks of the first leader of this activation */
        pid_t sessions[GROUP_SESSIONS_MAX];
        unsigned n_sessions;
        /* cgroup.kill was written. Linux 6.14 and later kill who is born in such a group (CLONE_INTO_CGROUP) as
         * well, for ever: for LaunchPlan.cgroup_move. */
        bool killed;
} Group;

typedef struct GroupMember {
        pid_t pid;
        uint64_t start;
} GroupMember;

/* For one unit, kept over its instances. A cgroup that cannot be made is an error (never a silent weaker
 * mode). `unit` is kept by reference. -ENAMETOOLONG. */
int group_init(Group *g, GroupRoot *r, const char *unit);
/* A new activation begins: forgets leader and sessions. Call while the group is empty. */
void group_reset(Group *g);
/* After a spawn: pid leads (or, for ExecStartPre and the like, belongs). Reads its start time; -ESRCH when it
 * ended already, which is no failure. */
int group_add(Group *g, pid_t pid, bool leader);
/* Members alive now that can be told, without ended ones; *ret is owned by the caller (free), may be NULL
 * with *n 0. -ENOMEM. */
int group_members(Group *g, GroupMember **ret, size_t *n);
bool group_has(Group *g, pid_t pid); /* alive and a member; a fresh look, costs one or a few reads in /proc */
/* No member lives, and nobody lives who may be one: an orphan that gave its memory back but has not ended
 * yet, or that is in the middle of an exec, can't be judged and counts for every group, until it can. */
bool group_empty(Group *g);
/* Signals every member (except the pid `but`, 0: none). Returns how many were reached, or negative errno.
 * SIGKILL with a cgroup goes through cgroup.kill and then also reaches what forks meanwhile. */
int group_signal(Group *g, int sig, pid_t but);
/* Writes a control file, for example ("memory.max", "67108864"). -EOPNOTSUPP in session mode. */
int group_set(Group *g, const char *file, const char *value);
void group_done(Group *g); /* removes the directory when it is empty */

/* Signals one incarnation: pidfd, start time checked behind it. -ESRCH when it is gone or another. start 0:
 * unchecked (our own unreaped child). */
int process_signal(pid_t pid, uint64_t start, int sig);
/* Last resort of a shutdown: every process we may signal. -EPERM unless getpid() == 1. */
int process_signal_all(int sig);
