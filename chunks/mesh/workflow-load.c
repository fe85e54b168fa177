/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/workflow.h"
#include "chunks/mesh/workflow-parts.h"
#include "common/cleanup.h"
#include "common/log.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>

/* ---- configuration */

static int milliseconds_read(const YamlRead *r, const YamlNode *n, void *out) {
        uint64_t v;

        if (yaml_u64(r->file, n, r->problems, 1, 24ull * 3600 * 1000, &v) < 0)
                return -EINVAL;
        *(uint64_t *)out = v * 1000;
        return 0;
}

static int seconds_read(const YamlRead *r, const YamlNode *n, void *out) {
        double v;

        if (yaml_double(r->file, n, r->problems, &v) < 0)
                return -EINVAL;
        if (v < 0.001 || v > 24 * 3600) {
                yaml_problem(r->problems, r->file, n, "out-of-range", NULL,
                        "'%s' must lie between 0.001 and 86400 seconds, is %s", n->key, n->text);
                return -EINVAL;
        }
        *(uint64_t *)out = (uint64_t)(v * 1e6);
        return 0;
}

static int backoff_item(const YamlRead *r, const YamlNode *n, void *user) {
        WorkflowConfig *c = user;
        uint64_t v;

        if (yaml_u64(r->file, n, r->problems, 0, 3600ull * 1000, &v) < 0)
                return -EINVAL;
        if (c->n_backoff == WORKFLOW_BACKOFFS_MAX) {
                yaml_problem(r->problems, r->file, n, "too-many", NULL,
                        "'backoff_ms' has more than %d delays", WORKFLOW_BACKOFFS_MAX);
                return -EINVAL;
        }
        c->backoff_us[c->n_backoff++] = v * 1000;
        return 0;
}

static int backoff_read(const YamlRead *r, const YamlNode *n, void *out) {
        return yaml_read_list(r, n, backoff_item, out);
}

static int retry_read(const YamlRead *r, const YamlNode *n, void *out) {
        static const YamlField fields[] = {
                {.key = "max_retries",
                        .type = YAML_FIELD_U64,
                        .offset = offsetof(WorkflowConfig, max_retries),
                        .max = 10},
                {.key = "backoff_ms", .type = YAML_FIELD_CUSTOM, .offset = 0, .custom = backoff_read},
        };
        return yaml_read_map(r, n, fields, ELEMENTSOF(fields), out);
}

static int limiting_read(const YamlRead *r, const YamlNode *n, void *out) {
        static const YamlField fields[] = {
                {.key = "enabled",
                        .type = YAML_FIELD_BOOL,
                        .offset = offsetof(WorkflowConfig, rate_limiting)},
                {.key = "max_events_per_minute",
                        .type = YAML_FIELD_U64,
                        .offset = offsetof(WorkflowConfig, events_per_minute),
                        .min = 1,
                        .max = 100000},
                {.key = "burst_size",
                        .type = YAML_FIELD_U64,
                        .offset = offsetof(WorkflowConfig, burst),
                        .min = 1,
                        .max = 100000},
        };
        return yaml_read_map(r, n, fields, ELEMENTSOF(fields), out);
}

static int dedupe_config_read(const YamlRead *r, const YamlNode *n, void *out) {
        static const YamlField fields[] = {
                {.key = "enabled",
                        .type = YAML_FIELD_BOOL,
                        .offset = offsetof(WorkflowConfig, deduplication)},
                {.key = "window_seconds",
                        .type = YAML_FIELD_CUSTOM,
                        .offset = offsetof(WorkflowConfig, dedupe_us),
                        .custom = seconds_read},
        };
        ((WorkflowConfig *)out)->deduplication = true;
        return yaml_read_map(r, n, fields, ELEMENTSOF(fields), out);
}

static int level_read(const YamlRead *r, const YamlNode *n, void *out) {
        static const char *const names[] = {"ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"};
        const char *s;

        if (yaml_str(r->file, n, r->problems, &s) < 0)
                return -EINVAL;
        for (unsigned i = 0; i < ELEMENTSOF(names); i++)
                if (strcasecmp(names[i], s) == 0) {
                        *(int *)out = (int)i;
                        return 0;
                }
        yaml_problem(r->problems, r->file, n, "bad-value", "ERROR, WARNING, NOTICE, INFO or DEBUG",
                "'%.40s' is no log level", s);
        return -EINVAL;
}

