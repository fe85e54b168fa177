/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One probe of a unit: exec, tcp, unix or http, with Kubernetes' rules for thresholds (kubernetes.io, "Configure Liveness,
 * Readiness and Startup Probes"): FailureThreshold failures in a row are a failure, SuccessThreshold successes in a row a
 * success; the next try starts IntervalSec after the last one started, never before it ended, so a slow probe delays nobody.
 * Hosts are numeric addresses or "localhost": PID 1 asks no name service.
 */
#include "common/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

typedef enum ProbeType { PROBE_NONE, PROBE_EXEC, PROBE_TCP, PROBE_UNIX, PROBE_HTTP } ProbeType;
typedef struct ProbeConfig {
        ProbeType type;
        uint16_t port;
        char *text; /* exec: command line; unix: socket path; tcp, http: numeric address; owned by the unit's configuration */
        char *path; /* http: request path; likewise */
        uint64_t interval_us, timeout_us;
        unsigned failure_threshold, success_threshold;
} ProbeConfig;

/* Parses "exec:CMD", "tcp:HOST:PORT", "unix:PATH", "http://HOST:PORT/PATH" into type, text, port and path (numbers are
 * left alone); text and path are the caller's to free, also after an error. -EINVAL with *why (static), -ENOMEM. */
int probe_parse(const char *s, ProbeConfig *ret, const char **why);

typedef struct Probe Probe;
typedef struct ProbeOps {
        /* Starts the command of an exec probe; its end is reported with probe_exec_done(). 1: it will be started, while
         * probe_exec_awaited(); probe_exec_begun() says so. */
        int (*exec)(Probe *p, const char *command, pid_t *pid, void *user);
        void (*kill)(Probe *p, pid_t pid, void *user);
        /* The streak crossed its threshold. detail is for people: "connect to 127.0.0.1:8000: Connection refused". */
        void (*changed)(Probe *p, bool healthy, const char *detail, void *user);
} ProbeOps;

/* Makes and starts a probe: the first try comes after `delay_us`. cfg is kept by reference. */
int probe_start(uv_loop_t *loop, const ProbeConfig *cfg, const ProbeOps *ops, void *user, uint64_t delay_us, Probe **ret);
/* Ends it; no callback afterwards. Its memory goes with libuv's handles. NULL is fine; returns NULL. */
Probe *probe_stop(Probe *p);
/* The exec probe's command ended (waitid status: code 0 is a success). */
void probe_exec_done(Probe *p, pid_t pid, int code, int signal);
pid_t probe_exec_pid(const Probe *p); /* 0: none runs */
bool probe_exec_awaited(const Probe *p); /* a try waits for its command to be started */
void probe_exec_begun(Probe *p, int error, pid_t pid); /* it is, or error: -errno; only while it is awaited */
