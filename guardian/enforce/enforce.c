/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/enforce/enforce-private.h"
#include <errno.h>
#include <stdio.h>

#ifdef GUARDIAN_TEST_HOOKS
EnforceFault enforce_fault = FAULT_NONE;
#endif

static int send_record(void *user, const MsgBuilder *b, Str payload) {
        Enforce *e = user;
        return e->ops.to_ledger(e->user, b, payload);
}

int enforce_new(const EnforceConfig *cfg, const EnforceOps *ops, void *user, Enforce **ret) {
        Enforce *e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->cfg = *cfg;
        e->ops = *ops;
        e->user = user;
        str_copy(e->gate_unit, sizeof(e->gate_unit), str_of(cfg->gate_unit ? cfg->gate_unit : "governance"));
        str_copy(e->ledger_unit, sizeof(e->ledger_unit),
                str_of(cfg->ledger_unit ? cfg->ledger_unit : "ledger"));
        str_copy(e->proposer_unit, sizeof(e->proposer_unit),
                str_of(cfg->proposer_unit ? cfg->proposer_unit : "immune"));
        record_queue_init(&e->records, send_record, e);
        list_init(&e->votes);
        list_init(&e->spooled);
        list_init(&e->early);
        e->attach_sent_us = e->resync_us = e->alive_asked_us = NONE64;
        e->bucket_milli = ENFORCE_RATE_BURST * 1000ull;
        e->paused = cfg->paused != NULL;
        str_copy(e->pause_reason, sizeof(e->pause_reason), str_of(cfg->paused));
        e->seen_gate = cfg->has_gate ? PART_DOWN : PART_ABSENT;
        e->seen_ledger = cfg->has_ledger ? PART_DOWN : PART_ABSENT;
        *ret = e;
        return 0;
}

/* ---- what a gate says before it is validated */
enum { EARLY_MAX = 192 };

static void early_clear(Enforce *e) {
        LIST_FOREACH_SAFE (it, nx, &e->early)
                free(container_of(it, EarlyMsg, node));
        list_init(&e->early);
        e->n_early = 0;
}

static void early_keep(Enforce *e, const Msg *m) {
        if (e->n_early == EARLY_MAX)
                return;
        EarlyMsg *k = malloc(sizeof(*k) + m->header.n);
        if (!k)
                return;
        k->type = m->type;
        k->n = m->header.n;
        memcpy(k->header, m->header.p, m->header.n);
        list_append(&e->early, &k->node);
        e->n_early++;
}

Enforce *enforce_free(Enforce *e) {
        if (!e)
                return NULL;
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++)
                if (e->open[i])
                        proposal_free(e, e->open[i]);
        LIST_FOREACH_SAFE (it, nx, &e->votes)
                free(container_of(it, VoteInFlight, node));
        LIST_FOREACH_SAFE (it, nx, &e->spooled) {
                Spooled *s = container_of(it, Spooled, node);
                free(s->text);
                free(s);
        }
        early_clear(e);
        approvals_done(&e->approvals);
        record_queue_done(&e->records);
        free(e);
        return NULL;
}

uint64_t new_token(Enforce *e) {
        return ++e->last_token;
}

void make_correlation(Enforce *e, Str given, char out[81]) {
        uint8_t id[16];
        if (given.n > 0) {
                str_copy(out, 81, given);
                return;
        }
        e->ops.random16(e->user, id);
        memcpy(out, "cor_", 4);
        hex_encode(id, sizeof(id), out + 4);
}

/* ---- slots */
Proposal *proposal_new(Enforce *e, bool ungated) {
        unsigned open = 0;
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++)
                open += e->open[i] && !e->open[i]->ungated;
        if (!ungated && open >= ENFORCE_OPEN_MAX)
                return NULL;
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++) {
                if (e->open[i])
                        continue;
                Proposal *p = calloc(1, sizeof(*p));
                if (!p)
                        return NULL;
                p->ungated = ungated;
                p->asked_us = p->use_by_us = p->answer_by_us = p->started_us = NONE64;
                p->decision_index = p->intent_index = p->action_index = NONE64;
                p->r.incident = NONE64;
                return e->open[i] = p;
        }
        return NULL;
}

