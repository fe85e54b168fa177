/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Five YAML files -> one GatePolicy. actions.yaml comes first, because rules may name only actions that
 * exist; then budgets, because rules may name only budgets that exist; then the rules; last, whether people
 * can supply what they ask for.
 */
#include "chunks/governance/policy-private.h"
#include "common/cleanup.h"
#include "common/rules/rules-yaml.h"
#include "common/sha256.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const file_names[_FILE_MAX] = {
        "actions.yaml", "constitution.yaml", "governance.yaml", "roles.yaml", "trust.yaml"};

static int read_list_field(
        const YamlRead *r, const YamlNode *n, int (*item)(const YamlRead *, const YamlNode *, void *)) {
        return yaml_read_list(r, n, item, r->user);
}
/* ---- budgets */
/* Ids stand in records and messages as keys and between separators. */
static bool id_valid(const char *id) {
        return *id &&
               strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == strlen(id);
}

static int scope_from(Str s) {
        return str_eq(s, "target") ? 1 : str_eq(s, "all") ? 0 : -EINVAL;
}
static const char *const scope_names[] = {"target", "all", NULL};

typedef struct BudgetText {
        GateBudget b;
        int scope;
        const YamlNode *when;
} BudgetText;

static const char *budget_wrong(const GatePolicy *p, const GateBudget *b) {
        if (!id_valid(b->id))
                return "has a name beyond A-Z a-z 0-9 _ . -";
        if (rule_program_uses(b->when, "actor.trust"))
                return "depends on actor.trust: what it counts must not change with who is asking";
        for (unsigned i = 0; i < p->n_budgets; i++)
                if (strcmp(p->budgets[i].id, b->id) == 0)
                        return "stands here a second time";
        return p->n_budgets == GATE_BUDGETS_MAX ? "is one too many" : NULL;
}

static int read_budget(const YamlRead *r, const YamlNode *n, void *user) {
        static const YamlField table[] = {
                {"id", YAML_FIELD_STR, offsetof(BudgetText, b.id), sizeof(((GateBudget *)NULL)->id),
                        .required = true},
                {"scope", YAML_FIELD_ENUM, offsetof(BudgetText, scope), .required = true,
                        .from_string = scope_from, .names = scope_names},
                {"limit", YAML_FIELD_U64, offsetof(BudgetText, b.limit), .required = true, .max = 10000},
                {"window", YAML_FIELD_DURATION, offsetof(BudgetText, b.window_us), .required = true},
                {"when", YAML_FIELD_NODE, offsetof(BudgetText, when), .required = true},
        };
        Compiler *c = user;
        GatePolicy *p = c->policy;
        BudgetText t = {0};
        auto_rule_expr RuleExpr *e = NULL;
        int rc = yaml_read_map(r, n, table, ELEMENTSOF(table), &t);
        if (rc == 0)
                rc = rule_expr_from_yaml(t.when, r->file, r->problems, &e);
        if (rc == 0)
                rc = rule_compile(e, &c->schema, r->file, r->problems, &t.b.when);
        if (rc < 0)
                return rc;
        const char *wrong = budget_wrong(p, &t.b);
        if (wrong) {
                yaml_problem(r->problems, r->file, n, "bad-value", NULL, "budget '%s' %s", t.b.id, wrong);
                rule_program_free(t.b.when);
                return -EINVAL;
        }
        t.b.per_target = t.scope == 1;
        /* Kept sorted by id: so they are written into records. */
        unsigned at = p->n_budgets++;
        for (; at > 0 && strcmp(p->budgets[at - 1].id, t.b.id) > 0; at--)
                p->budgets[at] = p->budgets[at - 1];
        p->budgets[at] = t.b;
        return 0;
}
static int read_budgets(const YamlRead *r, const YamlNode *n, void *out) {
        (void)out;
        return read_list_field(r, n, read_budget);
}

