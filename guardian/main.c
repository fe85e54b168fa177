/* SPDX-License-Identifier: Apache-2.0 */
/* guardian: reads its command line, then wraps one command, checks, or boots a set. Exit statuses: guardian.8. */
#include "common/error.h"
#include "common/log.h"
#include "guardian/check.h"
#include "guardian/manager.h"
#include "guardian/precheck.h"
#include "guardian/preflight.h"
#include "guardian/reserve.h"
#include "guardian/wrapper.h"
#include "supervisor/pid1.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 64, EXIT_BAD_DATA = 65, EXIT_INTERNAL = 70, EXIT_PREFLIGHT = 71 };

extern char **environ;

static void print_problems(const Problems *p) {
        char line[1100];
        for (size_t i = 0; i < p->n; i++)
                fprintf(stderr, "%s\n", problem_format(&p->items[i], line, sizeof(line)));
        if (p->dropped)
                fprintf(stderr, "and %zu more\n", p->dropped);
}

static bool state_needed(const UnitSet *set) {
        for (unsigned i = 0; i < set->n; i++)
                if (strcmp(set->units[i]->name, "ledger") == 0 || set->units[i]->state_directories.n > 0)
                        return true;
        return false;
}

static bool preflight_ok(const Options *o, const UnitSet *set, bool *have_runtime) {
        Preflight p;
        PreflightInput in = {.state_dir = o->state_dir, .runtime_dir = o->runtime_dir, .state_needed = state_needed(set),
                .n_units = set->n, .uid = getuid()};
        preflight_run(&in, &p);
        for (unsigned i = 0; i < p.n; i++) {
                const PreflightCheck *c = &p.checks[i];
                if (c->result == CHECK_FAILED)
                        log_error("pre-flight failed", LOG_STR("check", c->name), LOG_STR("reason", c->message), LOG_STR("hint", c->hint));
                else if (c->result == CHECK_WARNING)
                        log_warning("pre-flight", LOG_STR("check", c->name), LOG_STR("reason", c->message), LOG_STR("hint", c->hint));
        }
        *have_runtime = p.have_runtime;
        return !p.failed;
}

static Role role_of(void *user, uint64_t uid, const gid_t *gids, unsigned n_gids) {
        Manager *m = user;
        if (uid == 0 || uid == getuid())
                return ROLE_ADMIN;
        return m->roles ? roles_blob_lookup(m->roles, uid, gids, n_gids) : ROLE_NOBODY;
}

static const char *unit_of(void *user, pid_t pid, pid_t session, bool *login) {
        Manager *m = user;
        for (uint32_t i = 0; i < m->n_units; i++) {
                ManagedUnit *u = &m->units[i];
                bool mine = (u->pid > 0 && (u->pid == pid || u->pid == session)) || (u->helper > 0 && u->helper == pid);
                for (unsigned k = 0; k < u->group.n_sessions && !mine; k++)
                        mine = u->group.sessions[k] == session;
                if (!mine)
                        continue;
                *login = u->config->grants_login;
                return u->config->name;
        }
        return NULL;
}

/* -EADDRINUSE: another Guardian has the directory, and would be robbed of it; anything else is a warning. */
static int open_control(Manager *m) {
        PeerLookup look = {.unit_of = unit_of, .role_of = role_of, .user = m};
        int r = control_open(&m->loop, m->opt->runtime_dir, &look, &manager_control_ops, m, &m->control);
        if (r == -EADDRINUSE) {
                log_error("pre-flight failed", LOG_STR("check", "runtime"), LOG_STR("dir", m->opt->runtime_dir),
                        LOG_STR("reason", "another Guardian uses this runtime directory"), LOG_STR("hint", "--runtime DIR"));
                return r;
        }
        if (r < 0)
                log_warning("no control socket", LOG_STR("dir", m->opt->runtime_dir), LOG_ERRNO(r), LOG_STR("hint", "--runtime DIR"));
        else
                log_info("control socket ready", LOG_STR("dir", m->opt->runtime_dir));
        return 0;
}

/* A check that could not be made says nothing about the data. */
static int precheck_status(int r) {
        if (r < 0)
                fprintf(stderr, "guardian: not everything could be checked: %s\n", strerror(-r));
        return r == 0 ? 0 : r < 0 ? EXIT_INTERNAL : EXIT_BAD_DATA;
}

static int boot_set(Options *o) {
        Problems problems = {0};
        UnitSet *set = NULL;
        Plan *plan = NULL;
        int r = check_all(o, &problems, &set, &plan);
        print_problems(&problems);
        bool bad = problems.errors > 0;
        problems_done(&problems);
        if (r < 0)
                fprintf(stderr, "guardian: the units can't be read: %s\n", strerror(-r));
        if (r < 0 || bad || !set || !plan) {
                plan_free(plan);
                unit_set_free(set);
                return r < 0 ? EXIT_INTERNAL : EXIT_BAD_DATA;
        }
        bool have_runtime = false, have_roles = false;
        int status = 0;
        unsigned hanging = 0;
        RolesBlob roles = {0};
        Manager *m = NULL;
        uint64_t have = 0, soft = 0; /* the limit as it was given to us is the units' */
        pid1_descriptors(&have, &soft);
        if (!preflight_ok(o, set, &have_runtime))
                status = EXIT_PREFLIGHT;
        if (status == 0)
                status = precheck_status(precheck_chunks(o, set));
        if (status == 0)
                status = precheck_status(precheck_roles(o, &roles, &have_roles));
        if (status == 0) {
                m = calloc(1, sizeof(*m));
                if (m)
                        m->unit_soft_nofile = soft;
                r = m ? manager_init(m, o, set, plan) : -ENOMEM;
                if (r == -EADDRINUSE) { /* said by who found it */
                        status = EXIT_PREFLIGHT;
                } else if (r < 0) {
                        log_error("can't start", LOG_ERRNO(r));
                        status = EXIT_INTERNAL;
                } else {
                        m->roles = have_roles ? &roles : NULL;
                        if (have_runtime && open_control(m) < 0)
                                status = EXIT_PREFLIGHT;
                        else
                                status = manager_run(m);
                        hanging = manager_free(m);
                }
        }
        roles_blob_done(&roles);
        plan_free(plan);
        if (!hanging) { /* whose threads look at these */
                free(m);
                unit_set_free(set);
        }
        return status;
}

