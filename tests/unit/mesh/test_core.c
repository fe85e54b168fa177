/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/mesh/rig.h"
#include "chunks/mesh/jsonl.h"
#include <check.h>
#include <errno.h>

static Rig rig;

static void fresh(void) {
        rig_init(&rig, "version: 1\ndefault_trust: 0.5\nevents:\n"
                       "  - {type: unit.state, publishers: [guardian], flags: [audit]}\n"
                       "  - {type: a.high, min_trust_score: 0.8, priority: P0, flags: [audit, alert]}\n"
                       "  - {type: a.checked, flags: [validate, alert]}\n");
        rig_bind(&rig, "web", "a.**", "**", -1);
        rig_bind(&rig, "immune", "a.**", "a.*", 90);
}
static void done(void) {
        rig_done(&rig);
}

START_TEST(nothing_is_answered_or_routed_before_its_record) {
        MeshPeer *web = rig_peer(&rig, MESH_PEER_CHUNK, "web"),
                 *immune = rig_peer(&rig, MESH_PEER_CHUNK, "immune");

        mesh_subscribe(&rig.core, immune, 1, "a.*");
        ck_assert_str_eq(rig.code, "ok");
        rig_publish(&rig, web, "a.b", "{\"x\":1}", NULL);
        ck_assert_str_eq(rig.code, "");
        ck_assert_uint_eq(immune->out.items, 0);
        ck_assert_str_eq(rig.record_actor, "web");
        ck_assert_ptr_nonnull(strstr(rig.record, "\"payload\":\"{\\\"x\\\":1}\""));
        ck_assert_ptr_nonnull(strstr(rig.record, "\"source\":\"web\""));
        rig_ack(&rig, "ok");
        ck_assert_str_eq(rig.code, "ok");
        ck_assert_uint_eq(rig.index, 100);
        ck_assert_uint_eq(immune->out.items, 1);
        ck_assert_uint_eq(rig.core.counters.unlisted, 1);
}
END_TEST

START_TEST(a_refused_record_refuses_the_event) {
        MeshPeer *web = rig_peer(&rig, MESH_PEER_CHUNK, "web");

        mesh_subscribe(&rig.core, web, 1, "**");
        rig_publish(&rig, web, "a.b", "{}", "key");
        rig_ack(&rig, "ledger_failed");
        ck_assert_str_eq(rig.code, "E.DEPENDENCY_DOWN");
        ck_assert_uint_eq(web->out.items, 0);
        /* nothing happened under the key, so it is free */
        rig_publish(&rig, web, "a.b", "{}", "key");
        rig_ack(&rig, "ok");
        ck_assert_str_eq(rig.code, "ok");
}
END_TEST

START_TEST(identity_and_bindings) {
        MeshPeer *web = rig_peer(&rig, MESH_PEER_CHUNK, "web"),
                 *other = rig_peer(&rig, MESH_PEER_CHUNK, "other"),
                 *guardian = rig_peer(&rig, MESH_PEER_GUARDIAN, "guardian"),
                 *person = rig_peer(&rig, MESH_PEER_PERSON, "uid:1000");

        rig_publish(&rig, other, "a.b", "{}", NULL);
        ck_assert_str_eq(rig.code, "E.FORBIDDEN");
        rig_publish(&rig, web, "b.c", "{}", NULL);
        ck_assert_str_eq(rig.code, "E.FORBIDDEN");
        ck_assert_str_eq(rig.field, "type");
        rig_publish(&rig, person, "unit.state", "{}", NULL);
        ck_assert_str_eq(rig.code, "E.FORBIDDEN");
        ck_assert_msg(strstr(rig.record_result, "blocked:E.FORBIDDEN"),
                "a blocked event of an audited type is recorded");
        rig_publish(&rig, guardian, "unit.state", "{}", NULL);
        ck_assert_str_eq(rig.code, "");
        person->role = ROLE_OBSERVER;
        rig_publish(&rig, person, "a.b", "{}", NULL);
        ck_assert_str_eq(rig.code, "E.FORBIDDEN");
        web->validated = false;
        rig_publish(&rig, web, "a.b", "{}", NULL);
        ck_assert_str_eq(rig.code, "E.FORBIDDEN");
}
END_TEST

