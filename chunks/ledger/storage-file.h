/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The ledger's directory: LOCK (flock, one writer), *.seg, spare (a zeroed segment to come), checkpoint (the
 * note), key (the seed, 0600), key.pub, quarantine/. Every call blocks: they run on work threads. One write
 * job at a time uses `segment_fd`; make_spare() touches nothing that it uses and may run beside.
 */
#include "chunks/ledger/ledger-core.h"

typedef struct StorageFile {
        int dir_fd, lock_fd, segment_fd;
        uint64_t segment;
} StorageFile;

/* Opens and locks; makes the directory if it is missing. -EWOULDBLOCK: another ledger holds it. */
int storage_file_open(StorageFile *s, const char *path, LedgerStorage *ret);
void storage_file_close(StorageFile *s);
/*
 * The seed of the signing key: from key_path (32 bytes, or 64 hex digits) when it isn't "", else from the
 * directory, where it is made when the log is new. -ENOKEY: there is a log but no key; -EINVAL: not a key
 * file; *made says that it is new.
 */
int storage_file_key(StorageFile *s, const char *key_path, bool log_exists, uint8_t seed[32], bool *made);
/* Writes key.pub. */
int storage_file_publish_key(StorageFile *s, const NoteKey *key);
