/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the files of the enforcement core only. */
#include "guardian/enforce/enforce.h"
#include "common/cleanup.h"
#include "common/list.h"

#define NONE64 UINT64_MAX
#define SELF   "guardian" /* the target of verbs without a unit */

/*
 * Where a governed action stands. A slot is freed only when nothing of it can be open on record any more: an
 * intent that was sent is waited for, whatever its waiter was told meanwhile.
 */
typedef enum Stage {
        STAGE_DECIDE,   /* DECIDE is out, or waits for a gate that restarts */
        STAGE_ASKED,    /* waits for people */
        STAGE_REDECIDE, /* they approved; the gate evaluates again */
        STAGE_INTENT,   /* intent sent, not acknowledged */
        STAGE_ACT,      /* under way */
        STAGE_RECORD,   /* outcome known, action record not acknowledged */
} Stage;

typedef struct Proposal {
        Stage stage;
        bool ungated;
        const EnforceVerb *verb; /* NULL: an intent of an earlier Guardian that is being closed */
        ActionRequest r;
        uint8_t digest[32];
        uint64_t waiter;
        bool answered; /* the waiter has its last answer */
        ActorKind kind;
        uint64_t uid;
        Role role;
        char reason[513], correlation_id[81], policy_revision[81], approval_id[49];
        char *claims; /* NUL separated; owned */
        unsigned n_claims;
        uint64_t asked_us; /* DECIDE or APPROVAL_ANSWERED sent to the present gate, NONE64: not */
        bool reasked;
        uint64_t use_by_us; /* NONE64 while people are asked */
        uint64_t lockdown_epoch;
        Verdict verdict;
        uint64_t decision_index, intent_index, action_index;
        Code code; /* why it was not run; CODE_OK otherwise */
        Outcome outcome;
        char outcome_reason[200];
        uint64_t token;  /* of the record in flight, 0: none */
        bool record_due; /* the action record could not be queued (memory): try again at retry_us */
        uint64_t retry_us;
        uint64_t started_us, answer_by_us;
        uint64_t duration_us;
} Proposal;

/* A vote, or a change of an approval's state, on its way into the ledger. */
typedef struct VoteInFlight {
        List node;
        uint64_t token, uid, waiter, answer_by_us;
        bool vote; /* else a state record */
        bool answered;
        char id[49];
} VoteInFlight;

typedef struct Spooled {
        List node;
        uint8_t id[16];
        uint64_t token, time_ns;
        char *text; /* actor, action, resource, result, correlation_id, then the body; owned */
        size_t at[5], body_at, body_len;
        bool memory_only; /* the spool did not take it */
} Spooled;

/* A break-glass whose record is not durable yet. ttl_us 0: none. */
typedef struct Glass {
        uint64_t ttl_us, answer_by_us;
        uint8_t id[16];
        char actor[129], reason[513];
} Glass;

/* What an earlier Guardian wrote about a question: the state after it. */
typedef struct OwnAnswer {
        uint8_t request_id[16], digest[32];
        ApprovalState state;
        uint64_t index;
} OwnAnswer;

typedef struct CeilingAct {
        char target[129];
        uint64_t at_us;
} CeilingAct;

struct Enforce {
        EnforceConfig cfg;
        EnforceOps ops;
        void *user;
        char gate_unit[129], ledger_unit[129], proposer_unit[129];
        Proposal *open[ENFORCE_OPEN_MAX + ENFORCE_UNGATED_MAX]; /* NULL: free; owned */
        uint8_t over[256][16]; /* request ids that ended lately: a verdict on one of them is late, on any
                                  other forged */
        unsigned n_over;       /* ever written */
        Approvals approvals;
        OwnAnswer answers[APPROVALS_MAX]; /* read back at the first attachment; the newest of each question */
        unsigned n_answers;               /* ever written */
        RecordQueue records;
        List votes;   /* VoteInFlight */
        List spooled; /* Spooled */
        unsigned n_spooled, n_memory_only;
        uint64_t last_token;
        /* the gate */
        bool gate_attached, gate_silent;
        bool gate_failed; /* it says that it can decide nothing, and why */
        char gate_issue[513];
        List early; /* EarlyMsg */
        unsigned n_early;
        char policy_revision[81];
        /* the ledger */
        bool new_ledger; /* the next ATTACHED is the first of its instance */
        bool ledger_attached, ledger_ready, ledger_failed, rollback, folded;
        uint64_t attach_sent_us, resync_us, query_req;
        uint64_t alive_asked_us; /* the ledger was asked whether it answers, NONE64: not */
        unsigned query_step;
        uint64_t ledger_size, ledger_signed_size;
        /* Guardian's own switches */
        Mode mode_recorded;
        bool paused, lockdown, switched; /* switched: pause or resume was said in this run */
        char pause_reason[513];
        uint64_t lockdown_epoch, break_glass_until_us;
        Glass glass;
        /* limits */
        uint64_t bucket_milli, bucket_us;
        CeilingAct acts[ENFORCE_CEILING_ALL];
        unsigned n_acts;
        PartState seen_gate, seen_ledger;
        EnforceStatus counters; /* only its counters are used */
};

