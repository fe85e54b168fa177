/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who may write what, by pipe: for the core (which refuses the rest) and the verifier (which re-tests). */
#include "chunks/ledger/record.h"

typedef enum WriterId { W_GOVERNANCE, W_GUARDIAN, W_IMMUNE, W_MESH, W_LEDGER, _WRITER_MAX } WriterId;
int writer_id(Str name); /* -ENOENT: no unit that may write */
const char *writer_name(WriterId w);
/* By kind and, for a config record, by META_ACTION: "policy" and "policy.*" are governance's, all others
 * Guardian's. */
bool writer_may(WriterId w, const Record *r);
/* A decision that may license an intent: by governance, allow, not of purpose check, with request id and
 * digest. */
bool record_licenses(const Record *r);
