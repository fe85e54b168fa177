/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/mesh.h"

int mesh_policies_load(
        const char *const *dirs, unsigned n, Problems *p, EventTypes *types, WorkflowSet *set) {
        int r = event_types_load(dirs, n, p, types), w = workflow_set_load(set, dirs, n, p);

        return r < 0 ? r : w;
}

int mesh_check(const char *const *dirs, unsigned n, Problems *problems) {
        WorkflowSet set = {0};
        EventTypes types = {0};
        int r = mesh_policies_load(dirs, n, problems, &types, &set);

        workflow_set_done(&set);
        event_types_done(&types);
        return r;
}
