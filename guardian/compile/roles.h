/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* roles.yaml -> roles blob. A later directory's file replaces an earlier one's; none at all names nobody. */
#include "common/error.h"
#include "common/roles-blob.h"
#include "common/yaml/yaml-tree.h"

/* Reads the people of one parsed file. passwd (a path, or NULL for /etc/passwd) turns user names into
 * numbers. 0, -EINVAL after at least one error, -ENOMEM. */
int roles_from_yaml(const char *file, const YamlNode *root, const char *passwd, Problems *p, RolesBlob *ret);
int roles_from_dirs(const char *const *dirs, unsigned n, Problems *p, RolesBlob *ret);
