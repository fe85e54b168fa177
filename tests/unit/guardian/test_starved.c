/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and the spool without memory: apart from the other tests of theirs, which also run under valgrind. */
#include "tests/unit/guardian/starve.h"
#include "guardian/spool.h"
#include "tests/unit/guardian/world.h"

typedef struct Task {
        WorkerJob job;
        bool ran, elsewhere, done;
} Task;

static Workers *workers;
static pthread_t ours;
static unsigned told;
static int told_error;

static void setup(void) {
        world_begin();
        ours = pthread_self();
        told = 0;
        ck_assert_int_eq(workers_new(&loop, &workers), 0);
}

static void teardown(void) {
        ck_assert_uint_eq(workers_close(workers), 0);
        world_end();
}

static void run(WorkerJob *j) {
        Task *t = container_of(j, Task, job);
        t->ran = true;
        t->elsewhere = !pthread_equal(pthread_self(), ours);
}

static void done(WorkerJob *j) {
        container_of(j, Task, job)->done = true;
}

/* No stack for a thread: what has to be finished runs here. */
START_TEST(finished_without_a_thread) {
        Task t = {.job = {.run = run, .done = done}};
        starve();
        worker_start(workers, &t.job);
        ck_assert_int_lt(t.job.lacking, 0);
        ck_assert(worker_finish(&t.job, 60000));
        feed();
        ck_assert(t.ran && t.done && !t.elsewhere);
}
END_TEST

static void on_stored(void *user, int error) {
        (void)user;
        told++;
        told_error = error;
}

static void add(Spool *s, uint8_t id, char *body) {
        SpoolRecord r = {.actor = "uid:0", .action = "restart", .resource = "web", .result = "ungated", .body = body};
        memset(r.id, id, sizeof(r.id));
        ck_assert_int_eq(spool_add(s, &r), 0);
}

/* The second record waits for the first one's job, and there is no memory for its line then. */
START_TEST(not_stored_without_memory) {
        static char body[600 * 1024];
        Spool *s = NULL;
        char small[] = "{}";
        memset(body, 'x', sizeof(body) - 1);
        ck_assert_int_eq(spool_open(workers, dir, on_stored, NULL, &s), 0);
        add(s, 1, small);
        add(s, 2, body);
        starve();
        WAIT_FOR(spool_first(s)->stored);
        feed();
        WAIT_FOR(told > 0);
        ck_assert_int_eq(told_error, -ENOMEM);
        ck_assert(!spool_next(s, spool_first(s))->stored);
        told = 0;
        add(s, 3, small); /* and goes with the next one */
        WAIT_FOR(told > 0);
        ck_assert_int_eq(told_error, 0);
        spool_close(s);
        ck_assert_int_eq(spool_open(workers, dir, on_stored, NULL, &s), 0);
        ck_assert_uint_eq(spool_pending(s), 3);
        ck_assert_uint_eq(spool_dropped(s), 0);
        spool_close(s);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {finished_without_a_thread, not_stored_without_memory};
        return run_suite("starved", setup, teardown, tests, sizeof(tests) / sizeof(*tests));
}
