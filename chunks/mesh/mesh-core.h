/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The router, pure: (state, message, now) -> commands, which are the calls of MeshOps. No clock, no
 * descriptor, no libuv.
 *
 * The way of one event:
 *   publish -> role, rate -> envelope filled and checked -> publisher (binding, publishers of the type, trust
 * floor)
 *           -> idempotency -> back-pressure -> [validators, for types that need them] -> append to the ledger
 *           -> durable -> RESULT to the publisher -> subscribers -> on_event (workflows)
 * Acks come in the order of the appends, so every subscriber sees events in the order of their records.
 *
 * Identity is the peer, never a field: `source` is written here.
 */
#include "chunks/mesh/egress.h"
#include "chunks/mesh/registry.h"
#include "chunks/mesh/subs.h"
#include "chunks/mesh/window.h"
#include "common/events/event-types.h"
#include "common/list.h"
#include "common/log.h"
#include "common/vocab.h"

enum {
        MESH_PENDING_MAX = 240,             /* events between publish and durable, below LEDGER_CLIENT_MAX */
        MESH_PENDING_OWN = 48,              /* of them kept for the mesh's own events */
        MESH_PATTERNS_MAX = 64,             /* subscriptions of one peer */
        MESH_VALIDATE_US = 2 * 1000 * 1000, /* validators' time for one event */
        MESH_LEDGER_US = 2 * 1000 * 1000,   /* the ledger's, for a person (who gives up after 5 s) */
        MESH_IDEMPOTENCY_KEYS = 65536,
        MESH_RETRY_MS = 100,
};
#define MESH_IDEMPOTENCY_US (60ull * 60 * 1000 * 1000)

typedef enum MeshPeerKind {
        MESH_PEER_CHUNK,    /* a link; publishers wait for it */
        MESH_PEER_KERNEL,   /* a client of a unit's mesh socket; cut when it does not read */
        MESH_PEER_PERSON,   /* likewise */
        MESH_PEER_GUARDIAN, /* the control pipe */
} MeshPeerKind;

/* One stream. Embedded in the shell's own, which fills the first part before mesh_peer_add(). */
typedef struct MeshPeer {
        MeshPeerKind kind;
        char unit[129]; /* "guardian", "uid:N" for persons */
        char actor[161];
        Role role; /* of a person */
        bool validated;
        void *shell;
        /* the core's */
        List node;
        Egress out;
        unsigned patterns;
        uint64_t mark; /* of the last delivery that found it */
} MeshPeer;

typedef struct MeshAnswer {
        uint64_t req, index;     /* index UINT64_MAX: none */
        int status;              /* guardianctl's exit status: 0, 1, 4 */
        const char *code;        /* "ok" or E.* */
        const char *message;     /* may be NULL */
        const char *field;       /* the envelope's member that is wrong, or NULL */
        uint64_t retry_after_ms; /* 0: none */
        const Msg *issues;       /* a RESULT of the validators whose ISSUEs are passed on, or NULL */
} MeshAnswer;

typedef struct MeshAppend {
        const char *actor, *action, *resource, *subsystem, *correlation_id, *result;
        Str body;
} MeshAppend;

typedef struct MeshOps {
        /* mesh_appended() follows with the token (UINT64_MAX: it need not). 0, -ENOBUFS: too many wait. */
        int (*append)(void *user, uint64_t token, const MeshAppend *a);
        /* mesh_validated() follows. 0, or -ENOTCONN: nobody validates now. */
        int (*validate)(void *user, uint64_t token, const MeshEvent *e);
        void (*answer)(void *user, MeshPeer *p, const MeshAnswer *a);
        void (*wake)(void *user, MeshPeer *p);                    /* p->out is not empty any more */
        void (*cut)(void *user, MeshPeer *p, const char *reason); /* end this stream after this turn */
        void (*event)(void *user, MeshEvent *e);                  /* accepted and durable: for workflows */
        /* An event that a subscriber can't be given; reason as in seed vocabulary: "queue_full". */
        void (*dead_letter)(void *user, const MeshEvent *e, const char *peer, const char *reason);
        /* An event of a type with the flag `alert` was not let through or not delivered: the shell, which has
         * the clock, emits mesh.dispatch_failure. Never called for events of the mesh itself. */
        void (*alert)(void *user, const MeshEvent *e, const char *what, const char *detail);
        void (*log)(void *user, LogLevel level, const char *message, const char *unit, const char *detail);
        /* The ledger takes records now. While it does not they wait for it, but for those of persons. */
        bool (*attached)(void *user);
} MeshOps;

