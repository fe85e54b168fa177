/* SPDX-License-Identifier: Apache-2.0 */
/* Links a library that guardian may not: libs.py --self-test must find it. */
#include <jansson.h>

int main(void) {
        json_t *v = json_null();

        return json_is_null(v) ? 0 : 1;
}
