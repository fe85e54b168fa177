/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What tests of the shell share: a folder of their own, a loop, descriptors counted before and after. */
#include "tests/unit/guardian/suite.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

static char dir[64];
static uv_loop_t loop;
static unsigned fds_before;

static inline unsigned count_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;
        ck_assert_ptr_nonnull(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f) {
        (void)st;
        (void)flag;
        (void)f;
        return remove(path);
}

/* The first loop of a process keeps a signal pipe for ever: made before counting. */
static inline void world_begin(void) {
        strcpy(dir, "/tmp/guardian-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        fds_before = count_fds();
        ck_assert_int_eq(uv_loop_init(&loop), 0);
}

static inline void say_fds(void) {
        for (int fd = 3; fd < 1024; fd++) {
                char path[40], name[128];
                snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                ssize_t n = readlink(path, name, sizeof(name));
                if (n > 0)
                        fprintf(stderr, "open at the end: %d %.*s\n", fd, (int)n, name);
        }
}

static inline void world_end(void) {
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0); /* no handle is left */
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        if (count_fds() != fds_before)
                say_fds();
        ck_assert_uint_eq(count_fds(), fds_before);
}

/* Until it holds; check's own time limit ends a wait for what never comes. Not UV_RUN_ONCE: that goes to
 * sleep after a timer made it true. */
#define WAIT_FOR(what)                                                                                       \
        for (;;) {                                                                                           \
                uv_run(&loop, UV_RUN_NOWAIT);                                                                \
                if (what)                                                                                    \
                        break;                                                                               \
                struct pollfd wait_ = {.fd = uv_backend_fd(&loop), .events = POLLIN};                        \
                poll(&wait_, 1, uv_backend_timeout(&loop));                                                  \
        }

static inline void path_in(char *out, size_t cap, const char *name) {
        ck_assert_int_lt(snprintf(out, cap, "%s/%s", dir, name), (int)cap);
}

static inline size_t read_file(const char *path, char *out, size_t cap) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
        ssize_t n = read(fd, out, cap - 1);
        ck_assert_int_ge(n, 0);
        out[n] = 0;
        close(fd);
        return (size_t)n;
}

static inline void write_file(const char *path, const char *text, size_t n, mode_t mode) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
        ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
        close(fd);
}

static inline int run_suite(
        const char *name, SFun setup, SFun teardown, const TTest *const *tests, size_t n) {
        Suite *s = suite_create(name);
        TCase *t = tcase_create(name);
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 20);
        for (size_t i = 0; i < n; i++)
                tcase_add_test(t, tests[i]);
        suite_add_tcase(s, t);
        SRunner *r = srunner_create(s);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        int failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed != 0;
}
