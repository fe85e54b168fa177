/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SHA-256 (FIPS 180-4) through libsodium, in the two shapes that the tree needs. */
#include <stddef.h>
#include <stdint.h>

void sha256(const void *p, size_t n, uint8_t ret[32]);
/* Of a whole file, from an open descriptor, position unchanged. Blocks: never on Guardian's loop after boot. 0 or -errno. */
int sha256_fd(int fd, uint8_t ret[32]);
