/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/workflow-run.h"
#include "common/cleanup.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

int run_new(WorkflowEngine *e, Workflow *w, MeshEvent *event, const json_t *context, uint64_t now,
        WorkflowRun **ret) {
        WorkflowRun *run = calloc(1, sizeof(*run));
        json_t *about;
        Msg m;

        (void)e;
        if (!run)
                return -ENOMEM;
        list_init(&run->node);
        run->workflow = w;
        run->event = mesh_event_ref(event);
        run->started_us = now;
        mesh_event_view(event, &m);
        str_copy(run->correlation_id, sizeof(run->correlation_id), msg_str(&m, TAG_CORRELATION_ID));
        str_copy(run->msg_id, sizeof(run->msg_id), msg_str(&m, TAG_MSG_ID));
        run->hop_count = msg_u64(&m, TAG_HOP_COUNT, 0);
        /* the event's record and the workflow: unique, and the same in every replay */
        snprintf(run->id, sizeof(run->id), "run-%" PRIu64 "-%u", event->index, w->number);
        run->context = json_deep_copy(context);
        about = json_pack("{s:s, s:s, s:s}", "name", w->name, "version", w->version, "run_id", run->id);
        if (!run->context || json_object_set_new(run->context, "workflow", about) < 0) {
                run_free(run);
                return -ENOMEM;
        }
        *ret = run;
        return 0;
}

void run_free(WorkflowRun *run) {
        list_remove(&run->node);
        mesh_event_unref(run->event);
        json_decref(run->context);
        free(run);
}

static void run_log(
        WorkflowEngine *e, const WorkflowRun *run, LogLevel level, const char *message, const char *detail) {
        const WorkflowConfig *c = &run->workflow->file->config;

        if ((int)level <= c->log_level)
                e->ops->log(e->user, level, message, run->workflow->name, detail);
}

/* Publishes one event of the run; `part` makes its idempotency key, so that nothing is said twice. */
static void run_emit(
        WorkflowEngine *e, const WorkflowRun *run, const char *type, const char *part, json_t *payload) {
        auto_free char *text = payload ? json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        char key[160], why[256];
        int r;

        json_decref(payload);
        snprintf(key, sizeof(key), "%s:%s", run->id, part);
        r = !text ? -ENOMEM
                  : e->ops->emit(e->user, &(MeshOwnEvent){.type = type,
                                                  .resource = run->workflow->name,
                                                  .correlation_id = run->correlation_id,
                                                  .causation_id = run->msg_id,
                                                  .idempotency_key = key,
                                                  .hop_count = run->hop_count,
                                                  .payload = str_of(text)});
        if (r < 0) {
                snprintf(why, sizeof(why), "%s: %s", type, strerror(-r));
                e->ops->log(e->user, LOG_LEVEL_WARNING, "an event of a workflow is lost", run->workflow->name,
                        why);
        }
}

static void emits_publish(
        WorkflowEngine *e, const WorkflowRun *run, const WorkflowEmits *emits, const char *part) {
        for (unsigned i = 0; i < emits->n; i++) {
                json_t *payload = NULL;
                char why[256] = "out of memory", key[96], text[400];
                int r = 0;

                if (emits->items[i].payload)
                        r = template_render(
                                emits->items[i].payload, run->context, &payload, why, sizeof(why));
                else
                        payload = json_object();
                if (r < 0) {
                        snprintf(text, sizeof(text), "%s: %s", emits->items[i].type, why);
                        e->ops->log(e->user, LOG_LEVEL_WARNING,
                                "an event of a workflow can't be made from its template", run->workflow->name,
                                text);
                        continue;
                }
                snprintf(key, sizeof(key), "%s:%u", part, i);
                run_emit(e, run, emits->items[i].type, key, payload);
        }
}

/* ---- the end */

/* `logging` of the workflow; a member that is missing is null: the run is over, its record must not fail for
 * that. */
static json_t *logging_render(const WorkflowRun *run) {
        json_t *log = NULL;
        char why[256] = "";

        if (!run->workflow->logging)
                return NULL;
        if (template_render(run->workflow->logging, run->context, &log, why, sizeof(why)) < 0)
                return json_pack("{s:s}", "error", why);
        return log;
}

static void run_end(WorkflowEngine *e, WorkflowRun *run, uint64_t now) {
        Workflow *w = run->workflow;
        const char *result = run->failed == 0 ? "SUCCESS" : (run->ok ? "PARTIAL_SUCCESS" : "FAILED");
        json_t *log = logging_render(run), *payload;

        *(run->failed == 0 ? &w->counters.succeeded
                : run->ok  ? &w->counters.partial
                           : &w->counters.failed) += 1;
        payload = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "workflow", w->name, "version", w->version,
                "run_id", run->id, "result", result, "actions_ok", (json_int_t)run->ok, "actions_failed",
                (json_int_t)run->failed, "duration_ms", (json_int_t)((now - run->started_us) / 1000));
        if (payload && log)
                json_object_set(payload, "log", log);
        json_decref(log);
        run_emit(e, run, "workflow.completed", "completed", payload);
        emits_publish(e, run, run->failed == 0 ? &w->on_success : &w->on_failure, "end");
        if (w->file->config.log_execution)
                run_log(e, run, run->failed ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "workflow completed",
                        result);
        w->file->running--;
        run_free(run);
}

