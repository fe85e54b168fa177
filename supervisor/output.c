/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/output.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json-writer.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define OUTPUT_READ_MAX  (64U << 10)  /* bytes a wake-up and unit: the others get their turn */
#define OUTPUT_SINK_MAX  (256U << 10) /* backlog for a stdout that does not take it */
#define OUTPUT_LOG_MAX   (64U << 10)  /* more of it, for the lines of our own log */
#define OUTPUT_WRITE_MAX 4096         /* PIPE_BUF: what a pipe that polled writable takes without blocking */

typedef enum SinkKind {
        SINK_NONE,
        SINK_NONBLOCK, /* our own open file, O_NONBLOCK */
        SINK_SHARED,   /* could not be reopened: asked with poll(2) before each write */
        SINK_SOCKET,   /* send(2), MSG_DONTWAIT */
        SINK_FILE,     /* regular file: its position is shared, never blocks in the sense of O_NONBLOCK */
} SinkKind;

struct OutputHub {
        uv_loop_t *loop;
        LinePool pool;
        LogFormat format;
        List followers;
        SinkKind kind;
        int sink;
        Buf backlog;
        uint64_t dropped;
        uv_poll_t poll; /* writable, only while there is a backlog */
        int ep;         /* watches a sink that we may not make non-blocking, -1 */
        bool has_poll, polling, dead;
};

struct Output {
        OutputHub *hub;
        int fd; /* our end, -1: never opened */
        uv_poll_t poll;
        bool has_poll, reading;
        LineSplitter split;
        LineMark mark;
        uint64_t lines;
        char unit[];
};

/* ---- the sink: Guardian's own stdout ---- */