/* ---- rules */
static int tier_from(Str s) {
        for (int t = TIER_LOCKDOWN; t < _TIER_MAX; t++)
                if (str_eq(s, gate_tier_to_string((GateTier)t)))
                        return t;
        return -EINVAL;
}
static int effect_from(Str s) {
        int v = verdict_from_string(s);
        return v > (int)VERDICT_NONE ? v : -EINVAL;
}
static int enforce_from(Str s) {
        return str_eq(s, "always")     ? (int)GATE_ENFORCE_ALWAYS
               : str_eq(s, "critical") ? (int)GATE_ENFORCE_CRITICAL
               : str_eq(s, "log_only") ? (int)GATE_ENFORCE_LOG_ONLY
                                       : -EINVAL;
}
static int code_from(Str s) {
        int c = code_from_string(s);
        return c > (int)CODE_OK ? c : -EINVAL;
}
#define CODE_NAME(N, s) s,
static const char *const code_names[] = {CODES(CODE_NAME) NULL};
static const char *const tier_names[] = {"lockdown", "organisation", "unit", NULL};
static const char *const effect_names[] = {"allow", "deny", "require_approval", NULL};
static const char *const enforce_names[] = {"always", "critical", "log_only", NULL};

typedef struct RuleText {
        GateRule r;
        int tier, effect, enforce, code;
        bool has_enforce;
        const YamlNode *when;
} RuleText;

static int read_need(const YamlRead *r, const YamlNode *n, void *out) {
        GateRule *g = out;
        if (n->kind != YAML_KIND_MAP) {
                yaml_problem(r->problems, r->file, n, "bad-value", "{operator: 1}",
                        "'approvals' is a map of roles to counts");
                return -EINVAL;
        }
        for (size_t i = 0; i < n->n; i++) {
                int role = role_from_string(str_of(n->items[i]->key));
                uint64_t count;
                if (role < (int)ROLE_OPERATOR || g->n_needs == GATE_NEEDS_MAX) {
                        yaml_problem_key(r->problems, r->file, n->items[i], "unknown-value",
                                "one of: operator, admin", "no role '%.40s' gives approvals",
                                n->items[i]->key);
                        return -EINVAL;
                }
                if (yaml_u64(r->file, n->items[i], r->problems, 1, 16, &count) < 0)
                        return -EINVAL;
                g->needs[g->n_needs++] = (GateNeed){(Role)role, (unsigned)count};
        }
        return 0;
}

/* What goes together: a rule that can't mean what it says is refused. */
static const char *contradiction(const Compiler *c, const RuleText *t) {
        if (c->constitutional && t->tier >= 0)
                return "every rule of the constitution is of tier constitutional";
        if (t->effect == (int)VERDICT_ALLOW && (t->tier == TIER_UNIT || t->tier == TIER_LOCKDOWN))
                return "this tier may only tighten: no allow";
        if (t->r.n_needs && t->effect != (int)VERDICT_REQUIRE_APPROVAL)
                return "'approvals' belongs to require_approval";
        if (t->code && t->effect != (int)VERDICT_DENY)
                return "'code' belongs to deny";
        if (t->enforce >= 0 &&
                (t->effect == (int)VERDICT_ALLOW || c->constitutional || t->tier == TIER_LOCKDOWN))
                return "'enforce' belongs to deny and require_approval below the upper tiers";
        return NULL;
}

/* "operator:2" and "admin:1" together need three people: one person serves one need. */
static bool can_supply(const Compiler *c, const GateRule *g) {
        uint64_t want = 0;
        for (int role = ROLE_ADMIN; role >= (int)ROLE_OPERATOR; role--) {
                for (unsigned i = 0; i < g->n_needs; i++)
                        want += g->needs[i].role == (Role)role ? g->needs[i].n : 0;
                if (want > c->supply[role])
                        return false;
        }
        return true;
}

