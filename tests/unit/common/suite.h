/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* main() of a check program: one case, TAP on stdout. */
#include <check.h>

#define TEST_MAIN(name, ...)                                                                                 \
        int main(void) {                                                                                     \
                const TTest *const tests[] = {__VA_ARGS__};                                                  \
                Suite *s = suite_create(name);                                                               \
                TCase *tc = tcase_create(name);                                                              \
                SRunner *sr = srunner_create(s);                                                             \
                int failed;                                                                                  \
                for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)                              \
                        tcase_add_test(tc, tests[i]);                                                        \
                suite_add_tcase(s, tc);                                                                      \
                srunner_set_tap(sr, "-");                                                                    \
                srunner_run_all(sr, CK_SILENT);                                                              \
                failed = srunner_ntests_failed(sr);                                                          \
                srunner_free(sr);                                                                            \
                return failed ? 1 : 0;                                                                       \
        }
