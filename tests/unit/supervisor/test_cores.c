/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/evidence.h"
#include "supervisor/lines.h"
#include "supervisor/manifest.h"
#include "supervisor/pacing.h"
#include "supervisor/procinfo.h"
#include "supervisor/timer-heap.h"
#include "common/cleanup.h"
#include <sys/resource.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define SEC 1000000ULL

/* ---- pacing ---- */

START_TEST(first_restart_is_immediate_then_backs_off) {
        PacingConfig c = PACING_DEFAULT;
        Pacing p;
        static const uint64_t want[] = {
                0, 100000, 200000, 400000, 800000, 1600000, 3200000, 6400000, 12800000, 25600000};
        uint64_t now = 1000 * SEC;

        c.jitter = false;
        pacing_init(&p);
        for (size_t i = 0; i < ELEMENTSOF(want); i++) {
                PacingDecision d = pacing_restart(&p, &c, now, UINT64_MAX);

                ck_assert_int_eq(d.verdict, PACING_RESTART);
                ck_assert_uint_eq(d.delay_us, want[i]);
                now += d.delay_us + 1000;
        }
        ck_assert_uint_eq(pacing_left(&p, &c, now), 0);
        ck_assert_int_eq(pacing_restart(&p, &c, now, 0).verdict, PACING_QUARANTINE);
        ck_assert_int_eq(pacing_restart(&p, &c, now, 0).verdict, PACING_QUARANTINE);
        pacing_reset(&p); /* an operator's start */
        ck_assert_uint_eq(pacing_restart(&p, &c, now, 0).delay_us, 0);
        ck_assert_uint_eq(pacing_left(&p, &c, now), 9);
}
END_TEST

START_TEST(delay_is_capped_and_jittered) {
        PacingConfig c = PACING_DEFAULT;
        Pacing p;
        uint64_t max = 0;

        c.burst = 0; /* no limit */
        pacing_init(&p);
        for (unsigned i = 0; i < 200; i++) {
                uint64_t random = i * 0x9e3779b97f4a7c15ULL;
                PacingDecision d = pacing_restart(&p, &c, i * SEC, random);

                ck_assert_int_eq(d.verdict, PACING_RESTART);
                ck_assert_uint_le(d.delay_us, 30 * SEC);
                max = d.delay_us > max ? d.delay_us : max;
        }
        ck_assert_uint_gt(max, 20 * SEC);
        ck_assert_uint_eq(pacing_restart(&p, &c, 0, 0).delay_us, 0);
        ck_assert_uint_eq(pacing_restart(&p, &c, 0, UINT64_MAX).delay_us, 30 * SEC);
        ck_assert_uint_eq(pacing_left(&p, &c, 0), UINT32_MAX);
}
END_TEST

START_TEST(being_ready_long_enough_resets) {
        PacingConfig c = PACING_DEFAULT;
        Pacing p;

        c.jitter = false;
        pacing_init(&p);
        pacing_restart(&p, &c, 10 * SEC, 0);
        pacing_restart(&p, &c, 11 * SEC, 0);
        pacing_ready(&p, 20 * SEC);
        ck_assert_uint_eq(pacing_restart(&p, &c, 80 * SEC - 1, 0).delay_us, 200000); /* one us too early */
        pacing_ready(&p, 100 * SEC);
        ck_assert_uint_eq(pacing_restart(&p, &c, 160 * SEC, 0).delay_us, 0);
        /* running for long without being ready is no success */
        ck_assert_uint_eq(pacing_restart(&p, &c, 250 * SEC, 0).delay_us, 100000);
}
END_TEST

START_TEST(the_limit_is_per_interval) {
        PacingConfig c = PACING_DEFAULT;
        Pacing p;

        pacing_init(&p);
        for (int i = 0; i < 10; i++)
                ck_assert_int_eq(pacing_restart(&p, &c, 0, 0).verdict, PACING_RESTART);
        ck_assert_int_eq(pacing_restart(&p, &c, 300 * SEC - 1, 0).verdict, PACING_QUARANTINE);
        ck_assert_int_eq(pacing_restart(&p, &c, 300 * SEC, 0).verdict, PACING_RESTART);
        ck_assert_uint_eq(pacing_left(&p, &c, 300 * SEC), 9);
}
END_TEST

