/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of kernels: a line is an operation or a refusal with code and text, which goes back as one line of
 * JSON; a publish fits a message or says so. */
#include "chunks/mesh/jsonl.h"
#include "common/json-writer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refuse(const JsonlError *err) {
        MeshAnswer a = {.req = err->req,
                .index = UINT64_MAX,
                .status = 1,
                .code = err->code,
                .message = err->message,
                .field = err->field[0] ? err->field : NULL,
                .retry_after_ms = 5};
        Buf out = BUF_INIT(64 * 1024);
        if (jsonl_answer(&a, &out) < 0 || out.len < 2 ||
                memchr(out.data, '\n', out.len) != out.data + out.len - 1 ||
                json_check((Str){(char *)out.data, out.len - 1}, NULL, NULL) < 0)
                abort();
        buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        JsonlError err;
        JsonlOp op;
        Msg m;
        int r = jsonl_parse((Str){(const char *)data, size}, &op, &err);

        if (r == -EINVAL && (!err.code[0] || !err.message[0]))
                abort();
        if (r == -EINVAL)
                refuse(&err);
        if (r == 0) {
                if (op.kind == JSONL_PUBLISH) {
                        msg_put_u64(&op.publish, TAG_REQ, op.req);
                        if (msg_view(&op.publish, str_of(op.payload), &m) == 0 && msg_has(&m, TAG_SOURCE))
                                abort();
                }
                jsonl_op_done(&op);
        }
        return 0;
}
