/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a chunk: HELLO (5 s), init, READY, then messages until the control pipe ends or SIGTERM comes.
 * Either calls the chunk's stop once; chunk_exit() ends the loop, what is queued on links is sent as far as
 * peers take it, and all handles are closed. Without Guardian nobody would end a chunk that hangs in its
 * stop, so that case has a deadline of its own.
 */
#include "chunks/runtime/link.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sha256.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

enum {
        CONTROL_FD = 3,
        HELLO_LIMIT_MS = 5000,
        ORPHAN_LIMIT_MS = 10000,
        LAST_FLUSH_MS = 1000,
        EXIT_USAGE = 64,
        EXIT_POLICY = 65,
        EXIT_INTERNAL = 70, /* could not look */
};

static int (*policy_checker)(const char *const *dirs, unsigned n, Problems *problems);

void chunk_set_checker(int (*check)(const char *const *dirs, unsigned n, Problems *problems)) {
        policy_checker = check;
}

/* ---- end */
void chunk_exit(Chunk *c, int status) {
        if (c->priv->exiting)
                return;
        c->priv->exiting = true;
        c->priv->status = status;
        uv_stop(&c->loop);
}

static void begin_stop(Chunk *c) {
        if (c->stopping)
                return;
        c->stopping = true;
        /* init never ran: there is nothing to finish */
        if (c->ops->stop && c->priv->greeted)
                c->ops->stop(c, c->user);
        else
                chunk_exit(c, 0);
}

static void on_orphan_limit(uv_timer_t *h) {
        log_error("guardian is gone and what was begun did not end in time: ending without it",
                LOG_U64("limit_ms", ORPHAN_LIMIT_MS));
        chunk_exit(h->data, 1);
}

void chunk_control_lost(Chunk *c, int error, const char *reason) {
        if (error < 0) {
                log_error("control pipe failed, ending", LOG_STR("reason", reason), LOG_ERRNO(error));
                chunk_exit(c, 1);
                return;
        }
        uv_timer_start(&c->priv->deadline, on_orphan_limit, ORPHAN_LIMIT_MS, 0);
        begin_stop(c);
}

static void on_term(uv_signal_t *h, int signum) {
        (void)signum;
        begin_stop(h->data);
}

/* ---- policies */
void chunk_log_problems(Chunk *c, const Problems *p) {
        static const LogLevel levels[] = {LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR};
        char text[PROBLEM_TEXT_MAX];

        for (size_t i = 0; i < p->n; i++)
                LOG_AT(levels[p->items[i].severity], problem_format(&p->items[i], text, sizeof(text)));
        if (p->dropped)
                log_warning("more was found in the policies than is told", LOG_U64("problems", p->dropped));
        c->priv->bad_policy |= p->errors > 0;
}

/* ---- the control pipe */
static void send_control(Chunk *c, const MsgBuilder *b) {
        int r = link_send(c->control, b, (Str){0});

        if (r < 0 && r != -EPIPE) {
                log_error("cannot answer guardian, ending", LOG_STR("type", msg_type_name(b->type)),
                        LOG_ERRNO(r));
                chunk_exit(c, 1);
        }
}

static void on_heartbeat(uv_timer_t *h) {
        MsgBuilder b;

        msg_begin(&b, MSG_HEARTBEAT);
        send_control(h->data, &b);
}

void chunk_ready(Chunk *c) {
        MsgBuilder b;

        if (c->ready_sent || !c->priv->greeted || c->priv->exiting)
                return;
        c->ready_sent = true;
        c->hold_ready = false;
        msg_begin(&b, MSG_READY);
        send_control(c, &b);
}

static void take_hello(Chunk *c, const Msg *m) {
        size_t pos = 0;
        Str dir;

        str_copy(c->unit, sizeof(c->unit), msg_str(m, TAG_UNIT));
        c->instance = msg_u64(m, TAG_INSTANCE, 0);
        c->epoch = msg_u64(m, TAG_EPOCH, 0);
        memcpy(c->priv->secret, msg_bytes(m, TAG_SECRET), sizeof(c->priv->secret));
        memcpy(c->boot_id, msg_bytes(m, TAG_BOOT_ID), sizeof(c->boot_id));
        str_copy(c->state_dir, sizeof(c->state_dir), msg_str(m, TAG_STATE_DIR));
        str_copy(c->ledger_key, sizeof(c->ledger_key), msg_str(m, TAG_LEDGER_KEY));
        str_copy(c->mode, sizeof(c->mode), msg_str(m, TAG_MODE));
        while (msg_next_str(m, TAG_POLICY_DIR, &pos, &dir)) {
                if (c->n_policy_dirs == ELEMENTSOF(c->policy_dirs)) {
                        log_error("more policy directories than a chunk takes, ending",
                                LOG_U64("limit", ELEMENTSOF(c->policy_dirs)),
                                LOG_STR("hint", "give fewer --policies DIR"));
                        chunk_exit(c, 1);
                        return;
                }
                str_copy(c->policy_dirs[c->n_policy_dirs++], sizeof(c->policy_dirs[0]), dir);
        }
}

