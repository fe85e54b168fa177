/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S(n) ((uint64_t)(n)*1000000)

/* The first process leaks 8 MiB/s, every later one stays small, unless user says that all leak. */
static uint64_t leaky(const char *unit, uint64_t pid, uint64_t us, void *user) {
        (void)unit;
        bool leaks = pid == 50 || user;
        return (20ULL << 20) + (leaks ? us / 1000000 * (8 << 20) : 0);
}

static RigProposal *last(Rig *r) {
        ck_assert_uint_gt(r->n_proposals, 0);
        return &r->proposals[r->n_proposals - 1];
}

static Rig *leak_until_proposed(void) {
        Rig *r = rig_new();
        r->rss = leaky;
        rig_unit(r, "leaky", 50, UNIT_RUNNING);
        rig_run(r, S(19));
        ck_assert_uint_eq(r->n_proposals, 0);
        rig_run(r, S(2));
        ck_assert_uint_eq(r->n_proposals, 1);
        return r;
}

START_TEST(leak_goes_from_signal_to_verified) {
        Rig *r = leak_until_proposed();
        RigProposal *p = last(r);

        /* on record before the proposal: anomaly, incident; the proposal names the incident's index */
        ck_assert_int_eq(r->records[0].kind, RECORD_ANOMALY);
        ck_assert_int_eq(r->records[1].kind, RECORD_INCIDENT);
        ck_assert_uint_eq(r->records[1].ref, r->records[0].index);
        ck_assert_uint_eq(p->incident, r->records[1].index);
        ck_assert_str_eq(p->action, "restart_service");
        ck_assert_str_eq(p->target, "leaky");
        bool grown = false;
        for (unsigned i = 0; i < p->n_claims; i++)
                grown = grown || strcmp(p->claims[i], "hard_signal=b:1") == 0;
        ck_assert(grown);

        rig_answer(r, p, CODE_APPROVAL_REQUIRED, true, -1);
        ck_assert_str_eq(rig_field(r, "state"), "waiting_approval");
        rig_run(r, S(30));
        ck_assert_uint_eq(r->n_proposals, 1);
        rig_event(r, "leaky", 0, UNIT_STOPPING, RESTART_HEALING, -1, 15);
        rig_event(r, "leaky", 51, UNIT_RUNNING, RESTART_HEALING, -1, 15);
        rig_answer(r, p, CODE_OK, false, OUTCOME_OK);
        ck_assert_str_eq(rig_field(r, "state"), "healed");
        rig_run(r, S(4));
        ck_assert_str_eq(rig_field(r, "state"), "healed");
        rig_run(r, S(3));
        ck_assert_str_eq(rig_field(r, "state"), "verified");
        ck_assert_str_eq(rig_field(r, "outcome"), "fixed");
        rig_run(r, S(300));
        ck_assert_str_eq(rig_field(r, "state"), "closed");
        ck_assert_uint_eq(rig_count_events(r, "incident.opened"), 1);
        ck_assert_uint_eq(rig_count_events(r, "incident.closed"), 1);
        ck_assert_uint_eq(rig_count_events(r, "avn.healing_executed"), 1);
        ck_assert_uint_eq(rig_count_events(r, "anomaly.detected"), 1);
        for (unsigned i = 0; i < r->n_records; i++)
                ck_assert_str_eq(r->records[i].correlation, p->correlation);
        rig_free(r);
}
END_TEST

START_TEST(a_new_alarm_is_the_next_rung_and_three_attempts_are_enough) {
        Rig *r = leak_until_proposed();
        int all = 1;
        r->user = &all;

        for (uint64_t pid = 51; pid < 53; pid++) {
                RigProposal p = *last(r);
                rig_event(r, "leaky", pid, UNIT_RUNNING, RESTART_HEALING, -1, 15);
                rig_answer(r, &p, CODE_OK, false, OUTCOME_OK);
                rig_run(r, S(7));
                ck_assert_str_eq(rig_field(r, "state"), "verified");
                rig_run(r, S(80)); /* alarm again, then the cool-down of a minute */
        }
        ck_assert_uint_eq(r->n_proposals, 2); /* the ladder has two restarts */
        ck_assert_str_eq(rig_field(r, "state"), "escalated");
        ck_assert_uint_eq(rig_count_events(r, "incident.escalated"), 1);
        ck_assert_uint_eq(rig_count_records(r, RECORD_INCIDENT, "opened"), 1);
        rig_run(r, S(1000));
        ck_assert_uint_eq(r->n_proposals, 2);
        rig_free(r);
}
END_TEST

