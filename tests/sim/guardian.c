/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"
#include <errno.h>
#include <stdio.h>

/* Guardian's process: the enforcement core over a simple world of units, a spool, and people who ask for
 * things. */
#define SEEN(s, event, id, target, call)                                                                     \
        do {                                                                                                 \
                CoverScope scope_;                                                                           \
                cover_enforce_begin((s)->e, &scope_, event, id, target);                                     \
                call;                                                                                        \
                cover_enforce_end((s)->e, &scope_);                                                          \
        } while (0)

static SimUnit *unit(Sim *s, const char *name) {
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
                unit_new(s, &s->units[i]);
        }
}

/* ---- what the core asks for */
static bool op_target(void *user, const char *name, EnforceTarget *ret) {
        const SimUnit *u = unit(user, name);
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
        Msg m;
        if (msg_view(b, (Str){NULL, 0}, &m) == 0)
                check_decide(user, &m);
        put_msg(user, P_GUARDIAN, P_GATE, b, (Str){NULL, 0});
        return 0;
}

static int op_ledger(void *user, const MsgBuilder *b, Str payload) {
        put_msg(user, P_GUARDIAN, P_LEDGER, b, payload);
        return 0;
}

static void op_act(void *user, const ActionRequest *r, bool ungated) {
        Sim *s = user;
        trace(s, "ACT %s %s%s", r->action, r->target, ungated ? " (ungated)" : "");
        check_act(s, r, ungated);
        SimUnit *u = unit(s, r->target);
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
        if (w->kind != ACTOR_UNIT)
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
        if (s->n_spool == sizeof(s->spool) / sizeof(s->spool[0]) || r->body.n >= sizeof(s->spool[0].body))
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
                .marker_known = true,
                .paused = s->marker[0] ? s->marker : NULL};
        memcpy(cfg.boot_id, s->boot_id, 16);
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
        s->validated[p] = true;
        if (p == P_LEDGER)
                SEEN(s, COVER_LEDGER_ATTACHED, NULL, NULL, enforce_ledger_attached(s->e, now_of(s)));
        else
                put_sign(s, P_GUARDIAN, P_LEDGER, FR_PEER, p, instance);
        if (p == P_GATE)
                SEEN(s, COVER_GATE_ATTACHED, NULL, NULL, enforce_gate_attached(s->e, now_of(s)));
}

static void proposed(Sim *s, const Msg *m) {
        EnforceProposal p;
        if (enforce_proposal_from_msg(m, "immune", &p) < 0) {
                violate(s, "a proposal does not fit");
                return;
        }
        p.waiter = check_ask(s, ACTOR_UNIT, ROLE_NOBODY, false);
        s->waiters[p.waiter % SIM_WAITERS].token |= msg_u64(m, TAG_REQ, 0) << 20;
        SEEN(s, COVER_PROPOSE, NULL, NULL, enforce_propose(s->e, &p, now_of(s)));
}

