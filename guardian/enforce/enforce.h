/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Enforcement: Guardian's side of a governed action (HACKING.md). Pure: no clock, no
 * I/O, no loop. Events are function calls with the time; commands leave through EnforceOps at once, inside
 * the call. The simulator and guardian/ both drive it.
 *
 * Rules for the shell:
 *  - No op may call back into enforce_*, but `act`, which may call enforce_act_result() before it returns:
 * for its own request, and for an earlier act on the same unit that it overtakes. What an op sets off (a link
 * found dead while sending) is reported from a later turn.
 *  - After every event call: look at enforce_deadline() and arm one timer for it; when it fires,
 * enforce_tick().
 *  - Every message of the ledger's and the governance gate's control pipe goes through enforce_ledger_msg()
 * and enforce_gate_msg(); they return false for what is not theirs.
 *  - attached/lost follow validation: a part that is attached but not validated is not there. A new instance
 * is reported only after the old one's pipe was read to its end.
 */
#include "common/json-writer.h"
#include "common/msg.h"
#include "common/vocab.h"
#include "guardian/enforce/approvals.h"
#include "guardian/enforce/record-queue.h"

enum {
        ENFORCE_OPEN_MAX = 64,    /* open proposals in all */
        ENFORCE_UNGATED_MAX = 16, /* acts without a verdict under way, beside them */
        ENFORCE_RATE_PER_S = 10,
        ENFORCE_RATE_BURST = 32,
        ENFORCE_CEILING_TARGET = 6, /* healing acts per target, and in all, in ENFORCE_CEILING_US */
        ENFORCE_CEILING_ALL = 30,
        ENFORCE_CLAIMS_MAX = 24,
        ENFORCE_LIST_MAX = 24, /* heal, labels, facts of a target */
};
#define ENFORCE_USE_BY_US          5000000ull
#define ENFORCE_DOWN_US            3000000ull
#define ENFORCE_CEILING_US         (600ull * 1000000)
#define ENFORCE_BREAK_GLASS_MAX_US (3600ull * 1000000)

typedef struct EnforceNow {
        uint64_t boot_us, wall_ns;
} EnforceNow;

/* A unit as it is at this moment. Lists are borrowed until the op that filled them is called again. */
typedef struct EnforceTarget {
        UnitState state;
        Incarnation incarnation; /* pid 0: not running */
        uint64_t priority_milli;
        bool critical, can_fail;
        bool pinned_down, pinned_up;
        Str heal[ENFORCE_LIST_MAX];   /* healing actions, one a string */
        Str labels[ENFORCE_LIST_MAX]; /* "k=v" */
        Str facts[ENFORCE_LIST_MAX]; /* "name=i:12", read now: exits, probes, restarts, memory, incarnation */
        unsigned n_heal, n_labels, n_facts;
} EnforceTarget;

typedef enum ActorKind { ACTOR_PERSON, ACTOR_UNIT, ACTOR_SUPERVISOR } ActorKind;

/* What somebody asks for. Everything is borrowed for the call. */
typedef struct EnforceProposal {
        uint64_t waiter; /* the shell's token for whoever waits; 0: nobody */
        ActorKind kind;
        const char *actor; /* unit name or "uid:N" */
        uint64_t uid;      /* of a person */
        Role role;         /* of a person */
        Str action;        /* healing action or verb; '-' counts as '_' */
        Str target;        /* unit; "" or absent for verbs that have none (reload, mode, lockdown) */
        Str args[REQUEST_ARGS_MAX];
        unsigned n_args;
        Str claims[ENFORCE_CLAIMS_MAX]; /* said by the proposer, typed like facts */
        unsigned n_claims;
        uint64_t incident;          /* ledger index, UINT64_MAX: none */
        Str reason, correlation_id; /* absent: one is made */
} EnforceProposal;

/* An answer to a waiter. `more`: it waits for approval and a further answer follows. Strings live for the
 * call. */
typedef struct EnforceReply {
        uint64_t waiter;
        bool more;
        Code code;
        Verdict verdict;
        const uint8_t *request_id;                           /* NULL: refused before one was made */
        uint64_t decision_index, intent_index, action_index; /* UINT64_MAX: none */
        bool has_outcome;
        Outcome outcome;
        const char *approval_id; /* "" none */
        const char *reason;      /* for people, may be "" */
        const char *correlation_id;
        bool ungated;
} EnforceReply;

/* An answer to a vote. */
typedef struct EnforceVoteReply {
        uint64_t waiter;
        Code code;
        const char *id;
        ApprovalState state; /* meaningless with unknown_id */
} EnforceVoteReply;

