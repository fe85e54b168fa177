/* SPDX-License-Identifier: Apache-2.0 */
/* Parsers of the values of [Service], [Health] and [Sandbox]. */
#include "common/cleanup.h"
#include "common/signals.h"
#include "guardian/unit-exec.h"
#include "guardian/unit-keys.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define BAD(c, ...)                                                                                          \
        ({                                                                                                   \
                snprintf((c)->why, sizeof((c)->why), __VA_ARGS__);                                           \
                -EINVAL;                                                                                     \
        })
#define HINT(c, ...) snprintf((c)->hint, sizeof((c)->hint), __VA_ARGS__)

/* Index of a word in a list, or -EINVAL with the words as hint. `later`: known words that cannot act yet. */
static int choose(KeyContext *c, const char *value, const char *const *words, unsigned n, const char *later) {
        size_t used = 0;
        for (unsigned i = 0; i < n; i++)
                if (strcmp(words[i], value) == 0)
                        return (int)i;
        char word[80];
        snprintf(word, sizeof(word), " %.70s ", value);
        if (later && strstr(later, word)) {
                HINT(c, "comes with a later version");
                return BAD(c, "'%s' cannot act in this version", value);
        }
        used += (size_t)HINT(c, "one of:");
        for (unsigned i = 0; i < n && used < sizeof(c->hint); i++)
                used += (size_t)snprintf(c->hint + used, sizeof(c->hint) - used, " %s", words[i]);
        return BAD(c, "'%.80s' is not known here", value);
}

#define CHOOSE(c, value, later, ...)                                                                         \
        ({                                                                                                   \
                static const char *const words_[] = {__VA_ARGS__};                                           \
                choose((c), (value), words_, ELEMENTSOF(words_), (later));                                   \
        })

KEY_PARSER(type) {
        (void)k;
        int v = CHOOSE(c, value, " notify-fd forking ", "exec", "simple", "notify", "oneshot", "chunk");
        if (v >= 0)
                *(ServiceType *)field = (ServiceType)v;
        return v < 0 ? v : 0;
}

KEY_PARSER(restart) {
        (void)k;
        int v = CHOOSE(c, value, NULL, "no", "on-success", "on-failure", "on-abnormal", "on-watchdog",
                "on-abort", "always");
        if (v >= 0)
                *(RestartPolicy *)field = (RestartPolicy)v;
        return v < 0 ? v : 0;
}

KEY_PARSER(jitter) {
        (void)k;
        int v = CHOOSE(c, value, NULL, "none", "full");
        if (v >= 0)
                *(bool *)field = v == 1;
        return v < 0 ? v : 0;
}

KEY_PARSER(kill_mode) {
        (void)k;
        int v = CHOOSE(c, value, NULL, "control-group", "mixed", "process");
        if (v >= 0)
                *(KillMode *)field = (KillMode)v;
        return v < 0 ? v : 0;
}

KEY_PARSER(notify) {
        (void)k;
        int v = CHOOSE(c, value, NULL, "none", "main", "exec", "all");
        if (v >= 0)
                *(NotifyAccess *)field = (NotifyAccess)(v + NOTIFY_NONE);
        return v < 0 ? v : 0;
}

KEY_PARSER(profile) {
        (void)k;
        int v = CHOOSE(c, value, " strict standard rootless observer ", "auto", "none");
        if (v >= 0)
                *(SandboxProfile *)field = (SandboxProfile)(v + PROFILE_AUTO);
        return v < 0 ? v : 0;
}

/* Legal, as in systemd, and hardly ever meant. */
static void say_no_shell(KeyContext *c, const KeyInfo *k, const char *word) {
        problem_add(c->problems, PROBLEM_WARNING, c->file, c->line, 0, "shell-word",
                strcmp(word, "#") == 0
                        ? "a comment needs a line of its own"
                        : "there is no shell: /bin/sh -c '...' runs one, quotes make it a word",
                "%s=: '%s' goes to the program as it stands", k->key, word);
}

