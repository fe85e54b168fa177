/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json-writer.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t JSON_INT_MAX = JSON_NUMBER_MAX;

void json_init(JsonWriter *w, Buf *out, bool canonical) {
        /* last_key is written before it is read, and half a page of zeroes a document would be wasted */
        w->out = out;
        w->error = 0;
        w->canonical = canonical;
        w->depth = 0;
        w->first = 1;
        w->object = 0;
        w->key_pending = false;
}

static void fail(JsonWriter *w, int error) {
        if (w->error == 0)
                w->error = error;
}

static void put(JsonWriter *w, const void *p, size_t n) {
        int r = w->error ? 0 : buf_append(w->out, p, n);

        if (r < 0)
                fail(w, r);
}

/* Before any value: the comma of an array, and the rule that an object's value has a key. */
static bool value_begin(JsonWriter *w) {
        uint32_t bit = 1u << w->depth;

        if (w->error)
                return false;
        if (w->object & bit) {
                if (!w->key_pending) {
                        fail(w, -EINVAL);
                        return false;
                }
                w->key_pending = false;
                return true;
        }
        if (w->first & bit)
                w->first &= ~bit;
        else if (w->depth == 0) {
                fail(w, -EINVAL); /* a document is one value */
                return false;
        } else
                put(w, ",", 1);
        return true;
}

static void open_level(JsonWriter *w, const char *bracket, bool object) {
        if (!value_begin(w))
                return;
        if (w->depth + 1 >= JSON_DEPTH_MAX) {
                fail(w, -EINVAL);
                return;
        }
        put(w, bracket, 1);
        w->depth++;
        w->first |= 1u << w->depth;
        w->object = object ? w->object | 1u << w->depth : w->object & ~(1u << w->depth);
}

static void close_level(JsonWriter *w, const char *bracket, bool object) {
        uint32_t bit = 1u << w->depth;

        if (w->error)
                return;
        if (w->depth == 0 || !(w->object & bit) == object || w->key_pending) {
                fail(w, -EINVAL);
                return;
        }
        put(w, bracket, 1);
        w->depth--;
}

void json_object_begin(JsonWriter *w) {
        open_level(w, "{", true);
}
void json_object_end(JsonWriter *w) {
        close_level(w, "}", true);
}
void json_array_begin(JsonWriter *w) {
        open_level(w, "[", false);
}
void json_array_end(JsonWriter *w) {
        close_level(w, "]", false);
}

