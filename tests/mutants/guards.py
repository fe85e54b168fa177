# SPDX-License-Identifier: Apache-2.0
"""Guards, and the test that must notice when one is gone. Read by script/mutants.

One row a guard: a name, the file, its exact text (found once), the text without it, and the meson test that turns red.
A change of guarded code changes its row here in the same commit.
"""

GUARDS = []


def guard(name, file, text, without, test):
    GUARDS.append({"name": name, "file": file, "guard": text, "without": without, "test": test})


# ---- a chunk proves what it is (guardian/chunk-peer.c, supervisor/evidence.c)
PEER = "guardian/chunk-peer.c"
guard("proof", PEER, "p->proven = proof_ok(u, m);", "p->proven = proof_ok(u, m) || true;", "guardian-hub")
guard("proof-once", PEER, "if (!p->challenged || p->proven) {", "if (false) {", "guardian-hub")
guard("handlers", PEER, "if (!declares(p, u->config->handles.items[i])) {",
      "if (!declares(p, u->config->handles.items[i]) && false) {", "guardian-hub")
guard("self-test", PEER, "unit_issue(u, \"self-test: %.*s\", (int)s.n, s.p);\n                p->proven = false;",
      "unit_issue(u, \"self-test: %.*s\", (int)s.n, s.p);", "guardian-hub")
guard("validated-before-talk", PEER, "if (u->peer->validated)\n                        validated_msg(u, msg);",
      "if (true)\n                        validated_msg(u, msg);", "guardian-hub")
guard("evidence-counts", PEER, "else\n                        failed = true;\n                unit_issue",
      "else\n                        failed = false;\n                unit_issue", "guardian-hub")
guard("foreign-message-ends", "guardian/govern.c", "if (msg->type != MSG_PROPOSE) {",
      "if (msg->type != MSG_PROPOSE) {\n                return;", "guardian-hub")
PREPARE = "guardian/prepare.c"
guard("manifest-at-load", PREPARE, "r = q->have_manifest ? manifest_check(&q->manifest, name, p->exe.fd) : 2;", "r = 0;",
      "guardian-hub")
guard("manifest-hash", "supervisor/manifest.c", "return memcmp(hash, e->hash, sizeof(hash)) == 0 ? 0 : 1;", "return 0;",
      "supervisor-cores")
EVIDENCE = "supervisor/evidence.c"
guard("evidence-exe", EVIDENCE, "c->ok = f->exe_dev == p->exe_dev && f->exe_ino == p->exe_ino;", "c->ok = true;",
      "supervisor-cores")
guard("evidence-no-new-privs", EVIDENCE, "c->ok = !hidden && facts->status.no_new_privs == 1;", "c->ok = !hidden;",
      "supervisor-cores")
guard("evidence-descriptors", EVIDENCE, "c->ok = f->n_leaked == 0;", "c->ok = true;", "supervisor-cores")
guard("killed-group-is-entered", "supervisor/group.c", "                        g->killed = true;\n", "", "supervisor-group")
guard("killed-group-of-a-unit", "guardian/unit-spawn.c", "s->plan.cgroup_move = u->group.killed;",
      "s->plan.cgroup_move = false;", "e2e-units")
guard("finished-here", "guardian/worker.c", "&& worker_withdraw(j)) {\n                j->run(j);", "&& worker_withdraw(j)) {",
      "guardian-starved")
guard("table-grows-without-memory", "guardian/reserve.c", "return q ? q : from_reserve(p, n);", "return q;", "guardian-reserve")
guard("evidence-ids", EVIDENCE,
      "c->ok = found[0] == planned && found[1] == planned && found[2] == planned && found[3] == planned;", "c->ok = true;",
      "supervisor-cores")
guard("evidence-limits", EVIDENCE, "c->ok = c->ok && f->limits[i].soft == p->limits[i].soft &&",
      "c->ok = (c->ok && f->limits[i].soft == p->limits[i].soft) || true ||", "supervisor-cores")
guard("evidence-verified", EVIDENCE, "ret->verified = ret->verified && ret->checks[i].ok;",
      "ret->verified = ret->verified || ret->checks[i].ok;", "supervisor-cores")
guard("sandbox-verified", "guardian/status.c", "confined && e && e->verified);", "confined);", "guardian-hub")

# ---- who is there, and what may they (guardian/peer.c, control.c, verbs.c)
guard("descent", "guardian/peer.c", "if (r > 0 && !(unit && login)) {", "if (false) {", "guardian-control")
guard("descent-vanished", "guardian/peer.c", "if (r < 0 || !peer_alive(fd)) {", "if (false) {", "guardian-control")
guard("control-only-calls", "guardian/control.c", "if (m->type != MSG_CALL) {", "if (false) {", "guardian-control")
guard("control-clients", "guardian/control.c", "if (room)\n                return;", "if (room || true)\n                return;", "guardian-control")
guard("control-strangers", "guardian/control.c", "(!stranger(p) || n < STRANGERS_MAX)", "true", "guardian-control")
guard("control-open-requests", "guardian/control.c", "if (k->open > OPEN_MAX)", "if (false)", "guardian-control")
guard("control-in-use", "guardian/control.c", "if (other >= 0 || other == -EAGAIN)", "if (false)", "guardian-control")
guard("role-of-verb", "guardian/verbs.c", "} else if (peer->role < v->role) {", "} else if (false) {", "guardian-hub")

# ---- enforcement (guardian/enforce)
ASK, FLOW = "guardian/enforce/ask.c", "guardian/enforce/flow.c"
guard("role-of-person", ASK, "if (a->in->kind == ACTOR_PERSON && a->in->role < a->verb->role && !FAULTY(FAULT_NO_ROLES)) {", "if (false) {", "enforce-ask")
guard("role-of-unit", ASK, "if (a->in->kind != ACTOR_PERSON && !(proposer && a->verb->healing) && !FAULTY(FAULT_UNIT_ASKS)) {",
      "if (!proposer && false) {", "enforce-ask")
