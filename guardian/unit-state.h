/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The life of one unit as a table {from, event, guard, to, action}: `(machine, event, now) -> commands`. No
 * clock, no I/O. The phases are finer than the states people see; unit_phase_state() maps them. The shell
 * carries out the commands in order and feeds back what happened as events; an event that belongs to an older
 * instance must not be fed (the shell compares `instance`).
 *
 * Starting: ExecStartPre one by one -> PREPARE (units that need it: unit_prepares()) -> SPAWN -> ready (exec, simple: spawned; notify, chunk: EV_READY;
 * oneshot: last command ended well), then StartupProbe, then ReadinessProbe -> ExecStartPost -> CMD_READY ->
 * evidence -> running. Every end goes the same way: the group is emptied, ExecStopPost runs, then it is
 * settled what comes next.
 *
 * What the shell owes: EV_PREPARED some time after CMD_PREPARE, or never: the start's deadline runs, and an answer that nobody
 * waits for any more is harmless; EV_SPAWNED or EV_SPAWN_FAILED right after CMD_SPAWN; EV_HELPER_ENDED for the command
 * of the last CMD_RUN only; EV_GROUP_EMPTY as soon as no process of the unit is left while its state is
 * `stopping` (looked at right after SIGNAL_* and EMPTY_GROUP and after each reaping; twice does no harm).
 * Timers may fire late or after they were replaced: the machine compares.
 */
#include "common/buf.h"
#include "common/vocab.h"
#include "guardian/unit.h"
#include "supervisor/pacing.h"

#define UNIT_PHASES(X)                                                                                       \
        X(DOWN, INACTIVE)          /* never started, or stopped by request */                                \
        X(PRE, STARTING)           /* a command of ExecStartPre runs */                                      \
        X(PREPARE, STARTING)       /* CMD_PREPARE given: files, ids and directories are looked at */         \
        X(SPAWN, STARTING)         /* CMD_SPAWN given, outcome not known */                                  \
        X(ONESHOT, STARTING)       /* a command of a oneshot runs */                                         \
        X(WAIT_READY, STARTING)    /* its own word of readiness is due */                                    \
        X(PROBE_STARTUP, STARTING) /* StartupProbe decides */                                                \
        X(PROBE_READY, STARTING)   /* ReadinessProbe decides */                                              \
        X(POST, STARTING)          /* a command of ExecStartPost runs */                                     \
        X(HOLD, VALIDATING)        /* ready; evidence is not to be taken yet */                              \
        X(EVIDENCE, VALIDATING)    /* CMD_TAKE_EVIDENCE given */                                             \
        X(RUNNING, RUNNING)                                                                                  \
        X(RELOAD, RELOADING)     /* a command of ExecReload runs */                                          \
        X(ACTIVE_EXITED, EXITED) /* RemainAfterExit: ended well, counts as up */                             \
        X(STOP_CMD, STOPPING)    /* a command of ExecStop runs */                                            \
        X(STOP_TERM, STOPPING)   /* KillSignal sent */                                                       \
        X(STOP_KILL, STOPPING)   /* FinalKillSignal or group emptying */                                     \
        X(STOP_POST, STOPPING)   /* a command of ExecStopPost runs */                                        \
        X(SETTLE, STOPPING)      /* passing: what comes next is decided */                                   \
        X(BACKOFF, BACKOFF)      /* a new instance at the deadline, or at unpin */                           \
        X(EXITED, EXITED)        /* ended by itself, well, for good */                                       \
        X(FAILED, FAILED)                                                                                    \
        X(QUARANTINED, QUARANTINED)
typedef enum UnitPhase {
#define X(P, S) PHASE_##P,
        UNIT_PHASES(X)
#undef X
                _PHASE_MAX
} UnitPhase;

