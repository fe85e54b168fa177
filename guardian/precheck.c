/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/precheck.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "guardian/ids.h"
#include "guardian/unit-exec.h"
#include "supervisor/launch.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        JOBS_MAX = 16,
        JOB_LIMIT_S = 20,
        KILLED_LIMIT_S = 2,
        JOB_TRIES = 3,
        ROLES_MAX = 1024 * 1024,
        JOB_TEXT_MAX = 1024 * 1024
};
enum { BAD_POLICY = 65, STATUS_INTERNAL = 70 }; /* of a helper that found a fault, that could not look */
static const uint64_t S_US = 1000000;

typedef struct Job {
        char path[1200];
        const char *argv[OPTIONS_DIRS_MAX + 4];
        int out; /* memfd */
        pid_t pid;
        uint64_t until_us;   /* boot time: what has not ended then is killed, and does not run again */
        int status;          /* exit status, or the signal's number */
        bool signaled, data; /* data: stdout alone is what it found */
        char *text;          /* what it printed, once it was printed on; owned */
        size_t len;
} Job;

extern char **environ;

static void dirs_into(const Options *o, Job *j, unsigned n) {
        for (unsigned i = 0; i < o->n_policy_dirs; i++)
                if (access(o->policy_dirs[i], F_OK) == 0)
                        j->argv[n++] = o->policy_dirs[i];
        j->argv[n] = NULL;
}

static int job_start(Job *j) {
        j->out = memfd_create("check", MFD_CLOEXEC);
        if (j->out < 0)
                return -errno;
        LaunchPlan p;
        LaunchResult r;
        launch_plan_init(&p);
        p.path = j->path;
        p.argv = j->argv;
        p.envp = (const char *const *)environ;
        p.no_new_privs = true;
        p.cwd_keep = true;
        p.stdio[1] = j->out;
        p.stdio[2] = j->data ? STDERR_FILENO : j->out;
        int e = launch_spawn(&p, &r);
        j->pid = e == 0 ? r.pid : 0;
        if (!j->until_us)
                j->until_us = clock_boot_us() + JOB_LIMIT_S * S_US;
        return e;
}

/* 1: not before that time. Without a pidfd (no memory, no descriptor left) it is looked at a hundred times a
 * second. */
static int job_reap(Job *j, int fd, uint64_t until_us) {
        for (;;) {
                int status;
                pid_t pid = waitpid(j->pid, &status, WNOHANG);
                if (pid < 0 && errno != EINTR)
                        return -errno;
                if (pid > 0) {
                        j->signaled = !WIFEXITED(status);
                        j->status = j->signaled ? WTERMSIG(status) : WEXITSTATUS(status);
                        return 0;
                }
                uint64_t now = clock_boot_us();
                if (now >= until_us)
                        return 1;
                struct pollfd p = {.fd = fd, .events = POLLIN};
                poll(&p, 1, fd < 0 ? 10 : (int)((until_us - now + 999) / 1000));
        }
}

static int job_wait(Job *j) {
        auto_close int fd = (int)syscall(SYS_pidfd_open, j->pid, 0);
        int r = job_reap(j, fd, j->until_us);
        if (r <= 0)
                return r;
        kill(j->pid, SIGKILL); /* ours and not reaped: the number is still its own */
        r = job_reap(j, fd, clock_boot_us() + KILLED_LIMIT_S * S_US); /* one that a dead disk holds stays */
        return r < 0 ? r : -ETIMEDOUT;
}

/* The end of a started job. Killed from outside it has found nothing, good or bad: it runs again. <0: never
 * came to an end. */
static int job_finish(Job *j) {
        int r = job_wait(j);
        for (unsigned i = 1; r == 0 && j->signaled && i < JOB_TRIES; i++) {
                close(j->out);
                r = job_start(j);
                if (r == 0)
                        r = job_wait(j);
        }
        if (r == -ETIMEDOUT) {
                fprintf(stderr, "%s %s did not end within %d s, and was killed\n", j->argv[0], j->argv[1],
                        JOB_LIMIT_S);
        } else if (r == 0 && j->signaled) {
                fprintf(stderr, "%s %s was killed by signal %d (%s)\n", j->argv[0], j->argv[1], j->status,
                        strsignal(j->status));
                r = -EINTR;
        } else if (r < 0) {
                fprintf(stderr, "%s %s: %s\n", j->argv[0], j->argv[1], strerror(-r));
        } else if (j->status == STATUS_INTERNAL) {
                r = -ECANCELED; /* it could not look, and has said why */
        }
        return r;
}

