/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/boot.h"
#include "tests/unit/guardian/suite.h"
#include <stdio.h>
#include <stdlib.h>

static UnitConfig *units[16];
static uint32_t n;
static Plan *plan;
static Boot boot;
static char log_text[1024];
static uint64_t now;

static UnitConfig *unit(const char *name, uint32_t priority) {
        return units[n++] = make_unit(name, priority);
}

static void begin(bool keep) {
        Problems p = {0};
        ck_assert_int_eq(plan_build(units, n, &plan, &p), 0);
        problems_done(&p);
        ck_assert_int_eq(boot_init(&boot, plan, keep), 0);
        now = 1000;
        boot_begin(&boot, now);
}

static void done(void) {
        boot_done(&boot);
        plan_free(plan);
        for (uint32_t i = 0; i < n; i++)
                unit_config_free(units[i]);
        n = 0;
}

/* All orders as text, "+a" start, "?a" validate, "-a" stop, "~a" skip, "|" stage, "booted", "abort:a",
 * "stopped". */
static const char *orders(void) {
        size_t used = 0;
        log_text[0] = 0;
        for (BootOrder o = boot_next(&boot); o.type != BOOT_ORDER_NONE; o = boot_next(&boot)) {
                static const char *const mark[] = {[BOOT_ORDER_START] = "+",
                        [BOOT_ORDER_VALIDATE] = "?",
                        [BOOT_ORDER_SKIP] = "~",
                        [BOOT_ORDER_STOP] = "-",
                        [BOOT_ORDER_STAGE] = "|",
                        [BOOT_ORDER_BOOTED] = "booted",
                        [BOOT_ORDER_ABORT] = "abort:",
                        [BOOT_ORDER_STOPPED] = "stopped"};
                bool named = o.type != BOOT_ORDER_STAGE && o.unit != PLAN_NONE;
                used += (size_t)snprintf(log_text + used, sizeof(log_text) - used, "%s%s%s", used ? " " : "",
                        mark[o.type], named ? plan->units[o.unit].config->name : "");
        }
        return log_text;
}

static uint32_t at(const char *name) {
        return plan_find(plan, name);
}
static void spawned(const char *name) {
        boot_unit_spawned(&boot, at(name), now += 1000);
}
static void ready(const char *name) {
        boot_unit_ready(&boot, at(name), now += 1000);
}
static void verdict(const char *name, UnitVerdict v) {
        boot_unit_verdict(&boot, at(name), v, now += 1000);
}
static void down(const char *name, UnitState s) {
        boot_unit_state(&boot, at(name), s, true, now += 1000);
}
static void up(const char *name) {
        spawned(name);
        ready(name);
        verdict(name, UNIT_VERDICT_PASSED);
}

START_TEST(stages_follow_verdicts) {
        unit("ledger", 1000), unit("gate", 1500), unit("mesh", 1500), unit("web", 3000);
        begin(false);
        ck_assert_str_eq(orders(), "| +ledger");
        spawned("ledger");
        ck_assert_str_eq(orders(), "?ledger");
        ready("ledger");
        ck_assert_str_eq(orders(), "");
        verdict("ledger", UNIT_VERDICT_PASSED);
        ck_assert_str_eq(orders(), "| +gate +mesh");
        spawned("gate");
        ready("gate");
        ck_assert_str_eq(orders(), ""); /* evidence only after the stage's last spawn */
        spawned("mesh");
        ck_assert_str_eq(orders(), "?gate ?mesh");
        verdict("gate", UNIT_VERDICT_PASSED);
        ck_assert_str_eq(orders(), "");
        ready("mesh");
        verdict("mesh", UNIT_VERDICT_PASSED);
        ck_assert_str_eq(orders(), "| +web");
        ck_assert_int_eq(boot.state, BOOT_BOOTING);
        up("web");
        ck_assert_str_eq(orders(), "?web booted");
        ck_assert_int_eq(boot.state, BOOT_RUNNING);
        boot_stop(&boot, now);
        ck_assert_str_eq(orders(), "-web");
        down("web", UNIT_INACTIVE);
        ck_assert_str_eq(orders(), "-mesh -gate");
        down("gate", UNIT_INACTIVE);
        down("mesh", UNIT_INACTIVE);
        ck_assert_str_eq(orders(), "-ledger");
        ck_assert_int_eq(boot.state, BOOT_STOPPING);
        down("ledger", UNIT_INACTIVE);
        ck_assert_str_eq(orders(), "stopped");
        done();
}
END_TEST

