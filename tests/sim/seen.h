/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* An event of Guardian's enforcement core, and what it made of it, for the report of pairs. */
#include "sim.h"
#define SEEN(s, event, id, target, call)                                                                     \
        do {                                                                                                 \
                CoverScope scope_;                                                                           \
                cover_enforce_begin((s)->e, &scope_, event, id, target);                                     \
                call;                                                                                        \
                cover_enforce_end((s)->e, &scope_);                                                          \
        } while (0)
