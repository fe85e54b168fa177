/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage.h"
#include "common/cleanup.h"
#include "guardian/boot.h"
#include "guardian/unit-state.h"
#include <stdio.h>
#include <string.h>

enum { STATES_MAX = 32, EVENTS_MAX = 32 };
#define S(N)    #N,
#define P(N, s) #N,
static const char *const unit_states[] = {UNIT_PHASES(P)};
static const char *const unit_events[] = {UNIT_EVENTS(S)};
static const char *const boot_states[] = {BOOT_STATES(P)};
static const char *const boot_events[] = {COVER_BOOT_EVENTS(S)};
static const char *const stage_states[] = {
        "NONE", "DECIDE", "ASKED", "REDECIDE", "INTENT", "ACT", "RECORD", "UNGATED"};
static const char *const enforce_events[] = {COVER_ENFORCE_EVENTS(S)};
static const char *const approval_states[] = {"NONE", APPROVAL_STATES(P)};
static const char *const gate_states[] = {
        "NONE", "JUDGING", "ASKED", "ANSWERED", "LAPSED", "REJUDGING", "FINAL"};
static const char *const gate_events[] = {COVER_GATE_EVENTS(S)};
static const char *const writer_states[] = {"DETACHED", "FRESH", "ATTACHED", "FAILED"};
static const char *const writer_events[] = {COVER_WRITER_EVENTS(S)};
static const char *const record_states[] = {
        "NONE", "LICENSED", "INTENT_WAITING", "OPEN", "ACTION_WAITING", "CLOSED"};
static const char *const record_events[] = {COVER_RECORD_EVENTS(S)};
static const char *const incident_states[] = {"NONE", "ANOMALY", "OPENED", "OBSERVE", "EVIDENCE", "HELD",
        "ANSWER", "VERIFY", "STABLE", "SIGNAL", "CLOSED"};
static const char *const incident_events[] = {COVER_INCIDENT_EVENTS(S)};
#undef S
#undef P

#define T(table, s, e)                                                                                       \
        { table, s, e, ELEMENTSOF(s), ELEMENTSOF(e) }
static const struct {
        const char *name;
        const char *const *states, *const *events;
        unsigned n_states, n_events;
} tables[] = {T("unit", unit_states, unit_events), T("boot", boot_states, boot_events),
        T("enforcement", stage_states, enforce_events), T("approval", approval_states, enforce_events),
        T("gate", gate_states, gate_events), T("writer", writer_states, writer_events),
        T("record", record_states, record_events), T("incident", incident_states, incident_events)};
_Static_assert(ELEMENTSOF(tables) == _COVER_TABLE_MAX, "one each");

bool covering;
uint64_t cover_seed;
static uint32_t seen[_COVER_TABLE_MAX][STATES_MAX][EVENTS_MAX]; /* bits: next states */
static uint64_t first[_COVER_TABLE_MAX][STATES_MAX][EVENTS_MAX];

void cover(CoverTable t, unsigned state, unsigned event, unsigned next) {
        if (!covering || state >= STATES_MAX || event >= EVENTS_MAX || next >= STATES_MAX)
                return;
        if (seen[t][state][event] == 0)
                first[t][state][event] = cover_seed;
        seen[t][state][event] |= UINT32_C(1) << next;
}

/* What is no pair of a table: the event makes the thing, or is about one that there is. */
static bool possible(CoverTable t, unsigned state, unsigned event) {
        bool none = state == 0;
        /* SETTLE is passed within one step; an event from outside can't meet it */
        if (t == COVER_TABLE_UNIT)
                return cover_unit_has(state, event) && (state != PHASE_SETTLE || event == EV_SETTLED);
        if (t == COVER_TABLE_BOOT)
                return event != COVER_BOOT_BEGIN || state == BOOT_BOOTING;
        if (t == COVER_TABLE_STAGE || t == COVER_TABLE_APPROVAL) {
                unsigned base = _COVER_BOOT_MAX + 1, ev = base + event;
                if (ev == COVER_PROPOSE)
                        return none && t == COVER_TABLE_STAGE;
                if (none && ev == COVER_GATE_ATTACHED)
                        return t == COVER_TABLE_STAGE;
                bool named = ev == COVER_ALLOW || ev == COVER_ASK || ev == COVER_DENY || ev == COVER_LISTED ||
                             ((ev == COVER_OPEN_INTENT || ev == COVER_ACT_DONE || ev == COVER_ACT_FAILED ||
                                      ev == COVER_VOTE_YES || ev == COVER_VOTE_NO) &&
                                     t == COVER_TABLE_STAGE);
                return named || !none;
        }
        if (t == COVER_TABLE_GATE)
                return !none || (event != COVER_GATE_ACK && event != COVER_GATE_REFUSED &&
                                        event != COVER_GATE_STARTED);
        if (t == COVER_TABLE_INCIDENT)
                return !none || event == COVER_INCIDENT_UNIT || event == COVER_INCIDENT_SAMPLE ||
                       event == COVER_INCIDENT_READ;
        return true;
}

int cover_write(const char *path) {
        auto_fclose FILE *f = fopen(path, "we");
        for (unsigned t = 0; f && t < _COVER_TABLE_MAX; t++)
                for (unsigned s = 0; s < tables[t].n_states; s++)
                        for (unsigned e = 0; e < tables[t].n_events; e++) {
                                if (possible((CoverTable)t, s, e))
                                        fprintf(f, "%s %s %s ? %llu\n", tables[t].name, tables[t].states[s],
                                                tables[t].events[e], (unsigned long long)first[t][s][e]);
                                for (unsigned n = 0; n < tables[t].n_states; n++)
                                        if (seen[t][s][e] >> n & 1)
                                                fprintf(f, "%s %s %s %s\n", tables[t].name,
                                                        tables[t].states[s], tables[t].events[e],
                                                        tables[t].states[n]);
                        }
        if (!f || fflush(f) != 0) {
                perror(path);
                return -1;
        }
        return 0;
}

void cover_item(CoverScope *c, CoverTable t, const void *id, size_t n, unsigned state) {
        if (c->n == COVER_ITEMS_MAX)
                return;
        c->items[c->n].table = t;
        c->items[c->n].state = state;
        memset(c->items[c->n].id, 0, sizeof(c->items[0].id));
        memcpy(c->items[c->n++].id, id, n < sizeof(c->items[0].id) ? n : sizeof(c->items[0].id));
}
