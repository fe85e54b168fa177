/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/launch.h"
#include "supervisor/output.h"
#include "supervisor/procinfo.h"
#include "supervisor/reap.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static uv_loop_t loop;
static OutputHub *hub;
static Output *unit;
static int sink[2];

static void setup(void) {
        signal(SIGPIPE, SIG_IGN);
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        ck_assert_int_eq(pipe2(sink, O_CLOEXEC), 0);
        ck_assert_int_eq(output_hub_new(&loop, sink[1], LOG_FORMAT_TEXT, &hub), 0);
        ck_assert_int_eq(output_new(hub, "web", &unit), 0);
}

static void teardown(void) {
        output_free(unit);
        output_hub_free(hub);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        close(sink[0]);
        close(sink[1]);
}

/* Runs the probe with its output captured; does not read anything itself. */
static int run(const char *const *argv, uid_t uid) {
        static const char *const env[] = {NULL};
        LaunchPlan p;
        LaunchResult r;
        int fd, status;

        ck_assert_int_eq(output_open(unit, uid, uid, &fd), 0);
        launch_plan_init(&p);
        p.path = PROBE;
        p.argv = argv;
        p.envp = env;
        p.stdio[1] = p.stdio[2] = fd;
        ck_assert_int_eq(launch_spawn(&p, &r), 0);
        close(fd);
        ck_assert_int_eq(waitpid(r.pid, &status, 0), r.pid);
        return WEXITSTATUS(status);
}

static const char *sink_text(void) {
        static char buf[65536];
        ssize_t n;

        output_hub_flush(hub, 1000);
        n = read(sink[0], buf, sizeof(buf) - 1);
        buf[n > 0 ? n : 0] = '\0';
        return buf;
}

/* What was written before the end is there after it, the unfinished line too. */
START_TEST(nothing_is_lost_at_the_end) {
        static const char *const argv[] = {"probe", "lines", "1000", NULL};
        LineView tail[2000];
        size_t n;

        ck_assert_int_eq(run(argv, geteuid()), 0);
        output_drain(unit);
        ck_assert_uint_eq(output_lines(unit), 1001);
        n = output_tail(unit, tail, ELEMENTSOF(tail));
        ck_assert_uint_eq(n, 1001);
        ck_assert(str_eq(tail[0].text, "line 0"));
        ck_assert(str_eq(tail[999].text, "line 999"));
        ck_assert(str_eq(tail[1000].text, "no newline"));
        n = output_tail(unit, tail, 2);
        ck_assert_uint_eq(n, 2);
        ck_assert(str_eq(tail[0].text, "line 999"));
        ck_assert_int_eq(strncmp(sink_text(), "web: line 0\nweb: line 1\n", 24), 0);
        ck_assert_uint_eq(output_dropped(hub), 0);
}
END_TEST

/* One pipe over all instances: no descriptor a restart, and it works again after every writer was gone. */
START_TEST(instances_share_one_pipe) {
        static const char *const argv[] = {"probe", "lines", "1", NULL};
        int fds[64];
        size_t n, before, after;

        ck_assert_int_eq(run(argv, geteuid()), 0);
        uv_run(&loop, UV_RUN_NOWAIT);
        uv_run(&loop, UV_RUN_NOWAIT); /* end of file: the poll stops */
        ck_assert_int_eq(proc_fds(0, fds, 64, &n, &before), 0);
        ck_assert_uint_eq(output_lines(unit), 2);
        ck_assert_int_eq(uv_loop_alive(&loop), 0); /* nothing wakes an idle loop */
        for (int i = 0; i < 5; i++) {
                ck_assert_int_eq(run(argv, geteuid()), 0);
                uv_run(&loop, UV_RUN_NOWAIT);
        }
        output_drain(unit);
        ck_assert_int_eq(proc_fds(0, fds, 64, &n, &after), 0);
        ck_assert_uint_eq(before, after);
        ck_assert_uint_eq(output_lines(unit), 12);
}
END_TEST

