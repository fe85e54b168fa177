/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one rule language: governance rules, workflow filters, diagnosis, validators. Pure: no clock, no I/O,
 * no YAML.
 *
 * A condition is a tree of all / any / not over tests {field, op, value}. It is built by calls (below), from
 * YAML (rules-yaml.h) or from a string, which is sugar for the same tree:
 *
 *      actor.trust >= 70 && (action in ['restart', 'reload'] || !resource.critical) && context.incident
 * exists
 *
 *   operators   == != < <= > >= | in not_in between [a, b] | prefix suffix glob ('*', '?') within (CIDR) |
 * has (set) exists (no value, or true / false); a bare field of type bool means `field == true` types string,
 * int (64 bit), double, bool, duration (microseconds), time (unix ns), set (of strings), any (takes the type
 * of what it is compared with; for payloads without a schema) literals    'text' "text" 70 -3 0.5 true 10min
 * 2026-11-21T03:00:00Z; in a string expression text must be quoted
 *
 * Fields and their types are declared by the caller (RuleSchema). An unknown field, operator or enumerated
 * value, and a value of the wrong type are load errors with file:line:column and the nearest known name.
 *
 * Evaluation has three values (Kleene): match, no match, error. A missing field, a value of an undeclared
 * type and a malformed address are errors, except under `exists`; error && no = no, error || match = match,
 * !error = error. What an error means is the caller's business (an allow rule: no match; a deny rule: match).
 * No loops, no functions, no regular expressions: a rule ends after at most RULE_NODES_MAX steps.
 */
#include "common/error.h"
#include "common/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        RULE_DEPTH_MAX = 16,
        RULE_NODES_MAX = 256,
        RULE_LITERALS_MAX = 256,
        RULE_FIELD_MAX = 128,
        RULE_TEXT_MAX = 4096
};

typedef enum RuleType {
        RULE_STRING,
        RULE_INT,
        RULE_DOUBLE,
        RULE_BOOL,
        RULE_DURATION,
        RULE_TIME,
        RULE_SET,
        RULE_ANY, /* in a schema only */
        _RULE_TYPE_MAX
} RuleType;
typedef enum RuleOp {
        RULE_EQ,
        RULE_NE,
        RULE_LT,
        RULE_LE,
        RULE_GT,
        RULE_GE,
        RULE_IN,
        RULE_NOT_IN,
        RULE_PREFIX,
        RULE_SUFFIX,
        RULE_GLOB,
        RULE_HAS,
        RULE_BETWEEN,
        RULE_EXISTS,
        RULE_WITHIN,
        _RULE_OP_MAX
} RuleOp;
typedef enum RuleGroup { RULE_ALL, RULE_ANY_OF, RULE_NOT } RuleGroup;
typedef enum RuleResult { RULE_NO, RULE_MATCH, RULE_ERROR } RuleResult;

const char *rule_type_name(RuleType t);
const char *rule_op_name(RuleOp op); /* "==" */
int rule_op_from_string(Str s);      /* exact names, and "=" for "=="; -EINVAL */
/* names_hint() of the operators. Returns out. */
const char *rule_op_hint(const char *name, char *out, size_t cap);

/* ---- schema: what may be asked */
typedef struct RuleField {
        const char *name; /* "actor.trust"; "payload.*": any name below, of this type */
        RuleType type;
        unsigned id;               /* the caller's, handed to the lookup */
        const char *const *values; /* strings that == != in not_in may name, NULL terminated; NULL: any */
} RuleField;
typedef struct RuleSchema {
        const RuleField *fields;
        size_t n;
} RuleSchema;

