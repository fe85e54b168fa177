/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The boot plan: units of one priority form a stage; inside a stage After, Before, Requires and Wants order.
 * Links need their target to exist, the priorities order them. Pure, linear in units and edges. The plan
 * keeps the UnitConfigs by reference.
 */
#include "common/buf.h"
#include "common/error.h"
#include "guardian/unit.h"

#define PLAN_NONE UINT32_MAX

typedef struct PlanEdge {
        uint32_t to;      /* index of the other unit */
        bool hard;        /* Requires: a failure of it skips; soft: After, Before, Wants: only waits */
        const char *file; /* where the dependency stands */
        unsigned line;
} PlanEdge;

typedef struct PlanUnit {
        const UnitConfig *config;
        uint32_t stage;
        bool boots;      /* enabled, or pulled in by one that boots */
        PlanEdge *needs; /* inside the stage: waits for these; hard ones of earlier stages too */
        uint32_t n_needs;
        uint32_t *needed_by; /* inverse of needs */
        uint32_t n_needed_by;
        uint32_t *required_by; /* who names it in Requires= or Links=, any stage */
        uint32_t n_required_by;
} PlanUnit;

typedef struct PlanStage {
        uint32_t priority_milli;
        uint32_t first, n; /* range of plan->order */
} PlanStage;

typedef struct Plan {
        PlanUnit *units; /* in the order of the array given */
        uint32_t n;
        PlanStage *stages; /* ascending priority */
        uint32_t n_stages;
        uint32_t *order; /* start order: by stage, dependencies first, then by name; stop is its exact reverse
                          */
        void *memory;    /* of the edges */
} Plan;

/* 0 with *ret (free with plan_free); 1: refused, problems say why (cycle, priority-conflict, unknown-unit,
 * ...) and *ret is NULL; -ENOMEM. */
int plan_build(UnitConfig *const *units, uint32_t n, Plan **ret, Problems *problems);
Plan *plan_free(Plan *p);
uint32_t plan_find(const Plan *p, const char *name); /* PLAN_NONE: unknown; linear, for operators' verbs */
/* Units that need `unit`, directly or not, by Requires or Links; appended to out (cap entries), number found
 * returned. For `stop` ("others need it"). */
uint32_t plan_dependents(const Plan *p, uint32_t unit, uint32_t *out, uint32_t cap);
/* `graph units`: DOT text. 0 or -ENOMEM, -ENOBUFS. */
int plan_dot(const Plan *p, Buf *out);
