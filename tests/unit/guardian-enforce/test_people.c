/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"
#include "run.h"

static const EnforceVoteReply *voted(World *w) {
        ck_assert_uint_gt(w->n_votes, 0);
        return &w->votes[w->n_votes - 1];
}

START_TEST(test_approved_path) {
        World *w = world_ready();
        uint64_t waiter = asked(w, "leaky");
        ck_assert_uint_eq(status(w).pending_approvals, 1);
        unsigned n = w->n_gate;
        vote(w, 1000, ROLE_OPERATOR, true);
        ck_assert_uint_eq(w->n_votes, 0); /* not durable */
        ck_assert_uint_eq(w->n_gate, n);  /* so the gate is not told */
        pump(w);
        ck_assert_int_eq(voted(w)->code, CODE_OK);
        ck_assert_int_eq(voted(w)->state, APPROVAL_APPROVED);
        const Logged *rec = find(w, RECORD_APPROVAL, 0);
        ck_assert_str_eq(rec->result, "approved");
        ck_assert_str_eq(rec->actor, "uid:1000");
        ck_assert_uint_eq(rec->ref, 7);
        Msg a = last_to_gate(w);
        ck_assert_int_eq(a.type, MSG_APPROVAL_ANSWERED);
        ck_assert_uint_eq(msg_u64(&a, TAG_INDEX, 0), (uint64_t)(rec - w->log) + 10);
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_1", .decision = 20});
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        ck_assert_uint_eq(find(w, RECORD_INTENT, 0)->ref, 20);
        ck_assert_ptr_nonnull(strstr(find(w, RECORD_INTENT, 0)->body, "\"approval_id\":\"apr_1\""));
        enforce_act_result(w->e, w->acts[0].request_id, OUTCOME_OK, NULL, w->now);
        pump(w);
        ck_assert_uint_eq(last_reply(w)->waiter, waiter);
        ck_assert_int_eq(last_reply(w)->code, CODE_OK);
        ck_assert_str_eq(last_reply(w)->approval_id, "apr_1");
        ck_assert_int_eq(enforce_approval(w->e, "apr_1")->state, APPROVAL_USED);
        vote(w, 1001, ROLE_OPERATOR, true);
        ck_assert_int_eq(voted(w)->code, CODE_APPROVAL_USED);
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_1", .decision = 20});
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_INTENT), 1); /* never twice */
        world_free(w);
}
END_TEST

START_TEST(test_second_verdict_must_fit) {
        World *w = world_ready();
        asked(w, "leaky");
        vote(w, 1000, ROLE_OPERATOR, true);
        pump(w);
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_2"});
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_1", .revision = "rev2"});
        verdict(w, (Say){.verdict = VERDICT_REQUIRE_APPROVAL, .approval_id = "apr_1"});
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_INTENT), 0);
        ck_assert_uint_eq(status(w).forged_verdicts, 4);
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_1"});
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        world_free(w);
}
END_TEST

START_TEST(test_second_verdict_denies) {
        World *w = world_ready();
        asked(w, "leaky");
        vote(w, 1000, ROLE_OPERATOR, true);
        pump(w);
        verdict(w, (Say){.verdict = VERDICT_DENY, .approval_id = "apr_1", .code = "budget_exceeded"});
        ck_assert_int_eq(last_reply(w)->code, CODE_BUDGET_EXCEEDED);
        ck_assert_uint_eq(status(w).open, 0);
        world_free(w);
}
END_TEST

START_TEST(test_an_allow_before_the_vote_is_dropped) {
        World *w = world_ready();
        asked(w, "leaky");
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_1"});
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_INTENT), 0);
        ck_assert_uint_eq(status(w).late_verdicts, 1);
        world_free(w);
}
END_TEST

