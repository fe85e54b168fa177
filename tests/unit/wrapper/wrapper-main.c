/* SPDX-License-Identifier: Apache-2.0 */
/* wrapper-main [-g] [--rewrite FROM:TO]... [--stop-timeout MS] -- COMMAND: signals as numbers, for the tests
 * only. */
#include "common/log.h"
#include "guardian/wrapper.h"
#include "supervisor/pid1.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
        WrapperRewrite rewrites[8];
        WrapperOptions o = {.rewrites = rewrites, .stop_timeout_us = 10000000};
        int i = 1;

        pid1_signals();
        for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
                if (strcmp(argv[i], "-g") == 0) {
                        o.group = true;
                } else if (strcmp(argv[i], "--rewrite") == 0 && i + 1 < argc && o.n_rewrites < 8) {
                        WrapperRewrite *r = &rewrites[o.n_rewrites++];

                        if (sscanf(argv[++i], "%d:%d", &r->from, &r->to) != 2)
                                return 64;
                } else if (strcmp(argv[i], "--stop-timeout") == 0 && i + 1 < argc) {
                        o.stop_timeout_us = strtoull(argv[++i], NULL, 10) * 1000;
                        o.stop_timeout_set = true;
                } else {
                        return 64;
                }
        }
        if (i + 1 >= argc)
                return 64;
        o.argv = argv + i + 1;
        log_setup("guardian", 2, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
        return wrapper_run(&o);
}
