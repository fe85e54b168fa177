/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit. A job is built on a copy of the log's end (`next`), which becomes the end when the job has
 * succeeded; so a failed job leaves nothing half known. A group never crosses a segment: what doesn't fit
 * waits for the next job, which then begins a segment. The first record of a segment (but the first) is a
 * checkpoint with the whole state.
 */
#include "chunks/ledger/ledger-core-private.h"
#include "common/json-writer.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static uint64_t segment_min(const LedgerCore *core) {
        return core->config.segment_min ? core->config.segment_min : SEGMENT_SIZE_MIN;
}

static uint64_t next_segment_bytes(const LedgerCore *core) {
        uint64_t max = core->config.segment_max ? core->config.segment_max : SEGMENT_SIZE_MAX;
        if (core->tip.no_segment)
                return segment_min(core);
        return core->tip.segment_bytes * 2 > max ? max : core->tip.segment_bytes * 2;
}

/* ---- adding one record to the job */

static int put_record(LedgerCore *core, Entry *e, uint32_t *group) {
        Record *r = &e->r;
        Tip *t = &core->next;
        uint8_t header_hash[32];
        size_t n;
        r->index = t->tree.size;
        r->group = (*group)++;
        if (e->own) /* numbered in the order they are written */
                r->seq = ++core->writers[W_LEDGER].last_seq;
        memcpy(r->prev, t->hash, 32);
        if (t->segment_empty) {
                crypto_hash_sha256(header_hash, core->job.header, SEGMENT_HEADER);
                r->meta[META_SEGMENT] = (Str){(const char *)header_hash, 32};
                t->segment_empty = false;
        }
        n = record_size(r);
        int error = buf_reserve(&core->job.data, n);
        if (error < 0)
                return error;
        record_encode(r, core->job.data.data + core->job.data.len, e->leaf);
        core->job.data.len += n;
        r->meta[META_SEGMENT] = (Str){NULL, 0};
        memcpy(t->hash, e->leaf, 32);
        merkle_append(&t->tree, e->leaf);
        t->last_segment = t->segment;
        t->last_offset = t->offset;
        t->offset += n;
        return 0;
}

/* An entry of its own, so that it is applied and kept like any other when it is durable. */
static int put_checkpoint(LedgerCore *core, bool whole, uint32_t *group, LedgerNow now) {
        Buf body = BUF_INIT(RECORD_BODY_MAX);
        int r = snapshot_write(core, &core->next, whole, &body, core->note_next);
        uint64_t size = core->next.tree.size;
        if (r == 0)
                r = core_queue_own(core, RECORD_CHECKPOINT, (Str){(const char *)body.data, body.len}, now);
        buf_done(&body);
        if (r < 0)
                return r;
        Entry *e = container_of(core->queue.prev, Entry, node);
        list_remove(&e->node);
        core->queue_bytes -= e->size;
        list_append(&core->flight, &e->node);
        r = put_record(core, e, group);
        if (r == 0)
                core->next.signed_size = size;
        return r;
}

/* ---- a new segment */

static void begin_segment(LedgerCore *core, LedgerNow now) {
        Tip *t = &core->next;
        SegmentHeader h = {.number = t->no_segment ? 0 : t->segment_number + 1,
                .first = t->tree.size,
                .created_ns = now.wall_ns,
                .tree_size = t->tree.size,
                .bytes = next_segment_bytes(core)};
        memcpy(h.log_id, core->log_id, 16);
        memcpy(h.boot_id, core->config.boot_id, 16);
        memcpy(h.prev, t->hash, 32);
        merkle_root(&t->tree, h.root);
        segment_header_encode(&h, core->job.header);
        core->job.create = true;
        t->segment = h.first;
        t->segment_bytes = h.bytes;
        t->segment_number = h.number;
        t->offset = SEGMENT_HEADER;
        t->segment_empty = true;
        t->no_segment = false;
}

/* ---- which entries */

static bool in_reserve(const LedgerCore *core, uint64_t end) {
        return !core->spare_ready && end > core->next.segment_bytes / 4 * 3;
}

/* Bulk writers wait when they would eat into the last quarter before the spare is there. */
static bool takes(const LedgerCore *core, const Entry *e, uint64_t end) {
        return core->state == LEDGER_STOPPING || !writer_is_bulk(e->writer) || !in_reserve(core, end) ||
               core->next.segment_bytes < SEGMENT_SIZE_MIN;
}

static Entry *first_taken(LedgerCore *core) {
        LIST_FOREACH (it, &core->queue) {
                Entry *e = container_of(it, Entry, node);
                if (takes(core, e, core->next.offset + e->size))
                        return e;
        }
        return NULL;
}

static bool checkpoint_due(const LedgerCore *core, LedgerNow now) {
        if (core->checkpoint_asked)
                return true;
        if (core->dirty == 0)
                return false;
        return core->dirty >= GROUP_RECORDS || now.boot_ns >= core->checkpoint_at_ns + CHECKPOINT_EVERY_NS;
}

