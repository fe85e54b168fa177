/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "guardian/unit-state-table.h"
#include "tests/unit/guardian/suite.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static UnitConfig *config;
static UnitMachine m;
static uint64_t now;
static char text[1024];
static bool prepared_at_once; /* chunks need a preparation: where a test is not about it, it passes unseen */

static void setup(ServiceType type) {
        config = make_unit("web", 3000);
        config->type = type;
        config->restart_jitter = false;
        now = 1000000;
        prepared_at_once = true;
        unit_machine_init(&m, config, 1);
}

static void add_command(ExecList list) {
        ExecCommands *l = &config->exec[list];
        l->items = arena_grow(&config->arena, l->items, l->n, sizeof(ExecCommand));
        l->items[l->n++] = (ExecCommand){0};
}

static void done(void) {
        unit_config_free(config);
}

static const char *show(const UnitCommands *out) {
        size_t n = 0;
        text[0] = 0;
        for (unsigned i = 0; i < out->n; i++) {
                const UnitCommand *c = &out->items[i];
                const char *name = unit_command_to_string(c->type);
                const char *space = n ? " " : "";
                if (c->type == CMD_STATE)
                        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s>%s", space,
                                unit_state_to_string((int)c->from), unit_state_to_string((int)c->to));
                else if (c->type == CMD_SIGNAL_GROUP || c->type == CMD_SIGNAL_MAIN ||
                         c->type == CMD_EMPTY_GROUP || c->type == CMD_RELOADED)
                        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s:%d", space, name, c->sig);
                else if (c->type == CMD_VERDICT)
                        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", space,
                                unit_verdict_to_string((int)m.verdict));
                else if (c->type == CMD_PREPARE && prepared_at_once)
                        continue;
                else if (c->type != CMD_ARM && c->type != CMD_DISARM && c->type != CMD_PROBES_STOP &&
                         c->type != CMD_END)
                        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", space, name);
        }
        return text;
}

static const char *feed_event(UnitEvent ev, int want) {
        UnitCommands out = {.n = 0};
        int r = unit_step(&m, &ev, now, &out);
        ck_assert_msg(
                r == want, "%s in %s: %d", unit_event_to_string(ev.type), unit_phase_to_string(m.phase), r);
        if (m.phase == PHASE_PREPARE && prepared_at_once)
                ck_assert_int_eq(unit_step(&m, &(UnitEvent){.type = EV_PREPARED}, now, &out), UNIT_STEP_OK);
        return show(&out);
}
static const char *feed(UnitEventType t) {
        return feed_event((UnitEvent){.type = t}, UNIT_STEP_OK);
}
static const char *exited(int status) {
        return feed_event((UnitEvent){.type = EV_EXITED, .exit = {.status = status}}, UNIT_STEP_OK);
}
static const char *killed(int sig) {
        return feed_event(
                (UnitEvent){.type = EV_EXITED, .exit = {.signaled = true, .status = sig}}, UNIT_STEP_OK);
}
static const char *timeout(void) {
        now = m.deadline[TIMER_PHASE];
        return feed(EV_TIMEOUT);
}
static void boot_to_running(void) {
        feed(EV_START);
        feed(EV_SPAWNED);
        if (m.phase == PHASE_WAIT_READY)
                feed(EV_READY);
        feed(EV_EVIDENCE_PASSED);
        ck_assert_int_eq(m.phase, PHASE_RUNNING);
}

START_TEST(plain_life) {
        setup(SERVICE_EXEC);
        ck_assert_str_eq(feed(EV_START), "inactive>starting SPAWN");
        ck_assert_str_eq(feed(EV_SPAWNED), "starting>validating READY TAKE_EVIDENCE");
        ck_assert_str_eq(feed(EV_EVIDENCE_PASSED), "passed validating>running");
        ck_assert(unit_is_up(&m) && !unit_is_down(&m));
        ck_assert_str_eq(feed(EV_STOP), "running>stopping SIGNAL_GROUP:15 SIGNAL_GROUP:18");
        ck_assert_str_eq(killed(SIGTERM), "");
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>inactive");
        ck_assert(unit_is_down(&m));
        ck_assert_int_eq(m.last_exit.reason, RESTART_OPERATOR);
        ck_assert_uint_eq(m.restarts, 0);
        done();
}
END_TEST

