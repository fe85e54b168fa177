/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The gate (HACKING.md, "A governed action"): DECIDE -> decision appended -> VERDICT once it is durable.
 * Pure: no clock, no I/O, no ledger client. Events are function calls, commands leave through GateOps inside
 * the call.
 *
 *   start    gate_new(); gate_record() for every record of GATE_FOLD_KINDS in index order; gate_started()
 * once. run      gate_record() for approval, action and config records that others wrote since
 * (before each DECIDE, so that a budget or trust is not judged by old news; records seen already are
 * ignored); gate_decide(), gate_answered(); gate_acked() for each append, in any order of arrival.
 *
 * - Idempotent by request_id: a DECIDE for a known request returns the latest recorded verdict; while its
 * append is under way it is dropped (the verdict comes). Another digest under a known id is answered with
 * approval_mismatch, unrecorded.
 * - Verdicts leave in the order of their appends, each only after its record and every earlier one is
 * durable.
 * - Reservation: an allow counts in its budgets from evaluation on.
 * - A question (require_approval) has the approval id "apr_" + request id; it is answered once:
 * gate_answered() evaluates anew and appends the second decision (allow or deny) with the same request_id and
 * digest, carrying the id.
 * - A decision on record that can't be read: what it reserved is not known, so nothing is allowed any more.
 * The gate stays, says so (POLICY_STATE failed) and denies everything as governance_unavailable: another
 * start would read the same record.
 * - gate_ledger_failed(), and an append refused: every unacknowledged reservation is void and ops->end() is
 * called; after it the gate answers nothing.
 */
#include "chunks/governance/gate-eval.h"

#define GATE_USE_BY_US 5000000ull
enum { GATE_INFLIGHT_MAX = 256, GATE_KNOWN_MAX = 4096, GATE_PENDING_MAX = 256 };
#define GATE_FOLD_KINDS                                                                                      \
        ((1ull << RECORD_DECISION) | (1ull << RECORD_APPROVAL) | (1ull << RECORD_ACTION) |                   \
                (1ull << RECORD_CONFIG))
/* what others write, for the catch-up while running */
#define GATE_LIVE_KINDS (GATE_FOLD_KINDS & ~(1ull << RECORD_DECISION))

typedef struct GateRecord {
        RecordKind kind;                    /* decision, config */
        const uint8_t *request_id, *digest; /* NULL: none */
        uint64_t ref;                       /* UINT64_MAX: none */
        uint64_t verdict_bits;
        const char *actor, *action, *resource, *correlation_id, *result; /* NULL: absent */
        Str body;
} GateRecord;

typedef struct GateOps {
        /* Append; gate_acked(token) follows later. r is borrowed for the call. 0, or -ENOBUFS: the request is
         * denied with `busy`, unrecorded. */
        int (*append)(void *user, const GateRecord *r, uint64_t token);
        /* VERDICT, APPROVAL_PENDING or POLICY_STATE to Guardian. */
        void (*send)(void *user, const MsgBuilder *b);
        /* The gate is over: why is a static text. Once. */
        void (*end)(void *user, const char *why);
} GateOps;

typedef struct Gate Gate;
typedef struct GateStats {
        uint64_t decisions, allowed, denied, asked, repeated, mismatched, records;
        unsigned inflight, pending_approvals;
} GateStats;

/* policy is owned from now on (also on failure). 0, -ENOMEM. */
int gate_new(GatePolicy *policy, const GateOps *ops, void *user, Gate **ret);
Gate *gate_free(Gate *g);
const GatePolicy *gate_policy(const Gate *g);
/* Takes a new policy (owned) between two requests: open questions of the old revision become void when
 * answered. Records a config(policy) and sends POLICY_STATE. */
int gate_set_policy(Gate *g, GatePolicy *policy);

/* One ledger record (MSG_RECORD, payload = body). 0, -ENOMEM; -EBADMSG, once: a decision that can't be read,
 * the records behind it are not looked at. */
int gate_record(Gate *g, const Msg *record);
/* Which record that was, why, and what to do. NULL: all were read. */
const char *gate_unreadable(const Gate *g);
/* The fold is complete. Sends POLICY_STATE and APPROVAL_PENDING for each open question (state pending, or
 * approved when the deciding vote is on record); then evaluates the approved ones with the recorded facts and
 * this time and mode. */
int gate_started(Gate *g, const GateNow *now, Mode mode);
uint64_t gate_next_index(const Gate *g); /* where to read on: one past the highest index seen */
/* A query that began when the ledger held `next` records is complete: nothing of ours below that was missed.
 */
void gate_seen_to(Gate *g, uint64_t next);

int gate_decide(Gate *g, const Msg *decide);
int gate_answered(Gate *g, const Msg *answered);
/* code "ok", or why the ledger refused (which ends the gate). hash is not kept. */
void gate_acked(Gate *g, uint64_t token, const char *code, uint64_t index);
void gate_ledger_failed(Gate *g);

void gate_stats(const Gate *g, GateStats *ret);
/* Documents of the person verbs `trust` and `policy`. */
void gate_trust_json(const Gate *g, const char *component /* NULL: all */, const GateNow *now, JsonWriter *w);
void gate_policy_json(const Gate *g, JsonWriter *w);

/* Guards that tests/sim switches off to show that it notices; nothing of this is in a shipped build. Which
 * rule each takes out stands in tests/sim/rules.txt. */
#define GATE_FAULTS(X)                                                                                       \
        X(JUDGE_TWICE, "gate_judges_twice")          /* an answer told twice is evaluated twice */           \
        X(REPEATS, "gate_repeats")                   /* DECIDE told twice, too */                            \
        X(FORGETS_ANSWER, "gate_forgets_answer")     /* an answer on record is not evaluated at the start */ \
        X(NO_REVISION, "gate_no_revision")           /* an approval holds under another policy */            \
        X(NO_BUDGET, "gate_no_budget")               /* budgets are not looked at */                         \
        X(RELAXES_TOP, "gate_relaxes_top")           /* modes relax constitution and lockdown */             \
        X(RELAXES_PEOPLE, "gate_relaxes_people")     /* and what persons ask for */                          \
        X(RELAXES_ALWAYS, "gate_relaxes_always")     /* every mode relaxes */                                \
        X(NO_WOULD, "gate_no_would")                 /* what enforce would have said is not recorded */      \
        X(CLAIMS_ARE_FACTS, "gate_claims_are_facts") /* what a proposer says is a fact */
#define X_FAULT(N, s) GATE_FAULT_##N,
typedef enum GateFault { GATE_FAULT_NONE, GATE_FAULTS(X_FAULT) _GATE_FAULT_MAX } GateFault;
#undef X_FAULT
#ifdef GUARDIAN_TEST_HOOKS
extern GateFault gate_fault;
#define GATE_FAULTY(f) (gate_fault == GATE_FAULT_##f)
#else
#define GATE_FAULTY(f) false
#endif
