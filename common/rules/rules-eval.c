/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rules/rules-internal.h"
#include "common/cleanup.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_number(RuleType t) {
        return t == RULE_INT || t == RULE_DOUBLE;
}

/* Does the value have the type the field was declared with? */
static bool type_fits(RuleType declared, RuleType have) {
        return declared == have || (declared == RULE_ANY && have != RULE_ANY) ||
               (declared == RULE_DOUBLE && have == RULE_INT);
}

/* -1, 0, 1; 2: they can't be compared. */
static int compare(const RuleValue *v, const RuleConst *c) {
        if (is_number(v->type) && is_number(c->type)) {
                if (v->type == RULE_INT && c->type == RULE_INT)
                        return v->i < c->i ? -1 : v->i > c->i;
                double a = v->type == RULE_INT ? (double)v->i : v->d,
                       b = c->type == RULE_INT ? (double)c->i : c->d;
                return isnan(a) ? 2 : a < b ? -1 : a > b;
        }
        if (v->type != c->type)
                return 2;
        if (v->type == RULE_DURATION || v->type == RULE_TIME)
                return v->i < c->i ? -1 : v->i > c->i;
        if (v->type == RULE_BOOL)
                return (int)v->b - (int)c->b;
        if (v->type == RULE_STRING) {
                size_t n = v->s.n < c->n ? v->s.n : c->n;
                int d = n ? memcmp(v->s.p, c->s, n) : 0;
                return d ? (d < 0 ? -1 : 1) : v->s.n < c->n ? -1 : v->s.n > c->n;
        }
        return 2;
}

static RuleResult truth(bool b) {
        return b ? RULE_MATCH : RULE_NO;
}

/* '*' any run, '?' one byte. Linear in each star: the last star alone is ever tried again. */
static bool glob_match(const char *g, size_t gn, Str s) {
        size_t gi = 0, si = 0, star = SIZE_MAX, mark = 0;
        while (si < s.n) {
                if (gi < gn && g[gi] == '*') {
                        star = gi++;
                        mark = si;
                } else if (gi < gn && (g[gi] == '?' || g[gi] == s.p[si])) {
                        gi++;
                        si++;
                } else if (star != SIZE_MAX) {
                        gi = star + 1;
                        si = ++mark;
                } else {
                        return false;
                }
        }
        while (gi < gn && g[gi] == '*')
                gi++;
        return gi == gn;
}

static RuleResult within(Str s, const RuleConst *c) {
        char text[64];
        RuleConst a;
        if (s.n >= sizeof(text))
                return RULE_ERROR;
        str_copy(text, sizeof(text), s);
        if (strchr(text, '/') || rule_parse_cidr(text, &a) < 0)
                return RULE_ERROR;
        if (a.family != c->family)
                return RULE_NO;
        unsigned whole = c->bits / 8, rest = c->bits % 8;
        if (memcmp(a.address, c->address, whole) != 0)
                return RULE_NO;
        uint8_t mask = (uint8_t)(0xff00u >> rest);
        return truth(!rest || ((a.address[whole] ^ c->address[whole]) & mask) == 0);
}

static RuleResult test_text(const RuleNode *n, const RuleValue *v, const RuleConst *c) {
        if (v->type != RULE_STRING)
                return RULE_ERROR;
        if (n->op == RULE_GLOB)
                return truth(glob_match(c->s, c->n, v->s));
        if (n->op == RULE_WITHIN)
                return within(v->s, c);
        if (v->s.n < c->n)
                return RULE_NO;
        return truth(
                !c->n || memcmp(n->op == RULE_PREFIX ? v->s.p : v->s.p + v->s.n - c->n, c->s, c->n) == 0);
}

static RuleResult test_has(const RuleValue *v, const RuleConst *c) {
        if (v->type != RULE_SET)
                return RULE_ERROR;
        for (size_t i = 0; i < v->set.n; i++)
                if (v->set.items[i].n == c->n && (!c->n || memcmp(v->set.items[i].p, c->s, c->n) == 0))
                        return RULE_MATCH;
        return RULE_NO;
}

static RuleResult test_in(const RuleNode *n, const RuleValue *v, const RuleConst *c) {
        bool error = false;
        for (unsigned i = 0; i < n->n; i++) {
                int d = compare(v, &c[i]);
                if (d == 0)
                        return truth(n->op == RULE_IN);
                error |= d == 2;
        }
        return error ? RULE_ERROR : truth(n->op == RULE_NOT_IN);
}