guard("role-of-switch", "guardian/enforce/switches.c",
      "return kind == ACTOR_PERSON && role >= v->role ? CODE_OK : CODE_DENIED_BY_ROLE;",
      "return v && (int)kind + (int)role >= 0 ? CODE_OK : CODE_DENIED_BY_ROLE;", "enforce-ask")
guard("proposal-rate", ASK, "if (a->in->kind == ACTOR_UNIT && !take_token(e, now)) {",
      "if (a->in->kind == ACTOR_UNIT && !take_token(e, now) && false) {", "enforce-ask")
guard("heal-not-listed", ASK, "if (!heal_listed(&a->target, a->verb)) {", "if (false) {", "enforce-ask")
guard("one-open-per-target", ASK, "if (!o || o->ungated || strcmp(o->r.target, a->unit) != 0)", "if (o || !o)", "enforce-ask")
guard("pause-at-proposal", ASK, "if (a->verb->healing && e->paused) {", "if (false) {", "enforce-ask")
guard("ceiling-at-proposal", ASK, "if (a->verb->healing && flow_ceiling(e, a->unit, now)) {", "if (false) {", "enforce-ask")
guard("ceiling-at-verdict", FLOW, "if (code == CODE_OK && p->verb->healing && flow_ceiling(e, p->r.target, now)) {",
      "if (false) {", "enforce-ask")
guard("ceiling-of-target", FLOW, "return same >= ENFORCE_CEILING_TARGET || all >= ENFORCE_CEILING_ALL;",
      "return all >= ENFORCE_CEILING_ALL;", "enforce-ask")
guard("ceiling-in-all", FLOW, "return same >= ENFORCE_CEILING_TARGET || all >= ENFORCE_CEILING_ALL;",
      "return same >= ENFORCE_CEILING_TARGET;", "enforce-ask")
guard("gate-down", ASK, "bool down = ledger_down || gate_state(e, now) != PART_READY;", "bool down = ledger_down;", "enforce-ask")
guard("ledger-down", ASK, "bool ledger_down = ledger_state(e, now) != PART_READY && !FAULTY(FAULT_LEDGER_NOT_GATE);",
      "bool ledger_down = false;", "enforce-ask")
guard("ledger-silent", FLOW, "ledger_ask_alive(e, now);\n", "", "enforce-flow")
guard("ledger-silent-approval", "guardian/enforce/people.c", "ledger_ask_alive(e, now);\n", "", "enforce-flow")
guard("digest", FLOW,
      "if (memcmp(p->digest, msg_bytes(m, TAG_DIGEST), sizeof(p->digest)) != 0 && !FAULTY(FAULT_NO_DIGEST)) {",
      "if (false) {", "enforce-flow")
guard("verdict-pending", FLOW, "if (!p || p->ungated || (p->stage != STAGE_DECIDE && p->stage != STAGE_REDECIDE))",
      "if (!p)", "enforce-people")
guard("use-by-of-verdict", FLOW,
      "if (p->stage == STAGE_DECIDE && now.boot_us >= p->use_by_us && !FAULTY(FAULT_NO_USE_BY)) {", "if (false) {",
      "enforce-flow")
guard("use-by-at-act", FLOW, "if (now.boot_us >= p->use_by_us && !FAULTY(FAULT_NO_USE_BY)) {", "if (false) {", "enforce-flow")
guard("pause-at-act", FLOW, "if (p->verb->healing && e->paused && !(last && FAULTY(FAULT_NO_PAUSE))) {",
      "if (p->verb->healing && e->paused && !last) {", "enforce-flow")
guard("lockdown-at-act", FLOW, "if (p->lockdown_epoch != e->lockdown_epoch && !FAULTY(FAULT_NO_LOCKDOWN)) {",
      "if (false) {", "enforce-flow")
guard("environment-of-another-uid", "supervisor/procinfo.c", "if (fd < 0 && (errno == EACCES || errno == EPERM))",
      "if (false)", "e2e-pid1")
guard("question-without-process", "guardian/unit-ops.c",
      "enforce_incarnation_ended(u->m->enforce, u->config->name, &down, manager_now());", "(void)down;", "e2e-gate")
guard("incarnation-at-act", FLOW,
      "if (!incarnation_eq(&t.incarnation, &p->r.incarnation) && !FAULTY(FAULT_NO_INCARNATION)) {", "if (false) {",
      "enforce-flow")
guard("pin-at-act", FLOW,
      "if ((p->verb->healing && t.pinned_down) || (t.pinned_up && strcmp(p->r.action, \"stop\") == 0)) {", "if (false) {",
      "enforce-flow")
guard("intent-before-act", FLOW, "if (strcmp(code, \"ok\") != 0) {\n                e->counters.intents_refused++;",
      "if (false) {\n                e->counters.intents_refused++;", "enforce-flow")
guard("allow-names-approval", FLOW, "str_eq(id, p->approval_id) &&", "true &&", "enforce-people")
guard("approval-policy-revision", FLOW,
      "str_eq(msg_str(m, TAG_POLICY_REVISION), a->policy_revision));", "true);", "enforce-people")
guard("self-vote", "guardian/enforce/approvals.c", "if (strcmp(a->actor, actor) == 0)", "if (false)", "enforce-people")
guard("double-vote", "guardian/enforce/approvals.c", "if (a->votes[i].uid == uid)", "if (false)", "enforce-people")
guard("vote-role", "guardian/enforce/approvals.c", "if (role < ROLE_OPERATOR)", "if (false)", "enforce-people")
guard("approved-on-record", "guardian/enforce/people.c", "else if (approved && !approved_on_record(e, p, &a->answer_index))", "else if (false)",
      "enforce-people")
