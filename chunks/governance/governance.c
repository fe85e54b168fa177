/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shell of the gate: carries messages between Guardian (control pipe), the ledger and the core. Before a
 * request is judged, what others wrote to the ledger meanwhile is read, so that no budget and no trust is
 * judged by old news: requests wait in a queue for the query that began after they came.
 */
#include "chunks/governance/gate-core.h"
#include "chunks/governance/governance.h"
#include "chunks/runtime/chunk.h"
#include "chunks/runtime/ledger-client.h"
#include "common/clock.h"
#include "common/cleanup.h"
#include "common/log.h"
#include <errno.h>
#include <string.h>

#define LEDGER_HINT "guardianctl ledger verify says whether it is whole"

enum { QUEUE_MAX = 256, TOKEN_FOLD = 1, TOKEN_LIVE = 2 };

typedef struct Waiting {
        List node;
        MsgType type;
        size_t len;
        uint8_t header[];
} Waiting;

typedef struct Governance {
        Chunk *chunk;
        Gate *gate;
        LedgerClient *ledger;
        List queue;               /* of Waiting: requests not judged yet */
        unsigned queued, covered; /* in all; those that the query under way covers */
        bool fold_asked, started, reading, unreadable_said;
        LogLimit full_limit;
        uint64_t own_next;      /* one past the highest index acknowledged to us */
        uint64_t own_next_then; /* the same when the query began */
} Governance;

static GateNow now_of(const Chunk *c) {
        GateNow n = {.boot_us = clock_boot_us(), .wall_us = clock_wall_ns() / 1000};
        memcpy(n.boot_id, c->boot_id, 16);
        return n;
}

static int load(Chunk *c, GatePolicy **ret) {
        const char *dirs[ELEMENTSOF(c->policy_dirs)];
        Problems p = {0};
        for (unsigned i = 0; i < c->n_policy_dirs; i++)
                dirs[i] = c->policy_dirs[i];
        int r = gate_policy_load(dirs, c->n_policy_dirs, geteuid(), &p, ret);
        chunk_log_problems(c, &p);
        problems_done(&p);
        return r;
}

/* ---- commands of the core */
static int op_append(void *user, const GateRecord *r, uint64_t token) {
        Governance *g = user;
        LedgerAppend a = {
                .kind = r->kind,
                .request_id = r->request_id,
                .digest = r->digest,
                .ref = r->ref,
                .verdict_bits = r->verdict_bits,
                .actor = r->actor,
                .action = r->action,
                .resource = r->resource,
                .subsystem = "governance",
                .correlation_id = r->correlation_id,
                .result = r->result,
                .body = r->body,
        };
        int rc = ledger_client_append(g->ledger, &a, token);
        if (rc < 0)
                log_error("a decision can't be handed to the ledger: it is refused as busy",
                        LOG_STR("action", r->action), LOG_UNIT(r->resource), LOG_ERRNO(rc));
        return rc < 0 ? -ENOBUFS : 0;
}

static void op_send(void *user, const MsgBuilder *b) {
        Governance *g = user;
        int rc = link_send(g->chunk->control, b, (Str){NULL, 0});
        if (rc < 0)
                log_error("an answer to guardian is lost: what it asked counts as denied after its time",
                        LOG_STR("type", msg_type_name(b->type)), LOG_ERRNO(rc));
}

static void op_end(void *user, const char *why) {
        Governance *g = user;
        log_error("the gate ends, and will judge again once it is restarted and has read the ledger",
                LOG_STR("reason", why));
        chunk_exit(g->chunk, 1);
}

static void on_ack(void *user, uint64_t token, const char *code, uint64_t index, const uint8_t *hash) {
        Governance *g = user;
        (void)hash;
        if (strcmp(code, "ok") == 0 && index >= g->own_next)
                g->own_next = index + 1;
        gate_acked(g->gate, token, code, index);
}