/* Whether the line stands in what an earlier job, or this one before `end`, has printed: two programs read
 * the same file. */
static bool said_before(const Job *jobs, unsigned n, const char *line, size_t len, size_t end) {
        for (unsigned i = 0; i <= n; i++) {
                const char *at = jobs[i].text, *stop = at ? at + (i == n ? end : jobs[i].len) : NULL;
                while (at && at < stop) {
                        const char *nl = memchr(at, '\n', (size_t)(stop - at));
                        size_t k = nl ? (size_t)(nl - at) : (size_t)(stop - at);
                        if (k == len && memcmp(at, line, len) == 0)
                                return true;
                        at += k + 1;
                }
        }
        return false;
}

/* What the job said, but for what was said. A job that found fault and said nothing is named. */
static void job_print(Job *jobs, unsigned n) {
        Job *j = &jobs[n];
        off_t size = lseek(j->out, 0, SEEK_END);
        j->text = size > 0 && size < JOB_TEXT_MAX ? malloc((size_t)size) : NULL;
        if (!j->text || pread(j->out, j->text, (size_t)size, 0) != size) {
                fprintf(stderr, "%s %s ended with status %d%s\n", j->argv[0], j->argv[1], j->status,
                        size > 0 ? ", what it says can't be read" : " and says nothing");
                return;
        }
        j->len = (size_t)size;
        for (size_t at = 0, k; at < j->len; at += k + 1) {
                const char *nl = memchr(j->text + at, '\n', j->len - at);
                k = nl ? (size_t)(nl - j->text) - at : j->len - at;
                if (!said_before(jobs, n, j->text + at, k, at))
                        fprintf(stderr, "%.*s\n", (int)k, j->text + at);
        }
}

int precheck_chunks(const Options *o, const UnitSet *set) {
        Job *jobs = calloc(JOBS_MAX, sizeof(*jobs));
        if (!jobs)
                return -ENOMEM;
        unsigned n = 0;
        int result = 0;
        for (unsigned i = 0; i < set->n && n < JOBS_MAX; i++) {
                const UnitConfig *u = set->units[i];
                if (!u->from_core_dir || u->type != SERVICE_CHUNK || u->exec[EXEC_START].n == 0 ||
                        !u->enabled)
                        continue;
                Job *j = &jobs[n];
                const char *name = u->exec[EXEC_START].items[0].path;
                snprintf(j->path, sizeof(j->path), "%s%s%s", name[0] == '/' ? "" : o->libexec_dir,
                        name[0] == '/' ? "" : "/", name);
                j->argv[0] = name;
                j->argv[1] = "--check";
                dirs_into(o, j, 2);
                int r = job_start(j);
                if (r < 0) {
                        fprintf(stderr, "%s:1: program '%s' can't be started: %s\n", u->file, j->path,
                                strerror(-r));
                        result = error_is_shortage(r) ? r : result < 0 ? result : 1;
                        if (j->out >= 0)
                                close(j->out);
                        continue;
                }
                n++;
        }
        for (unsigned i = 0; i < n; i++) {
                int r = job_finish(&jobs[i]);
                if (r == -ECANCELED)
                        job_print(jobs, i);
                if (r < 0) {
                        result = r;
                } else if (jobs[i].status != 0) {
                        job_print(jobs, i);
                        result = result < 0 ? result : 1;
                }
                if (jobs[i].out >= 0)
                        close(jobs[i].out);
        }
        for (unsigned i = 0; i < n; i++)
                free(jobs[i].text);
        free(jobs);
        return result;
}

static void check_ids(const UnitConfig *u, Problems *p) {
        uid_t uid = geteuid();
        gid_t gid;
        int r = u->user ? ids_user(u->user, &uid, &gid) : 0;
        if (r == 0 && geteuid() != 0 && uid != geteuid())
                problem_add(p, PROBLEM_ERROR, u->user_at.file, u->user_at.line, 0, "other-user",
                        "leave User= out, or run Guardian as root",
                        "User=%s: only root starts a program as another user", u->user);
        if (r < 0)
                problem_add(p, PROBLEM_ERROR, u->user_at.file, u->user_at.line, 0, "unknown-user",
                        "add the user, or give a number: that needs no entry",
                        "User=%s is not in /etc/passwd", u->user);
        if (u->group && ids_group(u->group, &gid) < 0)
                problem_add(p, PROBLEM_ERROR, u->group_at.file, u->group_at.line, 0, "unknown-group",
                        "add the group, or give a number: that needs no entry",
                        "Group=%s is not in /etc/group", u->group);
}

