/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/marker.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/str.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_work(WorkerJob *w);
static void on_done(WorkerJob *w);

void marker_init(Marker *m, Workers *workers, const char *dir) {
        *m = (Marker){.workers = workers, .work = {.run = on_work, .done = on_done}};
        if (dir[0])
                snprintf(m->path, sizeof(m->path), "%s/paused", dir);
}

bool marker_read(const Marker *m, char *reason, size_t cap) {
        reason[0] = 0;
        if (!m->path[0])
                return false;
        auto_close int fd = open(m->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return errno == ENOENT;
        ssize_t n = read(fd, reason, cap - 1);
        if (n < 0) { /* it is there: whatever it says, it is not "go on" */
                log_error("the pause marker can't be read: healing stays paused", LOG_STR("file", m->path), LOG_ERRNO(-errno),
                        LOG_STR("hint", "guardianctl resume"));
                n = 0;
        }
        reason[n] = 0;
        if (n == 0)
                str_copy(reason, cap, str_of("paused"));
        return true;
}

static int sync_dir(const char *path) {
        char dir[1200];
        str_copy(dir, sizeof(dir), (Str){path, (size_t)(strrchr(path, '/') - path)});
        auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_file(const char *path, const char *text) {
        auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0)
                return -errno;
        /* its presence is what counts: a text that is cut short by a full disk is still a pause */
        if (write(fd, text, strlen(text)) < 0 || fsync(fd) < 0)
                return -errno;
        return sync_dir(path);
}

/* A disk that is read only refuses before it looks: what is not there need not be removed. */
static int remove_file(const char *path) {
        struct stat st;
        if (unlink(path) < 0 && errno != ENOENT) {
                int r = -errno;
                return lstat(path, &st) < 0 && errno == ENOENT ? 0 : r;
        }
        return sync_dir(path);
}

static void on_work(WorkerJob *w) {
        Marker *m = container_of(w, Marker, work);
        if (m->write_present)
                m->error = write_file(m->path, m->writing);
        else
                m->error = remove_file(m->path);
}

static void start(Marker *m);

static void on_done(WorkerJob *w) {
        Marker *m = container_of(w, Marker, work);
        m->busy = false;
        if (m->error < 0)
                log_error("the pause marker can't be changed: the next start may not know of this pause or resume",
                        LOG_STR("file", m->path), LOG_ERRNO(m->error));
        if (m->again)
                start(m);
        else if (m->settled)
                m->settled(m->user);
}

static void start(Marker *m) {
        m->again = m->busy;
        if (m->busy)
                return;
        memcpy(m->writing, m->text, sizeof(m->writing));
        m->write_present = m->present;
        m->busy = true;
        worker_start(m->workers, &m->work);
}

void marker_set(Marker *m, const char *reason) {
        m->present = reason != NULL;
        if (!m->path[0])
                return;
        str_copy(m->text, sizeof(m->text), str_of(reason ? reason : ""));
        start(m);
}

void marker_retry(Marker *m) {
        if (m->path[0] && !m->busy && m->error < 0)
                start(m);
}

void marker_on_settled(Marker *m, void (*settled)(void *user), void *user) {
        m->settled = settled;
        m->user = user;
}

bool marker_pending(const Marker *m) {
        return m->busy;
}

int marker_error(const Marker *m) {
        if (!m->path[0])
                return m->present ? -ENOENT : 0;
        return m->busy ? m->work.lacking : m->error;
}

bool marker_settle(Marker *m, uint64_t limit_ms) {
        while (m->busy)
                if (!worker_finish(&m->work, limit_ms))
                        return false;
        return true;
}
