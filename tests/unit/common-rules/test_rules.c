/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rules/rules-yaml.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        ID_STRING,
        ID_INT,
        ID_DOUBLE,
        ID_BOOL,
        ID_DURATION,
        ID_TIME,
        ID_SET,
        ID_ANY,
        ID_LABEL,
        ID_MISSING,
        ID_BROKEN
};
static const char *const actions[] = {"restart", "reload", "stop", NULL};
static const RuleField fields[] = {
        {"action", RULE_STRING, ID_STRING, actions},
        {"name", RULE_STRING, ID_STRING},
        {"trust", RULE_INT, ID_INT},
        {"load", RULE_DOUBLE, ID_DOUBLE},
        {"critical", RULE_BOOL, ID_BOOL},
        {"age", RULE_DURATION, ID_DURATION},
        {"now", RULE_TIME, ID_TIME},
        {"heal", RULE_SET, ID_SET},
        {"payload.*", RULE_ANY, ID_ANY},
        {"labels.*", RULE_STRING, ID_LABEL},
        {"gone", RULE_INT, ID_MISSING},
        {"broken", RULE_INT, ID_BROKEN},
        {"address", RULE_STRING, ID_STRING},
};
static const RuleSchema schema = {fields, ELEMENTSOF(fields)};

/* the world: name/action/address = text, trust 70, load 1.5, ... */
static const char *text;
static int lookup(void *user, unsigned id, const char *field, RuleValue *ret) {
        static const Str set[] = {{"restart_service", 15}, {"rollback", 8}};
        (void)user;
        switch (id) {
        case ID_STRING:
                *ret = (RuleValue){.type = RULE_STRING, .s = str_of(text)};
                return 0;
        case ID_INT:
                *ret = (RuleValue){.type = RULE_INT, .i = 70};
                return 0;
        case ID_DOUBLE:
                *ret = (RuleValue){.type = RULE_DOUBLE, .d = 1.5};
                return 0;
        case ID_BOOL:
                *ret = (RuleValue){.type = RULE_BOOL, .b = true};
                return 0;
        case ID_DURATION:
                *ret = (RuleValue){.type = RULE_DURATION, .i = 600000000};
                return 0;
        case ID_TIME:
                *ret = (RuleValue){.type = RULE_TIME, .i = 1795237200000000000};
                return 0;
        case ID_SET:
                *ret = (RuleValue){.type = RULE_SET, .set = {set, 2}};
                return 0;
        case ID_ANY:
                if (strcmp(field, "payload.n") == 0)
                        *ret = (RuleValue){.type = RULE_INT, .i = 5};
                else if (strcmp(field, "payload.s.t") == 0)
                        *ret = (RuleValue){.type = RULE_STRING, .s = STR_LIT("high")};
                else
                        return 1;
                return 0;
        case ID_LABEL:
                *ret = (RuleValue){.type = RULE_STRING, .s = STR_LIT("v")};
                return strcmp(field, "labels.k") == 0 ? 0 : 1;
        case ID_BROKEN:
                return -EIO;
        default:
                return 1;
        }
}
static const RuleContext context = {lookup, NULL};
static Problems problems;

static void setup(void) {
        problems = (Problems){0};
        text = "restart";
}
static void teardown(void) {
        problems_done(&problems);
}

static RuleProgram *compile(const char *expression) {
        auto_rule_expr RuleExpr *e = NULL;
        RuleProgram *r = NULL;
        if (rule_expr_parse(str_of(expression), "f.yaml", 3, 7, &problems, &e) == 0)
                rule_compile(e, &schema, "f.yaml", &problems, &r);
        return r;
}

