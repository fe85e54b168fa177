/* SPDX-License-Identifier: Apache-2.0 */
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

START_TEST(start_states_and_records_the_policy) {
        ck_assert_uint_eq(w.n, 1);
        ck_assert_int_eq(w.records[0].kind, RECORD_CONFIG);
        ck_assert_str_eq(w.records[0].action, "policy");
        ck_assert_uint_eq(w.n_sent, 1);
        Msg m = sent(&w, 0);
        ck_assert_int_eq(m.type, MSG_POLICY_STATE);
        ck_assert(str_eq(msg_str(&m, TAG_POLICY_REVISION), w.records[0].result));
        world_kill(&w);
        world_start(&w, shipped_policy(), 2 * MIN);
        ck_assert_uint_eq(w.n, 1); /* the same revision is not recorded again */
}
END_TEST

START_TEST(no_verdict_before_the_record_is_durable) {
        Ask a = {.id = 1, .at_us = MIN};
        ask(&w, &a);
        ck_assert_uint_eq(w.n, 2);
        ck_assert_uint_eq(w.n_sent, 1);
        ask(&w, &a); /* again while it is on its way: no second record, no answer yet */
        ck_assert_uint_eq(w.n, 2);
        ck_assert_uint_eq(w.n_sent, 1);
        world_ack(&w, 1);
        ck_assert_uint_eq(w.n_sent, 2);
        expect(VERDICT_ALLOW, CODE_OK);
        Msg m = sent(&w, 0);
        ck_assert_uint_eq(msg_u64(&m, TAG_DECISION_INDEX, 99), 1);
        ck_assert_uint_eq(msg_u64(&m, TAG_USE_BY_US, 0), MIN + GATE_USE_BY_US);
        ck_assert(!msg_has(&m, TAG_APPROVAL_ID) && !msg_has(&m, TAG_WOULD));
        ck_assert_uint_eq(w.records[1].bits, VERDICT_BIT_ALLOW);
        ck_assert_uint_eq(w.records[1].ref, 7);
        ask(&w, &a); /* idempotent: the recorded one */
        ck_assert_uint_eq(w.n, 2);
        ck_assert_uint_eq(w.n_sent, 3);
        expect(VERDICT_ALLOW, CODE_OK);
}
END_TEST

START_TEST(verdicts_leave_in_ledger_order) {
        for (unsigned i = 1; i <= 3; i++)
                ask(&w, &(Ask){.id = i, .at_us = MIN, .target = i == 1 ? "a" : i == 2 ? "b" : "c"});
        gate_acked(w.gate, w.records[2].token, "ok", 2);
        ck_assert_uint_eq(w.n_sent, 1);
        gate_acked(w.gate, w.records[1].token, "ok", 1);
        ck_assert_uint_eq(w.n_sent, 3);
        Msg m = sent(&w, 1);
        ck_assert_uint_eq(msg_u64(&m, TAG_DECISION_INDEX, 99), 1);
        gate_acked(w.gate, w.records[3].token, "ok", 3);
        ck_assert_uint_eq(w.n_sent, 4);
}
END_TEST

START_TEST(another_digest_under_a_known_id) {
        Ask a = {.id = 1, .at_us = MIN};
        ask(&w, &a);
        world_ack(&w, 1);
        a.target = "other";
        ask(&w, &a);
        expect(VERDICT_DENY, CODE_APPROVAL_MISMATCH);
        ck_assert_uint_eq(w.n, 2);
}
END_TEST

START_TEST(digest_that_is_not_the_requests) {
        ask(&w, &(Ask){.id = 1, .at_us = MIN, .wrong_digest = true});
        world_ack(&w, 1);
        expect(VERDICT_DENY, CODE_INVALID);
        ck_assert_uint_eq(w.records[1].bits, VERDICT_BIT_DENY);
}
END_TEST

