/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The command line of guardian: one table of options, pure over argv, environment,
 * uid and the path of the program. */
#include "common/log.h"
#include "common/vocab.h"
#include "common/signals.h"
#include "guardian/unit-load.h"

enum { OPTIONS_DIRS_MAX = 32, OPTIONS_ONLY_MAX = 256, OPTIONS_REWRITE_MAX = 32 };

typedef struct Options {
        bool check, help, version;
        bool keep_on_abort, no_core;
        bool group_signal;          /* -g */
        char **command;             /* after --; NULL: boot a unit set. Points into argv */
        Mode mode;                  /* MODE_NONE: the recorded one */
        const char *exit_code_from; /* unit name or NULL */
        const char *ledger_key;     /* path or NULL */
        LogFormat log_format;
        LogLevel log_level;
        struct {
                int from, to; /* signal numbers; to 0: drop */
        } rewrite[OPTIONS_REWRITE_MAX];
        unsigned n_rewrite;
        bool stop_timeout_set;
        uint64_t stop_timeout_us; /* 10 s unless given */

        char state_dir[1024], runtime_dir[1024];
        bool state_given, runtime_given;         /* by option or environment */
        char prefix[1024];                       /* parent of the bin directory the program is in */
        char core_dir[1100];                     /* PREFIX/lib/guardian/units */
        char libexec_dir[1100];                  /* PREFIX/libexec/guardian */
        unsigned n_unit_dirs, n_unit_dirs_given; /* the last n_given are from --units and must exist */
        unsigned n_policy_dirs, n_policy_dirs_given;
        const char *only[OPTIONS_ONLY_MAX];
        unsigned n_only;
        /* Last, and never cleared: of 70 KiB only what is used costs memory. */
        char unit_dirs[OPTIONS_DIRS_MAX][1100], policy_dirs[OPTIONS_DIRS_MAX][1100];
} Options;

/* exe: absolute path of the running program (/proc/self/exe). 0; -EINVAL (exit status 64) with `error`, one
 * line without newline and with a hint. With help or version set nothing else is checked. */
int options_parse(int argc, char **argv, char *const *env, uid_t uid, const char *exe, Options *ret,
        char *error, size_t cap);
/* The text of --help, NUL terminated, made from the table. -ENOBUFS. */
int options_help(char *out, size_t cap);
