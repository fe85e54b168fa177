/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mesh sockets. Guardian holds each unit's listening socket and hands it to every instance of the mesh, so
 * that a restart of the mesh loses no connection attempt. Who connects is the unit: the socket is its own,
 * and the peer's uid must be the unit's or root's (SO_PEERCRED is what the kernel says of connect(2), not
 * what the client says).
 *
 * The first byte decides: '{' begins JSON lines, anything else is frames.
 */
#include "chunks/mesh/jsonl.h"
#include "chunks/mesh/mesh.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

enum { CLIENTS_MAX = 64, CLIENT_HANDLERS_MAX = 16, CLIENT_ERRORS_MAX = 10, OUT_MAX = 4 * 1024 * 1024 };

struct KernelSocket {
        List node;
        Mesh *mesh;
        char unit[129];
        uint64_t uid;
        int fd;
        uv_poll_t poll;
        List clients;
        unsigned n_clients;
        LogLimit refused, full, cut;
};

struct KernelClient {
        List node;
        MeshStream stream;
        KernelSocket *socket;
        int fd;
        uv_poll_t poll; /* of JSON lines, and before the first byte */
        Conn *conn;     /* of frames */
        Buf in, out;
        char *handlers[CLIENT_HANDLERS_MAX];
        unsigned n_handlers, errors;
        bool json, gone;
};

static void client_poll(KernelClient *c);

MeshStream *kernel_stream(KernelClient *c) {
        return &c->stream;
}

/* ---- end */

static void client_free(KernelClient *c) {
        for (unsigned i = 0; i < c->n_handlers; i++)
                free(c->handlers[i]);
        buf_done(&c->in);
        buf_done(&c->out);
        conn_free(c->conn);
        free(c);
}

static void client_poll_closed(uv_handle_t *h) {
        KernelClient *c = h->data;

        if (c->fd >= 0)
                close(c->fd);
        client_free(c);
}

void kernel_cut(KernelClient *c, const char *reason) {
        if (c->gone)
                return;
        c->gone = true;
        c->stream.cut = true;
        log_debug("client of a mesh socket ended", LOG_UNIT(c->socket->unit), LOG_STR("reason", reason));
}

/* The client's own doing: somebody has to mend it. */
static void client_fault(KernelClient *c, const char *reason) {
        uint64_t held;

        if (!c->gone && log_limit(&c->socket->cut, &held))
                log_warning("a client of a mesh socket is cut off", LOG_UNIT(c->socket->unit),
                        LOG_STR("reason", reason), LOG_HELD(held));
        kernel_cut(c, reason);
}

static void client_end(KernelClient *c) {
        mesh_stream_gone(c->socket->mesh, &c->stream);
        list_remove(&c->node);
        c->socket->n_clients--;
        if (c->conn)
                conn_close(c->conn);
        else
                uv_poll_stop(&c->poll);
        uv_close((uv_handle_t *)&c->poll, client_poll_closed);
}

void kernel_reap(Mesh *m) {
        LIST_FOREACH (s, &m->sockets)
                LIST_FOREACH_SAFE (it, nx, &container_of(s, KernelSocket, node)->clients) {
                        KernelClient *c = container_of(it, KernelClient, node);

                        if (c->gone)
                                client_end(c);
                }
}

/* ---- writing */

static void client_flush(KernelClient *c) {
        while (c->out.len > 0 && !c->gone) {
                ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n > 0) {
                        buf_consume(&c->out, (size_t)n);
                } else if (errno == EAGAIN) {
                        break;
                } else if (errno != EINTR) {
                        kernel_cut(c, strerror(errno));
                }
        }
        if (c->out.len == 0)
                buf_shrink(&c->out);
        client_poll(c);
}

void kernel_answer(KernelClient *c, const MeshAnswer *a) {
        MsgBuilder b;
        int r;

        if (c->gone)
                return;
        r = c->json ? jsonl_answer(a, &c->out) : mesh_result_build(a, &b);
        if (r == 0 && !c->json)
                r = conn_send(c->conn, &b, (Str){0}, -1);
        if (r < 0)
                client_fault(c, "it does not read its answers");
        else if (c->json)
                client_flush(c);
}

bool kernel_ready(const KernelClient *c) {
        return !c->gone && (c->json ? c->out.len : conn_backlog(c->conn)) <= MESH_SENT_MAX;
}

