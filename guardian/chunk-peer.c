/* SPDX-License-Identifier: Apache-2.0 */
/* Guardian's end of a chunk's control pipe: HELLO, readiness, the challenge, and evidence from outside. */
#include "common/clock.h"
#include "common/log.h"
#include "common/sha256.h"
#include "guardian/manager.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t next_epoch(Manager *m) {
        EnforceStatus st;
        enforce_status(m->enforce, manager_now(), &st);
        if (m->next_epoch <= st.ledger_epoch)
                m->next_epoch = (uint32_t)st.ledger_epoch + 1;
        return m->next_epoch++;
}

static int send_hello(ManagedUnit *u) {
        Manager *m = u->m;
        ChunkPeer *p = u->peer;
        MsgBuilder b;
        char dir[1100];
        const Prepared *was = u->prepared; /* a chunk is always prepared */
        msg_begin(&b, MSG_HELLO);
        msg_put_cstr(&b, TAG_UNIT, u->config->name);
        msg_put_u64(&b, TAG_INSTANCE, p->instance);
        msg_put_u64(&b, TAG_EPOCH, p->epoch);
        msg_put_bytes(&b, TAG_SECRET, p->secret);
        msg_put_bytes(&b, TAG_BOOT_ID, m->boot_id);
        if (m->state_dir[0]) {
                snprintf(dir, sizeof(dir), "%s/%s", m->opt->state_dir, u->config->name);
                if (was->state_error)
                        unit_issue(u, "state directory '%s': %s", dir, strerror(-was->state_error));
                else
                        msg_put_cstr(&b, TAG_STATE_DIR, dir);
        }
        for (unsigned i = 0; i < m->opt->n_policy_dirs; i++)
                if (was->policy_dirs >> i & 1)
                        msg_put_cstr(&b, TAG_POLICY_DIR, m->opt->policy_dirs[i]);
        if (u->index == m->ledger && m->opt->ledger_key)
                msg_put_cstr(&b, TAG_LEDGER_KEY, m->opt->ledger_key);
        if (u->config->watchdog_us)
                msg_put_u64(&b, TAG_WATCHDOG_US, u->config->watchdog_us);
        return conn_send(p->conn, &b, (Str){NULL, 0}, -1);
}

/* ---- evidence */

/* False: it said while it started that it can decide nothing. */
static bool gate_attached(ManagedUnit *u) {
        EnforceStatus st;
        enforce_gate_attached(u->m->enforce, manager_now());
        enforce_status(u->m->enforce, manager_now(), &st);
        return st.gate == PART_READY;
}

static void evidence_result(ManagedUnit *u) {
        ChunkPeer *p = u->peer;
        Evidence *e = u->evidence;
        bool failed = false, missing = false;
        for (unsigned i = 0; e && i < e->n; i++) {
                const EvidenceCheck *c = &e->checks[i];
                if (c->ok)
                        continue;
                if (c->missing)
                        missing = true;
                else
                        failed = true;
                unit_issue(u, "%s: planned %s, found %s", c->key, c->planned, c->missing ? "nothing that the kernel shows" : c->found);
        }
        if (p && !p->proven)
                failed = true;
        UnitEventType t = failed ? EV_EVIDENCE_FAILED : (missing ? EV_EVIDENCE_ISSUES : EV_EVIDENCE_PASSED);
        if (failed)
                log_error("validation failed", LOG_UNIT(u->config->name), LOG_STR("reason", u->n_issues ? u->issues[0] : "unproven"));
        if (!failed && p) {
                p->evidence_ok = true;
                /* the ledger tells our epoch before anybody else may get one of theirs */
                if (u->index == u->m->ledger) {
                        enforce_ledger_attached(u->m->enforce, manager_now());
                        p->validated = true;
                        return;
                }
                p->validated = true;
                if (u->index == u->m->governance && !gate_attached(u))
                        t = EV_EVIDENCE_ISSUES;
                links_chunk_validated(u);
        }
        unit_feed(u, (UnitEvent){.type = t}, u->machine.instance);
}

