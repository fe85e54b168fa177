/* SPDX-License-Identifier: Apache-2.0 */
/* What is recorded (ledger) and published (mesh) about Guardian itself and its units. */
#include "common/clock.h"
#include "common/gme.h"
#include "common/log.h"
#include "guardian/manager.h"
#include "common/signals.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PENDING_EVENTS_MAX = 256, BODY_MAX = 16 * 1024 };

typedef struct PendingEvent {
        List node;
        char type[64], resource[129], correlation_id[81];
        Str payload; /* behind this struct */
} PendingEvent;

/* ---- to the mesh */

static int publish_now(Manager *m, const char *type, const char *resource, const char *correlation_id, Str payload) {
        MsgBuilder b;
        msg_begin(&b, MSG_PUBLISH);
        msg_put_u64(&b, TAG_REQ, ++m->next_waiter);
        msg_put_cstr(&b, TAG_TYPE, type);
        if (resource && resource[0])
                msg_put_cstr(&b, TAG_RESOURCE, resource);
        if (correlation_id && correlation_id[0])
                msg_put_cstr(&b, TAG_CORRELATION_ID, correlation_id);
        gme_fill(&b, clock_wall_ns());
        return conn_send(m->units[m->mesh].peer->conn, &b, payload, -1);
}

static void drop_oldest(Manager *m) {
        PendingEvent *e = container_of(m->pending_events.next, PendingEvent, node);
        list_remove(&e->node);
        free(e);
        m->n_pending_events--;
        m->events_dropped++;
}

void lifecycle_publish(Manager *m, const char *type, const char *resource, const char *correlation_id, Str payload) {
        if (m->mesh == PLAN_NONE)
                return;
        if (chunk_part_ready(m, m->mesh) && publish_now(m, type, resource, correlation_id, payload) == 0)
                return;
        if (m->n_pending_events >= PENDING_EVENTS_MAX)
                drop_oldest(m);
        PendingEvent *e = malloc(sizeof(*e) + payload.n);
        if (!e) {
                m->events_dropped++;
                return;
        }
        str_copy(e->type, sizeof(e->type), str_of(type));
        str_copy(e->resource, sizeof(e->resource), str_of(resource ? resource : ""));
        str_copy(e->correlation_id, sizeof(e->correlation_id), str_of(correlation_id ? correlation_id : ""));
        memcpy(e + 1, payload.p, payload.n);
        e->payload = (Str){(char *)(e + 1), payload.n};
        list_append(&m->pending_events, &e->node);
        m->n_pending_events++;
}

void lifecycle_done(Manager *m) {
        while (m->n_pending_events > 0)
                drop_oldest(m);
}

void lifecycle_flush(Manager *m) {
        while (m->n_pending_events > 0 && chunk_part_ready(m, m->mesh)) {
                PendingEvent *e = container_of(m->pending_events.next, PendingEvent, node);
                if (publish_now(m, e->type, e->resource, e->correlation_id, e->payload) < 0)
                        return;
                list_remove(&e->node);
                free(e);
                m->n_pending_events--;
        }
        if (m->events_dropped)
                log_warning("lifecycle events were dropped while the mesh was away", LOG_U64("dropped", m->events_dropped));
        m->events_dropped = 0;
}

/* ---- what a unit's event says: keys in byte order, the canonical form */

static void unit_body(const ManagedUnit *u, UnitState from, UnitState now, Buf *out) {
        const UnitMachine *um = &u->machine;
        JsonWriter w;
        json_init(&w, out, true);
        json_object_begin(&w);
        if (um->last_exit.known && exit_has_status(&um->last_exit.exit))
                json_kv_i64(&w, "code", um->last_exit.exit.status);
        else
                json_kv_null(&w, "code");
        json_kv_str(&w, "from", unit_state_to_string((int)from));
        json_kv_str(&w, "health", health_to_string((int)um->health));
        json_kv_u64(&w, "instance", um->instance);
        json_key(&w, "issues");
        json_array_begin(&w);
        for (unsigned i = 0; i < u->n_issues; i++)
                json_cstr(&w, u->issues[i]);
        json_array_end(&w);
        json_kv_u64(&w, "pid", (uint64_t)u->pid);
        json_kv_u64(&w, "priority", u->config->priority_milli);
        json_kv_str(&w, "reason", restart_reason_to_string((int)(um->last_exit.known ? um->last_exit.reason : um->started_by)));
        json_kv_u64(&w, "restarts", um->restarts);
        if (um->last_exit.known && um->last_exit.exit.signaled)
                json_kv_i64(&w, "signal", um->last_exit.exit.status);
        else
                json_kv_null(&w, "signal");
        json_kv_u64(&w, "start_time", u->pid ? u->start_time : 0);
        json_kv_str(&w, "state", unit_state_to_string((int)now));
        json_kv_str(&w, "unit", u->config->name);
        json_kv_str(&w, "verdict", unit_verdict_to_string((int)um->verdict));
        json_object_end(&w);
        if (json_finish(&w) < 0)
                out->len = 0;
}

