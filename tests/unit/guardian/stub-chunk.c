/* SPDX-License-Identifier: Apache-2.0 */
/* stub-chunk MODE: a chunk program by hand, on blocking reads, that keeps or breaks one rule of the control
 * pipe. */
#include "common/buf.h"
#include "common/msg.h"
#include "common/sha256.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Buf in = BUF_INIT(1 << 20);
static size_t taken;
static uint32_t sequence;
static uint8_t secret[32];
static uint64_t instance;
static char unit[129];
static const char *mode;

static bool is(const char *name) {
        return strcmp(mode, name) == 0;
}

static void send_it(const MsgBuilder *b) {
        Buf out = BUF_INIT(1 << 20);
        if (msg_encode(b, (Str){NULL, 0}, ++sequence, false, &out) < 0 ||
                write(3, out.data, out.len) != (ssize_t)out.len)
                exit(3);
        buf_done(&out);
}

/* The next message; ends with the control pipe. */
static Msg next(void) {
        for (;;) {
                Msg m;
                size_t used = 0;
                char why[160], text[4096];
                buf_consume(&in, taken);
                taken = 0;
                int r = msg_decode(in.data, in.len, &m, &used, why, sizeof(why));
                if (r == 0) {
                        taken = used;
                        return m;
                }
                ssize_t n = r > 0 ? read(3, text, sizeof(text)) : -1;
                if (n <= 0 || buf_append(&in, text, (size_t)n) < 0)
                        exit(n == 0 ? 0 : 4);
        }
}

static void reply(const uint8_t *nonce) {
        uint8_t text[32 + 32 + 8 + 128 + 32], proof[32];
        size_t n = 64, name = strlen(unit);
        MsgBuilder b;
        memcpy(text, secret, 32);
        memcpy(text + 32, nonce, 32);
        for (unsigned i = 0; i < 8; i++)
                text[n++] = (uint8_t)(instance >> (8 * i));
        memcpy(text + n, unit, name);
        msg_table_hash(text + n + name);
        sha256(text, n + name + 32, proof);
        proof[31] ^= is("wrong-proof");
        msg_begin(&b, MSG_CHALLENGE_REPLY);
        msg_put_bytes(&b, TAG_NONCE, nonce);
        msg_put_bytes(&b, TAG_PROOF, proof);
        if (!is("no-handler"))
                msg_put_cstr(&b, TAG_HANDLER, "stub.work");
        if (is("issue"))
                msg_put_cstr(&b, TAG_ISSUE, "the disk is full");
        send_it(&b);
}

static void foreign(void) {
        MsgBuilder b;
        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_u64(&b, TAG_STATUS, 0);
        msg_put_cstr(&b, TAG_CODE, "ok");
        send_it(&b);
}

int main(int argc, char **argv) {
        static const uint8_t nothing[32];
        MsgBuilder b;
        mode = argc > 1 ? argv[1] : "good";
        if (is("--check"))
                return 0;
        Msg m = next();
        if (m.type != MSG_HELLO)
                return 5;
        memcpy(secret, msg_bytes(&m, TAG_SECRET), sizeof(secret));
        instance = msg_u64(&m, TAG_INSTANCE, 0);
        str_copy(unit, sizeof(unit), msg_str(&m, TAG_UNIT));
        if (is("early"))
                foreign();
        if (is("unasked"))
                reply(nothing);
        msg_begin(&b, MSG_READY);
        send_it(&b);
        for (;;) {
                m = next();
                if (m.type != MSG_CHALLENGE)
                        continue;
                reply(msg_bytes(&m, TAG_NONCE));
                if (is("foreign"))
                        foreign();
        }
}
