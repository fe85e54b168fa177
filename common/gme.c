/* SPDX-License-Identifier: Apache-2.0 */
#include "common/gme.h"
#include "common/cleanup.h"
#include "common/sha256.h"
#include "common/vocab.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char E_VALIDATION[] = "E.VALIDATION";
static const char E_FORBIDDEN[] = "E.FORBIDDEN";
static const char E_POLICY[] = "E.POLICY_VIOLATION";
static const char E_TOO_LARGE[] = "E.PAYLOAD_TOO_LARGE";

Lane gme_lane(Str priority) {
        if (str_eq(priority, "P0"))
                return LANE_CRITICAL;
        return str_eq(priority, "P3") ? LANE_BULK : LANE_NORMAL;
}

char *gme_name(Str type, char *out, size_t cap) {
        str_copy(out, cap, type);
        for (char *c = out; cap > 0 && *c; c++) {
                if (*c >= 'a' && *c <= 'z')
                        *c = (char)(*c - 'a' + 'A');
                else if (*c == '.')
                        *c = '_';
        }
        return out;
}

static Str domain_of(Str type) {
        Str domain, rest;

        str_split(type, '.', &domain, &rest);
        return domain;
}

/* ---- forms of single values. Each takes the bytes and says whether they are of the form. */
static bool all_of(Str s, const char *extra) {
        for (size_t i = 0; i < s.n; i++) {
                char c = s.p[i];

                if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (!c || !strchr(extra, c)))
                        return false;
        }
        return true;
}

static bool prefixed(Str s, const char *prefix, size_t least, const char *extra) {
        size_t n = strlen(prefix);

        return s.n >= n + least && memcmp(s.p, prefix, n) == 0 && all_of((Str){s.p + n, s.n - n}, extra);
}

static bool is_msg_id(Str s) {
        return prefixed(s, "msg_", 10, "");
}

static bool is_correlation_id(Str s) {
        return prefixed(s, "cor_", 6, "_-");
}

static bool is_type(Str s) {
        char text[160];

        str_copy(text, sizeof(text), s);
        return s.n < sizeof(text) && !strchr(text, '*') && pattern_check(text) == 0;
}

static bool lower_hex(const char *p, size_t n, bool all_zero_too) {
        bool zero = true;

        for (size_t i = 0; i < n; i++) {
                if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
                        return false;
                zero &= p[i] == '0';
        }
        return all_zero_too || !zero;
}

/* W3C trace context, version 00: "00-<32 hex>-<16 hex>-<2 hex>", neither id zero. */
static bool is_traceparent(Str s) {
        return s.n == 55 && memcmp(s.p, "00-", 3) == 0 && s.p[35] == '-' && s.p[52] == '-' &&
               lower_hex(s.p + 3, 32, false) && lower_hex(s.p + 36, 16, false) &&
               lower_hex(s.p + 53, 2, true);
}

/* One number of a semantic version: digits without a leading zero. */
static bool semver_number(Str s) {
        if (s.n == 0 || s.n > 9 || (s.n > 1 && s.p[0] == '0'))
                return false;
        for (size_t i = 0; i < s.n; i++)
                if (s.p[i] < '0' || s.p[i] > '9')
                        return false;
        return true;
}

static bool is_semver(Str s) {
        Str core = s, major, minor, patch, rest;

        for (size_t i = 0; i < s.n; i++)
                if (s.p[i] == '-' || s.p[i] == '+') {
                        if (i + 1 == s.n)
                                return false;
                        core.n = i;
                        break;
                }
        return str_split(core, '.', &major, &rest) && str_split(rest, '.', &minor, &patch) &&
               semver_number(major) && semver_number(minor) && semver_number(patch);
}

static bool is_time(Str s) {
        char text[48];
        uint64_t ns;

        str_copy(text, sizeof(text), s);
        return s.n < sizeof(text) && parse_time(text, &ns) == 0;
}

static bool is_checksum(Str s) {
        return s.n == 71 && memcmp(s.p, "sha256:", 7) == 0 && lower_hex(s.p + 7, 64, true);
}

static bool is_filled(Str s) {
        return s.n > 0;
}

#define ONE_OF(name, ...)                                                                                    \
        static bool name(Str s) {                                                                            \
                static const char *const words[] = {__VA_ARGS__};                                            \
                for (size_t i = 0; i < ELEMENTSOF(words); i++)                                               \
                        if (str_eq(s, words[i]))                                                             \
                                return true;                                                                 \
                return false;                                                                                \
        }
