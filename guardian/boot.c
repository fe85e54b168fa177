/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/boot.h"
#include "common/cleanup.h"
#include <errno.h>
#include <string.h>

const char *boot_state_to_string(BootState s) {
        static const char *const names[] = {
#define X_BOOT(N, n) n,
                BOOT_STATES(X_BOOT)
#undef X_BOOT
        };
        return s < _BOOT_STATE_MAX ? names[s] : "invalid";
}

int boot_init(Boot *b, const Plan *plan, bool keep_on_abort) {
        *b = (Boot){.plan = plan,
                .keep_on_abort = keep_on_abort,
                .aborted_by = PLAN_NONE,
                .stop_stage = PLAN_NONE};
        /* each unit gets each kind of order at most once */
        b->q_cap = 4 * plan->n + plan->n_stages + 4;
        b->units = calloc(plan->n + 1, sizeof(BootUnit));
        b->stages = calloc(plan->n_stages + 1, sizeof(BootStage));
        b->queue = calloc(b->q_cap, sizeof(BootOrder));
        b->work = calloc(plan->n + 1, sizeof(uint32_t));
        if (!b->units || !b->stages || !b->queue || !b->work) {
                boot_done(b);
                return -ENOMEM;
        }
        for (uint32_t i = 0; i < plan->n; i++)
                b->units[i] = (BootUnit){.down = true, .waited_for = PLAN_NONE};
        for (uint32_t i = 0; i < plan->n_stages; i++)
                b->stages[i].last = PLAN_NONE;
        return 0;
}

void boot_done(Boot *b) {
        free(b->units);
        free(b->stages);
        free(b->queue);
        free(b->work);
        b->units = NULL;
        b->stages = NULL;
        b->queue = NULL;
        b->work = NULL;
}

static void push(Boot *b, BootOrderType type, uint32_t unit, uint32_t cause) {
        if (b->q_len == b->q_cap)
                return; /* cannot be: see boot_init() */
        b->queue[(b->q_head + b->q_len++) % b->q_cap] = (BootOrder){type, unit, cause};
}

BootOrder boot_next(Boot *b) {
        if (b->q_len == 0)
                return (BootOrder){BOOT_ORDER_NONE, PLAN_NONE, PLAN_NONE};
        BootOrder o = b->queue[b->q_head];
        b->q_head = (b->q_head + 1) % b->q_cap;
        b->q_len--;
        return o;
}

static const PlanUnit *plan_unit(const Boot *b, uint32_t u) {
        return &b->plan->units[u];
}

static bool starting_allowed(const Boot *b) {
        return !b->stopping && b->aborted_by == PLAN_NONE;
}

/* ---- what makes the whole degraded */

static void count_bad(Boot *b, uint32_t u) {
        BootUnit *x = &b->units[u];
        bool bad = x->verdict == UNIT_VERDICT_DEGRADED || x->verdict == UNIT_VERDICT_FAILED ||
                   (x->quarantined && !plan_unit(b, u)->config->can_fail);
        if (bad != x->counted_bad)
                b->n_bad += bad ? 1 : UINT32_MAX;
        x->counted_bad = bad;
        if (b->state == BOOT_RUNNING || b->state == BOOT_DEGRADED)
                b->state = b->n_bad > 0 ? BOOT_DEGRADED : BOOT_RUNNING;
}

/* ---- starting */

static void start_stage(Boot *b, uint64_t now_us);

/* A requirement that will not be there: failed, or skipped itself. */
static uint32_t failed_need(const Boot *b, uint32_t u) {
        const PlanUnit *p = plan_unit(b, u);
        for (uint32_t i = 0; i < p->n_needs; i++) {
                const BootUnit *x = &b->units[p->needs[i].to];
                if (p->needs[i].hard && x->boot_done && !x->ready)
                        return p->needs[i].to;
        }
        return PLAN_NONE;
}

