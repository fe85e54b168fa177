/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

/*
 * Rules that are no invariant of their own (rules.txt): who asks, what works without a verdict, when a part
 * is down. What is up is what the world knows, what was answered is what went through the pipes; the core is
 * not asked.
 */
enum {
        SURE_US = 8000000
}; /* what has run that long without a stop is up, whatever it had to catch up with */

static const struct Verb {
        const char *name;
        Role role;
        bool healing, ungated, bootstrap;
} verbs[] = {{"restart_service", ROLE_OPERATOR, true, false, false},
        {"scale_up", ROLE_OPERATOR, true, false, false}, {"start", ROLE_OPERATOR, false, true, true},
        {"stop", ROLE_OPERATOR, false, true, false}, {"restart", ROLE_OPERATOR, false, true, true},
        {"kill", ROLE_OPERATOR, false, true, false}, {"reset", ROLE_OPERATOR, false, true, true},
        {"pin", ROLE_OPERATOR, false, false, false}, {"unpin", ROLE_OPERATOR, false, true, true},
        {"lockdown", ROLE_ADMIN, false, false, false}, {"mode", ROLE_ADMIN, false, false, false}};

static const struct Verb *verb_of(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        return NULL;
}

static bool bootstraps(const struct Verb *v, const char *target) {
        return v && v->bootstrap && (strcmp(target, "ledger") == 0 || strcmp(target, "governance") == 0);
}

static bool surely_up(const Sim *s, Proc p) {
        return s->alive[p] && s->here[p] && s->boot_us >= s->up_us[p] + SURE_US &&
               s->boot_us >= s->stalled_us[p] + SURE_US;
}

/* ---- one call */
void check_asking(Sim *s, const EnforceProposal *p) {
        Asking *a = &s->asking;
        *a = (Asking){.on = true, .kind = ACTOR_SUPERVISOR};
        if (!p)
                return;
        a->kind = p->kind;
        a->role = p->role;
        str_copy(a->actor, sizeof(a->actor), str_of(p->actor));
        str_copy(a->action, sizeof(a->action), p->action);
        str_copy(a->target, sizeof(a->target), p->target);
}

void check_asked(Sim *s) {
        Asking *a = &s->asking;
        const struct Verb *v = verb_of(a->action);
        bool down = !s->here[P_GATE] || !s->here[P_LEDGER];
        bool admin = a->kind == ACTOR_PERSON && a->role == ROLE_ADMIN;
        bool excused =
                a->replied && (a->code == CODE_BUSY || a->code == CODE_INVALID || a->code == CODE_PINNED);
        if (admin && v && !a->acts && !excused) {
                if (bootstraps(v, a->target))
                        violate(s, "R4 an admin's %s of %s waits for the gate", a->action, a->target);
                else if (down && v->ungated)
                        violate(s, "R4 with the gate down an admin's %s of %s does not work", a->action,
                                a->target);
        }
        if (a->replied && a->code == CODE_GOVERNANCE_UNAVAILABLE && !s->here[P_LEDGER])
                violate(s, "R4 the ledger is down, and the gate is blamed");
        a->on = false;
}

void check_switched(Sim *s, ActorKind kind, Role role, bool admin, Code code) {
        s->asking.on = false;
        if (code == CODE_OK && (kind != ACTOR_PERSON || role < (admin ? ROLE_ADMIN : ROLE_OPERATOR)))
                violate(s, "P11 a switch of Guardian was turned by %s",
                        kind == ACTOR_PERSON ? role_to_string((int)role) : "a unit");
}

void check_glass(Sim *s, Str reason, uint64_t ttl_us, Code code) {
        if (code != CODE_OK)
                return;
        if (reason.n == 0 || ttl_us == 0 || ttl_us > 3600 * SIM_S)
                violate(s, "R4 break-glass without a reason or a time limit");
        if (s->asking.spooled == 0)
                violate(s, "R4 break-glass that is not on record first");
}

void check_spooled(Sim *s, const uint8_t id[16], bool full) {
        Request *r = check_need(s, id);
        r->spooled |= !full;
        r->spool_full |= full;
        s->asking.spooled += !full;
}

/* ---- an act without a verdict */
void check_ungated(Sim *s, const ActionRequest *q) {
        const Asking *a = &s->asking;
        const struct Verb *v = verb_of(q->action);
        if (!a->on || a->kind != ACTOR_PERSON || a->role != ROLE_ADMIN) {
                violate(s, "R4 %s of %s without a verdict, and no admin asked for it", q->action, q->target);
                return;
        }
        if (!bootstraps(v, q->target)) {
                if (!v || !v->ungated)
                        violate(s, "R4 %s of %s works without a verdict", q->action, q->target);
                if (!s->hostile_gate && !s->rolled && surely_up(s, P_GATE) && surely_up(s, P_LEDGER))
                        violate(s, "R4 %s of %s past a gate that is up", q->action, q->target);
        }
        Request *r = check_need(s, q->request_id);
        r->ungated = true;
        if (!r->spooled && !r->spool_full)
                violate(s, "R4 %s of %s without a verdict is not recorded", q->action, q->target);
        s->asking.acts++;
}