#define UNIT_EVENTS(X)                                                                                       \
        X(START)        /* reason in ev->reason (NONE: boot); from DOWN, EXITED, FAILED, BACKOFF */          \
        X(STOP)         /* for good */                                                                       \
        X(RESTART)      /* stop, then start at once; ev->reason operator, healing, dependency */             \
        X(RELOAD)       /* ExecReload */                                                                     \
        X(PREPARED)     /* ev->error: 0, or what CMD_PREPARE met with */                                     \
        X(SPAWNED)      /* the exec has worked */                                                            \
        X(SPAWN_FAILED) /* ev->error */                                                                      \
        X(HELPER_ENDED) /* the command of CMD_RUN ended (or could not be started): ev->exit */               \
        X(READY)        /* READY=1 or the chunk's READY */                                                   \
        X(HEARTBEAT)    /* WATCHDOG=1 or HEARTBEAT */                                                        \
        X(STARTUP_PASSED)                                                                                    \
        X(STARTUP_FAILED)                                                                                    \
        X(READINESS_PASSED)                                                                                  \
        X(READINESS_FAILED)                                                                                  \
        X(LIVENESS_PASSED)                                                                                   \
        X(LIVENESS_FAILED)                                                                                   \
        X(VALIDATE) /* evidence may be taken now */                                                          \
        X(EVIDENCE_PASSED)                                                                                   \
        X(EVIDENCE_ISSUES) /* nothing failed, but something could not be shown: degraded */                  \
        X(EVIDENCE_FAILED)                                                                                   \
        X(EXITED)      /* the main process was reaped: ev->exit */                                           \
        X(GROUP_EMPTY) /* no process of the unit is left */                                                  \
        X(TIMEOUT)     /* the phase's deadline */                                                            \
        X(WATCHDOG)    /* the watchdog's deadline */                                                         \
        X(PIN_UP)                                                                                            \
        X(PIN_DOWN)                                                                                          \
        X(UNPIN)                                                                                             \
        X(RESET)   /* clears a quarantine or failure and the pacing */                                       \
        X(SKIP)    /* boot: a requirement failed */                                                          \
        X(SETTLED) /* internal */
typedef enum UnitEventType {
#define X(E) EV_##E,
        UNIT_EVENTS(X)
#undef X
                _EV_MAX
} UnitEventType;

typedef struct ExitInfo {
        bool signaled; /* else `status` is an exit status */
        int status;    /* exit status or signal number */
        bool unknown;  /* re-adopted and not told: a failure */
        int error;     /* negative errno: could not be started at all; -ENOENT, -EACCES, -ESRCH, -EKEYREJECTED: nor will it be */
} ExitInfo;
/* It ended by itself with a status, and somebody saw it. */
static inline bool exit_has_status(const ExitInfo *e) {
        return !e->signaled && !e->unknown && !e->error;
}

typedef struct UnitEvent {
        UnitEventType type;
        RestartReason reason; /* START, RESTART, STOP */
        bool force; /* STOP: also of a unit pinned up (shutdown, --force); WATCHDOG: it asked for it, no deadline passed */
        int error;            /* PREPARED, SPAWN_FAILED: negative errno */
        ExitInfo exit;        /* EXITED, HELPER_ENDED */
} UnitEvent;

#define UNIT_COMMANDS(X)                                                                                     \
        X(RUN)           /* start config->exec[list].items[index] as a helper process of the unit */         \
        X(PREPARE)       /* what SPAWN of exec[EXEC_START].items[index] needs, off the loop: EV_PREPARED */  \
        X(SPAWN)         /* a new instance: exec[EXEC_START].items[index] is its main process */             \
        X(SIGNAL_MAIN)   /* sig */                                                                           \
        X(SIGNAL_GROUP)  /* sig to every process of the unit */                                              \
        X(EMPTY_GROUP)   /* `sig` to what is left, then EV_GROUP_EMPTY once all is gone, at once if it is */ \
        X(ARM)           /* deadline `timer` at `at_us`; replaces */                                         \
        X(DISARM)        /* timer */                                                                         \
        X(PROBE)         /* start probe `probe` */                                                           \
        X(PROBES_STOP)   /* all of them */                                                                   \
        X(TAKE_EVIDENCE) /* answer EVIDENCE_*, now or later */                                               \
        X(READY)         /* to the coordinator: those that wait for it may start */                          \
        X(VERDICT)       /* machine->verdict; to the coordinator */                                          \
        X(STATE)         /* the visible state changed from `from` to machine state: lifecycle event */       \
        X(HEALTH)        /* machine->health changed */                                                       \
        X(END)           /* an instance ended; last_exit, reason and counters are up to date */              \
        X(RELOADED)      /* ExecReload is over; `sig` 0: well, 1: not */
typedef enum UnitCommandType {
#define X(C) CMD_##C,
        UNIT_COMMANDS(X)
#undef X
                _CMD_MAX
} UnitCommandType;