static int config_read(const YamlRead *r, const YamlNode *n, void *out) {
        static const YamlField fields[] = {
                {.key = "max_parallel_workflows",
                        .type = YAML_FIELD_U64,
                        .offset = offsetof(WorkflowConfig, max_parallel),
                        .min = 1,
                        .max = 256},
                {.key = "default_timeout_ms",
                        .type = YAML_FIELD_CUSTOM,
                        .offset = offsetof(WorkflowConfig, default_timeout_us),
                        .custom = milliseconds_read},
                {.key = "default_timeout_seconds",
                        .type = YAML_FIELD_CUSTOM,
                        .offset = offsetof(WorkflowConfig, default_timeout_us),
                        .custom = seconds_read},
                {.key = "retry_policy", .type = YAML_FIELD_CUSTOM, .offset = 0, .custom = retry_read},
                {.key = "rate_limiting", .type = YAML_FIELD_CUSTOM, .offset = 0, .custom = limiting_read},
                {.key = "deduplication",
                        .type = YAML_FIELD_CUSTOM,
                        .offset = 0,
                        .custom = dedupe_config_read},
                {.key = "log_level",
                        .type = YAML_FIELD_CUSTOM,
                        .offset = offsetof(WorkflowConfig, log_level),
                        .custom = level_read},
                {.key = "log_all_events",
                        .type = YAML_FIELD_BOOL,
                        .offset = offsetof(WorkflowConfig, log_all_events)},
                {.key = "log_workflow_execution",
                        .type = YAML_FIELD_BOOL,
                        .offset = offsetof(WorkflowConfig, log_execution)},
                {.key = "log_action_results",
                        .type = YAML_FIELD_BOOL,
                        .offset = offsetof(WorkflowConfig, log_results)},
        };
        return yaml_read_map(r, n, fields, ELEMENTSOF(fields), out);
}

/* ---- sets */

const Workflow *workflow_set_find(const WorkflowSet *s, const char *name) {
        for (size_t i = 0; i < s->n; i++)
                if (strcmp(s->items[i]->name, name) == 0)
                        return s->items[i];
        return NULL;
}

