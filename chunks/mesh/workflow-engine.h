/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Runs workflows, pure: (state, event or result, now) -> commands. For an accepted event each workflow whose
 * trigger matches is asked in this order: enabled, filters, dedupe window, rate limits (the file's, for the
 * event's type; its own). A run does its actions one after the other; a failed one does not stop the next. An
 * action is invoked once; it is tried again, after the delays of retry_policy and under the same idempotency
 * key, only when its code says that it was not done (E.UNAVAILABLE, E.RETRYABLE, E.DEPENDENCY_DOWN,
 * E.RATE_LIMIT). What failed for good becomes a dead letter. workflow.started, workflow.action_executed and
 * workflow.completed are published, and so recorded.
 */
#include "chunks/mesh/mesh-core.h"
#include "chunks/mesh/workflow.h"

enum { WORKFLOW_WAITING_MAX = 256 };

typedef struct WorkflowInvoke {
        const char *handler;
        const MeshEvent *event; /* the trigger */
        const char *priority, *idempotency_key;
        uint64_t deadline_ms;
        Str payload;
} WorkflowInvoke;
typedef struct WorkflowOps {
        /* workflow_result() follows with the token. 0; -ENOENT: nobody serves the handler; -ENOTCONN: its
         * unit is away; -ENOBUFS: its unit is behind. */
        int (*invoke)(void *user, uint64_t token, const WorkflowInvoke *i);
        int (*emit)(void *user, const MeshOwnEvent *e);
        void (*dead_letter)(void *user, const MeshEvent *e, const char *workflow, const char *action,
                const char *reason, unsigned attempts, const char *error);
        void (*log)(
                void *user, LogLevel level, const char *message, const char *workflow, const char *detail);
} WorkflowOps;

typedef struct WorkflowEngine {
        const WorkflowOps *ops;
        void *user;
        WorkflowSet set;
        Subs triggers; /* of Workflow */
        List runs;     /* in work */
        List waiting;  /* for a slot of max_parallel */
        unsigned n_waiting;
        uint64_t tokens;
        KeyWindow seen; /* dedupe */
        List limits;    /* rate limits by file and event type */
        unsigned n_limits;
        uint64_t events; /* that were looked at */
} WorkflowEngine;

/* Takes the set over. 0 or -ENOMEM. */
int workflow_engine_init(WorkflowEngine *e, const WorkflowOps *ops, void *user, WorkflowSet *set);
void workflow_engine_done(WorkflowEngine *e);
/* An accepted event; keeps its own reference for as long as runs need it. */
void workflow_event(WorkflowEngine *e, MeshEvent *event, uint64_t now_us);
/* A handler's answer: status 0 and code "ok" is success; result: JSON or {NULL, 0}. Unknown tokens are
 * ignored. */
void workflow_result(WorkflowEngine *e, uint64_t token, uint64_t status, const char *code,
        const char *message, Str result, uint64_t now_us);
/* The stream of a handler ended: what was outstanding there fails with E.PEER_RESTARTED. */
void workflow_peer_lost(
        WorkflowEngine *e, bool (*was_there)(void *user, uint64_t token), void *user, uint64_t now_us);
/* Carries out what is due; returns when it wants to be called next, UINT64_MAX: never. */
uint64_t workflow_tick(WorkflowEngine *e, uint64_t now_us);
/* [{"name", "enabled", "trigger", ...}], with stats: the counters too. */
void workflow_engine_json(const WorkflowEngine *e, bool stats, JsonWriter *w);
