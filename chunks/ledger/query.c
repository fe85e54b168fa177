/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/query.h"
#include <errno.h>
#include <string.h>

static bool fits(const char *want, Str have) {
        return !want[0] || str_eq(have, want);
}

bool log_filter_match(const LogFilter *f, const Record *r) {
        return (f->kinds == 0 || (f->kinds >> r->kind & 1)) && r->unix_ns >= f->since_ns &&
               r->unix_ns < f->until_ns &&
               (!f->has_request_id || (r->has_request_id && memcmp(f->request_id, r->request_id, 16) == 0)) &&
               fits(f->writer, r->meta[META_WRITER]) && fits(f->actor, r->meta[META_ACTOR]) &&
               fits(f->action, r->meta[META_ACTION]) && fits(f->resource, r->meta[META_RESOURCE]) &&
               fits(f->correlation_id, r->meta[META_CORRELATION_ID]);
}

static int keep(LogPage *page, const LogCursor *c) {
        return buf_append(&page->frames, c->frame, (size_t)(c->offset - c->frame_offset));
}

static int read_listed(LogPage *page, LogCursor *c) {
        size_t n = 0;
        for (size_t i = 0; i < page->n_indexes; i++) {
                Record r;
                const char *why;
                if (page->indexes[i] < page->from || page->indexes[i] >= page->end)
                        continue;
                if (n++ == QUERY_PAGE_RECORDS) {
                        page->next = page->indexes[i];
                        page->more = true;
                        return 0;
                }
                int e = log_cursor_seek(c, page->indexes[i]);
                if (e == 0)
                        e = log_cursor_next(c, &r, NULL, &why);
                if (e == 0 && log_filter_match(&page->filter, &r))
                        e = keep(page, c);
                if (e != 0)
                        return e < 0 ? e : -EBADMSG;
        }
        page->next = page->end;
        return 0;
}

static int read_range(LogPage *page, LogCursor *c) {
        uint64_t limit = page->limit && page->limit < QUERY_PAGE_RECORDS ? page->limit : QUERY_PAGE_RECORDS;
        uint64_t n = 0, scanned = 0;
        while (c->next < page->end && n < limit && page->frames.len < QUERY_PAGE_BYTES &&
                scanned < QUERY_SCAN_BYTES) {
                Record r;
                const char *why;
                int e = log_cursor_next(c, &r, NULL, &why);
                if (e != 0)
                        return e < 0 ? e : -EBADMSG;
                scanned += c->offset - c->frame_offset;
                if (!log_filter_match(&page->filter, &r))
                        continue;
                e = keep(page, c);
                if (e < 0)
                        return e;
                n++;
        }
        page->next = c->next;
        page->more = c->next < page->end;
        page->has_place = true;
        page->place_segment = c->segments[c->at].first;
        page->place_offset = c->offset;
        return 0;
}

int log_page_read(const LogSource *src, LogPage *page) {
        LogCursor c;
        page->frames = BUF_INIT(QUERY_PAGE_BYTES + QUERY_PAGE_RECORDS * (size_t)RECORD_MAX);
        page->more = false;
        page->next = page->from;
        if (page->from >= page->end)
                return 0;
        int r = log_cursor_init(&c, src);
        if (r < 0)
                return r;
        if (page->only)
                r = read_listed(page, &c);
        else {
                r = page->has_place
                            ? log_cursor_resume(&c, page->place_segment, page->place_offset, page->from)
                            : log_cursor_seek(&c, page->from);
                if (r == 0)
                        r = read_range(page, &c);
        }
        log_cursor_done(&c);
        if (r != 0)
                buf_done(&page->frames);
        return r > 0 ? -EBADMSG : r;
}
