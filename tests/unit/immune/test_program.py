# SPDX-License-Identifier: Apache-2.0
"""guardian-immune among peers that refuse: test_program.py PROGRAM POLICIES. Prints TAP."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
import chunk  # noqa: E402
import tap  # noqa: E402
import wire  # noqa: E402

PROGRAM, POLICIES = sys.argv[1:3]


class Immune(chunk.Chunk):
    def __init__(self):
        super().__init__(PROGRAM, "immune", [POLICIES])

    def units(self, status=0):
        """The next question for units, answered: one, called web."""
        req = self.control.expect("UNITS")["REQ"]
        if status == 0:
            self.control.send("UNIT_INFO", REQ=req, UNIT="web", STATE="running", PID=self.pid, START_TIME=5, BOOT_ID=chunk.BOOT_ID,
                              PRIORITY_MILLI=3000, CRITICAL=False, CAN_FAIL=False, HEAL=["restart_service"])
        self.control.send("RESULT", REQ=req, STATUS=status, CODE="failed" if status else "ok")

    def begin(self):
        """Past and units are known, the mesh is there."""
        self.units()
        self.ledger = chunk.Ledger(self).attach()
        self.ledger.answer()
        self.mesh = self.link("mesh")
        subscription = self.mesh.expect("SUBSCRIBE")
        self.mesh.send("RESULT", REQ=subscription["REQ"], STATUS=0, CODE="ok")
        self.units()
        return self

    def invoke(self, req, handler="avn_core.restart_kernel", payload=b'{"component_id":"web"}'):
        self.mesh.send("INVOKE", payload, REQ=req, HANDLER=handler, TYPE="system.critical_error", CORRELATION_ID="cor_%012x" % req)

    def incidents(self):
        return json.loads(chunk.call(self.person("observer"), "incidents")["payload"])


def test_the_past_is_asked_for_again():
    """A ledger that can't tell it yet is no reason to begin without it."""
    with Immune() as i:
        i.units()
        ledger = chunk.Ledger(i).attach()
        first = ledger.query()
        ledger.result(first, 1, "failed")
        again = ledger.query()
        assert (again["FROM"], again["KINDS"]) == (first["FROM"], first["KINDS"])
        ledger.result(again)
        assert "asking again" in i.said()


def test_units_are_asked_for_again():
    with Immune() as i:
        i.units(status=1)
        i.units()
        assert i.incidents() == []


def test_what_a_workflow_may_ask():
    with Immune().begin() as i:
        i.invoke(1, "avn_core.make_coffee")
        assert i.mesh.expect("RESULT", REQ=1)["CODE"] == "E.NOT_FOUND"
        for bad in (b"{}", b"[]", b"null", b'{"component_id":7}'):
            i.invoke(2, payload=bad)
            assert i.mesh.expect("RESULT", REQ=2)["CODE"] == "E.VALIDATION", bad
        assert i.incidents() == []
        i.invoke(3)
        for _ in range(2):  # anomaly, incident
            i.ledger.take()
        got = i.mesh.expect("RESULT", REQ=3)
        assert got["CODE"] == "ok" and json.loads(got["payload"])["incident"].startswith("inc_"), got
        assert chunk.call(i.person("admin"), "heal")["CODE"] == "unsupported"


def test_a_record_that_is_refused():
    """Nothing follows from what is not on record: no proposal, no answer, and the question is not forgotten."""
    with Immune().begin() as i:
        i.invoke(1)
        assert i.ledger.take("E.QUOTA")["KIND"] == wire.KINDS["anomaly"]
        i.invoke(2, "avn_core.make_coffee")
        assert i.mesh.expect("RESULT")["REQ"] == 2
        assert chunk.silent(i.ledger.peer) and chunk.silent(i.control)
        (one,) = i.incidents()
        assert (one["state"], one["attempts"], one["index"]) == ("opened", 0, None), one
        assert "the ledger refused a record" in i.said()


def test_each_call_is_answered():
    """Several ask for the same before it is on record: each of them gets the answer, and one too many is told at once."""
    with Immune().begin() as i:
        for n in range(1, 10):
            i.invoke(n)
        assert i.mesh.expect("RESULT")["REQ"] == 9, "the ninth waits too"
        for _ in range(2):
            i.ledger.take()
        got = {r["REQ"]: (r["CODE"], json.loads(r["payload"])["incident"]) for r in (i.mesh.expect("RESULT") for _ in range(8))}
        assert sorted(got) == list(range(1, 9)) and len(set(got.values())) == 1 and got[1][0] == "ok", got
        i.invoke(10)  # there is room again, and it is on record: at once
        assert i.mesh.expect("RESULT", REQ=10)["CODE"] == "ok"


def test_a_mesh_that_goes():
    """Its questions go with it; the successor is served."""
    with Immune().begin() as i:
        i.invoke(1)
        i.ledger.peer.expect("APPEND")
        i.mesh.close()
        i.mesh = i.link("mesh")
        subscription = i.mesh.expect("SUBSCRIBE")
        i.mesh.send("RESULT", REQ=subscription["REQ"], STATUS=1, CODE="E.FORBIDDEN")
        i.mesh.send("EVENT", b"no json", TYPE="unit.state", SOURCE="guardian")
        i.invoke(2, "avn_core.make_coffee")
        assert i.mesh.expect("RESULT")["REQ"] == 2
        assert "the mesh refused" in i.said() and "an event does not say what its type says" in i.said(), i.said()


tap.run(globals())
