/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/ctl/records.h"
#include "chunks/ledger/record-json.h"
#include "common/vocab.h"
#include "guardian/ctl/offline.h"
#include "guardian/ctl/show.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX = 512 * 1024 };

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

static int walk_online(Ctl *c, const RecordQuery *q, RecordLineFn fn, void *user) {
        Client to;
        MsgBuilder b;
        Msg m;
        Buf line = BUF_INIT(LINE_MAX);
        RecordRing newest = {0};
        uint64_t from = q->from, req = 0, count = 0;
        bool more = true;
        int r = ctl_chunk(c, "ledger", &to), stop = 0;
        if (r != CTL_OK)
                return r;
        if (q->newest && q->limit && record_ring_init(&newest, q->limit) < 0) {
                client_close(&to);
                return ctl_fail(c, CTL_NO, "out of memory");
        }
        while (more && !stop) {
                send_query(q, ++req, from, &b);
                r = client_send(&to, &b, (Str){NULL, 0});
                while (r == 0 && (r = client_read(&to, &m)) == 0) {
                        if (m.type == MSG_RECORD && !stop) {
                                line.len = 0;
                                r = record_msg_to_json(&m, &line);
                                Str s = {(char *)line.data, line.len};
                                if (r == 0 && newest.lines)
                                        r = record_ring_add(&newest, s);
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
                        r = ctl_fail(c, (int)msg_u64(&m, TAG_STATUS, 1), "ledger: %.*s", (int)text.n,
                                text.p ? text.p : "refused");
                        break;
                }
        }
        if (r < 0 || (r > 0 && more && r == 1))
                r = ctl_fail(c, CTL_NO, "the ledger did not answer: %s",
                        to.error[0] ? to.error : strerror(r < 0 ? -r : EPIPE));
        if (newest.lines)
                record_ring_flush(c, &newest, fn, user);
        buf_done(&line);
        client_close(&to);
        return r;
}

int records_walk(Ctl *c, const RecordQuery *q, RecordLineFn fn, void *user) {
        return offline_wanted(c) ? offline_walk(c, q, false, fn, user) : walk_online(c, q, fn, user);
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
        RecordQuery q = {.kinds = 1u << RECORD_EVENT,
                .until_ns = UINT64_MAX,
                .limit = limit ? limit : 50,
                .newest = true,
                .action = strchr(pattern, '*') ? NULL : pattern};
        EventWalk w = {pattern};
        return records_walk(c, &q, event_line, &w);
}
