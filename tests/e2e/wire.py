# SPDX-License-Identifier: Apache-2.0
"""A second implementation of the wire, from the text of common/tags.h, msg-table.h, msg.h and vocab.h: it cannot drift.

Peer speaks it rightly; its raw() sends whatever bytes a test makes up.
"""
import hashlib
import os
import re
import select
import socket
import struct

COMMON = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "common")


def _read(name):
    with open(os.path.join(COMMON, name)) as f:
        return re.sub(r"/\*.*?\*/", " ", f.read(), flags=re.S)


TAGS = {m[0]: (int(m[1]), m[2], int(m[3]), m[4])
        for m in re.findall(r'X\((\w+), (\d+), (\w+), (\d+), "(\w+)"\)', _read("tags.h"))}
TYPES = {m[0]: int(m[1]) for m in re.findall(r"\bMSG_(\w+) = (\d+),", _read("msg.h"))}
VERSION = int(re.search(r"FRAME_VERSION = (\d+)", _read("msg.h"))[1])
FRAME_MAX, HEADER_MAX = 256 * 1024, 8 * 1024
_LANES = {"CONTROL": 0, "CRITICAL": 1, "NORMAL": 2, "BULK": 3}
_FDS = {"NO_FD": 0, "FD": 1, "MAY_FD": 2}


def _rows():
    text = _read("msg-table.h").replace("\\\n", " ")
    envelope = re.search(r"#define ENVELOPE_FIELDS(.*?)\n", text)[1]
    body = re.search(r"#define MESSAGE_TABLE\(ROW\)(.*)", text, re.S)[1].replace("ENVELOPE_FIELDS", envelope)
    rows = {}
    for part in body.split("ROW(")[1:]:
        name, lane, fd, fields = [x.strip() for x in part.split(",", 3)]
        rows[name] = (_LANES[lane], _FDS[fd], {f[1]: f[0] for f in re.findall(r"\b([ROM])\((\w+)\)", fields)})
    return rows


def _vocabulary(name):
    body = re.search(r"#define %s\(X\)((?:.*\\\n)*.*\n)" % name, _read("vocab.h"))[1]
    return {text: i for i, text in enumerate(re.findall(r'X\(\w+, "(\w+)"\)', body))}


ROWS = _rows()
KINDS, VERDICTS = _vocabulary("RECORD_KINDS"), _vocabulary("VERDICTS")
NAMES = {v: k for k, v in TYPES.items()}
TAG_NAMES = {v[0]: k for k, v in TAGS.items()}
assert set(ROWS) == set(TYPES), "msg-table.h and msg.h disagree: %s" % (set(ROWS) ^ set(TYPES))


def table_hash():
    """SHA-256 over the text form of the table, as msg_table_hash() says it."""
    out = ["wire %d\n" % VERSION]
    for number in sorted(TAG_NAMES):
        name = TAG_NAMES[number]
        out.append("tag %d %s %s %d %s\n" % (number, name, TAGS[name][1].lower(), TAGS[name][2], TAGS[name][3]))
    for number in sorted(NAMES):
        lane, fd, fields = ROWS[NAMES[number]]
        out.append("message %d %s lane %d fd %d\n" % (number, NAMES[number], lane, fd))
        for tag in sorted(fields, key=lambda t: TAGS[t][0]):
            out.append(" %d%c\n" % (TAGS[tag][0], fields[tag].lower()))
    return hashlib.sha256("".join(out).encode()).digest()


def proof(hello, nonce):
    return hashlib.sha256(hello["SECRET"] + nonce + struct.pack("<Q", hello["INSTANCE"]) + hello["UNIT"].encode() +
                          table_hash()).digest()


def tlv(**fields):
    """Header bytes; a list is a repeated field."""
    header = b""
    for key, values in fields.items():
        number, kind, _, _ = TAGS[key]
        for value in values if isinstance(values, (list, tuple)) else [values]:
            raw = (struct.pack("<Q", value) if kind == "U64" else bytes([value]) if kind == "BOOL"
                   else value if isinstance(value, bytes) else value.encode())
            header += struct.pack("<HH", number, len(raw)) + raw
    return header


def frame(kind, sequence, header=b"", payload=b"", flags=0, lane=None, version=VERSION, length=None, header_length=None):
    """One frame; every field of the prefix may be wrong on purpose."""
    number = TYPES[kind] if isinstance(kind, str) else kind
    lane = (ROWS[kind][0] if isinstance(kind, str) else 0) if lane is None else lane
    rest = struct.pack("<BBBBII", version, number, flags, lane, sequence,
                       len(header) if header_length is None else header_length) + header + payload
    return struct.pack("<I", len(rest) if length is None else length) + rest


class Closed(Exception):
    pass


class Peer:
    """One end of a stream."""

    def __init__(self, sock):
        self.sock, self.out, self.seen, self.buf, self.fds = sock, 0, 0, b"", []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def raw(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed from e

    def send(self, kind, payload=b"", fd=None, **fields):
        self.out += 1
        data = frame(kind, self.out, tlv(**fields), payload, flags=1 if fd is not None else 0)
        if fd is not None:
            socket.send_fds(self.sock, [data], [fd])
        else:
            self.raw(data)

    def _take(self):
        if len(self.buf) < 4:
            return None
        size = struct.unpack_from("<I", self.buf)[0]
        if len(self.buf) < 4 + size:
            return None
        data, self.buf = self.buf[4:4 + size], self.buf[4 + size:]
        version, kind, flags, _, sequence, n = struct.unpack_from("<BBBBII", data)
        self.seen += 1
        assert version == VERSION and sequence == self.seen, "Guardian's side broke the wire"
        header, payload, fields = data[12:12 + n], data[12 + n:], {}
        while header:
            number, size = struct.unpack_from("<HH", header)
            name = TAG_NAMES[number]
            raw, header = header[4:4 + size], header[4 + size:]
            tag_type = TAGS[name][1]
            value = (struct.unpack("<Q", raw)[0] if tag_type == "U64" else bool(raw[0]) if tag_type == "BOOL"
                     else raw.decode() if tag_type == "STR" else raw)
            if ROWS[NAMES[kind]][2].get(name) == "M":
                fields.setdefault(name, []).append(value)
            else:
                fields[name] = value
        if flags & 1:
            fields["fd"] = self.fds.pop(0)
        return NAMES[kind], fields, payload

    def recv(self, timeout=30):
        while True:
            message = self._take()
            if message:
                return message
            if not select.select([self.sock], [], [], timeout)[0]:
                raise TimeoutError("nothing came")
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 1 << 16, 8)
            except ConnectionResetError as e:
                raise Closed from e
            self.fds += fds
            if not data:
                raise Closed
            self.buf += data

    def expect(self, kind, timeout=30, **want):
        """Fields of the next message of that type with these values; others are dropped."""
        while True:
            name, fields, payload = self.recv(timeout)
            if name == kind and all(fields.get(k) == v for k, v in want.items()):
                fields["payload"] = payload
                return fields
            if "fd" in fields:
                os.close(fields["fd"])

    def ended(self, timeout=30):
        """True once the other side closed; what still comes before is dropped."""
        try:
            while True:
                name, fields, _ = self.recv(timeout)
                if "fd" in fields:
                    os.close(fields["fd"])
        except Closed:
            return True
        except TimeoutError:
            return False
