/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Detector memory_growth, pure: RSS samples of one incarnation, one a second. Five seconds of samples are a
 * window; the detector looks at the last five windows at the end of each. Alarm: at least `burst` of them
 * grew by `min_rate` or more, and the lowest sample of the newest window stands `min_growth` above the first
 * sample. The lowest sample, not the last: a sawtooth that comes back to its floor inside a window has no
 * growth, however high its teeth are.
 */
#include <stdbool.h>
#include <stdint.h>

enum { GROWTH_WINDOWS_MAX = 16 };

typedef struct GrowthConfig {
        uint64_t settle_us;   /* from ready to the first sample */
        uint64_t interval_us; /* between samples */
        uint64_t window_us;
        unsigned windows, needed; /* `needed` of the last `windows` */
        uint64_t min_growth;      /* bytes above the first sample */
        uint64_t min_rate;        /* bytes a second inside a window */
        unsigned verify_percent;  /* verified when the first sample of the new incarnation is below this share
                                   */
        bool enabled;
} GrowthConfig;

typedef struct Growth {
        uint64_t first; /* RSS of the first sample: the baseline */
        uint64_t last;
        uint64_t window_start_us, window_first, window_min;
        uint64_t rate[GROWTH_WINDOWS_MAX]; /* bytes/s of the closed windows, a ring; falling counts as 0 */
        unsigned closed;                   /* windows closed since the start */
        bool started, alarmed;
} Growth;

typedef struct GrowthAlarm {
        uint64_t baseline, rss, growth, rate; /* rate: of the newest growing window, bytes/s */
        unsigned grew, windows;               /* "3 of 5" */
} GrowthAlarm;

void growth_reset(Growth *g);
/* One sample. True when this sample raises the alarm (once per incarnation; *ret is filled). */
bool growth_sample(Growth *g, const GrowthConfig *cfg, uint64_t now_us, uint64_t rss, GrowthAlarm *ret);
