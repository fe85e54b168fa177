/* SPDX-License-Identifier: Apache-2.0 */
#include "common/yaml/yaml-tree.h"
#include "common/cleanup.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "key 'x' " or "" for messages about a value. */
static const char *named(const YamlNode *n, char *out, size_t cap) {
        if (!n->key)
                return str_copy(out, cap, STR_LIT("this "));
        size_t len = strnlen(n->key, 64);
        str_copy(out, cap, STR_LIT("'"));
        str_copy(out + 1, cap - 1, (Str){n->key, len});
        str_copy(out + 1 + len, cap - 1 - len, STR_LIT("' "));
        return out;
}

/* What is right but for its quotes is said so. */
static const char *quotes_hint(const char *what) {
        return strcmp(what, "a text") == 0 ? NULL : "without quotes: in quotes it is a text";
}

static int wrong(const char *file, const YamlNode *n, Problems *p, const char *what) {
        char name[80];
        if (yaml_is_null(n))
                yaml_problem(p, file, n, "bad-value", NULL, "%smust be %s, nothing stands here",
                        named(n, name, sizeof(name)), what);
        else if (n->kind == YAML_KIND_SCALAR)
                yaml_problem(p, file, n, "bad-value", n->quoted ? quotes_hint(what) : NULL,
                        "%smust be %s, is '%.60s'", named(n, name, sizeof(name)), what, n->text);
        else
                yaml_problem(p, file, n, "bad-value", NULL, "%smust be %s, is %s",
                        named(n, name, sizeof(name)), what, yaml_kind_name(n));
        return -EINVAL;
}

int yaml_str(const char *file, const YamlNode *n, Problems *p, const char **ret) {
        if (n->kind != YAML_KIND_SCALAR || yaml_is_null(n))
                return wrong(file, n, p, "a text");
        *ret = n->text;
        return 0;
}

/* A number or a boolean in quotes is a text: what is meant must be visible. */
static bool plain(const YamlNode *n) {
        return n->kind == YAML_KIND_SCALAR && !n->quoted && *n->text;
}

int yaml_bool(const char *file, const YamlNode *n, Problems *p, bool *ret) {
        if (!plain(n) || parse_bool(n->text, ret) < 0)
                return wrong(file, n, p, "yes or no");
        return 0;
}

int yaml_u64(const char *file, const YamlNode *n, Problems *p, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t v;
        if (!plain(n) || parse_u64(n->text, &v) < 0)
                return wrong(file, n, p, "a whole number");
        if (v < min || (max && v > max)) {
                char name[80];
                if (max == min && max)
                        yaml_problem(p, file, n, "out-of-range", NULL, "%smust be %llu, is %llu",
                                named(n, name, sizeof(name)), (unsigned long long)min, (unsigned long long)v);
                else if (max)
                        yaml_problem(p, file, n, "out-of-range", NULL,
                                "%smust be between %llu and %llu, is %llu", named(n, name, sizeof(name)),
                                (unsigned long long)min, (unsigned long long)max, (unsigned long long)v);
                else
                        yaml_problem(p, file, n, "out-of-range", NULL, "%smust be at least %llu, is %llu",
                                named(n, name, sizeof(name)), (unsigned long long)min, (unsigned long long)v);
                return -EINVAL;
        }
        *ret = v;
        return 0;
}

int yaml_i64(const char *file, const YamlNode *n, Problems *p, int64_t *ret) {
        if (!plain(n) || !strchr("+-0123456789", n->text[0]))
                return wrong(file, n, p, "a whole number");
        char *end;
        errno = 0;
        long long v = strtoll(n->text, &end, 10);
        if (errno || *end || end == n->text)
                return wrong(file, n, p, "a whole number");
        *ret = v;
        return 0;
}

int yaml_double(const char *file, const YamlNode *n, Problems *p, double *ret) {
        if (!plain(n) || !strchr("+-.0123456789", n->text[0]))
                return wrong(file, n, p, "a number");
        char *end;
        double v = strtod(n->text, &end);
        if (*end || end == n->text || !isfinite(v))
                return wrong(file, n, p, "a number");
        *ret = v;
        return 0;
}

int yaml_duration_us(const char *file, const YamlNode *n, Problems *p, uint64_t *ret) {
        if (n->kind != YAML_KIND_SCALAR || !*n->text || parse_duration_us(n->text, ret) < 0)
                return wrong(file, n, p, "a duration such as 500ms, 10s or 2min");
        return 0;
}

int yaml_size(const char *file, const YamlNode *n, Problems *p, uint64_t *ret) {
        if (n->kind != YAML_KIND_SCALAR || !*n->text || parse_size(n->text, ret) < 0)
                return wrong(file, n, p, "a size such as 4096 or 64M");
        return 0;
}

