/* SPDX-License-Identifier: Apache-2.0 */
#include "seen.h"
#include <stdio.h>

/* What people and the world do to the set, one thing at a time. */
static void person(Sim *s) {
        static const struct {
                const char *action, *arg;
                bool global;
        } verbs[] = {{"restart", NULL, false}, {"restart_service", NULL, false}, {"kill", NULL, false},
                {"reset", NULL, false}, {"pin", "to=down", false}, {"unpin", NULL, false},
                {"lockdown", "state=on", true}, {"lockdown", "state=off", true},
                {"mode", "mode=log_only", true}, {"mode", "mode=enforce", true}, {"stop", "x", false},
                {"start", NULL, false}};
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
        guardian_ask(s, &p);
}

/* A unit asks for what only people, or only the immune kernel, may. */
static void unit_asks(Sim *s) {
        static const char *const verbs[] = {"restart_service", "restart", "kill", "pin", "lockdown", "mode"};
        unsigned v = (unsigned)rnd(s, ELEMENTSOF(verbs));
        bool immune = v > 0 && chance(s, 50);
        EnforceProposal p = {.waiter = check_ask(s, ACTOR_UNIT, ROLE_NOBODY, false),
                .kind = ACTOR_UNIT,
                .actor = immune ? "immune" : "web",
                .action = str_of(verbs[v]),
                .target = v < 4 ? str_of(s->units[rnd(s, 3)].name) : (Str){NULL, 0},
                .incident = UINT64_MAX};
        if (v >= 3)
                p.args[p.n_args++] = str_of(v == 3 ? "to=down" : v == 4 ? "state=on" : "mode=log_only");
        trace(s, "%s asks for %s", p.actor, verbs[v]);
        guardian_ask(s, &p);
}

/* A question that somebody may vote on: an open one, or now and then any that is known. */
static const Approval *question(Sim *s) {
        for (unsigned i = 0; i < s->n_requests; i++) {
                char hex[33], text[49];
                hex_encode(s->requests[i].id, 16, hex);
                snprintf(text, sizeof(text), "apr_%s", hex);
                const Approval *a =
                        s->requests[i].asked || s->hostile_gate ? enforce_approval(s->e, text) : NULL;
                if (a && (a->state == APPROVAL_PENDING || chance(s, s->odd ? 60 : 10)))
                        return a;
        }
        return NULL;
}

static void vote(Sim *s, const Approval *a, uint64_t uid, bool yes) {
        Role role = uid == 0 ? ROLE_ADMIN : uid == 3 ? ROLE_OBSERVER : ROLE_OPERATOR;
        ActorKind kind = chance(s, 10) ? ACTOR_UNIT : ACTOR_PERSON;
        char id[49];
        uint8_t request[16];
        trace(s, "uid %u votes %s", (unsigned)uid, yes ? "yes" : "no");
        str_copy(id, sizeof(id), str_of(a->id));
        memcpy(request, a->request_id, sizeof(request));
        uint64_t waiter = check_ask(s, kind, role, true);
        memcpy(s->waiters[waiter % SIM_WAITERS].request, request, sizeof(request));
        SEEN(s, yes ? COVER_VOTE_YES : COVER_VOTE_NO, request, NULL,
                enforce_vote(s->e, waiter, kind, uid, role, str_of(id), yes, STR_LIT("n"), now_of(s)));
}

static void voter(Sim *s) {
        const Approval *a = question(s);
        if (!a)
                return;
        uint64_t uid = rnd(s, 4);
        bool yes = chance(s, s->odd ? 50 : 80);
        vote(s, a, uid, yes);
        if (s->odd && a->state == APPROVAL_PENDING && chance(s, 30)) {
                s->follow = true;
                s->next_stimulus_us = s->boot_us + rnd(s, 3 * SIM_MS);
        }
}

