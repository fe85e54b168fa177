/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of the control socket as one table: name, least role, what it does. A verb that changes something goes through
 * enforce_propose(), whatever the role; reading verbs answer at once. What belongs to a chunk (ledger, mesh, immune, governance)
 * is not relayed: `connect` hands the caller a stream to it.
 */
#include "guardian/verbs.h"
#include "common/cleanup.h"
#include "common/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPLY_MAX = 16 * 1024 * 1024 };

void verb_result(const Call *c, int status, const char *code, const char *message, Str body) {
        control_result(c->m->control, c->client, c->req, status, code, message, body, false, -1);
}

void verb_refuse(const Call *c, Code code, const char *message) {
        verb_result(c, code_exit_status(code), code_to_string((int)code), message, (Str){NULL, 0});
}

static void send_document(const Call *c, int status, const char *code, const char *message, Buf *out) {
        if (control_document(c->m->control, c->client, c->req, status, code, message, out) == -EBUSY)
                verb_refuse(c, CODE_BUSY, "other documents are on their way to clients that do not read them");
}

/* Sends a document that fn wrote, whole or not at all. */
void verb_document(const Call *c, int (*fn)(const Call *c, Buf *out)) {
        Buf out = BUF_INIT(REPLY_MAX);
        int r = fn(c, &out);
        if (r < 0)
                verb_result(c, 1, "failed", strerror(-r), (Str){NULL, 0});
        else
                send_document(c, 0, "ok", NULL, &out);
        buf_done(&out);
}

ActorKind verb_actor(const Peer *p) {
        return p->kind == PEER_PERSON ? ACTOR_PERSON : ACTOR_UNIT;
}

/* ---- what changes something */

/* The document of mutating verbs, of one that has no request: nobody was asked. */
void verb_code(const Call *c, Code code, const char *reason) {
        EnforceReply r = {.code = code, .verdict = VERDICT_NONE, .decision_index = UINT64_MAX, .intent_index = UINT64_MAX,
                .action_index = UINT64_MAX, .approval_id = "", .reason = reason, .correlation_id = ""};
        Buf out = BUF_INIT(4096);
        JsonWriter w;
        json_init(&w, &out, false);
        enforce_reply_to_json(&r, &w);
        Str body = json_finish(&w) == 0 ? (Str){(char *)out.data, out.len} : (Str){NULL, 0};
        verb_result(c, code_exit_status(code), code_to_string((int)code), reason[0] ? reason : NULL, body);
        buf_done(&out);
}

static const char *needs_role(const Call *c, Role role, char *out, size_t cap) {
        if (c->peer->kind != PEER_PERSON)
                return "a unit may not ask for this";
        snprintf(out, cap, "your role is %s; it takes %s", role_to_string((int)c->peer->role), role_to_string((int)role));
        return out;
}

/* The answer of a switch that is Guardian's own: its verb says the role. */
void verb_switch(const Call *c, const char *verb, Code code) {
        char text[96];
        const EnforceVerb *v = enforce_verb(str_of(verb));
        verb_code(c, code, code == CODE_DENIED_BY_ROLE && v ? needs_role(c, v->role, text, sizeof(text)) : "");
}

static void propose(const Call *c, Str action, Str target) {
        EnforceProposal p = {.kind = verb_actor(c->peer), .actor = c->peer->actor, .uid = c->peer->uid, .role = c->peer->role,
                .action = action, .target = target, .incident = UINT64_MAX, .reason = msg_str(c->msg, TAG_REASON)};
        size_t pos = 0;
        Str s;
        while (msg_next_str(c->msg, TAG_ARG, &pos, &s)) {
                Str k, v;
                /* what steers guardianctl or this file is not part of the request */
                if (!str_split(s, '=', &k, &v) || str_eq(k, "no_block") || str_eq(k, "force") || str_eq(k, "action") ||
                        str_eq(k, "target"))
                        continue;
                if (p.n_args >= REQUEST_ARGS_MAX) {
                        verb_code(c, CODE_INVALID, "too many arguments");
                        return;
                }
                p.args[p.n_args++] = s;
        }
        bool no_block = msg_arg(c->msg, TAG_ARG, "no_block").p != NULL;
        Waiter *w = govern_waiter(c->m, c->client, c->req);
        if (!w) {
                verb_code(c, CODE_BUSY, "out of memory");
                return;
        }
        p.waiter = w->id;
        uint64_t id = w->id;
        enforce_propose(c->m->enforce, &p, manager_now());
        if (no_block && govern_forget(c->m, id))
                verb_code(c, CODE_OK, "asked for; not waiting");
}

