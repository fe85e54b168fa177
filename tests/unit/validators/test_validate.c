/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/validators/validate.h"
#include "common/cleanup.h"
#include "common/yaml/yaml-tree.h"
#include <check.h>
#include <errno.h>
#include <string.h>

static size_t check(const char *schema, const char *value) {
        auto_json json_t *s = NULL, *v = NULL;
        SchemaIssue issues[SCHEMA_ISSUES_MAX];
        JsonSchema *compiled = NULL;
        size_t n;

        ck_assert_int_eq(json_read(str_of(schema), 0, &s, NULL, 0), 0);
        ck_assert_int_eq(json_read(str_of(value), 0, &v, NULL, 0), 0);
        ck_assert_int_eq(json_schema_compile(s, "t", NULL, &compiled), 0);
        n = json_schema_check(compiled, v, issues, SCHEMA_ISSUES_MAX);
        json_schema_free(compiled);
        return n;
}

/* schema, a value that fits, a value that does not */
static const char *const KEYWORDS[][3] = {
        {"{\"type\":\"integer\"}", "2.0", "2.5"},
        {"{\"type\":\"number\"}", "2", "\"2\""},
        {"{\"type\":[\"string\",\"null\"]}", "null", "1"},
        {"{\"enum\":[1,\"a\"]}", "1.0", "2"},
        {"{\"const\":{\"a\":[1]}}", "{\"a\":[1.0]}", "{\"a\":[1,1]}"},
        {"{\"required\":[\"a\"]}", "{\"a\":null}", "{}"},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"b\":1}", "{\"a\":1}"},
        {"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"a\":1}", "{\"b\":1}"},
        {"{\"additionalProperties\":{\"minimum\":3}}", "{\"x\":3}", "{\"x\":2}"},
        {"{\"items\":{\"maximum\":3}}", "[1,3]", "[1,4]"},
        {"{\"prefixItems\":[{\"const\":1}],\"items\":{\"const\":2}}", "[1,2,2]", "[1,1]"},
        {"{\"minItems\":1,\"maxItems\":2}", "[1]", "[1,2,3]"},
        {"{\"uniqueItems\":true}", "[1,\"1\"]", "[1,1.0]"},
        {"{\"minLength\":2,\"maxLength\":3}", "\"\xc3\xa4\xc3\xb6\"", "\"\xc3\xa4\""},
        {"{\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}", "0.5", "1"},
        {"{\"multipleOf\":0.1}", "0.3", "0.35"},
        {"{\"minProperties\":1,\"maxProperties\":1}", "{\"a\":1}", "{}"},
        {"{\"allOf\":[{\"minimum\":1},{\"maximum\":2}]}", "2", "3"},
        {"{\"anyOf\":[{\"const\":1},{\"const\":2}]}", "2", "3"},
        {"{\"oneOf\":[{\"minimum\":1},{\"minimum\":5}]}", "2", "6"},
        {"{\"not\":{\"type\":\"null\"}}", "0", "null"},
        {"{\"$defs\":{\"n\":{\"minimum\":1}},\"properties\":{\"a\":{\"$ref\":\"#/$defs/n\"}}}", "{\"a\":1}",
                "{\"a\":0}"},
        {"{\"properties\":{\"next\":{\"$ref\":\"#\"},\"v\":{\"type\":\"integer\"}}}",
                "{\"next\":{\"next\":{\"v\":1}}}", "{\"next\":{\"next\":{\"v\":\"x\"}}}"},
};

START_TEST(every_keyword_accepts_and_refuses) {
        ck_assert_msg(check(KEYWORDS[_i][0], KEYWORDS[_i][1]) == 0, "%s refused %s", KEYWORDS[_i][0],
                KEYWORDS[_i][1]);
        ck_assert_msg(check(KEYWORDS[_i][0], KEYWORDS[_i][2]) > 0, "%s passed %s", KEYWORDS[_i][0],
                KEYWORDS[_i][2]);
}
END_TEST

