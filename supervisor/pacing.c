/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/pacing.h"

void pacing_init(Pacing *p) {
        *p = (Pacing){0};
}

void pacing_reset(Pacing *p) {
        pacing_init(p);
}

void pacing_ready(Pacing *p, uint64_t now_us) {
        p->ready = true;
        p->ready_us = now_us;
}

static uint64_t pacing_since(uint64_t now_us, uint64_t then_us) {
        return now_us > then_us ? now_us - then_us : 0;
}

/* min(max, base * 2^n) without overflow. */
static uint64_t pacing_ceiling(const PacingConfig *c, unsigned n) {
        uint64_t d = c->base_us < c->max_delay_us ? c->base_us : c->max_delay_us;

        for (; n > 0 && d < c->max_delay_us && d > 0; n--)
                d = d > c->max_delay_us / 2 ? c->max_delay_us : d * 2;
        return d;
}

static uint64_t pacing_delay(const Pacing *p, const PacingConfig *c, uint64_t random) {
        uint64_t d;

        if (c->literal)
                return c->base_us;
        if (p->failures == 0)
                return 0;
        d = pacing_ceiling(c, p->failures - 1);
        if (c->jitter && d > 0)
                /* 128-bit product: uniform over 0..d without a modulo's bias */
                d = (uint64_t)(((unsigned __int128)random * ((unsigned __int128)d + 1)) >> 64);
        return d;
}

/* Opens a new interval when the old one is over. */
static unsigned pacing_window(const Pacing *p, const PacingConfig *c, uint64_t now_us) {
        if (p->in_window == 0 || pacing_since(now_us, p->window_us) >= c->interval_us)
                return 0;
        return p->in_window;
}

PacingDecision pacing_restart(Pacing *p, const PacingConfig *c, uint64_t now_us, uint64_t random) {
        PacingDecision d = {.verdict = PACING_RESTART};
        bool limited = c->burst > 0 && c->interval_us > 0;

        if (p->ready && pacing_since(now_us, p->ready_us) >= c->reset_us)
                p->failures = 0;
        p->ready = false;

        if (limited) {
                unsigned used = pacing_window(p, c, now_us);

                if (used >= c->burst) {
                        d.verdict = c->forever ? PACING_EXHAUSTED : PACING_QUARANTINE;
                        d.delay_us = c->forever ? c->max_delay_us : 0;
                        return d;
                }
                if (used == 0)
                        p->window_us = now_us;
                p->in_window = used + 1;
        }
        d.delay_us = pacing_delay(p, c, random);
        if (p->failures < UINT32_MAX)
                p->failures++;
        return d;
}

unsigned pacing_left(const Pacing *p, const PacingConfig *c, uint64_t now_us) {
        unsigned used;

        if (c->burst == 0 || c->interval_us == 0)
                return UINT32_MAX;
        used = pacing_window(p, c, now_us);
        return used < c->burst ? c->burst - used : 0;
}