KEY_PARSER(exec) {
        ExecCommands *l = field;
        const char *why = NULL;
        if (!*value) {
                *l = (ExecCommands){0};
                return 0;
        }
        do {
                ExecCommand cmd;
                int r = exec_command_parse(&c->u->arena, &value, &cmd, &why);
                if (r < 0)
                        return r == -EINVAL ? BAD(c, "%s", why) : r;
                cmd.file = c->file;
                cmd.line = c->line;
                if (cmd.shell_word)
                        say_no_shell(c, k, cmd.shell_word);
                r = unit_specifiers(c, cmd.path, &cmd.path);
                for (unsigned i = 0; i < cmd.argc && r == 0; i++)
                        r = unit_specifiers(c, cmd.argv[i], &cmd.argv[i]);
                if (r < 0)
                        return r;
                if (l->n >= UNIT_LIST_MAX)
                        return BAD(c, "more than %d commands", UNIT_LIST_MAX);
                ExecCommand *items = arena_grow(&c->u->arena, l->items, l->n, sizeof(ExecCommand));
                if (!items)
                        return -ENOMEM;
                l->items = items;
                items[l->n++] = cmd;
        } while (*value);
        return 0;
}

KEY_PARSER(exit_set) {
        (void)k;
        ExitSet *s = field;
        StrList words = {0};
        if (!*value) {
                *s = (ExitSet){0};
                return 0;
        }
        int r = unit_words(c, value, &words);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < words.n; i++) {
                uint64_t n;
                const char *w = words.items[i];
                int sig = -1;
                if (parse_u64(w, &n) == 0 && n < 256)
                        s->codes[n / 64] |= UINT64_C(1) << (n % 64);
                else if (!isdigit((unsigned char)*w) && (sig = signal_from_string(w)) > 0 && sig < 64)
                        s->signals |= UINT64_C(1) << sig;
                else
                        return BAD(c, "'%s' is neither an exit status (0 to 255) nor a signal name", w);
        }
        s->set = true;
        return 0;
}

KEY_PARSER(signal) {
        (void)k;
        int sig = signal_from_string(value);
        if (sig < 0)
                return BAD(c, "'%s' is not a signal", value);
        *(int *)field = sig;
        return 0;
}

KEY_PARSER(cwd) {
        (void)k;
        (void)field;
        char *path;
        int r = unit_specifiers(c, value, &path);
        if (r < 0)
                return r;
        c->u->working_directory_optional = path[0] == '-';
        path += path[0] == '-';
        if (path[0] != '/')
                return BAD(c, "'%s' is not an absolute path", path);
        c->u->working_directory = path;
        c->u->working_directory_at = (UnitRef){.file = c->file, .line = c->line};
        return 0;
}

KEY_PARSER(umask) {
        (void)k;
        (void)field;
        unsigned m = 0;
        for (const char *p = value; *p; p++) {
                if (*p < '0' || *p > '7' || m > 0777)
                        return BAD(c, "'%s' is not an octal mask up to 0777", value);
                m = m * 8 + (unsigned)(*p - '0');
        }
        if (m > 0777)
                return BAD(c, "'%s' is not an octal mask up to 0777", value);
        c->u->umask = m;
        c->u->umask_set = true;
        return 0;
}

static int read_signed(KeyContext *c, const char *value, int low, int high, int *ret) {
        uint64_t n;
        bool minus = value[0] == '-';
        const char *digits = value + (minus || value[0] == '+');
        if (parse_u64(digits, &n) < 0 || n > 10000 || (minus ? -(int)n : (int)n) < low ||
                (minus ? -(int)n : (int)n) > high)
                return BAD(c, "'%s' is not a number from %d to %d", value, low, high);
        *ret = minus ? -(int)n : (int)n;
        return 0;
}

KEY_PARSER(nice) {
        (void)k;
        (void)field;
        int r = read_signed(c, value, -20, 19, &c->u->nice);
        c->u->nice_set = r == 0;
        return r;
}

KEY_PARSER(oom) {
        (void)k;
        (void)field;
        int r = read_signed(c, value, -1000, 1000, &c->u->oom_score_adjust);
        c->u->oom_set = r == 0;
        return r;
}

