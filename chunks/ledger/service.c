/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/service.h"
#include "chunks/ledger/rights.h"
#include "chunks/ledger/record-json.h"
#include "common/cleanup.h"
#include "common/json-writer.h"
#include "common/list.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { QUERIES_PER_PEER = 16, PLACES = 32, CALLS_WAITING = 16 };
#define HEAD_EVERY_NS (UINT64_C(10) * 1000 * 1000 * 1000)

typedef struct Peer {
        List node;
        LedgerPeer p;
        bool attach_waits; /* not validated when it attached */
        uint64_t attach_epoch, attach_index;
        bool attach_has_hash;
        uint8_t attach_hash[32];
        uint32_t epoch;
        unsigned queries;
} Peer;

typedef struct Asked {
        List node;
        uint64_t peer, req;
        uint64_t stamp; /* appends taken before it */
        LogPage page;
} Asked;

typedef struct Place {
        uint64_t index, segment, offset;
} Place;

typedef struct WaitingCall {
        uint64_t peer, req, size;
} WaitingCall;

struct LedgerService {
        LedgerServiceOps ops;
        LedgerCore *core;
        List peers, asked;
        Asked *out;
        Place places[PLACES]; /* where pages ended: the next page begins there */
        size_t places_at;
        WaitingCall calls[CALLS_WAITING];
        size_t n_calls;
        uint64_t head_size;
        LedgerState head_state;
        uint64_t head_at_ns;
        bool head_sent;
};

int ledger_service_new(const LedgerServiceOps *ops, LedgerService **ret) {
        LedgerService *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->ops = *ops;
        list_init(&s->peers);
        list_init(&s->asked);
        *ret = s;
        return 0;
}

static void asked_free(Asked *a) {
        buf_done(&a->page.frames);
        free(a);
}

void ledger_service_free(LedgerService *s) {
        if (!s)
                return;
        LIST_FOREACH_SAFE (it, nx, &s->peers)
                free(container_of(it, Peer, node));
        LIST_FOREACH_SAFE (it, nx, &s->asked)
                asked_free(container_of(it, Asked, node));
        if (s->out)
                asked_free(s->out);
        free(s);
}

static Peer *find_peer(LedgerService *s, uint64_t id) {
        LIST_FOREACH (it, &s->peers) {
                Peer *p = container_of(it, Peer, node);
                if (p->p.id == id)
                        return p;
        }
        return NULL;
}

/* A peer that can't be sent to is lost: its link ends and it asks again on the next one. */
static void send(LedgerService *s, uint64_t peer, const MsgBuilder *b, Str payload) {
        (void)s->ops.send(s->ops.user, peer, b, payload);
}

/* ---- acknowledgements */

static void send_ack(LedgerService *s, uint64_t peer, const LedgerAck *a) {
        MsgBuilder b;
        msg_begin(&b, MSG_APPEND_ACK);
        msg_put_u64(&b, TAG_SEQ, a->seq);
        msg_put_u64(&b, TAG_INDEX, a->index);
        msg_put_bytes(&b, TAG_HASH, a->hash);
        msg_put_u64(&b, TAG_SIZE, a->size);
        msg_put_u64(&b, TAG_SIGNED_SIZE, a->signed_size);
        send(s, peer, &b, (Str){NULL, 0});
}

static void send_refused(LedgerService *s, uint64_t peer, uint64_t seq, const char *code, const char *why) {
        MsgBuilder b;
        msg_begin(&b, MSG_APPEND_REFUSED);
        msg_put_u64(&b, TAG_SEQ, seq);
        msg_put_cstr(&b, TAG_CODE, code);
        if (why && why[0])
                msg_put_text(&b, TAG_MESSAGE, why);
        send(s, peer, &b, (Str){NULL, 0});
}

static void on_ack(void *user, uint64_t waiter, const char *code, const LedgerAck *ack) {
        LedgerService *s = user;
        if (!find_peer(s, waiter))
                return; /* the writer asks again on its next link */
        if (strcmp(code, "ok") == 0)
                send_ack(s, waiter, ack);
        else
                send_refused(s, waiter, ack->seq, code, NULL);
}

LedgerOps ledger_service_core_ops(LedgerService *s) {
        return (LedgerOps){.ack = on_ack, .user = s};
}

void ledger_service_set_core(LedgerService *s, LedgerCore *core) {
        s->core = core;
}

/* ---- attach */

