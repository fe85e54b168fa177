/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands, claims of others, answers and time. What this kernel sees itself is watch.c, what becomes of it
 * incident.c. The timer is computed when the shell has taken every command, so that one event moves it once,
 * and it stands still (NEVER) while nothing is sampled, no beat is awaited and no incident has a deadline.
 */
#include "immune/core-internal.h"
#include "common/cleanup.h"
#include "common/sha256.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int immune_core_new(const ImmuneConfig *cfg, ImmuneCore **ret) {
        ImmuneCore *c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        str_copy(c->self, sizeof(c->self), str_of(cfg->self));
        memcpy(c->seed, cfg->seed, sizeof(c->seed));
        c->policy = cfg->policy;
        c->armed_us = NEVER;
        c->bucket = (uint64_t)cfg->policy->burst * 1000000;
        list_init(&c->units);
        list_init(&c->incidents);
        list_init(&c->commands);
        *ret = c;
        return 0;
}

ImmuneCore *immune_core_free(ImmuneCore *c) {
        if (!c)
                return NULL;
        LIST_FOREACH_SAFE (n, nx, &c->units)
                unit_free(c, container_of(n, ImmuneUnit, node));
        LIST_FOREACH_SAFE (n, nx, &c->incidents)
                free(container_of(n, Incident, node));
        LIST_FOREACH_SAFE (n, nx, &c->commands)
                free(container_of(n, CmdNode, node));
        free(c->given);
        free(c);
        return NULL;
}

void immune_core_policy(ImmuneCore *c, const ImmunePolicy *p) {
        c->policy = p;
}

/* ---- commands */

uint64_t core_token(ImmuneCore *c) {
        return ++c->tokens;
}

void core_mint(ImmuneCore *c, const char *prefix, unsigned hex, char *out, size_t cap) {
        uint8_t in[24], hash[32];
        char text[65];

        memcpy(in, c->seed, 16);
        c->counter++;
        memcpy(in + 16, &c->counter, 8);
        sha256(in, sizeof(in), hash);
        hex_encode(hash, sizeof(hash), text);
        text[hex] = 0;
        snprintf(out, cap, "%s%s", prefix, text);
}

ImmuneCmd *core_command(ImmuneCore *c, ImmuneCmdKind kind, const Buf *body) {
        size_t n = body ? body->len : 0;
        CmdNode *node = malloc(sizeof(*node) + n);

        if (!node) {
                c->error = -ENOMEM;
                return NULL;
        }
        /* a timer is one of each sample */
        memset(node, 0, offsetof(CmdNode, cmd.claims));
        node->cmd.kind = kind;
        node->cmd.ref = node->cmd.incident = NO_INDEX;
        if (n > 0) {
                memcpy(node->body, body->data, n);
                node->cmd.body = (Str){node->body, n};
        }
        list_append(&c->commands, &node->node);
        return &node->cmd;
}

static uint64_t next_deadline(const ImmuneCore *c) {
        uint64_t at = NEVER;

        LIST_FOREACH (n, &c->incidents) {
                const Incident *i = container_of(n, Incident, node);
                if (i->deadline_us < at)
                        at = i->deadline_us;
        }
        LIST_FOREACH (n, &c->units) {
                const ImmuneUnit *u = container_of(n, ImmuneUnit, node);
                uint64_t due = unit_deadline(c, u);
                if (due < at)
                        at = due;
        }
        return at;
}

const ImmuneCmd *immune_next(ImmuneCore *c) {
        free(TAKE(c->given));
        if (list_empty(&c->commands)) {
                uint64_t at = next_deadline(c);
                if (at == c->armed_us)
                        return NULL;
                ImmuneCmd *cmd = core_command(c, IMMUNE_CMD_TIMER, NULL);
                if (!cmd)
                        return NULL;
                cmd->at_us = c->armed_us = at;
        }
        c->given = container_of(c->commands.next, CmdNode, node);
        list_remove(&c->given->node);
        return &c->given->cmd;
}

