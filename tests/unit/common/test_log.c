/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"
#include "common/json-writer.h"
#include "common/log.h"
#include "suite.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int pipes[2];

static uint64_t fixed(void *user) {
        (void)user;
        return 1795230000123000000u;
}
static const ClockSource source = {fixed, fixed, NULL};

static void begin(LogFormat format, LogLevel level) {
        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        clock_set_source(&source);
        log_setup("prog", pipes[1], format, level);
}

static const char *line(void) {
        static char text[8192];
        ssize_t n = read(pipes[0], text, sizeof(text) - 1);

        ck_assert_int_gt(n, 0);
        text[n] = 0;
        return text;
}

START_TEST(text_lines) {
        begin(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
        log_info("unit ready", LOG_UNIT("web"), LOG_U64("ms", 12), LOG_I64("d", -3),
                LOG_STR("why", "two words"), LOG_STR("none", NULL), LOG_ERRNO(-ENOENT));
        ck_assert_str_eq(line(),
                "2026-11-21T03:00:00.123Z info prog: unit ready unit=web ms=12 d=-3 why=\"two words\" none=- "
                "error=\"No such file or directory\"\n");
        log_debug("not at this level");
        log_error("second");
        ck_assert_str_eq(line(), "2026-11-21T03:00:00.123Z error prog: second\n");
}
END_TEST

/* What others say can neither begin a line nor a field nor move a terminal's cursor. */
START_TEST(no_injection) {
        begin(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
        log_info("a\nb", LOG_STR("k", "x\n2026 error prog: forged\x1b[2J"), LOG_STR("l", "a=b"));
        ck_assert_str_eq(line(), "2026-11-21T03:00:00.123Z info prog: a b k=\"x\\n2026 error prog: "
                                 "forged\\u001b[2J\" l=\"a=b\"\n");
        log_info("a\xc2\x9b"
                 "2J",
                LOG_STR("k", "\xc2\x9b"
                             "2J"),
                LOG_STR("l", "\x9b"
                             "2J\x7f"),
                LOG_STR("m", "\xc3\xa9"));
        ck_assert_str_eq(line(), "2026-11-21T03:00:00.123Z info prog: a 2J k=\"??2J\" l=\"\xef\xbf\xbd"
                                 "2J?\" "
                                 "m=\xc3\xa9\n");
}
END_TEST

static uint64_t at_us;
static uint64_t settable(void *user) {
        (void)user;
        return at_us * 1000;
}

/* Who can cause a line at will gets one in ten seconds, and the count of the others. */
START_TEST(limited_lines) {
        static const ClockSource ticking = {settable, settable, NULL};
        LogLimit l = {0};
        uint64_t held = 7;

        clock_set_source(&ticking);
        at_us = 1000;
        ck_assert(log_limit(&l, &held));
        ck_assert_uint_eq(held, 0);
        at_us += LOG_LIMIT_US - 1;
        ck_assert(!log_limit(&l, &held));
        ck_assert(!log_limit(&l, &held));
        at_us += 1;
        ck_assert(log_limit(&l, &held));
        ck_assert_uint_eq(held, 2);
        ck_assert(!log_limit(&l, &held));
        ck_assert(log_limit_burst(&l, 2, &held));
        ck_assert_uint_eq(held, 0);
        ck_assert(!log_limit_burst(&l, 2, &held));
        at_us += LOG_LIMIT_US;
        ck_assert(log_limit_burst(&l, 2, &held));
        ck_assert_uint_eq(held, 2);
        clock_set_source(NULL);
        begin(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
        log_info("a", LOG_HELD(held), LOG_U64("b", 1));
        ck_assert_str_eq(line(), "2026-11-21T03:00:00.123Z info prog: a held_back=2 b=1\n");
        log_info("a", LOG_HELD(0), LOG_U64("b", 1));
        ck_assert_str_eq(line(), "2026-11-21T03:00:00.123Z info prog: a b=1\n");
        begin(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
        log_info("a", LOG_HELD(0));
        ck_assert_str_eq(line(), "{\"time\":\"2026-11-21T03:00:00.123Z\",\"level\":\"info\",\"program\":"
                                 "\"prog\",\"message\":\"a\"}\n");
}
END_TEST

START_TEST(json_lines) {
        begin(LOG_FORMAT_JSON, LOG_LEVEL_DEBUG);
        log_debug("m", LOG_STR("s", "q\""), LOG_U64("big", UINT64_MAX), LOG_I64("i", -1));
        ck_assert_str_eq(line(), "{\"time\":\"2026-11-21T03:00:00.123Z\",\"level\":\"debug\",\"program\":"
                                 "\"prog\",\"message\":\"m\",\"s\":\"q\\\"\","
                                 "\"big\":\"18446744073709551615\",\"i\":-1}\n");
}
END_TEST

START_TEST(long_lines_stay_whole) {
        static char big[9000];
        const char *text;

        memset(big, 'x', sizeof(big) - 1);
        begin(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
        log_info("m", LOG_STR("a", "1"), LOG_STR("big", big), LOG_STR("b", "2"));
        ck_assert_str_eq(line(), "2026-11-21T03:00:00.123Z info prog: m a=1 ...\n");
        begin(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
        log_info("m", LOG_STR("a", "1"), LOG_STR("big", big));
        text = line();
        ck_assert_int_eq(json_check(str_of(text), NULL, NULL), 0);
        ck_assert_ptr_nonnull(strstr(text, "\"a\":\"1\"}"));
        log_info(big);
        ck_assert_int_eq(json_check(str_of(line()), NULL, NULL), 0);
}
END_TEST

/* Neither a full pipe nor a full socket stops the caller, though the descriptor blocks. */
START_TEST(full_reader_drops) {
        int sv[2];

        begin(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
        for (int i = 0; i < 5000; i++)
                log_info("a line that is long enough to fill a pipe of sixty-four kilobytes some time soon");
        ck_assert_uint_gt(log_dropped(), 0);
        line();
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
        log_setup("prog", sv[1], LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
        for (int i = 0; i < 9000; i++)
                log_info("a line that is long enough to fill a pipe of sixty-four kilobytes some time soon");
        close(sv[0]);
        log_info("nobody listens: no SIGPIPE either");
}
END_TEST

START_TEST(levels) {
        ck_assert_int_eq(log_level_from_string("notice"), LOG_LEVEL_NOTICE);
        ck_assert_int_eq(log_level_from_string("loud"), -EINVAL);
        ck_assert_int_eq(log_level_from_string(NULL), -EINVAL);
}
END_TEST

TEST_MAIN("log", text_lines, no_injection, limited_lines, json_lines, long_lines_stay_whole,
        full_reader_drops, levels)
