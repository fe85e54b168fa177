/* SPDX-License-Identifier: Apache-2.0 */
/* The files that are shipped load, say the shipped numbers, and bad ones are refused with their line.
 */
#include "immune/policy.h"
#include "rig.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *source_dir;

START_TEST(the_shipped_files_say_the_shipped_numbers) {
        ImmunePolicy *file = NULL, *built = NULL;
        Problems p = {0};
        char text[800];

        int r = immune_policy_load(&source_dir, 1, &p, &file);
        for (size_t i = 0; i < p.n; i++)
                fprintf(stderr, "# %s\n", problem_format(&p.items[i], text, sizeof(text)));
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(immune_policy_shipped(&built), 0);
        ck_assert_mem_eq(&file->growth, &built->growth, sizeof(file->growth));
        ck_assert_mem_eq(&file->exits, &built->exits, sizeof(file->exits));
        ck_assert_mem_eq(&file->heartbeat, &built->heartbeat, sizeof(file->heartbeat));
        ck_assert_int_eq(file->growth_severity, built->growth_severity);
        ck_assert_uint_eq(file->dedupe_us, built->dedupe_us);
        ck_assert_uint_eq(file->max_attempts, built->max_attempts);
        ck_assert_uint_eq(file->max_open, built->max_open);
        ck_assert_uint_eq(file->rate_per_s, built->rate_per_s);
        ck_assert_uint_eq(file->burst, built->burst);
        ck_assert_uint_eq(file->min_healthy, built->min_healthy);
        ck_assert_uint_eq(file->min_units, built->min_units);
        ck_assert_uint_eq(file->storm_quiet_us, built->storm_quiet_us);
        ck_assert_uint_eq(file->retry_min_us, built->retry_min_us);
        ck_assert_uint_eq(file->retry_max_us, built->retry_max_us);
        for (unsigned i = 0; i < built->n_playbooks; i++) {
                const Playbook *a = &built->playbooks[i], *b = &file->playbooks[i];
                ck_assert_str_eq(a->id, b->id);
                ck_assert_uint_eq(a->severities, b->severities);
                ck_assert_uint_eq(a->n_steps, b->n_steps);
                ck_assert_mem_eq(a->steps, b->steps, sizeof(a->steps));
                ck_assert_uint_eq(a->verify_within_us, b->verify_within_us);
                ck_assert_uint_eq(a->stable_for_us, b->stable_for_us);
                ck_assert_uint_eq(a->cool_down_us, b->cool_down_us);
        }
        ck_assert_uint_eq(file->growth.min_growth, 64ULL << 20);
        ck_assert_uint_eq(file->growth.min_rate, 1ULL << 20);
        ck_assert_uint_ge(file->n_diagnoses, 5);
        const char *labels[] = {"x=y", "memory=cache"};
        ck_assert_uint_eq(immune_policy_growth(file, labels, 2)->min_growth, 1ULL << 30);
        ck_assert_uint_eq(immune_policy_growth(file, labels, 2)->interval_us, 1000000);
        ck_assert_uint_eq(immune_policy_growth(file, labels, 1)->min_growth, 64ULL << 20);
        immune_policy_free(file);
        immune_policy_free(built);
        problems_done(&p);
}
END_TEST

START_TEST(diagnosis_takes_the_surest_cause) {
        Rig *r = rig_new();
        Problems p = {0};
        ImmunePolicy *file = NULL;

        ck_assert_int_eq(immune_policy_load(&source_dir, 1, &p, &file), 0);
        immune_core_policy(r->core, file);
        rig_unit(r, "crashy", 70, UNIT_RUNNING);
        for (uint64_t n = 0; n < 3; n++) {
                rig_event(r, "crashy", 0, UNIT_BACKOFF, RESTART_SIGNAL, -1, 11);
                rig_event(r, "crashy", 71 + n, UNIT_RUNNING, RESTART_SIGNAL, -1, 11);
        }
        ck_assert_str_eq(rig_field(r, "diagnosis"), "memory-fault");
        rig_event(r, "crashy", 0, UNIT_QUARANTINED, RESTART_SIGNAL, -1, 11);
        ck_assert_str_eq(rig_field(r, "diagnosis"), "budget-used-up");
        ck_assert_str_eq(rig_field(r, "playbook"), "quarantined");
        immune_core_policy(r->core, r->policy);
        rig_free(r);
        immune_policy_free(file);
        problems_done(&p);
}
END_TEST

