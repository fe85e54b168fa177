/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/verify.h"
#include "chunks/ledger/merkle.h"
#include "chunks/ledger/note-body.h"
#include "chunks/ledger/rights.h"
#include "common/json-writer.h"
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Linked {
        uint64_t index;
        uint8_t request_id[16], digest[32];
        bool used;
} Linked;
typedef struct LinkedList {
        Linked *items; /* ascending by index */
        size_t n, cap;
} LinkedList;

typedef struct Pin {
        Note note;
        char text[NOTE_MAX + 1];
        bool set, seen; /* seen: the tree had that size and root */
        const char *name;
} Pin;

typedef struct Verify {
        const LogSource *src;
        const VerifyOptions *o;
        VerifyResult *v;
        LogCursor c;
        bool in_segment;
        size_t segment;
        SegmentHeader header;
        uint8_t header_hash[32];
        bool size_wrong;
        Merkle tree;
        uint8_t hash[32];
        NoteKey key;
        Pin file, at_least;
        LinkedList decisions, intents;
        struct {
                uint32_t epoch;
                uint64_t seq;
        } last[_WRITER_MAX];
} Verify;

__attribute__((format(printf, 3, 4))) static int bad(Verify *s, int status, const char *fmt, ...) {
        VerifyResult *v = s->v;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
        va_end(ap);
        v->status = status;
        if (status == VERIFY_UNREADABLE)
                return status;
        v->has_bad = true;
        v->first_bad_index = s->tree.size;
        if (s->c.n > 0) {
                v->first_bad_segment = s->c.segments[s->c.at].first;
                v->first_bad_offset = s->c.frame ? s->c.frame_offset : s->c.offset;
        }
        return status;
}

/* ---- pins */

static int load_pin(Verify *s, Pin *p, Str text, const char *name) {
        p->name = name;
        if (text.n > NOTE_MAX)
                return bad(s, VERIFY_BROKEN, "%s is too long for a note", name);
        memcpy(p->text, text.p, text.n);
        if (note_parse((Str){p->text, text.n}, &p->note) < 0)
                return bad(s, VERIFY_BROKEN, "%s is not a signed note", name);
        p->set = true;
        return 0;
}

static int check_pin(Verify *s, Pin *p) {
        uint8_t root[32];
        if (!p->set || p->seen || p->note.size != s->tree.size)
                return 0;
        merkle_root(&s->tree, root);
        if (memcmp(root, p->note.root, 32) != 0)
                return bad(s, VERIFY_BROKEN, "%s names another root for %llu records", p->name,
                        (unsigned long long)p->note.size);
        if (p->note.size > s->v->signed_size)
                s->v->signed_size = p->note.size;
        p->seen = true;
        return 0;
}

static int check_pin_signature(Verify *s, const Pin *p) {
        if (p->set && !note_verify(&p->note, &s->key))
                return bad(s, VERIFY_BROKEN, "%s is not signed by this log's key", p->name);
        return 0;
}

/* Pins that the log did not reach. */
static int check_pin_end(Verify *s, Pin *p) {
        int r = check_pin(s, p);
        if (r == 0 && p->set && !p->seen)
                r = bad(s, VERIFY_BROKEN, "%s covers %llu records, %llu are good", p->name,
                        (unsigned long long)p->note.size, (unsigned long long)s->tree.size);
        return r;
}

/* ---- segments */

static int enter_segment(Verify *s) {
        uint8_t buf[SEGMENT_HEADER], root[32];
        const LogSegment *seg = &s->c.segments[s->c.at];
        const char *why = "";
        uint64_t number = s->in_segment ? s->header.number + 1 : 0;
        int64_t n = s->src->read(s->src->user, seg->first, 0, buf, sizeof(buf));
        if (n < 0)
                return bad(s, VERIFY_UNREADABLE, "segment %llu: %s", (unsigned long long)seg->first,
                        strerror((int)-n));
        s->in_segment = true;
        s->segment = s->c.at;
        if (segment_header_decode(buf, (size_t)n, &s->header, &why) < 0)
                return bad(s, VERIFY_BROKEN, "segment %llu: %s", (unsigned long long)seg->first, why);
        crypto_hash_sha256(s->header_hash, buf, sizeof(buf));
        merkle_root(&s->tree, root);
        if (s->header.first != seg->first || s->header.first != s->tree.size || s->header.number != number ||
                memcmp(s->header.prev, s->hash, 32) != 0 || memcmp(s->header.root, root, 32) != 0)
                return bad(s, VERIFY_BROKEN, "segment %llu does not follow what is before it",
                        (unsigned long long)seg->first);
        s->size_wrong = s->header.bytes != seg->bytes;
        return 0;
}

