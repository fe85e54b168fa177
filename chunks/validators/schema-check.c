/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/validators/schema-internal.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct Check {
        SchemaIssue *out;
        size_t n, cap;
        unsigned depth;
        char path[160];
} Check;

static void issue(Check *c, const char *keyword, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void issue(Check *c, const char *keyword, const char *fmt, ...) {
        SchemaIssue *i;
        va_list ap;

        if (c->n++ >= c->cap)
                return;
        i = &c->out[c->n - 1];
        snprintf(i->path, sizeof(i->path), "%s", c->path);
        snprintf(i->keyword, sizeof(i->keyword), "%s", keyword);
        va_start(ap, fmt);
        vsnprintf(i->message, sizeof(i->message), fmt, ap);
        va_end(ap);
}

static void node_check(Check *c, const SchemaNode *n, const json_t *v);

static void below(Check *c, const char *name, const SchemaNode *n, const json_t *v) {
        size_t at = strlen(c->path);

        snprintf(c->path + at, sizeof(c->path) - at, "/%s", name);
        node_check(c, n, v);
        c->path[at] = '\0';
}

/* Would it pass? Says nothing. */
static bool passes(const Check *c, const SchemaNode *n, const json_t *v) {
        Check quiet = {.depth = c->depth};

        node_check(&quiet, n, v);
        return quiet.n == 0;
}

static unsigned type_of(const json_t *v) {
        switch (json_typeof(v)) {
        case JSON_OBJECT:
                return SCHEMA_OBJECT;
        case JSON_ARRAY:
                return SCHEMA_ARRAY;
        case JSON_STRING:
                return SCHEMA_STRING;
        case JSON_INTEGER:
                return SCHEMA_INTEGER;
        case JSON_REAL:
                /* 2.0 is an integer (draft 2020-12, section 6.1.1) */
                return json_real_value(v) == floor(json_real_value(v)) ? SCHEMA_INTEGER : SCHEMA_NUMBER;
        case JSON_TRUE:
        case JSON_FALSE:
                return SCHEMA_BOOLEAN;
        case JSON_NULL:
                return SCHEMA_NULL;
        }
        return 0;
}

/* Equal as values: 1 and 1.0 are, at any depth. */
static bool same(const json_t *a, const json_t *b) {
        if (json_is_number(a) && json_is_number(b))
                return json_is_integer(a) && json_is_integer(b)
                               ? json_integer_value(a) == json_integer_value(b)
                               : json_number_value(a) == json_number_value(b);
        if (json_typeof(a) != json_typeof(b))
                return false;
        if (json_is_array(a)) {
                if (json_array_size(a) != json_array_size(b))
                        return false;
                for (size_t i = 0; i < json_array_size(a); i++)
                        if (!same(json_array_get(a, i), json_array_get(b, i)))
                                return false;
                return true;
        }
        if (json_is_object(a)) {
                const char *key;
                json_t *v;

                if (json_object_size(a) != json_object_size(b))
                        return false;
                json_object_foreach((json_t *)(uintptr_t)a, key, v) {
                        const json_t *w = json_object_get(b, key);

                        if (!w || !same(v, w))
                                return false;
                }
                return true;
        }
        return json_equal(a, b) == 1;
}

static bool limit_holds(SchemaLimit l, double limit, double v) {
        switch (l) {
        case LIMIT_MINIMUM:
        case LIMIT_MIN_LENGTH:
        case LIMIT_MIN_ITEMS:
        case LIMIT_MIN_PROPERTIES:
                return v >= limit;
        case LIMIT_MAXIMUM:
        case LIMIT_MAX_LENGTH:
        case LIMIT_MAX_ITEMS:
        case LIMIT_MAX_PROPERTIES:
                return v <= limit;
        case LIMIT_EXCLUSIVE_MINIMUM:
                return v > limit;
        case LIMIT_EXCLUSIVE_MAXIMUM:
                return v < limit;
        case LIMIT_MULTIPLE_OF: {
                double q = v / limit;

                return fabs(q - round(q)) < 1e-9;
        }
        case _LIMIT_MAX:
                break;
        }
        return false;
}

static void limits_check(Check *c, const SchemaNode *n, SchemaLimit first, SchemaLimit last, double v) {
        for (unsigned l = first; l <= (unsigned)last; l++)
                if ((n->limits & 1u << l) && !limit_holds((SchemaLimit)l, n->limit[l], v))
                        issue(c, schema_limit_names[l], "%g does not fit %s %g", v, schema_limit_names[l],
                                n->limit[l]);
}

static size_t code_points(const char *s) {
        size_t n = 0;

        for (; *s; s++)
                n += ((unsigned char)*s & 0xc0) != 0x80;
        return n;
}

static void object_check(Check *c, const SchemaNode *n, const json_t *v) {
        const char *key;
        json_t *member;

        limits_check(c, n, LIMIT_MIN_PROPERTIES, LIMIT_MAX_PROPERTIES, (double)json_object_size(v));
        for (size_t i = 0; i < json_array_size(n->required); i++) {
                key = json_string_value(json_array_get(n->required, i));
                if (!json_object_get(v, key))
                        issue(c, "required", "'%s' is missing", key);
        }
        json_object_foreach((json_t *)(uintptr_t)v, key, member) {
                const json_t *at = json_object_get(n->names, key);

                if (at)
                        below(c, key, n->members.items[json_integer_value(at)], member);
                else if (n->additional && n->additional->never)
                        issue(c, "additionalProperties", "'%s' is not allowed here", key);
                else if (n->additional)
                        below(c, key, n->additional, member);
        }
}

static void array_check(Check *c, const SchemaNode *n, const json_t *v) {
        size_t size = json_array_size(v);

        limits_check(c, n, LIMIT_MIN_ITEMS, LIMIT_MAX_ITEMS, (double)size);
        for (size_t i = 0; i < size; i++) {
                const SchemaNode *item = i < n->prefix.n ? n->prefix.items[i] : n->items;
                char name[24];

                snprintf(name, sizeof(name), "%zu", i);
                if (item)
                        below(c, name, item, json_array_get(v, i));
        }
        /* every pair is compared: whoever sends so many is not worth the time */
        if (n->unique && size > SCHEMA_UNIQUE_MAX) {
                issue(c, "uniqueItems", "more than %d items are not compared", SCHEMA_UNIQUE_MAX);
                return;
        }
        for (size_t i = 0; n->unique && i < size; i++)
                for (size_t k = i + 1; k < size; k++)
                        if (same(json_array_get(v, i), json_array_get(v, k))) {
                                issue(c, "uniqueItems", "items %zu and %zu are equal", i, k);
                                return;
                        }
}

static void combined_check(Check *c, const SchemaNode *n, const json_t *v) {
        size_t hits = 0;

        for (size_t i = 0; i < n->all_of.n; i++)
                node_check(c, n->all_of.items[i], v);
        for (size_t i = 0; i < n->any_of.n && hits == 0; i++)
                hits += passes(c, n->any_of.items[i], v);
        if (n->any_of.n && hits == 0)
                issue(c, "anyOf", "none of the %zu alternatives fits", n->any_of.n);
        hits = 0;
        for (size_t i = 0; i < n->one_of.n; i++)
                hits += passes(c, n->one_of.items[i], v);
        if (n->one_of.n && hits != 1)
                issue(c, "oneOf", "%zu of the alternatives fit, not one", hits);
        if (n->negated && passes(c, n->negated, v))
                issue(c, "not", "it is what it must not be");
}

static void values_check(Check *c, const SchemaNode *n, const json_t *v) {
        bool found = !n->values;

        for (size_t i = 0; !found && i < json_array_size(n->values); i++)
                found = same(json_array_get(n->values, i), v);
        if (!found)
                issue(c, "enum", "it is none of the values allowed");
        if (n->has_const && !same(n->constant, v))
                issue(c, "const", "it is not the value required");
}

static void node_check(Check *c, const SchemaNode *n, const json_t *v) {
        unsigned type = type_of(v);

        /* a $ref to itself ends here; documents end at the reader's depth */
        if (c->depth >= SCHEMA_DEPTH_MAX) {
                issue(c, "$ref", "the schema refers to itself without end");
                return;
        }
        if (n->never) {
                issue(c, "false", "nothing is allowed here");
                return;
        }
        c->depth++;
        if (n->types && !(n->types & type))
                issue(c, "type", "it is of the wrong type");
        values_check(c, n, v);
        if (json_is_number(v))
                limits_check(c, n, LIMIT_MINIMUM, LIMIT_MULTIPLE_OF, json_number_value(v));
        else if (json_is_string(v))
                limits_check(
                        c, n, LIMIT_MIN_LENGTH, LIMIT_MAX_LENGTH, (double)code_points(json_string_value(v)));
        else if (json_is_object(v))
                object_check(c, n, v);
        else if (json_is_array(v))
                array_check(c, n, v);
        combined_check(c, n, v);
        if (n->target)
                node_check(c, n->target, v);
        c->depth--;
}

size_t json_schema_check(const JsonSchema *s, const json_t *value, SchemaIssue *out, size_t cap) {
        Check c = {.out = out, .cap = cap};

        node_check(&c, s->root, value);
        return c.n < cap ? c.n : cap;
}
