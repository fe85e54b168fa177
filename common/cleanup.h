/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Cleanup attributes for plain memory, descriptors and streams. Not for anything that embeds a live
 * uv handle: those have an init and an asynchronous close.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <dirent.h>

static inline void cleanup_freep(void *p) {
        free(*(void **)p);
}
static inline void cleanup_closep(int *fd) {
        if (*fd >= 0)
                close(*fd);
}
static inline void cleanup_fclosep(FILE **f) {
        if (*f)
                fclose(*f);
}
static inline void cleanup_closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}
#define auto_free     __attribute__((cleanup(cleanup_freep)))
#define auto_close    __attribute__((cleanup(cleanup_closep)))
#define auto_fclose   __attribute__((cleanup(cleanup_fclosep)))
#define auto_closedir __attribute__((cleanup(cleanup_closedirp)))

/* Takes a pointer or descriptor out of a variable so that its cleanup does nothing. */
#define TAKE(p)                                                                                              \
        ({                                                                                                   \
                __typeof__(p) take_ = (p);                                                                   \
                (p) = NULL;                                                                                  \
                take_;                                                                                       \
        })
#define TAKE_FD(fd)                                                                                          \
        ({                                                                                                   \
                int take_ = (fd);                                                                            \
                (fd) = -1;                                                                                   \
                take_;                                                                                       \
        })
#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
