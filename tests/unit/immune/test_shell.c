/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real program between a Guardian, a ledger and a mesh of our own: from a workflow's call over records to
 * a proposal, its answer, and what a person is told. Nothing waits for time, only for messages.
 */
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/msg.h"
#include "common/vocab.h"
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char *program, *policies;

typedef struct Peer {
        int fd;
        uint32_t sequence;
        Buf in;
        size_t used; /* of the message handed out last */
} Peer;

typedef struct World {
        Peer guardian, ledger, mesh, person;
        pid_t pid;
        uint64_t records;
        bool asked;  /* the past was read */
        Msg propose; /* the last one, over `proposed`: it may come before the answer on another pipe */
        char proposed[FRAME_HEADER_MAX];
        char kinds[64]; /* a letter a record, in order */
} World;

static void send_fd(Peer *p, const MsgBuilder *b, const char *payload, int fd) {
        Buf out = BUF_INIT(FRAME_MAX);
        ck_assert_int_eq(msg_encode(b, str_of(payload), ++p->sequence, fd >= 0, &out), 0);
        union {
                char buf[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {0};
        struct iovec iov = {out.data, out.len};
        struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
        if (fd >= 0) {
                h.msg_control = control.buf;
                h.msg_controllen = sizeof(control.buf);
                struct cmsghdr *c = CMSG_FIRSTHDR(&h);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(c), &fd, sizeof(fd));
        }
        ck_assert_int_eq(sendmsg(p->fd, &h, MSG_NOSIGNAL), (ssize_t)out.len);
        buf_done(&out);
}

static void say(Peer *p, const MsgBuilder *b, const char *payload) {
        send_fd(p, b, payload, -1);
}

/* A whole message that is there already. */
static bool take(Peer *p, Msg *m) {
        char why[200];

        buf_consume(&p->in, p->used);
        p->used = 0;
        int r = msg_decode(p->in.data, p->in.len, m, &p->used, why, sizeof(why));
        ck_assert_msg(r >= 0, "%s", why);
        return r == 0;
}

/* False at the end of the stream. */
static bool fill(Peer *p) {
        uint8_t chunk[65536];
        ssize_t n = read(p->fd, chunk, sizeof(chunk));

        if (n > 0)
                ck_assert_int_eq(buf_append(&p->in, chunk, (size_t)n), 0);
        return n > 0;
}

static void result(Peer *p, uint64_t req) {
        MsgBuilder b;
        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_u64(&b, TAG_STATUS, 0);
        msg_put_cstr(&b, TAG_CODE, "ok");
        say(p, &b, NULL);
}

static void ledger_turn(World *w, const Msg *m) {
        uint8_t hash[32] = {7};
        MsgBuilder b;

        if (m->type == MSG_ATTACH) {
                msg_begin(&b, MSG_ATTACHED);
                msg_put_cstr(&b, TAG_CODE, "ok");
                msg_put_u64(&b, TAG_EPOCH, msg_u64(m, TAG_EPOCH, 0));
                msg_put_u64(&b, TAG_SEQ, 0);
                msg_put_u64(&b, TAG_SIZE, 100);
                msg_put_u64(&b, TAG_SIGNED_SIZE, 100);
                say(&w->ledger, &b, NULL);
        } else if (m->type == MSG_QUERY) {
                result(&w->ledger, msg_u64(m, TAG_REQ, 0));
                w->asked = true;
        } else {
                ck_assert_int_eq(m->type, MSG_APPEND);
                w->kinds[w->records++] = msg_u64(m, TAG_KIND, 0) == RECORD_ANOMALY ? 'a' : 'i';
                msg_begin(&b, MSG_APPEND_ACK);
                msg_put_u64(&b, TAG_SEQ, msg_u64(m, TAG_SEQ, 0));
                msg_put_u64(&b, TAG_INDEX, 99 + w->records);
                msg_put_bytes(&b, TAG_HASH, hash);
                msg_put_u64(&b, TAG_SIZE, 100 + w->records);
                msg_put_u64(&b, TAG_SIGNED_SIZE, 100 + w->records);
                say(&w->ledger, &b, NULL);
        }
}

static void units(World *w, uint64_t req) {
        uint8_t boot[16] = {1};
        MsgBuilder b;

        msg_begin(&b, MSG_UNIT_INFO);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_cstr(&b, TAG_UNIT, "web");
        msg_put_cstr(&b, TAG_STATE, "running");
        msg_put_u64(&b, TAG_PID, (uint64_t)w->pid);
        msg_put_u64(&b, TAG_START_TIME, 5);
        msg_put_bytes(&b, TAG_BOOT_ID, boot);
        msg_put_u64(&b, TAG_PRIORITY_MILLI, 3000);
        msg_put_bool(&b, TAG_CRITICAL, false);
        msg_put_bool(&b, TAG_CAN_FAIL, false);
        msg_put_cstr(&b, TAG_HEAL, "restart_service");
        say(&w->guardian, &b, NULL);
        result(&w->guardian, req);
}

/* Serves one message of anybody, waiting for it if need be; who sent it. */
static Peer *turn(World *w, Msg *m) {
        Peer *peers[] = {&w->guardian, &w->ledger, &w->mesh, &w->person};

        for (;;) {
                struct pollfd fds[ELEMENTSOF(peers)];
                for (unsigned i = 0; i < ELEMENTSOF(peers); i++) {
                        fds[i] = (struct pollfd){peers[i]->fd, POLLIN, 0};
                        if (peers[i]->fd < 0 || !take(peers[i], m))
                                continue;
                        if (peers[i] == &w->ledger) {
                                ledger_turn(w, m);
                        } else if (m->type == MSG_PROPOSE) {
                                w->propose = *m;
                                memcpy(w->proposed, m->header.p, m->header.n);
                                w->propose.header.p = w->proposed;
                        }
                        if (m->type == MSG_UNITS)
                                units(w, msg_u64(m, TAG_REQ, 0));
                        else if (m->type == MSG_SUBSCRIBE || m->type == MSG_PUBLISH)
                                result(peers[i], msg_u64(m, TAG_REQ, 0));
                        return peers[i];
                }
                ck_assert_int_gt(poll(fds, ELEMENTSOF(fds), 20000), 0);
                for (unsigned i = 0; i < ELEMENTSOF(fds); i++)
                        if (fds[i].revents)
                                ck_assert_msg(fill(peers[i]), "peer %u ended", i);
        }
}

static void until(World *w, const Peer *from, MsgType type, Msg *m) {
        for (unsigned turns = 0; turns < 1000; turns++)
                if (turn(w, m) == from && m->type == type)
                        return;
        ck_abort_msg("it never came");
}

static void link_to(World *w, Peer *p, const char *unit, const char *kind, const char *role) {
        int pair[2];
        MsgBuilder b;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        msg_begin(&b, MSG_LINK);
        msg_put_cstr(&b, TAG_UNIT, unit);
        msg_put_u64(&b, TAG_INSTANCE, 1);
        msg_put_u64(&b, TAG_EPOCH, 1);
        msg_put_cstr(&b, TAG_PEER_KIND, kind);
        msg_put_cstr(&b, TAG_ACTOR, unit);
        msg_put_bool(&b, TAG_VALIDATED, true);
        if (role)
                msg_put_cstr(&b, TAG_ROLE, role);
        send_fd(&w->guardian, &b, NULL, pair[1]);
        close(pair[1]);
        *p = (Peer){.fd = pair[0], .in = BUF_INIT(4 << 20)};
}

static void world_begin(World *w) {
        uint8_t secret[32] = {1}, boot[16] = {1};
        int pair[2];
        MsgBuilder b;

        *w = (World){.ledger.fd = -1, .mesh.fd = -1, .person.fd = -1};
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        w->pid = fork();
        if (w->pid == 0) {
                if (pair[1] == 3)
                        pair[1] = dup(3);
                dup2(pair[1], 3);
                execl(program, program, (char *)NULL);
                _exit(127);
        }
        close(pair[1]);
        w->guardian = (Peer){.fd = pair[0], .in = BUF_INIT(4 << 20)};
        msg_begin(&b, MSG_HELLO);
        msg_put_cstr(&b, TAG_UNIT, "immune");
        msg_put_u64(&b, TAG_INSTANCE, 1);
        msg_put_u64(&b, TAG_EPOCH, 1);
        msg_put_bytes(&b, TAG_SECRET, secret);
        msg_put_bytes(&b, TAG_BOOT_ID, boot);
        msg_put_cstr(&b, TAG_POLICY_DIR, policies);
        say(&w->guardian, &b, NULL);
}

static int world_end(World *w) {
        Peer *peers[] = {&w->guardian, &w->ledger, &w->mesh, &w->person};
        int status;

        for (unsigned i = 0; i < ELEMENTSOF(peers); i++) {
                if (peers[i]->fd >= 0)
                        close(peers[i]->fd);
                buf_done(&peers[i]->in);
        }
        ck_assert_int_eq(waitpid(w->pid, &status, 0), w->pid);
        return status;
}

START_TEST(from_a_workflow_to_a_proposal_and_a_person) {
        uint8_t nonce[32] = {9};
        MsgBuilder b;
        World w;
        Msg m;

        world_begin(&w);
        until(&w, &w.guardian, MSG_READY, &m);
        link_to(&w, &w.ledger, "ledger", "chunk", NULL);
        link_to(&w, &w.mesh, "mesh", "chunk", NULL);
        msg_begin(&b, MSG_CHALLENGE);
        msg_put_bytes(&b, TAG_NONCE, nonce);
        say(&w.guardian, &b, NULL);
        until(&w, &w.guardian, MSG_CHALLENGE_REPLY, &m);
        ck_assert(!msg_has(&m, TAG_ISSUE));
        ck_assert(msg_has(&m, TAG_HANDLER));

        while (!w.asked)
                turn(&w, &m);
        /* until the past has arrived it says so, and then it does */
        for (int tries = 0; tries < 1000; tries++) {
                msg_begin(&b, MSG_INVOKE);
                msg_put_u64(&b, TAG_REQ, 40);
                msg_put_cstr(&b, TAG_HANDLER, "avn_core.restart_kernel");
                msg_put_cstr(&b, TAG_TYPE, "system.critical_error");
                msg_put_cstr(&b, TAG_CORRELATION_ID, "cor_abcdef012345");
                say(&w.mesh, &b, "{\"component_id\":\"web\"}");
                until(&w, &w.mesh, MSG_RESULT, &m);
                ck_assert_uint_eq(msg_u64(&m, TAG_REQ, 0), 40);
                if (str_eq(msg_str(&m, TAG_CODE), "ok"))
                        break;
                ck_assert(str_eq(msg_str(&m, TAG_CODE), "E.UNAVAILABLE") ||
                          str_eq(msg_str(&m, TAG_CODE), "E.NOT_FOUND"));
        }
        ck_assert_msg(memmem(m.payload.p, m.payload.n, "\"incident\":\"inc_", 16) != NULL, "%.*s",
                (int)m.payload.n, m.payload.p);
        ck_assert_mem_eq(w.kinds, "ai", 2);
        while (w.propose.type != MSG_PROPOSE)
                turn(&w, &m);
        m = w.propose;
        ck_assert(str_eq(msg_str(&m, TAG_ACTION), "restart_service"));
        ck_assert(str_eq(msg_str(&m, TAG_TARGET), "web"));
        ck_assert(str_eq(msg_str(&m, TAG_CORRELATION_ID), "cor_abcdef012345"));
        ck_assert_uint_eq(msg_u64(&m, TAG_INCIDENT, 0), 101);
        ck_assert(str_eq(msg_arg(&m, TAG_CLAIM, "operator_condition"), "b:1"));
        msg_begin(&b, MSG_PROPOSAL_RESULT);
        msg_put_u64(&b, TAG_REQ, msg_u64(&m, TAG_REQ, 0));
        msg_put_cstr(&b, TAG_CODE, "approval_required");
        msg_put_bool(&b, TAG_MORE, true);
        msg_put_cstr(&b, TAG_APPROVAL_ID, "apr_77");
        say(&w.guardian, &b, NULL);

        link_to(&w, &w.person, "uid:1000", "person", "observer");
        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_VERB, "incident");
        msg_put_cstr(&b, TAG_ARG, "id=cor_abcdef012345");
        say(&w.person, &b, NULL);
        until(&w, &w.person, MSG_RESULT, &m);
        ck_assert_uint_eq(msg_u64(&m, TAG_STATUS, 99), 0);
        ck_assert_ptr_nonnull(memmem(m.payload.p, m.payload.n, "\"state\":\"waiting_approval\"", 26));
        ck_assert_ptr_nonnull(memmem(m.payload.p, m.payload.n, "\"approval_id\":\"apr_77\"", 22));
        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, 2);
        msg_put_cstr(&b, TAG_VERB, "incident");
        msg_put_cstr(&b, TAG_ARG, "id=inc_nobody");
        say(&w.person, &b, NULL);
        until(&w, &w.person, MSG_RESULT, &m);
        ck_assert_uint_eq(msg_u64(&m, TAG_STATUS, 99), 6);

        int status = world_end(&w);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}
