/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages of the wire (HACKING.md, "The wire"). One frame is
 *   u32 length | u8 version | u8 type | u8 flags | u8 lane | u32 sequence | u32 header_length | header | payload
 * little endian; length counts what follows it. The header is TLV: u16 tag | u16 length | bytes.
 * A message type is a row of the table in msg.c: its lane, and the tags it takes (required, repeated). The table drives
 * encoding, decoding, the check and the JSON form; a frame whose header does not fit its row is malformed.
 *
 * Who says what to whom:
 *
 *  Guardian -> chunk, fd 3
 *    HELLO            first frame: unit, instance, epoch, directories, secret, role of the set
 *    LINK +fd         a stream to a peer (chunk, person): unit, instance, epoch, peer_kind, [actor role uid], validated
 *    PEER             a linked peer's instance became validated, or is gone
 *    CHALLENGE        nonce; the chunk runs its self-test and answers
 *    HANDLER          to the mesh: a validated unit serves this handler
 *    BINDING          to the mesh: what a unit may publish and subscribe, its trust
 *    MESH_LISTEN +fd  to the mesh: a listening socket of one kernel
 *  chunk -> Guardian, fd 3
 *    READY, HEARTBEAT, CHALLENGE_REPLY(proof, handlers, issues)
 *       proof = SHA-256(secret || nonce || le64 instance || unit name || SHA-256 of the message table, msg_table_hash())
 *  any writer -> ledger:  ATTACH -> OPEN_INTENT* ATTACHED;  APPEND -> APPEND_ACK | APPEND_REFUSED;  QUERY -> RECORD* RESULT
 *  ledger -> Guardian:    LEDGER_HEAD (when changed, at most every 10 s)
 *  Guardian <-> governance: DECIDE -> VERDICT;  APPROVAL_ANSWERED -> VERDICT;  APPROVAL_PENDING* (at the gate's start), POLICY_STATE
 *  proposer -> Guardian:  PROPOSE -> PROPOSAL_RESULT (one or more, the last without MORE);  UNITS -> UNIT_INFO* RESULT
 *  mesh links:            SUBSCRIBE -> RESULT;  PUBLISH -> RESULT (after durable);  EVENT;  INVOKE -> RESULT;  VALIDATE -> RESULT
 *  persons (control socket, and links made by its verb `connect`):  CALL -> RESULT (MORE: a stream)
 */
#include "common/str.h"
#include "common/tags.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
        FRAME_VERSION = 1,
        FRAME_PREFIX = 16,          /* bytes before the header */
        FRAME_MAX = 256 * 1024,     /* length field, at most */
        FRAME_HEADER_MAX = 8 * 1024,
        FRAME_FIELDS_MAX = 64,
        FRAME_FLAG_FD = 1,          /* takes the next descriptor of the stream */
};
typedef enum Lane { LANE_CONTROL, LANE_CRITICAL, LANE_NORMAL, LANE_BULK, _LANE_MAX } Lane;

typedef enum Tag {
#define X(NAME, number, type, max, json) TAG_##NAME = number,
        TAG_TABLE(X)
#undef X
                _TAG_MAX = 144
} Tag;

typedef enum MsgType {
        MSG_HELLO = 1,
        MSG_LINK = 2,
        MSG_PEER = 3,
        MSG_CHALLENGE = 4,
        MSG_CHALLENGE_REPLY = 5,
        MSG_READY = 6,
        MSG_HEARTBEAT = 7,
        MSG_HANDLER = 8,
        MSG_BINDING = 9,
        MSG_MESH_LISTEN = 10,
        MSG_ATTACH = 16,
        MSG_ATTACHED = 17,
        MSG_OPEN_INTENT = 18,
        MSG_APPEND = 19,
        MSG_APPEND_ACK = 20,
        MSG_APPEND_REFUSED = 21,
        MSG_QUERY = 22,
        MSG_RECORD = 23,
        MSG_LEDGER_HEAD = 24,
        MSG_DECIDE = 32,
        MSG_VERDICT = 33,
        MSG_APPROVAL_ANSWERED = 34,
        MSG_APPROVAL_PENDING = 35,
        MSG_POLICY_STATE = 36,
        MSG_PROPOSE = 40,
        MSG_PROPOSAL_RESULT = 41,
        MSG_UNITS = 42,
        MSG_UNIT_INFO = 43,
        MSG_SUBSCRIBE = 48,
        MSG_PUBLISH = 49,
        MSG_EVENT = 50,
        MSG_INVOKE = 51,
        MSG_VALIDATE = 52,
        MSG_CALL = 64,
        MSG_RESULT = 65,
        _MSG_TYPE_MAX = 66
} MsgType;

