/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/merkle.h"
#include <sodium.h>
#include <string.h>

static void hash_node(const uint8_t left[32], const uint8_t right[32], uint8_t ret[32]) {
        static const uint8_t one = 1;
        crypto_hash_sha256_state st;
        crypto_hash_sha256_init(&st);
        crypto_hash_sha256_update(&st, &one, 1);
        crypto_hash_sha256_update(&st, left, 32);
        crypto_hash_sha256_update(&st, right, 32);
        crypto_hash_sha256_final(&st, ret);
}

void merkle_init(Merkle *m) {
        memset(m, 0, sizeof(*m));
}

void merkle_append(Merkle *m, const uint8_t leaf[32]) {
        uint8_t h[32];
        memcpy(h, leaf, 32);
        unsigned i = 0;
        for (; m->size >> i & 1; i++)
                hash_node(m->node[i], h, h);
        memcpy(m->node[i], h, 32);
        m->size++;
}

void merkle_root(const Merkle *m, uint8_t ret[32]) {
        if (m->size == 0) {
                crypto_hash_sha256(ret, (const unsigned char *)"", 0);
                return;
        }
        unsigned i = (unsigned)__builtin_ctzll(m->size);
        memcpy(ret, m->node[i], 32);
        for (i++; i < 64; i++)
                if (m->size >> i & 1)
                        hash_node(m->node[i], ret, ret);
}
