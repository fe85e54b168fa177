#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""guardianctl without Guardian: exit statuses, messages, and the ledger's files while they are written, whole, damaged."""
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../ledger"), os.path.join(HERE, "../../lib")]
import tap  # noqa: E402
from jsonschema_min import check_cli  # noqa: E402
from wire import KINDS, Ledger  # noqa: E402

CTL, LEDGER = sys.argv[1], sys.argv[2]
TMP = tempfile.mkdtemp(prefix="ctl.")
STATE = os.path.join(TMP, "state")
ENV = {"PATH": os.environ["PATH"], "GUARDIAN_RUNTIME": os.path.join(TMP, "nobody"), "GUARDIAN_STATE": os.path.join(TMP, "none")}


def ctl(*args, env=ENV, input=None):
    r = subprocess.run([CTL, *args], capture_output=True, text=True, env=env, input=input, timeout=60)
    assert all(len(line) <= 80 or " " not in line.strip() for line in r.stderr.splitlines()), r.stderr
    return r


def status(code, *args, **more):
    r = ctl(*args, **more)
    assert r.returncode == code, (args, r.returncode, r.stdout, r.stderr)
    return r


def offline(code, *args, state=STATE):
    return status(code, "--state", state, *args)


def lines(r):
    return [json.loads(line) for line in r.stdout.splitlines()]


def test_nobody_there_is_3():
    for verb in (["status"], ["restart", "web"], ["approvals"], ["emit", "a.b"], ["events", "-f"], ["incidents"], ["why", "web"],
                 ["propose", "restart_service", "web"], ["shutdown"], ["ledger", "checkpoint"], ["wait", "--state", "running"]):
        r = status(3, *verb)
        assert "guardianctl:" in r.stderr and ENV["GUARDIAN_RUNTIME"] in r.stderr.replace("\n  ", " "), r.stderr
    other = os.path.join(TMP, "other")
    assert other in status(3, "--runtime", other, "status").stderr
    os.mkdir(other)
    long = other + "/" + "x" * 120
    os.mkdir(long)
    status(3, "--runtime", long, "status")


def test_usage_is_64():
    for args in ([], ["statsu"], ["status", "--nonsense"], ["--timeout", "soon", "status"], ["--timeout"], ["start"], ["pin", "web"],
                 ["pin", "web", "sideways"], ["propose", "restart_service"], ["propose", "a", "b", "--arg", "novalue"], ["approve"],
                 ["mode", "off"], ["pause"], ["resume", "now"], ["lockdown"], ["lockdown", "maybe"], ["break-glass"],
                 ["break-glass", "--reason", "r"], ["break-glass", "--reason", "r", "--ttl", "soon"], ["emit"], ["emit", "a.b", "--payload", "{"],
                 ["events", "--type", "A"], ["events", "-n", "0"], ["events", "-n", "x"], ["workflow"], ["queue"], ["dlq"], ["incident"], ["why"],
                 ["graph"], ["graph", "cats"], ["graph", "units", "--format", "png"], ["shutdown", "--exit-code", "256"],
                 ["wait", "--state", "up"], ["wait", "web", "--state", "booting"], ["wait"], ["ledger"], ["ledger", "nonsense"],
                 ["ledger", "prove", "3"], ["ledger", "consistency", "1", "2"], ["ledger", "repair"], ["ledger", "query", "--kind", "note"],
                 ["ledger", "query", "--since", "noon"], ["ledger", "query", "--limit", "x"],
                 ["ledger", "query", "--limit", "0"], ["ledger", "tail", "-n", "x"], ["ledger", "export", "--limit", "0"], ["logs", "-n", "x"], ["ledger", "query", "--request-id", "12"],
                 ["ledger", "verify", "--pub"], ["ledger", "verify", "more"], ["logs", "--since", "noon"], ["policy"], ["trust", "a", "b"],
                 ["kill", "web", "--signal", "HUP", "--signal", "INT"], ["kill", "web", "--signal", "FOO"]):
        r = status(64, *args)
        assert r.stderr and not r.stdout, (args, r)
    assert "did you mean 'status'" in ctl("statsu").stderr
    assert "-n takes" in ctl("ledger", "tail", "-n", "x").stderr


