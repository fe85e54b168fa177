/* SPDX-License-Identifier: Apache-2.0 */
/* First 2 bytes: length of a PUBLISH header, then the header, then the payload. A checked envelope prints as
 * valid JSON. */
#include "common/gme.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Buf out = BUF_INIT(4 * 1024 * 1024);
        GmeIssue issues[64];
        MsgBuilder b;
        JsonWriter w;
        size_t n, errors = 0;
        Msg m;

        if (size < 2)
                return 0;
        n = data[0] | (size_t)data[1] << 8;
        if (n > size - 2 || n > FRAME_HEADER_MAX)
                return 0;
        msg_begin(&b, MSG_PUBLISH);
        memcpy(b.header, data + 2, n);
        b.len = (uint16_t)n;
        if (msg_view(&b, (Str){(const char *)data + 2 + n, size - 2 - n}, &m) < 0)
                return 0;
        gme_fill(&b, 1763694000123000000u);
        if (msg_view(&b, m.payload, &m) < 0)
                return 0;
        n = gme_check(&m, issues, 64);
        for (size_t i = 0; i < n; i++)
                errors += issues[i].error;
        json_init(&w, &out, false);
        gme_to_json(&m, &w);
        if (errors == 0 &&
                (json_finish(&w) < 0 || json_check((Str){(char *)out.data, out.len}, NULL, NULL) < 0))
                abort();
        buf_done(&out);
        return 0;
}
