/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/ctl/records.h"
#include "chunks/ledger/record-json.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/gme.h"
#include "common/vocab.h"
#include "guardian/ctl/offline.h"
#include "guardian/ctl/show.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the newest lines */

int record_ring_init(RecordRing *k, uint64_t cap) {
        *k = (RecordRing){.lines = calloc(cap, sizeof(char *)), .cap = cap};
        return k->lines ? 0 : -ENOMEM;
}

int record_ring_add(RecordRing *k, Str line) {
        char *copy = strndup(line.p, line.n);
        if (!copy)
                return -ENOMEM;
        free(k->lines[k->n % k->cap]);
        k->lines[k->n++ % k->cap] = copy;
        return 0;
}

void record_ring_flush(Ctl *c, RecordRing *k, RecordLineFn fn, void *user) {
        uint64_t have = k->n < k->cap ? k->n : k->cap;
        int stop = 0;
        for (uint64_t i = k->n - have; i < k->n; i++) {
                if (!stop)
                        stop = fn(c, str_of(k->lines[i % k->cap]), user);
                free(k->lines[i % k->cap]);
        }
        free(k->lines);
        k->lines = NULL;
}

/* ---- a running ledger */

static void send_query(const RecordQuery *q, uint64_t req, uint64_t from, MsgBuilder *b) {
        msg_begin(b, MSG_QUERY);
        msg_put_u64(b, TAG_REQ, req);
        msg_put_u64(b, TAG_FROM, from);
        if (q->kinds)
                msg_put_u64(b, TAG_KINDS, q->kinds);
        msg_put_cstr(b, TAG_WRITER, q->writer);
        msg_put_cstr(b, TAG_ACTOR, q->actor);
        msg_put_cstr(b, TAG_ACTION, q->action);
        msg_put_cstr(b, TAG_RESOURCE, q->resource);
        msg_put_cstr(b, TAG_CORRELATION_ID, q->correlation_id);
        msg_put_bytes(b, TAG_REQUEST_ID, q->request_id);
        if (q->since_ns)
                msg_put_u64(b, TAG_SINCE_NS, q->since_ns);
        if (q->until_ns != UINT64_MAX)
                msg_put_u64(b, TAG_UNTIL_NS, q->until_ns);
}

static const uint64_t PAGE_TIMEOUT_US = 10 * 1000000ull;

bool record_action_fits(const RecordQuery *q, Str action) {
        char text[129];
        if (!q->pattern)
                return true;
        return action.p && action.n < sizeof(text) &&
               pattern_match(q->pattern, str_copy(text, sizeof(text), action));
}

typedef struct Online {
        Ctl *c;
        const RecordQuery *q;
        RecordLineFn fn;
        void *user;
        Buf line;
        RecordRing newest;
        uint64_t count;
        bool stop;
} Online;

/* 0 or -errno. */
static int on_record(Online *o, const Msg *m) {
        if (o->stop || !record_action_fits(o->q, msg_str(m, TAG_ACTION)))
                return 0;
        o->line.len = 0;
        int r = record_msg_to_json(m, &o->line);
        Str s = {(char *)o->line.data, o->line.len};
        if (r < 0)
                return r;
        if (o->newest.lines)
                return record_ring_add(&o->newest, s);
        o->stop = o->fn(o->c, s, o->user) || (o->q->limit && ++o->count >= o->q->limit);
        return 0;
}

/* One page. 0 with the RESULT in *m; 1: the stream ended; -errno. */
static int read_page(Online *o, Client *to, uint64_t req, uint64_t from, Msg *m) {
        MsgBuilder b;
        send_query(o->q, req, from, &b);
        if (!o->c->timeout_set)
                to->deadline_us = clock_boot_us() + PAGE_TIMEOUT_US;
        int r = client_send(to, &b, (Str){NULL, 0});
        while (r == 0 && (r = client_read(to, m)) == 0) {
                if (m->type == MSG_RECORD)
                        r = on_record(o, m);
                else if (m->type == MSG_RESULT && msg_u64(m, TAG_REQ, 0) == req)
                        return 0;
        }
        return r;
}

static int read_pages(Online *o, Client *to) {
        uint64_t from = o->q->from, req = 0;
        bool more = true;
        while (more && !o->stop) {
                Msg m;
                int r = read_page(o, to, ++req, from, &m);
                if (r != 0)
                        return ctl_fail(o->c, r == -ETIMEDOUT ? CTL_NO : CTL_UNREACHABLE,
                                "the ledger did not answer: %s",
                                r > 0          ? "it ended the connection"
                                : to->error[0] ? to->error
                                               : strerror(-r));
                Str text = msg_str(&m, TAG_MESSAGE), code = msg_str(&m, TAG_CODE);
                int status = (int)msg_u64(&m, TAG_STATUS, 0);
                if (status != 0)
                        return ctl_fail(o->c, status, "ledger: %.*s%s%.*s", (int)code.n, code.p,
                                text.n ? ": " : "", (int)text.n, text.p ? text.p : "");
                more = msg_bool(&m, TAG_MORE, false);
                from = msg_u64(&m, TAG_INDEX, from);
        }
        return CTL_OK;
}

