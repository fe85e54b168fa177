/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Rig *rig_new_unfolded(uint8_t seed) {
        Rig *r = calloc(1, sizeof(*r));
        ck_assert_ptr_nonnull(r);
        ck_assert_int_eq(immune_policy_shipped(&r->policy), 0);
        ImmuneConfig cfg = {.self = "immune", .policy = r->policy};
        memset(cfg.seed, seed, sizeof(cfg.seed));
        ck_assert_int_eq(immune_core_new(&cfg, &r->core), 0);
        r->now = (ImmuneNow){100 * 1000000ULL, 1763690400ULL * 1000000000};
        r->timer_us = UINT64_MAX;
        return r;
}

Rig *rig_new(void) {
        Rig *r = rig_new_unfolded(1);
        immune_snapshot_begin(r->core, r->now);
        ck_assert_int_eq(immune_snapshot_end(r->core, r->now), 0);
        ck_assert_int_eq(immune_folded(r->core, r->now), 0);
        rig_drain(r);
        return r;
}

void rig_free(Rig *r) {
        for (unsigned i = 0; i < r->n_records; i++)
                free(r->records[i].body);
        immune_core_free(r->core);
        immune_policy_free(r->policy);
        free(r);
}

static void take_record(Rig *r, const ImmuneCmd *cmd) {
        size_t at;
        const char *why;

        if (r->ledger_away) {
                ck_assert_uint_lt(r->n_held, 256);
                r->held_tokens[r->n_held++] = cmd->token;
                return;
        }
        ck_assert_uint_lt(r->n_records, RIG_RECORDS);
        ck_assert_msg(json_check_canonical(cmd->body, &at, &why) == 0, "%zu: %s: %.*s", at, why,
                (int)cmd->body.n, cmd->body.p);
        RigRecord *rec = &r->records[r->n_records];
        *rec = (RigRecord){.kind = cmd->record, .index = 1000 + r->n_records, .ref = cmd->ref};
        strcpy(rec->correlation, cmd->correlation_id);
        strcpy(rec->resource, cmd->resource);
        strcpy(rec->result, cmd->result);
        rec->body = strndup(cmd->body.p, cmd->body.n);
        r->n_records++;
        uint64_t token = cmd->token, index = rec->index;
        ck_assert_int_eq(immune_on_ack(r->core, r->now, token, true, index), 0);
}

static void take_proposal(Rig *r, const ImmuneCmd *cmd) {
        ck_assert_uint_lt(r->n_proposals, RIG_PROPOSALS);
        RigProposal *p = &r->proposals[r->n_proposals++];
        *p = (RigProposal){.req = cmd->token,
                .incident = cmd->incident,
                .at_us = r->now.boot_us,
                .n_claims = cmd->n_claims};
        strcpy(p->action, cmd->action);
        strcpy(p->target, cmd->resource);
        strcpy(p->correlation, cmd->correlation_id);
        memcpy(p->claims, cmd->claims, sizeof(p->claims));
}

static void take(Rig *r, const ImmuneCmd *cmd) {
        char unit[161];
        uint64_t pid = cmd->pid, start = cmd->start_time, token = cmd->token;

        strcpy(unit, cmd->resource);
        switch (cmd->kind) {
        case IMMUNE_CMD_APPEND:
                take_record(r, cmd);
                break;
        case IMMUNE_CMD_PUBLISH:
                ck_assert_uint_lt(r->n_events, RIG_EVENTS);
                strcpy(r->events[r->n_events].type, cmd->type);
                strcpy(r->events[r->n_events++].correlation, cmd->correlation_id);
                break;
        case IMMUNE_CMD_PROPOSE:
                take_proposal(r, cmd);
                break;
        case IMMUNE_CMD_SAMPLE:
                r->samples++;
                if (r->rss)
                        immune_on_sample(r->core, r->now, unit, pid, start,
                                r->rss(unit, pid, r->now.boot_us - r->pid_start_us[pid % 4096], r->user));
                break;
        case IMMUNE_CMD_EVIDENCE: {
                Evidence e[2] = {{"threads", 3}, {"fds", 12}};
                immune_on_evidence(r->core, r->now, token, e, 2);
                break;
        }
        case IMMUNE_CMD_ANSWER:
                r->answered_token = token;
                strcpy(r->answered, cmd->result);
                break;
        case IMMUNE_CMD_TIMER:
                r->timer_us = cmd->at_us;
                break;
        }
}

