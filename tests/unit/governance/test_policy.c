/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define API "apiVersion: guardian/policy.v1\n"
#define ACTIONS                                                                                              \
        API "actions:\n- {name: heal, kind: healing, risk: low, role: operator, units: yes, args: any}\n"    \
            "- {name: stop, kind: verb, risk: low, role: admin}\n"
#define CONSTITUTION API "rules:\n- {id: c, effect: deny, when: '!context.may_ask', reason: r}\n"
#define GOVERNANCE   API "rules:\n- {id: g, effect: allow, reason: r}\n"
#define TRUST        API "initial: 50\nceiling: 100\noutcomes: {ok: 1}\n"

static Problems problems;
static GatePolicy *policy;

static void setup(void) {
        problems = (Problems){0};
        policy = NULL;
}
static void teardown(void) {
        problems_done(&problems);
        gate_policy_free(policy);
}

static int compile(const char *actions, const char *constitution, const char *governance, const char *trust,
        const char *roles) {
        GatePolicyFile f[5] = {{"actions.yaml", "actions.yaml", str_of(actions)},
                {"constitution.yaml", "constitution.yaml", str_of(constitution)},
                {"governance.yaml", "governance.yaml", str_of(governance)},
                {"trust.yaml", "trust.yaml", str_of(trust)}, {"roles.yaml", "roles.yaml", str_of(roles)}};
        GatePolicyFile given[5];
        size_t n = 0;
        for (unsigned i = 0; i < 5; i++)
                if (f[i].text.p)
                        given[n++] = f[i];
        return gate_policy_compile(given, n, 0, &problems, &policy);
}

START_TEST(smallest_policy) {
        ck_assert_int_eq(compile(ACTIONS, CONSTITUTION, GOVERNANCE, TRUST, NULL), 0);
        ck_assert_uint_eq(policy->n_rules, 2);
        ck_assert_int_eq(policy->rules[0].tier, TIER_CONSTITUTIONAL);
        ck_assert_int_eq(policy->rules[1].tier, TIER_ORGANISATION);
        ck_assert_uint_eq(problems.n, 0);
}
END_TEST

#define RULE(text) API "rules:\n- {id: x, reason: r, " text "}\n"
static const struct {
        const char *file, *text, *code, *hint;
} bad[] = {
        {"governance.yaml", RULE("effect: alow"), "unknown-value", "did you mean 'allow'?"},
        {"governance.yaml", RULE("effect: allow, tier: unit"), "contradiction", ""},
        {"governance.yaml", RULE("effect: allow, tier: lockdown"), "contradiction", ""},
        {"governance.yaml", RULE("effect: deny, tier: constitutional"), "unknown-value", ""},
        {"governance.yaml", RULE("effect: allow, enforce: log_only"), "contradiction", ""},
        {"governance.yaml", RULE("effect: deny, tier: lockdown, enforce: log_only"), "contradiction", ""},
        {"governance.yaml", RULE("effect: allow, code: paused"), "contradiction", ""},
        {"governance.yaml", RULE("effect: deny, code: nosuch"), "unknown-value", ""},
        {"governance.yaml", RULE("effect: deny, approvals: {operator: 1}"), "contradiction", ""},
        {"governance.yaml", RULE("effect: require_approval, approvals: {owner: 1}"), "unknown-value",
                "one of: operator, admin"},
        {"governance.yaml", RULE("effect: require_approval, approvals: {operator: 2}"), "approvers-missing",
                ""},
        {"governance.yaml", RULE("effect: require_approval, approvals: {operator: 1, admin: 1}"),
                "approvers-missing", ""},
        {"governance.yaml", RULE("effect: allow, when: \"action == 'hael'\""), "unknown-value",
                "did you mean 'heal'?"},
        {"governance.yaml", RULE("effect: allow, when: 'actor.turst > 3'"), "unknown-field",
                "did you mean 'actor.trust'?"},
        {"governance.yaml", RULE("effect: allow, when: 'context.budget.none > 0'"), "unknown-field", ""},
        {"governance.yaml", RULE("effect: allow, whne: 'context.paused'"), "unknown-key",
                "did you mean 'when'?"},
        {"governance.yaml", API "rules:\n- {id: c, effect: deny, reason: r}\n", "duplicate", ""},
        {"governance.yaml", API "rules: []\napprovals: {expires: 16min}\n", "out-of-range", ""},
        {"governance.yaml",
                API
                "rules: []\nbudgets:\n- {id: a, scope: unit, limit: 1, window: 1s, when: context.healing}\n",
                "unknown-value", ""},
        {"governance.yaml",
                API
                "rules: []\nbudgets:\n- {id: a, scope: all, limit: 1, window: 1s, when: context.healing}\n"
                "- {id: a, scope: all, limit: 1, window: 1s, when: context.healing}\n",
                "bad-value", ""},
        {"governance.yaml",
                API "rules: []\nbudgets:\n- {id: 'a|b', scope: all, limit: 1, window: 1s, when: "
                    "context.healing}\n",
                "bad-value", ""},
        {"governance.yaml", API "rules:\n- {id: 'a|b', effect: deny, reason: r}\n", "contradiction", ""},
        {"governance.yaml", "apiVersion: guardian/policy.v2\nrules: []\n", "unknown-value",
                "this version of Guardian reads guardian/policy.v1"},
        {"governance.yaml", "rules: []\n", "missing-key", ""},
        {"constitution.yaml", RULE("effect: deny, tier: organisation"), "contradiction", ""},
        {"constitution.yaml", RULE("effect: deny, enforce: critical"), "contradiction", ""},
        {"actions.yaml", ACTIONS "- {name: heal, kind: healing, risk: low, role: operator}\n", "duplicate",
                ""},
        {"actions.yaml", API "actions:\n- {name: a, kind: verb, risk: low, role: root}\n", "unknown-value",
                ""},
        {"actions.yaml", API "actions:\n- {name: a, kind: verb, risk: low, role: none, args: {x: maybe}}\n",
                "bad-value", ""},
        {"trust.yaml", API "initial: 150\nceiling: 100\noutcomes: {ok: 1}\n", "out-of-range",
                "0 <= floor <= initial <= ceiling <= 1000"},
        {"trust.yaml", API "initial: 50\noutcomes: {good: 1}\n", "unknown-key",
                "one of: ok, failed, unknown, not_run"},
        {"roles.yaml", API "roles: {owner: {}}\n", "unknown-key", ""},
        {"roles.yaml", API "roles: {admin: {uid: [1]}}\n", "unknown-key", "did you mean 'uids'?"},
};

