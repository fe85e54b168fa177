/* SPDX-License-Identifier: Apache-2.0 */
#include "common/error.h"
#include "common/str.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Problem *problem_slot(Problems *p) {
        if (p->n >= PROBLEMS_MAX)
                return NULL;
        if (p->n == p->cap) {
                size_t cap = p->cap ? p->cap * 2 : 8;
                Problem *items = realloc(p->items, cap * sizeof(*items));

                if (!items)
                        return NULL;
                p->items = items;
                p->cap = cap;
        }
        return memset(&p->items[p->n++], 0, sizeof(Problem));
}

void problem_add(Problems *p, ProblemSeverity sev, const char *file, unsigned line, unsigned column,
        const char *code, const char *hint, const char *fmt, ...) {
        Problem *it;
        va_list ap;

        if (!p)
                return;
        if (sev == PROBLEM_ERROR)
                p->errors++;
        it = problem_slot(p);
        if (!it) {
                p->dropped++;
                return;
        }
        it->line = line;
        it->column = column;
        it->severity = sev;
        str_copy(it->file, sizeof(it->file), str_of(file));
        str_copy(it->code, sizeof(it->code), str_of(code));
        str_copy(it->hint, sizeof(it->hint), str_of(hint));
        va_start(ap, fmt);
        vsnprintf(it->message, sizeof(it->message), fmt, ap);
        va_end(ap);
}

const char *problem_format(const Problem *p, char *out, size_t cap) {
        char where[300] = "";

        if (p->file[0] && p->line && p->column)
                snprintf(where, sizeof(where), "%s:%u:%u: ", p->file, p->line, p->column);
        else if (p->file[0] && p->line)
                snprintf(where, sizeof(where), "%s:%u: ", p->file, p->line);
        else if (p->file[0])
                snprintf(where, sizeof(where), "%s: ", p->file);
        if (cap == 0)
                return out;
        snprintf(out, cap, "%s%s%s%s%s", where, p->message, p->hint[0] ? " (" : "", p->hint,
                p->hint[0] ? ")" : "");
        /* names of files and values are somebody else's: nothing of them steers a terminal or begins a line */
        str_clean(out, strlen(out), '?');
        return out;
}

bool error_is_shortage(int error) {
        return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN;
}

void problems_done(Problems *p) {
        free(p->items);
        *p = (Problems){0};
}

enum { NAME_LEN_MAX = 64, NAME_EDITS_MAX = 3 };

/* Levenshtein with two rows; both names are at most NAME_LEN_MAX long. */
static unsigned edit_distance(const char *a, size_t na, const char *b, size_t nb) {
        unsigned row[NAME_LEN_MAX + 1];

        for (size_t j = 0; j <= nb; j++)
                row[j] = (unsigned)j;
        for (size_t i = 1; i <= na; i++) {
                unsigned diagonal = row[0];

                row[0] = (unsigned)i;
                for (size_t j = 1; j <= nb; j++) {
                        unsigned above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);

                        if (above + 1 < best)
                                best = above + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        row[j] = best;
                        diagonal = above;
                }
        }
        return row[nb];
}

const char *nearest_name(const char *name, const char *const *names, size_t n) {
        const char *best = NULL;
        unsigned best_distance = NAME_EDITS_MAX + 1;
        size_t len = name ? strlen(name) : 0;

        if (len == 0 || len > NAME_LEN_MAX)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                size_t other = strlen(names[i]);
                unsigned d;

                if (other > NAME_LEN_MAX)
                        continue;
                d = edit_distance(name, len, names[i], other);
                /* A hint that shares less than half of what was written helps nobody. */
                if (d < best_distance && 2 * d <= len + 1 && d < other) {
                        best = names[i];
                        best_distance = d;
                }
        }
        return best;
}

const char *names_hint(const char *name, const char *const *names, size_t n, char *out, size_t cap) {
        const char *near = nearest_name(name, names, n);
        size_t at = 0;

        if (near) {
                snprintf(out, cap, "did you mean '%s'?", near);
                return out;
        }
        str_copy(out, cap, STR_LIT(""));
        for (size_t i = 0; i < n; i++) {
                size_t left = cap - at, need = strlen(names[i]) + (i ? 2 : 8);

                if (need + sizeof(", ...") > left) {
                        snprintf(out + at, left, "%s", i ? ", ..." : "");
                        break;
                }
                at += (size_t)snprintf(out + at, left, "%s%s", i ? ", " : "one of: ", names[i]);
        }
        return out;
}
