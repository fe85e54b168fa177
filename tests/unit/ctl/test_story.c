/* SPDX-License-Identifier: Apache-2.0 */
/* Records as sentences, and events on record as the envelopes that they were. */
#include "guardian/ctl/records.h"
#include "guardian/ctl/story.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static json_t *record(const char *text) {
        json_t *r = NULL;
        char why[160];
        ck_assert_msg(json_read(str_of(text), 0, &r, why, sizeof(why)) == 0, "%s", why);
        return r;
}

static void says(const char *line, const char *sentence) {
        auto_json json_t *r = record(line);
        char out[STORY_TEXT];
        story_sentence(r, out);
        ck_assert_str_eq(out, sentence);
}

START_TEST(a_leak_healed_after_an_approval) {
        says("{\"kind\":\"anomaly\",\"actor\":\"immune\",\"resource\":\"leaky\",\"body\":{\"type\":\"memory_"
             "leak\",\"text\":\"leaky: memory grew\"}}",
                "immune saw an anomaly on leaky: memory_leak, memory grew");
        says("{\"kind\":\"incident\",\"resource\":\"leaky\",\"body\":{\"id\":\"inc_1\",\"state\":\"opened\","
             "\"diagnosis\":\"fast-growth\","
             "\"confidence\":75,\"cause\":\"a leak\",\"reason\":null}}",
                "incident inc_1: opened; diagnosis fast-growth (75%): a leak");
        says("{\"kind\":\"decision\",\"actor\":\"immune\",\"action\":\"restart_service\",\"resource\":"
             "\"leaky\",\"body\":{\"verdict\":\"require_approval\","
             "\"rules\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"reason\":\"critical\",\"needs\":[\"operator:1\"],"
             "\"approval_id\":\"apr_1\",\"purpose\":\"act\"}}",
                "governance asks a person before restart_service on leaky for immune by rule a, b: critical; "
                "needs operator:1");
        says("{\"kind\":\"approval\",\"actor\":\"uid:0\",\"body\":{\"approval_id\":\"apr_1\",\"state\":"
             "\"approved\",\"vote\":\"approve\",\"role\":\"admin\","
             "\"reason\":\"seen\"}}",
                "uid:0 (admin) voted to approve apr_1: seen");
        says("{\"kind\":\"decision\",\"actor\":\"immune\",\"action\":\"restart_service\",\"resource\":"
             "\"leaky\",\"body\":{\"verdict\":\"allow\","
             "\"rules\":[],\"approval_id\":\"apr_1\"}}",
                "governance allowed restart_service on leaky for immune; on approval apr_1");
        says("{\"kind\":\"intent\",\"action\":\"restart_service\",\"resource\":\"leaky\",\"ref\":7,\"body\":{"
             "}}",
                "Guardian put its intent to run restart_service on leaky on record before it acted, bound to "
                "decision 7");
        says("{\"kind\":\"action\",\"action\":\"restart_service\",\"resource\":\"leaky\",\"body\":{"
             "\"outcome\":\"ok\",\"duration_us\":1500,\"reason\":\"\"}}",
                "Guardian ran restart_service on leaky: ok after 1.5ms");
        says("{\"kind\":\"incident\",\"resource\":\"leaky\",\"body\":{\"id\":\"inc_1\",\"state\":"
             "\"verified\",\"outcome\":\"fixed\",\"reason\":\"memory fell\"}}",
                "incident inc_1: verified, fixed: memory fell");
}
END_TEST

START_TEST(refusals_name_rule_and_code) {
        says("{\"kind\":\"decision\",\"actor\":\"immune\",\"action\":\"scale_up\",\"resource\":\"web\","
             "\"body\":{\"verdict\":\"deny\",\"would\":null,"
             "\"rules\":[],\"missed\":[{\"id\":\"healing.listed\",\"failed\":\"action in "
             "resource.heal\"}],\"code\":\"default_deny\"}}",
                "governance denied scale_up on web for immune (default_deny); the nearest rule "
                "healing.listed did not hold: action in resource.heal");
        says("{\"kind\":\"decision\",\"actor\":\"immune\",\"action\":\"scale_up\",\"resource\":\"web\","
             "\"body\":{\"verdict\":\"allow\",\"would\":\"deny\"}}",
                "governance allowed scale_up on web for immune; mode enforce would have said deny");
        says("{\"kind\":\"action\",\"action\":\"restart_service\",\"resource\":\"web\",\"body\":{\"outcome\":"
             "\"not_run\",\"reason\":\"stale_target\"}}",
                "Guardian did not run restart_service on web: stale_target");
        says("{\"kind\":\"approval\",\"actor\":\"guardian\",\"body\":{\"approval_id\":\"apr_1\",\"state\":"
             "\"void\",\"reason\":\"stale_target\"}}",
                "approval apr_1 is void: stale_target");
        says("{\"kind\":\"approval\",\"actor\":\"guardian\",\"body\":{\"approval_id\":\"apr_1\",\"state\":"
             "\"expired\",\"reason\":\"expired\"}}",
                "approval apr_1 is expired");
        says("{\"kind\":\"incident\",\"body\":{\"id\":\"inc_1\",\"state\":\"opened\",\"diagnosis\":null}}",
                "incident inc_1: opened; no diagnosis fits");
}
END_TEST

