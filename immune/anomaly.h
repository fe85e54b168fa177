/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The taxonomy: 18 types of anomaly, 5 severities, and one complete table that says what is the healing
 * action for each pair, or "observe". Nothing here acts: the table only names what may be proposed. Source of
 * the words: the AVN seed.
 */
#include "common/vocab.h"

#define ANOMALY_TYPES(X)                                                                                     \
        X(LATENCY_SPIKE, "latency_spike")                                                                    \
        X(THROUGHPUT_DROP, "throughput_drop")                                                                \
        X(ERROR_RATE_INCREASE, "error_rate_increase")                                                        \
        X(MEMORY_LEAK, "memory_leak")                                                                        \
        X(CPU_SPIKE, "cpu_spike")                                                                            \
        X(DISK_FULL, "disk_full")                                                                            \
        X(CONNECTION_POOL_EXHAUSTION, "connection_pool_exhaustion")                                          \
        X(DRIFT_DETECTED, "drift_detected")                                                                  \
        X(PATTERN_DEVIATION, "pattern_deviation")                                                            \
        X(HTM_ANOMALY, "htm_anomaly")                                                                        \
        X(INJECTION_ATTEMPT, "injection_attempt")                                                            \
        X(UNAUTHORIZED_ACCESS, "unauthorized_access")                                                        \
        X(DATA_EXFILTRATION, "data_exfiltration")                                                            \
        X(GUARDRAIL_BYPASS, "guardrail_bypass")                                                              \
        X(SERVICE_DOWN, "service_down")                                                                      \
        X(DEPENDENCY_FAILURE, "dependency_failure") X(DEADLOCK_DETECTED, "deadlock_detected")                \
                X(CASCADE_FAILURE, "cascade_failure")
#define SEVERITIES(X)                                                                                        \
        X(INFO, "info") X(LOW, "low") X(MEDIUM, "medium") X(HIGH, "high") X(CRITICAL, "critical")
/* What a step of a ladder does. Only ACTION changes anything, so only ACTION goes to the gate. */
#define STEP_KINDS(X)                                                                                        \
        X(OBSERVE, "observe")                                                                                \
        X(COLLECT, "collect_evidence") X(ACTION, "action") X(ESCALATE, "escalate_to_human")

#define X_ANOMALY(N, s)  ANOMALY_##N,
#define X_SEVERITY(N, s) SEVERITY_##N,
#define X_STEP(N, s)     STEP_##N,
typedef enum AnomalyType { ANOMALY_TYPES(X_ANOMALY) _ANOMALY_MAX } AnomalyType;
typedef enum Severity { SEVERITIES(X_SEVERITY) _SEVERITY_MAX } Severity;
typedef enum StepKind { STEP_KINDS(X_STEP) _STEP_MAX } StepKind;

VOCAB_DECLARE(anomaly_type);
VOCAB_DECLARE(severity);
VOCAB_DECLARE(step_kind);

typedef struct Response {
        StepKind kind;        /* OBSERVE, ACTION or ESCALATE; never left open */
        HealingAction action; /* of STEP_ACTION; ESCALATE_TO_HUMAN of STEP_ESCALATE */
        const char *why;      /* one clause for people */
} Response;

/* What to do about a type at a severity when no playbook says otherwise. Never NULL for values in range; NULL
 * otherwise. */
const Response *anomaly_response(AnomalyType t, Severity s);
/* An unknown name is pattern_deviation (returns 1; the caller keeps the name), the seed's capitals are
 * accepted. */
int anomaly_classify(Str name, AnomalyType *ret);
