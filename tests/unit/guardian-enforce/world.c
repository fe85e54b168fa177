/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"
#include "common/cleanup.h"

static bool op_target(void *user, const char *name, EnforceTarget *ret) {
        World *w = user;
        for (unsigned i = 0; i < W_UNITS; i++)
                if (w->units[i].name && strcmp(w->units[i].name, name) == 0) {
                        *ret = w->units[i].t;
                        return true;
                }
        return false;
}
static void op_random(void *user, uint8_t ret[16]) {
        World *w = user;
        memset(ret, 0, 16);
        ret[0] = ++w->rnd;
}
static int op_gate(void *user, const MsgBuilder *b) {
        World *w = user;
        ck_assert_int_eq(b->error, 0);
        ck_assert_uint_lt(w->n_gate, W_GATE);
        Msg m;
        ck_assert_int_eq(msg_view(b, (Str){NULL, 0}, &m), 0);
        w->gate[w->n_gate++] = *b;
        return 0;
}
static int op_ledger(void *user, const MsgBuilder *b, Str payload) {
        World *w = user;
        Msg m;
        ck_assert_int_eq(msg_view(b, payload, &m), 0);
        ck_assert_uint_lt(w->n_ledger, W_LEDGER);
        Sent *s = &w->ledger[w->n_ledger++];
        s->b = *b;
        s->n = payload.n;
        ck_assert_uint_lt(payload.n, sizeof(s->body));
        if (payload.n)
                memcpy(s->body, payload.p, payload.n);
        if (b->type == MSG_APPEND)
                ck_assert_int_eq(json_check_canonical(payload, NULL, NULL), 0);
        return 0;
}
static void op_act(void *user, const ActionRequest *r, bool ungated) {
        World *w = user;
        ck_assert_uint_lt(w->n_acts, W_ACTS);
        w->acts[w->n_acts] = *r;
        w->act_ungated[w->n_acts++] = ungated;
        if (w->act_now)
                enforce_act_result(w->e, r->request_id, OUTCOME_OK, NULL, w->now);
}
static void op_reply(void *user, const EnforceReply *r) {
        World *w = user;
        ck_assert_uint_lt(w->n_replies, W_REPLIES);
        for (unsigned i = 0; i < w->n_replies; i++)
                ck_assert_msg(w->replies[i].waiter != r->waiter || w->replies[i].more, "two last answers");
        Answer *a = &w->replies[w->n_replies++];
        *a = (Answer){.waiter = r->waiter,
                .decision = r->decision_index,
                .intent = r->intent_index,
                .action = r->action_index,
                .more = r->more,
                .ungated = r->ungated,
                .has_outcome = r->has_outcome,
                .code = r->code,
                .verdict = r->verdict,
                .outcome = r->outcome};
        str_copy(a->approval_id, sizeof(a->approval_id), str_of(r->approval_id));
        str_copy(a->reason, sizeof(a->reason), str_of(r->reason));
        if (r->request_id)
                memcpy(a->request_id, r->request_id, 16);
}
static void op_vote_reply(void *user, const EnforceVoteReply *r) {
        World *w = user;
        w->votes[w->n_votes++] = *r;
}
static void op_publish(void *user, const char *type, const char *resource, const char *cor, Str payload) {
        World *w = user;
        (void)type, (void)resource, (void)cor;
        ck_assert_int_eq(json_check_canonical(payload, NULL, NULL), 0);
        w->n_published++;
}
static int op_spool(void *user, const EnforceSpool *r) {
        World *w = user;
        ck_assert_int_eq(json_check_canonical(r->body, NULL, NULL), 0);
        if (w->spool_error >= 0)
                w->n_spooled++;
        return w->spool_error;
}
static void op_imported(void *user, const uint8_t id[16]) {
        World *w = user;
        (void)id;
        w->n_imported++;
}
static void op_marker(void *user, const char *reason) {
        World *w = user;
        str_copy(w->marker, sizeof(w->marker), str_of(reason));
}
static void op_changed(void *user) {
        (void)user;
}