int yaml_version(const YamlRead *r, const YamlNode *n, const char *want) {
        const char *s = "";
        char hint[80];
        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        if (strcmp(s, want) == 0)
                return 0;
        snprintf(hint, sizeof(hint), "this version of Guardian reads %s", want);
        yaml_problem(r->problems, r->file, n, "unknown-value", hint, "unknown %s '%.40s'",
                n->key ? n->key : "version", s);
        return -EINVAL;
}

static int read_str(const YamlRead *r, const YamlField *f, const YamlNode *n, void *at) {
        const char *s = NULL;
        int rc = yaml_str(r->file, n, r->problems, &s);
        if (rc < 0)
                return rc;
        size_t len = strlen(s);
        if (len >= f->size) {
                yaml_problem(r->problems, r->file, n, "too-long", NULL, "'%s' has %zu bytes, at most %zu fit",
                        f->key, len, f->size - 1);
                return -EINVAL;
        }
        str_copy(at, f->size, (Str){s, len});
        return 0;
}

static size_t count_names(const char *const *names) {
        size_t n = 0;
        while (names && names[n])
                n++;
        return n;
}

static int read_enum(const YamlRead *r, const YamlField *f, const YamlNode *n, void *at) {
        const char *s = NULL;
        int rc = yaml_str(r->file, n, r->problems, &s);
        if (rc < 0)
                return rc;
        int v = f->from_string(str_of(s));
        if (v < 0) {
                char hint[200];
                yaml_problem(r->problems, r->file, n, "unknown-value",
                        names_hint(s, f->names, count_names(f->names), hint, sizeof(hint)),
                        "'%s' knows no '%.60s'", f->key, s);
                return -EINVAL;
        }
        *(int *)at = v;
        return 0;
}

static int read_field(const YamlRead *r, const YamlField *f, const YamlNode *n, void *out) {
        void *at = (char *)out + f->offset;
        switch (f->type) {
        case YAML_FIELD_STR:
                return read_str(r, f, n, at);
        case YAML_FIELD_BOOL:
                return yaml_bool(r->file, n, r->problems, at);
        case YAML_FIELD_U64:
                return yaml_u64(r->file, n, r->problems, f->min, f->max, at);
        case YAML_FIELD_DOUBLE:
                return yaml_double(r->file, n, r->problems, at);
        case YAML_FIELD_DURATION:
                return yaml_duration_us(r->file, n, r->problems, at);
        case YAML_FIELD_SIZE:
                return yaml_size(r->file, n, r->problems, at);
        case YAML_FIELD_ENUM:
                return read_enum(r, f, n, at);
        case YAML_FIELD_NODE:
                *(const YamlNode **)at = n;
                return 0;
        case YAML_FIELD_CUSTOM:
                return f->custom(r, n, at);
        }
        return -EINVAL;
}

static void unknown_key(const YamlRead *r, const YamlNode *n, const YamlField *fields, size_t n_fields) {
        const char *names[64];
        char hint[200];
        size_t k = 0;
        for (size_t i = 0; i < n_fields && k < ELEMENTSOF(names); i++)
                names[k++] = fields[i].key;
        yaml_problem_key(r->problems, r->file, n, "unknown-key",
                names_hint(n->key, names, k, hint, sizeof(hint)), "unknown key '%.60s'", n->key);
}

int yaml_read_map(
        const YamlRead *r, const YamlNode *map, const YamlField *fields, size_t n_fields, void *out) {
        int rc = 0;
        if (map->kind != YAML_KIND_MAP)
                return wrong(r->file, map, r->problems, "a map");
        for (size_t i = 0; i < map->n; i++) {
                const YamlNode *n = map->items[i];
                const YamlField *f = NULL;
                for (size_t k = 0; k < n_fields && !f; k++)
                        if (strcmp(fields[k].key, n->key) == 0)
                                f = &fields[k];
                if (!f)
                        unknown_key(r, n, fields, n_fields);
                int one = f ? read_field(r, f, n, out) : -EINVAL;
                if (one == -ENOMEM)
                        return one;
                if (one < 0)
                        rc = one;
        }
        for (size_t k = 0; k < n_fields; k++)
                if (fields[k].required && !yaml_get(map, fields[k].key)) {
                        yaml_problem(r->problems, r->file, map, "missing-key", NULL,
                                "required key '%s' is missing", fields[k].key);
                        rc = -EINVAL;
                }
        return rc;
}

int yaml_read_list(const YamlRead *r, const YamlNode *list,
        int (*item)(const YamlRead *r, const YamlNode *n, void *user), void *user) {
        int rc = 0;
        if (list->kind != YAML_KIND_LIST)
                return wrong(r->file, list, r->problems, "a list");
        for (size_t i = 0; i < list->n; i++) {
                int one = item(r, list->items[i], user);
                if (one == -ENOMEM)
                        return one;
                if (one < 0)
                        rc = one;
        }
        return rc;
}
