/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/spool.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/sha256.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A line: 16 hex digits of SHA-256 of the rest, then id, time, actor, action, resource, result, correlation id and body,
 * separated by tabs. None of them holds a tab or a newline: names and ids can't, and the JSON writer escapes both. */
enum { LINE_FIELDS = 9 };

struct Spool {
        Workers *workers;
        char path[1100];
        SpoolFn fn;
        void *user;
        List records;
        size_t bytes, pending, dropped;
        size_t good; /* length of the durable lines in the file: what follows is cut off before the next write */
        /* one job at a time; what comes meanwhile waits for the next one */
        WorkerJob work;
        bool busy, again;
        Buf writing;
        int unwritten; /* why not all that waits is in `writing`: -errno */
        int error;
};

static int format_line(const SpoolRecord *r, Buf *out) {
        char id[33], sum[65];
        uint8_t hash[32];
        Buf rest = BUF_INIT(SPOOL_MAX_BYTES);
        hex_encode(r->id, sizeof(r->id), id);
        int e = buf_appendf(&rest, "%s\t%" PRIu64 "\t%s\t%s\t%s\t%s\t%s\t%s", id, r->time_ns, r->actor, r->action, r->resource,
                r->result, r->correlation_id, r->body ? r->body : "{}");
        if (e == 0) {
                sha256(rest.data, rest.len, hash);
                hex_encode(hash, 8, sum);
                e = buf_appendf(out, "%s\t", sum);
        }
        if (e == 0)
                e = buf_append(out, rest.data, rest.len);
        if (e == 0)
                e = buf_append(out, "\n", 1);
        buf_done(&rest);
        return e;
}

static SpoolRecord *record_new(const SpoolRecord *from) {
        SpoolRecord *r = malloc(sizeof(*r));
        if (!r)
                return NULL;
        *r = *from;
        r->body = strdup(from->body ? from->body : "{}");
        if (!r->body) {
                free(r);
                return NULL;
        }
        return r;
}

static void record_free(SpoolRecord *r) {
        list_remove(&r->node);
        free(r->body);
        free(r);
}

static int parse_line(char *line, SpoolRecord *r) {
        char *f[LINE_FIELDS];
        char *rest = strchr(line, '\t');
        if (!rest)
                return -EBADMSG;
        uint8_t hash[32];
        char sum[65];
        sha256(rest + 1, strlen(rest + 1), hash);
        hex_encode(hash, 8, sum);
        if ((size_t)(rest - line) != 16 || memcmp(sum, line, 16) != 0)
                return -EBADMSG;
        char *p = line;
        for (unsigned i = 0; i < LINE_FIELDS; i++) {
                f[i] = p;
                char *tab = i + 1 < LINE_FIELDS ? strchr(p, '\t') : NULL;
                if (i + 1 < LINE_FIELDS) {
                        if (!tab)
                                return -EBADMSG;
                        *tab = 0;
                        p = tab + 1;
                }
        }
        *r = (SpoolRecord){.stored = true, .body = f[8]};
        if (strlen(f[1]) != 32 || hex_decode(f[1], 32, r->id) < 0 || parse_u64(f[2], &r->time_ns) < 0)
                return -EBADMSG;
        str_copy(r->actor, sizeof(r->actor), str_of(f[3]));
        str_copy(r->action, sizeof(r->action), str_of(f[4]));
        str_copy(r->resource, sizeof(r->resource), str_of(f[5]));
        str_copy(r->result, sizeof(r->result), str_of(f[6]));
        str_copy(r->correlation_id, sizeof(r->correlation_id), str_of(f[7]));
        return 0;
}

static int load(Spool *s) {
        auto_close int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* a FIFO is refused below */
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        struct stat st;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size > SPOOL_MAX_BYTES)
                return -EFBIG;
        auto_free char *text = malloc((size_t)st.st_size + 1);
        if (!text)
                return -ENOMEM;
        ssize_t n = pread(fd, text, (size_t)st.st_size, 0);
        if (n < 0)
                return -errno;
        text[n] = 0;
        const char *last = strrchr(text, '\n');
        s->bytes = s->good = last ? (size_t)(last + 1 - text) : 0; /* else the next line would join a torn one */
        char *save = NULL;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                SpoolRecord r, *copy;
                if (parse_line(line, &r) < 0) {
                        s->dropped++;
                        continue;
                }
                copy = record_new(&r);
                if (!copy)
                        return -ENOMEM;
                copy->stored = (size_t)(line - text) < s->good; /* whole but for its newline: written again */
                list_append(&s->records, &copy->node);
                s->pending++;
        }
        return 0;
}

