/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/unit-exec.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { ARGV_BYTES_MAX = 128 * 1024 };

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

/* The escapes of systemd.syntax(7). Returns the number of characters read behind the backslash, 0: not an
 * escape. */
static size_t unescape(const char *s, char *ret) {
        static const char from[] = "abfnrtvs\\\"'", to[] = "\a\b\f\n\r\t\v \\\"'";
        const char *p = *s ? strchr(from, *s) : NULL;
        if (p) {
                *ret = to[p - from];
                return 1;
        }
        unsigned v = 0;
        if (*s == 'x' && isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2])) {
                for (int i = 1; i <= 2; i++)
                        v = v * 16 +
                            (unsigned)(isdigit((unsigned char)s[i]) ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10);
                *ret = (char)v;
                return v ? 3 : 0;
        }
        for (int i = 0; i < 3; i++) {
                if (s[i] < '0' || s[i] > '7')
                        return 0;
                v = v * 8 + (unsigned)(s[i] - '0');
        }
        *ret = (char)v;
        return v > 0 && v < 256 ? 3 : 0;
}

typedef struct Word {
        size_t n;        /* bytes in the output */
        bool quoted;     /* any part was quoted: an empty word counts */
        bool all_single; /* the whole of it stood in '..': no $VAR */
} Word;

/* One word from *s into out (at least strlen(*s) + 1 bytes). 1: a word; 0: end; -EINVAL. */
static int next_word(const char **s, char *out, Word *ret, const char **why) {
        const char *p = *s;
        while (is_blank(*p))
                p++;
        if (!*p) {
                *s = p;
                return 0;
        }
        Word w = {.all_single = *p == '\''};
        char quote = 0;
        for (; *p && (quote || !is_blank(*p)); p++) {
                if (quote && *p == quote) {
                        quote = 0;
                        if (p[1] && !is_blank(p[1]))
                                w.all_single = false;
                        continue;
                }
                if (!quote && (*p == '"' || *p == '\'')) {
                        quote = *p;
                        w.quoted = true;
                        if (*p == '"')
                                w.all_single = false;
                        continue;
                }
                if (*p == '\\') {
                        size_t k = unescape(p + 1, &out[w.n]);
                        if (k == 0) {
                                *why = "unknown escape behind a backslash";
                                return -EINVAL;
                        }
                        w.n++;
                        p += k;
                        continue;
                }
                out[w.n++] = *p;
        }
        if (quote) {
                *why = "a quote is not closed";
                return -EINVAL;
        }
        out[w.n] = 0;
        *s = p;
        *ret = w;
        return 1;
}

int words_parse(Arena *a, const char *value, StrList *append_to, const char **why) {
        auto_free char *tmp = malloc(strlen(value) + 1);
        if (!tmp)
                return -ENOMEM;
        StrList l = *append_to;
        for (;;) {
                Word w;
                int r = next_word(&value, tmp, &w, why);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                if (l.n >= EXEC_WORDS_MAX) {
                        *why = "more than 1024 words";
                        return -EINVAL;
                }
                char *item = arena_strndup(a, tmp, w.n);
                if (!item || strlist_push(a, &l, item) < 0)
                        return -ENOMEM;
        }
        *append_to = l;
        return 0;
}

static int check_path(const char *path, const char **why) {
        if (!*path)
                *why = "empty command";
        else if (strchr(path, '/') && path[0] != '/')
                *why = "the program must be an absolute path or a bare name";
        else if (path[strlen(path) - 1] == '/')
                *why = "the program is a directory";
        else
                return 0;
        return -EINVAL;
}

typedef struct Prefixes {
        bool ignore, argv0, no_expand, privileged;
} Prefixes;

static const char *read_prefixes(const char *p, Prefixes *ret) {
        while (is_blank(*p))
                p++;
        for (;; p++) {
                if (*p == '-')
                        ret->ignore = true;
                else if (*p == '@')
                        ret->argv0 = true;
                else if (*p == ':')
                        ret->no_expand = true;
                else if (*p == '+')
                        ret->privileged = true;
                else
                        return p;
        }
}

/* A bare word that a shell would act on, and a program takes as it is. */
static bool for_a_shell(const char *w) {
        static const char *const words[] = {"&&", "||", "|", "&", "<", "<<", "2>&1", "#"};
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strcmp(w, words[i]) == 0)
                        return true;
        return w[0] == '>' || strncmp(w, "1>", 2) == 0 || strncmp(w, "2>", 2) == 0 ||
               strncmp(w, "&>", 2) == 0;
}

