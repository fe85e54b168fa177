/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of the unit machine, carried out. What happens comes back as events through unit_feed(). */
#include "common/clock.h"
#include "common/log.h"
#include "guardian/manager.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void unit_issue(ManagedUnit *u, const char *fmt, ...) {
        if (u->n_issues >= UNIT_ISSUES_MAX)
                return;
        char text[512];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        u->issues[u->n_issues] = strdup(text);
        if (u->issues[u->n_issues])
                u->n_issues++;
}

void unit_issues_clear(ManagedUnit *u) {
        for (unsigned i = 0; i < u->n_issues; i++)
                free(u->issues[i]);
        u->n_issues = 0;
}

Incarnation unit_incarnation(const ManagedUnit *u) {
        Incarnation i = {.pid = (uint64_t)u->pid, .start_time = u->pid ? u->start_time : 0};
        memcpy(i.boot_id, u->m->boot_id, sizeof(i.boot_id));
        return i;
}

/* ---- emptying the group */

static void empty_group(ManagedUnit *u, int sig) {
        u->emptying = true;
        if (u->group_ready &&
                !group_empty(&u->group)) { /* mostly it is empty: nobody outlived the main process */
                group_signal(&u->group, sig, 0);
                if (!group_empty(&u->group))
                        return; /* unit_check_emptying() sees the end of the last one */
        }
        u->emptying = false;
        unit_feed(u, (UnitEvent){.type = EV_GROUP_EMPTY}, 0);
}

/* While a unit stops, the leader may be gone with members left: their end is what ends the stop. */
void unit_check_emptying(Manager *m) {
        for (uint32_t i = 0; i < m->n_units; i++) {
                ManagedUnit *u = &m->units[i];
                bool leaving = u->emptying || u->machine.phase == PHASE_STOP_TERM ||
                               u->machine.phase == PHASE_STOP_KILL;
                if (!leaving || !u->group_ready || u->pid > 0 || !group_empty(&u->group))
                        continue;
                u->emptying = false;
                unit_feed(u, (UnitEvent){.type = EV_GROUP_EMPTY}, 0);
        }
}

/* ---- processes */

static ExitInfo exit_info(const ProcessEnd *end) {
        return (ExitInfo){.signaled = end->signal != 0, .status = end->signal ? end->signal : end->code};
}

static void on_helper_end(void *user, const ProcessEnd *end) {
        ManagedUnit *u = user;
        if (u->helper != end->pid)
                return;
        u->helper = 0;
        if (u->output)
                output_drain(u->output);
        unit_feed(u, (UnitEvent){.type = EV_HELPER_ENDED, .exit = exit_info(end)}, 0);
}

void unit_run_helper(ManagedUnit *u, ExecList list, unsigned index, int r) {
        const ExecCommand *c = &u->config->exec[list].items[index];
        if (r == 0)
                r = unit_spawn_helper(u, c, on_helper_end, u, &u->helper);
        if (r < 0) {
                u->helper = 0;
                unit_feed(u, (UnitEvent){.type = EV_HELPER_ENDED, .exit = {.status = 127, .error = r}}, 0);
        }
}

static void on_main_end(void *user, const ProcessEnd *end) {
        ManagedUnit *u = user;
        if (u->pid != end->pid)
                return;
        if (u->notify)
                notify_socket_drain(u->notify);
        if (u->output)
                output_drain(u->output);
        Incarnation was = unit_incarnation(u);
        u->pid = 0;
        enforce_incarnation_ended(u->m->enforce, u->config->name, &was, manager_now());
        unit_feed(u, (UnitEvent){.type = EV_EXITED, .exit = exit_info(end)}, u->machine.instance);
}

static void spawn_main(ManagedUnit *u, unsigned index) {
        Incarnation down = unit_incarnation(u);
        int r = unit_spawn_main(u, index);
        if (r == 0) {
                r = reap_add(&u->m->reap, u->pid, on_main_end, u);
                if (r < 0)
                        process_signal(u->pid, 0, SIGKILL); /* not reaped yet: the number is its own */
        }
        if (r < 0) {
                u->pid = 0;
                unit_feed(u, (UnitEvent){.type = EV_SPAWN_FAILED, .error = r, .exit = {.error = r}}, 0);
                return;
        }
        group_add(&u->group, u->pid, true);
        u->start_time = u->group.leader_start;
        /* a question asked while there was no process was about none, and would hold others up until it
         * lapsed */
        enforce_incarnation_ended(u->m->enforce, u->config->name, &down, manager_now());
        boot_unit_spawned(&u->m->boot, u->index, clock_boot_us());
        unit_feed(u, (UnitEvent){.type = EV_SPAWNED}, u->machine.instance);
}