/* What a byte below 0x80 becomes; the length of it, 0: as it is. */
static size_t escape(uint8_t c, char out[7]) {
        static const char named[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";
        const char *at = c ? strchr(named, c) : NULL;

        if (at) {
                out[0] = '\\';
                out[1] = letters[at - named];
                return 2;
        }
        if (c >= 0x20)
                return 0;
        snprintf(out, 7, "\\u%04x", c);
        return 6;
}

static void put_string(JsonWriter *w, Str s) {
        size_t from = 0, at = 0;

        put(w, "\"", 1);
        while (at < s.n && !w->error) {
                uint8_t c = (uint8_t)s.p[at];
                char text[7];
                size_t n = 0, step = 1;

                if (c < 0x80)
                        n = escape(c, text);
                else {
                        step = str_utf8_step((Str){s.p + at, s.n - at});
                        if (step == 0) {
                                memcpy(text, "\xef\xbf\xbd", 3);
                                n = 3;
                                step = 1;
                        }
                }
                if (n > 0) {
                        put(w, s.p + from, at - from);
                        put(w, text, n);
                        from = at + step;
                }
                at += step;
        }
        put(w, s.p + from, at - from);
        put(w, "\"", 1);
}

void json_key(JsonWriter *w, const char *key) {
        uint32_t bit = 1u << w->depth;
        size_t n = strlen(key);

        if (w->error)
                return;
        if (!(w->object & bit) || w->key_pending || n >= sizeof(w->last_key[0])) {
                fail(w, -EINVAL);
                return;
        }
        for (size_t i = 0; i < n; i++)
                if ((uint8_t)key[i] >= 0x80)
                        fail(w, -EINVAL);
        if (w->canonical) {
                if (!(w->first & bit) && strcmp(w->last_key[w->depth], key) >= 0)
                        fail(w, -EINVAL);
                memcpy(w->last_key[w->depth], key, n + 1);
        }
        if (w->first & bit)
                w->first &= ~bit;
        else
                put(w, ",", 1);
        put_string(w, (Str){key, n});
        put(w, ":", 1);
        w->key_pending = true;
}

static void put_value(JsonWriter *w, const char *text) {
        if (value_begin(w))
                put(w, text, strlen(text));
}

void json_str(JsonWriter *w, Str s) {
        if (!s.p)
                json_null(w);
        else if (value_begin(w))
                put_string(w, s);
}

void json_cstr(JsonWriter *w, const char *s) {
        json_str(w, str_of(s));
}

void json_i64(JsonWriter *w, int64_t v) {
        char text[24];

        if (v > JSON_INT_MAX || v < -JSON_INT_MAX) {
                fail(w, -ERANGE);
                return;
        }
        snprintf(text, sizeof(text), "%" PRId64, v);
        put_value(w, text);
}

void json_u64(JsonWriter *w, uint64_t v) {
        json_i64(w, v > (uint64_t)JSON_INT_MAX ? INT64_MAX : (int64_t)v);
}

void json_bool(JsonWriter *w, bool v) {
        put_value(w, v ? "true" : "false");
}

void json_null(JsonWriter *w) {
        put_value(w, "null");
}

void json_hex(JsonWriter *w, const void *p, size_t n) {
        const uint8_t *b = p;

        if (!value_begin(w))
                return;
        put(w, "\"", 1);
        for (size_t i = 0; i < n; i++) {
                char two[3];

                hex_encode(b + i, 1, two);
                put(w, two, 2);
        }
        put(w, "\"", 1);
}

void json_time(JsonWriter *w, uint64_t unix_ns) {
        char text[40];

        json_cstr(w, format_time(unix_ns, text, sizeof(text)));
}

void json_milli(JsonWriter *w, uint64_t thousandths) {
        char text[40];
        size_t n;

        if (w->canonical) {
                fail(w, -EINVAL);
                return;
        }
        n = (size_t)snprintf(
                text, sizeof(text), "%" PRIu64 ".%03" PRIu64, thousandths / 1000, thousandths % 1000);
        while (text[n - 1] == '0' && text[n - 2] != '.')
                text[--n] = 0;
        put_value(w, text);
}

void json_raw(JsonWriter *w, Str s) {
        if (!s.p || s.n == 0)
                fail(w, -EINVAL);
        else if (value_begin(w))
                put(w, s.p, s.n);
}

int json_finish(JsonWriter *w) {
        if (w->depth > 0 || w->first & 1)
                fail(w, -EINVAL);
        return w->error;
}

void json_kv_str(JsonWriter *w, const char *k, const char *v) {
        json_key(w, k);
        json_cstr(w, v);
}
void json_kv_u64(JsonWriter *w, const char *k, uint64_t v) {
        json_key(w, k);
        json_u64(w, v);
}
void json_kv_i64(JsonWriter *w, const char *k, int64_t v) {
        json_key(w, k);
        json_i64(w, v);
}
void json_kv_bool(JsonWriter *w, const char *k, bool v) {
        json_key(w, k);
        json_bool(w, v);
}
void json_kv_null(JsonWriter *w, const char *k) {
        json_key(w, k);
        json_null(w);
}

void json_kv_u64_or_null(JsonWriter *w, const char *k, uint64_t v) {
        if (v == UINT64_MAX)
                json_kv_null(w, k);
        else
                json_kv_u64(w, k, v);
}