/* At the end of a segment's records: nothing but zeros may follow. */
static int leave_segment(Verify *s, size_t at, uint64_t offset, bool last) {
        LogCursor c = s->c;
        LogTail tail;
        c.at = at;
        c.offset = offset;
        int r = log_cursor_tail(&c, s->tree.size, &tail);
        if (r < 0)
                return bad(s, VERIFY_UNREADABLE, "cannot read: %s", strerror(-r));
        s->c.frame = NULL;
        if (tail.used > 0) {
                bool pinned = s->file.set && s->tree.size < s->file.note.size;
                return bad(s, last && !tail.later && !pinned ? VERIFY_TAIL : VERIFY_BROKEN,
                        "bytes behind the last record are not zero");
        }
        if (s->size_wrong)
                return bad(s, VERIFY_BROKEN, "segment %llu is not as long as its header says",
                        (unsigned long long)s->c.segments[at].first);
        return 0;
}

/* ---- links of governed actions */

static int link_add(LinkedList *l, const Record *r) {
        if (l->n == l->cap) {
                size_t cap = l->cap ? l->cap * 2 : 64;
                Linked *more = reallocarray(l->items, cap, sizeof(*more));
                if (!more)
                        return -ENOMEM;
                l->items = more;
                l->cap = cap;
        }
        Linked *k = &l->items[l->n++];
        *k = (Linked){.index = r->index};
        memcpy(k->request_id, r->request_id, 16);
        memcpy(k->digest, r->digest, 32);
        return 0;
}

static int by_index(const void *key, const void *item) {
        uint64_t a = *(const uint64_t *)key, b = ((const Linked *)item)->index;
        return a < b ? -1 : a > b;
}

static Linked *link_find(LinkedList *l, uint64_t index) {
        return l->n ? bsearch(&index, l->items, l->n, sizeof(*l->items), by_index) : NULL;
}

static int check_links(Verify *s, const Record *r) {
        int e = 0;
        if (record_licenses(r))
                e = link_add(&s->decisions, r);
        else if (r->kind == RECORD_INTENT) {
                Linked *d = link_find(&s->decisions, r->ref);
                if (!d || d->used || !r->has_request_id || !r->has_digest ||
                        memcmp(d->request_id, r->request_id, 16) != 0 ||
                        memcmp(d->digest, r->digest, 32) != 0)
                        return bad(s, VERIFY_BROKEN, "intent %llu rests on no decision of its own",
                                (unsigned long long)r->index);
                d->used = true;
                e = link_add(&s->intents, r);
        } else if (r->kind == RECORD_ACTION) {
                Linked *i = link_find(&s->intents, r->ref);
                if (!i || i->used || !r->has_request_id || memcmp(i->request_id, r->request_id, 16) != 0 ||
                        (r->has_digest && memcmp(i->digest, r->digest, 32) != 0))
                        return bad(s, VERIFY_BROKEN, "action %llu rests on no intent of its own",
                                (unsigned long long)r->index);
                i->used = true;
        }
        return e < 0 ? bad(s, VERIFY_UNREADABLE, "out of memory") : 0;
}

/* ---- records */

static int take_key(Verify *s, const Record *r) {
        if (r->kind != RECORD_KEY || note_key_of_body(r->body, &s->key) < 0)
                return bad(s, VERIFY_BROKEN, "record 0 is not a key record");
        if (s->o->pin) {
                if (!note_key_eq(s->o->pin, &s->key))
                        return bad(s, VERIFY_BROKEN, "the log is signed with another key than the one given");
                s->v->key_pinned = true;
        }
        note_key_text(&s->key, s->v->verifier_key, sizeof(s->v->verifier_key));
        int e = check_pin_signature(s, &s->file);
        return e ? e : check_pin_signature(s, &s->at_least);
}

static int check_checkpoint(Verify *s, const Record *r) {
        char text[NOTE_MAX];
        uint8_t root[32];
        Note note;
        merkle_root(&s->tree, root);
        if (note_of_body(r->body, text) < 0 || note_parse(str_of(text), &note) < 0)
                return bad(s, VERIFY_BROKEN, "checkpoint record %llu holds no note",
                        (unsigned long long)r->index);
        if (!note_verify(&note, &s->key))
                return bad(s, VERIFY_BROKEN, "checkpoint record %llu is not signed by this log's key",
                        (unsigned long long)r->index);
        if (note.size != r->index || memcmp(note.root, root, 32) != 0)
                return bad(s, VERIFY_BROKEN, "checkpoint record %llu names another root",
                        (unsigned long long)r->index);
        if (note.size > s->v->signed_size)
                s->v->signed_size = note.size;
        return 0;
}

