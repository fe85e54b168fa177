/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/record.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>

enum { FLAG_REQUEST_ID = 1, FLAG_DIGEST = 2, FLAGS_KNOWN = 3 };
enum {
        AT_LENGTH = 0,
        AT_CRC = 4,
        AT_INDEX = 8,
        AT_UNIX_NS = 16,
        AT_KIND = 24,
        AT_FLAGS = 26,
        AT_GROUP = 28,
        AT_PREV = 32,
        AT_EPOCH = 64,
        AT_META_LENGTH = 68,
        AT_SEQ = 72,
        AT_REQUEST_ID = 80,
        AT_DIGEST = 96,
        AT_REF = 128,
        AT_VERDICT_BITS = 136,
        AT_BOOT_ID = 144,
        AT_BOOT_NS = 160,
};
/* Limits of the wire (common/tags.h), which META_SEGMENT has none of. */
static const uint16_t meta_limit[_META_MAX] = {[META_WRITER] = 128,
        [META_ACTOR] = 160,
        [META_ACTION] = 64,
        [META_RESOURCE] = 160,
        [META_SUBSYSTEM] = 64,
        [META_CORRELATION_ID] = 80,
        [META_RESULT] = 64,
        [META_SEGMENT] = 32};

static size_t meta_size(const Record *r) {
        size_t n = 0;
        for (unsigned i = 0; i < _META_MAX; i++)
                if (r->meta[i].p)
                        n += 4 + r->meta[i].n;
        return n;
}

