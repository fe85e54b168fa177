/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rules/rules-internal.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *rule_type_name(RuleType t) {
        static const char *const names[_RULE_TYPE_MAX] = {
                [RULE_STRING] = "string",
                [RULE_INT] = "int",
                [RULE_DOUBLE] = "double",
                [RULE_BOOL] = "bool",
                [RULE_DURATION] = "duration",
                [RULE_TIME] = "time",
                [RULE_SET] = "set",
                [RULE_ANY] = "any",
        };
        return (unsigned)t < _RULE_TYPE_MAX ? names[t] : "invalid";
}

static const char *const op_names[_RULE_OP_MAX] = {
        [RULE_EQ] = "==",
        [RULE_NE] = "!=",
        [RULE_LT] = "<",
        [RULE_LE] = "<=",
        [RULE_GT] = ">",
        [RULE_GE] = ">=",
        [RULE_IN] = "in",
        [RULE_NOT_IN] = "not_in",
        [RULE_PREFIX] = "prefix",
        [RULE_SUFFIX] = "suffix",
        [RULE_GLOB] = "glob",
        [RULE_HAS] = "has",
        [RULE_BETWEEN] = "between",
        [RULE_EXISTS] = "exists",
        [RULE_WITHIN] = "within",
};

const char *rule_op_name(RuleOp op) {
        return (unsigned)op < _RULE_OP_MAX ? op_names[op] : "invalid";
}

const char *rule_op_hint(const char *name, char *out, size_t cap) {
        return names_hint(name, op_names, _RULE_OP_MAX, out, cap);
}

int rule_op_from_string(Str s) {
        if (str_eq(s, "="))
                return RULE_EQ;
        for (unsigned i = 0; i < _RULE_OP_MAX; i++)
                if (str_eq(s, op_names[i]))
                        return (int)i;
        return -EINVAL;
}

void rule_put(char *out, size_t cap, size_t *at, const char *fmt, ...) {
        va_list ap;
        if (*at + 1 >= cap)
                return;
        va_start(ap, fmt);
        int n = vsnprintf(out + *at, cap - *at, fmt, ap);
        va_end(ap);
        if (n > 0)
                *at = (size_t)n < cap - *at ? *at + (size_t)n : cap - 1;
}

RuleExpr *rule_expr_free(RuleExpr *e) {
        if (!e)
                return NULL;
        for (unsigned i = 0; i < e->n_kids; i++)
                rule_expr_free(e->kids[i]);
        for (unsigned i = 0; i < e->n_literals; i++)
                free(e->literals[i].text);
        free(e->kids);
        free(e->literals);
        free(e->field);
        free(e);
        return NULL;
}

RuleExpr *rule_expr_group(RuleGroup kind, unsigned line, unsigned column) {
        RuleExpr *e = calloc(1, sizeof(*e));
        if (e)
                *e = (RuleExpr){.kind = kind, .line = line, .column = column};
        return e;
}

RuleExpr *rule_expr_test(Str field, RuleOp op, unsigned line, unsigned column) {
        RuleExpr *e = calloc(1, sizeof(*e));
        if (!e)
                return NULL;
        *e = (RuleExpr){.test = true, .op = op, .line = line, .column = column};
        e->field = strndup(field.p ? field.p : "", field.n);
        return e->field ? e : rule_expr_free(e);
}

int rule_expr_add(RuleExpr *group, RuleExpr *child) {
        if (!child)
                return -ENOMEM;
        if (group->test || group->n_kids == RULE_NODES_MAX) {
                rule_expr_free(child);
                return -E2BIG;
        }
        if (group->n_kids == group->cap_kids) {
                unsigned cap = group->cap_kids ? group->cap_kids * 2 : 4;
                RuleExpr **kids = reallocarray(group->kids, cap, sizeof(RuleExpr *));
                if (!kids) {
                        rule_expr_free(child);
                        return -ENOMEM;
                }
                group->kids = kids;
                group->cap_kids = cap;
        }
        group->kids[group->n_kids++] = child;
        return 0;
}

int rule_expr_literal(RuleExpr *test, Str text, RuleForm form) {
        if (!test->test || test->n_literals == RULE_LITERALS_MAX || text.n > RULE_TEXT_MAX)
                return -E2BIG;
        if (test->n_literals == test->cap_literals) {
                unsigned cap = test->cap_literals ? test->cap_literals * 2 : 4;
                Literal *l = reallocarray(test->literals, cap, sizeof(*l));
                if (!l)
                        return -ENOMEM;
                test->literals = l;
                test->cap_literals = cap;
        }
        char *copy = strndup(text.p ? text.p : "", text.n);
        if (!copy)
                return -ENOMEM;
        test->literals[test->n_literals++] = (Literal){.text = copy, .n = strlen(copy), .form = form};
        return 0;
}
