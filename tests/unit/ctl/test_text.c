/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for people: 80 columns, whole words, no byte that steers a terminal. */
#include "guardian/ctl/text.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char printed[8192];

/* What a call prints on stdout. */
static FILE *redirect(int *saved) {
        FILE *f = tmpfile();
        ck_assert_ptr_nonnull(f);
        fflush(stdout);
        *saved = dup(1);
        dup2(fileno(f), 1);
        return f;
}
static void restore(FILE *f, int saved) {
        fflush(stdout);
        dup2(saved, 1);
        close(saved);
        rewind(f);
        printed[fread(printed, 1, sizeof(printed) - 1, f)] = 0;
        fclose(f);
}
#define PRINTED(call)                                                                                        \
        do {                                                                                                 \
                int saved_;                                                                                  \
                FILE *f_ = redirect(&saved_);                                                                \
                call;                                                                                        \
                restore(f_, saved_);                                                                         \
        } while (0)

START_TEST(words_stay_whole) {
        char text[600] = "";
        for (int i = 0; i < 40; i++)
                strcat(text, "word-of-12ch ");
        PRINTED(text_wrap(4, 6, text));
        int lines = 0;
        for (char *p = strtok(printed, "\n"); p; p = strtok(NULL, "\n"), lines++) {
                ck_assert_uint_le(strlen(p) + (lines ? 0 : 4), TEXT_COLUMNS);
                if (lines)
                        ck_assert_int_eq(strncmp(p, "      word", 10), 0);
        }
        ck_assert_int_eq(lines, 8); /* 5 words behind column 4, then 5 a line */
}
END_TEST

START_TEST(references_stay_whole) {
        PRINTED(text_wrap(70, 2, "ab [record 72] cd"));
        ck_assert_str_eq(printed, "ab\n  [record 72] cd\n");
        PRINTED(text_wrap(0, 2, "[open without an end"));
        ck_assert_str_eq(printed, "[open without an end\n");
}
END_TEST

START_TEST(a_long_word_is_not_cut) {
        char text[200];
        memset(text, 'x', 100);
        text[100] = 0;
        PRINTED(text_wrap(0, 2, text));
        ck_assert_uint_eq(strlen(printed), 101);
}
END_TEST

START_TEST(no_text_is_a_question_mark) {
        PRINTED(text_wrap(0, 0, NULL));
        ck_assert_str_eq(printed, "?\n");
}
END_TEST
START_TEST(control_characters_do_not_pass) {
        PRINTED(text_wrap(0, 0, "a\033[2Jb\007 c\x7f"));
        ck_assert_str_eq(printed, "a?[2Jb? c?\n");
        PRINTED(text_wrap(0, 0,
                "a\xc2\x9b"
                "2Jb \xff"));
        ck_assert_str_eq(printed, "a?2Jb ?\n");
        PRINTED(text_cell("a\033b", 8, true));
        ck_assert_str_eq(printed, "a?b\n");
        PRINTED(text_clean(str_of("a\tb\rc")));
        ck_assert_str_eq(printed, "a\tb?c");
}
END_TEST
/* U+009B is "ESC [" in one character; its neighbours in the encoding are letters. */
START_TEST(nor_do_those_of_c1) {
        PRINTED(text_wrap(0, 0,
                "a\xc2\x9b"
                "2J \xc2\xa0\xc3\x9b"));
        ck_assert_str_eq(printed, "a?2J \xc2\xa0\xc3\x9b\n");
        PRINTED(text_cell("a\xc2\x9d"
                          "b",
                8, true));
        ck_assert_str_eq(printed, "a?b\n");
        PRINTED(text_clean(str_of("a\tb\xc2\x80\xc2\x9f"
                                  "c\xc2")));
        ck_assert_str_eq(printed, "a\tb??c?");
}
END_TEST

START_TEST(cells_count_characters_not_bytes) {
        PRINTED(text_cell("\xc3\xa4\xc3\xb6\xc3\xbc", 5, false));
        ck_assert_str_eq(printed, "\xc3\xa4\xc3\xb6\xc3\xbc   ");
        PRINTED(text_cell("\xc3\xa4\xc3\xb6\xc3\xbc", 2, false));
        ck_assert_str_eq(printed, "\xc3\xa4\xc3\xb6 ");
        text_whole = true; /* not a terminal */
        PRINTED(text_cell("abcdef", 2, false));
        ck_assert_str_eq(printed, "abcdef ");
        text_whole = false;
}
END_TEST

START_TEST(small_words) {
        char out[40];
        ck_assert_str_eq(text_bytes(512, out, sizeof(out)), "512 B");
        ck_assert_str_eq(text_bytes(56938496, out, sizeof(out)), "54.3 MiB");
        ck_assert_str_eq(text_clock("2026-11-21T03:00:00.123Z", out, sizeof(out)), "03:00:00.123");
        ck_assert_str_eq(text_clock("", out, sizeof(out)), "-");
        ck_assert_str_eq(text_ago("", out, sizeof(out)), "-");
        ck_assert_str_eq(
                text_ago("2500-01-01T00:00:00.000Z", out, sizeof(out)), "0s"); /* a clock that went back */
        const Ctl plain = {.color = false}, color = {.color = true};
        ck_assert_str_eq(text_paint(&plain, "failed"), "");
        ck_assert_str_eq(text_paint(&color, "failed"), "\033[31m");
        ck_assert_str_eq(text_paint(&color, "whatever"), "");
}
END_TEST

int main(void) {
        Suite *s = suite_create("ctl-text");
        TCase *tc = tcase_create("text");
        tcase_add_test(tc, words_stay_whole);
        tcase_add_test(tc, references_stay_whole);
        tcase_add_test(tc, a_long_word_is_not_cut);
        tcase_add_test(tc, no_text_is_a_question_mark);
        tcase_add_test(tc, control_characters_do_not_pass);
        tcase_add_test(tc, nor_do_those_of_c1);
        tcase_add_test(tc, cells_count_characters_not_bytes);
        tcase_add_test(tc, small_words);
        suite_add_tcase(s, tc);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed != 0;
}
