/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An append is numbered when it is made and its finished header is kept until the ledger answers; a new link
 * gets everything unanswered again, in order, under the same numbers. The ledger answers a number it knows
 * with the old index, so a lost acknowledgement costs nothing. The epoch is asked for once in the life of a
 * process: a restarted writer starts a new one and can never collide with what its predecessor wrote.
 *
 * A query remembers the index after the last record it was given; on a new link it goes on from there.
 */
#include "chunks/runtime/ledger-client.h"
#include "common/cleanup.h"
#include <errno.h>

enum { QUERIES_MAX = 8, QUERY_PAGE = 64 };
/* Our own REQ numbers, so that a RESULT for somebody else's question on this link isn't taken. */
#define QUERY_REQ_BASE (UINT64_C(1) << 62)

typedef struct Pending {
        List node;
        uint64_t seq, token;
        bool sent; /* on the present link */
        uint16_t header_len, fields;
        size_t body_len;
        uint8_t data[]; /* header, then body */
} Pending;

typedef struct Query {
        List node;
        uint64_t req, kinds, next, token;
        LedgerRecordFn fn;
        bool sent;
} Query;

struct LedgerClient {
        Chunk *chunk;
        void *user;
        LedgerAckFn on_ack;
        Link *link; /* NULL: away */
        bool attached, rollback;
        uint32_t epoch; /* 0: not given yet */
        uint64_t last_seq, last_req;
        bool has_ack;
        uint64_t ack_index;
        uint8_t ack_hash[32];
        List pending, queries;
        size_t n_pending, n_queries;
};

int ledger_client_new(Chunk *c, void *user, LedgerAckFn on_ack, LedgerClient **ret) {
        LedgerClient *lc = calloc(1, sizeof(*lc));
        if (!lc)
                return -ENOMEM;
        lc->chunk = c;
        lc->user = user;
        lc->on_ack = on_ack;
        list_init(&lc->pending);
        list_init(&lc->queries);
        *ret = lc;
        return 0;
}

void ledger_client_free(LedgerClient *lc) {
        if (!lc)
                return;
        LIST_FOREACH_SAFE (it, nx, &lc->pending)
                free(container_of(it, Pending, node));
        LIST_FOREACH_SAFE (it, nx, &lc->queries)
                free(container_of(it, Query, node));
        free(lc);
}

bool ledger_client_attached(const LedgerClient *lc) {
        return lc->link && lc->attached;
}

size_t ledger_client_pending(const LedgerClient *lc) {
        return lc->n_pending;
}

/* ---- sending */

static int send_pending(LedgerClient *lc, Pending *p) {
        MsgBuilder b;
        msg_begin(&b, MSG_APPEND);
        memcpy(b.header, p->data, p->header_len);
        b.len = p->header_len;
        b.fields = p->fields;
        int r = link_send(lc->link, &b, (Str){(const char *)p->data + p->header_len, p->body_len});
        p->sent = r == 0;
        return r;
}

/* As many as the link takes; the rest follows with the next answer, which must come while the link is full of
 * appends. */
static void pump(LedgerClient *lc) {
        if (!lc->link || !lc->attached)
                return;
        LIST_FOREACH (it, &lc->pending) {
                Pending *p = container_of(it, Pending, node);
                if (!p->sent && send_pending(lc, p) < 0)
                        return;
        }
}

static int send_query(LedgerClient *lc, Query *q) {
        MsgBuilder b;
        msg_begin(&b, MSG_QUERY);
        msg_put_u64(&b, TAG_REQ, q->req);
        if (q->kinds != 0)
                msg_put_u64(&b, TAG_KINDS, q->kinds);
        msg_put_u64(&b, TAG_FROM, q->next);
        msg_put_u64(&b, TAG_LIMIT, QUERY_PAGE);
        int r = link_send(lc->link, &b, (Str){NULL, 0});
        q->sent = r == 0;
        return r;
}

static void pump_queries(LedgerClient *lc) {
        if (!lc->link)
                return;
        LIST_FOREACH (it, &lc->queries) {
                Query *q = container_of(it, Query, node);
                if (!q->sent && send_query(lc, q) < 0)
                        return;
        }
}

