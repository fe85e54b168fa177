/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `why SUBJECT`: what Guardian knows about a unit now, and the story that the ledger tells: every record with
 * the correlation id of the last healing (or of the decision, action, incident or approval that was named),
 * one sentence a record, each with its index.
 */
#include "common/json/json-read.h"
#include "common/json-writer.h"
#include "common/vocab.h"
#include "guardian/ctl/records.h"
#include "guardian/ctl/show.h"
#include <errno.h>
#include <string.h>

enum { STORY_MAX = 400, TEXT_MAX = 64 * 1024 };

typedef struct Because {
        char kind[16], ref[80], text[400];
} Because;

typedef struct Story {
        char subject[160], text[400];
        Because items[STORY_MAX];
        unsigned n;
        char correlation[81]; /* found */
        const char *id;       /* looked for in bodies */
        bool found;
} Story;

static void add(Story *s, const char *kind, const char *ref, const char *text) {
        if (s->n >= STORY_MAX)
                return;
        Because *b = &s->items[s->n++];
        str_copy(b->kind, sizeof(b->kind), str_of(kind));
        str_copy(b->ref, sizeof(b->ref), str_of(ref));
        str_copy(b->text, sizeof(b->text), str_of(text));
}

/* ---- one record as a sentence */

static void rules_text(const json_t *body, char *out, size_t cap) {
        json_t *r;
        size_t i, at = 0;
        out[0] = 0;
        json_array_foreach(json_get_path(body, "rules"), i, r) {
                int n = snprintf(
                        out + at, cap - at, "%s%s", i ? ", " : " by rule ", json_get_str(r, "id", "?"));
                if (n < 0 || (size_t)n >= cap - at)
                        return;
                at += (size_t)n;
        }
}

static void missed_text(const json_t *body, char *out, size_t cap) {
        const json_t *m = json_get_path(body, "missed.0");
        out[0] = 0;
        if (m)
                snprintf(out, cap, "; nearest rule %s: %s", json_get_str(m, "id", "?"),
                        json_get_str(m, "failed", "?"));
}

static void sentence(const json_t *r, char *out, size_t cap) {
        const json_t *b = json_get_path(r, "body");
        const char *kind = json_get_str(r, "kind", "?"), *what = json_get_str(r, "action", "?"),
                   *on = json_get_str(r, "resource", "?");
        const char *result = json_get_str(r, "result", ""), *actor = json_get_str(r, "actor", "?");
        char rules[200], missed[200];
        if (strcmp(kind, "anomaly") == 0) {
                snprintf(out, cap, "%s saw an anomaly on %s: %s %s", actor, on, json_get_str(b, "type", what),
                        json_get_str(b, "message", json_get_str(b, "detail", "")));
        } else if (strcmp(kind, "incident") == 0) {
                const char *diagnosis = json_get_str(b, "diagnosis", json_get_str(b, "reason", ""));
                snprintf(out, cap, "incident %s on %s is %s%s%s", json_get_str(b, "id", "?"), on,
                        json_get_str(b, "state", result), diagnosis[0] ? ": " : "", diagnosis);
        } else if (strcmp(kind, "decision") == 0) {
                const char *verdict = json_get_str(b, "verdict", result);
                rules_text(b, rules, sizeof(rules));
                missed_text(b, missed, sizeof(missed));
                snprintf(out, cap, "governance decided %s for %s on %s%s (%s)%s", verdict, what, on, rules,
                        json_get_str(b, "code", "?"), strcmp(verdict, "deny") == 0 ? missed : "");
        } else if (strcmp(kind, "approval") == 0) {
                snprintf(out, cap, "approval %s: %s, by %s %s",
                        json_get_str(b, "approval_id", json_get_str(b, "id", "?")),
                        json_get_str(b, "state", result), actor, json_get_str(b, "note", ""));
        } else if (strcmp(kind, "intent") == 0) {
                snprintf(out, cap, "Guardian made the intent to %s %s durable before acting", what, on);
        } else if (strcmp(kind, "action") == 0) {
                snprintf(out, cap, "Guardian acted: %s on %s, outcome %s %s", what, on,
                        json_get_str(b, "outcome", result), json_get_str(b, "reason", ""));
        } else if (strcmp(kind, "recovery") == 0) {
                snprintf(out, cap, "%s by %s on %s ran without a verdict, recorded afterwards", what, actor,
                        on);
        } else {
                snprintf(out, cap, "%s: %s %s %s", kind, what, on, result);
        }
}

static int on_story(Ctl *c, Str line, void *user) {
        Story *s = user;
        auto_json json_t *r = NULL;
        char text[400], ref[80];
        (void)c;
        if (json_read(line, 0, &r, NULL, 0) < 0 || strcmp(json_get_str(r, "kind", ""), "event") == 0)
                return 0;
        sentence(r, text, sizeof(text));
        snprintf(ref, sizeof(ref), "%lld", (long long)json_get_i64(r, "index", 0));
        size_t n = strlen(text);
        while (n && text[n - 1] == ' ')
                text[--n] = 0;
        snprintf(text + n, sizeof(text) - n, " [record %s]", ref);
        add(s, json_get_str(r, "kind", "?"), ref, text);
        return 0;
}

static int tell(Ctl *c, Story *s) {
        RecordQuery q = {.correlation_id = s->correlation, .until_ns = UINT64_MAX};
        return records_walk(c, &q, on_story, s);
}

