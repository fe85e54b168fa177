/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds and refusals: what is too much, too long, not permitted or not there, and what is left as it was. */
#include "supervisor/evidence.h"
#include "supervisor/group.h"
#include "supervisor/launch.h"
#include "supervisor/manifest.h"
#include "supervisor/pid1.h"
#include "supervisor/procinfo.h"
#include "supervisor/reap.h"
#include "supervisor/timer-heap.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the manifest */
#define HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int parse(const char *text, size_t n, const char *want) {
        Problems p = {0};
        Manifest m;
        int r = manifest_parse(&m, text, n, "manifest", &p);
        if (want) {
                ck_assert_uint_eq(p.n, 1);
                ck_assert_ptr_nonnull(strstr(p.items[0].message, want));
                ck_assert_uint_eq(m.n, 0); /* half a manifest is none */
        }
        problems_done(&p);
        manifest_done(&m);
        return r;
}

START_TEST(manifest_lines_that_are_refused) {
        static const char zero[] = HASH "  a\0b\n";
        char name[200];
        ck_assert_int_eq(parse("z" HASH "  a\n", 69, "two blanks"), -EINVAL);
        ck_assert_int_eq(parse(&("zz" HASH)[2], 0, NULL), 0);
        snprintf(name, sizeof(name), "%.62szz  a\n", HASH);
        ck_assert_int_eq(parse(name, strlen(name), "in hex"), -EINVAL);
        snprintf(name, sizeof(name), "%s  %064d\n", HASH, 0);
        ck_assert_int_eq(parse(name, strlen(name), NULL), 0);
        snprintf(name, sizeof(name), "%s  %065d\n", HASH, 0);
        ck_assert_int_eq(parse(name, strlen(name), "longer than 64"), -EINVAL);
        ck_assert_int_eq(parse(zero, sizeof(zero) - 1, "no directory"), -EINVAL);
}
END_TEST

START_TEST(manifest_entries_have_an_end) {
        static char text[(MANIFEST_ENTRIES_MAX + 1) * 80];
        size_t n = 0;
        for (int i = 0; i < MANIFEST_ENTRIES_MAX; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s  p%d\n", HASH, i);
        ck_assert_int_eq(parse(text, n, NULL), 0);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s  one-more\n", HASH);
        ck_assert_int_eq(parse(text, n, "more than 256"), -EINVAL);
}
END_TEST

START_TEST(manifest_files) {
        char path[] = "/tmp/manifest-XXXXXX";
        Manifest m;
        int fd = mkstemp(path);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, HASH "  a\n", 68), 68);
        ck_assert_int_eq(manifest_load(&m, path, NULL), 0);
        ck_assert_uint_eq(m.n, 1);
        ck_assert_int_lt(manifest_check(&m, "a", -1), 0); /* what can't be read is not right */
        manifest_done(&m);
        ck_assert_int_eq(ftruncate(fd, 16 << 20), 0);
        ck_assert_int_eq(manifest_load(&m, path, NULL), -EFBIG);
        ck_assert_int_eq(manifest_load(&m, "/tmp", NULL), -EISDIR);
        close(fd);
        unlink(path);
}
END_TEST

/* ---- what /proc says */
START_TEST(status_with_more_groups_than_fit) {
        static char text[4096];
        ProcStatus st;
        size_t n = (size_t)snprintf(text, sizeof(text), "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t");
        for (unsigned i = 0; i < PROC_GROUPS_MAX; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%u ", 10 + i);
        size_t all = n;
        n += (size_t)snprintf(text + n, sizeof(text) - n, "\nNoNewPrivs:\t1\n");
        ck_assert_int_eq(proc_status_parse(text, n, &st), 0);
        ck_assert_uint_eq(st.n_groups, PROC_GROUPS_MAX);
        ck_assert(!st.groups_cut && st.no_new_privs == 1);
        n = all + (size_t)snprintf(text + all, sizeof(text) - all, "7\nNoNewPrivs:\t1\n");
        ck_assert_int_eq(proc_status_parse(text, n, &st), 0);
        ck_assert_uint_eq(st.n_groups, PROC_GROUPS_MAX);
        ck_assert(st.groups_cut && st.no_new_privs == 1);
        /* longer than any line that is looked at */
        for (n = all; n < 2000;)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "1234567 ");
        n += (size_t)snprintf(text + n, sizeof(text) - n, "\nNoNewPrivs:\t0\n");
        ck_assert_int_eq(proc_status_parse(text, n, &st), 0);
        ck_assert(st.groups_cut && st.no_new_privs == 0);
}
END_TEST

