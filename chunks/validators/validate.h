/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What an event must be, pure: layers in the order syntax, semantic, security, performance, compliance.
 *   syntax    the payload is JSON and fits its type's payload_schema (events.yaml)
 *   the rest  rules of policies/validation.yaml: `require` must hold for the types named, `when` says for
 * which of them A rule with `constitutional: true` is asked for types with that flag only, the others for
 * types with `validate`. A rule whose evaluation fails counts as broken: what can't be shown to be right is
 * not let through. Issues of severity critical or high refuse the event, medium and low are said and let it
 * pass; a layer with fail_fast ends the check at its first refusal.
 */
#include "chunks/validators/schema.h"
#include "common/events/event-types.h"
#include "common/json-writer.h"
#include "common/msg.h"
#include "common/rules/rules.h"

enum { VALIDATION_RULES_MAX = 512, VALIDATION_ISSUES_MAX = 24, VALIDATION_TYPES_MAX = 16 };

typedef enum ValidationLayer {
        LAYER_SYNTAX,
        LAYER_SEMANTIC,
        LAYER_SECURITY,
        LAYER_PERFORMANCE,
        LAYER_COMPLIANCE,
        _LAYER_MAX
} ValidationLayer;
typedef enum ValidationSeverity {
        SEVERITY_LOW,
        SEVERITY_MEDIUM,
        SEVERITY_HIGH,
        SEVERITY_CRITICAL,
        _SEVERITY_MAX
} ValidationSeverity;
const char *validation_layer_name(ValidationLayer l);
const char *validation_severity_name(ValidationSeverity s);

typedef struct ValidationRule {
        char id[97], path[129], message[256], hint[200];
        ValidationLayer layer;
        ValidationSeverity severity;
        bool constitutional;
        char types[VALIDATION_TYPES_MAX][129]; /* patterns; none: every type */
        unsigned n_types;
        RuleProgram *when, *require; /* when: NULL is always */
} ValidationRule;

typedef struct SchemaEntry {
        char name[160];
        JsonSchema *schema;
} SchemaEntry;
typedef struct Validation {
        EventTypes types;
        ValidationRule *rules; /* by layer, then in file order */
        size_t n_rules;
        bool fail_fast[_LAYER_MAX];
        SchemaEntry *schemas;
        size_t n_schemas;
} Validation;

/* events.yaml, validation.yaml and every schema that an event type names, from the last directory that has
 * each. 0, -EINVAL after problems, -ENOMEM. *ret is owned also after an error: validation_done(). */
int validation_load(Validation *ret, const char *const *dirs, unsigned n, Problems *p);
/* The rules alone, from text. */
int validation_parse(Validation *v, const char *file, Str text, Problems *p);
void validation_done(Validation *v);

typedef struct ValidationIssue {
        ValidationLayer layer;
        ValidationSeverity severity;
        bool constitutional;
        char code[97], path[160], message[256], hint[200];
} ValidationIssue;
typedef struct ValidationReport {
        ValidationIssue issues[VALIDATION_ISSUES_MAX];
        size_t n;
        bool refused, constitutional; /* refused, and by a constitutional rule */
} ValidationReport;

/* m: a VALIDATE (or any message with an envelope). 0 and the report; -ENOMEM. */
int validation_check(const Validation *v, const Msg *m, ValidationReport *ret);
/* [{"code", "hint", "layer", "message", "path", "severity"}] */
void validation_report_json(const ValidationReport *r, JsonWriter *w);
/* "security/secret-in-payload critical /password: message (hint)" */
const char *validation_issue_text(const ValidationIssue *i, char *out, size_t cap);
/* A known bad event must be refused and a known good one pass, through the real code. 0, or -EPROTO with why.
 */
int validation_self_test(char *why, size_t cap);