START_TEST(readiness_gates_inside_a_stage) {
        UnitConfig *app;
        unit("db", 3000), app = unit("app", 3000);
        add_ref(app, &app->requires, "db");
        begin(false);
        ck_assert_str_eq(orders(), "| +db");
        spawned("db");
        ck_assert_str_eq(orders(), "");
        ready("db");
        ck_assert_str_eq(orders(), "+app"); /* readiness, not the verdict */
        up("app");
        ck_assert_str_eq(orders(), "?db ?app");
        verdict("db", UNIT_VERDICT_PASSED);
        ck_assert_str_eq(orders(), "booted");
        uint32_t chain[4];
        ck_assert_uint_eq(boot_critical_chain(&boot, chain, 4),
                1); /* db's verdict was last, and it waited for nobody */
        ck_assert_uint_eq(chain[0], at("db"));
        /* dependents first */
        boot_stop(&boot, now);
        ck_assert_str_eq(orders(), "-app");
        down("app", UNIT_INACTIVE);
        ck_assert_str_eq(orders(), "-db");
        done();
}
END_TEST

START_TEST(a_failed_requirement_skips) {
        UnitConfig *db = unit("db", 2000), *app = unit("app", 3000), *ui = unit("ui", 3000),
                   *log = unit("log", 3000);
        db->can_fail = true;
        add_ref(app, &app->requires, "db");
        add_ref(ui, &ui->requires, "app");
        add_ref(log, &log->after, "app");
        begin(false);
        orders();
        verdict("db", UNIT_VERDICT_DEGRADED); /* never ready */
        ck_assert_str_eq(orders(), "| ~app ~ui +log");
        up("log");
        ck_assert_str_eq(orders(), "?log booted");
        ck_assert_int_eq(boot.state, BOOT_DEGRADED);
        ck_assert_int_eq(boot.units[at("ui")].verdict, UNIT_VERDICT_SKIPPED);
        done();
}
END_TEST

START_TEST(a_soft_dependency_only_waits) {
        UnitConfig *db = unit("db", 3000), *app = unit("app", 3000);
        db->can_fail = true;
        add_ref(app, &app->wants, "db");
        begin(false);
        ck_assert_str_eq(orders(), "| +db");
        verdict("db", UNIT_VERDICT_DEGRADED);
        ck_assert_str_eq(orders(), "+app");
        done();
}
END_TEST

START_TEST(a_critical_failure_aborts) {
        UnitConfig *app;
        unit("ledger", 1000), unit("db", 3000), app = unit("app", 3000), unit("web", 3000);
        add_ref(app, &app->requires, "db");
        begin(false);
        orders();
        up("ledger");
        orders();
        spawned("db");
        spawned("web");
        ready("web");
        verdict("db", UNIT_VERDICT_FAILED);
        down("db", UNIT_FAILED);
        ck_assert_str_eq(orders(), "abort:db -web -db");
        ck_assert_int_eq(boot.state, BOOT_ABORTED);
        ck_assert_uint_eq(boot.aborted_by, at("db"));
        down("web", UNIT_INACTIVE);
        ck_assert_str_eq(orders(), "-ledger");
        down("ledger", UNIT_INACTIVE);
        ck_assert_str_eq(orders(), "stopped");
        ck_assert_int_eq(boot.state, BOOT_ABORTED);
        done();
}
END_TEST

START_TEST(keep_on_abort_stops_nothing) {
        unit("db", 3000), unit("web", 4000);
        begin(true);
        orders();
        verdict("db", UNIT_VERDICT_FAILED);
        ck_assert_str_eq(orders(), "abort:db");
        boot_stop(&boot, now);
        ck_assert_str_eq(orders(), "-db");
        done();
}
END_TEST