/* Warnings: a unit that starts earlier may be what makes them. */
static void check_files(const UnitConfig *u, Problems *p) {
        static const char *const hint =
                "it has to be there when the unit starts; a '-' in front lets it be absent";
        struct stat st;
        bool made = u->runtime_directories.n > 0 || u->state_directories.n > 0;
        if (u->working_directory && !u->working_directory_optional && !made &&
                (stat(u->working_directory, &st) < 0 || !S_ISDIR(st.st_mode)))
                problem_add(p, PROBLEM_WARNING, u->working_directory_at.file, u->working_directory_at.line, 0,
                        "no-directory", hint, "WorkingDirectory=%s is not a directory", u->working_directory);
        for (unsigned i = 0; i < u->environment_files.n; i++) {
                const char *path = u->environment_files.items[i];
                if (path[0] != '-' && (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, R_OK) < 0))
                        problem_add(p, PROBLEM_WARNING, u->environment_files_at.file,
                                u->environment_files_at.line, 0, "no-file", hint,
                                "EnvironmentFile=%s is no file that can be read", path);
        }
}

/* What a `-` in front lets fail is not asked for, nor a bare name whose PATH may come from a file yet to be
 * written. */
static int check_programs(const UnitConfig *u, Problems *p) {
        auto_free char **env = NULL;
        int r = unit_environment(u, environ, NULL, NULL, &env);
        for (unsigned i = 0; i < u->exec[EXEC_START].n && r == 0; i++) {
                const ExecCommand *c = &u->exec[EXEC_START].items[i];
                char path[PATH_MAX];
                bool bare = !strchr(c->path, '/');
                if (c->ignore_failure || (bare && u->environment_files.n > 0))
                        continue;
                int e = launch_find(c->path, bare ? environment_get(env, "PATH") : NULL, path, sizeof(path));
                if (e < 0)
                        problem_add(p, PROBLEM_ERROR, c->file ? c->file : u->file, c->line, 0, "program",
                                e == -EACCES ? "chmod +x, and not a directory"
                                : bare       ? "a bare name is sought in PATH; give the absolute path"
                                             : "is it installed? ExecStart=/path/to/program",
                                "program '%s' %s", c->path,
                                e == -ENOENT   ? "is not found"
                                : e == -EACCES ? "is not executable"
                                               : strerror(-e));
        }
        return r;
}

int precheck_machine(const UnitSet *set, Problems *problems) {
        int r = 0;
        for (unsigned i = 0; i < set->n && r == 0; i++) {
                const UnitConfig *u = set->units[i];
                check_ids(u, problems);
                check_files(u, problems);
                if (!u->from_core_dir)
                        r = check_programs(u, problems);
        }
        return r;
}

int precheck_roles(const Options *o, RolesBlob *ret, bool *have) {
        auto_free Job *j = calloc(1, sizeof(*j));
        if (!j)
                return -ENOMEM;
        *have = false;
        snprintf(j->path, sizeof(j->path), "%s/guardian-compile", o->libexec_dir);
        if (access(j->path, X_OK) < 0)
                return 0;
        j->argv[0] = "guardian-compile";
        j->argv[1] = "roles";
        dirs_into(o, j, 2);
        j->data = true;
        int r = job_start(j);
        if (r < 0)
                fprintf(stderr, "%s: %s can't be started: %s\n", j->path, j->argv[0], strerror(-r));
        else
                r = job_finish(j);
        auto_close int out = j->out;
        if (r < 0)
                return r;
        if (j->status != 0) {
                if (j->status != BAD_POLICY) /* then it has said why */
                        fprintf(stderr, "guardian-compile roles ended with status %d\n", j->status);
                return 1;
        }
        off_t size = lseek(out, 0, SEEK_END);
        if (size <= 0 || size > ROLES_MAX)
                return -EBADMSG;
        auto_free uint8_t *text = malloc((size_t)size);
        if (!text)
                return -ENOMEM;
        if (pread(out, text, (size_t)size, 0) != size)
                return -EIO;
        r = roles_blob_parse(text, (size_t)size, ret);
        *have = r == 0;
        return r;
}