void guardian_frame(Sim *s, Proc from, const Frame *f) {
        if (f->kind == FR_READY) {
                validated(s, from, f->instance);
        } else if (f->kind == FR_EOF) {
                if (from == P_LEDGER)
                        SEEN(s, COVER_LEDGER_LOST, NULL, NULL, enforce_ledger_lost(s->e, now_of(s)));
                else if (from == P_GATE)
                        SEEN(s, COVER_GATE_LOST, NULL, NULL, enforce_gate_lost(s->e, now_of(s)));
        } else if (f->kind == FR_MSG) {
                Msg m = frame_msg(f);
                if (from == P_GATE && m.type == MSG_VERDICT)
                        check_verdict(s, &m);
                unsigned event = cover_enforce_event(&m);
                const uint8_t *id =
                        event == COVER_OPEN_INTENT || from == P_GATE ? msg_bytes(&m, TAG_REQUEST_ID) : NULL;
                if (from == P_GATE)
                        SEEN(s, event, id, NULL, enforce_gate_msg(s->e, &m, now_of(s)));
                else if (from == P_LEDGER)
                        SEEN(s, event, id, NULL, enforce_ledger_msg(s->e, &m, now_of(s)));
                else if (m.type == MSG_PROPOSE)
                        proposed(s, &m);
        }
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
        unit_new(s, u);
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

/* ---- what people and the world do */
static void person(Sim *s) {
        static const struct {
                const char *action, *arg;
                bool global;
        } verbs[] = {{"restart", NULL, false}, {"restart_service", NULL, false}, {"kill", NULL, false},
                {"reset", NULL, false}, {"pin", "to=down", false}, {"unpin", NULL, false},
                {"lockdown", "state=on", true}, {"lockdown", "state=off", true},
                {"mode", "mode=log_only", true}, {"mode", "mode=enforce", true}, {"stop", "x", false}};
        unsigned v = (unsigned)rnd(s, sizeof(verbs) / sizeof(verbs[0]));
        uint64_t uid = rnd(s, 4);
        Role role = uid == 0 ? ROLE_ADMIN : uid == 3 ? ROLE_OBSERVER : ROLE_OPERATOR;
        char actor[32];
        snprintf(actor, sizeof(actor), "uid:%u", (unsigned)uid);
        EnforceProposal p = {.waiter = check_ask(s, ACTOR_PERSON, role, false),
                .kind = ACTOR_PERSON,
                .actor = actor,
                .uid = uid,
                .role = role,
                .action = str_of(verbs[v].action),
                .target = verbs[v].global ? (Str){NULL, 0} : str_of(s->units[rnd(s, SIM_UNITS)].name),
                .incident = UINT64_MAX};
        if (verbs[v].arg)
                p.args[p.n_args++] = str_of(verbs[v].arg);
        trace(s, "uid %u: %s %.*s", (unsigned)uid, verbs[v].action, (int)p.target.n,
                p.target.p ? p.target.p : "");
        SEEN(s, COVER_PROPOSE, NULL, NULL, enforce_propose(s->e, &p, now_of(s)));
}

static void voter(Sim *s) {
        char id[49] = "";
        for (unsigned i = 0; i < s->n_requests && !id[0]; i++) {
                char hex[33], text[49];
                hex_encode(s->requests[i].id, 16, hex);
                snprintf(text, sizeof(text), "apr_%s", hex);
                const Approval *a = enforce_approval(s->e, text);
                if (a && (a->state == APPROVAL_PENDING || chance(s, s->odd ? 60 : 10)))
                        str_copy(id, sizeof(id), str_of(text));
        }
        if (!id[0])
                return;
        uint64_t uid = rnd(s, 4);
        Role role = uid == 0 ? ROLE_ADMIN : uid == 3 ? ROLE_OBSERVER : ROLE_OPERATOR;
        ActorKind kind = chance(s, 10) ? ACTOR_UNIT : ACTOR_PERSON;
        bool yes = chance(s, s->odd ? 50 : 80);
        trace(s, "uid %u votes %s", (unsigned)uid, yes ? "yes" : "no");
        const Approval *a = enforce_approval(s->e, id);
        uint8_t request[16];
        memcpy(request, a->request_id, sizeof(request));
        uint64_t waiter = check_ask(s, kind, role, true);
        SEEN(s, yes ? COVER_VOTE_YES : COVER_VOTE_NO, request, NULL,
                enforce_vote(s->e, waiter, kind, uid, role, str_of(id), yes, STR_LIT("n"), now_of(s)));
}

static void crash_unit(Sim *s) {
        SimUnit *u = &s->units[rnd(s, 3)];
        if (u->state != UNIT_RUNNING)
                return;
        trace(s, "%s crashes", u->name);
        u->state = UNIT_STARTING;
        Incarnation old = u->inc;
        u->inc.pid = 0;
        u->due_us = s->boot_us + rnd(s, 300 * SIM_MS);
        if (s->e)
                SEEN(s, COVER_TARGET_ENDED, NULL, u->name,
                        enforce_incarnation_ended(s->e, u->name, &old, now_of(s)));
}

static void switches(Sim *s) {
        Str why = STR_LIT("look");
        unsigned what = (unsigned)rnd(s, 5);
        if (what < 2)
                SEEN(s, COVER_PAUSE, NULL, NULL,
                        (void)enforce_pause(s->e, ACTOR_PERSON, "uid:1", ROLE_OPERATOR, why, now_of(s)));
        else if (what < 4)
                SEEN(s, COVER_RESUME, NULL, NULL,
                        (void)enforce_resume(s->e, ACTOR_PERSON, "uid:1", ROLE_OPERATOR, now_of(s)));
        else
                SEEN(s, COVER_BREAK_GLASS, NULL, NULL,
                        (void)enforce_break_glass(
                                s->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, why, 30 * SIM_S, now_of(s)));
        trace(s, "%s", what < 2 ? "pause" : what < 4 ? "resume" : "break-glass");
}

static void fault(Sim *s) {
        unsigned what = (unsigned)rnd(s, 100);
        Proc p = (Proc)rnd(s, _P_MAX);
        if (what < 40) {
                proc_kill(s, p, rnd(s, chance(s, 20) ? 8 * SIM_S : 300 * SIM_MS));
        } else if (what < 75 && s->alive[p] && p != P_GUARDIAN) {
                s->stalled_us[p] = s->boot_us + rnd(s, chance(s, 30) ? 12 * SIM_S : SIM_S);
                trace(s, "stop %s for %llu ms", proc_name(p),
                        (unsigned long long)(s->stalled_us[p] - s->boot_us) / 1000);
        } else if (what < 85) {
                s->disk_bad = true;
        } else if (what < 92) {
                power_cut(s);
        } else if (what < 96) {
                s->wall_ns -= rnd(s, 20 * SIM_S) * 1000;
        }
}

void guardian_stimulus(Sim *s) {
        if (s->stimuli == 0) {
                s->next_stimulus_us = UINT64_MAX;
                s->calm = true;
                s->end_us = s->boot_us + APPROVAL_TTL_US + 120 * SIM_S;
                return;
        }
        s->stimuli--;
        unsigned long_gap = (unsigned)rnd(s, 100);
        s->next_stimulus_us = s->boot_us + (long_gap < 60          ? rnd(s, 20 * SIM_MS)
                                                   : long_gap < 98 ? rnd(s, 3 * SIM_S)
                                                                   : rnd(s, 900 * SIM_S));
        unsigned what = (unsigned)rnd(s, 100);
        if (what < 12) {
                fault(s);
        } else if (what < 18) {
                crash_unit(s);
        } else if (!s->e || s->boot_us < s->stalled_us[P_GUARDIAN]) {
                return;
        } else if (what < 50) {
                immune_propose(s, s->units[chance(s, 90) ? rnd(s, 2) : rnd(s, SIM_UNITS)].name);
        } else if (what < 55) {
                s->units[rnd(s, 2)].rss = 60u << 20;
                if (s->immune)
                        s->immune_sample_us = s->boot_us;
        } else if (what < 75) {
                person(s);
        } else if (what < 92) {
                voter(s);
        } else {
                switches(s);
        }
}