START_TEST(the_bootstrap_list_never_gives_up) {
        PacingConfig c = PACING_DEFAULT;
        Pacing p;

        c.forever = true;
        pacing_init(&p);
        for (int i = 0; i < 10; i++)
                pacing_restart(&p, &c, 0, 0);
        for (int i = 0; i < 5; i++) {
                PacingDecision d = pacing_restart(&p, &c, SEC, 0);

                ck_assert_int_eq(d.verdict, PACING_EXHAUSTED);
                ck_assert_uint_eq(d.delay_us, 30 * SEC);
        }
}
END_TEST

START_TEST(a_literal_delay_stands) {
        PacingConfig c = PACING_DEFAULT;
        Pacing p;

        c.literal = true;
        c.base_us = 5 * SEC;
        pacing_init(&p);
        for (int i = 0; i < 3; i++)
                ck_assert_uint_eq(pacing_restart(&p, &c, 0, 12345).delay_us, 5 * SEC);
}
END_TEST

/* ---- timers ---- */

static TimerHeap heap;
static unsigned fired_log[64], n_fired;

static void fire(void *user, uint64_t now) {
        (void)now;
        fired_log[n_fired++ % 64] = (unsigned)(uintptr_t)user;
}

START_TEST(timers_have_their_place) {
        TimerId id[100] = {0};
        timer_heap_init(&heap);
        ck_assert_int_eq(timer_heap_reserve(&heap, 100), 0);
        const void *slots = heap.slots, *order = heap.heap;
        for (uintptr_t i = 0; i < 100; i++)
                ck_assert_int_eq(timer_heap_set(&heap, &id[i], i, fire, (void *)i), 0);
        ck_assert_ptr_eq(heap.slots, slots); /* nothing had to be allocated */
        ck_assert_ptr_eq(heap.heap, order);
        timer_heap_done(&heap);
}
END_TEST

START_TEST(timers_fire_in_order) {
        TimerId id[6] = {0};
        static const uint64_t at[] = {50, 10, 30, 10, 20, 60};
        static const unsigned want[] = {1, 3, 4, 2, 0};

        timer_heap_init(&heap);
        ck_assert_uint_eq(timer_heap_next(&heap), UINT64_MAX);
        for (uintptr_t i = 0; i < 6; i++)
                ck_assert_int_eq(timer_heap_add(&heap, at[i], fire, (void *)i, &id[i]), 0);
        ck_assert_uint_eq(timer_heap_next(&heap), 10);
        ck_assert_uint_eq(timer_heap_run(&heap, 9), 0);
        ck_assert_uint_eq(timer_heap_run(&heap, 50), 5);
        for (size_t i = 0; i < ELEMENTSOF(want); i++)
                ck_assert_uint_eq(fired_log[i], want[i]);
        ck_assert(!timer_heap_armed(&heap, id[0]));
        ck_assert(timer_heap_armed(&heap, id[5]));
        TimerId stale = id[0], copy = id[5];
        timer_heap_cancel(&heap, &id[5]);
        ck_assert_uint_eq(id[5], 0);
        timer_heap_cancel(&heap, &copy);  /* gone already: harmless */
        timer_heap_cancel(&heap, &stale); /* fired already, its slot may be another's */
        ck_assert_uint_eq(timer_heap_next(&heap), UINT64_MAX);
        timer_heap_done(&heap);
}
END_TEST

static void fire_again(void *user, uint64_t now) {
        n_fired++;
        ck_assert_int_eq(timer_heap_set(&heap, user, now, fire_again, user), 0); /* due at once */
}

START_TEST(what_a_callback_sets_waits) {
        TimerId id = 0, other = 0;

        timer_heap_init(&heap);
        ck_assert_int_eq(timer_heap_set(&heap, &id, 5, fire_again, &id), 0);
        ck_assert_int_eq(timer_heap_set(&heap, &other, 7, fire, NULL), 0);
        ck_assert_uint_eq(timer_heap_run(&heap, 7), 2); /* both, and no endless loop */
        ck_assert_uint_eq(timer_heap_run(&heap, 8), 1);
        ck_assert(timer_heap_armed(&heap, id));
        ck_assert_int_eq(timer_heap_set(&heap, &id, 100, fire, NULL), 0);
        ck_assert_uint_eq(timer_heap_next(&heap), 100);
        ck_assert_int_eq(timer_heap_set(&heap, &id, 3, fire, NULL), 0);
        ck_assert_uint_eq(timer_heap_next(&heap), 3);
        timer_heap_done(&heap);
}
END_TEST