bool kernel_send_event(KernelClient *c, const MeshEvent *e) {
        int r;

        if (!kernel_ready(c))
                return false;
        if (c->json) {
                r = jsonl_event(e, &c->out);
                if (r == 0)
                        client_flush(c);
        } else {
                MsgBuilder b;

                mesh_event_builder(e, MSG_EVENT, &b);
                msg_put_u64(&b, TAG_INDEX, e->index);
                r = conn_send(c->conn, &b, mesh_event_payload(e), -1);
        }
        if (r < 0)
                client_fault(c, "an event for it can't be written");
        return r == 0;
}

int kernel_invoke(KernelClient *c, uint64_t req, const WorkflowInvoke *i, const MsgBuilder *b) {
        int r;

        if (c->gone)
                return -ENOTCONN;
        if (!c->json)
                return conn_send(c->conn, b, i->payload, -1);
        /* the bit is past what a JSON number holds exactly */
        r = jsonl_invoke(req & ~MESH_REQ_INVOKE, i->handler, i->event, i->payload, &c->out);
        if (r == 0)
                client_flush(c);
        else
                client_fault(c, "an invocation for it can't be written");
        return r;
}

KernelClient *kernel_find(Mesh *m, const char *unit, const char *handler) {
        LIST_FOREACH (s, &m->sockets) {
                KernelSocket *socket = container_of(s, KernelSocket, node);

                if (strcmp(socket->unit, unit) != 0)
                        continue;
                LIST_FOREACH (it, &socket->clients) {
                        KernelClient *c = container_of(it, KernelClient, node);

                        for (unsigned i = 0; !c->gone && i < c->n_handlers; i++)
                                if (strcmp(c->handlers[i], handler) == 0)
                                        return c;
                }
        }
        return NULL;
}

/* ---- operations of JSON lines */

static void op_register(KernelClient *c, const JsonlOp *op) {
        const Binding *b = registry_find(&c->socket->mesh->core.registry, c->socket->unit);
        MeshAnswer a = {.req = op->req, .index = UINT64_MAX, .code = "ok", .field = NULL};
        char *copy;

        if (!binding_serves(b, op->handler)) {
                a = (MeshAnswer){.req = op->req,
                        .index = UINT64_MAX,
                        .status = 4,
                        .code = "E.FORBIDDEN",
                        .field = "handler",
                        .message = "Handles= in the unit's file does not name this handler"};
        } else if (c->n_handlers == CLIENT_HANDLERS_MAX || !(copy = strdup(op->handler))) {
                a = (MeshAnswer){.req = op->req,
                        .index = UINT64_MAX,
                        .status = 1,
                        .code = "E.RATE_LIMIT",
                        .field = "handler",
                        .message = "a connection registers at most 16 handlers"};
        } else {
                c->handlers[c->n_handlers++] = copy;
        }
        kernel_answer(c, &a);
}

static void op_publish(KernelClient *c, JsonlOp *op) {
        Mesh *m = c->socket->mesh;
        Str payload = {op->payload, op->payload ? strlen(op->payload) : 0};
        Msg view;

        msg_put_u64(&op->publish, TAG_REQ, op->req);
        if (msg_view(&op->publish, payload, &view) < 0) {
                kernel_answer(c,
                        &(MeshAnswer){.req = op->req,
                                .index = UINT64_MAX,
                                .status = 1,
                                .code = "E.PAYLOAD_TOO_LARGE",
                                .message =
                                        "the event is larger than a message: at most 256 KiB in all, 8 KiB "
                                        "without the payload"});
                return;
        }
        mesh_publish(&m->core, &c->stream.peer, &view, clock_boot_us(), clock_wall_ns());
}

static void op_run(KernelClient *c, JsonlOp *op) {
        Mesh *m = c->socket->mesh;

        switch (op->kind) {
        case JSONL_PUBLISH:
                op_publish(c, op);
                return;
        case JSONL_SUBSCRIBE:
                mesh_subscribe(&m->core, &c->stream.peer, op->req, op->pattern);
                return;
        case JSONL_REGISTER:
                op_register(c, op);
                return;
        case JSONL_RESULT:
                mesh_invoke_answered(m, &c->stream, MESH_REQ_INVOKE | op->req, op->ok ? 0 : 1, op->code,
                        op->message, (Str){op->payload, op->payload ? strlen(op->payload) : 0});
                return;
        }
}

