/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/mesh.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static const char VALIDATORS[] = "validators", LEDGER[] = "ledger";

/* ---- what the core asks for */

static int core_append(void *user, uint64_t token, const MeshAppend *a) {
        Mesh *m = user;

        return ledger_client_append(m->ledger,
                &(LedgerAppend){.kind = RECORD_EVENT,
                        .ref = UINT64_MAX,
                        .actor = a->actor,
                        .action = a->action,
                        .resource = a->resource,
                        .subsystem = a->subsystem,
                        .correlation_id = a->correlation_id,
                        .result = a->result,
                        .body = a->body},
                token);
}

static bool core_attached(void *user) {
        return ledger_client_attached(((const Mesh *)user)->ledger);
}

static int core_validate(void *user, uint64_t token, const MeshEvent *e) {
        Mesh *m = user;
        Link *l = chunk_link(m->chunk, VALIDATORS);
        MsgBuilder b;

        if (!l || !l->validated)
                return -ENOTCONN;
        mesh_event_builder(e, MSG_VALIDATE, &b);
        msg_put_u64(&b, TAG_REQ, MESH_REQ_VALIDATE | token);
        return link_send(l, &b, mesh_event_payload(e));
}

static void core_cut(void *user, MeshPeer *p, const char *reason) {
        MeshStream *s = p->shell;
        Mesh *m = user;
        uint64_t held;

        if (s->cut)
                return;
        /* without Guardian there is no mesh: its pipe is kept, what it does not read is lost and said */
        if (p->kind == MESH_PEER_GUARDIAN) {
                if (log_limit(&m->guardian_limit, &held))
                        log_error("an answer or event for guardian is lost", LOG_STR("reason", reason),
                                LOG_HELD(held));
                return;
        }
        s->cut = true;
        if (s->client)
                kernel_cut(s->client, reason);
        else
                link_close(s->link, reason);
}

int mesh_result_build(const MeshAnswer *a, MsgBuilder *b) {
        char text[64];

        msg_begin(b, MSG_RESULT);
        msg_put_u64(b, TAG_REQ, a->req);
        msg_put_u64(b, TAG_STATUS, (uint64_t)a->status);
        msg_put_cstr(b, TAG_CODE, a->code);
        msg_put_text(b, TAG_MESSAGE, a->message ? a->message : "");
        if (a->index != UINT64_MAX)
                msg_put_u64(b, TAG_INDEX, a->index);
        if (a->field) {
                snprintf(text, sizeof(text), "field=%.50s", a->field);
                msg_put_cstr(b, TAG_ISSUE, text);
        }
        if (a->retry_after_ms) {
                snprintf(text, sizeof(text), "retry_after_ms=%" PRIu64, a->retry_after_ms);
                msg_put_cstr(b, TAG_ISSUE, text);
        }
        if (a->issues)
                msg_copy(b, a->issues, TAG_ISSUE);
        return b->error;
}

void mesh_stream_answer(MeshStream *s, const MeshAnswer *a) {
        MsgBuilder b;

        if (s->cut)
                return;
        if (s->client)
                kernel_answer(s->client, a);
        else if (mesh_result_build(a, &b) < 0 || link_send(s->link, &b, (Str){0}) == -ENOBUFS)
                core_cut(s->mesh, &s->peer, "it does not read its answers");
}

static void core_answer(void *user, MeshPeer *p, const MeshAnswer *a) {
        (void)user;
        mesh_stream_answer(p->shell, a);
}

static bool stream_send_event(MeshStream *s, const MeshEvent *e) {
        MsgBuilder b;

        if (s->client)
                return kernel_send_event(s->client, e);
        mesh_event_builder(e, MSG_EVENT, &b);
        msg_put_u64(&b, TAG_INDEX, e->index);
        return link_send(s->link, &b, mesh_event_payload(e)) == 0;
}

static bool stream_ready(const MeshStream *s) {
        if (s->cut)
                return false;
        return s->client ? kernel_ready(s->client) : conn_backlog(s->link->conn) <= MESH_SENT_MAX;
}

/* Hands over what waits as far as the stream takes it; the rest goes when it has drained. */
void mesh_stream_pump(MeshStream *s) {
        while (s->peer.out.items > 0 && stream_ready(s)) {
                MeshEvent *e = egress_take(&s->peer.out);
                bool sent = stream_send_event(s, e);

                mesh_event_unref(e);
                /* only a stream that is ending refuses after it said it was ready */
                if (!sent)
                        return;
        }
}

