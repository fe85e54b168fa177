/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <string.h>

const uint8_t boot_id[16] = {0xb0, 0x07};
#define WALL 1000000000000000ull

GatePolicy *shipped_policy(void) {
        Problems p = {0};
        GatePolicy *policy = NULL;
        const char *dir = POLICY_DIR;
        int r = gate_policy_load(&dir, 1, 0, &p, &policy);
        ck_assert_msg(r == 0, "%s:%u: %s", p.n ? p.items[0].file : "", p.n ? p.items[0].line : 0,
                p.n ? p.items[0].message : "");
        ck_assert_uint_eq(p.n, 0);
        return policy;
}

static int op_append(void *user, const GateRecord *r, uint64_t token) {
        World *w = user;
        if (w->append_error)
                return w->append_error;
        ck_assert_uint_lt(w->n, RECORDS_MAX);
        Record *k = &w->records[w->n++];
        *k = (Record){.kind = r->kind, .ref = r->ref, .bits = r->verdict_bits, .token = token};
        if (r->request_id) {
                k->has_request = true;
                memcpy(k->request_id, r->request_id, 16);
                memcpy(k->digest, r->digest, 32);
        }
        str_copy(k->actor, sizeof(k->actor), str_of(r->actor));
        str_copy(k->action, sizeof(k->action), str_of(r->action));
        str_copy(k->result, sizeof(k->result), str_of(r->result));
        ck_assert_uint_lt(r->body.n, sizeof(k->body));
        str_copy(k->body, sizeof(k->body), r->body);
        ck_assert_int_eq(json_check_canonical(r->body, NULL, NULL), 0);
        return 0;
}

static void op_send(void *user, const MsgBuilder *b) {
        World *w = user;
        Msg m;
        ck_assert_int_eq(msg_view(b, (Str){NULL, 0}, &m), 0);
        ck_assert_uint_lt(w->n_sent, SENT_MAX);
        w->sent[w->n_sent++] = *b;
}

static void op_end(void *user, const char *why) {
        ((World *)user)->ended = why;
}

static void tell(World *w, unsigned index) {
        static const uint8_t hash[32];
        const Record *k = &w->records[index];
        MsgBuilder b;
        Msg m;
        msg_begin(&b, MSG_RECORD);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_u64(&b, TAG_INDEX, index);
        msg_put_u64(&b, TAG_TIME_NS, (WALL + k->time_us) * 1000);
        msg_put_u64(&b, TAG_NOW_BOOT_US, k->time_us);
        msg_put_u64(&b, TAG_KIND, k->kind);
        msg_put_cstr(&b, TAG_WRITER, "x");
        msg_put_u64(&b, TAG_EPOCH, 1);
        msg_put_u64(&b, TAG_SEQ, index + 1);
        msg_put_bytes(&b, TAG_HASH, hash);
        msg_put_bytes(&b, TAG_PREV, hash);
        msg_put_bytes(&b, TAG_BOOT_ID, boot_id);
        if (k->has_request) {
                msg_put_bytes(&b, TAG_REQUEST_ID, k->request_id);
                msg_put_bytes(&b, TAG_DIGEST, k->digest);
        }
        if (k->actor[0])
                msg_put_cstr(&b, TAG_ACTOR, k->actor);
        if (k->action[0])
                msg_put_cstr(&b, TAG_ACTION, k->action);
        msg_put_cstr(&b, TAG_RESULT, k->result);
        ck_assert_int_eq(msg_view(&b, str_of(k->body), &m), 0);
        ck_assert_int_eq(gate_record(w->gate, &m), k->damaged ? -EBADMSG : 0);
}

void world_start(World *w, GatePolicy *policy, uint64_t now_us) {
        static const GateOps ops = {op_append, op_send, op_end};
        GateNow now = {.boot_us = now_us, .wall_us = WALL + now_us};
        memcpy(now.boot_id, boot_id, 16);
        if (!w->records) {
                w->records = calloc(RECORDS_MAX, sizeof(Record));
                w->sent = calloc(SENT_MAX, sizeof(MsgBuilder));
        }
        w->n_sent = 0;
        w->ended = NULL;
        ck_assert_int_eq(gate_new(policy, &ops, w, &w->gate), 0);
        for (unsigned i = 0; i < w->n; i++)
                if ((1ull << w->records[i].kind) & GATE_FOLD_KINDS)
                        tell(w, i);
        ck_assert_int_eq(gate_started(w->gate, &now, MODE_ENFORCE), 0);
}

void world_kill(World *w) {
        w->gate = gate_free(w->gate);
        w->n = w->durable;
}

void world_done(World *w) {
        gate_free(w->gate);
        free(w->records);
        free(w->sent);
        *w = (World){0};
}

void world_ack(World *w, unsigned n) {
        while (n-- && w->durable < w->n) {
                unsigned i = w->durable++;
                gate_acked(w->gate, w->records[i].token, "ok", i);
        }
}

static void request_of(const Ask *a, ActionRequest *r) {
        *r = (ActionRequest){.incident = 7, .incarnation = {.pid = 77, .start_time = 5}};
        r->request_id[0] = (uint8_t)a->id;
        r->request_id[1] = (uint8_t)(a->id >> 8);
        memcpy(r->incarnation.boot_id, boot_id, 16);
        str_copy(r->actor, sizeof(r->actor), str_of(a->actor ? a->actor : "immune"));
        str_copy(r->action, sizeof(r->action), str_of(a->action ? a->action : "restart_service"));
        str_copy(r->target, sizeof(r->target), str_of(a->target ? a->target : "web"));
        if (a->arg)
                str_copy(r->args[r->n_args++], sizeof(r->args[0]), str_of(a->arg));
}