static int walk_online(Ctl *c, const RecordQuery *q, RecordLineFn fn, void *user) {
        Online o = {.c = c, .q = q, .fn = fn, .user = user, .line = BUF_INIT(RECORD_LINE_MAX)};
        Client to;
        int r = q->silent ? ctl_chunk_silent(c, "ledger", &to) : ctl_chunk(c, "ledger", &to);
        if (r != CTL_OK)
                return r;
        if (q->newest && q->limit && record_ring_init(&o.newest, q->limit) < 0)
                r = ctl_fail(c, CTL_NO, "out of memory");
        else
                r = read_pages(&o, &to);
        if (o.newest.lines)
                record_ring_flush(c, &o.newest, fn, user);
        buf_done(&o.line);
        client_close(&to);
        return r;
}

int records_walk(Ctl *c, const RecordQuery *q, RecordLineFn fn, void *user) {
        return offline_wanted(c) ? offline_walk(c, q, false, fn, user) : walk_online(c, q, fn, user);
}

/* ---- events */

/* The members of an envelope that a record's body holds, as the message that it was. */
static void put_member(MsgBuilder *b, unsigned tag, const json_t *v) {
        const TagInfo *info = tag_info(tag);
        json_t *item;
        size_t i;
        if (json_is_integer(v) && info->type == TAG_TYPE_U64)
                msg_put_u64(b, (Tag)tag, (uint64_t)json_integer_value(v));
        else if (json_is_string(v) && info->type == TAG_TYPE_STR)
                msg_put_cstr(b, (Tag)tag, json_string_value(v));
        json_array_foreach(v, i, item) if (json_is_string(item))
                msg_put_cstr(b, (Tag)tag, json_string_value(item));
}

int record_envelope(const json_t *r, Buf *out) {
        static const Tag tags[] = {TAG_MSG_ID, TAG_GKIND, TAG_TYPE, TAG_VERSION, TAG_TS, TAG_SOURCE,
                TAG_SCHEMA_REF, TAG_CORRELATION_ID, TAG_TRACEPARENT, TAG_TRACESTATE, TAG_PRIORITY, TAG_QOS,
                TAG_PARTITION_KEY, TAG_CAUSATION_ID, TAG_REPLY_TO, TAG_IDEMPOTENCY_KEY, TAG_HOP_COUNT,
                TAG_DEADLINE_MS, TAG_EXPIRES_AT, TAG_GOVERNANCE_LABEL, TAG_PII_FLAG, TAG_CONSENT_SCOPE,
                TAG_RBAC, TAG_CHECKSUM, TAG_SIGNATURE, TAG_PAYLOAD_REF, TAG_REDELIVERY_COUNT, TAG_RESOURCE};
        const json_t *body = json_get_path(r, "body");
        const char *payload = json_get_str(body, "payload", NULL),
                   *hash = json_get_str(body, "payload_sha256", NULL);
        char ref[80];
        MsgBuilder b;
        JsonWriter w;
        Msg m;
        msg_begin(&b, MSG_EVENT);
        msg_put_u64(&b, TAG_INDEX, json_get_u64(r, "index", 0));
        for (size_t i = 0; i < ELEMENTSOF(tags); i++)
                put_member(&b, tags[i], json_get_path(body, tag_info(tags[i])->json));
        if (hash) {
                /* too long for a record: only its hash is on record */
                snprintf(ref, sizeof(ref), "sha256:%s", hash);
                msg_put_cstr(&b, TAG_PAYLOAD_REF, ref);
        }
        int e = msg_view(&b, str_of(payload), &m);
        if (e == 0 && payload && json_check(m.payload, NULL, NULL) < 0)
                e = -EBADMSG; /* it is printed as it is */
        if (e < 0)
                return e;
        json_init(&w, out, false);
        gme_to_json(&m, &w);
        return json_finish(&w);
}

static int event_line(Ctl *c, Str line, void *user) {
        auto_json json_t *r = NULL;
        Buf out = BUF_INIT(RECORD_LINE_MAX);
        (void)user;
        int e = json_read(line, 0, &r, NULL, 0);
        if (e == 0)
                e = record_envelope(r, &out);
        Str s = {(char *)out.data, out.len};
        if (e < 0)
                ctl_fail(c, CTL_NO, "record %lld: its body is no envelope",
                        (long long)json_get_i64(r, "index", -1));
        else if (c->json)
                ctl_print_body(c, s);
        else
                show_event(c, s);
        buf_done(&out);
        return 0;
}

int records_events(Ctl *c, const char *pattern, uint64_t limit) {
        bool any = strcmp(pattern, "**") == 0, exact = !strchr(pattern, '*');
        RecordQuery q = {.kinds = 1u << RECORD_EVENT,
                .until_ns = UINT64_MAX,
                .limit = limit,
                .newest = true,
                .action = exact ? pattern : NULL,
                .pattern = any || exact ? NULL : pattern};
        return records_walk(c, &q, event_line, NULL);
}
