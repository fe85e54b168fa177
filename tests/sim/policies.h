/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The policies of the simulated gate: 0 is the shipped one, 1 the same with two votes where that has one. */
#include "chunks/governance/gate-core.h"

enum { SIM_POLICIES_MAX = 2 };
int sim_policies_read(void);            /* 0, -1 */
GatePolicy *sim_policy(unsigned which); /* kept; NULL: it does not compile */
Gate *sim_gate_free(Gate *g);           /* in place of gate_free(): the policy is not the gate's */
