/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading a log: a seam with two implementations (a directory here; the simulator's virtual disk), and a
 * cursor that walks frames. The cursor checks form and crc, not the chain: verify.h and recover.h do. One
 * segment is open at a time; memory is one window of RECORD_MAX + 256 KiB, whatever the log's size.
 */
#include "chunks/ledger/record.h"
#include "chunks/ledger/segment.h"

typedef struct LogSegment {
        uint64_t first;
        uint64_t bytes; /* of the file as it is */
} LogSegment;

typedef struct LogSource {
        void *user;
        /* Segments by first index, ascending; *ret is malloc'd. */
        int (*list)(void *user, LogSegment **ret, size_t *n);
        /* Reads n bytes at an offset of a segment; bytes read (fewer only at its end), or -errno. */
        int64_t (*read)(void *user, uint64_t first, uint64_t offset, void *p, size_t n);
        /* The note file: its length, 0 when there is none, or -errno. */
        int64_t (*note)(void *user, char *out, size_t cap);
} LogSource;

typedef struct LogDir {
        int fd;         /* of the directory */
        int segment_fd; /* of the segment read last */
        uint64_t segment_first;
} LogDir;
/* A directory, read only; blocking. 0 or -errno. src->user is d, which must stay where it is. */
int log_dir_open(LogDir *d, LogSource *src, const char *path);
void log_dir_close(LogDir *d);

typedef struct LogCursor {
        const LogSource *src;
        LogSegment *segments; /* owned */
        size_t n, at;         /* at: the segment it stands in */
        uint64_t offset;      /* of the next record in it */
        uint64_t next;        /* index of the next record */
        uint8_t *window;      /* owned */
        uint64_t window_at;   /* offset of window[0] in the segment */
        size_t window_len;
        const uint8_t *frame; /* of the record that log_cursor_next() gave */
        uint64_t frame_offset;
} LogCursor;
int log_cursor_init(LogCursor *c, const LogSource *src); /* at record 0; -ENOENT when there is no segment */
void log_cursor_done(LogCursor *c);
/* Stands before record `index`: finds its segment by name and walks. 0, RECORD_END when the log ends before,
 * -EBADMSG, -errno. */
int log_cursor_seek(LogCursor *c, uint64_t index);
/* Continue where an earlier cursor stood (segment, offset, index of the record there). -ENOENT: no such
 * segment. */
int log_cursor_resume(LogCursor *c, uint64_t segment_first, uint64_t offset, uint64_t index);
/*
 * The next record; enters the next segment at the end of one (its name must be the next index). 0, RECORD_END
 * at the end of the log, -EBADMSG with *why for a bad frame (c->at and c->offset say where), -errno. leaf may
 * be NULL.
 */
int log_cursor_next(LogCursor *c, Record *r, uint8_t leaf[32], const char **why);

/* What stands behind the place where records stopped. */
typedef struct LogTail {
        uint64_t used;      /* bytes up to the last one that is not zero; 0: clean */
        uint8_t sha256[32]; /* of those */
        bool later;         /* a valid record of a later group stands in it: record `bad` was synced once */
        uint64_t later_index;
} LogTail;
/* Reads the rest of the cursor's segment (at most 64 MiB in memory). bad: index of the record that is not
 * there. 0 or -errno. */
int log_cursor_tail(const LogCursor *c, uint64_t bad, LogTail *ret);