static void on_hello(Chunk *c, const Msg *m) {
        uint64_t watchdog_us = msg_u64(m, TAG_WATCHDOG_US, 0), half_ms = watchdog_us / 2000;
        int r;

        uv_timer_stop(&c->priv->deadline);
        take_hello(c, m);
        if (c->priv->exiting)
                return;
        c->priv->greeted = true;
        r = c->ops->init ? c->ops->init(c, c->user) : 0;
        if (r < 0) {
                if (c->priv->bad_policy)
                        log_error("cannot start: the policies do not load, see above", LOG_UNIT(c->unit),
                                LOG_STR("hint", "mend them; guardian --check --policies DIR reads all and "
                                                "starts nothing"));
                else
                        log_error("cannot start", LOG_UNIT(c->unit), LOG_ERRNO(r));
                chunk_exit(c, 1);
                return;
        }
        if (watchdog_us > 0) {
                half_ms = half_ms ? half_ms : 1;
                uv_timer_start(&c->priv->heartbeat, on_heartbeat, half_ms, half_ms);
        }
        if (!c->hold_ready)
                chunk_ready(c);
}

/* SHA-256(secret || nonce || le64 instance || unit name || hash of the message table), as msg.h says. */
static void make_proof(const Chunk *c, const uint8_t nonce[32], uint8_t ret[32]) {
        uint8_t text[32 + 32 + 8 + sizeof(c->unit) + 32], *at = text;
        size_t n = strlen(c->unit);

        memcpy(at, c->priv->secret, 32);
        memcpy(at + 32, nonce, 32);
        at += 64;
        for (unsigned i = 0; i < 8; i++)
                *at++ = (uint8_t)(c->instance >> (8 * i));
        memcpy(at, c->unit, n);
        msg_table_hash(at + n);
        sha256(text, (size_t)(at - text) + n + 32, ret);
        explicit_bzero(text, sizeof(text));
}

static void on_challenge(Chunk *c, const Msg *m) {
        char why[400] = "";
        uint8_t proof[32];
        MsgBuilder b;
        int r = c->ops->self_test ? c->ops->self_test(c, c->user, why, sizeof(why)) : 0;

        make_proof(c, msg_bytes(m, TAG_NONCE), proof);
        msg_begin(&b, MSG_CHALLENGE_REPLY);
        msg_copy(&b, m, TAG_NONCE);
        msg_put_bytes(&b, TAG_PROOF, proof);
        for (const char *const *h = c->ops->handlers; h && *h; h++)
                msg_put_cstr(&b, TAG_HANDLER, *h);
        if (r < 0) {
                char issue[500];

                snprintf(issue, sizeof(issue), "self-test: %s", why[0] ? why : strerror(-r));
                msg_put_text(&b, TAG_ISSUE, issue);
        }
        send_control(c, &b);
}

void chunk_on_control(Chunk *c, Msg *m) {
        if (c->priv->exiting)
                return;
        if (c->priv->greeted == (m->type == MSG_HELLO)) {
                log_error(c->priv->greeted ? "guardian sent a second HELLO, ending"
                                           : "guardian's first message is not HELLO, ending",
                        LOG_STR("type", msg_type_name(m->type)));
                chunk_exit(c, 1);
                return;
        }
        if (m->type == MSG_HELLO)
                on_hello(c, m);
        else if (m->type == MSG_LINK)
                link_accept(c, m);
        else if (m->type == MSG_PEER)
                link_peer(c, m);
        else if (m->type == MSG_CHALLENGE)
                on_challenge(c, m);
        else
                c->ops->on_msg(c, c->control, m, c->user);
}

static void on_hello_limit(uv_timer_t *h) {
        log_error("no HELLO from guardian in time, ending", LOG_U64("limit_ms", HELLO_LIMIT_MS));
        chunk_exit(h->data, 1);
}

