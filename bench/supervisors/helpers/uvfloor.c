/* SPDX-License-Identifier: Apache-2.0 */
/* uvfloor MODE LOG N SVC: like floor.c, over libuv's uv_spawn.
 * MODE plain: what libuv gives; sweep: additionally reap children libuv does not
 * know (orphans given to PID 1): on SIGCHLD, peek with waitid(P_ALL, WNOWAIT) and
 * reap while the pid is not one of ours; ours are left to libuv. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <uv.h>

static uv_process_t *procs;
static int n, alive;
static uv_signal_t term, chld;

static void on_exit_cb(uv_process_t *p, int64_t st, int sig) {
        (void)st, (void)sig;
        uv_close((uv_handle_t *)p, NULL);
        if (--alive == 0 && !uv_is_active((uv_handle_t *)&term)) {
                if (uv_is_active((uv_handle_t *)&chld))
                        uv_signal_stop(&chld);
        }
}

static void on_term(uv_signal_t *s, int sig) {
        (void)sig;
        uv_signal_stop(s);
        for (int i = 0; i < n; i++)
                if (uv_is_active((uv_handle_t *)&procs[i]))
                        uv_process_kill(&procs[i], SIGTERM);
}

static void on_chld(uv_signal_t *s, int sig) {
        (void)s, (void)sig;
        for (;;) {
                siginfo_t si;
                int ours = 0;
                si.si_pid = 0;
                if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) || si.si_pid == 0)
                        return;
                for (int i = 0; i < n; i++)
                        if (procs[i].pid == si.si_pid && uv_is_active((uv_handle_t *)&procs[i]))
                                ours = 1;
                if (ours)
                        return;
                waitpid(si.si_pid, NULL, WNOHANG);
        }
}

int main(int argc, char **argv) {
        uv_loop_t *l = uv_default_loop();
        char num[16], *av[4];
        if (argc < 5)
                return 111;
        n = alive = atoi(argv[3]);
        procs = calloc((size_t)n, sizeof *procs);
        uv_signal_init(l, &term);
        uv_signal_start(&term, on_term, SIGTERM);
        uv_signal_init(l, &chld);
        if (!strcmp(argv[1], "sweep"))
                uv_signal_start(&chld, on_chld, SIGCHLD);
        av[0] = argv[4], av[1] = argv[2], av[2] = num, av[3] = NULL;
        for (int i = 0; i < n; i++) {
                uv_stdio_container_t io[3] = {
                        {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
                uv_process_options_t o = {
                        .file = av[0], .args = av, .exit_cb = on_exit_cb, .stdio = io, .stdio_count = 3};
                snprintf(num, sizeof num, "%d", i);
                if (uv_spawn(l, &procs[i], &o))
                        return 112;
        }
        return uv_run(l, UV_RUN_DEFAULT);
}
