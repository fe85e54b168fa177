/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a unit file says (guardian.chunk.5), as plain data. Everything a UnitConfig points to lives in
 * its own arena and dies with unit_config_free(); after loading it is only read. Durations are microseconds,
 * UINT64_MAX is "infinity".
 */
#include "common/str.h"
#include "common/vocab.h"
#include "guardian/probe.h"
#include "supervisor/notify-access.h"
#include <sched.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { UNIT_PRIORITY_DEFAULT = 3000, START_RETRIES_CORE = 3, UNIT_LIMITS_MAX = 16 };

typedef enum ServiceType {
        SERVICE_EXEC,
        SERVICE_SIMPLE,
        SERVICE_NOTIFY,
        SERVICE_ONESHOT,
        SERVICE_CHUNK
} ServiceType;
typedef enum RestartPolicy {
        RESTART_POLICY_NO,
        RESTART_POLICY_ON_SUCCESS,
        RESTART_POLICY_ON_FAILURE,
        RESTART_POLICY_ON_ABNORMAL,
        RESTART_POLICY_ON_WATCHDOG,
        RESTART_POLICY_ON_ABORT,
        RESTART_POLICY_ALWAYS
} RestartPolicy;
typedef enum KillMode { KILL_CONTROL_GROUP, KILL_MIXED, KILL_PROCESS } KillMode;
typedef enum OutputKind { OUTPUT_LOG, OUTPUT_INHERIT, OUTPUT_NULL, OUTPUT_FILE, OUTPUT_APPEND } OutputKind;
typedef enum SandboxProfile { PROFILE_UNSET, PROFILE_AUTO, PROFILE_NONE } SandboxProfile;

/* The lists of commands of [Service]. */
typedef enum ExecList {
        EXEC_START_PRE,
        EXEC_START,
        EXEC_START_POST,
        EXEC_RELOAD,
        EXEC_STOP,
        EXEC_STOP_POST,
        _EXEC_LIST_MAX
} ExecList;

typedef struct ExecCommand {
        char *path; /* absolute; or a bare name, sought in PATH, or beside Guardian's chunks in a core unit */
        char **argv;   /* NULL terminated, argv[0] included, $VAR not yet expanded */
        bool *literal; /* one per argv: single-quoted, no $VAR in it */
        unsigned argc;
        bool ignore_failure; /* prefix - */
        bool privileged;     /* prefix + : User= and Group= do not apply */
        bool no_expand;      /* prefix : */
        const char *file;    /* where it stands, the unit's file or a drop-in; NULL: in a probe */
        unsigned line;
        const char *shell_word; /* the first bare word that only a shell would act on; NULL: none */
} ExecCommand;

typedef struct ExecCommands {
        ExecCommand *items;
        unsigned n;
} ExecCommands;

typedef struct StrList {
        char **items; /* items[n] is NULL once n > 0 */
        unsigned n;
} StrList;

/* A name in a dependency list and where it stands. */
typedef struct UnitRef {
        const char *name; /* without ".chunk" */
        const char *file;
        unsigned line;
} UnitRef;
typedef struct UnitRefs {
        UnitRef *items;
        unsigned n;
} UnitRefs;

typedef struct OutputSpec {
        OutputKind kind;
        char *path; /* file:, append: */
} OutputSpec;

typedef struct UnitLimit {
        int resource; /* RLIMIT_* */
        rlim_t soft, hard;
} UnitLimit;

/* Exit statuses and signals of SuccessExitStatus= and RestartPreventExitStatus=. */
typedef struct ExitSet {
        uint64_t codes[4]; /* bit per status 0..255 */
        uint64_t signals;  /* bit per signal 1..63 */
        bool set;
} ExitSet;
bool exit_set_has(const ExitSet *s, bool signaled, int status);

/* Which probe of [Health]. */
typedef enum ProbeKind { PROBE_STARTUP, PROBE_READINESS, PROBE_LIVENESS, _PROBE_KIND_MAX } ProbeKind;
const char *probe_kind_to_string(ProbeKind k); /* "StartupProbe" */

typedef struct Arena {
        struct ArenaBlock *blocks;
} Arena;
/* Zeroed memory that lives until arena_done(); NULL: out of memory. */
void *arena_alloc(Arena *a, size_t n);
char *arena_strndup(Arena *a, const char *s, size_t n);
void arena_done(Arena *a);
/* Room for one more item and a terminator behind n items of `size` bytes; capacity is a function of n alone.
 * NULL: out of memory. */
