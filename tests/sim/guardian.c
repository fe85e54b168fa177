/* SPDX-License-Identifier: Apache-2.0 */
#include "seen.h"
#include <errno.h>
#include <stdio.h>

/* Guardian's process: the enforcement core over a simple world of units, a spool, and people who ask for
 * things. */

SimUnit *sim_unit(Sim *s, const char *name) {
        for (unsigned i = 0; i < SIM_UNITS; i++)
                if (strcmp(s->units[i].name, name) == 0)
                        return &s->units[i];
        return NULL;
}

void unit_new(Sim *s, SimUnit *u) {
        memcpy(u->inc.boot_id, s->boot_id, 16);
        u->inc.pid = 100 + ++s->pids;
        u->inc.start_time = s->boot_us / 10000;
        u->state = UNIT_RUNNING;
        u->rss = 20u << 20;
        u->due_us = UINT64_MAX;
}

void guardian_units_boot(Sim *s) {
        static const char *const names[SIM_UNITS] = {"web", "leaky", "plain", "ledger"};
        for (unsigned i = 0; i < SIM_UNITS; i++) {
                s->units[i] = (SimUnit){.name = names[i], .heal = i < 2, .critical = i == 1};
                /* a file that lists healing for what the constitution keeps from it */
                if (i == 3)
                        s->units[i].heal = s->seed % 5 == 2;
                unit_new(s, &s->units[i]);
        }
}

/* ---- what the core asks for */
static bool op_target(void *user, const char *name, EnforceTarget *ret) {
        const SimUnit *u = sim_unit(user, name);
        if (!u)
                return false;
        *ret = (EnforceTarget){.state = u->state,
                .incarnation = u->inc,
                .priority_milli = 3000,
                .critical = u->critical,
                .pinned_down = u->pinned_down,
                .pinned_up = u->pinned_up};
        if (u->heal)
                ret->heal[ret->n_heal++] = STR_LIT("restart_service");
        ret->facts[ret->n_facts++] = STR_LIT("restarts=i:1");
        return true;
}

static void op_random(void *user, uint8_t ret[16]) {
        uint64_t a = rnd(user, 0), b = rnd(user, 0);
        memcpy(ret, &a, 8);
        memcpy(ret + 8, &b, 8);
}

static int op_gate(void *user, const MsgBuilder *b) {
        Sim *s = user;
        Msg m;
        if (msg_view(b, (Str){NULL, 0}, &m) == 0)
                check_decide(s, &m);
        if (s->odd) { /* told again much later */
                memcpy(&s->again[b->type == MSG_DECIDE], b, offsetof(MsgBuilder, header) + b->len);
                s->again_gate[b->type == MSG_DECIDE] = s->instance[P_GATE];
        }
        put_msg(s, P_GUARDIAN, P_GATE, b, (Str){NULL, 0});
        return 0;
}

/* Remembers what may come again in a run where Guardian breaks the protocol. */
static void remember(Sim *s, const uint8_t *id, const uint8_t *digest, uint64_t ref, bool intent) {
        for (unsigned i = 0; i < ELEMENTSOF(s->sent) && i < s->n_sent; i++)
                if (memcmp(s->sent[i].id, id, 16) == 0) {
                        s->sent[i].intent |= intent;
                        s->sent[i].ref = ref;
                        s->sent[i].sent_us = s->boot_us;
                        return;
                }
        struct WildRecord *w = &s->sent[s->n_sent++ % ELEMENTSOF(s->sent)];
        memcpy(w->id, id, 16);
        memcpy(w->digest, digest, 32);
        w->ref = ref;
        w->intent = intent;
        w->sent_us = s->boot_us;
}

static int op_ledger(void *user, const MsgBuilder *b, Str payload) {
        Sim *s = user;
        Msg m;
        if (s->wild && b->type == MSG_APPEND && msg_view(b, payload, &m) == 0 &&
                msg_u64(&m, TAG_KIND, 0) == RECORD_INTENT && !s->in_wild)
                remember(s, msg_bytes(&m, TAG_REQUEST_ID), msg_bytes(&m, TAG_DIGEST), msg_u64(&m, TAG_REF, 0),
                        true);
        put_msg(user, P_GUARDIAN, P_LEDGER, b, payload);
        return 0;
}

