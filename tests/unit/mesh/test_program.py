# SPDX-License-Identifier: Apache-2.0
"""guardian-mesh among peers that are slow, wrong or gone: frames on a mesh socket, validators, who may connect.
test_program.py PROGRAM POLICIES. Prints TAP."""
import contextlib
import json
import os
import re
import socket
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
import chunk  # noqa: E402
import tap  # noqa: E402
import wire  # noqa: E402

PROGRAM, POLICIES = sys.argv[1:3]
CRITICAL = {"TYPE": "health.critical", "payload": b'{"component":"db","status":"down"}'}
WORKFLOW = """workflows:
  - name: mine
    trigger_event: job.done
    actions:
      - {name: tell, target: k.tell, params: {n: "{{ payload.n }}"}}
"""


class Mesh(chunk.Chunk):
    """With a ledger, and a unit `worker` that may publish and handle."""

    def __init__(self, state=None):
        self.dir = tempfile.TemporaryDirectory()
        own = os.path.join(self.dir.name, "policies")
        os.makedirs(os.path.join(own, "workflows"))
        with open(os.path.join(own, "workflows/mine.yaml"), "w") as f:
            f.write(WORKFLOW)
        self.state = state or os.path.join(self.dir.name, "state")
        os.makedirs(self.state, exist_ok=True)
        super().__init__(PROGRAM, "mesh", [POLICIES, own], STATE_DIR=self.state)
        self.listeners, self.asker = 0, None

    def begin(self):
        self.control.expect("READY")
        self.ledger = chunk.Ledger(self).attach()
        self.control.send("BINDING", UNIT="worker", PUBLISHES=["job.*", "health.*"], SUBSCRIBES=["job.*", "workflow.*"], TRUST=90)
        self.control.send("HANDLER", UNIT="worker", INSTANCE=1, HANDLER=["k.tell"])
        return self

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.dir.cleanup()

    def listen(self, uid=None):
        """The worker's mesh socket: its path."""
        self.listeners += 1
        path = os.path.join(self.dir.name, "sock%d" % self.listeners)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            os.chmod(path, 0o666)
            s.listen(100)
            self.control.send("MESH_LISTEN", fd=s.fileno(), UNIT="worker", UID=os.getuid() if uid is None else uid)
        os.chmod(self.dir.name, 0o755)
        return path

    def counters(self):
        self.asker = self.asker or self.person("observer")
        doc = json.loads(chunk.call(self.asker, "queue-stats")["payload"])
        return dict(doc, **doc["counters"])


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(path)
    return s


def frames(path):
    return wire.Peer(connect(path))


class Lines:
    """A client that speaks JSON lines."""

    def __init__(self, path):
        self.sock = connect(path)
        self.file = self.sock.makefile("r")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.file.close()
        self.sock.close()

    def ask(self, **line):
        self.sock.sendall(json.dumps(line).encode() + b"\n")
        return json.loads(self.file.readline())


def publish(peer, req=1, payload=b"{}", **fields):
    peer.send("PUBLISH", payload, REQ=req, **fields)


def test_frames_on_a_mesh_socket():
    with Mesh().begin() as m, frames(m.listen()) as k:
        k.send("SUBSCRIBE", REQ=1, PATTERN="job.*")
        assert k.expect("RESULT", REQ=1)["CODE"] == "ok"
        k.send("SUBSCRIBE", REQ=2, PATTERN="**")
        assert k.expect("RESULT", REQ=2)["CODE"] == "E.FORBIDDEN"
        publish(k, 3, TYPE="other.type")
        got = k.expect("RESULT", REQ=3)
        assert (got["CODE"], got["ISSUE"]) == ("E.FORBIDDEN", ["field=type"]), got
        publish(k, 4, b'{"n":1}', TYPE="job.begun", SOURCE="somebody")
        got = m.ledger.take()
        assert got["ACTOR"] == "worker" and json.loads(got["payload"])["source"] == "worker", got
        assert k.expect("RESULT", REQ=4)["INDEX"] == 0
        event = k.expect("EVENT")
        assert (event["TYPE"], event["SOURCE"], event["INDEX"], event["payload"]) == ("job.begun", "worker", 0, b'{"n":1}'), event


