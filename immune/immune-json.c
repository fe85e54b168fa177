/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents for people: the list of `incidents --json`, and one incident as a tree with its ledger
 * indexes. */
#include "immune/core-internal.h"
#include <string.h>

static void head(JsonWriter *w, const Incident *i) {
        json_kv_str(w, "id", i->id);
        json_kv_str(w, "state", incident_state_to_string((int)i->state));
        json_kv_str(w, "root", i->target);
        json_kv_str(w, "type", anomaly_type_to_string((int)i->type));
        json_kv_str(w, "severity", severity_to_string((int)i->severity));
        record_kv_time(w, "opened", i->opened_ns);
        record_kv_time(w, "closed", i->closed_ns);
        json_kv_u64(w, "attempts", i->attempts);
        json_kv_str(
                w, "outcome", i->outcome == RESULT_NONE ? NULL : incident_outcome_to_string((int)i->outcome));
        json_kv_str(w, "correlation_id", i->correlation);
        json_kv_u64_or_null(w, "index", i->opened_index);
}

void immune_incidents_json(const ImmuneCore *c, JsonWriter *w) {
        json_array_begin(w);
        LIST_FOREACH (n, &c->incidents) {
                json_object_begin(w);
                head(w, container_of(n, Incident, node));
                json_object_end(w);
        }
        json_array_end(w);
}

static void signal_branch(JsonWriter *w, const Incident *i) {
        json_key(w, "signal");
        json_object_begin(w);
        json_kv_str(w, "detector", detector_to_string((int)i->detector));
        json_kv_str(w, "source", i->source);
        json_kv_str(w, "text", i->text);
        json_kv_bool(w, "hard", !incident_is_claim(i));
        json_kv_bool(w, "constitutional_risk", i->constitutional);
        json_kv_u64(w, "baseline", i->baseline);
        json_kv_u64(w, "current", i->current);
        json_kv_u64(w, "rate", i->rate);
        json_kv_u64(w, "seen", i->seen);
        json_kv_u64(w, "pid", i->pid);
        json_kv_u64(w, "start_time", i->start_time);
        json_object_end(w);

        json_key(w, "anomaly");
        json_object_begin(w);
        json_kv_u64_or_null(w, "index", i->anomaly_index);
        json_kv_str(w, "type", anomaly_type_to_string((int)i->type));
        record_kv_text(w, "original", i->original);
        json_kv_str(w, "severity", severity_to_string((int)i->severity));
        json_kv_u64(w, "score_hundredths", i->score);
        json_object_end(w);
}

static void diagnosis_branch(JsonWriter *w, const Incident *i) {
        json_key(w, "diagnosis");
        json_object_begin(w);
        record_kv_text(w, "id", i->diagnosis);
        record_kv_text(w, "cause", i->cause);
        json_kv_u64(w, "confidence_percent", i->confidence);
        json_key(w, "evidence");
        json_object_begin(w);
        for (unsigned k = 0; k < i->n_evidence; k++)
                json_kv_i64(w, i->evidence[k].key, i->evidence[k].value);
        json_object_end(w);
        json_object_end(w);
}

static void plan_branch(JsonWriter *w, const Incident *i) {
        json_key(w, "plan");
        json_object_begin(w);
        json_kv_str(w, "playbook", i->playbook);
        json_kv_u64(w, "step", i->step);
        json_key(w, "steps");
        json_array_begin(w);
        for (unsigned k = 0; k < i->n_steps; k++) {
                const Step *s = &i->steps[k];
                json_object_begin(w);
                json_kv_str(w, "do",
                        s->kind == STEP_ACTION ? healing_action_to_string((int)s->action)
                                               : step_kind_to_string((int)s->kind));
                json_kv_u64(w, "timeout_us", s->timeout_us);
                json_kv_bool(w, "reached", k < i->step || (k == i->step && i->opened_index != NO_INDEX));
                json_object_end(w);
        }
        json_array_end(w);
        json_kv_u64(w, "verify_within_us", i->verify_within_us);
        json_kv_u64(w, "stable_for_us", i->stable_for_us);
        json_object_end(w);
}

static void action_branches(JsonWriter *w, const Incident *i) {
        bool asked = i->action < _HEAL_MAX;

        json_key(w, "decision");
        json_object_begin(w);
        json_kv_u64_or_null(w, "index", i->decision_index);
        json_kv_str(w, "code", asked ? code_to_string((int)i->code) : NULL);
        record_kv_text(w, "approval_id", i->approval_id);
        json_object_end(w);

        json_key(w, "action");
        json_object_begin(w);
        json_kv_str(w, "action", asked ? healing_action_to_string((int)i->action) : NULL);
        json_kv_u64_or_null(w, "intent_index", i->intent_index);
        json_kv_u64_or_null(w, "index", i->action_index);
        json_kv_u64(w, "attempts", i->attempts);
        json_object_end(w);

        json_key(w, "verification");
        json_object_begin(w);
        json_kv_u64_or_null(w, "index", i->verified_index);
        json_kv_str(
                w, "outcome", i->outcome == RESULT_NONE ? NULL : incident_outcome_to_string((int)i->outcome));
        record_kv_text(w, "reason", i->reason);
        json_object_end(w);
}

static bool named(const Incident *i, const char *id) {
        uint64_t index;

        if (strcmp(i->id, id) == 0 || strcmp(i->correlation, id) == 0)
                return true;
        return parse_u64(id, &index) == 0 && index != NO_INDEX &&
               (index == i->opened_index || index == i->anomaly_index || index == i->last_index ||
                       index == i->verified_index);
}

int immune_incident_json(const ImmuneCore *c, const char *id, JsonWriter *w) {
        LIST_FOREACH (n, &c->incidents) {
                const Incident *i = container_of(n, Incident, node);
                if (!named(i, id))
                        continue;
                json_object_begin(w);
                head(w, i);
                json_kv_str(w, "text", i->text);
                record_kv_text(w, "reason", i->reason);
                json_kv_u64_or_null(w, "last_index", i->last_index);
                signal_branch(w, i);
                diagnosis_branch(w, i);
                plan_branch(w, i);
                action_branches(w, i);
                json_object_end(w);
                return 0;
        }
        return 1;
}
