/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sha256.h"
#include <errno.h>
#include <sodium.h>
#include <unistd.h>

void sha256(const void *p, size_t n, uint8_t ret[32]) {
        crypto_hash_sha256(ret, p, n);
}

int sha256_fd(int fd, uint8_t ret[32]) {
        crypto_hash_sha256_state state;
        uint8_t block[16384];
        off_t at = 0;

        crypto_hash_sha256_init(&state);
        for (;;) {
                ssize_t n = pread(fd, block, sizeof(block), at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                crypto_hash_sha256_update(&state, block, (size_t)n);
                at += n;
        }
        crypto_hash_sha256_final(&state, ret);
        return 0;
}
