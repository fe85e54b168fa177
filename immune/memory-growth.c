/* SPDX-License-Identifier: Apache-2.0 */
#include "immune/memory-growth.h"

void growth_reset(Growth *g) {
        *g = (Growth){0};
}

static void window_open(Growth *g, uint64_t now_us, uint64_t rss) {
        g->window_start_us = now_us;
        g->window_first = rss;
        g->window_min = rss;
}

bool growth_sample(Growth *g, const GrowthConfig *cfg, uint64_t now_us, uint64_t rss, GrowthAlarm *ret) {
        unsigned windows = cfg->windows < GROWTH_WINDOWS_MAX ? cfg->windows : GROWTH_WINDOWS_MAX;

        g->last = rss;
        if (!g->started) {
                g->started = true;
                g->first = rss;
                window_open(g, now_us, rss);
                return false;
        }
        if (rss < g->window_min)
                g->window_min = rss;
        uint64_t elapsed = now_us - g->window_start_us;
        if (elapsed < cfg->window_us || windows == 0)
                return false;

        /* bytes * 10^6 fits: RSS is below 2^43 for any machine of this decade */
        uint64_t rate = rss > g->window_first ? (rss - g->window_first) * 1000000 / elapsed : 0;
        g->rate[g->closed++ % windows] = rate;
        unsigned have = g->closed < windows ? g->closed : windows, grew = 0;
        uint64_t newest = rate;
        for (unsigned i = 0; i < have; i++) {
                grew += g->rate[i] >= cfg->min_rate;
                if (newest < cfg->min_rate && g->rate[i] >= cfg->min_rate)
                        newest = g->rate[i];
        }
        uint64_t floor = g->window_min;
        window_open(g, now_us, rss);
        if (g->alarmed || grew < cfg->needed || floor < g->first || floor - g->first < cfg->min_growth)
                return false;
        g->alarmed = true;
        *ret = (GrowthAlarm){.baseline = g->first,
                .rss = rss,
                .growth = rss - g->first,
                .rate = newest,
                .grew = grew,
                .windows = windows};
        return true;
}