START_TEST(a_long_name_is_cut) {
        ProcStat s;
        ck_assert_int_eq(
                proc_stat_parse("7 ("
                                "0123456789012345678901234567890123456789012345678901234567890123456789"
                                ") S 1 7 7 0 -1 4194560 "
                                "1 0 0 0 0 0 0 0 20 0 "
                                "3 0 99 5000\n",
                        &s),
                0);
        ck_assert_uint_eq(strlen(s.comm), sizeof(s.comm) - 1);
        ck_assert_int_eq(s.pid, 7);
        ck_assert_uint_eq(s.threads, 3);
        ck_assert_uint_eq(s.start, 99);
}
END_TEST

START_TEST(environment_values) {
        char value[8];
        static char big[256 * 1024];
        ck_assert_int_eq(proc_rss(1 << 22, &(uint64_t){0}), -ESRCH);
        ck_assert_int_eq(proc_cgroup(1 << 22, big, sizeof(big)), -ESRCH);
        ck_assert_int_lt(proc_cgroup(0, value, 1), 0); /* not even "/" fits */
        const char *path = getenv("PATH");
        ck_assert_ptr_nonnull(path);
        int r = proc_environ_get(0, "PATH", big, sizeof(big));
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(proc_environ_get(0, "PATH", value, 2), -ENAMETOOLONG);
        ck_assert_int_eq(proc_environ_get(1 << 22, "PATH", big, sizeof(big)), -ESRCH);
}
END_TEST

/* ---- evidence */
START_TEST(a_plan_says_what_was_planned) {
        static const gid_t groups[] = {12, 13};
        LaunchFd fds[] = {{0, 9}, {1, 5}};
        LaunchLimit limits[EVIDENCE_LIMITS_MAX + 1] = {
                {RLIMIT_NOFILE, 64, UINT64_MAX, false}, {99, 1, 1, false}};
        EvidencePlan e;
        Evidence seen;
        EvidenceFacts facts = {0};
        LaunchPlan p;
        launch_plan_init(&p);
        p.set_ids = true;
        p.uid = 10;
        p.gid = 11;
        p.groups = groups;
        p.n_groups = 2;
        p.fds = fds;
        p.n_fds = 2;
        p.limits = limits;
        p.n_limits = 2;
        ck_assert_int_eq(evidence_plan(&p, 1, 2, &e), 0);
        ck_assert(e.uid == 10 && e.gid == 11 && e.n_groups == 2 && e.groups[0] == 12 && e.groups[1] == 13);
        ck_assert_uint_eq(e.n_fds, 5);
        ck_assert(e.fds[3] == 5 && e.fds[4] == 9); /* ascending */
        evidence_compare(&e, &facts, &seen);
        for (unsigned i = 0; i < seen.n; i++)
                if (strcmp(seen.checks[i].key, "Rlimits") == 0)
                        ck_assert_ptr_nonnull(strstr(seen.checks[i].planned, "64:infinity ?=1:1"));
        ck_assert(!seen.verified);

        p.n_limits = EVIDENCE_LIMITS_MAX + 1; /* more than can be looked at: no half a plan */
        ck_assert_int_eq(evidence_plan(&p, 1, 2, &e), -E2BIG);
        p.n_limits = 0;
        p.n_groups = PROC_GROUPS_MAX + 1;
        ck_assert_int_eq(evidence_plan(&p, 1, 2, &e), -E2BIG);
        p.n_groups = 0;
        p.n_fds = EVIDENCE_FDS_MAX - 2;
        ck_assert_int_eq(evidence_plan(&p, 1, 2, &e), -E2BIG);
}
END_TEST

/* ---- limits and ids */
static void drop_cap(unsigned cap) {
        struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct d[2];
        ck_assert_int_eq(syscall(SYS_capget, &h, d), 0);
        d[cap / 32].effective &= ~(1u << (cap % 32));
        ck_assert_int_eq(syscall(SYS_capset, &h, d), 0);
}

