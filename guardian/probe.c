/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/probe.h"
#include "common/signals.h"
#include "common/str.h"
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/clock.h"

/* A try of a socket probe is one non-blocking socket under uv_poll: connect, for http also one write and reads up to the
 * status line. uv_tcp and uv_pipe would do as well but need three handles and a close each. */
enum { HTTP_REST_MAX = 1024 * 1024 };

struct Probe {
        uv_loop_t *loop;
        const ProbeConfig *cfg;
        const ProbeOps *ops;
        void *user;
        uv_timer_t timer; /* interval between tries, deadline within one */
        uv_poll_t poll;
        bool poll_live, timer_live, in_try, awaited, stopped, known, healthy, sent;
        int fd;
        pid_t pid;
        uint64_t started_us;
        unsigned good, bad;
        char reply[64];
        size_t reply_len, rest;
        bool http_known, http_ok;
        char detail[192];
};

enum { PROBE_PATH_MAX = 256 };

static int parse_host_port(const char *s, const char *end, ProbeConfig *ret, const char **why) {
        const char *colon = NULL;
        for (const char *p = s; p < end; p++)
                if (*p == ':')
                        colon = p;
        if (!colon || colon == s) {
                *why = "expected HOST:PORT";
                return -EINVAL;
        }
        size_t n = (size_t)(colon - s);
        if (s[0] == '[' && n > 2 && s[n - 1] == ']') {
                s++;
                n -= 2;
        }
        char host[64];
        if (n >= sizeof(host)) {
                *why = "the host is too long";
                return -EINVAL;
        }
        str_copy(host, sizeof(host), (Str){s, n});
        if (strcmp(host, "localhost") == 0)
                strcpy(host, "127.0.0.1");
        uint8_t raw[16];
        if (inet_pton(AF_INET, host, raw) != 1 && inet_pton(AF_INET6, host, raw) != 1) {
                *why = "the host must be a numeric address or localhost";
                return -EINVAL;
        }
        char port[8];
        uint64_t v;
        size_t pn = (size_t)(end - colon - 1);
        if (pn == 0 || pn >= sizeof(port)) {
                *why = "expected a port number";
                return -EINVAL;
        }
        str_copy(port, sizeof(port), (Str){colon + 1, pn});
        if (parse_u64(port, &v) < 0 || v == 0 || v > 65535) {
                *why = "the port must be 1 to 65535";
                return -EINVAL;
        }
        ret->port = (uint16_t)v;
        ret->text = strdup(host);
        return ret->text ? 0 : -ENOMEM;
}

int probe_parse(const char *s, ProbeConfig *ret, const char **why) {
        if (strncmp(s, "exec:", 5) == 0 && s[5 + strspn(s + 5, " ")] != 0) {
                ret->text = strdup(s + 5 + strspn(s + 5, " "));
                if (!ret->text)
                        return -ENOMEM;
                ret->type = PROBE_EXEC;
                return 0;
        }
        if (strncmp(s, "tcp:", 4) == 0) {
                ret->type = PROBE_TCP;
                return parse_host_port(s + 4, s + strlen(s), ret, why);
        }
        if (strncmp(s, "unix:", 5) == 0) {
                if (s[5] != '/' || strlen(s + 5) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
                        *why = "expected an absolute path of at most 107 bytes";
                        return -EINVAL;
                }
                ret->type = PROBE_UNIX;
                ret->text = strdup(s + 5);
                return ret->text ? 0 : -ENOMEM;
        }
        if (strncmp(s, "http://", 7) == 0) {
                const char *slash = strchr(s + 7, '/');
                const char *end = slash ? slash : s + strlen(s);
                const char *path = slash ? slash : "/";
                if (strlen(path) >= PROBE_PATH_MAX || strpbrk(path, " \r\n")) {
                        *why = "the path is too long or holds a blank";
                        return -EINVAL;
                }
                ret->type = PROBE_HTTP;
                ret->path = strdup(path);
                if (!ret->path)
                        return -ENOMEM;
                return parse_host_port(s + 7, end, ret, why);
        }
        *why = "expected exec:CMD, tcp:HOST:PORT, unix:PATH or http://HOST:PORT/PATH";
        return -EINVAL;
}

static void on_timer(uv_timer_t *t);
static void on_poll(uv_poll_t *h, int status, int events);

static void maybe_free(Probe *p) {
        if (p->stopped && !p->poll_live && !p->timer_live)
                free(p);
}

