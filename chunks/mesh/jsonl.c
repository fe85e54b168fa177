/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/jsonl.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

/* Ends where its last whole character does: what was cut may have had longer ones. */
static void whole(char *text) {
        Str rest = str_of(text);

        for (size_t step; rest.n > 0 && (step = str_utf8_step(rest)) > 0; rest.n -= step)
                rest.p += step;
        text[strlen(text) - rest.n] = 0;
}

static int wrong(JsonlError *err, const char *code, const char *field, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
static int wrong(JsonlError *err, const char *code, const char *field, const char *fmt, ...) {
        va_list ap;

        snprintf(err->code, sizeof(err->code), "%s", code);
        snprintf(err->field, sizeof(err->field), "%s", field ? field : "");
        va_start(ap, fmt);
        vsnprintf(err->message, sizeof(err->message), fmt, ap);
        va_end(ap);
        whole(err->field);
        whole(err->message);
        return -EINVAL;
}

/* ---- publish */

/* What a publisher may say; the rest of the envelope is the mesh's. */
static const Tag MEMBERS[] = {TAG_MSG_ID, TAG_GKIND, TAG_TYPE, TAG_VERSION, TAG_TS, TAG_SCHEMA_REF,
        TAG_CORRELATION_ID, TAG_TRACEPARENT, TAG_TRACESTATE, TAG_PRIORITY, TAG_QOS, TAG_PARTITION_KEY,
        TAG_CAUSATION_ID, TAG_REPLY_TO, TAG_IDEMPOTENCY_KEY, TAG_HOP_COUNT, TAG_DEADLINE_MS, TAG_EXPIRES_AT,
        TAG_GOVERNANCE_LABEL, TAG_PII_FLAG, TAG_CONSENT_SCOPE, TAG_RBAC, TAG_CHECKSUM, TAG_SIGNATURE,
        TAG_PAYLOAD_REF, TAG_REDELIVERY_COUNT, TAG_RESOURCE};

static int list_put(MsgBuilder *b, Tag t, const char *key, const json_t *v, JsonlError *err) {
        for (size_t i = 0; i < json_array_size(v); i++) {
                const json_t *item = json_array_get(v, i);

                if (!json_is_string(item))
                        return wrong(err, "E.VALIDATION", key, "'%s' is a list of texts", key);
                msg_put_str(b, t, (Str){json_string_value(item), json_string_length(item)});
        }
        return 0;
}

static int member_put(MsgBuilder *b, const char *key, const json_t *v, JsonlError *err) {
        for (size_t i = 0; i < ELEMENTSOF(MEMBERS); i++) {
                Tag t = MEMBERS[i];
                const TagInfo *info = tag_info(t);

                if (strcmp(info->json, key) != 0)
                        continue;
                if (t == TAG_PII_FLAG || t == TAG_CONSENT_SCOPE || t == TAG_RBAC) {
                        if (!json_is_array(v))
                                return wrong(err, "E.VALIDATION", key, "'%s' is a list of texts", key);
                        return list_put(b, t, key, v, err);
                }
                if (info->type == TAG_TYPE_U64) {
                        if (!json_is_integer(v) || json_integer_value(v) < 0)
                                return wrong(err, "E.VALIDATION", key, "'%s' is a number, not negative", key);
                        msg_put_u64(b, t, (uint64_t)json_integer_value(v));
                        return 0;
                }
                if (!json_is_string(v))
                        return wrong(err, "E.VALIDATION", key, "'%s' is a text", key);
                if (json_string_length(v) > info->max)
                        return wrong(err, "E.VALIDATION", key, "'%s' has more than %u bytes", key, info->max);
                if (strlen(json_string_value(v)) != json_string_length(v))
                        return wrong(err, "E.VALIDATION", key, "'%s' holds a NUL", key);
                msg_put_str(b, t, (Str){json_string_value(v), json_string_length(v)});
                return 0;
        }
        if (strcmp(key, "source") == 0)
                return wrong(err, "E.FORBIDDEN", key, "the mesh writes 'source' from the socket");
        return wrong(err, "E.VALIDATION", key, "'%s' is no member of the envelope", key);
}

/* domain and name follow from type: they may stand there when they say the same. */
static int derived_check(json_t *line, JsonlError *err) {
        const char *type = json_get_str(line, "type", ""), *domain = json_get_str(line, "domain", NULL),
                   *name = json_get_str(line, "name", NULL);
        size_t n = strcspn(type, ".");
        char upper[160];

        if (domain && (strlen(domain) != n || strncmp(domain, type, n) != 0))
                return wrong(err, "E.VALIDATION", "domain", "'domain' is not the first segment of 'type'");
        snprintf(upper, sizeof(upper), "%s", type);
        for (char *c = upper; *c; c++)
                *c = *c == '.' ? '_' : (*c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c);
        if (name && strcmp(name, upper) != 0)
                return wrong(err, "E.VALIDATION", "name", "'name' is not 'type' in upper case");
        return 0;
}

static int publish_parse(json_t *line, JsonlOp *op, JsonlError *err) {
        json_t *headers = json_object_get(line, "headers"), *payload = json_object_get(line, "payload"), *v;
        const char *key;
        int r = derived_check(line, err);

        msg_begin(&op->publish, MSG_PUBLISH);
        if (r < 0)
                return r;
        if (headers && !json_is_object(headers))
                return wrong(err, "E.VALIDATION", "headers", "'headers' is an object");
        if (!json_is_string(json_object_get(line, "type")))
                return wrong(err, "E.VALIDATION", "type", "an event has a 'type'");
        json_object_foreach(line, key, v) {
                static const char *const other[] = {"op", "req", "payload", "headers", "domain", "name"};
                bool skip = false;

                for (size_t i = 0; i < ELEMENTSOF(other); i++)
                        skip |= strcmp(other[i], key) == 0;
                r = skip ? 0 : member_put(&op->publish, key, v, err);
                if (r < 0)
                        return r;
        }
        json_object_foreach(headers, key, v) {
                if (json_object_get(line, key))
                        return wrong(err, "E.VALIDATION", key, "'%s' stands in headers and beside them", key);
                r = member_put(&op->publish, key, v, err);
                if (r < 0)
                        return r;
        }
        if (op->publish.error < 0)
                return wrong(err, "E.VALIDATION", NULL, "the envelope is too large");
        op->payload = payload ? json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        return payload && !op->payload ? -ENOMEM : 0;
}

/* ---- the others */

static int text_get(json_t *line, const char *key, char *out, size_t cap, JsonlError *err) {
        const json_t *v = json_object_get(line, key);

        if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) >= cap)
                return wrong(err, "E.VALIDATION", key, "'%s' is a text of 1 to %zu bytes", key, cap - 1);
        memcpy(out, json_string_value(v), json_string_length(v) + 1);
        return 0;
}