static void verb_propose(const Call *c) {
        Str action = msg_arg(c->msg, TAG_ARG, "action"), target = msg_str(c->msg, TAG_UNIT);
        if (!action.p) {
                verb_code(c, CODE_INVALID, "an action is missing");
                return;
        }
        propose(c, action, target);
}

static void verb_unit_act(const Call *c) {
        Str target = msg_str(c->msg, TAG_UNIT);
        if (!target.p) {
                verb_code(c, CODE_INVALID, "a unit is missing");
                return;
        }
        propose(c, msg_str(c->msg, TAG_VERB), target);
}

/* reload-unit: who may act on units is told at once that there is nothing to run. */
static void verb_reload(const Call *c) {
        const ManagedUnit *u = manager_unit(c->m, msg_str(c->msg, TAG_UNIT));
        if (u && u->config->exec[EXEC_RELOAD].n == 0 && c->peer->role >= ROLE_OPERATOR) {
                char text[160];
                snprintf(text, sizeof(text), "%s has no ExecReload=", u->config->name);
                verb_code(c, CODE_INVALID, text);
                return;
        }
        verb_unit_act(c);
}

/* stop: what others need is stopped only with --force. */
static void verb_stop(const Call *c) {
        Manager *m = c->m;
        ManagedUnit *u = manager_unit(m, msg_str(c->msg, TAG_UNIT));
        bool force = msg_arg(c->msg, TAG_ARG, "force").p != NULL;
        if (u && !force && c->peer->role >= ROLE_OPERATOR) { /* who may not stop it is not told who needs it */
                uint32_t others[64];
                uint32_t n = plan_dependents(m->plan, u->index, others, 64);
                char text[512];
                size_t at = 0;
                text[0] = 0;
                for (uint32_t i = 0; i < n && i < 64; i++)
                        if (!unit_is_down(&m->units[others[i]].machine) && at < sizeof(text) - 80)
                                at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? ", " : "needed by: ",
                                        m->units[others[i]].config->name);
                if (at) {
                        snprintf(text + at, sizeof(text) - at, " (--force stops it all the same)");
                        verb_code(c, CODE_NEEDED_BY_OTHERS, text);
                        return;
                }
        }
        verb_unit_act(c);
}

static void verb_global_act(const Call *c) {
        propose(c, msg_str(c->msg, TAG_VERB), (Str){NULL, 0});
}

static void verb_mode(const Call *c) {
        if (msg_arg(c->msg, TAG_ARG, "mode").p) {
                verb_global_act(c);
                return;
        }
        EnforceStatus st;
        char text[160];
        enforce_status(c->m->enforce, manager_now(), &st);
        int n = snprintf(text, sizeof(text), "{\"mode\":\"%s\",\"recorded\":\"%s\",\"floor\":\"%s\"}", mode_to_string((int)st.mode),
                mode_to_string((int)st.mode_recorded), mode_to_string((int)st.mode_floor));
        verb_result(c, 0, "ok", NULL, (Str){text, (size_t)n});
}

static void verb_vote(const Call *c) {
        Waiter *w = govern_waiter(c->m, c->client, c->req);
        if (!w) {
                verb_code(c, CODE_BUSY, "out of memory");
                return;
        }
        enforce_vote(c->m->enforce, w->id, verb_actor(c->peer), c->peer->uid, c->peer->role, msg_arg(c->msg, TAG_ARG, "id"),
                str_eq(msg_str(c->msg, TAG_VERB), "approve"), msg_arg(c->msg, TAG_ARG, "note"), manager_now());
}

/* A bootstrap exemption: it waits for neither gate nor ledger. */
static void verb_shutdown(const Call *c) {
        char text[32];
        uint64_t status = 0;
        str_copy(text, sizeof(text), msg_arg(c->msg, TAG_ARG, "exit_code"));
        if (text[0] && (parse_u64(text, &status) < 0 || status > 255)) {
                verb_code(c, CODE_INVALID, "exit_code is 0 to 255");
                return;
        }
        Str reason = msg_str(c->msg, TAG_REASON);
        Code code = enforce_shutdown(c->m->enforce, verb_actor(c->peer), c->peer->actor, c->peer->role, reason, manager_now());
        if (code != CODE_OK) {
                verb_switch(c, "shutdown", code);
                return;
        }
        snprintf(c->m->shutdown_why, sizeof(c->m->shutdown_why), "shutdown by %s%s%.*s", c->peer->actor, reason.n ? ": " : "",
                (int)(reason.n < 180 ? reason.n : 180), reason.p ? reason.p : "");
        c->m->shutdown_asked = true;
        c->m->shutdown_status = (int)status;
        verb_code(c, CODE_OK, "");
}

