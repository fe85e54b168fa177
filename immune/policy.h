/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the immune kernel was told: detectors with their numbers (per label where wanted), playbooks with
 * their ladders, diagnosis rules, budgets. Plain data; policy-load.c makes it from policies/detectors.yaml
 * and policies/playbooks.yaml, immune_policy_shipped() holds the same numbers without a file (simulator,
 * tests; a test compares the two).
 */
#include "immune/anomaly.h"
#include "immune/memory-growth.h"
#include "common/error.h"
#include "common/rules/rules.h"

enum { LADDER_MAX = 8, PLAYBOOKS_MAX = 64, DIAGNOSES_MAX = 64, OVERRIDES_MAX = 32 };

typedef struct ExitConfig {
        unsigned repeats;   /* ends of a unit ... */
        uint64_t window_us; /* ... within this time are an anomaly */
        Severity severity, quarantine_severity;
        bool enabled;
} ExitConfig;

typedef struct HeartbeatConfig {
        unsigned missed; /* intervals without a beat */
        uint64_t min_silence_us;
        Severity severity;
        bool enabled;
} HeartbeatConfig;

typedef struct GrowthOverride {
        char label[129]; /* "k=v" of the unit */
        GrowthConfig growth;
} GrowthOverride;

typedef struct Step {
        StepKind kind;
        HealingAction action; /* of STEP_ACTION */
        uint64_t timeout_us;  /* OBSERVE: how long; others: how long an answer may take */
} Step;

typedef struct Playbook {
        char id[65];
        AnomalyType type;
        uint32_t severities; /* bit mask 1 << Severity */
        RuleProgram *when;   /* NULL: always; owned. Fields: diagnose.h */
        unsigned n_steps;
        Step steps[LADDER_MAX];
        uint64_t verify_within_us; /* after an action, by the signal that raised the anomaly */
        uint64_t stable_for_us;    /* quiet after verification before the incident closes */
        uint64_t cool_down_us;     /* per target between actions */
} Playbook;

typedef struct Diagnosis {
        char id[65];
        uint32_t types; /* bit mask 1 << AnomalyType */
        RuleProgram *when;
        char cause[200];     /* words, for people */
        unsigned confidence; /* per cent */
} Diagnosis;

typedef struct ImmunePolicy {
        GrowthConfig growth;
        Severity growth_severity;
        GrowthOverride overrides[OVERRIDES_MAX];
        unsigned n_overrides;
        ExitConfig exits;
        HeartbeatConfig heartbeat;
        Playbook playbooks[PLAYBOOKS_MAX];
        unsigned n_playbooks;
        Diagnosis diagnoses[DIAGNOSES_MAX];
        unsigned n_diagnoses;
        uint64_t dedupe_us;         /* 300 s, by target and type */
        unsigned max_attempts;      /* 3, then a person */
        unsigned max_open;          /* 64 proposals */
        unsigned rate_per_s, burst; /* 10, 32 */
        unsigned min_healthy; /* per cent of the units that should run; below it nothing new is proposed */
        unsigned min_units;   /* sets smaller than this have no storm */
        uint64_t storm_quiet_us;
        uint64_t retry_min_us, retry_max_us; /* after a refusal that may pass (governance away, busy, rate) */
} ImmunePolicy;

/* The numbers of the shipped detectors.yaml, the ladders of policies/playbooks.yaml; no rules. *ret is
 * owned. */
int immune_policy_shipped(ImmunePolicy **ret);
/* Reads detectors.yaml and playbooks.yaml; a later directory's file replaces an earlier one's. 0; -ENOENT
 * when one of the two is in no directory, -EINVAL with problems (p) when something in them is wrong. *ret is
 * owned. */
int immune_policy_load(const char *const *dirs, unsigned n, Problems *p, ImmunePolicy **ret);
/* One file's text, for tests and the fuzz target: adds to what `into` holds already. 0, -EINVAL, -ENOMEM. */
int immune_policy_parse(const char *file, Str text, bool playbooks, Problems *p, ImmunePolicy *into);
ImmunePolicy *immune_policy_free(ImmunePolicy *p);
const GrowthConfig *immune_policy_growth(const ImmunePolicy *p, const char *const *labels, unsigned n);