/* ---- reading the ledger */
static void judge_covered(Governance *g) {
        while (g->covered > 0) {
                Waiting *w = container_of(g->queue.next, Waiting, node);
                Msg m = {.type = w->type, .header = {(const char *)w->header, w->len}, .fd = -1};
                list_remove(&w->node);
                g->queued--;
                g->covered--;
                int rc = m.type == MSG_DECIDE ? gate_decide(g->gate, &m) : gate_answered(g->gate, &m);
                free(w);
                if (rc < 0) {
                        log_error("a request can't be judged, ending", LOG_ERRNO(rc));
                        chunk_exit(g->chunk, 1);
                        return;
                }
        }
}

static void catch_up(Governance *g);

static void on_live(Governance *g, const Msg *rec, const char *code) {
        if (rec) {
                int rc = gate_record(g->gate, rec);
                if (rc == -EBADMSG) { /* not the end: a new gate would read the same */
                        if (!g->unreadable_said)
                                log_error("the gate denies everything",
                                        LOG_STR("reason", gate_unreadable(g->gate)));
                        g->unreadable_said = true;
                } else if (rc < 0) {
                        log_error("a record of the ledger can't be taken in, ending",
                                LOG_U64("index", msg_u64(rec, TAG_INDEX, 0)), LOG_ERRNO(rc));
                        chunk_exit(g->chunk, 1);
                }
                return;
        }
        g->reading = false;
        if (strcmp(code, "ok") != 0) {
                log_error("the ledger can't be read, ending", LOG_STR("code", code),
                        LOG_STR("hint", LEDGER_HINT));
                gate_ledger_failed(g->gate);
                return;
        }
        gate_seen_to(g->gate, g->own_next_then);
        judge_covered(g);
        catch_up(g);
}

static void on_fold(Governance *g, const Msg *rec, const char *code) {
        if (rec) {
                on_live(g, rec, code);
                return;
        }
        g->reading = false;
        if (strcmp(code, "ok") != 0) {
                log_error("the ledger can't be read, ending", LOG_STR("code", code),
                        LOG_STR("hint", LEDGER_HINT));
                chunk_exit(g->chunk, 1);
                return;
        }
        GateNow now = now_of(g->chunk);
        GateStats stats;
        g->started = true;
        int rc = gate_started(g->gate, &now, MODE_NONE);
        if (rc < 0) {
                log_error("the gate can't start, ending", LOG_ERRNO(rc));
                chunk_exit(g->chunk, 1);
                return;
        }
        gate_stats(g->gate, &stats);
        if (!gate_unreadable(g->gate))
                log_info("the gate is ready", LOG_STR("revision", gate_policy(g->gate)->revision),
                        LOG_U64("rules", gate_policy(g->gate)->n_rules), LOG_U64("records", stats.records),
                        LOG_U64("pending_approvals", stats.pending_approvals));
        chunk_ready(g->chunk);
        catch_up(g);
}

static void on_records(void *user, uint64_t token, const Msg *rec, const char *code) {
        Governance *g = user;
        if (token == TOKEN_FOLD)
                on_fold(g, rec, code);
        else
                on_live(g, rec, code);
}

/* Begins a query for everything that waits, unless one is under way. */
static void catch_up(Governance *g) {
        if (!g->started || g->reading || list_empty(&g->queue))
                return;
        g->own_next_then = g->own_next;
        int rc = ledger_client_query(
                g->ledger, GATE_LIVE_KINDS, gate_next_index(g->gate), on_records, TOKEN_LIVE);
        if (rc < 0) {
                log_error("the ledger can't be asked, ending", LOG_ERRNO(rc));
                chunk_exit(g->chunk, 1);
                return;
        }
        g->reading = true;
        g->covered = g->queued;
}

