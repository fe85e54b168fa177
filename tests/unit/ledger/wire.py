# SPDX-License-Identifier: Apache-2.0
"""The wire of common/msg.h in a few lines of Python, and a guardian that starts one ledger and speaks to it."""
import os
import re
import select
import socket
import struct
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
BOOT_ID = bytes(range(16))


def _tags():
    text = open(os.path.join(ROOT, "common", "tags.h")).read()
    return {m[0]: (int(m[1]), m[2], int(m[3]))
            for m in re.findall(r"X\((\w+), (\d+), (\w+), (\d+), \"", text)}


def _types():
    text = open(os.path.join(ROOT, "common", "msg.h")).read()
    return {m[0]: int(m[1]) for m in re.findall(r"MSG_(\w+) = (\d+),", text)}


def _kinds():
    text = open(os.path.join(ROOT, "common", "vocab.h")).read()
    body = text[text.index("#define RECORD_KINDS"):text.index("#define ROLES")]
    return {name: i for i, name in enumerate(re.findall(r'X\(\w+, "(\w+)"\)', body))}


TAGS, TYPES, KINDS = _tags(), _types(), _kinds()
NAMES = {v: k for k, v in TYPES.items()}
TAG_NAMES = {v[0]: (k, v[1]) for k, v in TAGS.items()}
LANES = {"HELLO": 0, "LINK": 0, "PEER": 0, "CHALLENGE": 0, "CALL": 0, "ATTACH": 1, "APPEND": 1, "QUERY": 1}


class Closed(Exception):
    pass


class Peer:
    """One end of a link."""

    def __init__(self, sock):
        self.sock, self.out, self.buf = sock, 0, b""

    def send(self, name, payload=b"", fd=None, **fields):
        header = b""
        for key, value in fields.items():
            number, kind, _ = TAGS[key]
            raw = (struct.pack("<Q", value) if kind == "U64" else bytes([value]) if kind == "BOOL"
                   else value if isinstance(value, bytes) else value.encode())
            header += struct.pack("<HH", number, len(raw)) + raw
        self.out += 1
        rest = struct.pack("<BBBBII", 1, TYPES[name], 1 if fd is not None else 0, LANES[name], self.out,
                           len(header)) + header + payload
        frame = struct.pack("<I", len(rest)) + rest
        if fd is not None:
            socket.send_fds(self.sock, [frame], [fd])
        else:
            self.sock.sendall(frame)

    def _take(self):
        if len(self.buf) < 4 or len(self.buf) < 4 + struct.unpack_from("<I", self.buf)[0]:
            return None
        size = struct.unpack_from("<I", self.buf)[0]
        frame, self.buf = self.buf[4:4 + size], self.buf[4 + size:]
        _, kind, _, _, _, header_len = struct.unpack_from("<BBBBII", frame)
        header, payload, fields = frame[12:12 + header_len], frame[12 + header_len:], {}
        while header:
            number, size = struct.unpack_from("<HH", header)
            name, tag_type = TAG_NAMES[number]
            raw, header = header[4:4 + size], header[4 + size:]
            fields[name] = (struct.unpack("<Q", raw)[0] if tag_type == "U64" else bool(raw[0]) if tag_type == "BOOL"
                            else raw.decode() if tag_type == "STR" else raw)
        return NAMES[kind], fields, payload

    def recv(self, timeout=20):
        while True:
            message = self._take()
            if message:
                return message
            if not select.select([self.sock], [], [], timeout)[0]:
                raise TimeoutError("nothing came")
            data = self.sock.recv(1 << 18)
            if not data:
                raise Closed
            self.buf += data

    def expect(self, name, timeout=20):
        """The next message of that type; others are dropped."""
        while True:
            message = self.recv(timeout)
            if message[0] == name:
                return message[1], message[2]


class Ledger:
    def __init__(self, program, state, key=""):
        mine, theirs = socket.socketpair()
        self.control = Peer(mine)

        def descriptor():
            os.dup2(theirs.fileno(), 3)

        os.set_inheritable(theirs.fileno(), True)
        self.process = subprocess.Popen([program], preexec_fn=descriptor, pass_fds=(3, theirs.fileno()),
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        theirs.close()
        self.instance = 0
        more = {"LEDGER_KEY": key} if key else {}
        self.control.send("HELLO", UNIT="ledger", INSTANCE=1, EPOCH=1, SECRET=bytes(32), BOOT_ID=BOOT_ID,
                          STATE_DIR=state, **more)

    def ready(self):
        self.control.expect("READY")
        return self

    def link(self, unit, kind="chunk", validated=True, role=None):
        mine, theirs = socket.socketpair()
        self.instance += 1
        more = {"ROLE": role} if role else {}
        self.control.send("LINK", fd=theirs.fileno(), UNIT=unit, INSTANCE=self.instance, EPOCH=1, PEER_KIND=kind,
                          ACTOR=unit, VALIDATED=validated, **more)
        theirs.close()
        peer = Peer(mine)
        peer.instance = self.instance
        return peer

    def kill(self):
        self.process.kill()
        self.wait()

    def stop(self):
        self.process.terminate()
        return self.wait()

    def wait(self):
        self.errors = self.process.stderr.read().decode()
        self.process.stderr.close()
        return self.process.wait(30)
