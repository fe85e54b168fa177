/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Every header field of the wire: X(NAME, number, type, max bytes, json name). One number is one meaning in every message.
 * Numbers are promises: add, never reuse. Integers are 8 bytes little endian, booleans one byte 0/1, STR is UTF-8 without
 * NUL, BYTES is exactly `max` bytes.
 */
#define TAG_TABLE(X)                                                                                         \
        /* ---- general */                                                                                   \
        X(REQ, 1, U64, 8, "req")                       /* chosen by the asker, echoed by the answer */       \
        X(UNIT, 2, STR, 128, "unit")                                                                         \
        X(INSTANCE, 3, U64, 8, "instance")             /* n-th start of the unit in this run of Guardian */  \
        X(EPOCH, 4, U64, 8, "epoch")                   /* writer epoch, fits u32 */                          \
        X(CODE, 5, STR, 64, "code")                    /* stable code: "ok", "E.TIMEOUT", ... */             \
        X(MESSAGE, 6, STR, 1024, "message")            /* for people */                                      \
        X(STATUS, 7, U64, 8, "status")                 /* exit status for guardianctl, 0 = done */           \
        X(MORE, 8, BOOL, 1, "more")                    /* further frames answer the same REQ */              \
        X(VERB, 9, STR, 64, "verb")                                                                          \
        X(ARG, 10, STR, 1024, "arg")                   /* "key=value", repeated */                           \
        X(PATTERN, 11, STR, 256, "pattern")                                                                  \
        X(ROLE, 12, STR, 16, "role")                   /* observer operator admin */                         \
        X(UID, 13, U64, 8, "uid")                                                                            \
        X(PID, 14, U64, 8, "pid")                                                                            \
        X(BOOT_ID, 15, BYTES, 16, "boot_id")                                                                 \
        X(START_TIME, 16, U64, 8, "start_time")        /* /proc/PID/stat field 22, clock ticks */            \
        X(NONCE, 17, BYTES, 32, "nonce")                                                                     \
        X(PROOF, 18, BYTES, 32, "proof")                                                                     \
        X(HANDLER, 19, STR, 128, "handler")            /* "avn_core.escalate_healing", repeated */           \
        X(ISSUE, 20, STR, 512, "issue")                /* repeated */                                        \
        X(STATE_DIR, 21, STR, 1024, "state_dir")       /* private to the chunk */                            \
        X(POLICY_DIR, 22, STR, 1024, "policy_dir")     /* repeated, lowest priority first */                 \
        X(SECRET, 23, BYTES, 32, "secret")             /* of this instance, for the challenge's proof */     \
        X(WATCHDOG_US, 24, U64, 8, "watchdog_us")                                                            \
        X(PEER_KIND, 25, STR, 16, "peer_kind")         /* chunk person unit supervisor */                    \
        X(ACTOR, 26, STR, 160, "actor")                /* unit name or uid:N */                              \
        X(ACTOR_KIND, 27, STR, 16, "actor_kind")       /* person unit supervisor */                          \
        X(VALIDATED, 28, BOOL, 1, "validated")                                                               \
        X(LEDGER_KEY, 29, STR, 1024, "ledger_key")     /* path given with --ledger-key */                    \
        X(TIME_NS, 30, U64, 8, "time")                 /* wall, unix ns */                                   \
        X(NOW_BOOT_US, 31, U64, 8, "now_boot_us")                                                            \
        X(REASON, 32, STR, 512, "reason")                                                                    \
        X(FD_COUNT, 33, U64, 8, "fd_count")                                                                  \
        /* ---- ledger */                                                                                    \
        X(SEQ, 40, U64, 8, "seq")                      /* writer_seq, from 1, +1 an append */                \
        X(KIND, 41, U64, 8, "kind")                    /* RecordKind */                                      \
        X(REQUEST_ID, 42, BYTES, 16, "request_id")                                                           \
        X(DIGEST, 43, BYTES, 32, "digest")                                                                   \
        X(REF, 44, U64, 8, "ref")                      /* index of the record this one answers */            \
        X(VERDICT_BITS, 45, U64, 8, "verdict_bits")    /* VERDICT_BIT_* */                                   \
        X(ACTION, 46, STR, 64, "action")                                                                     \
        X(RESOURCE, 47, STR, 160, "resource")                                                                \
        X(SUBSYSTEM, 48, STR, 64, "subsystem")                                                               \
        X(CORRELATION_ID, 49, STR, 80, "correlation_id")                                                     \
        X(RESULT, 50, STR, 64, "result")                                                                     \
        X(INDEX, 51, U64, 8, "index")                                                                        \
        X(HASH, 52, BYTES, 32, "hash")                 /* leaf hash */                                       \
        X(SIZE, 53, U64, 8, "size")                                                                          \
        X(SIGNED_SIZE, 54, U64, 8, "signed_size")                                                            \
        X(ROOT, 55, BYTES, 32, "root")                                                                       \
        X(LEDGER_STATE, 56, STR, 16, "ledger_state")   /* ready failed */                                    \
        X(NOTE, 57, STR, 2048, "note")                 /* C2SP signed note */                                \
        X(FROM, 58, U64, 8, "from")                                                                          \
        X(LIMIT, 59, U64, 8, "limit")                                                                        \
        X(SINCE_NS, 60, U64, 8, "since")                                                                     \
        X(UNTIL_NS, 61, U64, 8, "until")                                                                     \
        X(WRITER, 62, STR, 128, "writer")                                                                    \
        X(OPEN, 63, BOOL, 1, "open")                   /* QUERY: intents without an action only */           \
        X(PREV, 64, BYTES, 32, "prev")                                                                       \
        X(KINDS, 65, U64, 8, "kinds")                  /* bit mask 1 << RecordKind */                        \
        /* ---- governance */                                                                                \
        X(VERDICT, 70, U64, 8, "verdict")              /* Verdict */                                         \
        X(WOULD, 71, U64, 8, "would")                  /* Verdict in mode enforce, if different */           \
        X(MODE, 72, STR, 24, "mode")                                                                         \
        X(PURPOSE, 73, STR, 16, "purpose")             /* act check */                                       \
        X(USE_BY_US, 74, U64, 8, "use_by")             /* boot time, us */                                   \
        X(APPROVAL_ID, 75, STR, 48, "approval_id")                                                           \
        X(POLICY_REVISION, 76, STR, 80, "policy_revision")                                                   \
        X(RULE, 77, STR, 256, "rule")                  /* "id|effect|tier", repeated */                      \
        X(NEED, 78, STR, 64, "need")                   /* "operator:1", repeated */                          \
        X(EXPIRES_NS, 79, U64, 8, "expires")           /* wall */                                            \
        X(OBLIGATION, 80, STR, 256, "obligation")      /* repeated */                                        \
        X(INCIDENT, 81, U64, 8, "incident")            /* ledger index of the incident record */             \
        X(FACT, 82, STR, 256, "fact")                  /* typed "name=i:12" "name=s:x" "name=b:1", repeated */ \
        X(CLAIM, 83, STR, 256, "claim")                /* likewise, said by the proposer */                  \
        X(LABEL, 84, STR, 128, "label")                /* "k=v", repeated */                                 \
        X(PRIORITY_MILLI, 85, U64, 8, "priority_milli") /* unit priority x 1000 */                           \
        X(CRITICAL, 86, BOOL, 1, "critical")                                                                 \
        X(CAN_FAIL, 87, BOOL, 1, "can_fail")                                                                 \
        X(DECISION_INDEX, 88, U64, 8, "decision_index")                                                      \
        X(INTENT_INDEX, 89, U64, 8, "intent_index")                                                          \
        X(ACTION_INDEX, 90, U64, 8, "action_index")                                                          \
        X(OUTCOME, 91, STR, 16, "outcome")             /* ok failed unknown not_run */                       \
        X(TARGET, 92, STR, 128, "target")                                                                    \
        X(HEAL, 93, STR, 64, "heal")                   /* the target's Heal= entries, repeated */            \
        X(STATE, 94, STR, 32, "state")                                                                       \
        X(PAUSED, 95, BOOL, 1, "paused")                                                                     \
        X(LOCKDOWN, 96, BOOL, 1, "lockdown")                                                                 \
        X(RULES_COUNT, 97, U64, 8, "rules_count")                                                            \
        X(BREAK_GLASS, 98, BOOL, 1, "break_glass")                                                           \
        /* ---- mesh: the GME envelope (common/gme.h says which are required) */                             \
        X(MSG_ID, 110, STR, 64, "msg_id")                                                                    \
        X(GKIND, 111, STR, 16, "kind")                 /* event command query reply */                       \
        X(TYPE, 112, STR, 128, "type")                 /* dotted lower case */                               \
        X(VERSION, 113, STR, 32, "version")                                                                  \
        X(SOURCE, 114, STR, 160, "source")             /* written by the mesh from the pipe */               \
        X(SCHEMA_REF, 115, STR, 256, "schema_ref")                                                           \
        X(TRACEPARENT, 116, STR, 64, "traceparent")                                                          \
        X(TRACESTATE, 117, STR, 512, "tracestate")                                                           \
        X(PRIORITY, 118, STR, 2, "priority")           /* P0..P3 */                                          \
        X(QOS, 119, STR, 16, "qos")                    /* realtime standard bulk */                          \
        X(PARTITION_KEY, 120, STR, 128, "partition_key")                                                     \
        X(CAUSATION_ID, 121, STR, 80, "causation_id")                                                        \
        X(REPLY_TO, 122, STR, 128, "reply_to")                                                               \
        X(IDEMPOTENCY_KEY, 123, STR, 128, "idempotency_key")                                                 \
        X(HOP_COUNT, 124, U64, 8, "hop_count")                                                               \
        X(DEADLINE_MS, 125, U64, 8, "deadline_ms")                                                           \
        X(EXPIRES_AT, 126, STR, 40, "expires_at")                                                            \
        X(GOVERNANCE_LABEL, 127, STR, 16, "governance_label") /* public internal restricted */               \
        X(PII_FLAG, 128, STR, 64, "pii_flags")         /* repeated */                                        \
        X(CONSENT_SCOPE, 129, STR, 64, "consent_scope") /* repeated */                                       \
        X(RBAC, 130, STR, 64, "rbac")                  /* repeated */                                        \
        X(CHECKSUM, 131, STR, 80, "checksum")                                                                \
        X(SIGNATURE, 132, STR, 256, "signature")                                                             \
        X(PAYLOAD_REF, 133, STR, 512, "payload_ref")                                                         \
        X(REDELIVERY_COUNT, 134, U64, 8, "redelivery_count")                                                 \
        X(TS, 135, STR, 40, "ts")                      /* RFC 3339 */                                        \
        X(PUBLISHES, 140, STR, 256, "publishes")       /* pattern, repeated */                               \
        X(SUBSCRIBES, 141, STR, 256, "subscribes")     /* pattern, repeated */                               \
        X(TRUST, 142, U64, 8, "trust")                 /* hundredths */                                      \
        X(HELD, 143, BOOL, 1, "held")
