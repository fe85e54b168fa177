/* SPDX-License-Identifier: Apache-2.0 */
/* What Guardian's standard output may be: a file, nothing, a pipe of another user; and sockets that can't be
 * bound. */
#include "supervisor/notify.h"
#include "supervisor/output.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

static uv_loop_t loop;
static OutputHub *hub;
static Output *unit;

static void begin(int fd, LogFormat format) {
        signal(SIGPIPE, SIG_IGN);
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        ck_assert_int_eq(output_hub_new(&loop, fd, format, &hub), 0);
        ck_assert_int_eq(output_new(hub, "web", &unit), 0);
}

static void end(void) {
        output_free(unit);
        output_hub_free(hub);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
}

/* The unit says that. */
static void say(const char *text, size_t n) {
        int fd;
        ck_assert_int_eq(output_open(unit, geteuid(), getegid(), &fd), 0);
        ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
        close(fd);
        output_drain(unit);
}

START_TEST(without_a_standard_output) {
        LineView tail[4];
        begin(-1, LOG_FORMAT_TEXT);
        say("one\ntwo\n", 8);
        ck_assert_uint_eq(output_lines(unit), 2); /* `logs` has them */
        ck_assert_uint_eq(output_tail(unit, tail, 4), 2);
        ck_assert_uint_eq(output_dropped(hub), 0); /* nobody waits for them there */
        ck_assert(!output_log_line(hub, "x\n", 2));
        ck_assert(output_hub_flush(hub, 0));
        end();
        output_hub_free(NULL);
        output_free(NULL);
}
END_TEST

/* Behind what stands there, whoever wrote it. */
START_TEST(a_file_is_written_on) {
        char path[] = "/tmp/sink-XXXXXX", buf[100];
        int fd = mkstemp(path);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, "before\n", 7), 7);
        begin(fd, LOG_FORMAT_TEXT);
        say("one\n", 4);
        ck_assert(output_hub_flush(hub, 0));
        ck_assert_int_eq(write(fd, "between\n", 8), 8);
        say("two\n", 4);
        ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);
        ck_assert_int_gt(n, 0);
        buf[n] = '\0';
        ck_assert_str_eq(buf, "before\nweb: one\nbetween\nweb: two\n");
        end();
        close(fd);
        unlink(path);
}
END_TEST

/* Nothing is there any more; the lines that were lost are counted. */
START_TEST(a_full_device) {
        int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        begin(fd, LOG_FORMAT_TEXT);
        say("one\ntwo\n", 8);
        ck_assert_uint_eq(output_dropped(hub), 2);
        say("three\n", 6);
        ck_assert_uint_eq(output_dropped(hub), 3);
        ck_assert(!output_log_line(hub, "x\n", 2));
        end();
        close(fd);
}
END_TEST

/* A pipe that we may not open again: its other owners keep it blocking, and we never block on it. */
START_TEST(a_pipe_of_another_user) {
        static char lines[4096], got[65536];
        int ends[2];
        size_t read_now = 0, n_lines = 0;
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
        ck_assert_int_eq(fchmod(ends[1], 0), 0);
        setfsuid(54321); /* as the user that Guardian runs as */
        begin(ends[1], LOG_FORMAT_TEXT);
        setfsuid(geteuid());
        memset(lines, 'x', sizeof(lines));
        for (size_t i = 63; i < sizeof(lines); i += 64)
                lines[i] = '\n';
        for (int i = 0; i < 8; i++)
                say(lines, sizeof(lines)); /* more than the pipe holds */
        ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
        ck_assert_uint_eq(output_lines(unit), 8 * 64);
        ck_assert(!output_hub_flush(hub, 0));
        while (n_lines < 8 * 64) { /* and all of it comes once somebody reads */
                ssize_t n = read(ends[0], got + read_now, sizeof(got) - read_now);
                ck_assert_int_gt(n, 0);
                for (ssize_t i = 0; i < n; i++)
                        n_lines += got[read_now + (size_t)i] == '\n';
                read_now += (size_t)n;
                uv_run(&loop, UV_RUN_NOWAIT);
                output_hub_flush(hub, 0);
        }
        ck_assert_uint_eq(output_dropped(hub), 0);
        ck_assert_int_eq(strncmp(got, "web: xxx", 8), 0);
        end();
        close(ends[0]);
        close(ends[1]);
}
END_TEST

/* A line that was too long says so, in JSON too. */
START_TEST(a_cut_line_in_json) {
        static char line[LINE_MAX_BYTES + 100], got[2 * sizeof(line)];
        char path[] = "/tmp/sink-XXXXXX";
        int fd = mkstemp(path);
        memset(line, 'y', sizeof(line));
        line[sizeof(line) - 1] = '\n';
        begin(fd, LOG_FORMAT_JSON);
        say(line, sizeof(line));
        ck_assert_int_gt(pread(fd, got, sizeof(got) - 1, 0), 0);
        char *second = strchr(got, '\n');
        ck_assert_ptr_nonnull(second);
        ck_assert_int_eq(strncmp(second - 14, "y\",\"cut\":true}", 14), 0);
        ck_assert_ptr_null(strstr(second, "cut"));
        end();
        close(fd);
        unlink(path);
}
END_TEST

static bool anybody(void *user, pid_t sender, uid_t uid) {
        (void)user, (void)sender, (void)uid;
        return true;
}
static void on_message(void *user, pid_t sender, const NotifyMessage *m, int *fds, unsigned n_fds) {
        (void)user, (void)sender, (void)m, (void)fds, (void)n_fds;
}

/* A name that is taken by what can't be removed is an error: no other place is told to the unit. */
START_TEST(a_notification_socket_that_is_not) {
        static const NotifyOps ops = {anybody, on_message};
        char dir[] = "/tmp/notify-XXXXXX", path[100];
        NotifySocket *s = NULL;
        ck_assert_ptr_nonnull(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/web.sock", dir);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), next = dup(fd);
        close(next);
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        next = dup(fd);
        close(next);
        ck_assert_int_eq(notify_socket_new(&loop, fd, dir, "web", geteuid(), &ops, NULL, &s), -EADDRINUSE);
        ck_assert_ptr_null(s);
        int same = dup(fd);
        ck_assert_int_eq(same, next); /* nothing was left open */
        close(same);
        notify_socket_free(NULL);
        ck_assert_int_eq(rmdir(path), 0);
        ck_assert_int_eq(notify_socket_new(&loop, fd, dir, "web", geteuid(), &ops, NULL, &s), 0);
        notify_socket_free(s);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        close(fd);
        ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("sinks");
        TCase *t = tcase_create("sinks");
        tcase_add_test(t, without_a_standard_output);
        tcase_add_test(t, a_file_is_written_on);
        tcase_add_test(t, a_full_device);
        tcase_add_test(t, a_pipe_of_another_user);
        tcase_add_test(t, a_cut_line_in_json);
        tcase_add_test(t, a_notification_socket_that_is_not);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