/* ---- one action */

static bool never_done(const char *code) {
        static const char *const codes[] = {
                "E.UNAVAILABLE", "E.RETRYABLE", "E.DEPENDENCY_DOWN", "E.RATE_LIMIT"};

        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (strcmp(code, codes[i]) == 0)
                        return true;
        return false;
}

static const char *letter_reason(const char *code, bool retried) {
        if (strcmp(code, "E.NOT_FOUND") == 0)
                return "route_not_found";
        if (strcmp(code, "E.TIMEOUT") == 0)
                return "timeout";
        if (strcmp(code, "E.VALIDATION") == 0)
                return "validation_error";
        return retried ? "max_retries_exceeded" : "handler_error";
}

static void action_context(WorkflowRun *run, const WorkflowAction *a, const char *status, const char *code,
        const char *error, json_t *result, uint64_t now) {
        json_t *action = json_pack("{s:s, s:s, s:s, s:s, s:I}", "name", a->name, "target", a->handler,
                "status", status, "code", code, "latency_ms", (json_int_t)((now - run->action_us) / 1000));

        if (!action)
                return;
        json_object_set_new(action, "error", error && *error ? json_string(error) : json_pack("n"));
        if (result)
                json_object_set(action, "result", result);
        else
                json_object_set_new(action, "result", json_string(status));
        json_object_set_new(run->context, "action", action);
}

/* The last word on the action in work; result is borrowed and may be NULL. */
static void action_end(WorkflowEngine *e, WorkflowRun *run, const char *status, const char *code,
        const char *error, json_t *result, uint64_t now) {
        Workflow *w = run->workflow;
        const WorkflowAction *a = &w->actions[run->action];
        bool ok = strcmp(status, "SUCCESS") == 0;
        char part[32], detail[320];

        *(ok ? &run->ok : &run->failed) += 1;
        *(ok ? &w->counters.actions_ok : &w->counters.actions_failed) += 1;
        action_context(run, a, status, code, error, result, now);
        snprintf(part, sizeof(part), "action-%u", run->action);
        run_emit(e, run, "workflow.action_executed", part,
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "workflow", w->name, "run_id",
                        run->id, "action", a->name, "target", a->handler, "status", status, "code", code,
                        "error", error ? error : "", "attempts", (json_int_t)run->attempts, "latency_ms",
                        (json_int_t)((now - run->action_us) / 1000)));
        if (!ok)
                e->ops->dead_letter(e->user, run->event, w->name, a->name,
                        letter_reason(code, run->attempts > 1), run->attempts,
                        error && *error ? error : code);
        emits_publish(e, run, ok ? &a->on_success : &a->on_failure, part);
        if (w->file->config.log_results) {
                snprintf(detail, sizeof(detail), "%s %s%s%s", a->handler, status, ok ? "" : ": ",
                        ok ? "" : (error && *error ? error : code));
                run_log(e, run, ok ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "workflow action", detail);
        }
        /* run_drive() goes on: a long list of actions that fail at once must not nest */
        run->action++;
        run->attempts = 0;
        run->state = RUN_BACKOFF;
        run->due_us = now;
}

static void action_failed(
        WorkflowEngine *e, WorkflowRun *run, const char *code, const char *error, uint64_t now) {
        const WorkflowConfig *c = &run->workflow->file->config;

        if (never_done(code) && run->attempts <= c->max_retries) {
                unsigned at = run->attempts - 1;
                uint64_t delay = c->n_backoff ? c->backoff_us[at < c->n_backoff ? at : c->n_backoff - 1] : 0;

                run->workflow->counters.retries++;
                run->state = RUN_BACKOFF;
                run->due_us = now + delay;
                return;
        }
        action_end(e, run, strcmp(code, "E.TIMEOUT") == 0 ? "TIMEOUT" : "FAILED", code, error, NULL, now);
}

