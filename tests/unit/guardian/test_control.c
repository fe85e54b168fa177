/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket and who is at its other end, with real sockets and processes. */
#include "guardian/control.h"
#include "common/buf.h"
#include "common/conn.h"
#include "common/log.h"
#include "tests/unit/guardian/world.h"
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ME = 4711 };
static Control *control;
static unsigned calls, gone;
static uint64_t last_client, last_req;
static Peer last_peer;
static char last_verb[64];
/* what unit_of() knows: a process or a session */
static pid_t unit_pid, unit_session;
static bool unit_login;
static uint64_t asked_uid;
static unsigned asked_gids;
static Role role;

static void on_call(Control *c, uint64_t client, const Peer *peer, const Msg *m, void *user) {
        (void)c;
        ck_assert_int_eq(*(int *)user, ME);
        calls++;
        last_client = client;
        last_peer = *peer;
        last_req = msg_u64(m, TAG_REQ, 0);
        str_copy(last_verb, sizeof(last_verb), msg_str(m, TAG_VERB));
}

static void on_gone(Control *c, uint64_t client, void *user) {
        (void)c;
        (void)user;
        gone++;
        last_client = client;
}

static const ControlOps ops = {.on_call = on_call, .on_gone = on_gone};

static const char *unit_of(void *user, pid_t pid, pid_t session, bool *login) {
        (void)user;
        if ((unit_pid && pid == unit_pid) || (unit_session && session == unit_session)) {
                *login = unit_login;
                return "web";
        }
        return NULL;
}

static Role role_of(void *user, uint64_t uid, const gid_t *gids, unsigned n) {
        (void)user;
        ck_assert_uint_ge(n, 1);
        ck_assert_uint_eq(gids[0], getgid());
        asked_uid = uid;
        asked_gids = n;
        return role;
}

static const PeerLookup look = {.unit_of = unit_of, .role_of = role_of};
static int me = ME;

static void open_control(void) {
        ck_assert_int_eq(control_open(&loop, dir, &look, &ops, &me, &control), 0);
}