END_TEST

START_TEST(who_has_no_role_is_told_nothing) {
        MsgBuilder b;
        World w;
        Msg m;

        world_begin(&w);
        until(&w, &w.guardian, MSG_READY, &m);
        link_to(&w, &w.person, "uid:9", "person", "nobody");
        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_VERB, "incidents");
        say(&w.person, &b, NULL);
        until(&w, &w.person, MSG_RESULT, &m);
        ck_assert_uint_eq(msg_u64(&m, TAG_STATUS, 99), 4);
        ck_assert_int_eq(world_end(&w), 0);
}
END_TEST

START_TEST(no_policies_no_start) {
        World w;
        Msg m;
        const char *good = policies;

        policies = "/nonexistent";
        world_begin(&w);
        policies = good;
        while (fill(&w.guardian))
                while (take(&w.guardian, &m))
                        ck_assert_int_ne(m.type, MSG_READY);
        int status = world_end(&w);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}
END_TEST

int main(int argc, char **argv) {
        if (argc < 3)
                return EXIT_FAILURE;
        policies = argv[1];
        program = argv[2];
        Suite *s = suite_create("immune-shell");
        TCase *tc = tcase_create("all");
        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, from_a_workflow_to_a_proposal_and_a_person);
        tcase_add_test(tc, who_has_no_role_is_told_nothing);
        tcase_add_test(tc, no_policies_no_start);
        suite_add_tcase(s, tc);
        SRunner *sr = srunner_create(s);
        srunner_set_tap(sr, "-");
        srunner_run_all(sr, CK_SILENT);
        int bad = srunner_ntests_failed(sr);
        srunner_free(sr);
        return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
