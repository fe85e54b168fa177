/* SPDX-License-Identifier: Apache-2.0 */
#include "common/yaml/yaml-tree.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <string.h>

static Problems problems;

static void setup(void) {
        problems = (Problems){0};
}
static void teardown(void) {
        problems_done(&problems);
}

static YamlNode *parse(const char *text) {
        YamlNode *n = NULL;
        yaml_parse("f.yaml", str_of(text), &problems, &n);
        return n;
}

START_TEST(tree_with_marks) {
        auto_yaml YamlNode *n = parse("a: 1\nlist:\n  - x\n  - 'y'\nmap: {k: v}\nnone:\n");
        ck_assert_ptr_nonnull(n);
        ck_assert_uint_eq(n->n, 4);
        const YamlNode *list = yaml_get(n, "list");
        ck_assert_int_eq(list->kind, YAML_KIND_LIST);
        ck_assert_uint_eq(list->n, 2);
        ck_assert_uint_eq(list->items[1]->line, 4);
        ck_assert_uint_eq(list->items[1]->column, 5);
        ck_assert(list->items[1]->quoted && !list->items[0]->quoted);
        const YamlNode *map = yaml_get(n, "map");
        ck_assert_uint_eq(map->key_line, 5);
        ck_assert_uint_eq(map->key_column, 1);
        ck_assert_str_eq(yaml_get(map, "k")->text, "v");
        ck_assert(yaml_is_null(yaml_get(n, "none")));
        ck_assert_ptr_null(yaml_get(n, "absent"));
        ck_assert_uint_eq(problems.n, 0);
}
END_TEST

static const struct {
        const char *text, *code;
        unsigned line, column;
} refused[] = {
        {"a: 1\nb: 2\na: 3\n", "duplicate-key", 3, 1},
        {"a: &x 1\n", "anchor", 1, 4},
        {"a: [&x 1, *x]\n", "anchor", 1, 5},
        {"a: *x\n", "alias", 1, 4},
        {"a: !!str 1\n", "tag", 1, 4},
        {"a: !x {b: c}\n", "tag", 1, 4},
        {"%TAG ! tag:x,2000:\n---\na: 1\n", "tag", 1, 1},
        {"a: 1\n---\nb: 1\n", "documents", 2, 1},
        {"? [a]\n: 1\n", "bad-key", 1, 3},
        {"a: [1\n", "yaml-syntax", 2, 1},
        {"a: \"\\0\"\n", "bad-text", 1, 4},
        {"", "empty", 0, 0},
        {"# only a comment\n", "empty", 0, 0},
        {"a: \xff\n", "yaml-syntax", 1, 4},
        {"a: 1\nb: \xc3\x28\n", "yaml-syntax", 2, 5},
        {"a:\n\tb: 1\n", "yaml-syntax", 2, 1},
};

START_TEST(refuses) {
        ck_assert_ptr_null(parse(refused[_i].text));
        ck_assert_uint_eq(problems.n, 1);
        ck_assert_str_eq(problems.items[0].code, refused[_i].code);
        ck_assert_uint_eq(problems.items[0].line, refused[_i].line);
        ck_assert_uint_eq(problems.items[0].column, refused[_i].column);
}
END_TEST

/* What a person reads, whole. */
static const struct {
        const char *text, *words;
} said[] = {
        {"a: 1\nb: 2\na: 3\n",
                "f.yaml:3:1: key 'a' stands here a second time, first in line 1 (keep one of the two)"},
        {"a: [1\n",
                "f.yaml:2:1: did not find expected ',' or ']' (while parsing a flow sequence that begins in "
                "line 1)"},
        {"a: 1\nb: \xc3\x28\n", "f.yaml:2:5: invalid trailing UTF-8 octet (save the file as UTF-8 text)"},
        {"a:\n\tb: 1\n", "f.yaml:2:1: found character that cannot start any token (indent with spaces, YAML "
                         "takes no tabs)"},
        {"", "f.yaml: nothing stands in the file (take the file away: then the one of the directory before "
             "it "
             "counts)"},
};

