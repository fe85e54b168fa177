/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/template.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum TemplateKind { TEMPLATE_CONSTANT, TEMPLATE_TEXT, TEMPLATE_LIST, TEMPLATE_MAP } TemplateKind;
typedef struct TemplatePart {
        char *literal; /* NULL: an expression */
        char *path;
        json_t *otherwise; /* of default(..); NULL: none */
} TemplatePart;
struct Template {
        TemplateKind kind;
        char *key; /* below a map */
        json_t *constant;
        TemplatePart *parts;
        size_t n_parts;
        Template **items;
        size_t n_items;
};

Template *template_free(Template *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_parts; i++) {
                free(t->parts[i].literal);
                free(t->parts[i].path);
                json_decref(t->parts[i].otherwise);
        }
        for (size_t i = 0; i < t->n_items; i++)
                template_free(t->items[i]);
        free(t->parts);
        free(t->items);
        free(t->key);
        json_decref(t->constant);
        free(t);
        return NULL;
}

static inline void template_freep(Template **t) {
        template_free(*t);
}
#define auto_template __attribute__((cleanup(template_freep)))

/* ---- compiling text */

typedef struct TextSource {
        const char *file;
        unsigned line, column;
        const char *const *roots;
        Problems *problems;
} TextSource;

static int text_problem(
        const TextSource *s, size_t at, const char *code, const char *hint, const char *what) {
        problem_add(s->problems, PROBLEM_ERROR, s->file, s->line, s->column ? s->column + (unsigned)at : 0,
                code, hint, "%s", what);
        return -EINVAL;
}

