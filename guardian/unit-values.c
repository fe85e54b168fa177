/* SPDX-License-Identifier: Apache-2.0 */
/* One parser a kind of value; the key table says which key has which. */
#include "common/buf.h"
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

static const char *specifier_value(KeyContext *c, char which, char *tmp, size_t cap) {
        const UnitConfig *u = c->u;
        switch (which) {
        case 'i':
                return u->instance ? u->instance : "";
        case 'I':
                str_copy(tmp, cap, str_of(u->instance));
                for (char *p = tmp; *p; p++)
                        if (*p == '-')
                                *p = '/';
                return tmp;
        case 'p':
                return u->prefix;
        case 'N':
                return u->name;
        case 'n':
                snprintf(tmp, cap, "%s.chunk", u->name);
                return tmp;
        case 't':
                return c->paths->runtime_dir;
        case 'S':
                return c->paths->state_dir;
        case 'd':
                return u->dir ? u->dir : "/";
        case '%':
                return "%";
        default:
                return NULL;
        }
}

int unit_specifiers(KeyContext *c, const char *s, char **ret) {
        __attribute__((cleanup(buf_done))) Buf b = BUF_INIT(UNIT_LINE_MAX);
        int r = 0;
        for (; *s && r == 0; s++) {
                if (*s != '%') {
                        r = buf_append(&b, s, 1);
                        continue;
                }
                char tmp[160];
                const char *v = s[1] ? specifier_value(c, s[1], tmp, sizeof(tmp)) : NULL;
                if (!v) {
                        HINT(c, "known: %%i %%I %%n %%N %%p %%t %%S %%d, and %%%% for a percent sign");
                        return BAD(c, "unknown specifier '%%%.1s'", s + 1);
                }
                r = buf_append(&b, v, strlen(v));
                s++;
        }
        if (r < 0)
                return r == -ENOBUFS ? BAD(c, "too long with its specifiers put in") : r;
        *ret = arena_strndup(&c->u->arena, (const char *)b.data, b.len);
        return *ret ? 0 : -ENOMEM;
}

KEY_PARSER(text) {
        (void)k;
        char **f = field;
        if (*value)
                return unit_specifiers(c, value, f);
        *f = NULL;
        return 0;
}

KEY_PARSER(user) {
        c->u->user_at = (UnitRef){.file = c->file, .line = c->line};
        return parse_text(c, k, value, field);
}

KEY_PARSER(group) {
        c->u->group_at = (UnitRef){.file = c->file, .line = c->line};
        return parse_text(c, k, value, field);
}

int unit_words(KeyContext *c, const char *value, StrList *words) {
        const char *why = NULL;
        int r = words_parse(&c->u->arena, value, words, &why);
        return r == -EINVAL ? BAD(c, "%s", why) : r;
}

/* Splits and expands a list value; check(word) says what is wrong with one, or NULL. Empty resets. */
static int read_list(KeyContext *c, const char *value, StrList *l, const char *(*check)(const char *word)) {
        StrList words = {0};
        const char *why;
        if (!*value) {
                *l = words;
                return 0;
        }
        int r = unit_words(c, value, &words);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < words.n; i++) {
                char *w;
                r = unit_specifiers(c, words.items[i], &w);
                if (r < 0)
                        return r;
                why = check ? check(w) : NULL;
                if (why)
                        return BAD(c, "'%s': %s", w, why);
                if (l->n >= UNIT_LIST_MAX)
                        return BAD(c, "more than %d entries", UNIT_LIST_MAX);
                r = strlist_push(&c->u->arena, l, w);
                if (r < 0)
                        return r;
        }
        return 0;
}

KEY_PARSER(words) {
        (void)k;
        return read_list(c, value, field, NULL);
}

static const char *check_pattern(const char *w) {
        return pattern_check(w) < 0
                       ? "not an event pattern (dotted lower case, '*' one segment, '**' the rest)"
                       : NULL;
}

KEY_PARSER(patterns) {
        (void)k;
        return read_list(c, value, field, check_pattern);
}

static const char *check_handler(const char *w) {
        return pattern_check(w) < 0 || strchr(w, '*') ? "not a handler name (dotted lower case)" : NULL;
}

KEY_PARSER(handlers) {
        (void)k;
        return read_list(c, value, field, check_handler);
}

static bool variable_name(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char)s[i]) && s[i] != '_')
                        return false;
        return n > 0 && !isdigit((unsigned char)s[0]);
}

static const char *check_variable(const char *w) {
        return variable_name(w, strlen(w)) ? NULL : "not a variable name";
}

KEY_PARSER(names) {
        (void)k;
        return read_list(c, value, field, check_variable);
}

static const char *check_assignment(const char *w) {
        const char *eq = strchr(w, '=');
        return eq && variable_name(w, (size_t)(eq - w)) ? NULL : "not NAME=VALUE";
}

KEY_PARSER(environment) {
        (void)k;
        return read_list(c, value, field, check_assignment);
}

KEY_PARSER(env_files) {
        (void)k;
        StrList *l = field;
        if (!*value) {
                *l = (StrList){0};
                return 0;
        }
        char *path;
        int r = unit_specifiers(c, value, &path);
        if (r < 0)
                return r;
        if (path[path[0] == '-'] != '/')
                return BAD(c, "'%s' is not an absolute path", path);
        c->u->environment_files_at = (UnitRef){.file = c->file, .line = c->line};
        return l->n >= UNIT_LIST_MAX ? BAD(c, "more than %d entries", UNIT_LIST_MAX)
                                     : strlist_push(&c->u->arena, l, path);
}