static size_t pad(size_t n) {
        return (n + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
}

size_t record_size(const Record *r) {
        return pad(RECORD_HEADER + meta_size(r) + r->body.n);
}

int record_check(const Record *r, const char **why) {
        if (r->kind <= RECORD_NONE || r->kind >= _RECORD_MAX)
                return *why = "unknown kind", -EINVAL;
        if (!r->meta[META_WRITER].p || r->meta[META_WRITER].n == 0)
                return *why = "no writer", -EINVAL;
        for (unsigned i = 0; i < _META_MAX; i++) {
                Str s = r->meta[i];
                if (!s.p)
                        continue;
                if (s.n > meta_limit[i])
                        return *why = "a meta field is too long", -EMSGSIZE;
                if (i == META_SEGMENT ? s.n != 32 : !str_utf8_valid(s) || memchr(s.p, 0, s.n))
                        return *why = "a meta field is not valid", -EINVAL;
        }
        if (r->body.n > RECORD_BODY_MAX)
                return *why = "the body is over 60 KiB", -EMSGSIZE;
        return 0;
}

static void hash_leaf(const uint8_t *frame, size_t rlen, uint8_t leaf[32]) {
        crypto_hash_sha256_state st;
        static const uint8_t zero = 0;
        crypto_hash_sha256_init(&st);
        crypto_hash_sha256_update(&st, &zero, 1);
        crypto_hash_sha256_update(&st, frame + AT_INDEX, rlen - AT_INDEX);
        crypto_hash_sha256_final(&st, leaf);
}

void record_encode(const Record *r, uint8_t *out, uint8_t leaf[32]) {
        size_t meta = meta_size(r), rlen = RECORD_HEADER + meta + r->body.n;
        memset(out, 0, RECORD_HEADER);
        put_le32(out + AT_LENGTH, (uint32_t)rlen);
        put_le64(out + AT_INDEX, r->index);
        put_le64(out + AT_UNIX_NS, r->unix_ns);
        put_le16(out + AT_KIND, (uint16_t)r->kind);
        put_le16(out + AT_FLAGS,
                (uint16_t)((r->has_request_id ? FLAG_REQUEST_ID : 0) | (r->has_digest ? FLAG_DIGEST : 0)));
        put_le32(out + AT_GROUP, r->group);
        memcpy(out + AT_PREV, r->prev, 32);
        put_le32(out + AT_EPOCH, r->epoch);
        put_le32(out + AT_META_LENGTH, (uint32_t)meta);
        put_le64(out + AT_SEQ, r->seq);
        if (r->has_request_id)
                memcpy(out + AT_REQUEST_ID, r->request_id, 16);
        if (r->has_digest)
                memcpy(out + AT_DIGEST, r->digest, 32);
        put_le64(out + AT_REF, r->ref);
        put_le64(out + AT_VERDICT_BITS, r->verdict_bits);
        memcpy(out + AT_BOOT_ID, r->boot_id, 16);
        put_le64(out + AT_BOOT_NS, r->boot_ns);
        uint8_t *p = out + RECORD_HEADER;
        for (unsigned i = 0; i < _META_MAX; i++) {
                Str s = r->meta[i];
                if (!s.p)
                        continue;
                put_le16(p, (uint16_t)i);
                put_le16(p + 2, (uint16_t)s.n);
                memcpy(p + 4, s.p, s.n);
                p += 4 + s.n;
        }
        if (r->body.n > 0)
                memcpy(p, r->body.p, r->body.n);
        memset(out + rlen, 0, pad(rlen) - rlen);
        put_le32(out + AT_CRC, crc32c(out + AT_INDEX, rlen - AT_INDEX));
        hash_leaf(out, rlen, leaf);
}

static int decode_meta(const uint8_t *p, size_t n, Record *r) {
        int last = -1;
        while (n > 0) {
                if (n < 4)
                        return -EBADMSG;
                unsigned tag = le16(p), len = le16(p + 2);
                if (tag >= _META_MAX || (int)tag <= last || len > n - 4)
                        return -EBADMSG;
                r->meta[tag] = (Str){(const char *)p + 4, len};
                last = (int)tag;
                p += 4 + len;
                n -= 4 + len;
        }
        return 0;
}

static bool all_zero(const uint8_t *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (p[i] != 0)
                        return false;
        return true;
}

static void decode_header(const uint8_t *buf, Record *r) {
        unsigned flags = le16(buf + AT_FLAGS);
        *r = (Record){.index = le64(buf + AT_INDEX),
                .unix_ns = le64(buf + AT_UNIX_NS),
                .kind = (RecordKind)le16(buf + AT_KIND),
                .group = le32(buf + AT_GROUP),
                .epoch = le32(buf + AT_EPOCH),
                .seq = le64(buf + AT_SEQ),
                .has_request_id = flags & FLAG_REQUEST_ID,
                .has_digest = flags & FLAG_DIGEST,
                .ref = le64(buf + AT_REF),
                .verdict_bits = le64(buf + AT_VERDICT_BITS),
                .boot_ns = le64(buf + AT_BOOT_NS)};
        memcpy(r->prev, buf + AT_PREV, 32);
        memcpy(r->request_id, buf + AT_REQUEST_ID, 16);
        memcpy(r->digest, buf + AT_DIGEST, 32);
        memcpy(r->boot_id, buf + AT_BOOT_ID, 16);
}

int record_decode(const uint8_t *buf, size_t n, Record *r, uint8_t leaf[32], size_t *used, const char **why) {
        if (n < 4)
                return RECORD_SHORT;
        size_t rlen = le32(buf + AT_LENGTH);
        if (rlen == 0)
                return RECORD_END;
        if (rlen < RECORD_HEADER || rlen > RECORD_MAX)
                return *why = "impossible record length", -EBADMSG;
        if (n < pad(rlen))
                return RECORD_SHORT;
        if (le32(buf + AT_CRC) != crc32c(buf + AT_INDEX, rlen - AT_INDEX))
                return *why = "crc does not match", -EBADMSG;
        size_t meta = le32(buf + AT_META_LENGTH);
        if (meta > RECORD_META_MAX || meta > rlen - RECORD_HEADER)
                return *why = "impossible meta length", -EBADMSG;
        decode_header(buf, r);
        if ((le16(buf + AT_FLAGS) & ~FLAGS_KNOWN) != 0 ||
                (!r->has_request_id && !all_zero(r->request_id, 16)) ||
                (!r->has_digest && !all_zero(r->digest, 32)))
                return *why = "flags do not fit", -EBADMSG;
        if (decode_meta(buf + RECORD_HEADER, meta, r) < 0)
                return *why = "meta is malformed", -EBADMSG;
        r->body = (Str){(const char *)buf + RECORD_HEADER + meta, rlen - RECORD_HEADER - meta};
        if (record_check(r, why) < 0)
                return -EBADMSG;
        if (!all_zero(buf + rlen, pad(rlen) - rlen))
                return *why = "padding is not zero", -EBADMSG;
        if (leaf)
                hash_leaf(buf, rlen, leaf);
        *used = pad(rlen);
        return 0;
}

Str record_leaf_bytes(const uint8_t *buf) {
        return (Str){(const char *)buf + AT_INDEX, le32(buf + AT_LENGTH) - AT_INDEX};
}
