/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The pause marker of the state directory: a file whose presence means that healing is paused and whose
 * text says why. Written and synced on a helper thread, so that the loop never waits for a disk; of several
 * changes in a row the last one is what stands there in the end.
 */
#include "guardian/worker.h"
#include <stdbool.h>
#include <stddef.h>

enum { MARKER_TEXT_MAX = 513 };

typedef struct Marker {
        Workers *workers;
        WorkerJob work;
        char path[1200], text[MARKER_TEXT_MAX], writing[MARKER_TEXT_MAX];
        bool present, write_present; /* wanted; what the job under way makes of it */
        bool busy, again;
        int error; /* of the last job */
        void (*settled)(void *user);
        void *user;
} Marker;

/* dir: the state directory of Guardian, "" without one: then nothing is ever written. *m stays where it is
 * until marker_settle(). */
void marker_init(Marker *m, Workers *workers, const char *dir);
/* At start, before the loop runs: reason is "" when there is none. False: it can't be known (no directory,
 * not readable). */
bool marker_read(const Marker *m, char *reason, size_t cap);
/* NULL removes it. */
void marker_set(Marker *m, const char *reason);
/* What has failed is tried again. */
void marker_retry(Marker *m);
/* Called, on the loop, when the file is as it was last set, or that has failed. */
void marker_on_settled(Marker *m, void (*settled)(void *user), void *user);
bool marker_pending(const Marker *m);
/* Why the file is not as it was last set: -errno, also of the thread that a change waits for; -ENOENT: no
 * state directory, and something was to be kept. 0: it is, or will be. */
int marker_error(const Marker *m);
/* Waits until the file is as it was last set, or that has failed; false: a change takes longer than that. */
bool marker_settle(Marker *m, uint64_t limit_ms);