/* Against a plain array: random adds, moves and cancels. */
START_TEST(timers_against_a_model) {
        enum { N = 200 };
        TimerId id[N] = {0};
        uint64_t deadline[N] = {0}, seed = 42, now = 0;

        timer_heap_init(&heap);
        for (int step = 0; step < 20000; step++) {
                uint64_t min = UINT64_MAX;
                unsigned i, due = 0;

                seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
                i = (unsigned)(seed >> 33) % N;
                switch ((seed >> 60) % 4) {
                case 0:
                        timer_heap_cancel(&heap, &id[i]);
                        deadline[i] = 0;
                        break;
                case 1:
                        now += (seed >> 40) % 50;
                        for (unsigned k = 0; k < N; k++)
                                if (deadline[k] != 0 && deadline[k] <= now) {
                                        due++;
                                        deadline[k] = 0;
                                }
                        ck_assert_uint_eq(timer_heap_run(&heap, now), due);
                        break;
                default:
                        deadline[i] = now + 1 + (seed >> 45) % 1000;
                        ck_assert_int_eq(timer_heap_set(&heap, &id[i], deadline[i], fire, NULL), 0);
                }
                for (unsigned k = 0; k < N; k++)
                        if (deadline[k] != 0 && deadline[k] < min)
                                min = deadline[k];
                ck_assert_uint_eq(timer_heap_next(&heap), min);
        }
        timer_heap_done(&heap);
}
END_TEST

/* ---- lines ---- */

static char seen[1 << 17];
static unsigned n_seen, n_cut;
static size_t longest;

static void on_line(void *user, Str text, bool cut) {
        (void)user;
        n_seen++;
        n_cut += cut;
        longest = text.n > longest ? text.n : longest;
        if (strlen(seen) + text.n + 2 < sizeof(seen)) {
                strncat(seen, text.p, text.n);
                strcat(seen, cut ? "~" : "|");
        }
}

START_TEST(lines_however_they_arrive) {
        static const char stream[] = "one\ntwo\r\n\nthree and more\nend";
        LineSplitter s = {0};

        for (size_t step = 1; step < sizeof(stream); step++) {
                seen[0] = '\0';
                for (size_t i = 0; i < sizeof(stream) - 1; i += step)
                        line_split(&s, stream + i,
                                step < sizeof(stream) - 1 - i ? step : sizeof(stream) - 1 - i, on_line, NULL);
                line_flush(&s, on_line, NULL);
                ck_assert_str_eq(seen, "one|two||three and more|end|");
                line_flush(&s, on_line, NULL); /* nothing left */
        }
        ck_assert_uint_eq(n_cut, 0);
}
END_TEST

START_TEST(long_lines_come_in_pieces) {
        static char big[40000];
        LineSplitter s = {0};

        memset(big, 'x', sizeof(big));
        line_split(&s, "abc", 3, on_line, NULL);
        line_split(&s, big, sizeof(big), on_line, NULL);
        line_split(&s, "\nnext\n", 6, on_line, NULL);
        ck_assert_uint_eq(n_cut, 2);
        ck_assert_uint_eq(n_seen, 4);
        ck_assert_uint_le(longest, LINE_MAX_BYTES);
        ck_assert_uint_eq(strlen(seen), 3 + sizeof(big) + 4 + 4);
        line_splitter_done(&s);
}
END_TEST

