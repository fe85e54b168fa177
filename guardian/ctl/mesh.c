/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of the mesh: events, emit, workflows, queues. guardianctl talks to the mesh itself, over a stream
 * that Guardian made. */
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/gme.h"
#include "common/json-writer.h"
#include "common/json/json-read.h"
#include "guardian/ctl/args.h"
#include "guardian/ctl/records.h"
#include "guardian/ctl/show.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int bad_stream(Ctl *c, const Client *to, int r) {
        return ctl_fail(c, r == -ETIMEDOUT ? CTL_NO : CTL_UNREACHABLE, "%s",
                r > 0 ? "the mesh ended the connection" : (to->error[0] ? to->error : strerror(-r)));
}

/* Waits for the RESULT of `req`, or of 0: about the connection. */
static int await(Ctl *c, Client *to, uint64_t req, Msg *m) {
        for (;;) {
                int r = client_read(to, m);
                if (r != 0)
                        return bad_stream(c, to, r);
                if (m->type == MSG_RESULT && (msg_u64(m, TAG_REQ, 0) == req || msg_u64(m, TAG_REQ, 0) == 0))
                        return CTL_OK;
        }
}

/* What the mesh answered. Exit status. */
static int emitted(Ctl *c, const Msg *m) {
        Str code = msg_str(m, TAG_CODE), text = msg_str(m, TAG_MESSAGE);
        int status = (int)msg_u64(m, TAG_STATUS, 1);
        Buf out = BUF_INIT(8192);
        JsonWriter w;
        json_init(&w, &out, false);
        json_object_begin(&w);
        json_key(&w, "code");
        json_str(&w, code);
        json_key(&w, "index");
        if (status == 0 && msg_has(m, TAG_INDEX))
                json_u64(&w, msg_u64(m, TAG_INDEX, 0));
        else
                json_null(&w);
        json_key(&w, "reason");
        if (text.n)
                json_str(&w, text);
        else
                json_null(&w);
        json_object_end(&w);
        if (c->json && json_finish(&w) == 0)
                ctl_print_body(c, (Str){(char *)out.data, out.len});
        else if (status == 0 && !c->quiet)
                printf("durable as record %llu\n", (unsigned long long)msg_u64(m, TAG_INDEX, 0));
        buf_done(&out);
        if (status != 0)
                ctl_fail(c, status, "emit: %.*s: %.*s", (int)code.n, code.p, (int)text.n,
                        text.p ? text.p : "");
        return status;
}

int verb_emit(Ctl *c, int argc, char **argv) {
        const char *payload = "{}", *priority = NULL, *resource = NULL, *correlation = NULL, *key = NULL;
        char *type[1];
        int n;
        const CtlOption options[] = {{.name = "--payload", .value = &payload},
                {.name = "--priority", .value = &priority}, {.name = "--resource", .value = &resource},
                {.name = "--correlation-id", .value = &correlation},
                {.name = "--idempotency-key", .value = &key}, {0}};
        int r = ctl_options(argc, argv, options, type, 1, &n);
        if (r != CTL_OK)
                return r;
        if (n != 1)
                return ctl_usage("emit");
        json_t *doc = NULL;
        char why[160];
        if (json_read(str_of(payload), 0, &doc, why, sizeof(why)) < 0)
                return ctl_fail(c, CTL_USAGE, "--payload is not JSON: %s", why);
        json_decref(doc);
        Client to;
        r = ctl_chunk(c, "mesh", &to);
        if (r != CTL_OK)
                return r;
        MsgBuilder b;
        Msg m;
        msg_begin(&b, MSG_PUBLISH);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_TYPE, type[0]);
        msg_put_cstr(&b, TAG_PRIORITY, priority);
        msg_put_cstr(&b, TAG_RESOURCE, resource);
        msg_put_cstr(&b, TAG_CORRELATION_ID, correlation);
        msg_put_cstr(&b, TAG_IDEMPOTENCY_KEY, key);
        gme_fill(&b, clock_wall_ns());
        r = client_send(&to, &b, str_of(payload));
        if (r == -EMSGSIZE || r == -EBADMSG)
                r = ctl_fail(c, CTL_USAGE, "the event does not fit: a field or the payload is too long");
        else if (r < 0)
                r = bad_stream(c, &to, r);
        else
                r = await(c, &to, 1, &m);
        if (r == CTL_OK)
                r = emitted(c, &m);
        client_close(&to);
        return r;
}