static void op_act(void *user, const ActionRequest *r, bool ungated) {
        Sim *s = user;
        trace(s, "ACT %s %s%s", r->action, r->target, ungated ? " (ungated)" : "");
        if (ungated)
                check_ungated(s, r);
        check_act(s, r, ungated);
        SimUnit *u = sim_unit(s, r->target);
        bool restarts = strcmp(r->action, "restart") == 0 || strcmp(r->action, "restart_service") == 0 ||
                        strcmp(r->action, "kill") == 0;
        if (u && restarts && !u->acting) {
                u->acting = true;
                u->acting_ungated = ungated;
                memcpy(u->request, r->request_id, 16);
                u->state = UNIT_STOPPING;
                u->due_us = s->boot_us + rnd(s, 2 * SIM_S);
                return;
        }
        if (u && strcmp(r->action, "pin") == 0)
                u->pinned_down = true;
        if (u && strcmp(r->action, "unpin") == 0)
                u->pinned_down = false;
        bool busy = u && u->acting && restarts;
        SEEN(s, busy ? COVER_ACT_FAILED : COVER_ACT_DONE, r->request_id, NULL,
                enforce_act_result(s->e, r->request_id, busy ? OUTCOME_FAILED : OUTCOME_OK, "", now_of(s)));
}

static void op_reply(void *user, const EnforceReply *r) {
        Sim *s = user;
        trace(s, "reply %s%s", code_to_string((int)r->code), r->more ? " (more)" : "");
        check_reply(s, r);
        Waiter *w = &s->waiters[r->waiter % SIM_WAITERS];
        if (w->kind != ACTOR_UNIT || w->token >> 20 == 0)
                return;
        MsgBuilder b;
        enforce_reply_to_msg(r, w->token >> 20, &b);
        put_msg(s, P_GUARDIAN, P_IMMUNE, &b, (Str){NULL, 0});
}

static void op_vote_reply(void *user, const EnforceVoteReply *r) {
        trace(user, "vote %s %s", code_to_string((int)r->code), approval_state_to_string((int)r->state));
        check_vote_reply(user, r);
}

static void op_publish(void *user, const char *type, const char *resource, const char *cor, Str payload) {
        (void)user, (void)type, (void)resource, (void)cor, (void)payload;
}

static int op_spool(void *user, const EnforceSpool *r) {
        Sim *s = user;
        bool full = s->n_spool == ELEMENTSOF(s->spool) || r->body.n >= sizeof(s->spool[0].body) ||
                    s->boot_us < s->spool_full_until_us;
        check_spooled(s, r->id, full);
        if (full)
                return -ENOSPC;
        memcpy(s->spool[s->n_spool].id, r->id, 16);
        str_copy(s->spool[s->n_spool++].body, sizeof(s->spool[0].body), r->body);
        return 0;
}

static void op_imported(void *user, const uint8_t id[16]) {
        Sim *s = user;
        for (unsigned i = 0; i < s->n_spool; i++)
                if (memcmp(s->spool[i].id, id, 16) == 0) {
                        memmove(s->spool + i, s->spool + i + 1, (--s->n_spool - i) * sizeof(s->spool[0]));
                        return;
                }
}

static void op_marker(void *user, const char *reason) {
        Sim *s = user;
        str_copy(s->marker, sizeof(s->marker), str_of(reason));
        s->paused = reason != NULL;
}

static void op_changed(void *user) {
        (void)user;
}

/* ---- life */
void guardian_start(Sim *s) {
        static const EnforceOps ops = {op_target, op_random, op_gate, op_ledger, op_act, op_reply,
                op_vote_reply, op_publish, op_spool, op_imported, op_marker, op_changed};
        EnforceConfig cfg = {.has_gate = true,
                .has_ledger = true,
                .pid = 1,
                .start_time = s->instance[P_GUARDIAN],
                .mode_floor = s->mode_floor,
                .marker_known = true,
                .paused = s->marker[0] ? s->marker : NULL};
        memcpy(cfg.boot_id, s->boot_id, 16);
        s->has_acked = false;
        s->acked = s->life_made = s->storm_to = 0;
        s->here[P_GATE] = s->here[P_LEDGER] = false;
        for (unsigned i = 0; i < ELEMENTSOF(s->sent); i++)
                s->sent[i].sent_us = 0; /* what was on its way is gone */
        if (enforce_new(&cfg, &ops, s, &s->e) < 0) {
                violate(s, "out of memory");
                return;
        }
        for (unsigned i = 0; i < s->n_spool; i++) {
                EnforceSpool r = {.actor = "uid:0", .action = "restart", .body = str_of(s->spool[i].body)};
                memcpy(r.id, s->spool[i].id, 16);
                (void)enforce_spool_loaded(s->e, &r);
        }
}

