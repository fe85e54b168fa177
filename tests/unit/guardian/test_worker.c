/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for what may hang: here each hangs in the read of a pipe, until the test writes. */
#include "guardian/worker.h"
#include "tests/unit/guardian/world.h"
#include <sched.h>

enum { MANY = 40 };

typedef struct Task {
        WorkerJob job;
        bool ran, done, signals_blocked, elsewhere;
        bool hangs;
} Task;

static Workers *w;
static int gate[2];
static Task tasks[MANY + 1];
static pthread_t ours;

static void run(WorkerJob *j) {
        Task *t = container_of(j, Task, job);
        sigset_t now;
        char c;
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        t->signals_blocked = sigismember(&now, SIGCHLD) == 1 && sigismember(&now, SIGTERM) == 1;
        t->elsewhere = !pthread_equal(pthread_self(), ours);
        if (t->hangs)
                ck_assert_int_eq(read(gate[0], &c, 1), 1);
        t->ran = true;
}

static void done(WorkerJob *j) {
        Task *t = container_of(j, Task, job);
        ck_assert(pthread_equal(pthread_self(), ours));
        ck_assert(t->ran);
        t->done = true;
}

static Task *start(unsigned i, bool hangs) {
        tasks[i] = (Task){.job = {.run = run, .done = done}, .hangs = hangs};
        worker_start(w, &tasks[i].job);
        return &tasks[i];
}

static void let_through(unsigned n) {
        for (unsigned i = 0; i < n; i++)
                ck_assert_int_eq(write(gate[1], "x", 1), 1);
}

static bool all_done(unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (!tasks[i].done)
                        return false;
        return true;
}

static unsigned threads(void) {
        DIR *d = opendir("/proc/self/task");
        unsigned n = 0;
        ck_assert_ptr_nonnull(d);
        for (struct dirent *e; (e = readdir(d));)
                n += e->d_name[0] != '.';
        closedir(d);
        return n;
}

/* A joined thread may still stand in /proc for a moment; check's own time limit ends a wait for what never
 * comes. */
static void alone_again(void) {
        while (threads() > 1)
                sched_yield();
}

static void setup(void) {
        world_begin();
        ours = pthread_self();
        ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
        ck_assert_int_eq(workers_new(&loop, &w), 0);
}

static void teardown(void) {
        if (w)
                ck_assert_uint_eq(workers_close(w), 0);
        uv_run(&loop, UV_RUN_DEFAULT);
        close(gate[0]);
        close(gate[1]);
        world_end();
}

START_TEST(runs_elsewhere_and_is_done_here) {
        ck_assert_uint_eq(threads(), 1); /* none before there is work */
        Task *t = start(0, false);
        ck_assert(!t->done); /* not before the loop turns */
        WAIT_FOR(t->done);
        ck_assert(t->elsewhere && t->signals_blocked);
        alone_again(); /* nor after it */
}
END_TEST

START_TEST(all_of_many_run) {
        for (unsigned i = 0; i < MANY; i++)
                start(i, false);
        WAIT_FOR(all_done(MANY));
        alone_again();
}
END_TEST

START_TEST(any_number_that_hangs_holds_up_nobody) {
        for (unsigned i = 0; i < MANY; i++)
                start(i, true);
        Task *last = start(MANY, false);
        WAIT_FOR(last->done);
        for (unsigned i = 0; i < MANY; i++)
                ck_assert(!tasks[i].done);
        let_through(MANY);
        WAIT_FOR(all_done(MANY));
        alone_again();
}
END_TEST

START_TEST(a_few_run_at_a_time) {
        for (unsigned i = 0; i < MANY; i++)
                start(i, true);
        ck_assert_uint_le(threads(), 1 + 4); /* the loop has not turned: nothing is slow yet */
        let_through(MANY);
        WAIT_FOR(all_done(MANY));
}
END_TEST

START_TEST(withdrawn_before_it_began) {
        for (unsigned i = 0; i < MANY; i++)
                start(i, true);
        ck_assert(worker_withdraw(&tasks[MANY - 1].job));
        ck_assert(!worker_withdraw(&tasks[0].job)); /* it runs */
        let_through(MANY - 1);
        WAIT_FOR(all_done(MANY - 1));
        ck_assert(!tasks[MANY - 1].ran && !tasks[MANY - 1].done);
}
END_TEST

/* Without a turn of the loop. */
START_TEST(finished_whoever_hangs) {
        Task *runs = start(0, false);
        ck_assert(worker_finish(&runs->job, 60000));
        ck_assert(runs->done && runs->elsewhere);
        for (unsigned i = 0; i < MANY - 1; i++)
                start(i, true);
        Task *waits = start(MANY - 1, false);
        ck_assert(worker_finish(&waits->job, 60000));
        ck_assert(waits->done && waits->elsewhere);
        let_through(MANY - 1);
        WAIT_FOR(all_done(MANY));
}
END_TEST

/* A stop must end though a disk does not answer. */
START_TEST(one_that_hangs_is_given_up) {
        Task *hangs = start(0, true);
        ck_assert(!worker_finish(&hangs->job, 1));
        ck_assert(!hangs->done);
        let_through(1);
        ck_assert(worker_finish(&hangs->job, 60000));
        ck_assert(hangs->done);
}
END_TEST

START_TEST(the_end_does_not_wait) {
        Task *back = start(0, false);
        Task *hangs = start(1, true);
        WAIT_FOR(back->done);
        ck_assert_uint_eq(workers_close(w), 1);
        uv_run(&loop, UV_RUN_DEFAULT); /* the handles are gone; a late answer finds nobody */
        w = NULL;
        let_through(1);
        pthread_join(hangs->job.thread, NULL);
        ck_assert(hangs->ran && !hangs->done);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {runs_elsewhere_and_is_done_here, all_of_many_run,
                any_number_that_hangs_holds_up_nobody, a_few_run_at_a_time, withdrawn_before_it_began,
                finished_whoever_hangs, one_that_hangs_is_given_up, the_end_does_not_wait};
        return run_suite("worker", setup, teardown, tests, sizeof(tests) / sizeof(*tests));
}