int exec_command_parse(Arena *a, const char **line, ExecCommand *ret, const char **why) {
        Prefixes pre = {0};
        const char *p = read_prefixes(*line, &pre);
        auto_free char *tmp = malloc(strlen(p) + 1);
        auto_free bool *literal = calloc(EXEC_WORDS_MAX + 1, sizeof(bool));
        if (!tmp || !literal)
                return -ENOMEM;
        StrList argv = {0};
        const char *shell_word = NULL;
        for (;;) {
                Word w;
                int r = next_word(&p, tmp, &w, why);
                if (r < 0)
                        return r;
                if (r == 0 || (!w.quoted && strcmp(tmp, ";") == 0))
                        break;
                if (argv.n >= EXEC_WORDS_MAX) {
                        *why = "more than 1024 words";
                        return -EINVAL;
                }
                literal[argv.n] = w.all_single;
                char *item = arena_strndup(a, tmp, w.n);
                if (!item || strlist_push(a, &argv, item) < 0)
                        return -ENOMEM;
                if (!shell_word && !w.quoted && for_a_shell(item))
                        shell_word = item;
        }
        while (is_blank(*p))
                p++;
        if (argv.n == 0 || (pre.argv0 && argv.n < 2)) {
                *why = argv.n ? "prefix @ needs a program and its argv[0]" : "empty command";
                return -EINVAL;
        }
        int r = check_path(argv.items[0], why);
        if (r < 0)
                return r;
        unsigned skip = pre.argv0 ? 1 : 0;
        *ret = (ExecCommand){.path = argv.items[0],
                .argv = argv.items + skip,
                .argc = argv.n - skip,
                .literal = arena_alloc(a, argv.n * sizeof(bool)),
                .ignore_failure = pre.ignore,
                .privileged = pre.privileged,
                .shell_word = shell_word,
                .no_expand = pre.no_expand};
        if (!ret->literal)
                return -ENOMEM;
        memcpy(ret->literal, literal + skip, ret->argc * sizeof(bool));
        *line = p;
        return 0;
}

const char *environment_get(char *const *env, const char *name) {
        size_t n = strlen(name);
        for (; env && *env; env++)
                if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
                        return *env + n + 1;
        return NULL;
}

static size_t variable_length(const char *s) {
        size_t n = 0;
        if (!isalpha((unsigned char)s[0]) && s[0] != '_')
                return 0;
        while (isalnum((unsigned char)s[n]) || s[n] == '_')
                n++;
        return n;
}

static const char *variable(char *const *env, const char *name, size_t n) {
        char tmp[128];
        if (n >= sizeof(tmp))
                return "";
        str_copy(tmp, sizeof(tmp), (Str){name, n});
        const char *v = environment_get(env, tmp);
        return v ? v : "";
}

/* ${VAR} and $$ inside one word; the terminating zero too. */
static int expand_word(const char *s, char *const *env, Buf *out) {
        for (; *s; s++) {
                if (s[0] == '$' && s[1] == '{') {
                        size_t n = variable_length(s + 2);
                        if (n > 0 && s[2 + n] == '}') {
                                const char *v = variable(env, s + 2, n);
                                int r = buf_append(out, v, strlen(v));
                                if (r < 0)
                                        return r;
                                s += 2 + n;
                                continue;
                        }
                }
                if (s[0] == '$' && s[1] == '$')
                        s++;
                int r = buf_append(out, s, 1);
                if (r < 0)
                        return r;
        }
        return buf_append(out, "", 1);
}

static int split_blank(const char *v, Buf *out, size_t *count) {
        while (*v) {
                size_t skip = strspn(v, " \t\n");
                v += skip;
                size_t n = strcspn(v, " \t\n");
                if (n == 0)
                        break;
                int r = buf_append(out, v, n);
                if (r == 0)
                        r = buf_append(out, "", 1);
                if (r < 0)
                        return r;
                (*count)++;
                v += n;
        }
        return 0;
}

/* One block: the pointers, then `bytes` of zero-terminated strings. */
static int pack_strings(const Buf *strings, size_t count, char ***ret) {
        size_t head = (count + 1) * sizeof(char *);
        char **v = malloc(head + strings->len);
        if (!v)
                return -ENOMEM;
        char *p = (char *)v + head;
        if (strings->len > 0)
                memcpy(p, strings->data, strings->len);
        for (size_t i = 0; i < count; i++) {
                v[i] = p;
                p += strlen(p) + 1;
        }
        v[count] = NULL;
        *ret = v;
        return 0;
}

int exec_command_expand(const ExecCommand *c, char *const *env, char ***ret) {
        __attribute__((cleanup(buf_done))) Buf b = BUF_INIT(ARGV_BYTES_MAX);
        size_t count = 0;
        for (unsigned i = 0; i < c->argc; i++) {
                const char *w = c->argv[i];
                int r;
                size_t n = variable_length(w + (w[0] == '$'));
                if (c->no_expand || c->literal[i]) {
                        r = buf_append(&b, w, strlen(w) + 1);
                        count++;
                } else if (i > 0 && w[0] == '$' && n > 0 && !w[1 + n]) {
                        r = split_blank(variable(env, w + 1, n), &b, &count);
                } else {
                        r = expand_word(w, env, &b);
                        count++;
                }
                if (r < 0)
                        return r == -ENOBUFS ? -E2BIG : r;
        }
        return pack_strings(&b, count, ret);
}
