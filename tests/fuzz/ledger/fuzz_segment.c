/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment file of any content through reader, verifier, query and recovery. Byte 0 of the input: bit 0
 * mends every crc first, so that what lies behind the crc is reached; bit 1 mends the chain too. The rest is
 * the file, zero padded to its stated size.
 */
#include "chunks/ledger/ledger-core.h"
#include "chunks/ledger/query.h"
#include "chunks/ledger/record-json.h"
#include "chunks/ledger/verify.h"
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 64 * 1024 };
typedef struct File {
        uint8_t *p;
        size_t n;
} File;

static int f_list(void *user, LogSegment **ret, size_t *n) {
        File *f = user;
        *ret = calloc(1, sizeof(**ret));
        if (!*ret)
                abort();
        **ret = (LogSegment){0, f->n};
        *n = 1;
        return 0;
}

static int64_t f_read(void *user, uint64_t first, uint64_t offset, void *p, size_t n) {
        File *f = user;
        (void)first;
        if (offset >= f->n)
                return 0;
        if (n > f->n - offset)
                n = (size_t)(f->n - offset);
        memcpy(p, f->p + offset, n);
        return (int64_t)n;
}

static int64_t f_note(void *user, char *out, size_t cap) {
        (void)user;
        (void)out;
        (void)cap;
        return 0;
}

static int s_quarantine(void *user, uint64_t first, uint64_t offset, uint64_t n) {
        File *f = user;
        (void)first;
        if (offset > f->n || n > f->n - offset)
                abort(); /* recovery may only cut off what is there */
        memset(f->p + offset, 0, n);
        return 0;
}

static void mend(File *f, bool chain) {
        uint8_t prev[32] = {0};
        put_le32(f->p + 252, crc32c(f->p, 252));
        for (size_t at = SEGMENT_HEADER; at + RECORD_HEADER <= f->n;) {
                uint8_t *p = f->p + at;
                size_t rlen = le32(p), used;
                Record r;
                uint8_t leaf[32];
                const char *why;
                if (rlen < RECORD_HEADER || rlen > f->n - at)
                        return;
                if (chain)
                        memcpy(p + 32, prev, 32);
                put_le32(p + 4, crc32c(p + 8, rlen - 8));
                if (record_decode(p, f->n - at, &r, leaf, &used, &why) != 0)
                        return;
                memcpy(prev, leaf, 32);
                at += used;
        }
}

static void on_ack(void *user, uint64_t waiter, const char *code, const LedgerAck *ack) {
        (void)user;
        (void)waiter;
        (void)code;
        (void)ack;
}

static void lines(const LogSource *src) {
        LogPage page = {.end = UINT64_MAX, .filter = {.until_ns = UINT64_MAX}};
        Buf out = BUF_INIT(1024 * 1024);
        if (log_page_read(src, &page) < 0)
                return;
        for (size_t at = 0; at < page.frames.len;) {
                Record r;
                uint8_t leaf[32];
                size_t used;
                const char *why;
                if (record_decode(page.frames.data + at, page.frames.len - at, &r, leaf, &used, &why) != 0)
                        abort(); /* a page holds good frames only */
                out.len = 0;
                (void)record_to_json(&r, leaf, record_leaf_bytes(page.frames.data + at), &out);
                at += used;
        }
        buf_done(&out);
        buf_done(&page.frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 1 || size > FILE_MAX || sodium_init() < 0)
                return 0;
        File f = {calloc(1, FILE_MAX), size - 1};
        if (!f.p)
                abort();
        memcpy(f.p, data + 1, size - 1);
        if (f.n >= SEGMENT_HEADER && le64(f.p + 144) <= FILE_MAX && le64(f.p + 144) > f.n)
                f.n = (size_t)le64(f.p + 144);
        if ((data[0] & 1) && f.n >= SEGMENT_HEADER)
                mend(&f, data[0] & 2);
        LogSource src = {&f, f_list, f_read, f_note};
        VerifyOptions o = {0};
        VerifyResult v;
        (void)ledger_verify(&src, &o, &v);
        lines(&src);
        LedgerStorage storage = {.user = &f, .quarantine = s_quarantine};
        LedgerConfig config = {0};
        LedgerOps ops = {on_ack, NULL};
        LedgerRecovery report;
        LedgerCore *core = NULL;
        memset(config.seed, 7, 32);
        if (ledger_core_open(&src, &storage, &config, &ops, (LedgerNow){1, 1}, &core, &report) == 0)
                ledger_core_free(core);
        free(f.p);
        return 0;
}
