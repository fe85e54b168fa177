/* SPDX-License-Identifier: Apache-2.0 */
/* guardianctl: options common to all verbs, then the verb. */
#include "guardian/ctl/ctl.h"
#include "guardian/ctl/text.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *absolute(const char *env) {
        const char *v = getenv(env);
        return v && v[0] == '/' ? v : NULL;
}

/* The same search as Guardian's own (guardian/options.c). */
static void default_dirs(Ctl *c) {
        const char *e = getenv("GUARDIAN_RUNTIME"), *x = absolute("XDG_RUNTIME_DIR"),
                   *home = absolute("HOME");
        unsigned uid = getuid();
        if (e && e[0])
                str_copy(c->runtime, sizeof(c->runtime), str_of(e));
        else if (uid == 0)
                strcpy(c->runtime, "/run/guardian");
        else if (x)
                snprintf(c->runtime, sizeof(c->runtime), "%s/guardian", x);
        else
                snprintf(c->runtime, sizeof(c->runtime), "/tmp/guardian-%u", uid);
        e = getenv("GUARDIAN_STATE");
        x = absolute("XDG_STATE_HOME");
        if (e && e[0])
                str_copy(c->state, sizeof(c->state), str_of(e));
        else if (uid == 0)
                strcpy(c->state, "/var/lib/guardian");
        else if (x)
                snprintf(c->state, sizeof(c->state), "%s/guardian", x);
        else if (home)
                snprintf(c->state, sizeof(c->state), "%s/.local/state/guardian", home);
        else
                snprintf(c->state, sizeof(c->state), "/tmp/guardian-%u/state", uid);
}

/* Common options may stand anywhere before "--"; they are taken out of argv. 0, CTL_USAGE, or -1: done (help,
 * version). */
static int common_options(Ctl *c, int *argc, char **argv) {
        int n = 1;
        bool raw = false;
        for (int i = 1; i < *argc; i++) {
                char *a = argv[i];
                const char *value = NULL;
                if (raw || strncmp(a, "--", 2) != 0) {
                        argv[n++] = a;
                        continue;
                }
                if (strcmp(a, "--") == 0) {
                        raw = true;
                } else if (strcmp(a, "--json") == 0) {
                        c->json = true;
                } else if (strcmp(a, "--quiet") == 0) {
                        c->quiet = true;
                } else if (strcmp(a, "--no-color") == 0) {
                        c->color = false;
                } else if (strcmp(a, "--help") == 0) {
                        if (n < 2 || !ctl_verb_help(argv[1], n > 2 ? argv[2] : NULL))
                                ctl_help(stdout);
                        return -1;
                } else if (strcmp(a, "--version") == 0) {
                        printf("guardianctl %s\n", GUARDIAN_VERSION);
                        return -1;
                } else if (strcmp(a, "--runtime") == 0 || strcmp(a, "--state") == 0 ||
                           strcmp(a, "--timeout") == 0) {
                        /* `wait --state STATE` has a --state of its own */
                        if (strcmp(a, "--state") == 0 && n > 1 && strcmp(argv[1], "wait") == 0) {
                                argv[n++] = a;
                                continue;
                        }
                        value = i + 1 < *argc ? argv[++i] : NULL;
                        if (!value) {
                                text_errorf("guardianctl: %s takes a value", a);
                                return CTL_USAGE;
                        }
                        if (a[2] == 'r') {
                                str_copy(c->runtime, sizeof(c->runtime), str_of(value));
                                c->runtime_given = true;
                        } else if (a[2] == 's') {
                                str_copy(c->state, sizeof(c->state), str_of(value));
                                c->state_given = true;
                        } else if (parse_duration_us(value, &c->timeout_us) < 0) {
                                text_errorf(
                                        "guardianctl: --timeout takes a duration such as 500ms, 10s, 2min");
                                return CTL_USAGE;
                        } else {
                                c->timeout_set = true;
                        }
                } else {
                        argv[n++] = a;
                }
        }
        argv[n] = NULL;
        *argc = n;
        return 0;
}

int main(int argc, char **argv) {
        bool terminal = isatty(STDOUT_FILENO);
        Ctl c = {.color = terminal && !getenv("NO_COLOR"),
                .terminal = terminal,
                .timeout_us = UINT64_MAX,
                .guardian.fd = -1,
                .guardian.pending_fd = -1};
        signal(SIGPIPE, SIG_IGN);
        text_whole = !terminal;
        default_dirs(&c);
        int r = common_options(&c, &argc, argv);
        if (r != 0)
                return r < 0 ? 0 : r;
        if (argc < 2) {
                ctl_help(stderr);
                return CTL_USAGE;
        }
        r = ctl_dispatch(&c, argc - 1, argv + 1);
        if (c.open)
                client_close(&c.guardian);
        if (fflush(stdout) != 0 && r == 0)
                r = CTL_NO;
        return r;
}