guard("listed-could-be-asked", "guardian/enforce/people.c", "(flow_target(e, p, &t) && !could_be_asked(e, p, &t))) {",
      "(flow_target(e, p, &t) && false)) {", "enforce-people")
guard("vote-needs", "guardian/enforce/approvals.c", "if (want > 0)\n                        return false;", "", "enforce-people")
guard("vote-of-unit", "guardian/enforce/people.c", "if (kind != ACTOR_PERSON && !FAULTY(FAULT_UNIT_VOTE))", "if (false)", "enforce-people")
guard("approval-expiry", "guardian/enforce/people.c",
      "if ((a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED) &&\n                        now.boot_us >= a->expires_boot_us)",
      "if (false)", "enforce-people")
guard("approval-stale", "guardian/enforce/enforce.c",
      "if (a)\n                                people_close(e, a, APPROVAL_VOID, \"stale_target\", now);", "", "enforce-people")
guard("vote-durable-first", "guardian/enforce/people.c", "else if (enough(a, false))", "else if (enough(a, true))", "enforce-people")
guard("denial-behind-vote", "guardian/enforce/people.c",
      "if (a->state != APPROVAL_PENDING && (vote->approve || !denial_behind(e, a)))", "if (a->state != APPROVAL_PENDING)",
      "enforce-people")
guard("denial-before-act", "guardian/enforce/flow.c", "if (a && a->state == APPROVAL_DENIED) {", "if (false) {", "enforce-people")
guard("gate-denial-on-record", "chunks/governance/gate-core.c",
      "if (r->state > APPROVAL_APPROVED) { /* closed on record", "if (false) { /* closed on record", "governance-gate")
guard("rollback", "guardian/enforce/ledger-side.c", "if (!str_eq(code, \"ok\")) {\n                e->ledger_failed = !e->rollback;",
      "if (false) {\n                e->ledger_failed = !e->rollback;", "enforce-records")
guard("break-glass-bounds", "guardian/enforce/switches.c",
      "if ((reason.n == 0 || ttl_us == 0 || ttl_us > ENFORCE_BREAK_GLASS_MAX_US) &&", "if (false &&", "enforce-ask")
guard("break-glass-on-record", "guardian/enforce/switches.c", "if (r < 0 && !FAULTY(FAULT_GLASS_FULL))", "if (r < 0 && false)", "enforce-ask")
guard("break-glass-durable-first", "guardian/enforce/switches.c", "        if (r <= 0) {\n                glass_begin",
      "        if (r >= 0) {\n                glass_begin", "enforce-ask")
guard("break-glass-of-a-dead-disk", "guardian/enforce/switches.c",
      "if (e->glass.ttl_us && (error == 0 || ledger_state(e, now) != PART_READY))\n                glass_end(e, error == 0, now);",
      "if (e->glass.ttl_us)\n                glass_end(e, true, now);", "enforce-ask")
guard("break-glass-ttl-on-record", "guardian/enforce/switches.c",
      "snprintf(p.r.args[p.r.n_args++], sizeof(p.r.args[0]), \"ttl=%\" PRIu64 \"us\", ttl_us);", "", "enforce-ask")
guard("spool-checksum", "guardian/spool.c", "if ((size_t)(rest - line) != 16 || memcmp(sum, line, 16) != 0)",
      "if ((size_t)(rest - line) != 16)", "guardian-spool")
guard("spool-all-durable", "guardian/spool.c", "s->error < 0 ? s->error : s->unwritten;", "s->error;", "guardian-starved")
guard("spool-bound", "guardian/spool.c", "if (s->bytes + size > SPOOL_MAX_BYTES)", "if (false)", "guardian-spool")

# ---- preparing a start (guardian/prepare.c, unit-prepare.c, worker.c)
guard("prepare-no-links", PREPARE, "O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC", "O_PATH | O_DIRECTORY | O_CLOEXEC", "guardian-prepare")
guard("prepare-regular-file", "guardian/environment.c", "if (!S_ISREG(st.st_mode))", "if (false)", "guardian-prepare")
guard("prepare-late-answer", "guardian/unit-prepare.c", "if (u->preparation != p) {", "if (false) {", "guardian-hub")
guard("prepare-one-thread", "guardian/unit-prepare.c", "if (!u->hanging)\n                worker_start", "worker_start", "guardian-hub")
guard("prepare-deadline", "guardian/unit-state-table.c", "GO(START_PHASES & ~B(SPAWN), TIMEOUT, STOP_TERM, start_timeout),",
      "GO(START_PHASES & ~B(SPAWN) & ~B(PREPARE), TIMEOUT, STOP_TERM, start_timeout),", "guardian-unit-state")
guard("worker-slow", "guardian/worker.c", "return w->n_running < AT_A_TIME + w->n_slow;", "return w->n_running + w->n_slow < AT_A_TIME;",
      "guardian-worker")

# ---- units (guardian/unit-state*.c, boot.c)
guard("boot-abort", "guardian/boot.c", "b->aborted_by = u;", "", "guardian-boot")
guard("boot-takes-over", "guardian/boot.c", "        if (!x->down) {\n                take_over(b, u, now_us);",
      "        if (false) {\n                take_over(b, u, now_us);", "guardian-boot")
guard("boot-held", "guardian/boot.c", "if (!b->units[unit].asked || b->units[unit].boot_done || !starting_allowed(b))\n                return;",
      "return;", "guardian-boot")
guard("can-fail", "guardian/unit-state-policy.c", "s->m->config->can_fail ? UNIT_VERDICT_DEGRADED : UNIT_VERDICT_FAILED",
      "UNIT_VERDICT_DEGRADED", "guardian-unit-state")
