/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A gate with the shipped policy, a ledger that is an array, and requests that are easy to write. */
#include "chunks/governance/gate-core.h"

typedef struct Ask {
        const char *action, *target, *actor, *kind, *purpose;
        Role role;
        Mode mode;
        bool critical, paused, lockdown, break_glass, no_heal;
        uint64_t at_us; /* boot time; wall time is the same + 1e15 */
        unsigned id;    /* of the request */
        const char *arg, *fact, *claim, *label;
        bool wrong_digest;
} Ask;

enum { RECORDS_MAX = 300, SENT_MAX = 300 }; /* more than the gate has open questions */
typedef struct Record {
        RecordKind kind;
        uint8_t request_id[16], digest[32];
        bool has_request, damaged; /* damaged: the gate can't read it */
        uint64_t ref, bits, token, time_us;
        char actor[161], action[65], result[65];
        char body[20000];
} Record;
typedef struct World {
        Gate *gate;
        Record *records; /* durable or not: `durable` of them are */
        unsigned n, durable;
        int append_error;
        MsgBuilder *sent;
        unsigned n_sent;
        const char *ended;
} World;

GatePolicy *shipped_policy(void);
extern const uint8_t boot_id[16];
void world_start(World *w, GatePolicy *policy, uint64_t now_us); /* a gate, folded over what is durable */
void world_kill(World *w); /* the gate dies; what is not durable is gone */
void world_done(World *w);
void world_ack(World *w, unsigned n); /* the next n records become durable */
void ask(World *w, const Ask *a);
/* Guardian answers: state of the approval of request `id`, the vote stands at `index`. */
void answer(World *w, const Ask *a, const char *state, uint64_t index);
/* A record of Guardian's, durable at once and told to the gate when `tell`. */
void guardian_record(World *w, RecordKind kind, const Ask *a, const char *result, bool tell);
/* The n-th message sent from the end (0: the last). */
Msg sent(World *w, unsigned from_end);
Verdict last_verdict(World *w);
Code last_code(World *w);
void digest_of(const Ask *a, uint8_t ret[32]);
