/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/unit-keys.h"
#include "common/cleanup.h"
#include <errno.h>
#include <limits.h>
#include <string.h>

#define AT(member) offsetof(UnitConfig, member)
#define PROBE_KEYS(NAME, K)                                                                                  \
        {"Health", NAME, parse_probe, AT(probes[K])},                                                        \
                {"Health", NAME "IntervalSec", parse_duration, AT(probes[K].interval_us)},                   \
                {"Health", NAME "TimeoutSec", parse_duration, AT(probes[K].timeout_us)},                     \
                {"Health", NAME "FailureThreshold", parse_number, AT(probes[K].failure_threshold), false, 1, \
                        1000},                                                                               \
        {                                                                                                    \
                "Health", NAME "SuccessThreshold", parse_number, AT(probes[K].success_threshold), false, 1,  \
                        1000                                                                                 \
        }
#define LIMIT_KEY(NAME, R, KIND)                                                                             \
        { "Service", NAME, parse_limit, 0, false, R, KIND }

static const KeyInfo keys[] = {
        {"Unit", "Description", parse_text, AT(description)},
        {"Unit", "Documentation", parse_words, AT(documentation), true},
        {"Unit", "After", parse_refs, AT(after), true},
        {"Unit", "Before", parse_refs, AT(before), true},
        {"Unit", "Requires", parse_refs, AT(requires), true},
        {"Unit", "Wants", parse_refs, AT(wants), true},
        {"Unit", "Enabled", parse_yes_no, AT(enabled)},

        {"Chunk", "Priority", parse_priority, AT(priority_milli)},
        {"Chunk", "CanFail", parse_yes_no, AT(can_fail)},
        {"Chunk", "GuardianValidates", parse_yes_no, AT(guardian_validates)},
        {"Chunk", "ValidateTimeoutSec", parse_duration, AT(validate_timeout_us), false, 1},
        {"Chunk", "StartRetries", parse_number, AT(start_retries), false, 0, 100},
        {"Chunk", "Links", parse_refs, AT(links), true},
        {"Chunk", "Publishes", parse_patterns, AT(publishes), true},
        {"Chunk", "Subscribes", parse_patterns, AT(subscribes), true},
        {"Chunk", "Handles", parse_handlers, AT(handles), true},
        {"Chunk", "Critical", parse_yes_no, AT(critical)},
        {"Chunk", "Essential", parse_yes_no, AT(essential)},
        {"Chunk", "Heal", parse_heal, AT(heal), true},
        {"Chunk", "Labels", parse_labels, AT(labels), true},
        {"Chunk", "GrantsLogin", parse_yes_no, AT(grants_login)},

        {"Service", "Type", parse_type, AT(type)},
        {"Service", "NotifyAccess", parse_notify, AT(notify_access)},
        {"Service", "ExecStartPre", parse_exec, AT(exec[EXEC_START_PRE]), true},
        {"Service", "ExecStart", parse_exec, AT(exec[EXEC_START]), true},
        {"Service", "ExecStartPost", parse_exec, AT(exec[EXEC_START_POST]), true},
        {"Service", "ExecReload", parse_exec, AT(exec[EXEC_RELOAD]), true},
        {"Service", "ExecStop", parse_exec, AT(exec[EXEC_STOP]), true},
        {"Service", "ExecStopPost", parse_exec, AT(exec[EXEC_STOP_POST]), true},
        {"Service", "RemainAfterExit", parse_yes_no, AT(remain_after_exit)},
        {"Service", "Restart", parse_restart, AT(restart)},
        {"Service", "RestartSec", parse_duration, AT(restart_us)},
        {"Service", "RestartMaxDelaySec", parse_duration, AT(restart_max_us)},
        {"Service", "RestartJitter", parse_jitter, AT(restart_jitter)},
        {"Service", "RestartResetSec", parse_duration, AT(restart_reset_us)},
        {"Service", "StartLimitBurst", parse_number, AT(start_limit_burst), false, 0, INT_MAX},
        {"Service", "StartLimitIntervalSec", parse_duration, AT(start_limit_interval_us)},
        {"Service", "RestartPreventExitStatus", parse_exit_set, AT(restart_prevent), true},
        {"Service", "SuccessExitStatus", parse_exit_set, AT(success), true},
        {"Service", "TimeoutStartSec", parse_duration, AT(timeout_start_us), false, 1},
        {"Service", "TimeoutStopSec", parse_duration, AT(timeout_stop_us), false, 1},
        {"Service", "WatchdogSec", parse_duration, AT(watchdog_us), false, 2},
        {"Service", "KillSignal", parse_signal, AT(kill_signal)},
        {"Service", "FinalKillSignal", parse_signal, AT(final_kill_signal)},
        {"Service", "KillMode", parse_kill_mode, AT(kill_mode)},
        {"Service", "User", parse_user, AT(user)},
        {"Service", "Group", parse_group, AT(group)},
        {"Service", "SupplementaryGroups", parse_words, AT(supplementary_groups), true},
        {"Service", "WorkingDirectory", parse_cwd, 0},
        {"Service", "Environment", parse_environment, AT(environment), true},
        {"Service", "EnvironmentFile", parse_env_files, AT(environment_files), true},
        {"Service", "PassEnvironment", parse_names, AT(pass_environment), true},
        {"Service", "UMask", parse_umask, 0},
        {"Service", "Nice", parse_nice, 0},
        {"Service", "OOMScoreAdjust", parse_oom, 0},
        LIMIT_KEY("LimitCPU", RLIMIT_CPU, 1),
        LIMIT_KEY("LimitFSIZE", RLIMIT_FSIZE, 0),
        LIMIT_KEY("LimitDATA", RLIMIT_DATA, 0),
        LIMIT_KEY("LimitSTACK", RLIMIT_STACK, 0),
        LIMIT_KEY("LimitCORE", RLIMIT_CORE, 0),
        LIMIT_KEY("LimitRSS", RLIMIT_RSS, 0),
        LIMIT_KEY("LimitNOFILE", RLIMIT_NOFILE, 0),
        LIMIT_KEY("LimitAS", RLIMIT_AS, 0),
        LIMIT_KEY("LimitNPROC", RLIMIT_NPROC, 0),
        LIMIT_KEY("LimitMEMLOCK", RLIMIT_MEMLOCK, 0),
        LIMIT_KEY("LimitLOCKS", RLIMIT_LOCKS, 0),
        LIMIT_KEY("LimitSIGPENDING", RLIMIT_SIGPENDING, 0),
        LIMIT_KEY("LimitMSGQUEUE", RLIMIT_MSGQUEUE, 0),
        LIMIT_KEY("LimitNICE", RLIMIT_NICE, 0),
        LIMIT_KEY("LimitRTPRIO", RLIMIT_RTPRIO, 0),
        LIMIT_KEY("LimitRTTIME", RLIMIT_RTTIME, 2),
        {"Service", "StandardOutput", parse_output, AT(out)},
        {"Service", "StandardError", parse_output, AT(err)},
        {"Service", "RuntimeDirectory", parse_dirs, AT(runtime_directories), true},
        {"Service", "StateDirectory", parse_dirs, AT(state_directories), true},

        PROBE_KEYS("StartupProbe", PROBE_STARTUP),
        PROBE_KEYS("ReadinessProbe", PROBE_READINESS),
        PROBE_KEYS("LivenessProbe", PROBE_LIVENESS),

        {"Sandbox", "Profile", parse_profile, AT(profile)},
        {"Sandbox", "Reason", parse_text, AT(sandbox_reason)},
};
_Static_assert(ELEMENTSOF(keys) <= UNIT_KEYS_KNOWN_MAX, "grow UNIT_KEYS_KNOWN_MAX");