/* Without ledger and mesh nobody would read it. */
static bool heard(const Manager *m) {
        return m->ledger != PLAN_NONE || m->mesh != PLAN_NONE;
}

static void record(Manager *m, RecordKind kind, const char *action, const char *resource, const char *result, Str body) {
        if (m->ledger == PLAN_NONE)
                return;
        RecordFields f = {.kind = kind, .ref = UINT64_MAX, .actor = "guardian", .action = action, .resource = resource,
                .subsystem = "guardian", .result = result, .body = body};
        int r = enforce_record(m->enforce, &f, manager_now());
        uint64_t held;
        if (r < 0 && log_limit(&m->record_limit, &held))
                log_warning("a record of a unit's life is lost", LOG_STR("resource", resource), LOG_STR("what", action), LOG_ERRNO(r),
                        LOG_HELD(held));
}

static const char *start_issue(const ManagedUnit *u) {
        return u->n_issues ? u->issues[0] : strerror(-u->machine.last_exit.exit.error);
}

/* What a start waits for, by its type and probes. */
static const char *awaited(const UnitConfig *c) {
        return c->type == SERVICE_NOTIFY                        ? ": no READY=1 came at NOTIFY_SOCKET"
               : c->type == SERVICE_CHUNK                       ? ": the chunk did not say READY"
               : c->type == SERVICE_ONESHOT                     ? ": it did not end"
               : c->probes[PROBE_STARTUP].type != PROBE_NONE    ? ": its StartupProbe= did not pass"
               : c->probes[PROBE_READINESS].type != PROBE_NONE  ? ": its ReadinessProbe= did not pass"
                                                                : "";
}

void lifecycle_why(const ManagedUnit *u, char *out, size_t cap) {
        const UnitConfig *c = u->config;
        const ExitInfo *e = &u->machine.last_exit.exit;
        bool known = u->machine.last_exit.known;
        RestartReason reason = u->machine.last_exit.reason;
        size_t at = 0;
        snprintf(out, cap, "never ready");
        for (unsigned i = 0; i < u->n_issues && at < cap - 1; i++) {
                int k = snprintf(out + at, cap - at, "%s%s", i ? "; " : "", u->issues[i]);
                at += k > 0 ? (size_t)k : 0;
        }
        if (u->n_issues > 0)
                return;
        if (known && reason == RESTART_STARTUP_TIMEOUT)
                snprintf(out, cap, "not ready within %gs (TimeoutStartSec=)%s", (double)c->timeout_start_us / 1e6, awaited(c));
        else if (known && reason == RESTART_VALIDATION)
                snprintf(out, cap, "no answer to the challenge within %gs (ValidateTimeoutSec=)", (double)c->validate_timeout_us / 1e6);
        else if (e->error)
                snprintf(out, cap, "could not be started: %s", strerror(-e->error));
        else if (known && e->signaled)
                snprintf(out, cap, "ended by %s (%s)", signal_name(e->status), restart_reason_to_string((int)reason));
        else if (known)
                snprintf(out, cap, "ended with status %d (%s)", e->status, restart_reason_to_string((int)reason));
}

/* Every change is an event; on record stand the ones that say how the unit is, not the steps between. */
static bool lasting(UnitState s) {
        return s == UNIT_RUNNING || s == UNIT_FAILED || s == UNIT_QUARANTINED || s == UNIT_INACTIVE || s == UNIT_EXITED;
}

