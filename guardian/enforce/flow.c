/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/enforce/enforce-private.h"
#include <errno.h>
#include <inttypes.h>

/*
 * The path of one action: DECIDE, verdict, intent, last check and act in one step, action record. What binds
 * what stands in HACKING.md, "A governed action"; each check here closes a hole of a simpler protocol, and
 * has a fault in enforce-private.h that takes it away to show that the simulator notices.
 */
Mode flow_mode(const Enforce *e) {
        Mode recorded = e->mode_recorded == MODE_NONE ? MODE_ENFORCE : e->mode_recorded;
        if (e->mode_recorded == MODE_NONE && FAULTY(FAULT_MODE_DEFAULT))
                recorded = MODE_LOG_ONLY;
        if (FAULTY(FAULT_MODE_WEAKER))
                return recorded;
        return e->cfg.mode_floor > recorded ? e->cfg.mode_floor : recorded;
}

/* False: the target is no unit of this set any more. */
bool flow_target(const Enforce *e, const Proposal *p, EnforceTarget *t) {
        *t = (EnforceTarget){0};
        if (!p->verb || p->verb->unit)
                return e->ops.target(e->user, p->r.target, t);
        t->state = UNIT_RUNNING;
        t->critical = true;
        t->incarnation.pid = e->cfg.pid;
        t->incarnation.start_time = e->cfg.start_time;
        memcpy(t->incarnation.boot_id, e->cfg.boot_id, 16);
        return true;
}

/* ---- ceilings: a window over the last acts, whoever allowed them */
static void forget_old_acts(Enforce *e, EnforceNow now) {
        unsigned kept = 0;
        for (unsigned i = 0; i < e->n_acts; i++)
                if (now.boot_us < e->acts[i].at_us || now.boot_us - e->acts[i].at_us < ENFORCE_CEILING_US)
                        e->acts[kept++] = e->acts[i];
        e->n_acts = kept;
}

bool flow_ceiling(Enforce *e, const char *target, EnforceNow now) {
        if (FAULTY(FAULT_NO_CEILING))
                return false;
        forget_old_acts(e, now);
        unsigned same = 0, all = e->n_acts;
        for (unsigned i = 0; i < e->n_acts; i++)
                same += strcmp(e->acts[i].target, target) == 0;
        /* What is already under way will count: reserve for it. */
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++) {
                const Proposal *o = e->open[i];
                if (!o || o->ungated || !o->verb || !o->verb->healing || o->stage != STAGE_INTENT)
                        continue;
                all++;
                same += strcmp(o->r.target, target) == 0;
        }
        return same >= ENFORCE_CEILING_TARGET || all >= ENFORCE_CEILING_ALL;
}

void flow_count_act(Enforce *e, const char *target, uint64_t at_us) {
        if (e->n_acts == ENFORCE_CEILING_ALL) {
                memmove(e->acts, e->acts + 1, (ENFORCE_CEILING_ALL - 1) * sizeof(e->acts[0]));
                e->n_acts--;
        }
        CeilingAct *a = &e->acts[e->n_acts++];
        str_copy(a->target, sizeof(a->target), str_of(target));
        a->at_us = at_us;
}

/* ---- answers */
void flow_answer(Enforce *e, Proposal *p, bool more, Code code, const char *reason) {
        if (p->answered || p->waiter == 0)
                return;
        p->answered = !more;
        bool done = p->stage == STAGE_RECORD;
        EnforceReply r = {.waiter = p->waiter,
                .more = more,
                .code = code,
                .verdict = p->verdict,
                .request_id = p->r.request_id,
                .decision_index = p->decision_index,
                .intent_index = p->intent_index,
                .action_index = p->action_index,
                .has_outcome = done,
                .outcome = p->outcome,
                .approval_id = p->approval_id,
                .reason = reason ? reason : "",
                .correlation_id = p->correlation_id,
                /* where there is no gate at all nothing went past one */
                .ungated = p->ungated && e->cfg.has_gate};
        e->ops.reply(e->user, &r);
}

void flow_end(Enforce *e, Proposal *p, Code code, const char *reason) {
        flow_answer(e, p, false, code, reason);
        proposal_free(e, p);
}

/* ---- DECIDE */
static bool room_for(const MsgBuilder *b, size_t n) {
        return b->fields + 8u < FRAME_FIELDS_MAX && b->len + n + 256u < FRAME_HEADER_MAX;
}

