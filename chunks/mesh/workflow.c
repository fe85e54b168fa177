/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/workflow-parts.h"
#include "common/cleanup.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const ROOTS[] = {
        "payload", "event", "workflow", "event_type", "correlation_id", "timestamp", NULL};
/* after an action: its name, status, result, error, latency_ms */
static const char *const ROOTS_AFTER[] = {
        "payload", "event", "workflow", "event_type", "correlation_id", "timestamp", "action", NULL};

static int problem(const YamlRead *r, const YamlNode *at, const char *code, const char *hint, const char *fmt,
        ...) __attribute__((format(printf, 5, 6)));
static int problem(
        const YamlRead *r, const YamlNode *at, const char *code, const char *hint, const char *fmt, ...) {
        char text[280];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        yaml_problem(r->problems, r->file, at, code, hint, "%s", text);
        return -EINVAL;
}

static void emits_done(WorkflowEmits *e) {
        for (unsigned i = 0; i < e->n; i++)
                template_free(e->items[i].payload);
        e->n = 0;
}

Workflow *workflow_free(Workflow *w) {
        if (!w)
                return NULL;
        for (unsigned i = 0; i < w->n_actions; i++) {
                template_free(w->actions[i].params);
                emits_done(&w->actions[i].on_success);
                emits_done(&w->actions[i].on_failure);
        }
        free(w->actions);
        emits_done(&w->on_success);
        emits_done(&w->on_failure);
        template_free(w->logging);
        rule_program_free(w->filter);
        sliding_window_done(&w->rate);
        free(w);
        return NULL;
}

/* ---- small readers */

/* Two spellings of one key: the node that stands there, or NULL. Both: an error. */
static int either(
        const YamlRead *r, const YamlNode *a, const YamlNode *b, const char *names, const YamlNode **ret) {
        *ret = a ? a : b;
        return a && b ? problem(r, b, "given-twice", "keep one of them", "%s", names) : 0;
}

static int timeout_read(const YamlRead *r, const YamlNode *n, double unit_us, uint64_t *ret) {
        double v;

        if (yaml_double(r->file, n, r->problems, &v) < 0)
                return -EINVAL;
        v *= unit_us;
        if (v < 1000 || v > 24.0 * 3600 * 1e6)
                return problem(r, n, "out-of-range", NULL, "the timeout %s must lie between 1 ms and 1 day",
                        n->text);
        *ret = (uint64_t)v;
        return 0;
}

static int priority_read(const YamlRead *r, const YamlNode *n, char out[3]) {
        static const char *const names[][2] = {
                {"CRITICAL", "P0"}, {"HIGH", "P1"}, {"NORMAL", "P2"}, {"LOW", "P3"}};
        const char *s;

        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(s, names[i][0]) == 0 || strcmp(s, names[i][1]) == 0) {
                        str_copy(out, 3, str_of(names[i][1]));
                        return 0;
                }
        return problem(r, n, "bad-priority", "CRITICAL, HIGH, NORMAL, LOW or P0 to P3",
                "unknown priority '%.40s'", s);
}

static int type_read(const YamlRead *r, const YamlNode *n, bool pattern, char out[129]) {
        const char *s;

        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        if (pattern && strcmp(s, "*") == 0)
                s = "**";
        if (strlen(s) > 128 || pattern_check(s) < 0 || (!pattern && strchr(s, '*')))
                return problem(r, n, "bad-type",
                        pattern ? "dotted lower case; '*' is one segment, '**' at the end the rest"
                                : "dotted lower case: healing.action_taken",
                        "'%.80s' is no event type", s);
        str_copy(out, 129, str_of(s));
        return 0;
}

/* ---- on_success, on_failure */

typedef struct EmitNodes {
        const YamlNode *event, *payload;
} EmitNodes;

