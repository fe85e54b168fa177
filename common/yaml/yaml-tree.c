/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree is built from libyaml's events and not from its documents: events still carry anchors and tags, so
 * that what is refused is seen before anything is resolved, and their marks give the place of every node.
 */
#include "common/yaml/yaml-tree.h"
#include "common/cleanup.h"
#include "common/text-file.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

typedef struct Builder {
        const char *file;
        Str text;
        Problems *p;
        YamlNode *root;
        YamlNode *stack[YAML_TREE_DEPTH_MAX];
        unsigned depth;
        size_t nodes;
        char *key; /* read, its value not yet */
        unsigned key_line, key_column;
        bool documents;
} Builder;

YamlNode *yaml_tree_free(YamlNode *n) {
        if (!n)
                return NULL;
        for (size_t i = 0; i < n->n; i++)
                yaml_tree_free(n->items[i]);
        free(n->items);
        free(n->key);
        free(n->text);
        free(n);
        return NULL;
}

static int complain(Builder *b, yaml_mark_t at, const char *code, const char *hint, const char *message) {
        problem_add(b->p, PROBLEM_ERROR, b->file, (unsigned)at.line + 1, (unsigned)at.column + 1, code, hint,
                "%s", message);
        return -EINVAL;
}

static int duplicate_key(Builder *b, const YamlNode *parent, const char *key, yaml_mark_t at) {
        const YamlNode *old = yaml_get(parent, key);
        if (!old)
                return 0;
        problem_add(b->p, PROBLEM_ERROR, b->file, (unsigned)at.line + 1, (unsigned)at.column + 1,
                "duplicate-key", "keep one of the two",
                "key '%.60s' stands here a second time, first in line %u", key, old->key_line);
        return -EINVAL;
}

static int append(YamlNode *parent, YamlNode *child) {
        if (parent->n == parent->cap) {
                size_t cap = parent->cap ? parent->cap * 2 : 8;
                YamlNode **items = reallocarray(parent->items, cap, sizeof(*items));
                if (!items)
                        return -ENOMEM;
                parent->items = items;
                parent->cap = cap;
        }
        parent->items[parent->n++] = child;
        return 0;
}

/* Hangs a new node under the open collection, or makes it the root. */
static int place(Builder *b, YamlNode *node) {
        YamlNode *parent = b->depth ? b->stack[b->depth - 1] : NULL;
        if (!parent) {
                b->root = node;
                return 0;
        }
        if (parent->kind == YAML_KIND_MAP) {
                node->key = TAKE(b->key);
                node->key_line = b->key_line;
                node->key_column = b->key_column;
        }
        int r = append(parent, node);
        if (r < 0)
                yaml_free(node);
        return r;
}

static int on_scalar(Builder *b, const yaml_event_t *e) {
        YamlNode *parent = b->depth ? b->stack[b->depth - 1] : NULL;
        const char *value = (const char *)e->data.scalar.value;
        bool is_key = parent && parent->kind == YAML_KIND_MAP && !b->key;

        if (strlen(value) != e->data.scalar.length)
                return complain(
                        b, e->start_mark, "bad-text", "take \\0 out", "a text must not contain a NUL byte");
        if (is_key) {
                int r = duplicate_key(b, parent, value, e->start_mark);
                if (r < 0)
                        return r;
                b->key = strdup(value);
                b->key_line = (unsigned)e->start_mark.line + 1;
                b->key_column = (unsigned)e->start_mark.column + 1;
                return b->key ? 0 : -ENOMEM;
        }
        YamlNode *node = calloc(1, sizeof(*node));
        if (!node)
                return -ENOMEM;
        *node = (YamlNode){
                .kind = YAML_KIND_SCALAR,
                .quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE,
                .line = (unsigned)e->start_mark.line + 1,
                .column = (unsigned)e->start_mark.column + 1,
                .text = strdup(value),
        };
        if (!node->text) {
                free(node);
                return -ENOMEM;
        }
        return place(b, node);
}

