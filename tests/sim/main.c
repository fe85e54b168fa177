/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim --seeds N [--seed S] [--from X] [--trace] [--fault NAME --expect] [--coverage FILE]
 *
 * Runs seeds X .. X+N-1, or the one of --seed. The first violation prints its seed and ends with status 1.
 * With --fault (builds with -Dtest_hooks=true) one guard of a core is switched off; with --expect the run is
 * good only if a violation was found.
 */
#include "boot-run.h"
#include "sim.h"
#include "common/cleanup.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef GUARDIAN_TEST_HOOKS
#include "guardian/enforce/enforce-private.h"

static const struct {
        const char *name;
        EnforceFault fault;
} faults[] = {
        {"no_digest", FAULT_NO_DIGEST},
        {"no_incarnation", FAULT_NO_INCARNATION},
        {"no_use_by", FAULT_NO_USE_BY},
        {"no_pause", FAULT_NO_PAUSE},
        {"no_lockdown", FAULT_NO_LOCKDOWN},
        {"act_early", FAULT_ACT_EARLY},
        {"no_close", FAULT_NO_CLOSE},
        {"no_ceiling", FAULT_NO_CEILING},
        {"repeat_unknown", FAULT_REPEAT_UNKNOWN},
        {"self_vote", FAULT_SELF_VOTE},
        {"no_resend", FAULT_NO_RESEND},
        {"no_answer", FAULT_NO_ANSWER},
};
static const struct {
        const char *name;
        bool *on;
} switches[] = {
        {"gate_judges_twice", &gate_fault_judge_twice},
        {"gate_no_budget", &gate_fault_no_budget},
        {"ledger_no_intent_check", &ledger_fault_no_intent_check},
        {"ledger_no_dedup", &ledger_fault_no_dedup},
};
#endif

/* ---- the shipped policy, read once */
static const char *const policy_names[] = {
        "actions.yaml", "constitution.yaml", "governance.yaml", "roles.yaml", "trust.yaml"};
static struct {
        char path[600];
        char *text;
        size_t n;
} policy_files[ELEMENTSOF(policy_names)];

static int read_policies(void) {
        for (size_t i = 0; i < ELEMENTSOF(policy_names); i++) {
                snprintf(policy_files[i].path, sizeof(policy_files[i].path), "%s/%s", SIM_POLICIES,
                        policy_names[i]);
                auto_fclose FILE *f = fopen(policy_files[i].path, "re");
                policy_files[i].text = malloc(65536);
                if (!f || !policy_files[i].text)
                        return -1;
                policy_files[i].n = fread(policy_files[i].text, 1, 65536, f);
        }
        return 0;
}

GatePolicy *sim_policy(void) {
        GatePolicyFile files[ELEMENTSOF(policy_names)];
        Problems problems = {0};
        GatePolicy *p = NULL;
        for (size_t i = 0; i < ELEMENTSOF(policy_names); i++)
                files[i] = (GatePolicyFile){
                        policy_names[i], policy_files[i].path, {policy_files[i].text, policy_files[i].n}};
        if (gate_policy_compile(files, ELEMENTSOF(files), 0, &problems, &p) < 0)
                fprintf(stderr, "sim: %s\n",
                        problems.n ? problems.items[0].message : "the policy does not compile");
        problems_done(&problems);
        return p;
}

/* ---- one seed */
static void sim_init(Sim *s, uint64_t seed, bool tracing) {
        Mirror *log = s->log;
        memset(s, 0, sizeof(*s));
        s->log = log;
        s->seed = seed;
        s->rnd = seed * 0x2545f4914f6cdd1dull + 1;
        s->trace = tracing;
        s->boot_us = 1000 * SIM_S;
        s->wall_ns = 1700000000ull * 1000000000ull;
        s->end_us = UINT64_MAX;
        memset(s->boot_id, 0xb0, sizeof(s->boot_id));
        for (Proc a = 0; a < _P_MAX; a++)
                for (Proc b = 0; b < _P_MAX; b++)
                        list_init(&s->pipe[a][b]);
        list_init(&s->gate_waiting);
        s->storage = vdisk_storage(&s->disk);
        s->source = vdisk_source(&s->disk);
        s->immune_timer_us = s->immune_sample_us = UINT64_MAX;
        guardian_units_boot(s);
        for (Proc p = 0; p < _P_MAX; p++)
                s->start_us[p] = s->boot_us + (p ? 1 + rnd(s, 20 * SIM_MS) : 0);
        s->odd = seed % 4 == 0;
        s->hostile_gate = rnd(s, 100) < 12;
        s->stimuli = s->hostile_gate ? 40 + (unsigned)rnd(s, 80) : 10 + (unsigned)rnd(s, 50);
        s->next_stimulus_us = s->boot_us + rnd(s, 100 * SIM_MS);
}

