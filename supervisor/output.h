/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Capture of what units print (a shell: uv_poll). One pipe a unit, kept over its instances; the unit's end is
 * opened O_RDWR, so a reader is never missing and a unit outlives us without EPIPE. Lines go into the shared
 * ring, to Guardian's own stdout with the unit's name before them, and to followers. Nothing wakes up while
 * nobody prints.
 */
#include "common/list.h"
#include "common/log.h"
#include "supervisor/lines.h"
#include <sys/types.h>
#include <uv.h>

typedef struct OutputHub OutputHub;
typedef struct Output Output;

typedef struct OutputFollower {
        List node;  /* private */
        Output *of; /* one unit's, or NULL: all */
        void (*on_line)(
                void *user, const char *unit, const LineView *line); /* must not add or remove outputs */
        void *user;
} OutputFollower;

/* sink_fd: where prefixed lines go (our stdout; stays the caller's), -1: nowhere. Pipes and terminals are
 * reopened through /proc/self/fd before O_NONBLOCK is set, so that nobody else's stdout changes. */
int output_hub_new(uv_loop_t *loop, int sink_fd, LogFormat format, OutputHub **ret);
uint64_t output_dropped(
        const OutputHub *h); /* lines that stdout would not take (they are still in the ring) */
/* Writes the backlog out, blocking at most `ms`: at the very end. False if some of it is left, perhaps half a
 * line: nothing more may be written to the sink then. */
bool output_hub_flush(OutputHub *h, unsigned ms);
/* A LogSink (user: the hub): our own log's lines go through the same queue, so that none stands inside a line
 * of a unit, which could make up lines of ours. Room is kept for them. */
bool output_log_line(void *user, const void *line, size_t n);
/* Closes; every Output must be freed before. Memory goes with the loop's next turn. */
void output_hub_free(OutputHub *h);

int output_new(OutputHub *h, const char *unit, Output **ret);
/* The descriptor to hand to a new instance as stdout and/or stderr (O_RDWR, CLOEXEC, owned by the caller:
 * close it after the spawn). The pipe belongs to uid:gid, so that the unit can open /dev/stderr. */
int output_open(Output *o, uid_t uid, gid_t gid, int *fd);
/* The unit's end: read all that is in the pipe now, hand out an unfinished line. */
void output_drain(Output *o);
/* Newest lines kept, oldest first; views are valid until the loop runs on. */
size_t output_tail(const Output *o, LineView *out, size_t max);
uint64_t output_lines(const Output *o); /* ever captured */
void output_free(Output *o);

void output_follow(OutputHub *h, OutputFollower *f); /* caller's memory, until output_unfollow() */
void output_unfollow(OutputFollower *f);