def test_a_kernel_is_no_chunk():
    """Any other message, and bytes that are no frame, end the connection; the next one is served."""
    with Mesh().begin() as m:
        path = m.listen()
        with Lines(path) as k:
            k.sock.sendall(b'{"op":"' + b"x" * (300 * 1024))
            with contextlib.suppress(ConnectionResetError):
                assert k.file.readline() == ""
        assert "a line of it is over 256 KiB" in m.said(), m.said()  # further faults are counted, not told
        for kind, fields in (("CALL", {"VERB": "dlq"}), ("VALIDATE", {"TYPE": "a.b"}), ("INVOKE", {"HANDLER": "x.y", "TYPE": "a.b"})):
            with frames(path) as k:
                k.send(kind, REQ=1, **fields)
                assert k.ended(), kind
        with frames(path) as k:
            k.raw(b"GET / HTTP/1.0\r\n\r\n")
            assert k.ended()
        with frames(path) as k:
            k.send("SUBSCRIBE", REQ=1, PATTERN="job.*")
            assert k.expect("RESULT")["CODE"] == "ok"


def test_who_may_connect():
    """The unit's own uid and root; the socket's mode is not what holds."""
    if os.getuid() != 0:
        return "needs several uids"
    with Mesh().begin() as m:
        path = m.listen(uid=54321)

        def asks(uid):
            pid = os.fork()
            if pid == 0:
                os.setresuid(uid, uid, uid)
                try:
                    with Lines(path) as k:
                        os._exit(0 if k.ask(op="subscribe", pattern="job.*", req=1)["ok"] else 2)
                except (ValueError, OSError):  # nothing was answered
                    os._exit(1)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        assert asks(54321) == 0
        assert asks(54322) == 1
        assert asks(0) == 0
        assert "refuses who is neither its unit's user nor root" in m.said()


def test_connections_have_an_end():
    with Mesh().begin() as m:
        path = m.listen()
        with contextlib.ExitStack() as stack:
            all64 = [stack.enter_context(Lines(path)) for _ in range(64)]
            assert all(k.ask(op="subscribe", pattern="job.*", req=1)["ok"] for k in all64)
            with Lines(path) as k, contextlib.suppress(ConnectionResetError, BrokenPipeError):
                k.sock.sendall(b'{"op":"subscribe"}\n')
                assert k.file.readline() == ""
            assert "takes no more clients" in m.said()
            assert all64[0].ask(op="subscribe", pattern="workflow.*", req=2)["ok"]
            codes = [all64[0].ask(op="register", handler="k.tell", req=n).get("code") for n in range(17)]
            assert codes == [None] * 16 + ["E.RATE_LIMIT"], codes


def test_a_new_socket_of_the_same_unit():
    with Mesh().begin() as m:
        old = Lines(m.listen())
        assert old.ask(op="subscribe", pattern="job.*", req=1)["ok"]
        path = m.listen()
        assert old.file.readline() == ""
        with Lines(path) as k:
            assert k.ask(op="subscribe", pattern="job.*", req=1)["ok"]


def test_validators():
    with Mesh().begin() as m, frames(m.listen()) as k:
        validators = m.link("validators")
        publish(k, 1, CRITICAL["payload"], TYPE=CRITICAL["TYPE"])
        asked = validators.expect("VALIDATE")
        assert (asked["TYPE"], asked["SOURCE"], asked["payload"]) == (CRITICAL["TYPE"], "worker", CRITICAL["payload"]), asked
        # who publishes is not who judges
        k.send("RESULT", REQ=asked["REQ"], STATUS=0, CODE="ok")
        other = m.link("immune")
        other.send("RESULT", REQ=asked["REQ"], STATUS=0, CODE="ok")
        validators.send("RESULT", REQ=asked["REQ"], STATUS=1, CODE="E.VALIDATION", MESSAGE="no", ISSUE=["a", "b"])
        got = k.expect("RESULT", REQ=1)
        assert (got["STATUS"], got["CODE"], got["ISSUE"]) == (1, "E.VALIDATION", ["a", "b"]), got
        publish(k, 2, CRITICAL["payload"], TYPE=CRITICAL["TYPE"])
        asked = validators.expect("VALIDATE")
        validators.send("RESULT", REQ=asked["REQ"], STATUS=0, CODE="ok")
        taken = m.ledger.take()
        while taken["ACTION"] != CRITICAL["TYPE"] or taken["RESULT"] != "accepted":  # the refused one may be on record too
            taken = m.ledger.take()
        assert k.expect("RESULT", REQ=2)["CODE"] == "ok"
        # a verdict a second time is no verdict
        validators.send("RESULT", REQ=asked["REQ"], STATUS=1, CODE="E.VALIDATION")
        publish(k, 3, CRITICAL["payload"], TYPE=CRITICAL["TYPE"])
        validators.expect("VALIDATE")
        validators.close()
        assert k.expect("RESULT", REQ=3)["CODE"] == "E.DEPENDENCY_DOWN"


