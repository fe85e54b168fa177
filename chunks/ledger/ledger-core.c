/* SPDX-License-Identifier: Apache-2.0 */
/* Who may append what; what a durable record changes. How groups are made: ledger-group.c. */
#include "chunks/ledger/ledger-core-private.h"
#include "common/cleanup.h"
#include "common/json-writer.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* What the bulk writers may add: bytes a second, and at once. A healthy immune kernel stays far below; the
 * mesh is bounded by its own admission, this stops a hostile one. */
static const struct {
        uint64_t rate, burst;
} quotas[_WRITER_MAX] = {
        [W_IMMUNE] = {256 * 1024, 8 * 1024 * 1024}, [W_MESH] = {128 * 1024 * 1024, 256 * 1024 * 1024}};

const char *ledger_state_to_string(LedgerState s) {
        static const char *const names[] = {[LEDGER_READY] = "ready",
                [LEDGER_FAILED] = "failed",
                [LEDGER_STOPPING] = "stopping",
                [LEDGER_STOPPED] = "stopped"};
        return (unsigned)s < ELEMENTSOF(names) ? names[s] : "invalid";
}

char *ledger_origin(const uint8_t log_id[16], char *out, size_t cap) {
        char hex[33];
        hex_encode(log_id, 16, hex);
        snprintf(out, cap, "guardian.local/ledger/%s", hex);
        return out;
}

/* ---- what durable records mean */

static void keep(Writer *w, const Record *r, const uint8_t leaf[32]) {
        Kept *k = &w->kept[w->kept_at];
        *k = (Kept){.epoch = r->epoch, .seq = r->seq, .index = r->index};
        memcpy(k->hash, leaf, 32);
        w->kept_at = (w->kept_at + 1) % ACKS_KEPT;
        if (w->kept_n < ACKS_KEPT)
                w->kept_n++;
        if (r->epoch > w->epoch) {
                w->epoch = r->epoch;
                w->last_seq = w->durable_seq = 0;
        }
        if (r->epoch == w->epoch) {
                if (r->seq > w->last_seq)
                        w->last_seq = r->seq;
                if (r->seq > w->durable_seq)
                        w->durable_seq = r->seq;
        }
}

static Decision *find_decision(LedgerCore *core, uint64_t index) {
        for (size_t i = 0; i < core->decisions_n; i++)
                if (core->decisions[i].index == index)
                        return &core->decisions[i];
        return NULL;
}

static Intent *find_intent(LedgerCore *core, uint64_t index) {
        for (size_t i = 0; i < core->n_intents; i++)
                if (core->intents[i].i.index == index)
                        return &core->intents[i];
        return NULL;
}

static void apply_decision(LedgerCore *core, const Record *r) {
        Decision *d = &core->decisions[core->decisions_at];
        *d = (Decision){.index = r->index};
        memcpy(d->request_id, r->request_id, 16);
        memcpy(d->digest, r->digest, 32);
        core->decisions_at = (core->decisions_at + 1) % DECISIONS_KEPT;
        if (core->decisions_n < DECISIONS_KEPT)
                core->decisions_n++;
}

static void apply_intent(LedgerCore *core, const Record *r) {
        Decision *d = find_decision(core, r->ref);
        if (d)
                d->used = true;
        if (core->n_intents == INTENTS_MAX)
                return; /* append refused it; a log read back holds no more */
        Intent *it = &core->intents[core->n_intents++];
        *it = (Intent){.i = {.index = r->index, .ref = r->ref}};
        memcpy(it->i.request_id, r->request_id, 16);
        memcpy(it->i.digest, r->digest, 32);
        str_copy(it->i.action, sizeof(it->i.action), r->meta[META_ACTION]);
        str_copy(it->i.resource, sizeof(it->i.resource), r->meta[META_RESOURCE]);
        str_copy(it->i.correlation_id, sizeof(it->i.correlation_id), r->meta[META_CORRELATION_ID]);
        str_copy(it->i.actor, sizeof(it->i.actor), r->meta[META_ACTOR]);
}

