/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shell: messages become events of the core, its commands become messages. It holds no decision. What it
 * can't deliver is counted: events while the mesh is away are not kept, they stand in the ledger as incident
 * records.
 */
#include "immune/immune.h"
#include "immune/inbox.h"
#include "immune/proc.h"
#include "common/clock.h"
#include "common/gme.h"
#include "common/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { INVOKES_MAX = 256, ANSWER_MAX = 240 * 1024 };
/* What the fold reads: its own incidents, and what became of their questions. */
static const uint64_t folded_kinds =
        1U << RECORD_INCIDENT | 1U << RECORD_DECISION | 1U << RECORD_INTENT | 1U << RECORD_ACTION;

typedef struct Invoke {
        uint64_t token, req; /* token 0: free */
        uint64_t instance;   /* of the mesh that asked */
} Invoke;

struct Immune {
        Chunk *chunk;
        ImmunePolicy *policy;
        ImmuneCore *core;
        LedgerClient *ledger;
        uv_timer_t timer, retry;
        Invoke invokes[INVOKES_MAX];
        uint64_t requests;      /* REQ of what we ask */
        uint64_t units_req;     /* of the newest snapshot, 0: none under way */
        uint64_t subscribe_req; /* of the units' pattern */
        uint64_t events_lost;
        bool folding, folded, asked, draining;
        LogLimit record_limit, event_limit, refused_limit;
};

static ImmuneNow now(void) {
        return (ImmuneNow){clock_boot_us(), clock_wall_ns()};
}

/* -ENOMEM and its like leave the core half way: the next start goes on from the ledger. */
static void check(Immune *im, int r) {
        if (r == 0)
                return;
        log_error("cannot go on, ending: the next start continues from the ledger", LOG_ERRNO(r));
        chunk_exit(im->chunk, 1);
}

/* ---- commands */

static void do_append(Immune *im, const ImmuneCmd *cmd) {
        uint64_t token = cmd->token, held;
        LedgerAppend a = {.kind = cmd->record,
                .ref = cmd->ref,
                .actor = im->chunk->unit,
                .action = cmd->action[0] ? cmd->action : NULL,
                .resource = cmd->resource,
                .subsystem = "immune",
                .correlation_id = cmd->correlation_id,
                .result = cmd->result[0] ? cmd->result : NULL,
                .body = cmd->body};
        int r = ledger_client_append(im->ledger, &a, token);

        if (r < 0) {
                if (log_limit(&im->record_limit, &held))
                        log_warning("a record of an incident can't be handed to the ledger",
                                LOG_UNIT(cmd->resource), LOG_ERRNO(r), LOG_HELD(held));
                check(im, immune_on_ack(im->core, now(), token, false, 0));
        }
}

static void do_publish(Immune *im, const ImmuneCmd *cmd) {
        Link *mesh = chunk_link(im->chunk, "mesh");
        MsgBuilder b;

        msg_begin(&b, MSG_PUBLISH);
        msg_put_u64(&b, TAG_REQ, ++im->requests);
        msg_put_cstr(&b, TAG_TYPE, cmd->type);
        msg_put_cstr(&b, TAG_PRIORITY, cmd->priority);
        if (cmd->resource[0])
                msg_put_cstr(&b, TAG_RESOURCE, cmd->resource);
        if (cmd->correlation_id[0])
                msg_put_cstr(&b, TAG_CORRELATION_ID, cmd->correlation_id);
        gme_fill(&b, clock_wall_ns());
        int r = mesh ? link_send(mesh, &b, cmd->body.n ? cmd->body : STR_LIT("{}")) : -ENOTCONN;
        if (r < 0 && im->events_lost++ == 0)
                log_warning("the mesh takes no events: they are lost until it does, the incidents' records "
                            "stand in the ledger",
                        LOG_STR("type", cmd->type), LOG_ERRNO(r));
}