START_TEST(test_who_may_vote) {
        World *w = world_ready();
        person(w, 1000, ROLE_OPERATOR, "restart_service", "leaky", NULL);
        verdict(w, (Say){.verdict = VERDICT_REQUIRE_APPROVAL, .approval_id = "apr_1"});
        vote(w, 1000, ROLE_OPERATOR, true);
        ck_assert_int_eq(voted(w)->code, CODE_SELF_APPROVAL);
        vote(w, 1001, ROLE_OBSERVER, true);
        ck_assert_int_eq(voted(w)->code, CODE_DENIED_BY_ROLE);
        enforce_vote(w->e, 77, ACTOR_UNIT, 1002, ROLE_ADMIN, STR_LIT("apr_1"), true, STR_LIT(""), w->now);
        ck_assert_int_eq(voted(w)->code, CODE_DENIED_BY_ROLE);
        enforce_vote(w->e, 78, ACTOR_PERSON, 1002, ROLE_ADMIN, STR_LIT("apr_x"), true, STR_LIT(""), w->now);
        ck_assert_int_eq(voted(w)->code, CODE_UNKNOWN_ID);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_APPROVAL), 0);
        vote(w, 1003, ROLE_OPERATOR, true);
        pump(w);
        ck_assert_int_eq(voted(w)->code, CODE_OK);
        ck_assert_uint_eq(count(w, RECORD_APPROVAL), 1);
        world_free(w);
}
END_TEST

START_TEST(test_needs) {
        Approval a = {.state = APPROVAL_PENDING, .actor = "immune"};
        ck_assert_int_eq(approval_add_need(&a, STR_LIT("operator:1")), 0);
        ck_assert_int_eq(approval_add_need(&a, STR_LIT("admin:1")), 0);
        ck_assert_int_lt(approval_add_need(&a, STR_LIT("observer:1")), 0);
        ck_assert_int_lt(approval_add_need(&a, STR_LIT("operator:0")), 0);
        ck_assert_int_lt(approval_add_need(&a, STR_LIT("operator:x")), 0);
        a.votes[a.n_votes++] = (ApprovalVote){.uid = 1, .role = ROLE_ADMIN, .approve = true, .durable = true};
        ck_assert(!approval_satisfied(&a, false)); /* one person is one need */
        ck_assert_int_eq(approval_vote_check(&a, 1, ROLE_ADMIN), CODE_ALREADY_VOTED);
        a.votes[a.n_votes++] = (ApprovalVote){.uid = 2, .role = ROLE_OPERATOR, .approve = true};
        ck_assert(!approval_satisfied(&a, false));
        ck_assert(approval_satisfied(&a, true));
        a.votes[1].durable = true;
        ck_assert(approval_satisfied(&a, false));
        a.votes[0].role = ROLE_OPERATOR; /* two operators are no admin */
        ck_assert(!approval_satisfied(&a, false));
        a.votes[0].role = a.votes[1].role = ROLE_ADMIN;
        ck_assert(approval_satisfied(&a, false));
}
END_TEST

/* A vote counts once it is durable: two are needed, two are given, one is on disk. */
START_TEST(test_votes_count_when_durable) {
        World *w = world_ready();
        heal(w, "leaky");
        verdict(w, (Say){.verdict = VERDICT_REQUIRE_APPROVAL,
                           .approval_id = "apr_1",
                           .code = "approval_required",
                           .need = "operator:2"});
        vote(w, 1000, ROLE_OPERATOR, true);
        vote(w, 1001, ROLE_OPERATOR, true);
        unsigned n = w->n_gate;
        pump_one(w); /* whether it answers, asked along with the gate */
        pump_one(w);
        ck_assert_int_eq(enforce_approval(w->e, "apr_1")->state, APPROVAL_PENDING);
        ck_assert_uint_eq(w->n_gate, n); /* the gate has not been told */
        pump_one(w);
        ck_assert_int_eq(enforce_approval(w->e, "apr_1")->state, APPROVAL_APPROVED);
        ck_assert_uint_eq(w->n_gate, n + 1);
        world_free(w);
}
END_TEST

