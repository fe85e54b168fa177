/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

/* The gate's process: folds the log, asks for what is new before each question, evaluates. In some seeds it
 * is hostile: it allows everything, repeats itself, and names wrong digests and decisions. */
#define SEEN(s, event, id, call)                                                                             \
        do {                                                                                                 \
                CoverScope scope_;                                                                           \
                cover_gate_begin((s)->gate, &scope_, event, id);                                             \
                call;                                                                                        \
                cover_gate_end((s)->gate, &scope_);                                                          \
        } while (0)

static GateNow gnow(const Sim *s) {
        GateNow n = {.boot_us = s->boot_us, .wall_us = s->wall_ns / 1000};
        memcpy(n.boot_id, s->boot_id, sizeof(n.boot_id));
        return n;
}

static int op_append(void *user, const GateRecord *r, uint64_t token) {
        Sim *s = user;
        MsgBuilder b;
        s->judged += r->kind == RECORD_DECISION;
        s->wrote |= r->kind == RECORD_DECISION;
        msg_begin(&b, MSG_APPEND);
        msg_put_u64(&b, TAG_KIND, r->kind);
        msg_put_bytes(&b, TAG_REQUEST_ID, r->request_id);
        msg_put_bytes(&b, TAG_DIGEST, r->digest);
        if (r->ref != UINT64_MAX)
                msg_put_u64(&b, TAG_REF, r->ref);
        if (r->verdict_bits)
                msg_put_u64(&b, TAG_VERDICT_BITS, r->verdict_bits);
        msg_put_cstr(&b, TAG_ACTOR, r->actor);
        msg_put_cstr(&b, TAG_ACTION, r->action);
        msg_put_cstr(&b, TAG_RESOURCE, r->resource);
        msg_put_cstr(&b, TAG_CORRELATION_ID, r->correlation_id);
        msg_put_cstr(&b, TAG_RESULT, r->result);
        return writer_put(s, P_GATE, &s->gate_writer, &b, r->body, token) < 0 ? -105 : 0;
}

static void op_send(void *user, const MsgBuilder *b) {
        Sim *s = user;
        Msg m;
        if (b->type == MSG_APPROVAL_PENDING && msg_view(b, (Str){NULL, 0}, &m) == 0)
                s->listed_approved += str_eq(msg_str(&m, TAG_STATE), "approved");
        put_msg(user, P_GATE, P_GUARDIAN, b, (Str){NULL, 0});
}

static void op_end(void *user, const char *why) {
        Sim *s = user;
        trace(s, "gate ends: %s", why);
        s->gate_end = true;
}

static void query(Sim *s) {
        MsgBuilder b;
        msg_begin(&b, MSG_QUERY);
        msg_put_u64(&b, TAG_REQ, ++s->gate_query);
        msg_put_u64(&b, TAG_KINDS, s->gate_started ? GATE_LIVE_KINDS : GATE_FOLD_KINDS);
        msg_put_u64(&b, TAG_FROM, gate_next_index(s->gate));
        put_msg(s, P_GATE, P_LEDGER, &b, (Str){NULL, 0});
        s->gate_querying = true;
}

void gate_start(Sim *s) {
        GateOps ops = {op_append, op_send, op_end};
        s->gate_started = s->gate_querying = s->gate_end = false;
        writer_reset(&s->gate_writer);
        list_init(&s->gate_waiting);
        if (chance(s, 8))
                s->policy = !s->policy; /* somebody changed it */
        GatePolicy *policy = sim_policy(s->policy);
        if (!policy || gate_new(policy, &ops, s, &s->gate) < 0) {
                violate(s, "out of memory");
                return;
        }
        if (s->knows[P_GATE][P_LEDGER]) {
                writer_attach(s, P_GATE, &s->gate_writer);
                query(s);
        }
}

void gate_stop(Sim *s) {
        LIST_FOREACH_SAFE (it, nx, &s->gate_waiting)
                free(container_of(it, Frame, node));
        list_init(&s->gate_waiting);
        writer_reset(&s->gate_writer);
        s->gate = sim_gate_free(s->gate);
        s->knows[P_GATE][P_LEDGER] = s->knows[P_GATE][P_GUARDIAN] = 0;
}

