/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * guardianctl: one table of verbs (main.c), one file a subject. A verb gets its own words in argv[1..],
 * answers on stdout (with --json exactly the documents of policies/schemas/cli), says what went wrong on
 * stderr, and returns the exit status.
 */
#include "guardian/ctl/client.h"
#include <stdio.h>

enum {
        CTL_OK = 0,
        CTL_NO = 1, /* the answer is no, or the operation failed */
        CTL_UNREACHABLE = 3,
        CTL_DENIED = 4,
        CTL_WAITING = 5, /* for approval */
        CTL_UNKNOWN = 6, /* unit or id */
        CTL_USAGE = 64,
};

typedef struct Ctl {
        const char *verb; /* being run, for errors */
        char runtime[1024], state[1024];
        bool json, quiet, color;
        bool terminal;      /* stdout is one */
        bool state_given;   /* by --state: records are read from there, whether Guardian runs or not */
        bool runtime_given; /* by --runtime: what is Guardian's to tell is asked there first */
        bool timeout_set;
        uint64_t timeout_us; /* UINT64_MAX: none */
        int shown;           /* of a document that came, but could not be shown: CTL_NO */
        Client guardian;     /* opened by ctl_open() */
        bool open;
} Ctl;

/* One word after another of a verb's command line: options of the verb are matched by name, the rest are
 * operands. */
typedef struct CtlArgs {
        int argc;
        char **argv;
        int at;
        char *operands[64];
        int n_operands;
} CtlArgs;

typedef struct CtlVerb {
        const char *name;
        const char *usage; /* operands and options, "" none */
        const char *help;  /* one line */
        int (*fn)(Ctl *c, int argc, char **argv);
} CtlVerb;
extern const CtlVerb ctl_verbs[];
extern const size_t ctl_n_verbs;
void ctl_help(FILE *f);
/* Usage and options on stdout, of the subcommand if it is one (may be NULL). false: there is no such verb. */
bool ctl_verb_help(const char *verb, const char *sub);
/* Runs the verb argv[0]. Exit status. */
int ctl_dispatch(Ctl *c, int argc, char **argv);

/* Opens the control socket once. 0, or CTL_UNREACHABLE after saying so. timeout_us: unless --timeout was
 * given. */
int ctl_open(Ctl *c, uint64_t timeout_us);
/* Likewise, but silent: false when nobody is there. */
bool ctl_try_open(Ctl *c, uint64_t timeout_us);
#define CTL_QUERY_TIMEOUT_US (10 * 1000000ull) /* of verbs that only read */
/* Usage and options of a verb, or of "ledger query", on stderr; CTL_USAGE. */
int ctl_usage(const char *verb);
/* True when the word is one of the n. */
bool ctl_one_of(const char *word, const char *const *words, size_t n);
/* Says that `word` is none of the n words, which of them is near, and the usage; CTL_USAGE. */
int ctl_wrong_word(const char *verb, const char *word, const char *const *words, size_t n);
int ctl_fail(const Ctl *c, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- calls */

typedef struct CtlAnswer {
        Str body; /* JSON, may be empty */
        Str message;
        const char *code;
        int status;
        bool more;
} CtlAnswer;

typedef struct CtlCall {
        const char *verb;
        const char *const *units;
        unsigned n_units;
        const char *args[24]; /* "key=value" */
        unsigned n_args;
        const char *reason;
        void (*on)(Ctl *c, const CtlAnswer *a, void *user);
        void *user;
        bool stop_at_first; /* return at the first answer even with MORE (status is its own) */
        bool show_all;      /* show the document of a refusal too */
        bool stream;        /* of lines: none is an answer too */
        bool silent;        /* a refusal is no error to tell */
} CtlCall;
/* `on` gets every RESULT. Returns the last status, or a CTL_ status; says why on stderr (refuse.c). */
int ctl_call(Ctl *c, Client *to, const CtlCall *call);
void ctl_arg(CtlCall *call, char *store, size_t cap, const char *key,
        const char *value); /* store lives as long as call */
/* A chunk's stream; CTL_OK or a status after saying why. */
int ctl_chunk(Ctl *c, const char *unit, Client *ret);
int ctl_chunk_silent(Ctl *c, const char *unit, Client *ret); /* without saying it */
void ctl_print_body(Ctl *c, Str body);                       /* the JSON as it came, and a newline */
/* A call whose answer is one document: as it came with --json, through `show` otherwise. Refusals are not
 * shown, but told. */
int ctl_document(Ctl *c, CtlCall *call, void (*show)(Ctl *, Str), uint64_t timeout_us);
/* Likewise to a chunk's stream. */
int ctl_chunk_document(Ctl *c, const char *unit, CtlCall *call, void (*show)(Ctl *, Str));
/* The error of a refused call: what was asked, the stable code, why, a hint. */
void ctl_refused(const CtlCall *call, const CtlAnswer *a);

/* ---- verbs, by file */
int verb_status(Ctl *c, int argc, char **argv); /* units.c */
int verb_unit(Ctl *c, int argc, char **argv);
int verb_wait(Ctl *c, int argc, char **argv);
int verb_boot(Ctl *c, int argc, char **argv);
int verb_graph(Ctl *c, int argc, char **argv);
int verb_logs(Ctl *c, int argc, char **argv);
int verb_pin(Ctl *c, int argc, char **argv);
int verb_kill(Ctl *c, int argc, char **argv);
int verb_version(Ctl *c, int argc, char **argv);
int verb_shutdown(Ctl *c, int argc, char **argv);
int verb_propose(Ctl *c, int argc, char **argv); /* govern.c */
int verb_approvals(Ctl *c, int argc, char **argv);
int verb_vote(Ctl *c, int argc, char **argv);
int verb_mode(Ctl *c, int argc, char **argv);
int verb_pause(Ctl *c, int argc, char **argv);
int verb_lockdown(Ctl *c, int argc, char **argv);
int verb_break_glass(Ctl *c, int argc, char **argv);
int verb_trust(Ctl *c, int argc, char **argv);
int verb_policy(Ctl *c, int argc, char **argv);
int verb_emit(Ctl *c, int argc, char **argv); /* mesh.c */
int verb_events(Ctl *c, int argc, char **argv);
int verb_workflow(Ctl *c, int argc, char **argv);
int verb_dlq(Ctl *c, int argc, char **argv);
int verb_queue(Ctl *c, int argc, char **argv);
int verb_ledger(Ctl *c, int argc, char **argv);    /* ledger.c */
int verb_incidents(Ctl *c, int argc, char **argv); /* incidents.c */
int verb_incident(Ctl *c, int argc, char **argv);
int verb_why(Ctl *c, int argc, char **argv); /* why.c */
