/* SPDX-License-Identifier: Apache-2.0 */
/* The hub with a chunk that keeps or breaks one rule (stub-chunk.c): what Guardian makes of it. No gate, no
 * ledger. */
#include "common/cleanup.h"
#include "common/log.h"
#include "common/sha256.h"
#include "guardian/check.h"
#include "guardian/manager.h"
#include "guardian/verbs.h"
#include "supervisor/pid1.h"
#include "tests/unit/guardian/world.h"
#include <sys/socket.h>
#include <sys/un.h>

static Manager *m;
static Options opt;
static UnitSet *set;
static Plan *plan;
static Problems problems;
static ManagedUnit *stub;

#define UNTIL(what)                                                                                          \
        for (;;) {                                                                                           \
                uv_run(&m->loop, UV_RUN_NOWAIT);                                                             \
                if (what)                                                                                    \
                        break;                                                                               \
                struct pollfd wait_ = {.fd = uv_backend_fd(&m->loop), .events = POLLIN};                     \
                poll(&wait_, 1, uv_backend_timeout(&m->loop));                                               \
        }

static void put(const char *name, const char *text) {
        char path[256];
        path_in(path, sizeof(path), name);
        write_file(path, text, strlen(text), 0644);
}

static void make_dir(const char *name, char *out, size_t cap) {
        path_in(out, cap, name);
        ck_assert_int_eq(mkdir(out, 0700), 0);
}

static void copy_stub(void) {
        static char bytes[4 << 20];
        char path[256];
        size_t n = read_file(STUB, bytes, sizeof(bytes));
        ck_assert_uint_lt(n, sizeof(bytes) - 1);
        path_in(path, sizeof(path), "libexec/guardian/stub-chunk");
        write_file(path, bytes, n, 0755);
}

/* All spawns share one /dev/null for ever: opened before anything is counted. */
static void spawn_once(void) {
        static const char *const argv[] = {"true", NULL}, *const envp[] = {NULL};
        LaunchPlan p;
        LaunchResult r;
        launch_plan_init(&p);
        p.path = "/bin/true";
        p.argv = argv;
        p.envp = envp;
        ck_assert_int_eq(launch_spawn(&p, &r), 0);
        ck_assert_int_eq(waitpid(r.pid, NULL, 0), r.pid);
}

