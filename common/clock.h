/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The clock seam: the only file that reads a clock. Cores take `now` as an argument; shells ask here.
 * A test sets its own source. CLOCK_BOOTTIME: it counts suspend and never steps (clock_gettime(2)).
 */
#include <stdint.h>

uint64_t clock_boot_us(void); /* CLOCK_BOOTTIME, microseconds */
uint64_t clock_boot_ns(void);
uint64_t clock_wall_ns(void); /* CLOCK_REALTIME, nanoseconds since 1970 */

typedef struct ClockSource {
        uint64_t (*boot_ns)(void *user);
        uint64_t (*wall_ns)(void *user);
        void *user;
} ClockSource;
void clock_set_source(const ClockSource *s); /* NULL: the kernel's; kept by reference. Also honours, at the first
                                                read, GUARDIAN_TEST_WALL_OFFSET_S only in builds with -Dtest_hooks. */
/* The kernel's boot id (/proc/sys/kernel/random/boot_id), or a random one made once per process where it can't be read. */
void clock_boot_id(uint8_t ret[16]);
