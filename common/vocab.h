/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Words that every process must spell alike: verdicts, outcomes, record kinds, roles, modes, states, codes, healing
 * actions; and the digest that binds a verdict to exactly one request. Each enum has a table of
 * names; x_to_string() of a value out of range is "invalid", x_from_string() of an unknown name -EINVAL.
 */
#include "common/msg.h"
#include "common/str.h"
#include <stdbool.h>
#include <stdint.h>

#define VERDICTS(X) X(NONE, "none") X(ALLOW, "allow") X(DENY, "deny") X(REQUIRE_APPROVAL, "require_approval")
#define OUTCOMES(X) X(OK, "ok") X(FAILED, "failed") X(UNKNOWN, "unknown") X(NOT_RUN, "not_run")
#define RECORD_KINDS(X)                                                                                      \
        X(NONE, "none") X(BOOT, "boot") X(UNIT, "unit") X(EVENT, "event") X(DECISION, "decision")            \
        X(APPROVAL, "approval") X(INTENT, "intent") X(ACTION, "action") X(ANOMALY, "anomaly")                \
        X(INCIDENT, "incident") X(CONFIG, "config") X(KEY, "key") X(RECOVERY, "recovery") X(LOSS, "loss")    \
        X(CHECKPOINT, "checkpoint")
#define ROLES(X) X(NOBODY, "nobody") X(OBSERVER, "observer") X(OPERATOR, "operator") X(ADMIN, "admin")
#define MODES(X) X(NONE, "none") X(LOG_ONLY, "log_only") X(ENFORCE_CRITICAL, "enforce_critical") X(ENFORCE, "enforce")
#define UNIT_STATES(X)                                                                                       \
        X(INACTIVE, "inactive") X(STARTING, "starting") X(VALIDATING, "validating") X(RUNNING, "running")    \
        X(RELOADING, "reloading") X(STOPPING, "stopping") X(EXITED, "exited") X(BACKOFF, "backoff")          \
        X(FAILED, "failed") X(QUARANTINED, "quarantined")
#define UNIT_VERDICTS(X)                                                                                     \
        X(PENDING, "pending") X(PASSED, "passed") X(DEGRADED, "degraded") X(FAILED, "failed") X(SKIPPED, "skipped")
#define HEALTHS(X) X(UNKNOWN, "unknown") X(HEALTHY, "healthy") X(UNHEALTHY, "unhealthy")
#define RESTART_REASONS(X)                                                                                   \
        X(NONE, "none") X(EXIT, "exit") X(SIGNAL, "signal") X(WATCHDOG, "watchdog")                          \
        X(STARTUP_TIMEOUT, "startup_timeout") X(LIVENESS, "liveness") X(HEALING, "healing")                  \
        X(OPERATOR, "operator") X(DEPENDENCY, "dependency") X(UNKNOWN, "unknown")                          \
        /* added beside the promised ones */                                                                 \
        X(VALIDATION, "validation")
#define APPROVAL_STATES(X)                                                                                   \
        X(PENDING, "pending") X(APPROVED, "approved") X(DENIED, "denied") X(EXPIRED, "expired")              \
        X(VOID, "void") X(USED, "used")
#define HEALING_ACTIONS(X)                                                                                   \
        X(RESTART_SERVICE, "restart_service") X(SCALE_UP, "scale_up") X(SCALE_DOWN, "scale_down")            \
        X(ROLLBACK, "rollback") X(CIRCUIT_BREAKER, "circuit_breaker") X(RATE_LIMIT, "rate_limit")            \
        X(KILL_CONNECTION, "kill_connection") X(CLEAR_CACHE, "clear_cache")                                  \
        X(GARBAGE_COLLECT, "garbage_collect") X(ESCALATE_TO_HUMAN, "escalate_to_human")                      \
        X(QUARANTINE_COMPONENT, "quarantine_component") X(HARDEN_SECURITY, "harden_security")
/* codes of propose and of mutating verbs, which scripts read: a spelling never changes */
#define CODES(X)                                                                                             \
        X(OK, "ok") X(GOVERNANCE_UNAVAILABLE, "governance_unavailable") X(GOVERNANCE_ABSENT, "governance_absent") \
        X(LEDGER_UNAVAILABLE, "ledger_unavailable") X(DENIED_BY_RULE, "denied_by_rule")                      \
        X(DENIED_BY_ROLE, "denied_by_role") X(DEFAULT_DENY, "default_deny")                                  \
        X(APPROVAL_REQUIRED, "approval_required") X(APPROVAL_MISMATCH, "approval_mismatch")                  \
        X(APPROVAL_USED, "approval_used") X(APPROVAL_EXPIRED, "approval_expired")                            \
        X(SELF_APPROVAL, "self_approval") X(STALE_TARGET, "stale_target")                                    \
        X(BUDGET_EXCEEDED, "budget_exceeded") X(CEILING, "ceiling") X(PAUSED, "paused")                      \
        X(HEAL_NOT_LISTED, "heal_not_listed") X(UNKNOWN_UNIT, "unknown_unit")                                \
        X(UNKNOWN_ACTION, "unknown_action") X(RATE_LIMITED, "rate_limited")                                  \
        /* added beside the promised ones */                                                                 \
        X(UNKNOWN_ID, "unknown_id") X(FAILED, "failed") X(TIMEOUT, "timeout") X(TARGET_BUSY, "target_busy")  \
        X(LEDGER_ROLLBACK, "ledger_rollback") X(ALREADY_VOTED, "already_voted")                              \
        X(APPROVAL_DENIED, "approval_denied") X(INVALID, "invalid") X(NEEDED_BY_OTHERS, "needed_by_others")  \
        X(PINNED, "pinned") X(LOCKDOWN, "lockdown") X(INTENT_REFUSED, "intent_refused") X(BUSY, "busy")      \
        X(UNSUPPORTED, "unsupported") X(UNRECORDED, "unrecorded")

