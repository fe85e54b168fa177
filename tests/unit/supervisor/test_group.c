/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/group.h"
#include "supervisor/headroom.h"
#include "supervisor/launch.h"
#include "supervisor/pid1.h"
#include "supervisor/reap.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static ReapTable table;
static GroupRoot root;
static int pipe_fds[2]; /* the probe says over its fd 3 how far it is */

static void on_end(void *user, const ProcessEnd *end) {
        int *ended = user;

        (void)end;
        (*ended)++;
}

static void setup_kind(bool cgroup) {
        sigset_t chld;

        sigemptyset(&chld);
        sigaddset(&chld, SIGCHLD);
        sigprocmask(SIG_BLOCK, &chld, NULL);
        ck_assert_int_eq(pid1_subreaper(), 0);
        ck_assert_int_eq(reap_init(&table, 64), 0);
        ck_assert_int_eq(group_root_init(&root, cgroup), 0);
        ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
}

static void setup_session(void) {
        setup_kind(false);
        ck_assert_int_eq(root.kind, GROUP_SESSION);
}

static bool known(void *user, pid_t pid) {
        return reap_known(user, pid);
}

/* As on a kernel without children files. */
static void setup_scan(void) {
        setup_kind(false);
        root.scan_all = true;
        root.known = known;
        root.known_user = &table;
}

static void setup_known(void) {
        setup_kind(false);
        root.known = known;
        root.known_user = &table;
}

static void setup_cgroup(void) {
        setup_kind(true);
}

static void setup_cgroup_known(void) {
        setup_kind(true);
        root.known = known;
        root.known_user = &table;
}

/* As below a container runtime whose filter of system calls knows no clone3. */
static void setup_filtered(void) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = {ELEMENTSOF(code), code};

        ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
        setup_kind(true);
}

static void teardown(void) {
        ck_assert(reap_no_children());
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        group_root_done(&root);
        reap_done(&table);
}

/* Starts the probe as the group's leader and waits until it said `steps` letters. */
static pid_t start(Group *g, const char *part, int steps, int *ended, bool name_unit) {
        const char *const argv[] = {"probe", part, NULL};
        char name[160];
        const char *const env[] = {name_unit ? name : "A=b", NULL};
        LaunchFd fd = {pipe_fds[1], 3};
        LaunchPlan p;
        LaunchResult r;

        snprintf(name, sizeof(name), "GUARDIAN_UNIT=%s", g->unit);
        launch_plan_init(&p);
        p.path = PROBE;
        p.argv = argv;
        p.envp = env;
        p.fds = &fd;
        p.n_fds = 1;
        p.cgroup_fd = g->dir_fd;
        p.cgroup_move = g->killed;
        ck_assert_int_eq(launch_spawn(&p, &r), 0);
        ck_assert_int_eq(reap_add(&table, r.pid, on_end, ended), 0);
        ck_assert_int_eq(group_add(g, r.pid, true), 0);
        for (int i = 0; i < steps; i++) {
                char c;

                ck_assert_int_eq(read(pipe_fds[0], &c, 1), 1);
        }
        return r.pid;
}

static void reap_once(void) {
        sigset_t chld;

        sigemptyset(&chld);
        sigaddset(&chld, SIGCHLD);
        if (reap_run(&table, 0, NULL) == 0)
                sigwaitinfo(&chld, NULL);
        group_root_refresh(&root);
}

static void until_empty(Group *g) {
        while (!group_empty(g))
                reap_once();
        while (!reap_no_children())
                reap_once();
}

static size_t count_members(Group *g) {
        GroupMember *m;
        size_t n;

        group_root_refresh(&root);
        ck_assert_int_eq(group_members(g, &m, &n), 0);
        free(m);
        return n;
}

