/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of this folder share: the tree as built, the program as compiled. */
#include "common/rules/rules.h"

typedef struct Literal {
        char *text; /* NUL terminated, owned */
        size_t n;
        RuleForm form;
} Literal;

struct RuleExpr {
        bool test;
        RuleGroup kind; /* of a group */
        RuleOp op;      /* of a test */
        unsigned line, column;
        char *field;
        RuleExpr **kids;
        unsigned n_kids, cap_kids;
        Literal *literals;
        unsigned n_literals, cap_literals;
};

typedef enum NodeKind { NODE_ALL, NODE_ANY, NODE_NOT, NODE_TEST } NodeKind;
/* A constant. string: s, n; within: an address, its family and prefix length. */
typedef struct RuleConst {
        RuleType type;
        int64_t i;
        double d;
        bool b;
        char *s; /* owned, NULL unless a string */
        size_t n;
        int family;
        unsigned bits;
        uint8_t address[16];
} RuleConst;
/* Nodes stand in preorder; `end` is one past the node's own subtree, so that a child is skipped in one step.
 */
typedef struct RuleNode {
        NodeKind kind;
        RuleOp op;
        RuleType type; /* of the field */
        unsigned end;
        unsigned id;
        char *field;       /* owned */
        unsigned first, n; /* constants */
} RuleNode;
struct RuleProgram {
        RuleNode *nodes; /* n == 0: always matches */
        unsigned n;
        RuleConst *consts;
        unsigned n_consts;
};

/* Text of a constant as it would be written in an expression. */
void rule_const_text(const RuleConst *c, RuleOp op, char *out, size_t cap);
/* "192.0.2.0/24", "2001:db8::/32", an address alone is one host. 0 or -EINVAL. */
int rule_parse_cidr(const char *s, RuleConst *ret);
/* Appends text to out at *at, cut at cap, always NUL terminated when cap > 0. */
void rule_put(char *out, size_t cap, size_t *at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
