/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* lib/guardian/manifest: "sha256-hex  name" a line, as sha256sum(1) prints it; made at build time, read once
 * at start. */
#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_ENTRIES_MAX 256
typedef struct ManifestEntry {
        char name[65]; /* of the program, without directories */
        uint8_t hash[32];
} ManifestEntry;
typedef struct Manifest {
        ManifestEntry *entries; /* owned */
        size_t n;
} Manifest;

/* Pure: parses text; every bad line becomes a problem with its number. -EINVAL when there was one. `file` is
 * for messages. */
int manifest_parse(Manifest *m, const char *text, size_t n, const char *file, Problems *problems);
/* Reads at most 64 KiB. -ENOENT without the file, -EFBIG, -EINVAL, errno. */
int manifest_load(Manifest *m, const char *path, Problems *problems);
const ManifestEntry *manifest_find(const Manifest *m, const char *name);
/* Hashes an opened file against its entry: 0 equal, 1 differs, 2 no entry of that name, negative errno. */
int manifest_check(const Manifest *m, const char *name, int fd);
void manifest_done(Manifest *m);