guard("pin-down", "guardian/unit-state-actions.c", "return s->m->pin == PIN_STATE_DOWN;", "return s->m->pin == PIN_STATE_DOWN && false;",
      "guardian-unit-state")
guard("pin-up", "guardian/unit-state-actions.c", "return s->m->pin == PIN_STATE_UP && !s->ev->force;", "return false && s->m;",
      "guardian-unit-state")
guard("validation-held", "guardian/unit-state-actions.c", "return s->m->hold_validation;", "return s->m->hold_validation && false;",
      "guardian-unit-state")

# ---- the ledger
CORE = "chunks/ledger/ledger-core.c"
guard("intent-decision", CORE, "return refuse(\"intent_refused\", \"ref is no decision of governance that allows\", why);",
      "return NULL;", "ledger-core")
guard("intent-request", CORE, "memcmp(d->request_id, r->request_id, 16) != 0 ||\n                memcmp",
      "false ||\n                memcmp", "ledger-core")
guard("intent-digest", CORE, "memcmp(d->digest, r->digest, 32) != 0)\n                return refuse(\"intent_refused\", \"the decision",
      "false)\n                return refuse(\"intent_refused\", \"the decision", "ledger-core")
guard("intent-once", CORE, "if (d->used)", "if (false)", "ledger-core")
RIGHTS = "chunks/ledger/rights.c"
guard("decision-writer", RIGHTS, "return writer_id(r->meta[META_WRITER]) == W_GOVERNANCE && r->kind == RECORD_DECISION &&",
      "return r->kind == RECORD_DECISION &&", "ledger-core")
guard("decision-kind", RIGHTS, "return writer_id(r->meta[META_WRITER]) == W_GOVERNANCE && r->kind == RECORD_DECISION &&",
      "return writer_id(r->meta[META_WRITER]) == W_GOVERNANCE &&", "ledger-core")
guard("decision-allow", RIGHTS, "(r->verdict_bits & VERDICT_BIT_ALLOW) &&", "", "ledger-core")
guard("decision-check", RIGHTS, "&&\n               !(r->verdict_bits & VERDICT_BIT_CHECK);", ";", "ledger-core")
guard("action-intent", CORE, "return refuse(\"intent_refused\", \"ref is no open intent of Guardian\", why);", "return NULL;",
      "ledger-core")
guard("action-request", CORE, "if (!r->has_request_id || memcmp(it->i.request_id, r->request_id, 16) != 0 ||",
      "if (", "ledger-core")
guard("writer-rights", RIGHTS, "if (!(rights[w] >> r->kind & 1))", "if (false)", "ledger-core")
guard("writer-config", RIGHTS, "return a.n > 0 && policy == (w == W_GOVERNANCE);", "return policy || true;", "ledger-core")
guard("append-idempotent", CORE, "if (r->seq <= w->last_seq)\n                return repeated(core, (WriterId)id, r, waiter, ack, why);",
      "if (r->seq <= w->last_seq && false)\n                return repeated(core, (WriterId)id, r, waiter, ack, why);", "ledger-core")
guard("append-gap", CORE, "if (!w->fresh && r->seq != w->last_seq + 1)", "if (false)", "ledger-core")
guard("append-attached", CORE, "if (!w->attached || r->epoch != w->epoch)", "if (false)", "ledger-core")
guard("canonical-body", CORE, "if (json_check_canonical(r->body, NULL, why) < 0)", "if (false)", "ledger-core")
guard("attach-rollback", CORE, "if (hash && !holds(core, w, index, hash) && !LEDGER_FAULTY(NO_ROLLBACK)) {", "if (false) {", "ledger-core")
guard("immune-quota", CORE, "if (w->tokens < size)", "if (false)", "ledger-recover")

# ---- links (chunks/runtime/link.c)
LINK = "chunks/runtime/link.c"
guard("link-fence", LINK, "if (is_fenced(&p->link))\n                settle_predecessor(p);",
      "if (false)\n                settle_predecessor(p);", "runtime-chunk")
guard("unvalidated-hold", LINK, "if (p->admitted || m->type == MSG_QUERY || m->type == MSG_ATTACH)", "if (p->admitted || true)",
      "runtime-chunk")
guard("guardian-only", LINK, "if (guardian_only(m->type) || (is_outsider(l)", "if ((is_outsider(l)", "runtime-chunk")
guard("person-messages", LINK, "(is_outsider(l) && !outsider_may(m->type))) {", "false) {", "runtime-chunk")
guard("persons-bounded", LINK, "n < LINK_PERSONS_MAX &&", "", "runtime-chunk")
guard("strangers-bounded", LINK, "strangers < LINK_STRANGERS_MAX && ", "", "runtime-chunk")
guard("one-stranger-bounded", LINK, " && same < LINK_STRANGER_MAX", "", "runtime-chunk")

# ---- what a chunk remembers of the ledger (chunks/runtime/ledger-client.c)
guard("client-rollback", "chunks/runtime/ledger-client.c", "        lc->rollback = true;\n        refuse_all(lc, text);",
      "        lc->rollback = false;", "ledger-client")

# ---- frames (common/msg.c, conn.c)
guard("frame-sequence", "common/conn.c", "if (r == 0 && m.sequence != (uint32_t)(p->received + 1)) {", "if (false) {", "common-conn")
guard("frame-fd-missing", "common/conn.c", "if (m.fd < 0) {", "if (false) {", "common-conn")
guard("frame-fd-surplus", "common/conn.c", "if (r == 1 && surplus_fd(p, at))", "if (r == 1 && surplus_fd(p, at) && false)", "common-conn")
guard("frame-length", "common/msg.c", "if (length < FRAME_PREFIX - 4 || length > FRAME_MAX)", "if (length < FRAME_PREFIX - 4)", "common-msg")
guard("frame-version", "common/msg.c", "if (p[4] != FRAME_VERSION)", "if (false)", "common-msg")
guard("frame-fd-flag", "common/msg.c", "if (!fd_fits(row, p[6] & FRAME_FLAG_FD))", "if (!fd_fits(row, p[6] & FRAME_FLAG_FD) && false)",
      "common-msg")
