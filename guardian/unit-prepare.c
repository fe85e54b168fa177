/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command of a unit needs of the file system is gathered on a thread (prepare.h, worker.h): a disk
 * that hangs makes one unit wait, never PID 1. The command is carried out when the answer is there, unless
 * the unit has gone another way meanwhile; then the answer is dropped whenever it comes. A unit has one
 * thread at most: while an old one hangs the next one waits for it.
 */
#include "common/log.h"
#include "guardian/manager.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Preparation {
        WorkerJob job;
        ManagedUnit *u;
        UnitCommand command;
        UnitPhase phase; /* of the unit when it asked, with instance and index: whose answer this is */
        uint64_t instance;
        unsigned index;
        PrepareRequest request;
        PrepareProgress at;
        Prepared found;
        int error;
        char *why; /* owned, NULL: nothing to say or no memory for it */
};

static void on_run(WorkerJob *j) {
        Preparation *p = container_of(j, Preparation, job);
        p->error = prepare_run(&p->request, &p->at, &p->found, &p->why);
}

static void preparation_free(Preparation *p) {
        prepared_done(&p->found);
        free(p->why);
        free(p);
}

/* The one that was dropped is back: whoever waited for it may begin. */
static void dropped(Preparation *p) {
        ManagedUnit *u = p->u;
        u->hanging = NULL;
        preparation_free(p);
        if (u->preparation)
                worker_start(u->m->workers, &u->preparation->job);
}

/* The program that every instance of a chunk runs is kept open from the first time on. */
static void take_over(ManagedUnit *u, Preparation *p) {
        if (u->prepared)
                prepared_done(u->prepared);
        else
                u->prepared = malloc(sizeof(*u->prepared));
        if (!u->prepared) {
                p->error = -ENOMEM;
                return;
        }
        *u->prepared = p->found;
        p->found = (Prepared){.exe = {.fd = -1}};
        if (!u->prepared->planned)
                return;
        u->exe = u->prepared->exe;
        u->prepared->exe = (LaunchExe){.fd = -1};
}

static void on_done(WorkerJob *j) {
        Preparation *p = container_of(j, Preparation, job);
        ManagedUnit *u = p->u;
        if (u->preparation != p) {
                dropped(p);
                return;
        }
        u->preparation = NULL;
        if (p->error == 0)
                take_over(u, p);
        if (p->error < 0) {
                const char *why = p->why ? p->why : strerror(-p->error);
                unit_issue(u, "%s", why);
                log_error("can't be prepared", LOG_UNIT(u->config->name), LOG_STR("reason", why));
        }
        if (p->command.type == CMD_PREPARE)
                unit_feed(u, (UnitEvent){.type = EV_PREPARED, .error = p->error}, p->instance);
        else
                unit_run_helper(u, p->command.list, p->command.index, p->error);
        preparation_free(p);
        manager_pump(u->m);
}

void unit_prepare_drop(ManagedUnit *u) {
        Preparation *p = u->preparation;
        if (!p)
                return;
        u->preparation = NULL;
        if (u->hanging || worker_withdraw(&p->job)) { /* not begun */
                preparation_free(p);
                return;
        }
        p->at.unwanted = true;
        u->hanging = p;
}

static void say_timeout(ManagedUnit *u, const Preparation *p) {
        const Preparation *at = u->hanging ? u->hanging : p; /* it waits for that one */
        const char *what = at->at.what, *which = at->at.which;
        bool stops = unit_phase_state(p->phase) == UNIT_STOPPING;
        double limit = (double)(stops ? u->config->timeout_stop_us : u->config->timeout_start_us) / 1e6;
        const char *key = stops ? "TimeoutStopSec" : "TimeoutStartSec";
        if (at == p && p->job.lacking < 0)
                unit_issue(u, "no thread: %s: not prepared within %gs (%s=)", strerror(-p->job.lacking),
                        limit, key);
        else
                unit_issue(u, "%s%s%s does not answer: not prepared within %gs (%s=)",
                        what ? what : "a thread", what && which && what[strlen(what) - 1] != '=' ? " " : "",
                        what && which ? which : "", limit, key);
}

void unit_prepare_moved_on(ManagedUnit *u, UnitEventType by) {
        const UnitMachine *um = &u->machine;
        const Preparation *p = u->preparation;
        if (!p || (um->phase == p->phase && um->instance == p->instance && um->index == p->index))
                return;
        if (by == EV_TIMEOUT)
                say_timeout(u, p);
        unit_prepare_drop(u);
}

static int ask(ManagedUnit *u, const UnitCommand *c) {
        Manager *m = u->m;
        const UnitMachine *um = &u->machine;
        Preparation *p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        bool main = c->type == CMD_PREPARE;
        p->job = (WorkerJob){.run = on_run, .done = on_done};
        p->u = u;
        p->command = *c;
        p->phase = um->phase;
        p->instance = um->instance;
        p->index = um->index;
        p->request = (PrepareRequest){.opt = m->opt,
                .config = u->config,
                .command = &u->config->exec[main ? EXEC_START : c->list].items[c->index],
                .main = main,
                .pinned = u->exe.fd >= 0,
                .have_state = m->state_dir[0] != 0,
                .have_manifest = m->have_manifest,
                .manifest = m->manifest};
        p->found.exe.fd = -1;
        u->preparation = p;
        if (!u->hanging)
                worker_start(m->workers, &p->job);
        return 0;
}

void unit_prepare(ManagedUnit *u, const UnitCommand *c) {
        int r = 0;
        unit_prepare_drop(u);
        if (unit_prepares(u->config)) {
                r = ask(u, c);
                if (r == 0)
                        return;
                unit_issue(u, "not prepared: %s", strerror(-r));
        }
        if (c->type == CMD_PREPARE)
                unit_feed(u, (UnitEvent){.type = EV_PREPARED, .error = r}, u->machine.instance);
        else
                unit_run_helper(u, c->list, c->index, r);
}