def test_help_and_version():
    r = status(0, "--help")
    assert "exit status:" in r.stdout and max(map(len, r.stdout.splitlines())) <= 80, r.stdout
    assert "UNIT" in status(0, "restart", "--help").stdout
    for words, told in ((["ledger", "query"], "--request-id ID"), (["ledger"], "ledger verify"), (["emit"], "--payload JSON"), (["logs"], "--grep TEXT"),
                        (["propose"], "--arg K=V"), (["events"], "--type PATTERN"), (["approvals"], "--all")):
        r = status(0, *words, "--help").stdout
        assert "usage: guardianctl " + " ".join(words) in r and "\n  " + told + " " in r, r
        assert max(map(len, r.splitlines()[2:])) <= 80, r
    for words, told in ((["ledger", "hed"], "'head'"), (["graph", "unit"], "'units'"), (["graph", "units", "--format", "png"], "'png'"),
                        (["policy", "shwo"], "'show'"), (["lockdown", "maybe"], "'maybe'"), (["pin", "web", "sideways"], "'sideways'"),
                        (["ledger", "tail", "--kindd", "unit"], "'--kind'"), (["wait", "--state", "bogus"], "booting"),
                        (["wait", "web", "--state", "bogus"], "backoff"), (["mode", "enforced"], "'enforce'"), (["dlq", "lst"], "'list'")):
        r = status(64, *words).stderr
        assert told in r and "usage: guardianctl " + words[0] in r, r
    assert ctl("--version").stdout.startswith("guardianctl ")


