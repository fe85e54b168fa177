/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The ledger's mind: who may write what, in which order, what binds an intent to a decision, when is
 * something durable. Pure: time is an argument, the disk is a job that somebody else runs. The cycle of its
 * owner (shell or simulator):
 *
 *     while ((job = ledger_core_job(core, now)) != NULL) {   at most one write job is out at a time
 *             error = ledger_job_run(storage, job);          blocking: on a work thread
 *             ledger_core_job_done(core, job, error, now);   acknowledges through ops->ack, in order
 *     }
 *
 * Group commit: everything that waits when a job is made goes into one write and one sync (at most 1024
 * records, 256 KiB). A group that holds a decision, approval, intent or action ends with a signed checkpoint
 * record. An acknowledgement is only given after the sync. The first failed write, sync or segment creation
 * makes the core FAILED: every waiter is refused, nothing is tried again: a part that may have lied about one
 * sync is not asked for another.
 *
 * Contract with writers on header fields (bodies are never parsed):
 *   - a decision's verdict bits are VERDICT_BIT_*; an intent's ref is its decision, with the same request id
 * and digest; an action's ref is its intent, with the same request id (and digest, if it carries one);
 *   - a config record names what it configures in ACTION: governance writes "policy" or "policy.*" and
 * nothing else, Guardian all others. Guardian's ACTION "mode" carries the new mode in RESULT, "pause" and
 * "resume" the pause: ATTACHED tells Guardian the last of each.
 */
#include "chunks/ledger/log-reader.h"
#include "chunks/ledger/merkle.h"
#include "chunks/ledger/note.h"
#include "chunks/ledger/record.h"
#include "common/buf.h"

/* ---- the disk. Every call may block. A failure is -errno. */
typedef struct LedgerStorage {
        void *user;
        /* A new segment: zeros of that size behind the header, durable under its name when this returns. */
        int (*create)(void *user, uint64_t first, uint64_t bytes, const uint8_t header[SEGMENT_HEADER]);
        int (*write)(void *user, uint64_t first, uint64_t offset, const void *p, size_t n);
        int (*sync)(void *user, uint64_t first);
        /* A zeroed file of that size, ready to become a segment by create(). */
        int (*make_spare)(void *user, uint64_t bytes);
        /* Replaces the note file, durable and atomic. */
        int (*write_note)(void *user, Str note);
        /* Keeps a copy of these bytes under a name of its own, then zeroes them to the end of the segment,
         * durable. */
        int (*quarantine)(void *user, uint64_t first, uint64_t offset, uint64_t n);
} LedgerStorage;

typedef struct LedgerNow {
        uint64_t wall_ns, boot_ns;
} LedgerNow;

typedef struct LedgerConfig {
        uint8_t seed[32]; /* of the signing key; the key's name is ledger_origin() of the log */
        uint8_t boot_id[16];
        char machine_id[65];               /* "" when the machine has none */
        uint8_t fresh_log_id[16];          /* for a new log */
        uint64_t segment_min, segment_max; /* 0: the defaults */
} LedgerConfig;

typedef enum LedgerState { LEDGER_READY, LEDGER_FAILED, LEDGER_STOPPING, LEDGER_STOPPED } LedgerState;
const char *ledger_state_to_string(LedgerState s); /* "ready", "failed", "stopping", "stopped" */

typedef struct LedgerAck {
        uint64_t seq, index;
        uint8_t hash[32];
        uint64_t size, signed_size;
} LedgerAck;

typedef struct LedgerOps {
        /* code "ok": durable. Else "ledger_failed", ack->seq alone is set. waiter: as given to
         * ledger_core_append(). */
        void (*ack)(void *user, uint64_t waiter, const char *code, const LedgerAck *ack);
        void *user;
} LedgerOps;

typedef struct LedgerHead {
        uint64_t size, signed_size; /* durable */
        uint8_t root[32], hash[32]; /* of the whole durable tree; leaf hash of its last record */
        LedgerState state;
        char note[NOTE_MAX]; /* the last signed one, "" before the first */
} LedgerHead;

/* ---- recovery. recover.c reads the newest segments and says what it found. */
typedef enum LedgerFound { FOUND_EMPTY, FOUND_GOOD, FOUND_TORN, FOUND_DAMAGED } LedgerFound;
typedef struct LedgerRecovery {
        LedgerFound found;
        char reason[200];                /* TORN, DAMAGED: what, in words */
        uint64_t index;                  /* of the first bad record */
        uint64_t segment, offset, bytes; /* where it is; TORN: how much is cut off */
        uint8_t sha256[32];              /* of what is cut off */
} LedgerRecovery;

typedef struct LedgerCore LedgerCore;
/*
 * Opens a log. report->found says how it was: EMPTY makes a new one (record 0 `key` is the first job), TORN
 * needs storage->quarantine() for the bytes named, done here, and appends a `recovery` record. 0; -EUCLEAN
 * with FOUND_DAMAGED (no core is made: an operator must repair), -EKEYREJECTED when the key isn't the log's,
 * -errno. ops is copied.
 */
