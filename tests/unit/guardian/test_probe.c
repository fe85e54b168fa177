/* SPDX-License-Identifier: Apache-2.0 */
/* Probes against sockets and processes of this machine. Time is only ever waited for as an event: a deadline
 * that fires. */
#include "guardian/probe.h"
#include "common/cleanup.h"
#include "tests/unit/guardian/world.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

static Probe *probe;
static ProbeConfig cfg;
static unsigned changes, kills, execs;
static bool healthy, stop_inside;
static char detail[192];
static pid_t command;
static int exec_error;

/* What the test's server does with a connection. */
static enum { SILENT, CLOSE, ANSWER } server_does;
static const char *answer;
static int listener, served[64];
static unsigned accepted, n_served;
static uv_poll_t server;
static char asked[512];

static int op_exec(Probe *p, const char *text, pid_t *pid, void *user) {
        (void)p;
        (void)user;
        execs++;
        ck_assert_str_eq(text, "check --now");
        if (exec_error < 0)
                return exec_error;
        command = (pid_t)(1000 + execs);
        *pid = exec_error ? 0 : command;
        return exec_error;
}

static void op_kill(Probe *p, pid_t pid, void *user) {
        (void)p;
        (void)user;
        ck_assert_int_eq(pid, command);
        kills++;
}

static void op_changed(Probe *p, bool ok, const char *text, void *user) {
        (void)user;
        changes++;
        healthy = ok;
        snprintf(detail, sizeof(detail), "%s", text);
        if (stop_inside)
                probe = probe_stop(p);
}

static const ProbeOps ops = {.exec = op_exec, .kill = op_kill, .changed = op_changed};

static void forget(void) {
        free(cfg.text);
        free(cfg.path);
        cfg = (ProbeConfig){0};
}

static void parse(const char *text) {
        const char *why = "";
        forget();
        cfg = (ProbeConfig){
                .interval_us = 2000, .timeout_us = 5000000, .failure_threshold = 1, .success_threshold = 1};
        ck_assert_msg(probe_parse(text, &cfg, &why) == 0, "%s: %s", text, why);
}

static void start(void) {
        ck_assert_int_eq(probe_start(&loop, &cfg, &ops, NULL, 0, &probe), 0);
}

typedef struct Request {
        uv_poll_t poll;
        int fd;
} Request;

static void on_request_closed(uv_handle_t *h) {
        Request *r = h->data;
        close(r->fd);
        free(r);
}

static void on_request(uv_poll_t *h, int status, int events) {
        Request *r = h->data;
        (void)status;
        (void)events;
        ssize_t n = read(r->fd, asked, sizeof(asked) - 1);
        asked[n > 0 ? n : 0] = 0;
        if (n > 0)
                ck_assert_int_eq(send(r->fd, answer, strlen(answer), MSG_NOSIGNAL), (ssize_t)strlen(answer));
        uv_close((uv_handle_t *)h, on_request_closed);
}

static void on_served(uv_poll_t *h, int status, int events) {
        (void)h;
        (void)status;
        (void)events;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
                return;
        accepted++;
        if (server_does == ANSWER) {
                Request *r = calloc(1, sizeof(*r));
                ck_assert_ptr_nonnull(r);
                r->fd = fd;
                r->poll.data = r;
                ck_assert_int_eq(uv_poll_init(&loop, &r->poll, fd), 0);
                uv_poll_start(&r->poll, UV_READABLE, on_request);
                return;
        }
        if (server_does == SILENT && n_served < ELEMENTSOF(served))
                served[n_served++] = fd; /* held open, says nothing */
        else
                close(fd);
}

static void serve(int fd) {
        listener = fd;
        ck_assert_int_eq(uv_poll_init(&loop, &server, fd), 0);
        uv_poll_start(&server, UV_READABLE, on_served);
}

static unsigned tcp_listener(int family) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
        socklen_t n = family == AF_INET ? sizeof(v4) : sizeof(v6);
        int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* a later one may have the port again */
        if (fd < 0 || bind(fd, a, n) < 0) {                          /* a machine without IPv6 */
                if (fd >= 0)
                        close(fd);
                return 0;
        }
        ck_assert_int_eq(listen(fd, 16), 0);
        ck_assert_int_eq(getsockname(fd, a, &n), 0);
        serve(fd);
        return ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
}

