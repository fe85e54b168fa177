/* SPDX-License-Identifier: Apache-2.0 */
/* A leak in virtual time, through the detector, the ladder and the records, with a ledger that only counts.
 */
#include "immune/immune.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MINUTES = 30 };

typedef struct Trial {
        ImmuneCore *core;
        ImmuneNow now;
        uint64_t timer_us, records;
        bool proposed, escalated;
} Trial;

static int drain(Trial *t) {
        const ImmuneCmd *cmd;
        int r = 0;

        while (r == 0 && (cmd = immune_next(t->core))) {
                if (cmd->kind == IMMUNE_CMD_APPEND)
                        r = immune_on_ack(t->core, t->now, cmd->token, true, t->records++);
                else if (cmd->kind == IMMUNE_CMD_SAMPLE)
                        r = immune_on_sample(
                                t->core, t->now, "probe", 2, 1, (64ULL << 20) + t->now.boot_us * 64);
                else if (cmd->kind == IMMUNE_CMD_EVIDENCE)
                        r = immune_on_evidence(t->core, t->now, cmd->token, NULL, 0);
                else if (cmd->kind == IMMUNE_CMD_PROPOSE)
                        t->proposed = true;
                else if (cmd->kind == IMMUNE_CMD_TIMER)
                        t->timer_us = cmd->at_us;
        }
        return r;
}

static int play(Trial *t) {
        UnitReport u = {.unit = "probe",
                .state = UNIT_RUNNING,
                .pid = 2,
                .start_time = 1,
                .snapshot = true,
                .code = -1,
                .signal = -1,
                .heal = (1U << _HEAL_MAX) - 1};
        ImmuneStats s = {0};

        immune_snapshot_begin(t->core, t->now);
        int r = immune_on_unit(t->core, t->now, &u);
        if (r == 0)
                r = immune_snapshot_end(t->core, t->now);
        if (r == 0)
                r = immune_folded(t->core, t->now);
        while (r == 0 && t->now.boot_us < MINUTES * 60 * 1000000ULL && !t->proposed && !t->escalated) {
                r = drain(t);
                if (t->timer_us == UINT64_MAX)
                        break;
                t->now.boot_us = t->timer_us;
                r = r < 0 ? r : immune_on_timer(t->core, t->now);
                immune_stats(t->core, &s);
                t->escalated = s.escalated > 0;
        }
        return r;
}

int immune_self_test(const ImmunePolicy *policy, char *why, size_t cap) {
        ImmuneConfig cfg = {.self = "immune", .policy = policy};
        Trial t = {.timer_us = UINT64_MAX, .now = {1000000, 1}};

        if (!policy->growth.enabled)
                return 0;
        int r = immune_core_new(&cfg, &t.core);
        if (r == 0)
                r = play(&t);
        t.core = immune_core_free(t.core);
        if (r < 0) {
                snprintf(why, cap, "a trial leak could not be played: %s", strerror(-r));
                return r;
        }
        if (!t.proposed && !t.escalated) {
                snprintf(why, cap, "a leak of 64 MB a second led neither to a proposal nor to a person");
                return -EBADMSG;
        }
        return 0;
}
