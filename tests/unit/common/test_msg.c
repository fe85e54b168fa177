/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"
#include "common/json-writer.h"
#include "common/msg.h"
#include "suite.h"
#include <errno.h>
#include <unistd.h>

static void build_call(MsgBuilder *b) {
        msg_begin(b, MSG_CALL);
        msg_put_u64(b, TAG_REQ, 0x0102030405060708u);
        msg_put_cstr(b, TAG_VERB, "status");
        msg_put_cstr(b, TAG_ARG, "a=1");
        msg_put_cstr(b, TAG_ARG, "b=x=y");
        msg_put_cstr(b, TAG_ARG, "flag");
}

static void expect_bad(MsgType type, const void *header, size_t n, const char *want) {
        char why[160] = "";

        ck_assert_int_eq(msg_check(type, (Str){header, n}, why, sizeof(why)), -EBADMSG);
        ck_assert_str_eq(why, want);
}

START_TEST(frame_bytes_are_as_documented) {
        static const uint8_t want[] = {0x21, 0, 0, 0, 1, 64, 0, 0, 9, 0, 0, 0, 0x13, 0, 0, 0, /* prefix */
                1, 0, 8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 0, 'g', 'e', 't', '{', '}'};
        Buf out = BUF_INIT(4096);
        MsgBuilder b;

        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, 5);
        msg_put_cstr(&b, TAG_VERB, "get");
        ck_assert_int_eq(msg_encode(&b, STR_LIT("{}"), 9, false, &out), 0);
        ck_assert_uint_eq(out.len, sizeof(want));
        ck_assert_mem_eq(out.data, want, sizeof(want));
        buf_done(&out);
}
END_TEST

START_TEST(round_trip) {
        Buf out = BUF_INIT(4096);
        size_t used = 0, pos = 0;
        MsgBuilder b;
        Msg m;
        Str s;

        build_call(&b);
        ck_assert_int_eq(msg_encode(&b, STR_LIT("payload"), 3, false, &out), 0);
        for (size_t cut = 0; cut < out.len; cut++)
                ck_assert_int_eq(msg_decode(out.data, cut, &m, &used, NULL, 0), 1);
        ck_assert_int_eq(msg_decode(out.data, out.len, &m, &used, NULL, 0), 0);
        ck_assert_uint_eq(used, out.len);
        ck_assert_int_eq(m.type, MSG_CALL);
        ck_assert_uint_eq(m.sequence, 3);
        ck_assert_int_eq(m.fd, -1);
        ck_assert_uint_eq(msg_u64(&m, TAG_REQ, 0), 0x0102030405060708u);
        ck_assert(str_eq(msg_str(&m, TAG_VERB), "status"));
        ck_assert(str_eq(m.payload, "payload"));
        ck_assert(msg_next_str(&m, TAG_ARG, &pos, &s) && str_eq(s, "a=1"));
        ck_assert(msg_next_str(&m, TAG_ARG, &pos, &s) && str_eq(s, "b=x=y"));
        ck_assert(msg_next_str(&m, TAG_ARG, &pos, &s) && str_eq(s, "flag"));
        ck_assert(!msg_next_str(&m, TAG_ARG, &pos, &s));
        ck_assert(str_eq(msg_arg(&m, TAG_ARG, "b"), "x=y"));
        ck_assert_ptr_null(msg_arg(&m, TAG_ARG, "flag").p);
        ck_assert(!msg_has(&m, TAG_REASON));
        ck_assert_uint_eq(msg_u64(&m, TAG_INDEX, 77), 77);
        ck_assert_ptr_null(msg_bytes(&m, TAG_HASH));
        buf_done(&out);
}
END_TEST

