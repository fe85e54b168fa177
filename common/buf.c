/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int buf_reserve(Buf *b, size_t more) {
        size_t cap;
        uint8_t *data;

        if (more > b->max || b->len > b->max - more)
                return -ENOBUFS;
        if (b->len + more <= b->cap)
                return 0;
        cap = b->cap ? b->cap : 256;
        while (cap < b->len + more)
                cap *= 2;
        if (cap > b->max)
                cap = b->max;
        data = realloc(b->data, cap);
        if (!data)
                return -ENOMEM;
        b->data = data;
        b->cap = cap;
        return 0;
}

int buf_append(Buf *b, const void *p, size_t n) {
        int r;

        if (n == 0)
                return 0;
        r = buf_reserve(b, n);
        if (r < 0)
                return r;
        memcpy(b->data + b->len, p, n);
        b->len += n;
        return 0;
}

int buf_appendf(Buf *b, const char *fmt, ...) {
        char small[256], *text = small;
        va_list ap;
        int n, r;

        va_start(ap, fmt);
        n = vsnprintf(small, sizeof(small), fmt, ap);
        va_end(ap);
        if (n < 0)
                return -EINVAL;
        if ((size_t)n >= sizeof(small)) {
                va_start(ap, fmt);
                n = vasprintf(&text, fmt, ap);
                va_end(ap);
                if (n < 0)
                        return -ENOMEM;
        }
        r = buf_append(b, text, (size_t)n);
        if (text != small)
                free(text);
        return r;
}

void buf_consume(Buf *b, size_t n) {
        if (n >= b->len) {
                b->len = 0;
                return;
        }
        if (n > 0)
                memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
}

void buf_shrink(Buf *b) {
        if (b->len > 0)
                return;
        free(b->data);
        b->data = NULL;
        b->cap = 0;
}

void buf_done(Buf *b) {
        b->len = 0;
        buf_shrink(b);
}
