/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One accepted (or about to be accepted) event, shared by the queues of its subscribers: header, payload and
 * the index of its record. Counted references; never changed once it was handed out, but for the index.
 */
#include "common/gme.h"

enum {
        EVENT_BODY_INLINE_MAX = 48 * 1024, /* above, the record has payload_sha256 in place of the payload */
        EVENT_BODY_MAX = 60 * 1024,        /* of the whole body, likewise (LEDGER_BODY_MAX) */
};

typedef struct MeshEvent {
        unsigned refs;
        Lane lane;
        uint64_t index; /* of its record, UINT64_MAX before */
        char type[129];
        uint16_t header_len, header_fields;
        uint32_t payload_len;
        uint8_t bytes[]; /* header, payload */
} MeshEvent;

/* From a finished builder of type EVENT. 0, the builder's error, -ENOMEM. *ret has one reference. */
int mesh_event_new(const MsgBuilder *b, Str payload, MeshEvent **ret);
MeshEvent *mesh_event_ref(MeshEvent *e);
MeshEvent *mesh_event_unref(MeshEvent *e); /* NULL is fine; returns NULL */
Str mesh_event_payload(const MeshEvent *e);
/* As a message to read; lives as long as the event. */
void mesh_event_view(const MeshEvent *e, Msg *ret);
/* As a message of another type that carries the envelope (EVENT, VALIDATE, INVOKE), to which more may be put.
 */
void mesh_event_builder(const MeshEvent *e, MsgType type, MsgBuilder *b);
size_t mesh_event_size(const MeshEvent *e); /* what it counts for in a queue */

/* Overwrites an 8-byte field that is there (hop_count of a routed copy). false: it is not there. */
bool envelope_set_u64(MsgBuilder *b, Tag t, uint64_t v);
/*
 * The body of the event's record: canonical JSON of the envelope's members and the payload as one JSON
 * string, over 48 KiB payload_sha256 and payload_size instead. 0, -ENOBUFS, -EINVAL, -ENOMEM.
 */
int mesh_event_body(const MeshEvent *e, Buf *out);
/* The JSON form for clients of JSON lines, the record's index and the payload as a JSON value included: one
 * line's worth of bytes without the newline. */
int mesh_event_json(const MeshEvent *e, Buf *out);
