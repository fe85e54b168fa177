/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Dead letters: what could not be delivered or done, kept in SQLite (one connection, WAL, synchronous=FULL).
 * Letters are gathered and written in one transaction at the end of a loop turn. The store is an archive with
 * a bound: at DLQ_MAX letters further ones are counted and logged only; the event itself stands in the
 * ledger.
 */
#include "chunks/mesh/mesh-core.h"

enum { DLQ_MAX = 10000, DLQ_BATCH_MAX = 256 };
typedef struct Dlq Dlq;
typedef struct DlqLetter {
        const MeshEvent *event;
        const char *route;  /* workflow or subscriber */
        const char *action; /* of a workflow, or NULL */
        const char *reason; /* route_not_found handler_error timeout validation_error max_retries_exceeded
                               queue_full */
        const char *error;  /* for people, or NULL */
        unsigned attempts;
        uint64_t wall_ns;
} DlqLetter;

/* Opens or makes DIR/mesh.db; DIR "": in memory. 0, -EIO with a log line, -ENOMEM. */
int dlq_open(const char *dir, Dlq **ret);
Dlq *dlq_free(Dlq *d); /* writes what waits; NULL is fine; returns NULL */
/* Gathers one. 0; -ENOBUFS: counted as lost. */
int dlq_put(Dlq *d, const DlqLetter *l);
bool dlq_waiting(const Dlq *d);
/* Writes what was gathered. 0 or -EIO (kept for the next turn). */
int dlq_commit(Dlq *d);
/* Writes a letter and takes it back: 0, or -EIO with why. */
int dlq_self_test(Dlq *d, char *why, size_t cap);
/* [{"id", "type", "reason", "attempts", "first", "last", "state", ..}], newest first, at most limit. */
int dlq_json(Dlq *d, unsigned limit, JsonWriter *w);
uint64_t dlq_count(Dlq *d);
uint64_t dlq_lost(const Dlq *d);
