/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"
#include "run.h"
#include "common/cleanup.h"
#include <errno.h>

static Code refused(World *w, unsigned before_gate) {
        ck_assert_uint_eq(w->n_gate, before_gate); /* the gate was not asked */
        ck_assert(!last_reply(w)->more);
        return last_reply(w)->code;
}

START_TEST(test_refused_by_guardian) {
        World *w = world_ready();
        person(w, 1000, ROLE_OPERATOR, "explode", "web", NULL);
        ck_assert_int_eq(refused(w, 0), CODE_UNKNOWN_ACTION);
        person(w, 1000, ROLE_ADMIN, "approve", "web", NULL);
        ck_assert_int_eq(refused(w, 0), CODE_UNKNOWN_ACTION);
        person(w, 1000, ROLE_OPERATOR, "restart", "nobody", NULL);
        ck_assert_int_eq(refused(w, 0), CODE_UNKNOWN_UNIT);
        person(w, 1000, ROLE_OPERATOR, "scale_up", "web", NULL);
        ck_assert_int_eq(refused(w, 0), CODE_HEAL_NOT_LISTED);
        person(w, 1000, ROLE_OPERATOR, "restart_service", "ledger", NULL);
        ck_assert_int_eq(refused(w, 0), CODE_HEAL_NOT_LISTED);
        person(w, 1000, ROLE_OPERATOR, "restart", "web", "no equals sign");
        ck_assert_int_eq(refused(w, 0), CODE_INVALID);
        person(w, 1000, ROLE_ADMIN, "mode", "", "mode=soft");
        ck_assert_int_eq(refused(w, 0), CODE_INVALID);
        unit(w, "web")->pinned_up = true;
        person(w, 1000, ROLE_OPERATOR, "stop", "web", NULL);
        ck_assert_int_eq(refused(w, 0), CODE_PINNED);
        unit(w, "web")->pinned_up = false;
        person(w, 1000, ROLE_OPERATOR, "stop", "web", NULL); /* positive control */
        ck_assert_uint_eq(w->n_gate, 1);
        world_free(w);
}
END_TEST

static void propose_as(World *w, ActorKind kind, const char *actor, const char *action) {
        EnforceProposal p = {.waiter = 9000 + w->n_replies,
                .kind = kind,
                .actor = actor,
                .role = ROLE_ADMIN, /* a unit's role means nothing */
                .action = str_of(action),
                .target = STR_LIT("web"),
                .incident = NONE};
        enforce_propose(w->e, &p, w->now);
}

START_TEST(test_roles_in_every_mode) {
        static const char *const modes[] = {"log_only", "enforce_critical", "enforce"};
        for (unsigned i = 0; i < 3; i++) {
                World *w = world_ready();
                char arg[40];
                snprintf(arg, sizeof(arg), "mode=%s", modes[i]);
                person(w, 0, ROLE_ADMIN, "mode", "", arg);
                verdict(w, (Say){.verdict = VERDICT_ALLOW});
                pump(w);
                ck_assert_int_eq(last_reply(w)->code, CODE_OK);
                ck_assert_str_eq(mode_to_string((int)status(w).mode), modes[i]);
                ck_assert_str_eq(find(w, RECORD_CONFIG, 0)->result, modes[i]);
                unsigned n = w->n_gate;
                person(w, 1000, ROLE_OBSERVER, "restart", "web", NULL);
                ck_assert_int_eq(refused(w, n), CODE_DENIED_BY_ROLE);
                person(w, 1000, ROLE_NOBODY, "restart_service", "web", NULL);
                ck_assert_int_eq(refused(w, n), CODE_DENIED_BY_ROLE);
                person(w, 1000, ROLE_OPERATOR, "mode", "", "mode=log_only");
                ck_assert_int_eq(refused(w, n), CODE_DENIED_BY_ROLE);
                propose_as(w, ACTOR_UNIT, "immune", "restart"); /* a verb */
                ck_assert_int_eq(refused(w, n), CODE_DENIED_BY_ROLE);
                propose_as(w, ACTOR_UNIT, "mesh", "restart_service"); /* not the proposer */
                ck_assert_int_eq(refused(w, n), CODE_DENIED_BY_ROLE);
                propose_as(w, ACTOR_UNIT, "immune", "restart_service");
                ck_assert_uint_eq(w->n_gate, n + 1);
                world_free(w);
        }
}
END_TEST

