/* SPDX-License-Identifier: Apache-2.0 */
#include "common/text-file.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(Problems *p, const char *path, int error) {
        problem_add(p, PROBLEM_ERROR, path, 0, 0, "unreadable",
                error == -EFBIG ? "a policy file has at most 1 MiB" : NULL, "can't be read: %s",
                error == -ENXIO ? "not a regular file" : strerror(-error));
        return error;
}

int text_file_load(const char *path, Problems *p, char **ret, size_t *len) {
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return failed(p, path, -errno);
        if (!S_ISREG(st.st_mode))
                return failed(p, path, S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO);
        if (st.st_size > TEXT_FILE_MAX)
                return failed(p, path, -EFBIG);

        size_t size = (size_t)st.st_size, n = 0;
        auto_free char *text = malloc(size + 1);

        if (!text)
                return -ENOMEM;
        while (n < size) {
                ssize_t k = read(fd, text + n, size - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return failed(p, path, -errno);
                if (k == 0) /* it shrank meanwhile */
                        break;
                n += (size_t)k;
        }
        text[n] = 0;
        *ret = TAKE(text);
        *len = n;
        return 0;
}
