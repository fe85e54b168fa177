#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every verb has a schema, every schema is sound, good documents pass and spoiled ones do not."""
import copy
import json
import os
import re
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
sys.path.insert(0, os.path.join(ROOT, "tests/lib"))
import jsonschema_min as js  # noqa: E402
import tap  # noqa: E402

HEX = "ab" * 32
TIME = "2026-11-21T03:00:00.123Z"
UNIT = {"name": "ledger", "priority": 1, "state": "running", "verdict": "passed", "health": "healthy", "pid": 7, "restarts": 0,
        "since": TIME, "start_ms": 1.9, "ready_ms": 3.4, "validated_ms": 4.0, "can_fail": False, "critical": True, "pinned": None,
        "last_exit": {"code": None, "signal": None, "reason": None}, "issues": [],
        "sandbox": {"profile": "base", "verified": True, "missing": [], "checks": [{"key": "NoNewPrivs", "planned": "1", "found": "1"}]}}
REPLY = {"request_id": "ab" * 16, "verdict": "allow", "code": "ok", "decision_index": 4, "approval_id": None, "intent_index": 5,
         "action_index": 6, "outcome": "ok", "reason": None, "correlation_id": "cor_1", "ungated": False}
RECORD = {"index": 3, "time": TIME, "kind": "unit", "writer": "guardian", "actor": None, "action": None, "resource": "web",
          "subsystem": None, "correlation_id": None, "request_id": None, "ref": None, "result": None, "body": {}, "prev": HEX, "hash": HEX}
DECISION = dict(RECORD, kind="decision", body={
    "verdict": "deny", "would": None, "mode": "enforce", "purpose": "act", "rules": [{"id": "r", "effect": "deny", "tier": "organisation"}],
    "missed": [{"id": "m", "failed": "x"}], "request": {}, "digest": HEX, "policy_revision": "p", "approval_id": None,
    "obligations": [], "errors": [], "code": "denied_by_rule"})
GOOD = {
    "status": {"guardian": {"version": "0.1.0", "pid": 1, "role": "pid1", "state": "running", "boot_ms": 84.2, "mode": "enforce",
                            "containment": "cgroup", "policy_revision": "x", "governance": "ready",
                            "ledger": {"size": 61, "signed_size": 61, "state": "ready"}, "pending_approvals": 0, "paused": False,
                            "orphans_reaped": 0}, "units": [UNIT]},
    "boot": {"state": "running", "total_ms": 9, "stages": [{"priority": 1.5, "start_ms": 0, "end_ms": None, "units": [
        {"name": "a", "start_ms": 0, "ready_ms": 1, "validated_ms": 2, "verdict": "passed", "issues": []}]}], "critical_chain": ["a"]},
    "propose": REPLY,
    "restart": REPLY,
    "stop": {"code": "needed_by_others", "reason": "needed by: immune"},
    "approvals": [{"id": "apr_1", "action": "restart_service", "target": "leaky", "requested_by": "immune", "reason": "r", "digest": HEX,
                   "rules": [{"id": "r", "effect": "require_approval", "tier": "organisation"}], "needs": ["operator:1"],
                   "given": [{"uid": 0, "role": "admin", "vote": "approve"}], "created": TIME, "expires": TIME, "state": "pending"}],
    "approve": {"id": "apr_1", "state": "used", "code": "approval_used"},
    "ledger query": RECORD,
    "ledger tail": DECISION,
    "ledger export": dict(RECORD, leaf="AAEC"),
    "ledger verify": {"valid": True, "entries": 3, "signed_size": 3, "root": HEX, "key_source": "state", "first_bad_index": None,
                      "first_bad_offset": None, "reason": None, "unsigned_tail": 0},
    "incidents": [{"id": "inc_1", "state": "closed", "root": "leaky", "type": "memory_leak", "severity": "high", "opened": TIME,
                   "closed": None, "attempts": 1, "outcome": "fixed", "correlation_id": "cor_1"}],
    "why": {"subject": "web", "text": "web runs", "because": [{"kind": "start", "ref": "web", "text": "t"}]},
    "events": {"msg_id": "m", "kind": "event", "type": "unit.state", "domain": "unit", "name": "UNIT_STATE", "version": "1.0.0", "ts": TIME,
               "source": "guardian", "headers": {"correlation_id": "c", "priority": "P2", "qos": "standard", "hop_count": 1}, "payload": {}},
    "mode": {"mode": "enforce", "recorded": "none", "floor": "none"},
    "logs": {"time": TIME, "unit": "web", "text": ""},
    "version": {"version": "0.1.0", "pid": 1, "state_dir": None},
}
# verb, path to a member, what to put there (None: the member is taken away)
MISSING = object()
BAD = [
    ("status", ["guardian", "role"], "boss"), ("status", ["guardian", "ledger", "size"], -1), ("status", ["units", 0, "state"], "up"),
    ("status", ["units", 0, "sandbox", "verified"], MISSING), ("status", ["units", 0, "pid"], 0), ("status", ["guardian", "paused"], 0),
    ("status", ["units", 0, "since"], "2026-11-21 03:00"), ("boot", ["critical_chain"], MISSING), ("propose", ["code"], "fine"),
    ("propose", ["request_id"], "xyz"), ("propose", ["outcome"], "done"), ("approvals", [0, "state"], "open"), ("approvals", [0, "digest"], "00"),
    ("approve", ["state"], "maybe"), ("ledger query", ["kind"], "note"), ("ledger query", ["hash"], HEX.upper()), ("ledger query", ["prev"], None),
    ("ledger tail", ["body", "verdict"], "perhaps"), ("ledger tail", ["body", "rules", 0, "id"], MISSING), ("ledger export", ["leaf"], MISSING),
    ("ledger verify", ["key_source"], "guess"), ("ledger verify", ["entries"], 1.5), ("incidents", [0, "root"], MISSING), ("why", ["text"], ""),
    ("why", ["because", 0, "kind"], 3), ("events", ["name"], "unit_state"), ("events", ["headers", "priority"], "P9"), ("mode", ["mode"], "off"),
    ("logs", ["text"], None), ("version", ["version"], "new"),
]