static void put_list(MsgBuilder *b, Tag tag, const Str *items, unsigned n) {
        for (unsigned i = 0; i < n && room_for(b, items[i].n); i++)
                msg_put_str(b, tag, items[i]);
}

void flow_put_context(Enforce *e, MsgBuilder *b, const EnforceTarget *t, EnforceNow now) {
        msg_put_cstr(b, TAG_MODE, mode_to_string((int)flow_mode(e)));
        msg_put_u64(b, TAG_NOW_BOOT_US, now.boot_us);
        msg_put_u64(b, TAG_TIME_NS, now.wall_ns);
        msg_put_bool(b, TAG_PAUSED, e->paused);
        msg_put_bool(b, TAG_LOCKDOWN, e->lockdown);
        msg_put_bool(b, TAG_BREAK_GLASS, now.boot_us < e->break_glass_until_us);
        put_list(b, TAG_FACT, t->facts, t->n_facts);
}

static void build_decide(
        Enforce *e, const Proposal *p, const EnforceTarget *t, EnforceNow now, MsgBuilder *b) {
        static const char *const kinds[] = {"person", "unit", "supervisor"};
        msg_begin(b, MSG_DECIDE);
        request_to_msg(&p->r, b);
        msg_put_bytes(b, TAG_DIGEST, p->digest);
        msg_put_cstr(b, TAG_PURPOSE, "act");
        msg_put_cstr(b, TAG_ACTOR_KIND, kinds[p->kind]);
        if (p->kind == ACTOR_PERSON) {
                msg_put_u64(b, TAG_UID, p->uid);
                msg_put_cstr(b, TAG_ROLE, role_to_string((int)p->role));
        }
        msg_put_u64(b, TAG_PRIORITY_MILLI, t->priority_milli);
        msg_put_bool(b, TAG_CRITICAL, t->critical);
        msg_put_bool(b, TAG_CAN_FAIL, t->can_fail);
        msg_put_cstr(b, TAG_CORRELATION_ID, p->correlation_id);
        if (p->reason[0])
                msg_put_text(b, TAG_REASON, p->reason);
        put_list(b, TAG_HEAL, t->heal, t->n_heal);
        flow_put_context(e, b, t, now);
        put_list(b, TAG_LABEL, t->labels, t->n_labels);
        const char *claim = p->claims;
        for (unsigned i = 0; i < p->n_claims && room_for(b, strlen(claim)); i++, claim += strlen(claim) + 1)
                msg_put_cstr(b, FAULTY(FAULT_CLAIMS_ARE_FACTS) ? TAG_FACT : TAG_CLAIM, claim);
}

/* Asks, or asks once more after the gate restarted: same id, same digest, facts of this moment. */
void flow_ask_gate(Enforce *e, Proposal *p, EnforceNow now) {
        EnforceTarget t;
        MsgBuilder b;
        if (!flow_target(e, p, &t)) {
                flow_end(e, p, CODE_UNKNOWN_UNIT, "the unit is gone");
                return;
        }
        build_decide(e, p, &t, now, &b);
        if (b.error < 0) {
                flow_end(e, p, CODE_INVALID, "the request does not fit a message");
                return;
        }
        p->asked_us = now.boot_us;
        ledger_ask_alive(e, now);
        (void)e->ops.to_gate(e->user, &b); /* a broken pipe is reported as the gate's loss */
}

/* ---- what must hold before an intent is written, and again in the step of the act */
static Code check_still(Enforce *e, const Proposal *p, bool last, EnforceNow now, const char **why) {
        EnforceTarget t;
        *why = "";
        if (now.boot_us >= p->use_by_us && !FAULTY(FAULT_NO_USE_BY)) {
                *why = "the verdict is past its use-by";
                return CODE_TIMEOUT;
        }
        if (p->verb->healing && e->paused && !(last && FAULTY(FAULT_NO_PAUSE))) {
                *why = "healing is paused";
                return CODE_PAUSED;
        }
        if (p->lockdown_epoch != e->lockdown_epoch && !FAULTY(FAULT_NO_LOCKDOWN)) {
                *why = "lockdown changed since the verdict";
                return CODE_LOCKDOWN;
        }
        if (last && p->approval_id[0]) {
                const Approval *a = approvals_find(&e->approvals, p->approval_id);
                if (a && a->state == APPROVAL_DENIED) {
                        *why = "a person said no";
                        return CODE_APPROVAL_DENIED;
                }
        }
        if (!flow_target(e, p, &t)) {
                *why = "the unit is gone";
                return CODE_UNKNOWN_UNIT;
        }
        if (!incarnation_eq(&t.incarnation, &p->r.incarnation) && !FAULTY(FAULT_NO_INCARNATION)) {
                *why = "the process that it was meant for is gone";
                return CODE_STALE_TARGET;
        }
        if (p->verb->healing && t.state == UNIT_STOPPING) {
                *why = "the unit is being stopped";
                return CODE_STALE_TARGET;
        }
        if ((p->verb->healing && t.pinned_down) || (t.pinned_up && strcmp(p->r.action, "stop") == 0)) {
                *why = "the unit is pinned";
                return CODE_PINNED;
        }
        return CODE_OK;
}