START_TEST(test_denied_by_a_person) {
        World *w = world_ready();
        uint64_t waiter = asked(w, "leaky");
        vote(w, 1000, ROLE_OPERATOR, false);
        pump(w);
        ck_assert_int_eq(voted(w)->code, CODE_OK);
        ck_assert_int_eq(voted(w)->state, APPROVAL_DENIED);
        ck_assert_uint_eq(last_reply(w)->waiter, waiter);
        ck_assert_int_eq(last_reply(w)->code, CODE_APPROVAL_DENIED);
        verdict(w, (Say){.verdict = VERDICT_DENY, .approval_id = "apr_1", .code = "approval_denied"});
        ck_assert_uint_eq(status(w).late_verdicts, 0); /* its record is expected */
        vote(w, 1001, ROLE_OPERATOR, true);
        ck_assert_int_eq(voted(w)->code, CODE_APPROVAL_DENIED);
        world_free(w);
}
END_TEST

/* Two people vote at once, a yes and behind it a no: the yes is durable, the no on its way. */
static void two_votes(World *w) {
        asked(w, "leaky");
        pump(w);
        vote(w, 1000, ROLE_OPERATOR, true);
        vote(w, 1001, ROLE_OPERATOR, false);
        pump_one(w);
}

/* What was denied before the act is not acted on. */
START_TEST(test_a_denial_behind_a_vote_counts) {
        World *w = world_ready();
        two_votes(w);
        ck_assert_int_eq(voted(w)->state, APPROVAL_APPROVED);
        pump(w);
        ck_assert_int_eq(voted(w)->code, CODE_OK);
        ck_assert_int_eq(voted(w)->state, APPROVAL_DENIED);
        ck_assert_int_eq(last_reply(w)->code, CODE_APPROVAL_DENIED);
        Msg a = last_to_gate(w);
        ck_assert(str_eq(msg_str(&a, TAG_STATE), "denied"));
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_1", .decision = 20});
        pump(w);
        ck_assert_uint_eq(w->n_acts, 0);
        ck_assert_uint_eq(count(w, RECORD_INTENT), 0);
        world_free(w);
}
END_TEST

/* The same when the gate had answered the yes already: the intent is written, and nothing runs. */
START_TEST(test_a_denial_behind_the_allow_counts) {
        World *w = world_ready();
        two_votes(w);
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_1", .decision = 20});
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_INTENT), 1);
        ck_assert_uint_eq(w->n_acts, 0);
        ck_assert_int_eq(voted(w)->code, CODE_OK);
        ck_assert_int_eq(voted(w)->state, APPROVAL_DENIED);
        ck_assert_str_eq(find(w, RECORD_ACTION, 0)->result, "not_run");
        ck_assert_int_eq(last_reply(w)->code, CODE_APPROVAL_DENIED);
        world_free(w);
}
END_TEST

/* The gate reads the denial before Guardian hears that it is durable. */
START_TEST(test_a_denial_that_the_gate_saw_first) {
        World *w = world_ready();
        two_votes(w);
        verdict(w, (Say){.verdict = VERDICT_DENY, .approval_id = "apr_1", .code = "approval_denied"});
        ck_assert_int_eq(enforce_approval(w->e, "apr_1")->state, APPROVAL_DENIED);
        pump(w);
        ck_assert_int_eq(voted(w)->code, CODE_OK);
        ck_assert_uint_eq(w->n_acts, 0);
        world_free(w);
}
END_TEST

START_TEST(test_stale_target) {
        World *w = world_ready();
        uint64_t waiter = asked(w, "leaky");
        new_incarnation(w, "leaky");
        ck_assert_uint_eq(last_reply(w)->waiter, waiter);
        ck_assert_int_eq(last_reply(w)->code, CODE_STALE_TARGET);
        vote(w, 1000, ROLE_OPERATOR, true);
        ck_assert_int_eq(voted(w)->code, CODE_STALE_TARGET);
        ck_assert_int_eq(code_exit_status(CODE_STALE_TARGET), 1);
        pump(w);
        ck_assert_str_eq(find(w, RECORD_APPROVAL, 0)->result, "void");
        Msg a = last_to_gate(w);
        ck_assert(str_eq(msg_str(&a, TAG_STATE), "void"));
        unsigned n = w->n_gate;
        heal(w, "leaky"); /* for the new incarnation */
        ck_assert_uint_eq(w->n_gate, n + 1);
        world_free(w);
}
END_TEST

