/* SPDX-License-Identifier: Apache-2.0 */
#include "common/gme.h"
#include "suite.h"
#include <stdio.h>
#include <string.h>

static const uint64_t NOW = 1795230000123000000u;
static MsgBuilder b;
static Msg m;
static GmeIssue issues[16];

static void begin(const char *type) {
        msg_begin(&b, MSG_PUBLISH);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_TYPE, type);
}

static size_t check(Str payload) {
        gme_fill(&b, NOW);
        ck_assert_int_eq(msg_view(&b, payload, &m), 0);
        return gme_check(&m, issues, 16);
}

static void expect(Str payload, bool error, Tag field, const char *message) {
        size_t n = check(payload);

        ck_assert_msg(n == 1, "%zu issues: %s", n, n ? issues[0].message : "-");
        ck_assert_int_eq(issues[0].error, error);
        ck_assert_int_eq(issues[0].field, field);
        ck_assert_str_eq(issues[0].message, message);
}

START_TEST(filled_is_good) {
        begin("anomaly.detected");
        ck_assert_uint_eq(check(STR_LIT("{}")), 0);
        ck_assert(str_eq(msg_str(&m, TAG_GKIND), "event"));
        ck_assert(str_eq(msg_str(&m, TAG_TS), "2026-11-21T03:00:00.123Z"));
        ck_assert(str_eq(msg_str(&m, TAG_PRIORITY), "P2"));
        ck_assert(str_eq(msg_str(&m, TAG_QOS), "standard"));
        ck_assert(str_eq(
                msg_str(&m, TAG_SCHEMA_REF), "grace://contracts/anomaly.anomaly_detected.schema.json"));
        ck_assert_uint_eq(msg_str(&m, TAG_PARTITION_KEY).n, 36);
        ck_assert_uint_eq(msg_str(&m, TAG_MSG_ID).n, 36);
        ck_assert_mem_eq(msg_str(&m, TAG_PARTITION_KEY).p, msg_str(&m, TAG_CORRELATION_ID).p, 36);
        ck_assert_uint_eq(msg_u64(&m, TAG_HOP_COUNT, 9), 0);
}
END_TEST

START_TEST(fill_keeps_what_is_there) {
        uint16_t len;

        begin("a.b");
        msg_put_cstr(&b, TAG_PRIORITY, "P0");
        msg_put_cstr(&b, TAG_CORRELATION_ID, "cor_given1");
        ck_assert_uint_eq(check(STR_LIT("1")), 0);
        ck_assert(str_eq(msg_str(&m, TAG_QOS), "realtime"));
        ck_assert(str_eq(msg_str(&m, TAG_PARTITION_KEY), "cor_given1"));
        len = b.len;
        gme_fill(&b, NOW + 1);
        ck_assert_uint_eq(b.len, len);
}
END_TEST

START_TEST(unfilled_names_each_missing_field) {
        begin("a.b");
        ck_assert_int_eq(msg_view(&b, STR_LIT("{}"), &m), 0);
        ck_assert_uint_eq(gme_check(&m, issues, 16), 9);
        ck_assert_str_eq(issues[0].message, "msg_id is missing");
        ck_assert_str_eq(issues[0].code, "E.VALIDATION");
        ck_assert_uint_eq(gme_check(&m, issues, 2), 2);
}
END_TEST

