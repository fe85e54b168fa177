/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The shell of guardian-mesh: links, sockets, clock, ledger and store around the pure router and workflow
 * engine. */
#include "chunks/mesh/dlq.h"
#include "chunks/mesh/workflow-engine.h"
#include "chunks/runtime/chunk.h"
#include "chunks/runtime/ledger-client.h"
#include "common/log.h"

enum {
        MESH_INVOKES_MAX = 512,
        MESH_SENT_MAX = 1024 * 1024 /* unsent bytes of a stream above which its queue waits */
};
/* Our REQ numbers on links, apart from those of the ledger client (1 << 62). */
#define MESH_REQ_INVOKE   (UINT64_C(1) << 61)
#define MESH_REQ_VALIDATE (UINT64_C(1) << 60)

typedef struct KernelClient KernelClient;
typedef struct KernelSocket KernelSocket;
/* The stream behind a MeshPeer: a link, or a client of a mesh socket. */
typedef struct MeshStream {
        MeshPeer peer; /* first: a MeshPeer * of the core is a MeshStream * */
        struct Mesh *mesh;
        Link *link;           /* or NULL */
        KernelClient *client; /* or NULL */
        bool cut;
} MeshStream;

typedef struct MeshInvoke {
        uint64_t token;
        MeshStream *stream; /* NULL: free slot */
} MeshInvoke;

/* When a message of the core about one thing was last written. */
typedef struct MeshSaid {
        const char *message; /* a literal */
        char about[65];
        LogLimit limit;
} MeshSaid;

typedef struct Mesh {
        Chunk *chunk;
        MeshCore core;
        WorkflowEngine engine;
        LedgerClient *ledger;
        Dlq *dlq;
        List sockets; /* of KernelSocket */
        MeshInvoke invokes[MESH_INVOKES_MAX];
        uv_timer_t timer;
        uv_prepare_t turn;
        uv_timer_t stop_limit;
        bool core_ready, stopping;
        MeshSaid said[32];
        LogLimit others_limit; /* what finds no place there */
        LogLimit guardian_limit, late_limit, strange_limit;
} Mesh;

extern const ChunkOps mesh_chunk_ops;
/* Reads events.yaml and workflows of the directories; for --check too. 0, -EINVAL after problems, -ENOMEM. */
int mesh_policies_load(const char *const *dirs, unsigned n, Problems *p, EventTypes *types, WorkflowSet *set);
int mesh_check(const char *const *dirs, unsigned n, Problems *problems);
/* Drives a router and a workflow of its own through a publish: 0, or -EPROTO with what went wrong. */
int mesh_self_test(char *why, size_t cap);
/* The log operation of the core and of the engine; user is the Mesh. */
void mesh_say(void *user, LogLevel level, const char *message, const char *about, const char *detail);
/* A CALL of a person. */
void mesh_call(Mesh *m, Link *l, const Msg *call);

/* What the core asks of a stream, whatever it is made of. */
void mesh_stream_answer(MeshStream *s, const MeshAnswer *a);
void mesh_stream_pump(MeshStream *s);
/* The answer as a RESULT; the builder's error. */
int mesh_result_build(const MeshAnswer *a, MsgBuilder *b);
/* Messages and operations of a client. */
void mesh_stream_msg(Mesh *m, MeshStream *s, Msg *msg);
void mesh_invoke_answered(Mesh *m, MeshStream *s, uint64_t req, uint64_t status, const char *code,
        const char *message, Str result);
void mesh_stream_gone(Mesh *m, MeshStream *s);

/* ---- kernel.c: the mesh sockets of units */
/* MESH_LISTEN: takes the descriptor. A second one for the unit replaces the first and ends its clients. */
int kernel_listen(Mesh *m, Msg *msg);
void kernel_answer(KernelClient *c, const MeshAnswer *a);
/* Sends one event. false: the stream is full or gone, keep it. */
bool kernel_send_event(KernelClient *c, const MeshEvent *e);
bool kernel_ready(const KernelClient *c); /* takes more */
/* The client of a unit that registered the handler, or NULL. */
KernelClient *kernel_find(Mesh *m, const char *unit, const char *handler);
MeshStream *kernel_stream(KernelClient *c);
int kernel_invoke(KernelClient *c, uint64_t req, const WorkflowInvoke *i, const MsgBuilder *b);
void kernel_cut(KernelClient *c, const char *reason);
void kernel_reap(Mesh *m); /* frees clients that were cut, outside of any callback of the core */
void kernel_done(Mesh *m);
