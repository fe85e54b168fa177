#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of Guardian's mesh: JSON lines over one socket (GUARDIAN_MESH_SOCKET, from Links=mesh), standard library only.

    with Mesh() as mesh:
        mesh.publish("kernel.heartbeat", {"interval_ms": 5000})
        mesh.subscribe("incident.*")
        for event in mesh.events():
            print(event["source"], event["type"], event["payload"])

From a shell: mesh_client.py publish TYPE JSON | mesh_client.py subscribe PATTERN
"""
import json
import os
import socket
import sys


class Mesh:
    def __init__(self, path=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path or os.environ["GUARDIAN_MESH_SOCKET"])
        self.lines, self.last, self.waiting = self.socket.makefile("r", encoding="utf-8"), 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, op, **fields):  # events that come before the answer are kept for events()
        self.last += 1
        self.socket.sendall(json.dumps({"op": op, "req": self.last, **fields}).encode() + b"\n")
        for said in map(json.loads, self.lines):
            if "event" in said:
                self.waiting.append(said["event"])
            elif said.get("req") == self.last:
                if not said["ok"]:
                    raise RuntimeError(said["code"] + ": " + said.get("message", ""))
                return said
        raise ConnectionError("the mesh ended; connect again")

    def publish(self, type, payload, **envelope):  # returns the event's index in the ledger: it is durable
        return self.ask("publish", type=type, payload=payload, **envelope)["index"]

    def subscribe(self, pattern):
        self.ask("subscribe", pattern=pattern)

    def events(self):
        yield from iter(lambda: self.waiting.pop(0) if self.waiting else None, None)
        yield from (said["event"] for said in map(json.loads, self.lines) if "event" in said)


if __name__ == "__main__":
    with Mesh() as client:
        if sys.argv[1] == "publish":
            sys.exit(print(client.publish(sys.argv[2], json.loads(sys.argv[3]))))
        client.subscribe(sys.argv[2])
        for line in client.events():
            print(json.dumps(line), flush=True)
