/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/workflow-run.h"
#include "common/cleanup.h"
#include "common/sha256.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { BURST_US = 5 * 1000 * 1000, MINUTE_US = 60 * 1000 * 1000, LIMITS_MAX = 1024 };

/* The file's rate limit of one event type: so many in a minute, so many in 5 s. */
typedef struct TypeLimit {
        List node;
        const WorkflowFile *file;
        char type[129];
        SlidingWindow minute, burst;
} TypeLimit;

int workflow_engine_init(WorkflowEngine *e, const WorkflowOps *ops, void *user, WorkflowSet *set) {
        *e = (WorkflowEngine){.ops = ops, .user = user};
        list_init(&e->runs);
        list_init(&e->waiting);
        list_init(&e->limits);
        key_window_init(&e->seen, UINT64_MAX, 16384);
        e->set = *set;
        *set = (WorkflowSet){0};
        for (size_t i = 0; i < e->set.n; i++) {
                int r = subs_add(&e->triggers, e->set.items[i]->trigger, e->set.items[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

static void limit_free(TypeLimit *l) {
        list_remove(&l->node);
        sliding_window_done(&l->minute);
        sliding_window_done(&l->burst);
        free(l);
}

void workflow_engine_done(WorkflowEngine *e) {
        LIST_FOREACH_SAFE (it, nx, &e->runs)
                run_free(container_of(it, WorkflowRun, node));
        LIST_FOREACH_SAFE (it, nx, &e->waiting)
                run_free(container_of(it, WorkflowRun, node));
        LIST_FOREACH_SAFE (it, nx, &e->limits)
                limit_free(container_of(it, TypeLimit, node));
        key_window_done(&e->seen);
        subs_done(&e->triggers);
        workflow_set_done(&e->set);
}

/* ---- shall it run? */

static TypeLimit *limit_find(WorkflowEngine *e, const WorkflowFile *f, const char *type) {
        TypeLimit *l;

        LIST_FOREACH (it, &e->limits) {
                l = container_of(it, TypeLimit, node);
                if (l->file == f && strcmp(l->type, type) == 0) {
                        /* the end of the list is the most recently used */
                        list_remove(&l->node);
                        list_append(&e->limits, &l->node);
                        return l;
                }
        }
        if (e->n_limits == LIMITS_MAX) {
                limit_free(container_of(e->limits.next, TypeLimit, node));
                e->n_limits--;
        }
        l = calloc(1, sizeof(*l));
        if (!l)
                return NULL;
        list_init(&l->node);
        l->file = f;
        str_copy(l->type, sizeof(l->type), str_of(type));
        if (sliding_window_init(&l->minute, (uint32_t)f->config.events_per_minute, MINUTE_US) < 0 ||
                sliding_window_init(&l->burst, (uint32_t)f->config.burst, BURST_US) < 0) {
                limit_free(l);
                return NULL;
        }
        list_append(&e->limits, &l->node);
        e->n_limits++;
        return l;
}

static bool limits_pass(WorkflowEngine *e, Workflow *w, const char *type, uint64_t now) {
        if (w->file->config.rate_limiting) {
                TypeLimit *l = limit_find(e, w->file, type);

                /* out of memory is no licence to run without a limit */
                if (!l || !sliding_window_hit(&l->burst, now) || !sliding_window_hit(&l->minute, now))
                        return false;
        }
        return !w->limited || sliding_window_hit(&w->rate, now);
}

/* Seen within the workflow's window? The key is the workflow, the type and the payload's members named in
 * `key`. */
static bool duplicate(
        WorkflowEngine *e, const Workflow *w, const char *type, const json_t *context, uint64_t now) {
        const json_t *payload = json_object_get(context, "payload");
        Buf text = BUF_INIT(64 * 1024);
        uint8_t hash[32];
        KeyEntry *known;
        bool found = false;

        if (!w->dedupe_us)
                return false;
        buf_appendf(&text, "%s|%s", w->name, type);
        for (unsigned i = 0; i < w->n_dedupe_keys; i++) {
                json_t *v = json_get_path(payload, w->dedupe_keys[i]);
                auto_free char *s = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;

                buf_appendf(&text, "|%u=%s", i, s ? s : "");
        }
        sha256(text.data, text.len, hash);
        buf_done(&text);
        known = key_window_find(&e->seen, hash, now);
        if (known && now - known->at_us < w->dedupe_us) {
                found = true;
        } else {
                /* windows differ by workflow, so an entry that is over is taken out here, by its own window
                 */
                if (known)
                        key_window_drop(&e->seen, hash);
                key_window_add(&e->seen, hash, now, &known);
        }
        return found;
}

/* ---- the context of an event */

static int context_make(const MeshEvent *event, json_t **ret) {
        auto_json json_t *context = json_object();
        json_t *envelope = NULL, *payload, *value;
        Buf text = BUF_INIT(2 * FRAME_MAX);
        int r = context ? mesh_event_json(event, &text) : -ENOMEM;

        if (r == 0)
                r = json_read((Str){(const char *)text.data, text.len}, 0, &envelope, NULL, 0);
        buf_done(&text);
        if (r < 0)
                return r;
        json_object_set_new(context, "event", envelope);
        json_object_update_missing(envelope, json_object_get(envelope, "headers"));
        payload = json_object_get(envelope, "payload");
        json_object_set_new(context, "payload", payload ? json_deep_copy(payload) : json_object());
        value = json_object_get(envelope, "correlation_id");
        json_object_set(context, "correlation_id", value);
        json_object_set(context, "event_type", json_object_get(envelope, "type"));
        json_object_set(context, "timestamp", json_object_get(envelope, "ts"));
        *ret = TAKE(context);
        return 0;
}

typedef struct Trigger {
        WorkflowEngine *engine;
        MeshEvent *event;
        json_t *context; /* made at the first workflow that matches */
        uint64_t now;
        int error;
} Trigger;

static void run_start(WorkflowEngine *e, Workflow *w, MeshEvent *event, const json_t *context, uint64_t now) {
        WorkflowRun *run;
        int r;

        if (e->n_waiting >= WORKFLOW_WAITING_MAX) {
                w->counters.queue_full++;
                e->ops->dead_letter(e->user, event, w->name, NULL, "queue_full", 0, "too many runs wait");
                return;
        }
        r = run_new(e, w, event, context, now, &run);
        if (r < 0) {
                w->counters.queue_full++;
                e->ops->dead_letter(e->user, event, w->name, NULL, "queue_full", 0, strerror(-r));
                return;
        }
        w->counters.triggered++;
        list_append(&e->waiting, &run->node);
        e->n_waiting++;
}

static void trigger_one(void *value, void *user) {
        Workflow *w = value;
        Trigger *t = user;
        WorkflowEngine *e = t->engine;

        if (!w->enabled || t->error)
                return;
        w->counters.received++;
        if (!t->context)
                t->error = context_make(t->event, &t->context);
        if (t->error < 0)
                return;
        if (!workflow_filter_match(w->filter, t->context)) {
                w->counters.filtered++;
        } else if (duplicate(e, w, t->event->type, t->context, t->now)) {
                w->counters.duplicated++;
        } else if (!limits_pass(e, w, t->event->type, t->now)) {
                w->counters.rate_limited++;
                e->ops->log(e->user, LOG_LEVEL_WARNING, "a workflow is not run: it is at its rate_limiting",
                        w->name, t->event->type);
        } else {
                run_start(e, w, t->event, t->context, t->now);
        }
}

void workflow_event(WorkflowEngine *e, MeshEvent *event, uint64_t now_us) {
        Trigger t = {.engine = e, .event = event, .now = now_us};

        /* its own: a workflow that reacts to what every workflow does would feed itself */
        if (strncmp(event->type, "workflow.", 9) == 0 || strncmp(event->type, "mesh.", 5) == 0)
                return;
        e->events++;
        for (size_t i = 0; i < e->set.n_files; i++)
                if (e->set.files[i]->config.log_all_events) {
                        e->ops->log(e->user, LOG_LEVEL_INFO, "event", NULL, event->type);
                        break;
                }
        subs_match(&e->triggers, event->type, trigger_one, &t);
        if (t.error < 0)
                e->ops->log(e->user, LOG_LEVEL_ERROR, "workflows did not look at an event", event->type,
                        strerror(-t.error));
        json_decref(t.context);
        runs_admit(e, now_us);
}

/* ---- for people */

static void counters_json(const WorkflowCounters *c, JsonWriter *w) {
        json_kv_u64(w, "events_received", c->received);
        json_kv_u64(w, "filtered", c->filtered);
        json_kv_u64(w, "duplicated", c->duplicated);
        json_kv_u64(w, "rate_limited", c->rate_limited);
        json_kv_u64(w, "triggered", c->triggered);
        json_kv_u64(w, "succeeded", c->succeeded);
        json_kv_u64(w, "partial", c->partial);
        json_kv_u64(w, "failed", c->failed);
        json_kv_u64(w, "actions_ok", c->actions_ok);
        json_kv_u64(w, "actions_failed", c->actions_failed);
        json_kv_u64(w, "timeouts", c->timeouts);
        json_kv_u64(w, "retries", c->retries);
        json_kv_u64(w, "queue_full", c->queue_full);
}

void workflow_engine_json(const WorkflowEngine *e, bool stats, JsonWriter *w) {
        json_array_begin(w);
        for (size_t i = 0; i < e->set.n; i++) {
                const Workflow *f = e->set.items[i];
                char filter[512];

                json_object_begin(w);
                json_kv_str(w, "name", f->name);
                json_kv_bool(w, "enabled", f->enabled);
                if (stats) {
                        counters_json(&f->counters, w);
                } else {
                        json_kv_str(w, "version", f->version);
                        json_kv_str(w, "description", f->description);
                        json_kv_str(w, "trigger", f->trigger);
                        json_kv_str(w, "filter", rule_program_text(f->filter, filter, sizeof(filter)));
                        json_key(w, "actions");
                        json_array_begin(w);
                        for (unsigned a = 0; a < f->n_actions; a++) {
                                json_object_begin(w);
                                json_kv_str(w, "name", f->actions[a].name);
                                json_kv_str(w, "target", f->actions[a].handler);
                                json_kv_u64(w, "timeout_ms", f->actions[a].timeout_us / 1000);
                                json_object_end(w);
                        }
                        json_array_end(w);
                        json_kv_str(w, "file", f->file->path);
                        json_kv_u64(w, "line", f->line);
                }
                json_object_end(w);
        }
        json_array_end(w);
}