static void on_poll_closed(uv_handle_t *h) {
        Probe *p = h->data;
        /* libuv wants the descriptor open until its handle is closed */
        if (p->fd >= 0)
                close(p->fd);
        p->fd = -1;
        p->poll_live = false;
        maybe_free(p);
}

static void on_timer_closed(uv_handle_t *h) {
        Probe *p = h->data;
        p->timer_live = false;
        maybe_free(p);
}

static void end_socket(Probe *p) {
        if (p->poll_live && !uv_is_closing((uv_handle_t *)&p->poll))
                uv_close((uv_handle_t *)&p->poll, on_poll_closed);
}

static void end_try(Probe *p, bool ok, const char *detail) {
        if (!p->in_try)
                return;
        p->in_try = p->awaited = false;
        p->pid = 0;
        end_socket(p);
        if (detail)
                snprintf(p->detail, sizeof(p->detail), "%s", detail);
        p->good = ok ? p->good + 1 : 0;
        p->bad = ok ? 0 : p->bad + 1;
        uint64_t now = clock_boot_us();
        uint64_t next = p->started_us + p->cfg->interval_us;
        uint64_t wait = next > now ? next - now : 1000;
        uv_timer_start(&p->timer, on_timer, (wait + 999) / 1000, 0);
        bool change = false;
        if (ok && p->good >= p->cfg->success_threshold && (!p->known || !p->healthy)) {
                p->known = p->healthy = change = true;
        } else if (!ok && p->bad >= p->cfg->failure_threshold && (!p->known || p->healthy)) {
                p->known = change = true;
                p->healthy = false;
        }
        if (change)
                p->ops->changed(p, p->healthy, p->detail, p->user); /* may stop the probe: touch nothing after */
}

static void fail_errno(Probe *p, const char *what, int err) {
        char text[192];
        snprintf(text, sizeof(text), "%s: %s", what, strerror(err));
        end_try(p, false, text);
}

static void try_socket(Probe *p) {
        if (p->poll_live) { /* the last one is still closing: count it as a miss of this turn */
                end_try(p, false, "the previous try is still closing");
                return;
        }
        union {
                struct sockaddr sa;
                struct sockaddr_in v4;
                struct sockaddr_in6 v6;
                struct sockaddr_un un;
        } a = {0};
        socklen_t n;
        if (p->cfg->type == PROBE_UNIX) {
                a.un.sun_family = AF_UNIX;
                strcpy(a.un.sun_path, p->cfg->text);
                n = sizeof(a.un);
        } else if (inet_pton(AF_INET, p->cfg->text, &a.v4.sin_addr) == 1) {
                a.v4.sin_family = AF_INET;
                a.v4.sin_port = htons(p->cfg->port);
                n = sizeof(a.v4);
        } else {
                inet_pton(AF_INET6, p->cfg->text, &a.v6.sin6_addr);
                a.v6.sin6_family = AF_INET6;
                a.v6.sin6_port = htons(p->cfg->port);
                n = sizeof(a.v6);
        }
        int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
                fail_errno(p, "socket", errno);
                return;
        }
        if (connect(fd, &a.sa, n) < 0 && errno != EINPROGRESS) {
                int e = errno;
                close(fd);
                fail_errno(p, "connect", e);
                return;
        }
        if (uv_poll_init(p->loop, &p->poll, fd) < 0) {
                close(fd);
                end_try(p, false, "no watcher left");
                return;
        }
        p->fd = fd;
        p->poll_live = true;
        p->sent = p->http_known = p->http_ok = false;
        p->reply_len = p->rest = 0;
        p->poll.data = p;
        uv_poll_start(&p->poll, UV_WRITABLE, on_poll);
}

