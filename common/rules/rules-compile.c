/* SPDX-License-Identifier: Apache-2.0 */
/* Tree -> flat program: fields are resolved, operators and values checked against the field's type. */
#include "common/rules/rules-internal.h"
#include "common/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct Compiler {
        const RuleSchema *schema;
        const char *file;
        Problems *p;
        RuleProgram *r;
        unsigned cap_nodes, cap_consts;
} Compiler;

#define TYPE_BIT(t) (1u << (t))
#define ORDERED                                                                                              \
        (TYPE_BIT(RULE_INT) | TYPE_BIT(RULE_DOUBLE) | TYPE_BIT(RULE_DURATION) | TYPE_BIT(RULE_TIME) |        \
                TYPE_BIT(RULE_ANY))
#define SCALARS (ORDERED | TYPE_BIT(RULE_STRING) | TYPE_BIT(RULE_BOOL))
#define TEXTS   (TYPE_BIT(RULE_STRING) | TYPE_BIT(RULE_ANY))
/* Which types an operator takes, and how many values. */
static const struct {
        unsigned types, min, max;
} op_rules[_RULE_OP_MAX] = {
        [RULE_EQ] = {SCALARS, 1, 1},
        [RULE_NE] = {SCALARS, 1, 1},
        [RULE_LT] = {ORDERED, 1, 1},
        [RULE_LE] = {ORDERED, 1, 1},
        [RULE_GT] = {ORDERED, 1, 1},
        [RULE_GE] = {ORDERED, 1, 1},
        [RULE_IN] = {SCALARS, 1, RULE_LITERALS_MAX},
        [RULE_NOT_IN] = {SCALARS, 1, RULE_LITERALS_MAX},
        [RULE_PREFIX] = {TEXTS, 1, 1},
        [RULE_SUFFIX] = {TEXTS, 1, 1},
        [RULE_GLOB] = {TEXTS, 1, 1},
        [RULE_HAS] = {TYPE_BIT(RULE_SET) | TYPE_BIT(RULE_ANY), 1, 1},
        [RULE_BETWEEN] = {ORDERED, 2, 2},
        [RULE_EXISTS] = {SCALARS | TYPE_BIT(RULE_SET), 0, 1},
        [RULE_WITHIN] = {TEXTS, 1, 1},
};

static int complain(Compiler *c, const RuleExpr *e, const char *code, const char *hint, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));
static int complain(
        Compiler *c, const RuleExpr *e, const char *code, const char *hint, const char *fmt, ...) {
        char text[280];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        problem_add(c->p, PROBLEM_ERROR, c->file, e->line, e->column, code, hint, "%s", text);
        return -EINVAL;
}

/* An exact row wins over a wildcard; among wildcards the longest. */
static const RuleField *find_field(const RuleSchema *s, const char *name) {
        const RuleField *best = NULL;
        size_t best_len = 0;
        for (size_t i = 0; i < s->n; i++) {
                const char *row = s->fields[i].name;
                size_t n = strlen(row);
                if (strcmp(row, name) == 0)
                        return &s->fields[i];
                if (n >= 2 && strcmp(row + n - 2, ".*") == 0 && strncmp(row, name, n - 1) == 0 &&
                        name[n - 1] && n > best_len) {
                        best = &s->fields[i];
                        best_len = n;
                }
        }
        return best;
}

static int unknown_field(Compiler *c, const RuleExpr *e) {
        const char *names[128];
        char hint[200];
        size_t n = 0;
        for (size_t i = 0; i < c->schema->n && n < ELEMENTSOF(names); i++)
                names[n++] = c->schema->fields[i].name;
        return complain(c, e, "unknown-field", names_hint(e->field, names, n, hint, sizeof(hint)),
                "unknown field '%.80s'", e->field);
}

