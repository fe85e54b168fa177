/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rules/rules-json.h"
#include <errno.h>
#include <stdlib.h>

static int set_value(const json_t *v, Str **set, RuleValue *ret) {
        size_t n = json_array_size(v);

        if (n > RULE_JSON_ITEMS_MAX)
                return -E2BIG;
        if (!*set)
                *set = calloc(RULE_JSON_ITEMS_MAX, sizeof(**set));
        if (!*set)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const json_t *item = json_array_get(v, i);

                if (!json_is_string(item))
                        return -EINVAL;
                (*set)[i] = (Str){json_string_value(item), json_string_length(item)};
        }
        *ret = (RuleValue){.type = RULE_SET, .set = {*set, n}};
        return 0;
}

int rule_json_value(const json_t *v, Str **set, RuleValue *ret) {
        if (!v || json_is_null(v))
                return 1;
        if (json_is_string(v))
                *ret = (RuleValue){.type = RULE_STRING, .s = {json_string_value(v), json_string_length(v)}};
        else if (json_is_integer(v))
                *ret = (RuleValue){.type = RULE_INT, .i = json_integer_value(v)};
        else if (json_is_real(v))
                *ret = (RuleValue){.type = RULE_DOUBLE, .d = json_real_value(v)};
        else if (json_is_boolean(v))
                *ret = (RuleValue){.type = RULE_BOOL, .b = json_is_true(v)};
        else if (json_is_array(v))
                return set_value(v, set, ret);
        else
                return -EINVAL;
        return 0;
}