static void ledger_attached_check(ManagedUnit *u) {
        EnforceStatus st;
        enforce_status(u->m->enforce, manager_now(), &st);
        if (st.ledger_epoch == 0 || u->machine.phase != PHASE_EVIDENCE)
                return;
        if (st.rollback) {
                unit_issue(u, "the ledger lost records that it had acknowledged (ledger_rollback)");
                log_error("the ledger lost records that it had acknowledged: nothing that is governed runs", LOG_U64("size", st.ledger_size),
                        LOG_STR("hint", "guardianctl ledger verify --at-least NOTE, with a ledger head of this log, tells what is missing; "
                                        "a Guardian that is started anew takes it as it is"));
        }
        links_chunk_validated(u);
        unit_feed(u, (UnitEvent){.type = st.rollback ? EV_EVIDENCE_ISSUES : EV_EVIDENCE_PASSED}, u->machine.instance);
}

static void read_evidence(ManagedUnit *u) {
        if (!u->plan)
                return;
        if (!u->evidence)
                u->evidence = calloc(1, sizeof(*u->evidence));
        EvidenceFacts *facts = calloc(1, sizeof(*facts));
        if (u->evidence && facts) {
                evidence_gather(u->pid, u->plan, facts);
                evidence_compare(u->plan, facts, u->evidence);
        }
        free(facts);
}

void unit_take_evidence(ManagedUnit *u) {
        if (u->config->guardian_validates)
                read_evidence(u);
        if (!u->peer) {
                evidence_result(u);
                return;
        }
        if (getrandom(u->peer->nonce, sizeof(u->peer->nonce), 0) != sizeof(u->peer->nonce)) {
                unit_issue(u, "no randomness for the challenge: %s", strerror(errno));
                evidence_result(u);
                return;
        }
        MsgBuilder b;
        msg_begin(&b, MSG_CHALLENGE);
        msg_put_bytes(&b, TAG_NONCE, u->peer->nonce);
        u->peer->challenged = true;
        if (!u->peer->conn || conn_send(u->peer->conn, &b, (Str){NULL, 0}, -1) < 0)
                unit_issue(u, "the control pipe takes no challenge");
}

static bool proof_ok(const ManagedUnit *u, const Msg *m) {
        const ChunkPeer *p = u->peer;
        const uint8_t *nonce = msg_bytes(m, TAG_NONCE), *proof = msg_bytes(m, TAG_PROOF);
        uint8_t text[32 + 32 + 8 + 128 + 32], want[32];
        size_t n = 0, name = strlen(u->config->name);
        memcpy(text, p->secret, 32);
        memcpy(text + 32, p->nonce, 32);
        n = 64;
        for (unsigned i = 0; i < 8; i++)
                text[n++] = (uint8_t)(p->instance >> (8 * i));
        memcpy(text + n, u->config->name, name);
        n += name;
        msg_table_hash(text + n);
        sha256(text, n + 32, want);
        return nonce && proof && memcmp(nonce, p->nonce, 32) == 0 && memcmp(proof, want, 32) == 0;
}

static bool declares(const ChunkPeer *p, const char *handler) {
        for (unsigned i = 0; i < p->n_handlers; i++)
                if (strcmp(p->handlers[i], handler) == 0)
                        return true;
        return false;
}

static void challenge_reply(ManagedUnit *u, const Msg *m) {
        ChunkPeer *p = u->peer;
        if (!p->challenged || p->proven) {
                unit_issue(u, "answered a challenge that was not put");
                log_warning("challenge answer without a challenge", LOG_UNIT(u->config->name));
                return;
        }
        p->proven = proof_ok(u, m);
        if (!p->proven)
                unit_issue(u, "the challenge was answered wrongly");
        size_t pos = 0;
        Str s;
        while (msg_next_str(m, TAG_HANDLER, &pos, &s) && p->n_handlers < 16)
                str_copy(p->handlers[p->n_handlers++], sizeof(p->handlers[0]), s);
        for (unsigned i = 0; i < u->config->handles.n; i++)
                if (!declares(p, u->config->handles.items[i])) {
                        unit_issue(u, "handler '%s' of Handles= is not registered", u->config->handles.items[i]);
                        p->proven = false;
                }
        pos = 0;
        while (msg_next_str(m, TAG_ISSUE, &pos, &s)) {
                unit_issue(u, "self-test: %.*s", (int)s.n, s.p);
                p->proven = false;
        }
        evidence_result(u);
}

