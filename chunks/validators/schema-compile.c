/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/validators/schema-internal.h"
#include "common/cleanup.h"
#include "common/text-file.h"
#include <errno.h>
#include <string.h>

const char *const schema_limit_names[_LIMIT_MAX] = {"minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems", "minProperties",
        "maxProperties"};

typedef struct Compile {
        JsonSchema *schema;
        const char *file;
        Problems *problems;
        unsigned depth;
        char path[512]; /* pointer to the schema in work */
} Compile;

static int problem(Compile *c, const char *code, const char *hint, const char *what, const char *which) {
        problem_add(c->problems, PROBLEM_ERROR, c->file, 0, 0, code, hint, "at '#%s': %s%s%.80s%s", c->path,
                what, *which ? " '" : "", which, *which ? "'" : "");
        return -EINVAL;
}

static int node_compile(Compile *c, const json_t *j, SchemaNode **ret);

/* Compiles a part below the present path. */
static int below(Compile *c, const char *name, const json_t *j, SchemaNode **ret) {
        size_t n = strlen(c->path);
        int r;

        if (n + strlen(name) + 2 > sizeof(c->path))
                return problem(c, "too-deep", "move parts into $defs", "the schema is nested too deep", "");
        c->path[n] = '/';
        memcpy(c->path + n + 1, name, strlen(name) + 1);
        r = node_compile(c, j, ret);
        c->path[n] = '\0';
        return r;
}

