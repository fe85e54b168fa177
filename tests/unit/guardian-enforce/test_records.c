/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"
#include "run.h"
#include <errno.h>

static void lifecycle(World *w, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                ck_assert_int_eq(enforce_record(w->e,
                                         &(RecordFields){.kind = RECORD_UNIT,
                                                 .ref = NONE,
                                                 .actor = "guardian",
                                                 .action = "state",
                                                 .resource = "web",
                                                 .body = STR_LIT("{}")},
                                         w->now),
                        0);
}

START_TEST(test_ring_and_loss) {
        World *w = world_ready();
        lifecycle(w, 3);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_UNIT), 3);
        enforce_ledger_lost(w->e, w->now);
        lifecycle(w, RECORD_RING_MAX + 10);
        ck_assert_uint_eq(status(w).lost_records, 10);
        enforce_ledger_attached(w->e, w->now);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_UNIT), 3 + RECORD_RING_MAX);
        ck_assert_uint_eq(count(w, RECORD_LOSS), 1);
        ck_assert_ptr_nonnull(strstr(find(w, RECORD_LOSS, 0)->body, "\"count\":10"));
        ck_assert_int_eq(w->log[3].kind, RECORD_LOSS); /* where the gap is */
        world_free(w);
}
END_TEST

START_TEST(test_sent_again_with_the_same_number) {
        World *w = world_ready();
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        enforce_act_result(w->e, w->acts[0].request_id, OUTCOME_OK, NULL, w->now);
        /* The ledger wrote the action record and died before it could say so. */
        unsigned sent = w->n_ledger;
        Sent *last = &w->ledger[sent - 1];
        Msg m;
        ck_assert_int_eq(msg_view(&last->b, (Str){last->body, last->n}, &m), 0);
        Logged *l = &w->log[w->n_log++];
        *l = (Logged){.kind = RECORD_ACTION, .seq = msg_u64(&m, TAG_SEQ, 0), .epoch = w->epoch};
        w->ledger_seq = l->seq;
        w->pumped = sent;
        enforce_ledger_lost(w->e, w->now);
        ck_assert_int_eq(status(w).ledger, PART_DOWN);
        heal(w, "web");
        ck_assert_int_eq(last_reply(w)->code, CODE_LEDGER_UNAVAILABLE);
        enforce_ledger_attached(w->e, w->now);
        Msg a;
        ck_assert_int_eq(msg_view(&w->ledger[w->n_ledger - 1].b, (Str){NULL, 0}, &a), 0);
        ck_assert_int_eq(a.type, MSG_ATTACH);
        ck_assert_uint_eq(msg_u64(&a, TAG_EPOCH, 0), w->epoch);
        ck_assert_uint_eq(msg_u64(&a, TAG_INDEX, 0), 10); /* the intent */
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_ACTION), 1);
        ck_assert_int_eq(last_reply(w)->code, CODE_OK);
        ck_assert_uint_eq(status(w).open, 0);
        world_free(w);
}
END_TEST

START_TEST(test_answer_without_the_record) {
        World *w = world_ready();
        uint64_t waiter = heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        enforce_ledger_lost(w->e, w->now);
        enforce_act_result(w->e, w->acts[0].request_id, OUTCOME_OK, NULL, w->now);
        world_pass(w, ENFORCE_USE_BY_US);
        ck_assert_uint_eq(last_reply(w)->waiter, waiter);
        ck_assert_int_eq(last_reply(w)->code, CODE_UNRECORDED);
        ck_assert(last_reply(w)->has_outcome && last_reply(w)->outcome == OUTCOME_OK);
        unsigned n = w->n_replies;
        enforce_ledger_attached(w->e, w->now);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_ACTION), 1);
        ck_assert_uint_eq(w->n_replies, n);
        world_free(w);
}
END_TEST

static void open_intent(World *w, uint8_t id) {
        uint8_t request[16] = {0xaa, id}, digest[32] = {3};
        MsgBuilder b;
        msg_begin(&b, MSG_OPEN_INTENT);
        msg_put_u64(&b, TAG_INDEX, 5);
        msg_put_bytes(&b, TAG_REQUEST_ID, request);
        msg_put_bytes(&b, TAG_DIGEST, digest);
        msg_put_u64(&b, TAG_REF, 4);
        msg_put_cstr(&b, TAG_ACTION, "restart_service");
        msg_put_cstr(&b, TAG_RESOURCE, "web");
        say_ledger(w, &b);
}

