/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a connection. `poll` watches the descriptor; `wake` is an idle handle that runs once at the start
 * of the next loop turn and stops itself: it flushes what this turn queued, hands over frames that a pause
 * held back, and calls on_drain. An idle handle and not a prepare one, because a prepare handle started while
 * prepare handles run would miss the turn and the loop would sleep on unsent bytes. Nothing is armed while
 * there is nothing to do, so an idle connection costs no wake-up.
 *
 * Callbacks run from `poll` and `wake` only, never inside conn_send(). Each may close or free the connection:
 * memory goes in a close callback of libuv, which never runs inside another callback, so `closed` can be
 * looked at afterwards.
 *
 * Descriptors. A descriptor rides on the first byte of its frame; sendmsg(2) is cut so that one call carries
 * one. The kernel never merges two such segments into one recvmsg(2), so a received descriptor belongs to a
 * frame that begins in the bytes received with it, or to nothing: what is left over when all whole frames
 * were handed out is a fault of the peer.
 */
#include "common/conn.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
        READ_SIZE = 64 * 1024,
        FLUSH_SIZE = 64 * 1024,
        EGRESS_MAX = 4 * 1024 * 1024,
        EGRESS_RESERVE = 256 * 1024, /* for the control lane, past EGRESS_MAX */
        BACKLOG_HIGH = 1024 * 1024,
        BACKLOG_LOW = 256 * 1024,
        FDS_IN_MAX = 16,
        FDS_OUT_MAX = 32,
        KEEP_MAX = 16 * 1024, /* memory that an empty egress buffer may keep */
};

typedef struct FdOut {
        uint64_t at; /* stream offset of the first byte of its frame */
        int fd;
} FdOut;

struct ConnPriv {
        Conn conn; /* first and the address that callers hold */
        uv_poll_t poll;
        uv_idle_t wake;
        uv_timer_t linger;
        unsigned handles; /* not yet closed by libuv */
        bool closed, freed, paused, lingering, dispatching;
        bool write_dead; /* the peer takes no more; what it still sent is read first */
        bool blocked;    /* the kernel took no more: wait for writable */
        bool want_drain;
        int armed; /* events that poll watches, 0: stopped */

        Buf in;
        uint64_t in_offset; /* stream offset of in.data[0] */
        uint64_t received;
        int fds_in[FDS_IN_MAX];
        unsigned n_fds_in;

        Buf out;
        size_t out_at;     /* bytes of out that are sent already */
        uint64_t sent;     /* bytes */
        uint64_t sequence; /* of the last frame queued */
        FdOut fds_out[FDS_OUT_MAX];
        unsigned n_fds_out;
};

static void on_poll(uv_poll_t *h, int status, int events);

static size_t backlog(const struct ConnPriv *p) {
        return p->out.len - p->out_at;
}

/* ---- end */
static void release(struct ConnPriv *p) {
        buf_done(&p->in);
        buf_done(&p->out);
        if (p->freed)
                free(p);
}

static void on_closed(uv_handle_t *h) {
        struct ConnPriv *p = h->data;

        if (--p->handles == 0)
                release(p);
}

static void drop_egress(struct ConnPriv *p) {
        for (unsigned i = 0; i < p->n_fds_out; i++)
                close(p->fds_out[i].fd);
        p->n_fds_out = 0;
        p->out.len = p->out_at = 0;
        p->blocked = false;
}

void conn_close(Conn *c) {
        struct ConnPriv *p = c->priv;

        if (p->closed)
                return;
        p->closed = true;
        drop_egress(p);
        for (unsigned i = 0; i < p->n_fds_in; i++)
                close(p->fds_in[i]);
        p->n_fds_in = 0;
        /* libuv stops watching in uv_close(), so the number may be reused at once */
        uv_close((uv_handle_t *)&p->poll, on_closed);
        uv_close((uv_handle_t *)&p->wake, on_closed);
        uv_close((uv_handle_t *)&p->linger, on_closed);
        close(c->fd);
        c->fd = -1;
}

Conn *conn_free(Conn *c) {
        struct ConnPriv *p;

        if (!c)
                return NULL;
        p = c->priv;
        p->freed = true;
        if (!p->lingering)
                conn_close(c);
        if (p->handles == 0)
                release(p);
        return NULL;
}

