/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The clone of launch.c: one process on our memory, we wait until it execs or ends. */
#include <stdbool.h>
#include <sys/types.h>

/*
 * Runs fn(arg) in a new process (CLONE_VM|CLONE_VFORK, SIGCHLD at its end) on the stack [stack, stack +
 * size). fn does not return. cgroup_fd >= 0: a cgroup v2 directory the process is to be born in; *inside says
 * whether it was, before fn runs. Where it was not (a kernel before 5.7, a filter of system calls), fn has to
 * move itself. Returns the pid, or negative errno.
 */
pid_t launch_clone(
        int (*fn)(void *), void *arg, void *stack, size_t size, int cgroup_fd, volatile bool *inside);
