/* SPDX-License-Identifier: Apache-2.0 */
#include "vdisk.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static VSegment *find(VDisk *d, uint64_t first) {
        for (size_t i = 0; i < d->n; i++)
                if (d->segments[i].first == first)
                        return &d->segments[i];
        return NULL;
}

static bool fails(VDisk *d) {
        return d->fail_at != 0 && ++d->ops >= d->fail_at;
}

static int v_create(void *user, uint64_t first, uint64_t bytes, const uint8_t header[SEGMENT_HEADER]) {
        VDisk *d = user;
        if (fails(d))
                return d->fail_errno;
        if (find(d, first) || d->n == VDISK_SEGMENTS)
                return -EEXIST;
        VSegment *s = &d->segments[d->n++];
        *s = (VSegment){first, bytes, calloc(1, bytes), calloc(1, bytes)};
        memcpy(s->seen, header, SEGMENT_HEADER);
        memcpy(s->durable, header, SEGMENT_HEADER);
        return 0;
}

static int v_write(void *user, uint64_t first, uint64_t offset, const void *p, size_t n) {
        VDisk *d = user;
        VSegment *s = find(d, first);
        if (!s || offset + n > s->bytes)
                return -ENOENT;
        if (fails(d)) {
                if (d->half)
                        memcpy(s->seen + offset, p, n / 2);
                return d->fail_errno;
        }
        memcpy(s->seen + offset, p, n);
        return 0;
}

static int v_sync(void *user, uint64_t first) {
        VDisk *d = user;
        VSegment *s = find(d, first);
        if (fails(d))
                return d->fail_errno;
        memcpy(s->durable, s->seen, s->bytes);
        return 0;
}

static int v_make_spare(void *user, uint64_t bytes) {
        VDisk *d = user;
        (void)bytes;
        if (fails(d))
                return d->fail_errno;
        d->spares++;
        return 0;
}

static int v_write_note(void *user, Str note) {
        VDisk *d = user;
        if (fails(d))
                return d->fail_errno;
        str_copy(d->note, sizeof(d->note), note);
        return 0;
}

static int v_quarantine(void *user, uint64_t first, uint64_t offset, uint64_t n) {
        VDisk *d = user;
        VSegment *s = find(d, first);
        d->quarantined++;
        d->quarantined_bytes += n;
        memset(s->seen + offset, 0, n);
        memset(s->durable + offset, 0, n);
        return 0;
}

static int by_first(const void *a, const void *b) {
        const LogSegment *x = a, *y = b;
        return x->first < y->first ? -1 : x->first > y->first;
}

static int v_list(void *user, LogSegment **ret, size_t *n) {
        VDisk *d = user;
        *ret = calloc(d->n + 1, sizeof(**ret));
        for (size_t i = 0; i < d->n; i++)
                (*ret)[i] = (LogSegment){d->segments[i].first, d->segments[i].bytes};
        qsort(*ret, d->n, sizeof(**ret), by_first);
        *n = d->n;
        return 0;
}

static int64_t v_read(void *user, uint64_t first, uint64_t offset, void *p, size_t n) {
        VSegment *s = find(user, first);
        if (!s)
                return -ENOENT;
        if (offset >= s->bytes)
                return 0;
        if (n > s->bytes - offset)
                n = (size_t)(s->bytes - offset);
        memcpy(p, s->seen + offset, n);
        return (int64_t)n;
}

static int64_t v_note(void *user, char *out, size_t cap) {
        VDisk *d = user;
        size_t n = strlen(d->note);
        if (n > cap)
                return -EMSGSIZE;
        memcpy(out, d->note, n);
        return (int64_t)n;
}

LedgerStorage vdisk_storage(VDisk *d) {
        return (LedgerStorage){d, v_create, v_write, v_sync, v_make_spare, v_write_note, v_quarantine};
}

LogSource vdisk_source(VDisk *d) {
        return (LogSource){d, v_list, v_read, v_note};
}

void vdisk_crash(VDisk *d, uint32_t seed) {
        uint32_t x = seed | 1;
        for (size_t i = 0; i < d->n; i++) {
                VSegment *s = &d->segments[i];
                for (uint64_t at = 0; at < s->bytes; at += VDISK_SECTOR) {
                        size_t n = s->bytes - at < VDISK_SECTOR ? (size_t)(s->bytes - at) : VDISK_SECTOR;
                        if (memcmp(s->seen + at, s->durable + at, n) == 0)
                                continue;
                        x ^= x << 13;
                        x ^= x >> 17;
                        x ^= x << 5;
                        if (seed == UINT32_MAX || (seed != 0 && (x >> 7 & 1)))
                                memcpy(s->durable + at, s->seen + at, n);
                }
                memcpy(s->seen, s->durable, s->bytes);
        }
        d->fail_at = d->ops = 0;
}

void vdisk_done(VDisk *d) {
        for (size_t i = 0; i < d->n; i++) {
                free(d->segments[i].seen);
                free(d->segments[i].durable);
        }
        memset(d, 0, sizeof(*d));
}

VDisk vdisk_copy(const VDisk *d) {
        VDisk c = *d;
        for (size_t i = 0; i < d->n; i++) {
                VSegment *s = &c.segments[i];
                s->seen = malloc(s->bytes);
                s->durable = malloc(s->bytes);
                memcpy(s->seen, d->segments[i].seen, s->bytes);
                memcpy(s->durable, d->segments[i].durable, s->bytes);
        }
        return c;
}