START_TEST(evidence_waits_for_the_stage) {
        setup(SERVICE_CHUNK);
        m.hold_validation = true;
        feed(EV_START);
        ck_assert_str_eq(feed(EV_SPAWNED), "");
        ck_assert_str_eq(feed(EV_READY), "starting>validating READY");
        ck_assert_str_eq(feed(EV_VALIDATE), "TAKE_EVIDENCE");
        ck_assert_str_eq(feed(EV_EVIDENCE_ISSUES), "degraded validating>running");
        done();
        /* the other way round: the stage is spawned before this one is ready */
        setup(SERVICE_CHUNK);
        m.hold_validation = true;
        feed(EV_START);
        feed(EV_SPAWNED);
        feed(EV_VALIDATE);
        ck_assert_str_eq(feed(EV_READY), "starting>validating READY TAKE_EVIDENCE");
        done();
}
END_TEST

START_TEST(commands_run_in_order) {
        setup(SERVICE_NOTIFY);
        add_command(EXEC_START_PRE);
        add_command(EXEC_START_PRE);
        add_command(EXEC_START_POST);
        add_command(EXEC_STOP);
        add_command(EXEC_STOP_POST);
        add_command(EXEC_RELOAD);
        ck_assert_str_eq(feed(EV_START), "inactive>starting RUN");
        ck_assert_str_eq(feed(EV_HELPER_ENDED), "RUN");
        ck_assert_str_eq(feed(EV_HELPER_ENDED), "SPAWN");
        feed(EV_SPAWNED);
        ck_assert_str_eq(feed(EV_READY), "RUN");
        ck_assert_str_eq(feed(EV_HELPER_ENDED), "starting>validating READY TAKE_EVIDENCE");
        feed(EV_EVIDENCE_PASSED);
        ck_assert_str_eq(feed(EV_RELOAD), "running>reloading RUN");
        ck_assert_str_eq(feed(EV_HELPER_ENDED), "RELOADED:0 reloading>running");
        ck_assert_str_eq(feed(EV_STOP), "running>stopping RUN");
        ck_assert_str_eq(feed(EV_HELPER_ENDED), "SIGNAL_GROUP:15 SIGNAL_GROUP:18");
        exited(0);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "RUN");
        ck_assert_str_eq(feed(EV_HELPER_ENDED), "stopping>inactive");
        done();
}
END_TEST

START_TEST(a_failed_preparation_is_a_failed_start) {
        setup(SERVICE_EXEC);
        config->restart = RESTART_POLICY_NO;
        add_command(EXEC_START_PRE);
        feed(EV_START);
        ck_assert_str_eq(feed_event((UnitEvent){.type = EV_HELPER_ENDED, .exit = {.status = 1}}, 0),
                "starting>stopping EMPTY_GROUP:9");
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "failed stopping>failed");
        done();
        setup(SERVICE_EXEC);
        add_command(EXEC_START_PRE);
        config->exec[EXEC_START_PRE].items[0].ignore_failure = true;
        feed(EV_START);
        ck_assert_str_eq(feed_event((UnitEvent){.type = EV_HELPER_ENDED, .exit = {.status = 1}}, 0), "SPAWN");
        done();
}
END_TEST