START_TEST(trust_floors) {
        MeshPeer *web = rig_peer(&rig, MESH_PEER_CHUNK, "web"),
                 *immune = rig_peer(&rig, MESH_PEER_CHUNK, "immune");

        rig_publish(&rig, web, "a.high", "{}", NULL); /* no score of its own: 0.5 */
        ck_assert_str_eq(rig.code, "E.GOVERNANCE_REQUIRED");
        rig_publish(&rig, immune, "a.high", "{}", NULL);
        ck_assert_str_eq(rig.code, "");
        ck_assert_ptr_nonnull(strstr(rig.record, "\"priority\":\"P0\""));
}
END_TEST

START_TEST(envelopes_are_checked) {
        MeshPeer *web = rig_peer(&rig, MESH_PEER_CHUNK, "web");

        rig_publish(&rig, web, "A.b", "{}", NULL);
        ck_assert_str_eq(rig.field, "type");
        rig_publish(&rig, web, "a.*", "{}", NULL);
        ck_assert_str_eq(rig.code, "E.VALIDATION");
        rig_publish(&rig, web, "a.b", "{\"x\":", NULL);
        ck_assert_str_eq(rig.code, "E.VALIDATION");
        rig.hops = 65;
        rig_publish(&rig, web, "a.b", "{}", NULL);
        ck_assert_str_eq(rig.field, "hop_count");
        rig.hops = 64;
        rig_publish(&rig, web, "a.b", "{}", NULL);
        ck_assert_str_eq(rig.code, "");
        ck_assert_uint_eq(rig.core.counters.hop_warnings, 1);
}
END_TEST

START_TEST(a_key_is_one_event) {
        MeshPeer *web = rig_peer(&rig, MESH_PEER_CHUNK, "web"),
                 *immune = rig_peer(&rig, MESH_PEER_CHUNK, "immune");

        rig_publish(&rig, web, "a.b", "{}", "k");
        rig_publish(&rig, web, "a.b", "{}", "k");
        ck_assert_str_eq(rig.code, "E.RETRYABLE");
        rig_ack(&rig, "ok");
        rig_publish(&rig, web, "a.b", "{}", "k");
        ck_assert_str_eq(rig.code, "ok");
        ck_assert_uint_eq(rig.index, 100);
        ck_assert_uint_eq(rig.core.counters.duplicates, 1);
        rig_publish(&rig, web, "a.b", "{\"y\":1}", "k");
        ck_assert_str_eq(rig.code, "E.CONFLICT");
        rig_publish(&rig, immune, "a.b", "{\"y\":1}", "k"); /* another's key */
        ck_assert_str_eq(rig.code, "");
        rig_ack(&rig, "ok");
        rig.now += MESH_IDEMPOTENCY_US;
        rig_publish(&rig, web, "a.b", "{\"y\":1}", "k");
        ck_assert_str_eq(rig.code, "");
}
END_TEST

