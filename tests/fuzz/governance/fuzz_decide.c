/* SPDX-License-Identifier: Apache-2.0 */
/* Frames from Guardian to the gate (DECIDE, APPROVAL_ANSWERED) and records from the ledger, one after the
 * other, against a policy that compiles. The digest of a DECIDE is mended, so that what lies behind it is
 * reached. Each append is acknowledged; each body of a decision must be canonical, and what was judged must
 * be read from it again. */
#include "chunks/governance/gate-core.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define API "apiVersion: guardian/policy.v1\n"
static const GatePolicyFile files[] = {
        {"actions.yaml", "actions.yaml",
                STR_LIT(API
                        "actions:\n- {name: restart_service, kind: healing, risk: low, role: operator, "
                        "units: yes, args: any}\n"
                        "- {name: stop, kind: verb, risk: high, role: operator, units: yes, args: any}\n")},
        {"constitution.yaml", "constitution.yaml",
                STR_LIT(API "rules:\n- {id: c, effect: deny, when: '!context.may_ask', reason: r}\n")},
        {"governance.yaml", "governance.yaml",
                STR_LIT(API "rules:\n- {id: a, effect: require_approval, approvals: {operator: 1}, when: "
                            "\"action == 'stop'\", reason: r}\n"
                            "- {id: g, effect: allow, reason: r}\n")},
        {"trust.yaml", "trust.yaml", STR_LIT(API "initial: 50\nceiling: 100\noutcomes: {ok: 1}\n")},
        {"roles.yaml", "roles.yaml", STR_LIT(API "roles: {operator: {uids: [1000]}}\n")},
};

typedef struct Run {
        Gate *gate;
        uint64_t tokens[64], index;
        unsigned n_tokens;
        bool ended;
} Run;

static int op_append(void *user, const GateRecord *r, uint64_t token) {
        Run *run = user;
        if (json_check_canonical(r->body, NULL, NULL) < 0)
                abort();
        if (r->kind == RECORD_DECISION) {
                static GateInput in;
                json_t *j = NULL;
                if (json_read(r->body, 0, &j, NULL, 0) < 0)
                        abort();
                const json_t *request = json_object_get(j, "request");
                if (request && gate_input_from_json(&in, request, "act") < 0)
                        abort();
                json_decref(j);
        }
        if (run->n_tokens == 64)
                return -ENOBUFS;
        run->tokens[run->n_tokens++] = token;
        return 0;
}

static void op_send(void *user, const MsgBuilder *b) {
        Msg m;
        (void)user;
        if (b->error < 0 || msg_view(b, (Str){NULL, 0}, &m) < 0)
                abort();
}

static void op_end(void *user, const char *why) {
        Run *run = user;
        (void)why;
        run->ended = true;
}

static void feed(Run *run, const Msg *m) {
        if (m->type == MSG_DECIDE || m->type == MSG_APPROVAL_ANSWERED) {
                (void)(m->type == MSG_DECIDE ? gate_decide(run->gate, m) : gate_answered(run->gate, m));
        } else if (m->type == MSG_RECORD) {
                (void)gate_record(run->gate, m);
        }
        for (unsigned i = 0; i < run->n_tokens && !run->ended; i++)
                gate_acked(run->gate, run->tokens[i], "ok", run->index++);
        run->n_tokens = 0;
}

/* A header with the digest that the request has. */
static bool mended(const Msg *m, MsgBuilder *b) {
        static ActionRequest request;
        uint8_t *p = NULL;
        uint8_t digest[32];
        if (m->type != MSG_DECIDE || request_from_msg(&request, m) < 0)
                return false;
        request_digest(&request, digest);
        msg_begin(b, m->type);
        memcpy(b->header, m->header.p, m->header.n);
        b->len = (uint16_t)m->header.n;
        p = memmem(b->header, b->len, msg_bytes(m, TAG_DIGEST), 32);
        if (p)
                memcpy(p, digest, 32);
        return p != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const GateOps ops = {.append = op_append, .send = op_send, .end = op_end};
        static const GateNow now = {{1}, 1000000, 1763694000000000};
        Run run = {.index = 100};
        GatePolicy *policy = NULL;
        Problems p = {0};
        bool started = false;
        if (gate_policy_compile(files, 5, 0, &p, &policy) < 0 ||
                gate_new(policy, &ops, &run, &run.gate) < 0) {
                fprintf(stderr, "%s\n", p.n ? p.items[0].message : "no memory");
                abort();
        }
        for (size_t at = 0; at < size && !run.ended;) {
                char why[160];
                size_t used;
                MsgBuilder b;
                Msg m, again;
                if (msg_decode(data + at, size - at, &m, &used, why, sizeof(why)) != 0)
                        break;
                at += used;
                if (!started && m.type != MSG_RECORD) {
                        started = true;
                        gate_started(run.gate, &now, MODE_ENFORCE);
                }
                if (mended(&m, &b) && msg_view(&b, m.payload, &again) == 0)
                        m = again;
                feed(&run, &m);
        }
        gate_free(run.gate);
        problems_done(&p);
        return 0;
}
