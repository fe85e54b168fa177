/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/enforce/enforce-private.h"
#include <inttypes.h>
#include <stdio.h>

/* Pause, resume and break-glass: Guardian's own switches, never asked of the gate: they must work without it.
 */
static Code switch_allowed(ActorKind kind, Role role, const char *verb) {
        const EnforceVerb *v = enforce_verb(str_of(verb));
        if (FAULTY(FAULT_SWITCH_ROLES))
                return CODE_OK;
        return kind == ACTOR_PERSON && role >= v->role ? CODE_OK : CODE_DENIED_BY_ROLE;
}

void switch_publish(Enforce *e, const char *actor, const char *verb, const char *value, const char *reason) {
        Buf out = BUF_INIT(4096);
        JsonWriter w;
        char type[64];
        snprintf(type, sizeof(type), "guardian.%s", verb);
        json_init(&w, &out, true);
        json_object_begin(&w);
        json_kv_str(&w, "actor", actor);
        json_kv_str(&w, "reason", reason);
        json_kv_str(&w, "value", value);
        json_object_end(&w);
        if (json_finish(&w) == 0)
                e->ops.publish(e->user, type, SELF, NULL, (Str){(const char *)out.data, out.len});
        buf_done(&out);
}

/* An act that waits for nobody: a config record where the ledger takes it now, else the spool, which outlives
 * Guardian. */
static void switch_record(Enforce *e, ActorKind kind, const char *actor, Role role, const char *verb,
        const char *value, Str reason, EnforceNow now) {
        char text[513];
        str_copy(text, sizeof(text), reason);
        switch_publish(e, actor, verb, value, text);
        if (FAULTY(FAULT_PAUSE_UNRECORDED))
                return;
        if (e->cfg.has_ledger && ledger_state(e, now) != PART_READY) {
                Proposal p = {
                        .verb = enforce_verb(str_of(verb)), .kind = kind, .role = role, .ungated = true};
                e->ops.random16(e->user, p.r.request_id);
                str_copy(p.r.actor, sizeof(p.r.actor), str_of(actor));
                str_copy(p.r.action, sizeof(p.r.action), str_of(verb));
                str_copy(p.r.target, sizeof(p.r.target), STR_LIT(SELF));
                str_copy(p.reason, sizeof(p.reason), reason);
                make_correlation(e, (Str){NULL, 0}, p.correlation_id);
                (void)spool_act(e, &p, "bootstrap", false, now);
                return;
        }
        flow_config_record(e, actor, verb, value, text, NULL, now);
}

Code enforce_pause(Enforce *e, ActorKind kind, const char *actor, Role role, Str reason, EnforceNow now) {
        Code code = switch_allowed(kind, role, "pause");
        if (code != CODE_OK)
                return code;
        if (reason.n == 0)
                return CODE_INVALID;
        e->paused = e->switched = true;
        str_copy(e->pause_reason, sizeof(e->pause_reason), reason);
        if (!FAULTY(FAULT_NO_MARKER))
                e->ops.pause_marker(e->user, e->pause_reason);
        switch_record(e, kind, actor, role, "pause", "on", reason, now);
        e->ops.changed(e->user);
        notice(e, now);
        return CODE_OK;
}

Code enforce_resume(Enforce *e, ActorKind kind, const char *actor, Role role, EnforceNow now) {
        Code code = switch_allowed(kind, role, "resume");
        if (code != CODE_OK)
                return code;
        e->switched = true;
        if (e->paused) {
                e->paused = false;
                e->pause_reason[0] = 0;
                e->ops.pause_marker(e->user, NULL);
                switch_record(e, kind, actor, role, "resume", "off", (Str){NULL, 0}, now);
                e->ops.changed(e->user);
        }
        notice(e, now);
        return CODE_OK;
}

Code enforce_shutdown(Enforce *e, ActorKind kind, const char *actor, Role role, Str reason, EnforceNow now) {
        Code code = switch_allowed(kind, role, "shutdown");
        if (code != CODE_OK)
                return code;
        switch_record(e, kind, actor, role, "shutdown", "asked", reason, now);
        notice(e, now);
        return CODE_OK;
}

/* ---- break-glass: the one act without a verdict that must be on record first */
static void glass_begin(Enforce *e, const char *actor, const char *reason, uint64_t ttl_us, EnforceNow now) {
        switch_publish(e, actor, "break_glass", "on", reason);
        e->break_glass_until_us = now.boot_us + ttl_us;
        e->counters.ungated++;
        e->ops.changed(e->user);
}

static void glass_end(Enforce *e, bool well, EnforceNow now) {
        Glass g = e->glass;
        e->glass = (Glass){0};
        if (well)
                glass_begin(e, g.actor, g.reason, g.ttl_us, now);
        else
                spool_withdraw(e, g.id);
        e->ops.glass_reply(e->user, well ? CODE_OK : CODE_FAILED);
}

void glass_recorded(Enforce *e, const uint8_t id[16], bool well, EnforceNow now) {
        if (e->glass.ttl_us && memcmp(e->glass.id, id, sizeof(e->glass.id)) == 0)
                glass_end(e, well, now);
}

void glass_tick(Enforce *e, EnforceNow now) {
        if (e->glass.ttl_us && now.boot_us >= e->glass.answer_by_us)
                glass_end(e, false, now);
}

void enforce_spooled(Enforce *e, int error, EnforceNow now) {
        /* what the disk of the spool does not take the ledger may */
        if (e->glass.ttl_us && (error == 0 || ledger_state(e, now) != PART_READY))
                glass_end(e, error == 0, now);
        notice(e, now);
}

Code enforce_break_glass(Enforce *e, ActorKind kind, const char *actor, Role role, Str reason,
        uint64_t ttl_us, EnforceNow now) {
        Code code = switch_allowed(kind, role, "break_glass");
        if (code != CODE_OK)
                return code;
        if ((reason.n == 0 || ttl_us == 0 || ttl_us > ENFORCE_BREAK_GLASS_MAX_US) &&
                !FAULTY(FAULT_GLASS_BOUNDS))
                return CODE_INVALID;
        if (e->glass.ttl_us)
                return CODE_BUSY;
        Proposal p = {
                .verb = enforce_verb(STR_LIT("break_glass")), .kind = kind, .role = role, .ungated = true};
        e->ops.random16(e->user, p.r.request_id);
        str_copy(p.r.actor, sizeof(p.r.actor), str_of(actor));
        str_copy(p.r.action, sizeof(p.r.action), STR_LIT("break_glass"));
        str_copy(p.r.target, sizeof(p.r.target), STR_LIT(SELF));
        snprintf(p.r.args[p.r.n_args++], sizeof(p.r.args[0]), "ttl=%" PRIu64 "us", ttl_us);
        str_copy(p.reason, sizeof(p.reason), reason);
        make_correlation(e, (Str){NULL, 0}, p.correlation_id);
        /* The one act without a verdict that must be on record first. */
        int r = spool_act(e, &p, "break-glass", true, now);
        if (r < 0 && !FAULTY(FAULT_GLASS_FULL))
                return CODE_FAILED;
        if (r <= 0) {
                glass_begin(e, actor, p.reason, ttl_us, now);
        } else {
                e->glass = (Glass){.ttl_us = ttl_us, .answer_by_us = now.boot_us + ENFORCE_USE_BY_US};
                memcpy(e->glass.id, p.r.request_id, sizeof(e->glass.id));
                str_copy(e->glass.actor, sizeof(e->glass.actor), str_of(actor));
                str_copy(e->glass.reason, sizeof(e->glass.reason), reason);
        }
        notice(e, now);
        return CODE_OK;
}
