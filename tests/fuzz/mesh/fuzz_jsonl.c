/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of kernels: a line is an operation or a refusal with code and text; a publish fits a message or says
 * so. */
#include "chunks/mesh/jsonl.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        JsonlError err;
        JsonlOp op;
        Msg m;
        int r = jsonl_parse((Str){(const char *)data, size}, &op, &err);

        if (r == -EINVAL && (!err.code[0] || !err.message[0]))
                abort();
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
