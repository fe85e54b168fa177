/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"
#include "common/json-writer.h"
#include "guardian/ctl/ctl.h"
#include "guardian/ctl/text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { DOCUMENT_MAX = 64 * 1024 * 1024 }; /* of several frames */

int ctl_fail(const Ctl *c, int status, const char *fmt, ...) {
        char text[2048];
        (void)c;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        text_errorf("guardianctl: %s", text);
        return status;
}

bool ctl_try_open(Ctl *c, uint64_t timeout_us) {
        if (c->timeout_set)
                timeout_us = c->timeout_us;
        if (!c->open)
                c->open = client_open(&c->guardian, c->runtime, timeout_us) == 0;
        else
                c->guardian.deadline_us =
                        timeout_us == UINT64_MAX ? UINT64_MAX : clock_boot_us() + timeout_us;
        return c->open;
}

int ctl_open(Ctl *c, uint64_t timeout_us) {
        if (ctl_try_open(c, timeout_us))
                return CTL_OK;
        return ctl_fail(c, CTL_UNREACHABLE, "%s (--runtime DIR names another place)", c->guardian.error);
}

void ctl_arg(CtlCall *call, char *store, size_t cap, const char *key, const char *value) {
        if (!value || call->n_args >= sizeof(call->args) / sizeof(call->args[0]))
                return;
        snprintf(store, cap, "%s=%s", key, value);
        call->args[call->n_args++] = store;
}

static int lost(Ctl *c, const Client *to, int r) {
        if (r == -ETIMEDOUT)
                return ctl_fail(c, CTL_NO,
                        "%s: no answer in time (--timeout DURATION waits longer; guardianctl status)",
                        c->verb);
        if (r == 1 || r == -ECONNRESET || r == -EPIPE)
                return ctl_fail(c, CTL_UNREACHABLE,
                        "%s: the connection ended before the answer (guardianctl status tells whether "
                        "Guardian still runs)",
                        c->verb);
        return ctl_fail(c, CTL_NO, "%s", to->error[0] ? to->error : strerror(r < 0 ? -r : EIO));
}

static int send_call(Client *to, uint64_t req, const CtlCall *call) {
        MsgBuilder b;
        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_cstr(&b, TAG_VERB, call->verb);
        for (unsigned i = 0; i < call->n_units; i++)
                msg_put_cstr(&b, TAG_UNIT, call->units[i]);
        for (unsigned i = 0; i < call->n_args; i++)
                msg_put_cstr(&b, TAG_ARG, call->args[i]);
        msg_put_cstr(&b, TAG_REASON, call->reason);
        return client_send(to, &b, (Str){NULL, 0});
}

static int answers(Ctl *c, Client *to, const CtlCall *call, uint64_t req, Buf *parts) {
        for (;;) {
                Msg m;
                int r = client_read(to, &m);
                if (r != 0)
                        return lost(c, to, r);
                uint64_t answered = msg_u64(&m, TAG_REQ, 0);
                if (m.type != MSG_RESULT || (answered != req && answered != 0)) /* 0: about the connection */
                        continue;
                char code[65];
                CtlAnswer a = {.body = m.payload,
                        .message = msg_str(&m, TAG_MESSAGE),
                        .code = str_copy(code, sizeof(code), msg_str(&m, TAG_CODE)),
                        .status = (int)msg_u64(&m, TAG_STATUS, 1),
                        .more = msg_bool(&m, TAG_MORE, false)};
                bool part = a.more && strcmp(code, "part") == 0;
                if (part || parts->len) { /* one document in several frames */
                        r = buf_append(parts, a.body.p, a.body.n);
                        if (r < 0)
                                return ctl_fail(c, CTL_NO, "the answer is too long: %s", strerror(-r));
                        if (part)
                                continue;
                        a.body = (Str){(char *)parts->data, parts->len};
                }
                if (call->on)
                        call->on(c, &a, call->user);
                if (a.more && !call->stop_at_first)
                        continue;
                if (a.status != 0 && a.status != CTL_WAITING && !call->silent)
                        ctl_refused(call, &a);
                return a.status;
        }
}