START_TEST(attempts_are_counted_over_the_ladder) {
        Rig *r = rig_new();
        ImmunePolicy *p = r->policy;
        for (unsigned k = 0; k < 6; k++)
                p->playbooks[0].steps[k] = (Step){STEP_ACTION, HEAL_RESTART_SERVICE, 0};
        p->playbooks[0].n_steps = 6;
        p->playbooks[0].cool_down_us = 0;
        r->rss = leaky;
        rig_unit(r, "leaky", 50, UNIT_RUNNING);
        rig_run(r, S(21));
        for (unsigned n = 1; n <= 3; n++) {
                ck_assert_uint_eq(r->n_proposals, n);
                RigProposal q = *last(r);
                rig_answer(r, &q, CODE_FAILED, false, OUTCOME_FAILED);
                rig_run(r, S(3));
        }
        ck_assert_uint_eq(r->n_proposals, 3);
        ck_assert_str_eq(rig_field(r, "state"), "escalated");
        ck_assert_uint_eq(rig_count_events(r, "avn.healing_failed"), 3);
        rig_free(r);
}
END_TEST

START_TEST(not_fixed_when_memory_stays) {
        Rig *r = leak_until_proposed();
        RigProposal p = *last(r);

        r->pid_start_us[51] = 1; /* as if it had run since the beginning: big at once */
        int all = 1;
        r->user = &all;
        rig_event(r, "leaky", 51, UNIT_RUNNING, RESTART_HEALING, -1, 15);
        rig_answer(r, &p, CODE_OK, false, OUTCOME_OK);
        rig_run(r, S(7));
        ck_assert_uint_eq(rig_count_records(r, RECORD_INCIDENT, "failed"), 1);
        ck_assert_uint_eq(rig_count_records(r, RECORD_INCIDENT, "verified"), 0);
        ck_assert_uint_eq(rig_count_events(r, "avn.healing_failed"), 1);
        rig_run(r, S(60)); /* cool-down, then the second rung */
        ck_assert_uint_eq(r->n_proposals, 2);
        rig_free(r);
}
END_TEST

START_TEST(no_ledger_no_proposal) {
        Rig *r = rig_new();
        r->rss = leaky;
        r->ledger_away = true;
        rig_unit(r, "leaky", 50, UNIT_RUNNING);
        rig_run(r, S(40));
        ck_assert_uint_eq(r->n_proposals, 0);
        ck_assert_uint_eq(r->n_held, 1); /* the incident waits for its anomaly */
        r->ledger_away = false;
        ck_assert_int_eq(immune_on_ack(r->core, r->now, r->held_tokens[0], true, 500), 0);
        rig_drain(r);
        ck_assert_uint_eq(r->n_proposals, 1);
        rig_free(r);
}
END_TEST

START_TEST(a_refused_record_is_said_again) {
        Rig *r = rig_new();
        r->rss = leaky;
        r->ledger_away = true;
        rig_unit(r, "leaky", 50, UNIT_RUNNING);
        rig_run(r, S(21));
        ck_assert_int_eq(immune_on_ack(r->core, r->now, r->held_tokens[0], false, 0), 0);
        r->ledger_away = false;
        rig_drain(r);
        ck_assert_uint_eq(r->n_proposals, 0);
        rig_run(r, S(11));
        ck_assert_uint_eq(r->n_proposals, 1);
        rig_free(r);
}
END_TEST

