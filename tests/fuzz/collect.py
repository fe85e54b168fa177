#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""collect.py STAGE: writes seeds into the corpora from a running set. Boots the staged core with three services, lets guardianctl
ask it everything through a relay that keeps what goes each way, and takes its documents and its records. Run it by
hand when messages or documents change; the tests replay what is checked in."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
os.environ["GUARDIAN_STAGE"] = sys.argv[1]
sys.path.insert(0, str(HERE.parent / "e2e"))
from harness import CTL, STAGE, Guardian  # noqa: E402
from wire import KINDS, frame, tlv  # noqa: E402


SHOWS = ("status log_line version dot mermaid pairs boot reply code vote mode approvals trust policy incidents incident workflows queues "
         "dlq record event why").split()


def keep(area, target, name, data):
    folder = HERE / area / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


class Relay:
    """RUNTIME of its own whose control.sock passes on to the real one; descriptors too."""

    def __init__(self, real):
        self.dir, self.real, self.asked, self.answered = tempfile.mkdtemp(), real, b"", b""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.dir + "/control.sock")
        self.sock.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client = self.sock.accept()[0]
            guardian = socket.socket(socket.AF_UNIX)
            guardian.connect(self.real + "/control.sock")
            for one, other, name in ((client, guardian, "asked"), (guardian, client, "answered")):
                threading.Thread(target=self.copy, args=(one, other, name), daemon=True).start()

    def copy(self, one, other, name):
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(one, 1 << 18, 4)
                if not data:
                    other.shutdown(socket.SHUT_WR)
                    return
                setattr(self, name, getattr(self, name) + data)
                socket.send_fds(other, [data], fds)
                for fd in fds:
                    os.close(fd)
            except OSError:
                return

    def ask(self, *args):
        """guardianctl's document, with both streams kept."""
        self.asked = self.answered = b""
        r = subprocess.run([CTL, "--runtime", self.dir, "--timeout", "8s", "--json", *args], capture_output=True, check=False)
        return r.stdout


def shown(name, document):
    """Seeds of show: the letter that chooses what the document is taken for, and the document."""
    if document.strip():
        keep("ctl", "show", name, bytes([ord("a") + SHOWS.index(name.split("-")[0])]) + document.splitlines()[0][:16384])


ASK = [
    ("status", ["status"], "status"), ("status-web", ["status", "web"], "status"), ("status-none", ["status", "nobody"], None),
    ("boot", ["boot"], "boot"), ("graph", ["graph", "units"], "dot"), ("why", ["why", "web"], "why"), ("version", ["version"], "version"),
    ("logs", ["logs", "web"], "log_line"), ("approvals", ["approvals"], "approvals"), ("wait", ["wait", "web", "--state", "running"], None),
    ("restart", ["restart", "web"], "reply"), ("propose", ["propose", "restart_service", "web", "--arg", "k=v"], "reply-propose"),
    ("stop", ["stop", "db"], "reply-stop"), ("stop-force", ["stop", "db", "--force"], "reply-force"), ("start", ["start", "web"], "reply-start"),
    ("kill", ["kill", "web", "--signal", "TERM"], "reply-kill"), ("pin", ["pin", "web", "up"], "reply-pin"), ("unpin", ["unpin", "web"], None),
    ("reset", ["reset", "web"], None), ("reload", ["reload-unit", "web"], None), ("mode", ["mode"], "mode"),
    ("mode-set", ["mode", "enforce"], "reply-mode"), ("lockdown", ["lockdown", "on", "--reason", "drill"], "reply-lockdown"),
    ("lockdown-off", ["lockdown", "off"], None), ("approve", ["approve", "apr_1", "--note", "seen"], "vote"), ("deny", ["deny", "apr_1"], None),
    ("pause", ["pause", "--reason", "drill"], "code"), ("resume", ["resume"], "code-resume"),
    ("break-glass", ["break-glass", "--reason", "drill", "--ttl", "5min"], "code-glass"), ("trust", ["trust"], "trust"),
    ("policy", ["policy", "show"], "policy"), ("bootstrap", ["policy", "bootstrap"], "pairs"), ("incidents", ["incidents"], "incidents"),
    ("workflows", ["workflow", "list"], "workflows"), ("queues", ["queue"], "queues"), ("dlq", ["dlq", "list"], "dlq"),
    ("emit", ["emit", "a.b", "--payload", '{"x":1}'], "pairs-emit"), ("events", ["events", "-n", "5"], "event"),
]


def records(relay):
    """One line of each kind."""
    seen = set()
    for line in relay.ask("ledger", "query").splitlines():
        kind = json.loads(line)["kind"]
        if kind not in seen:
            seen.add(kind)
            shown("record-" + kind, line)


