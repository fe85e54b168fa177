/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/enforce/enforce-private.h"

#define HEALING(n)                                                                                           \
        { (n), true, true, false, false, ROLE_OPERATOR }
#define UNIT_VERB(n, ug, bs)                                                                                 \
        { (n), false, true, (ug), (bs), ROLE_OPERATOR }
#define GLOBAL_VERB(n, bs, r)                                                                                \
        { (n), false, false, false, (bs), (r) }

/* Which work without a verdict, too; there is no other list. */
static const EnforceVerb verbs[] = {
        HEALING("restart_service"),
        HEALING("scale_up"),
        HEALING("scale_down"),
        HEALING("rollback"),
        HEALING("circuit_breaker"),
        HEALING("rate_limit"),
        HEALING("kill_connection"),
        HEALING("clear_cache"),
        HEALING("garbage_collect"),
        HEALING("escalate_to_human"),
        HEALING("quarantine_component"),
        HEALING("harden_security"),
        UNIT_VERB("start", true, true),
        UNIT_VERB("stop", true, false),
        UNIT_VERB("restart", true, true),
        UNIT_VERB("reload_unit", false, true),
        UNIT_VERB("kill", true, false),
        UNIT_VERB("pin", false, false),
        UNIT_VERB("unpin", true, true),
        UNIT_VERB("reset", true, true),
        GLOBAL_VERB("reload", false, ROLE_ADMIN),
        GLOBAL_VERB("mode", false, ROLE_ADMIN),
        GLOBAL_VERB("lockdown", false, ROLE_ADMIN),
        /* Guardian's own, never asked of the gate: enforce_pause() and its like */
        GLOBAL_VERB("pause", true, ROLE_OPERATOR),
        GLOBAL_VERB("resume", true, ROLE_OPERATOR),
        GLOBAL_VERB("break_glass", true, ROLE_ADMIN),
        GLOBAL_VERB("shutdown", true, ROLE_ADMIN),
        GLOBAL_VERB("approve", false, ROLE_OPERATOR),
        GLOBAL_VERB("deny", false, ROLE_OPERATOR),
};

const EnforceVerb *enforce_verbs(size_t *n) {
        *n = ELEMENTSOF(verbs);
        return verbs;
}

const EnforceVerb *enforce_verb(Str name) {
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                const char *v = verbs[i].name;
                if (strlen(v) != name.n)
                        continue;
                size_t k = 0;
                while (k < name.n && (name.p[k] == v[k] || (name.p[k] == '-' && v[k] == '_')))
                        k++;
                if (k == name.n)
                        return &verbs[i];
        }
        return NULL;
}

bool enforce_is_bootstrap_unit(const char *unit) {
        return strcmp(unit, "ledger") == 0 || strcmp(unit, "governance") == 0;
}

bool enforce_is_own_verb(const EnforceVerb *v) {
        static const char *const own[] = {"pause", "resume", "break_glass", "shutdown", "approve", "deny"};
        for (size_t i = 0; i < ELEMENTSOF(own); i++)
                if (strcmp(v->name, own[i]) == 0)
                        return true;
        return false;
}
