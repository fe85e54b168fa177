/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shell around the enforcement core: facts about units, acts on them, answers to those who wait. An act begins in the
 * same loop turn in which the core asked for it, on the incarnation that was judged, and reports its outcome when the unit's
 * machine has settled.
 */
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "guardian/verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- facts */

enum { FACTS_MAX = 12, FACT_LEN = 96 };
static char fact_text[FACTS_MAX][FACT_LEN]; /* borrowed by the core until its next call, as its header says */

static void fact(EnforceTarget *t, const char *name, int64_t value) {
        if (t->n_facts >= FACTS_MAX)
                return;
        int n = snprintf(fact_text[t->n_facts], FACT_LEN, "%s=i:%lld", name, (long long)value);
        t->facts[t->n_facts] = (Str){fact_text[t->n_facts], (size_t)n};
        t->n_facts++;
}

static bool op_target(void *user, const char *unit, EnforceTarget *ret) {
        Manager *m = user;
        ManagedUnit *u = manager_unit(m, str_of(unit));
        memset(ret, 0, sizeof(*ret));
        if (!u)
                return false;
        const UnitConfig *c = u->config;
        const UnitMachine *um = &u->machine;
        ret->state = unit_machine_state(um);
        ret->incarnation = unit_incarnation(u);
        ret->priority_milli = c->priority_milli;
        ret->critical = c->critical;
        ret->can_fail = c->can_fail;
        ret->pinned_down = um->pin == PIN_STATE_DOWN;
        ret->pinned_up = um->pin == PIN_STATE_UP;
        for (int i = 0; i < _HEAL_MAX && ret->n_heal < ENFORCE_LIST_MAX; i++)
                if (c->heal & (1u << i))
                        ret->heal[ret->n_heal++] = str_of(healing_action_to_string(i));
        for (unsigned i = 0; i < c->labels.n && ret->n_labels < ENFORCE_LIST_MAX; i++)
                ret->labels[ret->n_labels++] = str_of(c->labels.items[i]);
        uint64_t rss = 0, now = clock_boot_us();
        fact(ret, "restarts", (int64_t)um->restarts);
        fact(ret, "instance", (int64_t)um->instance);
        fact(ret, "restart_budget_left", unit_budget_left(um, now) == UINT32_MAX ? -1 : (int64_t)unit_budget_left(um, now));
        fact(ret, "health", (int64_t)um->health);
        fact(ret, "uptime_s", um->ready_us && u->pid ? (int64_t)((now - um->ready_us) / 1000000) : 0);
        if (u->pid > 0 && proc_rss(u->pid, &rss) == 0) {
                fact(ret, "memory.rss_now", (int64_t)rss);
                fact(ret, "memory.rss_ready", (int64_t)u->rss_ready);
                fact(ret, "memory.growth", (int64_t)rss - (int64_t)u->rss_ready);
        }
        if (um->last_exit.known && (um->last_exit.exit.signaled || exit_has_status(&um->last_exit.exit)))
                fact(ret, um->last_exit.exit.signaled ? "last_exit.signal" : "last_exit.code", um->last_exit.exit.status);
        return true;
}

static void op_random16(void *user, uint8_t ret[16]) {
        (void)user;
        if (getrandom(ret, 16, 0) != 16)
                new_request_id(ret);
}

static int send_part(Manager *m, uint32_t unit, const MsgBuilder *b, Str payload) {
        const ChunkPeer *p = unit != PLAN_NONE ? m->units[unit].peer : NULL;
        return p && p->conn ? conn_send(p->conn, b, payload, -1) : -ENOTCONN;
}

static int op_to_gate(void *user, const MsgBuilder *b) {
        Manager *m = user;
        return send_part(m, m->governance, b, (Str){NULL, 0});
}

static int op_to_ledger(void *user, const MsgBuilder *b, Str payload) {
        Manager *m = user;
        return send_part(m, m->ledger, b, payload);
}

/* ---- acts */

static void act_result(ManagedUnit *u, Outcome o, const char *reason) {
        PendingAct a = u->act;
        u->act.open = false;
        if (a.open)
                enforce_act_result(u->m->enforce, a.request_id, o, reason, manager_now());
}