static int list_add(SchemaList *l, SchemaNode *n) {
        SchemaNode **grown = realloc(l->items, (l->n + 1) * sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        l->items = grown;
        l->items[l->n++] = n;
        return 0;
}

/* ---- keywords: each reads one member of the schema object */

static int read_type_name(Compile *c, const json_t *j, unsigned *types) {
        static const struct {
                const char *name;
                unsigned bits;
        } names[] = {{"null", SCHEMA_NULL}, {"boolean", SCHEMA_BOOLEAN}, {"integer", SCHEMA_INTEGER},
                {"number", SCHEMA_NUMBER | SCHEMA_INTEGER}, {"string", SCHEMA_STRING},
                {"array", SCHEMA_ARRAY}, {"object", SCHEMA_OBJECT}};
        const char *s = json_string_value(j);

        for (size_t i = 0; s && i < ELEMENTSOF(names); i++)
                if (strcmp(names[i].name, s) == 0) {
                        *types |= names[i].bits;
                        return 0;
                }
        return problem(c, "bad-schema", "one of: null, boolean, integer, number, string, array, object",
                "unknown type", s ? s : "");
}

static int read_type(Compile *c, SchemaNode *n, const json_t *j) {
        if (!json_is_array(j))
                return read_type_name(c, j, &n->types);
        if (json_array_size(j) == 0)
                return problem(c, "bad-schema", NULL, "'type' is an empty list", "");
        for (size_t i = 0; i < json_array_size(j); i++) {
                int r = read_type_name(c, json_array_get(j, i), &n->types);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int keep(json_t **to, const json_t *j) {
        *to = json_deep_copy(j);
        return *to ? 0 : -ENOMEM;
}

static int read_enum(Compile *c, SchemaNode *n, const json_t *j) {
        if (!json_is_array(j) || json_array_size(j) == 0)
                return problem(c, "bad-schema", NULL, "'enum' is a list of values, not empty", "");
        return keep(&n->values, j);
}

static int read_const(Compile *c, SchemaNode *n, const json_t *j) {
        (void)c;
        n->has_const = true;
        return keep(&n->constant, j);
}

static int read_required(Compile *c, SchemaNode *n, const json_t *j) {
        for (size_t i = 0; i < json_array_size(j); i++)
                if (!json_is_string(json_array_get(j, i)))
                        return problem(c, "bad-schema", NULL, "'required' is a list of names", "");
        return json_is_array(j) ? keep(&n->required, j)
                                : problem(c, "bad-schema", NULL, "'required' is a list of names", "");
}

static int read_named(Compile *c, const json_t *j, const char *what, json_t **names, SchemaList *l) {
        const char *key;
        json_t *v;

        if (!json_is_object(j))
                return problem(c, "bad-schema", "{\"name\": {\"type\": \"string\"}}",
                        "an object of schemas belongs under", what);
        *names = json_object();
        if (!*names)
                return -ENOMEM;
        json_object_foreach((json_t *)(uintptr_t)j, key, v) {
                SchemaNode *n;
                int r = below(c, key, v, &n);

                if (r < 0)
                        return r;
                if (json_object_set_new(*names, key, json_integer((json_int_t)l->n)) < 0 ||
                        list_add(l, n) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int read_properties(Compile *c, SchemaNode *n, const json_t *j) {
        return read_named(c, j, "properties", &n->names, &n->members);
}
static int read_defs(Compile *c, SchemaNode *n, const json_t *j) {
        (void)n;
        if (c->path[0])
                return problem(c, "bad-schema", "move it to the top", "'$defs' stands below the root", "");
        return read_named(c, j, "$defs", &c->schema->def_names, &c->schema->defs);
}
static int read_additional(Compile *c, SchemaNode *n, const json_t *j) {
        return below(c, "additionalProperties", j, &n->additional);
}
static int read_items(Compile *c, SchemaNode *n, const json_t *j) {
        return below(c, "items", j, &n->items);
}
static int read_not(Compile *c, SchemaNode *n, const json_t *j) {
        return below(c, "not", j, &n->negated);
}

static int read_schemas(Compile *c, const char *name, const json_t *j, SchemaList *l) {
        if (!json_is_array(j) || json_array_size(j) == 0)
                return problem(c, "bad-schema", NULL, "a list of schemas, not empty, belongs under", name);
        for (size_t i = 0; i < json_array_size(j); i++) {
                SchemaNode *n;
                int r = below(c, name, json_array_get(j, i), &n);

                if (r == 0)
                        r = list_add(l, n);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_prefix(Compile *c, SchemaNode *n, const json_t *j) {
        return read_schemas(c, "prefixItems", j, &n->prefix);
}
static int read_all(Compile *c, SchemaNode *n, const json_t *j) {
        return read_schemas(c, "allOf", j, &n->all_of);
}
static int read_any(Compile *c, SchemaNode *n, const json_t *j) {
        return read_schemas(c, "anyOf", j, &n->any_of);
}
static int read_one(Compile *c, SchemaNode *n, const json_t *j) {
        return read_schemas(c, "oneOf", j, &n->one_of);
}

static int read_unique(Compile *c, SchemaNode *n, const json_t *j) {
        if (!json_is_boolean(j))
                return problem(c, "bad-schema", NULL, "'uniqueItems' is true or false", "");
        n->unique = json_is_true(j);
        return 0;
}

static int read_ref(Compile *c, SchemaNode *n, const json_t *j) {
        const char *s = json_string_value(j);

        if (!s || (strcmp(s, "#") != 0 && strncmp(s, "#/$defs/", 8) != 0))
                return problem(c, "bad-ref", "\"#/$defs/NAME\"",
                        "only references into the same file are followed, not", s ? s : "");
        n->ref = strdup(s[1] ? s + 8 : "");
        return n->ref ? 0 : -ENOMEM;
}

static int read_annotation(Compile *c, SchemaNode *n, const json_t *j) {
        (void)c;
        (void)n;
        (void)j;
        return 0;
}

static const struct {
        const char *name;
        int (*read)(Compile *c, SchemaNode *n, const json_t *j);
} KEYWORDS[] = {{"type", read_type}, {"enum", read_enum}, {"const", read_const}, {"required", read_required},
        {"properties", read_properties}, {"additionalProperties", read_additional}, {"items", read_items},
        {"prefixItems", read_prefix}, {"uniqueItems", read_unique}, {"allOf", read_all}, {"anyOf", read_any},
        {"oneOf", read_one}, {"not", read_not}, {"$ref", read_ref}, {"$defs", read_defs},
        {"$schema", read_annotation}, {"$id", read_annotation}, {"$comment", read_annotation},
        {"title", read_annotation}, {"description", read_annotation}, {"default", read_annotation},
        {"examples", read_annotation}, {"deprecated", read_annotation}};

static int limit_read(Compile *c, SchemaNode *n, const char *key, const json_t *j, bool *found) {
        for (unsigned i = 0; i < _LIMIT_MAX; i++) {
                if (strcmp(schema_limit_names[i], key) != 0)
                        continue;
                *found = true;
                if (!json_is_number(j))
                        return problem(c, "bad-schema", NULL, "a number belongs under", key);
                n->limit[i] = json_number_value(j);
                if (i >= LIMIT_MULTIPLE_OF && n->limit[i] < 0)
                        return problem(c, "bad-schema", NULL, "not a negative number belongs under", key);
                if (i == LIMIT_MULTIPLE_OF && n->limit[i] == 0)
                        return problem(c, "bad-schema", NULL, "zero has no multiples, under", key);
                if (i > LIMIT_MULTIPLE_OF && !json_is_integer(j))
                        return problem(c, "bad-schema", NULL, "a whole number belongs under", key);
                n->limits |= 1u << i;
        }
        return 0;
}

static int keyword_read(Compile *c, SchemaNode *n, const char *key, const json_t *j) {
        const char *names[ELEMENTSOF(KEYWORDS) + _LIMIT_MAX];
        char hint[200];
        bool found = false;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(KEYWORDS); i++) {
                names[i] = KEYWORDS[i].name;
                if (strcmp(KEYWORDS[i].name, key) == 0)
                        return KEYWORDS[i].read(c, n, j);
        }
        r = limit_read(c, n, key, j, &found);
        if (found)
                return r;
        memcpy(names + ELEMENTSOF(KEYWORDS), schema_limit_names, sizeof(schema_limit_names));
        return problem(c, "unknown-keyword", names_hint(key, names, ELEMENTSOF(names), hint, sizeof(hint)),
                "nothing would check the keyword", key);
}

static int node_compile(Compile *c, const json_t *j, SchemaNode **ret) {
        SchemaNode *n;
        const char *key;
        json_t *v;
        int result = 0;

        if (++c->schema->n_nodes > SCHEMA_NODES_MAX)
                return problem(c, "too-long", NULL, "the schema has too many parts", "");
        n = calloc(1, sizeof(*n));
        if (!n)
                return -ENOMEM;
        n->next = c->schema->nodes;
        c->schema->nodes = n;
        *ret = n;
        if (json_is_boolean(j)) {
                n->never = json_is_false(j);
                return 0;
        }
        if (!json_is_object(j))
                return problem(c, "bad-schema", NULL, "a schema is an object, true or false", "");
        json_object_foreach((json_t *)(uintptr_t)j, key, v) {
                int r = keyword_read(c, n, key, v);

                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

static int refs_resolve(Compile *c) {
        int result = 0;

        for (SchemaNode *n = c->schema->nodes; n; n = n->next) {
                const json_t *at;

                if (!n->ref)
                        continue;
                at = *n->ref ? json_object_get(c->schema->def_names, n->ref) : NULL;
                if (!*n->ref)
                        n->target = c->schema->root;
                else if (at)
                        n->target = c->schema->defs.items[json_integer_value(at)];
                else
                        result = problem(c, "bad-ref", NULL, "nothing in '$defs' is named", n->ref);
        }
        return result;
}

int json_schema_compile(const json_t *document, const char *file, Problems *p, JsonSchema **ret) {
        JsonSchema *s = calloc(1, sizeof(*s));
        Compile c = {.schema = s, .file = file, .problems = p};
        int r;

        if (!s)
                return -ENOMEM;
        r = node_compile(&c, document, &s->root);
        if (r == 0)
                r = refs_resolve(&c);
        if (r < 0) {
                json_schema_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

int json_schema_load(const char *path, Problems *p, JsonSchema **ret) {
        auto_free char *text = NULL;
        auto_json json_t *j = NULL;
        char why[160] = "can't be read";
        size_t n = 0;
        int r = text_file_load(path, p, &text, &n);

        if (r < 0)
                return r;
        r = json_read((Str){text, n}, 0, &j, why, sizeof(why));
        if (r < 0) {
                unsigned line = 0, column = 0;
                int at = 0;

                /* json_read() puts the place in front of its words */
                if (sscanf(why, "line %u column %u: %n", &line, &column, &at) < 2 || !at)
                        line = column = 0;
                problem_add(p, PROBLEM_ERROR, path, line, column, "bad-json", NULL, "not JSON: %s",
                        line ? why + at : why);
                return r;
        }
        return json_schema_compile(j, path, p, ret);
}

JsonSchema *json_schema_free(JsonSchema *s) {
        SchemaNode *n, *next;

        if (!s)
                return NULL;
        for (n = s->nodes; n; n = next) {
                next = n->next;
                json_decref(n->values);
                json_decref(n->constant);
                json_decref(n->required);
                json_decref(n->names);
                free(n->members.items);
                free(n->prefix.items);
                free(n->all_of.items);
                free(n->any_of.items);
                free(n->one_of.items);
                free(n->ref);
                free(n);
        }
        json_decref(s->def_names);
        free(s->defs.items);
        free(s);
        return NULL;
}
