/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams that Guardian makes and keeps no end of: between chunks that name each other in Links=,
 * and from a person to a chunk. Both ends of a pair travel as LINK messages on the control pipes, the first ones too, so
 * that there is one mechanism for start and renewal. Also what the mesh must know about units: bindings, handlers, sockets.
 */
#include "common/cleanup.h"
#include "common/log.h"
#include "guardian/manager.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool names(const UnitConfig *c, const char *target) {
        for (unsigned i = 0; i < c->links.n; i++)
                if (strcmp(c->links.items[i].name, target) == 0)
                        return true;
        return false;
}

static bool linked(const ManagedUnit *a, const ManagedUnit *b) {
        return names(a->config, b->config->name) || names(b->config, a->config->name);
}

static bool open_peer(const ManagedUnit *u) {
        return u->peer && u->peer->conn && u->peer->conn->fd >= 0;
}

static int send_link(ManagedUnit *to, const ManagedUnit *peer, int fd) {
        MsgBuilder b;
        msg_begin(&b, MSG_LINK);
        msg_put_cstr(&b, TAG_UNIT, peer->config->name);
        msg_put_u64(&b, TAG_INSTANCE, peer->peer->instance);
        msg_put_u64(&b, TAG_EPOCH, peer->peer->epoch);
        msg_put_cstr(&b, TAG_PEER_KIND, "chunk");
        msg_put_cstr(&b, TAG_ACTOR, peer->config->name);
        msg_put_bool(&b, TAG_VALIDATED, peer->peer->validated);
        return conn_send(to->peer->conn, &b, (Str){NULL, 0}, fd);
}

static void send_peer(ManagedUnit *to, const ManagedUnit *peer, bool validated) {
        MsgBuilder b;
        msg_begin(&b, MSG_PEER);
        msg_put_cstr(&b, TAG_UNIT, peer->config->name);
        msg_put_u64(&b, TAG_INSTANCE, peer->peer->instance);
        msg_put_bool(&b, TAG_VALIDATED, validated);
        conn_send(to->peer->conn, &b, (Str){NULL, 0}, -1);
}

/* ---- the mesh's knowledge of units */

static void send_binding(ManagedUnit *mesh, const ManagedUnit *u) {
        if (u == mesh || (u->config->publishes.n == 0 && u->config->subscribes.n == 0 && !linked(u, mesh)))
                return;
        MsgBuilder b;
        msg_begin(&b, MSG_BINDING);
        msg_put_cstr(&b, TAG_UNIT, u->config->name);
        for (unsigned i = 0; i < u->config->publishes.n; i++)
                msg_put_cstr(&b, TAG_PUBLISHES, u->config->publishes.items[i]);
        for (unsigned i = 0; i < u->config->subscribes.n; i++)
                msg_put_cstr(&b, TAG_SUBSCRIBES, u->config->subscribes.items[i]);
        conn_send(mesh->peer->conn, &b, (Str){NULL, 0}, -1);
}

static void send_handlers(ManagedUnit *mesh, const ManagedUnit *u) {
        const ChunkPeer *p = u->peer;
        if (!p || !p->validated || (p->n_handlers == 0 && u->config->handles.n == 0))
                return;
        MsgBuilder b;
        msg_begin(&b, MSG_HANDLER);
        msg_put_cstr(&b, TAG_UNIT, u->config->name);
        msg_put_u64(&b, TAG_INSTANCE, p->instance);
        for (unsigned i = 0; i < u->config->handles.n; i++)
                msg_put_cstr(&b, TAG_HANDLER, u->config->handles.items[i]);
        conn_send(mesh->peer->conn, &b, (Str){NULL, 0}, -1);
}

static void send_listener(ManagedUnit *mesh, const ManagedUnit *u) {
        struct stat st;
        if (u->mesh_listen < 0 || fstat(u->mesh_listen, &st) < 0)
                return;
        MsgBuilder b;
        msg_begin(&b, MSG_MESH_LISTEN);
        msg_put_cstr(&b, TAG_UNIT, u->config->name);
        /* the uid was resolved when the socket was made; the socket file carries it */
        char path[1400];
        snprintf(path, sizeof(path), "%s/mesh/%s.sock", u->m->opt->runtime_dir, u->config->name);
        msg_put_u64(&b, TAG_UID, stat(path, &st) == 0 ? st.st_uid : getuid());
        conn_send(mesh->peer->conn, &b, (Str){NULL, 0}, u->mesh_listen);
}

