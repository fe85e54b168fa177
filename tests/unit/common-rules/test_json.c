/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json/json-read.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <string.h>

START_TEST(reads_members) {
        char why[100];
        uint8_t hex[2];
        auto_json json_t *j = NULL;
        ck_assert_int_eq(
                json_read(STR_LIT("{\"s\":\"x\",\"i\":-3,\"u\":4,\"d\":0.5,\"b\":true,\"h\":\"0aff\","
                                  "\"o\":{\"l\":[1,{\"k\":\"v\"}]}}"),
                        0, &j, why, sizeof(why)),
                0);
        ck_assert_str_eq(json_get_str(j, "s", ""), "x");
        ck_assert_str_eq(json_get_str(j, "i", "none"), "none");
        ck_assert_int_eq(json_get_i64(j, "i", 0), -3);
        ck_assert_uint_eq(json_get_u64(j, "i", 9), 9);
        ck_assert_uint_eq(json_get_u64(j, "u", 9), 4);
        ck_assert(json_get_double(j, "d", 0) == 0.5 && json_get_double(j, "u", 0) == 4);
        ck_assert(json_get_bool(j, "b", false) && json_get_bool(j, "s", true));
        ck_assert(json_get_hex(j, "h", hex, 2) && hex[0] == 10 && hex[1] == 255);
        ck_assert(!json_get_hex(j, "s", hex, 2) && !json_get_hex(j, "h", hex, 1));
        ck_assert_str_eq(json_string_value(json_get_path(j, "o.l.1.k")), "v");
        ck_assert_ptr_null(json_get_path(j, "o.l.2"));
        ck_assert_ptr_null(json_get_path(j, "o..l"));
        ck_assert_ptr_null(json_get_path(j, "o."));
}
END_TEST

static const char *const refused[] = {
        "",
        "{",
        "{\"a\":1,\"a\":2}",
        "{} x",
        "nul",
        "{\"a\":01}",
        "[1,]",
        "\"\xff\"",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
};

START_TEST(refuses) {
        char why[100] = "";
        json_t *j;
        ck_assert_int_eq(json_read(str_of(refused[_i]), 0, &j, why, sizeof(why)), -EINVAL);
        ck_assert_ptr_null(j);
        ck_assert(why[0]);
}
END_TEST

START_TEST(bounds) {
        json_t *j;
        ck_assert_int_eq(json_read(STR_LIT("\"abcdef\""), 4, &j, NULL, 0), -EMSGSIZE);
        auto_json json_t *ok = NULL;
        ck_assert_int_eq(
                json_read(STR_LIT("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[[[\"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"),
                        0, &ok, NULL, 0),
                0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("json");
        TCase *t = tcase_create("json");
        tcase_add_test(t, reads_members);
        tcase_add_loop_test(t, refuses, 0, ELEMENTSOF(refused));
        tcase_add_test(t, bounds);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
