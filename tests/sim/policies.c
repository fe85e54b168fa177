/* SPDX-License-Identifier: Apache-2.0 */
#include "policies.h"
#include "chunks/governance/gate-internal.h"
#include "common/cleanup.h"
#include <stdio.h>
#include <stdlib.h>

/* Reading and compiling a policy costs more than the life of a gate, so each is made once, and a gate that
 * ends gives it back. */
static const char *const policy_names[] = {
        "actions.yaml", "constitution.yaml", "governance.yaml", "roles.yaml", "trust.yaml"};
static struct {
        char path[600];
        char *text;
        size_t n;
} policy_files[ELEMENTSOF(policy_names)];

int sim_policies_read(void) {
        for (size_t i = 0; i < ELEMENTSOF(policy_names); i++) {
                snprintf(policy_files[i].path, sizeof(policy_files[i].path), "%s/%s", SIM_POLICIES,
                        policy_names[i]);
                auto_fclose FILE *f = fopen(policy_files[i].path, "re");
                policy_files[i].text = calloc(1, 65536);
                if (!f || !policy_files[i].text)
                        return -1;
                policy_files[i].n = fread(policy_files[i].text, 1, 65535, f);
        }
        return 0;
}

/* The other policy is the shipped one with one change in each of two files. */
static Str other_text(const char *name, const char *text, char *out, size_t cap) {
        static const char one[] = "approvals: {operator: 1}", two[] = "approvals: {operator: 2}";
        static const char nobody[] = "operator: {}", people[] = "operator: {uids: [1, 2]}";
        size_t n = 0;
        bool rules = strcmp(name, "governance.yaml") == 0, roles = strcmp(name, "roles.yaml") == 0;
        while (*text && n + sizeof(people) < cap) {
                if (rules && strncmp(text, one, sizeof(one) - 1) == 0) {
                        memcpy(out + n, two, sizeof(two) - 1);
                        n += sizeof(two) - 1;
                        text += sizeof(one) - 1;
                } else if (roles && strncmp(text, nobody, sizeof(nobody) - 1) == 0) {
                        memcpy(out + n, people, sizeof(people) - 1);
                        n += sizeof(people) - 1;
                        text += sizeof(nobody) - 1;
                } else {
                        out[n++] = *text++;
                }
        }
        return (Str){out, n};
}

GatePolicy *sim_policy(unsigned which) {
        static GatePolicy *kept[SIM_POLICIES_MAX];
        static char other[ELEMENTSOF(policy_names)][65536];
        GatePolicyFile files[ELEMENTSOF(policy_names)];
        Problems problems = {0};
        if (kept[which])
                return kept[which];
        for (size_t i = 0; i < ELEMENTSOF(policy_names); i++)
                files[i] = (GatePolicyFile){policy_names[i], policy_files[i].path,
                        which ? other_text(policy_names[i], policy_files[i].text, other[i], sizeof(other[i]))
                              : (Str){policy_files[i].text, policy_files[i].n}};
        if (gate_policy_compile(files, ELEMENTSOF(files), 0, &problems, &kept[which]) < 0)
                fprintf(stderr, "sim: %s\n",
                        problems.n ? problems.items[0].message : "the policy does not compile");
        problems_done(&problems);
        return kept[which];
}

Gate *sim_gate_free(Gate *g) {
        if (g)
                g->policy = NULL;
        return gate_free(g);
}
