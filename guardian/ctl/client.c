/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/ctl/client.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CLIENT_BUFFER_MAX = 4 * FRAME_MAX };

static void client_init(Client *c, int fd, uint64_t deadline_us) {
        *c = (Client){
                .fd = fd, .in = BUF_INIT(CLIENT_BUFFER_MAX), .deadline_us = deadline_us, .pending_fd = -1};
}

/* By a path that always fits: through the directory's descriptor. -EAGAIN: the queue of a Guardian that takes
 * nobody stayed full until the deadline. */
static int connect_in(const char *dir, uint64_t deadline_us) {
        auto_close int d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (d < 0)
                return -errno;
        auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/control.sock", dir);
        if (n >= (int)sizeof(a.sun_path))
                snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/control.sock", d);
        uint64_t now = clock_boot_us(), left = deadline_us > now ? deadline_us - now : 1;
        if (deadline_us != UINT64_MAX) {
                struct timeval tv = {
                        .tv_sec = (time_t)(left / 1000000), .tv_usec = (suseconds_t)(left % 1000000)};
                if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
                        return -errno;
        }
        if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int client_open(Client *c, const char *runtime_dir, uint64_t timeout_us) {
        client_init(c, -1, timeout_us == UINT64_MAX ? UINT64_MAX : clock_boot_us() + timeout_us);
        int fd = connect_in(runtime_dir, c->deadline_us);
        if (fd == -EAGAIN) {
                snprintf(c->error, sizeof(c->error),
                        "Guardian at %.150s takes no connection in time: it hangs, or is held", runtime_dir);
                return fd;
        }
        if (fd < 0) {
                snprintf(c->error, sizeof(c->error), "no Guardian at %.150s: %s%s", runtime_dir,
                        strerror(-fd), fd == -EACCES ? ", the directory is closed to you" : "");
                return fd;
        }
        c->fd = fd;
        return 0;
}

void client_close(Client *c) {
        if (c->fd >= 0)
                close(c->fd);
        if (c->pending_fd >= 0)
                close(c->pending_fd);
        c->fd = c->pending_fd = -1;
        buf_done(&c->in);
}

/* 0: ready; -ETIMEDOUT */
static int wait_for(const Client *c, short events) {
        for (;;) {
                int ms = -1;
                if (c->deadline_us != UINT64_MAX) {
                        uint64_t now = clock_boot_us();
                        if (now >= c->deadline_us)
                                return -ETIMEDOUT;
                        ms = (int)((c->deadline_us - now + 999) / 1000);
                }
                struct pollfd p = {.fd = c->fd, .events = events};
                int r = poll(&p, 1, ms);
                if (r > 0)
                        return 0;
                if (r < 0 && errno != EINTR)
                        return -errno;
        }
}

int client_send(Client *c, const MsgBuilder *b, Str payload) {
        Buf out = BUF_INIT(FRAME_MAX + FRAME_PREFIX);
        int r = msg_encode(b, payload, c->out_seq + 1, false, &out);
        for (size_t at = 0; r == 0 && at < out.len;) {
                r = wait_for(c, POLLOUT);
                if (r < 0)
                        break;
                ssize_t n = send(c->fd, out.data + at, out.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0 && errno == EPIPE) /* what it said before it closed is read next */
                        break;
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        r = -errno;
                else if (n > 0)
                        at += (size_t)n;
        }
        if (r == 0)
                c->out_seq++;
        buf_done(&out);
        return r;
}

/* One recvmsg: appends to the buffer, keeps a descriptor. 0; 1: end; -errno. */
static int receive(Client *c) {
        int r = buf_reserve(&c->in, 64 * 1024);
        if (r < 0)
                return r;
        r = wait_for(c, POLLIN);
        if (r < 0)
                return r;
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(int) * 4)];
        } control;
        struct iovec iov = {.iov_base = c->in.data + c->in.len, .iov_len = c->in.cap - c->in.len};
        struct msghdr h = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(c->fd, &h, MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 0 : -errno;
        for (struct cmsghdr *k = CMSG_FIRSTHDR(&h); k; k = CMSG_NXTHDR(&h, k)) {
                if (k->cmsg_level != SOL_SOCKET || k->cmsg_type != SCM_RIGHTS)
                        continue;
                unsigned fds = (unsigned)((k->cmsg_len - CMSG_LEN(0)) / sizeof(int));
                for (unsigned i = 0; i < fds; i++) {
                        int fd;
                        memcpy(&fd, CMSG_DATA(k) + i * sizeof(int), sizeof(int));
                        if (c->pending_fd < 0)
                                c->pending_fd = fd;
                        else
                                close(fd);
                }
        }
        if (n == 0)
                return 1;
        c->in.len += (size_t)n;
        return 0;
}

int client_read(Client *c, Msg *m) {
        buf_consume(&c->in, c->used);
        c->used = 0;
        for (;;) {
                char why[160];
                int r = c->in.len ? msg_decode(c->in.data, c->in.len, m, &c->used, why, sizeof(why)) : 1;
                if (r < 0) {
                        snprintf(c->error, sizeof(c->error), "the other end broke the protocol: %s", why);
                        return r;
                }
                if (r == 0) {
                        if (m->sequence != ++c->in_seq) {
                                snprintf(c->error, sizeof(c->error),
                                        "the other end broke the protocol: a message is missing");
                                return -EBADMSG;
                        }
                        if (m->flags & FRAME_FLAG_FD)
                                m->fd = TAKE_FD(c->pending_fd);
                        return 0;
                }
                r = receive(c);
                if (r != 0) {
                        if (r < 0)
                                snprintf(c->error, sizeof(c->error), "%s",
                                        r == -ETIMEDOUT ? "no answer in time (--timeout DURATION waits longer; guardianctl status)"
                                                        : strerror(-r));
                        return r;
                }
        }
}

int client_connect_chunk(Client *guardian, const char *unit, Client *ret, int *status) {
        MsgBuilder b;
        Msg m;
        uint64_t req = ++guardian->next_req;
        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_cstr(&b, TAG_VERB, "connect");
        msg_put_cstr(&b, TAG_UNIT, unit);
        int r = client_send(guardian, &b, (Str){NULL, 0});
        while (r == 0) {
                r = client_read(guardian, &m);
                if (r == 0 && m.type == MSG_RESULT && msg_u64(&m, TAG_REQ, 0) == req)
                        break;
        }
        if (r != 0)
                return r > 0 ? -ECONNRESET : r;
        int fd = msg_take_fd(&m);
        *status = (int)msg_u64(&m, TAG_STATUS, 1);
        if (fd < 0) {
                Str text = msg_str(&m, TAG_MESSAGE), code = msg_str(&m, TAG_CODE);
                snprintf(guardian->error, sizeof(guardian->error), "%.*s%s%.*s", (int)code.n, code.p,
                        text.n ? ": " : "", (int)text.n, text.p ? text.p : "");
                if (*status == 0)
                        *status = 1;
                return 1;
        }
        client_init(ret, fd, guardian->deadline_us);
        return 0;
}
