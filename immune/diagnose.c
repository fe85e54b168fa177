/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a signal to words and a plan. Rules with named evidence give causes with a confidence; the surest one
 * that matches is the diagnosis. The plan is the first playbook whose type, severity and condition fit, else
 * the table's response.
 */
#include "immune/core-internal.h"
#include "immune/diagnose.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef enum Field {
        F_TYPE,
        F_SEVERITY,
        F_DETECTOR,
        F_SOURCE,
        F_SCORE,
        F_SEEN,
        F_HARD,
        F_BASELINE,
        F_CURRENT,
        F_RATE,
        F_ATTEMPTS,
        F_UNIT,
        F_STATE,
        F_HEALTH,
        F_PRIORITY,
        F_CRITICAL,
        F_CAN_FAIL,
        F_LABEL,
        F_RESTARTS,
        F_ENDS,
        F_EXIT_CODE,
        F_EXIT_SIGNAL,
        F_EXIT_REASON,
        F_EVIDENCE,
} Field;

#define NAME_OF(N, s) s,
static const char *const type_names[] = {ANOMALY_TYPES(NAME_OF) NULL};
static const char *const severity_names[] = {SEVERITIES(NAME_OF) NULL};
static const char *const state_names[] = {UNIT_STATES(NAME_OF) NULL};
static const char *const health_names[] = {HEALTHS(NAME_OF) NULL};
static const char *const reason_names[] = {RESTART_REASONS(NAME_OF) NULL};
static const char *const detector_values[] = {
        "memory_growth", "exits", "heartbeat", "report", "workflow", NULL};

static const RuleField fields[] = {
        {"anomaly.type", RULE_STRING, F_TYPE, type_names},
        {"anomaly.severity", RULE_STRING, F_SEVERITY, severity_names},
        {"anomaly.detector", RULE_STRING, F_DETECTOR, detector_values},
        {"anomaly.source", RULE_STRING, F_SOURCE, NULL},
        {"anomaly.score", RULE_INT, F_SCORE, NULL}, /* hundredths */
        {"anomaly.seen", RULE_INT, F_SEEN, NULL},
        {"signal.hard", RULE_BOOL, F_HARD, NULL},
        {"signal.baseline", RULE_INT, F_BASELINE, NULL},
        {"signal.current", RULE_INT, F_CURRENT, NULL},
        {"signal.rate", RULE_INT, F_RATE, NULL},
        {"incident.attempts", RULE_INT, F_ATTEMPTS, NULL},
        {"unit.name", RULE_STRING, F_UNIT, NULL},
        {"unit.state", RULE_STRING, F_STATE, state_names},
        {"unit.health", RULE_STRING, F_HEALTH, health_names},
        {"unit.priority", RULE_DOUBLE, F_PRIORITY, NULL},
        {"unit.critical", RULE_BOOL, F_CRITICAL, NULL},
        {"unit.can_fail", RULE_BOOL, F_CAN_FAIL, NULL},
        {"unit.labels.*", RULE_STRING, F_LABEL, NULL},
        {"unit.restarts", RULE_INT, F_RESTARTS, NULL},
        {"unit.recent_ends", RULE_INT, F_ENDS, NULL},
        {"unit.exit.code", RULE_INT, F_EXIT_CODE, NULL},
        {"unit.exit.signal", RULE_INT, F_EXIT_SIGNAL, NULL},
        {"unit.exit.reason", RULE_STRING, F_EXIT_REASON, reason_names},
        {"evidence.*", RULE_INT, F_EVIDENCE, NULL},
};
const RuleSchema diagnose_schema = {fields, ELEMENTSOF(fields)};

static const char *const detector_names[] = {"memory_growth", "exits", "heartbeat", "report", "workflow"};
_Static_assert(ELEMENTSOF(detector_names) == _DETECTOR_MAX, "a name for each detector");
const char *detector_to_string(int v) {
        return v >= 0 && v < _DETECTOR_MAX ? detector_names[v] : "invalid";
}
int detector_from_string(Str s) {
        for (int i = 0; i < _DETECTOR_MAX; i++)
                if (str_eq(s, detector_names[i]))
                        return i;
        return -1;
}

typedef struct Asked {
        const ImmuneCore *c;
        const Incident *i;
        const ImmuneUnit *u;
        ImmuneNow now;
} Asked;

static int give_str(RuleValue *ret, const char *s) {
        *ret = (RuleValue){.type = RULE_STRING, .s = str_of(s)};
        return 0;
}

static int give_int(RuleValue *ret, int64_t v) {
        *ret = (RuleValue){.type = RULE_INT, .i = v};
        return 0;
}

static int give_bool(RuleValue *ret, bool v) {
        *ret = (RuleValue){.type = RULE_BOOL, .b = v};
        return 0;
}

static int lookup_label(const ImmuneUnit *u, const char *name, RuleValue *ret) {
        size_t n = strlen(name);
        for (unsigned k = 0; k < u->n_labels; k++)
                if (strncmp(u->labels[k], name, n) == 0 && u->labels[k][n] == '=')
                        return give_str(ret, u->labels[k] + n + 1);
        return 1;
}

