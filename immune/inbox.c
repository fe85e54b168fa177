/* SPDX-License-Identifier: Apache-2.0 */
#include "immune/inbox.h"
#include "common/cleanup.h"
#include "common/json/json-read.h"
#include <errno.h>
#include <string.h>

static const uint64_t beat_min_us = 100 * 1000, beat_max_us = 86400ULL * 1000000;

const char *const inbox_patterns[] = {
        "unit.**", "anomaly.detected", "system.health_check", "security.event", "kernel.heartbeat", NULL};

/* ---- units */

static int64_t integer_or(const json_t *o, const char *key, int64_t otherwise) {
        return json_is_integer(json_object_get(o, key)) ? json_get_i64(o, key, otherwise) : otherwise;
}

static int on_unit(ImmuneCore *core, ImmuneNow now, const json_t *o, Str source) {
        UnitReport u = {.unit = json_get_str(o, "unit", NULL)};
        int state = unit_state_from_string(str_of(json_get_str(o, "state", NULL)));
        int health = health_from_string(str_of(json_get_str(o, "health", "unknown")));
        int reason = restart_reason_from_string(str_of(json_get_str(o, "reason", "none")));

        /* Only Guardian speaks for units. */
        if (!str_eq(source, "guardian"))
                return 0;
        if (!u.unit || !unit_name_valid(u.unit) || state < 0 || health < 0 || reason < 0)
                return -EINVAL;
        u.state = (UnitState)state;
        u.health = (Health)health;
        u.reason = (RestartReason)reason;
        u.pid = json_get_u64(o, "pid", 0);
        u.start_time = json_get_u64(o, "start_time", 0);
        u.code = integer_or(o, "code", -1);
        u.signal = integer_or(o, "signal", -1);
        u.restarts = json_get_u64(o, "restarts", 0);
        return immune_on_unit(core, now, &u);
}

int inbox_unit_info(ImmuneCore *core, ImmuneNow now, const Msg *m) {
        char name[129], state[33], labels[IMMUNE_LABELS_MAX][129];
        UnitReport u = {.unit = name, .snapshot = true, .code = -1, .signal = -1};
        size_t pos = 0;
        Str s;

        str_copy(name, sizeof(name), msg_str(m, TAG_UNIT));
        str_copy(state, sizeof(state), msg_str(m, TAG_STATE));
        int v = unit_state_from_string(str_of(state));
        if (v < 0)
                return -EINVAL;
        u.state = (UnitState)v;
        u.pid = msg_u64(m, TAG_PID, 0);
        u.start_time = msg_u64(m, TAG_START_TIME, 0);
        u.priority_milli = msg_u64(m, TAG_PRIORITY_MILLI, 0);
        u.critical = msg_bool(m, TAG_CRITICAL, false);
        u.can_fail = msg_bool(m, TAG_CAN_FAIL, false);
        while (msg_next_str(m, TAG_HEAL, &pos, &s)) {
                v = healing_action_from_string(s);
                if (v >= 0)
                        u.heal |= 1U << v;
        }
        pos = 0;
        while (u.n_labels < IMMUNE_LABELS_MAX && msg_next_str(m, TAG_LABEL, &pos, &s))
                u.labels[u.n_labels] = str_copy(labels[u.n_labels], sizeof(labels[0]), s), u.n_labels++;
        return immune_on_unit(core, now, &u);
}

/* ---- claims */

/* Scores are 0..1 in the seed's payloads, hundredths in ours. */
static unsigned get_score(const json_t *o, unsigned otherwise) {
        const json_t *s = json_object_get(o, "score");
        if (!s)
                s = json_object_get(o, "anomaly_score");
        double v = json_is_integer(s) ? (double)json_integer_value(s)
                   : json_is_real(s)  ? json_real_value(s) * 100
                                      : -1;
        return v < 0 ? otherwise : v > 100 ? 100 : (unsigned)v;
}

static const char *first_of(const json_t *o, const char *const *keys) {
        const char *s = NULL;
        for (; !s && *keys; keys++)
                s = json_get_str(o, *keys, NULL);
        return s;
}

/* Who it is about: named in the payload, else the envelope's resource, else who says it. */
static const char *get_target(const json_t *o, const Msg *m, char *buf, size_t cap) {
        static const char *const keys[] = {
                "target", "affected_resource", "resource", "component_id", "component", "unit", NULL};
        const char *s = first_of(o, keys);

        if (s)
                return strlen(s) < 129 ? s : NULL;
        str_copy(buf, cap, msg_has(m, TAG_RESOURCE) ? msg_str(m, TAG_RESOURCE) : msg_str(m, TAG_SOURCE));
        return *buf ? buf : NULL;
}

