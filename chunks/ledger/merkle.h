/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The Merkle tree of RFC 6962 section 2.1, kept as its frontier: the roots of the complete subtrees, at most
 * 64 hashes. */
#include <stdint.h>

typedef struct Merkle {
        uint64_t size;
        uint8_t node[64][32]; /* node[i] is valid when bit i of size is set */
} Merkle;

void merkle_init(Merkle *m);
void merkle_append(Merkle *m, const uint8_t leaf[32]);
void merkle_root(const Merkle *m, uint8_t ret[32]); /* of the empty tree: SHA-256 of nothing */
