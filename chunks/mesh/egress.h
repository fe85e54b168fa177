/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What waits for one subscriber: a queue a lane, served critical, normal, bulk. Bounded in bytes. A full
 * queue drops the oldest of lane 3 and counts it; lanes 1 and 2 are never dropped here: the core refuses the
 * publisher before (back-pressure) or cuts a subscriber that nobody may wait for.
 */
#include "chunks/mesh/event.h"

enum {
        EGRESS_BULK_MAX = 1024 * 1024, /* bytes of lane 3 */
        EGRESS_HIGH = 3 * 1024 * 1024, /* bytes in all above which publishers are asked to wait */
        EGRESS_MAX = 4 * 1024 * 1024,  /* bytes in all */
};
typedef struct EgressItem EgressItem;
typedef struct Egress {
        EgressItem *first[_LANE_MAX], *last[_LANE_MAX];
        size_t bytes, bulk_bytes, items;
        uint64_t dropped; /* of lane 3 */
        uint64_t sent;
} Egress;

/* Queues one more reference. 0; 1: queued, and older events of lane 3 went; 2: the event itself is of lane 3
 * and did not fit beside lanes 1 and 2, dropped and counted; -ENOBUFS: lanes 1, 2 are full; -ENOMEM. */
int egress_put(Egress *q, MeshEvent *e);
/* The next to send (its reference goes to the caller), or NULL. */
MeshEvent *egress_take(Egress *q);
bool egress_behind(const Egress *q); /* above EGRESS_HIGH */
void egress_done(Egress *q);