static const struct {
        Ask ask;
        Verdict verdict;
        Code code;
} table[] = {
        {{.action = "restart_service"}, VERDICT_ALLOW, CODE_OK},
        {{.action = "restart_service", .critical = true}, VERDICT_REQUIRE_APPROVAL, CODE_APPROVAL_REQUIRED},
        {{.action = "restart_service", .no_heal = true}, VERDICT_DENY, CODE_HEAL_NOT_LISTED},
        {{.action = "restart_service", .no_heal = true, .mode = MODE_LOG_ONLY}, VERDICT_DENY,
                CODE_HEAL_NOT_LISTED},
        {{.action = "restart_service", .actor = "web"}, VERDICT_DENY, CODE_DEFAULT_DENY},
        {{.action = "restart_service", .actor = "web", .mode = MODE_LOG_ONLY}, VERDICT_ALLOW, CODE_OK},
        {{.action = "restart_service", .paused = true}, VERDICT_DENY, CODE_PAUSED},
        {{.action = "restart_service", .lockdown = true}, VERDICT_DENY, CODE_LOCKDOWN},
        {{.action = "restart_service", .lockdown = true, .mode = MODE_LOG_ONLY}, VERDICT_DENY, CODE_LOCKDOWN},
        {{.action = "restart_service", .critical = true, .mode = MODE_LOG_ONLY}, VERDICT_ALLOW, CODE_OK},
        {{.action = "restart_service", .critical = true, .mode = MODE_ENFORCE_CRITICAL},
                VERDICT_REQUIRE_APPROVAL, CODE_APPROVAL_REQUIRED},
        {{.action = "rollback"}, VERDICT_REQUIRE_APPROVAL, CODE_APPROVAL_REQUIRED},
        {{.action = "rollback", .mode = MODE_ENFORCE_CRITICAL}, VERDICT_ALLOW, CODE_OK},
        {{.action = "escalate_to_human", .critical = true}, VERDICT_ALLOW, CODE_OK},
        {{.action = "restart_service", .target = "guardian"}, VERDICT_DENY, CODE_DENIED_BY_RULE},
        {{.action = "restart_service", .target = "ledger", .mode = MODE_LOG_ONLY}, VERDICT_DENY,
                CODE_DENIED_BY_RULE},
        {{.action = "fly"}, VERDICT_DENY, CODE_UNKNOWN_ACTION},
        {{.action = "stop"}, VERDICT_DENY, CODE_DENIED_BY_ROLE},
        {{.action = "mode", .arg = "mode=log_only", .mode = MODE_LOG_ONLY}, VERDICT_DENY,
                CODE_DENIED_BY_ROLE},
        {{.action = "stop", .kind = "person", .actor = "uid:1000", .role = ROLE_OPERATOR}, VERDICT_ALLOW,
                CODE_OK},
        {{.action = "stop", .kind = "person", .actor = "uid:1000", .role = ROLE_OBSERVER}, VERDICT_DENY,
                CODE_DENIED_BY_ROLE},
        {{.action = "stop",
                 .kind = "person",
                 .actor = "uid:1000",
                 .role = ROLE_OPERATOR,
                 .arg = "colour=red"},
                VERDICT_DENY, CODE_INVALID},
        {{.action = "pin", .kind = "person", .actor = "uid:1000", .role = ROLE_OPERATOR}, VERDICT_DENY,
                CODE_INVALID},
        {{.action = "pin", .kind = "person", .actor = "uid:1000", .role = ROLE_OPERATOR, .arg = "to=up"},
                VERDICT_ALLOW, CODE_OK},
        {{.action = "mode", .kind = "person", .actor = "uid:0", .role = ROLE_OPERATOR, .arg = "mode=enforce"},
                VERDICT_DENY, CODE_DENIED_BY_ROLE},
        {{.action = "mode", .kind = "person", .actor = "uid:0", .role = ROLE_ADMIN, .arg = "mode=enforce"},
                VERDICT_ALLOW, CODE_OK},
        {{.action = "restart_service", .kind = "person", .actor = "uid:1000", .role = ROLE_OPERATOR},
                VERDICT_ALLOW, CODE_OK},
        {{.action = "restart_service",
                 .kind = "person",
                 .actor = "uid:1000",
                 .role = ROLE_OPERATOR,
                 .critical = true,
                 .mode = MODE_LOG_ONLY},
                VERDICT_REQUIRE_APPROVAL, CODE_APPROVAL_REQUIRED},
        {{.action = "restart_service",
                 .kind = "person",
                 .actor = "uid:0",
                 .role = ROLE_ADMIN,
                 .critical = true,
                 .break_glass = true},
                VERDICT_ALLOW, CODE_OK},
        {{.action = "start", .kind = "person", .actor = "uid:0", .role = ROLE_ADMIN, .lockdown = true},
                VERDICT_DENY, CODE_LOCKDOWN},
        {{.action = "stop", .kind = "person", .actor = "uid:0", .role = ROLE_ADMIN, .lockdown = true},
                VERDICT_ALLOW, CODE_OK},
        {{.action = "restart_service", .fact = "exits"}, VERDICT_DENY, CODE_INVALID},
        {{.action = "restart_service", .fact = "exits=i:3", .claim = "bad=q:1"}, VERDICT_DENY, CODE_INVALID},
        {{.action = "restart_service", .fact = "exits=i:3", .claim = "memory=s:high"}, VERDICT_ALLOW,
                CODE_OK},
};

