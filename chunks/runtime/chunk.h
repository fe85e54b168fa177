/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What every chunk is built on: the control pipe on fd 3, links by name, the challenge, orderly end. A chunk fills a
 * ChunkOps, calls chunk_main() from main() and otherwise only reacts. It ends (status 0) at end of file of the control pipe
 * or at SIGTERM, after its stop callback said so with chunk_exit().
 *
 * Identity is the pipe: link->unit was written by Guardian, nothing a peer sends can change it. When a peer restarts, its
 * new link is neither announced nor read before the old one is at its end (the fence).
 *
 * What the runtime refuses for every chunk: messages that only Guardian may send, on any other link; from a person anything but
 * CALL, QUERY, SUBSCRIBE and PUBLISH (the link is closed). From a chunk that Guardian has not validated yet only QUERY and
 * ATTACH are handed over at once; the rest waits, in order, until it is, and is dropped with the link if it never is.
 */
#include "common/conn.h"
#include "common/error.h"
#include "common/vocab.h"
#include <uv.h>

typedef struct Chunk Chunk;
typedef struct Link {
        List node;          /* in chunk->links */
        Chunk *chunk;
        Conn *conn;
        char unit[129];     /* peer's unit name; "guardian" for the control pipe; "uid:N" for a person */
        char kind[17];      /* chunk person unit supervisor */
        char actor[161];    /* as in governance requests: unit name or uid:N */
        Role role;          /* of a person */
        uint64_t uid, instance, epoch;
        bool validated;     /* peer may do more than query */
        bool current;       /* the newest link of that unit */
        void *data;         /* the chunk's own */
} Link;

typedef struct ChunkOps {
        const char *program;            /* "guardian-mesh" */
        const char *const *handlers;    /* workflow targets it serves, NULL terminated; may be NULL */
        /* HELLO has arrived: open files, load policies. 0, or -errno: the chunk logs and exits with status 1. A chunk that is
         * not ready yet when init returns sets chunk->hold_ready and calls chunk_ready() later. */
        int (*init)(Chunk *c, void *user);
        /* Part of the challenge: really try the thing the chunk exists for. 0, or -errno with `why`. May be NULL. */
        int (*self_test)(Chunk *c, void *user, char *why, size_t cap);
        void (*on_link)(Chunk *c, Link *l, void *user);       /* before its first message; may be NULL */
        void (*on_link_lost)(Chunk *c, Link *l, const char *reason, void *user); /* l is freed after this; may be NULL */
        void (*on_peer)(Chunk *c, Link *l, void *user);       /* l->validated changed; may be NULL */
        void (*on_msg)(Chunk *c, Link *l, Msg *m, void *user); /* all but what the runtime answers itself */
        void (*on_drain)(Chunk *c, Link *l, void *user);      /* may be NULL */
        void (*stop)(Chunk *c, void *user);                   /* finish what is acknowledged, then chunk_exit(); NULL: at once */
} ChunkOps;

struct Chunk {
        uv_loop_t loop;
        const ChunkOps *ops;
        void *user;
        Link *control;      /* the pipe to Guardian */
        List links;         /* of Link, control included */
        char unit[129];
        uint64_t instance, epoch;
        char state_dir[1025]; /* made by Guardian, ours */
        char policy_dirs[8][1025];
        unsigned n_policy_dirs;
        char ledger_key[1025]; /* "" or --ledger-key */
        char mode[25];         /* "" or --mode */
        uint8_t boot_id[16];
        bool hold_ready, ready_sent, stopping;
        struct ChunkPriv *priv;
};

/* Runs to the end; returns the exit status. argv: [PROGRAM], or PROGRAM --version | --check DIR.. (policies only, 0 or 65)
 * when ops has a checker set with chunk_set_checker() before. */
int chunk_main(int argc, char **argv, const ChunkOps *ops, void *user);
void chunk_set_checker(int (*check)(const char *const *dirs, unsigned n, Problems *problems));
/* Logs what a load of policies found, errors as errors. With an error among them the chunk, should init then fail,
 * says that the policies are why. */
void chunk_log_problems(Chunk *c, const Problems *p);
void chunk_ready(Chunk *c);
void chunk_exit(Chunk *c, int status);
/* The current, open link to a unit, or NULL. */
Link *chunk_link(Chunk *c, const char *unit);
/* conn_send on the link; a closed or full link is an error to the caller. */
int link_send(Link *l, const MsgBuilder *b, Str payload);
int link_send_fd(Link *l, const MsgBuilder *b, Str payload, int fd);
/* Ends a link from this side; on_link_lost follows in the next loop turn, l stays valid until then. Not for the control pipe. */
void link_close(Link *l, const char *reason);

/* Answer a CALL (or any message with REQ): status is guardianctl's exit status, body one JSON value or {NULL,0}. */
int link_result(Link *l, uint64_t req, int status, const char *code, const char *message, Str body, bool more);
