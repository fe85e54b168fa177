/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From messages to the core's events: units, beats, claims, calls of workflows. Pure but for allocation: a
 * message and the time in, calls of the core out. What a sender says about itself counts only where the pipe
 * says so too (SOURCE).
 */
#include "immune/immune-core.h"
#include "common/msg.h"

/* An EVENT of the mesh. 0 (also for what says nothing to us), -EINVAL: malformed payload, -ENOMEM. */
int inbox_event(ImmuneCore *core, ImmuneNow now, const Msg *m);
/* One UNIT_INFO of Guardian. */
int inbox_unit_info(ImmuneCore *core, ImmuneNow now, const Msg *m);
int inbox_proposal(ImmuneCore *core, ImmuneNow now, const Msg *m);
/* A workflow's INVOKE; token is answered by IMMUNE_CMD_ANSWER. -ENOENT: no such handler, -EINVAL: bad
 * parameters. */
int inbox_invoke(ImmuneCore *core, ImmuneNow now, const Msg *m, uint64_t token);
extern const char *const inbox_handlers[]; /* NULL terminated */
extern const char *const inbox_patterns[]; /* what the mesh is asked for; the first is the units' */
