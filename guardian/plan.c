/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/plan.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Edge {
        uint32_t from; /* waits */
        PlanEdge edge;
} Edge;

typedef struct Named {
        const char *name;
        uint32_t index;
} Named;

typedef struct Builder {
        Plan *plan;
        Named *names; /* sorted by name */
        Edge *edges;
        size_t n_edges, cap_edges;
        uint32_t (*pulls)[2]; /* Requires, Wants, Links: who, whom */
        bool *pull_needs;     /* of the same index: Requires or Links */
        size_t n_pulls, cap_pulls;
        Problems *problems;
        size_t errors;
} Builder;

static int compare_named(const void *a, const void *b) {
        return strcmp(((const Named *)a)->name, ((const Named *)b)->name);
}

static uint32_t lookup(const Builder *b, const char *name) {
        Named key = {.name = name};
        const Named *n = bsearch(&key, b->names, b->plan->n, sizeof(Named), compare_named);
        return n ? n->index : PLAN_NONE;
}

#define REFUSE(b, f, l, code, hint, ...)                                                                     \
        do {                                                                                                 \
                (b)->errors++;                                                                               \
                problem_add((b)->problems, PROBLEM_ERROR, (f), (l), 0, (code), (hint), __VA_ARGS__);         \
        } while (0)

static int compare_milli(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
        return (x > y) - (x < y);
}

static int make_stages(Plan *p) {
        auto_free uint32_t *all = malloc((p->n + 1) * sizeof(uint32_t));
        if (!all)
                return -ENOMEM;
        for (uint32_t i = 0; i < p->n; i++)
                all[i] = p->units[i].config->priority_milli;
        if (p->n > 1)
                qsort(all, p->n, sizeof(uint32_t), compare_milli);
        uint32_t n = 0;
        for (uint32_t i = 0; i < p->n; i++)
                if (n == 0 || all[n - 1] != all[i])
                        all[n++] = all[i];
        p->stages = calloc(n + 1, sizeof(PlanStage));
        if (!p->stages)
                return -ENOMEM;
        p->n_stages = n;
        for (uint32_t i = 0; i < n; i++)
                p->stages[i].priority_milli = all[i];
        for (uint32_t i = 0; i < p->n; i++) {
                const uint32_t *s =
                        bsearch(&p->units[i].config->priority_milli, all, n, sizeof(uint32_t), compare_milli);
                p->units[i].stage = (uint32_t)(s - all);
                p->stages[p->units[i].stage].n++;
        }
        for (uint32_t i = 1; i < n; i++)
                p->stages[i].first = p->stages[i - 1].first + p->stages[i - 1].n;
        return 0;
}

static int add_edge(Builder *b, uint32_t from, uint32_t to, bool hard, const UnitRef *ref) {
        if (b->n_edges == b->cap_edges) {
                size_t cap = b->cap_edges ? b->cap_edges * 2 : 256;
                Edge *edges = realloc(b->edges, cap * sizeof(Edge));
                if (!edges)
                        return -ENOMEM;
                b->edges = edges;
                b->cap_edges = cap;
        }
        b->edges[b->n_edges++] = (Edge){from, {to, hard, ref->file, ref->line}};
        return 0;
}

static int add_pull(Builder *b, uint32_t from, uint32_t to, bool needs) {
        if (b->n_pulls == b->cap_pulls) {
                size_t cap = b->cap_pulls ? b->cap_pulls * 2 : 256;
                void *pulls = realloc(b->pulls, cap * sizeof(*b->pulls));
                if (!pulls)
                        return -ENOMEM;
                b->pulls = pulls;
                bool *flags = realloc(b->pull_needs, cap * sizeof(bool));
                if (!flags)
                        return -ENOMEM;
                b->pull_needs = flags;
                b->cap_pulls = cap;
        }
        b->pulls[b->n_pulls][0] = from;
        b->pulls[b->n_pulls][1] = to;
        b->pull_needs[b->n_pulls++] = needs;
        return 0;
}

/* `late` must come up before `early` is done: impossible when its stage is later. */
static void refuse_order(
        Builder *b, const UnitRef *r, const char *key, const UnitConfig *first, const UnitConfig *then) {
        REFUSE(b, r->file, r->line, "priority-conflict",
                "a unit can only wait for units of its own or a lower priority number",
                "%s=%s: '%s' (priority %u.%03u) starts after '%s' (priority %u.%03u)", key, r->name,
                first->name, first->priority_milli / 1000, first->priority_milli % 1000, then->name,
                then->priority_milli / 1000, then->priority_milli % 1000);
}

