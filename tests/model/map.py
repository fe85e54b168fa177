#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the model of the protocol with the tables of the cores. usage: map.py SIM [SEEDS]

consent.pml is checked by spin, the cores run in the simulator; transitions.txt says which step of a core each label of the model
stands for. Writes TAP.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TABLES = ("enforcement", "gate", "record", "incident")
PARTS = {  # the tables that a label of a part may stand in; immune's proposal is Guardian's step as well
    "guardian": {"enforcement"}, "gate": {"gate", "writer"}, "ledger": {"record", "writer"}, "immune": {"incident", "enforcement", "writer"}}
HEARS = {  # what a label that reads a pipe stands for: the part, its table, and the events that such a message is
    "i2g": ("guardian", "enforcement", {"PROPOSE"}),
    "v2g": ("guardian", "enforcement", {"ALLOW", "ASK", "DENY"}),
    "l2g": ("guardian", "enforcement", {"ACK", "REFUSED"}),
    "p2g": ("guardian", "enforcement", {"VOTE_YES", "VOTE_NO", "PAUSE"}),
    "g2v?[DECIDE": ("gate", "gate", {"DECIDE"}),
    "g2v?[ANSWERED": ("gate", "gate", {"YES", "NO", "VOID", "EXPIRED"}),
    "l2v": ("gate", "gate", {"ACK"}),
    "v2l": ("ledger", "record", {"DECISION"}),
    "g2l": ("ledger", "record", {"INTENT", "ACTION"}),
    "i2l": ("ledger", "writer", {"NEXT", "REPEAT"}),
    "l2i": ("immune", "incident", {"ACK"}),
}


def load():
    """[(line number, label or None, (table, state, event, next))]"""
    lines = []
    with open(os.path.join(HERE, "transitions.txt")) as f:
        for n, line in enumerate(f, 1):
            if line.startswith("#") or not line.strip():
                continue
            m = re.fullmatch(r"(-|\w+)\s+(\w+) (\S+) (\S+) ([^\s:]+)(?:: (.+))?", line.rstrip())
            if not m or (m[1] == "-") != bool(m[6]):
                raise SystemExit("transitions.txt:%d: not a step with a label, nor one with a reason" % n)
            lines.append((n, None if m[1] == "-" else m[1], (m[2], m[3], m[4], m[5])))
    return lines


def fits(pattern, step):
    return all(p in ("*", s) or (i == 3 and p == "=" and s == step[1]) for i, (p, s) in enumerate(zip(pattern, step)))


def model_labels():
    """{label: the pipe that it reads, or None}"""
    with open(os.path.join(HERE, "consent.pml")) as f:
        found = re.findall(r"^(.*)\n([a-z_]+): (?:(\w+)\?)?", f.read(), re.M)
    pipes = {}
    for guard, label, pipe in found:
        by_kind = [k for k in HEARS if "?[" in k and k in guard]
        pipes[label] = by_kind[0] if by_kind else pipe or None
    return pipes


def misplaced(label, step, pipes):
    """A label in a table of another part, or for an event that is not what it reads."""
    part, (table, _, event, _) = label.split("_")[0], step
    if table not in PARTS[part]:
        return True
    pipe = pipes.get(label)
    if pipe and table == HEARS[pipe][1]:
        return event not in HEARS[pipe][2]
    return any(part == p and table == t and event in events and table != "writer" for p, t, events in HEARS.values())


def check(steps):
    """[(what is claimed, [what contradicts it])] for the steps that the simulator has met."""
    lines = load()
    pipes = model_labels()
    labels = set(pipes)
    named = {label for _, label, _ in lines if label}
    return [
        ("each label of the model stands for steps of a core", sorted(labels - named)),
        ("each label of transitions.txt is one of the model", sorted(named - labels)),
        ("each label stands where its part and the pipe that it reads say", [
            "line %d: %s" % (n, label) for n, label, p in lines if label in labels and misplaced(label, p, pipes)]),
        ("each step that a label stands for is met", [
            "line %d: %s" % (n, " ".join(p)) for n, label, p in lines if label and not any(fits(p, s) for s in steps)]),
        ("each step of %s is in the model, or left out for a reason" % ", ".join(TABLES), [
            " ".join(s) for s in sorted(steps) if s[0] in TABLES and not any(fits(p, s) for _, _, p in lines)]),
    ]


def main():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "steps")
        subprocess.run([sys.argv[1], "--seeds", sys.argv[2] if len(sys.argv) > 2 else "2000", "--coverage", path], check=True,
                       stdout=subprocess.DEVNULL)
        with open(path) as f:
            steps = {tuple(line.split()) for line in f if line.split()[3] != "?"}
    results = check(steps)
    print("1..%d" % len(results))
    for i, (claim, bad) in enumerate(results, 1):
        print("%sok %d - %s" % ("not " if bad else "", i, claim))
        for b in bad:
            print("# " + b)
    return 1 if any(bad for _, bad in results) else 0


if __name__ == "__main__":
    sys.exit(main())