typedef struct Bad {
        bool playbooks;
        unsigned line;
        const char *text, *word;
} Bad;
#define D "apiVersion: guardian/detectors.v1\ndetectors:\n"
#define P "apiVersion: guardian/playbooks.v1\nplaybooks:\n"
static const Bad bad[] = {
        {false, 1, "apiVersion: guardian/detectors.v2\ndetectors: {}\n",
                "unknown apiVersion 'guardian/detectors.v2' (this version of Guardian reads "
                "guardian/detectors.v1)"},
        {false, 3, D "  memory_grow: {}\n", "did you mean 'memory_growth'?"},
        {false, 3, D "  memory_growth: {needed: 9, windows: 5}\n", "needed 9 of windows 5"},
        {false, 3, D "  memory_growth: {interval: 9s, window: 5s}\n",
                "interval 9.0s does not fit window 5.0s"},
        {false, 3, D "  memory_growth: {min_growth: lots}\n", "lots"},
        {false, 4, D "  exits:\n    repeats: 0\n", "0"},
        {false, 4, D "  heartbeat:\n    severity: dire\n", "'severity' knows no 'dire' (one of: "},
        {true, 3, P "  - {id: a, anomaly: memory_leek, steps: [escalate_to_human]}\n",
                "did you mean 'memory_leak'?"},
        {true, 3, P "  - {id: a, anomaly: memory_leak, steps: [reboot]}\n",
                "unknown step 'reboot' (one of: observe, collect_evidence, restart_service"},
        {true, 3, P "  - {id: a, anomaly: memory_leak, steps: []}\n", "'a' has no step"},
        {true, 3, P "  - {id: a, anomaly: memory_leak, steps: [escalate_to_human, restart_service]}\n",
                "person"},
        {true, 3, P "  - {id: a, anomaly: memory_leak, steps: [observe]}\n", "{do: observe, for: 5min}"},
        {true, 3, P "  - {id: a, anomaly: memory_leak, steps: [action]}\n", "action"},
        {true, 3, P "  - {id: a, anomaly: disk_full, when: \"unit.nome == 'x'\", steps: [clear_cache]}\n",
                "unit.nome"},
        {true, 4,
                P "  - {id: a, anomaly: disk_full, steps: [clear_cache]}\n  - {id: a, anomaly: disk_full, "
                  "steps: [clear_cache]}\n",
                "a playbook 'a' stands above"},
};

START_TEST(bad_files_are_refused_with_their_line) {
        const Bad *b = &bad[_i];
        ImmunePolicy *into = NULL;
        Problems p = {0};

        ck_assert_int_eq(immune_policy_shipped(&into), 0);
        into->n_playbooks = 0;
        ck_assert_int_eq(immune_policy_parse("x.yaml", str_of(b->text), b->playbooks, &p, into), -EINVAL);
        ck_assert_uint_ge(p.n, 1);
        char text[800];
        problem_format(&p.items[0], text, sizeof(text));
        ck_assert_msg(p.items[0].line == b->line, "%s", text);
        ck_assert_msg(strstr(text, b->word) != NULL, "%s", text);
        immune_policy_free(into);
        problems_done(&p);
}
END_TEST

START_TEST(missing_files_are_an_error) {
        const char *none = "/nonexistent";
        ImmunePolicy *into = NULL;
        Problems p = {0};
        ck_assert_int_eq(immune_policy_load(&none, 1, &p, &into), -ENOENT);
        ck_assert_uint_eq(p.errors, 2);
        problems_done(&p);
}
END_TEST

int main(int argc, char **argv) {
        if (argc < 2)
                return EXIT_FAILURE;
        source_dir = argv[1];
        Suite *s = suite_create("immune-policy");
        TCase *tc = tcase_create("all");
        tcase_add_test(tc, the_shipped_files_say_the_shipped_numbers);
        tcase_add_test(tc, diagnosis_takes_the_surest_cause);
        tcase_add_loop_test(tc, bad_files_are_refused_with_their_line, 0, sizeof(bad) / sizeof(bad[0]));
        tcase_add_test(tc, missing_files_are_an_error);
        suite_add_tcase(s, tc);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int failed = srunner_ntests_failed(sr);
        srunner_free(sr);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
