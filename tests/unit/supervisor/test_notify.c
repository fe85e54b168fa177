/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/notify.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static NotifyMessage msg;
static int parse(const char *s) {
        return notify_parse(str_of(s), &msg);
}

START_TEST(assignments) {
        ck_assert_int_eq(parse("READY=1\nSTATUS=all good\nMAINPID=4711\nERRNO=2\nWATCHDOG=1\n"), 0);
        ck_assert(msg.ready && msg.has_status && msg.has_mainpid && msg.has_error && msg.watchdog);
        ck_assert_str_eq(msg.status, "all good");
        ck_assert_int_eq(msg.mainpid, 4711);
        ck_assert_int_eq(msg.error, 2);
        ck_assert_uint_eq(msg.unknown + msg.bad, 0);
        ck_assert_int_eq(parse("RELOADING=1\nMONOTONIC_USEC=5"), 0);
        ck_assert(msg.reloading && !msg.ready);
        ck_assert_int_eq(parse("STOPPING=1"), 0);
        ck_assert(msg.stopping);
        ck_assert_int_eq(parse("EXTEND_TIMEOUT_USEC=5000000"), 0);
        ck_assert(msg.has_extend);
        ck_assert_uint_eq(msg.extend_us, 5000000);
        ck_assert_int_eq(parse("WATCHDOG=trigger\nWATCHDOG_USEC=9"), 0);
        ck_assert(msg.watchdog_trigger && !msg.watchdog && msg.has_watchdog_usec);
        ck_assert_int_eq(parse("FDSTORE=1\nFDNAME=sock"), 0);
        ck_assert(msg.fdstore);
        ck_assert_str_eq(msg.fdname, "sock");
        ck_assert_int_eq(parse("X_OWN=1"), 0);
        ck_assert_uint_eq(msg.unknown, 1);
}
END_TEST

START_TEST(bad_values_are_ignored_one_by_one) {
        ck_assert_int_eq(parse("READY=yes\nMAINPID=0\nMAINPID=-1\nMAINPID=1\nERRNO=x\nEXTEND_TIMEOUT_USEC=0\n"
                               "STATUS=\xff\xfe\nFDNAME=a:b\nSTOPPING=1"),
                0);
        ck_assert(!msg.ready && !msg.has_mainpid && !msg.has_error && !msg.has_extend && !msg.has_status);
        ck_assert(msg.stopping);
        ck_assert_uint_eq(msg.bad, 8);
        ck_assert_int_eq(parse("STATUS=a\tb\x1b[31m"), 0);
        ck_assert_str_eq(msg.status, "a b [31m");
        ck_assert_int_eq(parse("STATUS=a\xc2\x9b" "31m"), 0); /* a terminal may obey the control characters of C1 */
        ck_assert_str_eq(msg.status, "a  31m");
        ck_assert_int_eq(parse(""), -EINVAL);
        ck_assert_int_eq(parse("hello"), -EINVAL);
        ck_assert_int_eq(parse("=1"), -EINVAL);
        ck_assert_int_eq(notify_parse((Str){"READY=1\0X", 9}, &msg), -EINVAL);
        ck_assert_int_eq(notify_parse((Str){"READY=1\0", 8}, &msg), 0);
}
END_TEST

START_TEST(long_status_is_cut_at_a_character) {
        char text[600] = "STATUS=";

        for (int i = 0; i < 200; i++)
                strcat(text, "\xc3\xa4");
        ck_assert_int_eq(parse(text), 0);
        ck_assert_uint_eq(strlen(msg.status), 254);
        ck_assert(str_utf8_valid(str_of(msg.status)));
}
END_TEST

