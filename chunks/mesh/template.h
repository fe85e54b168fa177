/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Templates of workflows: a YAML value (text, list, map) in which text may hold {{ path }} or
 * {{ path | default(JSON) }}. Compiled at load, rendered against one JSON object. A text that is nothing but
 * one expression keeps the type of what it names; elsewhere the value is written into the text (strings as
 * they are, all else as JSON). No loops, no calls: rendering ends after one pass. A missing variable is an
 * error unless it has a default.
 */
#include "common/error.h"
#include "common/json/json-read.h"
#include "common/yaml/yaml-tree.h"

enum { TEMPLATE_TEXT_MAX = 16 * 1024, TEMPLATE_PARTS_MAX = 64, TEMPLATE_PATH_MAX = 160 };

typedef struct Template Template;
/*
 * Compiles one YAML value. roots: first segments that a path may have, NULL terminated; another one is a load
 * error with the nearest as hint. 0 and *ret (owned), -EINVAL after a problem with file:line:column, -ENOMEM.
 * Scalars that are not quoted take their YAML 1.2 core type (null, bool, int, float), all else is text.
 */
int template_compile(
        const YamlNode *n, const char *file, const char *const *roots, Problems *p, Template **ret);
Template *template_free(Template *t); /* NULL is fine; returns NULL */
/* 0 and *ret (json_decref() it); -ENOENT with why ("payload.x is missing"); -EMSGSIZE over TEMPLATE_TEXT_MAX;
 * -ENOMEM. */
int template_render(const Template *t, const json_t *context, json_t **ret, char *why, size_t cap);
/* A plain text with expressions, as the loader and the fuzz target use it. As template_compile(). */
int template_compile_text(Str text, const char *file, unsigned line, unsigned column,
        const char *const *roots, Problems *p, Template **ret);
/* A YAML scalar by the core schema as JSON; -ENOMEM. */
int template_scalar(const YamlNode *n, json_t **ret);
