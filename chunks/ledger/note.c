/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/note.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define DASH "\xe2\x80\x94 " /* em dash and a blank begin a signature line */
enum { ALGORITHM_ED25519 = 1, BASE64 = sodium_base64_VARIANT_ORIGINAL };

void note_key_from_seed(NoteKey *k, const char *name, const uint8_t seed[32]) {
        memset(k, 0, sizeof(*k));
        str_copy(k->name, sizeof(k->name), str_of(name));
        crypto_sign_seed_keypair(k->pub, k->secret, seed);
}

void note_key_public(NoteKey *k, const char *name, const uint8_t pub[32]) {
        memset(k, 0, sizeof(*k));
        str_copy(k->name, sizeof(k->name), str_of(name));
        memcpy(k->pub, pub, 32);
}

void note_key_id(const NoteKey *k, uint8_t ret[4]) {
        static const uint8_t type[2] = {'\n', ALGORITHM_ED25519};
        uint8_t h[32];
        crypto_hash_sha256_state st;
        crypto_hash_sha256_init(&st);
        crypto_hash_sha256_update(&st, (const uint8_t *)k->name, strlen(k->name));
        crypto_hash_sha256_update(&st, type, sizeof(type));
        crypto_hash_sha256_update(&st, k->pub, 32);
        crypto_hash_sha256_final(&st, h);
        memcpy(ret, h, 4);
}

char *note_key_text(const NoteKey *k, char *out, size_t cap) {
        uint8_t id[4], bytes[33] = {ALGORITHM_ED25519};
        char hex[9], b64[48];
        note_key_id(k, id);
        hex_encode(id, sizeof(id), hex);
        memcpy(bytes + 1, k->pub, 32);
        sodium_bin2base64(b64, sizeof(b64), bytes, sizeof(bytes), BASE64);
        snprintf(out, cap, "%s+%s+%s", k->name, hex, b64);
        return out;
}

/* What the format allows: a name ends at the first blank of a signature line, at the first '+' of a key. */
static bool name_valid(Str s) {
        for (size_t i = 0; i < s.n; i++)
                if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '+' || s.p[i] == 0x7f)
                        return false;
        return s.n > 0;
}

int note_key_parse(Str s, NoteKey *ret) {
        while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == ' '))
                s.n--;
        uint8_t pub[33], id[4], want[4];
        if (s.n == 64 && hex_decode(s.p, 64, pub) == 0) {
                note_key_public(ret, "", pub);
                return 0;
        }
        Str name, rest, hex, b64;
        size_t n = 0;
        if (!str_split(s, '+', &name, &rest) || !str_split(rest, '+', &hex, &b64) || !name_valid(name) ||
                name.n > NOTE_ORIGIN_MAX || hex.n != 8 || hex_decode(hex.p, 8, id) < 0)
                return -EINVAL;
        if (sodium_base642bin(pub, sizeof(pub), b64.p, b64.n, NULL, &n, NULL, BASE64) < 0 ||
                n != sizeof(pub) || pub[0] != ALGORITHM_ED25519)
                return -EINVAL;
        char text[NOTE_ORIGIN_MAX + 1];
        note_key_public(ret, str_copy(text, sizeof(text), name), pub + 1);
        note_key_id(ret, want);
        return memcmp(id, want, 4) == 0 ? 0 : -EINVAL;
}

bool note_key_eq(const NoteKey *a, const NoteKey *b) {
        if (a->name[0] && b->name[0] && strcmp(a->name, b->name) != 0)
                return false;
        return sodium_memcmp(a->pub, b->pub, 32) == 0;
}

int note_sign(const NoteKey *const *keys, size_t n, const char *origin, uint64_t size, const uint8_t root[32],
        char *out, size_t cap) {
        char b64[128];
        for (size_t i = 0; i < n; i++)
                if (!name_valid(str_of(keys[i]->name)))
                        return -EINVAL; /* nobody could read the signature back */
        sodium_bin2base64(b64, sizeof(b64), root, 32, BASE64);
        int text = snprintf(out, cap, "%s\n%llu\n%s\n", origin, (unsigned long long)size, b64);
        if (text < 0 || (size_t)text + 1 >= cap)
                return -EMSGSIZE;
        size_t at = (size_t)text;
        at += (size_t)snprintf(out + at, cap - at, "\n");
        for (size_t i = 0; i < n; i++) {
                uint8_t bytes[4 + 64];
                note_key_id(keys[i], bytes);
                crypto_sign_detached(bytes + 4, NULL, (const uint8_t *)out, (size_t)text, keys[i]->secret);
                sodium_bin2base64(b64, sizeof(b64), bytes, sizeof(bytes), BASE64);
                int r = snprintf(out + at, cap - at, DASH "%s %s\n", keys[i]->name, b64);
                if (r < 0 || (size_t)r >= cap - at)
                        return -EMSGSIZE;
                at += (size_t)r;
        }
        return 0;
}

