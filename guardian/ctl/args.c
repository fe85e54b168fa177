/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/ctl/args.h"
#include <stdio.h>
#include <string.h>

int ctl_options(
        int argc, char **argv, const CtlOption *options, char **operands, int max_operands, int *n_operands) {
        bool raw = false;
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
                        if (!o) {
                                fprintf(stderr, "guardianctl: %s has no option '%s'\n", argv[0], argv[i]);
                                return ctl_usage(argv[0]);
                        }
                        if (o->flag) {
                                *o->flag = true;
                                continue;
                        }
                        if (i + 1 >= argc) {
                                fprintf(stderr, "guardianctl: %s takes a value\n", argv[i]);
                                return ctl_usage(argv[0]);
                        }
                        i++;
                        if (o->list && *o->n_list < o->max_list)
                                o->list[(*o->n_list)++] = argv[i];
                        else if (o->value)
                                *o->value = argv[i];
                        continue;
                }
                if (*n_operands >= max_operands) {
                        fprintf(stderr, "guardianctl: %s takes no '%s'\n", argv[0], argv[i]);
                        return ctl_usage(argv[0]);
                }
                operands[(*n_operands)++] = argv[i];
        }
        return CTL_OK;
}
