/* SPDX-License-Identifier: Apache-2.0 */
/* What people see of units: status, logs, graphs; and any object as "key: value" lines. */
#include "guardian/ctl/show.h"
#include "common/clock.h"
#include "common/json/json-read.h"
#include "common/signals.h"
#include "guardian/ctl/text.h"
#include <errno.h>
#include <limits.h>
#include <string.h>

int ctl_since(const char *s, uint64_t *unix_ns) {
        uint64_t us;
        if (parse_time(s, unix_ns) == 0)
                return 0;
        if (parse_duration_us(s, &us) < 0 || us == UINT64_MAX)
                return -EINVAL;
        uint64_t now = clock_wall_ns();
        *unix_ns = us < now / 1000 ? now - us * 1000 : 0;
        return 0;
}

json_t *show_parse(Str body) {
        json_t *j = NULL;
        return json_read(body, 0, &j, NULL, 0) == 0 ? j : NULL;
}

/* ---- status */

static void end_text(const json_t *e, char *out, size_t cap) {
        const char *reason = json_get_str(e, "reason", "");
        int64_t code = json_get_i64(e, "code", -1), sig = json_get_i64(e, "signal", -1);
        out[0] = 0;
        if (sig >= 0)
                snprintf(out, cap, "%s", signal_name(sig < INT_MAX ? (int)sig : 0));
        else if (code >= 0)
                snprintf(out, cap, "status %lld", (long long)code);
        else if (strcmp(reason, "exit") == 0) /* no status and no signal: there was no process to end */
                snprintf(out, cap, "could not be started");
        else if (reason[0])
                snprintf(out, cap, "unknown");
        if (out[0] && reason[0] && strcmp(reason, "exit") != 0 && strcmp(reason, "signal") != 0)
                snprintf(out + strlen(out), cap - strlen(out), " (%s)", reason);
}

static void status_alerts(const json_t *g) {
        int64_t waiting = json_get_i64(g, "pending_approvals", 0), spooled = json_get_i64(g, "spooled", 0);
        if (json_get_bool(g, "paused", false))
                text_wrapf(0, 8, "PAUSED: %s (guardianctl resume)", json_get_str(g, "pause_reason", ""));
        if (json_get_str(g, "pause_warning", NULL))
                text_wrapf(0, 9, "WARNING: %s", json_get_str(g, "pause_warning", ""));
        if (json_get_bool(g, "lockdown", false))
                printf("LOCKDOWN is on (guardianctl lockdown off)\n");
        if (json_get_bool(g, "break_glass", false))
                printf("BREAK-GLASS is in force until %s\n", json_get_str(g, "break_glass_until", "?"));
        if (waiting > 0)
                printf("%lld approval%s a person: guardianctl approvals\n", (long long)waiting,
                        waiting == 1 ? " waits for" : "s wait for");
        if (spooled > 0)
                printf("%lld ungated act%s for the ledger\n", (long long)spooled,
                        spooled == 1 ? " waits" : "s wait");
        if (json_get_str(g, "aborted_by", NULL))
                text_wrapf(0, 14, "boot aborted: %s", json_get_str(g, "aborted_by", ""));
}

static void status_header(const Ctl *c, const json_t *g) {
        const json_t *l = json_get_path(g, "ledger");
        printf("guardian %s  ", json_get_str(g, "version", "?"));
        text_word(c, 0, json_get_str(g, "state", "?"));
        printf("  pid %lld (%s)  mode %s  containment %s\ngovernance ", (long long)json_get_i64(g, "pid", 0),
                json_get_str(g, "role", "?"), json_get_str(g, "mode", "?"),
                json_get_str(g, "containment", "?"));
        text_word(c, 0, json_get_str(g, "governance", "?"));
        printf("  policy %.12s  ledger ", json_get_str(g, "policy_revision", "-"));
        text_word(c, 0, json_get_str(l, "state", "?"));
        printf(", %lld records, %lld signed\n", (long long)json_get_i64(l, "size", 0),
                (long long)json_get_i64(l, "signed_size", 0));
        status_alerts(g);
}

static void sandbox_text(const json_t *s, bool runs, char *out, size_t cap) {
        const char *profile = json_get_str(s, "profile", "none");
        bool verified = json_get_bool(s, "verified", false);
        if (strcmp(profile, "none") == 0 || !runs)
                snprintf(out, cap, "sandbox %s", profile);
        else
                snprintf(out, cap, "sandbox %s, %s", profile, verified ? "verified" : "not verified");
}