START_TEST(no_sampling_no_wakeups) {
        Rig *r = rig_new();
        rig_unit(r, "web", 0, UNIT_INACTIVE);
        rig_run(r, S(3600));
        ck_assert_uint_eq(r->wakeups, 0);
        ck_assert_uint_eq(r->timer_us, UINT64_MAX);
        r->rss = leaky;
        rig_unit(r, "web", 60, UNIT_RUNNING);
        rig_unit(r, "web2", 61, UNIT_RUNNING);
        rig_run(r, S(15));
        ck_assert_uint_gt(r->samples, 15);
        ck_assert_uint_le(r->wakeups, 11); /* one a second for both */
        rig_event(r, "web", 0, UNIT_STOPPING, RESTART_OPERATOR, -1, -1);
        rig_event(r, "web2", 0, UNIT_STOPPING, RESTART_OPERATOR, -1, -1);
        uint64_t before = r->wakeups;
        rig_run(r, S(100));
        ck_assert_uint_eq(r->wakeups, before);
        rig_free(r);
}
END_TEST

START_TEST(crashes_then_quarantine_tell_why) {
        Rig *r = rig_new();
        uint64_t pid = 70;

        rig_unit(r, "crashy", pid, UNIT_RUNNING);
        for (unsigned n = 0; n < 10; n++) {
                rig_run(r, S(1));
                rig_event(r, "crashy", 0, UNIT_BACKOFF, RESTART_EXIT, 3, -1);
                rig_run(r, S(1));
                rig_event(r, "crashy", ++pid, UNIT_RUNNING, RESTART_EXIT, 3, -1);
        }
        ck_assert_uint_eq(rig_count_records(r, RECORD_INCIDENT, "opened"), 1);
        ck_assert_str_eq(rig_field(r, "severity"), "medium");
        rig_event(r, "crashy", 0, UNIT_QUARANTINED, RESTART_EXIT, 3, -1);
        ck_assert_uint_eq(r->n_proposals, 0); /* its own budget was at work, another restart is no answer */
        ck_assert_str_eq(rig_field(r, "state"), "escalated");
        ck_assert_str_eq(rig_field(r, "severity"), "critical");
        ck_assert_ptr_nonnull(strstr(rig_field(r, "text"), "quarantined"));
        ck_assert_ptr_nonnull(strstr(rig_field(r, "text"), "with status 3"));
        ck_assert_uint_eq(rig_count_records(r, RECORD_ANOMALY, NULL), 2);
        /* an operator resets it */
        rig_event(r, "crashy", ++pid, UNIT_RUNNING, RESTART_OPERATOR, -1, -1);
        ck_assert_str_eq(rig_field(r, "state"), "verified");
        rig_run(r, S(301));
        ck_assert_str_eq(rig_field(r, "state"), "closed");
        rig_free(r);
}
END_TEST

START_TEST(wanted_ends_are_no_anomaly) {
        Rig *r = rig_new();
        uint64_t pid = 70;

        rig_unit(r, "web", pid, UNIT_RUNNING);
        for (unsigned n = 0; n < 8; n++) {
                rig_event(r, "web", 0, UNIT_STOPPING, RESTART_OPERATOR, -1, 15);
                rig_event(r, "web", ++pid, UNIT_RUNNING, RESTART_OPERATOR, -1, 15);
                rig_event(r, "web", 0, UNIT_EXITED, RESTART_NONE, 0, -1);
                rig_event(r, "web", ++pid, UNIT_RUNNING, RESTART_NONE, 0, -1);
        }
        ck_assert_uint_eq(r->n_records, 0);
        rig_free(r);
}
END_TEST

START_TEST(a_loop_of_good_exits_is_a_loop) {
        Rig *r = rig_new();
        uint64_t pid = 70;

        rig_unit(r, "web", pid, UNIT_RUNNING);
        for (unsigned n = 0; n < 3; n++) { /* Restart=always: ended with 0, and started again */
                rig_event(r, "web", 0, UNIT_RUNNING, RESTART_EXIT, 0, -1);
                rig_event(r, "web", 0, n & 1 ? UNIT_BACKOFF : UNIT_STARTING, RESTART_EXIT, 0, -1);
                rig_event(r, "web", ++pid, UNIT_RUNNING, RESTART_EXIT, 0, -1);
        }
        ck_assert_uint_eq(rig_count_records(r, RECORD_INCIDENT, "opened"), 1);
        rig_free(r);

        r = rig_new(); /* a oneshot ends well and stays so */
        rig_unit(r, "job", pid, UNIT_RUNNING);
        for (unsigned n = 0; n < 5; n++) {
                rig_event(r, "job", 0, UNIT_RUNNING, RESTART_EXIT, 0, -1);
                rig_event(r, "job", 0, UNIT_EXITED, RESTART_EXIT, 0, -1);
                rig_event(r, "job", ++pid, UNIT_RUNNING, RESTART_OPERATOR, 0, -1);
        }
        ck_assert_uint_eq(r->n_records, 0);
        rig_free(r);
}
END_TEST

