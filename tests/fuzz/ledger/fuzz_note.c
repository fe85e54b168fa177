/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a signed note and as a key; what is accepted must be one spelling: signing it again gives the
 * same text. */
#include "chunks/ledger/note.h"
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Note n;
        NoteKey k;
        uint8_t seed[32] = {7};
        char text[NOTE_MAX], vkey[NOTE_VKEY_MAX];
        if (sodium_init() < 0)
                abort();
        if (note_parse((Str){(const char *)data, size}, &n) == 0) {
                const NoteKey *keys[] = {&k};
                note_key_from_seed(&k, n.origin, seed);
                (void)note_verify(&n, &k);
                if (strlen(n.origin) > 0 &&
                        note_sign(keys, 1, n.origin, n.size, n.root, text, sizeof(text)) == 0) {
                        Note again;
                        if (note_parse(str_of(text), &again) < 0 || !note_verify(&again, &k) ||
                                again.size != n.size)
                                abort();
                }
        }
        if (note_key_parse((Str){(const char *)data, size}, &k) == 0 && k.name[0]) {
                NoteKey same;
                if (note_key_parse(str_of(note_key_text(&k, vkey, sizeof(vkey))), &same) < 0 ||
                        !note_key_eq(&k, &same))
                        abort();
        }
        return 0;
}