START_TEST(test_mode_floor) {
        World *w = world_ready();
        ck_assert_int_eq(status(w).mode, MODE_ENFORCE); /* the default */
        world_free(w);
        EnforceStatus s;
        Enforce *e;
        w = world_new(true, true);
        EnforceConfig cfg = {.has_gate = true, .has_ledger = true, .mode_floor = MODE_ENFORCE_CRITICAL};
        EnforceOps none = {0};
        ck_assert_int_eq(enforce_new(&cfg, &none, NULL, &e), 0);
        enforce_status(e, w->now, &s);
        ck_assert_int_eq(s.mode, MODE_ENFORCE); /* the stricter of floor and recorded */
        enforce_free(e);
        world_free(w);
}
END_TEST

START_TEST(test_one_open_per_target) {
        World *w = world_ready();
        heal(w, "web");
        heal(w, "web");
        ck_assert_int_eq(refused(w, 1), CODE_TARGET_BUSY);
        person(w, 1000, ROLE_OPERATOR, "restart", "web", NULL);
        ck_assert_int_eq(refused(w, 1), CODE_TARGET_BUSY);
        heal(w, "leaky");
        ck_assert_uint_eq(w->n_gate, 2);
        world_free(w);
}
END_TEST

START_TEST(test_a_verb_passes_a_waiting_question) {
        World *w = world_ready();
        uint64_t waiter = asked(w, "leaky");
        heal(w, "leaky");
        ck_assert_int_eq(refused(w, 1), CODE_TARGET_BUSY);
        person(w, 1000, ROLE_OPERATOR, "restart", "leaky", NULL);
        ck_assert_uint_eq(w->n_gate, 2);
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        ck_assert_uint_eq(w->n_acts, 1);
        new_incarnation(w, "leaky");
        ck_assert_uint_eq(last_reply(w)->waiter, waiter);
        ck_assert_int_eq(last_reply(w)->code, CODE_STALE_TARGET);
        world_free(w);
}
END_TEST

START_TEST(test_rate_limit) {
        World *w = world_ready();
        unsigned limited = 0;
        for (unsigned i = 0; i < ENFORCE_RATE_BURST + 5; i++) {
                heal(w, "nobody");
                limited += last_reply(w)->code == CODE_RATE_LIMITED;
        }
        ck_assert_uint_eq(limited, 5);
        world_pass(w, 100000); /* one token */
        heal(w, "web");
        ck_assert_uint_eq(w->n_gate, 1);
        heal(w, "leaky");
        ck_assert_int_eq(last_reply(w)->code, CODE_RATE_LIMITED);
        person(w, 1000, ROLE_OPERATOR, "restart_service", "leaky", NULL); /* people are not limited */
        ck_assert_uint_eq(w->n_gate, 2);
        ck_assert_uint_eq(status(w).rate_limited, 6);
        world_free(w);
}
END_TEST

static void run_heal(World *w, const char *target) {
        heal(w, target);
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        pump(w);
}

START_TEST(test_ceilings) {
        World *w = world_ready();
        w->act_now = true;
        for (unsigned i = 0; i < ENFORCE_CEILING_TARGET; i++) {
                world_pass(w, 1000000);
                run_heal(w, "web");
                ck_assert_int_eq(last_reply(w)->code, CODE_OK);
        }
        run_heal(w, "leaky");
        ck_assert_int_eq(last_reply(w)->code, CODE_OK);
        unsigned n = w->n_gate;
        heal(w, "web");
        ck_assert_int_eq(refused(w, n), CODE_CEILING);
        person(w, 1000, ROLE_OPERATOR, "restart", "web", NULL); /* a person's verb is not healing */
        ck_assert_uint_eq(w->n_gate, n + 1);
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        world_pass(w, ENFORCE_CEILING_US);
        run_heal(w, "web");
        ck_assert_int_eq(last_reply(w)->code, CODE_OK);
        world_free(w);
}
END_TEST

/* The ceiling in all is Guardian's, whatever the gate allows: it holds for a new proposal, and for the
 * verdict of one that was asked when there was still room. */
