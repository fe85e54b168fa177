/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/marker.h"
#include "tests/unit/guardian/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static uv_loop_t loop;
static Workers *workers;
static Marker m;

static void begin(void) {
        strcpy(dir, "/tmp/marker-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        ck_assert_int_eq(workers_new(&loop, &workers), 0);
        marker_init(&m, workers, dir);
}

static void done(void) {
        ck_assert_uint_eq(workers_close(workers), 0);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        unlink(m.path);
        rmdir(dir);
}

START_TEST(test_not_on_the_loop) {
        char text[64];
        begin();
        marker_set(&m, "too hot");
        ck_assert(m.busy); /* a helper's work, not done inside the call */
        ck_assert(marker_settle(&m, 60000));
        ck_assert(marker_read(&m, text, sizeof(text)));
        ck_assert_str_eq(text, "too hot");
        done();
}
END_TEST

START_TEST(test_last_one_holds) {
        char text[64];
        begin();
        marker_set(&m, "one");
        marker_set(&m, NULL);
        marker_set(&m, "two");
        ck_assert(marker_settle(&m, 60000));
        ck_assert(marker_read(&m, text, sizeof(text)));
        ck_assert_str_eq(text, "two");
        marker_set(&m, "three");
        marker_set(&m, NULL);
        ck_assert(marker_settle(&m, 60000));
        ck_assert(marker_read(&m, text, sizeof(text)));
        ck_assert_str_eq(text, "");
        done();
}
END_TEST

START_TEST(test_what_can_not_be_known) {
        char text[64];
        begin();
        ck_assert_int_eq(symlink("/etc/passwd", m.path), 0);
        ck_assert(!marker_read(&m, text, sizeof(text))); /* not followed, and not "there is none" */
        ck_assert_str_eq(text, "");
        unlink(m.path);
        ck_assert_int_eq(mkdir(m.path, 0700), 0);
        ck_assert(marker_read(&m, text, sizeof(text))); /* it is there and can't be read: paused */
        ck_assert_str_eq(text, "paused");
        rmdir(m.path);
        done();
        marker_init(&m, workers, "");
        ck_assert(!marker_read(&m, text, sizeof(text)));
        marker_set(&m, "nowhere to write");
}
END_TEST

static unsigned settled;

static void on_settled(void *user) {
        ck_assert_ptr_eq(user, &m);
        ck_assert(!marker_pending(&m));
        settled++;
}

/* Who waits is told when the last of several changes stands, or has failed; that one can be tried again. */
START_TEST(test_what_has_failed_is_known) {
        char text[64], aside[128];
        begin();
        settled = 0;
        marker_on_settled(&m, on_settled, &m);
        marker_set(&m, "one");
        ck_assert(marker_pending(&m));
        marker_set(&m, "two");
        ck_assert(marker_settle(&m, 60000));
        ck_assert_uint_eq(settled, 1);
        ck_assert_int_eq(marker_error(&m), 0);
        marker_retry(&m);
        ck_assert(!marker_pending(&m)); /* nothing has failed */
        snprintf(aside, sizeof(aside), "%s.aside", dir);
        ck_assert_int_eq(rename(dir, aside), 0);
        marker_set(&m, "three");
        ck_assert(marker_settle(&m, 60000));
        ck_assert_uint_eq(settled, 2);
        ck_assert_int_eq(marker_error(&m), -ENOENT);
        ck_assert_int_eq(rename(aside, dir), 0);
        marker_retry(&m);
        ck_assert(marker_settle(&m, 60000));
        ck_assert_int_eq(marker_error(&m), 0);
        ck_assert(marker_read(&m, text, sizeof(text)));
        ck_assert_str_eq(text, "three");
        done();
        marker_init(&m, workers, "");
        marker_set(&m, "nowhere to write");
        ck_assert_int_eq(marker_error(&m), -ENOENT);
        marker_set(&m, NULL);
        ck_assert_int_eq(marker_error(&m), 0);
}
END_TEST

SUITE_MAIN("marker", test_not_on_the_loop, test_last_one_holds, test_what_can_not_be_known,
        test_what_has_failed_is_known)
