/* SPDX-License-Identifier: Apache-2.0 */
/* What a start needs of the file system: found, or the reason why not. */
#include "common/cleanup.h"
#include "guardian/prepare.h"
#include "guardian/unit-exec.h"
#include "tests/unit/guardian/world.h"

static Options opt;
static UnitConfig *config;
static ExecCommand command;
static PrepareRequest request;
static PrepareProgress at;
static Prepared found;
static char *why;

static char *keep(const char *text) {
        char *s = arena_strndup(&config->arena, text, strlen(text));
        ck_assert_ptr_nonnull(s);
        return s;
}

static void setup(void) {
        world_begin();
        opt = (Options){0};
        path_in(opt.state_dir, sizeof(opt.state_dir), "state");
        path_in(opt.runtime_dir, sizeof(opt.runtime_dir), "run");
        ck_assert_int_eq(mkdir(opt.state_dir, 0700), 0);
        ck_assert_int_eq(mkdir(opt.runtime_dir, 0700), 0);
        config = make_unit("web", 3000);
        command = (ExecCommand){.path = keep("/bin/sh")};
        request = (PrepareRequest){.opt = &opt, .config = config, .command = &command, .main = true};
        at = (PrepareProgress){.what = NULL};
        found = (Prepared){.exe = {.fd = -1}};
}

static void teardown(void) {
        free(why);
        why = NULL;
        prepared_done(&found);
        unit_config_free(config);
        world_end();
}

static int run(void) {
        free(why);
        prepared_done(&found);
        return prepare_run(&request, &at, &found, &why);
}

static void refused(int error, const char *text) {
        ck_assert_int_eq(run(), error);
        ck_assert_msg(strstr(why, text), "'%s' is not in '%s'", text, why);
        ck_assert(!found.env_files && !found.path && found.exe.fd < 0); /* nothing is left of it */
}

static void push(StrList *l, const char *text) {
        ck_assert_int_eq(strlist_push(&config->arena, l, keep(text)), 0);
}

START_TEST(nothing_asked) {
        ck_assert_int_eq(run(), 0);
        ck_assert_uint_eq(found.uid, getuid());
        ck_assert_uint_eq(found.gid, getgid());
        ck_assert_uint_eq(found.n_groups, 0);
        ck_assert_str_eq(found.path, "/bin/sh");
        ck_assert_ptr_eq(found.command, &command);
        ck_assert_int_lt(found.exe.fd, 0);
}
END_TEST

START_TEST(environment_files) {
        char path[256];
        path_in(path, sizeof(path), "env");
        write_file(path, "A=1\nPATH=/nowhere\n", 18, 0644);
        push(&config->environment_files, path);
        ck_assert_int_eq(run(), 0);
        ck_assert_str_eq(environment_get(found.env_files, "A"), "1");
        prepared_done(&found);
        command.path = keep("sh"); /* a bare name is sought with what the file says */
        refused(-ENOENT, "program 'sh': not found");
}
END_TEST

/* Whoever is not there to write would keep the reader for ever. */
START_TEST(a_fifo_is_no_environment_file) {
        char path[256];
        path_in(path, sizeof(path), "fifo");
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        push(&config->environment_files, path);
        refused(-EINVAL, "fifo: not a regular file");
        ck_assert_str_eq(at.what, "EnvironmentFile=");
        ck_assert_str_eq(at.which, path);
}
END_TEST

START_TEST(names_that_nobody_has) {
        config->user = keep("no such user");
        refused(-ESRCH, "User=no such user is not in /etc/passwd");
        config->user = keep("root");
        config->group = keep("no such group");
        refused(-ESRCH, "Group=no such group is not in /etc/group");
        config->group = keep("12345");
        push(&config->supplementary_groups, "no such group");
        refused(-ESRCH, "SupplementaryGroups=no such group is not in /etc/group");
}
END_TEST

START_TEST(ids) {
        config->user = keep("root");
        config->group = keep("12345");
        push(&config->supplementary_groups, "23456");
        ck_assert_int_eq(run(), 0);
        ck_assert_uint_eq(found.uid, 0);
        ck_assert_uint_eq(found.gid, 12345);
        ck_assert_uint_ge(found.n_groups, 2);
        ck_assert_uint_eq(found.groups[0], 12345);
        ck_assert_uint_eq(found.groups[found.n_groups - 1], 23456);
}
END_TEST