/* ---- start */

void core_resume(ImmuneCore *c, ImmuneNow now) {
        if (!c->folded || !c->have_units || c->resumed)
                return;
        c->resumed = true;
        LIST_INCIDENTS(i, c) {
                if (incident_open(i))
                        incident_resume(c, now, i);
        }
        LIST_FOREACH (n, &c->units)
                unit_detect_exits(c, now, container_of(n, ImmuneUnit, node), false);
}

int immune_folded(ImmuneCore *c, ImmuneNow now) {
        c->folded = true;
        core_resume(c, now);
        return c->error;
}

/* ---- claims */

static void report_to_alarm(const AnomalyReport *r, Detector by, Alarm *a) {
        *a = (Alarm){.severity = r->severity,
                .detector = by,
                .target = r->target,
                .source = r->source,
                .correlation_id = r->correlation_id,
                .score = r->score,
                .action = _HEAL_MAX,
                .constitutional = r->constitutional};
        anomaly_classify(str_of(r->type), &a->type);
        a->original = r->type;
        snprintf(a->text, sizeof(a->text), "%s: %s says %s (%s), score %u.%02u", r->target,
                r->source ? r->source : "somebody", r->type ? r->type : "?",
                severity_to_string((int)r->severity), r->score / 100, r->score % 100);
}

int immune_on_anomaly(ImmuneCore *c, ImmuneNow now, const AnomalyReport *r) {
        Alarm a;

        if (!r->target || !r->type || (r->source && strcmp(r->source, c->self) == 0))
                return c->error;
        if (!c->folded) { /* a claim can be made again */
                c->stats.dropped++;
                return c->error;
        }
        report_to_alarm(r, BY_REPORT, &a);
        incident_alarm(c, now, &a);
        return c->error;
}

static void invoke_refuse(ImmuneCore *c, uint64_t token, const char *code) {
        ImmuneCmd *cmd = core_command(c, IMMUNE_CMD_ANSWER, NULL);
        if (!cmd)
                return;
        cmd->token = token;
        str_copy(cmd->result, sizeof(cmd->result), str_of(code));
}

int immune_on_invoke(ImmuneCore *c, ImmuneNow now, uint64_t token, const AnomalyReport *r,
        HealingAction action, bool escalate) {
        Alarm a;

        /* Only what is a unit can be acted on; a person can be asked about anything. */
        if (!r->target || !r->type || (action < _HEAL_MAX && !core_unit(c, r->target))) {
                invoke_refuse(c, token, "E.NOT_FOUND");
                return c->error;
        }
        if (!c->folded) {
                invoke_refuse(c, token, "E.UNAVAILABLE");
                return c->error;
        }
        report_to_alarm(r, BY_WORKFLOW, &a);
        a.action = action;
        a.escalate = a.escalate || escalate;
        a.invoke = token;
        if (!incident_alarm(c, now, &a))
                invoke_refuse(c, token, "E.RATE_LIMIT");
        return c->error;
}

/* ---- answers */

int immune_on_proposal(ImmuneCore *c, ImmuneNow now, const ProposalReport *r) {
        LIST_INCIDENTS(i, c) {
                if (i->wait == WAIT_ANSWER && i->token == r->req) {
                        incident_answer(c, now, i, r);
                        return c->error;
                }
        }
        c->stats.dropped++;
        return c->error;
}

int immune_on_ack(ImmuneCore *c, ImmuneNow now, uint64_t token, bool ok, uint64_t index) {
        for (unsigned k = 0; k < c->n_acks; k++) {
                PendingAck p = c->acks[k];
                if (p.token != token)
                        continue;
                c->acks[k] = c->acks[--c->n_acks];
                if (ok) {
                        p.incident->last_index = index;
                        if (p.slot == SLOT_VERIFIED)
                                p.incident->verified_index = index;
                }
                return c->error;
        }
        LIST_INCIDENTS(i, c) {
                if ((i->wait == WAIT_ANOMALY || i->wait == WAIT_OPENED) && i->token == token) {
                        incident_ack(c, now, i, ok, index);
                        return c->error;
                }
        }
        return c->error;
}