static void setup(void) {
        char ignored[256];
        /* Guardian logs to its stdout, which here belongs to the test protocol of the parent */
        ck_assert_int_eq(dup2(STDERR_FILENO, STDOUT_FILENO), STDOUT_FILENO);
        log_setup("test", STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
        spawn_once();
        world_begin();
        pid1_subreaper();
        opt = (Options){.log_format = LOG_FORMAT_TEXT, .n_unit_dirs = 1, .n_unit_dirs_given = 1};
        path_in(opt.prefix, sizeof(opt.prefix), "");
        opt.prefix[strlen(opt.prefix) - 1] = 0;
        make_dir("lib", ignored, sizeof(ignored));
        make_dir("lib/guardian", ignored, sizeof(ignored));
        make_dir("libexec", ignored, sizeof(ignored));
        make_dir("lib/guardian/units", opt.core_dir, sizeof(opt.core_dir));
        make_dir("libexec/guardian", opt.libexec_dir, sizeof(opt.libexec_dir));
        make_dir("units", opt.unit_dirs[0], sizeof(opt.unit_dirs[0]));
        make_dir("state", opt.state_dir, sizeof(opt.state_dir));
        make_dir("run", opt.runtime_dir, sizeof(opt.runtime_dir));
        copy_stub();
}

static void start(const char *mode) {
        char text[2048];
        snprintf(text, sizeof(text),
                "[Chunk]\nPriority=3\nCanFail=yes\nHandles=stub.work\n[Service]\nType=chunk\nRestart="
                "no\nExecStart=%s/stub-chunk "
                "%s\n",
                opt.libexec_dir, mode);
        put("units/stub.chunk", text);
        ck_assert_int_eq(check_all(&opt, &problems, &set, &plan), 0);
        ck_assert_uint_eq(problems.errors, 0);
        m = calloc(1, sizeof(*m));
        ck_assert_ptr_nonnull(m);
        ck_assert_int_eq(manager_init(m, &opt, set, plan), 0);
        m->unit_soft_nofile = 1024;
        stub = manager_unit(m, STR_LIT("stub"));
        ck_assert_ptr_nonnull(stub);
        boot_begin(&m->boot, 1);
        manager_pump(m);
}

static UnitVerdict judged(void) {
        UNTIL(stub->machine.verdict_given);
        return stub->machine.verdict;
}

static bool issue(const char *text) {
        for (unsigned i = 0; i < stub->n_issues; i++)
                if (strstr(stub->issues[i], text))
                        return true;
        return false;
}

/* An end does not wait for threads; a test that counts descriptors does. */
static bool threads_are_back(void) {
        for (uint32_t i = 0; i < m->n_units; i++)
                if (m->units[i].hanging)
                        return false;
        return true;
}

static void teardown(void) {
        if (m) {
                if (!m->stopping)
                        manager_stop(m, 0, "the test is over");
                UNTIL(m->leftovers && reap_no_children() && threads_are_back());
                ck_assert_uint_eq(manager_free(m), 0);
                free(m);
                m = NULL;
        }
        plan = plan_free(plan);
        set = unit_set_free(set);
        problems_done(&problems);
        world_end();
}

/* ---- a chunk proves what it is */

START_TEST(a_good_chunk_is_validated) {
        start("good");
        ck_assert_int_eq(judged(), UNIT_VERDICT_PASSED);
        ck_assert(stub->peer && stub->peer->validated && stub->peer->proven);
        ck_assert(chunk_part_ready(m, stub->index));
        ck_assert_uint_eq(stub->n_issues, 0);
        ck_assert(stub->evidence && stub->evidence->verified);
}
END_TEST

static void not_validated(const char *mode, const char *why) {
        start(mode);
        ck_assert_int_ne(judged(), UNIT_VERDICT_PASSED);
        ck_assert_msg(issue(why), "%s", stub->n_issues ? stub->issues[0] : "no issue");
        ck_assert(!stub->peer || !stub->peer->validated);
        ck_assert(!chunk_part_ready(m, stub->index));
}

START_TEST(a_wrong_proof) {
        not_validated("wrong-proof", "the challenge was answered wrongly");
}
END_TEST
START_TEST(a_handler_that_is_missing) {
        not_validated("no-handler", "handler 'stub.work' of Handles= is not registered");
}
END_TEST
START_TEST(a_self_test_that_failed) {
        not_validated("issue", "the disk is full");
}
END_TEST
START_TEST(a_message_before_validation) {
        not_validated("early", "a message before it was validated");
}
END_TEST

/* An answer to nothing counts for nothing; the right one afterwards does. */
START_TEST(an_answer_that_nobody_asked_for) {
        start("unasked");
        ck_assert_int_eq(judged(), UNIT_VERDICT_PASSED);
        ck_assert(issue("answered a challenge that was not put"));
        ck_assert(!issue("answered wrongly"));
        ck_assert(stub->peer->validated);
}
END_TEST

START_TEST(evidence_that_differs_fails) {
        start("good");
        UNTIL(stub->plan);
        stub->plan->exe_ino++; /* as if another program ran */
        ck_assert_int_ne(judged(), UNIT_VERDICT_PASSED);
        ck_assert(issue("Exe: planned"));
        ck_assert(!stub->peer || !stub->peer->validated);
}
END_TEST

START_TEST(a_validated_chunk_that_breaks_the_protocol_ends) {
        start("foreign");
        UNTIL(stub->machine.last_exit.known);
        ck_assert(stub->machine.last_exit.exit.signaled);
        ck_assert_int_eq(stub->machine.last_exit.exit.status, SIGKILL);
}
END_TEST

/* ---- what was hashed is what runs */

static void manifest(bool right) {
        char path[256], text[128], hex[65];
        uint8_t hash[32];
        path_in(path, sizeof(path), "libexec/guardian/stub-chunk");
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(sha256_fd(fd, hash), 0);
        close(fd);
        hash[0] ^= !right;
        hex_encode(hash, 32, hex);
        snprintf(text, sizeof(text), "%s  stub-chunk\n", hex);
        put("lib/guardian/manifest", text);
}

START_TEST(the_planned_program_runs) {
        manifest(true);
        start("good");
        ck_assert_int_eq(judged(), UNIT_VERDICT_PASSED);
}
END_TEST

START_TEST(another_program_does_not) {
        manifest(false);
        start("good");
        ck_assert_int_ne(judged(), UNIT_VERDICT_PASSED);
        ck_assert(issue("is not the planned one"));
        ck_assert_uint_eq(stub->pid, 0);
}
END_TEST

/* ---- preparation: until the loop turns, its answer is one that does not come */

static ManagedUnit *helped(void) {
        char text[256];
        snprintf(text, sizeof(text),
                "[Chunk]\nPriority=3\nCanFail=yes\n[Service]\nType=oneshot\nUser=%u\nRestart=no\n"
                "TimeoutStartSec=7\nExecStartPre=/bin/true\nExecStart=/bin/true\n",
                (unsigned)getuid());
        put("units/pre.chunk", text);
        start("good");
        ManagedUnit *u = manager_unit(m, STR_LIT("pre"));
        ck_assert_ptr_nonnull(u);
        ck_assert_int_eq(u->machine.phase, PHASE_PRE);
        ck_assert_ptr_nonnull(u->preparation);
        return u;
}

static void order(ManagedUnit *u, UnitEventType type) {
        if (type == EV_TIMEOUT)
                u->machine.deadline[TIMER_PHASE] = 1; /* long ago */
        unit_feed(u, (UnitEvent){.type = type, .force = true}, 0);
        manager_pump(m);
}

START_TEST(stopped_during_its_preparation) {
        start("good");
        ck_assert_int_eq(stub->machine.phase, PHASE_PREPARE);
        ck_assert_ptr_nonnull(stub->preparation);
        order(stub, EV_STOP);
        ck_assert_int_eq(stub->machine.phase, PHASE_DOWN); /* it waits for no thread */
        ck_assert_ptr_null(stub->preparation);
        ck_assert_ptr_nonnull(stub->hanging);
        UNTIL(!stub->hanging); /* the answer is dropped */
        ck_assert_int_eq(stub->machine.phase, PHASE_DOWN);
        ck_assert_int_eq(stub->pid, 0);
        ck_assert_ptr_null(stub->prepared);
        ck_assert_uint_eq(stub->n_issues, 0);
}
END_TEST

START_TEST(preparation_has_a_deadline) {
        start("good");
        order(stub, EV_TIMEOUT);
        ck_assert_int_eq(stub->machine.phase, PHASE_FAILED);
        ck_assert_int_eq(stub->machine.last_exit.reason, RESTART_STARTUP_TIMEOUT);
        ck_assert(issue("does not answer: not prepared within 30s (TimeoutStartSec=)"));
        UNTIL(!stub->hanging);
        ck_assert_int_eq(stub->machine.phase, PHASE_FAILED);
        ck_assert_int_eq(stub->pid, 0);
}
END_TEST

/* While the thread of the last one hangs, there is no second; then the new one is prepared as if nothing had
 * been. */
START_TEST(started_again_while_the_last_preparation_hangs) {
        start("good");
        order(stub, EV_STOP);
        const Preparation *old = stub->hanging;
        order(stub, EV_START);
        ck_assert_int_eq(stub->machine.phase, PHASE_PREPARE);
        ck_assert_ptr_nonnull(stub->preparation);
        ck_assert_ptr_eq(stub->hanging, old);
        order(stub, EV_STOP); /* the waiting one goes without a trace */
        ck_assert_ptr_null(stub->preparation);
        ck_assert_ptr_eq(stub->hanging, old);
        order(stub, EV_START);
        ck_assert_int_eq(judged(), UNIT_VERDICT_PASSED);
        ck_assert_ptr_null(stub->hanging);
        ck_assert_uint_eq(stub->machine.instance, 3);
}
END_TEST

START_TEST(helpers_are_prepared_too) {
        ManagedUnit *u = helped();
        order(u, EV_TIMEOUT);
        ck_assert_int_eq(u->machine.phase, PHASE_FAILED);
        ck_assert_uint_eq(u->n_issues, 1);
        ck_assert_ptr_nonnull(strstr(u->issues[0], "not prepared within 7s (TimeoutStartSec=)"));
        UNTIL(!u->hanging);
        ck_assert_int_eq(u->helper, 0);
        order(u, EV_START);
        UNTIL(unit_is_down(&u->machine) || unit_is_up(&u->machine));
        ck_assert_int_eq(u->machine.phase, PHASE_EXITED);
}
END_TEST

/* ---- verbs and documents */

static void ask(const char *verb, PeerKind kind, Role role) {
        MsgBuilder b;
        Msg msg;
        Peer peer = {.kind = kind, .role = role, .actor = "uid:1000", .uid = 1000};
        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_VERB, verb);
        msg_put_cstr(&b, TAG_REASON, "a test");
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &msg), 0);
        manager_control_ops.on_call(NULL, 1, &peer, &msg, m);
}

