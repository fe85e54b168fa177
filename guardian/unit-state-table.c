/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the unit machine. Read it from top to bottom: the first row that fits phase, event and guard
 * is taken. */
#include "common/cleanup.h"
#include "guardian/unit-state-table.h"

#define B(p)          PHASE_BIT(p)
#define DOWN_PHASES   (B(DOWN) | B(EXITED) | B(FAILED) | B(QUARANTINED))
#define PROBE_PHASES  (B(PROBE_STARTUP) | B(PROBE_READY))
#define EARLY_PHASES  (B(WAIT_READY) | PROBE_PHASES | B(POST)) /* a main process runs, not ready yet */
#define START_PHASES  (B(PRE) | B(PREPARE) | B(SPAWN) | B(ONESHOT) | EARLY_PHASES)
#define JUDGED_PHASES (B(HOLD) | B(EVIDENCE))
#define LIVE_PHASES   (JUDGED_PHASES | B(RUNNING) | B(RELOAD))
#define STOP_PHASES   (B(STOP_CMD) | B(STOP_TERM) | B(STOP_KILL) | B(STOP_POST))
#define MAIN_PHASES   (B(ONESHOT) | EARLY_PHASES | LIVE_PHASES)
#define ALL_PHASES    ((UINT32_C(1) << _PHASE_MAX) - 1)

