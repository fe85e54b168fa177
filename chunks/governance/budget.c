/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/governance/budget.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint32_t budgets_of(const GatePolicy *p, const GateInput *in) {
        GateLookup lookup = {.policy = p, .in = in};
        RuleContext c = {gate_lookup, &lookup};
        uint32_t bits = 0;
        /* A condition that can't be evaluated counts: a budget tightens. */
        for (unsigned i = 0; i < p->n_budgets; i++)
                if (rule_eval(p->budgets[i].when, &c) != RULE_NO)
                        bits |= 1u << i;
        return bits;
}

static int64_t left(const Budgets *b, const GatePolicy *p, unsigned budget, const GateInput *in) {
        const GateBudget *g = &p->budgets[budget];
        int64_t used = 0;
        for (size_t i = 0; i < b->n; i++) {
                const Spent *s = &b->items[i];
                if ((s->budgets & (1u << budget)) && gate_elapsed_us(&s->at, &in->now) < g->window_us &&
                        (!g->per_target || strcmp(s->target, in->request.target) == 0))
                        used++;
        }
        return used < (int64_t)g->limit ? (int64_t)g->limit - used : 0;
}

void budgets_fill(const Budgets *b, const GatePolicy *p, GateInput *in) {
        uint32_t bits = budgets_of(p, in);
        in->n_budgets = 0;
        for (unsigned i = 0; i < p->n_budgets; i++) {
                if (!(bits & (1u << i)))
                        continue;
                str_copy(in->budgets[in->n_budgets].id, sizeof(in->budgets[0].id), str_of(p->budgets[i].id));
                in->budgets[in->n_budgets++].left = left(b, p, i, in);
        }
}

static void forget(Budgets *b, const GatePolicy *p, const GateNow *now) {
        size_t kept = 0;
        uint64_t longest = 0;
        for (unsigned i = 0; i < p->n_budgets; i++)
                longest = p->budgets[i].window_us > longest ? p->budgets[i].window_us : longest;
        for (size_t i = 0; i < b->n; i++)
                if (gate_elapsed_us(&b->items[i].at, now) < longest)
                        b->items[kept++] = b->items[i];
        b->n = kept;
}

int budgets_reserve(Budgets *b, const GatePolicy *p, const GateInput *in) {
        uint32_t bits = budgets_of(p, in);
        forget(b, p, &in->now);
        if (!bits)
                return 0;
        if (b->n == b->cap) {
                size_t cap = b->cap ? b->cap * 2 : 16;
                Spent *more = reallocarray(b->items, cap, sizeof(*more));
                if (!more)
                        return -ENOMEM;
                b->items = more;
                b->cap = cap;
        }
        Spent *s = &b->items[b->n++];
        *s = (Spent){.at = in->now, .budgets = bits};
        memcpy(s->request_id, in->request.request_id, 16);
        str_copy(s->target, sizeof(s->target), str_of(in->request.target));
        return 0;
}

void budgets_release(Budgets *b, const uint8_t request_id[16]) {
        for (size_t i = b->n; i-- > 0;)
                if (memcmp(b->items[i].request_id, request_id, 16) == 0) {
                        memmove(&b->items[i], &b->items[i + 1], (b->n - i - 1) * sizeof(Spent));
                        b->n--;
                }
}

void budgets_remap(Budgets *b, const GatePolicy *from, const GatePolicy *to) {
        for (size_t i = 0; i < b->n; i++) {
                uint32_t old = b->items[i].budgets, bits = 0;
                for (unsigned f = 0; f < from->n_budgets; f++)
                        for (unsigned t = 0; (old & (1u << f)) && t < to->n_budgets; t++)
                                if (strcmp(from->budgets[f].id, to->budgets[t].id) == 0)
                                        bits |= 1u << t;
                b->items[i].budgets = bits;
        }
}

void budgets_done(Budgets *b) {
        free(b->items);
        *b = (Budgets){0};
}
