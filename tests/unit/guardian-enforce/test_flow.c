/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"
#include "run.h"

START_TEST(test_allowed_path) {
        World *w = world_ready();
        uint64_t waiter = heal(w, "web");
        Msg d = last_to_gate(w);
        ck_assert_int_eq(d.type, MSG_DECIDE);
        ck_assert(str_eq(msg_str(&d, TAG_ACTOR), "immune"));
        ck_assert(str_eq(msg_str(&d, TAG_CLAIM), "growth=i:64"));
        ck_assert(str_eq(msg_str(&d, TAG_FACT), "restarts=i:0"));
        ck_assert_uint_eq(count(w, RECORD_INTENT), 0);
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .decision = 42});
        ck_assert_uint_eq(w->n_acts, 0); /* the intent is not durable */
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        ck_assert_str_eq(w->acts[0].target, "web");
        const Logged *intent = find(w, RECORD_INTENT, 0);
        ck_assert_uint_eq(intent->ref, 42);
        ck_assert_uint_eq(w->n_replies, 0);
        enforce_act_result(w->e, w->acts[0].request_id, OUTCOME_OK, NULL, w->now);
        ck_assert_uint_eq(w->n_replies, 0); /* the action is not on record */
        pump(w);
        const Logged *action = find(w, RECORD_ACTION, 0);
        ck_assert_uint_eq(action->ref, (uint64_t)(intent - w->log) + 10);
        ck_assert_str_eq(action->result, "ok");
        ck_assert_mem_eq(action->request_id, intent->request_id, 16);
        ck_assert_mem_eq(action->digest, intent->digest, 32);
        const Answer *a = last_reply(w);
        ck_assert_uint_eq(a->waiter, waiter);
        ck_assert_int_eq(a->code, CODE_OK);
        ck_assert(a->has_outcome && a->outcome == OUTCOME_OK && !a->more && !a->ungated);
        ck_assert_uint_eq(a->decision, 42);
        ck_assert_uint_eq(w->n_published, 1);
        ck_assert_uint_eq(status(w).open, 0);
        ck_assert_uint_eq(enforce_deadline(w->e), NONE); /* nothing to wake up for */
        world_free(w);
}
END_TEST

START_TEST(test_denied) {
        World *w = world_ready();
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_DENY, .code = "budget_exceeded"});
        ck_assert_int_eq(last_reply(w)->code, CODE_BUDGET_EXCEEDED);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_INTENT) + w->n_acts, 0);
        world_free(w);
}
END_TEST

/* A verdict binds by id, digest, index and time; the right one afterwards still works. */
START_TEST(test_forged_verdicts) {
        World *w = world_ready();
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .wrong_digest = true});
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .wrong_id = true});
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .no_index = true});
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_9"});
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_INTENT) + w->n_acts, 0);
        ck_assert_uint_eq(status(w).forged_verdicts, 4);
        ck_assert_uint_eq(status(w).late_verdicts, 0);
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        verdict(w, (Say){.verdict = VERDICT_ALLOW}); /* twice: not pending any more */
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_INTENT), 1);
        ck_assert_uint_eq(w->n_acts, 1);
        ck_assert_uint_eq(status(w).late_verdicts, 1);
        world_free(w);
}
END_TEST

START_TEST(test_late_verdict) {
        World *w = world_ready();
        uint64_t waiter = heal(w, "web");
        pump(w); /* the ledger is there */
        world_pass(w, ENFORCE_DOWN_US);
        ck_assert_int_eq(status(w).gate, PART_DOWN);
        ck_assert_int_eq(status(w).ledger, PART_READY);
        world_pass(w, ENFORCE_USE_BY_US - ENFORCE_DOWN_US);
        ck_assert_uint_eq(last_reply(w)->waiter, waiter);
        ck_assert_int_eq(last_reply(w)->code, CODE_GOVERNANCE_UNAVAILABLE);
        ck_assert_int_eq(status(w).gate, PART_DOWN); /* silent until it speaks */
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        ck_assert_uint_eq(w->n_acts, 0);
        ck_assert_uint_eq(status(w).late_verdicts, 1);
        ck_assert_int_eq(status(w).gate, PART_READY);
        world_free(w);
}
END_TEST

