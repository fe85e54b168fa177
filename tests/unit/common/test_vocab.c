/* SPDX-License-Identifier: Apache-2.0 */
#include "common/vocab.h"
#include "suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

START_TEST(names_go_both_ways) {
        for (int i = 0; i < _CODE_MAX; i++)
                ck_assert_int_eq(code_from_string(str_of(code_to_string(i))), i);
        for (int i = 0; i < _RECORD_MAX; i++)
                ck_assert_int_eq(record_kind_from_string(str_of(record_kind_to_string(i))), i);
        for (int i = 0; i < _HEAL_MAX; i++)
                ck_assert_int_eq(healing_action_from_string(str_of(healing_action_to_string(i))), i);
        ck_assert_str_eq(verdict_to_string(VERDICT_REQUIRE_APPROVAL), "require_approval");
        ck_assert_str_eq(unit_state_to_string(UNIT_QUARANTINED), "quarantined");
        ck_assert_str_eq(role_to_string(-1), "invalid");
        ck_assert_str_eq(mode_to_string(_MODE_MAX), "invalid");
        ck_assert_int_eq(outcome_from_string(STR_LIT("okay")), -EINVAL);
        ck_assert_int_eq(outcome_from_string((Str){0}), -EINVAL);
}
END_TEST

START_TEST(exit_statuses) {
        ck_assert_int_eq(code_exit_status(CODE_OK), 0);
        ck_assert_int_eq(code_exit_status(CODE_APPROVAL_REQUIRED), 5);
        ck_assert_int_eq(code_exit_status(CODE_UNKNOWN_UNIT), 6);
        ck_assert_int_eq(code_exit_status(CODE_GOVERNANCE_UNAVAILABLE), 4);
        ck_assert_int_eq(code_exit_status(CODE_DENIED_BY_RULE), 4);
        ck_assert_int_eq(code_exit_status(CODE_HEAL_NOT_LISTED), 4);
        ck_assert_int_eq(code_exit_status(CODE_STALE_TARGET), 1);
}
END_TEST

START_TEST(args_are_sorted_by_key) {
        ActionRequest r = {.n_args = 3, .args = {"b=1", "a.x=2", "a=3"}};

        ck_assert_int_eq(request_sort_args(&r), 0);
        ck_assert_str_eq(r.args[0], "a=3");
        ck_assert_str_eq(r.args[1], "a.x=2");
        ck_assert_str_eq(r.args[2], "b=1");
        strcpy(r.args[2], "a=4");
        ck_assert_int_eq(request_sort_args(&r), -EINVAL);
        strcpy(r.args[2], "novalue");
        ck_assert_int_eq(request_sort_args(&r), -EINVAL);
        strcpy(r.args[2], "=v");
        ck_assert_int_eq(request_sort_args(&r), -EINVAL);
        r.n_args = REQUEST_ARGS_MAX + 1;
        ck_assert_int_eq(request_sort_args(&r), -EINVAL);
}
END_TEST

static void fill(ActionRequest *r) {
        *r = (ActionRequest){.actor = "immune",
                .action = "restart_service",
                .target = "leaky",
                .incident = 17,
                .n_args = 2,
                .args = {"grace=5s", "reason=memory_growth"},
                .incarnation = {.pid = 4242, .start_time = 123456789}};
        for (unsigned i = 0; i < 16; i++) {
                r->request_id[i] = (uint8_t)i;
                r->incarnation.boot_id[i] = (uint8_t)(0xf0 + i);
        }
}

static void hex_digest(const ActionRequest *r, char hex[65]) {
        uint8_t d[32];

        request_digest(r, d);
        hex_encode(d, 32, hex);
}

/* The same two values stand in digest_vectors.py, which computes them by itself. */
START_TEST(golden_digests) {
        ActionRequest r;
        char hex[65];

        fill(&r);
        hex_digest(&r, hex);
        ck_assert_str_eq(hex, "6ff49618c2016fba78a847a4f2675f4f169b4e18f41570cda7768e5b20aae534");
        memset(&r, 0, sizeof(r));
        r.incident = UINT64_MAX;
        hex_digest(&r, hex);
        ck_assert_str_eq(hex, "7845a0b2c4907c289ee9520c70d3482e1e263f7cc702c2340a999a9946fc513f");
}
END_TEST

