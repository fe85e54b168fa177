/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What tests without memory share; not where SANITIZED is defined. */
#include <check.h>
#include <sys/resource.h>

/* The sanitizer's allocator doesn't fail. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif

/* More than there may be: what asks for pages fails as it does without memory. */
static struct rlimit fed;

static inline void starve(void) {
        ck_assert_int_eq(getrlimit(RLIMIT_AS, &fed), 0);
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &(struct rlimit){1 << 20, fed.rlim_max}), 0);
}

static inline void feed(void) {
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &fed), 0);
}
