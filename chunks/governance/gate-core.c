/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/governance/gate-internal.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifdef GUARDIAN_TEST_HOOKS
GateFault gate_fault = GATE_FAULT_NONE;
#endif

int gate_new(GatePolicy *policy, const GateOps *ops, void *user, Gate **ret) {
        Gate *g = calloc(1, sizeof(*g));
        Request **requests = calloc(GATE_KNOWN_MAX, sizeof(Request *));
        if (!g || !requests) {
                free(g);
                free(requests);
                gate_policy_free(policy);
                return -ENOMEM;
        }
        *g = (Gate){.policy = policy, .ops = *ops, .user = user, .requests = requests};
        *ret = g;
        return 0;
}

void gate_request_free(Request *r) {
        if (!r)
                return;
        free(r->in);
        free(r->verdict);
        free(r);
}

static void drop_flights(Gate *g) {
        for (unsigned i = 0; i < g->n_flights; i++) {
                free(g->flights[i].decision);
                free(g->flights[i].in);
        }
        g->n_flights = 0;
}

Gate *gate_free(Gate *g) {
        if (!g)
                return NULL;
        drop_flights(g);
        for (unsigned i = 0; i < g->n_requests; i++)
                gate_request_free(g->requests[i]);
        free(g->requests);
        budgets_done(&g->budgets);
        trust_done(&g->trust);
        gate_policy_free(g->policy);
        free(g);
        return NULL;
}

const GatePolicy *gate_policy(const Gate *g) {
        return g->policy;
}

Request *gate_find(Gate *g, const uint8_t id[16]) {
        for (unsigned i = g->n_requests; i-- > 0;)
                if (memcmp(g->requests[i]->id, id, 16) == 0)
                        return g->requests[i];
        return NULL;
}

static bool settled(const Request *r) {
        return !r->inflight && (r->final || r->state > APPROVAL_APPROVED);
}

void gate_request_forget(Gate *g, Request *r) {
        for (unsigned i = 0; i < g->n_requests; i++)
                if (g->requests[i] == r) {
                        memmove(&g->requests[i], &g->requests[i + 1],
                                (g->n_requests - i - 1) * sizeof(Request *));
                        g->n_requests--;
                        gate_request_free(r);
                        return;
                }
}

Request *gate_request_new(Gate *g, const uint8_t id[16], const uint8_t digest[32]) {
        for (unsigned i = 0; g->n_requests == GATE_KNOWN_MAX && i < g->n_requests; i++)
                if (settled(g->requests[i]))
                        gate_request_forget(g, g->requests[i]);
        Request *r = g->n_requests < GATE_KNOWN_MAX ? calloc(1, sizeof(*r)) : NULL;
        if (!r)
                return NULL;
        memcpy(r->id, id, 16);
        memcpy(r->digest, digest, 32);
        r->index = r->answer = UINT64_MAX;
        g->requests[g->n_requests++] = r;
        return r;
}

void gate_trust_decision(Gate *g, const GateInput *in, Verdict verdict, Code code, uint64_t index) {
        if (verdict != VERDICT_DENY || strcmp(in->actor_kind, "unit") != 0 ||
                strcmp(in->purpose, "act") != 0 ||
                (code != CODE_DENIED_BY_RULE && code != CODE_DEFAULT_DENY) || !g->policy->trust.denied)
                return;
        (void)trust_move(&g->trust, &g->policy->trust, in->request.actor, g->policy->trust.denied, "denied",
                index, &in->now);
}

static void end(Gate *g, const char *why) {
        if (g->ended)
                return;
        g->ended = true;
        for (unsigned i = 0; i < g->n_flights; i++)
                if (g->flights[i].request && g->flights[i].decision->verdict == VERDICT_ALLOW)
                        budgets_release(&g->budgets, g->flights[i].request->id);
        drop_flights(g);
        g->ops.end(g->user, why);
}

void gate_ledger_failed(Gate *g) {
        end(g, "the ledger failed");
}

static uint64_t bits_of(const GateDecision *d, const GateInput *in, bool from_approval) {
        uint64_t bits = d->verdict == VERDICT_ALLOW  ? VERDICT_BIT_ALLOW
                        : d->verdict == VERDICT_DENY ? VERDICT_BIT_DENY
                                                     : VERDICT_BIT_ASK;
        if (strcmp(in->purpose, "check") == 0)
                bits |= VERDICT_BIT_CHECK;
        return from_approval ? bits | VERDICT_BIT_FROM_APPROVAL : bits;
}

