#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the protocol of a governed action with spin. usage: run.py [--rule NAME] [--trail NAME]

The model (consent.pml) is searched to the end of its bounds and must be clean; then without one rule after the other, and each
time there must be a counterexample. --trail NAME prints the one of a rule, step by step. Writes TAP.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "consent.pml")
EVIL, ROLL = ["EVIL=1", "CR=1", "TM=0"], ["ROLL=1", "CR=1"]  # forged messages; a log that is put back

CLEAN = [  # what is searched to its end: no invariant may break
    ("two requests, two kills, one timeout", []),
    ("a gate that forges", EVIL),
    ("a ledger that comes back shorter", ROLL),
]
RULES = {  # the rule, and where its absence shows
    "IDEM": ("an append is stored once by (writer, epoch, sequence)", []),
    "FENCE": ("a dead writer's pipe is read to its end before its successor folds the log", []),
    "RIGHTS": ("the ledger knows by the pipe who may write what", EVIL),
    "LCHK": ("the ledger refuses an intent that no decision licenses", EVIL),
    "DEDUP": ("a request that was decided gets the recorded decision", []),
    "REASK": ("a gate that restarted is asked once more with the same id", []),
    "REQID": ("digest and request id bind decision, verdict, approval and intent to one request", []),
    "CONS": ("an allow that carries an approval is its consumption", []),
    "VOTEDUR": ("a vote is durable before the gate hears of it", []),
    "ALLOW2": ("an answered approval is evaluated again, by a decision of its own", []),
    "TAKEUP": ("a gate that starts finds answered approvals itself", []),
    "LIST": ("Guardian registers again at its start what the gate lists", []),
    "VOID": ("an approval is void when its incarnation ends", []),
    "RESEND": ("what the ledger did not acknowledge is sent again when it is back", []),
    "INTENT": ("the intent is durable before the act", []),
    "INC": ("the last check compares the incarnation", []),
    "PAUSE": ("the last check looks at the pause", []),
    "USEBY": ("the last check looks at the use-by time", []),
    "TURN": ("the last check and the act are one turn of the loop", []),
    "CLOSE": ("an open intent is closed at Guardian's start", []),
    "UNKNOWN": ("an open intent is closed as unknown, never carried out again", []),
    "ROLLBACK": ("writers compare the highest index they hold with a ledger that is back", ROLL),
}


def search(defines, directory):
    """(errors, states, first violated assertion); fails when spin did not get to the end of it."""
    def call(*args):
        return subprocess.run(args, cwd=directory, capture_output=True, text=True)
    r = call("spin", "-a", *["-D" + d for d in defines], MODEL)
    if r.returncode or not os.path.exists(os.path.join(directory, "pan.c")):
        raise RuntimeError("spin: " + r.stdout + r.stderr)
    r = call("cc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=1024", "-DMEMLIM=4000", "-o", "pan", "pan.c")
    if r.returncode:
        raise RuntimeError("cc: " + r.stderr)
    out = call("./pan", "-E", "-m100000", "-w24").stdout
    errors = re.search(r"errors: (\d+)", out)
    if not errors or re.search(r"max search depth too small|memory limit|out of memory", out):
        raise RuntimeError("the search did not end:\n" + out)
    if errors.group(1) == "0" and "Search not completed" in out:
        raise RuntimeError("the search did not end:\n" + out)
    broken = re.search(r"pan:1: (.*?) \(at depth", out)
    return int(errors.group(1)), int(re.search(r"(\d+) states, stored", out).group(1)), broken.group(1) if broken else ""


def one(job):
    name, defines, want = job
    with tempfile.TemporaryDirectory() as d:
        try:
            errors, states, broken = search(defines, d)
        except RuntimeError as e:
            return False, name, str(e)
    return (errors > 0) == want, name, "%d states%s" % (states, ", " + broken if broken else "")


def trail(rule):
    with tempfile.TemporaryDirectory() as d:
        defines = ["NO_" + rule] + RULES[rule][1]
        search(defines, d)
        subprocess.run(["cp", MODEL, d], check=True)
        name = os.path.basename(MODEL) + ".trail"
        found = [os.path.join(r, f) for r, _, fs in os.walk(d) for f in fs if f.endswith(".trail")] or [MODEL + ".trail"]
        if found[0] != os.path.join(d, name):
            os.rename(found[0], os.path.join(d, name))
        subprocess.run(["spin", "-t", "-p", *["-D" + x for x in defines], "consent.pml"], cwd=d)


def main():
    with open(MODEL) as f:
        text = f.read()
    if sys.argv[1:2] == ["--trail"]:
        return trail(sys.argv[2])
    switches = set(re.findall(r"\bNO_([A-Z0-9]+)\b", text)) - {"RULE"}
    jobs = [("clean: " + name, defines, False) for name, defines in CLEAN]
    jobs.append(("control: the last request can be acted on", ["REACH"], True))
    jobs += [("without %s: %s" % (r, what), ["NO_" + r] + more, True) for r, (what, more) in RULES.items()]
    if sys.argv[1:2] == ["--rule"]:
        jobs = [j for j in jobs if j[0].startswith("without %s:" % sys.argv[2])]
    print("1..%d" % (len(jobs) + 1))
    same = switches == set(RULES)
    print("%sok 1 - each rule of the model has its counterexample%s" % ("" if same else "not ",
          "" if same else ": " + " ".join(sorted(switches ^ set(RULES)))))
    bad = not same
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for i, (ok, name, said) in enumerate(pool.map(one, jobs), 2):
            print("%sok %d - %s" % ("" if ok else "not ", i, name), flush=True)
            print("# " + said.replace("\n", "\n# "), flush=True)
            bad |= not ok
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
