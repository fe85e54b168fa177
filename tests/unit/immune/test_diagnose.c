/* SPDX-License-Identifier: Apache-2.0 */
/* Each field that a diagnosis may name, of a unit that crashed and of one that nobody knows. */
#include "rig.h"
#include "common/cleanup.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Rig *r;
static ImmunePolicy *policy;
static Problems problems;

/* The incident that follows is `hit` when the condition holds. */
static void diagnose_when(const char *when) {
        auto_free char *text = NULL;
        r = rig_new();
        ck_assert_int_eq(immune_policy_shipped(&policy), 0);
        ck_assert_int_gt(asprintf(&text,
                                 "apiVersion: guardian/playbooks.v1\nplaybooks: []\ndiagnoses:\n"
                                 "- {id: hit, anomalies: [service_down, memory_leak], when: \"%s\", cause: "
                                 "c, confidence_percent: 50}\n",
                                 when),
                0);
        int e = immune_policy_parse("playbooks.yaml", str_of(text), true, &problems, policy);
        ck_assert_msg(e == 0, "%s: %s", when, problems.n ? problems.items[0].message : "");
        immune_core_policy(r->core, policy);
}

static void end(void) {
        immune_core_policy(r->core, r->policy);
        rig_free(r);
        immune_policy_free(policy);
        problems_done(&problems);
}

static void crashes(bool snapshot) {
        UnitReport u = {.unit = "web",
                .state = UNIT_RUNNING,
                .pid = 70,
                .start_time = 490,
                .snapshot = true,
                .code = -1,
                .signal = -1,
                .critical = true,
                .heal = 1u << HEAL_RESTART_SERVICE,
                .priority_milli = 1500,
                .labels = {"tier=front", "tie=x"},
                .n_labels = 2};
        if (snapshot)
                ck_assert_int_eq(immune_on_unit(r->core, r->now, &u), 0);
        else
                rig_event(r, "web", 70, UNIT_RUNNING, RESTART_NONE, -1, -1);
        rig_drain(r);
        for (uint64_t n = 0; n < 3; n++) {
                rig_event(r, "web", 0, UNIT_BACKOFF, RESTART_SIGNAL, -1, 11);
                if (n < 2)
                        rig_event(r, "web", 71 + n, UNIT_RUNNING, RESTART_SIGNAL, -1, 11);
        }
}

static const struct {
        const char *when;
        bool holds;
} of_a_crash[] = {
        {"anomaly.type == 'service_down'", true},
        {"anomaly.type == 'memory_leak'", false},
        {"anomaly.detector == 'exits'", true},
        {"anomaly.detector == 'report'", false},
        {"anomaly.severity != 'critical'", true},
        {"anomaly.source exists", true},
        {"anomaly.score == 0", true}, /* only claims have one */
        {"anomaly.score > 0", false},
        {"anomaly.seen == 1", true},
        {"anomaly.seen > 1", false},
        {"signal.hard", true},
        {"signal.current == 3", true},
        {"signal.current > 3", false},
        {"signal.baseline == 3", true}, /* ends that make an alarm */
        {"signal.baseline > 3", false},
        {"signal.rate == 0", true},
        {"incident.attempts == 0", true},
        {"incident.attempts > 0", false},
        {"unit.name == 'web'", true},
        {"unit.name == 'db'", false},
        {"unit.state == 'backoff'", true},
        {"unit.state == 'running'", false},
        {"unit.health == 'unknown'", true},
        {"unit.health == 'healthy'", false},
        {"unit.priority == 1.5", true},
        {"unit.priority > 2", false},
        {"unit.critical", true},
        {"unit.can_fail", false},
        {"unit.labels.tier == 'front'", true},
        {"unit.labels.tie == 'x'", true}, /* not the one that begins alike */
        {"unit.labels.ti exists", false},
        {"unit.restarts == 0", true},
        {"unit.recent_ends == 3", true},
        {"unit.recent_ends > 3", false},
        {"unit.exit.signal == 11", true},
        {"unit.exit.code exists", false}, /* it has none: ended by a signal */
        {"unit.exit.reason == 'signal'", true},
        {"unit.exit.reason == 'watchdog'", false},
        {"evidence.none > 0", false},
};