START_TEST(forms) {
        static const struct {
                Tag tag;
                const char *value, *message;
        } cases[] = {
                {TAG_MSG_ID, "msg_short", "msg_id 'msg_short' must be msg_ and 10 or more of a-z 0-9"},
                {TAG_GKIND, "shout", "kind 'shout' must be event, command, query or reply"},
                {TAG_VERSION, "1.0", "version '1.0' must be a semantic version"},
                {TAG_VERSION, "01.0.0", "version '01.0.0' must be a semantic version"},
                {TAG_TS, "yesterday", "ts 'yesterday' must be an RFC 3339 time"},
                {TAG_CORRELATION_ID, "cor_ABCDEF",
                        "correlation_id 'cor_ABCDEF' must be cor_ and 6 or more of a-z 0-9 _ -"},
                {TAG_TRACEPARENT, "00-00000000000000000000000000000000-1111111111111111-01",
                        "traceparent '00-00000000000000000000000000000000-1111111111111111-01' must be a W3C "
                        "traceparent"},
                {TAG_PRIORITY, "P4", "priority 'P4' must be P0, P1, P2 or P3"},
                {TAG_QOS, "fast", "qos 'fast' must be realtime, standard or bulk"},
                {TAG_PARTITION_KEY, "", "partition_key '' must not be empty"},
                {TAG_GOVERNANCE_LABEL, "secret",
                        "governance_label 'secret' must be public, internal or restricted"},
                {TAG_CONSENT_SCOPE, "all",
                        "consent_scope 'all' must be autonomy, pii_use, external_share or canary"},
                {TAG_CHECKSUM, "md5:0", "checksum 'md5:0' must be sha256: and 64 hex digits"},
                {TAG_EXPIRES_AT, "soon", "expires_at 'soon' must be an RFC 3339 time"},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                begin("a.b");
                msg_put_cstr(&b, cases[i].tag, cases[i].value);
                expect(STR_LIT("{}"), true, cases[i].tag, cases[i].message);
        }
        begin("A.b");
        expect(STR_LIT("{}"), true, TAG_TYPE, "type 'A.b' must be dotted lower case");
        begin("a.*");
        expect(STR_LIT("{}"), true, TAG_TYPE, "type 'a.*' must be dotted lower case");
}
END_TEST

START_TEST(payload_rules) {
        static char big[GME_INLINE_MAX + 1];

        begin("a.b");
        expect((Str){0}, true, TAG_PAYLOAD_REF, "neither payload nor payload_ref");
        begin("a.b");
        msg_put_cstr(&b, TAG_PAYLOAD_REF, "file:x");
        ck_assert_uint_eq(check((Str){0}), 0);
        expect(STR_LIT("{}"), true, TAG_PAYLOAD_REF, "payload and payload_ref exclude each other");
        begin("a.b");
        expect(STR_LIT("{\"a\":}"), true, TAG_PAYLOAD_REF, "payload is not JSON: a value was due at byte 5");
        memset(big, '1', sizeof(big));
        begin("a.b");
        ck_assert_uint_eq(check((Str){big, GME_INLINE_MAX}), 0);
        expect((Str){big, sizeof(big)}, true, TAG_PAYLOAD_REF,
                "payload of 204801 bytes is above the limit of 204800, use payload_ref");
        ck_assert_str_eq(issues[0].code, "E.PAYLOAD_TOO_LARGE");
}
END_TEST

