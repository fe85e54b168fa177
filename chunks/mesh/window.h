/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What remembers in time, with a bound: the idempotency window, token buckets by name, and sliding windows.
 * Pure: `now` is boot time in microseconds.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Keys seen within `span_us`, at most `max` of them (the oldest goes first). Keys are 16 bytes: a digest of
 * who and what. Insertion order is time order, so a ring is the expiry queue and a chained hash finds the
 * key.
 */
typedef struct KeyEntry {
        uint8_t key[16];
        uint8_t content[16]; /* digest of what came under the key */
        uint64_t at_us, value;
        uint32_t next; /* in the bucket, index + 1; 0: end */
        bool used;
} KeyEntry;
typedef struct KeyWindow {
        uint64_t span_us;
        uint32_t max, head, count; /* ring: head is the oldest */
        uint32_t cap, n_buckets;
        uint32_t *buckets;
        KeyEntry *ring;
        uint64_t evicted; /* still within the window when they went */
} KeyWindow;

void key_window_init(KeyWindow *w, uint64_t span_us, uint32_t max);
/* The live entry under `key`, or NULL. */
KeyEntry *key_window_find(KeyWindow *w, const uint8_t key[16], uint64_t now);
/* Adds a key that is not there. *ret is valid until the next call. 0, -ENOMEM. */
int key_window_add(KeyWindow *w, const uint8_t key[16], uint64_t now, KeyEntry **ret);
/* Forgets one key (what it stood for did not happen). */
void key_window_drop(KeyWindow *w, const uint8_t key[16]);
void key_window_done(KeyWindow *w);

/* Token buckets by name, bounded: the least recently used full bucket is reused. */
enum { BUCKETS_MAX = 256 };
typedef struct TokenBucket {
        char name[64];
        uint64_t tokens_milli, at_us;
} TokenBucket;
typedef struct TokenBuckets {
        uint64_t rate_per_s, burst;
        unsigned n;
        TokenBucket items[BUCKETS_MAX];
} TokenBuckets;
void token_buckets_init(TokenBuckets *b, uint64_t rate_per_s, uint64_t burst);
/* Takes one token. true, or false with *retry_ms until the next one. */
bool token_buckets_take(TokenBuckets *b, const char *name, uint64_t now, uint64_t *retry_ms);

/* At most `limit` hits within `period_us`; the times of the hits are kept, so the limit is exact. */
typedef struct SlidingWindow {
        uint64_t period_us;
        uint32_t limit, head, count;
        uint64_t *times; /* ring of `limit` */
} SlidingWindow;
/* limit 1..100000. 0, -EINVAL, -ENOMEM. */
int sliding_window_init(SlidingWindow *w, uint32_t limit, uint64_t period_us);
bool sliding_window_hit(SlidingWindow *w, uint64_t now);
void sliding_window_done(SlidingWindow *w);
