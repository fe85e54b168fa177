/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Workflows: policies/workflows/NAME.yaml compiled to plain data. Both dialects load:
 *
 *   trigger_event: TYPE            or  trigger: {event_type: TYPE, filters: ..}     TYPE may be a pattern,
 * "*" is any type filters: [{field, operator, value}]  or  {field: value | [values], min_delta_percent: N,
 * ..} target: KERNEL.ACTION          or  target_kernel: KERNEL + action: ACTION params / parameters,
 * timeout_seconds / timeout_ms
 *
 * Whatever does not load is an error with file:line:column; there is no such thing as zero workflows by
 * accident.
 */
#include "chunks/mesh/template.h"
#include "chunks/mesh/window.h"
#include "common/rules/rules.h"

enum { WORKFLOW_ACTIONS_MAX = 32, WORKFLOW_EMITS_MAX = 8, WORKFLOW_BACKOFFS_MAX = 8, WORKFLOW_KEYS_MAX = 8 };

/* on_success, on_failure: an event to publish */
typedef struct WorkflowEmit {
        char type[129];
        Template *payload; /* NULL: {} */
} WorkflowEmit;
typedef struct WorkflowEmits {
        WorkflowEmit items[WORKFLOW_EMITS_MAX];
        unsigned n;
} WorkflowEmits;

typedef struct WorkflowAction {
        char name[97], handler[129];
        char priority[3]; /* of the INVOKE */
        uint64_t timeout_us;
        Template *params; /* NULL: {} */
        WorkflowEmits on_success, on_failure;
} WorkflowAction;

/* configuration: of one file, for the workflows of that file */
typedef struct WorkflowConfig {
        uint64_t max_parallel, default_timeout_us;
        uint64_t max_retries, backoff_us[WORKFLOW_BACKOFFS_MAX];
        unsigned n_backoff;
        bool rate_limiting;
        uint64_t events_per_minute, burst; /* for each event type; burst: within 5 s */
        bool deduplication;
        uint64_t dedupe_us;
        int log_level; /* LogLevel: less important lines are not written */
        bool log_all_events, log_execution, log_results;
} WorkflowConfig;

typedef struct WorkflowFile {
        char path[512];
        WorkflowConfig config;
        unsigned running; /* runs that hold a slot of max_parallel */
} WorkflowFile;

typedef struct WorkflowCounters {
        uint64_t received, filtered, duplicated, rate_limited, triggered, succeeded, partial, failed,
                actions_ok, actions_failed, timeouts, retries, queue_full;
} WorkflowCounters;

typedef struct Workflow {
        char name[97], description[512], version[33];
        char trigger[129];
        bool enabled;
        unsigned line, number; /* number: place in the set */
        WorkflowFile *file;
        RuleProgram *filter;
        bool limited;
        SlidingWindow rate;
        uint64_t rate_limit, rate_period_us;
        uint64_t dedupe_us;                                     /* 0: no window */
        char dedupe_keys[WORKFLOW_KEYS_MAX][TEMPLATE_PATH_MAX]; /* members of the payload */
        unsigned n_dedupe_keys;
        WorkflowAction *actions;
        unsigned n_actions;
        WorkflowEmits on_success, on_failure;
        Template *logging; /* rendered into workflow.completed; NULL: none */
        WorkflowCounters counters;
} Workflow;

typedef struct WorkflowSet {
        Workflow **items;
        size_t n;
        WorkflowFile **files;
        size_t n_files;
} WorkflowSet;

/* Adds the workflows of one file. 0, -EINVAL after problems (the set may hold part of it: throw it away),
 * -ENOMEM. */
int workflow_set_parse(WorkflowSet *s, const char *path, Str text, Problems *p);
/* Every workflows/NAME.yaml of n directories; of two files of one name the later directory's counts. */
int workflow_set_load(WorkflowSet *s, const char *const *dirs, unsigned n, Problems *p);
void workflow_set_done(WorkflowSet *s);
const Workflow *workflow_set_find(const WorkflowSet *s, const char *name);

/* ---- filters. context: {"event": {..}, "payload": {..}} */
struct YamlNode;
/* filters of both dialects, NULL: none. 0 and *ret, -EINVAL after problems, -ENOMEM. */
int workflow_filter_compile(const struct YamlNode *filters, const char *file, Problems *p, RuleProgram **ret);
/* true: every filter holds. A missing member is no match, an error neither. */
bool workflow_filter_match(const RuleProgram *filter, const json_t *context);
/* What would have to be different, for people. */
void workflow_filter_explain(const RuleProgram *filter, const json_t *context, char *out, size_t cap);
