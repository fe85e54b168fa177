/* SPDX-License-Identifier: Apache-2.0 */
/* What is accepted is written again byte for byte. */
#include "common/roles-blob.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        RolesBlob b;
        if (roles_blob_parse(data, size, &b) == 0) {
                Buf out = BUF_INIT(1 << 20);
                if (roles_blob_write(&b, &out) < 0 || out.len != size || memcmp(out.data, data, size) != 0)
                        abort();
                buf_done(&out);
        }
        roles_blob_done(&b);
        return 0;
}
