/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"
#include <stdarg.h>
#include <stdio.h>

/* The scheduler: of all that could happen now, the seed picks one. Time passes a little with each step and
 * jumps when nothing is left to do. */
uint64_t rnd(Sim *s, uint64_t below) {
        s->rnd += 0x9e3779b97f4a7c15ull; /* splitmix64 */
        uint64_t z = s->rnd;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        z ^= z >> 31;
        return below ? z % below : z;
}

bool chance(Sim *s, unsigned percent) {
        return rnd(s, 100) < percent;
}

void trace(Sim *s, const char *fmt, ...) {
        if (!s->trace)
                return;
        va_list ap;
        printf("%10.3f ", (double)s->boot_us / 1000.0);
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
        putchar('\n');
}

void violate(Sim *s, const char *fmt, ...) {
        if (s->over)
                return;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(s->failure, sizeof(s->failure), fmt, ap);
        va_end(ap);
        s->over = true;
        trace(s, "VIOLATION %s", s->failure);
}

const char *proc_name(Proc p) {
        static const char *const names[] = {"guardian", "ledger", "governance", "immune"};
        return names[p];
}

EnforceNow now_of(const Sim *s) {
        return (EnforceNow){s->boot_us, s->wall_ns};
}

/* ---- pipes */
static bool linked(Proc a, Proc b) {
        return a != b && !((a == P_GATE && b == P_IMMUNE) || (a == P_IMMUNE && b == P_GATE));
}

static void put(Sim *s, Proc from, Proc to, Frame *f) {
        if (!f) {
                violate(s, "the simulator is out of memory");
                return;
        }
        list_append(&s->pipe[from][to], &f->node);
}

static Frame *frame_of(const MsgBuilder *b, Str payload) {
        Frame *f = malloc(sizeof(*f) + b->len + payload.n);
        if (!f)
                return NULL;
        *f = (Frame){.kind = FR_MSG, .type = b->type, .header = b->len, .payload = payload.n};
        memcpy(f->data, b->header, b->len);
        if (payload.n)
                memcpy(f->data + b->len, payload.p, payload.n);
        return f;
}

Msg frame_msg(const Frame *f) {
        return (Msg){.type = f->type,
                .lane = LANE_CRITICAL,
                .header = {f->data, f->header},
                .payload = {f->payload ? f->data + f->header : NULL, f->payload},
                .fd = -1};
}

/* These may come twice: they are idempotent by request id, approval id or number. */
static bool may_repeat(MsgType t) {
        return t == MSG_DECIDE || t == MSG_VERDICT || t == MSG_APPROVAL_ANSWERED || t == MSG_APPEND ||
               t == MSG_APPROVAL_PENDING;
}

void put_msg(Sim *s, Proc from, Proc to, const MsgBuilder *b, Str payload) {
        Msg m;
        if (b->error < 0 || msg_view(b, payload, &m) < 0) {
                violate(s, "%s made a malformed %s", proc_name(from), msg_type_name(b->type));
                return;
        }
        if (!s->alive[to] || s->knows[from][to] != s->instance[to])
                return; /* a broken pipe */
        put(s, from, to, frame_of(b, payload));
        if (!s->calm && may_repeat(b->type) && chance(s, 2))
                put(s, from, to, frame_of(b, payload));
}

void put_sign(Sim *s, Proc from, Proc to, FrameKind kind, Proc about, unsigned instance) {
        Frame *f = malloc(sizeof(*f));
        if (f)
                *f = (Frame){.kind = kind, .about = about, .instance = instance};
        put(s, from, to, f);
}

static void pipe_clear(List *l) {
        LIST_FOREACH_SAFE (it, nx, l)
                free(container_of(it, Frame, node));
        list_init(l);
}

/* ---- life and death */
static void proc_start(Sim *s, Proc p) {
        s->alive[p] = true;
        s->validated[p] = p == P_GUARDIAN;
        s->instance[p]++;
        s->start_us[p] = UINT64_MAX;
        s->stalled_us[p] = 0;
        trace(s, "start %s/%u", proc_name(p), s->instance[p]);
        for (Proc q = 0; q < _P_MAX; q++) {
                if (!linked(p, q) || !s->alive[q])
                        continue;
                s->knows[p][q] = s->instance[q];
                put_sign(s, p, q, FR_UP, p, s->instance[p]);
        }
        if (p == P_GUARDIAN)
                guardian_start(s);
        else if (p == P_LEDGER)
                ledger_start(s);
        else if (p == P_GATE)
                gate_start(s);
        else
                immune_start(s);
}

static void proc_end(Sim *s, Proc p, bool power) {
        s->alive[p] = s->validated[p] = false;
        for (Proc q = 0; q < _P_MAX; q++) {
                pipe_clear(&s->pipe[q][p]);
                if (linked(p, q) && s->alive[q])
                        put_sign(s, p, q, FR_EOF, p, s->instance[p]);
        }
        if (p == P_GUARDIAN)
                guardian_stop(s);
        else if (p == P_LEDGER)
                ledger_stop(s, power);
        else if (p == P_GATE)
                gate_stop(s);
        else
                immune_stop(s);
}

void proc_kill(Sim *s, Proc p, uint64_t restart_in_us) {
        if (!s->alive[p])
                return;
        trace(s, "kill %s/%u", proc_name(p), s->instance[p]);
        proc_end(s, p, false);
        s->start_us[p] = s->boot_us + restart_in_us;
        if (p != P_GUARDIAN)
                return;
        /* Chunks end with their control pipe; Guardian starts them again. */
        for (Proc q = P_LEDGER; q < _P_MAX; q++) {
                if (s->alive[q])
                        proc_end(s, q, false);
                s->start_us[q] = s->start_us[p] + 1 + rnd(s, 20 * SIM_MS);
        }
        for (Proc a = 0; a < _P_MAX; a++)
                for (Proc b = 0; b < _P_MAX; b++)
                        pipe_clear(&s->pipe[a][b]);
}

