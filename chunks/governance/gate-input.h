/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One request as the gate judges it, complete: what was asked, by whom, about what, with which facts and
 * claims, at what time, and what the gate itself knew (trust, budgets left). It is written into the
 * decision's body as `request`, so that a decision can be evaluated again from its record alone.
 */
#include "common/json/json-read.h"
#include "common/json-writer.h"
#include "common/msg.h"
#include "common/rules/rules.h"
#include "common/vocab.h"

enum { GATE_FACTS_MAX = 40, GATE_HEAL_MAX = 24, GATE_LABELS_MAX = 24, GATE_BUDGETS_MAX = 16 };

/* When, for windows and expiry: boot time within one boot, wall time across boots. */
typedef struct GateNow {
        uint8_t boot_id[16];
        uint64_t boot_us, wall_us;
} GateNow;
/* Microseconds from `then` to `now`; 0 when the clock went backwards. */
uint64_t gate_elapsed_us(const GateNow *then, const GateNow *now);
/* True when `then` lies in another boot and wall time went backwards since. */
bool gate_clock_went_back(const GateNow *then, const GateNow *now);

typedef struct GateFact {
        char name[64];
        RuleType type; /* RULE_INT RULE_STRING RULE_BOOL */
        int64_t i;
        char s[192];
} GateFact;

typedef struct GateInput {
        ActionRequest request;
        uint8_t digest[32];
        char purpose[17];    /* act, check */
        char actor_kind[17]; /* person unit supervisor */
        uint64_t uid;        /* UINT64_MAX: none */
        Role role;
        Mode mode;
        uint64_t priority_milli;
        bool critical, can_fail, paused, lockdown, break_glass;
        unsigned n_heal, n_labels, n_facts, n_claims;
        char heal[GATE_HEAL_MAX][65];
        char labels[GATE_LABELS_MAX][129]; /* "k=v", sorted */
        GateFact facts[GATE_FACTS_MAX];    /* sorted by name */
        GateFact claims[GATE_FACTS_MAX];
        char reason[513], correlation_id[81];
        GateNow now;
        /* the gate's own knowledge, filled before evaluation and recorded */
        int64_t trust; /* of the actor; -1: not kept (persons) */
        unsigned n_budgets;
        struct {
                char id[33];
                int64_t left;
        } budgets[GATE_BUDGETS_MAX]; /* those this request counts against, in policy order */
} GateInput;

/* From a DECIDE. 0, or -EINVAL with why (a malformed arg, fact, claim or label; a digest that is not the
 * request's). The request's identity (request_id, digest, actor, action, target) is filled in either case. */
int gate_input_from_decide(GateInput *in, const Msg *m, char *why, size_t cap);
/* Replaces facts, mode, pause, lockdown, break-glass and time by those of an APPROVAL_ANSWERED. 0, -EINVAL
 * with why. */
int gate_input_refresh(GateInput *in, const Msg *m, char *why, size_t cap);
/* The `request` object of a decision's body, and back. gate_input_from_json: 0, -EINVAL. */
void gate_input_to_json(const GateInput *in, JsonWriter *w);
int gate_input_from_json(GateInput *in, const json_t *request, const char *purpose);
