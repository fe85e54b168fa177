/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a log. The last two segments are read (an acknowledged record can stand in the one before the last
 * only if the last one was begun since); the first record of the older one gives tree and state, the rest is
 * replayed.
 *
 * What is a torn tail and what is damage? A group is written with one sync before anything of it is
 * acknowledged, and the next group only begins after that. So a bad record is torn only if it stands in the
 * last segment, the note file does not cover it, and nothing behind it belongs to a later group: a valid
 * record whose group began after the bad one proves that the bad one was synced once. Everything else is
 * damage and nothing is opened for writing.
 */
#include "chunks/ledger/ledger-core-private.h"
#include "chunks/ledger/note-body.h"
#include "common/json-writer.h"
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGAIN_MAX = SNAPSHOT_DECISIONS + INTENTS_MAX };

typedef struct Recover {
        LedgerCore *core;
        const LogSource *src;
        LedgerRecovery *report;
        LogCursor cursor;
        SegmentHeader header; /* of the segment the cursor is in */
        uint8_t header_hash[32];
        size_t segment; /* that header's */
        bool has_note;
        Note note;
        char note_text[NOTE_MAX + 1];
        uint64_t again[AGAIN_MAX];
        size_t n_again;
} Recover;

__attribute__((format(printf, 2, 3))) static int damaged(Recover *rc, const char *fmt, ...) {
        LedgerRecovery *rep = rc->report;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(rep->reason, sizeof(rep->reason), fmt, ap);
        va_end(ap);
        rep->found = FOUND_DAMAGED;
        rep->index = rc->core->tip.tree.size;
        if (rc->cursor.n > 0) {
                rep->segment = rc->cursor.segments[rc->cursor.at].first;
                rep->offset = rc->cursor.offset;
        }
        return -EUCLEAN;
}

static void remember(void *user, uint64_t index) {
        Recover *rc = user;
        if (rc->n_again < AGAIN_MAX)
                rc->again[rc->n_again++] = index;
}

/* ---- note file and headers */

static int read_note(Recover *rc) {
        int64_t n = rc->src->note(rc->src->user, rc->note_text, NOTE_MAX);
        if (n < 0)
                return (int)n;
        if (n == 0)
                return 0;
        if (note_parse((Str){rc->note_text, (size_t)n}, &rc->note) < 0)
                return damaged(rc, "the checkpoint file is not a note");
        rc->has_note = true;
        return 0;
}

static int read_header(Recover *rc, size_t at) {
        uint8_t buf[SEGMENT_HEADER];
        const char *why = "";
        LogSegment *s = &rc->cursor.segments[at];
        int64_t n = rc->src->read(rc->src->user, s->first, 0, buf, sizeof(buf));
        if (n < 0)
                return (int)n;
        if (segment_header_decode(buf, (size_t)n, &rc->header, &why) < 0)
                return damaged(rc, "segment %llu: %s", (unsigned long long)s->first, why);
        if (rc->header.first != s->first || rc->header.bytes != s->bytes)
                return damaged(rc, "segment %llu: its name or size is not what its header says",
                        (unsigned long long)s->first);
        crypto_hash_sha256(rc->header_hash, buf, sizeof(buf));
        memcpy(rc->core->job.header, buf, sizeof(buf));
        rc->segment = at;
        return 0;
}

/* ---- the first record that is read */

static int use_key(Recover *rc) {
        LedgerCore *core = rc->core;
        char origin[NOTE_ORIGIN_MAX + 1];
        memcpy(core->log_id, rc->header.log_id, 16);
        note_key_from_seed(
                &core->key, ledger_origin(core->log_id, origin, sizeof(origin)), core->config.seed);
        if (rc->has_note && !note_verify(&rc->note, &core->key)) {
                damaged(rc, "the checkpoint file is not signed by this key");
                return -EKEYREJECTED;
        }
        return 0;
}