static void glass_answer(const Call *c, Code code) {
        verb_code(c, code,
                code == CODE_FAILED    ? "it could not be put on record first: is the state directory writable?"
                : code == CODE_INVALID ? "it takes a reason and a time limit of at most 60min"
                : code == CODE_BUSY    ? "another one is being put on record"
                                       : "");
}

/* Who asked may be gone: there is no peer any more. */
void verb_glass_result(Manager *m, uint64_t client, uint64_t req, Code code) {
        glass_answer(&(Call){.m = m, .client = client, .req = req}, code);
}

static void verb_break_glass(const Call *c) {
        char text[32];
        uint64_t ttl = 0;
        str_copy(text, sizeof(text), msg_arg(c->msg, TAG_ARG, "ttl"));
        if (parse_duration_us(text, &ttl) < 0)
                ttl = 0;
        Waiter *w = govern_waiter(c->m, c->client, c->req);
        if (!w) {
                verb_code(c, CODE_BUSY, "out of memory");
                return;
        }
        uint64_t id = w->id;
        Code code = enforce_break_glass(c->m->enforce, verb_actor(c->peer), c->peer->actor, c->peer->role,
                msg_str(c->msg, TAG_REASON), ttl, manager_now());
        EnforceStatus st;
        enforce_status(c->m->enforce, manager_now(), &st);
        if (code == CODE_OK && st.break_glass_waits) {
                c->m->glass_waiter = id;
                return;
        }
        govern_forget(c->m, id);
        if (code == CODE_DENIED_BY_ROLE)
                verb_switch(c, "break_glass", code);
        else
                glass_answer(c, code);
}

/* ---- streams and waiting */

/* What is missing, when the set was booted without the core units. */
static const char *core_part(const char *unit) {
        static const char *const parts[][2] = {{"governance", "governance"}, {"immune", "immune kernel"}, {"ledger", "ledger"},
                {"mesh", "event mesh"}, {"validators", "validators"}};
        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                if (strcmp(unit, parts[i][0]) == 0)
                        return parts[i][1];
        return NULL;
}

static void verb_connect(const Call *c) {
        char unit[129];
        int fd = -1;
        str_copy(unit, sizeof(unit), msg_str(c->msg, TAG_UNIT));
        int r = links_connect_person(c->m, unit, c->peer, &fd);
        if (r < 0) {
                ManagedUnit *u = manager_unit(c->m, str_of(unit));
                char text[256];
                const char *part = u ? NULL : core_part(unit);
                if (part)
                        snprintf(text, sizeof(text), "this set has no %s: it was booted without the core set", part);
                else
                        snprintf(text, sizeof(text), "'%s' %s", unit,
                                u ? "is not running and validated; see guardianctl status" : "is not in this set");
                verb_result(c, u ? 1 : 6, u ? "E.UNAVAILABLE" : "unknown_unit", text, (Str){NULL, 0});
                return;
        }
        control_result(c->m->control, c->client, c->req, 0, "ok", NULL, (Str){NULL, 0}, false, fd);
        close(fd);
}

static void verb_wait(const Call *c) {
        Waiter *w = govern_waiter(c->m, c->client, c->req);
        if (!w) {
                verb_refuse(c, CODE_BUSY, "out of memory");
                return;
        }
        w->waits_state = true;
        str_copy(w->state, sizeof(w->state), msg_arg(c->msg, TAG_ARG, "state"));
        size_t pos = 0;
        Str s;
        while (msg_next_str(c->msg, TAG_UNIT, &pos, &s)) {
                ManagedUnit *u = manager_unit(c->m, s);
                if (!u || w->n_wait_units >= 32) {
                        list_remove(&w->node);
                        free(w);
                        verb_refuse(c, u ? CODE_INVALID : CODE_UNKNOWN_UNIT, u ? "too many units" : "there is no such unit");
                        return;
                }
                w->wait_units[w->n_wait_units++] = u->index;
        }
        if (unit_state_from_string(str_of(w->state)) < 0 && unit_verdict_from_string(str_of(w->state)) < 0 &&
                health_from_string(str_of(w->state)) < 0 && w->n_wait_units > 0) {
                list_remove(&w->node);
                free(w);
                verb_refuse(c, CODE_INVALID, "no such state");
        }
}

