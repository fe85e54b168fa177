/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/reserve.h"
#include "tests/unit/guardian/starve.h"
#include "tests/unit/guardian/suite.h"
#include <stdlib.h>

START_TEST(test_the_heap_comes_first) {
        char *p = reserve_realloc(NULL, 100);
        ck_assert_ptr_nonnull(p);
        memset(p, 7, 100);
        p = reserve_realloc(p, 1000);
        ck_assert_int_eq(p[99], 7);
        reserve_free(p);
}
END_TEST

#ifdef SANITIZED
SUITE_MAIN("reserve", test_the_heap_comes_first)
#else
START_TEST(test_grows_without_memory_and_back) {
        char *p = reserve_realloc(NULL, 200000), *other;
        memset(p, 7, 200000);
        starve();
        ck_assert_ptr_null(realloc(p, 900000));
        char *q = reserve_realloc(p, 900000);
        ck_assert_ptr_nonnull(q);
        ck_assert_ptr_ne(q, p);
        ck_assert_int_eq(q[199999], 7);
        ck_assert_ptr_eq(reserve_realloc(q, RESERVE_BYTES), q); /* and within itself */
        ck_assert_ptr_null(reserve_realloc(NULL, 900000));      /* one at a time */
        ck_assert_ptr_null(reserve_realloc(q, RESERVE_BYTES + 1));
        feed();
        other = reserve_realloc(q, RESERVE_BYTES + 1); /* it has come back */
        ck_assert_ptr_ne(other, q);
        ck_assert_int_eq(other[199999], 7);
        reserve_free(other);
        starve();
        q = reserve_realloc(NULL, 900000);
        ck_assert_ptr_nonnull(q);
        reserve_free(q);
        ck_assert_ptr_eq(reserve_realloc(NULL, 900000), q); /* given back, taken again */
        reserve_free(q);
        feed();
}
END_TEST

SUITE_MAIN("reserve", test_the_heap_comes_first, test_grows_without_memory_and_back)
#endif
