/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C, reflected polynomial 0x82f63b78: by instruction where the CPU has it, else four bits at a time. */
#include "chunks/ledger/record.h"
#include <string.h>

static uint32_t crc_portable(uint32_t crc, const uint8_t *p, size_t n) {
        static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc,
                0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
        while (n-- > 0) {
                crc ^= *p++;
                crc = crc >> 4 ^ table[crc & 15];
                crc = crc >> 4 ^ table[crc & 15];
        }
        return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p, size_t n) {
        uint64_t c = crc;
        for (; n >= 8; p += 8, n -= 8) {
                uint64_t v;
                memcpy(&v, p, sizeof(v));
                c = __builtin_ia32_crc32di(c, v);
        }
        crc = (uint32_t)c;
        for (; n > 0; p++, n--)
                crc = __builtin_ia32_crc32qi(crc, *p);
        return crc;
}
#endif

uint32_t crc32c(const void *p, size_t n) {
#if defined(__x86_64__)
        if (__builtin_cpu_supports("sse4.2"))
                return ~crc_sse42(~UINT32_C(0), p, n);
#endif
        return ~crc_portable(~UINT32_C(0), p, n);
}
