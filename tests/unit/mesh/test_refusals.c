/* SPDX-License-Identifier: Apache-2.0 */
/* What of workflows and event types does not load: each with its code, and nothing of it stays. */
#include "chunks/mesh/workflow.h"
#include "common/cleanup.h"
#include "common/events/event-types.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD        "workflows:\n  - name: w\n    trigger_event: a.b\n"
#define ACTION      "    actions: [{name: a, target: k.do}]\n"
#define WITH(lines) HEAD ACTION "    " lines "\n"
#define DO(more)    HEAD "    actions: [{name: a, " more "}]\n"
#define TEN(x)      x x x x x x x x x x

static const struct {
        const char *text, *code;
} workflows[] = {
        {WITH(""), NULL}, /* the positive control of all below */
        {DO("target: k.do, timeout_ms: 1, priority: LOW, params: {}, on_success: [{event: x.y}]"), NULL},
        {DO("target_kernel: k, action: do, timeout_seconds: 86400, priority: P0"), NULL},
        {WITH("rate_limit: {limit: 3, period_seconds: 10}\n    dedupe: {window_seconds: 5, key: [a, b]}\n"
              "    logging: {x: y}"),
                NULL},
        {"workflows:\n  - name: w\n" ACTION, "missing-key"},
        {"workflows:\n  - name: w w\n    trigger_event: a.b\n" ACTION, "bad-name"},
        {WITH("trigger: a.c"), "given-twice"},
        {"workflows:\n  - name: w\n    filters: {a: 1}\n    trigger: {event_type: a.b, filters: {b: "
         "1}}\n" ACTION,
                "given-twice"},
        {"workflows:\n  - name: w\n    trigger: {filters: {b: 1}}\n" ACTION, "missing-key"},
        {"workflows:\n  - name: w\n    trigger_event: A.b\n" ACTION, "bad-type"},
        {"workflows:\n  - name: w\n    trigger_event: [a.b]\n" ACTION, "bad-value"},
        {"workflows:\n  - name: w\n    trigger_event: workflow.started\n" ACTION, "reserved-type"},
        {HEAD "    actions: []\n", "empty-list"},
        {HEAD "    actions: [" TEN("{name: a, target: k.do}, ") TEN("{name: a, target: k.do}, ")
                        TEN("{name: a, target: k.do}, ") "{name: a, target: k.do}, {name: a, target: k.do}, "
                                                         "{name: a, target: k.do}]\n",
                "too-many"},
        {DO("target: k.do, colour: red"), "unknown-key"},
        {DO("params: {}"), "no-handler"},
        {DO("target: nodot"), "no-handler"},
        {DO("target: .do"), "no-handler"},
        {DO("target: k..do"), "no-handler"},
        {DO("target: k."), "no-handler"},
        {DO("target: 'k.d o'"), "no-handler"},
        {DO("target: k." TEN("0123456789abc")), "no-handler"},
        {DO("target: [k.do]"), "bad-value"},
        {DO("target_kernel: [k], action: do"), "bad-value"},
        {DO("target: k.do, action: do"), "given-twice"},
        {DO("target: k.do, params: {}, parameters: {}"), "given-twice"},
        {DO("target: k.do, params: [1]"), "bad-params"},
        {DO("target: k.do, timeout_ms: 5, timeout_seconds: 5"), "given-twice"},
        {DO("target: k.do, timeout_ms: 0.5"), "out-of-range"},
        {DO("target: k.do, timeout_seconds: 86401"), "out-of-range"},
        {DO("target: k.do, timeout_seconds: .nan"), "bad-value"},
        {DO("target: k.do, timeout_seconds: soon"), "bad-value"},
        {DO("target: k.do, priority: URGENT"), "bad-priority"},
        {DO("target: k.do, priority: [P0]"), "bad-value"},
        {DO("target: k.do, on_success: [{payload: {}}]"), "missing-key"},
        {DO("target: k.do, on_success: [{event: 'a.*'}]"), "bad-type"},
        {DO("target: k.do, on_failure: [{event: mesh.up}]"), "reserved-type"},
        {DO("target: k.do, on_success: [" TEN("{event: x.y}, ") TEN("{event: x.y}, ") "{event: x.y}]"),
                "too-many"},
        {WITH("on_success: [{event: workflow.mine}]"), "reserved-type"},
        {WITH("rate_limit: {limit: 0}"), "out-of-range"},
        {WITH("rate_limit: {limit: 1, period_seconds: 0}"), "out-of-range"},
        {WITH("dedupe: {key: [a]}"), "missing-key"},
        {WITH("dedupe: {window_seconds: 0}"), "out-of-range"},
        {WITH("dedupe: {window_seconds: 1, key: ['']}"), "bad-key"},
        {WITH("dedupe: {window_seconds: 1, key: [" TEN("a, ") "a]}"), "bad-key"},
        {WITH("dedupe: {window_seconds: 1, key: [[a]]}"), "bad-value"},
        {WITH("logging: [x]"), "bad-logging"},
        {WITH("filters: nonsense"), "bad-filter"},
        {WITH("filters: {a: {b: 1}}"), "bad-filter"},
        {WITH("filters: {min_gap: wide}"), "bad-value"},
        {WITH("filters: [{field: a, value: 1}]"), "bad-filter"},
        {WITH("filters: [{field: a, operator: '==', op: '==', value: 1}]"), "bad-filter"},
        {WITH("filters: [{field: a, operator: '=>', value: 1}]"), "unknown-operator"},
        {WITH("filters: [{field: a, operator: '=='}]"), "bad-filter"},
        {WITH("filters: [{operator: '==', value: 1}]"), "missing-key"},
        {WITH("filters: [{field: " TEN("0123456789abc") ", operator: '==', value: 1}]"), "too-long"},
        {WITH("filters: [{field: a, operator: in, value: [[1]]}]"), "bad-value"},
};

