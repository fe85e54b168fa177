/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Structured log: a message and key=value fields, as text or JSON lines, one write(2) a line, to stderr (Guardian: its
 * stdout). Library folders return errors; only shells log. Never blocks: a full pipe drops the line and counts it.
 *
 *   log_info("unit ready", LOG_UNIT("web"), LOG_U64("ms", 12));
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum LogLevel { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG } LogLevel;
typedef enum LogFormat { LOG_FORMAT_TEXT, LOG_FORMAT_JSON } LogFormat;
typedef enum LogFieldType { LOG_FIELD_END, LOG_FIELD_STR, LOG_FIELD_U64, LOG_FIELD_I64, LOG_FIELD_ERRNO } LogFieldType;

typedef struct LogField {
        LogFieldType type;
        const char *key; /* NULL: left out */
        const char *s;
        int64_t i;
} LogField;

#define LOG_STR(k, v)  ((LogField){LOG_FIELD_STR, (k), (v), 0})
#define LOG_U64(k, v)  ((LogField){LOG_FIELD_U64, (k), NULL, (int64_t)(v)})
#define LOG_I64(k, v)  ((LogField){LOG_FIELD_I64, (k), NULL, (int64_t)(v)})
#define LOG_ERRNO(neg) ((LogField){LOG_FIELD_ERRNO, "error", NULL, (int64_t)(neg)}) /* negative errno */
#define LOG_UNIT(v)    LOG_STR("unit", (v))

void log_setup(const char *program, int fd, LogFormat format, LogLevel level);
int log_level_from_string(const char *s); /* -EINVAL */
void log_write(LogLevel level, const char *message, const LogField *fields /* up to LOG_FIELD_END */);
uint64_t log_dropped(void);
/* Lines (whole, newline included) go to fn instead of the descriptor, so that they queue behind what others still
 * have to write there. fn: false if it could not keep the line, which is then counted as dropped; must not log.
 * For programs that log from one thread. NULL: to the descriptor again. */
typedef bool (*LogSink)(void *user, const void *line, size_t n);
void log_set_sink(LogSink fn, void *user);

/* For a line that others can cause at will: true at most once in LOG_LIMIT_US, *held is then how many were held back
 * since the last one that was written. */
#define LOG_LIMIT_US 10000000u
typedef struct LogLimit {
        uint64_t next_us, held; /* 0: nothing was written yet */
        unsigned written;       /* in this time */
} LogLimit;
bool log_limit(LogLimit *l, uint64_t *held);
/* Likewise, at most `burst` in that time. */
bool log_limit_burst(LogLimit *l, unsigned burst, uint64_t *held);
#define LOG_HELD(n) ((LogField){LOG_FIELD_U64, (n) ? "held_back" : NULL, NULL, (int64_t)(n)})

#define LOG_AT(level, message, ...)                                                                          \
        log_write((level), (message), (const LogField[]){__VA_ARGS__ __VA_OPT__(, ) {LOG_FIELD_END, 0, 0, 0}})
#define log_error(m, ...)   LOG_AT(LOG_LEVEL_ERROR, m, __VA_ARGS__)
#define log_warning(m, ...) LOG_AT(LOG_LEVEL_WARNING, m, __VA_ARGS__)
#define log_notice(m, ...)  LOG_AT(LOG_LEVEL_NOTICE, m, __VA_ARGS__)
#define log_info(m, ...)    LOG_AT(LOG_LEVEL_INFO, m, __VA_ARGS__)
#define log_debug(m, ...)   LOG_AT(LOG_LEVEL_DEBUG, m, __VA_ARGS__)
