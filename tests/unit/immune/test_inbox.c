/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in, incidents out: what counts is who the pipe says it was. */
#include "immune/inbox.h"
#include "immune/proc.h"
#include "rig.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int event(Rig *r, const char *type, const char *source, const char *payload) {
        MsgBuilder b;
        Msg m;

        msg_begin(&b, MSG_EVENT);
        msg_put_cstr(&b, TAG_TYPE, type);
        msg_put_cstr(&b, TAG_SOURCE, source);
        msg_put_cstr(&b, TAG_CORRELATION_ID, "cor_abcdef123");
        ck_assert_int_eq(msg_view(&b, str_of(payload), &m), 0);
        int err = inbox_event(r->core, r->now, &m);
        rig_drain(r);
        return err;
}

START_TEST(units_are_guardians_word_only) {
        Rig *r = rig_new();
        const char *gone =
                "{\"code\":1,\"health\":\"unknown\",\"instance\":3,\"pid\":0,\"priority\":3000,\"reason\":"
                "\"exit\","
                "\"restarts\":9,\"signal\":null,\"start_time\":0,\"state\":\"quarantined\",\"unit\":\"web\"}";
        ck_assert_int_eq(event(r, "unit.state", "web", gone), 0);
        ck_assert_uint_eq(r->n_records, 0);
        ck_assert_int_eq(event(r, "unit.state", "guardian", gone), 0);
        ck_assert_str_eq(rig_field(r, "severity"), "critical");
        ck_assert_int_eq(
                event(r, "unit.state", "guardian", "{\"state\":\"well\",\"unit\":\"web\"}"), -EINVAL);
        ck_assert_int_eq(
                event(r, "unit.state", "guardian", "{\"state\":\"running\",\"unit\":\"../x\"}"), -EINVAL);
        ck_assert_int_lt(event(r, "unit.state", "guardian", "{\"state\":"), 0);
        rig_free(r);
}
END_TEST

START_TEST(claims_in_the_words_of_the_seed) {
        Rig *r = rig_new();
        rig_unit(r, "web", 80, UNIT_RUNNING);
        ck_assert_int_eq(event(r, "anomaly.detected", "ai",
                                 "{\"type\":\"service_degraded\",\"severity\":\"ERROR\",\"score\":0.93,"
                                 "\"component_id\":\"web\"}"),
                0);
        ck_assert_str_eq(rig_field(r, "type"), "pattern_deviation");
        ck_assert_str_eq(rig_field(r, "original"), "service_degraded");
        ck_assert_str_eq(rig_field(r, "severity"), "high");
        ck_assert_str_eq(rig_field(r, "source"), "ai");
        ck_assert_str_eq(rig_field(r, "target"), "web");
        ck_assert_str_eq(rig_field(r, "correlation_id"), "cor_abcdef123");
        ck_assert_ptr_nonnull(strstr(r->records[r->n_records - 1].body, "\"score\":93"));
        unsigned n = r->n_records;
        ck_assert_int_eq(event(r, "system.health_check", "web", "{\"status\":\"healthy\"}"), 0);
        ck_assert_uint_eq(r->n_records, n);
        ck_assert_int_eq(event(r, "system.health_check", "web", "{\"status\":\"degraded\"}"), 0);
        ck_assert_str_eq(rig_field(r, "type"), "drift_detected");
        ck_assert_int_eq(
                event(r, "security.event", "web", "{\"type\":\"sql_injection\",\"severity\":\"low\"}"), 0);
        ck_assert_str_eq(rig_field(r, "type"), "injection_attempt");
        ck_assert_str_eq(rig_field(r, "severity"), "high");
        n = r->n_records;
        ck_assert_int_eq(
                event(r, "anomaly.detected", "immune", "{\"type\":\"cpu_spike\",\"target\":\"web\"}"), 0);
        ck_assert_uint_eq(r->n_records, n); /* our own echo */
        ck_assert_uint_eq(r->n_proposals, 0);
        rig_free(r);
}
END_TEST