static void verb_metrics(const Call *c) {
        verb_document(c, status_metrics);
}
/* What is known is told, even when a name is wrong. */
static void verb_status(const Call *c) {
        Buf out = BUF_INIT(REPLY_MAX);
        char text[200] = "";
        size_t pos = 0;
        Str s;
        while (msg_next_str(c->msg, TAG_UNIT, &pos, &s))
                if (!manager_unit(c->m, s))
                        snprintf(text, sizeof(text), "there is no unit '%.*s'", (int)s.n, s.p);
        int r = status_document(c, &out);
        if (r < 0)
                verb_result(c, 1, "failed", strerror(-r), (Str){NULL, 0});
        else if (text[0])
                send_document(c, code_exit_status(CODE_UNKNOWN_UNIT), code_to_string(CODE_UNKNOWN_UNIT), text, &out);
        else
                send_document(c, 0, "ok", NULL, &out);
        buf_done(&out);
}
static void verb_boot(const Call *c) {
        verb_document(c, status_boot);
}
static void verb_approvals(const Call *c) {
        verb_document(c, status_approvals);
}
static void verb_graph(const Call *c) {
        verb_document(c, status_graph);
}
static void verb_why(const Call *c) {
        verb_document(c, status_why);
}
static void verb_version(const Call *c) {
        verb_document(c, status_version);
}
static void verb_bootstrap(const Call *c) {
        verb_document(c, status_bootstrap);
}

/* ---- the table */

static const Verb verbs[] = {
        {"status", ROLE_NOBODY, verb_status},
        {"version", ROLE_NOBODY, verb_version},
        {"boot", ROLE_OBSERVER, verb_boot},
        {"graph", ROLE_OBSERVER, verb_graph},
        {"why", ROLE_OBSERVER, verb_why},
        {"logs", ROLE_OBSERVER, verb_logs},
        {"approvals", ROLE_OBSERVER, verb_approvals},
        {"wait", ROLE_OBSERVER, verb_wait},
        {"connect", ROLE_OBSERVER, verb_connect},
        {"metrics", ROLE_OBSERVER, verb_metrics},
        {"policy-bootstrap", ROLE_OBSERVER, verb_bootstrap},
        /* enforce_propose() checks the role of these, and a refusal for the role is its answer */
        {"propose", ROLE_NOBODY, verb_propose},
        {"start", ROLE_NOBODY, verb_unit_act},
        {"stop", ROLE_NOBODY, verb_stop},
        {"restart", ROLE_NOBODY, verb_unit_act},
        {"reload-unit", ROLE_NOBODY, verb_reload},
        {"kill", ROLE_NOBODY, verb_unit_act},
        {"pin", ROLE_NOBODY, verb_unit_act},
        {"unpin", ROLE_NOBODY, verb_unit_act},
        {"reset", ROLE_NOBODY, verb_unit_act},
        {"shutdown", ROLE_NOBODY, verb_shutdown},
        {"mode", ROLE_OBSERVER, verb_mode},
        {"lockdown", ROLE_NOBODY, verb_global_act},
        {"approve", ROLE_NOBODY, verb_vote},
        {"deny", ROLE_NOBODY, verb_vote},
        {"pause", ROLE_NOBODY, verb_pause},
        {"resume", ROLE_NOBODY, verb_resume},
        {"break-glass", ROLE_NOBODY, verb_break_glass},
};

static void on_call(Control *control, uint64_t client, const Peer *peer, const Msg *msg, void *user) {
        Manager *m = user;
        Call c = {.m = m, .client = client, .req = msg_u64(msg, TAG_REQ, 0), .peer = peer, .msg = msg};
        (void)control;
        Str name = msg_str(msg, TAG_VERB);
        const Verb *v = NULL;
        for (size_t i = 0; i < ELEMENTSOF(verbs) && !v; i++)
                if (str_eq(name, verbs[i].name))
                        v = &verbs[i];
        if (!v) {
                verb_result(&c, 64, "invalid", "Guardian has no such verb", (Str){NULL, 0});
        } else if (peer->role < v->role) {
                uint64_t held;
                if (log_limit_burst(&m->refused_limit, CONTROL_LOG_BURST, &held))
                        log_warning("refused for its role", LOG_STR("actor", peer->actor), LOG_STR("verb", v->name),
                                LOG_STR("role", role_to_string((int)peer->role)), LOG_HELD(held));
                char text[96];
                verb_refuse(&c, CODE_DENIED_BY_ROLE, needs_role(&c, v->role, text, sizeof(text)));
        } else {
                v->fn(&c);
        }
        manager_pump(m);
}

static void on_gone(Control *control, uint64_t client, void *user) {
        (void)control;
        govern_client_gone(user, client);
        verb_logs_gone(user, client);
}

const ControlOps manager_control_ops = {.on_call = on_call, .on_gone = on_gone};
