/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Strict JSON reading over jansson: duplicate keys, trailing bytes, depth over 32 and documents over the
 * given size are refused. Include this file, never <jansson.h>: json_null() is the name of our writer's
 * function too. What is hashed or printed is made by common/json-writer.h only.
 */
#include "common/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define json_null jansson_null_unused
#include <jansson.h>
#undef json_null

enum { JSON_READ_DEPTH_MAX = 32, JSON_READ_BYTES_MAX = 1024 * 1024 };

/* Parses one JSON value (any kind) of at most max bytes (0: JSON_READ_BYTES_MAX). 0 and *ret (json_decref()
 * it), -EINVAL with why ("line 1 column 9: duplicate object key"), -EMSGSIZE, -ENOMEM. why may be NULL. */
int json_read(Str text, size_t max, json_t **ret, char *why, size_t cap);

static inline void json_read_freep(json_t **j) {
        json_decref(*j);
}
#define auto_json __attribute__((cleanup(json_read_freep)))

/* Members of an object; an absent member, another type or no object at all gives `otherwise`. */
const char *json_get_str(const json_t *o, const char *key, const char *otherwise);
int64_t json_get_i64(const json_t *o, const char *key, int64_t otherwise);
uint64_t json_get_u64(const json_t *o, const char *key, uint64_t otherwise); /* negative: otherwise */
double json_get_double(const json_t *o, const char *key, double otherwise);  /* integers too */
bool json_get_bool(const json_t *o, const char *key, bool otherwise);
/* Exactly n bytes as 2n hex digits. false when absent or malformed. */
bool json_get_hex(const json_t *o, const char *key, void *ret, size_t n);
/* "a.b.c" from an object downwards (borrowed), or NULL; an array takes a decimal index as segment. */
json_t *json_get_path(const json_t *o, const char *path);
