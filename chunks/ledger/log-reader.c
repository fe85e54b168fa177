/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/log-reader.h"
#include "common/cleanup.h"
#include "common/sha256.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WINDOW = RECORD_MAX + 256 * 1024 };

/* ---- a directory */

static int by_first(const void *a, const void *b) {
        const LogSegment *x = a, *y = b;
        return x->first < y->first ? -1 : x->first > y->first;
}

static int dir_list(void *user, LogSegment **ret, size_t *n) {
        LogDir *d = user;
        auto_close int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        auto_closedir DIR *dir = fdopendir(fd);
        if (!dir)
                return -errno;
        (void)TAKE_FD(fd);
        auto_free LogSegment *all = NULL;
        size_t count = 0, cap = 0;
        for (;;) {
                errno = 0;
                struct dirent *e = readdir(dir);
                if (!e && errno != 0)
                        return -errno;
                if (!e)
                        break;
                uint64_t first;
                struct stat st;
                if (segment_name_parse(e->d_name, &first) < 0)
                        continue;
                if (fstatat(d->fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return -errno;
                if (count == cap) {
                        cap = cap ? cap * 2 : 16;
                        LogSegment *more = reallocarray(all, cap, sizeof(*all));
                        if (!more)
                                return -ENOMEM;
                        all = more;
                }
                all[count++] = (LogSegment){first, (uint64_t)st.st_size};
        }
        if (count > 1)
                qsort(all, count, sizeof(*all), by_first);
        *ret = TAKE(all);
        *n = count;
        return 0;
}

static int64_t read_full(int fd, uint64_t offset, void *p, size_t n) {
        size_t done = 0;
        while (done < n) {
                ssize_t r = pread(fd, (char *)p + done, n - done, (off_t)(offset + done));
                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return -errno;
                if (r == 0)
                        break;
                done += (size_t)r;
        }
        return (int64_t)done;
}

static int64_t dir_read(void *user, uint64_t first, uint64_t offset, void *p, size_t n) {
        LogDir *d = user;
        if (d->segment_fd < 0 || d->segment_first != first) {
                char name[SEGMENT_NAME + 1];
                segment_name(first, name);
                int fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
                if (fd < 0)
                        return -errno;
                if (d->segment_fd >= 0)
                        close(d->segment_fd);
                d->segment_fd = fd;
                d->segment_first = first;
        }
        return read_full(d->segment_fd, offset, p, n);
}

static int64_t dir_note(void *user, char *out, size_t cap) {
        LogDir *d = user;
        auto_close int fd = openat(d->fd, "checkpoint", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        return read_full(fd, 0, out, cap);
}

int log_dir_open(LogDir *d, LogSource *src, const char *path) {
        *d = (LogDir){.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .segment_fd = -1};
        if (d->fd < 0)
                return -errno;
        *src = (LogSource){.user = d, .list = dir_list, .read = dir_read, .note = dir_note};
        return 0;
}

void log_dir_close(LogDir *d) {
        if (d->segment_fd >= 0)
                close(d->segment_fd);
        if (d->fd >= 0)
                close(d->fd);
        d->fd = d->segment_fd = -1;
}

/* ---- the cursor */

static void stand(LogCursor *c, size_t at, uint64_t offset, uint64_t index) {
        c->at = at;
        c->offset = offset;
        c->next = index;
        c->window_len = 0;
        c->frame = NULL;
}

int log_cursor_init(LogCursor *c, const LogSource *src) {
        memset(c, 0, sizeof(*c));
        c->src = src;
        int r = src->list(src->user, &c->segments, &c->n);
        if (r < 0)
                return r;
        if (c->n == 0) {
                log_cursor_done(c);
                return -ENOENT;
        }
        c->window = malloc(WINDOW);
        if (!c->window) {
                log_cursor_done(c);
                return -ENOMEM;
        }
        stand(c, 0, SEGMENT_HEADER, c->segments[0].first);
        return 0;
}

void log_cursor_done(LogCursor *c) {
        free(c->segments);
        free(c->window);
        memset(c, 0, sizeof(*c));
}

int log_cursor_resume(LogCursor *c, uint64_t segment_first, uint64_t offset, uint64_t index) {
        for (size_t i = 0; i < c->n; i++)
                if (c->segments[i].first == segment_first) {
                        stand(c, i, offset, index);
                        return 0;
                }
        return -ENOENT;
}

int log_cursor_seek(LogCursor *c, uint64_t index) {
        size_t lo = 0, hi = c->n;
        while (hi - lo > 1) {
                size_t mid = lo + (hi - lo) / 2;
                if (c->segments[mid].first <= index)
                        lo = mid;
                else
                        hi = mid;
        }
        stand(c, lo, SEGMENT_HEADER, c->segments[lo].first);
        while (c->next < index) {
                Record r;
                const char *why;
                int e = log_cursor_next(c, &r, NULL, &why);
                if (e != 0)
                        return e;
        }
        return 0;
}

/* Makes the window hold what can be had of n bytes at c->offset. Returns how many there are, or -errno. */
static int64_t fill(LogCursor *c, size_t n) {
        if (c->offset >= c->window_at && c->offset + n <= c->window_at + c->window_len)
                return (int64_t)n;
        int64_t r = c->src->read(c->src->user, c->segments[c->at].first, c->offset, c->window, WINDOW);
        if (r < 0)
                return r;
        c->window_at = c->offset;
        c->window_len = (size_t)r;
        return (size_t)r < n ? r : (int64_t)n;
}

static int bad(int error, const char *text, const char **why) {
        *why = text;
        return error;
}

int log_cursor_next(LogCursor *c, Record *r, uint8_t leaf[32], const char **why) {
        for (;;) {
                int64_t have = fill(c, RECORD_HEADER);
                if (have < 0)
                        return bad((int)have, "cannot read", why);
                size_t used = 0;
                const uint8_t *p = c->window + (c->offset - c->window_at);
                int e = have < 4 ? RECORD_END
                                 : record_decode(p, c->window_len - (size_t)(c->offset - c->window_at), r,
                                           leaf, &used, why);
                if (e == RECORD_SHORT) {
                        have = fill(c, RECORD_MAX);
                        if (have < 0)
                                return bad((int)have, "cannot read", why);
                        p = c->window + (c->offset - c->window_at);
                        e = record_decode(
                                p, c->window_len - (size_t)(c->offset - c->window_at), r, leaf, &used, why);
                        if (e == RECORD_SHORT)
                                return bad(-EBADMSG, "the segment ends inside a record", why);
                }
                if (e < 0)
                        return e;
                if (e == 0) {
                        if (r->index != c->next)
                                return bad(-EBADMSG, "index is not the next one", why);
                        c->frame = p;
                        c->frame_offset = c->offset;
                        c->offset += used;
                        c->next++;
                        return 0;
                }
                if (c->at + 1 == c->n)
                        return RECORD_END;
                if (c->segments[c->at + 1].first != c->next)
                        return bad(-EBADMSG, "records are missing before the next segment", why);
                stand(c, c->at + 1, SEGMENT_HEADER, c->next);
        }
}

static void find_later(const uint8_t *p, size_t n, uint64_t bad, LogTail *ret) {
        for (size_t at = 0; at + RECORD_HEADER <= n; at += RECORD_ALIGN) {
                Record r;
                size_t used;
                const char *why;
                if (le32(p + at) < RECORD_HEADER || le32(p + at) > RECORD_MAX ||
                        record_decode(p + at, n - at, &r, NULL, &used, &why) != 0)
                        continue;
                if (r.index >= bad && r.group <= r.index && r.index - r.group <= bad)
                        continue; /* of the group that the bad one is in */
                ret->later = true;
                ret->later_index = r.index;
                return;
        }
}

int log_cursor_tail(const LogCursor *c, uint64_t bad, LogTail *ret) {
        const LogSegment *s = &c->segments[c->at];
        size_t n = s->bytes > c->offset ? (size_t)(s->bytes - c->offset) : 0;
        memset(ret, 0, sizeof(*ret));
        auto_free uint8_t *p = malloc(n + 1);
        if (!p)
                return -ENOMEM;
        int64_t got = c->src->read(c->src->user, s->first, c->offset, p, n);
        if (got < 0)
                return (int)got;
        n = (size_t)got;
        size_t used = n;
        while (used > 0 && p[used - 1] == 0)
                used--;
        ret->used = used;
        sha256(p, used, ret->sha256);
        if (used > 0)
                find_later(p, n, bad, ret);
        return 0;
}
