/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/governance/gate-internal.h"
#include "chunks/ledger/ledger-core-private.h"
#include "coverage.h"
#include "immune/core-internal.h"

/* ---- the gate */
enum { G_NONE, G_JUDGING, G_ASKED, G_ANSWERED, G_LAPSED, G_REJUDGING, G_FINAL };

static unsigned gate_state(const Request *r) {
        if (!r)
                return G_NONE;
        if (r->inflight)
                return r->asked ? G_REJUDGING : G_JUDGING;
        if (r->final)
                return G_FINAL;
        return r->state == APPROVAL_PENDING ? G_ASKED : r->state == APPROVAL_APPROVED ? G_ANSWERED : G_LAPSED;
}

void cover_gate_begin(Gate *g, CoverScope *c, unsigned event, const uint8_t *id) {
        c->n = 0;
        c->event = event;
        c->only_changed = event == COVER_GATE_ACK;
        if (!covering)
                return;
        if (id) {
                cover_item(c, COVER_TABLE_GATE, id, 16, gate_state(gate_find(g, id)));
                return;
        }
        for (unsigned i = 0; i < g->n_requests; i++)
                if (event != COVER_GATE_REFUSED || g->requests[i]->inflight)
                        cover_item(c, COVER_TABLE_GATE, g->requests[i]->id, 16, gate_state(g->requests[i]));
}

void cover_gate_end(Gate *g, CoverScope *c) {
        for (unsigned i = 0; covering && i < c->n; i++) {
                unsigned now = gate_state(gate_find(g, c->items[i].id));
                if (!c->only_changed || now != c->items[i].state)
                        cover(COVER_TABLE_GATE, c->items[i].state, c->event, now);
        }
}

/* ---- the ledger */
enum { W_DETACHED, W_FRESH, W_ATTACHED, W_CORE_FAILED };
enum { R_NONE, R_LICENSED, R_INTENT_WAITING, R_OPEN, R_ACTION_WAITING, R_CLOSED };

static unsigned writer_state(const LedgerCore *core, unsigned id) {
        const Writer *w = &core->writers[id];
        if (core->state == LEDGER_FAILED)
                return W_CORE_FAILED;
        return !w->attached ? W_DETACHED : w->fresh ? W_FRESH : W_ATTACHED;
}

static bool waits(const List *l, RecordKind kind, const uint8_t *id) {
        LIST_FOREACH (it, l) {
                const Entry *e = container_of(it, Entry, node);
                if (e->r.kind == kind && e->r.has_request_id && memcmp(e->r.request_id, id, 16) == 0)
                        return true;
        }
        return false;
}

static unsigned record_state(LedgerCore *core, const uint8_t *id) {
        for (size_t i = 0; i < core->n_intents; i++)
                if (memcmp(core->intents[i].i.request_id, id, 16) == 0)
                        return core->intents[i].closing ? R_ACTION_WAITING : R_OPEN;
        if (waits(&core->queue, RECORD_INTENT, id) || waits(&core->flight, RECORD_INTENT, id))
                return R_INTENT_WAITING;
        for (size_t i = 0; i < core->decisions_n; i++)
                if (memcmp(core->decisions[i].request_id, id, 16) == 0)
                        return core->decisions[i].used ? R_CLOSED : R_LICENSED;
        return R_NONE;
}

static void writer_item(LedgerCore *core, CoverScope *c, unsigned id) {
        uint8_t key = (uint8_t)id;
        cover_item(c, COVER_TABLE_WRITER, &key, 1, writer_state(core, id));
}

