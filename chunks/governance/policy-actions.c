/* SPDX-License-Identifier: Apache-2.0 */
/* The policies without rules: actions.yaml and trust.yaml. */
#include "chunks/governance/policy-private.h"
#include "common/cleanup.h"
#include <errno.h>
#include <string.h>

int gate_policy_read_api(const YamlRead *r, const YamlNode *n, void *out) {
        (void)out;
        return yaml_version(r, n, "guardian/policy.v1");
}

/* ---- actions.yaml */
static int kind_from(Str s) {
        return str_eq(s, "verb") ? 0 : str_eq(s, "healing") ? 1 : -EINVAL;
}
static int risk_from(Str s) {
        return str_eq(s, "low") ? 0 : str_eq(s, "medium") ? 1 : str_eq(s, "high") ? 2 : -EINVAL;
}
static int asker_from(Str s) {
        int r = role_from_string(s);
        return str_eq(s, "none") ? (int)ROLE_NOBODY : r >= (int)ROLE_OPERATOR ? r : -EINVAL;
}
static const char *const kind_names[] = {"verb", "healing", NULL};
static const char *const risk_names[] = {"low", "medium", "high", NULL};
static const char *const asker_names[] = {"operator", "admin", "none", NULL};

static int read_args(const YamlRead *r, const YamlNode *n, void *out) {
        GateAction *a = out;
        if (n->kind == YAML_KIND_SCALAR && strcmp(n->text, "any") == 0) {
                a->any_arg = true;
                return 0;
        }
        if (n->kind != YAML_KIND_MAP) {
                yaml_problem(r->problems, r->file, n, "bad-value", "args: {signal: optional}",
                        "'args' is 'any' or a map of names to 'required' or 'optional'");
                return -EINVAL;
        }
        for (size_t i = 0; i < n->n; i++) {
                const YamlNode *v = n->items[i];
                bool required = v->text && strcmp(v->text, "required") == 0;
                const char *wrong = a->n_args == REQUEST_ARGS_MAX
                                            ? "is one too many, an action has at most 16"
                                    : strlen(v->key) > 32 ? "has a name of more than 32 bytes"
                                    : !required && (!v->text || strcmp(v->text, "optional") != 0)
                                            ? "must be 'required' or 'optional'"
                                            : NULL;
                if (wrong) {
                        yaml_problem(r->problems, r->file, v, "bad-value", NULL, "argument '%.40s' %s",
                                v->key, wrong);
                        return -EINVAL;
                }
                a->arg_required[a->n_args] = required;
                str_copy(a->args[a->n_args++], sizeof(a->args[0]), str_of(v->key));
        }
        return 0;
}

static int read_action(const YamlRead *r, const YamlNode *n, void *user) {
        struct {
                GateAction a;
                int kind, risk, role;
        } t = {.role = ROLE_NOBODY};
        const YamlField table[] = {
                {"name", YAML_FIELD_STR, offsetof(__typeof__(t), a.name), sizeof(t.a.name), .required = true},
                {"kind", YAML_FIELD_ENUM, offsetof(__typeof__(t), kind), .required = true,
                        .from_string = kind_from, .names = kind_names},
                {"risk", YAML_FIELD_ENUM, offsetof(__typeof__(t), risk), .required = true,
                        .from_string = risk_from, .names = risk_names},
                {"role", YAML_FIELD_ENUM, offsetof(__typeof__(t), role), .required = true,
                        .from_string = asker_from, .names = asker_names},
                {"units", YAML_FIELD_BOOL, offsetof(__typeof__(t), a.units)},
                {"args", YAML_FIELD_CUSTOM, offsetof(__typeof__(t), a), .custom = read_args},
        };
        Compiler *c = user;
        GatePolicy *p = c->policy;
        int rc = yaml_read_map(r, n, table, ELEMENTSOF(table), &t);
        if (rc < 0)
                return rc;
        if (gate_policy_action(p, t.a.name)) {
                yaml_problem(r->problems, r->file, n, "duplicate", "keep one of the two",
                        "action '%s' stands here a second time", t.a.name);
                return -EINVAL;
        }
        if (p->n_actions == NAMES_MAX - 1) {
                yaml_problem(r->problems, r->file, n, "too-big", NULL, "more than %d actions", NAMES_MAX - 1);
                return -EINVAL;
        }
        GateAction *more = reallocarray(p->actions, p->n_actions + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        p->actions = more;
        t.a.healing = t.kind == 1;
        t.a.role = (Role)t.role;
        str_copy(t.a.risk, sizeof(t.a.risk), str_of(risk_names[t.risk]));
        p->actions[p->n_actions++] = t.a;
        return 0;
}

int gate_policy_read_actions(const YamlRead *r, const YamlNode *n, void *out) {
        (void)out;
        return yaml_read_list(r, n, read_action, r->user);
}

/* ---- trust.yaml */
static int read_outcomes(const YamlRead *r, const YamlNode *n, void *out) {
        TrustPolicy *t = out;
        if (n->kind != YAML_KIND_MAP) {
                yaml_problem(r->problems, r->file, n, "bad-value", "outcomes: {ok: 1, failed: -10}",
                        "'outcomes' is a map of outcomes to points");
                return -EINVAL;
        }
        for (size_t i = 0; i < n->n; i++) {
                int o = outcome_from_string(str_of(n->items[i]->key));
                if (o < 0) {
                        yaml_problem_key(r->problems, r->file, n->items[i], "unknown-key",
                                "one of: ok, failed, unknown, not_run", "no such outcome '%.40s'",
                                n->items[i]->key);
                        return -EINVAL;
                }
                if (yaml_i64(r->file, n->items[i], r->problems, &t->outcome[o]) < 0)
                        return -EINVAL;
        }
        return 0;
}
static int read_points(const YamlRead *r, const YamlNode *n, void *out) {
        return yaml_i64(r->file, n, r->problems, out);
}

const YamlField gate_trust_table[7] = {
        API_FIELD,
        {"initial", YAML_FIELD_CUSTOM, offsetof(GatePolicy, trust.initial), .required = true,
                .custom = read_points},
        {"floor", YAML_FIELD_CUSTOM, offsetof(GatePolicy, trust.floor), .custom = read_points},
        {"ceiling", YAML_FIELD_CUSTOM, offsetof(GatePolicy, trust.ceiling), .custom = read_points},
        {"outcomes", YAML_FIELD_CUSTOM, offsetof(GatePolicy, trust), .required = true,
                .custom = read_outcomes},
        {"denied", YAML_FIELD_CUSTOM, offsetof(GatePolicy, trust.denied), .custom = read_points},
        {"recovery", YAML_FIELD_DURATION, offsetof(GatePolicy, trust.recovery_us)},
};
