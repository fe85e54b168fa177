/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who is at the other end of the control socket. A process that descends from Guardian is the actor
 * unit:NAME whatever its uid, unless its unit has GrantsLogin=yes; pid 0 (outside our pid namespace) is not a
 * descendant; a pid that is gone or changed while we looked is an observer.
 */
#include "common/vocab.h"
#include <sys/types.h>

typedef enum PeerKind { PEER_PERSON, PEER_UNIT, PEER_UNKNOWN } PeerKind;
typedef struct Peer {
        PeerKind kind;
        uint64_t uid, gid;
        pid_t pid;       /* 0: outside our pid namespace */
        char actor[160]; /* "uid:1000" or the unit's name */
        Role role;
} Peer;

typedef struct PeerLookup {
        /* Name of the unit that owns a process, by its pid or its session; NULL when none. *login:
         * GrantsLogin=yes. */
        const char *(*unit_of)(void *user, pid_t pid, pid_t session, bool *login);
        Role (*role_of)(void *user, uint64_t uid, const gid_t *gids, unsigned n_gids);
        void *user;
} PeerLookup;

/* fd: a connected AF_UNIX socket. 0, or -errno when the kernel tells nothing. */
int peer_identify(int fd, const PeerLookup *look, Peer *ret);
