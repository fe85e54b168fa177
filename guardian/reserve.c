/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/reserve.h"
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static _Alignas(max_align_t) unsigned char reserve[RESERVE_BYTES];
static bool taken;

static void *from_reserve(void *p, size_t n) {
        if (taken || n == 0 || n > sizeof(reserve))
                return NULL;
        if (p) {
                size_t old = malloc_usable_size(p);
                memcpy(reserve, p, old < n ? old : n);
                free(p);
        }
        taken = true;
        return reserve;
}

static void *out_of_reserve(size_t n) {
        if (n > 0 && n <= sizeof(reserve))
                return reserve;
        void *q = n ? malloc(n) : NULL;
        if (q)
                memcpy(q, reserve, sizeof(reserve));
        if (q || n == 0)
                taken = false;
        return q;
}

void *reserve_realloc(void *p, size_t n) {
        if (p == reserve)
                return out_of_reserve(n);
        void *q = realloc(p, n);
        return q ? q : from_reserve(p, n);
}

void reserve_free(void *p) {
        if (p == reserve)
                taken = false;
        else
                free(p);
}

void reserve_install(void) {
        uv_replace_allocator(malloc, reserve_realloc, calloc, reserve_free);
}
