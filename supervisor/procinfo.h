/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Facts about a process from /proc (proc(5)): bounded reads, one open each, no allocation unless said. A
 * process that vanished is -ESRCH, whatever /proc answered; what the kernel refuses to show is -EACCES or
 * -EPERM. pid 0 means ourselves.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct ProcStat {
        pid_t pid, ppid, pgrp, session;
        char state;     /* 'R' 'S' 'D' 'Z' ... */
        uint64_t start; /* clock ticks since boot: with the pid, the identity of an incarnation */
        unsigned threads;
        uint64_t vsize; /* bytes; 0: it gave its memory back, on its way out */
        /* where its environment is; 0: hidden from us, not there yet (exec), or gone */
        uint64_t env_start, env_end;
        char comm[64];
        uint64_t tag; /* free for the owner of a ProcTable */
} ProcStat;
int proc_stat(pid_t pid, ProcStat *ret);
/* Pure: one line of /proc/PID/stat; the name may hold blanks and parentheses. -EINVAL. */
int proc_stat_parse(const char *line, ProcStat *ret);
/* Nothing of it runs any more. A zombie whose other threads go on (its first one called pthread_exit) is
 * alive. */
bool proc_ended(const ProcStat *s);
/* Still the incarnation that started at `start`, and not ended. */
bool proc_alive(pid_t pid, uint64_t start);

int proc_rss(pid_t pid, uint64_t *bytes); /* resident set, /proc/PID/statm */

#define PROC_GROUPS_MAX 64
typedef struct ProcStatus {
        uid_t uid[4]; /* real, effective, saved, file system */
        gid_t gid[4];
        gid_t groups[PROC_GROUPS_MAX];
        unsigned n_groups;   /* what fits */
        bool groups_cut;     /* there are more */
        int no_new_privs;    /* -1: the kernel does not say */
        int seccomp;         /* mode; -1 likewise */
        int seccomp_filters; /* -1 likewise */
        uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
        bool caps_known;
} ProcStatus;
int proc_status(pid_t pid, ProcStatus *ret);
int proc_status_parse(
        const char *text, size_t n, ProcStatus *ret); /* pure; -EINVAL without Uid and Gid lines */

int proc_exe(pid_t pid, dev_t *dev, ino_t *ino); /* of the running program, even when its file is deleted */
/* Open descriptors, ascending; *n is what fits in cap, *total how many there are. */
int proc_fds(pid_t pid, int *fds, size_t cap, size_t *n, size_t *total);
int proc_cgroup(pid_t pid, char *path, size_t cap); /* the "0::" line; -ENOENT without cgroup v2 */
int proc_limit(
        pid_t pid, int resource, uint64_t *soft, uint64_t *hard); /* prlimit(2), UINT64_MAX: infinity */
/* Value of a variable in the environment at exec (looked for in its first 128 KiB). -ENOENT: not there;
 * -ENAMETOOLONG; -ENODATA: the process lives and has no environment at this moment: in the middle of an exec,
 * or on its way out after it gave its memory back. One that took away the pages itself has an empty one. */
int proc_environ_get(pid_t pid, const char *name, char *value, size_t cap);

/* All processes at one moment (as far as /proc can say so), ascending by pid. */
typedef struct ProcTable {
        ProcStat *items; /* owned, proc_table_done() */
        size_t n, cap;
} ProcTable;
int proc_table_read(ProcTable *t); /* reuses its memory; -ENOMEM, errno of opendir */
const ProcStat *proc_table_find(const ProcTable *t, pid_t pid);
void proc_table_done(ProcTable *t);