START_TEST(who_may_stop_guardian) {
        start("good");
        ck_assert_int_eq(judged(), UNIT_VERDICT_PASSED);
        ask("shutdown", PEER_PERSON, ROLE_NOBODY);
        ask("shutdown", PEER_PERSON, ROLE_OBSERVER);
        ask("shutdown", PEER_PERSON, ROLE_OPERATOR);
        ck_assert(!m->stopping);
        ask("shutdown", PEER_UNIT, ROLE_ADMIN); /* not even with a role */
        ck_assert(!m->stopping);
        ask("shutdown", PEER_PERSON, ROLE_ADMIN);
        ck_assert(m->stopping);
}
END_TEST

static Role role;
static const char *unit_of(void *user, pid_t pid, pid_t session, bool *login) {
        (void)user, (void)pid, (void)session, (void)login;
        return NULL;
}
static Role role_of(void *user, uint64_t uid, const gid_t *gids, unsigned n) {
        (void)user, (void)uid, (void)gids, (void)n;
        return role;
}

/* The code of the answer to one verb, asked over the control socket by a person of that role. */
static const char *answer(Role as, const char *verb) {
        static char code[65];
        uint8_t text[4096];
        Buf b = BUF_INIT(65536);
        MsgBuilder call;
        Msg msg;
        size_t used, got = 0;
        char why[160];
        role = as;
        msg_begin(&call, MSG_CALL);
        msg_put_u64(&call, TAG_REQ, 1);
        msg_put_cstr(&call, TAG_VERB, verb);
        ck_assert_int_eq(msg_encode(&call, (Str){NULL, 0}, 1, false, &b), 0);
        int fd = socket_connect_in(opt.runtime_dir, "control.sock"), r;
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(send(fd, b.data, b.len, MSG_NOSIGNAL), (ssize_t)b.len);
        buf_done(&b);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        static uint8_t frame[1 << 20];
        do {
                UNTIL(poll(&p, 1, 0) == 1);
                ssize_t n = recv(fd, text, sizeof(text), 0);
                ck_assert_int_gt(n, 0);
                ck_assert_uint_lt(got + (size_t)n, sizeof(frame));
                memcpy(frame + got, text, (size_t)n);
                got += (size_t)n;
                r = msg_decode(frame, got, &msg, &used, why, sizeof(why));
        } while (r == 1);
        ck_assert_int_eq(r, 0);
        str_copy(code, sizeof(code), msg_str(&msg, TAG_CODE));
        close(fd);
        return code;
}

