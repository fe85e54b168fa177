/* SPDX-License-Identifier: Apache-2.0 */
#include "common/roles-blob.h"
#include "common/sha256.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t magic[8] = {'G', 'R', 'D', 'R', 'O', 'L', 'E', 'S'};
enum { HEAD = 16, ROW = 8, SUM = 32, VERSION = 1 };

static uint32_t read_u32(const uint8_t *p) {
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void write_u32(uint8_t *p, uint32_t v) {
        for (unsigned i = 0; i < 4; i++)
                p[i] = (uint8_t)(v >> (8 * i));
}

static int order(const RolesRow *a, bool gid, uint32_t id) {
        if (a->gid != gid)
                return a->gid ? 1 : -1;
        return a->id < id ? -1 : a->id > id;
}

static int parse_row(const uint8_t *p, const RolesRow *before, RolesRow *ret) {
        *ret = (RolesRow){.gid = p[0] == 1, .role = (Role)p[1], .id = read_u32(p + 4)};
        if (p[0] > 1 || p[1] <= ROLE_NOBODY || p[1] > ROLE_ADMIN || p[2] || p[3])
                return -EBADMSG;
        return before && order(before, ret->gid, ret->id) >= 0 ? -EBADMSG : 0;
}

int roles_blob_parse(const void *data, size_t n, RolesBlob *ret) {
        const uint8_t *p = data;
        uint8_t sum[SUM];
        *ret = (RolesBlob){0};
        if (n < HEAD + SUM || memcmp(p, magic, sizeof(magic)) != 0 || read_u32(p + 8) != VERSION)
                return -EBADMSG;
        uint32_t rows = read_u32(p + 12);
        if (rows > ROLES_BLOB_MAX || n != HEAD + (size_t)rows * ROW + SUM)
                return -EBADMSG;
        sha256(p, n - SUM, sum);
        if (memcmp(sum, p + n - SUM, SUM) != 0)
                return -EBADMSG;
        ret->rows = calloc(rows ? rows : 1, sizeof(RolesRow));
        if (!ret->rows)
                return -ENOMEM;
        for (; ret->n < rows; ret->n++) {
                const RolesRow *before = ret->n ? &ret->rows[ret->n - 1] : NULL;
                if (parse_row(p + HEAD + (size_t)ret->n * ROW, before, &ret->rows[ret->n]) < 0) {
                        roles_blob_done(ret);
                        return -EBADMSG;
                }
        }
        return 0;
}

/* Where the row is, or would be. */
static unsigned find(const RolesBlob *b, bool gid, uint32_t id) {
        unsigned low = 0, high = b->n;
        while (low < high) {
                unsigned mid = low + (high - low) / 2;
                if (order(&b->rows[mid], gid, id) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

static Role role_of(const RolesBlob *b, bool gid, uint64_t id) {
        if (id > UINT32_MAX)
                return ROLE_NOBODY;
        unsigned at = find(b, gid, (uint32_t)id);
        return at < b->n && order(&b->rows[at], gid, (uint32_t)id) == 0 ? b->rows[at].role : ROLE_NOBODY;
}

Role roles_blob_lookup(const RolesBlob *b, uint64_t uid, const gid_t *gids, unsigned n_gids) {
        Role best = role_of(b, false, uid);
        for (unsigned i = 0; i < n_gids; i++) {
                Role r = role_of(b, true, gids[i]);
                if (r > best)
                        best = r;
        }
        return best;
}

int roles_blob_add(RolesBlob *b, bool gid, uint32_t id, Role role) {
        unsigned at = find(b, gid, id);
        if (at < b->n && order(&b->rows[at], gid, id) == 0) {
                if (role > b->rows[at].role)
                        b->rows[at].role = role;
                return 0;
        }
        if (b->n == ROLES_BLOB_MAX)
                return -E2BIG;
        RolesRow *more = reallocarray(b->rows, b->n + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        b->rows = more;
        memmove(&more[at + 1], &more[at], (b->n - at) * sizeof(*more));
        more[at] = (RolesRow){.gid = gid, .role = role, .id = id};
        b->n++;
        return 0;
}

int roles_blob_write(const RolesBlob *b, Buf *out) {
        uint8_t head[HEAD], row[ROW], sum[SUM];
        size_t start = out->len;
        memcpy(head, magic, sizeof(magic));
        write_u32(head + 8, VERSION);
        write_u32(head + 12, b->n);
        int r = buf_append(out, head, sizeof(head));
        for (unsigned i = 0; i < b->n && r == 0; i++) {
                row[0] = b->rows[i].gid;
                row[1] = (uint8_t)b->rows[i].role;
                row[2] = row[3] = 0;
                write_u32(row + 4, b->rows[i].id);
                r = buf_append(out, row, sizeof(row));
        }
        if (r < 0)
                return r;
        sha256(out->data + start, out->len - start, sum);
        return buf_append(out, sum, sizeof(sum));
}

void roles_blob_done(RolesBlob *b) {
        free(b->rows);
        *b = (RolesBlob){0};
}
