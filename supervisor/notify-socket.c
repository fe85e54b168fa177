/* SPDX-License-Identifier: Apache-2.0 */
/* The socket behind sd_notify: shell of notify.c. */
#include "common/cleanup.h"
#include "supervisor/notify.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define NOTIFY_FDS_MAX   16
#define NOTIFY_BATCH_MAX 64 /* datagrams a wake-up, so that one unit can't hold the loop */

struct NotifySocket {
        uv_poll_t poll;
        const NotifyOps *ops;
        void *user;
        int fd;
        int dir_fd;     /* own duplicate, -1 when abstract */
        char file[160]; /* in dir_fd */
        char address[256];
        uint64_t refused;
        bool open, in_read, freed;
};

static bool dir_lets_in(int dir_fd, uid_t uid) {
        struct stat st;

        if (uid == geteuid() || uid == 0)
                return true;
        if (fstat(dir_fd, &st) < 0)
                return false;
        return (st.st_mode & S_IXOTH) != 0 || (st.st_uid == uid && (st.st_mode & S_IXUSR) != 0);
}

static int bind_abstract(NotifySocket *s, const char *unit) {
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        uint8_t random[8];
        int n;

        /* Not guessable, so that nobody else can hold the name first. */
        if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
                return -EAGAIN;
        n = snprintf(s->address, sizeof(s->address), "@guardian-");
        for (size_t i = 0; i < sizeof(random); i++)
                n += snprintf(s->address + n, sizeof(s->address) - (size_t)n, "%02x", random[i]);
        snprintf(s->address + n, sizeof(s->address) - (size_t)n, "/%.64s", unit);
        n = (int)strlen(s->address);
        if ((size_t)n > sizeof(sa.sun_path))
                return -ENAMETOOLONG;
        memcpy(sa.sun_path + 1, s->address + 1, (size_t)n - 1);
        if (bind(s->fd, (struct sockaddr *)&sa,
                    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)) < 0)
                return -errno;
        return 0;
}

static int bind_path(NotifySocket *s, int dir_fd, const char *dir_path, const char *unit) {
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        size_t n;

        snprintf(s->file, sizeof(s->file), "%s.sock", unit);
        n = (size_t)snprintf(s->address, sizeof(s->address), "%s/%s", dir_path, s->file);
        if (n >= sizeof(sa.sun_path))
                return -ENAMETOOLONG; /* the unit's library could not connect to it */
        if ((size_t)snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%s", dir_fd, s->file) >=
                sizeof(sa.sun_path))
                return -ENAMETOOLONG;
        unlinkat(dir_fd, s->file, 0);
        if (bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
                return -errno;
        /* Anyone who can reach it may write; who is heard is decided by the credentials. */
        if (fchmodat(dir_fd, s->file, 0666, 0) < 0)
                return -errno;
        s->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
        return s->dir_fd < 0 ? -errno : 0;
}

static int notify_bind(NotifySocket *s, int dir_fd, const char *dir_path, const char *unit, uid_t uid) {
        if (dir_fd >= 0 && dir_path && dir_lets_in(dir_fd, uid)) {
                int r = bind_path(s, dir_fd, dir_path, unit);

                if (r != -ENAMETOOLONG)
                        return r;
        }
        return bind_abstract(s, unit);
}

/* Credentials and descriptors of one datagram; every descriptor is in fds, whatever else is wrong with it. */
static bool read_control(struct msghdr *mh, struct ucred *cred, int *fds, unsigned *n_fds) {
        bool have = false;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
                if (c->cmsg_level != SOL_SOCKET)
                        continue;
                if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len >= CMSG_LEN(sizeof(*cred))) {
                        memcpy(cred, CMSG_DATA(c), sizeof(*cred));
                        have = true;
                } else if (c->cmsg_type == SCM_RIGHTS) {
                        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                        for (size_t i = 0; i < n; i++) {
                                int fd;

                                memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
                                if (*n_fds < NOTIFY_FDS_MAX)
                                        fds[(*n_fds)++] = fd;
                                else
                                        close(fd);
                        }
                }
        }
        return have;
}

/* One datagram. 0: there was none. */
static int notify_read_one(NotifySocket *s) {
        char buf[4097];
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * 253)];
        } control;
        struct iovec io = {buf, sizeof(buf)};
        struct msghdr mh = {
                .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        struct ucred cred = {0};
        int fds[NOTIFY_FDS_MAX];
        unsigned n_fds = 0;
        NotifyMessage m;
        ssize_t n = recvmsg(s->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        bool good;

        if (n < 0)
                return errno == EINTR ? 1 : 0;
        good = read_control(&mh, &cred, fds, &n_fds);
        good = good && !(mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
               s->ops->allowed(s->user, cred.pid, cred.uid) && notify_parse((Str){buf, (size_t)n}, &m) == 0;
        if (good)
                s->ops->on_message(s->user, cred.pid, &m, fds, n_fds);
        else
                s->refused++;
        for (unsigned i = 0; i < n_fds; i++)
                if (fds[i] >= 0)
                        close(fds[i]);
        return 1;
}

static void notify_closed(uv_handle_t *h) {
        NotifySocket *s = h->data;

        free(s);
}

static void notify_close(NotifySocket *s) {
        uv_poll_stop(&s->poll);
        close(s->fd);
        s->fd = -1;
        uv_close((uv_handle_t *)&s->poll, notify_closed);
}

/* A callback may free the socket: it stays in memory until the reading is over. */
static void notify_read(NotifySocket *s, unsigned max) {
        if (s->in_read)
                return;
        s->in_read = true;
        while (max-- > 0 && !s->freed && notify_read_one(s) > 0)
                ;
        s->in_read = false;
        if (s->freed)
                notify_close(s);
}

static void notify_readable(uv_poll_t *poll, int status, int events) {
        (void)events;
        if (status == 0)
                notify_read(poll->data, NOTIFY_BATCH_MAX);
}

void notify_socket_drain(NotifySocket *s) {
        notify_read(s, UINT32_MAX);
}

int notify_socket_new(uv_loop_t *loop, int dir_fd, const char *dir_path, const char *unit, uid_t uid,
        const NotifyOps *ops, void *user, NotifySocket **ret) {
        NotifySocket *s = calloc(1, sizeof(*s));
        int r, one = 1;

        if (!s)
                return -ENOMEM;
        s->ops = ops;
        s->user = user;
        s->dir_fd = -1;
        s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (s->fd < 0) {
                r = -errno;
                free(s);
                return r;
        }
        r = setsockopt(s->fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ? -errno : 0;
        if (r == 0)
                r = notify_bind(s, dir_fd, dir_path, unit, uid);
        if (r == 0)
                r = uv_poll_init(loop, &s->poll, s->fd);
        if (r < 0) {
                if (s->dir_fd >= 0) {
                        unlinkat(s->dir_fd, s->file, 0);
                        close(s->dir_fd);
                }
                close(s->fd);
                free(s);
                return r;
        }
        s->poll.data = s;
        uv_poll_start(&s->poll, UV_READABLE, notify_readable);
        *ret = s;
        return 0;
}

const char *notify_socket_address(const NotifySocket *s) {
        return s->address;
}

uint64_t notify_socket_refused(const NotifySocket *s) {
        return s->refused;
}

void notify_socket_free(NotifySocket *s) {
        if (!s || s->freed)
                return;
        s->freed = true;
        if (s->dir_fd >= 0) {
                unlinkat(s->dir_fd, s->file, 0);
                close(s->dir_fd);
                s->dir_fd = -1;
        }
        if (!s->in_read)
                notify_close(s);
}