/* The loader, which saw more files, may have said it better already. */
static void refuse_unknown(Builder *b, const char *key, const UnitRef *r) {
        b->errors++;
        for (size_t i = 0; b->problems && i < b->problems->n; i++) {
                const Problem *p = &b->problems->items[i];
                if (p->line == r->line && strcmp(p->code, "unknown-unit") == 0 &&
                        strcmp(p->file, r->file) == 0)
                        return;
        }
        problem_add(b->problems, PROBLEM_ERROR, r->file, r->line, 0, "unknown-unit", NULL,
                "%s=%s names a unit that is not in the set", key, r->name);
}

typedef enum RefKind { REF_AFTER, REF_BEFORE, REF_REQUIRES, REF_WANTS, REF_LINKS } RefKind;

static int add_ref(Builder *b, uint32_t i, RefKind kind, const UnitRef *r) {
        static const char *const key_names[] = {"After", "Before", "Requires", "Wants", "Links"};
        const PlanUnit *units = b->plan->units;
        uint32_t x = lookup(b, r->name);
        bool needs = kind == REF_REQUIRES || kind == REF_LINKS;
        if (x == PLAN_NONE) {
                if (needs)
                        refuse_unknown(b, key_names[kind], r);
                return 0;
        }
        if (needs || kind == REF_WANTS) {
                int k = add_pull(b, i, x, needs);
                if (k < 0 || kind == REF_LINKS)
                        return k;
        }
        uint32_t waits = kind == REF_BEFORE ? x : i, first = kind == REF_BEFORE ? i : x;
        if (units[first].stage > units[waits].stage) {
                if (kind != REF_WANTS)
                        refuse_order(b, r, key_names[kind], units[first].config, units[waits].config);
                return 0;
        }
        if (units[first].stage < units[waits].stage && kind != REF_REQUIRES)
                return 0; /* the stages order these already */
        return add_edge(b, waits, first, kind == REF_REQUIRES, r);
}

