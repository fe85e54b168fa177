/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's memory is a fold over the ledger: what stands here is all that a restart brings back. */
#include "chunks/governance/gate-internal.h"
#include "common/cleanup.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_rule(const json_t *o, GateDecision *d) {
        int effect = verdict_from_string(str_of(json_get_str(o, "effect", "")));
        GateTier tier = TIER_CONSTITUTIONAL;
        while (tier < _TIER_MAX && strcmp(gate_tier_to_string(tier), json_get_str(o, "tier", "")) != 0)
                tier++;
        if (effect < 0 || tier == _TIER_MAX || d->n_matched == GATE_MATCHED_MAX)
                return false;
        str_copy(d->matched[d->n_matched].id, sizeof(d->matched[0].id), str_of(json_get_str(o, "id", "")));
        d->matched[d->n_matched].effect = (Verdict)effect;
        d->matched[d->n_matched++].tier = tier;
        return true;
}

static bool read_need(const json_t *v, GateDecision *d) {
        Str role, n;
        char digits[16];
        uint64_t count;
        const char *text = json_string_value(v);
        if (!text || !str_split(str_of(text), ':', &role, &n) || n.n >= sizeof(digits))
                return false;
        int r = role_from_string(role);
        if (r < 0 || parse_u64(str_copy(digits, sizeof(digits), n), &count) < 0 ||
                d->n_needs == GATE_NEEDS_MAX)
                return false;
        d->needs[d->n_needs++] = (GateNeed){(Role)r, (unsigned)count};
        return true;
}

/* A decision's body back into what was decided. */
static int read_decision(const json_t *body, GateDecision *d) {
        const char *would = json_get_str(body, "would", NULL);
        size_t i;
        json_t *v;
        memset(d, 0, sizeof(*d));
        int verdict = verdict_from_string(str_of(json_get_str(body, "verdict", "")));
        int code = code_from_string(str_of(json_get_str(body, "code", "")));
        int w = would ? verdict_from_string(str_of(would)) : verdict;
        if (verdict <= (int)VERDICT_NONE || code < 0 || w < 0)
                return -EBADMSG;
        d->verdict = (Verdict)verdict;
        d->would = (Verdict)w;
        d->code = (Code)code;
        d->expires_us = json_get_u64(body, "expires_us", 0);
        str_copy(d->approval_id, sizeof(d->approval_id), str_of(json_get_str(body, "approval_id", "")));
        str_copy(d->policy_revision, sizeof(d->policy_revision),
                str_of(json_get_str(body, "policy_revision", "")));
        str_copy(d->reason, sizeof(d->reason), str_of(json_get_str(body, "reason", "")));
        json_array_foreach(json_object_get(body, "rules"), i, v) {
                if (!read_rule(v, d))
                        return -EBADMSG;
        }
        json_array_foreach(json_object_get(body, "needs"), i, v) {
                if (!read_need(v, d))
                        return -EBADMSG;
        }
        return 0;
}

static int apply_decision(Gate *g, Request *r, const GateDecision *d, GateInput *in, uint64_t index) {
        if (d->verdict == VERDICT_ALLOW && strcmp(in->purpose, "act") == 0) {
                int rc = budgets_reserve(&g->budgets, g->policy, in);
                if (rc < 0)
                        return rc;
        }
        gate_trust_decision(g, in, d->verdict, d->code, index);
        free(r->in);
        r->in = NULL;
        if (d->verdict != VERDICT_REQUIRE_APPROVAL || !d->approval_id[0]) {
                r->final = true;
                if (r->asked)
                        r->state = d->verdict == VERDICT_ALLOW ? APPROVAL_USED : APPROVAL_DENIED;
                return gate_keep_verdict(r, d, in, index);
        }
        r->asked = true;
        r->state = APPROVAL_PENDING;
        str_copy(r->approval_id, sizeof(r->approval_id), str_of(d->approval_id));
        str_copy(r->revision, sizeof(r->revision), str_of(d->policy_revision));
        r->in = malloc(sizeof(*in));
        if (!r->in)
                return -ENOMEM;
        *r->in = *in;
        return gate_keep_verdict(r, d, in, index);
}

static int fold_decision(Gate *g, const Msg *m, const char **why) {
        const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID), *digest = msg_bytes(m, TAG_DIGEST);
        auto_json json_t *body = NULL;
        auto_free GateDecision *d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        *why = "it names no request";
        if (!id || !digest)
                return -EBADMSG;
        *why = "its body is not what this version writes";
        if (json_read(m->payload, 0, &body, NULL, 0) < 0 || read_decision(body, d) < 0)
                return -EBADMSG;
        *why = "its request is not what this version writes";
        GateInput *in = &g->scratch;
        if (gate_input_from_json(in, json_object_get(body, "request"), json_get_str(body, "purpose", "act")) <
                        0 ||
                memcmp(in->request.request_id, id, 16) != 0)
                return -EBADMSG;
        /* A request refused as malformed was recorded as far as it could be read; its digest is the one that
         * was claimed. */
        memcpy(in->digest, digest, 32);
        Request *r = gate_find(g, id);
        *why = "its request was decided before";
        if (r && (r->final || memcmp(r->digest, digest, 32) != 0))
                return -EBADMSG; /* nothing of ours wrote that */
        if (!r)
                r = gate_request_new(g, id, digest);
        return r ? apply_decision(g, r, d, in, msg_u64(m, TAG_INDEX, 0)) : -ENOMEM;
}

