/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sd_notify(3): one datagram socket a unit, sender taken from SCM_CREDENTIALS. The parser is pure; the socket
 * is a shell (uv_poll). Who may speak is NotifyAccess: the main process, the unit's control commands too, or
 * any member of its group.
 */
#include "common/str.h"
#include "supervisor/group.h"
#include "supervisor/notify-access.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

typedef struct NotifyMessage {
        bool ready, reloading, stopping, watchdog, watchdog_trigger;
        bool fdstore, fdstore_remove, barrier;
        bool has_status, has_error, has_mainpid, has_extend, has_watchdog_usec, has_exit_status;
        char status[256]; /* control characters replaced, cut at a UTF-8 boundary */
        char fdname[256];
        int error; /* ERRNO=, positive */
        int exit_status;
        pid_t mainpid;
        uint64_t extend_us;   /* EXTEND_TIMEOUT_USEC= */
        uint64_t watchdog_us; /* WATCHDOG_USEC= */
        unsigned unknown;     /* assignments not known here */
        unsigned bad;         /* known ones with a bad value: ignored one by one */
} NotifyMessage;
/* Newline separated assignments, at most 4 KiB. 0; -EINVAL: NUL inside, no assignment at all, too long. */
int notify_parse(Str datagram, NotifyMessage *ret);

/* Pure: may this sender speak? exec: control processes (ExecStartPre and the like) running now. member: it is
 * in the group. */
bool notify_allowed(
        NotifyAccess access, pid_t sender, pid_t main, const pid_t *exec, unsigned n_exec, bool member);

typedef struct NotifySocket NotifySocket;
typedef struct NotifyOps {
        /* Whether sender may speak; asked before the message is looked at. */
        bool (*allowed)(void *user, pid_t sender, uid_t uid);
        /* fds: received with it; take one by setting it to -1, the rest is closed. */
        void (*on_message)(void *user, pid_t sender, const NotifyMessage *m, int *fds, unsigned n_fds);
} NotifyOps;

/*
 * dir_fd, dir_path: the runtime directory's notify/ folder, or -1 and NULL: an abstract address. Also
 * abstract when the path does not fit in sun_path or when `uid` (the unit's, not ours) could not enter the
 * directory. Bound through the descriptor.
 */
int notify_socket_new(uv_loop_t *loop, int dir_fd, const char *dir_path, const char *unit, uid_t uid,
        const NotifyOps *ops, void *user, NotifySocket **ret);
const char *notify_socket_address(
        const NotifySocket *s); /* value of NOTIFY_SOCKET; '@' first when abstract */
uint64_t notify_socket_refused(
        const NotifySocket *s); /* datagrams of senders that may not, or that did not parse */
/* Reads what lies in the socket now: before judging an ended process. */
void notify_socket_drain(NotifySocket *s);
void notify_socket_free(NotifySocket *s); /* unlinks */
