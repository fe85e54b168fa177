/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/unit-scan.h"
#include "common/cleanup.h"
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static bool has_suffix(const char *s, const char *suffix, size_t *stem) {
        size_t n = strlen(s), m = strlen(suffix);
        if (n <= m || strcmp(s + n - m, suffix) != 0)
                return false;
        *stem = n - m;
        return true;
}

static ScanEntry *add_entry(Scan *s, const char *name, size_t n, const char *dir, const char *file) {
        if (s->n == s->cap) {
                size_t cap = s->cap ? s->cap * 2 : 64;
                ScanEntry *items = realloc(s->items, cap * sizeof(ScanEntry));
                if (!items)
                        return NULL;
                s->items = items;
                s->cap = cap;
        }
        ScanEntry *e = &s->items[s->n];
        *e = (ScanEntry){.seq = (unsigned)s->n};
        size_t len = strlen(dir) + strlen(file) + 2;
        e->name = arena_strndup(&s->arena, name, n);
        e->dir = arena_strndup(&s->arena, dir, strlen(dir));
        e->path = arena_alloc(&s->arena, len);
        if (!e->name || !e->dir || !e->path)
                return NULL;
        snprintf(e->path, len, "%s/%s", dir, file);
        s->n++;
        return e;
}

static void scan_problem(
        Problems *p, const char *dir, const char *file, const char *hint, const char *message) {
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s", dir, file);
        problem_add(p, PROBLEM_ERROR, path, 0, 0, "unit-file", hint, "%s", message);
}

/* The file must be a regular one behind its symlinks; /dev/null takes the unit of that name away. */
static int add_unit(Scan *s, const char *dir, const char *file, size_t stem, bool core, Problems *p) {
        struct stat st;
        char name[NAME_MAX + 1];
        str_copy(name, sizeof(name), (Str){file, stem});
        if (!unit_name_valid(name)) {
                scan_problem(p, dir, file, "letters, digits, '_', '.', '@', ':' and '-', at most 64",
                        "not a valid unit name");
                return 0;
        }
        ScanEntry *e = add_entry(s, file, stem, dir, file);
        if (!e)
                return -ENOMEM;
        e->from_core = core;
        if (stat(e->path, &st) < 0) {
                if (error_is_shortage(-errno))
                        return -errno;
                scan_problem(p, dir, file, errno == ENOENT ? "a dangling symlink?" : NULL, strerror(errno));
                e->masked = true;
        } else if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) {
                e->masked = true;
        } else if (!S_ISREG(st.st_mode)) {
                scan_problem(p, dir, file, NULL, "not a regular file");
                e->masked = true;
        }
        return 0;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names of a directory, hidden ones left out. */
static int list_directory(const char *path, StrList *ret, Arena *a) {
        auto_closedir DIR *d = opendir(path);
        if (!d)
                return -errno;
        for (;;) {
                errno = 0;
                const struct dirent *de = readdir(d);
                if (!de)
                        break;
                if (de->d_name[0] == '.')
                        continue;
                char *name = arena_strndup(a, de->d_name, strlen(de->d_name));
                int r = name ? strlist_push(a, ret, name) : -ENOMEM;
                if (r < 0)
                        return r;
                if (ret->n > 2 * UNITS_MAX)
                        return -E2BIG;
        }
        if (errno)
                return -errno;
        if (ret->n > 1)
                qsort(ret->items, ret->n, sizeof(char *), compare_names);
        return 0;
}

static int add_drop_ins(Scan *s, const char *dir, const char *file, size_t stem, Problems *p) {
        char path[PATH_MAX];
        StrList names = {0};
        snprintf(path, sizeof(path), "%s/%s", dir, file);
        int r = list_directory(path, &names, &s->arena);
        if (error_is_shortage(r))
                return r;
        if (r < 0) {
                scan_problem(p, dir, file, NULL, strerror(-r));
                return 0;
        }
        for (unsigned i = 0; i < names.n && r == 0; i++) {
                size_t n;
                if (!has_suffix(names.items[i], ".conf", &n))
                        continue;
                ScanEntry *e = add_entry(s, file, stem, path, names.items[i]);
                if (!e)
                        return -ENOMEM;
                e->conf = names.items[i];
        }
        return r;
}

