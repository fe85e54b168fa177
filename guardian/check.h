/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `guardian --check`, as far as Guardian itself reads: units, their references, the boot plan, and
 * the names in the policy directories. */
#include "guardian/options.h"
#include "guardian/plan.h"

/* Loads the set that `o` names and plans it. 0, with *set and *plan (either may be NULL when there were
 * errors; both optional arguments, freed when NULL is passed); -ENOMEM. Whether it is good is
 * problems->errors == 0. */
int check_all(const Options *o, Problems *problems, UnitSet **set, Plan **plan);