static void print_event(Ctl *c, const Msg *m) {
        Buf b = BUF_INIT(2 * FRAME_MAX);
        JsonWriter w;
        json_init(&w, &b, false);
        gme_to_json(m, &w);
        if (json_finish(&w) == 0) {
                Str s = {(char *)b.data, b.len};
                if (c->json)
                        ctl_print_body(c, s);
                else
                        show_event(c, s);
                fflush(stdout);
        }
        buf_done(&b);
}

static int follow_events(Ctl *c, const char *pattern) {
        Client to;
        MsgBuilder b;
        Msg m;
        int r = ctl_chunk(c, "mesh", &to);
        if (r != CTL_OK)
                return r;
        to.deadline_us = c->timeout_set ? clock_boot_us() + c->timeout_us : UINT64_MAX;
        msg_begin(&b, MSG_SUBSCRIBE);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_PATTERN, pattern);
        r = client_send(&to, &b, (Str){NULL, 0});
        while (r == 0) {
                r = client_read(&to, &m);
                if (r != 0)
                        break;
                if (m.type == MSG_RESULT && msg_u64(&m, TAG_STATUS, 0) != 0) {
                        Str text = msg_str(&m, TAG_MESSAGE);
                        r = ctl_fail(c, (int)msg_u64(&m, TAG_STATUS, 1), "events: %.*s", (int)text.n,
                                text.p ? text.p : "refused");
                        client_close(&to);
                        return r;
                }
                if (m.type == MSG_RESULT && !c->quiet)
                        fprintf(stderr, "following %s\n", pattern);
                if (m.type == MSG_EVENT)
                        print_event(c, &m);
        }
        r = r == -ETIMEDOUT && c->timeout_set ? CTL_OK : bad_stream(c, &to, r);
        client_close(&to);
        return r;
}

int verb_events(Ctl *c, int argc, char **argv) {
        bool follow = false;
        const char *pattern = "**", *count = NULL;
        char *none[1];
        int n;
        uint64_t limit = 50;
        const CtlOption options[] = {{.name = "-f", .flag = &follow}, {.name = "--type", .value = &pattern},
                {.name = "-n", .value = &count}, {0}};
        int r = ctl_options(argc, argv, options, none, 0, &n);
        if (r != CTL_OK)
                return r;
        if (strcmp(pattern, "**") != 0 && pattern_check(pattern) < 0)
                return ctl_fail(c, CTL_USAGE,
                        "'%s' is no pattern: dotted lower case, * for one segment, ** at the end", pattern);
        if (count && (parse_u64(count, &limit) < 0 || limit == 0 || limit > RECORDS_MAX))
                return ctl_fail(c, CTL_USAGE, "-n takes a number from 1 to %u", RECORDS_MAX);
        return follow ? follow_events(c, pattern) : records_events(c, pattern, limit);
}

int verb_workflow(Ctl *c, int argc, char **argv) {
        static const char *const words[] = {"list", "stats"};
        if (argc != 2)
                return ctl_usage("workflow");
        if (!ctl_one_of(argv[1], words, ELEMENTSOF(words)))
                return ctl_wrong_word("workflow", argv[1], words, ELEMENTSOF(words));
        bool list = strcmp(argv[1], "list") == 0;
        CtlCall call = {.verb = list ? "workflows" : "workflow-stats"};
        return ctl_chunk_document(c, "mesh", &call, list ? show_workflows : show_pairs);
}

int verb_queue(Ctl *c, int argc, char **argv) {
        static const char *const words[] = {"stats"};
        if (argc != 2)
                return ctl_usage("queue");
        if (!ctl_one_of(argv[1], words, ELEMENTSOF(words)))
                return ctl_wrong_word("queue", argv[1], words, ELEMENTSOF(words));
        CtlCall call = {.verb = "queue-stats"};
        return ctl_chunk_document(c, "mesh", &call, show_queues);
}

int verb_dlq(Ctl *c, int argc, char **argv) {
        static const char *const words[] = {"list"};
        if (argc != 2)
                return ctl_usage("dlq");
        if (!ctl_one_of(argv[1], words, ELEMENTSOF(words)))
                return ctl_wrong_word("dlq", argv[1], words, ELEMENTSOF(words));
        CtlCall call = {.verb = "dlq"};
        return ctl_chunk_document(c, "mesh", &call, show_dlq);
}
