/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A router whose shell is the test: what it asks for is written down. */
#include "chunks/mesh/mesh-core.h"
#include "common/cleanup.h"

typedef struct Rig {
        MeshCore core;
        MeshPeer peers[8];
        unsigned n_peers;
        uint64_t now, token, validate_token, index, retry_ms, hops;
        unsigned appends, alerts, letters, events;
        bool validators, away; /* away: the ledger */
        const char *priority;
        MeshPeer *cut;
        MeshEvent *last; /* accepted */
        char code[65], field[65], record[8192], record_actor[161], record_result[65];
} Rig;

void rig_init(Rig *r, const char *events_yaml);
void rig_done(Rig *r);
/* trust in hundredths; negative: none in the binding */
void rig_bind(Rig *r, const char *unit, const char *publishes, const char *subscribes, int trust);
MeshPeer *rig_peer(Rig *r, MeshPeerKind kind, const char *unit); /* operator, validated */
void rig_publish(Rig *r, MeshPeer *p, const char *type, const char *payload, const char *key);
void rig_ack(Rig *r, const char *code); /* of the last append; indexes from 100 */
void rig_verdict(Rig *r, int status, const char *code);
void rig_count(void *value, void *user); /* ++*(int *)user */