static int kill_unit(ManagedUnit *u, const ActionRequest *r) {
        int sig = u->config->kill_signal;
        for (unsigned i = 0; i < r->n_args; i++)
                if (strncmp(r->args[i], "signal=", 7) == 0)
                        sig = signal_from_string(r->args[i] + 7);
        if (sig <= 0)
                return -EINVAL;
        return u->pid > 0 ? process_signal(u->pid, u->start_time, sig) : -ESRCH;
}

/* The event that carries the action out; false: this version has no means for it. */
static bool act_event(const ActionRequest *r, UnitEvent *ret) {
        static const struct {
                const char *action;
                UnitEvent event;
        } acts[] = {
                {"restart_service", {.type = EV_RESTART, .reason = RESTART_HEALING}},
                {"quarantine_component", {.type = EV_STOP, .reason = RESTART_HEALING}},
                {"restart", {.type = EV_RESTART, .reason = RESTART_OPERATOR}},
                {"start", {.type = EV_START, .reason = RESTART_OPERATOR}},
                {"stop", {.type = EV_STOP, .reason = RESTART_OPERATOR}},
                {"reload_unit", {.type = EV_RELOAD, .reason = RESTART_OPERATOR}},
                {"reset", {.type = EV_RESET, .reason = RESTART_OPERATOR}},
                {"unpin", {.type = EV_UNPIN, .reason = RESTART_OPERATOR}},
                {"pin", {.type = EV_PIN_DOWN, .reason = RESTART_OPERATOR}},
        };
        for (size_t i = 0; i < ELEMENTSOF(acts); i++) {
                if (strcmp(acts[i].action, r->action) != 0)
                        continue;
                *ret = acts[i].event;
                for (unsigned k = 0; ret->type == EV_PIN_DOWN && k < r->n_args; k++)
                        if (strcmp(r->args[k], "to=up") == 0)
                                ret->type = EV_PIN_UP;
                return true;
        }
        return false;
}

static void act_over(Manager *m, const ActionRequest *r, Outcome o, const char *reason) {
        enforce_act_result(m->enforce, r->request_id, o, reason, manager_now());
}

static void act_unit(ManagedUnit *u, const ActionRequest *r) {
        UnitEvent ev;
        if (strcmp(r->action, "kill") == 0) {
                int k = kill_unit(u, r);
                act_over(u->m, r, k == 0 ? OUTCOME_OK : OUTCOME_FAILED, k == 0 ? "" : strerror(-k));
                return;
        }
        if (!act_event(r, &ev)) {
                act_over(u->m, r, OUTCOME_FAILED, "this version has no means for the action");
                return;
        }
        if (ev.type == EV_RELOAD && u->config->exec[EXEC_RELOAD].n == 0) {
                char text[160];
                snprintf(text, sizeof(text), "%s has no ExecReload=", u->config->name);
                act_over(u->m, r, OUTCOME_FAILED, text);
                return;
        }
        if (u->m->stopping && (ev.type == EV_START || ev.type == EV_RESTART)) { /* else the stop would not end */
                act_over(u->m, r, OUTCOME_FAILED, "Guardian is stopping");
                return;
        }
        bool quarantine = strcmp(r->action, "quarantine_component") == 0;
        if (quarantine && u->machine.pin == PIN_STATE_UP) {
                act_over(u->m, r, OUTCOME_FAILED, "the unit is pinned up");
                return;
        }
        /* An admin who may act past the gate is not held up by an act that has not come out: a start that hangs is stopped. */
        act_result(u, OUTCOME_FAILED, "overtaken by another act on the unit");
        u->act = (PendingAct){.open = true, .instance = u->machine.instance};
        memcpy(u->act.request_id, r->request_id, 16);
        str_copy(u->act.action, sizeof(u->act.action), str_of(r->action));
        /* the incarnation that was judged, or, of a unit that is down, whatever comes: a start */
        unit_feed(u, ev, u->pid > 0 ? u->machine.instance : 0);
        if (quarantine)
                unit_feed(u, (UnitEvent){.type = EV_PIN_DOWN}, 0);
}

