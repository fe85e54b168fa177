/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/governance/gate-input.h"
#include "chunks/governance/gate-core.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTEGER_MAX (1ll << 53)

uint64_t gate_elapsed_us(const GateNow *then, const GateNow *now) {
        bool same = memcmp(then->boot_id, now->boot_id, 16) == 0;
        uint64_t a = same ? then->boot_us : then->wall_us, b = same ? now->boot_us : now->wall_us;
        return b > a ? b - a : 0;
}

bool gate_clock_went_back(const GateNow *then, const GateNow *now) {
        return memcmp(then->boot_id, now->boot_id, 16) != 0 && now->wall_us < then->wall_us;
}

static int refuse(char *why, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int refuse(char *why, size_t cap, const char *fmt, ...) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(why, cap, fmt, ap);
        va_end(ap);
        return -EINVAL;
}

/* Names become keys of the recorded request: printable, at most 63 bytes. */
static bool name_valid(Str s) {
        if (s.n == 0 || s.n > 63)
                return false;
        for (size_t i = 0; i < s.n; i++)
                if (!isalnum((unsigned char)s.p[i]) && !strchr("_.-/:@", s.p[i]))
                        return false;
        return true;
}

/* "name=i:12", "name=s:text", "name=b:1" */
static int parse_fact(Str s, GateFact *f) {
        Str name, value;
        char number[24];
        if (!str_split(s, '=', &name, &value) || !name_valid(name) || value.n < 2 || value.p[1] != ':')
                return -EINVAL;
        str_copy(f->name, sizeof(f->name), name);
        char type = value.p[0];
        value = (Str){value.p + 2, value.n - 2};
        if (type == 's') {
                f->type = RULE_STRING;
                str_copy(f->s, sizeof(f->s), value);
                return value.n < sizeof(f->s) ? 0 : -EINVAL;
        }
        if (value.n == 0 || value.n >= sizeof(number))
                return -EINVAL;
        str_copy(number, sizeof(number), value);
        if (type == 'b') {
                f->type = RULE_BOOL;
                f->i = strcmp(number, "1") == 0;
                return f->i || strcmp(number, "0") == 0 ? 0 : -EINVAL;
        }
        char *end;
        errno = 0;
        f->type = RULE_INT;
        f->i = strtoll(number, &end, 10);
        return type == 'i' && !errno && !*end && strchr("-0123456789", number[0]) && f->i <= INTEGER_MAX &&
                               f->i >= -INTEGER_MAX
                       ? 0
                       : -EINVAL;
}

static int by_name(const void *a, const void *b) {
        return strcmp(((const GateFact *)a)->name, ((const GateFact *)b)->name);
}

static int read_facts(const Msg *m, Tag tag, GateFact *facts, unsigned *n, char *why, size_t cap) {
        size_t pos = 0;
        Str s;
        *n = 0;
        while (msg_next_str(m, tag, &pos, &s)) {
                if (*n == GATE_FACTS_MAX || parse_fact(s, &facts[*n]) < 0) {
                        *n = 0;
                        return refuse(why, cap, "a malformed %s: '%.*s'", tag_info(tag)->json,
                                (int)(s.n < 60 ? s.n : 60), s.p);
                }
                (*n)++;
        }
        qsort(facts, *n, sizeof(GateFact), by_name);
        for (unsigned i = 1; i < *n; i++)
                if (strcmp(facts[i].name, facts[i - 1].name) == 0) {
                        *n = 0;
                        return refuse(why, cap, "%s '%s' stands twice", tag_info(tag)->json, facts[i].name);
                }
        return 0;
}

static int label_order(const void *a, const void *b) {
        const char *x = a, *y = b;
        size_t n = strcspn(x, "="), m = strcspn(y, "=");
        int d = memcmp(x, y, n < m ? n : m);
        return d ? d : (n > m) - (n < m);
}

static int read_labels(GateInput *in, const Msg *m, char *why, size_t cap) {
        size_t pos = 0;
        Str s, k, v;
        while (msg_next_str(m, TAG_LABEL, &pos, &s)) {
                if (in->n_labels == GATE_LABELS_MAX || !str_split(s, '=', &k, &v) || !name_valid(k) ||
                        s.n >= sizeof(in->labels[0])) {
                        in->n_labels = 0;
                        return refuse(why, cap, "a malformed label: '%.*s'", (int)(s.n < 60 ? s.n : 60), s.p);
                }
                str_copy(in->labels[in->n_labels++], sizeof(in->labels[0]), s);
        }
        qsort(in->labels, in->n_labels, sizeof(in->labels[0]), label_order);
        for (unsigned i = 1; i < in->n_labels; i++)
                if (label_order(in->labels[i], in->labels[i - 1]) == 0) {
                        in->n_labels = 0;
                        return refuse(why, cap, "a label stands twice");
                }
        return 0;
}

