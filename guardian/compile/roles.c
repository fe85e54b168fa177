/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/compile/roles.h"
#include "common/cleanup.h"
#include <errno.h>
#include <pwd.h>
#include <string.h>

typedef struct Reader {
        RolesBlob *blob;
        Role role; /* of the list being read */
        const char *passwd;
} Reader;

static int add(const YamlRead *r, const YamlNode *n, bool gid, uint64_t id) {
        Reader *rd = r->user;
        int rc = roles_blob_add(rd->blob, gid, (uint32_t)id, rd->role);
        if (rc == -E2BIG)
                yaml_problem(r->problems, r->file, n, "too-big", NULL, "more than %d people and groups",
                        ROLES_BLOB_MAX);
        return rc == -E2BIG ? -EINVAL : rc;
}

static int read_id(const YamlRead *r, const YamlNode *n, bool gid) {
        uint64_t id;
        int rc = yaml_u64(r->file, n, r->problems, 0, UINT32_MAX - 1, &id);
        return rc < 0 ? rc : add(r, n, gid, id);
}
static int read_uid(const YamlRead *r, const YamlNode *n, void *user) {
        (void)user;
        return read_id(r, n, false);
}
static int read_gid(const YamlRead *r, const YamlNode *n, void *user) {
        (void)user;
        return read_id(r, n, true);
}

/* From the file alone: a name service may block, and is not there at boot. */
static int read_user(const YamlRead *r, const YamlNode *n, void *user) {
        const Reader *rd = r->user;
        const char *name;
        (void)user;
        if (yaml_str(r->file, n, r->problems, &name) < 0)
                return -EINVAL;
        auto_fclose FILE *f = fopen(rd->passwd ? rd->passwd : "/etc/passwd", "re");
        for (struct passwd *e = f ? fgetpwent(f) : NULL; e; e = fgetpwent(f))
                if (strcmp(e->pw_name, name) == 0)
                        return add(r, n, false, e->pw_uid);
        yaml_problem(r->problems, r->file, n, "unknown-user", "add the user, or name the uid under 'uids'",
                "no user '%.60s' in /etc/passwd", name);
        return -EINVAL;
}

static int read_uids(const YamlRead *r, const YamlNode *n, void *out) {
        return yaml_read_list(r, n, read_uid, out);
}
static int read_gids(const YamlRead *r, const YamlNode *n, void *out) {
        return yaml_read_list(r, n, read_gid, out);
}
static int read_users(const YamlRead *r, const YamlNode *n, void *out) {
        return yaml_read_list(r, n, read_user, out);
}

static const YamlField people_table[] = {
        {"uids", YAML_FIELD_CUSTOM, 0, .custom = read_uids},
        {"gids", YAML_FIELD_CUSTOM, 0, .custom = read_gids},
        {"users", YAML_FIELD_CUSTOM, 0, .custom = read_users},
};

static int read_roles(const YamlRead *r, const YamlNode *n, void *out) {
        static const char *const names[] = {"observer", "operator", "admin"};
        Reader *rd = r->user;
        char hint[200];
        int bad = 0;
        if (n->kind != YAML_KIND_MAP) {
                yaml_problem(r->problems, r->file, n, "bad-value", "roles: {operator: {users: [nina]}}",
                        "'roles' is a map of roles to people");
                return -EINVAL;
        }
        for (size_t i = 0; i < n->n; i++) {
                const YamlNode *one = n->items[i];
                int role = role_from_string(str_of(one->key));
                if (role <= (int)ROLE_NOBODY) {
                        yaml_problem_key(r->problems, r->file, one, "unknown-key",
                                names_hint(one->key, names, ELEMENTSOF(names), hint, sizeof(hint)),
                                "no such role '%.40s'", one->key);
                        bad = -EINVAL;
                        continue;
                }
                rd->role = (Role)role;
                int rc = yaml_read_map(r, one, people_table, ELEMENTSOF(people_table), out);
                if (rc < 0)
                        bad = rc;
        }
        return bad;
}

static int read_api(const YamlRead *r, const YamlNode *n, void *out) {
        (void)out;
        return yaml_version(r, n, "guardian/policy.v1");
}

int roles_from_yaml(const char *file, const YamlNode *root, const char *passwd, Problems *p, RolesBlob *ret) {
        static const YamlField table[] = {
                {"apiVersion", YAML_FIELD_CUSTOM, 0, .required = true, .custom = read_api},
                {"roles", YAML_FIELD_CUSTOM, 0, .required = true, .custom = read_roles},
        };
        Reader rd = {.blob = ret, .passwd = passwd};
        YamlRead r = {file, p, &rd};
        *ret = (RolesBlob){0};
        int rc = yaml_read_map(&r, root, table, ELEMENTSOF(table), ret);
        if (rc < 0)
                roles_blob_done(ret);
        return rc;
}

int roles_from_dirs(const char *const *dirs, unsigned n, Problems *p, RolesBlob *ret) {
        *ret = (RolesBlob){0};
        for (unsigned i = n; i-- > 0;) {
                char path[1400];
                auto_yaml YamlNode *root = NULL;
                if ((size_t)snprintf(path, sizeof(path), "%s/roles.yaml", dirs[i]) >= sizeof(path))
                        return -ENAMETOOLONG;
                if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
                        continue;
                int rc = yaml_load(path, p, &root);
                return rc < 0 ? rc : roles_from_yaml(path, root, NULL, p, ret);
        }
        return 0;
}
