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
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef GUARDIAN_TEST_HOOKS
#include "chunks/ledger/rights.h"
#include "guardian/enforce/enforce-private.h"

/* One name, one guard of one core. */
static const struct {
        const char *name;
        EnforceFault enforce;
        GateFault gate;
        LedgerFault ledger;
} faults[] = {
#define X(N, s) {s, .enforce = FAULT_##N},
        ENFORCE_FAULTS(X)
#undef X
#define X(N, s) {s, .gate = GATE_FAULT_##N},
                GATE_FAULTS(X)
#undef X
#define X(N, s) {s, .ledger = LEDGER_FAULT_##N},
                        LEDGER_FAULTS(X)
#undef X
};
#endif

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
        s->storms = seed % 32 == 3;
        s->flaps = seed % 16 == 9;
        s->wild = seed % 16 == 6;
        guardian_units_boot(s);
        for (Proc p = 0; p < _P_MAX; p++)
                s->start_us[p] = s->boot_us + (p ? 1 + rnd(s, 20 * SIM_MS) : 0);
        s->odd = seed % 4 == 0;
        s->hostile_gate = rnd(s, 100) < 12;
        s->stimuli = s->hostile_gate ? 40 + (unsigned)rnd(s, 80) : 10 + (unsigned)rnd(s, 50);
        s->next_stimulus_us = s->boot_us + rnd(s, 100 * SIM_MS);
        s->wild &= !s->hostile_gate; /* together they may make a record that fits */
        s->hostile_immune = rnd(s, 100) < 8;
        s->policy = rnd(s, 100) < 20;
        s->mode_floor = chance(s, 12) ? MODE_ENFORCE_CRITICAL : chance(s, 8) ? MODE_ENFORCE : MODE_NONE;
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
        if (s->has_snap)
                vdisk_done(&s->snap);
}

static BootLie boot_lie;

static bool run_seed(Sim *s, uint64_t seed, bool tracing, uint64_t totals[16]) {
        cover_seed = seed;
        if (!boot_run(seed, tracing, boot_lie, s->failure, sizeof(s->failure), &totals[13]))
                return false;
        bool cover_all = covering;
        sim_init(s, seed, tracing);
        sim_run(s);
        covering = cover_all;
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
                        enforce_fault = faults[i].enforce;
                        gate_fault = faults[i].gate;
                        ledger_fault = faults[i].ledger;
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
        if (!s || !(s->log = calloc(SIM_RECORDS, sizeof(*s->log))) || sim_policies_read() < 0) {
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
