/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policies/detectors.yaml and policies/playbooks.yaml by table. Everything has a line; a number out of range,
 * a ladder that goes on after its last word, a condition about something that nobody can know are refused at
 * load, never at run time.
 */
#include "immune/diagnose.h"
#include "immune/policy.h"
#include "common/cleanup.h"
#include "common/rules/rules-yaml.h"
#include "common/yaml/yaml-tree.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_OF(N, s) s,
static const char *const severity_list[] = {SEVERITIES(NAME_OF) NULL};
static const char *const anomaly_list[] = {ANOMALY_TYPES(NAME_OF) NULL};

#define DURATION(k, T, m)                                                                                    \
        { .key = (k), .type = YAML_FIELD_DURATION, .offset = offsetof(T, m) }
#define SIZE(k, T, m)                                                                                        \
        { .key = (k), .type = YAML_FIELD_SIZE, .offset = offsetof(T, m) }
#define NUMBER(k, T, m, lo, hi)                                                                              \
        { .key = (k), .type = YAML_FIELD_U64, .offset = offsetof(T, m), .min = (lo), .max = (hi) }
#define BOOLEAN(k, T, m)                                                                                     \
        { .key = (k), .type = YAML_FIELD_BOOL, .offset = offsetof(T, m) }
#define SEVERITY(k, T, m)                                                                                    \
        {                                                                                                    \
                .key = (k), .type = YAML_FIELD_ENUM, .offset = offsetof(T, m),                               \
                .from_string = severity_from_string, .names = severity_list                                  \
        }
#define NODE(k, T, m, req)                                                                                   \
        { .key = (k), .type = YAML_FIELD_NODE, .offset = offsetof(T, m), .required = (req) }
#define TEXT(k, T, m, req)                                                                                   \
        {                                                                                                    \
                .key = (k), .type = YAML_FIELD_STR, .offset = offsetof(T, m), .size = sizeof(((T *)0)->m),   \
                .required = (req)                                                                            \
        }

typedef struct Top {
        char api[40];
        const YamlNode *detectors, *limits, *playbooks, *diagnoses;
} Top;

