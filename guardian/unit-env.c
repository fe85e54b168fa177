/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EnvironmentFile= is read on a helper thread: a file system that hangs makes one unit wait, never PID 1. The command that
 * needs it is carried out when the answer is there, unless the unit has gone another way meanwhile.
 */
#include "guardian/manager.h"
#include "guardian/unit-exec.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct EnvRead {
        uv_work_t work;
        ManagedUnit *u;
        UnitCommand command;
        UnitPhase phase; /* of the unit when it asked, with instance and index: whose answer this is */
        uint64_t instance;
        unsigned index;
        char **vars;
        int error;
        char why[256];
} EnvRead;

static void on_work(uv_work_t *w) {
        EnvRead *e = w->data;
        e->error = unit_environment_files(e->u->config, &e->vars, e->why, sizeof(e->why));
}

static void on_done(uv_work_t *w, int status) {
        EnvRead *e = w->data;
        ManagedUnit *u = e->u;
        const UnitMachine *um = &u->machine;
        int r = status < 0 ? status : e->error;
        if (!u->m->leftovers && um->phase == e->phase && um->instance == e->instance && um->index == e->index) {
                free(u->env_files);
                u->env_files = e->vars;
                e->vars = NULL;
                if (r < 0)
                        unit_issue(u, "environment: %s", e->why);
                unit_execute(u, &e->command, r);
                manager_pump(u->m);
        }
        free(e->vars);
        free(e);
}

void unit_env_then_execute(ManagedUnit *u, const UnitCommand *c) {
        if (u->config->environment_files.n == 0) {
                unit_execute(u, c, 0);
                return;
        }
        EnvRead *e = calloc(1, sizeof(*e));
        int r = e ? 0 : -ENOMEM;
        if (e) {
                *e = (EnvRead){.u = u, .command = *c, .phase = u->machine.phase, .instance = u->machine.instance, .index = u->machine.index};
                e->work.data = e;
                r = uv_queue_work(&u->m->loop, &e->work, on_work, on_done);
        }
        if (r < 0) {
                free(e);
                unit_issue(u, "environment: %s", strerror(-r));
                unit_execute(u, c, r);
        }
}
