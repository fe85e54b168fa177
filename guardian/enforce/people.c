/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/enforce/enforce-private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/*
 * People: questions, votes, lapses, and the switches that are Guardian's alone (pause, break-glass). A vote
 * counts once it is durable; what voids an approval counts at once, and its record follows.
 *
 * An `approval` record: request_id, digest, ref = the question's decision, actor = the voter or "guardian",
 * action and resource of the request, result = the approval's state after it.
 */
static Proposal *proposal_of(Enforce *e, const Approval *a) {
        Proposal *p = proposal_find(e, a->request_id);
        return p && (p->stage == STAGE_ASKED || p->stage == STAGE_REDECIDE) ? p : NULL;
}

static void vote_answer(Enforce *e, VoteInFlight *v, Code code, ApprovalState state) {
        if (v->answered || v->waiter == 0)
                return;
        v->answered = true;
        EnforceVoteReply r = {.waiter = v->waiter, .code = code, .id = v->id, .state = state};
        e->ops.vote_reply(e->user, &r);
}

/* The record of a vote (uid, role, approve) or of a lapse (actor "guardian"). */
static int append_record(Enforce *e, const Approval *a, ApprovalState state, const ApprovalVote *vote,
        const char *reason, uint64_t token, EnforceNow now) {
        Buf out = BUF_INIT(8192);
        JsonWriter w;
        char actor[40] = "guardian";
        if (vote)
                snprintf(actor, sizeof(actor), "uid:%" PRIu64, vote->uid);
        json_init(&w, &out, true);
        json_object_begin(&w);
        json_kv_str(&w, "approval_id", a->id);
        json_kv_str(&w, "policy_revision", a->policy_revision);
        json_kv_str(&w, "reason", reason);
        if (vote)
                json_kv_str(&w, "role", role_to_string((int)vote->role));
        json_kv_str(&w, "state", approval_state_to_string((int)state));
        if (vote) {
                json_kv_u64(&w, "uid", vote->uid);
                json_kv_str(&w, "vote", vote->approve ? "approve" : "deny");
        }
        json_object_end(&w);
        int r = json_finish(&w);
        if (r == 0) {
                RecordFields f = {.kind = RECORD_APPROVAL,
                        .request_id = a->request_id,
                        .digest = a->digest,
                        .ref = a->decision_index,
                        .actor = actor,
                        .action = a->action,
                        .resource = a->target,
                        .subsystem = "enforcement",
                        .correlation_id = a->correlation_id[0] ? a->correlation_id : NULL,
                        .result = approval_state_to_string((int)state),
                        .body = {(const char *)out.data, out.len}};
                r = record_queue_push(&e->records, &f, token, vote == NULL, now.boot_us, now.wall_ns);
        }
        buf_done(&out);
        return r;
}

static VoteInFlight *in_flight(Enforce *e, const Approval *a, EnforceNow now) {
        VoteInFlight *v = calloc(1, sizeof(*v));
        if (!v)
                return NULL;
        v->token = new_token(e);
        v->answer_by_us = now.boot_us + ENFORCE_USE_BY_US;
        str_copy(v->id, sizeof(v->id), str_of(a->id));
        list_append(&e->votes, &v->node);
        return v;
}

static void in_flight_free(VoteInFlight *v) {
        list_remove(&v->node);
        free(v);
}

/* ---- the question */
static void publish_state(Enforce *e, const Approval *a, const char *type) {
        Buf out = BUF_INIT(4096);
        JsonWriter w;
        json_init(&w, &out, true);
        json_object_begin(&w);
        json_kv_str(&w, "action", a->action);
        json_kv_str(&w, "approval_id", a->id);
        json_kv_str(&w, "requested_by", a->actor);
        json_kv_str(&w, "state", approval_state_to_string((int)a->state));
        json_kv_str(&w, "target", a->target);
        json_object_end(&w);
        if (json_finish(&w) == 0)
                e->ops.publish(
                        e->user, type, a->target, a->correlation_id, (Str){(const char *)out.data, out.len});
        buf_done(&out);
        if (e->ops.approval)
                e->ops.approval(e->user, a);
}