static int check_writer(Verify *s, const Record *r) {
        int w = writer_id(r->meta[META_WRITER]);
        if (w < 0 || !writer_may((WriterId)w, r))
                return bad(s, VERIFY_BROKEN, "record %llu is of a kind that its writer may not write",
                        (unsigned long long)r->index);
        if (r->epoch < s->last[w].epoch || (r->epoch == s->last[w].epoch && r->seq <= s->last[w].seq))
                return bad(s, VERIFY_BROKEN, "record %llu repeats an append of its writer",
                        (unsigned long long)r->index);
        s->last[w].epoch = r->epoch;
        s->last[w].seq = r->seq;
        return 0;
}

static int check_record(Verify *s, const Record *r, const uint8_t leaf[32]) {
        Str seg = r->meta[META_SEGMENT];
        bool first = s->c.frame_offset == SEGMENT_HEADER;
        int e;
        if (memcmp(r->prev, s->hash, 32) != 0)
                return bad(s, VERIFY_BROKEN, "record %llu does not follow its predecessor",
                        (unsigned long long)r->index);
        if (first ? !seg.p || memcmp(seg.p, s->header_hash, 32) != 0 : seg.p != NULL)
                return bad(s, VERIFY_BROKEN, "record %llu names another segment header",
                        (unsigned long long)r->index);
        if (json_check_canonical(r->body, NULL, NULL) < 0)
                return bad(s, VERIFY_BROKEN, "the body of record %llu is not canonical",
                        (unsigned long long)r->index);
        if ((e = check_writer(s, r)) || (r->index == 0 && (e = take_key(s, r))))
                return e;
        if (r->index > 0 && r->kind == RECORD_KEY)
                return bad(s, VERIFY_BROKEN, "record %llu names another key", (unsigned long long)r->index);
        if ((e = check_pin(s, &s->file)) || (e = check_pin(s, &s->at_least)))
                return e;
        if ((r->kind == RECORD_CHECKPOINT && (e = check_checkpoint(s, r))) || (e = check_links(s, r)))
                return e;
        merkle_append(&s->tree, leaf);
        memcpy(s->hash, leaf, 32);
        return 0;
}

static int bad_frame(Verify *s, const char *why) {
        LogTail tail;
        bool last = s->c.at + 1 == s->c.n;
        int r = log_cursor_tail(&s->c, s->tree.size, &tail);
        if (r < 0)
                return bad(s, VERIFY_UNREADABLE, "cannot read: %s", strerror(-r));
        bool pinned = (s->file.set && s->tree.size < s->file.note.size) ||
                      (s->at_least.set && s->tree.size < s->at_least.note.size);
        s->c.frame = NULL;
        return bad(s, last && !tail.later && !pinned && !s->size_wrong ? VERIFY_TAIL : VERIFY_BROKEN,
                "record %llu: %s", (unsigned long long)s->tree.size, why);
}

/* A log that is being written is judged up to its note, and up to the note given: the file may be a moment older. */
static bool live_end(const Verify *s) {
        return s->o->live && (s->file.set || s->at_least.set) &&
               (!s->file.set || s->tree.size >= s->file.note.size) &&
               (!s->at_least.set || s->tree.size >= s->at_least.note.size);
}

static int walk(Verify *s) {
        for (;;) {
                Record r;
                uint8_t leaf[32];
                const char *why = "";
                size_t at = s->c.at;
                uint64_t offset = s->c.offset;
                if (live_end(s))
                        return 0;
                int e = s->in_segment ? 0 : enter_segment(s);
                if (e)
                        return e;
                e = log_cursor_next(&s->c, &r, leaf, &why);
                if (s->c.at != at) {
                        int x = leave_segment(s, at, offset, false);
                        if (x == 0)
                                x = enter_segment(s);
                        if (x)
                                return x;
                        if (e == 0) /* leave_segment() forgot the frame */
                                s->c.frame = s->c.window + (s->c.frame_offset - s->c.window_at);
                }
                if (e == RECORD_END)
                        return leave_segment(s, s->c.at, s->c.offset, true);
                if (e == -EBADMSG)
                        return bad_frame(s, why);
                if (e < 0)
                        return bad(s, VERIFY_UNREADABLE, "cannot read: %s", strerror(-e));
                e = check_record(s, &r, leaf);
                if (e)
                        return e;
        }
}

