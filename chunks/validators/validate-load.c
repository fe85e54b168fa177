/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/validators/validate.h"
#include "common/cleanup.h"
#include "common/rules/rules-yaml.h"
#include <errno.h>
#include <string.h>

/* What a rule may ask about: the payload, and members of the envelope (id: their tag). */
static const RuleField FIELDS[] = {
        {"payload.*", RULE_ANY, 0, NULL},
        {"event.payload_size", RULE_INT, 1, NULL},
        {"event.type", RULE_STRING, TAG_TYPE, NULL},
        {"event.kind", RULE_STRING, TAG_GKIND, NULL},
        {"event.source", RULE_STRING, TAG_SOURCE, NULL},
        {"event.priority", RULE_STRING, TAG_PRIORITY, NULL},
        {"event.qos", RULE_STRING, TAG_QOS, NULL},
        {"event.resource", RULE_STRING, TAG_RESOURCE, NULL},
        {"event.correlation_id", RULE_STRING, TAG_CORRELATION_ID, NULL},
        {"event.causation_id", RULE_STRING, TAG_CAUSATION_ID, NULL},
        {"event.governance_label", RULE_STRING, TAG_GOVERNANCE_LABEL, NULL},
        {"event.checksum", RULE_STRING, TAG_CHECKSUM, NULL},
        {"event.signature", RULE_STRING, TAG_SIGNATURE, NULL},
        {"event.payload_ref", RULE_STRING, TAG_PAYLOAD_REF, NULL},
        {"event.hop_count", RULE_INT, TAG_HOP_COUNT, NULL},
};
static const RuleSchema SCHEMA = {FIELDS, ELEMENTSOF(FIELDS)};

static int layer_from_string(Str s) {
        for (int i = 0; i < _LAYER_MAX; i++)
                if (str_eq(s, validation_layer_name((ValidationLayer)i)))
                        return i;
        return -EINVAL;
}
static int severity_from_string(Str s) {
        for (int i = 0; i < _SEVERITY_MAX; i++)
                if (str_eq(s, validation_severity_name((ValidationSeverity)i)))
                        return i;
        return -EINVAL;
}
static const char *const LAYERS[] = {"syntax", "semantic", "security", "performance", "compliance", NULL};
static const char *const SEVERITIES[] = {"low", "medium", "high", "critical", NULL};

/* ---- rules */

typedef struct RuleNodes {
        char id[97], path[129], message[256], hint[200];
        int layer, severity;
        bool constitutional;
        const YamlNode *types, *when, *require;
} RuleNodes;

static int type_item(const YamlRead *r, const YamlNode *n, void *user) {
        ValidationRule *rule = user;
        const char *s;

        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        if (strlen(s) > 128 || pattern_check(s) < 0 || rule->n_types == VALIDATION_TYPES_MAX) {
                yaml_problem(r->problems, r->file, n, "bad-type", "at most 16 patterns, dotted lower case",
                        "'%.80s' can't stand here", s);
                return -EINVAL;
        }
        str_copy(rule->types[rule->n_types++], sizeof(rule->types[0]), str_of(s));
        return 0;
}

static int program_read(const YamlRead *r, const YamlNode *n, RuleProgram **ret) {
        auto_rule_expr RuleExpr *e = NULL;
        int x = rule_expr_from_yaml(n, r->file, r->problems, &e);

        return x < 0 ? x : rule_compile(e, &SCHEMA, r->file, r->problems, ret);
}

static void rule_done(ValidationRule *rule) {
        rule_program_free(rule->when);
        rule_program_free(rule->require);
}

static int rule_fill(const YamlRead *r, const YamlNode *at, const RuleNodes *n, ValidationRule *rule) {
        int x = 0;

        memcpy(rule->id, n->id, sizeof(rule->id));
        memcpy(rule->path, n->path, sizeof(rule->path));
        memcpy(rule->message, n->message, sizeof(rule->message));
        memcpy(rule->hint, n->hint, sizeof(rule->hint));
        rule->layer = (ValidationLayer)n->layer;
        rule->severity = (ValidationSeverity)n->severity;
        rule->constitutional = n->constitutional;
        if (rule->layer == LAYER_SYNTAX) {
                yaml_problem(r->problems, r->file, at, "bad-layer",
                        "semantic, security, performance or compliance",
                        "the layer syntax is the payload's schema, it has no rules");
                return -EINVAL;
        }
        if (n->types)
                x = yaml_read_list(r, n->types, type_item, rule);
        if (x == 0 && n->when)
                x = program_read(r, n->when, &rule->when);
        return x < 0 ? x : program_read(r, n->require, &rule->require);
}