START_TEST(test_ceiling_in_all) {
        static const char *const targets[] = {"web", "leaky", "u3", "u4", "u5"};
        World *w = world_ready();
        w->act_now = true;
        unsigned done = 0;
        for (unsigned i = 0; i < ENFORCE_CEILING_TARGET; i++)
                for (unsigned t = 0; t < 5 && done < ENFORCE_CEILING_ALL - 1; t++, done++) {
                        world_pass(w, 1000000);
                        run_heal(w, targets[t]);
                        ck_assert_int_eq(last_reply(w)->code, CODE_OK);
                }
        ck_assert_uint_eq(done, ENFORCE_CEILING_ALL - 1);
        heal(w, "u6");
        MsgBuilder first = w->gate[w->n_gate - 1];
        heal(w, "u7"); /* room for one, asked by two */
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        pump(w);
        ck_assert_int_eq(last_reply(w)->code, CODE_OK);
        unsigned acts = w->n_acts;
        w->gate[w->n_gate - 1] = first;
        verdict(w, (Say){.verdict = VERDICT_ALLOW});
        pump(w);
        ck_assert_int_eq(last_reply(w)->code, CODE_CEILING);
        ck_assert_uint_eq(w->n_acts, acts);
        unsigned n = w->n_gate;
        heal(w, "u8"); /* its own count is zero */
        ck_assert_int_eq(refused(w, n), CODE_CEILING);
        world_free(w);
}
END_TEST

START_TEST(test_paused) {
        World *w = world_ready();
        ck_assert_int_eq(enforce_pause(w->e, ACTOR_UNIT, "immune", ROLE_ADMIN, STR_LIT("x"), w->now),
                CODE_DENIED_BY_ROLE);
        ck_assert_int_eq(enforce_pause(w->e, ACTOR_PERSON, "uid:5", ROLE_OBSERVER, STR_LIT("x"), w->now),
                CODE_DENIED_BY_ROLE);
        ck_assert_int_eq(
                enforce_pause(w->e, ACTOR_PERSON, "uid:5", ROLE_OPERATOR, STR_LIT(""), w->now), CODE_INVALID);
        ck_assert_int_eq(
                enforce_pause(w->e, ACTOR_PERSON, "uid:5", ROLE_OPERATOR, STR_LIT("look"), w->now), CODE_OK);
        ck_assert_str_eq(w->marker, "look");
        heal(w, "web");
        ck_assert_int_eq(refused(w, 0), CODE_PAUSED);
        person(w, 5, ROLE_OPERATOR, "restart", "web", NULL);
        ck_assert_uint_eq(w->n_gate, 1);
        Msg d = last_to_gate(w);
        ck_assert(msg_bool(&d, TAG_PAUSED, false));
        pump(w);
        ck_assert_str_eq(find(w, RECORD_CONFIG, 0)->action, "pause");
        ck_assert_int_eq(enforce_resume(w->e, ACTOR_PERSON, "uid:5", ROLE_OPERATOR, w->now), CODE_OK);
        ck_assert_str_eq(w->marker, "");
        heal(w, "leaky");
        ck_assert_uint_eq(w->n_gate, 2);
        world_free(w);
}
END_TEST

START_TEST(test_governance_down) {
        World *w = world_ready();
        enforce_gate_lost(w->e, w->now);
        heal(w, "web");
        ck_assert_int_eq(refused(w, 0), CODE_GOVERNANCE_UNAVAILABLE);
        person(w, 1000, ROLE_OPERATOR, "restart", "web", NULL);
        ck_assert_int_eq(refused(w, 0), CODE_GOVERNANCE_UNAVAILABLE);
        person(w, 0, ROLE_ADMIN, "pin", "web", "to=down"); /* not in the list */
        ck_assert_int_eq(refused(w, 0), CODE_GOVERNANCE_UNAVAILABLE);
        person(w, 0, ROLE_ADMIN, "mode", "", "mode=log_only");
        ck_assert_int_eq(refused(w, 0), CODE_GOVERNANCE_UNAVAILABLE);
        person(w, 0, ROLE_ADMIN, "restart_service", "web", NULL);
        ck_assert_int_eq(refused(w, 0), CODE_GOVERNANCE_UNAVAILABLE);
        ck_assert_uint_eq(w->n_acts, 0);
        static const char *const free_verbs[] = {"start", "stop", "restart", "kill", "unpin", "reset"};
        for (unsigned i = 0; i < ELEMENTSOF(free_verbs); i++) {
                person(w, 0, ROLE_ADMIN, free_verbs[i], "web", NULL);
                ck_assert_uint_eq(w->n_acts, i + 1);
                ck_assert(w->act_ungated[i]);
                enforce_act_result(w->e, w->acts[i].request_id, OUTCOME_OK, NULL, w->now);
                ck_assert_int_eq(last_reply(w)->code, CODE_OK);
                ck_assert(last_reply(w)->ungated);
        }
        ck_assert_uint_eq(w->n_spooled, 6);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_RECOVERY), 6); /* the ledger is there: imported at once */
        ck_assert_uint_eq(count(w, RECORD_INTENT), 0);
        ck_assert_uint_eq(w->n_imported, 6);
        enforce_gate_attached(w->e, w->now);
        heal(w, "web");
        ck_assert_uint_eq(w->n_gate, 1);
        world_free(w);
}
END_TEST