START_TEST(validators_away_block_only_what_needs_them) {
        MeshPeer *web = rig_peer(&rig, MESH_PEER_CHUNK, "web");

        rig_publish(&rig, web, "a.checked", "{}", NULL);
        ck_assert_str_eq(rig.code, "E.DEPENDENCY_DOWN");
        rig_publish(&rig, web, "a.b", "{}", NULL);
        ck_assert_str_eq(rig.code, "");
        rig_ack(&rig, "ok");
        rig.validators = true;
        rig_publish(&rig, web, "a.checked", "{}", NULL);
        ck_assert_uint_eq(rig.appends, 1);
        rig_verdict(&rig, 0, "ok");
        ck_assert_uint_eq(rig.appends, 2);
        rig_ack(&rig, "ok");
        ck_assert_str_eq(rig.code, "ok");
        rig_publish(&rig, web, "a.checked", "{}", NULL);
        rig_verdict(&rig, 1, "E.POLICY_VIOLATION");
        ck_assert_str_eq(rig.code, "E.POLICY_VIOLATION");
        ck_assert_uint_eq(rig.alerts, 1);
        rig_publish(&rig, web, "a.checked", "{}", NULL);
        rig.now += MESH_VALIDATE_US;
        mesh_tick(&rig.core, rig.now);
        ck_assert_str_eq(rig.code, "E.DEPENDENCY_DOWN");
        rig_verdict(&rig, 0, "ok"); /* too late */
        ck_assert_uint_eq(rig.appends, 2);
        rig_publish(&rig, web, "a.checked", "{}", NULL);
        mesh_validators_lost(&rig.core, rig.now);
        ck_assert_str_eq(rig.code, "E.DEPENDENCY_DOWN");
        ck_assert_uint_eq(rig.core.n_pending, 0);
}
END_TEST

START_TEST(persons_are_limited) {
        MeshPeer *person = rig_peer(&rig, MESH_PEER_PERSON, "uid:1000");

        for (int i = 0; i < 100; i++) {
                rig_publish(&rig, person, "a.b", "{}", NULL);
                ck_assert_str_eq(rig.code, "");
                rig_ack(&rig, "ok");
        }
        rig_publish(&rig, person, "a.b", "{}", NULL);
        ck_assert_str_eq(rig.code, "E.RATE_LIMIT");
        ck_assert_uint_gt(rig.retry_ms, 0);
        rig.now += 10 * 1000;
        rig_publish(&rig, person, "a.b", "{}", NULL);
        ck_assert_str_eq(rig.code, "");
}
END_TEST

START_TEST(a_full_subscriber_pushes_back_or_is_cut) {
        MeshPeer *web = rig_peer(&rig, MESH_PEER_CHUNK, "web"),
                 *slow = rig_peer(&rig, MESH_PEER_CHUNK, "immune"),
                 *person = rig_peer(&rig, MESH_PEER_PERSON, "uid:1000");
        static char big[100 * 1024];

        memset(big, 'x', sizeof(big) - 2);
        big[0] = big[sizeof(big) - 2] = '"';
        mesh_subscribe(&rig.core, slow, 1, "a.*");
        mesh_subscribe(&rig.core, person, 1, "**");
        for (int i = 0; i < 100 && strcmp(rig.code, "E.RETRYABLE") != 0; i++) {
                rig_publish(&rig, web, "a.b", big, NULL);
                if (!rig.code[0])
                        rig_ack(&rig, "ok");
        }
        ck_assert_str_eq(rig.code, "E.RETRYABLE");
        ck_assert_uint_eq(rig.letters, 0);
        /* nobody subscribes to this but the person, who is no reason to wait and is cut when full */
        for (int i = 0; i < 30 && !rig.cut; i++) {
                rig_publish(&rig, web, "a.b.c", big, NULL);
                ck_assert_str_eq(rig.code, "");
                rig_ack(&rig, "ok");
        }
        ck_assert_ptr_eq(rig.cut, person);
        /* bulk is never refused: the oldest of it goes */
        rig.priority = "P3";
        rig_publish(&rig, web, "a.b", "{}", NULL);
        ck_assert_str_eq(rig.code, "");
}
END_TEST

START_TEST(subscriptions_stay_within_the_binding) {
        MeshPeer *immune = rig_peer(&rig, MESH_PEER_CHUNK, "immune");

        mesh_subscribe(&rig.core, immune, 1, "a.b");
        ck_assert_str_eq(rig.code, "ok");
        mesh_subscribe(&rig.core, immune, 1, "a.**");
        ck_assert_str_eq(rig.code, "E.FORBIDDEN");
        mesh_subscribe(&rig.core, immune, 1, "**");
        ck_assert_str_eq(rig.code, "E.FORBIDDEN");
        mesh_subscribe(&rig.core, immune, 1, "a..b");
        ck_assert_str_eq(rig.code, "E.VALIDATION");
}
END_TEST

