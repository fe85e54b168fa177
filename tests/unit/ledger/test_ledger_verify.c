/* SPDX-License-Identifier: Apache-2.0 */
/* What can be done to a log behind the ledger's back, and what the verifier says to it. */
#include "rig.h"
#include "chunks/ledger/verify.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Rig *rig;
static char older_note[NOTE_MAX];

static void attach_all(void) {
        static const char *const writers[] = {"governance", "guardian", "immune", "mesh"};
        for (int i = 0; i < 4; i++)
                rig_attach(rig, writers[i]);
}

/* A governed action, an event; stopped in order, opened, another event, stopped. One segment. */
static void setup(void) {
        rig = calloc(1, sizeof(*rig));
        rig->segment_bytes = 16 * 1024;
        ck_assert_int_eq(rig_open(rig), 0);
        attach_all();
        rig_governed(rig, 3);
        rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF, 0, NULL, "{\"type\":\"a.b\"}"});
        rig_stop(rig);
        memcpy(older_note, rig->disk.note, NOTE_MAX);
        ck_assert_int_eq(rig_open(rig), 0);
        ck_assert_int_eq(rig->report.found, FOUND_GOOD);
        attach_all();
        rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF});
        rig_stop(rig);
}

static void teardown(void) {
        rig_done(rig);
        free(rig);
}

static VerifyResult v;
static int verify(const char *at_least, const NoteKey *pin) {
        LogSource src = vdisk_source(&rig->disk);
        VerifyOptions o = {.pin = pin, .at_least = at_least};
        return ledger_verify(&src, &o, &v);
}

static uint64_t used_bytes(void) {
        VSegment *s = &rig->disk.segments[0];
        uint64_t n = s->bytes;
        while (n > 0 && s->seen[n - 1] == 0)
                n--;
        return (n + 7) & ~UINT64_C(7);
}

START_TEST(good_log) {
        ck_assert_msg(verify(NULL, NULL) == VERIFY_GOOD, "%s", v.reason);
        ck_assert_uint_eq(v.entries, 11);
        ck_assert_uint_eq(v.signed_size, 11);
        ck_assert_uint_eq(v.unsigned_tail, 0);
        ck_assert(!v.key_pinned && !v.has_bad);
        ck_assert_int_eq(verify(older_note, NULL), VERIFY_GOOD);
        Buf b = BUF_INIT(4096);
        ck_assert_int_eq(ledger_verify_json(&v, &b), 0);
        buf_append(&b, "", 1);
        ck_assert_ptr_nonnull(
                strstr((char *)b.data, "{\"valid\":true,\"entries\":11,\"signed_size\":11,\"root\":\""));
        ck_assert_ptr_nonnull(strstr((char *)b.data, "\"key_source\":\"state\""));
        ck_assert_ptr_nonnull(strstr((char *)b.data, "\"first_bad_index\":null"));
        buf_done(&b);
}
END_TEST

START_TEST(pinned_key) {
        NoteKey own, other;
        uint8_t seed[32];
        char name[NOTE_ORIGIN_MAX + 1], text[NOTE_VKEY_MAX];
        uint8_t log_id[16] = {9, 9, 9};
        memset(seed, 7, 32);
        note_key_from_seed(&own, ledger_origin(log_id, name, sizeof(name)), seed);
        memset(seed, 8, 32);
        note_key_from_seed(&other, name, seed);
        ck_assert_int_eq(note_key_parse(str_of(note_key_text(&own, text, sizeof(text))), &own), 0);
        ck_assert_int_eq(verify(NULL, &own), VERIFY_GOOD);
        ck_assert(v.key_pinned);
        ck_assert_int_eq(verify(NULL, &other), VERIFY_BROKEN);
}
END_TEST

START_TEST(bit_flip_at_every_byte) {
        VSegment *s = &rig->disk.segments[0];
        uint64_t used = used_bytes();
        for (uint64_t i = 0; i < s->bytes; i += i < used ? 1 : 61) {
                s->seen[i] ^= (uint8_t)(1 << (i % 8));
                int status = verify(NULL, NULL);
                ck_assert_msg(status == (i < used ? VERIFY_BROKEN : VERIFY_TAIL), "byte %llu: %d %s",
                        (unsigned long long)i, status, v.reason);
                ck_assert(v.has_bad);
                if (i >= used)
                        ck_assert_uint_eq(v.first_bad_index, 11);
                s->seen[i] ^= (uint8_t)(1 << (i % 8));
        }
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_GOOD);
        for (size_t i = 0; rig->disk.note[i]; i++) {
                rig->disk.note[i] ^= 1;
                ck_assert_msg(verify(NULL, NULL) == VERIFY_BROKEN, "note byte %zu", i);
                rig->disk.note[i] ^= 1;
        }
}
END_TEST