/* ---- the whole */

static int begin(Verify *s) {
        char text[NOTE_MAX + 1];
        int64_t n = s->src->note(s->src->user, text, sizeof(text));
        if (n < 0)
                return bad(s, VERIFY_UNREADABLE, "cannot read the checkpoint file: %s", strerror((int)-n));
        int r = log_cursor_init(&s->c, s->src);
        if (r == -ENOENT)
                return bad(s, n > 0 ? VERIFY_BROKEN : VERIFY_UNREADABLE,
                        n > 0 ? "there is a checkpoint file but no segment" : "there is no log here");
        if (r < 0)
                return bad(s, VERIFY_UNREADABLE, "cannot read: %s", strerror(-r));
        if (n > 0 && (r = load_pin(s, &s->file, (Str){text, (size_t)n}, "the checkpoint file")))
                return r;
        if (s->o->at_least && (r = load_pin(s, &s->at_least, str_of(s->o->at_least), "the note given")))
                return r;
        if (s->c.segments[0].first != 0)
                return bad(s, VERIFY_BROKEN, "the log does not begin with record 0");
        return 0;
}

static int check_end(Verify *s) {
        int r;
        if (s->v->status == VERIFY_TAIL || s->v->status == VERIFY_GOOD) {
                if ((r = check_pin_end(s, &s->file)) || (r = check_pin_end(s, &s->at_least)))
                        return r;
        }
        if (s->v->status == VERIFY_GOOD && s->tree.size == 0)
                return bad(s, VERIFY_TAIL, "the log holds no record yet");
        if (s->v->status == VERIFY_GOOD && s->v->signed_size == 0 && s->o->pin)
                return bad(s, VERIFY_BROKEN, "nothing is signed, though a key was given");
        if (s->v->status == VERIFY_GOOD && s->tree.size > s->v->signed_size) {
                s->v->status = VERIFY_TAIL;
                snprintf(s->v->reason, sizeof(s->v->reason), "the last %llu records are not signed yet",
                        (unsigned long long)(s->tree.size - s->v->signed_size));
        }
        return s->v->status;
}

int ledger_verify(const LogSource *src, const VerifyOptions *o, VerifyResult *ret) {
        memset(ret, 0, sizeof(*ret));
        Verify *s = calloc(1, sizeof(*s));
        if (!s) {
                snprintf(ret->reason, sizeof(ret->reason), "out of memory");
                return ret->status = VERIFY_UNREADABLE;
        }
        s->src = src;
        s->o = o;
        s->v = ret;
        if (begin(s) == 0) {
                (void)walk(s);
                (void)check_end(s);
        }
        ret->entries = s->tree.size;
        ret->unsigned_tail = s->tree.size > ret->signed_size ? s->tree.size - ret->signed_size : 0;
        merkle_root(&s->tree, ret->root);
        log_cursor_done(&s->c);
        free(s->decisions.items);
        free(s->intents.items);
        free(s);
        return ret->status;
}

int ledger_verify_json(const VerifyResult *v, Buf *out) {
        JsonWriter w;
        json_init(&w, out, false);
        json_object_begin(&w);
        json_kv_bool(&w, "valid", v->status == VERIFY_GOOD || (v->status == VERIFY_TAIL && !v->has_bad));
        json_kv_u64(&w, "entries", v->entries);
        json_kv_u64(&w, "signed_size", v->signed_size);
        json_key(&w, "root");
        json_hex(&w, v->root, 32);
        json_kv_str(&w, "key_source", v->key_pinned ? "pinned" : "state");
        json_kv_str(&w, "key", v->verifier_key[0] ? v->verifier_key : NULL);
        json_kv_str(&w, "trust",
                v->key_pinned ? "checked against the key given"
                              : "only self-consistency was shown: the key was taken from the log itself");
        if (v->has_bad) {
                json_kv_u64(&w, "first_bad_index", v->first_bad_index);
                json_kv_u64(&w, "first_bad_segment", v->first_bad_segment);
                json_kv_u64(&w, "first_bad_offset", v->first_bad_offset);
        } else {
                json_kv_null(&w, "first_bad_index");
                json_kv_null(&w, "first_bad_segment");
                json_kv_null(&w, "first_bad_offset");
        }
        json_kv_str(&w, "reason", v->reason[0] ? v->reason : NULL);
        json_kv_u64(&w, "unsigned_tail", v->unsigned_tail);
        json_object_end(&w);
        return json_finish(&w);
}
