/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Evidence, not claims: what a plan requires of a running process against what the kernel says about it.
 * evidence_compare() is pure; evidence_gather() reads /proc. A fact that the kernel refuses to show is
 * `missing`, never assumed; `verified` needs every required fact read and equal.
 */
#include "supervisor/launch.h"
#include "supervisor/procinfo.h"

#define EVIDENCE_FDS_MAX    128
#define EVIDENCE_CHECKS_MAX 12
#define EVIDENCE_LIMITS_MAX 16

/* Base confinement: what launch_spawn() alone can promise. */
typedef struct EvidencePlan {
        bool no_new_privs; /* required to be 1 when true, not looked at otherwise */
        uid_t uid;         /* all four */
        gid_t gid;
        gid_t groups[PROC_GROUPS_MAX];
        unsigned n_groups;
        LaunchLimit limits[EVIDENCE_LIMITS_MAX];
        unsigned n_limits;
        dev_t exe_dev;
        ino_t exe_ino;             /* 0: not required (a script: the interpreter runs) */
        int fds[EVIDENCE_FDS_MAX]; /* the descriptors handed over, ascending, 0 to 2 included. A running
                                    program opens more of its own; what must not be is one of Guardian's
                                    beside these */
        unsigned n_fds;
        dev_t handed_dev[EVIDENCE_FDS_MAX]; /* what they are: a copy that the program made is no leak */
        ino_t handed_ino[EVIDENCE_FDS_MAX];
        unsigned n_handed;
} EvidencePlan;

typedef struct EvidenceFacts {
        int status_error; /* 0, or negative errno of the read: the facts of it are not there */
        ProcStatus status;
        int limits_error;
        LaunchLimit limits[EVIDENCE_LIMITS_MAX]; /* same order as planned */
        int exe_error;
        dev_t exe_dev;
        ino_t exe_ino;
        int fds_error;
        int fds[EVIDENCE_FDS_MAX]; /* the planned ones that are open */
        unsigned n_fds;
        int leaked[EVIDENCE_FDS_MAX]; /* unplanned ones that are a socket or pipe which we hold too */
        unsigned n_leaked;
} EvidenceFacts;

typedef struct EvidenceCheck {
        const char *key; /* NoNewPrivs Uid Gid Groups Rlimits Exe Descriptors */
        char planned[128], found[128];
        bool ok;
        bool missing; /* the kernel does not show it: not ok, and named in sandbox.missing */
} EvidenceCheck;

typedef struct Evidence {
        EvidenceCheck checks[EVIDENCE_CHECKS_MAX];
        unsigned n;
        bool verified; /* every check ok */
} Evidence;

/* Call before the spawn, while the plan's descriptors are open. From a launch plan and the executable's
 * identity (inode 0: unknown or a script). -E2BIG when it does not fit. */
int evidence_plan(const LaunchPlan *l, dev_t exe_dev, ino_t exe_ino, EvidencePlan *ret);
/* Reads everything the plan asks for. -ESRCH: the process ended. */
int evidence_gather(pid_t pid, const EvidencePlan *plan, EvidenceFacts *ret);
void evidence_compare(const EvidencePlan *plan, const EvidenceFacts *facts, Evidence *ret);
