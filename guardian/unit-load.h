/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Finds and reads the units of a set: directories in order, a later file of the same name replaces an earlier
 * one, drop-ins in NAME.chunk.d, templates instantiated by a symlink or by a dependency that names them. A
 * symlink to /dev/null removes a unit.
 */
#include "guardian/unit-file.h"

typedef struct UnitSet {
        UnitConfig **units; /* sorted by name */
        unsigned n;
        bool governed; /* holds a unit named governance */
} UnitSet;

typedef struct UnitLoad {
        const char *core_dir;    /* lib/guardian/units */
        const char *const *dirs; /* then these, in order */
        unsigned n_dirs;
        bool no_core;
        const char *const *only; /* unit names; n_only 0: all */
        unsigned n_only;
        const char *const
                *must_exist; /* directories named by the user: absence is an error (others may be absent) */
        unsigned n_must_exist;
        UnitPaths paths;
} UnitLoad;

/* 0 with *ret (free with unit_set_free), even with problems: look at problems->errors before you use it.
 * -ENOMEM. With `only`, the set is those units, what they require or link to, transitively, and the core set.
 * A unit with Enabled=no stays in the set (`start` may name it) and boots only when a booting unit requires,
 * wants or links to it: `boots` of the plan. */
int unit_set_load(const UnitLoad *load, UnitSet **ret, Problems *problems);
UnitSet *unit_set_free(UnitSet *s);
/* NULL: none. Binary search. */
UnitConfig *unit_set_find(const UnitSet *s, const char *name);
