/* SPDX-License-Identifier: Apache-2.0 */
/* Frames and their TLV headers: what decodes must be readable by every accessor and encode back to the same
 * bytes. */
#include "common/buf.h"
#include "common/json-writer.h"
#include "common/msg.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const Msg *m) {
        Buf out = BUF_INIT(1024 * 1024);
        JsonWriter w;

        for (unsigned t = 0; t < _TAG_MAX; t++) {
                size_t pos = 0;
                Str v;

                while (msg_next_str(m, (Tag)t, &pos, &v))
                        if (v.p < m->header.p || v.p + v.n > m->header.p + m->header.n)
                                abort();
                (void)msg_u64(m, (Tag)t, 0);
                (void)msg_bool(m, (Tag)t, false);
                (void)msg_bytes(m, (Tag)t);
                (void)msg_arg(m, (Tag)t, "k");
        }
        json_init(&w, &out, true);
        msg_to_json(m, &w);
        if (json_finish(&w) == 0 && json_check_canonical((Str){(char *)out.data, out.len}, NULL, NULL) < 0)
                abort();
        buf_done(&out);
}

static void round_trip(const Msg *m, const uint8_t *frame, size_t n) {
        Buf out = BUF_INIT(FRAME_MAX + 4);
        MsgBuilder b;

        msg_begin(&b, m->type);
        memcpy(b.header, m->header.p, m->header.n);
        b.len = (uint16_t)m->header.n;
        b.lane = m->lane;
        if (msg_encode(&b, m->payload, m->sequence, m->flags & FRAME_FLAG_FD, &out) < 0 || out.len != n ||
                memcmp(out.data, frame, n) != 0)
                abort();
        buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t at = 0;

        while (at < size) {
                char why[160];
                size_t used;
                Msg m;

                if (msg_decode(data + at, size - at, &m, &used, why, sizeof(why)) != 0)
                        break;
                if (used > size - at)
                        abort();
                read_all(&m);
                round_trip(&m, data + at, used);
                at += used;
        }
        return 0;
}
