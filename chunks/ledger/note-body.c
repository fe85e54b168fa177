/* SPDX-License-Identifier: Apache-2.0 */
/* jansson stands alone here: its names clash with those of our writer. */
#include "chunks/ledger/note-body.h"
#include <errno.h>
#include <jansson.h>
#include <string.h>

static void json_freep(json_t **j) {
        json_decref(*j);
}
#define auto_json __attribute__((cleanup(json_freep)))

static void copy_string(const json_t *doc, const char *key, char *out, size_t cap) {
        const char *s = json_string_value(json_object_get(doc, key));
        out[0] = 0;
        if (s && strlen(s) < cap)
                strcpy(out, s);
}

int note_of_body(Str body, char out[NOTE_MAX]) {
        auto_json json_t *doc = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
        copy_string(doc, "note", out, NOTE_MAX);
        return out[0] ? 0 : -EBADMSG;
}

int note_key_of_body(Str body, NoteKey *ret) {
        auto_json json_t *doc = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
        char text[NOTE_VKEY_MAX];
        copy_string(doc, "verifier_key", text, sizeof(text));
        return text[0] ? note_key_parse(str_of(text), ret) : -EBADMSG;
}