static void client_line(KernelClient *c, Str line) {
        JsonlError err;
        JsonlOp op;
        int r;

        if (line.n == 0)
                return;
        r = jsonl_parse(line, &op, &err);
        if (r == 0) {
                op_run(c, &op);
                jsonl_op_done(&op);
                return;
        }
        if (r == -EINVAL)
                kernel_answer(c, &(MeshAnswer){.req = err.req,
                                         .index = UINT64_MAX,
                                         .status = strcmp(err.code, "E.FORBIDDEN") == 0 ? 4 : 1,
                                         .code = err.code,
                                         .message = err.message,
                                         .field = err.field[0] ? err.field : NULL});
        if (++c->errors >= CLIENT_ERRORS_MAX)
                client_fault(c, "ten of its lines could not be understood");
}

static void client_lines(KernelClient *c) {
        size_t at = 0;

        while (!c->gone) {
                const char *text = (const char *)c->in.data + at;
                const char *end = c->in.len > at ? memchr(text, '\n', c->in.len - at) : NULL;
                size_t n;

                if (!end)
                        break;
                n = (size_t)(end - text);
                at += n + 1;
                client_line(c, (Str){text, n && text[n - 1] == '\r' ? n - 1 : n});
        }
        buf_consume(&c->in, at);
        if (c->in.len >= JSONL_LINE_MAX)
                client_fault(c, "a line of it is over 256 KiB");
        if (c->in.len == 0)
                buf_shrink(&c->in);
}

static void client_read(KernelClient *c) {
        char block[16 * 1024];
        ssize_t n = recv(c->fd, block, sizeof(block), MSG_DONTWAIT);

        if (n > 0) {
                if (buf_append(&c->in, block, (size_t)n) < 0)
                        kernel_cut(c, "out of memory");
                else
                        client_lines(c);
        } else if (n == 0) {
                kernel_cut(c, "end of file");
        } else if (errno != EAGAIN && errno != EINTR) {
                kernel_cut(c, strerror(errno));
        }
}

/* ---- frames */

static void conn_msg(Conn *conn, Msg *msg, void *user) {
        KernelClient *c = user;

        (void)conn;
        if (c->gone)
                return;
        /* a kernel is no chunk: it publishes, subscribes and answers what it is asked */
        if (msg->type != MSG_PUBLISH && msg->type != MSG_SUBSCRIBE && msg->type != MSG_RESULT) {
                client_fault(c, "it sent a message that a service may not send");
                return;
        }
        mesh_stream_msg(c->socket->mesh, &c->stream, msg);
}

static void conn_ended(Conn *conn, int error, const char *reason, void *user) {
        (void)conn;
        if (error == -EBADMSG)
                client_fault(user, reason);
        else
                kernel_cut(user, reason);
}

static void conn_drained(Conn *conn, void *user) {
        KernelClient *c = user;

        (void)conn;
        mesh_stream_pump(&c->stream);
}

static const ConnOps CONN_OPS = {.on_msg = conn_msg, .on_end = conn_ended, .on_drain = conn_drained};

static void frames_begin(KernelClient *c) {
        char name[160];
        int fd = TAKE_FD(c->fd);

        uv_poll_stop(&c->poll);
        snprintf(name, sizeof(name), "kernel %s", c->socket->unit);
        if (conn_new(&c->socket->mesh->chunk->loop, fd, name, &CONN_OPS, c, &c->conn) < 0) {
                c->fd = fd;
                kernel_cut(c, "out of memory");
        } else {
                c->stream.peer.validated = true;
        }
}

/* ---- the socket */

static void client_event(uv_poll_t *h, int status, int events) {
        KernelClient *c = h->data;

        if (c->gone)
                return;
        if (status < 0) {
                kernel_cut(c, uv_strerror(status));
        } else if (c->json) {
                if (events & UV_WRITABLE)
                        client_flush(c);
                if (!c->gone && (events & UV_READABLE))
                        client_read(c);
                if (!c->gone && c->out.len <= MESH_SENT_MAX)
                        mesh_stream_pump(&c->stream);
                client_poll(c);
        } else {
                char first;
                ssize_t n = recv(c->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

                if (n == 1 && first == '{') {
                        c->json = c->stream.peer.validated = true;
                        client_read(c);
                        client_poll(c);
                } else if (n == 1) {
                        frames_begin(c);
                } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
                        kernel_cut(c, "end of file");
                }
        }
}

/* Reads while the client reads: answers that nobody takes are no reason to take more questions. */
static void client_poll(KernelClient *c) {
        int events = 0;

        if (c->gone || c->conn)
                return;
        if (c->out.len <= MESH_SENT_MAX)
                events |= UV_READABLE;
        if (c->out.len > 0)
                events |= UV_WRITABLE;
        uv_poll_start(&c->poll, events, client_event);
}