static int start_at_snapshot(Recover *rc) {
        LedgerCore *core = rc->core;
        Record r;
        Note note;
        char text[NOTE_MAX];
        uint8_t root[32];
        const char *why = "";
        int e = log_cursor_next(&rc->cursor, &r, NULL, &why);
        if (e != 0)
                return e < 0 && e != -EBADMSG
                               ? e
                               : damaged(rc, "the first record of a segment cannot be read: %s", why);
        if (r.kind != RECORD_CHECKPOINT || note_of_body(r.body, text) < 0 ||
                note_parse(str_of(text), &note) < 0 || snapshot_read(core, r.body, remember, rc) < 0)
                return damaged(rc, "a segment does not begin with a checkpoint of the whole state");
        if (!note_verify(&note, &core->key)) {
                damaged(rc, "the first checkpoint of a segment is not signed by this key");
                return -EKEYREJECTED;
        }
        merkle_root(&core->tip.tree, root);
        if (core->tip.tree.size != r.index || note.size != r.index || memcmp(root, note.root, 32) != 0 ||
                memcmp(rc->header.root, root, 32) != 0 || memcmp(r.prev, rc->header.prev, 32) != 0)
                return damaged(rc, "the first checkpoint of a segment contradicts the log");
        memcpy(core->tip.hash, rc->header.prev, 32);
        core->tip.signed_size = note.size;
        return 0;
}

/* Records older than what is replayed, which the snapshot says still matter. */
static int read_again(Recover *rc) {
        LogCursor c;
        int r = log_cursor_init(&c, rc->src);
        for (size_t i = 0; r == 0 && i < rc->n_again; i++) {
                Record rec;
                uint8_t leaf[32];
                const char *why = "";
                r = log_cursor_seek(&c, rc->again[i]);
                if (r == 0)
                        r = log_cursor_next(&c, &rec, leaf, &why);
                if (r == 0 && (rec.kind == RECORD_INTENT || rec.kind == RECORD_DECISION)) {
                        /* What it says is wanted, not its number: the snapshot has newer ones of that writer.
                         */
                        int w = writer_id(rec.meta[META_WRITER]);
                        Writer *saved = w >= 0 ? malloc(sizeof(*saved)) : NULL;
                        if (!saved) {
                                r = w < 0 ? -EBADMSG : -ENOMEM;
                                break;
                        }
                        *saved = rc->core->writers[w];
                        core_apply(rc->core, &rec, leaf);
                        rc->core->writers[w] = *saved;
                        free(saved);
                }
        }
        log_cursor_done(&c);
        if (r == RECORD_END || r == -EBADMSG)
                return damaged(rc, "a record that the state rests on cannot be read");
        return r;
}

/* ---- replay */

static int check_note_at(Recover *rc, const Note *n, const char *what) {
        uint8_t root[32];
        merkle_root(&rc->core->tip.tree, root);
        if (memcmp(root, n->root, 32) != 0)
                return damaged(rc, "%s does not fit the records", what);
        return 0;
}

static int replay_one(Recover *rc, const Record *r, const uint8_t leaf[32], bool first_of_segment) {
        LedgerCore *core = rc->core;
        Str s = r->meta[META_SEGMENT];
        if (memcmp(r->prev, core->tip.hash, 32) != 0)
                return damaged(
                        rc, "record %llu does not follow its predecessor", (unsigned long long)r->index);
        if (first_of_segment ? !s.p || memcmp(s.p, rc->header_hash, 32) != 0 : s.p != NULL)
                return damaged(
                        rc, "record %llu does not fit its segment's header", (unsigned long long)r->index);
        if (rc->has_note && rc->note.size == core->tip.tree.size &&
                check_note_at(rc, &rc->note, "the checkpoint file") < 0)
                return -EUCLEAN;
        if (r->kind == RECORD_CHECKPOINT) {
                char text[NOTE_MAX];
                Note note;
                if (note_of_body(r->body, text) < 0 || note_parse(str_of(text), &note) < 0 ||
                        note.size != r->index || !note_verify(&note, &core->key) ||
                        check_note_at(rc, &note, "a checkpoint record") < 0)
                        return damaged(rc, "checkpoint record %llu does not fit the records",
                                (unsigned long long)r->index);
                core->tip.signed_size = note.size;
                core->dirty = 0;
                memcpy(core->note, text, NOTE_MAX);
        } else
                core->dirty++;
        core_apply(core, r, leaf);
        memcpy(core->tip.hash, leaf, 32);
        merkle_append(&core->tip.tree, leaf);
        core->tip.last_segment = rc->header.first;
        core->tip.last_offset = rc->cursor.frame_offset;
        return 0;
}

