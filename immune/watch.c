/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel sees itself: units come and go, end, swell, fall silent. A detector looks at one
 * incarnation; what was learnt about a process says nothing about the next one, so it is forgotten with it.
 */
#include "immune/core-internal.h"
#include "common/cleanup.h"
#include "common/signals.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void unit_free(ImmuneCore *c, ImmuneUnit *u) {
        list_remove(&u->node);
        for (unsigned i = 0; i < u->n_labels; i++)
                free(u->labels[i]);
        free(u);
        c->n_units--;
}

ImmuneUnit *core_unit(const ImmuneCore *c, const char *name) {
        LIST_FOREACH (n, &c->units) {
                ImmuneUnit *u = container_of(n, ImmuneUnit, node);
                if (strcmp(u->name, name) == 0)
                        return u;
        }
        return NULL;
}

static ImmuneUnit *unit_get(ImmuneCore *c, const char *name) {
        ImmuneUnit *u = core_unit(c, name);
        if (u)
                return u;
        if (c->n_units >= IMMUNE_UNITS_MAX) {
                c->stats.dropped++;
                return NULL;
        }
        u = calloc(1, sizeof(*u));
        if (!u) {
                c->error = -ENOMEM;
                return NULL;
        }
        str_copy(u->name, sizeof(u->name), str_of(name));
        u->next_sample_us = NEVER;
        u->code = u->signal = -1;
        list_append(&c->units, &u->node);
        c->n_units++;
        return u;
}

unsigned unit_recent_ends(const ImmuneUnit *u, uint64_t now_us, uint64_t window_us) {
        unsigned kept = u->n_ends < ENDS_MAX ? u->n_ends : ENDS_MAX, n = 0;
        for (unsigned i = 0; i < kept; i++)
                n += now_us - u->ends_us[i] <= window_us;
        return n;
}

bool unit_same_incarnation(const ImmuneUnit *u, const Incident *i) {
        return u && u->pid && u->pid == i->pid && u->start_time == i->start_time;
}

bool unit_hard_signal(const ImmuneCore *c, const ImmuneUnit *u, ImmuneNow now) {
        return u->growth.alarmed || u->silent || u->health == HEALTH_UNHEALTHY ||
               u->state == UNIT_QUARANTINED || u->state == UNIT_FAILED ||
               unit_recent_ends(u, now.boot_us, c->policy->exits.window_us) >= c->policy->exits.repeats;
}

static const GrowthConfig *growth_config(const ImmuneCore *c, const ImmuneUnit *u) {
        return immune_policy_growth(c->policy, (const char *const *)u->labels, u->n_labels);
}

/* All units are read on one grid, so that a thousand of them cost one wake-up a second, not a thousand. */
static uint64_t sample_at(const GrowthConfig *g, uint64_t us) {
        return (us + g->interval_us - 1) / g->interval_us * g->interval_us;
}

static void unit_watch(ImmuneCore *c, ImmuneNow now, ImmuneUnit *u) {
        const GrowthConfig *g = growth_config(c, u);
        bool runs = u->pid && (u->state == UNIT_RUNNING || u->state == UNIT_RELOADING);

        if (!runs) {
                u->running_since_us = 0;
                u->next_sample_us = NEVER;
                return;
        }
        if (!u->running_since_us)
                u->running_since_us = now.boot_us ? now.boot_us : 1;
        if (u->next_sample_us == NEVER && g->enabled)
                u->next_sample_us = sample_at(g, u->running_since_us + g->settle_us);
}

/* Another process, or none: what was learnt about the last one says nothing about the next. */
static void unit_forget(ImmuneUnit *u) {
        growth_reset(&u->growth);
        u->next_sample_us = NEVER;
        u->running_since_us = 0;
        u->beat_interval_us = u->last_beat_us = 0;
        u->silent = false;
}

static int unit_static(ImmuneUnit *u, const UnitReport *r) {
        for (unsigned i = 0; i < u->n_labels; i++)
                free(TAKE(u->labels[i]));
        u->n_labels = 0;
        for (unsigned i = 0; i < r->n_labels && i < IMMUNE_LABELS_MAX; i++) {
                u->labels[i] = strdup(r->labels[i]);
                if (!u->labels[i])
                        return -ENOMEM;
                u->n_labels++;
        }
        u->critical = r->critical;
        u->can_fail = r->can_fail;
        u->heal = r->heal;
        u->priority_milli = r->priority_milli;
        u->known = u->mentioned = true;
        return 0;
}