static int emit_item(const YamlRead *r, const YamlNode *n, void *user) {
        static const YamlField fields[] = {
                {.key = "event",
                        .type = YAML_FIELD_NODE,
                        .offset = offsetof(EmitNodes, event),
                        .required = true},
                {.key = "payload", .type = YAML_FIELD_NODE, .offset = offsetof(EmitNodes, payload)},
        };
        WorkflowEmits *all = user;
        WorkflowEmit *e = &all->items[all->n];
        EmitNodes nodes = {0};

        if (all->n == WORKFLOW_EMITS_MAX)
                return problem(r, n, "too-many", NULL, "more than %d events in one list", WORKFLOW_EMITS_MAX);
        if (yaml_read_map(r, n, fields, ELEMENTSOF(fields), &nodes) < 0)
                return -EINVAL;
        *e = (WorkflowEmit){0};
        if (type_read(r, nodes.event, false, e->type) < 0)
                return -EINVAL;
        if (strncmp(e->type, "workflow.", 9) == 0 || strncmp(e->type, "mesh.", 5) == 0)
                return problem(r, nodes.event, "reserved-type", "choose a domain of your own",
                        "workflow.* and mesh.* are the mesh's own events");
        if (nodes.payload) {
                int e2 = template_compile(nodes.payload, r->file, ROOTS_AFTER, r->problems, &e->payload);

                if (e2 < 0)
                        return e2;
        }
        all->n++;
        return 0;
}

static int emits_read(const YamlRead *r, const YamlNode *n, WorkflowEmits *ret) {
        return n ? yaml_read_list(r, n, emit_item, ret) : 0;
}

/* ---- actions */

typedef struct ActionNodes {
        char name[97];
        const YamlNode *target, *kernel, *action, *params, *parameters, *seconds, *milliseconds, *priority,
                *on_success, *on_failure;
} ActionNodes;

static bool handler_valid(const char *s) {
        size_t segment = 0, dots = 0;

        if (strlen(s) > 128)
                return false;
        for (; *s; s++) {
                if (*s == '.' && segment == 0)
                        return false;
                if (*s != '.' && !isalnum((unsigned char)*s) && *s != '_' && *s != '-')
                        return false;
                dots += *s == '.';
                segment = *s == '.' ? 0 : segment + 1;
        }
        return segment > 0 && dots > 0;
}

static int handler_read(const YamlRead *r, const YamlNode *at, const ActionNodes *n, char out[129]) {
        static const char hint[] =
                "target: avn_core.escalate_healing, or target_kernel: avn_core and action: "
                "escalate_healing";
        const char *kernel, *action;
        char text[160];

        if (n->target && (n->kernel || n->action))
                return problem(r, n->target, "given-twice", hint, "the action names its handler twice");
        if (n->target) {
                if (yaml_str(r->file, n->target, r->problems, &kernel) < 0)
                        return -EINVAL;
                snprintf(text, sizeof(text), "%s", kernel);
        } else if (n->kernel && n->action) {
                if (yaml_str(r->file, n->kernel, r->problems, &kernel) < 0 ||
                        yaml_str(r->file, n->action, r->problems, &action) < 0)
                        return -EINVAL;
                snprintf(text, sizeof(text), "%s.%s", kernel, action);
        } else {
                return problem(r, at, "no-handler", hint, "the action names no handler");
        }
        if (!handler_valid(text)) {
                yaml_problem(r->problems, r->file, n->target ? n->target : n->kernel, "no-handler", hint,
                        "'%s' names no handler", text);
                return -EINVAL;
        }
        memcpy(out, text, 129);
        out[128] = '\0';
        return 0;
}

