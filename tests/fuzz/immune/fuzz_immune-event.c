/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses the type, the rest is the payload that any kernel may send. Records are read back
 * too. */
#include "immune/inbox.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void drain(ImmuneCore *core, ImmuneNow now) {
        const ImmuneCmd *cmd;
        uint64_t index = 0;

        while ((cmd = immune_next(core))) {
                if (cmd->kind == IMMUNE_CMD_EVIDENCE)
                        immune_on_evidence(core, now, cmd->token, NULL, 0);
                if (cmd->kind != IMMUNE_CMD_APPEND)
                        continue;
                if (json_check_canonical(cmd->body, NULL, NULL) < 0)
                        abort();
                immune_on_ack(core, now, cmd->token, true, index++);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        ImmuneNow now = {1000000, 1};
        ImmunePolicy *policy = NULL;
        ImmuneCore *core = NULL;
        MsgBuilder b;
        Msg m;

        if (n == 0 || immune_policy_shipped(&policy) < 0)
                return 0;
        ImmuneConfig cfg = {.self = "immune", .policy = policy};
        if (immune_core_new(&cfg, &core) < 0)
                abort();
        Str payload = {(const char *)data + 1, n - 1};
        immune_fold(core, RECORD_INCIDENT, 1, 1, "cor_abcdef", payload);
        immune_snapshot_begin(core, now);
        immune_snapshot_end(core, now);
        immune_folded(core, now);
        drain(core, now);
        msg_begin(&b, MSG_EVENT);
        msg_put_cstr(&b, TAG_TYPE, data[0] == 5 ? "unit.state" : inbox_patterns[data[0] % 5]);
        msg_put_cstr(&b, TAG_SOURCE, "guardian");
        if (msg_view(&b, payload, &m) == 0)
                inbox_event(core, now, &m);
        drain(core, now);
        immune_core_free(core);
        immune_policy_free(policy);
        return 0;
}
