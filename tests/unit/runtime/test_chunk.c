/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tiny chunk in a child process, driven over its control pipe by this one in the part of Guardian. The
 * child answers CALL with what it saw; it counts its descriptors before chunk_main() and after, and exits 99
 * when they differ.
 */
#include "chunks/runtime/chunk.h"
#include "common/cleanup.h"
#include "common/sha256.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifdef COUNTS_LINES /* what _exit() leaves out */
extern void __gcov_dump(void);
#else
static void __gcov_dump(void) {}
#endif

/* ---- the chunk under test */
typedef struct Tiny {
        char log[2048]; /* "+a/1 mPUBLISH-a/1 ..." */
        bool refuse_init, fail_self_test, hold;
} Tiny;

static void note(Tiny *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(Tiny *t, const char *fmt, ...) {
        size_t n = strlen(t->log);
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(t->log + n, sizeof(t->log) - n, fmt, ap);
        va_end(ap);
}

static int tiny_init(Chunk *c, void *user) {
        Tiny *t = user;

        note(t, "init %s %s %s;", c->unit, c->state_dir, c->policy_dirs[1]);
        c->hold_ready = t->hold;
        return t->refuse_init ? -EIO : 0;
}

static int tiny_self_test(Chunk *c, void *user, char *why, size_t cap) {
        (void)c;
        if (!((Tiny *)user)->fail_self_test)
                return 0;
        snprintf(why, cap, "disk is on fire");
        return -EIO;
}

static void tiny_link(Chunk *c, Link *l, void *user) {
        (void)c;
        note(user, "+%s/%u%s;", l->unit, (unsigned)l->instance, l->validated ? "v" : "");
}

static void tiny_lost(Chunk *c, Link *l, const char *reason, void *user) {
        (void)c;
        note(user, "-%s/%u %s;", l->unit, (unsigned)l->instance, reason);
}

static void tiny_peer(Chunk *c, Link *l, void *user) {
        (void)c;
        note(user, "!%s/%u;", l->unit, (unsigned)l->instance);
}

static void tiny_msg(Chunk *c, Link *l, Msg *m, void *user) {
        Tiny *t = user;

        if (m->type == MSG_CALL) {
                if (str_eq(msg_str(m, TAG_VERB), "ready"))
                        chunk_ready(c);
                if (str_eq(msg_str(m, TAG_VERB), "drop"))
                        link_close(chunk_link(c, "a"), "dropped");
                if (str_eq(msg_str(m, TAG_VERB), "big")) {
                        static char big[FRAME_MAX];

                        link_result(l, msg_u64(m, TAG_REQ, 0), 0, "ok", NULL, (Str){big, sizeof(big)}, false);
                        return;
                }
                link_result(l, msg_u64(m, TAG_REQ, 0), 0, "ok", NULL, str_of(t->log), false);
                return;
        }
        note(t, "%s/%u:%s;", l->unit, (unsigned)l->instance, msg_type_name(m->type));
}

static void tiny_stop(Chunk *c, void *user) {
        MsgBuilder b;

        (void)user;
        /* last words: they must be on the wire before the process ends */
        msg_begin(&b, MSG_HEARTBEAT);
        link_send(c->control, &b, (Str){0});
        chunk_exit(c, 0);
}

static const char *const handlers[] = {"tiny.one", "tiny.two", NULL};
static const ChunkOps ops = {"tiny", handlers, tiny_init, tiny_self_test, tiny_link, tiny_lost, tiny_peer,
        tiny_msg, NULL, tiny_stop};

/* ---- Guardian's part: blocking, one frame at a time */
typedef struct Peer {
        int fd;
        uint32_t sent, received;
        Buf in;
        size_t used; /* of the frame that the last recv_msg() returned */
} Peer;

static pid_t child;
static Peer control;

static unsigned count_fds(void) {
        auto_closedir DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        while (readdir(d))
                n++;
        return n;
}

/* libuv keeps one pipe for signals as long as the process lives; have it before anything is counted. */
static void open_signal_pipe(void) {
        uv_signal_t sig;
        uv_loop_t loop;

        uv_loop_init(&loop);
        uv_signal_init(&loop, &sig);
        uv_close((uv_handle_t *)&sig, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_loop_close(&loop);
}

static void start(Tiny t) {
        int sv[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
        child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
                static Tiny tiny;
                char *argv[] = {(char *)(uintptr_t) "tiny", NULL};
                unsigned before;
                int status;

                tiny = t;
                dup2(sv[1], 3);
                for (int fd = 4; fd < 64; fd++)
                        close(fd);
                open_signal_pipe();
                before = count_fds() - 1; /* the control pipe is the runtime's and closed at the end */
                status = chunk_main(1, argv, &ops, &tiny);
                __gcov_dump();
                _exit(count_fds() == before ? status : 99);
        }
        close(sv[1]);
        control = (Peer){.fd = sv[0], .in = BUF_INIT(1024 * 1024)};
}

static int wait_exit(void) {
        int status = 0;

        ck_assert_int_eq(waitpid(child, &status, 0), child);
        buf_done(&control.in);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void send_msg(Peer *p, const MsgBuilder *b, Str payload, int fd) {
        union {
                struct cmsghdr head;
                char room[CMSG_SPACE(sizeof(int))];
        } cm = {0};
        Buf out = BUF_INIT(FRAME_MAX + 4);
        struct iovec iov;
        struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

        ck_assert_int_eq(msg_encode(b, payload, ++p->sent, fd >= 0, &out), 0);
        iov = (struct iovec){out.data, out.len};
        if (fd >= 0) {
                mh.msg_control = cm.room;
                mh.msg_controllen = sizeof(cm.room);
                cm.head.cmsg_level = SOL_SOCKET;
                cm.head.cmsg_type = SCM_RIGHTS;
                cm.head.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&cm.head), &fd, sizeof(int));
        }
        ck_assert_int_eq(sendmsg(p->fd, &mh, MSG_NOSIGNAL), (ssize_t)out.len);
        buf_done(&out);
}

/* The next message; false at end of file. */
static bool recv_msg(Peer *p, Msg *m) {
        char why[160];

        buf_consume(&p->in, p->used);
        p->used = 0;
        for (;;) {
                int r = msg_decode(p->in.data, p->in.len, m, &p->used, why, sizeof(why));
                ssize_t n;

                ck_assert_msg(r >= 0, "%s", why);
                if (r == 0) {
                        ck_assert_uint_eq(m->sequence, ++p->received);
                        return true;
                }
                ck_assert_int_eq(buf_reserve(&p->in, 65536), 0);
                n = recv(p->fd, p->in.data + p->in.len, 65536, 0);
                if (n <= 0)
                        return false;
                p->in.len += (size_t)n;
        }
}

static void send_hello(uint64_t watchdog_us) {
        uint8_t secret[32] = {1, 2, 3}, boot[16] = {9};
        MsgBuilder b;

        msg_begin(&b, MSG_HELLO);
        msg_put_cstr(&b, TAG_UNIT, "tiny");
        msg_put_u64(&b, TAG_INSTANCE, 5);
        msg_put_u64(&b, TAG_EPOCH, 7);
        msg_put_bytes(&b, TAG_SECRET, secret);
        msg_put_bytes(&b, TAG_BOOT_ID, boot);
        msg_put_cstr(&b, TAG_STATE_DIR, "/state");
        msg_put_cstr(&b, TAG_POLICY_DIR, "/p1");
        msg_put_cstr(&b, TAG_POLICY_DIR, "/p2");
        if (watchdog_us)
                msg_put_u64(&b, TAG_WATCHDOG_US, watchdog_us);
        send_msg(&control, &b, (Str){0}, -1);
}

static void expect(Peer *p, MsgType type, Msg *m) {
        ck_assert(recv_msg(p, m));
        ck_assert_str_eq(msg_type_name(m->type), msg_type_name(type));
}

static void start_ready(Tiny t) {
        Msg m;

        start(t);
        send_hello(0);
        expect(&control, MSG_READY, &m);
}

/* Gives the chunk a link and returns our end. */
static Peer give_link(const char *unit, const char *kind, uint64_t instance, bool validated) {
        MsgBuilder b;
        int sv[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
        msg_begin(&b, MSG_LINK);
        msg_put_cstr(&b, TAG_UNIT, unit);
        msg_put_u64(&b, TAG_INSTANCE, instance);
        msg_put_u64(&b, TAG_EPOCH, 0);
        msg_put_cstr(&b, TAG_PEER_KIND, kind);
        msg_put_cstr(&b, TAG_ACTOR, unit);
        msg_put_bool(&b, TAG_VALIDATED, validated);
        if (strcmp(kind, "person") == 0)
                msg_put_cstr(&b, TAG_ROLE, "operator");
        send_msg(&control, &b, (Str){0}, sv[1]);
        close(sv[1]);
        return (Peer){.fd = sv[0], .in = BUF_INIT(1024 * 1024)};
}

static void send_peer(const char *unit, uint64_t instance, bool validated) {
        MsgBuilder b;

        msg_begin(&b, MSG_PEER);
        msg_put_cstr(&b, TAG_UNIT, unit);
        msg_put_u64(&b, TAG_INSTANCE, instance);
        msg_put_bool(&b, TAG_VALIDATED, validated);
        send_msg(&control, &b, (Str){0}, -1);
}

static void send_publish(Peer *p) {
        MsgBuilder b;

        msg_begin(&b, MSG_PUBLISH);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_TYPE, "a.b");
        send_msg(p, &b, STR_LIT("{}"), -1);
}

static void send_query(Peer *p) {
        MsgBuilder b;

        msg_begin(&b, MSG_QUERY);
        msg_put_u64(&b, TAG_REQ, 2);
        send_msg(p, &b, (Str){0}, -1);
}

static void hang_up(Peer *p) {
        close(p->fd);
        buf_done(&p->in);
}

static void call(Peer *p, const char *verb, Msg *m) {
        MsgBuilder b;

        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, 42);
        msg_put_cstr(&b, TAG_VERB, verb);
        send_msg(p, &b, (Str){0}, -1);
        expect(p, MSG_RESULT, m);
        ck_assert_uint_eq(msg_u64(m, TAG_REQ, 0), 42);
}

