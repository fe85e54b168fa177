/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"
#include "common/cleanup.h"
#include "guardian/unit-exec.h"
#include "guardian/unit-file.h"
#include "tests/unit/guardian/suite.h"
#include <signal.h>
#include <string.h>

static const UnitPaths paths = {
        .runtime_dir = "/run/g", .state_dir = "/var/g", .libexec_dir = "/opt/libexec/guardian"};
static Problems problems;

static UnitConfig *parse_as(const char *name, const char *text) {
        UnitConfig *u = unit_config_new(name);
        ck_assert_ptr_nonnull(u);
        problems_done(&problems);
        problems = (Problems){0};
        u->file = arena_strndup(&u->arena, "x.chunk", 7);
        u->dir = arena_strndup(&u->arena, "/etc/u", 6);
        ck_assert_int_eq(unit_file_parse(u, str_of(text), "x.chunk", false, &paths, &problems), 0);
        ck_assert_int_eq(unit_file_finish(u, &paths, &problems), 0);
        return u;
}

static void good(const char *name, const char *text, UnitConfig **ret) {
        char why[900] = "";
        *ret = parse_as(name, text);
        if (problems.n)
                problem_format(&problems.items[0], why, sizeof(why));
        ck_assert_msg(problems.errors == 0, "%s", why);
}

/* The text is refused with exactly this first problem. */
static void bad(const char *text, unsigned line, const char *code, const char *message, const char *hint) {
        UnitConfig *u = parse_as("web", text);
        char why[900] = "none";
        if (problems.n)
                problem_format(&problems.items[0], why, sizeof(why));
        ck_assert_msg(problems.errors >= 1, "accepted: %s", text);
        const Problem *p = &problems.items[0];
        ck_assert_msg(p->line == line && strcmp(p->code, code) == 0, "%s", why);
        ck_assert_msg(strstr(p->message, message) != NULL, "%s", why);
        ck_assert_msg(strstr(p->hint, hint) != NULL, "%s", why);
        unit_config_free(u);
}

/* The text loads, with exactly this warning. */
static void warned(const char *text, unsigned line, const char *message, const char *hint) {
        UnitConfig *u = parse_as("web", text);
        char why[900] = "none";
        if (problems.n)
                problem_format(&problems.items[0], why, sizeof(why));
        ck_assert_msg(problems.errors == 0 && problems.n == 1, "%s", why);
        const Problem *p = &problems.items[0];
        ck_assert_msg(p->line == line && strstr(p->message, message) && strstr(p->hint, hint), "%s", why);
        unit_config_free(u);
}

#define START "[Service]\nExecStart=/bin/x\n"

