/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The insides of the immune core, shared by its files only. Every list is bounded by the constants of
 * immune-core.h. */
#include "immune/immune-core.h"
#include "common/list.h"

#define NO_INDEX UINT64_MAX
#define NEVER    UINT64_MAX
enum { ENDS_MAX = 16 };

/* Who saw it: decides what counts as hard and how the action is verified. */
typedef enum Detector { BY_GROWTH, BY_EXITS, BY_HEARTBEAT, BY_REPORT, BY_WORKFLOW, _DETECTOR_MAX } Detector;
VOCAB_DECLARE(detector);

typedef struct ImmuneUnit {
        List node;
        char name[129];
        UnitState state;
        Health health;
        uint64_t pid, start_time, restarts, priority_milli;
        int64_t code, signal;
        RestartReason reason;
        uint64_t changed_us; /* last event */
        bool known;          /* a snapshot told priority, Heal= and labels */
        bool critical, can_fail, mentioned;
        uint32_t heal;
        char *labels[IMMUNE_LABELS_MAX]; /* owned */
        unsigned n_labels;
        uint64_t ends_us[ENDS_MAX]; /* ring: unwanted ends */
        unsigned n_ends;
        uint64_t running_since_us; /* 0: not running */
        uint64_t next_sample_us;   /* NEVER: nothing to sample */
        Growth growth;
        uint64_t beat_interval_us, last_beat_us; /* 0: has never sent one in this incarnation */
        bool silent;
        bool ended_well; /* with status 0; what follows says if that was wanted */
        bool dying;      /* its process is gone, its group is being emptied */
        uint64_t cool_until_us;
} ImmuneUnit;

enum { INVOKES_WAITING_MAX = 8 };
typedef enum IncidentWait {
        WAIT_NONE,
        WAIT_ANOMALY, /* anomaly record not acknowledged */
        WAIT_OPENED,  /* incident record not acknowledged */
        WAIT_OBSERVE,
        WAIT_EVIDENCE,
        WAIT_HELD,
        WAIT_ANSWER,
        WAIT_VERIFY,
        WAIT_STABLE,
        WAIT_SIGNAL,
} IncidentWait;

typedef struct Incident {
        List node;
        char id[21], correlation[81], target[129], original[65], source[129];
        AnomalyType type;
        Severity severity;
        Detector detector;
        IncidentState state;
        IncidentOutcome outcome;
        bool constitutional;     /* said to touch the constitution: the gate is told */
        bool operator_condition; /* a workflow asked: a policy of people stands behind it */
        uint64_t opened_ns, closed_ns, last_seen_us;
        unsigned attempts, seen, score, reruns;
        /* the signal as it was at the anomaly */
        uint64_t baseline, current, rate, pid, start_time;
        char text[257];
        /* the plan: copied, so that a reload changes nothing under an open incident */
        char playbook[65];
        unsigned step, n_steps;
        Step steps[LADDER_MAX];
        uint64_t verify_within_us, stable_for_us, cool_down_us;
        char diagnosis[65], cause[201];
        unsigned confidence;
        Evidence evidence[IMMUNE_EVIDENCE_MAX];
        unsigned n_evidence;
        /* the last proposal */
        HealingAction action; /* _HEAL_MAX: none yet */
        Code code;
        char approval_id[49], reason[257];
        uint64_t anomaly_index, opened_index, decision_index, intent_index, action_index, verified_index,
                last_index;
        /* run time only */
        IncidentWait wait;
        uint64_t deadline_us; /* of the wait; NEVER: none */
        uint64_t token;       /* of the answer waited for */
        uint64_t retry_us, healed_us;
        uint64_t invokes[INVOKES_WAITING_MAX]; /* tokens of INVOKEs to answer once it is on record */
        unsigned n_invokes;
        bool rerun; /* the rung was not used up: nothing of ours ran */
        bool acted; /* fold: an action record followed the proposal */
        Outcome acted_outcome;
} Incident;

typedef enum IndexSlot { SLOT_NONE, SLOT_VERIFIED } IndexSlot;
typedef struct PendingAck {
        uint64_t token;
        Incident *incident;
        IndexSlot slot;
} PendingAck;

typedef struct CmdNode {
        List node;
        ImmuneCmd cmd;
        char body[];
} CmdNode;

struct ImmuneCore {
        char self[129];
        uint8_t seed[16];
        const ImmunePolicy *policy;
        List units, incidents, commands;
        unsigned n_units, n_incidents;
        CmdNode *given;             /* returned by immune_next(), freed at the next call */
        uint64_t counter, tokens;   /* ids, tokens */
        uint64_t snapshot_us;       /* when the last one was asked for */
        uint64_t armed_us;          /* timer as the shell knows it */
        uint64_t bucket, bucket_us; /* proposals, in millionths */
        uint64_t storm_until_us;    /* storm: end of the quiet time; 0: no storm */
        PendingAck acks[256];
        unsigned n_acks;
        bool folded, have_units, resumed;
        int error; /* sticky -ENOMEM: the shell ends, the ledger knows the rest */
        ImmuneStats stats;
};