static const char *tiny_log(void) {
        static char text[2048];
        Msg m;

        call(&control, "log", &m);
        return str_copy(text, sizeof(text), m.payload);
}

/* Asks until the chunk has seen it: what arrives on two sockets has no order. */
static void await_log(const char *want) {
        const char *have;

        do
                have = tiny_log();
        while (!strstr(have, want));
}

static void end(void) {
        Msg m;

        shutdown(control.fd, SHUT_WR);
        ck_assert(!recv_msg(&control, &m));
        close(control.fd);
        ck_assert_int_eq(wait_exit(), 0);
}

/* ---- tests */
START_TEST(hello_ready_end_of_file) {
        start_ready((Tiny){0});
        ck_assert_str_eq(tiny_log(), "init tiny /state /p2;");
        end();
}
END_TEST

START_TEST(sigterm_stops) {
        Msg m;

        start_ready((Tiny){0});
        kill(child, SIGTERM);
        expect(&control, MSG_HEARTBEAT, &m);
        ck_assert_int_eq(wait_exit(), 0);
        close(control.fd);
}
END_TEST

START_TEST(ready_can_be_held) {
        MsgBuilder b;
        Msg m;

        start((Tiny){.hold = true});
        send_hello(0);
        ck_assert_ptr_nonnull(strstr(tiny_log(), "init")); /* a RESULT came first, not READY */
        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, 42);
        msg_put_cstr(&b, TAG_VERB, "ready");
        send_msg(&control, &b, (Str){0}, -1);
        expect(&control, MSG_READY, &m);
        expect(&control, MSG_RESULT, &m);
        end();
}
END_TEST