#define MOVE(from, ev, g, to, a)                                                                             \
        { from, EV_##ev, guard_##g, #g, ROW_MOVE, PHASE_##to, action_##a }
#define MOVE_(from, ev, g, to)                                                                               \
        { from, EV_##ev, guard_##g, #g, ROW_MOVE, PHASE_##to, NULL }
#define GO(from, ev, to, a)                                                                                  \
        { from, EV_##ev, NULL, NULL, ROW_MOVE, PHASE_##to, action_##a }
#define GO_(from, ev, to)                                                                                    \
        { from, EV_##ev, NULL, NULL, ROW_MOVE, PHASE_##to, NULL }
#define IGNORE(from, ev)                                                                                     \
        { from, EV_##ev, NULL, NULL, ROW_IGNORE, PHASE_SAME, NULL }
#define IGNORE_IF(from, ev, g)                                                                               \
        { from, EV_##ev, guard_##g, #g, ROW_IGNORE, PHASE_SAME, NULL }
#define REFUSE(from, ev)                                                                                     \
        { from, EV_##ev, NULL, NULL, ROW_REFUSE, PHASE_SAME, NULL }
#define PINNED(from, ev, g)                                                                                  \
        { from, EV_##ev, guard_##g, #g, ROW_PINNED, PHASE_SAME, NULL }

const Row unit_rows[] = {
        /* ---- requests */
        PINNED(DOWN_PHASES | B(BACKOFF), START, pinned_down), REFUSE(B(QUARANTINED), START),
        GO(B(DOWN) | B(EXITED) | B(FAILED), START, PRE, start), GO(B(BACKOFF), START, PRE, start_now),
        GO(STOP_PHASES, START, SAME, up_again), IGNORE(START_PHASES | LIVE_PHASES | B(ACTIVE_EXITED), START),

        PINNED(ALL_PHASES & ~DOWN_PHASES, STOP, stop_refused), IGNORE(DOWN_PHASES, STOP),
        GO(B(BACKOFF), STOP, DOWN, stop),
        GO(B(SPAWN), STOP, SAME, down_instead), /* the answer to CMD_SPAWN is on its way */
        GO(B(PRE) | B(PREPARE) | B(ONESHOT) | EARLY_PHASES, STOP, STOP_TERM, stop),
        MOVE(LIVE_PHASES | B(ACTIVE_EXITED), STOP, stop_command, STOP_CMD, stop),
        GO(LIVE_PHASES, STOP, STOP_TERM, stop), GO(B(ACTIVE_EXITED), STOP, STOP_KILL, stop),
        GO(STOP_PHASES, STOP, SAME, down_instead),

        PINNED(ALL_PHASES, RESTART, pinned_down), REFUSE(B(QUARANTINED), RESTART),
        GO(B(DOWN) | B(EXITED) | B(FAILED), RESTART, PRE, restart_down),
        GO(B(BACKOFF), RESTART, PRE, start_now), GO(B(SPAWN), RESTART, SAME, up_again),
        GO(B(PRE) | B(PREPARE) | B(ONESHOT) | EARLY_PHASES, RESTART, STOP_TERM, restart),
        MOVE(LIVE_PHASES | B(ACTIVE_EXITED), RESTART, stop_command, STOP_CMD, restart),
        GO(LIVE_PHASES, RESTART, STOP_TERM, restart), GO(B(ACTIVE_EXITED), RESTART, STOP_KILL, restart),
        GO(STOP_PHASES, RESTART, SAME, up_again),

        MOVE_(B(RUNNING), RELOAD, reload_command, RELOAD), REFUSE(ALL_PHASES, RELOAD),

        /* ---- starting */
        MOVE(B(PRE), HELPER_ENDED, more, SAME, next), MOVE_(B(PRE), HELPER_ENDED, well, PREPARE),
        GO(B(PRE), HELPER_ENDED, STOP_KILL, start_failed), GO_(B(PRE), SETTLED, PREPARE),
        GO_(B(PREPARE), SETTLED, SPAWN), MOVE(B(PREPARE), PREPARED, unprepared, STOP_KILL, spawn_failed),
        GO_(B(PREPARE), PREPARED, SPAWN), GO(B(SPAWN), SPAWN_FAILED, STOP_KILL, spawn_failed),
        MOVE(B(SPAWN), SPAWNED, goal_down, STOP_TERM, spawned),
        MOVE(B(SPAWN), SPAWNED, goal_restart, STOP_TERM, spawned),
        MOVE(B(SPAWN), SPAWNED, oneshot, ONESHOT, spawned),
        MOVE(B(SPAWN), SPAWNED, speaks, WAIT_READY, spawned), GO(B(SPAWN), SPAWNED, PROBE_STARTUP, spawned),
        MOVE(B(ONESHOT), EXITED, oneshot_more, PREPARE, next),
        MOVE(B(ONESHOT), EXITED, ended_well, POST, oneshot_done),
        GO(B(ONESHOT), EXITED, STOP_TERM, ended_early), GO_(B(WAIT_READY), READY, PROBE_STARTUP),
        GO_(B(PROBE_STARTUP), SETTLED, PROBE_READY), GO_(B(PROBE_STARTUP), STARTUP_PASSED, PROBE_READY),
        GO(B(PROBE_STARTUP), STARTUP_FAILED, STOP_TERM, startup_probe), GO_(B(PROBE_READY), SETTLED, POST),
        GO(B(PROBE_READY), READINESS_PASSED, POST, healthy), MOVE(B(POST), HELPER_ENDED, more, SAME, next),
        MOVE(B(POST), HELPER_ENDED, ill, STOP_TERM, start_failed),
        MOVE(B(POST), HELPER_ENDED, remains, ACTIVE_EXITED, unvalidated_end),
        MOVE(B(POST), HELPER_ENDED, oneshot, STOP_TERM, unvalidated_end), GO_(B(POST), HELPER_ENDED, HOLD),
        MOVE(B(POST), SETTLED, remains, ACTIVE_EXITED, unvalidated_end),
        MOVE(B(POST), SETTLED, oneshot, STOP_TERM, unvalidated_end), GO_(B(POST), SETTLED, HOLD),
        GO(EARLY_PHASES, EXITED, STOP_TERM, ended_early),
        GO(START_PHASES & ~B(SPAWN), TIMEOUT, STOP_TERM, start_timeout),
        GO(PROBE_PHASES | B(POST), LIVENESS_FAILED, STOP_TERM, liveness),

        /* ---- validation */
        MOVE(B(HOLD), SETTLED, unvalidated, RUNNING, validated), IGNORE_IF(B(HOLD), SETTLED, held),
        GO_(B(HOLD), SETTLED, EVIDENCE), MOVE(B(HOLD), VALIDATE, unvalidated, RUNNING, validated),
        GO(B(HOLD), VALIDATE, EVIDENCE, release),
        GO(START_PHASES | B(BACKOFF) | STOP_PHASES, VALIDATE, SAME, release), IGNORE(ALL_PHASES, VALIDATE),
        GO(B(EVIDENCE), EVIDENCE_PASSED, RUNNING, validated),
        GO(B(EVIDENCE), EVIDENCE_ISSUES, RUNNING, issues),
        GO(B(EVIDENCE), EVIDENCE_FAILED, STOP_TERM, evidence_failed),
        GO(B(EVIDENCE), TIMEOUT, STOP_TERM, validate_timeout),
        MOVE(JUDGED_PHASES, EXITED, remains, ACTIVE_EXITED, unvalidated_end),
        MOVE(JUDGED_PHASES, EXITED, plain_well, STOP_TERM, unvalidated_end),

        /* ---- up */
        MOVE(B(RUNNING) | B(RELOAD), EXITED, remains, ACTIVE_EXITED, reaped),
        GO(LIVE_PHASES, EXITED, STOP_TERM, ended), GO(LIVE_PHASES, LIVENESS_FAILED, STOP_TERM, liveness),
        GO(LIVE_PHASES, LIVENESS_PASSED, SAME, alive),
        GO(PROBE_PHASES | B(POST), LIVENESS_PASSED, SAME, alive),
        GO(LIVE_PHASES, READINESS_PASSED, SAME, healthy), GO(B(POST), READINESS_PASSED, SAME, healthy),
        GO(LIVE_PHASES | B(POST) | B(PROBE_READY), READINESS_FAILED, SAME, unhealthy),
        GO(LIVE_PHASES, HEARTBEAT, SAME, heartbeat), GO(LIVE_PHASES, WATCHDOG, STOP_TERM, watchdog),
        MOVE(B(RELOAD), HELPER_ENDED, more, SAME, next),
        MOVE(B(RELOAD), HELPER_ENDED, well, RUNNING, reloaded),
        GO(B(RELOAD), HELPER_ENDED, RUNNING, reload_failed), GO(B(RELOAD), TIMEOUT, RUNNING, reload_failed),

        /* ---- stopping */
        MOVE(B(STOP_CMD), HELPER_ENDED, next_any, SAME, next), GO_(B(STOP_CMD), HELPER_ENDED, STOP_TERM),
        GO_(B(STOP_CMD), TIMEOUT, STOP_TERM),
        IGNORE(B(STOP_CMD), GROUP_EMPTY), /* the command itself may be between fork and look */
        GO(B(STOP_CMD), EXITED, SAME, reaped), MOVE_(B(STOP_TERM), SETTLED, leave_group, STOP_POST),
        GO_(B(STOP_TERM), SETTLED, STOP_KILL), MOVE(B(STOP_TERM), EXITED, leave_group, STOP_POST, reaped),
        MOVE(B(STOP_TERM), EXITED, mixed, STOP_KILL, reaped), GO(B(STOP_TERM), EXITED, SAME, reaped),
        MOVE_(B(STOP_TERM), GROUP_EMPTY, main_dead, STOP_POST), GO_(B(STOP_TERM), TIMEOUT, STOP_KILL),
        GO(B(STOP_KILL), EXITED, SAME, reaped), MOVE_(B(STOP_KILL), GROUP_EMPTY, post_over, SETTLE),
        MOVE_(B(STOP_KILL), GROUP_EMPTY, main_dead, STOP_POST), GO(B(STOP_KILL), TIMEOUT, SAME, kill_again),
        IGNORE(STOP_PHASES, GROUP_EMPTY), /* the main process is still to be reaped */
        MOVE(B(STOP_POST), HELPER_ENDED, next_any, SAME, next),
        GO(B(STOP_POST), HELPER_ENDED, SETTLE, post_over), GO_(B(STOP_POST), SETTLED, SETTLE),
        GO(B(STOP_POST), TIMEOUT, STOP_KILL, post_over),

        /* ---- what comes next */
        MOVE_(B(SETTLE), SETTLED, stopped, DOWN), MOVE(B(SETTLE), SETTLED, again, PRE, begin_again),
        MOVE_(B(SETTLE), SETTLED, later, BACKOFF), MOVE_(B(SETTLE), SETTLED, exited, EXITED),
        MOVE_(B(SETTLE), SETTLED, quarantined, QUARANTINED), GO_(B(SETTLE), SETTLED, FAILED),
        IGNORE_IF(B(BACKOFF), TIMEOUT, pinned_down), GO(B(BACKOFF), TIMEOUT, PRE, begin_again),

        /* ---- pins, reset, skip */
        MOVE(B(BACKOFF), PIN_UP, waits_for_pin, PRE, start_now), GO(ALL_PHASES, PIN_UP, SAME, pin_up),
        GO(B(BACKOFF), PIN_DOWN, SAME, pin_backoff), GO(ALL_PHASES, PIN_DOWN, SAME, pin_down),
        MOVE(B(BACKOFF), UNPIN, waits_for_pin, PRE, start_now), GO(ALL_PHASES, UNPIN, SAME, unpin),
        GO(B(QUARANTINED) | B(FAILED), RESET, DOWN, reset), GO(ALL_PHASES, RESET, SAME, reset),
        GO(B(DOWN), SKIP, SAME, skip), IGNORE(ALL_PHASES, SKIP),

        /* ---- late, and harmless */
        IGNORE(ALL_PHASES & ~B(SPAWN), READY), IGNORE(ALL_PHASES, HEARTBEAT),
        IGNORE(ALL_PHASES, STARTUP_PASSED), IGNORE(ALL_PHASES, STARTUP_FAILED),
        IGNORE(ALL_PHASES, READINESS_PASSED), IGNORE(ALL_PHASES, READINESS_FAILED),
        IGNORE(ALL_PHASES, LIVENESS_PASSED), IGNORE(ALL_PHASES, LIVENESS_FAILED),
        IGNORE(ALL_PHASES, EVIDENCE_PASSED), IGNORE(ALL_PHASES, EVIDENCE_ISSUES),
        IGNORE(ALL_PHASES, EVIDENCE_FAILED), IGNORE(ALL_PHASES, TIMEOUT), IGNORE(ALL_PHASES, WATCHDOG),
        IGNORE(ALL_PHASES, GROUP_EMPTY), IGNORE(ALL_PHASES, PREPARED),
        IGNORE(ALL_PHASES, HELPER_ENDED), /* of a command that its phase no longer waits for */
};
const size_t unit_rows_n = ELEMENTSOF(unit_rows);

UnitState unit_phase_state(UnitPhase p) {
        static const UnitState states[] = {
#define X(P, S) UNIT_##S,
                UNIT_PHASES(X)
#undef X
        };
        return p < _PHASE_MAX ? states[p] : UNIT_INACTIVE;
}

const char *unit_phase_to_string(UnitPhase p) {
        static const char *const names[] = {
#define X(P, S) #P,
                UNIT_PHASES(X)
#undef X
        };
        return p < _PHASE_MAX ? names[p] : "invalid";
}

const char *unit_event_to_string(UnitEventType t) {
        static const char *const names[] = {
#define X(E) #E,
                UNIT_EVENTS(X)
#undef X
        };
        return t < _EV_MAX ? names[t] : "invalid";
}

const char *unit_command_to_string(UnitCommandType t) {
        static const char *const names[] = {
#define X(C) #C,
                UNIT_COMMANDS(X)
#undef X
        };
        return t < _CMD_MAX ? names[t] : "invalid";
}

static int dot_row(const Row *r, Buf *out) {
        int k = 0;
        for (unsigned p = 0; p < _PHASE_MAX && k == 0; p++) {
                if (!(r->from >> p & 1) || r->kind != ROW_MOVE || r->to == PHASE_SAME)
                        continue;
                k = buf_appendf(out, "  %s -> %s [label=\"%s%s%s%s\"];\n", unit_phase_to_string((UnitPhase)p),
                        unit_phase_to_string(r->to), unit_event_to_string(r->event), r->guard ? " [" : "",
                        r->guard ? r->guard_name : "", r->guard ? "]" : "");
        }
        return k;
}

int unit_state_dot(Buf *out) {
        int r = buf_appendf(out, "digraph unit_states {\n  rankdir=LR;\n  node [shape=box];\n");
        for (unsigned p = 0; p < _PHASE_MAX && r == 0; p++)
                if (p != PHASE_SETTLE)
                        r = buf_appendf(out, "  %s [label=\"%s\\n%s\"];\n",
                                unit_phase_to_string((UnitPhase)p), unit_phase_to_string((UnitPhase)p),
                                unit_state_to_string((int)unit_phase_state((UnitPhase)p)));
        for (size_t i = 0; i < unit_rows_n && r == 0; i++)
                r = dot_row(&unit_rows[i], out);
        return r < 0 ? r : buf_appendf(out, "}\n");
}
