/* SPDX-License-Identifier: Apache-2.0 */
/* What runs before anything is started, with programs of the test's own; and names of users. */
#include "guardian/precheck.h"
#include "guardian/check.h"
#include "guardian/ids.h"
#include "supervisor/launch.h"
#include "tests/unit/guardian/world.h"

static Options opt;
static UnitSet *set;
static Problems problems;
static char policies[128];

static void script(const char *name, const char *text) {
        char path[256], body[1024];
        path_in(path, sizeof(path), name);
        snprintf(body, sizeof(body), "#!/bin/sh\n%s\n", text);
        write_file(path, body, strlen(body), 0755);
}

static void unit(const char *name, const char *program) {
        char path[256], body[1400];
        path_in(path, sizeof(path), name);
        snprintf(body, sizeof(body), "[Chunk]\nPriority=1\n[Service]\nType=chunk\nExecStart=%s\n", program);
        write_file(path, body, strlen(body), 0644);
}

static void setup(void) {
        static const char *const argv[] = {"true", NULL}, *const envp[] = {NULL};
        LaunchPlan p;
        LaunchResult r;
        launch_plan_init(&p); /* the one /dev/null of all spawns, before anything is counted */
        p.path = "/bin/true";
        p.argv = argv;
        p.envp = envp;
        ck_assert_int_eq(launch_spawn(&p, &r), 0);
        ck_assert_int_eq(waitpid(r.pid, NULL, 0), r.pid);
        world_begin();
        opt = (Options){.n_policy_dirs = 2};
        path_in(opt.core_dir, sizeof(opt.core_dir), "units");
        path_in(opt.libexec_dir, sizeof(opt.libexec_dir), "libexec");
        path_in(policies, sizeof(policies), "policies");
        strcpy(opt.policy_dirs[0], policies);
        path_in(opt.policy_dirs[1], sizeof(opt.policy_dirs[1]), "absent");
        ck_assert_int_eq(mkdir(opt.core_dir, 0700), 0);
        ck_assert_int_eq(mkdir(opt.libexec_dir, 0700), 0);
        ck_assert_int_eq(mkdir(policies, 0700), 0);
}

static void teardown(void) {
        set = unit_set_free(set);
        problems_done(&problems);
        world_end();
}

/* What a call writes to the standard error. */
static char said[4096];
static void hear(int (*call)(void), int want) {
        int keep = dup(2), r;
        FILE *f = tmpfile();
        ck_assert_ptr_nonnull(f);
        dup2(fileno(f), 2);
        r = call();
        dup2(keep, 2);
        close(keep);
        rewind(f);
        said[fread(said, 1, sizeof(said) - 1, f)] = 0;
        fclose(f);
        ck_assert_int_eq(r, want);
}

static int check(void) {
        ck_assert_int_eq(check_all(&opt, &problems, &set, NULL), 0);
        ck_assert_uint_eq(problems.errors, 0);
        return precheck_chunks(&opt, set);
}

/* Each is asked with `--check` and the directories that are there, and nothing else. */
START_TEST(chunks_that_say_yes) {
        char text[512];
        snprintf(text, sizeof(text),
                "[ $# = 2 ] && [ \"$1\" = --check ] && [ \"$2\" = %s ] && echo $$ >> %s/ran", policies, dir);
        script("libexec/one", text);
        script("libexec/two", text);
        unit("units/a.chunk", "one");
        unit("units/b.chunk", "two");
        ck_assert_int_eq(check(), 0);
        path_in(text, sizeof(text), "ran");
        char ran[128];
        read_file(text, ran, sizeof(ran));
        ck_assert_ptr_ne(strchr(ran, '\n'), strrchr(ran, '\n')); /* both */
}
END_TEST

START_TEST(one_that_says_no) {
        script("libexec/one", "exit 0");
        script("libexec/two", "echo bad.yaml:3: wrong; exit 3");
        unit("units/a.chunk", "one");
        unit("units/b.chunk", "two");
        ck_assert_int_eq(check(), 1);
}
END_TEST

/* Two read one file: its fault is told once, and who said it is named only if it did not say why. */
START_TEST(a_fault_is_told_once) {
        char text[1400];
        script("libexec/one", "echo bad.yaml:3: wrong; echo bad.yaml:3: wrong; exit 65");
        script("libexec/two", "echo bad.yaml:3: wrong; printf 'bad.yaml:4: also'; exit 65");
        script("libexec/three", "exit 3");
        unit("units/a.chunk", "one");
        unit("units/b.chunk", "two");
        unit("units/c.chunk", "three");
        hear(check, 1);
        snprintf(text, sizeof(text),
                "bad.yaml:3: wrong\nbad.yaml:4: also\n%s/three --check ended with status 3 and says "
                "nothing\n",
                opt.libexec_dir);
        ck_assert_str_eq(said, text);
}
END_TEST