/* ---- finding the story */

static int on_last(Ctl *c, Str line, void *user) {
        Story *s = user;
        auto_json json_t *r = NULL;
        (void)c;
        if (json_read(line, 0, &r, NULL, 0) == 0 && json_get_str(r, "correlation_id", NULL))
                str_copy(s->correlation, sizeof(s->correlation),
                        str_of(json_get_str(r, "correlation_id", "")));
        return 0;
}

static int on_search(Ctl *c, Str line, void *user) {
        Story *s = user;
        auto_json json_t *r = NULL;
        (void)c;
        if (json_read(line, 0, &r, NULL, 0) < 0)
                return 0;
        const char *fields[] = {json_get_str(r, "request_id", ""), json_get_str(r, "correlation_id", ""),
                json_get_str(json_get_path(r, "body"), "id", ""),
                json_get_str(json_get_path(r, "body"), "approval_id", "")};
        char index[32];
        snprintf(index, sizeof(index), "%lld", (long long)json_get_i64(r, "index", -1));
        bool hit = strcmp(index, s->id) == 0;
        for (unsigned i = 0; i < 4 && !hit; i++)
                hit = fields[i][0] && strcmp(fields[i], s->id) == 0;
        if (!hit)
                return 0;
        s->found = true;
        sentence(r, s->text, sizeof(s->text));
        str_copy(s->correlation, sizeof(s->correlation), str_of(json_get_str(r, "correlation_id", "")));
        return 1;
}

static void on_unit(Ctl *c, Str body, const char *code, bool more, void *user) {
        Story *s = user;
        auto_json json_t *d = NULL;
        json_t *b;
        size_t i;
        (void)c;
        (void)code;
        (void)more;
        if (json_read(body, 0, &d, NULL, 0) < 0)
                return;
        s->found = true;
        str_copy(s->text, sizeof(s->text), str_of(json_get_str(d, "text", "")));
        json_array_foreach(json_get_path(d, "because"), i, b)
                add(s, json_get_str(b, "kind", "?"), json_get_str(b, "ref", ""), json_get_str(b, "text", ""));
}

static const uint64_t STORY_KINDS = 1u << RECORD_DECISION | 1u << RECORD_APPROVAL | 1u << RECORD_INTENT |
                                    1u << RECORD_ACTION | 1u << RECORD_ANOMALY | 1u << RECORD_INCIDENT |
                                    1u << RECORD_RECOVERY;

static void print_story(Ctl *c, const Story *s) {
        Buf out = BUF_INIT(STORY_MAX * 600);
        JsonWriter w;
        json_init(&w, &out, false);
        json_object_begin(&w);
        json_kv_str(&w, "subject", s->subject);
        json_kv_str(&w, "text", s->text);
        json_key(&w, "because");
        json_array_begin(&w);
        for (unsigned i = 0; i < s->n; i++) {
                json_object_begin(&w);
                json_kv_str(&w, "kind", s->items[i].kind);
                json_kv_str(&w, "ref", s->items[i].ref);
                json_kv_str(&w, "text", s->items[i].text);
                json_object_end(&w);
        }
        json_array_end(&w);
        json_object_end(&w);
        Str body = {(char *)out.data, out.len};
        if (json_finish(&w) == 0 && c->json)
                ctl_print_body(c, body);
        else if (w.error == 0)
                show_why(c, body);
        buf_done(&out);
}

int verb_why(Ctl *c, int argc, char **argv) {
        if (argc != 2)
                return ctl_usage("why");
        static Story s;
        const char *unit[1] = {argv[1]};
        str_copy(s.subject, sizeof(s.subject), str_of(argv[1]));
        s.id = argv[1];
        int r = ctl_open(c, 10 * 1000000ull);
        if (r != CTL_OK)
                return r;
        bool quiet = c->quiet;
        c->quiet = true; /* an id is no unit: that is no error yet */
        CtlCall call = {.verb = "why", .units = unit, .n_units = 1, .on = on_unit, .user = &s};
        r = unit_name_valid(argv[1]) ? ctl_call(c, &c->guardian, &call) : CTL_UNKNOWN;
        c->quiet = quiet;
        if (r == CTL_OK) {
                RecordQuery q = {.kinds = 1u << RECORD_ANOMALY | 1u << RECORD_ACTION | 1u << RECORD_INCIDENT,
                        .resource = argv[1],
                        .until_ns = UINT64_MAX,
                        .limit = 1,
                        .newest = true};
                if (records_walk(c, &q, on_last, &s) == CTL_OK && s.correlation[0])
                        tell(c, &s);
                print_story(c, &s);
                return CTL_OK;
        }
        if (r == CTL_DENIED || r == CTL_UNREACHABLE)
                return ctl_fail(c, r, "why: Guardian did not answer");
        RecordQuery q = {.kinds = STORY_KINDS, .until_ns = UINT64_MAX};
        r = records_walk(c, &q, on_search, &s);
        if (r != CTL_OK)
                return r;
        if (!s.found)
                return ctl_fail(c, CTL_UNKNOWN,
                        "'%s' is neither a unit nor an index, request, incident or approval on record",
                        argv[1]);
        if (s.correlation[0])
                r = tell(c, &s);
        print_story(c, &s);
        return r;
}