START_TEST(an_end_is_counted_once_in_whatever_order_it_is_told) {
        for (int order = 0; order < 4; order++) {
                Rig *r = rig_new();
                rig_unit(r, "web", 70, UNIT_RUNNING);
                for (uint64_t n = 0; n < 2; n++) {
                        if (order == 0)
                                rig_event(r, "web", 0, UNIT_RUNNING, RESTART_SIGNAL, -1, 11);
                        if (order == 1)
                                rig_event(r, "web", 70 + n, UNIT_RUNNING, RESTART_SIGNAL, -1, 11);
                        if (order == 3) /* as Guardian tells it: the process is gone, its group is being emptied */
                                rig_event(r, "web", 0, UNIT_STOPPING, RESTART_SIGNAL, -1, 11);
                        rig_event(r, "web", 0, UNIT_BACKOFF, RESTART_SIGNAL, -1, 11);
                        rig_event(r, "web", 0, UNIT_BACKOFF, RESTART_SIGNAL, -1, 11);
                        rig_event(r, "web", 0, UNIT_STARTING, RESTART_SIGNAL, -1, 11);
                        rig_event(r, "web", 71 + n, UNIT_STARTING, RESTART_SIGNAL, -1, 11);
                        rig_event(r, "web", 71 + n, UNIT_RUNNING, RESTART_SIGNAL, -1, 11);
                }
                ck_assert_uint_eq(r->n_records, 0);
                if (order == 3)
                        rig_event(r, "web", 0, UNIT_STOPPING, RESTART_SIGNAL, -1, 11);
                rig_event(r, "web", 0, UNIT_BACKOFF, RESTART_SIGNAL, -1, 11);
                ck_assert_uint_eq(rig_count_records(r, RECORD_INCIDENT, "opened"), 1);
                rig_free(r);
        }
}
END_TEST

START_TEST(an_event_beats_an_older_snapshot) {
        Rig *r = rig_new();
        immune_snapshot_begin(r->core, r->now);
        rig_run(r, S(1));
        rig_event(r, "web", 0, UNIT_QUARANTINED, RESTART_EXIT, 1, -1);
        rig_unit(r, "web", 70, UNIT_RUNNING); /* told before, read after */
        ck_assert_int_eq(immune_snapshot_end(r->core, r->now), 0);
        rig_run(r, S(30));
        ck_assert_uint_eq(r->samples, 0);
        ck_assert_str_eq(rig_field(r, "state"), "escalated");
        rig_free(r);
}
END_TEST

START_TEST(a_claim_alone_never_acts) {
        Rig *r = rig_new();

        rig_unit(r, "web", 80, UNIT_RUNNING);
        rig_claim(r, "web", "memory_leak", SEVERITY_HIGH);
        ck_assert_uint_eq(rig_count_records(r, RECORD_INCIDENT, "opened"), 1);
        ck_assert_uint_eq(r->n_proposals, 0);
        ck_assert_str_eq(rig_field(r, "state"), "escalated");
        rig_free(r);

        /* positive control: the same claim with a hard signal of the unit's own */
        r = rig_new();
        rig_unit(r, "web", 80, UNIT_RUNNING);
        UnitReport u = {.unit = "web",
                .state = UNIT_RUNNING,
                .health = HEALTH_UNHEALTHY,
                .pid = 80,
                .start_time = 560,
                .code = -1,
                .signal = -1};
        ck_assert_int_eq(immune_on_unit(r->core, r->now, &u), 0);
        rig_claim(r, "web", "memory_leak", SEVERITY_HIGH);
        ck_assert_uint_eq(r->n_proposals, 1);
        rig_free(r);
}
END_TEST