void cover_ledger_begin(LedgerCore *core, CoverScope *c, const char *writer, const Msg *m) {
        c->n = 0;
        c->only_changed = false;
        int id = writer_id(str_of(writer));
        if (!covering || id < 0 || (m->type != MSG_APPEND && m->type != MSG_ATTACH))
                return;
        const Writer *w = &core->writers[id];
        writer_item(core, c, (unsigned)id);
        if (m->type == MSG_ATTACH) {
                c->event = COVER_WRITER_ATTACH;
                return;
        }
        uint64_t seq = msg_u64(m, TAG_SEQ, 0);
        c->event = seq <= w->last_seq                    ? COVER_WRITER_REPEAT
                   : !w->fresh && seq != w->last_seq + 1 ? COVER_WRITER_GAP
                                                         : COVER_WRITER_NEXT;
        RecordKind kind = (RecordKind)msg_u64(m, TAG_KIND, 0);
        const uint8_t *request = msg_bytes(m, TAG_REQUEST_ID);
        if (c->event == COVER_WRITER_NEXT && request &&
                (kind == RECORD_DECISION || kind == RECORD_INTENT || kind == RECORD_ACTION))
                cover_item(c, COVER_TABLE_RECORD, request, 16, record_state(core, request));
        c->event |= (kind == RECORD_DECISION        ? COVER_RECORD_DECISION
                            : kind == RECORD_INTENT ? COVER_RECORD_INTENT
                                                    : COVER_RECORD_ACTION)
                    << 8;
}

void cover_ledger_job(LedgerCore *core, CoverScope *c, bool failed) {
        c->n = 0;
        c->only_changed = false;
        c->event = (failed ? COVER_WRITER_JOB_FAILED : COVER_WRITER_JOB_DONE) |
                   (failed ? COVER_RECORD_JOB_FAILED : COVER_RECORD_JOB_DONE) << 8;
        if (!covering)
                return;
        for (unsigned i = 0; i < _WRITER_MAX; i++)
                if (i != W_LEDGER)
                        writer_item(core, c, i);
        LIST_FOREACH (it, &core->flight) {
                const Entry *e = container_of(it, Entry, node);
                if (e->r.has_request_id && e->writer != W_LEDGER &&
                        (e->r.kind == RECORD_DECISION || e->r.kind == RECORD_INTENT ||
                                e->r.kind == RECORD_ACTION))
                        cover_item(c, COVER_TABLE_RECORD, e->r.request_id, 16,
                                record_state(core, e->r.request_id));
        }
}

void cover_ledger_end(LedgerCore *core, CoverScope *c) {
        for (unsigned i = 0; covering && i < c->n; i++) {
                bool writer = c->items[i].table == COVER_TABLE_WRITER;
                unsigned now =
                        writer ? writer_state(core, c->items[i].id[0]) : record_state(core, c->items[i].id);
                cover(c->items[i].table, c->items[i].state, writer ? c->event & 0xff : c->event >> 8, now);
        }
}

/* ---- the immune kernel */
enum { I_NONE, I_CLOSED = WAIT_SIGNAL + 1 };

static unsigned incident_state(const Incident *i) {
        return i->state == INCIDENT_CLOSED ? I_CLOSED : (unsigned)i->wait;
}

void cover_immune_begin(ImmuneCore *core, CoverScope *c, unsigned event, uint64_t token, const char *target) {
        c->n = 0;
        c->event = event;
        c->only_changed = false;
        c->target = target;
        if (!covering || !core)
                return;
        LIST_INCIDENTS(i, core)
        if ((!target || strcmp(i->target, target) == 0) && (!token || i->token == token))
                cover_item(c, COVER_TABLE_INCIDENT, i->id, sizeof(i->id), incident_state(i));
}

void cover_immune_end(ImmuneCore *core, CoverScope *c) {
        if (!covering || !core)
                return;
        LIST_INCIDENTS(i, core) {
                unsigned was = I_NONE;
                bool asked = false;
                for (unsigned k = 0; k < c->n; k++)
                        if (memcmp(c->items[k].id, i->id, sizeof(i->id)) == 0) {
                                was = c->items[k].state;
                                asked = true;
                        }
                bool made = (c->event == COVER_INCIDENT_UNIT || c->event == COVER_INCIDENT_SAMPLE ||
                                    c->event == COVER_INCIDENT_READ) &&
                            (!c->target || strcmp(i->target, c->target) == 0);
                if (asked || made)
                        cover(COVER_TABLE_INCIDENT, was, c->event, incident_state(i));
        }
}