guard("frame-header-length", "common/msg.c", "header > length - (FRAME_PREFIX - 4))", "false)", "common-msg")
guard("frame-fields", "common/msg.c", "if (fields[type][tag] == FIELD_NONE)", "if (false)", "common-msg")

# ---- mesh
MESH = "chunks/mesh/mesh-core.c"
guard("mesh-binding", MESH, "if (unit && !binding_may_publish(b, type)) {", "if (false) {", "mesh-core")
guard("mesh-subscribe-binding", "chunks/mesh/mesh-deliver.c",
      "} else if (unit && !binding_may_subscribe(registry_find(&c->registry, p->unit), pattern)) {",
      "} else if (unit && false) {", "mesh-core")
guard("mesh-person-ledger", MESH, "if (person && !c->ops->attached(c->user)) {", "if (false) {", "mesh-core")
guard("mesh-publishers", MESH, "if (!listed) {", "if (!listed && false) {", "mesh-core")
guard("mesh-trust", MESH, "if (t && trust < t->trust_floor)", "if (t && trust < t->trust_floor && false)", "mesh-core")
guard("mesh-person-rate", MESH, "!token_buckets_take(&c->persons, p->actor, now, &r->retry_after_ms))",
      "!token_buckets_take(&c->persons, p->actor, now, &r->retry_after_ms) && false)", "mesh-core")
guard("mesh-person-role", MESH, "if (p->kind == MESH_PEER_PERSON && p->role < ROLE_OPERATOR)", "if (false)", "mesh-core")
guard("mesh-validators-away", MESH, "if (c->ops->validate(c->user, s->token, s->event) == 0)\n                return;",
      "if (c->ops->validate(c->user, s->token, s->event) != 0)\n                pending_append(c, s, now);\n        if (s->token || true)\n                return;",
      "mesh-core")

# ---- the gate
guard("gate-digest", "chunks/governance/gate-input.c", "if (memcmp(digest, in->digest, 32) != 0)", "if (memcmp(digest, in->digest, 32) == 2)",
      "governance-gate")
guard("people-are-counted", "chunks/governance/policy-compile.c", "if (!can_supply(c, &t->r)) {", "if (!can_supply(c, &t->r) && false) {",
      "governance-policy")
guard("gate-unreadable", "chunks/governance/gate-core.c", "if (g->unreadable[0]) {\n                gate_send_refusal(g, id, digest, NULL,",
      "if (false) {\n                gate_send_refusal(g, id, digest, NULL,", "governance-gate")
guard("gate-unreadable-fold", "chunks/governance/gate-fold.c", "if (g->ended || g->unreadable[0] || index < g->next_index)",
      "if (g->ended || index < g->next_index)", "governance-gate")
guard("gate-closed-stays-closed", "chunks/governance/gate-fold.c", "r->state > APPROVAL_APPROVED)", "false)", "governance-gate")
GATE_SHELL, GATE_CORE, GATE_INPUT = "chunks/governance/governance.c", "chunks/governance/gate-core.c", "chunks/governance/gate-input.c"
guard("gate-who-asks", GATE_SHELL, "(person && l->role < ROLE_OBSERVER) || (!person && !control)", "!person && !control",
      "governance-program")
guard("gate-chunks-do-not-ask", GATE_SHELL, "(person && l->role < ROLE_OBSERVER) || (!person && !control)",
      "person && l->role < ROLE_OBSERVER", "governance-program")
guard("gate-reload-is-guardians", GATE_SHELL, "if (control && str_eq(verb, \"reload\"))", "if (str_eq(verb, \"reload\"))", "governance-program")
guard("gate-reload-needs-the-past", GATE_SHELL, "int rc = g->started ? load(g->chunk, &policy) : -EAGAIN;", "int rc = load(g->chunk, &policy);",
      "governance-program")
guard("gate-old-news", GATE_SHELL, "g->queued++;\n        catch_up(g);", "g->queued++;\n        g->covered = g->queued;\n        catch_up(g);",
      "governance-program")
guard("gate-fold-failed", GATE_SHELL, "chunk_exit(g->chunk, 1);\n                return;\n        }\n        GateNow now = now_of(g->chunk);",
      "}\n        GateNow now = now_of(g->chunk);", "governance-program")
guard("gate-queue", GATE_SHELL, "Waiting *w = g->queued < QUEUE_MAX ?", "Waiting *w = g->queued < 100000 ?", "governance-program")
guard("gate-questions", GATE_CORE, "return n >= GATE_PENDING_MAX;", "return n >= 100000;", "governance-fold")
guard("gate-forgets-settled-only", GATE_CORE, "if (settled(g->requests[i]))", "if (true)", "governance-fold")
guard("gate-spent-stays-spent", "chunks/governance/budget.c", "bits |= 1u << t;", "bits |= 0u << t;", "governance-fold")
guard("gate-before-the-fold", GATE_CORE, "if (g->ended || !g->started || !id || !digest)\n                return g->ended || g->started ? 0 : -EAGAIN;\n        if (g->unreadable[0]) {\n                gate_send_refusal(g, id, digest, NULL,",
      "if (g->ended || !id || !digest)\n                return 0;\n        if (g->unreadable[0] || !g->started) {\n                gate_send_refusal(g, id, digest, NULL,",
      "governance-fold")