/* ---- messages */

/* Without its control pipe an instance is no part of anything: it is down at once, not when its process is reaped. What an
 * instance said before it was validated is forgotten with it, so that its successor is not taken at its word. */
static void part_lost(ManagedUnit *u) {
        Manager *m = u->m;
        ChunkPeer *p = u->peer;
        bool was = p->validated;
        p->validated = false;
        links_chunk_gone(u);
        p->conn = conn_free(p->conn);
        if (was && u->index == m->ledger)
                enforce_ledger_lost(m->enforce, manager_now());
        if (u->index == m->governance)
                enforce_gate_lost(m->enforce, manager_now());
}

static void misbehaved(ManagedUnit *u, const char *what) {
        log_error("control pipe ended: the chunk broke the protocol", LOG_UNIT(u->config->name), LOG_STR("reason", what));
        unit_issue(u, "control pipe ended: %s", what);
        part_lost(u);
        process_signal(u->pid, u->start_time, SIGKILL);
}

static void gate_msg(ManagedUnit *u, Msg *msg) {
        Manager *m = u->m;
        EnforceStatus before, after;
        enforce_status(m->enforce, manager_now(), &before);
        if (!enforce_gate_msg(m->enforce, msg, manager_now())) {
                govern_unit_msg(u, msg);
                return;
        }
        enforce_status(m->enforce, manager_now(), &after);
        if (after.late_verdicts != before.late_verdicts) {
                char id[33] = "";
                if (msg_bytes(msg, TAG_REQUEST_ID))
                        hex_encode(msg_bytes(msg, TAG_REQUEST_ID), 16, id);
                log_warning("dropped a verdict for no pending request", LOG_UNIT(u->config->name), LOG_STR("request_id", id));
        }
        if (after.forged_verdicts != before.forged_verdicts)
                misbehaved(u, "a verdict that does not fit its request");
}

/* Heard before it is validated, and believed only then; what it says against itself stands in its status at once. */
static void early_gate_msg(ManagedUnit *u, Msg *msg) {
        size_t pos = 0;
        Str s;
        while (msg->type == MSG_POLICY_STATE && msg_next_str(msg, TAG_ISSUE, &pos, &s))
                unit_issue(u, "%.*s", (int)s.n, s.p);
        enforce_gate_msg(u->m->enforce, msg, manager_now());
}

static void log_head(Manager *m, const Msg *msg) {
        char hex[65], note[1024];
        const uint8_t *root = msg_bytes(msg, TAG_ROOT);
        if (!root || memcmp(root, m->logged_root, 32) == 0)
                return;
        memcpy(m->logged_root, root, 32);
        hex_encode(root, 32, hex);
        log_info("ledger head", LOG_U64("size", msg_u64(msg, TAG_SIZE, 0)), LOG_U64("signed", msg_u64(msg, TAG_SIGNED_SIZE, 0)),
                LOG_STR("root", hex), LOG_STR("note", str_copy(note, sizeof(note), msg_str(msg, TAG_NOTE))));
}

static void validated_msg(ManagedUnit *u, Msg *msg) {
        Manager *m = u->m;
        if (u->index == m->ledger) {
                if (msg->type == MSG_LEDGER_HEAD)
                        log_head(m, msg);
                if (!enforce_ledger_msg(m->enforce, msg, manager_now()))
                        misbehaved(u, "a message that the ledger never sends");
                else
                        ledger_attached_check(u);
        } else if (u->index == m->governance) {
                gate_msg(u, msg);
        } else if (msg->type == MSG_RESULT && u->index == m->mesh) {
                if (msg_u64(msg, TAG_STATUS, 0) != 0)
                        log_debug("event refused by the mesh", LOG_U64("req", msg_u64(msg, TAG_REQ, 0)));
        } else {
                govern_unit_msg(u, msg);
        }
}

