/* SPDX-License-Identifier: Apache-2.0 */
#include "boot-run.h"
#include "coverage.h"
#include "guardian/boot.h"
#include "guardian/unit-state.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNITS_MAX = 9, EVENTS_MAX = 256, MS = 1000, S = 1000000 };

#define SEEN(w, event, call)                                                                                 \
        do {                                                                                                 \
                BootState was_ = (w)->boot.state;                                                            \
                call;                                                                                        \
                cover(COVER_TABLE_BOOT, was_, COVER_BOOT_##event, (w)->boot.state);                          \
        } while (0)

typedef struct World World;
typedef struct SimProcess {
        UnitConfig *config;
        UnitMachine machine;
        bool alive, leftover, emptying, helper;
        bool slow, fragile, deaf_to_term, messy; /* its nature */
        bool verdict;                            /* of the boot, as the machine said it */
        uint64_t prepared_us, exit_us, ready_us, evidence_us, helper_us, empty_us, crash_us;
        uint64_t probe_us[_PROBE_KIND_MAX];
        uint64_t preparing; /* the instance that a preparation is for */
        uint64_t timer[_TIMER_MAX];
        bool started;
} SimProcess;

struct World {
        uint64_t rnd, now_us, end_us, steps;
        uint64_t noise; /* state of a generator of its own; 0: none in this seed */
        bool trace, over;
        char *failure;
        size_t cap;
        BootLie lie;
        Plan *plan;
        Boot boot;
        bool have_boot, ended, stopped, stop_asked;
        uint64_t stop_us, stop_asked_us;
        SimProcess p[UNITS_MAX];
        uint32_t n;
        struct {
                uint32_t unit;
                UnitEvent ev;
                uint64_t instance; /* 0: any */
        } queue[EVENTS_MAX];
        unsigned head, len;
};

static uint64_t roll(World *w, uint64_t below) {
        w->rnd ^= w->rnd << 13;
        w->rnd ^= w->rnd >> 7;
        w->rnd ^= w->rnd << 17;
        return w->rnd % below;
}

static void violate(World *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void violate(World *w, const char *fmt, ...) {
        va_list ap;
        if (w->over)
                return;
        w->over = true;
        va_start(ap, fmt);
        vsnprintf(w->failure, w->cap, fmt, ap);
        va_end(ap);
}

static void say(const World *w, const char *what, const SimProcess *p) {
        if (w->trace)
                printf("%10.3f boot: %s %s (%s)\n", (double)w->now_us / 1000.0, what,
                        p ? p->config->name : "", p ? unit_phase_to_string(p->machine.phase) : "");
}

static void feed(World *w, uint32_t unit, UnitEvent ev, uint64_t instance) {
        if (w->len == EVENTS_MAX) {
                violate(w, "too many events");
                return;
        }
        unsigned at = (w->head + w->len++) % EVENTS_MAX;
        w->queue[at].unit = unit;
        w->queue[at].ev = ev;
        w->queue[at].instance = instance;
}

/* ---- noise: in every fourth seed units have probes, watchdogs and all kinds of stopping, and events come
 * when nobody waits for them: twice, late, in the same turn. What can't be true (a group that is empty and
 * runs, the end of a command that runs) is left out. */
static uint64_t dice(World *w, uint64_t below) {
        w->noise ^= w->noise << 13;
        w->noise ^= w->noise >> 7;
        w->noise ^= w->noise << 17;
        return (w->noise >> 11) % below;
}

static void noisy_config(World *w, UnitConfig *u) {
        for (unsigned k = 0; k < _PROBE_KIND_MAX; k++)
                u->probes[k].type = dice(w, 2) ? PROBE_TCP : PROBE_NONE;
        u->watchdog_us = dice(w, 2) ? 5 * S : 0;
        u->kill_mode = (KillMode)dice(w, 3);
        u->guardian_validates = dice(w, 4) != 0;
}

static void noise(World *w, uint32_t i) {
        static const UnitEventType anybody[] = {EV_READY, EV_HEARTBEAT, EV_STARTUP_PASSED, EV_STARTUP_FAILED,
                EV_READINESS_PASSED, EV_READINESS_FAILED, EV_LIVENESS_PASSED, EV_LIVENESS_FAILED,
                EV_EVIDENCE_PASSED, EV_EVIDENCE_ISSUES, EV_EVIDENCE_FAILED, EV_TIMEOUT, EV_WATCHDOG,
                EV_PREPARED, EV_HELPER_ENDED, EV_GROUP_EMPTY};
        static const UnitEventType people[] = {EV_START, EV_STOP, EV_RESTART, EV_RELOAD, EV_PIN_DOWN,
                EV_PIN_UP, EV_UNPIN, EV_RESET, EV_VALIDATE, EV_SKIP};
        const SimProcess *p = &w->p[i];
        bool person = w->ended && !w->stop_asked && dice(w, 2);
        UnitEvent ev = {
                .type = person ? people[dice(w, 10)] : anybody[dice(w, 16)], .reason = RESTART_OPERATOR};
        if ((!person && p->machine.instance == 0) ||
                (ev.type == EV_READY &&
                        (p->machine.phase == PHASE_SPAWN || p->machine.phase == PHASE_PREPARE)) ||
                (ev.type == EV_HELPER_ENDED && p->helper) ||
                (ev.type == EV_GROUP_EMPTY && (p->alive || p->leftover || p->machine.phase == PHASE_SPAWN)))
                return;
        ev.force = ev.type == EV_WATCHDOG && dice(w, 2);
        feed(w, i, ev, person ? 0 : p->machine.instance);
}

static void probe_again(World *w, SimProcess *p, unsigned k) {
        p->probe_us[k] = w->now_us + 1 + dice(w, 3 * S);
}

static void probed(World *w, uint32_t i, ProbeKind k) {
        static const UnitEventType good[] = {[PROBE_STARTUP] = EV_STARTUP_PASSED,
                [PROBE_READINESS] = EV_READINESS_PASSED,
                [PROBE_LIVENESS] = EV_LIVENESS_PASSED};
        static const UnitEventType bad[] = {[PROBE_STARTUP] = EV_STARTUP_FAILED,
                [PROBE_READINESS] = EV_READINESS_FAILED,
                [PROBE_LIVENESS] = EV_LIVENESS_FAILED};
        feed(w, i, (UnitEvent){.type = dice(w, 12) ? good[k] : bad[k]}, w->p[i].machine.instance);
        if (k != PROBE_STARTUP)
                probe_again(w, &w->p[i], k);
}

/* ---- processes */
static uint64_t soon(World *w, uint64_t most) {
        return w->now_us + 1 + roll(w, most);
}

/* One thread a unit: it answers some time, sometimes only when nobody asks any more, or never. */
static void prepare(World *w, uint32_t i) {
        SimProcess *p = &w->p[i];
        p->preparing = p->machine.instance;
        p->prepared_us = roll(w, 20) == 0 ? 0 : soon(w, roll(w, 20) == 0 ? 60 * S : 50 * MS);
}

static void spawn(World *w, uint32_t i) {
        SimProcess *p = &w->p[i];
        if (unit_prepares(p->config) && p->preparing != p->machine.instance)
                violate(w, "P12 %s is spawned unprepared", p->config->name);
        if (p->alive || p->leftover)
                violate(w, "P12 a second instance of %s beside the first", p->config->name);
        if (roll(w, 100) < (p->fragile ? 15 : 2)) {
                int error = w->now_us & 1 ? -EAGAIN
                                          : -ENOENT; /* one that is worth another try, one that is not */
                feed(w, i, (UnitEvent){.type = EV_SPAWN_FAILED, .error = error, .exit = {.error = error}}, 0);
                return;
        }
        p->alive = p->started = true;
        p->leftover = p->messy && roll(w, 2);
        p->exit_us = p->ready_us = p->evidence_us = 0;
        p->crash_us = p->fragile ? soon(w, 20 * S) : 0;
        if (p->config->type == SERVICE_ONESHOT)
                p->exit_us = soon(w, 2 * S);
        else if (p->config->type == SERVICE_NOTIFY || p->config->type == SERVICE_CHUNK)
                p->ready_us = p->slow && roll(w, 3) == 0 ? 0 : soon(w, 3 * S);
        SEEN(w, SPAWNED, boot_unit_spawned(&w->boot, i, w->now_us));
        if (w->lie == LIE_EARLY_VERDICT)
                boot_unit_verdict(&w->boot, i, UNIT_VERDICT_PASSED, w->now_us);
        if (w->noise && w->lie == LIE_NONE && dice(w, 3) == 0)
                noise(w, i);
        feed(w, i, (UnitEvent){.type = EV_SPAWNED}, p->machine.instance);
}

static void group_empty_check(World *w, uint32_t i) {
        SimProcess *p = &w->p[i];
        bool leaving =
                p->emptying || p->machine.phase == PHASE_STOP_TERM || p->machine.phase == PHASE_STOP_KILL;
        if (!leaving || p->alive || (p->leftover && w->lie != LIE_GROUP_EMPTY))
                return;
        p->emptying = false;
        feed(w, i, (UnitEvent){.type = EV_GROUP_EMPTY}, 0);
}

static void signal_process(World *w, uint32_t i, int sig, bool group) {
        SimProcess *p = &w->p[i];
        bool ends = sig == SIGKILL ? w->lie != LIE_DEAF : !p->deaf_to_term;
        if (p->alive && ends && p->exit_us == 0)
                p->exit_us = soon(w, 100 * MS);
        if (group && p->leftover && ends && p->empty_us == 0)
                p->empty_us = soon(w, 100 * MS);
        if (group && !p->alive && !p->leftover)
                feed(w, i, (UnitEvent){.type = EV_GROUP_EMPTY}, 0);
}

static void tell_state(World *w, uint32_t i) {
        const UnitMachine *m = &w->p[i].machine;
        if (unit_is_down(m))
                SEEN(w, DOWN, boot_unit_state(&w->boot, i, unit_machine_state(m), true, w->now_us));
        else
                SEEN(w, UP, boot_unit_state(&w->boot, i, unit_machine_state(m), false, w->now_us));
}

static void command(World *w, uint32_t i, const UnitCommand *c) {
        SimProcess *p = &w->p[i];
        switch (c->type) {
        case CMD_RUN:
                p->helper = true;
                p->helper_us = soon(w, 500 * MS);
                break;
        case CMD_PREPARE:
                prepare(w, i);
                break;
        case CMD_SPAWN:
                spawn(w, i);
                break;
        case CMD_SIGNAL_MAIN:
        case CMD_SIGNAL_GROUP:
                signal_process(w, i, c->sig, c->type == CMD_SIGNAL_GROUP);
                break;
        case CMD_EMPTY_GROUP:
                p->emptying = true;
                signal_process(w, i, SIGKILL, false);
                if (p->leftover && p->empty_us == 0)
                        p->empty_us = soon(w, 100 * MS);
                group_empty_check(w, i);
                break;
        case CMD_ARM:
                p->timer[c->timer] = c->at_us;
                break;
        case CMD_DISARM:
                p->timer[c->timer] = 0;
                break;
        case CMD_TAKE_EVIDENCE:
                p->evidence_us = soon(w, 200 * MS);
                break;
        case CMD_READY:
                SEEN(w, READY, boot_unit_ready(&w->boot, i, w->now_us));
                break;
        case CMD_VERDICT:
                p->verdict = true;
                if (p->machine.verdict == UNIT_VERDICT_FAILED)
                        SEEN(w, FAILED, boot_unit_verdict(&w->boot, i, p->machine.verdict, w->now_us));
                else if (p->machine.verdict == UNIT_VERDICT_PASSED)
                        SEEN(w, PASSED, boot_unit_verdict(&w->boot, i, p->machine.verdict, w->now_us));
                else
                        SEEN(w, DEGRADED, boot_unit_verdict(&w->boot, i, p->machine.verdict, w->now_us));
                break;
        case CMD_STATE:
                tell_state(w, i);
                break;
        case CMD_PROBE:
                probe_again(w, p, c->probe);
                break;
        case CMD_PROBES_STOP:
                memset(p->probe_us, 0, sizeof(p->probe_us));
                break;
        case CMD_HEALTH:
        case CMD_END:
        case CMD_RELOADED:
        case _CMD_MAX:
                break;
        }
}

/* ---- orders of the coordinator */
static void check_start(World *w, uint32_t i) {
        for (uint32_t k = 0; k < w->n; k++)
                if (w->plan->units[k].boots && w->plan->units[k].stage < w->plan->units[i].stage &&
                        !w->p[k].verdict)
                        violate(w, "P13 %s starts before %s of an earlier stage has its verdict",
                                w->p[i].config->name, w->p[k].config->name);
}

static bool is_up(const SimProcess *p) {
        return p->alive || p->leftover;
}

static void check_stop(World *w, uint32_t i) {
        for (uint32_t k = 0; k < w->n; k++)
                if (w->plan->units[k].stage > w->plan->units[i].stage && is_up(&w->p[k]))
                        violate(w, "P14 %s is stopped while %s of a later stage runs", w->p[i].config->name,
                                w->p[k].config->name);
        for (uint32_t k = 0; k < w->plan->units[i].n_needed_by; k++) {
                const SimProcess *d = &w->p[w->plan->units[i].needed_by[k]];
                if (w->plan->units[w->plan->units[i].needed_by[k]].stage == w->plan->units[i].stage &&
                        is_up(d))
                        violate(w, "P14 %s is stopped while %s needs it", w->p[i].config->name,
                                d->config->name);
        }
}

static void order(World *w, const BootOrder *o) {
        bool named = o->unit != PLAN_NONE && o->type != BOOT_ORDER_STAGE;
        SimProcess *p = named ? &w->p[o->unit] : NULL;
        if (o->type == BOOT_ORDER_START) {
                say(w, "start", p);
                check_start(w, o->unit);
                p->machine.hold_validation = true;
                feed(w, o->unit, (UnitEvent){.type = EV_START}, 0);
        } else if (o->type == BOOT_ORDER_VALIDATE) {
                p->machine.hold_validation = false;
                feed(w, o->unit, (UnitEvent){.type = EV_VALIDATE}, 0);
        } else if (o->type == BOOT_ORDER_SKIP) {
                p->verdict = true; /* the coordinator's own */
                feed(w, o->unit, (UnitEvent){.type = EV_SKIP}, 0);
        } else if (o->type == BOOT_ORDER_STOP) {
                say(w, "stop", p);
                check_stop(w, o->unit);
                feed(w, o->unit, (UnitEvent){.type = EV_STOP, .force = true}, 0);
                if (w->lie == LIE_DOWN)
                        boot_unit_state(&w->boot, o->unit, unit_machine_state(&p->machine), true, w->now_us);
        } else if (o->type == BOOT_ORDER_BOOTED || o->type == BOOT_ORDER_ABORT) {
                say(w, o->type == BOOT_ORDER_ABORT ? "aborted by" : "booted", p);
                w->ended = true;
                if (p && p->config->can_fail)
                        violate(w, "P15 %s may fail and aborted the boot", p->config->name);
                if (o->type == BOOT_ORDER_ABORT) {
                        w->stop_asked = true;
                        w->stop_asked_us = w->now_us;
                } else {
                        for (uint32_t i = 0; i < w->n; i++)
                                w->p[i].machine.hold_validation = false;
                }
        } else if (o->type == BOOT_ORDER_STOPPED) {
                say(w, "stopped", NULL);
                w->stopped = true;
                for (uint32_t i = 0; i < w->n; i++)
                        if (is_up(&w->p[i]))
                                violate(w, "P14 all is said to be down and %s runs", w->p[i].config->name);
        }
}

static void pump(World *w) {
        for (unsigned guard = 0; !w->over; guard++) {
                if (guard > 5000) {
                        violate(w, "P15 the machines turn in a circle");
                        return;
                }
                BootOrder o = boot_next(&w->boot);
                if (o.type != BOOT_ORDER_NONE) {
                        order(w, &o);
                        continue;
                }
                if (w->len == 0)
                        return;
                uint32_t i = w->queue[w->head].unit;
                UnitEvent ev = w->queue[w->head].ev;
                uint64_t instance = w->queue[w->head].instance;
                w->head = (w->head + 1) % EVENTS_MAX;
                w->len--;
                SimProcess *p = &w->p[i];
                if (instance != 0 && instance != p->machine.instance)
                        continue;
                UnitCommands out = {.n = 0};
                UnitMachine before = p->machine;
                int r = unit_step(&p->machine, &ev, w->now_us, &out);
                cover_unit(&before, &ev, w->now_us, &p->machine);
                if (w->trace)
                        printf("%10.3f boot: %s %s -> %s\n", (double)w->now_us / 1000.0, p->config->name,
                                unit_event_to_string(ev.type), unit_phase_to_string(p->machine.phase));
                if (r == UNIT_STEP_INVALID)
                        violate(w, "%s cannot happen to %s in %s", unit_event_to_string(ev.type),
                                p->config->name, unit_phase_to_string(p->machine.phase));
                w->steps++;
                for (unsigned k = 0; k < out.n; k++)
                        command(w, i, &out.items[k]);
                if (ev.type == EV_STOP && unit_is_down(&p->machine)) /* as Guardian's shell does */
                        tell_state(w, i);
        }
}

/* ---- time */
static uint64_t next_due(World *w) {
        uint64_t at = UINT64_MAX;
        for (uint32_t i = 0; i < w->n; i++) {
                const SimProcess *p = &w->p[i];
                const uint64_t due[] = {p->exit_us, p->ready_us, p->evidence_us, p->helper_us, p->empty_us,
                        p->crash_us, p->prepared_us, p->timer[0], p->timer[1], p->probe_us[0], p->probe_us[1],
                        p->probe_us[2]};
                for (size_t k = 0; k < sizeof(due) / sizeof(due[0]); k++)
                        if (due[k] != 0 && due[k] < at)
                                at = due[k];
        }
        return at;
}

static bool due(World *w, uint64_t *at) {
        if (*at == 0 || *at > w->now_us)
                return false;
        *at = 0;
        return true;
}

static void happen(World *w, uint32_t i) {
        SimProcess *p = &w->p[i];
        uint64_t instance = p->machine.instance;
        if (due(w, &p->crash_us) && p->alive && p->exit_us == 0)
                p->exit_us = w->now_us;
        if (due(w, &p->exit_us) && p->alive) {
                bool well = p->config->type == SERVICE_ONESHOT && roll(w, 5) != 0;
                p->alive = false;
                p->ready_us = 0;
                feed(w, i, (UnitEvent){.type = EV_EXITED, .exit = {.status = well ? 0 : 1}}, instance);
        }
        if (due(w, &p->empty_us))
                p->leftover = false;
        if (due(w, &p->prepared_us)) {
                bool ill = roll(w, 20) == 0;
                feed(w, i,
                        (UnitEvent){.type = EV_PREPARED,
                                .error = !ill            ? 0
                                         : w->now_us & 1 ? -EIO
                                                         : -ESRCH},
                        p->preparing);
        }
        if (due(w, &p->ready_us) && p->alive)
                feed(w, i, (UnitEvent){.type = EV_READY}, instance);
        if (due(w, &p->evidence_us)) {
                unsigned k = (unsigned)roll(w, 10);
                feed(w, i,
                        (UnitEvent){.type = k < 7   ? EV_EVIDENCE_PASSED
                                            : k < 9 ? EV_EVIDENCE_ISSUES
                                                    : EV_EVIDENCE_FAILED},
                        instance);
        }
        if (due(w, &p->helper_us)) {
                p->helper = false;
                feed(w, i, (UnitEvent){.type = EV_HELPER_ENDED, .exit = {.status = roll(w, 8) == 0}}, 0);
        }
        for (unsigned k = 0; k < _PROBE_KIND_MAX; k++)
                if (due(w, &p->probe_us[k]))
                        probed(w, i, (ProbeKind)k);
        if (w->noise && dice(w, 4) == 0)
                noise(w, i);
        if (due(w, &p->timer[TIMER_PHASE]))
                feed(w, i, (UnitEvent){.type = EV_TIMEOUT}, 0);
        if (due(w, &p->timer[TIMER_WATCHDOG]))
                feed(w, i, (UnitEvent){.type = EV_WATCHDOG}, 0);
        pump(w);
        group_empty_check(w, i);
        pump(w);
}

static void people(World *w) {
        static const UnitEventType what[] = {
                EV_START, EV_STOP, EV_RESTART, EV_PIN_DOWN, EV_PIN_UP, EV_UNPIN, EV_RESET, EV_RELOAD};
        uint32_t i = (uint32_t)roll(w, w->n);
        UnitEvent ev = {.type = what[roll(w, sizeof(what) / sizeof(what[0]))], .reason = RESTART_OPERATOR};
        say(w, unit_event_to_string(ev.type), &w->p[i]);
        feed(w, i, ev, 0);
        pump(w);
}

/* ---- a plan from a seed */
static UnitConfig *make(World *w, uint32_t i) {
        static const ServiceType types[] = {
                SERVICE_EXEC, SERVICE_SIMPLE, SERVICE_NOTIFY, SERVICE_ONESHOT, SERVICE_CHUNK};
        char name[8] = {'u', (char)('a' + i), 0};
        UnitConfig *u = unit_config_new(name);
        if (!u)
                return NULL;
        u->file = arena_strndup(&u->arena, name, 2);
        u->priority_milli = 1000 * (1 + (uint32_t)roll(w, 3));
        u->type = types[roll(w, sizeof(types) / sizeof(types[0]))];
        u->can_fail = roll(w, 100) < 75;
        u->start_retries = (unsigned)roll(w, 3);
        u->restart = roll(w, 2) ? RESTART_POLICY_ON_FAILURE : RESTART_POLICY_ALWAYS;
        u->user = roll(w, 3) ? NULL : u->name;
        u->remain_after_exit = u->type == SERVICE_ONESHOT && roll(w, 2);
        for (unsigned l = 0; l < _EXEC_LIST_MAX; l++) {
                unsigned n = l == EXEC_START ? 1 : roll(w, 5) == 0;
                u->exec[l].items = arena_alloc(&u->arena, sizeof(ExecCommand) * 2);
                u->exec[l].n = n;
        }
        if (i > 0 && roll(w, 2)) { /* needs an earlier one: no cycles */
                UnitRefs *refs = roll(w, 2) ? &u->requires : &u->after;
                char other[8] = {'u', (char)('a' + roll(w, i)), 0};
                const UnitConfig *o = w->p[other[1] - 'a'].config;
                if (o->priority_milli <= u->priority_milli) {
                        refs->items = arena_alloc(&u->arena, sizeof(UnitRef));
                        refs->items[0] = (UnitRef){arena_strndup(&u->arena, other, 2), u->file, 1};
                        refs->n = 1;
                }
        }
        if (w->noise)
                noisy_config(w, u);
        return u;
}

static bool build(World *w) {
        UnitConfig *list[UNITS_MAX];
        Problems problems = {0};
        w->n = 2 + (uint32_t)roll(w, UNITS_MAX - 2);
        for (uint32_t i = 0; i < w->n; i++) {
                SimProcess *p = &w->p[i];
                list[i] = p->config = make(w, i);
                if (!p->config)
                        return false;
                p->slow = roll(w, 4) == 0;
                p->fragile = roll(w, 4) == 0;
                p->deaf_to_term = roll(w, 5) == 0;
                p->messy = roll(w, 4) == 0;
                if (p->config->kill_mode == KILL_PROCESS) /* what it leaves is left on purpose */
                        p->messy = false;
                unit_machine_init(&p->machine, p->config, 1 + roll(w, 1000));
        }
        int r = plan_build(list, w->n, &w->plan, &problems);
        if (r != 0)
                violate(w, "the plan is refused: %s", problems.n ? problems.items[0].message : "?");
        problems_done(&problems);
        if (r != 0 || boot_init(&w->boot, w->plan, false) < 0)
                return false;
        w->have_boot = true;
        return true;
}

static void check_bounds(World *w) {
        if (!w->ended && !w->stop_asked && w->now_us > 900ull * S)
                violate(w, "P15 the boot has not ended after %llu s", (unsigned long long)(w->now_us / S));
        if (w->stop_asked && !w->stopped && w->now_us - w->stop_asked_us > 600ull * S)
                violate(w, "P14 the stop has not ended after ten minutes");
}

static void run(World *w) {
        w->now_us = 1;
        SEEN(w, BEGIN, boot_begin(&w->boot, w->now_us));
        pump(w);
        uint64_t next_person = soon(w, 20 * S);
        w->stop_us = roll(w, 4) ? soon(w, 300ull * S) : soon(w, 5 * S);
        while (!w->over && !w->stopped) {
                uint64_t at = next_due(w);
                if (!w->stop_asked && w->stop_us < at)
                        at = w->stop_us;
                if (!w->stop_asked && next_person < at)
                        at = next_person;
                if (at == UINT64_MAX) {
                        violate(w, "P14 nothing is left to do and the stop is not complete");
                        return;
                }
                w->now_us = at > w->now_us ? at : w->now_us;
                if (!w->stop_asked && w->now_us >= w->stop_us) {
                        say(w, "ordered stop", NULL);
                        w->stop_asked = true;
                        w->stop_asked_us = w->now_us;
                        SEEN(w, STOP, boot_stop(&w->boot, w->now_us));
                        pump(w);
                } else if (!w->stop_asked && w->now_us >= next_person) {
                        next_person = soon(w, 20 * S);
                        if (w->ended)
                                people(w);
                }
                if (w->noise && w->stop_asked && dice(w, 16) == 0) { /* asked once more */
                        SEEN(w, STOP, boot_stop(&w->boot, w->now_us));
                        pump(w);
                }
                for (uint32_t i = 0; i < w->n && !w->over; i++)
                        happen(w, i);
                check_bounds(w);
        }
}

bool boot_run(uint64_t seed, bool trace, BootLie lie, char *failure, size_t cap, uint64_t *steps) {
        static World world; /* large */
        World *w = &world;
        memset(w, 0, sizeof(*w));
        w->rnd = seed * 0x9e3779b97f4a7c15ull + 12345;
        w->trace = trace;
        w->noise = seed % 4 ? 0 : w->rnd | 1;
        w->lie = lie;
        w->failure = failure;
        w->cap = cap;
        failure[0] = 0;
        if (build(w))
                run(w);
        else if (!w->over)
                violate(w, "out of memory");
        if (w->have_boot)
                boot_done(&w->boot);
        plan_free(w->plan);
        for (uint32_t i = 0; i < w->n; i++)
                unit_config_free(w->p[i].config);
        *steps += w->steps;
        return !w->over;
}