#define X_VERDICT(N, s) VERDICT_##N,
#define X_OUTCOME(N, s) OUTCOME_##N,
#define X_RECORD(N, s) RECORD_##N,
#define X_ROLE(N, s) ROLE_##N,
#define X_MODE(N, s) MODE_##N,
#define X_UNIT(N, s) UNIT_##N,
#define X_UNIT_VERDICT(N, s) UNIT_VERDICT_##N,
#define X_HEALTH(N, s) HEALTH_##N,
#define X_RESTART(N, s) RESTART_##N,
#define X_APPROVAL(N, s) APPROVAL_##N,
#define X_HEAL(N, s) HEAL_##N,
#define X_CODE(N, s) CODE_##N,
typedef enum Verdict { VERDICTS(X_VERDICT) _VERDICT_MAX } Verdict;
typedef enum Outcome { OUTCOMES(X_OUTCOME) _OUTCOME_MAX } Outcome;
typedef enum RecordKind { RECORD_KINDS(X_RECORD) _RECORD_MAX } RecordKind;
typedef enum Role { ROLES(X_ROLE) _ROLE_MAX } Role;
typedef enum Mode { MODES(X_MODE) _MODE_MAX } Mode;
typedef enum UnitState { UNIT_STATES(X_UNIT) _UNIT_STATE_MAX } UnitState;
typedef enum UnitVerdict { UNIT_VERDICTS(X_UNIT_VERDICT) _UNIT_VERDICT_MAX } UnitVerdict;
typedef enum Health { HEALTHS(X_HEALTH) _HEALTH_MAX } Health;
typedef enum RestartReason { RESTART_REASONS(X_RESTART) _RESTART_MAX } RestartReason;
typedef enum ApprovalState { APPROVAL_STATES(X_APPROVAL) _APPROVAL_MAX } ApprovalState;
typedef enum HealingAction { HEALING_ACTIONS(X_HEAL) _HEAL_MAX } HealingAction;
typedef enum Code { CODES(X_CODE) _CODE_MAX } Code;

/* TAG_VERDICT_BITS of a decision record */
enum { VERDICT_BIT_ALLOW = 1, VERDICT_BIT_DENY = 2, VERDICT_BIT_ASK = 4, VERDICT_BIT_CHECK = 8, VERDICT_BIT_FROM_APPROVAL = 16 };

#define VOCAB_DECLARE(name)                                                                                  \
        const char *name##_to_string(int v);                                                                 \
        int name##_from_string(Str s)
VOCAB_DECLARE(verdict);
VOCAB_DECLARE(outcome);
VOCAB_DECLARE(record_kind);
VOCAB_DECLARE(role);
VOCAB_DECLARE(mode);
VOCAB_DECLARE(unit_state);
VOCAB_DECLARE(unit_verdict);
VOCAB_DECLARE(health);
VOCAB_DECLARE(restart_reason);
VOCAB_DECLARE(approval_state);
VOCAB_DECLARE(healing_action);
VOCAB_DECLARE(code);

/* The exit status of guardianctl for a code: 0, 1, 4, 5, 6. */
int code_exit_status(Code c);

/* One start of one process: nobody else can ever be it. */
typedef struct Incarnation {
        uint8_t boot_id[16];
        uint64_t pid;        /* 0: not running */
        uint64_t start_time; /* /proc/PID/stat field 22 */
} Incarnation;
bool incarnation_eq(const Incarnation *a, const Incarnation *b);

#define REQUEST_ARGS_MAX 16
typedef struct ActionRequest {
        uint8_t request_id[16];
        char actor[160];
        char action[64];
        char target[128];
        Incarnation incarnation;
        uint64_t incident;                    /* ledger index; UINT64_MAX: none */
        unsigned n_args;
        char args[REQUEST_ARGS_MAX][192];     /* "key=value", sorted by key by request_sort_args() */
} ActionRequest;
/* Sorts args; -EINVAL for one without '=', with an empty or a repeated key. */
int request_sort_args(ActionRequest *r);
/*
 * SHA-256 over canonical TLV bytes (u16 tag | u16 length | bytes, little endian) of, in this order: VERSION "1", REQUEST_ID,
 * ACTOR, ACTION, TARGET, BOOT_ID, PID, START_TIME, INCIDENT, ARG*. Golden vectors: tests/unit/common/test_vocab.c and
 * tests/unit/common/digest_vectors.py (a second implementation).
 */
void request_digest(const ActionRequest *r, uint8_t ret[32]);
/* What the digest is over, as fields of DECIDE and APPROVAL_PENDING, and back: texts that are too long are cut, arguments come
 * as they stand. -EINVAL for too many of them or one too long. */
void request_to_msg(const ActionRequest *r, MsgBuilder *b);
int request_from_msg(ActionRequest *r, const Msg *m);
/* 32 random lower-case hex digits behind a prefix: new_id("cor_", out, cap). From getrandom(2). */
void new_id(const char *prefix, char *out, size_t cap);
void new_request_id(uint8_t ret[16]);
