/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Records of the ledger as lines of JSON, from the running ledger over its stream,
 * or from the files of a state directory. One walk for `ledger query`, `events`, `why`.
 */
#include "common/json/json-read.h"
#include "guardian/ctl/ctl.h"

enum { RECORD_LINE_MAX = 512 * 1024 }; /* bytes of one record as JSON */

typedef struct RecordQuery {
        uint64_t kinds; /* bit mask 1 << RecordKind, 0: all */
        const char *writer, *actor, *action, *resource, *correlation_id; /* NULL: any */
        const char *pattern;         /* that the action must fit (types of events), NULL: any */
        const uint8_t *request_id;   /* 16 bytes or NULL */
        uint64_t since_ns, until_ns; /* 0, UINT64_MAX: any */
        uint64_t from;               /* first index */
        uint64_t limit;              /* 0: none */
        bool newest;                 /* the newest `limit`, still oldest first */
        bool silent;                 /* no word on stderr when there is no ledger to ask */
} RecordQuery;

enum { RECORDS_MAX = 1000000 }; /* of a `newest` */

/* line: one JSON object. Return non-zero to stop. */
typedef int (*RecordLineFn)(Ctl *c, Str line, void *user);
/* From the running ledger, or from files (offline_wanted()). CTL_OK, or a status after saying why. */
int records_walk(Ctl *c, const RecordQuery *q, RecordLineFn fn, void *user);
/* True when the pattern of q lets an action pass. */
bool record_action_fits(const RecordQuery *q, Str action);
/* Events on record as envelopes, newest `limit` of those whose type fits the pattern. */
int records_events(Ctl *c, const char *pattern, uint64_t limit);

/* The envelope of an event's record, as `events` prints it. 0, -errno. */
int record_envelope(const json_t *r, Buf *out);

/* The newest `cap` lines, as copies. */
typedef struct RecordRing {
        char **lines; /* NULL: not in use */
        uint64_t n, cap;
} RecordRing;
int record_ring_init(RecordRing *k, uint64_t cap); /* -ENOMEM */
int record_ring_add(RecordRing *k, Str line);      /* -ENOMEM */
/* Hands them out, oldest first, until fn says stop; frees all of it. */
void record_ring_flush(Ctl *c, RecordRing *k, RecordLineFn fn, void *user);