/* A tree of three, the last of them in a session of its own: all are members, all end. */
static void whole_tree(void) {
        Group g, other;
        int ended = 0;
        pid_t leader;

        ck_assert_int_eq(group_init(&g, &root, "tree"), 0);
        ck_assert_int_eq(group_init(&other, &root, "other"), 0);
        ck_assert(group_empty(&g));
        leader = start(&g, "tree", 3, &ended, true);
        ck_assert_uint_eq(count_members(&g), 3);
        ck_assert(group_has(&g, leader));
        ck_assert(!group_has(&other, leader));
        ck_assert(!group_has(&g, getpid()));
        ck_assert(group_empty(&other));
        ck_assert(!group_empty(&g));

        /* the leader alone: the rest is left, and still known after the leader was reaped */
        ck_assert_int_eq(process_signal(leader, g.leader_start, SIGTERM), 0);
        while (ended == 0)
                reap_once();
        ck_assert(!group_empty(&g));
        ck_assert_uint_eq(count_members(&g), 2);
        group_root_refresh(&root);
        ck_assert_int_eq(group_signal(&other, SIGKILL, 0), 0);
        ck_assert_int_ge(group_signal(&g, SIGKILL, 0), 0);
        until_empty(&g);
        ck_assert_uint_eq(count_members(&g), 0);
        ck_assert_int_eq(process_signal(leader, g.leader_start, SIGTERM), -ESRCH);

        /* what was killed once can live again */
        group_reset(&g);
        ended = 0;
        start(&g, "tree", 3, &ended, true);
        ck_assert_uint_eq(count_members(&g), 3);
        ck_assert_int_ge(group_signal(&g, SIGKILL, 0), 0);
        until_empty(&g);
        group_done(&g);
        group_done(&other);
}

START_TEST(session_tree) {
        whole_tree();
}
END_TEST

/* A scan that is older than the reaping must not keep a group alive: nobody would ask again. */
START_TEST(session_ended_and_reaped) {
        Group g;
        int ended = 0;
        pid_t leader;

        ck_assert_int_eq(group_init(&g, &root, "stale"), 0);
        leader = start(&g, "wait", 1, &ended, true);
        group_root_refresh(&root);
        ck_assert(!group_empty(&g));
        ck_assert_int_eq(process_signal(leader, g.leader_start, SIGKILL), 0);
        while (ended == 0) {
                sigset_t chld;

                sigemptyset(&chld);
                sigaddset(&chld, SIGCHLD);
                if (reap_run(&table, 0, NULL) == 0)
                        sigwaitinfo(&chld, NULL);
        }
        ck_assert(group_empty(&g)); /* without a refresh */
        group_reset(&g);
        start(&g, "wait", 1, &ended, true);
        ck_assert(!group_empty(&g)); /* likewise */
        ck_assert_int_eq(group_signal(&g, SIGKILL, 0), 1);
        until_empty(&g);
        group_done(&g);
}
END_TEST

START_TEST(cgroup_tree) {
        if (root.kind == GROUP_CGROUP)
                whole_tree();
        else
                printf("# skipped: %s\n", root.why);
}
END_TEST

/* Moves the members to a group below; how many there were. */
static int move_members(Group *g, const char *below) {
        GroupMember *m;
        size_t n;
        char path[64], pid[16];

        snprintf(path, sizeof(path), "%s/cgroup.procs", below);
        ck_assert_int_eq(group_members(g, &m, &n), 0);
        for (size_t i = 0; i < n; i++) {
                snprintf(pid, sizeof(pid), "%d", (int)m[i].pid);
                ck_assert_int_eq(group_set(g, path, pid), 0);
        }
        free(m);
        return (int)n;
}

/* A unit that made a group of its own below its group: members there are members. */
START_TEST(cgroup_nested) {
        Group g;
        int ended = 0;

        if (root.kind != GROUP_CGROUP) {
                printf("# skipped: %s\n", root.why);
                return;
        }
        ck_assert_int_eq(group_init(&g, &root, "nested"), 0);
        start(&g, "daemon", 1, &ended, false);
        ck_assert_uint_ge(count_members(&g), 1);
        while (ended == 0)
                reap_once();
        while (count_members(&g) > 1)
                reap_once();
        ck_assert_int_eq(mkdirat(g.dir_fd, "below", 0755), 0);
        ck_assert_int_eq(move_members(&g, "below"), 1);
        ck_assert_uint_eq(count_members(&g), 1);
        ck_assert(!group_empty(&g));
        ck_assert_int_ge(group_signal(&g, SIGKILL, 0), 1);
        until_empty(&g);
        group_done(&g);
}
END_TEST

