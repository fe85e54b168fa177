/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The control socket, RUNTIME/control.sock: accepts, says who it is (guardian/peer.h), hands CALLs over, sends RESULTs. Mode
 * 0666: roles decide, not the file's mode. At most CONTROL_CLIENTS_MAX at once, half of them for callers below operator; past
 * that the oldest idle one of its kind gives way, and where none is idle the new one is told "busy". A client that does not
 * read its answers is not read. A caller is named by a number that is never used twice, so that an answer which comes late
 * finds nobody instead of the wrong one.
 */
#include "common/buf.h"
#include "common/msg.h"
#include "guardian/peer.h"
#include <uv.h>

enum { CONTROL_CLIENTS_MAX = 64 };

enum { CONTROL_LOG_BURST = 100 }; /* lines about clients, of one kind, in LOG_LIMIT_US */

typedef struct Control Control;
typedef struct ControlOps {
        /* A CALL. Answer now or later with control_result(). */
        void (*on_call)(Control *c, uint64_t client, const Peer *peer, const Msg *m, void *user);
        void (*on_gone)(Control *c, uint64_t client, void *user);
} ControlOps;

/* dir: the runtime directory (bound through a descriptor of it, so that its path may be longer than sun_path). A socket file
 * that another living Guardian listens on is -EADDRINUSE; a stale one is replaced. */
int control_open(uv_loop_t *loop, const char *dir, const PeerLookup *look, const ControlOps *ops, void *user, Control **ret);
/* body: one JSON value or {NULL, 0}. fd: -1, or a descriptor to hand over (the caller keeps its own). -ENOENT: the client has
 * gone. */
int control_result(Control *c, uint64_t client, uint64_t req, int status, const char *code, const char *message, Str body,
        bool more, int fd);
/* A document of any length in as many RESULTs as it needs: code "part" with MORE, the last one with `code`. Takes the buffer's memory.
 * -ENOENT: the client has gone; -EBUSY: too much is on its way already, the buffer stays the caller's. */
int control_document(Control *c, uint64_t client, uint64_t req, int status, const char *code, const char *message,
        Buf *document);
/* More than it should be sent unasked is waiting for this client, or it has gone. */
bool control_full(const Control *c, uint64_t client);
bool control_alive(const Control *c, uint64_t client);
/* Stops accepting and removes the socket file; clients are flushed for up to ms, then closed. */
void control_shutdown(Control *c, unsigned ms);
Control *control_free(Control *c);
/* connect(2) to DIR/NAME through a directory descriptor. A descriptor or -errno. */
int socket_connect_in(const char *dir, const char *name);
/* bind(2) and listen(2) there; an existing file is removed. mode: of the file. */
int socket_listen_in(const char *dir, const char *name, unsigned mode);
