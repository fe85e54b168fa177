/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's files as records: one walk with a cursor, no paging, memory for one record. */
#include "guardian/ctl/offline.h"
#include "chunks/ledger/merkle.h"
#include "chunks/ledger/note-body.h"
#include "chunks/ledger/query.h"
#include "chunks/ledger/record-json.h"
#include "common/cleanup.h"
#include "common/json-writer.h"
#include "common/json/json-read.h"
#include "guardian/ctl/show.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

static int read_note(LogFiles *f) {
        Note note;
        int64_t n = f->src.note(f->src.user, f->note, NOTE_MAX);
        if (n < 0)
                return (int)n;
        f->note[n] = 0;
        f->noted = n > 0 && note_parse(str_of(f->note), &note) == 0 ? note.size : 0;
        return 0;
}

int log_files_open(LogFiles *f, const char *state_dir) {
        memset(f, 0, sizeof(*f));
        snprintf(f->path, sizeof(f->path), "%s/ledger", state_dir);
        int r = log_dir_open(&f->dir, &f->src, f->path);
        if (r < 0)
                return r;
        r = read_note(f);
        if (r < 0)
                log_dir_close(&f->dir);
        return r;
}

void log_files_close(LogFiles *f) {
        log_dir_close(&f->dir);
}

bool log_files_live(const LogFiles *f) {
        /* the lock's holder writes; a shared try that succeeds is given back at once by the close */
        auto_close int fd = openat(f->dir.fd, "LOCK", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* ---- which directory */

static void on_version(Ctl *c, const CtlAnswer *a, void *user) {
        auto_json json_t *d = NULL;
        (void)user;
        if (json_read(a->body, 0, &d, NULL, 0) < 0)
                return;
        const char *dir = json_get_str(d, "state_dir", "");
        if (dir[0])
                str_copy(c->state, sizeof(c->state), str_of(dir));
}

const char *offline_state(Ctl *c) {
        if (c->state_given || !ctl_try_open(c, CTL_QUERY_TIMEOUT_US))
                return c->state;
        /* where it can't be learnt the default holds */
        CtlCall call = {.verb = "version", .on = on_version, .silent = true};
        (void)ctl_call(c, &c->guardian, &call);
        return c->state;
}

bool offline_wanted(Ctl *c) {
        return c->state_given || !ctl_try_open(c, CTL_QUERY_TIMEOUT_US);
}

static int cannot_open(Ctl *c, const LogFiles *f, int r) {
        if (c->state_given)
                return ctl_fail(c, CTL_UNREACHABLE, "%s: %s%s", f->path, strerror(-r),
                        r == -EACCES ? OFFLINE_DENIED : "");
        return ctl_fail(c, CTL_UNREACHABLE, "no Guardian at %s, and %s: %s%s (--runtime DIR, --state DIR)",
                c->runtime, f->path, strerror(-r), r == -EACCES ? OFFLINE_DENIED : "");
}

static int cannot_read(Ctl *c, const LogFiles *f, uint64_t index, const char *why) {
        return ctl_fail(c, CTL_NO, "%s: record %llu: %s (guardianctl ledger verify says more)", f->path,
                (unsigned long long)index, why);
}

/* ---- the walk */

typedef struct Walk {
        Ctl *c;
        const RecordQuery *q;
        RecordLineFn fn;
        void *user;
        bool leaf;
        LogFilter filter;
        Buf line;
        RecordRing ring;
        uint64_t count;
} Walk;

static void fill_filter(LogFilter *f, const RecordQuery *q) {
        memset(f, 0, sizeof(*f));
        f->kinds = q->kinds;
        str_copy(f->writer, sizeof(f->writer), str_of(q->writer ? q->writer : ""));
        str_copy(f->actor, sizeof(f->actor), str_of(q->actor ? q->actor : ""));
        str_copy(f->action, sizeof(f->action), str_of(q->action ? q->action : ""));
        str_copy(f->resource, sizeof(f->resource), str_of(q->resource ? q->resource : ""));
        str_copy(f->correlation_id, sizeof(f->correlation_id),
                str_of(q->correlation_id ? q->correlation_id : ""));
        f->has_request_id = q->request_id != NULL;
        if (q->request_id)
                memcpy(f->request_id, q->request_id, sizeof(f->request_id));
        f->since_ns = q->since_ns;
        f->until_ns = q->until_ns;
}

/* 0; 1: enough; -errno. */
static int hand_over(Walk *w, const Record *r, const uint8_t hash[32], const uint8_t *frame) {
        if (r->index < w->q->from || !log_filter_match(&w->filter, r) ||
                !record_action_fits(w->q, r->meta[META_ACTION]))
                return 0;
        w->line.len = 0;
        int e = record_to_json(r, hash, w->leaf ? record_leaf_bytes(frame) : (Str){NULL, 0}, &w->line);
        if (e < 0)
                return e;
        Str s = {(char *)w->line.data, w->line.len};
        if (w->ring.lines)
                return record_ring_add(&w->ring, s);
        return w->fn(w->c, s, w->user) || (w->q->limit && ++w->count >= w->q->limit);
}

static int walk_files(Walk *w, const LogFiles *f, LogCursor *cur) {
        for (;;) {
                Record r;
                uint8_t hash[32];
                const char *why = "cannot read";
                int e = log_cursor_next(cur, &r, hash, &why);
                if (e == RECORD_END)
                        return CTL_OK;
                if (e == -EBADMSG && cur->next >= f->noted && log_files_live(f))
                        return CTL_OK; /* being written at this moment */
                if (e < 0)
                        return cannot_read(w->c, f, cur->next, e == -EBADMSG ? why : strerror(-e));
                e = hand_over(w, &r, hash, cur->frame);
                if (e < 0)
                        return ctl_fail(
                                w->c, CTL_NO, "record %llu: %s", (unsigned long long)r.index, strerror(-e));
                if (e > 0)
                        return CTL_OK;
        }
}

int offline_walk(Ctl *c, const RecordQuery *q, bool leaf, RecordLineFn fn, void *user) {
        Walk w = {.c = c, .q = q, .fn = fn, .user = user, .leaf = leaf, .line = BUF_INIT(RECORD_LINE_MAX)};
        LogFiles f;
        LogCursor cur;
        int r = log_files_open(&f, offline_state(c));
        if (r < 0)
                return cannot_open(c, &f, r);
        fill_filter(&w.filter, q);
        r = log_cursor_init(&cur, &f.src);
        if (r < 0) {
                log_files_close(&f);
                return cannot_open(c, &f, r);
        }
        if (q->newest && q->limit && record_ring_init(&w.ring, q->limit) < 0)
                r = ctl_fail(c, CTL_NO, "out of memory");
        else
                r = walk_files(&w, &f, &cur);
        if (w.ring.lines)
                record_ring_flush(c, &w.ring, fn, user);
        log_cursor_done(&cur);
        log_files_close(&f);
        buf_done(&w.line);
        return r;
}

/* ---- head and key */

static void put_document(Ctl *c, JsonWriter *w, Buf *out) {
        Str body = {(char *)out->data, out->len};
        if (json_finish(w) == 0 && c->json)
                ctl_print_body(c, body);
        else if (w->error == 0)
                show_pairs(c, body);
}

static int head_document(Ctl *c, const LogFiles *f, LogCursor *cur) {
        Merkle tree;
        uint8_t hash[32] = {0}, root[32];
        merkle_init(&tree);
        for (;;) {
                Record r;
                const char *why = "cannot read";
                int e = log_cursor_next(cur, &r, hash, &why);
                if (e == RECORD_END || (e == -EBADMSG && cur->next >= f->noted && log_files_live(f)))
                        break;
                if (e < 0)
                        return cannot_read(c, f, cur->next, e == -EBADMSG ? why : strerror(-e));
                merkle_append(&tree, hash);
        }
        Buf out = BUF_INIT(16 * 1024);
        JsonWriter w;
        merkle_root(&tree, root);
        json_init(&w, &out, false);
        json_object_begin(&w);
        json_key(&w, "hash");
        json_hex(&w, hash, sizeof(hash));
        json_kv_str(&w, "note", f->note[0] ? f->note : NULL);
        json_key(&w, "root");
        json_hex(&w, root, sizeof(root));
        json_kv_u64(&w, "signed_size", f->noted);
        json_kv_u64(&w, "size", tree.size);
        json_kv_str(&w, "state", "offline");
        json_object_end(&w);
        put_document(c, &w, &out);
        buf_done(&out);
        return CTL_OK;
}

static int key_document(Ctl *c, const LogFiles *f, LogCursor *cur) {
        uint8_t head[SEGMENT_HEADER], id[4];
        char text[NOTE_VKEY_MAX];
        SegmentHeader h;
        Record r;
        NoteKey k;
        const char *why = "the log is empty";
        int64_t n = f->src.read(f->src.user, cur->segments[0].first, 0, head, sizeof(head));
        if (n < 0)
                return cannot_read(c, f, 0, strerror((int)-n));
        if (segment_header_decode(head, (size_t)n, &h, &why) < 0 || log_cursor_next(cur, &r, NULL, &why) != 0)
                return cannot_read(c, f, 0, why);
        if (r.kind != RECORD_KEY || note_key_of_body(r.body, &k) < 0)
                return cannot_read(c, f, 0, "it is no key record");
        Buf out = BUF_INIT(16 * 1024);
        JsonWriter w;
        note_key_id(&k, id);
        json_init(&w, &out, false);
        json_object_begin(&w);
        json_kv_str(&w, "algorithm", "ed25519");
        json_key(&w, "key_id");
        json_hex(&w, id, sizeof(id));
        json_key(&w, "log_id");
        json_hex(&w, h.log_id, sizeof(h.log_id));
        json_kv_str(&w, "origin", k.name);
        json_key(&w, "public_key");
        json_hex(&w, k.pub, sizeof(k.pub));
        json_kv_str(&w, "verifier_key", note_key_text(&k, text, sizeof(text)));
        json_object_end(&w);
        put_document(c, &w, &out);
        buf_done(&out);
        return CTL_OK;
}

static int with_cursor(Ctl *c, int (*fn)(Ctl *c, const LogFiles *f, LogCursor *cur)) {
        LogFiles f;
        LogCursor cur;
        int r = log_files_open(&f, offline_state(c));
        if (r < 0)
                return cannot_open(c, &f, r);
        r = log_cursor_init(&cur, &f.src);
        if (r < 0) {
                r = cannot_open(c, &f, r);
        } else {
                r = fn(c, &f, &cur);
                log_cursor_done(&cur);
        }
        log_files_close(&f);
        return r;
}

int offline_head(Ctl *c) {
        return with_cursor(c, head_document);
}

int offline_key(Ctl *c) {
        return with_cursor(c, key_document);
}
