/* SPDX-License-Identifier: Apache-2.0 */
/* The log of the core and of the engine. What anybody's event can cause is said of each thing once in a
 * while. */
#include "chunks/mesh/mesh.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include <string.h>

static LogLimit *said_limit(Mesh *m, const char *message, const char *about) {
        MeshSaid *oldest = m->said;

        for (unsigned i = 0; i < ELEMENTSOF(m->said); i++) {
                MeshSaid *s = &m->said[i];

                if (s->message == message && strncmp(s->about, about, sizeof(s->about) - 1) == 0)
                        return &s->limit;
                if (s->limit.next_us < oldest->limit.next_us)
                        oldest = s;
        }
        /* A place is kept for its time, or more things than places, said by turns, would all be written. */
        if (oldest->limit.next_us > clock_boot_us())
                return &m->others_limit;
        *oldest = (MeshSaid){.message = message};
        str_copy(oldest->about, sizeof(oldest->about), str_of(about));
        return &oldest->limit;
}

void mesh_say(void *user, LogLevel level, const char *message, const char *unit, const char *detail) {
        Mesh *m = user;
        uint64_t held = 0;

        if (level <= LOG_LEVEL_WARNING && !log_limit(said_limit(m, message, unit ? unit : ""), &held))
                return;
        LOG_AT(level, message, LOG_STR("about", unit ? unit : "mesh"),
                LOG_STR("detail", detail ? detail : ""), LOG_HELD(held));
}
