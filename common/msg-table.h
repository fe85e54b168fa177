/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The rows of the message table: ROW(TYPE, lane, descriptor, FIELDS). In FIELDS: R required, O optional, M optional and
 * repeated. Included by msg.c only. What each message means stands in msg.h.
 */
#define ENVELOPE_FIELDS                                                                                      \
        O(MSG_ID) O(GKIND) R(TYPE) O(VERSION) O(TS) O(SOURCE) O(SCHEMA_REF) O(CORRELATION_ID) O(TRACEPARENT) \
        O(TRACESTATE) O(PRIORITY) O(QOS) O(PARTITION_KEY) O(CAUSATION_ID) O(REPLY_TO) O(IDEMPOTENCY_KEY)     \
        O(HOP_COUNT) O(DEADLINE_MS) O(EXPIRES_AT) O(GOVERNANCE_LABEL) M(PII_FLAG) M(CONSENT_SCOPE) M(RBAC)   \
        O(CHECKSUM) O(SIGNATURE) O(PAYLOAD_REF) O(REDELIVERY_COUNT) O(RESOURCE)

#define MESSAGE_TABLE(ROW)                                                                                   \
        /* ---- fd 3, Guardian to chunk */                                                                   \
        ROW(HELLO, CONTROL, NO_FD, R(UNIT) R(INSTANCE) R(EPOCH) R(SECRET) R(BOOT_ID) O(STATE_DIR) M(POLICY_DIR) \
                O(LEDGER_KEY) O(WATCHDOG_US) O(MODE))                                                        \
        ROW(LINK, CONTROL, FD, R(UNIT) R(INSTANCE) R(EPOCH) R(PEER_KIND) R(ACTOR) R(VALIDATED) O(ROLE) O(UID)) \
        /* validated=false: the instance is gone */                                                          \
        ROW(PEER, CONTROL, NO_FD, R(UNIT) R(INSTANCE) R(VALIDATED))                                          \
        ROW(CHALLENGE, CONTROL, NO_FD, R(NONCE))                                                             \
        ROW(HANDLER, CONTROL, NO_FD, R(UNIT) R(INSTANCE) M(HANDLER))                                         \
        ROW(BINDING, CONTROL, NO_FD, R(UNIT) M(PUBLISHES) M(SUBSCRIBES) O(TRUST) O(UID))                     \
        ROW(MESH_LISTEN, CONTROL, FD, R(UNIT) R(UID))                                                        \
        /* ---- fd 3, chunk to Guardian */                                                                   \
        ROW(CHALLENGE_REPLY, CONTROL, NO_FD, R(NONCE) R(PROOF) M(HANDLER) M(ISSUE))                          \
        ROW(READY, CONTROL, NO_FD, O(MESSAGE))                                                               \
        ROW(HEARTBEAT, CONTROL, NO_FD, )                                                                     \
        /* ---- ledger */                                                                                    \
        /* EPOCH 0 asks for one (Guardian at its start); INDEX and HASH: highest acknowledged */             \
        ROW(ATTACH, CRITICAL, NO_FD, R(EPOCH) O(INDEX) O(HASH))                                              \
        /* CODE ok | ledger_rollback; SEQ: highest of this writer and epoch; MODE: last recorded mode */     \
        ROW(ATTACHED, CRITICAL, NO_FD, R(CODE) R(EPOCH) R(SEQ) R(SIZE) R(SIGNED_SIZE) O(ROOT) O(MODE) O(PAUSED) O(MESSAGE)) \
        ROW(OPEN_INTENT, CRITICAL, NO_FD, R(INDEX) R(REQUEST_ID) R(DIGEST) R(REF) O(ACTION) O(RESOURCE)      \
                O(CORRELATION_ID) O(ACTOR))                                                                  \
        ROW(APPEND, CRITICAL, NO_FD, R(SEQ) R(KIND) O(REQUEST_ID) O(DIGEST) O(REF) O(VERDICT_BITS) O(ACTOR) O(ACTION) \
                O(RESOURCE) O(SUBSYSTEM) O(CORRELATION_ID) O(RESULT))                                        \
        ROW(APPEND_ACK, CRITICAL, NO_FD, R(SEQ) R(INDEX) R(HASH) R(SIZE) R(SIGNED_SIZE))                     \
        ROW(APPEND_REFUSED, CRITICAL, NO_FD, R(SEQ) R(CODE) O(MESSAGE))                                      \
        ROW(QUERY, CRITICAL, NO_FD, R(REQ) O(KINDS) O(FROM) O(LIMIT) O(WRITER) O(ACTOR) O(ACTION) O(RESOURCE) \
                O(CORRELATION_ID) O(REQUEST_ID) O(SINCE_NS) O(UNTIL_NS) O(OPEN))                             \
        /* payload: the body */                                                                              \
        ROW(RECORD, CRITICAL, NO_FD, R(REQ) R(INDEX) R(TIME_NS) R(KIND) R(WRITER) R(EPOCH) R(SEQ) R(HASH) R(PREV) O(BOOT_ID) \
                O(NOW_BOOT_US) O(REQUEST_ID) O(DIGEST) O(REF) O(VERDICT_BITS) O(ACTOR) O(ACTION) O(RESOURCE) \
                O(SUBSYSTEM) O(CORRELATION_ID) O(RESULT))                                                    \
        ROW(LEDGER_HEAD, CONTROL, NO_FD, R(SIZE) R(SIGNED_SIZE) R(ROOT) R(LEDGER_STATE) O(NOTE) O(HASH))     \
        /* ---- governance */                                                                                \
        ROW(DECIDE, CRITICAL, NO_FD, R(REQUEST_ID) R(DIGEST) R(PURPOSE) R(ACTOR) R(ACTOR_KIND) O(UID) O(ROLE) R(ACTION) R(TARGET) \
                R(BOOT_ID) R(PID) R(START_TIME) O(INCIDENT) M(ARG) R(MODE) R(PRIORITY_MILLI) R(CRITICAL) R(CAN_FAIL) \
                M(LABEL) M(HEAL) M(FACT) M(CLAIM) O(REASON) R(CORRELATION_ID) R(NOW_BOOT_US) R(TIME_NS) O(PAUSED) \
                O(LOCKDOWN) O(BREAK_GLASS))                                                                  \
        ROW(VERDICT, CRITICAL, NO_FD, R(REQUEST_ID) R(DIGEST) R(VERDICT) R(CODE) O(DECISION_INDEX) O(WOULD) O(USE_BY_US) \
                O(APPROVAL_ID) O(EXPIRES_NS) R(POLICY_REVISION) M(RULE) M(NEED) M(OBLIGATION) O(REASON))     \
        /* the deciding vote is durable at INDEX; facts of this moment, as in DECIDE */                      \
        ROW(APPROVAL_ANSWERED, CRITICAL, NO_FD, R(APPROVAL_ID) R(REQUEST_ID) R(DIGEST) R(INDEX) R(STATE) R(MODE) R(NOW_BOOT_US) \
                R(TIME_NS) M(FACT) O(PAUSED) O(LOCKDOWN) O(BREAK_GLASS))                                     \
        ROW(APPROVAL_PENDING, CRITICAL, NO_FD, R(APPROVAL_ID) R(REQUEST_ID) R(DIGEST) R(DECISION_INDEX) R(ACTOR) R(ACTOR_KIND) \
                R(ACTION) R(TARGET) R(BOOT_ID) R(PID) R(START_TIME) O(INCIDENT) M(ARG) M(NEED) M(RULE) R(CORRELATION_ID) \
                O(REASON) R(TIME_NS) R(EXPIRES_NS) R(POLICY_REVISION) R(STATE))                              \
        ROW(POLICY_STATE, CONTROL, NO_FD, R(POLICY_REVISION) R(RULES_COUNT) O(STATE) M(ISSUE))               \
        /* ---- proposers */                                                                                 \
        ROW(PROPOSE, CRITICAL, NO_FD, R(REQ) R(ACTION) R(TARGET) O(INCIDENT) M(ARG) M(CLAIM) O(CORRELATION_ID) O(REASON)) \
        ROW(PROPOSAL_RESULT, CRITICAL, NO_FD, R(REQ) R(CODE) O(MORE) O(REQUEST_ID) O(VERDICT) O(DECISION_INDEX) O(APPROVAL_ID) \
                O(INTENT_INDEX) O(ACTION_INDEX) O(OUTCOME) O(REASON) O(CORRELATION_ID))                      \
        ROW(UNITS, CONTROL, NO_FD, R(REQ))                                                                   \
        ROW(UNIT_INFO, CONTROL, NO_FD, R(REQ) R(UNIT) R(STATE) R(PID) R(START_TIME) R(BOOT_ID) R(PRIORITY_MILLI) R(CRITICAL) \
                R(CAN_FAIL) M(HEAL) M(LABEL) O(NOW_BOOT_US) O(INSTANCE))                                     \
        /* ---- mesh */                                                                                      \
        ROW(SUBSCRIBE, NORMAL, NO_FD, R(REQ) R(PATTERN))                                                     \
        ROW(PUBLISH, NORMAL, NO_FD, R(REQ) ENVELOPE_FIELDS)                                                  \
        ROW(EVENT, NORMAL, NO_FD, O(INDEX) ENVELOPE_FIELDS)                                                  \
        ROW(INVOKE, NORMAL, NO_FD, R(REQ) R(HANDLER) ENVELOPE_FIELDS)                                        \
        ROW(VALIDATE, NORMAL, NO_FD, R(REQ) ENVELOPE_FIELDS)                                                 \
        /* ---- persons and generic answers */                                                               \
        ROW(CALL, CONTROL, NO_FD, R(REQ) R(VERB) M(UNIT) M(ARG) O(REASON))                                   \
        ROW(RESULT, CONTROL, MAY_FD, R(REQ) R(STATUS) R(CODE) O(MESSAGE) O(MORE) O(INDEX) M(ISSUE))
