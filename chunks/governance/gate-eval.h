/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One evaluation: (policy, request) -> decision. Deterministic: reads nothing but its arguments. */
#include "chunks/governance/policy.h"

enum { GATE_MATCHED_MAX = 32, GATE_MISSED_MAX = 3, GATE_ERRORS_MAX = 8 };
typedef struct GateDecision {
        Verdict verdict, would; /* would: what mode enforce would have said; equal when nothing was relaxed */
        Code code;
        unsigned n_matched, n_missed, n_errors, n_needs;
        struct {
                char id[80];
                Verdict effect;
                GateTier tier;
        } matched[GATE_MATCHED_MAX];
        struct {
                char id[80];
                char failed[200];
                unsigned tests;
        } missed[GATE_MISSED_MAX]; /* of a default deny: the nearest allow rules */
        char errors[GATE_ERRORS_MAX][120];
        GateNeed needs[GATE_NEEDS_MAX];
        char reason[200]; /* for people */
        char approval_id[49];
        char policy_revision[65];
        uint64_t expires_us; /* wall, of a question; 0 none */
} GateDecision;

/* approved: the question with this id was answered with yes, so that require_approval counts as given. NULL:
 * none. */
void gate_evaluate(const GatePolicy *p, const GateInput *in, const char *approval_id, GateDecision *ret);
/* A final refusal that no rule made (approval denied, malformed request). */
void gate_refuse(const GatePolicy *p, const GateInput *in, const char *approval_id, Code code,
        const char *reason, GateDecision *ret);
/* The body of the decision record: canonical JSON. 0 or negative errno. */
int gate_decision_body(const GateDecision *d, const GateInput *in, Buf *out);