START_TEST(of_a_unit_that_crashed) {
        diagnose_when(of_a_crash[_i].when);
        crashes(true);
        ck_assert_uint_gt(rig_count_records(r, RECORD_INCIDENT, NULL), 0);
        ck_assert_msg((strcmp(rig_field(r, "diagnosis"), "hit") == 0) == of_a_crash[_i].holds, "%s: '%s'",
                of_a_crash[_i].when, rig_field(r, "diagnosis"));
        end();
}
END_TEST

/* What only a snapshot tells is not known before it, and a rule that asks for it does not match. */
static const char *const not_known[] = {"unit.critical", "!unit.critical", "unit.can_fail", "!unit.can_fail",
        "unit.priority >= 0", "unit.labels.tier exists"};

START_TEST(before_a_snapshot) {
        diagnose_when(not_known[_i]);
        crashes(false);
        ck_assert_uint_gt(rig_count_records(r, RECORD_INCIDENT, NULL), 0);
        ck_assert_str_eq(rig_field(r, "diagnosis"), "");
        end();
}
END_TEST

/* A claim about a unit: soft, with what was claimed; hard once the unit is seen to be down. */
static const struct {
        const char *when;
        bool down, holds;
} of_a_claim[] = {
        {"signal.hard", false, false},
        {"!signal.hard", false, true},
        {"signal.hard", true, true},
        {"anomaly.detector == 'report'", false, true},
        {"anomaly.source == 'web'", false, true},
        {"anomaly.severity == 'high'", false, true},
        {"anomaly.score == 95", false, true},
        {"unit.name == 'db'", false, true},
        {"unit.exit.signal exists", false, false},
};

START_TEST(of_a_claim_about_a_unit) {
        diagnose_when(of_a_claim[_i].when);
        rig_unit(r, "db", 80, UNIT_RUNNING);
        if (of_a_claim[_i].down)
                rig_event(r, "db", 0, UNIT_FAILED, RESTART_SIGNAL, -1, 11);
        rig_claim(r, "db", "memory_leak", SEVERITY_HIGH);
        ck_assert_uint_gt(rig_count_records(r, RECORD_INCIDENT, NULL), 0);
        ck_assert_msg((strcmp(rig_field(r, "diagnosis"), "hit") == 0) == of_a_claim[_i].holds, "%s: '%s'",
                of_a_claim[_i].when, rig_field(r, "diagnosis"));
        end();
}
END_TEST

/* A claim about what is no unit: nothing of a unit is known. */
START_TEST(of_a_claim_about_nobody) {
        static const char *const when[] = {
                "unit.name exists", "unit.state exists", "unit.restarts >= 0", "signal.hard"};
        diagnose_when(when[_i]);
        rig_claim(r, "nobody", "memory_leak", SEVERITY_HIGH);
        ck_assert_uint_gt(rig_count_records(r, RECORD_INCIDENT, NULL), 0);
        ck_assert_str_eq(rig_field(r, "diagnosis"), "");
        end();
}
END_TEST

START_TEST(names_of_detectors) {
        static const char *const names[] = {"memory_growth", "exits", "heartbeat", "report", "workflow"};
        diagnose_when("unit.name == 'x'");
        for (int i = 0; i < 5; i++) {
                auto_free char *when = NULL;
                end();
                ck_assert_int_gt(asprintf(&when, "anomaly.detector == '%s'", names[i]), 0);
                diagnose_when(when); /* each is a value that may be asked for */
        }
        end();
}
END_TEST

int main(void) {
        Suite *s = suite_create("diagnose");
        TCase *t = tcase_create("diagnose");
        tcase_add_loop_test(t, of_a_unit_that_crashed, 0, ELEMENTSOF(of_a_crash));
        tcase_add_loop_test(t, before_a_snapshot, 0, ELEMENTSOF(not_known));
        tcase_add_loop_test(t, of_a_claim_about_a_unit, 0, ELEMENTSOF(of_a_claim));
        tcase_add_loop_test(t, of_a_claim_about_nobody, 0, 4);
        tcase_add_test(t, names_of_detectors);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
