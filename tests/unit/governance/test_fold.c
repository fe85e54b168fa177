/* SPDX-License-Identifier: Apache-2.0 */
/* What the gate remembers: over a restart, over another policy, and when its tables are full; what it can't
 * read. */
#include "fixture.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MIN 60000000ull
static World w;

static void setup(void) {
        w = (World){0};
        world_start(&w, shipped_policy(), MIN);
        world_ack(&w, 1); /* config(policy) */
}
static void teardown(void) {
        world_done(&w);
}

static void expect(Verdict v, Code c) {
        ck_assert_str_eq(verdict_to_string((int)last_verdict(&w)), verdict_to_string((int)v));
        ck_assert_str_eq(code_to_string((int)last_code(&w)), code_to_string((int)c));
}

static void heal(unsigned id, const char *target) {
        ask(&w, &(Ask){.id = id, .at_us = MIN, .target = target});
        world_ack(&w, 1);
}

/* The shipped policy with `more` behind one of its files: another revision. `drop_budgets`: without budgets.
 */
static GatePolicy *other_policy(bool drop_budgets) {
        static const char *const names[] = {
                "actions.yaml", "constitution.yaml", "governance.yaml", "roles.yaml", "trust.yaml"};
        static char text[5][16384];
        GatePolicyFile files[5];
        Problems p = {0};
        GatePolicy *policy;
        for (unsigned i = 0; i < 5; i++) {
                char path[600];
                snprintf(path, sizeof(path), "%s/%s", POLICY_DIR, names[i]);
                FILE *f = fopen(path, "r");
                ck_assert_ptr_nonnull(f);
                size_t n = fread(text[i], 1, sizeof(text[i]) - 2, f);
                fclose(f);
                text[i][n] = '\0';
                if (i == 2 && drop_budgets) {
                        char *from = strstr(text[i], "\nbudgets:"), *to = strstr(text[i], "\nrules:");
                        ck_assert(from && to && from < to);
                        memmove(from, to, strlen(to) + 1);
                }
                strcat(text[i], "\n");
                files[i] = (GatePolicyFile){names[i], names[i], str_of(text[i])};
        }
        int r = gate_policy_compile(files, 5, 0, &p, &policy);
        ck_assert_msg(r == 0, "%s", p.n ? p.items[0].message : "");
        problems_done(&p);
        return policy;
}

/* A reload is no way to more healing. */
START_TEST(what_was_spent_stays_spent_under_another_policy) {
        for (unsigned i = 1; i <= 3; i++)
                heal(i, "web");
        ck_assert_int_eq(gate_set_policy(w.gate, other_policy(false)), 0);
        world_ack(&w, 1);
        ck_assert_str_eq(w.records[w.n - 1].result, gate_policy(w.gate)->revision);
        heal(4, "web");
        expect(VERDICT_DENY, CODE_BUDGET_EXCEEDED);
        heal(5, "db");
        expect(VERDICT_ALLOW, CODE_OK);
        /* of a budget that is no more nothing is left */
        ck_assert_int_eq(gate_set_policy(w.gate, other_policy(true)), 0);
        world_ack(&w, 1);
        heal(6, "web");
        expect(VERDICT_ALLOW, CODE_OK);
}
END_TEST

START_TEST(a_new_policy_after_the_end_changes_nothing) {
        gate_ledger_failed(w.gate);
        ck_assert_str_eq(w.ended, "the ledger failed");
        w.ended = NULL;
        unsigned n = w.n, sent_before = w.n_sent;
        gate_ledger_failed(w.gate); /* said once */
        ck_assert_ptr_null(w.ended);
        ck_assert_int_eq(gate_set_policy(w.gate, other_policy(false)), 0);
        ask(&w, &(Ask){.id = 1, .at_us = MIN});
        answer(&w, &(Ask){.id = 1, .at_us = MIN}, "approved", 1);
        ck_assert_uint_eq(w.n, n);
        ck_assert_uint_eq(w.n_sent, sent_before);
}
END_TEST