static void do_propose(Immune *im, const ImmuneCmd *cmd) {
        uint64_t token = cmd->token;
        MsgBuilder b;

        msg_begin(&b, MSG_PROPOSE);
        msg_put_u64(&b, TAG_REQ, token);
        msg_put_cstr(&b, TAG_ACTION, cmd->action);
        msg_put_cstr(&b, TAG_TARGET, cmd->resource);
        msg_put_u64(&b, TAG_INCIDENT, cmd->incident);
        for (unsigned i = 0; i < cmd->n_claims; i++)
                msg_put_cstr(&b, TAG_CLAIM, cmd->claims[i]);
        msg_put_cstr(&b, TAG_CORRELATION_ID, cmd->correlation_id);
        msg_put_text(&b, TAG_REASON, cmd->reason);
        int r = link_send(im->chunk->control, &b, (Str){NULL, 0});
        log_notice("proposed", LOG_STR("action", cmd->action), LOG_UNIT(cmd->resource),
                LOG_STR("correlation_id", cmd->correlation_id), LOG_U64("request", token));
        if (r < 0) {
                ProposalReport refused = {.req = token,
                        .code = CODE_BUSY,
                        .decision_index = UINT64_MAX,
                        .intent_index = UINT64_MAX,
                        .action_index = UINT64_MAX,
                        .reason = "the control pipe is full"};
                check(im, immune_on_proposal(im->core, now(), &refused));
        }
}

static void do_sample(Immune *im, const ImmuneCmd *cmd) {
        char unit[161];
        uint64_t pid = cmd->pid, start = cmd->start_time;

        str_copy(unit, sizeof(unit), str_of(cmd->resource));
        check(im, immune_on_sample(im->core, now(), unit, pid, start, proc_resident(pid, start)));
}

static void do_evidence(Immune *im, const ImmuneCmd *cmd) {
        Evidence e[IMMUNE_EVIDENCE_MAX];
        uint64_t token = cmd->token;
        unsigned n = proc_evidence(cmd->pid, cmd->start_time, e);

        check(im, immune_on_evidence(im->core, now(), token, e, n));
}

static void do_answer(Immune *im, const ImmuneCmd *cmd) {
        Link *mesh = chunk_link(im->chunk, "mesh");

        for (unsigned i = 0; i < INVOKES_MAX; i++) {
                Invoke *v = &im->invokes[i];
                if (v->token != cmd->token)
                        continue;
                v->token = 0;
                if (!mesh || mesh->instance != v->instance) /* who asked is gone */
                        return;
                bool ok = strcmp(cmd->result, "ok") == 0;
                link_result(mesh, v->req, ok ? 0 : 1, cmd->result, ok ? NULL : "no incident was opened",
                        cmd->body, false);
                return;
        }
}

static void on_timer(uv_timer_t *h);

static void do_timer(Immune *im, const ImmuneCmd *cmd) {
        uint64_t at = cmd->at_us, us = clock_boot_us();

        if (at == UINT64_MAX) {
                uv_timer_stop(&im->timer);
                return;
        }
        uv_update_time(&im->chunk->loop);
        uv_timer_start(&im->timer, on_timer, at > us ? (at - us + 999) / 1000 : 0, 0);
}

static void drain(Immune *im) {
        static void (*const does[])(Immune *, const ImmuneCmd *) = {[IMMUNE_CMD_APPEND] = do_append,
                [IMMUNE_CMD_PUBLISH] = do_publish,
                [IMMUNE_CMD_PROPOSE] = do_propose,
                [IMMUNE_CMD_SAMPLE] = do_sample,
                [IMMUNE_CMD_EVIDENCE] = do_evidence,
                [IMMUNE_CMD_ANSWER] = do_answer,
                [IMMUNE_CMD_TIMER] = do_timer};
        const ImmuneCmd *cmd;

        if (im->draining || !im->core)
                return;
        im->draining = true;
        while ((cmd = immune_next(im->core)))
                does[cmd->kind](im, cmd);
        im->draining = false;
}

static void on_timer(uv_timer_t *h) {
        Immune *im = h->data;
        check(im, immune_on_timer(im->core, now()));
        drain(im);
}

/* ---- start: the fold and the snapshot */

static void on_retry(uv_timer_t *h);

static void ask_units(Immune *im) {
        MsgBuilder b;

        im->asked = true;
        im->units_req = ++im->requests;
        immune_snapshot_begin(im->core, now());
        msg_begin(&b, MSG_UNITS);
        msg_put_u64(&b, TAG_REQ, im->units_req);
        int r = link_send(im->chunk->control, &b, (Str){NULL, 0});
        if (r < 0) {
                log_warning("guardian can't be asked for its units, asking again in 1 s", LOG_ERRNO(r));
                im->units_req = 0;
                im->asked = false;
                uv_timer_start(&im->retry, on_retry, 1000, 0);
        }
}