START_TEST(shipped_rules) {
        Ask a = table[_i].ask;
        a.id = 1;
        a.at_us = MIN;
        ask(&w, &a);
        world_ack(&w, 1);
        expect(table[_i].verdict, table[_i].code);
        /* what is on record can be read again, and says the same */
        auto_json json_t *body = NULL;
        ck_assert_int_eq(json_read(str_of(w.records[1].body), 0, &body, NULL, 0), 0);
        GateInput *in = malloc(sizeof(*in));
        GateDecision *d = malloc(sizeof(*d));
        ck_assert_int_eq(gate_input_from_json(in, json_object_get(body, "request"), "act"), 0);
        if (table[_i].code != CODE_INVALID) {
                gate_evaluate(gate_policy(w.gate), in, NULL, d);
                Buf again = BUF_INIT(65536);
                ck_assert_int_eq(gate_decision_body(d, in, &again), 0);
                ck_assert_uint_eq(again.len, strlen(w.records[1].body));
                ck_assert(memcmp(again.data, w.records[1].body, again.len) == 0);
                buf_done(&again);
        }
        free(in);
        free(d);
}
END_TEST

START_TEST(would_tells_what_enforce_says) {
        ask(&w, &(Ask){.id = 1, .at_us = MIN, .critical = true, .mode = MODE_LOG_ONLY});
        world_ack(&w, 1);
        Msg m = sent(&w, 0);
        ck_assert_uint_eq(msg_u64(&m, TAG_WOULD, 0), VERDICT_REQUIRE_APPROVAL);
        ck_assert_ptr_nonnull(strstr(w.records[1].body, "\"would\":\"require_approval\""));
}
END_TEST

START_TEST(default_denial_names_the_nearest_rule) {
        ask(&w, &(Ask){.id = 1, .at_us = MIN, .actor = "web"});
        world_ack(&w, 1);
        ck_assert_ptr_nonnull(strstr(w.records[1].body,
                "\"missed\":[{\"failed\":\"actor.id == 'immune', was 'web'\",\"id\":\"healing.listed\"}"));
}
END_TEST

START_TEST(check_never_licenses) {
        ask(&w, &(Ask){.id = 1, .at_us = MIN, .purpose = "check"});
        world_ack(&w, 1);
        expect(VERDICT_ALLOW, CODE_OK);
        ck_assert_uint_eq(w.records[1].bits, VERDICT_BIT_ALLOW | VERDICT_BIT_CHECK);
        for (unsigned i = 2; i < 6; i++) /* and spends nothing */
                ask(&w, &(Ask){.id = i, .at_us = MIN, .purpose = "check"});
        world_ack(&w, 4);
        expect(VERDICT_ALLOW, CODE_OK);
        ask(&w, &(Ask){.id = 9, .at_us = MIN, .purpose = "check", .critical = true});
        world_ack(&w, 1);
        expect(VERDICT_REQUIRE_APPROVAL, CODE_APPROVAL_REQUIRED);
        Msg m = sent(&w, 0);
        ck_assert(!msg_has(&m, TAG_APPROVAL_ID));
}
END_TEST

/* ---- budgets */
static void heal(unsigned id, const char *target, uint64_t at) {
        ask(&w, &(Ask){.id = id, .at_us = at, .target = target});
        world_ack(&w, 1);
}