static void op_glass(void *user, Code code) {
        World *w = user;
        w->glass = code;
        w->n_glass++;
}

static const EnforceOps ops = {op_target, op_random, op_gate, op_ledger, op_act, op_reply, op_vote_reply,
        op_publish, op_spool, op_imported, op_marker, op_changed, op_glass};

World *world_new(bool has_gate, bool has_ledger) {
        World *w = calloc(1, sizeof(*w));
        ck_assert_ptr_nonnull(w);
        EnforceConfig cfg = {.has_gate = has_gate,
                .has_ledger = has_ledger,
                .pid = 1,
                .start_time = 5,
                .marker_known = true};
        static const char *const names[W_UNITS] = {
                "web", "leaky", "ledger", "u3", "u4", "u5", "u6", "u7", "u8"};
        memset(cfg.boot_id, 7, sizeof(cfg.boot_id));
        for (unsigned i = 0; i < W_UNITS; i++) {
                w->units[i].name = names[i];
                EnforceTarget *t = &w->units[i].t;
                t->state = UNIT_RUNNING;
                t->incarnation.pid = 100 + i;
                t->incarnation.start_time = 1000 + i;
                memset(t->incarnation.boot_id, 7, 16);
                t->priority_milli = 3000;
                t->critical = i == 1;
                if (i != 2)
                        t->heal[t->n_heal++] = STR_LIT("restart_service");
                t->facts[t->n_facts++] = STR_LIT("restarts=i:0");
        }
        w->now = (EnforceNow){1000000000, 1700000000000000000};
        w->epoch = 3;
        ck_assert_int_eq(enforce_new(&cfg, &ops, w, &w->e), 0);
        return w;
}

World *world_ready(void) {
        World *w = world_new(true, true);
        enforce_ledger_attached(w->e, w->now);
        pump(w);
        enforce_gate_attached(w->e, w->now);
        ck_assert_int_eq(status(w).gate, PART_READY);
        ck_assert_int_eq(status(w).ledger, PART_READY);
        return w;
}

void world_free(World *w) {
        enforce_free(w->e);
        free(w);
}

EnforceStatus status(World *w) {
        EnforceStatus s;
        enforce_status(w->e, w->now, &s);
        return s;
}

void world_pass(World *w, uint64_t us) {
        w->now.boot_us += us;
        w->now.wall_ns += us * 1000;
        if (enforce_deadline(w->e) <= w->now.boot_us)
                enforce_tick(w->e, w->now);
}

EnforceTarget *unit(World *w, const char *name) {
        for (unsigned i = 0; i < W_UNITS; i++)
                if (w->units[i].name && strcmp(w->units[i].name, name) == 0)
                        return &w->units[i].t;
        ck_abort_msg("no unit %s", name);
        return NULL;
}

void new_incarnation(World *w, const char *name) {
        EnforceTarget *t = unit(w, name);
        Incarnation old = t->incarnation;
        t->incarnation.pid += 1000;
        enforce_incarnation_ended(w->e, name, &old, w->now);
}

void say_ledger(World *w, const MsgBuilder *b) {
        Msg m;
        ck_assert_int_eq(msg_view(b, (Str){NULL, 0}, &m), 0);
        ck_assert(enforce_ledger_msg(w->e, &m, w->now));
}