static void on_work(WorkerJob *w) {
        Spool *s = container_of(w, Spool, work);
        s->error = 0;
        auto_close int fd = open(s->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0 || ftruncate(fd, (off_t)s->good) < 0) {
                s->error = -errno;
                return;
        }
        for (size_t at = 0; at < s->writing.len;) {
                ssize_t n = pwrite(fd, s->writing.data + at, s->writing.len - at, (off_t)(s->good + at));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        s->error = n < 0 ? -errno : -EIO;
                        return;
                }
                at += (size_t)n;
        }
        if (fsync(fd) < 0)
                s->error = -errno;
}

static void start_work(Spool *s);

static void on_done(WorkerJob *w) {
        Spool *s = container_of(w, Spool, work);
        s->busy = false;
        int error = s->error < 0 ? s->error : s->unwritten;
        bool more = s->again;
        s->again = false;
        if (s->error == 0)
                s->good += s->writing.len;
        LIST_FOREACH(n, &s->records) {
                SpoolRecord *r = container_of(n, SpoolRecord, node);
                r->stored = r->stored || (r->flying && s->error == 0);
                r->flying = false;
        }
        if (more)
                start_work(s);
        else if (s->fn)
                s->fn(s->user, error);
}

/* Appends what is not stored yet, or empties the file when nothing is left to import. What could not be stored goes with
 * the next record. */
static void start_work(Spool *s) {
        if (s->busy) {
                s->again = true;
                return;
        }
        s->writing.len = 0;
        s->unwritten = 0;
        if (s->pending == 0)
                s->bytes = s->good = 0;
        LIST_FOREACH(n, &s->records) {
                SpoolRecord *r = container_of(n, SpoolRecord, node);
                if (r->stored)
                        continue;
                size_t whole = s->writing.len;
                s->unwritten = format_line(r, &s->writing);
                if (s->unwritten < 0) {
                        s->writing.len = whole;
                        break;
                }
                r->flying = true;
        }
        s->busy = true;
        worker_start(s->workers, &s->work);
}

int spool_open(Workers *workers, const char *dir, SpoolFn fn, void *user, Spool **ret) {
        Spool *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->workers = workers;
        s->work = (WorkerJob){.run = on_work, .done = on_done};
        s->fn = fn;
        s->user = user;
        s->writing = BUF_INIT(SPOOL_MAX_BYTES + 4096);
        list_init(&s->records);
        snprintf(s->path, sizeof(s->path), "%s/recovery", dir);
        int r = load(s);
        if (r < 0) {
                spool_close(s);
                return r;
        }
        *ret = s;
        return 0;
}

int spool_add(Spool *s, const SpoolRecord *r) {
        size_t size = 320 + strlen(r->body ? r->body : "{}") + strlen(r->actor) + strlen(r->resource);
        if (s->bytes + size > SPOOL_MAX_BYTES)
                return -ENOSPC;
        SpoolRecord *copy = record_new(r);
        if (!copy)
                return -ENOMEM;
        copy->stored = copy->flying = false;
        list_append(&s->records, &copy->node);
        s->pending++;
        s->bytes += size;
        start_work(s);
        return 0;
}

size_t spool_pending(const Spool *s) {
        return s->pending;
}

size_t spool_dropped(const Spool *s) {
        return s->dropped;
}

SpoolRecord *spool_first(Spool *s) {
        return list_empty(&s->records) ? NULL : container_of(s->records.next, SpoolRecord, node);
}

SpoolRecord *spool_next(Spool *s, SpoolRecord *r) {
        return r->node.next == &s->records ? NULL : container_of(r->node.next, SpoolRecord, node);
}

void spool_imported_id(Spool *s, const uint8_t id[16]) {
        bool found = false;
        LIST_FOREACH_SAFE(n, next, &s->records) {
                SpoolRecord *r = container_of(n, SpoolRecord, node);
                if (memcmp(r->id, id, sizeof(r->id)) != 0)
                        continue;
                record_free(r);
                s->pending--;
                found = true;
        }
        if (found && s->pending == 0)
                start_work(s);
}

bool spool_settle(Spool *s, uint64_t limit_ms) {
        while (s && s->busy)
                if (!worker_finish(&s->work, limit_ms))
                        return false;
        return true;
}

Spool *spool_close(Spool *s) {
        if (!s)
                return NULL;
        LIST_FOREACH_SAFE(n, next, &s->records)
                record_free(container_of(n, SpoolRecord, node));
        buf_done(&s->writing);
        free(s);
        return NULL;
}
