/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/rights.h"
#include "rig.h"
#include "common/clock.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static Rig *rig;

static void setup(void) {
        rig = calloc(1, sizeof(*rig));
        ck_assert_int_eq(rig_open(rig), 0);
        static const char *const writers[] = {"governance", "guardian", "immune", "mesh"};
        for (int i = 0; i < 4; i++)
                rig_attach(rig, writers[i]);
}

static void teardown(void) {
        rig_done(rig);
        free(rig);
}

static void refused(Put p, const char *code) {
        const char *why = "", *got = rig_put(rig, p, NULL, &why);
        ck_assert_msg(
                got && strcmp(got, code) == 0, "expected %s, got %s (%s)", code, got ? got : "accepted", why);
}

START_TEST(new_log_has_key_record) {
        LedgerHead h;
        ck_assert_int_eq(rig->report.found, FOUND_EMPTY);
        ledger_core_head(rig->core, &h);
        ck_assert_uint_eq(h.size, 1);
        ck_assert_uint_eq(h.signed_size, 0);
        ck_assert_uint_eq(rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}), 1);
        rig_governed(rig, 5);
        ledger_core_head(rig->core, &h);
        /* key, event, then decision, intent and action with a checkpoint each */
        ck_assert_uint_eq(h.size, 8);
        ck_assert_uint_eq(h.signed_size, 7);
        char why[200];
        ck_assert_int_eq(ledger_core_self_test(rig->core, &rig->source, why, sizeof(why)), 0);
        memset(rig->disk.segments[0].seen, 0, rig->disk.segments[0].bytes);
        ck_assert_int_lt(ledger_core_self_test(rig->core, &rig->source, why, sizeof(why)), 0);
}
END_TEST

/* Who may write what, every writer and kind; config by action. */
START_TEST(rights) {
        static const struct {
                const char *writer;
                uint32_t may;
        } table[] = {{"governance", 1 << RECORD_DECISION | 1 << RECORD_CONFIG},
                {"guardian", 1 << RECORD_APPROVAL | 1 << RECORD_INTENT | 1 << RECORD_ACTION |
                                     1 << RECORD_BOOT | 1 << RECORD_UNIT | 1 << RECORD_CONFIG |
                                     1 << RECORD_RECOVERY | 1 << RECORD_LOSS},
                {"immune", 1 << RECORD_ANOMALY | 1 << RECORD_INCIDENT}, {"mesh", 1 << RECORD_EVENT}};
        for (size_t w = 0; w < 4; w++)
                for (int k = 1; k < _RECORD_MAX; k++) {
                        Put p = {table[w].writer, (RecordKind)k, 1, RECORD_NO_REF};
                        p.action = w == 0 ? "policy" : "mode";
                        const char *why = "", *code = rig_put(rig, p, NULL, &why);
                        bool may = table[w].may >> k & 1;
                        if (may && (k == RECORD_INTENT || k == RECORD_ACTION))
                                ck_assert_str_eq(code, "intent_refused");
                        else if (may)
                                ck_assert_msg(
                                        !code, "%s may write kind %d: %s %s", table[w].writer, k, code, why);
                        else
                                ck_assert_str_eq(code, "E.FORBIDDEN");
                }
        refused((Put){"governance", RECORD_CONFIG, 0, RECORD_NO_REF, 0, "mode"}, "E.FORBIDDEN");
        refused((Put){"guardian", RECORD_CONFIG, 0, RECORD_NO_REF, 0, "policy.load"}, "E.FORBIDDEN");
        refused((Put){"web", RECORD_EVENT, 0, RECORD_NO_REF}, "E.FORBIDDEN");
        refused((Put){"ledger", RECORD_KEY, 0, RECORD_NO_REF}, "E.FORBIDDEN");
}
END_TEST