static bool peer_allowed(KernelSocket *s, int fd) {
        uint64_t held;
        struct ucred cred;
        socklen_t n = sizeof(cred);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
                return false;
        if (cred.uid == s->uid || cred.uid == 0)
                return true;
        if (log_limit(&s->refused, &held))
                log_warning("a mesh socket refuses who is neither its unit's user nor root",
                        LOG_UNIT(s->unit), LOG_U64("uid", cred.uid), LOG_I64("pid", cred.pid),
                        LOG_HELD(held));
        return false;
}

static int client_new(KernelSocket *s, int fd) {
        KernelClient *c = calloc(1, sizeof(*c));
        MeshPeer *p;

        if (!c)
                return -ENOMEM;
        c->socket = s;
        c->fd = fd;
        c->in = BUF_INIT(JSONL_LINE_MAX + 32 * 1024);
        c->out = BUF_INIT(OUT_MAX);
        if (uv_poll_init(&s->mesh->chunk->loop, &c->poll, fd) < 0) {
                free(c);
                return -EIO;
        }
        c->poll.data = c;
        c->stream = (MeshStream){.mesh = s->mesh, .client = c};
        p = &c->stream.peer;
        p->kind = MESH_PEER_KERNEL;
        str_copy(p->unit, sizeof(p->unit), str_of(s->unit));
        str_copy(p->actor, sizeof(p->actor), str_of(s->unit));
        p->shell = &c->stream;
        mesh_peer_add(&s->mesh->core, p);
        list_append(&s->clients, &c->node);
        s->n_clients++;
        client_poll(c);
        return 0;
}

static void socket_event(uv_poll_t *h, int status, int events) {
        KernelSocket *s = h->data;

        (void)events;
        for (int turn = 0; status == 0 && turn < 16; turn++) {
                int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                uint64_t held;

                if (fd < 0)
                        return;
                if (s->n_clients >= CLIENTS_MAX) {
                        if (log_limit(&s->full, &held))
                                log_warning("a mesh socket takes no more clients", LOG_UNIT(s->unit),
                                        LOG_U64("limit", CLIENTS_MAX), LOG_HELD(held));
                        close(fd);
                } else if (!peer_allowed(s, fd) || client_new(s, fd) < 0) {
                        close(fd);
                }
        }
}

static int listener_start(KernelSocket *s, int fd) {
        int r = uv_poll_init(&s->mesh->chunk->loop, &s->poll, fd);

        if (r < 0)
                return r;
        s->fd = fd;
        s->poll.data = s;
        return uv_poll_start(&s->poll, UV_READABLE, socket_event);
}

static void socket_closed(uv_handle_t *h) {
        KernelSocket *s = h->data;

        if (s->fd >= 0)
                close(s->fd);
        free(s);
}

static void socket_end(KernelSocket *s) {
        list_remove(&s->node);
        uv_poll_stop(&s->poll);
        uv_close((uv_handle_t *)&s->poll, socket_closed);
}

int kernel_listen(Mesh *m, Msg *msg) {
        auto_close int fd = msg_take_fd(msg);
        KernelSocket *s;
        int r;

        if (fd < 0)
                return -EBADF;
        LIST_FOREACH_SAFE (it, nx, &m->sockets) {
                s = container_of(it, KernelSocket, node);
                /* the same unit again: its old socket is of an older instance, clients come anew */
                if (str_eq(msg_str(msg, TAG_UNIT), s->unit)) {
                        LIST_FOREACH (cl, &s->clients)
                                kernel_cut(container_of(cl, KernelClient, node),
                                        "the unit has a new mesh socket");
                        kernel_reap(m);
                        socket_end(s);
                }
        }
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->mesh = m;
        list_init(&s->clients);
        str_copy(s->unit, sizeof(s->unit), msg_str(msg, TAG_UNIT));
        s->uid = msg_u64(msg, TAG_UID, 0);
        r = listener_start(s, fd);
        if (r < 0) {
                free(s);
                return r;
        }
        fd = -1;
        list_append(&m->sockets, &s->node);
        return 0;
}

void kernel_done(Mesh *m) {
        LIST_FOREACH_SAFE (it, nx, &m->sockets) {
                KernelSocket *s = container_of(it, KernelSocket, node);

                LIST_FOREACH (cl, &s->clients)
                        kernel_cut(container_of(cl, KernelClient, node), "the mesh stops");
        }
        kernel_reap(m);
        LIST_FOREACH_SAFE (it, nx, &m->sockets)
                socket_end(container_of(it, KernelSocket, node));
}