START_TEST(load_errors) {
        const char *texts[] = {ACTIONS, CONSTITUTION, GOVERNANCE, TRUST, NULL};
        static const char *const names[] = {
                "actions.yaml", "constitution.yaml", "governance.yaml", "trust.yaml", "roles.yaml"};
        for (unsigned i = 0; i < 5; i++)
                if (strcmp(names[i], bad[_i].file) == 0)
                        texts[i] = bad[_i].text;
        ck_assert_int_eq(compile(texts[0], texts[1], texts[2], texts[3], texts[4]), -EINVAL);
        ck_assert_ptr_null(policy);
        ck_assert_msg(strcmp(problems.items[0].code, bad[_i].code) == 0, "%s: %s", problems.items[0].code,
                problems.items[0].message);
        ck_assert_str_eq(problems.items[0].file, bad[_i].file);
        if (*bad[_i].hint)
                ck_assert_str_eq(problems.items[0].hint, bad[_i].hint);
}
END_TEST

/* One fault is one problem: what a bad file would have named is not held against the others. */
START_TEST(a_fault_is_said_once) {
        static const char rules[] = RULE("effect: allow, when: \"action == 'heal' && context.budget.b > 0\"");
        ck_assert_int_eq(compile("- a\n", CONSTITUTION, rules, TRUST, NULL), -EINVAL);
        ck_assert_uint_eq(problems.n, 2); /* the budget is in no file */
        ck_assert_str_eq(problems.items[0].file, "actions.yaml");
        ck_assert_str_eq(problems.items[1].code, "unknown-field");
        problems_done(&problems);
        ck_assert_int_eq(compile(ACTIONS, CONSTITUTION, API "rules: []\nbananas: 1\n", TRUST, NULL), -EINVAL);
        ck_assert_uint_eq(problems.n, 1);
        ck_assert_str_eq(problems.items[0].hint, "one of: apiVersion, approvals, budgets, rules");
        problems_done(&problems);
        ck_assert_int_eq(compile(ACTIONS, CONSTITUTION,
                                 API "budgets: 7\nrules:\n- {id: r, effect: allow, reason: r, when: "
                                     "context.budget.b > 0}\n",
                                 TRUST, NULL),
                -EINVAL);
        ck_assert_uint_eq(problems.n, 1);
        ck_assert_str_eq(problems.items[0].code, "bad-value");
}
END_TEST