/* Fields that VERDICT and APPROVAL_PENDING share. */
static bool fill_approval(Approval *a, const Proposal *p, const Msg *m, EnforceNow now) {
        Str s;
        size_t pos = 0;
        memcpy(a->request_id, p->r.request_id, sizeof(a->request_id));
        memcpy(a->digest, p->digest, sizeof(a->digest));
        str_copy(a->actor, sizeof(a->actor), str_of(p->r.actor));
        str_copy(a->action, sizeof(a->action), str_of(p->r.action));
        str_copy(a->target, sizeof(a->target), str_of(p->r.target));
        str_copy(a->reason, sizeof(a->reason), str_of(p->reason));
        str_copy(a->correlation_id, sizeof(a->correlation_id), str_of(p->correlation_id));
        str_copy(a->policy_revision, sizeof(a->policy_revision), msg_str(m, TAG_POLICY_REVISION));
        while (a->n_rules < APPROVAL_RULES_MAX && msg_next_str(m, TAG_RULE, &pos, &s))
                str_copy(a->rules[a->n_rules++], sizeof(a->rules[0]), s);
        for (pos = 0; msg_next_str(m, TAG_NEED, &pos, &s);)
                if (approval_add_need(a, s) < 0)
                        return false; /* a need that nobody can count is never given */
        a->decision_index = msg_u64(m, TAG_DECISION_INDEX, NONE64);
        uint64_t expires = msg_u64(m, TAG_EXPIRES_NS, NONE64);
        uint64_t left_us = expires == NONE64 ? APPROVAL_TTL_US
                                             : (expires > now.wall_ns ? (expires - now.wall_ns) / 1000 : 0);
        if (left_us > APPROVAL_TTL_US)
                left_us = APPROVAL_TTL_US;
        a->expires_boot_us = now.boot_us + left_us;
        a->expires_ns = now.wall_ns + left_us * 1000;
        return true;
}

void people_ask(Enforce *e, Proposal *p, const Msg *m, EnforceNow now) {
        char id[49];
        str_copy(id, sizeof(id), msg_str(m, TAG_APPROVAL_ID));
        Approval *a = id[0] ? approvals_add(&e->approvals, id) : NULL;
        p->decision_index = msg_u64(m, TAG_DECISION_INDEX, NONE64);
        p->verdict = VERDICT_REQUIRE_APPROVAL;
        if (!a || !fill_approval(a, p, m, now)) {
                if (a)
                        a->state = APPROVAL_VOID;
                flow_end(e, p, CODE_APPROVAL_MISMATCH, "the gate's question can't be asked");
                return;
        }
        a->created_ns = now.wall_ns;
        e->counters.asked++;
        p->stage = STAGE_ASKED;
        p->use_by_us = NONE64;
        str_copy(p->approval_id, sizeof(p->approval_id), str_of(id));
        EnforceTarget t;
        if (!flow_target(e, p, &t) || !incarnation_eq(&t.incarnation, &p->r.incarnation)) {
                people_close(e, a, APPROVAL_VOID, "stale_target", now);
                return;
        }
        flow_answer(e, p, true, CODE_APPROVAL_REQUIRED, "waiting for approval");
        publish_state(e, a, "approval.requested");
}

