/* SPDX-License-Identifier: Apache-2.0 */
#include "common/str.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

Str str_of(const char *s) {
        return (Str){s, s ? strlen(s) : 0};
}

bool str_eq(Str a, const char *b) {
        return a.p && b && strlen(b) == a.n && memcmp(a.p, b, a.n) == 0;
}

char *str_copy(char *dst, size_t cap, Str s) {
        size_t n = s.p ? s.n : 0;

        if (cap == 0)
                return dst;
        if (n > cap - 1)
                n = cap - 1;
        if (n > 0)
                memcpy(dst, s.p, n);
        dst[n] = 0;
        return dst;
}

bool str_split(Str s, char sep, Str *k, Str *v) {
        const char *at = s.p ? memchr(s.p, sep, s.n) : NULL;

        *k = s;
        *v = (Str){0};
        if (!at)
                return false;
        k->n = (size_t)(at - s.p);
        *v = (Str){at + 1, s.n - k->n - 1};
        return true;
}

/* Length of the well-formed sequence at p (Unicode 15, table 3-7), 0 when it is none. */
static size_t utf8_sequence(const uint8_t *p, size_t n) {
        static const struct {
                uint8_t first_lo, first_hi, second_lo, second_hi, len;
        } forms[] = {
                {0xc2, 0xdf, 0x80, 0xbf, 2},
                {0xe0, 0xe0, 0xa0, 0xbf, 3},
                {0xe1, 0xec, 0x80, 0xbf, 3},
                {0xed, 0xed, 0x80, 0x9f, 3},
                {0xee, 0xef, 0x80, 0xbf, 3},
                {0xf0, 0xf0, 0x90, 0xbf, 4},
                {0xf1, 0xf3, 0x80, 0xbf, 4},
                {0xf4, 0xf4, 0x80, 0x8f, 4},
        };

        if (p[0] < 0x80)
                return 1;
        for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
                size_t len = forms[i].len;

                if (p[0] < forms[i].first_lo || p[0] > forms[i].first_hi)
                        continue;
                if (n < len || p[1] < forms[i].second_lo || p[1] > forms[i].second_hi)
                        return 0;
                for (size_t k = 2; k < len; k++)
                        if ((p[k] & 0xc0) != 0x80)
                                return 0;
                return len;
        }
        return 0;
}

size_t str_utf8_step(Str s) {
        return s.n ? utf8_sequence((const uint8_t *)s.p, s.n) : 0;
}

size_t str_unprintable(Str s) {
        size_t step = str_utf8_step(s);
        uint8_t first = s.n ? (uint8_t)s.p[0] : ' ';

        if (step == 0)
                return s.n > 0;
        if (step == 1)
                return first < 0x20 || first == 0x7f;
        return step == 2 && first == 0xc2 && (uint8_t)s.p[1] < 0xa0 ? 2 : 0;
}

void str_clean(char *s, size_t n, char with) {
        for (size_t at = 0; at < n;) {
                Str left = {s + at, n - at};
                size_t bad = str_unprintable(left);

                if (bad)
                        memset(s + at, with, bad);
                at += bad ? bad : str_utf8_step(left);
        }
}

bool str_utf8_valid(Str s) {
        size_t at = 0;

        while (at < s.n) {
                size_t step = utf8_sequence((const uint8_t *)s.p + at, s.n - at);

                if (step == 0)
                        return false;
                at += step;
        }
        return true;
}

bool pattern_match(const char *pattern, const char *subject) {
        for (;;) {
                size_t pn = strcspn(pattern, "."), sn = strcspn(subject, ".");

                if (sn == 0)
                        return false;
                if (pn == 2 && memcmp(pattern, "**", 2) == 0 && !pattern[2])
                        return true;
                if (!(pn == 1 && *pattern == '*') && (pn != sn || memcmp(pattern, subject, pn) != 0))
                        return false;
                if (!pattern[pn] || !subject[sn])
                        return !pattern[pn] && !subject[sn];
                pattern += pn + 1;
                subject += sn + 1;
        }
}

int pattern_check(const char *pattern) {
        for (const char *seg = pattern;; seg++) {
                size_t n = strcspn(seg, "."), stars = 0;

                for (size_t i = 0; i < n; i++) {
                        if (seg[i] == '*')
                                stars++;
                        else if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", seg[i]))
                                return -EINVAL;
                }
                if (n == 0 || (stars > 0 && stars != n) || stars > 2 || (stars == 2 && seg[n]))
                        return -EINVAL;
                seg += n;
                if (!*seg)
                        return 0;
        }
}

/* Decimal with an optional fraction, times `unit`; *end at the first byte after it. -EINVAL, -ERANGE. */
static int parse_scaled(
        const char *s, const char **end, uint64_t *whole, uint64_t *fraction, uint64_t *scale) {
        uint64_t v = 0;

        if (!isdigit((unsigned char)*s))
                return -EINVAL;
        for (; isdigit((unsigned char)*s); s++)
                if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
                        return -ERANGE;
        *whole = v;
        *fraction = 0;
        *scale = 1;
        if (*s == '.') {
                s++;
                if (!isdigit((unsigned char)*s))
                        return -EINVAL;
                for (; isdigit((unsigned char)*s); s++) {
                        if (*scale >= 1000000)
                                continue; /* below a microsecond: no one means it */
                        *fraction = *fraction * 10 + (uint64_t)(*s - '0');
                        *scale *= 10;
                }
        }
        *end = s;
        return 0;
}

