#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seed inputs of the three targets of this folder below corpus/: run it when the tables change."""
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "corpus"


def tlv(tag, value):
    if isinstance(value, bool):
        value = bytes([value])
    elif isinstance(value, int):
        value = struct.pack("<Q", value)
    elif isinstance(value, str):
        value = value.encode()
    return struct.pack("<HH", tag, len(value)) + value


def frame(kind, header, payload=b"", sequence=1, flags=0, lane=0, version=1):
    body = struct.pack("<BBBBII", version, kind, flags, lane, sequence, len(header)) + header + payload
    return struct.pack("<I", len(body)) + body


HELLO = tlv(2, "mesh") + tlv(3, 1) + tlv(4, 7) + tlv(23, bytes(32)) + tlv(15, bytes(16)) + tlv(22, "/a") + tlv(22, "/b")
LINK = tlv(2, "ledger") + tlv(3, 1) + tlv(4, 2) + tlv(25, "chunk") + tlv(26, "ledger") + tlv(28, True)
CALL = tlv(1, 9) + tlv(9, "status") + tlv(2, "web") + tlv(10, "k=v") + tlv(10, "flag")
EVENT = tlv(1, 5) + tlv(112, "anomaly.detected")
FULL = (EVENT + tlv(110, "msg_0123456789ab") + tlv(111, "event") + tlv(113, "1.0.0") + tlv(135, "2026-11-21T03:00:00Z")
        + tlv(115, "grace://contracts/x") + tlv(49, "cor_abcdef") + tlv(116, "00-" + "1" * 32 + "-" + "2" * 16 + "-01")
        + tlv(118, "P0") + tlv(119, "realtime") + tlv(120, "k") + tlv(128, "email") + tlv(129, "pii_use")
        + tlv(124, 33) + tlv(127, "restricted") + tlv(130, "gov.approve"))

FILES = {
    "frame/hello": frame(1, HELLO),
    "frame/link": frame(2, LINK, flags=1),
    "frame/call": frame(64, CALL),
    "frame/two": frame(64, CALL) + frame(7, b"", sequence=2),
    "frame/publish": frame(49, EVENT, b'{"a":1}', lane=2),
    "frame/twice": frame(64, CALL + tlv(9, "again")),
    "frame/unknown-tag": frame(64, CALL + tlv(999, "x")),
    "frame/bad-length": struct.pack("<I", 0xFFFFFFFF) + bytes(16),
    "frame/header-past-end": frame(64, CALL)[:12] + struct.pack("<I", 4000) + CALL,
    "frame/bad-bool": frame(3, tlv(2, "web") + tlv(3, 1) + tlv(28, b"\x02")),
    "frame/not-utf8": frame(64, tlv(1, 1) + tlv(9, b"\xc3\x28")),
    "gme/small": struct.pack("<H", len(EVENT)) + EVENT + b"{}",
    "gme/full": struct.pack("<H", len(FULL)) + FULL + b'{"x":[1,2.5e3,"\\u00e9"]}',
    "gme/no-payload": struct.pack("<H", len(FULL)) + FULL,
    "gme/not-json": struct.pack("<H", len(EVENT)) + EVENT + b"{a}",
    "json/object": b'{"a":1,"b":[true,false,null,"x\\n\\u0001\xc3\xa9"],"c":{"d":-9007199254740992}}',
    "json/spaces": b' { "b" : 1.5e-3 , "a" : [ ] } ',
    "json/deep": b"[" * 32 + b"]" * 32,
    "json/too-deep": b"[" * 33 + b"]" * 33,
    "json/escapes": b'"\\u0041\\/\\ud83d\\ude00"',
    "json/key-order": b'{"\\u0001":1,"\\n":2,"\\"":3,"A":4,"\\\\":5}',
}
for name, data in FILES.items():
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
