/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the verifier and recovery take out of the bodies of the ledger's own records. */
#include "chunks/ledger/note.h"

/* The note of a checkpoint record's body. 0 or -EBADMSG. */
int note_of_body(Str body, char out[NOTE_MAX]);
/* The verifier key of a key record's body. 0, -EBADMSG, -EINVAL. */
int note_key_of_body(Str body, NoteKey *ret);
