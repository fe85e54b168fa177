/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests on the control socket: frames, one after the other, through the table of verbs into the
 * enforcement core and the documents. The first byte says who asks: bits 0-2 the role, bit 3 a unit instead
 * of a person; bit 4: the set has a gate and a ledger (which are down). The socket and the loop are left out:
 * this file stands in for manager.c and control.c, so that an act comes out at once and no process is
 * started. Every answer must be a message, its body JSON, and a call gets one last answer.
 */
#include "common/clock.h"
#include "common/log.h"
#include "guardian/unit-file.h"
#include "guardian/verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UNITS = 4 };
static unsigned calls, finals;
static uint64_t now_us = 1000000000;

/* ---- in place of manager.c */

EnforceNow manager_now(void) {
        return (EnforceNow){now_us, 1763694000000000000u + now_us * 1000};
}
ManagedUnit *manager_unit(Manager *m, Str name) {
        for (uint32_t i = 0; i < m->n_units; i++)
                if (str_eq(name, m->units[i].config->name))
                        return &m->units[i];
        return NULL;
}
void unit_feed(ManagedUnit *u, UnitEvent ev, uint64_t instance) {
        (void)u;
        (void)ev;
        (void)instance;
}
void manager_pump(Manager *m) {
        for (uint32_t i = 0; i < m->n_units; i++)
                if (m->units[i].act.open)
                        govern_unit_refused(&m->units[i], "not in the unit's present state");
        m->shutdown_asked = false;
        govern_wait_check(m);
        govern_turn(m);
}
void manager_rearm(Manager *m) {
        (void)m;
}
void manager_stop(Manager *m, int exit_status, const char *why) {
        (void)m;
        (void)exit_status;
        (void)why;
}

/* ---- in place of control.c */

int control_result(Control *c, uint64_t client, uint64_t req, int status, const char *code,
        const char *message, Str body, bool more, int fd) {
        MsgBuilder b;
        Msg m;
        (void)c;
        (void)fd;
        if (client != 1)
                abort();
        msg_begin(&b, MSG_RESULT);
        msg_put_u64(&b, TAG_REQ, req);
        msg_put_u64(&b, TAG_STATUS, (uint64_t)status);
        msg_put_cstr(&b, TAG_CODE, code);
        msg_put_text(&b, TAG_MESSAGE, message);
        if (more)
                msg_put_bool(&b, TAG_MORE, true);
        if (msg_view(&b, body, &m) < 0 || (body.n && json_check(body, NULL, NULL) < 0))
                abort();
        finals += !more;
        return 0;
}
int control_document(Control *c, uint64_t client, uint64_t req, int status, const char *code,
        const char *message, Buf *document) {
        int r = control_result(c, client, req, status, code, message,
                (Str){(char *)document->data, document->len}, false, -1);
        buf_done(document);
        return r;
}
bool control_full(const Control *c, uint64_t client) {
        (void)c;
        (void)client;
        return false;
}
bool control_alive(const Control *c, uint64_t client) {
        (void)c;
        return client == 1;
}

int socket_listen_in(const char *dir, const char *name, unsigned mode) {
        (void)dir;
        (void)name;
        (void)mode;
        return -EACCES;
}

/* ---- a set */

static const char *const names[UNITS] = {"web", "db", "ledger", "governance"};
#define WEB                                                                                                  \
        "[Unit]\nDescription=a page\nRequires=db\n[Chunk]\nHeal=restart_service\nLabels=tier=front\n"        \
        "[Service]\nExecStart=/bin/true\nExecReload=/bin/true\n"
static const char *const files[UNITS] = {
        WEB,
        "[Chunk]\nCritical=yes\nHeal=restart_service quarantine_component\n[Service]\nExecStart=/bin/true\n",
        "[Service]\nExecStart=/bin/true\n",
        "[Service]\nExecStart=/bin/true\n",
};
static UnitConfig *configs[UNITS];
static UnitSet set = {.units = configs, .n = UNITS};
static Plan *plan;
static Options opt;
static uv_loop_t loop;
static OutputHub *hub;

static void prepare(void) {
        static const UnitPaths paths = {"/run/g", "/var/g", "/opt"};
        Problems p = {0};
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        for (unsigned i = 0; i < UNITS; i++) {
                configs[i] = unit_config_new(names[i]);
                if (!configs[i] ||
                        unit_file_parse(configs[i], str_of(files[i]), names[i], false, &paths, &p) < 0 ||
                        unit_file_finish(configs[i], &paths, &p) < 0)
                        abort();
        }
        if (p.errors || plan_build(configs, UNITS, &plan, &p) != 0 || uv_loop_init(&loop) < 0 || null < 0 ||
                output_hub_new(&loop, null, LOG_FORMAT_JSON, &hub) < 0) {
                fprintf(stderr, "%s\n", p.n ? p.items[0].message : "no memory");
                abort();
        }
        log_setup("fuzz", null, LOG_FORMAT_JSON, LOG_LEVEL_ERROR);
        str_copy(opt.state_dir, sizeof(opt.state_dir), STR_LIT("/var/lib/g"));
        problems_done(&p);
}

static Manager *manager(bool parts) {
        Manager *m = calloc(1, sizeof(*m));
        if (m)
                m->units = calloc(UNITS, sizeof(*m->units));
        if (!m || !m->units)
                abort();
        m->opt = &opt;
        m->set = &set;
        m->plan = plan;
        m->output = hub;
        m->n_units = UNITS;
        list_init(&m->waiters);
        list_init(&m->followers);
        list_init(&m->person_links);
        list_init(&m->pending_events);
        timer_heap_init(&m->heap);
        for (uint32_t i = 0; i < UNITS; i++) {
                m->units[i] = (ManagedUnit){
                        .m = m, .index = i, .config = configs[i], .mesh_listen = -1, .exe.fd = -1};
                unit_machine_init(&m->units[i].machine, configs[i], i);
                if (i != 1)
                        m->units[i].machine.phase = PHASE_RUNNING;
        }
        m->ledger = parts ? 2 : PLAN_NONE;
        m->governance = parts ? 3 : PLAN_NONE;
        m->mesh = m->immune = PLAN_NONE;
        if (boot_init(&m->boot, plan, false) < 0 || govern_init(m) < 0)
                abort();
        return m;
}

static void manager_done(Manager *m) {
        manager_control_ops.on_gone(NULL, 1, m);
        verb_logs_done(m);
        govern_done(m);
        lifecycle_done(m);
        timer_heap_done(&m->heap);
        boot_done(&m->boot);
        free(m->units);
        free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 1)
                return 0;
        if (!plan)
                prepare();
        Manager *m = manager(data[0] & 16);
        Peer peer = {.kind = data[0] & 8 ? PEER_UNIT : PEER_PERSON,
                .uid = 1000,
                .pid = 77,
                .role = (Role)((data[0] & 7) % (_ROLE_MAX))};
        str_copy(peer.actor, sizeof(peer.actor), str_of(data[0] & 8 ? "web" : "uid:1000"));
        calls = finals = 0;
        for (size_t at = 1; at < size;) {
                char why[160];
                size_t used;
                Msg msg;
                if (msg_decode(data + at, size - at, &msg, &used, why, sizeof(why)) != 0 ||
                        msg.type != MSG_CALL)
                        break;
                at += used;
                calls++;
                manager_control_ops.on_call(NULL, 1, &peer, &msg, m);
                now_us += 50000;
                if (enforce_deadline(m->enforce) <= now_us)
                        enforce_tick(m->enforce, manager_now());
        }
        if (finals > calls)
                abort();
        manager_done(m);
        return 0;
}
