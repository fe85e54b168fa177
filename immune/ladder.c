/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ladder is walked rung by rung; only a rung of kind ACTION leaves this process, as a proposal, and only
 * after the incident is on record (its ledger index travels with the proposal), the target lists the action
 * in Heal=, the signal is hard or an operator's workflow stands behind it, it is still there, nobody else is
 * at work on the target, and no storm, cool-down, rate or count forbids it. What may pass is held and tried
 * again; what was refused for good, or failed, is the next rung; the last rung is a person.
 */
#include "immune/core-internal.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const uint64_t second_us = 1000000, answer_us = 60 * 1000000ULL, approval_us = 16 * 60 * 1000000ULL;

static void hold(Incident *i, uint64_t until_us, const char *reason) {
        incident_wait(i, WAIT_HELD, until_us);
        str_copy(i->reason, sizeof(i->reason), str_of(reason));
}

/* Doubles from retry_min to retry_max: for what may pass by itself. */
static void hold_back(const ImmuneCore *c, ImmuneNow now, Incident *i, const char *reason) {
        i->retry_us = i->retry_us ? i->retry_us * 2 : c->policy->retry_min_us;
        if (i->retry_us > c->policy->retry_max_us)
                i->retry_us = c->policy->retry_max_us;
        hold(i, now.boot_us + i->retry_us, reason);
}

/* ---- the proposal */