START_TEST(test_ends_while_the_vote_is_written) {
        World *w = world_ready();
        asked(w, "leaky");
        vote(w, 1000, ROLE_OPERATOR, true);
        new_incarnation(w, "leaky");
        pump(w);
        ck_assert_int_eq(voted(w)->code, CODE_STALE_TARGET);
        ck_assert_int_eq(enforce_approval(w->e, "apr_1")->state, APPROVAL_VOID);
        world_free(w);
}
END_TEST

START_TEST(test_expiry) {
        World *w = world_ready();
        uint64_t waiter = asked(w, "leaky");
        pump(w);
        ck_assert_uint_eq(enforce_deadline(w->e), w->now.boot_us + APPROVAL_TTL_US);
        world_pass(w, APPROVAL_TTL_US - 1);
        ck_assert_int_eq(enforce_approval(w->e, "apr_1")->state, APPROVAL_PENDING);
        world_pass(w, 1);
        ck_assert_uint_eq(last_reply(w)->waiter, waiter);
        ck_assert_int_eq(last_reply(w)->code, CODE_APPROVAL_EXPIRED);
        vote(w, 1000, ROLE_OPERATOR, true);
        ck_assert_int_eq(voted(w)->code, CODE_APPROVAL_EXPIRED);
        pump(w);
        ck_assert_str_eq(find(w, RECORD_APPROVAL, 0)->result, "expired");
        world_free(w);
}
END_TEST

START_TEST(test_vote_while_the_ledger_is_away) {
        World *w = world_ready();
        asked(w, "leaky");
        vote(w, 1000, ROLE_OPERATOR, true);
        world_pass(w, ENFORCE_USE_BY_US); /* the ledger says nothing */
        ck_assert_int_eq(voted(w)->code, CODE_LEDGER_UNAVAILABLE);
        vote(w, 1001, ROLE_OPERATOR, true);
        ck_assert_int_eq(voted(w)->code, CODE_LEDGER_UNAVAILABLE);
        pump(w); /* durable after all: it counts, and is not answered twice */
        ck_assert_uint_eq(w->n_votes, 2);
        ck_assert_int_eq(enforce_approval(w->e, "apr_1")->state, APPROVAL_APPROVED);
        world_free(w);
}
END_TEST

START_TEST(test_gate_away_when_approved) {
        World *w = world_ready();
        asked(w, "leaky");
        enforce_gate_lost(w->e, w->now);
        unsigned n = w->n_gate;
        vote(w, 1000, ROLE_OPERATOR, true);
        pump(w);
        ck_assert_int_eq(voted(w)->code, CODE_OK); /* people need the ledger only */
        ck_assert_uint_eq(w->n_gate, n);
        enforce_gate_attached(w->e, w->now);
        ck_assert_uint_eq(w->n_gate, n + 1);
        Msg a = last_to_gate(w);
        ck_assert_int_eq(a.type, MSG_APPROVAL_ANSWERED);
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_1"});
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        world_free(w);
}
END_TEST

/* What a restarted Guardian hears from the gate about a question of the one before. */
static void pending_from(World *old, World *w, const char *state, const Incarnation *inc, bool tamper) {
        MsgBuilder b;
        Msg m, d;
        ck_assert_int_eq(msg_view(&old->gate[0], (Str){NULL, 0}, &d), 0);
        msg_begin(&b, MSG_APPROVAL_PENDING);
        msg_put_cstr(&b, TAG_APPROVAL_ID, "apr_1");
        static const Tag same[] = {TAG_REQUEST_ID, TAG_DIGEST, TAG_ACTOR, TAG_ACTOR_KIND, TAG_TARGET,
                TAG_BOOT_ID, TAG_INCIDENT, TAG_ARG, TAG_CORRELATION_ID, TAG_REASON, TAG_TIME_NS};
        for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
                msg_copy(&b, &d, same[i]);
        msg_put_cstr(&b, TAG_ACTION, tamper ? "scale_up" : "restart_service");
        msg_put_u64(&b, TAG_DECISION_INDEX, 7);
        msg_put_u64(&b, TAG_PID, inc->pid);
        msg_put_u64(&b, TAG_START_TIME, inc->start_time);
        msg_put_u64(&b, TAG_EXPIRES_NS, msg_u64(&d, TAG_TIME_NS, 0) + APPROVAL_TTL_US * 1000);
        msg_put_cstr(&b, TAG_POLICY_REVISION, "rev1");
        msg_put_cstr(&b, TAG_NEED, "operator:1");
        msg_put_cstr(&b, TAG_STATE, state);
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &m), 0);
        ck_assert(enforce_gate_msg(w->e, &m, w->now));
}

