/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json-writer.h"
#include "suite.h"
#include <errno.h>
#include <string.h>

static Buf out;
static JsonWriter w;

static void begin(bool canonical) {
        buf_done(&out);
        out = BUF_INIT(65536);
        json_init(&w, &out, canonical);
}

static void expect(const char *want) {
        ck_assert_int_eq(json_finish(&w), 0);
        ck_assert_int_eq(buf_append(&out, "", 1), 0);
        ck_assert_str_eq((char *)out.data, want);
        ck_assert_int_eq(json_check(str_of(want), NULL, NULL), 0);
}

START_TEST(documents) {
        begin(true);
        json_object_begin(&w);
        json_key(&w, "a");
        json_array_begin(&w);
        json_i64(&w, -1);
        json_u64(&w, UINT64_C(1) << 53);
        json_bool(&w, true);
        json_null(&w);
        json_str(&w, STR_LIT("q\"\\\b\t\n\f\r\x01\x7f/\xc3\xa9"));
        json_array_end(&w);
        json_kv_str(&w, "b", NULL);
        json_key(&w, "c");
        json_object_begin(&w);
        json_object_end(&w);
        json_key(&w, "d");
        json_hex(&w, "\x01\xff", 2);
        json_key(&w, "e");
        json_time(&w, 0);
        json_object_end(&w);
        expect("{\"a\":[-1,9007199254740992,true,null,\"q\\\"\\\\\\b\\t\\n\\f\\r\\u0001\x7f/"
               "\xc3\xa9\"],\"b\":null,\"c\":{},"
               "\"d\":\"01ff\",\"e\":\"1970-01-01T00:00:00.000Z\"}");
        ck_assert_int_eq(json_check_canonical((Str){(char *)out.data, out.len - 1}, NULL, NULL), 0);
}
END_TEST

