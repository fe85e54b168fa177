/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs, and what is printed from it. */
#include "common/cleanup.h"
#include "common/error.h"
#include "guardian/ctl/ctl.h"
#include "guardian/ctl/text.h"
#include <string.h>

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
        {"approvals", "[--all]", "questions that wait for people", verb_approvals},
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
        {"emit",
                "TYPE [--payload JSON] [--priority P] [--resource R] [--correlation-id C] "
                "[--idempotency-key K]",
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

void ctl_help(FILE *f) {
        fputs("usage: guardianctl [OPTIONS] VERB ..\n\n"
              "  --json             one document, or JSON lines for streams\n"
              "  --runtime DIR      where Guardian's control socket is\n"
              "  --state DIR        state directory, for verbs that work offline\n"
              "  --timeout DURATION give up after that (10s for most verbs)\n"
              "  --quiet --no-color --version --help\n\n",
                f);
        for (size_t i = 0; i < ctl_n_verbs; i++)
                fprintf(f, "  %-12s %s\n", ctl_verbs[i].name, ctl_verbs[i].help);
        fputs("\nexit status: 0 done; 1 no or failed; 3 Guardian not reachable; 4 denied;\n"
              "5 waiting for approval; 6 unknown unit or id; 64 usage\n",
                f);
}

int ctl_dispatch(Ctl *c, int argc, char **argv) {
        const char *names[ELEMENTSOF(ctl_verbs)];
        for (size_t i = 0; i < ctl_n_verbs; i++) {
                names[i] = ctl_verbs[i].name;
                if (strcmp(argv[0], names[i]) == 0) {
                        c->verb = names[i];
                        return ctl_verbs[i].fn(c, argc, argv);
                }
        }
        const char *near = nearest_name(argv[0], names, ctl_n_verbs);
        text_errorf("guardianctl: there is no verb '%s'%s%s%s", argv[0], near ? "; did you mean '" : "",
                near ? near : "", near ? "'?" : " (see guardianctl --help)");
        return CTL_USAGE;
}
