/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String expressions, by recursive descent:
 *      or   := and ('||' and)*         and := unary ('&&' unary)*
 *      unary := '!' unary | '(' or ')' | test
 *      test := FIELD | FIELD op literal | FIELD op '[' literal (',' literal)* ']' | FIELD exists [literal]
 */
#include "common/rules/rules-internal.h"
#include "common/cleanup.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

typedef enum TokenKind { TOKEN_END, TOKEN_WORD, TOKEN_TEXT, TOKEN_OP, TOKEN_PUNCT, TOKEN_BAD } TokenKind;
typedef struct Parser {
        Str text;
        size_t at;    /* behind the current token */
        size_t start; /* of the current token */
        TokenKind kind;
        Str token;
        char unescaped[RULE_TEXT_MAX + 1];
        const char *file;
        unsigned line, column;
        Problems *p;
        unsigned depth;
} Parser;

static bool is_word(char c) {
        return isalnum((unsigned char)c) || (c && strchr("_.:+-", c));
}

/* Where an offset stands, counted from where the text does. */
static void locate(const Parser *ps, size_t offset, unsigned *line, unsigned *column) {
        *line = ps->line;
        *column = ps->column;
        for (size_t i = 0; i < offset && i < ps->text.n; i++) {
                if (ps->text.p[i] == '\n') {
                        (*line)++;
                        *column = 1;
                } else {
                        (*column)++;
                }
        }
}

static int fail(Parser *ps, const char *hint, const char *message) {
        unsigned line, column;
        locate(ps, ps->start, &line, &column);
        problem_add(ps->p, PROBLEM_ERROR, ps->file, line, column, "expression", hint, "%s", message);
        return -EINVAL;
}

static void lex_text(Parser *ps, char quote) {
        size_t n = 0, i = ps->start + 1;
        for (; i < ps->text.n && ps->text.p[i] != quote; i++) {
                if (ps->text.p[i] == '\\' && i + 1 < ps->text.n)
                        i++;
                ps->unescaped[n++] = ps->text.p[i];
        }
        ps->kind = i < ps->text.n ? TOKEN_TEXT : TOKEN_BAD;
        ps->token = (Str){ps->unescaped, n};
        ps->at = i + 1;
}

static void next(Parser *ps) {
        static const char *const doubles[] = {"&&", "||", "==", "!=", "<=", ">="};
        while (ps->at < ps->text.n && isspace((unsigned char)ps->text.p[ps->at]))
                ps->at++;
        ps->start = ps->at;
        if (ps->at >= ps->text.n) {
                ps->kind = TOKEN_END;
                ps->token = STR_LIT("");
                return;
        }
        const char *p = ps->text.p + ps->at;
        size_t left = ps->text.n - ps->at;
        if (*p == '\'' || *p == '"') {
                lex_text(ps, *p);
                return;
        }
        size_t n = 0;
        while (n < left && is_word(p[n]))
                n++;
        ps->kind = TOKEN_WORD;
        for (unsigned i = 0; n == 0 && i < ELEMENTSOF(doubles); i++)
                if (left >= 2 && memcmp(p, doubles[i], 2) == 0) {
                        n = 2;
                        ps->kind = i < 2 ? TOKEN_PUNCT : TOKEN_OP;
                }
        if (n == 0) {
                n = 1;
                ps->kind = strchr("<>=", *p) ? TOKEN_OP : strchr("!()[],", *p) ? TOKEN_PUNCT : TOKEN_BAD;
        }
        ps->token = (Str){p, n};
        ps->at += n;
}

static bool punct(const Parser *ps, const char *s) {
        return ps->kind == TOKEN_PUNCT && str_eq(ps->token, s);
}

static int parse_literal(Parser *ps, RuleExpr *test) {
        if (ps->kind != TOKEN_WORD && ps->kind != TOKEN_TEXT)
                return fail(ps, "FIELD OPERATOR VALUE, text in quotes",
                        ps->kind == TOKEN_BAD ? "a text that is not closed or a stray character"
                                              : "a value is missing here");
        int r = rule_expr_literal(
                test, ps->token, ps->kind == TOKEN_TEXT ? RULE_FORM_QUOTED : RULE_FORM_BARE);
        if (r == -E2BIG)
                return fail(ps, NULL, "too many values, or one that is too long");
        if (r == 0)
                next(ps);
        return r;
}

static int parse_list(Parser *ps, RuleExpr *test) {
        next(ps);
        if (punct(ps, "]"))
                return fail(ps, "['a', 'b']", "an empty list matches nothing");
        for (;;) {
                int r = parse_literal(ps, test);
                if (r < 0)
                        return r;
                if (punct(ps, "]")) {
                        next(ps);
                        return 0;
                }
                if (!punct(ps, ","))
                        return fail(ps, "['a', 'b']", "',' or ']' is missing here");
                next(ps);
        }
}

