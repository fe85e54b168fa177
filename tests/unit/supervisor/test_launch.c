/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/evidence.h"
#include "supervisor/launch.h"
#include "supervisor/reap.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

typedef struct Ended {
        int n;
        ProcessEnd end;
} Ended;

static ReapTable table;
static char text[8192]; /* what the probe printed */
static const char *const no_env[] = {"PATH=/usr/bin:/bin", NULL};

static size_t count_fds(void) {
        int fds[64];
        size_t n, total;

        ck_assert_int_eq(proc_fds(0, fds, ELEMENTSOF(fds), &n, &total), 0);
        return total;
}

static void on_end(void *user, const ProcessEnd *end) {
        Ended *e = user;

        e->n++;
        e->end = *end;
}

/* Waits for SIGCHLD without losing one: it is blocked throughout. */
static void wait_ends(const Ended *e, int n) {
        sigset_t chld;

        sigemptyset(&chld);
        sigaddset(&chld, SIGCHLD);
        for (;;) {
                ck_assert_int_ge(reap_run(&table, 0, NULL), 0);
                if (e->n >= n)
                        return;
                sigwaitinfo(&chld, NULL);
        }
}

static void setup(void) {
        sigset_t chld;

        sigemptyset(&chld);
        sigaddset(&chld, SIGCHLD);
        sigprocmask(SIG_BLOCK, &chld, NULL);
        prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
        ck_assert_int_eq(reap_init(&table, 4096), 0);
}

static void teardown(void) {
        ck_assert(reap_no_children());
        reap_done(&table);
}

/* Runs the plan with stdout into `text` until its end; returns launch_spawn()'s result. */
static int run(LaunchPlan *p, LaunchResult *r, Ended *e) {
        int ends[2], result;
        size_t n = 0;
        ssize_t got;

        *e = (Ended){0};
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        if (!p->files[1].path)
                p->stdio[1] = ends[1];
        if (!p->files[2].path)
                p->stdio[2] = ends[1];
        if (!p->envp)
                p->envp = no_env;
        result = launch_spawn(p, r);
        if (result == 0)
                ck_assert_int_eq(reap_add(&table, r->pid, on_end, e), 0);
        close(ends[1]);
        while ((got = read(ends[0], text + n, sizeof(text) - 1 - n)) > 0)
                n += (size_t)got;
        text[n] = '\0';
        close(ends[0]);
        if (result == 0)
                wait_ends(e, 1);
        return result;
}

static const char *const report_argv[] = {"probe", "report", NULL};

#define SAYS(what) ck_assert_msg(strstr(text, what) != NULL, "no \"%s\" in:\n%s", what, text)

START_TEST(defaults) {
        LaunchPlan p;
        LaunchResult r;
        Ended e;
        size_t before;
        int stray;

        launch_plan_init(&p);
        p.path = PROBE;
        p.argv = report_argv;
        ck_assert_int_eq(run(&p, &r, &e), 0); /* the first spawn keeps /dev/null for all */
        before = count_fds();
        stray = dup(0); /* not CLOEXEC: must not reach the child all the same */
        ck_assert_int_eq(run(&p, &r, &e), 0);
        close(stray);
        SAYS("fds=0 1 2\n");
        SAYS("blocked=0\n");
        SAYS("ignored=\n");
        SAYS("session=1 group=1");
        SAYS("cwd=/\n");
        SAYS("nnp=0");
        SAYS("to stderr");
        ck_assert_int_eq(e.end.code, 0);
        ck_assert_int_eq(e.end.signal, 0);
        ck_assert_int_eq(r.skipped, 0);
        ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(everything_is_applied) {
        char env_pid[32] = "LISTEN_PID=";
        const char *const env[] = {env_pid, "VAR=a b", NULL};
        LaunchLimit limits[] = {{RLIMIT_NOFILE, 100, 200, false}};
        int sp[2];
        LaunchFd fds[2];
        LaunchPlan p;
        LaunchResult r;
        Ended e;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp), 0);
        fds[0] = (LaunchFd){sp[1], 7}; /* gaps between the numbers are closed, too */
        fds[1] = (LaunchFd){sp[0], 3};
        launch_plan_init(&p);
        p.path = PROBE;
        p.argv = report_argv;
        p.envp = env;
        p.pid_text = env_pid + strlen("LISTEN_PID=");
        p.cwd = "/tmp";
        p.umask = 027;
        p.umask_set = true;
        p.nice = 5;
        p.nice_set = true;
        p.oom_score_adj = 500;
        p.oom_score_adj_set = true;
        p.limits = limits;
        p.n_limits = 1;
        p.no_new_privs = true;
        p.ignore_signals = 1ULL << (SIGPIPE - 1);
        p.fds = fds;
        p.n_fds = 2;
        ck_assert_int_eq(run(&p, &r, &e), 0);
        close(sp[0]);
        close(sp[1]);
        SAYS("fds=0 1 2 3 7\n");
        SAYS("ignored=13 \n");
        SAYS("umask=027 cwd=/tmp\n");
        SAYS("nofile=100:200 nice=5 nnp=1");
        SAYS("listen_pid=1 var=a b");
}
END_TEST