static void core_wake(void *user, MeshPeer *p) {
        (void)user;
        mesh_stream_pump(p->shell);
}

static void core_event(void *user, MeshEvent *e) {
        Mesh *m = user;

        workflow_event(&m->engine, e, clock_boot_us());
}

static void letter_put(Mesh *m, const MeshEvent *e, const char *route, const char *action, const char *reason,
        unsigned attempts, const char *error) {
        dlq_put(m->dlq, &(DlqLetter){.event = e,
                                .route = route,
                                .action = action,
                                .reason = reason,
                                .attempts = attempts,
                                .error = error,
                                .wall_ns = clock_wall_ns()});
}

static void core_dead_letter(void *user, const MeshEvent *e, const char *peer, const char *reason) {
        letter_put(user, e, peer, NULL, reason, 1, NULL);
}

static void core_alert(void *user, const MeshEvent *e, const char *what, const char *detail) {
        Buf text = BUF_INIT(8192);
        Mesh *m = user;
        JsonWriter w;
        Msg view;
        char correlation[81], causation[65];

        mesh_event_view(e, &view);
        str_copy(correlation, sizeof(correlation), msg_str(&view, TAG_CORRELATION_ID));
        str_copy(causation, sizeof(causation), msg_str(&view, TAG_MSG_ID));
        json_init(&w, &text, true);
        json_object_begin(&w);
        json_kv_str(&w, "detail", detail);
        json_kv_str(&w, "msg_id", causation);
        json_kv_str(&w, "type", e->type);
        json_kv_str(&w, "what", what);
        json_object_end(&w);
        if (json_finish(&w) == 0)
                mesh_emit(&m->core,
                        &(MeshOwnEvent){.type = "mesh.dispatch_failure",
                                .correlation_id = correlation,
                                .causation_id = causation,
                                .hop_count = msg_u64(&view, TAG_HOP_COUNT, 0),
                                .payload = {(const char *)text.data, text.len}},
                        clock_boot_us(), clock_wall_ns());
        buf_done(&text);
}

static const MeshOps CORE_OPS = {.append = core_append,
        .attached = core_attached,
        .validate = core_validate,
        .answer = core_answer,
        .wake = core_wake,
        .cut = core_cut,
        .event = core_event,
        .dead_letter = core_dead_letter,
        .alert = core_alert,
        .log = mesh_say};

/* ---- what the engine asks for */

static MeshInvoke *invoke_slot(Mesh *m) {
        for (unsigned i = 0; i < MESH_INVOKES_MAX; i++)
                if (!m->invokes[i].stream)
                        return &m->invokes[i];
        return NULL;
}

/* The trigger's envelope, as a command of the mesh: its own priority, key and deadline, caused by the
 * trigger. */
static void invoke_build(uint64_t req, const WorkflowInvoke *i, MsgBuilder *b) {
        static const Tag copied[] = {TAG_TYPE, TAG_CORRELATION_ID, TAG_TRACEPARENT, TAG_TRACESTATE,
                TAG_PARTITION_KEY, TAG_HOP_COUNT, TAG_GOVERNANCE_LABEL, TAG_PII_FLAG, TAG_CONSENT_SCOPE,
                TAG_RESOURCE};
        Msg trigger;

        mesh_event_view(i->event, &trigger);
        msg_begin(b, MSG_INVOKE);
        msg_put_u64(b, TAG_REQ, req);
        msg_put_cstr(b, TAG_HANDLER, i->handler);
        for (size_t k = 0; k < ELEMENTSOF(copied); k++)
                msg_copy(b, &trigger, copied[k]);
        msg_put_cstr(b, TAG_GKIND, "command");
        msg_put_cstr(b, TAG_SOURCE, "mesh");
        msg_put_str(b, TAG_CAUSATION_ID, msg_str(&trigger, TAG_MSG_ID));
        msg_put_cstr(b, TAG_PRIORITY, i->priority);
        msg_put_cstr(b, TAG_IDEMPOTENCY_KEY, i->idempotency_key);
        msg_put_u64(b, TAG_DEADLINE_MS, i->deadline_ms);
        b->lane = (uint8_t)gme_lane(str_of(i->priority));
}

