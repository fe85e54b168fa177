/* SPDX-License-Identifier: Apache-2.0 */
/* What passes the canonical check is JSON by the wider rules too, has no white space, and no prefix of a
 * container passes. */
#include "common/json-writer.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Str s = {(const char *)data, size};
        const char *why = NULL;
        size_t at = 0;
        int canonical = json_check_canonical(s, &at, &why), any = json_check(s, NULL, NULL);

        if (canonical < 0 && (!why || at > size))
                abort();
        if (canonical == 0 && any < 0)
                abort();
        if (canonical == 0 && (data[0] == '{' || data[0] == '['))
                if (json_check((Str){s.p, s.n - 1}, NULL, NULL) == 0)
                        abort();
        return 0;
}
