/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * policies/events.yaml: what is said of an event type. Read by the mesh (who may publish, trust floor, flags,
 * priority) and by the validators (flags, payload schema). A type that is not listed has floor 0, no flags
 * and no schema.
 */
#include "common/error.h"
#include "common/str.h"
#include <stdbool.h>
#include <stddef.h>

enum {
        EVENT_CONSTITUTIONAL = 1, /* the constitution's event rules must hold */
        EVENT_VALIDATE = 2,       /* schema and layered checks; without validators the type is blocked */
        EVENT_AUDIT = 4,          /* a refused one leaves a record too */
        EVENT_ALERT = 8,          /* a delivery that failed raises mesh.dispatch_failure */
};
enum { EVENT_PUBLISHERS_MAX = 16 };

typedef struct EventType {
        char type[129]; /* exact, or a pattern */
        bool wildcard;
        char description[256];
        unsigned trust_floor;                      /* hundredths */
        unsigned flags;                            /* EVENT_* */
        char priority[3];                          /* of an event that names none; "" */
        char payload_schema[160];                  /* below schemas/, "" */
        char publishers[EVENT_PUBLISHERS_MAX][64]; /* unit names, "guardian", "mesh", "person"; none: any */
        unsigned n_publishers;
        unsigned line;
} EventType;
typedef struct EventTypes {
        EventType *items; /* exact ones first, sorted; then patterns, longest first */
        size_t n, n_exact;
        unsigned default_trust; /* hundredths: of a unit whose binding carries none */
} EventTypes;

/* Reads the file's text. 0, -EINVAL after problems, -ENOMEM. *ret is emptied first and owned:
 * event_types_done(). */
int event_types_parse(const char *file, Str text, Problems *p, EventTypes *ret);
/* Reads events.yaml of the last of n directories that has one. None has: 0 and an empty table. */
int event_types_load(const char *const *dirs, unsigned n, Problems *p, EventTypes *ret);
const EventType *event_types_find(const EventTypes *t, const char *type); /* NULL: not listed */
void event_types_done(EventTypes *t);
