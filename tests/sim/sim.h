/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Deterministic simulation of a governed set: one thread, one virtual clock, one seed. Four processes
 * (Guardian's enforcement, the ledger, the gate, the immune kernel) are the real pure cores; links between
 * them are FIFO pipes with delay; any process may be killed or stopped at any point, the disk loses what was
 * not synced when power is cut, messages that the protocol allows to repeat are repeated. check.c watches the
 * invariants of HACKING.md, "A governed action".
 *
 * A pipe keeps what a dead process had said until its peer has read it to the end (the fence), and drops what
 * was said to it. A new instance is heard of (FR_UP) behind that end.
 */
#include "chunks/governance/gate-core.h"
#include "chunks/ledger/ledger-core.h"
#include "chunks/ledger/service.h"
#include "common/cleanup.h"
#include "common/list.h"
#include "guardian/enforce/enforce.h"
#include "immune/immune-core.h"
#include "policies.h"
#include "tests/sim/coverage.h"
#include "tests/unit/ledger/vdisk.h"

typedef enum Proc { P_GUARDIAN, P_LEDGER, P_GATE, P_IMMUNE, _P_MAX } Proc;
typedef enum FrameKind { FR_MSG, FR_EOF, FR_UP, FR_READY, FR_PEER } FrameKind;
typedef struct Frame {
        List node;
        FrameKind kind;
        Proc about;        /* PEER: who was validated */
        unsigned instance; /* UP, READY, PEER */
        MsgType type;
        size_t header, payload;
        char data[];
} Frame;

enum { SIM_UNITS = 4, SIM_WAITERS = 512, SIM_REQUESTS = 512, SIM_RECORDS = 8192, SIM_WRITER_MAX = 256 };
#define SIM_MS 1000ull
#define SIM_S  1000000ull

typedef struct SimUnit {
        const char *name;
        bool heal, critical;
        Incarnation inc;
        UnitState state;
        bool pinned_down, pinned_up;
        bool acting, acting_ungated; /* an act is under way */
        uint8_t request[16];
        uint64_t due_us; /* of its next step; UINT64_MAX none */
        uint64_t rss;
} SimUnit;

/* A chunk's side of the ledger link, as chunks/runtime's client does it: numbers, keeps, sends again. */
typedef struct SimWriter {
        struct {
                uint64_t seq, token;
                MsgBuilder *b;
                char *body;
                size_t n;
                bool sent;
        } items[SIM_WRITER_MAX];
        unsigned n;
        uint64_t next_seq, epoch, acked;
        bool has_ack, attached;
        uint8_t hash[32];
} SimWriter;

/* What is known of one request, whoever said it. */
typedef struct Request {
        uint8_t id[16], digest[32];
        /* what was asked, and by whom: from the DECIDE */
        bool person, critical, mode_verb, lockdown, break_glass, claimed;
        Role role;
        Mode mode;
        Incarnation inc;
        /* what became of it: from the pipes */
        unsigned guardian, decides; /* the instance that asked, how often it did */
        uint64_t sent_us;           /* unanswered by the present gate since, UINT64_MAX: not */
        bool heard, questioned, ended, allow_fits;
        uint64_t revision, asked_revision; /* hashes of policy revisions: on record, and as said */
        unsigned lapsed;                   /* the Guardian that told its waiter of a lapse */
        /* from the record */
        unsigned need, vote_epoch;
        uint64_t voters, yes; /* uids, bits */
        uint64_t approved_us; /* UINT64_MAX: not */
        bool closed, config, recovered, spooled, spool_full, ungated;
        uint64_t acted_us;
        uint64_t asked_us, verdict_us, decide_epoch;
        unsigned asks, finals, allows, intents, actions, acted;
        bool final_allow, asked, healing, inside; /* inside: mode, lockdown: Guardian's own state */
        uint64_t ask_index, final_index, intent_index;
        char target[129], actor[161];
        Outcome outcome;
        uint64_t allow_us;
} Request;

typedef struct Waiter {
        uint64_t token, asked_us;
        bool open, more, vote;
        Role role;
        ActorKind kind;
        uint8_t request[16]; /* of a vote */
} Waiter;

/* One call of enforce_propose() or of a switch, and what it did before it returned. */
typedef struct Asking {
        bool on;
        ActorKind kind;
        Role role;
        char actor[40], action[33], target[129];
        unsigned acts, spooled;
        bool replied;
        Code code;
} Asking;

typedef struct Mirror { /* one durable record */
        RecordKind kind;
        char writer; /* first letter: g(uardian) v(erdicts: governance) i m l */
        uint32_t epoch;
        uint64_t seq;
        uint8_t leaf[32];
        bool has_id;
        uint8_t id[16], digest[32];
        uint64_t bits;
} Mirror;

typedef struct Sim {
        uint64_t seed, rnd;
        bool trace, calm, over;
        char failure[256];
        uint64_t boot_us, wall_ns, end_us, steps;
        uint8_t boot_id[16];
        unsigned boots;
        /* processes and pipes */
        bool alive[_P_MAX], validated[_P_MAX];
        unsigned instance[_P_MAX], knows[_P_MAX][_P_MAX];
        uint64_t start_us[_P_MAX], stalled_us[_P_MAX];
        List pipe[_P_MAX][_P_MAX];
        uint64_t next_stimulus_us;
        unsigned stimuli;
        bool hostile_gate;   /* this seed's gate allows everything and lies */
        bool odd;            /* votes on what is no question any more, verdicts told again much later */
        MsgBuilder told;     /* an old verdict of a hostile gate */
        bool hostile_immune; /* writes what is not its own */
        bool wild;           /* Guardian's own records come again, as if it broke the protocol */
        bool storms;         /* units come and go by hundreds while the ledger is away */
        bool storm_due;
        unsigned policy; /* of the next gate: the shipped one, or one that wants two votes */
        Mode mode_floor; /* --mode */
        struct WildRecord {
                uint8_t id[16], digest[32];
                uint64_t ref, sent_us;
                bool intent; /* its intent was sent */
        } sent[8];
        unsigned n_sent;
        bool in_wild, follow;
        uint64_t asked_index;   /* of a hostile gate's last question */
        ActionRequest invented; /* what it made up */
        MsgBuilder again[2];    /* APPROVAL_ANSWERED and DECIDE as they were sent, and to which gate */
        unsigned again_gate[2];
        /* a ledger that comes back older than it was */
        VDisk snap;
        bool has_snap, rolled, rolled_judged, rolled_seen;
        uint64_t snap_size;
        /* Guardian */
        Enforce *e;
        SimUnit units[SIM_UNITS];
        uint64_t pids;
        bool paused, lockdown;
        char marker[513];
        bool here[_P_MAX]; /* Guardian knows a validated one */
        uint64_t up_us[_P_MAX], spool_full_until_us;
        uint64_t lockdown_epoch;
        struct SpoolLine {
                uint8_t id[16];
                char body[1024];
        } spool[64];
        unsigned n_spool;
        /* ledger */
        VDisk disk;
        LedgerStorage storage;
        LogSource source;
        LedgerService *service;
        LedgerCore *core;
        LedgerJob *job;
        uint64_t job_us;
        bool disk_bad;
        /* gate */
        Gate *gate;
        SimWriter gate_writer;
        unsigned listed_approved, judged; /* by a gate that starts */
        bool flaps, wrote; /* this seed's gate dies right behind a decision, and is back at once */
        bool gate_started, gate_querying, gate_end;
        uint64_t gate_query, hostile_next;
        List gate_waiting; /* Frame: DECIDE and APPROVAL_ANSWERED until the records are caught up with */
        /* immune */
        ImmuneCore *immune;
        SimWriter immune_writer;
        bool immune_folding;
        uint64_t immune_query, immune_timer_us, immune_sample_us;
        /* check */
        Mirror *log;
        uint64_t n_log;
        Request requests[SIM_REQUESTS];
        unsigned n_requests;
        Waiter waiters[SIM_WAITERS];
        uint64_t n_waiters;
        Asking asking;
        bool silent;       /* the gate has owed an answer for 3 s and said nothing since */
        bool mode_touched; /* somebody was allowed to change the mode */
        bool has_acked;
        uint64_t acked;                            /* the highest index that this Guardian was told */
        uint64_t life_made;                        /* lifecycle records of this Guardian */
        uint64_t life_next, life_lost, life_epoch; /* as they are on record */
        uint64_t storm_from, storm_to, storm_recorded, storm_guardian;
        unsigned pause_said, pause_seen, pause_guardian; /* 1: on, 2: off; the last on record */
        uint64_t forged_index; /* verdicts with a wrong decision index that were let out: each may cost one
                                  refused intent */
        uint64_t counts[16];
} Sim;

/* ---- sim.c */
uint64_t rnd(Sim *s, uint64_t below);
bool chance(Sim *s, unsigned percent);
void trace(Sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void violate(Sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *proc_name(Proc p);
EnforceNow now_of(const Sim *s);
void put_msg(Sim *s, Proc from, Proc to, const MsgBuilder *b, Str payload);
void put_sign(Sim *s, Proc from, Proc to, FrameKind kind, Proc about, unsigned instance);
void proc_kill(Sim *s, Proc p, uint64_t restart_in_us);
void power_cut(Sim *s);
void sim_run(Sim *s);
Msg frame_msg(const Frame *f);

/* ---- one file each */
void guardian_start(Sim *s);
void guardian_stop(Sim *s);
void guardian_frame(Sim *s, Proc from, const Frame *f);
void guardian_timers(Sim *s);
uint64_t guardian_deadline(const Sim *s);
void guardian_units_boot(Sim *s);
void guardian_ask(Sim *s, const EnforceProposal *p);
void guardian_wild(Sim *s);
void guardian_storm(Sim *s);
void unit_new(Sim *s, SimUnit *u);
SimUnit *sim_unit(Sim *s, const char *name);
void world_stimulus(Sim *s);

void ledger_start(Sim *s);
void ledger_stop(Sim *s, bool power);
void ledger_frame(Sim *s, Proc from, const Frame *f);
bool ledger_work(Sim *s, bool only_look);
uint64_t ledger_deadline(const Sim *s);

void gate_start(Sim *s);
void gate_stop(Sim *s);
void gate_frame(Sim *s, Proc from, const Frame *f);

void immune_start(Sim *s);
void immune_stop(Sim *s);
void immune_frame(Sim *s, Proc from, const Frame *f);
void immune_timers(Sim *s);
uint64_t immune_deadline(const Sim *s);
void immune_propose(Sim *s, const char *target);
void immune_forge(Sim *s);

void writer_reset(SimWriter *w);
void writer_attach(Sim *s, Proc p, SimWriter *w);
void writer_lost(SimWriter *w);
int writer_put(Sim *s, Proc p, SimWriter *w, const MsgBuilder *b, Str body, uint64_t token);
/* An answer of the ledger: true when it was one; code "ok" or the refusal, token of the record, 0 for none.
 */
bool writer_msg(
        Sim *s, Proc p, SimWriter *w, const Msg *m, const char **code, uint64_t *token, uint64_t *index);

/* ---- check.c */
void check_reset(Sim *s);
void check_decide(Sim *s, const Msg *m);
void check_verdict(Sim *s, const Msg *m);
void check_act(Sim *s, const ActionRequest *r, bool ungated);
void check_durable(Sim *s, Str group);
void check_reopened(Sim *s); /* the ledger came up: what was durable must still be there */
uint64_t check_ask(Sim *s, ActorKind kind, Role role, bool vote);
void check_reply(Sim *s, const EnforceReply *r);
void check_vote_reply(Sim *s, const EnforceVoteReply *r);
void check_state(Sim *s); /* after every step */
void check_end(Sim *s);   /* all is quiet */
void check_guardian_gone(Sim *s);
Request *check_find(Sim *s, const uint8_t id[16]);
Request *check_need(Sim *s, const uint8_t id[16]);

/* ---- check-rules.c: the rules of rules.txt that are no invariant of their own */
void check_asking(Sim *s, const EnforceProposal *p);
void check_asked(Sim *s);
void check_switched(Sim *s, ActorKind kind, Role role, bool admin, Code code);
void check_glass(Sim *s, Str reason, uint64_t ttl_us, Code code);
void check_asked_gate(Sim *s, const Msg *m, Request *r); /* the first DECIDE of it */
void check_ungated(Sim *s, const ActionRequest *a);
void check_spooled(Sim *s, const uint8_t id[16], bool full);
void check_reask_begin(Sim *s);
void check_reask_end(Sim *s);
void check_rules_end(Sim *s);

/* ---- check-record.c: what stands in the record */
void check_record(Sim *s, const Record *rec);
void check_record_decision(Sim *s, const Record *rec, Request *r);
void check_record_approval(Sim *s, const Record *rec, Request *r);
uint64_t check_hash(Str text);