START_TEST(crashes_back_off_and_end_in_quarantine) {
        setup(SERVICE_EXEC);
        config->start_limit_burst = 3;
        boot_to_running();
        killed(SIGSEGV);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>starting SPAWN"); /* the first at once */
        ck_assert_int_eq(m.last_exit.reason, RESTART_SIGNAL);
        feed(EV_SPAWNED);
        feed(EV_EVIDENCE_PASSED);
        exited(1);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>backoff");
        ck_assert_uint_gt(m.deadline[TIMER_PHASE], now);
        ck_assert_str_eq(timeout(), "backoff>starting SPAWN");
        feed(EV_SPAWNED);
        exited(1);
        feed(EV_GROUP_EMPTY);
        timeout();
        feed(EV_SPAWNED);
        exited(1);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>quarantined");
        ck_assert_uint_eq(m.restarts, 3);
        feed_event((UnitEvent){.type = EV_START}, UNIT_STEP_REFUSED);
        ck_assert_str_eq(feed(EV_RESET), "quarantined>inactive");
        ck_assert_str_eq(feed(EV_START), "inactive>starting SPAWN");
        done();
}
END_TEST

/* Ledger and governance: past their budget every RestartMaxDelaySec, for ever. */
START_TEST(bootstrap_units_never_give_up) {
        setup(SERVICE_CHUNK);
        config->bootstrap = true;
        config->start_limit_burst = 2;
        boot_to_running();
        for (int i = 0; i < 20; i++) {
                killed(SIGKILL);
                feed(EV_GROUP_EMPTY);
                if (m.phase == PHASE_BACKOFF)
                        timeout();
                ck_assert_int_eq(m.phase, PHASE_SPAWN);
                feed(EV_SPAWNED);
                feed(EV_READY);
                feed(EV_EVIDENCE_PASSED);
        }
        ck_assert_uint_eq(m.restarts, 20);
        done();
}
END_TEST

START_TEST(start_retries) {
        setup(SERVICE_CHUNK);
        config->start_retries = 3;
        feed(EV_START);
        for (unsigned i = 0; i < 3; i++) {
                feed(EV_SPAWNED);
                exited(0); /* even a clean end is none before ready */
                uint64_t before = now;
                ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>backoff");
                ck_assert_uint_eq(m.deadline[TIMER_PHASE] - before, UINT64_C(1000000) << i);
                timeout();
        }
        feed(EV_SPAWNED);
        exited(1);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "failed stopping>failed");
        done();
        /* a timeout is not retried */
        setup(SERVICE_CHUNK);
        config->start_retries = 3;
        feed(EV_START);
        feed(EV_SPAWNED);
        ck_assert_str_eq(timeout(), "starting>stopping SIGNAL_GROUP:15 SIGNAL_GROUP:18");
        killed(SIGTERM);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "failed stopping>failed");
        ck_assert_int_eq(m.last_exit.reason, RESTART_STARTUP_TIMEOUT);
        done();
        /* with CanFail=yes the verdict is degraded, and Restart= goes on */
        setup(SERVICE_NOTIFY);
        config->can_fail = true;
        feed(EV_START);
        feed(EV_SPAWNED);
        exited(1);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "degraded stopping>starting SPAWN");
        feed(EV_SPAWNED);
        feed(EV_READY);
        ck_assert_str_eq(feed(EV_EVIDENCE_PASSED), "passed validating>running");
        done();
}
END_TEST

static const char *spawn_fails(int error) {
        feed_event((UnitEvent){.type = EV_SPAWN_FAILED, .error = error, .exit = {.error = error}}, UNIT_STEP_OK);
        return feed(EV_GROUP_EMPTY);
}

