/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The hub: everything that Guardian holds while it supervises, and the loop turn that ties the pure cores (unit machines,
 * boot coordinator, enforcement) to processes, pipes and time. Nothing here decides: an event goes into a core, the core's
 * commands are carried out.
 *
 *   manager.c     the loop, signals, deadlines, the queue of unit events, the end
 *   unit-ops.c    commands of the unit machine
 *   unit-prepare.c what a command needs of the file system, on a thread
 *   unit-spawn.c  launch plans and helpers
 *   chunk-peer.c  the control pipe of a chunk: HELLO, challenge, evidence
 *   links.c       streams between chunks, for persons and for kernels on the mesh
 *   lifecycle.c   what is recorded and published about units
 *   govern.c      EnforceOps: acts, facts, waiters
 *   verbs*.c      the control socket's verbs
 */
#include "common/conn.h"
#include "common/list.h"
#include "common/log.h"
#include "common/roles-blob.h"
#include "guardian/boot.h"
#include "guardian/control.h"
#include "guardian/enforce/enforce.h"
#include "guardian/marker.h"
#include "guardian/options.h"
#include "guardian/prepare.h"
#include "guardian/probe.h"
#include "guardian/spool.h"
#include "guardian/unit-load.h"
#include "guardian/unit-state.h"
#include "guardian/worker.h"
#include "supervisor/evidence.h"
#include "supervisor/group.h"
#include "supervisor/launch.h"
#include "supervisor/manifest.h"
#include "supervisor/notify.h"
#include "supervisor/output.h"
#include "supervisor/reap.h"
#include "supervisor/timer-heap.h"

typedef struct Manager Manager;
typedef struct ManagedUnit ManagedUnit;
typedef struct ProbeLook ProbeLook;
typedef struct Preparation Preparation;

/* A chunk's end of the control pipe, for one instance. */
typedef struct ChunkPeer {
        Conn *conn;
        uint64_t instance, epoch;
        uint8_t secret[32], nonce[32];
        bool challenged, proven, validated;
        bool evidence_ok;
        char handlers[16][129]; /* declared with the challenge's answer */
        unsigned n_handlers;
        TimerId deadline;       /* of a process that outlived its pipe */
} ChunkPeer;

/* The act of a request on this unit that has not come out yet. */
typedef struct PendingAct {
        bool open;
        uint8_t request_id[16];
        char action[64];
        uint64_t instance; /* when it began */
} PendingAct;

enum { UNIT_ISSUES_MAX = 8, STATUS_TEXT_MAX = 127 };
struct ManagedUnit {
        Manager *m;
        uint32_t index; /* in manager->units and in the plan */
        UnitConfig *config; /* owned by the set */
        UnitMachine machine;
        Group group;
        pid_t pid;           /* main process, 0: none */
        uint64_t start_time;
        pid_t helper;        /* the command of CMD_RUN, 0: none */
        bool helper_privileged, emptying, group_ready;
        Prepared *prepared;  /* of the last command, where unit_prepares(); owned */
        Preparation *preparation; /* under way, NULL */
        Preparation *hanging;     /* one that nobody waits for any more, its thread is not back */
        Output *output;
        NotifySocket *notify;
        Probe *probes[_PROBE_KIND_MAX];
        ProbeLook *probe_looks[_PROBE_KIND_MAX]; /* for the program of one; may outlive it */
        TimerId timers[_TIMER_MAX];
        ChunkPeer *peer;     /* Type=chunk while an instance runs */
        EvidencePlan *plan;  /* of the running instance where evidence is taken */
        Evidence *evidence;  /* last taken */
        char *issues[UNIT_ISSUES_MAX]; /* of the last validation or failed start; owned */
        unsigned n_issues;
        char *status_text;   /* STATUS=, owned; NULL: none */
        uint64_t since_ns;   /* wall, of the visible state */
        uint64_t rss_ready;  /* bytes, when it became ready */
        PendingAct act;
        LaunchExe exe;       /* of a chunk pinned by the manifest: opened and hashed once, every instance runs it; fd -1 */
        int mesh_listen;     /* listening socket of a kernel with Links=mesh, -1 */
};

