/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which (state, event) pairs of each table the simulator has seen, and what came next. The cores know nothing
 * of it: their state is looked at before and after each call.
 */
#include "common/msg.h"
#include <stdint.h>

#define COVER_TABLES(X)                                                                                      \
        X(UNIT, "unit")         /* guardian/unit-state-table.c */                                            \
        X(BOOT, "boot")         /* guardian/boot.c */                                                        \
        X(STAGE, "enforcement") /* a governed action, guardian/enforce */                                    \
        X(APPROVAL, "approval") /* a question to people, guardian/enforce */                                 \
        X(GATE, "gate")         /* a request in chunks/governance */                                         \
        X(WRITER, "writer")     /* a writer in chunks/ledger */                                              \
        X(RECORD, "record")     /* a request's decision, intent and action in chunks/ledger */               \
        X(INCIDENT, "incident") /* immune */
#define COVER_BOOT_EVENTS(X)                                                                                 \
        X(BEGIN) X(SPAWNED) X(READY) X(PASSED) X(DEGRADED) X(FAILED) X(DOWN) X(UP) X(STOP)
#define COVER_ENFORCE_EVENTS(X)                                                                              \
        X(PROPOSE)                                                                                           \
        X(ALLOW)                                                                                             \
        X(ASK)                                                                                               \
        X(DENY)                                                                                              \
        X(LISTED)                                                                                            \
        X(GATE_ATTACHED)                                                                                     \
        X(GATE_LOST)                                                                                         \
        X(LEDGER_ATTACHED)                                                                                   \
        X(LEDGER_LOST) X(LEDGER_READ) X(OPEN_INTENT) X(ACK) X(REFUSED) X(VOTE_YES) X(VOTE_NO) X(PAUSE)       \
                X(RESUME) X(BREAK_GLASS) X(ACT_DONE) X(ACT_FAILED) X(TARGET_ENDED) X(TICK)
#define COVER_GATE_EVENTS(X)                                                                                 \
        X(DECIDE)                                                                                            \
        X(YES) X(NO) X(VOID) X(EXPIRED) X(ACK) X(REFUSED) X(READ_DECISION) X(READ_APPROVAL) X(STARTED)
#define COVER_WRITER_EVENTS(X) X(ATTACH) X(NEXT) X(REPEAT) X(GAP) X(JOB_DONE) X(JOB_FAILED)
#define COVER_RECORD_EVENTS(X) X(DECISION) X(INTENT) X(ACTION) X(JOB_DONE) X(JOB_FAILED)
#define COVER_INCIDENT_EVENTS(X)                                                                             \
        X(UNIT) X(SAMPLE) X(TIMER) X(ACK) X(REFUSED) X(ASKED) X(DONE) X(DENIED) X(FAILED) X(EVIDENCE) X(READ)
enum {
#define X(N) COVER_BOOT_##N,
        COVER_BOOT_EVENTS(X) _COVER_BOOT_MAX,
#undef X
#define X(N) COVER_##N,
        COVER_ENFORCE_EVENTS(X) _COVER_ENFORCE_MAX,
#undef X
        COVER_NO_EVENT = 99
};
typedef enum CoverTable {
#define X(N, s) COVER_TABLE_##N,
        COVER_TABLES(X) _COVER_TABLE_MAX
#undef X
} CoverTable;
enum {
#define X(N) COVER_GATE_##N,
        COVER_GATE_EVENTS(X) _COVER_GATE_MAX
#undef X
};
enum {
#define X(N) COVER_WRITER_##N,
        COVER_WRITER_EVENTS(X) _COVER_WRITER_MAX
#undef X
};
enum {
#define X(N) COVER_RECORD_##N,
        COVER_RECORD_EVENTS(X) _COVER_RECORD_MAX
#undef X
};
enum {
#define X(N) COVER_INCIDENT_##N,
        COVER_INCIDENT_EVENTS(X) _COVER_INCIDENT_MAX
#undef X
};

/* Off until a file is asked for. */
extern bool covering;
extern uint64_t cover_seed; /* the one under way */
void cover(CoverTable t, unsigned state, unsigned event, unsigned next);
/* Every pair of every table, "table state event ? SEED" (the first that saw it, 0: none), and every step
 * seen, "table state event next". 0, -1. */
int cover_write(const char *path);

/* The things of one table that an event may concern, as they were before it. */
enum { COVER_ITEMS_MAX = 1024 };
typedef struct CoverScope {
        unsigned event, n;
        bool only_changed;
        const uint8_t *id;  /* the one concerned, NULL: all */
        const char *target; /* or all on this unit */
        struct {
                CoverTable table;
                uint8_t id[24];
                unsigned state;
        } items[COVER_ITEMS_MAX];
} CoverScope;
void cover_item(CoverScope *c, CoverTable t, const void *id, size_t n, unsigned state);

struct UnitMachine;
struct UnitEvent;
void cover_unit(const struct UnitMachine *before, const struct UnitEvent *ev, uint64_t now_us,
        const struct UnitMachine *after);
/* Whether the table of units has a row for it. */
bool cover_unit_has(unsigned phase, unsigned event);

struct Enforce;
void cover_enforce_begin(
        struct Enforce *e, CoverScope *c, unsigned event, const uint8_t *id, const char *target);
void cover_enforce_end(struct Enforce *e, CoverScope *c);
/* The event that a message of the gate or the ledger is; COVER_NO_EVENT: none of the table. */
unsigned cover_enforce_event(const Msg *m);

struct Gate;
void cover_gate_begin(struct Gate *g, CoverScope *c, unsigned event, const uint8_t *id);
void cover_gate_end(struct Gate *g, CoverScope *c);

struct LedgerCore;
void cover_ledger_begin(struct LedgerCore *core, CoverScope *c, const char *writer, const Msg *m);
void cover_ledger_job(struct LedgerCore *core, CoverScope *c, bool failed);
void cover_ledger_end(struct LedgerCore *core, CoverScope *c);

struct ImmuneCore;
/* token: of the answer, 0: none. target NULL: all. */
void cover_immune_begin(
        struct ImmuneCore *c, CoverScope *scope, unsigned event, uint64_t token, const char *target);
void cover_immune_end(struct ImmuneCore *c, CoverScope *scope);
