/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/options.h"
#include "common/cleanup.h"
#include "guardian/unit-exec.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>

typedef struct Parser {
        int argc, i;
        char **argv;
        Options *o;
        char *error;
        size_t cap;
} Parser;

/* Reads one option; value is NULL for those that take none. */
typedef int (*OptionFn)(Parser *p, const char *value);
typedef struct OptionInfo {
        const char *name;  /* "--units" */
        const char *value; /* "DIR"; NULL: none; ends in "..": takes words up to the next option */
        OptionFn parse;
        const char *help;
} OptionInfo;

#define BAD(p, ...)                                                                                          \
        ({                                                                                                   \
                snprintf((p)->error, (p)->cap, __VA_ARGS__);                                                 \
                -EINVAL;                                                                                     \
        })

static int copy_path(Parser *p, char *to, size_t cap, const char *value, const char *what) {
        if (!*value || strlen(value) >= cap)
                return BAD(p, "%s: path is empty or too long", what);
        str_copy(to, cap, str_of(value));
        return 0;
}

static int set_check(Parser *p, const char *v) {
        (void)v;
        p->o->check = true;
        return 0;
}
static int set_no_core(Parser *p, const char *v) {
        (void)v;
        p->o->no_core = true;
        return 0;
}
static int set_keep(Parser *p, const char *v) {
        (void)v;
        p->o->keep_on_abort = true;
        return 0;
}
static int set_group(Parser *p, const char *v) {
        (void)v;
        p->o->group_signal = true;
        return 0;
}
static int set_help(Parser *p, const char *v) {
        (void)v;
        p->o->help = true;
        return 0;
}
static int set_version(Parser *p, const char *v) {
        (void)v;
        p->o->version = true;
        return 0;
}
static int set_state(Parser *p, const char *v) {
        p->o->state_given = true;
        return copy_path(p, p->o->state_dir, sizeof(p->o->state_dir), v, "--state");
}
static int set_runtime(Parser *p, const char *v) {
        p->o->runtime_given = true;
        return copy_path(p, p->o->runtime_dir, sizeof(p->o->runtime_dir), v, "--runtime");
}
static int add_units(Parser *p, const char *v) {
        if (p->o->n_unit_dirs >= OPTIONS_DIRS_MAX)
                return BAD(p, "--units: more than %d directories", OPTIONS_DIRS_MAX);
        p->o->n_unit_dirs_given++;
        return copy_path(p, p->o->unit_dirs[p->o->n_unit_dirs++], sizeof(p->o->unit_dirs[0]), v, "--units");
}
static int add_policies(Parser *p, const char *v) {
        if (p->o->n_policy_dirs >= OPTIONS_DIRS_MAX)
                return BAD(p, "--policies: more than %d directories", OPTIONS_DIRS_MAX);
        p->o->n_policy_dirs_given++;
        return copy_path(
                p, p->o->policy_dirs[p->o->n_policy_dirs++], sizeof(p->o->policy_dirs[0]), v, "--policies");
}
static int add_only(Parser *p, const char *v) {
        if (p->o->n_only >= OPTIONS_ONLY_MAX)
                return BAD(p, "--only: more than %d units", OPTIONS_ONLY_MAX);
        if (!unit_name_valid(v))
                return BAD(p, "--only: '%.80s' is not a unit name (as in status, without .chunk)", v);
        p->o->only[p->o->n_only++] = v;
        return 0;
}
static int set_mode(Parser *p, const char *v) {
        int m = mode_from_string(str_of(v));
        if (m <= MODE_NONE)
                return BAD(p, "--mode: '%.40s' is none of log_only, enforce_critical, enforce", v);
        p->o->mode = (Mode)m;
        return 0;
}
static int set_exit_code_from(Parser *p, const char *v) {
        if (!unit_name_valid(v))
                return BAD(p, "--exit-code-from: '%.80s' is not a unit name", v);
        p->o->exit_code_from = v;
        return 0;
}
static int set_ledger_key(Parser *p, const char *v) {
        p->o->ledger_key = v;
        return *v ? 0 : BAD(p, "--ledger-key: a file is needed");
}
static int set_log_format(Parser *p, const char *v) {
        if (strcmp(v, "text") != 0 && strcmp(v, "json") != 0)
                return BAD(p, "--log-format: '%.40s' is neither text nor json", v);
        p->o->log_format = strcmp(v, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
        return 0;
}
static int set_log_level(Parser *p, const char *v) {
        int l = log_level_from_string(v);
        if (l < 0)
                return BAD(p, "--log-level: '%.40s' is none of error, warning, notice, info, debug", v);
        p->o->log_level = (LogLevel)l;
        return 0;
}
static int add_rewrite(Parser *p, const char *v) {
        Str from, to;
        char a[32], b[32];
        if (p->o->n_rewrite >= OPTIONS_REWRITE_MAX)
                return BAD(p, "--rewrite: more than %d rules", OPTIONS_REWRITE_MAX);
        if (!str_split(str_of(v), ':', &from, &to))
                return BAD(p, "--rewrite: '%.40s' is not FROM:TO (signals, 0 drops)", v);
        int f = signal_from_string(str_copy(a, sizeof(a), from));
        str_copy(b, sizeof(b), to);
        int t = strcmp(b, "0") == 0 ? 0 : signal_from_string(b);
        if (f < 0 || t < 0)
                return BAD(p, "--rewrite: '%.40s' is no signal", f < 0 ? a : b);
        p->o->rewrite[p->o->n_rewrite].from = f;
        p->o->rewrite[p->o->n_rewrite++].to = t;
        return 0;
}
static int set_stop_timeout(Parser *p, const char *v) {
        if (parse_duration_us(v, &p->o->stop_timeout_us) < 0)
                return BAD(p, "--stop-timeout: '%.40s' is not a duration (500ms, 10s, 2min)", v);
        p->o->stop_timeout_set = true;
        return 0;
}

static const OptionInfo options[] = {
        {"--check", NULL, set_check, "read units and policies, report every problem, start nothing"},
        {"--units", "DIR", add_units, "one more directory of unit files; may be repeated"},
        {"--policies", "DIR", add_policies, "one more directory of policies; may be repeated"},
        {"--state", "DIR", set_state, "where the ledger and other lasting state is (GUARDIAN_STATE)"},
        {"--runtime", "DIR", set_runtime, "where the sockets are (GUARDIAN_RUNTIME)"},
        {"--only", "UNIT..", add_only,
                "these units and what they require or link to; ends at the next option"},
        {"--no-core", NULL, set_no_core, "leave the core set out: ungoverned supervision"},
        {"--mode", "MODE", set_mode, "floor of the mode: log_only, enforce_critical or enforce"},
        {"--exit-code-from", "UNIT", set_exit_code_from, "end with this unit, and with its status"},
        {"--keep-on-abort", NULL, set_keep, "an aborted boot stops nothing, for a look at it"},
        {"--ledger-key", "FILE", set_ledger_key,
                "the ledger's signing key instead of one made at first boot"},
        {"--log-format", "FORMAT", set_log_format, "text or json"},
        {"--log-level", "LEVEL", set_log_level, "error, warning, notice, info or debug"},
        {"-g", NULL, set_group, "wrapper: signal the child's whole process group"},
        {"--rewrite", "FROM:TO", add_rewrite, "wrapper: forward signal FROM as TO, 0 drops it"},
        {"--stop-timeout", "DURATION", set_stop_timeout, "time between TERM and KILL for what is left"},
        {"--version", NULL, set_version, "print the version"},
        {"--help", NULL, set_help, "print this text"},
};

int options_help(char *out, size_t cap) {
        size_t n = (size_t)snprintf(out, cap,
                "guardian [OPTIONS]                     boot the unit set, as PID 1 or anywhere else\n"
                "guardian [OPTIONS] -- COMMAND [ARG..]  wrap one command: reap, forward signals, wait\n"
                "guardian --check [OPTIONS]             report every problem in units and policies\n\n");
        for (size_t i = 0; i < ELEMENTSOF(options) && n < cap; i++) {
                char left[64];
                snprintf(left, sizeof(left), "%s %s", options[i].name,
                        options[i].value ? options[i].value : "");
                n += (size_t)snprintf(out + n, cap - n, "  %-24s %s\n", left, options[i].help);
        }
        return n < cap ? 0 : -ENOBUFS;
}

static int unknown(Parser *p, const char *arg, size_t n) {
        char name[64];
        const char *names[ELEMENTSOF(options)];
        for (size_t i = 0; i < ELEMENTSOF(options); i++)
                names[i] = options[i].name;
        str_copy(name, sizeof(name), (Str){arg, n});
        if (arg[0] != '-')
                return BAD(p, "unexpected argument '%.80s': a command to wrap stands behind --", arg);
        const char *near = nearest_name(name, names, ELEMENTSOF(names));
        return BAD(p, "unknown option '%s'%s%s%s", name, near ? ", did you mean '" : ", see --help",
                near ? near : "", near ? "'?" : "");
}

static int take_words(Parser *p, const OptionInfo *o) {
        unsigned n = 0;
        for (; p->i < p->argc && p->argv[p->i][0] != '-'; p->i++, n++) {
                int r = o->parse(p, p->argv[p->i]);
                if (r < 0)
                        return r;
        }
        return n > 0 ? 0 : BAD(p, "%s needs %s", o->name, o->value);
}

static int take_option(Parser *p) {
        const char *arg = p->argv[p->i++];
        size_t n = strcspn(arg, "=");
        const OptionInfo *o = NULL;
        for (size_t i = 0; i < ELEMENTSOF(options) && !o; i++)
                if (strlen(options[i].name) == n && strncmp(options[i].name, arg, n) == 0)
                        o = &options[i];
        if (!o)
                return unknown(p, arg, n);
        const char *inline_value = arg[n] ? arg + n + 1 : NULL;
        if (!o->value)
                return inline_value ? BAD(p, "%s takes no value", o->name) : o->parse(p, NULL);
        if (inline_value)
                return o->parse(p, inline_value);
        size_t vn = strlen(o->value);
        if (vn > 2 && strcmp(o->value + vn - 2, "..") == 0)
                return take_words(p, o);
        if (p->i >= p->argc || strcmp(p->argv[p->i], "--") == 0)
                return BAD(p, "%s needs %s", o->name, o->value);
        return o->parse(p, p->argv[p->i++]);
}

static int take_all(Parser *p) {
        p->i = 1;
        while (p->i < p->argc) {
                if (strcmp(p->argv[p->i], "--") == 0) {
                        p->o->command = p->argv + p->i + 1;
                        if (p->i + 1 >= p->argc)
                                return BAD(p, "a command is needed behind --");
                        return 0;
                }
                int r = take_option(p);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_together(Parser *p) {
        const Options *o = p->o;
        bool set = o->n_unit_dirs_given || o->n_policy_dirs_given || o->n_only || o->no_core || o->mode ||
                   o->exit_code_from || o->keep_on_abort || o->ledger_key || o->check;
        if (o->command && set)
                return BAD(p, "wrapping a command boots no units: options of a unit set do not go with --");
        if (!o->command && (o->group_signal || o->n_rewrite))
                return BAD(p, "-g and --rewrite are for wrapping a command: guardian [OPTIONS] -- COMMAND");
        if (o->exit_code_from && o->n_only) {
                bool found = false;
                for (unsigned i = 0; i < o->n_only; i++)
                        found = found || strcmp(o->only[i], o->exit_code_from) == 0;
                if (!found)
                        return BAD(p, "--exit-code-from: unit '%s' is not in --only", o->exit_code_from);
        }
        return 0;
}

/* ---- directories */

static bool join(char *to, size_t cap, const char *a, const char *b) {
        return (size_t)snprintf(to, cap, "%s%s", a, b) < cap;
}

static bool default_state(Options *o, char *const *env, uid_t uid) {
        const char *v = environment_get(env, "GUARDIAN_STATE"), *home = environment_get(env, "HOME"),
                   *xdg = environment_get(env, "XDG_STATE_HOME");
        if (v && *v) {
                o->state_given = true;
                return join(o->state_dir, sizeof(o->state_dir), v, "");
        }
        if (uid == 0)
                return join(o->state_dir, sizeof(o->state_dir), "/var/lib/guardian", "");
        if (xdg && *xdg == '/')
                return join(o->state_dir, sizeof(o->state_dir), xdg, "/guardian");
        if (home && *home == '/')
                return join(o->state_dir, sizeof(o->state_dir), home, "/.local/state/guardian");
        return snprintf(o->state_dir, sizeof(o->state_dir), "/tmp/guardian-%u/state", (unsigned)uid) > 0;
}

static bool default_runtime(Options *o, char *const *env, uid_t uid) {
        const char *v = environment_get(env, "GUARDIAN_RUNTIME"),
                   *xdg = environment_get(env, "XDG_RUNTIME_DIR");
        if (v && *v) {
                o->runtime_given = true;
                return join(o->runtime_dir, sizeof(o->runtime_dir), v, "");
        }
        if (uid == 0)
                return join(o->runtime_dir, sizeof(o->runtime_dir), "/run/guardian", "");
        if (xdg && *xdg == '/')
                return join(o->runtime_dir, sizeof(o->runtime_dir), xdg, "/guardian");
        return snprintf(o->runtime_dir, sizeof(o->runtime_dir), "/tmp/guardian-%u", (unsigned)uid) > 0;
}

/* /etc, or the user's configuration; stands before what was given on the command line. */
static bool config_dir(char *const *env, uid_t uid, const char *name, char *to, size_t cap) {
        const char *xdg = environment_get(env, "XDG_CONFIG_HOME"), *home = environment_get(env, "HOME");
        if (uid == 0)
                return (size_t)snprintf(to, cap, "/etc/guardian/%s", name) < cap;
        if (xdg && *xdg == '/')
                return (size_t)snprintf(to, cap, "%s/guardian/%s", xdg, name) < cap;
        return (size_t)snprintf(to, cap, "%s/.config/guardian/%s",
                       home && *home == '/' ? home : "/nonexistent", name) < cap;
}

static bool default_dirs(Options *o, char *const *env, uid_t uid, const char *exe) {
        bool ok = true;
        str_copy(o->prefix, sizeof(o->prefix), str_of(exe));
        for (int up = 0; up < 2; up++) {
                char *slash = strrchr(o->prefix, '/');
                if (slash)
                        *slash = 0;
        }
        ok &= join(o->core_dir, sizeof(o->core_dir), o->prefix, "/lib/guardian/units");
        ok &= join(o->libexec_dir, sizeof(o->libexec_dir), o->prefix, "/libexec/guardian");
        ok &= config_dir(env, uid, "units", o->unit_dirs[o->n_unit_dirs++], sizeof(o->unit_dirs[0]));
        ok &= join(o->policy_dirs[o->n_policy_dirs++], sizeof(o->policy_dirs[0]), o->prefix,
                "/share/guardian/policies");
        ok &= config_dir(env, uid, "policies", o->policy_dirs[o->n_policy_dirs++], sizeof(o->policy_dirs[0]));
        ok &= default_state(o, env, uid);
        ok &= default_runtime(o, env, uid);
        return ok;
}

int options_parse(int argc, char **argv, char *const *env, uid_t uid, const char *exe, Options *ret,
        char *error, size_t cap) {
        Parser p = {.argc = argc, .argv = argv, .o = ret, .error = error, .cap = cap};
        memset(ret, 0, offsetof(Options, unit_dirs));
        ret->log_level = LOG_LEVEL_INFO;
        ret->stop_timeout_us = 10000000;
        *error = 0;
        if (!default_dirs(ret, env, uid, exe))
                return BAD(&p, "a default directory has too long a name");
        int r = take_all(&p);
        if (r < 0 || ret->help || ret->version)
                return r;
        return check_together(&p);
}
