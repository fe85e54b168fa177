/* SPDX-License-Identifier: Apache-2.0 */
/* From a unit's configuration to a launch plan. Everything that can fail for a person's reason leaves an
 * issue on the unit. */
#include "common/cleanup.h"
#include "common/log.h"
#include "guardian/ids.h"
#include "guardian/manager.h"
#include "guardian/unit-exec.h"
#include "supervisor/launch.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPAWN_EXTRA_MAX = 8 };

typedef struct Spawn {
        LaunchPlan plan;
        char path[PATH_MAX];
        char **env, **argv;
        LaunchLimit limits[UNIT_LIMITS_MAX + 2];
        uid_t uid;
        gid_t gid;
        int out_fd;
        LaunchFd fds[1];
        char extra_text[SPAWN_EXTRA_MAX][320];
        char *extra[SPAWN_EXTRA_MAX + 1];
        unsigned n_extra;
} Spawn;

extern char **environ;

static void extra(Spawn *s, const char *key, const char *value) {
        if (s->n_extra >= SPAWN_EXTRA_MAX)
                return;
        int n = snprintf(s->extra_text[s->n_extra], sizeof(s->extra_text[0]), "%s=%s", key, value);
        if (n < 0 || n >= (int)sizeof(s->extra_text[0]))
                return;
        s->extra[s->n_extra] = s->extra_text[s->n_extra];
        s->n_extra++;
}

static void spawn_done(Spawn *s) {
        free(s->env);
        free(s->argv);
        if (s->out_fd >= 0)
                close(s->out_fd);
}

/* Under which ids it runs, but for a privileged command. */
static void set_ids(ManagedUnit *u, bool privileged, Spawn *s) {
        const UnitConfig *c = u->config;
        const Prepared *p = u->prepared;
        s->uid = p ? p->uid : getuid();
        s->gid = p ? p->gid : getgid();
        if (privileged || !p || (!c->user && !c->group && c->supplementary_groups.n == 0))
                return;
        s->plan.set_ids = true;
        s->plan.uid = p->uid;
        s->plan.gid = p->gid;
        s->plan.groups = p->groups;
        s->plan.n_groups = p->n_groups;
}

static void set_output(LaunchPlan *p, unsigned i, const OutputSpec *o, int log_fd) {
        switch (o->kind) {
        case OUTPUT_LOG:
                p->stdio[i] = log_fd;
                break;
        case OUTPUT_INHERIT:
                p->stdio[i] = (int)i;
                break;
        case OUTPUT_NULL:
                p->stdio[i] = -1;
                break;
        case OUTPUT_FILE:
        case OUTPUT_APPEND:
                p->files[i] = (LaunchFile){.path = o->path, .append = o->kind == OUTPUT_APPEND};
                break;
        }
}

static int open_output(ManagedUnit *u, Spawn *s) {
        const UnitConfig *c = u->config;
        if (c->out.kind == OUTPUT_LOG || c->err.kind == OUTPUT_LOG) {
                int r = u->output ? 0 : output_new(u->m->output, c->name, &u->output);
                if (r == 0)
                        r = output_open(u->output, s->uid, s->gid, &s->out_fd);
                if (r == -EPERM) /* a person sees User=, not the pipe that is to be that user's */
                        unit_issue(u, "User= or Group= is another's, and Guardian runs as uid %u", geteuid());
                else if (r < 0)
                        unit_issue(u, "no pipe for its output: %s", strerror(-r));
                if (r < 0)
                        return r;
        }
        set_output(&s->plan, 1, &c->out, s->out_fd);
        set_output(&s->plan, 2, &c->err, s->out_fd);
        return 0;
}

static void set_limits(ManagedUnit *u, Spawn *s) {
        const UnitConfig *c = u->config;
        unsigned n = 0;
        bool nofile = false, core = false;
        for (unsigned i = 0; i < c->n_limits; i++) {
                s->limits[n++] = (LaunchLimit){c->limits[i].resource,
                        c->limits[i].soft == RLIM_INFINITY ? UINT64_MAX : c->limits[i].soft,
                        c->limits[i].hard == RLIM_INFINITY ? UINT64_MAX : c->limits[i].hard, false};
                nofile |= c->limits[i].resource == RLIMIT_NOFILE;
                core |= c->limits[i].resource == RLIMIT_CORE;
        }
        struct rlimit now;
        /* Guardian raised its own soft limit; programs that use select(2) break with that */
        if (!nofile && getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur != u->m->unit_soft_nofile)
                s->limits[n++] = (LaunchLimit){RLIMIT_NOFILE, u->m->unit_soft_nofile,
                        now.rlim_max == RLIM_INFINITY ? UINT64_MAX : now.rlim_max, false};
        if (!core && c->type == SERVICE_CHUNK) /* a chunk's memory holds keys and other people's events */
                s->limits[n++] = (LaunchLimit){RLIMIT_CORE, 0, 0, false};
        launch_limits_clamp(s->limits, n);
        s->plan.limits = s->limits;
        s->plan.n_limits = n;
}