ONE_OF(is_kind, "event", "command", "query", "reply")
ONE_OF(is_priority, "P0", "P1", "P2", "P3")
ONE_OF(is_qos, "realtime", "standard", "bulk")
ONE_OF(is_label, "public", "internal", "restricted")
ONE_OF(is_consent, "autonomy", "pii_use", "external_share", "canary")

static const struct {
        Tag tag;
        bool required;
        bool (*form)(Str s);
        const char *rule;
} members[] = {
        {TAG_MSG_ID, true, is_msg_id, "must be msg_ and 10 or more of a-z 0-9"},
        {TAG_GKIND, true, is_kind, "must be event, command, query or reply"},
        {TAG_TYPE, true, is_type, "must be dotted lower case"},
        {TAG_VERSION, false, is_semver, "must be a semantic version"},
        {TAG_TS, true, is_time, "must be an RFC 3339 time"},
        {TAG_SCHEMA_REF, true, is_filled, "must not be empty"},
        {TAG_CORRELATION_ID, true, is_correlation_id, "must be cor_ and 6 or more of a-z 0-9 _ -"},
        {TAG_TRACEPARENT, true, is_traceparent, "must be a W3C traceparent"},
        {TAG_PRIORITY, true, is_priority, "must be P0, P1, P2 or P3"},
        {TAG_QOS, true, is_qos, "must be realtime, standard or bulk"},
        {TAG_PARTITION_KEY, true, is_filled, "must not be empty"},
        {TAG_IDEMPOTENCY_KEY, false, is_filled, "must not be empty"},
        {TAG_EXPIRES_AT, false, is_time, "must be an RFC 3339 time"},
        {TAG_GOVERNANCE_LABEL, false, is_label, "must be public, internal or restricted"},
        {TAG_CONSENT_SCOPE, false, is_consent, "must be autonomy, pii_use, external_share or canary"},
        {TAG_CHECKSUM, false, is_checksum, "must be sha256: and 64 hex digits"},
        {TAG_PAYLOAD_REF, false, is_filled, "must not be empty"},
};

/* ---- the check. Two passes over the same rules, errors first, so that a short list never hides one. */
typedef struct Report {
        GmeIssue *out;
        size_t n, cap;
        bool errors; /* this pass */
} Report;

static void issue(Report *r, bool error, Tag field, const char *code, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));
static void issue(Report *r, bool error, Tag field, const char *code, const char *fmt, ...) {
        GmeIssue *it;
        va_list ap;

        if (error != r->errors || r->n >= r->cap)
                return;
        it = &r->out[r->n++];
        *it = (GmeIssue){.error = error, .field = field, .code = code};
        va_start(ap, fmt);
        vsnprintf(it->message, sizeof(it->message), fmt, ap);
        va_end(ap);
}

static void check_members(const Msg *m, Report *r) {
        for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                const char *name = tag_info(members[i].tag)->json;
                size_t pos = 0;
                Str v;

                if (members[i].required && !msg_has(m, members[i].tag))
                        issue(r, true, members[i].tag, E_VALIDATION, "%s is missing", name);
                while (msg_next_str(m, members[i].tag, &pos, &v))
                        if (!members[i].form(v))
                                issue(r, true, members[i].tag, E_VALIDATION, "%s '%.*s' %s", name,
                                        v.n > 60 ? 60 : (int)v.n, v.p, members[i].rule);
        }
}

static void check_numbers(const Msg *m, Report *r) {
        uint64_t hops = msg_u64(m, TAG_HOP_COUNT, 0);

        if (hops > GME_HOP_MAX)
                issue(r, true, TAG_HOP_COUNT, E_POLICY,
                        "hop_count %" PRIu64
                        " is above the limit of %d: do events cause each other in a ring?",
                        hops, GME_HOP_MAX);
        else if (hops > GME_HOP_WARN)
                issue(r, false, TAG_HOP_COUNT, E_POLICY, "hop_count %" PRIu64 " is above %d", hops,
                        GME_HOP_WARN);
        if (msg_u64(m, TAG_DEADLINE_MS, 1) == 0)
                issue(r, true, TAG_DEADLINE_MS, E_VALIDATION, "deadline_ms must be 1 or more");
        static const Tag numbers[] = {TAG_DEADLINE_MS, TAG_REDELIVERY_COUNT};
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (msg_u64(m, numbers[i], 0) > JSON_NUMBER_MAX)
                        issue(r, true, numbers[i], E_VALIDATION, "%s is above 2^53",
                                tag_info(numbers[i])->json);
}

