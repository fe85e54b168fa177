/* SPDX-License-Identifier: Apache-2.0 */
#include "common/vocab.h"
#include "common/msg.h"
#include "common/sha256.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define NAME(N, s) s,
static const char *const verdict_names[] = {VERDICTS(NAME)};
static const char *const outcome_names[] = {OUTCOMES(NAME)};
static const char *const record_kind_names[] = {RECORD_KINDS(NAME)};
static const char *const role_names[] = {ROLES(NAME)};
static const char *const mode_names[] = {MODES(NAME)};
static const char *const unit_state_names[] = {UNIT_STATES(NAME)};
static const char *const unit_verdict_names[] = {UNIT_VERDICTS(NAME)};
static const char *const health_names[] = {HEALTHS(NAME)};
static const char *const restart_reason_names[] = {RESTART_REASONS(NAME)};
static const char *const approval_state_names[] = {APPROVAL_STATES(NAME)};
static const char *const healing_action_names[] = {HEALING_ACTIONS(NAME)};
static const char *const code_names[] = {CODES(NAME)};
#undef NAME

static const char *name_of(const char *const *names, int n, int v) {
        return v >= 0 && v < n ? names[v] : "invalid";
}

static int value_of(const char *const *names, int n, Str s) {
        for (int i = 0; i < n; i++)
                if (str_eq(s, names[i]))
                        return i;
        return -EINVAL;
}

