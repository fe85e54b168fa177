/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Canonical JSON writer: the only maker of JSON in the tree. No white space; object keys are ASCII and must
 * be added in byte order when `canonical` is set (a wrong order is -EINVAL, sticky); integers within 2^53;
 * escapes as RFC 8785:
 * \" \\ \b \t \n \f \r, \u00xx below 0x20, all else as UTF-8. Invalid UTF-8 in a value is replaced by U+FFFD.
 *
 * The first error sticks; json_finish() returns it, so that a caller checks once.
 */
#include "common/buf.h"
#include "common/str.h"
#include <stdbool.h>
#include <stdint.h>

#define JSON_DEPTH_MAX  32
#define JSON_NUMBER_MAX (INT64_C(1) << 53) /* past it, integers are not exact everywhere: not written */
typedef struct JsonWriter {
        Buf *out; /* not owned */
        int error;
        bool canonical;
        unsigned depth;
        uint32_t first;  /* bit per level: nothing written there yet */
        uint32_t object; /* bit per level: an object */
        bool key_pending;
        char last_key[JSON_DEPTH_MAX][64]; /* for the order check; keys are at most 63 bytes */
} JsonWriter;

void json_init(JsonWriter *w, Buf *out, bool canonical);
void json_object_begin(JsonWriter *w);
void json_object_end(JsonWriter *w);
void json_array_begin(JsonWriter *w);
void json_array_end(JsonWriter *w);
void json_key(JsonWriter *w, const char *key);
void json_str(JsonWriter *w, Str s);
void json_cstr(JsonWriter *w, const char *s); /* NULL writes null */
void json_i64(JsonWriter *w, int64_t v);      /* outside +-2^53: -ERANGE */
void json_u64(JsonWriter *w, uint64_t v);
void json_bool(JsonWriter *w, bool v);
void json_null(JsonWriter *w);
void json_hex(JsonWriter *w, const void *p, size_t n);
void json_time(JsonWriter *w, uint64_t unix_ns);
/* Thousandths as a decimal number ("84.2" from 84200): only for documents shown to people, refused when
 * canonical. */
void json_milli(JsonWriter *w, uint64_t thousandths);
/* Bytes that are already one valid JSON value. */
void json_raw(JsonWriter *w, Str s);
int json_finish(JsonWriter *w); /* the sticky error, or -EINVAL when something is still open */

/* key + value in one call */
void json_kv_str(JsonWriter *w, const char *k, const char *v);
void json_kv_u64(JsonWriter *w, const char *k, uint64_t v);
void json_kv_i64(JsonWriter *w, const char *k, int64_t v);
void json_kv_bool(JsonWriter *w, const char *k, bool v);
void json_kv_null(JsonWriter *w, const char *k);
void json_kv_u64_or_null(JsonWriter *w, const char *k, uint64_t v); /* UINT64_MAX: null */

/*
 * One-pass check of the canonical form, which is what the ledger takes and hashes: strict JSON, no white
 * space, keys ASCII in strictly ascending byte order (so no duplicates), integers within 2^53 only, canonical
 * escapes only, valid UTF-8, depth <= 32. Builds nothing. Returns 0, or -EINVAL with *offset (may be NULL) at
 * the first bad byte and *why (may be NULL) a static text.
 */
int json_check_canonical(Str s, size_t *offset, const char **why);
/* The same pass with the rules of RFC 8259 alone (white space, any number, any order of keys; repeated keys
 * go unnoticed): whether json_raw() may take s. */
int json_check(Str s, size_t *offset, const char **why);
