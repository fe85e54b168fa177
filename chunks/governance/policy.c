/* SPDX-License-Identifier: Apache-2.0 */
/* What a rule may ask of a request, and the compiled policy's own small questions. */
#include "chunks/governance/policy.h"
#include <stdlib.h>
#include <string.h>

const char *gate_tier_to_string(GateTier t) {
        static const char *const names[_TIER_MAX] = {[TIER_CONSTITUTIONAL] = "constitutional",
                [TIER_LOCKDOWN] = "lockdown",
                [TIER_ORGANISATION] = "organisation",
                [TIER_UNIT] = "unit"};
        return (unsigned)t < _TIER_MAX ? names[t] : "invalid";
}

enum {
        F_ACTOR_ID,
        F_ACTOR_KIND,
        F_ACTOR_UID,
        F_ACTOR_ROLE,
        F_ACTOR_TRUST,
        F_ACTION,
        F_ARGS,
        F_REASON,
        F_NAME,
        F_PRIORITY,
        F_CRITICAL,
        F_CAN_FAIL,
        F_HEAL,
        F_LABELS,
        F_NOW,
        F_MODE,
        F_INCIDENT,
        F_PAUSED,
        F_LOCKDOWN,
        F_BREAK_GLASS,
        F_PURPOSE,
        F_FACTS,
        F_CLAIMS,
        F_BUDGET,
        F_HEALING,
        F_HEAL_LISTED,
        F_MAY_ASK,
        F_RISK
};
static const char *const kinds[] = {"person", "unit", "supervisor", NULL};
static const char *const roles[] = {"observer", "operator", "admin", NULL};
static const char *const modes[] = {"log_only", "enforce_critical", "enforce", NULL};
static const char *const purposes[] = {"act", "check", NULL};
static const char *const risks[] = {"low", "medium", "high", NULL};
/* actor, resource and context.facts are filled by Guardian; claims are what the proposer says; the last four
 * the gate derives from actions.yaml. */
static const RuleField fields[] = {
        {"actor.id", RULE_STRING, F_ACTOR_ID, NULL},
        {"actor.kind", RULE_STRING, F_ACTOR_KIND, kinds},
        {"actor.uid", RULE_INT, F_ACTOR_UID, NULL},
        {"actor.role", RULE_STRING, F_ACTOR_ROLE, roles},
        {"actor.trust", RULE_INT, F_ACTOR_TRUST, NULL},
        {"action", RULE_STRING, F_ACTION, NULL},
        {"args.*", RULE_STRING, F_ARGS, NULL},
        {"reason", RULE_STRING, F_REASON, NULL},
        {"resource.name", RULE_STRING, F_NAME, NULL},
        {"resource.priority", RULE_DOUBLE, F_PRIORITY, NULL},
        {"resource.critical", RULE_BOOL, F_CRITICAL, NULL},
        {"resource.can_fail", RULE_BOOL, F_CAN_FAIL, NULL},
        {"resource.heal", RULE_SET, F_HEAL, NULL},
        {"resource.labels.*", RULE_STRING, F_LABELS, NULL},
        {"context.now", RULE_TIME, F_NOW, NULL},
        {"context.mode", RULE_STRING, F_MODE, modes},
        {"context.incident", RULE_INT, F_INCIDENT, NULL},
        {"context.paused", RULE_BOOL, F_PAUSED, NULL},
        {"context.lockdown", RULE_BOOL, F_LOCKDOWN, NULL},
        {"context.break_glass", RULE_BOOL, F_BREAK_GLASS, NULL},
        {"context.purpose", RULE_STRING, F_PURPOSE, purposes},
        {"context.facts.*", RULE_ANY, F_FACTS, NULL},
        {"context.claims.*", RULE_ANY, F_CLAIMS, NULL},
        {"context.budget.*", RULE_INT, F_BUDGET, NULL},
        {"context.healing", RULE_BOOL, F_HEALING, NULL},
        {"context.heal_listed", RULE_BOOL, F_HEAL_LISTED, NULL},
        {"context.may_ask", RULE_BOOL, F_MAY_ASK, NULL},
        {"context.risk", RULE_STRING, F_RISK, risks},
};
const RuleSchema gate_schema = {fields, sizeof(fields) / sizeof(fields[0])};

static int text(RuleValue *v, const char *s) {
        *v = (RuleValue){.type = RULE_STRING, .s = str_of(s)};
        return s && *s ? 0 : 1;
}
static int boolean(RuleValue *v, bool b) {
        *v = (RuleValue){.type = RULE_BOOL, .b = b};
        return 0;
}
static int integer(RuleValue *v, RuleType type, int64_t i) {
        *v = (RuleValue){.type = type, .i = i};
        return 0;
}

static int pair(RuleValue *ret, const char *items, size_t stride, unsigned n, const char *key) {
        for (unsigned i = 0; i < n; i++) {
                Str k, v;
                if (str_split(str_of(items + i * stride), '=', &k, &v) && str_eq(k, key)) {
                        *ret = (RuleValue){.type = RULE_STRING, .s = v};
                        return 0;
                }
        }
        return 1;
}