/* The gate is silent because the ledger is; Guardian itself had nothing outstanding. */
START_TEST(test_silent_ledger_is_named) {
        World *w = world_ready();
        uint64_t waiter = heal(w, "web");
        heal(w, "leaky");
        world_pass(w, ENFORCE_DOWN_US);
        ck_assert_int_eq(status(w).ledger, PART_STALLED);
        world_pass(w, ENFORCE_USE_BY_US - ENFORCE_DOWN_US);
        ck_assert_uint_eq(w->n_replies, 2);
        ck_assert_uint_eq(w->replies[0].waiter, waiter);
        ck_assert_int_eq(w->replies[0].code, CODE_LEDGER_UNAVAILABLE);
        ck_assert_int_eq(w->replies[1].code, CODE_LEDGER_UNAVAILABLE);
        ck_assert_uint_eq(enforce_deadline(w->e), NONE);
        pump(w);
        ck_assert_int_eq(status(w).ledger, PART_READY);
        world_free(w);
}
END_TEST

/* The same while an answered approval is evaluated again. */
START_TEST(test_silent_ledger_after_approval) {
        World *w = world_ready();
        asked(w, "leaky");
        vote(w, 1000, ROLE_OPERATOR, true);
        pump_one(w); /* whether it answers, asked along with the gate */
        pump_one(w); /* the vote is durable; then the ledger says no more */
        ck_assert_int_eq(last_to_gate(w).type, MSG_APPROVAL_ANSWERED);
        world_pass(w, ENFORCE_DOWN_US);
        ck_assert_int_eq(status(w).ledger, PART_STALLED);
        heal(w, "web");
        ck_assert_int_eq(last_reply(w)->code, CODE_LEDGER_UNAVAILABLE);
        world_free(w);
}
END_TEST

static void gate_says(World *w, const char *state, const char *issue) {
        MsgBuilder b;
        Msg m;
        msg_begin(&b, MSG_POLICY_STATE);
        msg_put_cstr(&b, TAG_POLICY_REVISION, "rev1");
        msg_put_u64(&b, TAG_RULES_COUNT, 1);
        msg_put_cstr(&b, TAG_STATE, state);
        msg_put_cstr(&b, TAG_ISSUE, issue);
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &m), 0);
        ck_assert(enforce_gate_msg(w->e, &m, w->now));
}

/* A gate that says that it can decide nothing is down, for as long as it lives; its successor is another. */
START_TEST(test_gate_that_failed) {
        World *w = world_ready();
        enforce_gate_lost(w->e, w->now);
        gate_says(w, "failed", "record 17"); /* before it is validated */
        enforce_gate_attached(w->e, w->now);
        ck_assert_int_eq(status(w).gate, PART_DOWN);
        unsigned n = w->n_gate;
        heal(w, "web");
        ck_assert_int_eq(last_reply(w)->code, CODE_GOVERNANCE_UNAVAILABLE);
        ck_assert_str_eq(last_reply(w)->reason, "record 17");
        person(w, 0, ROLE_ADMIN, "mode", "", "mode=log_only");
        ck_assert_int_eq(last_reply(w)->code, CODE_GOVERNANCE_UNAVAILABLE);
        ck_assert_uint_eq(w->n_gate, n);
        person(w, 0, ROLE_ADMIN, "restart", "web", NULL);
        ck_assert_uint_eq(w->n_acts, 1);
        ck_assert(w->act_ungated[0]);
        enforce_gate_lost(w->e, w->now);
        gate_says(w, "ready", NULL);
        enforce_gate_attached(w->e, w->now);
        ck_assert_int_eq(status(w).gate, PART_READY);
        heal(w, "web");
        ck_assert_uint_eq(w->n_gate, n + 1);
        world_free(w);
}
END_TEST

/* A verdict may come in the very loop turn in which its time ended, before the tick that ends the proposal.
 */
