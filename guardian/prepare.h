/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a start needs of the file system, gathered before it: environment files, ids, directories, the program
 * opened and checked. prepare_run() may wait for a disk for ever and belongs on a thread (worker.h); it reads
 * what never changes and writes its answer only. Launching goes by the answer.
 */
#include "guardian/options.h"
#include "guardian/unit.h"
#include "supervisor/launch.h"
#include "supervisor/manifest.h"
#include <stdatomic.h>

/* What was found. */
typedef struct Prepared {
        uid_t uid; /* whose directories, pipes and sockets are: Guardian's own without User= */
        gid_t gid;
        gid_t *groups; /* owned */
        unsigned n_groups;
        char **env_files;           /* NULL: none; owned */
        const ExecCommand *command; /* whose program `path` is */
        char *path;                 /* owned */
        LaunchExe exe;              /* fd owned, -1: not opened; ino 0: not known */
        bool planned;               /* exe.fd has the SHA-256 of the manifest */
        int state_error;            /* of a chunk's own directory below the state directory; 0: it is there */
        uint32_t policy_dirs;       /* bit per directory of the options that is there */
} Prepared;

void prepared_done(Prepared *p);

/* What is asked. All of it stays as it is until prepare_run() is back. */
typedef struct PrepareRequest {
        const Options *opt;
        const UnitConfig *config;
        const ExecCommand *command;
        bool main;       /* the unit's own program, no helper */
        bool pinned;     /* its program is open since an earlier start */
        bool have_state; /* chunks get a directory of their own below the state directory */
        bool have_manifest;
        Manifest manifest; /* entries not owned */
} PrepareRequest;

/* Where it is, for whoever waits. The texts live as long as the request. */
typedef struct PrepareProgress {
        const char *_Atomic what;  /* "EnvironmentFile=" */
        const char *_Atomic which; /* "/etc/default/web"; NULL: nothing to add */
        atomic_bool unwanted;      /* set by others: it ends at the next step, -ECANCELED */
} PrepareProgress;

/* A command's program: beside Guardian's chunks for a bare name in a shipped unit, by PATH of env for others,
 * else as it stands. As launch_find(). */
int prepare_find_program(const Options *opt, const UnitConfig *config, const ExecCommand *c, char *const *env,
        char *out, size_t cap);
/* 0 with *ret (prepared_done()), or -errno and a sentence in *why (owned; NULL: no memory for it). */
int prepare_run(const PrepareRequest *q, PrepareProgress *at, Prepared *ret, char **why);
