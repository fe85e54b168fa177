/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"
#include <stdio.h>

/* The invariants P1 to P12 of HACKING.md, as far as this part of the house can break them. What is durable is
 * read from what the ledger really wrote, never from what anybody believes. */
Request *check_find(Sim *s, const uint8_t id[16]) {
        for (unsigned i = s->n_requests; i-- > 0;)
                if (memcmp(s->requests[i].id, id, 16) == 0)
                        return &s->requests[i];
        return NULL;
}

Request *check_need(Sim *s, const uint8_t id[16]) {
        Request *r = check_find(s, id);
        if (r)
                return r;
        if (s->n_requests == SIM_REQUESTS) {
                violate(s, "the simulator ran out of requests");
                return &s->requests[0];
        }
        r = &s->requests[s->n_requests++];
        *r = (Request){.asked_us = UINT64_MAX,
                .verdict_us = UINT64_MAX,
                .allow_us = UINT64_MAX,
                .acted_us = UINT64_MAX,
                .sent_us = UINT64_MAX,
                .approved_us = UINT64_MAX,
                .outcome = _OUTCOME_MAX};
        memcpy(r->id, id, 16);
        return r;
}

static void first_decide(Sim *s, const Msg *m, Request *r) {
        const EnforceVerb *v = enforce_verb(msg_str(m, TAG_ACTION));
        ActionRequest q;
        r->asked_us = s->boot_us;
        r->guardian = s->instance[P_GUARDIAN];
        memcpy(r->digest, msg_bytes(m, TAG_DIGEST), 32);
        r->healing = v && v->healing;
        r->mode_verb = str_eq(msg_str(m, TAG_ACTION), "mode");
        r->inside = r->mode_verb || str_eq(msg_str(m, TAG_ACTION), "lockdown");
        r->person = str_eq(msg_str(m, TAG_ACTOR_KIND), "person");
        r->critical = strcmp(str_copy(r->target, sizeof(r->target), msg_str(m, TAG_TARGET)), "leaky") == 0;
        r->claimed = msg_has(m, TAG_CLAIM);
        str_copy(r->actor, sizeof(r->actor), msg_str(m, TAG_ACTOR));
        if (request_from_msg(&q, m) == 0)
                r->inc = q.incarnation;
}

/* What holds now, said with the question and again with the answer of people. */
static void context(Sim *s, const Msg *m, Request *r) {
        r->mode = (Mode)mode_from_string(msg_str(m, TAG_MODE));
        r->lockdown = msg_bool(m, TAG_LOCKDOWN, false);
        r->break_glass = msg_bool(m, TAG_BREAK_GLASS, false);
        r->decide_epoch = s->lockdown_epoch;
}

void check_decide(Sim *s, const Msg *m) {
        Request *r = check_need(s, msg_bytes(m, TAG_REQUEST_ID));
        if (m->type == MSG_DECIDE) {
                bool first = r->asked_us == UINT64_MAX;
                if (first)
                        first_decide(s, m, r);
                else if (memcmp(r->digest, msg_bytes(m, TAG_DIGEST), 32) != 0)
                        violate(s, "P1 one request id with two digests");
                context(s, m, r);
                if (str_eq(msg_str(m, TAG_ROLE), "observer"))
                        violate(s, "P11 an observer's request reached the gate");
                if (first)
                        check_asked_gate(s, m, r);
                r->decides++;
                r->sent_us = s->boot_us;
        } else if (str_eq(msg_str(m, TAG_STATE), "approved")) {
                context(s, m, r);
        }
}

/* Whatever the gate says: a verdict, or an open question that it lists. */
void check_verdict(Sim *s, const Msg *m) {
        const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID);
        Request *r = id ? check_find(s, id) : NULL;
        Verdict v = (Verdict)msg_u64(m, TAG_VERDICT, VERDICT_NONE);
        s->silent = false;
        if (!r)
                return;
        uint64_t revision = check_hash(msg_str(m, TAG_POLICY_REVISION));
        r->sent_us = UINT64_MAX;
        r->heard = true;
        if (m->type == MSG_APPROVAL_PENDING || v == VERDICT_REQUIRE_APPROVAL)
                r->asked_revision = revision;
        if (m->type == MSG_VERDICT && v == VERDICT_ALLOW) {
                r->allow_fits |= revision == r->asked_revision;
                if (r->verdict_us == UINT64_MAX ||
                        s->hostile_gate) /* it says so while people are asked, too */
                        r->verdict_us = s->boot_us;
        }
}