static void sim_done(Sim *s) {
        s->calm = true;
        for (Proc p = _P_MAX; p-- > 0;)
                s->alive[p] = false;
        gate_stop(s);
        immune_stop(s);
        if (s->service)
                ledger_stop(s, false);
        enforce_free(s->e);
        for (Proc a = 0; a < _P_MAX; a++)
                for (Proc b = 0; b < _P_MAX; b++)
                        LIST_FOREACH_SAFE (it, nx, &s->pipe[a][b])
                                free(container_of(it, Frame, node));
        vdisk_done(&s->disk);
}

static BootLie boot_lie;

static bool run_seed(Sim *s, uint64_t seed, bool tracing, uint64_t totals[16]) {
        cover_seed = seed;
        if (!boot_run(seed, tracing, boot_lie, s->failure, sizeof(s->failure), &totals[13]))
                return false;
        sim_init(s, seed, tracing);
        sim_run(s);
        for (unsigned i = 0; i < 16; i++)
                totals[i] += s->counts[i];
        totals[15] += s->steps;
        totals[14] += s->n_log;
        sim_done(s);
        return s->failure[0] == 0;
}

static int set_fault(const char *name) {
        static const char *const lies[] = {[LIE_GROUP_EMPTY] = "group_empty",
                [LIE_EARLY_VERDICT] = "early_verdict",
                [LIE_DOWN] = "down",
                [LIE_DEAF] = "deaf"};
        for (size_t i = 1; i < ELEMENTSOF(lies); i++)
                if (strcmp(lies[i], name) == 0) {
                        boot_lie = (BootLie)i;
                        return 0;
                }
#ifdef GUARDIAN_TEST_HOOKS
        for (size_t i = 0; i < ELEMENTSOF(faults); i++)
                if (strcmp(faults[i].name, name) == 0) {
                        enforce_fault = faults[i].fault;
                        return 0;
                }
        for (size_t i = 0; i < ELEMENTSOF(switches); i++)
                if (strcmp(switches[i].name, name) == 0) {
                        *switches[i].on = true;
                        return 0;
                }
#endif
        fprintf(stderr, "sim: no fault '%s' in this build\n", name);
        return -1;
}

int main(int argc, char **argv) {
        static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
                {"seed", required_argument, NULL, 's'}, {"from", required_argument, NULL, 'f'},
                {"trace", no_argument, NULL, 't'}, {"fault", required_argument, NULL, 'm'},
                {"expect", no_argument, NULL, 'e'}, {"coverage", required_argument, NULL, 'c'},
                {NULL, 0, NULL, 0}};
        const char *coverage = NULL;
        uint64_t n = 1000, from = 1, totals[16] = {0};
        bool tracing = false, expect = false;
        for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
                if ((o == 'n' && parse_u64(optarg, &n) < 0) || (o == 'f' && parse_u64(optarg, &from) < 0) ||
                        o == '?')
                        return 64;
                if (o == 's') {
                        if (parse_u64(optarg, &from) < 0)
                                return 64;
                        n = 1;
                }
                tracing |= o == 't';
                expect |= o == 'e';
                if (o == 'c') {
                        coverage = optarg;
                        covering = true;
                }
                if (o == 'm' && set_fault(optarg) < 0)
                        return 64;
        }
        Sim *s = calloc(1, sizeof(*s));
        if (!s || !(s->log = calloc(SIM_RECORDS, sizeof(*s->log))) || read_policies() < 0) {
                fprintf(stderr, "sim: no memory, or no policies in %s\n", SIM_POLICIES);
                return 70;
        }
        bool found = false;
        uint64_t seed = from;
        for (; seed < from + n && !found; seed++)
                if (!run_seed(s, seed, tracing, totals)) {
                        printf("seed %llu: %s\n", (unsigned long long)seed, s->failure);
                        found = true;
                }
        printf("%llu seeds, %llu steps, %llu records, %llu acts (%llu ungated), %llu proposals of the "
               "kernel, %llu answers ok, %llu not, %llu steps of units\n",
                (unsigned long long)(seed - from), (unsigned long long)totals[15],
                (unsigned long long)totals[14], (unsigned long long)totals[0], (unsigned long long)totals[2],
                (unsigned long long)totals[1], (unsigned long long)totals[4], (unsigned long long)totals[3],
                (unsigned long long)totals[13]);
        free(s->log);
        free(s);
        if (coverage && cover_write(coverage) < 0)
                return 70;
        return found == expect ? 0 : 1;
}