static void on_msg(Conn *c, Msg *msg, void *user) {
        ManagedUnit *u = user;
        Manager *m = u->m;
        (void)c;
        switch ((int)msg->type) {
        case MSG_READY:
                unit_feed(u, (UnitEvent){.type = EV_READY}, u->machine.instance);
                break;
        case MSG_HEARTBEAT:
                unit_feed(u, (UnitEvent){.type = EV_HEARTBEAT}, u->machine.instance);
                break;
        case MSG_CHALLENGE_REPLY:
                challenge_reply(u, msg);
                break;
        default:
                if (u->peer->validated)
                        validated_msg(u, msg);
                else if (u->index == m->ledger && msg->type == MSG_LEDGER_HEAD)
                        log_head(m, msg);
                else if (u->index == m->governance && (msg->type == MSG_POLICY_STATE || msg->type == MSG_APPROVAL_PENDING))
                        early_gate_msg(u, msg);
                else if (msg->type == MSG_UNITS) /* a question, like a query to the ledger */
                        govern_unit_msg(u, msg);
                else
                        misbehaved(u, "a message before it was validated");
        }
        manager_pump(m);
}

static void on_outlived(void *user, uint64_t now_us) {
        ManagedUnit *u = user;
        (void)now_us;
        if (u->pid <= 0)
                return;
        unit_issue(u, "it outlived its control pipe");
        process_signal(u->pid, u->start_time, SIGKILL);
}

static void on_end(Conn *c, int error, const char *reason, void *user) {
        ManagedUnit *u = user;
        (void)c;
        if (error < 0)
                log_error("control pipe ended", LOG_UNIT(u->config->name), LOG_STR("reason", reason));
        part_lost(u);
        /* a chunk ends with its control pipe; one that broke it does not get the time to */
        if (u->pid > 0 && error < 0)
                process_signal(u->pid, u->start_time, SIGKILL);
        else if (u->pid > 0 && u->config->timeout_stop_us != UINT64_MAX)
                timer_heap_set(&u->m->heap, &u->peer->deadline, clock_boot_us() + u->config->timeout_stop_us, on_outlived, u);
        manager_pump(u->m);
}

static const ConnOps peer_ops = {.on_msg = on_msg, .on_end = on_end};

int chunk_peer_new(ManagedUnit *u, int fd) {
        chunk_peer_free(u);
        u->peer = calloc(1, sizeof(*u->peer));
        if (!u->peer) {
                close(fd);
                return -ENOMEM;
        }
        ChunkPeer *p = u->peer;
        p->instance = u->machine.instance;
        p->epoch = next_epoch(u->m);
        if (getrandom(p->secret, sizeof(p->secret), 0) != sizeof(p->secret)) {
                close(fd);
                return -EIO;
        }
        char name[128];
        snprintf(name, sizeof(name), "unit %.100s/%llu", u->config->name, (unsigned long long)p->instance);
        int r = conn_new(&u->m->loop, fd, name, &peer_ops, u, &p->conn);
        if (r < 0) {
                close(fd);
                return r;
        }
        r = send_hello(u);
        if (r == 0)
                links_chunk_up(u);
        return r;
}

void chunk_peer_free(ManagedUnit *u) {
        if (!u->peer)
                return;
        part_lost(u);
        timer_heap_cancel(&u->m->heap, &u->peer->deadline);
        free(u->peer);
        u->peer = NULL;
}

bool chunk_part_ready(Manager *m, uint32_t unit) {
        if (unit == PLAN_NONE)
                return false;
        const ChunkPeer *p = m->units[unit].peer;
        return p && p->validated && p->conn && p->conn->fd >= 0;
}
