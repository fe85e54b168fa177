/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to the policy compiler: what its files share. */
#include "chunks/governance/policy.h"
#include "common/yaml/yaml-tree.h"

enum { FILE_ACTIONS, FILE_CONSTITUTION, FILE_GOVERNANCE, FILE_ROLES, FILE_TRUST, _FILE_MAX };
enum { EXTRA_FIELDS = GATE_BUDGETS_MAX, SCHEMA_MAX = 64, NAMES_MAX = 256 };

typedef struct Compiler {
        GatePolicy *policy;
        Problems *p;
        const char *paths[_FILE_MAX];
        YamlNode *trees[_FILE_MAX];
        RuleField fields[SCHEMA_MAX];
        RuleSchema schema;
        const char *action_names[NAMES_MAX];
        char budget_fields[GATE_BUDGETS_MAX][64];
        uint64_t own_uid;
        uint64_t
                supply[_ROLE_MAX]; /* people of that role or a higher one; UINT64_MAX: a group, not counted */
        bool constitutional;       /* the file being read */
        bool bad_actions, bad_budgets; /* what names one of them is not judged by what was left of the file */
} Compiler;

/* Readers of a table, for the user Compiler. */
int gate_policy_read_api(const YamlRead *r, const YamlNode *n, void *out);
int gate_policy_read_actions(const YamlRead *r, const YamlNode *n, void *out);
#define API_FIELD                                                                                            \
        { "apiVersion", YAML_FIELD_CUSTOM, 0, 0, .required = true, .custom = gate_policy_read_api }
extern const YamlField gate_trust_table[7];
