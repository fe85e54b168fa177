/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* main() of a test program of this folder, and units made without files. */
#include "guardian/unit.h"
#include <check.h>
#include <string.h>

#define SUITE_MAIN(name, ...)                                                                                \
        int main(void) {                                                                                     \
                const TTest *const tests[] = {__VA_ARGS__};                                                  \
                Suite *s = suite_create(name);                                                               \
                TCase *t = tcase_create(name);                                                               \
                for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)                                \
                        tcase_add_test(t, tests[i]);                                                         \
                suite_add_tcase(s, t);                                                                       \
                SRunner *r = srunner_create(s);                                                              \
                srunner_set_tap(r, "-");                                                                     \
                srunner_run_all(r, CK_SILENT);                                                               \
                int failed = srunner_ntests_failed(r);                                                       \
                srunner_free(r);                                                                             \
                return failed != 0;                                                                          \
        }

/* A unit of a stage with one command. */
static inline UnitConfig *make_unit(const char *name, uint32_t priority_milli) {
        UnitConfig *u = unit_config_new(name);
        ck_assert_ptr_nonnull(u);
        u->priority_milli = priority_milli;
        u->start_retries = 0;
        u->file = arena_strndup(&u->arena, name, strlen(name));
        u->exec[EXEC_START].items = arena_alloc(&u->arena, sizeof(ExecCommand));
        u->exec[EXEC_START].n = 1;
        return u;
}

static inline void add_ref(UnitConfig *u, UnitRefs *refs, const char *name) {
        refs->items = arena_grow(&u->arena, refs->items, refs->n, sizeof(UnitRef));
        ck_assert_ptr_nonnull(refs->items);
        refs->items[refs->n] = (UnitRef){arena_strndup(&u->arena, name, strlen(name)), u->file, refs->n + 10};
        refs->n++;
}
