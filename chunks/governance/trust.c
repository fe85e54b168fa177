/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/governance/trust.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static TrustEntry *find(const Trust *t, const char *component) {
        for (unsigned i = 0; i < t->n; i++)
                if (strcmp(t->items[i].component, component) == 0)
                        return &t->items[i];
        return NULL;
}

static int64_t clamp(int64_t v, int64_t low, int64_t high) {
        return v < low ? low : v > high ? high : v;
}

static int64_t recovered(const TrustEntry *e, const TrustPolicy *p, const GateNow *now) {
        if (!p->recovery_us || e->score >= p->initial)
                return e->score;
        uint64_t points = gate_elapsed_us(&e->since, now) / p->recovery_us;
        return points >= (uint64_t)(p->initial - e->score) ? p->initial : e->score + (int64_t)points;
}

int64_t trust_score(const Trust *t, const TrustPolicy *p, const char *component, const GateNow *now) {
        const TrustEntry *e = find(t, component);
        return clamp(e ? recovered(e, p, now) : p->initial, p->floor, p->ceiling);
}

static TrustEntry *make(Trust *t, const char *component) {
        if (t->n == TRUST_COMPONENTS_MAX) {
                memmove(t->items, t->items + 1, (t->n - 1) * sizeof(*t->items));
                t->n--;
        }
        TrustEntry *more = reallocarray(t->items, t->n + 1, sizeof(*more));
        if (!more)
                return NULL;
        t->items = more;
        TrustEntry *e = &t->items[t->n++];
        *e = (TrustEntry){.index = UINT64_MAX};
        str_copy(e->component, sizeof(e->component), str_of(component));
        return e;
}

int trust_move(Trust *t, const TrustPolicy *p, const char *component, int64_t delta, const char *what,
        uint64_t index, const GateNow *when) {
        int64_t score = trust_score(t, p, component, when);
        TrustEntry *e = find(t, component);
        if (e && e != &t->items[t->n - 1]) { /* to the end: the order is that of the last move */
                TrustEntry copy = *e;
                memmove(e, e + 1, (size_t)(&t->items[t->n] - (e + 1)) * sizeof(*e));
                e = &t->items[t->n - 1];
                *e = copy;
        }
        if (!e)
                e = make(t, component);
        if (!e)
                return -ENOMEM;
        e->score = clamp(score + delta, p->floor, p->ceiling);
        e->since = *when;
        e->index = index;
        e->observed++;
        str_copy(e->last, sizeof(e->last), str_of(what));
        return 0;
}

void trust_json(
        const Trust *t, const TrustPolicy *p, const char *component, const GateNow *now, JsonWriter *w) {
        json_array_begin(w);
        for (unsigned i = 0; i < t->n; i++) {
                const TrustEntry *e = &t->items[i];
                if (component && strcmp(component, e->component) != 0)
                        continue;
                json_object_begin(w);
                json_kv_u64(w, "age_us", gate_elapsed_us(&e->since, now));
                json_kv_str(w, "component", e->component);
                json_kv_i64(w, "initial", p->initial);
                json_kv_u64(w, "observed", e->observed);
                json_kv_i64(w, "score", trust_score(t, p, e->component, now));
                json_key(w, "source");
                json_object_begin(w);
                json_kv_u64(w, "index", e->index);
                json_kv_str(w, "what", e->last);
                json_object_end(w);
                json_object_end(w);
        }
        json_array_end(w);
}

void trust_done(Trust *t) {
        free(t->items);
        *t = (Trust){0};
}