static int part_add(Template *t, TemplatePart part) {
        TemplatePart *grown;

        if (t->n_parts == TEMPLATE_PARTS_MAX)
                return -E2BIG;
        grown = realloc(t->parts, (t->n_parts + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        t->parts = grown;
        t->parts[t->n_parts++] = part;
        return 0;
}

static Str str_trim(Str s) {
        while (s.n && isspace((unsigned char)s.p[0])) {
                s.p++;
                s.n--;
        }
        while (s.n && isspace((unsigned char)s.p[s.n - 1]))
                s.n--;
        return s;
}

static bool path_valid(Str path) {
        size_t segment = 0;

        if (path.n == 0 || path.n > TEMPLATE_PATH_MAX)
                return false;
        for (size_t i = 0; i < path.n; i++) {
                char c = path.p[i];

                if (c == '.') {
                        if (segment == 0)
                                return false;
                        segment = 0;
                } else if (isalnum((unsigned char)c) || c == '_' || c == '-') {
                        segment++;
                } else {
                        return false;
                }
        }
        return segment > 0;
}

static int root_check(const TextSource *s, size_t at, Str path) {
        char root[64], what[160], hint[200] = "";
        const char *dot = memchr(path.p, '.', path.n);
        size_t n = 0;

        str_copy(root, sizeof(root), (Str){path.p, dot ? (size_t)(dot - path.p) : path.n});
        for (; s->roots[n]; n++)
                if (strcmp(s->roots[n], root) == 0)
                        return 0;
        names_hint(root, s->roots, n, hint, sizeof(hint));
        snprintf(what, sizeof(what), "'%s' is no variable of a workflow", root);
        return text_problem(s, at, "unknown-variable", hint, what);
}

/* default(JSON), or default('text') for people who write YAML in double quotes */
static int default_parse(const TextSource *s, size_t at, Str filter, json_t **ret) {
        static const char hint[] = "the only filter is default(VALUE)";
        Str arg;
        int r;

        if (filter.n < 9 || strncmp(filter.p, "default", 7) != 0 || filter.p[filter.n - 1] != ')')
                return text_problem(s, at, "bad-template", hint, "unknown filter");
        arg = str_trim((Str){filter.p + 7, filter.n - 7});
        if (arg.p[0] != '(')
                return text_problem(s, at, "bad-template", hint, "unknown filter");
        arg = str_trim((Str){arg.p + 1, arg.n - 2});
        if (arg.n >= 2 && arg.p[0] == '\'' && arg.p[arg.n - 1] == '\'') {
                *ret = json_stringn(arg.p + 1, arg.n - 2);
                return *ret ? 0 : text_problem(s, at, "bad-template", hint, "default() is not valid UTF-8");
        }
        r = json_read(arg, TEMPLATE_TEXT_MAX, ret, NULL, 0);
        if (r == -ENOMEM)
                return r;
        return r == 0 ? 0
                      : text_problem(s, at, "bad-template", "default(\"text\"), default(0), default(null)",
                                "the value of default() is not JSON");
}

static int expression_add(Template *t, const TextSource *s, size_t at, Str inner) {
        json_t *otherwise = NULL;
        Str path = str_trim(inner);
        const char *bar = memchr(inner.p, '|', inner.n);
        auto_free char *copy = NULL;
        int r;

        if (bar) {
                path = str_trim((Str){inner.p, (size_t)(bar - inner.p)});
                r = default_parse(
                        s, at, str_trim((Str){bar + 1, inner.n - (size_t)(bar - inner.p) - 1}), &otherwise);
                if (r < 0)
                        return r;
        }
        r = path_valid(path) ? root_check(s, at, path)
                             : text_problem(s, at, "bad-template", "{{ payload.name }}",
                                       "what stands between '{{' and '}}' is no path");
        if (r == 0) {
                copy = strndup(path.p, path.n);
                r = copy ? part_add(t, (TemplatePart){.path = copy, .otherwise = otherwise}) : -ENOMEM;
        }
        if (r < 0) {
                json_decref(otherwise);
                return r == -E2BIG ? text_problem(s, at, "bad-template", "split it into several parameters",
                                             "too many expressions in one text")
                                   : r;
        }
        copy = NULL;
        return 0;
}

static int literal_add(Template *t, const TextSource *s, size_t at, Str text) {
        char *copy;
        int r;

        if (text.n == 0)
                return 0;
        copy = strndup(text.p, text.n);
        if (!copy)
                return -ENOMEM;
        r = part_add(t, (TemplatePart){.literal = copy});
        if (r < 0)
                free(copy);
        return r == -E2BIG ? text_problem(s, at, "bad-template", "split it into several parameters",
                                     "too many expressions in one text")
                           : r;
}

static int text_compile(Template *t, const TextSource *s, Str text) {
        size_t at = 0;

        t->kind = TEMPLATE_TEXT;
        if (!text.p)
                return 0;
        if (text.n > TEMPLATE_TEXT_MAX)
                return text_problem(s, 0, "too-long", NULL, "a template is at most 16 KiB");
        while (at < text.n) {
                const char *open = memmem(text.p + at, text.n - at, "{{", 2), *close;
                size_t start;
                int r = literal_add(
                        t, s, at, (Str){text.p + at, (open ? (size_t)(open - text.p) : text.n) - at});

                if (r < 0 || !open)
                        return r;
                start = (size_t)(open - text.p) + 2;
                close = memmem(text.p + start, text.n - start, "}}", 2);
                if (!close)
                        return text_problem(
                                s, start - 2, "bad-template", "{{ payload.name }}", "'{{' without '}}'");
                r = expression_add(t, s, start - 2, (Str){text.p + start, (size_t)(close - text.p) - start});
                if (r < 0)
                        return r;
                at = (size_t)(close - text.p) + 2;
        }
        return 0;
}

int template_compile_text(Str text, const char *file, unsigned line, unsigned column,
        const char *const *roots, Problems *p, Template **ret) {
        auto_template Template *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        r = text_compile(t, &(TextSource){file, line, column, roots, p}, text);
        if (r < 0)
                return r;
        *ret = TAKE(t);
        return 0;
}

/* ---- compiling a tree */

static json_t *scalar_number(const char *text) {
        char *end = NULL;
        bool digits = text[strspn(text, "+-0123456789")] == '\0';

        if (!text[strcspn(text, "0123456789")] || strspn(text, "+-.0123456789eE") != strlen(text))
                return NULL;
        errno = 0;
        if (digits) {
                long long v = strtoll(text, &end, 10);

                return *end || errno ? NULL : json_integer(v);
        } else {
                double d = strtod(text, &end);

                return *end || !isfinite(d) ? NULL : json_real(d);
        }
}

int template_scalar(const YamlNode *n, json_t **ret) {
        json_t *j = NULL;

        if (!n->quoted) {
                if (yaml_is_null(n))
                        j = json_pack("n"); /* the name json_null() is our writer's */
                else if (strcmp(n->text, "true") == 0)
                        j = json_true();
                else if (strcmp(n->text, "false") == 0)
                        j = json_false();
                else
                        j = scalar_number(n->text);
        }
        if (!j)
                j = json_string(n->text);
        if (!j)
                return -ENOMEM;
        *ret = j;
        return 0;
}

static int item_add(Template *t, Template *item) {
        Template **grown = realloc(t->items, (t->n_items + 1) * sizeof(*grown));

        if (!grown) {
                template_free(item);
                return -ENOMEM;
        }
        t->items = grown;
        t->items[t->n_items++] = item;
        return 0;
}

static int items_compile(
        Template *t, const YamlNode *n, const char *file, const char *const *roots, Problems *p) {
        int result = 0;

        t->kind = n->kind == YAML_KIND_MAP ? TEMPLATE_MAP : TEMPLATE_LIST;
        for (size_t i = 0; i < n->n; i++) {
                Template *item = NULL;
                int r = template_compile(n->items[i], file, roots, p, &item);

                if (r == 0 && n->kind == YAML_KIND_MAP) {
                        item->key = strdup(n->items[i]->key);
                        r = item->key ? 0 : -ENOMEM;
                }
                if (r == 0)
                        r = item_add(t, TAKE(item));
                template_free(item);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

int template_compile(
        const YamlNode *n, const char *file, const char *const *roots, Problems *p, Template **ret) {
        auto_template Template *t = NULL;
        int r;

        if (n->kind == YAML_KIND_SCALAR && strstr(n->text, "{{"))
                return template_compile_text(
                        str_of(n->text), file, n->line, n->column + (n->quoted ? 1 : 0), roots, p, ret);
        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        r = n->kind == YAML_KIND_SCALAR ? template_scalar(n, &t->constant)
                                        : items_compile(t, n, file, roots, p);
        if (r < 0)
                return r;
        *ret = TAKE(t);
        return 0;
}

/* ---- rendering */

static int part_value(const TemplatePart *part, const json_t *context, json_t **ret, char *why, size_t cap) {
        json_t *v = json_get_path(context, part->path);

        if (!v)
                v = part->otherwise;
        if (!v) {
                snprintf(why, cap, "%s is missing", part->path);
                return -ENOENT;
        }
        *ret = v;
        return 0;
}

static int value_append(Buf *out, const json_t *v) {
        auto_free char *text = NULL;

        if (json_is_string(v))
                return buf_append(out, json_string_value(v), json_string_length(v));
        text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
        return text ? buf_append(out, text, strlen(text)) : -ENOMEM;
}

static int text_render(const Template *t, const json_t *context, json_t **ret, char *why, size_t cap) {
        Buf out = BUF_INIT(TEMPLATE_TEXT_MAX);
        json_t *v = NULL;
        int r = 0;

        if (t->n_parts == 1 && t->parts[0].path) {
                r = part_value(&t->parts[0], context, &v, why, cap);
                if (r < 0)
                        return r;
                /* a copy: the context changes while the rendered value waits for its action */
                *ret = json_deep_copy(v);
                return *ret ? 0 : -ENOMEM;
        }
        for (size_t i = 0; r == 0 && i < t->n_parts; i++) {
                const TemplatePart *part = &t->parts[i];

                if (part->literal) {
                        r = buf_append(&out, part->literal, strlen(part->literal));
                        continue;
                }
                r = part_value(part, context, &v, why, cap);
                if (r == 0)
                        r = value_append(&out, v);
        }
        if (r == -ENOBUFS) {
                snprintf(why, cap, "the text is over 16 KiB");
                r = -EMSGSIZE;
        }
        if (r == 0) {
                *ret = json_stringn(out.len ? (const char *)out.data : "", out.len);
                r = *ret ? 0 : -ENOMEM;
        }
        buf_done(&out);
        return r;
}

static int items_render(const Template *t, const json_t *context, json_t **ret, char *why, size_t cap) {
        auto_json json_t *all = t->kind == TEMPLATE_MAP ? json_object() : json_array();

        if (!all)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_items; i++) {
                json_t *v = NULL;
                int r = template_render(t->items[i], context, &v, why, cap);

                if (r < 0)
                        return r;
                if (t->kind == TEMPLATE_MAP ? json_object_set_new(all, t->items[i]->key, v)
                                            : json_array_append_new(all, v))
                        return -ENOMEM;
        }
        *ret = TAKE(all);
        return 0;
}

int template_render(const Template *t, const json_t *context, json_t **ret, char *why, size_t cap) {
        switch (t->kind) {
        case TEMPLATE_CONSTANT:
                *ret = json_deep_copy(t->constant);
                return *ret ? 0 : -ENOMEM;
        case TEMPLATE_TEXT:
                return text_render(t, context, ret, why, cap);
        case TEMPLATE_LIST:
        case TEMPLATE_MAP:
                return items_render(t, context, ret, why, cap);
        }
        return -EINVAL;
}
