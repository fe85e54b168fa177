/* SPDX-License-Identifier: Apache-2.0 */
/* A schema and, behind a newline, a value: compiled or refused with a problem; a check ends. */
#include "chunks/validators/schema.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const uint8_t *cut = size ? memchr(data, '\n', size) : NULL;
        size_t n = cut ? (size_t)(cut - data) : size;
        SchemaIssue issues[SCHEMA_ISSUES_MAX];
        json_t *schema = NULL, *value = NULL;
        JsonSchema *s = NULL;
        Problems p = {0};

        if (json_read((Str){(const char *)data, n}, 4096, &schema, NULL, 0) == 0) {
                if (json_schema_compile(schema, "f.json", &p, &s) == -EINVAL && p.errors == 0)
                        abort();
                if (s && cut &&
                        json_read((Str){(const char *)cut + 1, size - n - 1}, 4096, &value, NULL, 0) == 0 &&
                        json_schema_check(s, value, issues, SCHEMA_ISSUES_MAX) > SCHEMA_ISSUES_MAX)
                        abort();
        }
        json_schema_free(s);
        json_decref(schema);
        json_decref(value);
        problems_done(&p);
        return 0;
}
