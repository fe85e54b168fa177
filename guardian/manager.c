/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/manager.h"
#include "common/clock.h"
#include "common/log.h"
#include "guardian/preflight.h"
#include "guardian/verbs.h"
#include "supervisor/pid1.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long what is left of an ordered stop may take after TERM before it gets KILL. */
static const uint64_t LEFTOVER_GRACE_US = 5000000;

enum { LOCK_PAUSE_MS = 100, LOCK_TRIES = 50, SETTLE_MS = 3000, SAME_STOP_US = 200000 };

EnforceNow manager_now(void) {
        return (EnforceNow){clock_boot_us(), clock_wall_ns()};
}

ManagedUnit *manager_unit(Manager *m, Str name) {
        for (uint32_t i = 0; i < m->n_units; i++)
                if (str_eq(name, m->units[i].config->name))
                        return &m->units[i];
        return NULL;
}

/* ---- unit events */

/* Room for more events than units can have between two looks at the queue; it grows only if that was wrong. */
enum { QUEUE_PER_UNIT = 16, QUEUE_MIN = 64 };

static int queue_grow(Manager *m, uint32_t cap) {
        UnitQueueItem *q = reallocarray(NULL, cap, sizeof(*q)); /* not zeroed: pages that no event reaches cost nothing */
        if (!q)
                return -ENOMEM;
        for (uint32_t i = 0; i < m->q_len; i++)
                q[i] = m->queue[(m->q_head + i) % m->q_cap];
        free(m->queue);
        m->queue = q;
        m->q_head = 0;
        m->q_cap = cap;
        return 0;
}

void unit_feed(ManagedUnit *u, UnitEvent ev, uint64_t instance) {
        Manager *m = u->m;
        if (m->q_len == m->q_cap && queue_grow(m, m->q_cap * 2) < 0) {
                log_error("out of memory for a unit event", LOG_UNIT(u->config->name), LOG_STR("event", unit_event_to_string(ev.type)));
                return;
        }
        m->queue[(m->q_head + m->q_len++) % m->q_cap] = (UnitQueueItem){u->index, instance, ev};
}

static void step_one(Manager *m, const UnitQueueItem *item) {
        ManagedUnit *u = &m->units[item->unit];
        if (item->instance && item->instance != u->machine.instance) {
                govern_unit_passed(u, item->event.type, item->instance);
                return;
        }
        UnitCommands out = {0};
        int r = unit_step(&u->machine, &item->event, clock_boot_us(), &out);
        if (r == UNIT_STEP_INVALID)
                log_warning("event does not fit the unit's state", LOG_UNIT(u->config->name),
                        LOG_STR("event", unit_event_to_string(item->event.type)),
                        LOG_STR("state", unit_phase_to_string(u->machine.phase)));
        unit_prepare_moved_on(u, item->event.type);
        for (unsigned i = 0; i < out.n; i++)
                unit_command(u, &out.items[i]);
        /* A stop that had nothing to do says so here, in the order of events: a start may have been queued before it. */
        if (item->event.type == EV_STOP && unit_is_down(&u->machine))
                boot_unit_state(&m->boot, u->index, unit_machine_state(&u->machine), true, clock_boot_us());
        if (u->machine.pin == PIN_STATE_DOWN &&
                (unit_is_down(&u->machine) || unit_machine_state(&u->machine) == UNIT_BACKOFF))
                boot_unit_held(&m->boot, u->index, clock_boot_us());
        if (r == UNIT_STEP_PINNED || r == UNIT_STEP_REFUSED)
                govern_unit_refused(u, r == UNIT_STEP_PINNED                      ? "the unit is pinned"
                                       : u->machine.phase == PHASE_QUARANTINED ? "the unit is quarantined; reset clears it"
                                                                               : "not in the unit's present state");
        else
                govern_unit_settled(u);
}

static void last_output(ManagedUnit *u, char *out, size_t cap) {
        LineView lines[10];
        size_t n = u->output ? output_tail(u->output, lines, 10) : 0;
        size_t at = 0;
        out[0] = 0;
        for (size_t i = 0; i < n && at + 4 < cap; i++)
                at += (size_t)snprintf(out + at, cap - at, "%s%.*s", i ? " | " : "",
                        (int)(lines[i].text.n < 160 ? lines[i].text.n : 160), lines[i].text.p);
        if (at >= cap)
                out[cap - 1] = 0;
}

