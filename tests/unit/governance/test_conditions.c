/* SPDX-License-Identifier: Apache-2.0 */
/* Each field that a condition may name, and what becomes of a condition whose field the request has not: an
 * allow does not match, what tightens does. */
#include "fixture.h"
#include "chunks/governance/gate-eval.h"
#include "common/cleanup.h"
#include <check.h>
#include <stdio.h>
#include <string.h>

#define API "apiVersion: guardian/policy.v1\n"
#define ACTIONS                                                                                              \
        API "actions:\n- {name: heal, kind: healing, risk: low, role: operator, units: yes, args: any}\n"
#define CONSTITUTION API "rules:\n- {id: c, effect: deny, when: context.break_glass, reason: r}\n"
#define TRUST        API "initial: 50\nceiling: 100\noutcomes: {ok: 1}\n"
#define BUDGET                                                                                               \
        "budgets:\n- {id: b, scope: all, limit: 3, window: 1min, when: context.healing}\n"                   \
        "- {id: other, scope: all, limit: 3, window: 1min, when: context.paused}\n"

typedef enum Truth { NO, YES, MISSING } Truth;
static const struct {
        const char *when;
        Truth truth;
} table[] = {
        {"actor.id == 'immune'", YES},
        {"actor.id == 'web'", NO},
        {"actor.kind == 'unit'", YES},
        {"actor.kind == 'person'", NO},
        {"actor.uid == 0", MISSING}, /* a unit has none: not that of root */
        {"actor.uid exists", NO},
        {"actor.role == 'admin'", MISSING},
        {"actor.trust >= 50", YES},
        {"actor.trust > 50", NO},
        {"action == 'heal'", YES},
        {"args.mode == 'soft'", YES},
        {"args.mode == 'hard'", NO},
        {"args.mod == 'soft'", MISSING}, /* a name that begins alike is another */
        {"args.none exists", NO},
        {"reason == 'it hangs'", YES},
        {"reason == 'x'", NO},
        {"resource.name == 'web'", YES},
        {"resource.priority == 1.5", YES},
        {"resource.priority > 1.5", NO},
        {"resource.critical", YES},
        {"resource.can_fail", NO},
        {"resource.heal has 'heal'", YES},
        {"resource.heal has 'rollback'", NO},
        {"resource.labels.tier == 'front'", YES},
        {"resource.labels.tier == 'back'", NO},
        {"resource.labels.team == 'a'", MISSING},
        {"context.now >= 2001-09-09T01:46:40Z", YES},
        {"context.now > 2001-09-09T01:46:40Z", NO},
        {"context.mode == 'enforce'", YES},
        {"context.mode == 'log_only'", NO},
        {"context.incident == 7", YES},
        {"context.incident == 8", NO},
        {"context.paused", NO},
        {"context.lockdown", NO},
        {"context.break_glass", NO},
        {"context.purpose == 'act'", YES},
        {"context.purpose == 'check'", NO},
        {"context.facts.exits == 3", YES},
        {"context.facts.exits > 3", NO},
        {"context.facts.signal == 'SEGV'", YES},
        {"context.facts.signal == 'TERM'", NO},
        {"context.facts.growing == true", YES},
        {"context.facts.growing == false", NO},
        {"context.facts.rss > 0", MISSING}, /* only claimed: no fact */
        {"context.claims.rss == 9", YES},
        {"context.claims.exits == 3", MISSING}, /* only a fact: nobody claimed it */
        {"context.budget.b == 2", YES},
        {"context.budget.b == 0", NO},
        {"context.budget.other > 0", MISSING}, /* it does not count against that one */
        {"context.healing", YES},
        {"context.heal_listed", YES},
        {"context.may_ask", YES},
        {"context.risk == 'low'", YES},
        {"context.risk == 'high'", NO},
};

static GateInput *request(void) {
        GateInput *in = calloc(1, sizeof(*in));
        *in = (GateInput){.mode = MODE_ENFORCE,
                .uid = UINT64_MAX,
                .role = ROLE_NOBODY,
                .trust = 50,
                .priority_milli = 1500,
                .critical = true,
                .now = {.wall_us = 1000000000000000ull},
                .n_heal = 2,
                .heal = {"clear_cache", "heal"},
                .n_labels = 1,
                .labels = {"tier=front"},
                .n_facts = 3,
                .facts = {{"exits", RULE_INT, 3, ""}, {"growing", RULE_BOOL, 1, ""},
                        {"signal", RULE_STRING, 0, "SEGV"}},
                .n_claims = 1,
                .claims = {{"rss", RULE_INT, 9, ""}},
                .n_budgets = 1,
                .budgets = {{"b", 2}}};
        in->request = (ActionRequest){.incident = 7, .n_args = 1, .args = {"mode=soft"}};
        strcpy(in->actor_kind, "unit");
        strcpy(in->purpose, "act");
        strcpy(in->reason, "it hangs");
        strcpy(in->request.actor, "immune");
        strcpy(in->request.action, "heal");
        strcpy(in->request.target, "web");
        return in;
}