guard("gate-label-twice", GATE_INPUT, "if (label_order(in->labels[i], in->labels[i - 1]) == 0) {", "if (false) {", "governance-fold")
guard("gate-actor-kind", GATE_INPUT, "if (!one_of(in->actor_kind, \"person\", \"unit\", \"supervisor\"))", "if (false)", "governance-fold")
guard("gate-purpose", GATE_INPUT, "if (!one_of(in->purpose, \"act\", \"check\", \"check\"))", "if (false)", "governance-fold")
guard("gate-decided-twice", "chunks/governance/gate-fold.c", "if (r && (r->final || memcmp(", "if (r && (memcmp(", "governance-fold")
guard("gate-record-of-its-request", "chunks/governance/gate-fold.c", "memcmp(in->request.request_id, id, 16) != 0)", "false)", "governance-fold")
guard("gate-facts-are-no-claims", "chunks/governance/policy.c", "return fact(ret, in->facts, in->n_facts, field",
      "if (fact(ret, in->facts, in->n_facts, field + strlen(\"context.facts.\")) == 0)\n                        return 0;\n                return fact(ret, in->claims, in->n_claims, field",
      "governance-conditions")
guard("gate-no-uid", "chunks/governance/policy.c", "return in->uid > INT64_MAX ? 1 : integer(ret, RULE_INT, (int64_t)in->uid);",
      "return integer(ret, RULE_INT, in->uid > INT64_MAX ? 0 : (int64_t)in->uid);", "governance-conditions")
guard("gate-other-budget", "chunks/governance/policy.c", "if (strcmp(in->budgets[i].id, id) == 0)", "if (id)", "governance-conditions")
guard("text-file-regular", "common/text-file.c", "if (!S_ISREG(st.st_mode))", "if (false)", "governance-policy")
guard("gate-policy-dir", "chunks/governance/policy-load.c", "if (access(dir, R_OK | X_OK) < 0) {", "if (false) {", "governance-policy")
guard("trust-oldest-move", "chunks/governance/trust.c", "if (e && e != &t->items[t->n - 1]) {", "if (false) {", "governance-trust")
guard("gate-failed-is-down", "guardian/enforce/enforce.c", "e->gate_silent || e->gate_failed)", "e->gate_silent)", "enforce-flow")

# ---- processes: bounds and refusals (supervisor/)
LAUNCH = "supervisor/launch.c"
guard("groups-each-way", LAUNCH, "!launch_has_group(p->groups, p->n_groups, own[i]))", "false)", "supervisor-bounds")
guard("limits-lowered", LAUNCH, "if (l->hard > top)\n                        l->hard = top;\n", "", "supervisor-bounds")
guard("program-gives-way", LAUNCH, "if (c->exe_fd >= 0 && c->exe_fd <= c->top) {", "if (false) {", "supervisor-bounds")
guard("numbers-once", LAUNCH, "if (c->moves[i].to == c->moves[i - 1].to)", "if (false)", "supervisor-bounds")
guard("oom-skipped-is-said", LAUNCH, "c->shared->skipped |= LAUNCH_SKIPPED_OOM;", ";", "supervisor-bounds")
guard("evidence-plan-ids", EVIDENCE, "ret->uid = l->uid;", "ret->uid = geteuid();", "supervisor-bounds")
guard("evidence-plan-order", EVIDENCE, "for (; at > 0 && ret->fds[at - 1] > l->fds[i].to; at--)",
      "for (; false && ret->fds[at - 1] > l->fds[i].to; at--)", "supervisor-bounds")
guard("manifest-end", "supervisor/manifest.c", "if (!wrong && m->n == MANIFEST_ENTRIES_MAX)", "if (false)", "supervisor-bounds")
guard("manifest-unreadable", "supervisor/manifest.c", "if (r < 0)\n                return r;\n        return memcmp(hash",
      "if (r < 0)\n                return 0;\n        return memcmp(hash", "supervisor-bounds")
guard("status-groups-cut", "supervisor/procinfo.c", "ret->groups_cut = true;\n                        return;", "return;", "supervisor-bounds")
guard("status-line-cut", "supervisor/procinfo.c", "status_line(line, ret, &seen);\n                        ret->groups_cut = true;",
      "status_line(line, ret, &seen);\n                        ret->groups_cut = ret->n_groups > PROC_GROUPS_MAX;", "supervisor-bounds")
guard("cgroup-delegated", "supervisor/group-cgroup.c", "if (faccessat(r->parent_fd, \"cgroup.procs\", W_OK, AT_EACCESS) < 0) {",
      "if (false) {", "supervisor-bounds")
guard("reap-takes-turns", "supervisor/reap.c", "if (budget > 0 && (unsigned)n >= budget) {", "if (budget > 99) {", "supervisor-bounds")
guard("timer-behind-a-new-one", "supervisor/timer-heap.c", "if (best == TIMER_NONE)\n                                break;",
      "break;", "supervisor-bounds")
guard("shared-sink-never-blocks", "supervisor/output.c", "if (poll(&pf, 1, 0) <= 0 || !(pf.revents & POLLOUT)) {",
      "if (poll(&pf, 1, 0) < 0) {", "supervisor-sinks")
guard("file-sink-is-not-opened-again", "supervisor/output.c", "if (S_ISREG(st.st_mode)) {", "if (S_ISREG(st.st_mode) && fd < 0) {", "supervisor-sinks")
guard("notify-name-is-taken", "supervisor/notify-socket.c", "if (r != -ENAMETOOLONG)\n                        return r;",
      "if (r == 0)\n                        return r;", "supervisor-sinks")

