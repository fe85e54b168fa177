/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

/* The immune kernel's process: folds, watches memory that the world lets grow, proposes; and, as a stimulus,
 * proposals that come from nowhere. */
enum { STRAY_REQ = 1 << 30 };

#define SEEN(s, event, token, target, call)                                                                  \
        do {                                                                                                 \
                CoverScope scope_;                                                                           \
                cover_immune_begin((s)->immune, &scope_, event, token, target);                              \
                (void)(call);                                                                                \
                cover_immune_end((s)->immune, &scope_);                                                      \
        } while (0)

static ImmuneNow inow(const Sim *s) {
        return (ImmuneNow){s->boot_us, s->wall_ns};
}

static void append(Sim *s, const ImmuneCmd *c) {
        MsgBuilder b;
        msg_begin(&b, MSG_APPEND);
        msg_put_u64(&b, TAG_KIND, c->record);
        if (c->ref != UINT64_MAX)
                msg_put_u64(&b, TAG_REF, c->ref);
        msg_put_cstr(&b, TAG_ACTOR, "immune");
        msg_put_cstr(&b, TAG_ACTION, c->action[0] ? c->action : NULL);
        msg_put_cstr(&b, TAG_RESOURCE, c->resource[0] ? c->resource : NULL);
        msg_put_cstr(&b, TAG_CORRELATION_ID, c->correlation_id[0] ? c->correlation_id : NULL);
        msg_put_cstr(&b, TAG_RESULT, c->result[0] ? c->result : NULL);
        (void)writer_put(s, P_IMMUNE, &s->immune_writer, &b, c->body, c->token ? c->token : UINT64_MAX);
}

static void propose(Sim *s, const ImmuneCmd *c) {
        MsgBuilder b;
        msg_begin(&b, MSG_PROPOSE);
        msg_put_u64(&b, TAG_REQ, c->token);
        msg_put_cstr(&b, TAG_ACTION, c->action);
        msg_put_cstr(&b, TAG_TARGET, c->resource);
        if (c->incident != UINT64_MAX)
                msg_put_u64(&b, TAG_INCIDENT, c->incident);
        for (unsigned i = 0; i < c->n_claims; i++)
                msg_put_cstr(&b, TAG_CLAIM, c->claims[i]);
        msg_put_cstr(&b, TAG_CORRELATION_ID, c->correlation_id);
        msg_put_text(&b, TAG_REASON, c->reason);
        put_msg(s, P_IMMUNE, P_GUARDIAN, &b, (Str){NULL, 0});
        s->counts[1]++;
}

static void run_commands(Sim *s) {
        const ImmuneCmd *c;
        while (s->immune && (c = immune_next(s->immune))) {
                if (c->kind == IMMUNE_CMD_APPEND) {
                        append(s, c);
                } else if (c->kind == IMMUNE_CMD_PROPOSE) {
                        propose(s, c);
                } else if (c->kind == IMMUNE_CMD_TIMER) {
                        s->immune_timer_us = c->at_us;
                } else if (c->kind == IMMUNE_CMD_SAMPLE) {
                        const SimUnit *u = sim_unit(s, c->resource);
                        uint64_t pid = c->pid, start = c->start_time;
                        if (u) /* the command is gone with the next call */
                                SEEN(s, COVER_INCIDENT_SAMPLE, 0, u->name,
                                        immune_on_sample(s->immune, inow(s), u->name, pid, start,
                                                u->inc.pid == pid ? u->rss : 0));
                } else if (c->kind == IMMUNE_CMD_EVIDENCE) {
                        uint64_t token = c->token;
                        SEEN(s, COVER_INCIDENT_EVIDENCE, token, NULL,
                                immune_on_evidence(s->immune, inow(s), token, NULL, 0));
                }
        }
}

static void snapshot(Sim *s) {
        immune_snapshot_begin(s->immune, inow(s));
        for (unsigned i = 0; i < SIM_UNITS; i++) {
                const SimUnit *u = &s->units[i];
                UnitReport r = {.unit = u->name,
                        .state = u->state,
                        .health = HEALTH_UNKNOWN,
                        .pid = u->inc.pid,
                        .start_time = u->inc.start_time,
                        .snapshot = true,
                        .code = -1,
                        .signal = -1,
                        .priority_milli = 3000,
                        .critical = u->critical,
                        .heal = u->heal ? 1u << HEAL_RESTART_SERVICE : 0};
                SEEN(s, COVER_INCIDENT_UNIT, 0, u->name, immune_on_unit(s->immune, inow(s), &r));
        }
        (void)immune_snapshot_end(s->immune, inow(s));
}

