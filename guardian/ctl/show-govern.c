/* SPDX-License-Identifier: Apache-2.0 */
/* What people see of governance: replies, approvals, trust, incidents. */
#include "common/json/json-read.h"
#include "guardian/ctl/show.h"
#include "guardian/ctl/text.h"
#include <stdarg.h>
#include <string.h>

static char asked[200] = "done";

void ctl_asked(const char *fmt, ...) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(asked, sizeof(asked), fmt, ap);
        va_end(ap);
}

static int index_text(const json_t *d, const char *key, const char *word, char *out, size_t cap) {
        int64_t i = json_get_i64(d, key, -1);
        out[0] = 0;
        return i < 0 ? 0 : snprintf(out, cap, ", %s %lld", word, (long long)i);
}

void show_reply(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        char decision[40], intent[40], action[40];
        if (!d || c->quiet)
                return;
        const char *approval = json_get_str(d, "approval_id", ""), *reason = json_get_str(d, "reason", "");
        const char *outcome = json_get_str(d, "outcome", NULL), *code = json_get_str(d, "code", "?");
        if (strcmp(code, "approval_required") == 0) {
                printf("%s: waits for a person's approval\n", asked);
                printf("  guardianctl approve %s\n", approval);
                return;
        }
        index_text(d, "decision_index", "decision", decision, sizeof(decision));
        index_text(d, "intent_index", "intent", intent, sizeof(intent));
        index_text(d, "action_index", "action", action, sizeof(action));
        text_wrapf(0, 2, "%s: %s%s%s%s%s%s%s%s", asked, outcome ? outcome : code, reason[0] ? " (" : "",
                reason, reason[0] ? ")" : "", decision, intent, action,
                json_get_bool(d, "ungated", false)
                        ? ", without a verdict (ungated); it goes on record as a recovery"
                        : "");
}

void show_code(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        if (!c->quiet)
                printf("%s: %s\n", asked, json_get_str(d, "code", "?"));
}

void show_vote(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        if (d && !c->quiet)
                printf("%s: %s\n", json_get_str(d, "id", "?"), json_get_str(d, "state", "unknown"));
}

void show_mode(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        if (!c->quiet)
                printf("mode %s (recorded: %s, floor: %s)\n", json_get_str(d, "mode", "?"),
                        json_get_str(d, "recorded", "?"), json_get_str(d, "floor", "?"));
}

/* "operator:1" as "1 operator" */
static void needs_text(const json_t *needs, char *out, size_t cap) {
        size_t i, at = 0;
        json_t *v;
        out[0] = 0;
        json_array_foreach(needs, i, v) {
                Str role, n;
                const char *s = json_string_value(v);
                bool pair = s && str_split(str_of(s), ':', &role, &n);
                int w = pair ? snprintf(out + at, cap - at, "%s%.*s %.*s", i ? ", " : "", (int)n.n, n.p,
                                       (int)role.n, role.p)
                             : snprintf(out + at, cap - at, "%s%s", i ? ", " : "", s ? s : "?");
                if (w < 0 || (size_t)w >= cap - at)
                        return;
                at += (size_t)w;
        }
}

static void given_text(const json_t *given, char *out, size_t cap) {
        size_t i, at = 0;
        json_t *v;
        snprintf(out, cap, "no votes yet");
        json_array_foreach(given, i, v) {
                int w = snprintf(out + at, cap - at, "%suid %lld (%s) voted %s", i ? ", " : "",
                        (long long)json_get_i64(v, "uid", -1), json_get_str(v, "role", "?"),
                        json_get_str(v, "vote", "?"));
                if (w < 0 || (size_t)w >= cap - at)
                        return;
                at += (size_t)w;
        }
}

bool show_settled_too;