/* ---- P1 P3 P4 P7 P9 P11: the act itself */
static void check_ceilings(Sim *s, const Request *now) {
        unsigned same = 0, all = 0;
        for (unsigned i = 0; i < s->n_requests; i++) {
                const Request *r = &s->requests[i];
                if (!r->healing || r->acted == 0 || s->boot_us - r->acted_us > 590 * SIM_S)
                        continue;
                all++;
                same += strcmp(r->target, now->target) == 0;
        }
        if (same > ENFORCE_CEILING_TARGET || all > ENFORCE_CEILING_ALL)
                violate(s, "P9 %u healing acts on %s and %u in all within ten minutes", same, now->target,
                        all);
}

static void check_target_now(Sim *s, const ActionRequest *a) {
        for (unsigned i = 0; i < SIM_UNITS; i++) {
                const SimUnit *u = &s->units[i];
                if (strcmp(u->name, a->target) != 0)
                        continue;
                if (!incarnation_eq(&u->inc, &a->incarnation))
                        violate(s, "P3 an act on another incarnation of %s", u->name);
                if (u->acting && !u->acting_ungated)
                        violate(s, "P12 two acts on %s at a time", u->name);
        }
}

static void check_healing(Sim *s, const ActionRequest *a, const Request *r) {
        const SimUnit *u = sim_unit(s, a->target);
        if (!u || !u->heal || strcmp(a->action, "restart_service") != 0)
                violate(s, "R5 %s of %s, which does not list it", a->action, a->target);
        check_ceilings(s, r);
}

void check_act(Sim *s, const ActionRequest *a, bool ungated) {
        if (ungated) {
                s->counts[2]++;
                return;
        }
        s->counts[0]++;
        if (s->rolled_seen)
                violate(s, "R3 an act on %s with a ledger that was rolled back", a->target);
        if (s->rolled) /* what stands in that record is not known here */
                return;
        Request *r = check_find(s, a->request_id);
        if (r && r->asked_us == UINT64_MAX)
                violate(s, "P1 %s of %s, and nobody asked Guardian for it", a->action, a->target);
        uint8_t digest[32];
        request_digest(a, digest);
        if (!r || !r->final_allow || memcmp(r->digest, digest, 32) != 0) {
                violate(s, "P1 an act on %s without a durable allow of its own", a->target);
                return;
        }
        if (r->intents != 1)
                violate(s, "P7 an act on %s with %u durable intents", a->target, r->intents);
        if (++r->acted > 1)
                violate(s, "P1 one request acted %u times", r->acted);
        if (r->healing && s->paused)
                violate(s, "P4 healing of %s while paused", a->target);
        if (r->decide_epoch != s->lockdown_epoch)
                violate(s, "P4 an act on %s judged under another lockdown", a->target);
        uint64_t from = r->asked || r->questioned ? r->verdict_us : r->asked_us;
        if (from == UINT64_MAX || s->boot_us >= from + ENFORCE_USE_BY_US)
                violate(s, "P4 an act on %s past its use-by", a->target);
        if (r->questioned && r->guardian == s->instance[P_GUARDIAN] && !r->allow_fits)
                violate(s, "R2 an approval is used under another policy");
        r->allow_us = r->acted_us = s->boot_us;
        check_target_now(s, a);
        if (r->healing)
                check_healing(s, a, r);
}

/* ---- P2 P5 P6 P7 P8: the record */
static void check_budget(Sim *s, const Request *now) {
        unsigned same = 0, all = 0;
        for (unsigned i = 0; i < s->n_requests; i++) {
                const Request *r = &s->requests[i];
                if (!r->healing || !r->final_allow || r->outcome == OUTCOME_NOT_RUN ||
                        s->boot_us - r->allow_us > 590 * SIM_S)
                        continue;
                all++;
                same += strcmp(r->target, now->target) == 0;
        }
        if (same > 3 || all > 10)
                violate(s, "P9 %u allows on %s, %u in all within ten minutes", same, now->target, all);
}