/* A message of an instance that is not validated yet: heard, and acted on only if it becomes so. */
typedef struct EarlyMsg {
        List node;
        MsgType type;
        size_t n;
        char header[];
} EarlyMsg;

/* verbs.c: pause, approve and their like, which never go through enforce_propose() */
bool enforce_is_own_verb(const EnforceVerb *v);
/* flow.c */
void flow_ask_gate(Enforce *e, Proposal *p, EnforceNow now);
void flow_verdict(Enforce *e, const Msg *m, EnforceNow now);
void flow_intent_done(Enforce *e, Proposal *p, const char *code, uint64_t index, EnforceNow now);
void flow_action_done(Enforce *e, Proposal *p, const char *code, uint64_t index, EnforceNow now);
void flow_append_action(Enforce *e, Proposal *p, EnforceNow now);
void flow_act_ungated(Enforce *e, Proposal *p, const char *why, EnforceNow now);
void flow_end(Enforce *e, Proposal *p, Code code, const char *reason);
void flow_answer(Enforce *e, Proposal *p, bool more, Code code, const char *reason);
void flow_put_context(Enforce *e, MsgBuilder *b, const EnforceTarget *t, EnforceNow now);
Mode flow_mode(const Enforce *e);
bool flow_ceiling(Enforce *e, const char *target, EnforceNow now);
void flow_count_act(Enforce *e, const char *target, uint64_t at_us);
bool flow_target(const Enforce *e, const Proposal *p, EnforceTarget *t);
void flow_config_record(Enforce *e, const char *actor, const char *action, const char *result,
        const char *reason, const Proposal *p, EnforceNow now);
/* switches.c: the event of a mode, lockdown, pause ... */
void switch_publish(Enforce *e, const char *actor, const char *verb, const char *value, const char *reason);
/* The record of that id stands in the ledger, or will not. */
void glass_recorded(Enforce *e, const uint8_t id[16], bool well, EnforceNow now);
void glass_tick(Enforce *e, EnforceNow now);
/* people.c */
void people_ask(Enforce *e, Proposal *p, const Msg *m, EnforceNow now);
void people_pending(Enforce *e, const Msg *m, EnforceNow now);
void people_close(Enforce *e, Approval *a, ApprovalState state, const char *reason, EnforceNow now);
void people_record_done(Enforce *e, VoteInFlight *v, const char *code, uint64_t index, EnforceNow now);
void people_answered(Enforce *e, Approval *a, Proposal *p, uint64_t index, EnforceNow now);
void people_read_answer(Enforce *e, const Msg *m);
void people_tick(Enforce *e, EnforceNow now);
uint64_t people_deadline(const Enforce *e);
/* spool and ledger, ledger-side.c */
void ledger_resync(Enforce *e, EnforceNow now);
void ledger_ask_alive(Enforce *e, EnforceNow now);
/* Records an act that waits for nobody: 0: durable; 1: being written. -errno: the spool does not take it, and
 * unless it `must` be durable first, or SPOOL_MEMORY_MAX such are held, it is kept here: what was done keeps
 * its order on record, and is lost with this Guardian only. */
enum { SPOOL_MEMORY_MAX = 256 };
int spool_act(Enforce *e, const Proposal *p, const char *why, bool must, EnforceNow now);
/* It never happened: forgets it, unless it is on its way to the ledger. */
void spool_withdraw(Enforce *e, const uint8_t id[16]);
/* enforce.c */
Proposal *proposal_new(Enforce *e, bool ungated);
void proposal_free(Enforce *e, Proposal *p);
Proposal *proposal_find(Enforce *e, const uint8_t request_id[16]);
bool proposal_was(const Enforce *e, const uint8_t request_id[16]); /* ended lately */
PartState gate_state(const Enforce *e, EnforceNow now);
PartState ledger_state(const Enforce *e, EnforceNow now);
/* Why nothing is decided now: the ledger if it is down, else the gate. */
Code unavailable(const Enforce *e, EnforceNow now);
void notice(Enforce *e, EnforceNow now);
void early_take(Enforce *e, EnforceNow now);
/* ask.c */
bool heal_listed(const EnforceTarget *t, const EnforceVerb *v);
uint64_t new_token(Enforce *e);
void make_correlation(Enforce *e, Str given, char out[81]);

/* tests/sim switches a guard off to show that the invariants notice; nothing of this is in a shipped build.
 * Which rule each takes out stands in tests/sim/rules.txt. */
