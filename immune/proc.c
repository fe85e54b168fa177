/* SPDX-License-Identifier: Apache-2.0 */
#include "immune/proc.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FDS_COUNTED_MAX = 4096 };

static int read_file(const char *path, char *out, size_t cap) {
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, out, cap - 1);
        if (n < 0)
                return -errno;
        out[n] = 0;
        return 0;
}

int proc_parse_stat(const char *line, uint64_t *start_time, uint64_t *pages) {
        const char *p = strrchr(line, ')');

        if (!p || p[1] != ' ')
                return -EINVAL;
        p += 2; /* field 3, the state */
        for (unsigned field = 3; field < 22; field++) {
                p = strchr(p, ' ');
                if (!p)
                        return -EINVAL;
                p++;
        }
        return sscanf(p, "%" SCNu64 " %*u %" SCNu64, start_time, pages) == 2 ? 0 : -EINVAL;
}

uint64_t proc_resident(uint64_t pid, uint64_t start_time) {
        char path[64], line[1024];
        uint64_t start, pages;

        snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
        if (read_file(path, line, sizeof(line)) < 0 || proc_parse_stat(line, &start, &pages) < 0 ||
                start != start_time)
                return 0;
        return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add(Evidence *out, unsigned *n, const char *key, int64_t value) {
        if (*n >= IMMUNE_EVIDENCE_MAX)
                return;
        str_copy(out[*n].key, sizeof(out[*n].key), str_of(key));
        out[(*n)++].value = value;
}

static void add_line(Evidence *out, unsigned *n, const char *text, const char *name, const char *key) {
        const char *p = strstr(text, name);
        int64_t v;

        if (p && sscanf(p + strlen(name), " %" SCNd64, &v) == 1)
                add(out, n, key, v);
}

static void add_fds(Evidence *out, unsigned *n, uint64_t pid) {
        char path[64];
        int64_t count = 0;

        snprintf(path, sizeof(path), "/proc/%" PRIu64 "/fd", pid);
        auto_closedir DIR *d = opendir(path);
        if (!d) /* another user's process, and we may not look: no evidence is no evidence */
                return;
        for (const struct dirent *e = readdir(d); e && count < FDS_COUNTED_MAX; e = readdir(d))
                count += e->d_name[0] != '.';
        add(out, n, "fds", count);
}

static void add_machine(Evidence *out, unsigned *n) {
        char text[4096];
        double pressure;

        if (read_file("/proc/meminfo", text, sizeof(text)) == 0)
                add_line(out, n, text, "MemAvailable:", "mem_available_kib");
        if (read_file("/proc/pressure/memory", text, sizeof(text)) == 0 &&
                sscanf(text, "some avg10=%lf", &pressure) == 1)
                add(out, n, "memory_pressure", (int64_t)(pressure * 100)); /* hundredths of a per cent */
}

unsigned proc_evidence(uint64_t pid, uint64_t start_time, Evidence *out) {
        char path[64], text[4096];
        unsigned n = 0;

        if (proc_resident(pid, start_time) == 0)
                return 0;
        snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", pid);
        if (read_file(path, text, sizeof(text)) == 0) {
                const char *state = strstr(text, "\nState:");
                if (state && strlen(state) > 8)
                        add(out, &n, "stopped", state[8] == 'T' || state[8] == 't');
                add_line(out, &n, text, "\nVmRSS:", "rss_kib");
                add_line(out, &n, text, "\nVmHWM:", "peak_kib");
                add_line(out, &n, text, "\nVmSwap:", "swap_kib");
                add_line(out, &n, text, "\nThreads:", "threads");
        }
        add_fds(out, &n, pid);
        add_machine(out, &n);
        return n;
}