START_TEST(invalid_utf8_is_replaced) {
        begin(true);
        json_str(&w, STR_LIT("a\xff\xc3(\xed\xa0\x80"));
        expect("\"a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}
END_TEST

START_TEST(milli) {
        static const struct {
                uint64_t v;
                const char *text;
        } cases[] = {{84200, "84.2"}, {0, "0.0"}, {5, "0.005"}, {1000, "1.0"}, {10010, "10.01"}};

        for (size_t i = 0; i < 5; i++) {
                begin(false);
                json_milli(&w, cases[i].v);
                expect(cases[i].text);
        }
        begin(true);
        json_milli(&w, 1);
        ck_assert_int_eq(json_finish(&w), -EINVAL);
}
END_TEST

START_TEST(misuse_sticks) {
        begin(true);
        json_object_begin(&w);
        json_kv_u64(&w, "b", 1);
        json_kv_u64(&w, "a", 1);
        json_object_end(&w);
        ck_assert_int_eq(json_finish(&w), -EINVAL);
        begin(true);
        json_object_begin(&w);
        json_kv_u64(&w, "a", 1);
        json_kv_u64(&w, "a", 1);
        ck_assert_int_eq(json_finish(&w), -EINVAL);
        begin(false);
        json_object_begin(&w);
        json_u64(&w, 1);
        ck_assert_int_eq(json_finish(&w), -EINVAL);
        begin(false);
        json_object_begin(&w);
        json_key(&w, "a");
        json_object_end(&w);
        ck_assert_int_eq(json_finish(&w), -EINVAL);
        begin(false);
        json_array_begin(&w);
        json_object_end(&w);
        ck_assert_int_eq(json_finish(&w), -EINVAL);
        begin(false);
        json_null(&w);
        json_null(&w);
        ck_assert_int_eq(json_finish(&w), -EINVAL);
        begin(false);
        ck_assert_int_eq(json_finish(&w), -EINVAL);
        begin(false);
        json_array_begin(&w);
        ck_assert_int_eq(json_finish(&w), -EINVAL);
        begin(false);
        json_u64(&w, (UINT64_C(1) << 53) + 1);
        ck_assert_int_eq(json_finish(&w), -ERANGE);
        begin(false);
        json_raw(&w, (Str){0});
        ck_assert_int_eq(json_finish(&w), -EINVAL);
}
END_TEST

START_TEST(full_buffer_sticks) {
        begin(false);
        out.max = 10;
        json_array_begin(&w);
        json_cstr(&w, "0123456789");
        json_array_end(&w);
        ck_assert_int_eq(json_finish(&w), -ENOBUFS);
}
END_TEST

START_TEST(depth_is_bounded) {
        begin(false);
        for (int i = 0; i < JSON_DEPTH_MAX + 5; i++)
                json_array_begin(&w);
        ck_assert_int_eq(json_finish(&w), -EINVAL);
}
END_TEST

START_TEST(canonical_form) {
        static const char *const good[] = {"{}", "[]", "null", "true", "0", "-1", "\"\"", "9007199254740992",
                "-9007199254740992", "{\"a\":1,\"b\":2}",
                "{\"\\u0001\":1,\"\\n\":2,\"\\\"\":3,\"A\":4,\"\\\\\":5}", "\"\\u001f\\\"\\\\\xc3\xa9/\"",
                "{\"a\":{\"b\":1},\"b\":{\"a\":1}}", "{\"a\":1,\"aa\":2}"};
        static const struct {
                const char *text;
                size_t at;
                const char *why;
        } bad[] = {{"", 0, "a value was due"}, {" {}", 0, "white space"}, {"{} ", 2, "white space"},
                {"{\"a\": 1}", 5, "white space"}, {"{\"b\":1,\"a\":2}", 7, "keys are not in ascending order"},
                {"{\"a\":1,\"a\":2}", 7, "keys are not in ascending order"},
                {"{\"aa\":1,\"a\":2}", 8, "keys are not in ascending order"},
                {"{\"\xc3\xa9\":1}", 2, "key is not ASCII"}, {"1.5", 0, "number is not an integer"},
                {"1e3", 0, "number is not an integer"}, {"-0", 0, "minus zero"},
                {"01", 0, "number with a leading zero"}, {"9007199254740993", 0, "integer beyond 2^53"},
                {"-99999999999999999999", 0, "integer beyond 2^53"},
                {"\"\\u0041\"", 1, "escape is not in canonical form"},
                {"\"\\u001F\"", 1, "escape is not in canonical form"},
                {"\"\\u000a\"", 1, "escape is not in canonical form"},
                {"\"\\/\"", 1, "escape is not in canonical form"}, {"\"\\x\"", 1, "bad escape"},
                {"\"a", 2, "string without end"}, {"\"\n\"", 1, "control byte in a string"},
                {"\"\xff\"", 1, "not UTF-8"}, {"tru", 0, "unknown word"}, {"[1,]", 3, "a value was due"},
                {"[1 2]", 2, "white space"}, {"[1;2]", 2, "a comma or a closing bracket was due"},
                {"{\"a\"}", 4, "a colon was due"}, {"{a:1}", 1, "a key was due"},
                {"[]]", 2, "bytes after the value"}, {"-", 1, "a digit was due"},
                {"[", 1, "a value was due"}};

        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                ck_assert_msg(json_check_canonical(str_of(good[i]), NULL, NULL) == 0, "%s", good[i]);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                const char *why = "";
                size_t at = 0;

                ck_assert_msg(
                        json_check_canonical(str_of(bad[i].text), &at, &why) == -EINVAL, "%s", bad[i].text);
                ck_assert_msg(
                        at == bad[i].at && strcmp(why, bad[i].why) == 0, "%s: %zu %s", bad[i].text, at, why);
        }
        ck_assert_int_eq(json_check_canonical((Str){"\"a\0b\"", 5}, NULL, NULL), -EINVAL);
}
END_TEST

START_TEST(check_depth) {
        char text[80];

        memset(text, '[', 32);
        memset(text + 32, ']', 32);
        ck_assert_int_eq(json_check_canonical((Str){text, 64}, NULL, NULL), 0);
        memset(text, '[', 33);
        memset(text + 33, ']', 33);
        ck_assert_int_eq(json_check_canonical((Str){text, 66}, NULL, NULL), -EINVAL);
}
END_TEST

START_TEST(wider_rules) {
        static const char *const good[] = {" { \"b\" : 1.5e-3 , \"a\" : [ ] } ",
                "\"\\u0041\\/\\ud83d\\ude00\"", "-0", "1E+5", "99999999999999999999999"};
        static const char *const bad[] = {
                "", " ", "{'a':1}", "[1,]", "01", ".5", "1.", "1e", "NaN", "{\"a\":1,}", "//", "\"\t\""};

        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                ck_assert_msg(json_check(str_of(good[i]), NULL, NULL) == 0, "%s", good[i]);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                ck_assert_msg(json_check(str_of(bad[i]), NULL, NULL) == -EINVAL, "%s", bad[i]);
}
END_TEST

TEST_MAIN("json", documents, invalid_utf8_is_replaced, milli, misuse_sticks, full_buffer_sticks,
        depth_is_bounded, canonical_form, check_depth, wider_rules)
