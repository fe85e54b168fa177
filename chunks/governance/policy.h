/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The compiled policy: rules of constitution.yaml and governance.yaml, budgets, trust.yaml, actions.yaml, and
 * who roles.yaml can supply as approvers. Read-only once made; a set that does not compile is never used.
 * Loading from directories (merged by file: a later directory's file replaces an earlier one's) is in
 * policy-load.c.
 *
 * Semantics (governance-and-immune 2.3): all matching rules count, order never changes a verdict; deny >
 * require_approval > allow > default deny; tiers constitutional > lockdown > organisation > unit, where a
 * unit-tier rule may only tighten; an error in a deny or require_approval rule counts as a match, in an allow
 * rule as none.
 */
#include "chunks/governance/gate-input.h"
#include "common/error.h"
#include "common/rules/rules.h"
#include "common/yaml/yaml-tree.h"

typedef enum GateTier {
        TIER_CONSTITUTIONAL,
        TIER_LOCKDOWN,
        TIER_ORGANISATION,
        TIER_UNIT,
        _TIER_MAX
} GateTier;
typedef enum GateEnforce {
        GATE_ENFORCE_ALWAYS,
        GATE_ENFORCE_CRITICAL,
        GATE_ENFORCE_LOG_ONLY,
        _GATE_ENFORCE_MAX
} GateEnforce;
const char *gate_tier_to_string(GateTier t);

enum { GATE_NEEDS_MAX = 4, GATE_RULES_MAX = 1024 };
typedef struct GateNeed {
        Role role;
        unsigned n;
} GateNeed;
typedef struct GateRule {
        char id[80];
        GateTier tier;
        Verdict effect;
        GateEnforce
                enforce; /* of deny and require_approval outside the two upper tiers; capped by the mode */
        Code code;       /* of a deny; CODE_DENIED_BY_ROLE ... default CODE_DENIED_BY_RULE */
        char reason[161];
        unsigned n_needs;
        GateNeed needs[GATE_NEEDS_MAX];
        char file[256];
        unsigned line;
} GateRule;

typedef struct GateBudget {
        char id[33];
        bool per_target; /* else in all */
        uint64_t limit, window_us;
        RuleProgram *when;
} GateBudget;

typedef struct TrustPolicy {
        int64_t initial, floor, ceiling;
        int64_t outcome[_OUTCOME_MAX]; /* added when an action of the component ended so */
        int64_t denied;                /* added when a rule or the default denied it */
        uint64_t recovery_us;          /* one point each, up to `initial`; 0: none */
} TrustPolicy;

typedef struct GateAction {
        char name[65];
        bool healing;
        char risk[17]; /* low medium high */
        Role role;     /* least role of a person, ROLE_NOBODY: no person */
        bool units;    /* a unit may ask */
        bool any_arg;
        unsigned n_args;
        char args[REQUEST_ARGS_MAX][33];
        bool arg_required[REQUEST_ARGS_MAX];
} GateAction;

typedef struct GatePolicy {
        char revision[65];  /* SHA-256 over the files, hex */
        bool lockdown;      /* there were no files: everything is denied */
        RuleSet *rules_set; /* program i belongs to rules[i] */
        GateRule *rules;
        unsigned n_rules;
        GateBudget budgets[GATE_BUDGETS_MAX];
        unsigned n_budgets;
        uint64_t approval_expires_us;
        TrustPolicy trust;
        GateAction *actions;
        unsigned n_actions;
} GatePolicy;

typedef struct GatePolicyFile {
        const char *name; /* "governance.yaml" */
        const char *path; /* for problems */
        Str text;
} GatePolicyFile;
/* Compiles a whole set from memory. own_uid is Guardian's (an admin). 0, -EINVAL after at least one error,
 * -ENOMEM. No file at all gives the lockdown policy and 0. */
int gate_policy_compile(
        const GatePolicyFile *files, size_t n, uint64_t own_uid, Problems *p, GatePolicy **ret);
/* Reads and compiles the files of the directories, lowest priority first. A directory that is missing is
 * skipped, one that can't be read is an error; none with a file: lockdown. */
int gate_policy_load(const char *const *dirs, unsigned n, uint64_t own_uid, Problems *p, GatePolicy **ret);
GatePolicy *gate_policy_free(GatePolicy *p);
const GateAction *gate_policy_action(const GatePolicy *p, const char *name);
extern const RuleSchema gate_schema;
/* Looks a field up in a request: the RuleLookup of gate_schema. */
typedef struct GateLookup {
        const GatePolicy *policy;
        const GateInput *in;
        Str set[GATE_HEAL_MAX]; /* scratch */
} GateLookup;
int gate_lookup(void *user, unsigned id, const char *field, RuleValue *ret);