START_TEST(test_open_intents_are_closed_once) {
        World *w = world_new(true, true);
        enforce_gate_attached(w->e, w->now);
        enforce_ledger_attached(w->e, w->now);
        open_intent(w, 1);
        open_intent(w, 1);
        pump(w); /* attached, queries, and the closing record */
        ck_assert_uint_eq(count(w, RECORD_ACTION), 1);
        const Logged *a = find(w, RECORD_ACTION, 0);
        ck_assert_str_eq(a->result, "unknown");
        ck_assert_uint_eq(a->ref, 5);
        ck_assert_uint_eq(w->n_acts, 0); /* never repeated */
        heal(w, "web");
        ck_assert_uint_eq(w->n_gate, 1);
        world_free(w);
}
END_TEST

START_TEST(test_closed_before_a_proposal_is_taken) {
        World *w = world_ready();
        enforce_ledger_lost(w->e, w->now);
        enforce_ledger_attached(w->e, w->now);
        open_intent(w, 2);
        unsigned seen = w->pumped + 1;
        MsgBuilder b;
        msg_begin(&b, MSG_ATTACHED);
        msg_put_cstr(&b, TAG_CODE, "ok");
        msg_put_u64(&b, TAG_EPOCH, w->epoch);
        msg_put_u64(&b, TAG_SEQ, w->ledger_seq);
        msg_put_u64(&b, TAG_SIZE, 1);
        msg_put_u64(&b, TAG_SIGNED_SIZE, 1);
        say_ledger(w, &b);
        w->pumped = seen;
        ck_assert_int_eq(status(w).ledger, PART_READY);
        heal(w, "web");
        ck_assert_int_eq(last_reply(w)->code, CODE_TARGET_BUSY);
        pump(w);
        heal(w, "web");
        ck_assert_uint_eq(w->n_gate, 1);
        world_free(w);
}
END_TEST

/* An intent in flight when the ledger restarts belongs to its own path, not to the closing of old ones. */
START_TEST(test_own_intent_is_not_closed) {
        World *w = world_ready();
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        Msg d = last_to_gate(w), m;
        enforce_ledger_lost(w->e, w->now);
        w->pumped = w->n_ledger;
        enforce_ledger_attached(w->e, w->now);
        MsgBuilder b;
        msg_begin(&b, MSG_OPEN_INTENT);
        msg_put_u64(&b, TAG_INDEX, 10);
        msg_copy(&b, &d, TAG_REQUEST_ID);
        msg_copy(&b, &d, TAG_DIGEST);
        msg_put_u64(&b, TAG_REF, 7);
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &m), 0);
        say_ledger(w, &b);
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        enforce_act_result(w->e, w->acts[0].request_id, OUTCOME_OK, NULL, w->now);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_ACTION), 1);
        ck_assert_str_eq(find(w, RECORD_ACTION, 0)->result, "ok");
        world_free(w);
}
END_TEST

START_TEST(test_rollback) {
        World *w = world_ready();
        ck_assert_int_eq(enforce_pause(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN,
                                 STR_LIT("a record that waits"), w->now),
                CODE_OK);
        enforce_ledger_lost(w->e, w->now);
        enforce_resume(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, w->now);
        enforce_ledger_attached(w->e, w->now);
        unsigned sent = w->n_ledger;
        MsgBuilder b;
        msg_begin(&b, MSG_ATTACHED);
        msg_put_cstr(&b, TAG_CODE, "ledger_rollback");
        msg_put_u64(&b, TAG_EPOCH, w->epoch);
        msg_put_u64(&b, TAG_SEQ, 0);
        msg_put_u64(&b, TAG_SIZE, 1);
        msg_put_u64(&b, TAG_SIGNED_SIZE, 1);
        say_ledger(w, &b);
        ck_assert_uint_eq(w->n_ledger, sent); /* nothing is written to a ledger that forgot */
        heal(w, "web");
        ck_assert_int_eq(last_reply(w)->code, CODE_LEDGER_ROLLBACK);
        ck_assert(status(w).rollback);
        person(w, 0, ROLE_ADMIN, "restart", "web", NULL); /* an admin's still works, ungated */
        ck_assert_uint_eq(w->n_acts, 1);
        world_free(w);
}
END_TEST

