#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real guardian-ledger over socketpairs: what it answers, kill -9 during group commits, an orderly end, damage."""
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import KINDS, Closed, Ledger  # noqa: E402

PROGRAM, LOGTOOL = sys.argv[1], sys.argv[2]
ROUNDS = int(os.environ.get("LEDGER_KILL_ROUNDS", "50"))
ROUND_APPENDS = 200
NO = b"{}"


def attach(peer, epoch=0, **more):
    peer.send("ATTACH", EPOCH=epoch, **more)
    return peer.expect("ATTACHED")[0]


def append(peer, seq, kind, body=NO, **more):
    peer.send("APPEND", payload=body, SEQ=seq, KIND=KINDS[kind], **more)
    while True:
        name, fields, _ = peer.recv()
        if name in ("APPEND_ACK", "APPEND_REFUSED"):
            assert fields["SEQ"] == seq, fields
            return fields


def query(peer, **filters):
    records, start = [], filters.pop("FROM", 0)
    while True:
        peer.send("QUERY", REQ=7, FROM=start, **filters)
        while True:
            name, fields, payload = peer.recv()
            if name == "RECORD":
                records.append((fields, payload))
            elif name == "RESULT":
                break
        assert fields["CODE"] == "ok", fields
        if not fields["MORE"]:
            return records
        start = fields["INDEX"]


def call(peer, verb):
    peer.send("CALL", REQ=9, VERB=verb)
    fields, payload = peer.expect("RESULT")
    return fields, json.loads(payload) if payload else None


