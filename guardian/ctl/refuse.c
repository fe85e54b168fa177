/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals in words: what was asked, the stable code, the reason, and what the person may do about it. */
#include "common/cleanup.h"
#include "common/error.h"
#include "common/json/json-read.h"
#include "common/vocab.h"
#include "guardian/ctl/ctl.h"
#include <string.h>

static const struct {
        Code code;
        const char *text; /* when no message came along */
        const char *hint;
} WORDS[] = {
        {CODE_GOVERNANCE_UNAVAILABLE, "governance is down, so nothing that needs its verdict runs",
                "an admin's start, stop, restart, kill, unpin and reset work without it"},
        {CODE_GOVERNANCE_ABSENT, "this set of units has no governance",
                "it was booted with --no-core; an admin's own verbs work: guardianctl restart"},
        {CODE_LEDGER_UNAVAILABLE, "the ledger is down, so nothing can be put on record",
                "guardianctl status ledger; guardianctl restart ledger"},
        {CODE_LEDGER_ROLLBACK, "the ledger lost records that it had acknowledged",
                "ledger verify --at-least NOTE tells what is missing; NOTE: a ledger head of Guardian's own "
                "log"},
        {CODE_DENIED_BY_RULE, "a rule denies it", NULL},
        {CODE_DENIED_BY_ROLE, "your role may not do this",
                "roles.yaml among Guardian's policies says who has which role, see guardianctl(1)"},
        {CODE_DEFAULT_DENY, "no rule allows it", NULL},
        {CODE_APPROVAL_MISMATCH, "the approval is for another request", "ask again: guardianctl propose"},
        {CODE_APPROVAL_USED, "the approval was used already", "ask again: guardianctl propose"},
        {CODE_APPROVAL_EXPIRED, "the approval expired", "ask again: guardianctl propose"},
        {CODE_APPROVAL_DENIED, "a person denied it", NULL},
        {CODE_SELF_APPROVAL, "who asked for it may not vote on it", "another operator has to vote"},
        {CODE_ALREADY_VOTED, "your vote is counted already", NULL},
        {CODE_STALE_TARGET, "the process that it was meant for is gone",
                "guardianctl status; ask again if it is still needed"},
        {CODE_BUDGET_EXCEEDED, "the healing budget is used up", "guardianctl why UNIT"},
        {CODE_CEILING, "Guardian's own ceiling of healing actions is reached", NULL},
        {CODE_PAUSED, "autonomous action is paused", "guardianctl resume"},
        {CODE_LOCKDOWN, "lockdown is on", "guardianctl lockdown off"},
        {CODE_HEAL_NOT_LISTED, "the unit does not list this action under Heal=",
                "[Chunk] Heal= in its unit file names what may be asked for"},
        {CODE_UNKNOWN_UNIT, "there is no such unit", "guardianctl status lists the units"},
        {CODE_UNKNOWN_ID, "there is no such id", NULL},
        {CODE_UNKNOWN_ACTION, "there is no such action", NULL},
        {CODE_RATE_LIMITED, "too many requests", "try again in a moment"},
        {CODE_PINNED, "the unit is pinned", NULL},
        {CODE_TARGET_BUSY, "another action on this unit is under way",
                "guardianctl approvals; guardianctl status UNIT"},
        {CODE_UNRECORDED, "it was let through, and the ledger has no record of the outcome yet",
                "guardianctl status UNIT shows what became of it"},
        {CODE_TIMEOUT, "it was not done in time", "guardianctl why UNIT; guardianctl logs UNIT"},
        {CODE_FAILED, "it failed", "guardianctl why UNIT; guardianctl logs UNIT"},
        {CODE_BUSY, "too much is waiting already", "try again in a moment"},
};

static void what_was_asked(const CtlCall *call, char *out, size_t cap) {
        size_t n = (size_t)snprintf(out, cap, "%s", call->verb);
        for (unsigned i = 0; i < call->n_args && n < cap; i++)
                if (strncmp(call->args[i], "action=", 7) == 0 || strncmp(call->args[i], "id=", 3) == 0)
                        n += (size_t)snprintf(out + n, cap - n, " %s", strchr(call->args[i], '=') + 1);
        if (call->n_units == 1 && n < cap)
                snprintf(out + n, cap - n, " %s", call->units[0]);
}

