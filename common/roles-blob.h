/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * roles.yaml as plain data: guardian-compile writes it, Guardian, which reads no YAML, looks people up in it.
 *   "GRDROLES" | u32 version 1 | u32 count | count x { u8 kind (0 uid, 1 gid), u8 role, u16 0, u32 id } |
 * SHA-256 of all before little endian, rows sorted by (kind, id), each at most once.
 */
#include "common/buf.h"
#include "common/vocab.h"
#include <sys/types.h>

enum { ROLES_BLOB_MAX = 4096 }; /* rows */
typedef struct RolesRow {
        bool gid;
        Role role;
        uint32_t id;
} RolesRow;
typedef struct RolesBlob {
        RolesRow *rows; /* owned: roles_blob_done() */
        unsigned n;
} RolesBlob;

/* 0, -EBADMSG (magic, version, length, order, an unknown role, checksum), -ENOMEM. *ret is empty on failure.
 */
int roles_blob_parse(const void *p, size_t n, RolesBlob *ret);
/* The highest role of the user and its groups; ROLE_NOBODY when none is named. */
Role roles_blob_lookup(const RolesBlob *b, uint64_t uid, const gid_t *gids, unsigned n_gids);
/* Adds one row, or raises the role of the one that is there. 0, -ENOMEM, -E2BIG. */
int roles_blob_add(RolesBlob *b, bool gid, uint32_t id, Role role);
int roles_blob_write(const RolesBlob *b, Buf *out);
void roles_blob_done(RolesBlob *b);