START_TEST(the_ring_keeps_the_newest) {
        LinePool p = {0};
        LineMark a = {0}, b = {0};
        static LineView out[50000];
        char text[300];
        size_t n;
        uint64_t written_a = 0;

        ck_assert_uint_eq(line_pool_tail(&p, &a, out, 10), 0);
        ck_assert_ptr_null(p.ring);
        for (unsigned i = 0; i < 20000; i++) {
                int len = snprintf(text, sizeof(text), "%u %.*s", i, (int)(i % 200),
                        "...................................................................................."
                        "...."
                        "...................................................................................."
                        "...."
                        "........................");

                ck_assert_int_eq(line_pool_put(&p, i % 3 ? &a : &b, i, (Str){text, (size_t)len}, false), 0);
                written_a += i % 3 != 0;
                ck_assert_uint_le(p.head - p.tail, LINE_POOL_BYTES);
        }
        n = line_pool_tail(&p, &a, out, ELEMENTSOF(out));
        ck_assert_uint_gt(n, 1000);
        ck_assert_uint_lt(n, written_a);
        for (size_t i = 0; i < n; i++) {
                unsigned number = (unsigned)strtoul(out[i].text.p, NULL, 10);

                ck_assert_uint_eq(number, out[i].wall_ns);
                ck_assert_uint_ne(number % 3, 0);
                ck_assert(i == 0 || out[i].seq > out[i - 1].seq);
        }
        ck_assert_uint_eq(out[n - 1].wall_ns, 19999);
        n = line_pool_tail(&p, &b, out, 3);
        ck_assert_uint_eq(n, 3);
        ck_assert_uint_eq(out[2].wall_ns, 19998);
        ck_assert_uint_eq(out[0].wall_ns, 19992);

        /* one unit that never stops evicts the other completely, and nothing points into it afterwards */
        for (unsigned i = 0; i < 20000; i++)
                line_pool_put(&p, &a, i, STR_LIT("a line of forty bytes, more or less ....."), false);
        ck_assert_uint_eq(line_pool_tail(&p, &b, out, 3), 0);
        line_pool_done(&p);
}
END_TEST

/* ---- /proc text, manifest, evidence ---- */

START_TEST(stat_line) {
        ProcStat s;

        ck_assert_int_eq(
                proc_stat_parse(
                        "42 (a) b (c)) S 1 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2", &s),
                0);
        ck_assert_int_eq(s.pid, 42);
        ck_assert_int_eq(s.ppid, 1);
        ck_assert_int_eq(s.pgrp, 40);
        ck_assert_int_eq(s.session, 39);
        ck_assert_uint_eq(s.start, 987654);
        ck_assert_uint_eq(s.threads, 1);
        ck_assert_uint_eq(s.vsize, 1);
        ck_assert(!proc_ended(&s));
        ck_assert_str_eq(s.comm, "a) b (c)");
        /* the first thread of two ended; the memory is not the first thread's any more */
        ck_assert_int_eq(proc_stat_parse("7 (z) Z 1 7 7 0 -1 0 1 0 4 0 0 0 0 0 20 0 2 0 55 0 0", &s), 0);
        ck_assert_uint_eq(s.vsize, 0);
        ck_assert(!proc_ended(&s));
        ck_assert_int_eq(proc_stat_parse("7 (z) Z 1 7 7 0 -1 0 1 0 4 0 0 0 0 0 20 0 1 0 55 0 0", &s), 0);
        ck_assert(proc_ended(&s));
        static const char numbered[] =
                "1 (z) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 "
                "32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52"; /* field by field */
        ck_assert_int_eq(proc_stat_parse(numbered, &s), 0);
        ck_assert_uint_eq(s.threads, 20);
        ck_assert_uint_eq(s.start, 22);
        ck_assert_uint_eq(s.vsize, 23);
        ck_assert_uint_eq(s.env_start, 50);
        ck_assert_uint_eq(s.env_end, 51);
        ck_assert_int_eq(proc_stat_parse("42 (x) S 1 2", &s), -EINVAL);
        ck_assert_int_eq(proc_stat_parse("", &s), -EINVAL);
        ck_assert_int_eq(proc_stat_parse(")(", &s), -EINVAL);
}
END_TEST

START_TEST(status_text) {
        static const char text[] =
                "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t10 20 \nNoNewPrivs:\t1\n"
                "Seccomp:\t2\nCapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n"
                "CapEff:\t0\nCapBnd:\tff\nCapAmb:\t0\n";
        ProcStatus s;

        ck_assert_int_eq(proc_status_parse(text, sizeof(text) - 1, &s), 0);
        ck_assert_uint_eq(s.uid[3], 4);
        ck_assert_uint_eq(s.gid[0], 5);
        ck_assert_uint_eq(s.n_groups, 2);
        ck_assert_uint_eq(s.groups[1], 20);
        ck_assert_int_eq(s.no_new_privs, 1);
        ck_assert_int_eq(s.seccomp, 2);
        ck_assert_int_eq(s.seccomp_filters, -1);
        ck_assert(s.caps_known);
        ck_assert_uint_eq(s.cap_prm, 0xa80425fb);
        ck_assert_int_eq(proc_status_parse("Name:\tx\n", 8, &s), -EINVAL);
        ck_assert_int_eq(s.no_new_privs, -1);
        ck_assert(!s.caps_known);
}
END_TEST