static const struct {
        const char *expression;
        RuleResult result;
} cases[] = {
        {"name == 'restart'", RULE_MATCH},
        {"name = \"restart\"", RULE_MATCH},
        {"name != 'restart'", RULE_NO},
        {"trust >= 70", RULE_MATCH},
        {"trust > 70", RULE_NO},
        {"trust < 71", RULE_MATCH},
        {"trust <= 69", RULE_NO},
        {"trust == -70", RULE_NO},
        {"load > 1", RULE_MATCH},
        {"load < 1.25e0", RULE_NO},
        {"critical", RULE_MATCH},
        {"!critical", RULE_NO},
        {"critical == false", RULE_NO},
        {"age >= 10min", RULE_MATCH},
        {"age > 10min", RULE_NO},
        {"now >= 2026-11-21T05:00:00Z", RULE_MATCH},
        {"now > 2026-11-21T05:00:00Z", RULE_NO},
        {"heal has 'rollback'", RULE_MATCH},
        {"heal has 'scale_up'", RULE_NO},
        {"name in ['stop', 'restart']", RULE_MATCH},
        {"name not_in ['stop', 'restart']", RULE_NO},
        {"name not_in ['stop']", RULE_MATCH},
        {"trust in [1, 70]", RULE_MATCH},
        {"trust between [70, 80]", RULE_MATCH},
        {"trust between [71, 80]", RULE_NO},
        {"name prefix 'res'", RULE_MATCH},
        {"name prefix 'tart'", RULE_NO},
        {"name suffix 'tart'", RULE_MATCH},
        {"name suffix 'restart_long'", RULE_NO},
        {"name glob 'r*t'", RULE_MATCH},
        {"name glob '*es?a*t'", RULE_MATCH},
        {"name glob 'r?t'", RULE_NO},
        {"payload.n == 5", RULE_MATCH},
        {"payload.n > 4.5", RULE_MATCH},
        {"payload.s.t == 'high'", RULE_MATCH},
        {"payload.s.t == 5", RULE_ERROR},
        {"payload.n in ['a', 5]", RULE_MATCH},
        {"payload.n in ['a', 6]", RULE_ERROR},
        {"payload.n prefix 'a'", RULE_ERROR},
        {"payload.n has 'a'", RULE_ERROR},
        {"payload.none == 5", RULE_ERROR},
        {"labels.k == 'v'", RULE_MATCH},
        {"labels.other == 'v'", RULE_ERROR},
        {"gone == 1", RULE_ERROR},
        {"!(gone == 1)", RULE_ERROR},
        {"gone exists", RULE_NO},
        {"gone exists false", RULE_MATCH},
        {"!gone exists", RULE_MATCH},
        {"trust exists && critical", RULE_MATCH},
        {"broken exists", RULE_ERROR},
        {"broken == 1", RULE_ERROR},
        /* Kleene: a decided part decides, an error else stays */
        {"gone == 1 && trust == 0", RULE_NO},
        {"gone == 1 && trust == 70", RULE_ERROR},
        {"gone == 1 || trust == 70", RULE_MATCH},
        {"gone == 1 || trust == 0", RULE_ERROR},
        {"trust == 0 && gone == 1 || critical", RULE_MATCH},
        {"trust == 70 || gone == 1 && critical", RULE_MATCH},
        {"(trust == 70 || critical) && name == 'x'", RULE_NO},
        {"!!critical", RULE_MATCH},
};

START_TEST(evaluates) {
        RuleProgram *r = compile(cases[_i].expression);
        ck_assert_msg(r != NULL, "%s: %s", cases[_i].expression, problems.n ? problems.items[0].message : "");
        ck_assert_msg(rule_eval(r, &context) == cases[_i].result, "%s", cases[_i].expression);
        rule_program_free(r);
}
END_TEST

static const struct {
        const char *address, *range;
        RuleResult result;
} ranges[] = {
        {"192.0.2.77", "192.0.2.0/24", RULE_MATCH},
        {"192.0.3.1", "192.0.2.0/24", RULE_NO},
        {"192.0.2.130", "192.0.2.128/25", RULE_MATCH},
        {"192.0.2.127", "192.0.2.128/25", RULE_NO},
        {"10.1.2.3", "0.0.0.0/0", RULE_MATCH},
        {"10.1.2.3", "10.1.2.3", RULE_MATCH},
        {"2001:db8::7", "2001:db8::/32", RULE_MATCH},
        {"2001:db9::7", "2001:db8::/32", RULE_NO},
        {"192.0.2.1", "2001:db8::/32", RULE_NO},
        {"localhost", "127.0.0.0/8", RULE_ERROR},
        {"127.0.0.1/8", "127.0.0.0/8", RULE_ERROR},
};

