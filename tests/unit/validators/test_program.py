# SPDX-License-Identifier: Apache-2.0
"""guardian-validators itself, with this script in Guardian's and the mesh's place: test_program.py PROGRAM POLICIES. Prints TAP."""
import json
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
import chunk  # noqa: E402
import tap  # noqa: E402

PROGRAM, POLICIES = sys.argv[1:3]
GOOD = {"component": "db", "status": "down"}


def start(*policies, **hello):
    return chunk.Chunk(PROGRAM, "validators", policies or [POLICIES], **hello)


def ask(peer, type, payload, **more):
    """(status, code, what was found, the lines that say it)"""
    peer.send("VALIDATE", payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
              **dict({"REQ": 3, "TYPE": type, "SOURCE": "web"}, **more))
    got = peer.expect("RESULT", REQ=3)
    return got["STATUS"], got["CODE"], json.loads(got["payload"]), got.get("ISSUE", [])


def test_verdicts():
    with start() as v:
        v.control.expect("READY")
        assert v.challenge() == []
        mesh = v.link("mesh")
        assert ask(mesh, "health.critical", GOOD) == (0, "ok", [], [])
        status, code, found, lines = ask(mesh, "health.critical", {"component": "db"})
        assert (status, code, len(found), len(lines)) == (1, "E.VALIDATION", 1, 1), (code, found, lines)
        assert (found[0]["code"], found[0]["layer"], found[0]["severity"]) == ("required", "syntax", "critical"), found
        assert lines[0].startswith("syntax/required critical /: ") and "schemas/" in found[0]["hint"], lines
        # fail_fast: what does not fit its schema is not looked at further
        assert [x["layer"] for x in ask(mesh, "health.critical", {"password": "x"})[2]].count("security") == 0
        status, code, found, lines = ask(mesh, "health.critical", dict(GOOD, password="x"))
        assert (status, code) == (1, "E.POLICY_VIOLATION"), code
        assert [x["code"] for x in found] == ["no-secret-in-payload"] and "a reference" in lines[0], (found, lines)
        assert ask(mesh, "health.critical", b"")[:2] == (1, "E.VALIDATION")
        assert ask(mesh, "health.critical", b"")[2][0]["code"] == "payload-missing"
        assert [x["code"] for x in ask(mesh, "health.critical", b'{"component":')[2]] == ["bad-json"]
        assert ask(mesh, "health.critical", b"{} {}")[2][0]["code"] == "bad-json"
        # what no flag asks for is not looked at, but must be JSON
        assert ask(mesh, "anomaly.detected", {"password": "x"})[:2] == (0, "ok")
        assert ask(mesh, "anomaly.detected", b"{")[1] == "E.VALIDATION"


def test_envelope():
    with start() as v:
        v.control.expect("READY")
        mesh = v.link("mesh")
        assert [x["code"] for x in ask(mesh, "health.critical", GOOD, GOVERNANCE_LABEL="restricted")[2]] == ["restricted-is-sealed"]
        assert ask(mesh, "health.critical", GOOD, GOVERNANCE_LABEL="restricted", CHECKSUM="sha256:0")[1] == "ok"
        assert ask(mesh, "health.critical", GOOD, GOVERNANCE_LABEL="public")[1] == "ok"


def test_other_messages():
    with start() as v:
        v.control.expect("READY")
        peer = v.link("mesh")
        peer.send("INVOKE", REQ=5, HANDLER="x.y", TYPE="a.b")
        got = peer.expect("RESULT", REQ=5)
        assert (got["STATUS"], got["CODE"]) == (1, "unsupported"), got
        peer.send("EVENT", TYPE="a.b")  # asks for nothing, gets nothing
        assert ask(peer, "health.critical", GOOD)[1] == "ok"
        person = v.person("admin")
        person.send("VALIDATE", REQ=3, TYPE="health.critical", SOURCE="web")
        assert person.ended()
        assert chunk.call(v.person("observer"), "status")["CODE"] == "unsupported"


def test_heartbeat():
    with start(WATCHDOG_US=2000) as v:
        v.control.expect("READY")
        v.control.expect("HEARTBEAT")
        v.control.expect("HEARTBEAT")


def test_too_many_directories():
    with start(*[POLICIES] * 8) as v:
        v.control.expect("READY")
    with start(*[POLICIES] * 9) as v:
        assert v.wait() == 1
        assert "more policy directories than a chunk takes" in v.said(), v.said()


