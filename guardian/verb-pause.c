/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause and resume hold at once and are Guardian's alone; whether they outlive Guardian is known when the
 * marker in the state directory is written. The answer waits for that, not for longer than a moment: then, or
 * when the file can't be changed, it is a failure that says what holds and what does not. status says it as
 * well.
 */
#include "guardian/verbs.h"
#include "common/clock.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint64_t ANSWER_LIMIT_US = 2000000; /* guardianctl gives up after 5 s */

/* Why the switch, as it stands, may not outlive Guardian; "" when it does, or when there was nothing to
 * write. */
const char *pause_warning(Manager *m, char *out, size_t cap) {
        EnforceStatus st;
        int error = marker_error(&m->marker);
        enforce_status(m->enforce, manager_now(), &st);
        out[0] = 0;
        if (error < 0)
                snprintf(out, cap, "%s: %s",
                        st.paused ? "the pause does not outlive guardian, its marker can't be written"
                                  : "guardian would start paused, the marker can't be removed",
                        error == -ENOENT ? "there is no state directory" : strerror(-error));
        return out;
}

static void answer(Manager *m, const Waiter *w) {
        char why[256], text[320];
        Call c = {.m = m, .client = w->client, .req = w->req};
        pause_warning(m, why, sizeof(why));
        if (!why[0] && marker_pending(&m->marker))
                snprintf(why, sizeof(why), "the marker is not written yet, and guardian's end would lose it");
        EnforceStatus st;
        enforce_status(m->enforce, manager_now(), &st);
        snprintf(text, sizeof(text), "%s, but %s", st.paused ? "paused" : "resumed", why);
        /* a set that keeps no state at all has not been promised more */
        verb_code(&c, why[0] && m->state_dir[0] ? CODE_FAILED : CODE_OK, why[0] ? text : "");
}

static void on_limit(void *user, uint64_t now_us);

/* Those whose time is up are answered; the timer waits for the next of the others. */
static void answer_until(Manager *m, uint64_t until_us) {
        uint64_t next = UINT64_MAX;
        LIST_FOREACH_SAFE (n, following, &m->waiters) {
                Waiter *w = container_of(n, Waiter, node);
                if (!w->waits_marker_us)
                        continue;
                if (w->waits_marker_us <= until_us) {
                        answer(m, w);
                        govern_forget(m, w->id);
                } else if (w->waits_marker_us < next) {
                        next = w->waits_marker_us;
                }
        }
        if (next == UINT64_MAX)
                timer_heap_cancel(&m->heap, &m->marker_timer);
        else
                timer_heap_set(&m->heap, &m->marker_timer, next, on_limit, m);
}

static void on_limit(void *user, uint64_t now_us) {
        answer_until(user, now_us);
}

void verb_pause_settled(void *user) {
        answer_until(user, UINT64_MAX);
}

static void switch_it(const Call *c, const char *verb, Code code) {
        Manager *m = c->m;
        if (code != CODE_OK) {
                verb_switch(c, verb, code);
                return;
        }
        marker_retry(&m->marker);
        Waiter *w = govern_waiter(m, c->client, c->req);
        if (!w) {
                verb_code(c, CODE_FAILED, "it is in force; out of memory, nobody waits for the marker");
                return;
        }
        w->waits_marker_us = clock_boot_us() + ANSWER_LIMIT_US;
        answer_until(m, marker_pending(&m->marker) ? 0 : UINT64_MAX);
}

void verb_pause(const Call *c) {
        Str reason = msg_str(c->msg, TAG_REASON);
        if (!reason.n) {
                verb_code(c, CODE_INVALID, "a reason is missing");
                return;
        }
        switch_it(c, "pause",
                enforce_pause(c->m->enforce, verb_actor(c->peer), c->peer->actor, c->peer->role, reason,
                        manager_now()));
}

void verb_resume(const Call *c) {
        switch_it(c, "resume",
                enforce_resume(
                        c->m->enforce, verb_actor(c->peer), c->peer->actor, c->peer->role, manager_now()));
}