typedef enum TagType { TAG_TYPE_NONE, TAG_TYPE_U64, TAG_TYPE_BOOL, TAG_TYPE_STR, TAG_TYPE_BYTES } TagType;
typedef struct TagInfo {
        const char *name; /* "REQUEST_ID" */
        const char *json; /* "request_id" */
        TagType type;
        uint16_t max;
} TagInfo;
const TagInfo *tag_info(unsigned tag);          /* NULL: unknown */
const char *msg_type_name(unsigned type);       /* "APPEND_ACK"; NULL: unknown */
Lane msg_type_lane(MsgType type);               /* the default; PUBLISH, EVENT and INVOKE take theirs from PRIORITY */
bool msg_type_has_fd(MsgType type);             /* the frame must carry the FD flag, others must not; RESULT may */
/* SHA-256 over the text form of the table: two programs that disagree about the wire fail the challenge. */
void msg_table_hash(uint8_t ret[32]);

/* ---- reading. A Msg is a view: it lives as long as the frame it was decoded from. */
typedef struct Msg {
        MsgType type;
        uint8_t flags, lane;
        uint32_t sequence;
        Str header;  /* TLV bytes, checked against the table */
        Str payload;
        int fd;      /* -1, or a descriptor that the receiver owns: take it with msg_take_fd() or it is closed */
} Msg;

/* Checks the header against the table. 0, or -EBADMSG with *why (may be NULL; cap bytes) naming field and rule. */
int msg_check(MsgType type, Str header, char *why, size_t cap);
/* Decodes one frame from the front of buf. 0 and *used; 1: more bytes needed; -EBADMSG with *why. Takes no descriptor. */
int msg_decode(const uint8_t *buf, size_t n, Msg *ret, size_t *used, char *why, size_t cap);

bool msg_has(const Msg *m, Tag t);
uint64_t msg_u64(const Msg *m, Tag t, uint64_t otherwise);
bool msg_bool(const Msg *m, Tag t, bool otherwise);
Str msg_str(const Msg *m, Tag t);               /* {NULL, 0} when absent; first of a repeated one */
const uint8_t *msg_bytes(const Msg *m, Tag t);  /* NULL when absent */
/* Walks a repeated field: size_t pos = 0; while (msg_next_str(m, TAG_ARG, &pos, &s)) ... */
bool msg_next_str(const Msg *m, Tag t, size_t *pos, Str *ret);
/* Value of the first ARG (or FACT ...) "key=..."; {NULL,0} when absent. */
Str msg_arg(const Msg *m, Tag t, const char *key);
int msg_take_fd(Msg *m);                        /* -1 when there is none */
/* The header as a JSON object, keys in byte order (log and debugging). */
struct JsonWriter;
void msg_to_json(const Msg *m, struct JsonWriter *w);

/* ---- writing: a builder on the stack. The first error sticks (field too long, over 64 fields or 8 KiB, wrong type). */
typedef struct MsgBuilder {
        MsgType type;
        int error;
        uint8_t lane, flags;
        uint16_t len;
        uint16_t fields;
        uint8_t header[FRAME_HEADER_MAX];
} MsgBuilder;

void msg_begin(MsgBuilder *b, MsgType type);
void msg_put_u64(MsgBuilder *b, Tag t, uint64_t v);
void msg_put_bool(MsgBuilder *b, Tag t, bool v);
void msg_put_str(MsgBuilder *b, Tag t, Str s);           /* absent (NULL) adds nothing; too long: -EMSGSIZE */
void msg_put_cstr(MsgBuilder *b, Tag t, const char *s);  /* likewise */
void msg_put_text(MsgBuilder *b, Tag t, const char *s);  /* for people: cut to the limit at a UTF-8 boundary */
void msg_put_bytes(MsgBuilder *b, Tag t, const void *p); /* exactly the table's length; NULL adds nothing */
void msg_putf(MsgBuilder *b, Tag t, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void msg_copy(MsgBuilder *b, const Msg *from, Tag t);    /* every occurrence, if any */
/* The message as its receiver will see it, without a stream (simulator, tests): 0, the sticky error, or -EBADMSG. */
int msg_view(const MsgBuilder *b, Str payload, Msg *ret);
/* Appends the finished frame. 0, the sticky error, -EBADMSG when a required field is missing, -EMSGSIZE, -ENOBUFS. */
struct Buf;
int msg_encode(const MsgBuilder *b, Str payload, uint32_t sequence, bool with_fd, struct Buf *out);
