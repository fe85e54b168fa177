/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "common/conn.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

typedef struct Side {
        Conn *conn;
        unsigned messages, ends, drains;
        int error;
        char reason[256];
        uint64_t last;
        int fd;
        enum { DO_NOTHING, DO_CLOSE, DO_FREE, DO_PAUSE, DO_ECHO } what;
} Side;

static uv_loop_t loop;
static unsigned fds_before;

static unsigned count_fds(void) {
        auto_closedir DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        while (readdir(d))
                n++;
        return n;
}

static void build_result(MsgBuilder *b, uint64_t n) {
        msg_begin(b, MSG_RESULT);
        msg_put_u64(b, TAG_REQ, n);
        msg_put_u64(b, TAG_STATUS, 0);
        msg_put_cstr(b, TAG_CODE, "ok");
}

static int send_result(Conn *c, uint64_t n, Str payload, int fd) {
        MsgBuilder b;

        build_result(&b, n);
        return conn_send(c, &b, payload, fd);
}

static void on_msg(Conn *c, Msg *m, void *user) {
        Side *s = user;

        s->messages++;
        s->last = msg_u64(m, TAG_REQ, 0);
        if (m->fd >= 0 && s->fd < 0)
                s->fd = msg_take_fd(m);
        switch (s->what) {
        case DO_CLOSE:
                conn_close(c);
                break;
        case DO_FREE:
                s->conn = conn_free(c);
                break;
        case DO_PAUSE:
                conn_pause(c, true);
                break;
        case DO_ECHO:
                ck_assert_int_eq(send_result(c, s->last, (Str){0}, -1), 0);
                break;
        case DO_NOTHING:
                break;
        }
        /* the message is still readable whatever was done to the connection */
        ck_assert_uint_eq(msg_u64(m, TAG_REQ, 0), s->last);
}

static void on_end(Conn *c, int error, const char *reason, void *user) {
        Side *s = user;

        s->ends++;
        s->error = error;
        str_copy(s->reason, sizeof(s->reason), str_of(reason));
        ck_assert_int_eq(c->fd, -1);
}

static void on_drain(Conn *c, void *user) {
        (void)c;
        ((Side *)user)->drains++;
}

static const ConnOps ops = {on_msg, on_end, on_drain};

static void setup(void) {
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        /* the loop's own descriptors come with its first handle */
        uv_run(&loop, UV_RUN_NOWAIT);
        fds_before = count_fds();
}

