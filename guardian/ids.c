/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/ids.h"
#include "common/cleanup.h"
#include "common/str.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

static const size_t FILE_MAX = 64U << 20;

/* The file's text and a terminating zero. One that is not there is an empty one. */
static int read_all(const char *path, char **ret) {
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        auto_free char *text = NULL;
        struct stat st = {0};
        size_t n = 0, cap = 0;
        if (fd < 0 ? errno != ENOENT : fstat(fd, &st) < 0)
                return -errno;
        for (;;) {
                if (n + 1 >= cap) {
                        cap = cap ? cap * 2 : (size_t)st.st_size + 2;
                        if (cap > FILE_MAX)
                                return -EFBIG;
                        char *more = realloc(text, cap);
                        if (!more)
                                return -ENOMEM;
                        text = more;
                }
                ssize_t k = fd < 0 ? 0 : read(fd, text + n, cap - n - 1);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t)k;
        }
        text[n] = 0;
        *ret = TAKE(text);
        return 0;
}

/* The next "a:b:c.." line as `n` fields, in place; shorter lines, comments and the "+" of NIS are no entries.
 */
static bool next_entry(char **at, char **field, unsigned n) {
        for (char *line; (line = strsep(at, "\n"));) {
                unsigned k = 0;
                if (*line == '#' || *line == '+' || *line == '-')
                        continue;
                for (char *f; k < n && (f = strsep(&line, ":"));)
                        field[k++] = f;
                if (k == n)
                        return true;
        }
        return false;
}

static bool parse_id(const char *text, uint32_t *ret) {
        uint64_t number;
        if (parse_u64(text, &number) < 0 ||
                number >= UINT32_MAX) /* that one means "unchanged" to setuid(2) */
                return false;
        *ret = (uint32_t)number;
        return true;
}

int ids_user(const char *name, uid_t *uid, gid_t *gid) {
        auto_free char *text = NULL;
        char *field[4];
        uint32_t number = 0, u, g;
        bool numeric = parse_id(name, &number);
        *gid = (gid_t)-1;
        int r = read_all("/etc/passwd", &text);
        if (r < 0)
                return r;
        for (char *at = text; next_entry(&at, field, 4);) {
                if (!parse_id(field[2], &u) || !parse_id(field[3], &g) ||
                        (numeric ? u != number : strcmp(field[0], name) != 0))
                        continue;
                *uid = u;
                *gid = g;
                return 0;
        }
        if (!numeric)
                return -ENOENT;
        *uid = number;
        return 0;
}

int ids_group(const char *name, gid_t *gid) {
        auto_free char *text = NULL;
        char *field[3];
        uint32_t g;
        if (parse_id(name, gid))
                return 0;
        int r = read_all("/etc/group", &text);
        if (r < 0)
                return r;
        for (char *at = text; next_entry(&at, field, 3);)
                if (strcmp(field[0], name) == 0 && parse_id(field[2], &g)) {
                        *gid = g;
                        return 0;
                }
        return -ENOENT;
}

static bool lists(char *members, const char *user) {
        for (char *m; (m = strsep(&members, ","));)
                if (strcmp(m, user) == 0)
                        return true;
        return false;
}

int ids_groups_of(const char *user, gid_t gid, gid_t *out, unsigned cap) {
        auto_free char *text = NULL;
        char *field[4];
        uint32_t g;
        unsigned n = 0;
        if (cap && gid != (gid_t)-1)
                out[n++] = gid;
        int r = read_all("/etc/group", &text);
        if (r < 0)
                return r;
        for (char *at = text; n < cap && next_entry(&at, field, 4);)
                if (parse_id(field[2], &g) && g != gid && lists(field[3], user))
                        out[n++] = g;
        return (int)n;
}
