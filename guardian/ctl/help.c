/* SPDX-License-Identifier: Apache-2.0 */
/* What a verb's words mean: its usage, its options a line each, and what was meant by a wrong word. */
#include "common/cleanup.h"
#include "common/error.h"
#include "guardian/ctl/args.h"
#include "guardian/ctl/text.h"
#include <string.h>

/* Verbs that take a subcommand: each has options of its own. */
static const CtlVerb subcommands[] = {
        {"ledger query",
                "[--kind K].. [--writer W] [--actor A] [--action A] [--resource R] [--correlation-id C] "
                "[--request-id ID] [--since T] [--until T] [--limit N]",
                "records, oldest first", NULL},
        {"ledger tail", "[-n N] [the filters of `ledger query`]", "the newest records", NULL},
        {"ledger head", "", "size, root and signed note", NULL},
        {"ledger key", "", "the verifier key, to keep elsewhere", NULL},
        {"ledger checkpoint", "", "signs a checkpoint now", NULL},
        {"ledger verify", "[--pub KEY] [--at-least NOTE]",
                "chain, tree, signatures and links, from the files", NULL},
        {"ledger export", "[--from N] [--limit N]", "records as JSON lines, with what was hashed", NULL},
        {"graph units", "[--format dot|json|mermaid]", "dependencies of the units", NULL},
        {"graph states", "[--format dot|json|mermaid]", "the unit state machine", NULL},
};

/* verbs: names, each between commas */
static const struct {
        const char *verbs, *option, *text;
} lines[] = {
        {",status,", "--failed", "only units that failed, try again or were skipped"},
        {",boot,", "--plot FILE.svg", "draw the timeline into that file"},
        {",logs,events,", "-f", "go on with what comes"},
        {",logs,", "-n N", "the newest N lines (100)"},
        {",events,", "-n N", "the newest N events (50)"},
        {",events,", "--type PATTERN", "* is one segment, ** at the end all that follow"},
        {",logs,ledger query,ledger tail,", "--since T", "not before; RFC 3339, or 10min back from now"},
        {",logs,", "--grep TEXT", "only lines that hold the text"},
        {",kill,", "--signal SIG", "TERM, SIGTERM, 15, RTMIN+3; else what the unit says"},
        {",stop,", "--force", "also when others need the unit"},
        {",start,stop,restart,", "--no-block", "return once it is asked for"},
        {",wait,", "--state STATE", "of units: state, verdict, health; else Guardian's state"},
        {",propose,", "--arg K=V", "an argument of the action; may be repeated"},
        {",approve,deny,", "--note TEXT", "goes on record with the vote"},
        {",approvals,", "--all", "also those that are answered, expired or void"},
        {",break-glass,", "--ttl DURATION", "for how long, such as 10min"},
        {",emit,", "--payload JSON", "the event's content ({})"},
        {",emit,", "--priority P", "P0 (first) to P3"},
        {",emit,", "--resource R", "what it is about, such as a unit"},
        {",emit,", "--correlation-id C", "the story that it belongs to"},
        {",emit,", "--idempotency-key K", "the same key again publishes nothing"},
        {",graph,graph units,graph states,", "--format F", "dot (the default), json or mermaid"},
        {",shutdown,", "--exit-code N", "Guardian's own status, 0 to 255 (0)"},
        {",ledger tail,", "-n N", "so many (20)"},
        {",ledger query,ledger tail,", "--kind K",
                "decision, intent, action, event, unit ..; may be repeated"},
        {",ledger query,ledger tail,", "--writer W", "the unit that wrote it"},
        {",ledger query,ledger tail,", "--actor A", "who asked, such as uid:1000"},
        {",ledger query,ledger tail,", "--action A", "what was asked for or done"},
        {",ledger query,ledger tail,", "--resource R", "what it is about, such as a unit"},
        {",ledger query,ledger tail,", "--correlation-id C", "all of one story"},
        {",ledger query,ledger tail,", "--request-id ID", "all of one request; 32 hex digits"},
        {",ledger query,ledger tail,", "--until T", "not after"},
        {",ledger query,ledger tail,ledger export,", "--limit N", "at most so many"},
        {",ledger export,", "--from N", "from that index on"},
        {",ledger verify,", "--pub KEY", "what `ledger key` printed, as a file; or its hex digits"},
        {",ledger verify,", "--at-least NOTE", "a file with a note that was kept: less than it is broken"},
        {",start,stop,restart,reload-unit,kill,reset,pin,unpin,propose,mode,lockdown,break-glass,shutdown,",
                "--reason TEXT", "goes on record"},
};

static bool takes(const char *verbs, const char *verb) {
        char word[64];
        snprintf(word, sizeof(word), ",%s,", verb);
        return strstr(verbs, word) != NULL;
}

static const CtlVerb *find(const char *verb) {
        for (size_t i = 0; i < ctl_n_verbs; i++)
                if (strcmp(ctl_verbs[i].name, verb) == 0)
                        return &ctl_verbs[i];
        for (size_t i = 0; i < ELEMENTSOF(subcommands); i++)
                if (strcmp(subcommands[i].name, verb) == 0)
                        return &subcommands[i];
        return NULL;
}

/* Options, then the subcommands, a line each. */
static void details(FILE *f, const char *verb) {
        size_t n = strlen(verb);
        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                if (takes(lines[i].verbs, verb))
                        fprintf(f, "  %-20s %s\n", lines[i].option, lines[i].text);
        for (size_t i = 0; i < ELEMENTSOF(subcommands); i++)
                if (strncmp(subcommands[i].name, verb, n) == 0 && subcommands[i].name[n] == ' ')
                        fprintf(f, "  %-20s %s\n", subcommands[i].name, subcommands[i].help);
}

bool ctl_verb_help(const char *verb, const char *sub) {
        char two[64];
        snprintf(two, sizeof(two), "%s %s", verb, sub ? sub : "");
        const CtlVerb *v = sub ? find(two) : NULL;
        if (!v)
                v = find(verb);
        if (!v)
                return false;
        printf("usage: guardianctl %s %s\n\n%s. See guardianctl(1).\n", v->name, v->usage, v->help);
        details(stdout, v->name);
        return true;
}

int ctl_usage(const char *verb) {
        const CtlVerb *v = find(verb);
        if (v) {
                text_errorf("usage: guardianctl %s %s", verb, v->usage);
                details(stderr, verb);
        }
        return CTL_USAGE;
}

int ctl_wrong_word(const char *verb, const char *word, const char *const *words, size_t n) {
        const char *near = nearest_name(word, words, n);
        text_errorf("guardianctl: %s: there is no '%s'%s%s%s", verb, word, near ? "; did you mean '" : "",
                near ? near : "", near ? "'?" : "");
        return ctl_usage(verb);
}

bool ctl_one_of(const char *word, const char *const *words, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(words[i], word) == 0)
                        return true;
        return false;
}