static void boot_aborted(Manager *m, uint32_t index) {
        ManagedUnit *u = &m->units[index];
        char tail[1500], reason[400];
        lifecycle_why(u, reason, sizeof(reason));
        last_output(u, tail, sizeof(tail));
        snprintf(m->abort_text, sizeof(m->abort_text), "%s", reason);
        log_error("boot aborted", LOG_UNIT(u->config->name), LOG_STR("reason", reason),
                LOG_STR("last_output", tail[0] ? tail : "(none)"),
                LOG_STR("hint", "set CanFail=yes in [Chunk] if the set can live without it"));
        lifecycle_boot(m, "aborted", u->config->name);
        m->exit_status = 75;
        m->exit_status_set = true;
        if (!m->opt->keep_on_abort)
                m->stopping = true;
}

/* The loop ends with the last descendant, never with a pause of fixed length. */
static bool ended(Manager *m) {
        if (!m->leftovers || !reap_no_children())
                return false;
        uv_stop(&m->loop);
        return true;
}

static void signal_leftovers(Manager *m, int sig);

static void on_leftover_deadline(void *user, uint64_t now_us) {
        (void)now_us;
        signal_leftovers(user, SIGKILL);
}

/* Every unit is down. What is left are orphans that belong to no unit any more: TERM, then KILL until none is left (killing one
 * may hand us its children). */
static void signal_leftovers(Manager *m, int sig) {
        m->leftovers = true;
        if (ended(m))
                return;
        ProcTable t = {0};
        if (proc_table_read(&t) == 0) {
                for (size_t i = 0; i < t.n; i++)
                        if (t.items[i].ppid == getpid())
                                process_signal(t.items[i].pid, t.items[i].start, sig);
        } else if (getpid() == 1) {
                process_signal_all(sig);
        }
        proc_table_done(&t);
        timer_heap_set(&m->heap, &m->leftover_timer, clock_boot_us() + (sig == SIGKILL ? 100000 : LEFTOVER_GRACE_US),
                on_leftover_deadline, m);
}

static void carry_out(Manager *m, const BootOrder *o) {
        ManagedUnit *u = m->units + (o->unit < m->n_units ? o->unit : 0); /* read where the order is for a unit */
        switch (o->type) {
        case BOOT_ORDER_START:
                u->machine.hold_validation = true;
                unit_feed(u, (UnitEvent){.type = EV_START}, 0);
                break;
        case BOOT_ORDER_VALIDATE:
                u->machine.hold_validation = false;
                unit_feed(u, (UnitEvent){.type = EV_VALIDATE}, 0);
                break;
        case BOOT_ORDER_SKIP:
                unit_issue(u, "skipped: '%s' failed", o->cause != PLAN_NONE ? m->units[o->cause].config->name : "a requirement");
                unit_feed(u, (UnitEvent){.type = EV_SKIP}, 0);
                break;
        case BOOT_ORDER_STOP:
                unit_feed(u, (UnitEvent){.type = EV_STOP, .force = true}, 0); /* a pin holds back people, not the end */
                break;
        case BOOT_ORDER_STAGE:
                log_debug("stage begins", LOG_U64("priority_milli", m->plan->stages[o->unit].priority_milli));
                break;
        case BOOT_ORDER_BOOTED:
                for (uint32_t i = 0; i < m->n_units; i++)
                        m->units[i].machine.hold_validation = false;
                m->boot_us = clock_boot_us() - m->begin_us;
                if (m->boot.state == BOOT_DEGRADED)
                        log_warning("boot degraded", LOG_U64("units", m->n_units), LOG_U64("ms", m->boot_us / 1000),
                                LOG_STR("hint", "guardianctl status --failed; guardianctl boot"));
                else
                        log_notice("boot finished", LOG_U64("units", m->n_units), LOG_U64("ms", m->boot_us / 1000));
                lifecycle_boot(m, "finished", boot_state_to_string(m->boot.state));
                break;
        case BOOT_ORDER_ABORT:
                boot_aborted(m, o->unit);
                break;
        case BOOT_ORDER_STOPPED:
                signal_leftovers(m, SIGTERM);
                break;
        case BOOT_ORDER_NONE:
                break;
        }
}

void manager_pump(Manager *m) {
        if (m->pumping)
                return;
        m->pumping = true;
        for (;;) {
                BootOrder o = boot_next(&m->boot);
                if (o.type != BOOT_ORDER_NONE) {
                        carry_out(m, &o);
                        continue;
                }
                if (m->q_len == 0) {
                        m->q_head = 0; /* the front of the ring is all that is ever touched */
                        break;
                }
                UnitQueueItem item = m->queue[m->q_head];
                m->q_head = (m->q_head + 1) % m->q_cap;
                m->q_len--;
                step_one(m, &item);
        }
        m->pumping = false;
        if (m->shutdown_asked) {
                m->shutdown_asked = false;
                manager_stop(m, m->shutdown_status, m->shutdown_why);
                return;
        }
        govern_wait_check(m);
        govern_turn(m);
        manager_rearm(m);
}

