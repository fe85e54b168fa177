/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incidents as records and back. Every incident record holds the whole incident, so folding is "the newest
 * record wins" and nothing has to be replayed; of the records that others wrote only those of a question that
 * is still open matter.
 */
#include "immune/core-internal.h"
#include "common/cleanup.h"
#include "common/json/json-read.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 32 * 1024 };

static const char *const state_names[] = {
        "opened", "proposed", "waiting_approval", "healed", "verified", "failed", "escalated", "closed"};
static const char *const outcome_names[] = {"none", "fixed", "not_fixed", "worse", "unknown"};
_Static_assert(ELEMENTSOF(state_names) == _INCIDENT_STATE_MAX, "a name for each state");
_Static_assert(ELEMENTSOF(outcome_names) == _RESULT_MAX, "a name for each outcome");

#define DEFINE_VOCAB(name, table)                                                                            \
        const char *name##_to_string(int v) {                                                                \
                return v >= 0 && (size_t)v < ELEMENTSOF(table) ? table[v] : "invalid";                       \
        }                                                                                                    \
        int name##_from_string(Str s) {                                                                      \
                for (size_t k = 0; k < ELEMENTSOF(table); k++)                                               \
                        if (str_eq(s, table[k]))                                                             \
                                return (int)k;                                                               \
                return -EINVAL;                                                                              \
        }
DEFINE_VOCAB(incident_state, state_names)
DEFINE_VOCAB(incident_outcome, outcome_names)

void record_kv_text(JsonWriter *w, const char *k, const char *s) {
        json_kv_str(w, k, *s ? s : NULL);
}

void record_kv_time(JsonWriter *w, const char *k, uint64_t ns) {
        json_key(w, k);
        if (ns)
                json_time(w, ns);
        else
                json_null(w);
}

static void write_evidence(JsonWriter *w, const Incident *i) {
        json_key(w, "evidence");
        json_object_begin(w);
        const char *last = "";
        /* In byte order, each key once, whatever order it was collected in. */
        for (unsigned written = 0; written < i->n_evidence; written++) {
                const Evidence *next = NULL;
                for (unsigned k = 0; k < i->n_evidence; k++)
                        if (strcmp(i->evidence[k].key, last) > 0 &&
                                (!next || strcmp(i->evidence[k].key, next->key) < 0))
                                next = &i->evidence[k];
                if (!next)
                        break;
                json_kv_i64(w, next->key, next->value);
                last = next->key;
        }
        json_object_end(w);
}

static void write_plan(JsonWriter *w, const Incident *i) {
        json_key(w, "plan");
        json_array_begin(w);
        for (unsigned k = 0; k < i->n_steps; k++) {
                const Step *s = &i->steps[k];
                json_object_begin(w);
                json_kv_str(w, "do",
                        s->kind == STEP_ACTION ? healing_action_to_string((int)s->action)
                                               : step_kind_to_string((int)s->kind));
                json_kv_u64(w, "timeout_us", s->timeout_us);
                json_object_end(w);
        }
        json_array_end(w);
}

static void write_incident(JsonWriter *w, const Incident *i) {
        json_object_begin(w);
        json_kv_str(w, "action", i->action < _HEAL_MAX ? healing_action_to_string((int)i->action) : NULL);
        json_kv_u64_or_null(w, "action_index", i->action_index);
        json_kv_u64_or_null(w, "anomaly", i->anomaly_index);
        record_kv_text(w, "approval_id", i->approval_id);
        json_kv_u64(w, "attempts", i->attempts);
        json_kv_u64(w, "baseline", i->baseline);
        record_kv_text(w, "cause", i->cause);
        record_kv_time(w, "closed", i->closed_ns);
        json_kv_str(w, "code", code_to_string((int)i->code));
        json_kv_u64(w, "confidence", i->confidence);
        json_kv_bool(w, "constitutional", i->constitutional);
        json_kv_u64(w, "cool_down_us", i->cool_down_us);
        json_kv_str(w, "correlation_id", i->correlation);
        json_kv_u64(w, "current", i->current);
        json_kv_u64_or_null(w, "decision", i->decision_index);
        json_kv_str(w, "detector", detector_to_string((int)i->detector));
        record_kv_text(w, "diagnosis", i->diagnosis);
        write_evidence(w, i);
        json_kv_str(w, "id", i->id);
        json_kv_u64_or_null(w, "intent", i->intent_index);
        record_kv_time(w, "opened", i->opened_ns);
        json_kv_bool(w, "operator_condition", i->operator_condition);
        record_kv_text(w, "original", i->original);
        json_kv_str(w, "outcome", incident_outcome_to_string((int)i->outcome));
        json_kv_u64(w, "pid", i->pid);
        write_plan(w, i);
        json_kv_str(w, "playbook", i->playbook);
        json_kv_u64(w, "rate", i->rate);
        record_kv_text(w, "reason", i->reason);
        json_kv_u64(w, "score", i->score);
        json_kv_u64(w, "seen", i->seen);
        json_kv_str(w, "severity", severity_to_string((int)i->severity));
        json_kv_str(w, "source", i->source);
        json_kv_u64(w, "stable_for_us", i->stable_for_us);
        json_kv_u64(w, "start_time", i->start_time);
        json_kv_str(w, "state", incident_state_to_string((int)i->state));
        json_kv_u64(w, "step", i->step);
        json_kv_str(w, "target", i->target);
        json_kv_str(w, "text", i->text);
        json_kv_str(w, "type", anomaly_type_to_string((int)i->type));
        json_kv_u64(w, "verify_within_us", i->verify_within_us);
        json_object_end(w);
}

