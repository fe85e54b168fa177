/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Strict YAML (libyaml) as a small tree of scalars, lists and maps, each with its line and column. Refused
 * with a problem that names the place: duplicate keys, keys that are not scalars, tags, anchors and aliases,
 * a second document, depth over 32, more than 65,536 nodes, files over 1 MiB, text that is not UTF-8.
 *
 * yaml_read_map() reads a map into a struct by a table of fields: an unknown key is an error with the nearest
 * known name as hint, a missing required key and a value of the wrong type or out of range likewise.
 */
#include "common/error.h"
#include "common/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { YAML_TREE_DEPTH_MAX = 32, YAML_TREE_BYTES_MAX = 1024 * 1024, YAML_TREE_NODES_MAX = 65536 };

typedef enum YamlKind { YAML_KIND_SCALAR, YAML_KIND_LIST, YAML_KIND_MAP } YamlKind;
typedef struct YamlNode {
        YamlKind kind;
        bool quoted;           /* scalar in '' or "" or a block: text, whatever it looks like */
        unsigned line, column; /* of the value, 1-based */
        unsigned key_line, key_column;
        char *key;               /* in a map: its key, else NULL */
        char *text;              /* scalar: NUL terminated, without NUL inside */
        struct YamlNode **items; /* list and map: in file order */
        size_t n, cap;
} YamlNode;

/* Parses `text`; `file` is only for problems. 0 and the root (owned: yaml_free()), -EINVAL with at least one
 * error in p, -ENOMEM. An empty document is -EINVAL. */
int yaml_parse(const char *file, Str text, Problems *p, YamlNode **ret);
/* Reads and parses a file: text_file_load(), then yaml_parse(). */
int yaml_load(const char *path, Problems *p, YamlNode **ret);
YamlNode *yaml_tree_free(YamlNode *n); /* NULL is fine; returns NULL */
/* Inline, because libyaml has a function of this name inside, which an exported one of ours would replace. */
static inline YamlNode *yaml_free(YamlNode *n) {
        return yaml_tree_free(n);
}
static inline void yaml_freep(YamlNode **n) {
        yaml_free(*n);
}
#define auto_yaml __attribute__((cleanup(yaml_freep)))

/* Child of a map by key, or NULL (also for NULL and for what is no map). */
const YamlNode *yaml_get(const YamlNode *map, const char *key);
bool yaml_is_null(const YamlNode *n);          /* plain "", "~" or "null" */
const char *yaml_kind_name(const YamlNode *n); /* "a text", "a list", "a map" */
/* An error at the node (at its key with _key). */
void yaml_problem(Problems *p, const char *file, const YamlNode *at, const char *code, const char *hint,
        const char *fmt, ...) __attribute__((format(printf, 6, 7)));
void yaml_problem_key(Problems *p, const char *file, const YamlNode *at, const char *code, const char *hint,
        const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* ---- scalars: 0, or -EINVAL with a problem */
int yaml_str(const char *file, const YamlNode *n, Problems *p, const char **ret); /* owned by the node */
int yaml_bool(const char *file, const YamlNode *n, Problems *p, bool *ret);
int yaml_u64(const char *file, const YamlNode *n, Problems *p, uint64_t min, uint64_t max, uint64_t *ret);
int yaml_i64(const char *file, const YamlNode *n, Problems *p, int64_t *ret);
int yaml_double(const char *file, const YamlNode *n, Problems *p, double *ret); /* finite only */
int yaml_duration_us(const char *file, const YamlNode *n, Problems *p, uint64_t *ret);
int yaml_size(const char *file, const YamlNode *n, Problems *p, uint64_t *ret);

/* ---- maps by table */
typedef struct YamlRead {
        const char *file;
        Problems *problems;
        void *user; /* for custom readers */
} YamlRead;

/* A version that is exactly `want`; else refused, naming both. */
int yaml_version(const YamlRead *r, const YamlNode *n, const char *want);
typedef enum YamlFieldType {
        YAML_FIELD_STR,      /* char[size]; too long is an error */
        YAML_FIELD_BOOL,     /* bool */
        YAML_FIELD_U64,      /* uint64_t within min..max (max 0: no limit) */
        YAML_FIELD_DOUBLE,   /* double */
        YAML_FIELD_DURATION, /* uint64_t, microseconds */
        YAML_FIELD_SIZE,     /* uint64_t, bytes */
        YAML_FIELD_ENUM,     /* int through from_string() (vocab.h) */
        YAML_FIELD_NODE,     /* const YamlNode *, any kind; belongs to the tree */
        YAML_FIELD_CUSTOM,   /* custom(r, node, out + offset): 0, or -EINVAL after a problem */
} YamlFieldType;
typedef struct YamlField {
        const char *key;
        YamlFieldType type;
        size_t offset, size;
        bool required;
        uint64_t min, max;
        int (*from_string)(Str s);
        const char *const *names; /* ENUM: for the hint, NULL terminated; may be NULL */
        int (*custom)(const YamlRead *r, const YamlNode *n, void *out);
} YamlField;
/* Reads what stands there (absent fields of out stay as they are), reports every problem; 0 or -EINVAL. */
int yaml_read_map(
        const YamlRead *r, const YamlNode *map, const YamlField *fields, size_t n_fields, void *out);
/* Calls item(r, node, user) for each element; -EINVAL when it is no list or one of them said so. */
int yaml_read_list(const YamlRead *r, const YamlNode *list,
        int (*item)(const YamlRead *r, const YamlNode *n, void *user), void *user);
