/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The shell of the immune kernel: links, timer and /proc around the pure core. */
#include "immune/immune-core.h"
#include "chunks/runtime/ledger-client.h"

typedef struct Immune Immune;
/* Runs the chunk to its end; the exit status of the process. */
int immune_main(int argc, char **argv);
/* The thing the chunk exists for, tried on a copy of the live policy: a leak in virtual time must end in a
 * proposal or, where the policy says so, at a person. 0, -errno with why. Also what --check runs. */
int immune_self_test(const ImmunePolicy *policy, char *why, size_t cap);