static void write_anomaly(JsonWriter *w, const Incident *i) {
        json_object_begin(w);
        json_kv_u64(w, "baseline", i->baseline);
        json_kv_bool(w, "constitutional", i->constitutional);
        json_kv_str(w, "correlation_id", i->correlation);
        json_kv_u64(w, "current", i->current);
        json_kv_str(w, "detector", detector_to_string((int)i->detector));
        json_kv_str(w, "incident", i->id);
        record_kv_text(w, "original", i->original);
        json_kv_u64(w, "pid", i->pid);
        json_kv_u64(w, "rate", i->rate);
        json_kv_u64(w, "score", i->score);
        json_kv_str(w, "severity", severity_to_string((int)i->severity));
        json_kv_str(w, "source", i->source);
        json_kv_u64(w, "start_time", i->start_time);
        json_kv_str(w, "target", i->target);
        json_kv_str(w, "text", i->text);
        json_kv_str(w, "type", anomaly_type_to_string((int)i->type));
        json_object_end(w);
}

static ImmuneCmd *body_command(
        ImmuneCore *c, ImmuneCmdKind kind, const Incident *i, void (*write)(JsonWriter *, const Incident *)) {
        Buf b = BUF_INIT(BODY_MAX);
        JsonWriter w;
        ImmuneCmd *cmd = NULL;

        json_init(&w, &b, true);
        write(&w, i);
        int r = json_finish(&w);
        if (r < 0)
                c->error = r;
        else
                cmd = core_command(c, kind, &b);
        buf_done(&b);
        if (!cmd)
                return NULL;
        str_copy(cmd->resource, sizeof(cmd->resource), str_of(i->target));
        str_copy(cmd->correlation_id, sizeof(cmd->correlation_id), str_of(i->correlation));
        return cmd;
}

void record_anomaly(ImmuneCore *c, Incident *i, uint64_t token) {
        ImmuneCmd *cmd = body_command(c, IMMUNE_CMD_APPEND, i, write_anomaly);
        if (!cmd)
                return;
        cmd->record = RECORD_ANOMALY;
        cmd->token = token ? token : core_token(c);
        cmd->ref = i->opened_index;
        str_copy(cmd->result, sizeof(cmd->result), str_of(severity_to_string((int)i->severity)));
}

void record_incident(ImmuneCore *c, Incident *i, uint64_t token) {
        ImmuneCmd *cmd = body_command(c, IMMUNE_CMD_APPEND, i, write_incident);
        if (!cmd)
                return;
        cmd->record = RECORD_INCIDENT;
        cmd->token = token;
        if (!token) {
                cmd->token = core_token(c);
                if (c->n_acks < ELEMENTSOF(c->acks))
                        c->acks[c->n_acks++] = (PendingAck){cmd->token, i, SLOT_NONE};
        }
        /* The first answers its anomaly, each later one the record that opened the incident. */
        cmd->ref = i->opened_index != NO_INDEX ? i->opened_index : i->anomaly_index;
        if (i->action < _HEAL_MAX)
                str_copy(cmd->action, sizeof(cmd->action), str_of(healing_action_to_string((int)i->action)));
        str_copy(cmd->result, sizeof(cmd->result), str_of(incident_state_to_string((int)i->state)));
}