START_TEST(bodies_are_canonical) {
        static const char *const bad[] = {
                "[]", "{ }", "{\"b\":1,\"a\":1}", "{\"a\":1.5}", "{\"a\":1,\"a\":1}", "{", "x"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                refused((Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF, 0, NULL, bad[i]}, "E.VALIDATION");
        refused((Put){"governance", RECORD_DECISION, 0, RECORD_NO_REF, VERDICT_BIT_ALLOW}, "E.VALIDATION");
        rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF, 0, NULL, "{\"a\":1,\"b\":[true,null]}"});
}
END_TEST

START_TEST(intents_need_their_decision) {
        uint64_t allow =
                rig_ok(rig, (Put){"governance", RECORD_DECISION, 1, RECORD_NO_REF, VERDICT_BIT_ALLOW});
        uint64_t deny = rig_ok(rig, (Put){"governance", RECORD_DECISION, 2, RECORD_NO_REF, VERDICT_BIT_DENY});
        uint64_t ask = rig_ok(rig, (Put){"governance", RECORD_DECISION, 3, RECORD_NO_REF, VERDICT_BIT_ASK});
        uint64_t check = rig_ok(rig, (Put){"governance", RECORD_DECISION, 4, RECORD_NO_REF,
                                             VERDICT_BIT_ALLOW | VERDICT_BIT_CHECK});
        uint64_t policy = rig_ok(
                rig, (Put){"governance", RECORD_CONFIG, 5, RECORD_NO_REF, VERDICT_BIT_ALLOW, "policy"});
        uint64_t unit = rig_ok(rig, (Put){"guardian", RECORD_UNIT, 1, RECORD_NO_REF, VERDICT_BIT_ALLOW});
        refused((Put){"guardian", RECORD_INTENT, 1, RECORD_NO_REF}, "intent_refused");
        refused((Put){"guardian", RECORD_INTENT, 1, allow + 1000}, "intent_refused");
        refused((Put){"guardian", RECORD_INTENT, 2, deny}, "intent_refused");
        refused((Put){"guardian", RECORD_INTENT, 3, ask}, "intent_refused");
        refused((Put){"guardian", RECORD_INTENT, 4, check}, "intent_refused");
        refused((Put){"guardian", RECORD_INTENT, 1, unit}, "intent_refused");
        refused((Put){"guardian", RECORD_INTENT, 9, allow}, "intent_refused");
        refused((Put){"guardian", RECORD_INTENT, 1, allow, 0, NULL, NULL, NULL, true}, "intent_refused");
        refused((Put){"guardian", RECORD_INTENT, 1, allow, .other_request = true}, "intent_refused");
        refused((Put){"guardian", RECORD_INTENT, 5, policy}, "intent_refused");
        refused((Put){"governance", RECORD_INTENT, 1, allow}, "E.FORBIDDEN");
        uint64_t intent = rig_ok(rig, (Put){"guardian", RECORD_INTENT, 1, allow});
        refused((Put){"guardian", RECORD_INTENT, 1, allow}, "intent_refused");
        const LedgerIntent *it;
        ck_assert(ledger_core_open_intent(rig->core, 0, &it));
        ck_assert_uint_eq(it->index, intent);
        refused((Put){"guardian", RECORD_ACTION, 1, allow}, "intent_refused");
        refused((Put){"guardian", RECORD_ACTION, 9, intent}, "intent_refused");
        refused((Put){"guardian", RECORD_ACTION, 1, intent, .other_request = true}, "intent_refused");
        refused((Put){"guardian", RECORD_ACTION, 1, intent, .other_digest = true}, "intent_refused");
        rig_ok(rig, (Put){"guardian", RECORD_ACTION, 1, intent});
        refused((Put){"guardian", RECORD_ACTION, 1, intent}, "intent_refused");
        ck_assert(!ledger_core_open_intent(rig->core, 0, &it));
}
END_TEST