START_TEST(unit_file_keys) {
        UnitConfig *u;
        good("web",
                "# comment\n; another\n[Unit]\nDescription = a ; b # c \nAfter=a "
                "b.chunk\nRequires=a\nRequires=c\n"
                "[Chunk]\nPriority=2.5\nCanFail=yes\nStartRetries=2\nHeal=restart_service "
                "rate_limit\nLabels=b=2 a=1\nLinks=mesh\n"
                "Publishes=a.* b.**\nValidateTimeoutSec=3s\n"
                "[Service]\nExecStart=/bin/x \"a b\" 'c ; d' e\\x41 \\\n   last\nEnvironment=A=1 \"B=x "
                "y\"\nRestart=always\nRestartSec=1s\n"
                "KillSignal=SIGINT\nKillMode=mixed\nUMask=027\nNice=-5\nOOMScoreAdjust=300\nLimitNOFILE=64:"
                "1K\nLimitCORE=infinity\n"
                "SuccessExitStatus=3 "
                "TERM\nStandardOutput=append:/var/log/%N\nTimeoutStopSec=0\nRuntimeDirectory=web web/sub\n"
                "[Health]\nReadinessProbe=http://127.0.0.1:80/"
                "ok\nReadinessProbeIntervalSec=2s\nReadinessProbeSuccessThreshold=2\n"
                "[Sandbox]\nProfile=none\nReason=because\n",
                &u);
        ck_assert_str_eq(u->description, "a ; b # c");
        ck_assert_uint_eq(u->after.n, 2);
        ck_assert_str_eq(u->after.items[1].name, "b");
        ck_assert_uint_eq(u->requires.n, 2);
        ck_assert_uint_eq(u->requires.items[1].line, 7);
        ck_assert_str_eq(u->requires.items[1].file, "x.chunk");
        ck_assert_uint_eq(u->priority_milli, 2500);
        ck_assert(u->can_fail && u->guardian_validates && !u->critical);
        ck_assert_uint_eq(u->start_retries, 2);
        ck_assert_uint_eq(u->heal, 1U << HEAL_RESTART_SERVICE | 1U << HEAL_RATE_LIMIT);
        ck_assert_str_eq(u->labels.items[0], "a=1");
        ck_assert_uint_eq(u->validate_timeout_us, 3000000);
        const ExecCommand *c = &u->exec[EXEC_START].items[0];
        ck_assert_uint_eq(c->argc, 5);
        ck_assert_str_eq(c->argv[1], "a b");
        ck_assert_str_eq(c->argv[2], "c ; d");
        ck_assert_str_eq(c->argv[3], "eA");
        ck_assert_str_eq(c->argv[4], "last");
        ck_assert_str_eq(u->environment.items[1], "B=x y");
        ck_assert_int_eq(u->restart, RESTART_POLICY_ALWAYS);
        ck_assert_int_eq(u->kill_signal, SIGINT);
        ck_assert_int_eq(u->kill_mode, KILL_MIXED);
        ck_assert(u->umask_set && u->umask == 027 && u->nice == -5 && u->oom_score_adjust == 300);
        ck_assert_uint_eq(u->n_limits, 2);
        ck_assert_uint_eq(u->limits[0].hard, 1024);
        ck_assert(u->limits[1].soft == RLIM_INFINITY);
        ck_assert(exit_set_has(&u->success, false, 3) && exit_set_has(&u->success, true, SIGTERM));
        ck_assert(!exit_set_has(&u->success, false, 4));
        ck_assert_str_eq(u->out.path, "/var/log/web");
        ck_assert_str_eq(u->err.path, "/var/log/web"); /* as the output unless given */
        ck_assert(u->timeout_stop_us == UINT64_MAX);
        ck_assert_uint_eq(u->runtime_directories.n, 2);
        ck_assert_int_eq(u->probes[PROBE_READINESS].type, PROBE_HTTP);
        ck_assert_uint_eq(u->probes[PROBE_READINESS].interval_us, 2000000);
        ck_assert_uint_eq(u->probes[PROBE_READINESS].success_threshold, 2);
        ck_assert_int_eq(u->profile, PROFILE_NONE);
        unit_config_free(u);
}
END_TEST

START_TEST(unit_file_defaults) {
        UnitConfig *u;
        good("web", START, &u);
        ck_assert_uint_eq(u->priority_milli, 3000);
        ck_assert_int_eq(u->type, SERVICE_EXEC);
        ck_assert_int_eq(u->restart, RESTART_POLICY_ON_FAILURE);
        ck_assert(
                u->restart_us == 100000 && u->restart_max_us == 30000000 && u->restart_reset_us == 60000000);
        ck_assert(u->start_limit_burst == 10 && u->start_limit_interval_us == 300000000);
        ck_assert(u->timeout_start_us == 30000000 && u->timeout_stop_us == 10000000 && u->watchdog_us == 0);
        ck_assert(u->enabled && !u->can_fail && u->start_retries == 0 && u->heal == 0);
        ck_assert_int_eq(unit_notify_access(u), NOTIFY_NONE);
        unit_config_free(u);
}
END_TEST