/* Double fork, own session, TERM ignored: found by the environment without a cgroup, by membership with one.
 */
static void daemon_is_found(void) {
        Group g;
        int ended = 0;

        ck_assert_int_eq(group_init(&g, &root, "daemon"), 0);
        start(&g, "daemon", 1, &ended, true);
        while (ended == 0)
                reap_once();
        /* its middle process is an orphan that ends by itself */
        while (count_members(&g) > 1)
                reap_once();
        ck_assert_uint_eq(count_members(&g), 1);
        ck_assert(!group_empty(&g));
        ck_assert_int_eq(group_signal(&g, SIGTERM, 0), 1);
        group_root_refresh(&root);
        ck_assert(!group_empty(&g)); /* it ignores TERM */
        group_signal(&g, SIGKILL, 0);
        until_empty(&g);
        group_reset(&g);
        ck_assert(group_empty(&g));
        group_done(&g);
}

START_TEST(session_daemon) {
        daemon_is_found();
}
END_TEST

START_TEST(cgroup_daemon) {
        if (root.kind == GROUP_CGROUP)
                daemon_is_found();
        else
                printf("# skipped: %s\n", root.why);
}
END_TEST

/* What the probe says of its child (pid, in our numbers). */
static pid_t read_pid(void) {
        pid_t pid;

        ck_assert_int_eq(read(pipe_fds[0], &pid, sizeof(pid)), sizeof(pid));
        return pid;
}

/* Until the leader and the middle process of a double fork were reaped: the rest are our own children. */
static void reap_until_orphaned(const int *ended) {
        while (*ended == 0 || table.orphans == 0)
                reap_once();
}

/* An orphan whose first thread ended is a zombie without memory while its second runs: alive, and known by
 * its name. */
static void zombie_with_threads(void) {
        Group g, other;
        int ended = 0;

        ck_assert_int_eq(group_init(&g, &root, "threads"), 0);
        ck_assert_int_eq(group_init(&other, &root, "other"), 0);
        start(&g, "threads", 1, &ended, true);
        reap_until_orphaned(&ended);
        ck_assert(!group_empty(&g));
        ck_assert_uint_eq(count_members(&g), 1);
        other.since = g.since;
        ck_assert(group_empty(&other));
        ck_assert_int_eq(group_signal(&g, SIGTERM, 0), 1);
        until_empty(&g);
        group_done(&g);
        group_done(&other);
}

START_TEST(session_threads) {
        zombie_with_threads();
}
END_TEST

START_TEST(cgroup_threads) {
        if (root.kind == GROUP_CGROUP)
                zombie_with_threads();
        else
                printf("# skipped: %s\n", root.why);
}
END_TEST

/* An orphan on its way out has no environment any more, and is no zombie yet: the first process of a process
 * namespace stays so until the last other one in there was reaped. Nobody can tell whose it was, so no group
 * is empty. */
START_TEST(held_in_exit) {
        Group g, other;
        int ended = 0;
        pid_t first, second;
        char name[16];
        siginfo_t si;
        ProcStat s;

        ck_assert_int_eq(group_init(&g, &root, "held"), 0);
        ck_assert_int_eq(group_init(&other, &root, "other"), 0);
        start(&g, "namespace", 0, &ended, true);
        first = read_pid();
        second = first > 0 ? read_pid() : 0;
        if (first == 0) {
                printf("# skipped: no process namespaces here\n");
                until_empty(&g);
                return;
        }
        reap_until_orphaned(&ended);
        ck_assert_int_eq(reap_add(&table, second, on_end, &ended), 0); /* its end says nothing of the group */
        ck_assert_int_eq(kill(first, SIGKILL), 0);
        ck_assert_int_eq(
                waitid(P_PID, (id_t)second, &si, WEXITED | WNOWAIT), 0); /* killed by the end of the first */
        ck_assert_int_eq(proc_stat(first, &s), 0);
        ck_assert_int_ne(s.state, 'Z');
        ck_assert_uint_eq(s.vsize, 0);
        ck_assert_int_eq(proc_environ_get(first, "GUARDIAN_UNIT", name, sizeof(name)), -ENODATA);
        ck_assert(!group_empty(&g));
        ck_assert_uint_eq(count_members(&g), 0); /* not told, so not signalled */
        ck_assert(group_empty(&other));          /* was never started */
        other.since = g.since;
        ck_assert(!group_empty(&other));
        other.since = s.start + 1; /* was started later */
        ck_assert(group_empty(&other));
        until_empty(&g);
        group_done(&g);
        group_done(&other);
}
END_TEST