START_TEST(a_stop_while_booting_starts_nothing_more) {
        unit("a", 1000), unit("b", 2000);
        begin(false);
        ck_assert_str_eq(orders(), "| +a");
        spawned("a");
        boot_stop(&boot, now);
        ck_assert_str_eq(orders(), "-a");
        ready("a");
        verdict("a", UNIT_VERDICT_PASSED);
        ck_assert_str_eq(orders(), "");
        down("a", UNIT_INACTIVE);
        ck_assert_str_eq(orders(), "stopped");
        done();
        /* an order to start that nobody took yet is withdrawn */
        unit("a", 1000);
        begin(false);
        boot_stop(&boot, now);
        ck_assert_str_eq(orders(), "| stopped");
        done();
}
END_TEST

START_TEST(degraded_follows_the_units) {
        UnitConfig *b;
        unit("a", 3000), b = unit("b", 3000);
        b->can_fail = true;
        begin(false);
        up("a");
        up("b");
        ck_assert_int_eq(boot.state, BOOT_RUNNING);
        boot_unit_state(&boot, at("b"), UNIT_QUARANTINED, true, now);
        ck_assert_int_eq(boot.state, BOOT_RUNNING); /* it may fail */
        boot_unit_state(&boot, at("a"), UNIT_QUARANTINED, true, now);
        ck_assert_int_eq(boot.state, BOOT_DEGRADED);
        boot_unit_state(&boot, at("a"), UNIT_INACTIVE, true, now);
        ck_assert_int_eq(boot.state, BOOT_RUNNING);
        verdict("b", UNIT_VERDICT_DEGRADED);
        ck_assert_int_eq(boot.state, BOOT_DEGRADED);
        verdict("b", UNIT_VERDICT_PASSED);
        ck_assert_int_eq(boot.state, BOOT_RUNNING);
        done();
}
END_TEST

START_TEST(an_operators_stop_does_not_hang_the_stage) {
        unit("a", 3000);
        begin(false);
        spawned("a");
        down("a", UNIT_INACTIVE);
        ck_assert_str_eq(orders(), "| +a ?a booted");
        ck_assert_int_eq(boot.state, BOOT_DEGRADED);
        done();
}
END_TEST

static void state(const char *name, UnitState s) {
        boot_unit_state(&boot, at(name), s, false, now += 1000);
}

/* An operator's start of a unit whose turn has not come: what it said before it was asked is not said again.
 */
START_TEST(started_before_its_turn) {
        unit("a", 1000), unit("ran", 2000), unit("spawned", 2000), unit("ready", 2000), unit("gone", 2000);
        unit("crashed", 2000), unit("user", 2000), unit("z", 3000);
        add_ref(units[6], &units[6]->after, "ready");
        begin(false);
        state("ran", UNIT_STARTING);
        up("ran");
        state("ran", UNIT_RUNNING);
        state("spawned", UNIT_STARTING);
        spawned("spawned");
        state("ready", UNIT_STARTING);
        spawned("ready");
        ready("ready");
        state("ready", UNIT_VALIDATING);
        state("gone", UNIT_STARTING);
        up("gone");
        state("gone", UNIT_RUNNING);
        down("gone", UNIT_INACTIVE);
        state("crashed", UNIT_STARTING);
        up("crashed");
        state("crashed", UNIT_BACKOFF);
        ck_assert_str_eq(orders(), "| +a");
        up("a");
        ck_assert_str_eq(orders(), "?a | +crashed +gone +user");
        spawned("gone");
        spawned("user");
        ck_assert_str_eq(orders(), "");
        spawned("crashed");
        ck_assert_str_eq(orders(), "?crashed ?gone ?ready ?spawned ?user");
        verdict("spawned", UNIT_VERDICT_PASSED);
        verdict("ready", UNIT_VERDICT_PASSED);
        verdict("gone", UNIT_VERDICT_PASSED);
        verdict("user", UNIT_VERDICT_PASSED);
        ck_assert_str_eq(orders(), "");
        state("crashed", UNIT_RUNNING); /* its verdict is the same as before: not given again */
        ck_assert_str_eq(orders(), "| +z");
        up("z");
        ck_assert_str_eq(orders(), "?z booted");
        ck_assert_int_eq(boot.state, BOOT_RUNNING);
        done();
}
END_TEST

