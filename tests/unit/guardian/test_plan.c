/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian/plan.h"
#include "tests/unit/guardian/suite.h"
#include <stdio.h>
#include <stdlib.h>

enum { MANY = 10000 };
static UnitConfig *units[MANY];
static uint32_t n;
static Problems problems;

static UnitConfig *unit(const char *name, uint32_t priority) {
        return units[n++] = make_unit(name, priority);
}

static void done(Plan *p) {
        plan_free(p);
        problems_done(&problems);
        for (uint32_t i = 0; i < n; i++)
                unit_config_free(units[i]);
        n = 0;
}

static Plan *build(void) {
        Plan *p = NULL;
        ck_assert_int_eq(plan_build(units, n, &p, &problems), 0);
        ck_assert_uint_eq(problems.errors, 0);
        return p;
}

static const char *refused(void) {
        Plan *p = NULL;
        ck_assert_int_eq(plan_build(units, n, &p, &problems), 1);
        ck_assert_ptr_null(p);
        ck_assert_uint_ge(problems.errors, 1);
        return problems.items[0].message;
}

static void check_order(const Plan *p, const char *want) {
        char got[256] = "";
        for (uint32_t i = 0; i < p->n; i++) {
                strcat(got, i ? " " : "");
                strcat(got, p->units[p->order[i]].config->name);
        }
        ck_assert_str_eq(got, want);
}

START_TEST(stages_then_dependencies_then_names) {
        unit("web", 3000);
        UnitConfig *a = unit("app", 3000), *b = unit("before", 3000), *g = unit("gate", 1500);
        unit("ledger", 1000);
        add_ref(a, &a->requires, "web");
        add_ref(b, &b->before, "web");
        add_ref(g, &g->requires, "ledger");
        Plan *p = build();
        check_order(p, "ledger gate before web app");
        ck_assert_uint_eq(p->n_stages, 3);
        ck_assert_uint_eq(p->stages[2].n, 3);
        /* a requirement in an earlier stage is kept: its failure must skip */
        ck_assert_uint_eq(p->units[plan_find(p, "gate")].n_needs, 1);
        ck_assert(p->units[plan_find(p, "gate")].needs[0].hard);
        done(p);
}
END_TEST

START_TEST(cycles_are_named_as_a_path) {
        UnitConfig *a = unit("a", 3000), *b = unit("b", 3000), *c = unit("c", 3000), *d = unit("d", 3000);
        add_ref(a, &a->after, "b");
        add_ref(b, &b->requires, "c");
        add_ref(c, &c->wants, "a");
        add_ref(d, &d->after, "a");
        ck_assert_str_eq(refused(), "dependency cycle: a -> b -> c -> a");
        ck_assert_str_eq(problems.items[0].file, "a");
        ck_assert_uint_eq(problems.items[0].line, 10);
        done(NULL);
        a = unit("self", 3000);
        add_ref(a, &a->after, "self");
        ck_assert_str_eq(refused(), "dependency cycle: self -> self");
        done(NULL);
}
END_TEST

START_TEST(later_stages_cannot_be_waited_for) {
        UnitConfig *a = unit("a", 2000), *b = unit("b", 3000);
        add_ref(a, &a->requires, "b");
        refused();
        ck_assert_str_eq(problems.items[0].code, "priority-conflict");
        done(NULL);
        a = unit("a", 2000), b = unit("b", 3000);
        add_ref(b, &b->before, "a");
        refused();
        ck_assert_str_eq(problems.items[0].code, "priority-conflict");
        done(NULL);
        /* the controls: the right way round, and a mere wish */
        a = unit("a", 2000), b = unit("b", 3000);
        add_ref(b, &b->requires, "a");
        add_ref(a, &a->before, "b");
        add_ref(a, &a->wants, "b");
        done(build());
}
END_TEST

START_TEST(references_must_exist_where_they_bind) {
        UnitConfig *a = unit("a", 3000);
        add_ref(a, &a->links, "mesh");
        refused();
        ck_assert_str_eq(problems.items[0].code, "unknown-unit");
        done(NULL);
        a = unit("a", 3000);
        add_ref(a, &a->after, "nobody");
        add_ref(a, &a->wants, "nobody");
        done(build());
}
END_TEST

START_TEST(links_do_not_order_a_stage) {
        UnitConfig *a = unit("a", 3000), *b = unit("b", 3000);
        add_ref(a, &a->links, "b");
        add_ref(b, &b->links, "a");
        Plan *p = build();
        ck_assert_uint_eq(p->units[0].n_needs, 0);
        uint32_t out[4];
        ck_assert_uint_eq(plan_dependents(p, 0, out, 4), 1);
        ck_assert_uint_eq(out[0], 1);
        done(p);
}
END_TEST

START_TEST(disabled_units_boot_when_needed) {
        UnitConfig *a = unit("a", 3000), *b = unit("b", 3000), *c = unit("c", 3000), *d = unit("d", 3000);
        b->enabled = c->enabled = d->enabled = false;
        add_ref(a, &a->requires, "b");
        add_ref(b, &b->wants, "c");
        Plan *p = build();
        ck_assert(p->units[0].boots && p->units[1].boots && p->units[2].boots && !p->units[3].boots);
        done(p);
}
END_TEST

START_TEST(dependents_are_transitive) {
        UnitConfig *a = unit("a", 1000), *b = unit("b", 2000), *c = unit("c", 3000);
        (void)a;
        add_ref(b, &b->requires, "a");
        add_ref(c, &c->links, "b");
        unit("other", 3000);
        Plan *p = build();
        uint32_t out[4];
        ck_assert_uint_eq(plan_dependents(p, 0, out, 4), 2);
        ck_assert_uint_eq(plan_dependents(p, 2, out, 4), 0);
        done(p);
}
END_TEST

/* A chain as long as a big set: linear, and no recursion. */
START_TEST(ten_thousand_units) {
        char name[32], need[32];
        for (uint32_t i = 0; i < MANY; i++) {
                snprintf(name, sizeof(name), "u%u", i);
                UnitConfig *u = unit(name, 3000);
                if (i > 0) {
                        snprintf(need, sizeof(need), "u%u", i - 1);
                        add_ref(u, &u->requires, need);
                }
        }
        Plan *p = build();
        for (uint32_t i = 0; i < MANY; i++)
                ck_assert_uint_eq(p->order[i], i);
        uint32_t last;
        ck_assert_uint_eq(plan_dependents(p, 0, &last, 1), MANY - 1);
        done(p);
}
END_TEST

START_TEST(the_graph_is_dot) {
        UnitConfig *a = unit("a", 1500), *b = unit("b", 3000);
        (void)a;
        add_ref(b, &b->links, "a");
        Plan *p = build();
        Buf out = BUF_INIT(65536);
        ck_assert_int_eq(plan_dot(p, &out), 0);
        ck_assert_int_eq(buf_append(&out, "", 1), 0);
        ck_assert_ptr_nonnull(strstr((char *)out.data, "\"b\" -> \"a\""));
        ck_assert_ptr_nonnull(strstr((char *)out.data, "priority 1.500"));
        buf_done(&out);
        done(p);
}
END_TEST

SUITE_MAIN("plan", stages_then_dependencies_then_names, cycles_are_named_as_a_path,
        later_stages_cannot_be_waited_for, references_must_exist_where_they_bind, links_do_not_order_a_stage,
        disabled_units_boot_when_needed, dependents_are_transitive, ten_thousand_units, the_graph_is_dot)
