/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the corpus: make_seeds DIR. A log of all kinds on the virtual disk of the unit tests; run by hand
 * when the format changes. */
#include "tests/unit/ledger/rig.h"
#include <check.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int put(const char *dir, const char *name, int flags, const void *p, size_t n) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        FILE *f = fopen(path, "wb");
        if (!f)
                return 1;
        if (flags >= 0)
                fputc(flags, f);
        fwrite(p, 1, n, f);
        return fclose(f) != 0;
}

static const char *dir;

START_TEST(make) {
        Rig *r = calloc(1, sizeof(*r));
        r->segment_bytes = 16 * 1024;
        ck_assert_int_eq(rig_open(r), 0);
        static const char *const writers[] = {"governance", "guardian", "immune", "mesh"};
        for (int i = 0; i < 4; i++)
                rig_attach(r, writers[i]);
        rig_governed(r, 1);
        rig_ok(r, (Put){"immune", RECORD_ANOMALY, 0, RECORD_NO_REF, 0, NULL, "{\"a\":[1,\"x\"]}"});
        rig_ok(r, (Put){"guardian", RECORD_CONFIG, 0, RECORD_NO_REF, 0, "mode", NULL, "enforce"});
        rig_stop(r);
        const VSegment *s = &r->disk.segments[0];
        size_t n = s->bytes;
        while (n > 0 && s->seen[n - 1] == 0)
                n--;
        char other[64];
        int bad = 0;
        for (int flags = 0; flags < 4; flags += flags ? 2 : 1) {
                snprintf(other, sizeof(other), "segment/whole-%d", flags);
                bad |= put(dir, other, flags, s->seen, n);
                snprintf(other, sizeof(other), "segment/torn-%d", flags);
                bad |= put(dir, other, flags, s->seen, n - 100);
        }
        bad |= put(dir, "segment/header", 0, s->seen, SEGMENT_HEADER);
        bad |= put(dir, "note/note", -1, r->disk.note, strlen(r->disk.note));
        char vkey[NOTE_VKEY_MAX];
        NoteKey k;
        uint8_t seed[32] = {1};
        note_key_from_seed(&k, "example.com/log", seed);
        note_key_text(&k, vkey, sizeof(vkey));
        bad |= put(dir, "note/key", -1, vkey, strlen(vkey));
        rig_done(r);
        free(r);
        ck_assert(!bad);
}
END_TEST

/* As a test, because the rig asserts. */
int main(int argc, char **argv) {
        if (argc != 2 || sodium_init() < 0)
                return 64;
        dir = argv[1];
        Suite *s = suite_create("seeds");
        TCase *t = tcase_create("seeds");
        tcase_add_test(t, make);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_run_all(sr, CK_NORMAL);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed != 0;
}
