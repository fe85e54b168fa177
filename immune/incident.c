/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one incident: opened by a signal, joined by the same signal, verified by it, closed. How the
 * ladder between is walked is ladder.c.
 */
#include "immune/core-internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLAIM_INCIDENTS_MAX = IMMUNE_INCIDENTS_MAX / 2 };

bool incident_open(const Incident *i) {
        return i->state != INCIDENT_CLOSED;
}

void incident_wait(Incident *i, IncidentWait wait, uint64_t deadline_us) {
        i->wait = wait;
        i->deadline_us = deadline_us;
        i->token = 0;
}

void incident_set_state(ImmuneCore *c, Incident *i, IncidentState state) {
        i->state = state;
        record_incident(c, i, 0);
}

/* ---- opening */

static void forget_incident(ImmuneCore *c, Incident *i) {
        for (unsigned k = 0; k < c->n_acks;) {
                if (c->acks[k].incident == i)
                        c->acks[k] = c->acks[--c->n_acks];
                else
                        k++;
        }
        list_remove(&i->node);
        free(i);
        c->n_incidents--;
}

bool incident_make_room(ImmuneCore *c) {
        if (c->n_incidents < IMMUNE_INCIDENTS_MAX)
                return true;
        LIST_FOREACH (n, &c->incidents) {
                Incident *i = container_of(n, Incident, node);
                if (!incident_open(i)) {
                        forget_incident(c, i);
                        return true;
                }
        }
        return false;
}

/* Whoever can only talk can't crowd out what this kernel sees itself. */
static bool claims_full(const ImmuneCore *c) {
        unsigned claims = 0;

        LIST_FOREACH (n, &c->incidents) {
                const Incident *i = container_of(n, Incident, node);
                claims += incident_open(i) && incident_is_claim(i);
        }
        return claims >= CLAIM_INCIDENTS_MAX;
}

static void take_signal(ImmuneCore *c, ImmuneNow now, Incident *i, const Alarm *a) {
        const ImmuneUnit *u = core_unit(c, a->target);

        i->severity = a->severity;
        i->detector = a->detector;
        i->baseline = a->baseline;
        i->current = a->current;
        i->rate = a->rate;
        i->score = a->score;
        i->constitutional = i->constitutional || a->constitutional;
        i->pid = u ? u->pid : 0;
        i->start_time = u ? u->start_time : 0;
        i->last_seen_us = now.boot_us;
        str_copy(i->text, sizeof(i->text), str_of(a->text));
        str_copy(i->source, sizeof(i->source), str_of(a->source ? a->source : c->self));
        if (a->original)
                str_copy(i->original, sizeof(i->original), str_of(a->original));
}

static void answer_invokes(ImmuneCore *c, Incident *i) {
        Buf b = BUF_INIT(4096);
        JsonWriter w;

        if (!i->n_invokes)
                return;
        json_init(&w, &b, true);
        json_object_begin(&w);
        json_kv_str(&w, "correlation_id", i->correlation);
        json_kv_str(&w, "incident", i->id);
        json_kv_str(&w, "state", incident_state_to_string((int)i->state));
        json_object_end(&w);
        bool good = json_finish(&w) == 0;
        for (; good && i->n_invokes; i->n_invokes--) {
                ImmuneCmd *cmd = core_command(c, IMMUNE_CMD_ANSWER, &b);
                if (!cmd)
                        break;
                cmd->token = i->invokes[i->n_invokes - 1];
                str_copy(cmd->result, sizeof(cmd->result), STR_LIT("ok"));
                str_copy(cmd->correlation_id, sizeof(cmd->correlation_id), str_of(i->correlation));
        }
        buf_done(&b);
}

/* False: too many wait for the same record already. */
static bool take_invoke(Incident *i, uint64_t token) {
        if (token && i->n_invokes == INVOKES_WAITING_MAX)
                return false;
        if (token)
                i->invokes[i->n_invokes++] = token;
        return true;
}