START_TEST(truncate_at_every_byte) {
        VSegment *s = &rig->disk.segments[0];
        uint64_t bytes = s->bytes, used = used_bytes();
        for (uint64_t n = 0; n < bytes; n += n < used ? 1 : 97) {
                s->bytes = n;
                ck_assert_msg(verify(NULL, NULL) == VERIFY_BROKEN, "cut at %llu", (unsigned long long)n);
        }
        s->bytes = bytes;
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_GOOD);
}
END_TEST

/* Offsets of the records, and one past the last. */
static size_t frames(uint64_t *at, size_t cap) {
        LogSource src = vdisk_source(&rig->disk);
        LogCursor c;
        Record r;
        const char *why;
        size_t n = 0;
        ck_assert_int_eq(log_cursor_init(&c, &src), 0);
        while (n + 1 < cap && log_cursor_next(&c, &r, NULL, &why) == 0)
                at[n++] = c.frame_offset;
        at[n] = c.offset;
        log_cursor_done(&c);
        return n;
}

START_TEST(delete_swap_duplicate) {
        VSegment *s = &rig->disk.segments[0];
        uint64_t at[32], bytes = s->bytes;
        size_t n = frames(at, 32);
        ck_assert_uint_eq(n, 11);
        uint8_t *keep = malloc(bytes);
        memcpy(keep, s->seen, bytes);
        for (size_t i = 0; i < n; i++) {
                /* without record i */
                memmove(s->seen + at[i], s->seen + at[i + 1], bytes - at[i + 1]);
                ck_assert_int_eq(verify(NULL, NULL), VERIFY_BROKEN);
                memcpy(s->seen, keep, bytes);
                /* record i twice */
                memmove(s->seen + at[i + 1], s->seen + at[i], at[n] - at[i]);
                ck_assert_int_eq(verify(NULL, NULL), VERIFY_BROKEN);
                memcpy(s->seen, keep, bytes);
                if (i + 1 == n)
                        continue;
                /* i and i + 1 in the other order */
                size_t a = at[i + 1] - at[i], b = at[i + 2] - at[i + 1];
                memcpy(s->seen + at[i], keep + at[i + 1], b);
                memcpy(s->seen + at[i] + b, keep + at[i], a);
                ck_assert_int_eq(verify(NULL, NULL), VERIFY_BROKEN);
                memcpy(s->seen, keep, bytes);
                /* everything from i on gone, as if it had never been: only the note knows */
                if (i > 0) {
                        memset(s->seen + at[i], 0, bytes - at[i]);
                        ck_assert_int_eq(verify(NULL, NULL), VERIFY_BROKEN);
                        ck_assert_uint_eq(v.first_bad_index, i);
                        memcpy(s->seen, keep, bytes);
                }
        }
        free(keep);
}
END_TEST

/* An older copy of the whole directory is consistent; only somebody who holds a newer note sees it. */
START_TEST(older_note_replayed) {
        char newer[NOTE_MAX];
        memcpy(newer, rig->disk.note, NOTE_MAX);
        VSegment *s = &rig->disk.segments[0];
        uint64_t at[32];
        frames(at, 32);
        memset(s->seen + at[9], 0, s->bytes - at[9]);
        memcpy(rig->disk.note, older_note, NOTE_MAX);
        ck_assert_msg(verify(NULL, NULL) == VERIFY_GOOD, "%s", v.reason);
        ck_assert_uint_eq(v.entries, 9);
        ck_assert_int_eq(verify(older_note, NULL), VERIFY_GOOD);
        ck_assert_int_eq(verify(newer, NULL), VERIFY_BROKEN);
}
END_TEST

/* Somebody writes a whole new log with a key of his own over it: a pinned key and a kept note both tell. */
START_TEST(resealed_with_another_key) {
        char kept[NOTE_MAX];
        NoteKey own;
        uint8_t seed[32], log_id[16] = {9, 9, 9};
        char name[NOTE_ORIGIN_MAX + 1];
        memset(seed, 7, 32);
        note_key_from_seed(&own, ledger_origin(log_id, name, sizeof(name)), seed);
        memcpy(kept, rig->disk.note, NOTE_MAX);
        rig_done(rig);
        memset(rig, 0, sizeof(*rig));
        rig->seed_byte = 66;
        rig->segment_bytes = 16 * 1024;
        ck_assert_int_eq(rig_open(rig), 0);
        attach_all();
        rig_governed(rig, 3);
        rig_stop(rig);
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_GOOD);
        ck_assert_int_eq(verify(NULL, &own), VERIFY_BROKEN);
        ck_assert_int_eq(verify(kept, NULL), VERIFY_BROKEN);
}
END_TEST