static void apply_action(LedgerCore *core, const Record *r) {
        Intent *it = find_intent(core, r->ref);
        if (!it)
                return;
        size_t at = (size_t)(it - core->intents);
        memmove(it, it + 1, (core->n_intents - at - 1) * sizeof(*it));
        core->n_intents--;
}

static void apply_config(LedgerCore *core, const Record *r) {
        Str action = r->meta[META_ACTION];
        if (str_eq(action, "pause") || str_eq(action, "resume"))
                core->paused = str_eq(action, "pause");
        else if (str_eq(action, "mode")) {
                int mode = mode_from_string(r->meta[META_RESULT]);
                if (mode > MODE_NONE)
                        core->mode = (Mode)mode;
        }
}

void core_apply(LedgerCore *core, const Record *r, const uint8_t leaf[32]) {
        int w = writer_id(r->meta[META_WRITER]);
        if (w < 0)
                return;
        keep(&core->writers[w], r, leaf);
        if (record_licenses(r))
                apply_decision(core, r);
        if (w != W_GUARDIAN)
                return;
        if (r->kind == RECORD_INTENT)
                apply_intent(core, r);
        else if (r->kind == RECORD_ACTION)
                apply_action(core, r);
        else if (r->kind == RECORD_CONFIG)
                apply_config(core, r);
}

bool ledger_core_open_intent(const LedgerCore *core, size_t at, const LedgerIntent **ret) {
        if (at >= core->n_intents)
                return false;
        *ret = &core->intents[at].i;
        return true;
}

/* ---- attach */

static const Kept *find_kept(const Writer *w, uint32_t epoch, uint64_t seq) {
        for (size_t i = 0; i < w->kept_n; i++)
                if (w->kept[i].seq == seq && w->kept[i].epoch == epoch)
                        return &w->kept[i];
        return NULL;
}

/* A writer's newest acknowledgement is among the last ACKS_KEPT of its records, so no disk is read for this.
 */
static bool holds(const LedgerCore *core, const Writer *w, uint64_t index, const uint8_t *hash) {
        if (index >= core->tip.tree.size)
                return false;
        for (size_t i = 0; i < w->kept_n; i++)
                if (w->kept[i].index == index)
                        return sodium_memcmp(w->kept[i].hash, hash, 32) == 0;
        return false;
}

void ledger_core_attach(LedgerCore *core, const char *writer, uint32_t epoch, uint64_t index,
        const uint8_t *hash, LedgerAttached *ret) {
        *ret = (LedgerAttached){.code = "ok",
                .size = core->tip.tree.size,
                .signed_size = core->tip.signed_size,
                .mode = core->mode,
                .paused = core->paused};
        merkle_root(&core->tip.tree, ret->root);
        int id = writer_id(str_of(writer));
        if (id < 0 || id == W_LEDGER) {
                ret->code = "E.FORBIDDEN";
                return;
        }
        Writer *w = &core->writers[id];
        w->attached = false;
        ret->epoch = w->epoch;
        if (core->state != LEDGER_READY) {
                ret->code = core->state == LEDGER_FAILED ? "ledger_failed" : "E.UNAVAILABLE";
                return;
        }
        if (hash && !holds(core, w, index, hash) && !LEDGER_FAULTY(NO_ROLLBACK)) {
                ret->code = "ledger_rollback";
                return;
        }
        /* Guardian asks for an epoch above every writer's, because it numbers the instances of all others
         * from there. */
        uint32_t newest = 0;
        for (unsigned i = 0; epoch == 0 && i < ELEMENTSOF(core->writers); i++)
                if (core->writers[i].epoch > newest)
                        newest = core->writers[i].epoch;
        if ((epoch != 0 && epoch < w->epoch) || newest == UINT32_MAX) {
                ret->code = "E.CONFLICT";
                return;
        }
        if (epoch == 0)
                epoch = newest + 1;
        if (epoch != w->epoch) {
                w->epoch = epoch;
                w->last_seq = w->durable_seq = 0;
        }
        w->attached = w->fresh = true;
        ret->epoch = w->epoch;
        ret->seq = w->durable_seq;
}