START_TEST(limits_above_our_own_are_lowered) {
        struct rlimit ours = {100, 200};
        LaunchLimit l[] = {{RLIMIT_NOFILE, 300, 400, false}, {RLIMIT_NOFILE, 50, UINT64_MAX, false},
                {RLIMIT_NOFILE, 150, 200, false}};
        drop_cap(CAP_SYS_RESOURCE);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &ours), 0);
        ck_assert_uint_eq(launch_limits_clamp(l, 3), 2);
        ck_assert(l[0].clamped && l[0].soft == 200 && l[0].hard == 200);
        ck_assert(l[1].clamped && l[1].soft == 50 && l[1].hard == 200);
        ck_assert(!l[2].clamped && l[2].soft == 150 && l[2].hard == 200);
}
END_TEST

START_TEST(few_descriptors_are_left_as_they_are) {
        struct rlimit few = {8, 8};
        uint64_t have, soft;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        ck_assert_int_eq(pid1_descriptors(&have, &soft), 0);
        ck_assert(have == 8 && soft == 8);
}
END_TEST

static const char *const report_argv[] = {"probe", "report", NULL};
static const char *const no_env[] = {NULL};
static char text[8192]; /* what it printed */

static int run(LaunchPlan *p, LaunchResult *r) {
        int ends[2], status, e;
        size_t n = 0;
        ssize_t got;
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        p->stdio[1] = ends[1];
        p->envp = p->envp ? p->envp : no_env;
        e = launch_spawn(p, r);
        close(ends[1]);
        while ((got = read(ends[0], text + n, sizeof(text) - 1 - n)) > 0)
                n += (size_t)got;
        text[n] = '\0';
        close(ends[0]);
        if (e == 0)
                ck_assert_int_eq(waitpid(r->pid, &status, 0), r->pid);
        return e;
}

static void plan(LaunchPlan *p) {
        launch_plan_init(p);
        p->path = PROBE;
        p->argv = report_argv;
}

/* As many groups as ours, but not the same: then they are changed, and nothing of ours stays. */
START_TEST(groups_of_our_own_do_not_stay) {
        static const gid_t ours[] = {12345, 12346}, other[] = {12345, 12347}, twice[] = {12345, 12345},
                           turned[] = {12346, 12345};
        static const gid_t *const sets[] = {other, twice, turned};
        LaunchPlan p;
        LaunchResult r;
        if (geteuid() != 0 || setgroups(2, ours) < 0) {
                printf("# skipped: needs the right to change groups\n");
                return;
        }
        plan(&p);
        p.set_ids = true;
        p.uid = getuid();
        p.gid = getgid();
        p.groups = sets[_i];
        p.n_groups = 2;
        p.path = "/bin/grep";
        p.argv = (const char *const[]){"grep", "Groups:", "/proc/self/status", NULL};
        ck_assert_int_eq(run(&p, &r), 0);
        ck_assert_msg((strstr(text, "12346") != NULL) == (sets[_i] == turned), "%s", text);
        ck_assert_ptr_nonnull(strstr(text, "12345"));
}
END_TEST

START_TEST(plans_that_are_refused) {
        static const LaunchFd wrong[][2] = {{{0, 2}, {0, 4}}, {{-1, 3}, {0, 4}}, {{0, 5}, {1, 5}}};
        LaunchPlan p;
        LaunchResult r;
        for (unsigned i = 0; i < 3; i++) {
                plan(&p);
                p.fds = wrong[i];
                p.n_fds = 2;
                ck_assert_int_eq(run(&p, &r), -EINVAL);
                ck_assert_int_eq(r.stage, LAUNCH_STAGE_PREPARE);
                ck_assert_int_eq(r.pid, 0);
                ck_assert_int_eq(launch_exit_status(&r), 125);
        }
        plan(&p);
        p.path = NULL;
        ck_assert_int_eq(run(&p, &r), -EINVAL);
        plan(&p);
        p.argv = no_env;
        ck_assert_int_eq(run(&p, &r), -EINVAL);
}
END_TEST

