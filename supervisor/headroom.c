/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/headroom.h"
#include <errno.h>
#include <stdbool.h>
#include <sys/resource.h>

static unsigned depth;
static bool raised;
static struct rlimit before;

void headroom_begin(void) {
        int saved = errno;

        if (depth++ == 0) {
                raised = getrlimit(RLIMIT_NOFILE, &before) == 0 && before.rlim_cur < before.rlim_max;
                if (raised)
                        raised = setrlimit(RLIMIT_NOFILE,
                                         &(struct rlimit){before.rlim_max, before.rlim_max}) == 0;
        }
        errno = saved;
}

void headroom_end(void) {
        int saved = errno;

        if (--depth == 0 && raised)
                setrlimit(RLIMIT_NOFILE, &before);
        errno = saved;
}
