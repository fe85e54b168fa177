/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/ctl/story.h"
#include "common/cleanup.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct Line {
        char *out;
        size_t at;
} Line;

__attribute__((format(printf, 2, 3))) static void add(Line *l, const char *fmt, ...) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(l->out + l->at, STORY_TEXT - l->at, fmt, ap);
        va_end(ap);
        if (n > 0)
                l->at = l->at + (size_t)n < STORY_TEXT ? l->at + (size_t)n : STORY_TEXT - 1;
}

/* Without the "leaky: " that a text begins with when it stands alone. */
static const char *without(const char *text, const char *unit) {
        size_t n = strlen(unit);
        return strncmp(text, unit, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2 : text;
}

static void add_words(Line *l, const json_t *list, const char *key, const char *before) {
        json_t *item;
        size_t i;
        json_array_foreach(list, i, item) add(
                l, "%s%s", i ? ", " : before, key ? json_get_str(item, key, "?") : json_string_value(item));
}

static void add_reason(Line *l, const json_t *o, const char *key) {
        const char *text = json_get_str(o, key, "");
        if (text[0])
                add(l, ": %s", text);
}

static void anomaly(Line *l, const json_t *r, const json_t *b) {
        const char *on = json_get_str(r, "resource", "?");
        add(l, "%s saw an anomaly on %s: %s, %s", json_get_str(r, "actor", "?"), on,
                json_get_str(b, "type", "?"), without(json_get_str(b, "text", ""), on));
}

static void incident(Line *l, const json_t *r, const json_t *b) {
        const char *state = json_get_str(b, "state", json_get_str(r, "result", "?")),
                   *action = json_get_str(b, "action", "it");
        add(l, "incident %s: ", json_get_str(b, "id", "?"));
        if (strcmp(state, "opened") == 0 && !json_get_str(b, "diagnosis", NULL))
                add(l, "opened; no diagnosis fits");
        else if (strcmp(state, "opened") == 0)
                add(l, "opened; diagnosis %s (%lld%%): %s", json_get_str(b, "diagnosis", "none"),
                        (long long)json_get_i64(b, "confidence", 0), json_get_str(b, "cause", "unknown"));
        else if (strcmp(state, "proposed") == 0)
                add(l, "%s proposed, from playbook %s", action, json_get_str(b, "playbook", "?"));
        else if (strcmp(state, "waiting_approval") == 0)
                add(l, "waits for a person to answer %s", json_get_str(b, "approval_id", "?"));
        else if (strcmp(state, "healed") == 0)
                add(l, "%s was carried out; now its effect is watched", action);
        else if (strcmp(state, "verified") == 0)
                add(l, "verified, %s", json_get_str(b, "outcome", "?"));
        else if (strcmp(state, "escalated") == 0)
                add(l, "escalated to people");
        else
                add(l, "%s", state);
        if (strcmp(state, "opened") != 0)
                add_reason(l, b, "reason");
        if (strcmp(state, "closed") == 0)
                add(l, ", outcome %s", json_get_str(b, "outcome", "?"));
}

static void decision(Line *l, const json_t *r, const json_t *b) {
        const char *verdict = json_get_str(b, "verdict", json_get_str(r, "result", "?")),
                   *would = json_get_str(b, "would", NULL);
        const char *approval = json_get_str(b, "approval_id", ""), *code = json_get_str(b, "code", "ok");
        const json_t *missed = json_get_path(b, "missed.0");
        bool ask = strcmp(verdict, "require_approval") == 0, deny = strcmp(verdict, "deny") == 0;
        add(l, "governance %s %s on %s for %s",
                ask    ? "asks a person before"
                : deny ? "denied"
                       : "allowed",
                json_get_str(r, "action", "?"), json_get_str(r, "resource", "Guardian"),
                json_get_str(r, "actor", "?"));
        add_words(l, json_get_path(b, "rules"), "id", " by rule ");
        add_reason(l, b, "reason");
        if (ask)
                add_words(l, json_get_path(b, "needs"), NULL, "; needs ");
        else if (approval[0])
                add(l, "; on approval %s", approval);
        if (deny)
                add(l, " (%s)", code);
        if (deny && missed)
                add(l, "; the nearest rule %s did not hold: %s", json_get_str(missed, "id", "?"),
                        json_get_str(missed, "failed", "?"));
        if (would && strcmp(would, verdict) != 0)
                add(l, "; mode enforce would have said %s", would);
        if (strcmp(json_get_str(b, "purpose", "act"), "check") == 0)
                add(l, "; a check only, it licenses nothing");
}

static void approval(Line *l, const json_t *r, const json_t *b) {
        const char *state = json_get_str(b, "state", json_get_str(r, "result", "?")),
                   *vote = json_get_str(b, "vote", NULL);
        const char *id = json_get_str(b, "approval_id", "?");
        if (vote)
                add(l, "%s (%s) voted to %s %s", json_get_str(r, "actor", "?"), json_get_str(b, "role", "?"),
                        vote, id);
        else
                add(l, "approval %s is %s", id, state);
        if (vote || strcmp(json_get_str(b, "reason", ""), state) != 0)
                add_reason(l, b, "reason");
        if (vote && strcmp(state, "pending") == 0)
                add(l, "; more votes are needed");
}

static void action(Line *l, const json_t *r, const json_t *b) {
        char took[40];
        const char *outcome = json_get_str(b, "outcome", json_get_str(r, "result", "?"));
        bool not_run = strcmp(outcome, "not_run") == 0;
        add(l, "Guardian %s %s on %s", not_run ? "did not run" : "ran", json_get_str(r, "action", "?"),
                json_get_str(r, "resource", "itself"));
        if (!not_run)
                add(l, ": %s after %s", outcome,
                        format_duration(json_get_u64(b, "duration_us", 0), took, sizeof(took)));
        add_reason(l, b, "reason");
}

/* Kinds without a story of their own. */
static void other(Line *l, const json_t *r, const char *kind) {
        const char *words[] = {json_get_str(r, "action", ""), json_get_str(r, "resource", ""),
                json_get_str(r, "result", "")};
        const char *between = ": ";
        add(l, "%s by %s", kind, json_get_str(r, "writer", "?"));
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (words[i][0]) {
                        add(l, "%s%s", between, words[i]);
                        between = " ";
                }
}

static void tell(const json_t *r, char out[STORY_TEXT]) {
        static const struct {
                const char *kind;
                void (*tell)(Line *l, const json_t *r, const json_t *b);
        } kinds[] = {{"anomaly", anomaly}, {"incident", incident}, {"decision", decision},
                {"approval", approval}, {"action", action}};
        const json_t *b = json_get_path(r, "body");
        const char *kind = json_get_str(r, "kind", "?"), *what = json_get_str(r, "action", "?"),
                   *on = json_get_str(r, "resource", "Guardian");
        Line l = {out, 0};
        out[0] = 0;
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (strcmp(kind, kinds[i].kind) == 0)
                        kinds[i].tell(&l, r, b);
        if (out[0])
                return;
        if (strcmp(kind, "intent") == 0)
                add(&l,
                        "Guardian put its intent to run %s on %s on record before it acted, bound to "
                        "decision %lld",
                        what, on, (long long)json_get_i64(r, "ref", -1));
        else if (strcmp(kind, "recovery") == 0)
                add(&l, "%s by %s on %s ran without a verdict and was put on record afterwards", what,
                        json_get_str(r, "actor", "?"), on);
        else
                other(&l, r, kind);
}

void story_sentence(const json_t *r, char out[STORY_TEXT]) {
        tell(r, out);
        for (char *p = out; *p; p++) /* a reason may have lines */
                if (*p == '\n')
                        *p = ' ';
}
