/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The immune kernel's decisions, pure: what happened comes in with the time of it, what to do goes out as
 * commands. It reads no clock, opens nothing, and cannot act: the strongest thing it can say is "propose".
 *
 *   signal -> anomaly (record) -> incident (record) -> diagnosis -> plan -> proposal -> verification by the
 * same signal
 *
 * One incident per (target, type). Each change of an incident is a record that holds all of it, so the newest
 * record of an incident is its state: a restarted kernel feeds the ledger's anomaly, incident and action
 * records to immune_fold() and goes on. All ids come from the seed, so that a run can be replayed.
 *
 * Use: call one immune_on_...() per event, then take commands with immune_next() until it returns NULL.
 * -ENOMEM from an event sticks: the shell ends, its next start goes on from the ledger. Nothing here calls
 * back.
 */
#include "immune/policy.h"
#include "common/json-writer.h"

enum {
        IMMUNE_UNITS_MAX = 1024,
        IMMUNE_INCIDENTS_MAX = 384, /* kept in memory, closed ones go first */
        IMMUNE_EVIDENCE_MAX = 12,
        IMMUNE_LABELS_MAX = 16,
};

typedef struct ImmuneNow {
        uint64_t boot_us, wall_ns;
} ImmuneNow;

typedef enum IncidentState {
        INCIDENT_OPENED,    /* on record; walking its ladder */
        INCIDENT_PROPOSED,  /* asked, no answer yet */
        INCIDENT_WAITING,   /* "waiting_approval": a person is asked */
        INCIDENT_HEALED,    /* the action ran; being verified */
        INCIDENT_VERIFIED,  /* the signal is gone; must stay so for a while */
        INCIDENT_FAILED,    /* a step failed; the next rung follows */
        INCIDENT_ESCALATED, /* a person must look; nothing more is proposed */
        INCIDENT_CLOSED,
        _INCIDENT_STATE_MAX
} IncidentState;
typedef enum IncidentOutcome {
        RESULT_NONE,
        RESULT_FIXED,
        RESULT_NOT_FIXED,
        RESULT_WORSE,
        RESULT_UNKNOWN,
        _RESULT_MAX
} IncidentOutcome;
VOCAB_DECLARE(incident_state);
VOCAB_DECLARE(incident_outcome);

/* ---- events in. Strings are borrowed for the call. */
typedef struct UnitReport { /* unit.* event of Guardian, or one UNIT_INFO */
        const char *unit;
        UnitState state;
        Health health;
        uint64_t pid, start_time; /* 0: no process */
        bool snapshot; /* UNIT_INFO: priority, critical, can_fail, heal, labels are filled, the rest of the
                          event isn't */
        int64_t code, signal; /* of the last end, -1: none */
        RestartReason reason; /* of the last end or restart */
        uint64_t restarts;
        uint64_t priority_milli;
        bool critical, can_fail;
        uint32_t heal; /* bit mask 1 << HealingAction: its Heal= */
        const char *labels[IMMUNE_LABELS_MAX];
        unsigned n_labels;
} UnitReport;

typedef struct AnomalyReport { /* said by others: claims */
        const char *id, *type, *target, *source;
        Severity severity;
        unsigned score;             /* hundredths */
        const char *correlation_id; /* NULL: one is minted */
        bool constitutional;
} AnomalyReport;

typedef struct ProposalReport { /* PROPOSAL_RESULT */
        uint64_t req;
        Code code;
        bool more;
        Verdict verdict;
        Outcome outcome; /* only with has_outcome */
        bool has_outcome;
        uint64_t decision_index, intent_index, action_index; /* UINT64_MAX: absent */
        const char *approval_id, *reason;
} ProposalReport;

typedef struct Evidence {
        char key[24];
        int64_t value;
} Evidence;

typedef struct ImmuneConfig {
        const char *self; /* own unit name: own events are not evidence */
        uint8_t seed[16];
        const ImmunePolicy *policy; /* kept by reference */
} ImmuneConfig;

typedef struct ImmuneCore ImmuneCore;
int immune_core_new(const ImmuneConfig *cfg, ImmuneCore **ret);
ImmuneCore *immune_core_free(ImmuneCore *c);
void immune_core_policy(
        ImmuneCore *c, const ImmunePolicy *p); /* after a reload; open incidents keep their rung */

