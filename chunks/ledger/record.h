/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One record of the ledger, as it stands on disk (little endian, 8-byte aligned, zero padded):
 *
 *     0  u32 rlen, without padding     64  u32 writer epoch        144  u8[16] boot id
 *     4  u32 crc32c of bytes 8..rlen   68  u32 meta length         160  u64 boot time, ns
 *     8  u64 index                     72  u64 writer seq          168  meta (TLV)
 *    16  u64 wall time, unix ns        80  u8[16] request id       ...  body (canonical JSON object)
 *    24  u16 kind                      96  u8[32] digest
 *    26  u16 flags                    128  u64 ref, ~0: none
 *    28  u32 place in its group       136  u64 verdict bits
 *    32  u8[32] prev
 *
 * leaf hash = SHA-256(0x00 || bytes 8..rlen), the leaf of RFC 6962; prev is the leaf hash of the record
 * before (zeros for record 0). So each record commits to all before it. `group` counts the records of one
 * group commit from 0: recovery tells by it whether what follows a bad record was ever acknowledged. Meta is
 * u16 tag | u16 length | bytes, tags strictly ascending: there is one encoding of a record only, and
 * record_decode() accepts no other.
 */
#include "common/str.h"
#include "common/vocab.h"
#include <stddef.h>
#include <stdint.h>

enum {
        RECORD_HEADER = 168,
        RECORD_ALIGN = 8,
        RECORD_BODY_MAX = 60 * 1024,
        RECORD_META_MAX = 1024,
        RECORD_MAX = RECORD_HEADER + RECORD_META_MAX + RECORD_BODY_MAX, /* a multiple of RECORD_ALIGN */
};
#define RECORD_NO_REF UINT64_MAX

/* Meta fields; META_SEGMENT (32 bytes) stands in the first record of a segment: SHA-256 of the segment's
 * header. */
typedef enum RecordMeta {
        META_WRITER,
        META_ACTOR,
        META_ACTION,
        META_RESOURCE,
        META_SUBSYSTEM,
        META_CORRELATION_ID,
        META_RESULT,
        META_SEGMENT,
        _META_MAX
} RecordMeta;

typedef struct Record {
        uint64_t index, unix_ns;
        RecordKind kind;
        uint32_t group;
        uint8_t prev[32];
        uint32_t epoch;
        uint64_t seq;
        bool has_request_id, has_digest;
        uint8_t request_id[16], digest[32];
        uint64_t ref, verdict_bits;
        uint8_t boot_id[16];
        uint64_t boot_ns;
        Str meta[_META_MAX]; /* {NULL, 0}: absent */
        Str body;
} Record;

/* Bytes on disk, padding included. */
size_t record_size(const Record *r);
/* Limits of fields: 0, or -EINVAL / -EMSGSIZE with *why a static text. Does not look into the body. */
int record_check(const Record *r, const char **why);
/* Writes record_size(r) bytes and the leaf hash. r must have passed record_check(). */
void record_encode(const Record *r, uint8_t *out, uint8_t leaf[32]);

enum { RECORD_END = 1, RECORD_SHORT = 2 };
/*
 * Reads one record at the front of buf. 0 with *used (padding included), RECORD_END when rlen is 0,
 * RECORD_SHORT when buf ends inside a record that is well formed so far, -EBADMSG with *why a static text.
 * The views of *r point into buf. leaf may be NULL: then nothing is hashed. The crc is always checked.
 */
int record_decode(const uint8_t *buf, size_t n, Record *r, uint8_t leaf[32], size_t *used, const char **why);
/* The bytes that are hashed (after the 0x00) of a record that record_decode() accepted at buf. */
Str record_leaf_bytes(const uint8_t *buf);
/* CRC-32C (Castagnoli), as in RFC 3720 appendix B.4. */
uint32_t crc32c(const void *p, size_t n);

static inline uint16_t le16(const uint8_t *p) {
        return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t le32(const uint8_t *p) {
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t le64(const uint8_t *p) {
        return (uint64_t)le32(p) | (uint64_t)le32(p + 4) << 32;
}
static inline void put_le16(uint8_t *p, uint16_t v) {
        p[0] = (uint8_t)v;
        p[1] = (uint8_t)(v >> 8);
}
static inline void put_le32(uint8_t *p, uint32_t v) {
        put_le16(p, (uint16_t)v);
        put_le16(p + 2, (uint16_t)(v >> 16));
}
static inline void put_le64(uint8_t *p, uint64_t v) {
        put_le32(p, (uint32_t)v);
        put_le32(p + 4, (uint32_t)(v >> 32));
}