static int set_add(WorkflowSet *s, Workflow *w) {
        Workflow **grown = realloc(s->items, (s->n + 1) * sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        s->items = grown;
        w->number = (unsigned)s->n;
        s->items[s->n++] = w;
        return 0;
}

typedef struct ListLoad {
        WorkflowSet *set;
        WorkflowFile *file;
} ListLoad;

static int list_item(const YamlRead *r, const YamlNode *n, void *user) {
        ListLoad *l = user;
        const Workflow *same;
        Workflow *w = NULL;
        int e = workflow_compile(r, n, l->file, &w);

        if (e < 0)
                return e;
        same = workflow_set_find(l->set, w->name);
        if (same) {
                yaml_problem(r->problems, r->file, n, "duplicate-name", "names are unique over all files",
                        "the workflow '%s' stands in %s:%u already", w->name, same->file->path, same->line);
                workflow_free(w);
                return -EINVAL;
        }
        e = set_add(l->set, w);
        if (e < 0)
                workflow_free(w);
        return e;
}

static int file_new(WorkflowSet *s, const char *path, WorkflowFile **ret) {
        WorkflowFile **grown = realloc(s->files, (s->n_files + 1) * sizeof(*grown)), *f;

        if (!grown)
                return -ENOMEM;
        s->files = grown;
        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        str_copy(f->path, sizeof(f->path), str_of(path));
        f->config = (WorkflowConfig){.max_parallel = 10,
                .default_timeout_us = 10 * 1000 * 1000,
                .rate_limiting = true,
                .events_per_minute = 100,
                .burst = 20,
                .dedupe_us = 60 * 1000 * 1000,
                .log_level = LOG_LEVEL_INFO,
                .log_execution = true,
                .log_results = true};
        s->files[s->n_files++] = f;
        *ret = f;
        return 0;
}

typedef struct FileNodes {
        const YamlNode *configuration, *workflows;
        char version[33], description[512];
} FileNodes;

static int root_read(WorkflowSet *s, const char *path, const YamlNode *root, Problems *p) {
        static const YamlField fields[] = {
                {.key = "version",
                        .type = YAML_FIELD_STR,
                        .offset = offsetof(FileNodes, version),
                        .size = 33},
                {.key = "description",
                        .type = YAML_FIELD_STR,
                        .offset = offsetof(FileNodes, description),
                        .size = 512},
                {.key = "configuration",
                        .type = YAML_FIELD_NODE,
                        .offset = offsetof(FileNodes, configuration)},
                {.key = "workflows",
                        .type = YAML_FIELD_NODE,
                        .offset = offsetof(FileNodes, workflows),
                        .required = true},
        };
        YamlRead read = {path, p, NULL};
        FileNodes nodes = {0};
        WorkflowFile *file;
        size_t errors = p->errors;
        int r = file_new(s, path, &file);

        if (r < 0)
                return r;
        if (yaml_read_map(&read, root, fields, ELEMENTSOF(fields), &nodes) < 0 || !nodes.workflows)
                return -EINVAL;
        if (nodes.configuration)
                config_read(&read, nodes.configuration, &file->config);
        r = yaml_read_list(&read, nodes.workflows, list_item, &(ListLoad){s, file});
        if (r == 0 && nodes.workflows->n == 0) {
                yaml_problem(p, path, nodes.workflows, "empty-list",
                        "take the file away, or describe a workflow in it", "the file holds no workflow");
                return -EINVAL;
        }
        return r < 0 ? r : (p->errors > errors ? -EINVAL : 0);
}

int workflow_set_parse(WorkflowSet *s, const char *path, Str text, Problems *p) {
        auto_yaml YamlNode *root = NULL;
        int r = yaml_parse(path, text, p, &root);

        return r < 0 ? r : root_read(s, path, root, p);
}

void workflow_set_done(WorkflowSet *s) {
        for (size_t i = 0; i < s->n; i++)
                workflow_free(s->items[i]);
        for (size_t i = 0; i < s->n_files; i++)
                free(s->files[i]);
        free(s->items);
        free(s->files);
        *s = (WorkflowSet){0};
}

/* ---- directories */

typedef struct PathList {
        char *names[256], *paths[256];
        unsigned n;
} PathList;

static int path_name_compare(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static int directory_scan(PathList *l, const char *dir, Problems *p) {
        auto_free char *folder = NULL;
        auto_closedir DIR *d = NULL;
        const struct dirent *e;

        if (asprintf(&folder, "%s/workflows", dir) < 0) {
                folder = NULL;
                return -ENOMEM;
        }
        d = opendir(folder);
        if (!d && errno == ENOENT)
                return 0;
        if (!d) {
                problem_add(p, PROBLEM_ERROR, folder, 0, 0, "unreadable", NULL, "can't be read: %s",
                        strerror(errno));
                return -EINVAL;
        }
        while ((e = readdir(d))) {
                const char *dot = strrchr(e->d_name, '.');
                unsigned i = 0;
                char *path;

                if (e->d_name[0] == '.' || !dot || (strcmp(dot, ".yaml") != 0 && strcmp(dot, ".yml") != 0))
                        continue;
                while (i < l->n && strcmp(l->names[i], e->d_name) != 0)
                        i++;
                if (i == ELEMENTSOF(l->names)) {
                        problem_add(p, PROBLEM_ERROR, folder, 0, 0, "too-many",
                                "several workflows may stand in one file", "over 256 workflow files");
                        return -EINVAL;
                }
                if (asprintf(&path, "%s/%s", folder, e->d_name) < 0)
                        return -ENOMEM;
                if (i == l->n) {
                        l->names[l->n] = strdup(e->d_name);
                        l->paths[l->n++] = NULL;
                }
                free(l->paths[i]);
                l->paths[i] = path;
                if (!l->names[i])
                        return -ENOMEM;
        }
        return 0;
}

static int path_load(WorkflowSet *s, const char *path, Problems *p) {
        auto_yaml YamlNode *root = NULL;
        int r = yaml_load(path, p, &root);

        return r < 0 ? r : root_read(s, path, root, p);
}

int workflow_set_load(WorkflowSet *s, const char *const *dirs, unsigned n, Problems *p) {
        PathList l = {0};
        int r = 0;

        for (unsigned i = 0; r == 0 && i < n; i++)
                r = directory_scan(&l, dirs[i], p);
        /* by path, so that the order (and every message) is the same on every machine */
        qsort(l.paths, l.n, sizeof(*l.paths), path_name_compare);
        for (unsigned i = 0; i < l.n; i++) {
                int e = r == -ENOMEM ? 0 : path_load(s, l.paths[i], p);

                if (e < 0)
                        r = e;
        }
        for (unsigned i = 0; i < l.n; i++) {
                free(l.names[i]);
                free(l.paths[i]);
        }
        return r;
}
