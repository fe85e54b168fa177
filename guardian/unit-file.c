/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit files through inih. The packaged library cuts lines at 200 bytes, takes " ;" for a comment and tells
 * no line numbers. So its reader callback is ours: it sorts the raw lines out (comments, sections,
 * continuations, form), hands every assignment over as a line `Key=` and then the value in pieces, as
 * continuation lines that begin and end with a marker (so that nothing is stripped) and hold no ';' (it
 * travels as the byte 1, which no unit file may hold). The handler joins them again.
 */
#include "guardian/unit-keys.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <string.h>

enum { NAME_MAX_BYTES = 48, SEMICOLON = 1 };

typedef struct Reader {
        const char *p, *end;
        unsigned line, start_line; /* lines read; first line of the assignment in hand */
        const char *file;
        Problems *problems;
        Buf logical; /* value of the assignment in hand */
        size_t sent;
        bool pending, in_section;
        unsigned keys;
        int stop;   /* < 0: error, > 0: the callback's wish or a bound */
        Buf joined; /* value as the handler has it so far */
        IniAssign cb;
        void *user;
} Reader;

#define FORM_PROBLEM(r, l, code, hint, ...)                                                                  \
        problem_add((r)->problems, PROBLEM_ERROR, (r)->file, (l), 0, (code), (hint), __VA_ARGS__)

/* A raw line without its end; false at the end of the text. */
static bool raw_line(Reader *r, Str *ret) {
        if (r->p >= r->end)
                return false;
        const char *nl = memchr(r->p, '\n', (size_t)(r->end - r->p));
        const char *e = nl ? nl : r->end;
        *ret = (Str){r->p, (size_t)(e - r->p)};
        r->p = nl ? nl + 1 : r->end;
        r->line++;
        return true;
}

static Str trim(Str s) {
        while (s.n > 0 && isspace((unsigned char)s.p[0]))
                s = (Str){s.p + 1, s.n - 1};
        while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
                s.n--;
        return s;
}

/* Control bytes have no business in a unit file; the first is named. */
static bool bytes_good(Reader *r, Str s) {
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.p[i];
                if (c >= 0x20 || c == '\t' || (c == '\r' && i + 1 == s.n))
                        continue;
                problem_add(r->problems, PROBLEM_ERROR, r->file, r->line, (unsigned)i + 1,
                        c ? "control-byte" : "nul-byte", "unit files are plain UTF-8 text",
                        "byte 0x%02x in the line", c);
                return false;
        }
        return true;
}

static bool name_good(Str s) {
        if (s.n == 0 || s.n > NAME_MAX_BYTES)
                return false;
        for (size_t i = 0; i < s.n; i++)
                if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
                        return false;
        return true;
}

static void take_section(Reader *r, Str s, char *out, int num) {
        Str name = {s.p + 1, s.n - 1};
        if (name.n == 0 || name.p[name.n - 1] != ']' || !name_good((Str){name.p, name.n - 1})) {
                FORM_PROBLEM(r, r->line, "bad-section", "a section is [Name] on a line of its own",
                        "malformed section line");
                r->in_section = false;
                return;
        }
        name.n--;
        r->in_section = true;
        snprintf(out, (size_t)num, "[%.*s]\n", (int)name.n, name.p);
        char section[NAME_MAX_BYTES + 1];
        str_copy(section, sizeof(section), name);
        int k = r->cb(r->user, section, NULL, NULL, r->line);
        if (k != 0)
                r->stop = k;
}

/* Appends the continuation lines of an assignment; comment lines between them are skipped. */
static int join_continuations(Reader *r, Str first) {
        Str part = first;
        for (;;) {
                bool more = part.n > 0 && part.p[part.n - 1] == '\\';
                if (more)
                        part.n--;
                int k = buf_append(&r->logical, part.p, part.n);
                if (k < 0 || !more)
                        return k;
                k = buf_append(&r->logical, " ", 1);
                if (k < 0)
                        return k;
                Str raw;
                do {
                        if (!raw_line(r, &raw) || !bytes_good(r, raw))
                                return 0;
                        part = trim(raw);
                } while (part.n > 0 && (part.p[0] == '#' || part.p[0] == ';'));
        }
}