START_TEST(failed_init_is_status_1) {
        start((Tiny){.refuse_init = true});
        send_hello(0);
        ck_assert_int_eq(wait_exit(), 1);
        close(control.fd);
}
END_TEST

START_TEST(first_message_must_be_hello) {
        start((Tiny){0});
        send_peer("a", 1, true);
        ck_assert_int_eq(wait_exit(), 1);
        close(control.fd);
}
END_TEST

START_TEST(second_hello_is_refused) {
        start_ready((Tiny){0});
        send_hello(0);
        ck_assert_int_eq(wait_exit(), 1);
        close(control.fd);
}
END_TEST

START_TEST(malformed_control_is_status_1) {
        start_ready((Tiny){0});
        ck_assert_int_eq(send(control.fd, "\xff\xff\xff\xff", 4, 0), 4);
        ck_assert_int_eq(wait_exit(), 1);
        close(control.fd);
}
END_TEST

static void challenge(Msg *m) {
        uint8_t nonce[32] = {7}, text[64 + 8 + 4 + 32] = {1, 2, 3}, proof[32];
        MsgBuilder b;

        msg_begin(&b, MSG_CHALLENGE);
        msg_put_bytes(&b, TAG_NONCE, nonce);
        send_msg(&control, &b, (Str){0}, -1);
        expect(&control, MSG_CHALLENGE_REPLY, m);
        text[32] = 7;
        text[64] = 5;
        memcpy(text + 72, "tiny", 4);
        msg_table_hash(text + 76);
        sha256(text, sizeof(text), proof);
        ck_assert_mem_eq(msg_bytes(m, TAG_PROOF), proof, 32);
        ck_assert_mem_eq(msg_bytes(m, TAG_NONCE), nonce, 32);
}