START_TEST(what_is_taken_over_is_stopped) {
        unit("a", 1000), unit("b", 2000);
        begin(false);
        state("b", UNIT_STARTING);
        up("b");
        state("b", UNIT_BACKOFF);
        ck_assert_str_eq(orders(), "| +a");
        up("a");
        boot_stop(&boot, now); /* the start of b is not carried out any more */
        ck_assert_str_eq(orders(), "| -b");
        done();
}
END_TEST

START_TEST(a_pin_does_not_hang_the_stage) {
        unit("a", 1000), unit("b", 2000), unit("c", 3000);
        begin(false);
        boot_unit_held(&boot, at("b"), now); /* not its turn yet */
        up("a");
        ck_assert_str_eq(orders(), "| +a ?a | +b");
        boot_unit_held(&boot, at("b"), now);
        ck_assert_str_eq(orders(), "| +c");
        up("c");
        boot_unit_held(&boot, at("c"), now);
        ck_assert_str_eq(orders(), "?c booted");
        ck_assert_int_eq(boot.state, BOOT_DEGRADED);
        state("b", UNIT_STARTING); /* unpinned */
        up("b");
        ck_assert_int_eq(boot.state, BOOT_RUNNING);
        done();
}
END_TEST

START_TEST(units_that_do_not_boot_are_left_alone) {
        unit("a", 3000), unit("b", 3000)->enabled = false;
        begin(false);
        up("a");
        ck_assert_str_eq(orders(), "| +a ?a booted");
        /* but started by an operator it is stopped with the rest */
        boot_unit_state(&boot, at("b"), UNIT_RUNNING, false, now);
        boot_stop(&boot, now);
        ck_assert_str_eq(orders(), "-b -a");
        done();
}
END_TEST

START_TEST(the_document) {
        UnitConfig *app;
        unit("ledger", 1000), unit("db", 1500), app = unit("app", 1500);
        add_ref(app, &app->after, "db");
        begin(false);
        up("ledger");
        spawned("db");
        ready("db");
        verdict("db", UNIT_VERDICT_PASSED);
        up("app");
        Buf b = BUF_INIT(65536);
        JsonWriter w;
        json_init(&w, &b, false);
        boot_write_json(&boot, &w, NULL, NULL);
        ck_assert_int_eq(json_finish(&w), 0);
        ck_assert_int_eq(buf_append(&b, "", 1), 0);
        const char *s = (char *)b.data;
        ck_assert_ptr_nonnull(strstr(s, "\"state\":\"running\""));
        ck_assert_ptr_nonnull(strstr(s, "\"critical_chain\":[\"ledger\",\"db\",\"app\"]"));
        ck_assert_ptr_nonnull(strstr(s, "\"name\":\"ledger\",\"start_ms\":0.0,\"ready_ms\":2.0,\"validated_"
                                        "ms\":3.0,\"verdict\":\"passed\",\"issues\":[]"));
        ck_assert_ptr_nonnull(strstr(s, "\"priority\":1.5"));
        buf_done(&b);
        done();
}
END_TEST

SUITE_MAIN("boot", stages_follow_verdicts, readiness_gates_inside_a_stage, a_failed_requirement_skips,
        a_soft_dependency_only_waits, a_critical_failure_aborts, keep_on_abort_stops_nothing,
        a_stop_while_booting_starts_nothing_more, degraded_follows_the_units,
        an_operators_stop_does_not_hang_the_stage, started_before_its_turn, what_is_taken_over_is_stopped,
        a_pin_does_not_hang_the_stage, units_that_do_not_boot_are_left_alone, the_document)
