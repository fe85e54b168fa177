/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/workflow.h"
#include "common/cleanup.h"
#include "common/rules/rules-json.h"
#include "common/rules/rules-yaml.h"
#include <errno.h>
#include <math.h>
#include <string.h>

typedef enum FilterField {
        FIELD_PAYLOAD,
        FIELD_EVENT,
        FIELD_DELTA_PERCENT, /* |delta / threshold| * 100; delta is value - threshold where it is not given */
        FIELD_SCORE,         /* current_score, else score */
} FilterField;

static const RuleField FIELDS[] = {
        {"payload.*", RULE_ANY, FIELD_PAYLOAD, NULL},
        {"event.type", RULE_STRING, FIELD_EVENT, NULL},
        {"event.domain", RULE_STRING, FIELD_EVENT, NULL},
        {"event.name", RULE_STRING, FIELD_EVENT, NULL},
        {"event.kind", RULE_STRING, FIELD_EVENT, NULL},
        {"event.source", RULE_STRING, FIELD_EVENT, NULL},
        {"event.priority", RULE_STRING, FIELD_EVENT, NULL},
        {"event.qos", RULE_STRING, FIELD_EVENT, NULL},
        {"event.resource", RULE_STRING, FIELD_EVENT, NULL},
        {"event.correlation_id", RULE_STRING, FIELD_EVENT, NULL},
        {"event.governance_label", RULE_STRING, FIELD_EVENT, NULL},
        {"event.hop_count", RULE_INT, FIELD_EVENT, NULL},
        {"derived.delta_percent", RULE_DOUBLE, FIELD_DELTA_PERCENT, NULL},
        {"derived.score", RULE_DOUBLE, FIELD_SCORE, NULL},
};
static const RuleSchema SCHEMA = {FIELDS, ELEMENTSOF(FIELDS)};

/* The numeric keys of the map dialect. */
static const struct {
        const char *key, *field;
        RuleOp op;
} NUMERIC[] = {
        {"min_delta_percent", "derived.delta_percent", RULE_GE},
        {"max_score", "derived.score", RULE_LE},
        {"min_degradation_rate", "payload.degradation_rate", RULE_GE},
        {"min_gap", "payload.gap", RULE_GE},
};

/* A bare name is a member of the payload. */
static int field_name(const char *name, char *out, size_t cap) {
        bool full = strncmp(name, "payload.", 8) == 0 || strncmp(name, "event.", 6) == 0;
        int n = snprintf(out, cap, "%s%s", full ? "" : "payload.", name);

        return n < 0 || (size_t)n >= cap ? -E2BIG : 0;
}

static int test_add(RuleExpr *all, const YamlNode *at, const char *name, RuleOp op, const YamlNode *value,
        const char *file, Problems *p) {
        char field[RULE_FIELD_MAX];
        RuleExpr *test;
        int r;

        if (field_name(name, field, sizeof(field)) < 0) {
                yaml_problem(p, file, at, "too-long", NULL, "the name of a field is at most %d bytes",
                        RULE_FIELD_MAX - 9);
                return -EINVAL;
        }
        test = rule_expr_test(str_of(field), op, at->line, at->column);
        if (!test)
                return -ENOMEM;
        r = value ? rule_expr_yaml_value(test, value, file, p) : 0;
        if (r < 0) {
                rule_expr_free(test);
                return r;
        }
        return rule_expr_add(all, test);
}

static int numeric_add(RuleExpr *all, const YamlNode *n, const char *file, Problems *p, bool *found) {
        for (size_t i = 0; i < ELEMENTSOF(NUMERIC); i++) {
                RuleExpr *test;
                double v;
                int r;

                if (strcmp(NUMERIC[i].key, n->key) != 0)
                        continue;
                *found = true;
                r = yaml_double(file, n, p, &v);
                if (r < 0)
                        return r;
                test = rule_expr_test(str_of(NUMERIC[i].field), NUMERIC[i].op, n->line, n->column);
                if (!test)
                        return -ENOMEM;
                r = rule_expr_yaml_value(test, n, file, p);
                if (r < 0) {
                        rule_expr_free(test);
                        return r;
                }
                return rule_expr_add(all, test);
        }
        return 0;
}