START_TEST(nobody_beats_for_another) {
        Rig *r = rig_new();
        rig_unit(r, "ai", 85, UNIT_RUNNING);
        ck_assert_int_eq(event(r, "kernel.heartbeat", "web", "{\"interval_ms\":5000,\"unit\":\"ai\"}"), 0);
        rig_run(r, 100 * 1000000ULL);
        ck_assert_uint_eq(r->n_records, 0);
        ck_assert_int_eq(event(r, "kernel.heartbeat", "ai", "{\"interval\":5}"), 0);
        ck_assert_int_eq(event(r, "kernel.heartbeat", "ai", "{\"interval\":0}"), -EINVAL);
        ck_assert_int_eq(event(r, "kernel.heartbeat", "ai", "{\"interval\":-4}"), -EINVAL);
        rig_run(r, 16 * 1000000ULL);
        ck_assert_str_eq(rig_field(r, "type"), "deadlock_detected");
        rig_free(r);
}
END_TEST

static int invoke(Rig *r, const char *handler, const char *payload) {
        MsgBuilder b;
        Msg m;

        msg_begin(&b, MSG_INVOKE);
        msg_put_u64(&b, TAG_REQ, 4);
        msg_put_cstr(&b, TAG_HANDLER, handler);
        msg_put_cstr(&b, TAG_TYPE, "x.y");
        msg_put_cstr(&b, TAG_SOURCE, "mesh");
        ck_assert_int_eq(msg_view(&b, str_of(payload), &m), 0);
        int err = inbox_invoke(r->core, r->now, &m, 77);
        rig_drain(r);
        return err;
}

START_TEST(handlers_take_the_shipped_parameters) {
        Rig *r = rig_new();
        rig_unit(r, "web", 80, UNIT_RUNNING);
        ck_assert_int_eq(invoke(r, "avn_core.restart_kernel",
                                 "{\"component_id\":\"web\",\"error_type\":\"KERNEL_CRASH\"}"),
                0);
        ck_assert_str_eq(r->answered, "ok");
        ck_assert_uint_eq(r->n_proposals, 1);
        ck_assert_str_eq(r->proposals[0].action, "restart_service");
        ck_assert_int_eq(invoke(r, "avn_core.emergency_alert",
                                 "{\"alert_type\":\"KERNEL_CRASH\",\"component_id\":\"web\",\"severity\":"
                                 "\"CRITICAL\"}"),
                0);
        ck_assert_str_eq(rig_field(r, "state"), "escalated");
        ck_assert_str_eq(rig_field(r, "original"), "KERNEL_CRASH");
        ck_assert_int_eq(
                invoke(r, "avn_core.escalate_healing",
                        "{\"component_id\":\"db\",\"metric_name\":\"qps\",\"severity\":\"CRITICAL\"}"),
                0);
        ck_assert_str_eq(rig_field(r, "target"), "db"); /* no unit: nothing to act on, a person is asked */
        ck_assert_str_eq(rig_field(r, "state"), "escalated");
        ck_assert_uint_eq(r->n_proposals, 1);
        ck_assert_int_eq(invoke(r, "avn_core.reboot_world", "{}"), -ENOENT);
        ck_assert_int_eq(invoke(r, "avn_core.restart_kernel", "[]"), -EINVAL);
        for (const char *const *h = inbox_handlers; *h; h++)
                ck_assert_int_ne(invoke(r, *h, "{\"component_id\":\"web\"}"), -ENOENT);
        rig_free(r);
}
END_TEST

START_TEST(stat_lines) {
        uint64_t start, pages;
        ck_assert_int_eq(proc_parse_stat("7 (a) b) c) S 1 7 7 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 4242 99 "
                                         "123 18446744073709551615 1",
                                 &start, &pages),
                0);
        ck_assert_uint_eq(start, 4242);
        ck_assert_uint_eq(pages, 123);
        ck_assert_int_eq(proc_parse_stat("7 (a) S 1 2", &start, &pages), -EINVAL);
        ck_assert_int_eq(proc_parse_stat("", &start, &pages), -EINVAL);
        ck_assert_uint_eq(proc_resident((uint64_t)getpid(), 1), 0); /* not that incarnation */
        Evidence e[IMMUNE_EVIDENCE_MAX];
        ck_assert_uint_eq(proc_evidence((uint64_t)getpid(), 1, e), 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("immune-inbox");
        TCase *tc = tcase_create("all");
        tcase_add_test(tc, units_are_guardians_word_only);
        tcase_add_test(tc, claims_in_the_words_of_the_seed);
        tcase_add_test(tc, nobody_beats_for_another);
        tcase_add_test(tc, handlers_take_the_shipped_parameters);
        tcase_add_test(tc, stat_lines);
        suite_add_tcase(s, tc);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int bad = srunner_ntests_failed(sr);
        srunner_free(sr);
        return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
