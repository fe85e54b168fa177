/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Intrusive doubly linked list with a head node; an item is in at most one list per node. */
#include <stdbool.h>
#include <stddef.h>

typedef struct List {
        struct List *prev, *next;
} List;

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void list_init(List *l) {
        l->prev = l->next = l;
}
static inline bool list_empty(const List *l) {
        return l->next == l;
}
static inline void list_append(List *head, List *n) {
        n->prev = head->prev;
        n->next = head;
        head->prev->next = n;
        head->prev = n;
}
static inline void list_remove(List *n) {
        n->prev->next = n->next;
        n->next->prev = n->prev;
        list_init(n);
}
#define LIST_FOREACH(it, head)         for (List *it = (head)->next; it != (head); it = it->next)
#define LIST_FOREACH_SAFE(it, nx, head)                                                                      \
        for (List *it = (head)->next, *nx = it->next; it != (head); it = nx, nx = it->next)
