/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a link that the test plays: numbers, resending, bounds, queries that go on, rollback. */
#include "chunks/runtime/ledger-client.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SENT = 2048 };
typedef struct Sent {
        MsgType type;
        uint64_t seq, epoch, from, req;
        bool has_index;
        char body[32];
} Sent;
static Sent sent[SENT];
static size_t n_sent, room;
static Link link_a = {.unit = "ledger", .kind = "chunk"}, link_b = {.unit = "ledger", .kind = "chunk"};
static LedgerClient *lc;
static struct {
        uint64_t token, index;
        char code[32];
} acks[SENT];
static size_t n_acks, n_records, n_ends;
static char last_end[32];

/* Takes the place of the runtime's: the linker finds this one first. */
int link_send(Link *l, const MsgBuilder *b, Str payload) {
        Msg m;
        (void)l;
        if (n_sent == room)
                return -ENOBUFS;
        ck_assert_int_eq(msg_view(b, payload, &m), 0);
        Sent *s = &sent[n_sent++];
        *s = (Sent){.type = m.type,
                .seq = msg_u64(&m, TAG_SEQ, 0),
                .epoch = msg_u64(&m, TAG_EPOCH, 0),
                .from = msg_u64(&m, TAG_FROM, 0),
                .req = msg_u64(&m, TAG_REQ, 0),
                .has_index = msg_has(&m, TAG_INDEX)};
        str_copy(s->body, sizeof(s->body), payload);
        return 0;
}

static void on_ack(void *user, uint64_t token, const char *code, uint64_t index, const uint8_t *hash) {
        (void)user;
        (void)hash;
        acks[n_acks].token = token;
        acks[n_acks].index = index;
        str_copy(acks[n_acks++].code, sizeof(acks[0].code), str_of(code));
}

static void on_record(void *user, uint64_t token, const Msg *rec, const char *code) {
        (void)user;
        (void)token;
        if (rec)
                n_records++;
        else {
                n_ends++;
                str_copy(last_end, sizeof(last_end), str_of(code));
        }
}

static void give(Link *l, MsgBuilder *b) {
        Msg m;
        ck_assert_int_eq(msg_view(b, (Str){NULL, 0}, &m), 0);
        ck_assert(ledger_client_msg(lc, l, &m));
}

static void attached(Link *l, const char *code, uint64_t epoch) {
        MsgBuilder b;
        msg_begin(&b, MSG_ATTACHED);
        msg_put_cstr(&b, TAG_CODE, code);
        msg_put_u64(&b, TAG_EPOCH, epoch);
        msg_put_u64(&b, TAG_SEQ, 0);
        msg_put_u64(&b, TAG_SIZE, 1);
        msg_put_u64(&b, TAG_SIGNED_SIZE, 0);
        give(l, &b);
}

static void ack(Link *l, uint64_t seq, uint64_t index) {
        uint8_t hash[32] = {1};
        MsgBuilder b;
        msg_begin(&b, MSG_APPEND_ACK);
        msg_put_u64(&b, TAG_SEQ, seq);
        msg_put_u64(&b, TAG_INDEX, index);
        msg_put_bytes(&b, TAG_HASH, hash);
        msg_put_u64(&b, TAG_SIZE, index + 1);
        msg_put_u64(&b, TAG_SIGNED_SIZE, 0);
        give(l, &b);
}

static void record(Link *l, uint64_t req, uint64_t index) {
        uint8_t hash[32] = {1};
        MsgBuilder b;
        msg_begin(&b, MSG_RECORD);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_u64(&b, TAG_INDEX, index);
        msg_put_u64(&b, TAG_TIME_NS, 1);
        msg_put_u64(&b, TAG_KIND, RECORD_EVENT);
        msg_put_cstr(&b, TAG_WRITER, "mesh");
        msg_put_u64(&b, TAG_EPOCH, 1);
        msg_put_u64(&b, TAG_SEQ, 1);
        msg_put_bytes(&b, TAG_HASH, hash);
        msg_put_bytes(&b, TAG_PREV, hash);
        give(l, &b);
}

static void result(Link *l, uint64_t req, bool more, uint64_t next) {
        MsgBuilder b;
        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_u64(&b, TAG_STATUS, 0);
        msg_put_cstr(&b, TAG_CODE, "ok");
        msg_put_bool(&b, TAG_MORE, more);
        msg_put_u64(&b, TAG_INDEX, next);
        give(l, &b);
}

static int append(uint64_t token, const char *body) {
        LedgerAppend a = {.kind = RECORD_EVENT, .ref = UINT64_MAX, .body = str_of(body)};
        return ledger_client_append(lc, &a, token);
}

static void setup(void) {
        n_sent = n_acks = n_records = n_ends = 0;
        room = SENT;
        ck_assert_int_eq(ledger_client_new(NULL, NULL, on_ack, &lc), 0);
}

static void teardown(void) {
        ledger_client_free(lc);
}

