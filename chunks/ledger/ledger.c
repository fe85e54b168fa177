/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One write job, one page and one spare may be out at a time, each on a work thread; the loop itself never
 * waits for the disk after init. When the core has failed, everybody was refused and Guardian was told, the
 * program ends with status 74: what is on disk is good, and a restart recovers it.
 */
#include "chunks/ledger/ledger.h"
#include "chunks/ledger/service.h"
#include "chunks/ledger/storage-file.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { EXIT_FAILED = 74 };

struct Ledger {
        Chunk *chunk;
        StorageFile files;
        LedgerStorage storage;
        LogDir dir; /* for pages, on the work thread */
        LogSource source;
        LedgerCore *core;
        LedgerService *service;
        LedgerJob *job;
        LogPage *page;
        uint64_t spare_bytes;
        int job_error, page_error, spare_error;
        uv_work_t job_work, page_work, spare_work;
        bool spare_out;
        uv_timer_t timer;
        uv_prepare_t prepare; /* at the end of each turn: what has to be done? */
        uint64_t last_id;
        bool open, started, ended;
};

Ledger *ledger_new(void) {
        return calloc(1, sizeof(Ledger));
}

void ledger_free(Ledger *l) {
        if (!l)
                return;
        ledger_core_free(l->core);
        ledger_service_free(l->service);
        if (l->open) {
                log_dir_close(&l->dir);
                storage_file_close(&l->files);
        }
        free(l);
}

static LedgerNow now(void) {
        return (LedgerNow){clock_wall_ns(), clock_boot_ns()};
}

/* ---- peers */

static Link *link_of(Ledger *l, uint64_t id) {
        LIST_FOREACH (it, &l->chunk->links) {
                Link *link = container_of(it, Link, node);
                if ((uint64_t)(uintptr_t)link->data == id)
                        return link;
        }
        return NULL;
}

static int send_to_peer(void *user, uint64_t peer, const MsgBuilder *b, Str payload) {
        Link *link = link_of(user, peer);
        return link ? link_send(link, b, payload) : -EPIPE;
}

static void tell_peer(Ledger *l, Link *link) {
        LedgerPeer p = {.id = (uint64_t)(uintptr_t)link->data,
                .guardian = link == l->chunk->control,
                .person = strcmp(link->kind, "person") == 0,
                .validated = link->validated || link == l->chunk->control,
                .role = link->role};
        str_copy(p.unit, sizeof(p.unit), str_of(p.guardian ? "guardian" : link->unit));
        if (ledger_service_peer(l->service, &p) < 0)
                log_error("out of memory for a link, ignoring it", LOG_UNIT(p.unit));
}

static void on_link(Chunk *c, Link *link, void *user) {
        Ledger *l = user;
        (void)c;
        link->data = (void *)(uintptr_t)++l->last_id;
        tell_peer(l, link);
}

static void on_link_lost(Chunk *c, Link *link, const char *reason, void *user) {
        Ledger *l = user;
        (void)c;
        (void)reason;
        ledger_service_gone(l->service, (uint64_t)(uintptr_t)link->data);
}

static void on_peer(Chunk *c, Link *link, void *user) {
        (void)c;
        tell_peer(user, link);
}

static void on_msg(Chunk *c, Link *link, Msg *m, void *user) {
        Ledger *l = user;
        (void)c;
        if (!ledger_service_msg(l->service, (uint64_t)(uintptr_t)link->data, m, now()))
                log_warning("a message that the ledger does not answer, ignoring", LOG_UNIT(link->unit),
                        LOG_STR("type", msg_type_name(m->type)));
}

/* ---- work */

static void pump(Ledger *l);

static void job_run(uv_work_t *w) {
        Ledger *l = w->data;
        l->job_error = ledger_job_run(&l->storage, l->job);
}

static void job_done(uv_work_t *w, int status) {
        Ledger *l = w->data;
        LedgerJob *job = TAKE(l->job);
        int error = status < 0 ? -EIO : l->job_error;
        if (error < 0)
                log_error("the ledger cannot be written: it takes nothing any more",
                        LOG_STR("dir", l->chunk->state_dir), LOG_ERRNO(error),
                        LOG_STR("hint", "make room or mend the disk, then guardianctl restart ledger"));
        ledger_core_job_done(l->core, job, error, now());
        pump(l);
}

static void page_run(uv_work_t *w) {
        Ledger *l = w->data;
        l->page_error = log_page_read(&l->source, l->page);
}

static void page_done(uv_work_t *w, int status) {
        Ledger *l = w->data;
        ledger_service_page_done(l->service, TAKE(l->page), status < 0 ? -EIO : l->page_error);
        pump(l);
}

static void spare_run(uv_work_t *w) {
        Ledger *l = w->data;
        l->spare_error = l->storage.make_spare(l->storage.user, l->spare_bytes);
}

