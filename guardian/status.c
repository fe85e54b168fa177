/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of the reading verbs: status, boot, graph, why. Written, never parsed; people's tables are
 * guardianctl's. */
#include "common/clock.h"
#include "common/signals.h"
#include "guardian/verbs.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void exit_json(JsonWriter *w, const UnitMachine *um) {
        const ExitInfo *e = &um->last_exit.exit;
        json_object_begin(w);
        if (um->last_exit.known && exit_has_status(e))
                json_kv_i64(w, "code", e->status);
        else
                json_kv_null(w, "code");
        if (um->last_exit.known && e->signaled)
                json_kv_i64(w, "signal", e->status);
        else
                json_kv_null(w, "signal");
        if (um->last_exit.known)
                json_kv_str(w, "reason", restart_reason_to_string((int)um->last_exit.reason));
        else
                json_kv_null(w, "reason");
        json_object_end(w);
}

static void sandbox_json(JsonWriter *w, const ManagedUnit *u) {
        const Evidence *e = u->pid ? u->evidence : NULL;
        bool confined = u->config->type == SERVICE_CHUNK || u->config->profile == PROFILE_AUTO;
        json_object_begin(w);
        json_kv_str(w, "profile", confined ? "base" : "none");
        if (u->config->sandbox_reason)
                json_kv_str(w, "reason", u->config->sandbox_reason);
        json_kv_bool(w, "verified", confined && e && e->verified);
        json_key(w, "missing");
        json_array_begin(w);
        for (unsigned i = 0; e && i < e->n; i++)
                if (e->checks[i].missing)
                        json_cstr(w, e->checks[i].key);
        json_array_end(w);
        json_key(w, "checks");
        json_array_begin(w);
        for (unsigned i = 0; e && i < e->n; i++) {
                json_object_begin(w);
                json_kv_str(w, "key", e->checks[i].key);
                json_kv_str(w, "planned", e->checks[i].planned);
                json_kv_str(w, "found", e->checks[i].found);
                json_object_end(w);
        }
        json_array_end(w);
        json_object_end(w);
}

static void span(JsonWriter *w, const char *key, uint64_t from_us, uint64_t to_us) {
        json_key(w, key);
        if (to_us == 0 || from_us == 0 || to_us < from_us)
                json_null(w);
        else
                json_milli(w, to_us - from_us);
}

static void unit_json(Manager *m, JsonWriter *w, const ManagedUnit *u) {
        const UnitMachine *um = &u->machine;
        const BootUnit *bu = &m->boot.units[u->index];
        json_object_begin(w);
        json_kv_str(w, "name", u->config->name);
        if (u->config->description)
                json_kv_str(w, "description", u->config->description);
        if (u->config->documentation.n) {
                json_key(w, "documentation");
                json_array_begin(w);
                for (unsigned i = 0; i < u->config->documentation.n; i++)
                        json_cstr(w, u->config->documentation.items[i]);
                json_array_end(w);
        }
        json_key(w, "priority");
        json_milli(w, u->config->priority_milli);
        json_kv_str(w, "state", unit_state_to_string((int)unit_machine_state(um)));
        json_kv_str(w, "verdict", unit_verdict_to_string((int)um->verdict));
        json_kv_str(w, "health", health_to_string((int)um->health));
        json_key(w, "pid");
        if (u->pid)
                json_u64(w, (uint64_t)u->pid);
        else
                json_null(w);
        json_kv_u64(w, "restarts", um->restarts);
        json_kv_u64(w, "instance", um->instance);
        json_key(w, "since");
        json_time(w, u->since_ns);
        span(w, "start_ms", m->begin_us, bu->start_us);
        span(w, "ready_ms", m->begin_us, bu->ready_us);
        span(w, "validated_ms", m->begin_us, bu->validated_us);
        json_kv_bool(w, "can_fail", u->config->can_fail);
        json_kv_bool(w, "critical", u->config->critical || u->config->core);
        if (um->pin == PIN_STATE_NONE)
                json_kv_null(w, "pinned");
        else
                json_kv_str(w, "pinned", um->pin == PIN_STATE_UP ? "up" : "down");
        json_key(w, "last_exit");
        exit_json(w, um);
        json_kv_str(w, "status", u->status_text ? u->status_text : "");
        unsigned left = unit_budget_left(um, clock_boot_us());
        json_key(w, "restart_budget_left");
        if (left == UINT32_MAX)
                json_null(w);
        else
                json_u64(w, left);
        json_key(w, "issues");
        json_array_begin(w);
        for (unsigned i = 0; i < u->n_issues; i++)
                json_cstr(w, u->issues[i]);
        json_array_end(w);
        json_key(w, "sandbox");
        sandbox_json(w, u);
        json_object_end(w);
}

