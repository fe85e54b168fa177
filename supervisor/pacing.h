/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * When an automatic restart may happen; pure. The first is immediate, then min(max, base x 2^n) with full
 * jitter; n goes back to zero after reset_us of being ready. More than `burst` automatic restarts within
 * `interval_us`: quarantined. A start by an operator, or one that was merely delayed (pin, dependency), never
 * counts: simply do not call pacing_restart() for it.
 */
#include <stdbool.h>
#include <stdint.h>

typedef struct PacingConfig {
        uint64_t base_us;      /* RestartSec */
        uint64_t max_delay_us; /* RestartMaxDelaySec */
        uint64_t reset_us;     /* RestartResetSec */
        uint64_t interval_us;  /* StartLimitIntervalSec, 0: no limit */
        unsigned burst;        /* StartLimitBurst, 0: no limit */
        bool jitter;           /* RestartJitter=full */
        bool literal;          /* RestartSec honoured as it stands, first restart too (.service) */
        bool forever;          /* bootstrap list: past the burst every max_delay_us instead of quarantine */
} PacingConfig;

typedef struct Pacing {
        unsigned failures; /* automatic restarts since the last reset */
        bool ready;
        uint64_t ready_us;  /* since when */
        uint64_t window_us; /* begin of the interval that `in_window` counts in */
        unsigned in_window;
} Pacing;

typedef enum PacingVerdict {
        PACING_RESTART,    /* after delay_us */
        PACING_EXHAUSTED,  /* `forever` only: after delay_us, and worth an alarm */
        PACING_QUARANTINE, /* not again by itself */
} PacingVerdict;

typedef struct PacingDecision {
        PacingVerdict verdict;
        uint64_t delay_us;
} PacingDecision;

#define PACING_DEFAULT                                                                                       \
        ((PacingConfig){.base_us = 100000,                                                                   \
                .max_delay_us = 30000000,                                                                    \
                .reset_us = 60000000,                                                                        \
                .interval_us = 300000000,                                                                    \
                .burst = 10,                                                                                 \
                .jitter = true})

void pacing_init(Pacing *p);
void pacing_ready(Pacing *p, uint64_t now_us); /* the instance became ready */
/* The instance ended and its Restart= says yes. random: any 64 random bits, used for the jitter. */
PacingDecision pacing_restart(Pacing *p, const PacingConfig *c, uint64_t now_us, uint64_t random);
void pacing_reset(Pacing *p); /* an operator's start or reset: as new */
/* Automatic restarts left before quarantine at now_us, UINT32_MAX without a limit. */
unsigned pacing_left(const Pacing *p, const PacingConfig *c, uint64_t now_us);
