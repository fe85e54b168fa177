/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The JSON lines of a unit's mesh socket, pure: one line in, one operation out, and answers back.
 *
 *   {"op":"publish","type":T,"payload":{..},"req":N, any member of the envelope}  ->
 * {"req":N,"ok":true,"index":I}
 *   {"op":"subscribe","pattern":P,"req":N}                                        -> {"req":N,"ok":true},
 * {"event":{..}} ..
 *   {"op":"register","handler":H,"req":N}                                         -> {"req":N,"ok":true},
 * {"invoke":{..}} ..
 *   {"op":"result","req":N,"ok":true,"result":..}   answers an invoke; or
 * "ok":false,"code":"E..","message":".." refused:
 * {"req":N,"ok":false,"code":"E..","message":"..","field":"..","retry_after_ms":MS,"issues":[..]}
 *
 * The envelope's members may stand beside `op` or in `headers`, as in an event line. `source` is nobody's to
 * say.
 */
#include "chunks/mesh/mesh-core.h"
#include "common/json/json-read.h"

enum { JSONL_LINE_MAX = 256 * 1024 };
#define JSONL_NO_REQ UINT64_MAX

typedef enum JsonlKind { JSONL_PUBLISH, JSONL_SUBSCRIBE, JSONL_REGISTER, JSONL_RESULT } JsonlKind;
typedef struct JsonlOp {
        JsonlKind kind;
        uint64_t req;       /* JSONL_NO_REQ: none */
        MsgBuilder publish; /* PUBLISH without REQ */
        char *payload;      /* owned: of a publish or a result; NULL: none */
        char pattern[257];
        char handler[129];
        bool ok; /* of a result */
        char code[65], message[1025];
} JsonlOp;
typedef struct JsonlError {
        uint64_t req;
        char code[24], message[200], field[64];
} JsonlError;

/* 0 and *ret (jsonl_op_done()); -EINVAL with *err, -ENOMEM. line: without the newline. */
int jsonl_parse(Str line, JsonlOp *ret, JsonlError *err);
void jsonl_op_done(JsonlOp *op);
/* Each appends one whole line. 0, -ENOBUFS, -ENOMEM. */
int jsonl_answer(const MeshAnswer *a, Buf *out);
int jsonl_event(const MeshEvent *e, Buf *out);
int jsonl_invoke(uint64_t req, const char *handler, const MeshEvent *trigger, Str params, Buf *out);