static void send_intents(LedgerService *s, const Peer *p) {
        const LedgerIntent *it;
        for (size_t i = 0; ledger_core_open_intent(s->core, i, &it); i++) {
                MsgBuilder b;
                msg_begin(&b, MSG_OPEN_INTENT);
                msg_put_u64(&b, TAG_INDEX, it->index);
                msg_put_bytes(&b, TAG_REQUEST_ID, it->request_id);
                msg_put_bytes(&b, TAG_DIGEST, it->digest);
                msg_put_u64(&b, TAG_REF, it->ref);
                msg_put_cstr(&b, TAG_ACTION, it->action[0] ? it->action : NULL);
                msg_put_cstr(&b, TAG_RESOURCE, it->resource[0] ? it->resource : NULL);
                msg_put_cstr(&b, TAG_CORRELATION_ID, it->correlation_id[0] ? it->correlation_id : NULL);
                msg_put_cstr(&b, TAG_ACTOR, it->actor[0] ? it->actor : NULL);
                send(s, p->p.id, &b, (Str){NULL, 0});
        }
}

static void attach(LedgerService *s, Peer *p) {
        LedgerAttached a;
        LedgerHead head;
        MsgBuilder b;
        if (p->p.validated) {
                ledger_core_attach(s->core, p->p.unit, (uint32_t)p->attach_epoch, p->attach_index,
                        p->attach_has_hash ? p->attach_hash : NULL, &a);
                p->epoch = a.epoch;
        } else {
                ledger_core_head(s->core, &head);
                a = (LedgerAttached){
                        .code = "not_validated", .size = head.size, .signed_size = head.signed_size};
                memcpy(a.root, head.root, 32);
        }
        p->attach_waits = !p->p.validated;
        if (p->p.guardian)
                send_intents(s, p);
        msg_begin(&b, MSG_ATTACHED);
        msg_put_cstr(&b, TAG_CODE, a.code);
        msg_put_u64(&b, TAG_EPOCH, a.epoch);
        msg_put_u64(&b, TAG_SEQ, a.seq);
        msg_put_u64(&b, TAG_SIZE, a.size);
        msg_put_u64(&b, TAG_SIGNED_SIZE, a.signed_size);
        msg_put_bytes(&b, TAG_ROOT, a.root);
        if (p->p.guardian && a.mode != MODE_NONE)
                msg_put_cstr(&b, TAG_MODE, mode_to_string((int)a.mode));
        if (p->p.guardian)
                msg_put_bool(&b, TAG_PAUSED, a.paused);
        send(s, p->p.id, &b, (Str){NULL, 0});
}

static void on_attach(LedgerService *s, Peer *p, const Msg *m) {
        const uint8_t *hash = msg_bytes(m, TAG_HASH);
        p->attach_epoch = msg_u64(m, TAG_EPOCH, 0);
        p->attach_index = msg_u64(m, TAG_INDEX, 0);
        p->attach_has_hash = hash && msg_has(m, TAG_INDEX);
        if (hash)
                memcpy(p->attach_hash, hash, 32);
        attach(s, p);
}

/* ---- append */

static void on_append(LedgerService *s, Peer *p, const Msg *m, LedgerNow now) {
        uint64_t seq = msg_u64(m, TAG_SEQ, 0);
        LedgerAck ack;
        const char *why;
        if (!p->p.validated || p->p.person) {
                send_refused(s, p->p.id, seq, "E.FORBIDDEN", "only a validated chunk may append");
                return;
        }
        uint64_t kind = msg_u64(m, TAG_KIND, 0);
        Record r = {.kind = kind < _RECORD_MAX ? (RecordKind)kind : RECORD_NONE,
                .epoch = p->epoch,
                .seq = seq,
                .ref = msg_u64(m, TAG_REF, RECORD_NO_REF),
                .verdict_bits = msg_u64(m, TAG_VERDICT_BITS, 0),
                .body = m->payload};
        const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID), *digest = msg_bytes(m, TAG_DIGEST);
        if ((r.has_request_id = id != NULL))
                memcpy(r.request_id, id, 16);
        if ((r.has_digest = digest != NULL))
                memcpy(r.digest, digest, 32);
        record_meta_from_msg(&r, m);
        r.meta[META_WRITER] = str_of(p->p.unit); /* never what it says itself */
        const char *code = ledger_core_append(s->core, &r, p->p.id, now, &ack, &why);
        if (!code || strcmp(code, "E.UNAVAILABLE") == 0)
                return; /* it waits; or it is sent again to the next instance */
        if (strcmp(code, "ok") == 0)
                send_ack(s, p->p.id, &ack);
        else
                send_refused(s, p->p.id, seq, code, why);
}

/* ---- query */

