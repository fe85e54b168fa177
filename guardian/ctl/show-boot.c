/* SPDX-License-Identifier: Apache-2.0 */
/* `boot`: timeline, blame, critical chain, and the SVG plot. */
#include "common/json/json-read.h"
#include "guardian/ctl/show.h"
#include "guardian/ctl/text.h"
#include <errno.h>
#include <string.h>

const char *show_plot_file;

typedef struct Bar {
        const char *name, *verdict;
        double priority, start, ready, validated;
} Bar;
enum { BARS_MAX = 2048 };

static size_t bars(const json_t *d, Bar *out) {
        json_t *stage, *u;
        size_t i, k, n = 0;
        json_array_foreach(json_get_path(d, "stages"), i, stage) {
                json_array_foreach(json_get_path(stage, "units"), k, u) {
                        if (n == BARS_MAX)
                                return n;
                        out[n++] = (Bar){json_get_str(u, "name", "?"), json_get_str(u, "verdict", "?"),
                                json_get_double(stage, "priority", 0), json_get_double(u, "start_ms", -1),
                                json_get_double(u, "ready_ms", -1), json_get_double(u, "validated_ms", -1)};
                }
        }
        return n;
}

static double span(const Bar *b) {
        double end = b->validated > 0 ? b->validated : b->ready;
        return b->start >= 0 && end > b->start ? end - b->start : 0;
}

static int slower(const void *a, const void *b) {
        double x = span(a), y = span(b);
        return x < y ? 1 : x > y ? -1 : 0;
}

/* Of 25; whatever numbers a document holds. */
static int column(double ms, double total) {
        double x = total > 0 ? ms / total * 24 : 0;
        return x > 25 ? 25 : x > -1 ? (int)x : -1;
}

/* Nine columns; a time that never came has no number. */
static void moment(double ms) {
        if (ms < 0)
                printf("%9s", "never");
        else
                printf("%9.1f", ms);
}

void show_boot(Ctl *c, Str body) {
        static Bar b[BARS_MAX];
        json_t *d = NULL, *u;
        size_t k;
        (void)c;
        if (json_read(body, 0, &d, NULL, 0) < 0)
                return;
        double total = json_get_double(d, "total_ms", 0);
        size_t n = bars(d, b);
        printf("%s in %.1f ms\n\n%8s %9s %9s  %s\n", json_get_str(d, "state", "?"), total, "PRIORITY",
                "START ms", "READY ms", "UNIT");
        for (size_t i = 0; i < n; i++) {
                int at = column(b[i].start, total), to = column(b[i].start + span(&b[i]), total);
                char line[26];
                memset(line, ' ', 25);
                for (int x = at < 0 ? 0 : at; x <= to && x < 25; x++)
                        line[x] = '#';
                line[25] = 0;
                printf("%8g ", b[i].priority);
                moment(b[i].start);
                putchar(' ');
                moment(b[i].ready);
                printf("  ");
                text_cell(b[i].name, 20, false);
                printf("|%s|\n", line);
        }
        qsort(b, n, sizeof(*b), slower);
        printf("\nblame:\n");
        for (size_t i = 0; i < n && i < 10; i++)
                if (b[i].ready >= 0 || b[i].validated >= 0)
                        printf("%9.1f ms  %s\n", span(&b[i]), b[i].name);
        for (size_t i = 0; i < n; i++)
                if (b[i].ready < 0 && b[i].validated < 0)
                        printf("    never ready: %s, see guardianctl why %s\n", b[i].name, b[i].name);
        printf("\ncritical chain:");
        json_array_foreach(json_get_path(d, "critical_chain"), k, u)
                printf("%s %s", k ? " ->" : "", json_string_value(u));
        printf("\n");
        json_decref(d);
}

static void xml(FILE *f, const char *s) {
        for (; *s; s++) {
                if (*s == '<' || *s == '>' || *s == '&' || *s == '"')
                        fprintf(f, "&#%d;", *s);
                else
                        fputc(*s, f);
        }
}

void show_plot(Ctl *c, Str body) {
        static Bar b[BARS_MAX];
        json_t *d = NULL;
        int e = json_read(body, 0, &d, NULL, 0);
        if (e < 0) {
                c->shown = ctl_fail(c, CTL_NO, "boot: the answer cannot be read: %s", strerror(-e));
                return;
        }
        FILE *f = fopen(show_plot_file, "we");
        if (!f) {
                c->shown = ctl_fail(c, CTL_NO, "%s: %s", show_plot_file, strerror(errno));
                json_decref(d);
                return;
        }
        size_t n = bars(d, b);
        double total = json_get_double(d, "total_ms", 0);
        double scale = total > 0 ? 700 / total : 1;
        fprintf(f,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"960\" height=\"%zu\" "
                "font-family=\"sans-serif\" font-size=\"12\">\n",
                n * 20 + 60);
        fprintf(f, "<text x=\"10\" y=\"20\">boot: %.1f ms, %s</text>\n", total,
                json_get_str(d, "state", "?"));
        for (size_t i = 0; i < n; i++) {
                double y = 40 + (double)i * 20, x = 220 + b[i].start * scale;
                fprintf(f, "<text x=\"10\" y=\"%.0f\">", y + 12);
                xml(f, b[i].name);
                fprintf(f,
                        "</text><rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"14\" "
                        "fill=\"%s\"><title>%.1f ms</title></rect>\n",
                        x, y, span(&b[i]) * scale > 1 ? span(&b[i]) * scale : 1,
                        strcmp(b[i].verdict, "passed") == 0 ? "#4a8" : "#d64", span(&b[i]));
        }
        fprintf(f, "</svg>\n");
        bool lost = ferror(f) != 0;
        if (fclose(f) != 0 || lost)
                c->shown = ctl_fail(
                        c, CTL_NO, "%s: %s", show_plot_file, errno ? strerror(errno) : "cannot be written");
        json_decref(d);
}
