/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * JSON Schema 2020-12, the core subset that policies need, compiled: type enum const required properties
 * additionalProperties minProperties maxProperties items prefixItems minItems maxItems uniqueItems minimum
 * maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength allOf anyOf oneOf not, $ref to "#"
 * and "#/$defs/NAME", and the annotations $schema $id $comment title description default examples deprecated.
 * Everything else (pattern, format, if, remote references, a misspelt keyword) is a load error: a schema
 * never checks less than it says.
 */
#include "common/error.h"
#include "common/json/json-read.h"

enum { SCHEMA_NODES_MAX = 4096, SCHEMA_DEPTH_MAX = 64, SCHEMA_ISSUES_MAX = 16, SCHEMA_UNIQUE_MAX = 1024 };
typedef struct JsonSchema JsonSchema;
typedef struct SchemaIssue {
        char path[160]; /* "/items/0/name", "" the value itself */
        char keyword[24];
        char message[160];
} SchemaIssue;

/* 0 and *ret (owned); -EINVAL after problems (the place is a pointer in the message: JSON has no columns
 * here), -ENOMEM. */
int json_schema_compile(const json_t *document, const char *file, Problems *p, JsonSchema **ret);
/* Reads a file. As json_schema_compile(), and -errno of reading it. */
int json_schema_load(const char *path, Problems *p, JsonSchema **ret);
JsonSchema *json_schema_free(JsonSchema *s); /* NULL is fine; returns NULL */
/* Number of issues written, at most cap; 0: valid. */
size_t json_schema_check(const JsonSchema *s, const json_t *value, SchemaIssue *out, size_t cap);