/* The opened program stands where a descriptor of the unit is to go. */
START_TEST(the_program_gives_way) {
        static const char *const argv[] = {"probe", "report", NULL};
        LaunchExe exe;
        LaunchPlan p;
        LaunchResult r;
        ck_assert_int_eq(launch_exe_open(PROBE, &exe), 0);
        LaunchFd fd = {0, exe.fd};
        plan(&p);
        p.path = NULL;
        p.exe_fd = exe.fd;
        p.argv = argv;
        p.fds = &fd;
        p.n_fds = 1;
        ck_assert_int_eq(run(&p, &r), 0);
        ck_assert_ptr_nonnull(strstr(text, "argc=2 argv0=probe"));
        launch_exe_close(&exe);
        ck_assert_int_eq(launch_exe_open("/nonexistent", &exe), -ENOENT);
        ck_assert_int_eq(exe.fd, -1);
}
END_TEST

/* Below zero only with the right to it; without it the process starts all the same, and the result says so.
 */
START_TEST(oom_score) {
        LaunchPlan p;
        LaunchResult r;
        plan(&p);
        p.path = "/bin/cat";
        p.argv = (const char *const[]){"cat", "/proc/self/oom_score_adj", NULL};
        p.oom_score_adj = -7;
        p.oom_score_adj_set = true;
        if (_i == 1)
                drop_cap(CAP_SYS_RESOURCE);
        ck_assert_int_eq(run(&p, &r), 0);
        if (_i == 1)
                ck_assert(r.skipped & LAUNCH_SKIPPED_OOM);
        ck_assert_int_eq(strcmp(text, "-7\n") == 0, !(r.skipped & LAUNCH_SKIPPED_OOM));
}
END_TEST

START_TEST(a_path_that_is_too_long) {
        char out[16];
        ck_assert_int_eq(launch_find("/bin/a-name-that-is-long", NULL, out, sizeof(out)), -ENAMETOOLONG);
        ck_assert_int_eq(
                launch_find("sh", "/a/path/that/is/long:/bin", out, sizeof(out)), 0); /* the other one fits */
        ck_assert_str_eq(out, "/bin/sh");
}
END_TEST

/* ---- reaping and timers */
static void on_end(void *user, const ProcessEnd *end) {
        (void)end;
        (*(unsigned *)user)++;
}

