/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between group.c, group-cgroup.c and group-session.c only. */
#include "supervisor/group.h"
#include <errno.h>

typedef struct MemberList {
        GroupMember *items; /* owned */
        size_t n, cap;
} MemberList;
int member_add(MemberList *l, pid_t pid, uint64_t start); /* -ENOMEM */
/* A child that we started and have not reaped: its number can't become somebody else's behind our back. */
bool group_is_ours(const Group *g, pid_t pid);

int cgroup_write(int dir_fd, const char *file, const char *value);
int cgroup_read(
        int dir_fd, const char *file, char *buf, size_t cap); /* bytes read, terminated; or negative errno */
int cgroup_root_init(GroupRoot *r);                           /* on failure r->why says so */
void cgroup_root_done(GroupRoot *r);
int cgroup_group_init(Group *g);
void cgroup_group_done(Group *g);
bool cgroup_group_has(const Group *g, pid_t pid);
bool cgroup_group_empty(const Group *g);
int cgroup_group_members(const Group *g, MemberList *list);
int cgroup_group_kill(const Group *g);

bool session_has_children_files(void);
/* An error of procinfo that leaves open what a process is, rather than saying that it is no member. */
static inline bool group_cannot_tell(int r) {
        return r == -ENODATA || r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}
typedef enum Belongs { BELONGS_NOT, BELONGS, BELONGS_PERHAPS } Belongs;
/* By its environment; PERHAPS: it has none at this moment. */
Belongs session_names_unit(const Group *g, pid_t pid);
/* Members alive; learns and forgets sessions. sure = false: there may be others, who can't be told yet. */
int session_collect(Group *g, MemberList *list, bool *sure);
