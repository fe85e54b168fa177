/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The core in a glass: virtual time, a ledger that acknowledges at once (or is away), a Guardian that only
 * remembers. */
#include "immune/immune-core.h"
#include <check.h>

enum { RIG_RECORDS = 4096, RIG_EVENTS = 4096, RIG_PROPOSALS = 1024 };
typedef struct RigRecord {
        RecordKind kind;
        uint64_t index, ref;
        char correlation[81], resource[161], result[65], *body;
} RigRecord;
typedef struct RigProposal {
        uint64_t req, incident, at_us;
        char action[65], target[161], correlation[81], claims[IMMUNE_CLAIMS_MAX][160];
        unsigned n_claims;
} RigProposal;
typedef struct RigEvent {
        char type[129], correlation[81];
} RigEvent;

typedef struct Rig {
        ImmunePolicy *policy;
        ImmuneCore *core;
        ImmuneNow now;
        uint64_t timer_us, samples, wakeups;
        uint64_t (*rss)(const char *unit, uint64_t pid, uint64_t us_since_start, void *user);
        void *user;
        uint64_t pid_start_us[4096]; /* by pid */
        bool ledger_away;
        uint64_t held_tokens[256];
        unsigned n_held;
        RigRecord records[RIG_RECORDS];
        unsigned n_records;
        RigProposal proposals[RIG_PROPOSALS];
        unsigned n_proposals;
        RigEvent events[RIG_EVENTS];
        unsigned n_events;
        uint64_t answered_token;
        char answered[65];
} Rig;

Rig *rig_new(void); /* folded, with an empty snapshot */
Rig *rig_new_unfolded(uint8_t seed);
void rig_free(Rig *r);
void rig_drain(Rig *r);            /* carries out commands until none is left */
void rig_run(Rig *r, uint64_t us); /* lets time pass */
/* A unit with Heal=restart_service. */
void rig_unit(Rig *r, const char *name, uint64_t pid, UnitState state);
void rig_event(Rig *r, const char *name, uint64_t pid, UnitState state, RestartReason reason, int64_t code,
        int64_t signal);
void rig_snapshot(Rig *r, const char *const *names, const uint64_t *pids, unsigned n);
void rig_answer(Rig *r, const RigProposal *p, Code code, bool more, int outcome /* -1: none */);
void rig_claim(Rig *r, const char *target, const char *type, Severity s);
unsigned rig_count_records(const Rig *r, RecordKind kind, const char *result);
unsigned rig_count_events(const Rig *r, const char *type);
/* Text between "key":" and " in the newest incident record. */
const char *rig_field(Rig *r, const char *key);