static void action_invoke(WorkflowEngine *e, WorkflowRun *run, uint64_t now) {
        const WorkflowAction *a = &run->workflow->actions[run->action];
        auto_json json_t *params = NULL;
        auto_free char *text = NULL;
        char why[256] = "out of memory", key[96];
        int r = 0;

        if (run->attempts++ == 0)
                run->action_us = now;
        if (a->params)
                r = template_render(a->params, run->context, &params, why, sizeof(why));
        else
                params = json_object();
        if (r < 0) {
                action_end(e, run, "FAILED", r == -ENOMEM ? "E.UNAVAILABLE" : "E.VALIDATION", why, NULL, now);
                return;
        }
        text = params ? json_dumps(params, JSON_COMPACT) : NULL;
        if (!text) {
                action_end(e, run, "FAILED", "E.UNAVAILABLE", why, NULL, now);
                return;
        }
        snprintf(key, sizeof(key), "%s:action-%u", run->id, run->action);
        run->token = ++e->tokens;
        run->state = RUN_INVOKED;
        run->due_us = now + a->timeout_us;
        r = e->ops->invoke(e->user, run->token,
                &(WorkflowInvoke){.handler = a->handler,
                        .event = run->event,
                        .priority = a->priority,
                        .idempotency_key = key,
                        .deadline_ms = a->timeout_us / 1000,
                        .payload = str_of(text)});
        if (r == -ENOENT)
                action_failed(
                        e, run, "E.NOT_FOUND", "no unit serves this handler: Handles= in a unit file", now);
        else if (r == -EMSGSIZE)
                action_failed(e, run, "E.PAYLOAD_TOO_LARGE", "the parameters are larger than a message", now);
        else if (r < 0)
                action_failed(e, run, r == -ENOTCONN ? "E.DEPENDENCY_DOWN" : "E.UNAVAILABLE",
                        r == -ENOTCONN ? "the unit that serves this handler is away" : strerror(-r), now);
}

/* ---- driving */

static void run_begin(WorkflowEngine *e, WorkflowRun *run, uint64_t now) {
        Workflow *w = run->workflow;

        w->file->running++;
        run->started_us = now;
        run_emit(e, run, "workflow.started", "started",
                json_pack("{s:s, s:s, s:s, s:s, s:I}", "workflow", w->name, "version", w->version, "run_id",
                        run->id, "trigger_event", run->event->type, "trigger_index",
                        (json_int_t)run->event->index));
        if (w->file->config.log_execution)
                run_log(e, run, LOG_LEVEL_INFO, "workflow started", run->event->type);
        run->state = RUN_BACKOFF;
        run->due_us = now;
}

/* Everything that is due for one run. May free it. */
static void run_drive(WorkflowEngine *e, WorkflowRun *run, uint64_t now) {
        if (run->due_us > now)
                return;
        if (run->state == RUN_INVOKED) {
                run->workflow->counters.timeouts++;
                run->token = 0;
                action_failed(e, run, "E.TIMEOUT", "the handler did not answer within its timeout", now);
        }
        while (run->state == RUN_BACKOFF && run->due_us <= now) {
                if (run->action >= run->workflow->n_actions) {
                        run_end(e, run, now);
                        return;
                }
                action_invoke(e, run, now);
        }
}

void runs_admit(WorkflowEngine *e, uint64_t now) {
        LIST_FOREACH_SAFE (it, nx, &e->waiting) {
                WorkflowRun *run = container_of(it, WorkflowRun, node);

                if (run->workflow->file->running >= run->workflow->file->config.max_parallel)
                        continue;
                list_remove(&run->node);
                list_append(&e->runs, &run->node);
                e->n_waiting--;
                run_begin(e, run, now);
                run_drive(e, run, now);
        }
}

static WorkflowRun *run_find(WorkflowEngine *e, uint64_t token) {
        LIST_FOREACH (it, &e->runs) {
                WorkflowRun *run = container_of(it, WorkflowRun, node);

                if (run->state == RUN_INVOKED && run->token == token)
                        return run;
        }
        return NULL;
}

void workflow_result(WorkflowEngine *e, uint64_t token, uint64_t status, const char *code,
        const char *message, Str result, uint64_t now_us) {
        WorkflowRun *run = run_find(e, token);
        auto_json json_t *value = NULL;

        if (!run)
                return;
        if (status == 0 && strcmp(code, "ok") == 0) {
                if (result.n)
                        json_read(result, 0, &value, NULL, 0); /* no JSON: as if it had said nothing */
                action_end(e, run, "SUCCESS", "ok", NULL, value, now_us);
        } else {
                action_failed(e, run, strcmp(code, "ok") == 0 ? "E.NON_RETRYABLE" : code, message, now_us);
        }
        run_drive(e, run, now_us);
        runs_admit(e, now_us);
}

void workflow_peer_lost(
        WorkflowEngine *e, bool (*was_there)(void *user, uint64_t token), void *user, uint64_t now_us) {
        LIST_FOREACH_SAFE (it, nx, &e->runs) {
                WorkflowRun *run = container_of(it, WorkflowRun, node);

                if (run->state != RUN_INVOKED || !was_there(user, run->token))
                        continue;
                /* done or not, nobody knows: it is not tried again */
                action_failed(e, run, "E.PEER_RESTARTED", "the handler's unit went away", now_us);
                run_drive(e, run, now_us);
        }
        runs_admit(e, now_us);
}

uint64_t workflow_tick(WorkflowEngine *e, uint64_t now_us) {
        uint64_t next = UINT64_MAX;

        LIST_FOREACH_SAFE (it, nx, &e->runs)
                run_drive(e, container_of(it, WorkflowRun, node), now_us);
        runs_admit(e, now_us);
        LIST_FOREACH (it, &e->runs) {
                const WorkflowRun *run = container_of(it, WorkflowRun, node);

                if (run->due_us < next)
                        next = run->due_us;
        }
        return next;
}