static void check_payload(const Msg *m, Report *r) {
        Str sum = msg_str(m, TAG_CHECKSUM);
        bool ref = msg_has(m, TAG_PAYLOAD_REF);
        const char *why = NULL;
        size_t at = 0;

        if (ref == (m->payload.n > 0))
                issue(r, true, TAG_PAYLOAD_REF, E_VALIDATION, "%s",
                        ref ? "payload and payload_ref exclude each other"
                            : "neither payload nor payload_ref");
        if (m->payload.n == 0)
                return;
        if (m->payload.n > GME_INLINE_MAX)
                issue(r, true, TAG_PAYLOAD_REF, E_TOO_LARGE,
                        "payload of %zu bytes is above the limit of %d, use payload_ref", m->payload.n,
                        GME_INLINE_MAX);
        else if (r->errors && json_check(m->payload, &at, &why) < 0)
                issue(r, true, TAG_PAYLOAD_REF, E_VALIDATION, "payload is not JSON: %s at byte %zu", why, at);
        if (r->errors && sum.p && is_checksum(sum)) {
                uint8_t hash[32];
                char hex[65];

                sha256(m->payload.p, m->payload.n, hash);
                hex_encode(hash, sizeof(hash), hex);
                if (memcmp(hex, sum.p + 7, 64) != 0)
                        issue(r, true, TAG_CHECKSUM, E_VALIDATION, "checksum is not that of the payload");
        }
}

static bool has_value(const Msg *m, Tag tag, const char *value) {
        size_t pos = 0;
        Str v;

        while (msg_next_str(m, tag, &pos, &v))
                if (str_eq(v, value))
                        return true;
        return false;
}

static void check_rules(const Msg *m, Report *r) {
        static const char *const approved_only[] = {
                "MLDL_DEPLOYMENT_REQUESTED", "POLICY_CHANGE", "SECURITY_EXCEPTION"};
        char name[160];

        if (msg_has(m, TAG_PII_FLAG) && !msg_has(m, TAG_CONSENT_SCOPE))
                issue(r, true, TAG_PII_FLAG, E_POLICY, "pii_flags without consent_scope");
        gme_name(msg_str(m, TAG_TYPE), name, sizeof(name));
        for (size_t i = 0; i < ELEMENTSOF(approved_only); i++)
                if (strcmp(name, approved_only[i]) == 0 && !has_value(m, TAG_RBAC, "gov.approve"))
                        issue(r, true, TAG_RBAC, E_FORBIDDEN, "%s needs rbac gov.approve", name);
        if (str_eq(msg_str(m, TAG_PRIORITY), "P0") && !str_eq(msg_str(m, TAG_QOS), "realtime"))
                issue(r, false, TAG_QOS, E_VALIDATION, "priority P0 without qos realtime");
        if (str_eq(msg_str(m, TAG_GOVERNANCE_LABEL), "restricted") && !msg_has(m, TAG_SIGNATURE) &&
                !msg_has(m, TAG_CHECKSUM))
                issue(r, false, TAG_SIGNATURE, E_POLICY, "restricted without signature or checksum");
}

size_t gme_check(const Msg *m, GmeIssue *out, size_t cap) {
        Report r = {.out = out, .cap = cap, .errors = true};

        for (int pass = 0; pass < 2; pass++, r.errors = false) {
                check_members(m, &r);
                check_numbers(m, &r);
                check_payload(m, &r);
                check_rules(m, &r);
        }
        return r.n;
}

/* ---- filling */
static void fill_ids(MsgBuilder *b, const Msg *seen) {
        char id[48];

        if (!msg_has(seen, TAG_MSG_ID)) {
                new_id("msg_", id, sizeof(id));
                msg_put_cstr(b, TAG_MSG_ID, id);
        }
        if (!msg_has(seen, TAG_CORRELATION_ID)) {
                new_id("cor_", id, sizeof(id));
                msg_put_cstr(b, TAG_CORRELATION_ID, id);
        }
        if (!msg_has(seen, TAG_TRACEPARENT)) {
                char span[48];

                new_id("", id, sizeof(id));
                new_id("", span, sizeof(span));
                /* a set bit in each: the all-zero id is the one that a traceparent may not have */
                msg_putf(b, TAG_TRACEPARENT, "00-%.31s1-%.15s1-01", id, span);
        }
}

