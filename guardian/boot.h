/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The boot coordinator: which unit starts, is validated, is skipped or stops when, over a Plan.
 * Pure: the shell tells what happened to each unit and takes orders with boot_next(). It is also
 * the ordered stop, and the source of `guardian.state` and of the `boot` document.
 */
#include "common/json-writer.h"
#include "common/vocab.h"
#include "guardian/plan.h"

#define BOOT_STATES(X)                                                                                       \
        X(BOOTING, "booting")                                                                                \
        X(RUNNING, "running") X(DEGRADED, "degraded") X(STOPPING, "stopping") X(ABORTED, "aborted")
#define X_BOOT(N, s) BOOT_##N,
typedef enum BootState { BOOT_STATES(X_BOOT) _BOOT_STATE_MAX } BootState;
#undef X_BOOT
const char *boot_state_to_string(BootState s);

typedef enum BootOrderType {
        BOOT_ORDER_NONE,     /* nothing to do now */
        BOOT_ORDER_START,    /* feed EV_START with hold_validation set */
        BOOT_ORDER_VALIDATE, /* feed EV_VALIDATE */
        BOOT_ORDER_SKIP,     /* feed EV_SKIP; `cause` is the requirement */
        BOOT_ORDER_STOP,     /* feed EV_STOP with force set; if the unit is down already, say so with
                                boot_unit_state() */
        BOOT_ORDER_STAGE,    /* stage `unit` (an index of plan->stages) has begun: lifecycle event */
        BOOT_ORDER_BOOTED,   /* every stage has its verdicts; state is running or degraded */
        BOOT_ORDER_ABORT,    /* `unit` failed with CanFail=no; STOP orders follow (unless keep_on_abort) */
        BOOT_ORDER_STOPPED,  /* everything is down */
} BootOrderType;
typedef struct BootOrder {
        BootOrderType type;
        uint32_t unit, cause; /* indexes of plan->units, or PLAN_NONE */
} BootOrder;

typedef struct BootUnit {
        UnitVerdict verdict;
        bool asked, spawned, ready, down, quarantined;
        bool stop_ordered, boot_done; /* boot_done: has its verdict of the boot */
        bool released, counted_bad, stop_counted;
        bool taken_over, early_spawned; /* started before the boot asked for it */
        UnitState state;
        bool validate_ordered;
        uint32_t waits; /* needs not ready yet; during a stop: dependents not down yet */
        uint64_t start_us, ready_us, validated_us; /* 0: not yet; absolute */
        uint32_t waited_for; /* last need that became ready, PLAN_NONE: the stage itself */
} BootUnit;

typedef struct BootStage {
        uint64_t start_us, end_us; /* 0: not yet */
        uint32_t to_spawn;         /* units not spawned, skipped or failed yet */
        uint32_t to_judge;         /* units without a verdict */
        uint32_t to_stop;
        uint32_t last; /* unit whose verdict ended it */
} BootStage;

typedef struct Boot {
        const Plan *plan; /* not owned */
        BootState state;
        bool keep_on_abort, stopping;
        BootUnit *units;
        BootStage *stages;
        uint32_t stage;      /* under way */
        uint32_t aborted_by; /* PLAN_NONE */
        uint32_t n_bad;      /* units that make the state degraded */
        uint64_t begin_us, end_us;
        BootOrder *queue; /* ring */
        uint32_t q_head, q_len, q_cap;
        uint32_t *work; /* units whose dependents are to be looked at */
        uint32_t n_work;
        uint32_t stop_stage; /* being stopped; PLAN_NONE: none */
} Boot;

int boot_init(Boot *b, const Plan *plan, bool keep_on_abort); /* -ENOMEM */
void boot_done(Boot *b);
/* Next order, or type NONE. Call until NONE after each of the functions below. */
BootOrder boot_next(Boot *b);

void boot_begin(Boot *b, uint64_t now_us);
/* What happened; repeated and late calls do no harm. */
void boot_unit_spawned(Boot *b, uint32_t unit, uint64_t now_us);
void boot_unit_ready(Boot *b, uint32_t unit, uint64_t now_us);                  /* CMD_READY */
void boot_unit_verdict(Boot *b, uint32_t unit, UnitVerdict v, uint64_t now_us); /* CMD_VERDICT */
/* CMD_STATE: down as unit_is_down() says; `state` for the quarantine rule. */
void boot_unit_state(Boot *b, uint32_t unit, UnitState state, bool down, uint64_t now_us);
/* It is pinned down, and has no process: until that ends it says nothing more. */
void boot_unit_held(Boot *b, uint32_t unit, uint64_t now_us);
/* Ordered stop of everything, reverse of the start, dependents first. Works at any time, also while booting.
 */
void boot_stop(Boot *b, uint64_t now_us);

/* The chain of units that determined the boot's length, first to last; number of indexes written (at most
 * cap). */
uint32_t boot_critical_chain(const Boot *b, uint32_t *out, uint32_t cap);
/* The `boot` document (policies/schemas/cli/boot.json). issues(user, unit, w) writes the members of the array
 * `issues`; may be NULL. */
void boot_write_json(
        const Boot *b, JsonWriter *w, void (*issues)(void *user, uint32_t unit, JsonWriter *w), void *user);