#define VOCAB_DEFINE(name, count)                                                                            \
        _Static_assert(sizeof(name##_names) / sizeof(name##_names[0]) == (count), "one name a value");       \
        const char *name##_to_string(int v) {                                                                \
                return name_of(name##_names, (count), v);                                                    \
        }                                                                                                    \
        int name##_from_string(Str s) {                                                                      \
                return value_of(name##_names, (count), s);                                                   \
        }
VOCAB_DEFINE(verdict, _VERDICT_MAX)
VOCAB_DEFINE(outcome, _OUTCOME_MAX)
VOCAB_DEFINE(record_kind, _RECORD_MAX)
VOCAB_DEFINE(role, _ROLE_MAX)
VOCAB_DEFINE(mode, _MODE_MAX)
VOCAB_DEFINE(unit_state, _UNIT_STATE_MAX)
VOCAB_DEFINE(unit_verdict, _UNIT_VERDICT_MAX)
VOCAB_DEFINE(health, _HEALTH_MAX)
VOCAB_DEFINE(restart_reason, _RESTART_MAX)
VOCAB_DEFINE(approval_state, _APPROVAL_MAX)
VOCAB_DEFINE(healing_action, _HEAL_MAX)
VOCAB_DEFINE(code, _CODE_MAX)

int code_exit_status(Code c) {
        switch (c) {
        case CODE_OK:
                return 0;
        case CODE_APPROVAL_REQUIRED:
                return 5;
        case CODE_UNKNOWN_UNIT:
        case CODE_UNKNOWN_ID:
                return 6;
        /* Denied: by role, by governance, or because the part that could consent is away. */
        case CODE_GOVERNANCE_UNAVAILABLE:
        case CODE_GOVERNANCE_ABSENT:
        case CODE_LEDGER_UNAVAILABLE:
        case CODE_LEDGER_ROLLBACK:
        case CODE_DENIED_BY_RULE:
        case CODE_DENIED_BY_ROLE:
        case CODE_DEFAULT_DENY:
        case CODE_APPROVAL_MISMATCH:
        case CODE_APPROVAL_DENIED:
        case CODE_SELF_APPROVAL:
        case CODE_BUDGET_EXCEEDED:
        case CODE_CEILING:
        case CODE_PAUSED:
        case CODE_LOCKDOWN:
        case CODE_HEAL_NOT_LISTED:
        case CODE_UNKNOWN_ACTION:
        case CODE_RATE_LIMITED:
        case CODE_TARGET_BUSY:
        case CODE_INTENT_REFUSED:
                return 4;
        case CODE_APPROVAL_USED:
        case CODE_APPROVAL_EXPIRED:
        case CODE_STALE_TARGET:
        case CODE_FAILED:
        case CODE_TIMEOUT:
        case CODE_ALREADY_VOTED:
        case CODE_INVALID:
        case CODE_NEEDED_BY_OTHERS:
        case CODE_PINNED:
        case CODE_BUSY:
        case CODE_UNSUPPORTED:
        case CODE_UNRECORDED:
        case _CODE_MAX:
                break;
        }
        return 1;
}

bool incarnation_eq(const Incarnation *a, const Incarnation *b) {
        return a->pid == b->pid && a->start_time == b->start_time &&
               memcmp(a->boot_id, b->boot_id, sizeof(a->boot_id)) == 0;
}

static int compare_args(const void *a, const void *b) {
        Str ka, kb, v;
        size_t n;
        int r;

        str_split(str_of(a), '=', &ka, &v);
        str_split(str_of(b), '=', &kb, &v);
        n = ka.n < kb.n ? ka.n : kb.n;
        r = memcmp(ka.p, kb.p, n);
        return r ? r : (ka.n > kb.n) - (ka.n < kb.n);
}

int request_sort_args(ActionRequest *r) {
        if (r->n_args > REQUEST_ARGS_MAX)
                return -EINVAL;
        for (unsigned i = 0; i < r->n_args; i++) {
                const char *at = strchr(r->args[i], '=');

                if (!at || at == r->args[i])
                        return -EINVAL;
        }
        qsort(r->args, r->n_args, sizeof(r->args[0]), compare_args);
        for (unsigned i = 1; i < r->n_args; i++)
                if (compare_args(r->args[i - 1], r->args[i]) == 0)
                        return -EINVAL;
        return 0;
}

static void hash_field(crypto_hash_sha256_state *h, Tag tag, const void *p, size_t n) {
        uint8_t head[4] = {(uint8_t)tag, (uint8_t)(tag >> 8), (uint8_t)n, (uint8_t)(n >> 8)};

        crypto_hash_sha256_update(h, head, sizeof(head));
        crypto_hash_sha256_update(h, p, n);
}

static void hash_u64(crypto_hash_sha256_state *h, Tag tag, uint64_t v) {
        uint8_t le[8];

        for (unsigned i = 0; i < 8; i++)
                le[i] = (uint8_t)(v >> (8 * i));
        hash_field(h, tag, le, sizeof(le));
}

void request_digest(const ActionRequest *r, uint8_t ret[32]) {
        crypto_hash_sha256_state h;

        crypto_hash_sha256_init(&h);
        hash_field(&h, TAG_VERSION, "1", 1);
        hash_field(&h, TAG_REQUEST_ID, r->request_id, sizeof(r->request_id));
        hash_field(&h, TAG_ACTOR, r->actor, strnlen(r->actor, sizeof(r->actor)));
        hash_field(&h, TAG_ACTION, r->action, strnlen(r->action, sizeof(r->action)));
        hash_field(&h, TAG_TARGET, r->target, strnlen(r->target, sizeof(r->target)));
        hash_field(&h, TAG_BOOT_ID, r->incarnation.boot_id, sizeof(r->incarnation.boot_id));
        hash_u64(&h, TAG_PID, r->incarnation.pid);
        hash_u64(&h, TAG_START_TIME, r->incarnation.start_time);
        hash_u64(&h, TAG_INCIDENT, r->incident);
        for (unsigned i = 0; i < r->n_args && i < REQUEST_ARGS_MAX; i++)
                hash_field(&h, TAG_ARG, r->args[i], strnlen(r->args[i], sizeof(r->args[i])));
        crypto_hash_sha256_final(&h, ret);
}

void new_request_id(uint8_t ret[16]) {
        static uint64_t calls;
        struct timespec now = {0};
        uint64_t mix[4];
        uint8_t hash[32];

        if (getrandom(ret, 16, 0) == 16)
                return;
        /* A kernel or seccomp filter without getrandom(2): unique is still owed, secret never was. */
        clock_gettime(CLOCK_REALTIME, &now);
        mix[0] = (uint64_t)now.tv_sec;
        mix[1] = (uint64_t)now.tv_nsec;
        mix[2] = (uint64_t)getpid();
        mix[3] = ++calls;
        sha256(mix, sizeof(mix), hash);
        memcpy(ret, hash, 16);
}

void request_to_msg(const ActionRequest *r, MsgBuilder *b) {
        msg_put_bytes(b, TAG_REQUEST_ID, r->request_id);
        msg_put_cstr(b, TAG_ACTOR, r->actor);
        msg_put_cstr(b, TAG_ACTION, r->action);
        msg_put_cstr(b, TAG_TARGET, r->target);
        msg_put_bytes(b, TAG_BOOT_ID, r->incarnation.boot_id);
        msg_put_u64(b, TAG_PID, r->incarnation.pid);
        msg_put_u64(b, TAG_START_TIME, r->incarnation.start_time);
        if (r->incident != UINT64_MAX)
                msg_put_u64(b, TAG_INCIDENT, r->incident);
        for (unsigned i = 0; i < r->n_args; i++)
                msg_put_cstr(b, TAG_ARG, r->args[i]);
}

int request_from_msg(ActionRequest *r, const Msg *m) {
        size_t pos = 0;
        Str s;
        memcpy(r->request_id, msg_bytes(m, TAG_REQUEST_ID), sizeof(r->request_id));
        str_copy(r->actor, sizeof(r->actor), msg_str(m, TAG_ACTOR));
        str_copy(r->action, sizeof(r->action), msg_str(m, TAG_ACTION));
        str_copy(r->target, sizeof(r->target), msg_str(m, TAG_TARGET));
        memcpy(r->incarnation.boot_id, msg_bytes(m, TAG_BOOT_ID), sizeof(r->incarnation.boot_id));
        r->incarnation.pid = msg_u64(m, TAG_PID, 0);
        r->incarnation.start_time = msg_u64(m, TAG_START_TIME, 0);
        r->incident = msg_u64(m, TAG_INCIDENT, UINT64_MAX);
        r->n_args = 0;
        while (msg_next_str(m, TAG_ARG, &pos, &s)) {
                if (r->n_args == REQUEST_ARGS_MAX || s.n >= sizeof(r->args[0]))
                        return -EINVAL;
                str_copy(r->args[r->n_args++], sizeof(r->args[0]), s);
        }
        return 0;
}

void new_id(const char *prefix, char *out, size_t cap) {
        uint8_t raw[16];
        char hex[33];

        new_request_id(raw);
        hex_encode(raw, sizeof(raw), hex);
        snprintf(out, cap, "%s%s", prefix, hex);
}