START_TEST(waits_and_sends_again) {
        Link other = {.unit = "mesh", .kind = "chunk"};
        ck_assert_int_eq(append(10, "{\"n\":1}"), 0);
        ledger_client_link(lc, &other);
        ck_assert_uint_eq(n_sent, 0);
        ledger_client_link(lc, &link_a);
        ck_assert_uint_eq(n_sent, 1);
        ck_assert(sent[0].type == MSG_ATTACH && sent[0].epoch == 0 && !sent[0].has_index);
        attached(&link_a, "not_validated", 0);
        ck_assert(!ledger_client_attached(lc));
        ck_assert_uint_eq(n_sent, 1);
        attached(&link_a, "ok", 5);
        ck_assert(ledger_client_attached(lc));
        ck_assert_int_eq(append(11, "{\"n\":2}"), 0);
        ck_assert_uint_eq(n_sent, 3);
        ck_assert(sent[1].seq == 1 && sent[2].seq == 2);
        ack(&link_a, 1, 40);
        ck_assert(n_acks == 1 && acks[0].token == 10 && acks[0].index == 40);
        ledger_client_lost(lc);
        ck_assert_int_eq(append(12, "{\"n\":3}"), 0);
        n_sent = 0;
        ledger_client_link(lc, &link_b);
        ck_assert(sent[0].type == MSG_ATTACH && sent[0].epoch == 5 && sent[0].has_index);
        attached(&link_b, "ok", 5);
        ck_assert_uint_eq(n_sent, 3);
        ck_assert(sent[1].seq == 2 && strcmp(sent[1].body, "{\"n\":2}") == 0);
        ck_assert(sent[2].seq == 3 && strcmp(sent[2].body, "{\"n\":3}") == 0);
        ack(&link_b, 2, 41);
        ack(&link_b, 2, 41); /* said twice: one answer */
        ack(&link_b, 3, 42);
        ck_assert_uint_eq(n_acks, 3);
        ck_assert_uint_eq(ledger_client_pending(lc), 0);
}
END_TEST

START_TEST(bounded) {
        for (int i = 0; i < LEDGER_CLIENT_MAX; i++)
                ck_assert_int_eq(append((uint64_t)i, "{}"), 0);
        ck_assert_int_eq(append(999, "{}"), -ENOBUFS);
        /* a link that takes ten at a time: the rest follows with the answers, in order */
        ledger_client_link(lc, &link_a);
        room = n_sent + 10;
        attached(&link_a, "ok", 1);
        for (uint64_t seq = 1; seq <= LEDGER_CLIENT_MAX; seq++) {
                ck_assert_uint_eq(sent[seq].seq, seq);
                room = n_sent + 1;
                ack(&link_a, seq, seq);
        }
        ck_assert_uint_eq(n_acks, LEDGER_CLIENT_MAX);
        LedgerAppend big = {.kind = RECORD_EVENT, .ref = UINT64_MAX, .body = {"", LEDGER_BODY_MAX + 1}};
        ck_assert_int_eq(ledger_client_append(lc, &big, 1), -EMSGSIZE);
}
END_TEST

START_TEST(rollback_refuses) {
        ck_assert_int_eq(append(1, "{}"), 0);
        ledger_client_link(lc, &link_a);
        attached(&link_a, "E.UNAVAILABLE", 0); /* stopping: its successor is asked */
        ck_assert(n_acks == 0 && ledger_client_pending(lc) == 1);
        attached(&link_a, "ledger_rollback", 0);
        ck_assert(n_acks == 1 && strcmp(acks[0].code, "ledger_rollback") == 0);
        ck_assert_int_eq(append(2, "{}"), -EUCLEAN);
        attached(&link_a, "ok", 1);
        ck_assert_int_eq(append(2, "{}"), 0);
}
END_TEST

START_TEST(query_goes_on) {
        ck_assert_int_eq(ledger_client_query(lc, 0, 3, on_record, 1), 0);
        ledger_client_link(lc, &link_a);
        ck_assert(sent[1].type == MSG_QUERY && sent[1].from == 3);
        uint64_t req = sent[1].req;
        record(&link_a, req, 3);
        record(&link_a, req, 4);
        result(&link_a, req, true, 9);
        ck_assert(sent[2].type == MSG_QUERY && sent[2].from == 9);
        record(&link_a, req, 9);
        ledger_client_lost(lc);
        ledger_client_link(lc, &link_b);
        ck_assert(sent[4].type == MSG_QUERY && sent[4].from == 10);
        record(&link_b, req, 10);
        result(&link_b, req, false, 11);
        ck_assert_uint_eq(n_records, 4);
        ck_assert(n_ends == 1 && strcmp(last_end, "ok") == 0);
        for (int i = 0; i < 8; i++)
                ck_assert_int_eq(ledger_client_query(lc, 0, 0, on_record, 1), 0);
        ck_assert_int_eq(ledger_client_query(lc, 0, 0, on_record, 1), -ENOBUFS);
}
END_TEST

int main(void) {
        Suite *s = suite_create("ledger-client");
        TCase *t = tcase_create("client");
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, waits_and_sends_again);
        tcase_add_test(t, bounded);
        tcase_add_test(t, rollback_refuses);
        tcase_add_test(t, query_goes_on);
        suite_add_tcase(s, t);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed != 0;
}
