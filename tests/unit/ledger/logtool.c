/* SPDX-License-Identifier: Apache-2.0 */
/* What guardianctl does offline with a log, without the rest of it: verify DIR [--pub KEY] [--at-least FILE],
 * export DIR. */
#include "chunks/ledger/record-json.h"
#include "chunks/ledger/verify.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int verify(const LogSource *src, int argc, char **argv) {
        NoteKey pin;
        VerifyOptions o = {0};
        VerifyResult v;
        Buf out = BUF_INIT(65536);
        for (int i = 3; i + 1 < argc; i += 2)
                if (strcmp(argv[i], "--pub") == 0 && note_key_parse(str_of(argv[i + 1]), &pin) == 0)
                        o.pin = &pin;
        int r = ledger_verify(src, &o, &v);
        if (ledger_verify_json(&v, &out) < 0)
                return 3;
        printf("%.*s\n", (int)out.len, (char *)out.data);
        buf_done(&out);
        return r;
}

static int export(const LogSource *src) {
        LogCursor c;
        Record r;
        uint8_t leaf[32];
        const char *why;
        if (log_cursor_init(&c, src) < 0)
                return 3;
        int e;
        while ((e = log_cursor_next(&c, &r, leaf, &why)) == 0) {
                Buf out = BUF_INIT(1024 * 1024);
                if (record_to_json(&r, leaf, record_leaf_bytes(c.frame), &out) < 0)
                        return 3;
                printf("%.*s\n", (int)out.len, (char *)out.data);
                buf_done(&out);
        }
        log_cursor_done(&c);
        return e == RECORD_END ? 0 : 1;
}

int main(int argc, char **argv) {
        LogDir dir;
        LogSource src;
        if (argc < 3 || sodium_init() < 0 || log_dir_open(&dir, &src, argv[2]) < 0)
                return 3;
        int r = strcmp(argv[1], "export") == 0 ? export(&src) : verify(&src, argc, argv);
        log_dir_close(&dir);
        return r;
}
