/* SPDX-License-Identifier: Apache-2.0 */
/* events.yaml and validation.yaml: loaded or refused with a problem. */
#include "chunks/validators/validate.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Str text = {(const char *)data, size};
        Validation v = {0};
        Problems p = {0};

        if (event_types_parse("events.yaml", text, &p, &v.types) == -EINVAL && p.errors == 0)
                abort();
        for (size_t i = 0; i < v.types.n_exact; i++)
                if (event_types_find(&v.types, v.types.items[i].type) != &v.types.items[i])
                        abort();
        problems_done(&p);
        p = (Problems){0};
        if (validation_parse(&v, "validation.yaml", text, &p) == -EINVAL && p.errors == 0)
                abort();
        validation_done(&v);
        problems_done(&p);
        return 0;
}
