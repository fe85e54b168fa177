/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The table of approvals: pure bookkeeping of questions and votes. States: pending
 * approved denied expired void used. Who may vote is decided by approval_vote_check(); the record is written
 * by enforce.c, and a vote counts only once it is durable.
 */
#include "common/json-writer.h"
#include "common/vocab.h"

enum {
        APPROVALS_MAX = 128, /* open and answered together; the oldest answered one makes room */
        APPROVAL_VOTES_MAX = 16,
        APPROVAL_NEEDS_MAX = 4,
        APPROVAL_RULES_MAX = 8,
};
#define APPROVAL_TTL_US (15ull * 60 * 1000000)

typedef struct ApprovalVote {
        uint64_t uid;
        Role role;
        bool approve;
        bool durable;
} ApprovalVote;
typedef struct ApprovalNeed {
        Role role;
        unsigned count;
} ApprovalNeed;

typedef struct Approval {
        char id[49];
        uint8_t request_id[16], digest[32];
        char actor[161], action[65], target[129];
        char reason[513], correlation_id[81], policy_revision[81];
        char rules[APPROVAL_RULES_MAX][257]; /* "id|effect|tier" */
        unsigned n_rules, n_needs, n_votes;
        ApprovalNeed needs[APPROVAL_NEEDS_MAX];
        ApprovalVote votes[APPROVAL_VOTES_MAX];
        uint64_t decision_index;         /* of the question */
        uint64_t answer_index;           /* record of the deciding vote, UINT64_MAX: none */
        uint64_t created_ns, expires_ns; /* wall */
        uint64_t expires_boot_us;
        ApprovalState state;
} Approval;

typedef struct Approvals {
        Approval *items[APPROVALS_MAX]; /* in order of creation; owned */
        unsigned n;
} Approvals;

void approvals_done(Approvals *t);
/* A new pending one with id, owned by the table. NULL: no memory, or 128 are open, or the id exists. */
Approval *approvals_add(Approvals *t, const char *id);
Approval *approvals_find(Approvals *t, const char *id);
Approval *approvals_find_request(Approvals *t, const uint8_t request_id[16]);
unsigned approvals_count(const Approvals *t, ApprovalState state);
/* Adds "operator:1"; -EINVAL for anything else, -ENOSPC past 4. An approval without a need takes one
 * operator. */
int approval_add_need(Approval *a, Str text);
/* May this person's vote be taken now? CODE_OK, or why not. Units never reach this: enforce.c refuses them.
 */
Code approval_vote_check(const Approval *a, uint64_t uid, Role role);
/* Would the durable approving votes, with those still being written counted too if `optimistic`, satisfy
 * every need? People are assigned to needs so that one person serves one need; a person serves a need of
 * their role or a lower one. */
bool approval_satisfied(const Approval *a, bool optimistic);
/* The document of `approvals --json`: an array, oldest first. */
void approvals_to_json(const Approvals *t, JsonWriter *w);