static void see_decision(Sim *s, const Record *rec) {
        Request *r = check_need(s, rec->request_id);
        check_record_decision(s, rec, r);
        if (rec->verdict_bits & VERDICT_BIT_ASK) {
                if (++r->asks > 1 || r->finals)
                        violate(s, "P5 a request was asked about twice, or after its end");
                r->asked = true;
                r->ask_index = rec->index;
                return;
        }
        bool from_approval = rec->verdict_bits & VERDICT_BIT_FROM_APPROVAL;
        if (++r->finals > 1 && !s->hostile_gate)
                violate(s, from_approval ? "P2 an approval was evaluated twice"
                                         : "P5 a request has two final decisions");
        if (r->asked != from_approval && !s->hostile_gate)
                violate(s, "P5 a final decision after a question names its approval, and no other does");
        r->final_allow = rec->verdict_bits & VERDICT_BIT_ALLOW;
        r->final_index = rec->index;
        if (memcmp(r->digest, rec->digest, 32) != 0 && !s->hostile_gate && r->asked_us != UINT64_MAX)
                violate(s, "P1 a decision under another digest");
        if (r->final_allow)
                r->allow_us = s->boot_us;
        if (r->final_allow && r->healing && !s->hostile_gate)
                check_budget(s, r);
}

static void see_intent(Sim *s, const Record *rec) {
        Request *r = check_need(s, rec->request_id);
        if (++r->intents > 1)
                violate(s, "P8 two intents of one request");
        const Mirror *d = rec->ref < rec->index ? &s->log[rec->ref] : NULL;
        if (!d || d->kind != RECORD_DECISION || d->writer != 'v' || !(d->bits & VERDICT_BIT_ALLOW) ||
                d->bits & VERDICT_BIT_CHECK || memcmp(d->id, rec->request_id, 16) != 0 ||
                memcmp(d->digest, rec->digest, 32) != 0)
                violate(s, "P7 an intent without its own allow before it");
        if (r->acted)
                violate(s, "P7 the act came before its intent");
        r->intent_index = rec->index;
}

static void see_action(Sim *s, const Record *rec) {
        Request *r = check_need(s, rec->request_id);
        if (++r->actions > 1)
                violate(s, "P6 an intent was closed twice");
        if (!r->intents || rec->ref != r->intent_index)
                violate(s, "P7 an action without its intent");
        r->outcome = (Outcome)outcome_from_string(rec->meta[META_RESULT]);
        if (r->outcome == OUTCOME_NOT_RUN && r->acted)
                violate(s, "P6 a run action is recorded as not run");
        if (r->outcome == OUTCOME_OK && r->inside && !r->config)
                violate(s, "R5 a change of mode or lockdown is not on record");
        if ((r->outcome == OUTCOME_OK || r->outcome == OUTCOME_FAILED) && !r->acted && !r->inside)
                violate(s, "P6 an action is on record that never ran");
}

static void see_approval(Sim *s, const Record *rec) {
        Request *r = check_find(s, rec->request_id);
        bool approved = str_eq(rec->meta[META_RESULT], "approved");
        /* a gate that was taken over may ask in a person's name what nobody asked */
        if ((!r || !r->asked) && !s->hostile_gate)
                violate(s, "P2 an approval record without its question");
        else if (r && approved && str_eq(rec->meta[META_ACTOR], r->actor))
                violate(s, "P2 the requester approved it");
        else if (approved && str_eq(rec->meta[META_ACTOR], "uid:3"))
                violate(s, "P11 an observer approved");
        if (r)
                check_record_approval(s, rec, r);
}