START_TEST(directories) {
        char path[256];
        struct stat st;
        push(&config->state_directories, "a/b//c");
        push(&config->runtime_directories, "web");
        if (getuid() == 0)
                config->user = keep("12345");
        ck_assert_int_eq(run(), 0);
        ck_assert_int_eq(run(), 0); /* once more, they are there */
        path_in(path, sizeof(path), "state/a/b");
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_uid, getuid());
        path_in(path, sizeof(path), "state/a/b/c");
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_uid, found.uid);
        path_in(path, sizeof(path), "run/web");
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert(S_ISDIR(st.st_mode) && st.st_uid == found.uid);
}
END_TEST

START_TEST(a_directory_that_cannot_be_made) {
        char path[256];
        path_in(path, sizeof(path), "state/file");
        write_file(path, "", 0, 0644);
        push(&config->state_directories, "file");
        refused(-ENOTDIR, "StateDirectory=file: something that is no directory is in its place");
        config->state_directories.n = 0;
        push(&config->state_directories, "file/below");
        refused(-ENOTDIR, "StateDirectory=file/below: ");
        ck_assert_int_eq(rmdir(opt.runtime_dir), 0);
        push(&config->runtime_directories, "web");
        refused(-ENOENT, "RuntimeDirectory=web: No such file or directory");
}
END_TEST

/* The user of `app` may put what he likes into it: nothing outside becomes his. */
START_TEST(links_are_not_followed) {
        char target[256], link[256];
        struct stat st;
        path_in(target, sizeof(target), "precious");
        ck_assert_int_eq(mkdir(target, 0700), 0);
        push(&config->state_directories, "app");
        ck_assert_int_eq(run(), 0);
        prepared_done(&found);
        path_in(link, sizeof(link), "state/app/cache");
        ck_assert_int_eq(symlink(target, link), 0);
        push(&config->state_directories, "app/cache");
        config->user = keep("12345");
        int r = run();
        ck_assert_int_lt(r, 0);
        if (getuid() == 0)
                ck_assert_int_eq(r, -ENOTDIR);
        ck_assert_int_eq(stat(target, &st), 0);
        ck_assert_uint_eq(st.st_uid, getuid());
}
END_TEST

START_TEST(a_chunk_is_told_what_is_there) {
        char path[256];
        struct stat st;
        config->type = SERVICE_CHUNK;
        request.have_state = true;
        opt.n_policy_dirs = 2;
        path_in(opt.policy_dirs[0], sizeof(opt.policy_dirs[0]), "nowhere");
        path_in(opt.policy_dirs[1], sizeof(opt.policy_dirs[1]), "state");
        ck_assert_int_eq(run(), 0);
        ck_assert_int_ge(found.exe.fd, 0); /* a program of others: open, not planned */
        ck_assert(!found.planned);
        ck_assert_int_eq(found.state_error, 0);
        ck_assert_uint_eq(found.policy_dirs, 2);
        path_in(path, sizeof(path), "state/web");
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0700);
        prepared_done(&found);
        config->core = true; /* one of ours has to stand in the manifest */
        refused(-EKEYREJECTED, "has no entry in lib/guardian/manifest");
}
END_TEST

START_TEST(not_wanted_any_more) {
        char path[256];
        push(&config->state_directories, "app");
        at.unwanted = true;
        refused(-ECANCELED, "not wanted");
        path_in(path, sizeof(path), "state/app");
        ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_program_that_is_not_there) {
        command.path = keep("/nowhere/program");
        refused(-ENOENT, "program '/nowhere/program': not found");
        command.path = keep("/etc/passwd");
        refused(-EACCES, "program '/etc/passwd'");
}
END_TEST

START_TEST(who_needs_it) {
        ck_assert(!unit_prepares(config));
        config->type = SERVICE_CHUNK;
        ck_assert(unit_prepares(config));
        config->type = SERVICE_EXEC;
        config->profile = PROFILE_AUTO;
        ck_assert(unit_prepares(config));
        config->profile = PROFILE_UNSET;
        config->user = config->name;
        ck_assert(unit_prepares(config));
        config->user = NULL;
        push(&config->state_directories, "x");
        ck_assert(unit_prepares(config));
}
END_TEST

int main(void) {
        const TTest *const tests[] = {nothing_asked, environment_files, a_fifo_is_no_environment_file,
                names_that_nobody_has, ids, directories, a_directory_that_cannot_be_made,
                links_are_not_followed, a_chunk_is_told_what_is_there, not_wanted_any_more,
                a_program_that_is_not_there, who_needs_it};
        return run_suite("prepare", setup, teardown, tests, sizeof(tests) / sizeof(*tests));
}
