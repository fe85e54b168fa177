/* SPDX-License-Identifier: Apache-2.0 */
/* What comes after an end: StartRetries, Restart=, pacing, pins, quarantine. Pure. */
#include "guardian/unit-state-table.h"
#include <errno.h>
#include <signal.h>

/* ExecStart=-/program: however it ends is well. Of a oneshot's several commands each is asked for itself. */
static bool may_fail(const UnitConfig *c) {
        return c->exec[EXEC_START].n == 1 && c->exec[EXEC_START].items[0].ignore_failure;
}

bool exit_is_clean(const UnitConfig *c, const ExitInfo *e) {
        if (e->unknown || e->error)
                return false;
        if (!e->signaled)
                return e->status == 0 || exit_set_has(&c->success, false, e->status) || may_fail(c);
        /* systemd.service(5), SuccessExitStatus: these end a service as intended, but not a oneshot */
        bool polite =
                e->status == SIGHUP || e->status == SIGINT || e->status == SIGTERM || e->status == SIGPIPE;
        return (polite && c->type != SERVICE_ONESHOT) || exit_set_has(&c->success, true, e->status) ||
               may_fail(c);
}

typedef enum EndKind { END_CLEAN, END_CODE, END_SIGNAL, END_TIMEOUT, END_WATCHDOG } EndKind;

static EndKind end_kind(const UnitMachine *m) {
        switch (m->why) {
        case RESTART_WATCHDOG:
                return END_WATCHDOG;
        case RESTART_STARTUP_TIMEOUT:
        case RESTART_LIVENESS:
        case RESTART_VALIDATION:
                return END_TIMEOUT;
        case RESTART_NONE:
        case RESTART_EXIT:
        case RESTART_SIGNAL:
        case RESTART_HEALING:
        case RESTART_OPERATOR:
        case RESTART_DEPENDENCY:
        case RESTART_UNKNOWN:
        case _RESTART_MAX:
                break;
        }
        if (!m->failure)
                return END_CLEAN;
        return m->exit.signaled ? END_SIGNAL : END_CODE;
}

/* The table of systemd.service(5), "Restart=". */
bool restart_wanted(const UnitMachine *m) {
        static const uint8_t wanted[] = {
                [RESTART_POLICY_NO] = 0,
                [RESTART_POLICY_ON_SUCCESS] = 1 << END_CLEAN,
                [RESTART_POLICY_ON_FAILURE] =
                        1 << END_CODE | 1 << END_SIGNAL | 1 << END_TIMEOUT | 1 << END_WATCHDOG,
                [RESTART_POLICY_ON_ABNORMAL] = 1 << END_SIGNAL | 1 << END_TIMEOUT | 1 << END_WATCHDOG,
                [RESTART_POLICY_ON_WATCHDOG] = 1 << END_WATCHDOG,
                [RESTART_POLICY_ON_ABORT] = 1 << END_SIGNAL,
                [RESTART_POLICY_ALWAYS] = 0xff,
        };
        EndKind k = end_kind(m);
        bool by_itself = k == END_CLEAN || k == END_CODE || k == END_SIGNAL;
        if (by_itself && !m->exit.error &&
                exit_set_has(&m->config->restart_prevent, m->exit.signaled, m->exit.status))
                return false;
        return wanted[m->config->restart] >> k & 1;
}

PacingConfig unit_pacing_config(const UnitConfig *c) {
        return (PacingConfig){.base_us = c->restart_us,
                .max_delay_us = c->restart_max_us,
                .reset_us = c->restart_reset_us,
                .interval_us = c->start_limit_interval_us,
                .burst = c->start_limit_burst,
                .jitter = c->restart_jitter,
                .forever = c->bootstrap};
}

/* splitmix64: good enough to spread restarts, and the same for the same seed. */
uint64_t unit_random(UnitMachine *m) {
        uint64_t z = m->random += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

static void fail_verdict(Step *s) {
        if (!s->m->verdict_given)
                step_verdict(s, s->m->config->can_fail ? UNIT_VERDICT_DEGRADED : UNIT_VERDICT_FAILED);
}

/* A new instance after delay_us; a pin makes it wait for its end instead, and does not count. */
static Fate resume(UnitMachine *m, uint64_t now, uint64_t delay_us) {
        m->waiting_pin = m->pin == PIN_STATE_DOWN;
        m->resume_us = m->waiting_pin ? 0 : later(now, delay_us);
        return m->waiting_pin || delay_us > 0 ? FATE_LATER : FATE_AGAIN;
}

static Fate pace(Step *s) {
        UnitMachine *m = s->m;
        if (m->pin == PIN_STATE_DOWN)
                return resume(m, s->now, 0);
        PacingConfig c = unit_pacing_config(m->config);
        PacingDecision d = pacing_restart(&m->pacing, &c, s->now, unit_random(m));
        if (d.verdict != PACING_QUARANTINE)
                return resume(m, s->now, d.delay_us);
        fail_verdict(s);
        return FATE_QUARANTINED;
}

/* Could not be started for a reason that another try does not take away: no such program, not executable, not
 * the planned one, no such user. The bootstrap units are tried for ever all the same: nobody could start them
 * by hand without the gate. */
static bool hopeless(const UnitMachine *m) {
        int e = m->exit.error;
        return m->failure && !m->config->bootstrap &&
               (e == -ENOENT || e == -EACCES || e == -ESRCH || e == -EKEYREJECTED);
}

static Fate decide(Step *s) {
        UnitMachine *m = s->m;
        if (m->goal == GOAL_DOWN)
                return FATE_STOPPED;
        if (m->goal == GOAL_RESTART)
                return resume(m, s->now, 0);
        if (hopeless(m)) {
                fail_verdict(s);
                return FATE_FAILED;
        }
        bool early = m->failure && !m->was_ready;
        if (early && m->why != RESTART_STARTUP_TIMEOUT && !m->verdict_given &&
                m->retries < m->config->start_retries) {
                unsigned shift = m->retries < 5 ? m->retries : 5;
                m->retries++;
                return resume(m, s->now, UINT64_C(1000000) << shift);
        }
        if ((early || m->why == RESTART_VALIDATION) && !m->verdict_given) {
                bool final =
                        m->boot_start && !m->config->can_fail; /* the boot ends here, do not start it again */
                fail_verdict(s);
                if (final)
                        return FATE_FAILED;
        }
        if (restart_wanted(m))
                return pace(s);
        if (!m->failure)
                return FATE_EXITED;
        fail_verdict(s);
        return FATE_FAILED;
}

void unit_settle(Step *s) {
        UnitMachine *m = s->m;
        m->last_exit.known = true;
        m->last_exit.exit = m->exit;
        m->last_exit.reason = m->why;
        m->last_exit.at_us = s->now;
        m->fate = (uint8_t)decide(s);
        step_emit(s, (UnitCommand){.type = CMD_END});
}

unsigned unit_budget_left(const UnitMachine *m, uint64_t now_us) {
        PacingConfig c = unit_pacing_config(m->config);
        return pacing_left(&m->pacing, &c, now_us);
}