void show_approvals(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        json_t *a;
        size_t i, shown = 0, settled = 0;
        if (c->quiet)
                return;
        json_array_foreach(d, i, a) {
                char needs[200], given[400];
                const char *reason = json_get_str(a, "reason", ""), *state = json_get_str(a, "state", "?");
                bool open = strcmp(state, "pending") == 0 || strcmp(state, "approved") == 0;
                settled += !open;
                if (!open && !show_settled_too)
                        continue;
                needs_text(json_get_path(a, "needs"), needs, sizeof(needs));
                given_text(json_get_path(a, "given"), given, sizeof(given));
                printf("%s%s  ", shown++ ? "\n" : "", json_get_str(a, "id", "?"));
                text_word(c, 0, state);
                printf("\n  ");
                if (strcmp(state, "void") == 0)
                        printf("stale: the process was restarted or is gone, or a rule denies it by now\n  ");
                text_wrapf(2, 4, "%s on %s, asked by %s%s%s", json_get_str(a, "action", "?"),
                        json_get_str(a, "target", "?"), json_get_str(a, "requested_by", "?"),
                        reason[0] ? ": " : "", reason);
                printf("  ");
                text_wrapf(2, 4, "needs %s; %s; expires %s", needs[0] ? needs : "nobody", given,
                        json_get_str(a, "expires", "?"));
        }
        if (shown == 0)
                printf("no approvals%s\n", settled ? " wait" : "");
        if (settled && !show_settled_too)
                printf("%s%zu settled: guardianctl approvals --all\n", shown ? "\n" : "", settled);
}

void show_trust(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        const json_t *list = json_is_array(d) ? d : json_get_path(d, "components");
        json_t *t;
        size_t i;
        if (json_array_size(list) == 0) {
                if (!c->quiet)
                        printf("no component has a trust score of its own yet\n");
                return;
        }
        printf("%-24s %5s %8s %9s  %s\n", "COMPONENT", "SCORE", "INITIAL", "OBSERVED", "LAST CHANGE");
        json_array_foreach(list, i, t) {
                const json_t *source = json_get_path(t, "source");
                text_cell(json_get_str(t, "component", "?"), 24, false);
                printf("%5lld %8lld %9lld  ", (long long)json_get_i64(t, "score", 0),
                        (long long)json_get_i64(t, "initial", 0), (long long)json_get_i64(t, "observed", 0));
                if (json_get_str(source, "what", "")[0])
                        text_wrapf(50, 50, "%s [record %lld]", json_get_str(source, "what", ""),
                                (long long)json_get_i64(source, "index", 0));
                else
                        printf("-\n");
        }
}

void show_policy(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        json_t *r;
        size_t i;
        if (c->quiet)
                return;
        printf("revision %s\n%lld rules, %lld budgets%s\n", json_get_str(d, "revision", "?"),
                (long long)json_array_size(json_get_path(d, "rules")),
                (long long)json_get_i64(d, "budgets", 0),
                json_get_bool(d, "lockdown", false) ? ", LOCKDOWN" : "");
        json_array_foreach(json_get_path(d, "rules"), i, r) {
                const char *file = strrchr(json_get_str(r, "file", "?"), '/');
                printf("\n");
                text_wrapf(0, 2, "%s: %s (%s, %s:%lld)", json_get_str(r, "id", "?"),
                        json_get_str(r, "effect", "?"), json_get_str(r, "tier", "?"),
                        file ? file + 1 : json_get_str(r, "file", "?"),
                        (long long)json_get_i64(r, "line", 0));
                printf("  ");
                text_wrap(2, 2, json_get_str(r, "reason", ""));
        }
}

/* ---- incidents */

void show_incidents(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        json_t *a;
        size_t i;
        if (c->quiet)
                return;
        if (json_array_size(d) == 0) {
                printf("no incidents\n");
                return;
        }
        printf("%-20s %-16s %-14s %-12s %-8s %s\n", "ID", "STATE", "ROOT", "TYPE", "SEVERITY", "AGE");
        json_array_foreach(d, i, a) {
                char age[40];
                text_cell(json_get_str(a, "id", "?"), 20, false);
                text_word(c, 16, json_get_str(a, "state", "?"));
                printf(" ");
                text_cell(json_get_str(a, "root", "?"), 14, false);
                text_cell(json_get_str(a, "type", "?"), 12, false);
                text_word(c, 8, json_get_str(a, "severity", "?"));
                printf(" %.5s\n", text_ago(json_get_str(a, "opened", ""), age, sizeof(age)));
        }
}

static void record_ref(const json_t *o, const char *key, const char *word, char *out, size_t cap) {
        int64_t i = json_get_i64(o, key, -1);
        out[0] = 0;
        if (i >= 0)
                snprintf(out, cap, " [%s %lld]", word, (long long)i);
}

/* A branch: its label stands in a column of its own, its text is wrapped beside it. */
enum { BRANCH = 17 };
static void branch(bool last, const char *label) {
        printf("%s %-13s", last ? "`-" : "|-", label);
        printf(" ");
}