/* Also for what was read back from a disk, where no right was checked. */
START_TEST(what_licenses) {
        Record r = {.kind = RECORD_DECISION,
                .has_request_id = true,
                .has_digest = true,
                .verdict_bits = VERDICT_BIT_ALLOW};
        r.meta[META_WRITER] = str_of("governance");
        ck_assert(record_licenses(&r));
        r.meta[META_WRITER] = str_of("immune");
        ck_assert(!record_licenses(&r));
        r.meta[META_WRITER] = str_of("guardian");
        ck_assert(!record_licenses(&r));
        r.meta[META_WRITER] = str_of("governance");
        r.has_digest = false;
        ck_assert(!record_licenses(&r));
        r.has_digest = true;
        r.kind = RECORD_CONFIG;
        ck_assert(!record_licenses(&r));
}
END_TEST

/* Two intents for one decision inside one group: the second is refused although the first is not durable yet.
 */
START_TEST(intent_twice_in_one_group) {
        uint64_t allow =
                rig_ok(rig, (Put){"governance", RECORD_DECISION, 1, RECORD_NO_REF, VERDICT_BIT_ALLOW});
        ck_assert_ptr_null(rig_put(rig, (Put){"guardian", RECORD_INTENT, 1, allow}, NULL, NULL));
        refused((Put){"guardian", RECORD_INTENT, 1, allow}, "intent_refused");
        rig_run(rig);
}
END_TEST

START_TEST(appends_are_idempotent) {
        LedgerAck ack;
        uint64_t a = rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF});
        uint64_t b = rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF});
        ck_assert_uint_eq(b, a + 1);
        rig->seq[3] = 0;
        ck_assert_str_eq(rig_put(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, &ack, NULL), "ok");
        ck_assert_uint_eq(ack.index, a);
        /* a gap, and an epoch that is not its own */
        rig->seq[3] = 3;
        refused((Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, "E.CONFLICT");
        rig->seq[3] = 2;
        rig->epoch[3]++;
        refused((Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, "E.CONFLICT");
        rig->epoch[3]--;
        rig->seq[3] = 2;
        ck_assert_uint_eq(rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}), b + 1);
        /* after a crash and a new attachment under the same epoch */
        rig_close(rig);
        ck_assert_int_eq(rig_open(rig), 0);
        LedgerAttached at;
        ledger_core_attach(rig->core, "mesh", rig->epoch[3], b + 1, NULL, &at);
        ck_assert_str_eq(at.code, "ok");
        ck_assert_uint_eq(at.seq, 3);
        rig->seq[3] = 2;
        ck_assert_str_eq(rig_put(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, &ack, NULL), "ok");
        ck_assert_uint_eq(ack.index, b + 1);
        /* the same append twice while it waits is one record */
        ck_assert_ptr_null(rig_put(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, &ack, NULL));
        rig->seq[3] = 3;
        ck_assert_ptr_null(rig_put(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, &ack, NULL));
        size_t before = rig->n_acks;
        rig_run(rig);
        ck_assert_uint_eq(rig->n_acks, before + 1);
}
END_TEST

START_TEST(rollback_is_told) {
        LedgerAttached at;
        uint32_t own = rig->epoch[0];
        uint64_t d = rig_ok(rig, (Put){"governance", RECORD_DECISION, 1, RECORD_NO_REF, VERDICT_BIT_DENY});
        uint8_t hash[32], other[32] = {0};
        memcpy(hash, rig->acks[rig->n_acks - 1].hash, 32);
        ledger_core_attach(rig->core, "governance", own, d, hash, &at);
        ck_assert_str_eq(at.code, "ok");
        ledger_core_attach(rig->core, "governance", own, d, other, &at);
        ck_assert_str_eq(at.code, "ledger_rollback");
        ledger_core_attach(rig->core, "governance", own, d + 100, hash, &at);
        ck_assert_str_eq(at.code, "ledger_rollback");
        ledger_core_attach(rig->core, "governance", 0, d, hash, &at);
        ck_assert_str_eq(at.code, "ok");
        /* above every writer's: Guardian numbers the instances of all others from there */
        for (int i = 0; i < 4; i++)
                ck_assert_uint_gt(at.epoch, rig->epoch[i]);
        ledger_core_attach(rig->core, "governance", own, d, hash, &at);
        ck_assert_str_eq(at.code, "E.CONFLICT");
        ledger_core_attach(rig->core, "web", 0, 0, NULL, &at);
        ck_assert_str_eq(at.code, "E.FORBIDDEN");
}
END_TEST

