/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage.h"
#include "guardian/enforce/enforce-private.h"
#include "guardian/unit-state-table.h"

/* ---- units */
static const Row *row_of(const UnitMachine *m, const UnitEvent *ev, uint64_t now) {
        UnitMachine copy = *m;
        UnitCommands none = {.n = 0};
        Step s = {.m = &copy, .ev = ev, .now = now, .out = &none};
        for (size_t i = 0; i < unit_rows_n; i++) {
                const Row *r = &unit_rows[i];
                if (r->event == ev->type && (r->from >> m->phase & 1) && (!r->guard || r->guard(&s)))
                        return r;
        }
        return NULL;
}

bool cover_unit_has(unsigned phase, unsigned event) {
        for (size_t i = 0; i < unit_rows_n; i++)
                if (unit_rows[i].event == event && (unit_rows[i].from >> phase & 1))
                        return true;
        return false;
}

/* The step itself from the state before it; the phases that it passed through from the state behind it. */
void cover_unit(const UnitMachine *before, const UnitEvent *ev, uint64_t now, const UnitMachine *after) {
        static const UnitEvent settled = {.type = EV_SETTLED};
        UnitMachine m = *after;
        if (!covering)
                return;
        const Row *r = row_of(before, ev, now);
        bool timer = (ev->type == EV_TIMEOUT || ev->type == EV_WATCHDOG) && !ev->force;
        uint64_t at = before->deadline[ev->type == EV_TIMEOUT ? TIMER_PHASE : TIMER_WATCHDOG];
        if (timer && (at == 0 || now < at)) {
                cover(COVER_TABLE_UNIT, before->phase, ev->type, before->phase);
                return;
        }
        if (!r)
                return;
        m.phase = r->to == PHASE_SAME ? before->phase : r->to;
        cover(COVER_TABLE_UNIT, before->phase, ev->type, m.phase);
        for (unsigned i = 0; i < _PHASE_MAX && r->to != PHASE_SAME; i++) {
                UnitPhase from = m.phase;
                if (from == after->phase && from != PHASE_HOLD)
                        return;
                r = row_of(&m, &settled, now);
                if (!r)
                        return;
                m.phase = r->to == PHASE_SAME ? from : r->to;
                cover(COVER_TABLE_UNIT, from, EV_SETTLED, m.phase);
        }
}

/* ---- the governed action */
enum { BASE = _COVER_BOOT_MAX + 1, UNGATED_STATE = STAGE_RECORD + 2 };

static unsigned stage_of(const Proposal *p) {
        return !p ? 0 : p->ungated ? UNGATED_STATE : (unsigned)p->stage + 1;
}

void cover_enforce_begin(Enforce *e, CoverScope *c, unsigned event, const uint8_t *id, const char *target) {
        c->n = 0;
        c->event = event - BASE;
        c->id = id;
        c->only_changed = event == COVER_ACK || event == COVER_REFUSED;
        if (!covering || !e || event == COVER_NO_EVENT)
                return;
        if (id) {
                const Approval *a = approvals_find_request(&e->approvals, id);
                cover_item(c, COVER_TABLE_STAGE, id, 16, stage_of(proposal_find(e, id)));
                if (a || event == COVER_ALLOW || event == COVER_ASK || event == COVER_DENY ||
                        event == COVER_LISTED)
                        cover_item(c, COVER_TABLE_APPROVAL, id, 16, a ? (unsigned)a->state + 1 : 0);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(e->open); i++)
                if (e->open[i] && (!target || strcmp(e->open[i]->r.target, target) == 0))
                        cover_item(c, COVER_TABLE_STAGE, e->open[i]->r.request_id, 16, stage_of(e->open[i]));
        for (unsigned i = 0; i < e->approvals.n; i++)
                if (!target || strcmp(e->approvals.items[i]->target, target) == 0)
                        cover_item(c, COVER_TABLE_APPROVAL, e->approvals.items[i]->request_id, 16,
                                (unsigned)e->approvals.items[i]->state + 1);
}

void cover_enforce_end(Enforce *e, CoverScope *c) {
        if (!covering || !e || c->event == (unsigned)COVER_NO_EVENT - BASE)
                return;
        for (unsigned i = 0; i < c->n; i++) {
                const uint8_t *id = c->items[i].id;
                const Approval *a = approvals_find_request(&e->approvals, id);
                unsigned now = c->items[i].table == COVER_TABLE_STAGE ? stage_of(proposal_find(e, id))
                               : a                                    ? (unsigned)a->state + 1
                                                                      : 0;
                bool other = c->event == COVER_PROPOSE - BASE; /* it concerns the one it makes */
                if (!other && (!c->only_changed || now != c->items[i].state))
                        cover(c->items[i].table, c->items[i].state, c->event, now);
        }
        /* What the gate said before it was validated is taken up when it is. */
        if (c->event != COVER_PROPOSE - BASE && c->event != COVER_GATE_ATTACHED - BASE)
                return;
        bool made = false;
        for (size_t k = 0; k < ELEMENTSOF(e->open); k++) {
                bool old = !e->open[k];
                for (unsigned i = 0; i < c->n && !old; i++)
                        old = c->items[i].table == COVER_TABLE_STAGE &&
                              memcmp(c->items[i].id, e->open[k]->r.request_id, 16) == 0;
                made = made || !old;
                if (!old)
                        cover(COVER_TABLE_STAGE, 0, c->event, stage_of(e->open[k]));
        }
        if (!made && c->event == COVER_PROPOSE - BASE)
                cover(COVER_TABLE_STAGE, 0, c->event, 0);
}

unsigned cover_enforce_event(const Msg *m) {
        switch ((int)m->type) {
        case MSG_VERDICT:
                switch ((int)msg_u64(m, TAG_VERDICT, VERDICT_NONE)) {
                case VERDICT_ALLOW:
                        return COVER_ALLOW;
                case VERDICT_REQUIRE_APPROVAL:
                        return COVER_ASK;
                default:
                        return COVER_DENY;
                }
        case MSG_APPROVAL_PENDING:
                return COVER_LISTED;
        case MSG_ATTACHED:
                return COVER_LEDGER_ATTACHED;
        case MSG_OPEN_INTENT:
                return COVER_OPEN_INTENT;
        case MSG_APPEND_ACK:
                return COVER_ACK;
        case MSG_APPEND_REFUSED:
                return COVER_REFUSED;
        case MSG_RECORD:
        case MSG_RESULT:
                return COVER_LEDGER_READ;
        default:
                return COVER_NO_EVENT;
        }
}