static void http_send(Probe *p) {
        char req[512];
        int n = snprintf(req, sizeof(req),
                "GET %s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: guardian-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                p->cfg->path, p->cfg->text, (unsigned)p->cfg->port);
        ssize_t w = send(p->fd, req, (size_t)n, MSG_NOSIGNAL);
        if (w != n) {
                fail_errno(p, "write", w < 0 ? errno : EIO);
                return;
        }
        p->sent = true;
        uv_poll_start(&p->poll, UV_READABLE, on_poll);
}

/* The status is known; the rest is read and thrown away, because closing on a server that still writes is a reset to it. */
static void http_rest(Probe *p) {
        char rest[4096];
        ssize_t r = recv(p->fd, rest, sizeof(rest), 0);
        if (r < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        p->rest += r > 0 ? (size_t)r : 0;
        if (r > 0 && p->rest < HTTP_REST_MAX)
                return;
        end_try(p, p->http_ok, p->reply);
}

static void http_read(Probe *p) {
        ssize_t r = recv(p->fd, p->reply + p->reply_len, sizeof(p->reply) - 1 - p->reply_len, 0);
        if (r < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (r <= 0) {
                fail_errno(p, "read", r < 0 ? errno : ECONNRESET);
                return;
        }
        p->reply_len += (size_t)r;
        p->reply[p->reply_len] = 0;
        unsigned major, minor, status;
        if (!memchr(p->reply, '\n', p->reply_len) && p->reply_len < sizeof(p->reply) - 1)
                return;
        if (sscanf(p->reply, "HTTP/%1u.%1u %3u", &major, &minor, &status) != 3) {
                end_try(p, false, "the answer is not HTTP");
                return;
        }
        p->http_known = true;
        p->http_ok = status >= 200 && status < 400;
        snprintf(p->reply, sizeof(p->reply), "HTTP status %u", status);
        http_rest(p);
}

static void on_poll(uv_poll_t *h, int status, int events) {
        Probe *p = h->data;
        (void)events;
        if (p->stopped || !p->in_try)
                return;
        if (p->http_known) {
                http_rest(p);
                return;
        }
        int err = 0;
        socklen_t n = sizeof(err);
        /* libuv says EBADF for whatever is wrong with the socket; the socket knows better */
        getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &n);
        if (err || status < 0) {
                fail_errno(p, p->sent ? "read" : "connect", err ? err : -status);
                return;
        }
        if (!p->sent) {
                if (p->cfg->type == PROBE_HTTP)
                        http_send(p);
                else
                        end_try(p, true, "connected");
                return;
        }
        http_read(p);
}

static void on_timer(uv_timer_t *t) {
        Probe *p = t->data;
        if (p->stopped)
                return;
        if (p->in_try) {
                if (p->pid > 0)
                        p->ops->kill(p, p->pid, p->user);
                if (p->http_known) /* it answered; what it goes on sending is not asked for */
                        end_try(p, p->http_ok, p->reply);
                else
                        end_try(p, false, "no answer in time");
                return;
        }
        p->in_try = true;
        p->started_us = clock_boot_us();
        uv_timer_start(&p->timer, on_timer, (p->cfg->timeout_us + 999) / 1000, 0);
        if (p->cfg->type != PROBE_EXEC) {
                try_socket(p);
                return;
        }
        int r = p->ops->exec(p, p->cfg->text, &p->pid, p->user);
        p->awaited = r > 0;
        if (r < 0)
                fail_errno(p, "exec", -r);
}

bool probe_exec_awaited(const Probe *p) {
        return p->awaited && !p->stopped;
}

void probe_exec_begun(Probe *p, int error, pid_t pid) {
        p->awaited = false;
        p->pid = pid;
        if (error < 0)
                fail_errno(p, "exec", -error);
}

void probe_exec_done(Probe *p, pid_t pid, int code, int signal) {
        if (p->stopped || !p->in_try || pid != p->pid)
                return;
        char text[64];
        if (signal)
                snprintf(text, sizeof(text), "the command ended by %s", signal_name(signal));
        else
                snprintf(text, sizeof(text), "the command ended with status %d", code);
        end_try(p, !signal && code == 0, text);
}

pid_t probe_exec_pid(const Probe *p) {
        return p->pid;
}

int probe_start(uv_loop_t *loop, const ProbeConfig *cfg, const ProbeOps *ops, void *user, uint64_t delay_us, Probe **ret) {
        Probe *p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        *p = (Probe){.loop = loop, .cfg = cfg, .ops = ops, .user = user, .fd = -1};
        int r = uv_timer_init(loop, &p->timer);
        if (r < 0) {
                free(p);
                return r;
        }
        p->timer_live = true;
        p->timer.data = p;
        uv_timer_start(&p->timer, on_timer, delay_us / 1000, 0);
        *ret = p;
        return 0;
}

Probe *probe_stop(Probe *p) {
        if (!p || p->stopped)
                return NULL;
        if (p->in_try && p->pid > 0)
                p->ops->kill(p, p->pid, p->user);
        p->stopped = true;
        end_socket(p);
        uv_timer_stop(&p->timer);
        uv_close((uv_handle_t *)&p->timer, on_timer_closed);
        return NULL;
}