START_TEST(what_cannot_be_started_is_not_tried_again) {
        static const int hopeless[] = {-ENOENT, -EACCES, -ESRCH, -EKEYREJECTED};
        for (size_t i = 0; i < ELEMENTSOF(hopeless); i++) {
                setup(SERVICE_CHUNK);
                config->restart = RESTART_POLICY_ALWAYS;
                config->start_retries = 3;
                feed(EV_START);
                ck_assert_str_eq(spawn_fails(hopeless[i]), "failed stopping>failed");
                ck_assert_int_eq(m.last_exit.exit.error, hopeless[i]);
                ck_assert(!exit_has_status(&m.last_exit.exit));
                feed(EV_START); /* once it is put right */
                ck_assert_int_eq(m.phase, PHASE_SPAWN);
                done();
        }
        setup(SERVICE_NOTIFY); /* with CanFail=yes the boot goes on, but the unit is down */
        config->restart = RESTART_POLICY_ALWAYS;
        config->can_fail = true;
        feed(EV_START);
        ck_assert_str_eq(spawn_fails(-ENOENT), "degraded stopping>failed");
        done();
        setup(SERVICE_CHUNK); /* a lack of memory passes */
        config->start_retries = 1;
        feed(EV_START);
        ck_assert_str_eq(spawn_fails(-EAGAIN), "stopping>backoff");
        done();
        setup(SERVICE_CHUNK); /* ledger and governance are tried for ever */
        config->bootstrap = true;
        config->restart = RESTART_POLICY_ALWAYS;
        boot_to_running();
        killed(SIGKILL);
        feed(EV_GROUP_EMPTY);
        for (int i = 0; i < 5; i++) {
                spawn_fails(-ENOENT);
                ck_assert_int_eq(m.phase, PHASE_BACKOFF);
                timeout();
        }
        done();
}
END_TEST

static void setup_preparing(void) {
        setup(SERVICE_EXEC);
        prepared_at_once = false;
        config->user = config->name;
        ck_assert_str_eq(feed(EV_START), "inactive>starting PREPARE");
}

START_TEST(preparation_comes_before_the_spawn) {
        setup_preparing();
        ck_assert_uint_eq(m.instance, 1);
        ck_assert_str_eq(feed(EV_PREPARED), "SPAWN");
        ck_assert_uint_eq(m.instance, 1);
        feed_event((UnitEvent){.type = EV_PREPARED}, UNIT_STEP_IGNORED); /* a late one */
        ck_assert_str_eq(feed(EV_SPAWNED), "starting>validating READY TAKE_EVIDENCE");
        done();
        setup_preparing(); /* what it met with is a failed start, hopeless or not as that of a spawn */
        config->restart = RESTART_POLICY_ALWAYS;
        ck_assert_str_eq(feed_event((UnitEvent){.type = EV_PREPARED, .error = -ESRCH}, 0), "starting>stopping EMPTY_GROUP:9");
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "failed stopping>failed");
        ck_assert_int_eq(m.last_exit.exit.error, -ESRCH);
        done();
        setup_preparing(); /* commands of a oneshot are prepared one by one, ExecStartPre= stands before */
        add_command(EXEC_START);
        add_command(EXEC_START);
        config->type = SERVICE_ONESHOT;
        feed(EV_PREPARED);
        feed(EV_SPAWNED);
        ck_assert_str_eq(exited(0), "PREPARE");
        ck_assert_uint_eq(m.index, 1);
        ck_assert_str_eq(feed(EV_PREPARED), "SPAWN");
        done();
}
END_TEST

START_TEST(preparation_that_hangs) {
        setup_preparing();
        config->restart = RESTART_POLICY_NO;
        ck_assert_str_eq(timeout(), "starting>stopping SIGNAL_GROUP:15 SIGNAL_GROUP:18");
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "failed stopping>failed");
        ck_assert_int_eq(m.last_exit.reason, RESTART_STARTUP_TIMEOUT);
        ck_assert_int_eq(m.last_exit.exit.error, -ETIMEDOUT);
        feed_event((UnitEvent){.type = EV_PREPARED}, UNIT_STEP_IGNORED); /* at last */
        ck_assert_int_eq(m.phase, PHASE_FAILED);
        done();
        setup_preparing();
        ck_assert_str_eq(feed(EV_STOP), "starting>stopping SIGNAL_GROUP:15 SIGNAL_GROUP:18");
        feed_event((UnitEvent){.type = EV_PREPARED}, UNIT_STEP_IGNORED);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>inactive");
        done();
        setup_preparing();
        feed(EV_RESTART);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>starting PREPARE");
        ck_assert_uint_eq(m.instance, 2);
        done();
}
END_TEST