static int add_rule(Compiler *c, const YamlRead *r, const YamlNode *n, RuleText *t) {
        GatePolicy *p = c->policy;
        for (unsigned i = 0; i < p->n_rules; i++)
                if (strcmp(p->rules[i].id, t->r.id) == 0) {
                        yaml_problem(r->problems, r->file, n, "duplicate", NULL,
                                "rule '%s' stands in %.80s line %u already", t->r.id, p->rules[i].file,
                                p->rules[i].line);
                        return -EINVAL;
                }
        if (!can_supply(c, &t->r)) {
                yaml_problem(r->problems, r->file, n, "approvers-missing",
                        "add them to roles.yaml, or ask for fewer",
                        "rule '%s' needs more people than roles.yaml can supply", t->r.id);
                return -EINVAL;
        }
        auto_rule_expr RuleExpr *e = NULL;
        int rc = t->when ? rule_expr_from_yaml(t->when, r->file, r->problems, &e) : 0;
        if (rc < 0)
                return rc;
        if (p->n_rules == GATE_RULES_MAX) {
                yaml_problem(r->problems, r->file, n, "too-big", NULL, "more than %d rules", GATE_RULES_MAX);
                return -EINVAL;
        }
        GateRule *more = reallocarray(p->rules, p->n_rules + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        p->rules = more;
        rc = rule_set_add(p->rules_set, e, r->file, r->problems, NULL);
        if (rc == 0)
                p->rules[p->n_rules++] = t->r;
        return rc;
}

static int read_rule(const YamlRead *r, const YamlNode *n, void *user) {
        static const YamlField table[] = {
                {"id", YAML_FIELD_STR, offsetof(RuleText, r.id), sizeof(((GateRule *)NULL)->id),
                        .required = true},
                {"tier", YAML_FIELD_ENUM, offsetof(RuleText, tier), .from_string = tier_from,
                        .names = tier_names},
                {"effect", YAML_FIELD_ENUM, offsetof(RuleText, effect), .required = true,
                        .from_string = effect_from, .names = effect_names},
                {"enforce", YAML_FIELD_ENUM, offsetof(RuleText, enforce), .from_string = enforce_from,
                        .names = enforce_names},
                {"code", YAML_FIELD_ENUM, offsetof(RuleText, code), .from_string = code_from,
                        .names = code_names + 1}, /* not ok */
                {"reason", YAML_FIELD_STR, offsetof(RuleText, r.reason), sizeof(((GateRule *)NULL)->reason),
                        .required = true},
                {"approvals", YAML_FIELD_CUSTOM, offsetof(RuleText, r), .custom = read_need},
                {"when", YAML_FIELD_NODE, offsetof(RuleText, when)},
        };
        Compiler *c = user;
        RuleText t = {.tier = -1, .enforce = -1};
        int rc = yaml_read_map(r, n, table, ELEMENTSOF(table), &t);
        if (rc < 0)
                return rc;
        const char *wrong = id_valid(t.r.id) ? contradiction(c, &t) : "an id is made of A-Z a-z 0-9 _ . -";
        if (wrong) {
                yaml_problem(r->problems, r->file, n, "contradiction", NULL, "rule '%s': %s", t.r.id, wrong);
                return -EINVAL;
        }
        t.r.tier = c->constitutional ? TIER_CONSTITUTIONAL
                   : t.tier < 0      ? TIER_ORGANISATION
                                     : (GateTier)t.tier;
        t.r.effect = (Verdict)t.effect;
        t.r.enforce = t.enforce < 0 ? GATE_ENFORCE_ALWAYS : (GateEnforce)t.enforce;
        t.r.code = t.effect == (int)VERDICT_DENY ? (t.code ? (Code)t.code : CODE_DENIED_BY_RULE) : CODE_OK;
        str_copy(t.r.file, sizeof(t.r.file), str_of(r->file));
        t.r.line = n->line;
        if (t.r.effect == VERDICT_REQUIRE_APPROVAL && t.r.n_needs == 0)
                t.r.needs[t.r.n_needs++] = (GateNeed){ROLE_OPERATOR, 1};
        return add_rule(c, r, n, &t);
}
static int read_rules(const YamlRead *r, const YamlNode *n, void *out) {
        (void)out;
        return read_list_field(r, n, read_rule);
}

static int read_approvals(const YamlRead *r, const YamlNode *n, void *out) {
        static const YamlField table[] = {{"expires", YAML_FIELD_DURATION, 0, .required = true}};
        uint64_t us = 0;
        int rc = yaml_read_map(r, n, table, ELEMENTSOF(table), &us);
        if (rc < 0)
                return rc;
        if (us == 0 || us > 900000000ull) {
                yaml_problem(r->problems, r->file, n, "out-of-range", "expires: 15min, or less",
                        "'expires' must be more than 0 and at most 15min");
                return -EINVAL;
        }
        *(uint64_t *)out = us;
        return 0;
}

/* ---- roles.yaml: only how many people there are; who they are is guardian-compile's */
typedef struct People {
        const YamlNode *uids, *gids, *users;
} People;

static int read_roles(const YamlRead *r, const YamlNode *n, void *out) {
        static const YamlField table[] = {
                {"uids", YAML_FIELD_NODE, offsetof(People, uids)},
                {"gids", YAML_FIELD_NODE, offsetof(People, gids)},
                {"users", YAML_FIELD_NODE, offsetof(People, users)},
        };
        Compiler *c = r->user;
        (void)out;
        if (n->kind != YAML_KIND_MAP) {
                yaml_problem(r->problems, r->file, n, "bad-value", "roles: {operator: {users: [nina]}}",
                        "'roles' is a map of roles to people");
                return -EINVAL;
        }
        for (size_t i = 0; i < n->n; i++) {
                People people = {0};
                int role = role_from_string(str_of(n->items[i]->key));
                int rc = yaml_read_map(r, n->items[i], table, ELEMENTSOF(table), &people);
                if (rc < 0)
                        return rc;
                if (role < (int)ROLE_OBSERVER) {
                        yaml_problem_key(r->problems, r->file, n->items[i], "unknown-key",
                                "one of: observer, operator, admin", "no such role '%.40s'",
                                n->items[i]->key);
                        return -EINVAL;
                }
                uint64_t count = (people.uids ? people.uids->n : 0) + (people.users ? people.users->n : 0);
                for (int k = ROLE_OBSERVER; k <= role; k++)
                        c->supply[k] = (people.gids && people.gids->n) || c->supply[k] == UINT64_MAX
                                               ? UINT64_MAX
                                               : c->supply[k] + count;
        }
        return 0;
}

static const YamlField roles_table[] = {
        API_FIELD,
        {"roles", YAML_FIELD_CUSTOM, 0, .required = true, .custom = read_roles},
};
static const YamlField actions_table[] = {
        API_FIELD,
        {"actions", YAML_FIELD_CUSTOM, 0, .required = true, .custom = gate_policy_read_actions},
};
static const YamlField constitution_table[] = {
        API_FIELD,
        {"rules", YAML_FIELD_CUSTOM, 0, .required = true, .custom = read_rules},
};
static int ignore(const YamlRead *r, const YamlNode *n, void *out) {
        (void)r;
        (void)n;
        (void)out;
        return 0;
}
/* governance.yaml is read twice: budgets first, since rules anywhere may ask for what is left of them. */
static const YamlField budgets_table[] = {
        API_FIELD,
        {"approvals", YAML_FIELD_CUSTOM, offsetof(GatePolicy, approval_expires_us), .custom = read_approvals},
        {"budgets", YAML_FIELD_CUSTOM, 0, .custom = read_budgets},
        {"rules", YAML_FIELD_CUSTOM, 0, .required = true, .custom = ignore},
};

static int read_file(Compiler *c, int file, const YamlField *table, size_t n) {
        YamlRead r = {c->paths[file], c->p, c};
        c->constitutional = file == FILE_CONSTITUTION;
        return c->trees[file] ? yaml_read_map(&r, c->trees[file], table, n, c->policy) : 0;
}

/* The rest of the file was read with the budgets. */
static int read_governance_rules(Compiler *c) {
        YamlRead r = {c->paths[FILE_GOVERNANCE], c->p, c};
        const YamlNode *rules = yaml_get(c->trees[FILE_GOVERNANCE], "rules");
        c->constitutional = false;
        return rules ? read_rules(&r, rules, NULL) : 0;
}

/* The schema of this policy: actions may only be those of actions.yaml, budgets those of governance.yaml. */
static void extend_schema(Compiler *c, bool budgets) {
        GatePolicy *p = c->policy;
        c->schema.n = 0;
        for (unsigned i = 0; i < p->n_actions; i++)
                c->action_names[i] = p->actions[i].name;
        c->action_names[p->n_actions] = NULL;
        for (size_t i = 0; i < gate_schema.n; i++) {
                RuleField f = gate_schema.fields[i];
                if (strcmp(f.name, "action") == 0 && !c->bad_actions)
                        f.values = c->action_names;
                if (strcmp(f.name, "context.budget.*") != 0 || c->bad_budgets) {
                        c->fields[c->schema.n++] = f;
                        continue;
                }
                for (unsigned k = 0; budgets && k < p->n_budgets; k++) {
                        snprintf(c->budget_fields[k], sizeof(c->budget_fields[k]), "context.budget.%s",
                                p->budgets[k].id);
                        f.name = c->budget_fields[k];
                        c->fields[c->schema.n++] = f;
                }
        }
        c->schema.fields = c->fields;
}

#define READ(c, file, table) read_file(c, file, table, ELEMENTSOF(table))

static int take_actions(Compiler *c) {
        int r = READ(c, FILE_ACTIONS, actions_table);
        c->bad_actions = r < 0;
        extend_schema(c, false);
        return r;
}
static int take_roles(Compiler *c) {
        return READ(c, FILE_ROLES, roles_table);
}
static int take_trust(Compiler *c) {
        const TrustPolicy *t = &c->policy->trust;
        int r = READ(c, FILE_TRUST, gate_trust_table);
        if (r < 0 || (0 <= t->floor && t->floor <= t->initial && t->initial <= t->ceiling && t->ceiling <= 1000))
                return r;
        problem_add(c->p, PROBLEM_ERROR, c->paths[FILE_TRUST], 0, 0, "out-of-range",
                "0 <= floor <= initial <= ceiling <= 1000", "floor %lld, initial %lld, ceiling %lld do not fit together",
                (long long)t->floor, (long long)t->initial, (long long)t->ceiling);
        return -EINVAL;
}
static int take_budgets(Compiler *c) {
        int r = READ(c, FILE_GOVERNANCE, budgets_table);
        c->bad_budgets = r < 0;
        return r;
}
static int begin_rules(Compiler *c) {
        extend_schema(c, true);
        return rule_set_new(&c->schema, "action", &c->policy->rules_set);
}
static int take_constitution(Compiler *c) {
        return READ(c, FILE_CONSTITUTION, constitution_table);
}

/* Goes through the files in their order, reports the problems of all, returns the last error. */
static int compile(Compiler *c) {
        static int (*const steps[])(Compiler *) = {take_actions, take_roles, take_trust, take_budgets,
                begin_rules, take_constitution, read_governance_rules};
        int bad = 0;
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                int r = steps[i](c);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        bad = r;
        }
        return bad < 0 ? bad : rule_set_seal(c->policy->rules_set);
}