START_TEST(unit_file_refusals) {
        bad("[Service]\nExecStart=/x\nRestrat=no\n", 3, "unknown-key", "'Restrat'",
                "did you mean 'Restart'?");
        bad("[Chunk]\nRestartSec=1\n", 2, "unknown-key", "RestartSec", "belongs in [Service]");
        bad("[Servise]\nx=1\ny=2\n", 1, "unknown-section", "[Servise]", "[Service]");
        bad("[Install]\nWantedBy=x\n", 1, "unknown-section", "[Install]", "Enabled=no");
        bad("[Service]\nType=exec\nType=exec\n", 3, "duplicate-key", "first at line 2", "");
        bad("[Service]\nType=forking\n", 2, "bad-value", "cannot act in this version", "later version");
        bad("[Service]\nPIDFile=/x\n", 2, "unsupported-key", "PIDFile", "later version");
        bad("[Limits]\nMemoryMax=1G\n", 2, "unsupported-key", "MemoryMax", "later version");
        bad("[Service]\nMemoryMax=1G\n", 2, "unsupported-key", "MemoryMax", "belongs in [Limits]");
        bad("[Service]\nPrivateTmp=yes\n", 2, "unsupported-key", "PrivateTmp", "belongs in [Sandbox]");
        bad("[Sandbox]\nProtectSystem=yes\n", 2, "unsupported-key", "ProtectSystem", "later version");
        bad("[Unit]\nnonsense\n", 2, "no-assignment", "no '='", "Key=Value");
        bad("Key=1\n", 1, "no-section", "'Key'", "[Unit]");
        bad("[Service\n", 1, "bad-section", "malformed", "");
        bad("[Service]\nExecStart=relative/path\n", 2, "bad-value", "absolute", "");
        bad("[Service]\nExecStart=/x \"open\n", 2, "bad-value", "quote", "");
        bad("[Service]\nExecStart=/x %q\n", 2, "bad-value", "'%q'", "%%");
        bad("[Service]\nTimeoutStopSec=soon\n", 2, "bad-value", "'soon'", "10s");
        bad("[Chunk]\nPriority=0\n", 2, "bad-value", "not a priority", "pre-flight");
        bad("[Chunk]\nHeal=restart_servise\n", 2, "bad-value", "healing action", "restart_service");
        bad("[Chunk]\nPublishes=A.b\n", 2, "bad-value", "event pattern", "");
        bad("[Unit]\nRequires=foo@\n", 2, "bad-value", "template", "instance");
        bad("[Service]\nLimitNOFILE=10:5\n", 2, "bad-value", "soft limit", "");
        bad("[Service]\nRuntimeDirectory=../x\n", 2, "bad-value", "..", "");
        bad("[Unit]\nDescription=only\n", 0, "unit-rule", "ExecStart= is missing", "ExecStart=");
        bad(START "ExecStart=/bin/y\n", 3, "unit-rule", "more than one", "oneshot");
        bad(START "Restart=always\nType=oneshot\n", 0, "unit-rule", "oneshot cannot", "on-failure");
        bad(START "[Health]\nLivenessProbe=tcp:127.0.0.1:1\nLivenessProbeSuccessThreshold=2\n", 0,
                "unit-rule", "must be 1", "Kubernetes");
        bad(START "[Health]\nLivenessProbeTimeoutSec=2\n", 0, "unit-rule", "not LivenessProbe= itself", "");
        bad(START "[Chunk]\nHandles=a.b\n", 0, "unit-rule", "Handles=", "Type=chunk");
        bad(START "[Chunk]\nLinks=ledger\n", 4, "unit-rule", "only link to mesh", "Type=chunk");
}
END_TEST

/* The bootstrap list is healed by nobody. */
START_TEST(bootstrap_units_have_no_heal) {
        UnitConfig *u = parse_as("ledger", START "Type=chunk\n[Chunk]\nHeal=restart_service\n");
        ck_assert_uint_eq(problems.errors, 1);
        ck_assert_ptr_nonnull(strstr(problems.items[0].message, "bootstrap"));
        unit_config_free(u);
        good("mesh", START "Type=chunk\n[Chunk]\nHeal=restart_service\n", &u);
        unit_config_free(u);
}
END_TEST

START_TEST(values_are_longer_than_inih_lines) {
        __attribute__((cleanup(buf_done))) Buf b = BUF_INIT(1 << 20);
        buf_appendf(&b, "[Service]\nExecStart=/bin/x");
        for (int i = 0; i < 500; i++)
                buf_appendf(&b, " word%d;%d", i, i);
        buf_appendf(&b, "\nNice=1\nBogus=1\n");
        buf_append(&b, "", 1);
        UnitConfig *u = parse_as("web", (char *)b.data);
        ck_assert_uint_eq(u->exec[EXEC_START].items[0].argc, 501);
        ck_assert_str_eq(u->exec[EXEC_START].items[0].argv[500], "word499;499");
        ck_assert_int_eq(u->nice, 1);
        ck_assert_uint_eq(problems.items[0].line, 4); /* lines are counted in the file, not in inih's */
        unit_config_free(u);
}
END_TEST

