/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/governance/policy.h"
#include "common/cleanup.h"
#include "common/text-file.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {
        "actions.yaml", "constitution.yaml", "governance.yaml", "roles.yaml", "trust.yaml"};
enum { N_NAMES = ELEMENTSOF(names) };

typedef struct Loaded {
        char path[1400];
        char *text;
        size_t n;
} Loaded;

static int load_one(const char *path, Problems *p, Loaded *ret) {
        char *text = NULL;
        if (access(path, F_OK) < 0 && errno == ENOENT)
                return 0;
        int r = text_file_load(path, p, &text, &ret->n);
        if (r < 0)
                return r;
        str_copy(ret->path, sizeof(ret->path), str_of(path));
        free(ret->text);
        ret->text = text;
        return 0;
}

static int read_dir(const char *dir, Problems *p, Loaded *files) {
        int bad = 0;
        if (access(dir, F_OK) < 0 && errno == ENOENT)
                return 0;
        if (access(dir, R_OK | X_OK) < 0) {
                problem_add(p, PROBLEM_ERROR, dir, 0, 0, "unreadable",
                        "the user that Guardian runs as needs r-x on it", "can't be read: %s",
                        strerror(errno));
                return -EACCES;
        }
        for (size_t i = 0; i < N_NAMES; i++) {
                char path[1400];
                snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
                int r = load_one(path, p, &files[i]);
                if (r < 0)
                        bad = r;
        }
        return bad;
}

int gate_policy_load(const char *const *dirs, unsigned n, uint64_t own_uid, Problems *p, GatePolicy **ret) {
        Loaded *files = calloc(N_NAMES, sizeof(*files));
        GatePolicyFile list[N_NAMES];
        size_t k = 0;
        int r = 0;
        *ret = NULL;
        if (!files)
                return -ENOMEM;
        for (unsigned i = 0; i < n; i++) {
                int one = read_dir(dirs[i], p, files);
                if (one < 0)
                        r = one;
        }
        for (size_t i = 0; i < N_NAMES; i++)
                if (files[i].text)
                        list[k++] = (GatePolicyFile){names[i], files[i].path, {files[i].text, files[i].n}};
        if (r == 0)
                r = gate_policy_compile(list, k, own_uid, p, ret);
        for (size_t i = 0; i < N_NAMES; i++)
                free(files[i].text);
        free(files);
        return r;
}