def verify(state, *args):
    done = subprocess.run([LOGTOOL, "verify", state, *args], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_answers(state):
    ledger = Ledger(PROGRAM, state).ready()
    guardian = ledger.control
    assert attach(guardian)["CODE"] == "ok"
    gate = ledger.link("governance", validated=False)
    assert attach(gate)["CODE"] == "not_validated"
    assert len(query(gate)) == 1
    guardian.send("PEER", UNIT="governance", INSTANCE=gate.instance, VALIDATED=True)
    attached = gate.expect("ATTACHED")[0]
    assert attached["CODE"] == "ok" and attached["EPOCH"] > 0, attached
    one = {"REQUEST_ID": bytes(16), "DIGEST": bytes(32), "CORRELATION_ID": "cor_1", "ACTION": "restart_service"}
    decision = append(gate, 1, "decision", VERDICT_BITS=1, **one)
    intent = append(guardian, 1, "intent", REF=decision["INDEX"], **one)
    assert append(guardian, 2, "intent", REF=decision["INDEX"], **one)["CODE"] == "intent_refused"
    assert append(gate, 2, "event")["CODE"] == "E.FORBIDDEN"
    assert append(gate, 3, "decision", b"{ }", VERDICT_BITS=1, **one)["CODE"] == "E.VALIDATION"
    person = ledger.link("uid:1000", "person", True, "observer")
    found = query(person, OPEN=True)
    assert [r[0]["INDEX"] for r in found] == [intent["INDEX"]], found
    assert found[0][0]["HASH"] == intent["HASH"] and found[0][0]["WRITER"] == "guardian"
    assert [r[0]["KIND"] for r in query(person, CORRELATION_ID="cor_1")] == [KINDS["decision"], KINDS["intent"]]
    assert call(person, "checkpoint")[0]["CODE"] == "denied_by_role"
    operator = ledger.link("uid:1001", "person", True, "operator")
    assert call(operator, "checkpoint")[0]["CODE"] == "ok"
    head, key = call(person, "head")[1], call(person, "key")[1]
    assert head["state"] == "ready" and head["signed_size"] == head["size"] - 1, head
    assert call(person, "nonsense")[0]["CODE"] == "unsupported"
    guardian.send("CHALLENGE", NONCE=bytes(32))
    assert "ISSUE" not in guardian.expect("CHALLENGE_REPLY")[0]
    # the same writer on a second link: highest acknowledged index and hash are compared
    again = ledger.link("immune")
    assert attach(again, INDEX=decision["INDEX"], HASH=decision["HASH"])["CODE"] == "ledger_rollback"
    append(guardian, 3, "action", REF=intent["INDEX"], **one)
    assert ledger.stop() == 0, ledger.errors
    status, result = verify(state, "--pub", key["verifier_key"])
    assert status == 0 and result["valid"] and result["key_source"] == "pinned", result
    assert result["unsigned_tail"] == 0, result
    assert oct(os.stat(os.path.join(state, "key")).st_mode & 0o777) == "0o600"


def test_two_writers(state):
    first = Ledger(PROGRAM, state).ready()
    second = Ledger(PROGRAM, state)
    assert second.wait() == 1
    assert "another ledger holds this directory" in second.errors, second.errors
    assert first.stop() == 0


def test_kill(state):
    """Every acknowledged record is present after kill -9 at any moment, and none is written twice."""
    rnd = random.Random(5)
    acked, seq, epoch = {}, 0, 0
    for _ in range(ROUNDS):
        ledger = Ledger(PROGRAM, state).ready()
        mesh = ledger.link("mesh")
        attached = attach(mesh, epoch)
        assert attached["CODE"] == "ok", attached
        epoch = attached["EPOCH"]
        waiting = set()
        die_after = rnd.randrange(ROUND_APPENDS)
        for i in range(ROUND_APPENDS):
            mesh.send("APPEND", payload=b'{"n":%d}' % (seq + 1 + i), SEQ=seq + 1 + i, KIND=KINDS["event"])
            waiting.add(seq + 1 + i)
        got = 0
        while got < die_after:
            fields = mesh.expect("APPEND_ACK")[0]
            acked[fields["SEQ"]] = (fields["INDEX"], fields["HASH"])
            waiting.discard(fields["SEQ"])
            got += 1
        ledger.kill()
        try:  # what was on its way is an acknowledgement too
            while True:
                fields = mesh.expect("APPEND_ACK")[0]
                acked[fields["SEQ"]] = (fields["INDEX"], fields["HASH"])
                waiting.discard(fields["SEQ"])
        except (Closed, ConnectionError):
            pass
        # the unanswered ones are sent again under the same numbers
        ledger = Ledger(PROGRAM, state).ready()
        mesh = ledger.link("mesh")
        assert attach(mesh, epoch)["CODE"] == "ok"
        for n in sorted(waiting):
            mesh.send("APPEND", payload=b'{"n":%d}' % n, SEQ=n, KIND=KINDS["event"])
        for n in sorted(waiting):
            fields = mesh.expect("APPEND_ACK")[0]
            acked[fields["SEQ"]] = (fields["INDEX"], fields["HASH"])
        seq += ROUND_APPENDS
        ledger.kill()
    ledger = Ledger(PROGRAM, state).ready()
    records = query(ledger.link("uid:0", "person", True, "admin"), WRITER="mesh")
    assert len(records) == ROUNDS * ROUND_APPENDS, len(records)
    for fields, payload in records:
        assert acked[fields["SEQ"]] == (fields["INDEX"], fields["HASH"])
        assert json.loads(payload) == {"n": fields["SEQ"]}
    assert ledger.stop() == 0
    status, result = verify(state)
    assert status == 0, result


def test_end_under_queries(state):
    """Who asks without a pause does not hold up the end."""
    ledger = Ledger(PROGRAM, state).ready()
    peers = {p.sock: p for p in (ledger.link("uid:%d" % i, "person", True, "admin") for i in range(4))}
    for peer in peers.values():
        for _ in range(16):
            peer.send("QUERY", REQ=7, WRITER="nobody")
        peer.expect("RESULT")
    ledger.process.terminate()
    hangs = time.monotonic() + 60
    while peers:
        assert time.monotonic() < hangs, "it goes on answering"
        for sock in select.select(list(peers), [], [], 60)[0]:
            try:
                peers[sock].expect("RESULT")
                peers[sock].send("QUERY", REQ=7, WRITER="nobody")
            except (Closed, ConnectionError):
                del peers[sock]
    assert ledger.wait() == 0, ledger.errors
    assert verify(state)[0] == 0


def test_export(state):
    """A second implementation recomputes chain and root from the export lines."""
    lines = subprocess.run([LOGTOOL, "export", state], capture_output=True, check=True).stdout
    root = verify(state)[1]["root"]
    here = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run([sys.executable, os.path.join(here, "reverify.py"), "--root", root], input=lines,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    flipped = lines.replace(b'"prev":"', b'"prev":"0', 1)
    done = subprocess.run([sys.executable, os.path.join(here, "reverify.py"), "--root", root], input=flipped,
                          capture_output=True, check=False)
    assert done.returncode == 1


def test_damage(state):
    """A byte changed under what the checkpoint covers: not opened, said why; and a torn tail is cut off."""
    segment = os.path.join(state, sorted(f for f in os.listdir(state) if f.endswith(".seg"))[-1])
    good = open(segment, "rb").read()
    used = len(good.rstrip(b"\0"))
    with open(segment, "r+b") as f:
        f.seek(used - 100)
        f.write(bytes([good[used - 100] ^ 1]))
    status, result = verify(state)
    assert status == 1 and not result["valid"] and result["first_bad_index"] is not None, result
    ledger = Ledger(PROGRAM, state)
    assert ledger.wait() == 1
    assert "damaged" in ledger.errors, ledger.errors
    with open(segment, "r+b") as f:
        f.write(good)
        f.seek((used + 7) // 8 * 8)
        f.write(b"torn")
    assert verify(state)[0] == 2
    ledger = Ledger(PROGRAM, state).ready()
    assert ledger.stop() == 0
    assert "torn tail" in ledger.errors, ledger.errors
    assert verify(state)[0] == 0
    assert len(os.listdir(os.path.join(state, "quarantine"))) == 1
    os.unlink(os.path.join(state, "key"))
    ledger = Ledger(PROGRAM, state)
    assert ledger.wait() == 1
    assert "key" in ledger.errors


def main():
    tests = [test_answers, test_two_writers, test_kill, test_end_under_queries, test_export, test_damage]
    print("1..%d" % len(tests))
    state = tempfile.mkdtemp(prefix="guardian-ledger-")
    failed = 0
    try:
        for i, test in enumerate(tests):
            try:
                test(state)
                print("ok %d - %s" % (i + 1, test.__name__), flush=True)
            except Exception as e:  # pylint: disable=broad-except
                failed += 1
                print("not ok %d - %s: %s %r" % (i + 1, test.__name__, type(e).__name__, e), flush=True)
                import traceback
                traceback.print_exc()
    finally:
        shutil.rmtree(state)
    return 1 if failed else 0


sys.exit(main())