START_TEST(questions_have_an_end) {
        char name[8];
        for (unsigned i = 1; i <= GATE_PENDING_MAX + 1; i++) {
                snprintf(name, sizeof(name), "u%u", i);
                ask(&w, &(Ask){.id = i, .at_us = MIN, .critical = true, .target = name});
                world_ack(&w, 1);
                if (i <= GATE_PENDING_MAX)
                        ck_assert_int_eq(last_verdict(&w), VERDICT_REQUIRE_APPROVAL);
        }
        expect(VERDICT_DENY, CODE_BUSY);
        ck_assert_int_eq(w.records[w.n - 1].bits, VERDICT_BIT_DENY); /* and that is on record */
        ask(&w, &(Ask){.id = 999, .at_us = MIN, .target = "last"});  /* what needs nobody goes on */
        world_ack(&w, 1);
        expect(VERDICT_ALLOW, CODE_OK);
}
END_TEST

/* The oldest settled request makes room: its id is then new again, an open question's is not. */
START_TEST(a_full_table_forgets_what_is_settled) {
        Ask question = {.id = 1, .at_us = MIN, .critical = true},
            settled = {.id = 2, .at_us = MIN, .action = "fly"};
        ask(&w, &question);
        ask(&w, &settled);
        world_ack(&w, 2);
        unsigned base = w.n;
        for (unsigned i = 3; i <= GATE_KNOWN_MAX + 1; i++) {
                ask(&w, &(Ask){.id = i, .at_us = MIN, .action = "fly"});
                world_ack(&w, 1);
                w.n = w.durable = base; /* the array is shorter than the gate's memory */
                w.n_sent = 0;
        }
        ask(&w, &question);
        ck_assert_uint_eq(w.n, base);
        expect(VERDICT_REQUIRE_APPROVAL, CODE_APPROVAL_REQUIRED);
        settled.action = "jump"; /* another digest under an id that is known no more */
        ask(&w, &settled);
        world_ack(&w, 1);
        expect(VERDICT_DENY, CODE_UNKNOWN_ACTION);
        ck_assert_uint_eq(w.n, base + 1);
}
END_TEST

/* Nothing is decided before the past is known. */
START_TEST(before_the_fold_is_complete) {
        static const GateOps none = {NULL, NULL, NULL};
        uint8_t id[16] = {1}, digest[32] = {2};
        MsgBuilder b;
        Msg m;
        Gate *g;
        ck_assert_int_eq(gate_new(shipped_policy(), &none, NULL, &g), 0);
        msg_begin(&b, MSG_DECIDE);
        msg_put_bytes(&b, TAG_REQUEST_ID, id);
        msg_put_bytes(&b, TAG_DIGEST, digest);
        m = (Msg){.type = MSG_DECIDE, .header = {(const char *)b.header, b.len}, .fd = -1};
        ck_assert_int_eq(gate_decide(g, &m), -EAGAIN);
        ck_assert_int_eq(gate_answered(g, &m), -EAGAIN);
        ck_assert_int_eq(gate_set_policy(g, shipped_policy()), 0); /* and nothing is said of another policy */
        gate_free(g);
}
END_TEST

static const Ask malformed[] = {
        {.fact = "a=i:1", .label = "novalue"},
        {.label = "tier=db"}, /* the other one says web */
        {.label = "t$=x"},
        {.label = "0123456789012345678901234567890123456789012345678901234567890123=x"},
        {.fact = "=i:1"},
        {.fact = "x=i:"},
        {.fact = "x=i:1x"},
        {.fact = "x=i: 1"},
        {.fact = "x=i:9007199254740993"},
        {.fact = "x=b:2"},
        {.fact = "x=i1"},
        {.claim = "noteq"},
        {.arg = "novalue"},
        {.arg = "t$=x"},
        {.kind = "robot"},
        {.purpose = "think"},
        {.kind = "person", .actor = "uid:1000", .role = (Role)99},
        {.mode = (Mode)99},
};

START_TEST(a_malformed_request_is_denied_and_recorded) {
        Ask a = malformed[_i];
        a.id = 1;
        a.at_us = MIN;
        ask(&w, &a);
        world_ack(&w, 1);
        expect(VERDICT_DENY, CODE_INVALID);
        ck_assert_uint_eq(w.n, 2);
        ck_assert_uint_eq(w.records[1].bits & VERDICT_BIT_ALLOW, 0);
        /* and can be read again */
        world_kill(&w);
        world_start(&w, shipped_policy(), 2 * MIN);
        ck_assert_ptr_null(gate_unreadable(w.gate));
        ask(&w, &a);
        expect(VERDICT_DENY, CODE_INVALID);
        ck_assert_uint_eq(w.n, 2);
}
END_TEST