void power_cut(Sim *s) {
        trace(s, "power cut");
        for (Proc p = _P_MAX; p-- > 0;) {
                if (s->alive[p])
                        proc_end(s, p, true);
                s->start_us[p] = s->boot_us + (p == P_GUARDIAN ? 0 : 1) + rnd(s, 5 * SIM_MS);
        }
        for (Proc p = P_LEDGER; p < _P_MAX; p++)
                s->start_us[p] += s->start_us[P_GUARDIAN] - s->boot_us;
        for (Proc a = 0; a < _P_MAX; a++)
                for (Proc b = 0; b < _P_MAX; b++)
                        pipe_clear(&s->pipe[a][b]);
        s->boots++;
        memset(s->boot_id, (int)s->boots, sizeof(s->boot_id));
        guardian_units_boot(s);
}

/* ---- the loop */
static bool runs(const Sim *s, Proc p) {
        return s->alive[p] && s->boot_us >= s->stalled_us[p];
}

static void deliver(Sim *s, Proc from, Proc to) {
        Frame *f = container_of(s->pipe[from][to].next, Frame, node);
        list_remove(&f->node);
        if (f->kind == FR_UP)
                s->knows[to][from] = f->instance;
        if (f->kind == FR_MSG)
                trace(s, "%s -> %s %s", proc_name(from), proc_name(to), msg_type_name(f->type));
        if (to == P_GUARDIAN)
                guardian_frame(s, from, f);
        else if (to == P_LEDGER)
                ledger_frame(s, from, f);
        else if (to == P_GATE)
                gate_frame(s, from, f);
        else
                immune_frame(s, from, f);
        free(f);
}

static uint64_t earliest(const Sim *s) {
        uint64_t at = s->next_stimulus_us;
#define EARLIER(x)                                                                                           \
        do {                                                                                                 \
                uint64_t t_ = (x);                                                                           \
                if (t_ < at)                                                                                 \
                        at = t_;                                                                             \
        } while (0)
        for (Proc p = 0; p < _P_MAX; p++) {
                if (!s->alive[p])
                        EARLIER(s->start_us[p]);
                else if (s->stalled_us[p] > s->boot_us)
                        EARLIER(s->stalled_us[p]);
        }
        if (runs(s, P_GUARDIAN))
                EARLIER(guardian_deadline(s));
        if (runs(s, P_LEDGER))
                EARLIER(ledger_deadline(s));
        if (runs(s, P_IMMUNE))
                EARLIER(immune_deadline(s));
#undef EARLIER
        return at;
}

static bool timers(Sim *s) {
        for (Proc p = 0; p < _P_MAX; p++)
                if (!s->alive[p] && s->boot_us >= s->start_us[p] &&
                        (p == P_GUARDIAN || s->alive[P_GUARDIAN])) {
                        proc_start(s, p);
                        return true;
                }
        if (s->boot_us >= s->next_stimulus_us) {
                world_stimulus(s);
                return true;
        }
        if (runs(s, P_GUARDIAN) && s->boot_us >= guardian_deadline(s)) {
                guardian_timers(s);
                return true;
        }
        if (runs(s, P_IMMUNE) && s->boot_us >= immune_deadline(s)) {
                immune_timers(s);
                return true;
        }
        return false;
}

/* One thing that can happen now. False: nothing can. */
static bool step(Sim *s) {
        struct {
                Proc from, to;
        } ready[_P_MAX * _P_MAX + 1];
        unsigned n = 0;
        if (timers(s))
                return true;
        for (Proc a = 0; a < _P_MAX; a++)
                for (Proc b = 0; b < _P_MAX; b++)
                        if (runs(s, b) && !list_empty(&s->pipe[a][b]))
                                ready[n].from = a, ready[n++].to = b;
        bool disk = runs(s, P_LEDGER) && ledger_work(s, true);
        if (n + disk == 0)
                return false;
        uint64_t pick = rnd(s, n + disk);
        if (pick == n)
                ledger_work(s, false);
        else
                deliver(s, ready[pick].from, ready[pick].to);
        return true;
}

static void pass(Sim *s, uint64_t us) {
        s->boot_us += us;
        s->wall_ns += us * 1000;
}

/* What was begun before the end is seen to its end: a unit may take seconds to come up. */
static bool begun(const Sim *s) {
        for (unsigned i = 0; i < s->n_requests; i++)
                if (s->requests[i].intents > s->requests[i].actions)
                        return true;
        return false;
}

void sim_run(Sim *s) {
        uint64_t late_us = 60 * SIM_S;
        while (!s->over) {
                if (++s->steps > 200000) {
                        violate(s, "P10 no end: %llu steps", (unsigned long long)s->steps);
                        break;
                }
                if (step(s)) {
                        if (s->wild)
                                guardian_wild(s);
                        if (s->flaps && s->wrote && !s->calm && s->steps % 3 == 0)
                                proc_kill(s, P_GATE, 1);
                        s->wrote = false;
                        check_state(s);
                        pass(s, 1 + rnd(s, 200));
                        continue;
                }
                uint64_t at = earliest(s);
                if (at > s->end_us && at != UINT64_MAX && begun(s) && at < s->end_us + late_us) {
                        late_us -= at - s->end_us;
                        s->end_us = at;
                }
                if (at == UINT64_MAX || at > s->end_us)
                        break;
                pass(s, at > s->boot_us ? at - s->boot_us : 1);
        }
        if (!s->rolled) /* with an older ledger nothing comes to rest */
                check_end(s);
}
