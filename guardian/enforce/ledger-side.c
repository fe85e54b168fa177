/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/enforce/enforce-private.h"
#include <errno.h>

/*
 * The ledger as Guardian uses it: attachment, open intents, acknowledgements; at the first attachment of a
 * run four readings (lockdown as recorded, healing acts of the last ten minutes for the ceilings, what people
 * answered in the last fifteen, recovery records of a spool that was half imported), before which nothing is
 * proposed.
 */
enum { RESYNC_US = 200000, RETRY_US = 1000000, QUERY_PAGE = 256 };
#define QUERY_REQ_BASE (1ull << 62)
typedef enum QueryStep { QUERY_LOCKDOWN, QUERY_ACTS, QUERY_ANSWERS, QUERY_RECOVERY, QUERY_DONE } QueryStep;

/* ---- spool */
static Spooled *spooled_find(Enforce *e, const uint8_t id[16]) {
        LIST_FOREACH (it, &e->spooled) {
                Spooled *s = container_of(it, Spooled, node);
                if (memcmp(s->id, id, sizeof(s->id)) == 0)
                        return s;
        }
        return NULL;
}

static void spooled_free(Enforce *e, Spooled *s) {
        list_remove(&s->node);
        e->n_spooled--;
        e->n_memory_only -= s->memory_only;
        free(s->text);
        free(s);
}

static void spool_import(Enforce *e, EnforceNow now) {
        if (FAULTY(FAULT_NO_IMPORT))
                return;
        LIST_FOREACH (it, &e->spooled) {
                Spooled *s = container_of(it, Spooled, node);
                const char *f[5];
                if (s->token != 0)
                        continue;
                for (size_t i = 0; i < ELEMENTSOF(f); i++)
                        f[i] = s->at[i] ? s->text + s->at[i] - 1 : NULL;
                RecordFields r = {.kind = RECORD_RECOVERY,
                        .request_id = s->id,
                        .ref = NONE64,
                        .actor = f[0],
                        .action = f[1],
                        .resource = f[2],
                        .subsystem = "enforcement",
                        .result = f[3],
                        .correlation_id = f[4],
                        .body = {s->text + s->body_at, s->body_len}};
                uint64_t token = new_token(e);
                s->token = token;
                if (record_queue_push(&e->records, &r, token, false, now.boot_us, now.wall_ns) < 0) {
                        s->token = 0;
                        return; /* tried again when records were acknowledged */
                }
        }
}

typedef enum SpoolStore { SPOOL_STORED, SPOOL_STORE, SPOOL_STORE_OR_KEEP } SpoolStore;

static int spool_put(Enforce *e, const EnforceSpool *r, SpoolStore store) {
        const char *in[5] = {r->actor, r->action, r->resource, r->result, r->correlation_id};
        size_t total = r->body.n;
        for (size_t i = 0; i < ELEMENTSOF(in); i++)
                total += in[i] ? strlen(in[i]) + 1 : 0;
        Spooled *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->text = malloc(total + 1);
        if (!s->text) {
                free(s);
                return -ENOMEM;
        }
        size_t pos = 0;
        for (size_t i = 0; i < ELEMENTSOF(in); i++) {
                if (!in[i])
                        continue;
                size_t n = strlen(in[i]) + 1;
                memcpy(s->text + pos, in[i], n);
                s->at[i] = pos + 1;
                pos += n;
        }
        memcpy(s->id, r->id, sizeof(s->id));
        s->time_ns = r->time_ns;
        s->body_at = pos;
        s->body_len = r->body.n;
        if (r->body.n)
                memcpy(s->text + pos, r->body.p, r->body.n);
        int err = store == SPOOL_STORED ? 0 : e->ops.spool(e->user, r);
        s->memory_only = err < 0 && store == SPOOL_STORE_OR_KEEP && e->n_memory_only < SPOOL_MEMORY_MAX;
        if (err < 0 && !s->memory_only) {
                free(s->text);
                free(s);
                return err;
        }
        list_append(&e->spooled, &s->node);
        e->n_spooled++;
        e->n_memory_only += s->memory_only;
        return err;
}

void spool_withdraw(Enforce *e, const uint8_t id[16]) {
        Spooled *s = spooled_find(e, id);
        if (!s || s->token != 0)
                return;
        spooled_free(e, s);
        e->ops.spool_imported(e->user, id);
}

