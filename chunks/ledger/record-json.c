/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/record-json.h"
#include "common/cleanup.h"
#include "common/json-writer.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

static void optional(JsonWriter *w, const char *key, Str s) {
        json_key(w, key);
        if (s.p)
                json_str(w, s);
        else
                json_null(w);
}

static int write_leaf(JsonWriter *w, Str leaf) {
        size_t cap = sodium_base64_ENCODED_LEN(leaf.n, sodium_base64_VARIANT_ORIGINAL);
        char *text = malloc(cap);
        if (!text)
                return -ENOMEM;
        sodium_bin2base64(text, cap, (const uint8_t *)leaf.p, leaf.n, sodium_base64_VARIANT_ORIGINAL);
        json_kv_str(w, "leaf", text);
        free(text);
        return 0;
}

int record_to_json(const Record *r, const uint8_t hash[32], Str leaf_bytes, Buf *out) {
        JsonWriter w;
        json_init(&w, out, false);
        json_object_begin(&w);
        json_kv_u64(&w, "index", r->index);
        json_key(&w, "time");
        json_time(&w, r->unix_ns);
        json_kv_str(&w, "kind", record_kind_to_string((int)r->kind));
        optional(&w, "writer", r->meta[META_WRITER]);
        optional(&w, "actor", r->meta[META_ACTOR]);
        optional(&w, "action", r->meta[META_ACTION]);
        optional(&w, "resource", r->meta[META_RESOURCE]);
        optional(&w, "subsystem", r->meta[META_SUBSYSTEM]);
        optional(&w, "correlation_id", r->meta[META_CORRELATION_ID]);
        json_key(&w, "request_id");
        if (r->has_request_id)
                json_hex(&w, r->request_id, 16);
        else
                json_null(&w);
        json_kv_u64_or_null(&w, "ref", r->ref);
        optional(&w, "result", r->meta[META_RESULT]);
        json_key(&w, "body");
        if (r->body.n > 0)
                json_raw(&w, r->body);
        else
                json_null(&w);
        json_key(&w, "prev");
        json_hex(&w, r->prev, 32);
        json_key(&w, "hash");
        json_hex(&w, hash, 32);
        if (leaf_bytes.p && write_leaf(&w, leaf_bytes) < 0)
                return -ENOMEM;
        json_object_end(&w);
        return json_finish(&w);
}

static const Tag meta_tags[META_SEGMENT] = {[META_WRITER] = TAG_WRITER,
        [META_ACTOR] = TAG_ACTOR,
        [META_ACTION] = TAG_ACTION,
        [META_RESOURCE] = TAG_RESOURCE,
        [META_SUBSYSTEM] = TAG_SUBSYSTEM,
        [META_CORRELATION_ID] = TAG_CORRELATION_ID,
        [META_RESULT] = TAG_RESULT};

void record_meta_to_msg(const Record *r, MsgBuilder *b) {
        for (unsigned i = 0; i < ELEMENTSOF(meta_tags); i++)
                msg_put_str(b, meta_tags[i], r->meta[i]);
}

void record_meta_from_msg(Record *r, const Msg *m) {
        for (unsigned i = 0; i < ELEMENTSOF(meta_tags); i++)
                r->meta[i] = msg_str(m, meta_tags[i]);
}

int record_msg_to_json(const Msg *m, Buf *out) {
        uint64_t kind = msg_u64(m, TAG_KIND, 0);
        const uint8_t *id = msg_bytes(m, TAG_REQUEST_ID), *prev = msg_bytes(m, TAG_PREV),
                      *hash = msg_bytes(m, TAG_HASH);
        if (m->type != MSG_RECORD || !prev || !hash)
                return -EINVAL;
        Record r = {.index = msg_u64(m, TAG_INDEX, 0),
                .unix_ns = msg_u64(m, TAG_TIME_NS, 0),
                .kind = kind < _RECORD_MAX ? (RecordKind)kind : RECORD_NONE,
                .has_request_id = id != NULL,
                .ref = msg_u64(m, TAG_REF, RECORD_NO_REF),
                .body = m->payload};
        if (id)
                memcpy(r.request_id, id, 16);
        memcpy(r.prev, prev, 32);
        record_meta_from_msg(&r, m);
        return record_to_json(&r, hash, (Str){NULL, 0}, out);
}
