/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/enforce/enforce-private.h"
#include <errno.h>
#include <stdio.h>

/* What Guardian itself refuses before anybody is asked. */
typedef struct Ask {
        const EnforceProposal *in;
        const EnforceVerb *verb;
        EnforceTarget target;
        char unit[129], correlation_id[81];
        const char *reason;
        char text[96]; /* of a reason that is made up here */
} Ask;

static void refuse(Enforce *e, const Ask *a, Code code) {
        EnforceReply r = {.waiter = a->in->waiter,
                .code = code,
                .verdict = VERDICT_NONE,
                .decision_index = NONE64,
                .intent_index = NONE64,
                .action_index = NONE64,
                .approval_id = "",
                .reason = a->reason ? a->reason : "",
                .correlation_id = a->correlation_id};
        if (r.waiter)
                e->ops.reply(e->user, &r);
}

static bool take_token(Enforce *e, EnforceNow now) {
        const uint64_t cap = ENFORCE_RATE_BURST * 1000ull;
        uint64_t gained =
                now.boot_us > e->bucket_us ? (now.boot_us - e->bucket_us) * ENFORCE_RATE_PER_S / 1000 : 0;
        if (gained > 0) {
                e->bucket_milli = gained > cap - e->bucket_milli ? cap : e->bucket_milli + gained;
                e->bucket_us = now.boot_us;
        }
        if (e->bucket_milli < 1000)
                return false;
        e->bucket_milli -= 1000;
        return true;
}

static Code check_who(Enforce *e, Ask *a, EnforceNow now) {
        a->verb = enforce_verb(a->in->action);
        if (!a->verb || enforce_is_own_verb(a->verb)) {
                a->reason = "there is no such action";
                return CODE_UNKNOWN_ACTION;
        }
        if (a->in->kind == ACTOR_PERSON && a->in->role < a->verb->role && !FAULTY(FAULT_NO_ROLES)) {
                snprintf(a->text, sizeof(a->text), "your role is %s; it takes %s",
                        role_to_string((int)a->in->role), role_to_string((int)a->verb->role));
                a->reason = a->text;
                return CODE_DENIED_BY_ROLE;
        }
        bool proposer = a->in->kind == ACTOR_UNIT && strcmp(a->in->actor, e->proposer_unit) == 0;
        if (a->in->kind != ACTOR_PERSON && !(proposer && a->verb->healing) && !FAULTY(FAULT_UNIT_ASKS)) {
                a->reason = "a unit may not ask for this";
                return CODE_DENIED_BY_ROLE;
        }
        if (a->in->kind == ACTOR_UNIT && !take_token(e, now)) {
                e->counters.rate_limited++;
                return CODE_RATE_LIMITED;
        }
        return CODE_OK;
}

static Str arg_value(const EnforceProposal *in, const char *key) {
        for (unsigned i = 0; i < in->n_args; i++) {
                Str k, v;
                if (str_split(in->args[i], '=', &k, &v) && str_eq(k, key))
                        return v;
        }
        return (Str){NULL, 0};
}

static bool args_fit(const Ask *a) {
        const EnforceProposal *in = a->in;
        if (in->n_args > REQUEST_ARGS_MAX)
                return false;
        for (unsigned i = 0; i < in->n_args; i++) {
                Str k, v;
                if (in->args[i].n >= sizeof(((ActionRequest *)NULL)->args[0]) ||
                        !str_split(in->args[i], '=', &k, &v) || k.n == 0 || k.n > 63)
                        return false;
                for (size_t c = 0; c < k.n; c++)
                        if ((unsigned char)k.p[c] <= ' ' || (unsigned char)k.p[c] > '~' || k.p[c] == '"' ||
                                k.p[c] == '\\')
                                return false;
                if (memchr(in->args[i].p, 0, in->args[i].n) || !str_utf8_valid(v))
                        return false;
        }
        if (strcmp(a->verb->name, "mode") == 0)
                return mode_from_string(arg_value(in, "mode")) > (int)MODE_NONE;
        if (strcmp(a->verb->name, "lockdown") == 0)
                return str_eq(arg_value(in, "state"), "on") || str_eq(arg_value(in, "state"), "off");
        return true;
}

bool heal_listed(const EnforceTarget *t, const EnforceVerb *v) {
        for (unsigned i = 0; i < t->n_heal; i++)
                if (str_eq(t->heal[i], v->name))
                        return true;
        return FAULTY(FAULT_NO_HEAL);
}