/* Somebody else as the first vote is being written, and the gate is busy with another question. */
static void follow(Sim *s) {
        s->follow = false;
        const Approval *a = s->e ? question(s) : NULL;
        if (!a)
                return;
        vote(s, a, rnd(s, 3), chance(s, 50));
        immune_propose(s, s->units[0].name);
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

static void break_glass(Sim *s, ActorKind kind, Role role) {
        Str why = chance(s, 15) ? (Str){NULL, 0} : STR_LIT("look");
        uint64_t ttl = chance(s, 10) ? 0 : chance(s, 10) ? 7200 * SIM_S : 30 * SIM_S;
        Code code;
        check_asking(s, NULL);
        SEEN(s, COVER_BREAK_GLASS, NULL, NULL,
                code = enforce_break_glass(s->e, kind, "uid:0", role, why, ttl, now_of(s)));
        check_glass(s, why, ttl, code);
        check_switched(s, kind, role, true, code);
}

static void switches(Sim *s) {
        Str why = STR_LIT("look");
        ActorKind kind = chance(s, 5) ? ACTOR_UNIT : ACTOR_PERSON;
        Role role = chance(s, 10) ? ROLE_OBSERVER : ROLE_OPERATOR;
        unsigned what = (unsigned)rnd(s, 5);
        Code code = CODE_INVALID;
        trace(s, "%s", what < 2 ? "pause" : what < 4 ? "resume" : "break-glass");
        if (what == 4) {
                break_glass(s, kind, chance(s, 10) ? role : ROLE_ADMIN);
                return;
        }
        check_asking(s, NULL);
        bool was = s->paused;
        if (what < 2)
                SEEN(s, COVER_PAUSE, NULL, NULL,
                        code = enforce_pause(s->e, kind, "uid:1", role, why, now_of(s)));
        else
                SEEN(s, COVER_RESUME, NULL, NULL,
                        code = enforce_resume(s->e, kind, "uid:1", role, now_of(s)));
        check_switched(s, kind, role, false, code);
        if (code == CODE_OK && (what < 2 || was)) {
                s->pause_said = what < 2 ? 1 : 2;
                s->pause_guardian = s->instance[P_GUARDIAN];
        }
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
        } else if (what < 98) {
                s->spool_full_until_us = s->boot_us + rnd(s, 20 * SIM_S);
        } else if (s->storms && s->here[P_LEDGER]) {
                s->storm_due = true;
                proc_kill(s, P_LEDGER, rnd(s, 2 * SIM_S));
        }
}

/* The ledger's disk is put back to what it was a while ago, and a few more things are asked for. */
static void roll_back(Sim *s) {
        trace(s, "the ledger is rolled back from %llu to %llu", (unsigned long long)s->n_log,
                (unsigned long long)s->snap_size);
        proc_kill(s, P_LEDGER, rnd(s, 100 * SIM_MS));
        vdisk_done(&s->disk);
        s->disk = s->snap;
        s->has_snap = false;
        s->rolled = true;
        covering = false; /* the reasons of unreachable.txt are about a record that lasts */
        s->stimuli = 12;
}

static void rolled_stimulus(Sim *s) {
        s->next_stimulus_us = s->boot_us + 100 * SIM_MS + rnd(s, SIM_S);
        if (s->stimuli-- == 0) {
                s->next_stimulus_us = UINT64_MAX;
                s->calm = true;
                s->end_us = s->boot_us + 10 * SIM_S;
        } else if (s->e && chance(s, 50)) {
                person(s);
        } else if (s->e) {
                immune_propose(s, s->units[rnd(s, 2)].name);
        }
}

static void take_snapshot(Sim *s) {
        if (s->seed % 32 != 7 || s->has_snap || !s->core || s->n_log < 5)
                return;
        s->snap = vdisk_copy(&s->disk);
        vdisk_crash(&s->snap, 0);
        s->has_snap = true;
        s->snap_size = s->n_log;
}

/* What Guardian told the gate comes again, long after. */
static void tell_again(Sim *s) {
        uint64_t which = rnd(s, 2);
        if (s->again[which].type != 0 && s->alive[P_GUARDIAN] && s->again_gate[which] == s->instance[P_GATE])
                put_msg(s, P_GUARDIAN, P_GATE, &s->again[which], (Str){NULL, 0});
}

/* One thing of those that may happen at any time. */
static void happen(Sim *s) {
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
        } else if (what < 56) {
                unit_asks(s);
        } else if (what < 75) {
                person(s);
        } else if (what < 92) {
                voter(s);
        } else {
                switches(s);
        }
}

void world_stimulus(Sim *s) {
        if (s->rolled) {
                rolled_stimulus(s);
                return;
        }
        if (s->stimuli == 8)
                take_snapshot(s);
        if (s->stimuli == 0 && s->has_snap) {
                roll_back(s);
                rolled_stimulus(s);
                return;
        }
        if (s->stimuli == 0) {
                s->next_stimulus_us = UINT64_MAX;
                s->calm = true;
                s->end_us = s->boot_us + APPROVAL_TTL_US + 120 * SIM_S;
                return;
        }
        if (s->follow) {
                s->next_stimulus_us = s->boot_us + rnd(s, 3 * SIM_MS);
                follow(s);
                return;
        }
        s->stimuli--;
        unsigned long_gap = (unsigned)rnd(s, 100);
        s->next_stimulus_us = s->boot_us + (long_gap < 60          ? rnd(s, 20 * SIM_MS)
                                                   : long_gap < 98 ? rnd(s, 3 * SIM_S)
                                                                   : rnd(s, 900 * SIM_S));
        const Approval *open = s->odd && s->e && long_gap >= 95 ? question(s) : NULL;
        if (open && open->state == APPROVAL_PENDING && open->expires_boot_us > s->boot_us)
                s->next_stimulus_us = open->expires_boot_us + rnd(s, 4 * SIM_MS); /* as its time is over */
        if (s->odd && chance(s, 25))
                tell_again(s);
        if (s->hostile_immune && chance(s, 15))
                immune_forge(s);
        happen(s);
}