int links_mesh_socket(ManagedUnit *u, uid_t uid, char *path, size_t cap) {
        Manager *m = u->m;
        if (m->mesh == PLAN_NONE || !names(u->config, "mesh"))
                return -ENOENT;
        char dir[1300], file[96];
        snprintf(dir, sizeof(dir), "%s/mesh", m->opt->runtime_dir);
        snprintf(file, sizeof(file), "%s.sock", u->config->name);
        if (snprintf(path, cap, "%s/%s", dir, file) >= (int)cap)
                return -ENAMETOOLONG;
        if (u->mesh_listen >= 0)
                return 0;
        if (mkdir(dir, 0711) < 0 && errno != EEXIST)
                return -errno;
        int fd = socket_listen_in(dir, file, 0600);
        if (fd < 0) {
                log_warning("no mesh socket: the unit can't reach the event mesh", LOG_UNIT(u->config->name),
                        LOG_STR("dir", m->opt->runtime_dir), LOG_ERRNO(fd));
                return fd;
        }
        if (uid != getuid() && chown(path, uid, (gid_t)-1) < 0)
                log_warning("the mesh socket can't be given to the unit's user", LOG_UNIT(u->config->name), LOG_ERRNO(-errno));
        u->mesh_listen = fd;
        if (chunk_part_ready(m, m->mesh)) {
                send_binding(&m->units[m->mesh], u);
                send_listener(&m->units[m->mesh], u);
        }
        return 0;
}

void links_mesh_socket_close(ManagedUnit *u) {
        char path[1400];
        if (u->mesh_listen < 0)
                return;
        snprintf(path, sizeof(path), "%s/mesh/%s.sock", u->m->opt->runtime_dir, u->config->name);
        unlink(path);
        close(u->mesh_listen);
        u->mesh_listen = -1;
}

void links_mesh_dir_remove(Manager *m) {
        char dir[1300];
        snprintf(dir, sizeof(dir), "%s/mesh", m->opt->runtime_dir);
        rmdir(dir);
}

/* ---- chunk to chunk */

void links_chunk_up(ManagedUnit *u) {
        Manager *m = u->m;
        /* what a unit may say stands before the link on which it will say it */
        if (u->index == m->mesh)
                for (uint32_t i = 0; i < m->n_units; i++)
                        send_binding(u, &m->units[i]);
        else if (m->mesh != PLAN_NONE && open_peer(&m->units[m->mesh]))
                send_binding(&m->units[m->mesh], u);
        for (uint32_t i = 0; i < m->n_units; i++) {
                ManagedUnit *other = &m->units[i];
                if (other == u || other->config->type != SERVICE_CHUNK || !linked(u, other) || !open_peer(other))
                        continue;
                int pair[2];
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
                        log_error("no link", LOG_UNIT(u->config->name), LOG_STR("peer", other->config->name), LOG_ERRNO(-errno));
                        continue;
                }
                int r = send_link(u, other, pair[0]);
                if (r == 0)
                        r = send_link(other, u, pair[1]);
                close(pair[0]);
                close(pair[1]);
                if (r < 0)
                        log_error("no link", LOG_UNIT(u->config->name), LOG_STR("peer", other->config->name), LOG_ERRNO(r));
        }
}

void links_chunk_validated(ManagedUnit *u) {
        Manager *m = u->m;
        for (uint32_t i = 0; i < m->n_units; i++) {
                ManagedUnit *other = &m->units[i];
                if (other != u && other->config->type == SERVICE_CHUNK && linked(u, other) && open_peer(other))
                        send_peer(other, u, true);
        }
        ManagedUnit *mesh = m->mesh != PLAN_NONE ? &m->units[m->mesh] : NULL;
        if (u == mesh) {
                for (uint32_t i = 0; i < m->n_units; i++) {
                        send_handlers(mesh, &m->units[i]);
                        send_listener(mesh, &m->units[i]);
                }
                lifecycle_flush(m);
        } else if (mesh && chunk_part_ready(m, m->mesh)) {
                send_handlers(mesh, u);
        }
}

void links_chunk_gone(ManagedUnit *u) {
        Manager *m = u->m;
        if (!u->peer)
                return;
        for (uint32_t i = 0; i < m->n_units; i++) {
                ManagedUnit *other = &m->units[i];
                if (other != u && other->config->type == SERVICE_CHUNK && linked(u, other) && open_peer(other))
                        send_peer(other, u, false);
        }
}

/* ---- persons */

int links_connect_person(Manager *m, const char *unit, const Peer *peer, int *fd) {
        ManagedUnit *u = manager_unit(m, str_of(unit));
        if (!u || !chunk_part_ready(m, u->index))
                return -ENOENT;
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        MsgBuilder b;
        msg_begin(&b, MSG_LINK);
        /* every connection is a peer of its own: a second one must not wait for the first one's end */
        msg_putf(&b, TAG_UNIT, "%.100s#%llu", peer->actor, (unsigned long long)++m->next_waiter);
        msg_put_u64(&b, TAG_INSTANCE, m->next_waiter);
        msg_put_u64(&b, TAG_EPOCH, 0);
        msg_put_cstr(&b, TAG_PEER_KIND, peer->kind == PEER_PERSON ? "person" : "unit");
        msg_put_cstr(&b, TAG_ACTOR, peer->actor);
        msg_put_cstr(&b, TAG_ROLE, role_to_string((int)peer->role));
        msg_put_u64(&b, TAG_UID, peer->uid);
        msg_put_bool(&b, TAG_VALIDATED, true);
        int r = conn_send(u->peer->conn, &b, (Str){NULL, 0}, pair[1]);
        close(pair[1]);
        if (r < 0) {
                close(pair[0]);
                return r;
        }
        *fd = pair[0];
        return 0;
}
