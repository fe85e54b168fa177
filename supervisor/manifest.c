/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/manifest.h"
#include "common/cleanup.h"
#include "common/sha256.h"
#include "common/str.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MANIFEST_BYTES_MAX (64U << 10)

void manifest_done(Manifest *m) {
        free(m->entries);
        *m = (Manifest){0};
}

const ManifestEntry *manifest_find(const Manifest *m, const char *name) {
        for (size_t i = 0; i < m->n; i++)
                if (strcmp(m->entries[i].name, name) == 0)
                        return &m->entries[i];
        return NULL;
}

/* "64 hex digits, blank, blank or '*', name": returns what is wrong, or NULL. */
static const char *manifest_line(const char *p, size_t n, ManifestEntry *e) {
        size_t name;

        if (n < 67 || p[64] != ' ' || (p[65] != ' ' && p[65] != '*'))
                return "expected 64 hex digits, two blanks and a name";
        if (hex_decode(p, 64, e->hash) < 0)
                return "not a SHA-256 in hex";
        name = n - 66;
        if (name >= sizeof(e->name))
                return "name is longer than 64 bytes";
        if (memchr(p + 66, '/', name) || memchr(p + 66, '\0', name))
                return "a name has no directory";
        memcpy(e->name, p + 66, name);
        e->name[name] = '\0';
        return NULL;
}

static int append(Manifest *m, const ManifestEntry *e) {
        ManifestEntry *grown = reallocarray(m->entries, m->n + 1, sizeof(*e)); /* a dozen entries, once */

        if (!grown)
                return -ENOMEM;
        m->entries = grown;
        m->entries[m->n++] = *e;
        return 0;
}

int manifest_parse(Manifest *m, const char *text, size_t n, const char *file, Problems *problems) {
        unsigned line = 0;
        int r = 0;

        *m = (Manifest){0};
        while (n > 0) {
                const char *nl = memchr(text, '\n', n), *wrong = NULL;
                size_t len = nl ? (size_t)(nl - text) : n;
                ManifestEntry e = {0};

                line++;
                if (len > 0) {
                        wrong = manifest_line(text, len, &e);
                        if (!wrong && manifest_find(m, e.name))
                                wrong = "the same name a second time";
                        if (!wrong && m->n == MANIFEST_ENTRIES_MAX)
                                wrong = "more than 256 entries";
                        if (!wrong && append(m, &e) < 0) {
                                manifest_done(m);
                                return -ENOMEM;
                        }
                }
                if (wrong) {
                        problem_add(problems, PROBLEM_ERROR, file, line, 1, "bad-manifest",
                                "the build writes it: install again", "%s", wrong);
                        r = -EINVAL;
                }
                text += len + (nl ? 1 : 0);
                n -= len + (nl ? 1 : 0);
        }
        if (r < 0)
                manifest_done(m);
        return r;
}

int manifest_load(Manifest *m, const char *path, Problems *problems) {
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        auto_free char *buf = NULL;
        size_t n = 0;

        *m = (Manifest){0};
        if (fd < 0)
                return -errno;
        buf = malloc(MANIFEST_BYTES_MAX + 1);
        if (!buf)
                return -ENOMEM;
        while (n <= MANIFEST_BYTES_MAX) {
                ssize_t r = read(fd, buf + n, MANIFEST_BYTES_MAX + 1 - n);

                if (r < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (r == 0)
                        return manifest_parse(m, buf, n, path, problems);
                n += (size_t)r;
        }
        return -EFBIG;
}

int manifest_check(const Manifest *m, const char *name, int fd) {
        const ManifestEntry *e = manifest_find(m, name);
        uint8_t hash[32];
        int r;

        if (!e)
                return 2;
        r = sha256_fd(fd, hash);
        if (r < 0)
                return r;
        return memcmp(hash, e->hash, sizeof(hash)) == 0 ? 0 : 1;
}
