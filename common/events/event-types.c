/* SPDX-License-Identifier: Apache-2.0 */
#include "common/events/event-types.h"
#include "common/cleanup.h"
#include "common/yaml/yaml-tree.h"
#include <errno.h>
#include <math.h>
#include <string.h>

static const struct {
        const char *name;
        unsigned flag;
} FLAGS[] = {{"constitutional", EVENT_CONSTITUTIONAL}, {"validate", EVENT_VALIDATE}, {"audit", EVENT_AUDIT},
        {"alert", EVENT_ALERT}};

static int flag_read(const YamlRead *r, const YamlNode *n, void *user) {
        unsigned *flags = user;
        const char *s;

        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(FLAGS); i++)
                if (strcmp(FLAGS[i].name, s) == 0) {
                        *flags |= FLAGS[i].flag;
                        return 0;
                }
        yaml_problem(r->problems, r->file, n, "unknown-flag", "constitutional, validate, audit or alert",
                "'%.60s' is no flag of an event type", s);
        return -EINVAL;
}

static int flags_read(const YamlRead *r, const YamlNode *n, void *out) {
        return yaml_read_list(r, n, flag_read, out);
}

static int publisher_read(const YamlRead *r, const YamlNode *n, void *user) {
        EventType *t = user;
        const char *s;

        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        if (!unit_name_valid(s) || strlen(s) >= sizeof(t->publishers[0])) {
                yaml_problem(r->problems, r->file, n, "bad-unit-name", "the name of a unit, or person",
                        "'%.80s' is no unit name", s);
                return -EINVAL;
        }
        if (t->n_publishers == EVENT_PUBLISHERS_MAX) {
                yaml_problem(r->problems, r->file, n, "too-many", NULL, "more than %d publishers",
                        EVENT_PUBLISHERS_MAX);
                return -EINVAL;
        }
        str_copy(t->publishers[t->n_publishers++], sizeof(t->publishers[0]), str_of(s));
        return 0;
}

/* out is the first member of the row, that is the row */
static int publishers_read(const YamlRead *r, const YamlNode *n, void *out) {
        EventType *t = out;

        if (n->kind == YAML_KIND_LIST && n->n == 0) {
                yaml_problem(r->problems, r->file, n, "empty-list",
                        "leave the key out to let any unit publish it", "nobody may publish this type");
                return -EINVAL;
        }
        return yaml_read_list(r, n, publisher_read, t);
}

static int hundredths_read(const YamlRead *r, const YamlNode *n, void *out) {
        double v;

        if (yaml_double(r->file, n, r->problems, &v) < 0)
                return -EINVAL;
        if (v < 0 || v > 1) {
                yaml_problem(
                        r->problems, r->file, n, "out-of-range", NULL, "'%s' must be a trust score between 0 and 1", n->key);
                return -EINVAL;
        }
        *(unsigned *)out = (unsigned)lround(v * 100);
        return 0;
}

static int priority_read(const YamlRead *r, const YamlNode *n, void *out) {
        const char *s;

        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        if (s[0] != 'P' || s[1] < '0' || s[1] > '3' || s[2]) {
                yaml_problem(r->problems, r->file, n, "bad-priority", "P0, P1, P2 or P3",
                        "'%.60s' is no priority", s);
                return -EINVAL;
        }
        str_copy(out, 3, str_of(s));
        return 0;
}

static int schema_read(const YamlRead *r, const YamlNode *n, void *out) {
        const char *s;

        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        if (!*s || *s == '/' || strstr(s, "..") || strlen(s) > 159) {
                yaml_problem(r->problems, r->file, n, "bad-path",
                        "a path below policies/schemas, without '..'", "'%.80s' is no schema path", s);
                return -EINVAL;
        }
        str_copy(out, 160, str_of(s));
        return 0;
}

static const YamlField TYPE_FIELDS[] = {
        {.key = "type",
                .type = YAML_FIELD_STR,
                .offset = offsetof(EventType, type),
                .size = 129,
                .required = true},
        {.key = "description",
                .type = YAML_FIELD_STR,
                .offset = offsetof(EventType, description),
                .size = 256},
        {.key = "min_trust_score",
                .type = YAML_FIELD_CUSTOM,
                .offset = offsetof(EventType, trust_floor),
                .custom = hundredths_read},
        {.key = "flags",
                .type = YAML_FIELD_CUSTOM,
                .offset = offsetof(EventType, flags),
                .custom = flags_read},
        {.key = "publishers", .type = YAML_FIELD_CUSTOM, .offset = 0, .custom = publishers_read},
        {.key = "priority",
                .type = YAML_FIELD_CUSTOM,
                .offset = offsetof(EventType, priority),
                .custom = priority_read},
        {.key = "payload_schema",
                .type = YAML_FIELD_CUSTOM,
                .offset = offsetof(EventType, payload_schema),
                .custom = schema_read},
};