START_TEST(people_are_counted) {
        static const char two[] = RULE("effect: require_approval, approvals: {operator: 2}");
        ck_assert_int_eq(
                compile(ACTIONS, CONSTITUTION, two, TRUST, API "roles: {operator: {uids: [1000]}}\n"), 0);
        policy = gate_policy_free(policy);
        ck_assert_int_eq(
                compile(ACTIONS, CONSTITUTION, two, TRUST, API "roles: {operator: {gids: [20]}}\n"), 0);
        policy = gate_policy_free(policy);
        ck_assert_int_eq(
                compile(ACTIONS, CONSTITUTION, two, TRUST, API "roles: {observer: {uids: [1000]}}\n"),
                -EINVAL);
}
END_TEST

START_TEST(half_a_set_is_refused) {
        ck_assert_int_eq(compile(ACTIONS, CONSTITUTION, NULL, TRUST, NULL), -EINVAL);
        ck_assert_str_eq(problems.items[0].code, "missing-file");
}
END_TEST

static void decide(const char *governance, GateInput *in, GateDecision *d) {
        policy = gate_policy_free(policy);
        ck_assert_int_eq(compile(ACTIONS, CONSTITUTION, governance, TRUST, NULL), 0);
        gate_evaluate(policy, in, NULL, d);
}

START_TEST(semantics) {
        static const struct {
                const char *rules;
                Mode mode;
                bool critical;
                Verdict verdict, would;
        } t[] = {
#define AL  "- {id: a, reason: r, effect: allow}\n"
#define ASK "- {id: q, reason: r, effect: require_approval}\n"
#define DN  "- {id: d, reason: r, effect: deny}\n"
                {AL, MODE_ENFORCE, false, VERDICT_ALLOW, VERDICT_ALLOW},
                {ASK AL, MODE_ENFORCE, false, VERDICT_REQUIRE_APPROVAL, VERDICT_REQUIRE_APPROVAL},
                {AL ASK DN, MODE_ENFORCE, false, VERDICT_DENY, VERDICT_DENY},
                {DN ASK AL, MODE_ENFORCE, false, VERDICT_DENY, VERDICT_DENY},
                {DN ASK AL, MODE_LOG_ONLY, true, VERDICT_ALLOW, VERDICT_DENY},
                {ASK AL, MODE_ENFORCE_CRITICAL, false, VERDICT_ALLOW, VERDICT_REQUIRE_APPROVAL},
                {ASK AL, MODE_ENFORCE_CRITICAL, true, VERDICT_REQUIRE_APPROVAL, VERDICT_REQUIRE_APPROVAL},
                /* an error or a missing field: a match for what tightens, none for an allow */
                {"- {id: d, reason: r, effect: deny, when: 'context.facts.x > 1'}\n" AL, MODE_ENFORCE, false,
                        VERDICT_DENY, VERDICT_DENY},
                {"- {id: q, reason: r, effect: require_approval, when: 'context.facts.x > 1'}\n" AL,
                        MODE_ENFORCE, false, VERDICT_REQUIRE_APPROVAL, VERDICT_REQUIRE_APPROVAL},
                {"- {id: a, reason: r, effect: allow, when: 'context.facts.x > 1'}\n", MODE_ENFORCE, false,
                        VERDICT_DENY, VERDICT_DENY},
                /* a rule's own level, capped by the mode */
                {"- {id: d, reason: r, effect: deny, enforce: log_only}\n" AL, MODE_ENFORCE, true,
                        VERDICT_ALLOW, VERDICT_DENY},
                {"- {id: d, reason: r, effect: deny, enforce: critical}\n" AL, MODE_ENFORCE, false,
                        VERDICT_ALLOW, VERDICT_DENY},
                {"- {id: d, reason: r, effect: deny, enforce: critical}\n" AL, MODE_ENFORCE, true,
                        VERDICT_DENY, VERDICT_DENY},
                {"- {id: d, reason: r, effect: deny, enforce: critical}\n" AL, MODE_LOG_ONLY, true,
                        VERDICT_ALLOW, VERDICT_DENY},
                {"- {id: d, reason: r, effect: deny, tier: lockdown}\n" AL, MODE_LOG_ONLY, false,
                        VERDICT_DENY, VERDICT_DENY},
                {"- {id: d, reason: r, effect: deny, tier: unit}\n" AL, MODE_ENFORCE, false, VERDICT_DENY,
                        VERDICT_DENY},
        };
        GateInput *in = calloc(1, sizeof(*in));
        GateDecision *d = calloc(1, sizeof(*d));
        for (unsigned i = 0; i < ELEMENTSOF(t); i++) {
                char text[800];
                snprintf(text, sizeof(text), API "rules:\n%s", t[i].rules);
                *in = (GateInput){
                        .mode = t[i].mode, .critical = t[i].critical, .uid = UINT64_MAX, .trust = 50};
                strcpy(in->actor_kind, "unit");
                strcpy(in->purpose, "act");
                strcpy(in->request.action, "heal");
                strcpy(in->request.actor, "immune");
                decide(text, in, d);
                ck_assert_msg(d->verdict == t[i].verdict && d->would == t[i].would, "row %u: %s, would %s", i,
                        verdict_to_string((int)d->verdict), verdict_to_string((int)d->would));
        }
        free(in);
        free(d);
}
END_TEST

