/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guardian-compile: reads the YAML that Guardian itself needs and hands back plain data, so that PID 1 holds
 * no YAML parser. One-shot: the result goes to stdout (or --out-fd N) only when everything was good; problems
 * go to stderr, status 65.
 */
#include "common/cleanup.h"
#include "guardian/compile/roles.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum { STATUS_USAGE = 64, STATUS_BAD = 65, STATUS_INTERNAL = 70 };

static int usage(void) {
        fprintf(stderr,
                "usage: guardian-compile [--out-fd N] roles DIR..\n       guardian-compile --version\n");
        return STATUS_USAGE;
}

/* AddressSanitizer keeps its shadow in terabytes of addresses, and looks for leaks with a thread. */
#if defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif

/* It parses text for a process that has all rights: it needs none itself, nor much memory or time. */
static void confine(void) {
        static const struct {
                __rlimit_resource_t what;
                rlim_t max;
        } limits[] = {
#ifndef ASAN
                {RLIMIT_AS, 256u << 20}, {RLIMIT_NPROC, 0},
#endif
                {RLIMIT_CPU, 5}, {RLIMIT_CORE, 0}, {RLIMIT_NOFILE, 16}};
        (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                struct rlimit l = {limits[i].max, limits[i].max};
                (void)setrlimit(limits[i].what, &l);
        }
}

static int write_all(int fd, const uint8_t *p, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, p, n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return k < 0 ? -errno : -EIO;
                p += k;
                n -= (size_t)k;
        }
        return 0;
}

static int compile_roles(const char *const *dirs, unsigned n, int fd) {
        Problems problems = {0};
        RolesBlob blob;
        Buf out = BUF_INIT(1 << 20);
        char text[900];
        int r = roles_from_dirs(dirs, n, &problems, &blob);
        for (size_t i = 0; i < problems.n; i++)
                fprintf(stderr, "%s\n", problem_format(&problems.items[i], text, sizeof(text)));
        if (r == 0)
                r = roles_blob_write(&blob, &out);
        if (r == 0)
                r = write_all(fd, out.data, out.len);
        if (r < 0 && problems.errors == 0)
                fprintf(stderr, "guardian-compile: %s\n", strerror(-r));
        int status = r == 0 ? 0 : problems.errors ? STATUS_BAD : STATUS_INTERNAL;
        roles_blob_done(&blob);
        buf_done(&out);
        problems_done(&problems);
        return status;
}

int main(int argc, char **argv) {
        uint64_t fd = STDOUT_FILENO;
        int at = 1;
        if (argc == 2 && strcmp(argv[1], "--version") == 0) {
                printf("guardian-compile " GUARDIAN_VERSION "\n");
                return 0;
        }
        if (argc > 2 && strcmp(argv[1], "--out-fd") == 0) {
                if (parse_u64(argv[2], &fd) < 0 || fd > 1024)
                        return usage();
                at = 3;
        }
        if (at + 1 >= argc || strcmp(argv[at], "roles") != 0)
                return usage();
        confine();
        return compile_roles((const char *const *)argv + at + 1, (unsigned)(argc - at - 1), (int)fd);
}