/* The tree and the reference must agree, whatever the pattern. */
START_TEST(the_index_is_pattern_match) {
        static const char *const patterns[] = {"a", "a.b", "a.*", "*.b", "**", "a.**", "*", "a.*.c", "*.*",
                "a.b.**"},
                                 *const subjects[] = {
                                         "a", "a.b", "a.b.c", "b", "b.b", "a.x.c", "ab.c", "a.b.c.d"};
        for (size_t p = 0; p < ELEMENTSOF(patterns); p++) {
                Subs s = {0};
                int found;

                ck_assert_int_eq(subs_add(&s, patterns[p], &s), 0);
                ck_assert_int_eq(subs_add(&s, patterns[p], &s), -EEXIST);
                for (size_t i = 0; i < ELEMENTSOF(subjects); i++) {
                        found = 0;
                        subs_match(&s, subjects[i], rig_count, &found);
                        ck_assert_msg(found == pattern_match(patterns[p], subjects[i]), "%s %s", patterns[p],
                                subjects[i]);
                        /* what covers a pattern matches all that it matches */
                        for (size_t q = 0; q < ELEMENTSOF(patterns); q++)
                                if (pattern_covers(patterns[q], patterns[p]) && found)
                                        ck_assert(pattern_match(patterns[q], subjects[i]));
                }
                ck_assert_int_eq(subs_remove(&s, patterns[p], &s), 0);
                ck_assert_uint_eq(s.count, 0);
                subs_done(&s);
        }
}
END_TEST

#define LONG "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghij"
static const char *const LINES[][3] = {
        {"{\"op\":\"publish\",\"type\":\"a.b\",\"payload\":{\"x\":1},\"req\":3,\"headers\":{\"priority\":"
         "\"P1\"}}",
                NULL, NULL},
        {"{\"op\":\"publish\",\"type\":\"a.b\",\"domain\":\"a\",\"name\":\"A_B\"}", NULL, NULL},
        {"{\"op\":\"subscribe\",\"pattern\":\"a.*\",\"req\":1}", NULL, NULL},
        {"{\"op\":\"result\",\"req\":1,\"ok\":false,\"code\":\"E.TIMEOUT\"}", NULL, NULL},
        {"{\"op\":\"publish\",\"type\":\"a.b\",\"source\":\"guardian\"}", "E.FORBIDDEN", "source"},
        {"{\"op\":\"publish\",\"type\":\"a.b\",\"colour\":1}", "E.VALIDATION", "colour"},
        {"{\"op\":\"publish\",\"type\":\"a.b\",\"name\":\"X\"}", "E.VALIDATION", "name"},
        {"{\"op\":\"publish\"}", "E.VALIDATION", "type"},
        {"{\"op\":\"publish\",\"type\":\"a.b\",\"hop_count\":-1}", "E.VALIDATION", "hop_count"},
        {"{\"op\":\"publish\",\"type\":\"a.b\",\"type\":\"a.c\"}", "E.VALIDATION", ""},
        {"{\"op\":\"shout\"}", "E.VALIDATION", "op"},
        {"{\"op\":\"subscribe\",\"req\":\"1\",\"pattern\":\"a\"}", "E.VALIDATION", "req"},
        {"{\"op\":\"subscribe\",\"req\":9007199254740992,\"pattern\":\"a\"}", NULL, NULL},
        {"{\"op\":\"subscribe\",\"req\":9007199254740993,\"pattern\":\"a\"}", "E.VALIDATION", "req"},
        {"{\"op\":\"subscribe\",\"" LONG "\xc3\xa9\":1}", "E.VALIDATION",
                LONG}, /* cut, but not within a character */
        {"{\"op\":\"result\",\"req\":1}", "E.VALIDATION", "ok"},
        {"[1]", "E.VALIDATION", ""},
        {"{", "E.VALIDATION", ""},
};

