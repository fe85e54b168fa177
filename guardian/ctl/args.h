/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Options of one verb: a table ended by a NULL name; each fills a flag, a value, or appends to a list. */
#include "guardian/ctl/ctl.h"

enum { CTL_OPTIONS_MAX = 16 }; /* a table has at most as many */

typedef struct CtlOption {
        const char *name; /* "--reason" */
        bool *flag;
        const char **value;
        const char **list; /* repeated */
        int *n_list, max_list;
} CtlOption;

/* Splits argv[1..] into options and operands. CTL_OK, or CTL_USAGE after saying what is wrong. "--" ends the
 * options. */
int ctl_options(
        int argc, char **argv, const CtlOption *options, char **operands, int max_operands, int *n_operands);
