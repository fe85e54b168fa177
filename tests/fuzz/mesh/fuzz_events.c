/* SPDX-License-Identifier: Apache-2.0 */
/* events.yaml and validation.yaml: loaded or refused with a problem; what loads judges events. */
#include "chunks/validators/validate.h"
#include "common/gme.h"
#include "common/json-writer.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What compiled is put to a good and a bad event: it ends, and its report is JSON. */
static void check(const Validation *v) {
        static const char *const payloads[] = {"{\"x\":1,\"unit\":\"web\"}", "{\"password\":\"hunter2\"}"};
        static ValidationReport report;
        for (unsigned i = 0; i < 2; i++) {
                Buf out = BUF_INIT(1 << 20);
                MsgBuilder b;
                JsonWriter w;
                Msg m;
                msg_begin(&b, MSG_VALIDATE);
                msg_put_u64(&b, TAG_REQ, 1);
                msg_put_cstr(&b, TAG_TYPE, i ? "unit.state" : "demo.seen");
                msg_put_cstr(&b, TAG_SOURCE, "web");
                gme_fill(&b, 1763694000123000000u);
                if (msg_view(&b, str_of(payloads[i]), &m) < 0 || validation_check(v, &m, &report) < 0)
                        abort();
                json_init(&w, &out, false);
                validation_report_json(&report, &w);
                if (json_finish(&w) < 0 || json_check((Str){(char *)out.data, out.len}, NULL, NULL) < 0)
                        abort();
                buf_done(&out);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Str text = {(const char *)data, size};
        Validation v = {0};
        Problems p = {0};

        if (event_types_parse("events.yaml", text, &p, &v.types) == -EINVAL && p.errors == 0)
                abort();
        for (size_t i = 0; i < v.types.n_exact; i++)
                if (event_types_find(&v.types, v.types.items[i].type) != &v.types.items[i])
                        abort();
        problems_done(&p);
        p = (Problems){0};
        int r = validation_parse(&v, "validation.yaml", text, &p);
        if (r == -EINVAL && p.errors == 0)
                abort();
        if (r == 0)
                check(&v);
        validation_done(&v);
        problems_done(&p);
        return 0;
}