/* ---- building a tree. Every function takes ownership of the children given, also when it fails. */
typedef enum RuleForm {
        RULE_FORM_PLAIN,  /* YAML plain scalar: takes the field's type */
        RULE_FORM_QUOTED, /* text */
        RULE_FORM_BARE    /* unquoted in an expression: never text */
} RuleForm;
typedef struct RuleExpr RuleExpr;
/* NULL: out of memory. line and column (1-based, 0 unknown) are for problems. */
RuleExpr *rule_expr_group(RuleGroup kind, unsigned line, unsigned column);
RuleExpr *rule_expr_test(Str field, RuleOp op, unsigned line, unsigned column);
int rule_expr_add(RuleExpr *group, RuleExpr *child); /* -ENOMEM (also when child is NULL), -E2BIG */
int rule_expr_literal(
        RuleExpr *test, Str text, RuleForm form); /* one value, repeated for lists; -ENOMEM, -E2BIG */
RuleExpr *rule_expr_free(RuleExpr *e);
static inline void rule_expr_freep(RuleExpr **e) {
        rule_expr_free(*e);
}
#define auto_rule_expr __attribute__((cleanup(rule_expr_freep)))
/* Parses a string expression; line and column are where its first character stands. 0, -EINVAL with a
 * problem, -ENOMEM. */
int rule_expr_parse(Str text, const char *file, unsigned line, unsigned column, Problems *p, RuleExpr **ret);

/* ---- values, handed in by lookups */
typedef struct RuleValue {
        RuleType type; /* never RULE_ANY */
        union {
                int64_t i; /* int, duration (us), time (unix ns) */
                double d;
                bool b;
                Str s;
                struct {
                        const Str *items;
                        size_t n;
                } set;
        };
} RuleValue;
/* 0: present; 1: missing; negative errno: an error of the lookup (the test is an error). `field` is the full
 * name as written in the rule, `id` the row's. What ret points to must live until the evaluation ends. */
typedef int (*RuleLookup)(void *user, unsigned id, const char *field, RuleValue *ret);
typedef struct RuleContext {
        RuleLookup lookup;
        void *user;
} RuleContext;

/* ---- one compiled condition: flat, read-only, reusable */
typedef struct RuleProgram RuleProgram;
/* e may be NULL: always matches. 0, -EINVAL after at least one problem, -ENOMEM. The schema is needed only
 * during the call. */
int rule_compile(
        const RuleExpr *e, const RuleSchema *schema, const char *file, Problems *p, RuleProgram **ret);
RuleProgram *rule_program_free(RuleProgram *r);
RuleResult rule_eval(const RuleProgram *r, const RuleContext *c);
/* The fewest tests that would have to change for a match, as text "actor.trust >= 70, was 62; action == 'a',
 * was 'b'"; returns their number, 0 when it matches. Cut at cap; out may be NULL with cap 0. */
unsigned rule_explain(const RuleProgram *r, const RuleContext *c, char *out, size_t cap);
/* Canonical text of the condition: equal text, equal meaning of every test. Cut at cap; returns out. */
const char *rule_program_text(const RuleProgram *r, char *out, size_t cap);
/* True when the program names this field. */
bool rule_program_uses(const RuleProgram *r, const char *field);

/* ---- many conditions, indexed by one string field: only those that can match a given key are visited */
typedef struct RuleSet RuleSet;
/* schema is kept by reference until rule_set_seal(). */
int rule_set_new(const RuleSchema *schema, const char *key_field /* may be NULL: no index */, RuleSet **ret);
RuleSet *rule_set_free(RuleSet *s);
/* Compiles and adds; its number (0, 1, ...) goes to *ret (may be NULL). As rule_compile(). Not after
 * rule_set_seal(). */
int rule_set_add(RuleSet *s, const RuleExpr *e, const char *file, Problems *p, unsigned *ret);
int rule_set_seal(RuleSet *s); /* builds the index: 0 or -ENOMEM */
const RuleProgram *rule_set_program(const RuleSet *s, unsigned rule);
/* size_t at = 0; while (rule_set_next(s, key, &at, &rule)) ...: the rules that may match, in the order added.
 * key absent
 * ({NULL, 0}): all of them. A rule left out can't match: its condition needs another key. */
bool rule_set_next(const RuleSet *s, Str key, size_t *at, unsigned *rule);
