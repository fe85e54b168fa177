/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Acts that ran without gate or ledger, kept in the state directory until they can stand in the ledger as
 * `recovery` records. One file of at most 1 MiB, a checksummed line a record; written and synced on a worker
 * thread, so that the loop never waits for a disk. A torn line (power cut) is dropped at load with a
 * count, and never swallows the next one.
 */
#include "common/list.h"
#include "common/str.h"
#include "guardian/worker.h"
#include <stdbool.h>
#include <stdint.h>

enum { SPOOL_MAX_BYTES = 1024 * 1024 };

typedef struct SpoolRecord {
        List node;
        uint8_t id[16]; /* becomes the record's request_id: an import that crashed half way is not repeated */
        uint64_t time_ns; /* wall, when it happened */
        char actor[160], action[64], resource[160], result[64], correlation_id[80];
        char *body;          /* canonical JSON, owned */
        bool stored, flying; /* durable in the file; being written */
} SpoolRecord;

typedef struct Spool Spool;
/* Called on the loop when all that was added is durable (error 0) or could not be stored. */
typedef void (*SpoolFn)(void *user, int error);

/* dir: Guardian's own folder in the state directory. Loads what is there. user and fn may be NULL. */
int spool_open(Workers *workers, const char *dir, SpoolFn fn, void *user, Spool **ret);
/* Copies the record (body included) and stores it. -ENOSPC: 1 MiB is reached. */
int spool_add(Spool *s, const SpoolRecord *r);
size_t spool_pending(const Spool *s); /* records not imported yet */
size_t spool_dropped(const Spool *s); /* torn lines found at load */
SpoolRecord *spool_first(Spool *s);   /* oldest one not imported, or NULL */
SpoolRecord *spool_next(Spool *s, SpoolRecord *r);
/* It stands in the ledger; an unknown id does nothing. When no record is left the file is emptied. */
void spool_imported_id(Spool *s, const uint8_t id[16]);
/* Waits until nothing is being written; false: a write takes longer than that. Takes NULL. */
bool spool_settle(Spool *s, uint64_t limit_ms);
Spool *spool_close(Spool *s); /* waits for nothing; call after a spool_settle() that was true */