START_TEST(test_registered_again) {
        World *old = world_ready(), *w = world_ready();
        heal(old, "leaky");
        Incarnation inc = unit(old, "leaky")->incarnation;
        pending_from(old, w, "pending", &inc, true); /* not what was asked */
        ck_assert_uint_eq(status(w).pending_approvals, 0);
        pending_from(old, w, "pending", &inc, false);
        pending_from(old, w, "pending", &inc, false); /* said twice */
        ck_assert_uint_eq(status(w).pending_approvals, 1);
        heal(w, "leaky");
        ck_assert_int_eq(last_reply(w)->code, CODE_TARGET_BUSY);
        vote(w, 1000, ROLE_OPERATOR, true);
        pump(w);
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_1"});
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        ck_assert_str_eq(w->acts[0].target, "leaky");
        world_free(w);
        w = world_ready(); /* the process is another one now */
        unit(w, "leaky")->incarnation.pid++;
        pending_from(old, w, "pending", &inc, false);
        pump(w);
        ck_assert_int_eq(enforce_approval(w->e, "apr_1")->state, APPROVAL_VOID);
        ck_assert_str_eq(find(w, RECORD_APPROVAL, 0)->result, "void");
        world_free(w);
        w = world_ready(); /* wall time went backwards */
        w->now.wall_ns -= 1000000;
        pending_from(old, w, "pending", &inc, false);
        ck_assert_int_eq(enforce_approval(w->e, "apr_1")->state, APPROVAL_EXPIRED);
        world_free(w);
        w = world_ready(); /* said before the gate was validated: heard afterwards */
        enforce_gate_lost(w->e, w->now);
        pending_from(old, w, "pending", &inc, false);
        ck_assert_uint_eq(status(w).pending_approvals, 0);
        enforce_gate_attached(w->e, w->now);
        ck_assert_uint_eq(status(w).pending_approvals, 1);
        world_free(w);
        world_free(old);
}
END_TEST

/* A gate that was taken over says that people approved something, and allows it. */
static World *approved_elsewhere(World *old, const char *on_record, bool gate_dies) {
        World *w = world_new(true, true);
        MsgBuilder b;
        Msg d;
        Incarnation inc = unit(old, "leaky")->incarnation;
        ck_assert_int_eq(msg_view(&old->gate[0], (Str){NULL, 0}, &d), 0);
        enforce_gate_attached(w->e, w->now);
        pending_from(old, w, "approved", &inc, false); /* waits for our own record */
        ck_assert_ptr_null(enforce_approval(w->e, "apr_1"));
        enforce_ledger_attached(w->e, w->now);
        while (w->pumped < w->n_ledger) {
                Msg q;
                ck_assert_int_eq(msg_view(&w->ledger[w->pumped].b, (Str){NULL, 0}, &q), 0);
                if (on_record && q.type == MSG_QUERY &&
                        msg_u64(&q, TAG_KINDS, 0) == 1ull << RECORD_APPROVAL) {
                        static const uint8_t hash[32] = {2};
                        msg_begin(&b, MSG_RECORD);
                        msg_put_u64(&b, TAG_REQ, msg_u64(&q, TAG_REQ, 0));
                        msg_put_u64(&b, TAG_INDEX, 8);
                        msg_put_u64(&b, TAG_TIME_NS, w->now.wall_ns);
                        msg_put_u64(&b, TAG_KIND, RECORD_APPROVAL);
                        msg_put_cstr(&b, TAG_WRITER, "guardian");
                        msg_put_u64(&b, TAG_EPOCH, 1);
                        msg_put_u64(&b, TAG_SEQ, 1);
                        msg_put_bytes(&b, TAG_HASH, hash);
                        msg_put_bytes(&b, TAG_PREV, hash);
                        msg_copy(&b, &d, TAG_REQUEST_ID);
                        msg_copy(&b, &d, TAG_DIGEST);
                        msg_put_cstr(&b, TAG_RESULT, on_record);
                        say_ledger(w, &b);
                }
                pump_one(w);
        }
        if (gate_dies) { /* its successor, which may have the decision already, is told where the vote stands
                          */
                enforce_gate_lost(w->e, w->now);
                enforce_gate_attached(w->e, w->now);
                Msg a = last_to_gate(w);
                ck_assert_int_eq(a.type, MSG_APPROVAL_ANSWERED);
                ck_assert_uint_eq(msg_u64(&a, TAG_INDEX, 0), 8);
        } else {
                w->gate[w->n_gate++] = old->gate[0];
        }
        verdict(w, (Say){.verdict = VERDICT_ALLOW, .approval_id = "apr_1"});
        pump(w);
        return w;
}