START_TEST(header_rules) {
        static const char call[] = "\x01\0\x08\0AAAAAAAA\x09\0\x01\0v";
        static const char peer[] = "\x02\0\x01\0u\x03\0\x08\0AAAAAAAA\x1c\0\x01\0";
        char bytes[64];
        size_t n = sizeof(call) - 1;

        ck_assert_int_eq(msg_check(MSG_CALL, (Str){call, n}, NULL, 0), 0);
        expect_bad(MSG_CALL, call, 12, "CALL: VERB is missing");
        expect_bad(MSG_CALL, call, n - 1, "CALL: field 9 is longer than the header");
        expect_bad(MSG_CALL, call, 14, "CALL: field cut short");
        expect_bad((MsgType)15, call, n, "unknown message type 15");
        expect_bad((MsgType)4000, call, n, "unknown message type 4000");
        expect_bad(MSG_READY, call, n, "READY takes no REQ");
        memcpy(bytes, call, n);
        memcpy(bytes + n, "\x09\0\x01\0w", 5);
        expect_bad(MSG_CALL, bytes, n + 5, "CALL: VERB is given twice");
        memcpy(bytes + n, "\xe7\x03\0\0", 4);
        expect_bad(MSG_CALL, bytes, n + 4, "unknown tag 999");
        memcpy(bytes + n, "\x0a\0\x02\0\xc3\x28", 6);
        expect_bad(MSG_CALL, bytes, n + 6, "CALL: ARG is not UTF-8");
        memcpy(bytes + n, "\x0a\0\x01\0\0", 5);
        expect_bad(MSG_CALL, bytes, n + 5, "CALL: ARG holds a zero byte");
        memcpy(bytes + n, "\x01\0\x04\0AAAA", 8);
        expect_bad(MSG_CALL, bytes + n, 8, "CALL: REQ must be 8 bytes");
        memcpy(bytes, peer, sizeof(peer) - 1);
        bytes[sizeof(peer) - 1] = 1;
        ck_assert_int_eq(msg_check(MSG_PEER, (Str){bytes, sizeof(peer)}, NULL, 0), 0);
        bytes[sizeof(peer) - 1] = 2;
        expect_bad(MSG_PEER, bytes, sizeof(peer), "PEER: VALIDATED must be one byte 0 or 1");
        expect_bad(MSG_CHALLENGE, "\x11\0\x01\0x", 5, "CHALLENGE: NONCE has the wrong length");
}
END_TEST

START_TEST(too_many_fields) {
        MsgBuilder b;
        uint8_t header[65 * 4];
        Msg m;

        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_VERB, "v");
        for (int i = 0; i < FRAME_FIELDS_MAX - 2; i++)
                msg_put_cstr(&b, TAG_ARG, "");
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), 0);
        msg_put_cstr(&b, TAG_ARG, "");
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), -EMSGSIZE);
        for (size_t i = 0; i < sizeof(header); i += 4)
                memcpy(header + i, "\x0a\0\0\0", 4);
        expect_bad(MSG_CALL, header, sizeof(header), "CALL: more than 64 fields");
}
END_TEST

static void expect_prefix(uint8_t *frame, size_t n, size_t at, uint8_t value, const char *want) {
        uint8_t saved = frame[at];
        char why[160] = "";
        size_t used;
        Msg m;

        frame[at] = value;
        ck_assert_int_eq(msg_decode(frame, n, &m, &used, why, sizeof(why)), -EBADMSG);
        ck_assert_str_eq(why, want);
        frame[at] = saved;
}

START_TEST(prefix_rules) {
        Buf out = BUF_INIT(4096);
        MsgBuilder b;

        build_call(&b);
        ck_assert_int_eq(msg_encode(&b, (Str){0}, 1, false, &out), 0);
        expect_prefix(out.data, out.len, 3, 1, "frame length 16777274");
        expect_prefix(out.data, out.len, 0, 11, "frame length 11");
        expect_prefix(out.data, out.len, 4, 2, "version 2");
        expect_prefix(out.data, out.len, 5, 66, "unknown message type 66");
        expect_prefix(out.data, out.len, 6, 2, "CALL: unknown flags 0x2");
        expect_prefix(out.data, out.len, 6, 1, "CALL: surplus descriptor flag");
        expect_prefix(out.data, out.len, 5, MSG_LINK, "LINK: missing descriptor flag");
        expect_prefix(out.data, out.len, 7, 4, "CALL: lane 4");
        expect_prefix(out.data, out.len, 12, 255, "CALL: header length 255");
        buf_done(&out);
}
END_TEST