/* ---- after a restart of Guardian: the gate lists what is open */
static bool restore_request(Enforce *e, Proposal *p, const Msg *m) {
        ActionRequest *r = &p->r;
        if (request_from_msg(r, m) < 0)
                return false;
        p->verb = enforce_verb(str_of(r->action));
        p->kind = str_eq(msg_str(m, TAG_ACTOR_KIND), "person") ? ACTOR_PERSON : ACTOR_UNIT;
        p->stage = STAGE_ASKED;
        p->verdict = VERDICT_REQUIRE_APPROVAL;
        p->use_by_us = NONE64;
        p->lockdown_epoch = e->lockdown_epoch;
        p->decision_index = msg_u64(m, TAG_DECISION_INDEX, NONE64);
        str_copy(p->reason, sizeof(p->reason), msg_str(m, TAG_REASON));
        str_copy(p->correlation_id, sizeof(p->correlation_id), msg_str(m, TAG_CORRELATION_ID));
        str_copy(p->approval_id, sizeof(p->approval_id), msg_str(m, TAG_APPROVAL_ID));
        if (!p->verb || request_sort_args(r) < 0)
                return false;
        request_digest(r, p->digest);
        return memcmp(p->digest, msg_bytes(m, TAG_DIGEST), sizeof(p->digest)) == 0;
}

void people_read_answer(Enforce *e, const Msg *m) {
        int state = approval_state_from_string(msg_str(m, TAG_RESULT));
        if (state < 0 || !msg_has(m, TAG_REQUEST_ID) || !msg_has(m, TAG_DIGEST))
                return;
        OwnAnswer *a = &e->answers[e->n_answers++ % ELEMENTSOF(e->answers)];
        memcpy(a->request_id, msg_bytes(m, TAG_REQUEST_ID), sizeof(a->request_id));
        memcpy(a->digest, msg_bytes(m, TAG_DIGEST), sizeof(a->digest));
        a->state = (ApprovalState)state;
        a->index = msg_u64(m, TAG_INDEX, NONE64);
}

/* Whether, and where, an earlier Guardian wrote that people approved this, and nothing after it. */
static bool approved_on_record(const Enforce *e, const Proposal *p, uint64_t *index) {
        unsigned n = e->n_answers < ELEMENTSOF(e->answers) ? e->n_answers : ELEMENTSOF(e->answers);
        for (unsigned i = 1; i <= n; i++) {
                const OwnAnswer *a = &e->answers[(e->n_answers - i) % ELEMENTSOF(e->answers)];
                if (memcmp(a->request_id, p->r.request_id, sizeof(a->request_id)) != 0)
                        continue;
                *index = a->index;
                return a->state == APPROVAL_APPROVED && memcmp(a->digest, p->digest, sizeof(a->digest)) == 0;
        }
        return FAULTY(FAULT_INVENTED);
}

/* What nobody could have asked for, a gate can't ask about either. */
static bool could_be_asked(const Enforce *e, const Proposal *p, const EnforceTarget *t) {
        if (p->kind == ACTOR_UNIT && (!p->verb->healing || strcmp(p->r.actor, e->proposer_unit) != 0))
                return FAULTY(FAULT_INVENTED);
        return !p->verb->healing || heal_listed(t, p->verb) || FAULTY(FAULT_INVENTED);
}

static void forged(Enforce *e, Proposal *p, Approval *a) {
        e->counters.forged_verdicts++;
        if (a)
                a->state = APPROVAL_VOID;
        proposal_free(e, p);
}

static void register_again(Enforce *e, const Msg *m, EnforceNow now) {
        Proposal *p = proposal_new(e, false);
        Approval *a = NULL;
        EnforceTarget t;
        uint64_t asked_ns = msg_u64(m, TAG_TIME_NS, 0);
        if (!p) { /* no room: it lapses at the gate, which may still answer */
                memcpy(e->over[e->n_over++ % ELEMENTSOF(e->over)], msg_bytes(m, TAG_REQUEST_ID), 16);
                return;
        }
        if (!restore_request(e, p, m) || (flow_target(e, p, &t) && !could_be_asked(e, p, &t))) {
                forged(e, p, NULL);
                return;
        }
        a = approvals_add(&e->approvals, p->approval_id);
        if (!a || !fill_approval(a, p, m, now)) {
                if (a)
                        a->state = APPROVAL_VOID;
                proposal_free(e, p);
                return;
        }
        a->created_ns = asked_ns;
        bool approved = str_eq(msg_str(m, TAG_STATE), "approved");
        if (approved)
                a->state = APPROVAL_APPROVED;
        if (!flow_target(e, p, &t) || !incarnation_eq(&t.incarnation, &p->r.incarnation))
                people_close(e, a, APPROVAL_VOID, "stale_target", now);
        else if (now.wall_ns < asked_ns || now.boot_us >= a->expires_boot_us)
                people_close(e, a, APPROVAL_EXPIRED, "expired", now);
        else if (approved && !approved_on_record(e, p, &a->answer_index))
                forged(e, p, a);
        else if (approved) {
                /* The gate evaluates it by itself at its start, and knows nothing of a lockdown since the
                 * question. */
                p->stage = STAGE_REDECIDE;
                p->lockdown_epoch -= e->lockdown;
        }
}

