/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a checkpoint record: {"note","root","size"}; in the first record of a segment also the frontier
 * of the tree and what the core knows ("decisions" not used yet, "open" intents, "mode", "paused", highest
 * number of each writer).
 */
#include "chunks/ledger/ledger-core-private.h"
#include "common/json-writer.h"
#include <errno.h>
#include <string.h>

/* ---- writing */

static void write_decisions(const LedgerCore *core, JsonWriter *w) {
        uint64_t keep[SNAPSHOT_DECISIONS];
        size_t n = 0;
        for (size_t back = 1; back <= core->decisions_n && n < SNAPSHOT_DECISIONS; back++) {
                const Decision *d =
                        &core->decisions[(core->decisions_at + DECISIONS_KEPT - back) % DECISIONS_KEPT];
                if (!d->used)
                        keep[n++] = d->index;
        }
        json_key(w, "decisions");
        json_array_begin(w);
        while (n > 0)
                json_u64(w, keep[--n]);
        json_array_end(w);
}

static void write_writers(const LedgerCore *core, JsonWriter *w) {
        json_key(w, "writers");
        json_array_begin(w);
        for (int i = 0; i < _WRITER_MAX; i++) {
                const Writer *wr = &core->writers[i];
                if (wr->kept_n == 0)
                        continue;
                const Kept *k = &wr->kept[(wr->kept_at + ACKS_KEPT - 1) % ACKS_KEPT];
                json_object_begin(w);
                json_kv_u64(w, "epoch", k->epoch);
                json_key(w, "hash");
                json_hex(w, k->hash, 32);
                json_kv_u64(w, "index", k->index);
                json_kv_str(w, "name", writer_name((WriterId)i));
                json_kv_u64(w, "seq", k->seq);
                json_object_end(w);
        }
        json_array_end(w);
}

static void write_frontier(const Merkle *m, JsonWriter *w) {
        json_key(w, "frontier");
        json_array_begin(w);
        for (unsigned i = 0; i < 64; i++)
                if (m->size >> i & 1)
                        json_hex(w, m->node[i], 32);
        json_array_end(w);
}

int snapshot_write(const LedgerCore *core, const Tip *tip, bool whole, Buf *out, char note[NOTE_MAX]) {
        uint8_t root[32];
        const NoteKey *keys[] = {&core->key};
        merkle_root(&tip->tree, root);
        int r = note_sign(keys, 1, core->key.name, tip->tree.size, root, note, NOTE_MAX);
        if (r < 0)
                return r;
        JsonWriter w;
        json_init(&w, out, true);
        json_object_begin(&w);
        if (whole) {
                write_decisions(core, &w);
                write_frontier(&tip->tree, &w);
                json_kv_str(&w, "mode", mode_to_string((int)core->mode));
        }
        json_kv_str(&w, "note", note);
        if (whole) {
                json_key(&w, "open");
                json_array_begin(&w);
                for (size_t i = 0; i < core->n_intents; i++)
                        json_u64(&w, core->intents[i].i.index);
                json_array_end(&w);
                json_kv_bool(&w, "paused", core->paused);
        }
        json_key(&w, "root");
        json_hex(&w, root, 32);
        json_kv_u64(&w, "size", tip->tree.size);
        if (whole)
                write_writers(core, &w);
        json_object_end(&w);
        return json_finish(&w);
}