START_TEST(unknown_types_and_own_events) {
        Rig *r = rig_new();
        rig_unit(r, "web", 80, UNIT_RUNNING);
        AnomalyReport own = {
                .type = "memory_leak", .target = "web", .source = "immune", .severity = SEVERITY_HIGH};
        ck_assert_int_eq(immune_on_anomaly(r->core, r->now, &own), 0);
        rig_drain(r);
        ck_assert_uint_eq(r->n_records, 0);
        rig_claim(r, "web", "service_degraded", SEVERITY_MEDIUM);
        ck_assert_str_eq(rig_field(r, "type"), "pattern_deviation");
        ck_assert_str_eq(rig_field(r, "original"), "service_degraded");
        rig_run(r, S(301));
        ck_assert_str_eq(rig_field(r, "state"), "closed");
        rig_free(r);
}
END_TEST

START_TEST(the_same_within_five_minutes_is_one) {
        Rig *r = rig_new();
        rig_unit(r, "web", 80, UNIT_RUNNING);
        for (unsigned n = 0; n < 100; n++)
                rig_claim(r, "web", "drift_detected", SEVERITY_MEDIUM);
        ck_assert_uint_eq(rig_count_records(r, RECORD_ANOMALY, NULL), 1);
        rig_claim(r, "web", "latency_spike", SEVERITY_LOW); /* another type is another incident */
        ck_assert_uint_eq(rig_count_records(r, RECORD_ANOMALY, NULL), 2);
        rig_run(r, S(299));
        rig_claim(r, "web", "drift_detected", SEVERITY_MEDIUM);
        ck_assert_uint_eq(rig_count_records(r, RECORD_ANOMALY, NULL), 2);
        rig_run(r, S(10)); /* closed, but seen ten seconds ago */
        rig_claim(r, "web", "drift_detected", SEVERITY_MEDIUM);
        ck_assert_uint_eq(rig_count_records(r, RECORD_ANOMALY, NULL), 2);
        rig_run(r, S(301));
        rig_claim(r, "web", "drift_detected", SEVERITY_MEDIUM);
        ck_assert_uint_eq(rig_count_records(r, RECORD_ANOMALY, NULL), 3);
        rig_free(r);
}
END_TEST

START_TEST(heal_is_the_limit) {
        Rig *r = rig_new();
        r->rss = leaky;
        UnitReport u = {.unit = "leaky",
                .state = UNIT_RUNNING,
                .pid = 50,
                .start_time = 350,
                .snapshot = true,
                .code = -1,
                .signal = -1};
        ck_assert_int_eq(immune_on_unit(r->core, r->now, &u), 0);
        r->pid_start_us[50] = r->now.boot_us;
        rig_drain(r);
        rig_run(r, S(30));
        ck_assert_uint_eq(r->n_proposals, 0);
        ck_assert_str_eq(rig_field(r, "state"), "escalated");
        ck_assert_ptr_nonnull(strstr(rig_field(r, "reason"), "not in Heal="));
        rig_free(r);
}
END_TEST

START_TEST(what_may_pass_is_tried_again_and_recorded_once) {
        Rig *r = leak_until_proposed();
        unsigned before = rig_count_records(r, RECORD_INCIDENT, "opened");
        for (unsigned n = 1; n <= 6; n++) {
                RigProposal q = *last(r);
                rig_answer(r, &q, CODE_GOVERNANCE_UNAVAILABLE, false, -1);
                for (unsigned s = 0; s < 301 && r->n_proposals == n; s++)
                        rig_run(r, S(1));
                ck_assert_uint_eq(r->n_proposals, n + 1);
        }
        ck_assert_uint_ge(last(r)->at_us - r->proposals[5].at_us, S(299)); /* doubled up to five minutes */
        ck_assert_uint_eq(rig_count_records(r, RECORD_INCIDENT, "opened"), before + 1);
        RigProposal p = *last(r);
        rig_answer(r, &p, CODE_DENIED_BY_RULE, false, -1);
        ck_assert_str_eq(rig_field(r, "state"), "escalated");
        ck_assert_ptr_nonnull(strstr(rig_field(r, "reason"), "denied_by_rule"));
        unsigned n = r->n_proposals;
        rig_run(r, S(3600));
        ck_assert_uint_eq(r->n_proposals, n);
        rig_free(r);
}
END_TEST