static const char *const BAD[][2] = {
        {"{\"pattern\":\"a\"}", "pattern"},
        {"{\"if\":{}}", "if"},
        {"{\"requierd\":[]}", "did you mean 'required'?"},
        {"{\"type\":\"text\"}", "unknown type 'text' (one of: null"},
        {"{\"properties\":[]}", "an object of schemas belongs under 'properties'"},
        {"{\"$ref\":\"http://x\"}", "are followed, not 'http://x'"},
        {"{\"minimum\":\"1\"}", "a number belongs under 'minimum'"},
        {"{\"frobnicate\":1}", "nothing would check the keyword 'frobnicate'"},
        {"{\"$ref\":\"http://x/y\"}", "same file"},
        {"{\"$ref\":\"#/$defs/none\"}", "none"},
        {"{\"minLength\":-1}", "negative"},
        {"{\"properties\":{\"a\":{\"format\":\"date\"}}}", "#/a"},
        {"[]", "an object"},
};

START_TEST(what_would_not_be_checked_does_not_load) {
        auto_json json_t *s = NULL;
        JsonSchema *compiled = NULL;
        Problems p = {0};
        char text[1024];

        ck_assert_int_eq(json_read(str_of(BAD[_i][0]), 0, &s, NULL, 0), 0);
        ck_assert_int_eq(json_schema_compile(s, "t.json", &p, &compiled), -EINVAL);
        ck_assert_ptr_nonnull(strstr(problem_format(&p.items[0], text, sizeof(text)), BAD[_i][1]));
        problems_done(&p);
}
END_TEST

START_TEST(a_schema_that_eats_itself_ends) {
        ck_assert_uint_gt(check("{\"$ref\":\"#\"}", "1"), 0);
}
END_TEST

/* ---- events, by the shipped policies */

static void verdict(const char *type, const char *payload, const char *source, ValidationReport *r) {
        const char *dirs[] = {POLICIES_DIR};
        Problems p = {0};
        Validation v;
        MsgBuilder b;
        Msg m;
        char text[1024];

        if (validation_load(&v, dirs, 1, &p) < 0)
                ck_abort_msg("%s", problem_format(&p.items[0], text, sizeof(text)));
        msg_begin(&b, MSG_VALIDATE);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_TYPE, type);
        msg_put_cstr(&b, TAG_SOURCE, source);
        ck_assert_int_eq(msg_view(&b, str_of(payload), &m), 0);
        ck_assert_int_eq(validation_check(&v, &m, r), 0);
        validation_done(&v);
        problems_done(&p);
}

static const struct {
        const char *type, *payload, *source;
        bool refused, constitutional;
        const char *code;
} EVENTS[] = {
        {"health.critical", "{\"component\":\"db\",\"status\":\"down\"}", "web", false, false, NULL},
        {"health.critical", "{\"component\":\"db\"}", "web", true, false, "required"},
        {"health.critical", "{\"component\":\"db\",\"status\":\"down\",\"password\":\"x\"}", "web", true,
                true, "no-secret-in-payload"},
        {"health.critical", "{\"component\":\"db\",\"status\":\"down\"}", NULL, true, true, "actor.is-known"},
        {"health.critical", "{\"component\":\"db\",\"status\":\"down\",\"confidence\":0.5}", "web", true,
                true, "low-confidence-is-disclosed"},
        {"avn.healing_action", "{\"action\":\"restart_service\"}", "immune", false, false, NULL},
        {"avn.healing_action", "{\"action\":\"format_disk\"}", "immune", true, true,
                "healing.names-its-action"},
        {"avn.healing_action", "{\"action\":\"rollback\",\"destructive\":true}", "immune", true, true,
                "destructive-is-reversible"},
        {"avn.healing_action", "{\"action\":\"rollback\",\"destructive\":true,\"backup_id\":\"b1\"}",
                "immune", false, false, NULL},
        {"learning.model_updated", "{}", "learn", true, true, "self-modification-is-approved"},
        /* no flag asks for these */
        {"anomaly.detected", "{\"password\":\"x\"}", "immune", false, false, NULL},
};

