/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back on the control socket, byte for byte, as guardianctl reads it: to one document, to a stream
 * of lines, and as the answer to `connect`. It ends without a hang and shows only what came whole. */
#include "guardian/ctl/show.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_answer(Ctl *c, const CtlAnswer *a, void *user) {
        size_t *seen = user;
        (void)c;
        if (strlen(a->code) > 64)
                abort();
        for (size_t i = 0; i < a->body.n; i++)
                *seen += (unsigned char)a->body.p[i];
        if (a->status == 0)
                show_pairs(c, a->body);
}

/* A stream that holds the input and then ends. */
static Client stream(const uint8_t *data, size_t size, int *other) {
        int fds[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
                abort();
        if (size && send(fds[1], data, size, MSG_DONTWAIT) < 0)
                abort();
        shutdown(fds[1], SHUT_WR);
        *other = fds[1];
        return (Client){
                .fd = fds[0], .in = BUF_INIT(4 * FRAME_MAX), .deadline_us = UINT64_MAX, .pending_fd = -1};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const units[] = {"web"};
        static FILE *null;
        size_t seen = 0;
        int other, status;
        if (!null) {
                null = freopen("/dev/null", "w", stdout);
                if (!null)
                        abort();
        }
        if (size < 1 || size > 100 * 1024)
                return 0;
        Client c = stream(data + 1, size - 1, &other);
        if (data[0] & 1) {
                Client chunk;
                if (client_connect_chunk(&c, "ledger", &chunk, &status) == 0)
                        abort(); /* no descriptor came */
        } else {
                Ctl ctl = {.verb = "status"};
                CtlCall call = {.verb = "status",
                        .units = units,
                        .n_units = 1,
                        .on = on_answer,
                        .user = &seen,
                        .silent = true,
                        .stream = data[0] & 2,
                        .stop_at_first = data[0] & 4};
                (void)ctl_call(&ctl, &c, &call);
        }
        client_close(&c);
        close(other);
        return 0;
}