/* ---- records */
static void kv_args(JsonWriter *w, const ActionRequest *r) {
        json_key(w, "args");
        json_object_begin(w);
        for (unsigned i = 0; i < r->n_args; i++) {
                Str k, v;
                char key[64];
                (void)str_split(str_of(r->args[i]), '=', &k, &v);
                json_key(w, str_copy(key, sizeof(key), k));
                json_str(w, v.p ? v : STR_LIT(""));
        }
        json_object_end(w);
}

static void kv_hex(JsonWriter *w, const char *key, const void *p, size_t n) {
        json_key(w, key);
        json_hex(w, p, n);
}

static int push(Enforce *e, Proposal *p, RecordKind kind, uint64_t ref, const char *result, JsonWriter *w,
        EnforceNow now) {
        int r = json_finish(w);
        if (r < 0)
                return r;
        uint64_t token = new_token(e);
        RecordFields f = {.kind = kind,
                .request_id = p->r.request_id,
                .digest = p->digest,
                .ref = ref,
                .actor = p->r.actor,
                .action = p->r.action,
                .resource = p->r.target,
                .subsystem = "enforcement",
                .correlation_id = p->correlation_id[0] ? p->correlation_id : NULL,
                .result = result,
                .body = {(const char *)w->out->data, w->out->len}};
        p->token = token;
        r = record_queue_push(&e->records, &f, token, kind == RECORD_ACTION, now.boot_us, now.wall_ns);
        if (r < 0)
                p->token = 0;
        return r;
}

static int append_intent(Enforce *e, Proposal *p, EnforceNow now) {
        Buf out = BUF_INIT(RECORD_QUEUE_BODY_MAX);
        JsonWriter w;
        json_init(&w, &out, true);
        json_object_begin(&w);
        if (p->approval_id[0])
                json_kv_str(&w, "approval_id", p->approval_id);
        kv_args(&w, &p->r);
        json_kv_u64(&w, "decision", p->decision_index);
        kv_hex(&w, "digest", p->digest, sizeof(p->digest));
        json_key(&w, "incarnation");
        json_object_begin(&w);
        kv_hex(&w, "boot_id", p->r.incarnation.boot_id, 16);
        json_kv_u64(&w, "pid", p->r.incarnation.pid);
        json_kv_u64(&w, "start_time", p->r.incarnation.start_time);
        json_object_end(&w);
        json_kv_str(&w, "policy_revision", p->policy_revision);
        json_kv_str(&w, "target", p->r.target);
        json_object_end(&w);
        int r = push(e, p, RECORD_INTENT, p->decision_index, NULL, &w, now);
        buf_done(&out);
        return r;
}

void flow_append_action(Enforce *e, Proposal *p, EnforceNow now) {
        Buf out = BUF_INIT(RECORD_QUEUE_BODY_MAX);
        JsonWriter w;
        json_init(&w, &out, true);
        json_object_begin(&w);
        kv_args(&w, &p->r);
        kv_hex(&w, "digest", p->digest, sizeof(p->digest));
        json_kv_u64(&w, "duration_us", p->duration_us);
        json_kv_str(&w, "outcome", outcome_to_string((int)p->outcome));
        json_kv_str(&w, "reason", p->outcome_reason);
        json_kv_str(&w, "target", p->r.target);
        json_object_end(&w);
        /* No memory for the one record that must not be missing: enforce_tick() tries again. */
        p->record_due =
                push(e, p, RECORD_ACTION, p->intent_index, outcome_to_string((int)p->outcome), &w, now) < 0;
        p->retry_us = now.boot_us + 1000000;
        buf_done(&out);
}