static int on_open(Builder *b, const yaml_event_t *e, YamlKind kind) {
        YamlNode *parent = b->depth ? b->stack[b->depth - 1] : NULL;
        if (parent && parent->kind == YAML_KIND_MAP && !b->key)
                return complain(b, e->start_mark, "bad-key", "KEY: value", "a key must be a plain text");
        if (b->depth == YAML_TREE_DEPTH_MAX)
                return complain(b, e->start_mark, "too-deep",
                        "no policy needs that; is an indentation wrong?", "nested deeper than 32 levels");
        YamlNode *node = calloc(1, sizeof(*node));
        if (!node)
                return -ENOMEM;
        node->kind = kind;
        node->line = (unsigned)e->start_mark.line + 1;
        node->column = (unsigned)e->start_mark.column + 1;
        int r = place(b, node);
        if (r < 0)
                return r;
        b->stack[b->depth++] = node;
        return 0;
}

/* Anchors and tags are refused on every node, before its content is looked at. */
static int refuse_extras(Builder *b, const yaml_event_t *e) {
        const yaml_char_t *anchor = NULL, *tag = NULL;
        switch (e->type) {
        case YAML_SCALAR_EVENT:
                anchor = e->data.scalar.anchor;
                tag = e->data.scalar.tag;
                break;
        case YAML_SEQUENCE_START_EVENT:
                anchor = e->data.sequence_start.anchor;
                tag = e->data.sequence_start.tag;
                break;
        case YAML_MAPPING_START_EVENT:
                anchor = e->data.mapping_start.anchor;
                tag = e->data.mapping_start.tag;
                break;
        case YAML_NO_EVENT:
        case YAML_STREAM_START_EVENT:
        case YAML_STREAM_END_EVENT:
        case YAML_DOCUMENT_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
        case YAML_ALIAS_EVENT:
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                return 0;
        }
        if (anchor)
                return complain(b, e->start_mark, "anchor", "write the value out", "anchors are not allowed");
        if (tag)
                return complain(b, e->start_mark, "tag", "leave it out", "tags are not allowed");
        if (++b->nodes > YAML_TREE_NODES_MAX)
                return complain(b, e->start_mark, "too-big", "split the file", "more than 65536 nodes");
        return 0;
}

static int on_event(Builder *b, const yaml_event_t *e) {
        int r = refuse_extras(b, e);
        if (r < 0)
                return r;
        switch (e->type) {
        case YAML_DOCUMENT_START_EVENT:
                if (b->documents)
                        return complain(
                                b, e->start_mark, "documents", "use one file for each", "a second document");
                b->documents = true;
                if (e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end)
                        return complain(
                                b, e->start_mark, "tag", "leave it out", "tag directives are not allowed");
                return 0;
        case YAML_ALIAS_EVENT:
                return complain(b, e->start_mark, "alias", "write the value out", "aliases are not allowed");
        case YAML_SCALAR_EVENT:
                return on_scalar(b, e);
        case YAML_SEQUENCE_START_EVENT:
                return on_open(b, e, YAML_KIND_LIST);
        case YAML_MAPPING_START_EVENT:
                return on_open(b, e, YAML_KIND_MAP);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                b->depth--;
                return 0;
        case YAML_NO_EVENT:
        case YAML_STREAM_START_EVENT:
        case YAML_STREAM_END_EVENT:
        case YAML_DOCUMENT_END_EVENT:
                return 0;
        }
        return 0;
}

static yaml_mark_t mark_of(Str text, size_t offset) {
        yaml_mark_t at = {.index = offset};
        for (size_t i = 0; i < offset && i < text.n; i++) {
                at.column = text.p[i] == '\n' ? 0 : at.column + 1;
                at.line += text.p[i] == '\n';
        }
        return at;
}

static int parser_problem(Builder *b, const yaml_parser_t *parser) {
        if (parser->error == YAML_MEMORY_ERROR)
                return -ENOMEM;
        const char *problem = parser->problem ? parser->problem : "no YAML";
        yaml_mark_t at = parser->problem_mark;
        char hint[200] = "";
        if (parser->error == YAML_READER_ERROR) { /* which has no mark, only an offset */
                at = mark_of(b->text, parser->problem_offset);
                str_copy(hint, sizeof(hint), STR_LIT("save the file as UTF-8 text"));
        } else if (b->text.n > at.index && b->text.p[at.index] == '\t') {
                str_copy(hint, sizeof(hint), STR_LIT("indent with spaces, YAML takes no tabs"));
        } else if (parser->context) {
                snprintf(hint, sizeof(hint), "%s that begins in line %zu", parser->context,
                        parser->context_mark.line + 1);
        }
        problem_add(b->p, PROBLEM_ERROR, b->file, (unsigned)at.line + 1, (unsigned)at.column + 1,
                "yaml-syntax", hint, "%s", problem);
        return -EINVAL;
}

