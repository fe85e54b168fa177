/* SPDX-License-Identifier: Apache-2.0 */
/* What people see of the documents about units: lines of at most 80 columns, colour only on a terminal. */
#include "guardian/ctl/show.h"
#include "common/clock.h"
#include "common/json/json-read.h"
#include <errno.h>
#include <string.h>

int ctl_since(const char *s, uint64_t *unix_ns) {
        uint64_t us;
        if (parse_time(s, unix_ns) == 0)
                return 0;
        if (parse_duration_us(s, &us) < 0 || us == UINT64_MAX)
                return -EINVAL;
        uint64_t now = clock_wall_ns();
        *unix_ns = us * 1000 < now ? now - us * 1000 : 0;
        return 0;
}

static json_t *parse(Str body) {
        json_t *j = NULL;
        return json_read(body, 0, &j, NULL, 0) == 0 ? j : NULL;
}

static const char *paint(const Ctl *c, const char *word) {
        if (!c->color)
                return "";
        if (!strcmp(word, "running") || !strcmp(word, "passed") || !strcmp(word, "healthy") ||
                !strcmp(word, "ready"))
                return "\033[32m";
        if (!strcmp(word, "failed") || !strcmp(word, "quarantined") || !strcmp(word, "unhealthy") ||
                !strcmp(word, "aborted") || !strcmp(word, "down"))
                return "\033[31m";
        if (!strcmp(word, "degraded") || !strcmp(word, "backoff") || !strcmp(word, "skipped") ||
                !strcmp(word, "stalled"))
                return "\033[33m";
        return "";
}

static void word(const Ctl *c, int width, const char *w) {
        const char *p = paint(c, w);
        printf("%s%-*s%s", p, width, w, p[0] ? "\033[0m" : "");
}

/* "3m12s" since a time of the document */
static const char *ago(const char *since, char *out, size_t cap) {
        uint64_t t, now = clock_wall_ns();
        if (!since[0] || parse_time(since, &t) < 0 || t > now)
                return "-";
        return format_duration((now - t) / 1000 / 1000000 * 1000000, out, cap);
}

static void end_text(const json_t *e, char *out, size_t cap) {
        const char *reason = json_get_str(e, "reason", "");
        int64_t code = json_get_i64(e, "code", -1), sig = json_get_i64(e, "signal", -1);
        out[0] = 0;
        if (sig >= 0)
                snprintf(out, cap, "signal %lld", (long long)sig);
        else if (code >= 0)
                snprintf(out, cap, "status %lld", (long long)code);
        if (out[0] && reason[0] && strcmp(reason, "exit") != 0 && strcmp(reason, "signal") != 0)
                snprintf(out + strlen(out), cap - strlen(out), ", %s", reason);
}

static void status_header(const Ctl *c, const json_t *g) {
        const json_t *l = json_get_path(g, "ledger");
        printf("guardian %s  pid %lld (%s)  ", json_get_str(g, "version", "?"),
                (long long)json_get_i64(g, "pid", 0), json_get_str(g, "role", "?"));
        word(c, 0, json_get_str(g, "state", "?"));
        printf("  mode %s\ngovernance ", json_get_str(g, "mode", "?"));
        word(c, 0, json_get_str(g, "governance", "?"));
        printf("  policy %.12s  ledger ", json_get_str(g, "policy_revision", "-"));
        word(c, 0, json_get_str(l, "state", "?"));
        printf(" %lld/%lld signed\n", (long long)json_get_i64(l, "size", 0),
                (long long)json_get_i64(l, "signed_size", 0));
        if (json_get_bool(g, "paused", false))
                printf("PAUSED: %s\n", json_get_str(g, "pause_reason", ""));
        if (json_get_bool(g, "lockdown", false))
                printf("LOCKDOWN\n");
        if (json_get_bool(g, "break_glass", false))
                printf("BREAK-GLASS is in force\n");
        if (json_get_i64(g, "pending_approvals", 0) > 0)
                printf("%lld approvals wait: guardianctl approvals\n",
                        (long long)json_get_i64(g, "pending_approvals", 0));
        if (json_get_i64(g, "spooled", 0) > 0)
                printf("%lld ungated acts wait for the ledger\n", (long long)json_get_i64(g, "spooled", 0));
        if (json_get_str(g, "aborted_by", NULL))
                printf("boot aborted: %.64s\n", json_get_str(g, "aborted_by", ""));
}