static void no_server(void) {
        if (listener < 0)
                return;
        uv_close((uv_handle_t *)&server, NULL);
        uv_run(&loop, UV_RUN_NOWAIT);
        close(listener);
        listener = -1;
}

static void setup(void) {
        world_begin();
        changes = kills = execs = accepted = n_served = 0;
        stop_inside = healthy = false;
        exec_error = 0;
        probe = NULL;
        listener = -1;
        asked[0] = 0;
        server_does = CLOSE;
}

static void teardown(void) {
        probe = probe_stop(probe);
        no_server();
        for (unsigned i = 0; i < n_served; i++)
                close(served[i]);
        forget();
        world_end();
}

static void parse_port(const char *before, unsigned port, const char *after) {
        char text[128];
        snprintf(text, sizeof(text), "%s%u%s", before, port, after);
        parse(text);
}

START_TEST(tcp_that_accepts_is_well) {
        parse_port("tcp:127.0.0.1:", tcp_listener(AF_INET), "");
        start();
        WAIT_FOR(changes == 1);
        ck_assert(healthy);
        ck_assert_str_eq(detail, "connected");
        WAIT_FOR(accepted >= 5); /* goes on, and says nothing new */
        ck_assert_uint_eq(changes, 1);
}
END_TEST

START_TEST(tcp_over_ipv6) {
        unsigned port = tcp_listener(AF_INET6);
        if (port == 0)
                return;
        parse_port("tcp:[::1]:", port, "");
        start();
        WAIT_FOR(changes == 1);
        ck_assert(healthy);
}
END_TEST

