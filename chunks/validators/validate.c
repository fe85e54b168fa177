/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/validators/validate.h"
#include "common/cleanup.h"
#include "common/gme.h"
#include "common/rules/rules-json.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct Scope {
        const Msg *msg;
        const json_t *payload; /* NULL: none */
        Str *set;
} Scope;

static ValidationIssue *report_add(ValidationReport *r, ValidationLayer layer, ValidationSeverity severity,
        const char *code, const char *path) {
        ValidationIssue *i;

        if (severity >= SEVERITY_HIGH)
                r->refused = true;
        if (r->n == VALIDATION_ISSUES_MAX)
                return NULL;
        i = &r->issues[r->n++];
        *i = (ValidationIssue){.layer = layer, .severity = severity};
        str_copy(i->code, sizeof(i->code), str_of(code));
        str_copy(i->path, sizeof(i->path), str_of(path));
        return i;
}

/* ---- syntax */

static const JsonSchema *schema_find(const Validation *v, const char *name) {
        for (size_t i = 0; i < v->n_schemas; i++)
                if (strcmp(v->schemas[i].name, name) == 0)
                        return v->schemas[i].schema;
        return NULL;
}

static void syntax_check(
        const Validation *v, const EventType *t, const json_t *payload, ValidationReport *r) {
        const JsonSchema *schema = t && (t->flags & EVENT_VALIDATE) && t->payload_schema[0]
                                           ? schema_find(v, t->payload_schema)
                                           : NULL;
        SchemaIssue found[SCHEMA_ISSUES_MAX];
        size_t n;

        if (!schema)
                return;
        if (!payload) {
                ValidationIssue *i = report_add(r, LAYER_SYNTAX, SEVERITY_CRITICAL, "payload-missing", "");

                if (i)
                        snprintf(i->message, sizeof(i->message),
                                "the type has a payload schema and the event no payload");
                return;
        }
        n = json_schema_check(schema, payload, found, SCHEMA_ISSUES_MAX);
        for (size_t k = 0; k < n; k++) {
                ValidationIssue *i =
                        report_add(r, LAYER_SYNTAX, SEVERITY_CRITICAL, found[k].keyword, found[k].path);

                if (!i)
                        return;
                snprintf(i->message, sizeof(i->message), "%s", found[k].message);
                snprintf(i->hint, sizeof(i->hint), "schemas/%s", t->payload_schema);
        }
}

/* ---- rules */

/* id: the tag of the envelope's member, 0 for the payload and 1 for its size */
static int lookup(void *user, unsigned id, const char *field, RuleValue *ret) {
        Scope *s = user;
        const TagInfo *info;

        if (id == 0)
                return rule_json_value(
                        s->payload ? json_get_path(s->payload, field + strlen("payload.")) : NULL, &s->set,
                        ret);
        if (id == 1) {
                *ret = (RuleValue){.type = RULE_INT, .i = (int64_t)s->msg->payload.n};
                return 0;
        }
        info = tag_info(id);
        if (!msg_has(s->msg, (Tag)id))
                return 1;
        if (info->type == TAG_TYPE_U64)
                *ret = (RuleValue){.type = RULE_INT, .i = (int64_t)msg_u64(s->msg, (Tag)id, 0)};
        else
                *ret = (RuleValue){.type = RULE_STRING, .s = msg_str(s->msg, (Tag)id)};
        return 0;
}

static bool rule_applies(const ValidationRule *rule, const EventType *t, const char *type) {
        unsigned wanted = rule->constitutional ? EVENT_CONSTITUTIONAL : EVENT_VALIDATE;

        if (!t || !(t->flags & wanted))
                return false;
        for (unsigned i = 0; i < rule->n_types; i++)
                if (pattern_match(rule->types[i], type))
                        return true;
        return rule->n_types == 0;
}

static void rule_check(const ValidationRule *rule, Scope *s, ValidationReport *r) {
        RuleContext c = {lookup, s};
        ValidationIssue *i;

        /* an error in `when` is no way around the rule */
        if (rule->when && rule_eval(rule->when, &c) == RULE_NO)
                return;
        if (rule_eval(rule->require, &c) == RULE_MATCH)
                return;
        i = report_add(r, rule->layer, rule->severity, rule->id, rule->path);
        if (rule->constitutional && rule->severity >= SEVERITY_HIGH)
                r->constitutional = true;
        if (!i)
                return;
        i->constitutional = rule->constitutional;
        snprintf(i->message, sizeof(i->message), "%s", rule->message);
        if (rule->hint[0])
                snprintf(i->hint, sizeof(i->hint), "%s", rule->hint);
        else
                rule_explain(rule->require, &c, i->hint, sizeof(i->hint));
}

