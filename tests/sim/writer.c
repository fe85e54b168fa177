/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

void writer_reset(SimWriter *w) {
        for (unsigned i = 0; i < w->n; i++) {
                free(w->items[i].body);
                free(w->items[i].b);
        }
        w->n = 0;
        w->next_seq = 1;
        w->epoch = 0;
        w->has_ack = w->attached = false;
}

void writer_attach(Sim *s, Proc p, SimWriter *w) {
        MsgBuilder b;
        w->attached = false;
        msg_begin(&b, MSG_ATTACH);
        msg_put_u64(&b, TAG_EPOCH, w->epoch);
        if (w->has_ack) {
                msg_put_u64(&b, TAG_INDEX, w->acked);
                msg_put_bytes(&b, TAG_HASH, w->hash);
        }
        put_msg(s, p, P_LEDGER, &b, (Str){NULL, 0});
}

void writer_lost(SimWriter *w) {
        w->attached = false;
        for (unsigned i = 0; i < w->n; i++)
                w->items[i].sent = false;
}

static void pump(Sim *s, Proc p, SimWriter *w) {
        for (unsigned i = 0; w->attached && i < w->n; i++) {
                if (w->items[i].sent)
                        continue;
                w->items[i].sent = true;
                put_msg(s, p, P_LEDGER, w->items[i].b, (Str){w->items[i].body, w->items[i].n});
        }
}

int writer_put(Sim *s, Proc p, SimWriter *w, const MsgBuilder *b, Str body, uint64_t token) {
        if (w->n == SIM_WRITER_MAX)
                return -1;
        char *copy = malloc(body.n + 1);
        MsgBuilder *own = malloc(sizeof(*own));
        if (!copy || !own) {
                free(copy);
                free(own);
                return -1;
        }
        memcpy(copy, body.p, body.n);
        w->items[w->n].seq = w->next_seq++;
        w->items[w->n].token = token;
        memcpy(own, b, offsetof(MsgBuilder, header) + b->len);
        w->items[w->n].b = own;
        w->items[w->n].body = copy;
        w->items[w->n].n = body.n;
        w->items[w->n].sent = false;
        msg_put_u64(own, TAG_SEQ, w->items[w->n].seq);
        w->n++;
        pump(s, p, w);
        return 0;
}

static bool attached(Sim *s, Proc p, SimWriter *w, const Msg *m) {
        if (!str_eq(msg_str(m, TAG_CODE), "ok"))
                return !str_eq(msg_str(m, TAG_CODE), "not_validated");
        w->epoch = msg_u64(m, TAG_EPOCH, 0);
        w->attached = true;
        pump(s, p, w);
        return false;
}

bool writer_msg(
        Sim *s, Proc p, SimWriter *w, const Msg *m, const char **code, uint64_t *token, uint64_t *index) {
        static char text[65];
        *token = 0;
        if (m->type == MSG_ATTACHED) {
                if (attached(s, p, w, m) && !s->rolled)
                        violate(s, "P8 the ledger would not have %s: %.*s", proc_name(p),
                                (int)msg_str(m, TAG_CODE).n, msg_str(m, TAG_CODE).p);
                return true;
        }
        if (m->type != MSG_APPEND_ACK && m->type != MSG_APPEND_REFUSED)
                return false;
        uint64_t seq = msg_u64(m, TAG_SEQ, 0);
        for (unsigned i = 0; i < w->n; i++) {
                if (w->items[i].seq != seq)
                        continue;
                *token = w->items[i].token;
                *index = msg_u64(m, TAG_INDEX, UINT64_MAX);
                *code = "ok";
                if (m->type == MSG_APPEND_REFUSED)
                        *code = str_copy(text, sizeof(text), msg_str(m, TAG_CODE));
                else if (!w->has_ack || *index > w->acked) {
                        w->has_ack = true;
                        w->acked = *index;
                        memcpy(w->hash, msg_bytes(m, TAG_HASH), 32);
                }
                free(w->items[i].body);
                free(w->items[i].b);
                memmove(w->items + i, w->items + i + 1, (--w->n - i) * sizeof(w->items[0]));
                break;
        }
        return true;
}