/* NULL, or what is wrong with its arguments; it has none then. */
static const char *read_request(ActionRequest *r, const Msg *m) {
        Str k, v;
        bool good = request_from_msg(r, m) == 0;
        for (unsigned i = 0; good && i < r->n_args; i++)
                good = str_split(str_of(r->args[i]), '=', &k, &v) && name_valid(k);
        const char *wrong = !good                      ? "a malformed argument"
                            : request_sort_args(r) < 0 ? "an argument stands twice"
                                                       : NULL;
        if (wrong)
                r->n_args = 0;
        return wrong;
}

static int read_moment(GateInput *in, const Msg *m, char *why, size_t cap) {
        int mode = mode_from_string(msg_str(m, TAG_MODE));
        in->now.boot_us = msg_u64(m, TAG_NOW_BOOT_US, 0);
        in->now.wall_us = msg_u64(m, TAG_TIME_NS, 0) / 1000;
        in->paused = msg_bool(m, TAG_PAUSED, false);
        in->lockdown = msg_bool(m, TAG_LOCKDOWN, false);
        in->break_glass = msg_bool(m, TAG_BREAK_GLASS, false);
        in->mode = mode > 0 ? (Mode)mode : MODE_ENFORCE;
        int r = read_facts(m, TAG_FACT, in->facts, &in->n_facts, why, cap);
        if (r == 0 && mode <= 0)
                r = refuse(why, cap, "there is no such mode");
        return r;
}

static void read_identity(GateInput *in, const Msg *m) {
        memcpy(in->digest, msg_bytes(m, TAG_DIGEST), 32);
        str_copy(in->purpose, sizeof(in->purpose), msg_str(m, TAG_PURPOSE));
        str_copy(in->actor_kind, sizeof(in->actor_kind), msg_str(m, TAG_ACTOR_KIND));
        str_copy(in->reason, sizeof(in->reason), msg_str(m, TAG_REASON));
        str_copy(in->correlation_id, sizeof(in->correlation_id), msg_str(m, TAG_CORRELATION_ID));
        in->uid = msg_u64(m, TAG_UID, UINT64_MAX);
        in->role = ROLE_NOBODY;
        in->priority_milli = msg_u64(m, TAG_PRIORITY_MILLI, 0);
        in->critical = msg_bool(m, TAG_CRITICAL, true);
        in->can_fail = msg_bool(m, TAG_CAN_FAIL, false);
        in->trust = -1;
}

static bool one_of(const char *s, const char *a, const char *b, const char *c) {
        return strcmp(s, a) == 0 || strcmp(s, b) == 0 || strcmp(s, c) == 0;
}

int gate_input_from_decide(GateInput *in, const Msg *m, char *why, size_t cap) {
        uint8_t digest[32];
        Str s;
        size_t pos = 0;
        memset(in, 0, sizeof(*in));
        read_identity(in, m);
        const char *wrong = read_request(&in->request, m);
        int r = read_moment(in, m, why, cap);
        if (r == 0 && wrong)
                r = refuse(why, cap, "%s", wrong);
        if (r == 0)
                r = read_facts(m, TAG_CLAIM, in->claims, &in->n_claims, why, cap);
        if (r == 0 && GATE_FAULTY(CLAIMS_ARE_FACTS))
                r = read_facts(m, TAG_CLAIM, in->facts, &in->n_facts, why, cap);
        if (r == 0)
                r = read_labels(in, m, why, cap);
        if (r < 0)
                return r;
        while (in->n_heal < GATE_HEAL_MAX && msg_next_str(m, TAG_HEAL, &pos, &s))
                str_copy(in->heal[in->n_heal++], sizeof(in->heal[0]), s);
        if (!one_of(in->actor_kind, "person", "unit", "supervisor"))
                return refuse(why, cap, "there is no such kind of actor: '%.16s'", in->actor_kind);
        if (!one_of(in->purpose, "act", "check", "check"))
                return refuse(why, cap, "there is no such purpose: '%.16s'", in->purpose);
        if (msg_has(m, TAG_ROLE)) {
                int role = role_from_string(msg_str(m, TAG_ROLE));
                if (role < 0)
                        return refuse(why, cap, "there is no such role");
                in->role = (Role)role;
        }
        request_digest(&in->request, digest);
        if (memcmp(digest, in->digest, 32) != 0)
                return refuse(why, cap, "the digest is not that of the request");
        return 0;
}

int gate_input_refresh(GateInput *in, const Msg *m, char *why, size_t cap) {
        return read_moment(in, m, why, cap);
}