static void release(Boot *b, uint32_t u) {
        if (b->units[u].released)
                return;
        b->units[u].released = true;
        b->work[b->n_work++] = u;
}

static void mark_spawned(Boot *b, uint32_t u) {
        BootStage *s = &b->stages[plan_unit(b, u)->stage];
        if (b->units[u].spawned)
                return;
        b->units[u].spawned = true;
        if (--s->to_spawn > 0 || !starting_allowed(b))
                return;
        /* the stage's last spawn: now evidence may be taken */
        const PlanStage *ps = &b->plan->stages[plan_unit(b, u)->stage];
        for (uint32_t i = 0; i < ps->n; i++) {
                uint32_t x = b->plan->order[ps->first + i];
                if (!b->units[x].asked || b->units[x].validate_ordered || b->units[x].boot_done)
                        continue;
                b->units[x].validate_ordered = true;
                push(b, BOOT_ORDER_VALIDATE, x, PLAN_NONE);
        }
}

static void begin_stop(Boot *b, uint64_t now_us);

static void judge(Boot *b, uint32_t u, UnitVerdict v, uint64_t now_us) {
        BootUnit *x = &b->units[u];
        BootStage *s = &b->stages[plan_unit(b, u)->stage];
        x->verdict = v;
        x->boot_done = true;
        if (v == UNIT_VERDICT_PASSED || (v == UNIT_VERDICT_DEGRADED && x->ready))
                x->validated_us = now_us;
        count_bad(b, u);
        s->last = u;
        s->to_judge--;
        mark_spawned(b, u);
        release(b, u);
        if (v != UNIT_VERDICT_FAILED)
                return;
        b->aborted_by = u;
        b->state = BOOT_ABORTED;
        b->end_us = now_us;
        push(b, BOOT_ORDER_ABORT, u, PLAN_NONE);
        if (!b->keep_on_abort)
                begin_stop(b, now_us);
}

/* It runs, and has said how it is. */
static bool is_settled(const BootUnit *x) {
        return !x->down &&
               (x->state == UNIT_RUNNING || x->state == UNIT_RELOADING || x->state == UNIT_EXITED) &&
               (x->verdict == UNIT_VERDICT_PASSED || x->verdict == UNIT_VERDICT_DEGRADED);
}

/* An operator started it before its turn: what it said already it will not say again. */
static void take_over(Boot *b, uint32_t u, uint64_t now_us) {
        BootUnit *x = &b->units[u];
        x->asked = x->taken_over = true;
        x->start_us = now_us;
        if (is_settled(x)) {
                judge(b, u, x->verdict, now_us);
                return;
        }
        if (x->early_spawned)
                mark_spawned(b, u);
        if (x->ready) {
                x->ready_us = now_us;
                release(b, u);
        }
        if (x->state == UNIT_STOPPING || x->state == UNIT_BACKOFF)
                push(b, BOOT_ORDER_START, u, PLAN_NONE);
}

static void start_or_skip(Boot *b, uint32_t u, uint64_t now_us) {
        BootUnit *x = &b->units[u];
        if (x->asked || x->boot_done || !starting_allowed(b))
                return;
        if (!x->down) {
                take_over(b, u, now_us);
                return;
        }
        uint32_t cause = failed_need(b, u);
        if (cause != PLAN_NONE) {
                push(b, BOOT_ORDER_SKIP, u, cause);
                judge(b, u, UNIT_VERDICT_SKIPPED, now_us);
                return;
        }
        x->asked = true;
        x->down = false;
        x->start_us = now_us;
        push(b, BOOT_ORDER_START, u, PLAN_NONE);
}