int validation_check(const Validation *v, const Msg *m, ValidationReport *ret) {
        auto_json json_t *payload = NULL;
        Scope s = {.msg = m};
        const EventType *t;
        char type[129], why[160] = "";
        int r;

        *ret = (ValidationReport){0};
        str_copy(type, sizeof(type), msg_str(m, TAG_TYPE));
        t = event_types_find(&v->types, type);
        if (m->payload.n) {
                r = json_read(m->payload, 0, &payload, why, sizeof(why));
                if (r == -ENOMEM)
                        return r;
                if (r < 0) {
                        ValidationIssue *i = report_add(ret, LAYER_SYNTAX, SEVERITY_CRITICAL, "bad-json", "");

                        snprintf(i->message, sizeof(i->message), "%s", why);
                        return 0;
                }
        }
        s.payload = payload;
        syntax_check(v, t, payload, ret);
        for (size_t i = 0; i < v->n_rules; i++) {
                const ValidationRule *rule = &v->rules[i];

                /* rules stand in the order of their layers */
                if (ret->refused)
                        for (unsigned l = 0; l < (unsigned)rule->layer; l++)
                                if (v->fail_fast[l]) {
                                        free(s.set);
                                        return 0;
                                }
                if (rule_applies(rule, t, type))
                        rule_check(rule, &s, ret);
        }
        free(s.set);
        return 0;
}

/* ---- words */

const char *validation_layer_name(ValidationLayer l) {
        static const char *const names[] = {"syntax", "semantic", "security", "performance", "compliance"};

        return (unsigned)l < ELEMENTSOF(names) ? names[l] : "invalid";
}

const char *validation_severity_name(ValidationSeverity s) {
        static const char *const names[] = {"low", "medium", "high", "critical"};

        return (unsigned)s < ELEMENTSOF(names) ? names[s] : "invalid";
}

void validation_report_json(const ValidationReport *r, JsonWriter *w) {
        json_array_begin(w);
        for (size_t k = 0; k < r->n; k++) {
                const ValidationIssue *i = &r->issues[k];

                json_object_begin(w);
                json_kv_str(w, "code", i->code);
                json_kv_str(w, "hint", i->hint);
                json_kv_str(w, "layer", validation_layer_name(i->layer));
                json_kv_str(w, "message", i->message);
                json_kv_str(w, "path", i->path);
                json_kv_str(w, "severity", validation_severity_name(i->severity));
                json_object_end(w);
        }
        json_array_end(w);
}

const char *validation_issue_text(const ValidationIssue *i, char *out, size_t cap) {
        snprintf(out, cap, "%s/%s %s %s: %s%s%s%s", validation_layer_name(i->layer), i->code,
                validation_severity_name(i->severity), i->path[0] ? i->path : "/", i->message,
                i->hint[0] ? " (" : "", i->hint, i->hint[0] ? ")" : "");
        return out;
}

/* ---- self-test */

static int probe(const Validation *v, const char *payload, ValidationReport *r) {
        MsgBuilder b;
        Msg m;
        int e;

        msg_begin(&b, MSG_VALIDATE);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_TYPE, "self.test");
        msg_put_cstr(&b, TAG_SOURCE, "probe");
        e = msg_view(&b, str_of(payload), &m);
        return e < 0 ? e : validation_check(v, &m, r);
}

int validation_self_test(char *why, size_t cap) {
        static const char events[] =
                "version: 1\nevents: [{type: self.test, flags: [validate, constitutional], "
                "payload_schema: self.json}]\n";
        static const char rules[] =
                "version: 1\nrules:\n  - {id: r, layer: security, severity: critical, constitutional: true, "
                "require: 'payload.n < 10', message: too much}\n";
        auto_json json_t *document = NULL;
        auto_free ValidationReport *r = calloc(1, sizeof(*r));
        const char *wrong = NULL;
        Validation v = {0};
        Problems p = {0};
        int e = r ? event_types_parse("self-test", STR_LIT(events), &p, &v.types) : -ENOMEM;

        if (e == 0)
                e = validation_parse(&v, "self-test", STR_LIT(rules), &p);
        if (e == 0)
                e = json_read(STR_LIT("{\"type\":\"object\",\"required\":[\"n\"]}"), 0, &document, NULL, 0);
        if (e == 0) {
                v.schemas = calloc(1, sizeof(*v.schemas));
                e = v.schemas ? json_schema_compile(document, "self-test", &p, &v.schemas[0].schema)
                              : -ENOMEM;
        }
        if (e == 0) {
                v.n_schemas = 1;
                str_copy(v.schemas[0].name, sizeof(v.schemas[0].name), str_of("self.json"));
                if (probe(&v, "{\"n\":3}", r) < 0 || r->refused || r->n)
                        wrong = "a good event was refused";
                else if (probe(&v, "{}", r) < 0 || !r->refused)
                        wrong = "an event against its schema passed";
                else if (probe(&v, "{\"n\":11}", r) < 0 || !r->refused || !r->constitutional)
                        wrong = "an event against a constitutional rule passed";
        }
        problems_done(&p);
        validation_done(&v);
        if (e == 0 && wrong) {
                snprintf(why, cap, "%s", wrong);
                return -EPROTO;
        }
        return e;
}