static void setup(void) {
        log_setup("test", STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
        world_begin();
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        calls = gone = 0;
        unit_pid = unit_session = 0;
        unit_login = false;
        role = ROLE_ADMIN;
        open_control();
}

static void teardown(void) {
        control = control_free(control);
        while (waitpid(-1, NULL, 0) > 0)
                ;
        world_end();
}

static size_t frame(uint8_t *out, size_t cap, MsgType type, uint32_t seq) {
        Buf b = BUF_INIT(65536);
        MsgBuilder m;
        msg_begin(&m, type);
        msg_put_u64(&m, TAG_REQ, 7);
        if (type == MSG_CALL)
                msg_put_cstr(&m, TAG_VERB, "status");
        ck_assert_int_eq(msg_encode(&m, (Str){NULL, 0}, seq, false, &b), 0);
        ck_assert_uint_le(b.len, cap);
        memcpy(out, b.data, b.len);
        size_t n = b.len;
        buf_done(&b);
        return n;
}

static int client(void) {
        int fd = socket_connect_in(dir, "control.sock");
        ck_assert_int_ge(fd, 0);
        return fd;
}

static void say(int fd, MsgType type, uint32_t seq) {
        uint8_t text[256];
        size_t n = frame(text, sizeof(text), type, seq);
        ck_assert_int_eq(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

static bool ended(int fd) {
        char c;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        return poll(&p, 1, 0) == 1 && recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

START_TEST(calls_are_answered) {
        int fd = client(), pair[2];
        say(fd, MSG_CALL, 1);
        WAIT_FOR(calls == 1);
        ck_assert_uint_eq(last_req, 7);
        ck_assert_str_eq(last_verb, "status");
        ck_assert(control_alive(control, last_client));
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(control_result(control, last_client, 7, 0, "ok", "done", STR_LIT("{\"a\":1}"), false,
                                 pair[1]),
                0);
        close(pair[1]);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        WAIT_FOR(poll(&p, 1, 0) == 1);
        uint8_t text[512], room[CMSG_SPACE(sizeof(int))];
        struct iovec iov = {text, sizeof(text)};
        struct msghdr mh = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
        ssize_t n = recvmsg(fd, &mh, 0);
        Msg m;
        size_t used;
        char why[160];
        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(msg_decode(text, (size_t)n, &m, &used, why, sizeof(why)), 0);
        ck_assert_int_eq(m.type, MSG_RESULT);
        ck_assert_uint_eq(msg_u64(&m, TAG_REQ, 0), 7);
        ck_assert(str_eq(msg_str(&m, TAG_MESSAGE), "done"));
        ck_assert(str_eq(m.payload, "{\"a\":1}"));
        ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&mh));
        int got;
        memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(int));
        ck_assert_int_eq(write(got, "x", 1), 1);
        char c = 0;
        ck_assert_int_eq(read(pair[0], &c, 1), 1);
        ck_assert_int_eq(c, 'x');
        close(got);
        close(pair[0]);
        close(fd);
        WAIT_FOR(gone == 1);
        ck_assert(!control_alive(control, last_client));
        ck_assert_int_eq(
                control_result(control, last_client, 7, 0, "ok", NULL, (Str){NULL, 0}, false, -1), -ENOENT);
}
END_TEST

/* What is no CALL, and what is no frame, ends its sender's connection and nobody else's. */
START_TEST(only_calls_are_taken) {
        int good = client();
        say(good, MSG_CALL, 1);
        WAIT_FOR(calls == 1);
        uint64_t id = last_client;
        int fd = client();
        say(fd, MSG_UNITS, 1); /* whole and valid, for another pipe */
        WAIT_FOR(ended(fd));
        close(fd);
        ck_assert_uint_eq(gone, 1);
        fd = client();
        ck_assert_int_eq(write(fd, "\xff\xff\xff\x7f\1\1\0\0........", 16), 16);
        WAIT_FOR(ended(fd));
        close(fd);
        ck_assert_uint_eq(gone, 2);
        fd = client();
        say(fd, MSG_CALL, 5); /* a sequence that starts anywhere */
        WAIT_FOR(ended(fd));
        close(fd);
        ck_assert_uint_eq(gone, 3);
        ck_assert_uint_eq(calls, 1);
        ck_assert(control_alive(control, id));
        say(good, MSG_CALL, 2);
        WAIT_FOR(calls == 2);
        close(good);
        WAIT_FOR(gone == 4);
}
END_TEST

/* What it says of itself in one RESULT before it is ended. */
static void told_busy(int fd) {
        uint8_t text[512];
        Msg m;
        size_t used;
        char why[160];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        WAIT_FOR(poll(&p, 1, 0) == 1);
        ssize_t n = recv(fd, text, sizeof(text), 0);
        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(msg_decode(text, (size_t)n, &m, &used, why, sizeof(why)), 0);
        ck_assert(str_eq(msg_str(&m, TAG_CODE), "busy"));
}

static void fill(int *fds, unsigned n) {
        unsigned before = calls;
        for (unsigned i = 0; i < n; i++) {
                fds[i] = client();
                say(fds[i], MSG_CALL, 1);
        }
        WAIT_FOR(calls == before + n);
}

static void close_all(int *fds, unsigned n) {
        unsigned before = gone;
        for (unsigned i = 0; i < n; i++)
                close(fds[i]);
        WAIT_FOR(gone == before + n);
}

START_TEST(clients_are_bounded) {
        int fds[CONTROL_CLIENTS_MAX];
        fill(fds, CONTROL_CLIENTS_MAX); /* all wait for an answer */
        int more = client();
        told_busy(more);
        WAIT_FOR(ended(more));
        close(more);
        ck_assert_uint_eq(gone, 0);
        close(fds[0]);
        WAIT_FOR(gone == 1);
        fill(fds, 1); /* a place is free again */
        close_all(fds, CONTROL_CLIENTS_MAX);
}
END_TEST

/* The oldest that waits for nothing gives way to a new one. */
START_TEST(idle_clients_give_way) {
        int fds[CONTROL_CLIENTS_MAX];
        fill(fds, CONTROL_CLIENTS_MAX);
        ck_assert_int_eq(
                control_result(control, last_client, 7, 0, "ok", NULL, (Str){NULL, 0}, false, -1), 0);
        uint64_t idle = last_client;
        struct pollfd p[CONTROL_CLIENTS_MAX];
        char text[256];
        unsigned at = 0;
        for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
                p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        WAIT_FOR(poll(p, CONTROL_CLIENTS_MAX, 0) == 1);
        while (!p[at].revents)
                at++;
        ck_assert_int_gt(read(fds[at], text, sizeof(text)), 0);
        int more;
        fill(&more, 1);
        ck_assert_uint_eq(gone, 1);
        ck_assert(!control_alive(control, idle));
        WAIT_FOR(ended(fds[at]));
        close(fds[at]);
        fds[at] = more;
        close_all(fds, CONTROL_CLIENTS_MAX);
}
END_TEST

/* Callers below operator have half of the places, and never one of the others'. */
START_TEST(strangers_have_places_of_their_own) {
        int strangers[CONTROL_CLIENTS_MAX / 2], fds[CONTROL_CLIENTS_MAX / 2], more;
        role = ROLE_OBSERVER;
        fill(strangers, CONTROL_CLIENTS_MAX / 2);
        more = client();
        told_busy(more);
        close(more);
        role = ROLE_OPERATOR;
        fill(fds, CONTROL_CLIENTS_MAX / 2);
        close_all(fds, CONTROL_CLIENTS_MAX / 2);
        close_all(strangers, CONTROL_CLIENTS_MAX / 2);
}
END_TEST

/* Requests of one client without an answer are bounded too. */
START_TEST(open_requests_are_bounded) {
        int fd = client();
        for (uint32_t i = 1; i <= 32; i++)
                say(fd, MSG_CALL, i);
        WAIT_FOR(calls == 32);
        say(fd, MSG_CALL, 33);
        told_busy(fd);
        ck_assert_uint_eq(calls, 32);
        ck_assert_int_eq(
                control_result(control, last_client, 7, 0, "ok", NULL, (Str){NULL, 0}, false, -1), 0);
        say(fd, MSG_CALL, 34);
        WAIT_FOR(calls == 33);
        close(fd);
        WAIT_FOR(gone == 1);
}
END_TEST

START_TEST(one_guardian_a_directory) {
        Control *second = NULL;
        struct stat st;
        char path[128];
        path_in(path, sizeof(path), "control.sock");
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0666);
        ck_assert_int_eq(control_open(&loop, dir, &look, &ops, &me, &second), -EADDRINUSE);
        ck_assert_ptr_null(second);
        control_shutdown(control, 0);
        ck_assert_int_lt(stat(path, &st), 0);
        control = control_free(control);
        uv_run(&loop, UV_RUN_DEFAULT);
        int stale = socket_listen_in(dir, "control.sock", 0600);
        ck_assert_int_ge(stale, 0);
        close(stale); /* its file stays, nobody listens */
        ck_assert_int_eq(socket_connect_in(dir, "control.sock"), -ECONNREFUSED);
        open_control();
        int fd = client();
        say(fd, MSG_CALL, 1);
        WAIT_FOR(calls == 1);
        close(fd);
        WAIT_FOR(gone == 1);
}
END_TEST