static bool read_int(const char *s, int64_t *ret) {
        char *end;
        if (!*s || strspn(s, "+-0123456789") != strlen(s))
                return false;
        errno = 0;
        long long v = strtoll(s, &end, 10);
        *ret = v;
        return !errno && !*end && end != s;
}

static bool read_double(const char *s, double *ret) {
        char *end;
        if (!*s || strspn(s, "+-0123456789.eE") != strlen(s))
                return false;
        *ret = strtod(s, &end);
        return !*end && end != s && isfinite(*ret);
}

static bool read_bool(const char *s, bool *ret) {
        *ret = strcasecmp(s, "true") == 0 || strcasecmp(s, "yes") == 0 || strcasecmp(s, "on") == 0;
        return *ret || strcasecmp(s, "false") == 0 || strcasecmp(s, "no") == 0 || strcasecmp(s, "off") == 0;
}

static int take_string(const Literal *l, RuleConst *ret) {
        ret->type = RULE_STRING;
        ret->s = strdup(l->text);
        ret->n = l->n;
        return ret->s ? 0 : -ENOMEM;
}

static int literal_any(const Literal *l, RuleConst *ret) {
        if (l->form != RULE_FORM_QUOTED) {
                ret->type = RULE_BOOL;
                if (read_bool(l->text, &ret->b))
                        return 0;
                ret->type = RULE_INT;
                if (read_int(l->text, &ret->i))
                        return 0;
                ret->type = RULE_DOUBLE;
                if (read_double(l->text, &ret->d))
                        return 0;
                if (l->form == RULE_FORM_BARE)
                        return -EINVAL;
        }
        return take_string(l, ret);
}

/* 0, -EINVAL when the text is no value of that type, -ENOMEM. */
static int literal_as(RuleType type, const Literal *l, RuleConst *ret) {
        bool text = l->form == RULE_FORM_QUOTED;
        uint64_t u;
        *ret = (RuleConst){.type = type};
        switch (type) {
        case RULE_STRING:
        case RULE_SET:
                return l->form == RULE_FORM_BARE ? -EINVAL : take_string(l, ret);
        case RULE_INT:
                return !text && read_int(l->text, &ret->i) ? 0 : -EINVAL;
        case RULE_DOUBLE:
                return !text && read_double(l->text, &ret->d) ? 0 : -EINVAL;
        case RULE_BOOL:
                return !text && read_bool(l->text, &ret->b) ? 0 : -EINVAL;
        case RULE_DURATION:
                if (parse_duration_us(l->text, &u) < 0 || u > INT64_MAX)
                        return -EINVAL;
                ret->i = (int64_t)u;
                return 0;
        case RULE_TIME:
                if (parse_time(l->text, &u) < 0 || u > INT64_MAX)
                        return -EINVAL;
                ret->i = (int64_t)u;
                return 0;
        case RULE_ANY:
                return literal_any(l, ret);
        case _RULE_TYPE_MAX:
                break;
        }
        return -EINVAL;
}

int rule_parse_cidr(const char *s, RuleConst *ret) {
        char address[64];
        uint64_t bits;
        size_t n = strcspn(s, "/");
        if (n >= sizeof(address))
                return -EINVAL;
        memcpy(address, s, n);
        address[n] = 0;
        ret->family = strchr(address, ':') ? AF_INET6 : AF_INET;
        ret->bits = ret->family == AF_INET6 ? 128 : 32;
        if (inet_pton(ret->family, address, ret->address) != 1)
                return -EINVAL;
        if (s[n] == '/') {
                if (parse_u64(s + n + 1, &bits) < 0 || bits > ret->bits)
                        return -EINVAL;
                ret->bits = (unsigned)bits;
        }
        return 0;
}

/* The type that an operator's value has on a field of a type. */
static RuleType operand_type(RuleOp op, RuleType field) {
        if (op == RULE_EXISTS)
                return RULE_BOOL;
        if (op == RULE_PREFIX || op == RULE_SUFFIX || op == RULE_GLOB || op == RULE_WITHIN || op == RULE_HAS)
                return RULE_STRING;
        return field;
}

