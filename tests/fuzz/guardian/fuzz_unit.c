/* SPDX-License-Identifier: Apache-2.0 */
/* Unit files: whatever the bytes, parsing ends, frees everything, keeps its bounds and says where a problem is. */
#include "guardian/unit-exec.h"
#include "guardian/unit-file.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        static const UnitPaths paths = {"/run/g", "/var/g", "/opt"};
        Problems p = {0};
        char line[900];
        UnitConfig *u = unit_config_new("work@a-b");
        if (!u)
                return 0;
        if (unit_file_parse(u, (Str){(const char *)data, n}, "fuzz", false, &paths, &p) == 0)
                unit_file_finish(u, &paths, &p);
        for (size_t i = 0; i < p.n; i++)
                problem_format(&p.items[i], line, sizeof(line));
        if (u->after.n > UNIT_LIST_MAX || u->n_limits > UNIT_LIMITS_MAX)
                abort();
        for (size_t l = 0; l < _EXEC_LIST_MAX; l++)
                for (unsigned i = 0; i < u->exec[l].n; i++) {
                        char one[] = "ONE=a b", *env[] = {one, NULL}, **argv = NULL;
                        if (exec_command_expand(&u->exec[l].items[i], env, &argv) == 0)
                                free(argv);
                }
        problems_done(&p);
        unit_config_free(u);
        return 0;
}