START_TEST(says_where_and_what_to_do) {
        char text[PROBLEM_TEXT_MAX];
        ck_assert_ptr_null(parse(said[_i].text));
        ck_assert_str_eq(problem_format(&problems.items[0], text, sizeof(text)), said[_i].words);
}
END_TEST

START_TEST(limits) {
        char deep[100];
        memset(deep, '[', 32);
        memset(deep + 32, ']', 32);
        deep[64] = 0;
        auto_yaml YamlNode *ok = parse(deep);
        ck_assert_ptr_nonnull(ok);
        memset(deep, '[', 33);
        memset(deep + 33, ']', 33);
        deep[66] = 0;
        ck_assert_ptr_null(parse(deep));
        ck_assert_str_eq(problems.items[0].code, "too-deep");

        auto_free char *big = malloc(YAML_TREE_BYTES_MAX + 1);
        memset(big, '#', YAML_TREE_BYTES_MAX + 1);
        YamlNode *n = NULL;
        ck_assert_int_eq(yaml_parse("f", (Str){big, YAML_TREE_BYTES_MAX + 1}, &problems, &n), -EINVAL);
        ck_assert_str_eq(problems.items[1].code, "too-big");

        size_t len = 0;
        for (int i = 0; i < 70000; i++) {
                big[len++] = '-';
                big[len++] = ' ';
                big[len++] = 'a';
                big[len++] = '\n';
        }
        ck_assert_int_eq(yaml_parse("f", (Str){big, len}, &problems, &n), -EINVAL);
        ck_assert_str_eq(problems.items[2].code, "too-big");
        ck_assert_ptr_null(n);
}
END_TEST

START_TEST(load_refuses_other_than_files) {
        YamlNode *n = NULL;
        ck_assert_int_eq(yaml_load("/dev/null", &problems, &n), -ENXIO);
        ck_assert_int_eq(yaml_load("/", &problems, &n), -EISDIR);
        ck_assert_int_eq(yaml_load("/nonexistent/x.yaml", &problems, &n), -ENOENT);
        ck_assert_uint_eq(problems.errors, 3);
}
END_TEST

typedef struct Target {
        char name[8];
        bool on;
        uint64_t count, wait, size;
        double share;
        int kind;
        const YamlNode *rest;
        int seen;
} Target;

static int kind_from(Str s) {
        return str_eq(s, "one") ? 1 : str_eq(s, "two") ? 2 : -EINVAL;
}

static int count_item(const YamlRead *r, const YamlNode *n, void *user) {
        const char *s;
        ++*(int *)user;
        return yaml_str(r->file, n, r->problems, &s);
}

static int read_list(const YamlRead *r, const YamlNode *n, void *out) {
        return yaml_read_list(r, n, count_item, out);
}

static const char *const kinds[] = {"one", "two", NULL};
static const YamlField fields[] = {
        {"name", YAML_FIELD_STR, offsetof(Target, name), 8, .required = true},
        {"on", YAML_FIELD_BOOL, offsetof(Target, on)},
        {"count", YAML_FIELD_U64, offsetof(Target, count), .min = 1, .max = 10},
        {"wait", YAML_FIELD_DURATION, offsetof(Target, wait)},
        {"size", YAML_FIELD_SIZE, offsetof(Target, size)},
        {"share", YAML_FIELD_DOUBLE, offsetof(Target, share)},
        {"kind", YAML_FIELD_ENUM, offsetof(Target, kind), .from_string = kind_from, .names = kinds},
        {"rest", YAML_FIELD_NODE, offsetof(Target, rest)},
        {"items", YAML_FIELD_CUSTOM, offsetof(Target, seen), .custom = read_list},
};

static int read_target(const char *text, Target *t) {
        static YamlNode *n;
        yaml_free(n);
        n = parse(text);
        ck_assert_ptr_nonnull(n);
        YamlRead r = {"f.yaml", &problems, NULL};
        return yaml_read_map(&r, n, fields, ELEMENTSOF(fields), t);
}

