/* SPDX-License-Identifier: Apache-2.0 */
/* What a unit may send to its NOTIFY_SOCKET. */
#include "supervisor/notify.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NotifyMessage m;

        if (notify_parse((Str){(const char *)data, size}, &m) == 0) {
                if (memchr(m.status, '\0', sizeof(m.status)) == NULL || !str_utf8_valid(str_of(m.status)))
                        abort();
                if (m.has_mainpid && m.mainpid < 2)
                        abort();
                if (strpbrk(m.status, "\n\x1b"))
                        abort();
        }
        return 0;
}
