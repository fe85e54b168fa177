/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/timer-heap.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMER_NONE UINT32_MAX

void timer_heap_init(TimerHeap *h) {
        *h = (TimerHeap){.free_head = TIMER_NONE};
}

void timer_heap_done(TimerHeap *h) {
        free(h->slots);
        free(h->heap);
        timer_heap_init(h);
}

static bool timer_before(const TimerHeap *h, uint32_t a, uint32_t b) {
        const TimerSlot *x = &h->slots[a], *y = &h->slots[b];

        return x->deadline_us != y->deadline_us ? x->deadline_us < y->deadline_us : x->order < y->order;
}

static void timer_place(TimerHeap *h, uint32_t pos, uint32_t slot) {
        h->heap[pos] = slot;
        h->slots[slot].heap_pos = pos;
}

static void timer_sift_up(TimerHeap *h, uint32_t pos) {
        uint32_t slot = h->heap[pos];

        while (pos > 0 && timer_before(h, slot, h->heap[(pos - 1) / 2])) {
                timer_place(h, pos, h->heap[(pos - 1) / 2]);
                pos = (pos - 1) / 2;
        }
        timer_place(h, pos, slot);
}

static void timer_sift_down(TimerHeap *h, uint32_t pos) {
        uint32_t slot = h->heap[pos];

        for (;;) {
                uint32_t child = 2 * pos + 1;

                if (child >= h->n)
                        break;
                if (child + 1 < h->n && timer_before(h, h->heap[child + 1], h->heap[child]))
                        child++;
                if (!timer_before(h, h->heap[child], slot))
                        break;
                timer_place(h, pos, h->heap[child]);
                pos = child;
        }
        timer_place(h, pos, slot);
}

static int timer_grow(TimerHeap *h, uint32_t cap) {
        TimerSlot *slots;
        uint32_t *heap;

        if (cap <= h->cap || cap == TIMER_NONE)
                return -ENOMEM;
        slots = reallocarray(h->slots, cap, sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        h->slots = slots;
        heap = reallocarray(h->heap, cap, sizeof(*heap));
        if (!heap)
                return -ENOMEM; /* the larger slots stay: cap is unchanged, so nothing reads them */
        h->heap = heap;
        for (uint32_t i = cap; i-- > h->cap;) {
                slots[i] = (TimerSlot){.heap_pos = TIMER_NONE, .generation = 1, .next_free = h->free_head};
                h->free_head = i;
        }
        h->cap = cap;
        return 0;
}

int timer_heap_reserve(TimerHeap *h, uint32_t n) {
        return n > h->cap ? timer_grow(h, n) : 0;
}

/* The standing slot of a handle, or NULL. */
static TimerSlot *timer_slot(const TimerHeap *h, TimerId id) {
        uint32_t i = (uint32_t)id;
        TimerSlot *s;

        if (id == 0 || i >= h->cap)
                return NULL;
        s = &h->slots[i];
        return s->heap_pos != TIMER_NONE && s->generation == (uint32_t)(id >> 32) ? s : NULL;
}

static void timer_free_slot(TimerHeap *h, uint32_t i) {
        TimerSlot *s = &h->slots[i];

        s->heap_pos = TIMER_NONE;
        if (++s->generation == 0)
                s->generation = 1; /* so that no handle is ever 0 */
        s->next_free = h->free_head;
        h->free_head = i;
}

static void timer_take(TimerHeap *h, uint32_t pos) {
        uint32_t slot = h->heap[pos], last = h->heap[--h->n];

        if (pos < h->n) {
                timer_place(h, pos, last);
                timer_sift_up(h, pos);
                timer_sift_down(h, h->slots[last].heap_pos);
        }
        timer_free_slot(h, slot);
}

int timer_heap_add(TimerHeap *h, uint64_t deadline_us, TimerFn fn, void *user, TimerId *id) {
        uint32_t i;
        TimerSlot *s;

        if (h->free_head == TIMER_NONE) {
                int r = timer_grow(h, h->cap < UINT32_MAX / 2 ? h->cap * 2 + 32 : TIMER_NONE);

                if (r < 0)
                        return r;
        }
        i = h->free_head;
        s = &h->slots[i];
        h->free_head = s->next_free;
        s->deadline_us = deadline_us;
        s->order = ++h->order;
        s->fn = fn;
        s->user = user;
        timer_place(h, h->n++, i);
        timer_sift_up(h, h->n - 1);
        *id = (uint64_t)s->generation << 32 | i;
        return 0;
}

void timer_heap_cancel(TimerHeap *h, TimerId *id) {
        TimerSlot *s = timer_slot(h, *id);

        if (s)
                timer_take(h, s->heap_pos);
        *id = 0;
}

int timer_heap_set(TimerHeap *h, TimerId *id, uint64_t deadline_us, TimerFn fn, void *user) {
        TimerSlot *s = timer_slot(h, *id);

        if (!s)
                return timer_heap_add(h, deadline_us, fn, user, id);
        s->deadline_us = deadline_us;
        s->order = ++h->order;
        s->fn = fn;
        s->user = user;
        timer_sift_up(h, s->heap_pos);
        timer_sift_down(h, s->heap_pos);
        return 0;
}

bool timer_heap_armed(const TimerHeap *h, TimerId id) {
        return timer_slot(h, id) != NULL;
}

uint64_t timer_heap_next(const TimerHeap *h) {
        return h->n > 0 ? h->slots[h->heap[0]].deadline_us : UINT64_MAX;
}

unsigned timer_heap_run(TimerHeap *h, uint64_t now_us) {
        uint64_t limit = h->order; /* what a callback sets is newer and waits for the next call */
        unsigned fired = 0;

        for (;;) {
                uint32_t pos = 0;
                TimerSlot s;

                if (h->n == 0)
                        break;
                if (h->slots[h->heap[0]].order > limit) {
                        /* A newer one is in front: look behind it for the earliest old one that is due. */
                        uint32_t best = TIMER_NONE;

                        for (uint32_t i = 0; i < h->n; i++)
                                if (h->slots[h->heap[i]].order <= limit &&
                                        h->slots[h->heap[i]].deadline_us <= now_us &&
                                        (best == TIMER_NONE || timer_before(h, h->heap[i], h->heap[best])))
                                        best = i;
                        if (best == TIMER_NONE)
                                break;
                        pos = best;
                }
                s = h->slots[h->heap[pos]];
                if (s.deadline_us > now_us)
                        break;
                timer_take(h, pos);
                s.fn(s.user, now_us);
                fired++;
        }
        return fired;
}