int ctl_call(Ctl *c, Client *to, const CtlCall *call) {
        Buf parts = BUF_INIT(DOCUMENT_MAX);
        uint64_t req = ++to->next_req;
        int r = send_call(to, req, call);
        if (r == -EMSGSIZE || r == -EBADMSG)
                return ctl_fail(c, CTL_USAGE, "an argument is too long");
        r = r < 0 ? lost(c, to, r) : answers(c, to, call, req, &parts);
        buf_done(&parts);
        return r;
}

int ctl_chunk_silent(Ctl *c, const char *unit, Client *ret) {
        int status = CTL_NO;
        if (!ctl_try_open(c, CTL_QUERY_TIMEOUT_US))
                return CTL_UNREACHABLE;
        return client_connect_chunk(&c->guardian, unit, ret, &status) == 0 ? CTL_OK : status;
}

int ctl_chunk(Ctl *c, const char *unit, Client *ret) {
        int status = CTL_NO;
        int r = ctl_open(c, CTL_QUERY_TIMEOUT_US);
        if (r != CTL_OK)
                return r;
        r = client_connect_chunk(&c->guardian, unit, ret, &status);
        if (r == 0)
                return CTL_OK;
        return r > 0 ? ctl_fail(c, status, "%s: %s", c->verb, c->guardian.error) : lost(c, &c->guardian, r);
}

void ctl_print_body(Ctl *c, Str body) {
        (void)c;
        if (body.n) {
                fwrite(body.p, 1, body.n, stdout);
                fputc('\n', stdout);
        }
}

typedef struct Printer {
        void (*show)(Ctl *c, Str body);
        const CtlCall *call;
        bool printed;
} Printer;

/* An answer without a document still is one: its code, and why. */
static void print_code(Ctl *c, const CtlAnswer *a) {
        Buf out = BUF_INIT(8192);
        JsonWriter w;
        json_init(&w, &out, false);
        json_object_begin(&w);
        json_kv_str(&w, "code", a->code);
        json_key(&w, "reason");
        if (a->message.n)
                json_str(&w, a->message);
        else
                json_null(&w);
        json_object_end(&w);
        if (json_finish(&w) == 0)
                ctl_print_body(c, (Str){(char *)out.data, out.len});
        buf_done(&out);
}

static void print_document(Ctl *c, const CtlAnswer *a, void *user) {
        Printer *p = user;
        bool good = a->status == 0 || a->status == CTL_WAITING;
        if (c->json && a->body.n)
                ctl_print_body(c, a->body);
        else if (c->json && !p->printed && !a->more && !p->call->stream)
                print_code(c, a);
        else if (!c->json && a->body.n && p->show && (good || p->call->show_all))
                p->show(c, a->body);
        else if (!c->json && !c->quiet && !a->body.n && good && a->message.n)
                printf("%s: %.*s\n", p->call->verb, (int)a->message.n, a->message.p);
        p->printed = true;
}

int ctl_document(Ctl *c, CtlCall *call, void (*show)(Ctl *, Str), uint64_t timeout_us) {
        Printer p = {.show = show, .call = call};
        int r = ctl_open(c, timeout_us);
        if (r != CTL_OK)
                return r;
        call->on = print_document;
        call->user = &p;
        r = ctl_call(c, &c->guardian, call);
        return r == CTL_OK ? c->shown : r;
}

int ctl_chunk_document(Ctl *c, const char *unit, CtlCall *call, void (*show)(Ctl *, Str)) {
        Printer p = {.show = show, .call = call};
        Client to;
        int r = ctl_chunk(c, unit, &to);
        if (r != CTL_OK)
                return r;
        call->on = print_document;
        call->user = &p;
        r = ctl_call(c, &to, call);
        client_close(&to);
        return r == CTL_OK ? c->shown : r;
}
