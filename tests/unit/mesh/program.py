# SPDX-License-Identifier: Apache-2.0
"""guardian-mesh itself, with this script in Guardian's and the ledger's place: links, a unit's mesh socket with JSON lines,
records before answers, a workflow that reaches a kernel's handler, dead letters, an orderly stop."""
import array
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile

MESH, POLICIES, ROOT = sys.argv[1:4]
TEXT = open(os.path.join(ROOT, "common/tags.h")).read()
TAGS = {m[1]: (int(m[2]), m[3]) for m in re.finditer(r"X\((\w+), (\d+), (\w+),", TEXT)}
NAMES = {number: (name, kind) for name, (number, kind) in TAGS.items()}
TYPES = {m[1]: int(m[2]) for m in re.finditer(r"MSG_(\w+) = (\d+),", open(os.path.join(ROOT, "common/msg.h")).read())}
TYPE_NAMES = {v: k for k, v in TYPES.items()}


class Pipe:
    def __init__(self, sock):
        self.sock, self.seq, self.buf, self.fds = sock, 0, b"", []
        sock.settimeout(20)

    def send(self, kind, fields, payload=b"", fd=None):
        header = b""
        for name, value in fields:
            number, typ = TAGS[name]
            data = struct.pack("<Q", value) if typ == "U64" else bytes([value]) if typ == "BOOL" else \
                value if isinstance(value, bytes) else value.encode()
            header += struct.pack("<HH", number, len(data)) + data
        self.seq += 1
        frame = struct.pack("<IBBBBII", 12 + len(header) + len(payload), 1, TYPES[kind], 1 if fd is not None else 0,
                            0, self.seq, len(header)) + header + payload
        anc = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        self.sock.sendmsg([frame], anc)

    def recv(self):
        while len(self.buf) < 4 or len(self.buf) < 4 + struct.unpack("<I", self.buf[:4])[0]:
            data = self.sock.recv(65536)
            if not data:
                return None, {}, b""
            self.buf += data
        length, _, kind, _, _, _, hlen = struct.unpack("<IBBBBII", self.buf[:16])
        body, self.buf = self.buf[16:4 + length], self.buf[4 + length:]
        header, payload, fields, at = body[:hlen], body[hlen:], {}, 0
        while at < len(header):
            tag, n = struct.unpack("<HH", header[at:at + 4])
            name, typ = NAMES[tag]
            data = header[at + 4:at + 4 + n]
            value = struct.unpack("<Q", data)[0] if typ == "U64" else data if typ == "BYTES" else data.decode() \
                if typ == "STR" else bool(data[0])
            if name in ("ISSUE", "HANDLER"):
                fields.setdefault(name, []).append(value)
            else:
                fields[name] = value
            at += 4 + n
        return TYPE_NAMES[kind], fields, payload


def pair(guardian, unit, kind="chunk", actor=None, extra=()):
    ours, theirs = socket.socketpair()
    guardian.send("LINK", [("UNIT", unit), ("INSTANCE", 1), ("EPOCH", 1), ("PEER_KIND", kind), ("ACTOR", actor or unit),
                           ("VALIDATED", True), *extra], fd=theirs.fileno())
    theirs.close()
    return Pipe(ours)


class Lines:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(path)
        self.file = self.sock.makefile("r")

    def ask(self, **line):
        self.sock.sendall(json.dumps(line).encode() + b"\n")

    def read(self):
        return json.loads(self.file.readline())


class Ledger:
    """Answers appends, with indexes from 0, when it is told to."""

    def __init__(self, pipe):
        self.pipe, self.records = pipe, []

    def attach(self):
        kind, fields, _ = self.pipe.recv()
        assert kind == "ATTACH", kind
        self.pipe.send("ATTACHED", [("CODE", "ok"), ("EPOCH", fields["EPOCH"] or 1), ("SEQ", 0), ("SIZE", 0),
                                    ("SIGNED_SIZE", 0)])

    def take(self):
        kind, fields, payload = self.pipe.recv()
        assert kind == "APPEND", (kind, fields)
        index = len(self.records)
        self.records.append((fields, json.loads(payload)))
        self.pipe.send("APPEND_ACK", [("SEQ", fields["SEQ"]), ("INDEX", index), ("HASH", b"\0" * 32),
                                      ("SIZE", index + 1), ("SIGNED_SIZE", index + 1)])
        return fields, json.loads(payload)


def check(what, good):
    global number
    number += 1
    print(f"{'ok' if good else 'not ok'} {number} - {what}", flush=True)
    if not good:
        sys.exit(1)


number = 0
work = tempfile.TemporaryDirectory()
state, policies = os.path.join(work.name, "state"), os.path.join(work.name, "policies")
os.mkdir(state)
os.makedirs(os.path.join(policies, "workflows"))
with open(os.path.join(policies, "workflows/mine.yaml"), "w") as f:
    f.write("""workflows:
  - name: mine
    trigger_event: job.done
    filters: [{field: n, operator: ">", value: 1}]
    actions:
      - {name: tell, target: k.tell, params: {n: "{{ payload.n }}", who: "by {{ event.source }}"}}
      - {name: nobody, target: none.there}
""")
ours, theirs = socket.socketpair()
proc = subprocess.Popen(["/bin/sh", "-c", f"exec 3<&{theirs.fileno()}; exec \"$0\"", MESH],
                        pass_fds=[theirs.fileno()])