static int engine_invoke(void *user, uint64_t token, const WorkflowInvoke *i) {
        Mesh *m = user;
        const Binding *unit = registry_handler(&m->core.registry, i->handler);
        MeshInvoke *slot = invoke_slot(m);
        Link *l = unit ? chunk_link(m->chunk, unit->unit) : NULL;
        KernelClient *c = unit && !l ? kernel_find(m, unit->unit, i->handler) : NULL;
        MsgBuilder b;
        int r;

        if (!unit)
                return -ENOENT;
        if ((!l || !l->validated || !l->data) && !c)
                return -ENOTCONN;
        if (!slot)
                return -ENOBUFS;
        *slot = (MeshInvoke){.token = token, .stream = c ? kernel_stream(c) : l->data};
        invoke_build(MESH_REQ_INVOKE | token, i, &b);
        r = c ? kernel_invoke(c, MESH_REQ_INVOKE | token, i, &b) : link_send(l, &b, i->payload);
        if (r < 0)
                *slot = (MeshInvoke){0};
        return r == -EPIPE ? -ENOTCONN : r;
}

void mesh_invoke_answered(Mesh *m, MeshStream *s, uint64_t req, uint64_t status, const char *code,
        const char *message, Str result) {
        uint64_t token = req & ~MESH_REQ_INVOKE, held;

        for (unsigned i = 0; i < MESH_INVOKES_MAX; i++) {
                MeshInvoke *v = &m->invokes[i];

                /* only the stream that was asked may answer */
                if (!(req & MESH_REQ_INVOKE) || v->stream != s || v->token != token)
                        continue;
                *v = (MeshInvoke){0};
                workflow_result(&m->engine, token, status, code, message, result, clock_boot_us());
                return;
        }
        if (log_limit(&m->late_limit, &held))
                log_info("an answer that nobody waits for (any more)", LOG_UNIT(s->peer.unit),
                        LOG_U64("req", req & ~MESH_REQ_INVOKE), LOG_HELD(held));
}

static int engine_emit(void *user, const MeshOwnEvent *e) {
        Mesh *m = user;

        return mesh_emit(&m->core, e, clock_boot_us(), clock_wall_ns());
}

static void engine_dead_letter(void *user, const MeshEvent *e, const char *workflow, const char *action,
        const char *reason, unsigned attempts, const char *error) {
        Mesh *m = user;

        letter_put(m, e, workflow, action, reason, attempts, error);
        mesh_dispatch_failed(&m->core, e, reason, workflow);
}

static const WorkflowOps ENGINE_OPS = {
        .invoke = engine_invoke, .emit = engine_emit, .dead_letter = engine_dead_letter, .log = mesh_say};

/* ---- streams */

typedef struct GoneScope {
        Mesh *mesh;
        const MeshStream *stream;
} GoneScope;

static bool invoke_was_there(void *user, uint64_t token) {
        GoneScope *g = user;

        for (unsigned i = 0; i < MESH_INVOKES_MAX; i++)
                if (g->mesh->invokes[i].stream == g->stream && g->mesh->invokes[i].token == token) {
                        g->mesh->invokes[i] = (MeshInvoke){0};
                        return true;
                }
        return false;
}

void mesh_stream_gone(Mesh *m, MeshStream *s) {
        mesh_peer_remove(&m->core, &s->peer);
        workflow_peer_lost(&m->engine, invoke_was_there, &(GoneScope){m, s}, clock_boot_us());
        /* what is left are invocations that timed out before */
        for (unsigned i = 0; i < MESH_INVOKES_MAX; i++)
                if (m->invokes[i].stream == s)
                        m->invokes[i] = (MeshInvoke){0};
}

static int stream_new(Mesh *m, Link *l) {
        MeshStream *s = calloc(1, sizeof(*s));
        MeshPeer *p;

        if (!s)
                return -ENOMEM;
        s->mesh = m;
        s->link = l;
        p = &s->peer;
        p->kind = l == m->chunk->control           ? MESH_PEER_GUARDIAN
                  : strcmp(l->kind, "person") == 0 ? MESH_PEER_PERSON
                  : strcmp(l->kind, "unit") == 0   ? MESH_PEER_KERNEL
                                                   : MESH_PEER_CHUNK;
        str_copy(p->unit, sizeof(p->unit), str_of(l->unit));
        str_copy(p->actor, sizeof(p->actor), str_of(l->actor));
        p->role = l->role;
        p->validated = l->validated;
        p->shell = s;
        l->data = s;
        mesh_peer_add(&m->core, p);
        return 0;
}

static void on_link(Chunk *c, Link *l, void *user) {
        (void)c;
        if (strcmp(l->unit, LEDGER) == 0)
                ledger_client_link(((Mesh *)user)->ledger, l);
        if (stream_new(user, l) < 0) {
                log_error("out of memory for a link", LOG_UNIT(l->unit));
                link_close(l, "out of memory");
        }
}

