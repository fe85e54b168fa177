/* SPDX-License-Identifier: Apache-2.0 */
/* guardianctl: options common to all verbs, then the table. */
#include "common/cleanup.h"
#include "common/error.h"
#include "guardian/ctl/ctl.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const CtlVerb ctl_verbs[] = {
        {"status", "[UNIT..] [--failed]", "units by stage: state, verdict, since, restarts, last end",
                verb_status},
        {"boot", "[--plot FILE.svg]", "timeline of the boot, who took how long, critical chain", verb_boot},
        {"why", "UNIT|DECISION|ACTION|INCIDENT", "the reason in words, with its evidence", verb_why},
        {"logs", "[UNIT..] [-f] [-n N] [--since T] [--grep P]", "captured output", verb_logs},
        {"start", "UNIT.. [--no-block] [--reason T]", "start units", verb_unit},
        {"stop", "UNIT.. [--force] [--no-block] [--reason T]", "stop units", verb_unit},
        {"restart", "UNIT.. [--no-block] [--reason T]", "restart units", verb_unit},
        {"reload-unit", "UNIT.. [--reason T]", "run ExecReload of units", verb_unit},
        {"kill", "UNIT.. [--signal SIG] [--reason T]", "signal the main process", verb_kill},
        {"reset", "UNIT.. [--reason T]", "clear a quarantine", verb_unit},
        {"pin", "UNIT up|down [--reason T]", "hold a unit up or down", verb_pin},
        {"unpin", "UNIT.. [--reason T]", "let a pinned unit go", verb_unit},
        {"wait", "[UNIT..] --state STATE", "return once the units (or Guardian) are in that state",
                verb_wait},
        {"propose", "ACTION TARGET [--arg K=V] [--reason T]", "ask for a healing action", verb_propose},
        {"approvals", "", "questions that wait for people", verb_approvals},
        {"approve", "ID [--note T]", "vote for an approval", verb_vote},
        {"deny", "ID [--note T]", "vote against an approval", verb_vote},
        {"mode", "[log_only|enforce_critical|enforce] [--reason T]", "show or set the mode of governance",
                verb_mode},
        {"pause", "REASON", "stop all autonomous action", verb_pause},
        {"resume", "", "end the pause", verb_pause},
        {"lockdown", "on|off [--reason T]", "deny everything but a listed few", verb_lockdown},
        {"break-glass", "--reason T --ttl DURATION", "override soft rules for a limited time",
                verb_break_glass},
        {"trust", "[COMPONENT]", "trust scores", verb_trust},
        {"policy", "bootstrap|show", "the compiled-in list; the live policy", verb_policy},
        {"events", "[-f] [--type PATTERN] [-n N]", "events of the mesh", verb_events},
        {"emit", "TYPE [--payload JSON] [--priority P] [--resource R] [--correlation-id C]",
                "publish an event", verb_emit},
        {"workflow", "list|stats", "workflows of the mesh", verb_workflow},
        {"queue", "stats", "queues of the mesh", verb_queue},
        {"dlq", "list", "dead letters", verb_dlq},
        {"incidents", "", "incidents of the immune kernel", verb_incidents},
        {"incident", "ID", "one incident as a tree", verb_incident},
        {"ledger", "head|key|query|tail|verify|export|checkpoint ..", "the tamper-evident record",
                verb_ledger},
        {"graph", "units|states [--format dot|json|mermaid]", "graphs", verb_graph},
        {"shutdown", "[--exit-code N] [--reason T]", "stop everything in order", verb_shutdown},
        {"version", "", "versions", verb_version},
};
const size_t ctl_n_verbs = ELEMENTSOF(ctl_verbs);

static void help(FILE *f) {
        fputs("usage: guardianctl [OPTIONS] VERB ..\n\n"
              "  --json             one document, or JSON lines for streams\n"
              "  --runtime DIR      where Guardian's control socket is\n"
              "  --state DIR        state directory, for verbs that work offline\n"
              "  --timeout DURATION give up after that (10s for most verbs)\n"
              "  --quiet --no-color --version --help\n\n",
                f);
        for (size_t i = 0; i < ctl_n_verbs; i++)
                fprintf(f, "  %-12s %s\n", ctl_verbs[i].name, ctl_verbs[i].help);
        fputs("\nexit status: 0 done; 1 no or failed; 3 Guardian not reachable; 4 denied; 5 waiting for "
              "approval;\n"
              "6 unknown unit or id; 64 usage\n",
                f);
}

static const char *absolute(const char *env) {
        const char *v = getenv(env);
        return v && v[0] == '/' ? v : NULL;
}