START_TEST(challenge_is_answered) {
        size_t pos = 0;
        Str s;
        Msg m;

        start_ready((Tiny){0});
        challenge(&m);
        ck_assert(msg_next_str(&m, TAG_HANDLER, &pos, &s) && str_eq(s, "tiny.one"));
        ck_assert(msg_next_str(&m, TAG_HANDLER, &pos, &s) && str_eq(s, "tiny.two"));
        ck_assert(!msg_has(&m, TAG_ISSUE));
        end();
}
END_TEST

START_TEST(failed_self_test_is_an_issue) {
        Msg m;

        start_ready((Tiny){.fail_self_test = true});
        challenge(&m);
        ck_assert(str_eq(msg_str(&m, TAG_ISSUE), "self-test: disk is on fire"));
        end();
}
END_TEST

START_TEST(links_come_and_go) {
        Peer a, b;

        start_ready((Tiny){0});
        a = give_link("a", "chunk", 1, true);
        b = give_link("b", "chunk", 1, true);
        await_log("+a/1v;+b/1v;");
        send_publish(&a);
        await_log("a/1:PUBLISH;");
        hang_up(&a);
        await_log("-a/1 end of file;");
        ck_assert_ptr_null(strstr(tiny_log(), "-b/1"));
        hang_up(&b);
        end();
}
END_TEST

/* The new link has a message waiting, the old one is still open: not announced, not read, until the old one
 * ends. */
START_TEST(fence_orders_two_instances) {
        Peer old, new;

        start_ready((Tiny){0});
        old = give_link("a", "chunk", 1, true);
        await_log("+a/1v;");
        new = give_link("a", "chunk", 2, true);
        send_publish(&new);
        for (int i = 0; i < 20; i++)
                ck_assert_ptr_null(strstr(tiny_log(), "a/2"));
        send_publish(&old);
        await_log("a/1:PUBLISH;");
        hang_up(&old);
        await_log("-a/1 end of file;+a/2v;a/2:PUBLISH;");
        hang_up(&new);
        end();
}
END_TEST

START_TEST(unvalidated_peer_may_only_query) {
        Peer a;

        start_ready((Tiny){0});
        a = give_link("a", "chunk", 1, false);
        send_publish(&a);
        send_query(&a);
        await_log("+a/1;a/1:QUERY;");
        ck_assert_ptr_null(strstr(tiny_log(), "PUBLISH"));
        send_peer("a", 1, true);
        await_log("!a/1;a/1:PUBLISH;");
        send_publish(&a);
        await_log("a/1:PUBLISH;a/1:PUBLISH;");
        hang_up(&a);
        end();
}
END_TEST

/* More than may be kept: the link is paused, nothing is lost, and after admission all of it arrives. */
START_TEST(held_messages_are_bounded_not_lost) {
        const char *at;
        unsigned n = 0;
        Peer a;

        start_ready((Tiny){0});
        a = give_link("a", "chunk", 1, false);
        for (int i = 0; i < 70; i++)
                send_publish(&a);
        send_query(&a);
        await_log("+a/1;");
        for (int i = 0; i < 20; i++)
                ck_assert_ptr_null(strstr(tiny_log(), "QUERY"));
        send_peer("a", 1, true);
        await_log("a/1:QUERY;");
        for (at = tiny_log(); (at = strstr(at, "PUBLISH")); at++)
                n++;
        ck_assert_uint_eq(n, 70);
        hang_up(&a);
        end();
}
END_TEST