static void send_result(LedgerService *s, uint64_t peer, uint64_t req, int status, const char *code,
        const char *text, Str body) {
        MsgBuilder b;
        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_u64(&b, TAG_STATUS, (uint64_t)status);
        msg_put_cstr(&b, TAG_CODE, code);
        if (text)
                msg_put_text(&b, TAG_MESSAGE, text);
        send(s, peer, &b, body);
}

static void read_filter(const Msg *m, LogFilter *f) {
        const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID);
        f->kinds = msg_u64(m, TAG_KINDS, 0);
        str_copy(f->writer, sizeof(f->writer), msg_str(m, TAG_WRITER));
        str_copy(f->actor, sizeof(f->actor), msg_str(m, TAG_ACTOR));
        str_copy(f->action, sizeof(f->action), msg_str(m, TAG_ACTION));
        str_copy(f->resource, sizeof(f->resource), msg_str(m, TAG_RESOURCE));
        str_copy(f->correlation_id, sizeof(f->correlation_id), msg_str(m, TAG_CORRELATION_ID));
        if ((f->has_request_id = id != NULL))
                memcpy(f->request_id, id, 16);
        f->since_ns = msg_u64(m, TAG_SINCE_NS, 0);
        f->until_ns = msg_u64(m, TAG_UNTIL_NS, UINT64_MAX);
}

static void on_query(LedgerService *s, Peer *p, const Msg *m) {
        uint64_t req = msg_u64(m, TAG_REQ, 0);
        Asked *a = p->queries < QUERIES_PER_PEER ? calloc(1, sizeof(*a)) : NULL;
        if (!a) {
                send_result(s, p->p.id, req, 1, "busy", "too many queries are under way on this link",
                        (Str){NULL, 0});
                return;
        }
        a->peer = p->p.id;
        a->req = req;
        read_filter(m, &a->page.filter);
        a->page.from = msg_u64(m, TAG_FROM, 0);
        a->page.limit = msg_u64(m, TAG_LIMIT, 0);
        a->stamp = ledger_core_stamp(s->core);
        if ((a->page.only = msg_bool(m, TAG_OPEN, false))) {
                const LedgerIntent *it;
                for (size_t i = 0; i < QUERY_OPEN_MAX && ledger_core_open_intent(s->core, i, &it); i++)
                        a->page.indexes[a->page.n_indexes++] = it->index;
        }
        for (size_t i = 0; i < PLACES; i++)
                if (s->places[i].offset && s->places[i].index == a->page.from) {
                        a->page.has_place = true;
                        a->page.place_segment = s->places[i].segment;
                        a->page.place_offset = s->places[i].offset;
                }
        p->queries++;
        list_append(&s->asked, &a->node);
}

LogPage *ledger_service_page(LedgerService *s) {
        LedgerHead head;
        if (s->out)
                return NULL;
        LIST_FOREACH (it, &s->asked) {
                Asked *a = container_of(it, Asked, node);
                const Peer *p = find_peer(s, a->peer);
                const char *writer = !p || p->p.person ? "" : p->p.guardian ? "guardian" : p->p.unit;
                if (!ledger_core_settled(s->core, writer, a->stamp) && !LEDGER_FAULTY(NO_FENCE))
                        continue;
                s->out = a;
                break;
        }
        if (!s->out)
                return NULL;
        list_remove(&s->out->node);
        ledger_core_head(s->core, &head);
        s->out->page.end = head.size;
        return &s->out->page;
}

static void send_record(LedgerService *s, const Asked *a, const Record *r, const uint8_t leaf[32]) {
        MsgBuilder b;
        msg_begin(&b, MSG_RECORD);
        msg_put_u64(&b, TAG_REQ, a->req);
        msg_put_u64(&b, TAG_INDEX, r->index);
        msg_put_u64(&b, TAG_TIME_NS, r->unix_ns);
        msg_put_u64(&b, TAG_KIND, (uint64_t)r->kind);
        msg_put_u64(&b, TAG_EPOCH, r->epoch);
        msg_put_u64(&b, TAG_SEQ, r->seq);
        msg_put_bytes(&b, TAG_HASH, leaf);
        msg_put_bytes(&b, TAG_PREV, r->prev);
        msg_put_bytes(&b, TAG_BOOT_ID, r->boot_id);
        msg_put_u64(&b, TAG_NOW_BOOT_US, r->boot_ns / 1000);
        msg_put_bytes(&b, TAG_REQUEST_ID, r->has_request_id ? r->request_id : NULL);
        msg_put_bytes(&b, TAG_DIGEST, r->has_digest ? r->digest : NULL);
        if (r->ref != RECORD_NO_REF)
                msg_put_u64(&b, TAG_REF, r->ref);
        if (r->verdict_bits != 0)
                msg_put_u64(&b, TAG_VERDICT_BITS, r->verdict_bits);
        record_meta_to_msg(r, &b);
        send(s, a->peer, &b, r->body);
}

