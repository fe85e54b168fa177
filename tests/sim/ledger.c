/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"
#include <errno.h>
#include <stdio.h>

/* The ledger's process: service and core over a virtual disk. Disk jobs take time; a death in the middle
 * leaves a half. */
static LedgerNow lnow(const Sim *s) {
        return (LedgerNow){s->wall_ns, s->boot_us * 1000};
}

static uint64_t peer_id(const Sim *s, Proc p) {
        return (uint64_t)p * 1000 + s->knows[P_LEDGER][p];
}

static int op_send(void *user, uint64_t peer, const MsgBuilder *b, Str payload) {
        Sim *s = user;
        Proc p = (Proc)(peer / 1000);
        if (peer == peer_id(s, p))
                put_msg(s, P_LEDGER, p, b, payload);
        return 0;
}

static void add_peer(Sim *s, Proc p, bool validated) {
        LedgerPeer peer = {.id = peer_id(s, p), .guardian = p == P_GUARDIAN, .validated = validated};
        str_copy(peer.unit, sizeof(peer.unit), str_of(proc_name(p)));
        if (ledger_service_peer(s->service, &peer) < 0)
                violate(s, "out of memory");
}

void ledger_start(Sim *s) {
        LedgerServiceOps ops = {op_send, s};
        LedgerConfig cfg = {.segment_min = 128 * 1024, .segment_max = 128 * 1024, .fresh_log_id = {9}};
        LedgerRecovery report;
        memset(cfg.seed, 7, sizeof(cfg.seed));
        memcpy(cfg.boot_id, s->boot_id, sizeof(cfg.boot_id));
        s->disk.fail_at = s->disk.ops = 0;
        if (ledger_service_new(&ops, &s->service) < 0) {
                violate(s, "out of memory");
                return;
        }
        LedgerOps core_ops = ledger_service_core_ops(s->service);
        int r = ledger_core_open(&s->source, &s->storage, &cfg, &core_ops, lnow(s), &s->core, &report);
        if (r < 0) {
                s->core = NULL;
                violate(s, "P8 the ledger can't be opened (%d): %s", r, report.reason);
                return;
        }
        ledger_service_set_core(s->service, s->core);
        if (!s->rolled)
                check_reopened(s);
        for (Proc p = 0; p < _P_MAX; p++)
                if (p != P_LEDGER && s->alive[p])
                        add_peer(s, p, s->validated[p]);
        put_sign(s, P_LEDGER, P_GUARDIAN, FR_READY, P_LEDGER, s->instance[P_LEDGER]);
}

void ledger_stop(Sim *s, bool power) {
        if (s->job && chance(s, 70)) {
                /* Killed inside a job: some of its operations happened. */
                s->disk.ops = 0;
                s->disk.fail_at = 1 + (unsigned)rnd(s, 4);
                s->disk.half = chance(s, 50);
                s->disk.fail_errno = -EIO;
                (void)ledger_job_run(&s->storage, s->job);
        }
        s->disk.fail_at = 0;
        s->job = NULL;
        ledger_core_free(s->core);
        ledger_service_free(s->service);
        s->core = NULL;
        s->service = NULL;
        vdisk_crash(&s->disk, power ? (uint32_t)rnd(s, UINT32_MAX) : UINT32_MAX);
}

void ledger_frame(Sim *s, Proc from, const Frame *f) {
        if (!s->core)
                return;
        if (f->kind == FR_UP) {
                add_peer(s, from, s->validated[from]);
        } else if (f->kind == FR_EOF) {
                ledger_service_gone(s->service, (uint64_t)from * 1000 + f->instance);
        } else if (f->kind == FR_PEER) {
                if (s->knows[P_LEDGER][f->about] == f->instance)
                        add_peer(s, f->about, true);
        } else {
                Msg m = frame_msg(f);
                CoverScope scope;
                cover_ledger_begin(s->core, &scope, proc_name(from), &m);
                ledger_service_msg(s->service, peer_id(s, from), &m, lnow(s));
                cover_ledger_end(s->core, &scope);
        }
        ledger_service_turn(s->service, lnow(s));
}

static bool read_page(Sim *s, bool only_look) {
        if (only_look)
                return false;
        LogPage *page = ledger_service_page(s->service);
        if (!page)
                return false;
        ledger_service_page_done(s->service, page, log_page_read(&s->source, page));
        ledger_service_turn(s->service, lnow(s));
        return true;
}

static void run_job(Sim *s) {
        if (s->disk_bad) {
                s->disk.ops = 0;
                s->disk.fail_at = 1 + (unsigned)rnd(s, 3);
                s->disk.fail_errno = -ENOSPC;
                s->disk_bad = false;
        }
        int r = ledger_job_run(&s->storage, s->job);
        if (r == 0 && s->job->type == LEDGER_JOB_WRITE && !s->rolled)
                check_durable(s, (Str){(const char *)s->job->data.data, s->job->data.len});
        LedgerJob *job = s->job;
        s->job = NULL;
        trace(s, "ledger job %s", r == 0 ? "done" : "failed");
        CoverScope scope;
        cover_ledger_job(s->core, &scope, r < 0);
        ledger_core_job_done(s->core, job, r, lnow(s));
        cover_ledger_end(s->core, &scope);
        ledger_service_turn(s->service, lnow(s));
        if (r < 0)
                proc_kill(s, P_LEDGER,
                        50 * SIM_MS + rnd(s, 2 * SIM_S)); /* it ends by itself; what it refused was said */
}

/* Is there, or do, one piece of work. */
bool ledger_work(Sim *s, bool only_look) {
        if (!s->core)
                return false;
        if (!s->job) {
                uint64_t spare = ledger_core_wants_spare(s->core, lnow(s));
                if (spare)
                        ledger_core_spare_done(
                                s->core, s->storage.make_spare(s->storage.user, spare), lnow(s));
                s->job = ledger_core_job(s->core, lnow(s));
                s->job_us = s->boot_us + rnd(s, 3 * SIM_MS);
        }
        if (read_page(s, false))
                return true;
        if (!s->job || s->boot_us < s->job_us)
                return false;
        if (!only_look)
                run_job(s);
        return true;
}

uint64_t ledger_deadline(const Sim *s) {
        uint64_t at = UINT64_MAX;
        if (!s->core)
                return at;
        if (s->job)
                return s->job_us;
        at = ledger_core_deadline(s->core);
        return at == UINT64_MAX ? at : at / 1000 + 1;
}