static int scan_directory(const UnitLoad *load, const char *dir, bool core, Scan *s, Problems *p) {
        StrList names = {0};
        int r = list_directory(dir, &names, &s->arena);
        if (error_is_shortage(r))
                return r;
        if (r < 0) {
                bool named = core;
                for (unsigned i = 0; i < load->n_must_exist; i++)
                        named = named || strcmp(load->must_exist[i], dir) == 0;
                if (named || r != -ENOENT)
                        problem_add(p, PROBLEM_ERROR, dir, 0, 0, "unit-directory",
                                core ? "is Guardian installed whole? --no-core goes without"
                                : r == -EACCES && !named ? "is HOME or XDG_CONFIG_HOME another user's?"
                                                         : NULL,
                                "cannot read the unit directory: %s", strerror(-r));
                return 0;
        }
        for (unsigned i = 0; i < names.n; i++) {
                const char *f = names.items[i];
                size_t stem;
                r = 0;
                if (has_suffix(f, ".chunk", &stem))
                        r = add_unit(s, dir, f, stem, core, p);
                else if (has_suffix(f, ".chunk.d", &stem))
                        r = add_drop_ins(s, dir, f, stem, p);
                else if (has_suffix(f, ".service", &stem))
                        scan_problem(p, dir, f, "write it as NAME.chunk; most keys are the same",
                                "systemd unit files come with a later version");
                if (r < 0)
                        return r;
        }
        return 0;
}

static int compare_keys(const ScanEntry *a, const ScanEntry *b) {
        int r = strcmp(a->name, b->name);
        if (r)
                return r;
        if (!a->conf || !b->conf)
                return (a->conf != NULL) - (b->conf != NULL);
        return strcmp(a->conf, b->conf);
}

static int compare_entries(const void *pa, const void *pb) {
        const ScanEntry *a = pa, *b = pb;
        int r = compare_keys(a, b);
        return r ? r : (a->seq > b->seq) - (a->seq < b->seq);
}

/* Of several with one name the last wins; a unit stays a core unit whoever replaced its file. */
static void keep_last(Scan *s) {
        size_t n = 0;
        if (s->n > 1)
                qsort(s->items, s->n, sizeof(ScanEntry), compare_entries);
        for (size_t i = 0; i < s->n; i++) {
                ScanEntry e = s->items[i];
                e.core = e.from_core;
                if (n > 0 && compare_keys(&s->items[n - 1], &e) == 0) {
                        e.core = e.core || s->items[n - 1].core;
                        n--;
                }
                s->items[n++] = e;
        }
        s->n = n;
}

int scan_directories(const UnitLoad *load, Scan *ret, Problems *problems) {
        int r = 0;
        *ret = (Scan){0};
        if (!load->no_core)
                r = scan_directory(load, load->core_dir, true, ret, problems);
        for (unsigned i = 0; i < load->n_dirs && r == 0; i++)
                r = scan_directory(load, load->dirs[i], false, ret, problems);
        keep_last(ret);
        return r;
}

void scan_done(Scan *s) {
        free(s->items);
        arena_done(&s->arena);
        *s = (Scan){0};
}

/* First entry that is not before (name, unit file). */
static size_t lower_bound(const Scan *s, const char *name) {
        size_t low = 0, high = s->n;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                if (strcmp(s->items[mid].name, name) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

const ScanEntry *scan_find(const Scan *s, const char *name) {
        size_t i = lower_bound(s, name);
        if (i >= s->n || strcmp(s->items[i].name, name) != 0 || s->items[i].conf || s->items[i].masked)
                return NULL;
        return &s->items[i];
}

const ScanEntry *scan_drop_ins(const Scan *s, const char *name, size_t *n) {
        size_t i = lower_bound(s, name);
        while (i < s->n && strcmp(s->items[i].name, name) == 0 && !s->items[i].conf)
                i++;
        size_t first = i;
        while (i < s->n && strcmp(s->items[i].name, name) == 0)
                i++;
        *n = i - first;
        return *n ? &s->items[first] : NULL;
}