START_TEST(who_may_speak) {
        static const pid_t exec[] = {30};
        static const struct {
                NotifyAccess access;
                pid_t sender;
                bool member, want;
        } cases[] = {
                {NOTIFY_NONE, 10, true, false},
                {NOTIFY_MAIN, 10, true, true},
                {NOTIFY_MAIN, 20, true, false},
                {NOTIFY_MAIN, 30, true, false},
                {NOTIFY_EXEC, 10, true, true},
                {NOTIFY_EXEC, 30, true, true},
                {NOTIFY_EXEC, 20, true, false},
                {NOTIFY_ALL, 20, true, true},
                {NOTIFY_ALL, 20, false, false},
                {NOTIFY_ALL, 10, false, true},
                {NOTIFY_ALL, 0, true, false},
                {NOTIFY_ALL, -1, true, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                ck_assert_msg(notify_allowed(cases[i].access, cases[i].sender, 10, exec, 1,
                                      cases[i].member) == cases[i].want,
                        "case %zu", i);
        ck_assert(!notify_allowed(NOTIFY_MAIN, 0, 0, NULL, 0, true)); /* no main process yet */
}
END_TEST

/* ---- the socket ---- */

static uv_loop_t loop;
static pid_t only; /* 0: anybody */
static unsigned got, taken;
static pid_t last_sender;

static bool allowed(void *user, pid_t sender, uid_t uid) {
        (void)user;
        return uid == geteuid() && (only == 0 || sender == only);
}

static void on_message(void *user, pid_t sender, const NotifyMessage *m, int *fds, unsigned n_fds) {
        NotifySocket **free_it = user;

        got++;
        last_sender = sender;
        msg = *m;
        taken += n_fds;
        for (unsigned i = 0; i < n_fds; i++)
                ck_assert_int_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
        if (m->stopping && *free_it) {
                notify_socket_free(*free_it);
                *free_it = NULL;
        }
}

static const NotifyOps ops = {allowed, on_message};

/* As libsystemd does it, from another process; fd >= 0 goes along. */
static pid_t send_from_child(const char *address, const char *text, int fd) {
        pid_t pid = fork();

        if (pid == 0) {
                struct sockaddr_un sa = {.sun_family = AF_UNIX};
                size_t n = strlen(address);
                struct iovec io = {(void *)(uintptr_t)text, strlen(text)};
                union {
                        struct cmsghdr h;
                        char space[CMSG_SPACE(sizeof(int))];
                } control = {0};
                struct msghdr mh = {.msg_name = &sa, .msg_iov = &io, .msg_iovlen = 1};
                int s = socket(AF_UNIX, SOCK_DGRAM, 0);

                memcpy(sa.sun_path, address, n);
                if (sa.sun_path[0] == '@')
                        sa.sun_path[0] = '\0';
                mh.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
                if (fd >= 0) {
                        mh.msg_control = &control;
                        mh.msg_controllen = sizeof(control);
                        control.h.cmsg_level = SOL_SOCKET;
                        control.h.cmsg_type = SCM_RIGHTS;
                        control.h.cmsg_len = CMSG_LEN(sizeof(int));
                        memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
                }
                _exit(sendmsg(s, &mh, 0) < 0 ? errno : 0);
        }
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(WEXITSTATUS(status), 0);
        return pid;
}

static void socket_works(NotifySocket **s) {
        pid_t pid = send_from_child(notify_socket_address(*s), "READY=1\nSTATUS=up", 0);

        uv_run(&loop, UV_RUN_ONCE);
        ck_assert_uint_eq(got, 1);
        ck_assert_uint_eq(taken, 1);
        ck_assert_int_eq(last_sender, pid);
        ck_assert(msg.ready);

        only = 1; /* anybody else is not heard, and counted; a positive control stands above */
        send_from_child(notify_socket_address(*s), "READY=1", -1);
        notify_socket_drain(*s);
        ck_assert_uint_eq(got, 1);
        ck_assert_uint_eq(notify_socket_refused(*s), 1);
        only = 0;
        send_from_child(notify_socket_address(*s), "garbage", -1);
        notify_socket_drain(*s);
        ck_assert_uint_eq(notify_socket_refused(*s), 2);

        /* freed from inside its own callback */
        send_from_child(notify_socket_address(*s), "STOPPING=1", -1);
        send_from_child(notify_socket_address(*s), "READY=1", -1);
        uv_run(&loop, UV_RUN_ONCE);
        ck_assert_ptr_null(*s);
        ck_assert_uint_eq(got, 2);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
}

START_TEST(socket_by_path) {
        char dir[] = "/tmp/notify-XXXXXX", path[64];
        NotifySocket *s;
        struct stat st;
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(dir));
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        uv_loop_init(&loop);
        ck_assert_int_eq(notify_socket_new(&loop, fd, dir, "web", geteuid(), &ops, &s, &s), 0);
        snprintf(path, sizeof(path), "%s/web.sock", dir);
        ck_assert_str_eq(notify_socket_address(s), path);
        ck_assert_int_eq(stat(path, &st), 0);
        socket_works(&s);
        ck_assert_int_eq(stat(path, &st), -1);
        close(fd);
        ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(socket_by_name) {
        NotifySocket *s;

        uv_loop_init(&loop);
        ck_assert_int_eq(notify_socket_new(&loop, -1, NULL, "web", geteuid(), &ops, &s, &s), 0);
        ck_assert_int_eq(notify_socket_address(s)[0], '@');
        socket_works(&s);
}
END_TEST

/* Where the unit's library could not get at a path, the address is a name. */
START_TEST(path_too_long_or_closed) {
        char dir[] = "/tmp/notify-XXXXXX", deep[256];
        NotifySocket *s;
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(dir)); /* 0700 */
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        snprintf(deep, sizeof(deep), "%s/%0120d", dir, 0);
        uv_loop_init(&loop);
        ck_assert_int_eq(notify_socket_new(&loop, fd, deep, "web", geteuid(), &ops, &s, &s), 0);
        ck_assert_int_eq(notify_socket_address(s)[0], '@');
        notify_socket_free(s);
        ck_assert_int_eq(notify_socket_new(&loop, fd, dir, "web", geteuid() + 1, &ops, &s, &s), 0);
        ck_assert_int_eq(notify_socket_address(s)[0], '@');
        notify_socket_free(s);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        close(fd);
        ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("notify");
        TCase *t = tcase_create("notify");
        SRunner *sr = srunner_create(s);
        int failed;

        tcase_add_test(t, assignments);
        tcase_add_test(t, bad_values_are_ignored_one_by_one);
        tcase_add_test(t, long_status_is_cut_at_a_character);
        tcase_add_test(t, who_may_speak);
        tcase_add_test(t, socket_by_path);
        tcase_add_test(t, socket_by_name);
        tcase_add_test(t, path_too_long_or_closed);
        suite_add_tcase(s, t);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed > 0;
}
