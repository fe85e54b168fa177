/* SPDX-License-Identifier: Apache-2.0 */
/* A killed kernel starts again: what it knew stands in the ledger. */
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S(n) ((uint64_t)(n)*1000000)

static uint64_t leaky(const char *unit, uint64_t pid, uint64_t us, void *user) {
        (void)unit;
        (void)user;
        return (20ULL << 20) + (pid == 50 ? us / 1000000 * (8 << 20) : 0);
}

static Rig *proposed(void) {
        Rig *r = rig_new();
        r->rss = leaky;
        rig_unit(r, "leaky", 50, UNIT_RUNNING);
        rig_run(r, S(21));
        ck_assert_uint_eq(r->n_proposals, 1);
        return r;
}

/* A second life over the records of the first. */
static Rig *reborn(const Rig *old, uint64_t pid) {
        Rig *r = rig_new_unfolded(2);
        const char *names[] = {"leaky"};

        r->now = old->now;
        r->rss = leaky;
        memcpy(r->pid_start_us, old->pid_start_us, sizeof(r->pid_start_us));
        for (unsigned i = 0; i < old->n_records; i++) {
                const RigRecord *rec = &old->records[i];
                immune_fold(
                        r->core, rec->kind, rec->index, r->now.wall_ns, rec->correlation, str_of(rec->body));
        }
        rig_snapshot(r, names, &pid, 1);
        ck_assert_uint_eq(r->n_proposals, 0);
        ck_assert_int_eq(immune_folded(r->core, r->now), 0);
        rig_drain(r);
        return r;
}

static void add_record(Rig *r, RecordKind kind, const char *correlation, const char *body) {
        RigRecord *rec = &r->records[r->n_records];
        *rec = (RigRecord){.kind = kind, .index = 1000 + r->n_records, .body = strdup(body)};
        strcpy(rec->correlation, correlation);
        r->n_records++;
}

START_TEST(a_question_is_asked_again) {
        Rig *a = proposed();
        Rig *b = reborn(a, 50);
        ck_assert_uint_eq(b->n_proposals, 0);
        rig_run(b, S(11));
        ck_assert_uint_eq(b->n_proposals, 1);
        ck_assert_str_eq(b->proposals[0].correlation, a->proposals[0].correlation);
        ck_assert_uint_eq(b->proposals[0].incident, a->proposals[0].incident);
        /* still open at Guardian: busy, and no new record for each try */
        rig_answer(b, &b->proposals[0], CODE_TARGET_BUSY, false, -1);
        rig_event(b, "leaky", 51, UNIT_RUNNING, RESTART_HEALING, -1, 15);
        rig_run(b, S(40));
        ck_assert_str_eq(rig_field(b, "state"), "verified");
        ck_assert_uint_eq(b->n_proposals, 1);
        rig_free(a);
        rig_free(b);
}
END_TEST

START_TEST(what_ran_meanwhile_is_verified) {
        Rig *a = proposed();
        const char *cor = a->proposals[0].correlation;
        add_record(a, RECORD_DECISION, cor, "{\"verdict\":\"allow\"}");
        add_record(a, RECORD_INTENT, cor, "{}");
        add_record(a, RECORD_ACTION, cor, "{\"outcome\":\"ok\"}");
        a->pid_start_us[51] = a->now.boot_us;
        Rig *b = reborn(a, 51);
        ck_assert_str_eq(rig_field(b, "state"), "healed");
        rig_run(b, S(8));
        ck_assert_str_eq(rig_field(b, "state"), "verified");
        ck_assert_uint_eq(b->n_proposals, 0);
        rig_run(b, S(301));
        ck_assert_str_eq(rig_field(b, "state"), "closed");
        rig_free(a);
        rig_free(b);
}
END_TEST

START_TEST(verified_stays_verified_and_closes) {
        Rig *a = proposed();
        rig_event(a, "leaky", 51, UNIT_RUNNING, RESTART_HEALING, -1, 15);
        RigProposal p = a->proposals[0];
        rig_answer(a, &p, CODE_OK, false, OUTCOME_OK);
        rig_run(a, S(8));
        ck_assert_str_eq(rig_field(a, "state"), "verified");
        Rig *b = reborn(a, 51);
        ck_assert_uint_eq(b->n_records, 0);
        rig_run(b, S(301));
        ck_assert_str_eq(rig_field(b, "state"), "closed");
        ck_assert_str_eq(rig_field(b, "outcome"), "fixed");
        Rig *c = reborn(b, 51);
        rig_run(c, S(1000));
        ck_assert_uint_eq(c->n_records, 0);
        rig_free(a);
        rig_free(b);
        rig_free(c);
}
END_TEST

