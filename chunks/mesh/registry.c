/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/registry.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdlib.h>

static void str_list_done(StrList *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->items[i]);
        free(l->items);
        *l = (StrList){0};
}

static int str_list_add(StrList *l, Str s) {
        char **grown = realloc(l->items, (l->n + 1) * sizeof(*grown)), *copy;

        if (!grown)
                return -ENOMEM;
        l->items = grown;
        copy = strndup(s.p, s.n);
        if (!copy)
                return -ENOMEM;
        l->items[l->n++] = copy;
        return 0;
}

/* Every value of a repeated field; `check` as pattern_check() or NULL. */
static int str_list_read(const Msg *m, Tag t, int (*check)(const char *), StrList *ret) {
        StrList l = {0};
        size_t at = 0;
        int r = 0;
        Str s;

        while (r == 0 && msg_next_str(m, t, &at, &s)) {
                r = str_list_add(&l, s);
                if (r == 0 && check)
                        r = check(l.items[l.n - 1]);
        }
        if (r < 0) {
                str_list_done(&l);
                return r;
        }
        *ret = l;
        return 0;
}

static Binding *binding_find(const Registry *r, const char *unit, size_t *at) {
        size_t low = 0, high = r->n;

        while (low < high) {
                size_t mid = (low + high) / 2;
                int c = strcmp(r->items[mid]->unit, unit);

                if (c == 0)
                        return r->items[mid];
                if (c < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        if (at)
                *at = low;
        return NULL;
}

static int binding_make(Registry *r, Str name, Binding **ret) {
        char unit[129];
        size_t at = 0;
        Binding **grown, *b;

        str_copy(unit, sizeof(unit), name);
        *ret = binding_find(r, unit, &at);
        if (*ret)
                return 0;
        grown = realloc(r->items, (r->n + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        r->items = grown;
        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        memcpy(b->unit, unit, sizeof(unit));
        memmove(r->items + at + 1, r->items + at, (r->n - at) * sizeof(*r->items));
        r->items[at] = b;
        r->n++;
        *ret = b;
        return 0;
}

int registry_bind(Registry *r, const Msg *m) {
        StrList publishes = {0}, subscribes = {0};
        Binding *b;
        int e = str_list_read(m, TAG_PUBLISHES, pattern_check, &publishes);

        if (e == 0)
                e = str_list_read(m, TAG_SUBSCRIBES, pattern_check, &subscribes);
        if (e == 0)
                e = binding_make(r, msg_str(m, TAG_UNIT), &b);
        if (e < 0) {
                str_list_done(&publishes);
                str_list_done(&subscribes);
                return e;
        }
        str_list_done(&b->publishes);
        str_list_done(&b->subscribes);
        b->publishes = publishes;
        b->subscribes = subscribes;
        b->bound = true;
        b->has_trust = msg_has(m, TAG_TRUST);
        b->trust = b->has_trust ? (unsigned)msg_u64(m, TAG_TRUST, 0) : 0;
        if (b->trust > 100)
                b->trust = 100;
        return 0;
}

int registry_handle(Registry *r, const Msg *m) {
        StrList handlers = {0};
        Binding *b;
        int e = str_list_read(m, TAG_HANDLER, NULL, &handlers);

        if (e == 0)
                e = binding_make(r, msg_str(m, TAG_UNIT), &b);
        if (e < 0) {
                str_list_done(&handlers);
                return e;
        }
        str_list_done(&b->handlers);
        b->handlers = handlers;
        b->instance = msg_u64(m, TAG_INSTANCE, 0);
        return 0;
}

const Binding *registry_find(const Registry *r, const char *unit) {
        return binding_find(r, unit, NULL);
}

bool binding_serves(const Binding *b, const char *handler) {
        for (size_t i = 0; b && i < b->handlers.n; i++)
                if (strcmp(b->handlers.items[i], handler) == 0)
                        return true;
        return false;
}

const Binding *registry_handler(const Registry *r, const char *handler) {
        for (size_t i = 0; i < r->n; i++)
                if (binding_serves(r->items[i], handler))
                        return r->items[i];
        return NULL;
}

bool binding_may_publish(const Binding *b, const char *type) {
        for (size_t i = 0; b && i < b->publishes.n; i++)
                if (pattern_match(b->publishes.items[i], type))
                        return true;
        return false;
}

bool pattern_covers(const char *granted, const char *wanted) {
        for (;;) {
                size_t g = strcspn(granted, "."), w = strcspn(wanted, ".");
                bool any = g == 1 && granted[0] == '*', deep = w == 2 && wanted[0] == '*' && wanted[1] == '*';

                if (g == 2 && granted[0] == '*' && granted[1] == '*')
                        return true;
                if (deep)
                        return false;
                if (!any && (g != w || strncmp(granted, wanted, g) != 0))
                        return false;
                if (!granted[g] || !wanted[w])
                        return !granted[g] && !wanted[w];
                granted += g + 1;
                wanted += w + 1;
        }
}

bool binding_may_subscribe(const Binding *b, const char *pattern) {
        for (size_t i = 0; b && i < b->subscribes.n; i++)
                if (pattern_covers(b->subscribes.items[i], pattern))
                        return true;
        return false;
}

void registry_done(Registry *r) {
        for (size_t i = 0; i < r->n; i++) {
                str_list_done(&r->items[i]->publishes);
                str_list_done(&r->items[i]->subscribes);
                str_list_done(&r->items[i]->handlers);
                free(r->items[i]);
        }
        free(r->items);
        *r = (Registry){0};
}
