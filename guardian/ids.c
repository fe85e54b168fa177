/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/ids.h"
#include "common/cleanup.h"
#include "common/str.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

int ids_user(const char *name, uid_t *uid, gid_t *gid) {
        uint64_t number = 0;
        bool numeric = parse_u64(name, &number) == 0 && number < UINT32_MAX;
        *gid = (gid_t)-1;
        auto_fclose FILE *f = fopen("/etc/passwd", "re");
        for (struct passwd *p = f ? fgetpwent(f) : NULL; p; p = fgetpwent(f)) {
                if (numeric ? p->pw_uid == (uid_t)number : strcmp(p->pw_name, name) == 0) {
                        *uid = p->pw_uid;
                        *gid = p->pw_gid;
                        return 0;
                }
        }
        if (!numeric)
                return -ENOENT;
        *uid = (uid_t)number;
        return 0;
}

int ids_group(const char *name, gid_t *gid) {
        uint64_t number;
        if (parse_u64(name, &number) == 0 && number < UINT32_MAX) {
                *gid = (gid_t)number;
                return 0;
        }
        auto_fclose FILE *f = fopen("/etc/group", "re");
        for (struct group *g = f ? fgetgrent(f) : NULL; g; g = fgetgrent(f)) {
                if (strcmp(g->gr_name, name) == 0) {
                        *gid = g->gr_gid;
                        return 0;
                }
        }
        return -ENOENT;
}

unsigned ids_groups_of(const char *user, gid_t gid, gid_t *out, unsigned cap) {
        unsigned n = 0;
        if (cap && gid != (gid_t)-1)
                out[n++] = gid;
        auto_fclose FILE *f = fopen("/etc/group", "re");
        for (struct group *g = f ? fgetgrent(f) : NULL; g && n < cap; g = fgetgrent(f))
                for (char **m = g->gr_mem; *m; m++)
                        if (strcmp(*m, user) == 0 && g->gr_gid != gid) {
                                out[n++] = g->gr_gid;
                                break;
                        }
        return n;
}