/* ---- append */

static const char *refuse(const char *code, const char *text, const char **why) {
        *why = text;
        return code;
}

static const char *check_form(WriterId writer, const Record *r, const char **why) {
        if (record_check(r, why) < 0)
                return "E.VALIDATION";
        if (!writer_may(writer, r))
                return refuse("E.FORBIDDEN", "this writer may not write such records", why);
        if (r->meta[META_SEGMENT].p)
                return refuse("E.VALIDATION", "meta is not the writer's", why);
        if (r->body.n == 0 || r->body.p[0] != '{')
                return refuse("E.VALIDATION", "the body is not a JSON object", why);
        if (json_check_canonical(r->body, NULL, why) < 0)
                return "E.VALIDATION";
        if (r->kind == RECORD_DECISION && (!r->has_request_id || !r->has_digest))
                return refuse("E.VALIDATION", "a decision needs request id and digest", why);
        return NULL;
}

static const char *check_intent(LedgerCore *core, const Record *r, const char **why) {
        Decision *d = find_decision(core, r->ref);
        if (LEDGER_FAULTY(NO_INTENT_CHECK) || (d && LEDGER_FAULTY(INTENT_OF_OTHER))) {
                core->n_intents_waiting++;
                return NULL;
        }
        if (!d)
                return refuse("intent_refused", "ref is no decision of governance that allows", why);
        if (!r->has_request_id || !r->has_digest || memcmp(d->request_id, r->request_id, 16) != 0 ||
                memcmp(d->digest, r->digest, 32) != 0)
                return refuse("intent_refused", "the decision is for another request", why);
        if (d->used)
                return refuse("intent_refused", "an intent refers to that decision already", why);
        if (core->n_intents + core->n_intents_waiting >= INTENTS_MAX)
                return refuse("intent_refused", "too many intents are open", why);
        d->used = true;
        core->n_intents_waiting++;
        return NULL;
}

static const char *check_action(LedgerCore *core, const Record *r, const char **why) {
        Intent *it = find_intent(core, r->ref);
        if (!it || it->closing)
                return refuse("intent_refused", "ref is no open intent of Guardian", why);
        if (!r->has_request_id || memcmp(it->i.request_id, r->request_id, 16) != 0 ||
                (r->has_digest && memcmp(it->i.digest, r->digest, 32) != 0))
                return refuse("intent_refused", "the intent is for another request", why);
        it->closing = true;
        return NULL;
}

static const char *check_room(LedgerCore *core, WriterId id, size_t size, LedgerNow now, const char **why) {
        Writer *w = &core->writers[id];
        if (core->queue_bytes + size > (writer_is_bulk(id) ? QUEUE_BYTES : 2 * QUEUE_BYTES))
                return refuse("busy", "too much waits to be written", why);
        if (!writer_is_bulk(id))
                return NULL;
        /* What is left of the segment is kept for decisions, intents and actions. */
        if (core->spare_error < 0 && !core->spare_ready)
                return refuse("ledger_full", "no room for another segment", why);
        uint64_t us = (now.boot_ns - w->tokens_at_ns) / 1000;
        uint64_t more = us > 1000000000 ? quotas[id].burst : us * (quotas[id].rate / 1024) / 1000000 * 1024;
        if (w->tokens_at_ns == 0)
                more = quotas[id].burst;
        if (more > 0) {
                w->tokens = w->tokens + more > quotas[id].burst ? quotas[id].burst : w->tokens + more;
                w->tokens_at_ns = now.boot_ns;
        }
        if (w->tokens < size)
                return refuse("E.RATE_LIMIT", "over this writer's quota of bytes", why);
        w->tokens -= size;
        return NULL;
}