START_TEST(one_that_is_not_there) {
        unit("units/a.chunk", "missing");
        ck_assert_int_eq(check(), 1);
}
END_TEST

/* Killed from outside it has said nothing: it runs again; one that is killed each time never came to an end.
 */
START_TEST(one_that_is_killed) {
        char text[512];
        snprintf(text, sizeof(text), "[ -e %s/once ] && exit 0; : > %s/once; kill -9 $$", dir, dir);
        script("libexec/one", text);
        unit("units/a.chunk", "one");
        ck_assert_int_eq(check(), 0);
        script("libexec/one", "kill -9 $$");
        ck_assert_int_eq(precheck_chunks(&opt, set), -EINTR);
}
END_TEST

/* 70 of a helper is not the data's fault; a no of another's is still said, and the shortage decides. */
START_TEST(one_that_could_not_look) {
        script("libexec/one", "echo out of memory; exit 70");
        script("libexec/two", "exit 65");
        script("libexec/guardian-compile", "exit 70");
        unit("units/a.chunk", "one");
        unit("units/b.chunk", "two");
        ck_assert_int_eq(check(), -ECANCELED);
        RolesBlob blob = {0};
        bool have = true;
        ck_assert_int_eq(precheck_roles(&opt, &blob, &have), -ECANCELED);
        ck_assert(!have);
}
END_TEST

/* A unit of the user's own is not run to be checked. */
START_TEST(only_what_ships_is_asked) {
        char text[1200];
        ck_assert_int_eq(opt.n_unit_dirs++, 0);
        path_in(opt.unit_dirs[0], sizeof(opt.unit_dirs[0]), "mine");
        ck_assert_int_eq(mkdir(opt.unit_dirs[0], 0700), 0);
        script("libexec/one", "exit 0");
        unit("units/a.chunk", "one");
        script("libexec/mine", "exit 1");
        snprintf(text, sizeof(text), "%s/mine", opt.libexec_dir);
        unit("mine/z.chunk", text);
        ck_assert_int_eq(check(), 0);
}
END_TEST

START_TEST(roles) {
        RolesBlob blob = {0};
        bool have = true;
        ck_assert_int_eq(precheck_roles(&opt, &blob, &have), 0); /* there is no compiler */
        ck_assert(!have);
        script("libexec/guardian-compile", "echo roles.yaml:1: wrong >&2; exit 1");
        ck_assert_int_eq(precheck_roles(&opt, &blob, &have), 1);
        ck_assert(!have);
        script("libexec/guardian-compile", "echo this is no blob of roles");
        ck_assert_int_eq(precheck_roles(&opt, &blob, &have), -EBADMSG);
        ck_assert(!have);
        script("libexec/guardian-compile", ":");
        ck_assert_int_eq(precheck_roles(&opt, &blob, &have), -EBADMSG);
        ck_assert(!have);
}
END_TEST

START_TEST(names_of_users) {
        uid_t uid = 77;
        gid_t gid = 77, out[8];
        ck_assert_int_eq(ids_user("root", &uid, &gid), 0);
        ck_assert_uint_eq(uid, 0);
        ck_assert_uint_eq(gid, 0);
        ck_assert_int_eq(ids_user("0", &uid, &gid), 0);
        ck_assert_uint_eq(gid, 0); /* a number with an entry has its group */
        ck_assert_int_eq(ids_user("3999999999", &uid, &gid), 0);
        ck_assert_uint_eq(uid, 3999999999u);
        ck_assert_uint_eq(gid, (gid_t)-1);
        ck_assert_int_eq(ids_user("no such user", &uid, &gid), -ENOENT);
        ck_assert_int_eq(ids_user("4294967295", &uid, &gid), -ENOENT); /* "unchanged" to setuid(2) */
        ck_assert_int_eq(ids_user("", &uid, &gid), -ENOENT);
        ck_assert_int_eq(ids_user("-1", &uid, &gid), -ENOENT);
        ck_assert_int_eq(ids_group("root", &gid), 0);
        ck_assert_uint_eq(gid, 0);
        ck_assert_int_eq(ids_group("12345", &gid), 0);
        ck_assert_uint_eq(gid, 12345);
        ck_assert_int_eq(ids_group("4294967295", &gid), -ENOENT);
        ck_assert_int_eq(ids_group("no such group", &gid), -ENOENT);
        ck_assert_uint_eq(ids_groups_of("no such user", 7, out, 8), 1);
        ck_assert_uint_eq(out[0], 7);
        ck_assert_uint_eq(ids_groups_of("no such user", (gid_t)-1, out, 8), 0);
        ck_assert_uint_eq(ids_groups_of("no such user", 7, out, 0), 0);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {chunks_that_say_yes, one_that_says_no, a_fault_is_told_once,
                one_that_is_not_there, one_that_is_killed, one_that_could_not_look, only_what_ships_is_asked,
                roles, names_of_users};
        return run_suite("precheck", setup, teardown, tests, sizeof(tests) / sizeof(*tests));
}