static Incident *create(ImmuneCore *c, ImmuneNow now, const Alarm *a) {
        bool claim = a->detector == BY_REPORT || a->detector == BY_WORKFLOW;
        if ((claim && claims_full(c)) || !incident_make_room(c)) {
                c->stats.dropped++;
                return NULL;
        }
        Incident *i = calloc(1, sizeof(*i));
        if (!i) {
                c->error = -ENOMEM;
                return NULL;
        }
        core_mint(c, "inc_", 16, i->id, sizeof(i->id));
        if (a->correlation_id && strncmp(a->correlation_id, "cor_", 4) == 0 &&
                strlen(a->correlation_id) <= 80)
                str_copy(i->correlation, sizeof(i->correlation), str_of(a->correlation_id));
        else
                core_mint(c, "cor_", 32, i->correlation, sizeof(i->correlation));
        str_copy(i->target, sizeof(i->target), str_of(a->target));
        i->type = a->type;
        i->opened_ns = now.wall_ns;
        i->seen = 1;
        i->action = _HEAL_MAX;
        i->operator_condition = a->detector == BY_WORKFLOW;
        take_invoke(i, a->invoke);
        i->anomaly_index = i->opened_index = i->decision_index = i->intent_index = i->action_index = NO_INDEX;
        i->verified_index = i->last_index = NO_INDEX;
        take_signal(c, now, i, a);
        list_append(&c->incidents, &i->node);
        c->n_incidents++;
        c->stats.incidents++;
        c->stats.anomalies++;
        plan_incident(c, now, i, core_unit(c, i->target), a->action, a->escalate);
        incident_wait(i, WAIT_ANOMALY, NEVER);
        i->token = core_token(c);
        record_anomaly(c, i, i->token);
        if (a->detector != BY_REPORT) /* a report is an event already */
                publish_incident(c, i, "anomaly.detected", a->severity == SEVERITY_CRITICAL ? "P0" : "P1");
        return i;
}

/* The same again while the incident is open. False: who asks for it is one too many. */
static bool join(ImmuneCore *c, ImmuneNow now, Incident *i, const Alarm *a) {
        bool worse = a->severity > i->severity;
        bool planned = i->wait != WAIT_ANOMALY && i->wait != WAIT_OPENED;
        bool asks = a->invoke && (i->wait == WAIT_OBSERVE || i->wait == WAIT_HELD);

        if (!take_invoke(i, a->invoke))
                return false;
        i->seen++;
        i->last_seen_us = now.boot_us;
        if (a->invoke)
                i->operator_condition = true;
        if (planned)
                answer_invokes(c, i);
        if (i->state == INCIDENT_VERIFIED) { /* it came back: the next rung */
                take_signal(c, now, i, a);
                c->stats.anomalies++;
                record_anomaly(c, i, 0);
                diagnose(c, now, i, core_unit(c, i->target));
                i->outcome = RESULT_NOT_FIXED;
                str_copy(i->reason, sizeof(i->reason), STR_LIT("the signal came back"));
                i->step++;
                incident_set_state(c, i, INCIDENT_FAILED);
                incident_advance(c, now, i);
                return true;
        }
        if (!worse && !asks) {
                c->stats.deduped++;
                return true;
        }
        if (worse) {
                take_signal(c, now, i, a);
                c->stats.anomalies++;
                record_anomaly(c, i, 0);
                diagnose(c, now, i, core_unit(c, i->target));
        }
        /* While an answer or a verification is awaited the plan stands; a person who was asked is asked no
         * second time. */
        if (i->wait == WAIT_ANSWER || i->wait == WAIT_VERIFY || i->state == INCIDENT_ESCALATED ||
                i->wait == WAIT_ANOMALY)
                return true;
        plan_incident(c, now, i, core_unit(c, i->target), a->action, a->escalate);
        if (i->wait != WAIT_OPENED)
                incident_advance(c, now, i);
        return true;
}

