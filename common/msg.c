/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of tags.h and msg-table.h become three arrays; all else here walks them. A header is checked
 * once, by msg_decode() or msg_view(); the readers after it trust lengths and types.
 */
#include "common/msg.h"
#include "common/buf.h"
#include "common/gme.h"
#include "common/json-writer.h"
#include "common/msg-table.h"
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const TagInfo tags[_TAG_MAX] = {
#define X(NAME, number, type, max, json) [number] = {#NAME, json, TAG_TYPE_##type, max},
        TAG_TABLE(X)
#undef X
};

/* ---- what a message type takes: its mode by tag number */
enum { FIELD_NONE, FIELD_REQUIRED, FIELD_OPTIONAL, FIELD_REPEATED };
enum { ROW_NO_FD, ROW_FD, ROW_MAY_FD };

typedef struct Row {
        const char *name;
        uint8_t lane, fd, required;
} Row;

#define R(NAME)                  [TAG_##NAME] = FIELD_REQUIRED,
#define O(NAME)                  [TAG_##NAME] = FIELD_OPTIONAL,
#define M(NAME)                  [TAG_##NAME] = FIELD_REPEATED,
#define ROW(NAME, lane, fd, ...) [MSG_##NAME] = {[0] = FIELD_NONE, __VA_ARGS__},
static const uint8_t fields[_MSG_TYPE_MAX][_TAG_MAX] = {MESSAGE_TABLE(ROW)};
#undef R
#undef O
#undef M
#undef ROW

#define R(NAME) +1
#define O(NAME)
#define M(NAME)
#define ROW(NAME, lane, fd, ...) [MSG_##NAME] = {#NAME, LANE_##lane, ROW_##fd, 0 __VA_ARGS__},
static const Row rows[_MSG_TYPE_MAX] = {MESSAGE_TABLE(ROW)};
#undef R
#undef O
#undef M
#undef ROW

const TagInfo *tag_info(unsigned tag) {
        return tag < _TAG_MAX && tags[tag].name ? &tags[tag] : NULL;
}

static const Row *row_of(unsigned type) {
        return type < _MSG_TYPE_MAX && rows[type].name ? &rows[type] : NULL;
}

const char *msg_type_name(unsigned type) {
        const Row *row = row_of(type);

        return row ? row->name : NULL;
}

Lane msg_type_lane(MsgType type) {
        const Row *row = row_of(type);

        return row ? (Lane)row->lane : LANE_NORMAL;
}

bool msg_type_has_fd(MsgType type) {
        const Row *row = row_of(type);

        return row && row->fd == ROW_FD;
}

static bool fd_fits(const Row *row, bool with_fd) {
        return row->fd == ROW_MAY_FD || (row->fd == ROW_FD) == with_fd;
}