static void end(struct ConnPriv *p, int error, const char *reason) {
        conn_close(&p->conn);
        if (!p->lingering)
                p->conn.ops->on_end(&p->conn, error, reason, p->conn.user);
}

/* ---- watching */
static void rearm(struct ConnPriv *p) {
        int want;

        if (p->closed)
                return;
        want = (p->paused || p->lingering ? 0 : UV_READABLE) | (p->blocked ? UV_WRITABLE : 0);
        if (want == p->armed)
                return;
        p->armed = want;
        if (want == 0)
                uv_poll_stop(&p->poll);
        else if (uv_poll_start(&p->poll, want, on_poll) < 0)
                p->armed = 0;
}

static void on_wake(uv_idle_t *h);
static void wake_soon(struct ConnPriv *p) {
        if (!p->closed)
                uv_idle_start(&p->wake, on_wake);
}

/* ---- sending */
static ssize_t send_piece(struct ConnPriv *p) {
        union {
                struct cmsghdr head;
                char room[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec iov = {p->out.data + p->out_at, backlog(p)};
        struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
        bool with_fd = p->n_fds_out > 0 && p->fds_out[0].at == p->sent;
        unsigned next = with_fd ? 1 : 0;
        ssize_t n;

        if (next < p->n_fds_out)
                iov.iov_len = p->fds_out[next].at - p->sent;
        if (with_fd) {
                mh.msg_control = control.room;
                mh.msg_controllen = sizeof(control.room);
                control.head.cmsg_level = SOL_SOCKET;
                control.head.cmsg_type = SCM_RIGHTS;
                control.head.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.head), &p->fds_out[0].fd, sizeof(int));
        }
        do
                n = sendmsg(p->conn.fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n > 0 && with_fd) {
                close(p->fds_out[0].fd);
                memmove(p->fds_out, p->fds_out + 1, --p->n_fds_out * sizeof(p->fds_out[0]));
        }
        return n;
}

void conn_flush(Conn *c) {
        struct ConnPriv *p = c->priv;

        if (p->closed || p->write_dead)
                return;
        p->blocked = false;
        while (backlog(p) > 0) {
                ssize_t n = send_piece(p);

                if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
                        p->blocked = true;
                        break;
                }
                if (n < 0) {
                        p->write_dead = true;
                        drop_egress(p);
                        break;
                }
                p->out_at += (size_t)n;
                p->sent += (uint64_t)n;
        }
        if (backlog(p) == 0) {
                p->out.len = p->out_at = 0;
                if (p->out.cap > KEEP_MAX)
                        buf_shrink(&p->out);
        }
        if (p->want_drain && backlog(p) < BACKLOG_LOW)
                wake_soon(p);
        rearm(p);
}

static int reserve_fd(struct ConnPriv *p, int fd, int *ret) {
        if (p->n_fds_out == FDS_OUT_MAX)
                conn_flush(&p->conn);
        if (p->n_fds_out == FDS_OUT_MAX)
                return -ENOBUFS;
        *ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return *ret < 0 ? -errno : 0;
}

int conn_send(Conn *c, const MsgBuilder *b, Str payload, int fd) {
        struct ConnPriv *p = c->priv;
        size_t limit = EGRESS_MAX + (b->lane == LANE_CONTROL ? EGRESS_RESERVE : 0);
        auto_close int copy = -1;
        uint64_t at;
        int r;

        if (p->closed || p->write_dead || p->lingering)
                return -EPIPE;
        if (backlog(p) + FRAME_PREFIX + b->len + payload.n > limit) {
                p->want_drain = true;
                return -ENOBUFS;
        }
        if (fd >= 0) {
                r = reserve_fd(p, fd, &copy);
                if (r < 0) {
                        p->want_drain |= r == -ENOBUFS;
                        return r;
                }
                if (p->write_dead)
                        return -EPIPE;
        }
        if (p->out_at > 0 && p->out.len + FRAME_PREFIX + b->len + payload.n > p->out.cap) {
                buf_consume(&p->out, p->out_at);
                p->out_at = 0;
        }
        at = p->sent + backlog(p);
        r = msg_encode(b, payload, (uint32_t)(p->sequence + 1), fd >= 0, &p->out);
        if (r < 0)
                return r;
        p->sequence++;
        if (fd >= 0)
                p->fds_out[p->n_fds_out++] = (FdOut){.at = at, .fd = TAKE_FD(copy)};
        if (backlog(p) > BACKLOG_HIGH)
                p->want_drain = true;
        if (!p->blocked) {
                if (backlog(p) >= FLUSH_SIZE)
                        conn_flush(c);
                else
                        wake_soon(p);
        }
        return p->write_dead ? -EPIPE : 0;
}