static int keys_check(json_t *line, const char *const *allowed, JsonlError *err) {
        const char *key;
        json_t *v;

        json_object_foreach(line, key, v) {
                unsigned i = 0;

                while (allowed[i] && strcmp(allowed[i], key) != 0)
                        i++;
                if (!allowed[i])
                        return wrong(err, "E.VALIDATION", key, "unknown key '%s'", key);
        }
        return 0;
}

static int result_parse(json_t *line, JsonlOp *op, JsonlError *err) {
        static const char *const keys[] = {"op", "req", "ok", "code", "message", "result", NULL};
        json_t *ok = json_object_get(line, "ok"), *result = json_object_get(line, "result");
        int r = keys_check(line, keys, err);

        if (r < 0)
                return r;
        if (!json_is_boolean(ok))
                return wrong(err, "E.VALIDATION", "ok", "a result has 'ok': true or false");
        if (op->req == JSONL_NO_REQ)
                return wrong(err, "E.VALIDATION", "req", "a result has the 'req' of its invoke");
        op->ok = json_is_true(ok);
        snprintf(op->code, sizeof(op->code), "%s",
                op->ok ? "ok" : json_get_str(line, "code", "E.NON_RETRYABLE"));
        snprintf(op->message, sizeof(op->message), "%s", json_get_str(line, "message", ""));
        if (!op->ok && strncmp(op->code, "E.", 2) != 0)
                return wrong(err, "E.VALIDATION", "code", "'code' is one of the E.* codes");
        op->payload = result ? json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        return result && !op->payload ? -ENOMEM : 0;
}

