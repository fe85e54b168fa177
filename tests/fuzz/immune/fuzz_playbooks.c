/* SPDX-License-Identifier: Apache-2.0 */
#include "immune/policy.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        ImmunePolicy *into = NULL;
        Problems p = {0};

        if (immune_policy_shipped(&into) < 0)
                return 0;
        int r = immune_policy_parse("playbooks.yaml", (Str){(const char *)data, n}, true, &p, into);
        /* whatever was refused says where */
        if (r < 0 && r != -ENOMEM && p.errors == 0)
                abort();
        for (unsigned i = 0; r == 0 && i < into->n_playbooks; i++)
                if (into->playbooks[i].n_steps == 0 || into->playbooks[i].n_steps > LADDER_MAX)
                        abort();
        immune_policy_free(into);
        problems_done(&p);
        return 0;
}