/* Somebody with the key writes an intent that no decision allows: the log is well signed, and still wrong. */
START_TEST(links_are_tested_again) {
        LogSource src = vdisk_source(&rig->disk);
        VSegment *s = &rig->disk.segments[0];
        uint64_t at[32];
        LogCursor c;
        Record r;
        uint8_t leaf[32];
        const char *why;
        size_t n = frames(at, 32);
        ck_assert_int_eq(log_cursor_init(&c, &src), 0);
        for (size_t i = 0; i < n; i++)
                ck_assert_int_eq(log_cursor_next(&c, &r, leaf, &why), 0);
        Record forged = {
                .index = n, .kind = RECORD_INTENT, .epoch = 9, .seq = 1, .ref = 1, .body = STR_LIT("{}")};
        forged.has_request_id = forged.has_digest = true;
        memset(forged.request_id, 3, 16);
        memset(forged.digest, 3, 32);
        memcpy(forged.prev, leaf, 32);
        forged.meta[META_WRITER] = STR_LIT("guardian");
        record_encode(&forged, s->seen + at[n], leaf);
        log_cursor_done(&c);
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_BROKEN);
        ck_assert_ptr_nonnull(strstr(v.reason, "no decision"));
        ck_assert_uint_eq(v.first_bad_index, n);
        /* control: the same place, a kind that needs nothing */
        forged.kind = RECORD_UNIT;
        memset(s->seen + at[n], 0, record_size(&forged));
        record_encode(&forged, s->seen + at[n], leaf);
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_TAIL);
        ck_assert_uint_eq(v.unsigned_tail, 1);
        /* and one whose writer has no right to it */
        forged.meta[META_WRITER] = STR_LIT("mesh");
        memset(s->seen + at[n], 0, record_size(&forged) + 8);
        record_encode(&forged, s->seen + at[n], leaf);
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_BROKEN);
}
END_TEST

START_TEST(no_log_cannot_be_read) {
        VDisk keep = rig->disk;
        memset(&rig->disk, 0, sizeof(rig->disk));
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_UNREADABLE);
        rig->disk = keep;
}
END_TEST

/* Many segments: a good one, one deleted, two swapped, a note far behind. */
START_TEST(many_segments) {
        rig_done(rig);
        memset(rig, 0, sizeof(*rig));
        rig->segment_bytes = 16 * 1024;
        ck_assert_int_eq(rig_open(rig), 0);
        attach_all();
        for (int i = 0; i < 200; i++) {
                rig_ok(rig, (Put){"mesh", RECORD_EVENT, 0, RECORD_NO_REF, 0, NULL,
                                    "{\"a\":\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"}"});
                if (i % 20 == 0)
                        rig_governed(rig, (uint8_t)(i / 20 + 1));
        }
        rig_stop(rig);
        ck_assert_uint_gt(rig->disk.n, 4);
        ck_assert_msg(verify(NULL, NULL) == VERIFY_GOOD, "%s", v.reason);
        VDisk *d = &rig->disk;
        VSegment s = d->segments[1];
        d->segments[1] = d->segments[--d->n];
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_BROKEN);
        d->segments[d->n++] = d->segments[1];
        d->segments[1] = s;
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_GOOD);
        uint8_t *p = d->segments[1].seen;
        d->segments[1].seen = d->segments[2].seen;
        d->segments[2].seen = p;
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_BROKEN);
        d->segments[2].seen = d->segments[1].seen;
        d->segments[1].seen = p;
        /* bytes behind the records of a closed segment */
        p[d->segments[1].bytes - 1] = 1;
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_BROKEN);
        p[d->segments[1].bytes - 1] = 0;
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_GOOD);
        /* the newest segment gone, with and without the note */
        d->n--;
        ck_assert_int_eq(verify(NULL, NULL), VERIFY_BROKEN);
        d->n++;
}
END_TEST

static Suite *suite(void) {
        Suite *s = suite_create("ledger-verify");
        TCase *t = tcase_create("verify");
        tcase_set_timeout(t, 120);
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, good_log);
        tcase_add_test(t, pinned_key);
        tcase_add_test(t, bit_flip_at_every_byte);
        tcase_add_test(t, truncate_at_every_byte);
        tcase_add_test(t, delete_swap_duplicate);
        tcase_add_test(t, older_note_replayed);
        tcase_add_test(t, resealed_with_another_key);
        tcase_add_test(t, links_are_tested_again);
        tcase_add_test(t, no_log_cannot_be_read);
        tcase_add_test(t, many_segments);
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