static bool fits(const LedgerCore *core, size_t more) {
        return core->next.offset + more + SEGMENT_META + CHECKPOINT_ROOM <= core->next.segment_bytes;
}

static int put_entries(LedgerCore *core, uint32_t *group, bool *critical) {
        LIST_FOREACH_SAFE (it, nx, &core->queue) {
                Entry *e = container_of(it, Entry, node);
                if (*group >= GROUP_RECORDS || core->job.data.len + e->size > GROUP_BYTES ||
                        !fits(core, e->size))
                        break;
                if (!takes(core, e, core->next.offset + e->size))
                        continue;
                list_remove(&e->node);
                core->queue_bytes -= e->size;
                list_append(&core->flight, &e->node);
                int r = put_record(core, e, group);
                if (r < 0)
                        return r;
                *critical = *critical || kind_is_critical(e->r.kind);
        }
        return 0;
}

static int build_group(LedgerCore *core, bool due, LedgerNow now) {
        uint32_t group = 0;
        bool critical = false, fresh = core->next.segment_empty || core->next.no_segment;
        const Entry *first = first_taken(core);
        if (core->next.no_segment || (!fresh && !fits(core, first ? first->size : 0))) {
                begin_segment(core, now);
                fresh = true;
        }
        core->job.segment = core->next.segment;
        core->job.segment_bytes = core->next.segment_bytes;
        core->job.offset = core->next.offset;
        int r = 0;
        bool whole = fresh && core->next.tree.size > 0;
        if (whole)
                r = put_checkpoint(core, true, &group, now);
        if (r == 0)
                r = put_entries(core, &group, &critical);
        if (r == 0 && (critical || (due && !whole)))
                r = put_checkpoint(core, false, &group, now);
        return r == 0 && group == 0 ? -EMSGSIZE : r;
}

/* ---- jobs */

static void drop(LedgerCore *core, Entry *e, const char *code) {
        LedgerAck ack = {.seq = e->r.seq};
        list_remove(&e->node);
        if (!e->own)
                core->ops.ack(core->ops.user, e->waiter, code, &ack);
        free(e);
}

static void fail(LedgerCore *core) {
        core->state = LEDGER_FAILED;
        while (!list_empty(&core->flight))
                drop(core, container_of(core->flight.next, Entry, node), "ledger_failed");
        while (!list_empty(&core->queue))
                drop(core, container_of(core->queue.next, Entry, node), "ledger_failed");
        core->queue_bytes = 0;
}

static LedgerJob *note_job(LedgerCore *core) {
        core->job.type = LEDGER_JOB_NOTE;
        memcpy(core->job.note, core->note, NOTE_MAX);
        core->job_out = true;
        return &core->job;
}

/* A little after the checkpoint, so that a chain of decision, intent and action pays for one file and not for
 * three. */
static bool note_wanted(const LedgerCore *core, LedgerNow now) {
        return core->note_due && core->note[0] &&
               (core->unnoted >= GROUP_RECORDS || now.boot_ns >= core->note_at_ns);
}

/* The last thing of an orderly end: a note over everything, its checkpoint record included. */
static LedgerJob *final_job(LedgerCore *core) {
        uint8_t root[32];
        const NoteKey *keys[] = {&core->key};
        merkle_root(&core->tip.tree, root);
        if (note_sign(keys, 1, core->key.name, core->tip.tree.size, root, core->note, NOTE_MAX) < 0) {
                fail(core);
                return NULL;
        }
        core->tip.signed_size = core->tip.tree.size;
        return note_job(core);
}

LedgerJob *ledger_core_job(LedgerCore *core, LedgerNow now) {
        if (core->job_out || core->state == LEDGER_FAILED || core->state == LEDGER_STOPPED)
                return NULL;
        bool stopping = core->state == LEDGER_STOPPING && list_empty(&core->queue);
        if (stopping && core->final_done)
                return final_job(core);
        if (note_wanted(core, now) && !stopping)
                return note_job(core);
        core->next = core->tip;
        bool due = checkpoint_due(core, now) || stopping;
        if (!due && !first_taken(core))
                return NULL;
        core->job.type = LEDGER_JOB_WRITE;
        core->job.create = false;
        core->job.data.len = 0;
        int r = build_group(core, due, now);
        if (r < 0) {
                fail(core);
                return NULL;
        }
        core->checkpoint_asked = false;
        if (stopping)
                core->final_done = true;
        core->job_out = true;
        return &core->job;
}

int ledger_job_run(const LedgerStorage *storage, const LedgerJob *job) {
        if (job->type == LEDGER_JOB_NOTE)
                return storage->write_note(storage->user, str_of(job->note));
        int r = 0;
        if (job->create)
                r = storage->create(storage->user, job->segment, job->segment_bytes, job->header);
        if (r == 0)
                r = storage->write(storage->user, job->segment, job->offset, job->data.data, job->data.len);
        if (r == 0)
                r = storage->sync(storage->user, job->segment);
        return r;
}

