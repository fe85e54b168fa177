/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to chunks/runtime: what chunk.c and link.c share. */
#include "chunks/runtime/chunk.h"
#include "common/log.h"

enum {
        LINK_PERSONS_MAX = 32,         /* links of outsiders */
        LINK_STRANGERS_MAX = 16,       /* of them, of units and of persons below operator */
        LINK_STRANGER_MAX = 8,         /* of these, of one actor: no service takes the others' places */
        LINK_HELD_MAX = 64,            /* messages of a peer not validated yet, then its link is paused */
        LINK_HELD_BYTES = 1024 * 1024, /* likewise */
};

struct ChunkPriv {
        uv_signal_t term;
        uv_timer_t deadline; /* HELLO, later the end of an orphan's stop */
        uv_timer_t heartbeat;
        uv_idle_t reaper; /* frees links that link_close() ended */
        uint8_t secret[32];
        bool greeted, exiting, stop_called, bad_policy;
        LogLimit refused_limit, full_limit;
        int status;
};

typedef struct LinkPriv {
        Link link;      /* first: a Link * of the interface is a LinkPriv * */
        bool announced; /* on_link was called, or the link is the control pipe */
        bool admitted;  /* validated now or before: its messages are handed over */
        bool hold_paused;
        List held; /* of HeldMsg */
        unsigned n_held;
        size_t held_bytes;
        char closing[128]; /* reason of link_close(), "" while open */
} LinkPriv;

/* The control pipe's handler of messages, in chunk.c. */
void chunk_on_control(Chunk *c, Msg *m);
void chunk_control_lost(Chunk *c, int error, const char *reason);

/* Makes a link over fd and puts it into c->links; fd is taken on success. */
int link_new(Chunk *c, int fd, const char *unit, uint64_t instance, LinkPriv **ret);
/* Without callback. */
void link_free(LinkPriv *p);
/* LINK and PEER of the control pipe. */
void link_accept(Chunk *c, Msg *m);
void link_peer(Chunk *c, const Msg *m);
/* The reaper's turn. */
void link_reap(Chunk *c);
