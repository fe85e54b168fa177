/* SPDX-License-Identifier: Apache-2.0 */
#include "immune/anomaly.h"
#include "immune/memory-growth.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(every_pair_is_defined) {
        ck_assert_int_eq(_ANOMALY_MAX, 18);
        ck_assert_int_eq(_HEAL_MAX, 12);
        for (int t = 0; t < _ANOMALY_MAX; t++) {
                for (int s = 0; s < _SEVERITY_MAX; s++) {
                        const Response *r = anomaly_response((AnomalyType)t, (Severity)s);
                        ck_assert_ptr_nonnull(r);
                        ck_assert_msg(
                                r->why && *r->why, "%s/%s", anomaly_type_to_string(t), severity_to_string(s));
                        ck_assert_int_ne(r->kind, STEP_COLLECT);
                        if (r->kind == STEP_ACTION)
                                ck_assert(r->action < _HEAL_MAX && r->action != HEAL_ESCALATE_TO_HUMAN);
                        if (r->kind == STEP_ESCALATE)
                                ck_assert_int_eq(r->action, HEAL_ESCALATE_TO_HUMAN);
                        if (r->kind == STEP_OBSERVE)
                                ck_assert_int_eq(r->action, _HEAL_MAX);
                }
                /* Nothing critical is only looked at. */
                ck_assert_int_ne(anomaly_response((AnomalyType)t, SEVERITY_CRITICAL)->kind, STEP_OBSERVE);
        }
        ck_assert_ptr_null(anomaly_response(_ANOMALY_MAX, SEVERITY_LOW));
        ck_assert_ptr_null(anomaly_response(ANOMALY_DISK_FULL, _SEVERITY_MAX));
}
END_TEST

START_TEST(the_seed_measured_these) {
        ck_assert_int_eq(anomaly_response(ANOMALY_MEMORY_LEAK, SEVERITY_HIGH)->action, HEAL_RESTART_SERVICE);
        ck_assert_int_eq(anomaly_response(ANOMALY_MEMORY_LEAK, SEVERITY_CRITICAL)->kind, STEP_ESCALATE);
        ck_assert_int_eq(anomaly_response(ANOMALY_LATENCY_SPIKE, SEVERITY_HIGH)->action, HEAL_RATE_LIMIT);
        ck_assert_int_eq(anomaly_response(ANOMALY_INJECTION_ATTEMPT, SEVERITY_CRITICAL)->action,
                HEAL_QUARANTINE_COMPONENT);
        ck_assert_int_eq(
                anomaly_response(ANOMALY_SERVICE_DOWN, SEVERITY_CRITICAL)->action, HEAL_RESTART_SERVICE);
}
END_TEST

START_TEST(unknown_types_are_kept_as_deviation) {
        AnomalyType t;
        ck_assert_int_eq(anomaly_classify(str_of("memory_leak"), &t), 0);
        ck_assert_int_eq(t, ANOMALY_MEMORY_LEAK);
        ck_assert_int_eq(anomaly_classify(str_of("MEMORY_LEAK"), &t), 0);
        ck_assert_int_eq(t, ANOMALY_MEMORY_LEAK);
        ck_assert_int_eq(anomaly_classify(str_of("service_degraded"), &t), 1);
        ck_assert_int_eq(t, ANOMALY_PATTERN_DEVIATION);
        ck_assert_int_eq(anomaly_classify(str_of(""), &t), 1);
}
END_TEST

static const GrowthConfig cfg = {.settle_us = 5000000,
        .interval_us = 1000000,
        .window_us = 5000000,
        .windows = 5,
        .needed = 3,
        .min_growth = 64 << 20,
        .min_rate = 1 << 20,
        .verify_percent = 50,
        .enabled = true};

/* Samples one a second; the number of the sample that raised the alarm (0 is the first), or -1. */
static int feed(Growth *g, uint64_t (*rss)(unsigned), unsigned n, GrowthAlarm *a) {
        for (unsigned i = 0; i < n; i++)
                if (growth_sample(g, &cfg, 7000000 + i * 1000000ULL, rss(i), a))
                        return (int)i;
        return -1;
}
static uint64_t leak8(unsigned s) {
        return (20ULL + 8 * s) << 20;
}
static uint64_t leak2(unsigned s) {
        return (20ULL + 2 * s) << 20;
}
static uint64_t crawl(unsigned s) {
        return (20ULL << 20) + s * (900ULL << 10);
}
static uint64_t flat(unsigned s) {
        return (200ULL << 20) + (s & 1) * 4096;
}
static uint64_t step(unsigned s) {
        return s < 12 ? 20ULL << 20 : 220ULL << 20;
}
static uint64_t sawtooth(unsigned s) { /* 200 MiB high, ten seconds long */
        return (20ULL + s % 10 * 22) << 20;
}
static uint64_t small_sawtooth(unsigned s) { /* 48 MiB, half a minute */
        return (20ULL << 20) + s % 30 * (48ULL << 20) / 30;
}

START_TEST(a_leak_is_found_at_the_right_sample) {
        Growth g = {0};
        GrowthAlarm a;

        /* three windows of 5 s, and the lowest of the third is 80 MiB up: sample 15 */
        ck_assert_int_eq(feed(&g, leak8, 60, &a), 15);
        ck_assert_uint_eq(a.rate, 8 << 20);
        ck_assert_uint_eq(a.growth, 120 << 20);
        ck_assert_uint_eq(a.grew, 3);
        /* once an incarnation */
        for (unsigned i = 61; i < 200; i++)
                ck_assert(!growth_sample(&g, &cfg, 7000000 + i * 1000000ULL, leak8(i), &a));
        growth_reset(&g);
        /* at 2 MiB/s the size decides: the window that begins at +70 MiB ends at sample 40 */
        ck_assert_int_eq(feed(&g, leak2, 100, &a), 40);
}
END_TEST

START_TEST(no_alarm_without_a_leak) {
        Growth g = {0};
        GrowthAlarm a;
        uint64_t (*const shapes[])(unsigned) = {crawl, flat, step, sawtooth, small_sawtooth};

        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
                growth_reset(&g);
                ck_assert_msg(feed(&g, shapes[i], 3600, &a) == -1, "shape %zu", i);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("immune-anomaly");
        TCase *tc = tcase_create("all");
        tcase_add_test(tc, every_pair_is_defined);
        tcase_add_test(tc, the_seed_measured_these);
        tcase_add_test(tc, unknown_types_are_kept_as_deviation);
        tcase_add_test(tc, a_leak_is_found_at_the_right_sample);
        tcase_add_test(tc, no_alarm_without_a_leak);
        suite_add_tcase(s, tc);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int bad = srunner_ntests_failed(sr);
        srunner_free(sr);
        return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