/* ---- begin and end of the process */
static int open_control(Chunk *c) {
        LinkPriv *p;
        int type = 0, r;
        socklen_t n = sizeof(type);

        if (getsockopt(CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_STREAM)
                return -ENOTCONN;
        r = link_new(c, CONTROL_FD, "guardian", 0, &p);
        if (r < 0)
                return r;
        p->announced = p->admitted = p->link.current = p->link.validated = true;
        p->link.role = ROLE_ADMIN;
        str_copy(p->link.kind, sizeof(p->link.kind), STR_LIT("supervisor"));
        str_copy(p->link.actor, sizeof(p->link.actor), STR_LIT("guardian"));
        c->control = &p->link;
        return 0;
}

static int begin(Chunk *c) {
        int r = open_control(c);

        if (r < 0) {
                log_error("no control pipe on descriptor 3: this program is started by guardian",
                        LOG_STR("hint", "as a unit of Type=chunk; by hand there is --check DIR.."));
                return r;
        }
        uv_signal_init(&c->loop, &c->priv->term);
        uv_timer_init(&c->loop, &c->priv->deadline);
        uv_timer_init(&c->loop, &c->priv->heartbeat);
        uv_idle_init(&c->loop, &c->priv->reaper);
        c->priv->term.data = c->priv->deadline.data = c->priv->heartbeat.data = c->priv->reaper.data = c;
        uv_timer_start(&c->priv->deadline, on_hello_limit, HELLO_LIMIT_MS, 0);
        return uv_signal_start(&c->priv->term, on_term, SIGTERM);
}

/* The last words of every link, as far as its peer takes them within one second in all. */
static void flush_links(Chunk *c) {
        uint64_t until = clock_boot_us() + LAST_FLUSH_MS * 1000u;

        LIST_FOREACH (it, &c->links) {
                Conn *conn = container_of(it, Link, node)->conn;

                for (conn_flush(conn); conn->fd >= 0 && conn_backlog(conn) > 0; conn_flush(conn)) {
                        struct pollfd p = {.fd = conn->fd, .events = POLLOUT};
                        uint64_t now = clock_boot_us();

                        if (now >= until || poll(&p, 1, (int)((until - now) / 1000) + 1) == 0)
                                return;
                }
        }
}

static void close_handle(uv_handle_t *h, void *user) {
        (void)user;
        if (!uv_is_closing(h))
                uv_close(h, NULL);
}

static void finish(Chunk *c) {
        flush_links(c);
        LIST_FOREACH_SAFE (it, nx, &c->links)
                link_free(container_of(container_of(it, Link, node), LinkPriv, link));
        c->control = NULL;
        /* handles of the chunk itself live in its own memory, which outlives this call */
        uv_walk(&c->loop, close_handle, NULL);
        /* a uv_stop() that no run has seen yet ends the first one early */
        while (uv_loop_close(&c->loop) == UV_EBUSY)
                uv_run(&c->loop, UV_RUN_DEFAULT);
}

static int run(const ChunkOps *ops, void *user) {
        auto_free Chunk *c = calloc(1, sizeof(*c));
        auto_free struct ChunkPriv *priv = calloc(1, sizeof(*priv));
        int status;

        if (!c || !priv || uv_loop_init(&c->loop) < 0) {
                log_error("out of memory");
                return 1;
        }
        c->ops = ops;
        c->user = user;
        c->priv = priv;
        list_init(&c->links);
        if (begin(c) < 0)
                chunk_exit(c, EXIT_USAGE);
        else
                uv_run(&c->loop, UV_RUN_DEFAULT);
        status = priv->status;
        finish(c);
        explicit_bzero(priv->secret, sizeof(priv->secret));
        return status;
}

static int check_policies(const char *program, char **dirs, int n) {
        Problems problems = {0};
        int r;

        if (n < 1)
                return EXIT_USAGE;
        r = policy_checker((const char *const *)dirs, (unsigned)n, &problems);
        for (size_t i = 0; i < problems.n; i++) {
                static const char *const words[] = {"note: ", "warning: ", ""};
                char text[PROBLEM_TEXT_MAX];

                printf("%s%s\n", words[problems.items[i].severity],
                        problem_format(&problems.items[i], text, sizeof(text)));
        }
        if (r < 0 && problems.errors == 0)
                fprintf(stderr, "%s: the policies can't be checked: %s\n", program, strerror(-r));
        if (problems.dropped)
                printf("and %zu more\n", problems.dropped);
        r = problems.errors > 0 ? EXIT_POLICY : r < 0 ? EXIT_INTERNAL : 0;
        problems_done(&problems);
        return r;
}

int chunk_main(int argc, char **argv, const ChunkOps *ops, void *user) {
        setvbuf(stdout, NULL, _IOLBF, 0);
        log_setup(ops->program, STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
        if (argc == 2 && strcmp(argv[1], "--version") == 0) {
                printf("%s %s\n", ops->program, GUARDIAN_VERSION);
                return 0;
        }
        if (argc > 1 && strcmp(argv[1], "--check") == 0) {
                if (!policy_checker) /* a chunk without policies has nothing to refuse */
                        return 0;
                int r = check_policies(ops->program, argv + 2, argc - 2);

                if (r != EXIT_USAGE)
                        return r;
        }
        if (argc != 1) {
                fprintf(stderr, "usage: %s [--version | --check DIR..]\n", ops->program);
                return EXIT_USAGE;
        }
        signal(SIGPIPE, SIG_IGN);
        /* A terminal's Ctrl-C reaches the whole foreground group; only Guardian may turn it into an ordered
         * stop. */
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        return run(ops, user);
}
