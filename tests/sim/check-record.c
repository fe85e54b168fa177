/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"
#include <stdlib.h>

/* What the record says by itself: who wrote what, under which policy and mode, by whose votes. */
#define K(kind) (1u << RECORD_##kind)
static const struct {
        const char *name;
        uint32_t kinds;
} writers[] = {{"governance", K(DECISION) | K(CONFIG)},
        {"guardian",
                K(APPROVAL) | K(INTENT) | K(ACTION) | K(BOOT) | K(UNIT) | K(CONFIG) | K(RECOVERY) | K(LOSS)},
        {"immune", K(ANOMALY) | K(INCIDENT)}, {"mesh", K(EVENT)},
        {"ledger", K(KEY) | K(CHECKPOINT) | K(RECOVERY) | K(LOSS)}};
#undef K

uint64_t check_hash(Str text) {
        uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a */
        for (size_t i = 0; i < text.n; i++)
                h = (h ^ (unsigned char)text.p[i]) * 0x100000001b3ull;
        return h;
}

/* What stands behind `key` in a canonical body, up to one of the characters in `ends`. */
static bool behind(Str body, const char *key, const char *ends, Str *ret) {
        size_t n = strlen(key);
        const char *p = body.n >= n ? memmem(body.p, body.n, key, n) : NULL;
        if (!p)
                return false;
        p += n;
        const char *end = p;
        while (end < body.p + body.n && !strchr(ends, *end))
                end++;
        *ret = (Str){p, (size_t)(end - p)};
        return true;
}

static uint64_t number(Str s) {
        uint64_t n = 0;
        for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
                n = n * 10 + (uint64_t)(s.p[i] - '0');
        return n;
}

/* ---- lifecycle: each number, or its place in a counted loss */
static void see_life(Sim *s, const Record *rec) {
        Str v;
        if (rec->epoch != s->life_epoch) {
                s->life_epoch = rec->epoch;
                s->life_next = 1;
                s->life_lost = 0;
        }
        if (rec->kind == RECORD_LOSS) {
                if (behind(rec->body, "\"count\":", ",}", &v))
                        s->life_lost += number(v);
                return;
        }
        if (!behind(rec->body, "\"n\":", ",}", &v))
                return;
        uint64_t n = number(v);
        if (n != s->life_next + s->life_lost)
                violate(s, "R3 lifecycle record %llu follows %llu, %llu were counted as lost",
                        (unsigned long long)n, (unsigned long long)s->life_next - 1,
                        (unsigned long long)s->life_lost);
        s->life_next = n + 1;
        s->life_lost = 0;
        if (n >= s->storm_from && n <= s->storm_to && ++s->storm_recorded > RECORD_RING_MAX)
                violate(s, "R3 more than %d lifecycle records waited for the ledger", RECORD_RING_MAX);
}

static void see_config(Sim *s, const Record *rec) {
        Str a = rec->meta[META_ACTION];
        if (str_eq(a, "pause") || str_eq(a, "resume"))
                s->pause_seen = str_eq(a, "pause") ? 1 : 2;
        if (rec->kind == RECORD_CONFIG && rec->has_request_id)
                check_need(s, rec->request_id)->config = true;
        if (rec->kind == RECORD_RECOVERY && rec->has_request_id)
                check_need(s, rec->request_id)->recovered = true;
}

void check_record(Sim *s, const Record *rec) {
        Str w = rec->meta[META_WRITER];
        bool may = false;
        for (size_t i = 0; i < ELEMENTSOF(writers); i++)
                may |= str_eq(w, writers[i].name) && writers[i].kinds >> rec->kind & 1;
        if (may && rec->kind == RECORD_CONFIG)
                may = (w.p[1] == 'o') == str_eq(rec->meta[META_ACTION], "policy");
        if (!may)
                violate(s, "R3 record %llu of kind %s was written by %.*s", (unsigned long long)rec->index,
                        record_kind_to_string((int)rec->kind), (int)w.n, w.p);
        if (w.p[1] != 'u') /* what follows is Guardian's */
                return;
        if (rec->kind == RECORD_UNIT || rec->kind == RECORD_LOSS)
                see_life(s, rec);
        else if (rec->kind == RECORD_CONFIG || rec->kind == RECORD_RECOVERY)
                see_config(s, rec);
}

