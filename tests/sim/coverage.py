#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the simulator over a range of seeds, in several processes, and says which pairs (state, event) of each table were met.

usage: coverage.py SIM [--seeds N] [--from X] [--jobs J] [--coverage] [--keep FILE]

With --coverage every pair has to be met, or stand in unreachable.txt with the reason why it can't be; a pair that stands there
and is met is an error as well. seeds.txt names seeds that are run besides: each shows a pair that is too rare for the range.
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def excuses(path=os.path.join(HERE, "unreachable.txt")):
    """[(table, state, event, reason)]: each line is `table STATES EVENTS: reason`, names separated by commas."""
    out = []
    with open(path) as f:
        for n, line in enumerate(f, 1):
            if line.startswith("#") or not line.strip():
                continue
            m = re.fullmatch(r"(\w+) (\S+) ([^\s:]+): (.+)", line.rstrip())
            if not m:
                raise SystemExit("%s:%d: not `table STATES EVENTS: reason`" % (path, n))
            out += [(m[1], s, e, m[4]) for s in m[2].split(",") for e in m[3].split(",")]
    return out


def seeds(path=os.path.join(HERE, "seeds.txt")):
    with open(path) as f:
        return [line.split()[0] for line in f if line.strip() and not line.startswith("#")]


def read(paths):
    """({pair}, {step}) of coverage files."""
    possible, steps = set(), set()
    for path in paths:
        with open(path) as f:
            for line in f:
                w = line.split()
                if w[3] == "?":
                    possible.add(tuple(w[:3]))
                else:
                    steps.add(tuple(w[:4]))
    return possible, steps


def run(sim, first, n, jobs, more, directory):
    """Starts all, waits for all; the files they left, or None if one found something."""
    ranges = [(first + n * j // jobs, n * (j + 1) // jobs - n * j // jobs) for j in range(jobs)]
    args = [["--from", str(a), "--seeds", str(k)] for a, k in ranges if k] + [["--seed", s] for s in more]
    files, ok, running = [], True, []
    for i, a in enumerate(args):
        files.append(os.path.join(directory, "%d" % i))
        running.append(subprocess.Popen([sim, *a, "--coverage", files[-1]], stdout=subprocess.PIPE, text=True))
        if i >= len(ranges):  # single seeds are short
            p = running.pop()
            out = p.communicate()[0]
            if p.returncode != 0:
                print(out, end="")
                ok = False
    for p in running:
        print(p.communicate()[0], end="")
        ok = ok and p.returncode == 0
    return files if ok else None


def report(possible, steps):
    seen = {s[:3] for s in steps}
    bad = []
    listed = collections.OrderedDict(((t, s, e), why) for t, s, e, why in excuses())
    for table in sorted({p[0] for p in possible}):
        mine = {p for p in possible if p[0] == table}
        met = mine & seen
        explained = {p for p in mine - seen if p in listed}
        print("%-12s %3d of %3d pairs met, %d can't be (tests/sim/unreachable.txt), %d missing" % (
            table, len(met), len(mine), len(explained), len(mine) - len(met) - len(explained)))
        bad += ["%s %s %s: not met, and no reason given" % p for p in sorted(mine - met - explained)]
    bad += ["%s %s %s: met, and unreachable.txt says it can't be" % p for p in listed if p in seen]
    bad += ["%s %s %s: in unreachable.txt, and no pair of a table" % p for p in listed if p not in possible]
    print("\n".join(bad))
    return not bad


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("sim")
    ap.add_argument("--seeds", type=int, default=1000)
    ap.add_argument("--from", type=int, default=1, dest="first")
    ap.add_argument("--jobs", type=int, default=1)
    ap.add_argument("--coverage", action="store_true")
    ap.add_argument("--keep", help="writes what was met into this file")
    o = ap.parse_args()
    with tempfile.TemporaryDirectory() as d:
        files = run(o.sim, o.first, o.seeds, o.jobs, seeds() if o.coverage else [], d)
        if not files:
            return 1
        if not o.coverage:
            return 0
        possible, steps = read(files)
    if o.keep:
        with open(o.keep, "w") as f:
            f.writelines(" ".join(s) + "\n" for s in sorted(steps))
    return 0 if report(possible, steps) else 1


if __name__ == "__main__":
    sys.exit(main())