START_TEST(mode_and_pause_are_remembered) {
        LedgerAttached at;
        rig_ok(rig, (Put){"guardian", RECORD_CONFIG, 0, RECORD_NO_REF, 0, "mode", NULL, "log_only"});
        rig_ok(rig, (Put){"guardian", RECORD_CONFIG, 0, RECORD_NO_REF, 0, "pause"});
        rig_close(rig);
        ck_assert_int_eq(rig_open(rig), 0);
        ledger_core_attach(rig->core, "guardian", 0, 0, NULL, &at);
        ck_assert_int_eq(at.mode, MODE_LOG_ONLY);
        ck_assert(at.paused);
}
END_TEST

START_TEST(failure_refuses_everybody) {
        ck_assert_ptr_null(rig_put(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, NULL, NULL));
        ck_assert_ptr_null(rig_put(
                rig, (Put){"governance", RECORD_DECISION, 1, RECORD_NO_REF, VERDICT_BIT_ALLOW}, NULL, NULL));
        rig->disk.fail_at = 2; /* the sync */
        rig->disk.fail_errno = -EIO;
        rig_run(rig);
        ck_assert_int_eq(ledger_core_state(rig->core), LEDGER_FAILED);
        ck_assert_uint_eq(rig->n_acks, 2);
        ck_assert_str_eq(rig->acks[0].code, "ledger_failed");
        ck_assert_str_eq(rig->acks[1].code, "ledger_failed");
        refused((Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, "ledger_failed");
        rig->disk.fail_at = 0;
        ck_assert_ptr_null(ledger_core_job(rig->core, rig->now));
}
END_TEST

/* An orderly end keeps what was taken and takes nothing more; nobody is told of a failure. */
START_TEST(stopping_takes_nothing) {
        ck_assert_ptr_null(rig_put(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, NULL, NULL));
        ledger_core_stop(rig->core);
        refused((Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, "E.UNAVAILABLE");
        LedgerAttached at;
        ledger_core_attach(rig->core, "mesh", 0, 0, NULL, &at);
        ck_assert_str_eq(at.code, "E.UNAVAILABLE");
        rig_run(rig);
        ck_assert_int_eq(ledger_core_state(rig->core), LEDGER_STOPPED);
        ck_assert_uint_eq(rig->n_acks, 1);
        ck_assert_str_eq(rig->acks[0].code, "ok");
        LedgerHead h;
        ledger_core_head(rig->core, &h);
        ck_assert_uint_eq(h.signed_size, h.size);
}
END_TEST

static Suite *suite(void) {
        Suite *s = suite_create("ledger-core");
        TCase *t = tcase_create("core");
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, new_log_has_key_record);
        tcase_add_test(t, rights);
        tcase_add_test(t, bodies_are_canonical);
        tcase_add_test(t, intents_need_their_decision);
        tcase_add_test(t, what_licenses);
        tcase_add_test(t, intent_twice_in_one_group);
        tcase_add_test(t, appends_are_idempotent);
        tcase_add_test(t, rollback_is_told);
        tcase_add_test(t, mode_and_pause_are_remembered);
        tcase_add_test(t, failure_refuses_everybody);
        tcase_add_test(t, stopping_takes_nothing);
        suite_add_tcase(s, t);
        return s;
}

int main(void) {
        SRunner *sr = srunner_create(suite());
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed != 0;
}