static void send_page(LedgerService *s, const Asked *a) {
        const LogPage *pg = &a->page;
        size_t at = 0;
        while (at < pg->frames.len) {
                Record r;
                uint8_t leaf[32];
                size_t used;
                const char *why;
                if (record_decode(pg->frames.data + at, pg->frames.len - at, &r, leaf, &used, &why) != 0)
                        break;
                send_record(s, a, &r, leaf);
                at += used;
        }
        MsgBuilder b;
        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, a->req);
        msg_put_u64(&b, TAG_STATUS, 0);
        msg_put_cstr(&b, TAG_CODE, "ok");
        msg_put_bool(&b, TAG_MORE, pg->more);
        msg_put_u64(&b, TAG_INDEX, pg->next);
        send(s, a->peer, &b, (Str){NULL, 0});
}

void ledger_service_page_done(LedgerService *s, LogPage *page, int error) {
        Asked *a = container_of(page, Asked, page);
        Peer *p = find_peer(s, a->peer);
        s->out = NULL;
        if (p) {
                p->queries--;
                if (error == 0)
                        send_page(s, a);
                else
                        send_result(s, a->peer, a->req, 1, error == -EBADMSG ? "E.CONFLICT" : "E.UNAVAILABLE",
                                strerror(-error), (Str){NULL, 0});
        }
        if (error == 0 && page->more && page->has_place) {
                s->places[s->places_at] = (Place){page->next, page->place_segment, page->place_offset};
                s->places_at = (s->places_at + 1) % PLACES;
        }
        asked_free(a);
}

/* ---- calls */

static int head_json(LedgerService *s, Buf *out) {
        LedgerHead h;
        JsonWriter w;
        ledger_core_head(s->core, &h);
        json_init(&w, out, true);
        json_object_begin(&w);
        json_key(&w, "hash");
        json_hex(&w, h.hash, 32);
        json_kv_str(&w, "note", h.note[0] ? h.note : NULL);
        json_key(&w, "root");
        json_hex(&w, h.root, 32);
        json_kv_u64(&w, "signed_size", h.signed_size);
        json_kv_u64(&w, "size", h.size);
        json_kv_str(&w, "state", ledger_state_to_string(h.state));
        json_object_end(&w);
        return json_finish(&w);
}

static int key_json(LedgerService *s, Buf *out) {
        const NoteKey *k = ledger_core_key(s->core);
        char text[NOTE_VKEY_MAX];
        uint8_t id[4];
        JsonWriter w;
        note_key_id(k, id);
        json_init(&w, out, true);
        json_object_begin(&w);
        json_kv_str(&w, "algorithm", "ed25519");
        json_key(&w, "key_id");
        json_hex(&w, id, 4);
        json_key(&w, "log_id");
        json_hex(&w, ledger_core_log_id(s->core), 16);
        json_kv_str(&w, "origin", k->name);
        json_key(&w, "public_key");
        json_hex(&w, k->pub, 32);
        json_kv_str(&w, "verifier_key", note_key_text(k, text, sizeof(text)));
        json_object_end(&w);
        return json_finish(&w);
}

static void answer_call(
        LedgerService *s, uint64_t peer, uint64_t req, int (*write)(LedgerService *s, Buf *out)) {
        Buf out = BUF_INIT(16 * 1024);
        if (write(s, &out) == 0)
                send_result(s, peer, req, 0, "ok", NULL, (Str){(const char *)out.data, out.len});
        else
                send_result(s, peer, req, 1, "failed", "out of memory", (Str){NULL, 0});
        buf_done(&out);
}

static void call_checkpoint(LedgerService *s, const Peer *p, uint64_t req) {
        LedgerHead h;
        if (p->p.person ? p->p.role < ROLE_OPERATOR : !p->p.validated) {
                send_result(s, p->p.id, req, 4, "denied_by_role", "a checkpoint needs the role operator",
                        (Str){NULL, 0});
                return;
        }
        ledger_core_head(s->core, &h);
        if (s->n_calls == CALLS_WAITING || h.state != LEDGER_READY) {
                send_result(s, p->p.id, req, 1, h.state == LEDGER_READY ? "busy" : "ledger_unavailable", NULL,
                        (Str){NULL, 0});
                return;
        }
        ledger_core_checkpoint(s->core);
        s->calls[s->n_calls++] = (WaitingCall){p->p.id, req, h.size};
}