size_t conn_backlog(const Conn *c) {
        return backlog(c->priv);
}

static void drained(struct ConnPriv *p) {
        /* also when the peer takes no more: who paused until then reads on and finds the end */
        if (p->closed || p->lingering || !p->want_drain || backlog(p) >= BACKLOG_LOW)
                return;
        p->want_drain = false;
        if (p->conn.ops->on_drain)
                p->conn.ops->on_drain(&p->conn, p->conn.user);
}

/* ---- receiving */
static void malformed(struct ConnPriv *p, size_t at, const char *why) {
        char reason[256];

        snprintf(reason, sizeof(reason), "malformed frame at offset %" PRIu64 ": %s", p->in_offset + at, why);
        end(p, -EBADMSG, reason);
}

static int take_received_fd(struct ConnPriv *p) {
        int fd;

        if (p->n_fds_in == 0)
                return -1;
        fd = p->fds_in[0];
        memmove(p->fds_in, p->fds_in + 1, --p->n_fds_in * sizeof(p->fds_in[0]));
        return fd;
}

/* One whole frame at `at`: 0 with *used, 1 when there is none yet, -EBADMSG when the connection has ended. */
static int dispatch_one(struct ConnPriv *p, size_t at, size_t *used) {
        char why[160];
        Msg m;
        int r = msg_decode(p->in.data + at, p->in.len - at, &m, used, why, sizeof(why));

        if (r > 0)
                return r;
        if (r == 0 && m.sequence != (uint32_t)(p->received + 1)) {
                snprintf(why, sizeof(why), "sequence %" PRIu32 " where %" PRIu32 " was due", m.sequence,
                        (uint32_t)(p->received + 1));
                r = -EBADMSG;
        }
        if (r == 0 && m.flags & FRAME_FLAG_FD) {
                m.fd = take_received_fd(p);
                if (m.fd < 0) {
                        snprintf(why, sizeof(why), "its descriptor is missing");
                        r = -EBADMSG;
                }
        }
        if (r < 0) {
                malformed(p, at, why);
                return r;
        }
        p->received++;
        p->conn.ops->on_msg(&p->conn, &m, p->conn.user);
        if (m.fd >= 0)
                close(m.fd);
        return 0;
}

/* At most one descriptor may wait: that of the frame which has begun and is not whole yet. */
static bool surplus_fd(const struct ConnPriv *p, size_t at) {
        size_t left = p->in.len - at;

        if (p->n_fds_in == 0)
                return false;
        return p->n_fds_in > 1 || left == 0 || (left > 6 && !(p->in.data[at + 6] & FRAME_FLAG_FD));
}

static void dispatch(struct ConnPriv *p) {
        size_t at = 0;

        p->dispatching = true;
        while (!p->closed && !p->paused && !p->lingering) {
                size_t used = 0;
                int r = dispatch_one(p, at, &used);

                if (r == 1 && surplus_fd(p, at))
                        malformed(p, at, "a descriptor without a frame that takes it");
                if (r != 0)
                        break;
                at += used;
        }
        p->dispatching = false;
        if (p->closed)
                return;
        p->in_offset += at;
        buf_consume(&p->in, at);
        buf_shrink(&p->in);
}

/* Takes the descriptors out of a control message. False when there were more than a peer may send. */
static bool collect_fds(struct ConnPriv *p, struct msghdr *mh) {
        bool good = !(mh->msg_flags & MSG_CTRUNC);

        for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
                size_t n;

                if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
                        if (p->n_fds_in < FDS_IN_MAX)
                                p->fds_in[p->n_fds_in++] = fd;
                        else {
                                close(fd);
                                good = false;
                        }
                }
        }
        return good;
}

static void stream_end(struct ConnPriv *p, int error) {
        /* reset: the peer closed without having read everything; what it said itself was read before */
        if (error)
                end(p, error == -ECONNRESET ? 0 : error, strerror(-error));
        else if (p->in.len > 0)
                malformed(p, p->in.len, "end of file inside a frame");
        else
                end(p, 0, "end of file");
}