static ssize_t sink_write(OutputHub *h, const void *p, size_t n) {
        struct pollfd pf = {.fd = h->sink, .events = POLLOUT};

        switch (h->kind) {
        case SINK_SOCKET:
                return send(h->sink, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        case SINK_SHARED:
                if (poll(&pf, 1, 0) <= 0 || !(pf.revents & POLLOUT)) {
                        errno = EAGAIN;
                        return -1;
                }
                return write(h->sink, p, n < OUTPUT_WRITE_MAX ? n : OUTPUT_WRITE_MAX);
        case SINK_NONBLOCK:
        case SINK_FILE:
                return write(h->sink, p, n);
        case SINK_NONE:
                break;
        }
        errno = EBADF;
        return -1;
}

static void sink_on_writable(uv_poll_t *poll, int status, int events);

static void sink_wait(OutputHub *h) {
        if (h->has_poll && !h->polling && h->backlog.len > 0)
                h->polling = uv_poll_start(
                                     &h->poll, h->ep >= 0 ? UV_READABLE : UV_WRITABLE, sink_on_writable) == 0;
        else if (h->polling && h->backlog.len == 0) {
                uv_poll_stop(&h->poll);
                h->polling = false;
        }
}

/* As much as it takes now. */
static void sink_flush(OutputHub *h) {
        while (h->backlog.len > 0 && !h->dead) {
                ssize_t n = sink_write(h, h->backlog.data, h->backlog.len);

                if (n > 0)
                        buf_consume(&h->backlog, (size_t)n);
                else if (n < 0 && errno == EINTR)
                        continue;
                else if (n < 0 && errno != EAGAIN)
                        h->dead = true; /* EPIPE, EIO, ENOSPC: nobody is there any more */
                else
                        break;
        }
        if (h->dead) {
                for (size_t i = 0; i < h->backlog.len; i++)
                        h->dropped += h->backlog.data[i] == '\n';
                buf_consume(&h->backlog, h->backlog.len);
                h->dead = h->kind != SINK_FILE; /* a full disk may have room again */
        }
        if (h->backlog.len == 0)
                buf_shrink(&h->backlog);
        sink_wait(h);
}

static void sink_on_writable(uv_poll_t *poll, int status, int events) {
        OutputHub *h = poll->data;

        (void)events;
        if (status < 0)
                h->dead = true;
        sink_flush(h);
}

static int sink_format(OutputHub *h, Buf *b, const char *unit, const LineView *line) {
        JsonWriter w;
        int r;

        if (h->format != LOG_FORMAT_JSON) {
                r = buf_appendf(b, "%s: ", unit);
                if (r == 0)
                        r = buf_append(b, line->text.p, line->text.n);
                return r == 0 ? buf_append(b, "\n", 1) : r;
        }
        json_init(&w, b, false);
        json_object_begin(&w);
        json_key(&w, "time");
        json_time(&w, line->wall_ns);
        json_kv_str(&w, "unit", unit);
        json_key(&w, "message");
        json_str(&w, line->text);
        if (line->cut)
                json_kv_bool(&w, "cut", true);
        json_object_end(&w);
        r = json_finish(&w);
        return r == 0 ? buf_append(b, "\n", 1) : r;
}

/* Whole lines only: one that does not fit the backlog is dropped and counted. */
static void sink_line(OutputHub *h, const char *unit, const LineView *line) {
        size_t before = h->backlog.len;

        if (h->kind == SINK_NONE)
                return;
        if (h->dead) {
                h->dropped++;
                return;
        }
        if (sink_format(h, &h->backlog, unit, line) < 0) {
                h->backlog.len = before;
                sink_flush(h); /* it may take some by now */
                before = h->backlog.len;
                if (h->dead || sink_format(h, &h->backlog, unit, line) < 0) {
                        h->backlog.len = before;
                        h->dropped++;
                }
        }
}

/* Without memory for the backlog: what waits in it goes first, then the line itself, now or not at all. */
static bool sink_now(OutputHub *h, const void *line, size_t n) {
        sink_flush(h);
        return h->backlog.len == 0 && !h->dead && sink_write(h, line, n) == (ssize_t)n;
}

bool output_log_line(void *user, const void *line, size_t n) {
        OutputHub *h = user;
        int r;

        if (h->kind == SINK_NONE || h->dead)
                return false;
        h->backlog.max = OUTPUT_SINK_MAX + OUTPUT_LOG_MAX;
        r = buf_append(&h->backlog, line, n);
        h->backlog.max = OUTPUT_SINK_MAX;
        if (r == -ENOMEM)
                return sink_now(h, line, n);
        sink_flush(h);
        return r == 0;
}

/* How to write to somebody's descriptor without ever blocking and without changing it for its other owners.
 */
static int sink_open(OutputHub *h, int fd) {
        char path[32];
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0) {
                h->kind = SINK_NONE;
                return 0;
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (S_ISREG(st.st_mode)) {
                h->kind = SINK_FILE; /* a reopened one would begin at its start and overwrite */
        } else if (S_ISSOCK(st.st_mode)) {
                h->kind = SINK_SOCKET;
        } else {
                h->sink = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
                h->kind = h->sink >= 0 ? SINK_NONBLOCK : SINK_SHARED;
        }
        if (h->sink < 0)
                h->sink = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (h->sink < 0)
                return -errno;
        h->poll.data = h;
        /* uv_poll makes what it watches non-blocking. A sink that others share is watched through an epoll
         * instance instead. */
        if (h->kind == SINK_SOCKET || h->kind == SINK_SHARED) {
                struct epoll_event ev = {.events = EPOLLOUT};

                h->ep = epoll_create1(EPOLL_CLOEXEC);
                if (h->ep < 0)
                        return -errno;
                h->has_poll = epoll_ctl(h->ep, EPOLL_CTL_ADD, h->sink, &ev) == 0 &&
                              uv_poll_init(h->loop, &h->poll, h->ep) == 0;
        } else if (h->kind == SINK_NONBLOCK) {
                h->has_poll = uv_poll_init(h->loop, &h->poll, h->sink) ==
                              0; /* /dev/null is not pollable, nor ever full */
        }
        if (h->has_poll)
                uv_unref((uv_handle_t *)&h->poll);
        return 0;
}

/* ---- the hub ---- */

static void hub_free_now(OutputHub *h) {
        if (h->sink >= 0)
                close(h->sink);
        if (h->ep >= 0)
                close(h->ep);
        line_pool_done(&h->pool);
        buf_done(&h->backlog);
        free(h);
}

int output_hub_new(uv_loop_t *loop, int sink_fd, LogFormat format, OutputHub **ret) {
        OutputHub *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;
        h->loop = loop;
        h->format = format;
        h->sink = h->ep = -1;
        h->backlog = BUF_INIT(OUTPUT_SINK_MAX);
        list_init(&h->followers);
        r = sink_open(h, sink_fd);
        if (r < 0) {
                hub_free_now(h);
                return r;
        }
        *ret = h;
        return 0;
}

uint64_t output_dropped(const OutputHub *h) {
        return h->dropped;
}

bool output_hub_flush(OutputHub *h, unsigned ms) {
        uint64_t end = clock_boot_us() + (uint64_t)ms * 1000, now;

        sink_flush(h);
        while (h->backlog.len > 0 && !h->dead && (now = clock_boot_us()) < end) {
                struct pollfd pf = {.fd = h->sink, .events = POLLOUT};

                if (poll(&pf, 1, (int)((end - now) / 1000) + 1) < 0 && errno != EINTR)
                        return false;
                sink_flush(h);
        }
        return h->backlog.len == 0;
}

static void hub_closed(uv_handle_t *handle) {
        hub_free_now(handle->data);
}

void output_hub_free(OutputHub *h) {
        if (!h)
                return;
        if (h->has_poll)
                uv_close((uv_handle_t *)&h->poll, hub_closed);
        else
                hub_free_now(h);
}

void output_follow(OutputHub *h, OutputFollower *f) {
        list_append(&h->followers, &f->node);
}

void output_unfollow(OutputFollower *f) {
        list_remove(&f->node);
}

/* ---- one unit ---- */

static void output_line(void *user, Str text, bool cut) {
        Output *o = user;
        OutputHub *h = o->hub;
        LineView view = {.wall_ns = clock_wall_ns(), .text = text, .cut = cut};

        o->lines++;
        /* Out of memory for the ring: the line still goes to stdout and to followers. */
        line_pool_put(&h->pool, &o->mark, view.wall_ns, text, cut);
        view.seq = h->pool.lines;
        sink_line(h, o->unit, &view);
        LIST_FOREACH_SAFE (it, next, &h->followers) {
                OutputFollower *f = container_of(it, OutputFollower, node);

                if (!f->of || f->of == o)
                        f->on_line(f->user, o->unit, &view);
        }
}

static void output_stop(Output *o) {
        if (o->reading)
                uv_poll_stop(&o->poll);
        o->reading = false;
}

/* Reads what is there, at most max bytes. At end of file (every writer is gone) the poll stops until the next
 * instance: a hung-up pipe would wake us for ever. */
static void output_read(Output *o, size_t max) {
        char buf[16384];

        while (o->fd >= 0 && max > 0) {
                ssize_t n = read(o->fd, buf, sizeof(buf) < max ? sizeof(buf) : max);

                if (n > 0) {
                        line_split(&o->split, buf, (size_t)n, output_line, o);
                        max -= (size_t)n;
                } else if (n < 0 && errno == EINTR) {
                        continue;
                } else {
                        if (n == 0)
                                line_flush(&o->split, output_line, o);
                        if (n == 0 || errno != EAGAIN)
                                output_stop(o);
                        break;
                }
        }
        sink_flush(o->hub);
}

static void output_on_readable(uv_poll_t *poll, int status, int events) {
        (void)status; /* an error condition shows in read(2) */
        (void)events;
        output_read(poll->data, OUTPUT_READ_MAX);
}

int output_new(OutputHub *h, const char *unit, Output **ret) {
        size_t name = strlen(unit) + 1;
        Output *o = calloc(1, sizeof(*o) + name);

        if (!o)
                return -ENOMEM;
        o->hub = h;
        o->fd = -1;
        o->poll.data = o;
        memcpy(o->unit, unit, name);
        *ret = o;
        return 0;
}

/* The first pipe of the unit. *fd is its other end, O_WRONLY, for where /proc is missing. */
static int output_make_pipe(Output *o, int *fd) {
        int ends[2], r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        /* Ours only: the end that the unit gets is a file of its own and stays blocking. */
        if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
                r = -errno;
                close(ends[0]);
                close(ends[1]);
                return r;
        }
        r = uv_poll_init(o->hub->loop, &o->poll, ends[0]);
        if (r < 0) {
                close(ends[0]);
                close(ends[1]);
                return r;
        }
        o->has_poll = true;
        o->fd = ends[0];
        *fd = ends[1];
        return 0;
}

