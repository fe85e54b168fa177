/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Trust of the components that act by themselves: a fold over what was observed (ends of actions, denials),
 * with points that come back with time up to the initial score. Time is always recorded time. */
#include "chunks/governance/policy.h"

enum { TRUST_COMPONENTS_MAX = 256 };
typedef struct TrustEntry {
        char component[161];
        int64_t score;
        GateNow since;     /* when the score was that */
        char last[64];     /* what moved it */
        uint64_t index;    /* of that record, UINT64_MAX: none yet */
        uint64_t observed; /* outcomes counted */
} TrustEntry;
typedef struct Trust {
        TrustEntry *items;
        unsigned n;
} Trust;

/* The score at `now`; a component never seen has the initial one. */
int64_t trust_score(const Trust *t, const TrustPolicy *p, const char *component, const GateNow *now);
/* Moves it by delta for what happened at `when`. 0, -ENOMEM; past 256 components the one that moved longest
 * ago is forgotten (it would have recovered). */
int trust_move(Trust *t, const TrustPolicy *p, const char *component, int64_t delta, const char *what,
        uint64_t index, const GateNow *when);
void trust_json(
        const Trust *t, const TrustPolicy *p, const char *component, const GateNow *now, JsonWriter *w);
void trust_done(Trust *t);
