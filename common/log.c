/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is built in a buffer on the stack and written once. It is at most LINE_MAX_BYTES long, which is one
 * page: a pipe that poll(2) calls writable takes that much without blocking (pipe(7)), so a descriptor that
 * is shared with others and therefore can't be made non-blocking is safe too.
 */
#include "common/log.h"
#include "common/clock.h"
#include "common/json-writer.h"
#include "common/str.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };
static const char *const level_names[] = {"error", "warning", "notice", "info", "debug"};

static struct {
        char program[64];
        int fd;
        bool is_socket;
        LogFormat format;
        LogLevel level;
        uint64_t dropped;
        LogSink sink;
        void *sink_user;
} state = {.program = "guardian", .fd = STDERR_FILENO, .level = LOG_LEVEL_INFO};

void log_setup(const char *program, int fd, LogFormat format, LogLevel level) {
        struct stat st;

        str_copy(state.program, sizeof(state.program), str_of(program));
        state.fd = fd;
        state.is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
        state.format = format;
        state.level = level;
}

int log_level_from_string(const char *s) {
        for (int i = 0; s && i < (int)(sizeof(level_names) / sizeof(level_names[0])); i++)
                if (strcmp(s, level_names[i]) == 0)
                        return i;
        return -EINVAL;
}

uint64_t log_dropped(void) {
        return state.dropped;
}

void log_set_sink(LogSink fn, void *user) {
        state.sink = fn;
        state.sink_user = user;
}

