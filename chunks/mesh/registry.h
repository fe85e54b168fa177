/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What Guardian told the mesh about units: what each may publish and subscribe, its trust, and which unit
 * serves which handler. Whoever is not bound may do nothing.
 */
#include "common/msg.h"

typedef struct StrList {
        char **items;
        size_t n;
} StrList;
typedef struct Binding {
        char unit[129];
        bool bound;                    /* a BINDING has come */
        StrList publishes, subscribes; /* patterns */
        bool has_trust;
        unsigned trust;   /* hundredths */
        StrList handlers; /* of the unit's newest validated instance */
        uint64_t instance;
} Binding;
typedef struct Registry {
        Binding **items; /* by unit, sorted */
        size_t n;
} Registry;

/* A BINDING or HANDLER message: replaces what was known of that kind. 0, -EINVAL (a malformed pattern,
 * nothing changed), -ENOMEM. */
int registry_bind(Registry *r, const Msg *m);
int registry_handle(Registry *r, const Msg *m);
const Binding *registry_find(const Registry *r, const char *unit); /* NULL: unknown */
/* The unit that serves a handler (the first by name), or NULL. */
const Binding *registry_handler(const Registry *r, const char *handler);
bool binding_may_publish(const Binding *b, const char *type);
/* Every type that the wanted pattern could match must be granted. */
bool binding_may_subscribe(const Binding *b, const char *pattern);
bool binding_serves(const Binding *b, const char *handler);
/* True when every subject that `wanted` matches is matched by `granted`. */
bool pattern_covers(const char *granted, const char *wanted);
void registry_done(Registry *r);
