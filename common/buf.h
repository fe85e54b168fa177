/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bounded byte buffer: grows by doubling to `max` and no further; a full buffer is an error, never a truncation. */
#include <stddef.h>
#include <stdint.h>

typedef struct Buf {
        uint8_t *data;
        size_t len, cap, max;
} Buf;

#define BUF_INIT(limit) ((Buf){.max = (limit)})
int buf_reserve(Buf *b, size_t more);                    /* -ENOBUFS past max, -ENOMEM */
int buf_append(Buf *b, const void *p, size_t n);         /* likewise; nothing appended on error */
int buf_appendf(Buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(Buf *b, size_t n);                      /* drops n bytes at the front, n <= len */
void buf_shrink(Buf *b);                                 /* frees the memory of an empty buffer */
void buf_done(Buf *b);
