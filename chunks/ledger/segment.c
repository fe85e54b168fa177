/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/segment.h"
#include "chunks/ledger/record.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t magic[8] = {'G', 'R', 'D', 'L', 'O', 'G', 0, 1};
enum { AT_RESERVED = 152, AT_CRC = 252 };

void segment_header_encode(const SegmentHeader *h, uint8_t out[SEGMENT_HEADER]) {
        memset(out, 0, SEGMENT_HEADER);
        memcpy(out, magic, sizeof(magic));
        put_le32(out + 8, SEGMENT_HEADER);
        memcpy(out + 16, h->log_id, 16);
        put_le64(out + 32, h->number);
        put_le64(out + 40, h->first);
        put_le64(out + 48, h->created_ns);
        memcpy(out + 56, h->boot_id, 16);
        memcpy(out + 72, h->prev, 32);
        memcpy(out + 104, h->root, 32);
        put_le64(out + 136, h->tree_size);
        put_le64(out + 144, h->bytes);
        put_le32(out + AT_CRC, crc32c(out, AT_CRC));
}

int segment_header_decode(const uint8_t *buf, size_t n, SegmentHeader *ret, const char **why) {
        if (n < SEGMENT_HEADER)
                return *why = "the segment ends inside its header", -EBADMSG;
        if (memcmp(buf, magic, sizeof(magic)) != 0)
                return *why = "not a ledger segment", -EBADMSG;
        if (le32(buf + AT_CRC) != crc32c(buf, AT_CRC))
                return *why = "crc of the segment header does not match", -EBADMSG;
        if (le32(buf + 8) != SEGMENT_HEADER || le32(buf + 12) != 0)
                return *why = "unknown form of segment header", -EBADMSG;
        for (size_t i = AT_RESERVED; i < AT_CRC; i++)
                if (buf[i] != 0)
                        return *why = "reserved bytes of the segment header are not zero", -EBADMSG;
        *ret = (SegmentHeader){.number = le64(buf + 32),
                .first = le64(buf + 40),
                .created_ns = le64(buf + 48),
                .tree_size = le64(buf + 136),
                .bytes = le64(buf + 144)};
        memcpy(ret->log_id, buf + 16, 16);
        memcpy(ret->boot_id, buf + 56, 16);
        memcpy(ret->prev, buf + 72, 32);
        memcpy(ret->root, buf + 104, 32);
        if (ret->tree_size != ret->first)
                return *why = "the segment header contradicts itself", -EBADMSG;
        return 0;
}

void segment_name(uint64_t first, char out[SEGMENT_NAME + 1]) {
        snprintf(out, SEGMENT_NAME + 1, "%020llu.seg", (unsigned long long)first);
}

int segment_name_parse(const char *name, uint64_t *first) {
        char digits[21], expect[SEGMENT_NAME + 1];
        if (strlen(name) != SEGMENT_NAME)
                return -EINVAL;
        memcpy(digits, name, 20);
        digits[20] = 0;
        if (parse_u64(digits, first) < 0)
                return -EINVAL;
        segment_name(*first, expect);
        return strcmp(name, expect) == 0 ? 0 : -EINVAL;
}
