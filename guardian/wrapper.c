/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/wrapper.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/signals.h"
#include "supervisor/group.h"
#include "supervisor/launch.h"
#include "supervisor/pid1.h"
#include "supervisor/procinfo.h"
#include "supervisor/reap.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define WRAPPER_INTERNAL  70
#define WRAPPER_REPEAT_US 100000 /* between two looks for processes that a KILL may have missed */

extern char **environ;

typedef struct Wrapper {
        const WrapperOptions *o;
        ReapTable table;
        pid_t main;           /* 0: ended */
        int status;           /* exit status, once it ended */
        int signal;           /* that ended it, 0 */
        int tty;              /* handed over to the command, -1 */
        uint64_t deadline_us; /* when the descendants get KILL, UINT64_MAX: never */
        bool escalated;       /* KILL was sent */
} Wrapper;

static void main_ended(void *user, const ProcessEnd *end) {
        Wrapper *w = user;

        w->main = 0;
        w->signal = end->signal;
        w->status = end->signal ? 128 + end->signal : end->code;
}

/* Marks all below us; with /proc, because a group id or session does not hold a daemon. */
static void mark_descendants(const ProcTable *t, bool *in) {
        bool changed = true;

        while (changed) {
                changed = false;
                for (size_t i = 0; i < t->n; i++) {
                        const ProcStat *parent;

                        if (in[i])
                                continue;
                        parent = proc_table_find(t, t->items[i].ppid);
                        if (t->items[i].ppid == getpid() || (parent && in[parent - t->items]))
                                in[i] = changed = true;
                }
        }
}

/* Returns how many living descendants there are; *reached counts those that took the signal. Negative: they
 * can't be listed. */
static int signal_descendants(int sig, int *reached) {
        auto_free bool *in = NULL;
        ProcTable t = {0};
        int found = 0, r = proc_table_read(&t);

        *reached = 0;
        if (r == 0) {
                in = calloc(t.n + 1, sizeof(*in));
                r = in ? 0 : -ENOMEM;
        }
        if (r < 0) {
                proc_table_done(&t);
                if (process_signal_all(sig) < 0) /* as pid 1 all that there is descends from us */
                        return r;
                *reached = 1;
                return 1;
        }
        mark_descendants(&t, in);
        for (size_t i = 0; i < t.n; i++) {
                if (!in[i] || proc_ended(&t.items[i]))
                        continue;
                found++;
                if (process_signal(t.items[i].pid, t.items[i].start, sig) != -EPERM)
                        (*reached)++;
        }
        proc_table_done(&t);
        return found;
}

static void start_deadline(Wrapper *w) {
        uint64_t now = clock_boot_us();

        if (w->deadline_us == UINT64_MAX && w->o->stop_timeout_us < UINT64_MAX - now)
                w->deadline_us = now + w->o->stop_timeout_us;
}

static int rewrite_signal(const WrapperOptions *o, int sig) {
        for (unsigned i = 0; i < o->n_rewrites; i++)
                if (o->rewrites[i].from == sig)
                        return o->rewrites[i].to;
        return sig;
}

static void forward(Wrapper *w, int got) {
        int sig = rewrite_signal(w->o, got), reached;

        if (sig == 0)
                return;
        if (w->main > 0)
                /* Unreaped, so the number is its own; as is that of the group it leads. */
                kill(w->o->group ? -w->main : w->main, sig);
        else
                signal_descendants(sig, &reached);
        if (w->o->stop_timeout_set && (sig == SIGTERM || got == SIGTERM))
                start_deadline(w);
}

/* The command is gone: the rest is asked to go, and made to at the deadline. False: there is nobody left to
 * wait for. */
static bool ask_the_rest(Wrapper *w) {
        int reached;

        if (reap_no_children())
                return false;
        start_deadline(w);
        return signal_descendants(SIGTERM, &reached) >= 0;
}

/* The deadline passed. False: those who are left can't be ended by us. */
static bool escalate(Wrapper *w) {
        int reached, found = signal_descendants(SIGKILL, &reached);

        if (found > 0 && reached == 0) {
                log_warning("descendants that may not be signalled are left behind", LOG_I64("count", found));
                return false;
        }
        w->escalated = true;
        w->deadline_us = clock_boot_us() + WRAPPER_REPEAT_US;
        return found >= 0;
}

/* Signal, 0 at the deadline, which no flood of signals postpones. */
static int wait_signal(const Wrapper *w, const sigset_t *all) {
        for (;;) {
                uint64_t now = clock_boot_us(), left = w->deadline_us - now;
                if (now >= w->deadline_us)
                        return 0;
                struct timespec ts = {(time_t)(left / 1000000), (long)(left % 1000000) * 1000};
                int sig =
                        w->deadline_us == UINT64_MAX ? sigwaitinfo(all, NULL) : sigtimedwait(all, NULL, &ts);

                if (sig > 0)
                        return sig;
        }
}

