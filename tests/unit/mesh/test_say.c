/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/mesh.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include <check.h>
#include <stdio.h>

static uint64_t now_us;
static unsigned lines;
static Mesh m;

static uint64_t wall(void *user) {
        (void)user;
        return 1795230000000000000u;
}

static uint64_t boot(void *user) {
        (void)user;
        return now_us * 1000;
}
static const ClockSource source = {boot, wall, NULL};

static bool count(void *user, const void *line, size_t n) {
        (void)user, (void)line, (void)n;
        lines++;
        return true;
}

static void say_of_many(unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                char about[16];

                snprintf(about, sizeof(about), "w%u", i);
                mesh_say(&m, LOG_LEVEL_WARNING, "at its limit", about, "x");
        }
}

START_TEST(many_things_by_turns_are_no_flood) {
        now_us = 1000000;
        clock_set_source(&source);
        log_set_sink(count, NULL);
        say_of_many(2);
        say_of_many(2);
        ck_assert_uint_eq(lines, 2);
        for (unsigned turn = 0; turn < 10; turn++)
                say_of_many(200);
        ck_assert_uint_eq(lines, ELEMENTSOF(m.said) + 1);
        now_us += LOG_LIMIT_US; /* and again */
        say_of_many(2);
        ck_assert_uint_eq(lines, ELEMENTSOF(m.said) + 3);
        log_set_sink(NULL, NULL);
        clock_set_source(NULL);
}
END_TEST

int main(void) {
        Suite *s = suite_create("mesh-say");
        TCase *t = tcase_create("say");
        SRunner *r = srunner_create(s);
        int failed;

        tcase_add_test(t, many_things_by_turns_are_no_flood);
        suite_add_tcase(s, t);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed != 0;
}
