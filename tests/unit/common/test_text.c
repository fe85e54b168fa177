/* SPDX-License-Identifier: Apache-2.0 */
/* str, buf, error, clock, sha256. */
#include "common/buf.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/sha256.h"
#include "common/signals.h"
#include "common/str.h"
#include "suite.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

START_TEST(patterns) {
        static const struct {
                const char *pattern, *subject;
                bool match;
        } cases[] = {{"a.b", "a.b", true}, {"a.b", "a.bc", false}, {"a.b", "a", false}, {"a.*", "a.b", true},
                {"a.*", "a", false}, {"a.*", "ab.c", false}, {"a.*", "a.b.c", false}, {"*.b", "a.b", true},
                {"*", "a", true}, {"*", "a.b", false}, {"**", "a", true}, {"**", "a.b.c", true},
                {"a.**", "a", false}, {"a.**", "a.b", true}, {"a.**", "a.b.c", true},
                {"a.*.c", "a.b.c", true}, {"a.*.c", "a.b.d", false}, {"a.*", "a.", false}, {"**", "", false},
                {"a", "", false}};
        static const char *const good[] = {"a", "a.b", "*", "**", "a.*.c", "a.**", "a_b-1.c"};
        static const char *const bad[] = {
                "", ".", "a.", ".a", "a..b", "a*", "a.b*", "**.a", "A.b", "a b", "***", "a.***"};

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_msg(pattern_match(cases[i].pattern, cases[i].subject) == cases[i].match, "%s %s",
                        cases[i].pattern, cases[i].subject);
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                ck_assert_msg(pattern_check(good[i]) == 0, "%s", good[i]);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                ck_assert_msg(pattern_check(bad[i]) == -EINVAL, "%s", bad[i]);
}
END_TEST

START_TEST(durations) {
        static const struct {
                const char *text;
                int r;
                uint64_t us;
        } cases[] = {{"500ms", 0, 500000}, {"10s", 0, 10000000}, {"2min", 0, 120000000},
                {"1h", 0, 3600000000}, {"1d", 0, 86400000000}, {"1min 30s", 0, 90000000},
                {"1min30s", 0, 90000000}, {"5", 0, 5000000}, {"0", 0, 0}, {"1.5s", 0, 1500000},
                {"infinity", 0, UINT64_MAX}, {"", -EINVAL, 0}, {"s", -EINVAL, 0}, {"-1s", -EINVAL, 0},
                {"1 fortnight", -EINVAL, 0}, {"1s x", -EINVAL, 0}, {"1.", -EINVAL, 0},
                {"99999999999999999999", -ERANGE, 0}, {"999999999999999d", -ERANGE, 0}, {" 1s", -EINVAL, 0}};

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                uint64_t us = 0;

                ck_assert_msg(parse_duration_us(cases[i].text, &us) == cases[i].r && us == cases[i].us,
                        "%s: %llu", cases[i].text, (unsigned long long)us);
        }
        ck_assert_int_eq(parse_duration_us(NULL, NULL), -EINVAL);
}
END_TEST

START_TEST(sizes_and_numbers) {
        static const struct {
                const char *text;
                int r;
                uint64_t n;
        } cases[] = {{"64M", 0, 64u << 20}, {"1.5G", 0, 1610612736}, {"512", 0, 512}, {"512B", 0, 512},
                {"2K", 0, 2048}, {"1T", 0, UINT64_C(1) << 40}, {"infinity", 0, UINT64_MAX}, {"", -EINVAL, 0},
                {"1.5", -EINVAL, 0}, {"M", -EINVAL, 0}, {"1MB", -EINVAL, 0}, {"1m", -EINVAL, 0},
                {"16E", -ERANGE, 0}, {"-1", -EINVAL, 0}};
        uint64_t v = 0;
        bool b = false;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                uint64_t n = 0;

                ck_assert_msg(parse_size(cases[i].text, &n) == cases[i].r && n == cases[i].n, "%s: %llu",
                        cases[i].text, (unsigned long long)n);
        }
        ck_assert(parse_bool("Yes", &b) == 0 && b);
        ck_assert(parse_bool("off", &b) == 0 && !b);
        ck_assert_int_eq(parse_bool("maybe", &b), -EINVAL);
        ck_assert_int_eq(parse_bool(NULL, &b), -EINVAL);
        ck_assert(parse_u64("18446744073709551615", &v) == 0 && v == UINT64_MAX);
        ck_assert_int_eq(parse_u64("18446744073709551616", &v), -ERANGE);
        ck_assert_int_eq(parse_u64("+1", &v), -EINVAL);
        ck_assert_int_eq(parse_u64("", &v), -EINVAL);
}
END_TEST