static void wait_in_line(Governance *g, const Msg *m) {
        uint64_t held;
        Waiting *w = g->queued < QUEUE_MAX ? malloc(sizeof(*w) + m->header.n) : NULL;
        if (!w) {
                /* Unanswered is denied by Guardian; it never has this many open. */
                if (log_limit(&g->full_limit, &held))
                        log_error("a request is dropped: guardian denies what is not answered",
                                LOG_U64("waiting", g->queued), LOG_U64("limit", QUEUE_MAX), LOG_HELD(held));
                return;
        }
        w->type = m->type;
        w->len = m->header.n;
        memcpy(w->header, m->header.p, m->header.n);
        list_append(&g->queue, &w->node);
        g->queued++;
        catch_up(g);
}

/* ---- persons */
static void answer_json(Link *l, uint64_t req, Buf *out, const JsonWriter *w, int rc) {
        (void)w;
        if (rc < 0)
                link_result(
                        l, req, 1, "failed", "the answer is larger than a message", (Str){NULL, 0}, false);
        else
                link_result(l, req, 0, "ok", NULL, (Str){(const char *)out->data, out->len}, false);
}

static void reload(Governance *g, Link *l, uint64_t req) {
        GatePolicy *policy;
        int rc = g->started ? load(g->chunk, &policy) : -EAGAIN;
        if (rc < 0) {
                link_result(l, req, 1, "failed",
                        rc == -EAGAIN
                                ? "the gate has not read the ledger yet, try again"
                                : "the policy has errors, the live one stays: see the log of governance",
                        (Str){NULL, 0}, false);
                return;
        }
        rc = gate_set_policy(g->gate, policy);
        link_result(l, req, rc < 0 ? 1 : 0, rc < 0 ? "failed" : "ok", rc < 0 ? strerror(-rc) : NULL,
                (Str){NULL, 0}, false);
}

static void on_call(Governance *g, Link *l, Msg *m) {
        uint64_t req = msg_u64(m, TAG_REQ, 0);
        Str verb = msg_str(m, TAG_VERB);
        bool person = strcmp(l->kind, "person") == 0, control = l == g->chunk->control;
        if ((person && l->role < ROLE_OBSERVER) || (!person && !control)) {
                link_result(l, req, 4, "denied_by_role",
                        "policy and trust are for the role observer and above", (Str){NULL, 0}, false);
                return;
        }
        if (control && str_eq(verb, "reload")) {
                reload(g, l, req);
                return;
        }
        Buf out = BUF_INIT(192 * 1024);
        JsonWriter w;
        char component[161];
        GateNow now = now_of(g->chunk);
        json_init(&w, &out, false);
        if (str_eq(verb, "policy")) {
                gate_policy_json(g->gate, &w);
                answer_json(l, req, &out, &w, json_finish(&w));
        } else if (str_eq(verb, "trust") && gate_unreadable(g->gate)) {
                link_result(l, req, 1, "failed", gate_unreadable(g->gate), (Str){NULL, 0}, false);
        } else if (str_eq(verb, "trust")) {
                str_copy(component, sizeof(component), msg_arg(m, TAG_ARG, "component"));
                gate_trust_json(g->gate, component[0] ? component : NULL, &now, &w);
                answer_json(l, req, &out, &w, json_finish(&w));
        } else {
                link_result(l, req, 64, "unsupported", "governance answers these: policy, trust",
                        (Str){NULL, 0}, false);
        }
        buf_done(&out);
}

/* ---- the chunk */
static int on_init(Chunk *c, void *user) {
        static const GateOps ops = {op_append, op_send, op_end};
        Governance *g = user;
        GatePolicy *policy;
        g->chunk = c;
        list_init(&g->queue);
        c->hold_ready = true;
        int r = load(c, &policy);
        if (r < 0)
                return r;
        if (policy->lockdown)
                log_error("no policy file was found: lockdown, everything is denied",
                        LOG_STR("last_dir",
                                c->n_policy_dirs ? c->policy_dirs[c->n_policy_dirs - 1] : "(none)"),
                        LOG_STR("hint",
                                "governance.yaml comes with the installation; guardian --policies DIR"));
        r = gate_new(policy, &ops, g, &g->gate);
        return r < 0 ? r : ledger_client_new(c, g, on_ack, &g->ledger);
}