/* Appends the decision; takes d and in. The reservation is made already. */
static int fly(Gate *g, Request *r, GateDecision *d, GateInput *in, uint64_t ref) {
        Buf body = BUF_INIT(64 * 1024);
        int rc = g->n_flights < GATE_INFLIGHT_MAX ? gate_decision_body(d, in, &body) : -ENOBUFS;
        if (rc == 0) {
                GateRecord rec = {
                        .kind = RECORD_DECISION,
                        .request_id = r->id,
                        .digest = r->digest,
                        .ref = ref,
                        .verdict_bits =
                                bits_of(d, in, d->approval_id[0] && d->verdict != VERDICT_REQUIRE_APPROVAL),
                        .actor = in->request.actor,
                        .action = in->request.action,
                        .resource = in->request.target[0] ? in->request.target : NULL,
                        .correlation_id = in->correlation_id[0] ? in->correlation_id : NULL,
                        .result = verdict_to_string((int)d->verdict),
                        .body = {(const char *)body.data, body.len},
                };
                /* In flight before the call: an ack may come from inside it. */
                r->inflight = true;
                g->flights[g->n_flights++] =
                        (Flight){.token = ++g->token, .request = r, .decision = d, .in = in};
                rc = g->ops.append(g->user, &rec, g->token);
                if (rc < 0) {
                        r->inflight = false;
                        g->n_flights--;
                }
        }
        buf_done(&body);
        if (rc == 0)
                return 0;
        if (d->verdict == VERDICT_ALLOW)
                budgets_release(&g->budgets, r->id);
        gate_send_refusal(
                g, r->id, r->digest, NULL, CODE_BUSY, "the decision could not be put on record, ask again");
        free(d);
        free(in);
        if (!r->asked)
                gate_request_forget(g, r);
        return rc == -ENOBUFS ? 0 : rc;
}

static bool too_many_questions(const Gate *g) {
        unsigned n = 0;
        for (unsigned i = 0; i < g->n_requests; i++)
                n += g->requests[i]->asked && !g->requests[i]->final &&
                     g->requests[i]->state <= APPROVAL_APPROVED;
        return n >= GATE_PENDING_MAX;
}

/* Fills in what the gate knows, evaluates, reserves, appends. Takes in. refusal: decided before any rule. */
static int judge(Gate *g, Request *r, GateInput *in, const char *approval_id, Code refusal, const char *why,
        uint64_t ref) {
        GateDecision *d = calloc(1, sizeof(*d));
        if (!d) {
                free(in);
                return -ENOMEM;
        }
        memcpy(in->now.boot_id, g->start.boot_id, 16);
        if (strcmp(in->actor_kind, "unit") == 0)
                in->trust = trust_score(&g->trust, &g->policy->trust, in->request.actor, &in->now);
        budgets_fill(&g->budgets, g->policy, in);
        if (refusal == CODE_OK)
                gate_evaluate(g->policy, in, approval_id, d);
        else
                gate_refuse(g->policy, in, approval_id, refusal, why, d);
        if (d->verdict == VERDICT_REQUIRE_APPROVAL && (strcmp(in->purpose, "act") == 0) &&
                too_many_questions(g))
                gate_refuse(g->policy, in, NULL, CODE_BUSY,
                        "too many questions wait for people: guardianctl approvals", d);
        if (d->verdict == VERDICT_ALLOW && strcmp(in->purpose, "act") == 0 &&
                budgets_reserve(&g->budgets, g->policy, in) < 0) {
                free(d);
                free(in);
                return -ENOMEM;
        }
        return fly(g, r, d, in, ref);
}

int gate_decide(Gate *g, const Msg *m) {
        const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID), *digest = msg_bytes(m, TAG_DIGEST);
        char why[160] = "";
        if (g->ended || !g->started || !id || !digest)
                return g->ended || g->started ? 0 : -EAGAIN;
        if (g->unreadable[0]) {
                gate_send_refusal(g, id, digest, NULL, CODE_GOVERNANCE_UNAVAILABLE, g->unreadable);
                return 0;
        }
        Request *r = gate_find(g, id);
        if (r && memcmp(r->digest, digest, 32) != 0) {
                g->stats.mismatched++;
                gate_send_refusal(g, id, digest, NULL, CODE_APPROVAL_MISMATCH,
                        "the request id belongs to another request");
                return 0;
        }
        if (r && GATE_FAULTY(REPEATS) && !r->inflight && r->final) {
                gate_request_forget(g, r);
                r = NULL;
        }
        if (r) {
                g->stats.repeated++;
                if (!r->inflight)
                        gate_send_kept(g, r);
                return 0;
        }
        GateInput *in = malloc(sizeof(*in));
        r = in ? gate_request_new(g, id, digest) : NULL;
        if (!r) {
                free(in);
                gate_send_refusal(
                        g, id, digest, NULL, CODE_BUSY, "too many requests are under way, ask again");
                return 0;
        }
        int rc = gate_input_from_decide(in, m, why, sizeof(why));
        return judge(g, r, in, NULL, rc < 0 ? CODE_INVALID : CODE_OK, why, in->request.incident);
}