START_TEST(budget_of_a_target) {
        for (unsigned i = 1; i <= 3; i++) {
                heal(i, "web", i * MIN);
                expect(VERDICT_ALLOW, CODE_OK);
        }
        heal(4, "web", 4 * MIN);
        expect(VERDICT_DENY, CODE_BUDGET_EXCEEDED);
        ask(&w, &(Ask){.id = 5, .at_us = 4 * MIN, .mode = MODE_LOG_ONLY}); /* holds in every mode */
        world_ack(&w, 1);
        expect(VERDICT_DENY, CODE_BUDGET_EXCEEDED);
        heal(6, "db", 4 * MIN);
        expect(VERDICT_ALLOW, CODE_OK);
        heal(7, "web", 11 * MIN - 1);
        expect(VERDICT_DENY, CODE_BUDGET_EXCEEDED);
        heal(8, "web", 11 * MIN);
        expect(VERDICT_ALLOW, CODE_OK);
}
END_TEST

START_TEST(budget_counts_at_evaluation_and_in_all) {
        char name[8];
        for (unsigned i = 1; i <= 10; i++) {
                snprintf(name, sizeof(name), "u%u", i);
                ask(&w, &(Ask){.id = i, .at_us = MIN, .target = name});
        }
        ask(&w, &(Ask){.id = 11, .at_us = MIN, .target = "last"}); /* none of them is durable yet */
        world_ack(&w, 11);
        expect(VERDICT_DENY, CODE_BUDGET_EXCEEDED);
        Msg m = sent(&w, 1);
        ck_assert_uint_eq(msg_u64(&m, TAG_VERDICT, 0), VERDICT_ALLOW);
}
END_TEST

START_TEST(not_run_gives_back_and_restart_remembers) {
        for (unsigned i = 1; i <= 3; i++)
                heal(i, "web", MIN);
        guardian_record(&w, RECORD_ACTION, &(Ask){.id = 2, .at_us = MIN}, "unknown", true);
        heal(4, "web", MIN);
        expect(VERDICT_DENY, CODE_BUDGET_EXCEEDED);
        guardian_record(&w, RECORD_ACTION, &(Ask){.id = 3, .at_us = MIN}, "not_run", false);
        world_kill(&w);
        world_start(&w, shipped_policy(), 2 * MIN);
        heal(5, "web", 2 * MIN);
        expect(VERDICT_ALLOW, CODE_OK);
        heal(6, "web", 2 * MIN);
        expect(VERDICT_DENY, CODE_BUDGET_EXCEEDED);
}
END_TEST

START_TEST(reservation_is_void_when_the_append_fails) {
        w.append_error = -ENOBUFS;
        for (unsigned i = 1; i <= 5; i++) {
                ask(&w, &(Ask){.id = i, .at_us = MIN});
                expect(VERDICT_DENY, CODE_BUSY);
        }
        w.append_error = 0;
        for (unsigned i = 1; i <= 3; i++) {
                heal(i, "web", MIN);
                expect(VERDICT_ALLOW, CODE_OK);
        }
}
END_TEST

START_TEST(failed_ledger_ends_the_gate) {
        ask(&w, &(Ask){.id = 1, .at_us = MIN});
        unsigned before = w.n_sent;
        gate_acked(w.gate, w.records[1].token, "ledger_failed", 0);
        ck_assert_ptr_nonnull(w.ended);
        ask(&w, &(Ask){.id = 2, .at_us = MIN});
        gate_acked(w.gate, w.records[1].token, "ok", 1);
        ck_assert_uint_eq(w.n_sent, before);
        ck_assert_uint_eq(w.n, 2);
}
END_TEST

/* ---- approvals */
static const Ask critical = {.id = 1, .at_us = MIN, .critical = true};

static void question(void) {
        ask(&w, &critical);
        world_ack(&w, 1);
        expect(VERDICT_REQUIRE_APPROVAL, CODE_APPROVAL_REQUIRED);
}

