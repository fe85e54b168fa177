/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json/json-read.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* jansson's own depth limit is a compile-time 2048: ours is taken before anything is built. */
static bool too_deep(Str t) {
        unsigned depth = 0;
        bool text = false;
        for (size_t i = 0; i < t.n; i++) {
                char c = t.p[i];
                if (text) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                text = false;
                } else if (c == '"') {
                        text = true;
                } else if (c == '{' || c == '[') {
                        if (++depth > JSON_READ_DEPTH_MAX)
                                return true;
                } else if ((c == '}' || c == ']') && depth) {
                        depth--;
                }
        }
        return false;
}

int json_read(Str text, size_t max, json_t **ret, char *why, size_t cap) {
        json_error_t e;
        *ret = NULL;
        if (text.n > (max ? max : JSON_READ_BYTES_MAX)) {
                if (why && cap)
                        snprintf(why, cap, "larger than %zu bytes", max ? max : (size_t)JSON_READ_BYTES_MAX);
                return -EMSGSIZE;
        }
        if (too_deep(text)) {
                if (why && cap)
                        snprintf(why, cap, "nested deeper than %d levels", JSON_READ_DEPTH_MAX);
                return -EINVAL;
        }
        *ret = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
        if (*ret)
                return 0;
        if (why && cap)
                snprintf(why, cap, "line %d column %d: %s", e.line, e.column, e.text);
        return json_error_code(&e) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
}

const char *json_get_str(const json_t *o, const char *key, const char *otherwise) {
        const char *s = json_string_value(json_object_get(o, key));
        return s ? s : otherwise;
}

int64_t json_get_i64(const json_t *o, const char *key, int64_t otherwise) {
        const json_t *v = json_object_get(o, key);
        return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

uint64_t json_get_u64(const json_t *o, const char *key, uint64_t otherwise) {
        const json_t *v = json_object_get(o, key);
        return json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v) : otherwise;
}

double json_get_double(const json_t *o, const char *key, double otherwise) {
        const json_t *v = json_object_get(o, key);
        return json_is_number(v) ? json_number_value(v) : otherwise;
}

bool json_get_bool(const json_t *o, const char *key, bool otherwise) {
        const json_t *v = json_object_get(o, key);
        return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

bool json_get_hex(const json_t *o, const char *key, void *ret, size_t n) {
        const char *s = json_get_str(o, key, NULL);
        return s && strlen(s) == 2 * n && hex_decode(s, 2 * n, ret) == 0;
}

json_t *json_get_path(const json_t *o, const char *path) {
        json_t *at = NULL;
        for (const char *p = path; *p;) {
                size_t n = strcspn(p, ".");
                char key[256];
                if (n == 0 || n >= sizeof(key))
                        return NULL;
                memcpy(key, p, n);
                key[n] = 0;
                uint64_t index;
                if (json_is_array(o))
                        at = parse_u64(key, &index) == 0 ? json_array_get(o, (size_t)index) : NULL;
                else
                        at = json_object_get(o, key);
                if (!at)
                        return NULL;
                o = at;
                p += n;
                if (*p == '.' && !*++p)
                        return NULL;
        }
        return at;
}
