/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A disk in memory for the ledger: what is written is seen at once, but a crash keeps only what was synced
 * and any subset of the 512-byte sectors written since. Operations can be made to fail. */
#include "chunks/ledger/ledger-core.h"

enum { VDISK_SEGMENTS = 64, VDISK_SECTOR = 512 };
typedef struct VSegment {
        uint64_t first, bytes;
        uint8_t *seen, *durable;
} VSegment;
typedef struct VDisk {
        VSegment segments[VDISK_SEGMENTS];
        size_t n;
        char note[NOTE_MAX];
        unsigned ops, fail_at; /* the fail_at-th operation (from 1) fails, and all after it; 0: none */
        int fail_errno;
        bool half; /* the failing write still writes its first half */
        unsigned spares, quarantined;
        uint64_t quarantined_bytes;
} VDisk;

void vdisk_done(VDisk *d);
LedgerStorage vdisk_storage(VDisk *d);
LogSource vdisk_source(VDisk *d);
/* Power is cut: seed chooses which unsynced sectors survive (0: none, UINT32_MAX: all). */
void vdisk_crash(VDisk *d, uint32_t seed);
VDisk vdisk_copy(const VDisk *d);
