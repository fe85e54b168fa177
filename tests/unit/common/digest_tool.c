/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the digest of the request in argv: REQUEST_ID ACTOR ACTION TARGET BOOT_ID PID START_TIME INCIDENT
 * [KEY=VALUE..]. */
#include "common/vocab.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
        ActionRequest r = {0};
        uint8_t digest[32];
        char hex[65];

        if (argc < 9 || argc > 9 + REQUEST_ARGS_MAX ||
                hex_decode(argv[1], strlen(argv[1]), r.request_id) < 0 ||
                hex_decode(argv[5], strlen(argv[5]), r.incarnation.boot_id) < 0)
                return 64;
        str_copy(r.actor, sizeof(r.actor), str_of(argv[2]));
        str_copy(r.action, sizeof(r.action), str_of(argv[3]));
        str_copy(r.target, sizeof(r.target), str_of(argv[4]));
        r.incarnation.pid = strtoull(argv[6], NULL, 10);
        r.incarnation.start_time = strtoull(argv[7], NULL, 10);
        r.incident = strtoull(argv[8], NULL, 10);
        for (int i = 9; i < argc; i++)
                str_copy(r.args[r.n_args++], sizeof(r.args[0]), str_of(argv[i]));
        if (request_sort_args(&r) < 0)
                return 1;
        request_digest(&r, digest);
        hex_encode(digest, sizeof(digest), hex);
        puts(hex);
        return 0;
}