/* The unit's end is O_RDWR (no EPIPE without us) and blocking, whatever ours is. */
START_TEST(the_units_end) {
        static const char *const argv[] = {"probe", "reopen", NULL};
        struct stat st;
        int fd;

        ck_assert_int_eq(output_open(unit, geteuid(), getegid(), &fd), 0);
        ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
        ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        close(fd);
        ck_assert_int_eq(run(argv, geteuid()), 0);
        if (geteuid() == 0) {
                ck_assert_int_eq(output_open(unit, 54321, 54321, &fd), 0);
                ck_assert_int_eq(fstat(fd, &st), 0);
                ck_assert_uint_eq(st.st_uid, 54321);
                close(fd);
        }
        output_drain(unit);
        ck_assert_uint_eq(output_lines(unit), 1);
}
END_TEST

static unsigned followed;
static char name_web[] = "web", name_other[] = "other";
static void on_line(void *user, const char *name, const LineView *line) {
        followed++;
        ck_assert_str_eq(name, user);
        ck_assert_uint_gt(line->wall_ns, 0);
}

START_TEST(followers) {
        static const char *const argv[] = {"probe", "lines", "2", NULL};
        OutputFollower mine = {.of = unit, .on_line = on_line, .user = name_web};
        OutputFollower all = {.of = NULL, .on_line = on_line, .user = name_web};
        Output *other;

        ck_assert_int_eq(output_new(hub, "other", &other), 0);
        OutputFollower theirs = {.of = other, .on_line = on_line, .user = name_other};
        output_follow(hub, &mine);
        output_follow(hub, &all);
        output_follow(hub, &theirs);
        run(argv, geteuid());
        output_drain(unit);
        ck_assert_uint_eq(followed, 6);
        output_unfollow(&mine);
        output_unfollow(&all);
        output_free(other); /* takes its follower out */
        run(argv, geteuid());
        output_drain(unit);
        ck_assert_uint_eq(followed, 6);
}
END_TEST

/* A stdout that nobody reads: lines are dropped with a count, whole lines only, and nothing blocks. */
START_TEST(full_stdout_drops) {
        static const char *const argv[] = {"probe", "lines", "3000", NULL};
        char buf[65536];
        ssize_t n;
        size_t lines = 0, last = 0;

        for (int i = 0; i < 20; i++) {
                run(argv, geteuid());
                output_drain(unit);
        }
        ck_assert_uint_gt(output_dropped(hub), 0);
        ck_assert_int_eq(fcntl(sink[1], F_GETFL) & O_NONBLOCK, 0); /* the caller's is as it was */
        fcntl(sink[0], F_SETFL, O_NONBLOCK);
        for (;;) {
                n = read(sink[0], buf, sizeof(buf));
                if (n <= 0) {
                        output_hub_flush(hub, 0);
                        n = read(sink[0], buf, sizeof(buf));
                }
                if (n <= 0)
                        break;
                for (ssize_t i = 0; i < n; i++)
                        lines += buf[i] == '\n';
                last = (size_t)buf[n - 1];
        }
        ck_assert_uint_eq(last, '\n');
        ck_assert_uint_eq(lines + output_dropped(hub), 20 * 3001);
}
END_TEST

/* Our own log on a stdout that is full: its lines queue behind the unit's, never inside one, and have room of
 * their own when units have used up theirs. */