/* ---- a gate that was taken over */
/* It asks people although its record says allow, and later names what they said. */
static void hostile_question(Sim *s, const Msg *d, uint64_t index) {
        MsgBuilder b;
        char hex[33];
        hex_encode(msg_bytes(d, TAG_REQUEST_ID), 16, hex);
        msg_begin(&b, MSG_VERDICT);
        msg_put_bytes(&b, TAG_REQUEST_ID, msg_bytes(d, TAG_REQUEST_ID));
        msg_put_bytes(&b, TAG_DIGEST, msg_bytes(d, TAG_DIGEST));
        msg_put_u64(&b, TAG_VERDICT, VERDICT_REQUIRE_APPROVAL);
        msg_put_cstr(&b, TAG_CODE, "approval_required");
        msg_put_u64(&b, TAG_DECISION_INDEX, index);
        msg_putf(&b, TAG_APPROVAL_ID, "apr_%s", hex);
        msg_put_cstr(&b, TAG_POLICY_REVISION, "none");
        put_msg(s, P_GATE, P_GUARDIAN, &b, (Str){NULL, 0});
        s->asked_index = index;
        if (chance(s, 30)) { /* and does not wait for them */
                bool allow = chance(s, 50);
                msg_begin(&b, MSG_VERDICT);
                msg_put_bytes(&b, TAG_REQUEST_ID, msg_bytes(d, TAG_REQUEST_ID));
                msg_put_bytes(&b, TAG_DIGEST, msg_bytes(d, TAG_DIGEST));
                msg_put_u64(&b, TAG_VERDICT, allow ? VERDICT_ALLOW : VERDICT_DENY);
                msg_put_cstr(&b, TAG_CODE, allow ? "ok" : "denied_by_rule");
                msg_put_u64(&b, TAG_DECISION_INDEX, index);
                msg_put_cstr(&b, TAG_POLICY_REVISION, "none");
                put_msg(s, P_GATE, P_GUARDIAN, &b, (Str){NULL, 0});
        }
}

static void hostile_answered(Sim *s, const Msg *a) {
        MsgBuilder b;
        if (!str_eq(msg_str(a, TAG_STATE), "approved"))
                return;
        msg_begin(&b, MSG_VERDICT);
        msg_put_bytes(&b, TAG_REQUEST_ID, msg_bytes(a, TAG_REQUEST_ID));
        msg_put_bytes(&b, TAG_DIGEST, msg_bytes(a, TAG_DIGEST));
        msg_put_u64(&b, TAG_VERDICT, VERDICT_ALLOW);
        msg_put_cstr(&b, TAG_CODE, "ok");
        msg_put_u64(&b, TAG_DECISION_INDEX, s->asked_index);
        if (chance(s, 90))
                msg_copy(&b, a, TAG_APPROVAL_ID);
        msg_put_cstr(&b, TAG_POLICY_REVISION, chance(s, 50) ? "none" : "another");
        s->forged_index++; /* the index may be of a later question */
        put_msg(s, P_GATE, P_GUARDIAN, &b, (Str){NULL, 0});
}

/* It invents a request, and says that people approved it. */
enum { INVENTED = 1 << 30 }; /* the token of its decision */

static void hostile_invent(Sim *s) {
        SimUnit *u = &s->units[rnd(s, SIM_UNITS)];
        bool kills = chance(s, 40), heals = chance(s, 50);
        MsgBuilder b;
        uint64_t x = rnd(s, 0);
        uint8_t digest[32];
        ActionRequest *r = &s->invented;
        *r = (ActionRequest){.incarnation = u->inc, .incident = UINT64_MAX};
        memcpy(r->request_id, &x, sizeof(x));
        str_copy(r->actor, sizeof(r->actor), str_of(kills ? "uid:0" : "immune"));
        str_copy(r->action, sizeof(r->action),
                str_of(kills    ? "kill"
                        : heals ? "restart_service"
                                : "scale_up"));
        str_copy(r->target, sizeof(r->target), str_of(u->name));
        request_digest(r, digest);
        msg_begin(&b, MSG_APPEND);
        msg_put_u64(&b, TAG_KIND, RECORD_DECISION);
        msg_put_bytes(&b, TAG_REQUEST_ID, r->request_id);
        msg_put_bytes(&b, TAG_DIGEST, digest);
        msg_put_u64(&b, TAG_VERDICT_BITS, VERDICT_BIT_ALLOW);
        (void)writer_put(s, P_GATE, &s->gate_writer, &b, STR_LIT("{}"), INVENTED);
}