static int parse_operand(Parser *ps, RuleExpr *test) {
        if (punct(ps, "["))
                return parse_list(ps, test);
        if (test->op == RULE_EXISTS && ps->kind != TOKEN_WORD && ps->kind != TOKEN_TEXT)
                return 0;
        return parse_literal(ps, test);
}

static int parse_test(Parser *ps, RuleExpr **ret) {
        unsigned line, column;
        locate(ps, ps->start, &line, &column);
        if (ps->kind != TOKEN_WORD)
                return fail(ps, "FIELD OPERATOR VALUE, joined with && or ||",
                        ps->kind == TOKEN_END ? "the expression ends too early"
                                              : "a field, '!' or '(' is missing here");
        auto_rule_expr RuleExpr *test = rule_expr_test(ps->token, RULE_EQ, line, column);
        if (!test)
                return -ENOMEM;
        next(ps);
        int op = ps->kind == TOKEN_OP || ps->kind == TOKEN_WORD ? rule_op_from_string(ps->token) : -EINVAL;
        int r;
        if (op >= 0) {
                test->op = (RuleOp)op;
                next(ps);
                r = parse_operand(ps, test);
        } else if (ps->kind == TOKEN_WORD || ps->kind == TOKEN_OP) {
                char name[40], hint[200], what[80];
                str_copy(name, sizeof(name), ps->token);
                snprintf(what, sizeof(what), "'%s' is no operator", name);
                return fail(ps, rule_op_hint(name, hint, sizeof(hint)), what);
        } else {
                r = rule_expr_literal(test, STR_LIT("true"), RULE_FORM_BARE);
        }
        if (r == 0)
                *ret = TAKE(test);
        return r;
}

static int parse_or(Parser *ps, RuleExpr **ret);

static int parse_unary(Parser *ps, RuleExpr **ret) {
        bool negate = punct(ps, "!");
        if (!negate && !punct(ps, "("))
                return parse_test(ps, ret);
        unsigned line, column;
        locate(ps, ps->start, &line, &column);
        if (++ps->depth > RULE_DEPTH_MAX)
                return fail(ps, "at most 16 levels; split it into several rules", "nested too deep");
        next(ps);
        auto_rule_expr RuleExpr *inner = NULL;
        int r = negate ? parse_unary(ps, &inner) : parse_or(ps, &inner);
        if (r < 0)
                return r;
        ps->depth--;
        if (!negate) {
                if (!punct(ps, ")"))
                        return fail(ps, NULL, "')' is missing here");
                next(ps);
                *ret = TAKE(inner);
                return 0;
        }
        auto_rule_expr RuleExpr *not = rule_expr_group(RULE_NOT, line, column);
        if (!not )
                return -ENOMEM;
        r = rule_expr_add(not, TAKE(inner));
        if (r == 0)
                *ret = TAKE(not );
        return r;
}

/* One level of "X joiner X joiner X"; a single X stays itself. */
static int parse_chain(
        Parser *ps, const char *joiner, RuleGroup kind, int (*part)(Parser *, RuleExpr **), RuleExpr **ret) {
        unsigned line, column;
        locate(ps, ps->start, &line, &column);
        auto_rule_expr RuleExpr *first = NULL;
        int r = part(ps, &first);
        if (r < 0)
                return r;
        if (!punct(ps, joiner)) {
                *ret = TAKE(first);
                return 0;
        }
        auto_rule_expr RuleExpr *group = rule_expr_group(kind, line, column);
        if (!group)
                return -ENOMEM;
        r = rule_expr_add(group, TAKE(first));
        while (r == 0 && punct(ps, joiner)) {
                RuleExpr *more = NULL;
                next(ps);
                r = part(ps, &more);
                if (r == 0)
                        r = rule_expr_add(group, more);
                if (r == -E2BIG)
                        r = fail(ps, "split it into several rules", "too many parts");
        }
        if (r == 0)
                *ret = TAKE(group);
        return r;
}

static int parse_and(Parser *ps, RuleExpr **ret) {
        return parse_chain(ps, "&&", RULE_ALL, parse_unary, ret);
}

static int parse_or(Parser *ps, RuleExpr **ret) {
        return parse_chain(ps, "||", RULE_ANY_OF, parse_and, ret);
}

int rule_expr_parse(Str text, const char *file, unsigned line, unsigned column, Problems *p, RuleExpr **ret) {
        *ret = NULL;
        if (text.n > RULE_TEXT_MAX) {
                problem_add(p, PROBLEM_ERROR, file, line, column, "expression", NULL, "longer than %d bytes",
                        RULE_TEXT_MAX);
                return -EINVAL;
        }
        auto_free Parser *ps = calloc(1, sizeof(*ps));
        if (!ps)
                return -ENOMEM;
        *ps = (Parser){.text = text, .file = file, .line = line, .column = column, .p = p};
        auto_rule_expr RuleExpr *e = NULL;
        next(ps);
        int r = parse_or(ps, &e);
        if (r < 0)
                return r;
        if (ps->kind != TOKEN_END)
                return fail(ps, "join tests with && or ||", "the expression should end here");
        *ret = TAKE(e);
        return 0;
}
