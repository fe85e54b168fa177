/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Offline check of a whole log, from record 0, over the reading seam: form, crc, chain, tree, segment
 * headers, zero regions, every checkpoint's signature and root, the note file as a pin, and the links of
 * governed actions (decision, intent, action). Memory does not grow with the log, except by one bit-sized
 * entry a decision and intent (32 bytes each).
 *
 * Results, the exit statuses of `ledger verify`: 0 good; 1 integrity failure; 2 good up to an unsigned or
 * torn tail; 3 cannot be read.
 */
#include "chunks/ledger/log-reader.h"
#include "chunks/ledger/note.h"
#include "common/buf.h"

enum { VERIFY_GOOD = 0, VERIFY_BROKEN = 1, VERIFY_TAIL = 2, VERIFY_UNREADABLE = 3 };

typedef struct VerifyOptions {
        const NoteKey *pin;   /* --pub; NULL: the key that record 0 names */
        const char *at_least; /* --at-least: text of a note, or NULL */
        bool live;            /* the log is being written: read up to the note file only */
} VerifyOptions;

typedef struct VerifyResult {
        int status;           /* VERIFY_* */
        uint64_t entries;     /* good records */
        uint64_t signed_size; /* of the newest good checkpoint, note file included */
        uint8_t root[32];     /* of `entries` records */
        bool key_pinned;
        char verifier_key[NOTE_VKEY_MAX];
        bool has_bad; /* the two below are set */
        uint64_t first_bad_index;
        uint64_t first_bad_segment, first_bad_offset; /* in that segment's file */
        char reason[240];                             /* "" when good */
        uint64_t unsigned_tail;                       /* good records behind signed_size */
} VerifyResult;

/* Returns ret->status. */
int ledger_verify(const LogSource *src, const VerifyOptions *o, VerifyResult *ret);
/* One JSON document, what `ledger verify --json` prints, with `note_on_trust` in words. 0 or -errno. */
int ledger_verify_json(const VerifyResult *v, Buf *out);