static int collect(Builder *b) {
        int r = 0;
        for (uint32_t i = 0; i < b->plan->n; i++) {
                const UnitConfig *u = b->plan->units[i].config;
                const UnitRefs *lists[] = {[REF_AFTER] = &u->after,
                        [REF_BEFORE] = &u->before,
                        [REF_REQUIRES] = &u->requires,
                        [REF_WANTS] = &u->wants,
                        [REF_LINKS] = &u->links};
                for (size_t k = 0; k < ELEMENTSOF(lists); k++)
                        for (unsigned j = 0; j < lists[k]->n && r == 0; j++)
                                r = add_ref(b, i, (RefKind)k, &lists[k]->items[j]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Lays the edges out by unit, in one block: needs, needed_by, required_by. */
static int lay_out(Builder *b) {
        Plan *p = b->plan;
        for (size_t i = 0; i < b->n_edges; i++) {
                p->units[b->edges[i].from].n_needs++;
                p->units[b->edges[i].edge.to].n_needed_by++;
        }
        size_t n_required = 0;
        for (size_t i = 0; i < b->n_pulls; i++)
                if (b->pull_needs[i]) {
                        p->units[b->pulls[i][1]].n_required_by++;
                        n_required++;
                }
        PlanEdge *needs =
                malloc((b->n_edges + 1) * sizeof(PlanEdge) + (b->n_edges + n_required) * sizeof(uint32_t));
        if (!needs)
                return -ENOMEM;
        p->memory = needs;
        uint32_t *needed_by = (uint32_t *)(void *)(needs + b->n_edges + 1),
                 *required_by = needed_by + b->n_edges;
        for (uint32_t i = 0; i < p->n; i++) {
                PlanUnit *u = &p->units[i];
                u->needs = needs;
                u->needed_by = needed_by;
                u->required_by = required_by;
                needs += u->n_needs;
                needed_by += u->n_needed_by;
                required_by += u->n_required_by;
                u->n_needs = u->n_needed_by = u->n_required_by = 0;
        }
        for (size_t i = 0; i < b->n_edges; i++) {
                PlanUnit *u = &p->units[b->edges[i].from], *x = &p->units[b->edges[i].edge.to];
                u->needs[u->n_needs++] = b->edges[i].edge;
                x->needed_by[x->n_needed_by++] = b->edges[i].from;
        }
        for (size_t i = 0; i < b->n_pulls; i++)
                if (b->pull_needs[i]) {
                        PlanUnit *x = &p->units[b->pulls[i][1]];
                        x->required_by[x->n_required_by++] = b->pulls[i][0];
                }
        return 0;
}

/* Every unit left in `waits` has a need that is left too: following them must come back. `->` reads "waits
 * for". */
static void report_cycle(Builder *b, uint32_t start, const uint32_t *waits) {
        Plan *p = b->plan;
        auto_free uint32_t *seen = calloc(p->n, sizeof(uint32_t)),
                           *path = malloc((p->n + 1) * sizeof(uint32_t));
        auto_free const PlanEdge **via = malloc((p->n + 1) * sizeof(PlanEdge *));
        if (!seen || !path || !via) {
                b->errors++;
                return;
        }
        uint32_t n = 0, u = start;
        while (!seen[u]) {
                seen[u] = n + 1;
                path[n] = u;
                const PlanEdge *next = NULL;
                for (uint32_t i = 0; i < p->units[u].n_needs && !next; i++) {
                        const PlanEdge *e = &p->units[u].needs[i];
                        if (p->units[e->to].stage == p->units[u].stage && waits[e->to] > 0)
                                next = e;
                }
                via[n++] = next;
                u = next->to;
        }
        char text[300];
        size_t used = 0;
        uint32_t first = seen[u] - 1;
        for (uint32_t i = first; i < n && used < 220; i++)
                used += (size_t)snprintf(
                        text + used, sizeof(text) - used, "%.64s -> ", p->units[path[i]].config->name);
        snprintf(text + used, sizeof(text) - used, "%.64s", p->units[u].config->name);
        REFUSE(b, via[first]->file, via[first]->line, "cycle", "take one of these dependencies out",
                "dependency cycle: %s", text);
}

/* Kahn's algorithm a stage; `order` arrives as units sorted by name. */
static int sort_stage(Builder *b, const PlanStage *s, uint32_t *waits, uint32_t *tmp) {
        Plan *p = b->plan;
        uint32_t *order = p->order + s->first, head = 0, tail = 0;
        for (uint32_t i = 0; i < s->n; i++) {
                const PlanUnit *u = &p->units[order[i]];
                waits[order[i]] = 0;
                for (uint32_t k = 0; k < u->n_needs; k++)
                        if (p->units[u->needs[k].to].stage == u->stage)
                                waits[order[i]]++;
                if (waits[order[i]] == 0)
                        tmp[tail++] = order[i];
        }
        while (head < tail) {
                uint32_t u = tmp[head++];
                for (uint32_t k = 0; k < p->units[u].n_needed_by; k++) {
                        uint32_t x = p->units[u].needed_by[k];
                        if (p->units[x].stage == p->units[u].stage && --waits[x] == 0)
                                tmp[tail++] = x;
                }
        }
        if (tail < s->n) {
                for (uint32_t i = 0; i < s->n; i++)
                        if (waits[order[i]] > 0) {
                                report_cycle(b, order[i], waits);
                                break;
                        }
                return 0;
        }
        memcpy(order, tmp, s->n * sizeof(uint32_t));
        return 0;
}

static int make_order(Builder *b) {
        Plan *p = b->plan;
        auto_free uint32_t *waits = calloc(p->n + 1, sizeof(uint32_t)),
                           *tmp = calloc(p->n + 1, sizeof(uint32_t)),
                           *fill = calloc(p->n_stages + 1, sizeof(uint32_t));
        p->order = calloc(p->n + 1, sizeof(uint32_t));
        if (!waits || !tmp || !fill || !p->order)
                return -ENOMEM;
        for (uint32_t i = 0; i < p->n; i++) {
                uint32_t u = b->names[i].index, s = p->units[u].stage;
                p->order[p->stages[s].first + fill[s]++] = u;
        }
        int r = 0;
        for (uint32_t s = 0; s < p->n_stages && r == 0; s++)
                r = sort_stage(b, &p->stages[s], waits, tmp);
        return r;
}

/* Who boots: the enabled, and what they require, want or link to. */
static int mark_boots(Builder *b) {
        Plan *p = b->plan;
        auto_free uint32_t *first = calloc(p->n + 2, sizeof(uint32_t)),
                           *stack = calloc(p->n + 1, sizeof(uint32_t));
        auto_free uint32_t *to = malloc((b->n_pulls + 1) * sizeof(uint32_t));
        if (!first || !stack || !to)
                return -ENOMEM;
        for (size_t i = 0; i < b->n_pulls; i++)
                first[b->pulls[i][0] + 2]++;
        for (uint32_t i = 2; i < p->n + 2; i++)
                first[i] += first[i - 1];
        for (size_t i = 0; i < b->n_pulls; i++)
                to[first[b->pulls[i][0] + 1]++] = b->pulls[i][1];
        uint32_t depth = 0;
        for (uint32_t i = 0; i < p->n; i++)
                if (p->units[i].config->enabled) {
                        p->units[i].boots = true;
                        stack[depth++] = i;
                }
        while (depth > 0) {
                uint32_t u = stack[--depth];
                for (uint32_t k = first[u]; k < first[u + 1]; k++)
                        if (!p->units[to[k]].boots) {
                                p->units[to[k]].boots = true;
                                stack[depth++] = to[k];
                        }
        }
        return 0;
}

static int build(Builder *b) {
        Plan *p = b->plan;
        for (uint32_t i = 0; i < p->n; i++)
                b->names[i] = (Named){p->units[i].config->name, i};
        if (p->n > 1)
                qsort(b->names, p->n, sizeof(Named), compare_named);
        int r = make_stages(p);
        if (r == 0)
                r = collect(b);
        if (r == 0)
                r = lay_out(b);
        if (r == 0)
                r = make_order(b);
        if (r == 0)
                r = mark_boots(b);
        return r;
}

int plan_build(UnitConfig *const *units, uint32_t n, Plan **ret, Problems *problems) {
        Builder b = {.problems = problems, .plan = calloc(1, sizeof(Plan))};
        *ret = NULL;
        if (!b.plan)
                return -ENOMEM;
        b.plan->n = n;
        b.plan->units = calloc(n + 1, sizeof(PlanUnit));
        b.names = calloc(n + 1, sizeof(Named));
        int r = b.plan->units && b.names ? 0 : -ENOMEM;
        for (uint32_t i = 0; i < n && r == 0; i++)
                b.plan->units[i].config = units[i];
        if (r == 0)
                r = build(&b);
        free(b.names);
        free(b.edges);
        free(b.pulls);
        free(b.pull_needs);
        if (r < 0 || b.errors > 0) {
                plan_free(b.plan);
                return r < 0 ? r : 1;
        }
        *ret = b.plan;
        return 0;
}

Plan *plan_free(Plan *p) {
        if (p) {
                free(p->units);
                free(p->stages);
                free(p->order);
                free(p->memory);
                free(p);
        }
        return NULL;
}

uint32_t plan_find(const Plan *p, const char *name) {
        for (uint32_t i = 0; i < p->n; i++)
                if (strcmp(p->units[i].config->name, name) == 0)
                        return i;
        return PLAN_NONE;
}

uint32_t plan_dependents(const Plan *p, uint32_t unit, uint32_t *out, uint32_t cap) {
        auto_free bool *seen = calloc(p->n + 1, sizeof(bool));
        auto_free uint32_t *queue = malloc((p->n + 1) * sizeof(uint32_t));
        uint32_t n = 0, head = 0;
        if (!seen || !queue)
                return 0;
        seen[unit] = true;
        for (uint32_t u = unit;; u = queue[head++]) {
                for (uint32_t i = 0; i < p->units[u].n_required_by; i++) {
                        uint32_t x = p->units[u].required_by[i];
                        if (!seen[x]) {
                                seen[x] = true;
                                if (n < cap)
                                        out[n] = x;
                                queue[n++] = x;
                        }
                }
                if (head == n)
                        return n;
        }
}

static int dot_edges(const UnitConfig *u, const UnitRefs *refs, const char *style, Buf *out) {
        int r = 0;
        for (unsigned i = 0; i < refs->n && r == 0; i++)
                r = buf_appendf(out, "  \"%s\" -> \"%s\" [%s];\n", u->name, refs->items[i].name, style);
        return r;
}

int plan_dot(const Plan *p, Buf *out) {
        int r = buf_appendf(out, "digraph units {\n  rankdir=LR;\n  node [shape=box];\n");
        for (uint32_t s = 0; s < p->n_stages && r == 0; s++) {
                const PlanStage *st = &p->stages[s];
                r = buf_appendf(out, "  subgraph cluster_%u {\n    label=\"priority %u.%03u\";\n", s,
                        st->priority_milli / 1000, st->priority_milli % 1000);
                for (uint32_t i = 0; i < st->n && r == 0; i++)
                        r = buf_appendf(out, "    \"%s\";\n", p->units[p->order[st->first + i]].config->name);
                if (r == 0)
                        r = buf_appendf(out, "  }\n");
        }
        for (uint32_t i = 0; i < p->n && r == 0; i++) {
                const UnitConfig *u = p->units[i].config;
                r = dot_edges(u, &u->requires, "label=requires", out);
                if (r == 0)
                        r = dot_edges(u, &u->wants, "style=dashed,label=wants", out);
                if (r == 0)
                        r = dot_edges(u, &u->after, "style=dotted,label=after", out);
                if (r == 0)
                        r = dot_edges(u, &u->links, "color=blue,label=link", out);
        }
        return r < 0 ? r : buf_appendf(out, "}\n");
}