/* As long as the last of all these processes lives the group is not empty, whenever we look. */
static void never_empty(const char *part, bool forget) {
        struct pollfd p = {.fd = pipe_fds[0], .events = POLLIN};
        Group g, other;
        int ended = 0;

        ck_assert_int_eq(group_init(&g, &root, part), 0);
        ck_assert_int_eq(group_init(&other, &root, "other"), 0);
        start(&g, part, 0, &ended, true);
        other.since = g.since;
        while (poll(&p, 1, 0) == 0) {
                ck_assert_uint_eq(count_members(&other), 0); /* none that it would signal */
                ck_assert(!group_empty(&g));
                reap_run(&table, 0, NULL);
                if (forget)
                        g.n_sessions = 0;
                ck_assert(!group_empty(&g));
        }
        while (!group_empty(&g)) {
                group_signal(&g, SIGKILL, 0);
                reap_run(&table, 0, NULL);
                group_root_refresh(&root);
        }
        until_empty(&g);
        group_done(&g);
        group_done(&other);
}

/* Each forks the next one, which executes the probe again, and ends: one of them is always in its exec, on
 * its way out, or being adopted. */
START_TEST(relay_is_never_empty) {
        never_empty("relay", false);
}
END_TEST

/* One orphan that executes the probe again and again, and that nothing but its environment tells. */
START_TEST(exec_is_never_empty) {
        never_empty("execs", true);
}
END_TEST

/* A recorded incarnation with another start time is somebody else and is left alone. */
START_TEST(start_time_is_checked) {
        Group g;
        int ended = 0;
        pid_t leader;

        ck_assert_int_eq(group_init(&g, &root, "one"), 0);
        leader = start(&g, "wait", 1, &ended, true);
        ck_assert(proc_alive(leader, g.leader_start));
        ck_assert(!proc_alive(leader, g.leader_start + 1));
        ck_assert_int_eq(process_signal(leader, g.leader_start + 1, SIGKILL), -ESRCH);
        ck_assert_int_eq(ended, 0);
        ck_assert_int_eq(group_signal(&g, SIGKILL, leader), 0); /* all but the leader: nobody */
        ck_assert(proc_alive(leader, g.leader_start));
        ck_assert_int_eq(process_signal(leader, g.leader_start, SIGKILL), 0);
        until_empty(&g);
        ck_assert_int_eq(ended, 1);
        ck_assert_int_eq(process_signal_all(SIGTERM), -EPERM); /* we are not pid 1 */
        group_done(&g);
}
END_TEST

/* A Guardian that was killed leaves its directory behind; the next one removes it, and only it. */
START_TEST(leftovers_are_swept) {
        GroupRoot second, third;
        Group g;
        char name[sizeof(second.name)];

        if (root.kind != GROUP_CGROUP) {
                printf("# skipped: %s\n", root.why);
                return;
        }
        ck_assert_int_eq(group_root_init(&second, true), 0);
        ck_assert_int_eq(group_init(&g, &second, "left"), 0);
        memcpy(name, second.name, sizeof(name));
        close(g.dir_fd);
        close(second.dir_fd); /* its lock goes with it */
        ck_assert_int_eq(faccessat(root.parent_fd, name, F_OK, 0), 0);
        ck_assert_int_eq(group_root_init(&third, true), 0);
        ck_assert_int_eq(faccessat(root.parent_fd, name, F_OK, 0), -1);
        ck_assert_int_eq(faccessat(root.parent_fd, root.name, F_OK, 0), 0); /* ours is locked */
        group_root_done(&third);
        close(second.parent_fd);
}
END_TEST