int spool_act(Enforce *e, const Proposal *p, const char *why, bool must, EnforceNow now) {
        Buf out = BUF_INIT(RECORD_QUEUE_BODY_MAX);
        JsonWriter w;
        json_init(&w, &out, true);
        json_object_begin(&w);
        json_key(&w, "args");
        json_array_begin(&w);
        for (unsigned i = 0; i < p->r.n_args; i++)
                json_cstr(&w, p->r.args[i]);
        json_array_end(&w);
        json_kv_str(&w, "reason", p->reason);
        json_kv_str(&w, "role", role_to_string((int)p->role));
        json_key(&w, "time");
        json_time(&w, now.wall_ns);
        json_kv_bool(&w, "ungated", true);
        json_kv_str(&w, "why", why);
        json_object_end(&w);
        int r = json_finish(&w);
        if (r == 0) {
                EnforceSpool s = {.time_ns = now.wall_ns,
                        .actor = p->r.actor,
                        .action = p->r.action,
                        .resource = p->r.target,
                        .result = "ungated",
                        .correlation_id = p->correlation_id,
                        .body = {(const char *)out.data, out.len}};
                memcpy(s.id, p->r.request_id, sizeof(s.id));
                r = spool_put(e, &s, must ? SPOOL_STORE : SPOOL_STORE_OR_KEEP);
        }
        buf_done(&out);
        if (e->ledger_ready)
                spool_import(e, now);
        return r;
}

int enforce_spool_loaded(Enforce *e, const EnforceSpool *r) {
        return spooled_find(e, r->id) ? 0 : spool_put(e, r, SPOOL_STORED);
}

/* ---- attachment */
static void send_attach(Enforce *e, bool new_instance, EnforceNow now) {
        MsgBuilder b;
        e->ledger_ready = false;
        e->ledger_failed = false;
        e->new_ledger = e->new_ledger || new_instance;
        e->attach_sent_us = now.boot_us;
        e->resync_us = e->alive_asked_us = NONE64;
        record_queue_lost(&e->records);
        record_queue_attach(&e->records, &b);
        (void)e->ops.to_ledger(e->user, &b, (Str){NULL, 0});
}

void enforce_ledger_attached(Enforce *e, EnforceNow now) {
        e->ledger_attached = true;
        send_attach(e, true, now);
        notice(e, now);
}

void ledger_resync(Enforce *e, EnforceNow now) {
        send_attach(e, false, now);
}

void enforce_ledger_lost(Enforce *e, EnforceNow now) {
        e->ledger_attached = e->ledger_ready = false;
        e->attach_sent_us = e->resync_us = e->alive_asked_us = NONE64;
        if (FAULTY(FAULT_NO_RESEND)) {
                record_queue_done(&e->records);
                record_queue_init(&e->records, e->records.send, e->records.user);
        }
        record_queue_lost(&e->records);
        notice(e, now);
}

/*
 * An intent without an action. One of ours under way is closed by its own path (its records are sent again).
 * Anything else is of an earlier Guardian: what became of it nobody knows, and it is never repeated.
 */
static void open_intent(Enforce *e, const Msg *m, EnforceNow now) {
        Proposal *p = proposal_find(e, msg_bytes(m, TAG_REQUEST_ID));
        if ((p && !p->ungated) || FAULTY(FAULT_NO_CLOSE))
                return;
        p = proposal_new(e, true);
        if (!p)
                return; /* listed again at the next attachment */
        p->ungated = false;
        memcpy(p->r.request_id, msg_bytes(m, TAG_REQUEST_ID), sizeof(p->r.request_id));
        memcpy(p->digest, msg_bytes(m, TAG_DIGEST), sizeof(p->digest));
        str_copy(p->r.actor, sizeof(p->r.actor), msg_str(m, TAG_ACTOR));
        str_copy(p->r.action, sizeof(p->r.action), msg_str(m, TAG_ACTION));
        str_copy(p->r.target, sizeof(p->r.target), msg_str(m, TAG_RESOURCE));
        str_copy(p->correlation_id, sizeof(p->correlation_id), msg_str(m, TAG_CORRELATION_ID));
        p->answered = true;
        p->stage = STAGE_RECORD;
        p->verdict = VERDICT_ALLOW;
        p->decision_index = msg_u64(m, TAG_REF, NONE64);
        p->intent_index = msg_u64(m, TAG_INDEX, NONE64);
        p->outcome = OUTCOME_UNKNOWN;
        p->answer_by_us = NONE64;
        str_copy(p->outcome_reason, sizeof(p->outcome_reason),
                STR_LIT("Guardian ended before the outcome was known"));
        e->counters.closed_unknown++;
        const EnforceVerb *v = enforce_verb(str_of(p->r.action));
        if (v && v->healing)
                flow_count_act(e, p->r.target, now.boot_us); /* it may have run, and not long ago */
        if (FAULTY(FAULT_REPEAT_UNKNOWN))
                e->ops.act(e->user, &p->r, false);
        flow_append_action(e, p, now);
}

