#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Second implementation: recomputes the hash chain and the RFC 6962 root from the lines of `ledger export` alone.

usage: reverify.py [--root HEX] < lines      0: everything fits; 1: it does not
"""
import argparse
import base64
import hashlib
import json
import sys


def leaf_hash(data):
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_root(leaves):
    """As RFC 6962 section 2.1 says it, by recursion."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(tree_root(leaves[:k]), tree_root(leaves[k:]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root")
    wanted = parser.parse_args().root
    leaves, prev = [], bytes(32)
    for number, text in enumerate(sys.stdin):
        line = json.loads(text)
        leaf = base64.b64decode(line["leaf"], validate=True)
        digest = leaf_hash(leaf)
        inside = {"index": int.from_bytes(leaf[0:8], "little"), "prev": leaf[24:56].hex()}
        for what, good in (("hash", digest.hex() == line["hash"]),
                           ("prev", line["prev"] == prev.hex() == inside["prev"]),
                           ("index", line["index"] == number == inside["index"]),
                           ("body", leaf.endswith(json.dumps(line["body"], separators=(",", ":"), ensure_ascii=False).encode()))):
            if not good:
                print("record %d: %s does not fit" % (number, what))
                return 1
        leaves.append(digest)
        prev = digest
    root = tree_root(leaves).hex()
    if wanted and root != wanted:
        print("root is %s, not %s" % (root, wanted))
        return 1
    print("%d records, root %s" % (len(leaves), root))
    return 0


sys.exit(main())