void flow_config_record(Enforce *e, const char *actor, const char *action, const char *result,
        const char *reason, const Proposal *p, EnforceNow now) {
        Buf out = BUF_INIT(4096);
        JsonWriter w;
        if (FAULTY(FAULT_MODE_UNRECORDED) && strcmp(action, "mode") == 0)
                return;
        json_init(&w, &out, true);
        json_object_begin(&w);
        json_kv_str(&w, "reason", reason);
        json_kv_str(&w, "value", result);
        json_object_end(&w);
        if (json_finish(&w) == 0) {
                RecordFields f = {.kind = RECORD_CONFIG,
                        .request_id = p && !p->ungated ? p->r.request_id : NULL,
                        .ref = NONE64,
                        .actor = actor,
                        .action = action,
                        .resource = p ? p->r.target : SELF,
                        .subsystem = "enforcement",
                        .correlation_id = p ? p->correlation_id : NULL,
                        .result = result,
                        .body = {(const char *)out.data, out.len}};
                (void)record_queue_push(&e->records, &f, 0, true, now.boot_us, now.wall_ns);
        }
        buf_done(&out);
}

/* ---- outcome */
static void settle(Enforce *e, Proposal *p, Outcome outcome, const char *reason, EnforceNow now) {
        p->stage = STAGE_RECORD;
        p->outcome = outcome;
        p->duration_us = p->started_us == NONE64 ? 0 : now.boot_us - p->started_us;
        p->answer_by_us = now.boot_us + ENFORCE_USE_BY_US;
        str_copy(p->outcome_reason, sizeof(p->outcome_reason), str_of(reason ? reason : ""));
        if (outcome == OUTCOME_NOT_RUN)
                e->counters.not_run++;
        if (outcome == OUTCOME_FAILED)
                e->counters.failed++;
        if (p->ungated)
                flow_end(e, p, outcome == OUTCOME_OK ? CODE_OK : CODE_FAILED, p->outcome_reason);
        else
                flow_append_action(e, p, now);
}

/* Verbs that are Guardian's own state. */
static bool act_inside(Enforce *e, Proposal *p, EnforceNow now) {
        bool mode = strcmp(p->r.action, "mode") == 0, lock = strcmp(p->r.action, "lockdown") == 0;
        if (!mode && !lock)
                return false;
        Str v = {NULL, 0};
        for (unsigned i = 0; i < p->r.n_args; i++) {
                Str k;
                if (str_split(str_of(p->r.args[i]), '=', &k, &v) && str_eq(k, mode ? "mode" : "state"))
                        break;
                v = (Str){NULL, 0};
        }
        if (mode) {
                e->mode_recorded = (Mode)mode_from_string(v); /* checked when it was proposed */
                flow_config_record(
                        e, p->r.actor, "mode", mode_to_string((int)e->mode_recorded), p->reason, p, now);
        } else {
                bool on = str_eq(v, "on");
                e->lockdown_epoch += on != e->lockdown;
                e->lockdown = on;
                flow_config_record(e, p->r.actor, "lockdown", on ? "on" : "off", p->reason, p, now);
        }
        switch_publish(e, p->r.actor, p->r.action,
                mode          ? mode_to_string((int)e->mode_recorded)
                : e->lockdown ? "on"
                              : "off",
                p->reason);
        settle(e, p, OUTCOME_OK, NULL, now);
        e->ops.changed(e->user);
        return true;
}

static void act(Enforce *e, Proposal *p, EnforceNow now) {
        p->stage = STAGE_ACT;
        p->started_us = now.boot_us;
        e->counters.acted++;
        if (p->verb->healing)
                flow_count_act(e, p->r.target, now.boot_us);
        if (act_inside(e, p, now))
                return;
        ActionRequest r = p->r; /* the slot may be free when act() returns */
        e->ops.act(e->user, &r, p->ungated && e->cfg.has_gate);
}

void flow_act_ungated(Enforce *e, Proposal *p, const char *why, EnforceNow now) {
        if (e->cfg.has_gate) {
                e->counters.ungated++;
                int r = FAULTY(FAULT_NO_SPOOL) ? 0 : spool_act(e, p, why, false, now);
                if (r < 0 && FAULTY(FAULT_SPOOL_STOPS)) {
                        flow_end(e, p, CODE_FAILED, "the spool is full");
                        return;
                }
        } else if (e->cfg.has_ledger) {
                flow_config_record(e, p->r.actor, p->r.action, "ungoverned", p->reason, p, now);
        }
        act(e, p, now);
}

