/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/spool.h"
#include "common/cleanup.h"
#include "tests/unit/guardian/world.h"

static Workers *workers;
static Spool *spool;
static unsigned told;
static int told_error;
static char file[128];

static void on_stored(void *user, int error) {
        (void)user;
        told++;
        told_error = error;
}

static void open_spool(void) {
        ck_assert_int_eq(spool_open(workers, dir, on_stored, NULL, &spool), 0);
}

static void reopen(void) {
        ck_assert(spool_settle(spool, 60000));
        spool = spool_close(spool);
        open_spool();
}

static void setup(void) {
        world_begin();
        ck_assert_int_eq(workers_new(&loop, &workers), 0);
        path_in(file, sizeof(file), "recovery");
        told = 0;
        open_spool();
}

static void teardown(void) {
        ck_assert(spool_settle(spool, 60000));
        spool = spool_close(spool);
        ck_assert_uint_eq(workers_close(workers), 0);
        world_end();
}

static SpoolRecord record(uint8_t id, char *body) {
        SpoolRecord r = {.time_ns = 1700000000000000000u + id,
                .actor = "uid:0",
                .action = "restart",
                .resource = "web",
                .result = "ungated",
                .correlation_id = "cor_1",
                .body = body};
        memset(r.id, id, sizeof(r.id));
        return r;
}

static int add(uint8_t id) {
        char body[] = "{\"why\":\"a\\tb\\nc\"}";
        SpoolRecord r = record(id, body);
        return spool_add(spool, &r);
}

static void stored(uint8_t id) {
        told = 0;
        ck_assert_int_eq(add(id), 0);
        WAIT_FOR(told > 0);
        ck_assert_int_eq(told_error, 0);
}

static void holds(unsigned n, const uint8_t *ids) {
        SpoolRecord *r = spool_first(spool);
        ck_assert_uint_eq(spool_pending(spool), n);
        for (unsigned i = 0; i < n; i++, r = spool_next(spool, r)) {
                ck_assert_ptr_nonnull(r);
                ck_assert_uint_eq(r->id[0], ids[i]);
                ck_assert_uint_eq(r->id[15], ids[i]);
        }
        ck_assert_ptr_null(r);
}
#define HOLDS(...) holds(sizeof((uint8_t[]){__VA_ARGS__}), (uint8_t[]){__VA_ARGS__})