/* Cuts the first line (without its newline) off *s; false when there is no newline left. */
static bool line(Str *s, Str *ret) {
        const char *nl = s->n > 0 ? memchr(s->p, '\n', s->n) : NULL;
        if (!nl)
                return false;
        *ret = (Str){s->p, (size_t)(nl - s->p)};
        s->n -= ret->n + 1;
        s->p = nl + 1;
        return true;
}

static int parse_size_line(Str s, uint64_t *ret) {
        char text[24], back[24];
        if (s.n == 0 || s.n > 20 || memchr(s.p, 0, s.n))
                return -EBADMSG;
        str_copy(text, sizeof(text), s);
        if (parse_u64(text, ret) < 0)
                return -EBADMSG;
        snprintf(back, sizeof(back), "%llu", (unsigned long long)*ret);
        return strcmp(text, back) == 0 ? 0 : -EBADMSG; /* one spelling of a number */
}

static int parse_signature(Str l, Note *ret) {
        Str name, b64;
        uint8_t bytes[4 + 64];
        size_t n = 0;
        if (l.n <= sizeof(DASH) - 1 || memcmp(l.p, DASH, sizeof(DASH) - 1) != 0)
                return -EBADMSG;
        l.p += sizeof(DASH) - 1;
        l.n -= sizeof(DASH) - 1;
        if (!str_split(l, ' ', &name, &b64) || name.n == 0)
                return -EBADMSG;
        if (sodium_base642bin(bytes, sizeof(bytes), b64.p, b64.n, NULL, &n, NULL, BASE64) < 0 ||
                n != sizeof(bytes) || ret->n_signatures == NOTE_SIGNATURES_MAX)
                return 0; /* of a kind we don't know: the format says skip it */
        memcpy(ret->signatures[ret->n_signatures].key_id, bytes, 4);
        memcpy(ret->signatures[ret->n_signatures].signature, bytes + 4, 64);
        ret->signatures[ret->n_signatures++].name = name;
        return 0;
}

int note_parse(Str s, Note *ret) {
        Str origin, size, root, l, all = s;
        size_t n = 0;
        memset(ret, 0, sizeof(*ret));
        if (s.n == 0 || s.n > NOTE_MAX || !str_utf8_valid(s) || !line(&s, &origin) || !line(&s, &size) ||
                !line(&s, &root))
                return -EBADMSG;
        if (origin.n == 0 || origin.n > NOTE_ORIGIN_MAX || parse_size_line(size, &ret->size) < 0)
                return -EBADMSG;
        if (sodium_base642bin(ret->root, 32, root.p, root.n, NULL, &n, NULL, BASE64) < 0 || n != 32)
                return -EBADMSG;
        str_copy(ret->origin, sizeof(ret->origin), origin);
        ret->text = (Str){all.p, all.n - s.n};
        if (!line(&s, &l) || l.n != 0)
                return -EBADMSG;
        while (s.n > 0)
                if (!line(&s, &l) || parse_signature(l, ret) < 0)
                        return -EBADMSG;
        return 0;
}

bool note_verify(const Note *n, const NoteKey *k) {
        uint8_t id[4];
        NoteKey named = *k;
        if (!named.name[0])
                str_copy(named.name, sizeof(named.name), str_of(n->origin));
        note_key_id(&named, id);
        for (size_t i = 0; i < n->n_signatures; i++)
                if (str_eq(n->signatures[i].name, named.name) &&
                        memcmp(n->signatures[i].key_id, id, 4) == 0 &&
                        crypto_sign_verify_detached(n->signatures[i].signature, (const uint8_t *)n->text.p,
                                n->text.n, named.pub) == 0)
                        return true;
        return false;
}
