/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The self-test of the challenge: a router and a workflow of its own, fed by the real code with messages of
 * the real codec. A unit that is not bound must be refused, a bound one must be routed to its subscriber only
 * after the record is acknowledged, and a workflow must be invoked with its parameter.
 */
#include "chunks/mesh/mesh.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdio.h>

typedef struct Probe {
        MeshCore core;
        WorkflowEngine engine;
        uint64_t token;
        const char *code;
        unsigned appends, answers, woken, invoked;
        char params[64];
} Probe;

static int probe_append(void *user, uint64_t token, const MeshAppend *a) {
        Probe *p = user;

        if (json_check_canonical(a->body, NULL, NULL) < 0)
                return -EINVAL;
        if (token != UINT64_MAX && p->appends++ == 0)
                p->token = token;
        return 0;
}
static int probe_validate(void *user, uint64_t token, const MeshEvent *e) {
        (void)user;
        (void)token;
        (void)e;
        return -ENOTCONN;
}
static void probe_answer(void *user, MeshPeer *peer, const MeshAnswer *a) {
        Probe *p = user;

        (void)peer;
        p->code = a->code;
        p->answers++;
}
static void probe_wake(void *user, MeshPeer *peer) {
        (void)peer;
        ((Probe *)user)->woken++;
}
static void probe_cut(void *user, MeshPeer *peer, const char *reason) {
        (void)user;
        (void)peer;
        (void)reason;
}
static bool probe_attached(void *user) {
        (void)user;
        return true;
}
static void probe_event(void *user, MeshEvent *e) {
        workflow_event(&((Probe *)user)->engine, e, 1);
}
static void probe_letter(void *user, const MeshEvent *e, const char *peer, const char *reason) {
        (void)user;
        (void)e;
        (void)peer;
        (void)reason;
}
static void probe_alert(void *user, const MeshEvent *e, const char *what, const char *detail) {
        (void)user;
        (void)e;
        (void)what;
        (void)detail;
}
static void probe_log(
        void *user, LogLevel level, const char *message, const char *about, const char *detail) {
        (void)user;
        (void)level;
        (void)message;
        (void)about;
        (void)detail;
}
static int probe_invoke(void *user, uint64_t token, const WorkflowInvoke *i) {
        Probe *p = user;

        (void)token;
        p->invoked++;
        str_copy(p->params, sizeof(p->params), i->payload);
        return 0;
}
static int probe_emit(void *user, const MeshOwnEvent *e) {
        (void)user;
        (void)e;
        return 0;
}
static void probe_run_letter(void *user, const MeshEvent *e, const char *workflow, const char *action,
        const char *reason, unsigned attempts, const char *error) {
        (void)user;
        (void)e;
        (void)workflow;
        (void)action;
        (void)reason;
        (void)attempts;
        (void)error;
}

static const MeshOps OPS = {probe_append, probe_validate, probe_answer, probe_wake, probe_cut, probe_event,
        probe_letter, probe_alert, probe_log, probe_attached};
static const WorkflowOps RUN_OPS = {probe_invoke, probe_emit, probe_run_letter, probe_log};

static int probe_publish(Probe *p, MeshPeer *peer) {
        MsgBuilder b;
        Msg m;
        int r;

        msg_begin(&b, MSG_PUBLISH);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_TYPE, "self.test");
        r = msg_view(&b, STR_LIT("{\"n\":7}"), &m);
        p->code = "";
        if (r == 0)
                mesh_publish(&p->core, peer, &m, 1, 1000000000);
        return r;
}

static int probe_bind(Probe *p) {
        MsgBuilder b;
        Msg m;
        int r;

        msg_begin(&b, MSG_BINDING);
        msg_put_cstr(&b, TAG_UNIT, "probe");
        msg_put_cstr(&b, TAG_PUBLISHES, "self.*");
        msg_put_cstr(&b, TAG_SUBSCRIBES, "self.test");
        r = msg_view(&b, (Str){0}, &m);
        return r < 0 ? r : registry_bind(&p->core.registry, &m);
}

static const char *probe_run(Probe *p, MeshPeer *peer) {
        mesh_peer_add(&p->core, peer);
        if (probe_publish(p, peer) < 0 || strcmp(p->code, "E.FORBIDDEN") != 0)
                return "a unit that is not bound was not refused";
        if (probe_bind(p) < 0)
                return "a binding was refused";
        mesh_subscribe(&p->core, peer, 2, "self.test");
        if (strcmp(p->code, "ok") != 0)
                return "a subscription was refused";
        if (probe_publish(p, peer) < 0 || p->appends != 1 || p->code[0] || p->woken)
                return "an event was answered or routed before its record";
        mesh_appended(&p->core, p->token, "ok", 5, 1);
        if (strcmp(p->code, "ok") != 0 || p->woken != 1)
                return "an event was not routed after its record";
        if (p->invoked != 1 || strcmp(p->params, "{\"n\":7}") != 0)
                return "a workflow did not run";
        return NULL;
}

int mesh_self_test(char *why, size_t cap) {
        static const char workflow[] =
                "workflows:\n  - name: t\n    trigger_event: self.test\n    filters: [{field: n, operator: "
                "'>', value: 6}]\n"
                "    actions: [{name: a, target: t.do, params: {n: '{{ payload.n }}'}}]\n";
        auto_free Probe *p = calloc(1, sizeof(*p));
        MeshPeer peer = {.kind = MESH_PEER_CHUNK, .unit = "probe", .actor = "probe", .validated = true};
        const char *wrong = NULL;
        WorkflowSet set = {0};
        Problems problems = {0};
        int r = p ? mesh_core_init(&p->core, &OPS, p) : -ENOMEM;

        if (r < 0)
                return r;
        r = workflow_set_parse(&set, "self-test", STR_LIT(workflow), &problems);
        if (r == 0)
                r = workflow_engine_init(&p->engine, &RUN_OPS, p, &set);
        workflow_set_done(&set);
        problems_done(&problems);
        if (r == 0) {
                wrong = probe_run(p, &peer);
                mesh_peer_remove(&p->core, &peer);
                workflow_engine_done(&p->engine);
        }
        mesh_core_done(&p->core);
        if (r == 0 && wrong) {
                snprintf(why, cap, "%s", wrong);
                r = -EPROTO;
        }
        return r;
}