static void op_act(void *user, const ActionRequest *r, bool ungated) {
        Manager *m = user;
        log_notice("act", LOG_STR("action", r->action), LOG_UNIT(r->target[0] ? r->target : "guardian"), LOG_STR("actor", r->actor),
                LOG_STR("ungated", ungated ? "yes" : "no"));
        if (strcmp(r->action, "escalate_to_human") == 0) {
                log_warning("a person is needed", LOG_UNIT(r->target), LOG_STR("actor", r->actor),
                        LOG_STR("hint", "guardianctl incidents tells why; guardianctl status"));
                act_over(m, r, OUTCOME_OK, "logged and on record");
                return;
        }
        ManagedUnit *u = r->target[0] ? manager_unit(m, str_of(r->target)) : NULL;
        if (!u) {
                act_over(m, r, OUTCOME_FAILED, "this version has no means for the action");
                return;
        }
        Incarnation now = unit_incarnation(u);
        if (r->incarnation.pid && !incarnation_eq(&r->incarnation, &now)) {
                act_over(m, r, OUTCOME_FAILED, "the incarnation is gone");
                return;
        }
        act_unit(u, r);
}

void govern_unit_passed(ManagedUnit *u, UnitEventType type, uint64_t instance) {
        if (u->act.open && u->act.instance == instance && (type == EV_RESTART || type == EV_STOP || type == EV_RELOAD))
                act_result(u, OUTCOME_FAILED, "the incarnation is gone");
}

void govern_unit_refused(ManagedUnit *u, const char *why) {
        act_result(u, OUTCOME_FAILED, why);
}

void govern_unit_reloaded(ManagedUnit *u, bool well) {
        if (u->act.open && strcmp(u->act.action, "reload_unit") == 0)
                act_result(u, well ? OUTCOME_OK : OUTCOME_FAILED, well ? "" : "ExecReload= failed");
}

/* Called after every event of the unit: has its act come out? */
void govern_unit_settled(ManagedUnit *u) {
        if (!u->act.open)
                return;
        UnitState s = unit_machine_state(&u->machine);
        const char *a = u->act.action;
        bool fresh = u->machine.instance > u->act.instance;
        bool up = unit_is_up(&u->machine);
        if (strcmp(a, "restart_service") == 0 || strcmp(a, "restart") == 0 || strcmp(a, "start") == 0) {
                if (up && (fresh || strcmp(a, "start") == 0))
                        act_result(u, OUTCOME_OK, "");
                else if (fresh && s == UNIT_EXITED)
                        act_result(u, OUTCOME_OK, "ran to its end");
                else if (s == UNIT_FAILED || s == UNIT_QUARANTINED || (fresh && s == UNIT_BACKOFF) ||
                         (s == UNIT_INACTIVE && u->machine.goal == GOAL_DOWN))
                        act_result(u, OUTCOME_FAILED, u->n_issues ? u->issues[0] : unit_state_to_string((int)s));
                else if (s == UNIT_BACKOFF && u->machine.pin == PIN_STATE_DOWN)
                        act_result(u, OUTCOME_FAILED, "pinned down");
        } else if (strcmp(a, "stop") == 0 || strcmp(a, "quarantine_component") == 0) {
                if (unit_is_down(&u->machine))
                        act_result(u, OUTCOME_OK, "");
                else if (s == UNIT_RUNNING && u->machine.pin == PIN_STATE_UP)
                        act_result(u, OUTCOME_FAILED, "pinned up");
        } else if (strcmp(a, "reload_unit") != 0) { /* that one says itself how it went */
                act_result(u, OUTCOME_OK, "");
        }
}

/* ---- waiters */

Waiter *govern_waiter(Manager *m, uint64_t client, uint64_t req) {
        Waiter *w = calloc(1, sizeof(*w));
        if (!w)
                return NULL;
        w->id = ++m->next_waiter;
        w->client = client;
        w->req = req;
        list_append(&m->waiters, &w->node);
        return w;
}

static Waiter *find_waiter(Manager *m, uint64_t id) {
        LIST_FOREACH(n, &m->waiters) {
                Waiter *w = container_of(n, Waiter, node);
                if (w->id == id)
                        return w;
        }
        return NULL;
}

static void waiter_free(Waiter *w) {
        list_remove(&w->node);
        free(w);
}

void govern_client_gone(Manager *m, uint64_t client) {
        LIST_FOREACH_SAFE(n, next, &m->waiters) {
                Waiter *w = container_of(n, Waiter, node);
                if (w->client == client)
                        waiter_free(w);
        }
}

bool govern_forget(Manager *m, uint64_t waiter) {
        Waiter *w = find_waiter(m, waiter);
        if (w)
                waiter_free(w);
        return w != NULL;
}

