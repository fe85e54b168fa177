/* SPDX-License-Identifier: Apache-2.0 */
/* What people see of the mesh and of records. */
#include "common/json/json-read.h"
#include "guardian/ctl/show.h"
#include "guardian/ctl/text.h"
#include <string.h>

void show_workflows(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        json_t *w, *a;
        size_t i, k;
        if (json_array_size(d) == 0 && !c->quiet)
                printf("no workflows\n");
        json_array_foreach(d, i, w) {
                printf("%s%s (%s)\n  ", i ? "\n" : "", json_get_str(w, "name", "?"),
                        json_get_bool(w, "enabled", false) ? "enabled" : "disabled");
                text_wrap(2, 2, json_get_str(w, "description", ""));
                printf("  on ");
                text_wrapf(5, 5, "%s when %s", json_get_str(w, "trigger", "?"),
                        json_get_str(w, "filter", "always"));
                json_array_foreach(json_get_path(w, "actions"), k, a)
                        printf("  do %s\n", json_get_str(a, "target", "?"));
        }
}

/* Counters that are not zero, then the peers. */
void show_queues(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        const char *key;
        json_t *v, *p;
        size_t i;
        bool any = false;
        if (c->quiet)
                return;
        json_object_foreach(json_get_path(d, "counters"), key, v) {
                if (json_integer_value(v) == 0)
                        continue;
                printf("%-22s %lld\n", key, (long long)json_integer_value(v));
                any = true;
        }
        if (!any)
                printf("nothing was counted yet\n");
        printf("%-22s %lld\n%-22s %lld\n\n", "pending", (long long)json_get_i64(d, "pending", 0),
                "dead_letters", (long long)json_get_i64(d, "dead_letters", 0));
        printf("%-24s %-9s %8s %7s %8s %8s\n", "PEER", "KIND", "PATTERNS", "QUEUED", "SENT", "DROPPED");
        json_array_foreach(json_get_path(d, "peers"), i, p) {
                text_cell(json_get_str(p, "unit", "?"), 24, false);
                printf("%-9s %8lld %7lld %8lld %8lld\n", json_get_str(p, "kind", "?"),
                        (long long)json_get_i64(p, "patterns", 0), (long long)json_get_i64(p, "queued", 0),
                        (long long)json_get_i64(p, "sent", 0), (long long)json_get_i64(p, "dropped", 0));
        }
}

void show_dlq(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        json_t *l;
        size_t i;
        if (json_array_size(d) == 0 && !c->quiet)
                printf("no dead letters\n");
        json_array_foreach(d, i, l) {
                printf("%s  %s\n  ", json_get_str(l, "id", "?"), json_get_str(l, "state", "?"));
                text_wrapf(2, 4, "%s: %s after %lld attempts, last %s", json_get_str(l, "type", "?"),
                        json_get_str(l, "reason", "?"), (long long)json_get_i64(l, "attempts", 0),
                        json_get_str(l, "last", "?"));
        }
}

/* ---- records */

void show_record(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        char at[16];
        (void)c;
        printf("%6lld %s %-10s ", (long long)json_get_i64(d, "index", 0),
                text_clock(json_get_str(d, "time", ""), at, sizeof(at)), json_get_str(d, "kind", "?"));
        text_cell(json_get_str(d, "resource", "-"), 14, false);
        text_cell(json_get_str(d, "action", "-"), 18, false);
        text_cell(json_get_str(d, "result", "-"), 15, true);
}

void show_event(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        const json_t *payload = json_get_path(d, "payload");
        char *text = payload ? json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        char at[16];
        (void)c;
        printf("%s ", text_clock(json_get_str(d, "ts", ""), at, sizeof(at)));
        text_cell(json_get_str(d, "type", "?"), 26, false);
        text_cell(json_get_str(d, "resource", json_get_str(d, "source", "-")), 14, false);
        text_cell(text ? text : "", 25, true);
        free(text);
        fflush(stdout);
}

void show_why(Ctl *c, Str body) {
        auto_json json_t *d = show_parse(body);
        json_t *b;
        size_t i;
        if (c->quiet)
                return;
        text_wrap(0, 0, json_get_str(d, "text", ""));
        json_array_foreach(json_get_path(d, "because"), i, b) {
                char at[16];
                const char *time = json_get_str(b, "time", NULL);
                if (time) {
                        printf("  %s  ", text_clock(time, at, sizeof(at)));
                        text_wrap(16, 16, json_get_str(b, "text", ""));
                } else {
                        printf("  - ");
                        text_wrap(4, 4, json_get_str(b, "text", ""));
                }
        }
}