static int build(Builder *b, yaml_parser_t *parser) {
        for (;;) {
                yaml_event_t e;
                if (!yaml_parser_parse(parser, &e))
                        return parser_problem(b, parser);
                bool end = e.type == YAML_STREAM_END_EVENT;
                int r = on_event(b, &e);
                yaml_event_delete(&e);
                if (r < 0)
                        return r;
                if (end)
                        return 0;
        }
}

int yaml_parse(const char *file, Str text, Problems *p, YamlNode **ret) {
        yaml_parser_t parser;
        Builder b = {.file = file, .text = text, .p = p};

        *ret = NULL;
        if (text.n > YAML_TREE_BYTES_MAX) {
                problem_add(p, PROBLEM_ERROR, file, 0, 0, "too-big", "split the file", "larger than 1 MiB");
                return -EINVAL;
        }
        if (!yaml_parser_initialize(&parser))
                return -ENOMEM;
        yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
        int r = build(&b, &parser);
        yaml_parser_delete(&parser);
        free(b.key);
        if (r == 0 && !b.root) {
                problem_add(p, PROBLEM_ERROR, file, 0, 0, "empty",
                        "take the file away: then the one of the directory before it counts",
                        "nothing stands in the file");
                r = -EINVAL;
        }
        if (r < 0) {
                yaml_free(b.root);
                return r;
        }
        *ret = b.root;
        return 0;
}

int yaml_load(const char *path, Problems *p, YamlNode **ret) {
        auto_free char *text = NULL;
        size_t n = 0;
        int r = text_file_load(path, p, &text, &n);

        *ret = NULL;
        return r < 0 ? r : yaml_parse(path, (Str){text, n}, p, ret);
}

const YamlNode *yaml_get(const YamlNode *map, const char *key) {
        if (!map || map->kind != YAML_KIND_MAP)
                return NULL;
        for (size_t i = 0; i < map->n; i++)
                if (strcmp(map->items[i]->key, key) == 0)
                        return map->items[i];
        return NULL;
}

bool yaml_is_null(const YamlNode *n) {
        return n->kind == YAML_KIND_SCALAR && !n->quoted &&
               (!*n->text || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0);
}

const char *yaml_kind_name(const YamlNode *n) {
        static const char *const names[] = {
                [YAML_KIND_SCALAR] = "a text", [YAML_KIND_LIST] = "a list", [YAML_KIND_MAP] = "a map"};
        return names[n->kind];
}

static void problem_at(Problems *p, const char *file, unsigned line, unsigned column, const char *code,
        const char *hint, const char *fmt, va_list ap) __attribute__((format(printf, 7, 0)));
static void problem_at(Problems *p, const char *file, unsigned line, unsigned column, const char *code,
        const char *hint, const char *fmt, va_list ap) {
        char text[320];
        vsnprintf(text, sizeof(text), fmt, ap);
        problem_add(p, PROBLEM_ERROR, file, line, column, code, hint, "%s", text);
}

void yaml_problem(Problems *p, const char *file, const YamlNode *at, const char *code, const char *hint,
        const char *fmt, ...) {
        va_list ap;
        va_start(ap, fmt);
        problem_at(p, file, at ? at->line : 0, at ? at->column : 0, code, hint, fmt, ap);
        va_end(ap);
}

void yaml_problem_key(Problems *p, const char *file, const YamlNode *at, const char *code, const char *hint,
        const char *fmt, ...) {
        va_list ap;
        va_start(ap, fmt);
        problem_at(p, file, at->key ? at->key_line : at->line, at->key ? at->key_column : at->column, code,
                hint, fmt, ap);
        va_end(ap);
}
