/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One framed connection over an AF_UNIX stream: control pipe, link, control socket. A shell: uv_poll +
 * recvmsg/sendmsg (libuv's own pipes can't carry arbitrary descriptors). Writes are appended to a buffer and
 * flushed once at the end of the loop turn or at 64 KiB; the buffer is capped (4 MiB) and a full one is an
 * error to the sender, never a wait. Sequence numbers start at 1 per direction and rise by one; a gap, a bad
 * length or version, a header that does not fit the table, a missing or surplus descriptor end the connection
 * with a reason.
 */
#include "common/buf.h"
#include "common/list.h"
#include "common/msg.h"
#include <uv.h>

typedef struct Conn Conn;
typedef struct ConnOps {
        /* One message. May call conn_send, conn_close, conn_pause on this connection. */
        void (*on_msg)(Conn *c, Msg *m, void *user);
        /* The stream ended. error 0: the peer closed, whether it had read everything or not; else reason is
         * what it did wrong, with the byte offset. Called once, never from inside conn_send(); the connection
         * is closed already, conn_free() is still to be called. */
        void (*on_end)(Conn *c, int error, const char *reason, void *user);
        /* The egress buffer fell below 256 KiB after conn_send() said -ENOBUFS or conn_backlog() passed 1
         * MiB. May be NULL. */
        void (*on_drain)(Conn *c, void *user);
} ConnOps;

struct Conn {
        uv_loop_t *loop;
        const ConnOps *ops;
        void *user;
        int fd;         /* -1 once closed */
        char peer[128]; /* for the log: "unit mesh/3", "uid 1000 pid 77" */
        /* private to conn.c from here */
        struct ConnPriv *priv;
};

/* Takes fd (non-blocking and CLOEXEC are set); on failure it stays the caller's. *ret is owned by the caller
 * until conn_free(). -ENOMEM, or what uv_poll_init() says. */
int conn_new(uv_loop_t *loop, int fd, const char *peer, const ConnOps *ops, void *user, Conn **ret);
/* Queues one message; fd (or -1) is duplicated, the caller keeps its own. 0, builder's error, -ENOBUFS,
 * -EPIPE when closed. */
int conn_send(Conn *c, const MsgBuilder *b, Str payload, int fd);
size_t conn_backlog(const Conn *c); /* unsent bytes */
void conn_pause(Conn *c,
        bool paused);     /* stop reading (back-pressure, a link whose predecessor is not at its end yet) */
void conn_flush(Conn *c); /* now, as far as the kernel takes it */
/* Closes after what is queued was sent or `ms` passed; nothing is read any more and on_end is not called.
 * conn_free() may follow at once: the rest is still sent. */
void conn_close_after_flush(Conn *c, unsigned ms);
void conn_close(Conn *c); /* now; on_end is not called */
/* Closes if open; memory goes once libuv let go of the handle. NULL is fine. Returns NULL. */
Conn *conn_free(Conn *c);
uint64_t conn_received(const Conn *c); /* messages */
