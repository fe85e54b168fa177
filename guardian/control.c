/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/control.h"
#include "common/cleanup.h"
#include "common/conn.h"
#include "common/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
        STRANGERS_MAX = 32, /* clients of no role or observers: they never take the operators' places */
        OPEN_MAX = 32,      /* unanswered requests of one client */
        BACKLOG_MAX = 1024 * 1024,        /* unsent bytes past which a client's requests wait */
        PART_SIZE = 200 * 1024,           /* of a document that needs several frames */
        DOCUMENTS_MAX = 64 * 1024 * 1024, /* bytes of documents on their way, of all clients */
        ACCEPT_PAUSE_MS = 200,            /* without a descriptor for the next client */
};

typedef struct Client {
        List node;
        Control *control;
        Conn *conn;
        uint64_t id;
        Peer peer;
        unsigned open; /* requests without their last answer */
        Buf document;  /* on its way; the part up to document_at is sent */
        size_t document_at;
        uint64_t document_req;
        int document_status;
        char document_code[65], document_message[256];
} Client;

struct Control {
        uv_loop_t *loop;
        const ControlOps *ops;
        PeerLookup look;
        void *user;
        uv_poll_t poll;
        uv_timer_t resume; /* accepting again */
        int fd;
        unsigned handles; /* not yet closed by libuv */
        bool resting; /* said that none can be taken */
        LogLimit limit; /* of what clients cause */
        bool freed;
        size_t documents; /* bytes */
        List clients;
        unsigned n_clients;
        uint64_t next_id;
        char dir[1024];
};

static const char SOCKET_NAME[] = "control.sock";

/* Calls fn on DIR/NAME by a path that always fits sun_path: through the directory's descriptor where /proc is
 * there. */
