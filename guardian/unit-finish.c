/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that need the whole unit: what must stand together, what excludes each other, and defaults that
 * depend on other keys. */
#include "common/cleanup.h"
#include "guardian/unit-file.h"
#include <errno.h>
#include <string.h>

static void refuse(Problems *p, const UnitConfig *u, unsigned line, const char *hint, const char *message) {
        problem_add(p, PROBLEM_ERROR, u->file, line, 0, "unit-rule", hint, "%s", message);
}

static void check_commands(const UnitConfig *u, Problems *p) {
        const ExecCommands *start = &u->exec[EXEC_START];
        if (start->n == 0)
                refuse(p, u, 0, "[Service] ExecStart=/path/to/program", "ExecStart= is missing");
        else if (start->n > 1 && u->type != SERVICE_ONESHOT)
                refuse(p, u, start->items[1].line,
                        "only Type=oneshot runs several, use ExecStartPre= for preparation",
                        "more than one ExecStart=");
        if (u->type != SERVICE_ONESHOT)
                return;
        if (u->restart == RESTART_POLICY_ALWAYS || u->restart == RESTART_POLICY_ON_SUCCESS)
                refuse(p, u, 0, "on-failure or no", "Type=oneshot cannot have Restart=always or on-success");
        for (size_t i = 0; i < _PROBE_KIND_MAX; i++)
                if (u->probes[i].type != PROBE_NONE)
                        refuse(p, u, 0, "take the probes out", "Type=oneshot leaves no process to probe");
        if (u->watchdog_us > 0)
                refuse(p, u, 0, "take WatchdogSec= out", "Type=oneshot leaves no process to watch");
}

static void check_probe(const UnitConfig *u, ProbeKind kind, Problems *p) {
        const ProbeConfig *c = &u->probes[kind];
        char text[160];
        const char *name = probe_kind_to_string(kind);
        if (c->type == PROBE_NONE) {
                bool startup = kind == PROBE_STARTUP;
                if (c->interval_us == (startup ? 1000000 : 10000000) && c->timeout_us == 1000000 &&
                        c->failure_threshold == (startup ? 30 : 3) && c->success_threshold == 1)
                        return;
                snprintf(text, sizeof(text), "numbers of %s= are given, but not %s= itself", name, name);
                refuse(p, u, 0, "exec:CMD, tcp:HOST:PORT, unix:PATH or http://HOST:PORT/PATH", text);
                return;
        }
        if (c->interval_us < 10000 || c->interval_us == UINT64_MAX || c->timeout_us == 0 ||
                c->timeout_us == UINT64_MAX) {
                snprintf(text, sizeof(text),
                        "%sIntervalSec= and %sTimeoutSec= must be finite, the interval at least 10ms", name,
                        name);
                refuse(p, u, 0, NULL, text);
        }
        if (kind != PROBE_READINESS && c->success_threshold != 1) {
                snprintf(text, sizeof(text), "%sSuccessThreshold= must be 1", name);
                refuse(p, u, 0, "as in Kubernetes; only readiness counts successes", text);
        }
}

static void check_notify(const UnitConfig *u, Problems *p) {
        if (u->type == SERVICE_CHUNK && u->notify_access != NOTIFY_DEFAULT)
                refuse(p, u, 0, "take NotifyAccess= out",
                        "a chunk speaks on its control pipe, it has no notification socket");
        if (u->notify_access == NOTIFY_NONE && (u->type == SERVICE_NOTIFY || u->watchdog_us > 0))
                refuse(p, u, 0, "NotifyAccess=main",
                        "NotifyAccess=none, but readiness or watchdog messages are expected");
}

static void check_governance(const UnitConfig *u, Problems *p) {
        if (u->bootstrap && u->heal)
                refuse(p, u, 0, "it is restarted by its own budget only",
                        "Heal= is not allowed on a unit of the bootstrap list");
        if (u->type != SERVICE_CHUNK) {
                if (u->handles.n > 0)
                        refuse(p, u, 0, "Type=chunk",
                                "Handles= is for chunks: handlers are registered over the control pipe");
                for (unsigned i = 0; i < u->links.n; i++)
                        if (strcmp(u->links.items[i].name, "mesh") != 0)
                                refuse(p, u, u->links.items[i].line, "Links=mesh, or Type=chunk",
                                        "a program that is no chunk can only link to mesh");
        }
        for (unsigned i = 0; i < u->links.n; i++)
                if (strcmp(u->links.items[i].name, u->name) == 0)
                        refuse(p, u, u->links.items[i].line, NULL, "a unit cannot link to itself");
        if (u->profile == PROFILE_NONE && u->core && !u->sandbox_reason)
                refuse(p, u, 0, "[Sandbox] Reason=why", "Profile=none on a core unit needs a Reason=");
        if (u->sandbox_reason && u->profile != PROFILE_NONE)
                refuse(p, u, 0, "take it out, or say Profile=none",
                        "Reason= explains Profile=none, which is not set");
}

static void check_pacing(const UnitConfig *u, Problems *p) {
        if (u->restart_us > u->restart_max_us)
                refuse(p, u, 0, "raise RestartMaxDelaySec=", "RestartSec= is above RestartMaxDelaySec=");
        if (u->restart_us == UINT64_MAX || u->restart_max_us == UINT64_MAX)
                refuse(p, u, 0, "Restart=no", "a restart delay cannot be infinite");
}

/* Bare names of a unit that ships with Guardian stand beside Guardian's own programs, never in somebody's
 * PATH. */
static int resolve_bare_names(UnitConfig *u, const UnitPaths *paths) {
        if (!u->core)
                return 0;
        for (size_t l = 0; l < _EXEC_LIST_MAX; l++)
                for (unsigned i = 0; i < u->exec[l].n; i++) {
                        ExecCommand *c = &u->exec[l].items[i];
                        if (strchr(c->path, '/'))
                                continue;
                        size_t n = strlen(paths->libexec_dir) + strlen(c->path) + 2;
                        char *path = arena_alloc(&u->arena, n);
                        if (!path)
                                return -ENOMEM;
                        snprintf(path, n, "%s/%s", paths->libexec_dir, c->path);
                        c->path = path;
                }
        return 0;
}

int unit_file_finish(UnitConfig *u, const UnitPaths *paths, Problems *problems) {
        if (!u->err_given)
                u->err = u->out;
        if (u->start_retries == UINT32_MAX)
                u->start_retries = u->core && u->type == SERVICE_CHUNK ? START_RETRIES_CORE : 0;
        check_commands(u, problems);
        for (size_t i = 0; i < _PROBE_KIND_MAX; i++)
                check_probe(u, (ProbeKind)i, problems);
        check_notify(u, problems);
        check_governance(u, problems);
        check_pacing(u, problems);
        return resolve_bare_names(u, paths);
}
