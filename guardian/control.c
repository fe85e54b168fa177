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

typedef struct Client {
        List node;
        Control *control;
        Conn *conn;
        uint64_t id;
        Peer peer;
} Client;

struct Control {
        uv_loop_t *loop;
        const ControlOps *ops;
        PeerLookup look;
        void *user;
        uv_poll_t poll;
        int fd;
        bool poll_live, freed;
        List clients;
        unsigned n_clients;
        uint64_t next_id;
        char dir[1024];
};

static const char SOCKET_NAME[] = "control.sock";

/* Calls fn on DIR/NAME by a path that always fits sun_path: through the directory's descriptor where /proc is there. */
static int with_address(const char *dir, const char *name, int (*fn)(int, const struct sockaddr *, socklen_t), int sock) {
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
        auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
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
        k->conn = conn_free(k->conn);
        free(k);
}

static void on_msg(Conn *conn, Msg *m, void *user) {
        Client *k = user;
        (void)conn;
        if (m->type != MSG_CALL) {
                char text[64];
                snprintf(text, sizeof(text), "%s is not taken here", msg_type_name(m->type));
                log_warning("control client refused", LOG_STR("peer", k->peer.actor), LOG_STR("reason", text));
                k->control->ops->on_gone(k->control, k->id, k->control->user);
                client_free(k);
                return;
        }
        k->control->ops->on_call(k->control, k->id, &k->peer, m, k->control->user);
}

static void on_end(Conn *conn, int error, const char *reason, void *user) {
        Client *k = user;
        (void)conn;
        if (error < 0)
                log_warning("control connection ended", LOG_STR("peer", k->peer.actor), LOG_STR("reason", reason));
        k->control->ops->on_gone(k->control, k->id, k->control->user);
        client_free(k);
}

static const ConnOps client_ops = {.on_msg = on_msg, .on_end = on_end};

static void accept_one(Control *c, int fd) {
        auto_close int sock = fd;
        if (c->n_clients >= CONTROL_CLIENTS_MAX) {
                log_warning("control client refused", LOG_STR("reason", "too many"), LOG_U64("limit", CONTROL_CLIENTS_MAX));
                return;
        }
        Client *k = calloc(1, sizeof(*k));
        if (!k)
                return;
        k->control = c;
        k->id = ++c->next_id;
        int r = peer_identify(sock, &c->look, &k->peer);
        char name[128];
        snprintf(name, sizeof(name), "%.100s pid %d", k->peer.actor, (int)k->peer.pid);
        if (r >= 0)
                r = conn_new(c->loop, TAKE_FD(sock), name, &client_ops, k, &k->conn);
        if (r < 0) {
                log_warning("control client refused", LOG_ERRNO(r));
                free(k);
                return;
        }
        list_append(&c->clients, &k->node);
        c->n_clients++;
}

static void on_readable(uv_poll_t *h, int status, int events) {
        Control *c = h->data;
        (void)status;
        (void)events;
        for (unsigned i = 0; i < 16; i++) { /* a bounded share of one loop turn */
                int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd < 0)
                        return; /* EAGAIN, or out of descriptors: the poll reports it again */
                accept_one(c, fd);
        }
}

int control_open(uv_loop_t *loop, const char *dir, const PeerLookup *look, const ControlOps *ops, void *user, Control **ret) {
        int other = socket_connect_in(dir, SOCKET_NAME);
        if (other >= 0) {
                close(other);
                return -EADDRINUSE;
        }
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
        c->poll_live = true;
        c->poll.data = c;
        uv_poll_start(&c->poll, UV_READABLE, on_readable);
        *ret = c;
        return 0;
}

static Client *find(const Control *c, uint64_t id) {
        LIST_FOREACH(n, &c->clients) {
                Client *k = container_of(n, Client, node);
                if (k->id == id)
                        return k;
        }
        return NULL;
}

bool control_alive(const Control *c, uint64_t client) {
        return find(c, client) != NULL;
}

int control_result(Control *c, uint64_t client, uint64_t req, int status, const char *code, const char *message, Str body,
        bool more, int fd) {
        Client *k = c ? find(c, client) : NULL;
        if (!k)
                return -ENOENT;
        MsgBuilder b;
        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_u64(&b, TAG_STATUS, (uint64_t)status);
        msg_put_cstr(&b, TAG_CODE, code);
        msg_put_text(&b, TAG_MESSAGE, message);
        if (more)
                msg_put_bool(&b, TAG_MORE, true);
        return conn_send(k->conn, &b, body, fd);
}

static void on_poll_closed(uv_handle_t *h) {
        Control *c = h->data;
        close(c->fd);
        c->fd = -1;
        c->poll_live = false;
        if (c->freed)
                free(c);
}

void control_shutdown(Control *c, unsigned ms) {
        if (!c)
                return;
        if (c->poll_live && !uv_is_closing((uv_handle_t *)&c->poll)) {
                uv_close((uv_handle_t *)&c->poll, on_poll_closed);
                auto_close int d = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (d >= 0)
                        unlinkat(d, SOCKET_NAME, 0);
        }
        LIST_FOREACH_SAFE(n, next, &c->clients)
                conn_close_after_flush(container_of(n, Client, node)->conn, ms);
}

Control *control_free(Control *c) {
        if (!c)
                return NULL;
        control_shutdown(c, 0);
        LIST_FOREACH_SAFE(n, next, &c->clients)
                client_free(container_of(n, Client, node));
        c->freed = true;
        if (!c->poll_live)
                free(c);
        return NULL;
}