static const YamlField rule_fields[] = {
        {.key = "id",
                .type = YAML_FIELD_STR,
                .offset = offsetof(RuleNodes, id),
                .size = 97,
                .required = true},
        {.key = "layer",
                .type = YAML_FIELD_ENUM,
                .offset = offsetof(RuleNodes, layer),
                .from_string = layer_from_string,
                .names = LAYERS,
                .required = true},
        {.key = "severity",
                .type = YAML_FIELD_ENUM,
                .offset = offsetof(RuleNodes, severity),
                .from_string = severity_from_string,
                .names = SEVERITIES,
                .required = true},
        {.key = "constitutional", .type = YAML_FIELD_BOOL, .offset = offsetof(RuleNodes, constitutional)},
        {.key = "types", .type = YAML_FIELD_NODE, .offset = offsetof(RuleNodes, types)},
        {.key = "when", .type = YAML_FIELD_NODE, .offset = offsetof(RuleNodes, when)},
        {.key = "require", .type = YAML_FIELD_NODE, .offset = offsetof(RuleNodes, require), .required = true},
        {.key = "path", .type = YAML_FIELD_STR, .offset = offsetof(RuleNodes, path), .size = 129},
        {.key = "message",
                .type = YAML_FIELD_STR,
                .offset = offsetof(RuleNodes, message),
                .size = 256,
                .required = true},
        {.key = "hint", .type = YAML_FIELD_STR, .offset = offsetof(RuleNodes, hint), .size = 200},
};

static int rule_item(const YamlRead *r, const YamlNode *n, void *user) {
        Validation *v = user;
        RuleNodes nodes = {0};
        ValidationRule rule = {0}, *grown;
        int x;

        if (yaml_read_map(r, n, rule_fields, ELEMENTSOF(rule_fields), &nodes) < 0)
                return -EINVAL;
        for (size_t i = 0; i < v->n_rules; i++)
                if (strcmp(v->rules[i].id, nodes.id) == 0) {
                        yaml_problem(r->problems, r->file, n, "duplicate-id", "every id once",
                                "a rule of the id '%s' stands above already", nodes.id);
                        return -EINVAL;
                }
        if (v->n_rules == VALIDATION_RULES_MAX) {
                yaml_problem(r->problems, r->file, n, "too-many", NULL, "more than %d rules",
                        VALIDATION_RULES_MAX);
                return -EINVAL;
        }
        x = rule_fill(r, n, &nodes, &rule);
        grown = x < 0 ? NULL : realloc(v->rules, (v->n_rules + 1) * sizeof(*grown));
        if (!grown) {
                rule_done(&rule);
                return x < 0 ? x : -ENOMEM;
        }
        v->rules = grown;
        /* keeps the order of layers, and the file's within one */
        size_t at = v->n_rules++;
        for (; at > 0 && v->rules[at - 1].layer > rule.layer; at--)
                v->rules[at] = v->rules[at - 1];
        v->rules[at] = rule;
        return 0;
}

static int fail_fast_item(const YamlRead *r, const YamlNode *n, void *user) {
        Validation *v = user;
        const char *s;
        int l;

        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        l = layer_from_string(str_of(s));
        if (l < 0) {
                yaml_problem(r->problems, r->file, n, "unknown-layer",
                        "syntax, semantic, security, performance or compliance", "'%.40s' is no layer", s);
                return l;
        }
        v->fail_fast[l] = true;
        return 0;
}

typedef struct FileNodes {
        uint64_t version;
        const YamlNode *fail_fast, *rules;
} FileNodes;