START_TEST(gone_before_validated) {
        Peer a;

        start_ready((Tiny){0});
        a = give_link("a", "chunk", 1, false);
        send_publish(&a);
        await_log("+a/1;");
        send_peer("a", 1, false);
        await_log("-a/1 gone before it was validated;");
        ck_assert_ptr_null(strstr(tiny_log(), "PUBLISH"));
        hang_up(&a);
        end();
}
END_TEST

START_TEST(malformed_link_is_closed_alone) {
        Peer a;

        start_ready((Tiny){0});
        a = give_link("a", "chunk", 1, true);
        ck_assert_int_eq(send(a.fd, "\xff\xff\xff\xff", 4, 0), 4);
        await_log("-a/1 malformed frame at offset 0: frame length 4294967295;");
        hang_up(&a);
        end();
}
END_TEST

START_TEST(peers_cannot_speak_for_guardian) {
        MsgBuilder b;
        Peer a;
        Msg m;

        start_ready((Tiny){0});
        a = give_link("a", "chunk", 1, true);
        msg_begin(&b, MSG_PEER);
        msg_put_cstr(&b, TAG_UNIT, "evil");
        msg_put_u64(&b, TAG_INSTANCE, 1);
        msg_put_bool(&b, TAG_VALIDATED, true);
        send_msg(&a, &b, (Str){0}, -1);
        ck_assert(!recv_msg(&a, &m));
        await_log("-a/1 a message that this peer may not send;");
        hang_up(&a);
        end();
}
END_TEST

START_TEST(persons_may_call_not_append) {
        MsgBuilder b;
        Peer p;
        Msg m;

        start_ready((Tiny){0});
        for (int i = 0; i < 2; i++) { /* nor may a process of a unit that came the same way */
                p = give_link("uid:1000", i ? "unit" : "person", 0, true);
                call(&p, "log", &m);
                call(&p, "big", &m);
                ck_assert(str_eq(msg_str(&m, TAG_CODE), "E.PAYLOAD_TOO_LARGE"));
                msg_begin(&b, MSG_APPEND);
                msg_put_u64(&b, TAG_SEQ, 1);
                msg_put_u64(&b, TAG_KIND, RECORD_EVENT);
                send_msg(&p, &b, STR_LIT("{}"), -1);
                ck_assert(!recv_msg(&p, &m));
                hang_up(&p);
        }
        end();
}
END_TEST

START_TEST(persons_are_bounded) {
        Peer p[34];
        Msg m;

        start_ready((Tiny){0});
        for (int i = 0; i < 34; i++)
                p[i] = give_link("uid:1000", "person", (uint64_t)i, true);
        for (int i = 0; i < 32; i++)
                call(&p[i], "log", &m);
        ck_assert(recv_msg(&p[32], &m)); /* which request it was is not known yet */
        ck_assert(m.type == MSG_RESULT && msg_u64(&m, TAG_REQ, 1) == 0 && msg_u64(&m, TAG_STATUS, 0) == 1);
        ck_assert(str_eq(msg_str(&m, TAG_CODE), "busy"));
        ck_assert(!recv_msg(&p[32], &m));
        hang_up(&p[0]);
        await_log("-uid:1000/0 end of file");
        hang_up(&p[33]);
        p[33] = give_link("uid:1000", "person", 40, true);
        call(&p[33], "log", &m);
        for (int i = 1; i < 34; i++)
                hang_up(&p[i]);
        end();
}
END_TEST

/* Units and those below operator leave half of the places, and none of them takes the others'. */
START_TEST(strangers_leave_room) {
        static const char *const actors[] = {"bad", "worse", "late"};
        Peer p[25], o[17];
        Msg m;

        start_ready((Tiny){0});
        for (int i = 0; i < 25; i++) {
                p[i] = give_link(actors[i / 9], "unit", (uint64_t)i, true);
                if (i % 9 < 8 && i < 18)
                        call(&p[i], "log", &m);
                else
                        ck_assert(recv_msg(&p[i], &m) && str_eq(msg_str(&m, TAG_CODE), "busy"));
        }
        for (int i = 0; i < 17; i++) {
                o[i] = give_link("uid:1000", "person", (uint64_t)i + 100, true);
                if (i < 16)
                        call(&o[i], "log", &m);
                else
                        ck_assert(recv_msg(&o[i], &m) && str_eq(msg_str(&m, TAG_CODE), "busy"));
        }
        for (int i = 0; i < 25; i++)
                hang_up(&p[i]);
        for (int i = 0; i < 17; i++)
                hang_up(&o[i]);
        end();
}
END_TEST