/* sun_path holds 107 bytes; a runtime directory may be longer. */
START_TEST(long_paths) {
        char deep[700];
        Control *second = NULL;
        size_t n = (size_t)snprintf(deep, sizeof(deep), "%s", dir);
        for (unsigned i = 0; i < 6; i++) {
                n += (size_t)snprintf(deep + n, sizeof(deep) - n, "/%080u", i);
                ck_assert_int_eq(mkdir(deep, 0700), 0);
        }
        ck_assert_uint_gt(n, sizeof(((struct sockaddr_un *)0)->sun_path) * 4);
        ck_assert_int_eq(control_open(&loop, deep, &look, &ops, &me, &second), 0);
        int fd = socket_connect_in(deep, "control.sock");
        ck_assert_int_ge(fd, 0);
        say(fd, MSG_CALL, 1);
        WAIT_FOR(calls == 1);
        close(fd);
        WAIT_FOR(gone == 1);
        ck_assert_int_eq(socket_connect_in(deep, "nobody.sock"), -ENOENT);
        ck_assert_int_eq(socket_connect_in("/nonexistent", "x"), -ENOENT);
        char name[120];
        memset(name, 'x', sizeof(name) - 1);
        name[sizeof(name) - 1] = 0;
        ck_assert_int_eq(socket_listen_in(deep, name, 0600), -ENAMETOOLONG);
        second = control_free(second);
}
END_TEST