static int root_read(Validation *v, const char *file, const YamlNode *root, Problems *p) {
        static const YamlField fields[] = {
                {.key = "version",
                        .type = YAML_FIELD_U64,
                        .offset = offsetof(FileNodes, version),
                        .min = 1,
                        .max = 1,
                        .required = true},
                {.key = "fail_fast", .type = YAML_FIELD_NODE, .offset = offsetof(FileNodes, fail_fast)},
                {.key = "rules",
                        .type = YAML_FIELD_NODE,
                        .offset = offsetof(FileNodes, rules),
                        .required = true},
        };
        YamlRead read = {file, p, NULL};
        FileNodes nodes = {0};
        int r = 0;

        if (yaml_read_map(&read, root, fields, ELEMENTSOF(fields), &nodes) < 0)
                return -EINVAL;
        if (nodes.fail_fast)
                r = yaml_read_list(&read, nodes.fail_fast, fail_fast_item, v);
        return r < 0 ? r : yaml_read_list(&read, nodes.rules, rule_item, v);
}

int validation_parse(Validation *v, const char *file, Str text, Problems *p) {
        auto_yaml YamlNode *root = NULL;
        int r = yaml_parse(file, text, p, &root);

        return r < 0 ? r : root_read(v, file, root, p);
}

/* ---- files */

/* Path of NAME in the last directory that has it: 0, 1: none has, -ENOMEM. */
static int file_find(const char *const *dirs, unsigned n, const char *name, char **ret) {
        while (n-- > 0) {
                if (asprintf(ret, "%s/%s", dirs[n], name) < 0) {
                        *ret = NULL;
                        return -ENOMEM;
                }
                if (access(*ret, F_OK) == 0)
                        return 0;
                free(*ret);
                *ret = NULL;
        }
        return 1;
}

static int schema_add(Validation *v, const EventType *t, const char *events, const char *const *dirs,
        unsigned n, Problems *p) {
        auto_free char *name = NULL, *path = NULL;
        SchemaEntry *grown, e = {0};
        int r;

        for (size_t i = 0; i < v->n_schemas; i++)
                if (strcmp(v->schemas[i].name, t->payload_schema) == 0)
                        return 0;
        if (asprintf(&name, "schemas/%s", t->payload_schema) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        r = file_find(dirs, n, name, &path);
        if (r == 1) {
                problem_add(p, PROBLEM_ERROR, events ? events : "events.yaml", t->line, 0, "no-schema",
                        "put it below DIR/schemas of a policy directory",
                        "'%s' of the event type '%s' is in no policy directory", name, t->type);
                return -EINVAL;
        }
        if (r == 0)
                r = json_schema_load(path, p, &e.schema);
        if (r < 0)
                return r == -ENOMEM ? r : -EINVAL;
        str_copy(e.name, sizeof(e.name), str_of(t->payload_schema));
        grown = realloc(v->schemas, (v->n_schemas + 1) * sizeof(*grown));
        if (!grown) {
                json_schema_free(e.schema);
                return -ENOMEM;
        }
        v->schemas = grown;
        v->schemas[v->n_schemas++] = e;
        return 0;
}

int validation_load(Validation *ret, const char *const *dirs, unsigned n, Problems *p) {
        auto_free char *path = NULL, *events = NULL;
        auto_yaml YamlNode *root = NULL;
        int r, e, s;

        *ret = (Validation){0};
        r = event_types_load(dirs, n, p, &ret->types);
        e = file_find(dirs, n, "validation.yaml", &path);
        /* without rules only schemas are checked, and a type that is constitutional by name would not be:
         * refused */
        if (e == 1) {
                problem_add(p, PROBLEM_ERROR, "validation.yaml", 0, 0, "no-file",
                        "it comes with the installation, in share/guardian/policies",
                        "validation.yaml is in none of the policy directories");
                e = -EINVAL;
        } else if (e == 0) {
                e = yaml_load(path, p, &root);
                if (e == 0)
                        e = root_read(ret, path, root, p);
        }
        if (file_find(dirs, n, "events.yaml", &events) < 0)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < ret->types.n; i++) {
                if (!ret->types.items[i].payload_schema[0])
                        continue;
                s = schema_add(ret, &ret->types.items[i], events, dirs, n, p);
                if (s < 0)
                        e = s;
        }
        return r < 0 ? r : e;
}

void validation_done(Validation *v) {
        for (size_t i = 0; i < v->n_rules; i++)
                rule_done(&v->rules[i]);
        for (size_t i = 0; i < v->n_schemas; i++)
                json_schema_free(v->schemas[i].schema);
        free(v->rules);
        free(v->schemas);
        event_types_done(&v->types);
        *v = (Validation){0};
}