static int kind_parse(json_t *line, const char *name, JsonlOp *op, JsonlError *err) {
        static const char *const subscribe[] = {"op", "req", "pattern", NULL}, *const reg[] = {"op", "req",
                                                                                       "handler", NULL};
        int r;

        if (strcmp(name, "publish") == 0) {
                op->kind = JSONL_PUBLISH;
                return publish_parse(line, op, err);
        }
        if (strcmp(name, "subscribe") == 0) {
                op->kind = JSONL_SUBSCRIBE;
                r = keys_check(line, subscribe, err);
                return r < 0 ? r : text_get(line, "pattern", op->pattern, sizeof(op->pattern), err);
        }
        if (strcmp(name, "register") == 0) {
                op->kind = JSONL_REGISTER;
                r = keys_check(line, reg, err);
                return r < 0 ? r : text_get(line, "handler", op->handler, sizeof(op->handler), err);
        }
        if (strcmp(name, "result") == 0) {
                op->kind = JSONL_RESULT;
                return result_parse(line, op, err);
        }
        return wrong(err, "E.VALIDATION", "op", "'op' is publish, subscribe, register or result");
}

int jsonl_parse(Str line, JsonlOp *ret, JsonlError *err) {
        auto_json json_t *j = NULL;
        char why[160] = "";
        const json_t *req;
        int r = json_read(line, JSONL_LINE_MAX, &j, why, sizeof(why));

        *ret = (JsonlOp){.req = JSONL_NO_REQ};
        *err = (JsonlError){.req = JSONL_NO_REQ};
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return wrong(err, "E.VALIDATION", NULL, "not JSON: %s", why);
        if (!json_is_object(j))
                return wrong(err, "E.VALIDATION", NULL, "a line is one JSON object");
        req = json_object_get(j, "req");
        /* an answer with it must be JSON that everybody reads alike */
        if (req && (!json_is_integer(req) || json_integer_value(req) < 0 ||
                           json_integer_value(req) > JSON_NUMBER_MAX))
                return wrong(err, "E.VALIDATION", "req", "'req' is a number from 0 to 2^53");
        if (req)
                ret->req = err->req = (uint64_t)json_integer_value(req);
        r = kind_parse(j, json_get_str(j, "op", ""), ret, err);
        if (r < 0)
                jsonl_op_done(ret);
        return r;
}

void jsonl_op_done(JsonlOp *op) {
        free(op->payload);
        op->payload = NULL;
}

/* ---- answers */

static int line_end(JsonWriter *w, Buf *out) {
        int r = json_finish(w);

        return r < 0 ? r : buf_append(out, "\n", 1);
}

int jsonl_answer(const MeshAnswer *a, Buf *out) {
        JsonWriter w;
        size_t at = 0;
        Str issue;

        json_init(&w, out, false);
        json_object_begin(&w);
        if (a->req != JSONL_NO_REQ)
                json_kv_u64(&w, "req", a->req);
        json_kv_bool(&w, "ok", a->status == 0);
        if (a->status == 0) {
                if (a->index != UINT64_MAX)
                        json_kv_u64(&w, "index", a->index);
        } else {
                json_kv_str(&w, "code", a->code);
                json_kv_str(&w, "message", a->message ? a->message : "");
                if (a->field)
                        json_kv_str(&w, "field", a->field);
                if (a->retry_after_ms)
                        json_kv_u64(&w, "retry_after_ms", a->retry_after_ms);
        }
        if (a->issues) {
                json_key(&w, "issues");
                json_array_begin(&w);
                while (msg_next_str(a->issues, TAG_ISSUE, &at, &issue))
                        json_str(&w, issue);
                json_array_end(&w);
        }
        json_object_end(&w);
        return line_end(&w, out);
}

int jsonl_event(const MeshEvent *e, Buf *out) {
        int r = buf_append(out, "{\"event\":", 9);

        if (r == 0)
                r = mesh_event_json(e, out);
        return r < 0 ? r : buf_append(out, "}\n", 2);
}

int jsonl_invoke(uint64_t req, const char *handler, const MeshEvent *trigger, Str params, Buf *out) {
        Buf envelope = BUF_INIT(2 * FRAME_MAX);
        JsonWriter w;
        int r = mesh_event_json(trigger, &envelope);

        if (r == 0) {
                json_init(&w, out, false);
                json_object_begin(&w);
                json_key(&w, "invoke");
                json_object_begin(&w);
                json_kv_u64(&w, "req", req);
                json_kv_str(&w, "handler", handler);
                json_key(&w, "params");
                json_raw(&w, params);
                json_key(&w, "event");
                json_raw(&w, (Str){(const char *)envelope.data, envelope.len});
                json_object_end(&w);
                json_object_end(&w);
                r = line_end(&w, out);
        }
        buf_done(&envelope);
        return r;
}
