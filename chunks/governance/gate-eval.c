/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two verdicts come out of one pass over the matching rules: `would`, where every rule counts (mode enforce),
 * and `verdict`, where what the mode, a rule's own level or break-glass relaxes does not. The constitutional
 * and lockdown tiers and the budgets are never relaxed.
 */
#include "chunks/governance/gate-core.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct Tally {
        bool allow, ask, deny;
        const GateRule *denier, *asker, *allower; /* the first of the highest tier */
} Tally;

static void count(Tally *t, const GateRule *g) {
        const GateRule **who = g->effect == VERDICT_DENY    ? &t->denier
                               : g->effect == VERDICT_ALLOW ? &t->allower
                                                            : &t->asker;
        t->deny |= g->effect == VERDICT_DENY;
        t->ask |= g->effect == VERDICT_REQUIRE_APPROVAL;
        t->allow |= g->effect == VERDICT_ALLOW;
        if (!*who || g->tier < (*who)->tier)
                *who = g;
}

static Verdict verdict_of(const Tally *t) {
        return t->deny    ? VERDICT_DENY
               : t->ask   ? VERDICT_REQUIRE_APPROVAL
               : t->allow ? VERDICT_ALLOW
                          : VERDICT_DENY;
}

static bool autonomous(const GateInput *in) {
        return strcmp(in->actor_kind, "person") != 0;
}

/* Does the mode, or an admin's break-glass, relax what is not of the upper tiers? */
static bool relaxed(const GateInput *in) {
        if (GATE_FAULTY(RELAXES_ALWAYS))
                return true;
        if (!autonomous(in) && !GATE_FAULTY(RELAXES_PEOPLE))
                return in->break_glass && in->role >= ROLE_ADMIN;
        return in->mode == MODE_LOG_ONLY || (in->mode == MODE_ENFORCE_CRITICAL && !in->critical);
}

static bool rule_counts(const GateRule *g, const GateInput *in, bool relax) {
        if ((g->tier <= TIER_LOCKDOWN && !GATE_FAULTY(RELAXES_TOP)) || g->effect == VERDICT_ALLOW)
                return true;
        if (relax)
                return false;
        if (!autonomous(in) || g->enforce == GATE_ENFORCE_ALWAYS)
                return true;
        return g->enforce == GATE_ENFORCE_CRITICAL && in->critical;
}

static void add_needs(GateDecision *d, const GateRule *g) {
        for (unsigned i = 0; i < g->n_needs; i++) {
                unsigned k = 0;
                while (k < d->n_needs && d->needs[k].role != g->needs[i].role)
                        k++;
                if (k == d->n_needs && d->n_needs < GATE_NEEDS_MAX)
                        d->needs[d->n_needs++] = g->needs[i];
                else if (k < d->n_needs && d->needs[k].n < g->needs[i].n)
                        d->needs[k].n = g->needs[i].n;
        }
}

static void add_matched(GateDecision *d, const char *id, Verdict effect, GateTier tier) {
        if (d->n_matched == GATE_MATCHED_MAX)
                return;
        str_copy(d->matched[d->n_matched].id, sizeof(d->matched[0].id), str_of(id));
        d->matched[d->n_matched].effect = effect;
        d->matched[d->n_matched++].tier = tier;
}

/* The three allow rules with the fewest failing tests, nearest first; ties in file order. */
static void find_missed(const GatePolicy *p, const RuleContext *c, GateDecision *d) {
        for (unsigned i = 0; i < p->n_rules; i++) {
                if (p->rules[i].effect != VERDICT_ALLOW)
                        continue;
                char text[200];
                unsigned tests = rule_explain(rule_set_program(p->rules_set, i), c, text, sizeof(text));
                unsigned at = d->n_missed;
                while (at > 0 && d->missed[at - 1].tests > tests)
                        at--;
                if (at == GATE_MISSED_MAX)
                        continue;
                if (d->n_missed < GATE_MISSED_MAX)
                        d->n_missed++;
                memmove(&d->missed[at + 1], &d->missed[at], (d->n_missed - at - 1) * sizeof(d->missed[0]));
                str_copy(d->missed[at].id, sizeof(d->missed[0].id), str_of(p->rules[i].id));
                str_copy(d->missed[at].failed, sizeof(d->missed[0].failed), str_of(text));
                d->missed[at].tests = tests;
        }
}

static void begin(const GatePolicy *p, const GateInput *in, const char *approval_id, GateDecision *d) {
        (void)in;
        memset(d, 0, sizeof(*d));
        str_copy(d->policy_revision, sizeof(d->policy_revision), str_of(p->revision));
        if (approval_id)
                str_copy(d->approval_id, sizeof(d->approval_id), str_of(approval_id));
}

