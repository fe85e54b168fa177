/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit machine's step: finds the row, runs its action, changes the phase, runs the entry of the new
 * phase. An entry with nothing to wait for sets `pending`, and the step goes on with the internal event
 * SETTLED. The table is unit-state-table.c.
 */
#include "guardian/unit-state-table.h"
#include <signal.h>
#include <string.h>

/* ---- output */

void step_emit(Step *s, UnitCommand c) {
        if (s->out->n < UNIT_COMMANDS_MAX)
                s->out->items[s->out->n++] = c;
        else
                s->result =
                        UNIT_STEP_INVALID; /* a test walks the longest chains: this bound is never reached */
}

void step_arm(Step *s, UnitTimer t, uint64_t at_us) {
        if (at_us == 0 || at_us == UINT64_MAX) {
                if (s->m->deadline[t])
                        step_emit(s, (UnitCommand){.type = CMD_DISARM, .timer = t});
                s->m->deadline[t] = 0;
                return;
        }
        s->m->deadline[t] = at_us;
        step_emit(s, (UnitCommand){.type = CMD_ARM, .timer = t, .at_us = at_us});
}

void step_verdict(Step *s, UnitVerdict v) {
        s->m->boot_start = false;
        if (s->m->verdict_given && s->m->verdict == v)
                return;
        s->m->verdict = v;
        s->m->verdict_given = true;
        step_emit(s, (UnitCommand){.type = CMD_VERDICT});
}

void step_health(Step *s, Health h) {
        if (s->m->health == h)
                return;
        s->m->health = h;
        step_emit(s, (UnitCommand){.type = CMD_HEALTH});
}

void step_run(Step *s, ExecList list, unsigned index) {
        s->m->index = index;
        step_emit(s, (UnitCommand){.type = CMD_RUN, .list = list, .index = index});
}

void step_ready(Step *s) {
        UnitMachine *m = s->m;
        m->was_ready = true;
        m->ready_us = s->now;
        pacing_ready(&m->pacing, s->now);
        step_emit(s, (UnitCommand){.type = CMD_READY});
}

ExecList phase_list(UnitPhase p) {
        if (p == PHASE_PRE)
                return EXEC_START_PRE;
        if (p == PHASE_POST)
                return EXEC_START_POST;
        if (p == PHASE_RELOAD)
                return EXEC_RELOAD;
        if (p == PHASE_STOP_CMD)
                return EXEC_STOP;
        return p == PHASE_STOP_POST ? EXEC_STOP_POST : EXEC_START;
}

/* ---- entries */

const ExecCommands *phase_commands(const UnitMachine *m) {
        return &m->config->exec[phase_list(m->phase)];
}

static void enter_list(Step *s) {
        if (phase_commands(s->m)->n > 0)
                step_run(s, phase_list(s->m->phase), 0);
        else
                s->m->pending = true;
}

static void enter_prepare(Step *s, UnitPhase from) {
        UnitMachine *m = s->m;
        if (from != PHASE_ONESHOT)
                m->index = 0;
        m->instance++;
        if (unit_prepares(m->config))
                step_emit(s, (UnitCommand){.type = CMD_PREPARE, .index = m->index});
        else
                m->pending = true;
}

static void enter_spawn(Step *s) {
        step_emit(s, (UnitCommand){.type = CMD_SPAWN, .index = s->m->index});
}

static bool start_probe(Step *s, ProbeKind k) {
        if (s->m->config->probes[k].type == PROBE_NONE)
                return false;
        step_emit(s, (UnitCommand){.type = CMD_PROBE, .probe = k});
        return true;
}

/* The startup probe has numbers of its own; TimeoutStartSec rests while it decides. */
static void enter_probe_startup(Step *s) {
        if (guard_oneshot(s) || !start_probe(s, PROBE_STARTUP))
                s->m->pending = true;
        else
                step_arm(s, TIMER_PHASE, 0);
}

static void resume_start_timeout(Step *s) {
        if (!s->m->deadline[TIMER_PHASE])
                step_arm(s, TIMER_PHASE, later(s->now, s->m->config->timeout_start_us));
}