static void on_folded(void *user, uint64_t token, const Msg *rec, const char *code) {
        Immune *im = user;
        char correlation[81];
        (void)token;

        if (rec) {
                str_copy(correlation, sizeof(correlation), msg_str(rec, TAG_CORRELATION_ID));
                int r = immune_fold(im->core, (RecordKind)msg_u64(rec, TAG_KIND, 0),
                        msg_u64(rec, TAG_INDEX, 0), msg_u64(rec, TAG_TIME_NS, 0),
                        correlation[0] ? correlation : NULL, rec->payload);
                check(im, r == -ENOMEM ? r : 0); /* records of others, or too many: not ours to judge */
                return;
        }
        im->folding = false;
        if (strcmp(code, "ok") != 0) {
                log_warning("the ledger did not tell of earlier incidents, asking again in 1 s",
                        LOG_STR("code", code));
                uv_timer_start(&im->retry, on_retry, 1000, 0);
                return;
        }
        im->folded = true;
        check(im, immune_folded(im->core, now()));
        drain(im);
}

static void fold(Immune *im) {
        if (im->folded || im->folding || !chunk_link(im->chunk, "ledger"))
                return;
        int r = ledger_client_query(im->ledger, folded_kinds, 0, on_folded, 0);
        im->folding = r == 0;
        if (r < 0)
                uv_timer_start(&im->retry, on_retry, 1000, 0);
}

static void on_retry(uv_timer_t *h) {
        Immune *im = h->data;

        fold(im);
        if (!im->asked)
                ask_units(im);
        drain(im);
}

static void on_ack(void *user, uint64_t token, const char *code, uint64_t index, const uint8_t *hash) {
        Immune *im = user;
        bool ok = strcmp(code, "ok") == 0;
        uint64_t held;
        (void)hash;

        if (!ok && log_limit(&im->record_limit, &held))
                log_warning(
                        "the ledger refused a record of an incident", LOG_STR("code", code), LOG_HELD(held));
        check(im, immune_on_ack(im->core, now(), token, ok, index));
        drain(im);
}

static int load_policy(Immune *im) {
        const char *dirs[8];
        Problems problems = {0};

        for (unsigned i = 0; i < im->chunk->n_policy_dirs; i++)
                dirs[i] = im->chunk->policy_dirs[i];
        int r = immune_policy_load(dirs, im->chunk->n_policy_dirs, &problems, &im->policy);
        chunk_log_problems(im->chunk, &problems);
        problems_done(&problems);
        return r;
}

static int on_init(Chunk *c, void *user) {
        Immune *im = user;
        ImmuneConfig cfg = {.self = c->unit};

        im->chunk = c;
        uv_timer_init(&c->loop, &im->timer);
        uv_timer_init(&c->loop, &im->retry);
        im->timer.data = im->retry.data = im;
        int r = load_policy(im);
        if (r < 0)
                return r;
        if (getrandom(cfg.seed, sizeof(cfg.seed), 0) != (ssize_t)sizeof(cfg.seed))
                return -EIO;
        cfg.policy = im->policy;
        r = immune_core_new(&cfg, &im->core);
        if (r == 0)
                r = ledger_client_new(c, im, on_ack, &im->ledger);
        if (r == 0)
                ask_units(im);
        return r;
}

static int on_self_test(Chunk *c, void *user, char *why, size_t cap) {
        Immune *im = user;
        (void)c;
        return immune_self_test(im->policy, why, cap);
}

/* ---- links */

static void subscribe(Immune *im, Link *mesh) {
        MsgBuilder b;

        for (const char *const *p = inbox_patterns; *p; p++) {
                msg_begin(&b, MSG_SUBSCRIBE);
                msg_put_u64(&b, TAG_REQ, ++im->requests);
                if (p == inbox_patterns)
                        im->subscribe_req = im->requests;
                msg_put_cstr(&b, TAG_PATTERN, *p);
                int r = link_send(mesh, &b, (Str){NULL, 0});
                if (r < 0)
                        log_warning("can't subscribe at the mesh: such events are not seen",
                                LOG_STR("pattern", *p), LOG_ERRNO(r));
        }
}