void people_pending(Enforce *e, const Msg *m, EnforceNow now) {
        Proposal *p = proposal_find(e, msg_bytes(m, TAG_REQUEST_ID));
        Approval *a = approvals_find_request(&e->approvals, msg_bytes(m, TAG_REQUEST_ID));
        if (p && p->stage == STAGE_DECIDE && !a) {
                /* The gate asked, and died before it could say so. */
                if (memcmp(p->digest, msg_bytes(m, TAG_DIGEST), sizeof(p->digest)) != 0)
                        e->counters.forged_verdicts++;
                else if (now.boot_us < p->use_by_us)
                        people_ask(e, p, m, now);
                return;
        }
        if (!a && !p)
                register_again(e, m, now);
        else if (a && a->state != APPROVAL_PENDING && a->answer_index != NONE64 &&
                 !str_eq(msg_str(m, TAG_STATE), "approved"))
                people_answered(e, a, p, a->answer_index, now);
}

/* ---- lapses */
void people_close(Enforce *e, Approval *a, ApprovalState state, const char *reason, EnforceNow now) {
        Proposal *p = proposal_of(e, a);
        a->state = state;
        VoteInFlight *v = FAULTY(FAULT_LAPSE_UNRECORDED) ? NULL : in_flight(e, a, now);
        if (!v || append_record(e, a, state, NULL, reason, v->token, now) < 0) {
                /* Unrecorded, but closed for this Guardian; the gate lists it again and it is closed again.
                 */
                if (v)
                        in_flight_free(v);
                e->counters.appends_refused++;
        }
        publish_state(e, a, "approval.answered");
        if (p)
                flow_end(e, p, state == APPROVAL_EXPIRED ? CODE_APPROVAL_EXPIRED : CODE_STALE_TARGET, reason);
}

/* ---- votes */
static void refuse_vote(Enforce *e, uint64_t waiter, Str id, Code code, const Approval *a) {
        char text[49];
        EnforceVoteReply r = {.waiter = waiter,
                .code = code,
                .id = str_copy(text, sizeof(text), id),
                .state = a ? a->state : APPROVAL_VOID};
        if (waiter)
                e->ops.vote_reply(e->user, &r);
}

static bool enough(const Approval *a, bool optimistic) {
        return approval_satisfied(a, optimistic) || FAULTY(FAULT_ONE_VOTE);
}

static void vote_durable(Enforce *e, Approval *a, ApprovalVote *vote, uint64_t index, EnforceNow now);

static Code may_vote(Enforce *e, const Approval *a, ActorKind kind, uint64_t uid, Role role, EnforceNow now) {
        if (kind != ACTOR_PERSON && !FAULTY(FAULT_UNIT_VOTE))
                return CODE_DENIED_BY_ROLE;
        Code code = approval_vote_check(a, uid, role);
        if (a->state == APPROVAL_PENDING && a->n_votes < APPROVAL_VOTES_MAX &&
                ((code == CODE_SELF_APPROVAL && FAULTY(FAULT_SELF_VOTE)) ||
                        (code == CODE_ALREADY_VOTED && FAULTY(FAULT_DOUBLE_VOTE)) ||
                        (code == CODE_DENIED_BY_ROLE && FAULTY(FAULT_VOTE_ROLE))))
                code = CODE_OK;
        if (code == CODE_OK && ledger_state(e, now) != PART_READY)
                code = e->rollback ? CODE_LEDGER_ROLLBACK : CODE_LEDGER_UNAVAILABLE;
        return code;
}

