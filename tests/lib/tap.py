# SPDX-License-Identifier: Apache-2.0
"""Runs the functions test_* of a script, in the order in which they stand, and says in TAP what came of each."""


def run(namespace):
    """`namespace`: globals() of the script. A test that returns a text was skipped, and that is why."""
    tests = [(n, f) for n, f in namespace.items() if n.startswith("test_")]
    print("1..%d" % len(tests))
    for i, (name, fn) in enumerate(tests, 1):
        try:
            why = fn()
            print("ok %d - %s%s" % (i, name, " # SKIP " + why if why else ""))
        except Exception as e:  # noqa: BLE001
            print("not ok %d - %s: %r" % (i, name, e))
