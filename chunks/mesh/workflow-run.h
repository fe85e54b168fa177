/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The inner half of the workflow engine: one run. Used by workflow-engine.c and workflow-run.c only. */
#include "chunks/mesh/workflow-engine.h"

typedef enum RunState { RUN_WAITING, RUN_INVOKED, RUN_BACKOFF } RunState;
typedef struct WorkflowRun {
        List node;
        Workflow *workflow;
        MeshEvent *event;
        json_t *context;
        char id[48], correlation_id[81], msg_id[65];
        RunState state;
        uint64_t hop_count, started_us, action_us, due_us, token;
        unsigned action, attempts, ok, failed;
} WorkflowRun;

int run_new(WorkflowEngine *e, Workflow *w, MeshEvent *event, const json_t *context, uint64_t now,
        WorkflowRun **ret);
void run_free(WorkflowRun *run);
/* Starts waiting runs while their file's max_parallel allows it. */
void runs_admit(WorkflowEngine *e, uint64_t now);
