/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes of a unit. The program of an exec probe is looked for on a thread (worker.h), each time: a disk that
 * hangs makes a probe fail, never PID 1 wait.
 */
#include "common/log.h"
#include "guardian/manager.h"
#include "guardian/unit-exec.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct ProbeLook {
        WorkerJob job;
        ManagedUnit *u;
        ProbeKind kind;
        uint64_t instance; /* of the unit when it began: another one may have another environment */
        const Options *opt; /* these and what follows are all that the thread reads: it may outlive the units */
        const UnitConfig *config;
        Arena arena;       /* of command */
        ExecCommand command;
        char **env; /* owned */
        char path[PATH_MAX];
        int error;
};

static ProbeKind probe_kind(ManagedUnit *u, const Probe *p) {
        for (unsigned k = 0; k < _PROBE_KIND_MAX; k++)
                if (u->probes[k] == p)
                        return (ProbeKind)k;
        return _PROBE_KIND_MAX;
}

static void on_probe_command_end(void *user, const ProcessEnd *end) {
        ManagedUnit *u = user;
        for (unsigned k = 0; k < _PROBE_KIND_MAX; k++)
                if (u->probes[k] && probe_exec_pid(u->probes[k]) == end->pid)
                        probe_exec_done(u->probes[k], end->pid, end->code, end->signal);
}

static void on_run(WorkerJob *j) {
        ProbeLook *l = container_of(j, ProbeLook, job);
        l->error = prepare_find_program(l->opt, l->config, &l->command, l->env, l->path, sizeof(l->path));
}

static void look_free(ProbeLook *l) {
        l->u->probe_looks[l->kind] = NULL;
        arena_done(&l->arena);
        free(l->env);
        free(l);
}

static int look_start(ManagedUnit *u, ProbeKind k);

static void on_done(WorkerJob *j) {
        ProbeLook *l = container_of(j, ProbeLook, job);
        ManagedUnit *u = l->u;
        ProbeKind k = l->kind;
        Probe *p = u->probes[k];
        bool stale = l->instance != u->machine.instance;
        pid_t pid = 0;
        int r = l->error;
        if (p && probe_exec_awaited(p) && !stale) {
                if (r == 0)
                        r = unit_spawn_probe(u, &l->command, l->path, on_probe_command_end, u, &pid);
                look_free(l);
                probe_exec_begun(p, r, pid);
                return;
        }
        look_free(l);
        if (p && probe_exec_awaited(p) && (r = look_start(u, k)) < 0)
                probe_exec_begun(p, r, 0);
}

static int look_start(ManagedUnit *u, ProbeKind k) {
        const char *why = NULL, *line = u->config->probes[k].text;
        ProbeLook *l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        *l = (ProbeLook){.job = {.run = on_run, .done = on_done},
                .u = u,
                .kind = k,
                .instance = u->machine.instance,
                .opt = u->m->opt,
                .config = u->config};
        u->probe_looks[k] = l;
        int r = exec_command_parse(&l->arena, &line, &l->command, &why);
        if (r == 0)
                r = unit_environment(
                        u->config, environ, u->prepared ? u->prepared->env_files : NULL, NULL, &l->env);
        if (r < 0)
                look_free(l);
        else
                worker_start(u->m->workers, &l->job);
        return r;
}

/* While an old look hangs no other is begun: the try waits for it, and has its time limit. */
static int probe_exec(Probe *p, const char *command, pid_t *pid, void *user) {
        ManagedUnit *u = user;
        ProbeKind k = probe_kind(u, p);
        (void)command;
        *pid = 0;
        int r = u->probe_looks[k] ? 0 : look_start(u, k);
        return r < 0 ? r : 1;
}

static void probe_kill(Probe *p, pid_t pid, void *user) {
        (void)p;
        (void)user;
        process_signal(pid, 0, SIGKILL);
}

static void probe_changed(Probe *p, bool healthy, const char *detail, void *user) {
        static const UnitEventType events[_PROBE_KIND_MAX][2] = {
                [PROBE_STARTUP] = {EV_STARTUP_FAILED, EV_STARTUP_PASSED},
                [PROBE_READINESS] = {EV_READINESS_FAILED, EV_READINESS_PASSED},
                [PROBE_LIVENESS] = {EV_LIVENESS_FAILED, EV_LIVENESS_PASSED},
        };
        ManagedUnit *u = user;
        ProbeKind k = probe_kind(u, p);
        if (k == _PROBE_KIND_MAX)
                return;
        if (!healthy)
                log_warning("probe failed", LOG_UNIT(u->config->name),
                        LOG_STR("probe", probe_kind_to_string(k)), LOG_STR("detail", detail));
        if (!healthy && k != PROBE_READINESS)
                unit_issue(u, "%s failed: %s", probe_kind_to_string(k), detail);
        if (k == PROBE_STARTUP && healthy) /* it has said what it is for; the others take over */
                u->probes[k] = probe_stop(u->probes[k]);
        unit_feed(u, (UnitEvent){.type = events[k][healthy]}, u->machine.instance);
        manager_pump(u->m);
}

static const ProbeOps probe_ops = {.exec = probe_exec, .kill = probe_kill, .changed = probe_changed};

void unit_probe_start(ManagedUnit *u, ProbeKind k) {
        u->probes[k] = probe_stop(u->probes[k]);
        int r = probe_start(&u->m->loop, &u->config->probes[k], &probe_ops, u, 0, &u->probes[k]);
        if (r < 0)
                log_error("probe can't start", LOG_UNIT(u->config->name), LOG_ERRNO(r));
}

void unit_probes_stop(ManagedUnit *u) {
        for (unsigned k = 0; k < _PROBE_KIND_MAX; k++) {
                u->probes[k] = probe_stop(u->probes[k]);
                if (u->probe_looks[k] && worker_withdraw(&u->probe_looks[k]->job))
                        look_free(u->probe_looks[k]);
        }
}