typedef struct UnitQueueItem {
        uint32_t unit;
        uint64_t instance; /* 0: any */
        UnitEvent event;
} UnitQueueItem;

/* Who waits on the control socket or on a control pipe; numbered, never reused. */
typedef struct Waiter {
        List node;
        uint64_t id;
        uint64_t client, req;  /* control socket; client 0: a unit's PROPOSE */
        uint32_t unit;         /* PROPOSE: index */
        uint64_t peer_instance;
        bool no_block;
        uint64_t waits_marker_us; /* pause, resume: answered when the marker stands, or then; 0: neither */
        /* `wait` verb */
        bool waits_state;
        char state[32];
        uint32_t wait_units[32];
        unsigned n_wait_units;
} Waiter;

struct Manager {
        uv_loop_t loop;
        Options *opt;
        UnitSet *set;
        Plan *plan;
        Boot boot;
        ManagedUnit *units; /* as in plan->units */
        uint32_t n_units;
        uint8_t boot_id[16];
        uint64_t own_start_time;
        char instance_id[40]; /* of this run */

        uv_signal_t signals[8];
        unsigned n_signals;
        uv_timer_t timer;
        TimerHeap heap;
        TimerId enforce_timer, marker_timer;
        ReapTable reap;
        GroupRoot groups;
        Workers *workers;
        OutputHub *output;
        Control *control;
        Manifest manifest;
        bool have_manifest;
        RolesBlob *roles; /* NULL: root and our own uid only */
        Enforce *enforce;
        Spool *spool;
        Marker marker;
        char state_dir[1100]; /* STATE/guardian, "" without */
        int state_lock_fd;
        int notify_dir_fd;
        char notify_dir[1200];

        UnitQueueItem *queue; /* ring */
        uint32_t q_head, q_len, q_cap;
        bool pumping;

        uint32_t ledger, governance, mesh, immune; /* unit indexes or PLAN_NONE */
        uint32_t next_epoch;
        List waiters;
        uint64_t next_waiter;
        LogLimit refused_limit, record_limit;
        uint64_t glass_waiter; /* of the break-glass that is being put on record, 0 */
        List followers;       /* of `logs -f` */
        List person_links;
        uint64_t unit_soft_nofile;

        bool stopping;
        bool leftovers; /* units are down, orphans may be left */
        TimerId leftover_timer;
        bool shutdown_asked; /* by a person: carried out at the end of this turn, after the answer */
        int shutdown_status;
        char shutdown_why[256];
        uint64_t stop_asked_us; /* boot time of the last wish to stop */
        int exit_status;
        bool exit_status_set;
        uint64_t begin_us, boot_us;
        uint64_t events_dropped;
        uint64_t seed;
        char abort_text[2048];
        uint8_t logged_root[32];
        List pending_events; /* lifecycle events while the mesh is away, bounded */
        unsigned n_pending_events;
};

/* ---- manager.c */
/* Takes what main() has loaded. 0, or -errno after logging; then manager_free(). */
int manager_init(Manager *m, Options *opt, UnitSet *set, Plan *plan);
int manager_run(Manager *m); /* to the end; the exit status */
/* How many threads hang in the file system: not 0, what was given to manager_init() is still read and must not be freed. */
unsigned manager_free(Manager *m);
void manager_stop(Manager *m, int exit_status, const char *why); /* ordered; again: escalates */
/* Queues one event; it is fed in this loop turn, in order. instance 0: whatever instance runs then. */
void unit_feed(ManagedUnit *u, UnitEvent ev, uint64_t instance);
/* Feeds what is queued, lets the coordinator order, until nothing is left. Not re-entrant: a nested call only returns. */
void manager_pump(Manager *m);
ManagedUnit *manager_unit(Manager *m, Str name);
EnforceNow manager_now(void);
void manager_rearm(Manager *m); /* one uv_timer for the earliest deadline */

