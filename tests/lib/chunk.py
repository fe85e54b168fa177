# SPDX-License-Identifier: Apache-2.0
"""A chunk's program with a test in Guardian's place, and a ledger that answers when it is told to."""
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import wire  # noqa: E402

BOOT_ID = bytes(range(16))


def run(program, *args):
    """(exit status, what it printed) of a call that is not a chunk's life: --check, --version."""
    r = subprocess.run([program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return r.returncode, r.stdout


class Chunk:
    """One process, its control pipe, and the links that were made for it. HELLO is sent."""

    def __init__(self, program, unit, policies=(), **hello):
        ours, theirs = socket.socketpair()
        self.log = tempfile.TemporaryFile()
        self.peers, self.instance, self.status = [], 0, None
        with theirs, open(os.devnull, "rb") as null:
            self.pid = os.posix_spawn(program, [program], os.environ, file_actions=[
                (os.POSIX_SPAWN_DUP2, null.fileno(), 0), (os.POSIX_SPAWN_DUP2, self.log.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, self.log.fileno(), 2), (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)])
        self.control = wire.Peer(ours)
        self.hello = dict({"UNIT": unit, "INSTANCE": 1, "EPOCH": 1, "SECRET": bytes(32), "BOOT_ID": BOOT_ID,
                           "POLICY_DIR": list(policies)}, **hello)
        self.control.send("HELLO", **self.hello)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.status is None:
            os.kill(self.pid, signal.SIGTERM if exc[0] is None else signal.SIGKILL)
            self.wait()
        for p in (self.control, *self.peers):
            p.close()
        self.log.close()

    def wait(self, limit=30):
        pidfd = os.pidfd_open(self.pid)
        ended = select.select([pidfd], [], [], limit)[0]
        os.close(pidfd)
        if not ended:
            raise TimeoutError("it does not end: " + self.said())
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def said(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    def link(self, unit, kind="chunk", validated=True, actor=None, **more):
        mine, theirs = socket.socketpair()
        self.instance += 1
        with theirs:
            self.control.send("LINK", fd=theirs.fileno(), UNIT=unit, INSTANCE=self.instance, EPOCH=1, PEER_KIND=kind,
                              ACTOR=actor or unit, VALIDATED=validated, **more)
        self.peers.append(wire.Peer(mine))
        return self.peers[-1]

    def person(self, role):
        return self.link("uid:1000", "person", UID=1000, **({"ROLE": role} if role else {}))

    def challenge(self):
        """What is wrong, by its own word; the proof must be right."""
        nonce = bytes(range(32))
        self.control.send("CHALLENGE", NONCE=nonce)
        got = self.control.expect("CHALLENGE_REPLY")
        assert got["PROOF"] == wire.proof(self.hello, nonce), "the proof is wrong"
        return got.get("ISSUE", [])


def call(peer, verb, req=9, **more):
    peer.send("CALL", REQ=req, VERB=verb, **more)
    return peer.expect("RESULT", REQ=req)


def silent(peer):
    """Nothing is on its way: what the chunk had to say it said before something that was heard already."""
    return not peer.buf and not select.select([peer.sock], [], [], 0)[0]


class Ledger:
    """The ledger's side of a link: nothing is answered unless a test says so."""

    def __init__(self, chunk):
        self.peer, self.index = chunk.link("ledger"), 0

    def attach(self, code="ok"):
        epoch = self.peer.expect("ATTACH")["EPOCH"]
        self.peer.send("ATTACHED", CODE=code, EPOCH=epoch or 1, SEQ=0, SIZE=self.index, SIGNED_SIZE=self.index)
        return self

    def record(self, query, kind, body=b"{}", **fields):
        self.peer.send("RECORD", body, **dict({"REQ": query["REQ"], "INDEX": self.index, "TIME_NS": 10 ** 18, "KIND": wire.KINDS[kind],
                                               "WRITER": "guardian", "EPOCH": 1, "SEQ": self.index + 1, "HASH": bytes(32),
                                               "PREV": bytes(32), "BOOT_ID": BOOT_ID, "NOW_BOOT_US": 1}, **fields))
        self.index += 1

    def query(self):
        return self.peer.expect("QUERY")

    def result(self, query, status=0, code="ok", **more):
        self.peer.send("RESULT", REQ=query["REQ"], STATUS=status, CODE=code, **more)

    def answer(self, records=()):
        """The next query, answered with these: (kind, fields)."""
        query = self.query()
        for kind, fields in records:
            self.record(query, kind, **fields)
        self.result(query)
        return query

    def take(self, code=None):
        """The next append: acknowledged, or refused with that code."""
        got = self.peer.expect("APPEND")
        if code:
            self.peer.send("APPEND_REFUSED", SEQ=got["SEQ"], CODE=code)
        else:
            self.peer.send("APPEND_ACK", SEQ=got["SEQ"], INDEX=self.index, HASH=bytes(32), SIZE=self.index + 1,
                           SIGNED_SIZE=self.index + 1)
            self.index += 1
        return got