START_TEST(reaping_takes_turns) {
        ReapTable t;
        unsigned ended = 0;
        bool more;
        ck_assert_int_eq(reap_init(&t, 8), 0);
        ck_assert_int_eq(reap_add(&t, 0, on_end, &ended), -EINVAL);
        ck_assert_int_eq(reap_add(&t, -3, on_end, &ended), -EINVAL);
        for (int i = 0; i < 3; i++) {
                siginfo_t si;
                pid_t pid = fork();
                if (pid == 0)
                        _exit(0);
                ck_assert_int_eq(reap_add(&t, pid, on_end, &ended), 0);
                ck_assert_int_eq(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
        }
        ck_assert_int_eq(reap_run(&t, 2, &more), 2);
        ck_assert(more && ended == 2);
        ck_assert_int_eq(reap_run(&t, 2, &more), 1);
        ck_assert(!more && ended == 3);
        ck_assert_int_eq(reap_run(&t, 2, NULL), 0);
        reap_done(&t);
}
END_TEST

static TimerHeap heap;
static char order[16];
static size_t n_order;

static void fire(void *user, uint64_t now) {
        (void)now;
        order[n_order++] = *(const char *)user;
}

static char names[] = "abcn";
static void fire_and_set(void *user, uint64_t now) {
        TimerId id;
        fire(user, now);
        ck_assert_int_eq(timer_heap_add(&heap, 0, fire, &names[3], &id), 0); /* before all that wait */
}

/* What a callback sets waits for the next turn, also when it stands in front of what is due now. */
START_TEST(a_new_timer_in_front_holds_nobody_up) {
        TimerId id;
        timer_heap_init(&heap);
        ck_assert_int_eq(timer_heap_add(&heap, 10, fire_and_set, &names[0], &id), 0);
        ck_assert_int_eq(timer_heap_add(&heap, 20, fire, &names[1], &id), 0);
        ck_assert_int_eq(timer_heap_add(&heap, 15, fire, &names[2], &id), 0);
        ck_assert_int_eq(timer_heap_add(&heap, 99, fire, &names[2], &id), 0);
        ck_assert_uint_eq(timer_heap_run(&heap, 30), 3);
        order[n_order] = '\0';
        ck_assert_str_eq(order, "acb");
        ck_assert_uint_eq(timer_heap_run(&heap, 30), 1);
        ck_assert_int_eq(order[3], 'n');
        ck_assert_uint_eq(timer_heap_next(&heap), 99);
        timer_heap_done(&heap);
}
END_TEST

/* ---- containment that is not there */
START_TEST(a_cgroup_of_somebody_else) {
        GroupRoot root;
        Group g;
        ck_assert_int_eq(group_root_init(&root, true), 0);
        if (root.kind != GROUP_CGROUP || geteuid() != 0) {
                printf("# skipped: %s\n", root.why);
                group_root_done(&root);
                return;
        }
        group_root_done(&root);
        setfsuid(54321);
        drop_cap(CAP_DAC_OVERRIDE);
        /* access(2) asks with the effective uid */
        ck_assert_int_eq(seteuid(54321), 0);
        ck_assert_int_eq(group_root_init(&root, true), 0);
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(root.kind, GROUP_SESSION);
        ck_assert_ptr_nonnull(strstr(root.why, "not delegated to us: Permission denied"));
        ck_assert(root.parent_fd == -1 && root.dir_fd == -1);
        ck_assert_int_eq(group_init(&g, &root, "web"), 0); /* it goes on with sessions */
        ck_assert_int_eq(group_set(&g, "memory.max", "1"), -EOPNOTSUPP);
        group_done(&g);
        group_root_done(&root);
}
END_TEST

START_TEST(no_cgroup_is_mounted) {
        GroupRoot root;
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                printf("# skipped: needs the right to mount\n");
                return;
        }
        while (umount2("/sys/fs/cgroup/unified", MNT_DETACH) == 0 ||
                umount2("/sys/fs/cgroup", MNT_DETACH) == 0)
                ;
        ck_assert_int_eq(group_root_init(&root, true), 0);
        ck_assert_int_eq(root.kind, GROUP_SESSION);
        ck_assert_str_eq(root.why, "no cgroup v2 is mounted");
        group_root_done(&root);
}
END_TEST

START_TEST(unit_names_have_an_end) {
        char name[GROUP_UNIT_MAX + 2];
        GroupRoot root;
        Group g;
        memset(name, 'u', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        ck_assert_int_eq(group_root_init(&root, _i), 0);
        ck_assert_int_eq(group_init(&g, &root, name), -ENAMETOOLONG);
        name[GROUP_UNIT_MAX] = '\0';
        ck_assert_int_eq(group_init(&g, &root, name), 0);
        group_done(&g);
        group_root_done(&root);
}
END_TEST

int main(void) {
        Suite *s = suite_create("bounds");
        TCase *t = tcase_create("bounds");
        tcase_add_test(t, manifest_lines_that_are_refused);
        tcase_add_test(t, manifest_entries_have_an_end);
        tcase_add_test(t, manifest_files);
        tcase_add_test(t, status_with_more_groups_than_fit);
        tcase_add_test(t, a_long_name_is_cut);
        tcase_add_test(t, environment_values);
        tcase_add_test(t, a_plan_says_what_was_planned);
        tcase_add_test(t, limits_above_our_own_are_lowered);
        tcase_add_test(t, few_descriptors_are_left_as_they_are);
        tcase_add_loop_test(t, groups_of_our_own_do_not_stay, 0, 3);
        tcase_add_test(t, plans_that_are_refused);
        tcase_add_test(t, the_program_gives_way);
        tcase_add_loop_test(t, oom_score, 0, 2);
        tcase_add_test(t, a_path_that_is_too_long);
        tcase_add_test(t, reaping_takes_turns);
        tcase_add_test(t, a_new_timer_in_front_holds_nobody_up);
        tcase_add_test(t, a_cgroup_of_somebody_else);
        tcase_add_test(t, no_cgroup_is_mounted);
        tcase_add_loop_test(t, unit_names_have_an_end, 0, 2);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
