/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Users and groups from /etc/passwd and /etc/group alone: a name service could wait for ever. Numbers need no
 * entry. Any thread may call these; a disk that hangs makes it wait, so Guardian calls them off the loop. No
 * stdio.
 */
#include <sys/types.h>

/* *gid: the entry's, (gid_t)-1 for a number without an entry. -ENOENT: unknown name; -ENOMEM, -EFBIG, -EIO..
 * of the file. */
int ids_user(const char *name, uid_t *uid, gid_t *gid);
int ids_group(const char *name, gid_t *gid);
/* Groups that list `user` as a member, plus `gid`; at most cap. Returns how many, or negative errno. */
int ids_groups_of(const char *user, gid_t gid, gid_t *out, unsigned cap);