static bool notify_allowed_now(void *user, pid_t sender, uid_t uid) {
        ManagedUnit *u = user;
        (void)uid;
        pid_t exec[1] = {u->helper};
        group_root_refresh(&u->m->groups);
        NotifyAccess access = (NotifyAccess)unit_notify_access(u->config);
        return notify_allowed(access, sender, u->pid, exec, u->helper ? 1 : 0,
                access == NOTIFY_ALL && u->group_ready && group_has(&u->group, sender));
}

/* The first 127 bytes are shown; without memory the last one stands. */
static void set_status_text(ManagedUnit *u, const char *text) {
        if (u->status_text && strcmp(u->status_text, text) == 0)
                return; /* many say the same with each heartbeat */
        char *copy = strndup(text, STATUS_TEXT_MAX);
        if (copy) {
                free(u->status_text);
                u->status_text = copy;
        }
}

static void on_notify(void *user, pid_t sender, const NotifyMessage *n, int *fds, unsigned n_fds) {
        ManagedUnit *u = user;
        (void)sender;
        (void)fds;
        (void)n_fds;
        if (n->has_status)
                set_status_text(u, n->status);
        if (n->ready)
                unit_feed(u, (UnitEvent){.type = EV_READY}, u->machine.instance);
        if (n->watchdog)
                unit_feed(u, (UnitEvent){.type = EV_HEARTBEAT}, u->machine.instance);
        if (n->watchdog_trigger)
                unit_feed(u, (UnitEvent){.type = EV_WATCHDOG, .force = true}, u->machine.instance);
        manager_pump(u->m);
}

static const NotifyOps notify_ops = {.allowed = notify_allowed_now, .on_message = on_notify};

static int add_extras(ManagedUnit *u, Spawn *s) {
        const UnitConfig *c = u->config;
        char text[256];
        extra(s, "GUARDIAN_UNIT", c->name);
        if (c->type != SERVICE_CHUNK && unit_notify_access(c) != (int)NOTIFY_NONE) {
                int r = u->notify ? 0
                                  : notify_socket_new(&u->m->loop, u->m->notify_dir_fd, u->m->notify_dir,
                                            c->name, s->uid, &notify_ops, u, &u->notify);
                if (r < 0) {
                        unit_issue(u, "no NOTIFY_SOCKET: %s", strerror(-r));
                        return r;
                }
                extra(s, "NOTIFY_SOCKET", notify_socket_address(u->notify));
                if (c->watchdog_us) {
                        snprintf(text, sizeof(text), "%llu", (unsigned long long)c->watchdog_us);
                        extra(s, "WATCHDOG_USEC", text);
                }
        }
        if (c->type != SERVICE_CHUNK && links_mesh_socket(u, s->uid, text, sizeof(text)) == 0)
                extra(s, "GUARDIAN_MESH_SOCKET", text);
        return 0;
}

/* Everything that main process and helpers have in common. */
static int make_plan(ManagedUnit *u, const ExecCommand *c, Spawn *s) {
        const UnitConfig *cfg = u->config;
        launch_plan_init(&s->plan);
        s->out_fd = -1;
        int r = 0;
        if (!u->group_ready) {
                r = group_init(&u->group, &u->m->groups, cfg->name);
                if (r < 0) {
                        unit_issue(u, "no control group for it: %s", strerror(-r));
                        return r;
                }
                u->group_ready = true;
        }
        if (!u->prepared && unit_prepares(cfg)) { /* never with Guardian's own ids in place of the unit's */
                unit_issue(u, "not prepared");
                return -EINVAL;
        }
        set_ids(u, c->privileged, s);
        r = open_output(u, s);
        if (r == 0)
                r = add_extras(u, s);
        if (r < 0)
                return r;
        r = unit_environment(cfg, environ, u->prepared ? u->prepared->env_files : NULL, s->extra, &s->env);
        if (r < 0) {
                unit_issue(u, "environment: %s", strerror(-r));
                return r;
        }
        r = exec_command_expand(c, s->env, &s->argv);
        if (r < 0) {
                unit_issue(u, "command line: %s", strerror(-r));
                return r;
        }
        set_limits(u, s);
        s->plan.path = s->path;
        s->plan.argv = (const char *const *)s->argv;
        s->plan.envp = (const char *const *)s->env;
        s->plan.cwd = cfg->working_directory;
        s->plan.cwd_optional = cfg->working_directory_optional;
        s->plan.cwd_keep = !cfg->working_directory && getpid() != 1;
        s->plan.umask = cfg->umask;
        s->plan.umask_set = cfg->umask_set;
        s->plan.nice = cfg->nice;
        s->plan.nice_set = cfg->nice_set;
        s->plan.oom_score_adj = cfg->oom_score_adjust;
        s->plan.oom_score_adj_set = cfg->oom_set;
        s->plan.no_new_privs = cfg->type == SERVICE_CHUNK || cfg->profile == PROFILE_AUTO;
        s->plan.cgroup_fd = u->group.dir_fd;
        s->plan.cgroup_move = u->group.killed;
        return 0;
}

