/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Files that people write and programs read whole: policies, schemas. */
#include "common/error.h"

enum { TEXT_FILE_MAX = 1024 * 1024 };

/*
 * The text of a regular file, never of a FIFO or a device, of at most TEXT_FILE_MAX bytes; the caller frees
 * *ret, which is terminated. 0, -ENOMEM, or another -errno that is reported to p as "unreadable".
 */
int text_file_load(const char *path, Problems *p, char **ret, size_t *len);
