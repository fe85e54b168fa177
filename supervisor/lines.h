/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Captured output as lines; pure. LineSplitter cuts a byte stream into lines (at most 16 KiB, longer ones in
 * pieces marked as such). LinePool keeps the newest lines of all units in one byte ring (oldest evicted),
 * allocated at the first line.
 */
#include "common/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_MAX_BYTES  (16U << 10)
#define LINE_POOL_BYTES (1U << 20)

typedef struct LineSplitter {
        char *part; /* owned: an unfinished line, allocated while there is one */
        size_t n, cap;
} LineSplitter;
/* text has no newline (nor the CR before it); cut: the line goes on in the next call. */
typedef void (*LineFn)(void *user, Str text, bool cut);
/* Out of memory for an unfinished line hands it out cut instead of losing it. */
void line_split(LineSplitter *s, const char *p, size_t n, LineFn fn, void *user);
void line_flush(LineSplitter *s, LineFn fn, void *user); /* the unit is gone: hand out an unfinished line */
void line_splitter_done(LineSplitter *s);

typedef struct LinePool {
        uint8_t *ring;       /* owned, LINE_POOL_BYTES, NULL before the first line */
        uint64_t head, tail; /* positions that only grow: next write, oldest kept */
        uint64_t lines;      /* ever put */
} LinePool;
typedef struct LineMark {
        uint64_t last; /* position + 1 of the unit's newest line, 0: none */
} LineMark;
/* -ENOMEM at the first line only. cut: the line was longer than LINE_MAX_BYTES. */
int line_pool_put(LinePool *p, LineMark *unit, uint64_t wall_ns, Str text, bool cut);
typedef struct LineView {
        uint64_t wall_ns;
        uint64_t seq; /* number of the line among all lines, for followers */
        Str text;     /* valid until the next line_pool_put() */
        bool cut;
} LineView;
/* The unit's newest lines, oldest of them first: fills out[0..return). */
size_t line_pool_tail(const LinePool *p, const LineMark *unit, LineView *out, size_t max);
void line_pool_done(LinePool *p);