static const char *check_directory(const char *w) {
        if (!*w || *w == '/')
                return "not a relative name";
        for (const char *p = w; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
                if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || !p[2]))
                        return "'..' is not allowed";
        return NULL;
}

KEY_PARSER(dirs) {
        (void)k;
        return read_list(c, value, field, check_directory);
}

KEY_PARSER(yes_no) {
        (void)k;
        return parse_bool(value, field) < 0 ? BAD(c, "'%s' is not yes or no", value) : 0;
}

KEY_PARSER(duration) {
        uint64_t us;
        if (parse_duration_us(value, &us) < 0) {
                HINT(c, "500ms, 10s, 2min, 1min 30s, infinity");
                return BAD(c, "'%s' is not a duration", value);
        }
        if (k->arg == 1 && us == 0) /* systemd: 0 is no timeout */
                us = UINT64_MAX;
        if (k->arg == 2 && us == UINT64_MAX)
                us = 0;
        *(uint64_t *)field = us;
        return 0;
}

KEY_PARSER(number) {
        uint64_t n;
        if (parse_u64(value, &n) < 0 || n < (uint64_t)k->arg || n > (uint64_t)k->arg2)
                return BAD(c, "'%s' is not a number from %lld to %lld", value, (long long)k->arg,
                        (long long)k->arg2);
        *(unsigned *)field = (unsigned)n;
        return 0;
}

KEY_PARSER(priority) {
        (void)k;
        uint32_t milli = 0;
        const char *p = value;
        while (isdigit((unsigned char)*p) && milli < 10000)
                milli = milli * 10 + (uint32_t)(*p++ - '0');
        milli *= 1000;
        if (p > value && *p == '.') {
                uint32_t scale = 100;
                for (p++; isdigit((unsigned char)*p) && scale > 0; p++, scale /= 10)
                        milli += scale * (uint32_t)(*p - '0');
        }
        if (*p || p == value || milli == 0 || milli > 1000000) {
                HINT(c, "0 is Guardian's own pre-flight, the core set is below 3, the default is 3");
                return BAD(c, "'%s' is not a priority (above 0, up to 1000, three decimals)", value);
        }
        *(uint32_t *)field = milli;
        return 0;
}

static int push_ref(KeyContext *c, UnitRefs *refs, char *name) {
        size_t n = strlen(name);
        if (n > 6 && strcmp(name + n - 6, ".chunk") == 0)
                name[n -= 6] = 0;
        if (!unit_name_valid(name))
                return BAD(c, "'%s' is not a unit name", name);
        if (name[n - 1] == '@') {
                HINT(c, "name an instance: %sNAME", name);
                return BAD(c, "'%s' is a template", name);
        }
        if (refs->n >= UNIT_LIST_MAX)
                return BAD(c, "more than %d entries", UNIT_LIST_MAX);
        UnitRef *items = arena_grow(&c->u->arena, refs->items, refs->n, sizeof(UnitRef));
        if (!items)
                return -ENOMEM;
        refs->items = items;
        items[refs->n++] = (UnitRef){name, c->file, c->line};
        return 0;
}

KEY_PARSER(refs) {
        (void)k;
        UnitRefs *refs = field;
        StrList names = {0};
        if (!*value) {
                *refs = (UnitRefs){0};
                return 0;
        }
        int r = read_list(c, value, &names, NULL);
        for (unsigned i = 0; i < names.n && r == 0; i++)
                r = push_ref(c, refs, names.items[i]);
        return r;
}

KEY_PARSER(heal) {
        (void)k;
        uint32_t *bits = field;
        StrList names = {0};
        if (!*value) {
                *bits = 0;
                return 0;
        }
        int r = read_list(c, value, &names, NULL);
        for (unsigned i = 0; i < names.n && r == 0; i++) {
                int a = healing_action_from_string(str_of(names.items[i]));
                if (a < 0) {
                        const char *all[_HEAL_MAX];
                        for (int j = 0; j < _HEAL_MAX; j++)
                                all[j] = healing_action_to_string(j);
                        if (strchr(names.items[i], ','))
                                HINT(c, "names stand apart by blanks, not commas");
                        else
                                names_hint(names.items[i], all, _HEAL_MAX, c->hint, sizeof(c->hint));
                        return BAD(c, "'%s' is not a healing action", names.items[i]);
                }
                *bits |= UINT32_C(1) << a;
        }
        return r;
}

static const char *check_label(const char *w) {
        const char *eq = strchr(w, '=');
        if (!eq || eq == w || strlen(w) > 190)
                return "not key=value, or longer than 190 bytes";
        for (const char *p = w; p < eq; p++)
                if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && !strchr("_.-", *p))
                        return "the key of a label is lower-case letters, digits, '_', '.' and '-'";
        return NULL;
}

static int compare_labels(const void *a, const void *b) {
        const char *x = *(char *const *)a, *y = *(char *const *)b;
        size_t n = strcspn(x, "="), m = strcspn(y, "=");
        int r = strncmp(x, y, n < m ? n : m);
        return r ? r : (n > m) - (n < m);
}

KEY_PARSER(labels) {
        (void)k;
        StrList *l = field;
        int r = read_list(c, value, l, check_label);
        if (r < 0 || l->n < 2)
                return r;
        qsort(l->items, l->n, sizeof(char *), compare_labels);
        for (unsigned i = 1; i < l->n; i++)
                if (compare_labels(&l->items[i - 1], &l->items[i]) == 0)
                        return BAD(c, "label '%s' stands twice", l->items[i]);
        return 0;
}