# ---- containment without a cgroup: a group is not called empty while somebody of it lives (supervisor/group*.c)
GROUP, SESSION, PROC = "supervisor/group.c", "supervisor/group-session.c", "supervisor/procinfo.c"
guard("group-sure", GROUP, "if (list.n == 0 && sure)", "if (list.n == 0)", "supervisor-group")
guard("group-ended-since", GROUP, "if (list.n == 0 && sure)", "if (sure)", "supervisor-group")
guard("group-scan-perhaps", GROUP, "return r == -ESRCH || group_cannot_tell(r) ? TAG_PERHAPS : TAG_NONE;", "return TAG_NONE;", "supervisor-group")
guard("group-perhaps", SESSION, "for ever */\n        return group_cannot_tell(r) ? BELONGS_PERHAPS : BELONGS_NOT;",
      "for ever */\n        return BELONGS_NOT;", "supervisor-group")
guard("group-adopted-meanwhile", SESSION, "if (r < 0 || l->tree.n == before)", "if (r < 0 || l->tree.n == before || round > 0)",
      "supervisor-group")
guard("group-perhaps-below", SESSION, "read_children(f.pid, b == BELONGS_PERHAPS, &l->tree)", "read_children(f.pid, false, &l->tree)",
      "supervisor-group")
guard("zombie-with-threads", PROC, "&& s->threads <= 1;", ";", "supervisor-group")
guard("environ-of-threads", PROC, "if (s.threads <= 1)\n                return -ENODATA;", "return -ENODATA;", "supervisor-group")
guard("environ-in-exec", PROC, "return proc_stat(0, &self) == 0 && self.env_end == 0 ? 0 : -ENODATA;", "(void)self;\n        return 0;",
      "supervisor-group")

# ---- what a diagnosis may ask (immune/diagnose.c)
DIAGNOSE = "immune/diagnose.c"
guard("diagnose-hard", DIAGNOSE, "ret, !incident_is_claim(i) || (a->u && unit_hard_signal(a->c, a->u, a->now)));", "ret, true || incident_is_claim(i));",
      "immune-diagnose")
guard("diagnose-label-whole", DIAGNOSE, "if (strncmp(u->labels[k], name, n) == 0 && u->labels[k][n] == '=')",
      "if (strncmp(u->labels[k], name, n) == 0)", "immune-diagnose")
guard("diagnose-known", DIAGNOSE, "return u->known ? give_bool(ret, u->critical) : 1;", "return give_bool(ret, u->critical);", "immune-diagnose")
guard("diagnose-no-code", DIAGNOSE, "return u->code < 0 ? 1 : give_int(ret, u->code);", "return give_int(ret, u->code);", "immune-diagnose")

# ---- validators
VALIDATE, VALIDATE_LOAD = "chunks/validators/validate.c", "chunks/validators/validate-load.c"
guard("validate-payload-missing", VALIDATE, "if (!payload) {\n                ValidationIssue *i",
      "if (!payload)\n                return;\n        if (!payload) {\n                ValidationIssue *i", "validators-program")
guard("validate-bad-json", VALIDATE, "snprintf(i->message, sizeof(i->message), \"%s\", why);\n                        return 0;",
      "(void)i;\n                        *ret = (ValidationReport){0};\n                        return 0;", "validators-program")
guard("validate-fail-fast", VALIDATE, "if (v->fail_fast[l]) {", "if (false) {", "validators-program")
guard("validate-code-names-the-constitution", "chunks/validators/main.c", ": report->constitutional ? \"E.POLICY_VIOLATION\"",
      ": false ? \"E.POLICY_VIOLATION\"", "validators-program")
guard("validate-no-rules", VALIDATE_LOAD, "e = -EINVAL;\n        } else if (e == 0) {\n                e = yaml_load",
      "e = 0;\n        } else if (e == 0) {\n                e = yaml_load", "validators-program")
guard("validate-no-schema", VALIDATE_LOAD, "name, t->type);\n                return -EINVAL;", "name, t->type);\n                *p = (Problems){0};\n                return 0;",
      "validators-program")
guard("validate-id-once", VALIDATE_LOAD, "if (strcmp(v->rules[i].id, nodes.id) == 0) {", "if (false) {", "validators-program")
guard("validate-layer-syntax", VALIDATE_LOAD, "if (rule->layer == LAYER_SYNTAX) {", "if (false) {", "validators-program")

# ---- what every chunk is built on (chunks/runtime)
RUNTIME, RLINK = "chunks/runtime/chunk.c", "chunks/runtime/link.c"
guard("chunk-outsiders-ask-only", RLINK, "(is_outsider(l) && !outsider_may(m->type))) {", "false) {", "validators-program")
guard("chunk-heartbeat", RUNTIME, "uv_timer_start(&c->priv->heartbeat, on_heartbeat, half_ms, half_ms);", ";", "validators-program")
guard("chunk-policy-dirs", RUNTIME, "if (c->n_policy_dirs == ELEMENTSOF(c->policy_dirs)) {", "if (c->n_policy_dirs == 99) {", "validators-program")

# ---- the mesh among its peers (chunks/mesh)
KERNEL, MESH_SHELL = "chunks/mesh/kernel.c", "chunks/mesh/mesh.c"
guard("kernel-uid", KERNEL, "if (cred.uid == s->uid || cred.uid == 0)", "if (true)", "mesh-peers")
guard("kernel-messages", KERNEL, "if (msg->type != MSG_PUBLISH && msg->type != MSG_SUBSCRIBE && msg->type != MSG_RESULT) {", "if (false) {",
      "mesh-peers")
