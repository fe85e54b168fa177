/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"
#include "guardian/ctl/ctl.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int ctl_fail(const Ctl *c, int status, const char *fmt, ...) {
        (void)c;
        va_list ap;
        fputs("guardianctl: ", stderr);
        va_start(ap, fmt);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        fputc('\n', stderr);
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
                return ctl_fail(c, CTL_NO, "no answer in time (--timeout DURATION)");
        if (r == 1 || r == -ECONNRESET || r == -EPIPE)
                return ctl_fail(c, CTL_UNREACHABLE, "the connection ended before the answer");
        return ctl_fail(c, CTL_NO, "%s", to->error[0] ? to->error : strerror(r < 0 ? -r : EIO));
}

int ctl_call(Ctl *c, Client *to, const CtlCall *call) {
        MsgBuilder b;
        uint64_t req = ++to->next_req;
        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_cstr(&b, TAG_VERB, call->verb);
        for (unsigned i = 0; i < call->n_units; i++)
                msg_put_cstr(&b, TAG_UNIT, call->units[i]);
        for (unsigned i = 0; i < call->n_args; i++)
                msg_put_cstr(&b, TAG_ARG, call->args[i]);
        msg_put_cstr(&b, TAG_REASON, call->reason);
        int r = client_send(to, &b, (Str){NULL, 0});
        if (r == -EMSGSIZE || r == -EBADMSG)
                return ctl_fail(c, CTL_USAGE, "an argument is too long");
        if (r < 0)
                return lost(c, to, r);
        for (;;) {
                Msg m;
                r = client_read(to, &m);
                if (r != 0)
                        return lost(c, to, r);
                if (m.type != MSG_RESULT || msg_u64(&m, TAG_REQ, 0) != req)
                        continue;
                char code[65];
                Str text = msg_str(&m, TAG_MESSAGE);
                int status = (int)msg_u64(&m, TAG_STATUS, 1);
                bool more = msg_bool(&m, TAG_MORE, false);
                str_copy(code, sizeof(code), msg_str(&m, TAG_CODE));
                if (call->on)
                        call->on(c, m.payload, code, more, call->user);
                if (!more && status != 0 && !c->quiet)
                        fprintf(stderr, "guardianctl: %s: %s%s%.*s\n", call->verb, code, text.n ? ": " : "",
                                (int)text.n, text.p ? text.p : "");
                if (!more || call->stop_at_first)
                        return status;
        }
}

int ctl_chunk(Ctl *c, const char *unit, Client *ret) {
        int status = CTL_NO;
        int r = ctl_open(c, 10 * 1000000ull);
        if (r != CTL_OK)
                return r;
        r = client_connect_chunk(&c->guardian, unit, ret, &status);
        if (r == 0)
                return CTL_OK;
        return r > 0 ? ctl_fail(c, status, "%s", c->guardian.error) : lost(c, &c->guardian, r);
}

void ctl_print_body(Ctl *c, Str body) {
        (void)c;
        if (body.n) {
                fwrite(body.p, 1, body.n, stdout);
                fputc('\n', stdout);
        }
}