/* Sources standing on each other's targets, and on 0 to 2. */
START_TEST(descriptors_may_cross) {
        static const char *const argv[] = {"bash", "-c", "printf three >&33; printf four >&34", NULL};
        LaunchFd fds[] = {{33, 34}, {34, 33}};
        int a[2], b[2];
        char got[16] = "";
        LaunchPlan p;
        LaunchResult r;
        Ended e = {0};

        ck_assert_int_eq(pipe2(a, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(b, O_CLOEXEC), 0);
        ck_assert_int_eq(dup3(a[1], 33, O_CLOEXEC), 33);
        ck_assert_int_eq(dup3(b[1], 34, O_CLOEXEC), 34);
        launch_plan_init(&p);
        p.path = "/bin/bash";
        p.argv = argv;
        p.envp = no_env;
        p.fds = fds;
        p.n_fds = 2;
        ck_assert_int_eq(launch_spawn(&p, &r), 0);
        ck_assert_int_eq(reap_add(&table, r.pid, on_end, &e), 0);
        wait_ends(&e, 1);
        ck_assert_int_eq(e.end.code, 0);
        ck_assert_int_eq(read(a[0], got, sizeof(got) - 1), 4); /* our 33 was its 34 */
        ck_assert_str_eq(got, "four");
        ck_assert_int_eq(read(b[0], got, sizeof(got) - 1), 5);
        ck_assert_str_eq(got, "three");
        for (int i = 0; i < 2; i++) {
                close(a[i]);
                close(b[i]);
                close(33 + i);
        }
}
END_TEST

START_TEST(failed_exec_is_synchronous) {
        static const struct {
                const char *path;
                int error, status;
        } cases[] = {{"/nonexistent/x", -ENOENT, 127}, {"/etc/passwd", -EACCES, 126}, {"/tmp", -EACCES, 126}};
        LaunchPlan p;
        LaunchResult r;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                launch_plan_init(&p);
                p.path = cases[i].path;
                p.argv = report_argv;
                p.envp = no_env;
                ck_assert_int_eq(launch_spawn(&p, &r), cases[i].error);
                ck_assert_int_eq(r.stage, LAUNCH_STAGE_EXEC);
                ck_assert_int_eq(r.pid, 0);
                ck_assert_int_eq(launch_exit_status(&r), cases[i].status);
                ck_assert(reap_no_children()); /* nothing is left over */
        }
        ck_assert_uint_eq(table.orphans, 0);
}
END_TEST

START_TEST(stages_are_named) {
        LaunchPlan p;
        LaunchResult r;
        LaunchFd bad[] = {{0, 3}, {1, 3}};

        launch_plan_init(&p);
        p.path = PROBE;
        p.argv = report_argv;
        p.envp = no_env;
        p.cwd = "/nonexistent";
        ck_assert_int_eq(launch_spawn(&p, &r), -ENOENT);
        ck_assert_str_eq(launch_stage_name(r.stage), "cwd");
        ck_assert_int_eq(launch_exit_status(&r), 125);
        p.cwd_optional = true;
        Ended e;
        ck_assert_int_eq(run(&p, &r, &e), 0);
        SAYS("cwd=/\n");

        p.fds = bad;
        p.n_fds = 2;
        ck_assert_int_eq(launch_spawn(&p, &r), -EINVAL);
        ck_assert_int_eq(r.stage, LAUNCH_STAGE_PREPARE);
        p.n_fds = 0;
        p.files[1].path = "/nonexistent/log";
        ck_assert_int_eq(launch_spawn(&p, &r), -ENOENT);
        ck_assert_int_eq(r.stage, LAUNCH_STAGE_OUTPUT);
}
END_TEST

