/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Checkpoints as C2SP signed notes (c2sp.org/tlog-checkpoint, c2sp.org/signed-note): three lines (origin,
 * tree size, base64 root), an empty line, and one line "\xe2\x80\x94 NAME base64(key id || Ed25519
 * signature)" a key. Key id = SHA-256(NAME || "\n" || 0x01 || public key), its first 4 bytes. The key's name
 * is the log's origin.
 */
#include "common/str.h"
#include <stdbool.h>
#include <stdint.h>

enum { NOTE_MAX = 2048, NOTE_ORIGIN_MAX = 96, NOTE_SIGNATURES_MAX = 4, NOTE_VKEY_MAX = 192 };

typedef struct NoteKey {
        char name[NOTE_ORIGIN_MAX + 1];
        uint8_t pub[32];
        uint8_t secret[64]; /* libsodium's form; zeros in a key that only verifies */
} NoteKey;
/* From a 32-byte seed. */
void note_key_from_seed(NoteKey *k, const char *name, const uint8_t seed[32]);
void note_key_public(NoteKey *k, const char *name, const uint8_t pub[32]);
void note_key_id(const NoteKey *k, uint8_t ret[4]);
/* "NAME+hex key id+base64(0x01 || public key)", the verifier key of the format. cap >= NOTE_VKEY_MAX. Returns
 * out. */
char *note_key_text(const NoteKey *k, char *out, size_t cap);
/* Of that text (a trailing newline is fine), or of 64 hex digits (then name is empty). 0 or -EINVAL. */
int note_key_parse(Str s, NoteKey *ret);
/* Names the same public key (names are compared when both have one). */
bool note_key_eq(const NoteKey *a, const NoteKey *b);

/* Signs; n keys give n signature lines. 0, -EMSGSIZE; -EINVAL: a key's name is empty or has a blank or '+'.
 */
int note_sign(const NoteKey *const *keys, size_t n, const char *origin, uint64_t size, const uint8_t root[32],
        char *out, size_t cap);

typedef struct Note {
        char origin[NOTE_ORIGIN_MAX + 1];
        uint64_t size;
        uint8_t root[32];
        Str text; /* what is signed, into the parsed bytes */
        size_t n_signatures;
        struct {
                Str name;
                uint8_t key_id[4], signature[64];
        } signatures[NOTE_SIGNATURES_MAX]; /* of type Ed25519; lines of unknown length are skipped */
} Note;
/* 0, or -EBADMSG. Says nothing about signatures. */
int note_parse(Str s, Note *ret);
/* True when one of its signatures is by that key. */
bool note_verify(const Note *n, const NoteKey *k);
