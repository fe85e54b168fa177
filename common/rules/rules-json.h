/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a rule sees of a JSON document. */
#include "common/json/json-read.h"
#include "common/rules/rules.h"

enum { RULE_JSON_ITEMS_MAX = 256 };

/*
 * The value of a JSON value, for RuleContext.lookup; *ret borrows from v. 0; 1 for NULL and null: absent;
 * -EINVAL for an object or an array with other items than strings; -E2BIG for more than RULE_JSON_ITEMS_MAX
 * of them; -ENOMEM. The items of an array stand in *set, made when it is needed first and used again: it is
 * the caller's to free, NULL before.
 */
int rule_json_value(const json_t *v, Str **set, RuleValue *ret);
