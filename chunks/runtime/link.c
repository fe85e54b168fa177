/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links of a chunk. Two rules live here and nowhere else:
 *
 *  The fence. A new link to a unit whose old link is still open is paused and not announced; the end of the
 * old one announces it. So a chunk never sees two instances of a peer interleaved.
 *
 *  Admission. A chunk that Guardian has not validated may attach and query. What else it sends is kept and
 * handed over when PEER says that it is validated. Queries overtake what is kept: a peer that must read
 * before it can become ready, and has already queued a write, would otherwise wait for itself.
 */
#include "chunks/runtime/link.h"
#include "common/cleanup.h"
#include "common/log.h"
#include <errno.h>
#include <sys/socket.h>

typedef struct HeldMsg {
        List node;
        Msg msg;
        size_t n;
        uint8_t bytes[];
} HeldMsg;

static LinkPriv *priv_of(Link *l) {
        return container_of(l, LinkPriv, link);
}

static bool is_open(const Link *l) {
        return l->conn && l->conn->fd >= 0;
}

/* ---- holding messages back */
static void drop_held(LinkPriv *p) {
        LIST_FOREACH_SAFE (it, nx, &p->held) {
                HeldMsg *h = container_of(it, HeldMsg, node);

                if (h->msg.fd >= 0)
                        close(h->msg.fd);
                free(h);
        }
        list_init(&p->held);
        p->n_held = 0;
        p->held_bytes = 0;
}

static int hold(LinkPriv *p, Msg *m) {
        size_t n = m->header.n + m->payload.n;
        HeldMsg *h = malloc(sizeof(*h) + n);

        if (!h)
                return -ENOMEM;
        h->msg = *m;
        h->n = n;
        if (m->header.n > 0)
                memcpy(h->bytes, m->header.p, m->header.n);
        if (m->payload.n > 0)
                memcpy(h->bytes + m->header.n, m->payload.p, m->payload.n);
        h->msg.header.p = (const char *)h->bytes;
        h->msg.payload.p = (const char *)h->bytes + m->header.n;
        h->msg.fd = msg_take_fd(m);
        list_append(&p->held, &h->node);
        p->held_bytes += n;
        if (++p->n_held >= LINK_HELD_MAX || p->held_bytes >= LINK_HELD_BYTES) {
                p->hold_paused = true;
                conn_pause(p->link.conn, true);
        }
        return 0;
}

static void admit(LinkPriv *p) {
        Chunk *c = p->link.chunk;

        p->admitted = true;
        while (!list_empty(&p->held) && is_open(&p->link)) {
                HeldMsg *h = container_of(p->held.next, HeldMsg, node);

                list_remove(&h->node);
                c->ops->on_msg(c, &p->link, &h->msg, c->user);
                if (h->msg.fd >= 0)
                        close(h->msg.fd);
                free(h);
        }
        drop_held(p);
        /* not a pause that the chunk itself asked for */
        if (p->hold_paused)
                conn_pause(p->link.conn, false);
        p->hold_paused = false;
}

/* ---- what may come in */
/* A person, or a process of a unit that asked Guardian's control socket for a connection: no part of the
 * house. */
static bool is_outsider(const Link *l) {
        return strcmp(l->kind, "person") == 0 || strcmp(l->kind, "unit") == 0;
}

static bool guardian_only(MsgType type) {
        return type <= MSG_MESH_LISTEN;
}

static bool outsider_may(MsgType type) {
        return type == MSG_CALL || type == MSG_QUERY || type == MSG_SUBSCRIBE || type == MSG_PUBLISH;
}

static void on_msg(Conn *conn, Msg *m, void *user) {
        LinkPriv *p = user;
        Link *l = &p->link;
        Chunk *c = l->chunk;
        uint64_t held;

        (void)conn;
        if (l == c->control) {
                chunk_on_control(c, m);
                return;
        }
        if (p->closing[0] || c->priv->exiting)
                return;
        if (guardian_only(m->type) || (is_outsider(l) && !outsider_may(m->type))) {
                if (log_limit(&c->priv->refused_limit, &held))
                        log_warning("a message that this peer may not send, closing its link",
                                LOG_STR("peer", l->conn->peer), LOG_STR("type", msg_type_name(m->type)),
                                LOG_HELD(held));
                link_close(l, "a message that this peer may not send");
                return;
        }
        if (p->admitted || m->type == MSG_QUERY || m->type == MSG_ATTACH)
                c->ops->on_msg(c, l, m, c->user);
        else if (hold(p, m) < 0)
                link_close(l, "out of memory");
}

/* ---- end of a link, and the fence */
void link_free(LinkPriv *p) {
        list_remove(&p->link.node);
        drop_held(p);
        conn_free(p->link.conn);
        free(p);
}

/* Links of outsiders stand side by side; those of one chunk follow each other. */
static bool is_fenced(const Link *l) {
        return !is_outsider(l) && l != l->chunk->control;
}