#define ENFORCE_FAULTS(X)                                                                                    \
        X(NO_DIGEST, "no_digest")               /* a verdict's digest is not compared */                     \
        X(NO_REVISION, "no_revision")           /* an approval holds under another policy */                 \
        X(ANY_STAGE, "any_stage")               /* a verdict on what is decided already counts */            \
        X(NO_INCARNATION, "no_incarnation")     /* the last check ignores the incarnation */                 \
        X(NO_VOID, "no_void")                   /* an end of the target voids nothing */                     \
        X(NO_USE_BY, "no_use_by")               /* late verdicts and late acts run */                        \
        X(NO_PAUSE, "no_pause")                 /* the last check ignores pause */                           \
        X(NO_LOCKDOWN, "no_lockdown")           /* the last check ignores the lockdown epoch */              \
        X(ACT_EARLY, "act_early")               /* act before the intent is durable */                       \
        X(NO_CLOSE, "no_close")                 /* open intents are not closed at attachment */              \
        X(REPEAT_UNKNOWN, "repeat_unknown")     /* an open intent of an earlier Guardian is run again */     \
        X(NO_CEILING, "no_ceiling")             /* no bound of healing acts */                               \
        X(NO_HEAL, "no_heal")                   /* Heal= is not looked at */                                 \
        X(NO_RESEND, "no_resend")               /* what is unacknowledged is not sent again */               \
        X(NO_REASK, "no_reask")                 /* a new gate is not asked what the old one left open */     \
        X(NO_ANSWER, "no_answer")               /* what waits for a dead gate is never ended */              \
        X(NO_EXPIRY, "no_expiry")               /* a question waits for ever */                              \
        X(LAPSE_UNRECORDED, "lapse_unrecorded") /* expiry and void are not recorded */                       \
        X(VOTE_EARLY, "vote_early")             /* a vote counts before it is durable */                     \
        X(SELF_VOTE, "self_vote")               /* the requester's vote counts */                            \
        X(UNIT_VOTE, "unit_vote")               /* so does a unit's */                                       \
        X(VOTE_ROLE, "vote_role")               /* and an observer's */                                      \
        X(DOUBLE_VOTE, "double_vote")           /* one uid votes twice */                                    \
        X(INVENTED, "invented")                 /* what people said is taken from the gate */                \
        X(ONE_VOTE, "one_vote")                 /* any number of votes is enough */                          \
        X(TWO_OPEN, "two_open")                 /* a second proposal on a target */                          \
        X(UNRECORDED, "unrecorded")             /* also while its last result is not on record */            \
        X(RING_SILENT, "ring_silent")           /* what the ring drops is not counted */                     \
        X(RING_UNBOUNDED, "ring_unbounded")     /* it never drops */                                         \
        X(NO_ROLLBACK, "no_rollback")           /* ledger_rollback is an attachment like any other */        \
        X(UNGATED_ROLE, "ungated_role")         /* anybody acts ungated */                                   \
        X(UNGATED_UP, "ungated_up")             /* also while gate and ledger are up */                      \
        X(UNGATED_ALL, "ungated_all")           /* any verb */                                               \
        X(UNGATED_NONE, "ungated_none")         /* nothing works while the gate is down */                   \
        X(BOOTSTRAP_ANY, "bootstrap_any")       /* every unit is a bootstrap unit */                         \
        X(BOOTSTRAP_WAITS, "bootstrap_waits")   /* none is */                                                \
        X(DOWN_ASKS, "down_asks")               /* a gate that is down is asked all the same */              \
        X(LEDGER_NOT_GATE, "ledger_not_gate")   /* a ledger that is down does not count */                   \
        X(NO_SILENCE, "no_silence")             /* a part that keeps silent is up */                         \
        X(WRONG_PART, "wrong_part")             /* the code names the gate, whatever is down */              \
        X(NO_SPOOL, "no_spool")                 /* an ungated act is not recorded */                         \
        X(NO_IMPORT, "no_import")               /* the spool stays where it is */                            \
        X(SPOOL_STOPS, "spool_stops")           /* a full spool stops supervision */                         \
        X(GLASS_BOUNDS, "glass_bounds")         /* break-glass without reason or limit */                    \
        X(GLASS_FULL, "glass_full")             /* break-glass with a full spool */                          \
        X(NO_ROLES, "no_roles")                 /* a person's role is left to the gate */                    \
        X(UNIT_ASKS, "unit_asks")               /* any unit asks for anything */                             \
        X(SWITCH_ROLES, "switch_roles")         /* anybody pauses and breaks glass */                        \
        X(MODE_WEAKER, "mode_weaker")           /* the weaker of --mode and the recorded mode wins */        \
        X(MODE_DEFAULT, "mode_default")         /* without a record the mode is log_only */                  \
        X(MODE_UNRECORDED, "mode_unrecorded")   /* a new mode is not recorded */                             \
        X(CLAIMS_ARE_FACTS, "claims_are_facts") /* what a proposer says is a fact */                         \
        X(NO_MARKER, "no_marker")               /* pause leaves no marker */                                 \
        X(PAUSE_UNRECORDED, "pause_unrecorded") /* and no record */
#define X_FAULT(N, s) FAULT_##N,
typedef enum EnforceFault { FAULT_NONE, ENFORCE_FAULTS(X_FAULT) _FAULT_MAX } EnforceFault;
#undef X_FAULT
#ifdef GUARDIAN_TEST_HOOKS
extern EnforceFault enforce_fault;
#define FAULTY(f) (enforce_fault == (f))
#else
#define FAULTY(f) false
#endif