void proposal_free(Enforce *e, Proposal *p) {
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++)
                if (e->open[i] == p)
                        e->open[i] = NULL;
        memcpy(e->over[e->n_over++ % ELEMENTSOF(e->over)], p->r.request_id, 16);
        free(p->claims);
        free(p);
}

bool proposal_was(const Enforce *e, const uint8_t request_id[16]) {
        for (unsigned i = 0; i < ELEMENTSOF(e->over) && i < e->n_over; i++)
                if (memcmp(e->over[i], request_id, 16) == 0)
                        return true;
        return false;
}

Proposal *proposal_find(Enforce *e, const uint8_t request_id[16]) {
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++)
                if (e->open[i] && memcmp(e->open[i]->r.request_id, request_id, 16) == 0)
                        return e->open[i];
        return NULL;
}

/* ---- what is down: not attached and validated, failed, or silent for ENFORCE_DOWN_US */
const char *part_state_gate(PartState s) {
        return s == PART_ABSENT ? "absent" : s == PART_READY ? "ready" : "down";
}

const char *part_state_ledger(PartState s) {
        static const char *const names[] = {"absent", "ready", "stalled", "failed"};
        return names[s];
}

PartState gate_state(const Enforce *e, EnforceNow now) {
        if (!e->cfg.has_gate)
                return PART_ABSENT;
        if (!e->gate_attached || e->gate_silent || e->gate_failed)
                return PART_DOWN;
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++) {
                const Proposal *p = e->open[i];
                if (p && p->asked_us != NONE64 && now.boot_us - p->asked_us >= ENFORCE_DOWN_US &&
                        !FAULTY(FAULT_NO_SILENCE))
                        return PART_DOWN;
        }
        return PART_READY;
}

/* Since when the ledger owes an answer, NONE64: it owes none. */
static uint64_t ledger_owes(const Enforce *e) {
        uint64_t oldest = record_queue_oldest(&e->records);
        if (e->attach_sent_us != NONE64)
                return e->attach_sent_us;
        return e->alive_asked_us < oldest ? e->alive_asked_us : oldest;
}

PartState ledger_state(const Enforce *e, EnforceNow now) {
        if (!e->cfg.has_ledger)
                return PART_ABSENT;
        if (!e->ledger_attached || e->ledger_failed || e->rollback)
                return PART_DOWN;
        uint64_t since = ledger_owes(e);
        if (since != NONE64 && now.boot_us >= since && now.boot_us - since >= ENFORCE_DOWN_US &&
                !FAULTY(FAULT_NO_SILENCE))
                return PART_STALLED;
        return e->ledger_ready && e->resync_us == NONE64 ? PART_READY : PART_DOWN;
}

Code unavailable(const Enforce *e, EnforceNow now) {
        if (FAULTY(FAULT_WRONG_PART))
                return CODE_GOVERNANCE_UNAVAILABLE;
        if (e->rollback)
                return CODE_LEDGER_ROLLBACK;
        return ledger_state(e, now) != PART_READY ? CODE_LEDGER_UNAVAILABLE : CODE_GOVERNANCE_UNAVAILABLE;
}

void notice(Enforce *e, EnforceNow now) {
        PartState g = gate_state(e, now), l = ledger_state(e, now);
        if (g == e->seen_gate && l == e->seen_ledger)
                return;
        e->seen_gate = g;
        e->seen_ledger = l;
        e->ops.changed(e->user);
}

/* ---- the gate comes and goes */
static void policy_state(Enforce *e, const Msg *m) {
        Str issue;
        size_t pos = 0;
        str_copy(e->policy_revision, sizeof(e->policy_revision), msg_str(m, TAG_POLICY_REVISION));
        e->gate_failed = str_eq(msg_str(m, TAG_STATE), "failed");
        if (!msg_next_str(m, TAG_ISSUE, &pos, &issue))
                issue = STR_LIT("governance says that it can decide nothing");
        str_copy(e->gate_issue, sizeof(e->gate_issue), issue);
}

static void gate_msg(Enforce *e, const Msg *m, EnforceNow now) {
        e->gate_silent = false;
        if (m->type == MSG_VERDICT)
                flow_verdict(e, m, now);
        else if (m->type == MSG_APPROVAL_PENDING)
                people_pending(e, m, now);
        else
                policy_state(e, m);
}

