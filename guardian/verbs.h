/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One call on the control socket, and the documents that answer reading verbs. */
#include "guardian/manager.h"

typedef struct Call {
        Manager *m;
        uint64_t client, req;
        const Peer *peer;
        const Msg *msg;
} Call;

typedef struct Verb {
        const char *name;
        Role role; /* least; the core decides where it says nobody */
        void (*fn)(const Call *c);
} Verb;

void verb_result(const Call *c, int status, const char *code, const char *message, Str body);
void verb_refuse(const Call *c, Code code, const char *message);
/* The answer of a break-glass that had to wait for its record. */
void verb_glass_result(Manager *m, uint64_t client, uint64_t req, Code code);
void verb_document(const Call *c, int (*fn)(const Call *c, Buf *out));
/* The document of a verb that changes something and has no request: nobody was asked. */
void verb_code(const Call *c, Code code, const char *reason);
/* Likewise of a switch that is Guardian's own: its verb says the role. */
void verb_switch(const Call *c, const char *verb, Code code);
ActorKind verb_actor(const Peer *p);

/* ---- documents (policies/schemas/cli): 0 or -errno */
int status_document(const Call *c, Buf *out);
int status_boot(const Call *c, Buf *out);
int status_approvals(const Call *c, Buf *out);
int status_graph(const Call *c, Buf *out);
int status_why(const Call *c, Buf *out);
int status_bootstrap(const Call *c, Buf *out);
int status_version(const Call *c, Buf *out);
int status_metrics(const Call *c, Buf *out);

/* ---- pause and resume (verb-pause.c) */
void verb_pause(const Call *c);
void verb_resume(const Call *c);
void verb_pause_settled(void *manager); /* the marker is as it was last wanted, or that has failed */
const char *pause_warning(Manager *m, char *out, size_t cap);

/* ---- logs (verb-logs.c) */
void verb_logs(const Call *c);
void verb_logs_gone(Manager *m, uint64_t client);
void verb_logs_done(Manager *m);