START_TEST(files_are_opened_by_the_child) {
        char dir[] = "/tmp/launch-XXXXXX", path[64], fifo[64], got[4096];
        LaunchPlan p;
        LaunchResult r;
        Ended e;
        ssize_t n;
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/out", dir);
        snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
        launch_plan_init(&p);
        p.path = PROBE;
        p.argv = report_argv;
        p.files[1] = p.files[2] = (LaunchFile){path, true};
        for (int i = 0; i < 2; i++)
                ck_assert_int_eq(run(&p, &r, &e), 0);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = read(fd, got, sizeof(got) - 1);
        close(fd);
        ck_assert_int_gt(n, 0);
        got[n] = '\0';
        char *first = strstr(got, "to stderr");
        ck_assert_ptr_nonnull(first);
        ck_assert_ptr_nonnull(strstr(first + 1, "to stderr")); /* the second run appended */
        ck_assert_ptr_nonnull(strstr(got, "fds=0 1 2\n"));

        /* a FIFO that nobody reads is an error, not a hang */
        ck_assert_int_eq(mkfifo(fifo, 0600), 0);
        p.files[1].path = p.files[2].path = fifo;
        ck_assert_int_eq(launch_spawn(&p, &r), -ENXIO);
        ck_assert_int_eq(r.stage, LAUNCH_STAGE_OUTPUT);
        unlink(fifo);
        unlink(path);
        rmdir(dir);
}
END_TEST