/* Judges a request that every policy must deny, and one decision must be canonical. */
static int on_self_test(Chunk *c, void *user, char *why, size_t cap) {
        Governance *g = user;
        auto_free GateInput *in = calloc(1, sizeof(*in));
        auto_free GateDecision *d = calloc(1, sizeof(*d));
        if (!in || !d)
                return -ENOMEM;
        in->now = now_of(c);
        in->mode = MODE_LOG_ONLY;
        in->uid = in->request.incident = UINT64_MAX;
        str_copy(in->actor_kind, sizeof(in->actor_kind), STR_LIT("unit"));
        str_copy(in->purpose, sizeof(in->purpose), STR_LIT("check"));
        str_copy(in->request.actor, sizeof(in->request.actor), STR_LIT("self-test"));
        str_copy(in->request.action, sizeof(in->request.action), STR_LIT("no-such-action"));
        gate_evaluate(gate_policy(g->gate), in, NULL, d);
        Buf out = BUF_INIT(65536);
        int r = gate_decision_body(d, in, &out);
        if (r == 0)
                r = json_check_canonical((Str){(const char *)out.data, out.len}, NULL, NULL);
        buf_done(&out);
        if (d->verdict != VERDICT_DENY || r < 0) {
                str_copy(why, cap, STR_LIT("the evaluator does not deny what does not exist"));
                return -EPROTO;
        }
        return 0;
}

static bool is_ledger(const Link *l) {
        return strcmp(l->kind, "chunk") == 0 && strcmp(l->unit, "ledger") == 0;
}

static void on_link(Chunk *c, Link *l, void *user) {
        Governance *g = user;
        if (!is_ledger(l))
                return;
        ledger_client_link(g->ledger, l);
        if (g->fold_asked)
                return;
        int r = ledger_client_query(g->ledger, GATE_FOLD_KINDS, 0, on_records, TOKEN_FOLD);
        if (r < 0) {
                log_error("the ledger can't be asked, ending", LOG_ERRNO(r));
                chunk_exit(c, 1);
                return;
        }
        g->fold_asked = g->reading = true;
}

static void on_link_lost(Chunk *c, Link *l, const char *reason, void *user) {
        Governance *g = user;
        (void)c;
        (void)reason;
        if (is_ledger(l)) /* a successor is announced only after this */
                ledger_client_lost(g->ledger);
}

static void on_msg(Chunk *c, Link *l, Msg *m, void *user) {
        Governance *g = user;
        if (is_ledger(l) && ledger_client_msg(g->ledger, l, m))
                return;
        if (l == c->control && (m->type == MSG_DECIDE || m->type == MSG_APPROVAL_ANSWERED)) {
                wait_in_line(g, m);
        } else if (m->type == MSG_CALL) {
                on_call(g, l, m);
        } else {
                log_warning("a message that does not belong here, closing the link", LOG_STR("peer", l->unit),
                        LOG_STR("type", msg_type_name(m->type)));
                if (l != c->control)
                        conn_close_after_flush(l->conn, 0);
        }
}

static int check(const char *const *dirs, unsigned n, Problems *problems) {
        GatePolicy *policy = NULL;
        int r = gate_policy_load(dirs, n, geteuid(), problems, &policy);
        if (r == 0 && policy->lockdown)
                problem_add(problems, PROBLEM_WARNING, n ? dirs[0] : NULL, 0, 0, "no-policy",
                        "governance.yaml and its siblings come with the installation",
                        "no policy file was found: the gate would deny everything");
        gate_policy_free(policy);
        return r;
}

int governance_main(int argc, char **argv) {
        static const ChunkOps ops = {
                .program = "guardian-governance",
                .init = on_init,
                .self_test = on_self_test,
                .on_link = on_link,
                .on_link_lost = on_link_lost,
                .on_msg = on_msg,
        };
        static Governance g;
        chunk_set_checker(check);
        return chunk_main(argc, argv, &ops, &g);
}
