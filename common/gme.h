/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one envelope, GME: a PUBLISH or EVENT message whose
 * tags are the envelope's members and whose payload is one JSON value. gme_fill() gives defaults, gme_check()
 * says what is wrong with the field named; gme_to_json() writes the JSON form (members in the published order
 * of GME, `type` beside `domain` and `name`).
 */
#include "common/json-writer.h"
#include "common/msg.h"

enum { GME_HOP_WARN = 32, GME_HOP_MAX = 64, GME_INLINE_MAX = 200 * 1024 };
typedef struct GmeIssue {
        bool error; /* else a warning */
        Tag field;
        char message[160]; /* "hop_count 65 is above the limit of 64" */
        const char *code;  /* E.* of the error taxonomy */
} GmeIssue;

/* Number of issues written, at most cap; errors first. m is a PUBLISH or EVENT as gme_fill() left it: what
 * that fills is required here. A payload (one JSON value, `{}` counts) or payload_ref, not both; a checksum
 * is compared with the payload. */
size_t gme_check(const Msg *m, GmeIssue *out, size_t cap);
/* Completes a PUBLISH under construction: msg_id, kind event, version 1.0.0, ts, priority P2, qos standard
 * (realtime for P0), correlation_id, partition_key, traceparent, schema_ref, hop_count 0: only what is
 * absent. */
void gme_fill(MsgBuilder *b, uint64_t wall_ns);
void gme_to_json(const Msg *m, JsonWriter *w);
Lane gme_lane(Str priority); /* P0 critical, P1 and P2 normal, P3 bulk; anything else normal */
/* The GME name of a type, "anomaly.detected" gives "ANOMALY_DETECTED". Cut to cap - 1. Returns out. */
char *gme_name(Str type, char *out, size_t cap);