static void teardown(void) {
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(count_fds(), fds_before);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void make_pair(Side *a, Side *b) {
        int sv[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
        *a = *b = (Side){.fd = -1};
        ck_assert_int_eq(conn_new(&loop, sv[0], "a", &ops, a, &a->conn), 0);
        ck_assert_int_eq(conn_new(&loop, sv[1], "b", &ops, b, &b->conn), 0);
}

/* One end is ours, raw. */
static int make_raw(Side *a) {
        int sv[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
        *a = (Side){.fd = -1};
        ck_assert_int_eq(conn_new(&loop, sv[0], "a", &ops, a, &a->conn), 0);
        return sv[1];
}

static void spin_until(const unsigned *counter, unsigned n) {
        while (*counter < n)
                ck_assert(uv_run(&loop, UV_RUN_ONCE) != 0 || *counter >= n);
}

static void free_pair(Side *a, Side *b) {
        a->conn = conn_free(a->conn);
        b->conn = conn_free(b->conn);
        if (a->fd >= 0)
                close(a->fd);
        if (b->fd >= 0)
                close(b->fd);
}

static void send_raw(int to, const void *p, size_t n, const int *fds, unsigned n_fds) {
        union {
                struct cmsghdr head;
                char room[CMSG_SPACE(sizeof(int) * 8)];
        } control = {0};
        struct iovec iov = {(void *)(uintptr_t)p, n};
        struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

        if (n_fds > 0) {
                mh.msg_control = control.room;
                mh.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                control.head.cmsg_level = SOL_SOCKET;
                control.head.cmsg_type = SCM_RIGHTS;
                control.head.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * n_fds);
        }
        ck_assert_int_eq(sendmsg(to, &mh, MSG_NOSIGNAL), (ssize_t)n);
}

static void encode(Buf *out, uint64_t n, uint32_t sequence, bool with_fd) {
        MsgBuilder b;

        build_result(&b, n);
        ck_assert_int_eq(msg_encode(&b, (Str){0}, sequence, with_fd, out), 0);
}

START_TEST(messages_arrive_in_order) {
        Side a, b;

        make_pair(&a, &b);
        b.what = DO_ECHO;
        for (uint64_t i = 1; i <= 500; i++)
                ck_assert_int_eq(send_result(a.conn, i, STR_LIT("{}"), -1), 0);
        spin_until(&a.messages, 500);
        ck_assert_uint_eq(a.last, 500);
        ck_assert_uint_eq(conn_received(b.conn), 500);
        free_pair(&a, &b);
}
END_TEST

/* The whole turn is one write: nothing is on the wire before the loop ran. */
START_TEST(a_turn_is_one_write) {
        uint8_t bytes[8192];
        Side a;
        int raw = make_raw(&a);

        for (uint64_t i = 1; i <= 10; i++)
                ck_assert_int_eq(send_result(a.conn, i, (Str){0}, -1), 0);
        ck_assert_int_eq(recv(raw, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
        uv_run(&loop, UV_RUN_NOWAIT);
        ck_assert_int_eq(recv(raw, bytes, sizeof(bytes), MSG_DONTWAIT), 10 * (FRAME_PREFIX + 12 + 12 + 6));
        close(raw);
        spin_until(&a.ends, 1);
        a.conn = conn_free(a.conn);
}
END_TEST

/* Nothing to do: no handle but the watched descriptor is active, and the loop would block for ever. */
START_TEST(idle_means_no_wake_up) {
        Side a, b;

        make_pair(&a, &b);
        ck_assert_int_eq(send_result(a.conn, 1, (Str){0}, -1), 0);
        spin_until(&b.messages, 1);
        uv_run(&loop, UV_RUN_NOWAIT);
        uv_run(&loop, UV_RUN_NOWAIT);
        ck_assert_int_eq(uv_backend_timeout(&loop), -1);
        free_pair(&a, &b);
}
END_TEST

START_TEST(descriptors_travel_with_their_frame) {
        int pipes[2];
        Side a, b;
        char c = 0;

        make_pair(&a, &b);
        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        ck_assert_int_eq(send_result(a.conn, 1, (Str){0}, -1), 0);
        ck_assert_int_eq(send_result(a.conn, 2, (Str){0}, pipes[1]), 0);
        ck_assert_int_eq(send_result(a.conn, 3, (Str){0}, -1), 0);
        close(pipes[1]);
        b.what = DO_PAUSE;
        spin_until(&b.messages, 1);
        ck_assert_int_eq(b.fd, -1);
        conn_pause(b.conn, false);
        spin_until(&b.messages, 2);
        ck_assert_int_ge(b.fd, 0);
        ck_assert(fcntl(b.fd, F_GETFD) & FD_CLOEXEC);
        ck_assert_int_eq(write(b.fd, "x", 1), 1);
        ck_assert_int_eq(read(pipes[0], &c, 1), 1);
        b.what = DO_NOTHING;
        conn_pause(b.conn, false);
        spin_until(&b.messages, 3);
        close(pipes[0]);
        free_pair(&a, &b);
}
END_TEST

/* More than fit into the table of unsent descriptors, none taken by the receiver: all are closed. */
START_TEST(many_descriptors_none_leaks) {
        Side a, b;

        make_pair(&a, &b);
        b.fd = dup(0);
        for (uint64_t i = 1; i <= 100; i++)
                ck_assert_int_eq(send_result(a.conn, i, (Str){0}, 0), 0);
        spin_until(&b.messages, 100);
        free_pair(&a, &b);
}
END_TEST

START_TEST(unsent_descriptors_are_closed) {
        Side a, b;

        make_pair(&a, &b);
        ck_assert_int_eq(send_result(a.conn, 1, (Str){0}, 0), 0);
        conn_close(a.conn);
        ck_assert_int_eq(send_result(a.conn, 1, (Str){0}, -1), -EPIPE);
        spin_until(&b.ends, 1);
        ck_assert_str_eq(b.reason, "end of file");
        free_pair(&a, &b);
}
END_TEST

/* It did nothing wrong: a part that ends in order may leave something unread. */
START_TEST(a_peer_that_left_bytes_unread_has_closed) {
        Side a;
        int raw = make_raw(&a);

        ck_assert_int_eq(send_result(a.conn, 1, (Str){0}, -1), 0);
        conn_flush(a.conn);
        close(raw);
        spin_until(&a.ends, 1);
        ck_assert_int_eq(a.error, 0);
        ck_assert_str_eq(a.reason, strerror(ECONNRESET));
        conn_free(a.conn);
}
END_TEST

static void expect_end(Side *a, int raw, const char *reason) {
        spin_until(&a->ends, 1);
        ck_assert_msg(strstr(a->reason, reason), "'%s' is not in '%s'", reason, a->reason);
        ck_assert_int_eq(a->error, -EBADMSG);
        close(raw);
        a->conn = conn_free(a->conn);
        if (a->fd >= 0)
                close(a->fd);
}

START_TEST(missing_descriptor_ends) {
        Buf out = BUF_INIT(4096);
        Side a;
        int raw = make_raw(&a);

        encode(&out, 1, 1, true);
        send_raw(raw, out.data, out.len, NULL, 0);
        buf_done(&out);
        expect_end(&a, raw, "malformed frame at offset 0: its descriptor is missing");
        ck_assert_uint_eq(a.messages, 0);
}
END_TEST

START_TEST(surplus_descriptor_ends) {
        Buf out = BUF_INIT(4096);
        Side a;
        int raw = make_raw(&a), fds[2] = {0, 0};

        encode(&out, 1, 1, false);
        send_raw(raw, out.data, out.len, fds, 1);
        expect_end(&a, raw, "a descriptor without a frame that takes it");
        raw = make_raw(&a);
        out.len = 0;
        encode(&out, 1, 1, true);
        send_raw(raw, out.data, out.len, fds, 2);
        expect_end(&a, raw, "a descriptor without a frame that takes it");
        ck_assert_uint_eq(a.messages, 1);
        buf_done(&out);
}
END_TEST

/* A frame with its descriptor, byte by byte: the descriptor waits for the rest. */
START_TEST(slow_frame_keeps_its_descriptor) {
        Buf out = BUF_INIT(4096);
        Side a;
        int raw = make_raw(&a), fd = 0;

        encode(&out, 7, 1, true);
        for (size_t i = 0; i < out.len; i++) {
                send_raw(raw, out.data + i, 1, &fd, i == 0);
                uv_run(&loop, UV_RUN_NOWAIT);
                ck_assert_uint_eq(a.ends, 0);
        }
        spin_until(&a.messages, 1);
        ck_assert_int_ge(a.fd, 0);
        buf_done(&out);
        close(raw);
        spin_until(&a.ends, 1);
        close(a.fd);
        a.conn = conn_free(a.conn);
}
END_TEST

START_TEST(sequence_gap_ends) {
        Buf out = BUF_INIT(4096);
        char reason[80];
        Side a;
        int raw = make_raw(&a);
        size_t first;

        encode(&out, 1, 1, false);
        first = out.len;
        encode(&out, 2, 3, false);
        send_raw(raw, out.data, out.len, NULL, 0);
        buf_done(&out);
        snprintf(reason, sizeof(reason), "malformed frame at offset %zu: sequence 3 where 2 was due", first);
        expect_end(&a, raw, reason);
        ck_assert_uint_eq(a.messages, 1);
}
END_TEST

START_TEST(end_inside_a_frame) {
        Buf out = BUF_INIT(4096);
        Side a;
        int raw = make_raw(&a);

        encode(&out, 1, 1, false);
        send_raw(raw, out.data, out.len - 1, NULL, 0);
        buf_done(&out);
        shutdown(raw, SHUT_WR);
        expect_end(&a, raw, "end of file inside a frame");
}
END_TEST

START_TEST(close_and_free_inside_on_msg) {
        for (int what = DO_CLOSE; what <= DO_FREE; what++) {
                Side a, b;

                make_pair(&a, &b);
                b.what = what;
                for (uint64_t i = 1; i <= 5; i++)
                        ck_assert_int_eq(send_result(a.conn, i, (Str){0}, 0), 0);
                spin_until(&a.ends, 1);
                ck_assert_uint_eq(b.messages, 1);
                ck_assert_uint_eq(b.ends, 0);
                free_pair(&a, &b);
        }
}
END_TEST

/* Past 4 MiB others are refused, a control message is not; after reading on_drain comes and all that was
 * accepted arrives. */
START_TEST(full_egress_refuses_then_drains) {
        static char block[200 * 1024];
        uint64_t accepted = 0, n = 0;
        MsgBuilder b;
        Side s, r;

        make_pair(&s, &r);
        conn_pause(r.conn, true);
        for (;; n++) {
                msg_begin(&b, MSG_PUBLISH);
                msg_put_u64(&b, TAG_REQ, n + 1);
                msg_put_cstr(&b, TAG_TYPE, "a.b");
                int x = conn_send(s.conn, &b, (Str){block, sizeof(block)}, -1);

                if (x < 0) {
                        ck_assert_int_eq(x, -ENOBUFS);
                        break;
                }
                accepted++;
        }
        ck_assert_uint_gt(conn_backlog(s.conn), 3 * 1024 * 1024);
        ck_assert_int_eq(send_result(s.conn, 77, (Str){block, sizeof(block)}, -1), 0);
        ck_assert_int_eq(send_result(s.conn, 78, (Str){block, sizeof(block)}, -1), -ENOBUFS);
        ck_assert_uint_eq(s.drains, 0);
        conn_pause(r.conn, false);
        spin_until(&r.messages, (unsigned)accepted + 1);
        ck_assert_uint_eq(r.last, 77);
        spin_until(&s.drains, 1);
        ck_assert_uint_eq(conn_backlog(s.conn), 0);
        free_pair(&s, &r);
}
END_TEST

START_TEST(what_the_dead_peer_said_is_read_first) {
        Side a, b;

        make_pair(&a, &b);
        for (uint64_t i = 1; i <= 20; i++)
                ck_assert_int_eq(send_result(b.conn, i, (Str){0}, -1), 0);
        /* unread bytes at b when it closes: the kernel reports a reset to a */
        ck_assert_int_eq(send_result(a.conn, 1, (Str){0}, -1), 0);
        conn_flush(a.conn);
        conn_flush(b.conn);
        conn_close(b.conn);
        spin_until(&a.ends, 1);
        ck_assert_uint_eq(a.messages, 20);
        ck_assert_int_eq(send_result(a.conn, 2, (Str){0}, -1), -EPIPE);
        free_pair(&a, &b);
}
END_TEST

START_TEST(paused_reads_nothing_and_sleeps) {
        Side a, b;

        make_pair(&a, &b);
        conn_pause(b.conn, true);
        ck_assert_int_eq(send_result(a.conn, 1, (Str){0}, -1), 0);
        conn_flush(a.conn);
        conn_close(a.conn);
        for (int i = 0; i < 5; i++)
                uv_run(&loop, UV_RUN_NOWAIT);
        ck_assert_uint_eq(b.messages, 0);
        ck_assert_uint_eq(b.ends, 0);
        conn_pause(b.conn, false);
        spin_until(&b.ends, 1);
        ck_assert_uint_eq(b.messages, 1);
        free_pair(&a, &b);
}
END_TEST

START_TEST(close_after_flush_sends_the_rest) {
        static char block[200 * 1024];
        Side a, b;

        make_pair(&a, &b);
        for (uint64_t i = 1; i <= 10; i++)
                ck_assert_int_eq(send_result(a.conn, i, (Str){block, sizeof(block)}, -1), 0);
        conn_close_after_flush(a.conn, 60000);
        a.conn = conn_free(a.conn);
        spin_until(&b.ends, 1);
        ck_assert_uint_eq(b.messages, 10);
        ck_assert_uint_eq(a.ends, 0);
        free_pair(&a, &b);
}
END_TEST

START_TEST(close_after_flush_gives_up) {
        static char block[200 * 1024];
        Side a, b;

        make_pair(&a, &b);
        conn_pause(b.conn, true);
        for (uint64_t i = 1; i <= 10; i++)
                ck_assert_int_eq(send_result(a.conn, i, (Str){block, sizeof(block)}, -1), 0);
        conn_close_after_flush(a.conn, 1);
        a.conn = conn_free(a.conn);
        uv_run(&loop, UV_RUN_DEFAULT); /* ends: the paused side watches nothing, the other gave up */
        free_pair(&a, &b);
}
END_TEST

int main(void) {
        Suite *s = suite_create("conn");
        TCase *tc = tcase_create("conn");
        SRunner *sr = srunner_create(s);
        int failed;

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, messages_arrive_in_order);
        tcase_add_test(tc, a_turn_is_one_write);
        tcase_add_test(tc, idle_means_no_wake_up);
        tcase_add_test(tc, descriptors_travel_with_their_frame);
        tcase_add_test(tc, many_descriptors_none_leaks);
        tcase_add_test(tc, unsent_descriptors_are_closed);
        tcase_add_test(tc, a_peer_that_left_bytes_unread_has_closed);
        tcase_add_test(tc, missing_descriptor_ends);
        tcase_add_test(tc, surplus_descriptor_ends);
        tcase_add_test(tc, slow_frame_keeps_its_descriptor);
        tcase_add_test(tc, sequence_gap_ends);
        tcase_add_test(tc, end_inside_a_frame);
        tcase_add_test(tc, close_and_free_inside_on_msg);
        tcase_add_test(tc, full_egress_refuses_then_drains);
        tcase_add_test(tc, what_the_dead_peer_said_is_read_first);
        tcase_add_test(tc, paused_reads_nothing_and_sleeps);
        tcase_add_test(tc, close_after_flush_sends_the_rest);
        tcase_add_test(tc, close_after_flush_gives_up);
        suite_add_tcase(s, tc);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