START_TEST(a_stale_target_is_looked_at_again) {
        Rig *r = leak_until_proposed();
        RigProposal p = *last(r);
        rig_answer(r, &p, CODE_APPROVAL_REQUIRED, true, -1);
        rig_event(r, "leaky", 51, UNIT_RUNNING, RESTART_OPERATOR, -1, 15);
        rig_answer(r, &p, CODE_STALE_TARGET, false, -1);
        rig_run(r, S(8));
        ck_assert_str_eq(rig_field(r, "state"), "verified"); /* somebody else's restart helped */
        ck_assert_uint_eq(rig_count_events(r, "avn.healing_executed"), 0);
        rig_free(r);
}
END_TEST

START_TEST(an_unknown_outcome_is_verified_not_repeated) {
        Rig *r = leak_until_proposed();
        RigProposal p = *last(r);
        rig_answer(r, &p, CODE_OK, false, OUTCOME_UNKNOWN);
        rig_event(r, "leaky", 51, UNIT_RUNNING, RESTART_HEALING, -1, 15);
        rig_run(r, S(8));
        ck_assert_uint_eq(r->n_proposals, 1);
        ck_assert_str_eq(rig_field(r, "state"), "verified");
        rig_free(r);
}
END_TEST

START_TEST(a_storm_stops_proposals) {
        Rig *r = rig_new();
        const char *down[] = {"a", "b", "c", "d"};
        for (unsigned i = 0; i < 4; i++)
                rig_unit(r, down[i], 90 + i, UNIT_RUNNING);
        for (unsigned i = 0; i < 4; i++)
                rig_event(r, down[i], 0, UNIT_FAILED, RESTART_EXIT, 1, -1);
        r->rss = leaky;
        rig_unit(r, "leaky", 50, UNIT_RUNNING);
        rig_run(r, S(60));
        ck_assert_uint_eq(r->n_proposals, 0);
        ImmuneStats st;
        immune_stats(r->core, &st);
        ck_assert(st.storm);
        ck_assert_uint_eq(rig_count_events(r, "avn.storm_entered"), 1);
        for (unsigned i = 0; i < 4; i++)
                rig_event(r, down[i], 100 + i, UNIT_RUNNING, RESTART_OPERATOR, -1, -1);
        rig_run(r, S(125)); /* quiet for a minute */
        ck_assert_uint_eq(r->n_proposals, 1);
        rig_free(r);
}
END_TEST

START_TEST(budgets_of_proposals) {
        Rig *r = rig_new();
        char name[32];
        for (unsigned i = 0; i < 100; i++) {
                snprintf(name, sizeof(name), "u%u", i);
                rig_unit(r, name, 200 + i, UNIT_RUNNING);
        }
        for (unsigned i = 0; i < 100; i++) {
                AnomalyReport a = {.type = "memory_leak", .source = "mesh", .severity = SEVERITY_HIGH};
                snprintf(name, sizeof(name), "u%u", i);
                a.target = name;
                ck_assert_int_eq(
                        immune_on_invoke(r->core, r->now, i + 1, &a, HEAL_RESTART_SERVICE, false), 0);
                rig_drain(r);
        }
        ck_assert_uint_eq(r->n_proposals, 32); /* the burst */
        rig_run(r, S(2));
        ck_assert_uint_le(r->n_proposals, 52);
        rig_run(r, S(30));
        ck_assert_uint_eq(r->n_proposals, 64); /* open at once */
        RigProposal first = r->proposals[0];
        rig_answer(r, &first, CODE_OK, false, OUTCOME_OK);
        rig_run(r, S(2));
        ck_assert_uint_eq(r->n_proposals, 65);
        rig_free(r);
}
END_TEST

START_TEST(one_open_proposal_a_target) {
        Rig *r = leak_until_proposed();
        AnomalyReport a = {
                .type = "deadlock_detected", .target = "leaky", .source = "mesh", .severity = SEVERITY_HIGH};
        ck_assert_int_eq(immune_on_invoke(r->core, r->now, 9, &a, HEAL_RESTART_SERVICE, false), 0);
        rig_drain(r);
        ck_assert_uint_eq(r->answered_token, 9);
        ck_assert_str_eq(r->answered, "ok");
        rig_run(r, S(20));
        ck_assert_uint_eq(r->n_proposals, 1);
        rig_free(r);
}
END_TEST

