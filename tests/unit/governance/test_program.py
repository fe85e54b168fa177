# SPDX-License-Identifier: Apache-2.0
"""guardian-governance itself, with this script in Guardian's and the ledger's place: test_program.py PROGRAM POLICIES. Prints TAP."""
import json
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
import chunk  # noqa: E402
import tap  # noqa: E402
import wire  # noqa: E402

PROGRAM, POLICIES = sys.argv[1:3]
FAILED = ("action", {"REQUEST_ID": bytes(16), "DIGEST": bytes(32), "ACTOR": "immune", "ACTION": "restart_service",
                     "RESULT": "failed"})


class Gate(chunk.Chunk):
    def __init__(self, policies=(POLICIES,)):
        super().__init__(PROGRAM, "governance", policies)
        self.ledger = chunk.Ledger(self)

    def begin(self, records=()):
        self.ledger.attach().answer(records)
        self.ledger.take()  # config(policy)
        self.state = self.control.expect("POLICY_STATE")
        self.control.expect("READY")
        return self

    def decide(self, n):
        """A request whose digest is not its own: denied as invalid, and recorded."""
        self.control.send("DECIDE", REQUEST_ID=n.to_bytes(16, "big"), DIGEST=bytes(32), PURPOSE="act", ACTOR="immune",
                          ACTOR_KIND="unit", ACTION="restart_service", TARGET="web", BOOT_ID=chunk.BOOT_ID, PID=7,
                          START_TIME=5, MODE="enforce", PRIORITY_MILLI=3000, CRITICAL=False, CAN_FAIL=True,
                          CORRELATION_ID="cor_1", NOW_BOOT_US=10, TIME_NS=10 ** 18)


def test_who_may_ask():
    with Gate().begin() as g:
        for peer in (g.link("immune"), g.person(None), g.link("web", "unit")):
            got = chunk.call(peer, "policy")
            assert (got["STATUS"], got["CODE"], got["payload"]) == (4, "denied_by_role", b""), got
        for role in ("observer", "operator", "admin"):
            doc = json.loads(chunk.call(g.person(role), "policy")["payload"])
            assert doc["revision"] == g.state["POLICY_REVISION"] and not doc["lockdown"], doc
            assert len(doc["rules"]) == g.state["RULES_COUNT"]
            assert {"id", "file", "line", "effect", "tier", "reason"} == set(doc["rules"][0])
        got = chunk.call(g.person("admin"), "nonsense")
        assert (got["STATUS"], got["CODE"]) == (64, "unsupported"), got
        assert g.challenge() == []


def test_trust_is_what_the_ledger_says():
    with Gate().begin([FAILED, FAILED]) as g:
        (one,) = json.loads(chunk.call(g.person("observer"), "trust")["payload"])
        assert (one["component"], one["observed"], one["initial"]) == ("immune", 2, 70), one
        assert one["source"] == {"index": 1, "what": "failed"}, one
        peer = g.person("observer")
        assert json.loads(chunk.call(peer, "trust", ARG="component=immune")["payload"]) != []
        assert json.loads(chunk.call(peer, "trust", ARG="component=web")["payload"]) == []


def test_reload():
    with tempfile.TemporaryDirectory() as d:
        policies = os.path.join(d, "policies")
        shutil.copytree(POLICIES, policies)
        path = os.path.join(policies, "governance.yaml")
        with open(path) as f:
            text = f.read()
        with Gate([policies]).begin() as g:
            old = g.state["POLICY_REVISION"]
            with open(path, "w") as f:
                f.write(text + "  - id: broken\n    effect: alow\n    reason: r\n")
            got = chunk.call(g.control, "reload")
            assert (got["STATUS"], got["CODE"]) == (1, "failed"), got
            assert "governance.yaml" in g.said() and "allow" in g.said(), g.said()
            assert json.loads(chunk.call(g.person("observer"), "policy")["payload"])["revision"] == old
            with open(path, "w") as f:
                f.write(text + "\n")
            person = g.person("admin")  # a person's reload goes through Guardian
            assert chunk.call(person, "reload")["CODE"] == "unsupported"
            g.control.send("CALL", REQ=3, VERB="reload")
            new = g.control.expect("POLICY_STATE")["POLICY_REVISION"]
            assert new != old
            assert g.control.expect("RESULT", REQ=3)["CODE"] == "ok"
            got = g.ledger.take()
            assert (got["KIND"], got["ACTION"], got["RESULT"]) == (wire.KINDS["config"], "policy", new), got
            assert json.loads(chunk.call(person, "policy")["payload"])["revision"] == new
            # the same files again: nothing to record
            chunk.call(g.control, "reload")
            chunk.call(person, "policy")
            assert chunk.silent(g.ledger.peer)


def test_no_reload_before_the_past_is_known():
    with Gate() as g:
        g.ledger.attach()
        query = g.ledger.query()
        got = chunk.call(g.control, "reload")
        assert (got["STATUS"], got["CODE"]) == (1, "failed"), got
        g.ledger.result(query)
        g.control.expect("READY")


