/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/policy-files.h"
#include "common/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const known[] = {"actions.yaml", "constitution.yaml", "detectors.yaml", "events.yaml",
        "governance.yaml", "playbooks.yaml", "roles.yaml", "trust.yaml", "validation.yaml"};

static bool is_known(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (strcmp(name, known[i]) == 0)
                        return true;
        return false;
}

static bool is_policy(const char *name) {
        const char *dot = strrchr(name, '.');
        return name[0] != '.' && dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static void refuse(const char *path, const char *name, Problems *problems) {
        char hint[300];
        const char *near = nearest_name(name, known, ELEMENTSOF(known));
        int n = near ? snprintf(hint, sizeof(hint), "did you mean '%s'?", near)
                     : snprintf(hint, sizeof(hint), "policies are");
        for (size_t i = 0; !near && i < ELEMENTSOF(known); i++)
                n += snprintf(hint + n, sizeof(hint) - (size_t)n, " %s", known[i]);
        if (!near)
                snprintf(hint + n, sizeof(hint) - (size_t)n, " and the files of workflows/");
        problem_add(problems, PROBLEM_ERROR, path, 0, 0, "unknown-policy", hint,
                "no program reads a policy of this name");
}

static int check_directory(const char *dir, bool given, Problems *problems) {
        auto_closedir DIR *d = opendir(dir);
        if (!d) {
                int e = errno;
                if (error_is_shortage(-e))
                        return -e;
                if (given || e != ENOENT)
                        problem_add(problems, PROBLEM_ERROR, dir, 0, 0, "policy-directory",
                                e == ENOENT             ? "--policies DIR names a directory of policies"
                                : e == EACCES && !given ? "is HOME or XDG_CONFIG_HOME another user's?"
                                                        : NULL,
                                "cannot read the policy directory: %s", strerror(e));
                return 0;
        }
        for (const struct dirent *de; (de = readdir(d));) {
                char path[PATH_MAX];
                struct stat st;
                if (!is_policy(de->d_name) || is_known(de->d_name))
                        continue;
                snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
                if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
                        refuse(path, de->d_name, problems);
        }
        return 0;
}

int policy_files_check(const Options *o, Problems *problems) {
        int r = 0;
        for (unsigned i = 0; i < o->n_policy_dirs && r == 0; i++)
                r = check_directory(
                        o->policy_dirs[i], i >= o->n_policy_dirs - o->n_policy_dirs_given, problems);
        return r;
}