static void hostile_invented(Sim *s, uint64_t index) {
        const ActionRequest *r = &s->invented;
        MsgBuilder b;
        uint8_t digest[32];
        request_digest(r, digest);
        msg_begin(&b, MSG_APPROVAL_PENDING);
        request_to_msg(r, &b);
        msg_put_bytes(&b, TAG_DIGEST, digest);
        msg_put_cstr(&b, TAG_APPROVAL_ID, "apr_invented");
        msg_put_u64(&b, TAG_DECISION_INDEX, index);
        msg_put_cstr(&b, TAG_ACTOR_KIND, r->actor[0] == 'u' ? "person" : "unit");
        msg_put_cstr(&b, TAG_CORRELATION_ID, "cor_0");
        msg_put_u64(&b, TAG_TIME_NS, s->wall_ns);
        msg_put_u64(&b, TAG_EXPIRES_NS, s->wall_ns + APPROVAL_TTL_US * 1000);
        msg_put_cstr(&b, TAG_POLICY_REVISION, "none");
        msg_put_cstr(&b, TAG_STATE, "approved");
        put_msg(s, P_GATE, P_GUARDIAN, &b, (Str){NULL, 0});
        msg_begin(&b, MSG_VERDICT);
        msg_put_bytes(&b, TAG_REQUEST_ID, r->request_id);
        msg_put_bytes(&b, TAG_DIGEST, digest);
        msg_put_u64(&b, TAG_VERDICT, VERDICT_ALLOW);
        msg_put_cstr(&b, TAG_CODE, "ok");
        msg_put_u64(&b, TAG_DECISION_INDEX, index);
        msg_put_cstr(&b, TAG_APPROVAL_ID, "apr_invented");
        msg_put_cstr(&b, TAG_POLICY_REVISION, "none");
        put_msg(s, P_GATE, P_GUARDIAN, &b, (Str){NULL, 0});
}

static void hostile_verdict(Sim *s, const Msg *d, uint64_t index) {
        MsgBuilder b;
        uint8_t digest[32];
        memcpy(digest, msg_bytes(d, TAG_DIGEST), sizeof(digest));
        unsigned lie = (unsigned)rnd(s, 7);
        if (lie == 6) {
                hostile_question(s, d, index);
                return;
        }
        if (lie == 1) {
                index = rnd(s, s->n_log + 1);
                s->forged_index++;
        }
        msg_begin(&b, MSG_VERDICT);
        msg_put_bytes(&b, TAG_REQUEST_ID, msg_bytes(d, TAG_REQUEST_ID));
        msg_put_bytes(&b, TAG_DIGEST, digest);
        msg_put_u64(&b, TAG_VERDICT, VERDICT_ALLOW);
        msg_put_cstr(&b, TAG_CODE, "ok");
        msg_put_u64(&b, TAG_DECISION_INDEX, index);
        msg_put_cstr(&b, TAG_POLICY_REVISION, "none");
        put_msg(s, P_GATE, P_GUARDIAN, &b, (Str){NULL, 0});
        if (lie == 2)
                put_msg(s, P_GATE, P_GUARDIAN, &b, (Str){NULL, 0});
        if (s->odd && s->told.type == MSG_VERDICT)
                put_msg(s, P_GATE, P_GUARDIAN, &s->told, (Str){NULL, 0});
        if (lie < 3)
                s->told = b;
        if (lie == 3) { /* and one for somebody else's request */
                uint8_t id[16];
                memcpy(id, msg_bytes(d, TAG_REQUEST_ID), 16);
                id[0] ^= 0x40;
                MsgBuilder c;
                msg_begin(&c, MSG_VERDICT);
                msg_put_bytes(&c, TAG_REQUEST_ID, id);
                msg_put_bytes(&c, TAG_DIGEST, digest);
                msg_put_u64(&c, TAG_VERDICT, VERDICT_ALLOW);
                msg_put_cstr(&c, TAG_CODE, "ok");
                msg_put_u64(&c, TAG_DECISION_INDEX, index);
                msg_put_cstr(&c, TAG_POLICY_REVISION, "none");
                put_msg(s, P_GATE, P_GUARDIAN, &c, (Str){NULL, 0});
        }
}