guard("kernel-connections", KERNEL, "if (s->n_clients >= CLIENTS_MAX) {", "if (s->n_clients >= 999) {", "mesh-peers")
guard("kernel-handlers", KERNEL, "c->n_handlers == CLIENT_HANDLERS_MAX ||", "c->n_handlers == 99 ||", "mesh-peers")
guard("kernel-line", KERNEL, "client_fault(c, \"a line of it is over 256 KiB\");", ";", "mesh-peers")
guard("kernel-new-socket", KERNEL, "kernel_reap(m);\n                        socket_end(s);", "socket_end(s);", "mesh-peers")
guard("mesh-who-judges", MESH_SHELL, "if (s->link && s->link->current && strcmp(s->link->unit, VALIDATORS) == 0)", "if (s->mesh)", "mesh-peers")
guard("mesh-who-was-asked", MESH_SHELL, "v->stream != s || v->token != token)", "v->token != token)", "mesh-peers")
guard("mesh-bulk-is-bounded", "chunks/mesh/egress.c", "bulk_drop(q, size, q->bulk_bytes, EGRESS_BULK_MAX);", ";", "mesh-peers")
guard("mesh-slow-client-is-cut", "chunks/mesh/mesh-deliver.c", "if (p->kind != MESH_PEER_CHUNK) {", "if (p->kind != MESH_PEER_CHUNK && r == 1) {",
      "mesh-peers")
guard("mesh-waits-for-a-chunk", "chunks/mesh/mesh-core.c", "if (p->kind == MESH_PEER_CHUNK && egress_behind(&p->out))", "if (false && egress_behind(&p->out))",
      "mesh-peers")
guard("mesh-persons-have-a-role", "chunks/mesh/mesh-calls.c", "\"denied_by_role\", \"needs the role observer\", (Str){0}, false);\n                return;",
      "\"denied_by_role\", \"needs the role observer\", (Str){0}, false);", "mesh-peers")

# ---- keys of a unit file (guardian/unit-spawn.c)
SPAWN = "guardian/unit-spawn.c"
guard("output-append", SPAWN, ".append = o->kind == OUTPUT_APPEND}", ".append = false}", "e2e-keys")
guard("output-null", SPAWN, "p->stdio[i] = -1;", "p->stdio[i] = log_fd;", "e2e-keys")
guard("limits-act", SPAWN, "nofile |= c->limits[i].resource == RLIMIT_NOFILE;", "n--;", "e2e-keys")
guard("watchdog-trigger", SPAWN, "if (n->watchdog_trigger)", "if (false)", "e2e-keys")
guard("watchdog-is-told", SPAWN, "extra(s, \"WATCHDOG_USEC\", text);", ";", "e2e-keys")

# ---- what of workflows and event types does not load (chunks/mesh/workflow.c, common/events)
WORKFLOW, EVENTS = "chunks/mesh/workflow.c", "common/events/event-types.c"
guard("workflow-own-events", WORKFLOW, "strncmp(e->type, \"workflow.\", 9) == 0 ||", "false ||", "mesh-refusals")
guard("workflow-own-triggers", WORKFLOW, "strncmp(w->trigger, \"workflow.\", 9) == 0 ||", "false ||", "mesh-refusals")
guard("workflow-handler-name", WORKFLOW, "if (!handler_valid(text)) {", "if (false) {", "mesh-refusals")
guard("workflow-actions-end", WORKFLOW, "if (w->n_actions == WORKFLOW_ACTIONS_MAX)", "if (w->n_actions == 999)", "mesh-refusals")
guard("workflow-emits-end", WORKFLOW, "if (all->n == WORKFLOW_EMITS_MAX)", "if (all->n == 999)", "mesh-refusals")
guard("workflow-timeout", WORKFLOW, "if (v < 1000 || v > 24.0 * 3600 * 1e6)", "if (false)", "mesh-refusals")
guard("workflow-filter-value", "chunks/mesh/workflow-filter.c", "if (!e.value && o != RULE_EXISTS) {", "if (false) {", "mesh-refusals")
guard("event-type-once", EVENTS, "if (strcmp(all->items[i].type, t->type) == 0) {", "if (false) {", "mesh-refusals")
guard("event-schema-is-checked", EVENTS, "if (t->payload_schema[0] && !(t->flags & EVENT_VALIDATE)) {", "if (false) {", "mesh-refusals")
guard("event-schema-path", EVENTS, "strstr(s, \"..\")", "false", "mesh-refusals")
guard("event-nobody-publishes", EVENTS, "if (n->kind == YAML_KIND_LIST && n->n == 0) {", "if (false) {", "mesh-refusals")
guard("event-trust-range", EVENTS, "if (v < 0 || v > 1) {", "if (v < 0) {", "mesh-refusals")

# ---- the immune kernel among peers that refuse (immune/)
guard("invoke-each-is-answered", "immune/incident.c", "if (!take_invoke(i, a->invoke))\n                return false;",
      "if (a->invoke)\n                i->n_invokes = 0;\n        take_invoke(i, a->invoke);", "immune-program")
guard("invoke-one-too-many", "immune/incident.c", "if (token && i->n_invokes == INVOKES_WAITING_MAX)\n                return false;",
      "if (token && i->n_invokes == INVOKES_WAITING_MAX)\n                return true;", "immune-program")
guard("immune-nothing-without-a-record", "immune/incident.c", "if (!ok) { /* not on record", "if (!ok && index == 7) { /* not on record", "immune-program")
guard("mesh-socket-is-handed-again", "guardian/links.c", "send_listener(mesh, &m->units[i]);", ";", "e2e-keys")
guard("payload-list-of-texts", "common/rules/rules-json.c", "if (!json_is_string(item))", "if (false)", "validators-program")
guard("payload-list-end", "common/rules/rules-json.c", "if (n > RULE_JSON_ITEMS_MAX)", "if (false)", "validators-program")
guard("watchdog-deadline", "guardian/unit-ops.c", "unit_feed(u, (UnitEvent){.type = EV_WATCHDOG}, 0);", "(void)u;", "e2e-keys")