/* Looks at those who wait for released units, without recursion; then at the end of the stage. */
static void go_on(Boot *b, uint64_t now_us) {
        while (b->n_work > 0) {
                uint32_t u = b->work[--b->n_work];
                const PlanUnit *p = plan_unit(b, u);
                for (uint32_t i = 0; i < p->n_needed_by && starting_allowed(b); i++) {
                        uint32_t d = p->needed_by[i];
                        if (plan_unit(b, d)->stage != b->stage || !plan_unit(b, d)->boots ||
                                b->units[d].waits == 0)
                                continue;
                        b->units[d].waited_for = u;
                        if (--b->units[d].waits == 0)
                                start_or_skip(b, d, now_us);
                }
        }
        if (starting_allowed(b) && b->state == BOOT_BOOTING && b->stage < b->plan->n_stages &&
                b->stages[b->stage].to_judge == 0) {
                b->stages[b->stage].end_us = now_us;
                b->stage++;
                start_stage(b, now_us);
        }
}

static void count_waits(Boot *b, uint32_t u) {
        const PlanUnit *p = plan_unit(b, u);
        b->units[u].waits = 0;
        for (uint32_t i = 0; i < p->n_needs; i++) {
                const PlanUnit *need = plan_unit(b, p->needs[i].to);
                b->units[u].waits +=
                        need->stage == p->stage && need->boots && !b->units[p->needs[i].to].released;
        }
}

static void start_stage(Boot *b, uint64_t now_us) {
        const Plan *p = b->plan;
        for (; b->stage < p->n_stages; b->stage++) {
                const PlanStage *ps = &p->stages[b->stage];
                BootStage *s = &b->stages[b->stage];
                s->start_us = now_us;
                push(b, BOOT_ORDER_STAGE, b->stage, PLAN_NONE);
                for (uint32_t i = 0; i < ps->n; i++) {
                        if (!plan_unit(b, p->order[ps->first + i])->boots)
                                continue;
                        s->to_spawn++;
                        s->to_judge++;
                        count_waits(b, p->order[ps->first + i]);
                }
                if (s->to_judge > 0) {
                        for (uint32_t i = 0; i < ps->n; i++) {
                                uint32_t u = p->order[ps->first + i];
                                if (plan_unit(b, u)->boots && b->units[u].waits == 0)
                                        start_or_skip(b, u, now_us);
                        }
                        go_on(b, now_us); /* skipped ones may already have ended the stage */
                        return;
                }
                s->end_us = now_us;
        }
        b->end_us = now_us;
        b->state = b->n_bad > 0 ? BOOT_DEGRADED : BOOT_RUNNING;
        push(b, BOOT_ORDER_BOOTED, PLAN_NONE, PLAN_NONE);
}

void boot_begin(Boot *b, uint64_t now_us) {
        b->begin_us = now_us;
        b->state = BOOT_BOOTING;
        start_stage(b, now_us);
}

void boot_unit_spawned(Boot *b, uint32_t unit, uint64_t now_us) {
        b->units[unit].early_spawned = !b->units[unit].asked;
        if (b->units[unit].asked && !b->units[unit].boot_done)
                mark_spawned(b, unit);
        go_on(b, now_us);
}

void boot_unit_ready(Boot *b, uint32_t unit, uint64_t now_us) {
        BootUnit *x = &b->units[unit];
        x->ready = true;
        if (!x->asked || x->boot_done)
                return;
        x->ready_us = now_us;
        release(b, unit);
        go_on(b, now_us);
}

void boot_unit_verdict(Boot *b, uint32_t unit, UnitVerdict v, uint64_t now_us) {
        BootUnit *x = &b->units[unit];
        if (x->asked && !x->boot_done && starting_allowed(b)) {
                judge(b, unit, v, now_us);
                go_on(b, now_us);
                return;
        }
        x->verdict = v;
        count_bad(b, unit);
}

/* ---- stopping */

static uint32_t stop_waits(const Boot *b, uint32_t u) {
        const PlanUnit *p = plan_unit(b, u);
        uint32_t n = 0;
        for (uint32_t i = 0; i < p->n_needed_by; i++)
                n += plan_unit(b, p->needed_by[i])->stage == p->stage &&
                     b->units[p->needed_by[i]].stop_counted;
        return n;
}