/* ---- a question to the gate */
static void check_alone(Sim *s, const Request *r) {
        for (unsigned i = 0; i < s->n_requests; i++) {
                const Request *o = &s->requests[i];
                if (o == r || o->ungated || strcmp(o->target, r->target) != 0)
                        continue;
                if (o->intents > o->actions)
                        violate(s,
                                "P6 %s is to be acted on, and what became of its last act is not on record",
                                r->target);
                if (o->guardian == r->guardian && o->decides && !o->ended && (r->healing || !o->questioned))
                        violate(s, "R2 a second proposal on %s is open", r->target);
        }
}

static void check_not_silent(Sim *s, const Request *r) {
        bool silent = s->silent;
        for (unsigned i = 0; i < s->n_requests; i++) {
                const Request *o = &s->requests[i];
                silent |= o != r && o->sent_us != UINT64_MAX && !o->ended && o->guardian == r->guardian &&
                          s->boot_us - o->sent_us >= ENFORCE_DOWN_US;
        }
        if (silent)
                violate(s, "R4 the gate is asked although it has been silent for 3 s");
}

static void check_context(Sim *s, const Msg *m, const Request *r) {
        Str fact;
        size_t pos = 0;
        while (msg_next_str(m, TAG_FACT, &pos, &fact))
                if (!str_eq(fact, "restarts=i:1"))
                        violate(s, "R5 '%.*s' is no fact", (int)fact.n, fact.p);
        if (r->mode < s->mode_floor)
                violate(s, "R5 the mode is %s, weaker than --mode", mode_to_string((int)r->mode));
        if (!s->mode_touched && !s->rolled && r->mode != MODE_ENFORCE)
                violate(s, "R5 the mode is %s, and nobody has changed it", mode_to_string((int)r->mode));
}

void check_asked_gate(Sim *s, const Msg *m, Request *r) {
        const Asking *a = &s->asking;
        const struct Verb *v = verb_of(a->action);
        if (!s->here[P_GATE] || !s->here[P_LEDGER])
                violate(s, "R4 %s of %s is asked with the %s down", a->action, r->target,
                        s->here[P_GATE] ? "ledger" : "gate");
        if (s->rolled_seen)
                violate(s, "R3 %s of %s is asked with a ledger that was rolled back", a->action, r->target);
        if (!a->on || !v)
                violate(s, "R5 the gate is asked what nobody asked for");
        else if (a->kind == ACTOR_PERSON && a->role < v->role)
                violate(s, "P11 %s by %s reached the gate", a->action, role_to_string((int)a->role));
        else if (a->kind != ACTOR_PERSON && (strcmp(a->actor, "immune") != 0 || !v->healing))
                violate(s, "R5 %s by the unit %s reached the gate", a->action, a->actor);
        check_context(s, m, r);
        if (!s->rolled)
                check_alone(s, r);
        check_not_silent(s, r);
}

/* ---- a new gate: nothing is unanswered by it yet, and what the old one left open is asked once more */
void check_reask_begin(Sim *s) {
        s->silent = false;
        for (unsigned i = 0; i < s->n_requests; i++)
                s->requests[i].sent_us = UINT64_MAX;
}

void check_reask_end(Sim *s) {
        for (unsigned i = 0; i < s->n_requests; i++) {
                const Request *r = &s->requests[i];
                if (r->decides == 1 && r->guardian == s->instance[P_GUARDIAN] && !r->ended && !r->heard &&
                        !r->questioned && s->boot_us < r->asked_us + ENFORCE_USE_BY_US)
                        violate(s, "R2 a new gate is not asked about %s", r->target);
                if (r->decides > 2)
                        violate(s, "R2 the gate is asked %u times about %s", r->decides, r->target);
        }
}

/* ---- at rest */
void check_rules_end(Sim *s) {
        for (unsigned i = 0; i < s->n_requests; i++) {
                const Request *r = &s->requests[i];
                if (r->spooled && !r->recovered)
                        violate(s, "R4 an act without a verdict never came from the spool into the record");
                if (r->lapsed == s->instance[P_GUARDIAN] && !r->closed && !s->hostile_gate)
                        violate(s, "R2 a question on %s lapsed, and that is not on record", r->target);
        }
        if (s->pause_said && s->pause_guardian == s->instance[P_GUARDIAN] && s->pause_seen != s->pause_said)
                violate(s, "R5 healing was %s, and that is not on record",
                        s->pause_said == 1 ? "paused" : "resumed");
}