Incident *incident_alarm(ImmuneCore *c, ImmuneNow now, const Alarm *a) {
        LIST_FOREACH (n, &c->incidents) {
                Incident *i = container_of(n, Incident, node);
                if (i->type != a->type || strcmp(i->target, a->target) != 0)
                        continue;
                if (incident_open(i))
                        return join(c, now, i, a) ? i : NULL;
                bool claim = a->detector == BY_REPORT || a->detector == BY_WORKFLOW;
                if (claim && i->last_seen_us && now.boot_us - i->last_seen_us < c->policy->dedupe_us) {
                        c->stats.deduped++;
                        return NULL;
                }
        }
        return create(c, now, a);
}

void incident_ack(ImmuneCore *c, ImmuneNow now, Incident *i, bool ok, uint64_t index) {
        if (!ok) { /* not on record, so nothing may follow from it: said again later */
                c->stats.dropped++;
                i->token = 0;
                i->deadline_us = now.boot_us + c->policy->retry_min_us;
                return;
        }
        i->last_index = index;
        if (i->wait == WAIT_ANOMALY) {
                i->anomaly_index = index;
                diagnose(c, now, i, core_unit(c, i->target));
                incident_wait(i, WAIT_OPENED, NEVER);
                i->token = core_token(c);
                record_incident(c, i, i->token);
                return;
        }
        i->opened_index = index;
        incident_wait(i, WAIT_NONE, NEVER);
        publish_incident(c, i, "incident.opened", "P1");
        answer_invokes(c, i);
        incident_advance(c, now, i);
}

/* ---- ends of the ladder */

void incident_close(ImmuneCore *c, ImmuneNow now, Incident *i, IncidentOutcome outcome, const char *reason) {
        incident_wait(i, WAIT_NONE, NEVER);
        i->outcome = outcome;
        i->closed_ns = now.wall_ns;
        str_copy(i->reason, sizeof(i->reason), str_of(reason));
        incident_set_state(c, i, INCIDENT_CLOSED);
        publish_incident(c, i, "incident.closed", "P2");
}

void incident_escalate(ImmuneCore *c, Incident *i, const char *reason) {
        /* Claims fall silent by themselves; a signal of ours is looked at whenever its unit changes. */
        incident_wait(i, WAIT_SIGNAL, incident_is_claim(i) ? i->last_seen_us + c->policy->dedupe_us : NEVER);
        str_copy(i->reason, sizeof(i->reason), str_of(reason));
        c->stats.escalated++;
        incident_set_state(c, i, INCIDENT_ESCALATED);
        publish_incident(c, i, "incident.escalated", "P0");
}

static void verified(ImmuneCore *c, ImmuneNow now, Incident *i, const char *how) {
        i->outcome = RESULT_FIXED;
        i->state = INCIDENT_VERIFIED;
        str_copy(i->reason, sizeof(i->reason), str_of(how));
        incident_wait(i, WAIT_STABLE, now.boot_us + i->stable_for_us);
        if (c->n_acks < sizeof(c->acks) / sizeof(c->acks[0])) {
                PendingAck p = {core_token(c), i, SLOT_VERIFIED};
                c->acks[c->n_acks++] = p;
                record_incident(c, i, p.token);
        } else {
                record_incident(c, i, 0);
        }
        publish_incident(c, i, "incident.verified", "P2");
}

void incident_failed(ImmuneCore *c, ImmuneNow now, Incident *i, IncidentOutcome outcome, const char *reason) {
        const ImmuneUnit *u = core_unit(c, i->target);

        incident_wait(i, WAIT_NONE, NEVER);
        if (u) { /* the signal is this process's now */
                i->pid = u->pid;
                i->start_time = u->start_time;
        }
        if (i->rerun) { /* nothing of ours ran: the same rung again, but not for ever */
                i->rerun = false;
                if (++i->reruns > 3)
                        incident_escalate(c, i, "the target changes by itself, and the signal stays");
                else
                        incident_advance(c, now, i);
                return;
        }
        i->outcome = outcome;
        i->step++;
        str_copy(i->reason, sizeof(i->reason), str_of(reason));
        c->stats.failed++;
        incident_set_state(c, i, INCIDENT_FAILED);
        publish_incident(c, i, "avn.healing_failed", "P1");
        incident_advance(c, now, i);
}

/* ---- verification, by the signal that raised it */