static int lookup_unit(const Asked *a, Field f, const char *field, RuleValue *ret) {
        const ImmuneUnit *u = a->u;

        if (!u)
                return 1;
        switch ((int)f) {
        case F_UNIT:
                return give_str(ret, u->name);
        case F_STATE:
                return give_str(ret, unit_state_to_string((int)u->state));
        case F_HEALTH:
                return give_str(ret, health_to_string((int)u->health));
        case F_PRIORITY:
                *ret = (RuleValue){.type = RULE_DOUBLE, .d = (double)u->priority_milli / 1000};
                return u->known ? 0 : 1;
        case F_CRITICAL:
                return u->known ? give_bool(ret, u->critical) : 1;
        case F_CAN_FAIL:
                return u->known ? give_bool(ret, u->can_fail) : 1;
        case F_LABEL:
                return lookup_label(u, field + strlen("unit.labels."), ret);
        case F_RESTARTS:
                return give_int(ret, (int64_t)u->restarts);
        case F_ENDS:
                return give_int(ret, unit_recent_ends(u, a->now.boot_us, a->c->policy->exits.window_us));
        case F_EXIT_CODE:
                return u->code < 0 ? 1 : give_int(ret, u->code);
        case F_EXIT_SIGNAL:
                return u->signal < 0 ? 1 : give_int(ret, u->signal);
        case F_EXIT_REASON:
                return give_str(ret, restart_reason_to_string((int)u->reason));
        default:
                return -EINVAL;
        }
}

static int lookup(void *user, unsigned id, const char *field, RuleValue *ret) {
        const Asked *a = user;
        const Incident *i = a->i;

        switch ((int)id) {
        case F_TYPE:
                return give_str(ret, anomaly_type_to_string((int)i->type));
        case F_SEVERITY:
                return give_str(ret, severity_to_string((int)i->severity));
        case F_DETECTOR:
                return give_str(ret, detector_to_string((int)i->detector));
        case F_SOURCE:
                return give_str(ret, i->source);
        case F_SCORE:
                return give_int(ret, i->score);
        case F_SEEN:
                return give_int(ret, i->seen);
        case F_HARD:
                return give_bool(
                        ret, !incident_is_claim(i) || (a->u && unit_hard_signal(a->c, a->u, a->now)));
        case F_BASELINE:
                return give_int(ret, (int64_t)i->baseline);
        case F_CURRENT:
                return give_int(ret, (int64_t)i->current);
        case F_RATE:
                return give_int(ret, (int64_t)i->rate);
        case F_ATTEMPTS:
                return give_int(ret, i->attempts);
        case F_EVIDENCE:
                for (unsigned k = 0; k < i->n_evidence; k++)
                        if (strcmp(i->evidence[k].key, field + strlen("evidence.")) == 0)
                                return give_int(ret, i->evidence[k].value);
                return 1;
        default:
                return lookup_unit(a, (Field)id, field, ret);
        }
}

void diagnose(ImmuneCore *c, ImmuneNow now, Incident *i, const ImmuneUnit *u) {
        Asked asked = {c, i, u, now};
        RuleContext context = {lookup, &asked};

        i->diagnosis[0] = i->cause[0] = 0;
        i->confidence = 0;
        for (unsigned k = 0; k < c->policy->n_diagnoses; k++) {
                const Diagnosis *d = &c->policy->diagnoses[k];
                if (!(d->types & 1U << i->type) || d->confidence <= i->confidence)
                        continue;
                if (d->when && rule_eval(d->when, &context) != RULE_MATCH)
                        continue;
                str_copy(i->diagnosis, sizeof(i->diagnosis), str_of(d->id));
                str_copy(i->cause, sizeof(i->cause), str_of(d->cause));
                i->confidence = d->confidence;
        }
}

static void plan_playbook(Incident *i, const Playbook *p) {
        str_copy(i->playbook, sizeof(i->playbook), str_of(p->id));
        memcpy(i->steps, p->steps, sizeof(i->steps));
        i->n_steps = p->n_steps;
        i->verify_within_us = p->verify_within_us;
        i->stable_for_us = p->stable_for_us;
        i->cool_down_us = p->cool_down_us;
}

/* No playbook fits: evidence, then what the table says, then a person; or a look for as long as the dedupe
 * window. */
static void plan_table(const ImmuneCore *c, Incident *i, HealingAction action, bool escalate) {
        const Response *r = anomaly_response(i->type, i->severity);
        StepKind kind = r ? r->kind : STEP_ESCALATE;

        if (action < _HEAL_MAX)
                kind = STEP_ACTION;
        else if (r)
                action = r->action;
        if (escalate)
                kind = STEP_ESCALATE;
        str_copy(i->playbook, sizeof(i->playbook), STR_LIT("response-table"));
        i->verify_within_us = 30 * 1000000ULL;
        i->stable_for_us = c->policy->dedupe_us;
        i->cool_down_us = 2 * i->verify_within_us;
        i->n_steps = 0;
        if (kind == STEP_OBSERVE) {
                i->steps[i->n_steps++] = (Step){STEP_OBSERVE, _HEAL_MAX, c->policy->dedupe_us};
                return;
        }
        i->steps[i->n_steps++] = (Step){STEP_COLLECT, _HEAL_MAX, 0};
        if (kind == STEP_ACTION)
                i->steps[i->n_steps++] = (Step){STEP_ACTION, action, 0};
        i->steps[i->n_steps++] = (Step){STEP_ESCALATE, HEAL_ESCALATE_TO_HUMAN, 0};
}

void plan_incident(
        ImmuneCore *c, ImmuneNow now, Incident *i, const ImmuneUnit *u, HealingAction action, bool escalate) {
        Asked asked = {c, i, u, now};
        RuleContext context = {lookup, &asked};

        i->step = 0;
        memset(i->steps, 0, sizeof(i->steps));
        for (unsigned k = 0; k < c->policy->n_playbooks && action == _HEAL_MAX && !escalate; k++) {
                const Playbook *p = &c->policy->playbooks[k];
                if (p->type != i->type || !(p->severities & 1U << i->severity))
                        continue;
                if (p->when && rule_eval(p->when, &context) != RULE_MATCH)
                        continue;
                plan_playbook(i, p);
                return;
        }
        plan_table(c, i, action, escalate);
}