static void enforcement_json(const EnforceStatus *st, JsonWriter *w) {
        json_object_begin(w);
        json_kv_u64(w, "proposals", st->proposals);
        json_kv_u64(w, "allowed", st->allowed);
        json_kv_u64(w, "denied", st->denied);
        json_kv_u64(w, "asked", st->asked);
        json_kv_u64(w, "acted", st->acted);
        json_kv_u64(w, "not_run", st->not_run);
        json_kv_u64(w, "failed", st->failed);
        json_kv_u64(w, "rate_limited", st->rate_limited);
        json_kv_u64(w, "late_verdicts", st->late_verdicts);
        json_kv_u64(w, "forged_verdicts", st->forged_verdicts);
        json_kv_u64(w, "intents_refused", st->intents_refused);
        json_kv_u64(w, "appends_refused", st->appends_refused);
        json_kv_u64(w, "closed_unknown", st->closed_unknown);
        json_kv_u64(w, "ceilings", st->ceilings);
        json_object_end(w);
}

static void guardian_json(Manager *m, JsonWriter *w) {
        EnforceStatus st;
        char text[256];
        enforce_status(m->enforce, manager_now(), &st);
        json_object_begin(w);
        json_kv_str(w, "version", GUARDIAN_VERSION);
        json_kv_u64(w, "pid", (uint64_t)getpid());
        json_kv_str(w, "role", getpid() == 1 ? "pid1" : "subreaper");
        json_kv_str(w, "state", boot_state_to_string(m->boot.state));
        json_key(w, "boot_ms");
        if (m->boot_us)
                json_milli(w, m->boot_us);
        else
                json_null(w);
        json_kv_str(w, "mode", mode_to_string((int)st.mode));
        json_kv_str(w, "containment", group_kind_name(m->groups.kind));
        json_key(w, "policy_revision");
        json_cstr(w, st.policy_revision[0] ? st.policy_revision : NULL);
        json_kv_str(w, "governance", part_state_gate(st.gate));
        json_key(w, "ledger");
        json_object_begin(w);
        json_kv_u64(w, "size", st.ledger_size);
        json_kv_u64(w, "signed_size", st.ledger_signed_size);
        json_kv_str(w, "state", part_state_ledger(st.ledger));
        json_object_end(w);
        json_kv_u64(w, "pending_approvals", st.pending_approvals);
        json_kv_bool(w, "paused", st.paused);
        json_key(w, "pause_reason");
        json_cstr(w, st.paused ? st.pause_reason : NULL);
        json_key(w, "pause_warning");
        pause_warning(m, text, sizeof(text));
        json_cstr(w, text[0] ? text : NULL);
        json_kv_bool(w, "lockdown", st.lockdown);
        json_kv_bool(w, "break_glass", st.break_glass);
        uint64_t now_us = manager_now().boot_us;
        json_key(w, "break_glass_until");
        if (st.break_glass && st.break_glass_until_us > now_us)
                json_time(w, clock_wall_ns() + (st.break_glass_until_us - now_us) * 1000);
        else
                json_null(w);
        json_kv_u64(w, "orphans_reaped", m->reap.orphans);
        json_kv_u64(w, "ungated", st.ungated);
        json_kv_u64(w, "spooled", st.spooled);
        json_kv_u64(w, "lost_records", st.lost_records);
        json_kv_u64(w, "output_dropped", output_dropped(m->output));
        json_key(w, "aborted_by");
        json_cstr(w, m->abort_text[0] ? m->abort_text : NULL);
        json_key(w, "enforcement");
        enforcement_json(&st, w);
        json_object_end(w);
}

static bool failed_unit(const ManagedUnit *u) {
        UnitState s = unit_machine_state(&u->machine);
        UnitVerdict v = u->machine.verdict;
        return s == UNIT_FAILED || s == UNIT_QUARANTINED || s == UNIT_BACKOFF || v == UNIT_VERDICT_FAILED ||
               v == UNIT_VERDICT_DEGRADED || v == UNIT_VERDICT_SKIPPED;
}

