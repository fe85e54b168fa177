/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/governance/trust.h"
#include <check.h>
#include <stdio.h>
#include <string.h>

static const TrustPolicy policy = {.initial = 70, .floor = 0, .ceiling = 100, .recovery_us = 1000000};
static Trust trust;

static void setup(void) {
        trust = (Trust){0};
}
static void teardown(void) {
        trust_done(&trust);
}

static GateNow at(uint64_t s) {
        return (GateNow){.boot_id = {1}, .boot_us = s * 1000000, .wall_us = s * 1000000};
}

static void move(const char *who, int64_t delta, uint64_t s) {
        GateNow now = at(s);
        ck_assert_int_eq(trust_move(&trust, &policy, who, delta, delta < 0 ? "failed" : "ok", s, &now), 0);
}

static int64_t score(const char *who, uint64_t s) {
        GateNow now = at(s);
        return trust_score(&trust, &policy, who, &now);
}

START_TEST(bounds_hold) {
        move("low", -200, 1);
        move("high", 200, 1);
        ck_assert_int_eq(score("low", 1), 0);
        ck_assert_int_eq(score("high", 1), 100);
        ck_assert_int_eq(score("high", 1000), 100); /* what is above the initial score stays */
        ck_assert_int_eq(score("low", 31), 30);
        move("low", -5, 31); /* from where it has recovered to */
        ck_assert_int_eq(score("low", 31), 25);
        ck_assert_int_eq(score("never seen", 31), 70);
}
END_TEST

/* The table is full: whoever moved longest ago is forgotten, and nobody else. */
START_TEST(the_oldest_move_makes_room) {
        char name[16];
        for (unsigned i = 0; i < TRUST_COMPONENTS_MAX; i++) {
                snprintf(name, sizeof(name), "u%u", i);
                move(name, -60, 1);
        }
        move("u0", -1, 2); /* not the oldest any more */
        move("new", -60, 2);
        ck_assert_uint_eq(trust.n, TRUST_COMPONENTS_MAX);
        ck_assert_int_eq(score("u1", 2), 70);
        ck_assert_int_eq(score("u0", 2), 10); /* ten, a point back, one off */
        ck_assert_int_eq(score("u2", 2), 11);
        ck_assert_int_eq(score("u255", 2), 11);
        ck_assert_int_eq(score("new", 2), 10);
}
END_TEST

static const char *json(const char *component, uint64_t s) {
        static char text[2000];
        Buf out = BUF_INIT(sizeof(text) - 1);
        JsonWriter w;
        GateNow now = at(s);
        json_init(&w, &out, true);
        trust_json(&trust, &policy, component, &now, &w);
        ck_assert_int_eq(json_finish(&w), 0);
        snprintf(text, sizeof(text), "%.*s", (int)out.len, (const char *)out.data);
        buf_done(&out);
        return text;
}

START_TEST(what_trust_says) {
        ck_assert_str_eq(json(NULL, 1), "[]");
        move("web", -10, 1);
        move("web", -10, 2);
        move("immune", 2, 3);
        ck_assert_str_eq(json("web", 4),
                "[{\"age_us\":2000000,\"component\":\"web\",\"initial\":70,\"observed\":2,\"score\":53,"
                "\"source\":{\"index\":2,\"what\":\"failed\"}}]");
        ck_assert_str_eq(json("we", 4), "[]");
        ck_assert_ptr_nonnull(
                strstr(json(NULL, 4), "\"component\":\"immune\",\"initial\":70,\"observed\":1,\"score\":72"));
}
END_TEST

int main(void) {
        Suite *s = suite_create("trust");
        TCase *t = tcase_create("trust");
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, bounds_hold);
        tcase_add_test(t, the_oldest_move_makes_room);
        tcase_add_test(t, what_trust_says);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