START_TEST(proc_of_ourselves) {
        ProcStat s;
        ProcStatus st;
        uint64_t rss = 0;
        char value[64];

        ck_assert_int_eq(proc_stat(0, &s), 0);
        ck_assert_int_eq(s.pid, getpid());
        ck_assert_int_eq(s.ppid, getppid());
        ck_assert_uint_gt(s.vsize, 0);
        ck_assert_uint_gt(s.env_start, 0);
        ck_assert_uint_ge(s.env_end, s.env_start);
        ck_assert_int_eq(proc_status(0, &st), 0);
        ck_assert_uint_eq(st.uid[1], geteuid());
        ck_assert_int_eq(proc_rss(0, &rss), 0);
        ck_assert_uint_gt(rss, 4096);
        ck_assert_int_eq(proc_stat(1 << 22, &s), -ESRCH);
        ck_assert_int_eq(proc_environ_get(0, "NO_SUCH_VARIABLE_HERE", value, sizeof(value)), -ENOENT);
}
END_TEST

#define HASH_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

START_TEST(manifest) {
        static const char good[] = HASH_EMPTY "  guardian-ledger\n" HASH_EMPTY " *guardian-mesh\n\n";
        static const char bad[] = "xyz  a\n" HASH_EMPTY "  a\n" HASH_EMPTY "  a\n" HASH_EMPTY "  dir/b\n";
        Problems problems = {0};
        Manifest m;
        int fd;

        ck_assert_int_eq(manifest_parse(&m, good, sizeof(good) - 1, "manifest", &problems), 0);
        ck_assert_uint_eq(m.n, 2);
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ck_assert_int_eq(manifest_check(&m, "guardian-mesh", fd), 0);
        ck_assert_int_eq(manifest_check(&m, "other", fd), 2);
        close(fd);
        fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        ck_assert_int_eq(manifest_check(&m, "guardian-mesh", fd), 1);
        close(fd);
        manifest_done(&m);
        ck_assert_int_eq(manifest_parse(&m, bad, sizeof(bad) - 1, "manifest", &problems), -EINVAL);
        ck_assert_uint_eq(problems.n, 3);
        ck_assert_uint_eq(problems.items[0].line, 1);
        ck_assert_uint_eq(problems.items[1].line, 3);
        ck_assert_uint_eq(problems.items[2].line, 4);
        problems_done(&problems);
        ck_assert_int_eq(manifest_load(&m, "/nonexistent", NULL), -ENOENT);
}
END_TEST

static const EvidenceCheck *check_of(const Evidence *e, const char *key) {
        for (unsigned i = 0; i < e->n; i++)
                if (strcmp(e->checks[i].key, key) == 0)
                        return &e->checks[i];
        ck_abort_msg("no check %s", key);
}

static const EvidencePlan ev_plan = {.no_new_privs = true,
        .uid = 5,
        .gid = 6,
        .groups = {7, 8},
        .n_groups = 2,
        .exe_dev = 1,
        .exe_ino = 2,
        .fds = {0, 1, 2, 3},
        .n_fds = 4};
static const EvidenceFacts ev_good = {.status = {.uid = {5, 5, 5, 5},
                                              .gid = {6, 6, 6, 6},
                                              .groups = {8, 7},
                                              .n_groups = 2,
                                              .no_new_privs = 1},
        .exe_dev = 1,
        .exe_ino = 2,
        .fds = {0, 1, 2, 3},
        .n_fds = 4};