START_TEST(question_carries_what_people_need) {
        question();
        Msg m = sent(&w, 0);
        ck_assert(str_eq(msg_str(&m, TAG_APPROVAL_ID), "apr_01000000000000000000000000000000"));
        ck_assert(str_eq(msg_str(&m, TAG_NEED), "operator:1"));
        ck_assert_uint_eq(msg_u64(&m, TAG_EXPIRES_NS, 0), (1000000000000000ull + 16 * MIN) * 1000);
        ck_assert(!msg_has(&m, TAG_USE_BY_US));
        ask(&w, &critical);
        ck_assert_uint_eq(w.n, 2);
        expect(VERDICT_REQUIRE_APPROVAL, CODE_APPROVAL_REQUIRED);
}
END_TEST

START_TEST(approved_is_evaluated_once_more) {
        question();
        guardian_record(&w, RECORD_APPROVAL, &critical, "approved", true);
        Ask later = critical;
        later.at_us = 3 * MIN;
        answer(&w, &later, "approved", 2);
        answer(&w, &later, "approved", 2); /* exactly once */
        ck_assert_uint_eq(w.n, 4);
        world_ack(&w, 1);
        expect(VERDICT_ALLOW, CODE_OK);
        Msg m = sent(&w, 0);
        ck_assert(str_eq(msg_str(&m, TAG_APPROVAL_ID), "apr_01000000000000000000000000000000"));
        ck_assert_uint_eq(msg_u64(&m, TAG_USE_BY_US, 0), 3 * MIN + GATE_USE_BY_US);
        ck_assert_uint_eq(msg_u64(&m, TAG_DECISION_INDEX, 0), 3);
        ck_assert_uint_eq(w.records[3].bits, VERDICT_BIT_ALLOW | VERDICT_BIT_FROM_APPROVAL);
        ck_assert_uint_eq(w.records[3].ref, 2);
        ck_assert(memcmp(w.records[3].digest, w.records[1].digest, 32) == 0);
        answer(&w, &later, "approved", 2);
        ask(&w, &critical);
        ck_assert_uint_eq(w.n, 4);
        expect(VERDICT_ALLOW, CODE_OK);
}
END_TEST

static const struct {
        const char *state;
        uint64_t at_us;
        bool paused;
        Code code;
} ends[] = {
        {"denied", 2 * MIN, false, CODE_APPROVAL_DENIED},
        {"expired", 2 * MIN, false, CODE_APPROVAL_EXPIRED},
        {"void", 2 * MIN, false, CODE_STALE_TARGET},
        {"approved", 16 * MIN, false, CODE_APPROVAL_EXPIRED},
        {"approved", 2 * MIN, true, CODE_PAUSED}, /* the pause of that moment */
        {"pending", 2 * MIN, false, CODE_INVALID},
};

START_TEST(answers_that_do_not_allow) {
        question();
        Ask later = critical;
        later.at_us = ends[_i].at_us;
        later.paused = ends[_i].paused;
        answer(&w, &later, ends[_i].state, 2);
        world_ack(&w, 1);
        expect(VERDICT_DENY, ends[_i].code);
        Msg m = sent(&w, 0);
        ck_assert(str_eq(msg_str(&m, TAG_APPROVAL_ID), "apr_01000000000000000000000000000000"));
        answer(&w, &critical, "approved", 2); /* it is final */
        ck_assert_uint_eq(w.n, 3);
        expect(VERDICT_DENY, ends[_i].code);
}
END_TEST

/* Yes and no at once: Guardian knows of the yes, both are on record. */
START_TEST(denial_on_record_counts) {
        question();
        guardian_record(&w, RECORD_APPROVAL, &critical, "approved", true);
        guardian_record(&w, RECORD_APPROVAL, &critical, "denied", true);
        answer(&w, &critical, "approved", 2);
        world_ack(&w, 1);
        expect(VERDICT_DENY, CODE_APPROVAL_DENIED);
        ck_assert_uint_eq(w.records[w.n - 1].ref, 3);
}
END_TEST

START_TEST(answer_uses_the_budget_of_that_moment) {
        question();
        for (unsigned i = 2; i <= 4; i++)
                heal(i, "web", MIN);
        answer(&w, &critical, "approved", 2);
        world_ack(&w, 1);
        expect(VERDICT_DENY, CODE_BUDGET_EXCEEDED);
}
END_TEST