static void on_link_lost(Chunk *c, Link *l, const char *reason, void *user) {
        Mesh *m = user;
        MeshStream *s = TAKE(l->data);

        (void)c;
        log_debug("link lost", LOG_UNIT(l->unit), LOG_STR("reason", reason));
        if (strcmp(l->unit, LEDGER) == 0)
                ledger_client_lost(m->ledger);
        if (s) {
                mesh_stream_gone(m, s);
                free(s);
        }
        if (strcmp(l->unit, VALIDATORS) == 0)
                mesh_validators_lost(&m->core, clock_boot_us());
}

static void on_peer(Chunk *c, Link *l, void *user) {
        MeshStream *s = l->data;

        (void)c;
        (void)user;
        if (s)
                s->peer.validated = l->validated;
}

static void on_drain(Chunk *c, Link *l, void *user) {
        (void)c;
        (void)user;
        if (l->data)
                mesh_stream_pump(l->data);
}

/* ---- messages */

static void control_msg(Mesh *m, Msg *msg) {
        int r = 0;

        if (msg->type == MSG_BINDING)
                r = registry_bind(&m->core.registry, msg);
        else if (msg->type == MSG_HANDLER)
                r = registry_handle(&m->core.registry, msg);
        else if (msg->type == MSG_MESH_LISTEN)
                r = kernel_listen(m, msg);
        else
                mesh_stream_msg(m, m->chunk->control->data, msg);
        if (r < 0) {
                char unit[129];

                log_error("what guardian said can't be taken: this unit is served as before",
                        LOG_STR("type", msg_type_name(msg->type)),
                        LOG_UNIT(str_copy(unit, sizeof(unit), msg_str(msg, TAG_UNIT))), LOG_ERRNO(r));
        }
}

static void result_msg(Mesh *m, MeshStream *s, const Msg *msg) {
        uint64_t req = msg_u64(msg, TAG_REQ, 0);
        char code[65], message[1025];

        if (req & MESH_REQ_VALIDATE) {
                /* the verdict of anybody else is no verdict */
                if (s->link && s->link->current && strcmp(s->link->unit, VALIDATORS) == 0)
                        mesh_validated(&m->core, req & ~MESH_REQ_VALIDATE, msg, clock_boot_us());
                return;
        }
        str_copy(code, sizeof(code), msg_str(msg, TAG_CODE));
        str_copy(message, sizeof(message), msg_str(msg, TAG_MESSAGE));
        mesh_invoke_answered(m, s, req, msg_u64(msg, TAG_STATUS, 1), code, message, msg->payload);
}

void mesh_stream_msg(Mesh *m, MeshStream *s, Msg *msg) {
        uint64_t req = msg_u64(msg, TAG_REQ, 0), held;
        char pattern[257];

        if (m->stopping && (msg->type == MSG_PUBLISH || msg->type == MSG_SUBSCRIBE)) {
                mesh_stream_answer(s, &(MeshAnswer){.req = req,
                                              .index = UINT64_MAX,
                                              .status = 1,
                                              .code = "E.UNAVAILABLE",
                                              .message = "the mesh is stopping"});
        } else if (msg->type == MSG_PUBLISH) {
                mesh_publish(&m->core, &s->peer, msg, clock_boot_us(), clock_wall_ns());
        } else if (msg->type == MSG_SUBSCRIBE) {
                str_copy(pattern, sizeof(pattern), msg_str(msg, TAG_PATTERN));
                mesh_subscribe(&m->core, &s->peer, req, pattern);
        } else if (msg->type == MSG_RESULT) {
                result_msg(m, s, msg);
        } else {
                if (log_limit(&m->strange_limit, &held))
                        log_warning("a message that the mesh does not take", LOG_UNIT(s->peer.unit),
                                LOG_STR("type", msg_type_name(msg->type)), LOG_HELD(held));
                if (s->link && req)
                        link_result(s->link, req, 1, "unsupported", "the mesh takes no message of this type",
                                (Str){0}, false);
        }
}

static void on_msg(Chunk *c, Link *l, Msg *msg, void *user) {
        Mesh *m = user;

        if (l == c->control) {
                control_msg(m, msg);
                return;
        }
        if ((strcmp(l->unit, LEDGER) == 0 && ledger_client_msg(m->ledger, l, msg)) || !l->data)
                return;
        if (msg->type == MSG_CALL)
                mesh_call(m, l, msg);
        else
                mesh_stream_msg(m, l->data, msg);
}

