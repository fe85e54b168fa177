/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which files make up a set: the directories, read once. Between unit-scan.c and unit-load.c. */
#include "guardian/unit-load.h"

enum { UNITS_MAX = 65536 };

typedef struct ScanEntry {
        char *name; /* unit name ("worker@" for a template); of a drop-in: the unit it belongs to */
        char *conf; /* drop-in: file name "10-more.conf"; NULL: a unit file */
        char *path, *dir;
        unsigned seq; /* order found */
        bool from_core, core, masked;
} ScanEntry;

typedef struct Scan {
        ScanEntry *items; /* sorted by name, conf (units first); unique: the last found won */
        size_t n, cap;
        Arena arena;
} Scan;

int scan_directories(
        const UnitLoad *load, Scan *ret, Problems *problems); /* -ENOMEM; scan_done() in every case */
void scan_done(Scan *s);
/* The unit file of that name, not a masked one; NULL: none. */
const ScanEntry *scan_find(const Scan *s, const char *name);
/* First drop-in of a unit and how many follow one another. */
const ScanEntry *scan_drop_ins(const Scan *s, const char *name, size_t *n);
