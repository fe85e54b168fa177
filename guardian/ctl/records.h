/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Records of the ledger as lines of JSON (interfaces.md section 4), from the running ledger over its stream, or from the files of
 * a state directory. One walk for `ledger query`, `events`, `why`.
 */
#include "guardian/ctl/ctl.h"

typedef struct RecordQuery {
        uint64_t kinds;        /* bit mask 1 << RecordKind, 0: all */
        const char *writer, *actor, *action, *resource, *correlation_id; /* NULL: any */
        const uint8_t *request_id; /* 16 bytes or NULL */
        uint64_t since_ns, until_ns; /* 0, UINT64_MAX: any */
        uint64_t from;         /* first index */
        uint64_t limit;        /* 0: none */
        bool newest;           /* the newest `limit`, still oldest first */
        bool offline;          /* read c->state even if Guardian runs */
} RecordQuery;

/* line: one JSON object. Return non-zero to stop. */
typedef int (*RecordLineFn)(Ctl *c, Str line, void *user);
/* CTL_OK, or a status after saying why. */
int records_walk(Ctl *c, const RecordQuery *q, RecordLineFn fn, void *user);
/* Events on record, newest `limit` of those whose type fits the pattern. */
int records_events(Ctl *c, const char *pattern, uint64_t limit);