START_TEST(workflows_ask_through_the_same_door) {
        Rig *r = rig_new();
        rig_unit(r, "web", 80, UNIT_RUNNING);
        AnomalyReport a = {
                .type = "service_down", .target = "web", .source = "mesh", .severity = SEVERITY_HIGH};
        ck_assert_int_eq(immune_on_invoke(r->core, r->now, 5, &a, HEAL_RESTART_SERVICE, false), 0);
        rig_drain(r);
        ck_assert_str_eq(r->answered, "ok");
        ck_assert_uint_eq(r->n_proposals, 1);
        a.target = "nobody";
        ck_assert_int_eq(immune_on_invoke(r->core, r->now, 6, &a, HEAL_RESTART_SERVICE, false), 0);
        rig_drain(r);
        ck_assert_uint_eq(r->answered_token, 6);
        ck_assert_str_eq(r->answered, "E.NOT_FOUND");
        rig_free(r);
}
END_TEST

START_TEST(a_missed_heartbeat_is_an_anomaly) {
        Rig *r = rig_new();
        rig_unit(r, "ai", 85, UNIT_RUNNING);
        for (unsigned n = 0; n < 10; n++) {
                immune_on_heartbeat(r->core, r->now, "ai", S(10));
                rig_drain(r);
                rig_run(r, S(10));
        }
        ck_assert_uint_eq(r->n_records, 0);
        rig_run(r, S(19));
        ck_assert_uint_eq(r->n_records, 0);
        rig_run(r, S(2));
        ck_assert_uint_eq(r->n_proposals, 1);
        ck_assert_str_eq(rig_field(r, "type"), "deadlock_detected");
        RigProposal p = *last(r);
        rig_event(r, "ai", 86, UNIT_RUNNING, RESTART_HEALING, -1, 15);
        rig_answer(r, &p, CODE_OK, false, OUTCOME_OK);
        rig_run(r, S(5));
        immune_on_heartbeat(r->core, r->now, "ai", S(10));
        rig_drain(r);
        ck_assert_str_eq(rig_field(r, "state"), "verified");
        rig_free(r);
}
END_TEST

int main(void) {
        Suite *s = suite_create("immune-core");
        TCase *tc = tcase_create("all");
        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, leak_goes_from_signal_to_verified);
        tcase_add_test(tc, a_new_alarm_is_the_next_rung_and_three_attempts_are_enough);
        tcase_add_test(tc, attempts_are_counted_over_the_ladder);
        tcase_add_test(tc, not_fixed_when_memory_stays);
        tcase_add_test(tc, no_ledger_no_proposal);
        tcase_add_test(tc, a_refused_record_is_said_again);
        tcase_add_test(tc, no_sampling_no_wakeups);
        tcase_add_test(tc, crashes_then_quarantine_tell_why);
        tcase_add_test(tc, wanted_ends_are_no_anomaly);
        tcase_add_test(tc, a_loop_of_good_exits_is_a_loop);
        tcase_add_test(tc, an_end_is_counted_once_in_whatever_order_it_is_told);
        tcase_add_test(tc, an_event_beats_an_older_snapshot);
        tcase_add_test(tc, a_claim_alone_never_acts);
        tcase_add_test(tc, unknown_types_and_own_events);
        tcase_add_test(tc, the_same_within_five_minutes_is_one);
        tcase_add_test(tc, heal_is_the_limit);
        tcase_add_test(tc, what_may_pass_is_tried_again_and_recorded_once);
        tcase_add_test(tc, a_stale_target_is_looked_at_again);
        tcase_add_test(tc, an_unknown_outcome_is_verified_not_repeated);
        tcase_add_test(tc, a_storm_stops_proposals);
        tcase_add_test(tc, budgets_of_proposals);
        tcase_add_test(tc, one_open_proposal_a_target);
        tcase_add_test(tc, workflows_ask_through_the_same_door);
        tcase_add_test(tc, a_missed_heartbeat_is_an_anomaly);
        suite_add_tcase(s, tc);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int bad = srunner_ntests_failed(sr);
        srunner_free(sr);
        return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