static void order_stop(Boot *b, uint32_t u) {
        if (b->units[u].stop_ordered)
                return;
        b->units[u].stop_ordered = true;
        push(b, BOOT_ORDER_STOP, u, PLAN_NONE);
}

/* Stages from the last; inside one, who is needed waits for those that need it. */
static void stop_stages(Boot *b) {
        const Plan *p = b->plan;
        while (b->stop_stage > 0) {
                const PlanStage *ps = &p->stages[b->stop_stage - 1];
                BootStage *s = &b->stages[b->stop_stage - 1];
                s->to_stop = 0;
                for (uint32_t i = 0; i < ps->n; i++) {
                        BootUnit *x = &b->units[p->order[ps->first + i]];
                        x->stop_counted = !x->down;
                        s->to_stop += x->stop_counted;
                }
                for (uint32_t i = ps->n; i-- > 0;) {
                        uint32_t u = p->order[ps->first + i];
                        if (!b->units[u].stop_counted)
                                continue;
                        b->units[u].waits = stop_waits(b, u);
                        if (b->units[u].waits == 0)
                                order_stop(b, u);
                }
                if (s->to_stop > 0)
                        return;
                b->stop_stage--;
        }
        push(b, BOOT_ORDER_STOPPED, PLAN_NONE, PLAN_NONE);
        b->stop_stage = PLAN_NONE;
}

static void stopped(Boot *b, uint32_t u) {
        const PlanUnit *p = plan_unit(b, u);
        BootUnit *x = &b->units[u];
        if (!x->stop_counted || b->stop_stage == PLAN_NONE || p->stage + 1 != b->stop_stage)
                return;
        x->stop_counted = false;
        for (uint32_t i = 0; i < p->n_needs; i++) {
                uint32_t need = p->needs[i].to;
                if (plan_unit(b, need)->stage == p->stage && b->units[need].stop_counted &&
                        --b->units[need].waits == 0)
                        order_stop(b, need);
        }
        if (--b->stages[p->stage].to_stop == 0) {
                b->stop_stage--;
                stop_stages(b);
        }
}

/* Orders not carried out yet would start what is to be stopped. */
static void drop_starts(Boot *b) {
        uint32_t n = b->q_len;
        for (uint32_t i = 0; i < n; i++) {
                BootOrder o = boot_next(b);
                if (o.type == BOOT_ORDER_START) {
                        b->units[o.unit].asked = false;
                        b->units[o.unit].down = !b->units[o.unit].taken_over;
                } else if (o.type != BOOT_ORDER_VALIDATE)
                        push(b, o.type, o.unit, o.cause);
        }
}

static void begin_stop(Boot *b, uint64_t now_us) {
        if (b->stopping)
                return;
        b->stopping = true;
        if (b->aborted_by == PLAN_NONE)
                b->state = BOOT_STOPPING;
        if (b->end_us == 0)
                b->end_us = now_us;
        drop_starts(b);
        b->stop_stage = b->plan->n_stages;
        stop_stages(b);
}

void boot_stop(Boot *b, uint64_t now_us) {
        begin_stop(b, now_us);
}

void boot_unit_state(Boot *b, uint32_t unit, UnitState state, bool down, uint64_t now_us) {
        BootUnit *x = &b->units[unit];
        x->down = down;
        x->state = state;
        x->quarantined = state == UNIT_QUARANTINED;
        if (!x->asked && (down || state == UNIT_BACKOFF || state == UNIT_STOPPING))
                x->ready = x->early_spawned = false;
        count_bad(b, unit);
        if (b->stopping) {
                if (down)
                        stopped(b, unit);
                return;
        }
        /* stopped by an operator before its verdict, or started by one before its turn: the stage must not
         * wait for ever */
        if ((down || is_settled(x)) && x->asked && !x->boot_done && starting_allowed(b)) {
                judge(b, unit, down ? UNIT_VERDICT_DEGRADED : x->verdict, now_us);
                go_on(b, now_us);
        }
}