def write_log():
    """A log with a governed action, still being written."""
    os.makedirs(STATE)
    ledger = Ledger(LEDGER, os.path.join(STATE, "ledger")).ready()
    guardian, gate = ledger.control, ledger.link("governance")
    seq = {}

    def append(peer, name, kind, body=b"{}", **more):
        seq[name] = seq.get(name, 0) + 1
        peer.send("APPEND", payload=body, SEQ=seq[name], KIND=KINDS[kind], **more)
        return peer.expect("APPEND_ACK")[0]["INDEX"]

    guardian.send("ATTACH", EPOCH=0)
    guardian.expect("ATTACHED")
    gate.send("ATTACH", EPOCH=0)
    gate.expect("ATTACHED")
    one = {"REQUEST_ID": bytes(range(16)), "DIGEST": bytes(32), "CORRELATION_ID": "cor_1", "ACTION": "restart_service", "RESOURCE": "web",
           "ACTOR": "uid:0"}
    body = {"verdict": "allow", "would": None, "mode": "enforce", "purpose": "act", "rules": [{"effect": "allow", "id": "r", "tier": "t"}],
            "missed": [], "request": {}, "digest": "00" * 32, "policy_revision": "p", "approval_id": None, "obligations": [], "errors": [],
            "code": "ok"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    decision = append(gate, "gate", "decision", text, VERDICT_BITS=1, RESULT="allow", **one)
    intent = append(guardian, "guardian", "intent", REF=decision, **one)
    done = {"args": {}, "digest": "00" * 32, "duration_us": 5, "outcome": "ok", "reason": "", "target": "web"}
    text = json.dumps(done, sort_keys=True, separators=(",", ":")).encode()
    append(guardian, "guardian", "action", text, REF=intent, RESULT="ok", **one)
    for i in range(5):
        append(guardian, "guardian", "unit", RESOURCE="u%d" % i, RESULT="running")
    person = ledger.link("uid:0", "person", True, "admin")
    person.send("CALL", REQ=1, VERB="checkpoint")
    note = json.loads(person.expect("RESULT")[1])["note"]
    return ledger, note


def test_the_files_while_they_are_written():
    ledger, note = write_log()
    with open(os.path.join(TMP, "note"), "w") as f:
        f.write(note)
    # the note that was just signed may be newer than the note file: it is judged all the same
    r = offline(0, "--json", "ledger", "verify", "--at-least", os.path.join(TMP, "note"))
    assert check_cli("ledger verify", json.loads(r.stdout)) == []
    assert len(lines(offline(0, "--json", "ledger", "query", "--correlation-id", "cor_1"))) == 3
    assert ledger.stop() == 0, ledger.errors


def test_verify():
    good = json.loads(offline(0, "--json", "ledger", "verify").stdout)
    assert good["valid"] and good["key_source"] == "state" and good["unsigned_tail"] == 0, good
    said = offline(0, "ledger", "verify").stdout
    assert "self-consistency" in said
    assert "log:  %s\n" % os.path.join(STATE, "ledger") in said  # which one it was is never a guess
    assert offline(0, "--quiet", "ledger", "verify").stdout == ""
    key = json.loads(offline(0, "--json", "ledger", "key").stdout)
    assert check_cli("ledger key", key) == []
    with open(os.path.join(TMP, "key.json"), "w") as f:
        json.dump(key, f)
    for pin in (key["verifier_key"], key["public_key"], os.path.join(TMP, "key.json"), os.path.join(STATE, "ledger/key.pub")):
        assert json.loads(offline(0, "--json", "ledger", "verify", "--pub", pin).stdout)["key_source"] == "pinned"
    with open(os.path.join(TMP, "key.text"), "w") as f:
        f.write(offline(0, "ledger", "key").stdout)
    assert "checked against the key given" in offline(0, "ledger", "verify", "--pub", os.path.join(TMP, "key.text")).stdout
    wrong = offline(1, "ledger", "verify", "--pub", "00" * 32).stdout
    assert "another key" in wrong and "self-consistency" not in wrong and "root:" not in wrong, wrong
    offline(64, "ledger", "verify", "--pub", os.path.join(TMP, "note"))
    offline(3, "ledger", "verify", "--pub", os.path.join(TMP, "nowhere"))
    offline(3, "ledger", "verify", "--at-least", os.path.join(TMP, "nowhere"))
    head = json.loads(offline(0, "--json", "ledger", "head").stdout)
    assert check_cli("ledger head", head) == [] and head["root"] == good["root"] and head["size"] == good["entries"], head
    # without --state: the default directory, here from the environment
    assert status(0, "ledger", "verify", env=dict(ENV, GUARDIAN_STATE=STATE)).stdout.startswith("good")


def test_export_can_be_recomputed():
    records = lines(offline(0, "ledger", "export"))
    before = "0" * 64
    for r in records:
        assert check_cli("ledger export", r) == [], check_cli("ledger export", r)
        leaf = base64.b64decode(r["leaf"])
        assert hashlib.sha256(b"\0" + leaf).hexdigest() == r["hash"] and r["prev"] == before
        assert bytes.fromhex(r["prev"]) in leaf
        before = r["hash"]
    assert [r["index"] for r in records] == list(range(len(records)))
    some = lines(offline(0, "ledger", "export", "--from", "2", "--limit", "3"))
    assert [r["index"] for r in some] == [2, 3, 4]


def test_query():
    all_records = lines(offline(0, "--json", "ledger", "query"))
    assert all(check_cli("ledger query", r) == [] for r in all_records)
    pick = lambda *f: [r["index"] for r in lines(offline(0, "--json", "ledger", "query", *f))]  # noqa: E731
    want = lambda **f: [r["index"] for r in all_records if all(r[k] == v for k, v in f.items())]  # noqa: E731
    assert pick("--kind", "decision", "--kind", "intent") == want(kind="decision") + want(kind="intent")
    assert pick("--writer", "governance") == want(writer="governance")
    assert pick("--resource", "u3") == want(resource="u3") and pick("--action", "restart_service") == want(action="restart_service")
    assert pick("--actor", "uid:0", "--kind", "action") == want(actor="uid:0", kind="action")
    assert pick("--request-id", bytes(range(16)).hex()) == want(correlation_id="cor_1")
    assert pick("--limit", "2") == [0, 1] and pick("--until", "2020-01-01T00:00:00Z") == [] and pick("--since", "1h") == pick()
    tail = [r["index"] for r in lines(offline(0, "--json", "ledger", "tail", "-n", "3"))]
    assert tail == [r["index"] for r in all_records[-3:]], tail
    human = offline(0, "ledger", "query").stdout.splitlines()
    assert len(human) == len(all_records) and max(map(len, human)) <= 80, human


def test_why_from_files():
    r = offline(0, "--json", "why", "cor_1")
    story = json.loads(r.stdout)
    assert check_cli("why", story) == []
    assert [b["kind"] for b in story["because"]] == ["decision", "intent", "action"], story
    assert "ran restart_service on web: ok" in offline(0, "why", bytes(range(16)).hex()).stdout.replace("\n" + " " * 16, " ")
    alone = json.loads(offline(0, "--json", "why", "0").stdout)  # the key record belongs to no story
    assert [b["ref"] for b in alone["because"]] == ["0"] and check_cli("why", alone) == [], alone
    unit = json.loads(offline(0, "--json", "why", "web").stdout)  # nothing of its state is on record, but its healing is
    assert check_cli("why", unit) == [] and unit["correlation_id"] == "cor_1" and unit["because"] == story["because"], unit
    unit = json.loads(offline(0, "--json", "why", "u3").stdout)
    assert [b["kind"] for b in unit["because"]] == ["unit"] and "u3 running" in unit["because"][0]["text"], unit
    offline(6, "why", "u9")
    offline(6, "why", "cor_2")
    offline(6, "why", "100000")


def damaged(change):
    state = os.path.join(TMP, "damaged")
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(STATE, state)
    path = os.path.join(state, "ledger", "0" * 20 + ".seg")
    with open(path, "r+b") as f:
        data = bytearray(f.read())
        change(data)
        f.seek(0)
        f.write(data)
        f.truncate(len(data))
    return state


def flip(data):
    data[600] ^= 1


def torn(data):
    end = (len(data.rstrip(b"\0")) + 7) // 8 * 8
    data[end:end + 40] = b"\x90\x01\0\0" + b"x" * 36


def test_damage():
    state = damaged(flip)
    bad = json.loads(offline(1, "--json", "ledger", "verify", state=state).stdout)
    assert not bad["valid"] and check_cli("ledger verify", bad) == [] and bad["first_bad_offset"] < 600, bad
    assert "BROKEN" in offline(1, "ledger", "verify", state=state).stdout
    assert "cannot be read" not in offline(1, "ledger", "query", state=state).stdout
    state = damaged(torn)
    tail = json.loads(offline(2, "--json", "ledger", "verify", state=state).stdout)
    assert tail["first_bad_index"] == tail["entries"], tail
    # a log cut to what an older note covered is caught by the newer note that somebody kept
    newer = os.path.join(TMP, "newer")
    shutil.copy(os.path.join(STATE, "ledger/checkpoint"), newer)
    state = damaged(lambda data: data.__setitem__(slice(len(data.rstrip(b"\0")) - 400, None), bytes(len(data) - len(data.rstrip(b"\0")) + 400)))
    os.unlink(os.path.join(state, "ledger/checkpoint"))
    offline(1, "ledger", "verify", "--at-least", newer, state=state)


def test_no_log_is_3():
    r = offline(3, "--json", "ledger", "verify", state=os.path.join(TMP, "nowhere"))
    assert check_cli("ledger verify", json.loads(r.stdout)) == [] and not json.loads(r.stdout)["valid"]
    for verb in ("query", "tail", "export", "head", "key"):
        r = offline(3, "ledger", verb, state=os.path.join(TMP, "nowhere"))
        assert not r.stdout and "nowhere/ledger" in r.stderr, r
    os.makedirs(os.path.join(TMP, "empty/ledger"))
    offline(3, "ledger", "verify", state=os.path.join(TMP, "empty"))


if __name__ == "__main__":
    tap.run(globals())
    shutil.rmtree(TMP, ignore_errors=True)
