/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/enforce/approvals.h"
#include "common/cleanup.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void approvals_done(Approvals *t) {
        for (unsigned i = 0; i < t->n; i++)
                free(t->items[i]);
        t->n = 0;
}

Approval *approvals_find(Approvals *t, const char *id) {
        for (unsigned i = 0; i < t->n; i++)
                if (strcmp(t->items[i]->id, id) == 0)
                        return t->items[i];
        return NULL;
}

Approval *approvals_find_request(Approvals *t, const uint8_t request_id[16]) {
        for (unsigned i = t->n; i-- > 0;)
                if (memcmp(t->items[i]->request_id, request_id, 16) == 0)
                        return t->items[i];
        return NULL;
}

static bool is_open(const Approval *a) {
        return a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED;
}

static bool make_room(Approvals *t) {
        if (t->n < APPROVALS_MAX)
                return true;
        for (unsigned i = 0; i < t->n; i++) {
                if (is_open(t->items[i]))
                        continue;
                free(t->items[i]);
                memmove(t->items + i, t->items + i + 1, (t->n - i - 1) * sizeof(Approval *));
                t->n--;
                return true;
        }
        return false;
}

Approval *approvals_add(Approvals *t, const char *id) {
        if (approvals_find(t, id) || !make_room(t))
                return NULL;
        Approval *a = calloc(1, sizeof(*a));
        if (!a)
                return NULL;
        str_copy(a->id, sizeof(a->id), str_of(id));
        a->state = APPROVAL_PENDING;
        a->decision_index = a->answer_index = UINT64_MAX;
        a->expires_boot_us = UINT64_MAX;
        t->items[t->n++] = a;
        return a;
}

unsigned approvals_count(const Approvals *t, ApprovalState state) {
        unsigned n = 0;
        for (unsigned i = 0; i < t->n; i++)
                n += t->items[i]->state == state;
        return n;
}

int approval_add_need(Approval *a, Str text) {
        Str role, count;
        char digits[16];
        uint64_t n = 1;
        if (str_split(text, ':', &role, &count)) {
                if (count.n >= sizeof(digits) || parse_u64(str_copy(digits, sizeof(digits), count), &n) < 0)
                        return -EINVAL;
        }
        int r = role_from_string(role);
        if (r < (int)ROLE_OPERATOR || n == 0 || n > APPROVAL_VOTES_MAX)
                return -EINVAL;
        if (a->n_needs == APPROVAL_NEEDS_MAX)
                return -ENOSPC;
        a->needs[a->n_needs++] = (ApprovalNeed){.role = (Role)r, .count = (unsigned)n};
        return 0;
}

Code approval_vote_check(const Approval *a, uint64_t uid, Role role) {
        char actor[40];
        switch (a->state) {
        case APPROVAL_VOID:
                return CODE_STALE_TARGET;
        case APPROVAL_USED:
                return CODE_APPROVAL_USED;
        case APPROVAL_EXPIRED:
                return CODE_APPROVAL_EXPIRED;
        case APPROVAL_DENIED:
                return CODE_APPROVAL_DENIED;
        case APPROVAL_APPROVED:
                return CODE_ALREADY_VOTED;
        case APPROVAL_PENDING:
        case _APPROVAL_MAX:
                break;
        }
        if (role < ROLE_OPERATOR)
                return CODE_DENIED_BY_ROLE;
        snprintf(actor, sizeof(actor), "uid:%" PRIu64, uid);
        if (strcmp(a->actor, actor) == 0)
                return CODE_SELF_APPROVAL;
        for (unsigned i = 0; i < a->n_votes; i++)
                if (a->votes[i].uid == uid)
                        return CODE_ALREADY_VOTED;
        return a->n_votes < APPROVAL_VOTES_MAX ? CODE_OK : CODE_BUSY;
}

bool approval_satisfied(const Approval *a, bool optimistic) {
        static const ApprovalNeed one = {ROLE_OPERATOR, 1};
        const ApprovalNeed *needs = a->n_needs ? a->needs : &one;
        unsigned n_needs = a->n_needs ? a->n_needs : 1;
        bool used[APPROVAL_VOTES_MAX] = {false};
        /* The highest need first, each served by the least of the people who may: greedy is exact for ordered
         * roles. */
        for (int role = ROLE_ADMIN; role >= (int)ROLE_OPERATOR; role--) {
                unsigned want = 0;
                for (unsigned i = 0; i < n_needs; i++)
                        want += needs[i].role == (Role)role ? needs[i].count : 0;
                for (int have = role; want > 0 && have <= (int)ROLE_ADMIN; have++)
                        for (unsigned i = 0; want > 0 && i < a->n_votes; i++) {
                                const ApprovalVote *v = &a->votes[i];
                                if (used[i] || !v->approve || (int)v->role != have ||
                                        !(v->durable || optimistic))
                                        continue;
                                used[i] = true;
                                want--;
                        }
                if (want > 0)
                        return false;
        }
        return true;
}

static void votes_to_json(const Approval *a, JsonWriter *w) {
        json_array_begin(w);
        for (unsigned i = 0; i < a->n_votes; i++) {
                const ApprovalVote *v = &a->votes[i];
                if (!v->durable)
                        continue;
                json_object_begin(w);
                json_kv_str(w, "role", role_to_string(v->role));
                json_kv_u64(w, "uid", v->uid);
                json_kv_str(w, "vote", v->approve ? "approve" : "deny");
                json_object_end(w);
        }
        json_array_end(w);
}

static void needs_to_json(const Approval *a, JsonWriter *w) {
        json_array_begin(w);
        for (unsigned i = 0; i < a->n_needs; i++) {
                char text[32];
                snprintf(text, sizeof(text), "%s:%u", role_to_string(a->needs[i].role), a->needs[i].count);
                json_cstr(w, text);
        }
        json_array_end(w);
}

static void rules_to_json(const Approval *a, JsonWriter *w) {
        static const char *const keys[3] = {"id", "effect", "tier"};
        json_array_begin(w);
        for (unsigned i = 0; i < a->n_rules; i++) {
                Str rest = str_of(a->rules[i]);
                json_object_begin(w);
                for (size_t k = 0; k < ELEMENTSOF(keys) && rest.n > 0; k++) {
                        Str part, tail;
                        if (!str_split(rest, '|', &part, &tail))
                                part = rest, tail = (Str){NULL, 0};
                        json_key(w, keys[k]);
                        json_str(w, part);
                        rest = tail;
                }
                json_object_end(w);
        }
        json_array_end(w);
}

void approvals_to_json(const Approvals *t, JsonWriter *w) {
        json_array_begin(w);
        for (unsigned i = 0; i < t->n; i++) {
                const Approval *a = t->items[i];
                json_object_begin(w);
                json_kv_str(w, "id", a->id);
                json_kv_str(w, "action", a->action);
                json_kv_str(w, "target", a->target);
                json_kv_str(w, "requested_by", a->actor);
                json_kv_str(w, "reason", a->reason);
                json_key(w, "digest");
                json_hex(w, a->digest, sizeof(a->digest));
                json_key(w, "rules");
                rules_to_json(a, w);
                json_key(w, "needs");
                needs_to_json(a, w);
                json_key(w, "given");
                votes_to_json(a, w);
                json_key(w, "created");
                json_time(w, a->created_ns);
                json_key(w, "expires");
                json_time(w, a->expires_ns);
                json_kv_str(w, "state", approval_state_to_string((int)a->state));
                json_kv_str(w, "correlation_id", a->correlation_id);
                json_kv_str(w, "policy_revision", a->policy_revision);
                json_object_end(w);
        }
        json_array_end(w);
}