static Severity get_severity(const json_t *o, Severity otherwise) {
        static const struct {
                const char *other;
                Severity severity;
        } dialects[] = {{"warning", SEVERITY_MEDIUM}, {"error", SEVERITY_HIGH},
                {"catastrophic", SEVERITY_CRITICAL}, {"emergency", SEVERITY_CRITICAL}};
        const char *s = json_get_str(o, "severity", NULL);
        char low[17] = "";

        for (size_t i = 0; s && i < sizeof(low) - 1 && s[i]; i++)
                low[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] | 0x20) : s[i];
        int v = severity_from_string(str_of(low));
        if (v >= 0)
                return (Severity)v;
        for (size_t i = 0; i < ELEMENTSOF(dialects); i++)
                if (strcmp(low, dialects[i].other) == 0)
                        return dialects[i].severity;
        return otherwise;
}

typedef struct Claim {
        AnomalyReport report;
        char target[161], source[161], correlation[81];
} Claim;

static bool claim_begin(Claim *c, const json_t *o, const Msg *m) {
        str_copy(c->source, sizeof(c->source), msg_str(m, TAG_SOURCE));
        str_copy(c->correlation, sizeof(c->correlation), msg_str(m, TAG_CORRELATION_ID));
        c->report = (AnomalyReport){.id = json_get_str(o, "anomaly_id", NULL),
                .source = c->source,
                .correlation_id = c->correlation[0] ? c->correlation : NULL,
                .constitutional = json_get_bool(o, "constitutional_risk", false)};
        c->report.target = get_target(o, m, c->target, sizeof(c->target));
        return c->report.target != NULL;
}

static const char *get_type(const json_t *o, const char *otherwise) {
        static const char *const keys[] = {
                "type", "anomaly_type", "issue_type", "alert_type", "error_type", NULL};
        const char *s = first_of(o, keys);
        return s && *s && strlen(s) < 65 ? s : otherwise;
}

static int on_anomaly(ImmuneCore *core, ImmuneNow now, const json_t *o, const Msg *m) {
        Claim c;

        if (!claim_begin(&c, o, m))
                return -EINVAL;
        c.report.type = get_type(o, "drift_detected");
        c.report.severity = get_severity(o, SEVERITY_MEDIUM);
        c.report.score = get_score(o, 50);
        return immune_on_anomaly(core, now, &c.report);
}

static int on_health_check(ImmuneCore *core, ImmuneNow now, const json_t *o, const Msg *m) {
        const char *status = json_get_str(o, "status", "");
        bool critical = strcmp(status, "critical") == 0;
        Claim c;

        if (!critical && strcmp(status, "degraded") != 0)
                return 0;
        if (!claim_begin(&c, o, m))
                return -EINVAL;
        c.report.type = critical ? "service_down" : "drift_detected";
        c.report.severity = critical ? SEVERITY_CRITICAL : SEVERITY_HIGH;
        c.report.score = critical ? 90 : 70;
        return immune_on_anomaly(core, now, &c.report);
}

static int on_security(ImmuneCore *core, ImmuneNow now, const json_t *o, const Msg *m) {
        static const struct {
                const char *word, *type;
        } words[] = {{"injection", "injection_attempt"}, {"unauthorized", "unauthorized_access"},
                {"exfiltration", "data_exfiltration"}, {"bypass", "guardrail_bypass"}};
        Claim c;

        if (!claim_begin(&c, o, m))
                return -EINVAL;
        c.report.type = get_type(o, "pattern_deviation");
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strstr(c.report.type, words[i].word))
                        c.report.type = words[i].type;
        c.report.severity = get_severity(o, SEVERITY_HIGH);
        if (c.report.severity < SEVERITY_HIGH)
                c.report.severity = SEVERITY_HIGH;
        c.report.score = get_score(o, 80);
        c.report.constitutional = true;
        return immune_on_anomaly(core, now, &c.report);
}

static int on_heartbeat(ImmuneCore *core, ImmuneNow now, const json_t *o, const Msg *m) {
        char unit[129];
        uint64_t us = json_get_u64(o, "interval_ms", 0) * 1000;

        if (us == 0 && json_get_double(o, "interval", 0) > 0 && json_get_double(o, "interval", 0) <= 86400)
                us = (uint64_t)(json_get_double(o, "interval", 0) * 1000000);
        if (us < beat_min_us || us > beat_max_us)
                return -EINVAL;
        str_copy(unit, sizeof(unit), msg_str(m, TAG_SOURCE)); /* nobody beats for another */
        return immune_on_heartbeat(core, now, unit, us);
}