static void on_ack(void *user, uint64_t token, const char *code, uint64_t index, const uint8_t *hash) {
        Mesh *m = user;

        (void)hash;
        mesh_appended(&m->core, token, code, index, clock_boot_us());
}

/* ---- turns and time */

static void stop_when_done(Mesh *m) {
        if (!m->stopping || m->core.n_pending > 0)
                return;
        if (!uv_is_closing((uv_handle_t *)&m->stop_limit))
                uv_timer_stop(&m->stop_limit);
        dlq_commit(m->dlq);
        chunk_exit(m->chunk, 0);
}

static void on_timer(uv_timer_t *t) {
        (void)t; /* the turn that follows does what is due */
}

/* Before each wait: what is due is done, clients that were cut are freed, dead letters are written, and the
 * timer is set to the next deadline. No deadline: no timer, no wake-up. */
static void on_turn(uv_prepare_t *p) {
        Mesh *m = p->data;
        uint64_t now = clock_boot_us(), next = mesh_tick(&m->core, now), run = workflow_tick(&m->engine, now);

        kernel_reap(m);
        if (dlq_waiting(m->dlq))
                dlq_commit(m->dlq);
        if (run < next)
                next = run;
        if (next == UINT64_MAX)
                uv_timer_stop(&m->timer);
        else
                uv_timer_start(&m->timer, on_timer, next > now ? (next - now) / 1000 + 1 : 0, 0);
        stop_when_done(m);
}

static void on_stop_limit(uv_timer_t *t) {
        Mesh *m = t->data;

        log_warning(
                "stopping with events that the ledger has not acknowledged: their publishers got no answer",
                LOG_U64("events", m->core.n_pending));
        dlq_commit(m->dlq);
        chunk_exit(m->chunk, 0);
}

static void on_stop(Chunk *c, void *user) {
        Mesh *m = user;

        (void)c;
        m->stopping = true;
        kernel_done(m);
        uv_timer_start(&m->stop_limit, on_stop_limit, 2000, 0);
        stop_when_done(m);
}

/* ---- begin */

static int policies_take(Mesh *m) {
        const char *dirs[ELEMENTSOF(m->chunk->policy_dirs)];
        Problems problems = {0};
        EventTypes types = {0};
        WorkflowSet set = {0};
        int r;

        for (unsigned i = 0; i < m->chunk->n_policy_dirs; i++)
                dirs[i] = m->chunk->policy_dirs[i];
        r = mesh_policies_load(dirs, m->chunk->n_policy_dirs, &problems, &types, &set);
        chunk_log_problems(m->chunk, &problems);
        problems_done(&problems);
        if (r == 0) {
                log_info("policies loaded", LOG_U64("event_types", types.n), LOG_U64("workflows", set.n));
                mesh_types_set(&m->core, &types);
                r = workflow_engine_init(&m->engine, &ENGINE_OPS, m, &set);
        }
        workflow_set_done(&set);
        event_types_done(&types);
        return r;
}

static int on_init(Chunk *c, void *user) {
        Mesh *m = user;
        int r;

        m->chunk = c;
        list_init(&m->sockets);
        r = mesh_core_init(&m->core, &CORE_OPS, m);
        if (r == 0)
                r = policies_take(m);
        if (r == 0)
                r = dlq_open(c->state_dir, &m->dlq);
        if (r == 0)
                r = ledger_client_new(c, m, on_ack, &m->ledger);
        if (r == 0)
                r = stream_new(m, c->control);
        if (r < 0)
                return r;
        m->core_ready = true;
        uv_timer_init(&c->loop, &m->timer);
        uv_timer_init(&c->loop, &m->stop_limit);
        uv_prepare_init(&c->loop, &m->turn);
        m->turn.data = m->stop_limit.data = m;
        return uv_prepare_start(&m->turn, on_turn);
}

static int on_self_test(Chunk *c, void *user, char *why, size_t cap) {
        Mesh *m = user;
        int r = mesh_self_test(why, cap);

        (void)c;
        return r < 0 ? r : dlq_self_test(m->dlq, why, cap);
}

const ChunkOps mesh_chunk_ops = {.program = "guardian-mesh",
        .init = on_init,
        .self_test = on_self_test,
        .on_link = on_link,
        .on_link_lost = on_link_lost,
        .on_peer = on_peer,
        .on_msg = on_msg,
        .on_drain = on_drain,
        .stop = on_stop};