START_TEST(verbs_have_their_role) {
        static const PeerLookup look = {.unit_of = unit_of, .role_of = role_of};
        static const char *const observers[] = {
                "boot", "graph", "why", "logs", "approvals", "connect", "wait", "metrics"};
        start("good");
        ck_assert_int_eq(judged(), UNIT_VERDICT_PASSED);
        ck_assert_int_eq(
                control_open(&m->loop, opt.runtime_dir, &look, &manager_control_ops, m, &m->control), 0);
        ck_assert_str_eq(answer(ROLE_NOBODY, "status"), "ok");
        ck_assert_str_eq(answer(ROLE_NOBODY, "version"), "ok");
        for (size_t i = 0; i < ELEMENTSOF(observers); i++)
                ck_assert_msg(
                        strcmp(answer(ROLE_NOBODY, observers[i]), "denied_by_role") == 0, "%s", observers[i]);
        ck_assert_str_eq(answer(ROLE_OBSERVER, "boot"), "ok");
        ck_assert_str_eq(answer(ROLE_OBSERVER, "approvals"), "ok");
        ck_assert_str_eq(answer(ROLE_ADMIN, "no-such-verb"), "invalid");
}
END_TEST

static bool document_says(const char *text) {
        Peer peer = {.kind = PEER_PERSON, .role = ROLE_ADMIN, .actor = "uid:0"};
        MsgBuilder b;
        Msg msg;
        msg_begin(&b, MSG_CALL);
        msg_put_u64(&b, TAG_REQ, 1);
        msg_put_cstr(&b, TAG_VERB, "status");
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &msg), 0);
        Call c = {.m = m, .peer = &peer, .msg = &msg};
        Buf out = BUF_INIT(1 << 20);
        ck_assert_int_eq(status_document(&c, &out), 0);
        ck_assert_int_eq(buf_append(&out, "", 1), 0);
        bool found = strstr((char *)out.data, text) != NULL;
        buf_done(&out);
        return found;
}