/* 0 at a clean end, RECORD_SHORT at a bad record (the cursor stands there), -errno. */
static int replay(Recover *rc, const char **why) {
        for (;;) {
                Record r;
                uint8_t leaf[32];
                int e = log_cursor_next(&rc->cursor, &r, leaf, why);
                if (rc->segment != rc->cursor.at) {
                        int h = read_header(rc, rc->cursor.at);
                        if (h < 0)
                                return h;
                        if (memcmp(rc->header.prev, rc->core->tip.hash, 32) != 0 ||
                                rc->header.first != rc->core->tip.tree.size)
                                return damaged(rc, "segment %llu does not follow its predecessor",
                                        (unsigned long long)rc->header.first);
                }
                if (e == RECORD_END)
                        return 0;
                if (e < 0)
                        return e == -EBADMSG ? RECORD_SHORT : e;
                e = replay_one(rc, &r, leaf, rc->cursor.frame_offset == SEGMENT_HEADER);
                if (e < 0)
                        return e;
        }
}

/* ---- the tail */

static int classify_tail(Recover *rc, const char *why) {
        LedgerCore *core = rc->core;
        LedgerRecovery *rep = rc->report;
        uint64_t bad = core->tip.tree.size;
        LogTail tail;
        int r = log_cursor_tail(&rc->cursor, bad, &tail);
        if (r < 0)
                return r;
        if (tail.used == 0 && rc->cursor.at + 1 == rc->cursor.n)
                return 0;
        if (rc->cursor.at + 1 != rc->cursor.n)
                return damaged(rc, "record %llu: %s", (unsigned long long)bad, why);
        if (rc->has_note && bad < rc->note.size)
                return damaged(rc, "record %llu, which the checkpoint file covers: %s",
                        (unsigned long long)bad, why);
        if (tail.later)
                return damaged(rc, "record %llu: %s, but record %llu behind it was written later",
                        (unsigned long long)bad, why, (unsigned long long)tail.later_index);
        rep->found = FOUND_TORN;
        rep->index = bad;
        rep->segment = rc->cursor.segments[rc->cursor.at].first;
        rep->offset = rc->cursor.offset;
        rep->bytes = tail.used;
        memcpy(rep->sha256, tail.sha256, 32);
        snprintf(rep->reason, sizeof(rep->reason), "%s", why);
        return 0;
}

static int finish(Recover *rc) {
        LedgerCore *core = rc->core;
        Tip *t = &core->tip;
        if (rc->has_note && t->tree.size < rc->note.size)
                return damaged(rc, "the checkpoint file covers %llu records, %llu are here",
                        (unsigned long long)rc->note.size, (unsigned long long)t->tree.size);
        if (rc->has_note && t->tree.size == rc->note.size &&
                check_note_at(rc, &rc->note, "the checkpoint file") < 0)
                return -EUCLEAN;
        if (rc->has_note && rc->note.size > t->signed_size) {
                t->signed_size = rc->note.size;
                memcpy(core->note, rc->note_text, NOTE_MAX);
        }
        t->segment = rc->header.first;
        t->segment_bytes = rc->header.bytes;
        t->segment_number = rc->header.number;
        t->offset = rc->cursor.offset;
        t->segment_empty = t->offset == SEGMENT_HEADER;
        if (rc->report->found != FOUND_TORN)
                rc->report->found = t->tree.size == 0 ? FOUND_EMPTY : FOUND_GOOD;
        return 0;
}

static int recover_segments(Recover *rc) {
        const char *why = "bytes behind the last record are not zero";
        size_t base = rc->cursor.n >= 2 ? rc->cursor.n - 2 : 0;
        int r = log_cursor_resume(&rc->cursor, rc->cursor.segments[base].first, SEGMENT_HEADER,
                rc->cursor.segments[base].first);
        if (r == 0)
                r = read_header(rc, base);
        if (r == 0)
                r = use_key(rc);
        if (r == 0 && base == 0 && rc->header.first != 0)
                return damaged(rc, "the log does not begin with record 0");
        if (r == 0 && rc->header.first > 0) {
                r = start_at_snapshot(rc);
                if (r == 0)
                        r = read_again(rc);
                if (r == 0)
                        r = log_cursor_resume(
                                &rc->cursor, rc->header.first, SEGMENT_HEADER, rc->header.first);
        }
        if (r == 0)
                r = replay(rc, &why);
        if (r >= 0)
                r = classify_tail(rc, why);
        return r < 0 ? r : finish(rc);
}

