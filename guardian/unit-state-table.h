/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between unit-state.c (actions, step) and unit-state-table.c (the rows, names, DOT); nobody else includes
 * it. */
#include "guardian/unit-state.h"

enum { KILL_AGAIN_US = 2000000 };

typedef enum Fate {
        FATE_NONE,
        FATE_STOPPED, /* by request */
        FATE_AGAIN,   /* a new instance now */
        FATE_LATER,   /* a new instance at the deadline or at unpin */
        FATE_EXITED,
        FATE_FAILED,
        FATE_QUARANTINED
} Fate;

/* One event being worked on. */
typedef struct Step {
        UnitMachine *m;
        const UnitEvent *ev;
        uint64_t now;
        UnitCommands *out;
        int result;
} Step;

typedef bool (*Guard)(const Step *s);
typedef void (*Action)(Step *s);

#define PHASE_BIT(p) (UINT32_C(1) << PHASE_##p)
#define PHASE_SAME   _PHASE_MAX /* "to" of a row that stays */
typedef enum RowKind { ROW_MOVE, ROW_IGNORE, ROW_REFUSE, ROW_PINNED } RowKind;

typedef struct Row {
        uint32_t from; /* bits */
        UnitEventType event;
        Guard guard; /* NULL: always. The first row that fits is taken */
        const char *guard_name;
        RowKind kind;
        UnitPhase to;
        Action action; /* before the phase changes; NULL: none */
} Row;
extern const Row unit_rows[];
extern const size_t unit_rows_n;

#define UNIT_GUARDS(X)                                                                                       \
        X(more)     /* this command ended well (or may fail) and another follows in its list */              \
        X(well)     /* this command ended well, or may fail */                                               \
        X(ill)      /* it did not */                                                                         \
        X(next_any) /* another follows, however this one ended */                                            \
        X(oneshot)                                                                                           \
        X(oneshot_more) /* a oneshot's main process ended well and another follows */                        \
        X(ended_well)   /* the main process ended well */                                                    \
        X(remains)      /* RemainAfterExit and ended well */                                                 \
        X(speaks)       /* Type says ready itself */                                                         \
        X(plain_well)   /* no chunk, and ended well: nothing left to validate */                             \
        X(unprepared)   /* the preparation failed */                                                         \
        X(unvalidated)  /* GuardianValidates=no */                                                           \
        X(held)         /* evidence is not to be taken yet */                                                \
        X(goal_down)                                                                                         \
        X(goal_restart)                                                                                      \
        X(stop_command)                     /* ExecStop given */                                             \
                X(reload_command)           /* ExecReload given */                                           \
                X(main_dead) X(leave_group) /* KillMode=process, going down, and the main process is gone */ \
                X(mixed) X(post_over)       /* ExecStopPost is done with */                                  \
                X(pinned_down) X(stop_refused) /* pinned up, not forced */                                   \
                X(waits_for_pin) X(stopped) X(again) X(later) X(exited) X(quarantined)
#define X(n) bool guard_##n(const Step *s);
UNIT_GUARDS(X)
#undef X

#define UNIT_ACTIONS(X)                                                                                      \
        X(start)                                                                                             \
        X(start_now)                                                                                         \
        X(restart_down) X(begin_again) X(next) X(start_failed) X(spawn_failed) X(spawned) X(ended)           \
                X(ended_early) X(reaped) X(oneshot_done) X(start_timeout) X(startup_probe) X(liveness)       \
                        X(watchdog) X(validated) X(issues) X(evidence_failed) X(validate_timeout) X(release) \
                                X(stop) X(restart) X(down_instead) X(up_again) X(healthy) X(unhealthy)       \
                                        X(alive) X(heartbeat) X(reloaded) X(reload_failed) X(kill_again)     \
                                                X(post_over) X(pin_up) X(pin_down) X(unpin) X(pin_backoff)   \
                                                        X(reset) X(skip) X(unvalidated_end)
#define X(n) void action_##n(Step *s);
UNIT_ACTIONS(X)
#undef X

/* Called by unit_step() at entry of SETTLE: sets m->fate, verdicts, back-off. */
void unit_settle(Step *s);
void step_emit(Step *s, UnitCommand c);
void step_run(Step *s, ExecList list, unsigned index);
void step_ready(Step *s);                            /* CMD_READY and all that goes with it */
ExecList phase_list(UnitPhase p);                    /* whose commands run in a phase */
const ExecCommands *phase_commands(const UnitMachine *m);
void step_arm(Step *s, UnitTimer t, uint64_t at_us); /* UINT64_MAX or 0: disarms */
void step_verdict(Step *s, UnitVerdict v);
void step_health(Step *s, Health h);
static inline uint64_t later(uint64_t now, uint64_t us) {
        return us > UINT64_MAX - now ? UINT64_MAX : now + us;
}

/* Policy of an end, in unit-state-policy.c. */
bool exit_is_clean(const UnitConfig *c, const ExitInfo *e);
bool restart_wanted(const UnitMachine *m);
PacingConfig unit_pacing_config(const UnitConfig *c);
uint64_t unit_random(UnitMachine *m);