static const Ask well_formed[] = {
        {.label = "tierx=db"},
        {.label = "tie=db"},
        {.label = "a=b=c"},
        {.fact = "x=i:9007199254740992"},
        {.fact = "x=i:-3"},
        {.fact = "x=b:0"},
        {.fact = "x=s:"},
        {.fact = "x=i:1", .claim = "x=i:2"},
};

START_TEST(what_is_not_malformed) {
        Ask a = well_formed[_i];
        a.id = 1;
        a.at_us = MIN;
        ask(&w, &a);
        world_ack(&w, 1);
        expect(VERDICT_ALLOW, CODE_OK);
}
END_TEST

/* ---- decisions that nothing of ours wrote */
static void edit(char *body, size_t cap, const char *what, const char *with) {
        auto_free char *copy = strdup(body);
        char *at = strstr(copy, what);
        ck_assert_msg(at != NULL, "no %s in %s", what, body);
        snprintf(body, cap, "%.*s%s%s", (int)(at - copy), copy, with, at + strlen(what));
}

static const char *const edits[][2] = {
        {"\"tier\":\"organisation\"", "\"tier\":\"kingdom\""},
        {"\"effect\":\"allow\"", "\"effect\":\"perhaps\""},
        {"\"operator:1\"", "\"operator\""},
        {"\"operator:1\"", "\"owner:1\""},
        {"\"operator:1\"", "\"operator:many\""},
        {"\"operator:1\"", "\"operator:1234567890123456\""},
        {"\"operator:1\"", "1"},
        {"\"operator:1\"", "\"operator:1\",\"operator:1\",\"operator:1\",\"operator:1\",\"operator:1\""},
        {"\"mode\":\"enforce\",\"now\"", "\"mode\":\"whim\",\"now\""},
        {"\"role\":", "\"rule\":"},
        {"\"labels\":{\"tier\":\"web\"}", "\"labels\":{\"tier\":1}"},
        {"\"args\":{}", "\"args\":{\"x\":7}"},
        {"\"boot_us\"", "\"boot_is\":{},\"boot_us\""}, /* a field that is not known: not this */
        {"\"verdict\":\"require_approval\"", "\"verdict\":\"maybe\""},
        {"\"code\":\"approval_required\"", "\"code\":\"sure\""},
        {"\"request_id\":\"01", "\"request_id\":\"02"},
        {"\"request_id\":\"01", "\"request_id\":\"zz"},
        {"\"would\":null", "\"would\":\"perhaps\""},
};

START_TEST(a_decision_that_nothing_of_ours_wrote) {
        ask(&w, &(Ask){.id = 1, .at_us = MIN, .critical = true});
        world_ack(&w, 1);
        world_kill(&w);
        bool good = strstr(edits[_i][1], "boot_is") != NULL;
        edit(w.records[1].body, sizeof(w.records[1].body), edits[_i][0], edits[_i][1]);
        w.records[1].damaged = !good;
        world_start(&w, shipped_policy(), 2 * MIN);
        ck_assert_msg(!gate_unreadable(w.gate) == good, "%s", edits[_i][1]);
        ask(&w, &(Ask){.id = 2, .at_us = 2 * MIN, .target = "db"});
        if (good)
                world_ack(&w, 1);
        expect(good ? VERDICT_ALLOW : VERDICT_DENY, good ? CODE_OK : CODE_GOVERNANCE_UNAVAILABLE);
}
END_TEST

/* A second final decision under one request id: one of the two lies. */
START_TEST(decided_twice) {
        heal(1, "web");
        heal(2, "db");
        world_kill(&w);
        Record *r = &w.records[2];
        memcpy(r->request_id, w.records[1].request_id, 16);
        memcpy(r->digest, w.records[1].digest, 32);
        str_copy(r->body, sizeof(r->body), str_of(w.records[1].body));
        r->damaged = true;
        world_start(&w, shipped_policy(), 2 * MIN);
        ck_assert_ptr_nonnull(strstr(gate_unreadable(w.gate), "decided before"));
}
END_TEST

