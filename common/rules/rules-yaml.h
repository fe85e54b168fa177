/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Conditions from YAML: a string expression, a list (all of them), or a map: {all: [..]}, {any: [..]}, {not:
 * X}, {field: F, op: OP, value: V} (`operator` is another spelling of `op`; `exists` needs no value). */
#include "common/rules/rules.h"
#include "common/yaml/yaml-tree.h"

/* 0 and *ret (owned), -EINVAL after at least one problem, -ENOMEM. */
int rule_expr_from_yaml(const YamlNode *n, const char *file, Problems *p, RuleExpr **ret);
/* Adds the value(s) of a YAML scalar or list of scalars to a test. */
int rule_expr_yaml_value(RuleExpr *test, const YamlNode *value, const char *file, Problems *p);