/* "Key=Value": fills `out` and leaves the value pending. False: a problem was reported, go on. */
static bool take_assignment(Reader *r, Str s, char *out, int num) {
        Str key, value;
        if (!str_split(s, '=', &key, &value)) {
                FORM_PROBLEM(r, r->line, "no-assignment", "a line is Key=Value, [Section] or a # comment",
                        "no '=' in '%.*s'", (int)(s.n > 60 ? 60 : s.n), s.p);
                return false;
        }
        key = trim(key);
        r->start_line = r->line;
        buf_consume(&r->logical, r->logical.len);
        int k = join_continuations(r, trim(value));
        if (k == -ENOBUFS) {
                FORM_PROBLEM(r, r->start_line, "line-too-long",
                        "split it over several assignments of a list key", "value longer than %d bytes",
                        UNIT_LINE_MAX);
                return false;
        }
        if (k < 0) {
                r->stop = k;
                return false;
        }
        if (!name_good(key)) {
                FORM_PROBLEM(r, r->start_line, "bad-key", "keys are letters, digits, '-' and '_'",
                        "malformed key '%.*s'", (int)(key.n > 60 ? 60 : key.n), key.p);
                return false;
        }
        if (!r->in_section) {
                FORM_PROBLEM(r, r->start_line, "no-section", "begin with [Unit], [Chunk] or [Service]",
                        "key '%.*s' stands in no section", (int)key.n, key.p);
                return false;
        }
        if (++r->keys > UNIT_KEYS_MAX) {
                FORM_PROBLEM(r, r->start_line, "too-many-keys", NULL, "more than %d keys, reading ends here",
                        UNIT_KEYS_MAX);
                r->stop = 1;
                return false;
        }
        snprintf(out, (size_t)num, "%.*s=\n", (int)key.n, key.p);
        r->pending = true;
        r->sent = 0;
        return true;
}

static char *send_piece(Reader *r, char *out, int num) {
        size_t left = r->logical.len - r->sent, room = (size_t)num - 8;
        size_t n = left < room ? left : room;
        char *o = out;
        *o++ = ' ';
        *o++ = n == left ? '.' : '+';
        for (size_t i = 0; i < n; i++) {
                char c = (char)r->logical.data[r->sent + i];
                *o++ = c == ';' ? SEMICOLON : c;
        }
        memcpy(o, "|\n", 3);
        r->sent += n;
        r->pending = n < left;
        return out;
}

/* inih's reader: fgets-like. */
static char *read_line(char *out, int num, void *user) {
        Reader *r = user;
        if (r->stop)
                return NULL;
        if (r->pending)
                return send_piece(r, out, num);
        Str raw;
        while (!r->stop && raw_line(r, &raw)) {
                if (!bytes_good(r, raw))
                        continue;
                Str s = trim(raw);
                if (s.n == 0 || s.p[0] == '#' || s.p[0] == ';')
                        continue;
                *out = 0;
                if (s.p[0] == '[')
                        take_section(r, s, out, num);
                else
                        take_assignment(r, s, out, num);
                if (*out)
                        return out;
        }
        return NULL;
}

/* inih's handler: 1 is good. */
static int take_value(void *user, const char *section, const char *name, const char *value) {
        Reader *r = user;
        size_t n = strlen(value);
        if (n == 0) {
                buf_consume(&r->joined, r->joined.len);
                return 1;
        }
        for (size_t i = 1; i + 1 < n && !r->stop; i++) {
                char c = value[i] == SEMICOLON ? ';' : value[i];
                int k = buf_append(&r->joined, &c, 1);
                if (k < 0)
                        r->stop = k;
        }
        if (value[0] != '.' || r->stop)
                return 1;
        int k = buf_append(&r->joined, "", 1);
        if (k == 0)
                k = r->cb(r->user, section, name, (const char *)r->joined.data, r->start_line);
        if (k != 0)
                r->stop = k;
        return 1;
}

int ini_read(Str text, const char *file, IniAssign cb, void *user, Problems *problems) {
        if (text.n > UNIT_FILE_MAX) {
                problem_add(problems, PROBLEM_ERROR, file, 0, 0, "file-too-large", NULL,
                        "file larger than %d bytes", UNIT_FILE_MAX);
                return 0;
        }
        if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
                text = (Str){text.p + 3, text.n - 3};
        Reader r = {.p = text.p,
                .end = text.p + text.n,
                .file = file,
                .problems = problems,
                .logical = BUF_INIT(UNIT_LINE_MAX),
                .joined = BUF_INIT(UNIT_LINE_MAX + 1),
                .cb = cb,
                .user = user};
        int k = ini_parse_stream(read_line, &r, take_value, &r);
        buf_done(&r.logical);
        buf_done(&r.joined);
        if (k < 0) /* -2: inih's memory */
                return -ENOMEM;
        if (k > 0 && r.stop == 0)
                problem_add(problems, PROBLEM_ERROR, file, 0, 0, "bad-form", NULL,
                        "the file cannot be read as INI");
        return r.stop == 1 ? 0 : r.stop;
}

static int assign(void *user, const char *section, const char *key, const char *value, unsigned line) {
        KeyContext *c = user;
        c->line = line;
        return unit_key_assign(c, section, key, value);
}

int unit_file_parse(
        UnitConfig *u, Str text, const char *file, bool drop_in, const UnitPaths *paths, Problems *problems) {
        KeyContext c = {.u = u, .drop_in = drop_in, .paths = paths, .problems = problems};
        c.file = arena_strndup(&u->arena, file, strlen(file));
        if (!c.file)
                return -ENOMEM;
        return ini_read(text, c.file, assign, &c, problems);
}
