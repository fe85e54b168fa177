/* SPDX-License-Identifier: Apache-2.0 */
/* Reading bodies of checkpoint records back: by recovery and verifier only, never on the append path, so with
 * jansson. A file of its own: jansson's names and those of our writer clash. */
#include "chunks/ledger/ledger-core-private.h"
#include <errno.h>
#include <jansson.h>
#include <string.h>

static void json_freep(json_t **j) {
        json_decref(*j);
}
#define auto_json __attribute__((cleanup(json_freep)))

static int read_hash(const json_t *j, uint8_t ret[32]) {
        const char *s = json_string_value(j);
        return s && strlen(s) == 64 && hex_decode(s, 64, ret) == 0 ? 0 : -EBADMSG;
}

static int read_u64(const json_t *j, uint64_t *ret) {
        if (!json_is_integer(j) || json_integer_value(j) < 0)
                return -EBADMSG;
        *ret = (uint64_t)json_integer_value(j);
        return 0;
}

static int read_frontier(const json_t *doc, Merkle *m) {
        const json_t *list = json_object_get(doc, "frontier");
        uint64_t size;
        if (!json_is_array(list) || read_u64(json_object_get(doc, "size"), &size) < 0)
                return -EBADMSG;
        merkle_init(m);
        m->size = size;
        size_t at = 0;
        for (unsigned i = 0; i < 64; i++)
                if ((size >> i & 1) && read_hash(json_array_get(list, at++), m->node[i]) < 0)
                        return -EBADMSG;
        return at == json_array_size(list) ? 0 : -EBADMSG;
}

static int read_writers(LedgerCore *core, const json_t *list) {
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *j = json_array_get(list, i);
                uint64_t epoch, seq, index;
                uint8_t hash[32];
                int w = writer_id(str_of(json_string_value(json_object_get(j, "name"))));
                if (w < 0 || read_u64(json_object_get(j, "epoch"), &epoch) < 0 || epoch > UINT32_MAX ||
                        read_u64(json_object_get(j, "seq"), &seq) < 0 ||
                        read_u64(json_object_get(j, "index"), &index) < 0 ||
                        read_hash(json_object_get(j, "hash"), hash) < 0)
                        return -EBADMSG;
                Writer *wr = &core->writers[w];
                wr->epoch = (uint32_t)epoch;
                wr->last_seq = wr->durable_seq = seq;
                wr->kept[0] = (Kept){.epoch = (uint32_t)epoch, .seq = seq, .index = index};
                memcpy(wr->kept[0].hash, hash, 32);
                wr->kept_at = wr->kept_n = 1;
        }
        return 0;
}

static int read_indexes(const json_t *list, void (*again)(void *user, uint64_t index), void *user) {
        for (size_t i = 0; i < json_array_size(list); i++) {
                uint64_t index;
                if (read_u64(json_array_get(list, i), &index) < 0)
                        return -EBADMSG;
                again(user, index);
        }
        return 0;
}

int snapshot_read(LedgerCore *core, Str body, void (*again)(void *user, uint64_t index), void *user) {
        auto_json json_t *doc = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(doc) || read_frontier(doc, &core->tip.tree) < 0)
                return -EBADMSG;
        int mode = mode_from_string(str_of(json_string_value(json_object_get(doc, "mode"))));
        if (mode < 0 || !json_is_boolean(json_object_get(doc, "paused")))
                return -EBADMSG;
        core->mode = (Mode)mode;
        core->paused = json_is_true(json_object_get(doc, "paused"));
        if (read_writers(core, json_object_get(doc, "writers")) < 0 ||
                read_indexes(json_object_get(doc, "decisions"), again, user) < 0 ||
                read_indexes(json_object_get(doc, "open"), again, user) < 0)
                return -EBADMSG;
        return 0;
}