/* Decides once more what it decided before, and writes what only Guardian may. */
static void hostile_again(Sim *s) {
        Msg old;
        MsgBuilder b;
        if (msg_view(&s->told, (Str){NULL, 0}, &old) < 0)
                return;
        if (chance(s, 40)) { /* or takes it back */
                msg_begin(&b, MSG_VERDICT);
                msg_copy(&b, &old, TAG_REQUEST_ID);
                msg_copy(&b, &old, TAG_DIGEST);
                msg_put_u64(&b, TAG_VERDICT, VERDICT_DENY);
                msg_put_cstr(&b, TAG_CODE, "denied_by_rule");
                msg_put_cstr(&b, TAG_POLICY_REVISION, "none");
                put_msg(s, P_GATE, P_GUARDIAN, &b, (Str){NULL, 0});
                return;
        }
        bool intent = chance(s, 20);
        msg_begin(&b, MSG_APPEND);
        msg_put_u64(&b, TAG_KIND, intent ? RECORD_INTENT : RECORD_DECISION);
        msg_copy(&b, &old, TAG_REQUEST_ID);
        msg_copy(&b, &old, TAG_DIGEST);
        if (intent)
                msg_put_u64(&b, TAG_REF, msg_u64(&old, TAG_DECISION_INDEX, 0));
        else
                msg_put_u64(&b, TAG_VERDICT_BITS, VERDICT_BIT_ALLOW);
        (void)writer_put(s, P_GATE, &s->gate_writer, &b, STR_LIT("{}"), 0);
}

/* Writes its allow and answers when it is durable: gate_waiting keeps the question until then. */
static void hostile_decide(Sim *s, const Frame *f) {
        Msg m = frame_msg(f);
        MsgBuilder b;
        if (m.type == MSG_APPROVAL_ANSWERED)
                hostile_answered(s, &m);
        if (chance(s, 5))
                hostile_invent(s);
        if (m.type != MSG_DECIDE)
                return;
        Frame *keep = malloc(sizeof(*keep) + f->header);
        if (!keep)
                return;
        *keep = *f;
        memcpy(keep->data, f->data, f->header);
        keep->payload = 0;
        keep->instance = (unsigned)++s->hostile_next;
        list_append(&s->gate_waiting, &keep->node);
        m = frame_msg(keep);
        if (chance(s, 15)) { /* a decision about something else under this id */
                uint8_t digest[32];
                memcpy(digest, msg_bytes(&m, TAG_DIGEST), sizeof(digest));
                digest[3] ^= 1;
                memcpy(keep->data + ((const char *)msg_bytes(&m, TAG_DIGEST) - keep->data), digest,
                        sizeof(digest));
        }
        msg_begin(&b, MSG_APPEND);
        msg_put_u64(&b, TAG_KIND, RECORD_DECISION);
        msg_copy(&b, &m, TAG_REQUEST_ID);
        msg_copy(&b, &m, TAG_DIGEST);
        bool check = chance(s, 8); /* an answer to somebody's check, told as if it were more */
        s->forged_index += check;
        msg_put_u64(&b, TAG_VERDICT_BITS, VERDICT_BIT_ALLOW | (check ? VERDICT_BIT_CHECK : 0));
        msg_put_cstr(&b, TAG_RESULT, "allow");
        (void)writer_put(s, P_GATE, &s->gate_writer, &b, STR_LIT("{}"), keep->instance);
        if (s->odd && s->told.type == MSG_VERDICT)
                hostile_again(s);
}

static void hostile_acked(Sim *s, uint64_t token, uint64_t index) {
        if (token == INVENTED && index != UINT64_MAX)
                hostile_invented(s, index);
        LIST_FOREACH_SAFE (it, nx, &s->gate_waiting) {
                Frame *f = container_of(it, Frame, node);
                if (f->instance != token)
                        continue;
                Msg m = frame_msg(f);
                hostile_verdict(s, &m, index);
                list_remove(&f->node);
                free(f);
        }
}

/* ---- an honest one */
static void take_questions(Sim *s) {
        while (!list_empty(&s->gate_waiting) && !s->gate_end) {
                Frame *f = container_of(s->gate_waiting.next, Frame, node);
                Msg m = frame_msg(f);
                list_remove(&f->node);
                int r, state = approval_state_from_string(msg_str(&m, TAG_STATE));
                unsigned event = m.type == MSG_DECIDE         ? COVER_GATE_DECIDE
                                 : state == APPROVAL_APPROVED ? COVER_GATE_YES
                                 : state == APPROVAL_DENIED   ? COVER_GATE_NO
                                 : state == APPROVAL_VOID     ? COVER_GATE_VOID
                                                              : COVER_GATE_EXPIRED;
                SEEN(s, event, msg_bytes(&m, TAG_REQUEST_ID),
                        r = m.type == MSG_DECIDE ? gate_decide(s->gate, &m) : gate_answered(s->gate, &m));
                if (r < 0)
                        violate(s, "the gate failed: %d", r);
                free(f);
        }
}