/* Known words that cannot act in this version: refused by name, never accepted and ignored. Separated by
 * blanks. */
static const struct {
        const char *section, *keys;
} later[] = {
        {"Unit", " BindsTo PartOf Conflicts OnFailure "},
        {"Chunk", " DelegateTo Strategy "},
        {"Service", " PIDFile NotifyFd LogMaxSize LogMaxFiles FileDescriptorStoreMax ListenStream "
                    "ListenDatagram "},
        {"Sandbox",
                " Require OnMissing Verify NoNewPrivileges CapabilityBoundingSet AmbientCapabilities "
                "SystemCallFilter "
                "SystemCallArchitectures RestrictAddressFamilies RestrictNamespaces RestrictRealtime "
                "RestrictSUIDSGID "
                "MemoryDenyWriteExecute LockPersonality PrivateTmp PrivateDevices PrivateNetwork "
                "PrivateUsers "
                "ProtectSystem ProtectHome ProtectProc ProcSubset ProtectKernelTunables ProtectKernelModules "
                "ProtectKernelLogs ProtectControlGroups ProtectClock ProtectHostname ReadOnlyPaths "
                "ReadWritePaths "
                "InaccessiblePaths ExecPaths NoExecPaths RootDirectory RemoveIPC KeyringMode ListenTcp "
                "ConnectTcp "},
        {"Limits", " MemoryMax TasksMax CPUQuota "},
};
static const char *const sections[] = {"Unit", "Chunk", "Service", "Health", "Sandbox", "Limits"};