START_TEST(evidence_that_differs) {
        EvidenceFacts f = ev_good;
        Evidence e;

        evidence_compare(&ev_plan, &f, &e);
        ck_assert(e.verified);
        f.status.uid[2] = 0; /* the saved uid would bring root back */
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(!e.verified && !check_of(&e, "Uid")->ok && check_of(&e, "Gid")->ok);
        f = ev_good;
        f.status.groups[f.status.n_groups++] = 0;
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(!check_of(&e, "Groups")->ok);
        f = ev_good;
        f.status.n_groups = 1;
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(!check_of(&e, "Groups")->ok);
        f = ev_good;
        f.status.groups_cut = true;
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(!check_of(&e, "Groups")->ok);
        f = ev_good;
        f.status.no_new_privs = 0;
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(!check_of(&e, "NoNewPrivs")->ok && !check_of(&e, "NoNewPrivs")->missing);
        f = ev_good;
        f.leaked[f.n_leaked++] = 12;
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(!check_of(&e, "Descriptors")->ok);
        ck_assert_str_eq(check_of(&e, "Descriptors")->found, "0 1 2 3 leaked:12");
        f = ev_good;
        f.exe_ino = 3; /* another program */
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(!e.verified && !check_of(&e, "Exe")->ok);
        f = ev_good;
        f.exe_dev = 9; /* another file system, the same number */
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(!e.verified && !check_of(&e, "Exe")->ok);
}
END_TEST

START_TEST(evidence_of_limits) {
        EvidencePlan p = ev_plan;
        EvidenceFacts f = ev_good;
        Evidence e;

        p.limits[p.n_limits++] = (LaunchLimit){RLIMIT_CORE, 0, 0};
        p.limits[p.n_limits++] = (LaunchLimit){RLIMIT_NOFILE, 64, 128};
        memcpy(f.limits, p.limits, sizeof(f.limits));
        evidence_compare(&p, &f, &e);
        ck_assert(e.verified && check_of(&e, "Rlimits")->ok);
        f.limits[1].soft = 65;
        evidence_compare(&p, &f, &e);
        ck_assert(!e.verified && !check_of(&e, "Rlimits")->ok);
        f.limits[1].soft = 64;
        f.limits[1].hard = UINT64_MAX; /* what could be raised again is no limit */
        evidence_compare(&p, &f, &e);
        ck_assert(!e.verified && !check_of(&e, "Rlimits")->ok);
}
END_TEST

START_TEST(evidence_is_only_what_was_read) {
        EvidenceFacts f = ev_good;
        Evidence e;

        f.status.no_new_privs = -1;
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(check_of(&e, "NoNewPrivs")->missing && !e.verified);
        f = ev_good;
        f.exe_error = -EACCES;
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(check_of(&e, "Exe")->missing && !e.verified && check_of(&e, "Exe")->found[0] == '\0');
        f = ev_good;
        f.status_error = -EACCES;
        evidence_compare(&ev_plan, &f, &e);
        ck_assert(check_of(&e, "Uid")->missing && check_of(&e, "Groups")->missing && !e.verified);
}
END_TEST

int main(void) {
        Suite *s = suite_create("cores");
        TCase *t = tcase_create("cores");
        SRunner *sr = srunner_create(s);
        int failed;

        tcase_add_test(t, first_restart_is_immediate_then_backs_off);
        tcase_add_test(t, delay_is_capped_and_jittered);
        tcase_add_test(t, being_ready_long_enough_resets);
        tcase_add_test(t, the_limit_is_per_interval);
        tcase_add_test(t, the_bootstrap_list_never_gives_up);
        tcase_add_test(t, a_literal_delay_stands);
        tcase_add_test(t, timers_have_their_place);
        tcase_add_test(t, timers_fire_in_order);
        tcase_add_test(t, what_a_callback_sets_waits);
        tcase_add_test(t, timers_against_a_model);
        tcase_add_test(t, lines_however_they_arrive);
        tcase_add_test(t, long_lines_come_in_pieces);
        tcase_add_test(t, the_ring_keeps_the_newest);
        tcase_add_test(t, stat_line);
        tcase_add_test(t, status_text);
        tcase_add_test(t, proc_of_ourselves);
        tcase_add_test(t, manifest);
        tcase_add_test(t, evidence_that_differs);
        tcase_add_test(t, evidence_of_limits);
        tcase_add_test(t, evidence_is_only_what_was_read);
        suite_add_tcase(s, t);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed > 0;
}
