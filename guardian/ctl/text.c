/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/ctl/text.h"
#include "common/clock.h"
#include <stdarg.h>
#include <string.h>

static bool continuation(char c) {
        return ((unsigned char)c & 0xc0) == 0x80;
}

static int width_of(const char *p, size_t n) {
        int w = 0;
        for (size_t i = 0; i < n; i++)
                w += !continuation(p[i]);
        return w;
}

static void put_clean(FILE *f, Str s, bool tabs) {
        while (s.n > 0) {
                size_t bad = tabs && *s.p == '\t' ? 0 : str_unprintable(s),
                       step = bad ? bad : str_utf8_step(s);
                if (bad)
                        fputc('?', f);
                else
                        fwrite(s.p, 1, step, f);
                s = (Str){s.p + step, s.n - step};
        }
}

static void put(FILE *f, const char *p, size_t n) {
        put_clean(f, (Str){p, n}, false);
}

void text_clean(Str s) {
        put_clean(stdout, s, true);
}

/* Length of the word at text; "[record 72]" is one. */
static size_t word_length(const char *text) {
        size_t n = strcspn(text, " \n"), whole = strcspn(text, "]");
        return text[0] == '[' && whole > n && whole < 30 && text[whole] ? whole + strcspn(text + whole, " \n")
                                                                        : n;
}

static void wrap(FILE *f, int at, int hang, const char *text) {
        bool first = true;
        while (*text) {
                size_t n = word_length(text);
                int w = width_of(text, n);
                if (n > 0) {
                        if (!first && at + 1 + w > TEXT_COLUMNS) {
                                fprintf(f, "\n%*s", hang, "");
                                at = hang;
                                first = true;
                        }
                        if (!first)
                                fputc(' ', f);
                        put(f, text, n);
                        at += w + !first;
                        first = false;
                }
                text += n + (text[n] != 0);
        }
        fputc('\n', f);
}

void text_wrap(int at, int hang, const char *text) {
        wrap(stdout, at, hang, text ? text : "?");
}

void text_wrapf(int at, int hang, const char *fmt, ...) {
        char text[4096];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        wrap(stdout, at, hang, text);
}

void text_errorf(const char *fmt, ...) {
        char text[4096];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        wrap(stderr, 0, 2, text);
}

bool text_whole;

void text_cell(const char *text, int width, bool last) {
        size_t n = 0;
        int w = 0;
        for (; text[n]; n++) {
                if (!text_whole && !continuation(text[n]) && w == width)
                        break;
                w += !continuation(text[n]);
        }
        put(stdout, text, n);
        if (!last)
                printf("%*s ", w < width ? width - w : 0, "");
        else
                putchar('\n');
}

const char *text_paint(const Ctl *c, const char *word) {
        static const struct {
                const char *word, *color;
        } colors[] = {{"running", "\033[32m"}, {"passed", "\033[32m"}, {"healthy", "\033[32m"},
                {"ready", "\033[32m"}, {"verified", "\033[32m"}, {"failed", "\033[31m"},
                {"quarantined", "\033[31m"}, {"unhealthy", "\033[31m"}, {"aborted", "\033[31m"},
                {"down", "\033[31m"}, {"critical", "\033[31m"}, {"degraded", "\033[33m"},
                {"backoff", "\033[33m"}, {"skipped", "\033[33m"}, {"stalled", "\033[33m"},
                {"escalated", "\033[33m"}, {"waiting_approval", "\033[33m"}, {"pending", "\033[33m"}};
        for (size_t i = 0; c->color && i < sizeof(colors) / sizeof(*colors); i++)
                if (strcmp(colors[i].word, word) == 0)
                        return colors[i].color;
        return "";
}

void text_word(const Ctl *c, int width, const char *word) {
        const char *p = text_paint(c, word);
        printf("%s%-*s%s", p, width, word, p[0] ? "\033[0m" : "");
}

const char *text_ago(const char *since, char *out, size_t cap) {
        uint64_t t, now = clock_wall_ns();
        if (!since[0] || parse_time(since, &t) < 0)
                return "-";
        uint64_t s = t < now ? (now - t) / 1000000000 : 0;
        if (s >= 60)
                return format_duration(s * 1000000, out, cap);
        snprintf(out, cap, "%us", (unsigned)s);
        return out;
}

const char *text_clock(const char *time, char *out, size_t cap) {
        const char *t = strchr(time, 'T');
        snprintf(out, cap, "%.12s", t ? t + 1 : "-");
        return out;
}

const char *text_bytes(uint64_t n, char *out, size_t cap) {
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
        double v = (double)n;
        unsigned u = 0;
        for (; v >= 1024 && u < 4; u++)
                v /= 1024;
        snprintf(out, cap, u ? "%.1f %s" : "%.0f %s", v, units[u]);
        return out;
}