/* Each thing that a verdict is bound to changes the digest. */
START_TEST(digest_binds_everything) {
        char seen[12][65];
        ActionRequest r;
        unsigned n = 0;

#define VARIANT(change)                                                                                      \
        fill(&r);                                                                                            \
        change;                                                                                              \
        hex_digest(&r, seen[n++])
        VARIANT((void)0);
        VARIANT(r.request_id[15]++);
        VARIANT(r.actor[0] = 'x');
        VARIANT(r.action[0] = 'x');
        VARIANT(r.target[0] = 'x');
        VARIANT(r.incarnation.boot_id[0]++);
        VARIANT(r.incarnation.pid++);
        VARIANT(r.incarnation.start_time++);
        VARIANT(r.incident++);
        VARIANT(r.args[1][0] = 'x');
        VARIANT(r.n_args--);
        VARIANT(strcpy(r.actor, "immunerestart_service"); r.action[0] = 0);
        for (unsigned i = 0; i < n; i++)
                for (unsigned j = i + 1; j < n; j++)
                        ck_assert_str_ne(seen[i], seen[j]);
}
END_TEST

/* As the fields of a message, with one argument more where it is given, and back. */
static int carry(const ActionRequest *r, const char *more, ActionRequest *ret) {
        MsgBuilder b;

        msg_begin(&b, MSG_DECIDE);
        request_to_msg(r, &b);
        msg_put_cstr(&b, TAG_ARG, more);
        ck_assert_int_eq(b.error, 0);
        return request_from_msg(ret, &(Msg){.type = MSG_DECIDE, .header = {(const char *)b.header, b.len}});
}

START_TEST(a_request_is_the_same_on_the_other_side) {
        ActionRequest r, got;
        char here[65], there[65];

        fill(&r);
        for (unsigned i = 0; i < 2; i++, r.incident = UINT64_MAX) {
                memset(&got, 0xff, sizeof(got));
                ck_assert_int_eq(carry(&r, NULL, &got), 0);
                hex_digest(&r, here);
                hex_digest(&got, there);
                ck_assert_str_eq(here, there);
        }
}
END_TEST

START_TEST(a_request_with_too_much_is_refused) {
        ActionRequest r, got;
        char text[sizeof(r.args[0]) + 1] = "";

        fill(&r);
        memset(text, 'x', sizeof(r.args[0]));
        ck_assert_int_eq(carry(&r, text, &got), -EINVAL);
        text[sizeof(r.args[0]) - 1] = 0;
        ck_assert_int_eq(carry(&r, text, &got), 0);
        while (r.n_args < REQUEST_ARGS_MAX)
                strcpy(r.args[r.n_args++], "k=v");
        ck_assert_int_eq(carry(&r, NULL, &got), 0);
        ck_assert_int_eq(carry(&r, "one=more", &got), -EINVAL);
}
END_TEST

START_TEST(incarnations_and_ids) {
        Incarnation a = {.pid = 1, .start_time = 2}, b = a;
        char one[48], two[48];

        ck_assert(incarnation_eq(&a, &b));
        b.boot_id[3] = 1;
        ck_assert(!incarnation_eq(&a, &b));
        b = a;
        b.start_time++;
        ck_assert(!incarnation_eq(&a, &b));
        new_id("cor_", one, sizeof(one));
        new_id("cor_", two, sizeof(two));
        ck_assert_uint_eq(strlen(one), 36);
        ck_assert_str_ne(one, two);
}
END_TEST

TEST_MAIN("vocab", names_go_both_ways, exit_statuses, args_are_sorted_by_key, golden_digests,
        digest_binds_everything, a_request_is_the_same_on_the_other_side, a_request_with_too_much_is_refused,
        incarnations_and_ids)