/* ---- JSON */
static void write_facts(JsonWriter *w, const char *key, const GateFact *facts, unsigned n) {
        json_key(w, key);
        json_object_begin(w);
        for (unsigned i = 0; i < n; i++) {
                json_key(w, facts[i].name);
                if (facts[i].type == RULE_STRING)
                        json_cstr(w, facts[i].s);
                else if (facts[i].type == RULE_BOOL)
                        json_bool(w, facts[i].i);
                else
                        json_i64(w, facts[i].i);
        }
        json_object_end(w);
}

/* "k=v" items, sorted by k, as an object */
static void write_pairs(JsonWriter *w, const char *key, const char *items, size_t stride, unsigned n) {
        json_key(w, key);
        json_object_begin(w);
        for (unsigned i = 0; i < n; i++) {
                Str k, v;
                char name[64];
                str_split(str_of(items + i * stride), '=', &k, &v);
                json_key(w, str_copy(name, sizeof(name), k));
                json_str(w, v);
        }
        json_object_end(w);
}

static void write_hex(JsonWriter *w, const char *key, const void *p, size_t n) {
        json_key(w, key);
        json_hex(w, p, n);
}

static void write_context(const GateInput *in, JsonWriter *w) {
        json_object_begin(w);
        json_kv_bool(w, "break_glass", in->break_glass);
        json_key(w, "budget");
        json_object_begin(w);
        for (unsigned i = 0; i < in->n_budgets; i++)
                json_kv_i64(w, in->budgets[i].id, in->budgets[i].left);
        json_object_end(w);
        write_facts(w, "claims", in->claims, in->n_claims);
        write_facts(w, "facts", in->facts, in->n_facts);
        json_kv_u64_or_null(w, "incident", in->request.incident);
        json_kv_bool(w, "lockdown", in->lockdown);
        json_kv_str(w, "mode", mode_to_string((int)in->mode));
        json_key(w, "now");
        json_object_begin(w);
        write_hex(w, "boot_id", in->now.boot_id, 16);
        json_kv_u64(w, "boot_us", in->now.boot_us);
        json_kv_u64(w, "wall_us", in->now.wall_us);
        json_object_end(w);
        json_kv_bool(w, "paused", in->paused);
        json_object_end(w);
}

static void write_actor(const GateInput *in, JsonWriter *w) {
        json_object_begin(w);
        json_kv_str(w, "id", in->request.actor);
        json_kv_str(w, "kind", in->actor_kind);
        json_kv_str(w, "role", role_to_string((int)in->role));
        if (in->trust < 0)
                json_kv_null(w, "trust");
        else
                json_kv_i64(w, "trust", in->trust);
        json_kv_u64_or_null(w, "uid", in->uid);
        json_object_end(w);
}

static void write_resource(const GateInput *in, JsonWriter *w) {
        json_object_begin(w);
        json_kv_bool(w, "can_fail", in->can_fail);
        json_kv_bool(w, "critical", in->critical);
        json_key(w, "heal");
        json_array_begin(w);
        for (unsigned i = 0; i < in->n_heal; i++)
                json_cstr(w, in->heal[i]);
        json_array_end(w);
        write_pairs(w, "labels", in->labels[0], sizeof(in->labels[0]), in->n_labels);
        json_kv_str(w, "name", in->request.target);
        json_kv_u64(w, "priority_milli", in->priority_milli);
        json_object_end(w);
}

void gate_input_to_json(const GateInput *in, JsonWriter *w) {
        const ActionRequest *r = &in->request;
        json_object_begin(w);
        json_kv_str(w, "action", r->action);
        json_key(w, "actor");
        write_actor(in, w);
        write_pairs(w, "args", r->args[0], sizeof(r->args[0]), r->n_args);
        json_key(w, "context");
        write_context(in, w);
        json_kv_str(w, "correlation_id", in->correlation_id);
        json_key(w, "incarnation");
        json_object_begin(w);
        write_hex(w, "boot_id", r->incarnation.boot_id, 16);
        json_kv_u64(w, "pid", r->incarnation.pid);
        json_kv_u64(w, "start_time", r->incarnation.start_time);
        json_object_end(w);
        json_kv_str(w, "reason", in->reason);
        write_hex(w, "request_id", r->request_id, 16);
        json_key(w, "resource");
        write_resource(in, w);
        json_object_end(w);
}

static void take(char *dst, size_t cap, const json_t *o, const char *key) {
        str_copy(dst, cap, str_of(json_get_str(o, key, "")));
}

static int take_facts(const json_t *o, GateFact *facts, unsigned *n) {
        const char *key;
        json_t *v;
        json_object_foreach((json_t *)(uintptr_t)o, key, v) {
                if (*n == GATE_FACTS_MAX)
                        return -EINVAL;
                GateFact *f = &facts[(*n)++];
                str_copy(f->name, sizeof(f->name), str_of(key));
                f->type = json_is_string(v) ? RULE_STRING : json_is_boolean(v) ? RULE_BOOL : RULE_INT;
                f->i = json_is_boolean(v) ? json_is_true(v) : json_integer_value(v);
                str_copy(f->s, sizeof(f->s), str_of(json_is_string(v) ? json_string_value(v) : ""));
        }
        qsort(facts, *n, sizeof(GateFact), by_name);
        return 0;
}

