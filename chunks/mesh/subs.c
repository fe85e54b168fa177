/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/subs.h"
#include "common/str.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct SubsNode {
        char *segment; /* "*" and "**" stand as themselves */
        SubsNode **children;
        size_t n_children;
        void **values;
        size_t n_values;
};

static SubsNode *node_free(SubsNode *n) {
        if (!n)
                return NULL;
        for (size_t i = 0; i < n->n_children; i++)
                node_free(n->children[i]);
        free(n->children);
        free(n->values);
        free(n->segment);
        free(n);
        return NULL;
}

static SubsNode *node_new(const char *segment, size_t len) {
        SubsNode *n = calloc(1, sizeof(*n));

        if (!n)
                return NULL;
        n->segment = strndup(segment, len);
        return n->segment ? n : node_free(n);
}

static SubsNode *child_find(const SubsNode *n, const char *segment, size_t len) {
        for (size_t i = 0; i < n->n_children; i++) {
                SubsNode *c = n->children[i];

                if (strncmp(c->segment, segment, len) == 0 && c->segment[len] == '\0')
                        return c;
        }
        return NULL;
}

static SubsNode *child_make(SubsNode *n, const char *segment, size_t len) {
        SubsNode *c = child_find(n, segment, len), **grown;

        if (c)
                return c;
        grown = realloc(n->children, (n->n_children + 1) * sizeof(*grown));
        if (!grown)
                return NULL;
        n->children = grown;
        c = node_new(segment, len);
        if (c)
                n->children[n->n_children++] = c;
        return c;
}

int subs_add(Subs *s, const char *pattern, void *value) {
        SubsNode *n;
        void **grown;
        int r = pattern_check(pattern);

        if (r < 0)
                return r;
        if (!s->root) {
                s->root = node_new("", 0);
                if (!s->root)
                        return -ENOMEM;
        }
        n = s->root;
        for (const char *p = pattern;; p++) {
                size_t len = strcspn(p, ".");

                n = child_make(n, p, len);
                if (!n)
                        return -ENOMEM;
                p += len;
                if (!*p)
                        break;
        }
        for (size_t i = 0; i < n->n_values; i++)
                if (n->values[i] == value)
                        return -EEXIST;
        grown = realloc(n->values, (n->n_values + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        n->values = grown;
        n->values[n->n_values++] = value;
        s->count++;
        return 0;
}

static bool value_drop(SubsNode *n, const void *value) {
        for (size_t i = 0; i < n->n_values; i++)
                if (n->values[i] == value) {
                        n->values[i] = n->values[--n->n_values];
                        return true;
                }
        return false;
}

/* An empty branch is freed, so that clients that come and go leave nothing behind. */
static void children_prune(SubsNode *n) {
        for (size_t i = 0; i < n->n_children;) {
                SubsNode *c = n->children[i];

                if (c->n_children == 0 && c->n_values == 0) {
                        node_free(c);
                        n->children[i] = n->children[--n->n_children];
                } else {
                        i++;
                }
        }
}

static int branch_remove(SubsNode *n, const char *p, const void *value) {
        size_t len = strcspn(p, ".");
        SubsNode *c = child_find(n, p, len);
        int r;

        if (!c)
                return -ENOENT;
        r = p[len] ? branch_remove(c, p + len + 1, value) : (value_drop(c, value) ? 0 : -ENOENT);
        if (r == 0)
                children_prune(n);
        return r;
}

int subs_remove(Subs *s, const char *pattern, void *value) {
        int r = s->root ? branch_remove(s->root, pattern, value) : -ENOENT;

        if (r == 0)
                s->count--;
        return r;
}

static size_t branch_remove_value(SubsNode *n, const void *value) {
        size_t dropped = value_drop(n, value) ? 1 : 0;

        for (size_t i = 0; i < n->n_children; i++)
                dropped += branch_remove_value(n->children[i], value);
        children_prune(n);
        return dropped;
}

size_t subs_remove_value(Subs *s, void *value) {
        size_t dropped = s->root ? branch_remove_value(s->root, value) : 0;

        s->count -= dropped;
        return dropped;
}

static void values_report(const SubsNode *n, void (*fn)(void *, void *), void *user) {
        for (size_t i = 0; i < n->n_values; i++)
                fn(n->values[i], user);
}

/* p: what is left of the subject, at least one segment. The depth is bounded by the pattern's segments. */
static void branch_match(const SubsNode *n, const char *p, void (*fn)(void *, void *), void *user) {
        size_t len = strcspn(p, ".");

        for (size_t i = 0; i < n->n_children; i++) {
                const SubsNode *c = n->children[i];

                if (strcmp(c->segment, "**") == 0) {
                        values_report(c, fn, user);
                        continue;
                }
                if (strcmp(c->segment, "*") != 0 &&
                        (strncmp(c->segment, p, len) != 0 || c->segment[len] != '\0'))
                        continue;
                if (p[len])
                        branch_match(c, p + len + 1, fn, user);
                else
                        values_report(c, fn, user);
        }
}

void subs_match(const Subs *s, const char *subject, void (*fn)(void *value, void *user), void *user) {
        if (s->root && *subject)
                branch_match(s->root, subject, fn, user);
}

void subs_done(Subs *s) {
        s->root = node_free(s->root);
        s->count = 0;
}
