/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/options.h"
#include "tests/unit/guardian/suite.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static Options o;
static char error[400], line[2048];
static char *argv_of[64];

/* A command line of words separated by blanks. */
static int parse_env(const char *words, char *const *env, uid_t uid) {
        int n = 0;
        snprintf(line, sizeof(line), "guardian %s", words);
        for (char *save = NULL, *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
                argv_of[n++] = w;
        argv_of[n] = NULL;
        return options_parse(n, argv_of, env, uid, "/opt/g/bin/guardian", &o, error, sizeof(error));
}

static void good(const char *words) {
        ck_assert_msg(parse_env(words, NULL, 0) == 0, "%s", error);
}
static void bad(const char *words, const char *why) {
        ck_assert_int_eq(parse_env(words, NULL, 0), -EINVAL);
        ck_assert_msg(strstr(error, why) != NULL, "%s", error);
}

START_TEST(defaults_of_root_and_users) {
        char state[] = "GUARDIAN_STATE=/s", home[] = "HOME=/home/u", xdg[] = "XDG_RUNTIME_DIR=/run/user/7",
             *env[] = {home, xdg, NULL}, *set[] = {state, NULL};
        good("");
        ck_assert_str_eq(o.state_dir, "/var/lib/guardian");
        ck_assert_str_eq(o.runtime_dir, "/run/guardian");
        ck_assert_str_eq(o.core_dir, "/opt/g/lib/guardian/units");
        ck_assert_str_eq(o.libexec_dir, "/opt/g/libexec/guardian");
        ck_assert_str_eq(o.unit_dirs[0], "/etc/guardian/units");
        ck_assert_str_eq(o.policy_dirs[0], "/opt/g/share/guardian/policies");
        ck_assert(o.stop_timeout_us == 10000000 && !o.stop_timeout_set && !o.command && o.mode == MODE_NONE);
        ck_assert_int_eq(parse_env("", env, 7), 0);
        ck_assert_str_eq(o.state_dir, "/home/u/.local/state/guardian");
        ck_assert_str_eq(o.runtime_dir, "/run/user/7/guardian");
        ck_assert_str_eq(o.unit_dirs[0], "/home/u/.config/guardian/units");
        ck_assert_int_eq(parse_env("", NULL, 7), 0);
        ck_assert_str_eq(o.runtime_dir, "/tmp/guardian-7");
        ck_assert_int_eq(parse_env("", set, 0), 0);
        ck_assert_str_eq(o.state_dir, "/s");
        ck_assert_int_eq(parse_env("--state /t", set, 0), 0);
        ck_assert_str_eq(o.state_dir, "/t");
}
END_TEST

START_TEST(every_option) {
        good("--check --units /u --units=/v --policies /p --state /s --runtime=/r --only a b@c --no-core "
             "--mode enforce "
             "--exit-code-from a --keep-on-abort --ledger-key /k --log-format json --log-level debug "
             "--stop-timeout 500ms");
        ck_assert(o.check && o.no_core && o.keep_on_abort && o.stop_timeout_set);
        ck_assert_uint_eq(o.n_unit_dirs, 3);
        ck_assert_uint_eq(o.n_unit_dirs_given, 2);
        ck_assert_str_eq(o.unit_dirs[2], "/v");
        ck_assert_uint_eq(o.n_only, 2);
        ck_assert_str_eq(o.only[1], "b@c");
        ck_assert_int_eq(o.mode, MODE_ENFORCE);
        ck_assert_int_eq(o.log_format, LOG_FORMAT_JSON);
        ck_assert_uint_eq(o.stop_timeout_us, 500000);
        good("-g --rewrite TERM:INT --rewrite 1:0 --stop-timeout 3 -- cmd --check -x");
        ck_assert(o.group_signal && o.n_rewrite == 2 && o.rewrite[0].to == SIGINT && o.rewrite[1].to == 0);
        ck_assert_str_eq(o.command[0], "cmd");
        ck_assert_str_eq(o.command[1], "--check");
        ck_assert(!o.check);
        good("--help");
        ck_assert(o.help);
        good("--version");
        ck_assert(o.version);
}
END_TEST

START_TEST(usage_errors_say_what_to_do) {
        bad("--unit /x", "did you mean '--units'?");
        bad("web", "behind --");
        bad("--units", "needs DIR");
        bad("--only --check", "needs UNIT");
        bad("--only ../x", "not a unit name");
        bad("--mode none", "log_only");
        bad("--check=yes", "takes no value");
        bad("--stop-timeout soon", "duration");
        bad("--rewrite TERM", "FROM:TO");
        bad("--rewrite TERM:NOPE -- x", "no signal");
        bad("--", "command is needed");
        bad("--check -- x", "do not go with --");
        bad("-g", "wrapping a command");
        bad("--only a --exit-code-from b", "not in --only");
}
END_TEST

START_TEST(help_lists_the_table) {
        char text[8192];
        ck_assert_int_eq(options_help(text, sizeof(text)), 0);
        ck_assert_ptr_nonnull(strstr(text, "--keep-on-abort"));
        ck_assert_ptr_nonnull(strstr(text, "--only UNIT.."));
        ck_assert_int_eq(options_help(text, 100), -ENOBUFS);
}
END_TEST

SUITE_MAIN("options", defaults_of_root_and_users, every_option, usage_errors_say_what_to_do,
        help_lists_the_table)