static void query(Enforce *e, uint64_t from, EnforceNow now) {
        MsgBuilder b;
        msg_begin(&b, MSG_QUERY);
        msg_put_u64(&b, TAG_REQ, QUERY_REQ_BASE + e->query_req);
        msg_put_u64(&b, TAG_FROM, from);
        msg_put_u64(&b, TAG_LIMIT, QUERY_PAGE);
        switch ((QueryStep)e->query_step) {
        case QUERY_LOCKDOWN:
                msg_put_u64(&b, TAG_KINDS, 1ull << RECORD_CONFIG);
                msg_put_cstr(&b, TAG_ACTION, "lockdown");
                break;
        case QUERY_ACTS:
                msg_put_u64(&b, TAG_KINDS, 1ull << RECORD_ACTION);
                msg_put_u64(&b, TAG_SINCE_NS,
                        now.wall_ns > ENFORCE_CEILING_US * 1000 ? now.wall_ns - ENFORCE_CEILING_US * 1000
                                                                : 0);
                break;
        case QUERY_ANSWERS:
                msg_put_u64(&b, TAG_KINDS, 1ull << RECORD_APPROVAL);
                msg_put_u64(&b, TAG_SINCE_NS,
                        now.wall_ns > APPROVAL_TTL_US * 1000 ? now.wall_ns - APPROVAL_TTL_US * 1000 : 0);
                break;
        case QUERY_RECOVERY:
                msg_put_u64(&b, TAG_KINDS, 1ull << RECORD_RECOVERY);
                break;
        case QUERY_DONE:
                return;
        }
        (void)e->ops.to_ledger(e->user, &b, (Str){NULL, 0});
}

/*
 * The gate decides nothing without the ledger. Whether it is the gate or the ledger that keeps silent is
 * known only if the ledger owes Guardian an answer too: it is asked for the record behind the last one.
 */
void ledger_ask_alive(Enforce *e, EnforceNow now) {
        MsgBuilder b;
        if (!e->ledger_ready || e->alive_asked_us != NONE64)
                return;
        e->alive_asked_us = now.boot_us;
        msg_begin(&b, MSG_QUERY);
        msg_put_u64(&b, TAG_REQ, QUERY_REQ_BASE + ++e->query_req);
        msg_put_u64(&b, TAG_FROM, NONE64);
        msg_put_u64(&b, TAG_LIMIT, 1);
        (void)e->ops.to_ledger(e->user, &b, (Str){NULL, 0});
}

static void ready(Enforce *e, EnforceNow now) {
        e->folded = true;
        e->ledger_ready = true;
        e->attach_sent_us = NONE64;
        spool_import(e, now);
        early_take(e, now);
        e->ops.changed(e->user);
}

static void next_query(Enforce *e, QueryStep step, EnforceNow now) {
        if (step == QUERY_RECOVERY && e->n_spooled == 0)
                step = QUERY_DONE;
        e->query_step = step;
        e->query_req++;
        if (step == QUERY_DONE)
                ready(e, now);
        else
                query(e, 0, now);
}