void digest_of(const Ask *a, uint8_t ret[32]) {
        ActionRequest r;
        request_of(a, &r);
        request_digest(&r, ret);
        ret[0] ^= a->wrong_digest;
}

static void put_moment(MsgBuilder *b, const Ask *a) {
        msg_put_cstr(b, TAG_MODE, mode_to_string((int)(a->mode ? a->mode : MODE_ENFORCE)));
        msg_put_u64(b, TAG_NOW_BOOT_US, a->at_us);
        msg_put_u64(b, TAG_TIME_NS, (WALL + a->at_us) * 1000);
        msg_put_bool(b, TAG_PAUSED, a->paused);
        msg_put_bool(b, TAG_LOCKDOWN, a->lockdown);
        msg_put_bool(b, TAG_BREAK_GLASS, a->break_glass);
        if (a->fact)
                msg_put_cstr(b, TAG_FACT, a->fact);
}

void ask(World *w, const Ask *a) {
        MsgBuilder b;
        Msg m;
        ActionRequest r;
        uint8_t digest[32];
        request_of(a, &r);
        digest_of(a, digest);
        msg_begin(&b, MSG_DECIDE);
        msg_put_bytes(&b, TAG_REQUEST_ID, r.request_id);
        msg_put_bytes(&b, TAG_DIGEST, digest);
        msg_put_cstr(&b, TAG_PURPOSE, a->purpose ? a->purpose : "act");
        msg_put_cstr(&b, TAG_ACTOR, r.actor);
        msg_put_cstr(&b, TAG_ACTOR_KIND, a->kind ? a->kind : "unit");
        if (a->kind && strcmp(a->kind, "person") == 0) {
                msg_put_u64(&b, TAG_UID, 1000);
                msg_put_cstr(&b, TAG_ROLE, role_to_string((int)a->role));
        }
        msg_put_cstr(&b, TAG_ACTION, r.action);
        msg_put_cstr(&b, TAG_TARGET, r.target);
        msg_put_bytes(&b, TAG_BOOT_ID, r.incarnation.boot_id);
        msg_put_u64(&b, TAG_PID, r.incarnation.pid);
        msg_put_u64(&b, TAG_START_TIME, r.incarnation.start_time);
        msg_put_u64(&b, TAG_INCIDENT, r.incident);
        if (a->arg)
                msg_put_cstr(&b, TAG_ARG, a->arg);
        msg_put_u64(&b, TAG_PRIORITY_MILLI, 3000);
        msg_put_bool(&b, TAG_CRITICAL, a->critical);
        msg_put_bool(&b, TAG_CAN_FAIL, true);
        if (!a->no_heal)
                msg_put_cstr(&b, TAG_HEAL, r.action);
        msg_put_cstr(&b, TAG_LABEL, "tier=web");
        if (a->label)
                msg_put_cstr(&b, TAG_LABEL, a->label);
        if (a->claim)
                msg_put_cstr(&b, TAG_CLAIM, a->claim);
        msg_put_cstr(&b, TAG_CORRELATION_ID, "cor_1");
        put_moment(&b, a);
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &m), 0);
        ck_assert_int_eq(gate_decide(w->gate, &m), 0);
}

void answer(World *w, const Ask *a, const char *state, uint64_t index) {
        MsgBuilder b;
        Msg m;
        ActionRequest r;
        uint8_t digest[32];
        char id[64] = "apr_";
        request_of(a, &r);
        digest_of(a, digest);
        hex_encode(r.request_id, 16, id + 4);
        msg_begin(&b, MSG_APPROVAL_ANSWERED);
        msg_put_cstr(&b, TAG_APPROVAL_ID, id);
        msg_put_bytes(&b, TAG_REQUEST_ID, r.request_id);
        msg_put_bytes(&b, TAG_DIGEST, digest);
        msg_put_u64(&b, TAG_INDEX, index);
        msg_put_cstr(&b, TAG_STATE, state);
        put_moment(&b, a);
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &m), 0);
        ck_assert_int_eq(gate_answered(w->gate, &m), 0);
}

void guardian_record(World *w, RecordKind kind, const Ask *a, const char *result, bool tell_gate) {
        ActionRequest r;
        ck_assert_uint_eq(w->durable, w->n);
        Record *k = &w->records[w->n++];
        w->durable = w->n;
        request_of(a, &r);
        *k = (Record){.kind = kind, .has_request = true, .time_us = a->at_us};
        memcpy(k->request_id, r.request_id, 16);
        digest_of(a, k->digest);
        str_copy(k->actor, sizeof(k->actor), str_of(r.actor));
        str_copy(k->action, sizeof(k->action), str_of(r.action));
        str_copy(k->result, sizeof(k->result), str_of(result));
        str_copy(k->body, sizeof(k->body), STR_LIT("{}"));
        if (tell_gate)
                tell(w, w->n - 1);
}

Msg sent(World *w, unsigned from_end) {
        Msg m = {0};
        ck_assert_uint_gt(w->n_sent, from_end);
        ck_assert_int_eq(msg_view(&w->sent[w->n_sent - 1 - from_end], (Str){NULL, 0}, &m), 0);
        return m;
}

Verdict last_verdict(World *w) {
        Msg m = sent(w, 0);
        ck_assert_int_eq(m.type, MSG_VERDICT);
        return (Verdict)msg_u64(&m, TAG_VERDICT, 0);
}

Code last_code(World *w) {
        Msg m = sent(w, 0);
        return (Code)code_from_string(msg_str(&m, TAG_CODE));
}