static int type_check(const YamlRead *r, const YamlNode *n, EventType *t, const EventTypes *all) {
        if (pattern_check(t->type) < 0) {
                yaml_problem(r->problems, r->file, n, "bad-type",
                        "dotted lower case: health.degraded, or task.*", "'%s' is no event type", t->type);
                return -EINVAL;
        }
        t->wildcard = strchr(t->type, '*') != NULL;
        for (size_t i = 0; i < all->n; i++)
                if (strcmp(all->items[i].type, t->type) == 0) {
                        yaml_problem(r->problems, r->file, n, "duplicate-type", "keep one of the two",
                                "'%s' stands in line %u already", t->type, all->items[i].line);
                        return -EINVAL;
                }
        if (t->payload_schema[0] && !(t->flags & EVENT_VALIDATE)) {
                yaml_problem(r->problems, r->file, n, "schema-unused", "add validate to the flags",
                        "'%s' has a payload_schema that nothing would check", t->type);
                return -EINVAL;
        }
        return 0;
}

static int type_read(const YamlRead *r, const YamlNode *n, void *user) {
        EventTypes *all = user;
        EventType t = {.line = n->line}, *grown;

        if (yaml_read_map(r, n, TYPE_FIELDS, ELEMENTSOF(TYPE_FIELDS), &t) < 0 ||
                type_check(r, n, &t, all) < 0)
                return -EINVAL;
        grown = realloc(all->items, (all->n + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        all->items = grown;
        all->items[all->n++] = t;
        return 0;
}

static int types_read(const YamlRead *r, const YamlNode *n, void *out) {
        return yaml_read_list(r, n, type_read, out);
}

static int type_order(const void *a, const void *b) {
        const EventType *x = a, *y = b;

        if (x->wildcard != y->wildcard)
                return x->wildcard ? 1 : -1;
        if (x->wildcard && strlen(x->type) != strlen(y->type))
                return strlen(x->type) < strlen(y->type) ? 1 : -1;
        return strcmp(x->type, y->type);
}

typedef struct EventsFile {
        EventTypes types;
        uint64_t version;
} EventsFile;

static int root_read(const char *file, const YamlNode *root, Problems *p, EventTypes *ret) {
        static const YamlField fields[] = {
                {.key = "version",
                        .type = YAML_FIELD_U64,
                        .offset = offsetof(EventsFile, version),
                        .min = 1,
                        .max = 1,
                        .required = true},
                {.key = "default_trust",
                        .type = YAML_FIELD_CUSTOM,
                        .offset = offsetof(EventsFile, types.default_trust),
                        .custom = hundredths_read},
                {.key = "events",
                        .type = YAML_FIELD_CUSTOM,
                        .offset = 0,
                        .required = true,
                        .custom = types_read},
        };
        EventsFile f = {0};
        size_t errors = p->errors;
        int r = yaml_read_map(&(YamlRead){file, p, NULL}, root, fields, ELEMENTSOF(fields), &f);

        if (r < 0 || p->errors > errors) {
                event_types_done(&f.types);
                return r < 0 ? r : -EINVAL;
        }
        if (f.types.n)
                qsort(f.types.items, f.types.n, sizeof(*f.types.items), type_order);
        while (f.types.n_exact < f.types.n && !f.types.items[f.types.n_exact].wildcard)
                f.types.n_exact++;
        *ret = f.types;
        return 0;
}

int event_types_parse(const char *file, Str text, Problems *p, EventTypes *ret) {
        auto_yaml YamlNode *root = NULL;
        int r = yaml_parse(file, text, p, &root);

        *ret = (EventTypes){0};
        return r < 0 ? r : root_read(file, root, p, ret);
}

int event_types_load(const char *const *dirs, unsigned n, Problems *p, EventTypes *ret) {
        *ret = (EventTypes){0};
        while (n-- > 0) {
                auto_free char *path = NULL;
                auto_yaml YamlNode *root = NULL;
                int r;

                if (asprintf(&path, "%s/events.yaml", dirs[n]) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                if (access(path, F_OK) < 0 && errno == ENOENT)
                        continue;
                r = yaml_load(path, p, &root);
                return r < 0 ? r : root_read(path, root, p, ret);
        }
        return 0;
}

static int type_compare(const void *key, const void *item) {
        return strcmp(key, ((const EventType *)item)->type);
}

const EventType *event_types_find(const EventTypes *t, const char *type) {
        const EventType *e =
                t->n_exact ? bsearch(type, t->items, t->n_exact, sizeof(*t->items), type_compare) : NULL;

        for (size_t i = t->n_exact; !e && i < t->n; i++)
                if (pattern_match(t->items[i].type, type))
                        e = &t->items[i];
        return e;
}

void event_types_done(EventTypes *t) {
        free(t->items);
        *t = (EventTypes){0};
}