theirs.close()
guardian = Pipe(ours)
secret, boot = os.urandom(32), os.urandom(16)
guardian.send("HELLO", [("UNIT", "mesh"), ("INSTANCE", 1), ("EPOCH", 1), ("SECRET", secret), ("BOOT_ID", boot),
                        ("STATE_DIR", state), ("POLICY_DIR", POLICIES), ("POLICY_DIR", policies)])
check("ready", guardian.recv()[0] == "READY")
guardian.send("CHALLENGE", [("NONCE", b"n" * 32)])
kind, fields, _ = guardian.recv()
check("the self-test passes", kind == "CHALLENGE_REPLY" and "ISSUE" not in fields)

ledger = Ledger(pair(guardian, "ledger"))
ledger.attach()
guardian.send("BINDING", [("UNIT", "worker"), ("PUBLISHES", "job.*"), ("SUBSCRIBES", "workflow.*"), ("TRUST", 90)])
guardian.send("HANDLER", [("UNIT", "worker"), ("INSTANCE", 1), ("HANDLER", "k.tell")])
path = os.path.join(work.name, "worker.sock")
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(8)
guardian.send("MESH_LISTEN", [("UNIT", "worker"), ("UID", os.getuid())], fd=listener.fileno())

worker = Lines(path)
worker.ask(op="register", handler="k.other", req=1)
check("a handler that the unit does not name is refused", worker.read()["code"] == "E.FORBIDDEN")
worker.ask(op="register", handler="k.tell", req=2)
check("one that it names is registered", worker.read() == {"req": 2, "ok": True})
worker.ask(op="subscribe", pattern="workflow.*", req=3)
check("subscribed", worker.read()["ok"])
worker.ask(op="subscribe", pattern="**", req=4)
check("not beyond the binding", worker.read()["code"] == "E.FORBIDDEN")
worker.ask(op="publish", type="other.type", payload={}, req=5)
check("publish is bound too", worker.read()["field"] == "type")

worker.ask(op="publish", type="job.done", payload={"n": 2}, req=6, correlation_id="cor_abcdef1")
fields, body = ledger.take()
check("the record says who and what", fields["ACTOR"] == "worker" and fields["CORRELATION_ID"] == "cor_abcdef1" and
      body["source"] == "worker" and json.loads(body["payload"]) == {"n": 2})
check("then the answer", worker.read() == {"req": 6, "ok": True, "index": 0})
line = worker.read()
check("the kernel's handler is invoked", line["invoke"]["handler"] == "k.tell" and
      line["invoke"]["params"] == {"n": 2, "who": "by worker"})
fields, body = ledger.take()
check("workflow.started is recorded", fields["ACTION"] == "workflow.started" and
      fields["CORRELATION_ID"] == "cor_abcdef1")
check("and seen", worker.read()["event"]["type"] == "workflow.started")
worker.ask(op="result", req=line["invoke"]["req"], ok=True, result={"told": True})
executed = [ledger.take() for _ in range(3)]
check("each action is recorded", [f["ACTION"] for f, _ in executed] ==
      ["workflow.action_executed", "workflow.action_executed", "workflow.completed"])
outcomes = [json.loads(b["payload"]) for _, b in executed]
check("with its outcome", outcomes[0]["status"] == "SUCCESS" and outcomes[1]["code"] == "E.NOT_FOUND" and
      outcomes[2]["result"] == "PARTIAL_SUCCESS")

person = pair(guardian, "uid:0", "person", "uid:0", [("ROLE", "operator"), ("UID", 0)])
for verb in ("dlq", "workflows", "workflow-stats", "queue-stats"):
    person.send("CALL", [("REQ", 9), ("VERB", verb)])
    kind, fields, payload = person.recv()
    check(f"{verb} answers", kind == "RESULT" and fields["STATUS"] == 0)
    doc = json.loads(payload)
    if verb == "dlq":
        check("the dead letter is kept", len(doc) == 1 and doc[0]["reason"] == "route_not_found" and
              doc[0]["action"] == "nobody")
    if verb == "queue-stats":
        check("counted", doc["counters"]["accepted"] == 5 and doc["dead_letters"] == 1)
person.send("SUBSCRIBE", [("REQ", 1), ("PATTERN", "**")])
check("a person subscribes", person.recv()[1]["CODE"] == "ok")
person.send("PUBLISH", [("REQ", 2), ("TYPE", "unit.state")], b"{}")
check("but is not Guardian", person.recv()[1]["CODE"] == "E.FORBIDDEN")
ledger.take()  # unit.* is audited: the attempt is on record
person.send("PUBLISH", [("REQ", 3), ("TYPE", "health.critical")], b"{}")
check("a type that needs validators is blocked without them", person.recv()[1]["CODE"] == "E.DEPENDENCY_DOWN")
guardian.send("PUBLISH", [("REQ", 4), ("TYPE", "unit.state"), ("RESOURCE", "web")], b'{"state":"running"}')
check("Guardian publishes on its pipe", ledger.take()[0]["ACTOR"] == "guardian" and
      guardian.recv()[1]["CODE"] == "ok")
check("and people see it", person.recv()[1]["TYPE"] == "unit.state")

for n in range(10):
    worker.sock.sendall(b"no json\n")
seen = list(worker.file)
check("a client that sends rubbish is cut", sum(json.loads(s).get("code") == "E.VALIDATION" for s in seen) == 10)
second = Lines(path)
second.ask(op="publish", type="job.done", payload={"n": 1}, req=1)
ledger.take()
check("and the next is served", second.read()["ok"])

proc.terminate()
check("an orderly stop", proc.wait(20) == 0)
print(f"1..{number}")