static int fact(RuleValue *v, const GateFact *facts, unsigned n, const char *name) {
        for (unsigned i = 0; i < n; i++) {
                if (strcmp(facts[i].name, name) != 0)
                        continue;
                if (facts[i].type == RULE_INT)
                        return integer(v, RULE_INT, facts[i].i);
                if (facts[i].type == RULE_BOOL)
                        return boolean(v, facts[i].i);
                *v = (RuleValue){.type = RULE_STRING, .s = str_of(facts[i].s)};
                return 0;
        }
        return 1;
}

static int budget(RuleValue *v, const GateInput *in, const char *id) {
        for (unsigned i = 0; i < in->n_budgets; i++)
                if (strcmp(in->budgets[i].id, id) == 0)
                        return integer(v, RULE_INT, in->budgets[i].left);
        return 1;
}

static bool heal_listed(const GateInput *in) {
        for (unsigned i = 0; i < in->n_heal; i++)
                if (strcmp(in->heal[i], in->request.action) == 0)
                        return true;
        return false;
}

static bool may_ask(const GateAction *a, const GateInput *in) {
        if (strcmp(in->actor_kind, "person") == 0)
                return a->role != ROLE_NOBODY && in->role >= a->role;
        return strcmp(in->actor_kind, "unit") != 0 || a->units;
}

static int heal_set(GateLookup *l, RuleValue *v) {
        for (unsigned i = 0; i < l->in->n_heal; i++)
                l->set[i] = str_of(l->in->heal[i]);
        *v = (RuleValue){.type = RULE_SET, .set = {l->set, l->in->n_heal}};
        return 0;
}

static int lookup_derived(const GateLookup *l, unsigned id, RuleValue *ret) {
        const GateAction *a = gate_policy_action(l->policy, l->in->request.action);
        if (id == F_HEAL_LISTED)
                return boolean(ret, heal_listed(l->in));
        if (!a)
                return 1;
        if (id == F_HEALING)
                return boolean(ret, a->healing);
        return id == F_MAY_ASK ? boolean(ret, may_ask(a, l->in)) : text(ret, a->risk);
}

int gate_lookup(void *user, unsigned id, const char *field, RuleValue *ret) {
        GateLookup *l = user;
        const GateInput *in = l->in;
        const ActionRequest *r = &in->request;
        switch (id) {
        case F_ACTOR_ID:
                return text(ret, r->actor);
        case F_ACTOR_KIND:
                return text(ret, in->actor_kind);
        case F_ACTOR_UID:
                return in->uid > INT64_MAX ? 1 : integer(ret, RULE_INT, (int64_t)in->uid);
        case F_ACTOR_ROLE:
                return in->role == ROLE_NOBODY ? 1 : text(ret, role_to_string((int)in->role));
        case F_ACTOR_TRUST:
                return in->trust < 0 ? 1 : integer(ret, RULE_INT, in->trust);
        case F_ACTION:
                return text(ret, r->action);
        case F_ARGS:
                return pair(ret, r->args[0], sizeof(r->args[0]), r->n_args, field + strlen("args."));
        case F_REASON:
                return text(ret, in->reason);
        case F_NAME:
                return text(ret, r->target);
        case F_PRIORITY:
                *ret = (RuleValue){.type = RULE_DOUBLE, .d = (double)in->priority_milli / 1000};
                return 0;
        case F_CRITICAL:
                return boolean(ret, in->critical);
        case F_CAN_FAIL:
                return boolean(ret, in->can_fail);
        case F_HEAL:
                return heal_set(l, ret);
        case F_LABELS:
                return pair(ret, in->labels[0], sizeof(in->labels[0]), in->n_labels,
                        field + strlen("resource.labels."));
        case F_NOW:
                return integer(ret, RULE_TIME, (int64_t)(in->now.wall_us * 1000));
        case F_MODE:
                return text(ret, mode_to_string((int)in->mode));
        case F_INCIDENT:
                return r->incident > INT64_MAX ? 1 : integer(ret, RULE_INT, (int64_t)r->incident);
        case F_PAUSED:
                return boolean(ret, in->paused);
        case F_LOCKDOWN:
                return boolean(ret, in->lockdown);
        case F_BREAK_GLASS:
                return boolean(ret, in->break_glass);
        case F_PURPOSE:
                return text(ret, in->purpose);
        case F_FACTS:
                return fact(ret, in->facts, in->n_facts, field + strlen("context.facts."));
        case F_CLAIMS:
                return fact(ret, in->claims, in->n_claims, field + strlen("context.claims."));
        case F_BUDGET:
                return budget(ret, in, field + strlen("context.budget."));
        default:
                return lookup_derived(l, id, ret);
        }
}

const GateAction *gate_policy_action(const GatePolicy *p, const char *name) {
        for (unsigned i = 0; i < p->n_actions; i++)
                if (strcmp(p->actions[i].name, name) == 0)
                        return &p->actions[i];
        return NULL;
}

GatePolicy *gate_policy_free(GatePolicy *p) {
        if (!p)
                return NULL;
        rule_set_free(p->rules_set);
        for (unsigned i = 0; i < p->n_budgets; i++)
                rule_program_free(p->budgets[i].when);
        free(p->rules);
        free(p->actions);
        free(p);
        return NULL;
}
