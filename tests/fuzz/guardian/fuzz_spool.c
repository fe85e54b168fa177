/* SPDX-License-Identifier: Apache-2.0 */
/* A line of the spool. The first byte: bit 0 mends the sum, so that what lies behind it is reached. A line
 * that is read and whose fields fit is written again byte for byte. */
#include "guardian/spool.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(char *line, size_t n) {
        uint8_t hash[32];
        char sum[65];
        if (n < 17 || line[16] != '\t')
                return;
        sha256(line + 17, strlen(line + 17), hash);
        hex_encode(hash, 8, sum);
        memcpy(line, sum, 16);
}

/* Fields that were longer than the record has room for, and numbers in another spelling, are not written
 * alike. */
static bool same_fields(const char *line, const SpoolRecord *r) {
        char number[24];
        const char *names[] = {r->actor, r->action, r->resource, r->result, r->correlation_id};
        const char *p = line;
        snprintf(number, sizeof(number), "%" PRIu64, r->time_ns);
        for (unsigned i = 0; i < LINE_FIELDS - 1; i++) {
                size_t n = strcspn(p, "\t");
                if (i == 1 && strspn(p, "0123456789abcdef") != n)
                        return false;
                if (i == 2 && (strlen(number) != n || memcmp(p, number, n) != 0))
                        return false;
                if (i >= 3 && strlen(names[i - 3]) != n)
                        return false;
                p += n + 1;
        }
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Buf out = BUF_INIT(4 * 1024 * 1024);
        SpoolRecord r;
        if (size < 1 || size > 64 * 1024)
                return 0;
        char *line = calloc(1, size), *copy = calloc(1, size);
        if (!line || !copy)
                abort();
        memcpy(line, data + 1, size - 1);
        line[strcspn(line, "\n")] = 0;
        if (data[0] & 1)
                mend(line, size - 1);
        memcpy(copy, line, size);
        if (parse_line(line, &r) == 0 && same_fields(copy, &r)) {
                if (format_line(&r, &out) < 0 || out.len != strlen(copy) + 1 ||
                        memcmp(out.data, copy, out.len - 1) != 0)
                        abort();
        }
        buf_done(&out);
        free(line);
        free(copy);
        return 0;
}
