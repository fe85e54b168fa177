/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about units and Guardian itself. */
#include "common/cleanup.h"
#include "common/signals.h"
#include "common/vocab.h"
#include "guardian/ctl/args.h"
#include "guardian/ctl/show.h"
#include <string.h>

int verb_status(Ctl *c, int argc, char **argv) {
        bool failed = false;
        char *units[64];
        int n;
        const CtlOption options[] = {{.name = "--failed", .flag = &failed}, {0}};
        int r = ctl_options(argc, argv, options, units, 64, &n);
        if (r != CTL_OK)
                return r;
        CtlCall call = {.verb = "status",
                .units = (const char *const *)units,
                .n_units = (unsigned)n,
                .show_all = true};
        show_units_named = n > 0;
        if (failed)
                call.args[call.n_args++] = "failed=1";
        return ctl_document(c, &call, show_status, CTL_QUERY_TIMEOUT_US);
}

/* One request a unit; the worst status counts. */
static int each_unit(Ctl *c, const char *verb, char **units, int n, const char *reason,
        const char *const *args, unsigned n_args) {
        int worst = CTL_OK;
        if (n == 0)
                return ctl_usage(verb);
        for (int i = 0; i < n; i++) {
                const char *unit[1] = {units[i]};
                ctl_asked("%s %s", verb, units[i]);
                CtlCall call = {
                        .verb = verb, .units = unit, .n_units = 1, .reason = reason, .stop_at_first = true};
                for (unsigned k = 0; k < n_args; k++)
                        call.args[call.n_args++] = args[k];
                int r = ctl_document(c, &call, show_reply, UINT64_MAX);
                worst = r > worst ? r : worst;
        }
        return worst;
}

int verb_unit(Ctl *c, int argc, char **argv) {
        bool no_block = false, force = false;
        const char *reason = NULL, *args[2];
        char *units[64];
        int n;
        unsigned n_args = 0;
        const CtlOption options[] = {{.name = "--no-block", .flag = &no_block},
                {.name = "--force", .flag = &force}, {.name = "--reason", .value = &reason}, {0}};
        int r = ctl_options(argc, argv, options, units, 64, &n);
        if (r != CTL_OK)
                return r;
        if (no_block)
                args[n_args++] = "no_block=1";
        if (force)
                args[n_args++] = "force=1";
        return each_unit(c, argv[0], units, n, reason, args, n_args);
}

int verb_kill(Ctl *c, int argc, char **argv) {
        const char *signal = NULL, *reason = NULL, *args[1];
        char *units[64], text[80];
        int n;
        const CtlOption options[] = {{.name = "--signal", .value = &signal}, {.name = "-s", .value = &signal},
                {.name = "--reason", .value = &reason}, {0}};
        int r = ctl_options(argc, argv, options, units, 64, &n);
        if (r != CTL_OK)
                return r;
        if (signal && signal_from_string(signal) < 0)
                return ctl_fail(c, CTL_USAGE, "there is no signal '%s' (TERM, SIGTERM, 15, RTMIN+3)", signal);
        snprintf(text, sizeof(text), "signal=%s", signal ? signal : "");
        args[0] = text;
        return each_unit(c, "kill", units, n, reason, args, signal ? 1 : 0);
}

int verb_pin(Ctl *c, int argc, char **argv) {
        static const char *const where[] = {"up", "down"};
        const char *reason = NULL, *args[1];
        char *operands[2];
        int n;
        const CtlOption options[] = {{.name = "--reason", .value = &reason}, {0}};
        int r = ctl_options(argc, argv, options, operands, 2, &n);
        if (r != CTL_OK)
                return r;
        if (n != 2)
                return ctl_usage("pin");
        if (!ctl_one_of(operands[1], where, ELEMENTSOF(where)))
                return ctl_wrong_word("pin", operands[1], where, ELEMENTSOF(where));
        args[0] = strcmp(operands[1], "up") == 0 ? "to=up" : "to=down";
        return each_unit(c, "pin", operands, 1, reason, args, 1);
}

/* Units have a state, a verdict and a health; Guardian has a state of its own. */
static const char *const own_states[] = {"booting", "running", "degraded", "stopping", "aborted"};

static bool known_state(const char *s, bool of_unit) {
        if (of_unit)
                return unit_state_from_string(str_of(s)) >= 0 || unit_verdict_from_string(str_of(s)) >= 0 ||
                       health_from_string(str_of(s)) >= 0;
        return ctl_one_of(s, own_states, ELEMENTSOF(own_states));
}

static int no_such_state(const char *state, bool of_unit) {
        const char *names[64];
        size_t n = 0, at = 0;
        char list[600] = "";
        for (int i = 0; of_unit && i < (int)_UNIT_STATE_MAX; i++)
                names[n++] = unit_state_to_string(i);
        for (int i = 0; of_unit && i < (int)_UNIT_VERDICT_MAX; i++)
                names[n++] = unit_verdict_to_string(i);
        for (int i = 0; of_unit && i < (int)_HEALTH_MAX; i++)
                names[n++] = health_to_string(i);
        for (size_t i = 0; !of_unit && i < ELEMENTSOF(own_states); i++)
                names[n++] = own_states[i];
        for (size_t i = 0; i < n && at < sizeof(list) - 40; i++)
                if (names[i][0] && !ctl_one_of(names[i], names, i))
                        at += (size_t)snprintf(
                                list + at, sizeof(list) - at, "%s%s", at ? ", " : "", names[i]);
        ctl_wrong_word("wait", state, names, n);
        return ctl_fail(NULL, CTL_USAGE, "states of %s: %s", of_unit ? "units" : "Guardian", list);
}

