/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `why SUBJECT`: what Guardian knows about a unit now, and the story that the ledger tells: every record with
 * the correlation id of the last healing (or of the decision, action, incident or approval that was named),
 * one sentence a record, each with its index.
 */
#include "common/json-writer.h"
#include "common/json/json-read.h"
#include "common/vocab.h"
#include "guardian/ctl/records.h"
#include "guardian/ctl/show.h"
#include "guardian/ctl/story.h"
#include <errno.h>
#include <string.h>

enum { STORY_MAX = 400 };

typedef struct Because {
        char kind[16], ref[80], text[STORY_TEXT + 48];
        char time[40]; /* "" for what holds now */
} Because;

typedef struct Story {
        char subject[160], text[STORY_TEXT];
        Because items[STORY_MAX];
        unsigned n;
        uint64_t skipped;
        char correlation[81];             /* found */
        const char *id;                   /* looked for in bodies */
        char kind[16], ref[32], time[40]; /* of the record that was found */
        bool found;
} Story;

static void add(Story *s, const char *kind, const char *ref, const char *time, const char *text) {
        if (s->n >= STORY_MAX) {
                s->skipped++;
                return;
        }
        Because *b = &s->items[s->n++];
        str_copy(b->kind, sizeof(b->kind), str_of(kind));
        str_copy(b->ref, sizeof(b->ref), str_of(ref));
        str_copy(b->text, sizeof(b->text), str_of(text));
        str_copy(b->time, sizeof(b->time), str_of(time));
}

/* ---- the story of one correlation id */

static int on_story(Ctl *c, Str line, void *user) {
        Story *s = user;
        auto_json json_t *r = NULL;
        char sentence[STORY_TEXT], text[STORY_TEXT + 48], ref[32];
        (void)c;
        if (json_read(line, 0, &r, NULL, 0) < 0)
                return 0;
        story_sentence(r, sentence);
        snprintf(ref, sizeof(ref), "%lld", (long long)json_get_i64(r, "index", 0));
        snprintf(text, sizeof(text), "%s [record %s]", sentence, ref);
        add(s, json_get_str(r, "kind", "?"), ref, json_get_str(r, "time", ""), text);
        return 0;
}

static const uint64_t STORY_KINDS = 1u << RECORD_DECISION | 1u << RECORD_APPROVAL | 1u << RECORD_INTENT |
                                    1u << RECORD_ACTION | 1u << RECORD_ANOMALY | 1u << RECORD_INCIDENT |
                                    1u << RECORD_RECOVERY | 1u << RECORD_CONFIG;

static int tell(Ctl *c, Story *s) {
        RecordQuery q = {.kinds = STORY_KINDS, .correlation_id = s->correlation, .until_ns = UINT64_MAX};
        return s->correlation[0] ? records_walk(c, &q, on_story, s) : CTL_OK;
}

/* ---- finding it */

static int on_last(Ctl *c, Str line, void *user) {
        Story *s = user;
        auto_json json_t *r = NULL;
        (void)c;
        if (json_read(line, 0, &r, NULL, 0) == 0 && json_get_str(r, "correlation_id", NULL))
                str_copy(s->correlation, sizeof(s->correlation),
                        str_of(json_get_str(r, "correlation_id", "")));
        return 0;
}

static bool names(const json_t *r, const char *id) {
        const json_t *b = json_get_path(r, "body");
        const char *fields[] = {json_get_str(r, "request_id", ""), json_get_str(r, "correlation_id", ""),
                json_get_str(b, "id", ""), json_get_str(b, "approval_id", ""), json_get_str(b, "msg_id", "")};
        char index[32];
        snprintf(index, sizeof(index), "%lld", (long long)json_get_i64(r, "index", -1));
        if (strcmp(index, id) == 0)
                return true;
        for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
                if (fields[i][0] && strcmp(fields[i], id) == 0)
                        return true;
        return false;
}

static int on_search(Ctl *c, Str line, void *user) {
        Story *s = user;
        auto_json json_t *r = NULL;
        (void)c;
        if (json_read(line, 0, &r, NULL, 0) < 0 || !names(r, s->id))
                return 0;
        s->found = true;
        story_sentence(r, s->text);
        str_copy(s->kind, sizeof(s->kind), str_of(json_get_str(r, "kind", "?")));
        str_copy(s->time, sizeof(s->time), str_of(json_get_str(r, "time", "")));
        snprintf(s->ref, sizeof(s->ref), "%lld", (long long)json_get_i64(r, "index", 0));
        str_copy(s->correlation, sizeof(s->correlation), str_of(json_get_str(r, "correlation_id", "")));
        return 1;
}

