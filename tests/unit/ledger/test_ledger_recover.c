/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts and failing operations at every point; what recovery keeps, cuts off, or refuses to touch. */
#include "rig.h"
#include "chunks/ledger/verify.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static Rig *rig;

static void attach_all(void) {
        static const char *const writers[] = {"governance", "guardian", "immune", "mesh"};
        for (int i = 0; i < 4; i++)
                rig_attach(rig, writers[i]);
}

static void setup(void) {
        rig = calloc(1, sizeof(*rig));
        rig->segment_bytes = 16 * 1024;
        ck_assert_int_eq(rig_open(rig), 0);
        attach_all();
}

static void teardown(void) {
        rig_done(rig);
        free(rig);
}

/* One scripted day; stops early when the disk fails. Fills acks. */
static void script(void) {
        for (int i = 1; i <= 64; i++) {
                uint64_t d, in;
                size_t before = rig->n_acks;
                if (rig_put(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF, 0, NULL, "{\"a\":1}"}, NULL,
                            NULL) ||
                        rig_put(rig, (Put){"immune", RECORD_ANOMALY, 0, RECORD_NO_REF}, NULL, NULL))
                        return;
                rig_run(rig);
                if (rig->n_acks != before + 2 || strcmp(rig->acks[before].code, "ok") != 0)
                        return;
                if (i % 8 != 0)
                        continue;
                if (rig_put(rig,
                            (Put){"governance", RECORD_DECISION, (uint8_t)i, RECORD_NO_REF,
                                    VERDICT_BIT_ALLOW},
                            NULL, NULL))
                        return;
                rig_run(rig);
                d = rig->acks[rig->n_acks - 1].index;
                if (strcmp(rig->acks[rig->n_acks - 1].code, "ok") != 0 ||
                        rig_put(rig, (Put){"guardian", RECORD_INTENT, (uint8_t)i, d}, NULL, NULL))
                        return;
                rig_run(rig);
                in = rig->acks[rig->n_acks - 1].index;
                if (i % 16 == 0 && strcmp(rig->acks[rig->n_acks - 1].code, "ok") == 0) {
                        if (rig_put(rig, (Put){"guardian", RECORD_ACTION, (uint8_t)i, in}, NULL, NULL))
                                return;
                        rig_run(rig);
                }
        }
}

/* Every acknowledged record is there, under its index and hash. */
static void check_acked(void) {
        for (size_t i = 0; i < rig->n_acks; i++) {
                LogCursor c;
                Record r;
                uint8_t leaf[32];
                const char *why;
                if (strcmp(rig->acks[i].code, "ok") != 0)
                        continue;
                ck_assert_int_eq(log_cursor_init(&c, &rig->source), 0);
                ck_assert_int_eq(log_cursor_seek(&c, rig->acks[i].index), 0);
                ck_assert_int_eq(log_cursor_next(&c, &r, leaf, &why), 0);
                ck_assert_mem_eq(leaf, rig->acks[i].hash, 32);
                log_cursor_done(&c);
        }
}

static int verify_now(VerifyResult *v) {
        VerifyOptions o = {0};
        return ledger_verify(&rig->source, &o, v);
}

static unsigned open_intents(void) {
        const LedgerIntent *it;
        unsigned n = 0;
        while (ledger_core_open_intent(rig->core, n, &it))
                n++;
        return n;
}

/* The n-th operation fails, then power is cut with any subset of sectors kept; then life goes on. */
static void crash_at(unsigned n, uint32_t seed, bool half) {
        teardown();
        setup();
        rig->disk.ops = 0;
        rig->disk.fail_at = n;
        rig->disk.half = half;
        rig->disk.fail_errno = n % 2 ? -EIO : -ENOSPC;
        script();
        unsigned reached = rig->disk.ops;
        rig_close(rig);
        vdisk_crash(&rig->disk, seed);
        int e = rig_open(rig);
        ck_assert_msg(e == 0, "op %u seed %u: %d %s", n, seed, e, rig->report.reason);
        check_acked();
        attach_all();
        rig_governed(rig, 250);
        check_acked();
        rig_stop(rig);
        VerifyResult v;
        ck_assert_msg(verify_now(&v) == VERIFY_GOOD, "op %u seed %u: %s", n, seed, v.reason);
        (void)reached;
}

START_TEST(crash_at_every_operation) {
        for (unsigned n = 1; n < 260; n++) {
                crash_at(n, n * 2654435761u, n % 3 == 0);
                crash_at(n, UINT32_MAX, true);
                if (n % 8 == 0)
                        crash_at(n, 0, false);
        }
}
END_TEST