/* An answered question is judged anew, with the facts and the time in `in` (taken). */
static int judge_answer(
        Gate *g, Request *r, GateInput *in, ApprovalState state, uint64_t index, const char *malformed) {
        uint64_t age = gate_elapsed_us(&r->in->now, &in->now);
        Code code = CODE_OK;
        const char *why = malformed;
        if (malformed) {
                code = CODE_INVALID;
        } else if (state == APPROVAL_DENIED) {
                code = CODE_APPROVAL_DENIED;
                why = "a person said no";
        } else if (state == APPROVAL_VOID) {
                code = CODE_STALE_TARGET;
                why = "the process that it was meant for is gone";
        } else if (state == APPROVAL_EXPIRED || age >= g->policy->approval_expires_us ||
                   gate_clock_went_back(&r->in->now, &in->now)) {
                code = CODE_APPROVAL_EXPIRED;
                why = "the question expired before it was answered: ask again";
        } else if (strcmp(r->revision, g->policy->revision) != 0 && !GATE_FAULTY(NO_REVISION)) {
                code = CODE_APPROVAL_MISMATCH;
                why = "the policy changed since the question, so its approval is void: ask again";
        } else if (state != APPROVAL_APPROVED) {
                code = CODE_INVALID;
                why = "the question is not answered";
        }
        return judge(g, r, in, r->approval_id, code, why, index);
}

int gate_answered(Gate *g, const Msg *m) {
        const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID), *digest = msg_bytes(m, TAG_DIGEST);
        char approval[49], why[160] = "";
        if (g->ended || !g->started || !id || !digest)
                return g->ended || g->started ? 0 : -EAGAIN;
        str_copy(approval, sizeof(approval), msg_str(m, TAG_APPROVAL_ID));
        if (g->unreadable[0]) {
                gate_send_refusal(g, id, digest, approval, CODE_GOVERNANCE_UNAVAILABLE, g->unreadable);
                return 0;
        }
        Request *r = gate_find(g, id);
        bool known = r && r->approval_id[0] && strcmp(r->approval_id, approval) == 0;
        if (!known || memcmp(r->digest, digest, 32) != 0) {
                g->stats.mismatched++;
                gate_send_refusal(g, id, digest, approval, known ? CODE_APPROVAL_MISMATCH : CODE_UNKNOWN_ID,
                        known ? "the approval is for another request" : "there is no such question");
                return 0;
        }
        if (GATE_FAULTY(JUDGE_TWICE) && r->inflight && r->in)
                r->inflight = false;
        if (r->inflight)
                return 0;
        if (r->final) {
                g->stats.repeated++;
                gate_send_kept(g, r);
                return 0;
        }
        int state = approval_state_from_string(msg_str(m, TAG_STATE));
        GateInput *in = malloc(sizeof(*in));
        if (!in)
                return -ENOMEM;
        *in = *r->in;
        memcpy(in->now.boot_id, g->start.boot_id, 16);
        int rc = gate_input_refresh(in, m, why, sizeof(why));
        uint64_t index = msg_u64(m, TAG_INDEX, UINT64_MAX);
        if (r->state > APPROVAL_APPROVED) { /* closed on record behind the vote that we are told of */
                state = (int)r->state;
                index = r->answer;
        }
        return judge_answer(
                g, r, in, state < 0 ? APPROVAL_PENDING : (ApprovalState)state, index, rc < 0 ? why : NULL);
}

/* The record is durable, and so is every earlier one: now it may be said. */
static void land(Gate *g, Flight *f) {
        Request *r = f->request;
        const GateDecision *d = f->decision;
        if (!r)
                return;
        g->stats.decisions++;
        g->stats.allowed += d->verdict == VERDICT_ALLOW;
        g->stats.denied += d->verdict == VERDICT_DENY;
        g->stats.asked += d->verdict == VERDICT_REQUIRE_APPROVAL;
        gate_trust_decision(g, f->in, d->verdict, d->code, f->index);
        r->inflight = false;
        free(r->in);
        r->in = NULL;
        int rc = gate_keep_verdict(r, d, f->in, f->index);
        if (d->approval_id[0] && d->verdict == VERDICT_REQUIRE_APPROVAL) {
                r->asked = true;
                r->state = APPROVAL_PENDING;
                r->in = TAKE(f->in);
                str_copy(r->approval_id, sizeof(r->approval_id), str_of(d->approval_id));
                str_copy(r->revision, sizeof(r->revision), str_of(d->policy_revision));
        } else {
                r->final = true;
                if (r->asked)
                        r->state = d->verdict == VERDICT_ALLOW ? APPROVAL_USED : APPROVAL_DENIED;
        }
        if (rc < 0)
                end(g, "out of memory");
        else
                gate_send_kept(g, r);
}