static int action_values(const YamlRead *r, const ActionNodes *n, WorkflowAction *a) {
        const YamlNode *params;
        int result = 0, e;

        if (either(r, n->params, n->parameters, "'params' and 'parameters' are one key", &params) < 0)
                result = -EINVAL;
        if (params && params->kind != YAML_KIND_MAP)
                result = problem(r, params, "bad-params", "params: {component: NAME}",
                        "the parameters of an action are a map");
        if (n->seconds && n->milliseconds)
                result = problem(r, n->milliseconds, "given-twice", "keep one of them",
                        "'timeout_seconds' and 'timeout_ms' are one key");
        if (n->seconds && timeout_read(r, n->seconds, 1e6, &a->timeout_us) < 0)
                result = -EINVAL;
        if (n->milliseconds && timeout_read(r, n->milliseconds, 1e3, &a->timeout_us) < 0)
                result = -EINVAL;
        if (n->priority && priority_read(r, n->priority, a->priority) < 0)
                result = -EINVAL;
        if (params && result == 0) {
                e = template_compile(params, r->file, ROOTS, r->problems, &a->params);
                if (e == -ENOMEM)
                        return e;
                result = e;
        }
        e = emits_read(r, n->on_success, &a->on_success);
        if (e == 0)
                e = emits_read(r, n->on_failure, &a->on_failure);
        return result < 0 ? result : e;
}

static int action_item(const YamlRead *r, const YamlNode *n, void *user) {
#define NODE(k, member)                                                                                      \
        { .key = k, .type = YAML_FIELD_NODE, .offset = offsetof(ActionNodes, member) }
        static const YamlField fields[] = {
                {.key = "name",
                        .type = YAML_FIELD_STR,
                        .offset = offsetof(ActionNodes, name),
                        .size = 97,
                        .required = true},
                NODE("target", target),
                NODE("target_kernel", kernel),
                NODE("action", action),
                NODE("params", params),
                NODE("parameters", parameters),
                NODE("timeout_seconds", seconds),
                NODE("timeout_ms", milliseconds),
                NODE("priority", priority),
                NODE("on_success", on_success),
                NODE("on_failure", on_failure),
        };
#undef NODE
        Workflow *w = user;
        WorkflowAction *a = &w->actions[w->n_actions];
        ActionNodes nodes = {0};
        int e;

        if (w->n_actions == WORKFLOW_ACTIONS_MAX)
                return problem(r, n, "too-many", NULL, "a workflow has at most 32 actions");
        if (yaml_read_map(r, n, fields, ELEMENTSOF(fields), &nodes) < 0)
                return -EINVAL;
        *a = (WorkflowAction){.timeout_us = w->file->config.default_timeout_us, .priority = "P2"};
        memcpy(a->name, nodes.name, sizeof(a->name));
        w->n_actions++; /* from here workflow_free() knows it */
        e = handler_read(r, n, &nodes, a->handler);
        if (e == 0)
                e = action_values(r, &nodes, a);
        return e;
}

/* ---- trigger, limits */

typedef struct TriggerNodes {
        const YamlNode *event_type, *filters;
} TriggerNodes;

static int trigger_read(const YamlRead *r, const YamlNode *n, Workflow *w, const YamlNode **filters) {
        static const YamlField fields[] = {
                {.key = "event_type",
                        .type = YAML_FIELD_NODE,
                        .offset = offsetof(TriggerNodes, event_type),
                        .required = true},
                {.key = "filters", .type = YAML_FIELD_NODE, .offset = offsetof(TriggerNodes, filters)},
        };
        TriggerNodes t = {0};

        if (n->kind == YAML_KIND_MAP) {
                if (yaml_read_map(r, n, fields, ELEMENTSOF(fields), &t) < 0)
                        return -EINVAL;
                if (*filters && t.filters)
                        return problem(r, t.filters, "given-twice", "keep one of them",
                                "the workflow and its trigger both have filters");
                if (t.filters)
                        *filters = t.filters;
                n = t.event_type;
        }
        if (type_read(r, n, true, w->trigger) < 0)
                return -EINVAL;
        if (strncmp(w->trigger, "workflow.", 9) == 0 || strncmp(w->trigger, "mesh.", 5) == 0)
                return problem(r, n, "reserved-type",
                        "trigger on the event that the workflow publishes in on_success",
                        "events of the mesh itself trigger no workflow");
        return 0;
}