static void write_line(const uint8_t *line, size_t n) {
        struct pollfd pfd = {.fd = state.fd, .events = POLLOUT};
        ssize_t w;

        if (state.sink) {
                state.dropped += !state.sink(state.sink_user, line, n);
                return;
        }
        if (state.is_socket)
                w = send(state.fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        else if (poll(&pfd, 1, 0) == 1 && pfd.revents & POLLOUT && !(pfd.revents & POLLERR))
                w = write(state.fd, line, n);
        else
                w = -1;
        if (w != (ssize_t)n)
                state.dropped++;
}

static bool needs_quotes(const char *s) {
        if (!*s)
                return true;
        for (Str left = str_of(s); left.n > 0;) {
                size_t step = str_utf8_step(left);

                if (str_unprintable(left) || strchr(" \"=\\", *left.p))
                        return true;
                left = (Str){left.p + step, left.n - step};
        }
        return false;
}

/* One JSON string: also the text form's way to keep control bytes of others out of a terminal. JSON leaves
 * DEL and U+0080 to U+009F as they are; a terminal obeys them. */
static int put_quoted(Buf *b, const char *s) {
        size_t at = b->len;
        JsonWriter w;
        int r;

        json_init(&w, b, false);
        json_cstr(&w, s);
        r = json_finish(&w);
        if (r == 0)
                str_clean((char *)b->data + at, b->len - at, '?');
        return r;
}

static int put_message(Buf *b, const char *s) {
        for (Str left = str_of(s); left.n > 0;) {
                size_t bad = str_unprintable(left), step = bad ? bad : str_utf8_step(left);
                int r = bad ? buf_append(b, " ", 1) : buf_append(b, left.p, step);

                if (r < 0)
                        return r;
                left = (Str){left.p + step, left.n - step};
        }
        return 0;
}

static int put_text_field(Buf *b, const LogField *f) {
        int r = buf_appendf(b, " %s=", f->key);

        if (r < 0)
                return r;
        switch (f->type) {
        case LOG_FIELD_STR:
                if (!f->s)
                        return buf_append(b, "-", 1);
                return needs_quotes(f->s) ? put_quoted(b, f->s) : buf_append(b, f->s, strlen(f->s));
        case LOG_FIELD_U64:
                return buf_appendf(b, "%" PRIu64, (uint64_t)f->i);
        case LOG_FIELD_I64:
                return buf_appendf(b, "%" PRId64, f->i);
        case LOG_FIELD_ERRNO:
                return put_quoted(b, strerror((int)-f->i));
        case LOG_FIELD_END:
                break;
        }
        return 0;
}

/* Fields that do not fit are left out, the line says so by "...". */
static void format_text(Buf *b, LogLevel level, const char *message, const LogField *fields) {
        char when[40];
        size_t good;

        buf_appendf(b, "%s %s %s: ", format_time(clock_wall_ns(), when, sizeof(when)), level_names[level],
                state.program);
        put_message(b, message);
        good = b->len;
        for (; fields->type != LOG_FIELD_END; fields++) {
                if (!fields->key)
                        continue;
                if (put_text_field(b, fields) < 0) {
                        b->len = good;
                        b->max += 4; /* room that log_write() kept back */
                        buf_append(b, " ...", 4);
                        return;
                }
                good = b->len;
        }
}

static void put_json_field(JsonWriter *w, const LogField *f) {
        char number[24];

        json_key(w, f->key);
        switch (f->type) {
        case LOG_FIELD_STR:
                json_cstr(w, f->s);
                break;
        case LOG_FIELD_U64:
        case LOG_FIELD_I64:
                if (f->i <= INT64_C(1) << 53 &&
                        f->i >= (f->type == LOG_FIELD_U64 ? 0 : -(INT64_C(1) << 53))) {
                        json_i64(w, f->i);
                        break;
                }
                snprintf(number, sizeof(number), f->type == LOG_FIELD_U64 ? "%" PRIu64 : "%" PRId64, f->i);
                json_cstr(w, number);
                break;
        case LOG_FIELD_ERRNO:
                json_cstr(w, strerror((int)-f->i));
                break;
        case LOG_FIELD_END:
                break;
        }
}

/* A field that does not fit is taken back whole, so that the line stays one document. */
static void format_json(Buf *b, LogLevel level, const char *message, const LogField *fields) {
        JsonWriter w;

        json_init(&w, b, false);
        json_object_begin(&w);
        json_key(&w, "time");
        json_time(&w, clock_wall_ns());
        json_kv_str(&w, "level", level_names[level]);
        json_kv_str(&w, "program", state.program);
        json_kv_str(&w, "message", message);
        for (; fields->type != LOG_FIELD_END && !w.error; fields++) {
                JsonWriter before = w;
                size_t good = b->len;

                if (!fields->key)
                        continue;
                put_json_field(&w, fields);
                if (w.error) {
                        w = before;
                        b->len = good;
                        break;
                }
        }
        b->max += 2; /* the room kept back for the end of the line */
        json_object_end(&w);
        if (json_finish(&w) < 0) {
                b->len = 0;
                buf_appendf(b, "{\"level\":\"%s\",\"message\":\"(too long)\"}", level_names[level]);
        }
}

void log_write(LogLevel level, const char *message, const LogField *fields) {
        uint8_t line[LINE_MAX_BYTES];
        /* Over memory of our own: cap covers max, so nothing here ever allocates. */
        Buf b = {.data = line, .cap = sizeof(line), .max = sizeof(line) - 8};
        int saved = errno;

        if (level > state.level)
                return;
        if (state.format == LOG_FORMAT_JSON)
                format_json(&b, level, message, fields);
        else
                format_text(&b, level, message, fields);
        b.max = sizeof(line);
        buf_append(&b, "\n", 1);
        write_line(line, b.len);
        errno = saved;
}

bool log_limit_burst(LogLimit *l, unsigned burst, uint64_t *held) {
        uint64_t now = clock_boot_us();

        if (!l->next_us || now >= l->next_us) {
                *held = l->held;
                *l = (LogLimit){.next_us = now + LOG_LIMIT_US, .written = 1};
                return true;
        }
        *held = 0;
        if (l->written < burst) {
                l->written++;
                return true;
        }
        l->held++;
        return false;
}

bool log_limit(LogLimit *l, uint64_t *held) {
        return log_limit_burst(l, 1, held);
}
