/* SPDX-License-Identifier: Apache-2.0 */
/* Options of one verb, and times that people write. */
#include "common/clock.h"
#include "guardian/ctl/args.h"
#include "guardian/ctl/show.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Parsed {
        bool flag;
        const char *value, *list[2];
        int n_list, n_words, status;
        char *words[2];
} Parsed;

static Parsed parse(int argc, const char *const *argv) {
        Parsed p = {0};
        char *copy[12];
        const CtlOption options[] = {{.name = "--flag", .flag = &p.flag},
                {.name = "--value", .value = &p.value},
                {.name = "--item", .list = p.list, .n_list = &p.n_list, .max_list = 2}, {0}};
        for (int i = 0; i < argc; i++)
                copy[i] = (char *)(uintptr_t)argv[i]; /* never written to; p.words keeps them */
        p.status = ctl_options(argc, copy, options, p.words, 2, &p.n_words);
        return p;
}
#define PARSE(...)                                                                                           \
        ({                                                                                                   \
                const char *const a_[] = {"kill", __VA_ARGS__};                                              \
                parse((int)(sizeof(a_) / sizeof(*a_)), a_);                                                  \
        })

START_TEST(options_and_operands) {
        Parsed p = PARSE("one", "--flag", "--value", "v", "--item", "a", "two", "--item", "b");
        ck_assert_int_eq(p.status, CTL_OK);
        ck_assert(p.flag);
        ck_assert_str_eq(p.value, "v");
        ck_assert_int_eq(p.n_list, 2);
        ck_assert_str_eq(p.list[1], "b");
        ck_assert_int_eq(p.n_words, 2);
        ck_assert_str_eq(p.words[1], "two");
}
END_TEST

START_TEST(a_value_may_look_like_an_option) {
        Parsed p = PARSE("--value", "--flag");
        ck_assert_int_eq(p.status, CTL_OK);
        ck_assert_str_eq(p.value, "--flag");
        ck_assert(!p.flag);
}
END_TEST

START_TEST(two_dashes_end_options) {
        Parsed p = PARSE("--", "--flag", "-x");
        ck_assert_int_eq(p.status, CTL_OK);
        ck_assert(!p.flag);
        ck_assert_int_eq(p.n_words, 2);
        ck_assert_str_eq(p.words[0], "--flag");
        p = PARSE("-");
        ck_assert_int_eq(p.status, CTL_OK);
        ck_assert_str_eq(p.words[0], "-");
}
END_TEST

START_TEST(what_is_wrong_is_usage) {
        ck_assert_int_eq(PARSE("--nonsense").status, CTL_USAGE);
        ck_assert_int_eq(PARSE("-x").status, CTL_USAGE);
        ck_assert_int_eq(PARSE("--value").status, CTL_USAGE);
        ck_assert_int_eq(PARSE("a", "b", "c").status, CTL_USAGE);
        ck_assert_int_eq(PARSE("--item", "a", "--item", "b", "--item", "c").status, CTL_USAGE);
        ck_assert_int_eq(PARSE("--value", "a", "--value", "b").status, CTL_USAGE);
        ck_assert_int_eq(PARSE("a", "b").status, CTL_OK);
}
END_TEST

static uint64_t wall(void *user) {
        return *(uint64_t *)user;
}
static uint64_t boot(void *user) {
        (void)user;
        return 1;
}

START_TEST(times_and_durations_back_from_now) {
        uint64_t now, ns;
        ck_assert_int_eq(parse_time("2026-11-21T03:00:00.000Z", &now), 0);
        const ClockSource clock = {.boot_ns = boot, .wall_ns = wall, .user = &now};
        clock_set_source(&clock);
        ck_assert_int_eq(ctl_since("2026-11-21T02:59:00.500Z", &ns), 0);
        ck_assert_uint_eq(now - ns, 59500000000ull);
        ck_assert_int_eq(ctl_since("10min", &ns), 0);
        ck_assert_uint_eq(now - ns, 600000000000ull);
        ck_assert_int_eq(ctl_since("1min 30s", &ns), 0);
        ck_assert_uint_eq(now - ns, 90000000000ull);
        ck_assert_int_eq(ctl_since("30000d", &ns), 0); /* before 1970 */
        ck_assert_uint_eq(ns, 0);
        ck_assert_int_eq(ctl_since("500000d", &ns), 0); /* more than fits nanoseconds */
        ck_assert_uint_eq(ns, 0);
        ck_assert_int_eq(ctl_since("yesterday", &ns), -EINVAL);
        ck_assert_int_eq(ctl_since("infinity", &ns), -EINVAL);
        ck_assert_int_eq(ctl_since("", &ns), -EINVAL);
        clock_set_source(NULL);
}
END_TEST

int main(void) {
        Suite *s = suite_create("ctl-args");
        TCase *tc = tcase_create("args");
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(null, STDERR_FILENO);
        tcase_add_test(tc, options_and_operands);
        tcase_add_test(tc, a_value_may_look_like_an_option);
        tcase_add_test(tc, two_dashes_end_options);
        tcase_add_test(tc, what_is_wrong_is_usage);
        tcase_add_test(tc, times_and_durations_back_from_now);
        suite_add_tcase(s, tc);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed != 0;
}