/* ---- time */

static void on_timer(uv_timer_t *t) {
        Manager *m = t->data;
        timer_heap_run(&m->heap, clock_boot_us());
        manager_pump(m);
}

void manager_rearm(Manager *m) {
        uint64_t next = timer_heap_next(&m->heap);
        if (next == UINT64_MAX) {
                uv_timer_stop(&m->timer);
                return;
        }
        uint64_t now = clock_boot_us();
        uv_update_time(&m->loop);
        uv_timer_start(&m->timer, on_timer, next > now ? (next - now + 999) / 1000 : 0, 0);
}

/* ---- signals */

static bool started_by_us(void *user, pid_t pid) {
        return reap_known(user, pid);
}

static void on_sigchld(Manager *m) {
        group_root_refresh(&m->groups);
        int n = reap_run(&m->reap, 0, NULL);
        group_root_refresh(&m->groups); /* callbacks may have looked before the last was reaped */
        if (n > 0)
                unit_check_emptying(m);
        manager_pump(m);
        ended(m);
}

static void on_signal(uv_signal_t *h, int sig) {
        Manager *m = h->data;
        if (sig == SIGCHLD) {
                on_sigchld(m);
                return;
        }
        if (sig == SIGHUP || sig == SIGUSR2) {
                log_warning(sig == SIGHUP ? "reload is not in this version, ignoring" : "reexec is not in this version, ignoring",
                        LOG_STR("signal", strsignal(sig)), LOG_STR("hint", "stop Guardian and start it anew"));
                return;
        }
        manager_stop(m, m->exit_status_set ? m->exit_status : 0, strsignal(sig));
}

/* Those whose turn to stop has not come are told as well, or they would be restarted. */
static void kill_everything(Manager *m) {
        group_root_refresh(&m->groups);
        for (uint32_t i = 0; i < m->n_units; i++) {
                ManagedUnit *u = &m->units[i];
                if (!unit_is_down(&u->machine))
                        unit_feed(u, (UnitEvent){.type = EV_STOP, .force = true}, 0);
                if (u->group_ready)
                        group_signal(&u->group, SIGKILL, 0);
        }
        manager_pump(m);
}

void manager_stop(Manager *m, int exit_status, const char *why) {
        if (!m->exit_status_set || exit_status) {
                m->exit_status = exit_status;
                m->exit_status_set = true;
        }
        uint64_t now = clock_boot_us();
        /* timeout(1) and terminals signal the process and its group: that is one wish to stop */
        if (m->stopping && now - m->stop_asked_us < SAME_STOP_US)
                return;
        m->stop_asked_us = now;
        if (m->stopping) {
                log_notice("stop asked for again: killing what is left", LOG_STR("reason", why));
                kill_everything(m);
                return;
        }
        m->stopping = true;
        log_notice("stopping", LOG_STR("reason", why));
        lifecycle_boot(m, "stopping", why);
        boot_stop(&m->boot, now);
        manager_pump(m);
}

static int watch_signal(Manager *m, int sig) {
        uv_signal_t *s = &m->signals[m->n_signals];
        int r = uv_signal_init(&m->loop, s);
        if (r < 0)
                return r;
        m->n_signals++;
        s->data = m;
        return uv_signal_start(s, on_signal, sig);
}

static int watch_signals(Manager *m) {
        static const int always[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR2};
        int r = 0;
        for (size_t i = 0; i < sizeof(always) / sizeof(*always) && r == 0; i++)
                r = watch_signal(m, always[i]);
        if (r == 0 && getpid() == 1) {
                r = watch_signal(m, SIGPWR);
                if (r == 0)
                        r = watch_signal(m, SIGRTMIN + 3);
                if (r == 0)
                        r = watch_signal(m, SIGRTMIN + 4);
        }
        pid1_take_stop();
        return r;
}

/* ---- birth and end */