static void enter_probe_ready(Step *s) {
        start_probe(s, PROBE_LIVENESS);
        if (start_probe(s, PROBE_READINESS))
                resume_start_timeout(s);
        else
                s->m->pending = true;
}

static void enter_hold(Step *s) {
        step_arm(s, TIMER_PHASE, 0);
        if (s->m->config->watchdog_us > 0)
                step_arm(s, TIMER_WATCHDOG, later(s->now, s->m->config->watchdog_us));
        step_ready(s);
        s->m->pending = true;
}

static void enter_evidence(Step *s) {
        step_arm(s, TIMER_PHASE, later(s->now, s->m->config->validate_timeout_us));
        step_emit(s, (UnitCommand){.type = CMD_TAKE_EVIDENCE});
}

static void leave_service(Step *s) {
        step_emit(s, (UnitCommand){.type = CMD_PROBES_STOP});
        step_arm(s, TIMER_WATCHDOG, 0);
}

static void enter_stop_term(Step *s) {
        UnitMachine *m = s->m;
        const UnitConfig *c = m->config;
        leave_service(s);
        step_arm(s, TIMER_PHASE, later(s->now, c->timeout_stop_us));
        if (!m->main_alive && (guard_leave_group(s) || guard_mixed(s))) {
                m->pending = true;
                return;
        }
        /* systemd's WatchdogSignal: a hung program leaves a core. SIGCONT lets a stopped one hear either. */
        int sig = m->why == RESTART_WATCHDOG && m->failure ? SIGABRT : c->kill_signal;
        bool main_only = m->main_alive && c->kill_mode != KILL_CONTROL_GROUP;
        UnitCommandType type = main_only ? CMD_SIGNAL_MAIN : CMD_SIGNAL_GROUP;
        step_emit(s, (UnitCommand){.type = type, .sig = sig});
        if (sig != SIGKILL)
                step_emit(s, (UnitCommand){.type = type, .sig = SIGCONT});
}

static void enter_stop_kill(Step *s) {
        leave_service(s);
        uint64_t wait = s->m->config->timeout_stop_us;
        if (s->m->config->final_kill_signal == SIGKILL || wait > KILL_AGAIN_US)
                wait = KILL_AGAIN_US;
        step_arm(s, TIMER_PHASE, later(s->now, wait));
        step_emit(s, (UnitCommand){.type = CMD_EMPTY_GROUP,
                             .sig = s->m->post_over ? SIGKILL : s->m->config->final_kill_signal});
}

static void enter_settle(Step *s) {
        step_arm(s, TIMER_PHASE, 0);
        unit_settle(s);
        s->m->pending = true;
}

static void enter_post(Step *s) {
        if (s->m->config->exec[EXEC_START_POST].n > 0)
                resume_start_timeout(s);
        enter_list(s);
}

static void enter_reload(Step *s) {
        step_arm(s, TIMER_PHASE, later(s->now, s->m->config->timeout_start_us));
        enter_list(s);
}

static void enter_stop_list(Step *s) {
        if (s->m->phase == PHASE_STOP_CMD)
                leave_service(s);
        step_arm(s, TIMER_PHASE, later(s->now, s->m->config->timeout_stop_us));
        enter_list(s);
}

static void enter_backoff(Step *s) {
        step_arm(s, TIMER_PHASE, s->m->resume_us);
}

static void enter_active_exited(Step *s) {
        leave_service(s);
        step_arm(s, TIMER_PHASE, 0);
}

static void enter_quiet(Step *s) {
        step_arm(s, TIMER_PHASE, 0);
}

/* Phases without an entry (ONESHOT, WAIT_READY) go on under the start timeout. */
static const Action entries[_PHASE_MAX] = {
        [PHASE_DOWN] = enter_quiet,
        [PHASE_PRE] = enter_list,
        [PHASE_SPAWN] = enter_spawn,
        [PHASE_PROBE_STARTUP] = enter_probe_startup,
        [PHASE_PROBE_READY] = enter_probe_ready,
        [PHASE_POST] = enter_post,
        [PHASE_HOLD] = enter_hold,
        [PHASE_EVIDENCE] = enter_evidence,
        [PHASE_RUNNING] = enter_quiet,
        [PHASE_RELOAD] = enter_reload,
        [PHASE_ACTIVE_EXITED] = enter_active_exited,
        [PHASE_STOP_CMD] = enter_stop_list,
        [PHASE_STOP_TERM] = enter_stop_term,
        [PHASE_STOP_KILL] = enter_stop_kill,
        [PHASE_STOP_POST] = enter_stop_list,
        [PHASE_SETTLE] = enter_settle,
        [PHASE_BACKOFF] = enter_backoff,
        [PHASE_EXITED] = enter_quiet,
        [PHASE_FAILED] = enter_quiet,
        [PHASE_QUARANTINED] = enter_quiet,
};