START_TEST(bounds_are_named) {
        static char big[UNIT_FILE_MAX + 2];
        UnitConfig *u = unit_config_new("web");
        Problems p = {0};
        /* one line of a megabyte */
        memset(big, 'x', sizeof(big) - 1);
        memcpy(big, "[Unit]\nDescription=", 19);
        ck_assert_int_eq(unit_file_parse(u, (Str){big, UNIT_FILE_MAX - 1}, "big", false, &paths, &p), 0);
        ck_assert_uint_eq(p.errors, 1);
        ck_assert_str_eq(p.items[0].code, "line-too-long");
        /* a file beyond the bound */
        ck_assert_int_eq(unit_file_parse(u, (Str){big, UNIT_FILE_MAX + 1}, "big", false, &paths, &p), 0);
        ck_assert_str_eq(p.items[1].code, "file-too-large");
        /* a NUL byte: its line and column */
        ck_assert_int_eq(
                unit_file_parse(u, (Str){"[Unit]\nDesc\0ription=a\n", 22}, "nul", false, &paths, &p), 0);
        ck_assert_str_eq(p.items[2].code, "nul-byte");
        ck_assert_uint_eq(p.items[2].line, 2);
        ck_assert_uint_eq(p.items[2].column, 5);
        /* more keys than anybody needs */
        size_t n = 0;
        n += (size_t)sprintf(big, "[Unit]\n");
        while (n < UNIT_FILE_MAX - 8)
                n += (size_t)sprintf(big + n, "After=\n"); /* a reset is a key too */
        size_t before = p.n;
        ck_assert_int_eq(unit_file_parse(u, (Str){big, n}, "many", false, &paths, &p), 0);
        ck_assert_str_eq(p.items[p.n - 1].code, "too-many-keys");
        ck_assert_uint_gt(p.n, before);
        problems_done(&p);
        unit_config_free(u);
}
END_TEST

START_TEST(drop_ins_override_and_reset) {
        UnitConfig *u;
        good("web", START "Nice=1\nEnvironment=A=1\n", &u);
        Problems p = {0};
        ck_assert_int_eq(unit_file_parse(u,
                                 str_of("[Service]\nNice=2\nEnvironment=B=2\nExecStart=\nExecStart=/bin/y\n"),
                                 "d.conf", true, &paths, &p),
                0);
        ck_assert_uint_eq(p.errors, 0);
        ck_assert_int_eq(u->nice, 2);
        ck_assert_uint_eq(u->environment.n, 2);
        ck_assert_uint_eq(u->exec[EXEC_START].n, 1);
        ck_assert_str_eq(u->exec[EXEC_START].items[0].path, "/bin/y");
        problems_done(&p);
        unit_config_free(u);
}
END_TEST

START_TEST(specifiers) {
        UnitConfig *u;
        good("work@a-b", "[Service]\nExecStart=/bin/%p %i %I %N %n %t/s %S %d 100%%\n", &u);
        static const char *const want[] = {"/bin/work", "a-b", "a/b", "work@a-b", "work@a-b.chunk",
                "/run/g/s", "/var/g", "/etc/u", "100%"};
        for (unsigned i = 0; i < ELEMENTSOF(want); i++)
                ck_assert_str_eq(u->exec[EXEC_START].items[0].argv[i], want[i]);
        ck_assert_str_eq(u->template_name, "work@");
        unit_config_free(u);
}
END_TEST

START_TEST(core_units_find_their_programs) {
        UnitConfig *u = unit_config_new("ledger");
        Problems p = {0};
        u->core = true;
        ck_assert_int_eq(unit_file_parse(u, str_of("[Service]\nType=chunk\nExecStart=guardian-ledger\n"), "f",
                                 false, &paths, &p),
                0);
        ck_assert_int_eq(unit_file_finish(u, &paths, &p), 0);
        ck_assert_uint_eq(p.errors, 0);
        ck_assert_str_eq(u->exec[EXEC_START].items[0].path, "/opt/libexec/guardian/guardian-ledger");
        ck_assert_uint_eq(u->start_retries, START_RETRIES_CORE);
        problems_done(&p);
        unit_config_free(u);
}
END_TEST

