/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Work that may hang (a disk, a network file system), off the loop, each piece on a thread of its own that
 * ends with it. Not libuv's pool: that starts all its threads at once and keeps them, ends the process when
 * it gets none, what hangs in it holds up whoever else uses it, and the loop cannot end before it.
 *
 * A few run at a time. One that takes long no longer counts and lets one more in besides, so any number that
 * hangs holds up the others for a moment only. An idle process has no thread but its own.
 */
#include "common/list.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct Workers Workers;
typedef struct WorkerJob WorkerJob;

struct WorkerJob {
        /* On the thread, with every signal blocked and 256 KiB of stack. It neither logs nor uses stdio:
         * exit(3) would wait for a stream that it holds. */
        void (*run)(WorkerJob *j);
        void (*done)(WorkerJob *j); /* on the loop, once run() is back; j is the caller's again */
        /* worker.c's */
        Workers *home;
        List node;
        pthread_t thread;
        void *stack;
        uint64_t began_us;
        bool running, slow;
        int lacking; /* for others to read: -errno of the thread that it waits for and could not be had */
};

/* 0, -ENOMEM, or what libuv says. */
int workers_new(uv_loop_t *loop, Workers **ret);
/* Does not fail: without a thread (EAGAIN) the job waits for one. */
void worker_start(Workers *w, WorkerJob *j);
/* Before it has begun: true, j is the caller's again and done() does not come. */
bool worker_withdraw(WorkerJob *j);
/* Waits for a job that was started, whatever else runs; one that gets no thread runs here and now. True: its
 * done() has come, and perhaps that of others. False: it is not back by then (milliseconds), and is one of
 * those that workers_close() counts. For the end: before workers_close(). */
bool worker_finish(WorkerJob *j, uint64_t limit_ms);
/* Takes NULL. The loop has to turn once more after it, for the handles. What is back gets its done(); what
 * has not begun and what hangs does not, and is counted: what those threads use must not be freed. */
unsigned workers_close(Workers *w);