START_TEST(builder_errors_stick) {
        static char long_text[2000];
        Buf out = BUF_INIT(FRAME_MAX * 2);
        static char payload[FRAME_MAX];
        MsgBuilder b;
        Msg m;

        msg_begin(&b, MSG_READY);
        msg_put_u64(&b, TAG_REQ, 1); /* not of this message */
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), -EINVAL);
        msg_begin(&b, MSG_CALL);
        msg_put_cstr(&b, TAG_REQ, "1"); /* not of this type */
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), -EINVAL);
        memset(long_text, 'x', sizeof(long_text) - 1);
        build_call(&b);
        msg_put_cstr(&b, TAG_ARG, long_text);
        msg_put_cstr(&b, TAG_ARG, "short");
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), -EMSGSIZE);
        build_call(&b);
        msg_put_cstr(&b, TAG_VERB, "again");
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), -EBADMSG);
        build_call(&b);
        ck_assert_int_eq(msg_encode(&b, (Str){payload, sizeof(payload)}, 1, false, &out), -EMSGSIZE);
        ck_assert_int_eq(msg_encode(&b, (Str){0}, 1, true, &out), -EBADF);
        ck_assert_uint_eq(out.len, 0);
        ck_assert_int_eq(msg_encode(&b, (Str){payload, sizeof(payload) - 12 - b.len}, 1, false, &out), 0);
        ck_assert_uint_eq(out.len, FRAME_MAX + 4);
        buf_done(&out);
}
END_TEST

START_TEST(absent_values_add_nothing) {
        MsgBuilder b;
        Msg m;

        build_call(&b);
        msg_put_cstr(&b, TAG_REASON, NULL);
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), 0);
        ck_assert(!msg_has(&m, TAG_REASON));
        msg_put_cstr(&b, TAG_REASON, "");
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), 0);
        ck_assert(msg_has(&m, TAG_REASON));
        ck_assert_uint_eq(msg_str(&m, TAG_REASON).n, 0);
}
END_TEST

/* 512 bytes fit; the two-byte letter across the limit goes as a whole; a wrong byte becomes '?'. */
START_TEST(text_is_cut_between_letters) {
        char text[600];
        MsgBuilder b;
        Str s;
        Msg m;

        memset(text, 'a', sizeof(text));
        memcpy(text + 511, "\xc3\xa9", 3);
        text[0] = (char)0xff;
        build_call(&b);
        msg_put_text(&b, TAG_REASON, text);
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), 0);
        s = msg_str(&m, TAG_REASON);
        ck_assert_uint_eq(s.n, 511);
        ck_assert_int_eq(s.p[0], '?');
}
END_TEST

START_TEST(priority_chooses_the_lane) {
        static const struct {
                const char *priority;
                Lane lane;
        } cases[] = {{"P0", LANE_CRITICAL}, {"P1", LANE_NORMAL}, {"P2", LANE_NORMAL}, {"P3", LANE_BULK},
                {NULL, LANE_NORMAL}};

        for (size_t i = 0; i < 5; i++) {
                MsgBuilder b;

                msg_begin(&b, MSG_PUBLISH);
                msg_put_cstr(&b, TAG_PRIORITY, cases[i].priority);
                ck_assert_int_eq(b.lane, cases[i].lane);
        }
        ck_assert_int_eq(msg_type_lane(MSG_HELLO), LANE_CONTROL);
        ck_assert_int_eq(msg_type_lane(MSG_APPEND), LANE_CRITICAL);
}
END_TEST