RULE = "  - {id: %s, layer: %s, severity: high, require: 'payload.n > 1', message: m%s}\n"
BROKEN = [
    ("fail_fast: [syntaks]\nrules: []\n", "'syntaks' is no layer"),
    ("fail_fast: [[a]]\nrules: []\n", "validation.yaml:2"),
    ("rules:\n" + RULE % ("a", "syntax", ""), "the layer syntax is the payload's schema"),
    ("rules:\n" + RULE % ("a", "semantic", "") + RULE % ("a", "security", ""), "a rule of the id 'a' stands above already"),
    ("rules:\n" + RULE % ("a", "semantics", ""), "semantic"),
    ("rules:\n" + RULE % ("a", "semantic", ", types: ['A b']"), "'A b' can't stand here"),
    ("rules:\n" + RULE % ("a", "semantic", ", types: [" + ", ".join("t%d.x" % i for i in range(17)) + "]"), "can't stand here"),
    ("rules:\n" + RULE % ("a", "semantic", ", when: 'payload.n >'"), "validation.yaml:3"),
    ("rules:\n" + RULE % ("a", "semantic", ", when: 'event.color exists'"), "event.color"),
    ("rules:\n" + "".join(RULE % ("r%d" % i, "semantic", "") for i in range(600)), "more than"),
    ("rools: []\n", "rules"),
    ("rules: [", "validation.yaml"),
]


def test_rules_that_are_refused():
    with tempfile.TemporaryDirectory() as d:
        own = os.path.join(d, "own")
        os.mkdir(own)
        path = os.path.join(own, "validation.yaml")
        with open(path, "w") as f:
            f.write("version: 1\nrules:\n" + RULE % ("a", "semantic", ", types: [" + ", ".join("t%d.x" % i for i in range(16)) + "]"))
        assert chunk.run(PROGRAM, "--check", POLICIES, own) == (0, "")
        for text, want in BROKEN:
            with open(path, "w") as f:
                f.write("version: 1\n" + text)
            status, said = chunk.run(PROGRAM, "--check", POLICIES, own)
            assert status == 65 and want in said and path in said, (text[:200], status, said[:500])
        with start(POLICIES, own) as v:
            assert v.wait() == 1
            assert path in v.said(), v.said()
        with open(path, "w") as f:
            f.truncate((1 << 20) + 1)
        status, said = chunk.run(PROGRAM, "--check", POLICIES, own)
        assert status == 65 and "at most 1 MiB" in said, (status, said)


def test_lists_in_a_payload():
    """`has` asks a list of texts; whatever else stands there counts against the event, as what can't be asked does."""
    with tempfile.TemporaryDirectory() as own:
        with open(os.path.join(own, "validation.yaml"), "w") as f:
            f.write("version: 1\nrules:\n  - {id: tagged, layer: semantic, severity: high, types: [health.critical], "
                    "require: \"payload.tags has 'a'\", message: m}\n")
        with start(POLICIES, own) as v:
            v.control.expect("READY")
            mesh = v.link("mesh")
            for tags in (["a"], ["b", "a"], ["x"] * 60 + ["a"]):
                assert ask(mesh, "health.critical", dict(GOOD, tags=tags))[1] == "ok", tags
            for tags in ([], ["b"], ["aa"], "a", {"a": 1}, ["a", 1], None, True, ["a"] * 2000):
                got = ask(mesh, "health.critical", dict(GOOD, tags=tags))
                assert [x["code"] for x in got[2]] == ["tagged"], (tags, got)
            assert ask(mesh, "health.critical", GOOD)[1] == "E.VALIDATION"


def test_files_that_are_missing():
    """No rules at all would let through what is constitutional: no start without them."""
    with tempfile.TemporaryDirectory() as d:
        policies = os.path.join(d, "policies")
        shutil.copytree(POLICIES, policies)
        os.unlink(os.path.join(policies, "validation.yaml"))
        status, said = chunk.run(PROGRAM, "--check", policies)
        assert status == 65 and "in none of the policy directories" in said, (status, said)
        with start(policies) as v:
            assert v.wait() == 1 and "in none of the policy directories" in v.said(), v.said()
        shutil.copy(os.path.join(POLICIES, "validation.yaml"), policies)
        schemas = os.path.join(policies, "schemas")
        with open(os.path.join(policies, "events.yaml")) as f:
            name = re.search(r"payload_schema: ([\w./]+)", f.read()[1000:])[1]
        with open(os.path.join(schemas, name), "w") as f:
            f.write("{")
        status, said = chunk.run(PROGRAM, "--check", policies)
        assert status == 65 and name in said, (status, said)
        os.unlink(os.path.join(schemas, name))
        status, said = chunk.run(PROGRAM, "--check", policies)
        assert status == 65 and "'schemas/%s' of the event type" % name in said, (status, said)
        with start(policies) as v:
            assert v.wait() == 1 and name in v.said(), v.said()


tap.run(globals())
