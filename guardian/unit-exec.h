/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Command lines of Exec keys: quoting, prefixes and $VAR, as systemd.service(5) "COMMAND LINES" has them.
 * Splitting happens at load, expansion at each start, with the environment that the process really gets. A
 * `;` word of its own ends a command (oneshot lists). Pure.
 */
#include "guardian/unit.h"

enum { EXEC_WORDS_MAX = 1024 };

/* Splits one command off *line (moved behind it, "" when all is read). Prefixes: - ignore failure, @ second
 * word is argv[0], : no $VAR, + without User=. Quotes '..' and "..", backslash escapes as in C. 0, or -EINVAL
 * with *why (static), -ENOMEM. */
int exec_command_parse(Arena *a, const char **line, ExecCommand *ret, const char **why);
/* Splits a value at blanks, quotes honoured and removed: Environment= and list keys. Likewise. */
int words_parse(Arena *a, const char *value, StrList *append_to, const char **why);
/* argv with ${VAR} (inside a word, empty when unset) and $VAR (a word of its own: split at blanks, vanishes
 * when empty);
 * $$ is $. Bare names are found by launch_find(). env is "K=V" entries, NULL terminated. *ret is one malloc
 * block: free(). -ENOMEM, -E2BIG. */
int exec_command_expand(const ExecCommand *c, char *const *env, char ***ret);

/* What EnvironmentFile= says, to be called off the loop: regular files only, up to 64 KiB. *ret: NULL-terminated vector in one
 * malloc block. *at (may be NULL) names the file at hand, for whoever waits. A file that cannot be read is -errno with its name
 * in `why`. */
int unit_environment_files(const UnitConfig *u, char ***ret, const char *_Atomic *at, char *why, size_t cap);
/* The environment of a unit's processes: inherited (all of `base` for a user chunk, less Guardian's own
 * names; a clean one plus PassEnvironment= for a core chunk), then `files` (NULL: none), Environment=, then
 * `extra` (both "K=V", NULL terminated; the last wins). *ret: NULL-terminated vector in one malloc block. -ENOMEM, -E2BIG. */
int unit_environment(const UnitConfig *u, char *const *base, char *const *files, char *const *extra, char ***ret);
/* Value of a name in an environment vector, NULL when absent. */
const char *environment_get(char *const *env, const char *name);