static void answer_append(World *w, const Msg *m) {
        static const uint8_t hash[32] = {1};
        MsgBuilder b;
        Logged *l = NULL;
        uint64_t seq = msg_u64(m, TAG_SEQ, 0);
        for (uint64_t i = 0; i < w->n_log; i++)
                if (w->log[i].seq == seq && w->log[i].epoch == w->epoch)
                        l = &w->log[i];
        if (!l) {
                ck_assert_uint_eq(seq, w->ledger_seq + 1); /* no gap, and never a number that was answered */
                w->ledger_seq = seq;
                l = &w->log[w->n_log++];
                *l = (Logged){.kind = (RecordKind)msg_u64(m, TAG_KIND, 0),
                        .ref = msg_u64(m, TAG_REF, NONE),
                        .seq = seq,
                        .epoch = w->epoch,
                        .has_request = msg_has(m, TAG_REQUEST_ID)};
                if (l->has_request)
                        memcpy(l->request_id, msg_bytes(m, TAG_REQUEST_ID), 16);
                if (msg_has(m, TAG_DIGEST))
                        memcpy(l->digest, msg_bytes(m, TAG_DIGEST), 32);
                str_copy(l->actor, sizeof(l->actor), msg_str(m, TAG_ACTOR));
                str_copy(l->action, sizeof(l->action), msg_str(m, TAG_ACTION));
                str_copy(l->resource, sizeof(l->resource), msg_str(m, TAG_RESOURCE));
                str_copy(l->result, sizeof(l->result), msg_str(m, TAG_RESULT));
                str_copy(l->body, sizeof(l->body), m->payload);
        }
        msg_begin(&b, MSG_APPEND_ACK);
        msg_put_u64(&b, TAG_SEQ, seq);
        msg_put_u64(&b, TAG_INDEX, (uint64_t)(l - w->log) + 10);
        msg_put_bytes(&b, TAG_HASH, hash);
        msg_put_u64(&b, TAG_SIZE, w->n_log + 10);
        msg_put_u64(&b, TAG_SIGNED_SIZE, w->n_log + 10);
        say_ledger(w, &b);
}

void pump_one(World *w) {
        Sent *s = &w->ledger[w->pumped++];
        Msg m;
        MsgBuilder b;
        ck_assert_int_eq(msg_view(&s->b, (Str){s->body, s->n}, &m), 0);
        if (m.type == MSG_APPEND) {
                answer_append(w, &m);
                return;
        }
        if (m.type == MSG_ATTACH) {
                msg_begin(&b, MSG_ATTACHED);
                msg_put_cstr(&b, TAG_CODE, "ok");
                msg_put_u64(&b, TAG_EPOCH, w->epoch);
                msg_put_u64(&b, TAG_SEQ, w->n_log ? w->log[w->n_log - 1].seq : 0);
                msg_put_u64(&b, TAG_SIZE, w->n_log + 10);
                msg_put_u64(&b, TAG_SIGNED_SIZE, w->n_log + 10);
        } else {
                msg_begin(&b, MSG_RESULT);
                msg_put_u64(&b, TAG_REQ, msg_u64(&m, TAG_REQ, 0));
                msg_put_u64(&b, TAG_STATUS, 0);
                msg_put_cstr(&b, TAG_CODE, "ok");
        }
        say_ledger(w, &b);
}

void pump(World *w) {
        while (w->pumped < w->n_ledger)
                pump_one(w);
}

void refuse_next(World *w, const char *code) {
        MsgBuilder b;
        Msg m;
        Sent *s = &w->ledger[w->pumped++];
        ck_assert_int_eq(msg_view(&s->b, (Str){s->body, s->n}, &m), 0);
        ck_assert_int_eq(m.type, MSG_APPEND);
        w->ledger_seq = msg_u64(&m, TAG_SEQ, 0); /* the number is used up, whatever the answer */
        msg_begin(&b, MSG_APPEND_REFUSED);
        msg_put_u64(&b, TAG_SEQ, msg_u64(&m, TAG_SEQ, 0));
        msg_put_cstr(&b, TAG_CODE, code);
        say_ledger(w, &b);
}

uint64_t heal(World *w, const char *target) {
        static uint64_t waiter = 1000;
        EnforceProposal p = {.waiter = ++waiter,
                .kind = ACTOR_UNIT,
                .actor = "immune",
                .action = STR_LIT("restart_service"),
                .target = str_of(target),
                .incident = 4,
                .reason = STR_LIT("memory")};
        p.claims[p.n_claims++] = STR_LIT("growth=i:64");
        enforce_propose(w->e, &p, w->now);
        return waiter;
}

