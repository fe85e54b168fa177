/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One compiled schema node; shared by schema-compile.c and schema-check.c only. */
#include "chunks/validators/schema.h"

typedef enum SchemaType {
        SCHEMA_NULL = 1,
        SCHEMA_BOOLEAN = 2,
        SCHEMA_INTEGER = 4,
        SCHEMA_NUMBER = 8,
        SCHEMA_STRING = 16,
        SCHEMA_ARRAY = 32,
        SCHEMA_OBJECT = 64,
} SchemaType;
/* Limits, each present when its bit is set. */
typedef enum SchemaLimit {
        LIMIT_MINIMUM,
        LIMIT_MAXIMUM,
        LIMIT_EXCLUSIVE_MINIMUM,
        LIMIT_EXCLUSIVE_MAXIMUM,
        LIMIT_MULTIPLE_OF,
        LIMIT_MIN_LENGTH,
        LIMIT_MAX_LENGTH,
        LIMIT_MIN_ITEMS,
        LIMIT_MAX_ITEMS,
        LIMIT_MIN_PROPERTIES,
        LIMIT_MAX_PROPERTIES,
        _LIMIT_MAX
} SchemaLimit;
extern const char *const schema_limit_names[_LIMIT_MAX];

typedef struct SchemaNode SchemaNode;
typedef struct SchemaList {
        SchemaNode **items;
        size_t n;
} SchemaList;
struct SchemaNode {
        bool never;             /* false: nothing is valid */
        unsigned types, limits; /* bits; types 0: any */
        double limit[_LIMIT_MAX];
        bool unique, has_const;
        json_t *values; /* enum: an array; or NULL */
        json_t *constant;
        json_t *required; /* array of texts, or NULL */
        json_t *names;    /* properties: object name -> index into members */
        SchemaList members, prefix, all_of, any_of, one_of;
        SchemaNode *additional, *items, *negated; /* or NULL */
        char *ref;                                /* "" is the root; NULL: none */
        const SchemaNode *target;
        SchemaNode *next; /* every node of the schema, for the end */
};
struct JsonSchema {
        SchemaNode *root, *nodes;
        size_t n_nodes;
        json_t *def_names; /* NAME -> index into defs */
        SchemaList defs;
};