static void wrapper_loop(Wrapper *w, const sigset_t *all) {
        bool asked = false;

        for (;;) {
                int sig;

                reap_run(&w->table, 0, NULL);
                if (w->main == 0 && !asked) {
                        asked = true;
                        if (!ask_the_rest(w))
                                return;
                }
                if (w->main == 0 && reap_no_children())
                        return;
                sig = wait_signal(w, all);
                if (sig == 0) {
                        if (!escalate(w))
                                return;
                } else if (sig != SIGCHLD) {
                        forward(w, sig);
                }
        }
}

/* The terminal, if we are its foreground group: a background job must not take it. */
static int foreground_tty(void) {
        static const int candidates[] = {STDIN_FILENO, STDERR_FILENO, STDOUT_FILENO};

        for (size_t i = 0; i < ELEMENTSOF(candidates); i++)
                if (isatty(candidates[i]) && tcgetpgrp(candidates[i]) == getpgrp())
                        return candidates[i];
        return -1;
}

/* A script without "#!" is run by the shell, as execvp(3) does. */
static int spawn_by_shell(LaunchPlan *p, const char *path, LaunchResult *r) {
        auto_free const char **argv = NULL;
        size_t n = 0;

        while (p->argv[n])
                n++;
        argv = calloc(n + 2, sizeof(*argv));
        if (!argv)
                return -ENOMEM;
        argv[0] = "/bin/sh";
        argv[1] = path;
        for (size_t i = 1; i < n; i++)
                argv[i + 1] = p->argv[i];
        p->path = argv[0];
        p->argv = argv;
        return launch_spawn(p, r);
}

/* 0, or the exit status. */
static int start_command(Wrapper *w) {
        const char *name = w->o->argv[0];
        LaunchResult r = {.stage = LAUNCH_STAGE_EXEC};
        LaunchPlan p;
        char path[4096];
        int e = launch_find(name, getenv("PATH"), path, sizeof(path)), status;

        r.error = e;
        if (e == 0) {
                launch_plan_init(&p);
                p.path = path;
                p.argv = (const char *const *)w->o->argv;
                p.envp = (const char *const *)environ;
                p.cwd_keep = true;
                p.session = LAUNCH_SESSION_GROUP;
                p.tty_fd = w->tty;
                for (int i = 0; i < 3; i++)
                        p.stdio[i] = i;
                e = launch_spawn(&p, &r);
                if (e == -ENOEXEC)
                        e = spawn_by_shell(&p, path, &r);
        }
        if (e == 0)
                e = reap_add(&w->table, r.pid, main_ended, w);
        if (e == 0) {
                w->main = r.pid;
                return 0;
        }
        status = r.stage == LAUNCH_STAGE_EXEC ? launch_exit_status(&r) : WRAPPER_INTERNAL;
        if (e == -ENOENT && r.stage == LAUNCH_STAGE_PREPARE) /* the only file that is opened there */
                log_error("command cannot be started", LOG_STR("command", name), LOG_STR("file", "/dev/null"),
                        LOG_ERRNO(e), LOG_STR("hint", "mount /dev, as container engines do"));
        else
                log_error(status == 127 ? "command not found" : "command cannot be started",
                        LOG_STR("command", name), LOG_STR("stage", launch_stage_name(r.stage)), LOG_ERRNO(e));
        return status;
}

static void say_why(const Wrapper *w) {
        const char *name = w->o->argv[0];

        if (w->signal)
                log_info("command ended by a signal", LOG_STR("command", name),
                        LOG_STR("signal", signal_name(w->signal)),
                        LOG_I64("status", w->status), LOG_STR("escalated", w->escalated ? "yes" : "no"),
                        LOG_U64("orphans_reaped", w->table.orphans));
        else
                log_info("command exited", LOG_STR("command", name), LOG_I64("status", w->status),
                        LOG_U64("orphans_reaped", w->table.orphans));
}

int wrapper_run(const WrapperOptions *o) {
        Wrapper w = {.o = o, .deadline_us = UINT64_MAX, .tty = -1};
        sigset_t all;
        int r;

        /* Before anything else, so that no signal is lost: they stay pending until the loop forwards them. */
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        pid1_subreaper();
        r = reap_init(&w.table, 1);
        if (r < 0) {
                log_error("out of memory", LOG_ERRNO(r));
                return WRAPPER_INTERNAL;
        }
        w.tty = foreground_tty();
        r = start_command(&w);
        if (r == 0) {
                wrapper_loop(&w, &all);
                if (w.tty >= 0)
                        tcsetpgrp(w.tty, getpgrp()); /* so that a script that called us can go on reading */
                say_why(&w);
                r = w.status;
        }
        reap_done(&w.table);
        return r;
}
