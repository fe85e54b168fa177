/* SPDX-License-Identifier: Apache-2.0 */
/* policies/actions.yaml and the verb table of enforcement say the same. */
#include "fixture.h"
#include "guardian/enforce/enforce.h"
#include <check.h>
#include <string.h>

START_TEST(verbs_and_actions_agree) {
        GatePolicy *p = shipped_policy();
        size_t n;
        const EnforceVerb *verbs = enforce_verbs(&n);
        for (size_t i = 0; i < n; i++) {
                const GateAction *a = gate_policy_action(p, verbs[i].name);
                ck_assert_msg(a != NULL, "%s is missing in actions.yaml", verbs[i].name);
                ck_assert_msg(a->healing == verbs[i].healing && a->role == verbs[i].role, "%s differs",
                        verbs[i].name);
                ck_assert_msg(a->units == verbs[i].healing, "%s: units may ask for healing and nothing else",
                        a->name);
        }
        for (unsigned i = 0; i < p->n_actions; i++)
                ck_assert_msg(enforce_verb(str_of(p->actions[i].name)) != NULL, "%s is no verb",
                        p->actions[i].name);
        gate_policy_free(p);
}
END_TEST

int main(void) {
        Suite *s = suite_create("actions");
        TCase *t = tcase_create("actions");
        tcase_add_test(t, verbs_and_actions_agree);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
