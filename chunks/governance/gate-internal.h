/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The gate's state, shared by gate-core.c (events), gate-fold.c (records) and gate-message.c (what is said).
 */
#include "chunks/governance/budget.h"
#include "chunks/governance/gate-core.h"
#include "chunks/governance/trust.h"

/* All that is known of one request: the latest verdict as it was or would be sent, and its question. */
typedef struct Request {
        uint8_t id[16], digest[32];
        bool inflight;       /* a decision is on its way to the ledger */
        bool asked;          /* require_approval is on record */
        ApprovalState state; /* of the question: pending, approved (vote on record), anything else: closed */
        bool final;          /* allow or deny is on record */
        uint64_t index;      /* of the latest decision */
        uint64_t answer;     /* index of the deciding vote, UINT64_MAX */
        char approval_id[49], revision[65];
        GateInput *in;    /* while asked and not final */
        uint8_t *verdict; /* TLV bytes of the VERDICT, owned */
        uint16_t verdict_len, verdict_fields;
} Request;

typedef struct Flight {
        uint64_t token;
        Request *request; /* NULL: a config record */
        GateDecision *decision;
        GateInput *in; /* of the decision, owned */
        bool acked;
        uint64_t index;
} Flight;

struct Gate {
        GatePolicy *policy;
        GateOps ops;
        void *user;
        Request **requests; /* in order of first sight */
        unsigned n_requests;
        Flight flights[GATE_INFLIGHT_MAX]; /* in order of their appends */
        unsigned n_flights;
        uint64_t token, next_index;
        Budgets budgets;
        Trust trust;
        GateNow start; /* its boot id is the boot's */
        bool started, ended;
        char unreadable[400];       /* why nothing is decided, "": it is */
        char recorded_revision[65]; /* of the last config(policy) record */
        GateStats stats;
        GateInput scratch;
};

Request *gate_find(Gate *g, const uint8_t id[16]);
/* A new one; the oldest that is settled makes room. NULL: no memory, or all are open. */
Request *gate_request_new(Gate *g, const uint8_t id[16], const uint8_t digest[32]);
void gate_request_free(Request *r);
void gate_request_forget(Gate *g, Request *r);

/* A denial by a rule or by default moves the trust of a unit. */
void gate_trust_decision(Gate *g, const GateInput *in, Verdict verdict, Code code, uint64_t index);

/* ---- gate-message.c */
/* Keeps the VERDICT for the request. 0, -ENOMEM. */
int gate_keep_verdict(Request *r, const GateDecision *d, const GateInput *in, uint64_t index);
void gate_send_kept(Gate *g, const Request *r);
/* A denial that is not on record. */
void gate_send_refusal(Gate *g, const uint8_t id[16], const uint8_t digest[32], const char *approval_id,
        Code code, const char *reason);
void gate_send_state(Gate *g);
void gate_send_pending(Gate *g, const Request *r);
