/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of the immune kernel. */
#include "guardian/ctl/show.h"

int verb_incidents(Ctl *c, int argc, char **argv) {
        (void)argv;
        if (argc != 1)
                return ctl_usage("incidents");
        CtlCall call = {.verb = "incidents"};
        return ctl_chunk_document(c, "immune", &call, show_incidents);
}

int verb_incident(Ctl *c, int argc, char **argv) {
        char store[160];
        if (argc != 2)
                return ctl_usage("incident");
        CtlCall call = {.verb = "incident"};
        ctl_arg(&call, store, sizeof(store), "id", argv[1]);
        return ctl_chunk_document(c, "immune", &call, show_incident);
}