START_TEST(test_late_question) {
        World *w = world_ready();
        heal(w, "leaky");
        pump(w);
        w->now.boot_us += ENFORCE_USE_BY_US;
        verdict(w, (Say){.verdict = VERDICT_REQUIRE_APPROVAL,
                           .approval_id = "apr_1",
                           .code = "approval_required"});
        ck_assert_uint_eq(status(w).late_verdicts, 1);
        ck_assert_uint_eq(status(w).pending_approvals, 0);
        world_pass(w, 0);
        ck_assert_int_eq(last_reply(w)->code, CODE_GOVERNANCE_UNAVAILABLE);
        world_free(w);
}
END_TEST

START_TEST(test_use_by_runs_out_before_the_act) {
        World *w = world_ready();
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .use_by = w->now.boot_us + 1000});
        world_pass(w, 1000);
        ck_assert_int_eq(last_reply(w)->code, CODE_LEDGER_UNAVAILABLE);
        ck_assert_uint_eq(status(w).open, 1); /* the intent may be on record: it must be closed */
        pump(w);
        pump(w);
        ck_assert_uint_eq(w->n_acts, 0);
        ck_assert_str_eq(find(w, RECORD_ACTION, 0)->result, "not_run");
        ck_assert_uint_eq(status(w).open, 0);
        world_free(w);
}
END_TEST

static void change_and_expect(void (*change)(World *w), const char *result, Code code) {
        World *w = world_ready();
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        if (change)
                change(w);
        pump(w);
        if (w->n_acts)
                enforce_act_result(w->e, w->acts[0].request_id, OUTCOME_OK, NULL, w->now);
        pump(w);
        ck_assert_str_eq(find(w, RECORD_ACTION, 0)->result, result);
        ck_assert_int_eq(last_reply(w)->code, code);
        ck_assert_uint_eq(count(w, RECORD_ACTION), 1);
        world_free(w);
}
static void c_pause(World *w) {
        ck_assert_int_eq(
                enforce_pause(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, STR_LIT("look"), w->now), CODE_OK);
}
static void c_incarnation(World *w) {
        new_incarnation(w, "web");
}
static void c_quiet_incarnation(World *w) {
        unit(w, "web")->incarnation.start_time++;
}
static void c_stopping(World *w) {
        unit(w, "web")->state = UNIT_STOPPING;
}
static void c_pinned(World *w) {
        unit(w, "web")->pinned_down = true;
}
static void c_gone(World *w) {
        w->units[0].name = NULL;
}
START_TEST(test_last_check) {
        change_and_expect(NULL, "ok", CODE_OK);
        change_and_expect(c_pause, "not_run", CODE_PAUSED);
        change_and_expect(c_incarnation, "not_run", CODE_STALE_TARGET);
        change_and_expect(c_quiet_incarnation, "not_run", CODE_STALE_TARGET);
        change_and_expect(c_stopping, "not_run", CODE_STALE_TARGET);
        change_and_expect(c_pinned, "not_run", CODE_PINNED);
        change_and_expect(c_gone, "not_run", CODE_UNKNOWN_UNIT);
}
END_TEST

START_TEST(test_lockdown_between) {
        World *w = world_ready();
        person(w, 0, ROLE_ADMIN, "lockdown", "", "state=on");
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        unsigned lock = w->n_gate;
        heal(w, "web");
        ck_assert_uint_eq(w->n_gate, lock + 1);
        Msg d = last_to_gate(w);
        ck_assert(!msg_bool(&d, TAG_LOCKDOWN, true));
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .decision = 8});
        pump(w); /* lockdown first, then the intent of the healing */
        ck_assert_uint_eq(w->n_acts, 0);
        ck_assert(status(w).lockdown);
        ck_assert_str_eq(find(w, RECORD_CONFIG, 0)->action, "lockdown");
        ck_assert_str_eq(find(w, RECORD_CONFIG, 0)->result, "on");
        ck_assert_int_eq(last_reply(w)->code, CODE_LOCKDOWN);
        heal(w, "web");
        d = last_to_gate(w);
        ck_assert(msg_bool(&d, TAG_LOCKDOWN, false));
        verdict(w, (Say){.verdict = VERDICT_ALLOW}); /* judged under lockdown: the gate's matter */
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        world_free(w);
}
END_TEST

START_TEST(test_target_ends_while_deciding) {
        World *w = world_ready();
        heal(w, "web");
        new_incarnation(w, "web");
        ck_assert_int_eq(last_reply(w)->code, CODE_STALE_TARGET);
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        ck_assert_uint_eq(w->n_acts, 0);
        ck_assert_uint_eq(status(w).late_verdicts, 1);
        world_free(w);
}
END_TEST