START_TEST(any_record_gives_some_sentence) {
        char out[STORY_TEXT], big[4096];
        const char *odd[] = {"{}", "{\"kind\":\"decision\"}", "{\"kind\":\"anomaly\",\"body\":null}",
                "{\"kind\":7,\"body\":[1]}", "{\"kind\":\"incident\",\"body\":{\"id\":3,\"state\":false}}",
                "{\"kind\":\"decision\",\"body\":{\"rules\":[1,null],\"needs\":[{}]}}"};
        for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
                auto_json json_t *r = record(odd[i]);
                story_sentence(r, out);
                ck_assert_uint_gt(strlen(out), 0);
        }
        int n = snprintf(big, sizeof(big), "{\"kind\":\"action\",\"body\":{\"reason\":\"");
        memset(big + n, 'x', 2000);
        strcpy(big + n + 2000, "\"}}");
        auto_json json_t *r = record(big);
        story_sentence(r, out);
        ck_assert_uint_lt(strlen(out), STORY_TEXT);
}
END_TEST

static void envelope(const char *line, const char *member, const char *value) {
        auto_json json_t *r = record(line), *e = NULL;
        Buf out = BUF_INIT(65536);
        ck_assert_int_eq(record_envelope(r, &out), 0);
        ck_assert_int_eq(json_read((Str){(char *)out.data, out.len}, 0, &e, NULL, 0), 0);
        buf_done(&out);
        const json_t *v = json_get_path(e, member);
        if (!value)
                ck_assert_ptr_null(v);
        else if (json_is_integer(v))
                ck_assert_int_eq(json_integer_value(v), atoll(value));
        else
                ck_assert_str_eq(json_string_value(v), value);
}

START_TEST(an_event_on_record_is_its_envelope) {
        static const char line[] = "{\"index\":9,\"kind\":\"event\",\"body\":{\"type\":\"demo.thing\",\"msg_"
                                   "id\":\"m1\",\"kind\":\"event\",\"priority\":\"P1\","
                                   "\"hop_count\":1,\"pii_flags\":[\"a\",\"b\"],\"correlation_id\":\"c\","
                                   "\"source\":\"web\",\"payload\":\"{\\\"n\\\":5}\"}}";
        envelope(line, "type", "demo.thing");
        envelope(line, "domain", "demo");
        envelope(line, "name", "DEMO_THING");
        envelope(line, "index", "9");
        envelope(line, "headers.priority", "P1");
        envelope(line, "headers.hop_count", "1");
        envelope(line, "headers.correlation_id", "c");
        envelope(line, "headers.pii_flags.1", "b");
        envelope(line, "payload.n", "5");
        envelope(line, "payload_ref", NULL);
        /* too long for the record: only the hash is there */
        envelope("{\"index\":9,\"body\":{\"type\":\"a.b\",\"payload_sha256\":\"00ff\"}}", "payload_ref",
                "sha256:00ff");
}
END_TEST

START_TEST(no_envelope_is_an_error) {
        auto_json json_t *r = record("{\"index\":9,\"body\":{\"priority\":\"P1\"}}");
        Buf out = BUF_INIT(65536);
        ck_assert_int_lt(record_envelope(r, &out), 0); /* the type is missing */
        buf_done(&out);
}
END_TEST

/* It is printed as it is. */
START_TEST(a_payload_that_is_no_json_is_an_error) {
        auto_json json_t *r = record("{\"index\":9,\"body\":{\"type\":\"a.b\",\"payload\":\"{\\\"x\"}}");
        Buf out = BUF_INIT(65536);
        ck_assert_int_lt(record_envelope(r, &out), 0);
        buf_done(&out);
}
END_TEST

START_TEST(a_sentence_is_one_line) {
        says("{\"kind\":\"action\",\"action\":\"restart\",\"resource\":\"web\",\"body\":{\"outcome\":"
             "\"failed\","
             "\"duration_us\":1500,\"reason\":\"one\\ntwo\"}}",
                "Guardian ran restart on web: failed after 1.5ms: one two");
}
END_TEST

START_TEST(the_newest_lines_stay) {
        static char got[64];
        RecordRing ring;
        got[0] = 0;
        int add(Ctl * c, Str line, void *user);
        ck_assert_int_eq(record_ring_init(&ring, 3), 0);
        for (int i = 0; i < 5; i++) {
                char text[2] = {(char)('a' + i), 0};
                ck_assert_int_eq(record_ring_add(&ring, str_of(text)), 0);
        }
        record_ring_flush(NULL, &ring, add, got);
        ck_assert_str_eq(got, "cde");
        ck_assert_ptr_null(ring.lines);
}
END_TEST

int add(Ctl *c, Str line, void *user);
int add(Ctl *c, Str line, void *user) {
        (void)c;
        strncat(user, line.p, line.n);
        return 0;
}

int main(void) {
        Suite *s = suite_create("ctl-story");
        TCase *tc = tcase_create("story");
        tcase_add_test(tc, a_leak_healed_after_an_approval);
        tcase_add_test(tc, refusals_name_rule_and_code);
        tcase_add_test(tc, any_record_gives_some_sentence);
        tcase_add_test(tc, an_event_on_record_is_its_envelope);
        tcase_add_test(tc, no_envelope_is_an_error);
        tcase_add_test(tc, a_payload_that_is_no_json_is_an_error);
        tcase_add_test(tc, a_sentence_is_one_line);
        tcase_add_test(tc, the_newest_lines_stay);
        suite_add_tcase(s, tc);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed != 0;
}