static int scale_to(uint64_t whole, uint64_t fraction, uint64_t scale, uint64_t unit, uint64_t *total) {
        uint64_t v, part;

        if (__builtin_mul_overflow(whole, unit, &v) || __builtin_mul_overflow(fraction, unit, &part) ||
                __builtin_add_overflow(v, part / scale, &v) || __builtin_add_overflow(*total, v, total))
                return -ERANGE;
        return 0;
}

static uint64_t duration_unit(const char *s, size_t n) {
        static const struct {
                const char *name;
                uint64_t us;
        } units[] = {
                {"us", 1},
                {"usec", 1},
                {"ms", 1000},
                {"msec", 1000},
                {"", 1000000},
                {"s", 1000000},
                {"sec", 1000000},
                {"second", 1000000},
                {"seconds", 1000000},
                {"m", 60000000},
                {"min", 60000000},
                {"minute", 60000000},
                {"minutes", 60000000},
                {"h", 3600000000},
                {"hr", 3600000000},
                {"hour", 3600000000},
                {"hours", 3600000000},
                {"d", 86400000000},
                {"day", 86400000000},
                {"days", 86400000000},
                {"w", 604800000000},
                {"week", 604800000000},
                {"weeks", 604800000000},
        };

        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
                if (strlen(units[i].name) == n && strncmp(units[i].name, s, n) == 0)
                        return units[i].us;
        return 0;
}

int parse_duration_us(const char *s, uint64_t *ret) {
        uint64_t total = 0;

        if (!s)
                return -EINVAL;
        if (strcmp(s, "infinity") == 0) {
                *ret = UINT64_MAX;
                return 0;
        }
        do {
                uint64_t whole, fraction, scale, unit;
                size_t n = 0;
                int r = parse_scaled(s, &s, &whole, &fraction, &scale);

                if (r < 0)
                        return r;
                while (isalpha((unsigned char)s[n]))
                        n++;
                unit = duration_unit(s, n);
                if (unit == 0)
                        return -EINVAL;
                s += n;
                s += strspn(s, " \t");
                r = scale_to(whole, fraction, scale, unit, &total);
                if (r < 0)
                        return r;
        } while (*s);
        if (total == UINT64_MAX)
                return -ERANGE;
        *ret = total;
        return 0;
}

int parse_size(const char *s, uint64_t *ret) {
        static const char suffixes[] = "KMGTPE";
        uint64_t whole, fraction, scale, unit = 1, total = 0;
        const char *suffix;
        int r;

        if (!s)
                return -EINVAL;
        if (strcmp(s, "infinity") == 0) {
                *ret = UINT64_MAX;
                return 0;
        }
        r = parse_scaled(s, &s, &whole, &fraction, &scale);
        if (r < 0)
                return r;
        suffix = *s ? strchr(suffixes, *s) : NULL;
        if (suffix) {
                unit <<= 10 * (suffix - suffixes + 1);
                s++;
        } else if (*s == 'B')
                s++;
        if (*s || (scale > 1 && unit == 1))
                return -EINVAL;
        r = scale_to(whole, 0, 1, unit, &total);
        /* The fraction is taken of a unit of at most 2^40, exact enough and without overflow. */
        if (r == 0 && fraction)
                r = __builtin_add_overflow(total,
                            unit > (UINT64_C(1) << 40) ? fraction * (unit / scale) : fraction * unit / scale,
                            &total)
                            ? -ERANGE
                            : 0;
        if (r == 0)
                *ret = total;
        return r;
}

int parse_bool(const char *s, bool *ret) {
        static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {
                                                                             "no", "false", "off", "0"};

        for (size_t i = 0; s && i < 4; i++) {
                if (strcasecmp(s, yes[i]) == 0) {
                        *ret = true;
                        return 0;
                }
                if (strcasecmp(s, no[i]) == 0) {
                        *ret = false;
                        return 0;
                }
        }
        return -EINVAL;
}

int parse_u64(const char *s, uint64_t *ret) {
        uint64_t v = 0;

        if (!s || !*s)
                return -EINVAL;
        for (; *s; s++) {
                if (!isdigit((unsigned char)*s))
                        return -EINVAL;
                if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
                        return -ERANGE;
        }
        *ret = v;
        return 0;
}

bool unit_name_valid(const char *s) {
        size_t n = s ? strlen(s) : 0;

        if (n == 0 || n > 64 || *s == '.' || *s == '-')
                return false;
        for (; *s; s++)
                if (!isalnum((unsigned char)*s) && !strchr("_.@:-", *s))
                        return false;
        return true;
}

void hex_encode(const void *p, size_t n, char *out) {
        static const char digits[] = "0123456789abcdef";
        const uint8_t *b = p;

        for (size_t i = 0; i < n; i++) {
                out[2 * i] = digits[b[i] >> 4];
                out[2 * i + 1] = digits[b[i] & 15];
        }
        out[2 * n] = 0;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int hex_decode(const char *s, size_t n, void *out) {
        uint8_t *b = out;

        if (n % 2)
                return -EINVAL;
        for (size_t i = 0; i < n; i += 2) {
                int hi = hex_digit(s[i]), lo = hex_digit(s[i + 1]);

                if (hi < 0 || lo < 0)
                        return -EINVAL;
                b[i / 2] = (uint8_t)(hi << 4 | lo);
        }
        return 0;
}