/* ---- the link */

void ledger_client_link(LedgerClient *lc, Link *l) {
        if (strcmp(l->unit, "ledger") != 0 || strcmp(l->kind, "chunk") != 0)
                return;
        lc->link = l;
        lc->attached = false;
        LIST_FOREACH (it, &lc->pending)
                container_of(it, Pending, node)->sent = false;
        LIST_FOREACH (it, &lc->queries)
                container_of(it, Query, node)->sent = false;

        MsgBuilder b;
        msg_begin(&b, MSG_ATTACH);
        msg_put_u64(&b, TAG_EPOCH, lc->epoch);
        if (lc->has_ack) {
                msg_put_u64(&b, TAG_INDEX, lc->ack_index);
                msg_put_bytes(&b, TAG_HASH, lc->ack_hash);
        }
        /* A link that can't take its first message is lost; ledger_client_lost() will follow. */
        (void)link_send(l, &b, (Str){NULL, 0});
        pump_queries(lc);
}

void ledger_client_lost(LedgerClient *lc) {
        lc->link = NULL;
        lc->attached = false;
}

/* Takes p out and tells its owner, who may append again from inside. */
static void answer(LedgerClient *lc, Pending *p, const char *code, uint64_t index, const uint8_t *hash) {
        uint64_t token = p->token;
        list_remove(&p->node);
        lc->n_pending--;
        free(p);
        lc->on_ack(lc->user, token, code, index, hash);
}

static void refuse_all(LedgerClient *lc, const char *code) {
        for (size_t n = lc->n_pending; n > 0 && !list_empty(&lc->pending); n--)
                answer(lc, container_of(lc->pending.next, Pending, node), code, UINT64_MAX, NULL);
}

static void on_attached(LedgerClient *lc, const Msg *m) {
        Str code = msg_str(m, TAG_CODE);
        /* A second ATTACHED comes when Guardian has validated us; a ledger that is stopping is followed by
         * another. */
        if (str_eq(code, "not_validated") || str_eq(code, "E.UNAVAILABLE"))
                return;
        if (str_eq(code, "ok")) {
                lc->epoch = (uint32_t)msg_u64(m, TAG_EPOCH, 0);
                lc->attached = true;
                lc->rollback = false;
                pump(lc);
                return;
        }
        /* The ledger does not hold what it acknowledged to us (or will not have us): nothing may rest on it.
         */
        char text[65];
        str_copy(text, sizeof(text), code);
        lc->rollback = true;
        refuse_all(lc, text);
}

static Pending *find_pending(LedgerClient *lc, uint64_t seq) {
        LIST_FOREACH (it, &lc->pending) {
                Pending *p = container_of(it, Pending, node);
                if (p->seq == seq)
                        return p;
                if (p->seq > seq)
                        break;
        }
        return NULL;
}

static void on_answer(LedgerClient *lc, const Msg *m) {
        Pending *p = find_pending(lc, msg_u64(m, TAG_SEQ, 0));
        if (!p)
                return;
        if (m->type == MSG_APPEND_ACK) {
                uint64_t index = msg_u64(m, TAG_INDEX, 0);
                const uint8_t *hash = msg_bytes(m, TAG_HASH);
                if (!lc->has_ack || index > lc->ack_index) {
                        lc->has_ack = true;
                        lc->ack_index = index;
                        memcpy(lc->ack_hash, hash, sizeof(lc->ack_hash));
                }
                answer(lc, p, "ok", index, hash);
        } else {
                char code[65];
                str_copy(code, sizeof(code), msg_str(m, TAG_CODE));
                answer(lc, p, code, UINT64_MAX, NULL);
        }
        pump(lc);
}

static Query *find_query(LedgerClient *lc, uint64_t req) {
        LIST_FOREACH (it, &lc->queries) {
                Query *q = container_of(it, Query, node);
                if (q->req == req && q->sent)
                        return q;
        }
        return NULL;
}