/* The section a known word of a later version belongs in, `section` itself if it does; NULL: no such word. */
static const char *comes_later(const char *section, const char *key) {
        char word[80];
        const char *found = NULL;
        snprintf(word, sizeof(word), " %s ", key);
        for (size_t i = 0; i < ELEMENTSOF(later); i++) {
                if (!strstr(later[i].keys, word))
                        continue;
                if (strcmp(later[i].section, section) == 0)
                        return later[i].section;
                found = later[i].section;
        }
        return found;
}

#define KEY_PROBLEM(c, code, hint, ...)                                                                      \
        problem_add((c)->problems, PROBLEM_ERROR, (c)->file, (c)->line, 0, (code), (hint), __VA_ARGS__)

static void unknown_section(KeyContext *c, const char *section) {
        char hint[200] = "known sections: Unit Chunk Service Health Sandbox Limits";
        const char *near = nearest_name(section, sections, ELEMENTSOF(sections));
        if (strcmp(section, "Install") == 0)
                snprintf(hint, sizeof(hint), "a .chunk starts by itself unless [Unit] Enabled=no");
        else if (near)
                snprintf(hint, sizeof(hint), "did you mean [%s]?", near);
        KEY_PROBLEM(c, "unknown-section", hint, "unknown section [%s]", section);
        str_copy(c->skip_section, sizeof(c->skip_section), str_of(section));
}

static void unknown_key(KeyContext *c, const char *section, const char *key) {
        char hint[200] = "";
        const char *home = comes_later(section, key);
        if (home) {
                if (strcmp(home, section) == 0)
                        snprintf(hint, sizeof(hint), "comes with a later version; take it out");
                else
                        snprintf(hint, sizeof(hint),
                                "it belongs in [%s] and comes with a later version; take it out", home);
                KEY_PROBLEM(c, "unsupported-key", hint, "key '%s' cannot act in this version", key);
                return;
        }
        const char *names[UNIT_KEYS_KNOWN_MAX];
        size_t n = 0;
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                if (strcmp(keys[i].key, key) == 0)
                        snprintf(hint, sizeof(hint), "key '%s' belongs in [%s]", key, keys[i].section);
                if (strcmp(keys[i].section, section) == 0)
                        names[n++] = keys[i].key;
        }
        const char *near = hint[0] ? NULL : nearest_name(key, names, n);
        if (near)
                snprintf(hint, sizeof(hint), "did you mean '%s'?", near);
        KEY_PROBLEM(c, "unknown-key", hint, "unknown key '%s' in [%s]", key, section);
}

static const KeyInfo *find_key(const char *section, const char *key) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].key, key) == 0)
                        return &keys[i];
        return NULL;
}

static int apply(KeyContext *c, const KeyInfo *k, const char *value) {
        size_t i = (size_t)(k - keys);
        if (!k->list && c->first_line[i]) {
                KEY_PROBLEM(c, "duplicate-key", "a key with one value stands once in a file",
                        "key '%s' given twice, first at line %u", k->key, c->first_line[i]);
                return 0;
        }
        if (!c->first_line[i])
                c->first_line[i] = c->line;
        if (!k->list && !*value && k->parse != parse_text && k->parse != parse_user &&
                k->parse != parse_group) {
                KEY_PROBLEM(c, "empty-value", "leave the line out to have the default",
                        "key '%s' has no value", k->key);
                return 0;
        }
        c->why[0] = c->hint[0] = 0;
        int r = k->parse(c, k, value, (char *)c->u + k->offset);
        if (r != -EINVAL && r != -ERANGE)
                return r;
        if (strstr(value, " #") || strstr(value, " ;"))
                snprintf(c->hint, sizeof(c->hint), "a comment needs a line of its own");
        KEY_PROBLEM(c, "bad-value", c->hint, "%s=: %s", k->key, c->why[0] ? c->why : "not a valid value");
        return 0;
}

int unit_key_assign(KeyContext *c, const char *section, const char *key, const char *value) {
        if (!key) {
                c->skip_section[0] = 0;
                for (size_t i = 0; i < ELEMENTSOF(sections); i++)
                        if (strcmp(sections[i], section) == 0)
                                return 0;
                unknown_section(c, section);
                return 0;
        }
        if (strcmp(section, c->skip_section) == 0)
                return 0;
        const KeyInfo *k = find_key(section, key);
        if (k)
                return apply(c, k, value);
        unknown_key(c, section, key);
        return 0;
}