START_TEST(failed_evidence_is_no_pass) {
        setup(SERVICE_CHUNK);
        feed(EV_START);
        feed(EV_SPAWNED);
        feed(EV_READY);
        ck_assert_str_eq(feed(EV_EVIDENCE_FAILED), "validating>stopping SIGNAL_GROUP:15 SIGNAL_GROUP:18");
        killed(SIGTERM);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "failed stopping>failed");
        ck_assert_int_eq(m.last_exit.reason, RESTART_VALIDATION);
        done();
        setup(SERVICE_CHUNK);
        feed(EV_START);
        feed(EV_SPAWNED);
        feed(EV_READY);
        timeout(); /* no answer counts as none passed */
        ck_assert_int_eq(m.phase, PHASE_STOP_TERM);
        done();
}
END_TEST

START_TEST(pins) {
        setup(SERVICE_EXEC);
        boot_to_running();
        feed(EV_PIN_DOWN);
        feed_event((UnitEvent){.type = EV_RESTART, .reason = RESTART_HEALING}, UNIT_STEP_PINNED);
        unsigned left = unit_budget_left(&m, now);
        killed(SIGKILL);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>backoff");
        ck_assert_uint_eq(m.deadline[TIMER_PHASE], 0);
        ck_assert_uint_eq(unit_budget_left(&m, now), left); /* uncounted */
        feed_event((UnitEvent){.type = EV_START, .reason = RESTART_OPERATOR}, UNIT_STEP_PINNED);
        ck_assert_str_eq(feed(EV_UNPIN), "backoff>starting SPAWN");
        feed(EV_SPAWNED);
        feed(EV_EVIDENCE_PASSED);
        feed(EV_PIN_UP);
        feed_event((UnitEvent){.type = EV_STOP}, UNIT_STEP_PINNED);
        ck_assert_str_eq(feed_event((UnitEvent){.type = EV_STOP, .force = true}, 0),
                "running>stopping SIGNAL_GROUP:15 SIGNAL_GROUP:18");
        done();
}
END_TEST

START_TEST(healing_restarts_empty_the_group_first) {
        setup(SERVICE_EXEC);
        boot_to_running();
        feed_event((UnitEvent){.type = EV_RESTART, .reason = RESTART_HEALING}, 0);
        killed(SIGTERM);
        ck_assert_int_eq(m.phase, PHASE_STOP_TERM); /* members may be left */
        timeout();
        ck_assert_int_eq(m.phase, PHASE_STOP_KILL);
        ck_assert_str_eq(timeout(), "EMPTY_GROUP:9");
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>starting SPAWN");
        ck_assert_int_eq(m.last_exit.reason, RESTART_HEALING);
        ck_assert_uint_eq(m.restarts, 1);
        ck_assert_uint_eq(unit_budget_left(&m, now), config->start_limit_burst);
        done();
}
END_TEST

START_TEST(oneshots) {
        setup(SERVICE_ONESHOT);
        add_command(EXEC_START);
        feed(EV_START);
        feed(EV_SPAWNED);
        ck_assert_str_eq(exited(0), "SPAWN");
        feed(EV_SPAWNED);
        ck_assert_str_eq(exited(0), "READY passed starting>stopping SIGNAL_GROUP:15 SIGNAL_GROUP:18");
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>exited");
        ck_assert(unit_is_down(&m));
        done();
        setup(SERVICE_ONESHOT);
        config->remain_after_exit = true;
        feed(EV_START);
        feed(EV_SPAWNED);
        ck_assert_str_eq(exited(0), "READY passed starting>exited");
        ck_assert(unit_is_up(&m) && !unit_is_down(&m));
        feed(EV_STOP);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>inactive");
        done();
        setup(SERVICE_ONESHOT);
        config->restart = RESTART_POLICY_NO;
        feed(EV_START);
        feed(EV_SPAWNED);
        killed(SIGTERM); /* a polite signal is no success of a oneshot */
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "failed stopping>failed");
        done();
}
END_TEST

