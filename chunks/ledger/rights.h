/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who may write what, by pipe: for the core (which refuses the rest) and the verifier (which re-tests). */
#include "chunks/ledger/record.h"

typedef enum WriterId { W_GOVERNANCE, W_GUARDIAN, W_IMMUNE, W_MESH, W_LEDGER, _WRITER_MAX } WriterId;
int writer_id(Str name); /* -ENOENT: no unit that may write */
const char *writer_name(WriterId w);
/* By kind and, for a config record, by META_ACTION: "policy" and "policy.*" are governance's, all others
 * Guardian's. */
bool writer_may(WriterId w, const Record *r);
/* A decision that may license an intent: by governance, allow, not of purpose check, with request id and
 * digest. */
bool record_licenses(const Record *r);

/* Guards that tests/sim switches off to show that it notices; nothing of this is in a shipped build. Which
 * rule each takes out stands in tests/sim/rules.txt. */
#define LEDGER_FAULTS(X)                                                                                     \
        X(NO_INTENT_CHECK, "ledger_no_intent_check") /* any intent is taken */                               \
        X(INTENT_OF_OTHER, "ledger_intent_of_other") /* an intent refers to another request's decision */    \
        X(CHECK_LICENSES, "ledger_check_licenses")   /* a decision of purpose check licenses one */          \
        X(ANY_WRITER, "ledger_any_writer")           /* every writer writes every kind */                    \
        X(NO_DEDUP, "ledger_no_dedup")               /* a repeated append is a new record */                 \
        X(NO_FENCE, "ledger_no_fence")       /* a reader does not wait for its predecessor's records */      \
        X(NO_ROLLBACK, "ledger_no_rollback") /* what a writer remembers is not compared */
#define X_FAULT(N, s) LEDGER_FAULT_##N,
typedef enum LedgerFault { LEDGER_FAULT_NONE, LEDGER_FAULTS(X_FAULT) _LEDGER_FAULT_MAX } LedgerFault;
#undef X_FAULT
#ifdef GUARDIAN_TEST_HOOKS
extern LedgerFault ledger_fault;
#define LEDGER_FAULTY(f) (ledger_fault == LEDGER_FAULT_##f)
#else
#define LEDGER_FAULTY(f) false
#endif