static Entry *entry_new(const Record *r, WriterId id, LedgerNow now) {
        size_t n = r->body.n;
        for (unsigned i = 0; i < _META_MAX; i++)
                n += r->meta[i].n;
        Entry *e = malloc(sizeof(*e) + n);
        if (!e)
                return NULL;
        *e = (Entry){.writer = id, .r = *r, .size = record_size(r)};
        e->r.unix_ns = now.wall_ns;
        e->r.boot_ns = now.boot_ns;
        char *p = e->data;
        for (unsigned i = 0; i < _META_MAX; i++) {
                if (!r->meta[i].p)
                        continue;
                memcpy(p, r->meta[i].p, r->meta[i].n);
                e->r.meta[i].p = p;
                p += r->meta[i].n;
        }
        if (r->body.n > 0)
                memcpy(p, r->body.p, r->body.n);
        e->r.body.p = p;
        return e;
}

static Entry *find_waiting(LedgerCore *core, WriterId id, const Record *r) {
        List *lists[] = {&core->flight, &core->queue};
        for (unsigned i = 0; i < ELEMENTSOF(lists); i++)
                LIST_FOREACH (it, lists[i]) {
                        Entry *e = container_of(it, Entry, node);
                        if (e->writer == id && e->r.seq == r->seq && e->r.epoch == r->epoch)
                                return e;
                }
        return NULL;
}

static const char *repeated(
        LedgerCore *core, WriterId id, const Record *r, uint64_t waiter, LedgerAck *ack, const char **why) {
        const Kept *k = find_kept(&core->writers[id], r->epoch, r->seq);
        if (k) {
                *ack = (LedgerAck){.seq = k->seq,
                        .index = k->index,
                        .size = core->tip.tree.size,
                        .signed_size = core->tip.signed_size};
                memcpy(ack->hash, k->hash, 32);
                return "ok";
        }
        Entry *e = find_waiting(core, id, r);
        if (!e)
                return refuse("E.CONFLICT", "that seq was refused or is long past", why);
        e->waiter = waiter;
        return NULL;
}

const char *ledger_core_append(
        LedgerCore *core, const Record *r, uint64_t waiter, LedgerNow now, LedgerAck *ack, const char **why) {
        const char *text, *code;
        if (!why)
                why = &text;
        *why = "";
        if (core->state == LEDGER_FAILED)
                return refuse("ledger_failed", "the ledger has failed", why);
        if (core->state != LEDGER_READY)
                return refuse("E.UNAVAILABLE", "the ledger is stopping", why);
        int id = writer_id(r->meta[META_WRITER]);
        if (id < 0 || id == W_LEDGER)
                return refuse("E.FORBIDDEN", "this unit writes no records", why);
        Writer *w = &core->writers[id];
        if (!w->attached || r->epoch != w->epoch)
                return refuse("E.CONFLICT", "not attached under that epoch", why);
        if (LEDGER_FAULTY(NO_DEDUP) && r->seq <= w->last_seq)
                w->last_seq = r->seq - 1;
        if (r->seq <= w->last_seq)
                return repeated(core, (WriterId)id, r, waiter, ack, why);
        if (!w->fresh && r->seq != w->last_seq + 1)
                return refuse("E.CONFLICT", "a seq is missing before this one", why);
        /* From here the number is used up, whatever the answer. */
        w->fresh = false;
        w->last_seq = r->seq;
        if ((code = check_form((WriterId)id, r, why)) ||
                (code = check_room(core, (WriterId)id, record_size(r), now, why)))
                return code;
        Entry *e = entry_new(r, (WriterId)id, now);
        if (!e)
                return refuse("busy", "out of memory", why);
        if (r->kind == RECORD_INTENT)
                code = check_intent(core, r, why);
        else if (r->kind == RECORD_ACTION)
                code = check_action(core, r, why);
        if (code) {
                free(e);
                return code;
        }
        e->waiter = waiter;
        memcpy(e->r.boot_id, core->config.boot_id, 16);
        e->stamp = ++core->stamps;
        list_append(&core->queue, &e->node);
        core->queue_bytes += e->size;
        return NULL;
}

