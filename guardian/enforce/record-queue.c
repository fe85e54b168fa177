/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/enforce/record-queue.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/json-writer.h"
#include "guardian/enforce/enforce-private.h"
#include <errno.h>

/*
 * A record gets its number when it is first sent, not when it is made: what the ring drops never had one, so
 * numbers stay without gaps. After the ledger restarted, numbers above what it knows are given anew for the
 * same reason (a refused append may have used one that the new instance never saw); its old pipe is at its
 * end by then, so nothing of the old numbering can still arrive.
 */
typedef struct Record {
        List node;
        RecordKind kind;
        bool lifecycle;
        bool has_request_id, has_digest;
        uint8_t request_id[16], digest[32];
        uint64_t ref, token, seq, sent_us, made_ns;
        char *strings; /* actor, action, resource, subsystem, correlation_id, result: each NUL terminated */
        size_t at[6];  /* offsets + 1 into strings, 0: absent */
        size_t body_len;
        char body[];
} Record;

static const Tag string_tags[6] = {
        TAG_ACTOR, TAG_ACTION, TAG_RESOURCE, TAG_SUBSYSTEM, TAG_CORRELATION_ID, TAG_RESULT};

static bool is_lifecycle(RecordKind k) {
        return k == RECORD_BOOT || k == RECORD_UNIT;
}

static Record *record_of(List *l) {
        return container_of(l, Record, node);
}

static void record_free(Record *r) {
        list_remove(&r->node);
        free(r->strings);
        free(r);
}

static Record *record_new(const RecordFields *f) {
        const char *in[6] = {f->actor, f->action, f->resource, f->subsystem, f->correlation_id, f->result};
        size_t total = 0;
        for (size_t i = 0; i < ELEMENTSOF(in); i++)
                total += in[i] ? strlen(in[i]) + 1 : 0;
        Record *r = calloc(1, sizeof(*r) + f->body.n);
        if (!r)
                return NULL;
        list_init(&r->node);
        r->strings = malloc(total ? total : 1);
        if (!r->strings) {
                free(r);
                return NULL;
        }
        for (size_t i = 0, pos = 0; i < ELEMENTSOF(in); i++) {
                if (!in[i])
                        continue;
                size_t n = strlen(in[i]) + 1;
                memcpy(r->strings + pos, in[i], n);
                r->at[i] = pos + 1;
                pos += n;
        }
        r->kind = f->kind;
        r->lifecycle = is_lifecycle(f->kind);
        r->ref = f->ref;
        if ((r->has_request_id = f->request_id != NULL))
                memcpy(r->request_id, f->request_id, sizeof(r->request_id));
        if ((r->has_digest = f->digest != NULL))
                memcpy(r->digest, f->digest, sizeof(r->digest));
        r->body_len = f->body.n;
        if (f->body.n)
                memcpy(r->body, f->body.p, f->body.n);
        return r;
}

static void list_clear(List *l) {
        LIST_FOREACH_SAFE (it, nx, l)
                record_free(record_of(it));
}

void record_queue_init(
        RecordQueue *q, int (*send)(void *user, const MsgBuilder *b, Str payload), void *user) {
        *q = (RecordQueue){.send = send, .user = user, .next_seq = 1, .acked_index = UINT64_MAX};
        list_init(&q->flying);
        list_init(&q->waiting);
        list_init(&q->ring);
}

void record_queue_done(RecordQueue *q) {
        list_clear(&q->flying);
        list_clear(&q->waiting);
        list_clear(&q->ring);
}

static void record_send(RecordQueue *q, Record *r, uint64_t boot_us) {
        MsgBuilder b;
        msg_begin(&b, MSG_APPEND);
        msg_put_u64(&b, TAG_SEQ, r->seq);
        msg_put_u64(&b, TAG_KIND, r->kind);
        if (r->has_request_id)
                msg_put_bytes(&b, TAG_REQUEST_ID, r->request_id);
        if (r->has_digest)
                msg_put_bytes(&b, TAG_DIGEST, r->digest);
        if (r->ref != UINT64_MAX)
                msg_put_u64(&b, TAG_REF, r->ref);
        for (size_t i = 0; i < ELEMENTSOF(string_tags); i++)
                if (r->at[i])
                        msg_put_text(&b, string_tags[i], r->strings + r->at[i] - 1);
        r->sent_us = boot_us;
        /* A failed sending is a link that is about to be reported lost: the record stays and is sent again.
         */
        (void)q->send(q->user, &b, (Str){r->body, r->body_len});
}

static void take_off(RecordQueue *q, Record *r, uint64_t boot_us) {
        list_remove(&r->node);
        r->seq = q->next_seq++;
        list_append(&q->flying, &r->node);
        if (r->lifecycle)
                q->n_flying_lifecycle++;
        record_send(q, r, boot_us);
}

static int loss_record(RecordQueue *q, uint64_t boot_us) {
        Buf out = BUF_INIT(1024);
        JsonWriter w;
        json_init(&w, &out, true);
        json_object_begin(&w);
        json_kv_u64(&w, "count", q->lost);
        json_key(&w, "first");
        json_time(&w, q->lost_first_ns);
        json_key(&w, "last");
        json_time(&w, q->lost_last_ns);
        json_kv_str(&w, "what", "lifecycle records");
        json_object_end(&w);
        Record *r = NULL;
        int err = json_finish(&w);
        if (err == 0)
                r = record_new(&(RecordFields){.kind = RECORD_LOSS,
                        .ref = UINT64_MAX,
                        .actor = "guardian",
                        .action = "ring_overflow",
                        .resource = "guardian",
                        .body = {(const char *)out.data, out.len}});
        buf_done(&out);
        if (!r)
                return err < 0 ? err : -ENOMEM;
        r->lifecycle = true;
        q->lost = 0;
        take_off(q, r, boot_us);
        return 0;
}