/* ---- unit-ops.c */
void unit_command(ManagedUnit *u, const UnitCommand *c);
void unit_issue(ManagedUnit *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void unit_issues_clear(ManagedUnit *u);
void unit_check_emptying(Manager *m); /* after a reap */
Incarnation unit_incarnation(const ManagedUnit *u);

/* CMD_RUN, once prepared; error: what stood in the way already, then only the answer is given. */
void unit_run_helper(ManagedUnit *u, ExecList list, unsigned index, int error);

/* ---- unit-prepare.c */
/* CMD_PREPARE and CMD_RUN; at once where there is nothing to prepare. */
void unit_prepare(ManagedUnit *u, const UnitCommand *c);
/* After every event: a preparation that the unit no longer waits for is dropped, with an issue if that was by a deadline. */
void unit_prepare_moved_on(ManagedUnit *u, UnitEventType by);
void unit_prepare_drop(ManagedUnit *u);

/* ---- unit-spawn.c */
/* Starts the main process. 0 (u->pid is set), or -errno with an issue that says what and where. */
int unit_spawn_main(ManagedUnit *u, unsigned index);
/* Starts one command besides it (ExecStartPre.., exec probes) in the unit's group. */
int unit_spawn_helper(ManagedUnit *u, const ExecCommand *c, ReapFn fn, void *user, pid_t *pid);
int unit_spawn_probe(
        ManagedUnit *u, const ExecCommand *c, const char *path, ReapFn fn, void *user, pid_t *pid);

/* ---- unit-probe.c */
void unit_probe_start(ManagedUnit *u, ProbeKind k);
void unit_probes_stop(ManagedUnit *u);

/* ---- chunk-peer.c */
/* fd: our end. Sends HELLO. */
int chunk_peer_new(ManagedUnit *u, int fd);
void chunk_peer_free(ManagedUnit *u);
bool chunk_part_ready(Manager *m, uint32_t unit); /* runs, validated, pipe open */
void unit_take_evidence(ManagedUnit *u);

/* ---- links.c */
void links_chunk_up(ManagedUnit *u);        /* its control pipe is there: make its links */
void links_chunk_validated(ManagedUnit *u); /* peers may take more than queries */
void links_chunk_gone(ManagedUnit *u);
/* A stream for a person to a chunk: *fd is the person's end (caller closes). -ENOENT: no such chunk or not ready. */
int links_connect_person(Manager *m, const char *unit, const Peer *peer, int *fd);
int links_mesh_socket(ManagedUnit *u, uid_t uid, char *path, size_t cap); /* RUNTIME/mesh/UNIT.sock, made once */
void links_mesh_socket_close(ManagedUnit *u); /* and removes its file */
void links_mesh_dir_remove(Manager *m);

/* ---- lifecycle.c */
void lifecycle_state(ManagedUnit *u, UnitState from, UnitState to);
void lifecycle_end(ManagedUnit *u);
/* Why it did not get ready, for people: its issues, or how it ended. */
void lifecycle_why(const ManagedUnit *u, char *out, size_t cap);
void lifecycle_boot(Manager *m, const char *what, const char *detail);
void lifecycle_publish(Manager *m, const char *type, const char *resource, const char *correlation_id, Str payload);
void lifecycle_flush(Manager *m); /* the mesh is there */
void lifecycle_done(Manager *m);

/* ---- govern.c */
int govern_init(Manager *m);
void govern_done(Manager *m);
void govern_turn(Manager *m);          /* after every event into enforce: its deadline */
void govern_unit_settled(ManagedUnit *u); /* its act may have come out */
/* An event for an instance that is no more was dropped: if it was an act's, that comes out. */
void govern_unit_passed(ManagedUnit *u, UnitEventType type, uint64_t instance);
void govern_unit_refused(ManagedUnit *u, const char *why); /* the machine took no such event now */
void govern_unit_reloaded(ManagedUnit *u, bool well);
Waiter *govern_waiter(Manager *m, uint64_t client, uint64_t req); /* NULL: no memory */
void govern_client_gone(Manager *m, uint64_t client);
bool govern_forget(Manager *m, uint64_t waiter); /* false: it has its answer */
void govern_unit_msg(ManagedUnit *u, Msg *m); /* PROPOSE, UNITS of a validated chunk */
void govern_wait_check(Manager *m);    /* `wait` verbs */

/* ---- verbs.c */
extern const ControlOps manager_control_ops;