/* Did this report end a process that nobody wanted to end? */
static bool unwanted_end(ImmuneUnit *u, const UnitReport *r) {
        bool wanted = r->reason == RESTART_OPERATOR || r->reason == RESTART_HEALING ||
                      r->reason == RESTART_DEPENDENCY;
        bool gone = u->pid && (r->pid != u->pid || r->start_time != u->start_time);
        bool well = u->ended_well;

        /* Guardian tells of the process that is gone while it empties the unit's group; how it ended comes
         * next. */
        if (r->state == UNIT_STOPPING) {
                u->dying |= gone;
                return false;
        }
        gone |= u->dying;
        u->dying = u->ended_well = false;
        if (unit_is_down(r->state))
                return !unit_is_down(u->state) && (gone || u->pid || u->state == UNIT_STARTING || well) &&
                       !wanted;
        if (r->state == UNIT_EXITED || r->state == UNIT_INACTIVE)
                return false;
        if (well && (r->state == UNIT_STARTING || r->pid))
                return !wanted;
        if (!gone || unit_is_down(u->state) || wanted)
                return false;
        u->ended_well = r->pid == 0 && r->code == 0;
        return !u->ended_well;
}

static void describe_exits(const ImmuneCore *c, ImmuneNow now, const ImmuneUnit *u, Alarm *a) {
        char window[32], how[64] = "", all[512];

        format_duration(c->policy->exits.window_us, window, sizeof(window));
        if (u->signal >= 0)
                snprintf(how, sizeof(how), ", last by %s", signal_name(u->signal < INT_MAX ? (int)u->signal : 0));
        else if (u->code >= 0)
                snprintf(how, sizeof(how), ", last with status %lld", (long long)u->code);
        snprintf(all, sizeof(all), "%s: %u ends in %s%s (%s), %llu restarts%s", u->name,
                unit_recent_ends(u, now.boot_us, c->policy->exits.window_us), window, how,
                restart_reason_to_string(u->reason), (unsigned long long)u->restarts,
                u->state == UNIT_QUARANTINED ? "; quarantined, its start limit is used up"
                                             : "; its own restart budget is at work");
        str_copy(a->text, sizeof(a->text), str_of(all)); /* a very long name costs the end of the sentence */
}

void unit_detect_exits(ImmuneCore *c, ImmuneNow now, ImmuneUnit *u, bool ended) {
        const ExitConfig *e = &c->policy->exits;
        bool quarantined = u->state == UNIT_QUARANTINED;
        bool repeated = ended && unit_recent_ends(u, now.boot_us, e->window_us) >= e->repeats;

        if (!e->enabled || !c->folded || (!quarantined && !repeated))
                return;
        Alarm a = {.type = ANOMALY_SERVICE_DOWN,
                .severity = quarantined ? e->quarantine_severity : e->severity,
                .detector = BY_EXITS,
                .target = u->name,
                .action = _HEAL_MAX,
                .baseline = e->repeats,
                .current = unit_recent_ends(u, now.boot_us, e->window_us)};
        describe_exits(c, now, u, &a);
        incident_alarm(c, now, &a);
}

static void look_at_target(ImmuneCore *c, ImmuneNow now, const ImmuneUnit *u) {
        LIST_INCIDENTS(i, c) {
                if (incident_open(i) && strcmp(i->target, u->name) == 0)
                        incident_look(c, now, i, u);
        }
}

static void unit_take(ImmuneUnit *u, const UnitReport *r) {
        if (r->pid != u->pid || r->start_time != u->start_time)
                unit_forget(u);
        u->pid = r->pid;
        u->start_time = r->start_time;
        u->state = r->state;
        if (r->snapshot)
                return;
        u->health = r->health;
        u->code = r->code;
        u->signal = r->signal;
        u->reason = r->reason;
        u->restarts = r->restarts;
}

int immune_on_unit(ImmuneCore *c, ImmuneNow now, const UnitReport *r) {
        ImmuneUnit *u = unit_get(c, r->unit);
        if (!u)
                return c->error;
        if (r->snapshot && unit_static(u, r) < 0)
                return c->error = -ENOMEM;

        bool was_quarantined = u->state == UNIT_QUARANTINED;
        bool ended = !r->snapshot && unwanted_end(u, r);
        if (!r->snapshot)
                u->changed_us = now.boot_us;
        if (!r->snapshot || u->changed_us <= c->snapshot_us) /* else the event knows better */
                unit_take(u, r);
        if (ended)
                u->ends_us[u->n_ends++ % ENDS_MAX] = now.boot_us;
        unit_watch(c, now, u);
        if (ended || (u->state == UNIT_QUARANTINED && !was_quarantined))
                unit_detect_exits(c, now, u, ended);
        look_at_target(c, now, u);
        return c->error;
}

void immune_snapshot_begin(ImmuneCore *c, ImmuneNow now) {
        c->snapshot_us = now.boot_us;
        LIST_FOREACH (n, &c->units)
                container_of(n, ImmuneUnit, node)->mentioned = false;
}

int immune_snapshot_end(ImmuneCore *c, ImmuneNow now) {
        LIST_FOREACH_SAFE (n, nx, &c->units) {
                ImmuneUnit *u = container_of(n, ImmuneUnit, node);
                if (u->mentioned)
                        continue;
                LIST_INCIDENTS(i, c) {
                        if (c->resumed && incident_open(i) && strcmp(i->target, u->name) == 0)
                                incident_close(
                                        c, now, i, RESULT_UNKNOWN, "the unit is not in the set any more");
                }
                unit_free(c, u);
        }
        c->have_units = true;
        core_resume(c, now);
        return c->error;
}