START_TEST(last_words_are_sent) {
        int fd = client();
        say(fd, MSG_CALL, 1);
        WAIT_FOR(calls == 1);
        ck_assert_int_eq(
                control_result(control, last_client, 7, 0, "ok", NULL, (Str){NULL, 0}, false, -1), 0);
        control_shutdown(control, 1000);
        char text[256];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        WAIT_FOR(poll(&p, 1, 0) == 1);
        ck_assert_int_gt(read(fd, text, sizeof(text)), 0);
        close(fd);
}
END_TEST

/* ---- who is it */

__attribute__((noreturn)) static void child_call(void) {
        uint8_t text[256];
        size_t n = frame(text, sizeof(text), MSG_CALL, 1);
        int fd = socket_connect_in(dir, "control.sock");
        if (fd < 0 || send(fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
                _exit(1);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        poll(&p, 1, -1); /* until it is answered or ended */
        _exit(0);
}

/* A child that waits for a byte, then calls. */
static pid_t start_child(int *go, bool session) {
        int p[2];
        ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                char c;
                if (session)
                        setsid();
                if (read(p[0], &c, 1) == 1)
                        child_call();
                _exit(1);
        }
        close(p[0]);
        *go = p[1];
        return pid;
}

static void let_go(int go) {
        ck_assert_int_eq(write(go, "x", 1), 1);
        close(go);
}

static void answered(void) {
        WAIT_FOR(calls == 1);
        ck_assert_int_eq(
                control_result(control, last_client, 7, 0, "ok", NULL, (Str){NULL, 0}, false, -1), 0);
        WAIT_FOR(gone == 1);
}

START_TEST(a_person_is_a_uid) {
        int fd = client(); /* this process: not below itself */
        say(fd, MSG_CALL, 1);
        WAIT_FOR(calls == 1);
        char actor[32];
        snprintf(actor, sizeof(actor), "uid:%u", (unsigned)getuid());
        ck_assert_int_eq(last_peer.kind, PEER_PERSON);
        ck_assert_str_eq(last_peer.actor, actor);
        ck_assert_int_eq(last_peer.role, ROLE_ADMIN);
        ck_assert_uint_eq(asked_uid, getuid());
        ck_assert_int_ge((int)asked_gids, 1 + getgroups(0, NULL));
        ck_assert_int_eq(last_peer.pid, getpid());
        close(fd);
        WAIT_FOR(gone == 1);
}
END_TEST

START_TEST(a_child_is_its_unit) {
        int go;
        unit_pid = start_child(&go, false);
        let_go(go);
        answered();
        ck_assert_int_eq(last_peer.kind, PEER_UNIT);
        ck_assert_str_eq(last_peer.actor, "web");
        ck_assert_int_eq(last_peer.role, ROLE_OBSERVER);
        ck_assert_uint_eq(last_peer.uid, getuid()); /* whatever its uid: nobody was asked for a role */
        ck_assert_uint_eq(asked_gids, 0);
}
END_TEST

START_TEST(grants_login) {
        int go;
        unit_pid = start_child(&go, false);
        unit_login = true;
        let_go(go);
        answered();
        ck_assert_int_eq(last_peer.kind, PEER_PERSON);
        ck_assert_int_eq(last_peer.role, ROLE_ADMIN);
}
END_TEST

START_TEST(a_child_of_no_unit_is_nobody) {
        int go;
        start_child(&go, false);
        unit_login = true; /* of no unit, so of no use */
        let_go(go);
        answered();
        ck_assert_int_eq(last_peer.kind, PEER_UNKNOWN);
        ck_assert_str_eq(last_peer.actor, "unit:unknown");
        ck_assert_int_eq(last_peer.role, ROLE_OBSERVER);
}
END_TEST

/* The chain is walked: a grandchild whose parent lives is its unit's too. */
START_TEST(a_grandchild_is_its_unit) {
        int p[2];
        ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                char c;
                pid_t inner = fork();
                if (inner == 0) {
                        setsid(); /* its session says nothing */
                        if (read(p[0], &c, 1) == 1)
                                child_call();
                        _exit(1);
                }
                waitpid(inner, NULL, 0);
                _exit(0);
        }
        close(p[0]);
        unit_pid = pid;
        let_go(p[1]);
        answered();
        ck_assert_int_eq(last_peer.kind, PEER_UNIT);
        ck_assert_str_eq(last_peer.actor, "web");
}
END_TEST