void guardian_stop(Sim *s) {
        s->e = enforce_free(s->e);
        check_guardian_gone(s);
        for (unsigned i = 0; i < SIM_UNITS;
                i++) { /* kernels go on; what was being restarted comes up by itself */
                SimUnit *u = &s->units[i];
                u->acting = false;
                if (u->state != UNIT_RUNNING)
                        unit_new(s, u);
        }
}

static void validated(Sim *s, Proc p, unsigned instance) {
        if (s->knows[P_GUARDIAN][p] != instance || !s->alive[p] || s->instance[p] != instance)
                return;
        s->validated[p] = s->here[p] = true;
        s->up_us[p] = s->boot_us;
        if (p == P_LEDGER && s->rolled && !s->rolled_judged) { /* later it may know records of the new log */
                s->rolled_judged = true;
                s->rolled_seen = s->has_acked && s->acked >= s->snap_size;
        }
        if (p == P_GATE)
                check_reask_begin(s);
        if (p == P_LEDGER)
                SEEN(s, COVER_LEDGER_ATTACHED, NULL, NULL, enforce_ledger_attached(s->e, now_of(s)));
        else
                put_sign(s, P_GUARDIAN, P_LEDGER, FR_PEER, p, instance);
        if (p == P_GATE)
                SEEN(s, COVER_GATE_ATTACHED, NULL, NULL, enforce_gate_attached(s->e, now_of(s)));
        if (p == P_GATE)
                check_reask_end(s);
}

void guardian_ask(Sim *s, const EnforceProposal *p) {
        check_asking(s, p);
        SEEN(s, COVER_PROPOSE, NULL, NULL, enforce_propose(s->e, p, now_of(s)));
        check_asked(s);
}

static void proposed(Sim *s, const Msg *m) {
        EnforceProposal p;
        if (enforce_proposal_from_msg(m, "immune", &p) < 0) {
                violate(s, "a proposal does not fit");
                return;
        }
        p.waiter = check_ask(s, ACTOR_UNIT, ROLE_NOBODY, false);
        s->waiters[p.waiter % SIM_WAITERS].token |= msg_u64(m, TAG_REQ, 0) << 20;
        guardian_ask(s, &p);
}

static void from_ledger(Sim *s, const Msg *m) {
        unsigned event = cover_enforce_event(m);
        const uint8_t *id = event == COVER_OPEN_INTENT ? msg_bytes(m, TAG_REQUEST_ID) : NULL;
        if (m->type == MSG_APPEND_ACK && (!s->has_acked || msg_u64(m, TAG_INDEX, 0) > s->acked)) {
                s->has_acked = true;
                s->acked = msg_u64(m, TAG_INDEX, 0);
        }
        SEEN(s, event, id, NULL, enforce_ledger_msg(s->e, m, now_of(s)));
}

static void from_gate(Sim *s, const Msg *m) {
        unsigned event = cover_enforce_event(m);
        check_verdict(s, m);
        const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID);
        SEEN(s, event, id, NULL, enforce_gate_msg(s->e, m, now_of(s)));
        if (s->wild && id && event == COVER_ALLOW)
                remember(s, id, msg_bytes(m, TAG_DIGEST), msg_u64(m, TAG_DECISION_INDEX, 0), false);
}

void guardian_frame(Sim *s, Proc from, const Frame *f) {
        if (f->kind == FR_READY) {
                validated(s, from, f->instance);
        } else if (f->kind == FR_EOF) {
                s->here[from] = false;
                if (from == P_LEDGER)
                        SEEN(s, COVER_LEDGER_LOST, NULL, NULL, enforce_ledger_lost(s->e, now_of(s)));
                else if (from == P_GATE)
                        SEEN(s, COVER_GATE_LOST, NULL, NULL, enforce_gate_lost(s->e, now_of(s)));
                if (from == P_LEDGER && s->storm_due)
                        guardian_storm(s);
        } else if (f->kind == FR_MSG) {
                Msg m = frame_msg(f);
                if (from == P_GATE)
                        from_gate(s, &m);
                else if (from == P_LEDGER)
                        from_ledger(s, &m);
                else if (m.type == MSG_PROPOSE)
                        proposed(s, &m);
        }
}