static void op_reply(void *user, const EnforceReply *r) {
        Manager *m = user;
        Waiter *w = find_waiter(m, r->waiter);
        if (!w)
                return;
        MsgBuilder b;
        if (!w->client) {
                ManagedUnit *u = &m->units[w->unit];
                enforce_reply_to_msg(r, w->req, &b);
                if (u->peer && u->peer->conn && u->peer->instance == w->peer_instance)
                        conn_send(u->peer->conn, &b, (Str){NULL, 0}, -1);
        } else {
                Buf out = BUF_INIT(64 * 1024);
                JsonWriter jw;
                json_init(&jw, &out, false);
                enforce_reply_to_json(r, &jw);
                int status = code_exit_status(r->code);
                if (r->code == CODE_OK && r->has_outcome && r->outcome != OUTCOME_OK)
                        status = 1;
                if (json_finish(&jw) == 0)
                        control_result(m->control, w->client, w->req, r->more ? 5 : status, code_to_string((int)r->code), r->reason,
                                (Str){(char *)out.data, out.len}, r->more, -1);
                buf_done(&out);
        }
        if (!r->more)
                waiter_free(w);
}

static void op_vote_reply(void *user, const EnforceVoteReply *r) {
        Manager *m = user;
        Waiter *w = find_waiter(m, r->waiter);
        if (!w)
                return;
        Buf out = BUF_INIT(4096);
        JsonWriter jw;
        json_init(&jw, &out, false);
        json_object_begin(&jw);
        json_kv_str(&jw, "id", r->id);
        if (r->code == CODE_UNKNOWN_ID)
                json_kv_null(&jw, "state");
        else
                json_kv_str(&jw, "state", approval_state_to_string((int)r->state));
        json_kv_str(&jw, "code", code_to_string((int)r->code));
        json_object_end(&jw);
        if (json_finish(&jw) == 0)
                control_result(m->control, w->client, w->req, code_exit_status(r->code), code_to_string((int)r->code), NULL,
                        (Str){(char *)out.data, out.len}, false, -1);
        buf_done(&out);
        waiter_free(w);
}

/* ---- state directory */

static int op_spool(void *user, const EnforceSpool *r) {
        Manager *m = user;
        if (!m->spool)
                return -ENOENT;
        SpoolRecord rec = {.time_ns = r->time_ns};
        char *body = strndup(r->body.p, r->body.n);
        if (!body)
                return -ENOMEM;
        memcpy(rec.id, r->id, 16);
        rec.body = body;
        str_copy(rec.actor, sizeof(rec.actor), str_of(r->actor ? r->actor : ""));
        str_copy(rec.action, sizeof(rec.action), str_of(r->action ? r->action : ""));
        str_copy(rec.resource, sizeof(rec.resource), str_of(r->resource ? r->resource : ""));
        str_copy(rec.result, sizeof(rec.result), str_of(r->result ? r->result : ""));
        str_copy(rec.correlation_id, sizeof(rec.correlation_id), str_of(r->correlation_id ? r->correlation_id : ""));
        int e = spool_add(m->spool, &rec);
        free(body);
        return e < 0 ? e : 1;
}

static void op_spool_imported(void *user, const uint8_t id[16]) {
        Manager *m = user;
        if (m->spool)
                spool_imported_id(m->spool, id);
}

static void op_pause_marker(void *user, const char *reason) {
        Manager *m = user;
        marker_set(&m->marker, reason);
}

static void op_publish(void *user, const char *type, const char *resource, const char *correlation_id, Str payload) {
        char what[700];
        if (strncmp(type, "guardian.", 9) == 0) /* mode, pause, lockdown ..: who set what, and why */
                log_notice("set", LOG_STR("verb", type + 9), LOG_STR("what", str_copy(what, sizeof(what), payload)));
        lifecycle_publish(user, type, resource, correlation_id, payload);
}

