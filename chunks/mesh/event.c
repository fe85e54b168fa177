/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/event.h"
#include "common/cleanup.h"
#include "common/json-writer.h"
#include "common/sha256.h"
#include <errno.h>
#include <stdlib.h>

int mesh_event_new(const MsgBuilder *b, Str payload, MeshEvent **ret) {
        MeshEvent *e;
        Msg view;
        int r = msg_view(b, payload, &view);

        if (r < 0)
                return r;
        e = malloc(sizeof(*e) + b->len + payload.n);
        if (!e)
                return -ENOMEM;
        *e = (MeshEvent){.refs = 1,
                .index = UINT64_MAX,
                .header_len = b->len,
                .header_fields = b->fields,
                .payload_len = (uint32_t)payload.n};
        memcpy(e->bytes, b->header, b->len);
        if (payload.n)
                memcpy(e->bytes + b->len, payload.p, payload.n);
        str_copy(e->type, sizeof(e->type), msg_str(&view, TAG_TYPE));
        e->lane = gme_lane(msg_str(&view, TAG_PRIORITY));
        *ret = e;
        return 0;
}

MeshEvent *mesh_event_ref(MeshEvent *e) {
        e->refs++;
        return e;
}

MeshEvent *mesh_event_unref(MeshEvent *e) {
        if (e && --e->refs == 0)
                free(e);
        return NULL;
}

Str mesh_event_payload(const MeshEvent *e) {
        return (Str){(const char *)e->bytes + e->header_len, e->payload_len};
}

void mesh_event_view(const MeshEvent *e, Msg *ret) {
        *ret = (Msg){.type = MSG_EVENT,
                .lane = (uint8_t)e->lane,
                .header = {(const char *)e->bytes, e->header_len},
                .payload = mesh_event_payload(e),
                .fd = -1};
}

void mesh_event_builder(const MeshEvent *e, MsgType type, MsgBuilder *b) {
        msg_begin(b, type);
        memcpy(b->header, e->bytes, e->header_len);
        b->len = e->header_len;
        b->fields = e->header_fields;
        b->lane = (uint8_t)e->lane;
}

size_t mesh_event_size(const MeshEvent *e) {
        return sizeof(*e) + e->header_len + e->payload_len;
}

bool envelope_set_u64(MsgBuilder *b, Tag t, uint64_t v) {
        size_t at = 0;

        while (at + 4 <= b->len) {
                unsigned tag = b->header[at] | (unsigned)b->header[at + 1] << 8;
                size_t len = b->header[at + 2] | (size_t)b->header[at + 3] << 8;

                if (tag == (unsigned)t && len == 8 && at + 12 <= b->len) {
                        for (unsigned i = 0; i < 8; i++)
                                b->header[at + 4 + i] = (uint8_t)(v >> (8 * i));
                        return true;
                }
                at += 4 + len;
        }
        return false;
}

/* Members of the body in byte order of their JSON names; payload* stands between partition_key and pii_flags,
 * and is written where its marker is. */
static const Tag BODY_TAGS[] = {TAG_CAUSATION_ID, TAG_CHECKSUM, TAG_CONSENT_SCOPE, TAG_CORRELATION_ID,
        TAG_DEADLINE_MS, TAG_EXPIRES_AT, TAG_GOVERNANCE_LABEL, TAG_HOP_COUNT, TAG_IDEMPOTENCY_KEY, TAG_GKIND,
        TAG_MSG_ID, TAG_PARTITION_KEY, /* payload */ TAG_PAYLOAD_REF, TAG_PII_FLAG, TAG_PRIORITY, TAG_QOS,
        TAG_RBAC, TAG_REDELIVERY_COUNT, TAG_REPLY_TO, TAG_RESOURCE, TAG_SCHEMA_REF, TAG_SIGNATURE, TAG_SOURCE,
        TAG_TRACEPARENT, TAG_TRACESTATE, TAG_TS, TAG_TYPE, TAG_VERSION};

static void body_payload(const MeshEvent *e, JsonWriter *w) {
        Str payload = mesh_event_payload(e);

        if (payload.n == 0)
                return;
        json_key(w, "payload");
        json_str(w, payload);
}

static void body_payload_digest(const MeshEvent *e, JsonWriter *w) {
        Str payload = mesh_event_payload(e);
        uint8_t hash[32];

        if (payload.n == 0)
                return;
        sha256(payload.p, payload.n, hash);
        json_key(w, "payload_sha256");
        json_hex(w, hash, sizeof(hash));
        json_kv_u64(w, "payload_size", payload.n);
}

static void body_member(const Msg *m, Tag t, JsonWriter *w) {
        const TagInfo *info = tag_info(t);
        size_t at = 0;
        Str s;

        if (!msg_has(m, t))
                return;
        json_key(w, info->json);
        if (info->type == TAG_TYPE_U64) {
                json_u64(w, msg_u64(m, t, 0));
        } else if (t == TAG_PII_FLAG || t == TAG_CONSENT_SCOPE || t == TAG_RBAC) {
                json_array_begin(w);
                while (msg_next_str(m, t, &at, &s))
                        json_str(w, s);
                json_array_end(w);
        } else {
                json_str(w, msg_str(m, t));
        }
}

static int body_write(const MeshEvent *e, bool inline_payload, Buf *out) {
        JsonWriter w;
        Msg m;

        mesh_event_view(e, &m);
        json_init(&w, out, true);
        json_object_begin(&w);
        for (size_t i = 0; i < ELEMENTSOF(BODY_TAGS); i++) {
                if (BODY_TAGS[i] == TAG_PAYLOAD_REF && inline_payload)
                        body_payload(e, &w);
                body_member(&m, BODY_TAGS[i], &w);
                if (BODY_TAGS[i] == TAG_PAYLOAD_REF && !inline_payload)
                        body_payload_digest(e, &w);
        }
        json_object_end(&w);
        return json_finish(&w);
}

int mesh_event_body(const MeshEvent *e, Buf *out) {
        bool fits = e->payload_len <= EVENT_BODY_INLINE_MAX;
        int r = body_write(e, fits, out);

        /* as text in text the payload grows: what does not fit a record then stands there as its digest too
         */
        if (fits && (r == -ENOBUFS || (r == 0 && out->len > EVENT_BODY_MAX))) {
                buf_consume(out, out->len);
                r = body_write(e, false, out);
        }
        return r;
}

/* An event line is one line: white space between the payload's tokens may hold newlines, text in it can't. */
static int lines_join(Buf *b, size_t from) {
        for (size_t i = from; i < b->len; i++)
                if (b->data[i] == '\n' || b->data[i] == '\r')
                        b->data[i] = ' ';
        return 0;
}

int mesh_event_json(const MeshEvent *e, Buf *out) {
        size_t from = out->len;
        MsgBuilder b;
        JsonWriter w;
        Msg m;
        int r;

        mesh_event_builder(e, MSG_EVENT, &b);
        if (e->index != UINT64_MAX)
                msg_put_u64(&b, TAG_INDEX, e->index);
        r = msg_view(&b, mesh_event_payload(e), &m);
        if (r < 0)
                return r;
        json_init(&w, out, false);
        gme_to_json(&m, &w);
        r = json_finish(&w);
        return r < 0 ? r : lines_join(out, from);
}
