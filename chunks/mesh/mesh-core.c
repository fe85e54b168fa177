/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/mesh-core.h"
#include "chunks/mesh/mesh-deliver.h"
#include "common/cleanup.h"
#include "common/sha256.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* Why a publish is refused; code NULL while it is not. */
typedef struct Refusal {
        const char *code, *field;
        uint64_t *counter, retry_after_ms;
        bool blocked; /* by who the publisher is or by validation: recorded for audited types */
        char message[256];
} Refusal;

static void refuse(Refusal *r, uint64_t *counter, const char *code, const char *field, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));
static void refuse(Refusal *r, uint64_t *counter, const char *code, const char *field, const char *fmt, ...) {
        va_list ap;

        r->code = code;
        r->field = field;
        r->counter = counter;
        va_start(ap, fmt);
        vsnprintf(r->message, sizeof(r->message), fmt, ap);
        va_end(ap);
}

int mesh_code_status(const char *code) {
        static const char *const denied[] = {"E.FORBIDDEN", "E.UNAUTHORIZED", "E.POLICY_VIOLATION",
                "E.GOVERNANCE_REQUIRED", "ledger_unavailable"};

        if (strcmp(code, "ok") == 0)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(denied); i++)
                if (strcmp(code, denied[i]) == 0)
                        return 4;
        return 1;
}

int mesh_core_init(MeshCore *c, const MeshOps *ops, void *user) {
        *c = (MeshCore){.ops = ops, .user = user};
        list_init(&c->peers);
        key_window_init(&c->seen, MESH_IDEMPOTENCY_US, MESH_IDEMPOTENCY_KEYS);
        token_buckets_init(&c->persons, 100, 100);
        token_buckets_init(&c->blocked, 10, 10);
        c->pending = calloc(MESH_PENDING_MAX, sizeof(*c->pending));
        return c->pending ? 0 : -ENOMEM;
}

void mesh_core_done(MeshCore *c) {
        for (unsigned i = 0; c->pending && i < MESH_PENDING_MAX; i++)
                mesh_event_unref(c->pending[i].event);
        free(c->pending);
        c->pending = NULL;
        key_window_done(&c->seen);
        registry_done(&c->registry);
        event_types_done(&c->types);
        subs_done(&c->subs);
}

void mesh_types_set(MeshCore *c, EventTypes *t) {
        event_types_done(&c->types);
        c->types = *t;
        *t = (EventTypes){0};
}

/* ---- checks, in the order of the head comment of mesh-core.h */

static void check_role(MeshCore *c, const MeshPeer *p, uint64_t now, Refusal *r) {
        if (p->kind == MESH_PEER_PERSON && p->role < ROLE_OPERATOR)
                refuse(r, &c->counters.refused_role, "E.FORBIDDEN", NULL,
                        "publishing needs the role operator, yours is %s", role_to_string((int)p->role));
        else if (!p->validated)
                refuse(r, &c->counters.refused_role, "E.FORBIDDEN", NULL,
                        "Guardian has not validated '%s' yet", p->unit);
        else if (p->kind == MESH_PEER_PERSON &&
                 !token_buckets_take(&c->persons, p->actor, now, &r->retry_after_ms))
                refuse(r, &c->counters.refused_rate, "E.RATE_LIMIT", NULL,
                        "a person may publish 100 events a second");
}

static void check_publisher(
        MeshCore *c, const MeshPeer *p, const EventType *t, const char *type, Refusal *r) {
        const Binding *b = registry_find(&c->registry, p->unit);
        bool unit = p->kind == MESH_PEER_CHUNK || p->kind == MESH_PEER_KERNEL,
             listed = !t || t->n_publishers == 0;
        const char *as = p->kind == MESH_PEER_PERSON ? "person" : p->unit;
        unsigned trust = 100;

        if (unit && !binding_may_publish(b, type)) {
                refuse(r, &c->counters.refused_binding, "E.FORBIDDEN", "type",
                        "'%s' may not publish '%s': Publishes= in its unit file does not name it", p->unit,
                        type);
                return;
        }
        for (unsigned i = 0; !listed && i < t->n_publishers; i++)
                listed = strcmp(t->publishers[i], as) == 0;
        if (!listed) {
                refuse(r, &c->counters.refused_publisher, "E.FORBIDDEN", "type",
                        "'%s' is not among the publishers of '%s' in events.yaml", as, type);
                return;
        }
        if (unit)
                trust = b && b->has_trust ? b->trust : c->types.default_trust;
        if (t && trust < t->trust_floor)
                refuse(r, &c->counters.refused_trust, "E.GOVERNANCE_REQUIRED", "type",
                        "'%s' has the trust %u.%02u, '%s' needs %u.%02u (min_trust_score in events.yaml)", as,
                        trust / 100, trust % 100, type, t->trust_floor / 100, t->trust_floor % 100);
}

