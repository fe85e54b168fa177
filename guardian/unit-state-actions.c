/* SPDX-License-Identifier: Apache-2.0 */
/* Guards and actions of the unit machine's table. */
#include "guardian/unit-state-table.h"
#include <errno.h>
#include <signal.h>

/* ---- guards */

static bool has_next(const Step *s) {
        return s->m->index + 1 < phase_commands(s->m)->n;
}

/* The end in hand: the event's, or that of the main process before. */
static bool main_well(const Step *s) {
        if (s->ev->type == EV_EXITED)
                return exit_is_clean(s->m->config, &s->ev->exit);
        return !s->m->main_alive && exit_is_clean(s->m->config, &s->m->exit);
}

static bool command_well(const Step *s) {
        const ExecCommands *l = phase_commands(s->m);
        if (s->m->index < l->n && l->items[s->m->index].ignore_failure)
                return true;
        const ExitInfo *e = &s->ev->exit;
        return !e->signaled && !e->error && !e->unknown && e->status == 0;
}

bool guard_well(const Step *s) {
        return command_well(s);
}
bool guard_ill(const Step *s) {
        return !command_well(s);
}
bool guard_more(const Step *s) {
        return command_well(s) && has_next(s);
}
bool guard_next_any(const Step *s) {
        return has_next(s);
}
bool guard_oneshot(const Step *s) {
        return s->m->config->type == SERVICE_ONESHOT;
}
bool guard_ended_well(const Step *s) {
        return main_well(s) || command_well(s);
}
bool guard_oneshot_more(const Step *s) {
        return guard_ended_well(s) && has_next(s);
}
bool guard_remains(const Step *s) {
        return s->m->config->remain_after_exit && main_well(s);
}
bool guard_speaks(const Step *s) {
        return s->m->config->type == SERVICE_NOTIFY || s->m->config->type == SERVICE_CHUNK;
}
bool guard_plain_well(const Step *s) {
        return s->m->config->type != SERVICE_CHUNK && main_well(s);
}
bool guard_unprepared(const Step *s) {
        return s->ev->error < 0;
}
bool guard_unvalidated(const Step *s) {
        return !s->m->config->guardian_validates;
}
bool guard_held(const Step *s) {
        return s->m->hold_validation;
}
bool guard_goal_down(const Step *s) {
        return s->m->goal == GOAL_DOWN;
}
bool guard_goal_restart(const Step *s) {
        return s->m->goal == GOAL_RESTART;
}
bool guard_stop_command(const Step *s) {
        return s->m->config->exec[EXEC_STOP].n > 0;
}
bool guard_reload_command(const Step *s) {
        return s->m->config->exec[EXEC_RELOAD].n > 0;
}
bool guard_main_dead(const Step *s) {
        return !s->m->main_alive;
}
/* A restart empties the group whatever KillMode says: no second instance lives beside the first. */
bool guard_leave_group(const Step *s) {
        return s->m->config->kill_mode == KILL_PROCESS && s->m->goal == GOAL_DOWN;
}
bool guard_mixed(const Step *s) {
        return s->m->config->kill_mode == KILL_MIXED;
}
bool guard_post_over(const Step *s) {
        return s->m->post_over && !s->m->main_alive;
}
bool guard_pinned_down(const Step *s) {
        return s->m->pin == PIN_STATE_DOWN;
}
bool guard_stop_refused(const Step *s) {
        return s->m->pin == PIN_STATE_UP && !s->ev->force;
}
bool guard_waits_for_pin(const Step *s) {
        return s->m->waiting_pin;
}
bool guard_stopped(const Step *s) {
        return s->m->fate == FATE_STOPPED;
}
bool guard_again(const Step *s) {
        return s->m->fate == FATE_AGAIN;
}
bool guard_later(const Step *s) {
        return s->m->fate == FATE_LATER;
}
bool guard_exited(const Step *s) {
        return s->m->fate == FATE_EXITED;
}
bool guard_quarantined(const Step *s) {
        return s->m->fate == FATE_QUARANTINED;
}

/* ---- actions */

static RestartReason reason_or(const Step *s, RestartReason other) {
        return s->ev->reason != RESTART_NONE ? s->ev->reason : other;
}