int ledger_core_open(const LogSource *src, const LedgerStorage *storage, const LedgerConfig *config,
        const LedgerOps *ops, LedgerNow now, LedgerCore **ret, LedgerRecovery *report);
void ledger_core_free(LedgerCore *core);

typedef struct LedgerAttached {
        const char
                *code; /* ok, ledger_rollback, E.CONFLICT (an epoch from the past), E.FORBIDDEN (no writer) */
        uint32_t epoch;
        uint64_t seq; /* highest of this writer and epoch, 0: none */
        uint64_t size, signed_size;
        uint8_t root[32];
        Mode mode; /* MODE_NONE: none is recorded */
        bool paused;
} LedgerAttached;
/* epoch 0 asks for a new one. hash NULL: the writer holds no acknowledgement. After it, seq must follow
 * without a gap. */
void ledger_core_attach(LedgerCore *core, const char *writer, uint32_t epoch, uint64_t index,
        const uint8_t *hash, LedgerAttached *ret);

/* Intents without an action, oldest first. Returns false at the end. */
typedef struct LedgerIntent {
        uint64_t index, ref;
        uint8_t request_id[16], digest[32];
        char action[65], resource[161], correlation_id[81], actor[161];
} LedgerIntent;
bool ledger_core_open_intent(const LedgerCore *core, size_t at, const LedgerIntent **ret);

/*
 * r: kind, meta (META_WRITER: who the pipe says it is), epoch, seq, ids, ref, bits, body; the core fills the
 * rest. Returns NULL: it waits, ops->ack will say; "ok": known already, *ack is filled (a repeated append);
 * else the refusal: E.VALIDATION, E.FORBIDDEN, E.CONFLICT (gap, old epoch, not attached), intent_refused,
 * ledger_failed, ledger_full, E.RATE_LIMIT, busy; E.UNAVAILABLE while stopping: the next
 * instance will take it under the same number, so the writer should hear nothing. *why (may be NULL) is a
 * static text. Views of r are copied.
 */
const char *ledger_core_append(
        LedgerCore *core, const Record *r, uint64_t waiter, LedgerNow now, LedgerAck *ack, const char **why);

typedef enum LedgerJobType { LEDGER_JOB_WRITE, LEDGER_JOB_NOTE } LedgerJobType;
typedef struct LedgerJob {
        LedgerJobType type;
        bool create; /* make the segment first */
        uint64_t segment, offset, segment_bytes;
        uint8_t header[SEGMENT_HEADER];
        Buf data;
        char note[NOTE_MAX];
} LedgerJob;
/* The next thing to do, or NULL: nothing to do, or one is out. Owned by the core; valid until
 * ledger_core_job_done(). */
LedgerJob *ledger_core_job(LedgerCore *core, LedgerNow now);
int ledger_job_run(const LedgerStorage *storage, const LedgerJob *job);
void ledger_core_job_done(LedgerCore *core, LedgerJob *job, int error, LedgerNow now);
/* Size of the spare segment that should be made now, beside any job, or 0. Tell the outcome: 0 or -errno. */
uint64_t ledger_core_wants_spare(LedgerCore *core, LedgerNow now);
void ledger_core_spare_done(LedgerCore *core, int error, LedgerNow now);
/* Boot time, ns, at which ledger_core_job() should be asked again although nothing was appended; UINT64_MAX:
 * never. */
uint64_t ledger_core_deadline(const LedgerCore *core);

/* A checkpoint record as the next job, whatever is in it. */
void ledger_core_checkpoint(LedgerCore *core);
/* Orderly end: appends are refused, what waits is committed, a checkpoint record and a note over all of it
 * follow. */
void ledger_core_stop(LedgerCore *core);
LedgerState ledger_core_state(const LedgerCore *core);
void ledger_core_head(const LedgerCore *core, LedgerHead *ret);
/*
 * Whether every append of a writer that was taken when ledger_core_stamp() gave `stamp` is durable or
 * refused. A writer's question waits for that: a new instance that folds the log must see what its
 * predecessor had sent.
 */
uint64_t ledger_core_stamp(const LedgerCore *core);
bool ledger_core_settled(const LedgerCore *core, const char *writer, uint64_t stamp);
/* Reads the last record and the last checkpoint back from disk: is it what is in memory, does the signature
 * hold? 0, or -EUCLEAN, -errno with `why`. Blocking, one read. */
int ledger_core_self_test(const LedgerCore *core, const LogSource *src, char *why, size_t cap);
/* The log's verifier key and id. */
const NoteKey *ledger_core_key(const LedgerCore *core);
const uint8_t *ledger_core_log_id(const LedgerCore *core);
/* "guardian.local/ledger/" and the log id in hex. cap > NOTE_ORIGIN_MAX. Returns out. */
char *ledger_origin(const uint8_t log_id[16], char *out, size_t cap);
