/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading records by filter, a page at a time: at most 64 records, 128 KiB, 4 MiB of log looked at, so that
 * no page takes long however rare a match is. Blocking (disk); the ledger runs it on a work thread,
 * guardianctl offline.
 */
#include "chunks/ledger/log-reader.h"
#include "common/buf.h"

enum {
        QUERY_PAGE_RECORDS = 64,
        QUERY_PAGE_BYTES = 128 * 1024,
        QUERY_SCAN_BYTES = 4 * 1024 * 1024,
        QUERY_OPEN_MAX = 256
};

/* Everything that is set must fit; "" and the values named mean any. */
typedef struct LogFilter {
        uint64_t kinds; /* bit mask 1 << RecordKind, 0: any */
        char writer[129], actor[161], action[65], resource[161], correlation_id[81];
        bool has_request_id;
        uint8_t request_id[16];
        uint64_t since_ns, until_ns; /* inclusive, exclusive; 0, UINT64_MAX: any */
} LogFilter;
bool log_filter_match(const LogFilter *f, const Record *r);

typedef struct LogPage {
        LogFilter filter;
        uint64_t from, limit; /* limit: records, 0: the page's own */
        uint64_t end;         /* records at and above are not looked at (not durable) */
        bool only;            /* just the indexes listed, ascending: open intents */
        uint64_t indexes[QUERY_OPEN_MAX];
        size_t n_indexes;
        /* Where record `from` stands, if the caller knows; updated to where the page ended. */
        bool has_place;
        uint64_t place_segment, place_offset;
        /* Result: frames as on disk, in order; `next` is the first index not looked at. */
        Buf frames;
        uint64_t next;
        bool more; /* next < end: ask again from there */
} LogPage;
/* 0, -EBADMSG (a record cannot be read), -ENOENT (no log), -errno. Frames are the caller's to free
 * (buf_done). */
int log_page_read(const LogSource *src, LogPage *page);
