/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between unit-file.c, the key table (unit-keys.c) and the value parsers (unit-values.c); nobody else
 * includes it. */
#include "guardian/unit-file.h"

enum { UNIT_KEYS_KNOWN_MAX = 128 };

typedef struct KeyContext {
        UnitConfig *u;
        const char *file; /* arena copy: references keep it */
        unsigned line;
        bool drop_in;
        const UnitPaths *paths;
        Problems *problems;
        unsigned first_line[UNIT_KEYS_KNOWN_MAX]; /* by key: where this file gave it; 0: not yet */
        char skip_section[64];                    /* an unknown section: its keys are not looked at */
        /* of a value that is refused */
        char why[200], hint[200];
} KeyContext;

typedef struct KeyInfo KeyInfo;
/* Reads `value` into `field`. 0; -EINVAL with c->why (and perhaps c->hint); -ENOMEM. */
typedef int (*KeyParser)(KeyContext *c, const KeyInfo *k, const char *value, void *field);
struct KeyInfo {
        const char *section, *key;
        KeyParser parse;
        size_t offset;
        bool list;         /* appends; an empty value resets */
        int64_t arg, arg2; /* the parser's: bounds, resource, member */
};

/* Assignment of a unit file: finds the key, refuses what is unknown, given twice or not yet there. 0 or
 * -ENOMEM. */
int unit_key_assign(KeyContext *c, const char *section, const char *key, const char *value);

#define KEY_PARSER(name) int parse_##name(KeyContext *c, const KeyInfo *k, const char *value, void *field)
KEY_PARSER(text);     /* one string, specifiers */
KEY_PARSER(user);     /* text, and where it stands */
KEY_PARSER(group);    /* likewise */
KEY_PARSER(words);    /* StrList */
KEY_PARSER(yes_no);   /* bool */
KEY_PARSER(duration); /* uint64_t us; arg 1: 0 means infinity; arg 2: infinity means 0 (none) */
KEY_PARSER(number);   /* unsigned, arg..arg2 */
KEY_PARSER(priority); /* milli */
KEY_PARSER(refs);     /* UnitRefs */
KEY_PARSER(patterns); /* StrList of event patterns */
KEY_PARSER(handlers); /* StrList of handler names */
KEY_PARSER(heal);     /* bits */
KEY_PARSER(labels);   /* StrList of k=v, sorted */
KEY_PARSER(type);
KEY_PARSER(restart);
KEY_PARSER(jitter);
KEY_PARSER(kill_mode);
KEY_PARSER(notify);
KEY_PARSER(exec); /* ExecCommands */
KEY_PARSER(exit_set);
KEY_PARSER(signal); /* int */
KEY_PARSER(cwd);    /* of the whole UnitConfig, as the rest */
KEY_PARSER(environment);
KEY_PARSER(env_files);
KEY_PARSER(names); /* StrList of identifiers */
KEY_PARSER(umask);
KEY_PARSER(nice);
KEY_PARSER(oom);
KEY_PARSER(limit);  /* arg: RLIMIT_*, arg2: 0 size or number, 1 seconds, 2 microseconds */
KEY_PARSER(output); /* OutputSpec */
KEY_PARSER(dirs);   /* StrList of relative names */
KEY_PARSER(probe);  /* ProbeConfig */
KEY_PARSER(profile);

/* %i %I instance, %p %N %n name, %t runtime, %S state, %d directory of the unit file, %% (systemd.unit(5)
 * "SPECIFIERS"). The copy lives in the unit's arena. 0; -EINVAL with c->why; -ENOMEM. */
int unit_specifiers(KeyContext *c, const char *s, char **ret);
/* The words of a value, without specifiers put in. 0; -EINVAL with c->why; -ENOMEM. */
int unit_words(KeyContext *c, const char *value, StrList *words);