/* ---- records that nobody waits for */
static void life_record(Sim *s, const char *name) {
        char body[40];
        int n = snprintf(body, sizeof(body), "{\"n\":%llu}", (unsigned long long)++s->life_made);
        RecordFields f = {.kind = RECORD_UNIT,
                .ref = UINT64_MAX,
                .actor = "guardian",
                .action = "started",
                .resource = name,
                .body = {body, (size_t)n}};
        if (enforce_record(s->e, &f, now_of(s)) < 0)
                violate(s, "P8 a lifecycle record was refused");
}

/* The ledger is away, and units come and go by hundreds. */
void guardian_storm(Sim *s) {
        unsigned n = 200 + (unsigned)rnd(s, 400);
        s->storm_due = false;
        s->storm_from = s->life_made + 1;
        s->storm_recorded = 0;
        for (unsigned i = 0; i < n; i++)
                life_record(s, s->units[i % 3].name);
        s->storm_to = s->life_made;
}

/* A Guardian that breaks the protocol: an intent or an action comes again, at any time, under a number of its
 * own. None of them fits, so the ledger refuses it. */
void guardian_wild(Sim *s) {
        unsigned n = s->n_sent < ELEMENTSOF(s->sent) ? s->n_sent : ELEMENTSOF(s->sent);
        if (!s->e || s->calm || n == 0 || rnd(s, 150) != 0)
                return;
        struct WildRecord w = s->sent[chance(s, 50) ? (s->n_sent - 1) % ELEMENTSOF(s->sent) : rnd(s, n)];
        /* A second intent fits nothing only as long as the first is on record, or right before it in the
         * pipe. */
        const Request *r = check_find(s, w.id);
        bool first = r && (r->intents > 0 || s->boot_us - w.sent_us < 5 * SIM_MS);
        bool intent = w.intent && first && chance(s, 50);
        if (!intent && chance(s, 10))
                w.id[5] ^= 0x20; /* of nothing */
        RecordFields f = {.kind = intent ? RECORD_INTENT : RECORD_ACTION,
                .request_id = w.id,
                .digest = w.digest,
                .ref = w.ref,
                .actor = "guardian",
                .action = "restart",
                .result = intent ? NULL : "ok",
                .body = STR_LIT("{}")};
        trace(s, "guardian breaks the protocol: %s of %02x", intent ? "intent" : "action", w.id[0]);
        s->in_wild = true;
        (void)enforce_record(s->e, &f, now_of(s));
        s->in_wild = false;
}

/* ---- units in time */
static void unit_step(Sim *s, SimUnit *u) {
        if (u->state == UNIT_STOPPING) { /* it is gone now */
                Incarnation old = u->inc;
                trace(s, "%s ended", u->name);
                u->state = UNIT_STARTING;
                u->inc.pid = 0;
                u->due_us = s->boot_us + rnd(s, SIM_S);
                if (strcmp(u->name, "ledger") == 0)
                        proc_kill(s, P_LEDGER, rnd(s, 500 * SIM_MS));
                if (s->e)
                        SEEN(s, COVER_TARGET_ENDED, NULL, u->name,
                                enforce_incarnation_ended(s->e, u->name, &old, now_of(s)));
                return;
        }
        Incarnation down = u->inc;
        unit_new(s, u);
        if (s->e) /* what was asked while it had no process was about none */
                SEEN(s, COVER_TARGET_ENDED, NULL, u->name,
                        enforce_incarnation_ended(s->e, u->name, &down, now_of(s)));
        if (s->e && s->storms)
                life_record(s, u->name);
        trace(s, "%s runs as %llu", u->name, (unsigned long long)u->inc.pid);
        if (u->acting && s->e) {
                u->acting = false;
                Outcome outcome = chance(s, 85) ? OUTCOME_OK : OUTCOME_FAILED;
                SEEN(s, outcome == OUTCOME_OK ? COVER_ACT_DONE : COVER_ACT_FAILED, u->request, NULL,
                        enforce_act_result(s->e, u->request, outcome, "", now_of(s)));
        }
}

uint64_t guardian_deadline(const Sim *s) {
        uint64_t at = s->e ? enforce_deadline(s->e) : UINT64_MAX;
        for (unsigned i = 0; i < SIM_UNITS; i++)
                if (s->units[i].due_us < at)
                        at = s->units[i].due_us;
        return at;
}

void guardian_timers(Sim *s) {
        for (unsigned i = 0; i < SIM_UNITS; i++)
                if (s->boot_us >= s->units[i].due_us) {
                        unit_step(s, &s->units[i]);
                        return;
                }
        SEEN(s, COVER_TICK, NULL, NULL, enforce_tick(s->e, now_of(s)));
}
