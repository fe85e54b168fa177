/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/unit-load.h"
#include "common/cleanup.h"
#include "guardian/unit-scan.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The whole of a unit file, at most one byte more than is allowed (the parser says so then). 0 or -errno. */
static int read_text(const char *path, char **ret, size_t *len) {
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        struct stat st;
        if (fstat(fd, &st) < 0)
                return -errno;
        /* -EBADF: a FIFO, a device; the file that is really read, units are also looked at by the scan. /dev/null takes
         * a drop-in away. */
        if (!S_ISREG(st.st_mode) && !(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
                return -EBADF;
        size_t n = 0, cap = 4096;
        auto_free char *text = malloc(cap);
        while (text && n <= UNIT_FILE_MAX) {
                if (n == cap) {
                        char *more = realloc(text, cap *= 2);
                        if (!more)
                                return -ENOMEM;
                        text = more;
                }
                ssize_t k = read(fd, text + n, cap - n);
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t)k;
        }
        if (!text)
                return -ENOMEM;
        *ret = TAKE(text);
        *len = n;
        return 0;
}

static int apply_file(UnitConfig *u, const char *path, bool drop_in, const UnitPaths *paths, Problems *p) {
        auto_free char *text = NULL;
        size_t n = 0;
        int r = read_text(path, &text, &n);
        if (r == 0)
                return unit_file_parse(u, (Str){text, n}, path, drop_in, paths, p);
        if (error_is_shortage(r))
                return r;
        problem_add(p, PROBLEM_ERROR, path, 0, 0, "unit-file", NULL, "cannot read: %s",
                r == -EBADF ? "not a regular file" : strerror(-r));
        return 0;
}

static int apply_drop_ins(
        UnitConfig *u, const Scan *scan, const char *name, const UnitPaths *paths, Problems *p) {
        size_t n = 0;
        const ScanEntry *e = scan_drop_ins(scan, name, &n);
        int r = 0;
        for (size_t i = 0; i < n && r == 0; i++)
                r = apply_file(u, e[i].path, true, paths, p);
        return r;
}

static int load_unit(const Scan *scan, const ScanEntry *e, const char *name, const UnitPaths *paths,
        UnitConfig **ret, Problems *p) {
        UnitConfig *u = unit_config_new(name);
        if (!u)
                return -ENOMEM;
        u->file = arena_strndup(&u->arena, e->path, strlen(e->path));
        u->dir = arena_strndup(&u->arena, e->dir, strlen(e->dir));
        u->core = e->core;
        u->from_core_dir = e->from_core;
        int r = u->file && u->dir ? apply_file(u, e->path, false, paths, p) : -ENOMEM;
        if (r == 0 && u->template_name)
                r = apply_drop_ins(u, scan, u->template_name, paths, p);
        if (r == 0)
                r = apply_drop_ins(u, scan, name, paths, p);
        if (r == 0)
                r = unit_file_finish(u, paths, p);
        if (r < 0) {
                unit_config_free(u);
                return r;
        }
        *ret = u;
        return 0;
}

typedef struct Loader {
        const UnitLoad *load;
        Scan scan;
        UnitSet *set;
        unsigned cap, sorted; /* the first `sorted` units are in order */
        Problems *problems;
} Loader;

static int compare_units(const void *a, const void *b) {
        return strcmp((*(UnitConfig *const *)a)->name, (*(UnitConfig *const *)b)->name);
}

/* Index in a sorted array, n when there is none. */
static unsigned index_of(UnitConfig *const *units, unsigned n, const char *name) {
        unsigned low = 0, high = n;
        while (low < high) {
                unsigned mid = low + (high - low) / 2;
                int r = strcmp(units[mid]->name, name);
                if (r == 0)
                        return mid;
                if (r < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return n;
}

static UnitConfig *find_first(UnitConfig *const *units, unsigned n, const char *name) {
        unsigned i = index_of(units, n, name);
        return i < n ? units[i] : NULL;
}

static int append_unit(Loader *l, const ScanEntry *e, const char *name) {
        UnitSet *s = l->set;
        if (s->n >= UNITS_MAX) {
                problem_add(l->problems, PROBLEM_ERROR, e->path, 0, 0, "too-many-units", NULL,
                        "more than %d units", UNITS_MAX);
                return 0;
        }
        if (s->n == l->cap) {
                unsigned cap = l->cap ? l->cap * 2 : 64;
                UnitConfig **units = realloc(s->units, cap * sizeof(UnitConfig *));
                if (!units)
                        return -ENOMEM;
                s->units = units;
                l->cap = cap;
        }
        int r = load_unit(&l->scan, e, name, &l->load->paths, &s->units[s->n], l->problems);
        if (r == 0)
                s->n++;
        return r;
}

/* A name that no file has, but whose template exists: "worker@a" from worker@.chunk. */
static const ScanEntry *template_of(const Loader *l, const char *name) {
        char template[129];
        const char *at = strchr(name, '@');
        if (!at || !at[1] || (size_t)(at - name) + 2 > sizeof(template))
                return NULL;
        str_copy(template, sizeof(template), (Str){name, (size_t)(at - name) + 1});
        return scan_find(&l->scan, template);
}

/* Adds the instance a dependency names, unless it is there. The new ones stand behind `sorted`. */
static int want_instance(Loader *l, const char *name) {
        const ScanEntry *e = template_of(l, name);
        if (!e || find_first(l->set->units, l->sorted, name))
                return 0;
        for (unsigned i = l->sorted; i < l->set->n; i++)
                if (strcmp(l->set->units[i]->name, name) == 0)
                        return 0;
        return append_unit(l, e, name);
}

static int want_instances(Loader *l, const UnitConfig *u) {
        const UnitRefs *lists[] = {&u->requires, &u->wants, &u->links};
        int r = 0;
        for (size_t k = 0; k < ELEMENTSOF(lists); k++)
                for (unsigned i = 0; i < lists[k]->n && r == 0; i++)
                        r = want_instance(l, lists[k]->items[i].name);
        return r;
}

static void sort_units(Loader *l) {
        if (l->set->n > 1)
                qsort(l->set->units, l->set->n, sizeof(UnitConfig *), compare_units);
        l->sorted = l->set->n;
}

/* Instances may name instances: repeated until nothing new appears; names are bounded, so this ends. */
static int load_instances(Loader *l) {
        int r = 0;
        for (unsigned i = 0; i < l->load->n_only && r == 0; i++)
                r = want_instance(l, l->load->only[i]);
        unsigned before;
        do {
                sort_units(l);
                before = l->set->n;
                for (unsigned i = 0; i < before && r == 0; i++)
                        r = want_instances(l, l->set->units[i]);
        } while (r == 0 && l->set->n > before);
        return r;
}

static int load_files(Loader *l) {
        int r = 0;
        for (size_t i = 0; i < l->scan.n && r == 0; i++) {
                const ScanEntry *e = &l->scan.items[i];
                if (!e->conf && !e->masked && e->name[strlen(e->name) - 1] != '@')
                        r = append_unit(l, e, e->name);
        }
        return r;
}

static const char *nearest_unit(const Loader *l, const char *name, char *hint, size_t cap) {
        const char **names = calloc(l->set->n ? l->set->n : 1, sizeof(char *));
        const char *near = NULL;
        for (unsigned i = 0; names && i < l->set->n; i++)
                names[i] = l->set->units[i]->name;
        if (names)
                near = nearest_name(name, names, l->set->n);
        free(names);
        if (near)
                snprintf(hint, cap, "did you mean '%s'?", near);
        else if (l->load->no_core && (unit_is_bootstrap(name) || strcmp(name, "mesh") == 0))
                snprintf(hint, cap, "--no-core leaves the core set out");
        else
                snprintf(hint, cap, "units are NAME.chunk in the unit directories");
        return hint;
}

static void check_refs(const Loader *l, const UnitRefs *refs, ProblemSeverity severity, const char *key) {
        char hint[200];
        for (unsigned i = 0; i < refs->n; i++) {
                const UnitRef *r = &refs->items[i];
                if (find_first(l->set->units, l->set->n, r->name))
                        continue;
                problem_add(l->problems, severity, r->file, r->line, 0, "unknown-unit",
                        nearest_unit(l, r->name, hint, sizeof(hint)),
                        "%s=%s names a unit that does not exist", key, r->name);
        }
}

/* Against everything found, before --only narrows it: a unit that merely was not asked for is not unknown. */
static void check_all_refs(const Loader *l) {
        for (unsigned i = 0; i < l->set->n; i++) {
                const UnitConfig *u = l->set->units[i];
                check_refs(l, &u->requires, PROBLEM_ERROR, "Requires");
                check_refs(l, &u->links, PROBLEM_ERROR, "Links");
                check_refs(l, &u->wants, PROBLEM_WARNING, "Wants");
                check_refs(l, &u->after, PROBLEM_WARNING, "After");
                check_refs(l, &u->before, PROBLEM_WARNING, "Before");
        }
}

static void mark(const UnitSet *s, const char *name, bool *keep, unsigned *stack, unsigned *depth) {
        unsigned i = index_of(s->units, s->n, name);
        if (i < s->n && !keep[i]) {
                keep[i] = true;
                stack[(*depth)++] = i;
        }
}

/* --only: those, the core set, and what these require or link to; the rest is freed. */
static int narrow(Loader *l) {
        UnitSet *s = l->set;
        if (l->load->n_only == 0 || s->n == 0)
                return 0;
        auto_free bool *keep = calloc(s->n, sizeof(bool));
        auto_free unsigned *stack = calloc(s->n, sizeof(unsigned));
        if (!keep || !stack)
                return -ENOMEM;
        unsigned depth = 0, n = 0;
        for (unsigned i = 0; i < l->load->n_only; i++)
                mark(s, l->load->only[i], keep, stack, &depth);
        for (unsigned i = 0; i < s->n; i++)
                if (s->units[i]->core)
                        mark(s, s->units[i]->name, keep, stack, &depth);
        while (depth > 0) {
                const UnitConfig *u = s->units[stack[--depth]];
                for (unsigned i = 0; i < u->requires.n; i++)
                        mark(s, u->requires.items[i].name, keep, stack, &depth);
                for (unsigned i = 0; i < u->links.n; i++)
                        mark(s, u->links.items[i].name, keep, stack, &depth);
        }
        for (unsigned i = 0; i < s->n; i++) {
                if (keep[i])
                        s->units[n++] = s->units[i];
                else
                        unit_config_free(s->units[i]);
        }
        s->n = n;
        return 0;
}

static void check_only(const Loader *l) {
        char hint[200];
        for (unsigned i = 0; i < l->load->n_only; i++)
                if (!find_first(l->set->units, l->set->n, l->load->only[i]))
                        problem_add(l->problems, PROBLEM_ERROR, "--only", 0, 0, "unknown-unit",
                                nearest_unit(l, l->load->only[i], hint, sizeof(hint)), "unknown unit '%s'",
                                l->load->only[i]);
}

int unit_set_load(const UnitLoad *load, UnitSet **ret, Problems *problems) {
        Loader l = {.load = load, .problems = problems, .set = calloc(1, sizeof(UnitSet))};
        if (!l.set)
                return -ENOMEM;
        int r = scan_directories(load, &l.scan, problems);
        if (r == 0)
                r = load_files(&l);
        if (r == 0)
                r = load_instances(&l);
        if (r == 0) {
                check_all_refs(&l);
                check_only(&l);
                r = narrow(&l);
        }
        scan_done(&l.scan);
        if (r < 0) {
                unit_set_free(l.set);
                return r;
        }
        l.set->governed = unit_set_find(l.set, "governance") != NULL;
        *ret = l.set;
        return 0;
}

UnitSet *unit_set_free(UnitSet *s) {
        if (s) {
                for (unsigned i = 0; i < s->n; i++)
                        unit_config_free(s->units[i]);
                free(s->units);
                free(s);
        }
        return NULL;
}

UnitConfig *unit_set_find(const UnitSet *s, const char *name) {
        return find_first(s->units, s->n, name);
}
