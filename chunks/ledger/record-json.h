/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The promised lines of `ledger query` and `ledger export`:
 * {"index","time","kind","writer","actor","action","resource",
 * "subsystem","correlation_id","request_id","ref","result","body","prev","hash"}, absent values null; export
 * adds "leaf", base64 of the hashed bytes. No newline at the end.
 */
#include "chunks/ledger/record.h"
#include "common/buf.h"
#include "common/msg.h"

/* 0 or -errno. leaf_bytes: record_leaf_bytes() for export, {NULL, 0} for query. */
int record_to_json(const Record *r, const uint8_t hash[32], Str leaf_bytes, Buf *out);
/* The texts of a record (all of meta but META_SEGMENT, which stays in the log) as fields of a message, and
 * back; they borrow from it. */
void record_meta_to_msg(const Record *r, MsgBuilder *b);
void record_meta_from_msg(Record *r, const Msg *m);
/* The same line from a RECORD message of a running ledger. */
int record_msg_to_json(const Msg *m, Buf *out);