static void write_event(JsonWriter *w, const Incident *i) {
        json_object_begin(w);
        json_kv_str(w, "action", i->action < _HEAL_MAX ? healing_action_to_string((int)i->action) : NULL);
        json_kv_u64(w, "attempts", i->attempts);
        json_kv_u64(w, "baseline", i->baseline);
        json_kv_bool(w, "constitutional_risk", i->constitutional);
        json_kv_str(w, "correlation_id", i->correlation);
        json_kv_u64(w, "current", i->current);
        json_kv_str(w, "detector", detector_to_string((int)i->detector));
        record_kv_text(w, "diagnosis", i->diagnosis);
        json_kv_str(w, "incident", i->id);
        json_kv_str(w, "outcome", incident_outcome_to_string((int)i->outcome));
        record_kv_text(w, "reason", i->reason);
        json_kv_str(w, "resource", i->target);
        json_kv_u64(w, "score", i->score);
        json_kv_str(w, "severity", severity_to_string((int)i->severity));
        json_kv_str(w, "state", incident_state_to_string((int)i->state));
        json_kv_str(w, "target", i->target);
        json_kv_str(w, "text", i->text);
        json_kv_str(w, "type", anomaly_type_to_string((int)i->type));
        json_object_end(w);
}

void publish_incident(ImmuneCore *c, const Incident *i, const char *type, const char *priority) {
        ImmuneCmd *cmd = body_command(c, IMMUNE_CMD_PUBLISH, i, write_event);
        if (!cmd)
                return;
        str_copy(cmd->type, sizeof(cmd->type), str_of(type));
        str_copy(cmd->priority, sizeof(cmd->priority), str_of(priority));
}

/* ---- reading back */

static void get_text(const json_t *o, const char *key, char *out, size_t cap) {
        str_copy(out, cap, str_of(json_get_str(o, key, "")));
}

static uint64_t get_time(const json_t *o, const char *key) {
        const char *s = json_get_str(o, key, NULL);
        uint64_t ns;
        return s && parse_time(s, &ns) == 0 ? ns : 0;
}

static int get_name(const json_t *o, const char *key, int (*from_string)(Str)) {
        return from_string(str_of(json_get_str(o, key, "")));
}

static int read_plan(const json_t *o, Incident *i) {
        const json_t *plan = json_object_get(o, "plan");

        if (!json_is_array(plan) || json_array_size(plan) > LADDER_MAX)
                return -EINVAL;
        for (size_t k = 0; k < json_array_size(plan); k++) {
                const json_t *e = json_array_get(plan, k);
                Step *s = &i->steps[i->n_steps++];
                int kind = get_name(e, "do", step_kind_from_string),
                    action = get_name(e, "do", healing_action_from_string);
                if (kind < 0 && action < 0)
                        return -EINVAL;
                s->kind = kind < 0 ? STEP_ACTION : (StepKind)kind;
                s->action = action < 0 ? _HEAL_MAX : (HealingAction)action;
                s->timeout_us = json_get_u64(e, "timeout_us", 0);
        }
        return 0;
}

static void read_evidence(const json_t *o, Incident *i) {
        const char *key;
        json_t *value;

        json_object_foreach(json_object_get(o, "evidence"), key, value) {
                if (i->n_evidence >= IMMUNE_EVIDENCE_MAX || strlen(key) >= sizeof(i->evidence[0].key) ||
                        !json_is_integer(value))
                        continue;
                Evidence *e = &i->evidence[i->n_evidence++];
                str_copy(e->key, sizeof(e->key), str_of(key));
                e->value = json_integer_value(value);
        }
}

static int read_names(const json_t *o, Incident *i) {
        int type = get_name(o, "type", anomaly_type_from_string),
            severity = get_name(o, "severity", severity_from_string),
            detector = get_name(o, "detector", detector_from_string),
            state = get_name(o, "state", incident_state_from_string),
            outcome = get_name(o, "outcome", incident_outcome_from_string),
            code = get_name(o, "code", code_from_string),
            action = get_name(o, "action", healing_action_from_string);

        if (type < 0 || severity < 0 || detector < 0 || state < 0 || outcome < 0 || code < 0)
                return -EINVAL;
        i->type = (AnomalyType)type;
        i->severity = (Severity)severity;
        i->detector = (Detector)detector;
        i->state = (IncidentState)state;
        i->outcome = (IncidentOutcome)outcome;
        i->code = (Code)code;
        i->action = action < 0 ? _HEAL_MAX : (HealingAction)action;
        return 0;
}