static void on_link(Chunk *c, Link *l, void *user) {
        Immune *im = user;
        (void)c;

        if (strcmp(l->kind, "chunk") != 0)
                return;
        if (strcmp(l->unit, "ledger") == 0) {
                ledger_client_link(im->ledger, l);
                fold(im);
        } else if (strcmp(l->unit, "mesh") == 0) {
                im->events_lost = 0;
                subscribe(im, l);
        }
}

static void on_link_lost(Chunk *c, Link *l, const char *reason, void *user) {
        Immune *im = user;
        (void)c;

        if (strcmp(l->kind, "chunk") != 0)
                return;
        log_debug("link ended", LOG_UNIT(l->unit), LOG_STR("reason", reason));
        if (strcmp(l->unit, "ledger") == 0 && !chunk_link(c, "ledger"))
                ledger_client_lost(im->ledger);
        if (strcmp(l->unit, "mesh") == 0)
                for (unsigned i = 0; i < INVOKES_MAX; i++)
                        if (im->invokes[i].instance == l->instance)
                                im->invokes[i].token = 0;
}

/* ---- messages */

static void on_invoke(Immune *im, Link *l, const Msg *m) {
        uint64_t req = msg_u64(m, TAG_REQ, 0);
        Invoke *v = NULL;

        for (unsigned i = 0; i < INVOKES_MAX && !v; i++)
                if (im->invokes[i].token == 0)
                        v = &im->invokes[i];
        if (!v) {
                link_result(l, req, 1, "E.RATE_LIMIT", "too many calls are under way", (Str){NULL, 0}, false);
                return;
        }
        /* Numbers of their own: the top bit keeps them apart from the core's. */
        *v = (Invoke){++im->requests | 1ULL << 63, req, l->instance};
        int r = inbox_invoke(im->core, now(), m, v->token);
        if (r == -ENOENT || r == -EINVAL) {
                v->token = 0;
                link_result(l, req, 1, r == -ENOENT ? "E.NOT_FOUND" : "E.VALIDATION",
                        r == -ENOENT ? "the immune kernel has no handler of this name"
                                     : "the parameters must name a unit: component, or resource",
                        (Str){NULL, 0}, false);
                return;
        }
        check(im, r);
}

static void on_call(Immune *im, Link *l, const Msg *m) {
        Buf b = BUF_INIT(ANSWER_MAX);
        uint64_t req = msg_u64(m, TAG_REQ, 0);
        Str verb = msg_str(m, TAG_VERB), id = msg_arg(m, TAG_ARG, "id");
        char name[129];
        int found = 0;
        JsonWriter w;

        if (l->role < ROLE_OBSERVER) {
                link_result(l, req, 4, "denied_by_role", "incidents are for the role observer and above",
                        (Str){NULL, 0}, false);
                return;
        }
        json_init(&w, &b, false);
        if (str_eq(verb, "incidents")) {
                immune_incidents_json(im->core, &w);
        } else if (str_eq(verb, "incident")) {
                str_copy(name, sizeof(name), id.p ? id : msg_str(m, TAG_UNIT));
                found = immune_incident_json(im->core, name, &w);
        } else {
                link_result(l, req, 64, "unsupported", "the immune kernel answers these: incidents, incident",
                        (Str){NULL, 0}, false);
                return;
        }
        if (found == 1)
                link_result(l, req, 6, "unknown_id", "there is no such incident", (Str){NULL, 0}, false);
        else if (json_finish(&w) < 0)
                link_result(l, req, 1, "failed", "the answer is too large", (Str){NULL, 0}, false);
        else
                link_result(l, req, 0, "ok", NULL, (Str){(const char *)b.data, b.len}, false);
        buf_done(&b);
}

/* A question to people and what was carried out are told by Guardian. */
static void log_answer(const Msg *m) {
        char code[65], reason[400];

        str_copy(code, sizeof(code), msg_str(m, TAG_CODE));
        str_copy(reason, sizeof(reason), msg_str(m, TAG_REASON));
        if (strcmp(code, "ok") != 0 && strcmp(code, "approval_required") != 0)
                log_notice("proposal refused", LOG_STR("code", code), LOG_STR("reason", reason),
                        LOG_U64("request", msg_u64(m, TAG_REQ, 0)));
}

