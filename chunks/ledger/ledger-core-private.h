/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the core share (ledger-core.c, ledger-group.c, ledger-recover.c, ledger-snapshot.c);
 * nobody else includes it. */
#include "chunks/ledger/ledger-core.h"
#include "chunks/ledger/rights.h"
#include "common/list.h"

enum {
        ACKS_KEPT = 256, /* per writer: as many as a client keeps unanswered */
        DECISIONS_KEPT = 1024,
        INTENTS_MAX = 256, /* open at once; more are refused */
        GROUP_RECORDS = 1024,
        GROUP_BYTES = 256 * 1024,
        CHECKPOINT_ROOM = 2048, /* kept free at the end of a segment for one checkpoint record */
        SEGMENT_META = 40,      /* what META_SEGMENT adds to a record, at most */
        QUEUE_BYTES = 16 * 1024 * 1024,
        SNAPSHOT_DECISIONS = 64,
};
#define NOTE_AFTER_NS       (UINT64_C(20) * 1000 * 1000)
#define CHECKPOINT_EVERY_NS (UINT64_C(10) * 1000 * 1000 * 1000)

typedef struct Kept {
        uint32_t epoch;
        uint64_t seq, index;
        uint8_t hash[32];
} Kept;

typedef struct Writer {
        uint32_t epoch; /* the highest seen or given */
        bool attached;
        bool fresh;           /* nothing appended since it attached: any later seq may come */
        uint64_t last_seq;    /* taken, in that epoch */
        uint64_t durable_seq; /* in that epoch */
        Kept kept[ACKS_KEPT];
        size_t kept_at, kept_n;
        uint64_t tokens, tokens_at_ns; /* byte quota */
} Writer;

typedef struct Decision {
        uint64_t index;
        uint8_t request_id[16], digest[32];
        bool used;
} Decision;

typedef struct Intent {
        LedgerIntent i;
        bool closing; /* an action that refers to it waits */
} Intent;

/* One append that waits, with copies of its views behind it. */
typedef struct Entry {
        List node;
        WriterId writer;
        uint64_t waiter;
        bool own; /* the ledger's: nobody waits */
        Record r;
        uint8_t leaf[32];
        size_t size;
        uint64_t stamp; /* order of arrival */
        char data[];
} Entry;

/* Where the log ends. */
typedef struct Tip {
        Merkle tree;      /* tree.size: the number of records */
        uint8_t hash[32]; /* leaf hash of the last one */
        uint64_t signed_size;
        uint64_t segment, segment_bytes, segment_number, offset;
        bool segment_empty;                 /* its first record is still to come */
        bool no_segment;                    /* not even the first exists */
        uint64_t last_segment, last_offset; /* of the last record */
} Tip;

struct LedgerCore {
        LedgerConfig config;
        LedgerOps ops;
        LedgerState state;
        NoteKey key;
        uint8_t log_id[16];
        Writer writers[_WRITER_MAX];
        Decision decisions[DECISIONS_KEPT];
        size_t decisions_at, decisions_n;
        Intent intents[INTENTS_MAX]; /* ascending by index */
        size_t n_intents, n_intents_waiting;
        Mode mode;
        bool paused;

        List queue;  /* Entry, in order of arrival */
        List flight; /* Entry, in the job that is out */
        size_t queue_bytes;
        uint64_t stamps; /* appends ever queued */

        Tip tip;  /* durable */
        Tip next; /* when the job that is out has succeeded */
        LedgerJob job;
        bool job_out;

        uint64_t dirty;            /* records since the last checkpoint */
        uint64_t checkpoint_at_ns; /* boot time of the last one */
        uint64_t unnoted;          /* records since the note file */
        uint64_t note_at_ns;       /* boot time at which the note file is due */
        bool note_due, checkpoint_asked, final_done;
        char note[NOTE_MAX], note_next[NOTE_MAX];

        bool spare_ready, spare_out;
        int spare_error;
        uint64_t spare_retry_ns;
};

static inline bool kind_is_critical(RecordKind k) {
        return k == RECORD_DECISION || k == RECORD_APPROVAL || k == RECORD_INTENT || k == RECORD_ACTION;
}
static inline bool writer_is_bulk(WriterId w) {
        return w == W_IMMUNE || w == W_MESH;
}

/* Queues a record of the ledger's own. */
int core_queue_own(LedgerCore *core, RecordKind kind, Str body, LedgerNow now);
int core_queue_key(LedgerCore *core, LedgerNow now);
/* A durable record changes what the core knows: on acknowledgement, and when recovery reads it. */
void core_apply(LedgerCore *core, const Record *r, const uint8_t leaf[32]);

/* ---- ledger-snapshot.c: bodies of checkpoint records */
/* frontier and state are added when `whole`. Signs the tree of `tip` into note. */
int snapshot_write(const LedgerCore *core, const Tip *tip, bool whole, Buf *out, char note[NOTE_MAX]);
/* Reads the frontier and the state of a whole one into core->tip.tree and the core's tables; indexes of
 * decisions and open intents to be read again are handed to `again`. -EBADMSG. */
int snapshot_read(LedgerCore *core, Str body, void (*again)(void *user, uint64_t index), void *user);

/* ---- ledger-recover.c */
int core_recover(LedgerCore *core, const LogSource *src, LedgerRecovery *report);