uint64_t person(World *w, uint64_t uid, Role role, const char *action, const char *target, const char *arg) {
        static uint64_t waiter = 500;
        char actor[32];
        snprintf(actor, sizeof(actor), "uid:%u", (unsigned)uid);
        EnforceProposal p = {.waiter = ++waiter,
                .kind = ACTOR_PERSON,
                .actor = actor,
                .uid = uid,
                .role = role,
                .action = str_of(action),
                .target = str_of(target),
                .incident = NONE};
        if (arg)
                p.args[p.n_args++] = str_of(arg);
        enforce_propose(w->e, &p, w->now);
        return waiter;
}

Msg last_to_gate(World *w) {
        Msg m;
        ck_assert_uint_gt(w->n_gate, 0);
        ck_assert_int_eq(msg_view(&w->gate[w->n_gate - 1], (Str){NULL, 0}, &m), 0);
        return m;
}

void verdict(World *w, Say s) {
        uint8_t digest[32], id[16];
        MsgBuilder b;
        Msg d = last_to_gate(w), m;
        memcpy(digest, msg_bytes(&d, TAG_DIGEST), 32);
        memcpy(id, msg_bytes(&d, TAG_REQUEST_ID), 16);
        digest[0] ^= s.wrong_digest;
        id[0] ^= s.wrong_id ? 0x80 : 0;
        msg_begin(&b, MSG_VERDICT);
        msg_put_bytes(&b, TAG_REQUEST_ID, id);
        msg_put_bytes(&b, TAG_DIGEST, digest);
        msg_put_u64(&b, TAG_VERDICT, s.verdict);
        msg_put_cstr(&b, TAG_CODE, s.code ? s.code : "ok");
        if (!s.no_index)
                msg_put_u64(&b, TAG_DECISION_INDEX, s.decision ? s.decision : 7);
        if (s.use_by)
                msg_put_u64(&b, TAG_USE_BY_US, s.use_by);
        msg_put_cstr(&b, TAG_APPROVAL_ID, s.approval_id);
        msg_put_cstr(&b, TAG_POLICY_REVISION, s.revision ? s.revision : "rev1");
        if (s.verdict == VERDICT_REQUIRE_APPROVAL) {
                msg_put_cstr(&b, TAG_NEED, s.need ? s.need : "operator:1");
                msg_put_cstr(&b, TAG_RULE, "critical|require_approval|organisation");
        }
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &m), 0);
        ck_assert(enforce_gate_msg(w->e, &m, w->now));
}

const Answer *last_reply(World *w) {
        ck_assert_uint_gt(w->n_replies, 0);
        return &w->replies[w->n_replies - 1];
}

unsigned count(World *w, RecordKind kind) {
        unsigned n = 0;
        for (uint64_t i = 0; i < w->n_log; i++)
                n += w->log[i].kind == kind;
        return n;
}

const Logged *find(World *w, RecordKind kind, unsigned nth) {
        for (uint64_t i = 0; i < w->n_log; i++)
                if (w->log[i].kind == kind && nth-- == 0)
                        return &w->log[i];
        ck_abort_msg("no such record");
        return NULL;
}

uint64_t asked(World *w, const char *target) {
        uint64_t waiter = heal(w, target);
        verdict(w, (Say){.verdict = VERDICT_REQUIRE_APPROVAL,
                           .approval_id = "apr_1",
                           .code = "approval_required"});
        ck_assert_int_eq(last_reply(w)->code, CODE_APPROVAL_REQUIRED);
        ck_assert(last_reply(w)->more);
        return waiter;
}

uint64_t vote(World *w, uint64_t uid, Role role, bool approve) {
        static uint64_t waiter = 1;
        enforce_vote(
                w->e, ++waiter, ACTOR_PERSON, uid, role, STR_LIT("apr_1"), approve, STR_LIT("note"), w->now);
        return waiter;
}