START_TEST(state_survives_rotation) {
        script();
        ck_assert_uint_gt(rig->disk.n, 1);
        unsigned open = open_intents();
        ck_assert_uint_eq(open, 4); /* 8, 24, 40, 56 have no action */
        uint64_t unused =
                rig_ok(rig, (Put){"governance", RECORD_DECISION, 99, RECORD_NO_REF, VERDICT_BIT_ALLOW});
        LedgerAttached a;
        uint64_t g = rig->acks[rig->n_acks - 1].index;
        uint8_t hash[32];
        memcpy(hash, rig->acks[rig->n_acks - 1].hash, 32);
        uint32_t epoch = rig->epoch[0];
        for (int i = 0; i < 200; i++)
                rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF, 0, NULL, "{\"a\":1}"});
        rig_close(rig);
        ck_assert_int_eq(rig_open(rig), 0);
        ck_assert_uint_eq(open_intents(), open);
        ledger_core_attach(rig->core, "governance", epoch, g, hash, &a);
        ck_assert_str_eq(a.code, "ok");
        ck_assert_uint_eq(a.seq, rig->seq[0]);
        rig_attach(rig, "guardian");
        rig_ok(rig, (Put){"guardian", RECORD_INTENT, 99, unused});
        const char *code = rig_put(rig, (Put){"guardian", RECORD_INTENT, 99, unused}, NULL, NULL);
        ck_assert_str_eq(code, "intent_refused");
        const LedgerIntent *it;
        ck_assert(ledger_core_open_intent(rig->core, 0, &it));
        rig_ok(rig, (Put){"guardian", RECORD_ACTION, 8, it->index});
        ck_assert_uint_eq(open_intents(), open);
}
END_TEST

static VSegment *last_segment(void) {
        VSegment *s = &rig->disk.segments[0];
        for (size_t i = 1; i < rig->disk.n; i++)
                if (rig->disk.segments[i].first > s->first)
                        s = &rig->disk.segments[i];
        return s;
}

static uint64_t tail_of(const VSegment *s) {
        uint64_t n = s->bytes;
        while (n > 0 && s->seen[n - 1] == 0)
                n--;
        return n;
}

/* A record cut in half behind the last note: quarantined, told in a recovery record, and life goes on. */
START_TEST(torn_tail) {
        rig_governed(rig, 1);
        rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF});
        LedgerHead h;
        ledger_core_head(rig->core, &h);
        rig_close(rig);
        VSegment *s = last_segment();
        memset(s->seen + tail_of(s) - 40, 0, 40);
        ck_assert_int_eq(rig_open(rig), 0);
        ck_assert_int_eq(rig->report.found, FOUND_TORN);
        ck_assert_uint_eq(rig->report.index, h.size - 1);
        ck_assert_uint_eq(rig->disk.quarantined, 1);
        ck_assert_uint_gt(rig->disk.quarantined_bytes, 100);
        ledger_core_head(rig->core, &h);
        attach_all();
        rig_governed(rig, 2);
        rig_stop(rig);
        VerifyResult v;
        ck_assert_msg(verify_now(&v) == VERIFY_GOOD, "%s", v.reason);
}
END_TEST

static void expect_damaged(const char *reason) {
        ck_assert_int_eq(rig_open(rig), -EUCLEAN);
        ck_assert_int_eq(rig->report.found, FOUND_DAMAGED);
        ck_assert_msg(strstr(rig->report.reason, reason) != NULL, "%s", rig->report.reason);
}

/* What the note covers, and what a later group proves to have been synced, is never taken for a torn tail. */
START_TEST(damage_is_not_a_torn_tail) {
        uint64_t a = rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF});
        VSegment *s = last_segment();
        uint64_t end = tail_of(s);
        rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF});
        rig_close(rig);
        s->seen[end - 10] ^= 1;
        expect_damaged("was written later");
        ck_assert_uint_eq(rig->report.index, a);
        s->seen[end - 10] ^= 1;
        ck_assert_int_eq(rig_open(rig), 0);
        attach_all();
        rig_governed(rig, 1);
        ck_assert_uint_ne(ledger_core_deadline(rig->core), UINT64_MAX);
        rig->now.boot_ns = ledger_core_deadline(rig->core); /* the note file is due */
        rig_run(rig);
        ck_assert(rig->disk.note[0]);
        rig_close(rig);
        end = tail_of(s);
        s->seen[end - 200] ^= 1;
        rig->disk.note[0] = '\n';
        expect_damaged("checkpoint file is not");
        rig->disk.note[0] = 'g';
        ck_assert_int_eq(rig_open(rig), 0);
        ck_assert_int_eq(rig->report.found, FOUND_TORN);
        rig_close(rig);
}
END_TEST