START_TEST(address_ranges) {
        char expression[100];
        snprintf(expression, sizeof(expression), "address within '%s'", ranges[_i].range);
        RuleProgram *r = compile(expression);
        ck_assert_ptr_nonnull(r);
        text = ranges[_i].address;
        ck_assert_int_eq(rule_eval(r, &context), ranges[_i].result);
        rule_program_free(r);
}
END_TEST

static const struct {
        const char *expression, *code, *hint;
        unsigned column; /* the expression starts in column 7 of line 3 */
} bad[] = {
        {"turst >= 70", "unknown-field", "did you mean 'trust'?", 7},
        {"critical && trsut >= 70", "unknown-field", "did you mean 'trust'?", 19},
        {"labels. == 'x'", "unknown-field", "did you mean 'labels.*'?", 7},
        {"trust >= 'x'", "type-mismatch", "without quotes: in quotes it is a text", 7},
        {"trust >= 1.5", "type-mismatch", "a whole number", 7},
        {"name == restart", "type-mismatch", "put text in quotes", 7},
        {"payload.n == abc", "type-mismatch", "put text in quotes", 7},
        {"action == 'restrat'", "unknown-value", "did you mean 'restart'?", 7},
        {"action in ['stop', 'relaod']", "unknown-value", "did you mean 'reload'?", 7},
        {"name < 'a'", "type-mismatch", "one of: ==, !=, in, not_in, prefix, suffix, glob, exists, within",
                7},
        {"heal == 'a'", "type-mismatch", "", 7},
        {"trust prefix 'a'", "type-mismatch", "", 7},
        {"age > soon", "type-mismatch", "write 500ms, 10s or 2min", 7},
        {"now > 2026", "type-mismatch", "write 2026-11-21T03:00:00Z", 7},
        {"trust between [1]", "bad-value", "", 7},
        {"address within '10.0.0.0/33'", "type-mismatch", "write 192.0.2.0/24", 7},
        {"trust", "type-mismatch", "a field that is not yes or no needs an operator and a value", 7},
        {"trust ~= 3", "expression", "", 13},
        {"trust prefxi 3", "expression", "did you mean 'prefix'?", 13},
        {"trust >=", "expression", "", 15},
        {"trust in []", "expression", "['a', 'b']", 17},
        {"trust in [1 2]", "expression", "", 19},
        {"(critical", "expression", "", 16},
        {"critical critical", "expression", "", 16},
        {"critical)", "expression", "join tests with && or ||", 15},
        {"name == 'open", "expression", "", 15},
        {"", "expression", "", 7},
        {"&& critical", "expression", "", 7},
        {"((((((((((((((((((critical))))))))))))))))))", "expression", "", 23},
        {"!!!!!!!!!!!!!!!!!!!!critical", "expression", "", 23},
};

START_TEST(load_errors) {
        RuleProgram *r = compile(bad[_i].expression);
        ck_assert_msg(r == NULL, "%s", bad[_i].expression);
        ck_assert_uint_eq(problems.n, 1);
        ck_assert_msg(strcmp(problems.items[0].code, bad[_i].code) == 0, "%s: %s", bad[_i].expression,
                problems.items[0].code);
        if (*bad[_i].hint)
                ck_assert_msg(strcmp(problems.items[0].hint, bad[_i].hint) == 0, "%s: '%s'",
                        bad[_i].expression, problems.items[0].hint);
        ck_assert_uint_eq(problems.items[0].line, 3);
        ck_assert_msg(problems.items[0].column == bad[_i].column, "%s: column %u", bad[_i].expression,
                problems.items[0].column);
}
END_TEST

