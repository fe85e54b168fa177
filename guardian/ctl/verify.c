/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `guardianctl ledger verify`: its exit status is the verifier's own (0 good, 1 broken, 2 good up to a tail,
 * 3 cannot read), and with --json the document is printed whatever the status is.
 */
#include "chunks/ledger/verify.h"
#include "common/cleanup.h"
#include "common/json/json-read.h"
#include "guardian/ctl/offline.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>

/* A small file, or standard input for "-". Bytes read (NUL terminated), or -errno. */
static int read_small(const char *path, char *out, size_t cap) {
        auto_close int own = strcmp(path, "-") == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : own;
        size_t at = 0;
        if (fd < 0)
                return -errno;
        while (at < cap - 1) {
                ssize_t n = read(fd, out + at, cap - 1 - at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                at += (size_t)n;
        }
        out[at] = 0;
        return at == cap - 1 ? -EFBIG : (int)at;
}

/* The "verifier_key:" line of what `ledger key` prints for people. */
static bool printed_key(const char *text, Str *ret) {
        static const char name[] = "verifier_key:";
        for (const char *p = text;; p++) {
                if (strncmp(p, name, strlen(name)) == 0) {
                        p += strlen(name) + strspn(p + strlen(name), " ");
                        *ret = (Str){p, strcspn(p, " \r\n")};
                        return true;
                }
                p = strchr(p, '\n');
                if (!p)
                        return false;
        }
}

/* The text itself, or a file that holds it, alone or as `ledger key` prints it, with --json or without. */
static int load_key(Ctl *c, const char *arg, NoteKey *key) {
        char text[4096];
        auto_json json_t *d = NULL;
        if (note_key_parse(str_of(arg), key) == 0)
                return CTL_OK;
        int n = read_small(arg, text, sizeof(text));
        if (n < 0)
                return ctl_fail(c, CTL_UNREACHABLE, "--pub %s: neither a key nor a file that can be read: %s",
                        arg, strerror(-n));
        if (json_read(str_of(text), 0, &d, NULL, 0) == 0 && json_get_str(d, "verifier_key", NULL))
                str_copy(text, sizeof(text), str_of(json_get_str(d, "verifier_key", "")));
        Str line = str_of(text);
        if (note_key_parse(printed_key(text, &line) ? line : str_of(text), key) < 0)
                return ctl_fail(c, CTL_USAGE,
                        "--pub %s: no key in it; a key is NAME+ID+BASE64 (guardianctl ledger key) or 64 hex "
                        "digits",
                        arg);
        return CTL_OK;
}

/* A note file, or the JSON document of `ledger head` or `ledger checkpoint`. */
static int load_note(Ctl *c, const char *arg, char *text, size_t cap) {
        auto_json json_t *d = NULL;
        int n = read_small(arg, text, cap);
        if (n < 0)
                return ctl_fail(c, CTL_UNREACHABLE, "--at-least %s: %s", arg, strerror(-n));
        if (json_read(str_of(text), 0, &d, NULL, 0) == 0 && json_get_str(d, "note", NULL))
                str_copy(text, cap, str_of(json_get_str(d, "note", "")));
        return CTL_OK;
}

/* While a ledger writes, only what its note covers is judged; a ledger that starts meanwhile is noticed at
 * the end. */
static void verify_files(Ctl *c, VerifyOptions *o, VerifyResult *v, char path[static LOG_FILES_PATH_MAX]) {
        LogFiles f;
        int r = log_files_open(&f, offline_state(c));
        str_copy(path, LOG_FILES_PATH_MAX, str_of(f.path));
        if (r < 0) {
                memset(v, 0, sizeof(*v));
                v->status = VERIFY_UNREADABLE;
                snprintf(v->reason, sizeof(v->reason), "%.150s: %s%s", f.path, strerror(-r),
                        r == -EACCES ? OFFLINE_DENIED : "");
                return;
        }
        o->live = log_files_live(&f);
        ledger_verify(&f.src, o, v);
        if (v->status != VERIFY_GOOD && !o->live && log_files_live(&f)) {
                o->live = true;
                ledger_verify(&f.src, o, v);
        }
        log_files_close(&f);
}

static void print_result(const VerifyResult *v, const VerifyOptions *o, const char *path) {
        static const char *const words[] = {"good", "BROKEN", "good up to a tail", "cannot be read"};
        printf("%s: %llu record%s, %llu signed%s\n", words[v->status], (unsigned long long)v->entries,
                v->entries == 1 ? "" : "s", (unsigned long long)v->signed_size,
                o->live ? " (being written: read up to its last note)" : "");
        printf("log:  %s\n", path);
        if (v->reason[0])
                printf("reason: %s\n", v->reason);
        if (v->has_bad)
                printf("first bad: record %llu, %020llu.seg at byte %llu\n",
                        (unsigned long long)v->first_bad_index, (unsigned long long)v->first_bad_segment,
                        (unsigned long long)v->first_bad_offset);
        if (v->status == VERIFY_UNREADABLE)
                return;
        char root[65];
        hex_encode(v->root, sizeof(v->root), root);
        if (v->entries > 0)
                printf("root: %s\n", root);
        if (v->verifier_key[0])
                printf("key:  %s\n", v->verifier_key);
        printf("%s\n", v->key_pinned ? "The signatures were checked against the key given."
                       : o->pin ? "Nothing was checked against the key given with --pub: it does not match,\n"
                                  "or record 0, which names the key of the log, cannot be read."
                                : "Only self-consistency was shown: the key was taken from the log itself.\n"
                                  "Keep `guardianctl ledger key` elsewhere and give it with --pub.");
}

int offline_verify(Ctl *c, const char *pin, const char *note) {
        char text[8192], path[LOG_FILES_PATH_MAX];
        NoteKey key;
        VerifyOptions o = {0};
        VerifyResult v;
        if (sodium_init() < 0)
                return ctl_fail(c, VERIFY_UNREADABLE, "libsodium cannot be used");
        int r = pin ? load_key(c, pin, &key) : CTL_OK;
        if (r == CTL_OK && note)
                r = load_note(c, note, text, sizeof(text));
        if (r != CTL_OK)
                return r;
        o.pin = pin ? &key : NULL;
        o.at_least = note ? text : NULL;
        verify_files(c, &o, &v, path);
        if (c->json) {
                Buf out = BUF_INIT(16 * 1024);
                if (ledger_verify_json(&v, &out) == 0)
                        ctl_print_body(c, (Str){(char *)out.data, out.len});
                buf_done(&out);
        } else if (!c->quiet) {
                print_result(&v, &o, path);
        }
        return v.status;
}