static void flush(RecordQueue *q, uint64_t boot_us) {
        if (!q->attached)
                return;
        LIST_FOREACH_SAFE (it, nx, &q->waiting)
                take_off(q, record_of(it), boot_us);
        while (q->n_flying_lifecycle < RECORD_WINDOW_MAX && (q->lost > 0 || !list_empty(&q->ring))) {
                /* What was overwritten was older than anything that is left: its record comes first. */
                if (q->lost > 0) {
                        if (loss_record(q, boot_us) < 0)
                                return; /* no memory: the count is kept and tried again */
                        continue;
                }
                q->n_ring--;
                take_off(q, record_of(q->ring.next), boot_us);
        }
}

static void ring_make_room(RecordQueue *q) {
        Record *old = record_of(q->ring.next);
        if (q->lost == 0)
                q->lost_first_ns = old->made_ns;
        q->lost_last_ns = old->made_ns;
        q->lost += !FAULTY(FAULT_RING_SILENT);
        q->lost_total++;
        q->n_ring--;
        record_free(old);
}

int record_queue_push(RecordQueue *q, const RecordFields *f, uint64_t token, bool must, uint64_t boot_us,
        uint64_t wall_ns) {
        if (f->body.n > RECORD_QUEUE_BODY_MAX)
                return -EMSGSIZE;
        bool lifecycle = is_lifecycle(f->kind);
        unsigned cap = RECORD_CRITICAL_MAX + (must ? RECORD_RESERVE : 0);
        if (!lifecycle && q->n_critical >= cap)
                return -ENOBUFS;
        Record *r = record_new(f);
        if (!r)
                return -ENOMEM;
        r->token = token;
        r->made_ns = wall_ns;
        if (lifecycle) {
                if (q->n_ring >= RECORD_RING_MAX && !FAULTY(FAULT_RING_UNBOUNDED))
                        ring_make_room(q);
                list_append(&q->ring, &r->node);
                q->n_ring++;
        } else {
                list_append(&q->waiting, &r->node);
                q->n_critical++;
        }
        flush(q, boot_us);
        return 0;
}

void record_queue_attach(const RecordQueue *q, MsgBuilder *b) {
        msg_begin(b, MSG_ATTACH);
        msg_put_u64(b, TAG_EPOCH, q->epoch);
        if (q->acked_index != UINT64_MAX) {
                msg_put_u64(b, TAG_INDEX, q->acked_index);
                msg_put_bytes(b, TAG_HASH, q->acked_hash);
        }
}

void record_queue_attached(RecordQueue *q, uint64_t epoch, uint64_t seq, bool renumber, uint64_t boot_us) {
        q->attached = true;
        q->epoch = epoch;
        if (renumber)
                q->next_seq = seq + 1;
        LIST_FOREACH (it, &q->flying) {
                Record *r = record_of(it);
                if (renumber && r->seq > seq)
                        r->seq = q->next_seq++;
                record_send(q, r, boot_us);
        }
        flush(q, boot_us);
}

static Record *flying_find(RecordQueue *q, uint64_t seq) {
        LIST_FOREACH (it, &q->flying)
                if (record_of(it)->seq == seq)
                        return record_of(it);
        return NULL;
}

int record_queue_retry(RecordQueue *q, uint64_t seq) {
        Record *r = flying_find(q, seq), *other;
        if (!r)
                return 1;
        list_remove(&r->node);
        /* In its old order among those that were sent back, before all that was never sent. */
        List *at = q->waiting.next;
        while (at != &q->waiting && (other = record_of(at))->seq != 0 && other->seq < seq)
                at = at->next;
        list_append(at, &r->node);
        if (r->lifecycle)
                q->n_flying_lifecycle--;
        q->attached = false;
        return 0;
}

void record_queue_lost(RecordQueue *q) {
        q->attached = false;
}

int record_queue_ack(RecordQueue *q, uint64_t seq, uint64_t index, const uint8_t *hash, uint64_t boot_us,
        uint64_t *token, RecordKind *kind) {
        Record *r = flying_find(q, seq);
        if (!r)
                return 1;
        *token = r->token;
        *kind = r->kind;
        if (hash && (q->acked_index == UINT64_MAX || index > q->acked_index)) {
                q->acked_index = index;
                memcpy(q->acked_hash, hash, sizeof(q->acked_hash));
        }
        if (r->lifecycle)
                q->n_flying_lifecycle--;
        else
                q->n_critical--;
        record_free(r);
        flush(q, boot_us);
        return 0;
}

uint64_t record_queue_oldest(const RecordQueue *q) {
        uint64_t oldest = UINT64_MAX;
        if (!q->attached)
                return oldest;
        LIST_FOREACH (it, &q->flying) {
                const Record *r = record_of(it);
                if (r->sent_us < oldest)
                        oldest = r->sent_us;
        }
        return oldest;
}

size_t record_queue_pending(const RecordQueue *q) {
        return q->n_critical + q->n_ring + q->n_flying_lifecycle;
}