static void signal_group(ManagedUnit *u, int sig) {
        int n = u->group_ready ? group_signal(&u->group, sig, 0) : 0;
        if (n < 0)
                log_warning("group can't be signalled", LOG_UNIT(u->config->name), LOG_ERRNO(n));
        if (u->pid == 0 &&
                (!u->group_ready || group_empty(&u->group))) /* not ready: nothing was ever started */
                unit_feed(u, (UnitEvent){.type = EV_GROUP_EMPTY}, 0);
}

/* ---- deadlines */

static void on_phase_deadline(void *user, uint64_t now_us) {
        ManagedUnit *u = user;
        (void)now_us;
        unit_feed(u, (UnitEvent){.type = EV_TIMEOUT}, 0);
}

static void on_watchdog_deadline(void *user, uint64_t now_us) {
        ManagedUnit *u = user;
        (void)now_us;
        unit_feed(u, (UnitEvent){.type = EV_WATCHDOG}, 0);
}

/* ---- reports */

static void on_state(ManagedUnit *u, UnitState from, UnitState to) {
        u->since_ns = clock_wall_ns();
        if (to == UNIT_STARTING) /* what was wrong with the instance before; its ExecStartPre= commands may
                                    add to it */
                unit_issues_clear(u);
        /* a fact for proposals: nobody proposes in an ungoverned set */
        if (u->m->governance != PLAN_NONE && unit_machine_state(&u->machine) == UNIT_RUNNING && u->pid > 0 &&
                proc_rss(u->pid, &u->rss_ready) < 0)
                u->rss_ready = 0;
        boot_unit_state(&u->m->boot, u->index, unit_machine_state(&u->machine), unit_is_down(&u->machine),
                clock_boot_us());
        lifecycle_state(u, from, to);
}

static void on_verdict(ManagedUnit *u) {
        UnitVerdict v = u->machine.verdict;
        bool up = unit_is_up(&u->machine);
        char why[400];
        if (v == UNIT_VERDICT_PASSED) {
                log_info("unit ready", LOG_UNIT(u->config->name),
                        LOG_STR("verdict", unit_verdict_to_string((int)v)));
        } else {
                lifecycle_why(u, why, sizeof(why));
                if (u->n_issues == 0 && !up)
                        unit_issue(u, "%s", why);
                log_warning(up                           ? "unit ready, but not as it should be"
                            : v == UNIT_VERDICT_DEGRADED ? "unit not ready, the boot goes on without it"
                                                         : "unit not ready",
                        LOG_UNIT(u->config->name), LOG_STR("verdict", unit_verdict_to_string((int)v)),
                        LOG_STR("reason", why));
        }
        boot_unit_verdict(&u->m->boot, u->index, v, clock_boot_us());
}

void unit_command(ManagedUnit *u, const UnitCommand *c) {
        Manager *m = u->m;
        switch (c->type) {
        case CMD_RUN:
        case CMD_PREPARE:
                unit_prepare(u, c);
                break;
        case CMD_SPAWN:
                spawn_main(u, c->index);
                break;
        case CMD_SIGNAL_MAIN:
                if (u->pid > 0)
                        process_signal(u->pid, u->start_time, c->sig);
                break;
        case CMD_SIGNAL_GROUP:
                signal_group(u, c->sig);
                break;
        case CMD_EMPTY_GROUP:
                empty_group(u, c->sig);
                break;
        case CMD_ARM:
                timer_heap_set(&m->heap, &u->timers[c->timer], c->at_us,
                        c->timer == TIMER_PHASE ? on_phase_deadline : on_watchdog_deadline, u);
                break;
        case CMD_DISARM:
                timer_heap_cancel(&m->heap, &u->timers[c->timer]);
                break;
        case CMD_PROBE:
                unit_probe_start(u, c->probe);
                break;
        case CMD_PROBES_STOP:
                unit_probes_stop(u);
                break;
        case CMD_TAKE_EVIDENCE:
                unit_take_evidence(u);
                break;
        case CMD_READY:
                boot_unit_ready(&m->boot, u->index, clock_boot_us());
                break;
        case CMD_VERDICT:
                on_verdict(u);
                break;
        case CMD_STATE:
                on_state(u, c->from, c->to);
                break;
        case CMD_HEALTH:
                log_info("health", LOG_UNIT(u->config->name),
                        LOG_STR("health", health_to_string((int)u->machine.health)));
                lifecycle_state(u, unit_machine_state(&u->machine), unit_machine_state(&u->machine));
                break;
        case CMD_END:
                chunk_peer_free(u);
                lifecycle_end(u);
                break;
        case CMD_RELOADED:
                log_info(c->sig ? "reload failed" : "reloaded", LOG_UNIT(u->config->name));
                govern_unit_reloaded(u, c->sig == 0);
                break;
        case _CMD_MAX:
                break;
        }
}