START_TEST(a_chunk_may_drop_a_link) {
        Peer a;
        Msg m;

        start_ready((Tiny){0});
        a = give_link("a", "chunk", 1, true);
        await_log("+a/1v;");
        call(&control, "drop", &m);
        ck_assert(!recv_msg(&a, &m));
        await_log("-a/1 dropped;");
        hang_up(&a);
        end();
}
END_TEST

START_TEST(heartbeats_only_when_asked) {
        Msg m;

        start((Tiny){0});
        send_hello(2000);
        expect(&control, MSG_READY, &m);
        expect(&control, MSG_HEARTBEAT, &m);
        expect(&control, MSG_HEARTBEAT, &m);
        close(control.fd);
        ck_assert_int_eq(wait_exit(), 0);
}
END_TEST

START_TEST(without_control_pipe) {
        child = fork();
        if (child == 0) {
                char *argv[] = {(char *)(uintptr_t) "tiny", NULL};
                static Tiny tiny;

                for (int fd = 3; fd < 64; fd++)
                        close(fd);
                _exit(chunk_main(1, argv, &ops, &tiny));
        }
        ck_assert_int_eq(wait_exit(), 64);
}
END_TEST

static int check_dirs(const char *const *dirs, unsigned n, Problems *problems) {
        if (n == 2 && strcmp(dirs[1], "bad") == 0)
                problem_add(problems, PROBLEM_ERROR, "bad/x.yaml", 3, 4, "unknown-key", NULL, "unknown key");
        return 0;
}

START_TEST(check_and_version) {
        char *check[] = {(char *)(uintptr_t) "tiny", (char *)(uintptr_t) "--check",
                (char *)(uintptr_t) "good", (char *)(uintptr_t) "bad", NULL};
        char *version[] = {check[0], (char *)(uintptr_t) "--version", NULL};
        int out = dup(1), null = open("/dev/null", O_WRONLY | O_CLOEXEC), r[4];

        /* keep the TAP stream clean */
        dup2(null, 1);
        r[0] = chunk_main(3, check, &ops, NULL);
        chunk_set_checker(check_dirs);
        r[1] = chunk_main(3, check, &ops, NULL);
        r[2] = chunk_main(4, check, &ops, NULL);
        r[3] = chunk_main(2, version, &ops, NULL);
        fflush(stdout);
        dup2(out, 1);
        close(out);
        close(null);
        ck_assert_int_eq(r[0], 0); /* reads no policies */
        ck_assert_int_eq(r[1], 0);
        ck_assert_int_eq(r[2], 65);
        ck_assert_int_eq(r[3], 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("chunk");
        TCase *tc = tcase_create("chunk");
        SRunner *sr = srunner_create(s);
        int failed;

        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, hello_ready_end_of_file);
        tcase_add_test(tc, sigterm_stops);
        tcase_add_test(tc, ready_can_be_held);
        tcase_add_test(tc, failed_init_is_status_1);
        tcase_add_test(tc, first_message_must_be_hello);
        tcase_add_test(tc, second_hello_is_refused);
        tcase_add_test(tc, malformed_control_is_status_1);
        tcase_add_test(tc, challenge_is_answered);
        tcase_add_test(tc, failed_self_test_is_an_issue);
        tcase_add_test(tc, links_come_and_go);
        tcase_add_test(tc, fence_orders_two_instances);
        tcase_add_test(tc, unvalidated_peer_may_only_query);
        tcase_add_test(tc, held_messages_are_bounded_not_lost);
        tcase_add_test(tc, gone_before_validated);
        tcase_add_test(tc, malformed_link_is_closed_alone);
        tcase_add_test(tc, peers_cannot_speak_for_guardian);
        tcase_add_test(tc, persons_may_call_not_append);
        tcase_add_test(tc, persons_are_bounded);
        tcase_add_test(tc, strangers_leave_room);
        tcase_add_test(tc, a_chunk_may_drop_a_link);
        tcase_add_test(tc, heartbeats_only_when_asked);
        tcase_add_test(tc, without_control_pipe);
        tcase_add_test(tc, check_and_version);
        suite_add_tcase(s, tc);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