START_TEST(what_was_opened_runs) {
        char dir[] = "/tmp/launch-XXXXXX", path[64];
        static const char *const argv[] = {"true", NULL};
        LaunchExe exe;
        LaunchPlan p;
        LaunchResult r;
        Ended e;
        struct stat st;

        ck_assert_ptr_nonnull(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/exe", dir);
        ck_assert_int_eq(symlink("/bin/true", path), 0);
        ck_assert_int_eq(launch_exe_open(path, &exe), 0);
        /* swapped after it was looked at */
        unlink(path);
        ck_assert_int_eq(symlink("/bin/false", path), 0);
        launch_plan_init(&p);
        p.exe_fd = exe.fd;
        p.path = path;
        p.argv = argv;
        ck_assert_int_eq(run(&p, &r, &e), 0);
        ck_assert_int_eq(e.end.code, 0);
        ck_assert_int_eq(stat("/bin/true", &st), 0);
        ck_assert_uint_eq(st.st_ino, exe.ino);
        launch_exe_close(&exe);
        ck_assert_int_eq(launch_exe_open("/etc/passwd", &exe), -EACCES);
        ck_assert_int_eq(launch_exe_open("/tmp", &exe), -EACCES);
        unlink(path);
        rmdir(dir);
}
END_TEST

START_TEST(ids_change) {
        static const gid_t groups[] = {12345, 12346};
        LaunchPlan p;
        LaunchResult r;
        Ended e;

        launch_plan_init(&p);
        p.path = "/bin/sh"; /* the probe may lie where another uid can't reach it */
        p.argv = (const char *const[]){
                "sh", "-c", "id -u; id -g; id -G; grep NoNewPrivs /proc/self/status", NULL};
        p.set_ids = true;
        p.uid = 54321;
        p.gid = 54322;
        p.groups = groups;
        p.n_groups = 2;
        p.no_new_privs = true;
        if (geteuid() != 0) {
                ck_assert_int_eq(launch_spawn(&(LaunchPlan){.exe_fd = -1,
                                                      .tty_fd = -1,
                                                      .stdio = {-1, -1, -1},
                                                      .cgroup_fd = -1,
                                                      .path = p.path,
                                                      .argv = p.argv,
                                                      .envp = no_env,
                                                      .set_ids = true,
                                                      .uid = p.uid,
                                                      .gid = p.gid},
                                         &r),
                        -EPERM);
                ck_assert_int_eq(r.stage, LAUNCH_STAGE_GROUPS);
                return;
        }
        ck_assert_int_eq(run(&p, &r, &e), 0);
        ck_assert_str_eq(text, "54321\n54322\n54322 12345 12346\nNoNewPrivs:\t1\n");
}
END_TEST

START_TEST(own_ids_need_no_right) {
        gid_t groups[64];
        int n = getgroups(64, groups);
        LaunchPlan p;
        LaunchResult r;
        Ended e;

        launch_plan_init(&p);
        p.path = PROBE;
        p.argv = report_argv;
        p.set_ids = true;
        p.uid = getuid();
        p.gid = getgid();
        p.groups = groups;
        p.n_groups = (unsigned)n;
        ck_assert_int_eq(run(&p, &r, &e), 0);
}
END_TEST

static volatile sig_atomic_t handled;
static void handler(int sig) {
        (void)sig;
        handled++;
}

/* Handlers and ignored signals of ours never reach the child. */
START_TEST(dispositions_are_reset) {
        struct sigaction sa = {.sa_handler = handler};
        LaunchPlan p;
        LaunchResult r;
        Ended e;

        sigaction(SIGUSR1, &sa, NULL);
        signal(SIGINT, SIG_IGN);
        launch_plan_init(&p);
        p.path = PROBE;
        p.argv = report_argv;
        ck_assert_int_eq(run(&p, &r, &e), 0);
        SAYS("ignored=\n");
        SAYS("blocked=0");
        raise(SIGUSR1);
        ck_assert_int_eq(handled, 1); /* ours is untouched */
        signal(SIGINT, SIG_DFL);
        signal(SIGUSR1, SIG_DFL);
}
END_TEST

START_TEST(ends_are_told_apart) {
        static const char *const by_code[] = {"probe", "exit", "42", NULL};
        static const char *const by_signal[] = {"probe", "signal", "15", NULL};
        LaunchPlan p;
        LaunchResult r;
        Ended e;

        launch_plan_init(&p);
        p.path = PROBE;
        p.argv = by_code;
        ck_assert_int_eq(run(&p, &r, &e), 0);
        ck_assert_int_eq(e.end.code, 42);
        p.argv = by_signal;
        ck_assert_int_eq(run(&p, &r, &e), 0);
        ck_assert_int_eq(e.end.signal, SIGTERM);
        ck_assert_int_eq(e.end.code, -1);
        ck_assert_int_eq(e.n, 1);
}
END_TEST

START_TEST(orphans_drain) {
        static const char *const argv[] = {"probe", "orphans", "500", NULL};
        LaunchPlan p;
        LaunchResult r;
        Ended e;
        bool more;

        launch_plan_init(&p);
        p.path = PROBE;
        p.argv = argv;
        ck_assert_int_eq(run(&p, &r, &e), 0);
        while (!reap_no_children())
                ck_assert_int_ge(reap_run(&table, 0, NULL), 0);
        ck_assert_uint_eq(table.orphans, 500);
        ck_assert_uint_eq(table.reaped, 501);
        ck_assert_int_eq(reap_run(&table, 10, &more), 0);
        ck_assert(!more);
}
END_TEST

START_TEST(table_keeps_every_pid) {
        ReapTable t;

        ck_assert_int_eq(reap_init(&t, 1000), 0);
        for (int i = 1; i <= 1000; i++)
                ck_assert_int_eq(reap_add(&t, i * 64, on_end, NULL), 0); /* many with one home slot */
        ck_assert_int_eq(reap_add(&t, 7, on_end, NULL), -ENOSPC);
        for (int i = 1; i <= 1000; i += 2)
                ck_assert(reap_remove(&t, i * 64));
        for (int i = 1; i <= 1000; i++)
                ck_assert_int_eq(reap_known(&t, i * 64), i % 2 == 0);
        ck_assert_int_eq(reap_add(&t, 128, on_end, NULL), -EEXIST);
        ck_assert(!reap_remove(&t, 64));
        reap_done(&t);
}
END_TEST

START_TEST(path_lookup) {
        char dir[] = "/tmp/launch-XXXXXX", out[256], path[64], search[128];
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/sh", dir);
        snprintf(search, sizeof(search), "%s:/nonexistent:/bin", dir);
        ck_assert_int_eq(launch_find("sh", search, out, sizeof(out)), 0);
        ck_assert_str_eq(out, "/bin/sh");
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        close(fd);
        ck_assert_int_eq(launch_find("sh", search, out, sizeof(out)), 0);
        ck_assert_str_eq(out, "/bin/sh"); /* one that may not be executed does not hide it */
        ck_assert_int_eq(launch_find("sh", dir, out, sizeof(out)), -EACCES);
        ck_assert_int_eq(launch_find("no-such-program", NULL, out, sizeof(out)), -ENOENT);
        ck_assert_int_eq(launch_find(path, NULL, out, sizeof(out)), -EACCES);
        ck_assert_int_eq(launch_find("/nonexistent", NULL, out, sizeof(out)), -ENOENT);
        ck_assert_int_eq(launch_find("", NULL, out, sizeof(out)), -ENOENT);
        ck_assert_int_eq(launch_find("sh", NULL, out, sizeof(out)), 0);
        unlink(path);
        rmdir(dir);
}
END_TEST

/* ---- evidence of a live process ---- */

static int channel[2]; /* the probe's fd 3 */
static Ended probe_end;

/* A probe that waits, started with the first n of these descriptors. */
static void evidence_launch_plan(LaunchPlan *p, const LaunchFd *fds, unsigned n) {
        static const char *const argv[] = {"probe", "wait", NULL};
        static LaunchLimit limits[] = {{RLIMIT_CORE, 0, 0, false}};

        launch_plan_init(p);
        p->path = PROBE;
        p->argv = argv;
        p->envp = no_env;
        p->limits = limits;
        p->n_limits = 1;
        p->no_new_privs = true;
        p->fds = fds;
        p->n_fds = n;
}

static pid_t evidence_start(const LaunchPlan *p) {
        LaunchResult r;
        char c;

        probe_end.n = 0;
        ck_assert_int_eq(launch_spawn(p, &r), 0);
        ck_assert_int_eq(reap_add(&table, r.pid, on_end, &probe_end), 0);
        ck_assert_int_eq(read(channel[0], &c, 1), 1);
        return r.pid;
}

static void evidence_end(pid_t pid) {
        kill(pid, SIGKILL);
        wait_ends(&probe_end, 1);
}

/* All as planned, then planned facts made wrong. */
START_TEST(evidence_of_a_process) {
        EvidencePlan plan;
        EvidenceFacts facts;
        Evidence ev;
        LaunchPlan p;
        struct stat st;
        pid_t pid;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
        ck_assert_int_eq(stat(PROBE, &st), 0);
        LaunchFd fd = {channel[1], 3};
        evidence_launch_plan(&p, &fd, 1);
        ck_assert_int_eq(evidence_plan(&p, st.st_dev, st.st_ino, &plan), 0);
        pid = evidence_start(&p);
        ck_assert_int_eq(evidence_gather(pid, &plan, &facts), 0);
        evidence_compare(&plan, &facts, &ev);
        for (unsigned i = 0; i < ev.n; i++)
                ck_assert_msg(ev.checks[i].ok, "%s: planned %s, found %s", ev.checks[i].key,
                        ev.checks[i].planned, ev.checks[i].found);
        ck_assert(ev.verified);
        ck_assert_uint_eq(ev.n, 7);

        plan.exe_ino++;
        evidence_compare(&plan, &facts, &ev);
        ck_assert(!ev.verified);
        plan.exe_ino--;
        plan.limits[0].hard = 5;
        evidence_compare(&plan, &facts, &ev);
        ck_assert(!ev.verified);
        evidence_end(pid);
        ck_assert_int_eq(evidence_gather(pid, &plan, &facts), -ESRCH);
        close(channel[0]);
        close(channel[1]);
}
END_TEST

/* One of our own pipes in the child beside the plan: seen. */
START_TEST(evidence_of_a_leak) {
        EvidencePlan plan;
        EvidenceFacts facts;
        Evidence ev;
        LaunchPlan p;
        int secret[2];
        pid_t pid;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
        ck_assert_int_eq(pipe2(secret, O_CLOEXEC), 0);
        LaunchFd fds[] = {{channel[1], 3}, {secret[0], 9}};
        evidence_launch_plan(&p, fds, 1);
        ck_assert_int_eq(evidence_plan(&p, 0, 0, &plan), 0);
        p.n_fds = 2;
        pid = evidence_start(&p);
        ck_assert_int_eq(evidence_gather(pid, &plan, &facts), 0);
        evidence_compare(&plan, &facts, &ev);
        ck_assert(!ev.verified);
        ck_assert_uint_eq(facts.n_leaked, 1);
        ck_assert_int_eq(facts.leaked[0], 9);
        evidence_end(pid);
        for (int i = 0; i < 2; i++) {
                close(channel[i]);
                close(secret[i]);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("launch");
        TCase *t = tcase_create("launch");
        SRunner *sr = srunner_create(s);
        int failed;

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, defaults);
        tcase_add_test(t, everything_is_applied);
        tcase_add_test(t, descriptors_may_cross);
        tcase_add_test(t, failed_exec_is_synchronous);
        tcase_add_test(t, stages_are_named);
        tcase_add_test(t, files_are_opened_by_the_child);
        tcase_add_test(t, what_was_opened_runs);
        tcase_add_test(t, ids_change);
        tcase_add_test(t, own_ids_need_no_right);
        tcase_add_test(t, dispositions_are_reset);
        tcase_add_test(t, ends_are_told_apart);
        tcase_add_test(t, orphans_drain);
        tcase_add_test(t, table_keeps_every_pid);
        tcase_add_test(t, path_lookup);
        tcase_add_test(t, evidence_of_a_process);
        tcase_add_test(t, evidence_of_a_leak);
        suite_add_tcase(s, t);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed > 0;
}