START_TEST(windows_across_boots) {
        GateNow a = {.boot_id = {1}, .boot_us = 100, .wall_us = 1000},
                b = {.boot_id = {1}, .boot_us = 150, .wall_us = 5};
        ck_assert_uint_eq(gate_elapsed_us(&a, &b), 50);
        ck_assert(!gate_clock_went_back(&a, &b));
        b.boot_id[0] = 2;
        ck_assert_uint_eq(gate_elapsed_us(&a, &b), 0);
        ck_assert(gate_clock_went_back(&a, &b));
        b.wall_us = 1300;
        ck_assert_uint_eq(gate_elapsed_us(&a, &b), 300);
}
END_TEST

START_TEST(directories_merge_by_file) {
        char dir[] = "/tmp/gate-policy-XXXXXX", path[600];
        ck_assert_ptr_nonnull(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/trust.yaml", dir);
        FILE *f = fopen(path, "w");
        fputs(API "initial: 33\nceiling: 100\noutcomes: {ok: 1}\n", f);
        fclose(f);
        const char *dirs[] = {POLICY_DIR, "/nonexistent/policies", dir};
        ck_assert_int_eq(gate_policy_load(dirs, 3, 0, &problems, &policy), 0);
        ck_assert_int_eq(policy->trust.initial, 33);
        policy = gate_policy_free(policy);
        const char *none[] = {"/nonexistent/policies"};
        ck_assert_int_eq(gate_policy_load(none, 1, 0, &problems, &policy), 0);
        ck_assert(policy->lockdown);
        unlink(path);
        rmdir(dir);
}
END_TEST

/* What is there and can't be read is an error, never a set without it; a pipe is not waited for. */
START_TEST(what_can_not_be_read_is_no_policy) {
        char dir[] = "/tmp/gate-policy-XXXXXX", path[600];
        const char *dirs[] = {POLICY_DIR, dir};
        ck_assert_ptr_nonnull(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/trust.yaml", dir);
        if (_i == 0)
                ck_assert_int_eq(mkdir(path, 0700), 0);
        else if (_i == 1)
                ck_assert_int_eq(mkfifo(path, 0600), 0);
        else if (_i == 2)
                ck_assert_int_eq(symlink(path, path), 0);
        else
                ck_assert_int_eq(fclose(fopen(path, "w")) | truncate(path, YAML_TREE_BYTES_MAX + 1), 0);
        int r = gate_policy_load(dirs, 2, 0, &problems, &policy);
        ck_assert_int_lt(r, 0);
        ck_assert_ptr_null(policy);
        ck_assert_uint_eq(problems.n, 1);
        ck_assert_str_eq(problems.items[0].code, "unreadable");
        ck_assert_str_eq(problems.items[0].file, path);
        ck_assert_int_eq(remove(path), 0);
        rmdir(dir);
}
END_TEST

START_TEST(a_directory_that_can_not_be_read) {
        char file[] = "/tmp/gate-policy-XXXXXX"; /* no directory at all: that holds for root too */
        const char *dirs[] = {POLICY_DIR, file};
        int fd = mkstemp(file);
        ck_assert_int_ge(fd, 0);
        close(fd);
        ck_assert_int_lt(gate_policy_load(dirs, 2, 0, &problems, &policy), 0);
        ck_assert_ptr_null(policy);
        ck_assert_str_eq(problems.items[0].code, "unreadable");
        ck_assert_str_eq(problems.items[0].file, file);
        unlink(file);
}
END_TEST

int main(void) {
        Suite *s = suite_create("policy");
        TCase *t = tcase_create("policy");
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, smallest_policy);
        tcase_add_loop_test(t, load_errors, 0, ELEMENTSOF(bad));
        tcase_add_test(t, a_fault_is_said_once);
        tcase_add_test(t, people_are_counted);
        tcase_add_test(t, half_a_set_is_refused);
        tcase_add_test(t, semantics);
        tcase_add_test(t, windows_across_boots);
        tcase_add_test(t, directories_merge_by_file);
        tcase_add_loop_test(t, what_can_not_be_read_is_no_policy, 0, 4);
        tcase_add_test(t, a_directory_that_can_not_be_read);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