START_TEST(answers_that_fit_no_question) {
        question();
        Ask other = critical;
        other.target = "db";
        answer(&w, &other, "approved", 2);
        expect(VERDICT_DENY, CODE_APPROVAL_MISMATCH);
        other.id = 2;
        answer(&w, &other, "approved", 2);
        expect(VERDICT_DENY, CODE_UNKNOWN_ID);
        ck_assert_uint_eq(w.n, 2);
        answer(&w, &critical, "approved", 2); /* the question is still open */
        world_ack(&w, 1);
        expect(VERDICT_ALLOW, CODE_OK);
}
END_TEST

START_TEST(another_policy_voids_the_approval) {
        question();
        static const char *const names[] = {
                "actions.yaml", "constitution.yaml", "governance.yaml", "roles.yaml", "trust.yaml"};
        GatePolicyFile files[5];
        char text[5][16384];
        for (unsigned i = 0; i < 5; i++) {
                char path[600];
                snprintf(path, sizeof(path), "%s/%s", POLICY_DIR, names[i]);
                FILE *f = fopen(path, "r");
                size_t n = fread(text[i], 1, sizeof(text[i]) - 1, f);
                fclose(f);
                text[i][n] = '\n';
                files[i] = (GatePolicyFile){names[i], names[i], {text[i], n + (i == 4)}};
        }
        Problems p = {0};
        GatePolicy *policy;
        ck_assert_int_eq(gate_policy_compile(files, 5, 0, &p, &policy), 0);
        ck_assert_str_ne(policy->revision, gate_policy(w.gate)->revision);
        ck_assert_int_eq(gate_set_policy(w.gate, policy), 0);
        world_ack(&w, 1);
        answer(&w, &critical, "approved", 3);
        world_ack(&w, 1);
        expect(VERDICT_DENY, CODE_APPROVAL_MISMATCH);
        problems_done(&p);
}
END_TEST

START_TEST(restart_lists_open_questions) {
        question();
        Ask b = {.id = 2, .at_us = MIN, .critical = true, .target = "db"};
        ask(&w, &b);
        world_ack(&w, 1);
        Ask c = {.id = 3, .at_us = MIN, .critical = true, .target = "mq"};
        ask(&w, &c);
        world_ack(&w, 1);
        guardian_record(&w, RECORD_APPROVAL, &b, "void", false);
        guardian_record(&w, RECORD_APPROVAL, &c, "approved", false);
        world_kill(&w);
        world_start(&w, shipped_policy(), 5 * MIN);
        ck_assert_uint_eq(w.n_sent, 3); /* POLICY_STATE, 1 pending, 3 approved; 2 is void */
        Msg m = sent(&w, 1);
        ck_assert_int_eq(m.type, MSG_APPROVAL_PENDING);
        ck_assert(str_eq(msg_str(&m, TAG_STATE), "pending") && str_eq(msg_str(&m, TAG_TARGET), "web"));
        ck_assert(str_eq(msg_str(&m, TAG_NEED), "operator:1"));
        ck_assert(str_eq(msg_str(&m, TAG_RULE), "healing.listed|allow|organisation"));
        ck_assert_uint_eq(msg_u64(&m, TAG_DECISION_INDEX, 0), 1);
        m = sent(&w, 0);
        ck_assert(str_eq(msg_str(&m, TAG_STATE), "approved") && str_eq(msg_str(&m, TAG_TARGET), "mq"));
        /* the approved one is evaluated by the gate itself, once */
        ck_assert_uint_eq(w.n, 7);
        ck_assert_uint_eq(w.records[6].ref, 5);
        answer(&w, &c, "approved", 5);
        ck_assert_uint_eq(w.n, 7);
        world_ack(&w, 1);
        expect(VERDICT_ALLOW, CODE_OK);
        m = sent(&w, 0);
        ck_assert_uint_eq(msg_u64(&m, TAG_USE_BY_US, 0), 5 * MIN + GATE_USE_BY_US);
        /* and after another restart nothing is asked or decided twice */
        world_kill(&w);
        world_start(&w, shipped_policy(), 6 * MIN);
        ck_assert_uint_eq(w.n, 7);
        ck_assert_uint_eq(w.n_sent, 2);
        ask(&w, &c);
        expect(VERDICT_ALLOW, CODE_OK);
        ck_assert_uint_eq(w.n, 7);
        answer(&w, &critical, "approved", 6); /* a restored question can be answered */
        world_ack(&w, 1);
        expect(VERDICT_ALLOW, CODE_OK);
}
END_TEST