void enforce_act_result(
        Enforce *e, const uint8_t request_id[16], Outcome outcome, const char *reason, EnforceNow now) {
        Proposal *p = proposal_find(e, request_id);
        if (!p || p->stage != STAGE_ACT)
                return;
        settle(e, p, outcome == OUTCOME_OK || outcome == OUTCOME_FAILED ? outcome : OUTCOME_UNKNOWN, reason,
                now);
        notice(e, now);
}

/* ---- the ledger's answers */
void flow_intent_done(Enforce *e, Proposal *p, const char *code, uint64_t index, EnforceNow now) {
        p->token = 0;
        if (strcmp(code, "ok") != 0) {
                e->counters.intents_refused++;
                flow_end(e, p, CODE_INTENT_REFUSED, "the ledger refused the intent");
                return;
        }
        p->intent_index = index;
        if (FAULTY(FAULT_ACT_EARLY))
                return;
        const char *why;
        p->code = check_still(e, p, true, now, &why);
        p->started_us = NONE64;
        if (p->code == CODE_OK)
                act(e, p, now);
        else
                settle(e, p, OUTCOME_NOT_RUN, why, now);
}

static void publish_action(Enforce *e, const Proposal *p) {
        Buf out = BUF_INIT(4096);
        JsonWriter w;
        json_init(&w, &out, true);
        json_object_begin(&w);
        json_kv_str(&w, "action", p->r.action);
        json_kv_u64(&w, "action_index", p->action_index);
        json_kv_str(&w, "outcome", outcome_to_string((int)p->outcome));
        json_kv_str(&w, "reason", p->outcome_reason);
        kv_hex(&w, "request_id", p->r.request_id, 16);
        json_kv_str(&w, "target", p->r.target);
        json_object_end(&w);
        if (json_finish(&w) == 0)
                e->ops.publish(e->user, "action.completed", p->r.target, p->correlation_id,
                        (Str){(const char *)out.data, out.len});
        buf_done(&out);
}

void flow_action_done(Enforce *e, Proposal *p, const char *code, uint64_t index, EnforceNow now) {
        (void)now;
        p->token = 0;
        if (strcmp(code, "ok") != 0) {
                e->counters.appends_refused++;
                flow_end(e, p, CODE_LEDGER_UNAVAILABLE, "the ledger refused the action record");
                return;
        }
        p->action_index = index;
        publish_action(e, p);
        Code done = p->outcome == OUTCOME_OK ? CODE_OK : CODE_FAILED;
        flow_end(e, p, p->code != CODE_OK ? p->code : done, p->outcome_reason);
}

/* ---- verdicts */
static Proposal *verdict_for(Enforce *e, const Msg *m) {
        Proposal *p = proposal_find(e, msg_bytes(m, TAG_REQUEST_ID));
        if (FAULTY(FAULT_ANY_STAGE) && p && !p->ungated && p->verb && p->stage != STAGE_ASKED)
                return p;
        if (!p || p->ungated || (p->stage != STAGE_DECIDE && p->stage != STAGE_REDECIDE))
                return NULL;
        return p;
}

/* The final decision of an answered approval must name it, under the revision that asked. */
static bool fits_approval(Enforce *e, const Proposal *p, const Msg *m) {
        Str id = msg_str(m, TAG_APPROVAL_ID);
        Verdict v = (Verdict)msg_u64(m, TAG_VERDICT, VERDICT_NONE);
        if (p->stage == STAGE_DECIDE)
                return v != VERDICT_ALLOW || !id.p;
        const Approval *a = approvals_find(&e->approvals, p->approval_id);
        return a && v != VERDICT_REQUIRE_APPROVAL && str_eq(id, p->approval_id) &&
               (v != VERDICT_ALLOW || FAULTY(FAULT_NO_REVISION) ||
                       str_eq(msg_str(m, TAG_POLICY_REVISION), a->policy_revision));
}