static void query(Sim *s, uint64_t from) {
        MsgBuilder b;
        msg_begin(&b, MSG_QUERY);
        msg_put_u64(&b, TAG_REQ, ++s->immune_query);
        msg_put_u64(&b, TAG_KINDS, 1ull << RECORD_ANOMALY | 1ull << RECORD_INCIDENT | 1ull << RECORD_ACTION);
        msg_put_u64(&b, TAG_FROM, from);
        put_msg(s, P_IMMUNE, P_LEDGER, &b, (Str){NULL, 0});
}

void immune_start(Sim *s) {
        static ImmunePolicy *policy; /* read only, one for all runs */
        if (!policy && immune_policy_shipped(&policy) < 0) {
                violate(s, "no policy for the immune kernel");
                return;
        }
        ImmuneConfig cfg = {.self = "immune", .policy = policy};
        uint64_t seed = rnd(s, 0);
        memcpy(cfg.seed, &seed, sizeof(seed));
        writer_reset(&s->immune_writer);
        s->immune_timer_us = UINT64_MAX;
        s->immune_sample_us = s->boot_us + SIM_S;
        s->immune_folding = true;
        if (immune_core_new(&cfg, &s->immune) < 0)
                violate(s, "out of memory");
        if (s->immune && s->knows[P_IMMUNE][P_LEDGER]) {
                writer_attach(s, P_IMMUNE, &s->immune_writer);
                query(s, 0);
        }
}

void immune_stop(Sim *s) {
        s->immune = immune_core_free(s->immune);
        writer_reset(&s->immune_writer);
        s->knows[P_IMMUNE][P_LEDGER] = s->knows[P_IMMUNE][P_GUARDIAN] = 0;
}

static void from_ledger(Sim *s, const Msg *m) {
        const char *code = NULL;
        uint64_t token, index = 0;
        char cor[81];
        if (writer_msg(s, P_IMMUNE, &s->immune_writer, m, &code, &token, &index)) {
                bool ok = str_eq(str_of(code), "ok");
                if (token == UINT64_MAX) /* nobody waits */
                        (void)immune_on_ack(s->immune, inow(s), 0, ok, index);
                else if (token)
                        SEEN(s, ok ? COVER_INCIDENT_ACK : COVER_INCIDENT_REFUSED, token, NULL,
                                immune_on_ack(s->immune, inow(s), token, ok, index));
                return;
        }
        if (!s->immune_folding || msg_u64(m, TAG_REQ, 0) != s->immune_query)
                return;
        if (m->type == MSG_RECORD) {
                (void)immune_fold(s->immune, (RecordKind)msg_u64(m, TAG_KIND, 0), msg_u64(m, TAG_INDEX, 0),
                        msg_u64(m, TAG_TIME_NS, 0),
                        str_copy(cor, sizeof(cor), msg_str(m, TAG_CORRELATION_ID)), m->payload);
        } else if (msg_bool(m, TAG_MORE, false) && str_eq(msg_str(m, TAG_CODE), "ok")) {
                query(s, msg_u64(m, TAG_INDEX, 0));
        } else {
                s->immune_folding = false;
                SEEN(s, COVER_INCIDENT_READ, 0, NULL, immune_folded(s->immune, inow(s)));
                snapshot(s);
                put_sign(s, P_IMMUNE, P_GUARDIAN, FR_READY, P_IMMUNE, s->instance[P_IMMUNE]);
        }
}

static void proposal_result(Sim *s, const Msg *m) {
        char approval[49], reason[513];
        ProposalReport r = {.req = msg_u64(m, TAG_REQ, 0),
                .code = (Code)code_from_string(msg_str(m, TAG_CODE)),
                .more = msg_bool(m, TAG_MORE, false),
                .verdict = (Verdict)msg_u64(m, TAG_VERDICT, VERDICT_NONE),
                .has_outcome = msg_has(m, TAG_OUTCOME),
                .decision_index = msg_u64(m, TAG_DECISION_INDEX, UINT64_MAX),
                .intent_index = msg_u64(m, TAG_INTENT_INDEX, UINT64_MAX),
                .action_index = msg_u64(m, TAG_ACTION_INDEX, UINT64_MAX),
                .approval_id = str_copy(approval, sizeof(approval), msg_str(m, TAG_APPROVAL_ID)),
                .reason = str_copy(reason, sizeof(reason), msg_str(m, TAG_REASON))};
        if (r.has_outcome)
                r.outcome = (Outcome)outcome_from_string(msg_str(m, TAG_OUTCOME));
        if (r.req < STRAY_REQ)
                SEEN(s,
                        r.more              ? COVER_INCIDENT_ASKED
                        : r.code == CODE_OK ? COVER_INCIDENT_DONE
                        : r.has_outcome     ? COVER_INCIDENT_FAILED
                                            : COVER_INCIDENT_DENIED,
                        r.req, NULL, immune_on_proposal(s->immune, inow(s), &r));
}