static Code check_target(Enforce *e, Ask *a) {
        if (a->verb->unit) {
                str_copy(a->unit, sizeof(a->unit), a->in->target);
                if (a->in->target.n >= sizeof(a->unit) || !e->ops.target(e->user, a->unit, &a->target)) {
                        a->reason = "there is no such unit";
                        return CODE_UNKNOWN_UNIT;
                }
        } else {
                str_copy(a->unit, sizeof(a->unit), STR_LIT(SELF));
                a->target.incarnation.pid = e->cfg.pid;
                a->target.incarnation.start_time = e->cfg.start_time;
        }
        memcpy(a->target.incarnation.boot_id, e->cfg.boot_id, 16);
        if (!args_fit(a)) {
                a->reason = "an argument is missing or malformed";
                return CODE_INVALID;
        }
        if ((a->target.pinned_up && strcmp(a->verb->name, "stop") == 0) ||
                (a->target.pinned_down && a->verb->healing)) {
                a->reason = "the unit is pinned";
                return CODE_PINNED;
        }
        if (!a->verb->healing)
                return CODE_OK;
        if (!heal_listed(&a->target, a->verb)) {
                a->reason = "the unit's Heal= does not list this action";
                return CODE_HEAL_NOT_LISTED;
        }
        return CODE_OK;
}

/* One open proposal per target; a person's verb may pass one that only waits for people (its act voids it).
 */
static Code check_room(Enforce *e, Ask *a, EnforceNow now) {
        for (unsigned i = 0; i < ELEMENTSOF(e->open); i++) {
                const Proposal *o = e->open[i];
                if (!o || o->ungated || strcmp(o->r.target, a->unit) != 0)
                        continue;
                if (!a->verb->healing && o->stage == STAGE_ASKED)
                        continue;
                if (FAULTY(FAULT_TWO_OPEN) || (FAULTY(FAULT_UNRECORDED) && o->stage == STAGE_RECORD))
                        continue;
                a->reason = o->stage == STAGE_RECORD ? "a result on this unit is not on record yet"
                                                     : "another proposal on this unit is open";
                return CODE_TARGET_BUSY;
        }
        if (a->verb->healing && e->paused) {
                a->reason = e->pause_reason;
                return CODE_PAUSED;
        }
        if (a->verb->healing && flow_ceiling(e, a->unit, now)) {
                e->counters.ceilings++;
                a->reason = "Guardian's hard ceiling of healing acts is reached";
                return CODE_CEILING;
        }
        return CODE_OK;
}

static Proposal *slot(Enforce *e, const Ask *a, bool ungated, EnforceNow now) {
        const EnforceProposal *in = a->in;
        Proposal *p = proposal_new(e, ungated);
        if (!p)
                return NULL;
        size_t total = 0;
        for (unsigned i = 0; i < in->n_claims; i++)
                total += in->claims[i].n + 1;
        p->claims = malloc(total ? total : 1);
        if (!p->claims) {
                proposal_free(e, p);
                return NULL;
        }
        char *to = p->claims;
        for (unsigned i = 0; i < in->n_claims && i < ENFORCE_CLAIMS_MAX; i++, p->n_claims++) {
                str_copy(to, in->claims[i].n + 1, in->claims[i]);
                to += in->claims[i].n + 1;
        }
        p->verb = a->verb;
        p->waiter = in->waiter;
        p->kind = in->kind;
        p->uid = in->uid;
        p->role = in->role;
        p->lockdown_epoch = e->lockdown_epoch;
        p->use_by_us = now.boot_us + ENFORCE_USE_BY_US;
        p->r.incident = in->incident;
        p->r.incarnation = a->target.incarnation;
        str_copy(p->r.actor, sizeof(p->r.actor), str_of(in->actor));
        str_copy(p->r.action, sizeof(p->r.action), str_of(a->verb->name));
        str_copy(p->r.target, sizeof(p->r.target), str_of(a->unit));
        for (unsigned i = 0; i < in->n_args; i++)
                str_copy(p->r.args[p->r.n_args++], sizeof(p->r.args[0]), in->args[i]);
        str_copy(p->reason, sizeof(p->reason), in->reason);
        str_copy(p->correlation_id, sizeof(p->correlation_id), str_of(a->correlation_id));
        e->ops.random16(e->user, p->r.request_id);
        return p;
}