int inbox_event(ImmuneCore *core, ImmuneNow now, const Msg *m) {
        auto_json json_t *o = NULL;
        Str type = msg_str(m, TAG_TYPE);

        int r = json_read(m->payload, 0, &o, NULL, 0);
        if (r < 0)
                return r;
        if (!json_is_object(o))
                return -EINVAL;
        if (str_eq(type, "anomaly.detected"))
                return on_anomaly(core, now, o, m);
        if (str_eq(type, "system.health_check"))
                return on_health_check(core, now, o, m);
        if (str_eq(type, "security.event"))
                return on_security(core, now, o, m);
        if (str_eq(type, "kernel.heartbeat"))
                return on_heartbeat(core, now, o, m);
        if (type.n > 5 && memcmp(type.p, "unit.", 5) == 0)
                return on_unit(core, now, o, msg_str(m, TAG_SOURCE));
        return 0;
}

/* ---- workflows */

typedef struct Handler {
        const char *name, *type; /* type: of the anomaly when the parameters name none */
        bool names_type;         /* the parameters may */
        HealingAction action;
        bool escalate;
} Handler;
static const Handler handlers[] = {
        {"avn_core.escalate_healing", "pattern_deviation", true, _HEAL_MAX, false},
        {"avn_core.emergency_alert", "cascade_failure", true, _HEAL_MAX, true},
        {"avn_core.restart_kernel", "service_down", false, HEAL_RESTART_SERVICE, false},
        {"avn_core.quarantine_component", "guardrail_bypass", false, HEAL_QUARANTINE_COMPONENT, false},
};
const char *const inbox_handlers[] = {"avn_core.escalate_healing", "avn_core.emergency_alert",
        "avn_core.restart_kernel", "avn_core.quarantine_component", NULL};

int inbox_invoke(ImmuneCore *core, ImmuneNow now, const Msg *m, uint64_t token) {
        auto_json json_t *o = NULL;
        const Handler *h = NULL;
        Claim c;

        for (size_t i = 0; i < ELEMENTSOF(handlers); i++)
                if (str_eq(msg_str(m, TAG_HANDLER), handlers[i].name))
                        h = &handlers[i];
        if (!h)
                return -ENOENT;
        int r = json_read(m->payload, 0, &o, NULL, 0);
        if (r < 0)
                return r == -ENOMEM ? r : -EINVAL;
        if (!json_is_object(o) || !claim_begin(&c, o, m))
                return -EINVAL;
        c.report.type = h->names_type ? get_type(o, h->type) : h->type;
        c.report.severity = get_severity(o, SEVERITY_HIGH);
        c.report.score = get_score(o, 50);
        return immune_on_invoke(core, now, token, &c.report, h->action, h->escalate);
}

int inbox_proposal(ImmuneCore *core, ImmuneNow now, const Msg *m) {
        char approval[49], reason[513], code[65], outcome[17];
        ProposalReport r = {.req = msg_u64(m, TAG_REQ, 0),
                .more = msg_bool(m, TAG_MORE, false),
                .verdict = (Verdict)msg_u64(m, TAG_VERDICT, VERDICT_NONE),
                .has_outcome = msg_has(m, TAG_OUTCOME),
                .decision_index = msg_u64(m, TAG_DECISION_INDEX, UINT64_MAX),
                .intent_index = msg_u64(m, TAG_INTENT_INDEX, UINT64_MAX),
                .action_index = msg_u64(m, TAG_ACTION_INDEX, UINT64_MAX)};

        str_copy(code, sizeof(code), msg_str(m, TAG_CODE));
        int v = code_from_string(str_of(code));
        r.code = v < 0 ? CODE_FAILED : (Code)v;
        if (r.has_outcome) {
                str_copy(outcome, sizeof(outcome), msg_str(m, TAG_OUTCOME));
                v = outcome_from_string(str_of(outcome));
                r.outcome = v < 0 ? OUTCOME_UNKNOWN : (Outcome)v;
        }
        if (msg_has(m, TAG_APPROVAL_ID))
                r.approval_id = str_copy(approval, sizeof(approval), msg_str(m, TAG_APPROVAL_ID));
        if (msg_has(m, TAG_REASON))
                r.reason = str_copy(reason, sizeof(reason), msg_str(m, TAG_REASON));
        return immune_on_proposal(core, now, &r);
}