START_TEST(names_and_utf8) {
        ck_assert(unit_name_valid("web") && unit_name_valid("a@b.c:d-e_1"));
        ck_assert(!unit_name_valid("") && !unit_name_valid(".a") && !unit_name_valid("-a") &&
                  !unit_name_valid("a/b"));
        ck_assert(!unit_name_valid("0123456789012345678901234567890123456789012345678901234567890123x"));
        ck_assert(str_utf8_valid(STR_LIT("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
        ck_assert(!str_utf8_valid(STR_LIT("\xc0\x80")) && !str_utf8_valid(STR_LIT("\xed\xa0\x80")));
        ck_assert(!str_utf8_valid(STR_LIT("\xf4\x90\x80\x80")) && !str_utf8_valid(STR_LIT("\xe2\x82")));
        ck_assert(str_utf8_valid((Str){0}));
}
END_TEST

START_TEST(times) {
        char out[40];
        uint64_t ns = 0;

        ck_assert_str_eq(format_time(1795230000123456789u, out, sizeof(out)), "2026-11-21T03:00:00.123Z");
        ck_assert_int_eq(parse_time("2026-11-21T03:00:00.123456789Z", &ns), 0);
        ck_assert_uint_eq(ns, 1795230000123456789u);
        ck_assert_int_eq(parse_time("2026-11-21T04:30:00+01:30", &ns), 0);
        ck_assert_uint_eq(ns, 1795230000000000000u);
        ck_assert_int_eq(parse_time("2026-02-30T00:00:00Z", &ns), -EINVAL);
        ck_assert_int_eq(parse_time("2026-11-21T03:00:00", &ns), -EINVAL);
        ck_assert_int_eq(parse_time("2026-11-21", &ns), -EINVAL);
        ck_assert_int_eq(parse_time("2026-11-21T03:00:00.Z", &ns), -EINVAL);
        ck_assert_str_eq(format_duration(1900, out, sizeof(out)), "1.9ms");
        ck_assert_str_eq(format_duration(3200000, out, sizeof(out)), "3.2s");
        ck_assert_str_eq(format_duration(302000000, out, sizeof(out)), "5min 2s");
        ck_assert_str_eq(format_duration(7, out, sizeof(out)), "7us");
}
END_TEST

START_TEST(small_ones) {
        char out[8], raw[4];
        Str k, v;

        ck_assert_str_eq(str_copy(out, 4, STR_LIT("abcdef")), "abc");
        ck_assert_str_eq(str_copy(out, 4, (Str){0}), "");
        ck_assert(str_split(STR_LIT("a=b=c"), '=', &k, &v) && str_eq(k, "a") && str_eq(v, "b=c"));
        ck_assert(!str_split(STR_LIT("abc"), '=', &k, &v) && str_eq(k, "abc"));
        ck_assert(!str_eq((Str){0}, "") && str_eq(STR_LIT(""), ""));
        hex_encode("\x01\xfe", 2, out);
        ck_assert_str_eq(out, "01fe");
        ck_assert(hex_decode("01Fe", 4, raw) == 0 && memcmp(raw, "\x01\xfe", 2) == 0);
        ck_assert_int_eq(hex_decode("01f", 3, raw), -EINVAL);
        ck_assert_int_eq(hex_decode("0g", 2, raw), -EINVAL);
}
END_TEST

START_TEST(buffers) {
        Buf b = BUF_INIT(1000), zero = {0};

        ck_assert_int_eq(buf_append(&b, "hello", 5), 0);
        ck_assert_int_eq(buf_appendf(&b, " %d", 42), 0);
        ck_assert_mem_eq(b.data, "hello 42", 8);
        ck_assert_int_eq(buf_reserve(&b, 993), -ENOBUFS);
        ck_assert_int_eq(buf_appendf(&b, "%1000d", 1), -ENOBUFS);
        ck_assert_uint_eq(b.len, 8);
        ck_assert_int_eq(buf_appendf(&b, "%500d", 1), 0);
        ck_assert_uint_eq(b.len, 508);
        ck_assert_int_eq(buf_reserve(&b, 492), 0);
        ck_assert_uint_le(b.cap, 1000);
        buf_consume(&b, 6);
        ck_assert_mem_eq(b.data, "42", 2);
        buf_consume(&b, 502);
        buf_shrink(&b);
        ck_assert_ptr_null(b.data);
        ck_assert_int_eq(buf_append(&zero, "", 0), 0);
        ck_assert_int_eq(buf_append(&zero, "x", 1), -ENOBUFS);
        buf_done(&zero);
        buf_done(&b);
}
END_TEST

START_TEST(problems_are_bounded) {
        Problems p = {0};
        char text[800];

        problem_add(NULL, PROBLEM_ERROR, "f", 1, 1, "c", NULL, "ignored");
        problem_add(&p, PROBLEM_ERROR, "web.chunk", 3, 7, "unknown-key", "did you mean 'Restart'?",
                "unknown key '%s'", "Restrt");
        ck_assert_str_eq(problem_format(&p.items[0], text, sizeof(text)),
                "web.chunk:3:7: unknown key 'Restrt' (did you mean 'Restart'?)");
        for (int i = 0; i < 300; i++)
                problem_add(&p, PROBLEM_NOTE, NULL, 0, 0, "n", NULL, "note");
        ck_assert_uint_eq(p.n, PROBLEMS_MAX);
        ck_assert_uint_eq(p.dropped, 45);
        ck_assert_uint_eq(p.errors, 1);
        problem_format(&p.items[1], text, sizeof(text));
        ck_assert_str_eq(text, "note");
        problems_done(&p);
        ck_assert_ptr_null(p.items);
}
END_TEST

START_TEST(nearest) {
        static const char *const names[] = {"Restart", "RestartSec", "Requires", "User"};

        ck_assert_str_eq(nearest_name("Restrt", names, 4), "Restart");
        ck_assert_str_eq(nearest_name("RestartSecs", names, 4), "RestartSec");
        ck_assert_ptr_null(nearest_name("Bananas", names, 4));
        ck_assert_ptr_null(nearest_name("Xy", names, 4));
        ck_assert_str_eq(nearest_name("Usre", names, 4), "User");
        ck_assert_ptr_null(nearest_name("Ours", names, 4));
        ck_assert_ptr_null(nearest_name("", names, 4));
}
END_TEST

static uint64_t fixed(void *user) {
        return *(uint64_t *)user;
}

START_TEST(hints_of_names) {
        static const char *const names[] = {"Restart", "RestartSec", "Requires", "User"};
        char hint[200], small[24];

        ck_assert_str_eq(names_hint("Restrt", names, 4, hint, sizeof(hint)), "did you mean 'Restart'?");
        ck_assert_str_eq(names_hint("Bananas", names, 4, hint, sizeof(hint)),
                "one of: Restart, RestartSec, Requires, User");
        ck_assert_str_eq(names_hint("Bananas", names, 4, small, sizeof(small)), "one of: Restart, ...");
        ck_assert_str_eq(names_hint("Bananas", names, 0, hint, sizeof(hint)), "");
}
END_TEST

/* What a problem quotes is somebody else's: no control character of any size, no broken UTF-8. */
START_TEST(problems_are_clean) {
        Problems p = {0};
        char text[PROBLEM_TEXT_MAX];

        problem_add(&p, PROBLEM_ERROR, "f", 1, 0, "c", NULL, "'%s'",
                "a\x1b[2J\n\x7f b\xc2\x9b"
                "2J \xff \xc3\xa9");
        ck_assert_str_eq(problem_format(&p.items[0], text, sizeof(text)), "f:1: 'a?[2J?? b??2J ? \xc3\xa9'");
        problems_done(&p);
}
END_TEST

START_TEST(clock_seam) {
        uint64_t now = 5000000123u;
        const ClockSource source = {fixed, fixed, &now};
        uint8_t a[16], b[16], zero[16] = {0};
        uint64_t real = clock_boot_ns();

        ck_assert_uint_le(real, clock_boot_ns());
        clock_set_source(&source);
        ck_assert_uint_eq(clock_boot_us(), 5000000);
        ck_assert_uint_eq(clock_wall_ns(), now);
        clock_set_source(NULL);
        ck_assert_uint_ge(clock_boot_ns(), real);
        clock_boot_id(a);
        clock_boot_id(b);
        ck_assert_mem_eq(a, b, 16);
        ck_assert_mem_ne(a, zero, 16);
}
END_TEST

START_TEST(sha) {
        static const char abc[] =
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; /* FIPS 180-4 */
        int fd = memfd_create("sha", MFD_CLOEXEC);
        uint8_t hash[32];
        char hex[65];

        sha256("abc", 3, hash);
        hex_encode(hash, 32, hex);
        ck_assert_str_eq(hex, abc);
        ck_assert_int_eq(write(fd, "abc", 3), 3);
        memset(hash, 0, sizeof(hash));
        ck_assert_int_eq(sha256_fd(fd, hash), 0);
        hex_encode(hash, 32, hex);
        ck_assert_str_eq(hex, abc);
        ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 3);
        close(fd);
        ck_assert_int_eq(sha256_fd(fd, hash), -EBADF);
}
END_TEST

START_TEST(signals_by_name_and_number) {
        static const char *const good[] = {
                "TERM", "SIGTERM", "sigterm", "hup", "15", "64", "RTMIN", "SIGRTMIN+3", "RTMAX-1"};
        static const char *const bad[] = {"", "FOO", "SIG", "0", "65", "-1", "RTMIN+99", "RTMIN-1", "TERM "};

        for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
                ck_assert_msg(signal_from_string(good[i]) > 0, "%s", good[i]);
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                ck_assert_msg(signal_from_string(bad[i]) == -EINVAL, "%s", bad[i]);
        for (int i = 1; i <= SIGRTMAX; i++)
                if (strcmp(signal_name(i), "SIG?") != 0)
                        ck_assert_int_eq(signal_from_string(signal_name(i)), i);
        ck_assert_str_eq(signal_name(SIGTERM), "SIGTERM");
        ck_assert_str_eq(signal_name(SIGRTMIN + 3), "SIGRTMIN+3");
        ck_assert_str_eq(signal_name(0), "SIG?");
        ck_assert_str_eq(signal_name(SIGRTMAX + 1), "SIG?");
}
END_TEST

TEST_MAIN("text", patterns, durations, sizes_and_numbers, names_and_utf8, times, small_ones, buffers,
        problems_are_bounded, problems_are_clean, nearest, hints_of_names, clock_seam, sha,
        signals_by_name_and_number)
