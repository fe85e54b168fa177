/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/storage-file.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { ZEROS = 256 * 1024 };

static int write_full(int fd, const void *p, size_t n, uint64_t offset) {
        const uint8_t *b = p;
        while (n > 0) {
                ssize_t r = pwrite(fd, b, n, (off_t)offset);
                if (r < 0 && errno == EINTR)
                        continue;
                if (r <= 0)
                        return r < 0 ? -errno : -EIO;
                b += r;
                n -= (size_t)r;
                offset += (uint64_t)r;
        }
        return 0;
}

/* Zeros are written, not reserved: an extent that is reserved only costs a journal commit at its first write.
 */
static int write_zeros(int fd, uint64_t offset, uint64_t n) {
        auto_free uint8_t *zeros = calloc(1, ZEROS);
        if (!zeros)
                return -ENOMEM;
        while (n > 0) {
                size_t k = n < ZEROS ? (size_t)n : ZEROS;
                int r = write_full(fd, zeros, k, offset);
                if (r < 0)
                        return r;
                offset += k;
                n -= k;
        }
        return 0;
}

static int sync_dir(const StorageFile *s) {
        return fsync(s->dir_fd) < 0 ? -errno : 0;
}

/* A whole small file, durable under its name or not there. */
static int put_file(StorageFile *s, const char *name, const void *p, size_t n, mode_t mode) {
        char temp[64];
        snprintf(temp, sizeof(temp), "%s.tmp", name);
        auto_close int fd =
                openat(s->dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
                return -errno;
        int r = write_full(fd, p, n, 0);
        if (r < 0)
                return r;
        if (fsync(fd) < 0 || renameat(s->dir_fd, temp, s->dir_fd, name) < 0)
                return -errno;
        return sync_dir(s);
}

/* ---- segments */

static int use_segment(StorageFile *s, uint64_t first) {
        char name[SEGMENT_NAME + 1];
        if (s->segment_fd >= 0 && s->segment == first)
                return 0;
        segment_name(first, name);
        int fd = openat(s->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        if (s->segment_fd >= 0)
                close(s->segment_fd);
        s->segment_fd = fd;
        s->segment = first;
        return 0;
}

static int zeroed_file(StorageFile *s, const char *temp, uint64_t bytes) {
        auto_close int fd =
                openat(s->dir_fd, temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        int r = write_zeros(fd, 0, bytes);
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlinkat(s->dir_fd, temp, 0);
                return r;
        }
        return TAKE_FD(fd);
}

static int open_spare(StorageFile *s, uint64_t bytes) {
        struct stat st;
        auto_close int fd = openat(s->dir_fd, "spare", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes) {
                (void)unlinkat(s->dir_fd, "spare", 0);
                return -ENOENT;
        }
        return TAKE_FD(fd);
}

static int storage_create(void *user, uint64_t first, uint64_t bytes, const uint8_t header[SEGMENT_HEADER]) {
        StorageFile *s = user;
        char name[SEGMENT_NAME + 1];
        const char *from = "spare";
        int fd = open_spare(s, bytes);
        if (fd < 0) {
                from = "segment.tmp";
                fd = zeroed_file(s, from, bytes);
        }
        if (fd < 0)
                return fd;
        int r = write_full(fd, header, SEGMENT_HEADER, 0);
        segment_name(first, name);
        /* NOREPLACE: a segment is never written over, whatever went wrong before. */
        if (r == 0 && (fsync(fd) < 0 || renameat2(s->dir_fd, from, s->dir_fd, name, RENAME_NOREPLACE) < 0))
                r = -errno;
        if (r == 0)
                r = sync_dir(s);
        if (r < 0) {
                close(fd);
                return r;
        }
        if (s->segment_fd >= 0)
                close(s->segment_fd);
        s->segment_fd = fd;
        s->segment = first;
        return 0;
}

static int storage_write(void *user, uint64_t first, uint64_t offset, const void *p, size_t n) {
        StorageFile *s = user;
        int r = use_segment(s, first);
        return r < 0 ? r : write_full(s->segment_fd, p, n, offset);
}

static int storage_sync(void *user, uint64_t first) {
        StorageFile *s = user;
        int r = use_segment(s, first);
        if (r < 0)
                return r;
        return fdatasync(s->segment_fd) < 0 ? -errno : 0;
}

static int storage_make_spare(void *user, uint64_t bytes) {
        StorageFile *s = user;
        int fd = open_spare(s, bytes);
        if (fd >= 0) {
                close(fd);
                return 0;
        }
        fd = zeroed_file(s, "spare.tmp", bytes);
        if (fd < 0)
                return fd;
        close(fd);
        if (renameat(s->dir_fd, "spare.tmp", s->dir_fd, "spare") < 0)
                return -errno;
        return sync_dir(s);
}

static int storage_write_note(void *user, Str note) {
        return put_file(user, "checkpoint", note.p, note.n, 0644);
}

static int storage_quarantine(void *user, uint64_t first, uint64_t offset, uint64_t n) {
        StorageFile *s = user;
        char name[96];
        int r = use_segment(s, first);
        if (r < 0)
                return r;
        auto_free uint8_t *p = malloc(n + 1);
        if (!p)
                return -ENOMEM;
        ssize_t got = pread(s->segment_fd, p, n, (off_t)offset);
        if (got < 0 || (uint64_t)got != n)
                return got < 0 ? -errno : -EIO;
        if (mkdirat(s->dir_fd, "quarantine", 0700) < 0 && errno != EEXIST)
                return -errno;
        snprintf(name, sizeof(name), "quarantine/%020llu-%llu.torn", (unsigned long long)first,
                (unsigned long long)offset);
        auto_close int fd =
                openat(s->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = write_full(fd, p, n, 0);
        if (r < 0)
                return r;
        auto_close int dir = openat(s->dir_fd, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0 || fsync(fd) < 0 || fsync(dir) < 0)
                return -errno;
        r = write_zeros(s->segment_fd, offset, n);
        if (r < 0)
                return r;
        return fdatasync(s->segment_fd) < 0 ? -errno : sync_dir(s);
}

/* ---- the directory */

int storage_file_open(StorageFile *s, const char *path, LedgerStorage *ret) {
        *s = (StorageFile){.dir_fd = -1, .lock_fd = -1, .segment_fd = -1};
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return -errno;
        s->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->dir_fd < 0)
                return -errno;
        s->lock_fd = openat(s->dir_fd, "LOCK", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (s->lock_fd < 0 || flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
                int r = -errno;
                storage_file_close(s);
                return r;
        }
        *ret = (LedgerStorage){.user = s,
                .create = storage_create,
                .write = storage_write,
                .sync = storage_sync,
                .make_spare = storage_make_spare,
                .write_note = storage_write_note,
                .quarantine = storage_quarantine};
        return 0;
}

void storage_file_close(StorageFile *s) {
        int *fds[] = {&s->segment_fd, &s->lock_fd, &s->dir_fd};
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                if (*fds[i] >= 0)
                        close(*fds[i]);
                *fds[i] = -1;
        }
}

/* ---- the key */

static int read_key(int fd, uint8_t seed[32]) {
        char text[80];
        ssize_t n = pread(fd, text, sizeof(text), 0);
        if (n < 0)
                return -errno;
        int r = 0;
        if (n == 32)
                memcpy(seed, text, 32);
        else if ((n == 64 || (n == 65 && text[64] == '\n')) && hex_decode(text, 64, seed) == 0)
                r = 0;
        else
                r = -EINVAL;
        sodium_memzero(text, sizeof(text));
        return r;
}

int storage_file_key(StorageFile *s, const char *key_path, bool log_exists, uint8_t seed[32], bool *made) {
        *made = false;
        auto_close int fd = key_path[0] ? open(key_path, O_RDONLY | O_CLOEXEC)
                                        : openat(s->dir_fd, "key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0)
                return read_key(fd, seed);
        if (errno != ENOENT || key_path[0])
                return -errno;
        if (log_exists)
                return -ENOKEY;
        if (getrandom(seed, 32, 0) != 32)
                return -EIO;
        char hex[66];
        hex_encode(seed, 32, hex);
        hex[64] = '\n';
        int r = put_file(s, "key", hex, 65, 0600);
        sodium_memzero(hex, sizeof(hex));
        *made = r == 0;
        return r;
}

int storage_file_publish_key(StorageFile *s, const NoteKey *key) {
        char text[NOTE_VKEY_MAX + 1];
        note_key_text(key, text, NOTE_VKEY_MAX);
        strcat(text, "\n");
        return put_file(s, "key.pub", text, strlen(text), 0644);
}