static void spare_done(uv_work_t *w, int status) {
        Ledger *l = w->data;
        int error = status < 0 ? -EIO : l->spare_error;
        l->spare_out = false;
        if (error < 0)
                log_warning("no spare segment can be made: events and anomalies are refused",
                        LOG_STR("dir", l->chunk->state_dir), LOG_ERRNO(error),
                        LOG_STR("hint", "make room there"));
        ledger_core_spare_done(l->core, error, now());
        pump(l);
}

static void start_job(Ledger *l) {
        l->job = ledger_core_job(l->core, now());
        if (!l->job)
                return;
        int r = uv_queue_work(&l->chunk->loop, &l->job_work, job_run, job_done);
        if (r < 0)
                ledger_core_job_done(l->core, TAKE(l->job), r, now());
}

static void start_page(Ledger *l) {
        l->page = ledger_service_page(l->service);
        if (!l->page)
                return;
        int r = uv_queue_work(&l->chunk->loop, &l->page_work, page_run, page_done);
        if (r < 0)
                ledger_service_page_done(l->service, TAKE(l->page), r);
}

static void start_spare(Ledger *l) {
        l->spare_bytes = ledger_core_wants_spare(l->core, now());
        if (l->spare_bytes == 0)
                return;
        int r = uv_queue_work(&l->chunk->loop, &l->spare_work, spare_run, spare_done);
        l->spare_out = r == 0;
        if (r < 0)
                ledger_core_spare_done(l->core, r, now());
}

static void on_timer(uv_timer_t *t) {
        pump(t->data);
}

static void arm(Ledger *l) {
        uint64_t a = ledger_core_deadline(l->core), b = ledger_service_deadline(l->service),
                 at = a < b ? a : b;
        uint64_t t = clock_boot_ns();
        if (at == UINT64_MAX)
                uv_timer_stop(&l->timer);
        else
                uv_timer_start(&l->timer, on_timer, at > t ? (at - t) / 1000000 + 1 : 1, 0);
}

static void finish(Ledger *l, int status) {
        if (l->ended || l->job || l->page || l->spare_out)
                return;
        l->ended = true;
        uv_prepare_stop(&l->prepare);
        uv_timer_stop(&l->timer);
        uv_close((uv_handle_t *)&l->prepare, NULL);
        uv_close((uv_handle_t *)&l->timer, NULL);
        chunk_exit(l->chunk, status);
}

static void pump(Ledger *l) {
        if (l->ended)
                return;
        if (!l->job)
                start_job(l);
        LedgerState state = ledger_core_state(l->core);
        if (!l->page && state != LEDGER_FAILED &&
                state != LEDGER_STOPPED) /* else who asks and asks holds up the end */
                start_page(l);
        if (!l->spare_out)
                start_spare(l);
        ledger_service_turn(l->service, now());
        state = ledger_core_state(l->core);
        if (state == LEDGER_FAILED)
                finish(l, EXIT_FAILED);
        else if (state == LEDGER_STOPPED)
                finish(l, 0);
        else
                arm(l);
}

/* Once a turn, after all messages of it: so that they make one group. */
static void on_prepare(uv_prepare_t *p) {
        pump(p->data);
}

/* ---- life */

static void read_machine_id(char out[65]) {
        uint8_t h[32];
        char text[64];
        out[0] = 0;
        auto_close int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
        if (n < 32)
                return;
        /* machine-id(5): it is confidential, so hashed with a word of ours. */
        crypto_hash_sha256_state st;
        crypto_hash_sha256_init(&st);
        crypto_hash_sha256_update(&st, (const uint8_t *)"guardian-ledger", 15);
        crypto_hash_sha256_update(&st, (const uint8_t *)text, 32);
        crypto_hash_sha256_final(&st, h);
        hex_encode(h, 32, out);
}

static int report_open(const char *dir, int r, const LedgerRecovery *rep) {
        if (r == -EUCLEAN)
                log_error("the ledger is damaged and was not opened; repair needs an operator (guardianctl "
                          "ledger verify)",
                        LOG_STR("dir", dir), LOG_STR("reason", rep->reason), LOG_U64("index", rep->index),
                        LOG_U64("segment", rep->segment), LOG_U64("offset", rep->offset));
        else if (r == -EKEYREJECTED)
                log_error("the key is not the one of this ledger", LOG_STR("dir", dir),
                        LOG_STR("reason", rep->reason),
                        LOG_STR("hint", "guardian --ledger-key FILE names the one it was written with"));
        else if (r < 0)
                log_error("cannot open the ledger", LOG_STR("dir", dir), LOG_ERRNO(r));
        else if (rep->found == FOUND_TORN)
                log_warning("a torn tail was cut off and kept in quarantine", LOG_STR("reason", rep->reason),
                        LOG_U64("index", rep->index), LOG_U64("bytes", rep->bytes));
        return r;
}

