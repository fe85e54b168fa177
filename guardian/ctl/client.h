/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * guardianctl's side of a stream: the control socket, or a chunk's stream that Guardian made. Blocking, with
 * one deadline over everything; no loop.
 */
#include "common/buf.h"
#include "common/msg.h"

typedef struct Client {
        int fd;
        Buf in;
        size_t used; /* bytes of `in` that the last message took */
        uint32_t out_seq, in_seq;
        uint64_t next_req;
        uint64_t deadline_us; /* boot time, UINT64_MAX: none */
        int pending_fd;       /* received, not yet claimed by a frame */
        char error[256];
} Client;

/* RUNTIME/control.sock. 0, or -errno (-ENOENT, -ECONNREFUSED: nobody there); c->error says it for people. */
int client_open(Client *c, const char *runtime_dir, uint64_t timeout_us);
/* Asks Guardian for a stream to a chunk. 0; 1: refused, *status and c->error say why; -errno. */
int client_connect_chunk(Client *guardian, const char *unit, Client *ret, int *status);
void client_close(Client *c);
int client_send(Client *c, const MsgBuilder *b, Str payload);
/* Next message; valid until the next call. 0; 1: end of stream; -ETIMEDOUT, -EBADMSG, -errno. */
int client_read(Client *c, Msg *m);