typedef enum Verdict3 { NOT_YET, GONE, STILL, GREW } Verdict3;

static Verdict3 growth_verdict(const ImmuneCore *c, const Incident *i, const ImmuneUnit *u) {
        const GrowthConfig *g = immune_policy_growth(c->policy, (const char *const *)u->labels, u->n_labels);

        if (unit_same_incarnation(u, i) || !u->growth.started)
                return NOT_YET;
        if (u->growth.first * 100 < i->current * g->verify_percent)
                return GONE;
        return u->growth.first >= i->current ? GREW : STILL;
}

/* final: no more time, NOT_YET is not an answer any more. */
static Verdict3 look(const ImmuneCore *c, const Incident *i, const ImmuneUnit *u, bool final) {
        Verdict3 v = NOT_YET;
        bool up = u && u->state == UNIT_RUNNING && u->health != HEALTH_UNHEALTHY;

        if (!u)
                return final ? STILL : NOT_YET;
        if (u->state == UNIT_QUARANTINED || u->state == UNIT_FAILED)
                return STILL;
        switch (i->detector) {
        case BY_GROWTH:
                v = growth_verdict(c, i, u);
                break;
        case BY_HEARTBEAT:
                v = u->last_beat_us > i->healed_us && !u->silent ? GONE : NOT_YET;
                break;
        case BY_EXITS:
                v = final && up ? GONE : NOT_YET;
                break;
        case BY_REPORT:
        case BY_WORKFLOW:
                v = final && up && i->last_seen_us <= i->healed_us ? GONE : NOT_YET;
                break;
        case _DETECTOR_MAX:
                break;
        }
        return v == NOT_YET && final ? STILL : v;
}

static void describe_fixed(const Incident *i, const ImmuneUnit *u, char *out, size_t cap) {
        if (i->detector == BY_GROWTH)
                snprintf(out, cap, "memory is %llu.%llu MiB in the new process, it was %llu.%llu MiB",
                        (unsigned long long)(u->growth.first >> 20),
                        (unsigned long long)(u->growth.first % 1048576 * 10 >> 20),
                        (unsigned long long)(i->current >> 20),
                        (unsigned long long)(i->current % 1048576 * 10 >> 20));
        else if (i->detector == BY_HEARTBEAT)
                snprintf(out, cap, "heartbeats arrive again");
        else
                snprintf(out, cap, "it runs, and the signal was not seen again");
}

void incident_judge(ImmuneCore *c, ImmuneNow now, Incident *i, const ImmuneUnit *u, bool final) {
        char how[200];

        switch (look(c, i, u, final)) {
        case GONE:
                describe_fixed(i, u, how, sizeof(how));
                i->rerun = false;
                verified(c, now, i, how);
                break;
        case STILL:
                incident_failed(c, now, i, RESULT_NOT_FIXED, "the signal is still there");
                break;
        case GREW:
                incident_failed(c, now, i, RESULT_WORSE, "the signal is stronger than before");
                break;
        case NOT_YET:
                break;
        }
}

void incident_begin_verification(ImmuneCore *c, ImmuneNow now, Incident *i, bool acted) {
        i->healed_us = now.boot_us;
        i->rerun = !acted;
        incident_wait(i, WAIT_VERIFY, now.boot_us + i->verify_within_us);
        /* The unit may have come up before the answer did. */
        const ImmuneUnit *u = core_unit(c, i->target);
        if (u && i->detector == BY_GROWTH)
                incident_judge(c, now, i, u, false);
}

void incident_look(ImmuneCore *c, ImmuneNow now, Incident *i, const ImmuneUnit *u) {
        if (i->wait == WAIT_VERIFY) {
                incident_judge(c, now, i, u, false);
        } else if (i->wait == WAIT_SIGNAL) {
                bool up = u->state == UNIT_RUNNING && u->health != HEALTH_UNHEALTHY;
                Verdict3 v = i->detector == BY_EXITS && up ? GONE : look(c, i, u, false);
                char how[200];
                if (v != GONE)
                        return;
                describe_fixed(i, u, how, sizeof(how));
                verified(c, now, i, how);
        }
}