START_TEST(test_ledger_down) {
        World *w = world_ready();
        enforce_ledger_lost(w->e, w->now);
        heal(w, "web");
        ck_assert_int_eq(refused(w, 0), CODE_LEDGER_UNAVAILABLE);
        person(w, 0, ROLE_ADMIN, "restart", "web", NULL);
        ck_assert_uint_eq(w->n_acts, 1); /* an admin's works */
        person(w, 1000, ROLE_OPERATOR, "restart", "web", NULL);
        ck_assert_int_eq(refused(w, 0), CODE_LEDGER_UNAVAILABLE);
        ck_assert_uint_eq(w->n_spooled, 1);
        enforce_ledger_attached(w->e, w->now);
        ck_assert_uint_eq(status(w).spooled, 1);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_RECOVERY), 1);
        ck_assert_uint_eq(status(w).spooled, 0);
        heal(w, "leaky");
        ck_assert_uint_eq(w->n_gate, 1);
        world_free(w);
}
END_TEST

START_TEST(test_bootstrap_exemption) {
        World *w = world_ready();
        person(w, 0, ROLE_ADMIN, "restart", "ledger", NULL); /* everything is up, and it waits for nobody */
        ck_assert_uint_eq(w->n_gate, 0);
        ck_assert_uint_eq(w->n_acts, 1);
        ck_assert(w->act_ungated[0]);
        person(w, 0, ROLE_ADMIN, "stop", "ledger", NULL); /* not exempt */
        ck_assert_uint_eq(w->n_gate, 1);
        person(w, 1000, ROLE_OPERATOR, "restart", "web", NULL);
        ck_assert_uint_eq(w->n_gate, 2);
        ck_assert(enforce_is_bootstrap_unit("governance") && !enforce_is_bootstrap_unit("mesh"));
        world_free(w);
}
END_TEST

START_TEST(test_ungoverned) {
        World *w = world_new(false, false);
        heal(w, "web");
        ck_assert_int_eq(refused(w, 0), CODE_GOVERNANCE_ABSENT);
        person(w, 1000, ROLE_OBSERVER, "restart", "web", NULL);
        ck_assert_int_eq(refused(w, 0), CODE_DENIED_BY_ROLE);
        person(w, 1000, ROLE_OPERATOR, "restart", "web", NULL);
        ck_assert_uint_eq(w->n_acts, 1);
        ck_assert(!w->act_ungated[0]); /* there is no gate that it went past */
        enforce_act_result(w->e, w->acts[0].request_id, OUTCOME_OK, NULL, w->now);
        ck_assert_int_eq(last_reply(w)->code, CODE_OK);
        ck_assert(!last_reply(w)->ungated);
        ck_assert_uint_eq(status(w).ungated, 0);
        ck_assert_uint_eq(w->n_spooled, 0);
        ck_assert_int_eq(status(w).gate, PART_ABSENT);
        world_free(w);
}
END_TEST

/* Pause, resume and shutdown wait for nobody; what the ledger can't take now is kept where Guardian's end
 * does not reach. */