static void attached(Enforce *e, const Msg *m, EnforceNow now) {
        Str code = msg_str(m, TAG_CODE);
        if (str_eq(code, "not_validated"))
                return; /* a second answer follows once it knows that we are Guardian */
        if (str_eq(code, "ledger_rollback") && FAULTY(FAULT_NO_ROLLBACK))
                code = STR_LIT("ok");
        e->rollback = str_eq(code, "ledger_rollback");
        e->ledger_size = msg_u64(m, TAG_SIZE, 0);
        e->ledger_signed_size = msg_u64(m, TAG_SIGNED_SIZE, 0);
        if (!str_eq(code, "ok")) {
                e->ledger_failed = !e->rollback;
                e->attach_sent_us = NONE64;
                e->ops.changed(e->user);
                return;
        }
        bool first = e->records.epoch == 0;
        if (first) {
                int mode = mode_from_string(msg_str(m, TAG_MODE));
                if (e->mode_recorded == MODE_NONE && mode > (int)MODE_NONE)
                        e->mode_recorded = (Mode)mode;
                /* The marker is the truth; without a readable state directory the record is. */
                if (!e->cfg.marker_known && !e->switched && msg_bool(m, TAG_PAUSED, false)) {
                        e->paused = true;
                        str_copy(e->pause_reason, sizeof(e->pause_reason), STR_LIT("paused on record"));
                }
        }
        record_queue_attached(
                &e->records, msg_u64(m, TAG_EPOCH, 0), msg_u64(m, TAG_SEQ, 0), e->new_ledger, now.boot_us);
        e->new_ledger = false;
        if (e->folded)
                ready(e, now);
        else
                next_query(e, QUERY_LOCKDOWN, now);
}

/* ---- readings */
static void read_record(Enforce *e, const Msg *m, EnforceNow now) {
        /* What this run wrote (the closing of an open intent) is counted already. */
        if (!str_eq(msg_str(m, TAG_WRITER), "guardian") || msg_u64(m, TAG_EPOCH, 0) == e->records.epoch)
                return;
        uint64_t kind = msg_u64(m, TAG_KIND, 0);
        if (kind == RECORD_CONFIG && str_eq(msg_str(m, TAG_ACTION), "lockdown")) {
                bool on = str_eq(msg_str(m, TAG_RESULT), "on"); /* in order: the last one holds */
                e->lockdown_epoch += on != e->lockdown;
                e->lockdown = on;
        } else if (kind == RECORD_APPROVAL) {
                people_read_answer(e, m);
        } else if (kind == RECORD_RECOVERY && msg_has(m, TAG_REQUEST_ID)) {
                Spooled *s = spooled_find(e, msg_bytes(m, TAG_REQUEST_ID));
                if (!s)
                        return;
                uint8_t id[16];
                memcpy(id, s->id, sizeof(id));
                spooled_free(e, s);
                e->ops.spool_imported(e->user, id);
        } else if (kind == RECORD_ACTION) {
                const EnforceVerb *v = enforce_verb(msg_str(m, TAG_ACTION));
                char target[129];
                uint64_t at = msg_u64(m, TAG_TIME_NS, 0);
                uint64_t age_us = now.wall_ns > at ? (now.wall_ns - at) / 1000 : 0;
                if (v && v->healing && !str_eq(msg_str(m, TAG_RESULT), "not_run") &&
                        age_us < ENFORCE_CEILING_US && age_us <= now.boot_us)
                        flow_count_act(e, str_copy(target, sizeof(target), msg_str(m, TAG_RESOURCE)),
                                now.boot_us - age_us);
        }
}

static void query_result(Enforce *e, const Msg *m, EnforceNow now) {
        if (!str_eq(msg_str(m, TAG_CODE), "ok")) {
                /* What can't be read can't be relied on: attach again, later. */
                e->resync_us = now.boot_us + RESYNC_US;
                return;
        }
        if (msg_bool(m, TAG_MORE, false))
                query(e, msg_u64(m, TAG_INDEX, 0), now);
        else
                next_query(e, (QueryStep)(e->query_step + 1), now);
}

/* ---- acknowledgements */
static void route(
        Enforce *e, uint64_t token, RecordKind kind, const char *code, uint64_t index, EnforceNow now) {
        if (token == 0)
                return;
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++) {
                Proposal *p = e->open[i];
                if (!p || p->token != token)
                        continue;
                if (kind == RECORD_INTENT)
                        flow_intent_done(e, p, code, index, now);
                else
                        flow_action_done(e, p, code, index, now);
                return;
        }
        LIST_FOREACH (it, &e->votes) {
                VoteInFlight *v = container_of(it, VoteInFlight, node);
                if (v->token == token) {
                        people_record_done(e, v, code, index, now);
                        return;
                }
        }
        LIST_FOREACH (it, &e->spooled) {
                Spooled *s = container_of(it, Spooled, node);
                if (s->token != token)
                        continue;
                uint8_t id[16];
                memcpy(id, s->id, sizeof(id));
                if (strcmp(code, "ok") != 0)
                        e->counters.appends_refused++;
                spooled_free(e, s);
                e->ops.spool_imported(e->user, id);
                glass_recorded(e, id, strcmp(code, "ok") == 0, now);
                return;
        }
}