/* {severity: CRITICAL, status: [A, B], min_gap: 0.5} */
static int map_add(RuleExpr *all, const YamlNode *map, const char *file, Problems *p) {
        int result = 0;

        for (size_t i = 0; i < map->n; i++) {
                const YamlNode *n = map->items[i];
                bool found = false;
                int r = numeric_add(all, n, file, p, &found);

                if (!found && n->kind == YAML_KIND_MAP) {
                        yaml_problem(p, file, n, "bad-filter",
                                "a value, a list of values, or the list form {field, operator, value}",
                                "the filter '%s' is a map", n->key);
                        r = -EINVAL;
                } else if (!found) {
                        r = test_add(
                                all, n, n->key, n->kind == YAML_KIND_LIST ? RULE_IN : RULE_EQ, n, file, p);
                }
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

typedef struct ListEntry {
        const YamlNode *field, *op, *other_op, *value;
} ListEntry;

static int entry_add(RuleExpr *all, const YamlNode *n, const char *file, Problems *p) {
        static const YamlField fields[] = {
                {.key = "field",
                        .type = YAML_FIELD_NODE,
                        .offset = offsetof(ListEntry, field),
                        .required = true},
                {.key = "operator", .type = YAML_FIELD_NODE, .offset = offsetof(ListEntry, op)},
                {.key = "op", .type = YAML_FIELD_NODE, .offset = offsetof(ListEntry, other_op)},
                {.key = "value", .type = YAML_FIELD_NODE, .offset = offsetof(ListEntry, value)},
        };
        ListEntry e = {0};
        const YamlNode *op;
        const char *field, *text;
        char hint[200];
        int o;

        if (yaml_read_map(&(YamlRead){file, p, NULL}, n, fields, ELEMENTSOF(fields), &e) < 0)
                return -EINVAL;
        op = e.op ? e.op : e.other_op;
        if (!op || (e.op && e.other_op)) {
                yaml_problem(p, file, n, "bad-filter", rule_op_hint("", hint, sizeof(hint)),
                        "a filter has one operator");
                return -EINVAL;
        }
        if (yaml_str(file, e.field, p, &field) < 0 || yaml_str(file, op, p, &text) < 0)
                return -EINVAL;
        o = rule_op_from_string(str_of(text));
        if (o < 0) {
                yaml_problem(p, file, op, "unknown-operator", rule_op_hint(text, hint, sizeof(hint)),
                        "'%.40s' is no operator", text);
                return -EINVAL;
        }
        if (!e.value && o != RULE_EXISTS) {
                yaml_problem(p, file, n, "bad-filter", "{field: F, operator: OP, value: V}",
                        "the filter on '%s' has no value", field);
                return -EINVAL;
        }
        return test_add(all, n, field, (RuleOp)o, e.value, file, p);
}

static int list_add(RuleExpr *all, const YamlNode *list, const char *file, Problems *p) {
        int result = 0;

        for (size_t i = 0; i < list->n; i++) {
                const YamlNode *n = list->items[i];
                RuleExpr *e = NULL;
                int r;

                if (n->kind == YAML_KIND_MAP &&
                        (yaml_get(n, "field") || yaml_get(n, "operator") || yaml_get(n, "value"))) {
                        r = entry_add(all, n, file, p);
                } else {
                        /* all, any, not, or a string expression: the rule language itself */
                        r = rule_expr_from_yaml(n, file, p, &e);
                        if (r == 0)
                                r = rule_expr_add(all, e);
                }
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

int workflow_filter_compile(const YamlNode *filters, const char *file, Problems *p, RuleProgram **ret) {
        auto_rule_expr RuleExpr *all = NULL;
        int r = 0;

        if (!filters || filters->n == 0) {
                if (filters && filters->kind == YAML_KIND_SCALAR && !yaml_is_null(filters)) {
                        yaml_problem(p, file, filters, "bad-filter", NULL,
                                "filters is %s, not a list or a map", yaml_kind_name(filters));
                        return -EINVAL;
                }
                return rule_compile(NULL, &SCHEMA, file, p, ret);
        }
        all = rule_expr_group(RULE_ALL, filters->line, filters->column);
        if (!all)
                return -ENOMEM;
        r = filters->kind == YAML_KIND_MAP ? map_add(all, filters, file, p) : list_add(all, filters, file, p);
        if (r == -E2BIG) {
                yaml_problem(p, file, filters, "too-many", "split the workflow", "too many filters");
                return -EINVAL;
        }
        return r < 0 ? r : rule_compile(all, &SCHEMA, file, p, ret);
}

/* ---- evaluation */

typedef struct FilterScope {
        const json_t *context;
        Str *set; /* items of the last set asked for */
} FilterScope;

static int derived_value(const json_t *payload, FilterField field, RuleValue *ret) {
        double v;

        if (field == FIELD_SCORE) {
                v = json_get_double(payload, "current_score", json_get_double(payload, "score", NAN));
        } else {
                double threshold = json_get_double(payload, "threshold", NAN);
                double delta =
                        json_get_double(payload, "delta", json_get_double(payload, "value", NAN) - threshold);

                v = json_get_double(
                        payload, "delta_percent", threshold == 0 ? NAN : fabs(delta / threshold) * 100);
        }
        if (!isfinite(v))
                return 1;
        *ret = (RuleValue){.type = RULE_DOUBLE, .d = v};
        return 0;
}

static int filter_lookup(void *user, unsigned id, const char *field, RuleValue *ret) {
        FilterScope *s = user;

        if (id == FIELD_DELTA_PERCENT || id == FIELD_SCORE)
                return derived_value(json_object_get(s->context, "payload"), (FilterField)id, ret);
        return rule_json_value(json_get_path(s->context, field), &s->set, ret);
}

bool workflow_filter_match(const RuleProgram *filter, const json_t *context) {
        FilterScope s = {.context = context};
        RuleResult r = rule_eval(filter, &(RuleContext){filter_lookup, &s});

        free(s.set);
        return r == RULE_MATCH;
}

void workflow_filter_explain(const RuleProgram *filter, const json_t *context, char *out, size_t cap) {
        FilterScope s = {.context = context};

        rule_explain(filter, &(RuleContext){filter_lookup, &s}, out, cap);
        free(s.set);
}