static LinkPriv *find(Chunk *c, const char *unit, bool announced) {
        LIST_FOREACH (it, &c->links) {
                LinkPriv *p = container_of(container_of(it, Link, node), LinkPriv, link);

                if (is_fenced(&p->link) && p->announced == announced && strcmp(p->link.unit, unit) == 0)
                        return p;
        }
        return NULL;
}

static void announce(LinkPriv *p) {
        Chunk *c = p->link.chunk;

        p->announced = p->link.current = true;
        conn_pause(p->link.conn, false);
        if (c->ops->on_link)
                c->ops->on_link(c, &p->link, c->user);
        /* validated while it waited behind the fence */
        if (p->admitted && is_open(&p->link))
                admit(p);
}

static void lost(LinkPriv *p, const char *reason) {
        Chunk *c = p->link.chunk;
        char unit[sizeof(p->link.unit)];
        bool fenced = is_fenced(&p->link);
        LinkPriv *next;

        str_copy(unit, sizeof(unit), str_of(p->link.unit));
        p->link.current = false;
        if (p->announced && c->ops->on_link_lost)
                c->ops->on_link_lost(c, &p->link, reason, c->user);
        link_free(p);
        next = fenced && !find(c, unit, true) ? find(c, unit, false) : NULL;
        if (next)
                announce(next);
}

static void on_end(Conn *conn, int error, const char *reason, void *user) {
        LinkPriv *p = user;
        Chunk *c = p->link.chunk;

        if (&p->link == c->control) {
                chunk_control_lost(c, error, reason);
                return;
        }
        if (error == -EBADMSG)
                log_warning("a peer sent what is no frame, closing its link", LOG_STR("peer", conn->peer),
                        LOG_STR("reason", reason));
        else
                log_debug("link ended", LOG_STR("peer", conn->peer), LOG_STR("reason", reason));
        lost(p, reason);
}

static void on_drain(Conn *conn, void *user) {
        Link *l = &((LinkPriv *)user)->link;

        (void)conn;
        if (l->chunk->ops->on_drain)
                l->chunk->ops->on_drain(l->chunk, l, l->chunk->user);
}

static const ConnOps conn_ops = {on_msg, on_end, on_drain};

static void on_reap(uv_idle_t *h) {
        uv_idle_stop(h);
        link_reap(h->data);
}

void link_close(Link *l, const char *reason) {
        LinkPriv *p = priv_of(l);

        if (p->closing[0] || l == l->chunk->control)
                return;
        str_copy(p->closing, sizeof(p->closing), str_of(reason && *reason ? reason : "closed"));
        conn_close(l->conn);
        uv_idle_start(&l->chunk->priv->reaper, on_reap);
}

void link_reap(Chunk *c) {
        /* from the front each time: the callbacks may change the list */
        for (bool again = true; again;) {
                again = false;
                LIST_FOREACH (it, &c->links) {
                        LinkPriv *p = container_of(container_of(it, Link, node), LinkPriv, link);

                        if (!p->closing[0])
                                continue;
                        lost(p, p->closing);
                        again = true;
                        break;
                }
        }
}

static void begin_result(
        MsgBuilder *b, uint64_t req, int status, const char *code, const char *message, bool more) {
        msg_begin(b, MSG_RESULT);
        msg_put_u64(b, TAG_REQ, req);
        msg_put_u64(b, TAG_STATUS, (uint64_t)status);
        msg_put_text(b, TAG_CODE, code);
        msg_put_text(b, TAG_MESSAGE, message);
        if (more)
                msg_put_bool(b, TAG_MORE, true);
}

/* ---- new links */
int link_new(Chunk *c, int fd, const char *unit, uint64_t instance, LinkPriv **ret) {
        LinkPriv *p = calloc(1, sizeof(*p));
        char label[160];
        int r;

        if (!p)
                return -ENOMEM;
        snprintf(label, sizeof(label), "%s/%llu", unit, (unsigned long long)instance);
        p->link.chunk = c;
        p->link.instance = instance;
        str_copy(p->link.unit, sizeof(p->link.unit), str_of(unit));
        list_init(&p->held);
        r = conn_new(&c->loop, fd, label, &conn_ops, p, &p->link.conn);
        if (r < 0) {
                free(p);
                return r;
        }
        list_append(&c->links, &p->link.node);
        *ret = p;
        return 0;
}

static bool is_stranger(const char *kind, Role role) {
        return strcmp(kind, "person") != 0 || role < ROLE_OPERATOR;
}

/* Is there a place for one more outsider? */
static bool has_place(Chunk *c, const char *kind, Role role, Str actor) {
        unsigned n = 0, strangers = 0, same = 0;

        LIST_FOREACH (it, &c->links) {
                const Link *l = container_of(it, Link, node);

                if (!is_outsider(l))
                        continue;
                n++;
                if (!is_stranger(l->kind, l->role))
                        continue;
                strangers++;
                same += str_eq(actor, l->actor);
        }
        return n < LINK_PERSONS_MAX &&
               (!is_stranger(kind, role) || (strangers < LINK_STRANGERS_MAX && same < LINK_STRANGER_MAX));
}