static void receive(struct ConnPriv *p) {
        union {
                struct cmsghdr head;
                char room[CMSG_SPACE(sizeof(int) * 8)];
        } control;
        struct iovec iov;
        struct msghdr mh = {.msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.room,
                .msg_controllen = sizeof(control.room)};
        ssize_t n;
        int r = buf_reserve(&p->in, READ_SIZE);

        if (r < 0) {
                end(p, r, "out of memory");
                return;
        }
        iov = (struct iovec){p->in.data + p->in.len, READ_SIZE};
        do
                n = recvmsg(p->conn.fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0) {
                stream_end(p, n < 0 ? -errno : 0);
                return;
        }
        p->in.len += (size_t)n;
        if (!collect_fds(p, &mh)) {
                malformed(p, p->in.len, "descriptors cut off: too many, or no room in this process");
                return;
        }
        dispatch(p);
}

/* ---- callbacks of libuv */
static void linger_step(struct ConnPriv *p) {
        if (p->lingering && !p->closed && (backlog(p) == 0 || p->write_dead))
                conn_close(&p->conn);
}

static void on_poll(uv_poll_t *h, int status, int events) {
        struct ConnPriv *p = h->data;

        if (status < 0) {
                /* libuv has stopped the handle: a pending socket error. recvmsg() hands out what was sent
                 * before it first. */
                p->armed = 0;
                if (p->paused || p->lingering) {
                        p->write_dead = true;
                        drop_egress(p);
                        wake_soon(p);
                }
                events = p->paused || p->lingering ? 0 : UV_READABLE;
        }
        if (events & UV_WRITABLE) {
                conn_flush(&p->conn);
                drained(p);
        }
        if (!p->closed && !p->paused && !p->lingering && events & UV_READABLE)
                receive(p);
        linger_step(p);
        rearm(p);
}

static void on_wake(uv_idle_t *h) {
        struct ConnPriv *p = h->data;

        if (!p->blocked)
                conn_flush(&p->conn);
        /* after the flush, which asks for a wake-up to report the drain: this is it */
        uv_idle_stop(h);
        drained(p);
        if (!p->closed && !p->paused && !p->lingering && p->in.len > 0)
                dispatch(p);
        linger_step(p);
        rearm(p);
}

static void on_linger(uv_timer_t *h) {
        conn_close(&((struct ConnPriv *)h->data)->conn);
}

/* ---- the rest of the interface */
int conn_new(uv_loop_t *loop, int fd, const char *peer, const ConnOps *ops, void *user, Conn **ret) {
        struct ConnPriv *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
                r = -errno;
                free(p);
                return r;
        }
        /* sets O_NONBLOCK; fails without having entered the handle into the loop */
        r = uv_poll_init(loop, &p->poll, fd);
        if (r < 0) {
                free(p);
                return r;
        }
        uv_idle_init(loop, &p->wake);
        uv_timer_init(loop, &p->linger);
        p->handles = 3;
        p->poll.data = p->wake.data = p->linger.data = p;
        p->in = BUF_INIT(4 + FRAME_MAX + READ_SIZE);
        /* twice: the front may be sent already and is moved away only when room is short */
        p->out = BUF_INIT(2 * EGRESS_MAX + EGRESS_RESERVE + FRAME_MAX);
        p->conn = (Conn){.loop = loop, .ops = ops, .user = user, .fd = fd, .priv = p};
        str_copy(p->conn.peer, sizeof(p->conn.peer), str_of(peer));
        rearm(p);
        *ret = &p->conn;
        return 0;
}

void conn_pause(Conn *c, bool paused) {
        struct ConnPriv *p = c->priv;

        if (p->closed || p->paused == paused)
                return;
        p->paused = paused;
        if (!paused && p->in.len > 0 && !p->dispatching)
                wake_soon(p);
        rearm(p);
}

void conn_close_after_flush(Conn *c, unsigned ms) {
        struct ConnPriv *p = c->priv;

        if (p->closed || p->lingering)
                return;
        conn_flush(c);
        if (backlog(p) == 0) {
                conn_close(c);
                return;
        }
        p->lingering = true;
        rearm(p);
        uv_timer_start(&p->linger, on_linger, ms, 0);
}

uint64_t conn_received(const Conn *c) {
        return c->priv->received;
}
