/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads the text of one unit file or drop-in into a UnitConfig. The lines go through inih (ini_parse_stream)
 * with a line reader of our own, see unit-file.c; the keys are one table (unit-keys.c). All problems of a
 * file are collected; parsing ends early only where a bound is hit.
 */
#include "common/error.h"
#include "guardian/unit.h"

enum {
        UNIT_FILE_MAX = 1024 * 1024, /* bytes of a file */
        UNIT_LINE_MAX = 64 * 1024,   /* bytes of one logical line, continuations joined */
        UNIT_KEYS_MAX = 4096,        /* assignments in one file */
        UNIT_LIST_MAX = 1024,        /* entries of one list */
};

/* Applies `text` to u. file: its path for messages and references. drop_in: scalars may override what the
 * unit's own file set. 0, also with problems (look at problems->errors); -ENOMEM. */
int unit_file_parse(
        UnitConfig *u, Str text, const char *file, bool drop_in, const UnitPaths *paths, Problems *problems);
/* Whole-unit rules once every file is applied: ExecStart given, numbers that exclude each other, Heal= on a
 * bootstrap unit, bare names of a shipped core unit resolved beside the chunks. 0 or -ENOMEM. */
int unit_file_finish(UnitConfig *u, const UnitPaths *paths, Problems *problems);

/* Raw assignments without meaning, for the fuzz target and tools: cb gets section, key, joined value, line
 * number; its return value != 0 ends the reading and is returned. Problems of form (line too long, NUL byte,
 * no '=') are reported. */
typedef int (*IniAssign)(void *user, const char *section, const char *key, const char *value, unsigned line);
int ini_read(Str text, const char *file, IniAssign cb, void *user, Problems *problems);