static void see(Sim *s, const Record *rec, const uint8_t leaf[32]) {
        if (rec->index != s->n_log || s->n_log == SIM_RECORDS) {
                violate(s, "P8 record %llu follows %llu", (unsigned long long)rec->index,
                        (unsigned long long)s->n_log);
                return;
        }
        Mirror *m = &s->log[s->n_log];
        *m = (Mirror){.kind = rec->kind,
                .writer = rec->meta[META_WRITER].n > 1 && rec->meta[META_WRITER].p[1] == 'o'
                                  ? 'v'
                                  : rec->meta[META_WRITER].p[0],
                .epoch = rec->epoch,
                .seq = rec->seq,
                .has_id = rec->has_request_id};
        memcpy(m->leaf, leaf, 32);
        memcpy(m->id, rec->request_id, 16);
        memcpy(m->digest, rec->digest, 32);
        m->bits = rec->verdict_bits;
        for (uint64_t i = s->n_log; i-- > 0;) {
                const Mirror *o = &s->log[i];
                if (o->writer != m->writer)
                        continue;
                if (o->epoch == m->epoch && o->seq >= m->seq)
                        violate(s, "P8 record %llu repeats (%c, %u, %llu)", (unsigned long long)rec->index,
                                m->writer, m->epoch, (unsigned long long)m->seq);
                if (m->kind == RECORD_RECOVERY && o->kind == RECORD_RECOVERY && m->has_id &&
                        memcmp(o->id, m->id, 16) == 0)
                        violate(s, "P8 an ungated act is on record twice");
                if (m->kind != RECORD_RECOVERY)
                        break; /* numbers of a writer rise: the newest is enough */
        }
        s->n_log++;
        check_record(s, rec);
        if (m->kind == RECORD_DECISION)
                see_decision(s, rec);
        else if (m->kind == RECORD_INTENT)
                see_intent(s, rec);
        else if (m->kind == RECORD_ACTION)
                see_action(s, rec);
        else if (m->kind == RECORD_APPROVAL)
                see_approval(s, rec);
}

void check_durable(Sim *s, Str group) {
        Record rec;
        uint8_t leaf[32];
        size_t at = 0, used;
        const char *why;
        while (at < group.n) {
                int r = record_decode((const uint8_t *)group.p + at, group.n - at, &rec, leaf, &used, &why);
                if (r != 0) {
                        if (r < 0)
                                violate(s, "P8 the ledger wrote what it can't read: %s", why);
                        return;
                }
                see(s, &rec, leaf);
                at += used;
        }
}

/* Everything that was durable is still there and the same; what a death left whole behind it is durable now.
 */
void check_reopened(Sim *s) {
        LogCursor c;
        Record rec;
        uint8_t leaf[32];
        const char *why;
        if (log_cursor_init(&c, &s->source) < 0)
                return;
        uint64_t n = 0;
        while (log_cursor_next(&c, &rec, leaf, &why) == 0) {
                if (n < s->n_log && memcmp(s->log[n].leaf, leaf, 32) != 0)
                        violate(s, "P8 record %llu changed", (unsigned long long)n);
                if (n >= s->n_log)
                        see(s, &rec, leaf);
                n++;
        }
        if (n < s->n_log)
                violate(s, "P8 %llu durable records, %llu after the restart", (unsigned long long)s->n_log,
                        (unsigned long long)n);
        log_cursor_done(&c);
}

/* ---- P10: answers */
uint64_t check_ask(Sim *s, ActorKind kind, Role role, bool vote) {
        uint64_t token = s->n_waiters + 1;
        Waiter *w = &s->waiters[token % SIM_WAITERS];
        if (w->open && !w->more)
                violate(s, "the simulator ran out of waiters");
        s->n_waiters++;
        *w = (Waiter){.token = token & 0xfffff,
                .asked_us = s->boot_us,
                .open = true,
                .vote = vote,
                .role = role,
                .kind = kind};
        return token;
}

static Waiter *answered(Sim *s, uint64_t token) {
        Waiter *w = &s->waiters[token % SIM_WAITERS];
        if (!w->open || (w->token & 0xfffff) != (token & 0xfffff)) {
                violate(s, "P10 waiter %llu has two last answers", (unsigned long long)token);
                return NULL;
        }
        return w;
}

static void answer_of(Sim *s, const EnforceReply *a) {
        s->asking.replied = true;
        s->asking.code = a->code;
        Request *r = a->request_id ? check_find(s, a->request_id) : NULL;
        if (!r)
                return;
        r->questioned |= a->more;
        r->ended |= !a->more;
        if (!a->more && r->sent_us != UINT64_MAX && s->boot_us - r->sent_us >= ENFORCE_DOWN_US &&
                r->guardian == s->instance[P_GUARDIAN])
                s->silent = true;
        if (!a->more && a->approval_id[0] &&
                (a->code == CODE_STALE_TARGET || a->code == CODE_APPROVAL_EXPIRED) &&
                a->verdict == VERDICT_REQUIRE_APPROVAL)
                r->lapsed = s->instance[P_GUARDIAN];
}