/* ---- decisions of an honest gate */
static void see_relaxed(Sim *s, const Record *rec, const Request *r) {
        Str v;
        if (r->person) {
                if (r->healing && r->critical && !r->break_glass)
                        violate(s, "R5 healing of %s for a person, and nobody was asked", r->target);
                return;
        }
        if (strcmp(r->target, "ledger") == 0 || strcmp(r->target, "governance") == 0)
                violate(s, "R5 the mode relaxes the constitution: %s", r->target);
        if (r->lockdown)
                violate(s, "R5 the mode relaxes a lockdown: %s", r->target);
        if (!r->critical)
                return;
        if (r->mode >= MODE_ENFORCE_CRITICAL)
                violate(s, "R5 healing of %s in mode %s, and nobody was asked", r->target,
                        mode_to_string((int)r->mode));
        else if (!behind(rec->body, "\"would\":\"", "\"", &v) || str_eq(v, "allow"))
                violate(s, "R5 the record does not say that enforce would have asked about %s", r->target);
}

void check_record_decision(Sim *s, const Record *rec, Request *r) {
        Str v;
        uint64_t revision = behind(rec->body, "\"policy_revision\":\"", "\"", &v) ? check_hash(v) : 0;
        if (rec->verdict_bits & VERDICT_BIT_ASK) {
                r->revision = revision;
                r->need = behind(rec->body, "\"needs\":[\"operator:", "\"", &v) ? (unsigned)number(v) : 1;
                return;
        }
        if (!(rec->verdict_bits & VERDICT_BIT_ALLOW))
                return;
        s->mode_touched |= r->mode_verb;
        if (s->hostile_gate)
                return;
        if (r->claimed && behind(rec->body, "\"facts\":{", "}", &v) && memmem(v.p, v.n, ":99", 3))
                violate(s, "R5 the gate took a claim for a fact");
        if (!r->asked) {
                see_relaxed(s, rec, r);
                return;
        }
        if (revision != r->revision)
                violate(s, "R2 an approval holds under another policy");
        if (r->approved_us == UINT64_MAX)
                violate(s, "R2 an approval was used before the vote was on record");
}

/* ---- votes */
void check_record_approval(Sim *s, const Record *rec, Request *r) {
        Str result = rec->meta[META_RESULT], actor = rec->meta[META_ACTOR], v;
        bool person = actor.n > 4 && memcmp(actor.p, "uid:", 4) == 0;
        if (!str_eq(result, "pending") && !str_eq(result, "approved"))
                r->closed = true;
        if (str_eq(result, "expired") && r->approved_us != UINT64_MAX && !s->hostile_gate &&
                s->boot_us - r->approved_us > 60 * SIM_S)
                violate(s, "R2 what people approved was never evaluated");
        if (!person)
                return;
        uint64_t uid = UINT64_C(1) << (number((Str){actor.p + 4, actor.n - 4}) & 63);
        if (r->vote_epoch != rec->epoch) /* a new Guardian counts anew */
                r->voters = r->yes = 0;
        r->vote_epoch = rec->epoch;
        if (r->voters & uid)
                violate(s, "R5 %.*s voted twice", (int)actor.n, actor.p);
        r->voters |= uid;
        if (behind(rec->body, "\"vote\":\"", "\"", &v) && str_eq(v, "approve"))
                r->yes |= uid;
        if (!str_eq(result, "approved"))
                return;
        r->approved_us = s->boot_us;
        if (!s->hostile_gate && (unsigned)__builtin_popcountll(r->yes) < r->need)
                violate(s, "R5 approved by %d, it takes %u", __builtin_popcountll(r->yes), r->need);
}