/* Its first and last message; a caller would else not know why its connection ended. */
static void say_full(int fd) {
        MsgBuilder b;
        Buf out = BUF_INIT(1024);

        begin_result(&b, 0, 1, "busy", "every place here that you may take is in use", false);
        if (msg_encode(&b, (Str){0}, 1, false, &out) == 0)
                (void)send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        buf_done(&out);
}

/* A predecessor that was never validated has nothing to say that may be handed over: it need not be waited
 * for. */
static void settle_predecessor(LinkPriv *p) {
        LinkPriv *old = find(p->link.chunk, p->link.unit, true);

        if (!old) {
                announce(p);
                return;
        }
        old->link.current = false;
        conn_pause(p->link.conn, true);
        if (!old->admitted)
                link_close(&old->link, "replaced before it was validated");
}

void link_accept(Chunk *c, Msg *m) {
        auto_close int fd = msg_take_fd(m);
        char unit[129], kind[17], role[17];
        uint64_t held;
        LinkPriv *p;
        int r, level;

        str_copy(unit, sizeof(unit), msg_str(m, TAG_UNIT));
        str_copy(kind, sizeof(kind), msg_str(m, TAG_PEER_KIND));
        str_copy(role, sizeof(role), msg_str(m, TAG_ROLE));
        level = role_from_string(str_of(role));
        if (level < 0)
                level = ROLE_NOBODY;
        if (strcmp(kind, "chunk") != 0 && !has_place(c, kind, (Role)level, msg_str(m, TAG_ACTOR))) {
                if (log_limit(&c->priv->full_limit, &held))
                        log_warning("a connection from outside is refused: too many are open",
                                LOG_STR("peer", unit), LOG_U64("limit", LINK_PERSONS_MAX), LOG_HELD(held),
                                LOG_STR("hint",
                                        "guardianctl queue stats lists who is connected to the mesh"));
                say_full(fd);
                return;
        }
        r = link_new(c, fd, unit, msg_u64(m, TAG_INSTANCE, 0), &p);
        if (r < 0) {
                log_error("a link that guardian made can't be used", LOG_UNIT(unit), LOG_ERRNO(r));
                return;
        }
        TAKE_FD(fd);
        p->link.role = (Role)level;
        p->link.uid = msg_u64(m, TAG_UID, UINT64_MAX);
        p->link.epoch = msg_u64(m, TAG_EPOCH, 0);
        p->link.validated = msg_bool(m, TAG_VALIDATED, false);
        p->admitted = p->link.validated || strcmp(kind, "chunk") != 0;
        str_copy(p->link.kind, sizeof(p->link.kind), str_of(kind));
        str_copy(p->link.actor, sizeof(p->link.actor), msg_str(m, TAG_ACTOR));
        if (is_fenced(&p->link))
                settle_predecessor(p);
        else
                announce(p);
}

void link_peer(Chunk *c, const Msg *m) {
        uint64_t instance = msg_u64(m, TAG_INSTANCE, 0);
        bool validated = msg_bool(m, TAG_VALIDATED, false);

        LIST_FOREACH (it, &c->links) {
                LinkPriv *p = container_of(container_of(it, Link, node), LinkPriv, link);
                Link *l = &p->link;

                if (!is_fenced(l) || l->instance != instance || p->closing[0] ||
                        !str_eq(msg_str(m, TAG_UNIT), l->unit))
                        continue;
                if (!validated) {
                        /* gone. What a validated one still has on the way is read to its end of file. */
                        if (!p->admitted)
                                link_close(l, "gone before it was validated");
                        return;
                }
                if (l->validated)
                        return;
                l->validated = true;
                if (!p->announced) {
                        p->admitted = true;
                        return;
                }
                if (c->ops->on_peer)
                        c->ops->on_peer(c, l, c->user);
                admit(p);
                return;
        }
}

/* ---- sending */
Link *chunk_link(Chunk *c, const char *unit) {
        LIST_FOREACH (it, &c->links) {
                Link *l = container_of(it, Link, node);

                if (l->current && is_open(l) && strcmp(l->unit, unit) == 0)
                        return l;
        }
        return NULL;
}

int link_send_fd(Link *l, const MsgBuilder *b, Str payload, int fd) {
        return conn_send(l->conn, b, payload, fd);
}

int link_send(Link *l, const MsgBuilder *b, Str payload) {
        return link_send_fd(l, b, payload, -1);
}

int link_result(
        Link *l, uint64_t req, int status, const char *code, const char *message, Str body, bool more) {
        MsgBuilder b;
        int r;

        begin_result(&b, req, status, code, message, more);
        r = link_send(l, &b, body);
        if (r != -EMSGSIZE)
                return r;
        /* An asker that hears nothing waits for ever: say what went wrong. */
        begin_result(&b, req, 1, "E.PAYLOAD_TOO_LARGE", "the answer is larger than a frame", false);
        return link_send(l, &b, (Str){0});
}
