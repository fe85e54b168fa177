/* SPDX-License-Identifier: Apache-2.0 */
/* `logs`: what is kept of the units' output, and with follow=1 a stream of what comes. One RESULT a line. */
#include "common/log.h"
#include "guardian/verbs.h"
#include <stdlib.h>
#include <string.h>

enum {
        LOGS_UNITS_MAX = 32,
        LOGS_LINES_MAX = 4096,
        LOGS_BYTES_MAX = 2 * 1024 * 1024, /* of kept lines as JSON: they go out at once */
        LOGS_FOLLOWERS_MAX = 16,          /* each costs PID 1 work for every line */
        LOGS_STRANGERS_MAX = 8,           /* of them, callers below operator */
};

typedef struct Follow {
        OutputFollower follower;
        List node;
        Manager *m;
        uint64_t client, req;
        uint64_t lost; /* lines since the last one that it took */
        bool stranger;
        char units[LOGS_UNITS_MAX][129];
        unsigned n_units;
        char grep[256];
} Follow;

static void line_json(Buf *out, const char *unit, const LineView *l, uint64_t lost) {
        JsonWriter w;
        out->len = 0;
        json_init(&w, out, false);
        json_object_begin(&w);
        json_key(&w, "time");
        json_time(&w, l->wall_ns);
        json_kv_str(&w, "unit", unit);
        json_key(&w, "text");
        json_str(&w, l->text);
        if (lost)
                json_kv_u64(&w, "lost_before", lost);
        json_object_end(&w);
        if (json_finish(&w) < 0)
                out->len = 0;
}

static bool wanted(const Follow *f, const char *unit, const LineView *l) {
        bool ok = f->n_units == 0;
        for (unsigned i = 0; i < f->n_units && !ok; i++)
                ok = strcmp(f->units[i], unit) == 0;
        return ok && (!f->grep[0] || memmem(l->text.p, l->text.n, f->grep, strlen(f->grep)));
}

static void send_line(Follow *f, const char *unit, const LineView *l) {
        Buf b = BUF_INIT(128 * 1024); /* a line of control bytes is six times as long in JSON */
        line_json(&b, unit, l, f->lost);
        if (b.len && control_result(f->m->control, f->client, f->req, 0, "ok", NULL,
                             (Str){(char *)b.data, b.len}, true, -1) == 0)
                f->lost = 0;
        else
                f->lost++;
        buf_done(&b);
}

/* One that does not read loses lines, counted; nobody waits for it. */
static void on_line(void *user, const char *unit, const LineView *l) {
        Follow *f = user;
        if (!wanted(f, unit, l))
                return;
        if (control_full(f->m->control, f->client))
                f->lost++;
        else
                send_line(f, unit, l);
}

typedef struct Kept {
        const char *unit;
        LineView line;
} Kept;

static int by_seq(const void *a, const void *b) {
        const Kept *x = a, *y = b;
        return x->line.seq < y->line.seq ? -1 : x->line.seq > y->line.seq;
}

static size_t json_size(Str s) {
        size_t n = s.n + 200;
        for (size_t i = 0; i < s.n; i++)
                n += (uint8_t)s.p[i] < ' ' ? 5 : (s.p[i] == '"' || s.p[i] == '\\');
        return n;
}

/* Kept lines of the wanted units in the order in which they came, the newest `max` of them. */
static void send_kept(Manager *m, Follow *f, size_t max, uint64_t since_ns) {
        Kept *all = calloc(LOGS_LINES_MAX, sizeof(*all));
        LineView *views = calloc(LOGS_LINES_MAX, sizeof(*views));
        size_t n = 0;
        for (uint32_t i = 0; all && views && i < m->n_units && n < LOGS_LINES_MAX; i++) {
                ManagedUnit *u = &m->units[i];
                size_t k = u->output ? output_tail(u->output, views, LOGS_LINES_MAX - n) : 0;
                for (size_t j = 0; j < k; j++)
                        if (views[j].wall_ns >= since_ns && wanted(f, u->config->name, &views[j]))
                                all[n++] = (Kept){u->config->name, views[j]};
        }
        if (n)
                qsort(all, n, sizeof(*all), by_seq);
        size_t first = n, bytes = 0;
        while (first > 0 && n - first < max &&
                (bytes += json_size(all[first - 1].line.text)) <= LOGS_BYTES_MAX)
                first--;
        for (size_t i = first; i < n; i++)
                send_line(f, all[i].unit, &all[i].line);
        free(all);
        free(views);
}

static bool may_follow(const Call *c) {
        unsigned n = 0, strangers = 0;
        LIST_FOREACH (it, &c->m->followers) {
                n++;
                strangers += container_of(it, Follow, node)->stranger;
        }
        return n < LOGS_FOLLOWERS_MAX && (c->peer->role >= ROLE_OPERATOR || strangers < LOGS_STRANGERS_MAX);
}

void verb_logs(const Call *c) {
        bool follow = msg_arg(c->msg, TAG_ARG, "follow").p != NULL;
        if (follow && !may_follow(c)) {
                verb_refuse(c, CODE_BUSY, "too many follow the logs already");
                return;
        }
        Follow *f = calloc(1, sizeof(*f));
        if (!f) {
                verb_refuse(c, CODE_BUSY, "out of memory");
                return;
        }
        uint64_t max = 0, since = 0;
        char text[40];
        size_t pos = 0;
        Str s;
        f->m = c->m;
        f->client = c->client;
        f->req = c->req;
        f->stranger = c->peer->role < ROLE_OPERATOR;
        while (msg_next_str(c->msg, TAG_UNIT, &pos, &s)) {
                if (!manager_unit(c->m, s) || f->n_units >= LOGS_UNITS_MAX) {
                        free(f);
                        verb_refuse(c, CODE_UNKNOWN_UNIT, "there is no such unit");
                        return;
                }
                str_copy(f->units[f->n_units++], sizeof(f->units[0]), s);
        }
        str_copy(f->grep, sizeof(f->grep), msg_arg(c->msg, TAG_ARG, "grep"));
        str_copy(text, sizeof(text), msg_arg(c->msg, TAG_ARG, "n"));
        if (!text[0] || parse_u64(text, &max) < 0)
                max = 100;
        str_copy(text, sizeof(text), msg_arg(c->msg, TAG_ARG, "since_ns"));
        if (text[0] && parse_u64(text, &since) < 0)
                since = 0;
        send_kept(c->m, f, max, since);
        if (!follow) {
                verb_result(c, 0, "ok", NULL, (Str){NULL, 0});
                free(f);
                return;
        }
        f->follower = (OutputFollower){.on_line = on_line, .user = f};
        output_follow(c->m->output, &f->follower);
        list_append(&c->m->followers, &f->node);
}

static void follow_free(Follow *f) {
        output_unfollow(&f->follower);
        list_remove(&f->node);
        free(f);
}

void verb_logs_gone(Manager *m, uint64_t client) {
        LIST_FOREACH_SAFE (n, next, &m->followers) {
                Follow *f = container_of(n, Follow, node);
                if (f->client == client)
                        follow_free(f);
        }
}

void verb_logs_done(Manager *m) {
        LIST_FOREACH_SAFE (n, next, &m->followers)
                follow_free(container_of(n, Follow, node));
}