static void on_call(LedgerService *s, const Peer *p, const Msg *m) {
        uint64_t req = msg_u64(m, TAG_REQ, 0);
        Str verb = msg_str(m, TAG_VERB);
        if (str_eq(verb, "head"))
                answer_call(s, p->p.id, req, head_json);
        else if (str_eq(verb, "key"))
                answer_call(s, p->p.id, req, key_json);
        else if (str_eq(verb, "checkpoint"))
                call_checkpoint(s, p, req);
        else
                send_result(s, p->p.id, req, 64, "unsupported",
                        "the ledger has the verbs head, key, checkpoint", (Str){NULL, 0});
}

/* ---- peers and turns */

int ledger_service_peer(LedgerService *s, const LedgerPeer *p) {
        Peer *have = find_peer(s, p->id);
        if (!have) {
                have = calloc(1, sizeof(*have));
                if (!have)
                        return -ENOMEM;
                list_append(&s->peers, &have->node);
        }
        have->p = *p;
        if (have->attach_waits && p->validated)
                attach(s, have);
        return 0;
}

void ledger_service_gone(LedgerService *s, uint64_t peer) {
        Peer *p = find_peer(s, peer);
        if (!p)
                return;
        LIST_FOREACH_SAFE (it, nx, &s->asked) {
                Asked *a = container_of(it, Asked, node);
                if (a->peer != peer)
                        continue;
                list_remove(&a->node);
                asked_free(a);
        }
        list_remove(&p->node);
        free(p);
}

bool ledger_service_msg(LedgerService *s, uint64_t peer, const Msg *m, LedgerNow now) {
        Peer *p = find_peer(s, peer);
        if (!p)
                return false;
        switch ((int)m->type) {
        case MSG_ATTACH:
                if (p->p.person)
                        return false;
                on_attach(s, p, m);
                return true;
        case MSG_APPEND:
                on_append(s, p, m, now);
                return true;
        case MSG_QUERY:
                on_query(s, p, m);
                return true;
        case MSG_CALL:
                on_call(s, p, m);
                return true;
        default:
                return false;
        }
}

static void send_head(LedgerService *s, const LedgerHead *h) {
        MsgBuilder b;
        msg_begin(&b, MSG_LEDGER_HEAD);
        msg_put_u64(&b, TAG_SIZE, h->size);
        msg_put_u64(&b, TAG_SIGNED_SIZE, h->signed_size);
        msg_put_bytes(&b, TAG_ROOT, h->root);
        msg_put_cstr(&b, TAG_LEDGER_STATE, h->state == LEDGER_FAILED ? "failed" : "ready");
        msg_put_cstr(&b, TAG_NOTE, h->note[0] ? h->note : NULL);
        msg_put_bytes(&b, TAG_HASH, h->hash);
        LIST_FOREACH (it, &s->peers) {
                Peer *p = container_of(it, Peer, node);
                if (p->p.guardian)
                        send(s, p->p.id, &b, (Str){NULL, 0});
        }
}

void ledger_service_turn(LedgerService *s, LedgerNow now) {
        LedgerHead h;
        ledger_core_head(s->core, &h);
        size_t kept = 0;
        for (size_t i = 0; i < s->n_calls; i++) {
                WaitingCall c = s->calls[i];
                if (h.state == LEDGER_FAILED)
                        send_result(s, c.peer, c.req, 1, "ledger_unavailable", "the ledger has failed",
                                (Str){NULL, 0});
                else if (h.signed_size >= c.size)
                        answer_call(s, c.peer, c.req, head_json);
                else
                        s->calls[kept++] = c;
        }
        s->n_calls = kept;
        bool changed = !s->head_sent || h.size != s->head_size || h.state != s->head_state;
        bool urgent =
                !s->head_sent || h.state != s->head_state || now.boot_ns >= s->head_at_ns + HEAD_EVERY_NS;
        if (!changed || !urgent)
                return;
        send_head(s, &h);
        s->head_sent = true;
        s->head_size = h.size;
        s->head_state = h.state;
        s->head_at_ns = now.boot_ns;
}

uint64_t ledger_service_deadline(const LedgerService *s) {
        LedgerHead h;
        ledger_core_head(s->core, &h);
        return s->head_sent && h.size != s->head_size ? s->head_at_ns + HEAD_EVERY_NS : UINT64_MAX;
}