void gme_fill(MsgBuilder *b, uint64_t wall_ns) {
        /* A view of what the caller has put so far; it stays true while fields are added behind it. */
        const Msg seen = {.type = b->type, .header = {(const char *)b->header, b->len}, .fd = -1};
        Str type = msg_str(&seen, TAG_TYPE), priority = msg_str(&seen, TAG_PRIORITY);
        char text[160];

        fill_ids(b, &seen);
        if (!msg_has(&seen, TAG_GKIND))
                msg_put_cstr(b, TAG_GKIND, "event");
        if (!msg_has(&seen, TAG_VERSION))
                msg_put_cstr(b, TAG_VERSION, "1.0.0");
        if (!msg_has(&seen, TAG_TS))
                msg_put_cstr(b, TAG_TS, format_time(wall_ns, text, sizeof(text)));
        if (!priority.p)
                msg_put_cstr(b, TAG_PRIORITY, "P2");
        if (!msg_has(&seen, TAG_QOS))
                msg_put_cstr(b, TAG_QOS, str_eq(priority, "P0") ? "realtime" : "standard");
        if (!msg_has(&seen, TAG_PARTITION_KEY)) {
                const Msg now = {.type = b->type, .header = {(const char *)b->header, b->len}, .fd = -1};

                msg_put_str(b, TAG_PARTITION_KEY, msg_str(&now, TAG_CORRELATION_ID));
        }
        if (!msg_has(&seen, TAG_SCHEMA_REF) && type.p) {
                Str domain = domain_of(type);

                gme_name(type, text, sizeof(text));
                for (char *c = text; *c; c++)
                        if (*c >= 'A' && *c <= 'Z')
                                *c = (char)(*c - 'A' + 'a');
                if (domain.n + strlen(text) <= 220)
                        msg_putf(b, TAG_SCHEMA_REF, "grace://contracts/%.*s.%s.schema.json", (int)domain.n,
                                domain.p, text);
                else
                        msg_put_cstr(b, TAG_SCHEMA_REF, "grace://contracts/unknown.schema.json");
        }
        if (!msg_has(&seen, TAG_HOP_COUNT))
                msg_put_u64(b, TAG_HOP_COUNT, 0);
}

/* ---- JSON */
static void member(const Msg *m, JsonWriter *w, Tag tag) {
        const TagInfo *info = tag_info(tag);

        if (!msg_has(m, tag))
                return;
        json_key(w, info->json);
        if (info->type == TAG_TYPE_STR)
                json_str(w, msg_str(m, tag));
        else {
                uint64_t v = msg_u64(m, tag, 0);

                json_u64(w, v < UINT64_C(1) << 53 ? v : UINT64_C(1) << 53);
        }
}

static void list_member(const Msg *m, JsonWriter *w, Tag tag) {
        size_t pos = 0;
        Str v;

        if (!msg_has(m, tag))
                return;
        json_key(w, tag_info(tag)->json);
        json_array_begin(w);
        while (msg_next_str(m, tag, &pos, &v))
                json_str(w, v);
        json_array_end(w);
}

void gme_to_json(const Msg *m, JsonWriter *w) {
        static const Tag head[] = {TAG_MSG_ID, TAG_GKIND, TAG_TYPE},
                         tail[] = {TAG_VERSION, TAG_TS, TAG_SOURCE};
        static const Tag headers[] = {TAG_SCHEMA_REF, TAG_CORRELATION_ID, TAG_TRACEPARENT, TAG_PRIORITY,
                TAG_QOS, TAG_PARTITION_KEY, TAG_CAUSATION_ID, TAG_REPLY_TO, TAG_EXPIRES_AT, TAG_DEADLINE_MS,
                TAG_IDEMPOTENCY_KEY, TAG_REDELIVERY_COUNT, TAG_CHECKSUM, TAG_SIGNATURE, TAG_GOVERNANCE_LABEL};
        Str type = msg_str(m, TAG_TYPE);
        char name[160];

        json_object_begin(w);
        for (size_t i = 0; i < ELEMENTSOF(head); i++)
                member(m, w, head[i]);
        json_key(w, "domain");
        json_str(w, domain_of(type));
        json_kv_str(w, "name", gme_name(type, name, sizeof(name)));
        for (size_t i = 0; i < ELEMENTSOF(tail); i++)
                member(m, w, tail[i]);
        json_key(w, "headers");
        json_object_begin(w);
        for (size_t i = 0; i < ELEMENTSOF(headers); i++)
                member(m, w, headers[i]);
        list_member(m, w, TAG_PII_FLAG);
        list_member(m, w, TAG_CONSENT_SCOPE);
        list_member(m, w, TAG_RBAC);
        member(m, w, TAG_TRACESTATE);
        member(m, w, TAG_HOP_COUNT);
        json_object_end(w);
        member(m, w, TAG_RESOURCE);
        if (m->payload.n > 0) {
                json_key(w, "payload");
                json_raw(w, m->payload);
        }
        member(m, w, TAG_PAYLOAD_REF);
        if (m->type == MSG_EVENT)
                member(m, w, TAG_INDEX);
        json_object_end(w);
}
