/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The immune kernel's look at /proc (proc(5)): one bounded read a question, of one incarnation only. */
#include "immune/immune-core.h"

/* Resident bytes of exactly that process; 0: it is gone, another one has its number, or the kernel shows
 * nothing. */
uint64_t proc_resident(uint64_t pid, uint64_t start_time);
/* What may explain a memory or liveness signal: at most IMMUNE_EVIDENCE_MAX numbers. Returns how many. */
unsigned proc_evidence(uint64_t pid, uint64_t start_time, Evidence *out);
/* Pure: fields 22 and 24 of one line of /proc/PID/stat (the name may hold blanks and parentheses). 0 or
 * -EINVAL. */
int proc_parse_stat(const char *line, uint64_t *start_time, uint64_t *pages);
