/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/worker.h"
#include "common/clock.h"
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { AT_A_TIME = 4, SLOW_MS = 200, STACK_BYTES = 256 << 10 };

struct Workers {
        uv_async_t back;
        uv_timer_t look; /* runs while a job waits */
        List waiting, running;
        unsigned n_running, n_slow; /* slow ones are not among n_running */
        unsigned handles;
        bool closing;
        pthread_mutex_t lock; /* of what follows */
        pthread_cond_t came;  /* something to `finished` */
        List finished;
        bool closed;
};

static void *thread_main(void *arg) {
        WorkerJob *j = arg;
        Workers *w = j->home;
        j->run(j);
        pthread_mutex_lock(&w->lock);
        if (!w->closed) { /* else nobody takes it any more */
                list_remove(&j->node);
                list_append(&w->finished, &j->node);
                uv_async_send(&w->back);
                pthread_cond_signal(&w->came);
        }
        pthread_mutex_unlock(&w->lock);
        return NULL;
}

/* A stack of our own: glibc keeps those it makes, and what was touched of them stays with us for ever. */
static int make_stack(WorkerJob *j) {
        size_t guard = (size_t)sysconf(_SC_PAGESIZE);
        char *s = mmap(NULL, guard + STACK_BYTES, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (s == MAP_FAILED)
                return -errno;
        if (mprotect(s, guard, PROT_NONE) < 0) {
                int r = -errno;
                munmap(s, guard + STACK_BYTES);
                return r;
        }
        j->stack = s;
        return 0;
}

static void free_stack(WorkerJob *j) {
        munmap(j->stack, (size_t)sysconf(_SC_PAGESIZE) + STACK_BYTES);
        j->stack = NULL;
}

static int begin(WorkerJob *j) {
        pthread_attr_t attr;
        sigset_t all, old;
        int r = make_stack(j);
        if (r < 0)
                return r;
        r = pthread_attr_init(&attr);
        if (r == 0) {
                pthread_attr_setstack(&attr, (char *)j->stack + sysconf(_SC_PAGESIZE), STACK_BYTES);
                sigfillset(&all);
                pthread_sigmask(SIG_SETMASK, &all, &old);
                r = pthread_create(&j->thread, &attr, thread_main, j);
                pthread_sigmask(SIG_SETMASK, &old, NULL);
                pthread_attr_destroy(&attr);
        }
        if (r != 0)
                free_stack(j);
        return -r;
}

/* Each slow one makes room for itself and for one more: a dead file system with many units on it is through
 * soon. */
static bool room(const Workers *w) {
        return w->n_running < AT_A_TIME + w->n_slow;
}

static void on_look(uv_timer_t *t);

/* Of one that waits. Without a thread to be had it waits on, before the others. */
static int run_elsewhere(Workers *w, WorkerJob *j) {
        pthread_mutex_lock(&w->lock); /* it may be back before this is written down */
        list_remove(&j->node);
        list_append(&w->running, &j->node);
        j->running = true;
        j->began_us = clock_boot_us();
        j->lacking = begin(j);
        if (j->lacking < 0) {
                j->running = false;
                list_remove(&j->node);
                list_append(w->waiting.next, &j->node);
        } else {
                w->n_running++;
        }
        pthread_mutex_unlock(&w->lock);
        return j->lacking;
}

static void fill(Workers *w) {
        while (!w->closing && !list_empty(&w->waiting) && room(w))
                if (run_elsewhere(w, container_of(w->waiting.next, WorkerJob, node)) < 0)
                        break; /* tried again when a thread ends, or at the next look */
        if (w->closing || list_empty(&w->waiting))
                uv_timer_stop(&w->look);
        else if (!uv_is_active((uv_handle_t *)&w->look))
                uv_timer_start(&w->look, on_look, SLOW_MS, 0);
}

static void on_look(uv_timer_t *t) {
        Workers *w = t->data;
        uint64_t now = clock_boot_us();
        pthread_mutex_lock(&w->lock);
        LIST_FOREACH (n, &w->running) {
                WorkerJob *j = container_of(n, WorkerJob, node);
                if (j->slow || now - j->began_us < SLOW_MS * UINT64_C(1000))
                        continue;
                j->slow = true;
                w->n_running--;
                w->n_slow++;
        }
        pthread_mutex_unlock(&w->lock);
        fill(w);
}

static WorkerJob *take_finished(Workers *w) {
        WorkerJob *j = NULL;
        pthread_mutex_lock(&w->lock);
        if (!list_empty(&w->finished)) {
                j = container_of(w->finished.next, WorkerJob, node);
                list_remove(&j->node);
        }
        pthread_mutex_unlock(&w->lock);
        return j;
}

static void deliver(Workers *w) {
        for (WorkerJob *j; (j = take_finished(w));) {
                pthread_join(j->thread, NULL); /* it is past its last lock */
                free_stack(j);
                *(j->slow ? &w->n_slow : &w->n_running) -= 1;
                j->running = false;
                j->done(j);
        }
}

static void on_back(uv_async_t *a) {
        Workers *w = a->data;
        deliver(w);
        fill(w);
}

int workers_new(uv_loop_t *loop, Workers **ret) {
        Workers *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        int r = uv_async_init(loop, &w->back, on_back);
        if (r < 0) {
                free(w);
                return r;
        }
        uv_timer_init(loop, &w->look);
        w->back.data = w->look.data = w;
        pthread_mutex_init(&w->lock, NULL);
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&w->came, &monotonic);
        pthread_condattr_destroy(&monotonic);
        list_init(&w->waiting);
        list_init(&w->running);
        list_init(&w->finished);
        /* one heap for all threads: a heap of its own for each would stay with us after its end */
        mallopt(M_ARENA_MAX, 1);
        *ret = w;
        return 0;
}

void worker_start(Workers *w, WorkerJob *j) {
        j->home = w;
        j->running = j->slow = false;
        j->lacking = 0;
        list_append(&w->waiting, &j->node);
        fill(w);
}

bool worker_withdraw(WorkerJob *j) {
        if (j->running)
                return false;
        list_remove(&j->node);
        return true;
}

bool worker_finish(WorkerJob *j, uint64_t limit_ms) {
        Workers *w = j->home;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)(limit_ms / 1000);
        until.tv_nsec += (long)(limit_ms % 1000) * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (!j->running && run_elsewhere(w, j) < 0 && worker_withdraw(j)) {
                j->run(j);
                j->done(j);
                return true;
        }
        while (j->running) {
                int late = 0;
                pthread_mutex_lock(&w->lock);
                while (list_empty(&w->finished) && late == 0)
                        late = pthread_cond_timedwait(&w->came, &w->lock, &until);
                late = list_empty(&w->finished);
                pthread_mutex_unlock(&w->lock);
                if (late)
                        return false;
                deliver(w);
        }
        return true;
}

static void on_closed(uv_handle_t *h) {
        Workers *w = h->data;
        if (--w->handles == 0 && w->n_running + w->n_slow == 0) {
                pthread_cond_destroy(&w->came);
                pthread_mutex_destroy(&w->lock);
                free(w);
        }
}

unsigned workers_close(Workers *w) {
        if (!w)
                return 0;
        w->closing = true;
        for (bool over = false; !over;) {
                deliver(w);
                pthread_mutex_lock(&w->lock);
                over = w->closed = list_empty(&w->finished);
                pthread_mutex_unlock(&w->lock);
        }
        w->handles = 2;
        uv_close((uv_handle_t *)&w->back, on_closed);
        uv_close((uv_handle_t *)&w->look, on_closed);
        return w->n_running + w->n_slow;
}
