/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses the file of the policy that the rest stands for; the others are the smallest that
 * compile. What compiles must evaluate, twice alike, and give a canonical body. */
#include "chunks/governance/gate-eval.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define API "apiVersion: guardian/policy.v1\n"
static const char *const names[] = {
        "actions.yaml", "constitution.yaml", "governance.yaml", "trust.yaml", "roles.yaml"};
static const char *const smallest[] = {
        API "actions:\n- {name: restart_service, kind: healing, risk: low, role: operator, units: yes, args: "
            "any}\n",
        API "rules:\n- {id: c, effect: deny, when: '!context.may_ask', reason: r}\n",
        API "rules:\n- {id: g, effect: allow, reason: r}\n",
        API "initial: 50\nceiling: 100\noutcomes: {ok: 1}\n",
        API "roles: {operator: {uids: [1000]}}\n",
};

static void judge(const GatePolicy *policy) {
        GateInput *in = calloc(1, sizeof(*in));
        GateDecision *d = calloc(2, sizeof(*d));
        Buf out[2] = {BUF_INIT(1 << 20), BUF_INIT(1 << 20)};
        if (!in || !d)
                abort();
        in->mode = MODE_ENFORCE;
        in->trust = 50;
        in->uid = in->request.incident = UINT64_MAX;
        strcpy(in->actor_kind, "unit");
        strcpy(in->purpose, "act");
        strcpy(in->request.actor, "immune");
        strcpy(in->request.action, "restart_service");
        strcpy(in->request.target, "web");
        strcpy(in->heal[in->n_heal++], "restart_service");
        in->facts[in->n_facts++] = (GateFact){.name = "exits", .type = RULE_INT, .i = 3};
        for (unsigned i = 0; i < 2; i++) {
                gate_evaluate(policy, in, NULL, &d[i]);
                if (gate_decision_body(&d[i], in, &out[i]) == 0 &&
                        json_check_canonical((Str){(const char *)out[i].data, out[i].len}, NULL, NULL) < 0)
                        abort();
        }
        if (out[0].len != out[1].len || (out[0].len && memcmp(out[0].data, out[1].data, out[0].len) != 0))
                abort();
        buf_done(&out[0]);
        buf_done(&out[1]);
        free(in);
        free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        GatePolicyFile files[5];
        Problems p = {0};
        GatePolicy *policy;
        if (size < 1)
                return 0;
        for (unsigned i = 0; i < 5; i++)
                files[i] = (GatePolicyFile){names[i], names[i], str_of(smallest[i])};
        files[(data[0] - '0') % 5u].text = (Str){(const char *)data + 1, size - 1};
        int r = gate_policy_compile(files, 5, 0, &p, &policy);
        if (r == 0)
                judge(policy);
        else if (p.errors == 0)
                abort(); /* a refusal always says why */
        gate_policy_free(policy);
        problems_done(&p);
        return 0;
}
