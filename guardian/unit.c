/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/unit.h"
#include "common/cleanup.h"
#include <errno.h>
#include <signal.h>
#include <stdalign.h>
#include <string.h>

enum { ARENA_BLOCK = 240, ARENA_ALIGN = alignof(max_align_t) };

typedef struct ArenaBlock {
        struct ArenaBlock *next;
        size_t used, size;
        alignas(max_align_t) char data[];
} ArenaBlock;

void *arena_alloc(Arena *a, size_t n) {
        if (n > SIZE_MAX / 2)
                return NULL;
        n = (n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
        ArenaBlock *b = a->blocks;
        if (!b || b->size - b->used < n) {
                size_t size = n > ARENA_BLOCK ? n : ARENA_BLOCK;
                b = calloc(1, sizeof(ArenaBlock) + size);
                if (!b)
                        return NULL;
                b->size = size;
                b->next = a->blocks;
                a->blocks = b;
        }
        void *p = b->data + b->used;
        b->used += n;
        return p;
}

char *arena_strndup(Arena *a, const char *s, size_t n) {
        char *p = arena_alloc(a, n + 1);
        if (p && n > 0)
                memcpy(p, s, n);
        return p;
}

static unsigned grow_capacity(unsigned n) {
        unsigned cap = 2; /* most lists hold one item, and there are thousands of them */
        while (cap < n + 1)
                cap *= 2;
        return cap;
}

void *arena_grow(Arena *a, void *items, unsigned n, size_t size) {
        if (n > 0 && grow_capacity(n) == grow_capacity(n + 1))
                return items;
        void *p = arena_alloc(a, grow_capacity(n + 1) * size);
        if (p && n > 0)
                memcpy(p, items, n * size);
        return p;
}

int strlist_push(Arena *a, StrList *l, char *item) {
        char **items = arena_grow(a, l->items, l->n, sizeof(char *));
        if (!items)
                return -ENOMEM;
        l->items = items;
        items[l->n++] = item;
        items[l->n] = NULL;
        return 0;
}

void arena_done(Arena *a) {
        while (a->blocks) {
                ArenaBlock *b = a->blocks;
                a->blocks = b->next;
                free(b);
        }
}

static const char *const bootstrap_units[] = {"ledger", "governance"};

bool unit_is_bootstrap(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(bootstrap_units); i++)
                if (strcmp(bootstrap_units[i], name) == 0)
                        return true;
        return false;
}

static void set_defaults(UnitConfig *u) {
        u->enabled = true;
        u->bootstrap = unit_is_bootstrap(u->name);
        u->priority_milli = UNIT_PRIORITY_DEFAULT;
        u->guardian_validates = true;
        u->validate_timeout_us = 10000000;
        u->restart = RESTART_POLICY_ON_FAILURE;
        u->restart_us = 100000;
        u->restart_max_us = 30000000;
        u->restart_reset_us = 60000000;
        u->restart_jitter = true;
        u->start_limit_burst = 10;
        u->start_limit_interval_us = 300000000;
        u->timeout_start_us = 30000000;
        u->timeout_stop_us = 10000000;
        u->kill_signal = SIGTERM;
        u->final_kill_signal = SIGKILL;
        u->start_retries = UINT32_MAX; /* settled by unit_file_finish(): 3 for core chunks, else 0 */
        for (size_t i = 0; i < _PROBE_KIND_MAX; i++) {
                /* Kubernetes' periodSeconds, timeoutSeconds, failureThreshold, successThreshold */
                u->probes[i].interval_us = 10000000;
                u->probes[i].timeout_us = 1000000;
                u->probes[i].failure_threshold = 3;
                u->probes[i].success_threshold = 1;
        }
        /* the same 30 seconds of patience, but a unit that is up after one is not kept waiting for ten */
        u->probes[PROBE_STARTUP].interval_us = 1000000;
        u->probes[PROBE_STARTUP].failure_threshold = 30;
}

UnitConfig *unit_config_new(const char *name) {
        auto_free UnitConfig *u = calloc(1, sizeof(UnitConfig));
        if (!u)
                return NULL;
        const char *at = strchr(name, '@');
        u->name = arena_strndup(&u->arena, name, strlen(name));
        u->prefix = at ? arena_strndup(&u->arena, name, (size_t)(at - name)) : u->name;
        bool ok = u->name && u->prefix;
        if (ok && at && at[1]) {
                u->template_name = arena_strndup(&u->arena, name, (size_t)(at - name) + 1);
                u->instance = arena_strndup(&u->arena, at + 1, strlen(at + 1));
                ok = u->template_name && u->instance;
        }
        if (!ok) {
                arena_done(&u->arena);
                return NULL;
        }
        set_defaults(u);
        return TAKE(u);
}

UnitConfig *unit_config_free(UnitConfig *u) {
        if (u) {
                arena_done(&u->arena);
                free(u);
        }
        return NULL;
}

bool exit_set_has(const ExitSet *s, bool signaled, int status) {
        if (signaled)
                return status > 0 && status < 64 && (s->signals >> status & 1);
        return status >= 0 && status < 256 && (s->codes[status / 64] >> (status % 64) & 1);
}

bool unit_prepares(const UnitConfig *u) {
        return u->type == SERVICE_CHUNK || u->profile == PROFILE_AUTO || u->user || u->group ||
               u->supplementary_groups.n || u->environment_files.n || u->runtime_directories.n ||
               u->state_directories.n;
}

NotifyAccess unit_notify_access(const UnitConfig *u) {
        if (u->notify_access != NOTIFY_DEFAULT)
                return u->notify_access;
        /* A chunk speaks on its control pipe; others get a socket where they have to use it. */
        if (u->type == SERVICE_NOTIFY || (u->type != SERVICE_CHUNK && u->watchdog_us > 0))
                return NOTIFY_MAIN;
        return NOTIFY_NONE;
}

static const char *name_of(const char *const *names, size_t n, unsigned v) {
        return v < n ? names[v] : "invalid";
}

const char *probe_kind_to_string(ProbeKind k) {
        static const char *const names[] = {"StartupProbe", "ReadinessProbe", "LivenessProbe"};
        return name_of(names, ELEMENTSOF(names), k);
}

const char *service_type_to_string(ServiceType t) {
        static const char *const names[] = {"exec", "simple", "notify", "oneshot", "chunk"};
        return name_of(names, ELEMENTSOF(names), t);
}

const char *restart_policy_to_string(RestartPolicy r) {
        static const char *const names[] = {
                "no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"};
        return name_of(names, ELEMENTSOF(names), r);
}

const char *kill_mode_to_string(KillMode k) {
        static const char *const names[] = {"control-group", "mixed", "process"};
        return name_of(names, ELEMENTSOF(names), k);
}