START_TEST(checksum_is_compared) {
        begin("a.b");
        msg_put_cstr(
                &b, TAG_CHECKSUM, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        ck_assert_uint_eq(check(STR_LIT("{}")), 0);
        expect(STR_LIT("[]"), true, TAG_CHECKSUM, "checksum is not that of the payload");
}
END_TEST

START_TEST(hops_and_deadline) {
        static const uint64_t hops[] = {32, 33, 64, 65};

        for (size_t i = 0; i < 4; i++) {
                begin("a.b");
                msg_put_u64(&b, TAG_HOP_COUNT, hops[i]);
                ck_assert_uint_eq(check(STR_LIT("{}")), hops[i] > 32);
                ck_assert(hops[i] <= 32 || issues[0].error == (hops[i] > 64));
        }
        ck_assert_str_eq(issues[0].message,
                "hop_count 65 is above the limit of 64: do events cause each other in a ring?");
        begin("a.b");
        msg_put_u64(&b, TAG_DEADLINE_MS, 0);
        expect(STR_LIT("{}"), true, TAG_DEADLINE_MS, "deadline_ms must be 1 or more");
        /* no envelope could be written with them */
        begin("a.b");
        msg_put_u64(&b, TAG_DEADLINE_MS, (1ull << 53) + 1);
        expect(STR_LIT("{}"), true, TAG_DEADLINE_MS, "deadline_ms is above 2^53");
        begin("a.b");
        msg_put_u64(&b, TAG_REDELIVERY_COUNT, 1ull << 60);
        expect(STR_LIT("{}"), true, TAG_REDELIVERY_COUNT, "redelivery_count is above 2^53");
}
END_TEST

START_TEST(governed_fields) {
        begin("a.b");
        msg_put_cstr(&b, TAG_PII_FLAG, "email");
        expect(STR_LIT("{}"), true, TAG_PII_FLAG, "pii_flags without consent_scope");
        begin("a.b");
        msg_put_cstr(&b, TAG_PII_FLAG, "email");
        msg_put_cstr(&b, TAG_CONSENT_SCOPE, "pii_use");
        ck_assert_uint_eq(check(STR_LIT("{}")), 0);
        begin("policy.change");
        msg_put_cstr(&b, TAG_RBAC, "gov.read");
        expect(STR_LIT("{}"), true, TAG_RBAC, "POLICY_CHANGE needs rbac gov.approve");
        ck_assert_str_eq(issues[0].code, "E.FORBIDDEN");
        begin("policy.change");
        msg_put_cstr(&b, TAG_RBAC, "gov.read");
        msg_put_cstr(&b, TAG_RBAC, "gov.approve");
        ck_assert_uint_eq(check(STR_LIT("{}")), 0);
        begin("a.b");
        msg_put_cstr(&b, TAG_PRIORITY, "P0");
        msg_put_cstr(&b, TAG_QOS, "bulk");
        expect(STR_LIT("{}"), false, TAG_QOS, "priority P0 without qos realtime");
        begin("a.b");
        msg_put_cstr(&b, TAG_GOVERNANCE_LABEL, "restricted");
        expect(STR_LIT("{}"), false, TAG_SIGNATURE, "restricted without signature or checksum");
}
END_TEST

START_TEST(errors_come_first) {
        begin("a.b");
        msg_put_u64(&b, TAG_HOP_COUNT, 40);
        msg_put_cstr(&b, TAG_PII_FLAG, "email");
        ck_assert_uint_eq(check(STR_LIT("{}")), 2);
        ck_assert(issues[0].error && !issues[1].error);
        ck_assert_uint_eq(gme_check(&m, issues, 1), 1);
        ck_assert(issues[0].error);
}
END_TEST

START_TEST(json_form) {
        Buf out = BUF_INIT(4096);
        JsonWriter w;

        begin("anomaly.detected");
        msg_put_cstr(&b, TAG_MSG_ID, "msg_0123456789ab");
        msg_put_cstr(&b, TAG_CORRELATION_ID, "cor_abcdef");
        msg_put_cstr(&b, TAG_TRACEPARENT, "00-11111111111111111111111111111111-2222222222222222-01");
        msg_put_cstr(&b, TAG_SOURCE, "immune");
        msg_put_cstr(&b, TAG_RBAC, "gov.approve");
        ck_assert_uint_eq(check(STR_LIT("{\"rss\":1}")), 0);
        json_init(&w, &out, false);
        gme_to_json(&m, &w);
        ck_assert_int_eq(json_finish(&w), 0);
        buf_append(&out, "", 1);
        ck_assert_str_eq((char *)out.data,
                "{\"msg_id\":\"msg_0123456789ab\",\"kind\":\"event\",\"type\":\"anomaly.detected\","
                "\"domain\":\"anomaly\","
                "\"name\":\"ANOMALY_DETECTED\",\"version\":\"1.0.0\",\"ts\":\"2026-11-21T03:00:00.123Z\","
                "\"source\":\"immune\","
                "\"headers\":{\"schema_ref\":\"grace://contracts/anomaly.anomaly_detected.schema.json\","
                "\"correlation_id\":\"cor_abcdef\",\"traceparent\":\"00-11111111111111111111111111111111-"
                "2222222222222222-01\","
                "\"priority\":\"P2\",\"qos\":\"standard\",\"partition_key\":\"cor_abcdef\",\"rbac\":[\"gov."
                "approve\"],"
                "\"hop_count\":0},\"payload\":{\"rss\":1}}");
        buf_done(&out);
}
END_TEST

TEST_MAIN("gme", filled_is_good, fill_keeps_what_is_there, unfilled_names_each_missing_field, forms,
        payload_rules, checksum_is_compared, hops_and_deadline, governed_fields, errors_come_first, json_form)
