/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Subscription index: a tree of pattern segments, so that routing an event costs its number of segments and
 * not the number of subscriptions. '*' is one segment, '**' as the last segment is one or more
 * (pattern_match() is the reference, a test compares the two). Values are opaque; one value may stand under
 * several patterns and is found once per pattern.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SubsNode SubsNode;
typedef struct Subs {
        SubsNode *root; /* NULL while empty */
        size_t count;   /* subscriptions */
} Subs;

/* 0; -EINVAL: not a pattern (pattern_check()); -EEXIST: this value has this pattern already; -ENOMEM. */
int subs_add(Subs *s, const char *pattern, void *value);
/* Takes one out. -ENOENT when it is not there. */
int subs_remove(Subs *s, const char *pattern, void *value);
/* Takes every pattern of a value out; returns how many. */
size_t subs_remove_value(Subs *s, void *value);
/* Calls fn for each (pattern, value) that matches; a value with two matching patterns is reported twice. fn
 * must not change the index. */
void subs_match(const Subs *s, const char *subject, void (*fn)(void *value, void *user), void *user);
void subs_done(Subs *s);