/* Start: every anomaly, incident and action record of the ledger in order, then immune_folded(). Incidents
 * are opened and proposals made only after it; detectors run before. body: the record's JSON. -EINVAL: not a
 * record of ours, ignored. */
int immune_fold(ImmuneCore *c, RecordKind kind, uint64_t index, uint64_t time_ns, const char *correlation_id,
        Str body);
int immune_folded(ImmuneCore *c, ImmuneNow now);

int immune_on_unit(ImmuneCore *c, ImmuneNow now, const UnitReport *u);
/* A snapshot is: begin (when it is asked for: an event that comes later is newer than it),
 * immune_on_unit(snapshot = true) for each, end: units that were not named are gone. */
void immune_snapshot_begin(ImmuneCore *c, ImmuneNow now);
int immune_snapshot_end(ImmuneCore *c, ImmuneNow now);
/* rss 0: the incarnation is gone or cannot be read. */
int immune_on_sample(
        ImmuneCore *c, ImmuneNow now, const char *unit, uint64_t pid, uint64_t start_time, uint64_t rss);
int immune_on_heartbeat(ImmuneCore *c, ImmuneNow now, const char *unit, uint64_t interval_us);
int immune_on_anomaly(ImmuneCore *c, ImmuneNow now, const AnomalyReport *a);
/* A workflow asks: its policy is the operator-set condition that lets an action be proposed without a hard
 * signal of our own. `action` may be _HEAL_MAX: the ladder decides. Answered by IMMUNE_CMD_ANSWER with the
 * same token, once on record. */
int immune_on_invoke(ImmuneCore *c, ImmuneNow now, uint64_t token, const AnomalyReport *a,
        HealingAction action, bool escalate);
int immune_on_proposal(ImmuneCore *c, ImmuneNow now, const ProposalReport *r);
/* ok false: refused by the ledger, never to be on record. */
int immune_on_ack(ImmuneCore *c, ImmuneNow now, uint64_t token, bool ok, uint64_t index);
int immune_on_evidence(ImmuneCore *c, ImmuneNow now, uint64_t token, const Evidence *e, unsigned n);
int immune_on_timer(ImmuneCore *c, ImmuneNow now);

/* ---- commands out */
typedef enum ImmuneCmdKind {
        IMMUNE_CMD_APPEND,   /* token, kind, ref, action, resource, correlation_id, result, body */
        IMMUNE_CMD_PUBLISH,  /* type, priority, resource, correlation_id, body */
        IMMUNE_CMD_PROPOSE,  /* token (REQ), action, resource (target), incident, claims, correlation_id,
                                reason */
        IMMUNE_CMD_SAMPLE,   /* resource (unit), pid, start_time: read its RSS now */
        IMMUNE_CMD_EVIDENCE, /* token, resource, pid, start_time: bounded look at /proc */
        IMMUNE_CMD_ANSWER,   /* token, result (code), correlation_id, body: an INVOKE is answered */
        IMMUNE_CMD_TIMER, /* at_us: call immune_on_timer() then; UINT64_MAX: none. Replaces the one before */
} ImmuneCmdKind;

enum { IMMUNE_CLAIMS_MAX = 20 };
typedef struct ImmuneCmd {
        ImmuneCmdKind kind;
        uint64_t token, ref, incident, pid, start_time, at_us;
        RecordKind record;
        char action[65], resource[161], correlation_id[81], result[65], type[129], priority[3], reason[257];
        Str body; /* canonical JSON */
        unsigned n_claims;
        /* "name=i:12". Last, and what is past n_claims is not set: most of the size, and most commands have none. */
        char claims[IMMUNE_CLAIMS_MAX][160];
} ImmuneCmd;
/* The oldest command, valid until the next call on the core; NULL: none left. */
const ImmuneCmd *immune_next(ImmuneCore *c);

/* ---- for persons: the JSON of `incidents` and `why`. */
void immune_incidents_json(const ImmuneCore *c, JsonWriter *w);
/* 1: unknown id. id: an incident id, a correlation id or a ledger index of the incident's records. */
int immune_incident_json(const ImmuneCore *c, const char *id, JsonWriter *w);

/* ---- what a test or the simulator asks */
typedef struct ImmuneStats {
        uint64_t anomalies, deduped, incidents, proposals, refused, healed, failed, escalated, storms,
                dropped;
        unsigned open, in_flight;
        bool storm, folded;
} ImmuneStats;
void immune_stats(const ImmuneCore *c, ImmuneStats *ret);