START_TEST(probes_and_watchdog) {
        setup(SERVICE_EXEC);
        config->probes[PROBE_STARTUP].type = config->probes[PROBE_READINESS].type =
                config->probes[PROBE_LIVENESS].type = PROBE_TCP;
        config->watchdog_us = 5000000;
        feed(EV_START);
        ck_assert_str_eq(feed(EV_SPAWNED), "PROBE");
        ck_assert_uint_eq(m.deadline[TIMER_PHASE], 0); /* the startup probe has its own numbers */
        ck_assert_str_eq(feed(EV_STARTUP_PASSED), "PROBE PROBE");
        ck_assert_uint_gt(m.deadline[TIMER_PHASE], 0);
        ck_assert_str_eq(feed(EV_READINESS_PASSED), "HEALTH starting>validating READY TAKE_EVIDENCE");
        feed(EV_EVIDENCE_PASSED);
        ck_assert_str_eq(feed(EV_READINESS_FAILED), "HEALTH");
        ck_assert_int_eq(m.phase, PHASE_RUNNING);
        feed_event((UnitEvent){.type = EV_WATCHDOG},
                UNIT_STEP_IGNORED); /* too early: fired late for an older deadline */
        now += 3000000;
        feed(EV_HEARTBEAT);
        now += 3000000;
        feed_event((UnitEvent){.type = EV_WATCHDOG}, UNIT_STEP_IGNORED);
        now += 3000000;
        ck_assert_str_eq(feed(EV_WATCHDOG), "running>stopping SIGNAL_GROUP:6 SIGNAL_GROUP:18");
        killed(SIGABRT);
        feed(EV_GROUP_EMPTY);
        ck_assert_int_eq(m.last_exit.reason, RESTART_WATCHDOG);
        done();
        setup(SERVICE_NOTIFY); /* WATCHDOG=trigger needs no WatchdogSec= and waits for no deadline */
        feed(EV_START);
        feed(EV_SPAWNED);
        feed(EV_READY);
        feed(EV_EVIDENCE_PASSED);
        feed_event((UnitEvent){.type = EV_WATCHDOG}, UNIT_STEP_IGNORED);
        ck_assert_str_eq(feed_event((UnitEvent){.type = EV_WATCHDOG, .force = true}, UNIT_STEP_OK),
                "HEALTH running>stopping SIGNAL_GROUP:6 SIGNAL_GROUP:18");
        done();
        setup(SERVICE_EXEC);
        config->probes[PROBE_LIVENESS].type = PROBE_TCP;
        boot_to_running();
        ck_assert_str_eq(feed(EV_LIVENESS_FAILED), "HEALTH running>stopping SIGNAL_GROUP:15 SIGNAL_GROUP:18");
        exited(0);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "HEALTH stopping>starting SPAWN");
        ck_assert_int_eq(m.last_exit.reason, RESTART_LIVENESS);
        done();
}
END_TEST

START_TEST(restart_policies) {
        static const struct {
                RestartPolicy policy;
                bool signaled;
                int status;
                UnitPhase want;
        } rows[] = {
                {RESTART_POLICY_NO, false, 1, PHASE_FAILED},
                {RESTART_POLICY_ON_FAILURE, false, 0, PHASE_EXITED},
                {RESTART_POLICY_ON_FAILURE, true, SIGTERM, PHASE_EXITED},
                {RESTART_POLICY_ON_FAILURE, true, SIGKILL, PHASE_SPAWN},
                {RESTART_POLICY_ON_SUCCESS, false, 0, PHASE_SPAWN},
                {RESTART_POLICY_ON_SUCCESS, false, 1, PHASE_FAILED},
                {RESTART_POLICY_ON_ABNORMAL, false, 1, PHASE_FAILED},
                {RESTART_POLICY_ON_ABNORMAL, true, SIGSEGV, PHASE_SPAWN},
                {RESTART_POLICY_ON_ABORT, true, SIGABRT, PHASE_SPAWN},
                {RESTART_POLICY_ALWAYS, false, 0, PHASE_SPAWN},
                {RESTART_POLICY_ALWAYS, false, 77, PHASE_FAILED}, /* RestartPreventExitStatus */
        };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                setup(SERVICE_EXEC);
                config->restart = rows[i].policy;
                config->restart_prevent.codes[77 / 64] = UINT64_C(1) << 77 % 64;
                boot_to_running();
                feed_event((UnitEvent){.type = EV_EXITED,
                                   .exit = {.signaled = rows[i].signaled, .status = rows[i].status}},
                        0);
                feed(EV_GROUP_EMPTY);
                ck_assert_msg(m.phase == rows[i].want, "row %zu: %s", i, unit_phase_to_string(m.phase));
                done();
        }
}
END_TEST