void check_reply(Sim *s, const EnforceReply *r) {
        Waiter *w = answered(s, r->waiter);
        if (!w)
                return;
        s->counts[3 + (r->code == CODE_OK)]++;
        w->more = r->more;
        w->open = r->more;
        answer_of(s, r);
        if (w->kind == ACTOR_PERSON && w->role < ROLE_OPERATOR && r->code != CODE_DENIED_BY_ROLE &&
                r->code != CODE_UNKNOWN_ACTION)
                violate(s, "P11 an observer's request was answered with %s", code_to_string((int)r->code));
}

void check_vote_reply(Sim *s, const EnforceVoteReply *r) {
        Waiter *w = answered(s, r->waiter);
        if (!w)
                return;
        w->open = false;
        const Request *q = check_find(s, w->request);
        const SimUnit *u = q ? sim_unit(s, q->target) : NULL;
        bool open = r->state == APPROVAL_PENDING || r->state == APPROVAL_APPROVED;
        if (r->code == CODE_OK && open && u && q->asked_us != UINT64_MAX && !incarnation_eq(&u->inc, &q->inc))
                violate(s, "R2 a vote on %s counted, and that incarnation is over", q->target);
        if (r->code == CODE_OK && (w->kind != ACTOR_PERSON || w->role < ROLE_OPERATOR))
                violate(s, "P11 a vote of %s counted", w->kind == ACTOR_PERSON ? "an observer" : "a unit");
}

void check_guardian_gone(Sim *s) {
        for (unsigned i = 0; i < SIM_WAITERS; i++)
                s->waiters[i].open = s->waiters[i].more = false; /* they see the end of their connection */
}

void check_state(Sim *s) {
        EnforceStatus st;
        if (!s->e)
                return;
        enforce_status(s->e, now_of(s), &st);
        if (st.lockdown != s->lockdown) {
                s->lockdown = st.lockdown;
                s->lockdown_epoch++;
        }
        if (st.intents_refused > s->forged_index && !s->rolled)
                violate(s, "P1 Guardian asked for an intent that does not fit");
        if (st.paused != s->paused)
                violate(s, "P4 pause is %d, its marker %d", st.paused, s->paused);
        if (s->steps % 16)
                return;
        for (unsigned i = 0; i < SIM_WAITERS; i++) {
                const Waiter *w = &s->waiters[i];
                uint64_t limit = w->more ? APPROVAL_TTL_US + 60 * SIM_S : 60 * SIM_S;
                if (w->open && s->boot_us - w->asked_us > limit && s->boot_us > s->stalled_us[P_GUARDIAN])
                        violate(s, "P10 no answer in %llu s",
                                (unsigned long long)((s->boot_us - w->asked_us) / SIM_S));
        }
}

void check_end(Sim *s) {
        EnforceStatus st;
        if (s->over)
                return;
        for (unsigned i = 0; i < s->n_requests; i++)
                if (s->requests[i].intents != s->requests[i].actions)
                        violate(s, "P6 an intent on %s is left open", s->requests[i].target);
        for (unsigned i = 0; i < SIM_WAITERS; i++)
                if (s->waiters[i].open && !s->waiters[i].more &&
                        s->boot_us - s->waiters[i].asked_us > 60 * SIM_S)
                        violate(s, "P10 somebody still waits");
        for (Proc p = 0; p < _P_MAX; p++)
                if (!s->alive[p] || !s->validated[p])
                        violate(s, "P15 %s is not back", proc_name(p));
        check_rules_end(s);
        if (!s->e || s->over)
                return;
        enforce_status(s->e, now_of(s), &st);
        /* A hostile gate may leave a question unanswered for ever: then it is down for ever. */
        if ((st.gate != PART_READY && !s->hostile_gate) || st.ledger != PART_READY)
                violate(s, "P10 at rest the gate is %s, the ledger %s", part_state_gate(st.gate),
                        part_state_ledger(st.ledger));
        if (st.unrecorded || st.spooled || st.open > st.pending_approvals)
                violate(s, "P6 at rest %u records wait, %u are spooled, %u are open", st.unrecorded,
                        st.spooled, st.open);
}