static void on_control(Immune *im, const Msg *m) {
        int r = 0;

        if (m->type == MSG_UNIT_INFO && msg_u64(m, TAG_REQ, 0) == im->units_req)
                r = inbox_unit_info(im->core, now(), m);
        else if (m->type == MSG_RESULT && im->units_req && msg_u64(m, TAG_REQ, 0) == im->units_req) {
                im->units_req = 0;
                if (msg_u64(m, TAG_STATUS, 0) == 0)
                        r = immune_snapshot_end(im->core, now());
                else {
                        im->asked = false;
                        uv_timer_start(&im->retry, on_retry, 1000, 0);
                }
        } else if (m->type == MSG_PROPOSAL_RESULT) {
                log_answer(m);
                r = inbox_proposal(im->core, now(), m);
        }
        check(im, r == -EINVAL ? 0 : r);
}

static void on_mesh(Immune *im, Link *l, const Msg *m) {
        char type[129], source[161], id[65];
        uint64_t held;

        if (m->type == MSG_INVOKE) {
                on_invoke(im, l, m);
        } else if (m->type == MSG_EVENT) {
                int r = inbox_event(im->core, now(), m);
                str_copy(type, sizeof(type), msg_str(m, TAG_TYPE));
                str_copy(source, sizeof(source), msg_str(m, TAG_SOURCE));
                str_copy(id, sizeof(id), msg_str(m, TAG_MSG_ID));
                if (r == -EINVAL || r == -EMSGSIZE) {
                        if (log_limit(&im->event_limit, &held))
                                log_warning("an event does not say what its type says: it is not looked at",
                                        LOG_STR("type", type), LOG_STR("source", source),
                                        LOG_STR("msg_id", id), LOG_HELD(held));
                } else
                        check(im, r);
        } else if (m->type == MSG_RESULT) {
                if (msg_u64(m, TAG_STATUS, 0) != 0 && log_limit(&im->refused_limit, &held)) {
                        char code[65], message[401];
                        str_copy(code, sizeof(code), msg_str(m, TAG_CODE));
                        str_copy(message, sizeof(message), msg_str(m, TAG_MESSAGE));
                        log_warning("the mesh refused an event or a subscription of the immune kernel",
                                LOG_STR("code", code), LOG_STR("reason", message), LOG_HELD(held));
                }
                /* From here on no event of a unit is missed; what came before the snapshot tells. */
                if (msg_u64(m, TAG_REQ, 0) == im->subscribe_req)
                        ask_units(im);
        }
}

static void on_msg(Chunk *c, Link *l, Msg *m, void *user) {
        Immune *im = user;

        if (l == c->control)
                on_control(im, m);
        else if (strcmp(l->unit, "ledger") == 0 && strcmp(l->kind, "chunk") == 0)
                ledger_client_msg(im->ledger, l, m);
        else if (strcmp(l->unit, "mesh") == 0 && strcmp(l->kind, "chunk") == 0)
                on_mesh(im, l, m);
        else if (m->type == MSG_CALL)
                on_call(im, l, m);
        drain(im);
}

static int check_dirs(const char *const *dirs, unsigned n, Problems *problems) {
        ImmunePolicy *p = NULL;
        char why[200];
        int r = immune_policy_load(dirs, n, problems, &p);

        if (r == 0) {
                r = immune_self_test(p, why, sizeof(why));
                if (r < 0)
                        problem_add(problems, PROBLEM_ERROR, "playbooks.yaml", 0, 0, "no-answer",
                                "a playbook for memory_leak of every severity, detectors that see one", "%s",
                                why);
        }
        immune_policy_free(p);
        return r;
}

int immune_main(int argc, char **argv) {
        static const ChunkOps ops = {.program = "guardian-immune",
                .handlers = inbox_handlers,
                .init = on_init,
                .self_test = on_self_test,
                .on_link = on_link,
                .on_link_lost = on_link_lost,
                .on_msg = on_msg};
        Immune im = {0};

        chunk_set_checker(check_dirs);
        int status = chunk_main(argc, argv, &ops, &im);
        ledger_client_free(im.ledger);
        immune_core_free(im.core);
        immune_policy_free(im.policy);
        return status;
}