static int check_enumerated(Compiler *c, const RuleExpr *e, const RuleField *f, const RuleConst *k) {
        size_t n = 0;
        if (!f->values || k->type != RULE_STRING ||
                !(e->op == RULE_EQ || e->op == RULE_NE || e->op == RULE_IN || e->op == RULE_NOT_IN))
                return 0;
        for (; f->values[n]; n++)
                if (strcmp(f->values[n], k->s) == 0)
                        return 0;
        char hint[200];
        return complain(c, e, "unknown-value", names_hint(k->s, f->values, n, hint, sizeof(hint)),
                "'%s' can't be '%.60s'", e->field, k->s);
}

/* How a value of that type is written. */
static const char *form_hint(RuleType want, RuleForm form) {
        switch (want) {
        case RULE_STRING:
        case RULE_SET:
        case RULE_ANY:
                return form == RULE_FORM_BARE ? "put text in quotes" : NULL;
        case RULE_INT:
        case RULE_DOUBLE:
        case RULE_BOOL:
                if (form == RULE_FORM_QUOTED)
                        return "without quotes: in quotes it is a text";
                return want == RULE_BOOL ? "true or false" : want == RULE_INT ? "a whole number" : "a number";
        case RULE_DURATION:
                return "write 500ms, 10s or 2min";
        case RULE_TIME:
                return "write 2026-11-21T03:00:00Z";
        case _RULE_TYPE_MAX:
                break;
        }
        return NULL;
}

/* The parser reads a field without operator as FIELD == true. */
static bool stands_alone(const RuleExpr *e, const Literal *l) {
        return e->op == RULE_EQ && l->form == RULE_FORM_BARE && strcmp(l->text, "true") == 0;
}

static int add_const(Compiler *c, const RuleExpr *e, const RuleField *f, const Literal *l) {
        RuleType want = operand_type(e->op, f->type);
        if (c->r->n_consts == c->cap_consts) {
                unsigned cap = c->cap_consts ? c->cap_consts * 2 : 8;
                RuleConst *k = reallocarray(c->r->consts, cap, sizeof(*k));
                if (!k)
                        return -ENOMEM;
                c->r->consts = k;
                c->cap_consts = cap;
        }
        RuleConst *k = &c->r->consts[c->r->n_consts];
        int r = literal_as(want, l, k);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return complain(c, e, "type-mismatch",
                        stands_alone(e, l) ? "a field that is not yes or no needs an operator and a value"
                                           : form_hint(want, l->form),
                        "'%.60s' is no %s, as '%s %s' needs", l->text, rule_type_name(want), e->field,
                        rule_op_name(e->op));
        c->r->n_consts++;
        if (e->op == RULE_WITHIN && rule_parse_cidr(k->s, k) < 0)
                return complain(
                        c, e, "type-mismatch", "write 192.0.2.0/24", "'%.60s' is no address range", l->text);
        return check_enumerated(c, e, f, k);
}

static int add_node(Compiler *c, const RuleExpr *e, RuleNode node, unsigned *ret) {
        if (c->r->n == RULE_NODES_MAX)
                return complain(c, e, "too-big", "split it into several rules",
                        "more than %d parts in one condition", RULE_NODES_MAX);
        if (c->r->n == c->cap_nodes) {
                unsigned cap = c->cap_nodes ? c->cap_nodes * 2 : 8;
                RuleNode *n = reallocarray(c->r->nodes, cap, sizeof(*n));
                if (!n)
                        return -ENOMEM;
                c->r->nodes = n;
                c->cap_nodes = cap;
        }
        *ret = c->r->n;
        c->r->nodes[c->r->n++] = node;
        return 0;
}