START_TEST(size_limits) {
        auto_free char *long_list = calloc(1, 6000);
        strcat(long_list, "trust in [1");
        for (int i = 0; i < RULE_LITERALS_MAX; i++)
                strcat(long_list, ",1");
        strcat(long_list, "]");
        ck_assert_ptr_null(compile(long_list));
        strcpy(long_list, "critical");
        for (int i = 0; i < RULE_NODES_MAX; i++)
                strcat(long_list, "&&critical");
        ck_assert_ptr_null(compile(long_list));
        ck_assert_uint_eq(problems.errors, 2);
        auto_rule_expr RuleExpr *deep = rule_expr_test(STR_LIT("critical"), RULE_EXISTS, 1, 1);
        for (int i = 0; i < RULE_DEPTH_MAX + 2; i++) {
                RuleExpr *g = rule_expr_group(RULE_NOT, 1, 1);
                ck_assert_int_eq(rule_expr_add(g, TAKE(deep)), 0);
                deep = g;
        }
        RuleProgram *r;
        ck_assert_int_eq(rule_compile(deep, &schema, "f", &problems, &r), -EINVAL);
        ck_assert_str_eq(problems.items[2].code, "too-deep");
}
END_TEST

START_TEST(explains) {
        static const struct {
                const char *expression, *why;
                unsigned n;
        } table[] = {
                {"trust >= 80 && name == 'x' && critical", "trust >= 80, was 70; name == 'x', was 'restart'",
                        2},
                {"trust >= 70", "", 0},
                {"gone == 1", "gone == 1, is missing", 1},
                {"broken == 1", "broken == 1, can't be read", 1},
                {"gone exists", "gone exists, is missing", 1},
                {"(trust > 80 && load > 2) || age > 1h", "age > 1h 0min, was 10min 0s", 1},
                {"!critical", "not(critical == true)", 1},
                {"name in ['a', 'b']", "name in ['a', 'b'], was 'restart'", 1},
                {"heal has 'x'", "heal has 'x', was ['restart_service', 'rollback']", 1},
        };
        for (unsigned i = 0; i < ELEMENTSOF(table); i++) {
                char why[300];
                RuleProgram *r = compile(table[i].expression);
                ck_assert_ptr_nonnull(r);
                ck_assert_uint_eq(rule_explain(r, &context, why, sizeof(why)), table[i].n);
                ck_assert_str_eq(why, table[i].why);
                rule_explain(r, &context, why, 5);
                ck_assert_uint_le(strlen(why), 4);
                rule_program_free(r);
        }
}
END_TEST

START_TEST(yaml_and_text_are_one_tree) {
        static const char *const same[][2] = {
                {"trust >= 70 && action in ['stop', 'restart']",
                        "all:\n- {field: trust, op: '>=', value: 70}\n- {field: action, operator: in, value: "
                        "[stop, restart]}"},
                {"!(critical || age > 10min)", "not: {any: [critical, {field: age, op: '>', value: 10min}]}"},
                {"trust == 1 && critical", "['trust == 1', critical]"},
                {"gone exists", "{field: gone, op: exists}"},
        };
        for (unsigned i = 0; i < ELEMENTSOF(same); i++) {
                char a[300], b[300];
                auto_yaml YamlNode *n = NULL;
                auto_rule_expr RuleExpr *e = NULL;
                RuleProgram *r1 = compile(same[i][0]), *r2 = NULL;
                ck_assert_int_eq(yaml_parse("f", str_of(same[i][1]), &problems, &n), 0);
                ck_assert_int_eq(rule_expr_from_yaml(n, "f", &problems, &e), 0);
                ck_assert_int_eq(rule_compile(e, &schema, "f", &problems, &r2), 0);
                ck_assert_str_eq(rule_program_text(r1, a, sizeof(a)), rule_program_text(r2, b, sizeof(b)));
                rule_program_free(r1);
                rule_program_free(r2);
        }
}
END_TEST

static const struct {
        const char *yaml, *code;
        unsigned line, column;
} bad_yaml[] = {
        {"field: trust\nop: '=='\nvalu: 3\n", "unknown-key", 3, 1},
        {"field: trust\nvalue: 3\n", "missing-key", 1, 1},
        {"field: trust\nop: '~'\nvalue: 3\n", "unknown-operator", 2, 5},
        {"field: trust\nop: '=='\nvalue: {a: b}\n", "bad-value", 3, 8},
        {"all: trust\n", "bad-value", 1, 6},
        {"all: []\n", "bad-value", 1, 6},
        {"x: trust\n", "unknown-key", 1, 1},
        {"any:\n - critical\n - 'trust >= x'\n", "type-mismatch", 3, 5},
        {"field: trust\nop: '=='\nvalue: '3'\n", "type-mismatch", 1, 1},
};