void enforce_vote(Enforce *e, uint64_t waiter, ActorKind kind, uint64_t uid, Role role, Str id, bool approve,
        Str note, EnforceNow now) {
        char text[49], reason[513];
        Approval *a = approvals_find(&e->approvals, str_copy(text, sizeof(text), id));
        if (!a) {
                refuse_vote(e, waiter, id,
                        kind == ACTOR_PERSON && role >= ROLE_OPERATOR ? CODE_UNKNOWN_ID : CODE_DENIED_BY_ROLE,
                        NULL);
                return;
        }
        Code code = may_vote(e, a, kind, uid, role, now);
        if (code != CODE_OK) {
                refuse_vote(e, waiter, id, code, a);
                return;
        }
        VoteInFlight *v = in_flight(e, a, now);
        if (!v) {
                refuse_vote(e, waiter, id, CODE_BUSY, a);
                return;
        }
        v->vote = true;
        v->uid = uid;
        v->waiter = waiter;
        ApprovalVote *vote = &a->votes[a->n_votes++];
        *vote = (ApprovalVote){.uid = uid, .role = role, .approve = approve};
        ApprovalState after = !approve          ? APPROVAL_DENIED
                              : enough(a, true) ? APPROVAL_APPROVED
                                                : APPROVAL_PENDING;
        if (append_record(e, a, after, vote, str_copy(reason, sizeof(reason), note), v->token, now) < 0) {
                a->n_votes--;
                in_flight_free(v);
                refuse_vote(e, waiter, id, CODE_LEDGER_UNAVAILABLE, a);
        } else if (FAULTY(FAULT_VOTE_EARLY)) {
                vote_durable(e, a, vote, a->decision_index, now);
        }
        notice(e, now);
}

/* Tells the gate: the deciding vote, or the lapse, is durable at `index`. */
void people_answered(Enforce *e, Approval *a, Proposal *p, uint64_t index, EnforceNow now) {
        EnforceTarget t = {0};
        MsgBuilder b;
        if (!e->gate_attached)
                return;
        if (p)
                (void)flow_target(e, p, &t);
        msg_begin(&b, MSG_APPROVAL_ANSWERED);
        msg_put_cstr(&b, TAG_APPROVAL_ID, a->id);
        msg_put_bytes(&b, TAG_REQUEST_ID, a->request_id);
        msg_put_bytes(&b, TAG_DIGEST, a->digest);
        msg_put_u64(&b, TAG_INDEX, index);
        msg_put_cstr(&b, TAG_STATE, approval_state_to_string((int)a->state));
        flow_put_context(e, &b, &t, now);
        if (p && a->state == APPROVAL_APPROVED) {
                p->asked_us = now.boot_us;
                ledger_ask_alive(e, now);
        }
        (void)e->ops.to_gate(e->user, &b);
}

/*
 * Two people may vote at once. A denial behind the vote that approved counts until the act: while the gate
 * judges it ends the request, and once the intent is on its way the last check finds it (check_still()).
 */
static bool denial_behind(Enforce *e, Approval *a) {
        const Proposal *p = proposal_find(e, a->request_id);
        if (a->state == APPROVAL_USED && p && p->stage == STAGE_INTENT)
                a->state = APPROVAL_DENIED;
        return a->state == APPROVAL_APPROVED;
}

