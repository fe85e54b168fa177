/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A segment is a file of fixed size: a header of 256 bytes, records, zeros. It is complete (zeroed, headed,
 * synced) before it gets its name, "<first index, 20 digits>.seg", so a segment is never shorter than its
 * header says. The header's SHA-256 stands in the meta of the segment's first record (META_SEGMENT); except
 * in segment 0 that record is a checkpoint whose body carries the frontier of the tree and the ledger's
 * state, so that recovery needs the newest segments only.
 *
 *    0 "GRDLOG\0\1"     8 u32 256          12 u32 flags, 0     16 u8[16] log id    32 u64 number    40 u64
 * first index 48 u64 created, ns 56 u8[16] boot id   72 u8[32] leaf hash of the record before 104 u8[32] root
 * and 136 u64 size of the tree before        144 u64 bytes of the file   152 zeros   252 u32 crc32c
 */
#include "common/str.h"
#include <stddef.h>
#include <stdint.h>

enum {
        SEGMENT_HEADER = 256,
        SEGMENT_SIZE_MIN = 1024 * 1024,
        SEGMENT_SIZE_MAX = 64 * 1024 * 1024,
        SEGMENT_NAME = 20 + 4, /* characters of a name */
};
typedef struct SegmentHeader {
        uint8_t log_id[16];
        uint64_t number, first, created_ns;
        uint8_t boot_id[16];
        uint8_t prev[32]; /* leaf hash of record first - 1; zeros for 0 */
        uint8_t root[32];
        uint64_t tree_size; /* == first */
        uint64_t bytes;
} SegmentHeader;

void segment_header_encode(const SegmentHeader *h, uint8_t out[SEGMENT_HEADER]);
/* 0, or -EBADMSG with *why a static text. */
int segment_header_decode(const uint8_t *buf, size_t n, SegmentHeader *ret, const char **why);
void segment_name(uint64_t first, char out[SEGMENT_NAME + 1]);
int segment_name_parse(const char *name, uint64_t *first); /* -EINVAL */
