/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/mesh-deliver.h"
#include "common/json-writer.h"
#include <errno.h>

void mesh_peer_add(MeshCore *c, MeshPeer *p) {
        p->out = (Egress){0};
        p->patterns = 0;
        p->mark = 0;
        list_append(&c->peers, &p->node);
}

void mesh_peer_remove(MeshCore *c, MeshPeer *p) {
        subs_remove_value(&c->subs, p);
        egress_done(&p->out);
        list_remove(&p->node);
        for (unsigned i = 0; i < MESH_PENDING_MAX; i++)
                if (c->pending[i].peer == p)
                        c->pending[i].peer = NULL;
}

void mesh_subscribe(MeshCore *c, MeshPeer *p, uint64_t req, const char *pattern) {
        MeshAnswer a = {.req = req, .index = UINT64_MAX, .code = "ok"};
        bool unit = p->kind == MESH_PEER_CHUNK || p->kind == MESH_PEER_KERNEL;
        int r = 0;

        if (!p->validated || (p->kind == MESH_PEER_PERSON && p->role < ROLE_OBSERVER)) {
                a.code = "E.FORBIDDEN";
                a.message = p->kind == MESH_PEER_PERSON ? "subscribing needs the role observer"
                                                        : "Guardian has not validated this unit yet";
        } else if (pattern_check(pattern) < 0) {
                a.code = "E.VALIDATION";
                a.field = "pattern";
                a.message = "this is no pattern: dotted lower case, '*' for one segment, '**' at the end for "
                            "the rest";
        } else if (unit && !binding_may_subscribe(registry_find(&c->registry, p->unit), pattern)) {
                a.code = "E.FORBIDDEN";
                a.field = "pattern";
                a.message = "Subscribes= in the unit's file does not grant all of this pattern";
        } else if (p->patterns >= MESH_PATTERNS_MAX) {
                a.code = "E.RATE_LIMIT";
                a.message = "a connection has at most 64 subscriptions";
        } else {
                r = subs_add(&c->subs, pattern, p);
                if (r == 0)
                        p->patterns++;
        }
        if (r < 0 && r != -EEXIST) {
                a.code = "E.UNAVAILABLE";
                a.message = "out of memory";
        }
        a.status = mesh_code_status(a.code);
        c->ops->answer(c->user, p, &a);
}

typedef struct Delivery {
        MeshCore *core;
        MeshEvent *event;
        uint64_t mark;
} Delivery;

static void deliver_failed(Delivery *d, MeshPeer *p, int r) {
        MeshCore *c = d->core;

        if (p->kind != MESH_PEER_CHUNK) {
                c->counters.peers_cut++;
                c->ops->cut(c->user, p, "it does not read: its queue is full");
                return;
        }
        c->counters.dead_letters++;
        c->ops->dead_letter(c->user, d->event, p->unit, r == -ENOBUFS ? "queue_full" : "out_of_memory");
        mesh_dispatch_failed(c, d->event, "queue_full", p->unit);
}

static void deliver_one(void *value, void *user) {
        MeshPeer *p = value;
        Delivery *d = user;
        uint64_t dropped = p->out.dropped;
        int r;

        if (p->mark == d->mark)
                return;
        p->mark = d->mark;
        r = egress_put(&p->out, d->event);
        d->core->counters.dropped_bulk += p->out.dropped - dropped;
        if (r < 0) {
                deliver_failed(d, p, r);
                return;
        }
        if (r != 2)
                d->core->counters.delivered++;
        d->core->ops->wake(d->core->user, p);
}

void mesh_deliver(MeshCore *c, MeshEvent *e) {
        subs_match(&c->subs, e->type, deliver_one, &(Delivery){c, e, ++c->mark});
}

int mesh_record(MeshCore *c, uint64_t token, const MeshEvent *e, const char *actor, const char *result) {
        Buf body = BUF_INIT(FRAME_MAX);
        char resource[161], correlation[81], domain[65];
        const char *dot = strchr(e->type, '.');
        Msg m;
        int r = mesh_event_body(e, &body);

        if (r == 0) {
                char action[65];

                mesh_event_view(e, &m);
                str_copy(resource, sizeof(resource), msg_str(&m, TAG_RESOURCE));
                str_copy(correlation, sizeof(correlation), msg_str(&m, TAG_CORRELATION_ID));
                str_copy(domain, sizeof(domain),
                        (Str){e->type, dot ? (size_t)(dot - e->type) : strlen(e->type)});
                str_copy(action, sizeof(action), str_of(e->type));
                r = c->ops->append(c->user, token,
                        &(MeshAppend){.actor = actor,
                                .action = action,
                                .resource = resource[0] ? resource : NULL,
                                .subsystem = domain,
                                .correlation_id = correlation[0] ? correlation : NULL,
                                .result = result,
                                .body = {(const char *)body.data, body.len}});
        }
        buf_done(&body);
        return r;
}

void mesh_dispatch_failed(MeshCore *c, const MeshEvent *e, const char *what, const char *detail) {
        const EventType *t = event_types_find(&c->types, e->type);

        if (!t || !(t->flags & EVENT_ALERT) || strncmp(e->type, "mesh.", 5) == 0)
                return;
        c->counters.alerts++;
        c->ops->alert(c->user, e, what, detail);
}
