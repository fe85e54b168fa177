/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/ctl/records.h"
#include "common/json-writer.h"
#include "common/vocab.h"
#include "guardian/ctl/show.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX = 512 * 1024 };

static void kv(JsonWriter *w, const char *key, Str s) {
        json_key(w, key);
        if (s.p)
                json_str(w, s);
        else
                json_null(w);
}

static void hex(JsonWriter *w, const char *key, const uint8_t *p, size_t n) {
        json_key(w, key);
        if (p)
                json_hex(w, p, n);
        else
                json_null(w);
}

static int record_line(const Msg *m, Buf *out) {
        JsonWriter w;
        json_init(&w, out, false);
        json_object_begin(&w);
        json_kv_u64(&w, "index", msg_u64(m, TAG_INDEX, 0));
        json_key(&w, "time");
        json_time(&w, msg_u64(m, TAG_TIME_NS, 0));
        json_kv_str(&w, "kind", record_kind_to_string((int)msg_u64(m, TAG_KIND, 0)));
        kv(&w, "writer", msg_str(m, TAG_WRITER));
        kv(&w, "actor", msg_str(m, TAG_ACTOR));
        kv(&w, "action", msg_str(m, TAG_ACTION));
        kv(&w, "resource", msg_str(m, TAG_RESOURCE));
        kv(&w, "subsystem", msg_str(m, TAG_SUBSYSTEM));
        kv(&w, "correlation_id", msg_str(m, TAG_CORRELATION_ID));
        hex(&w, "request_id", msg_bytes(m, TAG_REQUEST_ID), 16);
        json_key(&w, "ref");
        if (msg_has(m, TAG_REF))
                json_u64(&w, msg_u64(m, TAG_REF, 0));
        else
                json_null(&w);
        kv(&w, "result", msg_str(m, TAG_RESULT));
        json_key(&w, "body");
        if (m->payload.n)
                json_raw(&w, m->payload);
        else
                json_null(&w);
        hex(&w, "prev", msg_bytes(m, TAG_PREV), 32);
        hex(&w, "hash", msg_bytes(m, TAG_HASH), 32);
        json_object_end(&w);
        return json_finish(&w);
}

/* The newest `limit` lines: a ring of copies. */
typedef struct Newest {
        char **lines;
        uint64_t n, cap;
} Newest;

static int keep(Newest *k, Str line) {
        char *copy = strndup(line.p, line.n);
        if (!copy)
                return -ENOMEM;
        free(k->lines[k->n % k->cap]);
        k->lines[k->n++ % k->cap] = copy;
        return 0;
}

static int hand_out(Ctl *c, Newest *k, RecordLineFn fn, void *user) {
        uint64_t have = k->n < k->cap ? k->n : k->cap;
        int stop = 0;
        for (uint64_t i = k->n - have; i < k->n; i++) {
                if (!stop)
                        stop = fn(c, str_of(k->lines[i % k->cap]), user);
                free(k->lines[i % k->cap]);
        }
        free(k->lines);
        return 0;
}

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

static int walk_online(Ctl *c, const RecordQuery *q, RecordLineFn fn, void *user) {
        Client to;
        MsgBuilder b;
        Msg m;
        Buf line = BUF_INIT(LINE_MAX);
        Newest newest = {.cap = q->limit};
        uint64_t from = q->from, req = 0, count = 0;
        bool more = true;
        int r = ctl_chunk(c, "ledger", &to), stop = 0;
        if (r != CTL_OK)
                return r;
        if (q->newest && q->limit && !(newest.lines = calloc(q->limit, sizeof(char *))))
                return ctl_fail(c, CTL_NO, "out of memory");
        while (more && !stop) {
                send_query(q, ++req, from, &b);
                r = client_send(&to, &b, (Str){NULL, 0});
                while (r == 0 && (r = client_read(&to, &m)) == 0) {
                        if (m.type == MSG_RECORD && !stop) {
                                line.len = 0;
                                r = record_line(&m, &line);
                                Str s = {(char *)line.data, line.len};
                                if (r == 0 && newest.lines)
                                        r = keep(&newest, s);
                                else if (r == 0)
                                        stop = fn(c, s, user) || (q->limit && ++count >= q->limit);
                        }
                        if (m.type == MSG_RESULT && msg_u64(&m, TAG_REQ, 0) == req)
                                break;
                }
                if (r != 0)
                        break;
                more = msg_bool(&m, TAG_MORE, false);
                from = msg_u64(&m, TAG_INDEX, from);
                if (msg_u64(&m, TAG_STATUS, 0) != 0) {
                        Str text = msg_str(&m, TAG_MESSAGE);
                        r = ctl_fail(c, (int)msg_u64(&m, TAG_STATUS, 1), "ledger: %.*s", (int)text.n, text.p ? text.p : "refused");
                        break;
                }
        }
        if (r < 0 || (r > 0 && more && r == 1))
                r = ctl_fail(c, CTL_NO, "the ledger did not answer: %s", to.error[0] ? to.error : strerror(r < 0 ? -r : EPIPE));
        if (newest.lines)
                hand_out(c, &newest, fn, user);
        buf_done(&line);
        client_close(&to);
        return r;
}

int records_walk(Ctl *c, const RecordQuery *q, RecordLineFn fn, void *user) {
        return walk_online(c, q, fn, user);
}

/* ---- events */

typedef struct EventWalk {
        const char *pattern;
} EventWalk;

static int event_line(Ctl *c, Str line, void *user) {
        (void)user;
        if (c->json)
                ctl_print_body(c, line);
        else
                show_record(c, line);
        return 0;
}

int records_events(Ctl *c, const char *pattern, uint64_t limit) {
        RecordQuery q = {.kinds = 1u << RECORD_EVENT, .until_ns = UINT64_MAX, .limit = limit ? limit : 50, .newest = true,
                .action = strchr(pattern, '*') ? NULL : pattern};
        EventWalk w = {pattern};
        return records_walk(c, &q, event_line, &w);
}
