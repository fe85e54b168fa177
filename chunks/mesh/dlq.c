/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/dlq.h"
#include "common/cleanup.h"
#include "common/log.h"
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Waiting {
        List node;
        MeshEvent *event;
        char *id, *route, *action, *reason, *error;
        unsigned attempts;
        uint64_t wall_ns;
} Waiting;
struct Dlq {
        sqlite3 *db;
        sqlite3_stmt *insert, *count, *list;
        List waiting;
        unsigned n_waiting;
        uint64_t lost;
        LogLimit error_limit, full_limit;
};

static const char SCHEMA[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=0;"
        "CREATE TABLE IF NOT EXISTS dead_letters ("
        " id TEXT PRIMARY KEY, type TEXT NOT NULL, route TEXT NOT NULL, action TEXT, reason TEXT NOT NULL,"
        " error TEXT, attempts INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,"
        " state TEXT NOT NULL, event_index INTEGER NOT NULL, envelope TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX IF NOT EXISTS dead_letters_by_time ON dead_letters (last_ns);";
static const char INSERT[] =
        "INSERT INTO dead_letters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, 'pending', ?9, ?10)"
        " ON CONFLICT (id) DO UPDATE SET attempts = attempts + excluded.attempts, last_ns = excluded.last_ns,"
        " reason = excluded.reason, error = excluded.error";
static const char LIST[] =
        "SELECT id, type, route, action, reason, error, attempts, first_ns, last_ns, state,"
        " event_index FROM dead_letters ORDER BY last_ns DESC, id LIMIT ?1";

static int db_error(Dlq *d, const char *what) {
        uint64_t held;

        if (log_limit(&d->error_limit, &held))
                log_error("the store of dead letters (mesh.db) fails", LOG_STR("while", what),
                        LOG_STR("reason", d->db ? sqlite3_errmsg(d->db) : "out of memory"),
                        LOG_U64("waiting", d->n_waiting), LOG_HELD(held));
        return -EIO;
}

static int dlq_prepare(Dlq *d) {
        const struct {
                const char *sql;
                sqlite3_stmt **stmt;
        } all[] = {{INSERT, &d->insert}, {"SELECT count(*) FROM dead_letters", &d->count}, {LIST, &d->list}};

        if (sqlite3_exec(d->db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK)
                return db_error(d, "schema");
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                if (sqlite3_prepare_v2(d->db, all[i].sql, -1, all[i].stmt, NULL) != SQLITE_OK)
                        return db_error(d, "prepare");
        return 0;
}

int dlq_open(const char *dir, Dlq **ret) {
        auto_free char *path = NULL;
        Dlq *d = calloc(1, sizeof(*d));
        int r = 0;

        if (!d)
                return -ENOMEM;
        list_init(&d->waiting);
        if (asprintf(&path, *dir ? "%s/mesh.db" : "%s:memory:", dir) < 0) {
                path = NULL;
                dlq_free(d);
                return -ENOMEM;
        }
        if (sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                    NULL) != SQLITE_OK)
                r = db_error(d, "open");
        if (r == 0)
                r = dlq_prepare(d);
        if (r < 0) {
                dlq_free(d);
                return r;
        }
        *ret = d;
        return 0;
}

static void waiting_free(Dlq *d, Waiting *w) {
        list_remove(&w->node);
        d->n_waiting--;
        mesh_event_unref(w->event);
        free(w->id);
        free(w->route);
        free(w->action);
        free(w->reason);
        free(w->error);
        free(w);
}

Dlq *dlq_free(Dlq *d) {
        if (!d)
                return NULL;
        if (d->insert)
                dlq_commit(d);
        LIST_FOREACH_SAFE (it, nx, &d->waiting)
                waiting_free(d, container_of(it, Waiting, node));
        sqlite3_finalize(d->insert);
        sqlite3_finalize(d->count);
        sqlite3_finalize(d->list);
        sqlite3_close(d->db);
        free(d);
        return NULL;
}

static char *copy_of(const char *s) {
        return strdup(s ? s : "");
}

int dlq_put(Dlq *d, const DlqLetter *l) {
        Waiting *w = d->n_waiting < DLQ_BATCH_MAX ? calloc(1, sizeof(*w)) : NULL;

        if (!w) {
                d->lost++;
                return -ENOBUFS;
        }
        list_append(&d->waiting, &w->node);
        d->n_waiting++;
        /* the letter holds no right to change the event, only to keep it */
        w->event = mesh_event_ref((MeshEvent *)(uintptr_t)l->event);
        if (asprintf(&w->id, "dlq-%" PRIu64 "-%s%s%s", l->event->index, l->route, l->action ? "-" : "",
                    l->action ? l->action : "") < 0)
                w->id = NULL;
        w->route = copy_of(l->route);
        w->action = copy_of(l->action);
        w->reason = copy_of(l->reason);
        w->error = copy_of(l->error);
        w->attempts = l->attempts;
        w->wall_ns = l->wall_ns;
        if (!w->id || !w->route || !w->action || !w->reason || !w->error) {
                waiting_free(d, w);
                d->lost++;
                return -ENOBUFS;
        }
        return 0;
}

bool dlq_waiting(const Dlq *d) {
        return d->n_waiting > 0;
}

uint64_t dlq_count(Dlq *d) {
        uint64_t n = sqlite3_step(d->count) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(d->count, 0) : 0;

        sqlite3_reset(d->count);
        return n;
}

uint64_t dlq_lost(const Dlq *d) {
        return d->lost;
}

static int letter_insert(Dlq *d, const Waiting *w) {
        sqlite3_stmt *s = d->insert;
        Buf envelope = BUF_INIT(2 * FRAME_MAX);
        int r = mesh_event_json(w->event, &envelope);

        if (r == 0) {
                sqlite3_bind_text(s, 1, w->id, -1, SQLITE_STATIC);
                sqlite3_bind_text(s, 2, w->event->type, -1, SQLITE_STATIC);
                sqlite3_bind_text(s, 3, w->route, -1, SQLITE_STATIC);
                sqlite3_bind_text(s, 4, *w->action ? w->action : NULL, -1, SQLITE_STATIC);
                sqlite3_bind_text(s, 5, w->reason, -1, SQLITE_STATIC);
                sqlite3_bind_text(s, 6, w->error, -1, SQLITE_STATIC);
                sqlite3_bind_int64(s, 7, w->attempts);
                sqlite3_bind_int64(s, 8, (sqlite3_int64)w->wall_ns);
                sqlite3_bind_int64(s, 9, (sqlite3_int64)w->event->index);
                sqlite3_bind_text(s, 10, (const char *)envelope.data, (int)envelope.len, SQLITE_STATIC);
                r = sqlite3_step(s) == SQLITE_DONE ? 0 : -EIO;
                sqlite3_reset(s);
                sqlite3_clear_bindings(s);
        }
        buf_done(&envelope);
        return r;
}

static int waiting_insert(Dlq *d, uint64_t room) {
        LIST_FOREACH (it, &d->waiting) {
                int r;

                if (room-- == 0)
                        break;
                r = letter_insert(d, container_of(it, Waiting, node));
                if (r < 0)
                        return r;
        }
        return 0;
}

int dlq_commit(Dlq *d) {
        uint64_t have = dlq_count(d), room = have < DLQ_MAX ? DLQ_MAX - have : 0, held;

        if (!d->n_waiting)
                return 0;
        if (sqlite3_exec(d->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
                return db_error(d, "begin");
        if (waiting_insert(d, room) < 0 || sqlite3_exec(d->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
                int r = db_error(d, "write");

                sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
                return r;
        }
        if (d->n_waiting > room) {
                d->lost += d->n_waiting - room;
                if (log_limit(&d->full_limit, &held))
                        log_error("dead letters are full: what comes now is lost", LOG_U64("limit", DLQ_MAX),
                                LOG_U64("lost", d->lost),
                                LOG_STR("hint", "guardianctl dlq list says why events end there"));
        }
        LIST_FOREACH_SAFE (it, nx, &d->waiting)
                waiting_free(d, container_of(it, Waiting, node));
        return 0;
}

int dlq_self_test(Dlq *d, char *why, size_t cap) {
        static const char probe[] =
                "SAVEPOINT probe; INSERT INTO dead_letters VALUES "
                "('self-test','t','r',NULL,'x','',0,0,0,'pending',0,'{}');"
                "DELETE FROM dead_letters WHERE id = 'self-test'; ROLLBACK TO probe; RELEASE probe;";

        if (sqlite3_exec(d->db, probe, NULL, NULL, NULL) == SQLITE_OK)
                return 0;
        snprintf(why, cap, "the store of dead letters: %s", sqlite3_errmsg(d->db));
        sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
        return -EIO;
}

static const char *column(sqlite3_stmt *s, int i) {
        return (const char *)sqlite3_column_text(s, i);
}

int dlq_json(Dlq *d, unsigned limit, JsonWriter *w) {
        int r;

        json_array_begin(w);
        sqlite3_bind_int64(d->list, 1, limit);
        while ((r = sqlite3_step(d->list)) == SQLITE_ROW) {
                json_object_begin(w);
                json_kv_str(w, "id", column(d->list, 0));
                json_kv_str(w, "type", column(d->list, 1));
                json_kv_str(w, "reason", column(d->list, 4));
                json_kv_u64(w, "attempts", (uint64_t)sqlite3_column_int64(d->list, 6));
                json_key(w, "first");
                json_time(w, (uint64_t)sqlite3_column_int64(d->list, 7));
                json_key(w, "last");
                json_time(w, (uint64_t)sqlite3_column_int64(d->list, 8));
                json_kv_str(w, "state", column(d->list, 9));
                json_kv_str(w, "route", column(d->list, 2));
                json_kv_str(w, "action", column(d->list, 3));
                json_kv_str(w, "error", column(d->list, 5));
                json_kv_u64(w, "index", (uint64_t)sqlite3_column_int64(d->list, 10));
                json_object_end(w);
        }
        sqlite3_reset(d->list);
        json_array_end(w);
        return r == SQLITE_DONE ? 0 : db_error(d, "list");
}