static void run_ungated(Enforce *e, Ask *a, const char *why, EnforceNow now) {
        Proposal *p = slot(e, a, true, now);
        if (!p)
                refuse(e, a, CODE_BUSY);
        else
                flow_act_ungated(e, p, why, now);
}

static void run_governed(Enforce *e, Ask *a, EnforceNow now) {
        Proposal *p = slot(e, a, false, now);
        if (!p) {
                refuse(e, a, CODE_BUSY);
                return;
        }
        if (request_sort_args(&p->r) < 0) {
                flow_end(e, p, CODE_INVALID, "an argument is malformed or given twice");
                return;
        }
        request_digest(&p->r, p->digest);
        flow_ask_gate(e, p, now);
}

static bool is_bootstrap(const Ask *a) {
        if (FAULTY(FAULT_BOOTSTRAP_WAITS))
                return false;
        return a->verb->bootstrap && a->verb->unit &&
               (enforce_is_bootstrap_unit(a->unit) || FAULTY(FAULT_BOOTSTRAP_ANY));
}

static bool works_ungated(const Ask *a, bool down) {
        if (FAULTY(FAULT_UNGATED_NONE))
                return false;
        return (down || FAULTY(FAULT_UNGATED_UP)) && (a->verb->ungated || FAULTY(FAULT_UNGATED_ALL));
}

static void decide_way(Enforce *e, Ask *a, EnforceNow now) {
        bool admin = a->in->kind == ACTOR_PERSON && a->in->role == ROLE_ADMIN;
        if (!e->cfg.has_gate) {
                a->reason = "this set has no governance unit";
                if (a->verb->healing)
                        refuse(e, a, CODE_GOVERNANCE_ABSENT);
                else
                        run_ungated(e, a, "governance absent", now);
                return;
        }
        admin = admin || FAULTY(FAULT_UNGATED_ROLE);
        if (admin && is_bootstrap(a)) {
                run_ungated(e, a, "bootstrap", now);
                return;
        }
        bool ledger_down = ledger_state(e, now) != PART_READY && !FAULTY(FAULT_LEDGER_NOT_GATE);
        bool down = ledger_down || gate_state(e, now) != PART_READY;
        if (admin && works_ungated(a, down)) {
                run_ungated(e, a, ledger_down ? "ledger down" : "governance down", now);
                return;
        }
        Code code = down ? CODE_OK : check_room(e, a, now);
        if (down && !FAULTY(FAULT_DOWN_ASKS)) {
                code = unavailable(e, now);
                a->reason = e->rollback      ? "the ledger lost records that it had acknowledged"
                            : ledger_down    ? "the ledger is not available"
                            : e->gate_failed ? e->gate_issue
                                             : "governance is not available";
        }
        if (code != CODE_OK)
                refuse(e, a, code);
        else
                run_governed(e, a, now);
}

void enforce_propose(Enforce *e, const EnforceProposal *in, EnforceNow now) {
        Ask a = {.in = in};
        e->counters.proposals++;
        make_correlation(e, in->correlation_id, a.correlation_id);
        Code code = check_who(e, &a, now);
        if (code == CODE_OK)
                code = check_target(e, &a);
        if (code != CODE_OK)
                refuse(e, &a, code);
        else
                decide_way(e, &a, now);
        notice(e, now);
}

int enforce_proposal_from_msg(const Msg *m, const char *unit, EnforceProposal *p) {
        Str s;
        *p = (EnforceProposal){.kind = ACTOR_UNIT, .actor = unit};
        p->action = msg_str(m, TAG_ACTION);
        p->target = msg_str(m, TAG_TARGET);
        p->incident = msg_u64(m, TAG_INCIDENT, NONE64);
        p->reason = msg_str(m, TAG_REASON);
        p->correlation_id = msg_str(m, TAG_CORRELATION_ID);
        for (size_t pos = 0; msg_next_str(m, TAG_ARG, &pos, &s);) {
                if (p->n_args == REQUEST_ARGS_MAX)
                        return -EINVAL;
                p->args[p->n_args++] = s;
        }
        for (size_t pos = 0; msg_next_str(m, TAG_CLAIM, &pos, &s);) {
                if (p->n_claims == ENFORCE_CLAIMS_MAX)
                        return -EINVAL;
                p->claims[p->n_claims++] = s;
        }
        return 0;
}