static int check_set(Options *o) {
        Problems problems = {0};
        UnitSet *set = NULL;
        int r = check_all(o, &problems, &set, NULL);
        if (r == 0 && set)
                r = precheck_machine(set, &problems);
        print_problems(&problems);
        bool bad = problems.errors > 0;
        problems_done(&problems);
        RolesBlob roles = {0};
        bool have = false;
        int chunks = r == 0 && set ? precheck_chunks(o, set) : 0, compiled = r == 0 ? precheck_roles(o, &roles, &have) : 0;
        bad |= chunks > 0 || compiled > 0;
        if (r == 0 && (chunks < 0 || compiled < 0))
                r = chunks < 0 ? chunks : compiled;
        roles_blob_done(&roles);
        unit_set_free(set);
        if (r < 0) {
                fprintf(stderr, "guardian: not everything could be checked: %s\n", strerror(-r));
                return EXIT_INTERNAL;
        }
        if (!bad)
                printf("good\n");
        return bad ? EXIT_BAD_DATA : 0;
}

/* Relative to where we were started: as PID 1, and for chunks, the working directory is another one. */
static int absolute(char *path, size_t cap) {
        char cwd[1024], text[2100];
        if (path[0] == '/' || !path[0])
                return 0;
        if (!getcwd(cwd, sizeof(cwd)))
                return -errno;
        int n = snprintf(text, sizeof(text), "%s/%s", cwd, path);
        if (n >= (int)sizeof(text) || n >= (int)cap)
                return -ENAMETOOLONG;
        memcpy(path, text, (size_t)n + 1);
        return 0;
}

static int absolute_paths(Options *o) {
        static char key[1024];
        int r = absolute(o->state_dir, sizeof(o->state_dir));
        if (r == 0)
                r = absolute(o->runtime_dir, sizeof(o->runtime_dir));
        for (unsigned i = 0; i < o->n_unit_dirs && r == 0; i++)
                r = absolute(o->unit_dirs[i], sizeof(o->unit_dirs[i]));
        for (unsigned i = 0; i < o->n_policy_dirs && r == 0; i++)
                r = absolute(o->policy_dirs[i], sizeof(o->policy_dirs[i]));
        if (r == 0 && o->ledger_key) {
                str_copy(key, sizeof(key), str_of(o->ledger_key));
                r = absolute(key, sizeof(key));
                o->ledger_key = key;
        }
        return r;
}

static int wrap(const Options *o) {
        WrapperRewrite rewrites[OPTIONS_REWRITE_MAX];
        for (unsigned i = 0; i < o->n_rewrite; i++)
                rewrites[i] = (WrapperRewrite){o->rewrite[i].from, o->rewrite[i].to};
        WrapperOptions w = {.argv = o->command, .group = o->group_signal, .rewrites = rewrites, .n_rewrites = o->n_rewrite,
                .stop_timeout_set = o->stop_timeout_set, .stop_timeout_us = o->stop_timeout_us};
        return wrapper_run(&w);
}

int main(int argc, char **argv) {
        static Options o; /* large; lives as long as the process */
        char exe[1024], error[512], help[8192];
        pid1_fill_stdio();
        pid1_signals();
        int proc = pid1_proc();
        ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
        exe[n > 0 ? n : 0] = 0;
        if (options_parse(argc, argv, environ, getuid(), exe, &o, error, sizeof(error)) < 0) {
                fprintf(stderr, "guardian: %s\n", error);
                return EXIT_USAGE;
        }
        if (o.help || o.version) {
                if (o.version)
                        printf("guardian %s\n", GUARDIAN_VERSION);
                else if (options_help(help, sizeof(help)) == 0)
                        fputs(help, stdout);
                return 0;
        }
        reserve_install();
        log_setup("guardian", o.command ? STDERR_FILENO : STDOUT_FILENO, o.log_format, o.log_level);
        if (o.command) {
                pid1_subreaper();
                return wrap(&o);
        }
        if (proc < 0 || n <= 0) {
                log_error("pre-flight failed", LOG_STR("check", "proc"), LOG_STR("reason", "/proc is missing"),
                        LOG_STR("hint", "mount it: unshare --mount-proc, or mount -t proc proc /proc"));
                return EXIT_PREFLIGHT;
        }
        int r = absolute_paths(&o);
        if (r < 0) {
                fprintf(stderr, "guardian: the path of a directory can't be made absolute: %s\n", strerror(-r));
                return EXIT_USAGE;
        }
        pid1_subreaper();
        if (!o.check)
                pid1_hold_stop();
        return o.check ? check_set(&o) : boot_set(&o);
}