#define LIST_INCIDENTS(i, c)                                                                                 \
        for (List *i##_n = (c)->incidents.next, *i##_x = i##_n->next; i##_n != &(c)->incidents;              \
                i##_n = i##_x, i##_x = i##_n->next)                                                          \
                for (Incident *i = container_of(i##_n, Incident, node); i; i = NULL)

/* ---- core */
ImmuneUnit *core_unit(const ImmuneCore *c, const char *name);
bool core_storm(ImmuneCore *c, ImmuneNow now);
bool core_take_rate(ImmuneCore *c, ImmuneNow now);
uint64_t core_token(ImmuneCore *c);
void core_mint(ImmuneCore *c, const char *prefix, unsigned hex, char *out, size_t cap);
/* Queues a command; body is copied (canonical JSON made by w's buffer, may be NULL). NULL: out of memory,
 * error is set. */
ImmuneCmd *core_command(ImmuneCore *c, ImmuneCmdKind kind, const Buf *body);

/* ---- watch.c: units and their detectors */
void unit_free(ImmuneCore *c, ImmuneUnit *u);
/* Is it time to sample, is a beat overdue? Called by the timer. */
void unit_timer(ImmuneCore *c, ImmuneNow now, ImmuneUnit *u);
static inline bool unit_is_down(UnitState s) {
        return s == UNIT_BACKOFF || s == UNIT_FAILED || s == UNIT_QUARANTINED;
}
uint64_t unit_deadline(const ImmuneCore *c, const ImmuneUnit *u);
/* Level, not edge: also what was already so when this kernel started. ended: by this very report. */
void unit_detect_exits(ImmuneCore *c, ImmuneNow now, ImmuneUnit *u, bool ended);
/* When both fold and snapshot are there: open incidents go on, once. */
void core_resume(ImmuneCore *c, ImmuneNow now);

/* ---- incident.c: the life of one incident */
typedef struct Alarm {
        AnomalyType type;
        Severity severity;
        Detector detector;
        const char *target, *original, *source, *correlation_id;
        unsigned score;
        uint64_t baseline, current, rate;
        HealingAction action; /* _HEAL_MAX: the ladder decides */
        bool constitutional;
        bool escalate; /* straight to a person */
        uint64_t invoke;
        char text[257];
} Alarm;
/* A signal: opens an incident, joins it to the open one, or is one too many of the same. Returns the incident
 * or NULL. */
Incident *incident_alarm(ImmuneCore *c, ImmuneNow now, const Alarm *a);
void incident_ack(ImmuneCore *c, ImmuneNow now, Incident *i, bool ok, uint64_t index);
void incident_evidence(ImmuneCore *c, ImmuneNow now, Incident *i);
void incident_answer(ImmuneCore *c, ImmuneNow now, Incident *i, const ProposalReport *r);
void incident_deadline(ImmuneCore *c, ImmuneNow now, Incident *i);
/* Something about the target changed: verification and escalated incidents look again. */
void incident_look(ImmuneCore *c, ImmuneNow now, Incident *i, const ImmuneUnit *u);
/* After fold and snapshot: goes on where the record ends. */
void incident_resume(ImmuneCore *c, ImmuneNow now, Incident *i);
void incident_close(ImmuneCore *c, ImmuneNow now, Incident *i, IncidentOutcome outcome, const char *reason);
bool incident_open(const Incident *i);
bool incident_make_room(ImmuneCore *c); /* forgets the oldest closed one when full; false: all are open */
static inline bool incident_is_claim(const Incident *i) {
        return i->detector == BY_REPORT || i->detector == BY_WORKFLOW;
}
/* Between incident.c and ladder.c. */
void incident_advance(
        ImmuneCore *c, ImmuneNow now, Incident *i); /* does what the present rung says, as far as it goes */
void incident_wait(Incident *i, IncidentWait wait, uint64_t deadline_us);
void incident_set_state(ImmuneCore *c, Incident *i, IncidentState state); /* and records it */
void incident_escalate(ImmuneCore *c, Incident *i, const char *reason);
void incident_failed(ImmuneCore *c, ImmuneNow now, Incident *i, IncidentOutcome outcome, const char *reason);
void incident_begin_verification(ImmuneCore *c, ImmuneNow now, Incident *i, bool acted);
/* final: the time for verification is over. */
void incident_judge(ImmuneCore *c, ImmuneNow now, Incident *i, const ImmuneUnit *u, bool final);
/* The target shows a signal of its own that is no claim of anybody. */
bool unit_hard_signal(const ImmuneCore *c, const ImmuneUnit *u, ImmuneNow now);
unsigned unit_recent_ends(const ImmuneUnit *u, uint64_t now_us, uint64_t window_us);
bool unit_same_incarnation(const ImmuneUnit *u, const Incident *i);

/* ---- diagnose.c */
void diagnose(ImmuneCore *c, ImmuneNow now, Incident *i, const ImmuneUnit *u);
/* Chooses the playbook (or the table's response) and copies its ladder; step 0. */
void plan_incident(
        ImmuneCore *c, ImmuneNow now, Incident *i, const ImmuneUnit *u, HealingAction action, bool escalate);

/* ---- record.c */
void record_anomaly(ImmuneCore *c, Incident *i, uint64_t token);
/* State record of the incident; token 0: nobody waits for it. */
void record_incident(ImmuneCore *c, Incident *i, uint64_t token);
void publish_incident(ImmuneCore *c, const Incident *i, const char *type, const char *priority);
/* Reads a body back. 0, -EINVAL. */
int record_read(Str body, Incident *ret);
/* Null for "" and 0, as records and the documents for people say what is not there. */
void record_kv_text(JsonWriter *w, const char *k, const char *s);
void record_kv_time(JsonWriter *w, const char *k, uint64_t ns);