/* What the person may do next where it depends on what was asked. "" where it does not. */
static void special_hint(const CtlCall *call, int code, char *out, size_t cap) {
        const char *names[_HEAL_MAX], *action = "";
        out[0] = 0;
        for (int i = 0; i < (int)_HEAL_MAX; i++)
                names[i] = healing_action_to_string(i);
        for (unsigned i = 0; i < call->n_args; i++)
                if (strncmp(call->args[i], "action=", 7) == 0)
                        action = call->args[i] + 7;
        const char *near = nearest_name(action, names, ELEMENTSOF(names));
        if (code == CODE_UNKNOWN_ACTION && near)
                snprintf(out, cap, "did you mean '%s'?", near);
        else if (code == CODE_UNKNOWN_ACTION)
                snprintf(out, cap, "restart_service and the other healing actions: guardianctl(1)");
        else if (code == CODE_UNKNOWN_ID && strcmp(call->verb, "incident") == 0)
                snprintf(out, cap, "guardianctl incidents lists them");
        else if (code == CODE_UNKNOWN_ID &&
                 (strcmp(call->verb, "approve") == 0 || strcmp(call->verb, "deny") == 0))
                snprintf(out, cap, "guardianctl approvals lists them");
        else if (code == CODE_PINNED)
                snprintf(out, cap, "guardianctl unpin %s", call->n_units == 1 ? call->units[0] : "UNIT");
}

/* The hint with the unit that was asked for; without one it would lead nowhere. */
static const char *hint_of_unit(const CtlCall *call, const char *hint, char *out, size_t cap) {
        size_t n = 0;
        if (call->n_units != 1)
                return call->n_units == 0 ? NULL : hint;
        out[0] = 0;
        for (const char *p = hint, *at; n < cap; p = at + 4) {
                at = strstr(p, "UNIT");
                n += (size_t)snprintf(out + n, cap - n, "%.*s%s", at ? (int)(at - p) : (int)strlen(p), p,
                        at ? call->units[0] : "");
                if (!at)
                        break;
        }
        return out;
}

/* A start of what is pinned down fails at the unit itself, whatever its gate said. */
static int code_of(const CtlAnswer *a) {
        int code = code_from_string(str_of(a->code));
        return code == CODE_FAILED && str_eq(a->message, "the unit is pinned") ? (int)CODE_PINNED : code;
}

void ctl_refused(const CtlCall *call, const CtlAnswer *a) {
        auto_json json_t *d = NULL;
        char what[200], special[400];
        int code = code_of(a);
        const char *text = NULL, *hint = NULL;
        what_was_asked(call, what, sizeof(what));
        for (size_t i = 0; i < ELEMENTSOF(WORDS); i++)
                if ((int)WORDS[i].code == code) {
                        text = WORDS[i].text;
                        hint = WORDS[i].hint;
                }
        if (a->message.n > 0)
                ctl_fail(NULL, 0, "%s: %s: %.*s", what, a->code, (int)a->message.n, a->message.p);
        else
                ctl_fail(NULL, 0, "%s: %s%s%s", what, a->code, text ? ": " : "", text ? text : "");
        if (a->body.n > 0 && json_read(a->body, 0, &d, NULL, 0) == 0 &&
                json_get_i64(d, "decision_index", -1) >= 0)
                fprintf(stderr, "  guardianctl why %lld tells which rule decided\n",
                        (long long)json_get_i64(d, "decision_index", 0));
        special_hint(call, code, special, sizeof(special));
        if (special[0])
                hint = special;
        if (hint && strstr(hint, "UNIT"))
                hint = hint_of_unit(call, hint, special, sizeof(special));
        if (hint)
                fprintf(stderr, "  hint: %s\n", hint);
}