static void incident_cause(const json_t *d) {
        char ref[40], from[32], to[32], rate[32];
        const json_t *s = json_get_path(d, "signal"), *a = json_get_path(d, "anomaly"),
                     *g = json_get_path(d, "diagnosis");
        bool memory = strncmp(json_get_str(s, "detector", ""), "memory", 6) == 0;
        branch(false, "signal");
        if (memory)
                text_wrapf(BRANCH, BRANCH, "%s, %s: from %s to %s, %s a second",
                        json_get_str(s, "detector", "?"),
                        json_get_bool(s, "hard", false) ? "seen by Guardian" : "a claim",
                        text_bytes(json_get_u64(s, "baseline", 0), from, sizeof(from)),
                        text_bytes(json_get_u64(s, "current", 0), to, sizeof(to)),
                        text_bytes(json_get_u64(s, "rate", 0), rate, sizeof(rate)));
        else
                text_wrapf(BRANCH, BRANCH, "%s, %s: %s", json_get_str(s, "detector", "?"),
                        json_get_bool(s, "hard", false) ? "seen by Guardian" : "a claim",
                        json_get_str(s, "text", ""));
        record_ref(a, "index", "record", ref, sizeof(ref));
        branch(false, "anomaly");
        text_wrapf(BRANCH, BRANCH, "%s, severity %s%s", json_get_str(a, "type", "?"),
                json_get_str(a, "severity", "?"), ref);
        record_ref(d, "index", "record", ref, sizeof(ref));
        branch(false, "diagnosis");
        text_wrapf(BRANCH, BRANCH, "%s (%lld%%): %s%s", json_get_str(g, "id", "none"),
                (long long)json_get_i64(g, "confidence_percent", 0), json_get_str(g, "cause", "unknown"),
                ref);
}

static void incident_plan(const json_t *d) {
        const json_t *p = json_get_path(d, "plan");
        size_t i;
        json_t *step;
        branch(false, "plan");
        text_wrapf(BRANCH, BRANCH, "playbook %s", json_get_str(p, "playbook", "none"));
        json_array_foreach(json_get_path(p, "steps"), i, step) printf("|  %*s%s %s\n", BRANCH - 3, "",
                json_get_bool(step, "reached", false) ? "[x]" : "[ ]", json_get_str(step, "do", "?"));
}

static void incident_act(const json_t *d) {
        char ref[40], intent[40];
        const json_t *k = json_get_path(d, "decision"), *a = json_get_path(d, "action"),
                     *v = json_get_path(d, "verification");
        const char *approval = json_get_str(k, "approval_id", ""), *what = json_get_str(a, "action", NULL);
        record_ref(k, "index", "record", ref, sizeof(ref));
        branch(false, "decision");
        text_wrapf(BRANCH, BRANCH, "%s%s%s%s", json_get_str(k, "code", "none yet"),
                approval[0] ? ", approval " : "", approval, ref);
        record_ref(a, "index", "record", ref, sizeof(ref));
        record_ref(a, "intent_index", "intent", intent, sizeof(intent));
        branch(false, "action");
        text_wrapf(BRANCH, BRANCH, "%s%s%s", what ? what : "none yet", intent, ref);
        record_ref(v, "index", "record", ref, sizeof(ref));
        branch(false, "verification");
        text_wrapf(BRANCH, BRANCH, "%s%s%s%s", json_get_str(v, "outcome", "none yet"),
                json_get_str(v, "reason", "")[0] ? ": " : "", json_get_str(v, "reason", ""), ref);
        branch(true, "outcome");
        text_wrapf(BRANCH, BRANCH, "%s, %lld attempt%s, %s%s", json_get_str(d, "outcome", "open"),
                (long long)json_get_i64(d, "attempts", 0), json_get_i64(d, "attempts", 0) == 1 ? "" : "s",
                json_get_str(d, "closed", NULL) ? "closed " : "still watched", json_get_str(d, "closed", ""));
}

void show_incident(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        if (c->quiet)
                return;
        printf("incident %s: ", json_get_str(d, "id", "?"));
        text_word(c, 0, json_get_str(d, "state", "?"));
        printf("\n");
        text_wrap(0, 0, json_get_str(d, "text", ""));
        printf("opened %s, %s\n", json_get_str(d, "opened", "?"), json_get_str(d, "correlation_id", "?"));
        incident_cause(d);
        incident_plan(d);
        incident_act(d);
}