static void query_done(Sim *s, const Msg *m) {
        s->gate_querying = false;
        if (!str_eq(msg_str(m, TAG_CODE), "ok")) {
                query(s);
                return;
        }
        if (msg_has(m, TAG_INDEX))
                gate_seen_to(s->gate, msg_u64(m, TAG_INDEX, 0));
        if (msg_bool(m, TAG_MORE, false)) {
                query(s);
                return;
        }
        if (!s->gate_started) {
                GateNow n = gnow(s);
                s->gate_started = true;
                int r = 0;
                s->listed_approved = s->judged = 0;
                if (!s->hostile_gate)
                        SEEN(s, COVER_GATE_STARTED, NULL, r = gate_started(s->gate, &n, MODE_NONE));
                if (r < 0)
                        violate(s, "the gate can't start");
                if (s->judged < s->listed_approved && !s->gate_end)
                        violate(s, "R2 a gate does not evaluate at its start what people approved");
                put_sign(s, P_GATE, P_GUARDIAN, FR_READY, P_GATE, s->instance[P_GATE]);
                if (!list_empty(&s->gate_waiting))
                        query(s);
                return;
        }
        if (!s->hostile_gate)
                take_questions(s);
}

static void from_ledger(Sim *s, const Msg *m) {
        const char *code = NULL;
        uint64_t token, index = UINT64_MAX;
        if (writer_msg(s, P_GATE, &s->gate_writer, m, &code, &token, &index)) {
                if (token && s->hostile_gate)
                        hostile_acked(s, token, index);
                else if (token)
                        SEEN(s, str_eq(str_of(code), "ok") ? COVER_GATE_ACK : COVER_GATE_REFUSED, NULL,
                                gate_acked(s->gate, token, code, index));
                return;
        }
        if (msg_u64(m, TAG_REQ, 0) != s->gate_query || !s->gate_querying)
                return;
        if (m->type == MSG_RECORD && !s->hostile_gate) {
                int r;
                uint64_t kind = msg_u64(m, TAG_KIND, 0);
                if (kind == RECORD_DECISION || kind == RECORD_APPROVAL)
                        SEEN(s, kind == RECORD_DECISION ? COVER_GATE_READ_DECISION : COVER_GATE_READ_APPROVAL,
                                msg_bytes(m, TAG_REQUEST_ID), r = gate_record(s->gate, m));
                else
                        r = gate_record(s->gate, m);
                if (r < 0)
                        violate(s, "P5 the gate can't read its own record %llu (%d)",
                                (unsigned long long)msg_u64(m, TAG_INDEX, 0), r);
        } else if (m->type == MSG_RESULT) {
                query_done(s, m);
        }
}

static void from_guardian(Sim *s, const Frame *f) {
        if (f->kind != FR_MSG)
                return;
        if (s->hostile_gate) {
                hostile_decide(s, f);
                return;
        }
        Frame *keep = malloc(sizeof(*keep) + f->header + f->payload);
        if (!keep)
                return;
        *keep = *f;
        memcpy(keep->data, f->data, f->header + f->payload);
        list_append(&s->gate_waiting, &keep->node);
        if (s->gate_started && !s->gate_querying)
                query(s);
}

void gate_frame(Sim *s, Proc from, const Frame *f) {
        if (!s->gate)
                return;
        if (from == P_GUARDIAN) {
                from_guardian(s, f);
        } else if (f->kind == FR_UP) {
                writer_lost(&s->gate_writer);
                writer_attach(s, P_GATE, &s->gate_writer);
                if (!s->gate_started || !list_empty(&s->gate_waiting))
                        query(s);
        } else if (f->kind == FR_EOF) {
                writer_lost(&s->gate_writer);
                s->gate_querying = false;
        } else if (f->kind == FR_MSG) {
                Msg m = frame_msg(f);
                from_ledger(s, &m);
        }
        if (s->gate_end)
                proc_kill(s, P_GATE, 50 * SIM_MS + rnd(s, SIM_S));
}