int core_queue_own(LedgerCore *core, RecordKind kind, Str body, LedgerNow now) {
        Writer *w = &core->writers[W_LEDGER];
        Record r = {.kind = kind, .epoch = w->epoch, .ref = RECORD_NO_REF, .body = body};
        memcpy(r.boot_id, core->config.boot_id, 16);
        r.meta[META_WRITER] = str_of(writer_name(W_LEDGER));
        Entry *e = entry_new(&r, W_LEDGER, now);
        if (!e)
                return -ENOMEM;
        e->own = true;
        e->stamp = ++core->stamps;
        list_append(&core->queue, &e->node);
        core->queue_bytes += e->size;
        return 0;
}

/* ---- small views */

uint64_t ledger_core_stamp(const LedgerCore *core) {
        return core->stamps;
}

bool ledger_core_settled(const LedgerCore *core, const char *writer, uint64_t stamp) {
        const List *lists[] = {&core->flight, &core->queue};
        int id = writer_id(str_of(writer));
        for (size_t i = 0; id >= 0 && i < ELEMENTSOF(lists); i++)
                LIST_FOREACH (it, lists[i]) {
                        const Entry *e = container_of(it, Entry, node);
                        if ((int)e->writer == id && e->stamp <= stamp)
                                return false;
                }
        return true;
}

LedgerState ledger_core_state(const LedgerCore *core) {
        return core->state;
}

void ledger_core_head(const LedgerCore *core, LedgerHead *ret) {
        *ret = (LedgerHead){
                .size = core->tip.tree.size, .signed_size = core->tip.signed_size, .state = core->state};
        merkle_root(&core->tip.tree, ret->root);
        memcpy(ret->hash, core->tip.hash, 32);
        memcpy(ret->note, core->note, sizeof(ret->note));
}

const NoteKey *ledger_core_key(const LedgerCore *core) {
        return &core->key;
}

const uint8_t *ledger_core_log_id(const LedgerCore *core) {
        return core->log_id;
}

int ledger_core_self_test(const LedgerCore *core, const LogSource *src, char *why, size_t cap) {
        const Tip *t = &core->tip;
        Note note;
        Record r;
        uint8_t leaf[32], root[32];
        size_t used;
        const char *text = "it is not there";
        if (core->state == LEDGER_FAILED || t->tree.size == 0) {
                snprintf(why, cap, "the ledger cannot write");
                return -EIO;
        }
        auto_free uint8_t *buf = malloc(RECORD_MAX);
        if (!buf)
                return -ENOMEM;
        int64_t n = src->read(src->user, t->last_segment, t->last_offset, buf, RECORD_MAX);
        if (n < 0) {
                snprintf(why, cap, "cannot read the last record back: %s", strerror((int)-n));
                return (int)n;
        }
        if (record_decode(buf, (size_t)n, &r, leaf, &used, &text) != 0 || r.index != t->tree.size - 1 ||
                memcmp(leaf, t->hash, 32) != 0) {
                snprintf(why, cap, "the last record on disk is not the one in memory: %s", text);
                return -EUCLEAN;
        }
        if (!core->note[0])
                return 0; /* nothing was signed yet: a log of its first seconds */
        merkle_root(&t->tree, root);
        if (note_parse(str_of(core->note), &note) < 0 || !note_verify(&note, &core->key) ||
                note.size > t->tree.size || (note.size == t->tree.size && memcmp(note.root, root, 32) != 0)) {
                snprintf(why, cap, "the last checkpoint does not hold");
                return -EUCLEAN;
        }
        return 0;
}
