/* SPDX-License-Identifier: Apache-2.0 */
/* roles.yaml: what compiles is a blob that Guardian reads, and says the same again. */
#include "common/buf.h"
#include "guardian/compile/roles.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Problems p = {0};
        YamlNode *root = NULL;
        RolesBlob b = {0}, again = {0};
        Buf out = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
        int r = yaml_parse("roles.yaml", (Str){(const char *)data, size}, &p, &root);
        if (r == 0 && root)
                r = roles_from_yaml("roles.yaml", root, "/dev/null", &p, &b);
        if (r == -EINVAL && p.errors == 0)
                abort();
        if (r == 0 && root) {
                if (roles_blob_write(&b, &out) < 0 || roles_blob_parse(out.data, out.len, &again) < 0 ||
                        roles_blob_write(&again, &twice) < 0 || out.len != twice.len ||
                        memcmp(out.data, twice.data, out.len) != 0)
                        abort();
        }
        roles_blob_done(&b);
        roles_blob_done(&again);
        buf_done(&out);
        buf_done(&twice);
        yaml_free(root);
        problems_done(&p);
        return 0;
}
