/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What people see of each document; the JSON itself is printed as it came. */
#include "guardian/ctl/ctl.h"

extern const char *show_plot_file; /* of `boot --plot` */

void show_status(Ctl *c, Str body);
void show_boot(Ctl *c, Str body);
void show_plot(Ctl *c, Str body);
void show_reply(Ctl *c, Str body); /* propose and mutating verbs */
void show_vote(Ctl *c, Str body);
void show_approvals(Ctl *c, Str body);
void show_log_line(Ctl *c, Str body);
void show_version(Ctl *c, Str body);
void show_dot(Ctl *c, Str body);
void show_mermaid(Ctl *c, Str body);
void show_pairs(Ctl *c, Str body); /* any object: "key: value" lines */
void show_incidents(Ctl *c, Str body);
void show_incident(Ctl *c, Str body);
void show_why(Ctl *c, Str body);
void show_record(Ctl *c, Str body); /* one line of `ledger query` */
void show_event(Ctl *c, Str body);

/* A time (RFC 3339) or a duration back from now, as unix nanoseconds. -EINVAL. */
int ctl_since(const char *s, uint64_t *unix_ns);
/* A CALL to a chunk's stream, printed with `show` or as JSON. Exit status. */
int ctl_chunk_document(Ctl *c, const char *unit, CtlCall *call, void (*show)(Ctl *, Str));