START_TEST(test_stalled) {
        World *w = world_ready();
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        world_pass(w, ENFORCE_DOWN_US);
        ck_assert_int_eq(status(w).ledger, PART_STALLED);
        heal(w, "leaky");
        ck_assert_int_eq(last_reply(w)->code, CODE_LEDGER_UNAVAILABLE);
        pump(w);
        ck_assert_int_eq(status(w).ledger, PART_READY);
        world_free(w);
}
END_TEST

START_TEST(test_ledger_failed_keeps_records) {
        World *w = world_ready();
        heal(w, "web");
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        enforce_act_result(w->e, w->acts[0].request_id, OUTCOME_OK, NULL, w->now);
        refuse_next(w, "ledger_failed");
        ck_assert_int_eq(status(w).ledger, PART_DOWN);
        ck_assert_uint_eq(status(w).open, 1);
        world_pass(w, 2 * ENFORCE_USE_BY_US);
        ck_assert_uint_eq(enforce_deadline(w->e), NONE); /* nothing to do until it is replaced */
        w->ledger_seq = w->log[w->n_log - 1].seq;        /* a new instance knows what is on disk */
        enforce_ledger_lost(w->e, w->now);
        enforce_ledger_attached(w->e, w->now);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_ACTION), 1);
        ck_assert_uint_eq(status(w).open, 0);
        world_free(w);
}
END_TEST

START_TEST(test_busy_is_tried_again_in_order) {
        World *w = world_ready();
        RecordFields f = {.kind = RECORD_CONFIG,
                .ref = NONE,
                .actor = "guardian",
                .action = "a",
                .body = STR_LIT("{}")};
        for (unsigned i = 0; i < 3; i++) {
                char name[2] = {(char)('a' + i), 0};
                f.action = name;
                ck_assert_int_eq(enforce_record(w->e, &f, w->now), 0);
        }
        refuse_next(w, "busy");
        refuse_next(w, "busy");
        refuse_next(w, "busy");
        ck_assert_int_eq(status(w).ledger, PART_DOWN);
        world_pass(w, 1000000);
        pump(w);
        ck_assert_str_eq(find(w, RECORD_CONFIG, 0)->action, "a");
        ck_assert_str_eq(find(w, RECORD_CONFIG, 1)->action, "b");
        ck_assert_str_eq(find(w, RECORD_CONFIG, 2)->action, "c");
        ck_assert_uint_gt(find(w, RECORD_CONFIG, 0)->seq, 3);
        world_free(w);
}
END_TEST

START_TEST(test_conflict_attaches_again) {
        World *w = world_ready();
        heal(w, "web");
        pump(w);
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        refuse_next(w, "E.CONFLICT");
        ck_assert_uint_eq(w->n_acts, 0);
        world_pass(w, 300000);
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        world_free(w);
}
END_TEST

static void recovery_seen(World *w, uint8_t id) {
        uint8_t request[16] = {0x51, id}, zero[32] = {0};
        MsgBuilder b;
        Msg m, q;
        ck_assert_int_eq(msg_view(&w->ledger[w->n_ledger - 1].b, (Str){NULL, 0}, &q), 0);
        ck_assert_int_eq(q.type, MSG_QUERY);
        msg_begin(&b, MSG_RECORD);
        msg_copy(&b, &q, TAG_REQ);
        msg_put_u64(&b, TAG_INDEX, 3);
        msg_put_u64(&b, TAG_TIME_NS, 1);
        msg_put_u64(&b, TAG_KIND, RECORD_RECOVERY);
        msg_put_cstr(&b, TAG_WRITER, "guardian");
        msg_put_u64(&b, TAG_EPOCH, 1);
        msg_put_u64(&b, TAG_SEQ, 1);
        msg_put_bytes(&b, TAG_HASH, zero);
        msg_put_bytes(&b, TAG_PREV, zero);
        msg_put_bytes(&b, TAG_REQUEST_ID, request);
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &m), 0);
        say_ledger(w, &b);
}

