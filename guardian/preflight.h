/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Pre-flight, priority 0: what must hold before anything is started. Reads and makes
 * directories; blocking, runs once before the loop. Each check is passed, warning or failed, with a hint.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum CheckResult { CHECK_PASSED, CHECK_WARNING, CHECK_FAILED } CheckResult;

typedef struct PreflightCheck {
        const char *name; /* "descriptors" "proc" "runtime" "state" "disk" "loopback" */
        CheckResult result;
        char message[256];
        char hint[200]; /* "" when passed */
} PreflightCheck;

enum { PREFLIGHT_CHECKS = 6 };
typedef struct Preflight {
        PreflightCheck checks[PREFLIGHT_CHECKS];
        unsigned n;
        bool failed;       /* at least one: exit status 71 */
        bool have_runtime; /* false: no control socket, one warning */
} Preflight;

typedef struct PreflightInput {
        const char *state_dir, *runtime_dir;
        bool state_needed; /* a unit of the set is a ledger or has StateDirectory= */
        unsigned n_units;  /* for the descriptors: RLIMIT_NOFILE is raised to the hard limit first */
        uid_t uid;
        uint64_t disk_warn, disk_fail; /* bytes free; 0: 64 MiB and 4 MiB */
} PreflightInput;

/* Always fills ret. */
void preflight_run(const PreflightInput *in, Preflight *ret);

/* Makes a directory and missing parents (parents 0755, the last one `mode`); an existing last one must be a
 * directory of `uid` that nobody else can write, and is not followed if a symlink. 0, -ENOTDIR, -EPERM (owner
 * or mode), other -errno. */
int directory_make(const char *path, mode_t mode, uid_t uid);
