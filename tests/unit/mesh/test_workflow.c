/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/workflow.h"
#include "common/cleanup.h"
#include "common/events/event-types.h"
#include <check.h>
#include <errno.h>
#include <string.h>

static Problems problems;
static WorkflowSet set;

static void fresh(void) {
        problems = (Problems){0};
        set = (WorkflowSet){0};
}
static void done(void) {
        workflow_set_done(&set);
        problems_done(&problems);
}

static int parse(const char *text) {
        return workflow_set_parse(&set, "t.yaml", str_of(text), &problems);
}

/* The first problem, as a person sees it. */
static const char *first(void) {
        static char text[1024];

        ck_assert_uint_gt(problems.n, 0);
        return problem_format(&problems.items[0], text, sizeof(text));
}

static void refused(const char *text, const char *place, const char *what) {
        ck_assert_int_eq(parse(text), -EINVAL);
        ck_assert_msg(strncmp(first(), place, strlen(place)) == 0, "%s, wanted %s", first(), place);
        ck_assert_msg(strstr(first(), what), "%s, wanted %s", first(), what);
        done();
        fresh();
}

#define HEAD    "workflows:\n  - name: w\n"
#define ACTIONS "    actions:\n      - name: a\n        target: k.do\n"

static bool matches(const char *context) {
        auto_json json_t *j = NULL;

        ck_assert_int_eq(json_read(str_of(context), 0, &j, NULL, 0), 0);
        return workflow_filter_match(set.items[0]->filter, j);
}

START_TEST(shipped_policies_load) {
        const char *dirs[] = {POLICIES_DIR};
        EventTypes types;
        size_t on = 0, actions = 0;
        char text[1024];

        if (workflow_set_load(&set, dirs, 1, &problems) < 0 ||
                event_types_load(dirs, 1, &problems, &types) < 0)
                ck_abort_msg("%s", problem_format(&problems.items[0], text, sizeof(text)));
        ck_assert_uint_eq(set.n, 9);
        for (size_t i = 0; i < set.n; i++) {
                on += set.items[i]->enabled;
                actions += set.items[i]->n_actions;
                /* what no unit serves is off, and the description says why */
                for (unsigned a = 0; set.items[i]->enabled && a < set.items[i]->n_actions; a++)
                        ck_assert_int_eq(strncmp(set.items[i]->actions[a].handler, "avn_core.", 9), 0);
                if (!set.items[i]->enabled)
                        ck_assert_ptr_nonnull(strstr(set.items[i]->description, "no unit serves"));
        }
        ck_assert_uint_eq(on, 3);
        ck_assert_uint_eq(actions, 11);
        ck_assert_uint_gt(types.n, 20);
        ck_assert_str_eq(event_types_find(&types, "unit.state")->publishers[0], "guardian");
        ck_assert_ptr_null(event_types_find(&types, "unit"));
        ck_assert_ptr_null(event_types_find(&types, "nothing.known"));
        event_types_done(&types);
}
END_TEST

START_TEST(both_dialects_are_one_thing) {
        ck_assert_int_eq(
                parse("workflows:\n"
                      "  - name: one\n    trigger_event: kpi.x\n    filters: [{field: severity, operator: "
                      "'==', "
                      "value: CRITICAL}]\n"
                      "    actions: [{name: a, target: k.do, params: {x: '{{ payload.x }}'}, "
                      "timeout_seconds: 2.5}]\n"
                      "  - name: two\n    trigger: {event_type: kpi.x, filters: {severity: CRITICAL}}\n"
                      "    actions: [{name: a, target_kernel: k, action: do, parameters: {x: '{{ payload.x "
                      "}}'}, "
                      "timeout_ms: 2500}]\n"),
                0);
        char a[256], b[256];

        for (int i = 0; i < 2; i++) {
                ck_assert_str_eq(set.items[i]->trigger, "kpi.x");
                ck_assert_str_eq(set.items[i]->actions[0].handler, "k.do");
                ck_assert_uint_eq(set.items[i]->actions[0].timeout_us, 2500000);
        }
        ck_assert_str_eq(rule_program_text(set.items[0]->filter, a, sizeof(a)),
                rule_program_text(set.items[1]->filter, b, sizeof(b)));
}
END_TEST

START_TEST(filters_of_the_list_dialect) {
        ck_assert_int_eq(parse(HEAD "    trigger_event: a.b\n    filters:\n"
                                    "      - {field: priority, operator: in, value: [high, top]}\n"
                                    "      - {field: payload.count, op: '>=', value: 3}\n" ACTIONS),
                0);
        ck_assert(matches("{\"payload\":{\"priority\":\"high\",\"count\":3}}"));
        ck_assert(matches("{\"payload\":{\"priority\":\"top\",\"count\":3.5}}"));
        ck_assert(!matches("{\"payload\":{\"priority\":\"low\",\"count\":3}}"));
        ck_assert(!matches("{\"payload\":{\"priority\":\"high\",\"count\":2}}"));
        ck_assert_msg(!matches("{\"payload\":{\"priority\":\"high\"}}"), "a missing member must not match");
        ck_assert_msg(!matches("{\"payload\":{\"priority\":\"high\",\"count\":\"3\"}}"), "text is no number");
}
END_TEST