void boot_unit_held(Boot *b, uint32_t unit, uint64_t now_us) {
        if (!b->units[unit].asked || b->units[unit].boot_done || !starting_allowed(b))
                return;
        judge(b, unit, UNIT_VERDICT_DEGRADED, now_us);
        go_on(b, now_us);
}

/* ---- reports */

uint32_t boot_critical_chain(const Boot *b, uint32_t *out, uint32_t cap) {
        uint32_t n = 0, stage = b->stage < b->plan->n_stages ? b->stage + 1 : b->plan->n_stages,
                 u = PLAN_NONE;
        for (;;) {
                if (u != PLAN_NONE)
                        u = b->units[u].waited_for;
                while (u == PLAN_NONE && stage > 0)
                        u = b->stages[--stage].last;
                if (u == PLAN_NONE || n >= cap)
                        break;
                out[n++] = u;
        }
        for (uint32_t i = 0; i < n / 2; i++) {
                uint32_t t = out[i];
                out[i] = out[n - 1 - i];
                out[n - 1 - i] = t;
        }
        return n;
}

static void write_ms(const Boot *b, JsonWriter *w, const char *key, uint64_t at_us) {
        json_key(w, key);
        if (at_us == 0 || at_us < b->begin_us)
                json_null(w);
        else
                json_milli(w, at_us - b->begin_us);
}

typedef void (*WriteIssues)(void *user, uint32_t unit, JsonWriter *w);

static void write_unit(const Boot *b, JsonWriter *w, uint32_t u, WriteIssues issues, void *user) {
        const BootUnit *x = &b->units[u];
        json_object_begin(w);
        json_kv_str(w, "name", plan_unit(b, u)->config->name);
        write_ms(b, w, "start_ms", x->start_us);
        write_ms(b, w, "ready_ms", x->ready_us);
        write_ms(b, w, "validated_ms", x->validated_us);
        json_kv_str(w, "verdict", unit_verdict_to_string((int)x->verdict));
        json_key(w, "issues");
        json_array_begin(w);
        if (issues)
                issues(user, u, w);
        json_array_end(w);
        json_object_end(w);
}

static void write_stage(const Boot *b, JsonWriter *w, uint32_t s, WriteIssues issues, void *user) {
        const PlanStage *ps = &b->plan->stages[s];
        json_object_begin(w);
        json_key(w, "priority");
        json_milli(w, ps->priority_milli);
        write_ms(b, w, "start_ms", b->stages[s].start_us);
        write_ms(b, w, "end_ms", b->stages[s].end_us);
        json_key(w, "units");
        json_array_begin(w);
        for (uint32_t i = 0; i < ps->n; i++)
                if (plan_unit(b, b->plan->order[ps->first + i])->boots)
                        write_unit(b, w, b->plan->order[ps->first + i], issues, user);
        json_array_end(w);
        json_object_end(w);
}

void boot_write_json(const Boot *b, JsonWriter *w, WriteIssues issues, void *user) {
        auto_free uint32_t *chain = calloc(b->plan->n + 1, sizeof(uint32_t));
        uint32_t n = chain ? boot_critical_chain(b, chain, b->plan->n) : 0;
        json_object_begin(w);
        json_kv_str(w, "state", boot_state_to_string(b->state));
        write_ms(b, w, "total_ms", b->end_us);
        json_key(w, "stages");
        json_array_begin(w);
        for (uint32_t s = 0; s < b->plan->n_stages; s++)
                write_stage(b, w, s, issues, user);
        json_array_end(w);
        json_key(w, "critical_chain");
        json_array_begin(w);
        for (uint32_t i = 0; i < n; i++)
                json_cstr(w, plan_unit(b, chain[i])->config->name);
        json_array_end(w);
        json_object_end(w);
}