static void hash_text(crypto_hash_sha256_state *h, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
static void hash_text(crypto_hash_sha256_state *h, const char *fmt, ...) {
        char line[160];
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        if (n > 0)
                crypto_hash_sha256_update(h, (const uint8_t *)line, (size_t)n);
}

void msg_table_hash(uint8_t ret[32]) {
        static const char *const types[] = {"none", "u64", "bool", "str", "bytes"};
        crypto_hash_sha256_state h;

        crypto_hash_sha256_init(&h);
        hash_text(&h, "wire %d\n", FRAME_VERSION);
        for (unsigned t = 0; t < _TAG_MAX; t++)
                if (tags[t].name)
                        hash_text(&h, "tag %u %s %s %u %s\n", t, tags[t].name, types[tags[t].type],
                                tags[t].max, tags[t].json);
        for (unsigned m = 0; m < _MSG_TYPE_MAX; m++) {
                if (!rows[m].name)
                        continue;
                hash_text(&h, "message %u %s lane %u fd %u\n", m, rows[m].name, rows[m].lane, rows[m].fd);
                for (unsigned t = 0; t < _TAG_MAX; t++)
                        if (fields[m][t])
                                hash_text(&h, " %u%c\n", t, "-rom"[fields[m][t]]);
        }
        crypto_hash_sha256_final(&h, ret);
}

/* ---- little endian */
static uint32_t load(const void *p, unsigned bytes) {
        const uint8_t *b = p;
        uint32_t v = 0;

        for (unsigned i = 0; i < bytes; i++)
                v |= (uint32_t)b[i] << (8 * i);
        return v;
}

static uint64_t load64(const void *p) {
        return load(p, 4) | (uint64_t)load((const uint8_t *)p + 4, 4) << 32;
}

static void store(uint8_t *p, uint64_t v, unsigned bytes) {
        for (unsigned i = 0; i < bytes; i++)
                p[i] = (uint8_t)(v >> (8 * i));
}

/* ---- checking */
static int bad(char *why, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int bad(char *why, size_t cap, const char *fmt, ...) {
        va_list ap;

        if (why && cap > 0) {
                va_start(ap, fmt);
                vsnprintf(why, cap, fmt, ap);
                va_end(ap);
        }
        return -EBADMSG;
}

static const char *value_fault(const TagInfo *info, const char *p, size_t n) {
        switch (info->type) {
        case TAG_TYPE_U64:
                return n == 8 ? NULL : "must be 8 bytes";
        case TAG_TYPE_BOOL:
                return n == 1 && (*p == 0 || *p == 1) ? NULL : "must be one byte 0 or 1";
        case TAG_TYPE_BYTES:
                return n == info->max ? NULL : "has the wrong length";
        case TAG_TYPE_STR:
                if (n > info->max)
                        return "is too long";
                if (memchr(p, 0, n))
                        return "holds a zero byte";
                return str_utf8_valid((Str){p, n}) ? NULL : "is not UTF-8";
        case TAG_TYPE_NONE:
                break;
        }
        return "has no type";
}

static int check_field(MsgType type, unsigned tag, Str v, bool seen, char *why, size_t cap) {
        const TagInfo *info = tag_info(tag);
        const char *fault;

        if (!info)
                return bad(why, cap, "unknown tag %u", tag);
        if (fields[type][tag] == FIELD_NONE)
                return bad(why, cap, "%s takes no %s", rows[type].name, info->name);
        if (seen && fields[type][tag] != FIELD_REPEATED)
                return bad(why, cap, "%s: %s is given twice", rows[type].name, info->name);
        fault = value_fault(info, v.p, v.n);
        return fault ? bad(why, cap, "%s: %s %s", rows[type].name, info->name, fault) : 0;
}

int msg_check(MsgType type, Str header, char *why, size_t cap) {
        const Row *row = row_of(type);
        bool seen[_TAG_MAX] = {0};
        unsigned required = 0, count = 0;
        size_t at = 0;

        if (!row)
                return bad(why, cap, "unknown message type %u", (unsigned)type);
        if (header.n > FRAME_HEADER_MAX)
                return bad(why, cap, "%s: header of %zu bytes", row->name, header.n);
        while (at < header.n) {
                unsigned tag, len;
                int r;

                if (header.n - at < 4)
                        return bad(why, cap, "%s: field cut short", row->name);
                tag = load(header.p + at, 2);
                len = load(header.p + at + 2, 2);
                at += 4;
                if (len > header.n - at)
                        return bad(why, cap, "%s: field %u is longer than the header", row->name, tag);
                if (++count > FRAME_FIELDS_MAX)
                        return bad(why, cap, "%s: more than %d fields", row->name, FRAME_FIELDS_MAX);
                r = check_field(type, tag, (Str){header.p + at, len}, tag < _TAG_MAX && seen[tag], why, cap);
                if (r < 0)
                        return r;
                required += fields[type][tag] == FIELD_REQUIRED;
                seen[tag] = true;
                at += len;
        }
        if (required == row->required)
                return 0;
        for (unsigned t = 0; t < _TAG_MAX; t++)
                if (fields[type][t] == FIELD_REQUIRED && !seen[t])
                        return bad(why, cap, "%s: %s is missing", row->name, tags[t].name);
        return bad(why, cap, "%s: a required field is missing", row->name);
}

static int check_prefix(const uint8_t *p, uint32_t length, char *why, size_t cap) {
        const Row *row = row_of(p[5]);
        uint32_t header = load(p + 12, 4);

        if (p[4] != FRAME_VERSION)
                return bad(why, cap, "version %u", p[4]);
        if (!row)
                return bad(why, cap, "unknown message type %u", p[5]);
        if (p[6] & ~FRAME_FLAG_FD)
                return bad(why, cap, "%s: unknown flags %#x", row->name, p[6]);
        if (!fd_fits(row, p[6] & FRAME_FLAG_FD))
                return bad(why, cap, "%s: %s descriptor flag", row->name, p[6] ? "surplus" : "missing");
        if (p[7] >= _LANE_MAX)
                return bad(why, cap, "%s: lane %u", row->name, p[7]);
        if (header > FRAME_HEADER_MAX || header > length - (FRAME_PREFIX - 4))
                return bad(why, cap, "%s: header length %" PRIu32, row->name, header);
        return 0;
}

int msg_decode(const uint8_t *buf, size_t n, Msg *ret, size_t *used, char *why, size_t cap) {
        uint32_t length, header;
        int r;

        if (n < 4)
                return 1;
        length = load(buf, 4);
        if (length < FRAME_PREFIX - 4 || length > FRAME_MAX)
                return bad(why, cap, "frame length %" PRIu32, length);
        if (n < FRAME_PREFIX)
                return 1;
        r = check_prefix(buf, length, why, cap);
        if (r < 0)
                return r;
        if (n - 4 < length)
                return 1;
        header = load(buf + 12, 4);
        *ret = (Msg){
                .type = (MsgType)buf[5],
                .flags = buf[6],
                .lane = buf[7],
                .sequence = load(buf + 8, 4),
                .header = {(const char *)buf + FRAME_PREFIX, header},
                .payload = {(const char *)buf + FRAME_PREFIX + header, length - (FRAME_PREFIX - 4) - header},
                .fd = -1,
        };
        r = msg_check(ret->type, ret->header, why, cap);
        if (r < 0)
                return r;
        *used = 4 + (size_t)length;
        return 0;
}

/* ---- reading. Stops at anything odd, so that even an unchecked header can't lead outside itself. */
static bool next_field(Str header, size_t *pos, unsigned *tag, Str *v) {
        size_t len;

        if (*pos > header.n || header.n - *pos < 4)
                return false;
        *tag = load(header.p + *pos, 2);
        len = load(header.p + *pos + 2, 2);
        if (len > header.n - *pos - 4)
                return false;
        *v = (Str){header.p + *pos + 4, len};
        *pos += 4 + len;
        return true;
}

bool msg_next_str(const Msg *m, Tag t, size_t *pos, Str *ret) {
        unsigned tag;

        while (next_field(m->header, pos, &tag, ret))
                if (tag == t)
                        return true;
        *ret = (Str){0};
        return false;
}

Str msg_str(const Msg *m, Tag t) {
        size_t pos = 0;
        Str v;

        msg_next_str(m, t, &pos, &v);
        return v;
}

bool msg_has(const Msg *m, Tag t) {
        return msg_str(m, t).p != NULL;
}

uint64_t msg_u64(const Msg *m, Tag t, uint64_t otherwise) {
        Str v = msg_str(m, t);

        return v.p && v.n == 8 ? load64(v.p) : otherwise;
}

bool msg_bool(const Msg *m, Tag t, bool otherwise) {
        Str v = msg_str(m, t);

        return v.p && v.n == 1 ? *v.p != 0 : otherwise;
}

const uint8_t *msg_bytes(const Msg *m, Tag t) {
        const TagInfo *info = tag_info(t);
        Str v = msg_str(m, t);

        return info && v.p && v.n == info->max ? (const uint8_t *)v.p : NULL;
}

Str msg_arg(const Msg *m, Tag t, const char *key) {
        size_t pos = 0;
        Str s, k, v;

        while (msg_next_str(m, t, &pos, &s))
                if (str_split(s, '=', &k, &v) && str_eq(k, key))
                        return v;
        return (Str){0};
}

int msg_take_fd(Msg *m) {
        int fd = m->fd;

        m->fd = -1;
        return fd;
}

static void value_to_json(JsonWriter *w, const TagInfo *info, Str v) {
        char number[24];
        uint64_t u;

        switch (info->type) {
        case TAG_TYPE_U64:
                u = load64(v.p);
                if (u <= UINT64_C(1) << 53) {
                        json_u64(w, u);
                        break;
                }
                snprintf(number, sizeof(number), "%" PRIu64, u);
                json_cstr(w, number);
                break;
        case TAG_TYPE_BOOL:
                json_bool(w, *v.p != 0);
                break;
        case TAG_TYPE_STR:
                json_str(w, v);
                break;
        case TAG_TYPE_BYTES:
                json_hex(w, v.p, v.n);
                break;
        case TAG_TYPE_NONE:
                break;
        }
}

/* The tag whose JSON name follows `after` in byte order among those present; 0: none. */
static unsigned next_by_name(const Msg *m, const char *after) {
        unsigned best = 0, tag;
        size_t pos = 0;
        Str v;

        while (next_field(m->header, &pos, &tag, &v)) {
                const TagInfo *info = tag_info(tag);

                if (info && (!after || strcmp(info->json, after) > 0) &&
                        (!best || strcmp(info->json, tags[best].json) < 0))
                        best = tag;
        }
        return best;
}

void msg_to_json(const Msg *m, JsonWriter *w) {
        unsigned tag = 0;

        json_object_begin(w);
        while ((tag = next_by_name(m, tag ? tags[tag].json : NULL)) != 0) {
                bool repeated = fields[m->type][tag] == FIELD_REPEATED;
                size_t pos = 0;
                Str v;

                json_key(w, tags[tag].json);
                if (repeated)
                        json_array_begin(w);
                while (msg_next_str(m, (Tag)tag, &pos, &v)) {
                        value_to_json(w, &tags[tag], v);
                        if (!repeated)
                                break;
                }
                if (repeated)
                        json_array_end(w);
        }
        json_object_end(w);
}

/* ---- writing */
void msg_begin(MsgBuilder *b, MsgType type) {
        /* not the whole struct: 8 KiB of zeroes a message would be the dearest part of it */
        b->type = type;
        b->error = row_of(type) ? 0 : -EINVAL;
        b->lane = (uint8_t)msg_type_lane(type);
        b->flags = msg_type_has_fd(type) ? FRAME_FLAG_FD : 0;
        b->len = 0;
        b->fields = 0;
}

static void put_field(MsgBuilder *b, Tag t, TagType type, const void *p, size_t n) {
        const TagInfo *info = tag_info(t);

        if (b->error)
                return;
        if (!row_of(b->type) || !info || info->type != type || !fields[b->type][t])
                b->error = -EINVAL;
        else if (n > info->max || b->fields >= FRAME_FIELDS_MAX || b->len + 4 + n > FRAME_HEADER_MAX)
                b->error = -EMSGSIZE;
        else {
                store(b->header + b->len, t, 2);
                store(b->header + b->len + 2, n, 2);
                if (n > 0)
                        memcpy(b->header + b->len + 4, p, n);
                b->len = (uint16_t)(b->len + 4 + n);
                b->fields++;
        }
}

void msg_put_u64(MsgBuilder *b, Tag t, uint64_t v) {
        uint8_t le[8];

        store(le, v, 8);
        put_field(b, t, TAG_TYPE_U64, le, 8);
}

void msg_put_bool(MsgBuilder *b, Tag t, bool v) {
        uint8_t byte = v;

        put_field(b, t, TAG_TYPE_BOOL, &byte, 1);
}

static bool lane_by_priority(MsgType type) {
        return type == MSG_PUBLISH || type == MSG_EVENT || type == MSG_INVOKE;
}

void msg_put_str(MsgBuilder *b, Tag t, Str s) {
        if (!s.p)
                return;
        put_field(b, t, TAG_TYPE_STR, s.p, s.n);
        if (t == TAG_PRIORITY && lane_by_priority(b->type))
                b->lane = (uint8_t)gme_lane(s);
}

void msg_put_cstr(MsgBuilder *b, Tag t, const char *s) {
        msg_put_str(b, t, str_of(s));
}

void msg_put_text(MsgBuilder *b, Tag t, const char *s) {
        const TagInfo *info = tag_info(t);
        char text[2048];
        size_t max = info && info->max < sizeof(text) ? info->max : sizeof(text), out = 0;
        Str rest = str_of(s);

        if (!s)
                return;
        while (rest.n > 0) {
                size_t step = str_utf8_step(rest), n = step ? step : 1;

                if (out + n > max)
                        break;
                if (step)
                        memcpy(text + out, rest.p, n);
                else
                        text[out] = '?';
                out += n;
                rest.p += n;
                rest.n -= n;
        }
        msg_put_str(b, t, (Str){text, out});
}

void msg_put_bytes(MsgBuilder *b, Tag t, const void *p) {
        const TagInfo *info = tag_info(t);

        if (p)
                put_field(b, t, TAG_TYPE_BYTES, p, info ? info->max : 0);
}

void msg_putf(MsgBuilder *b, Tag t, const char *fmt, ...) {
        char text[2049];
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        if (n < 0 || (size_t)n >= sizeof(text)) {
                if (!b->error)
                        b->error = -EMSGSIZE;
                return;
        }
        msg_put_str(b, t, (Str){text, (size_t)n});
}

void msg_copy(MsgBuilder *b, const Msg *from, Tag t) {
        const TagInfo *info = tag_info(t);
        size_t pos = 0;
        Str v;

        while (info && msg_next_str(from, t, &pos, &v)) {
                if (info->type == TAG_TYPE_STR)
                        msg_put_str(b, t, v);
                else
                        put_field(b, t, info->type, v.p, v.n);
        }
}

static int finish(const MsgBuilder *b, Str payload) {
        int r = b->error;

        if (r == 0 && payload.n > (size_t)FRAME_MAX - (FRAME_PREFIX - 4) - b->len)
                r = -EMSGSIZE;
        return r ? r : msg_check(b->type, (Str){(const char *)b->header, b->len}, NULL, 0);
}

int msg_view(const MsgBuilder *b, Str payload, Msg *ret) {
        int r = finish(b, payload);

        if (r < 0)
                return r;
        *ret = (Msg){
                .type = b->type,
                .flags = b->flags,
                .lane = b->lane,
                .header = {(const char *)b->header, b->len},
                .payload = payload,
                .fd = -1,
        };
        return 0;
}

int msg_encode(const MsgBuilder *b, Str payload, uint32_t sequence, bool with_fd, Buf *out) {
        uint8_t prefix[FRAME_PREFIX];
        int r = finish(b, payload);

        if (r < 0)
                return r;
        if (!fd_fits(&rows[b->type], with_fd))
                return -EBADF;
        r = buf_reserve(out, sizeof(prefix) + b->len + payload.n);
        if (r < 0)
                return r;
        store(prefix, FRAME_PREFIX - 4 + b->len + payload.n, 4);
        prefix[4] = FRAME_VERSION;
        prefix[5] = (uint8_t)b->type;
        prefix[6] = with_fd ? FRAME_FLAG_FD : 0;
        prefix[7] = b->lane;
        store(prefix + 8, sequence, 4);
        store(prefix + 12, b->len, 4);
        buf_append(out, prefix, sizeof(prefix));
        buf_append(out, b->header, b->len);
        return buf_append(out, payload.p, payload.n);
}