static void acked(Enforce *e, const Msg *m, EnforceNow now) {
        uint64_t token, index = msg_u64(m, TAG_INDEX, 0);
        RecordKind kind;
        e->ledger_size = msg_u64(m, TAG_SIZE, e->ledger_size);
        e->ledger_signed_size = msg_u64(m, TAG_SIGNED_SIZE, e->ledger_signed_size);
        if (record_queue_ack(&e->records, msg_u64(m, TAG_SEQ, 0), index, msg_bytes(m, TAG_HASH), now.boot_us,
                    &token, &kind) == 0)
                route(e, token, kind, "ok", index, now);
        if (e->ledger_ready)
                spool_import(e, now);
}

/* A refusal that says something about the record ends it; one that says something about the ledger does not.
 */
static bool is_final(Str code) {
        return str_eq(code, "intent_refused") || str_eq(code, "E.VALIDATION") || str_eq(code, "E.FORBIDDEN");
}

static void refused(Enforce *e, const Msg *m, EnforceNow now) {
        char code[65];
        uint64_t token, seq = msg_u64(m, TAG_SEQ, 0);
        RecordKind kind;
        str_copy(code, sizeof(code), msg_str(m, TAG_CODE));
        if (!is_final(str_of(code))) {
                /* A failed ledger will be replaced, and then the record is sent again. A running one could
                 * not take it now. */
                if (strcmp(code, "ledger_failed") == 0) {
                        e->ledger_failed = true;
                } else if (record_queue_retry(&e->records, seq) == 0 && e->resync_us == NONE64) {
                        e->resync_us = now.boot_us + (strcmp(code, "E.CONFLICT") == 0 ? RESYNC_US : RETRY_US);
                }
                return;
        }
        if (record_queue_ack(&e->records, seq, 0, NULL, now.boot_us, &token, &kind) != 0)
                return;
        if (token == 0)
                e->counters.appends_refused++;
        route(e, token, kind, code, NONE64, now);
}

static void head(Enforce *e, const Msg *m) {
        e->ledger_size = msg_u64(m, TAG_SIZE, e->ledger_size);
        e->ledger_signed_size = msg_u64(m, TAG_SIGNED_SIZE, e->ledger_signed_size);
        if (str_eq(msg_str(m, TAG_LEDGER_STATE), "failed"))
                e->ledger_failed = true;
}

bool enforce_ledger_msg(Enforce *e, const Msg *m, EnforceNow now) {
        if (!e->ledger_attached)
                return false;
        bool latest = msg_u64(m, TAG_REQ, 0) == QUERY_REQ_BASE + e->query_req, ours = latest && !e->folded;
        switch ((int)m->type) {
        case MSG_ATTACHED:
                attached(e, m, now);
                break;
        case MSG_OPEN_INTENT:
                open_intent(e, m, now);
                break;
        case MSG_APPEND_ACK:
                acked(e, m, now);
                break;
        case MSG_APPEND_REFUSED:
                refused(e, m, now);
                break;
        case MSG_LEDGER_HEAD:
                head(e, m);
                break;
        case MSG_RECORD:
                if (!ours)
                        return msg_u64(m, TAG_REQ, 0) >= QUERY_REQ_BASE;
                read_record(e, m, now);
                break;
        case MSG_RESULT:
                if (!latest)
                        return msg_u64(m, TAG_REQ, 0) >= QUERY_REQ_BASE;
                if (ours)
                        query_result(e, m, now);
                else
                        e->alive_asked_us = NONE64;
                break;
        default:
                return false;
        }
        notice(e, now);
        return true;
}

int enforce_record(Enforce *e, const RecordFields *f, EnforceNow now) {
        return record_queue_push(&e->records, f, 0, false, now.boot_us, now.wall_ns);
}
