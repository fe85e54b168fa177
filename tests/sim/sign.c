/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ed25519 is not what is simulated and would take a third of the time: in this program libsodium's signatures
 * are replaced by a keyed hash of the same size. Everything around them (notes, checkpoints, their place in a
 * group) is the real code.
 */
#include "common/sha256.h"
#include <sodium.h>
#include <string.h>

int crypto_sign_seed_keypair(unsigned char *pk, unsigned char *sk, const unsigned char *seed) {
        sha256(seed, 32, pk);
        memcpy(sk, seed, 32);
        memcpy(sk + 32, pk, 32);
        return 0;
}

static void sign(
        const unsigned char *pk, const unsigned char *m, unsigned long long n, unsigned char sig[64]) {
        uint8_t in[64];
        sha256(m, (size_t)n, in);
        memcpy(in + 32, pk, 32);
        sha256(in, sizeof(in), sig);
        memcpy(sig + 32, sig, 32);
}

int crypto_sign_detached(unsigned char *sig, unsigned long long *len, const unsigned char *m,
        unsigned long long n, const unsigned char *sk) {
        sign(sk + 32, m, n, sig);
        if (len)
                *len = 64;
        return 0;
}

int crypto_sign_verify_detached(
        const unsigned char *sig, const unsigned char *m, unsigned long long n, const unsigned char *pk) {
        unsigned char want[64];
        sign(pk, m, n, want);
        return memcmp(want, sig, sizeof(want)) == 0 ? 0 : -1;
}