START_TEST(exec_is_no_shell) {
        UnitConfig *u;
        warned("[Service]\nExecStart=/bin/a && /bin/b\n", 2, "ExecStart=: '&&'", "there is no shell");
        warned("[Service]\nExecStart=/bin/a >/tmp/log\n", 2, "'>/tmp/log'", "there is no shell");
        warned("[Service]\nExecStart=/bin/a 2>&1\n", 2, "'2>&1'", "there is no shell");
        warned("[Service]\nExecStart=/bin/a | /bin/b\n", 2, "'|'", "/bin/sh -c");
        warned("[Service]\nExecStart=/bin/a # why\n", 2, "'#'", "a line of its own");
        good("web", "[Service]\nExecStart=/bin/sh -c 'a && b > c' '|' \"&\" a>b x&y\n", &u);
        ck_assert_uint_eq(problems.n, 0);
        unit_config_free(u);
        bad("[Service]\nExecStart=/bin/a\nRestart=always # x\n", 3, "bad-value",
                "Restart=", "a comment needs a line of its own");
        bad("[Service]\nExecStart=/bin/a\nTimeoutStopSec=5s ; x\n", 3, "bad-value",
                "TimeoutStopSec=", "a comment needs a line");
}
END_TEST

START_TEST(exec_expansion) {
        UnitConfig *u;
        char one[] = "ONE=1", two[] = "TWO=a b", empty[] = "EMPTY=", *env[] = {one, two, empty, NULL};
        good("web",
                "[Service]\nExecStart=-@/bin/x argv0 $TWO ${TWO} x${ONE}y $EMPTY $NONE '$ONE' $$ONE "
                "\"${EMPTY}\"\n",
                &u);
        const ExecCommand *c = &u->exec[EXEC_START].items[0];
        ck_assert(c->ignore_failure);
        ck_assert_str_eq(c->path, "/bin/x");
        auto_free char **argv = NULL;
        ck_assert_int_eq(exec_command_expand(c, env, &argv), 0);
        static const char *const want[] = {"argv0", "a", "b", "a b", "x1y", "$ONE", "$ONE", ""};
        for (unsigned i = 0; i < ELEMENTSOF(want); i++)
                ck_assert_str_eq(argv[i], want[i]);
        ck_assert_ptr_null(argv[ELEMENTSOF(want)]);
        unit_config_free(u);
}
END_TEST

START_TEST(environment_of_children) {
        UnitConfig *u;
        char why[200];
        char file_a[] = "A=file", file_b[] = "B=file", *files[] = {file_a, file_b, NULL};
        char home[] = "HOME=/h", notify[] = "NOTIFY_SOCKET=/guardians", a[] = "A=0",
             name[] = "GUARDIAN_UNIT=web";
        char *base[] = {home, notify, a, NULL}, *extra[] = {name, NULL};
        auto_free char **env = NULL, **clean = NULL;
        good("web", START "Environment=A=1\nPassEnvironment=HOME\nEnvironmentFile=-/nonexistent/x\n", &u);
        ck_assert_int_eq(unit_environment(u, base, files, extra, &env), 0);
        ck_assert_str_eq(environment_get(env, "A"), "1");
        ck_assert_str_eq(environment_get(env, "B"), "file");
        ck_assert_str_eq(environment_get(env, "HOME"), "/h");
        ck_assert_str_eq(environment_get(env, "GUARDIAN_UNIT"), "web");
        ck_assert_ptr_null(environment_get(env, "NOTIFY_SOCKET"));
        u->core = true;
        u->pass_environment.n = 0;
        ck_assert_int_eq(unit_environment(u, base, NULL, extra, &clean), 0);
        auto_free char **optional = NULL;
        ck_assert_int_eq(unit_environment_files(u, &optional, NULL, why, sizeof(why)), 0);
        ck_assert_ptr_null(optional[0]);
        ck_assert_ptr_null(environment_get(clean, "HOME"));
        ck_assert_ptr_nonnull(environment_get(clean, "PATH"));
        unit_config_free(u);
        good("web", START "EnvironmentFile=/nonexistent/x\n", &u);
        auto_free char **none = NULL;
        ck_assert_int_lt(unit_environment_files(u, &none, NULL, why, sizeof(why)), 0);
        ck_assert_ptr_nonnull(strstr(why, "/nonexistent/x"));
        unit_config_free(u);
}
END_TEST

SUITE_MAIN("unit-file", unit_file_keys, unit_file_defaults, unit_file_refusals, bootstrap_units_have_no_heal,
        values_are_longer_than_inih_lines, bounds_are_named, drop_ins_override_and_reset, specifiers,
        core_units_find_their_programs, exec_expansion, exec_is_no_shell, environment_of_children)