void gate_acked(Gate *g, uint64_t token, const char *code, uint64_t index) {
        if (g->ended)
                return;
        if (strcmp(code, "ok") != 0) {
                end(g, "the ledger refused a decision");
                return;
        }
        for (unsigned i = 0; i < g->n_flights; i++)
                if (g->flights[i].token == token) {
                        g->flights[i].acked = true;
                        g->flights[i].index = index;
                }
        while (!g->ended && g->n_flights && g->flights[0].acked) {
                Flight f = g->flights[0];
                memmove(&g->flights[0], &g->flights[1], --g->n_flights * sizeof(Flight));
                land(g, &f);
                free(f.decision);
                free(f.in);
        }
}

/* The record that says under which policy the gate decides from now on. */
static int record_policy(Gate *g) {
        Buf body = BUF_INIT(1024);
        JsonWriter w;
        json_init(&w, &body, true);
        json_object_begin(&w);
        json_kv_u64(&w, "budgets", g->policy->n_budgets);
        json_kv_bool(&w, "lockdown", g->policy->lockdown);
        json_kv_str(&w, "revision", g->policy->revision);
        json_kv_u64(&w, "rules", g->policy->n_rules);
        json_object_end(&w);
        int rc = json_finish(&w);
        if (rc == 0 && g->n_flights < GATE_INFLIGHT_MAX) {
                GateRecord rec = {.kind = RECORD_CONFIG,
                        .ref = UINT64_MAX,
                        .action = "policy",
                        .result = g->policy->revision,
                        .body = {(const char *)body.data, body.len}};
                g->flights[g->n_flights++] = (Flight){.token = ++g->token};
                rc = g->ops.append(g->user, &rec, g->token);
                if (rc < 0)
                        g->n_flights--;
                else
                        str_copy(g->recorded_revision, sizeof(g->recorded_revision),
                                str_of(g->policy->revision));
        }
        buf_done(&body);
        return rc;
}

int gate_set_policy(Gate *g, GatePolicy *policy) {
        budgets_remap(&g->budgets, g->policy, policy);
        gate_policy_free(g->policy);
        g->policy = policy;
        if (!g->started || g->ended)
                return 0;
        gate_send_state(g);
        if (g->unreadable[0])
                return 0;
        return strcmp(g->recorded_revision, policy->revision) != 0 ? record_policy(g) : 0;
}

static bool open_question(const Request *r) {
        return r->asked && !r->final && r->in && r->state <= APPROVAL_APPROVED;
}

int gate_started(Gate *g, const GateNow *now, Mode mode) {
        int rc = 0;
        g->start = *now;
        g->started = true;
        gate_send_state(g);
        if (g->unreadable[0])
                return 0;
        if (strcmp(g->recorded_revision, g->policy->revision) != 0)
                rc = record_policy(g);
        for (unsigned i = 0; i < g->n_requests && !g->ended; i++)
                if (open_question(g->requests[i]))
                        gate_send_pending(g, g->requests[i]);
        for (unsigned i = 0; i < g->n_requests && !g->ended && rc == 0; i++) {
                Request *r = g->requests[i];
                if (!open_question(r) || r->state != APPROVAL_APPROVED || r->inflight ||
                        GATE_FAULTY(FORGETS_ANSWER))
                        continue;
                GateInput *in = malloc(sizeof(*in));
                if (!in)
                        return -ENOMEM;
                *in = *r->in;
                in->now = *now;
                in->mode = mode == MODE_NONE ? in->mode : mode;
                rc = judge_answer(g, r, in, APPROVAL_APPROVED, r->answer, NULL);
        }
        return rc;
}

uint64_t gate_next_index(const Gate *g) {
        return g->next_index;
}

void gate_stats(const Gate *g, GateStats *ret) {
        *ret = g->stats;
        ret->inflight = g->n_flights;
        ret->pending_approvals = 0;
        for (unsigned i = 0; i < g->n_requests; i++)
                ret->pending_approvals += open_question(g->requests[i]);
}
