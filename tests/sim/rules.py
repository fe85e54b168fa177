#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether rules.txt says what is there: usage: rules.py SOURCE-ROOT BUILD-ROOT

Each switch of the cores has a row and a test sim-finds-SWITCH, each name of a row exists, and no rule is held by nothing.
"""
import json
import pathlib
import re
import runpy
import sys

HEADERS = ["guardian/enforce/enforce-private.h", "chunks/governance/gate-core.h", "chunks/ledger/rights.h"]


def rows(path):
    for n, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        parts = [p.strip() for p in line.split("|")]
        if len(parts) != 4:
            raise SystemExit("%s:%d: not `RULE | SWITCHES | TESTS | MUTANTS`" % (path, n))
        yield n, parts[0], *([] if p == "-" else [w.strip() for w in p.split(",")] for p in parts[1:])


def main(root, build):
    here = root / "tests/sim"
    switches = {s for h in HEADERS for s in re.findall(r'X\(\w+, "(\w+)"\)', (root / h).read_text())}
    lies = set(re.findall(r'\[LIE_\w+\] = "(\w+)"', (here / "main.c").read_text()))
    tested = set(re.findall(r"'(\w+)'", (here / "meson.build").read_text()))
    tests = {t["name"] for t in json.loads((build / "meson-info/intro-tests.json").read_text())}
    mutants = {g["name"] for g in runpy.run_path(str(root / "tests/mutants/guards.py"))["GUARDS"]}
    bad, named = [], set()
    for n, rule, s, t, m in rows(here / "rules.txt"):
        named |= set(s)
        bad += ["line %d: no switch %s" % (n, x) for x in s if x not in switches | lies]
        bad += ["line %d: no test %s" % (n, x) for x in t if x not in tests]
        bad += ["line %d: no mutant %s" % (n, x) for x in m if x not in mutants]
        if not s and not t:
            bad.append("line %d: nothing holds '%s'" % (n, rule))
    bad += ["switch %s has no row" % x for x in sorted((switches | lies) - named)]
    bad += ["switch %s has no test in meson.build" % x for x in sorted((switches | lies) - tested)]
    print("\n".join(bad) or "%d switches" % len(switches | lies))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
