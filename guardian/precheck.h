/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What Guardian does not read itself is checked by the programs that do, before anything is started: each chunk's `--check`
 * over the policy directories, and guardian-compile, whose result (roles) Guardian keeps. Blocks for a few milliseconds; only
 * called before the loop.
 */
#include "common/error.h"
#include "common/roles-blob.h"
#include "guardian/options.h"

/* Runs `PROGRAM --check DIR..` of every chunk of the set that ships with Guardian, side by side; what they print goes to
 * stderr. One that is killed runs again; one that has not ended after 20 s is killed and does not. 0: all good; 1: at least one
 * said no; -errno: one never came to an end (-ETIMEDOUT, -EINTR), could not look (-ECANCELED) or could not be started, said. */
int precheck_chunks(const Options *o, const UnitSet *set);
/* What a start would need of this machine: the users, groups and programs (ExecStart=) of every unit. Errors go to problems; a
 * program of a core chunk is precheck_chunks()'s. At boot this stays a failed start: an earlier unit may bring them. 0; -ENOMEM. */
int precheck_machine(const UnitSet *set, Problems *problems);
/* Compiles roles.yaml. 0 with *ret filled (*have false when there is no guardian-compile: root and our own uid only); 1: refused,
 * said on stderr; -errno. */
int precheck_roles(const Options *o, RolesBlob *ret, bool *have);