START_TEST(test_switches_without_ledger) {
        World *w = world_ready();
        Str why = STR_LIT("look");
        ck_assert_int_eq(
                enforce_shutdown(w->e, ACTOR_UNIT, "web", ROLE_ADMIN, why, w->now), CODE_DENIED_BY_ROLE);
        ck_assert_int_eq(enforce_shutdown(w->e, ACTOR_PERSON, "uid:5", ROLE_OPERATOR, why, w->now),
                CODE_DENIED_BY_ROLE);
        ck_assert_int_eq(enforce_pause(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, why, w->now), CODE_OK);
        pump(w);
        ck_assert_uint_eq(w->n_spooled, 0);
        ck_assert_str_eq(find(w, RECORD_CONFIG, 0)->actor, "uid:0");
        enforce_ledger_lost(w->e, w->now);
        ck_assert_int_eq(enforce_resume(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, w->now), CODE_OK);
        ck_assert_int_eq(enforce_shutdown(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, why, w->now), CODE_OK);
        ck_assert_uint_eq(w->n_spooled, 2);
        enforce_ledger_attached(w->e, w->now);
        pump(w);
        ck_assert_uint_eq(count(w, RECORD_CONFIG), 1);
        ck_assert_uint_eq(count(w, RECORD_RECOVERY), 2);
        ck_assert_str_eq(find(w, RECORD_RECOVERY, 1)->action, "shutdown");
        world_free(w);
}
END_TEST

/* What a full spool does not take is recorded all the same, and in its order. */
START_TEST(test_full_spool_keeps_the_order) {
        World *w = world_ready();
        enforce_ledger_lost(w->e, w->now);
        ck_assert_int_eq(
                enforce_pause(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, STR_LIT("storm"), w->now), CODE_OK);
        w->spool_error = -ENOSPC;
        ck_assert_int_eq(enforce_resume(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, w->now), CODE_OK);
        person(w, 0, ROLE_ADMIN, "restart", "web", NULL);
        ck_assert_uint_eq(w->n_acts, 1);
        w->spool_error = 0;
        ck_assert_int_eq(
                enforce_pause(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, STR_LIT("again"), w->now), CODE_OK);
        enforce_ledger_attached(w->e, w->now);
        pump(w);
        static const char *const order[] = {"pause", "resume", "restart", "pause"};
        for (unsigned i = 0; i < ELEMENTSOF(order); i++)
                ck_assert_str_eq(find(w, RECORD_RECOVERY, i)->action, order[i]);
        ck_assert_uint_eq(status(w).spooled, 0);
        w->spool_error = -ENOSPC; /* it is bounded */
        enforce_ledger_lost(w->e, w->now);
        for (unsigned i = 0; i < 300; i++)
                ck_assert_int_eq(
                        enforce_pause(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, STR_LIT("more"), w->now), CODE_OK);
        ck_assert_uint_eq(status(w).spooled, 256);
        world_free(w);
}
END_TEST

START_TEST(test_break_glass) {
        World *w = world_ready();
        Str why = STR_LIT("fire");
        const uint64_t min = 60000000;
        ck_assert_int_eq(enforce_break_glass(w->e, ACTOR_PERSON, "uid:5", ROLE_OPERATOR, why, min, w->now),
                CODE_DENIED_BY_ROLE);
        ck_assert_int_eq(
                enforce_break_glass(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, STR_LIT(""), min, w->now),
                CODE_INVALID);
        ck_assert_int_eq(enforce_break_glass(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, why, 61 * min, w->now),
                CODE_INVALID);
        w->spool_error = -ENOSPC;
        ck_assert_int_eq(
                enforce_break_glass(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, why, min, w->now), CODE_FAILED);
        ck_assert(!status(w).break_glass);
        w->spool_error = 0;
        ck_assert_int_eq(
                enforce_break_glass(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, why, min, w->now), CODE_OK);
        heal(w, "web");
        Msg d = last_to_gate(w);
        ck_assert(msg_bool(&d, TAG_BREAK_GLASS, false));
        verdict(w, (Say){.verdict = VERDICT_DENY, .code = "denied_by_rule"});
        pump(w);
        world_pass(w, min);
        heal(w, "web");
        d = last_to_gate(w);
        ck_assert(!msg_bool(&d, TAG_BREAK_GLASS, true));
        pump(w);
        ck_assert_str_eq(find(w, RECORD_RECOVERY, 0)->action, "break_glass");
        ck_assert_ptr_nonnull(strstr(find(w, RECORD_RECOVERY, 0)->body, "\"args\":[\"ttl=60000000us\"]"));
        ck_assert_ptr_nonnull(strstr(find(w, RECORD_RECOVERY, 0)->body, "\"reason\":\"fire\""));
        world_free(w);
}
END_TEST