START_TEST(stopping_at_any_time_ends) {
        /* a stop during each phase of a start comes down, whatever was under way */
        static const UnitEventType steps[] = {
                EV_START, EV_HELPER_ENDED, EV_SPAWNED, EV_READY, EV_EVIDENCE_PASSED};
        for (size_t k = 1; k <= sizeof(steps) / sizeof(steps[0]); k++) {
                setup(SERVICE_NOTIFY);
                add_command(EXEC_START_PRE);
                for (size_t i = 0; i < k; i++)
                        feed(steps[i]);
                feed(EV_STOP);
                if (m.phase == PHASE_SPAWN)
                        feed(EV_SPAWNED);
                if (m.main_alive)
                        killed(SIGTERM);
                feed(EV_GROUP_EMPTY);
                ck_assert_msg(m.phase == PHASE_DOWN, "step %zu: %s", k, unit_phase_to_string(m.phase));
                done();
        }
        /* a start while it stops is a restart */
        setup(SERVICE_EXEC);
        boot_to_running();
        feed(EV_STOP);
        feed_event((UnitEvent){.type = EV_START, .reason = RESTART_OPERATOR}, 0);
        exited(0);
        ck_assert_str_eq(feed(EV_GROUP_EMPTY), "stopping>starting SPAWN");
        done();
}
END_TEST

START_TEST(kill_modes) {
        setup(SERVICE_EXEC);
        config->kill_mode = KILL_MIXED;
        boot_to_running();
        ck_assert_str_eq(feed(EV_STOP), "running>stopping SIGNAL_MAIN:15 SIGNAL_MAIN:18");
        ck_assert_str_eq(exited(0), "EMPTY_GROUP:9");
        done();
        setup(SERVICE_EXEC);
        config->kill_mode = KILL_PROCESS;
        boot_to_running();
        feed(EV_STOP);
        ck_assert_str_eq(exited(0), "stopping>inactive"); /* the rest is left alone */
        done();
        setup(SERVICE_EXEC);
        config->kill_mode = KILL_PROCESS;
        boot_to_running();
        feed_event((UnitEvent){.type = EV_RESTART}, 0);
        exited(0);
        ck_assert_int_eq(m.phase, PHASE_STOP_TERM); /* but a restart empties */
        done();
}
END_TEST

/* Each pair of phase and event is a transition, ignored on purpose, refused, or one of the listed impossible
 * ones. */
START_TEST(every_pair_is_defined) {
        for (unsigned p = 0; p < _PHASE_MAX; p++)
                for (unsigned e = 0; e < _EV_MAX; e++) {
                        if (p == PHASE_SETTLE) /* passes within one step */
                                continue;
                        setup(SERVICE_NOTIFY);
                        m.phase = (UnitPhase)p;
                        m.instance = 1;
                        m.main_alive = p >= PHASE_WAIT_READY && p <= PHASE_RELOAD;
                        m.deadline[TIMER_PHASE] = m.deadline[TIMER_WATCHDOG] = 1;
                        UnitCommands out = {.n = 0};
                        int r = unit_step(&m, &(UnitEvent){.type = (UnitEventType)e}, now, &out);
                        bool spawn_answer = e == EV_SPAWNED || e == EV_SPAWN_FAILED;
                        bool has_main = (p >= PHASE_ONESHOT && p <= PHASE_RELOAD) ||
                                        (p >= PHASE_STOP_CMD && p <= PHASE_STOP_KILL);
                        bool impossible =
                                (spawn_answer && p != PHASE_SPAWN) || (e == EV_EXITED && !has_main) ||
                                (e == EV_READY && p == PHASE_SPAWN) ||
                                (e == EV_SETTLED && p != PHASE_PRE && p != PHASE_PREPARE && p != PHASE_PROBE_STARTUP &&
                                        p != PHASE_PROBE_READY && p != PHASE_POST && p != PHASE_HOLD &&
                                        p != PHASE_STOP_TERM && p != PHASE_STOP_POST);
                        ck_assert_msg((r == UNIT_STEP_INVALID) == impossible, "%s in %s: %d",
                                unit_event_to_string((UnitEventType)e), unit_phase_to_string((UnitPhase)p),
                                r);
                        ck_assert_msg(r == UNIT_STEP_OK || m.phase == (UnitPhase)p, "%u %u", p, e);
                        ck_assert_uint_lt(out.n, UNIT_COMMANDS_MAX);
                        done();
                }
}
END_TEST

