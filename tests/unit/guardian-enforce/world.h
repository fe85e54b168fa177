/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A small world around the enforcement core: two units, a gate that the test plays, a ledger that
 * acknowledges when told to. */
#include "guardian/enforce/enforce.h"
#include <check.h>
#include <stdlib.h>

#define NONE UINT64_MAX
enum { W_UNITS = 9, W_GATE = 128, W_LEDGER = 1024, W_REPLIES = 128, W_ACTS = 128 };

typedef struct Logged {
        RecordKind kind;
        bool has_request;
        uint8_t request_id[16], digest[32];
        uint64_t ref, seq, epoch;
        char actor[161], action[65], resource[161], result[65], body[2048];
} Logged;
typedef struct Answer {
        uint64_t waiter, decision, intent, action;
        bool more, ungated, has_outcome;
        Code code;
        Verdict verdict;
        Outcome outcome;
        char approval_id[49], reason[513];
        uint8_t request_id[16];
} Answer;
typedef struct Sent {
        MsgBuilder b;
        char body[4096];
        size_t n;
} Sent;

typedef struct World {
        Enforce *e;
        EnforceNow now;
        struct {
                const char *name;
                EnforceTarget t;
        } units[W_UNITS];
        MsgBuilder gate[W_GATE];
        unsigned n_gate;
        Sent ledger[W_LEDGER];
        unsigned n_ledger, pumped;
        Logged log[W_LEDGER];
        uint64_t n_log, ledger_seq, epoch;
        Answer replies[W_REPLIES];
        unsigned n_replies;
        EnforceVoteReply votes[W_REPLIES];
        unsigned n_votes;
        ActionRequest acts[W_ACTS];
        bool act_ungated[W_ACTS];
        unsigned n_acts;
        bool act_now; /* the act ends inside the op */
        unsigned n_spooled, n_imported, n_published;
        int spool_error;  /* 1: being written */
        unsigned n_glass; /* answers to a break-glass that waited */
        Code glass;       /* the last of them */
        char marker[513];
        uint8_t rnd;
} World;

World *world_new(bool has_gate, bool has_ledger); /* nothing attached */
World *world_ready(
        void); /* gate and ledger attached, units web, leaky (critical), ledger (no Heal=), u3 .. u8 */
void world_free(World *w);
void world_pass(World *w, uint64_t us); /* time, then a tick when it is due */
void pump(World *w);                    /* the ledger answers everything sent so far */
void pump_one(World *w);                /* the oldest thing only */
void say_ledger(World *w, const MsgBuilder *b);
void refuse_next(World *w, const char *code); /* answers the oldest unanswered APPEND so */
EnforceTarget *unit(World *w, const char *name);
void new_incarnation(World *w, const char *name); /* tells the core */

/* immune asks restart_service; a person of that role and uid asks a verb (or healing). Returns the waiter. */
uint64_t heal(World *w, const char *target);
uint64_t person(World *w, uint64_t uid, Role role, const char *action, const char *target, const char *arg);
/* The gate answers the newest DECIDE (or APPROVAL_ANSWERED); 0 decision: none. */
typedef struct Say {
        Verdict verdict;
        const char *code, *approval_id, *revision, *need;
        uint64_t decision, use_by;
        bool wrong_digest, wrong_id, no_index;
} Say;
void verdict(World *w, Say s);
Msg last_to_gate(World *w);
const Answer *last_reply(World *w);
unsigned count(World *w, RecordKind kind);
const Logged *find(World *w, RecordKind kind, unsigned nth);
EnforceStatus status(World *w);
/* Up to the question, with approval id "apr_1"; returns the waiter. */
uint64_t asked(World *w, const char *target);
uint64_t vote(World *w, uint64_t uid, Role role, bool approve);