typedef enum UnitTimer { TIMER_PHASE, TIMER_WATCHDOG, _TIMER_MAX } UnitTimer;
typedef struct UnitCommand {
        UnitCommandType type;
        ExecList list;  /* RUN */
        unsigned index; /* RUN, PREPARE, SPAWN */
        int sig;
        UnitTimer timer;
        uint64_t at_us;
        ProbeKind probe;
        UnitState from, to; /* STATE */
} UnitCommand;

enum { UNIT_COMMANDS_MAX = 24 };
typedef struct UnitCommands {
        UnitCommand items[UNIT_COMMANDS_MAX];
        unsigned n;
} UnitCommands;

typedef enum UnitPin { PIN_STATE_NONE, PIN_STATE_UP, PIN_STATE_DOWN } UnitPin;
typedef enum UnitGoal { GOAL_DOWN, GOAL_UP, GOAL_RESTART } UnitGoal;

typedef struct UnitMachine {
        const UnitConfig *config;
        UnitPhase phase; /* written by unit-state.c only, as all below */
        UnitGoal goal;
        UnitPin pin;
        UnitVerdict verdict;
        Health health;
        bool hold_validation; /* set by the shell before a boot start: evidence waits for EV_VALIDATE */
        bool boot_start;    /* started by the boot, no verdict yet: a CanFail=no unit is not started again */
        bool verdict_given; /* of this activation */
        bool main_alive, was_ready, waiting_pin, pending, post_over;
        uint8_t fate;       /* what SETTLE decided */
        unsigned index;     /* of the command that runs */
        unsigned retries;   /* StartRetries used */
        RestartReason why;  /* cause of the end under way, or of the last */
        bool failure;       /* the end under way counts as one */
        ExitInfo exit;      /* of the main process of this instance */
        uint64_t resume_us; /* when BACKOFF ends; 0: at unpin */
        Pacing pacing;
        uint64_t random; /* state of the jitter's generator */

        uint64_t instance; /* counts spawns of main processes, tried ones too, from 1 */
        uint64_t restarts; /* new instances after a first one, whatever the cause */
        struct {
                bool known;
                ExitInfo exit;
                RestartReason reason;
                uint64_t at_us;
        } last_exit;
        RestartReason started_by;
        uint64_t since_us;                                   /* of the visible state */
        uint64_t start_us, spawn_us, ready_us, validated_us; /* this instance; 0: not yet */
        uint64_t deadline[_TIMER_MAX];                       /* 0: not armed */
} UnitMachine;

/* What unit_step says beside the commands. */
enum {
        UNIT_STEP_OK = 0,
        UNIT_STEP_IGNORED = 1, /* on purpose: late, or already so */
        UNIT_STEP_INVALID = 2, /* cannot happen: log it; nothing changed */
        UNIT_STEP_PINNED = 3,  /* refused: pinned */
        UNIT_STEP_REFUSED =
                4, /* refused in this state (start of a quarantined unit, reload of one that is down) */
};

/* seed: for the jitter of the back-off; any number. */
void unit_machine_init(UnitMachine *m, const UnitConfig *config, uint64_t seed);
/* One event. Commands are appended to out, which the caller empties before (out->n = 0). Returns UNIT_STEP_*.
 */
int unit_step(UnitMachine *m, const UnitEvent *ev, uint64_t now_us, UnitCommands *out);

UnitState unit_phase_state(UnitPhase p);
static inline UnitState unit_machine_state(const UnitMachine *m) {
        return unit_phase_state(m->phase);
}
/* Nothing of it runs or will by itself: inactive, exited (not RemainAfterExit), failed, quarantined. What an
 * ordered stop waits for. */
bool unit_is_down(const UnitMachine *m);
bool unit_is_up(const UnitMachine *m); /* running, reloading, or RemainAfterExit and ended well */
/* Automatic restarts left before quarantine; UINT32_MAX: no limit. */
unsigned unit_budget_left(const UnitMachine *m, uint64_t now_us);

const char *unit_phase_to_string(UnitPhase p);
const char *unit_event_to_string(UnitEventType t);
const char *unit_command_to_string(UnitCommandType t);
/* The table as DOT, for `graph states` and the manual. 0, -ENOMEM or -ENOBUFS. */
int unit_state_dot(Buf *out);