/* The operators that go with a type. */
static const char *fitting_hint(RuleType type, char *out, size_t cap) {
        const char *names[_RULE_OP_MAX];
        size_t n = 0;
        for (int op = 0; op < _RULE_OP_MAX; op++)
                if (op_rules[op].types & TYPE_BIT(type))
                        names[n++] = rule_op_name((RuleOp)op);
        return names_hint("", names, n, out, cap);
}

static int compile_test(Compiler *c, const RuleExpr *e) {
        char hint[200];
        const RuleField *f = find_field(c->schema, e->field);
        if (!f || strlen(e->field) >= RULE_FIELD_MAX)
                return unknown_field(c, e);
        if (!(op_rules[e->op].types & TYPE_BIT(f->type)))
                return complain(c, e, "type-mismatch", fitting_hint(f->type, hint, sizeof(hint)),
                        "'%s' does not go with '%s', which is of type %s", rule_op_name(e->op), e->field,
                        rule_type_name(f->type));
        if (e->n_literals < op_rules[e->op].min || e->n_literals > op_rules[e->op].max)
                return complain(c, e, "bad-value", NULL, "'%s %s' takes %u value%s, not %u", e->field,
                        rule_op_name(e->op), op_rules[e->op].min, op_rules[e->op].min == 1 ? "" : "s",
                        e->n_literals);
        unsigned at;
        RuleNode node = {.kind = NODE_TEST,
                .op = e->op,
                .type = f->type,
                .id = f->id,
                .first = c->r->n_consts,
                .n = e->n_literals};
        int r = add_node(c, e, node, &at);
        if (r < 0)
                return r;
        c->r->nodes[at].end = at + 1;
        c->r->nodes[at].field = strdup(e->field);
        if (!c->r->nodes[at].field)
                return -ENOMEM;
        for (unsigned i = 0; i < e->n_literals; i++) {
                r = add_const(c, e, f, &e->literals[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int compile_expr(Compiler *c, const RuleExpr *e, unsigned depth) {
        static const NodeKind kinds[] = {
                [RULE_ALL] = NODE_ALL, [RULE_ANY_OF] = NODE_ANY, [RULE_NOT] = NODE_NOT};
        unsigned at;
        if (e->test)
                return compile_test(c, e);
        if (depth > RULE_DEPTH_MAX)
                return complain(c, e, "too-deep", NULL, "nested deeper than %d levels", RULE_DEPTH_MAX);
        if (e->n_kids == 0 || (e->kind == RULE_NOT && e->n_kids != 1))
                return complain(c, e, "bad-value", NULL,
                        e->kind == RULE_NOT ? "'not' takes exactly one condition" : "an empty group");
        int r = add_node(c, e, (RuleNode){.kind = kinds[e->kind]}, &at);
        int bad = r;
        for (unsigned i = 0; r == 0 && i < e->n_kids; i++) {
                /* All problems of one rule are told at once: a bad part does not hide the next. */
                int one = compile_expr(c, e->kids[i], depth + 1);
                if (one == -ENOMEM)
                        return one;
                if (one < 0)
                        bad = one;
        }
        if (r == 0)
                c->r->nodes[at].end = c->r->n;
        return bad;
}

RuleProgram *rule_program_free(RuleProgram *r) {
        if (!r)
                return NULL;
        for (unsigned i = 0; i < r->n; i++)
                free(r->nodes[i].field);
        for (unsigned i = 0; i < r->n_consts; i++)
                free(r->consts[i].s);
        free(r->nodes);
        free(r->consts);
        free(r);
        return NULL;
}

int rule_compile(
        const RuleExpr *e, const RuleSchema *schema, const char *file, Problems *p, RuleProgram **ret) {
        *ret = NULL;
        Compiler c = {.schema = schema, .file = file, .p = p, .r = calloc(1, sizeof(RuleProgram))};
        if (!c.r)
                return -ENOMEM;
        int r = e ? compile_expr(&c, e, 0) : 0;
        if (r < 0) {
                rule_program_free(c.r);
                return r;
        }
        *ret = c.r;
        return 0;
}
