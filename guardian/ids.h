/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Users and groups from /etc/passwd and /etc/group alone: a name service could block PID 1. Numbers need no entry.
 */
#include <sys/types.h>

/* *gid and home get the entry's (gid_t)-1 and "" for a number without an entry. -ENOENT: unknown name. */
int ids_user(const char *name, uid_t *uid, gid_t *gid);
int ids_group(const char *name, gid_t *gid);
/* Groups that list `user` as a member, plus `gid`; at most cap. Returns how many. */
unsigned ids_groups_of(const char *user, gid_t gid, gid_t *out, unsigned cap);