/* The verdict on `in` under a policy with these rules. */
static Verdict verdict(const char *rules, const GateInput *in) {
        auto_free char *governance = NULL;
        auto_free GateDecision *d = calloc(1, sizeof(*d));
        GatePolicy *policy = NULL;
        Problems p = {0};
        ck_assert_int_gt(asprintf(&governance, API BUDGET "rules:\n%s", rules), 0);
        GatePolicyFile files[] = {{"actions.yaml", "actions.yaml", STR_LIT(ACTIONS)},
                {"constitution.yaml", "constitution.yaml", STR_LIT(CONSTITUTION)},
                {"governance.yaml", "governance.yaml", str_of(governance)},
                {"trust.yaml", "trust.yaml", STR_LIT(TRUST)}};
        int r = gate_policy_compile(files, ELEMENTSOF(files), 0, &p, &policy);
        ck_assert_msg(r == 0, "%s: %s", rules, p.n ? p.items[0].message : strerror(-r));
        gate_evaluate(policy, in, NULL, d);
        gate_policy_free(policy);
        problems_done(&p);
        return d->verdict;
}

START_TEST(what_a_condition_may_ask) {
        auto_free GateInput *in = request();
        auto_free char *allow = NULL, *deny = NULL;
        ck_assert_int_gt(
                asprintf(&allow, "- {id: a, effect: allow, reason: r, when: \"%s\"}\n", table[_i].when), 0);
        ck_assert_int_gt(asprintf(&deny,
                                 "- {id: a, effect: allow, reason: r}\n"
                                 "- {id: d, effect: deny, reason: r, when: \"%s\"}\n",
                                 table[_i].when),
                0);
        ck_assert_msg(verdict(allow, in) == (table[_i].truth == YES ? VERDICT_ALLOW : VERDICT_DENY),
                "allow when %s", table[_i].when);
        ck_assert_msg(verdict(deny, in) == (table[_i].truth == NO ? VERDICT_ALLOW : VERDICT_DENY),
                "deny when %s", table[_i].when);
}
END_TEST

#define ALLOW(when) "- {id: a, effect: allow, reason: r, when: \"" when "\"}\n"
/* The same fields, of a person whom nobody asked about an incident. */
START_TEST(a_person_has_a_uid_and_a_role_and_no_trust) {
        auto_free GateInput *in = request();
        strcpy(in->actor_kind, "person");
        in->uid = 1000;
        in->role = ROLE_OPERATOR;
        in->trust = -1;
        in->request.incident = UINT64_MAX;
        in->reason[0] = '\0';
        ck_assert_int_eq(verdict(ALLOW("actor.uid == 1000 && actor.role == 'operator'"), in), VERDICT_ALLOW);
        ck_assert_int_eq(verdict(ALLOW("actor.uid == 0"), in), VERDICT_DENY);
        ck_assert_int_eq(verdict(ALLOW("actor.role == 'admin'"), in), VERDICT_DENY);
        ck_assert_int_eq(verdict(ALLOW("context.may_ask"), in), VERDICT_ALLOW);
        ck_assert_int_eq(
                verdict(ALLOW("!(actor.trust exists) && !(reason exists) && !(context.incident exists)"), in),
                VERDICT_ALLOW);
        in->role = ROLE_OBSERVER;
        ck_assert_int_eq(verdict(ALLOW("context.may_ask"), in), VERDICT_DENY);
}
END_TEST

/* What could not be looked up is on record beside the verdict. */
START_TEST(an_error_is_recorded) {
        auto_free GateInput *in = request();
        auto_free GateDecision *d = calloc(1, sizeof(*d));
        GatePolicyFile files[] = {{"actions.yaml", "actions.yaml", STR_LIT(ACTIONS)},
                {"constitution.yaml", "constitution.yaml", STR_LIT(CONSTITUTION)},
                {"governance.yaml", "governance.yaml",
                        STR_LIT(API "rules:\n- {id: d, effect: deny, reason: r, when: 'context.facts.rss > "
                                    "1'}\n")},
                {"trust.yaml", "trust.yaml", STR_LIT(TRUST)}};
        GatePolicy *policy;
        Problems p = {0};
        Buf body = BUF_INIT(65536);
        ck_assert_int_eq(gate_policy_compile(files, ELEMENTSOF(files), 0, &p, &policy), 0);
        gate_evaluate(policy, in, NULL, d);
        ck_assert_uint_eq(d->n_errors, 1);
        ck_assert_int_eq(gate_decision_body(d, in, &body), 0);
        ck_assert_msg(memmem(body.data, body.len, "\"errors\":[\"d", 11) != NULL, "%.*s", (int)body.len,
                (const char *)body.data);
        buf_done(&body);
        gate_policy_free(policy);
        problems_done(&p);
}
END_TEST

int main(void) {
        Suite *s = suite_create("conditions");
        TCase *t = tcase_create("conditions");
        tcase_add_loop_test(t, what_a_condition_may_ask, 0, ELEMENTSOF(table));
        tcase_add_test(t, a_person_has_a_uid_and_a_role_and_no_trust);
        tcase_add_test(t, an_error_is_recorded);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
