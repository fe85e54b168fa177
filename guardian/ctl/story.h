/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A record of the ledger as one sentence for people. Pure. */
#include "common/json/json-read.h"

enum { STORY_TEXT = 480 };
/* r: one line of `ledger query`. Writes at most STORY_TEXT bytes, no newline. */
void story_sentence(const json_t *r, char out[STORY_TEXT]);
