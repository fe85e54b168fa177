/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Descriptors kept back for what must never fail for want of one: finding, signalling and awaiting the
 * members of a group. The soft limit of open files stands HEADROOM_FDS below the hard one; between begin and
 * end one below it. A limit that somebody else sets meanwhile (prlimit(1)) stays. Whoever fills Guardian's
 * table with connections can therefore not keep it from stopping a unit.
 */
enum { HEADROOM_FDS = 32 };

/* Nested calls are counted. One thread only. Neither changes errno. */
void headroom_begin(void);
void headroom_end(void);