static bool on_query_msg(LedgerClient *lc, const Msg *m) {
        uint64_t req = msg_u64(m, TAG_REQ, 0);
        Query *q = find_query(lc, req);
        if (!q)
                return req >= QUERY_REQ_BASE;
        if (m->type == MSG_RECORD) {
                q->next = msg_u64(m, TAG_INDEX, q->next) + 1;
                q->fn(lc->user, q->token, m, "ok");
                return true;
        }
        if (str_eq(msg_str(m, TAG_CODE), "ok") && msg_bool(m, TAG_MORE, false)) {
                q->next = msg_u64(m, TAG_INDEX, q->next);
                q->sent = false;
                pump_queries(lc);
                return true;
        }
        char code[65];
        str_copy(code, sizeof(code), msg_str(m, TAG_CODE));
        LedgerRecordFn fn = q->fn;
        uint64_t token = q->token;
        list_remove(&q->node);
        lc->n_queries--;
        free(q);
        pump_queries(lc);
        fn(lc->user, token, NULL, code);
        return true;
}

bool ledger_client_msg(LedgerClient *lc, Link *l, Msg *m) {
        if (l != lc->link)
                return false;
        switch ((int)m->type) {
        case MSG_ATTACHED:
                on_attached(lc, m);
                return true;
        case MSG_APPEND_ACK:
        case MSG_APPEND_REFUSED:
                on_answer(lc, m);
                return true;
        case MSG_RECORD:
        case MSG_RESULT:
                return on_query_msg(lc, m);
        default:
                return false;
        }
}

/* ---- asking */

int ledger_client_append(LedgerClient *lc, const LedgerAppend *a, uint64_t token) {
        if (lc->rollback)
                return -EUCLEAN;
        if (lc->n_pending >= LEDGER_CLIENT_MAX)
                return -ENOBUFS;
        MsgBuilder b;
        msg_begin(&b, MSG_APPEND);
        msg_put_u64(&b, TAG_SEQ, lc->last_seq + 1);
        msg_put_u64(&b, TAG_KIND, (uint64_t)a->kind);
        msg_put_bytes(&b, TAG_REQUEST_ID, a->request_id);
        msg_put_bytes(&b, TAG_DIGEST, a->digest);
        if (a->ref != UINT64_MAX)
                msg_put_u64(&b, TAG_REF, a->ref);
        if (a->verdict_bits != 0)
                msg_put_u64(&b, TAG_VERDICT_BITS, a->verdict_bits);
        msg_put_cstr(&b, TAG_ACTOR, a->actor);
        msg_put_cstr(&b, TAG_ACTION, a->action);
        msg_put_cstr(&b, TAG_RESOURCE, a->resource);
        msg_put_cstr(&b, TAG_SUBSYSTEM, a->subsystem);
        msg_put_cstr(&b, TAG_CORRELATION_ID, a->correlation_id);
        msg_put_cstr(&b, TAG_RESULT, a->result);
        if (b.error < 0)
                return b.error;
        if (a->body.n > LEDGER_BODY_MAX)
                return -EMSGSIZE;

        Pending *p = malloc(sizeof(*p) + b.len + a->body.n);
        if (!p)
                return -ENOMEM;
        *p = (Pending){.seq = ++lc->last_seq,
                .token = token,
                .header_len = b.len,
                .fields = b.fields,
                .body_len = a->body.n};
        memcpy(p->data, b.header, b.len);
        if (a->body.n > 0)
                memcpy(p->data + b.len, a->body.p, a->body.n);
        list_append(&lc->pending, &p->node);
        lc->n_pending++;
        pump(lc);
        return 0;
}

int ledger_client_query(LedgerClient *lc, uint64_t kinds, uint64_t from, LedgerRecordFn fn, uint64_t token) {
        if (lc->n_queries >= QUERIES_MAX)
                return -ENOBUFS;
        Query *q = malloc(sizeof(*q));
        if (!q)
                return -ENOMEM;
        *q = (Query){.req = QUERY_REQ_BASE + ++lc->last_req,
                .kinds = kinds,
                .next = from,
                .fn = fn,
                .token = token};
        list_append(&lc->queries, &q->node);
        lc->n_queries++;
        pump_queries(lc);
        return 0;
}
