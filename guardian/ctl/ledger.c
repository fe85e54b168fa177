/* SPDX-License-Identifier: Apache-2.0 */
/* `guardianctl ledger ..` */
#include "common/cleanup.h"
#include "common/error.h"
#include "common/vocab.h"
#include "guardian/ctl/args.h"
#include "guardian/ctl/offline.h"
#include "guardian/ctl/show.h"
#include <string.h>

static int print_line(Ctl *c, Str line, void *user) {
        (void)user;
        if (c->json)
                ctl_print_body(c, line);
        else
                show_record(c, line);
        return 0;
}

static int time_option(Ctl *c, const char *name, const char *text, uint64_t *ns) {
        if (text && ctl_since(text, ns) < 0)
                return ctl_fail(c, CTL_USAGE,
                        "%s takes a time (2026-11-21T03:00:00Z) or a duration back from now (10min)", name);
        return CTL_OK;
}

/* None at all is no answer that anybody asks for; it is a slip. */
static int count_option(Ctl *c, const char *name, const char *text, uint64_t *n) {
        if (text && (parse_u64(text, n) < 0 || *n == 0))
                return ctl_fail(c, CTL_USAGE, "%s takes a number of records from 1, not '%s'", name, text);
        return CTL_OK;
}

static int no_kind(const Ctl *c, const char *kind) {
        const char *names[_RECORD_MAX];
        char hint[300];
        size_t n = 0;
        for (int i = RECORD_NONE + 1; i < (int)_RECORD_MAX; i++)
                names[n++] = record_kind_to_string(i);
        return ctl_fail(c, CTL_USAGE, "there is no kind of record '%s'; %s", kind,
                names_hint(kind, names, n, hint, sizeof(hint)));
}

static int ledger_query(Ctl *c, int argc, char **argv, bool tail) {
        const char *kinds[16], *since = NULL, *until = NULL, *limit = NULL, *count = NULL, *request = NULL;
        int n_kinds = 0, n;
        char *none[1];
        uint8_t id[16];
        RecordQuery q = {.until_ns = UINT64_MAX};
        const CtlOption options[] = {{.name = "--kind", .list = kinds, .n_list = &n_kinds, .max_list = 16},
                {.name = "--writer", .value = &q.writer}, {.name = "--actor", .value = &q.actor},
                {.name = "--action", .value = &q.action}, {.name = "--resource", .value = &q.resource},
                {.name = "--correlation-id", .value = &q.correlation_id},
                {.name = "--request-id", .value = &request}, {.name = "--since", .value = &since},
                {.name = "--until", .value = &until}, {.name = "--limit", .value = &limit},
                {.name = "-n", .value = &count}, {0}};
        int r = ctl_options(argc, argv, options, none, 0, &n);
        for (int i = 0; i < n_kinds && r == CTL_OK; i++) {
                int k = record_kind_from_string(str_of(kinds[i]));
                if (k < 0)
                        r = no_kind(c, kinds[i]);
                else
                        q.kinds |= 1u << k;
        }
        if (r == CTL_OK)
                r = time_option(c, "--since", since, &q.since_ns);
        if (r == CTL_OK)
                r = time_option(c, "--until", until, &q.until_ns);
        if (r == CTL_OK)
                r = count_option(c, "--limit", limit, &q.limit);
        if (r == CTL_OK)
                r = count_option(c, "-n", count, &q.limit);
        if (r == CTL_OK && request) {
                if (strlen(request) != 32 || hex_decode(request, 32, id) < 0)
                        r = ctl_fail(c, CTL_USAGE, "--request-id takes 32 hex digits");
                q.request_id = id;
        }
        if (r != CTL_OK)
                return r;
        q.newest = tail;
        if (tail && !q.limit)
                q.limit = 20;
        if (tail && q.limit > RECORDS_MAX)
                return ctl_fail(
                        c, CTL_USAGE, "tail takes at most %u records; ledger query takes any", RECORDS_MAX);
        return records_walk(c, &q, print_line, NULL);
}

static int ledger_call(Ctl *c, const char *verb) {
        CtlCall call = {.verb = verb};
        return ctl_chunk_document(c, "ledger", &call, show_pairs);
}

static int ledger_verify_verb(Ctl *c, int argc, char **argv) {
        const char *pub = NULL, *at_least = NULL;
        char *none[1];
        int n;
        const CtlOption options[] = {
                {.name = "--pub", .value = &pub}, {.name = "--at-least", .value = &at_least}, {0}};
        int r = ctl_options(argc, argv, options, none, 0, &n);
        return r != CTL_OK ? r : offline_verify(c, pub, at_least);
}

/* Lines of JSON in any case: export is for programs. */
static int export_line(Ctl *c, Str line, void *user) {
        (void)user;
        ctl_print_body(c, line);
        return 0;
}

static int ledger_export(Ctl *c, int argc, char **argv) {
        const char *from = NULL, *limit = NULL;
        char *none[1];
        int n;
        RecordQuery q = {.until_ns = UINT64_MAX};
        const CtlOption options[] = {
                {.name = "--from", .value = &from}, {.name = "--limit", .value = &limit}, {0}};
        int r = ctl_options(argc, argv, options, none, 0, &n);
        if (r == CTL_OK && from && parse_u64(from, &q.from) < 0)
                r = ctl_fail(c, CTL_USAGE, "--from takes the index of a record, not '%s'", from);
        if (r == CTL_OK)
                r = count_option(c, "--limit", limit, &q.limit);
        return r != CTL_OK ? r : offline_walk(c, &q, true, export_line, NULL);
}

static int ledger_plain(Ctl *c, const char *sub, int argc) {
        char name[40];
        snprintf(name, sizeof(name), "ledger %s", sub);
        if (argc > 1)
                return ctl_usage(name);
        if (strcmp(sub, "checkpoint") == 0 || !offline_wanted(c))
                return ledger_call(c, sub);
        return strcmp(sub, "head") == 0 ? offline_head(c) : offline_key(c);
}

int verb_ledger(Ctl *c, int argc, char **argv) {
        static const char *const later[] = {"prove", "verify-proof", "consistency", "repair"};
        static const char *const words[] = {"head", "key", "checkpoint", "query", "tail", "verify", "export"};
        char name[40];
        if (argc < 2)
                return ctl_usage("ledger");
        const char *sub = argv[1];
        if (ctl_one_of(sub, later, ELEMENTSOF(later)))
                return ctl_fail(c, CTL_USAGE,
                        "ledger %s is not in this version; `ledger verify` and `ledger export` are", sub);
        if (!ctl_one_of(sub, words, ELEMENTSOF(words)))
                return ctl_wrong_word("ledger", sub, words, ELEMENTSOF(words));
        if (ctl_one_of(sub, words, 3))
                return ledger_plain(c, sub, argc - 1);
        /* who has options is the subcommand */
        snprintf(name, sizeof(name), "ledger %s", sub);
        argv[1] = name;
        if (strcmp(sub, "verify") == 0)
                return ledger_verify_verb(c, argc - 1, argv + 1);
        if (strcmp(sub, "export") == 0)
                return ledger_export(c, argc - 1, argv + 1);
        return ledger_query(c, argc - 1, argv + 1, sub[0] == 't');
}