/* Subscribers that publishers wait for, of this event's type. */
typedef struct BehindScan {
        const MeshPeer *behind;
} BehindScan;
static void behind_scan(void *value, void *user) {
        const MeshPeer *p = value;
        BehindScan *s = user;

        if (p->kind == MESH_PEER_CHUNK && egress_behind(&p->out))
                s->behind = p;
}

static void check_room(MeshCore *c, const MeshEvent *e, bool own, Refusal *r) {
        unsigned room = MESH_PENDING_MAX - (own ? 0 : MESH_PENDING_OWN);
        BehindScan scan = {0};

        if (c->n_pending >= room) {
                refuse(r, &c->counters.refused_backpressure, "E.RETRYABLE", NULL,
                        "%u events wait for the ledger", c->n_pending);
        } else if (e->lane != LANE_BULK) {
                subs_match(&c->subs, e->type, behind_scan, &scan);
                if (scan.behind)
                        refuse(r, &c->counters.refused_backpressure, "E.RETRYABLE", NULL,
                                "'%s', which subscribes to such events, is behind", scan.behind->unit);
        }
        if (r->code)
                r->retry_after_ms = MESH_RETRY_MS;
}

/* ---- the envelope */

static const Tag COPIED[] = {TAG_MSG_ID, TAG_GKIND, TAG_TYPE, TAG_VERSION, TAG_TS, TAG_SCHEMA_REF,
        TAG_CORRELATION_ID, TAG_TRACEPARENT, TAG_TRACESTATE, TAG_PRIORITY, TAG_QOS, TAG_PARTITION_KEY,
        TAG_CAUSATION_ID, TAG_REPLY_TO, TAG_IDEMPOTENCY_KEY, TAG_HOP_COUNT, TAG_DEADLINE_MS, TAG_EXPIRES_AT,
        TAG_GOVERNANCE_LABEL, TAG_PII_FLAG, TAG_CONSENT_SCOPE, TAG_RBAC, TAG_CHECKSUM, TAG_SIGNATURE,
        TAG_PAYLOAD_REF, TAG_REDELIVERY_COUNT, TAG_RESOURCE};

static bool type_valid(Str type) {
        char text[129];

        if (type.n == 0 || type.n >= sizeof(text) || memchr(type.p, '*', type.n))
                return false;
        return pattern_check(str_copy(text, sizeof(text), type)) == 0;
}

static void check_envelope(MeshCore *c, const Msg *view, const char *source, Refusal *r) {
        GmeIssue issues[8];
        size_t n = gme_check(view, issues, ELEMENTSOF(issues));

        for (size_t i = 0; i < n; i++) {
                const TagInfo *info = tag_info(issues[i].field);

                if (!issues[i].error) {
                        if (issues[i].field == TAG_HOP_COUNT)
                                c->counters.hop_warnings++;
                        c->ops->log(c->user, LOG_LEVEL_WARNING, "an event was taken, but its envelope is odd",
                                source, issues[i].message);
                        continue;
                }
                refuse(r, &c->counters.refused_envelope, issues[i].code, info ? info->json : NULL, "%s",
                        issues[i].message);
                return;
        }
}