void lifecycle_state(ManagedUnit *u, UnitState from, UnitState now) {
        Buf b = BUF_INIT(BODY_MAX);
        if (heard(u->m))
                unit_body(u, from, now, &b);
        Str body = {(char *)b.data, b.len};
        if (b.len && from != now && lasting(now))
                record(u->m, RECORD_UNIT, "state", u->config->name, unit_state_to_string((int)now), body);
        if (b.len)
                lifecycle_publish(u->m, "unit.state", u->config->name, NULL, body);
        buf_done(&b);
        if (from == now || (now != UNIT_QUARANTINED && now != UNIT_FAILED))
                return;
        char hint[420];
        const char *name = u->config->name;
        if (u->machine.last_exit.exit.error)
                snprintf(hint, sizeof(hint), "once it is put right: guardianctl start %s", name);
        else if (now == UNIT_QUARANTINED)
                snprintf(hint, sizeof(hint), "guardianctl why %s; then guardianctl reset %s and guardianctl start %s", name, name, name);
        else
                snprintf(hint, sizeof(hint), "guardianctl why %s; guardianctl logs %s", name, name);
        if (u->machine.last_exit.exit.error)
                log_error(now == UNIT_QUARANTINED ? "unit quarantined" : "unit failed", LOG_UNIT(u->config->name),
                        LOG_STR("reason", "could not be started"), LOG_STR("issue", start_issue(u)),
                        LOG_STR("hint", hint));
        else
                log_error(now == UNIT_QUARANTINED ? "unit quarantined" : "unit failed", LOG_UNIT(u->config->name),
                        LOG_STR("reason", restart_reason_to_string((int)u->machine.last_exit.reason)),
                        LOG_I64("status", u->machine.last_exit.exit.status),
                        LOG_STR("hint", hint));
}

static void essential_end(ManagedUnit *u) {
        Manager *m = u->m;
        bool exit_code_from = m->opt->exit_code_from && strcmp(m->opt->exit_code_from, u->config->name) == 0;
        const ExitInfo *e = &u->machine.last_exit.exit;
        int status = e->signaled ? 128 + e->status : e->status;
        if (e->error || e->unknown) /* it never ran, as a shell says it; or nobody saw how it ended */
                status = e->error == -ENOENT ? 127 : e->error ? 126 : 1;
        if (exit_code_from && m->exit_status != 75) {
                m->exit_status = status;
                m->exit_status_set = true;
        }
        if ((u->config->essential || exit_code_from) && !m->stopping && unit_is_down(&u->machine)) {
                log_notice("essential unit ended", LOG_UNIT(u->config->name), LOG_I64("status", status));
                manager_stop(m, status, "an essential unit ended");
        }
}

void lifecycle_end(ManagedUnit *u) {
        const UnitMachine *um = &u->machine;
        Buf b = BUF_INIT(BODY_MAX);
        if (um->last_exit.known && um->last_exit.reason == RESTART_STARTUP_TIMEOUT && u->n_issues == 0) {
                char why[400];
                lifecycle_why(u, why, sizeof(why));
                unit_issue(u, "%s", why);
        }
        if (heard(u->m))
                unit_body(u, unit_machine_state(um), unit_machine_state(um), &b);
        if (b.len) {
                Str body = {(char *)b.data, b.len};
                record(u->m, RECORD_UNIT, "ended", u->config->name, restart_reason_to_string((int)um->last_exit.reason), body);
                lifecycle_publish(u->m, "unit.ended", u->config->name, NULL, body);
        }
        buf_done(&b);
        if (um->last_exit.exit.error)
                log_info("unit could not be started", LOG_UNIT(u->config->name), LOG_STR("issue", start_issue(u)),
                        LOG_U64("restarts", um->restarts));
        else if (um->last_exit.exit.signaled)
                log_info("unit ended", LOG_UNIT(u->config->name), LOG_STR("by", "signal"), LOG_I64("status", um->last_exit.exit.status),
                        LOG_STR("signal", signal_name(um->last_exit.exit.status)),
                        LOG_STR("reason", restart_reason_to_string((int)um->last_exit.reason)), LOG_U64("restarts", um->restarts));
        else
                log_info("unit ended", LOG_UNIT(u->config->name), LOG_STR("with", "status"), LOG_I64("status", um->last_exit.exit.status),
                        LOG_STR("reason", restart_reason_to_string((int)um->last_exit.reason)), LOG_U64("restarts", um->restarts));
        essential_end(u);
}

void lifecycle_boot(Manager *m, const char *what, const char *detail) {
        Buf b = BUF_INIT(BODY_MAX);
        JsonWriter w;
        json_init(&w, &b, true);
        json_object_begin(&w);
        json_kv_str(&w, "detail", detail);
        json_kv_u64(&w, "elapsed_us", clock_boot_us() - m->begin_us);
        json_kv_u64(&w, "pid", (uint64_t)getpid());
        json_kv_str(&w, "state", boot_state_to_string(m->boot.state));
        json_kv_u64(&w, "units", m->n_units);
        json_kv_str(&w, "version", GUARDIAN_VERSION);
        json_kv_str(&w, "what", what);
        json_object_end(&w);
        if (json_finish(&w) == 0) {
                Str body = {(char *)b.data, b.len};
                char type[64];
                record(m, RECORD_BOOT, what, "guardian", boot_state_to_string(m->boot.state), body);
                snprintf(type, sizeof(type), "guardian.%s", what);
                lifecycle_publish(m, type, "guardian", NULL, body);
        }
        buf_done(&b);
}
