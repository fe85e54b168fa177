/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/mesh/rig.h"
#include <check.h>
#include <errno.h>

static int on_append(void *user, uint64_t token, const MeshAppend *a) {
        Rig *r = user;

        ck_assert_int_eq(json_check_canonical(a->body, NULL, NULL), 0);
        ck_assert_uint_le(a->body.n, EVENT_BODY_MAX);
        str_copy(r->record, sizeof(r->record), a->body);
        str_copy(r->record_actor, sizeof(r->record_actor), str_of(a->actor));
        str_copy(r->record_result, sizeof(r->record_result), str_of(a->result));
        if (token != UINT64_MAX) {
                r->token = token;
                r->appends++;
        }
        return 0;
}
static int on_validate(void *user, uint64_t token, const MeshEvent *e) {
        Rig *r = user;

        (void)e;
        if (!r->validators)
                return -ENOTCONN;
        r->validate_token = token;
        return 0;
}
static void on_answer(void *user, MeshPeer *p, const MeshAnswer *a) {
        Rig *r = user;

        (void)p;
        str_copy(r->code, sizeof(r->code), str_of(a->code));
        str_copy(r->field, sizeof(r->field), str_of(a->field ? a->field : ""));
        r->index = a->index;
        r->retry_ms = a->retry_after_ms;
}
static void on_wake(void *user, MeshPeer *p) {
        (void)user;
        ck_assert_uint_gt(p->out.items, 0);
}
static void on_cut(void *user, MeshPeer *p, const char *reason) {
        (void)reason;
        ((Rig *)user)->cut = p;
}
static void on_event(void *user, MeshEvent *e) {
        Rig *r = user;

        r->events++;
        mesh_event_unref(r->last);
        r->last = mesh_event_ref(e);
}
static void on_letter(void *user, const MeshEvent *e, const char *peer, const char *reason) {
        (void)e;
        (void)peer;
        (void)reason;
        ((Rig *)user)->letters++;
}
static void on_alert(void *user, const MeshEvent *e, const char *what, const char *detail) {
        (void)e;
        (void)what;
        (void)detail;
        ((Rig *)user)->alerts++;
}
static void on_log(void *user, LogLevel level, const char *message, const char *unit, const char *detail) {
        (void)user;
        (void)level;
        (void)message;
        (void)unit;
        (void)detail;
}

static bool on_attached(void *user) {
        return !((const Rig *)user)->away;
}

static const MeshOps OPS = {.append = on_append,
        .attached = on_attached,
        .validate = on_validate,
        .answer = on_answer,
        .wake = on_wake,
        .cut = on_cut,
        .event = on_event,
        .dead_letter = on_letter,
        .alert = on_alert,
        .log = on_log};

void rig_init(Rig *r, const char *events_yaml) {
        EventTypes types;
        Problems p = {0};

        *r = (Rig){.now = 1000000};
        ck_assert_int_eq(mesh_core_init(&r->core, &OPS, r), 0);
        ck_assert_int_eq(event_types_parse("events.yaml", str_of(events_yaml), &p, &types), 0);
        mesh_types_set(&r->core, &types);
        problems_done(&p);
}

void rig_done(Rig *r) {
        for (unsigned i = 0; i < r->n_peers; i++)
                mesh_peer_remove(&r->core, &r->peers[i]);
        mesh_event_unref(r->last);
        mesh_core_done(&r->core);
}

void rig_bind(Rig *r, const char *unit, const char *publishes, const char *subscribes, int trust) {
        MsgBuilder b;
        Msg m;

        msg_begin(&b, MSG_BINDING);
        msg_put_cstr(&b, TAG_UNIT, unit);
        msg_put_cstr(&b, TAG_PUBLISHES, publishes);
        msg_put_cstr(&b, TAG_SUBSCRIBES, subscribes);
        if (trust >= 0)
                msg_put_u64(&b, TAG_TRUST, (uint64_t)trust);
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), 0);
        ck_assert_int_eq(registry_bind(&r->core.registry, &m), 0);
}

MeshPeer *rig_peer(Rig *r, MeshPeerKind kind, const char *unit) {
        MeshPeer *p = &r->peers[r->n_peers++];

        *p = (MeshPeer){.kind = kind, .role = ROLE_OPERATOR, .validated = true};
        str_copy(p->unit, sizeof(p->unit), str_of(unit));
        str_copy(p->actor, sizeof(p->actor), str_of(unit));
        mesh_peer_add(&r->core, p);
        return p;
}

void rig_publish(Rig *r, MeshPeer *p, const char *type, const char *payload, const char *key) {
        MsgBuilder b;
        Msg m;

        msg_begin(&b, MSG_PUBLISH);
        msg_put_u64(&b, TAG_REQ, 7);
        msg_put_cstr(&b, TAG_TYPE, type);
        msg_put_cstr(&b, TAG_IDEMPOTENCY_KEY, key);
        msg_put_cstr(&b, TAG_PRIORITY, r->priority);
        /* a lie that must not be believed */
        msg_put_cstr(&b, TAG_SOURCE, "guardian");
        if (r->hops)
                msg_put_u64(&b, TAG_HOP_COUNT, r->hops);
        ck_assert_int_eq(msg_view(&b, str_of(payload), &m), 0);
        r->code[0] = r->field[0] = '\0';
        mesh_publish(&r->core, p, &m, r->now, 1700000000000000000);
}

void rig_ack(Rig *r, const char *code) {
        mesh_appended(&r->core, r->token, code, 99 + r->appends, r->now);
}

void rig_verdict(Rig *r, int status, const char *code) {
        MsgBuilder b;
        Msg m;

        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_u64(&b, TAG_STATUS, (uint64_t)status);
        msg_put_cstr(&b, TAG_CODE, code);
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), 0);
        mesh_validated(&r->core, r->validate_token, &m, r->now);
}

void rig_count(void *value, void *user) {
        (void)value;
        ++*(int *)user;
}
