/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/manifest.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Problems problems = {0};
        Manifest m;
        int r = manifest_parse(&m, (const char *)data, size, "manifest", &problems);

        if ((r == 0) != (problems.errors == 0) || (r < 0 && m.entries != NULL))
                abort();
        manifest_done(&m);
        problems_done(&problems);
        return 0;
}
