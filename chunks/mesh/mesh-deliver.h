/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The inner half of the router, shared by mesh-core.c and mesh-deliver.c only. */
#include "chunks/mesh/mesh-core.h"

typedef enum PendingState {
        PENDING_FREE,
        PENDING_VALIDATE,
        PENDING_LEDGER, /* a person's, while the ledger is away: not given to it yet */
        PENDING_APPEND
} PendingState;
struct MeshPending {
        PendingState state;
        uint64_t token, req, deadline;
        MeshEvent *event;
        MeshPeer *peer; /* NULL: the mesh's own, or the publisher is gone */
        bool own, keyed;
        uint8_t key[16];
        char actor[161];
};

/* Puts a durable event into the queue of every subscriber, once each. */
void mesh_deliver(MeshCore *c, MeshEvent *e);
/* One record of kind event. 0, -ENOBUFS, or why the body can't be written. */
int mesh_record(MeshCore *c, uint64_t token, const MeshEvent *e, const char *actor, const char *result);