/* What stands under a unit's line; all of it when the unit was named. */
static void unit_details(const json_t *u, bool all) {
        char end[80], sandbox[80], line[400];
        const json_t *sb = json_get_path(u, "sandbox"), *left = json_get_path(u, "restart_budget_left");
        const char *pinned = json_get_str(u, "pinned", NULL), *text = json_get_str(u, "status", "");
        size_t n = 0, k;
        json_t *issue;
        end_text(json_get_path(u, "last_exit"), end, sizeof(end));
        sandbox_text(sb, json_get_i64(u, "pid", 0) > 0, sandbox, sizeof(sandbox));
        line[0] = 0;
        if (end[0])
                n += (size_t)snprintf(line + n, sizeof(line) - n, "; last end %s", end);
        if (json_is_integer(left) && (end[0] || all))
                n += (size_t)snprintf(line + n, sizeof(line) - n, "; %lld automatic restart%s left",
                        (long long)json_integer_value(left), json_integer_value(left) == 1 ? "" : "s");
        if (pinned)
                n += (size_t)snprintf(line + n, sizeof(line) - n, "; pinned %.60s", pinned);
        if (all || (strcmp(json_get_str(sb, "profile", "none"), "none") != 0 &&
                           !json_get_bool(sb, "verified", false) && json_get_i64(u, "pid", 0) > 0))
                n += (size_t)snprintf(line + n, sizeof(line) - n, "; %s", sandbox);
        if (text[0])
                snprintf(line + n, sizeof(line) - n, "; says: %.160s", text);
        if (line[0]) {
                printf("    ");
                text_wrap(4, 4, line + 2);
        }
        json_array_foreach(json_get_path(u, "issues"), k, issue) {
                printf("    ! ");
                text_wrap(6, 6, json_string_value(issue));
        }
}

void show_status(Ctl *c, Str body) {
        auto_json json_t *doc = show_parse(body);
        json_t *u;
        size_t i;
        double stage = -1;
        if (!doc || c->quiet)
                return;
        status_header(c, json_get_path(doc, "guardian"));
        json_array_foreach(json_get_path(doc, "units"), i, u) {
                char since[40];
                double p = json_get_double(u, "priority", 0);
                long long pid = (long long)json_get_i64(u, "pid", 0);
                if (p != stage)
                        printf("\nstage %-12g %-12s %-9s %-9s %-9s %7s %8s\n", p, "STATE", "VERDICT",
                                "HEALTH", "SINCE", "PID", "RESTARTS");
                stage = p;
                printf("  ");
                text_cell(json_get_str(u, "name", "?"), 16, false);
                text_word(c, 12, json_get_str(u, "state", "?"));
                printf(" ");
                text_word(c, 9, json_get_str(u, "verdict", "?"));
                printf(" ");
                text_word(c, 9, json_get_str(u, "health", "?"));
                printf(" %-9s ", text_ago(json_get_str(u, "since", ""), since, sizeof(since)));
                if (pid)
                        printf("%7lld", pid);
                else
                        printf("%7s", "-");
                printf(" %8lld\n", (long long)json_get_i64(u, "restarts", 0));
                unit_details(u, show_units_named);
        }
}
bool show_units_named;

/* ---- logs, versions, graphs */

void show_log_line(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        const char *text = json_get_str(d, "text", "");
        char at[16];
        printf("%s %s%s%s | ", text_clock(json_get_str(d, "time", ""), at, sizeof(at)),
                c->color ? "\033[36m" : "", json_get_str(d, "unit", "?"), c->color ? "\033[0m" : "");
        if (c->terminal)
                text_clean(str_of(text));
        else
                fputs(text, stdout);
        printf("\n");
        fflush(stdout);
}

void show_version(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        (void)c;
        printf("guardian %s, pid %lld\n", json_get_str(d, "version", "?"),
                (long long)json_get_i64(d, "pid", 0));
}

void show_dot(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        (void)c;
        fputs(json_get_str(d, "text", ""), stdout);
}

/* Edges of the DOT text as Mermaid: the same graph for pages that render it. */
void show_mermaid(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
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

/* ---- any document */

static void scalar(const json_t *v, int at, int hang) {
        char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY);
        text_wrap(at, hang,
                json_is_null(v)     ? "-"
                : json_is_string(v) ? json_string_value(v)
                : text              ? text
                                    : "?");
        free(text);
}

static void pairs(const json_t *j, int indent) {
        const char *key;
        json_t *v, *item;
        size_t i;
        json_object_foreach((json_t *)(uintptr_t)j, key, v) {
                int at = printf("%*s%s:", indent, "", key);
                if (json_is_object(v) || json_is_array(v)) {
                        printf("%s\n",
                                (json_is_object(v) ? json_object_size(v) : json_array_size(v)) ? "" : " -");
                } else {
                        printf(" ");
                        scalar(v, at + 1, indent + 2);
                }
                if (json_is_object(v))
                        pairs(v, indent + 2);
                json_array_foreach(v, i, item) {
                        printf("%*s- ", indent + 2, "");
                        if (json_is_object(item)) {
                                printf("\n");
                                pairs(item, indent + 4);
                        } else {
                                scalar(item, indent + 4, indent + 4);
                        }
                }
        }
}

void show_pairs(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        json_t *item;
        size_t i;
        if (c->quiet)
                return;
        if (!json_is_array(d)) {
                pairs(d, 0);
                return;
        }
        json_array_foreach(d, i, item) {
                printf("-\n");
                pairs(item, 2);
        }
}
