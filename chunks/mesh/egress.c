/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/egress.h"
#include <errno.h>
#include <stdlib.h>

struct EgressItem {
        EgressItem *next;
        MeshEvent *event;
};

static MeshEvent *lane_take(Egress *q, Lane lane) {
        EgressItem *i = q->first[lane];
        MeshEvent *e;

        if (!i)
                return NULL;
        e = i->event;
        q->first[lane] = i->next;
        if (!i->next)
                q->last[lane] = NULL;
        q->bytes -= mesh_event_size(e);
        if (lane == LANE_BULK)
                q->bulk_bytes -= mesh_event_size(e);
        q->items--;
        free(i);
        return e;
}

/* Drops the oldest of lane 3 until `size` more bytes fit below `max`. */
static bool bulk_drop(Egress *q, size_t size, size_t bytes, size_t max) {
        while (bytes + size > max && q->first[LANE_BULK]) {
                MeshEvent *e = lane_take(q, LANE_BULK);

                bytes -= mesh_event_size(e);
                mesh_event_unref(e);
                q->dropped++;
        }
        return bytes + size <= max;
}

int egress_put(Egress *q, MeshEvent *e) {
        uint64_t before = q->dropped;
        size_t size = mesh_event_size(e);
        EgressItem *i;

        if (e->lane == LANE_BULK)
                bulk_drop(q, size, q->bulk_bytes, EGRESS_BULK_MAX);
        if (!bulk_drop(q, size, q->bytes, EGRESS_MAX)) {
                if (e->lane != LANE_BULK)
                        return -ENOBUFS;
                q->dropped++;
                return 2;
        }
        i = malloc(sizeof(*i));
        if (!i)
                return -ENOMEM;
        *i = (EgressItem){.event = mesh_event_ref(e)};
        if (q->last[e->lane])
                q->last[e->lane]->next = i;
        else
                q->first[e->lane] = i;
        q->last[e->lane] = i;
        q->bytes += size;
        if (e->lane == LANE_BULK)
                q->bulk_bytes += size;
        q->items++;
        return q->dropped > before ? 1 : 0;
}

MeshEvent *egress_take(Egress *q) {
        for (unsigned lane = 0; lane < _LANE_MAX; lane++) {
                MeshEvent *e = lane_take(q, (Lane)lane);

                if (e) {
                        q->sent++;
                        return e;
                }
        }
        return NULL;
}

bool egress_behind(const Egress *q) {
        return q->bytes > EGRESS_HIGH;
}

void egress_done(Egress *q) {
        MeshEvent *e;

        for (unsigned lane = 0; lane < _LANE_MAX; lane++)
                while ((e = lane_take(q, (Lane)lane)))
                        mesh_event_unref(e);
        *q = (Egress){0};
}