static void on_unit(Ctl *c, const CtlAnswer *a, void *user) {
        Story *s = user;
        auto_json json_t *d = NULL;
        json_t *b;
        size_t i;
        (void)c;
        if (a->status != 0 || json_read(a->body, 0, &d, NULL, 0) < 0)
                return;
        s->found = true;
        str_copy(s->text, sizeof(s->text), str_of(json_get_str(d, "text", "")));
        json_array_foreach(json_get_path(d, "because"), i, b) add(
                s, json_get_str(b, "kind", "?"), json_get_str(b, "ref", ""), "", json_get_str(b, "text", ""));
}

/* ---- the answer */

static void print_story(Ctl *c, const Story *s) {
        Buf out = BUF_INIT(STORY_MAX * 1024);
        JsonWriter w;
        json_init(&w, &out, false);
        json_object_begin(&w);
        json_kv_str(&w, "subject", s->subject);
        json_kv_str(&w, "text", s->text);
        json_kv_str(&w, "correlation_id", s->correlation[0] ? s->correlation : NULL);
        json_key(&w, "because");
        json_array_begin(&w);
        for (unsigned i = 0; i < s->n; i++) {
                json_object_begin(&w);
                json_kv_str(&w, "kind", s->items[i].kind);
                json_kv_str(&w, "ref", s->items[i].ref);
                json_kv_str(&w, "time", s->items[i].time[0] ? s->items[i].time : NULL);
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
        if (s->skipped)
                ctl_fail(c, 0,
                        "%llu more records belong to this: guardianctl ledger query --correlation-id %s",
                        (unsigned long long)s->skipped, s->correlation);
        buf_done(&out);
}

/* Its last healing or act. A set without a ledger has no story, only what Guardian knows. */
static void tell_unit(Ctl *c, Story *s) {
        RecordQuery q = {.kinds = 1u << RECORD_ANOMALY | 1u << RECORD_ACTION | 1u << RECORD_INCIDENT |
                                  1u << RECORD_DECISION,
                .resource = s->subject,
                .until_ns = UINT64_MAX,
                .limit = 1,
                .newest = true,
                .silent = true};
        if (records_walk(c, &q, on_last, s) == CTL_OK)
                (void)tell(c, s);
}

/* A unit that only the ledger can be asked about: its last state on record, and its story. */
static int tell_recorded_unit(Ctl *c, Story *s) {
        RecordQuery q = {.kinds = 1u << RECORD_UNIT,
                .resource = s->subject,
                .until_ns = UINT64_MAX,
                .limit = 1,
                .newest = true};
        int r = records_walk(c, &q, on_story, s);
        if (r != CTL_OK)
                return r;
        tell_unit(c, s);
        s->found = s->n > 0;
        snprintf(s->text, sizeof(s->text), "what the ledger has on %s", s->subject);
        return CTL_OK;
}

int verb_why(Ctl *c, int argc, char **argv) {
        if (argc != 2)
                return ctl_usage("why");
        static Story s;
        const char *unit[1] = {argv[1]};
        int r;
        str_copy(s.subject, sizeof(s.subject), str_of(argv[1]));
        s.id = argv[1];
        if ((!c->state_given || c->runtime_given) && unit_name_valid(argv[1])) {
                CtlCall call = {.verb = "why",
                        .units = unit,
                        .n_units = 1,
                        .on = on_unit,
                        .user = &s,
                        .silent = true};
                r = !c->state_given                         ? ctl_open(c, CTL_QUERY_TIMEOUT_US)
                    : ctl_try_open(c, CTL_QUERY_TIMEOUT_US) ? CTL_OK
                                                            : CTL_UNREACHABLE;
                if (r == CTL_OK)
                        r = ctl_call(c, &c->guardian, &call);
                if (r == CTL_OK && s.found) {
                        tell_unit(c, &s);
                        print_story(c, &s);
                        return CTL_OK;
                }
                if (r == CTL_DENIED)
                        return ctl_fail(c, r,
                                "why: denied_by_role: your role may not read this; it takes observer "
                                "(roles.yaml)");
                if (r == CTL_UNREACHABLE && !c->state_given)
                        return r;
        }
        RecordQuery q = {.until_ns = UINT64_MAX};
        if (parse_u64(argv[1], &q.from) < 0)
                q.from = 0; /* not an index: every record is looked at */
        r = records_walk(c, &q, on_search, &s);
        if (r == CTL_OK && !s.found && unit_name_valid(argv[1]))
                r = tell_recorded_unit(c, &s);
        if (r != CTL_OK)
                return r;
        if (!s.found)
                return ctl_fail(c, CTL_UNKNOWN,
                        "why: '%s' is neither a unit nor an index, request, incident or approval on record",
                        argv[1]);
        if (s.n == 0)
                r = tell(c, &s);
        if (s.n == 0) /* it belongs to no story: it stands for itself */
                add(&s, s.kind, s.ref, s.time, s.text);
        print_story(c, &s);
        return r;
}
