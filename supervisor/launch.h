/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Starting a program: a LaunchPlan is plain data, complete before the clone; launch_spawn() applies it and
 * execs. The child runs on shared memory (CLONE_VM|CLONE_VFORK) with every signal blocked: it allocates
 * nothing, calls raw system calls only and reports the failing stage and errno through shared memory, so that
 * the caller learns of a failed exec synchronously.
 *
 * This is the seam of the sandbox: a unit with sandbox keys gets a plan whose executable is guardian-exec (an
 * opened, sealed descriptor), whose extra descriptors carry the sealed plan, and everything below stays as it
 * is. Nothing but launch_spawn() starts a process in this tree.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where a start failed, in the order in which the stages run. */
typedef enum LaunchStage {
        LAUNCH_STAGE_NONE,
        LAUNCH_STAGE_PREPARE, /* in the parent: memory, /dev/null, bad plan */
        LAUNCH_STAGE_CLONE,
        LAUNCH_STAGE_SIGNALS,
        LAUNCH_STAGE_CGROUP,
        LAUNCH_STAGE_SESSION, /* setsid, setpgid, terminal */
        LAUNCH_STAGE_OUTPUT,  /* open of file: or append: */
        LAUNCH_STAGE_DESCRIPTORS,
        LAUNCH_STAGE_NICE,
        LAUNCH_STAGE_LIMITS,
        LAUNCH_STAGE_GROUPS,
        LAUNCH_STAGE_GID,
        LAUNCH_STAGE_UID,
        LAUNCH_STAGE_CWD,
        LAUNCH_STAGE_NO_NEW_PRIVS,
        LAUNCH_STAGE_EXEC,
} LaunchStage;
const char *launch_stage_name(LaunchStage s); /* "exec", for messages */

typedef struct LaunchFd {
        int from; /* ours, stays ours */
        int to;   /* its number in the child, >= 3, distinct */
} LaunchFd;

typedef struct LaunchLimit {
        int resource;        /* RLIMIT_* */
        uint64_t soft, hard; /* UINT64_MAX: infinity */
        bool clamped;        /* set by launch_limits_clamp() */
} LaunchLimit;

typedef enum LaunchSession {
        LAUNCH_SESSION_NEW,   /* setsid(): every unit; drops the controlling terminal */
        LAUNCH_SESSION_GROUP, /* setpgid(0, 0) in our session; tty_fd >= 0: becomes its foreground group
                                 (wrapper) */
        LAUNCH_SESSION_KEEP,
} LaunchSession;

/* A path opened by the child as Guardian, before ids change; never blocks on a FIFO (ENXIO instead), never a
 * terminal. */
typedef struct LaunchFile {
        const char *path; /* NULL: not used */
        bool append;      /* else written from the beginning, not truncated (systemd.exec(5), file:) */
} LaunchFile;

typedef struct LaunchPlan {
        /* Executable: exe_fd >= 0 is execveat(AT_EMPTY_PATH), so what was hashed is what runs (a script,
         * "#!", is -ENOENT then: a hashed program is a binary). Otherwise `path`, which has a '/' in it: see
         * launch_find(). */
        const char *path;
        int exe_fd;
        const char *const *argv; /* NULL terminated, argv[0] included */
        const char *const *envp; /* NULL terminated, complete */
        char *pid_text;          /* NULL, or where the child writes its pid (decimal, >= 12 bytes): inside
                                    "LISTEN_PID=..." */
        const char *cwd;         /* NULL: "/" */
        bool cwd_optional;       /* WorkingDirectory=-PATH: stays in "/" when it is missing */
        bool cwd_keep;           /* the parent's (wrapper) */
        mode_t umask;
        bool umask_set;
        int nice; /* added to nothing: absolute; applied when nice_set */
        bool nice_set;
        int oom_score_adj; /* applied when set; without the right: skipped, LAUNCH_SKIPPED_OOM */
        bool oom_score_adj_set;
        LaunchLimit *limits;
        unsigned n_limits;
        bool set_ids; /* groups, then gid, then uid; no passwd entry is looked at; skipped when
                          all of it is ours already */
        uid_t uid;
        gid_t gid;
        const gid_t *groups; /* supplementary, exactly these */
        unsigned n_groups;
        bool no_new_privs;
        uint64_t ignore_signals; /* bit n - 1: signal n is ignored (IgnoreSIGPIPE), all others default, mask
                                    empty */
        LaunchSession session;
        int tty_fd;          /* -1 */
        int stdio[3];        /* ours; -1: /dev/null */
        LaunchFile files[3]; /* instead of stdio[i] for i = 1, 2; [2].path == [1].path: one open for both */
        const LaunchFd *fds; /* besides 0 to 2; everything else is closed */
        unsigned n_fds;
        int cgroup_fd;       /* -1, or the directory of the unit's cgroup: the process is born in it */
        bool cgroup_move;    /* it enters instead, before exec: dearer */
} LaunchPlan;

/* Every descriptor -1, session NEW, nothing set. */
void launch_plan_init(LaunchPlan *p);

#define LAUNCH_SKIPPED_OOM (1U << 0)

typedef struct LaunchResult {
        pid_t pid;         /* > 0 on success; nobody else must wait for it before reap_add() */
        LaunchStage stage; /* of the failure */
        int error;         /* negative errno of the failure, 0 */
        unsigned skipped;  /* LAUNCH_SKIPPED_* */
} LaunchResult;

/*
 * 0: the program runs (exec succeeded). Negative errno: nothing runs, nothing is left to reap, r says at
 * which stage. Blocks for the vfork only. SIGCHLD of a child whose exec failed is consumed here and seen as a
 * spurious wake-up.
 */
int launch_spawn(const LaunchPlan *p, LaunchResult *r);

/* Exit status of shells for a failed start: 127 not found, 126 anything else at exec, 125 before exec. */
int launch_exit_status(const LaunchResult *r);

/* Lowers limits that lie above the hard limit we may set (setrlimit(2), CAP_SYS_RESOURCE); returns how many
 * were. */
unsigned launch_limits_clamp(LaunchLimit *limits, unsigned n);

/*
 * Finds an executable as execvp(3) would: a name with '/' is taken as it is, else each directory of `search`
 * (NULL: the default "/usr/local/sbin:...:/bin"). out gets the path. 0; -ENOENT (127); -EACCES (126: found,
 * not an executable regular file); -ENAMETOOLONG.
 */
int launch_find(const char *name, const char *search, char *out, size_t cap);

/* Opened executable and its identity, for hashing, execveat and the evidence after exec. */
typedef struct LaunchExe {
        int fd; /* O_RDONLY|O_CLOEXEC, owned; launch_exe_close() */
        dev_t dev;
        ino_t ino;
} LaunchExe;
int launch_exe_open(const char *path, LaunchExe *ret); /* -EACCES unless a regular file with an x bit */
void launch_exe_close(LaunchExe *e);