static int take_pairs(const json_t *o, char *items, size_t stride, unsigned max, unsigned *n) {
        const char *key;
        json_t *v;
        json_object_foreach((json_t *)(uintptr_t)o, key, v) {
                const char *text = json_string_value(v);
                if (*n == max || !text || strlen(key) + strlen(text) + 2 > stride)
                        return -EINVAL;
                size_t len = strlen(key);
                char *at = items + *n * stride;
                memcpy(at, key, len);
                at[len] = '=';
                str_copy(at + len + 1, stride - len - 1, str_of(text));
                (*n)++;
        }
        return 0;
}

static int take_context(GateInput *in, const json_t *c) {
        const json_t *now = json_object_get(c, "now");
        const char *key;
        json_t *v;
        int mode = mode_from_string(str_of(json_get_str(c, "mode", "")));
        in->break_glass = json_get_bool(c, "break_glass", false);
        in->lockdown = json_get_bool(c, "lockdown", false);
        in->paused = json_get_bool(c, "paused", false);
        in->request.incident = json_get_u64(c, "incident", UINT64_MAX);
        in->now.boot_us = json_get_u64(now, "boot_us", 0);
        in->now.wall_us = json_get_u64(now, "wall_us", 0);
        json_object_foreach(json_object_get(c, "budget"), key, v) {
                if (in->n_budgets == GATE_BUDGETS_MAX)
                        return -EINVAL;
                str_copy(in->budgets[in->n_budgets].id, sizeof(in->budgets[0].id), str_of(key));
                in->budgets[in->n_budgets++].left = json_integer_value(v);
        }
        if (mode < 0 || !json_get_hex(now, "boot_id", in->now.boot_id, 16) ||
                take_facts(json_object_get(c, "facts"), in->facts, &in->n_facts) < 0 ||
                take_facts(json_object_get(c, "claims"), in->claims, &in->n_claims) < 0)
                return -EINVAL;
        in->mode = (Mode)mode;
        return 0;
}

int gate_input_from_json(GateInput *in, const json_t *request, const char *purpose) {
        const json_t *actor = json_object_get(request, "actor"),
                     *resource = json_object_get(request, "resource"),
                     *inc = json_object_get(request, "incarnation");
        ActionRequest *r = &in->request;
        memset(in, 0, sizeof(*in));
        take(r->action, sizeof(r->action), request, "action");
        take(r->actor, sizeof(r->actor), actor, "id");
        take(in->actor_kind, sizeof(in->actor_kind), actor, "kind");
        take(r->target, sizeof(r->target), resource, "name");
        take(in->correlation_id, sizeof(in->correlation_id), request, "correlation_id");
        take(in->reason, sizeof(in->reason), request, "reason");
        str_copy(in->purpose, sizeof(in->purpose), str_of(purpose));
        int role = role_from_string(str_of(json_get_str(actor, "role", "")));
        in->trust = json_get_i64(actor, "trust", -1);
        in->uid = json_get_u64(actor, "uid", UINT64_MAX);
        in->can_fail = json_get_bool(resource, "can_fail", false);
        in->critical = json_get_bool(resource, "critical", true);
        in->priority_milli = json_get_u64(resource, "priority_milli", 0);
        r->incarnation.pid = json_get_u64(inc, "pid", 0);
        r->incarnation.start_time = json_get_u64(inc, "start_time", 0);
        size_t i;
        json_t *v;
        json_array_foreach(json_object_get(resource, "heal"), i, v) if (in->n_heal < GATE_HEAL_MAX)
                str_copy(in->heal[in->n_heal++], sizeof(in->heal[0]), str_of(json_string_value(v)));
        if (role < 0 || !json_get_hex(request, "request_id", r->request_id, 16) ||
                !json_get_hex(inc, "boot_id", r->incarnation.boot_id, 16) ||
                take_pairs(json_object_get(request, "args"), r->args[0], sizeof(r->args[0]), REQUEST_ARGS_MAX,
                        &r->n_args) < 0 ||
                take_pairs(json_object_get(resource, "labels"), in->labels[0], sizeof(in->labels[0]),
                        GATE_LABELS_MAX, &in->n_labels) < 0 ||
                take_context(in, json_object_get(request, "context")) < 0 || request_sort_args(r) < 0)
                return -EINVAL;
        in->role = (Role)role;
        qsort(in->labels, in->n_labels, sizeof(in->labels[0]), label_order);
        request_digest(r, in->digest);
        return 0;
}
