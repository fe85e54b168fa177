/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/rights.h"
#include <errno.h>
#include <string.h>

#ifdef GUARDIAN_TEST_HOOKS
LedgerFault ledger_fault = LEDGER_FAULT_NONE;
#endif

static const char *const names[_WRITER_MAX] = {[W_GOVERNANCE] = "governance",
        [W_GUARDIAN] = "guardian",
        [W_IMMUNE] = "immune",
        [W_MESH] = "mesh",
        [W_LEDGER] = "ledger"};

#define K(kind) (UINT32_C(1) << RECORD_##kind)
static const uint32_t rights[_WRITER_MAX] = {[W_GOVERNANCE] = K(DECISION) | K(CONFIG),
        [W_GUARDIAN] =
                K(APPROVAL) | K(INTENT) | K(ACTION) | K(BOOT) | K(UNIT) | K(CONFIG) | K(RECOVERY) | K(LOSS),
        [W_IMMUNE] = K(ANOMALY) | K(INCIDENT),
        [W_MESH] = K(EVENT),
        [W_LEDGER] = K(KEY) | K(CHECKPOINT) | K(RECOVERY) | K(LOSS)};
#undef K

int writer_id(Str name) {
        for (int i = 0; i < _WRITER_MAX; i++)
                if (str_eq(name, names[i]))
                        return i;
        return -ENOENT;
}

const char *writer_name(WriterId w) {
        return names[w];
}

bool writer_may(WriterId w, const Record *r) {
        if (LEDGER_FAULTY(ANY_WRITER))
                return true;
        if (!(rights[w] >> r->kind & 1))
                return false;
        if (r->kind != RECORD_CONFIG)
                return true;
        Str a = r->meta[META_ACTION];
        bool policy = str_eq(a, "policy") || (a.n > 7 && memcmp(a.p, "policy.", 7) == 0);
        return a.n > 0 && policy == (w == W_GOVERNANCE);
}

bool record_licenses(const Record *r) {
        if (LEDGER_FAULTY(CHECK_LICENSES) && r->kind == RECORD_DECISION &&
                r->verdict_bits & VERDICT_BIT_CHECK)
                return r->has_request_id && r->has_digest;
        return writer_id(r->meta[META_WRITER]) == W_GOVERNANCE && r->kind == RECORD_DECISION &&
               r->has_request_id && r->has_digest && (r->verdict_bits & VERDICT_BIT_ALLOW) &&
               !(r->verdict_bits & VERDICT_BIT_CHECK);
}
