/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/compile/roles.h"
#include "common/cleanup.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static Problems problems;
static RolesBlob blob;
static char passwd[] = "/tmp/test-roles-XXXXXX";

static void setup(void) {
        problems = (Problems){0};
        blob = (RolesBlob){0};
        strcpy(passwd, "/tmp/test-roles-XXXXXX");
        auto_close int fd = mkstemp(passwd);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_gt(dprintf(fd, "root:x:0:0::/:/bin/sh\nann:x:1234:100::/:/bin/sh\n"), 0);
}
static void teardown(void) {
        unlink(passwd);
        roles_blob_done(&blob);
        problems_done(&problems);
}

static int read_text(const char *text) {
        auto_yaml YamlNode *n = NULL;
        ck_assert_int_eq(yaml_parse("roles.yaml", str_of(text), &problems, &n), 0);
        return roles_from_yaml("roles.yaml", n, passwd, &problems, &blob);
}

#define API "apiVersion: guardian/policy.v1\n"

START_TEST(round_trip) {
        ck_assert_int_eq(read_text(API "roles:\n  operator: {uids: [1000, 7], gids: [20], users: [ann]}\n"
                                       "  admin: {gids: [4], uids: [7]}\n  observer: {uids: [1000]}\n"),
                0);
        Buf out = BUF_INIT(65536);
        ck_assert_int_eq(roles_blob_write(&blob, &out), 0);
        RolesBlob b;
        ck_assert_int_eq(roles_blob_parse(out.data, out.len, &b), 0);
        gid_t none[] = {99}, some[] = {99, 20}, both[] = {20, 4};
        ck_assert_int_eq(roles_blob_lookup(&b, 1000, none, 1), ROLE_OPERATOR); /* the highest that names it */
        ck_assert_int_eq(roles_blob_lookup(&b, 7, NULL, 0), ROLE_ADMIN);
        ck_assert_int_eq(roles_blob_lookup(&b, 1234, NULL, 0), ROLE_OPERATOR);
        ck_assert_int_eq(roles_blob_lookup(&b, 5, none, 1), ROLE_NOBODY);
        ck_assert_int_eq(roles_blob_lookup(&b, 5, some, 2), ROLE_OPERATOR);
        ck_assert_int_eq(roles_blob_lookup(&b, 5, both, 2), ROLE_ADMIN);
        ck_assert_int_eq(roles_blob_lookup(&b, 20, NULL, 0), ROLE_NOBODY); /* a gid is no uid */
        ck_assert_int_eq(roles_blob_lookup(&b, 1000 + (1ull << 32), NULL, 0), ROLE_NOBODY);
        roles_blob_done(&b);
        /* every single changed byte is noticed */
        for (size_t i = 0; i < out.len; i++) {
                out.data[i] ^= 1;
                ck_assert_int_eq(roles_blob_parse(out.data, out.len, &b), -EBADMSG);
                out.data[i] ^= 1;
        }
        for (size_t i = 0; i < out.len; i++)
                ck_assert_int_eq(roles_blob_parse(out.data, i, &b), -EBADMSG);
        buf_done(&out);
}
END_TEST

static const struct {
        const char *text, *code;
        unsigned line;
} bad[] = {
        {API "roles: {operater: {uids: [1]}}\n", "unknown-key", 2},
        {API "roles: {nobody: {uids: [1]}}\n", "unknown-key", 2},
        {API "roles:\n  admin: {uids: [x]}\n", "bad-value", 3},
        {API "roles:\n  admin: {uids: 1}\n", "bad-value", 3},
        {API "roles:\n  admin: {uids: [4294967295]}\n", "out-of-range", 3},
        {API "roles:\n  admin: {users: [bob]}\n", "unknown-user", 3},
        {API "roles:\n  admin: {uid: [1]}\n", "unknown-key", 3},
        {API "roles: [admin]\n", "bad-value", 2},
        {"roles: {}\n", "missing-key", 1},
        {"apiVersion: x\nroles: {}\n", "unknown-value", 1},
};

START_TEST(refuses) {
        ck_assert_int_eq(read_text(bad[_i].text), -EINVAL);
        ck_assert_str_eq(problems.items[0].code, bad[_i].code);
        ck_assert_uint_eq(problems.items[0].line, bad[_i].line);
        ck_assert_uint_eq(blob.n, 0);
}
END_TEST

START_TEST(too_many) {
        for (uint32_t i = 0; i < ROLES_BLOB_MAX; i++)
                ck_assert_int_eq(roles_blob_add(&blob, i & 1, 5000 - i, ROLE_OPERATOR), 0);
        ck_assert_int_eq(roles_blob_add(&blob, false, 1, ROLE_OPERATOR), -E2BIG);
        ck_assert_int_eq(roles_blob_add(&blob, false, 5000, ROLE_ADMIN), 0);
        ck_assert_int_eq(roles_blob_lookup(&blob, 5000, NULL, 0), ROLE_ADMIN);
}
END_TEST

START_TEST(no_directory_names_nobody) {
        const char *dirs[] = {"/nonexistent"};
        ck_assert_int_eq(roles_from_dirs(dirs, 1, &problems, &blob), 0);
        ck_assert_uint_eq(blob.n, 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("roles");
        TCase *t = tcase_create("roles");
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, round_trip);
        tcase_add_loop_test(t, refuses, 0, ELEMENTSOF(bad));
        tcase_add_test(t, too_many);
        tcase_add_test(t, no_directory_names_nobody);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? 1 : 0;
}