void rig_drain(Rig *r) {
        const ImmuneCmd *cmd;
        unsigned guard = 0;

        while ((cmd = immune_next(r->core))) {
                ck_assert_uint_lt(guard++, 20000);
                take(r, cmd);
        }
}

void rig_run(Rig *r, uint64_t us) {
        uint64_t end = r->now.boot_us + us;

        while (r->timer_us <= end) {
                uint64_t to = r->timer_us > r->now.boot_us ? r->timer_us : r->now.boot_us;
                r->now.wall_ns += (to - r->now.boot_us) * 1000;
                r->now.boot_us = to;
                r->timer_us = UINT64_MAX;
                r->wakeups++;
                ck_assert_int_eq(immune_on_timer(r->core, r->now), 0);
                rig_drain(r);
        }
        r->now.wall_ns += (end - r->now.boot_us) * 1000;
        r->now.boot_us = end;
}

static void note_start(Rig *r, uint64_t pid) {
        if (pid && !r->pid_start_us[pid % 4096])
                r->pid_start_us[pid % 4096] = r->now.boot_us;
}

void rig_unit(Rig *r, const char *name, uint64_t pid, UnitState state) {
        UnitReport u = {.unit = name,
                .state = state,
                .pid = pid,
                .start_time = pid * 7,
                .snapshot = true,
                .code = -1,
                .signal = -1,
                .critical = true,
                .heal = 1U << HEAL_RESTART_SERVICE,
                .priority_milli = 3000};

        note_start(r, pid);
        ck_assert_int_eq(immune_on_unit(r->core, r->now, &u), 0);
        rig_drain(r);
}

void rig_event(Rig *r, const char *name, uint64_t pid, UnitState state, RestartReason reason, int64_t code,
        int64_t signal) {
        UnitReport u = {.unit = name,
                .state = state,
                .health = state == UNIT_RUNNING ? HEALTH_HEALTHY : HEALTH_UNKNOWN,
                .pid = pid,
                .start_time = pid * 7,
                .code = code,
                .signal = signal,
                .reason = reason};

        note_start(r, pid);
        ck_assert_int_eq(immune_on_unit(r->core, r->now, &u), 0);
        rig_drain(r);
}

void rig_snapshot(Rig *r, const char *const *names, const uint64_t *pids, unsigned n) {
        immune_snapshot_begin(r->core, r->now);
        for (unsigned i = 0; i < n; i++)
                rig_unit(r, names[i], pids[i], UNIT_RUNNING);
        ck_assert_int_eq(immune_snapshot_end(r->core, r->now), 0);
        rig_drain(r);
}

void rig_answer(Rig *r, const RigProposal *p, Code code, bool more, int outcome) {
        ProposalReport a = {.req = p->req,
                .code = code,
                .more = more,
                .has_outcome = outcome >= 0,
                .outcome = outcome >= 0 ? (Outcome)outcome : OUTCOME_OK,
                .decision_index = 7,
                .intent_index = UINT64_MAX,
                .action_index = outcome >= 0 ? 9 : UINT64_MAX,
                .approval_id = code == CODE_APPROVAL_REQUIRED ? "apr_1" : NULL};

        ck_assert_int_eq(immune_on_proposal(r->core, r->now, &a), 0);
        rig_drain(r);
}

void rig_claim(Rig *r, const char *target, const char *type, Severity s) {
        AnomalyReport a = {
                .id = "x", .type = type, .target = target, .source = "web", .severity = s, .score = 95};
        ck_assert_int_eq(immune_on_anomaly(r->core, r->now, &a), 0);
        rig_drain(r);
}

unsigned rig_count_records(const Rig *r, RecordKind kind, const char *result) {
        unsigned n = 0;
        for (unsigned i = 0; i < r->n_records; i++)
                n += r->records[i].kind == kind && (!result || strcmp(r->records[i].result, result) == 0);
        return n;
}

unsigned rig_count_events(const Rig *r, const char *type) {
        unsigned n = 0;
        for (unsigned i = 0; i < r->n_events; i++)
                n += strcmp(r->events[i].type, type) == 0;
        return n;
}

const char *rig_field(Rig *r, const char *key) {
        static char out[300], want[64];

        snprintf(want, sizeof(want), "\"%s\":\"", key);
        for (unsigned i = r->n_records; i-- > 0;) {
                if (r->records[i].kind != RECORD_INCIDENT)
                        continue;
                const char *p = strstr(r->records[i].body, want);
                if (!p)
                        return "";
                p += strlen(want);
                snprintf(out, sizeof(out), "%.*s", (int)strcspn(p, "\""), p);
                return out;
        }
        return "";
}