/* A new instance is under way. */
static void begin(Step *s, RestartReason by, bool counts) {
        UnitMachine *m = s->m;
        m->goal = GOAL_UP;
        m->started_by = by;
        m->was_ready = m->failure = m->waiting_pin = m->post_over = m->main_alive = false;
        m->exit = (ExitInfo){0};
        m->why = RESTART_NONE;
        m->resume_us = 0;
        m->index = 0;
        m->start_us = s->now;
        m->spawn_us = m->ready_us = m->validated_us = 0;
        if (counts && m->instance > 0)
                m->restarts++;
        step_health(s, HEALTH_UNKNOWN);
        step_arm(s, TIMER_PHASE, later(s->now, m->config->timeout_start_us));
}

void action_start(Step *s) {
        s->m->boot_start = s->ev->reason == RESTART_NONE;
        s->m->verdict = UNIT_VERDICT_PENDING;
        s->m->verdict_given = false;
        s->m->retries = 0;
        pacing_reset(&s->m->pacing);
        begin(s, s->ev->reason, false);
}
void action_restart_down(Step *s) {
        action_start(s);
        s->m->boot_start = false;
        s->m->started_by = reason_or(s, RESTART_OPERATOR);
}
/* Out of the back-off by request: an operator's start is no crash, and forgets the ones before. */
void action_start_now(Step *s) {
        RestartReason by = s->m->started_by;
        if (s->ev->type == EV_START || s->ev->type == EV_RESTART) {
                pacing_reset(&s->m->pacing);
                by = reason_or(s, RESTART_OPERATOR);
        } else {
                s->m->pin = s->ev->type == EV_PIN_UP ? PIN_STATE_UP : PIN_STATE_NONE;
        }
        begin(s, by, true);
}
void action_begin_again(Step *s) {
        begin(s, s->m->why, true);
}
void action_next(Step *s) {
        if (s->m->phase == PHASE_ONESHOT) {
                s->m->main_alive = false;
                s->m->index++;
        } else
                step_run(s, phase_list(s->m->phase), s->m->index + 1);
}

static void fail(Step *s, RestartReason why) {
        s->m->failure = true;
        s->m->why = why;
}

void action_start_failed(Step *s) {
        if (!s->m->main_alive)
                s->m->exit = s->ev->exit;
        fail(s, s->ev->exit.signaled ? RESTART_SIGNAL : RESTART_EXIT);
}
void action_spawn_failed(Step *s) {
        s->m->exit = (ExitInfo){.error = s->ev->error ? s->ev->error : s->ev->exit.error};
        fail(s, RESTART_EXIT);
}
void action_spawned(Step *s) {
        s->m->main_alive = true;
        s->m->spawn_us = s->now;
}
void action_reaped(Step *s) {
        s->m->main_alive = false;
        s->m->exit = s->ev->exit;
        if (s->m->why == RESTART_NONE)
                s->m->why = s->ev->exit.unknown    ? RESTART_UNKNOWN
                            : s->ev->exit.signaled ? RESTART_SIGNAL
                                                   : RESTART_EXIT;
}
/* Ended although it should run. Before its validation that is a failure however it ended. */
void action_ended(Step *s) {
        bool judged = s->m->phase == PHASE_HOLD || s->m->phase == PHASE_EVIDENCE;
        action_reaped(s);
        s->m->failure = judged || !exit_is_clean(s->m->config, &s->ev->exit);
}
void action_ended_early(Step *s) {
        action_reaped(s);
        s->m->failure = true;
}
void action_oneshot_done(Step *s) {
        action_reaped(s);
}
void action_start_timeout(Step *s) {
        if (s->m->phase == PHASE_PREPARE) /* nothing ran that could have ended */
                s->m->exit = (ExitInfo){.error = -ETIMEDOUT};
        fail(s, RESTART_STARTUP_TIMEOUT);
}
void action_startup_probe(Step *s) {
        step_health(s, HEALTH_UNHEALTHY);
        fail(s, RESTART_STARTUP_TIMEOUT);
}
void action_liveness(Step *s) {
        step_health(s, HEALTH_UNHEALTHY);
        fail(s, RESTART_LIVENESS);
}
void action_watchdog(Step *s) {
        step_health(s, HEALTH_UNHEALTHY);
        fail(s, RESTART_WATCHDOG);
}
void action_validated(Step *s) {
        s->m->hold_validation = false;
        s->m->validated_us = s->now;
        step_verdict(s, UNIT_VERDICT_PASSED);
}
void action_issues(Step *s) {
        s->m->validated_us = s->now;
        step_verdict(s, UNIT_VERDICT_DEGRADED);
}
void action_evidence_failed(Step *s) {
        fail(s, RESTART_VALIDATION);
}
void action_validate_timeout(Step *s) {
        fail(s, RESTART_VALIDATION);
}
void action_release(Step *s) {
        s->m->hold_validation = false;
}

