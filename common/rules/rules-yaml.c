/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rules/rules-yaml.h"
#include "common/cleanup.h"
#include <errno.h>
#include <string.h>

static int convert(const YamlNode *n, const char *file, Problems *p, unsigned depth, RuleExpr **ret);

int rule_expr_yaml_value(RuleExpr *test, const YamlNode *value, const char *file, Problems *p) {
        if (value->kind == YAML_KIND_MAP) {
                yaml_problem(p, file, value, "bad-value", "value: x, or value: [x, y]",
                        "a value is a text or a list, not a map");
                return -EINVAL;
        }
        if (value->kind == YAML_KIND_LIST) {
                for (size_t i = 0; i < value->n; i++) {
                        if (value->items[i]->kind != YAML_KIND_SCALAR) {
                                yaml_problem(p, file, value->items[i], "bad-value", NULL,
                                        "a list of values holds texts only");
                                return -EINVAL;
                        }
                        int r = rule_expr_yaml_value(test, value->items[i], file, p);
                        if (r < 0)
                                return r;
                }
                return 0;
        }
        int r = rule_expr_literal(
                test, str_of(value->text), value->quoted ? RULE_FORM_QUOTED : RULE_FORM_PLAIN);
        if (r == -E2BIG) {
                yaml_problem(p, file, value, "too-big", NULL, "too many values, or one that is too long");
                return -EINVAL;
        }
        return r;
}

typedef struct TestKeys {
        const YamlNode *field, *op, *value;
} TestKeys;

static int find_keys(const YamlNode *n, const char *file, Problems *p, TestKeys *ret) {
        static const char *const known[] = {"field", "op", "value", "all", "any", "not"};
        char hint[200];
        for (size_t i = 0; i < n->n; i++) {
                const YamlNode *k = n->items[i];
                if (strcmp(k->key, "field") == 0) {
                        ret->field = k;
                } else if ((strcmp(k->key, "op") == 0 || strcmp(k->key, "operator") == 0) && !ret->op) {
                        ret->op = k;
                } else if (strcmp(k->key, "value") == 0) {
                        ret->value = k;
                } else {
                        yaml_problem_key(p, file, k, "unknown-key",
                                names_hint(k->key, known, ELEMENTSOF(known), hint, sizeof(hint)),
                                "'%.60s' does not belong here", k->key);
                        return -EINVAL;
                }
        }
        if (!ret->field || !ret->op) {
                yaml_problem(p, file, n, "missing-key", "{field: F, op: OP, value: V}",
                        "a condition needs 'field' and 'op', or one of 'all', 'any', 'not'");
                return -EINVAL;
        }
        return 0;
}

static int convert_test(const YamlNode *n, const char *file, Problems *p, RuleExpr **ret) {
        TestKeys k = {0};
        const char *field, *name;
        int r = find_keys(n, file, p, &k);
        if (r < 0 || (r = yaml_str(file, k.field, p, &field)) < 0 || (r = yaml_str(file, k.op, p, &name)) < 0)
                return r;
        int op = rule_op_from_string(str_of(name));
        if (op < 0) {
                char hint[200];
                yaml_problem(p, file, k.op, "unknown-operator", rule_op_hint(name, hint, sizeof(hint)),
                        "unknown operator '%.40s'", name);
                return -EINVAL;
        }
        auto_rule_expr RuleExpr *e = rule_expr_test(str_of(field), (RuleOp)op, n->line, n->column);
        if (!e)
                return -ENOMEM;
        if (k.value && (r = rule_expr_yaml_value(e, k.value, file, p)) < 0)
                return r;
        *ret = TAKE(e);
        return 0;
}

static int convert_list(
        const YamlNode *n, RuleGroup kind, const char *file, Problems *p, unsigned depth, RuleExpr **ret) {
        auto_rule_expr RuleExpr *group = rule_expr_group(kind, n->line, n->column);
        if (!group)
                return -ENOMEM;
        int bad = 0;
        for (size_t i = 0; i < n->n; i++) {
                RuleExpr *child = NULL;
                int r = convert(n->items[i], file, p, depth + 1, &child);
                if (r == 0)
                        r = rule_expr_add(group, child);
                if (r == -E2BIG) {
                        yaml_problem(p, file, n, "too-big", NULL, "too many conditions");
                        return -EINVAL;
                }
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        bad = r;
        }
        if (bad == 0)
                *ret = TAKE(group);
        return bad;
}

static int convert(const YamlNode *n, const char *file, Problems *p, unsigned depth, RuleExpr **ret) {
        *ret = NULL;
        if (depth > RULE_DEPTH_MAX) {
                yaml_problem(p, file, n, "too-deep", NULL, "nested deeper than %d levels", RULE_DEPTH_MAX);
                return -EINVAL;
        }
        if (n->kind == YAML_KIND_SCALAR)
                return rule_expr_parse(str_of(n->text), file, n->line, n->column + n->quoted, p, ret);
        if (n->kind == YAML_KIND_LIST)
                return convert_list(n, RULE_ALL, file, p, depth, ret);
        const YamlNode *only = n->n == 1 ? n->items[0] : NULL;
        if (!only)
                return convert_test(n, file, p, ret);
        bool all = strcmp(only->key, "all") == 0, any = strcmp(only->key, "any") == 0;
        if (all || any) {
                if (only->kind != YAML_KIND_LIST) {
                        yaml_problem(p, file, only, "bad-value", "a condition a line, each begins with '- '",
                                "'%s' takes a list", only->key);
                        return -EINVAL;
                }
                return convert_list(only, all ? RULE_ALL : RULE_ANY_OF, file, p, depth, ret);
        }
        if (strcmp(only->key, "not") != 0)
                return convert_test(n, file, p, ret);
        RuleExpr *inner = NULL;
        int r = convert(only, file, p, depth + 1, &inner);
        if (r < 0)
                return r;
        auto_rule_expr RuleExpr *not = rule_expr_group(RULE_NOT, n->line, n->column);
        if (!not ) {
                rule_expr_free(inner);
                return -ENOMEM;
        }
        r = rule_expr_add(not, inner);
        if (r == 0)
                *ret = TAKE(not );
        return r;
}

int rule_expr_from_yaml(const YamlNode *n, const char *file, Problems *p, RuleExpr **ret) {
        return convert(n, file, p, 0, ret);
}
