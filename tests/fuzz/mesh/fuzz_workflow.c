/* SPDX-License-Identifier: Apache-2.0 */
/* Workflow files: what loads must be whole, what does not must say why. */
#include "chunks/mesh/workflow.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        WorkflowSet set = {0};
        Problems p = {0};
        json_t *context = json_pack(
                "{s:{s:s, s:i}, s:{s:s}}", "payload", "severity", "A", "n", 1, "event", "type", "a.b");
        char text[256];
        int r = workflow_set_parse(&set, "f.yaml", (Str){(const char *)data, size}, &p);

        if (r == -EINVAL && p.errors == 0)
                abort();
        for (size_t i = 0; r == 0 && i < set.n; i++) {
                const Workflow *w = set.items[i];

                if (!w->trigger[0] || w->n_actions == 0 || !w->filter)
                        abort();
                if (!workflow_filter_match(w->filter, context))
                        workflow_filter_explain(w->filter, context, text, sizeof(text));
                for (unsigned a = 0; a < w->n_actions; a++) {
                        json_t *v = NULL;

                        if (w->actions[a].params &&
                                template_render(w->actions[a].params, context, &v, text, sizeof(text)) == 0)
                                json_decref(v);
                }
        }
        json_decref(context);
        workflow_set_done(&set);
        problems_done(&p);
        return 0;
}
