/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of governance: proposals, approvals, modes. */
#include "common/cleanup.h"
#include "common/vocab.h"
#include "guardian/ctl/args.h"
#include "guardian/ctl/show.h"
#include <string.h>

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
        ctl_asked("%s %s", operands[0], operands[1]);
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
        return ctl_document(c, &call, show_reply, UINT64_MAX);
}

int verb_approvals(Ctl *c, int argc, char **argv) {
        char *none[1];
        int n;
        const CtlOption options[] = {{.name = "--all", .flag = &show_settled_too}, {0}};
        int r = ctl_options(argc, argv, options, none, 0, &n);
        if (r != CTL_OK)
                return r;
        CtlCall call = {.verb = "approvals"};
        return ctl_document(c, &call, show_approvals, CTL_QUERY_TIMEOUT_US);
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
        return ctl_document(c, &call, show_vote, CTL_QUERY_TIMEOUT_US);
}

int verb_mode(Ctl *c, int argc, char **argv) {
        const char *reason = NULL;
        char *mode[1], store[64];
        int n;
        const CtlOption options[] = {{.name = "--reason", .value = &reason}, {0}};
        int r = ctl_options(argc, argv, options, mode, 1, &n);
        if (r != CTL_OK)
                return r;
        if (n == 1 && mode_from_string(str_of(mode[0])) <= MODE_NONE) {
                static const char *const modes[] = {"log_only", "enforce_critical", "enforce"};
                return ctl_wrong_word("mode", mode[0], modes, ELEMENTSOF(modes));
        }
        ctl_asked("mode %s", n == 1 ? mode[0] : "");
        CtlCall call = {.verb = "mode", .reason = reason, .stop_at_first = true};
        if (n == 1)
                ctl_arg(&call, store, sizeof(store), "mode", mode[0]);
        return ctl_document(
                c, &call, n == 1 ? show_reply : show_mode, n == 1 ? UINT64_MAX : CTL_QUERY_TIMEOUT_US);
}

int verb_pause(Ctl *c, int argc, char **argv) {
        bool pause = strcmp(argv[0], "pause") == 0;
        if (argc != (pause ? 2 : 1))
                return ctl_usage(argv[0]);
        ctl_asked("%s", argv[0]);
        CtlCall call = {.verb = argv[0], .reason = pause ? argv[1] : NULL};
        return ctl_document(c, &call, show_code, CTL_QUERY_TIMEOUT_US);
}

int verb_lockdown(Ctl *c, int argc, char **argv) {
        static const char *const states[] = {"on", "off"};
        const char *reason = NULL;
        char *state[1], store[64];
        int n;
        const CtlOption options[] = {{.name = "--reason", .value = &reason}, {0}};
        int r = ctl_options(argc, argv, options, state, 1, &n);
        if (r != CTL_OK)
                return r;
        if (n != 1)
                return ctl_usage("lockdown");
        if (!ctl_one_of(state[0], states, ELEMENTSOF(states)))
                return ctl_wrong_word("lockdown", state[0], states, ELEMENTSOF(states));
        ctl_asked("lockdown %s", state[0]);
        CtlCall call = {.verb = "lockdown", .reason = reason, .stop_at_first = true};
        ctl_arg(&call, store, sizeof(store), "state", state[0]);
        return ctl_document(c, &call, show_reply, UINT64_MAX);
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
        uint64_t us;
        if (parse_duration_us(ttl, &us) < 0 || us == 0 || us == UINT64_MAX)
                return ctl_fail(c, CTL_USAGE, "--ttl takes a duration such as 10min, not '%s'", ttl);
        ctl_asked("break-glass");
        CtlCall call = {.verb = "break-glass", .reason = reason};
        ctl_arg(&call, store, sizeof(store), "ttl", ttl);
        return ctl_document(c, &call, show_code, CTL_QUERY_TIMEOUT_US);
}

int verb_trust(Ctl *c, int argc, char **argv) {
        char store[200];
        if (argc > 2)
                return ctl_usage("trust");
        CtlCall call = {.verb = "trust"};
        if (argc == 2)
                ctl_arg(&call, store, sizeof(store), "component", argv[1]);
        return ctl_chunk_document(c, "governance", &call, show_trust);
}

int verb_policy(Ctl *c, int argc, char **argv) {
        if (argc == 2 && strcmp(argv[1], "bootstrap") == 0) {
                CtlCall call = {.verb = "policy-bootstrap"};
                return ctl_document(c, &call, show_pairs, CTL_QUERY_TIMEOUT_US);
        }
        if (argc == 2 && strcmp(argv[1], "show") == 0) {
                CtlCall call = {.verb = "policy"};
                return ctl_chunk_document(c, "governance", &call, show_policy);
        }
        static const char *const words[] = {"bootstrap", "show"};
        return argc == 2 ? ctl_wrong_word("policy", argv[1], words, ELEMENTSOF(words)) : ctl_usage("policy");
}