static int find_program(ManagedUnit *u, const ExecCommand *c, Spawn *s) {
        const Prepared *p = u->prepared;
        int r = 0;
        if (p && p->command == c)
                s->plan.path = p->path;
        else
                r = prepare_find_program(u->m->opt, u->config, c, s->env, s->path, sizeof(s->path));
        if (r < 0)
                unit_issue(u, "program '%s': %s", c->path, r == -ENOENT ? "not found" : strerror(-r));
        return r;
}

static void keep_evidence_plan(ManagedUnit *u, const Spawn *s, const LaunchExe *exe) {
        free(u->plan);
        u->plan = NULL;
        if (u->config->type != SERVICE_CHUNK && u->config->profile != PROFILE_AUTO)
                return;
        u->plan = malloc(sizeof(*u->plan));
        if (u->plan && evidence_plan(&s->plan, exe->dev, exe->ino, u->plan) < 0) {
                free(u->plan);
                u->plan = NULL;
        }
}

static int launch(ManagedUnit *u, Spawn *s, const char *what, pid_t *pid) {
        LaunchResult res = {0};
        int r = launch_spawn(&s->plan, &res);
        if (r < 0 && res.stage == LAUNCH_STAGE_CWD && s->plan.cwd) {
                unit_issue(u, "WorkingDirectory=%s: %s", s->plan.cwd, strerror(-r));
                return r;
        }
        if (r < 0) {
                unit_issue(u, "%s '%s' can't be started: %s: %s", what, s->plan.path,
                        launch_stage_name(res.stage), strerror(-r));
                return r;
        }
        *pid = res.pid;
        return 0;
}

int unit_spawn_main(ManagedUnit *u, unsigned index) {
        const ExecCommand *c = &u->config->exec[EXEC_START].items[index];
        Spawn s = {0};
        const LaunchExe *exe = u->exe.fd >= 0 ? &u->exe : u->prepared ? &u->prepared->exe : NULL;
        auto_close int ours = -1;
        auto_close int theirs = -1;
        int r = make_plan(u, c, &s);
        if (r == 0)
                r = find_program(u, c, &s);
        if (r == 0 && u->config->type == SERVICE_CHUNK) {
                s.plan.exe_fd = u->exe.fd; /* what was hashed is what runs; -1: a program of others */
                int pair[2];
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                        r = -errno;
                if (r == 0) {
                        ours = pair[0];
                        theirs = pair[1];
                        s.fds[0] = (LaunchFd){theirs, 3};
                        s.plan.fds = s.fds;
                        s.plan.n_fds = 1;
                }
        }
        if (r == 0 && index == 0)
                group_reset(&u->group);
        if (r == 0)
                r = launch(u, &s, "program", &u->pid);
        if (r == 0)
                keep_evidence_plan(u, &s, exe);
        if (r == 0 && ours >= 0)
                r = chunk_peer_new(u, TAKE_FD(ours));
        if (r < 0 && u->pid > 0) /* nobody will ever talk to it */
                process_signal(u->pid, 0, SIGKILL);
        if (u->prepared)
                launch_exe_close(&u->prepared->exe);
        spawn_done(&s);
        for (unsigned i = 0; r < 0 && i < u->n_issues; i++)
                log_error("unit can't start", LOG_UNIT(u->config->name), LOG_STR("reason", u->issues[i]));
        return r;
}

/* path: of the program, NULL: to be found. */
static int spawn_command(
        ManagedUnit *u, const ExecCommand *c, const char *path, ReapFn fn, void *user, pid_t *pid) {
        Spawn s = {0};
        int r = make_plan(u, c, &s);
        if (path)
                s.plan.path = path;
        else if (r == 0)
                r = find_program(u, c, &s);
        if (r == 0)
                r = launch(u, &s, "command", pid);
        spawn_done(&s);
        if (r < 0)
                return r;
        r = reap_add(&u->m->reap, *pid, fn, user);
        if (r < 0)
                process_signal(*pid, 0, SIGKILL); /* not reaped yet: the number is its own */
        else
                group_add(&u->group, *pid, false);
        return r;
}

int unit_spawn_helper(ManagedUnit *u, const ExecCommand *c, ReapFn fn, void *user, pid_t *pid) {
        return spawn_command(u, c, NULL, fn, user, pid);
}

int unit_spawn_probe(
        ManagedUnit *u, const ExecCommand *c, const char *path, ReapFn fn, void *user, pid_t *pid) {
        return spawn_command(u, c, path, fn, user, pid);
}