/* A vote that was under way when another denied, or when the target ended, is on record behind that: it opens
 * nothing again. */
START_TEST(what_was_denied_stays_denied) {
        question();
        guardian_record(&w, RECORD_APPROVAL, &critical, _i ? "void" : "denied", false);
        guardian_record(&w, RECORD_APPROVAL, &critical, "approved", false);
        world_kill(&w);
        unsigned n = w.n;
        world_start(&w, shipped_policy(), 5 * MIN);
        ck_assert_uint_eq(w.n, n);      /* nothing is judged */
        ck_assert_uint_eq(w.n_sent, 1); /* POLICY_STATE, and no question */
}
END_TEST

START_TEST(expired_while_away) {
        question();
        guardian_record(&w, RECORD_APPROVAL, &critical, "approved", false);
        world_kill(&w);
        world_start(&w, shipped_policy(), 20 * MIN);
        world_ack(&w, 1);
        expect(VERDICT_DENY, CODE_APPROVAL_EXPIRED);
}
END_TEST

/* What such a decision reserved is not known: nothing is allowed, and the gate that says so stays. */
static void unreadable(const char *body) {
        heal(1, "a", MIN);
        heal(2, "b", MIN);
        world_kill(&w);
        str_copy(w.records[2].body, sizeof(w.records[2].body),
                STR_LIT("{}")); /* behind the first, not looked at */
        str_copy(w.records[1].body, sizeof(w.records[1].body), str_of(body));
        w.records[1].damaged = true;
        guardian_record(&w, RECORD_ACTION, &(Ask){.id = 1, .at_us = MIN}, "ok", false);
        unsigned n = w.n;
        world_start(&w, shipped_policy(), 2 * MIN);
        ck_assert_str_eq(w.ended ? w.ended : "", "");
        ck_assert_uint_eq(w.n_sent, 1);
        Msg m = sent(&w, 0);
        Str issue = msg_str(&m, TAG_ISSUE);
        ck_assert_int_eq(m.type, MSG_POLICY_STATE);
        ck_assert(str_eq(msg_str(&m, TAG_STATE), "failed"));
        ck_assert_ptr_nonnull(memmem(issue.p, issue.n, "record 1 ", 9));
        ck_assert_ptr_nonnull(gate_unreadable(w.gate));
        ask(&w, &(Ask){.id = 3, .at_us = 2 * MIN});
        expect(VERDICT_DENY, CODE_GOVERNANCE_UNAVAILABLE);
        answer(&w, &(Ask){.id = 1, .at_us = 2 * MIN}, "approved", 3);
        expect(VERDICT_DENY, CODE_GOVERNANCE_UNAVAILABLE);
        ck_assert_int_eq(gate_set_policy(w.gate, shipped_policy()), 0);
        ck_assert_uint_eq(w.n, n); /* nothing is written behind it */
}

START_TEST(unreadable_decisions) {
        static const char *const bodies[] = {"", "[]", "{}", "{\"verdict\":\"allow\"}",
                "{\"code\":\"ok\",\"request\":{},\"verdict\":\"allow\"}"};
        unreadable(bodies[_i]);
}
END_TEST

/* ---- trust */
static int64_t trust_in(const Record *r) {
        auto_json json_t *body = NULL;
        ck_assert_int_eq(json_read(str_of(r->body), 0, &body, NULL, 0), 0);
        return json_integer_value(json_get_path(body, "request.actor.trust"));
}

