/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/prepare.h"
#include "common/cleanup.h"
#include "common/str.h"
#include "guardian/ids.h"
#include "guardian/unit-exec.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

extern char **environ;

enum { GROUPS_MAX_OF_UNIT = 64 };

/* One preparation under way. */
typedef struct Run {
        const PrepareRequest *q;
        PrepareProgress *at;
        Prepared *p;
        char *why; /* owned */
} Run;

void prepared_done(Prepared *p) {
        free(p->env_files);
        free(p->path);
        free(p->groups);
        launch_exe_close(&p->exe);
        *p = (Prepared){.exe = {.fd = -1}};
}

static int fail(Run *s, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int fail(Run *s, int error, const char *fmt, ...) {
        va_list ap;
        va_start(ap, fmt);
        if (vasprintf(&s->why, fmt, ap) < 0)
                s->why = NULL;
        va_end(ap);
        return error;
}

/* What may wait begins: say so, unless nobody wants it any more. */
static int step(Run *s, const char *what, const char *which) {
        s->at->which = which;
        s->at->what = what;
        return s->at->unwanted ? fail(s, -ECANCELED, "not wanted any more") : 0;
}

/* ---- ids */

static int unknown(Run *s, int r, const char *key, const char *name, const char *file, const char *hint) {
        if (r != -ENOENT)
                return fail(s, r, "%s: %s", file, strerror(-r));
        return fail(s, -ESRCH, "%s=%s is not in %s%s", key, name, file, hint);
}

static int find_user(Run *s) {
        const UnitConfig *c = s->q->config;
        gid_t own;
        if (!c->user)
                return 0;
        int r = step(s, "User=", c->user);
        if (r < 0)
                return r;
        r = ids_user(c->user, &s->p->uid, &own);
        if (r < 0)
                return unknown(s, r, "User", c->user, "/etc/passwd", " (a number needs no entry)");
        if (own != (gid_t)-1)
                s->p->gid = own;
        return 0;
}

static int find_groups(Run *s) {
        const UnitConfig *c = s->q->config;
        Prepared *p = s->p;
        int r = 0;
        if (c->group || c->user || c->supplementary_groups.n)
                r = step(s, "/etc/group", NULL);
        if (r == 0 && c->group && (r = ids_group(c->group, &p->gid)) < 0)
                return unknown(s, r, "Group", c->group, "/etc/group", " (a number needs no entry)");
        gid_t found[GROUPS_MAX_OF_UNIT];
        if (r == 0 && c->user) {
                r = ids_groups_of(c->user, p->gid, found, GROUPS_MAX_OF_UNIT);
                if (r < 0)
                        return fail(s, r, "/etc/group: %s", strerror(-r));
                p->n_groups = (unsigned)r;
                r = 0;
        }
        for (unsigned i = 0; r == 0 && i < c->supplementary_groups.n && p->n_groups < GROUPS_MAX_OF_UNIT;
                i++) {
                const char *name = c->supplementary_groups.items[i];
                r = ids_group(name, &found[p->n_groups]);
                if (r < 0)
                        return unknown(s, r, "SupplementaryGroups", name, "/etc/group", "");
                p->n_groups++;
        }
        if (r < 0 || p->n_groups == 0)
                return r;
        p->groups = malloc(p->n_groups * sizeof(*found));
        if (!p->groups)
                return fail(s, -ENOMEM, "groups: %s", strerror(ENOMEM));
        memcpy(p->groups, found, p->n_groups * sizeof(*found));
        return 0;
}

/* ---- directories */

/* mkdir -p below base. A part may belong to a unit's user, who could put a link in its place: none is
 * followed, and what was entered is what changes hands. */
static int make_below(const char *base, const char *name, mode_t mode, uid_t uid, gid_t gid) {
        auto_close int at = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
        auto_free char *copy = strdup(name);
        char *rest = copy;
        if (at < 0)
                return -errno;
        if (!copy)
                return -ENOMEM;
        for (char *part; (part = strsep(&rest, "/"));) {
                if (!*part)
                        continue;
                if (mkdirat(at, part, mode) < 0 && errno != EEXIST)
                        return -errno;
                int next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (next < 0)
                        return -errno;
                close(at);
                at = next;
        }
        if (getuid() != uid && fchownat(at, "", uid, gid, AT_EMPTY_PATH) < 0)
                return -errno;
        return 0;
}

static int make_list(Run *s, const char *key, const char *base, const StrList *l) {
        for (unsigned i = 0; i < l->n; i++) {
                int r = step(s, key, l->items[i]);
                if (r < 0)
                        return r;
                r = make_below(base, l->items[i], 0755, s->p->uid, s->p->gid);
                if (r < 0)
                        return fail(s, r, "%s%s: %s", key, l->items[i],
                                r == -ENOTDIR ? "something that is no directory is in its place (links are "
                                                "not followed)"
                                              : strerror(-r));
        }
        return 0;
}

/* What HELLO tells a chunk. */
static int chunk_directories(Run *s) {
        const PrepareRequest *q = s->q;
        int r = 0;
        if (!q->main || q->config->type != SERVICE_CHUNK)
                return 0;
        if (q->have_state) {
                r = step(s, "state directory", q->opt->state_dir);
                if (r == 0)
                        s->p->state_error =
                                make_below(q->opt->state_dir, q->config->name, 0700, getuid(), getgid());
        }
        static_assert(OPTIONS_DIRS_MAX <= 32, "policy_dirs has a bit for each");
        for (unsigned i = 0; i < q->opt->n_policy_dirs && r == 0; i++) {
                r = step(s, "policies", q->opt->policy_dirs[i]);
                if (r == 0 && access(q->opt->policy_dirs[i], F_OK) == 0)
                        s->p->policy_dirs |= UINT32_C(1) << i;
        }
        return r;
}

/* ---- the program */

int prepare_find_program(const Options *opt, const UnitConfig *config, const ExecCommand *c, char *const *env,
        char *out, size_t cap) {
        bool bare = !strchr(c->path, '/');
        if (bare && config->from_core_dir)
                return snprintf(out, cap, "%s/%s", opt->libexec_dir, c->path) < (int)cap ? 0 : -ENAMETOOLONG;
        return launch_find(c->path, bare ? environment_get(env, "PATH") : NULL, out, cap);
}

static int find_program(Run *s) {
        const PrepareRequest *q = s->q;
        auto_free char **env = NULL;
        char path[PATH_MAX];
        int r = step(s, "program", q->command->path);
        if (r < 0)
                return r;
        bool bare = !strchr(q->command->path, '/');
        if (bare && !q->config->from_core_dir) {
                r = unit_environment(q->config, environ, s->p->env_files, NULL, &env);
                if (r < 0)
                        return fail(s, r, "environment: %s", strerror(-r));
        }
        r = prepare_find_program(q->opt, q->config, q->command, env, path, sizeof(path));
        if (r < 0)
                return fail(s, r, "program '%s': %s", q->command->path,
                        r == -ENOENT ? "not found" : strerror(-r));
        s->p->command = q->command;
        s->p->path = strdup(path);
        return s->p->path ? 0 : fail(s, -ENOMEM, "program '%s': %s", path, strerror(ENOMEM));
}

/* Opens a chunk's program and checks it against the manifest: what was hashed is what runs. One that is not
 * ours is not in it. */
static int check_chunk(Run *s) {
        const PrepareRequest *q = s->q;
        Prepared *p = s->p;
        const char *name = strrchr(p->path, '/') + 1;
        if (q->pinned) /* a file swapped meanwhile changes nothing; a new program needs a new Guardian */
                return 0;
        int r = launch_exe_open(p->path, &p->exe);
        if (r < 0)
                return fail(s, r, "program '%s': %s", p->path, strerror(-r));
        if (!q->config->core && !(q->have_manifest && manifest_find(&q->manifest, name)))
                return 0;
        r = q->have_manifest ? manifest_check(&q->manifest, name, p->exe.fd) : 2;
        p->planned = r == 0;
        if (r == 0)
                return 0;
        return fail(s, r < 0 ? r : -EKEYREJECTED, "program '%s' %s", p->path,
                r == 1 ? "is not the planned one: its SHA-256 differs from lib/guardian/manifest"
                       : (r == 2 ? "has no entry in lib/guardian/manifest" : strerror(-r)));
}

static int look_at_program(Run *s) {
        int r = find_program(s);
        if (r < 0 || !s->q->main)
                return r;
        return s->q->config->type == SERVICE_CHUNK ? check_chunk(s) : 0;
}

static int environment_files(Run *s) {
        const UnitConfig *c = s->q->config;
        if (c->environment_files.n == 0)
                return 0;
        int r = step(s, "EnvironmentFile=", NULL);
        char why[512];
        if (r == 0 && (r = unit_environment_files(c, &s->p->env_files, &s->at->which, why, sizeof(why))) < 0)
                return fail(s, r, "%s", why);
        return r;
}

int prepare_run(const PrepareRequest *q, PrepareProgress *at, Prepared *ret, char **why) {
        Run s = {q, at, ret, NULL};
        *ret = (Prepared){.uid = getuid(), .gid = getgid(), .exe = {.fd = -1}};
        int r = environment_files(&s);
        if (r == 0)
                r = find_user(&s);
        if (r == 0)
                r = find_groups(&s);
        if (r == 0)
                r = make_list(&s, "RuntimeDirectory=", q->opt->runtime_dir, &q->config->runtime_directories);
        if (r == 0)
                r = make_list(&s, "StateDirectory=", q->opt->state_dir, &q->config->state_directories);
        if (r == 0)
                r = chunk_directories(&s);
        if (r == 0)
                r = look_at_program(&s);
        if (r < 0)
                prepared_done(ret);
        *why = s.why;
        return r;
}
