/* SPDX-License-Identifier: Apache-2.0 */
/* The conversions of str.h that speak of points in time and lengths of it. */
#include "common/str.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

char *format_time(uint64_t unix_ns, char *out, size_t cap) {
        time_t seconds = (time_t)(unix_ns / 1000000000u);
        struct tm tm = {0};

        gmtime_r(&seconds, &tm);
        snprintf(out, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900, tm.tm_mon + 1,
                tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(unix_ns / 1000000u % 1000u));
        return out;
}

/* Exactly n digits within [lo, hi]. */
static int take_digits(const char **s, unsigned n, int lo, int hi, int *ret) {
        int v = 0;

        for (unsigned i = 0; i < n; i++, (*s)++) {
                if (!isdigit((unsigned char)**s))
                        return -EINVAL;
                v = v * 10 + (**s - '0');
        }
        if (v < lo || v > hi)
                return -EINVAL;
        *ret = v;
        return 0;
}

static int take_char(const char **s, const char *accepted) {
        if (!**s || !strchr(accepted, **s))
                return -EINVAL;
        (*s)++;
        return 0;
}

static int take_fraction(const char **s, uint64_t *ns) {
        uint64_t unit = 100000000;

        *ns = 0;
        if (**s != '.')
                return 0;
        (*s)++;
        if (!isdigit((unsigned char)**s))
                return -EINVAL;
        for (; isdigit((unsigned char)**s); (*s)++, unit /= 10)
                *ns += (uint64_t)(**s - '0') * unit;
        return 0;
}

static int take_zone(const char **s, int *seconds) {
        int hours, minutes, sign;

        *seconds = 0;
        if (take_char(s, "Zz") == 0)
                return 0;
        sign = **s == '-' ? -1 : 1;
        if (take_char(s, "+-") < 0 || take_digits(s, 2, 0, 23, &hours) < 0 || take_char(s, ":") < 0 ||
                take_digits(s, 2, 0, 59, &minutes) < 0)
                return -EINVAL;
        *seconds = sign * (hours * 3600 + minutes * 60);
        return 0;
}

int parse_time(const char *s, uint64_t *unix_ns) {
        struct tm tm = {0}, back;
        uint64_t ns;
        int zone;
        time_t t;

        if (!s || take_digits(&s, 4, 1970, 9999, &tm.tm_year) < 0 || take_char(&s, "-") < 0 ||
                take_digits(&s, 2, 1, 12, &tm.tm_mon) < 0 || take_char(&s, "-") < 0 ||
                take_digits(&s, 2, 1, 31, &tm.tm_mday) < 0 || take_char(&s, "Tt ") < 0 ||
                take_digits(&s, 2, 0, 23, &tm.tm_hour) < 0 || take_char(&s, ":") < 0 ||
                take_digits(&s, 2, 0, 59, &tm.tm_min) < 0 || take_char(&s, ":") < 0 ||
                take_digits(&s, 2, 0, 59, &tm.tm_sec) < 0 || take_fraction(&s, &ns) < 0 ||
                take_zone(&s, &zone) < 0 || *s)
                return -EINVAL;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        back = tm;
        t = timegm(&back);
        if (back.tm_mday != tm.tm_mday) /* 30 February */
                return -EINVAL;
        t -= zone;
        if (t < 0 || (uint64_t)t > UINT64_MAX / 1000000000u - 1)
                return -ERANGE;
        *unix_ns = (uint64_t)t * 1000000000u + ns;
        return 0;
}

char *format_duration(uint64_t us, char *out, size_t cap) {
        uint64_t s = us / 1000000;

        if (us == UINT64_MAX)
                snprintf(out, cap, "infinity");
        else if (us < 1000)
                snprintf(out, cap, "%" PRIu64 "us", us);
        else if (us < 1000000)
                snprintf(out, cap, "%" PRIu64 ".%" PRIu64 "ms", us / 1000, us / 100 % 10);
        else if (s < 60)
                snprintf(out, cap, "%" PRIu64 ".%" PRIu64 "s", s, us / 100000 % 10);
        else if (s < 3600)
                snprintf(out, cap, "%" PRIu64 "min %" PRIu64 "s", s / 60, s % 60);
        else if (s < 86400)
                snprintf(out, cap, "%" PRIu64 "h %" PRIu64 "min", s / 3600, s / 60 % 60);
        else
                snprintf(out, cap, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
        return out;
}