static bool named(const Call *c, const ManagedUnit *u) {
        size_t pos = 0;
        Str s;
        bool any = false;
        while (msg_next_str(c->msg, TAG_UNIT, &pos, &s)) {
                any = true;
                if (str_eq(s, u->config->name))
                        return true;
        }
        return !any;
}

int status_document(const Call *c, Buf *out) {
        Manager *m = c->m;
        JsonWriter w;
        bool failed = msg_arg(c->msg, TAG_ARG, "failed").p != NULL;
        json_init(&w, out, false);
        json_object_begin(&w);
        json_key(&w, "guardian");
        guardian_json(m, &w);
        json_key(&w, "units");
        json_array_begin(&w);
        /* in start order: that is the tree by stage */
        for (uint32_t i = 0; i < m->n_units; i++) {
                const ManagedUnit *u = &m->units[m->plan->order[i]];
                if (named(c, u) && (!failed || failed_unit(u)))
                        unit_json(m, &w, u);
        }
        json_array_end(&w);
        json_object_end(&w);
        return json_finish(&w);
}

static void write_issues(void *user, uint32_t unit, JsonWriter *w) {
        Manager *m = user;
        for (unsigned i = 0; i < m->units[unit].n_issues; i++)
                json_cstr(w, m->units[unit].issues[i]);
}

int status_boot(const Call *c, Buf *out) {
        JsonWriter w;
        json_init(&w, out, false);
        boot_write_json(&c->m->boot, &w, write_issues, c->m);
        return json_finish(&w);
}

int status_approvals(const Call *c, Buf *out) {
        JsonWriter w;
        json_init(&w, out, false);
        enforce_approvals_json(c->m->enforce, &w);
        return json_finish(&w);
}

int status_graph(const Call *c, Buf *out) {
        Buf dot = BUF_INIT(4 * 1024 * 1024);
        Str what = msg_arg(c->msg, TAG_ARG, "what");
        int r = str_eq(what, "states") ? unit_state_dot(&dot) : plan_dot(c->m->plan, &dot);
        JsonWriter w;
        json_init(&w, out, false);
        json_object_begin(&w);
        json_kv_str(&w, "format", "dot");
        json_key(&w, "text");
        json_str(&w, (Str){(char *)dot.data, dot.len});
        json_key(&w, "nodes");
        json_array_begin(&w);
        for (uint32_t i = 0; i < c->m->n_units && !str_eq(what, "states"); i++)
                json_cstr(&w, c->m->units[i].config->name);
        json_array_end(&w);
        json_object_end(&w);
        buf_done(&dot);
        return r < 0 ? r : json_finish(&w);
}

static void because(JsonWriter *w, const char *kind, const char *ref, const char *text) {
        json_object_begin(w);
        json_kv_str(w, "kind", kind);
        json_kv_str(w, "ref", ref);
        json_kv_str(w, "text", text);
        json_object_end(w);
}

static void because_ended(JsonWriter *w, const ManagedUnit *u) {
        const UnitMachine *um = &u->machine;
        const ExitInfo *e = &um->last_exit.exit;
        const char *name = u->config->name, *reason = restart_reason_to_string((int)um->last_exit.reason);
        char text[512];
        if (e->error)
                snprintf(text, sizeof(text), "it could not be started: %s",
                        u->n_issues ? u->issues[0] : strerror(-e->error));
        else if (e->signaled)
                snprintf(text, sizeof(text), "its last instance ended by %s (%s)", signal_name(e->status),
                        reason);
        else
                snprintf(
                        text, sizeof(text), "its last instance ended with status %d (%s)", e->status, reason);
        because(w, "exit", name, text);
        if (e->error || unit_is_up(&u->machine) || um->last_exit.reason == RESTART_OPERATOR)
                return;
        snprintf(text, sizeof(text), "what it printed: guardianctl logs %s", name);
        because(w, "log", name, text);
}