START_TEST(refused_is_a_failure_and_recovers) {
        unsigned port = tcp_listener(AF_INET);
        parse_port("tcp:localhost:", port, "");
        cfg.failure_threshold = 3; /* what waited in the backlog is reset, the next ones are refused */
        start();
        WAIT_FOR(changes == 1);
        ck_assert(healthy);
        no_server();
        WAIT_FOR(changes == 2);
        ck_assert(!healthy);
        ck_assert_str_eq(detail, "connect: Connection refused");
        struct sockaddr_in a = {.sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        ck_assert_int_eq(listen(fd, 16), 0);
        serve(fd);
        WAIT_FOR(changes == 3);
        ck_assert(healthy);
}
END_TEST

START_TEST(unix_socket) {
        char path[128], text[160];
        path_in(path, sizeof(path), "s");
        snprintf(text, sizeof(text), "unix:%s", path);
        parse(text);
        start();
        WAIT_FOR(changes == 1);
        ck_assert(!healthy);
        ck_assert_str_eq(detail, "connect: No such file or directory");
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        strcpy(a.sun_path, path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        ck_assert_int_eq(listen(fd, 16), 0);
        serve(fd);
        WAIT_FOR(changes == 2);
        ck_assert(healthy);
}
END_TEST

static void http(const char *reply, bool want, const char *say) {
        server_does = ANSWER;
        answer = reply;
        parse_port("http://127.0.0.1:", tcp_listener(AF_INET), "/healthz?x=1");
        start();
        WAIT_FOR(changes == 1);
        ck_assert_int_eq(healthy, want);
        ck_assert_str_eq(detail, say);
}

START_TEST(http_200) {
        http("HTTP/1.1 200 OK\r\n\r\n", true, "HTTP status 200");
        ck_assert_ptr_eq(strstr(asked, "GET /healthz?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"), asked);
        ck_assert_ptr_nonnull(strstr(asked, "\r\nConnection: close\r\n"));
        ck_assert_str_eq(asked + strlen(asked) - 4, "\r\n\r\n");
}
END_TEST
START_TEST(http_302_is_well) {
        http("HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", true, "HTTP status 302");
}
END_TEST
START_TEST(http_503) {
        http("HTTP/1.1 503 Busy\r\n\r\n", false, "HTTP status 503");
}
END_TEST
START_TEST(http_404) {
        http("HTTP/1.1 404 Not Found\r\n\r\n", false, "HTTP status 404");
}
END_TEST
START_TEST(http_that_is_not) {
        http("SSH-2.0-OpenSSH_9.2\r\n", false, "the answer is not HTTP");
}
END_TEST
START_TEST(http_without_a_line_end) {
        http("HTTP/1.1 200 OK and then a very long reason that never ends at all, nor ever will", true,
                "HTTP status 200");
}
END_TEST
START_TEST(http_cut_short) {
        http("HTTP/1", false, "read: Connection reset by peer");
}
END_TEST

/* A server that accepts and never answers: the try ends at its deadline, the socket is closed, the next try
 * comes. */
START_TEST(slow_server) {
        server_does = SILENT;
        parse_port("http://127.0.0.1:", tcp_listener(AF_INET), "/");
        cfg.timeout_us = 3000;
        cfg.failure_threshold = 3;
        start();
        WAIT_FOR(changes == 1);
        ck_assert(!healthy);
        ck_assert_str_eq(detail, "no answer in time");
        ck_assert_uint_ge(accepted, 3);
}
END_TEST

START_TEST(thresholds_count_rows) {
        parse("exec:check --now");
        cfg.failure_threshold = 3;
        cfg.success_threshold = 2;
        start();
        static const struct {
                int code;
                unsigned changes;
                bool healthy;
        } steps[] = {{0, 0, false}, {1, 0, false}, {0, 0, false}, {0, 1, true}, {1, 1, true}, {1, 1, true},
                {0, 1, true}, {1, 1, true}, {1, 1, true}, {1, 2, false}, {0, 2, false}, {1, 2, false},
                {0, 2, false}, {0, 3, true}};
        for (unsigned i = 0; i < ELEMENTSOF(steps); i++) {
                WAIT_FOR(execs == i + 1);
                ck_assert_int_eq(probe_exec_pid(probe), command);
                probe_exec_done(probe, command + 1, 0, 0); /* another's end */
                ck_assert_int_eq(probe_exec_pid(probe), command);
                probe_exec_done(probe, command, steps[i].code, 0);
                ck_assert_int_eq(probe_exec_pid(probe), 0);
                ck_assert_msg(changes == steps[i].changes && healthy == steps[i].healthy,
                        "step %u: %u changes, %d", i, changes, healthy);
        }
        ck_assert_uint_eq(kills, 0);
}
END_TEST

START_TEST(exec_reasons) {
        parse("exec:check --now");
        start();
        WAIT_FOR(execs == 1);
        probe_exec_done(probe, command, 7, 0);
        ck_assert_str_eq(detail, "the command ended with status 7");
        WAIT_FOR(execs == 2);
        probe_exec_done(probe, command, 0, 0);
        ck_assert(healthy);
        WAIT_FOR(execs == 3);
        probe_exec_done(probe, command, 0, SIGSEGV);
        ck_assert(!healthy);
        ck_assert_str_eq(detail, "the command ended by SIGSEGV");
}
END_TEST

/* A command that hangs is killed at the deadline; its late end counts for nothing. */
START_TEST(exec_that_hangs) {
        parse("exec:check --now");
        cfg.timeout_us = 3000;
        start();
        WAIT_FOR(execs == 1);
        pid_t first = command;
        WAIT_FOR(changes == 1);
        ck_assert(!healthy);
        ck_assert_str_eq(detail, "no answer in time");
        ck_assert_uint_eq(kills, 1);
        probe_exec_done(probe, first, 0, 0);
        ck_assert_uint_eq(changes, 1);
        WAIT_FOR(execs >= 2);
}
END_TEST

START_TEST(exec_that_cannot_start) {
        parse("exec:check --now");
        exec_error = -ENOENT;
        start();
        WAIT_FOR(changes == 1);
        ck_assert(!healthy);
        ck_assert_str_eq(detail, "exec: No such file or directory");
        WAIT_FOR(execs == 3); /* tried again */
        ck_assert_uint_eq(changes, 1);
}
END_TEST

/* One that is to be started later: its time runs, it may not come to it at all, and what comes too late is
 * nobody's. */
START_TEST(exec_that_is_started_later) {
        parse("exec:check --now");
        exec_error = 1;
        start();
        WAIT_FOR(execs == 1);
        ck_assert(probe_exec_awaited(probe));
        probe_exec_begun(probe, 0, command);
        ck_assert(!probe_exec_awaited(probe));
        ck_assert_int_eq(probe_exec_pid(probe), command);
        probe_exec_done(probe, command, 0, 0);
        ck_assert(healthy);
        WAIT_FOR(execs == 2);
        probe_exec_begun(probe, -ENOENT, 0);
        ck_assert(!healthy);
        ck_assert_str_eq(detail, "exec: No such file or directory");
        cfg.timeout_us = 3000;
        WAIT_FOR(execs == 3);
        WAIT_FOR(!probe_exec_awaited(probe));
        ck_assert_uint_eq(kills, 0);
        WAIT_FOR(execs == 4);
        ck_assert(probe_exec_awaited(probe));
        Probe *gone = probe;
        probe = probe_stop(probe);
        ck_assert(!probe_exec_awaited(gone));
}
END_TEST

/* Its end comes from inside its own callback, in the middle of a try, and before the first. */
START_TEST(stops_at_any_time) {
        unsigned port = tcp_listener(AF_INET);
        parse_port("tcp:127.0.0.1:", port, "");
        stop_inside = true;
        start();
        WAIT_FOR(changes == 1);
        ck_assert_ptr_null(probe);
        stop_inside = false;
        start();
        probe = probe_stop(probe);
        no_server();
        parse("exec:check --now");
        start();
        WAIT_FOR(execs == 1);
        probe = probe_stop(probe);
        ck_assert_uint_eq(kills, 1);
        ck_assert_uint_eq(changes, 1);
        ck_assert_ptr_null(probe_stop(NULL));
}
END_TEST

START_TEST(parse_refusals) {
        static const char *const bad[] = {"", "exec:", "exec:  ", "tcp:", "tcp:127.0.0.1", "tcp::80",
                "tcp:127.0.0.1:0", "tcp:127.0.0.1:65536", "tcp:127.0.0.1:x",
                "tcp:127.0.0.1:", "tcp:example.org:80", "tcp:127.0.0.1:123456789", "unix:", "unix:relative",
                "http://127.0.0.1", "http://127.0.0.1/x", "http://127.0.0.1:80/a b",
                "http://127.0.0.1:80/a\r\nX: y", "ftp://127.0.0.1:21/"};
        const char *why;
        char text[400];
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                why = NULL;
                ck_assert_msg(probe_parse(bad[i], &cfg, &why) == -EINVAL && why, "'%s'", bad[i]);
                forget();
        }
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        memcpy(text, "unix:/", 6);
        ck_assert_int_eq(probe_parse(text, &cfg, &why), -EINVAL);
        forget();
        memcpy(text, "http://127.0.0.1:80/", 20);
        ck_assert_int_eq(probe_parse(text, &cfg, &why), -EINVAL);
        forget();
        memcpy(text, "tcp:", 4);
        text[300] = ':';
        ck_assert_int_eq(probe_parse(text, &cfg, &why), -EINVAL);
        forget();
        ck_assert_int_eq(probe_parse("http://localhost:8000", &cfg, &why), 0);
        ck_assert_str_eq(cfg.text, "127.0.0.1");
        ck_assert_uint_eq(cfg.port, 8000);
        ck_assert_str_eq(cfg.path, "/");
        forget();
        ck_assert_int_eq(probe_parse("exec:  /bin/true x", &cfg, &why), 0);
        ck_assert_str_eq(cfg.text, "/bin/true x");
}
END_TEST

int main(void) {
        const TTest *const tests[] = {tcp_that_accepts_is_well, tcp_over_ipv6,
                refused_is_a_failure_and_recovers, unix_socket, http_200, http_302_is_well, http_503,
                http_404, http_that_is_not, http_without_a_line_end, http_cut_short, slow_server,
                thresholds_count_rows, exec_reasons, exec_that_hangs, exec_that_cannot_start,
                exec_that_is_started_later, stops_at_any_time, parse_refusals};
        return run_suite("probe", setup, teardown, tests, sizeof(tests) / sizeof(*tests));
}