/* Fills and checks; *ret is the event as its subscribers will see it (hop_count one higher). */
static int envelope_build(MeshCore *c, const Msg *m, const char *source, const EventType *t, uint64_t wall_ns,
        Refusal *r, MeshEvent **ret) {
        /* an event that says nothing more than its type is a whole event */
        Str payload = m->payload.n || msg_has(m, TAG_PAYLOAD_REF) ? m->payload : STR_LIT("{}");
        MsgBuilder b;
        Msg view;
        int e;

        msg_begin(&b, MSG_EVENT);
        for (size_t i = 0; i < ELEMENTSOF(COPIED); i++)
                msg_copy(&b, m, COPIED[i]);
        msg_put_cstr(&b, TAG_SOURCE, source);
        if (t && t->priority[0] && !msg_has(m, TAG_PRIORITY))
                msg_put_cstr(&b, TAG_PRIORITY, t->priority);
        gme_fill(&b, wall_ns);
        e = msg_view(&b, payload, &view);
        if (e < 0)
                return e;
        check_envelope(c, &view, source, r);
        if (r->code)
                return 0;
        envelope_set_u64(&b, TAG_HOP_COUNT, msg_u64(&view, TAG_HOP_COUNT, 0) + 1);
        return mesh_event_new(&b, payload, ret);
}

/* ---- idempotency */

static void seen_digest(const char *a, Str b, uint8_t ret[16]) {
        Buf text = BUF_INIT(GME_INLINE_MAX + 1024);
        uint8_t hash[32] = {0};

        if (buf_append(&text, a, strlen(a) + 1) == 0 && buf_append(&text, b.p, b.n) == 0)
                sha256(text.data, text.len, hash);
        memcpy(ret, hash, 16);
        buf_done(&text);
}

/* true: answered already (a duplicate, a conflict, or one in flight) */
static bool seen_answer(
        MeshCore *c, MeshPeer *p, uint64_t req, const MeshEvent *e, MeshPending *slot, uint64_t now) {
        KeyEntry *known;
        Msg m;
        Str key;
        uint8_t content[16];

        mesh_event_view(e, &m);
        key = msg_str(&m, TAG_IDEMPOTENCY_KEY);
        slot->keyed = key.n > 0;
        if (!slot->keyed)
                return false;
        seen_digest(p ? p->actor : "mesh", key, slot->key);
        seen_digest(e->type, mesh_event_payload(e), content);
        known = key_window_find(&c->seen, slot->key, now);
        if (!known) {
                if (key_window_add(&c->seen, slot->key, now, &known) < 0) {
                        slot->keyed = false;
                        return false;
                }
                memcpy(known->content, content, sizeof(content));
                known->value = UINT64_MAX;
                return false;
        }
        MeshAnswer a = {.req = req,
                .index = known->value,
                .code = "ok",
                .message = "published before under this key"};
        if (memcmp(known->content, content, sizeof(content)) != 0) {
                c->counters.conflicts++;
                a = (MeshAnswer){.req = req,
                        .index = UINT64_MAX,
                        .status = 1,
                        .code = "E.CONFLICT",
                        .field = "idempotency_key",
                        .message = "another event was published under this key: choose a new one"};
        } else if (known->value == UINT64_MAX) {
                a = (MeshAnswer){.req = req,
                        .index = UINT64_MAX,
                        .status = 1,
                        .code = "E.RETRYABLE",
                        .retry_after_ms = MESH_RETRY_MS,
                        .message = "the same event is under way, its answer comes later"};
        } else {
                c->counters.duplicates++;
        }
        if (p)
                c->ops->answer(c->user, p, &a);
        return true;
}

/* ---- pending events */

/* There is one: check_room() refuses before. */
static MeshPending *pending_free_slot(MeshCore *c) {
        MeshPending *s = c->pending;

        while (s->state != PENDING_FREE)
                s++;
        return s;
}

static MeshPending *pending_find(MeshCore *c, uint64_t token) {
        MeshPending *s = &c->pending[token % MESH_PENDING_MAX];

        return s->state != PENDING_FREE && s->token == token ? s : NULL;
}

static void pending_release(MeshCore *c, MeshPending *s) {
        mesh_event_unref(s->event);
        *s = (MeshPending){0};
        c->n_pending--;
}

/* What was blocked of an audited type leaves a record too, at most 10 a second: refusals must not fill the
 * ledger. */