START_TEST(test_gate_restart_asks_once) {
        World *w = world_ready();
        heal(w, "web");
        uint8_t id[16];
        Msg d = last_to_gate(w);
        memcpy(id, msg_bytes(&d, TAG_REQUEST_ID), 16);
        enforce_gate_lost(w->e, w->now);
        ck_assert_uint_eq(w->n_replies, 0);
        world_pass(w, 100000);
        enforce_gate_attached(w->e, w->now);
        ck_assert_uint_eq(w->n_gate, 2);
        d = last_to_gate(w);
        ck_assert_mem_eq(msg_bytes(&d, TAG_REQUEST_ID), id, 16);
        enforce_gate_lost(w->e, w->now);
        enforce_gate_attached(w->e, w->now);
        ck_assert_uint_eq(w->n_gate, 2); /* once, not again */
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        world_free(w);
}
END_TEST

START_TEST(test_intent_refused) {
        World *w = world_ready();
        heal(w, "web");
        pump(w);
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        refuse_next(w, "intent_refused");
        ck_assert_int_eq(last_reply(w)->code, CODE_INTENT_REFUSED);
        ck_assert_uint_eq(w->n_acts, 0);
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        world_free(w);
}
END_TEST

START_TEST(test_outcomes) {
        World *w = world_ready();
        w->act_now = true; /* an act may end inside the op */
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        ck_assert_int_eq(last_reply(w)->code, CODE_OK);
        w->act_now = false;
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        enforce_act_result(w->e, w->acts[1].request_id, OUTCOME_FAILED, "did not stop", w->now);
        enforce_act_result(w->e, w->acts[1].request_id, OUTCOME_OK, NULL, w->now); /* once */
        pump(w);
        ck_assert_int_eq(last_reply(w)->code, CODE_FAILED);
        ck_assert_str_eq(find(w, RECORD_ACTION, 1)->result, "failed");
        ck_assert_uint_eq(count(w, RECORD_ACTION), 2);
        world_free(w);
}
END_TEST

START_TEST(test_reply_forms) {
        World *w = world_ready();
        EnforceReply r = {.waiter = 1,
                .code = CODE_HEAL_NOT_LISTED,
                .decision_index = NONE,
                .intent_index = NONE,
                .action_index = 3,
                .approval_id = "",
                .reason = "x",
                .correlation_id = "cor_1"};
        Buf out = BUF_INIT(4096);
        JsonWriter j;
        json_init(&j, &out, false);
        enforce_reply_to_json(&r, &j);
        ck_assert_int_eq(json_finish(&j), 0);
        Str s = {(const char *)out.data, out.len};
        const char *want = "{\"request_id\":null,\"verdict\":\"none\",\"code\":\"heal_not_listed\","
                           "\"decision_index\":null,"
                           "\"approval_id\":null,\"intent_index\":null,\"action_index\":3,\"outcome\":null,"
                           "\"reason\":\"x\","
                           "\"correlation_id\":\"cor_1\",\"ungated\":false}";
        ck_assert_msg(str_eq(s, want), "%.*s", (int)s.n, s.p);
        buf_done(&out);
        MsgBuilder b;
        Msg m;
        enforce_reply_to_msg(&r, 9, &b);
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &m), 0);
        ck_assert_uint_eq(msg_u64(&m, TAG_REQ, 0), 9);
        ck_assert(str_eq(msg_str(&m, TAG_CODE), "heal_not_listed"));
        ck_assert(!msg_has(&m, TAG_INTENT_INDEX));
        world_free(w);
}
END_TEST

RUN_TESTS("enforce-flow", test_allowed_path, test_denied, test_forged_verdicts, test_late_verdict,
        test_silent_ledger_is_named, test_silent_ledger_after_approval, test_gate_that_failed,
        test_late_question, test_use_by_runs_out_before_the_act, test_last_check, test_lockdown_between,
        test_target_ends_while_deciding, test_gate_restart_asks_once, test_intent_refused, test_outcomes,
        test_reply_forms)
