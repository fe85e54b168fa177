#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each row of tests/mutants/guards.py still fits the tree: script/mutants takes minutes and is not part of the suite.

usage: guards.py ROOT | --self-test
Exit status: 0 each guard's text stands in its file exactly once and its name in the table once, 1 not.
"""
import pathlib
import runpy
import sys
import tempfile


def check(root, rows):
    errors, names = [], set()
    for row in rows:
        path = root / row["file"]
        n = path.read_text().count(row["guard"]) if path.is_file() else 0
        if n != 1:
            errors.append("%s: its text is found %d times in %s" % (row["name"], n, row["file"]))
        if row["name"] in names:
            errors.append("%s: two guards of this name" % row["name"])
        names.add(row["name"])
    return errors


def self_test():
    rows = [{"name": n, "file": f, "guard": g} for n, f, g in (
        ("good", "a.c", "if (x)"), ("moved", "a.c", "if (y)"), ("twice", "a.c", "return"), ("away", "b.c", "if (x)"),
        ("good", "a.c", "if (z)"))]
    with tempfile.TemporaryDirectory() as name:
        (pathlib.Path(name) / "a.c").write_text("if (x)\n return;\nif (z)\n return;\n")
        errors = check(pathlib.Path(name), rows)
    good = [e.split(":")[0] for e in errors] == ["moved", "twice", "away", "good"]
    print("self-test:", "good" if good else "bad", errors)
    return 0 if good else 1


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    root = pathlib.Path(sys.argv[1])
    rows = runpy.run_path(str(root / "tests" / "mutants" / "guards.py"))["GUARDS"]
    errors = check(root, rows)
    print("\n".join(["error: %s" % e for e in errors] + ["%d guards, %d errors" % (len(rows), len(errors))]))
    return 1 if errors or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
