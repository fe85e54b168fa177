/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The ledger as its peers see it: messages in, messages out, on top of the core. Pure: no loop, no clock, no
 * disk. A peer is a link; what it may do is decided by the unit that Guardian wrote on it, and by whether
 * Guardian has validated it.
 *
 *   ATTACH   any chunk or Guardian. Not validated: ATTACHED with code not_validated, and again, with ok, when
 * it is APPEND   validated writers; APPEND_ACK once durable, APPEND_REFUSED at once QUERY    anybody: a page
 * of RECORD and a RESULT with MORE and the next INDEX CALL     head, key (anybody), checkpoint (operators,
 * Guardian): RESULT with a JSON document LEDGER_HEAD  to Guardian when it changed, at most every 10 s; at
 * once when the state changed
 */
#include "chunks/ledger/ledger-core.h"
#include "chunks/ledger/query.h"
#include "common/msg.h"

typedef struct LedgerService LedgerService;
typedef struct LedgerPeer {
        uint64_t id; /* the owner's name for the link */
        char unit[129];
        bool guardian; /* the control pipe */
        bool person;
        bool validated;
        Role role; /* of a person */
} LedgerPeer;

typedef struct LedgerServiceOps {
        int (*send)(void *user, uint64_t peer, const MsgBuilder *b, Str payload);
        void *user;
} LedgerServiceOps;

int ledger_service_new(const LedgerServiceOps *ops, LedgerService **ret);
void ledger_service_free(LedgerService *s);
/* What ledger_core_open() wants; then the core is handed over (not owned). */
LedgerOps ledger_service_core_ops(LedgerService *s);
void ledger_service_set_core(LedgerService *s, LedgerCore *core);

/* A new link, or one whose `validated` changed. -ENOMEM. */
int ledger_service_peer(LedgerService *s, const LedgerPeer *p);
void ledger_service_gone(LedgerService *s, uint64_t peer);
/* false: a message that is not the ledger's to answer. */
bool ledger_service_msg(LedgerService *s, uint64_t peer, const Msg *m, LedgerNow now);

/* Queries run one at a time: the next page to read with log_page_read(), or NULL (none, or one is out). */
LogPage *ledger_service_page(LedgerService *s);
void ledger_service_page_done(LedgerService *s, LogPage *page, int error);
/* After anything happened: answers that waited for the core, the head. */
void ledger_service_turn(LedgerService *s, LedgerNow now);
/* Boot time, ns, of the next head that is due; UINT64_MAX: none. */
uint64_t ledger_service_deadline(const LedgerService *s);