START_TEST(what_was_stored_comes_back) {
        stored(1);
        stored(2);
        reopen();
        HOLDS(1, 2);
        SpoolRecord *r = spool_first(spool);
        ck_assert_uint_eq(r->time_ns, 1700000000000000001u);
        ck_assert_str_eq(r->actor, "uid:0");
        ck_assert_str_eq(r->action, "restart");
        ck_assert_str_eq(r->resource, "web");
        ck_assert_str_eq(r->result, "ungated");
        ck_assert_str_eq(r->correlation_id, "cor_1");
        ck_assert_str_eq(r->body, "{\"why\":\"a\\tb\\nc\"}");
        ck_assert(r->stored);
        ck_assert_uint_eq(spool_dropped(spool), 0);
        struct stat st;
        ck_assert_int_eq(stat(file, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

/* A power cut may leave any beginning of the last line. It is dropped and counted, what was before it stands,
 * and what is added afterwards does not join it. */
START_TEST(a_torn_line_swallows_nothing) {
        static char text[4096];
        stored(1);
        size_t whole = read_file(file, text, sizeof(text));
        stored(2);
        size_t n = read_file(file, text, sizeof(text));
        for (size_t cut = whole; cut < n; cut++) {
                ck_assert(spool_settle(spool, 60000));
                spool = spool_close(spool);
                write_file(file, text, cut, 0600);
                open_spool();
                ck_assert_uint_eq(spool_dropped(spool), cut > whole && cut < n - 1);
                if (cut < n - 1)
                        HOLDS(1);
                else
                        HOLDS(1, 2); /* only its newline is missing */
                stored(3);
                reopen();
                ck_assert_uint_eq(spool_dropped(spool), 0);
                if (cut < n - 1)
                        HOLDS(1, 3);
                else
                        HOLDS(1, 2, 3);
        }
}
END_TEST

START_TEST(a_changed_byte_is_noticed) {
        static char text[4096];
        stored(1);
        stored(2);
        size_t n = read_file(file, text, sizeof(text));
        size_t first = (size_t)(strchr(text, '\n') - text);
        for (size_t at = 0; at < first; at++) {
                ck_assert(spool_settle(spool, 60000));
                spool = spool_close(spool);
                text[at] ^= 1;
                write_file(file, text, n, 0600);
                text[at] ^= 1;
                open_spool();
                HOLDS(2);
                ck_assert_uint_ge(spool_dropped(spool), 1);
        }
}
END_TEST

START_TEST(imported_by_id_and_emptied) {
        static const uint8_t unknown[16] = {9};
        struct stat st;
        uint8_t id[16];
        stored(1);
        stored(2);
        reopen();
        memset(id, 1, sizeof(id));
        spool_imported_id(spool, unknown);
        ck_assert_uint_eq(spool_pending(spool), 2);
        spool_imported_id(spool, id);
        HOLDS(2);
        ck_assert_int_eq(stat(file, &st), 0);
        ck_assert_int_gt(st.st_size, 0); /* half imported: the file stays whole */
        memset(id, 2, sizeof(id));
        told = 0;
        spool_imported_id(spool, id);
        WAIT_FOR(told > 0);
        ck_assert_int_eq(stat(file, &st), 0);
        ck_assert_int_eq(st.st_size, 0);
        reopen();
        HOLDS();
        stored(3);
        reopen();
        HOLDS(3);
}
END_TEST

START_TEST(a_full_one_refuses_and_says_so) {
        static char body[64 * 1024];
        struct stat st;
        memset(body, 'x', sizeof(body) - 1);
        memcpy(body, "{\"a\":\"", 6);
        memcpy(body + sizeof(body) - 3, "\"}", 2);
        unsigned n = 0;
        int r = 0;
        while (r == 0 && n < 64) {
                SpoolRecord big = record((uint8_t)(n + 1), body);
                r = spool_add(spool, &big);
                n += r == 0;
        }
        ck_assert_int_eq(r, -ENOSPC);
        ck_assert_uint_eq(n, 15);
        ck_assert_uint_eq(spool_pending(spool), n);
        ck_assert_int_eq(add(200), 0); /* a small one still fits */
        while (add(200) == 0)
                ;
        ck_assert(spool_settle(spool, 60000));
        ck_assert_int_eq(stat(file, &st), 0);
        ck_assert_int_le(st.st_size, SPOOL_MAX_BYTES);
        size_t pending = spool_pending(spool);
        reopen(); /* what fits in is read back */
        ck_assert_uint_eq(spool_pending(spool), pending);
        ck_assert_uint_eq(spool_dropped(spool), 0);
}
END_TEST

/* A folder where the file belongs fails the writing; what was not stored goes with the next record, once. */
START_TEST(an_error_is_told_and_tried_again) {
        stored(1);
        char aside[128];
        path_in(aside, sizeof(aside), "aside");
        ck_assert_int_eq(rename(file, aside), 0);
        ck_assert_int_eq(mkdir(file, 0700), 0);
        told = 0;
        ck_assert_int_eq(add(2), 0);
        WAIT_FOR(told > 0);
        ck_assert_int_eq(told_error, -EISDIR);
        ck_assert(spool_first(spool)->stored);
        ck_assert(!spool_next(spool, spool_first(spool))->stored);
        ck_assert_int_eq(rmdir(file), 0);
        ck_assert_int_eq(rename(aside, file), 0);
        stored(3);
        reopen();
        HOLDS(1, 2, 3);
        ck_assert_uint_eq(spool_dropped(spool), 0);
}
END_TEST

START_TEST(many_at_once_are_one_or_two_writes) {
        told = 0;
        for (unsigned i = 1; i <= 100; i++)
                ck_assert_int_eq(add((uint8_t)i), 0);
        WAIT_FOR(told > 0);
        ck_assert(spool_settle(spool, 60000));
        ck_assert_uint_eq(told, 1); /* said once, when all of them are durable */
        reopen();
        ck_assert_uint_eq(spool_pending(spool), 100);
}
END_TEST

START_TEST(what_is_no_spool_is_refused) {
        Spool *other = NULL;
        char elsewhere[128];
        path_in(elsewhere, sizeof(elsewhere), "elsewhere");
        write_file(elsewhere, "", 0, 0600);
        ck_assert_int_eq(symlink("elsewhere", file), 0);
        ck_assert_int_eq(spool_open(workers, dir, NULL, NULL, &other), -ELOOP);
        ck_assert_int_eq(unlink(file), 0);
        write_file(file, "", 0, 0600);
        ck_assert_int_eq(truncate(file, SPOOL_MAX_BYTES + 1), 0);
        ck_assert_int_eq(spool_open(workers, dir, NULL, NULL, &other), -EFBIG);
        ck_assert_ptr_null(other);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {what_was_stored_comes_back, a_torn_line_swallows_nothing,
                a_changed_byte_is_noticed, imported_by_id_and_emptied, a_full_one_refuses_and_says_so,
                an_error_is_told_and_tried_again, many_at_once_are_one_or_two_writes,
                what_is_no_spool_is_refused};
        return run_suite("spool", setup, teardown, tests, sizeof(tests) / sizeof(*tests));
}
