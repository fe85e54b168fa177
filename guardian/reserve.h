/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * libuv ends the process when its table of descriptors can't grow; a supervisor may not end so. What it can't
 * get from the heap comes from a reserve of this program, which costs nothing until then. One block at a
 * time: the table.
 */
#include <stddef.h>

enum { RESERVE_BYTES = 1 << 20 }; /* the table of 131,072 descriptors */

/* Before the first call of libuv. */
void reserve_install(void);
/* What libuv is given for realloc and free; for tests. */
void *reserve_realloc(void *p, size_t n);
void reserve_free(void *p);