START_TEST(events_meet_the_constitution) {
        ValidationReport r;

        verdict(EVENTS[_i].type, EVENTS[_i].payload, EVENTS[_i].source, &r);
        ck_assert_msg(
                r.refused == EVENTS[_i].refused, "%s %s", EVENTS[_i].type, r.n ? r.issues[0].code : "passed");
        ck_assert(r.constitutional == EVENTS[_i].constitutional);
        if (EVENTS[_i].code) {
                ck_assert_uint_gt(r.n, 0);
                ck_assert_str_eq(r.issues[0].code, EVENTS[_i].code);
        }
}
END_TEST

/* ---- the shipped YAML fits its own schema, by our compiler */

static json_t *yaml_json(const YamlNode *n) {
        json_t *j;
        double d;
        char *end;

        if (n->kind == YAML_KIND_SCALAR) {
                if (!n->quoted && yaml_is_null(n))
                        return json_pack("n");
                if (!n->quoted && (strcmp(n->text, "true") == 0 || strcmp(n->text, "false") == 0))
                        return json_boolean(n->text[0] == 't');
                d = strtod(n->text, &end);
                return !n->quoted && *n->text && !*end ? json_real(d) : json_string(n->text);
        }
        j = n->kind == YAML_KIND_MAP ? json_object() : json_array();
        for (size_t i = 0; i < n->n; i++)
                ck_assert_int_eq(n->kind == YAML_KIND_MAP
                                         ? json_object_set_new(j, n->items[i]->key, yaml_json(n->items[i]))
                                         : json_array_append_new(j, yaml_json(n->items[i])),
                        0);
        return j;
}

static const char *const FILES[][2] = {{"events.yaml", "events.schema.json"},
        {"validation.yaml", "validation.schema.json"},
        {"workflows/trigger_mesh_workflows.yaml", "workflows.schema.json"}};

START_TEST(shipped_files_fit_their_schemas) {
        SchemaIssue issues[SCHEMA_ISSUES_MAX];
        auto_yaml YamlNode *root = NULL;
        auto_json json_t *doc = NULL;
        JsonSchema *schema = NULL;
        Problems p = {0};
        char path[512], text[1024];

        snprintf(path, sizeof(path), "%s/schemas/%s", POLICIES_DIR, FILES[_i][1]);
        if (json_schema_load(path, &p, &schema) < 0)
                ck_abort_msg("%s", problem_format(&p.items[0], text, sizeof(text)));
        snprintf(path, sizeof(path), "%s/%s", POLICIES_DIR, FILES[_i][0]);
        ck_assert_int_eq(yaml_load(path, &p, &root), 0);
        doc = yaml_json(root);
        if (json_schema_check(schema, doc, issues, SCHEMA_ISSUES_MAX) > 0)
                ck_abort_msg("%s: %s %s", path, issues[0].path, issues[0].message);
        json_object_set_new(doc, "surplus", json_integer(1));
        ck_assert_uint_eq(json_schema_check(schema, doc, issues, SCHEMA_ISSUES_MAX), 1);
        json_schema_free(schema);
        problems_done(&p);
}
END_TEST

START_TEST(self_test_passes) {
        char why[200] = "";

        ck_assert_msg(validation_self_test(why, sizeof(why)) == 0, "%s", why);
}
END_TEST

int main(void) {
        Suite *s = suite_create("validators");
        TCase *t = tcase_create("all");
        SRunner *r;
        int failed;

        tcase_add_loop_test(t, every_keyword_accepts_and_refuses, 0, ELEMENTSOF(KEYWORDS));
        tcase_add_loop_test(t, what_would_not_be_checked_does_not_load, 0, ELEMENTSOF(BAD));
        tcase_add_test(t, a_schema_that_eats_itself_ends);
        tcase_add_loop_test(t, events_meet_the_constitution, 0, ELEMENTSOF(EVENTS));
        tcase_add_loop_test(t, shipped_files_fit_their_schemas, 0, ELEMENTSOF(FILES));
        tcase_add_test(t, self_test_passes);
        suite_add_tcase(s, t);
        r = srunner_create(s);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
