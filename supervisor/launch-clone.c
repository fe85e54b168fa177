/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move between cgroups takes the kernel's lock against all forks and exits of the machine and may wait for
 * an RCU grace period, milliseconds each. A process that is born in its cgroup (CLONE_INTO_CGROUP) costs
 * nothing of that, and is never seen outside. glibc has no function for clone3(2) with a stack of its own, so
 * the few instructions stand here.
 */
#include "supervisor/launch-clone.h"
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define HAVE_CLONE3 1
/* Only the child takes the branch; it stands on its own stack, 16-byte aligned as the ABI wants it before a
 * call. */
static long clone3_call(const struct clone_args *a, int (*fn)(void *), void *arg) {
        register int (*f)(void *) __asm__("r8") = fn;
        register void *x __asm__("r9") = arg;
        long r;

        __asm__ volatile("syscall\n\t"
                         "test %%rax, %%rax\n\t"
                         "jnz 1f\n\t"
                         "xor %%ebp, %%ebp\n\t"
                         "mov %%r9, %%rdi\n\t"
                         "call *%%r8\n\t"
                         "ud2\n"
                         "1:"
                         : "=a"(r)
                         : "0"((long)SYS_clone3), "D"(a), "S"(sizeof(*a)), "r"(f), "r"(x)
                         : "rcx", "r11", "cc", "memory");
        return r;
}
#elif defined(__aarch64__)
#define HAVE_CLONE3 1
static long clone3_call(const struct clone_args *a, int (*fn)(void *), void *arg) {
        register long nr __asm__("x8") = SYS_clone3;
        register long r __asm__("x0") = (long)(uintptr_t)a;
        register long size __asm__("x1") = (long)sizeof(*a);
        register int (*f)(void *) __asm__("x10") = fn;
        register void *x __asm__("x9") = arg;

        __asm__ volatile("svc #0\n\t"
                         "cbnz x0, 1f\n\t"
                         "mov x29, #0\n\t"
                         "mov x30, #0\n\t"
                         "mov x0, x9\n\t"
                         "blr x10\n\t"
                         "brk #0\n"
                         "1:"
                         : "+r"(r)
                         : "r"(nr), "r"(size), "r"(f), "r"(x)
                         : "cc", "memory");
        return r;
}
#endif

pid_t launch_clone(
        int (*fn)(void *), void *arg, void *stack, size_t size, int cgroup_fd, volatile bool *inside) {
        pid_t pid;

        *inside = false;
#ifdef HAVE_CLONE3
        static bool refused; /* by the kernel or a filter: asked once */

        if (cgroup_fd >= 0 && !refused) {
                struct clone_args a = {.flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP,
                        .exit_signal = SIGCHLD,
                        .stack = (uint64_t)(uintptr_t)stack,
                        .stack_size = size,
                        .cgroup = (uint64_t)cgroup_fd};
                long r;

                *inside = true;
                r = clone3_call(&a, fn, arg);
                if (r > 0)
                        return (pid_t)r;
                /* Whatever it was, the old way says more exactly what is wrong. */
                *inside = false;
                refused = r == -ENOSYS || r == -EPERM || r == -EINVAL || r == -E2BIG;
        }
#endif
        pid = clone(fn, (char *)stack + size, CLONE_VM | CLONE_VFORK | SIGCHLD, arg);
        return pid < 0 ? -errno : pid;
}