START_TEST(a_decision_without_a_request) {
        heal(1, "web");
        world_kill(&w);
        w.records[1].has_request = false;
        w.records[1].damaged = true;
        world_start(&w, shipped_policy(), 2 * MIN);
        ck_assert_ptr_nonnull(strstr(gate_unreadable(w.gate), "names no request"));
}
END_TEST

/* What others wrote that the gate has no use for is passed over; an action without a known end moves no
 * trust. */
START_TEST(records_that_are_not_for_the_gate) {
        Ask a = {.id = 1, .at_us = MIN};
        heal(1, "web");
        guardian_record(&w, RECORD_INTENT, &a, "ok", true);
        guardian_record(&w, RECORD_ACTION, &a, "went well", true);
        guardian_record(&w, RECORD_APPROVAL, &(Ask){.id = 9, .at_us = MIN}, "approved", true);
        ck_assert_uint_eq(gate_next_index(w.gate), 5);
        gate_seen_to(w.gate, 3); /* behind it already */
        ck_assert_uint_eq(gate_next_index(w.gate), 5);
        gate_seen_to(w.gate, 9);
        ck_assert_uint_eq(gate_next_index(w.gate), 9);
        Buf out = BUF_INIT(4096);
        JsonWriter j;
        json_init(&j, &out, true);
        gate_trust_json(w.gate, NULL, &(GateNow){.boot_us = MIN}, &j);
        ck_assert_int_eq(json_finish(&j), 0);
        ck_assert(str_eq((Str){(const char *)out.data, out.len}, "[]"));
        buf_done(&out);
}
END_TEST

/* The document behind `guardianctl policy show`: every rule, with where it stands. */
START_TEST(the_policy_as_a_document) {
        const GatePolicy *p = gate_policy(w.gate);
        auto_json json_t *doc = NULL;
        Buf out = BUF_INIT(192 * 1024);
        JsonWriter j;
        json_init(&j, &out, true);
        gate_policy_json(w.gate, &j);
        ck_assert_int_eq(json_finish(&j), 0);
        ck_assert_int_eq(json_read((Str){(const char *)out.data, out.len}, 0, &doc, NULL, 0), 0);
        ck_assert_str_eq(json_get_str(doc, "revision", ""), p->revision);
        ck_assert_uint_eq(json_get_u64(doc, "budgets", 0), p->n_budgets);
        ck_assert(!json_get_bool(doc, "lockdown", true));
        const json_t *rules = json_object_get(doc, "rules");
        ck_assert_uint_eq(json_array_size(rules), p->n_rules);
        for (unsigned i = 0; i < p->n_rules; i++) {
                const json_t *o = json_array_get(rules, i);
                ck_assert_str_eq(json_get_str(o, "id", ""), p->rules[i].id);
                ck_assert_str_eq(json_get_str(o, "effect", ""), verdict_to_string((int)p->rules[i].effect));
                ck_assert_str_eq(json_get_str(o, "tier", ""), gate_tier_to_string(p->rules[i].tier));
                ck_assert_str_eq(json_get_str(o, "file", ""), p->rules[i].file);
                ck_assert_uint_eq(json_get_u64(o, "line", 0), p->rules[i].line);
                ck_assert_str_eq(json_get_str(o, "reason", ""), p->rules[i].reason);
        }
        buf_done(&out);
}
END_TEST

int main(void) {
        Suite *s = suite_create("fold");
        TCase *t = tcase_create("fold");
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, what_was_spent_stays_spent_under_another_policy);
        tcase_add_test(t, a_new_policy_after_the_end_changes_nothing);
        tcase_add_test(t, questions_have_an_end);
        tcase_add_test(t, a_full_table_forgets_what_is_settled);
        tcase_add_test(t, before_the_fold_is_complete);
        tcase_add_loop_test(t, a_malformed_request_is_denied_and_recorded, 0, ELEMENTSOF(malformed));
        tcase_add_loop_test(t, what_is_not_malformed, 0, ELEMENTSOF(well_formed));
        tcase_add_loop_test(t, a_decision_that_nothing_of_ours_wrote, 0, ELEMENTSOF(edits));
        tcase_add_test(t, decided_twice);
        tcase_add_test(t, a_decision_without_a_request);
        tcase_add_test(t, records_that_are_not_for_the_gate);
        tcase_add_test(t, the_policy_as_a_document);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