static int by_key(const void *a, const void *b) {
        return strcmp(((const Evidence *)a)->key, ((const Evidence *)b)->key);
}

int immune_on_evidence(ImmuneCore *c, ImmuneNow now, uint64_t token, const Evidence *e, unsigned n) {
        LIST_INCIDENTS(i, c) {
                if (i->wait != WAIT_EVIDENCE || i->token != token)
                        continue;
                i->n_evidence = n < IMMUNE_EVIDENCE_MAX ? n : IMMUNE_EVIDENCE_MAX;
                if (i->n_evidence > 0) {
                        memcpy(i->evidence, e, i->n_evidence * sizeof(*e));
                        qsort(i->evidence, i->n_evidence, sizeof(*e), by_key); /* as the record has it */
                }
                incident_evidence(c, now, i);
                return c->error;
        }
        return c->error;
}

/* ---- time */

int immune_on_timer(ImmuneCore *c, ImmuneNow now) {
        c->armed_us = NEVER; /* it has fired */
        LIST_FOREACH (n, &c->units)
                unit_timer(c, now, container_of(n, ImmuneUnit, node));
        LIST_INCIDENTS(i, c) {
                if (i->deadline_us <= now.boot_us)
                        incident_deadline(c, now, i);
        }
        return c->error;
}

/* Mass failure: acting on many at once is how healing becomes the outage. Ends only after a quiet time. */
bool core_storm(ImmuneCore *c, ImmuneNow now) {
        unsigned wanted = 0, healthy = 0;

        LIST_FOREACH (n, &c->units) {
                const ImmuneUnit *u = container_of(n, ImmuneUnit, node);
                if (u->state == UNIT_INACTIVE || u->state == UNIT_EXITED || u->state == UNIT_STOPPING)
                        continue;
                wanted++;
                healthy += !unit_is_down(u->state) && u->health != HEALTH_UNHEALTHY;
        }
        bool mass = wanted >= c->policy->min_units && healthy * 100 < wanted * c->policy->min_healthy;
        if (mass) {
                if (!c->storm_until_us) {
                        c->stats.storms++;
                        ImmuneCmd *cmd = core_command(c, IMMUNE_CMD_PUBLISH, NULL);
                        if (cmd) {
                                str_copy(cmd->type, sizeof(cmd->type), STR_LIT("avn.storm_entered"));
                                str_copy(cmd->priority, sizeof(cmd->priority), STR_LIT("P0"));
                        }
                }
                c->storm_until_us = now.boot_us + c->policy->storm_quiet_us;
        } else if (c->storm_until_us && now.boot_us >= c->storm_until_us) {
                c->storm_until_us = 0;
        }
        return c->storm_until_us != 0;
}

/* Token bucket in millionths of a proposal. */
bool core_take_rate(ImmuneCore *c, ImmuneNow now) {
        uint64_t full = (uint64_t)c->policy->burst * 1000000, passed = now.boot_us - c->bucket_us;

        if (passed > full)
                passed = full;
        c->bucket += passed * c->policy->rate_per_s;
        c->bucket_us = now.boot_us;
        if (c->bucket > full)
                c->bucket = full;
        if (c->bucket < 1000000)
                return false;
        c->bucket -= 1000000;
        return true;
}

void immune_stats(const ImmuneCore *c, ImmuneStats *ret) {
        *ret = c->stats;
        ret->open = ret->in_flight = 0;
        LIST_FOREACH (n, &c->incidents) {
                const Incident *i = container_of(n, Incident, node);
                ret->open += incident_open(i);
                ret->in_flight += i->wait == WAIT_ANSWER;
        }
        ret->folded = c->folded;
        ret->storm = c->storm_until_us != 0;
}