/* The same search as Guardian's own (processes.md section 8, guardian/options.c). */
static void default_dirs(Ctl *c) {
        const char *e = getenv("GUARDIAN_RUNTIME"), *x = absolute("XDG_RUNTIME_DIR"),
                   *home = absolute("HOME");
        unsigned uid = getuid();
        if (e && e[0])
                str_copy(c->runtime, sizeof(c->runtime), str_of(e));
        else if (uid == 0)
                strcpy(c->runtime, "/run/guardian");
        else if (x)
                snprintf(c->runtime, sizeof(c->runtime), "%s/guardian", x);
        else
                snprintf(c->runtime, sizeof(c->runtime), "/tmp/guardian-%u", uid);
        e = getenv("GUARDIAN_STATE");
        x = absolute("XDG_STATE_HOME");
        if (e && e[0])
                str_copy(c->state, sizeof(c->state), str_of(e));
        else if (uid == 0)
                strcpy(c->state, "/var/lib/guardian");
        else if (x)
                snprintf(c->state, sizeof(c->state), "%s/guardian", x);
        else if (home)
                snprintf(c->state, sizeof(c->state), "%s/.local/state/guardian", home);
        else
                snprintf(c->state, sizeof(c->state), "/tmp/guardian-%u/state", uid);
}

int ctl_usage(const char *verb) {
        for (size_t i = 0; i < ctl_n_verbs; i++)
                if (strcmp(ctl_verbs[i].name, verb) == 0)
                        fprintf(stderr, "usage: guardianctl %s %s\n", verb, ctl_verbs[i].usage);
        return CTL_USAGE;
}

static int dispatch(Ctl *c, int argc, char **argv) {
        const char *names[ELEMENTSOF(ctl_verbs)];
        for (size_t i = 0; i < ctl_n_verbs; i++) {
                names[i] = ctl_verbs[i].name;
                if (strcmp(argv[0], names[i]) == 0)
                        return ctl_verbs[i].fn(c, argc, argv);
        }
        const char *near = nearest_name(argv[0], names, ctl_n_verbs);
        fprintf(stderr, "guardianctl: there is no verb '%s'%s%s%s\n", argv[0], near ? "; did you mean '" : "",
                near ? near : "", near ? "'?" : " (see guardianctl --help)");
        return CTL_USAGE;
}

/* Common options may stand anywhere before "--"; they are taken out of argv. 0, CTL_USAGE, or -1: done (help,
 * version). */
static int common_options(Ctl *c, int *argc, char **argv) {
        int n = 1;
        bool raw = false;
        for (int i = 1; i < *argc; i++) {
                char *a = argv[i];
                const char *value = NULL;
                if (raw || strncmp(a, "--", 2) != 0) {
                        argv[n++] = a;
                        continue;
                }
                if (strcmp(a, "--") == 0) {
                        raw = true;
                } else if (strcmp(a, "--json") == 0) {
                        c->json = true;
                } else if (strcmp(a, "--quiet") == 0) {
                        c->quiet = true;
                } else if (strcmp(a, "--no-color") == 0) {
                        c->color = false;
                } else if (strcmp(a, "--help") == 0) {
                        help(stdout);
                        return -1;
                } else if (strcmp(a, "--version") == 0) {
                        printf("guardianctl %s\n", GUARDIAN_VERSION);
                        return -1;
                } else if (strcmp(a, "--runtime") == 0 || strcmp(a, "--state") == 0 ||
                           strcmp(a, "--timeout") == 0) {
                        /* `wait --state STATE` has a --state of its own */
                        if (strcmp(a, "--state") == 0 && n > 1 && strcmp(argv[1], "wait") == 0) {
                                argv[n++] = a;
                                continue;
                        }
                        value = i + 1 < *argc ? argv[++i] : NULL;
                        if (!value) {
                                fprintf(stderr, "guardianctl: %s takes a value\n", a);
                                return CTL_USAGE;
                        }
                        if (a[2] == 'r')
                                str_copy(c->runtime, sizeof(c->runtime), str_of(value));
                        else if (a[2] == 's') {
                                str_copy(c->state, sizeof(c->state), str_of(value));
                                c->state_given = true;
                        } else if (parse_duration_us(value, &c->timeout_us) < 0) {
                                fprintf(stderr,
                                        "guardianctl: --timeout takes a duration such as 500ms, 10s, 2min\n");
                                return CTL_USAGE;
                        } else {
                                c->timeout_set = true;
                        }
                } else {
                        argv[n++] = a;
                }
        }
        argv[n] = NULL;
        *argc = n;
        return 0;
}

int main(int argc, char **argv) {
        bool terminal = isatty(STDOUT_FILENO);
        Ctl c = {.color = terminal && !getenv("NO_COLOR"),
                .terminal = terminal,
                .timeout_us = UINT64_MAX,
                .guardian.fd = -1,
                .guardian.pending_fd = -1};
        signal(SIGPIPE, SIG_IGN);
        default_dirs(&c);
        int r = common_options(&c, &argc, argv);
        if (r != 0)
                return r < 0 ? 0 : r;
        if (argc < 2) {
                help(stderr);
                return CTL_USAGE;
        }
        r = dispatch(&c, argc - 1, argv + 1);
        if (c.open)
                client_close(&c.guardian);
        if (fflush(stdout) != 0 && r == 0)
                r = CTL_NO;
        return r;
}