def test_judged_by_what_is_known_then():
    """A request waits for a look into the ledger that began after it came."""
    with Gate().begin() as g:
        g.decide(1)
        first = g.ledger.query()
        g.decide(2)
        chunk.call(g.control, "policy")  # it has read both
        g.ledger.result(first)
        second = g.ledger.peer.recv()
        third = g.ledger.peer.recv()
        assert (second[0], third[0]) == ("APPEND", "QUERY"), (second, third)
        assert second[1]["REQUEST_ID"][-1] == 1
        chunk.call(g.control, "policy")
        assert chunk.silent(g.ledger.peer)
        g.ledger.record(third[1], *FAILED[:1], **FAILED[1])
        g.ledger.result(third[1])
        got = g.ledger.peer.expect("APPEND")
        assert got["REQUEST_ID"][-1] == 2
        assert json.loads(got["payload"])["request"]["actor"]["trust"] == 60, got


def test_a_verdict_needs_its_record():
    with Gate().begin() as g:
        g.decide(1)
        g.ledger.answer()
        got = g.ledger.peer.expect("APPEND")
        chunk.call(g.person("observer"), "policy")
        assert chunk.silent(g.control)
        g.ledger.peer.send("APPEND_ACK", SEQ=got["SEQ"], INDEX=5, HASH=bytes(32), SIZE=6, SIGNED_SIZE=6)
        verdict = g.control.expect("VERDICT")
        assert (verdict["DECISION_INDEX"], verdict["CODE"]) == (5, "invalid"), verdict
        assert verdict["VERDICT"] == wire.VERDICTS["deny"]


def test_the_queue_has_an_end():
    with Gate().begin() as g:
        for n in range(1, 260):
            g.decide(n)
        query = g.ledger.query()
        chunk.call(g.control, "policy")
        assert "a request is dropped" in g.said() and "limit=256" in g.said(), g.said()
        g.ledger.result(query)
        assert g.ledger.take()["REQUEST_ID"][-1] == 1
        g.ledger.answer()
        for n in range(2, 257):
            assert int.from_bytes(g.ledger.take()["REQUEST_ID"], "big") == n
        g.decide(300)
        g.ledger.answer()
        assert int.from_bytes(g.ledger.take()["REQUEST_ID"], "big") == 300


def ends(g, why):
    assert g.wait() == 1, g.status
    assert why in g.said(), g.said()


def test_a_ledger_that_fails_ends_the_gate():
    with Gate() as g:
        g.ledger.attach().result(g.ledger.query(), 1, "failed")
        ends(g, "the ledger can't be read")
    with Gate().begin() as g:
        g.decide(1)
        g.ledger.result(g.ledger.query(), 1, "failed")
        ends(g, "the ledger failed")
    with Gate().begin() as g:
        g.decide(1)
        g.ledger.answer()
        g.ledger.take("E.FORBIDDEN")
        ends(g, "the ledger refused a decision")


def test_a_lost_ledger_is_asked_again():
    """Its successor gets what was not answered, and the look goes on where it was."""
    with Gate().begin() as g:
        g.decide(1)
        query = g.ledger.query()
        g.ledger.peer.close()
        again = chunk.Ledger(g)
        again.index = g.ledger.index
        again.attach()
        got = again.answer()
        assert (got["FROM"], got["KINDS"]) == (query["FROM"], query["KINDS"]), (got, query)
        again.take()
        assert g.control.expect("VERDICT")["CODE"] == "invalid"


def test_messages_that_do_not_belong():
    with Gate().begin() as g:
        peer = g.link("immune")
        peer.send("PROPOSE", REQ=1, ACTION="restart_service", TARGET="web")
        assert peer.ended()
        person = g.person("observer")
        person.send("DECIDE", REQUEST_ID=bytes(16), DIGEST=bytes(32), PURPOSE="act", ACTOR="x", ACTOR_KIND="person", ACTION="stop",
                    TARGET="web", BOOT_ID=chunk.BOOT_ID, PID=1, START_TIME=1, MODE="enforce", PRIORITY_MILLI=1, CRITICAL=False,
                    CAN_FAIL=False, CORRELATION_ID="c", NOW_BOOT_US=1, TIME_NS=1)
        assert person.ended()
        g.control.send("PROPOSAL_RESULT", REQ=1, CODE="ok")  # of no use here, and no reason to end
        assert chunk.call(g.control, "policy")["CODE"] == "ok"
        assert "does not belong here" in g.said()


def test_no_policy_is_lockdown():
    with tempfile.TemporaryDirectory() as d:
        with Gate([d]).begin() as g:
            assert g.state["STATE"] == "lockdown", g.state
            assert "everything is denied" in g.said()
            assert g.challenge() == []
        status, said = chunk.run(PROGRAM, "--check", d)
        assert status == 0 and "no policy file was found" in said, (status, said)


def test_a_policy_with_errors_is_no_start():
    with tempfile.TemporaryDirectory() as d:
        policies = os.path.join(d, "policies")
        shutil.copytree(POLICIES, policies)
        assert chunk.run(PROGRAM, "--check", policies) == (0, "")
        with open(os.path.join(policies, "trust.yaml"), "a") as f:
            f.write("sealing: 3\n")
        status, said = chunk.run(PROGRAM, "--check", policies)
        assert status == 65 and "trust.yaml" in said and "ceiling" in said, (status, said)
        with Gate([policies]) as g:
            assert g.wait() == 1
            assert "ceiling" in g.said(), g.said()
        assert chunk.run(PROGRAM, "--check")[0] == 64
        assert chunk.run(PROGRAM, "--chek", policies)[0] == 64


tap.run(globals())