/* An act without a verdict, on its way through the spool into the ledger. Borrowed. */
typedef struct EnforceSpool {
        uint8_t id[16]; /* its request_id: an import that crashed half way is not repeated */
        uint64_t time_ns;
        const char *actor, *action, *resource, *result, *correlation_id; /* NULL: absent */
        Str body;                                                        /* canonical JSON */
} EnforceSpool;

typedef struct EnforceOps {
        /* Reads a unit now. False: there is no such unit. Called with the time of the event, no effect. */
        bool (*target)(void *user, const char *unit, EnforceTarget *ret);
        /* 16 random bytes; the simulator's are from its seed. */
        void (*random16)(void *user, uint8_t ret[16]);
        /* To the validated gate and ledger. 0, or -errno: reported lost by the shell in a later turn. */
        int (*to_gate)(void *user, const MsgBuilder *b);
        int (*to_ledger)(void *user, const MsgBuilder *b, Str payload);
        /*
         * Do it now, in this loop turn, on that incarnation and no other. The outcome comes through
         * enforce_act_result() with the same request_id, once, at once or later, whatever happens to the unit
         * in between. r->target is "guardian" for verbs without a unit. Verbs `mode` and `lockdown` never
         * come here.
         */
        void (*act)(void *user, const ActionRequest *r, bool ungated);
        void (*reply)(void *user, const EnforceReply *r);
        void (*vote_reply)(void *user, const EnforceVoteReply *r);
        /* An event for the mesh; payload is one JSON object. */
        void (*publish)(
                void *user, const char *type, const char *resource, const char *correlation_id, Str payload);
        /*
         * Adds a record to the spool of the state directory. 0: it is durable; 1: it is being written and
         * synced on a helper, and enforce_spooled() says how that went; -ENOSPC when 1 MiB is full, or what
         * the file says. The act happens regardless, and at once, but for break-glass.
         */
        int (*spool)(void *user, const EnforceSpool *r);
        /* It stands in the ledger as a `recovery` record with this request_id. */
        void (*spool_imported)(void *user, const uint8_t id[16]);
        /* Sets or removes the pause marker of the state directory; reason is NULL to remove. */
        void (*pause_marker)(void *user, const char *reason);
        /* Mode, pause, lockdown or break-glass changed, or the gate or the ledger came or went: for status
         * and HELLO. */
        void (*changed)(void *user);
        /* Once, for an enforce_break_glass() that had to wait: CODE_OK when it is in force, or CODE_FAILED.
         */
        void (*glass_reply)(void *user, Code code);
        void (*approval)(void *user, const Approval *a); /* asked, or over: for the log; may be NULL */
} EnforceOps;

typedef struct EnforceConfig {
        bool has_gate, has_ledger;           /* the set names a governance, a ledger unit */
        const char *gate_unit, *ledger_unit; /* NULL: "governance", "ledger" */
        const char *proposer_unit;           /* the one unit that may propose; NULL: "immune" */
        Mode mode_floor;                     /* --mode, MODE_NONE without */
        uint8_t boot_id[16];
        uint64_t pid, start_time; /* Guardian itself: the target of verbs without a unit */
        bool marker_known;        /* the state directory could be read: its pause marker is the truth */
        const char *paused;       /* reason in the marker, NULL: none */
} EnforceConfig;

typedef enum PartState { PART_ABSENT, PART_READY, PART_STALLED, PART_DOWN } PartState;
const char *part_state_gate(PartState s);   /* absent ready down down */
const char *part_state_ledger(PartState s); /* absent ready stalled failed */

typedef struct EnforceStatus {
        PartState gate, ledger;
        Mode mode, mode_recorded, mode_floor;
        bool paused, lockdown, break_glass, break_glass_waits, rollback, recovering;
        const char *pause_reason;
        uint64_t break_glass_until_us;
        char policy_revision[81];
        unsigned open, pending_approvals, unrecorded, spooled;
        uint64_t ledger_size, ledger_signed_size, ledger_epoch;
        uint64_t proposals, allowed, denied, asked, acted, not_run, failed, ungated, rate_limited,
                late_verdicts, forged_verdicts, intents_refused, appends_refused, closed_unknown, ceilings,
                lost_records;
} EnforceStatus;

typedef struct Enforce Enforce;

/* cfg and ops are copied. 0, -ENOMEM. */
int enforce_new(const EnforceConfig *cfg, const EnforceOps *ops, void *user, Enforce **ret);
Enforce *enforce_free(Enforce *e); /* NULL is fine; returns NULL */

/* ---- verbs and actions: one table, compared with policies/actions.yaml by a test */
typedef struct EnforceVerb {
        const char *name; /* restart_service, restart, reload_unit, mode, ... */
        bool healing;     /* needs the target's Heal= */
        bool unit;        /* its target is a unit */
        bool ungated;     /* an admin's works while the gate is down */
        bool bootstrap;   /* an admin's on ledger and governance never waits for gate or ledger */
        Role role;        /* least role of a person */
} EnforceVerb;
const EnforceVerb *enforce_verbs(size_t *n);
const EnforceVerb *enforce_verb(Str name); /* NULL: unknown; '-' counts as '_' */
/* Compiled in: ledger and governance (shown by `policy bootstrap`). */
bool enforce_is_bootstrap_unit(const char *unit);