/* It ended well before anybody could look at it: what it was started for is done. */
void action_unvalidated_end(Step *s) {
        if (s->ev->type == EV_EXITED)
                action_reaped(s);
        if (!s->m->was_ready)
                step_ready(s);
        s->m->failure = false;
        s->m->validated_us = s->now;
        step_verdict(s, UNIT_VERDICT_PASSED);
}
void action_stop(Step *s) {
        s->m->goal = GOAL_DOWN;
        s->m->why = reason_or(s, RESTART_OPERATOR);
        s->m->failure = s->m->waiting_pin = false;
}
void action_restart(Step *s) {
        s->m->goal = GOAL_RESTART;
        s->m->why = reason_or(s, RESTART_OPERATOR);
        s->m->failure = false;
}
/* While it goes down anyway: only what comes after changes; a crash under way keeps its cause. */
void action_down_instead(Step *s) {
        s->m->goal = GOAL_DOWN;
        if (!s->m->failure)
                s->m->why = reason_or(s, RESTART_OPERATOR);
}
void action_up_again(Step *s) {
        s->m->goal = GOAL_RESTART;
        if (!s->m->failure)
                s->m->why = reason_or(s, RESTART_OPERATOR);
}
void action_healthy(Step *s) {
        step_health(s, HEALTH_HEALTHY);
}
void action_unhealthy(Step *s) {
        step_health(s, HEALTH_UNHEALTHY);
}
/* Readiness says more than liveness: it speaks for the health where both are probed. */
void action_alive(Step *s) {
        if (s->m->config->probes[PROBE_READINESS].type == PROBE_NONE)
                step_health(s, HEALTH_HEALTHY);
}
void action_heartbeat(Step *s) {
        const UnitConfig *c = s->m->config;
        if (c->watchdog_us > 0)
                step_arm(s, TIMER_WATCHDOG, later(s->now, c->watchdog_us));
        if (c->probes[PROBE_LIVENESS].type == PROBE_NONE)
                action_alive(s);
}
void action_reloaded(Step *s) {
        step_emit(s, (UnitCommand){.type = CMD_RELOADED, .sig = 0});
}
void action_reload_failed(Step *s) {
        step_emit(s, (UnitCommand){.type = CMD_RELOADED, .sig = 1});
}
void action_kill_again(Step *s) {
        step_emit(s, (UnitCommand){.type = CMD_EMPTY_GROUP, .sig = SIGKILL});
        step_arm(s, TIMER_PHASE, later(s->now, KILL_AGAIN_US));
}
void action_post_over(Step *s) {
        s->m->post_over = true;
}
void action_pin_up(Step *s) {
        s->m->pin = PIN_STATE_UP;
}
void action_pin_down(Step *s) {
        s->m->pin = PIN_STATE_DOWN;
}
void action_pin_backoff(Step *s) {
        s->m->pin = PIN_STATE_DOWN;
        s->m->waiting_pin = true;
        s->m->resume_us = 0;
        step_arm(s, TIMER_PHASE, 0);
}
void action_unpin(Step *s) {
        s->m->pin = PIN_STATE_NONE;
}
void action_reset(Step *s) {
        pacing_reset(&s->m->pacing);
}
void action_skip(Step *s) {
        step_verdict(s, UNIT_VERDICT_SKIPPED);
}