static void vote_durable(Enforce *e, Approval *a, ApprovalVote *vote, uint64_t index, EnforceNow now) {
        Proposal *p = proposal_of(e, a);
        vote->durable = true;
        if (a->state != APPROVAL_PENDING && (vote->approve || !denial_behind(e, a)))
                return; /* it lapsed, or was denied, while the vote was written */
        if (!vote->approve)
                a->state = APPROVAL_DENIED;
        else if (enough(a, false))
                a->state = APPROVAL_APPROVED;
        else
                return;
        a->answer_index = index;
        publish_state(e, a, "approval.answered");
        if (a->state == APPROVAL_APPROVED && p) {
                p->stage = STAGE_REDECIDE;
                p->asked_us = NONE64;
                p->lockdown_epoch = e->lockdown_epoch; /* the gate judges by the state of this moment */
        }
        people_answered(e, a, p, index, now);
        if (a->state == APPROVAL_DENIED && p)
                flow_end(e, p, CODE_APPROVAL_DENIED, "denied by a person");
}

static void vote_recorded(
        Enforce *e, VoteInFlight *v, Approval *a, const char *code, uint64_t index, EnforceNow now) {
        unsigned i = 0;
        while (i < a->n_votes && a->votes[i].uid != v->uid)
                i++;
        if (i == a->n_votes)
                return;
        if (strcmp(code, "ok") != 0) {
                a->n_votes--;
                memmove(a->votes + i, a->votes + i + 1, (a->n_votes - i) * sizeof(a->votes[0]));
                e->counters.appends_refused++;
                vote_answer(e, v, CODE_FAILED, a->state);
                return;
        }
        bool approve = a->votes[i].approve;
        vote_durable(e, a, &a->votes[i], index, now);
        Code said = CODE_OK;
        if (a->state == APPROVAL_VOID)
                said = CODE_STALE_TARGET;
        else if (a->state == APPROVAL_EXPIRED)
                said = CODE_APPROVAL_EXPIRED;
        else if (a->state == APPROVAL_DENIED && approve)
                said = CODE_APPROVAL_DENIED;
        else if (a->state == APPROVAL_USED && !approve)
                said = CODE_APPROVAL_USED; /* too late */
        vote_answer(e, v, said, a->state);
}

void people_record_done(Enforce *e, VoteInFlight *v, const char *code, uint64_t index, EnforceNow now) {
        Approval *a = approvals_find(&e->approvals, v->id);
        if (a && v->vote) {
                vote_recorded(e, v, a, code, index, now);
        } else if (a && strcmp(code, "ok") == 0) {
                a->answer_index = index;
                people_answered(e, a, NULL, index, now);
        } else if (a) {
                e->counters.appends_refused++;
        }
        in_flight_free(v);
}

/* ---- time */
void people_tick(Enforce *e, EnforceNow now) {
        for (unsigned i = 0; i < e->approvals.n && !FAULTY(FAULT_NO_EXPIRY); i++) {
                Approval *a = e->approvals.items[i];
                if ((a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED) &&
                        now.boot_us >= a->expires_boot_us)
                        people_close(e, a, APPROVAL_EXPIRED, "expired", now);
        }
        LIST_FOREACH (it, &e->votes) {
                VoteInFlight *v = container_of(it, VoteInFlight, node);
                const Approval *a = approvals_find(&e->approvals, v->id);
                if (now.boot_us >= v->answer_by_us)
                        vote_answer(e, v, CODE_LEDGER_UNAVAILABLE, a ? a->state : APPROVAL_VOID);
        }
}

uint64_t people_deadline(const Enforce *e) {
        uint64_t at = NONE64;
        for (unsigned i = 0; i < e->approvals.n && !FAULTY(FAULT_NO_EXPIRY); i++) {
                const Approval *a = e->approvals.items[i];
                if ((a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED) &&
                        a->expires_boot_us < at)
                        at = a->expires_boot_us;
        }
        LIST_FOREACH (it, &e->votes) {
                const VoteInFlight *v = container_of(it, VoteInFlight, node);
                if (v->vote && !v->answered && v->waiter && v->answer_by_us < at)
                        at = v->answer_by_us;
        }
        return at;
}
