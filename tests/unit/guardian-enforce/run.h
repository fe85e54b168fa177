/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <check.h>

/* Runs a list of tests as TAP. */
static inline int run_tests(const char *name, const TTest *const *tests, unsigned n) {
        Suite *s = suite_create(name);
        TCase *t = tcase_create(name);
        for (unsigned i = 0; i < n; i++)
                tcase_add_test(t, tests[i]);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
#define RUN_TESTS(name, ...)                                                                                 \
        int main(void) {                                                                                     \
                const TTest *const tests[] = {__VA_ARGS__};                                                  \
                return run_tests(name, tests, sizeof(tests) / sizeof(tests[0]));                             \
        }