/* ---- the step */

static void set_phase(Step *s, UnitPhase to) {
        UnitMachine *m = s->m;
        UnitPhase from = m->phase;
        UnitState was = unit_phase_state(from), is = unit_phase_state(to);
        if (from == PHASE_RELOAD && to != PHASE_RUNNING)
                step_emit(s, (UnitCommand){.type = CMD_RELOADED, .sig = 1});
        m->phase = to;
        if (was != is) {
                m->since_us = s->now;
                step_emit(s, (UnitCommand){.type = CMD_STATE, .from = was, .to = is});
        }
        if (to == PHASE_PREPARE)
                enter_prepare(s, from);
        else if (entries[to])
                entries[to](s);
}

static const Row *find_row(const Step *s) {
        for (size_t i = 0; i < unit_rows_n; i++) {
                const Row *r = &unit_rows[i];
                if (r->event == s->ev->type && (r->from >> s->m->phase & 1) && (!r->guard || r->guard(s)))
                        return r;
        }
        return NULL;
}

static int take_row(Step *s) {
        const Row *r = find_row(s);
        if (!r)
                return UNIT_STEP_INVALID;
        if (r->kind != ROW_MOVE)
                return r->kind == ROW_IGNORE   ? UNIT_STEP_IGNORED
                       : r->kind == ROW_PINNED ? UNIT_STEP_PINNED
                                               : UNIT_STEP_REFUSED;
        if (r->action)
                r->action(s);
        if (r->to != PHASE_SAME)
                set_phase(s, r->to);
        return UNIT_STEP_OK;
}

/* A timer may fire although it was replaced or disarmed meanwhile. WATCHDOG=trigger is no timer's. */
static bool stale(const UnitMachine *m, const UnitEvent *ev, uint64_t now) {
        if ((ev->type != EV_TIMEOUT && ev->type != EV_WATCHDOG) || ev->force)
                return false;
        uint64_t at = m->deadline[ev->type == EV_TIMEOUT ? TIMER_PHASE : TIMER_WATCHDOG];
        return at == 0 || now < at;
}

int unit_step(UnitMachine *m, const UnitEvent *ev, uint64_t now_us, UnitCommands *out) {
        static const UnitEvent settled = {.type = EV_SETTLED};
        Step s = {.m = m, .ev = ev, .now = now_us, .out = out};
        if (stale(m, ev, now_us))
                return UNIT_STEP_IGNORED;
        if (ev->type == EV_TIMEOUT)
                m->deadline[TIMER_PHASE] = 0;
        if (ev->type == EV_WATCHDOG)
                m->deadline[TIMER_WATCHDOG] = 0;
        int r = take_row(&s);
        s.ev = &settled;
        while (m->pending) {
                m->pending = false;
                if (take_row(&s) == UNIT_STEP_INVALID)
                        r = UNIT_STEP_INVALID;
        }
        return s.result ? s.result : r;
}

void unit_machine_init(UnitMachine *m, const UnitConfig *config, uint64_t seed) {
        *m = (UnitMachine){.config = config, .random = seed, .verdict = UNIT_VERDICT_PENDING};
        pacing_init(&m->pacing);
}

bool unit_is_down(const UnitMachine *m) {
        return m->phase == PHASE_DOWN || m->phase == PHASE_EXITED || m->phase == PHASE_FAILED ||
               m->phase == PHASE_QUARANTINED;
}

bool unit_is_up(const UnitMachine *m) {
        return m->phase == PHASE_RUNNING || m->phase == PHASE_RELOAD || m->phase == PHASE_ACTIVE_EXITED;
}