/*
 * A gate is heard once it is validated, and about questions of an earlier Guardian once our own record of
 * them is read: what people said is not the gate's to say.
 */
static bool may_hear(const Enforce *e, MsgType type) {
        return e->gate_attached && (type == MSG_POLICY_STATE || !e->cfg.has_ledger || e->folded);
}

void early_take(Enforce *e, EnforceNow now) {
        LIST_FOREACH_SAFE (it, nx, &e->early) {
                EarlyMsg *k = container_of(it, EarlyMsg, node);
                Msg m = {.type = k->type, .header = {k->header, k->n}, .fd = -1};
                if (!may_hear(e, m.type))
                        continue;
                gate_msg(e, &m, now);
                list_remove(&k->node);
                free(k);
                e->n_early--;
        }
}

void enforce_gate_attached(Enforce *e, EnforceNow now) {
        e->gate_attached = true;
        e->gate_silent = false;
        early_take(e, now);
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++) {
                Proposal *p = e->open[i];
                if (!p || p->ungated)
                        continue;
                p->asked_us = NONE64;
                if (p->stage == STAGE_DECIDE && !p->reasked && now.boot_us < p->use_by_us &&
                        !FAULTY(FAULT_NO_REASK)) {
                        p->reasked = true; /* once more, and no more than that */
                        flow_ask_gate(e, p, now);
                }
        }
        for (unsigned i = 0; i < e->approvals.n; i++) {
                Approval *a = e->approvals.items[i];
                if (a->state == APPROVAL_APPROVED && a->answer_index != NONE64)
                        people_answered(e, a, proposal_find(e, a->request_id), a->answer_index, now);
        }
        notice(e, now);
}

void enforce_gate_lost(Enforce *e, EnforceNow now) {
        e->gate_attached = e->gate_silent = e->gate_failed = false;
        early_clear(e);
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++)
                if (e->open[i])
                        e->open[i]->asked_us = NONE64;
        notice(e, now);
}

bool enforce_gate_msg(Enforce *e, const Msg *m, EnforceNow now) {
        if (m->type != MSG_VERDICT && m->type != MSG_APPROVAL_PENDING && m->type != MSG_POLICY_STATE)
                return false;
        if (may_hear(e, m->type))
                gate_msg(e, m, now);
        else
                early_keep(e, m);
        notice(e, now);
        return true;
}

/* ---- the world */
void enforce_incarnation_ended(Enforce *e, const char *unit, const Incarnation *inc, EnforceNow now) {
        if (FAULTY(FAULT_NO_VOID))
                return;
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++) {
                Proposal *p = e->open[i];
                if (!p || p->ungated || !p->verb || !p->verb->unit || strcmp(p->r.target, unit) != 0 ||
                        !incarnation_eq(&p->r.incarnation, inc))
                        continue;
                if (p->stage == STAGE_DECIDE)
                        flow_end(e, p, CODE_STALE_TARGET,
                                inc->pid ? "the unit's process ended" : "the unit was started meanwhile");
                else if (p->stage == STAGE_ASKED || p->stage == STAGE_REDECIDE) {
                        Approval *a = approvals_find(&e->approvals, p->approval_id);
                        if (a)
                                people_close(e, a, APPROVAL_VOID, "stale_target", now);
                }
        }
        notice(e, now);
}

static void tick_proposal(Enforce *e, Proposal *p, EnforceNow now) {
        if (p->asked_us != NONE64 && now.boot_us - p->asked_us >= ENFORCE_DOWN_US)
                e->gate_silent = !FAULTY(FAULT_NO_SILENCE); /* until it says anything, or is replaced */
        if (p->record_due && now.boot_us >= p->retry_us)
                flow_append_action(e, p, now);
        if (p->stage == STAGE_DECIDE && now.boot_us >= p->use_by_us && !FAULTY(FAULT_NO_ANSWER))
                flow_end(e, p, unavailable(e, now),
                        ledger_state(e, now) == PART_READY
                                ? "no verdict in time"
                                : "no verdict in time: the ledger is not available");
        else if (p->stage == STAGE_INTENT && now.boot_us >= p->use_by_us)
                flow_answer(e, p, false, CODE_LEDGER_UNAVAILABLE, "the intent is not on record in time");
        else if (p->stage == STAGE_RECORD && now.boot_us >= p->answer_by_us)
                flow_answer(e, p, false, CODE_UNRECORDED, "the outcome is not on record yet");
}