def spoiled(document, path, value):
    document = copy.deepcopy(document)
    node = document
    for key in path[:-1]:
        node = node[key]
    if value is MISSING:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return document


def subverbs(name, usage):
    """"ledger head|key|query|.." has a schema a subverb; "mode log_only|enforce" has one."""
    return [name + " " + s for s in usage.split()[0].split("|")] if name in ("ledger", "policy", "workflow", "queue", "dlq") else [name]


def test_every_verb_has_a_schema():
    help_text = subprocess.run([sys.argv[1], "--help"], capture_output=True, text=True, check=True).stdout
    names = re.findall(r"^  ([a-z][a-z-]+) ", help_text, re.M)
    assert len(names) > 30, names
    wanted = set()
    for name in names:
        usage = subprocess.run([sys.argv[1], name, "--help"], capture_output=True, text=True, check=True).stdout
        usage = usage.splitlines()[0].split(None, 3)
        wanted.update(v.replace(" ", "-") for v in subverbs(name, usage[3] if len(usage) > 3 else ""))
    have = {f[:-5] for f in os.listdir(js.CLI)}
    assert wanted <= have, wanted - have
    assert have - wanted == {"reply", "refusal"}, have - wanted


def test_schemas_are_sound():
    """Each is walked against documents of each type: an unknown keyword or a broken $ref raises."""
    for name in sorted(os.listdir(js.CLI)):
        schema = js.load(os.path.join(js.CLI, name))
        assert schema["$schema"].endswith("2020-12/schema") and schema["title"], name
        for document in (None, 1, "x", [], {}, [{}]):
            js.check(schema, document)


def test_good_documents():
    for verb, document in GOOD.items():
        assert js.check_cli(verb, document) == [], (verb, js.check_cli(verb, document))


def test_spoiled_documents():
    for verb, path, value in BAD:
        assert js.check_cli(verb, spoiled(GOOD[verb], path, value)), (verb, path)


def test_the_checker_itself():
    cases = [
        ({"type": "integer"}, 1, 1.5), ({"type": "integer"}, 2.0, True), ({"type": ["string", "null"]}, None, 1), ({"const": 1}, 1, True),
        ({"enum": [1, "a"]}, "a", "b"), ({"minimum": 2}, 2, 1), ({"maximum": 2}, 2, 3), ({"pattern": "^a"}, "ab", "ba"),
        ({"minLength": 1}, "a", ""), ({"maxLength": 1}, "a", "ab"), ({"required": ["a"]}, {"a": 1}, {}), ({"properties": {"a": {"type": "null"}}}, {}, {"a": 1}),
        ({"properties": {"a": True}, "additionalProperties": False}, {"a": 1}, {"b": 1}), ({"items": {"type": "null"}}, [None], [1]),
        ({"minItems": 1}, [1], []), ({"maxItems": 1}, [1], [1, 2]), ({"uniqueItems": True}, [1, 2], [1, 1]), ({"not": {"type": "null"}}, 1, None),
        ({"anyOf": [{"type": "null"}, {"minimum": 3}]}, None, 1), ({"oneOf": [{"minimum": 1}, {"minimum": 3}]}, 2, 5),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, 2, 3), ({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"type": "null"}}, "ab", "a"),
        ({"$defs": {"x": {"type": "null"}}, "$ref": "#/$defs/x"}, None, 1), (True, 1, None), ({"$ref": "reply.json"}, REPLY, {}),
    ]
    for schema, good, bad in cases:
        assert js.check(schema, good) == [], schema
        assert schema is True or js.check(schema, bad), schema
    schema = {"properties": {"a": {"items": {"properties": {"b": True}}}}}
    for document, known in (({"a": [{"b": 1}]}, True), ({"c": 1}, False), ({"a": [{"c": 1}]}, False)):
        assert js.check(schema, document) == []
        assert (js.check(schema, document, strict=True) == []) == known, document
    try:
        js.check({"tpye": "string"}, 1)
    except ValueError:
        return
    raise AssertionError("an unknown keyword went unnoticed")


if __name__ == "__main__":
    tap.run(globals())