void show_status(Ctl *c, Str body) {
        auto_json json_t *doc = parse(body);
        json_t *u;
        size_t i;
        double stage = -1;
        if (!doc)
                return;
        status_header(c, json_get_path(doc, "guardian"));
        json_array_foreach(json_get_path(doc, "units"), i, u) {
                char since[40], end[80];
                double p = json_get_double(u, "priority", 0);
                if (p != stage) {
                        printf("%sstage %g\n  %-18s %-12s %-9s %-9s %7s %8s %s\n", i ? "" : "\n", p, "UNIT",
                                "STATE", "VERDICT", "SINCE", "PID", "RESTARTS", "LAST END");
                        stage = p;
                }
                printf("  %-18.18s ", json_get_str(u, "name", "?"));
                word(c, 12, json_get_str(u, "state", "?"));
                printf(" ");
                word(c, 9, json_get_str(u, "verdict", "?"));
                end_text(json_get_path(u, "last_exit"), end, sizeof(end));
                printf(" %-9s %7lld %8lld %.20s\n", ago(json_get_str(u, "since", ""), since, sizeof(since)),
                        (long long)json_get_i64(u, "pid", 0), (long long)json_get_i64(u, "restarts", 0), end);
                const json_t *sandbox = json_get_path(u, "sandbox");
                if (!strcmp(json_get_str(u, "health", ""), "unhealthy") || json_get_str(u, "pinned", NULL) ||
                        json_get_str(u, "status", "")[0])
                        printf("    %s%s%s%s%.60s\n", json_get_str(u, "health", ""),
                                json_get_str(u, "pinned", NULL) ? ", pinned " : "",
                                json_get_str(u, "pinned", ""), json_get_str(u, "status", "")[0] ? ", " : "",
                                json_get_str(u, "status", ""));
                if (!strcmp(json_get_str(sandbox, "profile", ""), "base") &&
                        !json_get_bool(sandbox, "verified", false) && json_get_i64(u, "pid", 0) > 0)
                        printf("    sandbox base: not verified\n");
                json_t *issue;
                size_t k;
                json_array_foreach(json_get_path(u, "issues"), k, issue)
                        printf("    ! %.72s\n", json_string_value(issue));
        }
}

void show_reply(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        if (!d || c->quiet)
                return;
        const char *approval = json_get_str(d, "approval_id", NULL),
                   *reason = json_get_str(d, "reason", NULL);
        const char *outcome = json_get_str(d, "outcome", NULL);
        if (approval && approval[0] && !outcome)
                printf("waits for approval %s (guardianctl approve %s)\n", approval, approval);
        else
                printf("%s%s%s", json_get_str(d, "code", "?"), outcome ? ": " : "", outcome ? outcome : "");
        if (!(approval && approval[0] && !outcome)) {
                if (reason && reason[0])
                        printf(" (%s)", reason);
                if (json_get_bool(d, "ungated", false))
                        printf(" [ungated: recorded later]");
                if (json_get_i64(d, "decision_index", -1) >= 0)
                        printf(" decision %lld", (long long)json_get_i64(d, "decision_index", -1));
                printf("\n");
        }
}

void show_vote(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        if (d && !c->quiet)
                printf("%s: %s (%s)\n", json_get_str(d, "id", "?"), json_get_str(d, "state", "unknown"),
                        json_get_str(d, "code", "?"));
}

static void joined(const json_t *array, char *out, size_t cap) {
        size_t i, at = 0;
        json_t *v;
        out[0] = 0;
        json_array_foreach(array, i, v) {
                char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
                int n = snprintf(
                        out + at, cap - at, "%s%s", i ? ", " : "", text ? text : json_string_value(v));
                free(text);
                if (n < 0 || (size_t)n >= cap - at)
                        return;
                at += (size_t)n;
        }
}

void show_approvals(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        json_t *a;
        size_t i;
        (void)c;
        if (json_array_size(d) == 0)
                printf("no approvals\n");
        json_array_foreach(d, i, a) {
                char needs[200], given[400];
                joined(json_get_path(a, "needs"), needs, sizeof(needs));
                joined(json_get_path(a, "given"), given, sizeof(given));
                printf("%s  %s\n  %s on %s, asked by %s\n  reason: %s\n  needs %s; given %s; expires %s\n",
                        json_get_str(a, "id", "?"), json_get_str(a, "state", "?"),
                        json_get_str(a, "action", "?"), json_get_str(a, "target", "?"),
                        json_get_str(a, "requested_by", "?"), json_get_str(a, "reason", ""), needs,
                        given[0] ? given : "none", json_get_str(a, "expires", "?"));
        }
}