void gate_refuse(const GatePolicy *p, const GateInput *in, const char *approval_id, Code code,
        const char *reason, GateDecision *ret) {
        begin(p, in, approval_id, ret);
        ret->verdict = ret->would = VERDICT_DENY;
        ret->code = code;
        str_copy(ret->reason, sizeof(ret->reason), str_of(reason));
}

/* Arguments as actions.yaml declares them. */
static bool args_fit(const GateAction *a, const ActionRequest *r, char *why, size_t cap) {
        bool given[REQUEST_ARGS_MAX] = {false};
        for (unsigned i = 0; i < r->n_args && !a->any_arg; i++) {
                Str k, v;
                unsigned n = 0;
                str_split(str_of(r->args[i]), '=', &k, &v);
                while (n < a->n_args && !str_eq(k, a->args[n]))
                        n++;
                if (n == a->n_args) {
                        snprintf(why, cap, "%s takes no argument '%.*s'", a->name, (int)k.n, k.p);
                        return false;
                }
                given[n] = true;
        }
        for (unsigned n = 0; n < a->n_args; n++)
                if (a->arg_required[n] && !given[n]) {
                        snprintf(why, cap, "%s needs the argument '%s'", a->name, a->args[n]);
                        return false;
                }
        return true;
}

static void match_rules(const GatePolicy *p, const GateInput *in, const RuleContext *c, bool relax,
        GateDecision *d, Tally *full, Tally *now) {
        size_t at = 0;
        unsigned i;
        while (rule_set_next(p->rules_set, str_of(in->request.action), &at, &i)) {
                const GateRule *g = &p->rules[i];
                RuleResult r = rule_eval(rule_set_program(p->rules_set, i), c);
                if (r == RULE_ERROR && d->n_errors < GATE_ERRORS_MAX) {
                        char text[200];
                        rule_explain(rule_set_program(p->rules_set, i), c, text, sizeof(text));
                        snprintf(d->errors[d->n_errors++], sizeof(d->errors[0]), "%.50s: %.64s", g->id, text);
                }
                if (r == RULE_NO || (r == RULE_ERROR && g->effect == VERDICT_ALLOW))
                        continue;
                add_matched(d, g->id, g->effect, g->tier);
                count(full, g);
                if (!rule_counts(g, in, relax))
                        continue;
                count(now, g);
                if (g->effect == VERDICT_REQUIRE_APPROVAL)
                        add_needs(d, g);
        }
}

/* Budgets hold in every mode: an empty one is a denial of the highest tier. */
static bool budget_empty(const GateInput *in, GateDecision *d) {
        if (GATE_FAULTY(NO_BUDGET))
                return false;
        bool empty = false;
        for (unsigned i = 0; i < in->n_budgets; i++) {
                char id[48];
                if (in->budgets[i].left > 0)
                        continue;
                snprintf(id, sizeof(id), "budget.%s", in->budgets[i].id);
                add_matched(d, id, VERDICT_DENY, TIER_CONSTITUTIONAL);
                if (!empty)
                        snprintf(d->reason, sizeof(d->reason), "the budget '%s' is used up",
                                in->budgets[i].id);
                empty = true;
        }
        return empty;
}

static void conclude(const GatePolicy *p, const GateInput *in, const Tally *t, GateDecision *d) {
        const GateRule *by = d->verdict == VERDICT_DENY    ? t->denier
                             : d->verdict == VERDICT_ALLOW ? t->allower
                                                           : t->asker;
        if (d->verdict != VERDICT_REQUIRE_APPROVAL)
                d->n_needs = 0;
        switch (d->verdict) {
        case VERDICT_DENY:
                d->code = by ? by->code : CODE_DEFAULT_DENY;
                break;
        case VERDICT_REQUIRE_APPROVAL:
                d->code = CODE_APPROVAL_REQUIRED;
                if (strcmp(in->purpose, "act") != 0)
                        break; /* a check asks nobody */
                snprintf(d->approval_id, sizeof(d->approval_id), "apr_");
                hex_encode(in->request.request_id, 16, d->approval_id + 4);
                d->expires_us = in->now.wall_us + p->approval_expires_us;
                break;
        case VERDICT_ALLOW:
        case VERDICT_NONE:
        case _VERDICT_MAX:
                d->code = CODE_OK;
                break;
        }
        str_copy(d->reason, sizeof(d->reason),
                str_of(by                            ? by->reason
                        : d->verdict == VERDICT_DENY ? "no rule allows it"
                                                     : "relaxed by the mode"));
}