/* Who reads only the log must learn that they are asked, and how it went. */
static void op_approval(void *user, const Approval *a) {
        char hint[200];
        (void)user;
        if (a->state == APPROVAL_PENDING) {
                snprintf(hint, sizeof(hint), "guardianctl approve %s, or guardianctl deny %s", a->id, a->id);
                log_notice("a person is asked", LOG_STR("action", a->action), LOG_UNIT(a->target), LOG_STR("actor", a->actor),
                        LOG_STR("reason", a->reason), LOG_STR("hint", hint));
        } else {
                log_notice("a question to people is over", LOG_STR("approval", a->id),
                        LOG_STR("state", approval_state_to_string((int)a->state)), LOG_STR("action", a->action), LOG_UNIT(a->target));
        }
}

static void op_changed(void *user) {
        (void)user; /* status asks when it is asked */
}

static void op_glass_reply(void *user, Code code) {
        Manager *m = user;
        Waiter *w = find_waiter(m, m->glass_waiter);
        m->glass_waiter = 0;
        if (!w)
                return;
        verb_glass_result(m, w->client, w->req, code);
        waiter_free(w);
}

static const EnforceOps enforce_ops = {
        .target = op_target,
        .random16 = op_random16,
        .to_gate = op_to_gate,
        .to_ledger = op_to_ledger,
        .act = op_act,
        .reply = op_reply,
        .vote_reply = op_vote_reply,
        .publish = op_publish,
        .approval = op_approval,
        .spool = op_spool,
        .spool_imported = op_spool_imported,
        .pause_marker = op_pause_marker,
        .changed = op_changed,
        .glass_reply = op_glass_reply,
};

static void on_spooled(void *user, int error) {
        Manager *m = user;
        if (error < 0)
                log_error("the spool of ungated acts can't be written", LOG_STR("dir", m->state_dir), LOG_ERRNO(error),
                        LOG_STR("hint", "what happened is lost if guardian ends before the ledger takes it"));
        enforce_spooled(m->enforce, error, manager_now());
        govern_turn(m);
        manager_rearm(m);
}

static void load_spool(Manager *m) {
        if (!m->state_dir[0])
                return;
        int r = spool_open(m->workers, m->state_dir, on_spooled, m, &m->spool);
        if (r < 0) {
                log_error("the spool of ungated acts can't be read", LOG_STR("dir", m->state_dir), LOG_ERRNO(r),
                        LOG_STR("hint", "it must be a file of Guardian's own: guardian/recovery below it"));
                return;
        }
        if (spool_dropped(m->spool))
                log_warning("torn lines in the spool of ungated acts are left out", LOG_STR("dir", m->state_dir), LOG_U64("lines", spool_dropped(m->spool)));
        for (SpoolRecord *s = spool_first(m->spool); s; s = spool_next(m->spool, s)) {
                EnforceSpool e = {.time_ns = s->time_ns, .actor = s->actor, .action = s->action, .resource = s->resource,
                        .result = s->result, .correlation_id = s->correlation_id, .body = str_of(s->body)};
                memcpy(e.id, s->id, 16);
                enforce_spool_loaded(m->enforce, &e);
        }
}

int govern_init(Manager *m) {
        char paused[MARKER_TEXT_MAX];
        EnforceConfig cfg = {.has_gate = m->governance != PLAN_NONE, .has_ledger = m->ledger != PLAN_NONE, .mode_floor = m->opt->mode,
                .pid = (uint64_t)getpid(), .start_time = m->own_start_time};
        memcpy(cfg.boot_id, m->boot_id, 16);
        marker_init(&m->marker, m->workers, m->state_dir);
        marker_on_settled(&m->marker, verb_pause_settled, m);
        cfg.marker_known = marker_read(&m->marker, paused, sizeof(paused));
        cfg.paused = paused[0] ? paused : NULL;
        int r = enforce_new(&cfg, &enforce_ops, m, &m->enforce);
        if (r == 0)
                load_spool(m);
        return r;
}

void govern_done(Manager *m) {
        m->enforce = enforce_free(m->enforce);
        LIST_FOREACH_SAFE(n, next, &m->waiters)
                waiter_free(container_of(n, Waiter, node));
}

static void on_enforce_deadline(void *user, uint64_t now_us) {
        Manager *m = user;
        (void)now_us;
        enforce_tick(m->enforce, manager_now());
}

void govern_turn(Manager *m) {
        uint64_t at = enforce_deadline(m->enforce);
        if (at == UINT64_MAX)
                timer_heap_cancel(&m->heap, &m->enforce_timer);
        else
                timer_heap_set(&m->heap, &m->enforce_timer, at, on_enforce_deadline, m);
}

