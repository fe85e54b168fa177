/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Deadlines of a whole process in one binary min-heap; pure. Guardian drives one uv_timer from
 * timer_heap_next(). Handles are stable and never reused within 2^32 uses of a slot, so a stale one is
 * harmless.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t TimerId; /* 0: none */
typedef void (*TimerFn)(void *user, uint64_t now_us);

typedef struct TimerSlot {
        uint64_t deadline_us;
        uint64_t order; /* equal deadlines fire in the order they were set */
        TimerFn fn;
        void *user;
        uint32_t generation;
        uint32_t heap_pos; /* UINT32_MAX: free; then next_free counts */
        uint32_t next_free;
} TimerSlot;

typedef struct TimerHeap {
        TimerSlot *slots; /* owned */
        uint32_t *heap;   /* owned, indexes of slots */
        uint32_t n, cap, free_head;
        uint64_t order;
} TimerHeap;

void timer_heap_init(TimerHeap *h);
void timer_heap_done(TimerHeap *h);
/* Room for n timers at once: as long as no more stand, adding and setting can't fail. -ENOMEM. */
int timer_heap_reserve(TimerHeap *h, uint32_t n);
/* Adds one that fires once; *id gets its handle. -ENOMEM. */
int timer_heap_add(TimerHeap *h, uint64_t deadline_us, TimerFn fn, void *user, TimerId *id);
/* Cancels if *id still stands, and sets it to 0. Never fails. */
void timer_heap_cancel(TimerHeap *h, TimerId *id);
/* Moves the deadline of a standing one, or adds it anew when *id is 0 or has fired. -ENOMEM. */
int timer_heap_set(TimerHeap *h, TimerId *id, uint64_t deadline_us, TimerFn fn, void *user);
bool timer_heap_armed(const TimerHeap *h, TimerId id);
uint64_t timer_heap_next(const TimerHeap *h); /* earliest deadline, UINT64_MAX: none */
/* Fires what is due at now_us, earliest first, each once; a callback may add, cancel and set anything (what
 * it adds fires at the earliest in the next call). Returns how many. */
unsigned timer_heap_run(TimerHeap *h, uint64_t now_us);
