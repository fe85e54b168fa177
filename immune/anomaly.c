/* SPDX-License-Identifier: Apache-2.0 */
#include "immune/anomaly.h"
#include "common/cleanup.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define NAME_OF(N, s) s,
#define DEFINE_VOCAB(name, TABLE)                                                                            \
        static const char *const name##_names[] = {TABLE(NAME_OF)};                                          \
        const char *name##_to_string(int v) {                                                                \
                return v >= 0 && (size_t)v < ELEMENTSOF(name##_names) ? name##_names[v] : "invalid";         \
        }                                                                                                    \
        int name##_from_string(Str s) {                                                                      \
                for (size_t i = 0; i < ELEMENTSOF(name##_names); i++)                                        \
                        if (str_eq(s, name##_names[i]))                                                      \
                                return (int)i;                                                               \
                return -EINVAL;                                                                              \
        }

DEFINE_VOCAB(anomaly_type, ANOMALY_TYPES)
DEFINE_VOCAB(severity, SEVERITIES)
DEFINE_VOCAB(step_kind, STEP_KINDS)

#define OBSERVE(why)                                                                                         \
        { STEP_OBSERVE, _HEAL_MAX, why }
#define ESCALATE(why)                                                                                        \
        { STEP_ESCALATE, HEAL_ESCALATE_TO_HUMAN, why }
#define ACT(action, why)                                                                                     \
        { STEP_ACTION, HEAL_##action, why }
/* One row a type, one column a severity: info, low, medium, high, critical. */
#define ROW(TYPE, low, medium, high, critical)                                                               \
        [ANOMALY_##TYPE] = {OBSERVE("for information only"), low, medium, high, critical}

/* clang-format off */
static const Response responses[_ANOMALY_MAX][_SEVERITY_MAX] = {
        ROW(LATENCY_SPIKE, OBSERVE("slow, within bounds"), ACT(RATE_LIMIT, "less work lets it catch up"),
            ACT(RATE_LIMIT, "less work lets it catch up"), ESCALATE("slower than throttling can mend")),
        ROW(THROUGHPUT_DROP, OBSERVE("less work done, within bounds"), ACT(SCALE_UP, "more hands"),
            ACT(SCALE_UP, "more hands"), ESCALATE("more hands are no answer to a collapse")),
        ROW(ERROR_RATE_INCREASE, OBSERVE("a few errors more"), ACT(CIRCUIT_BREAKER, "callers are spared"),
            ACT(CIRCUIT_BREAKER, "callers are spared"), ESCALATE("most calls fail")),
        ROW(MEMORY_LEAK, OBSERVE("growth alone is no leak"), ACT(RESTART_SERVICE, "a new start gives the memory back"),
            ACT(RESTART_SERVICE, "a new start gives the memory back"),
            ESCALATE("so little memory is left that a restart may not come up")),
        ROW(CPU_SPIKE, OBSERVE("busy, within bounds"), ACT(SCALE_UP, "more hands"), ACT(SCALE_UP, "more hands"),
            ESCALATE("nothing else gets the processor")),
        ROW(DISK_FULL, OBSERVE("space is short"), ACT(CLEAR_CACHE, "caches can be made again"),
            ACT(CLEAR_CACHE, "caches can be made again"), ESCALATE("only a person knows what may be deleted")),
        ROW(CONNECTION_POOL_EXHAUSTION, OBSERVE("the pool is tight"), ACT(SCALE_UP, "more connections"),
            ACT(SCALE_UP, "more connections"), ESCALATE("nothing gets a connection")),
        ROW(DRIFT_DETECTED, OBSERVE("a shift is not a fault"), OBSERVE("a shift is not a fault"),
            ESCALATE("whether the new level is right is a person's question"),
            ESCALATE("whether the new level is right is a person's question")),
        ROW(PATTERN_DEVIATION, OBSERVE("unusual is not wrong"), OBSERVE("unusual is not wrong"),
            OBSERVE("unusual is not wrong"), ESCALATE("of an unknown kind, and said to be critical")),
        ROW(HTM_ANOMALY, OBSERVE("a score alone never acts"), OBSERVE("a score alone never acts"),
            OBSERVE("a score alone never acts"), ESCALATE("a score alone never acts, a person may")),
        ROW(INJECTION_ATTEMPT, OBSERVE("one try"), ACT(HARDEN_SECURITY, "narrow what it accepts"),
            ACT(HARDEN_SECURITY, "narrow what it accepts"), ACT(QUARANTINE_COMPONENT, "it may be taken over")),
        ROW(UNAUTHORIZED_ACCESS, OBSERVE("one try"), ACT(KILL_CONNECTION, "end the session"),
            ACT(KILL_CONNECTION, "end the session"), ESCALATE("somebody is in")),
        ROW(DATA_EXFILTRATION, OBSERVE("too little to tell"), ACT(QUARANTINE_COMPONENT, "stop what leaves"),
            ACT(QUARANTINE_COMPONENT, "stop what leaves"), ACT(QUARANTINE_COMPONENT, "stop what leaves")),
        ROW(GUARDRAIL_BYPASS, ESCALATE("a guard that was passed is a person's question"),
            ESCALATE("a guard that was passed is a person's question"), ACT(QUARANTINE_COMPONENT, "it passed a guard"),
            ACT(QUARANTINE_COMPONENT, "it passed a guard")),
        ROW(SERVICE_DOWN, OBSERVE("its own restart budget works"), OBSERVE("its own restart budget works"),
            ACT(RESTART_SERVICE, "it does not come up by itself"), ACT(RESTART_SERVICE, "it does not come up by itself")),
        ROW(DEPENDENCY_FAILURE, OBSERVE("the dependency is the patient"), ACT(CIRCUIT_BREAKER, "do not wait for it"),
            ACT(CIRCUIT_BREAKER, "do not wait for it"), ESCALATE("it cannot do without what failed")),
        ROW(DEADLOCK_DETECTED, OBSERVE("it may only be slow"), ACT(RESTART_SERVICE, "it does not move any more"),
            ACT(RESTART_SERVICE, "it does not move any more"), ACT(RESTART_SERVICE, "it does not move any more")),
        ROW(CASCADE_FAILURE, OBSERVE("wait for the root"), ESCALATE("acting on many at once makes it worse"),
            ESCALATE("acting on many at once makes it worse"), ESCALATE("acting on many at once makes it worse")),
};
/* clang-format on */

const Response *anomaly_response(AnomalyType t, Severity s) {
        if ((unsigned)t >= _ANOMALY_MAX || (unsigned)s >= _SEVERITY_MAX)
                return NULL;
        return &responses[t][s];
}

int anomaly_classify(Str name, AnomalyType *ret) {
        for (int i = 0; i < _ANOMALY_MAX; i++) {
                const char *known = anomaly_type_names[i];
                /* The seed's documents write the types in capitals too. */
                if (strlen(known) == name.n && strncasecmp(known, name.p, name.n) == 0) {
                        *ret = (AnomalyType)i;
                        return 0;
                }
        }
        *ret = ANOMALY_PATTERN_DEVIATION;
        return 1;
}
