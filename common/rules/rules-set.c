/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index: for each value that some condition asks of the key field, the conditions that may match it. A
 * condition is bound to keys when a test on the key field is necessary for it (below all(), or in every
 * branch of any()).
 */
#include "common/rules/rules-internal.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Keys {
        const char **items; /* borrowed from constants */
        size_t n, cap;
        int error;
} Keys;
typedef struct Bucket {
        const char *key; /* NULL: every other key */
        unsigned *rules;
        size_t n;
} Bucket;
struct RuleSet {
        RuleSchema schema;
        char key_field[RULE_FIELD_MAX];
        RuleProgram **programs;
        size_t n, cap;
        Bucket *buckets; /* sorted by key; the last is the one without */
        size_t n_buckets;
        bool sealed;
};

int rule_set_new(const RuleSchema *schema, const char *key_field, RuleSet **ret) {
        RuleSet *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->schema = *schema;
        str_copy(s->key_field, sizeof(s->key_field), str_of(key_field ? key_field : ""));
        *ret = s;
        return 0;
}

RuleSet *rule_set_free(RuleSet *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n; i++)
                rule_program_free(s->programs[i]);
        for (size_t i = 0; i < s->n_buckets; i++)
                free(s->buckets[i].rules);
        free(s->programs);
        free(s->buckets);
        free(s);
        return NULL;
}

int rule_set_add(RuleSet *s, const RuleExpr *e, const char *file, Problems *p, unsigned *ret) {
        if (s->sealed)
                return -EINVAL;
        if (s->n == s->cap) {
                size_t cap = s->cap ? s->cap * 2 : 16;
                RuleProgram **programs = reallocarray(s->programs, cap, sizeof(RuleProgram *));
                if (!programs)
                        return -ENOMEM;
                s->programs = programs;
                s->cap = cap;
        }
        int r = rule_compile(e, &s->schema, file, p, &s->programs[s->n]);
        if (r < 0)
                return r;
        if (ret)
                *ret = (unsigned)s->n;
        s->n++;
        return 0;
}

static void add_key(Keys *k, const char *key) {
        if (k->error)
                return;
        if (k->n == k->cap) {
                size_t cap = k->cap ? k->cap * 2 : 16;
                const char **items = reallocarray(k->items, cap, sizeof(const char *));
                if (!items) {
                        k->error = -ENOMEM;
                        return;
                }
                k->items = items;
                k->cap = cap;
        }
        k->items[k->n++] = key;
}

/* True when a match needs one of the keys, which are added to k. */
static bool bound_keys(const RuleProgram *r, unsigned at, const char *field, Keys *k) {
        const RuleNode *n = &r->nodes[at];
        if (n->kind == NODE_NOT)
                return false;
        if (n->kind == NODE_TEST) {
                if ((n->op != RULE_EQ && n->op != RULE_IN) || strcmp(n->field, field) != 0 ||
                        n->type != RULE_STRING)
                        return false;
                for (unsigned i = 0; i < n->n; i++)
                        add_key(k, r->consts[n->first + i].s);
                return true;
        }
        size_t before = k->n;
        for (unsigned i = at + 1; i < n->end; i = r->nodes[i].end) {
                bool bound = bound_keys(r, i, field, k);
                if (n->kind == NODE_ALL && bound)
                        return true;
                if (n->kind == NODE_ANY && !bound) {
                        k->n = before;
                        return false;
                }
        }
        return n->kind == NODE_ANY;
}

static int by_text(const void *a, const void *b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool has_key(const Keys *k, const char *key) {
        for (size_t i = 0; i < k->n; i++)
                if (strcmp(k->items[i], key) == 0)
                        return true;
        return false;
}

/* Puts rule i into every bucket that it may match. */
static void fill(RuleSet *s, unsigned rule, bool bound, const Keys *keys) {
        for (size_t b = 0; b < s->n_buckets; b++) {
                Bucket *bucket = &s->buckets[b];
                if (!bound || (bucket->key && has_key(keys, bucket->key)))
                        bucket->rules[bucket->n++] = rule;
        }
}

static int make_buckets(RuleSet *s, Keys *all) {
        if (all->n)
                qsort(all->items, all->n, sizeof(const char *), by_text);
        s->buckets = calloc(all->n + 1, sizeof(Bucket));
        if (!s->buckets)
                return -ENOMEM;
        for (size_t i = 0; i < all->n; i++)
                if (i == 0 || strcmp(all->items[i], all->items[i - 1]) != 0)
                        s->buckets[s->n_buckets++].key = all->items[i];
        s->n_buckets++;
        for (size_t i = 0; i < s->n_buckets; i++) {
                s->buckets[i].rules = calloc(s->n ? s->n : 1, sizeof(unsigned));
                if (!s->buckets[i].rules)
                        return -ENOMEM;
        }
        return 0;
}

int rule_set_seal(RuleSet *s) {
        Keys all = {0};
        if (s->sealed)
                return 0;
        for (size_t i = 0; i < s->n && *s->key_field; i++)
                if (s->programs[i]->n)
                        bound_keys(s->programs[i], 0, s->key_field, &all);
        int r = all.error ? all.error : make_buckets(s, &all);
        for (size_t i = 0; i < s->n && r == 0; i++) {
                Keys own = {0};
                bool bound = *s->key_field && s->programs[i]->n &&
                             bound_keys(s->programs[i], 0, s->key_field, &own);
                r = own.error;
                if (r == 0)
                        fill(s, (unsigned)i, bound, &own);
                free(own.items);
        }
        free(all.items);
        s->sealed = r == 0;
        return r;
}

const RuleProgram *rule_set_program(const RuleSet *s, unsigned rule) {
        return rule < s->n ? s->programs[rule] : NULL;
}

static const Bucket *find_bucket(const RuleSet *s, Str key) {
        size_t low = 0, high = s->n_buckets - 1; /* the last one has no key */
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                const char *k = s->buckets[mid].key;
                size_t n = strlen(k), m = n < key.n ? n : key.n;
                int d = m ? memcmp(key.p, k, m) : 0;
                if (d == 0 && n == key.n)
                        return &s->buckets[mid];
                if (d < 0 || (d == 0 && key.n < n))
                        high = mid;
                else
                        low = mid + 1;
        }
        return &s->buckets[s->n_buckets - 1];
}

bool rule_set_next(const RuleSet *s, Str key, size_t *at, unsigned *rule) {
        if (!s->sealed)
                return false;
        if (!key.p || !*s->key_field) {
                if (*at >= s->n)
                        return false;
                *rule = (unsigned)(*at)++;
                return true;
        }
        const Bucket *b = find_bucket(s, key);
        if (*at >= b->n)
                return false;
        *rule = b->rules[(*at)++];
        return true;
}