static int open_core(Ledger *l, const uint8_t seed[32]) {
        LedgerConfig config = {0};
        LedgerRecovery rep;
        LedgerOps ops = ledger_service_core_ops(l->service);
        memcpy(config.seed, seed, 32);
        memcpy(config.boot_id, l->chunk->boot_id, 16);
        read_machine_id(config.machine_id);
        if (getrandom(config.fresh_log_id, 16, 0) != 16)
                return -EIO;
        int r = report_open(l->chunk->state_dir,
                ledger_core_open(&l->source, &l->storage, &config, &ops, now(), &l->core, &rep), &rep);
        sodium_memzero(&config, sizeof(config));
        return r;
}

/* What recovery queued (key record, recovery record) is written before anybody is served. */
static int first_jobs(Ledger *l) {
        LedgerJob *job;
        while ((job = ledger_core_job(l->core, now()))) {
                int r = ledger_job_run(&l->storage, job);
                ledger_core_job_done(l->core, job, r, now());
                if (r < 0) {
                        log_error("cannot write to the ledger", LOG_STR("dir", l->chunk->state_dir),
                                LOG_ERRNO(r));
                        return r;
                }
        }
        return 0;
}

static int open_key(Ledger *l, uint8_t seed[32]) {
        LogSegment *segments = NULL;
        size_t n = 0;
        bool made = false;
        int r = l->source.list(l->source.user, &segments, &n);
        free(segments);
        if (r == 0)
                r = storage_file_key(&l->files, l->chunk->ledger_key, n > 0, seed, &made);
        if (r < 0)
                log_error("cannot read the ledger's key",
                        LOG_STR("file", l->chunk->ledger_key[0] ? l->chunk->ledger_key : "key"),
                        LOG_ERRNO(r));
        else if (made)
                log_notice("a new ledger key was made",
                        LOG_STR("file", l->chunk->ledger_key[0] ? l->chunk->ledger_key : "key"),
                        LOG_STR("dir", l->chunk->state_dir));
        return r;
}

static int init(Chunk *c, void *user) {
        Ledger *l = user;
        uint8_t seed[32];
        char text[NOTE_VKEY_MAX];
        LedgerServiceOps ops = {.send = send_to_peer, .user = l};
        l->chunk = c;
        if (sodium_init() < 0)
                return -EIO;
        int r = storage_file_open(&l->files, c->state_dir, &l->storage);
        if (r < 0) {
                log_error(r == -EWOULDBLOCK ? "another ledger holds this directory"
                                            : "cannot open the ledger's directory",
                        LOG_STR("dir", c->state_dir), LOG_ERRNO(r));
                return r;
        }
        r = log_dir_open(&l->dir, &l->source, c->state_dir);
        l->open = true;
        if (r == 0)
                r = open_key(l, seed);
        if (r == 0)
                r = ledger_service_new(&ops, &l->service);
        if (r == 0)
                r = open_core(l, seed);
        sodium_memzero(seed, sizeof(seed));
        if (r == 0) {
                ledger_service_set_core(l->service, l->core);
                r = first_jobs(l);
        }
        if (r == 0)
                r = storage_file_publish_key(&l->files, ledger_core_key(l->core));
        if (r < 0)
                return r;
        log_notice(
                "ledger open", LOG_STR("key", note_key_text(ledger_core_key(l->core), text, sizeof(text))));
        l->job_work.data = l->page_work.data = l->spare_work.data = l;
        uv_timer_init(&c->loop, &l->timer);
        uv_prepare_init(&c->loop, &l->prepare);
        l->timer.data = l->prepare.data = l;
        uv_prepare_start(&l->prepare, on_prepare);
        l->started = true;
        if (c->control && !c->control->data)
                on_link(c, c->control, l);
        return 0;
}

static int self_test(Chunk *c, void *user, char *why, size_t cap) {
        Ledger *l = user;
        LogDir dir;
        LogSource src;
        int r = log_dir_open(&dir, &src, c->state_dir);
        if (r < 0) {
                snprintf(why, cap, "cannot open %s: %s", c->state_dir, strerror(-r));
                return r;
        }
        r = ledger_core_self_test(l->core, &src, why, cap);
        log_dir_close(&dir);
        return r;
}

static void stop(Chunk *c, void *user) {
        Ledger *l = user;
        if (!l->started) {
                chunk_exit(c, 0);
                return;
        }
        ledger_core_stop(l->core);
        pump(l);
}

const ChunkOps *ledger_chunk_ops(void) {
        static const ChunkOps ops = {.program = "guardian-ledger",
                .init = init,
                .self_test = self_test,
                .on_link = on_link,
                .on_link_lost = on_link_lost,
                .on_peer = on_peer,
                .on_msg = on_msg,
                .stop = stop};
        return &ops;
}
