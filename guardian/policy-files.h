/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The names in the policy directories: a file nobody reads would be a rule somebody believes in. */
#include "guardian/options.h"

/* Reports directories of --policies that are not there and *.yaml files at the top of any policy directory
 * that no program reads: a typo in a name is not silence. Other files and all sub-folders are left alone;
 * those that have a reader are its affair. 0, or -errno when the machine could not look
 * (error_is_shortage()). */
int policy_files_check(const Options *o, Problems *problems);
