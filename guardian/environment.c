/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"
#include "common/cleanup.h"
#include "guardian/unit-exec.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { ENV_FILE_MAX = 64 * 1024, ENV_ENTRIES_MAX = 4096, ENV_BYTES_MAX = 256 * 1024 };

/* Names that Guardian gives to children itself; inherited ones would be another process's. */
static const char *const own_names[] = {"NOTIFY_SOCKET", "NOTIFY_FD", "WATCHDOG_USEC", "WATCHDOG_PID",
        "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "GUARDIAN_UNIT", "GUARDIAN_MESH_SOCKET",
        "GUARDIAN_STATE", "GUARDIAN_RUNTIME"};

typedef struct Environment {
        char **items; /* each malloc'd */
        size_t n, cap;
} Environment;

static void environment_done(Environment *e) {
        for (size_t i = 0; i < e->n; i++)
                free(e->items[i]);
        free(e->items);
}

/* "K=V" of length n; replaces an entry of that name. Entries without '=' or name are dropped, as execve users
 * do. */
static int environment_set(Environment *e, const char *s, size_t n) {
        const char *eq = memchr(s, '=', n);
        if (!eq || eq == s)
                return 0;
        auto_free char *copy = strndup(s, n);
        if (!copy)
                return -ENOMEM;
        size_t key = (size_t)(eq - s) + 1;
        for (size_t i = 0; i < e->n; i++)
                if (strncmp(e->items[i], copy, key) == 0) {
                        free(e->items[i]);
                        e->items[i] = TAKE(copy);
                        return 0;
                }
        if (e->n >= ENV_ENTRIES_MAX)
                return -E2BIG;
        if (e->n == e->cap) {
                size_t cap = e->cap ? e->cap * 2 : 32;
                char **items = realloc(e->items, cap * sizeof(char *));
                if (!items)
                        return -ENOMEM;
                e->items = items;
                e->cap = cap;
        }
        e->items[e->n++] = TAKE(copy);
        return 0;
}

static bool own_name(const char *entry) {
        for (size_t i = 0; i < ELEMENTSOF(own_names); i++) {
                size_t n = strlen(own_names[i]);
                if (strncmp(entry, own_names[i], n) == 0 && entry[n] == '=')
                        return true;
        }
        return false;
}

static int inherit(Environment *e, const UnitConfig *u, char *const *base) {
        int r = 0;
        if (!u->core) {
                for (; base && *base && r == 0; base++)
                        if (!own_name(*base))
                                r = environment_set(e, *base, strlen(*base));
                return r;
        }
        static const char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        r = environment_set(e, path, sizeof(path) - 1);
        for (unsigned i = 0; i < u->pass_environment.n && r == 0; i++) {
                size_t n = strlen(u->pass_environment.items[i]);
                for (char *const *b = base; b && *b && r == 0; b++)
                        if (strncmp(*b, u->pass_environment.items[i], n) == 0 && (*b)[n] == '=')
                                r = environment_set(e, *b, strlen(*b));
        }
        return r;
}

/* One line of an EnvironmentFile: K=V, quotes around the value removed, '#' and ';' comments. In place. */
static int set_line(Environment *e, char *line) {
        while (isspace((unsigned char)*line))
                line++;
        size_t n = strlen(line);
        while (n > 0 && isspace((unsigned char)line[n - 1]))
                line[--n] = 0;
        char *eq = strchr(line, '=');
        if (!*line || *line == '#' || *line == ';' || !eq)
                return 0;
        char *v = eq + 1;
        size_t vn = strlen(v);
        if (vn >= 2 && (*v == '"' || *v == '\'') && v[vn - 1] == *v) {
                memmove(v, v + 1, vn - 2);
                v[vn - 2] = 0;
        }
        return environment_set(e, line, strlen(line));
}

static int set_file(Environment *e, const char *path) {
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        char text[ENV_FILE_MAX + 1]; /* of a stack that goes with its thread: no hole is left in the heap */
        size_t n = 0;
        for (;;) {
                ssize_t k = read(fd, text + n, ENV_FILE_MAX + 1 - n);
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t)k;
                if (n > ENV_FILE_MAX)
                        return -EFBIG;
        }
        text[n] = 0;
        char *save = NULL;
        int r = 0;
        for (char *l = strtok_r(text, "\n", &save); l && r == 0; l = strtok_r(NULL, "\n", &save))
                r = set_line(e, l);
        return r;
}

static int set_files(Environment *e, const UnitConfig *u, const char *_Atomic *at, char *why, size_t cap) {
        for (unsigned i = 0; i < u->environment_files.n; i++) {
                const char *path = u->environment_files.items[i];
                bool optional = path[0] == '-';
                if (at)
                        *at = path + optional;
                int r = set_file(e, path + optional);
                if (r < 0 && !(optional && r == -ENOENT)) {
                        snprintf(why, cap, "EnvironmentFile %s: %s", path + optional,
                                r == -EINVAL ? "not a regular file" : strerror(-r));
                        return r;
                }
        }
        return 0;
}

static int set_all(Environment *e, char *const *entries, unsigned n) {
        int r = 0;
        for (unsigned i = 0; i < n && entries[i] && r == 0; i++)
                r = environment_set(e, entries[i], strlen(entries[i]));
        return r;
}

static int pack(const Environment *e, char ***ret) {
        size_t bytes = (e->n + 1) * sizeof(char *), head = bytes;
        for (size_t i = 0; i < e->n; i++)
                bytes += strlen(e->items[i]) + 1;
        if (bytes - head > ENV_BYTES_MAX)
                return -E2BIG;
        char **v = malloc(bytes);
        if (!v)
                return -ENOMEM;
        char *p = (char *)v + head;
        for (size_t i = 0; i < e->n; i++) {
                v[i] = p;
                p = stpcpy(p, e->items[i]) + 1;
        }
        v[e->n] = NULL;
        *ret = v;
        return 0;
}

int unit_environment_files(const UnitConfig *u, char ***ret, const char *_Atomic *at, char *why, size_t cap) {
        __attribute__((cleanup(environment_done))) Environment e = {0};
        snprintf(why, cap, "EnvironmentFile");
        int r = set_files(&e, u, at, why, cap);
        return r < 0 ? r : pack(&e, ret);
}

int unit_environment(
        const UnitConfig *u, char *const *base, char *const *files, char *const *extra, char ***ret) {
        __attribute__((cleanup(environment_done))) Environment e = {0};
        int r = inherit(&e, u, base);
        if (r == 0 && files)
                r = set_all(&e, files, ENV_ENTRIES_MAX);
        if (r == 0)
                r = set_all(&e, u->environment.items, u->environment.n);
        if (r == 0 && extra)
                r = set_all(&e, extra, ENV_ENTRIES_MAX);
        return r < 0 ? r : pack(&e, ret);
}