START_TEST(copy_takes_every_occurrence) {
        MsgBuilder b, c;
        size_t pos = 0;
        unsigned n = 0;
        Str s;
        Msg m;

        build_call(&b);
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), 0);
        msg_begin(&c, MSG_CALL);
        msg_copy(&c, &m, TAG_REQ);
        msg_copy(&c, &m, TAG_VERB);
        msg_copy(&c, &m, TAG_ARG);
        msg_copy(&c, &m, TAG_REASON);
        ck_assert_uint_eq(c.len, b.len);
        ck_assert_mem_eq(c.header, b.header, b.len);
        while (msg_next_str(&m, TAG_ARG, &pos, &s))
                n++;
        ck_assert_uint_eq(n, 3);
}
END_TEST

START_TEST(json_form) {
        Buf out = BUF_INIT(4096);
        MsgBuilder b;
        JsonWriter w;
        Msg m;

        build_call(&b);
        ck_assert_int_eq(msg_view(&b, (Str){0}, &m), 0);
        json_init(&w, &out, true);
        msg_to_json(&m, &w);
        ck_assert_int_eq(json_finish(&w), 0);
        buf_append(&out, "", 1);
        ck_assert_str_eq((char *)out.data,
                "{\"arg\":[\"a=1\",\"b=x=y\",\"flag\"],\"req\":\"72623859790382856\",\"verb\":\"status\"}");
        buf_done(&out);
}
END_TEST

/* What the tables promise to their readers, whatever is added to them. */
START_TEST(every_row_is_whole) {
        unsigned types = 0, tags = 0;
        uint8_t one[32], two[32];

        for (unsigned t = 0; t < _MSG_TYPE_MAX; t++)
                types += msg_type_name(t) != NULL;
        for (unsigned t = 0; t < _TAG_MAX; t++) {
                const TagInfo *i = tag_info(t);

                if (!i)
                        continue;
                tags++;
                ck_assert(i->json[0] && i->max > 0);
                ck_assert(i->type != TAG_TYPE_U64 || i->max == 8);
                ck_assert(i->type != TAG_TYPE_BOOL || i->max == 1);
                for (unsigned u = t + 1; u < _TAG_MAX; u++)
                        if (tag_info(u) && strcmp(tag_info(u)->json, i->json) == 0)
                                ck_assert_str_eq(
                                        i->json, "kind"); /* KIND and GKIND are never in one message */
        }
        ck_assert_uint_ge(types, 35);
        ck_assert_uint_ge(tags, 110);
        ck_assert_ptr_null(tag_info(_TAG_MAX));
        ck_assert_ptr_null(tag_info(0));
        ck_assert_ptr_null(msg_type_name(0));
        ck_assert_int_eq(msg_type_has_fd(MSG_LINK), 1);
        ck_assert_int_eq(msg_type_has_fd(MSG_RESULT), 0);
        msg_table_hash(one);
        msg_table_hash(two);
        ck_assert_mem_eq(one, two, 32);
}
END_TEST

START_TEST(zero_is_safe) {
        MsgBuilder b = {0};
        Msg m = {.fd = -1};
        size_t pos = 0;
        Str s;

        ck_assert_int_lt(msg_view(&b, (Str){0}, &m), 0);
        ck_assert(!msg_next_str(&m, TAG_ARG, &pos, &s));
        ck_assert(!msg_has(&m, TAG_REQ));
        ck_assert_int_eq(msg_take_fd(&m), -1);
}
END_TEST

TEST_MAIN("msg", frame_bytes_are_as_documented, round_trip, header_rules, too_many_fields, prefix_rules,
        builder_errors_stick, absent_values_add_nothing, text_is_cut_between_letters,
        priority_chooses_the_lane, copy_takes_every_occurrence, json_form, every_row_is_whole, zero_is_safe)