/* ---- asking */
/* Always answers its waiter, at once or later, exactly once without `more`. */
void enforce_propose(Enforce *e, const EnforceProposal *p, EnforceNow now);
/* Fills p from a PROPOSE of a unit; borrows from m. The caller sets waiter (m's REQ is only its own number).
 * 0, -EINVAL: too many args or claims. */
int enforce_proposal_from_msg(const Msg *m, const char *unit, EnforceProposal *p);
/* A vote of a person or, refused, a unit. Answers once the record is durable, or at once when it is refused.
 */
void enforce_vote(Enforce *e, uint64_t waiter, ActorKind kind, uint64_t uid, Role role, Str id, bool approve,
        Str note, EnforceNow now);
/* Guardian alone; CODE_OK or denied_by_role. Open healing is stopped before its act; the marker is set at
 * once. */
Code enforce_pause(Enforce *e, ActorKind kind, const char *actor, Role role, Str reason, EnforceNow now);
Code enforce_resume(Enforce *e, ActorKind kind, const char *actor, Role role, EnforceNow now);
/* Admin only: records who asked; the shell then stops everything. */
Code enforce_shutdown(Enforce *e, ActorKind kind, const char *actor, Role role, Str reason, EnforceNow now);
/*
 * Admin only; reason and a time limit of at most 60 min, else CODE_INVALID; a full spool: CODE_FAILED. It is
 * in force once its record is durable, in the spool or in the ledger: CODE_OK, and while status says
 * break_glass_waits its answer comes by glass_reply. One at a time: CODE_BUSY.
 */
Code enforce_break_glass(Enforce *e, ActorKind kind, const char *actor, Role role, Str reason,
        uint64_t ttl_us, EnforceNow now);

/* ---- the gate */
void enforce_gate_attached(Enforce *e, EnforceNow now);          /* validated */
void enforce_gate_lost(Enforce *e, EnforceNow now);              /* any instance ended, validated or not */
bool enforce_gate_msg(Enforce *e, const Msg *m, EnforceNow now); /* VERDICT APPROVAL_PENDING POLICY_STATE */

/* ---- the ledger */
void enforce_ledger_attached(Enforce *e, EnforceNow now); /* validated: sends ATTACH */
void enforce_ledger_lost(Enforce *e, EnforceNow now);
/* ATTACHED OPEN_INTENT APPEND_ACK APPEND_REFUSED LEDGER_HEAD, and RECORD and RESULT of its own queries */
bool enforce_ledger_msg(Enforce *e, const Msg *m, EnforceNow now);
/* Any other record of Guardian (boot, unit, config): waits while the ledger is away. -ENOBUFS, -ENOMEM,
 * -EMSGSIZE. */
int enforce_record(Enforce *e, const RecordFields *f, EnforceNow now);

/* ---- the world */
/* The outcome of an act: OK, FAILED or UNKNOWN, with a reason for people ("" or NULL: none). Unknown ids are
 * ignored. */
void enforce_act_result(
        Enforce *e, const uint8_t request_id[16], Outcome outcome, const char *reason, EnforceNow now);
/* That incarnation of the unit is over: voids its open proposals and approvals. pid 0: there was no process,
 * and now there is one. */
void enforce_incarnation_ended(Enforce *e, const char *unit, const Incarnation *inc, EnforceNow now);
/* One record of the spool as found at start (before the ledger is attached); it is imported unless already on
 * record. 0, -ENOMEM. */
int enforce_spool_loaded(Enforce *e, const EnforceSpool *r);
/* All that the spool was given is durable (0), or could not be stored (-errno). */
void enforce_spooled(Enforce *e, int error, EnforceNow now);
void enforce_tick(Enforce *e, EnforceNow now);
/* Boot time of the next enforce_tick(), UINT64_MAX: none. */
uint64_t enforce_deadline(const Enforce *e);

/* ---- reading */
void enforce_status(const Enforce *e, EnforceNow now, EnforceStatus *ret);
void enforce_approvals_json(const Enforce *e, JsonWriter *w);
const Approval *enforce_approval(const Enforce *e, const char *id);
/* The document of `propose` and of mutating verbs. */
void enforce_reply_to_json(const EnforceReply *r, JsonWriter *w);
/* The PROPOSAL_RESULT that answers a unit's PROPOSE with number req. */
void enforce_reply_to_msg(const EnforceReply *r, uint64_t req, MsgBuilder *b);