static void read_rest(const json_t *o, Incident *i) {
        get_text(o, "id", i->id, sizeof(i->id));
        get_text(o, "correlation_id", i->correlation, sizeof(i->correlation));
        get_text(o, "target", i->target, sizeof(i->target));
        get_text(o, "original", i->original, sizeof(i->original));
        get_text(o, "source", i->source, sizeof(i->source));
        get_text(o, "text", i->text, sizeof(i->text));
        get_text(o, "playbook", i->playbook, sizeof(i->playbook));
        get_text(o, "diagnosis", i->diagnosis, sizeof(i->diagnosis));
        get_text(o, "cause", i->cause, sizeof(i->cause));
        get_text(o, "approval_id", i->approval_id, sizeof(i->approval_id));
        get_text(o, "reason", i->reason, sizeof(i->reason));
        i->operator_condition = json_get_bool(o, "operator_condition", false);
        i->constitutional = json_get_bool(o, "constitutional", false);
        i->opened_ns = get_time(o, "opened");
        i->closed_ns = get_time(o, "closed");
        i->attempts = (unsigned)json_get_u64(o, "attempts", 0);
        i->seen = (unsigned)json_get_u64(o, "seen", 1);
        i->score = (unsigned)json_get_u64(o, "score", 0);
        i->confidence = (unsigned)json_get_u64(o, "confidence", 0);
        i->step = (unsigned)json_get_u64(o, "step", 0);
        i->baseline = json_get_u64(o, "baseline", 0);
        i->current = json_get_u64(o, "current", 0);
        i->rate = json_get_u64(o, "rate", 0);
        i->pid = json_get_u64(o, "pid", 0);
        i->start_time = json_get_u64(o, "start_time", 0);
        i->verify_within_us = json_get_u64(o, "verify_within_us", 0);
        i->stable_for_us = json_get_u64(o, "stable_for_us", 0);
        i->cool_down_us = json_get_u64(o, "cool_down_us", 0);
        i->anomaly_index = json_get_u64(o, "anomaly", NO_INDEX);
        i->decision_index = json_get_u64(o, "decision", NO_INDEX);
        i->intent_index = json_get_u64(o, "intent", NO_INDEX);
        i->action_index = json_get_u64(o, "action_index", NO_INDEX);
}

int record_read(Str body, Incident *ret) {
        auto_json json_t *o = NULL;

        *ret = (Incident){.deadline_us = NEVER, .opened_index = NO_INDEX, .verified_index = NO_INDEX};
        int r = json_read(body, BODY_MAX, &o, NULL, 0);
        if (r < 0)
                return r;
        r = read_names(o, ret);
        if (r == 0)
                r = read_plan(o, ret);
        if (r < 0)
                return r;
        read_evidence(o, ret);
        read_rest(o, ret);
        return ret->id[0] && ret->target[0] && ret->correlation[0] ? 0 : -EINVAL;
}

static Incident *by_id(const ImmuneCore *c, const char *id) {
        LIST_FOREACH (n, &c->incidents) {
                Incident *i = container_of(n, Incident, node);
                if (strcmp(i->id, id) == 0)
                        return i;
        }
        return NULL;
}

static int fold_incident(ImmuneCore *c, uint64_t index, Str body) {
        Incident read;
        int r = record_read(body, &read);
        if (r < 0)
                return r;
        Incident *i = by_id(c, read.id);
        if (!i) {
                if (!incident_make_room(c))
                        return -ENOBUFS;
                i = calloc(1, sizeof(*i));
                if (!i)
                        return c->error = -ENOMEM;
                list_append(&c->incidents, &i->node);
                c->n_incidents++;
                i->opened_index = index;
                i->verified_index = NO_INDEX;
        }
        read.node = i->node;
        read.opened_index = i->opened_index;
        read.verified_index = read.state == INCIDENT_VERIFIED ? index : i->verified_index;
        read.last_index = index;
        *i = read;
        return 0;
}

int immune_fold(ImmuneCore *c, RecordKind kind, uint64_t index, uint64_t time_ns, const char *correlation_id,
        Str body) {
        (void)time_ns;
        if (kind == RECORD_INCIDENT)
                return fold_incident(c, index, body);
        if (!correlation_id || (kind != RECORD_DECISION && kind != RECORD_INTENT && kind != RECORD_ACTION))
                return -EINVAL;
        LIST_FOREACH (n, &c->incidents) {
                Incident *i = container_of(n, Incident, node);
                if ((i->state != INCIDENT_PROPOSED && i->state != INCIDENT_WAITING) ||
                        strcmp(i->correlation, correlation_id) != 0)
                        continue;
                if (kind == RECORD_DECISION) {
                        i->decision_index = index;
                } else if (kind == RECORD_INTENT) {
                        i->intent_index = index;
                } else {
                        auto_json json_t *o = NULL;
                        int outcome = json_read(body, BODY_MAX, &o, NULL, 0) < 0
                                              ? -1
                                              : get_name(o, "outcome", outcome_from_string);
                        i->action_index = index;
                        i->acted = true;
                        i->acted_outcome = outcome < 0 ? OUTCOME_UNKNOWN : (Outcome)outcome;
                }
                return 0;
        }
        return -EINVAL;
}