/* Not in force before its record is durable, on the disk of the spool or in the ledger. */
START_TEST(test_break_glass_waits_for_its_record) {
        World *w = world_ready();
        Str why = STR_LIT("fire");
        const uint64_t min = 60000000;
        for (unsigned i = 0; i < 5; i++) {
                w->spool_error = 1; /* being written */
                if (i != 3)
                        enforce_ledger_lost(w->e, w->now);
                ck_assert_int_eq(
                        enforce_break_glass(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, why, min, w->now),
                        CODE_OK);
                ck_assert(status(w).break_glass_waits && !status(w).break_glass);
                ck_assert_int_eq(
                        enforce_break_glass(w->e, ACTOR_PERSON, "uid:0", ROLE_ADMIN, why, min, w->now),
                        CODE_BUSY);
                unsigned before = w->n_glass;
                bool well = i == 0 || i == 3;
                if (i == 2)
                        world_pass(w, ENFORCE_USE_BY_US); /* a disk that hangs */
                else
                        enforce_spooled(w->e, i == 0 ? 0 : -EIO, w->now);
                if (i == 3) { /* that disk failed; the ledger takes it */
                        ck_assert(status(w).break_glass_waits && w->n_glass == before);
                        pump(w);
                }
                ck_assert_uint_eq(w->n_glass, before + 1);
                ck_assert_int_eq(w->glass, well ? CODE_OK : CODE_FAILED);
                ck_assert(status(w).break_glass == well && !status(w).break_glass_waits);
                enforce_spooled(w->e, 0, w->now); /* late: nothing waits */
                ck_assert(status(w).break_glass == well && w->n_glass == before + 1);
                world_pass(w, min);
                enforce_ledger_attached(w->e, w->now);
                pump(w);
        }
        /* what failed did not happen, and is not on record either */
        ck_assert_uint_eq(count(w, RECORD_RECOVERY), 2);
        world_free(w);
}
END_TEST

START_TEST(test_verb_table) {
        size_t n;
        const EnforceVerb *v = enforce_verbs(&n);
        for (size_t i = 0; i < n; i++)
                ck_assert_ptr_eq(enforce_verb(str_of(v[i].name)), &v[i]);
        ck_assert_str_eq(enforce_verb(STR_LIT("reload-unit"))->name, "reload_unit");
        ck_assert_ptr_null(enforce_verb(STR_LIT("")));
        for (int i = 0; i < _HEAL_MAX; i++)
                ck_assert(enforce_verb(str_of(healing_action_to_string(i)))->healing);
}
END_TEST

START_TEST(test_from_msg) {
        MsgBuilder b;
        Msg m;
        EnforceProposal p;
        msg_begin(&b, MSG_PROPOSE);
        msg_put_u64(&b, TAG_REQ, 4);
        msg_put_cstr(&b, TAG_ACTION, "restart_service");
        msg_put_cstr(&b, TAG_TARGET, "web");
        msg_put_cstr(&b, TAG_ARG, "a=1");
        msg_put_cstr(&b, TAG_CLAIM, "rss=i:5");
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &m), 0);
        ck_assert_int_eq(enforce_proposal_from_msg(&m, "immune", &p), 0);
        ck_assert(p.kind == ACTOR_UNIT && p.n_args == 1 && p.n_claims == 1 && p.incident == NONE);
        for (unsigned i = 0; i < REQUEST_ARGS_MAX; i++)
                msg_put_cstr(&b, TAG_ARG, "b=1");
        ck_assert_int_eq(msg_view(&b, (Str){NULL, 0}, &m), 0);
        ck_assert_int_eq(enforce_proposal_from_msg(&m, "immune", &p), -EINVAL);
}
END_TEST

RUN_TESTS("enforce-ask", test_refused_by_guardian, test_roles_in_every_mode, test_mode_floor,
        test_one_open_per_target, test_a_verb_passes_a_waiting_question, test_rate_limit, test_ceilings,
        test_ceiling_in_all, test_paused, test_governance_down, test_ledger_down, test_bootstrap_exemption,
        test_ungoverned, test_switches_without_ledger, test_full_spool_keeps_the_order, test_break_glass,
        test_break_glass_waits_for_its_record, test_verb_table, test_from_msg)