static void allowed(Enforce *e, Proposal *p, const Msg *m, EnforceNow now) {
        const char *why;
        uint64_t use_by = msg_u64(m, TAG_USE_BY_US, NONE64);
        p->decision_index = msg_u64(m, TAG_DECISION_INDEX, NONE64);
        p->verdict = VERDICT_ALLOW;
        e->counters.allowed++;
        /* After an approval the five seconds run from this verdict; otherwise from the question. */
        if (p->stage == STAGE_REDECIDE)
                p->use_by_us = now.boot_us + ENFORCE_USE_BY_US;
        if (use_by < p->use_by_us)
                p->use_by_us = use_by;
        Approval *a = approvals_find(&e->approvals, p->approval_id);
        if (a)
                a->state = APPROVAL_USED;
        Code code = check_still(e, p, false, now, &why);
        if (code == CODE_OK && p->verb->healing && flow_ceiling(e, p->r.target, now)) {
                e->counters.ceilings++;
                code = CODE_CEILING;
                why = "Guardian's hard ceiling of healing acts is reached";
        }
        for (unsigned i = 0; i < ELEMENTSOF(e->open) && code == CODE_OK; i++) {
                const Proposal *o = e->open[i];
                if (o && o != p && !o->ungated && o->stage >= STAGE_INTENT &&
                        strcmp(o->r.target, p->r.target) == 0)
                        code = CODE_TARGET_BUSY, why = "another action on this unit is under way";
        }
        if (code == CODE_OK && ledger_state(e, now) != PART_READY)
                code = e->rollback ? CODE_LEDGER_ROLLBACK : CODE_LEDGER_UNAVAILABLE,
                why = "the ledger is not ready";
        if (code == CODE_OK && append_intent(e, p, now) < 0)
                code = CODE_LEDGER_UNAVAILABLE, why = "too many records wait for the ledger";
        if (code != CODE_OK) {
                flow_end(e, p, code, why);
                return;
        }
        p->stage = STAGE_INTENT;
        p->code = CODE_OK;
        if (FAULTY(FAULT_ACT_EARLY))
                act(e, p, now);
}

static void denied(Enforce *e, Proposal *p, const Msg *m) {
        char reason[513];
        int code = code_from_string(msg_str(m, TAG_CODE));
        p->decision_index = msg_u64(m, TAG_DECISION_INDEX, NONE64);
        p->verdict = VERDICT_DENY;
        e->counters.denied++;
        if (p->approval_id[0]) {
                Approval *a = approvals_find(&e->approvals, p->approval_id);
                if (a && a->state == APPROVAL_APPROVED)
                        a->state = code == CODE_APPROVAL_EXPIRED  ? APPROVAL_EXPIRED
                                   : code == CODE_APPROVAL_DENIED ? APPROVAL_DENIED
                                                                  : APPROVAL_VOID;
        }
        flow_end(e, p, code > CODE_OK ? (Code)code : CODE_DENIED_BY_RULE,
                str_copy(reason, sizeof(reason), msg_str(m, TAG_REASON)));
}

void flow_verdict(Enforce *e, const Msg *m, EnforceNow now) {
        Approval *told = approvals_find_request(&e->approvals, msg_bytes(m, TAG_REQUEST_ID));
        Proposal *p = verdict_for(e, m);
        Verdict v = (Verdict)msg_u64(m, TAG_VERDICT, VERDICT_NONE);
        if (!p) {
                /* The answer to what people denied, or to a lapse that we told the gate, is no surprise. */
                bool expected = told && v == VERDICT_DENY && told->state != APPROVAL_PENDING;
                const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID);
                if (!told && !proposal_find(e, id) && !proposal_was(e, id))
                        e->counters.forged_verdicts++; /* nobody ever asked that */
                else
                        e->counters.late_verdicts += !expected;
                return;
        }
        if (memcmp(p->digest, msg_bytes(m, TAG_DIGEST), sizeof(p->digest)) != 0 && !FAULTY(FAULT_NO_DIGEST)) {
                e->counters.forged_verdicts++;
                return;
        }
        if (p->stage == STAGE_DECIDE && now.boot_us >= p->use_by_us && !FAULTY(FAULT_NO_USE_BY)) {
                e->counters.late_verdicts++;
                return;
        }
        bool indexed = msg_has(m, TAG_DECISION_INDEX);
        if (!fits_approval(e, p, m) || (v != VERDICT_DENY && !indexed)) {
                e->counters.forged_verdicts++;
                return;
        }
        str_copy(p->policy_revision, sizeof(p->policy_revision), msg_str(m, TAG_POLICY_REVISION));
        p->asked_us = NONE64;
        if (v == VERDICT_ALLOW)
                allowed(e, p, m, now);
        else if (v == VERDICT_REQUIRE_APPROVAL)
                people_ask(e, p, m, now);
        else
                denied(e, p, m);
}