static int with_address(
        const char *dir, const char *name, int (*fn)(int, const struct sockaddr *, socklen_t), int sock) {
        auto_close int d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (d < 0)
                return -errno;
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", dir, name);
        if (n >= (int)sizeof(a.sun_path))
                n = snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", d, name);
        if (n >= (int)sizeof(a.sun_path))
                return -ENAMETOOLONG;
        return fn(sock, (const struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
}

int socket_connect_in(const char *dir, const char *name) {
        auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        int r = with_address(dir, name, connect, fd);
        return r < 0 ? r : TAKE_FD(fd);
}

int socket_listen_in(const char *dir, const char *name, unsigned mode) {
        auto_close int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (d < 0)
                return -errno;
        auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (unlinkat(d, name, 0) < 0 && errno != ENOENT)
                return -errno;
        int r = with_address(dir, name, bind, fd);
        if (r < 0)
                return r;
        if (fchmodat(d, name, mode, 0) < 0 || listen(fd, 128) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static void client_free(Client *k) {
        list_remove(&k->node);
        k->control->n_clients--;
        k->control->documents -= k->document.len;
        k->conn = conn_free(k->conn);
        buf_done(&k->document);
        free(k);
}

static void client_drop(Client *k) {
        k->control->ops->on_gone(k->control, k->id, k->control->user);
        client_free(k);
}

static int send_result(Client *k, uint64_t req, int status, const char *code, const char *message, Str body,
        bool more, int fd) {
        MsgBuilder b;
        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_u64(&b, TAG_STATUS, (uint64_t)status);
        msg_put_cstr(&b, TAG_CODE, code);
        msg_put_text(&b, TAG_MESSAGE, message);
        if (more)
                msg_put_bool(&b, TAG_MORE, true);
        int r = conn_send(k->conn, &b, body, fd);
        if (r == -EMSGSIZE) { /* an answer that can't be sent must not leave its caller waiting */
                msg_begin(&b, MSG_RESULT);
                msg_put_u64(&b, TAG_REQ, req);
                msg_put_u64(&b, TAG_STATUS, 1);
                msg_put_cstr(&b, TAG_CODE, "failed");
                msg_put_cstr(&b, TAG_MESSAGE, "the answer is too long");
                r = conn_send(k->conn, &b, (Str){NULL, 0}, -1);
        }
        if (!more && k->open > 0)
                k->open--;
        return r;
}

/* As many parts as the connection takes now; the drain brings the next. */
static void document_step(Client *k) {
        while (k->document.len > 0 && conn_backlog(k->conn) <= BACKLOG_MAX) {
                size_t left = k->document.len - k->document_at, n = left < PART_SIZE ? left : PART_SIZE;
                bool last = n == left;
                Str part = {(char *)k->document.data + k->document_at, n};
                int r = last ? send_result(k, k->document_req, k->document_status, k->document_code,
                                       k->document_message[0] ? k->document_message : NULL, part, false, -1)
                             : send_result(k, k->document_req, 0, "part", NULL, part, true, -1);
                if (r == -ENOBUFS)
                        return;
                k->document_at += n;
                if (!last)
                        continue;
                k->control->documents -= k->document.len;
                buf_done(&k->document);
                k->document_at = 0;
        }
}

/* A client that does not read its answers is not read either. */
static void pace(Client *k) {
        if (k->conn->fd >= 0)
                conn_pause(k->conn, k->document.len > 0 || conn_backlog(k->conn) > BACKLOG_MAX);
}

static void on_drain(Conn *conn, void *user) {
        Client *k = user;
        (void)conn;
        document_step(k);
        pace(k);
}

static Client *find(const Control *c, uint64_t id) {
        LIST_FOREACH (n, &c->clients) {
                Client *k = container_of(n, Client, node);
                if (k->id == id)
                        return k;
        }
        return NULL;
}

static void on_msg(Conn *conn, Msg *m, void *user) {
        Client *k = user;
        Control *c = k->control;
        uint64_t id = k->id;
        (void)conn;
        if (m->type != MSG_CALL) {
                char text[64];
                uint64_t held;
                snprintf(text, sizeof(text), "%s is not taken here", msg_type_name(m->type));
                if (log_limit_burst(&c->limit, CONTROL_LOG_BURST, &held))
                        log_warning("control client refused", LOG_STR("peer", k->peer.actor), LOG_STR("reason", text),
                                LOG_HELD(held));
                client_drop(k);
                return;
        }
        k->open++;
        if (k->open > OPEN_MAX)
                send_result(k, msg_u64(m, TAG_REQ, 0), 1, "busy",
                        "too many unanswered requests on this connection", (Str){NULL, 0}, false, -1);
        else
                c->ops->on_call(c, k->id, &k->peer, m, c->user);
        k = find(c, id);
        if (k)
                pace(k);
}

static void on_end(Conn *conn, int error, const char *reason, void *user) {
        Client *k = user;
        (void)conn;
        uint64_t held;
        if (error < 0 && log_limit_burst(&k->control->limit, CONTROL_LOG_BURST, &held))
                log_warning("control connection ended", LOG_STR("peer", k->peer.actor),
                        LOG_STR("reason", reason), LOG_HELD(held));
        client_drop(k);
}

static const ConnOps client_ops = {.on_msg = on_msg, .on_end = on_end, .on_drain = on_drain};

static bool stranger(const Peer *p) {
        return p->role < ROLE_OPERATOR;
}

/* The oldest client that waits for nothing gives way to a new one of its own kind. False: every place is in
 * use. */
static bool make_room(Control *c, const Peer *p) {
        unsigned n = 0;
        Client *idle = NULL;
        LIST_FOREACH (node, &c->clients) {
                Client *k = container_of(node, Client, node);
                if (stranger(p) && !stranger(&k->peer))
                        continue;
                n++;
                if (!idle && k->open == 0 && conn_backlog(k->conn) == 0)
                        idle = k;
        }
        if (c->n_clients < CONTROL_CLIENTS_MAX && (!stranger(p) || n < STRANGERS_MAX))
                return true;
        if (!idle)
                return false;
        client_drop(idle);
        return true;
}

static void accept_one(Control *c, int fd) {
        auto_close int sock = fd;
        Client *k = calloc(1, sizeof(*k));
        if (!k)
                return;
        k->control = c;
        k->id = ++c->next_id;
        int r = peer_identify(sock, &c->look, &k->peer);
        char name[128];
        snprintf(name, sizeof(name), "%.100s pid %d", k->peer.actor, (int)k->peer.pid);
        bool room = r >= 0 && make_room(c, &k->peer);
        if (r >= 0)
                r = conn_new(c->loop, sock, name, &client_ops, k, &k->conn);
        uint64_t held;
        if (r < 0) {
                if (log_limit_burst(&c->limit, CONTROL_LOG_BURST, &held))
                        log_warning("control client refused", LOG_STR("peer", name), LOG_ERRNO(r), LOG_HELD(held));
                free(k);
                return;
        }
        sock = -1;
        list_append(&c->clients, &k->node);
        c->n_clients++;
        if (room)
                return;
        if (log_limit_burst(&c->limit, CONTROL_LOG_BURST, &held))
                log_warning("control client refused", LOG_STR("peer", name), LOG_STR("reason", "every place is in use"),
                        LOG_HELD(held));
        send_result(
                k, 0, 1, "busy", "every place at the control socket is in use", (Str){NULL, 0}, false, -1);
        conn_close_after_flush(k->conn, 0);
        client_free(k);
}

static void on_readable(uv_poll_t *h, int status, int events);

static void on_resume(uv_timer_t *t) {
        Control *c = t->data;
        uv_poll_start(&c->poll, UV_READABLE, on_readable);
}

static void on_readable(uv_poll_t *h, int status, int events) {
        Control *c = h->data;
        (void)status;
        (void)events;
        for (unsigned i = 0; i < 16; i++) { /* a bounded share of one loop turn */
                int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd >= 0) {
                        c->resting = false;
                        accept_one(c, fd);
                        continue;
                }
                if (errno == EINTR || errno == ECONNABORTED)
                        continue;
                if (errno != EAGAIN) {
                        /* no descriptor or no memory: the caller waits in the queue, and the poll must not
                         * report it for ever */
                        if (!c->resting)
                                log_warning("no control client can be taken", LOG_ERRNO(-errno),
                                        LOG_STR("hint", "it is tried again; EMFILE: raise the limit of open files"));
                        c->resting = true;
                        uv_poll_stop(&c->poll);
                        uv_timer_start(&c->resume, on_resume, ACCEPT_PAUSE_MS, 0);
                }
                return;
        }
}

int control_open(uv_loop_t *loop, const char *dir, const PeerLookup *look, const ControlOps *ops, void *user,
        Control **ret) {
        int other = socket_connect_in(dir, SOCKET_NAME);
        if (other >= 0)
                close(other);
        if (other >= 0 || other == -EAGAIN) /* a full queue has an owner too */
                return -EADDRINUSE;
        int fd = socket_listen_in(dir, SOCKET_NAME, 0666);
        if (fd < 0)
                return fd;
        Control *c = calloc(1, sizeof(*c));
        if (!c) {
                close(fd);
                return -ENOMEM;
        }
        *c = (Control){.loop = loop, .ops = ops, .look = *look, .user = user, .fd = fd};
        list_init(&c->clients);
        str_copy(c->dir, sizeof(c->dir), str_of(dir));
        int r = uv_poll_init(loop, &c->poll, fd);
        if (r < 0) {
                close(fd);
                free(c);
                return r;
        }
        uv_timer_init(loop, &c->resume);
        uv_unref((uv_handle_t *)&c->resume);
        c->handles = 2;
        c->poll.data = c->resume.data = c;
        uv_poll_start(&c->poll, UV_READABLE, on_readable);
        *ret = c;
        return 0;
}

bool control_alive(const Control *c, uint64_t client) {
        return find(c, client) != NULL;
}

int control_result(Control *c, uint64_t client, uint64_t req, int status, const char *code,
        const char *message, Str body, bool more, int fd) {
        Client *k = c ? find(c, client) : NULL;
        return k ? send_result(k, req, status, code, message, body, more, fd) : -ENOENT;
}

int control_document(Control *c, uint64_t client, uint64_t req, int status, const char *code,
        const char *message, Buf *document) {
        Client *k = c ? find(c, client) : NULL;
        if (!k)
                return -ENOENT;
        if (k->document.len > 0 || c->documents + document->len > DOCUMENTS_MAX)
                return -EBUSY;
        k->document = *document;
        k->document_at = 0;
        k->document_req = req;
        k->document_status = status;
        str_copy(k->document_code, sizeof(k->document_code), str_of(code));
        str_copy(k->document_message, sizeof(k->document_message), str_of(message ? message : ""));
        c->documents += document->len;
        *document = BUF_INIT(0);
        document_step(k);
        return 0;
}

bool control_full(const Control *c, uint64_t client) {
        const Client *k = c ? find(c, client) : NULL;
        return !k || conn_backlog(k->conn) > BACKLOG_MAX;
}

static void on_handle_closed(uv_handle_t *h) {
        Control *c = h->data;
        if (h == (uv_handle_t *)&c->poll) {
                close(c->fd);
                c->fd = -1;
        }
        if (--c->handles == 0 && c->freed)
                free(c);
}

void control_shutdown(Control *c, unsigned ms) {
        if (!c)
                return;
        if (c->handles && !uv_is_closing((uv_handle_t *)&c->poll)) {
                uv_close((uv_handle_t *)&c->poll, on_handle_closed);
                uv_close((uv_handle_t *)&c->resume, on_handle_closed);
                auto_close int d = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (d >= 0)
                        unlinkat(d, SOCKET_NAME, 0);
        }
        LIST_FOREACH_SAFE (n, next, &c->clients)
                conn_close_after_flush(container_of(n, Client, node)->conn, ms);
}

Control *control_free(Control *c) {
        if (!c)
                return NULL;
        control_shutdown(c, 0);
        LIST_FOREACH_SAFE (n, next, &c->clients)
                client_free(container_of(n, Client, node));
        c->freed = true;
        if (c->handles == 0)
                free(c);
        return NULL;
}