START_TEST(workflows_that_are_refused) {
        WorkflowSet set = {0};
        Problems p = {0};
        char text[1024];
        int r = workflow_set_parse(&set, "t.yaml", str_of(workflows[_i].text), &p);
        const char *said = p.n ? problem_format(&p.items[0], text, sizeof(text)) : "nothing";
        if (!workflows[_i].code) {
                ck_assert_msg(r == 0 && set.n == 1, "%s", said);
        } else {
                ck_assert_msg(r == -EINVAL, "%s", workflows[_i].text);
                ck_assert_uint_eq(set.n, 0);
                ck_assert_msg(p.n > 0 && strcmp(p.items[0].code, workflows[_i].code) == 0,
                        "%s: %s, wanted %s", workflows[_i].text, said, workflows[_i].code);
                ck_assert_uint_gt(p.items[0].line, 0);
        }
        workflow_set_done(&set);
        problems_done(&p);
}
END_TEST

#define TYPES(row) "version: 1\nevents:\n  - {" row "}\n"
static const struct {
        const char *text, *code;
} types[] = {
        {TYPES("type: a.b"), NULL},
        {TYPES("type: 'a.*', min_trust_score: 1, flags: [validate, audit], publishers: [web, db], priority: "
               "P3, "
               "payload_schema: x/y.json"),
                NULL},
        {TYPES("type: A.b"), "bad-type"},
        {TYPES("type: a.b}\n  - {type: a.b"), "duplicate-type"},
        {TYPES("type: a.b, min_trust_score: 1.01"), "out-of-range"},
        {TYPES("type: a.b, min_trust_score: -0.1"), "out-of-range"},
        {TYPES("type: a.b, min_trust_score: much"), "bad-value"},
        {TYPES("type: a.b, min_trust_score: .inf"), "bad-value"},
        {TYPES("type: a.b, flags: [loud]"), "unknown-flag"},
        {TYPES("type: a.b, flags: [[audit]]"), "bad-value"},
        {TYPES("type: a.b, publishers: []"), "empty-list"},
        {TYPES("type: a.b, publishers: ['a b']"), "bad-unit-name"},
        {TYPES("type: a.b, publishers: [[web]]"), "bad-value"},
        {TYPES("type: a.b, publishers: [" TEN("web, ") TEN("web, ") TEN("web, ") "web]"), "too-many"},
        {TYPES("type: a.b, priority: P4"), "bad-priority"},
        {TYPES("type: a.b, priority: P10"), "bad-priority"},
        {TYPES("type: a.b, priority: [P1]"), "bad-value"},
        {TYPES("type: a.b, flags: [validate], payload_schema: ../x.json"), "bad-path"},
        {TYPES("type: a.b, flags: [validate], payload_schema: /x.json"), "bad-path"},
        {TYPES("type: a.b, flags: [validate], payload_schema: ''"), "bad-path"},
        {TYPES("type: a.b, flags: [validate], payload_schema: [x]"), "bad-value"},
        {TYPES("type: a.b, flags: [audit], payload_schema: x.json"), "schema-unused"},
        {TYPES("description: x"), "missing-key"},
};

START_TEST(event_types_that_are_refused) {
        EventTypes found = {0};
        Problems p = {0};
        char text[1024];
        int r = event_types_parse("t.yaml", str_of(types[_i].text), &p, &found);
        const char *said = p.n ? problem_format(&p.items[0], text, sizeof(text)) : "nothing";
        if (!types[_i].code) {
                ck_assert_msg(r == 0 && found.n == 1, "%s", said);
        } else {
                ck_assert_msg(r == -EINVAL, "%s", types[_i].text);
                ck_assert_msg(p.n > 0 && strcmp(p.items[0].code, types[_i].code) == 0, "%s: %s, wanted %s",
                        types[_i].text, said, types[_i].code);
        }
        event_types_done(&found);
        problems_done(&p);
}
END_TEST

int main(void) {
        Suite *s = suite_create("refusals");
        TCase *t = tcase_create("refusals");
        tcase_add_loop_test(t, workflows_that_are_refused, 0, ELEMENTSOF(workflows));
        tcase_add_loop_test(t, event_types_that_are_refused, 0, ELEMENTSOF(types));
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
