/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Guardian as a writer of the ledger: numbers appends, keeps every one until it is acknowledged, sends it
 * again with the same number after the ledger restarted (appends are idempotent by
 * writer, epoch, seq), and holds lifecycle records (boot, unit) in a ring of 256 while the ledger is away or
 * slow; what the ring had to overwrite becomes one counted `loss` record. Pure:
 * messages leave through `send`, time comes in.
 */
#include "common/list.h"
#include "common/msg.h"
#include "common/vocab.h"

enum {
        RECORD_RING_MAX = 256,     /* lifecycle records held */
        RECORD_CRITICAL_MAX = 256, /* approval, intent, action, config, recovery: waiting or unacknowledged */
        RECORD_RESERVE = 128,      /* beyond it, for what must not be lost (void, expiry, outcomes) */
        RECORD_WINDOW_MAX = 64,    /* lifecycle records in flight */
        RECORD_QUEUE_BODY_MAX = 48 * 1024,
};

/* One record as its maker says it; strings are copied. */
typedef struct RecordFields {
        RecordKind kind;
        const uint8_t *request_id; /* 16 bytes or NULL */
        const uint8_t *digest;     /* 32 bytes or NULL */
        uint64_t ref;              /* index of the record it answers, UINT64_MAX: none */
        const char *actor, *action, *resource, *subsystem, *correlation_id, *result; /* NULL: absent */
        Str body; /* canonical JSON object */
} RecordFields;

typedef struct RecordQueue {
        List flying;  /* sent or to be sent again, in order of seq */
        List waiting; /* critical ones not yet numbered */
        List ring;    /* lifecycle ones not yet numbered */
        unsigned n_critical, n_ring, n_flying_lifecycle;
        uint64_t lost, lost_first_ns, lost_last_ns; /* overwritten in the ring since the last loss record */
        uint64_t lost_total;
        bool attached;
        uint64_t epoch, next_seq;
        uint64_t acked_index; /* UINT64_MAX: none yet */
        uint8_t acked_hash[32];
        int (*send)(void *user, const MsgBuilder *b,
                Str payload); /* 0 or -errno: then the link is as good as lost */
        void *user;
} RecordQueue;

void record_queue_init(RecordQueue *q, int (*send)(void *user, const MsgBuilder *b, Str payload), void *user);
void record_queue_done(RecordQueue *q);
/*
 * Queues one record and sends it if the ledger is attached. token comes back with its acknowledgement; 0:
 * nobody waits. must: may use the reserve. Lifecycle kinds (boot, unit) overwrite the oldest when the ring is
 * full and never fail but for memory. 0, -ENOBUFS, -ENOMEM, -EMSGSIZE (body).
 */
int record_queue_push(
        RecordQueue *q, const RecordFields *f, uint64_t token, bool must, uint64_t boot_us, uint64_t wall_ns);
/* Writes the ATTACH of this writer: its epoch (0 asks for one) and the highest acknowledged record. */
void record_queue_attach(const RecordQueue *q, MsgBuilder *b);
/* The ledger attached us: seq is the highest it has of this epoch. Sends again what is unacknowledged, then
 * what waits. renumber: it is a new instance. */
void record_queue_attached(RecordQueue *q, uint64_t epoch, uint64_t seq, bool renumber, uint64_t boot_us);
void record_queue_lost(RecordQueue *q);
/* It could not be taken now: it goes back to those that wait, under a new number; nothing is sent until the
 * queue is attached again. 1: no such record in flight. */
int record_queue_retry(RecordQueue *q, uint64_t seq);
/* An acknowledgement (or refusal, hash NULL) of seq. 0 with the record's token and kind; 1: no such record in
 * flight. */
int record_queue_ack(RecordQueue *q, uint64_t seq, uint64_t index, const uint8_t *hash, uint64_t boot_us,
        uint64_t *token, RecordKind *kind);
/* Boot time of the oldest sending that is unanswered; UINT64_MAX: none. */
uint64_t record_queue_oldest(const RecordQueue *q);
size_t record_queue_pending(const RecordQueue *q);