void show_log_line(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        const char *time = json_get_str(d, "time", "");
        printf("%.12s %s%s%s | %s\n", strlen(time) > 11 ? time + 11 : time, c->color ? "\033[36m" : "",
                json_get_str(d, "unit", "?"), c->color ? "\033[0m" : "", json_get_str(d, "text", ""));
        fflush(stdout);
}

void show_version(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        (void)c;
        printf("guardian %s\n", json_get_str(d, "version", "?"));
}

void show_dot(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        (void)c;
        fputs(json_get_str(d, "text", ""), stdout);
}

/* Edges of the DOT text as Mermaid: the same graph for pages that render it. */
void show_mermaid(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        const char *p = json_get_str(d, "text", "");
        (void)c;
        printf("graph TD\n");
        while (*p) {
                const char *end = strchrnul(p, '\n');
                char line[512], a[160], b[160];
                str_copy(line, sizeof(line), (Str){p, (size_t)(end - p)});
                if (sscanf(line, " \"%159[^\"]\" -> \"%159[^\"]\"", a, b) == 2)
                        printf("  %s[\"%s\"] --> %s[\"%s\"]\n", a, a, b, b);
                p = *end ? end + 1 : end;
        }
}

static void pairs(const json_t *j, int indent) {
        const char *key;
        json_t *v;
        json_object_foreach((json_t *)(uintptr_t)j, key, v) {
                if (json_is_object(v)) {
                        printf("%*s%s:\n", indent, "", key);
                        pairs(v, indent + 2);
                } else if (json_is_array(v)) {
                        size_t i;
                        json_t *item;
                        printf("%*s%s:\n", indent, "", key);
                        json_array_foreach(v, i, item) {
                                if (json_is_object(item)) {
                                        printf("%*s-\n", indent + 2, "");
                                        pairs(item, indent + 4);
                                } else {
                                        char *text = json_dumps(item, JSON_ENCODE_ANY);
                                        printf("%*s- %s\n", indent + 2, "",
                                                json_is_string(item) ? json_string_value(item) : text);
                                        free(text);
                                }
                        }
                } else {
                        char *text = json_dumps(v, JSON_ENCODE_ANY);
                        printf("%*s%s: %s\n", indent, "", key,
                                json_is_string(v) ? json_string_value(v) : text);
                        free(text);
                }
        }
}

void show_pairs(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        json_t *item;
        size_t i;
        if (c->quiet)
                return;
        if (json_is_array(d)) {
                json_array_foreach(d, i, item) {
                        printf("-\n");
                        pairs(item, 2);
                }
                return;
        }
        pairs(d, 0);
}

void show_incidents(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        json_t *a;
        size_t i;
        if (json_array_size(d) == 0)
                printf("no incidents\n");
        json_array_foreach(d, i, a) {
                printf("%-24.24s ", json_get_str(a, "id", "?"));
                word(c, 17, json_get_str(a, "state", "?"));
                printf(" %-12.12s %-16.16s %-8s\n", json_get_str(a, "root", "?"),
                        json_get_str(a, "type", "?"), json_get_str(a, "severity", "?"));
        }
}

void show_incident(Ctl *c, Str body) {
        show_pairs(c, body);
}

void show_why(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        json_t *b;
        size_t i;
        (void)c;
        printf("%s\n", json_get_str(d, "text", ""));
        json_array_foreach(json_get_path(d, "because"), i, b) printf("  - %s\n", json_get_str(b, "text", ""));
}

void show_record(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        const char *time = json_get_str(d, "time", "");
        (void)c;
        printf("%6lld %.12s %-10s %-11.11s %-16.16s %-12.12s %s\n", (long long)json_get_i64(d, "index", 0),
                strlen(time) > 11 ? time + 11 : time, json_get_str(d, "kind", "?"),
                json_get_str(d, "writer", "?"), json_get_str(d, "action", "-"),
                json_get_str(d, "resource", "-"), json_get_str(d, "result", "-"));
}

void show_event(Ctl *c, Str body) {
        auto_json json_t *d = parse(body);
        char *payload = json_dumps(json_get_path(d, "payload"), JSON_COMPACT | JSON_ENCODE_ANY);
        (void)c;
        printf("%s %s %s\n", json_get_str(d, "ts", ""), json_get_str(d, "type", "?"), payload ? payload : "");
        free(payload);
}