/* A double fork: the parent is gone, Guardian is the parent now. By its session it is still the unit's; if it
 * left that too it is nobody we know, and never a person. */
static void double_fork(bool leave_session) {
        int p[2];
        ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                setsid();
                if (fork() == 0) {
                        char c;
                        if (leave_session)
                                setsid();
                        if (read(p[0], &c, 1) == 1)
                                child_call();
                        _exit(1);
                }
                _exit(0);
        }
        close(p[0]);
        unit_session = pid;
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        let_go(p[1]);
        answered();
}

START_TEST(a_daemon_is_its_unit) {
        double_fork(false);
        ck_assert_int_eq(last_peer.kind, PEER_UNIT);
        ck_assert_str_eq(last_peer.actor, "web");
        ck_assert_int_eq(last_peer.role, ROLE_OBSERVER);
}
END_TEST

START_TEST(a_daemon_of_its_own_session_is_nobody) {
        double_fork(true);
        ck_assert_int_eq(last_peer.kind, PEER_UNKNOWN);
        ck_assert_str_eq(last_peer.actor, "unit:unknown");
        ck_assert_int_eq(last_peer.role, ROLE_OBSERVER);
}
END_TEST

/* Who connected and ended before we looked may have been anybody. */
START_TEST(gone_before_we_looked) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                uint8_t text[256];
                size_t n = frame(text, sizeof(text), MSG_CALL, 1);
                int fd = socket_connect_in(dir, "control.sock");
                _exit(fd >= 0 && send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : 1);
        }
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        WAIT_FOR(calls == 1);
        ck_assert_int_eq(last_peer.kind, PEER_UNKNOWN);
        ck_assert_int_eq(last_peer.role, ROLE_OBSERVER);
        WAIT_FOR(gone == 1);
}
END_TEST

/* Also while it is a zombie: its number is still taken, its parent still ours. */
START_TEST(a_zombie_is_nobody) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                uint8_t text[256];
                size_t n = frame(text, sizeof(text), MSG_CALL, 1);
                int fd = socket_connect_in(dir, "control.sock");
                _exit(fd >= 0 && send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : 1);
        }
        siginfo_t info;
        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        unit_pid = pid;
        unit_login = true;
        WAIT_FOR(calls == 1);
        ck_assert_int_eq(last_peer.kind, PEER_UNKNOWN);
        ck_assert_int_eq(last_peer.role, ROLE_OBSERVER);
        WAIT_FOR(gone == 1);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {calls_are_answered, only_calls_are_taken, clients_are_bounded,
                idle_clients_give_way, strangers_have_places_of_their_own, open_requests_are_bounded,
                one_guardian_a_directory, long_paths, last_words_are_sent, a_person_is_a_uid,
                a_child_is_its_unit, grants_login, a_child_of_no_unit_is_nobody, a_grandchild_is_its_unit,
                a_daemon_is_its_unit, a_daemon_of_its_own_session_is_nobody, gone_before_we_looked,
                a_zombie_is_nobody};
        return run_suite("control", setup, teardown, tests, sizeof(tests) / sizeof(*tests));
}
