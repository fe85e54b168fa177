/* SPDX-License-Identifier: Apache-2.0 */
/* One text with expressions: compiled or refused with a problem; rendered, it is a JSON value of bounded
 * size. */
#include "chunks/mesh/template.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const roots[] = {"payload", "event", NULL};
        json_t *context = json_pack("{s:{s:s, s:[i,i]}, s:{}}", "payload", "a", "text", "l", 1, 2, "event");
        Template *t = NULL;
        Problems p = {0};
        char why[128];
        int r = template_compile_text((Str){(const char *)data, size}, "f", 1, 1, roots, &p, &t);

        if (r == -EINVAL && p.errors == 0)
                abort();
        if (r == 0) {
                json_t *v = NULL;

                if (template_render(t, context, &v, why, sizeof(why)) == 0) {
                        if (json_is_string(v) && json_string_length(v) > TEMPLATE_TEXT_MAX)
                                abort();
                        json_decref(v);
                }
        }
        template_free(t);
        json_decref(context);
        problems_done(&p);
        return 0;
}
