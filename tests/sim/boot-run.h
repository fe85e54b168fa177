/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The second scenario of a seed: a random plan of units over the real boot coordinator and unit machines;
 * processes that fail to start, crash, ignore TERM, leave children behind; people who start, stop, restart
 * and pin; a stop at any time. Watches P12 to P15 of HACKING.md.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lies that the world can be told to tell, to show that the checks notice. */
typedef enum BootLie {
        LIE_NONE,
        LIE_GROUP_EMPTY,   /* "the group is empty" while a child lives */
        LIE_EARLY_VERDICT, /* "passed" as soon as it is spawned */
        LIE_DOWN,          /* "down" as soon as a stop is ordered */
        LIE_DEAF,          /* a killed process never ends */
} BootLie;
/* True: no violation. steps is added to. */
bool boot_run(uint64_t seed, bool trace, BootLie lie, char *failure, size_t cap, uint64_t *steps);