static void blocked_record(MeshCore *c, const MeshEvent *e, const EventType *t, const char *actor,
        const char *code, uint64_t now) {
        char result[64];
        uint64_t retry;

        if (!t || !(t->flags & EVENT_AUDIT) || !token_buckets_take(&c->blocked, "", now, &retry))
                return;
        snprintf(result, sizeof(result), "blocked:%s", code);
        if (mesh_record(c, UINT64_MAX, e, actor, result) == 0)
                c->counters.blocked_recorded++;
}

static void refusal_answer(MeshCore *c, MeshPeer *p, uint64_t req, const Refusal *r) {
        MeshAnswer a = {.req = req,
                .index = UINT64_MAX,
                .status = mesh_code_status(r->code),
                .code = r->code,
                .message = r->message,
                .field = r->field,
                .retry_after_ms = r->retry_after_ms};

        if (r->counter)
                ++*r->counter;
        if (p)
                c->ops->answer(c->user, p, &a);
}

/* Refuses a pending event: its key is free again, since nothing happened under it. */
static void pending_refuse(MeshCore *c, MeshPending *s, const Refusal *r, const Msg *issues, uint64_t now) {
        MeshAnswer a = {.req = s->req,
                .index = UINT64_MAX,
                .status = mesh_code_status(r->code),
                .code = r->code,
                .message = r->message,
                .field = r->field,
                .retry_after_ms = r->retry_after_ms,
                .issues = issues};

        if (r->counter)
                ++*r->counter;
        if (s->keyed)
                key_window_drop(&c->seen, s->key);
        if (r->blocked)
                blocked_record(
                        c, s->event, event_types_find(&c->types, s->event->type), s->actor, r->code, now);
        if (s->peer)
                c->ops->answer(c->user, s->peer, &a);
        else
                c->counters.own_lost += s->own ? 1 : 0;
        pending_release(c, s);
}

static void pending_append(MeshCore *c, MeshPending *s, uint64_t now) {
        Refusal r = {0};
        bool person = s->peer && s->peer->kind == MESH_PEER_PERSON;
        int e;

        if (s->state != PENDING_LEDGER) /* else the time that it has runs already */
                s->deadline = person ? now + MESH_LEDGER_US : UINT64_MAX;
        if (person && !c->ops->attached(c->user)) {
                s->state = PENDING_LEDGER;
                return;
        }
        s->state = PENDING_APPEND;
        e = mesh_record(c, s->token, s->event, s->actor, "accepted");
        if (e == 0)
                return;
        refuse(&r, &c->counters.append_failures, e == -ENOBUFS ? "E.RETRYABLE" : "E.UNAVAILABLE", NULL,
                "the event can't be recorded now");
        r.retry_after_ms = MESH_RETRY_MS;
        pending_refuse(c, s, &r, NULL, now);
}

static void pending_start(MeshCore *c, MeshPending *s, const EventType *t, uint64_t now) {
        Refusal r = {0};

        if (!t || !(t->flags & (EVENT_VALIDATE | EVENT_CONSTITUTIONAL))) {
                pending_append(c, s, now);
                return;
        }
        s->state = PENDING_VALIDATE;
        s->deadline = now + MESH_VALIDATE_US;
        if (c->ops->validate(c->user, s->token, s->event) == 0)
                return;
        refuse(&r, &c->counters.refused_dependency, "E.DEPENDENCY_DOWN", "type",
                "'%s' needs validation and the validators are away: guardianctl status validators",
                s->event->type);
        r.retry_after_ms = 1000;
        pending_refuse(c, s, &r, NULL, now);
}

/* An event that passed every check of its own: takes the reference. */
static void publish_go(
        MeshCore *c, MeshPeer *p, uint64_t req, MeshEvent *e, const EventType *t, uint64_t now) {
        MeshPending *s = pending_free_slot(c);

        *s = (MeshPending){0};
        if (seen_answer(c, p, req, e, s, now)) {
                *s = (MeshPending){0};
                mesh_event_unref(e);
                return;
        }
        s->token = (++c->generation) * MESH_PENDING_MAX + (uint64_t)(s - c->pending);
        s->state = PENDING_APPEND;
        s->event = e;
        s->peer = p;
        s->own = !p;
        s->req = req;
        str_copy(s->actor, sizeof(s->actor), str_of(p ? p->actor : "mesh"));
        c->n_pending++;
        if (!t)
                c->counters.unlisted++;
        pending_start(c, s, t, now);
}

