/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/ctl/args.h"
#include "common/error.h"
#include "guardian/ctl/text.h"
#include <string.h>

static int unknown_option(const char *verb, const char *word, const CtlOption *options) {
        const char *names[CTL_OPTIONS_MAX];
        size_t n = 0;
        for (; options[n].name && n < CTL_OPTIONS_MAX; n++)
                names[n] = options[n].name;
        const char *near = nearest_name(word, names, n);
        text_errorf("guardianctl: %s has no option '%s'%s%s%s", verb, word, near ? "; did you mean '" : "",
                near ? near : "", near ? "'?" : "");
        return ctl_usage(verb);
}

int ctl_options(
        int argc, char **argv, const CtlOption *options, char **operands, int max_operands, int *n_operands) {
        bool raw = false, given[CTL_OPTIONS_MAX] = {false};
        *n_operands = 0;
        for (int i = 1; i < argc; i++) {
                const CtlOption *o = NULL;
                if (!raw && strcmp(argv[i], "--") == 0) {
                        raw = true;
                        continue;
                }
                if (!raw && argv[i][0] == '-' && argv[i][1]) {
                        for (const CtlOption *k = options; k->name && !o; k++)
                                if (strcmp(argv[i], k->name) == 0)
                                        o = k;
                        if (!o)
                                return unknown_option(argv[0], argv[i], options);
                        if (o->flag) {
                                *o->flag = true;
                                continue;
                        }
                        if (i + 1 >= argc) {
                                text_errorf("guardianctl: %s takes a value", argv[i]);
                                return ctl_usage(argv[0]);
                        }
                        i++;
                        if (o->list ? *o->n_list >= o->max_list : given[o - options]) {
                                text_errorf("guardianctl: %s is given too often", o->name);
                                return ctl_usage(argv[0]);
                        }
                        given[o - options] = true;
                        if (o->list)
                                o->list[(*o->n_list)++] = argv[i];
                        else
                                *o->value = argv[i];
                        continue;
                }
                if (*n_operands >= max_operands) {
                        text_errorf("guardianctl: %s takes no '%s'", argv[0], argv[i]);
                        return ctl_usage(argv[0]);
                }
                operands[(*n_operands)++] = argv[i];
        }
        return CTL_OK;
}