/* ---- messages of validated chunks */

static void send_units(ManagedUnit *to, uint64_t req) {
        Manager *m = to->m;
        MsgBuilder b;
        for (uint32_t i = 0; i < m->n_units; i++) {
                const ManagedUnit *u = &m->units[i];
                msg_begin(&b, MSG_UNIT_INFO);
                msg_put_u64(&b, TAG_REQ, req);
                msg_put_cstr(&b, TAG_UNIT, u->config->name);
                msg_put_cstr(&b, TAG_STATE, unit_state_to_string((int)unit_machine_state(&u->machine)));
                msg_put_u64(&b, TAG_PID, (uint64_t)u->pid);
                msg_put_u64(&b, TAG_START_TIME, u->pid ? u->start_time : 0);
                msg_put_bytes(&b, TAG_BOOT_ID, m->boot_id);
                msg_put_u64(&b, TAG_PRIORITY_MILLI, u->config->priority_milli);
                msg_put_bool(&b, TAG_CRITICAL, u->config->critical);
                msg_put_bool(&b, TAG_CAN_FAIL, u->config->can_fail);
                for (int h = 0; h < _HEAL_MAX; h++)
                        if (u->config->heal & (1u << h))
                                msg_put_cstr(&b, TAG_HEAL, healing_action_to_string(h));
                for (unsigned k = 0; k < u->config->labels.n; k++)
                        msg_put_cstr(&b, TAG_LABEL, u->config->labels.items[k]);
                msg_put_u64(&b, TAG_NOW_BOOT_US, clock_boot_us());
                msg_put_u64(&b, TAG_INSTANCE, u->machine.instance);
                if (conn_send(to->peer->conn, &b, (Str){NULL, 0}, -1) < 0)
                        return;
        }
        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_u64(&b, TAG_STATUS, 0);
        msg_put_cstr(&b, TAG_CODE, "ok");
        conn_send(to->peer->conn, &b, (Str){NULL, 0}, -1);
}

void govern_unit_msg(ManagedUnit *u, Msg *msg) {
        Manager *m = u->m;
        if (msg->type == MSG_UNITS) {
                send_units(u, msg_u64(msg, TAG_REQ, 0));
                return;
        }
        if (msg->type != MSG_PROPOSE) {
                log_error("a message that this chunk may not send", LOG_UNIT(u->config->name), LOG_STR("type", msg_type_name(msg->type)));
                process_signal(u->pid, u->start_time, SIGKILL);
                return;
        }
        EnforceProposal p = {0};
        Waiter *w = govern_waiter(m, 0, msg_u64(msg, TAG_REQ, 0));
        if (!w)
                return;
        w->unit = u->index;
        w->peer_instance = u->peer->instance;
        int r = enforce_proposal_from_msg(msg, u->config->name, &p);
        if (r < 0) {
                EnforceReply no = {.waiter = w->id, .code = CODE_INVALID, .decision_index = UINT64_MAX, .intent_index = UINT64_MAX,
                        .action_index = UINT64_MAX, .approval_id = "", .reason = "too many arguments or claims", .correlation_id = ""};
                op_reply(m, &no);
                return;
        }
        p.waiter = w->id;
        enforce_propose(m->enforce, &p, manager_now());
}

/* ---- the verb `wait` */

static bool unit_matches(const ManagedUnit *u, const char *state) {
        return strcmp(unit_state_to_string((int)unit_machine_state(&u->machine)), state) == 0 ||
               strcmp(unit_verdict_to_string((int)u->machine.verdict), state) == 0 ||
               strcmp(health_to_string((int)u->machine.health), state) == 0;
}

void govern_wait_check(Manager *m) {
        LIST_FOREACH_SAFE(n, next, &m->waiters) {
                Waiter *w = container_of(n, Waiter, node);
                if (!w->waits_state)
                        continue;
                bool all = w->n_wait_units > 0 || strcmp(boot_state_to_string(m->boot.state), w->state) == 0;
                for (unsigned i = 0; i < w->n_wait_units && all; i++)
                        all = unit_matches(&m->units[w->wait_units[i]], w->state);
                if (!all)
                        continue;
                control_result(m->control, w->client, w->req, 0, "ok", NULL, (Str){NULL, 0}, false, -1);
                waiter_free(w);
        }
}