#define MESH_COUNTERS(X)                                                                                     \
        X(accepted)                                                                                          \
        X(own)                                                                                               \
        X(own_lost)                                                                                          \
        X(unlisted)                                                                                          \
        X(duplicates)                                                                                        \
        X(conflicts) X(hop_warnings) X(refused_role) X(refused_envelope) X(refused_binding)                  \
                X(refused_publisher) X(refused_trust) X(refused_rate) X(refused_backpressure)                \
                        X(refused_validation) X(refused_dependency) X(blocked_recorded) X(validated)         \
                                X(validator_timeouts) X(append_failures) X(delivered) X(dropped_bulk)        \
                                        X(dead_letters) X(peers_cut) X(alerts)
typedef struct MeshCounters {
#define X(name) uint64_t name;
        MESH_COUNTERS(X)
#undef X
} MeshCounters;

typedef struct MeshPending MeshPending;
typedef struct MeshCore {
        const MeshOps *ops;
        void *user;
        EventTypes types;
        Registry registry;
        Subs subs; /* of MeshPeer */
        List peers;
        KeyWindow seen;
        TokenBuckets persons, blocked;
        MeshPending *pending; /* MESH_PENDING_MAX slots */
        unsigned n_pending;
        uint64_t generation, mark;
        MeshCounters counters;
} MeshCore;

/* 0 or -ENOMEM. ops are kept by reference; the types are taken over with mesh_types_set(). */
int mesh_core_init(MeshCore *c, const MeshOps *ops, void *user);
void mesh_core_done(MeshCore *c);
void mesh_types_set(MeshCore *c, EventTypes *t); /* moves */

void mesh_peer_add(MeshCore *c, MeshPeer *p);
/* Its subscriptions and queue go; what it published and is not durable yet is answered to nobody. */
void mesh_peer_remove(MeshCore *c, MeshPeer *p);

/* Every one of them answers through ops->answer, at once or later. `wall_ns` is for the envelope's ts. */
void mesh_publish(MeshCore *c, MeshPeer *p, const Msg *m, uint64_t now_us, uint64_t wall_ns);
void mesh_subscribe(MeshCore *c, MeshPeer *p, uint64_t req, const char *pattern);
/* Outcome of an append: code "ok" with its index. */
void mesh_appended(MeshCore *c, uint64_t token, const char *code, uint64_t index, uint64_t now_us);
/* The validators' RESULT. */
void mesh_validated(MeshCore *c, uint64_t token, const Msg *result, uint64_t now_us);
/* The validators' link went: what waits for them is refused with E.DEPENDENCY_DOWN. */
void mesh_validators_lost(MeshCore *c, uint64_t now_us);
/* Carries out what is due. Returns when it wants to be called next, UINT64_MAX: never. */
uint64_t mesh_tick(MeshCore *c, uint64_t now_us);

/* An event of the mesh itself. */
typedef struct MeshOwnEvent {
        const char *type, *priority, *resource, *correlation_id, *causation_id, *idempotency_key;
        uint64_t hop_count;
        Str payload;
} MeshOwnEvent;
/* 0; -ENOBUFS: no room (counted); else why the event is not acceptable. */
int mesh_emit(MeshCore *c, const MeshOwnEvent *e, uint64_t now_us, uint64_t wall_ns);

/* Somebody behind the router (a workflow) failed on an accepted event: raises the alert of its type, if it
 * has one. */
void mesh_dispatch_failed(MeshCore *c, const MeshEvent *e, const char *what, const char *detail);
/* guardianctl's exit status for a code of the error taxonomy. */
int mesh_code_status(const char *code);