/* Random events never leave the machine stuck: from wherever it is, a forced stop answered honestly ends in a
 * down state. */
START_TEST(random_walks_can_always_be_stopped) {
        uint64_t seed = 42;
        for (int round = 0; round < 2000; round++) {
                setup((ServiceType)(round % 5));
                add_command(EXEC_START_PRE);
                add_command(EXEC_STOP_POST);
                for (int i = 0; i < 40; i++) {
                        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
                        UnitEvent ev = {.type = (UnitEventType)((seed >> 33) % EV_SETTLED),
                                .exit = {.status = (seed >> 60) & 1}};
                        UnitCommands out = {.n = 0};
                        /* an honest shell: only what can be */
                        bool spawn_answer = ev.type == EV_SPAWNED || ev.type == EV_SPAWN_FAILED;
                        if (spawn_answer != (m.phase == PHASE_SPAWN) ||
                                (ev.type == EV_EXITED && !m.main_alive))
                                continue;
                        now += 100000;
                        ck_assert_int_ne(unit_step(&m, &ev, now, &out), UNIT_STEP_INVALID);
                }
                for (int i = 0; i < 20 && !unit_is_down(&m); i++) {
                        UnitCommands out = {.n = 0};
                        unit_step(&m, &(UnitEvent){.type = EV_STOP, .force = true}, now, &out);
                        UnitEventType answer = m.phase == PHASE_SPAWN       ? EV_SPAWNED
                                               : m.phase == PHASE_PREPARE   ? EV_PREPARED
                                               : m.main_alive               ? EV_EXITED
                                               : m.phase == PHASE_STOP_POST ? EV_HELPER_ENDED
                                                                            : EV_GROUP_EMPTY;
                        unit_step(&m, &(UnitEvent){.type = answer}, now, &out);
                }
                ck_assert_msg(unit_is_down(&m), "round %d stuck in %s", round, unit_phase_to_string(m.phase));
                done();
        }
}
END_TEST

START_TEST(the_table_is_dot) {
        Buf b = BUF_INIT(1 << 20);
        ck_assert_int_eq(unit_state_dot(&b), 0);
        ck_assert_int_eq(buf_append(&b, "", 1), 0);
        ck_assert_ptr_nonnull(strstr((char *)b.data, "WAIT_READY -> PROBE_STARTUP [label=\"READY\"]"));
        buf_done(&b);
}
END_TEST

SUITE_MAIN("unit-state", plain_life, evidence_waits_for_the_stage, commands_run_in_order,
        a_failed_preparation_is_a_failed_start, crashes_back_off_and_end_in_quarantine,
        bootstrap_units_never_give_up, start_retries, what_cannot_be_started_is_not_tried_again,
        preparation_comes_before_the_spawn, preparation_that_hangs, failed_evidence_is_no_pass, pins,
        healing_restarts_empty_the_group_first, oneshots, probes_and_watchdog, restart_policies,
        stopping_at_any_time_ends, kill_modes, every_pair_is_defined, random_walks_can_always_be_stopped,
        the_table_is_dot)
