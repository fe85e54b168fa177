/* SPDX-License-Identifier: Apache-2.0 */
/* What people ask the mesh: workflows, workflow-stats, dlq, queue-stats. Reading only: a CALL changes nothing
 * here. */
#include "chunks/mesh/mesh.h"
#include "common/cleanup.h"
#include <errno.h>

static void counters_json(const MeshCounters *c, JsonWriter *w) {
#define X(name) json_kv_u64(w, #name, c->name);
        MESH_COUNTERS(X)
#undef X
}

static const char *kind_name(MeshPeerKind k) {
        switch (k) {
        case MESH_PEER_CHUNK:
                return "chunk";
        case MESH_PEER_KERNEL:
                return "kernel";
        case MESH_PEER_PERSON:
                return "person";
        case MESH_PEER_GUARDIAN:
                return "guardian";
        }
        return "unknown";
}

static int queues_json(Mesh *m, const Msg *call, JsonWriter *w) {
        (void)call;
        json_object_begin(w);
        json_key(w, "counters");
        json_object_begin(w);
        counters_json(&m->core.counters, w);
        json_object_end(w);
        json_kv_u64(w, "pending", m->core.n_pending);
        json_kv_u64(w, "subscriptions", m->core.subs.count);
        json_kv_u64(w, "idempotency_keys", m->core.seen.count);
        json_kv_u64(w, "idempotency_evicted", m->core.seen.evicted);
        json_kv_u64(w, "dead_letters", dlq_count(m->dlq));
        json_kv_u64(w, "dead_letters_lost", dlq_lost(m->dlq));
        json_kv_bool(w, "ledger", ledger_client_attached(m->ledger));
        json_key(w, "peers");
        json_array_begin(w);
        LIST_FOREACH (it, &m->core.peers) {
                const MeshPeer *p = container_of(it, MeshPeer, node);

                json_object_begin(w);
                json_kv_str(w, "unit", p->unit);
                json_kv_str(w, "kind", kind_name(p->kind));
                json_kv_bool(w, "validated", p->validated);
                json_kv_u64(w, "patterns", p->patterns);
                json_kv_u64(w, "queued", p->out.items);
                json_kv_u64(w, "queued_bytes", p->out.bytes);
                json_kv_u64(w, "sent", p->out.sent);
                json_kv_u64(w, "dropped", p->out.dropped);
                json_object_end(w);
        }
        json_array_end(w);
        json_object_end(w);
        return 0;
}

static int workflows_json(Mesh *m, const Msg *call, JsonWriter *w) {
        (void)call;
        workflow_engine_json(&m->engine, false, w);
        return 0;
}

static int stats_json(Mesh *m, const Msg *call, JsonWriter *w) {
        (void)call;
        workflow_engine_json(&m->engine, true, w);
        return 0;
}

static int dlq_list_json(Mesh *m, const Msg *call, JsonWriter *w) {
        Str text = msg_arg(call, TAG_ARG, "limit");
        char number[24];
        uint64_t limit = 100;

        if (text.p &&
                (text.n >= sizeof(number) || parse_u64(str_copy(number, sizeof(number), text), &limit) < 0 ||
                        limit == 0 || limit > 500))
                return -EDOM;
        return dlq_json(m->dlq, (unsigned)limit, w);
}

static const struct {
        const char *verb;
        int (*write)(Mesh *m, const Msg *call, JsonWriter *w);
} VERBS[] = {{"workflows", workflows_json}, {"workflow-stats", stats_json}, {"dlq", dlq_list_json},
        {"queue-stats", queues_json}};

void mesh_call(Mesh *m, Link *l, const Msg *call) {
        Buf out = BUF_INIT(FRAME_MAX - FRAME_HEADER_MAX - 64);
        uint64_t req = msg_u64(call, TAG_REQ, 0);
        JsonWriter w;
        int r = -ENOSYS;

        if (l->role < ROLE_OBSERVER) {
                link_result(l, req, 4, "denied_by_role", "needs the role observer", (Str){0}, false);
                return;
        }
        json_init(&w, &out, false);
        for (size_t i = 0; i < ELEMENTSOF(VERBS); i++)
                if (str_eq(msg_str(call, TAG_VERB), VERBS[i].verb))
                        r = VERBS[i].write(m, call, &w);
        if (r == 0)
                r = json_finish(&w);
        if (r == 0)
                link_result(l, req, 0, "ok", NULL, (Str){(const char *)out.data, out.len}, false);
        else if (r == -ENOSYS)
                link_result(l, req, 64, "unsupported", "the mesh knows no such verb", (Str){0}, false);
        else if (r == -EDOM)
                link_result(l, req, 64, "invalid", "limit is a number between 1 and 500", (Str){0}, false);
        else
                link_result(l, req, 1, "failed", "the answer can't be written", (Str){0}, false);
        buf_done(&out);
}