START_TEST(reads_by_table) {
        Target t = {0};
        ck_assert_int_eq(
                read_target("name: abc\non: yes\ncount: 7\nwait: 2min\nsize: 4K\nshare: 0.5\nkind: two\n"
                            "rest: {a: b}\nitems: [x, y]\n",
                        &t),
                0);
        ck_assert_str_eq(t.name, "abc");
        ck_assert(t.on);
        ck_assert_uint_eq(t.count, 7);
        ck_assert_uint_eq(t.wait, 120000000);
        ck_assert_uint_eq(t.size, 4096);
        ck_assert(t.share == 0.5);
        ck_assert_int_eq(t.kind, 2);
        ck_assert_str_eq(yaml_get(t.rest, "a")->text, "b");
        ck_assert_int_eq(t.seen, 2);
}
END_TEST

static const struct {
        const char *text, *code, *hint;
        unsigned line, column;
} bad[] = {
        {"name: a\nnmae: b\n", "unknown-key", "did you mean 'name'?", 2, 1},
        {"on: yes\n", "missing-key", "", 1, 1},
        {"name: toolongname\n", "too-long", "", 1, 7},
        {"name: a\ncount: 11\n", "out-of-range", "", 2, 8},
        {"name: a\ncount: 0\n", "out-of-range", "", 2, 8},
        {"name: a\ncount: '7'\n", "bad-value", "without quotes: in quotes it is a text", 2, 8},
        {"name: a\ncount: -1\n", "bad-value", "", 2, 8},
        {"name: a\non: maybe\n", "bad-value", "", 2, 5},
        {"name: a\nwait: soon\n", "bad-value", "", 2, 7},
        {"name: a\nshare: nan\n", "bad-value", "", 2, 8},
        {"name: a\nkind: tow\n", "unknown-value", "did you mean 'two'?", 2, 7},
        {"name: a\nkind: eleven\n", "unknown-value", "one of: one, two", 2, 7},
        {"name: a\nbananas: b\n", "unknown-key",
                "one of: name, on, count, wait, size, share, kind, rest, items", 2, 1},
        {"name: [a]\n", "bad-value", "", 1, 7},
        {"name:\n", "bad-value", "", 1, 6},
        {"name: a\nitems: x\n", "bad-value", "", 2, 8},
        {"name: a\nitems: [x, [y]]\n", "bad-value", "", 2, 12},
        {"- a\n", "bad-value", "", 1, 1},
};

START_TEST(reports_bad_fields) {
        Target t = {0};
        ck_assert_int_eq(read_target(bad[_i].text, &t), -EINVAL);
        ck_assert_uint_eq(problems.n, 1);
        ck_assert_str_eq(problems.items[0].code, bad[_i].code);
        ck_assert_str_eq(problems.items[0].hint, bad[_i].hint);
        ck_assert_uint_eq(problems.items[0].line, bad[_i].line);
        ck_assert_uint_eq(problems.items[0].column, bad[_i].column);
}
END_TEST

START_TEST(reports_all_problems_at_once) {
        Target t = {0};
        ck_assert_int_eq(read_target("nmae: a\ncount: x\nwait: y\n", &t), -EINVAL);
        ck_assert_uint_eq(problems.errors, 4);
}
END_TEST

int main(void) {
        Suite *s = suite_create("yaml");
        TCase *t = tcase_create("yaml");
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, tree_with_marks);
        tcase_add_loop_test(t, refuses, 0, ELEMENTSOF(refused));
        tcase_add_loop_test(t, says_where_and_what_to_do, 0, ELEMENTSOF(said));
        tcase_add_test(t, limits);
        tcase_add_test(t, load_refuses_other_than_files);
        tcase_add_test(t, reads_by_table);
        tcase_add_loop_test(t, reports_bad_fields, 0, ELEMENTSOF(bad));
        tcase_add_test(t, reports_all_problems_at_once);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
