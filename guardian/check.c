/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/check.h"
#include "guardian/policy-files.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *nearest_in(const UnitSet *s, const char *name) {
        const char **names = calloc(s->n ? s->n : 1, sizeof(char *)), *near = NULL;
        for (unsigned i = 0; names && i < s->n; i++)
                names[i] = s->units[i]->name;
        if (names)
                near = nearest_name(name, names, s->n);
        free(names);
        return near;
}

int check_all(const Options *o, Problems *problems, UnitSet **set, Plan **plan) {
        const char *dirs[OPTIONS_DIRS_MAX];
        UnitSet *s = NULL;
        Plan *p = NULL;
        if (set)
                *set = NULL;
        if (plan)
                *plan = NULL;
        for (unsigned i = 0; i < o->n_unit_dirs; i++)
                dirs[i] = o->unit_dirs[i];
        UnitLoad load = {.core_dir = o->core_dir,
                .dirs = dirs,
                .n_dirs = o->n_unit_dirs,
                .no_core = o->no_core,
                .only = o->only,
                .n_only = o->n_only,
                .must_exist = dirs + (o->n_unit_dirs - o->n_unit_dirs_given),
                .n_must_exist = o->n_unit_dirs_given,
                .paths = {.runtime_dir = o->runtime_dir,
                        .state_dir = o->state_dir,
                        .libexec_dir = o->libexec_dir}};
        int r = unit_set_load(&load, &s, problems);
        if (r < 0)
                return r;
        if (o->exit_code_from && !unit_set_find(s, o->exit_code_from)) {
                const char *near = nearest_in(s, o->exit_code_from);
                char hint[200];
                snprintf(hint, sizeof(hint), "did you mean '%s'?", near ? near : "");
                problem_add(problems, PROBLEM_ERROR, "--exit-code-from", 0, 0, "unknown-unit",
                        near ? hint : "units are NAME.chunk in the unit directories", "unknown unit '%s'",
                        o->exit_code_from);
        }
        r = policy_files_check(o, problems);
        if (s->n == 0)
                problem_add(problems, PROBLEM_ERROR, o->core_dir, 0, 0, "empty-set",
                        "--units DIR names a directory of unit files", "there is no unit to boot");
        /* Planned even when a file is bad, so that one run shows everything. */
        if (r == 0)
                r = plan_build(s->units, s->n, &p, problems);
        if (r < 0) {
                unit_set_free(s);
                return r;
        }
        if (problems->errors > 0)
                p = plan_free(p);
        if (plan)
                *plan = p;
        else
                plan_free(p);
        if (set)
                *set = s;
        else
                unit_set_free(s);
        return 0;
}