START_TEST(filters_of_the_map_dialect) {
        ck_assert_int_eq(parse(HEAD "    trigger:\n      event_type: a.b\n      filters: {severity: [A, B], "
                                    "min_delta_percent: 20, max_score: 0.7, min_degradation_rate: 0.05, "
                                    "min_gap: 0}\n" ACTIONS),
                0);
#define REST "\"current_score\":0.6,\"degradation_rate\":0.06,\"gap\":0"
        ck_assert(matches("{\"payload\":{\"severity\":\"A\",\"delta\":-30,\"threshold\":100," REST "}}"));
        /* the difference from the threshold stands in for delta */
        ck_assert(matches("{\"payload\":{\"severity\":\"B\",\"value\":75,\"threshold\":100," REST "}}"));
        ck_assert(!matches("{\"payload\":{\"severity\":\"B\",\"value\":85,\"threshold\":100," REST "}}"));
        ck_assert(!matches("{\"payload\":{\"severity\":\"B\",\"value\":85,\"threshold\":0," REST "}}"));
        ck_assert(!matches("{\"payload\":{\"severity\":\"C\",\"delta\":-30,\"threshold\":100," REST "}}"));
        ck_assert(!matches(
                "{\"payload\":{\"severity\":\"A\",\"delta\":-30,\"threshold\":100,\"current_score\":0.8,"
                "\"degradation_rate\":0.06,\"gap\":0}}"));
        ck_assert(!matches(
                "{\"payload\":{\"severity\":\"A\",\"delta\":-30,\"threshold\":100,\"current_score\":0.6,"
                "\"degradation_rate\":0.06}}"));
}
END_TEST

START_TEST(wrong_files_are_named_to_the_column) {
        refused(HEAD "    trigger_event: a.b\n    filters: [{field: x, operator: '~=', value: 1}]\n" ACTIONS,
                "t.yaml:4:36", "operator");
        refused(HEAD "    trigger_event: a.b\n    colour: red\n" ACTIONS, "t.yaml:4:5", "colour");
        refused(HEAD "    trigger_event: a.b\n    actions:\n      - name: a\n", "t.yaml:5:9",
                "names no handler");
        refused(HEAD "    trigger_event: a.b\n    actions:\n      - {name: a, target: k}\n", "t.yaml:5:27",
                "names no handler");
        refused(HEAD "    trigger_event: a.b\n    actions:\n      - {name: a, target: k.do, params: {x: '{{ "
                     "payload.x'}}\n",
                "t.yaml:5:46", "without '}}'");
        refused(HEAD "    trigger_event: a.b\n    actions:\n      - {name: a, target: k.do, params: {x: '{{ "
                     "paylod.x }}'}}\n",
                "t.yaml:5:46", "payload");
        refused(HEAD "    trigger_event: A.b\n" ACTIONS, "t.yaml:3:20", "event type");
        refused(HEAD "    trigger_event: workflow.completed\n" ACTIONS, "t.yaml:3:20", "trigger");
        refused(HEAD ACTIONS, "t.yaml:2:5", "no trigger");
        refused("workflows: []\n", "t.yaml:1:12", "no workflow");
        refused("flows: []\n", "t.yaml:1:1", "flows");
        refused(HEAD "    trigger_event: a.b\n" ACTIONS "  - name: w\n    trigger_event: a.c\n" ACTIONS,
                "t.yaml:7:5", "already");
        refused(HEAD "    trigger_event: a.b\n    actions: [{name: a, target: k.do, target_kernel: k, "
                     "action: do}]\n",
                "t.yaml:4:33", "twice");
}
END_TEST

static json_t *render(const char *text, const char *context, int expect, char *why, size_t cap) {
        static const char *const roots[] = {"payload", NULL};
        auto_json json_t *j = NULL;
        json_t *out = NULL;
        Template *t = NULL;

        ck_assert_int_eq(template_compile_text(str_of(text), "t", 1, 1, roots, &problems, &t), 0);
        ck_assert_int_eq(json_read(str_of(context), 0, &j, NULL, 0), 0);
        ck_assert_int_eq(template_render(t, j, &out, why, cap), expect);
        template_free(t);
        return out;
}

START_TEST(templates_keep_types_and_say_what_is_missing) {
        char why[128] = "";
        json_t *v = render("{{ payload.n }}", "{\"payload\":{\"n\":3}}", 0, why, sizeof(why));

        ck_assert(json_is_integer(v));
        json_decref(v);
        v = render("n is {{ payload.n }}, {{payload.o}}", "{\"payload\":{\"n\":3,\"o\":{\"a\":true}}}", 0,
                why, sizeof(why));
        ck_assert_str_eq(json_string_value(v), "n is 3, {\"a\":true}");
        json_decref(v);
        v = render("{{ payload.x | default([1]) }}", "{\"payload\":{}}", 0, why, sizeof(why));
        ck_assert(json_is_array(v));
        json_decref(v);
        v = render("{{ payload.x | default('y') }}", "{\"payload\":{\"x\":null}}", 0, why, sizeof(why));
        ck_assert_msg(json_is_null(v), "null is there");
        json_decref(v);
        ck_assert_ptr_null(render("{{ payload.x }}", "{\"payload\":{}}", -ENOENT, why, sizeof(why)));
        ck_assert_str_eq(why, "payload.x is missing");
}
END_TEST

int main(void) {
        Suite *s = suite_create("mesh-workflow");
        TCase *t = tcase_create("load");
        SRunner *r;
        int failed;

        tcase_add_checked_fixture(t, fresh, done);
        tcase_add_test(t, shipped_policies_load);
        tcase_add_test(t, both_dialects_are_one_thing);
        tcase_add_test(t, filters_of_the_list_dialect);
        tcase_add_test(t, filters_of_the_map_dialect);
        tcase_add_test(t, wrong_files_are_named_to_the_column);
        tcase_add_test(t, templates_keep_types_and_say_what_is_missing);
        suite_add_tcase(s, t);
        r = srunner_create(s);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
