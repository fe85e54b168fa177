/* SPDX-License-Identifier: Apache-2.0 */
#include "immune/policy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS(n) ((uint64_t)(n)*1000000)
#define MIB(n)     ((uint64_t)(n) << 20)

static const ImmunePolicy shipped = {
        .growth = {.settle_us = SECONDS(5),
                .interval_us = SECONDS(1),
                .window_us = SECONDS(5),
                .windows = 5,
                .needed = 3,
                .min_growth = MIB(64),
                .min_rate = MIB(1),
                .verify_percent = 50,
                .enabled = true},
        .growth_severity = SEVERITY_HIGH,
        .exits = {.repeats = 3,
                .window_us = SECONDS(60),
                .severity = SEVERITY_MEDIUM,
                .quarantine_severity = SEVERITY_CRITICAL,
                .enabled = true},
        .heartbeat = {.missed = 3, .min_silence_us = SECONDS(15), .severity = SEVERITY_HIGH, .enabled = true},
        .dedupe_us = SECONDS(300),
        .max_attempts = 3,
        .max_open = 64,
        .rate_per_s = 10,
        .burst = 32,
        .min_healthy = 51,
        .min_units = 4,
        .storm_quiet_us = SECONDS(60),
        .retry_min_us = SECONDS(10),
        .retry_max_us = SECONDS(300),
};

#define COLLECT                                                                                              \
        { STEP_COLLECT, _HEAL_MAX, 0 }
#define RESTART                                                                                              \
        { STEP_ACTION, HEAL_RESTART_SERVICE, 0 }
#define PERSON                                                                                               \
        { STEP_ESCALATE, HEAL_ESCALATE_TO_HUMAN, 0 }
static const Playbook shipped_playbooks[] = {
        {.id = "leak-restart",
                .type = ANOMALY_MEMORY_LEAK,
                .severities = 1U << SEVERITY_MEDIUM | 1U << SEVERITY_HIGH,
                .n_steps = 4,
                .steps = {COLLECT, RESTART, RESTART, PERSON},
                .verify_within_us = SECONDS(60),
                .stable_for_us = SECONDS(300),
                .cool_down_us = SECONDS(60)},
        {.id = "quarantined",
                .type = ANOMALY_SERVICE_DOWN,
                .severities = 1U << SEVERITY_CRITICAL,
                .n_steps = 2,
                .steps = {COLLECT, PERSON},
                .verify_within_us = SECONDS(30),
                .stable_for_us = SECONDS(300),
                .cool_down_us = SECONDS(60)},
        {.id = "crash-loop",
                .type = ANOMALY_SERVICE_DOWN,
                .severities = 1U << SEVERITY_LOW | 1U << SEVERITY_MEDIUM,
                .n_steps = 2,
                .steps = {{STEP_OBSERVE, _HEAL_MAX, SECONDS(300)}, PERSON},
                .verify_within_us = SECONDS(30),
                .stable_for_us = SECONDS(300),
                .cool_down_us = SECONDS(60)},
        {.id = "silent-restart",
                .type = ANOMALY_DEADLOCK_DETECTED,
                .severities = 1U << SEVERITY_MEDIUM | 1U << SEVERITY_HIGH,
                .n_steps = 3,
                .steps = {COLLECT, RESTART, PERSON},
                .verify_within_us = SECONDS(60),
                .stable_for_us = SECONDS(300),
                .cool_down_us = SECONDS(120)},
};

int immune_policy_shipped(ImmunePolicy **ret) {
        ImmunePolicy *p = malloc(sizeof(*p));
        if (!p)
                return -ENOMEM;
        *p = shipped;
        memcpy(p->playbooks, shipped_playbooks, sizeof(shipped_playbooks));
        p->n_playbooks = sizeof(shipped_playbooks) / sizeof(shipped_playbooks[0]);
        *ret = p;
        return 0;
}

ImmunePolicy *immune_policy_free(ImmunePolicy *p) {
        if (!p)
                return NULL;
        for (unsigned i = 0; i < p->n_playbooks; i++)
                rule_program_free(p->playbooks[i].when);
        for (unsigned i = 0; i < p->n_diagnoses; i++)
                rule_program_free(p->diagnoses[i].when);
        free(p);
        return NULL;
}

const GrowthConfig *immune_policy_growth(const ImmunePolicy *p, const char *const *labels, unsigned n) {
        for (unsigned k = 0; k < p->n_overrides; k++)
                for (unsigned i = 0; i < n; i++)
                        if (strcmp(p->overrides[k].label, labels[i]) == 0)
                                return &p->overrides[k].growth;
        return &p->growth;
}
