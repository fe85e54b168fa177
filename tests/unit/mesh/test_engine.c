/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/workflow-engine.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>

typedef struct Bench {
        WorkflowEngine engine;
        uint64_t now, index, token;
        int invoke_error;
        unsigned invoked, emitted, letters;
        char params[512], key[161], types[1024], last[2048], reason[65];
} Bench;
static Bench b;

static int on_invoke(void *user, uint64_t token, const WorkflowInvoke *i) {
        (void)user;
        b.invoked++;
        b.token = token;
        str_copy(b.params, sizeof(b.params), i->payload);
        str_copy(b.key, sizeof(b.key), str_of(i->idempotency_key));
        return b.invoke_error;
}
static int on_emit(void *user, const MeshOwnEvent *e) {
        size_t n = strlen(b.types);

        (void)user;
        b.emitted++;
        snprintf(b.types + n, sizeof(b.types) - n, "%s ", e->type);
        str_copy(b.last, sizeof(b.last), e->payload);
        ck_assert_str_eq(e->correlation_id, "cor_abcdef");
        return 0;
}
static void on_letter(void *user, const MeshEvent *e, const char *workflow, const char *action,
        const char *reason, unsigned attempts, const char *error) {
        (void)user;
        (void)e;
        (void)workflow;
        (void)action;
        (void)attempts;
        (void)error;
        b.letters++;
        str_copy(b.reason, sizeof(b.reason), str_of(reason));
}
static void on_log(
        void *user, LogLevel level, const char *message, const char *workflow, const char *detail) {
        (void)user;
        (void)level;
        (void)message;
        (void)workflow;
        (void)detail;
}
static const WorkflowOps OPS = {on_invoke, on_emit, on_letter, on_log};

static void begin(const char *yaml) {
        WorkflowSet set = {0};
        Problems p = {0};
        char text[1024];

        b = (Bench){.now = 1000000, .index = 10};
        if (workflow_set_parse(&set, "t.yaml", str_of(yaml), &p) < 0)
                ck_abort_msg("%s", problem_format(&p.items[0], text, sizeof(text)));
        problems_done(&p);
        ck_assert_int_eq(workflow_engine_init(&b.engine, &OPS, &b, &set), 0);
}

static void event(const char *type, const char *payload) {
        MeshEvent *e;
        MsgBuilder m;

        msg_begin(&m, MSG_EVENT);
        msg_put_cstr(&m, TAG_TYPE, type);
        msg_put_cstr(&m, TAG_CORRELATION_ID, "cor_abcdef");
        msg_put_cstr(&m, TAG_MSG_ID, "msg_0123456789");
        msg_put_u64(&m, TAG_HOP_COUNT, 1);
        ck_assert_int_eq(mesh_event_new(&m, str_of(payload), &e), 0);
        e->index = b.index++;
        workflow_event(&b.engine, e, b.now);
        mesh_event_unref(e);
}

static void result(const char *code) {
        workflow_result(
                &b.engine, b.token, strcmp(code, "ok") != 0, code, "why", STR_LIT("{\"r\":1}"), b.now);
}

static const WorkflowCounters *counters(void) {
        return &b.engine.set.items[0]->counters;
}

static void finish(void) {
        ck_assert(list_empty(&b.engine.runs) && list_empty(&b.engine.waiting));
        workflow_engine_done(&b.engine);
}

#define ONE "workflows:\n  - name: w\n    trigger_event: a.b\n"
#define ACT "    actions: [{name: a, target: k.do, timeout_seconds: 2, params: {x: '{{ payload.x }}'}}]\n"

START_TEST(a_run_is_said_and_ends) {
        begin(ONE "    actions:\n      - {name: a, target: k.do, params: {x: '{{ payload.x }}'},\n"
                  "         on_success: [{event: a.good, payload: {r: '{{ action.result.r }}'}}]}\n"
                  "      - {name: c, target: k.do2, on_failure: [{event: a.bad}]}\n"
                  "    logging: {outcome: '{{ action.status }}'}\n");
        event("a.b", "{\"x\":[1]}");
        ck_assert_str_eq(b.params, "{\"x\":[1]}");
        result("ok");
        ck_assert_str_eq(b.params, "{}");
        result("E.NON_RETRYABLE");
        ck_assert_str_eq(b.types,
                "workflow.started workflow.action_executed a.good workflow.action_executed a.bad "
                "workflow.completed ");
        ck_assert_ptr_nonnull(strstr(b.last, "PARTIAL_SUCCESS"));
        ck_assert_ptr_nonnull(strstr(b.last, "\"log\":{\"outcome\":\"FAILED\"}"));
        ck_assert_uint_eq(b.letters, 1);
        ck_assert_str_eq(b.reason, "handler_error");
        result("ok"); /* again: nobody waits */
        ck_assert_uint_eq(counters()->partial, 1);
        finish();
}
END_TEST

