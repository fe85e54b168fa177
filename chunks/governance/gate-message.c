/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/governance/gate-internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RULES_TOLD = 16 };

static void put_needs(MsgBuilder *b, const GateDecision *d) {
        for (unsigned i = 0; i < d->n_needs; i++)
                msg_putf(b, TAG_NEED, "%s:%u", role_to_string((int)d->needs[i].role), d->needs[i].n);
}

int gate_keep_verdict(Request *r, const GateDecision *d, const GateInput *in, uint64_t index) {
        MsgBuilder b;
        msg_begin(&b, MSG_VERDICT);
        msg_put_bytes(&b, TAG_REQUEST_ID, r->id);
        msg_put_bytes(&b, TAG_DIGEST, r->digest);
        msg_put_u64(&b, TAG_VERDICT, d->verdict);
        msg_put_cstr(&b, TAG_CODE, code_to_string((int)d->code));
        msg_put_u64(&b, TAG_DECISION_INDEX, index);
        if (d->would != d->verdict)
                msg_put_u64(&b, TAG_WOULD, d->would);
        if (d->verdict == VERDICT_ALLOW)
                msg_put_u64(&b, TAG_USE_BY_US, in->now.boot_us + GATE_USE_BY_US);
        if (d->approval_id[0])
                msg_put_cstr(&b, TAG_APPROVAL_ID, d->approval_id);
        if (d->expires_us)
                msg_put_u64(&b, TAG_EXPIRES_NS, d->expires_us * 1000);
        msg_put_cstr(&b, TAG_POLICY_REVISION, d->policy_revision);
        for (unsigned i = 0; i < d->n_matched && i < RULES_TOLD; i++)
                msg_putf(&b, TAG_RULE, "%s|%s|%s", d->matched[i].id,
                        verdict_to_string((int)d->matched[i].effect),
                        gate_tier_to_string(d->matched[i].tier));
        put_needs(&b, d);
        if (d->reason[0])
                msg_put_text(&b, TAG_REASON, d->reason);
        if (b.error < 0)
                return b.error;
        uint8_t *copy = malloc(b.len);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, b.header, b.len);
        free(r->verdict);
        r->verdict = copy;
        r->verdict_len = b.len;
        r->verdict_fields = b.fields;
        r->index = index;
        return 0;
}

void gate_send_kept(Gate *g, const Request *r) {
        MsgBuilder b;
        msg_begin(&b, MSG_VERDICT);
        memcpy(b.header, r->verdict, r->verdict_len);
        b.len = r->verdict_len;
        b.fields = r->verdict_fields;
        g->ops.send(g->user, &b);
}

void gate_send_refusal(Gate *g, const uint8_t id[16], const uint8_t digest[32], const char *approval_id,
        Code code, const char *reason) {
        MsgBuilder b;
        msg_begin(&b, MSG_VERDICT);
        msg_put_bytes(&b, TAG_REQUEST_ID, id);
        msg_put_bytes(&b, TAG_DIGEST, digest);
        msg_put_u64(&b, TAG_VERDICT, VERDICT_DENY);
        msg_put_cstr(&b, TAG_CODE, code_to_string((int)code));
        if (approval_id && *approval_id)
                msg_put_cstr(&b, TAG_APPROVAL_ID, approval_id);
        msg_put_cstr(&b, TAG_POLICY_REVISION, g->policy->revision);
        msg_put_text(&b, TAG_REASON, reason);
        g->ops.send(g->user, &b);
}

void gate_send_state(Gate *g) {
        MsgBuilder b;
        msg_begin(&b, MSG_POLICY_STATE);
        msg_put_cstr(&b, TAG_POLICY_REVISION, g->policy->revision);
        msg_put_u64(&b, TAG_RULES_COUNT, g->policy->n_rules);
        msg_put_cstr(&b, TAG_STATE, g->unreadable[0] ? "failed" : g->policy->lockdown ? "lockdown" : "ready");
        if (g->unreadable[0])
                msg_put_text(&b, TAG_ISSUE, g->unreadable);
        g->ops.send(g->user, &b);
}

void gate_send_pending(Gate *g, const Request *r) {
        Msg kept = {.type = MSG_VERDICT, .header = {(const char *)r->verdict, r->verdict_len}};
        MsgBuilder b;
        msg_begin(&b, MSG_APPROVAL_PENDING);
        msg_put_cstr(&b, TAG_APPROVAL_ID, r->approval_id);
        request_to_msg(&r->in->request, &b);
        msg_put_bytes(&b, TAG_DIGEST, r->digest);
        msg_put_u64(&b, TAG_DECISION_INDEX, r->index);
        msg_put_cstr(&b, TAG_ACTOR_KIND, r->in->actor_kind);
        msg_copy(&b, &kept, TAG_NEED);
        msg_copy(&b, &kept, TAG_RULE);
        msg_put_cstr(&b, TAG_CORRELATION_ID, r->in->correlation_id);
        if (r->in->reason[0])
                msg_put_text(&b, TAG_REASON, r->in->reason);
        msg_put_u64(&b, TAG_TIME_NS, r->in->now.wall_us * 1000);
        msg_put_u64(&b, TAG_EXPIRES_NS, msg_u64(&kept, TAG_EXPIRES_NS, 0));
        msg_put_cstr(&b, TAG_POLICY_REVISION, r->revision);
        msg_put_cstr(&b, TAG_STATE, approval_state_to_string((int)r->state));
        g->ops.send(g->user, &b);
}