static int read_limit(KeyContext *c, int64_t kind, const char *s, rlim_t *ret) {
        uint64_t v;
        int r = kind == 0 ? parse_size(s, &v) : parse_duration_us(s, &v);
        if (r < 0)
                return BAD(c, "'%s' is not a %s", s,
                        kind == 0 ? "number, size or 'infinity'" : "duration or 'infinity'");
        if (v != UINT64_MAX && kind == 1)
                v = v / 1000000 + (v % 1000000 != 0);
        *ret = v == UINT64_MAX ? RLIM_INFINITY : (rlim_t)v;
        return 0;
}

KEY_PARSER(limit) {
        (void)field;
        UnitLimit l = {.resource = (int)k->arg};
        char tmp[128];
        Str soft, hard;
        bool pair = str_split(str_of(value), ':', &soft, &hard);
        int r = read_limit(c, k->arg2, str_copy(tmp, sizeof(tmp), soft), &l.soft);
        if (r == 0 && pair)
                r = read_limit(c, k->arg2, str_copy(tmp, sizeof(tmp), hard), &l.hard);
        if (r < 0)
                return r;
        if (!pair)
                l.hard = l.soft;
        if (l.hard != RLIM_INFINITY && (l.soft == RLIM_INFINITY || l.soft > l.hard))
                return BAD(c, "the soft limit is above the hard limit");
        unsigned i = 0;
        while (i < c->u->n_limits && c->u->limits[i].resource != l.resource)
                i++;
        if (i == c->u->n_limits) { /* at most one a resource, there are 16 keys */
                UnitLimit *grown = arena_grow(&c->u->arena, c->u->limits, c->u->n_limits, sizeof(l));
                if (!grown)
                        return -ENOMEM;
                c->u->limits = grown;
                c->u->n_limits++;
        }
        c->u->limits[i] = l;
        return 0;
}

KEY_PARSER(output) {
        (void)k;
        OutputSpec *o = field;
        static const char *const words[] = {"log", "inherit", "null", "file:PATH", "append:PATH"};
        if (o == &c->u->err)
                c->u->err_given = true;
        bool file = strncmp(value, "file:", 5) == 0, append = strncmp(value, "append:", 7) == 0;
        if (!file && !append) {
                int v = choose(c, value, words, 3, NULL);
                if (v < 0)
                        return choose(c, value, words, ELEMENTSOF(words), NULL);
                *o = (OutputSpec){(OutputKind)v, NULL};
                return 0;
        }
        o->kind = file ? OUTPUT_FILE : OUTPUT_APPEND;
        int r = unit_specifiers(c, value + (file ? 5 : 7), &o->path);
        if (r == 0 && o->path[0] != '/')
                return BAD(c, "'%s' is not an absolute path", o->path);
        return r;
}

KEY_PARSER(probe) {
        (void)k;
        ProbeConfig *p = field;
        char *text;
        const char *why = NULL;
        if (strcmp(value, "pipe") == 0) {
                HINT(c, "WatchdogSec= watches a chunk's pipe");
                return BAD(c, "'pipe' cannot act in this version");
        }
        int r = unit_specifiers(c, value, &text);
        if (r < 0)
                return r;
        p->text = p->path = NULL;
        r = probe_parse(text, p, &why);
        auto_free char *owned = p->text; /* everything of a unit lives in its arena */
        auto_free char *owned_path = p->path;
        p->text = owned ? arena_strndup(&c->u->arena, owned, strlen(owned)) : NULL;
        p->path = owned_path ? arena_strndup(&c->u->arena, owned_path, strlen(owned_path)) : NULL;
        if (r < 0)
                return r == -EINVAL ? BAD(c, "%s", why) : r;
        if (!p->text || (owned_path && !p->path))
                return -ENOMEM;
        if (p->type != PROBE_EXEC)
                return 0;
        ExecCommand cmd;
        const char *line = p->text;
        r = exec_command_parse(&c->u->arena, &line, &cmd, &why);
        if (r == -EINVAL || *line)
                return BAD(c, "%s", r < 0 ? why : "one command only");
        return r;
}