def run_of(m):
    """A run of the workflow has begun: the event is published, its records are taken."""
    with frames(m.listen()) as k:
        publish(k, 1, b'{"n":5}', TYPE="job.done")
        assert m.ledger.take()["ACTION"] == "job.done"
        assert k.expect("RESULT", REQ=1)["CODE"] == "ok"
    assert m.ledger.take()["ACTION"] == "workflow.started"


def executed(m):
    got = m.ledger.take()
    assert got["ACTION"] == "workflow.action_executed", got
    return json.loads(json.loads(got["payload"])["payload"])


def test_a_chunk_is_invoked():
    with Mesh().begin() as m:
        m.control.send("HANDLER", UNIT="helper", INSTANCE=1, HANDLER=["k.tell"])
        m.control.send("HANDLER", UNIT="worker", INSTANCE=1)
        helper = m.link("helper")
        run_of(m)
        asked = helper.expect("INVOKE")
        assert (asked["HANDLER"], asked["SOURCE"], json.loads(asked["payload"])) == ("k.tell", "mesh", {"n": 5}), asked
        other = m.link("immune")
        other.send("RESULT", b"{}", REQ=asked["REQ"], STATUS=1, CODE="E.STOLEN")
        other.send("EVENT", TYPE="a.b")  # a message that the mesh does not take
        other.send("INVOKE", REQ=7, HANDLER="k.tell", TYPE="a.b")
        assert other.expect("RESULT", REQ=7)["CODE"] == "unsupported"  # it has read both
        helper.send("RESULT", b'{"told":true}', REQ=asked["REQ"], STATUS=0, CODE="ok")
        assert executed(m)["status"] == "SUCCESS"
        assert m.ledger.take()["ACTION"] == "workflow.completed"
        assert "an answer that nobody waits for" in m.said()


def test_who_was_invoked_is_gone():
    """The run ends all the same, and what could not be done is a dead letter, kept over a restart."""
    with tempfile.TemporaryDirectory() as state:
        with Mesh(state).begin() as m:
            m.control.send("HANDLER", UNIT="helper", INSTANCE=1, HANDLER=["k.tell"])
            m.control.send("HANDLER", UNIT="worker", INSTANCE=1)
            helper = m.link("helper")
            run_of(m)
            helper.expect("INVOKE")
            helper.close()
            got = executed(m)
            assert (got["status"], got["code"]) == ("FAILED", "E.PEER_RESTARTED"), got
            assert m.ledger.take()["ACTION"] == "workflow.completed"
            (letter,) = json.loads(chunk.call(m.person("observer"), "dlq")["payload"])
            assert (letter["type"], letter["action"]) == ("job.done", "tell"), letter
        with Mesh(state).begin() as m:
            assert json.loads(chunk.call(m.person("observer"), "dlq")["payload"]) == [letter]


def test_what_persons_may_ask():
    with Mesh().begin() as m:
        nobody = m.person(None)
        for _ in range(2):
            assert chunk.call(nobody, "dlq")["CODE"] == "denied_by_role"
        p = m.person("observer")
        assert chunk.call(p, "nonsense")["CODE"] == "unsupported"
        for bad in ("0", "501", "x", "-1", "1" * 40):
            got = chunk.call(p, "dlq", ARG="limit=" + bad)
            assert (got["STATUS"], got["CODE"]) == (64, "invalid"), (bad, got)
        assert json.loads(chunk.call(p, "dlq", ARG="limit=500")["payload"]) == []