int verb_wait(Ctl *c, int argc, char **argv) {
        const char *state = NULL;
        char *units[32], text[64];
        int n;
        const CtlOption options[] = {{.name = "--state", .value = &state}, {0}};
        int r = ctl_options(argc, argv, options, units, 32, &n);
        if (r != CTL_OK)
                return r;
        if (!state)
                return ctl_usage("wait");
        if (!known_state(state, n > 0))
                return no_such_state(state, n > 0);
        CtlCall call = {.verb = "wait", .units = (const char *const *)units, .n_units = (unsigned)n};
        ctl_arg(&call, text, sizeof(text), "state", state);
        return ctl_document(c, &call, NULL, UINT64_MAX);
}

int verb_boot(Ctl *c, int argc, char **argv) {
        const char *plot = NULL;
        char *none[1];
        int n;
        const CtlOption options[] = {{.name = "--plot", .value = &plot}, {0}};
        int r = ctl_options(argc, argv, options, none, 0, &n);
        if (r != CTL_OK)
                return r;
        CtlCall call = {.verb = "boot"};
        show_plot_file = plot;
        return ctl_document(c, &call, plot ? show_plot : show_boot, CTL_QUERY_TIMEOUT_US);
}

int verb_graph(Ctl *c, int argc, char **argv) {
        static const char *const graphs[] = {"units", "states"}, *const formats[] = {
                                                                         "dot", "json", "mermaid"};
        const char *format = "dot";
        char *what[1], text[64];
        int n;
        const CtlOption options[] = {{.name = "--format", .value = &format}, {0}};
        int r = ctl_options(argc, argv, options, what, 1, &n);
        if (r != CTL_OK)
                return r;
        if (n != 1)
                return ctl_usage("graph");
        if (!ctl_one_of(what[0], graphs, ELEMENTSOF(graphs)))
                return ctl_wrong_word("graph", what[0], graphs, ELEMENTSOF(graphs));
        if (!ctl_one_of(format, formats, ELEMENTSOF(formats)))
                return ctl_wrong_word("graph", format, formats, ELEMENTSOF(formats));
        CtlCall call = {.verb = "graph"};
        ctl_arg(&call, text, sizeof(text), "what", what[0]);
        if (strcmp(format, "json") == 0)
                return ctl_document(c, &call, NULL, CTL_QUERY_TIMEOUT_US);
        return ctl_document(
                c, &call, strcmp(format, "mermaid") == 0 ? show_mermaid : show_dot, CTL_QUERY_TIMEOUT_US);
}

int verb_logs(Ctl *c, int argc, char **argv) {
        bool follow = false;
        const char *count = NULL, *since = NULL, *grep = NULL;
        char *units[32], store[3][300], since_text[32];
        int n;
        uint64_t lines;
        const CtlOption options[] = {{.name = "-f", .flag = &follow}, {.name = "-n", .value = &count},
                {.name = "--since", .value = &since}, {.name = "--grep", .value = &grep}, {0}};
        int r = ctl_options(argc, argv, options, units, 32, &n);
        if (r != CTL_OK)
                return r;
        if (count && parse_u64(count, &lines) < 0)
                return ctl_fail(c, CTL_USAGE, "-n takes a number of lines, not '%s'", count);
        CtlCall call = {.verb = "logs", .units = (const char *const *)units, .n_units = (unsigned)n};
        ctl_arg(&call, store[0], sizeof(store[0]), "n", count);
        ctl_arg(&call, store[1], sizeof(store[1]), "grep", grep);
        if (since) {
                uint64_t ns;
                if (ctl_since(since, &ns) < 0)
                        return ctl_fail(c, CTL_USAGE,
                                "--since takes a time (2026-11-21T03:00:00Z) or a duration back from now "
                                "(10min)");
                snprintf(since_text, sizeof(since_text), "%llu", (unsigned long long)ns);
                ctl_arg(&call, store[2], sizeof(store[2]), "since_ns", since_text);
        }
        call.stream = true;
        if (follow)
                call.args[call.n_args++] = "follow=1";
        return ctl_document(c, &call, show_log_line, follow ? UINT64_MAX : CTL_QUERY_TIMEOUT_US);
}

int verb_version(Ctl *c, int argc, char **argv) {
        (void)argv;
        if (argc > 1)
                return ctl_usage("version");
        CtlCall call = {.verb = "version"};
        if (!c->json)
                printf("guardianctl %s\n", GUARDIAN_VERSION);
        return ctl_document(c, &call, show_version, CTL_QUERY_TIMEOUT_US);
}

int verb_shutdown(Ctl *c, int argc, char **argv) {
        const char *code = NULL, *reason = NULL;
        char *none[1], text[64];
        int n;
        uint64_t v;
        const CtlOption options[] = {
                {.name = "--exit-code", .value = &code}, {.name = "--reason", .value = &reason}, {0}};
        int r = ctl_options(argc, argv, options, none, 0, &n);
        if (r != CTL_OK)
                return r;
        if (code && (parse_u64(code, &v) < 0 || v > 255))
                return ctl_fail(c, CTL_USAGE, "--exit-code takes 0 to 255");
        ctl_asked("shutdown");
        CtlCall call = {.verb = "shutdown", .reason = reason, .stop_at_first = true};
        ctl_arg(&call, text, sizeof(text), "exit_code", code);
        return ctl_document(c, &call, show_reply, UINT64_MAX);
}
