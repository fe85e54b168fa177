/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * `guardian [OPTIONS] -- COMMAND`: one command wrapped as tini does it, and what tini leaves out: it waits
 * for every descendant and can escalate. A plain loop around sigtimedwait(2); no unit, chunk, policy or
 * cryptography is touched.
 */
#include <stdbool.h>
#include <stdint.h>

typedef struct WrapperRewrite {
        int from, to; /* signal numbers; to 0: dropped */
} WrapperRewrite;

typedef struct WrapperOptions {
        char *const *argv;              /* NULL terminated, at least one; looked up in PATH */
        const WrapperRewrite *rewrites; /* the first match counts */
        unsigned n_rewrites;
        bool group;            /* -g: signals go to the command's process group */
        bool stop_timeout_set; /* --stop-timeout was given: then TERM starts it even while the command runs */
        uint64_t stop_timeout_us; /* from TERM to KILL */
} WrapperOptions;

/*
 * Runs the command to its end and the end of all its descendants. Returns the exit status: the command's own,
 * 128 + n for signal n, 127 not found, 126 found but not executable, 70 when it could not be started for
 * another reason. Makes the process a subreaper and leaves every signal blocked: call it once, then return
 * from main(). One line to the log says why it ended.
 */
int wrapper_run(const WrapperOptions *o);
