/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A core on a virtual disk, and short names for what tests append. */
#include "vdisk.h"

enum { RIG_ACKS = 4096 };
typedef struct Rig {
        VDisk disk;
        LedgerStorage storage;
        LogSource source;
        LedgerCore *core;
        LedgerRecovery report;
        LedgerNow now;
        uint8_t seed_byte;
        uint64_t segment_bytes;
        uint32_t epoch[5];
        uint64_t seq[5];
        struct {
                uint64_t waiter, index;
                char code[32];
                uint8_t hash[32];
        } acks[RIG_ACKS];
        size_t n_acks;
} Rig;

typedef struct Put {
        const char *writer;
        RecordKind kind;
        uint8_t id; /* fills request id and digest; 0: none */
        uint64_t ref;
        uint64_t bits;
        const char *action, *body, *result;
        bool other_digest, other_request;
} Put;

/* 0 or the error of ledger_core_open(). */
int rig_open(Rig *r);
void rig_close(Rig *r); /* the core only: as kill -9 */
void rig_done(Rig *r);
/* Runs all jobs. */
void rig_run(Rig *r);
/* Orderly end. */
void rig_stop(Rig *r);
void rig_attach(Rig *r, const char *writer);
/* NULL: it waits; else the code. *why may be NULL. */
const char *rig_put(Rig *r, Put p, LedgerAck *ack, const char **why);
/* Appends, runs, and gives the index; fails the test when it isn't acknowledged. */
uint64_t rig_ok(Rig *r, Put p);
/* A decision (allow), its intent and action with that id; returns the action's index. */
uint64_t rig_governed(Rig *r, uint8_t id);
