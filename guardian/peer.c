/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/peer.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; Debian 12's headers are older */
#endif
enum { PEER_CHAIN_MAX = 128, PEER_GROUPS_MAX = 64 };

typedef struct Stat {
        pid_t ppid, session;
        unsigned long long start;
} Stat;

static int read_stat(pid_t pid, Stat *ret) {
        char path[40], text[512];
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        ssize_t n = read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return -ESRCH;
        text[n] = 0;
        /* the name may hold anything, blanks and brackets included: fields start after the last ')' */
        const char *p = strrchr(text, ')');
        int ppid, session;
        if (!p || sscanf(p + 1, " %*c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ppid,
                          &session, &ret->start) != 3)
                return -EBADMSG;
        ret->ppid = ppid;
        ret->session = session;
        return 0;
}

/* 1: a descendant of ours, *unit names its unit or is NULL; 0: not one; <0: it vanished or changed meanwhile. */
static int descends(pid_t pid, const PeerLookup *look, const char **unit, bool *login) {
        *unit = NULL;
        pid_t self = getpid();
        Stat first, s;
        int r = read_stat(pid, &first);
        if (r < 0)
                return r;
        s = first;
        pid_t at = pid;
        for (unsigned i = 0; i < PEER_CHAIN_MAX; i++) {
                if (!*unit)
                        *unit = look->unit_of(look->user, at, s.session, login);
                if (s.ppid == self)
                        goto check;
                if (s.ppid <= 0 || at == 1)
                        return 0;
                at = s.ppid;
                r = read_stat(at, &s);
                if (r < 0)
                        return r;
        }
        return -ELOOP;
check:
        r = read_stat(pid, &s);
        if (r < 0)
                return r;
        return s.start == first.start ? 1 : -ESTALE;
}

static unsigned peer_groups(int fd, gid_t gid, gid_t *out) {
        out[0] = gid;
        unsigned n = 1;
#ifdef SO_PEERGROUPS
        gid_t more[PEER_GROUPS_MAX];
        socklen_t len = sizeof(more);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, more, &len) == 0)
                for (unsigned i = 0; i < len / sizeof(gid_t) && n < PEER_GROUPS_MAX; i++)
                        out[n++] = more[i];
#endif
        return n;
}

/* Still the process that connected? With SO_PEERPIDFD the pid can't have been given to another one while it lives. */
static bool peer_alive(int fd) {
        int pidfd = -1;
        socklen_t len = sizeof(pidfd);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0)
                return errno == ENOPROTOOPT; /* an older kernel: the start time, read twice, must do */
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        bool alive = poll(&p, 1, 0) == 0;
        close(pidfd);
        return alive;
}

int peer_identify(int fd, const PeerLookup *look, Peer *ret) {
        struct ucred cred;
        socklen_t len = sizeof(cred);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
                return -errno;
        *ret = (Peer){.kind = PEER_PERSON, .uid = cred.uid, .gid = cred.gid, .pid = cred.pid};
        snprintf(ret->actor, sizeof(ret->actor), "uid:%u", (unsigned)cred.uid);
        if (cred.pid > 0) {
                const char *unit = NULL;
                bool login = false;
                int r = descends(cred.pid, look, &unit, &login);
                if (r < 0 || !peer_alive(fd)) {
                        ret->kind = PEER_UNKNOWN;
                        ret->role = ROLE_OBSERVER;
                        return 0;
                }
                if (r > 0 && !(unit && login)) {
                        ret->kind = unit ? PEER_UNIT : PEER_UNKNOWN;
                        ret->role = ROLE_OBSERVER;
                        snprintf(ret->actor, sizeof(ret->actor), "%s", unit ? unit : "unit:unknown");
                        return 0;
                }
        }
        gid_t gids[PEER_GROUPS_MAX + 1];
        unsigned n = peer_groups(fd, cred.gid, gids);
        ret->role = look->role_of(look->user, cred.uid, gids, n);
        return 0;
}
