/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A view of bytes that somebody else owns, and the few text conversions that the whole tree needs. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Str {
        const char *p; /* not NUL terminated; NULL: absent */
        size_t n;
} Str;

#define STR_LIT(s) ((Str){(s), sizeof(s) - 1})
Str str_of(const char *s); /* NULL gives {NULL, 0} */
bool str_eq(Str a, const char *b);
/* Copies, cuts to cap - 1, always terminates. Returns dst. */
char *str_copy(char *dst, size_t cap, Str s);
/* "k=v" at its first '='; false without one (then *k is all of s). */
bool str_split(Str s, char sep, Str *k, Str *v);
bool str_utf8_valid(Str s);
/* Bytes of the well-formed UTF-8 sequence at the front of s; 0: none there (or s is empty). */
size_t str_utf8_step(Str s);
/* Bytes at the front of s that no terminal should see: a control character (also U+0080 to U+009F), or a byte
 * that is no UTF-8; 0: a character to print (or s is empty). */
size_t str_unprintable(Str s);
/* Puts `with` in place of each such byte. */
void str_clean(char *s, size_t n, char with);

/* Dotted pattern of section 5 of the architecture: '*' is one segment, '**' as the last segment is one or
 * more; "a.*" never matches "a" nor "ab.c". A pattern without wildcard is exact. */
bool pattern_match(const char *pattern, const char *subject);
/* 0, or -EINVAL: empty segment, '*' inside a segment, '**' not last, byte outside [a-z0-9_.*-]. */
int pattern_check(const char *pattern);

/* "500ms", "10s", "2min", "1h", "1d", "1min 30s", a bare number is seconds, "infinity" is UINT64_MAX.
 * Microseconds. -EINVAL on anything else, -ERANGE on overflow. systemd.time(7). */
int parse_duration_us(const char *s, uint64_t *ret);
/* "64M", "1.5G", bytes without suffix, binary units (K M G T), "infinity". -EINVAL, -ERANGE. */
int parse_size(const char *s, uint64_t *ret);
/* yes/no true/false on/off 1/0, case-insensitively. */
int parse_bool(const char *s, bool *ret);
int parse_u64(const char *s, uint64_t *ret);
/* A unit name: [A-Za-z0-9_.@:-]{1,64}, not starting with '.' or '-'. */
bool unit_name_valid(const char *s);

/* RFC 3339 with milliseconds, UTC: "2026-11-21T03:00:00.123Z"; cap >= 32. Returns out. */
char *format_time(uint64_t unix_ns, char *out, size_t cap);
int parse_time(const char *s, uint64_t *unix_ns);
/* "1.9ms", "3.2s", "5min 2s" for people. */
char *format_duration(uint64_t us, char *out, size_t cap);
void hex_encode(const void *p, size_t n, char *out /* 2n + 1 */);
int hex_decode(const char *s, size_t n, void *out /* n / 2 */);