static RuleResult test_order(RuleOp op, int d) {
        if (d == 2)
                return RULE_ERROR;
        switch (op) {
        case RULE_EQ:
                return truth(d == 0);
        case RULE_NE:
                return truth(d != 0);
        case RULE_LT:
                return truth(d < 0);
        case RULE_LE:
                return truth(d <= 0);
        case RULE_GT:
                return truth(d > 0);
        case RULE_GE:
                return truth(d >= 0);
        case RULE_IN:
        case RULE_NOT_IN:
        case RULE_PREFIX:
        case RULE_SUFFIX:
        case RULE_GLOB:
        case RULE_HAS:
        case RULE_BETWEEN:
        case RULE_EXISTS:
        case RULE_WITHIN:
        case _RULE_OP_MAX:
                break;
        }
        return RULE_ERROR;
}

static RuleResult eval_test(
        const RuleProgram *r, const RuleNode *n, const RuleContext *c, RuleValue *v, int *found) {
        const RuleConst *k = r->consts ? r->consts + n->first : NULL; /* `exists` alone has no constant */
        *found = c->lookup(c->user, n->id, n->field, v);
        if (n->op == RULE_EXISTS)
                return *found < 0 ? RULE_ERROR : truth((*found == 0) == (!k || n->n == 0 || k->b));
        if (*found != 0 || !k || !type_fits(n->type, v->type))
                return RULE_ERROR;
        if (n->op == RULE_IN || n->op == RULE_NOT_IN)
                return test_in(n, v, k);
        if (n->op == RULE_HAS)
                return test_has(v, k);
        if (n->op == RULE_PREFIX || n->op == RULE_SUFFIX || n->op == RULE_GLOB || n->op == RULE_WITHIN)
                return test_text(n, v, k);
        if (n->op != RULE_BETWEEN)
                return test_order(n->op, compare(v, k));
        RuleResult low = test_order(RULE_GE, compare(v, k)), high = test_order(RULE_LE, compare(v, k + 1));
        return low == RULE_NO || high == RULE_NO         ? RULE_NO
               : low == RULE_ERROR || high == RULE_ERROR ? RULE_ERROR
                                                         : RULE_MATCH;
}

/* Kleene's logic; recursion is bounded by RULE_DEPTH_MAX at load. */
static RuleResult eval_node(const RuleProgram *r, unsigned at, const RuleContext *c) {
        const RuleNode *n = &r->nodes[at];
        RuleValue v;
        int found;
        if (n->kind == NODE_TEST)
                return eval_test(r, n, c, &v, &found);
        if (n->kind == NODE_NOT) {
                RuleResult one = eval_node(r, at + 1, c);
                return one == RULE_ERROR ? one : truth(one == RULE_NO);
        }
        RuleResult decisive = n->kind == NODE_ALL ? RULE_NO : RULE_MATCH;
        bool error = false;
        for (unsigned i = at + 1; i < n->end; i = r->nodes[i].end) {
                RuleResult one = eval_node(r, i, c);
                if (one == decisive)
                        return decisive;
                error |= one == RULE_ERROR;
        }
        return error ? RULE_ERROR : truth(n->kind == NODE_ALL);
}

RuleResult rule_eval(const RuleProgram *r, const RuleContext *c) {
        return r->n ? eval_node(r, 0, c) : RULE_MATCH;
}

void rule_const_text(const RuleConst *c, RuleOp op, char *out, size_t cap) {
        size_t at = 0;
        char text[40];
        (void)op;
        switch (c->type) {
        case RULE_STRING:
        case RULE_SET:
                rule_put(out, cap, &at, "'%.*s'", (int)(c->n < 120 ? c->n : 120), c->s);
                break;
        case RULE_INT:
                rule_put(out, cap, &at, "%" PRId64, c->i);
                break;
        case RULE_DOUBLE:
                /* the shortest text that is read back as the same number: 0.7, not 0.69999999999999996 */
                snprintf(text, sizeof(text), "%.15g", c->d);
                if (strtod(text, NULL) != c->d)
                        snprintf(text, sizeof(text), "%.17g", c->d);
                rule_put(out, cap, &at, "%s", text);
                break;
        case RULE_BOOL:
                rule_put(out, cap, &at, c->b ? "true" : "false");
                break;
        case RULE_DURATION:
                rule_put(out, cap, &at, "%s", format_duration((uint64_t)c->i, text, sizeof(text)));
                break;
        case RULE_TIME:
                rule_put(out, cap, &at, "%s", format_time((uint64_t)c->i, text, sizeof(text)));
                break;
        case RULE_ANY:
        case _RULE_TYPE_MAX:
                break;
        }
}