void mesh_publish(MeshCore *c, MeshPeer *p, const Msg *m, uint64_t now_us, uint64_t wall_ns) {
        uint64_t req = msg_u64(m, TAG_REQ, 0);
        Str type = msg_str(m, TAG_TYPE);
        const EventType *t = NULL;
        MeshEvent *e = NULL;
        char name[129];
        Refusal r = {0};
        int err = 0;

        str_copy(name, sizeof(name), type);
        check_role(c, p, now_us, &r);
        if (!r.code && !type_valid(type))
                refuse(&r, &c->counters.refused_envelope, "E.VALIDATION", "type",
                        "'%s' is no event type: dotted lower case, such as kpi.threshold_breach", name);
        if (!r.code) {
                t = event_types_find(&c->types, name);
                err = envelope_build(c, m, p->actor, t, wall_ns, &r, &e);
        }
        if (err < 0)
                refuse(&r, &c->counters.refused_envelope, err == -ENOMEM ? "E.UNAVAILABLE" : "E.VALIDATION",
                        NULL, "the envelope can't be completed: %s", strerror(-err));
        if (!r.code) {
                check_publisher(c, p, t, name, &r);
                if (r.code)
                        blocked_record(c, e, t, p->actor, r.code, now_us);
        }
        if (!r.code)
                check_room(c, e, false, &r);
        if (r.code) {
                mesh_event_unref(e);
                refusal_answer(c, p, req, &r);
                return;
        }
        publish_go(c, p, req, e, t, now_us);
}

int mesh_emit(MeshCore *c, const MeshOwnEvent *own, uint64_t now_us, uint64_t wall_ns) {
        const EventType *t = event_types_find(&c->types, own->type);
        MeshEvent *e = NULL;
        Refusal r = {0};
        MsgBuilder b;
        Msg m;
        int err;

        msg_begin(&b, MSG_EVENT);
        msg_put_cstr(&b, TAG_TYPE, own->type);
        msg_put_cstr(&b, TAG_PRIORITY, own->priority);
        msg_put_cstr(&b, TAG_RESOURCE, own->resource);
        msg_put_cstr(&b, TAG_CORRELATION_ID, own->correlation_id);
        msg_put_cstr(&b, TAG_CAUSATION_ID, own->causation_id);
        msg_put_cstr(&b, TAG_IDEMPOTENCY_KEY, own->idempotency_key);
        msg_put_u64(&b, TAG_HOP_COUNT, own->hop_count);
        err = msg_view(&b, own->payload, &m);
        if (err == 0)
                err = envelope_build(c, &m, "mesh", t, wall_ns, &r, &e);
        if (err == 0 && !r.code)
                check_room(c, e, true, &r);
        if (err < 0 || r.code) {
                mesh_event_unref(e);
                c->counters.own_lost++;
                if (r.code)
                        c->ops->log(c->user, LOG_LEVEL_WARNING, "an event of the mesh itself is lost",
                                own->type, r.message);
                return err < 0 ? err : (strcmp(r.code, "E.RETRYABLE") == 0 ? -ENOBUFS : -EINVAL);
        }
        c->counters.own++;
        publish_go(c, NULL, 0, e, t, now_us);
        return 0;
}

/* ---- what comes back */

