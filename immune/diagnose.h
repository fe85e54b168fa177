/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a `when:` of playbooks.yaml may ask about an incident and its target. Missing (no unit, no exit yet,
 * no such label or evidence) is missing in the rule language: an error of the test unless it stands under
 * `exists`, so no match.
 */
#include "common/rules/rules.h"

extern const RuleSchema diagnose_schema;
