/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The shell of guardian-ledger: the chunk runtime, work threads for the disk, one timer. Every decision is in
 * ledger-core.c and service.c. */
#include "chunks/runtime/chunk.h"

typedef struct Ledger Ledger;
const ChunkOps *ledger_chunk_ops(void);
/* The `user` of chunk_main(). NULL: out of memory. */
Ledger *ledger_new(void);
void ledger_free(Ledger *l);