START_TEST(a_person_is_not_asked_twice) {
        Rig *a = proposed();
        RigProposal p = a->proposals[0];
        rig_answer(a, &p, CODE_APPROVAL_DENIED, false, -1);
        ck_assert_str_eq(rig_field(a, "state"), "escalated");
        Rig *b = reborn(a, 50);
        rig_run(b, S(3600));
        ck_assert_uint_eq(b->n_proposals, 0);
        ck_assert_uint_eq(rig_count_events(b, "incident.escalated"), 0);
        rig_free(a);
        rig_free(b);
}
END_TEST

START_TEST(the_json_is_the_same_before_and_after) {
        Rig *a = proposed();
        Rig *b = rig_new_unfolded(3);
        Buf one = BUF_INIT(65536), two = BUF_INIT(65536);
        JsonWriter w;

        for (unsigned i = 0; i < a->n_records; i++)
                immune_fold(b->core, a->records[i].kind, a->records[i].index, 0, a->records[i].correlation,
                        str_of(a->records[i].body));
        json_init(&w, &one, false);
        ck_assert_int_eq(immune_incident_json(a->core, a->proposals[0].correlation, &w), 0);
        ck_assert_int_eq(json_finish(&w), 0);
        json_init(&w, &two, false);
        ck_assert_int_eq(immune_incident_json(b->core, a->proposals[0].correlation, &w), 0);
        ck_assert_int_eq(json_finish(&w), 0);
        ck_assert_uint_eq(one.len, two.len);
        ck_assert_msg(memcmp(one.data, two.data, one.len) == 0, "%.*s\n%.*s", (int)one.len, one.data,
                (int)two.len, two.data);
        json_init(&w, &two, false);
        ck_assert_int_eq(immune_incident_json(b->core, "inc_none", &w), 1);
        buf_done(&one);
        buf_done(&two);
        rig_free(a);
        rig_free(b);
}
END_TEST

START_TEST(strange_records_change_nothing) {
        Rig *b = rig_new_unfolded(4);
        const char *bad[] = {"", "{}", "[]", "{\"id\":1}", "{\"id\":\"x\",\"type\":\"nope\"}", "not json"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                ck_assert_int_lt(immune_fold(b->core, RECORD_INCIDENT, i, 0, "cor_x", str_of(bad[i])), 0);
        ck_assert_int_lt(immune_fold(b->core, RECORD_ACTION, 1, 0, "cor_nobody", str_of("{}")), 0);
        ck_assert_int_lt(immune_fold(b->core, RECORD_ACTION, 1, 0, NULL, str_of("{}")), 0);
        ImmuneStats s;
        immune_stats(b->core, &s);
        ck_assert_uint_eq(s.open, 0);
        rig_free(b);
}
END_TEST

START_TEST(nothing_is_opened_before_the_fold) {
        Rig *r = rig_new_unfolded(5);
        r->rss = leaky;
        rig_unit(r, "leaky", 50, UNIT_RUNNING);
        rig_claim(r, "leaky", "memory_leak", SEVERITY_HIGH);
        rig_run(r, S(40));
        ck_assert_uint_eq(r->n_records, 0);
        immune_snapshot_begin(r->core, r->now);
        rig_unit(r, "leaky", 50, UNIT_RUNNING);
        immune_snapshot_end(r->core, r->now);
        immune_folded(r->core, r->now);
        rig_drain(r);
        rig_run(r, S(6));
        ck_assert_uint_eq(r->n_proposals, 1);
        rig_free(r);
}
END_TEST

int main(void) {
        Suite *s = suite_create("immune-fold");
        TCase *tc = tcase_create("all");
        tcase_add_test(tc, a_question_is_asked_again);
        tcase_add_test(tc, what_ran_meanwhile_is_verified);
        tcase_add_test(tc, verified_stays_verified_and_closes);
        tcase_add_test(tc, a_person_is_not_asked_twice);
        tcase_add_test(tc, the_json_is_the_same_before_and_after);
        tcase_add_test(tc, strange_records_change_nothing);
        tcase_add_test(tc, nothing_is_opened_before_the_fold);
        suite_add_tcase(s, tc);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int bad = srunner_ntests_failed(sr);
        srunner_free(sr);
        return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