static void claim(ImmuneCmd *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void claim(ImmuneCmd *cmd, const char *fmt, ...) {
        va_list ap;

        if (cmd->n_claims >= IMMUNE_CLAIMS_MAX)
                return;
        va_start(ap, fmt);
        vsnprintf(cmd->claims[cmd->n_claims++], sizeof(cmd->claims[0]), fmt, ap);
        va_end(ap);
}

static void add_claims(ImmuneCmd *cmd, const Incident *i, bool hard) {
        claim(cmd, "signal=s:%s", detector_to_string((int)i->detector));
        claim(cmd, "anomaly=s:%s", anomaly_type_to_string((int)i->type));
        claim(cmd, "severity=s:%s", severity_to_string((int)i->severity));
        claim(cmd, "hard_signal=b:%d", hard);
        claim(cmd, "operator_condition=b:%d", i->operator_condition);
        claim(cmd, "constitutional_risk=b:%d", i->constitutional);
        claim(cmd, "attempt=i:%u", i->attempts + 1);
        claim(cmd, "seen=i:%u", i->seen);
        if (i->detector == BY_GROWTH) {
                claim(cmd, "rss_at_ready=i:%llu", (unsigned long long)i->baseline);
                claim(cmd, "rss=i:%llu", (unsigned long long)i->current);
                claim(cmd, "growth_rate=i:%llu", (unsigned long long)i->rate);
        }
        if (incident_is_claim(i))
                claim(cmd, "score=i:%u", i->score);
        if (i->diagnosis[0])
                claim(cmd, "diagnosis=s:%s", i->diagnosis);
        for (unsigned k = 0; k < i->n_evidence; k++)
                claim(cmd, "evidence_%s=i:%lld", i->evidence[k].key, (long long)i->evidence[k].value);
}

static void propose(ImmuneCore *c, ImmuneNow now, Incident *i, const Step *step, bool hard) {
        ImmuneCmd *cmd = core_command(c, IMMUNE_CMD_PROPOSE, NULL);

        if (!cmd)
                return;
        i->action = step->action;
        if (!i->retry_us)
                i->code = CODE_OK;
        i->approval_id[0] = i->reason[0] = 0;
        incident_wait(i, WAIT_ANSWER, now.boot_us + (step->timeout_us ? step->timeout_us : answer_us));
        i->token = cmd->token = core_token(c);
        str_copy(cmd->action, sizeof(cmd->action), str_of(healing_action_to_string((int)step->action)));
        str_copy(cmd->resource, sizeof(cmd->resource), str_of(i->target));
        str_copy(cmd->correlation_id, sizeof(cmd->correlation_id), str_of(i->correlation));
        str_copy(cmd->reason, sizeof(cmd->reason), str_of(i->text));
        cmd->incident = i->opened_index;
        add_claims(cmd, i, hard);
        c->stats.proposals++;
        i->state = INCIDENT_PROPOSED;
        if (!i->retry_us) /* once on record, not once a try */
                record_incident(c, i, 0);
}

static bool target_busy(const ImmuneCore *c, const Incident *self, unsigned *in_flight) {
        bool busy = false;

        *in_flight = 0;
        LIST_FOREACH (n, &c->incidents) {
                const Incident *i = container_of(n, Incident, node);
                *in_flight += i->wait == WAIT_ANSWER;
                if (i != self && strcmp(i->target, self->target) == 0)
                        busy = busy || i->wait == WAIT_ANSWER || i->wait == WAIT_VERIFY;
        }
        return busy;
}

/* Is what raised the incident still so? The last look before something is proposed. */
static bool signal_present(const Incident *i, const ImmuneUnit *u) {
        switch (i->detector) {
        case BY_GROWTH:
                return unit_same_incarnation(u, i);
        case BY_HEARTBEAT:
                return u->silent && unit_same_incarnation(u, i);
        case BY_EXITS:
                return u->state != UNIT_RUNNING || u->health == HEALTH_UNHEALTHY;
        case BY_REPORT:
        case BY_WORKFLOW:
        case _DETECTOR_MAX:
                break;
        }
        return true;
}

/* Why the rung may not be taken at all; NULL: it may. */
static const char *forbidden(const ImmuneCore *c, const Incident *i, const ImmuneUnit *u, HealingAction a,
        bool hard, char *out, size_t cap) {
        if (!u) {
                snprintf(out, cap, "%s is not a unit", i->target);
                return out;
        }
        if (i->attempts >= c->policy->max_attempts) {
                snprintf(out, cap, "%u attempts were made", i->attempts);
                return out;
        }
        if (!(u->heal & 1U << a)) {
                snprintf(out, cap, "%s is not in Heal= of %s", healing_action_to_string((int)a), u->name);
                return out;
        }
        if (!hard && !i->operator_condition)
                return "no hard signal: a claim alone never acts";
        return NULL;
}

/* False: the incident waits or went another way; true: the rung is not to be taken, go on with the next. */
static bool act(ImmuneCore *c, ImmuneNow now, Incident *i, const Step *step) {
        const ImmuneUnit *u = core_unit(c, i->target);
        bool hard = i->detector == BY_GROWTH || i->detector == BY_EXITS || i->detector == BY_HEARTBEAT ||
                    (u && unit_hard_signal(c, u, now));
        char text[200];
        unsigned in_flight;
        const char *no = forbidden(c, i, u, step->action, hard, text, sizeof(text));

        if (no || !u) {
                c->stats.refused++;
                str_copy(i->reason, sizeof(i->reason), str_of(no));
                return true;
        }
        if (u->state == UNIT_BACKOFF || u->state == UNIT_STARTING || u->state == UNIT_VALIDATING ||
                u->state == UNIT_STOPPING)
                hold(i, now.boot_us + 2 * second_us, "the unit's own restart budget is at work");
        else if (!signal_present(i, u))
                incident_begin_verification(c, now, i, false);
        else if (target_busy(c, i, &in_flight))
                hold(i, now.boot_us + 2 * second_us, "another incident is at work on this unit");
        else if (core_storm(c, now))
                hold(i, c->storm_until_us, "too many units are down at once");
        else if (u->cool_until_us > now.boot_us)
                hold(i, u->cool_until_us, "cooling down after the last action");
        else if (in_flight >= c->policy->max_open || !core_take_rate(c, now))
                hold(i, now.boot_us + second_us, "too many proposals at once");
        else
                propose(c, now, i, step, hard);
        return false;
}

static bool look_closer(ImmuneCore *c, ImmuneNow now, Incident *i, const Step *step) {
        const ImmuneUnit *u = core_unit(c, i->target);

        if (!u || !u->pid)
                return true;
        ImmuneCmd *cmd = core_command(c, IMMUNE_CMD_EVIDENCE, NULL);
        if (!cmd)
                return false;
        incident_wait(i, WAIT_EVIDENCE, now.boot_us + (step->timeout_us ? step->timeout_us : 2 * second_us));
        i->token = cmd->token = core_token(c);
        cmd->pid = u->pid;
        cmd->start_time = u->start_time;
        str_copy(cmd->resource, sizeof(cmd->resource), str_of(u->name));
        return false;
}

static void end_of_ladder(ImmuneCore *c, ImmuneNow now, Incident *i) {
        char reason[257];

        if (i->n_steps > 0 && i->steps[i->n_steps - 1].kind == STEP_OBSERVE) {
                incident_close(c, now, i, RESULT_UNKNOWN,
                        "observed; nothing more was seen that calls for an action");
                return;
        }
        snprintf(reason, sizeof(reason), "nothing is left to try%s%.200s", i->reason[0] ? ": " : "",
                i->reason);
        incident_escalate(c, i, reason);
}

void incident_advance(ImmuneCore *c, ImmuneNow now, Incident *i) {
        char reason[257];

        for (; i->step < i->n_steps; i->step++) {
                const Step *step = &i->steps[i->step];
                switch (step->kind) {
                case STEP_OBSERVE:
                        if (step->timeout_us == 0)
                                continue;
                        incident_wait(i, WAIT_OBSERVE, now.boot_us + step->timeout_us);
                        return;
                case STEP_COLLECT:
                        if (look_closer(c, now, i, step))
                                continue;
                        return;
                case STEP_ACTION:
                        if (act(c, now, i, step))
                                continue;
                        return;
                case STEP_ESCALATE:
                case _STEP_MAX:
                        snprintf(reason, sizeof(reason), "the playbook asks for a person%s%.200s",
                                i->reason[0] ? ": " : "", i->reason);
                        incident_escalate(c, i, reason);
                        return;
                }
        }
        end_of_ladder(c, now, i);
}

void incident_evidence(ImmuneCore *c, ImmuneNow now, Incident *i) {
        diagnose(c, now, i, core_unit(c, i->target));
        i->step++;
        incident_advance(c, now, i);
}

/* ---- answers */

typedef enum Refusal { REFUSED_FOR_NOW, REFUSED_STALE, REFUSED_FOR_GOOD } Refusal;

static Refusal refusal(Code code) {
        switch (code) {
        case CODE_GOVERNANCE_UNAVAILABLE:
        case CODE_LEDGER_UNAVAILABLE:
        case CODE_PAUSED:
        case CODE_RATE_LIMITED:
        case CODE_TIMEOUT:
        case CODE_TARGET_BUSY:
        case CODE_LOCKDOWN:
        case CODE_BUSY:
        case CODE_PINNED:
        case CODE_LEDGER_ROLLBACK:
                return REFUSED_FOR_NOW;
        case CODE_STALE_TARGET:
        case CODE_UNRECORDED:
                return REFUSED_STALE;
        case CODE_OK:
        case CODE_GOVERNANCE_ABSENT:
        case CODE_DENIED_BY_RULE:
        case CODE_DENIED_BY_ROLE:
        case CODE_DEFAULT_DENY:
        case CODE_APPROVAL_REQUIRED:
        case CODE_APPROVAL_MISMATCH:
        case CODE_APPROVAL_USED:
        case CODE_APPROVAL_EXPIRED:
        case CODE_SELF_APPROVAL:
        case CODE_BUDGET_EXCEEDED:
        case CODE_CEILING:
        case CODE_HEAL_NOT_LISTED:
        case CODE_UNKNOWN_UNIT:
        case CODE_UNKNOWN_ACTION:
        case CODE_UNKNOWN_ID:
        case CODE_FAILED:
        case CODE_ALREADY_VOTED:
        case CODE_APPROVAL_DENIED:
        case CODE_INVALID:
        case CODE_NEEDED_BY_OTHERS:
        case CODE_INTENT_REFUSED:
        case CODE_UNSUPPORTED:
        case _CODE_MAX:
                break;
        }
        return REFUSED_FOR_GOOD;
}

static void refused(ImmuneCore *c, ImmuneNow now, Incident *i, const ProposalReport *r, Code before) {
        char text[257];

        c->stats.refused++;
        snprintf(text, sizeof(text), "%s was refused: %s%s%.160s", healing_action_to_string((int)i->action),
                code_to_string((int)r->code), r->reason ? ": " : "", r->reason ? r->reason : "");
        switch (refusal(r->code)) {
        case REFUSED_FOR_NOW:
                hold_back(c, now, i, text);
                i->state = INCIDENT_OPENED;
                if (before != r->code)
                        record_incident(c, i, 0);
                return;
        case REFUSED_STALE:
                incident_begin_verification(c, now, i, false);
                return;
        case REFUSED_FOR_GOOD:
                incident_escalate(c, i, text);
                return;
        }
}

static void executed(ImmuneCore *c, ImmuneNow now, Incident *i, Outcome outcome, const char *reason) {
        ImmuneUnit *u = core_unit(c, i->target);

        if (outcome == OUTCOME_NOT_RUN) {
                i->state = INCIDENT_OPENED;
                hold_back(c, now, i, reason && *reason ? reason : "the action was not run");
                record_incident(c, i, 0);
                return;
        }
        i->attempts++;
        i->retry_us = 0;
        if (u)
                u->cool_until_us = now.boot_us + i->cool_down_us;
        if (outcome == OUTCOME_FAILED) {
                incident_failed(
                        c, now, i, RESULT_NOT_FIXED, reason && *reason ? reason : "the action failed");
                return;
        }
        /* An unknown outcome is verified like a good one and never repeated. */
        c->stats.healed++;
        str_copy(i->reason, sizeof(i->reason),
                outcome == OUTCOME_OK ? STR_LIT("") : STR_LIT("the action's outcome is unknown"));
        incident_set_state(c, i, INCIDENT_HEALED);
        if (outcome == OUTCOME_OK)
                publish_incident(c, i, "avn.healing_executed", "P1");
        incident_begin_verification(c, now, i, true);
}

void incident_answer(ImmuneCore *c, ImmuneNow now, Incident *i, const ProposalReport *r) {
        Code before = i->code;

        i->code = r->code;
        if (r->decision_index != NO_INDEX)
                i->decision_index = r->decision_index;
        if (r->intent_index != NO_INDEX)
                i->intent_index = r->intent_index;
        if (r->action_index != NO_INDEX)
                i->action_index = r->action_index;
        if (r->code == CODE_APPROVAL_REQUIRED) {
                uint64_t token = i->token;
                bool news = i->state != INCIDENT_WAITING;
                if (r->approval_id)
                        str_copy(i->approval_id, sizeof(i->approval_id), str_of(r->approval_id));
                incident_wait(i, WAIT_ANSWER, now.boot_us + approval_us);
                i->token = token;
                if (news)
                        incident_set_state(c, i, INCIDENT_WAITING);
                return;
        }
        if (r->more)
                return;
        if (r->has_outcome)
                executed(c, now, i, r->outcome, r->reason);
        else if (r->code == CODE_OK)
                executed(c, now, i, OUTCOME_UNKNOWN, r->reason);
        else
                refused(c, now, i, r, before);
}

/* ---- time */

static void observed(ImmuneCore *c, ImmuneNow now, Incident *i) {
        const ImmuneUnit *u = core_unit(c, i->target);
        bool up = u && u->state == UNIT_RUNNING && u->health != HEALTH_UNHEALTHY;

        if (i->detector == BY_EXITS && up &&
                unit_recent_ends(u, now.boot_us, c->policy->exits.window_us) < c->policy->exits.repeats) {
                incident_close(c, now, i, RESULT_FIXED, "it came back by its own restart budget");
                return;
        }
        i->step++;
        incident_advance(c, now, i);
}

void incident_deadline(ImmuneCore *c, ImmuneNow now, Incident *i) {
        i->deadline_us = NEVER;
        switch (i->wait) {
        case WAIT_ANOMALY:
                i->token = core_token(c);
                record_anomaly(c, i, i->token);
                return;
        case WAIT_OPENED:
                i->token = core_token(c);
                record_incident(c, i, i->token);
                return;
        case WAIT_OBSERVE:
                observed(c, now, i);
                return;
        case WAIT_EVIDENCE:
                i->step++;
                incident_advance(c, now, i);
                return;
        case WAIT_HELD:
                incident_advance(c, now, i);
                return;
        case WAIT_ANSWER:
                /* Guardian answers every proposal; without the answer nobody knows what ran, so look. */
                i->state = INCIDENT_OPENED;
                incident_begin_verification(c, now, i, false);
                return;
        case WAIT_VERIFY:
                incident_judge(c, now, i, core_unit(c, i->target), true);
                return;
        case WAIT_STABLE:
                incident_close(c, now, i, i->outcome, "the signal stayed away");
                return;
        case WAIT_SIGNAL:
                incident_close(c, now, i, RESULT_UNKNOWN, "not reported again");
                return;
        case WAIT_NONE:
                return;
        }
}

/* ---- after a restart of this kernel */

static void resume_asked(ImmuneCore *c, ImmuneNow now, Incident *i) {
        const ImmuneUnit *u = core_unit(c, i->target);

        if (i->acted) {
                executed(c, now, i, i->acted_outcome, NULL);
        } else if (u && i->pid && !unit_same_incarnation(u, i) && i->detector != BY_EXITS) {
                incident_begin_verification(c, now, i, false); /* whoever did it: it is another process */
        } else {
                /* The question may still be open at Guardian: then the target is busy, and the answer shows
                 * as a new process. */
                i->state = INCIDENT_OPENED;
                hold_back(c, now, i, "taken up again after a restart of the immune kernel");
        }
}

void incident_resume(ImmuneCore *c, ImmuneNow now, Incident *i) {
        i->last_seen_us = now.boot_us;
        switch (i->state) {
        case INCIDENT_OPENED:
        case INCIDENT_FAILED:
                incident_advance(c, now, i);
                return;
        case INCIDENT_PROPOSED:
        case INCIDENT_WAITING:
                resume_asked(c, now, i);
                return;
        case INCIDENT_HEALED:
                incident_begin_verification(c, now, i, true);
                return;
        case INCIDENT_VERIFIED:
                incident_wait(i, WAIT_STABLE, now.boot_us + i->stable_for_us);
                return;
        case INCIDENT_ESCALATED:
                incident_wait(i, WAIT_SIGNAL,
                        i->detector == BY_REPORT || i->detector == BY_WORKFLOW
                                ? now.boot_us + c->policy->dedupe_us
                                : NEVER);
                return;
        case INCIDENT_CLOSED:
        case _INCIDENT_STATE_MAX:
                return;
        }
}
