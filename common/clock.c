/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"
#include "common/cleanup.h"
#include "common/str.h"
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static const ClockSource *source;

static uint64_t read_clock(clockid_t id) {
        struct timespec ts = {0};

        /* Can't fail for these two clocks on any kernel that Guardian runs on. */
        clock_gettime(id, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void clock_set_source(const ClockSource *s) {
        source = s;
}

uint64_t clock_boot_ns(void) {
        return source ? source->boot_ns(source->user) : read_clock(CLOCK_BOOTTIME);
}

uint64_t clock_boot_us(void) {
        return clock_boot_ns() / 1000;
}

#ifdef GUARDIAN_TEST_HOOKS
static int64_t wall_offset_ns(void) {
        static bool asked;
        static int64_t offset;

        if (!asked) {
                const char *s = getenv("GUARDIAN_TEST_WALL_OFFSET_S");

                offset = s ? strtoll(s, NULL, 10) * 1000000000 : 0;
                asked = true;
        }
        return offset;
}
#else
static int64_t wall_offset_ns(void) {
        return 0;
}
#endif

uint64_t clock_wall_ns(void) {
        if (source)
                return source->wall_ns(source->user);
        return read_clock(CLOCK_REALTIME) + (uint64_t)wall_offset_ns();
}

/* "9e1c...-...": 36 characters and a newline. */
static int read_boot_id(uint8_t ret[16]) {
        char text[64], digits[32];
        size_t n_digits = 0;
        auto_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -1;
        n = read(fd, text, sizeof(text));
        for (ssize_t i = 0; i < n && n_digits < sizeof(digits); i++)
                if (text[i] != '-' && text[i] != '\n')
                        digits[n_digits++] = text[i];
        return n_digits == sizeof(digits) ? hex_decode(digits, n_digits, ret) : -1;
}

void clock_boot_id(uint8_t ret[16]) {
        static uint8_t id[16];
        static bool known;

        if (!known) {
                if (read_boot_id(id) < 0 && getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id)) {
                        uint64_t now = read_clock(CLOCK_REALTIME);

                        memcpy(id, &now, sizeof(now));
                }
                known = true;
        }
        memcpy(ret, id, sizeof(id));
}