/* What Guardian itself knows about a unit; guardianctl adds what the ledger tells. */
int status_why(const Call *c, Buf *out) {
        ManagedUnit *u = manager_unit(c->m, msg_str(c->msg, TAG_UNIT));
        if (!u)
                return -ENOENT;
        const UnitMachine *um = &u->machine;
        char text[512], when[40];
        JsonWriter w;
        json_init(&w, out, false);
        json_object_begin(&w);
        json_kv_str(&w, "subject", u->config->name);
        snprintf(text, sizeof(text), "%s is %s since %s", u->config->name,
                unit_state_to_string((int)unit_machine_state(um)),
                format_time(u->since_ns, when, sizeof(when)));
        json_kv_str(&w, "text", text);
        json_key(&w, "because");
        json_array_begin(&w);
        if (um->started_by != RESTART_NONE) {
                snprintf(text, sizeof(text), "its %s instance %llu was started because of: %s",
                        u->pid ? "present" : "last", (unsigned long long)um->instance,
                        restart_reason_to_string((int)um->started_by));
                because(&w, "start", u->config->name, text);
        }
        if (um->last_exit.known)
                because_ended(&w, u);
        unsigned left = unit_budget_left(um, clock_boot_us());
        if (unit_machine_state(um) == UNIT_QUARANTINED)
                because(&w, "budget", u->config->name,
                        "its own restart budget is used up; guardianctl reset clears it, guardianctl start "
                        "starts it");
        else if (left != UINT32_MAX) {
                snprintf(text, sizeof(text), "%u automatic restart%s left in its window, %llu happened", left,
                        left == 1 ? " is" : "s are", (unsigned long long)um->restarts);
                because(&w, "budget", u->config->name, text);
        }
        if (um->pin != PIN_STATE_NONE)
                because(&w, "pin", u->config->name,
                        um->pin == PIN_STATE_UP ? "it is pinned up" : "it is pinned down");
        for (unsigned i = 0; i < u->n_issues; i++)
                because(&w, "issue", u->config->name, u->issues[i]);
        const PlanUnit *p = &c->m->plan->units[u->index];
        for (uint32_t i = 0; i < p->n_needs; i++) {
                const ManagedUnit *need = &c->m->units[p->needs[i].to];
                if (unit_is_up(&need->machine))
                        continue;
                snprintf(text, sizeof(text), "it %s '%s', which is %s (%s:%u)",
                        p->needs[i].hard ? "requires" : "starts after", need->config->name,
                        unit_state_to_string((int)unit_machine_state(&need->machine)),
                        p->needs[i].file ? p->needs[i].file : "?", p->needs[i].line);
                because(&w, "dependency", need->config->name, text);
        }
        json_array_end(&w);
        json_object_end(&w);
        return json_finish(&w);
}

int status_bootstrap(const Call *c, Buf *out) {
        (void)c;
        JsonWriter w;
        size_t n;
        const EnforceVerb *v = enforce_verbs(&n);
        json_init(&w, out, false);
        json_object_begin(&w);
        json_key(&w, "units");
        json_array_begin(&w);
        json_cstr(&w, "ledger");
        json_cstr(&w, "governance");
        json_array_end(&w);
        json_key(&w, "verbs");
        json_array_begin(&w);
        for (size_t i = 0; i < n; i++)
                if (v[i].bootstrap)
                        json_cstr(&w, v[i].name);
        json_array_end(&w);
        json_object_end(&w);
        return json_finish(&w);
}

/* Counters for scripts; the Prometheus page is the gateway's. */
int status_metrics(const Call *c, Buf *out) {
        JsonWriter w;
        json_init(&w, out, false);
        json_object_begin(&w);
        json_key(&w, "guardian");
        guardian_json(c->m, &w);
        json_kv_u64(&w, "reaped", c->m->reap.reaped);
        json_kv_u64(&w, "orphans", c->m->reap.orphans);
        json_object_end(&w);
        return json_finish(&w);
}

int status_version(const Call *c, Buf *out) {
        JsonWriter w;
        json_init(&w, out, false);
        json_object_begin(&w);
        json_kv_str(&w, "version", GUARDIAN_VERSION);
        json_kv_u64(&w, "pid", (uint64_t)getpid());
        /* guardianctl reads the ledger's files there; a relative path would mean another place to it */
        json_key(&w, "state_dir");
        json_cstr(&w, c->m->state_dir[0] && c->m->opt->state_dir[0] == '/' ? c->m->opt->state_dir : NULL);
        json_object_end(&w);
        return json_finish(&w);
}
