#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second implementation of request_digest() (common/vocab.h), written from its description alone.

usage: digest_vectors.py DIGEST_TOOL. Golden vectors first, then random requests through the tool. The tag numbers are
written out here on purpose: the wire promises them.
"""
import hashlib
import random
import struct
import subprocess
import sys

VERSION, REQUEST_ID, ACTOR, ACTION, TARGET = 113, 42, 26, 46, 92
BOOT_ID, PID, START_TIME, INCIDENT, ARG = 15, 14, 16, 81, 10


def tlv(tag, value):
    return struct.pack("<HH", tag, len(value)) + value


def digest(request_id, actor, action, target, boot_id, pid, start_time, incident, args):
    parts = [tlv(VERSION, b"1"), tlv(REQUEST_ID, request_id), tlv(ACTOR, actor.encode()), tlv(ACTION, action.encode()),
             tlv(TARGET, target.encode()), tlv(BOOT_ID, boot_id)]
    parts += [tlv(tag, struct.pack("<Q", n)) for tag, n in ((PID, pid), (START_TIME, start_time), (INCIDENT, incident))]
    parts += [tlv(ARG, a.encode()) for a in sorted(args, key=lambda a: a.split("=", 1)[0].encode())]
    return hashlib.sha256(b"".join(parts)).hexdigest()


GOLDEN = [
    ((bytes(range(16)), "immune", "restart_service", "leaky", bytes(range(0xF0, 0x100)), 4242, 123456789, 17,
      ["grace=5s", "reason=memory_growth"]),
     "6ff49618c2016fba78a847a4f2675f4f169b4e18f41570cda7768e5b20aae534"),
    ((bytes(16), "", "", "", bytes(16), 0, 0, 2**64 - 1, []),
     "7845a0b2c4907c289ee9520c70d3482e1e263f7cc702c2340a999a9946fc513f"),
]


def run_tool(tool, r):
    argv = [tool, r[0].hex(), r[1], r[2], r[3], r[4].hex()] + [str(n) for n in r[5:8]] + r[8]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def random_request(rng):
    word = lambda n: "".join(rng.choice("abcxyz0189_.:@é€-") for _ in range(rng.randint(0, n)))
    keys = sorted({word(8) or "k" for _ in range(rng.randint(0, 16))}, key=lambda _: rng.random())
    return (rng.randbytes(16), word(30), word(20), word(30), rng.randbytes(16), rng.getrandbits(64), rng.getrandbits(64),
            rng.getrandbits(64), [f"{k}={word(30)}" for k in keys])


def main():
    bad = 0
    rng = random.Random(20261121)
    for request, want in GOLDEN:
        for name, got in (("python", digest(*request)), ("tool", run_tool(sys.argv[1], request))):
            if got != want:
                print(f"golden vector: {name} says {got}, want {want}")
                bad += 1
    for _ in range(60):
        r = random_request(rng)
        if run_tool(sys.argv[1], r) != digest(*r):
            print(f"implementations differ: {r}")
            bad += 1
    print(f"{len(GOLDEN)} golden, 60 random, {bad} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