def test_dead_letters_that_can_not_be_kept():
    with tempfile.TemporaryDirectory() as state:
        with Mesh(state).begin():
            pass
        (name,) = [n for n in os.listdir(state) if re.search(r"\.(db|sqlite)$", n)]
        with open(os.path.join(state, name), "wb") as f:
            f.write(b"no database" * 1000)
        with Mesh(state) as m:
            assert m.wait() == 1
            assert "the store of dead letters (mesh.db) fails" in m.said(), m.said()



BIG = json.dumps({"text": "x" * 150000}).encode()


def subscribed(peer):
    peer.send("SUBSCRIBE", REQ=1, PATTERN="job.*")
    assert peer.expect("RESULT", REQ=1)["CODE"] == "ok"
    return peer


def published(m, peer, n, priority, payload=BIG):
    """Recorded, or the code of the refusal."""
    publish(peer, n, payload, TYPE="job.big", PRIORITY=priority)
    publish(peer, 1000 + n, TYPE="nobody.may")  # is refused at once: what came before was judged
    got = peer.expect("RESULT")
    if got["REQ"] == n:
        assert peer.expect("RESULT", REQ=1000 + n)["CODE"] == "E.FORBIDDEN"
        return got["CODE"]
    m.ledger.take()
    return peer.expect("RESULT", REQ=n)["CODE"]


def test_a_client_that_does_not_read():
    """Nobody waits for it: it is cut, and who reads has everything."""
    with Mesh().begin() as m:
        path = m.listen()
        with frames(path) as reads, frames(path) as sleeps, frames(path) as speaks:
            subscribed(reads)
            subscribed(sleeps)
            for n in range(1, 100):
                assert published(m, speaks, n, "P1") == "ok"
                assert reads.expect("EVENT")["payload"] == BIG
                if m.counters()["peers_cut"]:
                    break
            assert 4 << 20 < n * len(BIG) < 12 << 20, n
            assert sleeps.ended()
            assert published(m, speaks, 100, "P1") == "ok"
            assert reads.expect("EVENT")["payload"] == BIG


def test_bulk_is_dropped():
    """The oldest of it, and counted; what is not bulk overtakes it, and nobody is cut."""
    with Mesh().begin() as m:
        path = m.listen()
        with frames(path) as sleeps, frames(path) as speaks:
            subscribed(sleeps)
            for n in range(40):
                assert published(m, speaks, n, "P3", json.dumps({"n": n, "text": "x" * 150000}).encode()) == "ok"
            assert published(m, speaks, 99, "P0", b'{"n":99}') == "ok"
            dropped = m.counters()["dropped_bulk"]
            assert dropped > 0
            seen = [json.loads(sleeps.expect("EVENT")["payload"])["n"] for _ in range(41 - dropped)]
            assert m.counters()["peers_cut"] == 0 and m.counters()["dropped_bulk"] == dropped
            kept = [n for n in seen if n != 99]
            assert kept == sorted(kept) and kept[-1] == 39 and len(kept) == 40 - dropped, seen
            assert seen.index(99) < len(seen) - 1, seen
            assert len(kept) * len(BIG) < 4 << 20, len(kept)  # less than what is kept of the rest


def test_a_chunk_that_does_not_read():
    """It is waited for: publishers are told to come again, and nothing is lost."""
    with Mesh().begin() as m:
        m.control.send("BINDING", UNIT="immune", SUBSCRIBES=["job.*"])
        sleeps, path = subscribed(m.link("immune")), m.listen()
        with frames(path) as speaks:
            n = 0
            while (code := published(m, speaks, n, "P1")) == "ok":
                n += 1
                assert n < 100, "it is never waited for"
            assert code == "E.RETRYABLE", code
            assert [sleeps.expect("EVENT")["payload"] == BIG for _ in range(n)] == [True] * n
            assert m.counters()["peers_cut"] == 0
            code = published(m, speaks, n + 1, "P1")
            assert code == "ok", (n, code)


tap.run(globals())