START_TEST(trust_follows_outcomes_and_only_tightens) {
        heal(1, "a", MIN);
        ck_assert_int_eq(trust_in(&w.records[1]), 70);
        guardian_record(&w, RECORD_ACTION, &(Ask){.id = 1, .at_us = MIN}, "ok", true);
        heal(2, "b", MIN);
        ck_assert_int_eq(trust_in(&w.records[3]), 72);
        for (unsigned i = 0; i < 4; i++)
                guardian_record(&w, RECORD_ACTION, &(Ask){.id = 2, .at_us = MIN}, "failed", true);
        heal(3, "c", MIN);
        expect(VERDICT_REQUIRE_APPROVAL, CODE_APPROVAL_REQUIRED);
        ck_assert_int_eq(trust_in(&w.records[8]), 32);
        world_kill(&w);
        world_start(&w, shipped_policy(), MIN);
        heal(4, "d", 91 * MIN); /* nine points came back */
        ck_assert_int_eq(trust_in(&w.records[9]), 41);
        expect(VERDICT_ALLOW, CODE_OK);
        heal(5, "e", 10000 * MIN); /* up to the initial score, not above */
        ck_assert_int_eq(trust_in(&w.records[10]), 70);
}
END_TEST

START_TEST(denied_lowers_trust_of_units_only) {
        ask(&w, &(Ask){.id = 1, .at_us = MIN, .actor = "web"});
        world_ack(&w, 1);
        ask(&w, &(Ask){.id = 2, .at_us = MIN, .actor = "web"});
        world_ack(&w, 1);
        ck_assert_int_eq(trust_in(&w.records[2]), 68);
        ask(&w, &(Ask){.id = 3, .at_us = MIN, .actor = "uid:7", .kind = "person", .role = ROLE_OPERATOR});
        ck_assert_ptr_nonnull(strstr(w.records[3].body, "\"trust\":null"));
}
END_TEST

START_TEST(no_policy_is_lockdown) {
        Problems p = {0};
        GatePolicy *policy;
        world_done(&w);
        ck_assert_int_eq(gate_policy_compile(NULL, 0, 0, &p, &policy), 0);
        ck_assert(policy->lockdown);
        world_start(&w, policy, MIN);
        Msg m = sent(&w, 0);
        ck_assert(str_eq(msg_str(&m, TAG_STATE), "lockdown"));
        ask(&w, &(Ask){.id = 1, .at_us = MIN, .mode = MODE_LOG_ONLY});
        world_ack(&w, 2);
        expect(VERDICT_DENY, CODE_LOCKDOWN);
        problems_done(&p);
}
END_TEST

int main(void) {
        Suite *s = suite_create("gate");
        TCase *t = tcase_create("gate");
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, start_states_and_records_the_policy);
        tcase_add_test(t, no_verdict_before_the_record_is_durable);
        tcase_add_test(t, verdicts_leave_in_ledger_order);
        tcase_add_test(t, another_digest_under_a_known_id);
        tcase_add_test(t, digest_that_is_not_the_requests);
        tcase_add_loop_test(t, shipped_rules, 0, ELEMENTSOF(table));
        tcase_add_test(t, would_tells_what_enforce_says);
        tcase_add_test(t, default_denial_names_the_nearest_rule);
        tcase_add_test(t, check_never_licenses);
        tcase_add_test(t, budget_of_a_target);
        tcase_add_test(t, budget_counts_at_evaluation_and_in_all);
        tcase_add_test(t, not_run_gives_back_and_restart_remembers);
        tcase_add_test(t, reservation_is_void_when_the_append_fails);
        tcase_add_test(t, failed_ledger_ends_the_gate);
        tcase_add_test(t, question_carries_what_people_need);
        tcase_add_test(t, approved_is_evaluated_once_more);
        tcase_add_loop_test(t, answers_that_do_not_allow, 0, ELEMENTSOF(ends));
        tcase_add_test(t, denial_on_record_counts);
        tcase_add_test(t, answer_uses_the_budget_of_that_moment);
        tcase_add_test(t, answers_that_fit_no_question);
        tcase_add_test(t, another_policy_voids_the_approval);
        tcase_add_test(t, restart_lists_open_questions);
        tcase_add_loop_test(t, what_was_denied_stays_denied, 0, 2);
        tcase_add_test(t, expired_while_away);
        tcase_add_loop_test(t, unreadable_decisions, 0, 5);
        tcase_add_test(t, trust_follows_outcomes_and_only_tightens);
        tcase_add_test(t, denied_lowers_trust_of_units_only);
        tcase_add_test(t, no_policy_is_lockdown);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
