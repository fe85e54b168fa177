/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include <check.h>
#include <string.h>

static int number(const char *writer) {
        static const char *const names[] = {"governance", "guardian", "immune", "mesh"};
        for (int i = 0; i < 4; i++)
                if (strcmp(names[i], writer) == 0)
                        return i;
        return 4;
}

static void on_ack(void *user, uint64_t waiter, const char *code, const LedgerAck *ack) {
        Rig *r = user;
        ck_assert_uint_lt(r->n_acks, RIG_ACKS);
        r->acks[r->n_acks].waiter = waiter;
        r->acks[r->n_acks].index = ack->index;
        memcpy(r->acks[r->n_acks].hash, ack->hash, 32);
        str_copy(r->acks[r->n_acks].code, sizeof(r->acks[0].code), str_of(code));
        r->n_acks++;
}

int rig_open(Rig *r) {
        LedgerConfig config = {.boot_id = {1, 2, 3}, .fresh_log_id = {9, 9, 9}};
        LedgerOps ops = {on_ack, r};
        memset(config.seed, r->seed_byte ? r->seed_byte : 7, 32);
        config.segment_min = r->segment_bytes;
        config.segment_max = r->segment_bytes;
        if (r->now.wall_ns == 0)
                r->now = (LedgerNow){UINT64_C(1700000000000000000), 1000000000};
        r->storage = vdisk_storage(&r->disk);
        r->source = vdisk_source(&r->disk);
        int e = ledger_core_open(&r->source, &r->storage, &config, &ops, r->now, &r->core, &r->report);
        if (e < 0) {
                r->core = NULL;
                return e;
        }
        rig_run(r);
        return 0;
}

void rig_close(Rig *r) {
        ledger_core_free(r->core);
        r->core = NULL;
}

void rig_done(Rig *r) {
        rig_close(r);
        vdisk_done(&r->disk);
}

void rig_run(Rig *r) {
        LedgerJob *job;
        for (;;) {
                r->now.wall_ns += 1000000;
                r->now.boot_ns += 1000000;
                uint64_t spare = ledger_core_wants_spare(r->core, r->now);
                if (spare)
                        ledger_core_spare_done(r->core, r->storage.make_spare(&r->disk, spare), r->now);
                job = ledger_core_job(r->core, r->now);
                if (!job)
                        return;
                ledger_core_job_done(r->core, job, ledger_job_run(&r->storage, job), r->now);
        }
}

void rig_stop(Rig *r) {
        ledger_core_stop(r->core);
        rig_run(r);
        ck_assert_int_eq(ledger_core_state(r->core), LEDGER_STOPPED);
        rig_close(r);
}

void rig_attach(Rig *r, const char *writer) {
        LedgerAttached a;
        ledger_core_attach(r->core, writer, 0, 0, NULL, &a);
        ck_assert_str_eq(a.code, "ok");
        r->epoch[number(writer)] = a.epoch;
        r->seq[number(writer)] = 0;
}

const char *rig_put(Rig *r, Put p, LedgerAck *ack, const char **why) {
        LedgerAck own;
        int n = number(p.writer);
        Record rec = {.kind = p.kind,
                .epoch = r->epoch[n],
                .seq = ++r->seq[n],
                .ref = p.ref,
                .verdict_bits = p.bits,
                .body = str_of(p.body ? p.body : "{}")};
        rec.meta[META_WRITER] = str_of(p.writer);
        rec.meta[META_ACTION] = str_of(p.action);
        rec.meta[META_RESULT] = str_of(p.result);
        if (p.id) {
                rec.has_request_id = rec.has_digest = true;
                memset(rec.request_id, p.other_request ? p.id + 1 : p.id, 16);
                memset(rec.digest, p.other_digest ? p.id + 1 : p.id, 32);
        }
        return ledger_core_append(r->core, &rec, rec.seq, r->now, ack ? ack : &own, why);
}

uint64_t rig_ok(Rig *r, Put p) {
        const char *why = "", *code = rig_put(r, p, NULL, &why);
        ck_assert_msg(code == NULL, "%s refused: %s %s", p.writer, code, why);
        size_t before = r->n_acks;
        rig_run(r);
        ck_assert_uint_eq(r->n_acks, before + 1);
        ck_assert_str_eq(r->acks[before].code, "ok");
        return r->acks[before].index;
}

uint64_t rig_governed(Rig *r, uint8_t id) {
        uint64_t d = rig_ok(r, (Put){"governance", RECORD_DECISION, id, RECORD_NO_REF, VERDICT_BIT_ALLOW});
        uint64_t i = rig_ok(r, (Put){"guardian", RECORD_INTENT, id, d});
        return rig_ok(r, (Put){"guardian", RECORD_ACTION, id, i});
}