def moment(c):
    """Mode, time, facts and switches, as DECIDE and APPROVAL_ANSWERED carry them."""
    def facts(what):
        return ["%s=%s:%s" % (k, "s" if isinstance(v, str) else "b" if isinstance(v, bool) else "i", v) for k, v in what.items()]
    fields = {"MODE": c["mode"], "NOW_BOOT_US": c["now"]["boot_us"], "TIME_NS": c["now"]["wall_us"] * 1000, "FACT": facts(c["facts"])}
    return fields, facts(c["claims"])


def decide(q):
    """The fields of the DECIDE that a decision's `request` was made from."""
    fields, claims = moment(q["context"])
    fields.update(REQUEST_ID=bytes.fromhex(q["request_id"]), DIGEST=b"\x5a" * 32, PURPOSE="act", ACTOR=q["actor"]["id"],
                  ACTOR_KIND=q["actor"]["kind"], ACTION=q["action"], TARGET=q["resource"]["name"],
                  BOOT_ID=bytes.fromhex(q["incarnation"]["boot_id"]), PID=q["incarnation"]["pid"], START_TIME=q["incarnation"]["start_time"],
                  ARG=["%s=%s" % kv for kv in q["args"].items()], PRIORITY_MILLI=q["resource"]["priority_milli"],
                  CRITICAL=q["resource"]["critical"], CAN_FAIL=q["resource"]["can_fail"], HEAL=q["resource"]["heal"], CLAIM=claims,
                  LABEL=["%s=%s" % kv for kv in q["resource"]["labels"].items()], CORRELATION_ID=q["correlation_id"], REASON=q["reason"])
    if q["actor"]["uid"] is not None:
        fields.update(UID=q["actor"]["uid"], ROLE=q["actor"]["role"])
    return fields


def record(r):
    """The RECORD that a line of `ledger query` was made from."""
    fields = {"REQ": 1, "INDEX": r["index"], "TIME_NS": 1763694000000000000, "KIND": KINDS[r["kind"]], "WRITER": r["writer"], "EPOCH": 1,
              "SEQ": 1, "HASH": bytes.fromhex(r["hash"]), "PREV": bytes.fromhex(r["prev"])}
    for name in ("actor", "action", "resource", "subsystem", "correlation_id", "result", "ref"):
        if r.get(name) is not None:
            fields[name.upper()] = r[name]
    if r.get("request_id"):
        fields.update(REQUEST_ID=bytes.fromhex(r["request_id"]), DIGEST=bytes.fromhex(r["body"].get("digest", "00" * 32)))
    body = json.dumps(r["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return frame("RECORD", 1, tlv(**fields), body)


def decides(relay):
    """What the gate is told: records of a log to fold, questions, and the answer to one that a person had to give."""
    lines = [json.loads(x) for x in relay.ask("ledger", "query").splitlines()]
    told = b"".join(record(r) for r in lines if r["kind"] in ("decision", "approval", "action", "config"))
    keep("governance", "decide", "records", told[:40000])
    seen = {}
    for r in lines:
        if r["kind"] == "decision":
            seen.setdefault(r["action"], r["body"]["request"])
    for action, q in seen.items():
        keep("governance", "decide", action, frame("DECIDE", 1, tlv(**decide(q))))
    q = dict(next(iter(seen.values())), action="stop")
    now = moment(q["context"])[0]
    rid = q["request_id"]
    vote = {"approval_id": "apr_" + rid, "state": "approved", "vote": "approve", "role": "operator", "reason": "", "digest": "5a" * 32}
    told = frame("DECIDE", 1, tlv(**decide(q))) + record(
        {"index": 101, "kind": "approval", "writer": "guardian", "hash": "00" * 32, "prev": "00" * 32, "request_id": rid, "ref": 100,
         "actor": "uid:0", "body": vote})
    told += frame("APPROVAL_ANSWERED", 1, tlv(APPROVAL_ID="apr_" + rid, REQUEST_ID=bytes.fromhex(rid), DIGEST=b"\x5a" * 32, INDEX=101,
                                              STATE="approved", **now))
    keep("governance", "decide", "asked-and-answered", told)
    keep("governance", "decide", "twice", frame("DECIDE", 1, tlv(**decide(q))) * 2)


def main():
    service = "[Unit]\n%s[Chunk]\nCanFail=yes\nHeal=restart_service\n[Service]\nExecStart=/bin/sh -c 'echo started; exec sleep 1000'\n%s"
    units = {"web.chunk": service % ("Requires=db\n", "ExecReload=/bin/true\n"), "db.chunk": service % ("", ""),
             "bad.chunk": "[Chunk]\nCanFail=yes\n[Service]\nExecStart=/bin/false\nRestart=no\n"}
    with Guardian(units) as g:
        g.wait_boot()
        relay = Relay(g.runtime)
        for name, args, show in ASK:
            document = relay.ask(*args)
            keep("guardian", "control", name, bytes([3]) + relay.asked)
            keep("ctl", "answer", name, bytes([1 if b"connect" in relay.asked else 0]) + relay.answered[:32768])
            if show:
                shown(show, document)
        records(relay)
        decides(relay)
        shutil.rmtree(relay.dir)


main()
