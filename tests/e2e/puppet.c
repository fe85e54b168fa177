/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunk with no mind of its own: it hands its control pipe (fd 3) to the test that listens at argv[1] and
 * then waits to be ended. The test speaks for it. It holds no other descriptor, so that what Guardian reads
 * back is as planned. With "--check" it is content: Guardian asks so of every core chunk before it boots.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {0};
        char name = 'p';
        struct iovec iov = {&name, 1};
        struct msghdr h = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        int s, fd = 3;

        if (argc < 2)
                return 64;
        if (strcmp(argv[1], "--check") == 0)
                return 0;
        s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (s < 0 || strlen(argv[1]) >= sizeof(a.sun_path))
                return 1;
        strcpy(a.sun_path, argv[1]);
        if (connect(s, (const struct sockaddr *)&a, sizeof(a)) < 0) {
                perror("puppet: connect");
                return 1;
        }
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
        if (sendmsg(s, &h, 0) != 1)
                return 1;
        close(s);
        for (;;)
                pause();
}