/* ---- signals */

static void growth_alarm(ImmuneCore *c, ImmuneNow now, ImmuneUnit *u, const GrowthAlarm *g) {
        Alarm a = {.type = ANOMALY_MEMORY_LEAK,
                .severity = c->policy->growth_severity,
                .detector = BY_GROWTH,
                .target = u->name,
                .action = _HEAL_MAX,
                .baseline = g->baseline,
                .current = g->rss,
                .rate = g->rate};

        snprintf(a.text, sizeof(a.text),
                "%s: memory grew from %llu.%llu MiB to %llu.%llu MiB, %llu.%llu MiB/s in %u of %u windows",
                u->name, (unsigned long long)(g->baseline >> 20),
                (unsigned long long)(g->baseline % 1048576 * 10 >> 20), (unsigned long long)(g->rss >> 20),
                (unsigned long long)(g->rss % 1048576 * 10 >> 20), (unsigned long long)(g->rate >> 20),
                (unsigned long long)(g->rate % 1048576 * 10 >> 20), g->grew, g->windows);
        incident_alarm(c, now, &a);
}

int immune_on_sample(
        ImmuneCore *c, ImmuneNow now, const char *unit, uint64_t pid, uint64_t start_time, uint64_t rss) {
        ImmuneUnit *u = core_unit(c, unit);
        GrowthAlarm g;

        /* An answer about a process that is not the unit's any more. */
        if (!u || u->pid != pid || u->start_time != start_time || rss == 0)
                return c->error;
        bool first = !u->growth.started;
        if (growth_sample(&u->growth, growth_config(c, u), now.boot_us, rss, &g)) {
                if (c->folded)
                        growth_alarm(c, now, u, &g);
                else
                        u->growth.alarmed = false; /* said again at the next window */
        }
        if (first)
                look_at_target(c, now, u);
        return c->error;
}

int immune_on_heartbeat(ImmuneCore *c, ImmuneNow now, const char *unit, uint64_t interval_us) {
        ImmuneUnit *u = core_unit(c, unit);

        if (!u || !u->pid)
                return c->error;
        bool back = u->silent;
        bool first = u->last_beat_us == 0;
        u->beat_interval_us = interval_us;
        u->last_beat_us = now.boot_us ? now.boot_us : 1;
        u->silent = false;
        if (back || first)
                look_at_target(c, now, u);
        return c->error;
}

static uint64_t beat_deadline(const ImmuneCore *c, const ImmuneUnit *u) {
        const HeartbeatConfig *h = &c->policy->heartbeat;
        uint64_t silence = u->beat_interval_us * h->missed;

        if (!h->enabled || !u->beat_interval_us || u->silent)
                return NEVER;
        return u->last_beat_us + (silence > h->min_silence_us ? silence : h->min_silence_us);
}

static void heartbeat_detect(ImmuneCore *c, ImmuneNow now, ImmuneUnit *u) {
        if (now.boot_us < beat_deadline(c, u))
                return;
        if (!c->folded) { /* ask again a beat later */
                u->last_beat_us = now.boot_us;
                return;
        }
        u->silent = true;
        if (u->state != UNIT_RUNNING)
                return;
        Alarm a = {.type = ANOMALY_DEADLOCK_DETECTED,
                .severity = c->policy->heartbeat.severity,
                .detector = BY_HEARTBEAT,
                .target = u->name,
                .action = _HEAL_MAX,
                .baseline = u->beat_interval_us,
                .current = now.boot_us - u->last_beat_us};
        char every[32], since[32];
        format_duration(u->beat_interval_us, every, sizeof(every));
        format_duration(a.current, since, sizeof(since));
        snprintf(a.text, sizeof(a.text), "%s: runs, but sent no heartbeat for %s (one is due every %s)",
                u->name, since, every);
        incident_alarm(c, now, &a);
}

static void sample_due(ImmuneCore *c, ImmuneNow now, ImmuneUnit *u) {
        const GrowthConfig *g = growth_config(c, u);

        if (u->next_sample_us > now.boot_us)
                return;
        u->next_sample_us = g->enabled ? sample_at(g, now.boot_us + 1) : NEVER;
        ImmuneCmd *cmd = g->enabled ? core_command(c, IMMUNE_CMD_SAMPLE, NULL) : NULL;
        if (!cmd)
                return;
        str_copy(cmd->resource, sizeof(cmd->resource), str_of(u->name));
        cmd->pid = u->pid;
        cmd->start_time = u->start_time;
}

void unit_timer(ImmuneCore *c, ImmuneNow now, ImmuneUnit *u) {
        sample_due(c, now, u);
        heartbeat_detect(c, now, u);
}

uint64_t unit_deadline(const ImmuneCore *c, const ImmuneUnit *u) {
        uint64_t beat = beat_deadline(c, u);
        return beat < u->next_sample_us ? beat : u->next_sample_us;
}