START_TEST(only_what_was_surely_not_done_is_tried_again) {
        begin("configuration: {retry_policy: {max_retries: 2, backoff_ms: [1000, 2000]}}\n" ONE ACT);
        event("a.b", "{\"x\":1}");
        char first[161];
        memcpy(first, b.key, sizeof(first));
        result("E.UNAVAILABLE");
        ck_assert_uint_eq(b.invoked, 1);
        ck_assert_uint_eq(workflow_tick(&b.engine, b.now), b.now + 1000000);
        b.now += 1000000;
        workflow_tick(&b.engine, b.now);
        ck_assert_uint_eq(b.invoked, 2);
        ck_assert_str_eq(b.key, first);
        result("E.UNAVAILABLE");
        b.now += 2000000;
        workflow_tick(&b.engine, b.now);
        result("E.UNAVAILABLE");
        ck_assert_uint_eq(b.invoked, 3);
        ck_assert_str_eq(b.reason, "max_retries_exceeded");
        event("a.b", "{\"x\":1}");
        result("E.CONFLICT");
        ck_assert_uint_eq(b.invoked, 4);
        ck_assert_uint_eq(counters()->failed, 2);
        finish();
}
END_TEST

START_TEST(silence_is_a_timeout_and_not_repeated) {
        begin("configuration: {retry_policy: {max_retries: 2}}\n" ONE ACT);
        event("a.b", "{\"x\":1}");
        ck_assert_uint_eq(workflow_tick(&b.engine, b.now), b.now + 2000000);
        b.now += 2000000;
        workflow_tick(&b.engine, b.now);
        ck_assert_uint_eq(b.invoked, 1);
        ck_assert_uint_eq(counters()->timeouts, 1);
        ck_assert_str_eq(b.reason, "timeout");
        ck_assert_uint_eq(workflow_tick(&b.engine, b.now), UINT64_MAX);
        finish();
}
END_TEST

static bool there(void *user, uint64_t token) {
        return token == *(uint64_t *)user;
}

START_TEST(nobody_there_and_gone) {
        begin(ONE ACT);
        b.invoke_error = -ENOENT;
        event("a.b", "{\"x\":1}");
        ck_assert_str_eq(b.reason, "route_not_found");
        ck_assert_ptr_nonnull(strstr(b.last, "\"result\":\"FAILED\""));
        b.invoke_error = 0;
        event("a.b", "{}"); /* payload.x is missing */
        ck_assert_str_eq(b.reason, "validation_error");
        ck_assert_uint_eq(b.invoked, 1);
        event("a.b", "{\"x\":1}");
        workflow_peer_lost(&b.engine, there, &b.token, b.now);
        ck_assert_str_eq(b.reason, "handler_error");
        ck_assert_uint_eq(counters()->failed, 3);
        finish();
}
END_TEST

START_TEST(limits_windows_and_slots) {
        begin("configuration: {max_parallel_workflows: 1, deduplication: {enabled: true, window_seconds: "
              "60}}\n" ONE "    filters: {x: [1, 2]}\n    rate_limit: {limit: 2, period_seconds: 10}\n"
              "    dedupe: {window_seconds: 60, key: [x]}\n" ACT);
        event("a.b", "{\"x\":3}");
        ck_assert_uint_eq(counters()->filtered, 1);
        event("a.b", "{\"x\":1}");
        event("a.b", "{\"x\":1}");
        ck_assert_uint_eq(counters()->duplicated, 1);
        event("a.b", "{\"x\":2}");
        ck_assert_uint_eq(counters()->triggered, 2);
        ck_assert_uint_eq(b.invoked, 1); /* one slot */
        result("ok");
        ck_assert_uint_eq(b.invoked, 2);
        result("ok");
        b.now += 60000000;
        event("a.b", "{\"x\":1}");
        event("a.b", "{\"x\":2}");
        ck_assert_uint_eq(counters()->triggered, 4);
        result("ok");
        result("ok");
        finish();
        begin(ONE "    rate_limit: {limit: 1, period_seconds: 10}\n" ACT);
        event("a.b", "{\"x\":1}");
        event("a.b", "{\"x\":1}");
        ck_assert_uint_eq(counters()->rate_limited, 1);
        result("ok");
        finish();
}
END_TEST

START_TEST(bursts_of_one_type_are_limited) {
        begin("configuration: {rate_limiting: {max_events_per_minute: 30, burst_size: 20}}\n" ONE ACT);
        for (int i = 0; i < 25; i++) {
                event("a.b", "{\"x\":1}");
                result("ok");
        }
        ck_assert_uint_eq(counters()->triggered, 20);
        b.now += 5000000;
        for (int i = 0; i < 25; i++) {
                event("a.b", "{\"x\":1}");
                result("ok");
        }
        ck_assert_uint_eq(counters()->triggered, 30);
        finish();
}
END_TEST

START_TEST(its_own_events_trigger_nothing) {
        begin("workflows:\n  - name: w\n    trigger_event: '**'\n" ACT);
        event("workflow.completed", "{\"x\":1}");
        event("mesh.dispatch_failure", "{\"x\":1}");
        ck_assert_uint_eq(b.invoked, 0);
        event("other", "{\"x\":1}");
        ck_assert_uint_eq(b.invoked, 1);
        result("ok");
        finish();
}
END_TEST

int main(void) {
        Suite *s = suite_create("mesh-engine");
        TCase *t = tcase_create("runs");
        SRunner *r;
        int failed;

        tcase_add_test(t, a_run_is_said_and_ends);
        tcase_add_test(t, only_what_was_surely_not_done_is_tried_again);
        tcase_add_test(t, silence_is_a_timeout_and_not_repeated);
        tcase_add_test(t, nobody_there_and_gone);
        tcase_add_test(t, limits_windows_and_slots);
        tcase_add_test(t, bursts_of_one_type_are_limited);
        tcase_add_test(t, its_own_events_trigger_nothing);
        suite_add_tcase(s, t);
        r = srunner_create(s);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