START_TEST(log_lines_stay_whole) {
        static const char *const argv[] = {"probe", "lines", "3000", NULL};
        static char all[1 << 20];
        size_t got = 0, ours = 0;
        ssize_t n;

        ck_assert_int_ge(fcntl(sink[0], F_SETPIPE_SZ, 4096), 4096);
        log_setup("prog", sink[1], LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
        log_set_sink(output_log_line, hub);
        for (int i = 0; i < 20; i++) {
                run(argv, geteuid());
                output_drain(unit);
                log_info("ours");
                /* some room, less than what waits: the next write ends inside a line */
                n = read(sink[0], all + got, 1000);
                ck_assert_int_gt(n, 0);
                got += (size_t)n;
        }
        ck_assert_uint_gt(output_dropped(hub), 0);
        ck_assert_uint_eq(log_dropped(), 0);
        fcntl(sink[0], F_SETFL, O_NONBLOCK);
        for (;;) {
                output_hub_flush(hub, 0);
                n = read(sink[0], all + got, sizeof(all) - 1 - got);
                if (n <= 0)
                        break;
                got += (size_t)n;
        }
        log_set_sink(NULL, NULL);
        log_setup("test", STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
        all[got] = '\0';
        for (char *line = all, *end; *line; line = end + 1) {
                end = strchr(line, '\n');
                ck_assert_ptr_nonnull(end);
                *end = '\0';
                if (strncmp(line, "web: ", 5) == 0) {
                        ck_assert_msg(!strstr(line, "prog: ours"), "%s", line);
                } else {
                        ck_assert_msg(strstr(line, " info prog: ours") && line[0] == '2', "%s", line);
                        ours++;
                }
        }
        ck_assert_uint_eq(ours, 20);
}
END_TEST

/* At the end of a full stdout the hub says that half a line may be out; a hub with room says that all is. */
START_TEST(flush_says_what_is_left) {
        static const char *const argv[] = {"probe", "lines", "3000", NULL};

        ck_assert(output_hub_flush(hub, 0));
        ck_assert_int_ge(fcntl(sink[0], F_SETPIPE_SZ, 4096), 4096);
        run(argv, geteuid());
        output_drain(unit);
        ck_assert(!output_hub_flush(hub, 1));
}
END_TEST

START_TEST(sink_that_went_away) {
        static const char *const argv[] = {"probe", "lines", "3", NULL};

        close(sink[0]);
        sink[0] = -1;
        run(argv, geteuid());
        output_drain(unit);
        ck_assert_uint_eq(output_lines(unit), 4);
        ck_assert_uint_eq(output_dropped(hub), 4);
        run(argv, geteuid());
        output_drain(unit);
        ck_assert_uint_eq(output_dropped(hub), 8);
}
END_TEST

START_TEST(json_and_other_sinks) {
        static const char *const argv[] = {"probe", "lines", "1", NULL};
        int sp[2];
        OutputHub *h = hub;
        Output *u = unit;
        char buf[1024];
        ssize_t n;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp), 0);
        ck_assert_int_eq(output_hub_new(&loop, sp[0], LOG_FORMAT_JSON, &hub), 0);
        ck_assert_int_eq(output_new(hub, "web", &unit), 0);
        run(argv, geteuid());
        output_drain(unit);
        n = read(sp[1], buf, sizeof(buf) - 1);
        ck_assert_int_gt(n, 0);
        buf[n] = '\0';
        ck_assert_ptr_nonnull(strstr(buf, "\"unit\":\"web\",\"message\":\"line 0\"}\n"));
        ck_assert_int_eq(fcntl(sp[0], F_GETFL) & O_NONBLOCK, 0);
        output_free(unit);
        output_hub_free(hub);
        close(sp[0]);
        close(sp[1]);
        hub = h;
        unit = u;
}
END_TEST

int main(void) {
        Suite *s = suite_create("output");
        TCase *t = tcase_create("output");
        SRunner *sr = srunner_create(s);
        int failed;

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, nothing_is_lost_at_the_end);
        tcase_add_test(t, instances_share_one_pipe);
        tcase_add_test(t, the_units_end);
        tcase_add_test(t, followers);
        tcase_add_test(t, full_stdout_drops);
        tcase_add_test(t, log_lines_stay_whole);
        tcase_add_test(t, flush_says_what_is_left);
        tcase_add_test(t, sink_that_went_away);
        tcase_add_test(t, json_and_other_sinks);
        suite_add_tcase(s, t);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed > 0;
}