static void put_value(char *out, size_t cap, size_t *at, const RuleValue *v) {
        char text[160];
        RuleConst c = {.type = v->type};
        if (v->type == RULE_SET) {
                rule_put(out, cap, at, "[");
                for (size_t i = 0; i < v->set.n; i++)
                        rule_put(out, cap, at, "%s'%.*s'", i ? ", " : "", (int)v->set.items[i].n,
                                v->set.items[i].p);
                rule_put(out, cap, at, "]");
                return;
        }
        if (v->type == RULE_STRING) {
                rule_put(out, cap, at, "'%.*s'", (int)(v->s.n < 120 ? v->s.n : 120), v->s.n ? v->s.p : "");
                return;
        }
        if (v->type == RULE_DOUBLE)
                c.d = v->d;
        else if (v->type == RULE_BOOL)
                c.b = v->b;
        else
                c.i = v->i;
        text[0] = 0;
        rule_const_text(&c, RULE_EQ, text, sizeof(text));
        rule_put(out, cap, at, "%s", text);
}

static void put_test(const RuleProgram *r, const RuleNode *n, char *out, size_t cap, size_t *at) {
        char text[160];
        rule_put(out, cap, at, "%s %s", n->field, rule_op_name(n->op));
        bool list = n->op == RULE_IN || n->op == RULE_NOT_IN || n->op == RULE_BETWEEN;
        for (unsigned i = 0; i < n->n; i++) {
                text[0] = 0;
                rule_const_text(&r->consts[n->first + i], n->op, text, sizeof(text));
                rule_put(out, cap, at, "%s%s", i ? ", " : list ? " [" : " ", text);
        }
        if (list)
                rule_put(out, cap, at, "]");
}

static void put_node(const RuleProgram *r, unsigned at_node, char *out, size_t cap, size_t *at) {
        static const char *const names[] = {[NODE_ALL] = "all", [NODE_ANY] = "any", [NODE_NOT] = "not"};
        const RuleNode *n = &r->nodes[at_node];
        if (n->kind == NODE_TEST) {
                put_test(r, n, out, cap, at);
                return;
        }
        rule_put(out, cap, at, "%s(", names[n->kind]);
        for (unsigned i = at_node + 1; i < n->end; i = r->nodes[i].end) {
                rule_put(out, cap, at, i == at_node + 1 ? "" : ", ");
                put_node(r, i, out, cap, at);
        }
        rule_put(out, cap, at, ")");
}

const char *rule_program_text(const RuleProgram *r, char *out, size_t cap) {
        size_t at = 0;
        if (cap)
                out[0] = 0;
        if (r->n)
                put_node(r, 0, out, cap, &at);
        else
                rule_put(out, cap, &at, "always");
        return out;
}

bool rule_program_uses(const RuleProgram *r, const char *field) {
        for (unsigned i = 0; i < r->n; i++)
                if (r->nodes[i].kind == NODE_TEST && strcmp(r->nodes[i].field, field) == 0)
                        return true;
        return false;
}

static unsigned explain_test(
        const RuleProgram *r, const RuleNode *n, const RuleContext *c, char *out, size_t cap, size_t *at) {
        RuleValue v;
        int found;
        RuleResult one = eval_test(r, n, c, &v, &found);
        if (one == RULE_MATCH)
                return 0;
        if (*at)
                rule_put(out, cap, at, "; ");
        put_test(r, n, out, cap, at);
        if (found != 0) {
                rule_put(out, cap, at, found > 0 ? ", is missing" : ", can't be read");
                return 1;
        }
        rule_put(out, cap, at, n->op == RULE_EXISTS ? ", is " : ", was ");
        put_value(out, cap, at, &v);
        return 1;
}

/* For `any` the child that needs the fewest changes is told; its text is made once its number is known. */
static unsigned explain_node(
        const RuleProgram *r, unsigned at_node, const RuleContext *c, char *out, size_t cap, size_t *at) {
        const RuleNode *n = &r->nodes[at_node];
        if (n->kind == NODE_TEST)
                return explain_test(r, n, c, out, cap, at);
        if (n->kind == NODE_NOT) {
                if (eval_node(r, at_node, c) == RULE_MATCH)
                        return 0;
                rule_put(out, cap, at, *at ? "; " : "");
                put_node(r, at_node, out, cap, at);
                return 1;
        }
        unsigned sum = 0, best = 0, best_child = at_node + 1;
        for (unsigned i = at_node + 1; i < n->end; i = r->nodes[i].end) {
                size_t none = 0;
                unsigned k = n->kind == NODE_ALL ? explain_node(r, i, c, out, cap, at)
                                                 : explain_node(r, i, c, NULL, 0, &none);
                if (n->kind == NODE_ANY && (i == at_node + 1 || k < best)) {
                        best = k;
                        best_child = i;
                }
                sum += k;
        }
        return n->kind == NODE_ALL ? sum : explain_node(r, best_child, c, out, cap, at);
}

unsigned rule_explain(const RuleProgram *r, const RuleContext *c, char *out, size_t cap) {
        size_t at = 0;
        if (cap)
                out[0] = 0;
        return r->n ? explain_node(r, 0, c, out, cap, &at) : 0;
}