void *arena_grow(Arena *a, void *items, unsigned n, size_t size);
int strlist_push(Arena *a, StrList *l, char *item); /* -ENOMEM; item is kept by reference */

typedef struct UnitConfig {
        Arena arena;
        char *name;          /* "web", "worker@a": file name without ".chunk" */
        char *file;          /* path it was read from, for messages */
        char *dir;           /* directory of that file: %d */
        char *template_name; /* "worker@", NULL: not an instance */
        char *instance;      /* "a", NULL likewise */
        char *prefix;        /* part before '@': %p */
        bool core;           /* a unit of that name ships with Guardian */
        bool bootstrap;      /* compiled-in list: ledger, governance */
        bool from_core_dir; /* this very file is the shipped one: bare program names resolve beside guardian's
                               chunks */

        /* [Unit] */
        char *description;
        StrList documentation;
        UnitRefs after, before, requires, wants;
        bool enabled;

        /* [Chunk] */
        uint32_t priority_milli;
        bool can_fail, guardian_validates, critical, essential, grants_login;
        uint64_t validate_timeout_us;
        unsigned start_retries;
        UnitRefs links;
        StrList publishes, subscribes, handles;
        uint32_t heal;  /* bit per HealingAction */
        StrList labels; /* "k=v", sorted by key */

        /* [Service] */
        ServiceType type;
        ExecCommands exec[_EXEC_LIST_MAX];
        bool remain_after_exit;
        RestartPolicy restart;
        uint64_t restart_us, restart_max_us, restart_reset_us;
        bool restart_jitter;
        unsigned start_limit_burst; /* 0: no limit */
        uint64_t start_limit_interval_us;
        ExitSet restart_prevent, success;
        uint64_t timeout_start_us, timeout_stop_us;
        uint64_t watchdog_us; /* 0: none */
        int kill_signal, final_kill_signal;
        KillMode kill_mode;
        NotifyAccess notify_access;
        char *user, *group;        /* NULL: Guardian's own */
        UnitRef user_at, group_at, working_directory_at, environment_files_at; /* where they stand; name is not set */
        StrList supplementary_groups;
        char *working_directory; /* NULL: "/" as PID 1, Guardian's own otherwise */
        bool working_directory_optional;
        StrList environment;       /* "K=V" */
        StrList environment_files; /* a leading '-' means optional */
        StrList pass_environment;
        mode_t umask;
        bool umask_set, nice_set, oom_set;
        int nice, oom_score_adjust;
        UnitLimit *limits; /* at most one a resource */
        unsigned n_limits;
        OutputSpec out, err;
        bool err_given; /* StandardError= stands in the file; else err is what out is */
        StrList runtime_directories, state_directories; /* relative names below %t and %S */

        /* [Health]; type PROBE_NONE: not set */
        ProbeConfig probes[_PROBE_KIND_MAX];

        /* [Sandbox] */
        SandboxProfile profile;
        char *sandbox_reason;
} UnitConfig;

/* Where relative things stand: specifiers and bare program names. All absolute, none NULL. */
typedef struct UnitPaths {
        const char *runtime_dir; /* %t */
        const char *state_dir;   /* %S */
        const char *libexec_dir; /* bare names of core units */
} UnitPaths;

/* An empty configuration with every default, named `name` ("worker@a" fills template_name, instance and
 * prefix). NULL: out of memory. */
UnitConfig *unit_config_new(const char *name);
UnitConfig *unit_config_free(UnitConfig *u); /* takes NULL, returns NULL */
/* ledger, governance: may not have Heal=, restarted for ever: without them nobody could consent to it. */
bool unit_is_bootstrap(const char *name);
/* Something of a start may wait for a disk: environment files, names of users and groups, directories, a
 * program to open. */
bool unit_prepares(const UnitConfig *u);
/* NotifyAccess= with its default put in: main where the unit gets a NOTIFY_SOCKET at all, none elsewhere. */
NotifyAccess unit_notify_access(const UnitConfig *u);

const char *service_type_to_string(ServiceType t);
const char *restart_policy_to_string(RestartPolicy r);
const char *kill_mode_to_string(KillMode k);
