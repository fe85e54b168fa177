/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/headroom.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

static unsigned depth;
static bool raised;
/* One below the hard limit: no limit that anybody gives us, so a change from outside (prlimit(1)) is told
 * from ours. */
static struct rlimit before, ours;

void headroom_begin(void) {
        int saved = errno;

        if (depth++ == 0) {
                raised = getrlimit(RLIMIT_NOFILE, &before) == 0 && before.rlim_cur + 1 < before.rlim_max;
                ours = (struct rlimit){before.rlim_max - 1, before.rlim_max};
                if (raised)
                        raised = prlimit(0, RLIMIT_NOFILE, &ours, &before) == 0;
        }
        errno = saved;
}

void headroom_end(void) {
        int saved = errno;
        struct rlimit now;

        if (--depth == 0 && raised && prlimit(0, RLIMIT_NOFILE, &before, &now) == 0 &&
                (now.rlim_cur != ours.rlim_cur || now.rlim_max != ours.rlim_max))
                prlimit(0, RLIMIT_NOFILE, &now, NULL); /* somebody has given us another one meanwhile */
        errno = saved;
}