START_TEST(lines_of_clients) {
        JsonlError err;
        JsonlOp op;
        int r = jsonl_parse(str_of(LINES[_i][0]), &op, &err);

        if (!LINES[_i][1]) {
                ck_assert_msg(r == 0, "%s: %s", LINES[_i][0], err.message);
                jsonl_op_done(&op);
                return;
        }
        ck_assert_int_eq(r, -EINVAL);
        ck_assert_str_eq(err.code, LINES[_i][1]);
        ck_assert_str_eq(err.field, LINES[_i][2]);
}
END_TEST

/* Others' events wait for the ledger; a person is told, and then nothing is recorded behind his back. */
START_TEST(a_person_is_told_that_the_ledger_is_away) {
        MeshPeer *person = rig_peer(&rig, MESH_PEER_PERSON, "uid:1000"),
                 *web = rig_peer(&rig, MESH_PEER_CHUNK, "web");

        rig.away = true;
        rig_publish(&rig, web, "a.b", "{}", NULL);
        ck_assert_uint_eq(rig.appends, 1);
        rig_publish(&rig, person, "a.b", "{}", "k");
        ck_assert_uint_eq(rig.appends, 1);
        ck_assert_uint_eq(mesh_tick(&rig.core, rig.now), rig.now + MESH_LEDGER_US);
        ck_assert_str_eq(rig.code, "");
        rig.now += MESH_LEDGER_US;
        mesh_tick(&rig.core, rig.now);
        ck_assert_str_eq(rig.code, "ledger_unavailable");
        ck_assert_int_eq(mesh_code_status(rig.code), 4);
        /* it is back in time: recorded, once; the key was free again */
        rig_publish(&rig, person, "a.b", "{}", "k");
        rig.away = false;
        rig.now += MESH_LEDGER_US / 2; /* the person's patience has one limit for both */
        ck_assert_uint_eq(mesh_tick(&rig.core, rig.now), rig.now + MESH_LEDGER_US / 2);
        ck_assert_uint_eq(rig.appends, 2);
        rig_ack(&rig, "ok");
        ck_assert_str_eq(rig.code, "ok");
        /* it was given to a ledger that does not answer: that is said, and what comes later goes its way */
        rig_publish(&rig, person, "a.b", "{}", NULL);
        ck_assert_uint_eq(rig.appends, 3);
        rig.now += MESH_LEDGER_US;
        mesh_tick(&rig.core, rig.now);
        ck_assert_str_eq(rig.code, "ledger_unavailable");
        ck_assert_uint_eq(mesh_tick(&rig.core, rig.now), UINT64_MAX);
        unsigned before = rig.events;
        rig_ack(&rig, "ok");
        ck_assert_uint_eq(rig.events, before + 1);
        ck_assert_uint_eq(rig.core.n_pending, 1); /* web's */
        rig_publish(&rig, person, "a.b", "{}", NULL);
        rig_ack(&rig, "ledger_failed");
        ck_assert_str_eq(rig.code, "ledger_unavailable");
}
END_TEST

int main(void) {
        Suite *s = suite_create("mesh-core");
        TCase *t = tcase_create("router");
        SRunner *r;
        int failed;

        tcase_add_checked_fixture(t, fresh, done);
        tcase_add_test(t, nothing_is_answered_or_routed_before_its_record);
        tcase_add_test(t, a_refused_record_refuses_the_event);
        tcase_add_test(t, identity_and_bindings);
        tcase_add_test(t, trust_floors);
        tcase_add_test(t, envelopes_are_checked);
        tcase_add_test(t, a_key_is_one_event);
        tcase_add_test(t, validators_away_block_only_what_needs_them);
        tcase_add_test(t, persons_are_limited);
        tcase_add_test(t, a_person_is_told_that_the_ledger_is_away);
        tcase_add_test(t, a_full_subscriber_pushes_back_or_is_cut);
        tcase_add_test(t, subscriptions_stay_within_the_binding);
        tcase_add_test(t, the_index_is_pattern_match);
        tcase_add_loop_test(t, lines_of_clients, 0, ELEMENTSOF(LINES));
        suite_add_tcase(s, t);
        r = srunner_create(s);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