typedef struct LimitNodes {
        uint64_t limit;
        const YamlNode *period;
} LimitNodes;

static int limit_read(const YamlRead *r, const YamlNode *n, Workflow *w) {
        static const YamlField fields[] = {
                {.key = "limit",
                        .type = YAML_FIELD_U64,
                        .offset = offsetof(LimitNodes, limit),
                        .min = 1,
                        .max = 100000},
                {.key = "period_seconds", .type = YAML_FIELD_NODE, .offset = offsetof(LimitNodes, period)},
        };
        LimitNodes l = {.limit = 1};

        w->rate_period_us = 60ull * 1000 * 1000;
        if (yaml_read_map(r, n, fields, ELEMENTSOF(fields), &l) < 0)
                return -EINVAL;
        if (l.period && timeout_read(r, l.period, 1e6, &w->rate_period_us) < 0)
                return -EINVAL;
        w->limited = true;
        w->rate_limit = l.limit;
        return sliding_window_init(&w->rate, (uint32_t)l.limit, w->rate_period_us);
}

typedef struct DedupeNodes {
        const YamlNode *window, *key;
} DedupeNodes;

static int dedupe_key(const YamlRead *r, const YamlNode *n, void *user) {
        Workflow *w = user;
        const char *s;

        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        if (w->n_dedupe_keys == WORKFLOW_KEYS_MAX || !*s || strlen(s) >= TEMPLATE_PATH_MAX)
                return problem(r, n, "bad-key", "at most 8, each the name of a member of the payload",
                        "'%.60s' can't stand here", s);
        str_copy(w->dedupe_keys[w->n_dedupe_keys++], TEMPLATE_PATH_MAX, str_of(s));
        return 0;
}

static int dedupe_read(const YamlRead *r, const YamlNode *n, Workflow *w) {
        static const YamlField fields[] = {
                {.key = "window_seconds",
                        .type = YAML_FIELD_NODE,
                        .offset = offsetof(DedupeNodes, window),
                        .required = true},
                {.key = "key", .type = YAML_FIELD_NODE, .offset = offsetof(DedupeNodes, key)},
        };
        DedupeNodes d = {0};

        if (yaml_read_map(r, n, fields, ELEMENTSOF(fields), &d) < 0 ||
                timeout_read(r, d.window, 1e6, &w->dedupe_us) < 0)
                return -EINVAL;
        if (d.key) {
                w->n_dedupe_keys = 0;
                return yaml_read_list(r, d.key, dedupe_key, w);
        }
        return 0;
}

/* ---- a workflow */

typedef struct WorkflowNodes {
        char name[97], description[512], version[33];
        bool enabled;
        const YamlNode *trigger, *trigger_event, *filters, *actions, *rate_limit, *dedupe, *logging,
                *on_success, *on_failure;
} WorkflowNodes;

static int nodes_read(const YamlRead *r, const YamlNode *n, WorkflowNodes *out) {
#define NODE(k, member)                                                                                      \
        { .key = k, .type = YAML_FIELD_NODE, .offset = offsetof(WorkflowNodes, member) }
        static const YamlField fields[] = {
                {.key = "name",
                        .type = YAML_FIELD_STR,
                        .offset = offsetof(WorkflowNodes, name),
                        .size = 97,
                        .required = true},
                {.key = "description",
                        .type = YAML_FIELD_STR,
                        .offset = offsetof(WorkflowNodes, description),
                        .size = 512},
                {.key = "version",
                        .type = YAML_FIELD_STR,
                        .offset = offsetof(WorkflowNodes, version),
                        .size = 33},
                {.key = "enabled", .type = YAML_FIELD_BOOL, .offset = offsetof(WorkflowNodes, enabled)},
                {.key = "actions",
                        .type = YAML_FIELD_NODE,
                        .offset = offsetof(WorkflowNodes, actions),
                        .required = true},
                NODE("trigger", trigger),
                NODE("trigger_event", trigger_event),
                NODE("filters", filters),
                NODE("rate_limit", rate_limit),
                NODE("dedupe", dedupe),
                NODE("logging", logging),
                NODE("on_success", on_success),
                NODE("on_failure", on_failure),
        };
#undef NODE
        return yaml_read_map(r, n, fields, ELEMENTSOF(fields), out);
}