/* Votes, expiry and void are Guardian's: the deciding one carries the state in its result. */
static void fold_approval(Gate *g, const Msg *m) {
        const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID);
        int state = approval_state_from_string(msg_str(m, TAG_RESULT));
        Request *r = id ? gate_find(g, id) : NULL;
        /* The first record that closes a question stands; a vote that was under way then comes behind it. */
        if (!r || !r->asked || r->final || r->inflight || state <= (int)APPROVAL_PENDING ||
                r->state > APPROVAL_APPROVED)
                return;
        r->state = (ApprovalState)state;
        r->answer = msg_u64(m, TAG_INDEX, UINT64_MAX);
}

static void moment(const Gate *g, const Msg *m, GateNow *ret) {
        const uint8_t *boot = msg_bytes(m, TAG_BOOT_ID);
        memcpy(ret->boot_id, boot ? boot : g->start.boot_id, 16);
        ret->boot_us = msg_u64(m, TAG_NOW_BOOT_US, 0);
        ret->wall_us = msg_u64(m, TAG_TIME_NS, 0) / 1000;
}

static int fold_action(Gate *g, const Msg *m) {
        const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID);
        int outcome = outcome_from_string(msg_str(m, TAG_RESULT));
        char actor[161];
        GateNow when;
        if (!id || outcome < 0)
                return 0;
        if (outcome == (int)OUTCOME_NOT_RUN)
                budgets_release(&g->budgets, id);
        str_copy(actor, sizeof(actor), msg_str(m, TAG_ACTOR));
        int64_t delta = g->policy->trust.outcome[outcome];
        if (!actor[0] || strncmp(actor, "uid:", 4) == 0 || delta == 0)
                return 0;
        moment(g, m, &when);
        return trust_move(&g->trust, &g->policy->trust, actor, delta, outcome_to_string(outcome),
                msg_u64(m, TAG_INDEX, 0), &when);
}

int gate_record(Gate *g, const Msg *m) {
        uint64_t index = msg_u64(m, TAG_INDEX, 0);
        const char *why = "";
        int rc = 0;
        if (g->ended || g->unreadable[0] || index < g->next_index)
                return 0;
        switch ((RecordKind)msg_u64(m, TAG_KIND, RECORD_NONE)) {
        case RECORD_DECISION:
                if (!g->started) /* our own later ones are folded when they are acknowledged */
                        rc = fold_decision(g, m, &why);
                break;
        case RECORD_APPROVAL:
                fold_approval(g, m);
                break;
        case RECORD_ACTION:
                rc = fold_action(g, m);
                break;
        case RECORD_CONFIG:
                if (str_eq(msg_str(m, TAG_ACTION), "policy"))
                        str_copy(g->recorded_revision, sizeof(g->recorded_revision), msg_str(m, TAG_RESULT));
                break;
        case RECORD_INTENT:
        case RECORD_NONE:
        case RECORD_BOOT:
        case RECORD_UNIT:
        case RECORD_EVENT:
        case RECORD_ANOMALY:
        case RECORD_INCIDENT:
        case RECORD_KEY:
        case RECORD_RECOVERY:
        case RECORD_LOSS:
        case RECORD_CHECKPOINT:
        case _RECORD_MAX:
                break;
        }
        if (rc == 0) {
                g->next_index = index + 1;
                g->stats.records++;
        } else if (rc == -EBADMSG) {
                snprintf(g->unreadable, sizeof(g->unreadable),
                        "record %" PRIu64
                        " of the ledger is a decision that can't be read (%s), so everything is denied. Run "
                        "the version of Guardian that wrote it; or stop Guardian, move STATE/ledger "
                        "elsewhere to keep it, "
                        "and start with a new ledger",
                        index, why);
        }
        return rc;
}

const char *gate_unreadable(const Gate *g) {
        return g->unreadable[0] ? g->unreadable : NULL;
}

void gate_seen_to(Gate *g, uint64_t next) {
        if (next > g->next_index)
                g->next_index = next;
}

void gate_trust_json(const Gate *g, const char *component, const GateNow *now, JsonWriter *w) {
        trust_json(&g->trust, &g->policy->trust, component, now, w);
}

void gate_policy_json(const Gate *g, JsonWriter *w) {
        const GatePolicy *p = g->policy;
        json_object_begin(w);
        json_kv_u64(w, "budgets", p->n_budgets);
        json_kv_bool(w, "lockdown", p->lockdown);
        json_kv_str(w, "revision", p->revision);
        json_key(w, "rules");
        json_array_begin(w);
        for (unsigned i = 0; i < p->n_rules; i++) {
                json_object_begin(w);
                json_kv_str(w, "effect", verdict_to_string((int)p->rules[i].effect));
                json_kv_str(w, "file", p->rules[i].file);
                json_kv_str(w, "id", p->rules[i].id);
                json_kv_u64(w, "line", p->rules[i].line);
                json_kv_str(w, "reason", p->rules[i].reason);
                json_kv_str(w, "tier", gate_tier_to_string(p->rules[i].tier));
                json_object_end(w);
        }
        json_array_end(w);
        json_object_end(w);
}