void gate_evaluate(const GatePolicy *p, const GateInput *in, const char *approval_id, GateDecision *ret) {
        char why[160];
        if (p->lockdown) {
                gate_refuse(p, in, approval_id, CODE_LOCKDOWN,
                        "no policy file was found, so everything is denied: guardian --policies DIR", ret);
                return;
        }
        const GateAction *a = gate_policy_action(p, in->request.action);
        if (!a || !args_fit(a, &in->request, why, sizeof(why))) {
                gate_refuse(p, in, approval_id, a ? CODE_INVALID : CODE_UNKNOWN_ACTION,
                        a ? why : "there is no such action", ret);
                return;
        }
        GateLookup lookup = {.policy = p, .in = in};
        RuleContext c = {gate_lookup, &lookup};
        Tally full = {0}, now = {0};
        bool relax = relaxed(in);
        begin(p, in, approval_id, ret);
        match_rules(p, in, &c, relax, ret, &full, &now);
        ret->would = verdict_of(&full);
        ret->verdict = relax && !now.deny && !now.ask ? VERDICT_ALLOW : verdict_of(&now);
        if (!full.deny && !full.ask && !full.allow)
                find_missed(p, &c, ret);
        if (approval_id && ret->verdict == VERDICT_REQUIRE_APPROVAL)
                ret->verdict = VERDICT_ALLOW;
        if (approval_id && ret->would == VERDICT_REQUIRE_APPROVAL)
                ret->would = VERDICT_ALLOW;
        if (ret->verdict != VERDICT_DENY && budget_empty(in, ret)) {
                ret->verdict = ret->would = VERDICT_DENY;
                ret->code = CODE_BUDGET_EXCEEDED;
                ret->n_needs = 0;
                return;
        }
        conclude(p, in, &now, ret);
}

static void write_rules(const GateDecision *d, JsonWriter *w) {
        json_key(w, "rules");
        json_array_begin(w);
        for (unsigned i = 0; i < d->n_matched; i++) {
                json_object_begin(w);
                json_kv_str(w, "effect", verdict_to_string((int)d->matched[i].effect));
                json_kv_str(w, "id", d->matched[i].id);
                json_kv_str(w, "tier", gate_tier_to_string(d->matched[i].tier));
                json_object_end(w);
        }
        json_array_end(w);
}

static void write_missed(const GateDecision *d, JsonWriter *w) {
        json_key(w, "missed");
        json_array_begin(w);
        for (unsigned i = 0; i < d->n_missed; i++) {
                json_object_begin(w);
                json_kv_str(w, "failed", d->missed[i].failed);
                json_kv_str(w, "id", d->missed[i].id);
                json_object_end(w);
        }
        json_array_end(w);
}

static void write_needs(const GateDecision *d, JsonWriter *w) {
        json_key(w, "needs");
        json_array_begin(w);
        for (unsigned i = 0; i < d->n_needs; i++) {
                char text[64];
                snprintf(text, sizeof(text), "%s:%u", role_to_string((int)d->needs[i].role), d->needs[i].n);
                json_cstr(w, text);
        }
        json_array_end(w);
}

int gate_decision_body(const GateDecision *d, const GateInput *in, Buf *out) {
        JsonWriter w;
        json_init(&w, out, true);
        json_object_begin(&w);
        json_kv_str(&w, "approval_id", d->approval_id[0] ? d->approval_id : NULL);
        json_kv_str(&w, "code", code_to_string((int)d->code));
        json_key(&w, "digest");
        json_hex(&w, in->digest, 32);
        json_key(&w, "errors");
        json_array_begin(&w);
        for (unsigned i = 0; i < d->n_errors; i++)
                json_cstr(&w, d->errors[i]);
        json_array_end(&w);
        if (d->expires_us)
                json_kv_u64(&w, "expires_us", d->expires_us);
        write_missed(d, &w);
        json_kv_str(&w, "mode", mode_to_string((int)in->mode));
        if (d->expires_us)
                write_needs(d, &w);
        json_key(&w, "obligations");
        json_array_begin(&w);
        json_array_end(&w);
        json_kv_str(&w, "policy_revision", d->policy_revision);
        json_kv_str(&w, "purpose", in->purpose);
        json_kv_str(&w, "reason", d->reason);
        json_key(&w, "request");
        gate_input_to_json(in, &w);
        write_rules(d, &w);
        json_kv_str(&w, "verdict", verdict_to_string((int)d->verdict));
        json_kv_str(&w, "would",
                d->would != d->verdict && !GATE_FAULTY(NO_WOULD) ? verdict_to_string((int)d->would) : NULL);
        json_object_end(&w);
        return json_finish(&w);
}
