/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What people see of each document; with --json the document itself is printed as it came. */
#include "common/json/json-read.h"
#include "guardian/ctl/ctl.h"

extern const char *show_plot_file; /* of `boot --plot` */
extern bool show_settled_too;      /* `approvals --all` */
extern bool show_units_named;      /* status of named units: with all details */

/* What show_reply() and show_code() answer: "restart web". */
void ctl_asked(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

json_t *show_parse(Str body); /* NULL when it is no JSON */

void show_status(Ctl *c, Str body); /* show.c */
void show_log_line(Ctl *c, Str body);
void show_version(Ctl *c, Str body);
void show_dot(Ctl *c, Str body);
void show_mermaid(Ctl *c, Str body);
void show_pairs(Ctl *c, Str body); /* any document: "key: value" lines */
void show_boot(Ctl *c, Str body);  /* show-boot.c */
void show_plot(Ctl *c, Str body);
void show_reply(Ctl *c, Str body); /* show-govern.c: propose and mutating verbs */
void show_code(Ctl *c, Str body);
void show_vote(Ctl *c, Str body);
void show_mode(Ctl *c, Str body);
void show_approvals(Ctl *c, Str body);
void show_trust(Ctl *c, Str body);
void show_policy(Ctl *c, Str body);
void show_incidents(Ctl *c, Str body);
void show_incident(Ctl *c, Str body);
void show_workflows(Ctl *c, Str body); /* show-mesh.c */
void show_queues(Ctl *c, Str body);
void show_dlq(Ctl *c, Str body);
void show_record(Ctl *c, Str body); /* one line of `ledger query` */
void show_event(Ctl *c, Str body);
void show_why(Ctl *c, Str body);

/* A time (RFC 3339) or a duration back from now, as unix nanoseconds. -EINVAL. */
int ctl_since(const char *s, uint64_t *unix_ns);
