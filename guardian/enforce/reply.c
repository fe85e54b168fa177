/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/enforce/enforce-private.h"

void enforce_reply_to_json(const EnforceReply *r, JsonWriter *w) {
        json_object_begin(w);
        json_key(w, "request_id");
        if (r->request_id)
                json_hex(w, r->request_id, 16);
        else
                json_null(w);
        json_kv_str(w, "verdict", verdict_to_string((int)r->verdict));
        json_kv_str(w, "code", code_to_string((int)r->code));
        json_kv_u64_or_null(w, "decision_index", r->decision_index);
        json_kv_str(w, "approval_id", r->approval_id[0] ? r->approval_id : NULL);
        json_kv_u64_or_null(w, "intent_index", r->intent_index);
        json_kv_u64_or_null(w, "action_index", r->action_index);
        json_kv_str(w, "outcome", r->has_outcome ? outcome_to_string((int)r->outcome) : NULL);
        json_kv_str(w, "reason", r->reason);
        json_kv_str(w, "correlation_id", r->correlation_id);
        json_kv_bool(w, "ungated", r->ungated);
        json_object_end(w);
}

void enforce_reply_to_msg(const EnforceReply *r, uint64_t req, MsgBuilder *b) {
        msg_begin(b, MSG_PROPOSAL_RESULT);
        msg_put_u64(b, TAG_REQ, req);
        msg_put_cstr(b, TAG_CODE, code_to_string((int)r->code));
        if (r->more)
                msg_put_bool(b, TAG_MORE, true);
        if (r->request_id)
                msg_put_bytes(b, TAG_REQUEST_ID, r->request_id);
        msg_put_u64(b, TAG_VERDICT, r->verdict);
        if (r->decision_index != NONE64)
                msg_put_u64(b, TAG_DECISION_INDEX, r->decision_index);
        if (r->approval_id[0])
                msg_put_cstr(b, TAG_APPROVAL_ID, r->approval_id);
        if (r->intent_index != NONE64)
                msg_put_u64(b, TAG_INTENT_INDEX, r->intent_index);
        if (r->action_index != NONE64)
                msg_put_u64(b, TAG_ACTION_INDEX, r->action_index);
        if (r->has_outcome)
                msg_put_cstr(b, TAG_OUTCOME, outcome_to_string((int)r->outcome));
        if (r->reason[0])
                msg_put_text(b, TAG_REASON, r->reason);
        msg_put_cstr(b, TAG_CORRELATION_ID, r->correlation_id);
}
