/* SPDX-License-Identifier: Apache-2.0 */
/* guardian-validators: answers VALIDATE of the mesh. It has no state and writes nothing. */
#include "chunks/runtime/chunk.h"
#include "chunks/validators/validate.h"
#include "common/cleanup.h"
#include "common/log.h"
#include <errno.h>

static int check(const char *const *dirs, unsigned n, Problems *problems) {
        Validation v;
        int r = validation_load(&v, dirs, n, problems);

        validation_done(&v);
        return r;
}

static int on_init(Chunk *c, void *user) {
        const char *dirs[ELEMENTSOF(c->policy_dirs)];
        Problems problems = {0};
        Validation *v = user;
        int r;

        for (unsigned i = 0; i < c->n_policy_dirs; i++)
                dirs[i] = c->policy_dirs[i];
        r = validation_load(v, dirs, c->n_policy_dirs, &problems);
        chunk_log_problems(c, &problems);
        problems_done(&problems);
        if (r == 0)
                log_info("policies loaded", LOG_U64("rules", v->n_rules), LOG_U64("schemas", v->n_schemas));
        return r;
}

static int on_self_test(Chunk *c, void *user, char *why, size_t cap) {
        (void)c;
        (void)user;
        return validation_self_test(why, cap);
}

static void answer(Link *l, uint64_t req, const ValidationReport *report) {
        const char *code = !report->refused         ? "ok"
                           : report->constitutional ? "E.POLICY_VIOLATION"
                                                    : "E.VALIDATION";
        Buf body = BUF_INIT(FRAME_MAX / 2);
        char text[512];
        JsonWriter w;
        MsgBuilder b;
        int r;

        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_u64(&b, TAG_STATUS, report->refused ? 1 : 0);
        msg_put_cstr(&b, TAG_CODE, code);
        for (size_t i = 0; i < report->n && b.len < FRAME_HEADER_MAX - 2048; i++) {
                if (i == 0)
                        msg_put_text(&b, TAG_MESSAGE,
                                validation_issue_text(&report->issues[i], text, sizeof(text)));
                msg_put_text(&b, TAG_ISSUE, validation_issue_text(&report->issues[i], text, sizeof(text)));
        }
        json_init(&w, &body, true);
        validation_report_json(report, &w);
        r = json_finish(&w);
        r = link_send(l, &b, r < 0 ? (Str){0} : (Str){(const char *)body.data, body.len});
        if (r < 0)
                log_warning("a verdict can't be sent, the event will be refused", LOG_UNIT(l->unit),
                        LOG_ERRNO(r));
        buf_done(&body);
}

static void on_msg(Chunk *c, Link *l, Msg *m, void *user) {
        auto_free ValidationReport *report = NULL;
        uint64_t req = msg_u64(m, TAG_REQ, 0);

        (void)c;
        if (m->type != MSG_VALIDATE) {
                log_warning("a message that the validators do not take", LOG_UNIT(l->unit),
                        LOG_STR("type", msg_type_name(m->type)));
                if (req)
                        link_result(
                                l, req, 1, "unsupported", "only VALIDATE is answered here", (Str){0}, false);
                return;
        }
        report = calloc(1, sizeof(*report));
        if (!report || validation_check(user, m, report) < 0)
                link_result(l, req, 1, "E.UNAVAILABLE", "out of memory", (Str){0}, false);
        else
                answer(l, req, report);
}

int main(int argc, char **argv) {
        static const ChunkOps ops = {.program = "guardian-validators",
                .init = on_init,
                .self_test = on_self_test,
                .on_msg = on_msg};
        static Validation validation;
        int status;

        chunk_set_checker(check);
        status = chunk_main(argc, argv, &ops, &validation);
        validation_done(&validation);
        return status;
}