int output_open(Output *o, uid_t uid, gid_t gid, int *fd) {
        auto_close int first = -1;
        int r = 0, end;
        char path[32];

        if (o->fd < 0)
                r = output_make_pipe(o, &first);
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
        end = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
        if (end < 0 && first >= 0)
                end = TAKE_FD(first);
        if (end < 0)
                return -errno;
        if ((uid != geteuid() || gid != getegid()) && fchown(end, uid, gid) < 0) {
                r = -errno;
                close(end);
                return r;
        }
        if (!o->reading) {
                r = uv_poll_start(&o->poll, UV_READABLE, output_on_readable);
                if (r < 0) {
                        close(end);
                        return r;
                }
                o->reading = true;
        }
        *fd = end;
        return 0;
}

void output_drain(Output *o) {
        /* Bounded: a process that outlived its unit may write for ever. A pipe holds at most 1 MiB. */
        output_read(o, 1U << 20);
        line_flush(&o->split, output_line, o);
        sink_flush(o->hub);
}

size_t output_tail(const Output *o, LineView *out, size_t max) {
        return line_pool_tail(&o->hub->pool, &o->mark, out, max);
}

uint64_t output_lines(const Output *o) {
        return o->lines;
}

static void output_free_now(Output *o) {
        line_splitter_done(&o->split);
        free(o);
}

static void output_closed(uv_handle_t *handle) {
        output_free_now(handle->data);
}

void output_free(Output *o) {
        if (!o)
                return;
        output_stop(o);
        LIST_FOREACH_SAFE (it, next, &o->hub->followers) {
                OutputFollower *f = container_of(it, OutputFollower, node);

                if (f->of == o)
                        list_remove(&f->node);
        }
        if (o->fd >= 0)
                close(o->fd);
        o->fd = -1;
        if (o->has_poll)
                uv_close((uv_handle_t *)&o->poll, output_closed);
        else
                output_free_now(o);
}