/* Pumps one exchange: the ledger's answer to the newest message only. */
START_TEST(test_spool_is_imported_once) {
        World *w = world_new(true, true);
        EnforceSpool s = {.id = {0x51, 1},
                .time_ns = 1,
                .actor = "uid:0",
                .action = "restart",
                .resource = "web",
                .body = STR_LIT("{}")};
        ck_assert_int_eq(enforce_spool_loaded(w->e, &s), 0);
        ck_assert_int_eq(enforce_spool_loaded(w->e, &s), 0); /* the same line */
        s.id[1] = 2;
        ck_assert_int_eq(enforce_spool_loaded(w->e, &s), 0);
        ck_assert_uint_eq(status(w).spooled, 2);
        enforce_ledger_attached(w->e, w->now);
        for (unsigned i = 0; i < 3;
                i++) { /* ATTACH, lockdown, acts: then the query for recovery records is out */
                Msg m;
                MsgBuilder b;
                ck_assert_int_eq(msg_view(&w->ledger[w->pumped++].b, (Str){NULL, 0}, &m), 0);
                if (m.type == MSG_ATTACH) {
                        msg_begin(&b, MSG_ATTACHED);
                        msg_put_cstr(&b, TAG_CODE, "ok");
                        msg_put_u64(&b, TAG_EPOCH, w->epoch);
                        msg_put_u64(&b, TAG_SEQ, 0);
                        msg_put_u64(&b, TAG_SIZE, 1);
                        msg_put_u64(&b, TAG_SIGNED_SIZE, 1);
                } else {
                        msg_begin(&b, MSG_RESULT);
                        msg_copy(&b, &m, TAG_REQ);
                        msg_put_u64(&b, TAG_STATUS, 0);
                        msg_put_cstr(&b, TAG_CODE, "ok");
                }
                say_ledger(w, &b);
        }
        recovery_seen(w, 1); /* imported by a Guardian that was killed before it could empty the spool */
        ck_assert_uint_eq(w->n_imported, 1);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_RECOVERY), 1);
        ck_assert_uint_eq(find(w, RECORD_RECOVERY, 0)->request_id[1], 2);
        ck_assert_uint_eq(w->n_imported, 2);
        world_free(w);
}
END_TEST

START_TEST(test_bounds) {
        RecordQueue q;
        record_queue_init(&q, NULL, NULL);
        RecordFields f = {.kind = RECORD_CONFIG, .ref = NONE, .body = STR_LIT("{}")};
        for (unsigned i = 0; i < RECORD_CRITICAL_MAX; i++)
                ck_assert_int_eq(record_queue_push(&q, &f, 0, false, 0, 0), 0);
        ck_assert_int_eq(record_queue_push(&q, &f, 0, false, 0, 0), -ENOBUFS);
        for (unsigned i = 0; i < RECORD_RESERVE; i++)
                ck_assert_int_eq(record_queue_push(&q, &f, 0, true, 0, 0), 0);
        ck_assert_int_eq(record_queue_push(&q, &f, 0, true, 0, 0), -ENOBUFS);
        f.body.n = RECORD_QUEUE_BODY_MAX + 1;
        ck_assert_int_eq(record_queue_push(&q, &f, 0, false, 0, 0), -EMSGSIZE);
        ck_assert_uint_eq(record_queue_pending(&q), RECORD_CRITICAL_MAX + RECORD_RESERVE);
        record_queue_done(&q);
}
END_TEST

RUN_TESTS("enforce-records", test_ring_and_loss, test_sent_again_with_the_same_number,
        test_answer_without_the_record, test_open_intents_are_closed_once,
        test_closed_before_a_proposal_is_taken, test_own_intent_is_not_closed, test_rollback, test_stalled,
        test_ledger_failed_keeps_records, test_busy_is_tried_again_in_order, test_conflict_attaches_again,
        test_spool_is_imported_once, test_bounds)