START_TEST(pid1_helpers) {
        uint64_t have, soft;

        ck_assert_int_eq(pid1_fill_stdio(), 0);
        ck_assert_int_eq(pid1_proc(), 0);
        ck_assert_int_eq(pid1_descriptors(&have, &soft), 0);
        struct rlimit l;
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &l), 0);
        ck_assert_uint_eq(have, l.rlim_cur);
        ck_assert_uint_eq(l.rlim_max - l.rlim_cur, HEADROOM_FDS);
        /* what is kept back opens between begin and end, and only there */
        ck_assert_int_eq(fcntl(1, F_DUPFD, (int)l.rlim_cur), -1);
        headroom_begin();
        headroom_begin();
        headroom_end();
        int kept = fcntl(1, F_DUPFD, (int)l.rlim_cur);
        ck_assert_int_ge(kept, (int)l.rlim_cur);
        headroom_end();
        close(kept);
        ck_assert_int_eq(fcntl(1, F_DUPFD, (int)l.rlim_cur), -1);
        /* a limit that somebody sets meanwhile stays, also the one that we had before */
        struct rlimit given = {l.rlim_cur - 10, l.rlim_max}, now;
        headroom_begin();
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &given), 0);
        headroom_end();
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
        ck_assert_uint_eq(now.rlim_cur, given.rlim_cur);
        headroom_begin();
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &l), 0);
        headroom_end();
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
        ck_assert_uint_eq(now.rlim_cur, l.rlim_cur);
        ck_assert_uint_gt(pid1_descriptors_needed(100, 10), pid1_descriptors_needed(10, 10));
        close(0);
        close(2);
        ck_assert_int_eq(pid1_fill_stdio(), 0);
        ck_assert_int_ge(fcntl(0, F_GETFD), 0);
        ck_assert_int_ge(fcntl(2, F_GETFD), 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("group");
        static void (*const setups[])(void) = {setup_session, setup_scan, setup_known};
        static const char *const names[] = {"session", "scan", "known"};
        TCase *cgroup = tcase_create("cgroup"), *filtered = tcase_create("cgroup, no clone3"),
              *own = tcase_create("cgroup, known");
        SRunner *sr = srunner_create(s);
        int failed;

        for (size_t i = 0; i < ELEMENTSOF(setups); i++) {
                TCase *t = tcase_create(names[i]);

                tcase_add_checked_fixture(t, setups[i], teardown);
                tcase_set_timeout(t, 60);
                tcase_add_test(t, session_tree);
                tcase_add_test(t, session_daemon);
                tcase_add_test(t, session_ended_and_reaped);
                tcase_add_test(t, start_time_is_checked);
                tcase_add_test(t, session_threads);
                tcase_add_test(t, held_in_exit);
                tcase_add_test(t, relay_is_never_empty);
                tcase_add_test(t, exec_is_never_empty);
                suite_add_tcase(s, t);
        }
        tcase_add_test(cgroup, pid1_helpers);
        tcase_add_checked_fixture(cgroup, setup_cgroup, teardown);
        tcase_add_test(cgroup, cgroup_tree);
        tcase_add_test(cgroup, cgroup_daemon);
        tcase_add_test(cgroup, leftovers_are_swept);
        suite_add_tcase(s, cgroup);
        tcase_add_checked_fixture(own, setup_cgroup_known, teardown);
        tcase_add_test(own, cgroup_tree);
        tcase_add_test(own, cgroup_daemon);
        tcase_add_test(own, cgroup_nested);
        tcase_add_test(own, cgroup_threads);
        suite_add_tcase(s, own);
        tcase_add_checked_fixture(filtered, setup_filtered, teardown);
        tcase_add_test(filtered, cgroup_tree);
        suite_add_tcase(s, filtered);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed > 0;
}