START_TEST(yaml_errors) {
        auto_yaml YamlNode *n = NULL;
        auto_rule_expr RuleExpr *e = NULL;
        RuleProgram *r = NULL;
        ck_assert_int_eq(yaml_parse("f", str_of(bad_yaml[_i].yaml), &problems, &n), 0);
        if (rule_expr_from_yaml(n, "f", &problems, &e) == 0)
                ck_assert_int_eq(rule_compile(e, &schema, "f", &problems, &r), -EINVAL);
        ck_assert_uint_eq(problems.n, 1);
        ck_assert_str_eq(problems.items[0].code, bad_yaml[_i].code);
        ck_assert_uint_eq(problems.items[0].line, bad_yaml[_i].line);
        ck_assert_uint_eq(problems.items[0].column, bad_yaml[_i].column);
}
END_TEST

START_TEST(index_leaves_out_only_what_cannot_match) {
        static const char *const rules[] = {
                "action == 'restart'",
                "action in ['reload', 'stop'] && trust > 3",
                "trust > 3",
                "action == 'stop' || action == 'restart'",
                "action == 'stop' || critical",
                "!(action == 'stop')",
        };
        RuleSet *s;
        ck_assert_int_eq(rule_set_new(&schema, "action", &s), 0);
        for (unsigned i = 0; i < ELEMENTSOF(rules); i++) {
                auto_rule_expr RuleExpr *e = NULL;
                unsigned number;
                ck_assert_int_eq(rule_expr_parse(str_of(rules[i]), "f", 1, 1, &problems, &e), 0);
                ck_assert_int_eq(rule_set_add(s, e, "f", &problems, &number), 0);
                ck_assert_uint_eq(number, i);
        }
        unsigned number;
        ck_assert_int_eq(rule_set_add(s, NULL, "f", &problems, &number), 0);
        ck_assert_int_eq(rule_set_seal(s), 0);
        ck_assert_int_eq(rule_set_add(s, NULL, "f", &problems, &number), -EINVAL);
        static const struct {
                const char *key, *rules;
        } table[] = {{"restart", "023456"}, {"stop", "123456"}, {"reload", "12456"}, {"kill", "2456"},
                {"", "2456"}, {"restar", "2456"}, {"zz", "2456"}, {NULL, "0123456"}};
        for (unsigned i = 0; i < ELEMENTSOF(table); i++) {
                char got[20];
                size_t n = 0, at = 0;
                while (rule_set_next(s, str_of(table[i].key), &at, &number))
                        got[n++] = (char)('0' + number);
                got[n] = 0;
                ck_assert_str_eq(got, table[i].rules);
                /* the guarantee itself: what is left out does not match */
                text = table[i].key ? table[i].key : "restart";
                for (unsigned k = 0; k < ELEMENTSOF(rules); k++)
                        if (!strchr(got, (int)('0' + k)))
                                ck_assert_int_eq(rule_eval(rule_set_program(s, k), &context), RULE_NO);
        }
        rule_set_free(s);
}
END_TEST

int main(void) {
        Suite *s = suite_create("rules");
        TCase *t = tcase_create("rules");
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_loop_test(t, evaluates, 0, ELEMENTSOF(cases));
        tcase_add_loop_test(t, address_ranges, 0, ELEMENTSOF(ranges));
        tcase_add_loop_test(t, load_errors, 0, ELEMENTSOF(bad));
        tcase_add_test(t, size_limits);
        tcase_add_test(t, explains);
        tcase_add_test(t, yaml_and_text_are_one_tree);
        tcase_add_loop_test(t, yaml_errors, 0, ELEMENTSOF(bad_yaml));
        tcase_add_test(t, index_leaves_out_only_what_cannot_match);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