static int wrong(const YamlRead *r, const YamlNode *at, const char *hint, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
static int wrong(const YamlRead *r, const YamlNode *at, const char *hint, const char *fmt, ...) {
        char text[280];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        yaml_problem(r->problems, r->file, at, "invalid-value", hint, "%s", text);
        return -EINVAL;
}

/* ---- detectors.yaml */

typedef struct GrowthRead {
        uint64_t settle, interval, window, windows, needed, min_growth, min_rate, verify;
        bool enabled;
        int severity;
        char label[129];
        const YamlNode *overrides;
} GrowthRead;
#define GROWTH_FIELDS                                                                                        \
        BOOLEAN("enabled", GrowthRead, enabled), DURATION("settle", GrowthRead, settle),                     \
                DURATION("interval", GrowthRead, interval), DURATION("window", GrowthRead, window),          \
                NUMBER("windows", GrowthRead, windows, 1, GROWTH_WINDOWS_MAX),                               \
                NUMBER("needed", GrowthRead, needed, 1, GROWTH_WINDOWS_MAX),                                 \
                SIZE("min_growth", GrowthRead, min_growth), SIZE("min_rate", GrowthRead, min_rate),          \
                NUMBER("verify_percent", GrowthRead, verify, 1, 99)
static const YamlField growth_fields[] = {GROWTH_FIELDS, SEVERITY("severity", GrowthRead, severity),
        NODE("overrides", GrowthRead, overrides, false)};
static const YamlField override_fields[] = {GROWTH_FIELDS, TEXT("label", GrowthRead, label, true)};

static GrowthRead growth_before(const GrowthConfig *g) {
        return (GrowthRead){.settle = g->settle_us,
                .interval = g->interval_us,
                .window = g->window_us,
                .windows = g->windows,
                .needed = g->needed,
                .min_growth = g->min_growth,
                .min_rate = g->min_rate,
                .verify = g->verify_percent,
                .enabled = g->enabled};
}

static int growth_take(const YamlRead *r, const YamlNode *at, const GrowthRead *g, GrowthConfig *ret) {
        char one[40], two[40];

        if (g->needed > g->windows)
                return wrong(r, at, "needed <= windows", "needed %u of windows %u: more than there are",
                        (unsigned)g->needed, (unsigned)g->windows);
        if (g->interval < 100000 || g->interval > g->window)
                return wrong(r, at, "100ms <= interval <= window", "interval %s does not fit window %s",
                        format_duration(g->interval, one, sizeof(one)),
                        format_duration(g->window, two, sizeof(two)));
        if (g->window > 3600000000ULL || g->settle > 3600000000ULL)
                return wrong(r, at, "at most 1h each", "window %s or settle %s is too long",
                        format_duration(g->window, one, sizeof(one)),
                        format_duration(g->settle, two, sizeof(two)));
        *ret = (GrowthConfig){.settle_us = g->settle,
                .interval_us = g->interval,
                .window_us = g->window,
                .windows = (unsigned)g->windows,
                .needed = (unsigned)g->needed,
                .min_growth = g->min_growth,
                .min_rate = g->min_rate,
                .verify_percent = (unsigned)g->verify,
                .enabled = g->enabled};
        return 0;
}

static int read_override(const YamlRead *r, const YamlNode *n, void *user) {
        ImmunePolicy *p = user;
        GrowthRead g = growth_before(&p->growth);

        if (p->n_overrides >= OVERRIDES_MAX)
                return wrong(r, n, "label units alike, one override for all of them",
                        "more than %d overrides", OVERRIDES_MAX);
        GrowthOverride *o = &p->overrides[p->n_overrides];
        if (yaml_read_map(r, n, override_fields, ELEMENTSOF(override_fields), &g) < 0)
                return -EINVAL;
        if (!strchr(g.label, '='))
                return wrong(r, yaml_get(n, "label"), "label: key=value", "'%.60s' is no label", g.label);
        str_copy(o->label, sizeof(o->label), str_of(g.label));
        p->n_overrides++;
        return growth_take(r, n, &g, &o->growth);
}

static int read_growth(const YamlRead *r, const YamlNode *n, void *out) {
        ImmunePolicy *p = out;
        GrowthRead g = growth_before(&p->growth);

        g.severity = (int)p->growth_severity;
        int err = yaml_read_map(r, n, growth_fields, ELEMENTSOF(growth_fields), &g);
        if (err == 0)
                err = growth_take(r, n, &g, &p->growth);
        p->growth_severity = (Severity)g.severity;
        if (g.overrides && yaml_read_list(r, g.overrides, read_override, p) < 0)
                err = -EINVAL;
        return err;
}

typedef struct ExitRead {
        uint64_t repeats, window;
        int severity, quarantine;
        bool enabled;
} ExitRead;
static const YamlField exit_fields[] = {BOOLEAN("enabled", ExitRead, enabled),
        NUMBER("repeats", ExitRead, repeats, 1, 16), DURATION("window", ExitRead, window),
        SEVERITY("severity", ExitRead, severity), SEVERITY("quarantine_severity", ExitRead, quarantine)};

static int read_exits(const YamlRead *r, const YamlNode *n, void *out) {
        ExitConfig *e = &((ImmunePolicy *)out)->exits;
        ExitRead x = {e->repeats, e->window_us, (int)e->severity, (int)e->quarantine_severity, e->enabled};
        int err = yaml_read_map(r, n, exit_fields, ELEMENTSOF(exit_fields), &x);

        if (err == 0 && x.window == 0)
                err = wrong(r, n, "window: 1min", "the window is empty");
        *e = (ExitConfig){
                (unsigned)x.repeats, x.window, (Severity)x.severity, (Severity)x.quarantine, x.enabled};
        return err;
}

typedef struct BeatRead {
        uint64_t missed, silence;
        int severity;
        bool enabled;
} BeatRead;
static const YamlField beat_fields[] = {BOOLEAN("enabled", BeatRead, enabled),
        NUMBER("missed", BeatRead, missed, 1, 100), DURATION("min_silence", BeatRead, silence),
        SEVERITY("severity", BeatRead, severity)};

static int read_heartbeat(const YamlRead *r, const YamlNode *n, void *out) {
        HeartbeatConfig *h = &((ImmunePolicy *)out)->heartbeat;
        BeatRead b = {h->missed, h->min_silence_us, (int)h->severity, h->enabled};
        int err = yaml_read_map(r, n, beat_fields, ELEMENTSOF(beat_fields), &b);

        *h = (HeartbeatConfig){(unsigned)b.missed, b.silence, (Severity)b.severity, b.enabled};
        return err;
}

static const YamlField detector_fields[] = {
        {.key = "memory_growth", .type = YAML_FIELD_CUSTOM, .custom = read_growth},
        {.key = "exits", .type = YAML_FIELD_CUSTOM, .custom = read_exits},
        {.key = "heartbeat", .type = YAML_FIELD_CUSTOM, .custom = read_heartbeat},
};
static const YamlField detectors_top[] = {
        TEXT("apiVersion", Top, api, true), NODE("detectors", Top, detectors, true)};

static int read_detectors(const YamlRead *r, const YamlNode *root, ImmunePolicy *p) {
        Top top = {0};

        if (yaml_read_map(r, root, detectors_top, ELEMENTSOF(detectors_top), &top) < 0 ||
                yaml_version(r, yaml_get(root, "apiVersion"), "guardian/detectors.v1") < 0)
                return -EINVAL;
        return yaml_read_map(r, top.detectors, detector_fields, ELEMENTSOF(detector_fields), p);
}

/* ---- playbooks.yaml */

typedef struct LimitsRead {
        uint64_t dedupe, attempts, open, rate, burst, healthy, units, quiet, retry_min, retry_max;
} LimitsRead;
static const YamlField limit_fields[] = {
        DURATION("dedupe", LimitsRead, dedupe),
        NUMBER("attempts", LimitsRead, attempts, 1, 10),
        NUMBER("open_proposals", LimitsRead, open, 1, 64),
        NUMBER("rate", LimitsRead, rate, 1, 10),
        NUMBER("burst", LimitsRead, burst, 1, 32),
        NUMBER("min_healthy_percent", LimitsRead, healthy, 1, 100),
        NUMBER("min_units", LimitsRead, units, 1, 1024),
        DURATION("storm_quiet", LimitsRead, quiet),
        DURATION("retry_min", LimitsRead, retry_min),
        DURATION("retry_max", LimitsRead, retry_max),
};

static int read_limits(const YamlRead *r, const YamlNode *n, ImmunePolicy *p) {
        LimitsRead l = {p->dedupe_us, p->max_attempts, p->max_open, p->rate_per_s, p->burst, p->min_healthy,
                p->min_units, p->storm_quiet_us, p->retry_min_us, p->retry_max_us};
        char one[40], two[40];

        if (yaml_read_map(r, n, limit_fields, ELEMENTSOF(limit_fields), &l) < 0)
                return -EINVAL;
        if (l.retry_min < 1000000 || l.retry_max < l.retry_min)
                return wrong(r, n, "1s <= retry_min <= retry_max", "retry_min %s and retry_max %s do not fit",
                        format_duration(l.retry_min, one, sizeof(one)),
                        format_duration(l.retry_max, two, sizeof(two)));
        p->dedupe_us = l.dedupe;
        p->max_attempts = (unsigned)l.attempts;
        p->max_open = (unsigned)l.open;
        p->rate_per_s = (unsigned)l.rate;
        p->burst = (unsigned)l.burst;
        p->min_healthy = (unsigned)l.healthy;
        p->min_units = (unsigned)l.units;
        p->storm_quiet_us = l.quiet;
        p->retry_min_us = l.retry_min;
        p->retry_max_us = l.retry_max;
        return 0;
}

typedef struct StepRead {
        char what[40];
        uint64_t time;
} StepRead;
static const YamlField step_fields[] = {TEXT("do", StepRead, what, true), DURATION("for", StepRead, time)};

static int unknown_step(const YamlRead *r, const YamlNode *n, const char *what) {
        const char *names[_HEAL_MAX + 2] = {"observe", "collect_evidence"};
        char hint[200];

        for (int i = 0; i < _HEAL_MAX; i++)
                names[i + 2] = healing_action_to_string(i);
        return wrong(r, n, names_hint(what, names, _HEAL_MAX + 2, hint, sizeof(hint)), "unknown step '%.40s'",
                what);
}

static int read_step(const YamlRead *r, const YamlNode *n, void *user) {
        Playbook *b = user;
        StepRead s = {.time = 0};
        const char *text;

        if (b->n_steps >= LADDER_MAX)
                return wrong(r, n, "end it with escalate_to_human", "the ladder has more than %d steps",
                        LADDER_MAX);
        if (n->kind == YAML_KIND_SCALAR) {
                if (yaml_str(r->file, n, r->problems, &text) < 0)
                        return -EINVAL;
                str_copy(s.what, sizeof(s.what), str_of(text));
        } else if (yaml_read_map(r, n, step_fields, ELEMENTSOF(step_fields), &s) < 0) {
                return -EINVAL;
        }
        int kind = step_kind_from_string(str_of(s.what)), action = healing_action_from_string(str_of(s.what));
        if (kind < 0 && action < 0)
                return unknown_step(r, n, s.what);
        if (kind == STEP_ACTION)
                return wrong(r, n, "restart_service", "'%s' is no step: name the action itself", s.what);
        if (b->n_steps > 0 && b->steps[b->n_steps - 1].kind == STEP_ESCALATE)
                return wrong(r, n, "make escalate_to_human the last step",
                        "'%s' stands behind escalate_to_human: nothing is done after a person was asked",
                        s.what);
        if (kind == STEP_OBSERVE && s.time == 0)
                return wrong(r, n, "{do: observe, for: 5min}", "'observe' says for how long");
        b->steps[b->n_steps++] = (Step){kind < 0 ? STEP_ACTION : (StepKind)kind,
                action < 0 ? _HEAL_MAX : (HealingAction)action, s.time};
        return 0;
}

static int add_bit(
        const YamlRead *r, const YamlNode *n, uint32_t *mask, int (*from)(Str), const char *const *names) {
        const char *text;
        char hint[200];
        size_t count = 0;

        if (yaml_str(r->file, n, r->problems, &text) < 0)
                return -EINVAL;
        int v = from(str_of(text));
        while (names[count])
                count++;
        if (v < 0)
                return wrong(r, n, names_hint(text, names, count, hint, sizeof(hint)), "unknown name '%.40s'",
                        text);
        *mask |= 1U << v;
        return 0;
}

static int read_severity(const YamlRead *r, const YamlNode *n, void *user) {
        return add_bit(r, n, user, severity_from_string, severity_list);
}
static int read_type(const YamlRead *r, const YamlNode *n, void *user) {
        return add_bit(r, n, user, anomaly_type_from_string, anomaly_list);
}

static int read_when(const YamlRead *r, const YamlNode *n, RuleProgram **ret) {
        auto_rule_expr RuleExpr *e = NULL;

        if (!n)
                return 0;
        int err = rule_expr_from_yaml(n, r->file, r->problems, &e);
        return err < 0 ? err : rule_compile(e, &diagnose_schema, r->file, r->problems, ret);
}

typedef struct BookRead {
        char id[65];
        int type;
        const YamlNode *severities, *when, *steps;
        uint64_t verify, stable, cool;
} BookRead;
static const YamlField book_fields[] = {
        TEXT("id", BookRead, id, true),
        {.key = "anomaly",
                .type = YAML_FIELD_ENUM,
                .offset = offsetof(BookRead, type),
                .required = true,
                .from_string = anomaly_type_from_string,
                .names = anomaly_list},
        NODE("severities", BookRead, severities, false),
        NODE("when", BookRead, when, false),
        NODE("steps", BookRead, steps, true),
        DURATION("verify_within", BookRead, verify),
        DURATION("stable_for", BookRead, stable),
        DURATION("cool_down", BookRead, cool),
};

static int read_playbook(const YamlRead *r, const YamlNode *n, void *user) {
        ImmunePolicy *p = user;
        BookRead b = {.verify = 30000000, .stable = 300000000};

        if (p->n_playbooks >= PLAYBOOKS_MAX)
                return wrong(r, n, NULL, "more than %d playbooks", PLAYBOOKS_MAX);
        int err = yaml_read_map(r, n, book_fields, ELEMENTSOF(book_fields), &b);
        if (err < 0)
                return err;
        for (unsigned k = 0; k < p->n_playbooks; k++)
                if (strcmp(p->playbooks[k].id, b.id) == 0)
                        return wrong(r, yaml_get(n, "id"), "every id once",
                                "a playbook '%s' stands above already", b.id);
        if (b.verify == 0 || b.verify > 86400000000ULL || b.stable > 86400000000ULL ||
                b.cool > 86400000000ULL)
                return wrong(r, n,
                        "verify_within more than 0; verify_within, stable_for, cool_down at most 1d",
                        "a time of the playbook '%s' is out of range", b.id);
        Playbook *out = &p->playbooks[p->n_playbooks++];
        *out = (Playbook){.type = (AnomalyType)b.type,
                .verify_within_us = b.verify,
                .stable_for_us = b.stable,
                .cool_down_us = b.cool ? b.cool : 2 * b.verify};
        str_copy(out->id, sizeof(out->id), str_of(b.id));
        if (!b.severities)
                out->severities = (1U << _SEVERITY_MAX) - 1;
        else
                err = yaml_read_list(r, b.severities, read_severity, &out->severities);
        if (yaml_read_list(r, b.steps, read_step, out) < 0)
                err = -EINVAL;
        else if (out->n_steps == 0)
                err = wrong(r, b.steps, "steps: [escalate_to_human]", "the playbook '%s' has no step", b.id);
        int when = read_when(r, b.when, &out->when);
        return err < 0 ? err : when;
}

typedef struct DiagnosisRead {
        char id[65], cause[200];
        uint64_t confidence;
        const YamlNode *types, *when;
} DiagnosisRead;
static const YamlField diagnosis_fields[] = {
        TEXT("id", DiagnosisRead, id, true),
        TEXT("cause", DiagnosisRead, cause, true),
        {.key = "confidence_percent",
                .type = YAML_FIELD_U64,
                .offset = offsetof(DiagnosisRead, confidence),
                .required = true,
                .min = 1,
                .max = 100},
        NODE("anomalies", DiagnosisRead, types, true),
        NODE("when", DiagnosisRead, when, false),
};

static int read_diagnosis(const YamlRead *r, const YamlNode *n, void *user) {
        ImmunePolicy *p = user;
        DiagnosisRead d = {.confidence = 0};

        if (p->n_diagnoses >= DIAGNOSES_MAX)
                return wrong(r, n, NULL, "more than %d diagnoses", DIAGNOSES_MAX);
        int err = yaml_read_map(r, n, diagnosis_fields, ELEMENTSOF(diagnosis_fields), &d);
        if (err < 0)
                return err;
        Diagnosis *out = &p->diagnoses[p->n_diagnoses++];
        *out = (Diagnosis){.confidence = (unsigned)d.confidence};
        str_copy(out->id, sizeof(out->id), str_of(d.id));
        str_copy(out->cause, sizeof(out->cause), str_of(d.cause));
        err = yaml_read_list(r, d.types, read_type, &out->types);
        int when = read_when(r, d.when, &out->when);
        return err < 0 ? err : when;
}

static const YamlField playbooks_top[] = {TEXT("apiVersion", Top, api, true),
        NODE("limits", Top, limits, false), NODE("playbooks", Top, playbooks, true),
        NODE("diagnoses", Top, diagnoses, false)};

static int read_playbooks(const YamlRead *r, const YamlNode *root, ImmunePolicy *p) {
        Top top = {0};
        int err = 0;

        if (yaml_read_map(r, root, playbooks_top, ELEMENTSOF(playbooks_top), &top) < 0 ||
                yaml_version(r, yaml_get(root, "apiVersion"), "guardian/playbooks.v1") < 0)
                return -EINVAL;
        if (top.limits)
                err = read_limits(r, top.limits, p);
        if (yaml_read_list(r, top.playbooks, read_playbook, p) < 0)
                err = -EINVAL;
        if (top.diagnoses && yaml_read_list(r, top.diagnoses, read_diagnosis, p) < 0)
                err = -EINVAL;
        return err;
}

/* ---- files */

int immune_policy_parse(const char *file, Str text, bool playbooks, Problems *p, ImmunePolicy *into) {
        auto_yaml YamlNode *root = NULL;
        YamlRead r = {.file = file, .problems = p};
        int err = yaml_parse(file, text, p, &root);

        if (err < 0)
                return err;
        return playbooks ? read_playbooks(&r, root, into) : read_detectors(&r, root, into);
}

static int load_one(const char *const *dirs, unsigned n, bool playbooks, Problems *p, ImmunePolicy *into) {
        const char *name = playbooks ? "playbooks.yaml" : "detectors.yaml";
        char path[1200];

        while (n-- > 0) {
                snprintf(path, sizeof(path), "%s/%s", dirs[n], name);
                if (access(path, F_OK) < 0)
                        continue;
                auto_yaml YamlNode *root = NULL;
                YamlRead r = {.file = path, .problems = p};
                int err = yaml_load(path, p, &root);
                if (err < 0)
                        return err;
                return playbooks ? read_playbooks(&r, root, into) : read_detectors(&r, root, into);
        }
        problem_add(p, PROBLEM_ERROR, name, 0, 0, "missing-file",
                "it comes with the installation, in share/guardian/policies",
                "%s is in none of the policy directories", name);
        return -ENOENT;
}

int immune_policy_load(const char *const *dirs, unsigned n, Problems *p, ImmunePolicy **ret) {
        ImmunePolicy *policy = NULL;
        int err = immune_policy_shipped(&policy);

        if (err < 0)
                return err;
        policy->n_playbooks = 0; /* numbers that a file leaves out stay as shipped; ladders are the file's */
        err = load_one(dirs, n, false, p, policy);
        int second = load_one(dirs, n, true, p, policy);
        if (err == 0)
                err = second;
        if (err < 0) {
                immune_policy_free(policy);
                return err;
        }
        *ret = policy;
        return 0;
}
