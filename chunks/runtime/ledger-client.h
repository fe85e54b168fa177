/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A chunk's way to write to the ledger: numbers appends, keeps what is not acknowledged (bounded), re-sends
 * it with the same (epoch, seq) on the next link, so that no record is written twice and none is lost.
 * Attaches by itself on each new link, presenting the highest acknowledged index and hash.
 */
#include "chunks/runtime/chunk.h"

enum {
        LEDGER_CLIENT_MAX = 256,     /* unacknowledged appends */
        LEDGER_BODY_MAX = 60 * 1024, /* bytes of one body */
};
typedef struct LedgerClient LedgerClient;
typedef struct LedgerAppend {
        RecordKind kind;
        const uint8_t *request_id; /* 16 bytes or NULL */
        const uint8_t *digest;     /* 32 bytes or NULL */
        uint64_t ref;              /* UINT64_MAX: none */
        uint64_t verdict_bits;
        const char *actor, *action, *resource, *subsystem, *correlation_id, *result; /* NULL: absent */
        Str body; /* canonical JSON object */
} LedgerAppend;
/* code: "ok" with index and hash, else why the ledger refused it ("E.VALIDATION", "intent_refused",
 * "ledger_failed"). */
typedef void (*LedgerAckFn)(
        void *user, uint64_t token, const char *code, uint64_t index, const uint8_t *hash);
/* Records of a query, one call each, then once with rec == NULL and the code. json: the line
 * of `ledger query --json`. */
typedef void (*LedgerRecordFn)(void *user, uint64_t token, const Msg *rec, const char *code);

int ledger_client_new(Chunk *c, void *user, LedgerAckFn on_ack, LedgerClient **ret);
void ledger_client_free(LedgerClient *lc);
/* Feed: on_link, on_link_lost and on_msg of the link named "ledger"; returns true when the message was
 * consumed. */
void ledger_client_link(LedgerClient *lc, Link *l);
void ledger_client_lost(LedgerClient *lc);
bool ledger_client_msg(LedgerClient *lc, Link *l, Msg *m);
/* May write: linked, attached and validated by Guardian. Appends made before wait; queries are answered
 * before already. */
bool ledger_client_attached(const LedgerClient *lc);
/*
 * 0 and the ack comes later with `token`; -ENOBUFS when 256 are waiting, -EMSGSIZE, -ENOMEM. Works while the
 * ledger is away. -EUCLEAN: the ledger lost what it had acknowledged (ledger_rollback): everything waiting
 * was refused with that code, nothing is taken before it attaches again. Who may write which kind, and what
 * ACTION and RESULT of a config record mean to the ledger: chunks/ledger/ledger-core.h. A policy config
 * record has ACTION "policy" or "policy.*".
 */
int ledger_client_append(LedgerClient *lc, const LedgerAppend *a, uint64_t token);
/*
 * Reads kinds (bit mask 1 << RecordKind, 0: all) from index `from` to the end, in order, paging by itself and
 * going on after a restart of the ledger. -ENOBUFS when 8 are under way. Not to be called from inside fn
 * before its last call.
 */
int ledger_client_query(LedgerClient *lc, uint64_t kinds, uint64_t from, LedgerRecordFn fn, uint64_t token);
size_t ledger_client_pending(const LedgerClient *lc);