/* A record under a number that it did not come to, attached or not. */
static void out_of_turn(Sim *s) {
        MsgBuilder b;
        const SimWriter *w = &s->immune_writer;
        msg_begin(&b, MSG_APPEND);
        msg_put_u64(&b, TAG_SEQ, w->next_seq + rnd(s, 4) - (w->next_seq > 1));
        msg_put_u64(&b, TAG_KIND, RECORD_ANOMALY);
        put_msg(s, P_IMMUNE, P_LEDGER, &b, STR_LIT("{}"));
}

void immune_frame(Sim *s, Proc from, const Frame *f) {
        if (!s->immune)
                return;
        if (f->kind == FR_MSG) {
                Msg m = frame_msg(f);
                if (from == P_LEDGER)
                        from_ledger(s, &m);
                else if (m.type == MSG_PROPOSAL_RESULT)
                        proposal_result(s, &m);
        } else if (f->kind == FR_UP && from == P_LEDGER) {
                writer_lost(&s->immune_writer);
                if (s->hostile_immune && chance(s, 50))
                        out_of_turn(s);
                writer_attach(s, P_IMMUNE, &s->immune_writer);
                if (s->immune_folding)
                        query(s, 0);
        } else if (f->kind == FR_EOF && from == P_LEDGER) {
                writer_lost(&s->immune_writer);
        }
        run_commands(s);
}

uint64_t immune_deadline(const Sim *s) {
        uint64_t at = s->immune_timer_us;
        ImmuneStats st;
        if (s->immune && s->calm) { /* at rest nothing is waited for but open incidents */
                immune_stats(s->immune, &st);
                if (st.open == 0)
                        at = UINT64_MAX;
        }
        return s->immune && s->immune_sample_us < at ? s->immune_sample_us : at;
}

/* Memory is looked at every second as long as something leaks. */
static void sample(Sim *s) {
        bool leaking = false;
        for (unsigned i = 0; i < SIM_UNITS; i++) {
                SimUnit *u = &s->units[i];
                if (u->rss > 50u << 20)
                        u->rss += 8u << 20, leaking = true;
                if (u->state == UNIT_RUNNING)
                        SEEN(s, COVER_INCIDENT_SAMPLE, 0, u->name,
                                immune_on_sample(
                                        s->immune, inow(s), u->name, u->inc.pid, u->inc.start_time, u->rss));
        }
        s->immune_sample_us = s->boot_us + (leaking ? SIM_S : 10 * SIM_S);
        if (s->calm)
                s->immune_sample_us = UINT64_MAX;
}

void immune_timers(Sim *s) {
        if (!s->immune)
                return;
        if (s->boot_us >= s->immune_timer_us) {
                s->immune_timer_us = UINT64_MAX;
                SEEN(s, COVER_INCIDENT_TIMER, 0, NULL, immune_on_timer(s->immune, inow(s)));
        }
        if (s->boot_us >= s->immune_sample_us) {
                if (!s->immune_folding)
                        snapshot(s);
                sample(s);
        }
        run_commands(s);
}

void immune_propose(Sim *s, const char *target) {
        MsgBuilder b;
        if (!s->immune)
                return;
        msg_begin(&b, MSG_PROPOSE);
        msg_put_u64(&b, TAG_REQ, STRAY_REQ + rnd(s, 1000000));
        msg_put_cstr(&b, TAG_ACTION, chance(s, 90) ? "restart_service" : "scale_up");
        msg_put_cstr(&b, TAG_TARGET, target);
        if (chance(s, 30))
                msg_put_cstr(&b, TAG_CLAIM, "restarts=i:99");
        msg_put_cstr(&b, TAG_REASON, "stray");
        put_msg(s, P_IMMUNE, P_GUARDIAN, &b, (Str){NULL, 0});
}

/* A kernel that was taken over writes what is not its own: the allow that it would like to have, or an
 * intent. */
void immune_forge(Sim *s) {
        MsgBuilder b;
        if (!s->immune || s->n_requests == 0)
                return;
        if (chance(s, 40)) {
                out_of_turn(s);
                return;
        }
        const Request *r = &s->requests[rnd(s, s->n_requests)];
        msg_begin(&b, MSG_APPEND);
        msg_put_u64(&b, TAG_KIND, chance(s, 60) ? RECORD_DECISION : RECORD_INTENT);
        msg_put_bytes(&b, TAG_REQUEST_ID, r->id);
        msg_put_bytes(&b, TAG_DIGEST, r->digest);
        msg_put_u64(&b, TAG_REF, r->final_index);
        msg_put_u64(&b, TAG_VERDICT_BITS, VERDICT_BIT_ALLOW);
        msg_put_cstr(&b, TAG_RESULT, "allow");
        (void)writer_put(s, P_IMMUNE, &s->immune_writer, &b, STR_LIT("{}"), UINT64_MAX);
}
