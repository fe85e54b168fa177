/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/window.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_WINDOW_FIRST = 256 };

void key_window_init(KeyWindow *w, uint64_t span_us, uint32_t max) {
        *w = (KeyWindow){.span_us = span_us, .max = max};
}

/* Keys are digests already, so their first bytes are as good as any hash of them. */
static uint32_t *bucket_of(const KeyWindow *w, const uint8_t key[16]) {
        uint32_t h;

        memcpy(&h, key, sizeof(h));
        return &w->buckets[h % w->n_buckets];
}

static void bucket_unlink(KeyWindow *w, uint32_t slot) {
        uint32_t *at = bucket_of(w, w->ring[slot].key);

        while (*at && *at != slot + 1)
                at = &w->ring[*at - 1].next;
        if (*at)
                *at = w->ring[slot].next;
        w->ring[slot].next = 0;
        w->ring[slot].used = false;
}

static void oldest_pop(KeyWindow *w) {
        if (w->ring[w->head].used)
                bucket_unlink(w, w->head);
        w->head = (w->head + 1) % w->cap;
        w->count--;
}

static void expire(KeyWindow *w, uint64_t now) {
        while (w->count > 0) {
                const KeyEntry *e = &w->ring[w->head];

                if (e->used && now - e->at_us < w->span_us)
                        return;
                oldest_pop(w);
        }
}

KeyEntry *key_window_find(KeyWindow *w, const uint8_t key[16], uint64_t now) {
        expire(w, now);
        if (w->count == 0)
                return NULL;
        for (uint32_t i = *bucket_of(w, key); i; i = w->ring[i - 1].next)
                if (memcmp(w->ring[i - 1].key, key, 16) == 0)
                        return &w->ring[i - 1];
        return NULL;
}

static int window_grow(KeyWindow *w) {
        uint32_t cap = w->cap ? w->cap * 2 : KEY_WINDOW_FIRST;
        KeyEntry *ring;
        uint32_t *buckets;

        if (cap > w->max)
                cap = w->max;
        ring = calloc(cap, sizeof(*ring));
        buckets = calloc(cap, sizeof(*buckets));
        if (!ring || !buckets) {
                free(ring);
                free(buckets);
                return -ENOMEM;
        }
        for (uint32_t i = 0; i < w->count; i++)
                ring[i] = w->ring[(w->head + i) % w->cap];
        free(w->ring);
        free(w->buckets);
        w->ring = ring;
        w->buckets = buckets;
        w->cap = w->n_buckets = cap;
        w->head = 0;
        for (uint32_t i = 0; i < w->count; i++) {
                uint32_t *b = bucket_of(w, ring[i].key);

                ring[i].next = 0;
                if (!ring[i].used)
                        continue;
                ring[i].next = *b;
                *b = i + 1;
        }
        return 0;
}

int key_window_add(KeyWindow *w, const uint8_t key[16], uint64_t now, KeyEntry **ret) {
        uint32_t slot;

        expire(w, now);
        if (w->count == w->cap && w->cap < w->max) {
                int r = window_grow(w);

                if (r < 0)
                        return r;
        }
        if (w->count == w->cap) {
                w->evicted++;
                oldest_pop(w);
        }
        slot = (w->head + w->count) % w->cap;
        w->count++;
        w->ring[slot] = (KeyEntry){.at_us = now, .used = true, .next = *bucket_of(w, key)};
        memcpy(w->ring[slot].key, key, 16);
        *bucket_of(w, key) = slot + 1;
        *ret = &w->ring[slot];
        return 0;
}

void key_window_drop(KeyWindow *w, const uint8_t key[16]) {
        if (w->count == 0)
                return;
        for (uint32_t i = *bucket_of(w, key); i; i = w->ring[i - 1].next)
                if (memcmp(w->ring[i - 1].key, key, 16) == 0) {
                        bucket_unlink(w, i - 1);
                        return;
                }
}

void key_window_done(KeyWindow *w) {
        free(w->ring);
        free(w->buckets);
        *w = (KeyWindow){0};
}

void token_buckets_init(TokenBuckets *b, uint64_t rate_per_s, uint64_t burst) {
        *b = (TokenBuckets){.rate_per_s = rate_per_s, .burst = burst};
}

static void bucket_refill(const TokenBuckets *b, TokenBucket *t, uint64_t now) {
        uint64_t passed = now - t->at_us, full = b->burst * 1000;

        /* a second for each token of the burst always fills it: no overflow below */
        if (passed >= b->burst * 1000000 / b->rate_per_s + 1000000)
                t->tokens_milli = full;
        else
                t->tokens_milli += passed * b->rate_per_s / 1000;
        if (t->tokens_milli > full)
                t->tokens_milli = full;
        t->at_us = now;
}

static TokenBucket *bucket_find(TokenBuckets *b, const char *name, uint64_t now) {
        TokenBucket *oldest = NULL;

        for (unsigned i = 0; i < b->n; i++) {
                if (strncmp(b->items[i].name, name, sizeof(b->items[i].name) - 1) == 0)
                        return &b->items[i];
                if (!oldest || b->items[i].at_us < oldest->at_us)
                        oldest = &b->items[i];
        }
        if (b->n < BUCKETS_MAX)
                oldest = &b->items[b->n++];
        *oldest = (TokenBucket){.tokens_milli = b->burst * 1000, .at_us = now};
        snprintf(oldest->name, sizeof(oldest->name), "%s", name);
        return oldest;
}

bool token_buckets_take(TokenBuckets *b, const char *name, uint64_t now, uint64_t *retry_ms) {
        TokenBucket *t = bucket_find(b, name, now);

        /* less than a millitoken passed: keep the old time, so that many small steps add up */
        if ((now - t->at_us) * b->rate_per_s >= 1000)
                bucket_refill(b, t, now);
        if (t->tokens_milli < 1000) {
                *retry_ms = (1000 - t->tokens_milli) / b->rate_per_s + 1;
                return false;
        }
        t->tokens_milli -= 1000;
        return true;
}

int sliding_window_init(SlidingWindow *w, uint32_t limit, uint64_t period_us) {
        if (limit == 0 || limit > 100000 || period_us == 0)
                return -EINVAL;
        *w = (SlidingWindow){.limit = limit, .period_us = period_us};
        w->times = calloc(limit, sizeof(*w->times));
        return w->times ? 0 : -ENOMEM;
}

bool sliding_window_hit(SlidingWindow *w, uint64_t now) {
        while (w->count > 0 && now - w->times[w->head] >= w->period_us) {
                w->head = (w->head + 1) % w->limit;
                w->count--;
        }
        if (w->count == w->limit)
                return false;
        w->times[(w->head + w->count) % w->limit] = now;
        w->count++;
        return true;
}

void sliding_window_done(SlidingWindow *w) {
        free(w->times);
        *w = (SlidingWindow){0};
}