void enforce_tick(Enforce *e, EnforceNow now) {
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++)
                if (e->open[i] && !e->open[i]->ungated)
                        tick_proposal(e, e->open[i], now);
        people_tick(e, now);
        glass_tick(e, now);
        if (e->break_glass_until_us != 0 && now.boot_us >= e->break_glass_until_us) {
                e->break_glass_until_us = 0;
                e->ops.changed(e->user);
        }
        if (e->ledger_attached && now.boot_us >= e->resync_us)
                ledger_resync(e, now);
        notice(e, now);
}

static void earlier(uint64_t *at, uint64_t t) {
        if (t < *at)
                *at = t;
}

static void proposal_deadline(const Enforce *e, const Proposal *p, uint64_t *at) {
        if (p->asked_us != NONE64 && !e->gate_silent)
                earlier(at, p->asked_us + ENFORCE_DOWN_US);
        if (p->stage == STAGE_DECIDE || (p->stage == STAGE_INTENT && !p->answered && p->waiter))
                earlier(at, p->use_by_us);
        if (p->stage == STAGE_RECORD && !p->answered && p->waiter)
                earlier(at, p->answer_by_us);
        if (p->record_due)
                earlier(at, p->retry_us);
}

uint64_t enforce_deadline(const Enforce *e) {
        uint64_t at = people_deadline(e);
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++)
                if (e->open[i] && !e->open[i]->ungated)
                        proposal_deadline(e, e->open[i], &at);
        if (e->break_glass_until_us)
                earlier(&at, e->break_glass_until_us);
        if (e->glass.ttl_us)
                earlier(&at, e->glass.answer_by_us);
        earlier(&at, e->resync_us);
        /* Only to notice that it stalled; when it is known to be down or stalled there is nothing to notice.
         */
        uint64_t oldest = ledger_owes(e);
        if (oldest != NONE64 && e->seen_ledger != PART_STALLED && !e->ledger_failed && !e->rollback)
                earlier(&at, oldest + ENFORCE_DOWN_US);
        return at;
}

/* ---- reading */
void enforce_status(const Enforce *e, EnforceNow now, EnforceStatus *ret) {
        *ret = e->counters;
        ret->gate = gate_state(e, now);
        ret->ledger = ledger_state(e, now);
        ret->mode = flow_mode(e);
        ret->mode_recorded = e->mode_recorded;
        ret->mode_floor = e->cfg.mode_floor;
        ret->paused = e->paused;
        ret->pause_reason = e->pause_reason;
        ret->lockdown = e->lockdown;
        ret->break_glass = now.boot_us < e->break_glass_until_us;
        ret->break_glass_until_us = e->break_glass_until_us;
        ret->break_glass_waits = e->glass.ttl_us != 0;
        ret->rollback = e->rollback;
        ret->recovering = e->ledger_attached && !e->ledger_ready;
        str_copy(ret->policy_revision, sizeof(ret->policy_revision), str_of(e->policy_revision));
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++)
                ret->open += e->open[i] && !e->open[i]->ungated;
        ret->pending_approvals = approvals_count(&e->approvals, APPROVAL_PENDING);
        ret->unrecorded = (unsigned)record_queue_pending(&e->records);
        ret->spooled = e->n_spooled;
        ret->ledger_size = e->ledger_size;
        ret->ledger_signed_size = e->ledger_signed_size;
        ret->ledger_epoch = e->records.epoch;
        ret->lost_records = e->records.lost_total;
}

void enforce_approvals_json(const Enforce *e, JsonWriter *w) {
        approvals_to_json(&e->approvals, w);
}

const Approval *enforce_approval(const Enforce *e, const char *id) {
        for (unsigned i = 0; i < e->approvals.n; i++)
                if (strcmp(e->approvals.items[i]->id, id) == 0)
                        return e->approvals.items[i];
        return NULL;
}