void mesh_appended(MeshCore *c, uint64_t token, const char *code, uint64_t index, uint64_t now_us) {
        MeshPending *s = token == UINT64_MAX ? NULL : pending_find(c, token);
        KeyEntry *known;
        Refusal r = {0};

        if (!s || s->state != PENDING_APPEND)
                return;
        if (strcmp(code, "ok") != 0) {
                bool person = s->peer && s->peer->kind == MESH_PEER_PERSON;
                refuse(&r, &c->counters.append_failures,
                        strncmp(code, "E.", 2) == 0                    ? code
                        : person && strcmp(code, "ledger_failed") == 0 ? "ledger_unavailable"
                                                                       : "E.DEPENDENCY_DOWN",
                        NULL, "the ledger refused the event's record: %s", code);
                pending_refuse(c, s, &r, NULL, now_us);
                return;
        }
        c->counters.accepted++;
        s->event->index = index;
        known = s->keyed ? key_window_find(&c->seen, s->key, now_us) : NULL;
        if (known)
                known->value = index;
        if (s->peer)
                c->ops->answer(c->user, s->peer, &(MeshAnswer){.req = s->req, .index = index, .code = "ok"});
        mesh_deliver(c, s->event);
        c->ops->event(c->user, s->event);
        pending_release(c, s);
}

void mesh_validated(MeshCore *c, uint64_t token, const Msg *result, uint64_t now_us) {
        MeshPending *s = pending_find(c, token);
        char code[65];
        Refusal r = {.blocked = true};

        if (!s || s->state != PENDING_VALIDATE)
                return;
        str_copy(code, sizeof(code), msg_str(result, TAG_CODE));
        if (msg_u64(result, TAG_STATUS, 1) == 0 && strcmp(code, "ok") == 0) {
                c->counters.validated++;
                pending_append(c, s, now_us);
                return;
        }
        str_copy(r.message, sizeof(r.message), msg_str(result, TAG_MESSAGE));
        r.counter = &c->counters.refused_validation;
        /* the code is ours to say: one that is not of the taxonomy is a plain validation failure */
        r.code = strcmp(code, "E.POLICY_VIOLATION") == 0 ? "E.POLICY_VIOLATION" : "E.VALIDATION";
        mesh_dispatch_failed(c, s->event, "validation", r.message);
        pending_refuse(c, s, &r, result, now_us);
}

static void validation_gone(MeshCore *c, MeshPending *s, const char *why, uint64_t now) {
        Refusal r = {0};

        refuse(&r, &c->counters.refused_dependency, "E.DEPENDENCY_DOWN", "type", "'%s' needs validation: %s",
                s->event->type, why);
        r.retry_after_ms = 1000;
        pending_refuse(c, s, &r, NULL, now);
}

void mesh_validators_lost(MeshCore *c, uint64_t now_us) {
        for (unsigned i = 0; i < MESH_PENDING_MAX; i++)
                if (c->pending[i].state == PENDING_VALIDATE)
                        validation_gone(c, &c->pending[i], "the validators went away", now_us);
}

/* A person's event: not recorded while the ledger is away, or given to it and not known to be recorded. */
static void ledger_gone(MeshCore *c, MeshPending *s, uint64_t now) {
        Refusal r = {0};

        if (s->state == PENDING_LEDGER) {
                refuse(&r, &c->counters.refused_dependency, "ledger_unavailable", NULL,
                        "the ledger is away; the event is not recorded");
                pending_refuse(c, s, &r, NULL, now);
                return;
        }
        refuse(&r, &c->counters.refused_dependency, "ledger_unavailable", NULL,
                "the ledger does not answer; it may still record the event");
        refusal_answer(c, s->peer, s->req, &r);
        s->peer = NULL;
        s->deadline = UINT64_MAX;
}

static void pending_late(MeshCore *c, MeshPending *s, uint64_t now) {
        if (s->state != PENDING_VALIDATE) {
                ledger_gone(c, s, now);
                return;
        }
        c->counters.validator_timeouts++;
        validation_gone(c, s, "the validators did not answer in time", now);
}

uint64_t mesh_tick(MeshCore *c, uint64_t now_us) {
        uint64_t next = UINT64_MAX;

        for (unsigned i = 0; c->n_pending && i < MESH_PENDING_MAX; i++) {
                MeshPending *s = &c->pending[i];

                if (s->state == PENDING_LEDGER && c->ops->attached(c->user))
                        pending_append(c, s, now_us);
                if (s->state == PENDING_FREE || (s->state == PENDING_APPEND && !s->peer))
                        continue;
                if (s->deadline <= now_us)
                        pending_late(c, s, now_us);
                else if (s->deadline < next)
                        next = s->deadline;
        }
        return next;
}