static int make_dir(const char *path, unsigned mode) {
        return mkdir(path, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static uint32_t find_unit(Manager *m, const char *name) {
        for (uint32_t i = 0; i < m->n_units; i++)
                if (strcmp(m->units[i].config->name, name) == 0)
                        return i;
        return PLAN_NONE;
}

static int init_units(Manager *m) {
        m->n_units = m->plan->n;
        m->units = calloc(m->n_units ? m->n_units : 1, sizeof(*m->units));
        if (!m->units)
                return -ENOMEM;
        for (uint32_t i = 0; i < m->n_units; i++) {
                ManagedUnit *u = &m->units[i];
                u->m = m;
                u->index = i;
                u->config = m->set->units[i];
                u->mesh_listen = -1;
                u->exe.fd = -1;
                u->since_ns = clock_wall_ns();
                unit_machine_init(&u->machine, u->config, m->seed + i);
        }
        m->ledger = find_unit(m, "ledger");
        m->governance = find_unit(m, "governance");
        m->mesh = find_unit(m, "mesh");
        m->immune = find_unit(m, "immune");
        return 0;
}

static void open_notify_dir(Manager *m) {
        m->notify_dir_fd = -1;
        snprintf(m->notify_dir, sizeof(m->notify_dir), "%s/notify", m->opt->runtime_dir);
        if (make_dir(m->notify_dir, 0711) == 0)
                m->notify_dir_fd = open(m->notify_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int load_manifest(Manager *m) {
        char path[1200];
        Problems problems = {0};
        snprintf(path, sizeof(path), "%s/lib/guardian/manifest", m->opt->prefix);
        int r = manifest_load(&m->manifest, path, &problems);
        m->have_manifest = r == 0;
        if (r == -ENOENT && m->ledger == PLAN_NONE)
                r = 0; /* a set of its own, without chunks: nothing to pin */
        if (r < 0)
                log_error("the manifest of chunk programs can't be read", LOG_STR("file", path), LOG_ERRNO(r),
                        LOG_STR("hint", "it is written by the build beside lib/guardian/units"));
        problems_done(&problems);
        return r;
}

/* Held as long as we live, and let go of by the kernel. The pause marker and the spool are one Guardian's. */
static int lock_state_dir(Manager *m) {
        static const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
        m->state_lock_fd = open(m->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (m->state_lock_fd < 0)
                return -errno;
        /* one that was killed may not be gone yet */
        for (int i = 0; flock(m->state_lock_fd, LOCK_EX | LOCK_NB) < 0; i++) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return -errno;
                if (m->ledger == PLAN_NONE || i == LOCK_TRIES)
                        return -EADDRINUSE;
                nanosleep(&pause, NULL);
        }
        return 0;
}

static int init_state_dir(Manager *m) {
        m->state_dir[0] = 0;
        struct stat st;
        if (stat(m->opt->state_dir, &st) < 0 || !S_ISDIR(st.st_mode))
                return 0; /* pre-flight has decided whether a unit needs it */
        snprintf(m->state_dir, sizeof(m->state_dir), "%s/guardian", m->opt->state_dir);
        int r = directory_make(m->state_dir, 0700, getuid());
        if (r == 0)
                r = lock_state_dir(m);
        if (r == -EADDRINUSE && m->ledger != PLAN_NONE) {
                log_error("pre-flight failed", LOG_STR("check", "state"), LOG_STR("dir", m->opt->state_dir),
                        LOG_STR("reason", "another Guardian uses this state directory"), LOG_STR("hint", "--state DIR"));
                return r;
        }
        if (r < 0) {
                log_warning("no pause marker and no spool of ungated acts", LOG_STR("dir", m->state_dir),
                        LOG_STR("reason", r == -EADDRINUSE ? "another Guardian uses this state directory" : strerror(-r)),
                        LOG_STR("hint", "--state DIR"));
                m->state_dir[0] = 0;
        }
        return 0;
}

int manager_init(Manager *m, Options *opt, UnitSet *set, Plan *plan) {
        m->opt = opt;
        m->set = set;
        m->plan = plan;
        m->notify_dir_fd = m->state_lock_fd = -1;
        list_init(&m->waiters);
        list_init(&m->followers);
        list_init(&m->person_links);
        list_init(&m->pending_events);
        m->next_epoch = 1;
        m->begin_us = clock_boot_us();
        clock_boot_id(m->boot_id);
        ProcStat self;
        if (proc_stat(0, &self) == 0)
                m->own_start_time = self.start;
        if (getrandom(&m->seed, sizeof(m->seed), 0) != sizeof(m->seed))
                m->seed = clock_boot_ns();
        int r = uv_loop_init(&m->loop);
        if (r < 0)
                return r;
        uv_timer_init(&m->loop, &m->timer);
        m->timer.data = m;
        timer_heap_init(&m->heap);
        r = workers_new(&m->loop, &m->workers);
        if (r == 0)
                r = init_units(m);
        if (r == 0)
                r = queue_grow(m, m->n_units * QUEUE_PER_UNIT + QUEUE_MIN);
        /* a deadline that finds no memory would be a unit that waits for ever: each has its place from the start */
        if (r == 0)
                r = timer_heap_reserve(&m->heap, m->n_units * (_TIMER_MAX + 1) + 16);
        if (r == 0)
                r = reap_init(&m->reap, (size_t)m->n_units * 8 + 64);
        if (r == 0)
                r = group_root_init(&m->groups, true);
        m->groups.known = started_by_us;
        m->groups.known_user = &m->reap;
        if (r == 0)
                r = output_hub_new(&m->loop, STDOUT_FILENO, opt->log_format, &m->output);
        if (m->output)
                log_set_sink(output_log_line, m->output);
        if (r == 0)
                r = load_manifest(m);
        if (r == 0)
                r = init_state_dir(m);
        if (r == 0)
                r = boot_init(&m->boot, plan, opt->keep_on_abort);
        if (r == 0)
                r = watch_signals(m);
        if (r == 0)
                r = govern_init(m);
        return r;
}

static void on_walk_close(uv_handle_t *h, void *arg) {
        (void)arg;
        if (!uv_is_closing(h))
                uv_close(h, NULL);
}

int manager_run(Manager *m) {
        open_notify_dir(m); /* not before the runtime directory is known to be ours */
        const char *role = getpid() == 1 ? "pid1" : "subreaper";
        log_notice("guardian starts", LOG_STR("role", role), LOG_U64("pid", (uint64_t)getpid()), LOG_STR("version", GUARDIAN_VERSION),
                LOG_U64("units", m->n_units), LOG_STR("containment", group_kind_name(m->groups.kind)));
        lifecycle_boot(m, "begin", role);
        boot_begin(&m->boot, clock_boot_us());
        manager_pump(m);
        uv_run(&m->loop, UV_RUN_DEFAULT);
        log_notice("stopped", LOG_I64("status", m->exit_status), LOG_U64("orphans_reaped", m->reap.orphans));
        return m->exit_status;
}

static bool log_nowhere(void *user, const void *line, size_t n) {
        (void)user, (void)line, (void)n;
        return false;
}

unsigned manager_free(Manager *m) {
        control_shutdown(m->control, 200);
        for (unsigned i = 0; i < 20 && m->control; i++) /* let last answers out, at most 200 ms */
                if (uv_run(&m->loop, UV_RUN_NOWAIT) == 0)
                        break;
        for (uint32_t i = 0; i < m->n_units && m->units; i++) {
                ManagedUnit *u = &m->units[i];
                unit_prepare_drop(u);
                chunk_peer_free(u);
                unit_probes_stop(u);
                if (u->notify)
                        notify_socket_free(u->notify);
                if (u->output)
                        output_free(u->output);
                if (u->group_ready)
                        group_done(&u->group);
                links_mesh_socket_close(u);
                if (u->exe.fd >= 0)
                        launch_exe_close(&u->exe);
                unit_issues_clear(u);
                free(u->plan);
                free(u->evidence);
                free(u->status_text);
                u->status_text = NULL;
        }
        bool settled = spool_settle(m->spool, SETTLE_MS);
        settled = marker_settle(&m->marker, SETTLE_MS) && settled;
        if (!settled)
                log_error("the state directory does not answer: what was to be kept there at the end may be missing",
                        LOG_STR("directory", m->state_dir));
        unsigned hanging = workers_close(m->workers);
        for (uint32_t i = 0; i < m->n_units && m->units; i++)
                if (m->units[i].prepared) {
                        prepared_done(m->units[i].prepared);
                        free(m->units[i].prepared);
                }
        verb_logs_done(m);
        m->control = control_free(m->control);
        govern_done(m);
        lifecycle_done(m);
        if (m->output) {
                /* a unit's half line may be all that went out: nothing may follow it */
                log_set_sink(output_hub_flush(m->output, 200) ? NULL : log_nowhere, NULL);
                output_hub_free(m->output);
        }
        group_root_done(&m->groups);
        uv_walk(&m->loop, on_walk_close, NULL);
        uv_run(&m->loop, UV_RUN_DEFAULT);
        if (!hanging)
                m->spool = spool_close(m->spool);
        uv_loop_close(&m->loop);
        timer_heap_done(&m->heap);
        reap_done(&m->reap);
        if (!hanging)
                manifest_done(&m->manifest);
        boot_done(&m->boot);
        links_mesh_dir_remove(m);
        if (m->notify_dir_fd >= 0) {
                close(m->notify_dir_fd);
                rmdir(m->notify_dir);
        }
        if (m->state_lock_fd >= 0)
                close(m->state_lock_fd);
        free(m->queue);
        free(m->units);
        return hanging;
}