START_TEST(what_the_note_covers_is_damage) {
        rig_governed(rig, 1);
        rig_stop(rig);
        VSegment *s = last_segment();
        uint64_t end = tail_of(s);
        s->seen[end - 10] ^= 1;
        expect_damaged("which the checkpoint file covers");
        s->seen[end - 10] ^= 1;
        memset(s->seen + SEGMENT_HEADER, 0, s->bytes - SEGMENT_HEADER);
        expect_damaged("covers");
}
END_TEST

START_TEST(another_key_is_refused) {
        rig_governed(rig, 1);
        rig_stop(rig);
        rig->seed_byte = 9;
        ck_assert_int_eq(rig_open(rig), -EKEYREJECTED);
        rig->seed_byte = 7;
        ck_assert_int_eq(rig_open(rig), 0);
}
END_TEST

/* No room for a spare: bulk writers are refused, governed actions go on until the segment is full. */
START_TEST(reserve_is_for_governed_actions) {
        rig->disk.fail_errno = -ENOSPC;
        const char *code = NULL;
        int i;
        for (i = 0; i < 200 && !code; i++) {
                uint64_t spare = ledger_core_wants_spare(rig->core, rig->now);
                if (spare) {
                        ledger_core_spare_done(rig->core, -ENOSPC, rig->now);
                        code = rig_put(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, NULL, NULL);
                        break;
                }
                ck_assert_ptr_null(rig_put(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF}, NULL, NULL));
                LedgerJob *job = ledger_core_job(rig->core, rig->now);
                ck_assert_ptr_nonnull(job);
                ledger_core_job_done(rig->core, job, ledger_job_run(&rig->storage, job), rig->now);
        }
        ck_assert_ptr_nonnull(code);
        ck_assert_str_eq(code, "ledger_full");
        ck_assert_str_eq(
                rig_put(rig, (Put){"immune", RECORD_ANOMALY, 0, RECORD_NO_REF}, NULL, NULL), "ledger_full");
        ck_assert_ptr_null(rig_put(
                rig, (Put){"governance", RECORD_DECISION, 1, RECORD_NO_REF, VERDICT_BIT_ALLOW}, NULL, NULL));
        LedgerJob *job = ledger_core_job(rig->core, rig->now);
        ledger_core_job_done(rig->core, job, ledger_job_run(&rig->storage, job), rig->now);
        ck_assert_str_eq(rig->acks[rig->n_acks - 1].code, "ok");
        /* room again: after the pause the spare is asked for, and bulk writers go on */
        rig->now.boot_ns += UINT64_C(11000000000);
        ck_assert_uint_ne(ledger_core_wants_spare(rig->core, rig->now), 0);
        ledger_core_spare_done(rig->core, 0, rig->now);
        rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF});
}
END_TEST

/* immune's quota of bytes: a flood is refused, patience is rewarded. */
START_TEST(immune_has_a_quota) {
        char body[32 * 1024];
        memset(body, 'x', sizeof(body));
        memcpy(body, "{\"a\":\"", 6);
        memcpy(body + sizeof(body) - 3, "\"}", 3);
        rig_done(rig);
        memset(rig, 0, sizeof(*rig));
        ck_assert_int_eq(rig_open(rig), 0);
        attach_all();
        const char *code = NULL;
        int i = 0;
        for (; i < 2000 && !code; i++) {
                code = rig_put(
                        rig, (Put){"immune", RECORD_ANOMALY, 0, RECORD_NO_REF, 0, NULL, body}, NULL, NULL);
                if (i % 8 == 0)
                        rig_run(rig);
        }
        ck_assert_ptr_nonnull(code);
        ck_assert_str_eq(code, "E.RATE_LIMIT");
        rig_run(rig);
        rig_ok(rig, (Put){"governance", RECORD_DECISION, 1, RECORD_NO_REF, VERDICT_BIT_ALLOW});
        rig->now.boot_ns += UINT64_C(5000000000);
        rig_ok(rig, (Put){"immune", RECORD_ANOMALY, 0, RECORD_NO_REF, 0, NULL, body});
}
END_TEST

static Suite *suite(void) {
        Suite *s = suite_create("ledger-recover");
        TCase *t = tcase_create("recover");
        tcase_set_timeout(t, 120);
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, crash_at_every_operation);
        tcase_add_test(t, state_survives_rotation);
        tcase_add_test(t, torn_tail);
        tcase_add_test(t, damage_is_not_a_torn_tail);
        tcase_add_test(t, what_the_note_covers_is_damage);
        tcase_add_test(t, another_key_is_refused);
        tcase_add_test(t, reserve_is_for_governed_actions);
        tcase_add_test(t, immune_has_a_quota);
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
