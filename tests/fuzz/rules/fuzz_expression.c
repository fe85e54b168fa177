/* SPDX-License-Identifier: Apache-2.0 */
/* What parses and compiles evaluates and explains; its canonical text is stable; a match leaves nothing to
 * explain. */
#include "common/rules/rules.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const RuleField fields[] = {
        {"s", RULE_STRING, 0, NULL},
        {"i", RULE_INT, 1, NULL},
        {"d", RULE_DOUBLE, 2, NULL},
        {"b", RULE_BOOL, 3, NULL},
        {"u", RULE_DURATION, 4, NULL},
        {"t", RULE_TIME, 5, NULL},
        {"l", RULE_SET, 6, NULL},
        {"p.*", RULE_ANY, 7, NULL},
};

static int lookup(void *user, unsigned id, const char *field, RuleValue *ret) {
        static const Str set[] = {{"a", 1}, {"bc", 2}};
        (void)user;
        *ret = (RuleValue){.type = (RuleType)(id < 7 ? id : strlen(field) % 6)};
        if (ret->type == RULE_STRING)
                ret->s = STR_LIT("192.0.2.1");
        else if (ret->type == RULE_DOUBLE)
                ret->d = 1.5;
        else if (ret->type == RULE_BOOL)
                ret->b = true;
        else if (ret->type == RULE_SET) {
                ret->set.items = set;
                ret->set.n = 2;
        } else
                ret->i = 5;
        return id == 7 && strlen(field) % 5 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const RuleSchema schema = {fields, sizeof(fields) / sizeof(fields[0])};
        RuleContext c = {lookup, NULL};
        Problems p = {0};
        RuleExpr *e = NULL;
        RuleProgram *r = NULL;
        char text[512];
        int rc = rule_expr_parse((Str){(const char *)data, size}, "f", 1, 1, &p, &e);
        if (rc == 0)
                rc = rule_compile(e, &schema, "f", &p, &r);
        if (rc < 0 && p.errors == 0)
                abort();
        if (rc == 0) {
                RuleResult result = rule_eval(r, &c);
                if ((rule_explain(r, &c, text, sizeof(text)) == 0) != (result == RULE_MATCH))
                        abort();
                rule_program_text(r, text, sizeof(text));
                if (rule_eval(r, &c) != result)
                        abort();
        }
        rule_program_free(r);
        rule_expr_free(e);
        problems_done(&p);
        return 0;
}