int core_recover(LedgerCore *core, const LogSource *src, LedgerRecovery *report) {
        memset(report, 0, sizeof(*report));
        Recover *rc = calloc(1, sizeof(*rc));
        if (!rc)
                return -ENOMEM;
        rc->core = core;
        rc->src = src;
        rc->report = report;
        int r = read_note(rc);
        if (r == 0) {
                r = log_cursor_init(&rc->cursor, src);
                if (r == -ENOENT) {
                        core->tip.no_segment = true;
                        report->found = FOUND_EMPTY;
                        r = rc->has_note && rc->note.size > 0
                                    ? damaged(rc, "there is a checkpoint file but no segment")
                                    : 0;
                } else if (r == 0)
                        r = recover_segments(rc);
        }
        log_cursor_done(&rc->cursor);
        free(rc);
        return r;
}

/* ---- open */

static int queue_recovery(LedgerCore *core, const LedgerRecovery *rep, LedgerNow now) {
        Buf body = BUF_INIT(4096);
        JsonWriter w;
        json_init(&w, &body, true);
        json_object_begin(&w);
        json_kv_u64(&w, "bytes", rep->bytes);
        json_kv_u64(&w, "index", rep->index);
        json_kv_u64(&w, "offset", rep->offset);
        json_kv_str(&w, "reason", rep->reason);
        json_kv_u64(&w, "segment", rep->segment);
        json_key(&w, "sha256");
        json_hex(&w, rep->sha256, 32);
        json_kv_str(&w, "type", "torn_tail");
        json_object_end(&w);
        int r = json_finish(&w);
        if (r == 0)
                r = core_queue_own(core, RECORD_RECOVERY, (Str){(const char *)body.data, body.len}, now);
        buf_done(&body);
        return r;
}

static int begin_life(
        LedgerCore *core, const LedgerStorage *storage, const LedgerRecovery *rep, LedgerNow now) {
        int r = 0;
        if (rep->found == FOUND_TORN)
                r = storage->quarantine(storage->user, rep->segment, rep->offset, rep->bytes);
        if (r < 0)
                return r;
        if (core->tip.no_segment) {
                char origin[NOTE_ORIGIN_MAX + 1];
                memcpy(core->log_id, core->config.fresh_log_id, 16);
                note_key_from_seed(
                        &core->key, ledger_origin(core->log_id, origin, sizeof(origin)), core->config.seed);
        }
        Writer *own = &core->writers[W_LEDGER];
        own->epoch++;
        own->last_seq = own->durable_seq = 0;
        if (core->tip.tree.size == 0)
                r = core_queue_key(core, now);
        if (r == 0 && rep->found == FOUND_TORN)
                r = queue_recovery(core, rep, now);
        return r;
}

int ledger_core_open(const LogSource *src, const LedgerStorage *storage, const LedgerConfig *config,
        const LedgerOps *ops, LedgerNow now, LedgerCore **ret, LedgerRecovery *report) {
        LedgerCore *core = calloc(1, sizeof(*core));
        if (!core)
                return -ENOMEM;
        core->config = *config;
        core->ops = *ops;
        core->job.data = BUF_INIT(GROUP_BYTES + 4 * RECORD_MAX);
        core->checkpoint_at_ns = now.boot_ns;
        list_init(&core->queue);
        list_init(&core->flight);
        int r = core_recover(core, src, report);
        if (r == 0)
                r = begin_life(core, storage, report, now);
        if (r < 0) {
                ledger_core_free(core);
                return r;
        }
        *ret = core;
        return 0;
}

void ledger_core_free(LedgerCore *core) {
        if (!core)
                return;
        List *lists[] = {&core->flight, &core->queue};
        for (unsigned i = 0; i < 2; i++)
                LIST_FOREACH_SAFE (it, nx, lists[i])
                        free(container_of(it, Entry, node));
        buf_done(&core->job.data);
        sodium_memzero(core, sizeof(*core));
        free(core);
}
