/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Budgets: allow decisions in a window, in all or a target, that were not followed by not_run. Reserved at
 * evaluation. */
#include "chunks/governance/policy.h"

typedef struct Spent {
        uint8_t request_id[16];
        char target[128];
        GateNow at;
        uint32_t budgets; /* bit i: counts against budget i of the policy */
} Spent;
typedef struct Budgets {
        Spent *items; /* in order of evaluation */
        size_t n, cap;
} Budgets;

/* Which budgets this request counts against, as bits. */
uint32_t budgets_of(const GatePolicy *p, const GateInput *in);
/* Fills in->budgets with what is left of each of them. */
void budgets_fill(const Budgets *b, const GatePolicy *p, GateInput *in);
/* An allow: counts from now on. 0, -ENOMEM. Forgets what is out of every window. */
int budgets_reserve(Budgets *b, const GatePolicy *p, const GateInput *in);
/* It was not run (or its decision never became durable): counts no more. */
void budgets_release(Budgets *b, const uint8_t request_id[16]);
/* The policy changes: what counted against a budget counts against the one of the same id. */
void budgets_remap(Budgets *b, const GatePolicy *from, const GatePolicy *to);
void budgets_done(Budgets *b);
