/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into one program of a test: fails calls and moves the wall clock, as a page shared with the test
 * says. FAULTS=FILE is that page (struct Page; faults.py writes the same bytes), FAULTS_PROGRAM=NAME the only
 * program that is touched: what Guardian hands down to others does nothing there. What is not failed goes
 * straight to the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FAULTS_MAX = 8 };

typedef enum Call {
        CALL_WRITE = 1,
        CALL_SYNC = 2,
        CALL_OPEN = 4,
        CALL_MMAP = 8,
        CALL_ALLOC = 16,
        CALL_REALLOC = 32,
        CALL_BEGIN = 64 /* the program's start: it stops itself (SIGSTOP), whatever the error */
} Call;

typedef struct Fault {
        uint32_t calls;        /* bits of Call */
        int32_t error;         /* errno; 0 is off */
        uint32_t after, every; /* the first `after` calls pass, then each `every`-th fails */
        uint32_t seen, hits;   /* counted here */
        char path[104];        /* part of the file's name; empty: any. memory has none */
} Fault;

typedef struct Page {
        int64_t wall_ns; /* added to CLOCK_REALTIME */
        Fault faults[FAULTS_MAX];
} Page;

_Static_assert(sizeof(Page) == 8 + FAULTS_MAX * 128, "faults.py knows this size");

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

static Page *page;

static bool is_file(const Fault *f, int fd, const char *path) {
        char link[64], name[512];
        if (!f->path[0])
                return true;
        if (!path) {
                snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
                ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, name, sizeof(name) - 1);
                name[n > 0 ? n : 0] = 0;
                path = name;
        }
        return strstr(path, f->path) != NULL;
}

/* True, and errno set: the call is to fail. */
static bool fails(Call call, int fd, const char *path) {
        for (unsigned i = 0; page && i < FAULTS_MAX; i++) {
                Fault *f = &page->faults[i];
                int error = __atomic_load_n(&f->error, __ATOMIC_ACQUIRE);
                if (!error || !(f->calls & call) || (call < CALL_ALLOC && !is_file(f, fd, path)))
                        continue;
                uint32_t n = __atomic_fetch_add(&f->seen, 1, __ATOMIC_RELAXED);
                if (n < f->after || (n - f->after) % (f->every ? f->every : 1) != 0)
                        continue;
                __atomic_fetch_add(&f->hits, 1, __ATOMIC_RELAXED);
                errno = error;
                return true;
        }
        return false;
}

__attribute__((constructor)) static void begin(void) {
        const char *file = getenv("FAULTS"), *program = getenv("FAULTS_PROGRAM");
        if (!file || !program || strcmp(program, program_invocation_short_name) != 0)
                return;
        int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return;
        void *p = (void *)syscall(SYS_mmap, NULL, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
        close(fd);
        page = p == MAP_FAILED ? NULL : p;
        if (fails(CALL_BEGIN, -1, NULL))
                raise(SIGSTOP);
}

ssize_t write(int fd, const void *p, size_t n) {
        return fails(CALL_WRITE, fd, NULL) ? -1 : syscall(SYS_write, fd, p, n);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) {
        return fails(CALL_WRITE, fd, NULL) ? -1 : syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at) {
        return pwrite64(fd, p, n, at);
}

int fsync(int fd) {
        return fails(CALL_SYNC, fd, NULL) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
        return fails(CALL_SYNC, fd, NULL) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

static int do_open(int dir, const char *path, int flags, mode_t mode) {
        return fails(CALL_OPEN, -1, path) ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define OPENS(name, params, dir)                                                                             \
        int name params {                                                                                    \
                va_list ap;                                                                                  \
                va_start(ap, flags);                                                                         \
                mode_t mode =                                                                                \
                        (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;      \
                va_end(ap);                                                                                  \
                return do_open(dir, path, flags, mode);                                                      \
        }

OPENS(open, (const char *path, int flags, ...), AT_FDCWD)
OPENS(open64, (const char *path, int flags, ...), AT_FDCWD)
OPENS(openat, (int dir, const char *path, int flags, ...), dir)
OPENS(openat64, (int dir, const char *path, int flags, ...), dir)

void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t offset) {
        return fails(CALL_MMAP, fd, fd < 0 ? "" : NULL)
                       ? MAP_FAILED
                       : (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset) {
        return mmap64(at, n, prot, flags, fd, offset);
}

void *malloc(size_t n) {
        return fails(CALL_ALLOC, -1, NULL) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size) {
        return fails(CALL_ALLOC, -1, NULL) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n) {
        return fails(CALL_REALLOC, -1, NULL) ? NULL : __libc_realloc(p, n);
}

int clock_gettime(clockid_t id, struct timespec *t) {
        int r = (int)syscall(SYS_clock_gettime, id, t);
        int64_t move = page && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) ? page->wall_ns : 0;
        if (r == 0 && move) {
                int64_t ns = t->tv_nsec + move % 1000000000;
                t->tv_sec += move / 1000000000 + (ns < 0 ? -1 : ns / 1000000000);
                t->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
        }
        return r;
}
