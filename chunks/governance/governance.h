/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The program guardian-governance: returns its exit status. */
int governance_main(int argc, char **argv);
