/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/check.h"
#include "guardian/policy-files.h"
#include "guardian/preflight.h"
#include "tests/unit/guardian/suite.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64], core[96], user[96];
static Problems problems;
static UnitSet *set;

static void put(const char *dir, const char *name, const char *text) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        FILE *f = fopen(path, "we");
        ck_assert_ptr_nonnull(f);
        ck_assert_int_ge(fputs(text, f), 0);
        ck_assert_int_eq(fclose(f), 0);
}

static void setup(void) {
        strcpy(root, "/tmp/unit-load-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(root));
        snprintf(core, sizeof(core), "%s/core", root);
        snprintf(user, sizeof(user), "%s/user", root);
        ck_assert_int_eq(mkdir(core, 0755), 0);
        ck_assert_int_eq(mkdir(user, 0755), 0);
        put(core, "ledger.chunk", "[Chunk]\nPriority=1\n[Service]\nType=chunk\nExecStart=guardian-ledger\n");
        put(core, "mesh.chunk",
                "[Chunk]\nPriority=1.5\nLinks=ledger\n[Service]\nType=chunk\nExecStart=guardian-mesh\n");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f) {
        (void)st;
        (void)flag;
        (void)f;
        return remove(path);
}

static void done(void) {
        set = unit_set_free(set);
        problems_done(&problems);
        problems = (Problems){0};
        nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void load(bool no_core, const char *only) {
        const char *dirs[] = {user};
        UnitLoad l = {.core_dir = core,
                .dirs = dirs,
                .n_dirs = 1,
                .no_core = no_core,
                .only = &only,
                .n_only = only ? 1 : 0,
                .must_exist = dirs,
                .n_must_exist = 1,
                .paths = {"/run/g", "/var/g", "/opt"}};
        set = unit_set_free(set);
        problems_done(&problems);
        problems = (Problems){0};
        ck_assert_int_eq(unit_set_load(&l, &set, &problems), 0);
}

static void names(const char *want) {
        char got[256] = "";
        for (unsigned i = 0; i < set->n; i++) {
                strcat(got, i ? " " : "");
                strcat(got, set->units[i]->name);
        }
        ck_assert_str_eq(got, want);
}

static void no_errors(void) {
        char why[900] = "";
        if (problems.n)
                problem_format(&problems.items[0], why, sizeof(why));
        ck_assert_msg(problems.errors == 0, "%s", why);
}

#define PLAIN "[Service]\nExecStart=/bin/x\n"

START_TEST(later_files_replace_earlier_ones) {
        setup();
        put(user, "web.chunk", PLAIN);
        put(user, "mesh.chunk", "[Chunk]\nPriority=2\n[Service]\nType=chunk\nExecStart=guardian-mesh\n");
        load(false, NULL);
        no_errors();
        names("ledger mesh web");
        const UnitConfig *mesh = unit_set_find(set, "mesh"), *web = unit_set_find(set, "web");
        ck_assert_uint_eq(mesh->priority_milli, 2000);
        ck_assert(mesh->core && !mesh->from_core_dir && !web->core);
        ck_assert_str_eq(mesh->exec[EXEC_START].items[0].path, "/opt/guardian-mesh");
        load(true, NULL);
        names("mesh web");
        done();
}
END_TEST

START_TEST(drop_ins_templates_and_masks) {
        char path[200];
        setup();
        put(user, "work@.chunk", "[Service]\nExecStart=/bin/w %i\n");
        put(user, "boss.chunk", "[Unit]\nRequires=work@a work@b\n" PLAIN);
        snprintf(path, sizeof(path), "%s/work@c.chunk", user);
        ck_assert_int_eq(symlink("work@.chunk", path), 0);
        snprintf(path, sizeof(path), "%s/mesh.chunk", user);
        ck_assert_int_eq(symlink("/dev/null", path), 0);
        snprintf(path, sizeof(path), "%s/work@.chunk.d", user);
        ck_assert_int_eq(mkdir(path, 0755), 0);
        put(path, "10-nice.conf", "[Service]\nNice=5\n");
        snprintf(path, sizeof(path), "%s/work@b.chunk.d", user);
        ck_assert_int_eq(mkdir(path, 0755), 0);
        put(path, "20.conf", "[Service]\nNice=7\n");
        load(false, NULL);
        no_errors();
        names("boss ledger work@a work@b work@c");
        ck_assert_int_eq(unit_set_find(set, "work@a")->nice, 5);
        ck_assert_int_eq(unit_set_find(set, "work@b")->nice, 7);
        ck_assert_str_eq(unit_set_find(set, "work@c")->exec[EXEC_START].items[0].argv[1], "c");
        done();
}
END_TEST

START_TEST(only_takes_what_is_needed) {
        setup();
        put(user, "db.chunk", PLAIN);
        put(user, "app.chunk", "[Unit]\nRequires=db\nAfter=cache\n" PLAIN);
        put(user, "cache.chunk", PLAIN);
        put(user, "linked.chunk", "[Chunk]\nLinks=mesh\n" PLAIN);
        load(false, "app");
        no_errors();
        names("app db ledger mesh");
        load(true, "app");
        names("app db");
        load(true, "linked"); /* its link is not there without the core set */
        ck_assert_uint_eq(problems.errors, 1);
        ck_assert_ptr_nonnull(strstr(problems.items[0].hint, "--no-core"));
        load(false, "ap");
        ck_assert_uint_eq(problems.errors, 1);
        ck_assert_ptr_nonnull(strstr(problems.items[0].hint, "app"));
        done();
}
END_TEST

START_TEST(bad_files_are_named) {
        char path[200];
        setup();
        put(user, "old.service", PLAIN);
        snprintf(path, sizeof(path), "%s/dangling.chunk", user);
        ck_assert_int_eq(symlink("nowhere", path), 0);
        put(user, "a.chunk", "[Unit]\nRequires=b\nAfter=c\n" PLAIN);
        load(false, NULL);
        ck_assert_uint_eq(problems.errors, 3);
        ck_assert_ptr_nonnull(strstr(problems.items[0].file, "dangling.chunk"));
        ck_assert_ptr_nonnull(strstr(problems.items[1].file, "old.service"));
        ck_assert_uint_eq(problems.items[2].line, 2);
        ck_assert_uint_eq(problems.n, 4); /* After= of an unknown unit is a warning */
        snprintf(user, sizeof(user), "%s/gone", root);
        load(false, NULL);
        ck_assert_str_eq(problems.items[0].code, "unit-directory");
        done();
}
END_TEST

START_TEST(check_plans_the_set) {
        static Options o;
        setup();
        put(user, "a.chunk", "[Unit]\nRequires=b\n" PLAIN);
        put(user, "b.chunk", "[Unit]\nRequires=a\n" PLAIN);
        snprintf(o.core_dir, sizeof(o.core_dir), "%s", core);
        snprintf(o.unit_dirs[0], sizeof(o.unit_dirs[0]), "%s", user);
        o.n_unit_dirs = o.n_unit_dirs_given = 1;
        Plan *plan = NULL;
        ck_assert_int_eq(check_all(&o, &problems, &set, &plan), 0);
        ck_assert_uint_eq(problems.errors, 1);
        ck_assert_str_eq(problems.items[0].code, "cycle");
        ck_assert_ptr_null(plan);
        problems_done(&problems);
        problems = (Problems){0};
        set = unit_set_free(set);
        put(user, "b.chunk", PLAIN);
        ck_assert_int_eq(check_all(&o, &problems, &set, &plan), 0);
        no_errors();
        ck_assert_uint_eq(plan->n, 4);
        plan_free(plan);
        done();
}
END_TEST

static void check_policies(Options *o, unsigned errors) {
        problems_done(&problems);
        problems = (Problems){0};
        policy_files_check(o, &problems);
        ck_assert_uint_eq(problems.errors, errors);
}

START_TEST(policies_nobody_reads_are_refused) {
        static Options o;
        char path[1200];
        setup();
        o = (Options){.n_policy_dirs = 2, .n_policy_dirs_given = 1};
        snprintf(o.policy_dirs[0], sizeof(o.policy_dirs[0]), "%s/absent",
                root); /* a default one need not be there */
        snprintf(o.policy_dirs[1], sizeof(o.policy_dirs[1]), "%s/policies", root);
        check_policies(&o, 1);
        ck_assert_str_eq(problems.items[0].code, "policy-directory");
        ck_assert_str_eq(problems.items[0].file, o.policy_dirs[1]);
        ck_assert_ptr_nonnull(strstr(problems.items[0].hint, "--policies"));
        ck_assert_int_eq(mkdir(o.policy_dirs[1], 0755), 0);
        snprintf(path, sizeof(path), "%s/workflows", o.policy_dirs[1]);
        ck_assert_int_eq(mkdir(path, 0755), 0);
        put(path, "any.yaml", "");
        put(o.policy_dirs[1], "roles.yaml", "");
        put(o.policy_dirs[1], "README.md", "");
        check_policies(&o, 0);
        put(o.policy_dirs[1], "playbook.yaml", "");
        check_policies(&o, 1);
        ck_assert_str_eq(problems.items[0].code, "unknown-policy");
        ck_assert_ptr_nonnull(strstr(problems.items[0].file, "/policies/playbook.yaml"));
        ck_assert_ptr_nonnull(strstr(problems.items[0].hint, "'playbooks.yaml'"));
        put(o.policy_dirs[1], "my-own-rules.yml", "");
        check_policies(&o, 2);
        ck_assert(strstr(problems.items[0].hint, "constitution.yaml") ||
                  strstr(problems.items[1].hint, "constitution.yaml"));
        done();
}
END_TEST

START_TEST(directories_are_made_and_checked) {
        char path[200], target[200];
        struct stat st;
        setup();
        snprintf(path, sizeof(path), "%s/x/y/state", root);
        ck_assert_int_eq(directory_make(path, 0700, getuid()), 0);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0700);
        ck_assert_int_eq(directory_make(path, 0700, getuid()), 0);
        ck_assert_int_eq(directory_make(path, 0700, getuid() + 1), -EPERM);
        ck_assert_int_eq(chmod(path, 0777), 0);
        ck_assert_int_eq(directory_make(path, 0700, getuid()), -EPERM);
        snprintf(target, sizeof(target), "%s/link", root);
        ck_assert_int_eq(symlink(core, target), 0);
        ck_assert_int_eq(directory_make(target, 0700, getuid()), -ENOTDIR);
        put(root, "file", "");
        snprintf(path, sizeof(path), "%s/file", root);
        ck_assert_int_lt(directory_make(path, 0700, getuid()), 0);
        ck_assert_int_eq(directory_make("relative", 0700, getuid()), -EINVAL);
        done();
}
END_TEST

START_TEST(preflight_names_what_fails) {
        char state[128], runtime[128];
        setup();
        snprintf(state, sizeof(state), "%s/state", root);
        snprintf(runtime, sizeof(runtime), "%s/run", root);
        PreflightInput in = {.state_dir = state,
                .runtime_dir = runtime,
                .state_needed = true,
                .n_units = 5,
                .uid = getuid(),
                .disk_warn = 1,
                .disk_fail = 1};
        Preflight p;
        preflight_run(&in, &p);
        ck_assert_uint_eq(p.n, PREFLIGHT_CHECKS);
        ck_assert(!p.failed && p.have_runtime);
        in.disk_warn = in.disk_fail = UINT64_MAX;
        in.n_units = UINT32_MAX / 8;
        put(root, "file", "");
        snprintf(runtime, sizeof(runtime), "%s/file", root);
        preflight_run(&in, &p);
        ck_assert(p.failed && !p.have_runtime);
        for (unsigned i = 0; i < p.n; i++) {
                CheckResult want = strcmp(p.checks[i].name, "disk") == 0      ? CHECK_FAILED
                                   : strcmp(p.checks[i].name, "runtime") == 0 ? CHECK_WARNING
                                                                              : p.checks[i].result;
                ck_assert_int_eq(p.checks[i].result, want);
                ck_assert(p.checks[i].result == CHECK_PASSED || p.checks[i].hint[0]);
        }
        done();
}
END_TEST

SUITE_MAIN("unit-load", later_files_replace_earlier_ones, drop_ins_templates_and_masks,
        only_takes_what_is_needed, bad_files_are_named, check_plans_the_set,
        policies_nobody_reads_are_refused, directories_are_made_and_checked, preflight_names_what_fails)
