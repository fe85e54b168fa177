/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the first process of a container must see to, and a supervisor anywhere else; each step by itself. 0
 * or negative errno. */
#include <stdbool.h>
#include <stdint.h>

/* Closed descriptors 0 to 2 become /dev/null, so that nothing else is opened there. First call of main(). */
int pid1_fill_stdio(void);
/* PR_SET_CHILD_SUBREAPER; a no-op in effect as pid 1, and harmless. */
int pid1_subreaper(void);
/* 0: /proc is there and is procfs of our pid namespace. 1: mounted by this call. Negative errno: missing, and
 * may not be mounted (mount only when getpid() == 1). */
int pid1_proc(void);
/* Raises the soft limit of descriptors to HEADROOM_FDS below the hard one. *have is what we may open; units keep the old limit,
 * returned in *unit_soft (programs that use select(2) break above 1024): put it into their plan unless
 * LimitNOFILE says otherwise. */
int pid1_descriptors(uint64_t *have, uint64_t *unit_soft);
/* Descriptors that n_units units need at most, beside a base of our own. */
uint64_t pid1_descriptors_needed(unsigned n_units, unsigned n_links);
/* Pending signals survive, dispositions become default except SIGPIPE (ignored): for the start of main(). */
void pid1_signals(void);
/* The kernel drops a signal that pid 1 has no handler for yet, so a stop asked for while units are still read
 * would be lost. hold blocks the signals that Guardian acts on, take lets what came since then through: call
 * it once the handlers stand. Children are spawned with an empty mask in any case. */
void pid1_hold_stop(void);
void pid1_take_stop(void);