/* `verified` is what the kernel was asked, never what was planned. */
START_TEST(verified_is_read_back) {
        start("good");
        ck_assert_int_eq(judged(), UNIT_VERDICT_PASSED);
        ck_assert(document_says("\"verified\":true"));
        stub->evidence->verified = false;
        ck_assert(!document_says("\"verified\":true"));
        ck_assert(document_says("\"verified\":false"));
        free(stub->evidence);
        stub->evidence = NULL;
        ck_assert(!document_says("\"verified\":true"));
}
END_TEST

/* ---- links */

/* A mesh socket of a unit, in a runtime directory longer than sun_path: made once, found there, gone at the
 * end. */
START_TEST(mesh_sockets_of_long_paths) {
        size_t n = strlen(opt.runtime_dir);
        for (unsigned i = 0; i < 3; i++) {
                n += (size_t)snprintf(opt.runtime_dir + n, sizeof(opt.runtime_dir) - n, "/%060u", i);
                ck_assert_int_eq(mkdir(opt.runtime_dir, 0700), 0);
        }
        ck_assert_uint_gt(n, sizeof(((struct sockaddr_un *)0)->sun_path));
        char path[1400], folder[1200];
        put("units/web.chunk", "[Chunk]\nPriority=4\nCanFail=yes\nLinks=mesh\nPublishes=web.*\n[Service]"
                               "\nType=simple\nExecStart=/bin/false\n");
        put("units/mesh.chunk",
                "[Chunk]\nPriority=4\nCanFail=yes\n[Service]\nType=simple\nExecStart=/bin/false\n");
        start("good");
        ManagedUnit *web = manager_unit(m, STR_LIT("web"));
        ck_assert_ptr_nonnull(web);
        ck_assert_int_eq(links_mesh_socket(stub, getuid(), path, sizeof(path)), -ENOENT); /* not granted */
        ck_assert_int_eq(links_mesh_socket(web, getuid(), path, 20), -ENAMETOOLONG);
        ck_assert_int_eq(links_mesh_socket(web, getuid(), path, sizeof(path)), 0);
        int first = web->mesh_listen;
        ck_assert_int_ge(first, 0);
        ck_assert_int_eq(links_mesh_socket(web, getuid(), path, sizeof(path)), 0);
        ck_assert_int_eq(web->mesh_listen, first); /* clients reconnect to the same one */
        struct stat st;
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0600);
        snprintf(folder, sizeof(folder), "%s/mesh", opt.runtime_dir);
        int fd = socket_connect_in(folder, "web.sock");
        ck_assert_int_ge(fd, 0);
        close(fd);
        links_mesh_socket_close(web);
        ck_assert_int_lt(stat(path, &st), 0);
        ck_assert_int_eq(web->mesh_listen, -1);
}
END_TEST

START_TEST(a_person_is_linked_to_what_is_validated) {
        Peer peer = {.kind = PEER_PERSON, .role = ROLE_OPERATOR, .actor = "uid:1000", .uid = 1000};
        int fd = -1;
        start("wrong-proof");
        ck_assert_int_ne(judged(), UNIT_VERDICT_PASSED);
        ck_assert_int_lt(links_connect_person(m, "stub", &peer, &fd), 0);
        ck_assert_int_lt(links_connect_person(m, "nobody", &peer, &fd), 0);
        ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(a_person_is_linked) {
        Peer peer = {.kind = PEER_PERSON, .role = ROLE_OPERATOR, .actor = "uid:1000", .uid = 1000};
        int fd = -1;
        start("good");
        ck_assert_int_eq(judged(), UNIT_VERDICT_PASSED);
        ck_assert_int_eq(links_connect_person(m, "stub", &peer, &fd), 0);
        ck_assert_int_ge(fd, 0);
        close(fd);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {a_good_chunk_is_validated, a_wrong_proof, a_handler_that_is_missing,
                a_self_test_that_failed, a_message_before_validation, an_answer_that_nobody_asked_for,
                evidence_that_differs_fails, a_validated_chunk_that_breaks_the_protocol_ends,
                the_planned_program_runs, another_program_does_not, who_may_stop_guardian,
                verbs_have_their_role, verified_is_read_back, mesh_sockets_of_long_paths,
                a_person_is_linked_to_what_is_validated, a_person_is_linked, stopped_during_its_preparation,
                preparation_has_a_deadline, started_again_while_the_last_preparation_hangs,
                helpers_are_prepared_too};
        return run_suite("hub", setup, teardown, tests, sizeof(tests) / sizeof(*tests));
}