static void revision_of(const GatePolicyFile *files, size_t n, char ret[65]) {
        uint8_t all[_FILE_MAX * 33] = {0}, hash[32];
        size_t len = 0;
        for (int f = 0; f < _FILE_MAX; f++)
                for (size_t i = 0; i < n; i++)
                        if (strcmp(files[i].name, file_names[f]) == 0 && len + 33 <= sizeof(all)) {
                                all[len] = (uint8_t)f;
                                sha256(files[i].text.p, files[i].text.n, all + len + 1);
                                len += 33;
                        }
        sha256(all, len, hash);
        hex_encode(hash, 32, ret);
}

static int parse_files(Compiler *c, const GatePolicyFile *files, size_t n, bool *any) {
        int bad = 0;
        for (size_t i = 0; i < n; i++) {
                int f = 0;
                while (f < _FILE_MAX && strcmp(files[i].name, file_names[f]) != 0)
                        f++;
                if (f == _FILE_MAX)
                        continue;
                *any = true;
                c->paths[f] = files[i].path;
                yaml_free(c->trees[f]);
                int r = yaml_parse(files[i].path, files[i].text, c->p, &c->trees[f]);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        bad = r;
        }
        for (int f = 0; f < _FILE_MAX && bad == 0 && *any; f++)
                if (!c->trees[f] && f != FILE_ROLES) {
                        problem_add(c->p, PROBLEM_ERROR, file_names[f], 0, 0, "missing-file",
                                "it comes with the installation, in share/guardian/policies",
                                "%s is in none of the policy directories", file_names[f]);
                        bad = -EINVAL;
                }
        return bad;
}

int gate_policy_compile(
        const GatePolicyFile *files, size_t n, uint64_t own_uid, Problems *p, GatePolicy **ret) {
        bool any = false;
        *ret = NULL;
        auto_free Compiler *c = calloc(1, sizeof(*c));
        GatePolicy *policy = calloc(1, sizeof(*policy));
        if (!c || !policy) {
                free(policy);
                return -ENOMEM;
        }
        *c = (Compiler){.policy = policy, .p = p};
        policy->approval_expires_us = 900000000ull;
        policy->trust = (TrustPolicy){.initial = 70, .ceiling = 100};
        /* root and Guardian's own uid are admins without being named */
        for (int role = ROLE_OBSERVER; role <= (int)ROLE_ADMIN; role++)
                c->supply[role] = own_uid == 0 ? 1 : 2;
        revision_of(files, n, policy->revision);
        int r = parse_files(c, files, n, &any);
        if (r == 0 && any)
                r = compile(c);
        policy->lockdown = !any;
        for (int f = 0; f < _FILE_MAX; f++)
                yaml_free(c->trees[f]);
        if (r < 0) {
                gate_policy_free(policy);
                return r;
        }
        *ret = policy;
        return 0;
}
