/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/lines.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static Str line_trim(const char *p, size_t n) {
        if (n > 0 && p[n - 1] == '\r')
                n--;
        return (Str){p, n};
}

/* Appends to the unfinished line; false when there is no memory for it. */
static bool line_keep(LineSplitter *s, const char *p, size_t n) {
        if (s->n + n > s->cap) {
                size_t cap = s->cap ? s->cap : 256;
                char *part;

                while (cap < s->n + n)
                        cap *= 2;
                part = realloc(s->part, cap);
                if (!part)
                        return false;
                s->part = part;
                s->cap = cap;
        }
        memcpy(s->part + s->n, p, n);
        s->n += n;
        return true;
}

static void line_drop_part(LineSplitter *s) {
        s->n = 0;
        if (s->cap > 1024) { /* a long line is rare: do not hold its memory */
                free(s->part);
                s->part = NULL;
                s->cap = 0;
        }
}

/* The rest of a line whose beginning may be kept: hands out pieces of at most LINE_MAX_BYTES. */
static void line_end(LineSplitter *s, const char *p, size_t n, bool finished, LineFn fn, void *user) {
        while (s->n + n > LINE_MAX_BYTES) {
                size_t take = LINE_MAX_BYTES - s->n;

                if (s->n > 0 && line_keep(s, p, take)) {
                        fn(user, (Str){s->part, s->n}, true);
                        line_drop_part(s);
                } else {
                        if (s->n > 0)
                                fn(user, (Str){s->part, s->n}, true);
                        s->n = 0;
                        fn(user, (Str){p, take}, true);
                }
                p += take;
                n -= take;
        }
        if (!finished) {
                if (n > 0 && !line_keep(s, p, n)) {
                        if (s->n > 0)
                                fn(user, (Str){s->part, s->n}, true);
                        s->n = 0;
                        fn(user, (Str){p, n}, true);
                }
        } else if (s->n == 0) {
                fn(user, line_trim(p, n), false);
        } else if (line_keep(s, p, n)) {
                fn(user, line_trim(s->part, s->n), false);
                line_drop_part(s);
        } else {
                fn(user, (Str){s->part, s->n}, true);
                s->n = 0;
                fn(user, line_trim(p, n), false);
        }
}

void line_split(LineSplitter *s, const char *p, size_t n, LineFn fn, void *user) {
        while (n > 0) {
                const char *nl = memchr(p, '\n', n);
                size_t len = nl ? (size_t)(nl - p) : n;

                line_end(s, p, len, nl != NULL, fn, user);
                p += len + (nl ? 1 : 0);
                n -= len + (nl ? 1 : 0);
        }
}

void line_flush(LineSplitter *s, LineFn fn, void *user) {
        if (s->n > 0)
                fn(user, line_trim(s->part, s->n), false);
        line_splitter_done(s);
}

void line_splitter_done(LineSplitter *s) {
        free(s->part);
        *s = (LineSplitter){0};
}

/*
 * The ring: entries stand one behind the other at positions that only grow; position modulo the size is the
 * place. An entry never wraps: what does not fit before the end leaves a gap, marked by a header with GAP
 * set. prev links a unit's lines.
 */
typedef struct LineEntry {
        uint64_t prev; /* position + 1 of the unit's line before, 0: none */
        uint64_t wall_ns;
        uint64_t seq;
        uint32_t n;   /* bytes of text */
        uint16_t gap; /* this only fills up to the end of the ring */
        uint16_t cut;
} LineEntry;

#define LINE_ALIGN(n) (((n) + 7) & ~(size_t)7)

static LineEntry *line_at(const LinePool *p, uint64_t pos) {
        return (LineEntry *)(void *)(p->ring + pos % LINE_POOL_BYTES);
}

static size_t line_room_to_end(uint64_t pos) {
        return LINE_POOL_BYTES - (size_t)(pos % LINE_POOL_BYTES);
}

static size_t line_entry_size(const LinePool *p, uint64_t pos) {
        if (line_room_to_end(pos) < sizeof(LineEntry) || line_at(p, pos)->gap)
                return line_room_to_end(pos);
        return LINE_ALIGN(sizeof(LineEntry) + line_at(p, pos)->n);
}

static void line_evict(LinePool *p, size_t need) {
        while (p->head + need - p->tail > LINE_POOL_BYTES)
                p->tail += line_entry_size(p, p->tail);
}

int line_pool_put(LinePool *p, LineMark *unit, uint64_t wall_ns, Str text, bool cut) {
        size_t n = text.n < LINE_MAX_BYTES ? text.n : LINE_MAX_BYTES;
        size_t size = LINE_ALIGN(sizeof(LineEntry) + n), end;

        if (!p->ring) {
                p->ring = calloc(1, LINE_POOL_BYTES);
                if (!p->ring)
                        return -ENOMEM;
        }
        end = line_room_to_end(p->head);
        if (end < size) {
                line_evict(p, end);
                if (end >= sizeof(LineEntry))
                        *line_at(p, p->head) = (LineEntry){.gap = 1};
                p->head += end;
        }
        line_evict(p, size);
        *line_at(p, p->head) = (LineEntry){
                .prev = unit->last,
                .wall_ns = wall_ns,
                .seq = ++p->lines,
                .n = (uint32_t)n,
                .cut = cut || n < text.n,
        };
        if (n > 0)
                memcpy(line_at(p, p->head) + 1, text.p, n);
        unit->last = p->head + 1;
        p->head += size;
        return 0;
}

size_t line_pool_tail(const LinePool *p, const LineMark *unit, LineView *out, size_t max) {
        uint64_t mark = unit->last;
        size_t n = 0;

        if (!p->ring)
                return 0;
        /* Backwards from the newest, filling `out` from its end, then moved to the front. */
        while (n < max && mark > p->tail) {
                const LineEntry *e = line_at(p, mark - 1);

                out[max - ++n] = (LineView){
                        .wall_ns = e->wall_ns,
                        .seq = e->seq,
                        .text = {(const char *)(e + 1), e->n},
                        .cut = e->cut != 0,
                };
                mark = e->prev;
        }
        if (n < max)
                memmove(out, out + (max - n), n * sizeof(*out));
        return n;
}

void line_pool_done(LinePool *p) {
        free(p->ring);
        *p = (LinePool){0};
}
