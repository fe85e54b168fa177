/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/governance/policy.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const names[] = {
        "actions.yaml", "constitution.yaml", "governance.yaml", "roles.yaml", "trust.yaml"};
enum { N_NAMES = ELEMENTSOF(names) };

typedef struct Loaded {
        char path[1400];
        char *text;
        size_t n;
} Loaded;

/* 0: read; 1: not there; negative: an error that has been reported. */
static int slurp(const char *path, Problems *p, Loaded *ret) {
        struct stat st;
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT)
                return 1;
        int error = fd < 0 || fstat(fd, &st) < 0       ? -errno
                    : S_ISDIR(st.st_mode)              ? -EISDIR
                    : !S_ISREG(st.st_mode)             ? -ENXIO
                    : st.st_size > YAML_TREE_BYTES_MAX ? -EFBIG
                                                       : 0;
        auto_free char *text = error ? NULL : malloc((size_t)st.st_size + 1);
        if (!error && !text)
                return -ENOMEM;
        size_t n = 0;
        while (!error && n < (size_t)st.st_size) {
                ssize_t k = read(fd, text + n, (size_t)st.st_size - n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0) {
                        error = k < 0 ? -errno : 0;
                        break;
                }
                n += (size_t)k;
        }
        if (error) {
                problem_add(p, PROBLEM_ERROR, path, 0, 0, "unreadable",
                        error == -EFBIG ? "a policy file has at most 1 MiB" : NULL, "can't be read: %s",
                        error == -ENXIO ? "not a regular file" : strerror(-error));
                return error;
        }
        str_copy(ret->path, sizeof(ret->path), str_of(path));
        free(ret->text);
        ret->text = TAKE(text);
        ret->n = n;
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
                int r = slurp(path, p, &files[i]);
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