START_TEST(test_approval_is_not_the_gates_to_say) {
        World *old = world_ready();
        heal(old, "leaky");
        World *w = approved_elsewhere(old, NULL, false);
        ck_assert_uint_eq(w->n_acts, 0);
        ck_assert_uint_gt(status(w).forged_verdicts, 0);
        world_free(w);
        w = approved_elsewhere(old, "denied", false);
        ck_assert_uint_eq(w->n_acts, 0);
        world_free(w);
        for (int dies = 0; dies < 2; dies++) {
                w = approved_elsewhere(old, "approved", dies);
                ck_assert_uint_eq(w->n_acts, 1);
                world_free(w);
        }
        w = world_ready(); /* nor does it ask about what the unit does not list */
        Incarnation inc = unit(w, "leaky")->incarnation;
        unit(w, "leaky")->n_heal = 0;
        pending_from(old, w, "pending", &inc, false);
        ck_assert_uint_eq(status(w).pending_approvals, 0);
        ck_assert_uint_gt(status(w).forged_verdicts, 0);
        world_free(w);
        world_free(old);
}
END_TEST

START_TEST(test_approvals_document) {
        World *w = world_ready();
        asked(w, "leaky");
        vote(w, 1000, ROLE_OPERATOR, true);
        pump(w);
        Buf out = BUF_INIT(65536);
        JsonWriter j;
        json_init(&j, &out, false);
        enforce_approvals_json(w->e, &j);
        ck_assert_int_eq(json_finish(&j), 0);
        ck_assert_int_eq(buf_append(&out, "", 1), 0);
        static const char *const parts[] = {"\"id\":\"apr_1\"", "\"action\":\"restart_service\"",
                "\"target\":\"leaky\"", "\"requested_by\":\"immune\"", "\"needs\":[\"operator:1\"]",
                "\"given\":[{\"role\":\"operator\",\"uid\":1000,\"vote\":\"approve\"}]",
                "\"state\":\"approved\"",
                "\"rules\":[{\"id\":\"critical\",\"effect\":\"require_approval\",\"tier\":\"organisation\"}]",
                "\"expires\":", "\"created\":", "\"digest\":", "\"reason\":\"memory\""};
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
                ck_assert_msg(
                        strstr((char *)out.data, parts[i]) != NULL, "%s in %s", parts[i], (char *)out.data);
        buf_done(&out);
        world_free(w);
}
END_TEST

RUN_TESTS("enforce-people", test_approved_path, test_second_verdict_must_fit, test_second_verdict_denies,
        test_an_allow_before_the_vote_is_dropped, test_who_may_vote, test_needs,
        test_votes_count_when_durable, test_denied_by_a_person, test_a_denial_behind_a_vote_counts,
        test_a_denial_behind_the_allow_counts, test_a_denial_that_the_gate_saw_first, test_stale_target,
        test_ends_while_the_vote_is_written, test_expiry, test_vote_while_the_ledger_is_away,
        test_gate_away_when_approved, test_registered_again, test_approval_is_not_the_gates_to_say,
        test_approvals_document)
