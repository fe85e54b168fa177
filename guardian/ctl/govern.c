/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of governance: proposals, approvals, modes. */
#include "guardian/ctl/args.h"
#include "guardian/ctl/show.h"
#include <string.h>

static const uint64_t QUERY_TIMEOUT_US = 10 * 1000000ull;

static void print(Ctl *c, Str body, const char *code, bool more, void *user) {
        void (*const *show)(Ctl *, Str) = user;
        (void)code;
        (void)more;
        if (!body.n)
                return;
        if (c->json || !*show)
                ctl_print_body(c, body);
        else
                (*show)(c, body);
}

static int document(Ctl *c, CtlCall *call, void (*show)(Ctl *, Str), uint64_t timeout_us) {
        int r = ctl_open(c, timeout_us);
        if (r != CTL_OK)
                return r;
        call->on = print;
        call->user = &show;
        return ctl_call(c, &c->guardian, call);
}

int verb_propose(Ctl *c, int argc, char **argv) {
        const char *reason = NULL, *list[16];
        int n_list = 0, n;
        char *operands[2], store[128];
        const CtlOption options[] = {{.name = "--reason", .value = &reason},
                {.name = "--arg", .list = list, .n_list = &n_list, .max_list = 16}, {0}};
        int r = ctl_options(argc, argv, options, operands, 2, &n);
        if (r != CTL_OK)
                return r;
        if (n != 2)
                return ctl_usage("propose");
        const char *unit[1] = {operands[1]};
        /* the answer that it waits for a person is an answer */
        CtlCall call = {
                .verb = "propose", .units = unit, .n_units = 1, .reason = reason, .stop_at_first = true};
        ctl_arg(&call, store, sizeof(store), "action", operands[0]);
        for (int i = 0; i < n_list; i++) {
                if (!strchr(list[i], '='))
                        return ctl_fail(c, CTL_USAGE, "--arg takes KEY=VALUE, not '%s'", list[i]);
                call.args[call.n_args++] = list[i];
        }
        return document(c, &call, show_reply, UINT64_MAX);
}

int verb_approvals(Ctl *c, int argc, char **argv) {
        (void)argv;
        if (argc > 1)
                return ctl_usage("approvals");
        CtlCall call = {.verb = "approvals"};
        return document(c, &call, show_approvals, QUERY_TIMEOUT_US);
}

int verb_vote(Ctl *c, int argc, char **argv) {
        const char *note = NULL;
        char *id[1], store[2][600];
        int n;
        const CtlOption options[] = {{.name = "--note", .value = &note}, {0}};
        int r = ctl_options(argc, argv, options, id, 1, &n);
        if (r != CTL_OK)
                return r;
        if (n != 1)
                return ctl_usage(argv[0]);
        CtlCall call = {.verb = argv[0]};
        ctl_arg(&call, store[0], sizeof(store[0]), "id", id[0]);
        ctl_arg(&call, store[1], sizeof(store[1]), "note", note);
        return document(c, &call, show_vote, QUERY_TIMEOUT_US);
}

int verb_mode(Ctl *c, int argc, char **argv) {
        const char *reason = NULL;
        char *mode[1], store[64];
        int n;
        const CtlOption options[] = {{.name = "--reason", .value = &reason}, {0}};
        int r = ctl_options(argc, argv, options, mode, 1, &n);
        if (r != CTL_OK)
                return r;
        CtlCall call = {.verb = "mode", .reason = reason, .stop_at_first = true};
        if (n == 1)
                ctl_arg(&call, store, sizeof(store), "mode", mode[0]);
        return document(c, &call, n == 1 ? show_reply : show_pairs, n == 1 ? UINT64_MAX : QUERY_TIMEOUT_US);
}

int verb_pause(Ctl *c, int argc, char **argv) {
        bool pause = strcmp(argv[0], "pause") == 0;
        if (argc != (pause ? 2 : 1))
                return ctl_usage(argv[0]);
        CtlCall call = {.verb = argv[0], .reason = pause ? argv[1] : NULL};
        return document(c, &call, show_pairs, QUERY_TIMEOUT_US);
}

int verb_lockdown(Ctl *c, int argc, char **argv) {
        const char *reason = NULL;
        char *state[1], store[64];
        int n;
        const CtlOption options[] = {{.name = "--reason", .value = &reason}, {0}};
        int r = ctl_options(argc, argv, options, state, 1, &n);
        if (r != CTL_OK)
                return r;
        if (n != 1 || (strcmp(state[0], "on") != 0 && strcmp(state[0], "off") != 0))
                return ctl_usage("lockdown");
        CtlCall call = {.verb = "lockdown", .reason = reason, .stop_at_first = true};
        ctl_arg(&call, store, sizeof(store), "state", state[0]);
        return document(c, &call, show_reply, UINT64_MAX);
}

int verb_break_glass(Ctl *c, int argc, char **argv) {
        const char *reason = NULL, *ttl = NULL;
        char *none[1], store[64];
        int n;
        const CtlOption options[] = {
                {.name = "--reason", .value = &reason}, {.name = "--ttl", .value = &ttl}, {0}};
        int r = ctl_options(argc, argv, options, none, 0, &n);
        if (r != CTL_OK)
                return r;
        if (!reason || !ttl)
                return ctl_usage("break-glass");
        CtlCall call = {.verb = "break-glass", .reason = reason};
        ctl_arg(&call, store, sizeof(store), "ttl", ttl);
        return document(c, &call, show_pairs, QUERY_TIMEOUT_US);
}

/* One CALL on a chunk's stream. */
int ctl_chunk_document(Ctl *c, const char *unit, CtlCall *call, void (*show)(Ctl *, Str)) {
        Client to;
        int r = ctl_chunk(c, unit, &to);
        if (r != CTL_OK)
                return r;
        call->on = print;
        call->user = &show;
        r = ctl_call(c, &to, call);
        client_close(&to);
        return r;
}

int verb_trust(Ctl *c, int argc, char **argv) {
        char store[200];
        if (argc > 2)
                return ctl_usage("trust");
        CtlCall call = {.verb = "trust"};
        if (argc == 2)
                ctl_arg(&call, store, sizeof(store), "component", argv[1]);
        return ctl_chunk_document(c, "governance", &call, show_pairs);
}

int verb_policy(Ctl *c, int argc, char **argv) {
        if (argc == 2 && strcmp(argv[1], "bootstrap") == 0) {
                CtlCall call = {.verb = "policy-bootstrap"};
                return document(c, &call, show_pairs, QUERY_TIMEOUT_US);
        }
        if (argc == 2 && strcmp(argv[1], "show") == 0) {
                CtlCall call = {.verb = "policy"};
                return ctl_chunk_document(c, "governance", &call, show_pairs);
        }
        return ctl_usage("policy");
}