static void defaults_set(Workflow *w) {
        static const char *const keys[] = {"component_id", "metric_name", "workflow_name"};

        if (!w->version[0])
                str_copy(w->version, sizeof(w->version), str_of("1.0.0"));
        if (w->file->config.deduplication)
                w->dedupe_us = w->file->config.dedupe_us;
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                str_copy(w->dedupe_keys[w->n_dedupe_keys++], TEMPLATE_PATH_MAX, str_of(keys[i]));
}

static void keep(int *result, int e) {
        if (e < 0 && *result != -ENOMEM)
                *result = e;
}

/* Every part is tried, so that one load shows every problem. */
static int parts_compile(const YamlRead *r, const YamlNode *at, const WorkflowNodes *n, Workflow *w) {
        const YamlNode *trigger, *filters = n->filters;
        int result = 0;

        keep(&result, either(r, n->trigger, n->trigger_event, "'trigger' and 'trigger_event' are one key",
                              &trigger));
        if (!trigger)
                result = problem(r, at, "missing-key", "trigger_event: TYPE", "the workflow has no trigger");
        else
                keep(&result, trigger_read(r, trigger, w, &filters));
        keep(&result, workflow_filter_compile(filters, r->file, r->problems, &w->filter));
        if (n->rate_limit)
                keep(&result, limit_read(r, n->rate_limit, w));
        if (n->dedupe)
                keep(&result, dedupe_read(r, n->dedupe, w));
        if (n->actions->kind == YAML_KIND_LIST && n->actions->n == 0)
                result = problem(r, n->actions, "empty-list", "actions: [{name: N, target: UNIT.HANDLER}]",
                        "the workflow has no action");
        keep(&result, yaml_read_list(r, n->actions, action_item, w));
        keep(&result, emits_read(r, n->on_success, &w->on_success));
        keep(&result, emits_read(r, n->on_failure, &w->on_failure));
        if (n->logging && n->logging->kind != YAML_KIND_MAP)
                result = problem(r, n->logging, "bad-logging", "logging: {what: \"{{ payload.name }}\"}",
                        "logging is a map of names and templates");
        else if (n->logging)
                keep(&result, template_compile(n->logging, r->file, ROOTS_AFTER, r->problems, &w->logging));
        return result;
}

int workflow_compile(const YamlRead *r, const YamlNode *n, WorkflowFile *file, Workflow **ret) {
        WorkflowNodes nodes = {.enabled = true};
        Workflow *w;
        int e;

        if (nodes_read(r, n, &nodes) < 0)
                return -EINVAL;
        if (!unit_name_valid(nodes.name))
                return problem(r, n, "bad-name", "letters, digits, '_', '-', '.'; at most 64",
                        "'%.80s' is no name of a workflow", nodes.name);
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->actions = calloc(WORKFLOW_ACTIONS_MAX, sizeof(*w->actions));
        if (!w->actions) {
                workflow_free(w);
                return -ENOMEM;
        }
        memcpy(w->name, nodes.name, sizeof(w->name));
        memcpy(w->description, nodes.description, sizeof(w->description));
        memcpy(w->version, nodes.version, sizeof(w->version));
        w->enabled = nodes.enabled;
        w->line = n->line;
        w->file = file;
        defaults_set(w);
        e = parts_compile(r, n, &nodes, w);
        if (e < 0) {
                workflow_free(w);
                return e;
        }
        *ret = w;
        return 0;
}