static void note_done(LedgerCore *core) {
        core->note_due = false;
        core->unnoted = 0;
        if (core->state == LEDGER_STOPPING && core->final_done && list_empty(&core->queue))
                core->state = LEDGER_STOPPED;
}

static void group_done(LedgerCore *core, LedgerNow now) {
        bool checkpoint = core->next.signed_size != core->tip.signed_size;
        if (core->job.create)
                core->spare_ready = false;
        core->tip = core->next;
        if (checkpoint) {
                memcpy(core->note, core->note_next, NOTE_MAX);
                core->checkpoint_at_ns = now.boot_ns;
                if (!core->note_due)
                        core->note_at_ns = now.boot_ns + NOTE_AFTER_NS;
                core->note_due = true;
        }
        while (!list_empty(&core->flight)) {
                Entry *e = container_of(core->flight.next, Entry, node);
                list_remove(&e->node);
                core_apply(core, &e->r, e->leaf);
                core->unnoted++;
                if (e->r.kind == RECORD_INTENT)
                        core->n_intents_waiting--;
                if (e->r.kind == RECORD_CHECKPOINT)
                        core->dirty = 0;
                else if (core->dirty++ == 0)
                        core->checkpoint_at_ns = now.boot_ns;
                LedgerAck ack = {.seq = e->r.seq,
                        .index = e->r.index,
                        .size = core->tip.tree.size,
                        .signed_size = core->tip.signed_size};
                memcpy(ack.hash, e->leaf, 32);
                if (!e->own)
                        core->ops.ack(core->ops.user, e->waiter, "ok", &ack);
                free(e);
        }
}

void ledger_core_job_done(LedgerCore *core, LedgerJob *job, int error, LedgerNow now) {
        core->job_out = false;
        if (error < 0)
                fail(core);
        else if (job->type == LEDGER_JOB_NOTE)
                note_done(core);
        else
                group_done(core, now);
}

uint64_t ledger_core_wants_spare(LedgerCore *core, LedgerNow now) {
        if (core->spare_ready || core->spare_out || core->state != LEDGER_READY || core->tip.no_segment)
                return 0;
        if (core->tip.offset < core->tip.segment_bytes / 2)
                return 0;
        if (core->spare_error < 0 && now.boot_ns < core->spare_retry_ns)
                return 0;
        core->spare_out = true;
        return next_segment_bytes(core);
}

void ledger_core_spare_done(LedgerCore *core, int error, LedgerNow now) {
        core->spare_out = false;
        core->spare_ready = error == 0;
        core->spare_error = error;
        core->spare_retry_ns = now.boot_ns + CHECKPOINT_EVERY_NS;
        if (error == 0)
                return;
        LIST_FOREACH_SAFE (it, nx, &core->queue) {
                Entry *e = container_of(it, Entry, node);
                if (!writer_is_bulk(e->writer))
                        continue;
                core->queue_bytes -= e->size;
                drop(core, e, "ledger_full");
        }
}

uint64_t ledger_core_deadline(const LedgerCore *core) {
        uint64_t at = UINT64_MAX;
        if (core->state != LEDGER_READY && core->state != LEDGER_STOPPING)
                return at;
        if (core->dirty > 0)
                at = core->checkpoint_at_ns + CHECKPOINT_EVERY_NS;
        if (core->note_due && core->note_at_ns < at)
                at = core->note_at_ns;
        if (core->spare_error < 0 && !core->spare_out && core->spare_retry_ns < at)
                at = core->spare_retry_ns;
        return at;
}

void ledger_core_checkpoint(LedgerCore *core) {
        core->checkpoint_asked = true;
}

void ledger_core_stop(LedgerCore *core) {
        if (core->state == LEDGER_READY)
                core->state = LEDGER_STOPPING;
}

int core_queue_key(LedgerCore *core, LedgerNow now) {
        Buf body = BUF_INIT(4096);
        char vkey[NOTE_VKEY_MAX];
        JsonWriter w;
        json_init(&w, &body, true);
        json_object_begin(&w);
        json_kv_str(&w, "algorithm", "ed25519");
        json_key(&w, "log_id");
        json_hex(&w, core->log_id, 16);
        json_kv_str(&w, "machine_id", core->config.machine_id);
        json_kv_str(&w, "origin", core->key.name);
        json_key(&w, "public_key");
        json_hex(&w, core->key.pub, 32);
        json_kv_str(&w, "verifier_key", note_key_text(&core->key, vkey, sizeof(vkey)));
        json_object_end(&w);
        int r = json_finish(&w);
        if (r == 0)
                r = core_queue_own(core, RECORD_KEY, (Str){(const char *)body.data, body.len}, now);
        buf_done(&body);
        return r;
}
